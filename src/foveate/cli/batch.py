"""`foveate batch`: many documents, read to the end whatever happens on the way."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.cli import options as shared
from foveate.cli.problems import FAILED

if TYPE_CHECKING:
    from foveate.batches.journal import Journal
    from foveate.batches.report import Progress
    from foveate.batches.run import Plan
    from foveate.engine.reader import Reader

FORMATS = ("md", "txt", "html", "json", "jsonl", "jsonl.gz", "parquet")
INPUT = (
    "a PDF or picture, a folder, a pattern in quotes, @FILE with an input on each line, or an address "
    "such as s3://bucket/scans; none: go on with what is in DIR"
)
EPILOG = """
A batch that was stopped, however it was, goes on with the same command; what it writes has the same bytes as
if it had never been stopped. In DIR: the documents, report.json, problems.jsonl with whatever could not be
read and why, and .batch with the journal. Another --format is written without reading again.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "batch",
        help="read many documents, and go on after any stop",
        description="Reads many documents into a folder. What cannot be read is noted, the others go on.",
        epilog=EPILOG,
    )
    parser.add_argument("input", metavar="INPUT", nargs="*", help=INPUT)
    _add_output(parser)
    _add_reading(parser.add_argument_group("reading"))
    _add_opening(parser.add_argument_group("pages"))
    _add_work(parser.add_argument_group("work"))
    shared.add_model(parser)
    parser.set_defaults(run=run)


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder of the batch")
    kinds = "a file each as md, txt, html or json; 1,000 to a file as jsonl (Dolma), jsonl.gz, or parquet"
    add("--format", choices=FORMATS, default="md", help=f"{kinds} with a row a page (default: md)")
    add("--pictures", action="store_true", help="cut pictures out of the pages and write them beside")
    add("--retry-failed", action="store_true", help="try again what could not be read")
    add("--quiet", action="store_true", help="no progress and no summary, only problems")


def _add_reading(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    modes = "tiny, small, base, large, gundam, gundam-m or auto (default: auto)"
    prompts = "markdown, ocr, text, figure, describe, or a sentence of your own (default: markdown)"
    retries = (
        "read a page that loops or fills its room so many times again, each one mode higher (default: 1)"
    )
    add("--mode", metavar="NAME", default="auto", help=modes)
    shared.add_max_tiles(group)
    add("--prompt", metavar="NAME", default="markdown", help=prompts)
    add("--max-tokens", metavar="N", type=shared.whole_number(1), help="of text, for one page")
    add("--temperature", metavar="T", type=shared.temperature, default=0.0, help="0: no dice (default: 0)")
    add("--retries", metavar="N", type=shared.whole_number(0), default=1, help=retries)


def _add_opening(group: argparse._ArgumentGroup) -> None:
    add, number = group.add_argument, shared.whole_number(1)
    add("--pages", metavar="RANGE", help="of each document, such as 1-3,7 or 5- (default: all)")
    add("--dpi", metavar="N", type=number, default=144, help="of PDF pages (default: 144)")
    add("--password", metavar="WORD", help="of encrypted PDFs")
    add("--max-pixels", metavar="N", type=number, help="refuse larger pictures (default: 200 million)")
    add("--max-bytes", metavar="N", type=number, help="refuse larger files (default: 1 GiB)")


def _add_work(group: argparse._ArgumentGroup) -> None:
    add, number = group.add_argument, shared.whole_number(1)
    add("--workers", metavar="N", type=number, default=2, help="processes that draw pages (default: 2)")
    add("--batch-size", metavar="N", type=number, default=8, help="pages in the network at once (default: 8)")
    groups = "pages read as one piece of work, of which a stop costs one (default: 4 times --batch-size)"
    add("--group", metavar="N", type=number, help=groups)
    tries = "times that a page may break the process that draws it, or the network (default: 3)"
    add("--tries", metavar="N", type=number, default=3, help=tries)
    add("--page-seconds", metavar="N", type=number, default=300, help="to draw one page (default: 300)")


def run(options: argparse.Namespace) -> int:
    """Reads the batch to its end. Returns the exit code."""
    from foveate.batches.run import read_batch

    shown = Shown(wanted=not options.quiet)
    try:
        with terminated_as_interrupted():
            report = read_batch(
                lambda: load_reader(options),
                options.input,
                options.out,
                plan(options),
                model=options.model,
                retry_failed=options.retry_failed,
                watch=shown.page,
            )
    except KeyboardInterrupt:
        shown.close()
        if not options.quiet:
            print("foveate: stopped; the same command goes on from here", file=sys.stderr)
        raise
    finally:
        shown.close()
    if not options.quiet:
        print(report.summary(), file=sys.stderr)
    return FAILED if report.problems else 0


def plan(options: argparse.Namespace) -> "Plan":
    """What the options ask for. Raises `InputError`."""
    from foveate.batches.drawing import Opening
    from foveate.batches.run import Plan
    from foveate.engine.reader import Options
    from foveate.engine.sampling import Sampling

    reading = Options(
        options.mode,
        options.prompt,
        max_tokens=options.max_tokens,
        max_tiles=options.max_tiles,
        sampling=Sampling(temperature=options.temperature),
        retries=options.retries,
    )
    opening = Opening(options.dpi, options.pages, options.password, shared.limits_of(options))
    same = {name: getattr(options, name) for name in ("format", "pictures", "batch_size", "group", "workers")}
    return Plan(reading, opening, tries=options.tries, seconds=options.page_seconds, **same)


def load_reader(options: argparse.Namespace) -> "Reader":
    """The reader that the options ask for."""
    from foveate.engine.reader import Reader

    return Reader.load(
        model=options.model, device=options.device, dtype=options.dtype, revision=options.revision
    )


class Shown:
    """How far the batch is, on standard error: one line that changes on a terminal, else one a while."""

    def __init__(self, wanted: bool) -> None:
        self._wanted, self._live = wanted, sys.stderr.isatty()
        self._pause, self._next, self._width = (0.5, 0.0, 0) if self._live else (30.0, 0.0, 0)

    def page(self, progress: "Progress", journal: "Journal") -> None:
        """Another page is settled."""
        if not self._wanted or time.monotonic() < self._next:
            return
        began = time.monotonic()
        line = progress.line(journal.counts())
        now = time.monotonic()
        self._next = now + max(self._pause, 50 * (now - began))  # counting millions of pages takes a while
        if self._live:
            print("\r" + line.ljust(self._width), end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Makes room for other output."""
        if self._width:
            print("\r" + " " * self._width, end="\r", file=sys.stderr, flush=True)
            self._width = 0


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """A request to end, such as a container's, is answered as a Ctrl-C: at once, and in good order."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
