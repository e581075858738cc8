"""A store, and readers that read it exactly: no test depends on what a network makes of a page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("uharfbuzz")

from foveate.document import Block, Page
from foveate.memory import OpticalMemory
from foveate.pages.image import PageImage
from foveate.pages.render import Style

STYLE = Style(width=512, height=512, size=30, margins=(16, 16, 16, 16))


def seen(image: Image.Image) -> bytes:
    """A picture's pixels, as a key."""
    return sha256(image.convert("RGB").tobytes()).digest()


@dataclass
class Script:
    """Reads a picture as the words that it was told belong to it; knows the pictures by their pixels."""

    words: dict[bytes, str] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)  # mode, number
    fallback: str = ""

    def learn(self, memory: OpticalMemory, fade: Callable[[str, str], str] = lambda text, mode: text) -> None:
        """What stands on each page of a store that still keeps its text."""
        for page in memory.pages():
            if page.text is not None:
                image = memory.image(page.number)
                self.words[seen(image)] = fade(page.text, page.mode)

    def read_pages(self, images: Iterator[PageImage], options: Any) -> Iterator[tuple[PageImage, Page]]:
        for image in images:
            self.calls.append((options.mode, image.number))
            text = self.words.get(seen(image.image), self.fallback)
            block = Block("text", text)
            yield (
                image,
                Page(
                    image.number,
                    *image.image.size,
                    (block,),
                    raw=text,
                    mode=options.mode,
                    text_tokens=len(text.split()),
                    confidence=0.5,
                ),
            )


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def memory(tmp_path: Path, script: Script) -> Iterator[OpticalMemory]:
    """An empty store whose reader knows what stands on its pages once it has learnt them."""
    with OpticalMemory(tmp_path / "store", script, style=STYLE, index="later") as memory:
        yield memory


@pytest.fixture
def remember(memory: OpticalMemory, script: Script) -> Callable[..., OpticalMemory]:
    """Adds turns, one an hour, and reads them exactly."""

    def remember(*texts: str, start: float = 0.0) -> OpticalMemory:
        for number, text in enumerate(texts):
            memory.append(text, time=start + 3600.0 * number)
        script.learn(memory)
        memory.read_pending()
        return memory

    return remember
