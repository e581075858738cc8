"""A reader that needs no network, and pages for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.document import Block, Box, Document, Page
from foveate.pages.image import Limits
from foveate.pages.source import open_pages


@dataclass
class FakeReader:
    """Opens the pages for real; says of each how large it is, and that its left half is a picture."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    broken: tuple[int, ...] = ()  # pages that cannot be read

    def read(
        self,
        source: Any,
        *,
        pages: str | None,
        dpi: int,
        password: str | None,
        limits: Limits,
        on_page: Callable[[Page], None] | None = None,
        **how: Any,
    ) -> Document:
        self.calls.append({"source": source, **how})
        name, read = "", []
        for image in open_pages(source, pages=pages, dpi=dpi, password=password, limits=limits):
            name = image.source
            read.append(self._page(image.number, *image.image.size))
            if on_page is not None:
                on_page(read[-1])
        return Document(name, tuple(read), "fake")

    def _page(self, number: int, width: int, height: int) -> Page:
        if number in self.broken:
            return Page(number, width, height, (), stop="error", error="it is blank")
        blocks = (
            Block("text", f"page of {width} x {height}", (Box(0, 0, width, height / 2),)),
            Block("image", "", (Box(0, 0, width / 2, height),)),
        )
        return Page(number, width, height, blocks, mode="tiny", vision_tokens=64, text_tokens=640)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    """The reader that `foveate read` gets, whatever model it asks for."""
    fake = FakeReader()
    monkeypatch.setattr("foveate.cli.read.load_reader", lambda options: fake)
    return fake


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def draw() -> Callable[..., Path]:
    """Makes a white picture file of one page or more, and the folders to it."""

    def draw(path: Path, width: int = 80, height: int = 60, pages: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        first, *others = (Image.new("RGB", (width, height), "white") for _ in range(pages))
        more: dict[str, Any] = {"save_all": True, "append_images": others} if others else {}
        first.save(path, **more)
        return path

    return draw


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[BytesIO]:
    """What stands on standard input: to be written by the test."""
    content = BytesIO()
    with TextIOWrapper(content) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        yield content
