"""What the server allows, and where it keeps things."""

from dataclasses import dataclass, fields
from pathlib import Path

from foveate.errors import OptionError
from foveate.pages.image import Limits
from foveate.serving.keys import Keys


@dataclass(frozen=True)
class Settings:
    """Raises `OptionError` for numbers out of their range."""

    keys: Keys = Keys()  # none: everybody may ask
    work: Path | None = None  # uploads and jobs; None: a folder that goes with the server
    name: str = ""  # of the model, to the outside; "": the reader's
    batch_size: int = 16  # pages that the network reads at once

    max_bytes: int = 50_000_000  # of one document
    max_pixels: int = 100_000_000  # of one picture
    max_pages: int = 100  # of one request …
    max_job_pages: int = 5000  # … and of one job
    max_tokens: int | None = None  # of one page's answer; None: as many as the network has places

    max_running: int = 32  # requests in work; jobs have their own count
    max_queue: int = 64  # requests that wait for a place in work; more are refused with 429
    max_per_key: int = 16  # requests of one key in work or waiting; without keys there is no such limit
    timeout: float = 600.0  # seconds of one request, from its place in the queue to its last page
    idle_timeout: float = 30.0  # seconds for which a client may neither send nor take anything
    drain: float = 30.0  # seconds that requests have left when the server is told to stop

    max_jobs: int = 100  # waiting or running, of one key
    jobs_at_once: int = 2
    keep_hours: float = 24.0  # of a finished job's result, and of an uploaded file

    drawing_processes: int = 2
    drawing_seconds: float = 30.0  # for one page
    drawing_bytes: int = 4 << 30  # of memory for one drawing process

    allow_urls: bool = False  # fetch http(s) pictures that a request names; private addresses never
    origins: tuple[str, ...] = ()  # of web pages on other hosts that may call this server

    def __post_init__(self) -> None:
        may_be_zero = {"max_queue", "drain"}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if value < 0 or (value == 0 and field.name not in may_be_zero):
                least = "0 or more" if field.name in may_be_zero else "more than 0"
                raise OptionError(f"{field.name} is {value}: choose {least}")

    def limits(self, pages: int | None = None) -> Limits:
        """For a source of a stranger."""
        return Limits(self.max_bytes, self.max_pixels, pages)

    @property
    def max_body(self) -> int:
        """Bytes of a request's body: a document as base64, and some words around it."""
        return self.max_bytes * 4 // 3 + 1_000_000
