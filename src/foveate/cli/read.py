"""`foveate read`: documents in, Markdown, text, HTML or JSON out."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.cli import options as shared
from foveate.cli.inputs import STDIN, find_sources, spool
from foveate.cli.outputs import FORMATS, Folder, StandardOutput
from foveate.cli.problems import Problems
from foveate.cli.progress import Progress, summary
from foveate.errors import FoveateError, OptionError

if TYPE_CHECKING:
    from foveate.document import Document, Page
    from foveate.engine.reader import Reader
    from foveate.pages.image import Limits, PageImage
    from foveate.pages.source import Source

RETRIES = "read a page that loops or fills its room so many times again, each one mode higher (default: 1)"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "read",
        help="read documents",
        description="Reads documents to standard output, or to one file each in a folder. A document that "
        "cannot be read is reported and the others go on.",
    )
    shared.add_input(parser)
    _add_reading(parser.add_argument_group("reading"))
    _add_output(parser.add_argument_group("output"))
    shared.add_model(parser)
    parser.set_defaults(run=run)


def _add_reading(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    modes = "tiny, small, base, large, gundam, gundam-m or auto (default: auto)"
    prompts = "markdown, ocr, text, figure, describe, or a sentence of your own (default: markdown)"
    add("--mode", metavar="NAME", default="auto", help=modes)
    shared.add_max_tiles(group)
    add("--prompt", metavar="NAME", help=prompts)
    add("--locate", metavar="REF", help="say where on the page this is, in plain words")
    add("--max-tokens", metavar="N", type=shared.whole_number(1), help="of text, for one page")
    add("--temperature", metavar="T", type=shared.temperature, default=0.0, help="0: no dice (default: 0)")
    add("--retries", metavar="N", type=shared.whole_number(0), default=1, help=RETRIES)
    add("--batch-size", metavar="N", type=shared.whole_number(1), help="pages read at once")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--format", choices=FORMATS, default="md", help="of what is written (default: md)")
    add("--out", metavar="DIR", type=Path, help="write one file a document here, and the pictures in it")
    add("--boxes", action="store_true", help="also write each page with its boxes drawn (needs --out)")
    add("--quiet", action="store_true", help="no progress and no summary, only problems")


def run(options: argparse.Namespace) -> int:
    """Reads every document. Returns the exit code."""
    check(options)
    problems = Problems()
    sources = find_sources(options.input, problems)
    if not sources:
        return problems.exit_code
    if options.out is None:
        output: StandardOutput | Folder = StandardOutput(options.format, several=len(sources) > 1)
    else:
        output = Folder(options.out, options.format, boxes=options.boxes, inputs=sources)
    reader = load_reader(options)
    started = time.perf_counter()
    pages = Job(options, shared.limits_of(options), output, problems).read_all(reader, sources)
    if not options.quiet:
        print(summary(pages, time.perf_counter() - started), file=sys.stderr)
    return problems.exit_code


def check(options: argparse.Namespace) -> None:
    """Complains about options before a model is loaded."""
    from foveate.pages.mode import choose_mode
    from foveate.pages.prompts import resolve_prompt

    if options.prompt is None:
        options.prompt = "markdown" if options.locate is None else "locate"
    if options.boxes and options.out is None:
        raise OptionError("--boxes writes pictures: say where with --out DIR")
    choose_mode(options.mode, 1, 1, options.max_tiles)
    resolve_prompt(options.prompt, options.locate)


def load_reader(options: argparse.Namespace) -> "Reader":
    """The reader that the options ask for."""
    from foveate.engine.reader import Reader

    return Reader.load(
        model=options.model, device=options.device, dtype=options.dtype, revision=options.revision
    )


@dataclass(frozen=True)
class Job:
    """What all documents of one command have in common."""

    options: argparse.Namespace
    limits: "Limits"
    output: StandardOutput | Folder
    problems: Problems

    def read_all(self, reader: "Reader", sources: Sequence[Path | str]) -> list["Page"]:
        """Reads and writes one document after the other. Returns their pages."""
        pages: list[Page] = []
        progress = Progress(lambda: self._count(sources), wanted=not self.options.quiet)
        try:
            for source in sources:
                try:
                    pages += self._read(reader, source, progress).pages
                except FoveateError as problem:
                    progress.clear()
                    self.problems.add(problem)
        finally:
            progress.close()
        return pages

    def _read(self, reader: "Reader", source: Path | str, progress: Progress) -> "Document":
        options = self.options
        opened: Source = spool(source, self.limits) if self.output.looks_twice else source
        document = reader.read(
            opened,
            mode=options.mode,
            prompt=options.prompt,
            reference=options.locate,
            max_tiles=options.max_tiles,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            batch_size=options.batch_size,
            retries=options.retries,
            on_page=progress.page_done,
            pages=options.pages,
            **self._opening(),
        )
        progress.clear()
        self.output.write(document, source, lambda numbers: self._images(opened, numbers))
        for page in document.pages:
            if page.error is not None:
                self.problems.add(f"{source}, page {page.number}: {page.error}")
        return document

    def _images(self, source: "Source", numbers: Sequence[int]) -> Iterator["PageImage"]:
        from foveate.pages.source import open_pages

        return open_pages(source, pages=",".join(map(str, numbers)), **self._opening())

    def _opening(self) -> dict[str, Any]:
        return {"dpi": self.options.dpi, "password": self.options.password, "limits": self.limits}

    def _count(self, sources: Sequence[Path | str]) -> int | None:
        """Pages that will be read; None where nobody can know before."""
        from foveate.pages.source import count_pages, parse_page_range

        if STDIN in sources:
            return None
        total = 0
        for source in sources:
            with suppress(FoveateError):  # it will be reported when its turn comes
                count = count_pages(source, password=self.options.password, limits=self.limits)
                total += len(parse_page_range(self.options.pages, count)) if self.options.pages else count
        return total
