"""`foveate memory`: what an optical memory holds, what it takes, and its upkeep."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.cli import options as shared
from foveate.cli.problems import FAILED, complain
from foveate.cli.remember import open_memory, read_all

if TYPE_CHECKING:
    from foveate.memory import OpticalMemory, Sizes

FADE = (
    "levels and ages such as small@1d,tiny@1w,keywords@1y (s, min, h, d, w, y; p for pages, t for turns), "
    "counted back from the newest entry; or a number of tokens that all pages must fit into"
)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "memory",
        help="what an optical memory holds and takes",
        description="Says what an optical memory holds: entries, pages by how far they have faded, tokens "
        "of context and bytes. What is asked for is done first, in this order: forgetting, pins, reading, "
        "vision tokens, fading.",
    )
    parser.add_argument("store", metavar="S", type=Path, help="the memory's folder")
    add = parser.add_argument
    number = shared.whole_number(1)
    add("--list", action="store_true", help="list the entries too")
    add("--picture", metavar="OUT.png", type=Path, help="draw the pages as they fade")
    add("--forget", metavar="N", type=number, help="take a turn or document out for good")
    add("--pin", metavar="N", type=number, help="a turn or document that never fades")
    add("--unpin", metavar="N", type=number, help="let it fade again")
    add("--read", action="store_true", help="read what has not been read yet")
    add("--encode", choices=("bf16", "int8"), help="make and keep the vision tokens that are missing")
    add("--fade", metavar="SCHEDULE", help=FADE)
    add(
        "--check",
        action="store_true",
        help="compare the index with the files; exit code 2 if anything is wrong",
    )
    add("--json", action="store_true", help="as one JSON object")
    shared.add_model(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Does what was asked, then prints the sizes. Returns the exit code."""
    with open_memory(options, create=False, index="later") as memory:
        done = _upkeep(memory, options)
        wrong = memory.check() if options.check else []
        for sentence in wrong:
            complain(sentence)
        if options.picture is not None:
            from foveate.cli.outputs import write_whole
            from foveate.memory import paging, picture

            write_whole(options.picture, paging.png(picture.draw(memory)))
        sizes = memory.sizes()
        entries = [asdict(entry) for entry in memory.entries()] if options.list else []
        if options.json:
            print(
                json.dumps(_values(sizes, memory) | {"entries_listed": entries, "done": done, "wrong": wrong})
            )
        else:
            print("\n".join([*done, *_lines(sizes), *_listed(entries)]))
    return FAILED if wrong else 0


def _upkeep(memory: "OpticalMemory", options: argparse.Namespace) -> list[str]:
    done = []
    if options.forget is not None:
        memory.forget(options.forget)
        done.append(f"entry {options.forget} is forgotten")
    if options.pin is not None:
        memory.pin(turn=options.pin)
        done.append(f"entry {options.pin} is pinned")
    if options.unpin is not None:
        memory.pin(turn=options.unpin, pinned=False)
        done.append(f"entry {options.unpin} may fade")
    if options.read:
        done.append(f"{read_all(memory, wanted=True):,} sheets read")
    if options.encode is not None:
        done.append(f"vision tokens of {memory.encode_pending(options.encode):,} sheets made")
    if options.fade is not None:
        done.append(str(memory.fade(options.fade, read=options.read)))
    return done


def _values(sizes: "Sizes", memory: "OpticalMemory") -> dict[str, Any]:
    return asdict(sizes) | {
        "text_tokens": sizes.text_tokens,
        "tokens": sizes.tokens,
        "ratio": sizes.ratio,
        "bytes": sizes.bytes,
        "settings": memory.settings,
    }


def _lines(sizes: "Sizes") -> Iterator[str]:
    yield (
        f"{sizes.entries:,} entries ({sizes.turns:,} turns, {sizes.documents:,} documents), "
        f"{sizes.pages:,} pages, {sizes.pinned:,} pinned, {sizes.unread:,} not read"
    )
    if sizes.unfinished:
        yield f"{sizes.unfinished} not added to the end: repeat foveate remember"
    yield ""
    yield "level         pages   sheets   text tokens   tokens now   ratio           bytes"
    for row in sizes.levels:
        ratio = f"{row.text_tokens / row.tokens:.1f}" if row.tokens else "-"
        yield (
            f"{row.level:<10}{row.pages:>9,}{row.sheets:>9,}{row.text_tokens:>14,}{row.tokens:>13,}"
            f"{ratio:>8}{row.bytes:>16,}"
        )
    yield ""
    yield (
        f"context: {sizes.text_tokens:,} text tokens are kept as {sizes.tokens:,} tokens, "
        f"ratio {sizes.ratio:.1f}"
    )
    loss = "" if sizes.vision_loss is None else f" (relative error {sizes.vision_loss:.4f})"
    yield (
        f"bytes:   {sizes.text_bytes:,} of text are kept as {sizes.bytes:,}: pictures {sizes.image_bytes:,}, "
        f"vision tokens {sizes.vision_bytes:,}{loss}, index {sizes.index_bytes:,}"
    )


def _listed(entries: list[dict[str, Any]]) -> Iterator[str]:
    from foveate.memory.records import Entry

    if entries:
        yield ""
    for values in entries:
        entry = Entry(**values)
        name = entry.source or entry.role
        size = f"{entry.pages:>5} pages  {entry.text_tokens:>9,} tokens"
        yield f"{entry.number:>6}  {entry.when}  {size}  {name}"
