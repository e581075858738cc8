"""What every reader promises, whoever made it: a page in, its text out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

AUTO = "auto"


@dataclass(frozen=True)
class Reading:
    """What a reader made of one page. None stands for what a reader does not tell."""

    text: str  # Markdown where the reader writes it, else plain text
    seconds: float  # from the picture to the text, loading of weights not counted
    text_tokens: int | None = None  # that the reader wrote
    vision_tokens: int | None = None  # that the page cost
    confidence: float | None = None  # 0 to 1
    stop: str = "end"  # "end" | "length" | "loop" | "error"
    error: str | None = None  # why the page could not be read; its text is then empty


class PageReader(Protocol):
    """Reads one page after the other."""

    @property
    def name(self) -> str:
        """As it stands in results: the name that `get_reader` took."""

    def read(self, image: Image.Image, mode: str = AUTO, *, page: str = "") -> Reading:
        """The page's text. `mode` is for readers that have modes; `page` is its id, for those that look it
        up. A page that cannot be read is a Reading whose `stop` is "error", not an exception."""

    def versions(self) -> dict[str, str]:
        """The programs and libraries that read, by name."""


@dataclass(frozen=True)
class ReaderOptions:
    """How a reader is to be made; each reader takes what it understands of it."""

    prompt: str = "markdown"  # a name of foveate.pages.prompts, or a sentence
    device: str = "auto"
    dtype: str = "auto"
    max_tokens: int | None = None  # of a page's text
    language: str = "eng"  # of tesseract, by its own codes
    model: str = ""  # that an endpoint is asked for
    retries: int = 0  # further readings of a page that looped, by a reader of ours
    timeout: float = 600.0  # seconds for one page, of programs and endpoints


Factory = Callable[[str, ReaderOptions], PageReader]
