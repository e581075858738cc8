"""What the actions of `foveate eval` that read pages have in common."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.cli import options as shared
from foveate.cli.problems import complain
from foveate.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foveate.evaluation.readers import PageReader
    from foveate.evaluation.run import Case, PageResult, Run

READERS = (
    "nano, a checkpoint's folder or hub id, predictions:DIR, openai:URL, tesseract, rapidocr, hf:FOLDER, "
    "or blank"
)
MODES = "tiny, small, base, large, gundam, gundam-m or auto, for readers that have modes (default: auto)"
PROMPTS = "markdown, text, or a sentence of your own (default: markdown)"


def add_reader(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """The reader, how it reads, and where the results go."""
    add = parser.add_argument
    add("--reader", metavar="NAME", required=required, help=READERS)
    add("--mode", metavar="NAME", default="auto", help=MODES)
    add("--seed", metavar="N", type=shared.whole_number(0), default=0, help="of all dice (default: 0)")
    add_output(parser)
    add_reader_options(parser)


def add_reader_options(parser: argparse.ArgumentParser) -> None:
    """How a reader is made."""
    add = parser.add_argument_group("reader").add_argument
    add("--prompt", metavar="NAME", default="markdown", help=PROMPTS)
    add("--device", default="auto", help="auto, cpu, cuda … (default: auto)")
    add("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: auto)")
    add("--max-tokens", metavar="N", type=shared.whole_number(1), help="of one page's text")
    add(
        "--retries",
        metavar="N",
        type=shared.whole_number(0),
        default=0,
        help="of pages that loop (default: 0)",
    )
    add("--language", metavar="CODE", default="eng", help="of tesseract (default: eng)")
    add(
        "--timeout",
        metavar="SECONDS",
        type=shared.whole_number(1),
        default=600,
        help="for one page, of programs and endpoints (default: 600)",
    )
    add("--model", metavar="NAME", default="", help="that an endpoint is asked for (default: its first)")


def add_output(parser: argparse.ArgumentParser) -> None:
    """The file of the results."""
    parser.add_argument("--json", metavar="OUT", type=Path, required=True, help="file of the results")
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")


def load_reader(options: argparse.Namespace) -> "PageReader":
    """The reader that was asked for."""
    from foveate.evaluation.readers import ReaderOptions, get_reader
    from foveate.pages.mode import choose_mode
    from foveate.pages.prompts import resolve_prompt

    # Both complain before anything is loaded.
    choose_mode(options.mode, 1, 1)
    resolve_prompt(options.prompt)
    return get_reader(
        options.reader,
        ReaderOptions(
            prompt=options.prompt,
            device=options.device,
            dtype=options.dtype,
            max_tokens=options.max_tokens,
            retries=options.retries,
            language=options.language,
            model=options.model,
            timeout=float(options.timeout),
        ),
    )


def read_and_score(
    options: argparse.Namespace,
    kind: str,
    cases: "Sequence[Case]",
    score: "Callable[[Sequence[PageResult]], Mapping[str, Any]]",
    data: str,
    more: Mapping[str, Any] | None = None,
) -> "Run":
    """Reads the cases with the reader of the options, scores them and writes the file of the results."""
    from foveate.data.recipes import nano
    from foveate.evaluation.run import Setup, run
    from foveate.pages.tokenizer import Tokenizer

    reader = load_reader(options)
    tokenizer = Tokenizer.load(nano())
    setup = Setup(kind, reader.name, options.mode, options.seed, data, {**_asked(options), **(more or {})})
    with bar(len(cases), options.quiet) as tick:
        done = run(
            reader,
            cases,
            setup,
            options.json,
            score,
            count=lambda text: len(tokenizer.encode(text)),
            on_page=lambda page: tick(),
        )
    complain_of_failures(done)
    return done


def complain_of_failures(run: "Run") -> None:
    """One line about the pages that could not be read, with the first one's reason.

    Raises `InputError` when that is all of them: the results are written, but they say nothing of a reader.
    """
    failed = [page for page in run.pages if page.reading.stop == "error"]
    if failed:
        why = f"{failed[0].id}: {failed[0].reading.error or 'no reason given'}"
        if len(failed) == len(run.pages):
            raise InputError(f"none of the {len(failed)} pages could be read, the first {why}")
        complain(f"{len(failed)} of {len(run.pages)} pages could not be read, the first {why}")


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """The options that change what a reader reads."""
    names = ("prompt", "dtype", "max_tokens", "retries", "language", "model")
    return {name: getattr(options, name) for name in names}


def say(options: argparse.Namespace, lines: Sequence[str]) -> None:
    """A summary, and where the rest is."""
    if not options.quiet:
        print("\n".join([*lines, f"written: {options.json}"]))


def speed_line(run: "Run") -> str:
    """Pages, seconds and memory."""
    speed = run.throughput
    parts = [f"{speed['pages']} pages"]
    if speed["pages_per_second"]:
        parts.append(f"{speed['pages_per_second']:.2f} pages/s")
    if speed["text_tokens_per_second"]:
        parts.append(f"{speed['text_tokens_per_second']:.0f} tokens/s")
    if speed["memory"]["process"]:
        parts.append(f"{speed['memory']['process'] / 2**20:.0f} MiB at the most")
    return ", ".join(parts)


@contextmanager
def bar(total: int, quiet: bool) -> "Iterator[Callable[[], None]]":
    """A bar on a terminal; what it gives is called after each page."""
    from tqdm import tqdm

    shown = sys.stderr.isatty() and not quiet
    with tqdm(total=total, unit="page", disable=not shown, leave=False, file=sys.stderr) as progress:

        def tick() -> None:
            progress.update(1)

        yield tick
