"""Requests to readings: one thread owns the network, and the pages of all askers share its batches.

Gate      who may be in work, who waits, who is sent away
Call      one document being read, as events in the order in which they happen
Service   draws pages, hands them to the network's thread and its answers back to the event loop
"""

import asyncio
import contextlib
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from foveate.document import Document, Page
from foveate.engine.engine import Reading
from foveate.engine.reader import Options, Reader
from foveate.engine.sitting import PageProgress, Prepared
from foveate.errors import InputError
from foveate.pages.image import PageImage
from foveate.serving.drawing import Drawing, Upload
from foveate.serving.errors import Refusal
from foveate.serving.metrics import Metrics
from foveate.serving.network import Network
from foveate.serving.settings import Settings

AHEAD = 4  # pages drawn and waiting for a row of the network's batch, so that none is ever empty


# --- events, in the order in which they can come


@dataclass(frozen=True)
class Opened:
    """The document is open and has these pages."""

    numbers: Sequence[int]


@dataclass(frozen=True)
class Started:
    """A page goes to the network, in this mode; again, when an attempt went wrong."""

    number: int
    prepared: Prepared | None  # of the first attempt
    mode: str
    attempt: int = 1


@dataclass(frozen=True)
class Piece:
    """Text that one token completed, and the probability that the network gave to the token."""

    number: int
    text: str
    confidence: float


@dataclass(frozen=True)
class Done:
    """A page is read, or could not be: then it has an error and there is no reading."""

    page: Page
    reading: Reading | None
    prompt_tokens: int = 0
    written: int = 0  # tokens of all attempts


Event = Opened | Started | Piece | Done


@dataclass(frozen=True)
class Ask:
    """What one request wants to have read."""

    upload: Upload
    options: Options
    pieces: bool = False  # whether text is wanted as it is written
    numbers: Sequence[int] | None = None  # of the pages; None: what the upload's range says
    window: int | None = None  # pages in work at once; None: a batch
    seconds: float | None = None  # for all of it


# --- who may be in work


