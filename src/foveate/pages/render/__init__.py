"""Text to pages: pictures on which every word's place is known.

    from foveate.pages.render import Style, render
    for page in render(text, Style(size=12, columns=2)):
        page.image.save(f"{page.number}.png")

style.py      how a page looks          styles.py  styles with names, and their files
cache.py      pages kept for the next time          pdf_file.py  pages as a PDF
fonts.py      the installed fonts and what they cover
breaking.py   where a line may end   bidi.py   which way it runs   shaping.py   text to glyphs
content.py    text or Markdown to blocks   setting.py   a paragraph to lines   flow.py   blocks to columns
glyphs.py     glyphs to ink   page.py   the picture, its words, lines and blocks

Needs uharfbuzz, and python-bidi for text from right to left: `pip install 'foveate[render]'`.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace

from foveate.pages.render import bidi, content, glyphs, shaping
from foveate.pages.render.flow import pour
from foveate.pages.render.page import RenderedBlock, RenderedLine, RenderedPage, RenderedWord, Sheet, Span
from foveate.pages.render.style import Align, Colour, LineBreaks, Style

__all__ = [
    "Align",
    "Colour",
    "LineBreaks",
    "RenderedBlock",
    "RenderedLine",
    "RenderedPage",
    "RenderedWord",
    "Span",
    "Style",
    "render",
    "render_pages",
]

WINDOW = 1 << 17  # characters of a text that runs on which are set at once
_LOCK = threading.RLock()  # shapes and glyphs are kept for all, and are no good to two threads at once
_unfinished = 0  # texts of which pages are still to come: what they were measured by must stay


def render(text: str, style: Style | None = None, limit: int | None = None) -> list[RenderedPage]:
    """The pages that the text fills, one at least; the first `limit` of them if that is given.

    No character is lost or cut: each but white space and Markdown's signs stands on a page, or in its
    `missing` when no installed font has it. Raises `OptionError` where a character or a line does not fit.
    """
    pages: list[RenderedPage] = []
    if limit is None or limit > 0:
        for page in render_pages(text, style):
            pages.append(page)
            if len(pages) == limit:
                break
    return pages


def render_pages(text: str, style: Style | None = None) -> Iterator[RenderedPage]:
    """As `render`, one page after the other: those of a long text are never all in memory."""
    global _unfinished
    style = style or Style()
    with _LOCK:
        if not _unfinished:
            glyphs.forget()
            shaping.forget()
        _unfinished += 1
    try:
        sheets = _sheets(text, style)
        while True:
            with _LOCK:
                sheet = next(sheets, None)
                page = None if sheet is None else RenderedPage(sheet, style, text)
            if page is None:
                return
            yield page
    finally:
        with _LOCK:
            _unfinished -= 1


def _sheets(text: str, style: Style) -> Iterator[Sheet]:
    """The pages before they are drawn. A long text that runs on is set window by window: each begins with
    what was on the last page of the one before."""
    runs_on = style.line_breaks == "marked" and not style.markdown and len(text) > WINDOW
    if not runs_on or bidi.runs_right(text):
        yield from pour(_blocks(text, style), style, text)
        return
    start, window, number = 0, WINDOW, style.first_page
    while True:
        stop = start + window
        blocks = content.marked_blocks(text, style.line_mark, start, stop)
        sheets = pour(blocks, replace(style, first_page=number), text[start:stop])
        last = next(sheets)
        for sheet in sheets:
            yield last
            number, last = number + 1, sheet
        if stop >= len(text):
            yield last
            return
        first = last.first_place
        window = WINDOW if first is not None and first > start else 2 * window
        start = start if first is None else first


def _blocks(text: str, style: Style) -> list[content.Block]:
    if style.markdown:
        return content.markdown_blocks(text)
    if style.line_breaks == "marked":
        return content.marked_blocks(text, style.line_mark)
    return content.joined_blocks(text) if style.line_breaks == "joined" else content.plain_blocks(text)
