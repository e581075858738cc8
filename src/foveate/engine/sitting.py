"""Pages of many askers in one engine: each with its own mode, prompt and sampling, all in shared batches.

`Reader.read_pages` reads one asker's pages to their end. A sitting stays open: pages join while others are
being read, and leave when their asker has gone.
"""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

from foveate.document import Page
from foveate.engine.engine import Engine, Reading, Request
from foveate.engine.reader import Options, Reader, _Job
from foveate.pages.image import PageImage
from foveate.pages.mode import Layout


@dataclass(frozen=True)
class Prepared:
    """A page with its views made and its prompt encoded, ready to be submitted."""

    job: _Job
    request: Request

    @property
    def key(self) -> Any:
        """The asker's own."""
        return self.job.key

    @property
    def layout(self) -> Layout:
        """What the page costs in its mode."""
        return self.job.mode.layout(*self.job.page.image.size)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt's words, without the page's."""
        return len(self.request.ids) - self.layout.sequence_length


@dataclass(frozen=True)
class PageProgress:
    """One token more of one page, or its end."""

    key: Any
    piece: str  # text that this token completed
    confidence: float  # the probability that the network gave to the token
    reading: Reading  # of this attempt, so far
    page: Page | None = None  # once it is read
    again: str | None = None  # the mode in which the page is read again from its start


class Sitting:
    """Reads submitted pages; call `step` until it is not `busy`. One thread may step, others may prepare."""

    def __init__(self, reader: Reader, batch_size: int | None = None) -> None:
        self._reader = reader
        self._engine = Engine(reader.model, reader.tokenizer, batch_size or reader.batch_size)
        self._jobs: dict[Any, _Job] = {}

    @property
    def busy(self) -> bool:
        return self._engine.busy

    @property
    def load(self) -> int:
        """Pages that wait or run."""
        return self._engine.load

    def prepare(self, image: PageImage, options: Options, key: Any) -> Prepared:
        """Makes the views and the prompt, apart from all else; `key` is unique among the pages of a
        sitting. Nothing is taken back of what has been passed on."""
        options = replace(options, returns=0)
        job = _Job(image, options, self._reader._mode(image, options), key=key)
        return Prepared(job, self._reader._request(job))

    def submit(self, prepared: Prepared) -> None:
        """Queues a page. Raises `OptionError` when the network has no room for an answer."""
        prepared.job.started = time.perf_counter()  # a page that waited for its turn was not read meanwhile
        self._engine.submit(prepared.request)
        self._jobs[prepared.key] = prepared.job

    def cancel(self, key: Any) -> None:
        """Forgets a page, whether it waits, runs or has been read."""
        job = self._jobs.pop(key, None)
        if job is not None:
            self._engine.cancel(job)

    def step(self) -> list[PageProgress]:
        """Writes one token of every running page. A page that looped may begin anew in a higher mode."""
        return [self._progress(step.reading, step.piece) for step in self._engine.step()]

    def _progress(self, reading: Reading, piece: str) -> PageProgress:
        job: _Job = reading.request.key
        chosen = reading.log_probabilities
        confidence = math.exp(chosen[-1]) if chosen else 0.0
        if not reading.stop:
            return PageProgress(job.key, piece, confidence, reading)
        outcome = self._reader._finish(job, reading)
        if isinstance(outcome, _Job):
            self._jobs[job.key] = outcome
            self._reader._submit(self._engine, outcome)
            return PageProgress(job.key, piece, confidence, reading, again=outcome.mode.name)
        del self._jobs[job.key]
        return PageProgress(job.key, piece, confidence, reading, outcome)