class Gate:
    """Places in work, a queue before them, and no more than that."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self.running = 0
        self.closed = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._of_key: Counter[str] = Counter()
        self._seconds = 2.0  # that a request lately took

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def check(self, asker: str, limited: bool) -> None:
        """Raises a `Refusal` when there is no room for one request more."""
        if self.closed:
            raise Refusal(
                503, "the server is about to stop: try again in a moment", "stopping", retry_after=5
            )
        if limited and self._of_key[asker] >= self._settings.max_per_key:
            self._metrics.refused.labels("per_key").inc()
            raise Refusal(
                429,
                f"this key has {self._of_key[asker]} requests under way: wait for one of them",
                "too_many_requests",
                retry_after=self.retry_after,
            )
        if self.running >= self._settings.max_running and len(self._waiting) >= self._settings.max_queue:
            self._metrics.refused.labels("queue").inc()
            raise Refusal(
                429,
                f"{len(self._waiting)} requests wait already: try again later",
                "queue_full",
                retry_after=self.retry_after,
            )

    @property
    def retry_after(self) -> int:
        """Seconds after which a place may be free."""
        rounds = (len(self._waiting) + 1) / self._settings.max_running
        return min(60, max(1, math.ceil(self._seconds * rounds)))

    @contextlib.asynccontextmanager
    async def place(self, asker: str, limited: bool) -> AsyncIterator[None]:
        """A place in work, at once or after waiting in the queue. Raises a `Refusal` when that is full."""
        self.check(asker, limited)
        self._of_key[asker] += 1
        try:
            await self._enter()
            started = time.monotonic()
            try:
                yield
            finally:
                self._seconds += 0.1 * (time.monotonic() - started - self._seconds)
                self.running -= 1
                self._call_next()
        finally:
            self._of_key[asker] -= 1
            if not self._of_key[asker]:
                del self._of_key[asker]

    async def _enter(self) -> None:
        if self.running < self._settings.max_running and not self._waiting:
            self.running += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._settings.timeout):
                await turn
        except BaseException as problem:
            if turn.done() and not turn.cancelled():  # called and gone in the same moment
                self.running -= 1
                self._call_next()
            else:
                self._waiting.remove(turn)
            if isinstance(problem, TimeoutError):
                raise Refusal(
                    429, "no place came free in time: try again later", "queue_full", retry_after=60
                ) from None
            raise

    def _call_next(self) -> None:
        while self._waiting and self.running < self._settings.max_running:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self.running += 1


# --- one document


class Call:
    """One document being read: `async with` starts and ends it, `async for` gives its events.

    Leaving it early takes the document's pages out of the network's batch. Errors that end the document are
    raised by the loop: an `InputError`, or a `Refusal` when it took too long.
    """

    def __init__(self, service: "Service", ask: Ask) -> None:
        self._service, self._ask = service, ask
        self._events: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Of the document."""
        return self._ask.upload.name

    async def __aenter__(self) -> "Call":
        self._work = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._work is not None
        self._work.cancel()
        await asyncio.wait([self._work])

    def __aiter__(self) -> "Call":
        return self

    async def __anext__(self) -> Event:
        event = await self._events.get()
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, BaseException):
            raise event
        return event

    async def next(self, seconds: float) -> Event | None:
        """The next event, or None when none has come in so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                return await self.__anext__()
        except TimeoutError:
            return None

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._ask.seconds):
                await self._read()
            self._events.put_nowait(None)
        except asyncio.CancelledError:
            raise
        except TimeoutError:
            self._events.put_nowait(
                Refusal(
                    504,
                    f"not read within {self._ask.seconds:g} s: ask for fewer pages, or make it a job "
                    "(POST /v1/jobs)",
                    "timeout",
                )
            )
        except BaseException as problem:
            while isinstance(problem, BaseExceptionGroup):
                problem = problem.exceptions[0]
            self._events.put_nowait(problem)

    async def _read(self) -> None:
        numbers = self._ask.numbers
        if numbers is None:
            most = self._service.settings.max_pages
            numbers = await self._service.drawing.numbers(self._ask.upload, most)
        self._events.put_nowait(Opened(numbers))
        window = asyncio.Semaphore(self._ask.window or self._service.settings.batch_size + AHEAD)
        problems: list[InputError] = []
        async with asyncio.TaskGroup() as pages:
            for number in numbers:
                await window.acquire()
                page = pages.create_task(self._page(number, problems))
                page.add_done_callback(lambda _: window.release())
        if len(problems) == len(numbers):
            raise problems[0]

    async def _page(self, number: int, problems: list[InputError]) -> None:
        service, ask = self._service, self._ask
        async with service.room:
            try:
                image = await service.drawing.draw(ask.upload, number)
                prepared = await service.prepare(image, ask.options)
                await self._through_network(prepared, number)
            except InputError as problem:
                problems.append(problem)
                page = Page(number, 0, 0, (), stop="error", error=str(problem))
                service.metrics.page(page, 0.0)
                self._events.put_nowait(Done(page, None))

    async def _through_network(self, prepared: Prepared, number: int) -> None:
        self._events.put_nowait(Started(number, prepared, prepared.layout.mode))
        page = _Watch(self._events, number, prepared, self._ask.pieces)
        async with self._service.network.reading(prepared, page.take, self._ask.pieces):
            await page.over
        self._service.metrics.page(page.over.result(), time.perf_counter() - page.started)


@dataclass
class _Watch:
    """Turns a page's progress into events."""

    events: "asyncio.Queue[Event | BaseException | None]"
    number: int
    prepared: Prepared
    pieces: bool
    attempt: int = 1
    written: int = 0
    started: float = field(default_factory=time.perf_counter)
    over: "asyncio.Future[Page]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def take(self, progress: PageProgress | Exception) -> None:
        if isinstance(progress, Exception):
            if not self.over.done():
                self.over.set_exception(progress)
            return
        if progress.piece and self.pieces:
            self.events.put_nowait(Piece(self.number, progress.piece, progress.confidence))
        if progress.again is not None:
            self.attempt += 1
            self.written += len(progress.reading.ids)
            self.events.put_nowait(Started(self.number, None, progress.again, self.attempt))
        if progress.page is not None and not self.over.done():
            self.written += len(progress.reading.ids)
            self.events.put_nowait(
                Done(progress.page, progress.reading, self.prepared.prompt_tokens, self.written)
            )
            self.over.set_result(progress.page)


