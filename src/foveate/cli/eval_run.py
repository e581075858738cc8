"""`foveate eval pages` makes pages with their texts; `foveate eval run` has a reader read such pages."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.cli import eval_reader
from foveate.cli import options as shared
from foveate.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foveate.evaluation.run import Case


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds both actions to the others."""
    _add_pages(actions)
    parser = actions.add_parser(
        "run",
        help="read pages and score their text",
        description="Reads pages and compares them with their texts. The same command again goes on where "
        "the last one was stopped.",
    )
    add = parser.add_argument
    add("--pages", metavar="FILE", type=Path, help='texts: {"id", "text"} a line; pictures by id or "image"')
    add("--images", metavar="DIR", type=Path, help="pictures (default: beside the file of the texts)")
    eval_reader.add_reader(parser)
    parser.set_defaults(run=run)


def _add_pages(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "pages",
        help="make plain pages from a text",
        description="Sets pages from places of a text drawn by dice: pictures, and pages.jsonl with what "
        "stands on them.",
    )
    add = parser.add_argument
    add("--text", metavar="FILE", type=Path, required=True, help="plain or .xz")
    add("--out", metavar="DIR", type=Path, required=True, help="folder of the pages")
    add("--count", metavar="N", type=shared.whole_number(1), default=20, help="(default: 20)")
    add("--mode", metavar="NAME", default="small", help="whose side the pages have (default: small)")
    add("--size", metavar="PIXELS", type=float, default=16.0, help="of the em (default: 16)")
    add("--seed", metavar="N", type=shared.whole_number(0), default=0, help="(default: 0)")
    parser.set_defaults(run=make)


def make(options: argparse.Namespace) -> int:
    """Makes the pages and prints where their texts are. Returns the exit code."""
    from foveate.evaluation.pages import make_pages, plain_style

    style = plain_style(options.mode, options.size)
    print(make_pages(options.text, options.out, options.count, style, options.seed))
    return 0


def _pictures(cases: "Sequence[Case]") -> list[Path]:
    return [Path(case.picture) for case in cases if case.picture]


def run(options: argparse.Namespace) -> int:
    """Reads, scores and prints. Returns the exit code."""
    from foveate.evaluation import scoring
    from foveate.evaluation.pages import folder_cases, read_truths
    from foveate.evaluation.run import fingerprint

    if options.pages is not None:
        cases = read_truths(options.pages, options.images or options.pages.parent)
        files = [options.pages, *_pictures(cases)]
    elif options.images is not None:
        cases = folder_cases(options.images)
        files = _pictures(cases)
    else:
        raise OptionError("there is nothing to read: name texts with --pages, or pictures with --images")
    data = f"{(options.pages or options.images).name} {fingerprint(files)}"
    done = eval_reader.read_and_score(
        options, "run", cases, lambda pages: scoring.score_texts(pages, options.seed), data
    )
    lines = [f"{done.name}: {eval_reader.speed_line(done)}"]
    if "plain" in done.scores:
        for name in ("edit_similarity", "word_f1", "bleu"):
            score = done.scores["plain"][name]
            lines.append(f"  {name:<16} {score['value']:.3f}  [{score['low']:.3f}, {score['high']:.3f}]")
    eval_reader.say(options, lines)
    return 0
