"""Documents in, documents out: the room that every door calls.

A `Reader` draws pages, keeps the engine's batch full, turns token text into blocks, and reads a page again
one mode higher when it went round in circles or ran out of room.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch

from foveate.config import OCRConfig
from foveate.document import Attempt, Document, Page
from foveate.engine.engine import Engine, Reading, Request
from foveate.engine.sampling import Sampling
from foveate.errors import ConfigError, InputError, OptionError
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.model.source import find_model
from foveate.pages.image import Limits, PageImage
from foveate.pages.markup import parse, spans_of_boxes
from foveate.pages.mode import AUTO, MODES, SHARPER, Mode, choose_mode, get_mode
from foveate.pages.prompts import prompt_name, resolve_prompt
from foveate.pages.source import Source, open_pages
from foveate.pages.tokenizer import Tokenizer
from foveate.pages.views import make_views

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LARGE = 500_000_000  # parameters from which a network stays in 16 bits on a CPU too
NO_LIMITS = Limits()
RETURNS = 12  # each costs the tokens of a line or two
OVERFLOWED = "the network's numbers have overflowed: choose the dtype bfloat16 or float32"


@dataclass(frozen=True)
class Options:
    """How pages are to be read. Raises `UnknownMode`, `UnknownPrompt` or `OptionError`."""

    mode: str = AUTO
    prompt: str = "markdown"
    reference: str | None = None  # for the prompt "locate"
    max_tokens: int | None = None  # of a page's answer; None: as many as the network has places
    max_tiles: int | None = None
    sampling: Sampling = Sampling()
    retries: int = 1  # further readings of a page that looped or hit the limit, each one mode higher
    returns: int = RETURNS  # times that text is taken back where a page went back to what it had written

    def __post_init__(self) -> None:
        if self.mode != AUTO:
            get_mode(self.mode, self.max_tiles)
        elif self.max_tiles is not None:
            get_mode("gundam", self.max_tiles)
        resolve_prompt(self.prompt, self.reference)
        if self.max_tokens is not None and self.max_tokens < 1:
            raise OptionError(f"max_tokens is {self.max_tokens}: choose 1 or more")
        for name in ("returns", "retries"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} is {getattr(self, name)}: choose 0 or more")


@dataclass(eq=False)
class _Job:
    """One page on its way."""

    page: PageImage
    options: Options
    mode: Mode
    started: float = field(default_factory=time.perf_counter)
    attempts: tuple[Attempt, ...] = ()
    key: Any = None  # the asker's own


@dataclass
class _Pages:
    """What has become of a document's pages, in the order in which they were asked for."""

    on_page: Callable[[Page], None] | None
    source: str = ""
    pages: dict[int, Page | None] = field(default_factory=dict)
    problems: list[InputError] = field(default_factory=list)

    def drawn(self, images: Iterator[PageImage]) -> Iterator[PageImage]:
        """The pages as they are drawn; notes their order."""
        for image in images:
            self.source = image.source
            self.pages[image.number] = None
            yield image

    def broken(self, number: int, problem: InputError) -> None:
        """A page that could not be drawn takes its place with its error."""
        self.problems.append(problem)
        self.done(Page(number, 0, 0, (), stop="error", error=str(problem)))

    def done(self, page: Page) -> None:
        """A page is ready."""
        self.pages[page.number] = page
        if self.on_page is not None:
            self.on_page(page)


