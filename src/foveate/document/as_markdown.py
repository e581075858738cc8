"""Pages and documents as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from foveate.document import flow, inline, tables
from foveate.errors import OptionError

if TYPE_CHECKING:
    from foveate.document.structure import Block, Document, Page

TABLES = ("auto", "markdown", "html")


def render_document(document: Document, page_mark: str, tables: str, furniture: bool) -> str:
    """The pages one after the other, each behind its mark when there are several."""
    several = len(document.pages) > 1
    parts = []
    for page in document.pages:
        if several and page_mark:
            parts.append(page_mark.replace("{number}", str(page.number)))
        parts.append(render_page(page, tables, furniture))
    return "\n\n".join(part for part in parts if part)


def render_page(page: Page, tables: str = "auto", furniture: bool = False) -> str:
    """The page's blocks in reading order; of a page that could not be read, a comment that says why."""
    if tables not in TABLES:
        raise OptionError(f"tables={tables!r} is not a way to write tables: choose from {', '.join(TABLES)}")
    blocks = page.shown(furniture)
    parts = [_block(block, caption(blocks, index), tables) for index, block in enumerate(blocks)]
    if page.error is not None:
        why = re.sub("-(?=-)", "- ", " ".join(page.error.split())).replace(">", "&gt;")
        parts.append(f"<!-- page {page.number} could not be read: {why} -->")
    return "\n\n".join(part for part in parts if part)


def caption(blocks: Sequence[Block], index: int) -> str:
    """The words of the caption that belongs to the picture at `index`, on one line; "" without one."""
    after = blocks[index + 1] if index + 1 < len(blocks) else None
    if after is None or after.kind not in ("image_caption", "figure_caption"):
        return ""
    return " ".join(inline.plain(after.text).split())


def _block(block: Block, caption: str, table_style: str) -> str:
    written = [_written(part, table_style) for part in _parts(block)]
    if block.image:
        # The caption stays a paragraph of its own too: readers see no alternative text.
        alternative = re.sub(r"([\\\[\]*_`<>$])", r"\\\1", caption)
        written.insert(0, f"![{alternative}]({quote(block.image)})")
    return "\n\n".join(part for part in written if part)


def _parts(block: Block) -> list[tuple[str, str]]:
    """The block cut into code, tables and other text, as (kind, text)."""
    parts: list[tuple[str, str]] = []
    for code, part in flow.split_code(source(block), fences=True):
        if code:
            parts.append(("code", part))
        else:
            parts += [("table" if table else "text", stretch) for table, stretch in tables.split(part)]
    return parts


def _written(part: tuple[str, str], table_style: str) -> str:
    kind, text = part
    if kind == "code":
        return text.strip("\n")
    if kind == "text":
        return inline.dollars(inline.uncentered(text)).strip("\n").rstrip()
    rows = tables.parse(text)
    if table_style == "markdown" or (table_style == "auto" and tables.is_plain(rows)):
        return tables.to_pipes(rows)
    return tables.to_html(rows, dollar_math=True) if rows else ""


def source(block: Block) -> str:
    """The block's text as Markdown proper: titles with their #, formulas between their brackets."""
    text = block.text
    words = text.strip()
    if not words:
        return ""
    if block.kind in _HEADINGS and not words.startswith("#"):
        return f"{_HEADINGS[block.kind]} {' '.join(words.split())}"
    if block.kind == "equation" and not any(sign in words for sign in ("\\[", "\\(", "$")):
        return f"\\[\n{words}\n\\]" if "\n" in words else f"\\[{words}\\]"
    if block.kind == "code" and "```" not in words:
        return f"```\n{text}\n```"
    return text


_HEADINGS = {"title": "#", "sub_title": "##"}
