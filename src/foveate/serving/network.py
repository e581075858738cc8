"""The thread that owns the network."""

import asyncio
import contextlib
import itertools
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import torch

from foveate.engine.reader import Options, Reader
from foveate.engine.sitting import PageProgress, Prepared, Sitting
from foveate.errors import FoveateError
from foveate.pages.image import PageImage
from foveate.serving.errors import Refusal
from foveate.serving.metrics import Metrics

LOG = logging.getLogger("foveate.serving")
Taker = Callable[[PageProgress | Exception], None]


@dataclass(frozen=True)
class _Asker:
    """Who waits for a page, on the event loop."""

    take: Taker
    pieces: bool


class Network:
    """Steps a `Sitting` in a thread of its own; pages come in from the event loop and progress goes back."""

    def __init__(self, reader: Reader, batch_size: int, metrics: Metrics) -> None:
        self._reader, self._batch_size, self._metrics = reader, batch_size, metrics
        self._sitting = Sitting(reader, batch_size)
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._askers: dict[int, _Asker] = {}  # of the thread alone
        self._keys = itertools.count()
        self._thread = threading.Thread(target=self._run, name="foveate-network", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the step that it is in."""
        if self._thread.is_alive():
            self._commands.put(None)
            self._thread.join()

    def prepare(self, image: PageImage, options: Options) -> Prepared:
        """Makes a page's views, in any thread."""
        return self._sitting.prepare(image, options, next(self._keys))

    @contextlib.asynccontextmanager
    async def reading(self, prepared: Prepared, take: Taker, pieces: bool) -> AsyncIterator[None]:
        """Has a page read; `take` is called on the event loop with its progress, or its error.

        Without `pieces`, only with its end. Leaving takes the page out of the batch.
        """
        self._commands.put(lambda: self._submit(prepared, _Asker(take, pieces)))
        try:
            yield
        finally:
            self._commands.put(lambda: self._cancel(prepared.key))

    # What follows runs in the thread.

    def _run(self) -> None:
        while True:
            try:
                if not self._obey():
                    return
                if self._sitting.busy:
                    self._step()
            except Exception as problem:
                self._fail(problem)

    def _obey(self) -> bool:
        """Carries out what has been asked, and waits for it when there is nothing else to do."""
        while True:
            try:
                command = self._commands.get(block=not self._sitting.busy)
            except queue.Empty:
                return True
            if command is None:
                return False
            command()

    def _submit(self, prepared: Prepared, asker: _Asker) -> None:
        try:
            self._sitting.submit(prepared)
        except FoveateError as problem:
            self._hand(((asker.take, problem),))
        else:
            self._askers[prepared.key] = asker

    def _cancel(self, key: int) -> None:
        self._askers.pop(key, None)
        self._sitting.cancel(key)

    def _step(self) -> None:
        steps = self._sitting.step()
        self._metrics.rows.observe(len(steps))
        news: list[tuple[Taker, PageProgress | Exception]] = []
        for step in steps:
            asker = self._askers[step.key]
            if asker.pieces or step.again is not None or step.page is not None:
                news.append((asker.take, step))
            if step.page is not None:
                del self._askers[step.key]
        if news:
            self._hand(tuple(news))

    def _fail(self, problem: Exception) -> None:
        """Tells everybody, and begins anew with an empty batch."""
        LOG.error("network_failed", exc_info=problem)
        memory = isinstance(problem, torch.OutOfMemoryError | MemoryError)
        answer = Refusal(
            503 if memory else 500,
            "the network ran out of memory: try again, with fewer pages or a smaller mode"
            if memory
            else "the network has failed at this batch: try again, and report it with the request id",
            "out_of_memory" if memory else "internal",
            retry_after=5 if memory else None,
        )
        askers, self._askers = self._askers, {}
        self._sitting = Sitting(self._reader, self._batch_size)
        self._hand(tuple((asker.take, answer) for asker in askers.values()))

    def _hand(self, news: tuple[tuple[Taker, PageProgress | Exception], ...]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the event loop has ended before us
            self._loop.call_soon_threadsafe(_tell, news)


def _tell(news: tuple[tuple[Taker, PageProgress | Exception], ...]) -> None:
    for take, progress in news:
        take(progress)
