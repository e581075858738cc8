"""`foveate tune`: the densest style that a reader still reads."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.cli import eval_reader
from foveate.cli import options as shared
from foveate.errors import InputError

if TYPE_CHECKING:
    from foveate.evaluation.tuning import Tuned

PRICE = (
    "count vision tokens by a provider's rule, such as openai-tiles or qwen2.5-vl, on pages of the mode's "
    "size (default: the mode's own tokens)"
)
METRICS = ("edit_similarity", "word_f1", "ordered_word_f1")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "tune",
        help="find the densest style that a reader reads",
        description="Finds, by evolution on your text, the style of pages with the most text tokens for each "
        "vision token that a reader still reads with the precision that you ask for. A search that was "
        "stopped goes on with the same command. The style goes to DIR/style.toml, for foveate render --style "
        "and foveate proxy --style; DIR/index.html shows the styles that were tried.",
    )
    add = parser.add_argument
    add("text", metavar="TEXT", type=Path, help="text like that which will be rendered, plain or .xz")
    add("--reader", metavar="NAME", required=True, help=eval_reader.READERS)
    add("--out", metavar="DIR", type=Path, required=True, help="of the journal, the style and the report")
    add("--mode", metavar="NAME", default="small", help="tiny, small, base or large (default: small)")
    add("--price", metavar="NAME", default="", help=PRICE)
    add("--tokenizer", metavar="FILE", type=Path, help="that counts text tokens (default: nano's)")
    add("--precision", metavar="P", type=float, default=0.97, help="to be reached (default: 0.97)")
    add("--metric", choices=METRICS, default=METRICS[0], help="of the precision (default: edit_similarity)")
    add(
        "--start", metavar="NAME|FILE", default="dense-10x", help="a style to begin with (default: dense-10x)"
    )
    add("--seed", metavar="N", type=shared.whole_number(0), default=0, help="of all dice (default: 0)")
    add("--quiet", action="store_true", help="no progress and no summary")
    add = parser.add_argument_group("effort").add_argument
    add("--generations", metavar="N", type=shared.whole_number(1), default=6, help="(default: 6)")
    add("--population", metavar="N", type=shared.whole_number(4), default=12, help="(default: 12)")
    add("--pages", metavar="N", type=shared.whole_number(1), default=3, help="of each style (default: 3)")
    eval_reader.add_reader_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Searches and writes. Returns the exit code."""
    from foveate.data.passages import open_source
    from foveate.data.recipes import nano
    from foveate.evaluation import tuning_report
    from foveate.evaluation.compression import TokenCounter
    from foveate.evaluation.run import fingerprint
    from foveate.evaluation.tuning import Search, tune
    from foveate.pages.render import styles

    counter = TokenCounter(options.tokenizer or nano())
    search = Search(
        reader=options.reader,
        text=f"{options.text.name} {fingerprint([options.text])}",
        tokenizer=counter.describe()["sha256"],
        mode=options.mode,
        price=options.price,
        base=styles.to_dict(styles.get(options.start)),
        precision=options.precision,
        metric=options.metric,
        generations=options.generations,
        population=options.population,
        pages=options.pages,
        seed=options.seed,
        options=eval_reader._asked(options),
    )
    source = open_source(options.text)
    reader = eval_reader.load_reader(options)
    with eval_reader.bar(search.generations * search.population, options.quiet) as tick:
        book = options.out / "journal.jsonl"
        tuned = tune(search, reader, source, counter.count, book, lambda trial: tick())
    written = tuning_report.write(tuned, options.out, source)
    if tuned.winner is None:
        raise InputError(_missed(tuned, options.out))
    if not options.quiet:
        print(_summary(tuned))
        print(f"written: {', '.join(map(str, written[:2]))}", file=sys.stderr)
    return 0


def _summary(tuned: "Tuned") -> str:
    winner = tuned.winner
    assert winner is not None
    genes = winner.genes
    return (
        f"{winner.ratio:.2f} text tokens for each vision token at a precision of {winner.precision:.3f} "
        f"({winner.pages} unseen pages): {genes.font}, {genes.size / 4:g} px, "
        f"lines of {genes.leading / 20:g}, margins {genes.margin}; {len(tuned.trials)} styles tried"
    )


def _missed(tuned: "Tuned", folder: Path) -> str:
    best = max(tuned.trials, key=lambda trial: (trial.precision, trial.ratio))
    why = f": {best.error}" if best.error else ""
    return (
        f"no style reached {tuned.search.precision:g} on unseen pages; the most precise one had "
        f"{best.precision:.3f} at {best.ratio:.2f} text tokens a vision token{why}. "
        f"Ask for less with --precision, or look at {folder / 'index.html'}"
    )