class Reader:
    """Reads pages with one network. Make it with `Reader.load`."""

    def __init__(self, model: OCR, tokenizer: Tokenizer, name: str = "", batch_size: int = 8) -> None:
        self.model, self.tokenizer, self.name, self.batch_size = model, tokenizer, name, batch_size

    @classmethod
    def load(
        cls,
        model: str = "nano",
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        token: str | None = None,
    ) -> Self:
        """A reader with the embedded model, a folder's or the hub's.

        `device` is auto, cpu, cuda, cuda:1, mps …; `dtype` is auto, float32, bfloat16 or float16. Auto takes
        the best device there is, and 16 bits for large networks and GPUs. Raises `ModelError` or
        `OptionError`.
        """
        place = _device(device)
        if dtype != "auto" and dtype not in DTYPES:
            raise OptionError(f"dtype is {dtype!r}: choose auto, {', '.join(DTYPES)}")
        folder = find_model(model, revision, token)
        tokenizer = Tokenizer.load(folder)
        _check_pair(tokenizer, OCRConfig.load(folder), folder)
        network = weights.load(folder, place, DTYPES.get(dtype))
        if dtype == "auto" and place.type == "cpu" and sum(p.numel() for p in network.parameters()) < LARGE:
            network = network.float()
        return cls(network, tokenizer, model)

    def read(
        self,
        source: Source,
        *,
        mode: str = AUTO,
        prompt: str = "markdown",
        reference: str | None = None,
        max_tokens: int | None = None,
        max_tiles: int | None = None,
        temperature: float = 0.0,
        sampling: Sampling | None = None,
        retries: int = 1,
        returns: int = RETURNS,
        pages: str | None = None,
        dpi: int = 144,
        password: str | None = None,
        limits: Limits = NO_LIMITS,
        batch_size: int | None = None,
        on_page: Callable[[Page], None] | None = None,
    ) -> Document:
        """Reads a path, "-", bytes, a stream or a Pillow image.

        `on_page` is called with each page as it is done, which need not be in order; the document's pages are
        in the order asked for. A page that cannot be drawn does not stop the others: its `stop` is "error",
        its `error` says why. Text is taken back, up to `returns` times, where the network went back to what
        it had written. Raises `InputError` for what cannot be read as asked, and when no page could
        be drawn at all.
        """
        sampling = sampling or Sampling(temperature=temperature)
        options = Options(mode, prompt, reference, max_tokens, max_tiles, sampling, retries, returns)
        book = _Pages(on_page)
        images = open_pages(
            source, pages=pages, dpi=dpi, password=password, limits=limits, on_broken=book.broken
        )
        for _, page in self.read_pages(book.drawn(images), options, batch_size):
            book.done(page)
        if len(book.problems) == len(book.pages):
            raise book.problems[0]
        return Document(book.source, tuple(page for page in book.pages.values() if page), self.name)

    def read_pages(
        self, images: Iterator[PageImage], options: Options, batch_size: int | None = None
    ) -> Iterator[tuple[PageImage, Page]]:
        """Reads pages as they come, some at a time; memory holds no more of them than are being read."""
        engine = Engine(self.model, self.tokenizer, self.batch_size if batch_size is None else batch_size)
        source = iter(images)
        exhausted = False
        while not exhausted or engine.busy:
            while not exhausted and engine.load < engine.batch_size:
                image = next(source, None)
                if image is None:
                    exhausted = True
                else:
                    self._submit(engine, _Job(image, options, self._mode(image, options)))
            for progress in engine.step():
                reading = progress.reading
                if reading.stop:
                    job: _Job = reading.request.key
                    outcome = self._finish(job, reading)
                    if isinstance(outcome, _Job):
                        self._submit(engine, outcome)
                    else:
                        yield job.page, outcome

    def stream(
        self,
        source: Source,
        *,
        mode: str = AUTO,
        prompt: str = "markdown",
        reference: str | None = None,
        max_tokens: int | None = None,
        max_tiles: int | None = None,
        sampling: Sampling | None = None,
        pages: str | None = None,
        dpi: int = 144,
        password: str | None = None,
        limits: Limits = NO_LIMITS,
    ) -> Iterator[str]:
        """The raw text of one page after the other, piece by piece as the network writes it.

        A blank line parts the pages. What has been yielded cannot be taken back: no page is read twice, and a
        loop's rounds stay in the text. Raises `InputError`, at a broken page too.
        """
        options = Options(mode, prompt, reference, max_tokens, max_tiles, sampling or Sampling(), returns=0)
        images = open_pages(source, pages=pages, dpi=dpi, password=password, limits=limits)
        for index, image in enumerate(images):
            if index:
                yield "\n\n"
            engine = Engine(self.model, self.tokenizer, 1)
            self._submit(engine, _Job(image, options, self._mode(image, options)))
            while engine.busy:
                yield from (progress.piece for progress in engine.step() if progress.piece)

    def _mode(self, image: PageImage, options: Options) -> Mode:
        return choose_mode(options.mode, *image.image.size, options.max_tiles)

    def _submit(self, engine: Engine, job: _Job) -> None:
        engine.submit(self._request(job))

    def _request(self, job: _Job) -> Request:
        views = make_views(job.page.image, job.mode)
        layout = job.mode.layout(*job.page.image.size)
        prompt = resolve_prompt(job.options.prompt, job.options.reference)
        ids = self.tokenizer.encode_prompt(prompt, layout.sequence_length)
        places = self.model.config.decoder.max_position_embeddings
        options = job.options
        return Request(ids, views, options.max_tokens or places, options.sampling, job, options.returns)

    def _finish(self, job: _Job, reading: Reading) -> Page | _Job:
        """The page, or how it is to be read again."""
        seconds = time.perf_counter() - job.started
        attempt = Attempt(job.mode.name, reading.stop, len(reading.ids), seconds)
        attempts = (*job.attempts, attempt)
        if reading.stop in ("loop", "length") and len(attempts) <= job.options.retries:
            sharper = self._sharper(job)
            if sharper is not None:
                return replace(job, mode=sharper, attempts=attempts, started=time.perf_counter())
        return self._page(job, reading, attempts)

    def _sharper(self, job: _Job) -> Mode | None:
        """The next higher mode that gives the page more tokens and leaves room for its answer."""
        size, places = job.page.image.size, self.model.config.decoder.max_position_embeddings
        spent = job.mode.layout(*size).sequence_length
        name = SHARPER.get(job.mode.name)
        while name is not None:
            mode = replace(MODES[name], max_tiles=job.mode.max_tiles)
            if spent < mode.layout(*size).sequence_length < places // 2:
                return mode
            name = SHARPER.get(name)
        return None

    def _page(self, job: _Job, reading: Reading, attempts: tuple[Attempt, ...]) -> Page:
        width, height = job.page.image.size
        name = prompt_name(job.options.prompt)
        layout = job.mode.layout(width, height)
        return Page(
            number=job.page.number,
            width=width,
            height=height,
            blocks=tuple(parse(reading.text, width, height, reading.confidence, prompt=name)),
            raw=reading.text,
            mode=job.mode.name,
            prompt=name,
            vision_tokens=layout.vision_tokens,
            text_tokens=len(reading.ids),
            seconds=sum(attempt.seconds for attempt in attempts),
            confidence=page_confidence(reading),
            stop=reading.stop,
            attempts=attempts,
            error=OVERFLOWED if reading.stop == "error" else None,
        )


def page_confidence(reading: Reading) -> float | None:
    """Of all that was written but the coordinates of boxes; of these where there is nothing else."""
    sure = reading.confidence(without=spans_of_boxes(reading.text))
    return reading.confidence() if sure is None else sure


def _check_pair(tokenizer: Tokenizer, config: OCRConfig, folder: Path) -> None:
    """A tokenizer of another network would give nonsense, or break in the middle of a page."""
    ours = (tokenizer.image, tokenizer.eos, len(tokenizer))
    theirs = (config.image_token_id, config.decoder.eos_token_id, config.decoder.vocab_size)
    if ours[:2] != theirs[:2] or ours[2] > theirs[2]:
        raise ConfigError(
            f"{folder}: tokenizer.json and config.json are not of the same network (image token, end and "
            f"vocabulary are {ours} and {theirs}): fetch both again"
        )


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as problem:
        raise OptionError(
            f"the device {name!r} cannot be used ({str(problem).splitlines()[0]}): try cpu"
        ) from problem
    if device.type == "meta":
        raise OptionError("the device 'meta' holds no numbers: try cpu")
    return device
