"""`foveate eval fox`: how precisely pages are read, by the number of their text tokens."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveate.cli import eval_reader
from foveate.cli import options as shared
from foveate.errors import OptionError


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = commands.add_parser(
        "fox",
        help="precision by text tokens per page, as in the paper's Table 2",
        description="Scores readings of pages whose text is known, in buckets of 100 text tokens: pages, "
        "mean tokens, text tokens per vision token, and every measure with its 95 %% interval. The readings "
        "come from a file, or a reader makes them of the pages that have a picture.",
    )
    add = parser.add_argument
    add("--pages", metavar="FILE", type=Path, required=True, help='what stands there: {"id", "text"} a line')
    add("--predictions", metavar="FILE", type=Path, help="what was read, in the same form")
    add("--images", metavar="DIR", type=Path, help="the pages' pictures, called as their ids")
    add(
        "--tokenizer", metavar="FILE", type=Path, required=True, help="tokenizer.json that counts text tokens"
    )
    add("--bucket", metavar="N", type=shared.whole_number(1), default=100, help="text tokens (default: 100)")
    eval_reader.add_reader(parser, required=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Scores, writes and prints the table. Returns the exit code."""
    from foveate.evaluation.compression import TokenCounter
    from foveate.evaluation.fox import Scorer, read_texts, table
    from foveate.evaluation.run import check_place

    if (options.reader is None) == (options.predictions is None):
        raise OptionError("the readings come from --predictions FILE or from --reader NAME: give one of both")
    if options.reader is not None and options.images is None:
        raise OptionError("a reader needs pictures: give --images DIR")
    check_place(options.json)
    scorer = Scorer(TokenCounter(options.tokenizer), options.mode, options.seed, options.bucket)
    truths = read_texts(options.pages)
    done = _predicted(options, truths, scorer) if options.reader is None else _read(options, truths, scorer)
    if without := len(truths) - done["all"]["pages"]:
        print(f"foveate: {without} of {len(truths)} pages without a picture", file=sys.stderr)
    lines = table([*done["buckets"], done["all"]], _name)
    eval_reader.say(options, lines)
    return 0


def _name(group: Mapping[str, Any]) -> str:
    return f"{group['from']}-{group['to']}" if "from" in group else "all"


def _predicted(options: argparse.Namespace, truths: dict[str, str], scorer: Any) -> Mapping[str, Any]:
    from foveate.evaluation.fox import cases_with_pictures, read_texts, results_of, run_of
    from foveate.evaluation.run import Setup, fingerprint

    pictures = cases_with_pictures(truths, options.images) if options.images else []
    reads = read_texts(options.predictions)
    results = results_of(truths, reads, pictures)
    for what, names in (
        ("unread", truths.keys() - reads.keys()),
        ("not asked for", reads.keys() - truths.keys()),
    ):
        if names:
            of = len(truths) if what == "unread" else len(reads)
            print(f"foveate: {len(names)} of {of} pages {what}, such as {min(names)}", file=sys.stderr)
    files = [options.pages, options.predictions]
    data = f"{options.pages.name} {fingerprint(files)}"
    setup = Setup("fox", options.predictions.stem, options.mode, options.seed, data, _asked(options))
    done = run_of(setup, results, scorer(results))
    done.save(options.json)
    return done.scores


def _read(options: argparse.Namespace, truths: dict[str, str], scorer: Any) -> Mapping[str, Any]:
    from foveate.evaluation.fox import cases_with_pictures
    from foveate.evaluation.run import fingerprint

    cases = cases_with_pictures(truths, options.images)
    pictures = [Path(case.picture) for case in cases if case.picture]
    data = f"{options.pages.name} {fingerprint([options.pages, *pictures])}"
    return eval_reader.read_and_score(options, "fox", cases, scorer, data, _asked(options)).scores


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    return {"tokenizer": options.tokenizer.name, "bucket": options.bucket}
