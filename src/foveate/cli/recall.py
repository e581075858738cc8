"""`foveate recall`: what an optical memory holds, read back."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.cli import options as shared
from foveate.cli.problems import complain
from foveate.cli.remember import open_memory

if TYPE_CHECKING:
    from foveate.memory import Found, Recalled


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "recall",
        help="read back from an optical memory",
        description="Reads turns, documents or pages of an optical memory back, from the stored vision "
        "tokens alone where there are any and else from the pixels, or finds words in what was read of it. "
        "Without a choice, the newest entry.",
    )
    parser.add_argument("store", metavar="S", type=Path, help="the memory's folder")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--turn", metavar="N", type=shared.whole_number(1), help="a turn or a document")
    choice.add_argument("--page", metavar="N", type=shared.whole_number(1), help="a page")
    choice.add_argument("--find", metavar="TEXT", help="pages in whose reading these words stand")
    add = parser.add_argument
    add(
        "--limit", metavar="N", type=shared.whole_number(1), default=10, help="of what is found (default: 10)"
    )
    add("--indexed", action="store_true", help="what was read before, without reading anew")
    add("--json", action="store_true", help="one JSON object a line, with confidence and tokens")
    shared.add_model(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints what was recalled or found. Returns the exit code."""
    with open_memory(options, create=False, index="later") as memory:
        if options.find is not None:
            found = memory.find(options.find, options.limit)
            _print_found(found, options.json)
            if not found:
                unread = memory.sizes().unread
                hint = f"; {unread:,} pages are not read yet: foveate memory S --read" if unread else ""
                complain(f"nothing in what was read of {options.store}{hint}")
            return 0
        turn = options.turn
        if turn is None and options.page is None:
            turn = memory.last_entry
        recalled = memory.recall(turn=turn, page=options.page, from_index=options.indexed)
    _print_recalled(recalled, options.json)
    return 0


def _print_found(found: "Sequence[Found]", as_json: bool) -> None:
    from foveate.memory.records import ranges

    for hit in found:
        if as_json:
            print(json.dumps(asdict(hit), ensure_ascii=False))
        else:
            print(f"page {ranges(hit.pages)} (turn {ranges(hit.entries)}, {hit.mode}): {hit.snippet}")


def _print_recalled(recalled: "Sequence[Recalled]", as_json: bool) -> None:
    from foveate.memory.records import ranges

    for number, part in enumerate(recalled):
        if as_json:
            print(json.dumps(asdict(part), ensure_ascii=False))
            continue
        if number:
            print()
        sure = "" if part.confidence is None else f", confidence {part.confidence:.2f}"
        if len(recalled) > 1 or part.source in ("keywords", "nothing"):
            print(f"<!-- page {ranges(part.pages)}: {part.mode}, from {part.source}{sure} -->\n")
        if part.text:
            print(part.text)