# --- all of them


@dataclass
class Result:
    """A document that has been read, and what it cost."""

    document: Document
    usage: "Usage"


@dataclass
class Usage:
    """Tokens: of the pages, of the prompts' words, and of what was written in all attempts."""

    pages: int = 0
    vision_tokens: int = 0
    prompt_tokens: int = 0
    text_tokens: int = 0

    def add(self, done: Done) -> None:
        self.pages += 1
        self.vision_tokens += done.page.vision_tokens
        self.prompt_tokens += done.prompt_tokens
        self.text_tokens += done.written

    def join(self, other: "Usage") -> None:
        self.pages += other.pages
        self.vision_tokens += other.vision_tokens
        self.prompt_tokens += other.prompt_tokens
        self.text_tokens += other.text_tokens

    def numbers(self) -> dict[str, int]:
        return {"pages": self.pages, "vision_tokens": self.vision_tokens, "text_tokens": self.text_tokens}

    def json(self) -> dict[str, Any]:
        """As the OpenAI API counts: the page's tokens belong to the prompt."""
        prompt = self.vision_tokens + self.prompt_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.text_tokens,
            "total_tokens": prompt + self.text_tokens,
            "prompt_tokens_details": {"image_tokens": self.vision_tokens, "text_tokens": self.prompt_tokens},
            **self.numbers(),
        }


class Service:
    """Everything behind the routes. Make it inside a running event loop; `start`, and `close` at the end."""

    def __init__(self, reader: Reader, settings: Settings, metrics: Metrics | None = None) -> None:
        self.reader, self.settings = reader, settings
        self.metrics = metrics or Metrics()
        self.gate = Gate(settings, self.metrics)
        self.drawing = Drawing(settings)
        self.network = Network(reader, settings.batch_size, self.metrics)
        self.room = asyncio.Semaphore(settings.batch_size + AHEAD)
        self._preparing = ThreadPoolExecutor(1, "foveate-prepare")

    @property
    def name(self) -> str:
        """Of the model, to the outside."""
        return self.settings.name or self.reader.name or "foveate"

    @property
    def ready(self) -> bool:
        return self.network.alive and not self.gate.closed

    def start(self) -> None:
        """Begins to read."""
        self.network.start(asyncio.get_running_loop())

    async def close(self) -> None:
        """Ends; what is still being read is given up."""
        self.gate.closed = True
        await asyncio.to_thread(self.network.stop)
        await self.drawing.close()
        self._preparing.shutdown(wait=False, cancel_futures=True)

    async def prepare(self, image: PageImage, options: Options) -> Prepared:
        """A page's views and prompt, made beside the event loop."""
        work: Callable[[], Prepared] = lambda: self.network.prepare(image, options)  # noqa: E731
        return await asyncio.get_running_loop().run_in_executor(self._preparing, work)

    async def read(self, ask: Ask) -> Result:
        """A whole document. Raises `InputError`, or a `Refusal` when it took too long."""
        numbers: Sequence[int] = ()
        pages: dict[int, Page] = {}
        usage = Usage()
        async with Call(self, ask) as call:
            async for event in call:
                if isinstance(event, Opened):
                    numbers = event.numbers
                elif isinstance(event, Done):
                    pages[event.page.number] = event.page
                    usage.add(event)
        ordered = tuple(pages[number] for number in numbers)
        return Result(Document(ask.upload.name, ordered, self.name), usage)
