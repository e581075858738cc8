"""`foveate remember`: files into an optical memory."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.cli import options as shared
from foveate.cli.inputs import STDIN, find_sources, spool
from foveate.cli.problems import Problems
from foveate.errors import OptionError

if TYPE_CHECKING:
    from foveate.memory import Entry, OpticalMemory

TEXT = frozenset({".txt", ".text", ".md", ".markdown"})
TURNS = ".jsonl"
DESCRIPTION = (
    "Adds files to an optical memory, and makes it if there is none. Text (.txt, .md) is set on pages; "
    'conversations (.jsonl, a line {"role": …, "content": …} a turn) become turns; of anything else that '
    "foveate reads the pages are kept as they are. A file that is there already is not added again, so a "
    "command that was broken off can be repeated."
)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser("remember", help="keep files in an optical memory", description=DESCRIPTION)
    shared.add_input(parser)
    parser.add_argument("--store", metavar="S", type=Path, required=True, help="the memory's folder")
    add = parser.add_argument_group("memory").add_argument
    add("--role", default=None, help="text files and standard input are turns of this role, not documents")
    add("--pin", action="store_true", help="what is added never fades")
    add("--fade", metavar="SCHEDULE", help="fade the memory afterwards; see foveate memory")
    add("--later", action="store_true", help="read nothing now: foveate memory S --read does it")
    new = parser.add_argument_group("a new memory (fixed once it is made)").add_argument
    new("--style", metavar="NAME", help="of pages of text: readable, dense-10x, …, or a .toml or .json file")
    new("--mode", metavar="NAME", help="of new pages: tiny, small, base, large, gundam, … (default: auto)")
    new("--prompt", metavar="NAME", help="that pages are read with (default: text)")
    new("--vision", choices=("none", "bf16", "int8"), help="keep vision tokens too (default: none)")
    new("--keep-text", choices=("sharp", "always", "never"), help="the original of turns (default: sharp)")
    shared.add_model(parser)
    parser.add_argument("--quiet", action="store_true", help="no lines about what was added, only problems")
    parser.set_defaults(run=run)


def open_memory(options: argparse.Namespace, **how: Any) -> "OpticalMemory":
    """The memory at `options.store`, with a reader that is loaded when it is needed."""
    from foveate.cli.read import load_reader
    from foveate.memory import OpticalMemory

    return OpticalMemory(options.store, lambda: load_reader(options), **how)


def run(options: argparse.Namespace) -> int:
    """Adds every file. Returns the exit code."""
    problems = Problems()
    sources = find_files(options.input, problems)
    if not sources:
        return problems.exit_code
    settings = {name: getattr(options, name) for name in ("mode", "prompt", "vision", "keep_text")}
    with open_memory(options, index="later", style=options.style, **settings) as memory:
        for source in sources:
            with problems.catching():
                for entry in add_source(memory, source, options):
                    _report(entry, source, options)
        if not options.later:
            read_all(memory, wanted=not options.quiet)
        if options.fade is not None:
            faded = memory.fade(options.fade, read=not options.later)
            if not options.quiet:
                print(faded, file=sys.stderr)
    return problems.exit_code


def find_files(arguments: Sequence[str], problems: Problems) -> list[Path | str]:
    """Text files as they are named; everything else as `foveate read` would find it."""
    found: dict[str, Path | str] = {}
    for argument in arguments:
        path = Path(argument)
        if path.suffix.lower() in TEXT | {TURNS} and path.is_file():
            found.setdefault(os.path.abspath(path), path)
            continue
        for source in find_sources([argument], problems):
            found.setdefault(STDIN if source == STDIN else os.path.abspath(source), source)
    return list(found.values())


def add_source(memory: "OpticalMemory", source: Path | str, options: argparse.Namespace) -> Iterator["Entry"]:
    """Adds a file under a key of its content, so that nothing is added twice."""
    from foveate.memory.store import key_of

    limits = shared.limits_of(options)
    opened = spool(source, limits)
    if isinstance(opened, Path):
        content, name = _bytes(opened, limits.bytes), str(source)
    else:
        content, name = opened.getvalue(), STDIN
    suffix = Path(name).suffix.lower()
    if suffix == TURNS:
        for number, (role, text) in enumerate(_turns(content, name)):
            key = key_of(content, name, number)
            yield memory.append(text, role, key=key, pinned=options.pin)
    elif suffix in TEXT or (name == STDIN and _is_text(content)):
        key = key_of(content, name, options.role or "")
        text = _text(content, name)
        if options.role is not None:
            yield memory.append(text, options.role, key=key, pinned=options.pin)
        else:
            yield memory.append_text(text, name, key=key, pinned=options.pin)
    else:
        yield memory.append_document(
            opened,
            name,
            key=key_of(content, name, options.pages or "", options.dpi),
            pinned=options.pin,
            pages=options.pages,
            dpi=options.dpi,
            password=options.password,
            limits=limits,
        )


def _bytes(path: Path, most: int) -> bytes:
    from foveate.errors import SourceTooLarge

    if path.stat().st_size > most:
        raise SourceTooLarge(f"{path} is over the limit of {most:,} bytes: raise it with --max-bytes")
    return path.read_bytes()


def _is_text(content: bytes) -> bool:
    try:
        return bool(content) and "\0" not in content.decode("utf-8") and not content.startswith(b"%PDF")
    except UnicodeDecodeError:
        return False


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise OptionError(f"{name} is not UTF-8 text ({problem.reason}): convert it first") from problem


def _turns(content: bytes, name: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_text(content, name).splitlines(), 1):
        if not line.strip():
            continue
        try:
            turn = json.loads(line)
            role, text = turn["role"], turn["content"]
            if not isinstance(role, str) or not isinstance(text, str):
                raise TypeError("role and content are not text")
        except (ValueError, KeyError, TypeError) as problem:
            raise OptionError(
                f'{name}, line {number} is no turn ({problem}): write {{"role": "user", "content": "…"}}'
            ) from problem
        yield role, text


def _report(entry: "Entry", source: Path | str, options: argparse.Namespace) -> None:
    if not options.quiet:
        pages = f"{entry.pages} {'page' if entry.pages == 1 else 'pages'}"
        print(f"{entry.number}\t{pages}\t{source}", flush=True)


def read_all(memory: "OpticalMemory", wanted: bool) -> int:
    """Reads what has not been read, with a bar on a terminal. Returns how many sheets."""
    from tqdm import tqdm

    shown = wanted and sys.stderr.isatty()
    total = memory.sizes().unread if shown else None
    with tqdm(total=total, unit="page", disable=not shown, leave=False, file=sys.stderr) as bar:

        def done(_: int) -> None:
            bar.update()

        return memory.read_pending(on_sheet=done)
