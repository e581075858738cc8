"""What a page's text is good for, as the paper's two grades of labels (DeepSeek-OCR, section 3.4.1).

Coarse labels teach to see text, fine ones its layout; a page that its file tells wrongly teaches nothing.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from foveate.data.documents.characters import overlap
from foveate.data.documents.compose import Layout
from foveate.data.documents.pdf_text import PageText

Name = Literal["fine", "coarse", "none"]

_MOST_GARBAGE = 0.03  # of a page's characters, for text that is of any use
_LEAST_READABLE = 0.25  # letters and digits among a page's characters


@dataclass(frozen=True)
class Grade:
    """A grade and why it is not a better one."""

    name: Name
    reasons: tuple[str, ...] = ()


def unreadable(page: PageText) -> str | None:
    """Why a page's text says nothing; None when it says something."""
    if not page.characters:
        if page.garbage:
            return "its characters have no meaning in the file"
        return "no text but hidden text" if page.hidden else "no text"
    count = page.characters + page.garbage
    if page.garbage > _MOST_GARBAGE * count:
        return f"{page.garbage} of {count} characters have no meaning in the file"
    readable = sum(_reads(character) for word in page.words for character in word.text)
    if readable < _LEAST_READABLE * page.characters:
        return f"only {readable} of {page.characters} characters are letters or digits"
    return None


def _reads(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def grade(page: PageText, layout: Layout) -> Grade:
    """The grade of a page with text that says something."""
    doubts = list(_doubts(page, layout))
    return Grade("coarse" if doubts else "fine", tuple(doubts))


def _doubts(page: PageText, layout: Layout) -> list[str]:
    doubts = []
    if page.layer:
        doubts.append("the text layer of a scan")
    if page.garbage:
        doubts.append(f"{page.garbage} characters without a meaning")
    if not page.drawings.whole:
        doubts.append("more drawings than are looked at")
    if any(area.kind == "equation" for area in layout.areas):
        doubts.append("formulas, whose structure the file does not tell")
    if _in_pieces(layout):
        doubts.append("text in small pieces, which may be a table or a form")
    if _overlapping(layout):
        doubts.append("areas that overlap")
    return doubts


def _in_pieces(layout: Layout) -> bool:
    """Whether many areas hold only a word or two."""
    areas = [area for area in layout.areas if area.kind in ("text", "sub_title", "aside_text", "list")]
    small = [area for area in areas if sum(len(line.words) for line in area.lines) <= 2]
    return len(small) > 6 and len(small) > 0.35 * len(areas)


def _overlapping(layout: Layout) -> bool:
    boxes = [area.box for area in layout.areas]
    return any(
        overlap(one, other) > 0.25 * min(one.area, other.area)
        for place, one in enumerate(boxes)
        for other in boxes[place + 1 :]
    )
