"""What is to be remembered, as pages: text set by a style, documents as they are drawn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from foveate.errors import OptionError
from foveate.pages.image import PageImage
from foveate.pages.mode import choose_mode

if TYPE_CHECKING:
    from foveate.pages.render import RenderedPage, Style

CHUNK = 1 << 16  # characters of a long text that are set at once
_SETTING = threading.Lock()  # the renderer keeps its glyphs for one text at a time


@dataclass(frozen=True)
class Draft:
    """One page, ready to be stored."""

    mode: str
    width: int
    height: int
    image: bytes  # PNG
    vision_tokens: int
    places: int
    ink: tuple[float, float]
    span: tuple[int, int] | None = None
    text: str | None = None
    text_tokens: int | None = None
    missing: int = 0


def text_drafts(text: str, style: Style, mode: str, count: Callable[[str], int]) -> Iterator[Draft]:
    """The pages that the text fills; `count` counts tokens. Each character of it belongs to one page.

    Raises `OptionError` for a text without a visible character, and where the style does not fit.
    """
    if not text.strip():
        raise OptionError("there is nothing to remember: the text is empty")
    start = 0
    for page, after in text_pages(text, style):
        piece = text[start:after]
        draft = draft_of(page.image, mode)
        yield replace(
            draft,
            span=(start, after),
            text=piece,
            text_tokens=count(piece),
            missing=len(page.missing),
        )
        start = after


def text_pages(text: str, style: Style) -> Iterator[tuple[RenderedPage, int]]:
    """Each page, and where the next one begins in the text.

    A long text is set in pieces: the last page of a piece is set anew with what follows, so every page is
    full. Markdown is set whole, since a piece could begin inside a table.
    """
    start = 0
    while start < len(text):
        end = len(text) if style.markdown else _end_of_piece(text, start)
        pages = _render(text[start:end], style)
        begins = [start + page.span[0] for page in pages]
        last = end == len(text)
        whole = len(pages) if last or len(pages) == 1 else len(pages) - 1
        for number in range(whole):
            after = begins[number + 1] if number + 1 < len(pages) else end
            yield pages[number], after
        start = end if whole == len(pages) else begins[whole]


def _end_of_piece(text: str, start: int) -> int:
    """Behind a paragraph where there is one; behind a space at least."""
    end = start + CHUNK
    if end >= len(text):
        return len(text)
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, start + CHUNK // 2, end)
        if place > start:
            return place + len(mark)
    return end


def _render(text: str, style: Style) -> list[RenderedPage]:
    try:
        from foveate.pages.render import render

        with _SETTING:
            return render(text, style)
    except ImportError as missing:
        raise OptionError(
            f"remembering text needs {missing.name}: pip install 'foveate[render]'"
        ) from missing


def draft_of(image: Image.Image, mode: str) -> Draft:
    """A page of a document."""
    width, height = image.size
    chosen = choose_mode(mode, width, height)
    layout = chosen.layout(width, height)
    return Draft(
        chosen.name, width, height, png(image), layout.vision_tokens, layout.sequence_length, ink_of(image)
    )


def ink_of(image: Image.Image) -> tuple[float, float]:
    """Top and bottom of what is not paper, in heights of the page; the paper is what the corner shows."""
    grey = image.convert("L")
    paper = Image.new("L", grey.size, grey.getpixel((0, 0)))
    box = ImageChops.difference(grey, paper).getbbox()
    return (box[1] / image.height, box[3] / image.height) if box else (0.0, 0.0)


def png(image: Image.Image) -> bytes:
    """The picture without loss: grey stays grey."""
    content = BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def picture(content: bytes) -> Image.Image:
    """A stored picture, decoded."""
    image = Image.open(BytesIO(content), formats=("PNG",))
    image.load()
    return image


def page_image(content: bytes, number: int) -> PageImage:
    """A stored picture as the reader takes it."""
    return PageImage("<memory>", number, picture(content).convert("RGB"))
