"""`foveate eval curve`: how precision falls as a page holds more text tokens for each vision token."""

import argparse
from pathlib import Path

from foveate.cli import eval_reader
from foveate.cli import options as shared

COLUMNS = ("plain_edit_similarity", "edit_similarity", "word_f1", "distinct_word_precision")


def ratios(text: str) -> tuple[float, ...]:
    """Numbers with commas between them, such as 4,10,20."""
    return tuple(sorted({float(part) for part in text.split(",")}))


def share(text: str) -> float:
    """A number from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return number


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = commands.add_parser(
        "curve",
        help="precision against text tokens per vision token",
        description="Sets held-out text on pages as large as the mode sees them, so many tokens on each that "
        "they have the ratios asked for, in the largest type that fits; a reader reads them.",
    )
    add = parser.add_argument
    add(
        "--text", metavar="FILE", type=Path, required=True, help="plain or .xz, which the reader has not seen"
    )
    add("--tokenizer", metavar="FILE", type=Path, help="that counts text tokens (default: nano's)")
    add("--ratios", metavar="LIST", type=ratios, help="(default: 4,5,7,10,12,15,20)")
    add("--pages-per-point", metavar="N", type=shared.whole_number(1), default=10, help="(default: 10)")
    add("--letters", action="store_true", help="random letters in the place of the text's own")
    add("--degrade", metavar="S", type=share, default=0.0, help="as scanners do, by 0 to 1 (default: 0)")
    eval_reader.add_reader(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Sets, reads, writes and prints the table. Returns the exit code."""
    from foveate.data.passages import open_source
    from foveate.data.recipes import nano
    from foveate.evaluation.compression import RATIOS, Curve, TokenCounter
    from foveate.evaluation.fox import table
    from foveate.evaluation.run import fingerprint

    curve = Curve(
        counter=TokenCounter(options.tokenizer or nano()),
        mode=options.mode,
        ratios=options.ratios or RATIOS,
        pages=options.pages_per_point,
        seed=options.seed,
        letters=options.letters,
        degraded=options.degrade,
    )
    cases = curve.cases(open_source(options.text))
    data = f"{options.text.name} {fingerprint([options.text])}"
    asked = {
        "tokenizer": curve.counter.describe(),
        "ratios": list(curve.ratios),
        "pages_per_point": curve.pages,
        "letters": curve.letters,
        "degrade": curve.degraded,
    }
    done = eval_reader.read_and_score(options, "curve", cases, curve.score, data, asked)
    lines = table(done.scores["points"], lambda point: f"{point['type_size']:.1f} px", COLUMNS)
    eval_reader.say(options, [f"{done.name}: {eval_reader.speed_line(done)}", *lines])
    return 0
