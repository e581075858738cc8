"""Text to pages: pictures on which every word's place is known.

    from foveate.pages.render import Style, render
    for page in render(text, Style(size=12, columns=2)):
        page.image.save(f"{page.number}.png")

style.py      how a page looks
fonts.py      the installed fonts and what they cover
breaking.py   where a line may end   bidi.py   which way it runs   shaping.py   text to glyphs
content.py    text or Markdown to blocks   setting.py   a paragraph to lines   flow.py   blocks to columns
glyphs.py     glyphs to ink   page.py   the picture, its words, lines and blocks

Needs uharfbuzz, and python-bidi for text from right to left: `pip install 'foveate[data]'`.
"""

from foveate.pages.render import content, glyphs, shaping
from foveate.pages.render.flow import pour
from foveate.pages.render.page import RenderedBlock, RenderedLine, RenderedPage, RenderedWord, Span
from foveate.pages.render.style import Align, Colour, Style

__all__ = [
    "Align",
    "Colour",
    "RenderedBlock",
    "RenderedLine",
    "RenderedPage",
    "RenderedWord",
    "Span",
    "Style",
    "render",
]


def render(text: str, style: Style | None = None, limit: int | None = None) -> list[RenderedPage]:
    """The pages that the text fills, one at least; the first `limit` of them if that is given.

    No character is lost or cut: each but white space and Markdown's signs stands on a page, or in its
    `missing` when no installed font has it. Raises `OptionError` where a character or a line does not fit.
    """
    style = style or Style()
    glyphs.forget()
    shaping.forget()
    blocks = content.markdown_blocks(text) if style.markdown else content.plain_blocks(text)
    return [RenderedPage(sheet, style, text) for sheet in pour(blocks, style, text)[:limit]]
