"""What the areas of a page are: headings, lists, captions, notes, and what runs along its edges."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from foveate.data.documents.drawings import Drawings, Rule
from foveate.data.documents.layout import Area
from foveate.data.documents.lines import LABEL, Line, around
from foveate.data.documents.pdf_text import BANDS
from foveate.document import Box

_PAGE_NUMBER = re.compile(
    r"\W{0,4}(?:page|seite|p\.|pag\.|страница)?\s{0,3}(?:[0-9]{1,5}|[ivxlcdm]{1,7}|[A-Z0-9]{1,2}-[0-9]{1,3})"
    r"\W{0,4}(?:(?:of|von|de|/)\s{0,3}(?:[0-9]{1,4}|[ivxlcdm]{1,7}))?\W{0,4}",
    re.IGNORECASE,
)
_TABLE_LABEL = re.compile(r"(?:table|tab\.|tabelle|tableau|tabla|표|表)", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:[0-9]{1,2}|[A-Z]|[IVX]{1,4})((?:\.[0-9]{1,2})*)\.?\s+\S")
_NOTE = re.compile(r"(?:[0-9]{1,2}|[*†‡§¶]|[a-z]\))\s*[^\W\d_]")
_BULLET = re.compile(r"[•●○◦▪■□▸►‣➢❖✓]")


def named(
    areas: Sequence[Area], drawn: Drawings, width: float, height: float, above: set[str], below: set[str]
) -> tuple[list[Area], list[Area], list[Area]]:
    """The areas of the page's top edge, of the text itself and of the bottom edge, each with its kind.

    `above` and `below` are the lines at the edges of other pages, as `normal` writes them. Sizes in points.
    """
    page = Box(0, 0, width, height)
    body = body_size(areas)
    top, middle, bottom = [], [], []
    for area in areas:
        kind = _furniture(area, areas, page, body, above, below)
        if kind is None:
            middle.append(_kind(area, areas, drawn, page, body))
        elif area.box.y0 < height / 2:
            top.append(replace(area, kind=kind))
        else:
            bottom.append(replace(area, kind=kind))
    return top, _with_title(middle, page, body), bottom


def body_size(areas: Sequence[Area]) -> float:
    """The size of most of a page's text, in points."""
    sizes: Counter[float] = Counter()
    for area in areas:
        for line in area.lines:
            sizes[round(line.size * 2) / 2] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 10.0


def normal(text: str) -> str:
    """A line without what changes from page to page."""
    return re.sub(r"[0-9]+", "#", re.sub(r"\s+", "", text)).casefold()


def edge_lines(raw: str) -> set[str]:
    """The lines of a page's edge, to be compared with those of other pages."""
    return {normal(line) for line in raw.splitlines() if line.strip()}


def _furniture(
    area: Area, areas: Sequence[Area], page: Box, body: float, above: set[str], below: set[str]
) -> str | None:
    """The kind of what runs along a page's edge; None for what belongs to the text."""
    if area.kind != "text" or not area.lines or area.lines[0].angle or len(area.lines) > 4:
        return None
    high = page.y1 - page.y0
    at_top, at_bottom = area.box.y1 < BANDS * high, area.box.y0 > (1 - BANDS) * high
    numbered = _numbered_edge(area, areas, page)
    at_top, at_bottom = at_top or numbered == "top", at_bottom or numbered == "bottom"
    if not (at_top or at_bottom):
        return None
    edge = above if at_top else below
    again = all(_repeated(line.text, edge) for line in area.lines)
    alone = _alone(area, areas, at_top)
    if _PAGE_NUMBER.fullmatch(area.plain) and (again or alone):
        return "page_number"
    outside = area.box.y1 < 0.09 * high or area.box.y0 > 0.92 * high or bool(numbered)
    plain = len(area.lines) <= 2 and area.size <= 1.1 * body
    if again or (outside and alone and plain):
        return "header" if at_top else "footer"
    return None


def _numbered_edge(area: Area, areas: Sequence[Area], page: Box) -> str:
    """Which edge an area is at, when it is the outermost row of the page and a page number stands in it."""
    high, line = page.y1 - page.y0, area.lines[0]
    if len(area.lines) > 1 or 0.2 * high < area.box.y1 < 0.8 * high:
        return ""
    row = [
        other for other in areas
        if len(other.lines) == 1 and abs(other.lines[0].baseline - line.baseline) < 0.5 * line.size
    ]  # fmt: skip
    if not any(_PAGE_NUMBER.fullmatch(other.plain) for other in row):
        return ""
    others = [other for other in areas if other not in row]
    if area.box.y1 < 0.2 * high and all(other.box.y0 > area.box.y1 for other in others):
        return "top"
    if area.box.y0 > 0.8 * high and all(other.box.y1 < area.box.y0 for other in others):
        return "bottom"
    return ""


def _repeated(text: str, edge: set[str]) -> bool:
    words = normal(text)
    return len(words) >= 3 and any(words == other or (len(words) > 5 and words in other) for other in edge)


def _alone(area: Area, areas: Sequence[Area], at_top: bool) -> bool:
    """Whether white space parts an area from the page's text."""
    line = area.lines[-1 if at_top else 0]
    least = 1.1 * line.size
    for other in areas:
        inward = other.box.y0 - area.box.y1 if at_top else area.box.y0 - other.box.y1
        beside = inward < -0.5 * (area.box.y1 - area.box.y0)
        if other is area or beside or _PAGE_NUMBER.fullmatch(other.plain):
            continue
        if inward < least:
            return False
    return True


def _kind(area: Area, areas: Sequence[Area], drawn: Drawings, page: Box, body: float) -> Area:
    if area.kind != "text" or not area.lines:
        return area
    if area.lines[0].angle:
        return replace(area, kind="aside_text")
    caption = _caption(area, areas)
    if caption:
        return replace(area, kind=caption)
    if _is_note(area, areas, drawn, page, body):
        return replace(area, kind="page_footnote")
    if _is_equation(area):
        return replace(area, kind="equation")
    level = _heading_level(area, body)
    if level:
        return replace(area, kind="sub_title", level=level)
    return replace(area, kind="list") if _is_item(area) else area


def _caption(area: Area, areas: Sequence[Area]) -> str | None:
    label = LABEL.match(area.plain)
    if label is None:
        return None
    kind = "table_caption" if _TABLE_LABEL.match(area.plain) else "image_caption"
    marked = label.group().rstrip()[-1:] in ".:|" or area.plain[label.end() :].lstrip()[:1] in (
        ".",
        ":",
        "|",
        "",
    )
    wanted = "table" if kind == "table_caption" else "image"
    reach = 3 * area.size
    near = any(
        other.kind == wanted
        and max(other.box.y0 - area.box.y1, area.box.y0 - other.box.y1) < reach
        and min(other.box.x1, area.box.x1) > max(other.box.x0, area.box.x0)
        for other in areas
    )
    return kind if marked or near else None


def _is_note(area: Area, areas: Sequence[Area], drawn: Drawings, page: Box, body: float) -> bool:
    """Whether an area is a footnote: small, with a mark or under a short line, nothing larger below it."""
    low = area.box.y0 > page.y0 + 0.5 * (page.y1 - page.y0)
    if not low or area.size > 0.93 * body:
        return False
    larger = [other for other in areas if other.lines and other.size > 0.93 * body and other.kind == "text"]
    for other in larger:
        across = min(other.box.x1, area.box.x1) - max(other.box.x0, area.box.x0)
        within = other.box.y1 < page.y0 + (1 - BANDS) * (page.y1 - page.y0) or len(other.lines) > 1
        if across > 0 and other.box.y0 > area.box.y1 and within:
            return False
    ruled = any(
        not _underlines(rule, areas)
        and 0 < area.box.y0 - rule.place < 2 * area.size
        and abs(rule.start - area.box.x0) < area.size
        and rule.length < 0.6 * (area.box.x1 - area.box.x0)
        for rule in drawn.across
    )
    return ruled or bool(_NOTE.match(area.plain))


def _underlines(rule: Rule, areas: Sequence[Area]) -> bool:
    return any(
        -0.1 * line.size < rule.place - line.baseline < 0.4 * line.size
        and rule.start > line.box.x0 - 2
        and rule.end < line.box.x1 + 2
        for area in areas
        for line in area.lines
    )


def _is_equation(area: Area) -> bool:
    words = [word for line in area.lines for word in line.words]
    total = sum(len(word.text) for word in words)
    signs = sum(len(word.text) for word in words if word.style.math)
    relation = any(sign in area.plain for sign in "=<>≤≥≈∼∈→∑∫")
    longest = max(sum(c.isalpha() for c in word.text) for word in words)
    return signs > 0.3 * total and relation and len(area.lines) <= 5 and longest < 9


def _is_item(area: Area) -> bool:
    first = area.lines[0]
    return bool(first.marker) or bool(_BULLET.match(first.text) and len(first.text) > 2)


def _heading_level(area: Area, body: float) -> int:
    """The number of # of a heading: 2, or one more for each further number of its section; else 0."""
    text = area.plain
    words, lines = text.split(), area.lines
    letters = sum(character.isalpha() for character in text)
    if len(lines) > 3 or len(words) > 24 or letters < 3 or letters < 0.5 * len(text.replace(" ", "")):
        return 0
    bold = all(line.bold for line in lines) and not _BULLET.match(text)
    ends = text.rstrip()[-1:] in ",;.:" and not text.rstrip().endswith("...")
    sentence = ends and len(words) > 6
    large = area.size >= 1.14 * body and not _BULLET.match(text) and not sentence
    stressed = bold and area.size >= 0.93 * body and len(lines) <= 2 and len(words) <= 16
    capitals = text.upper() == text != text.lower() and len(words) <= 10 and letters > 5 and len(lines) == 1
    if not (large or (stressed and not ends) or (capitals and not ends and area.size >= 0.93 * body)):
        return 0
    number = _NUMBERED.match(text)
    return 2 + min(number.group(1).count("."), 3) if number else 2


def _with_title(areas: list[Area], page: Box, body: float) -> list[Area]:
    """The areas; the largest heading in the upper part is the title, when it stands out."""
    headings = [area for area in areas if area.kind == "sub_title"]
    if not headings:
        return areas
    largest = max(headings, key=lambda area: (area.size, -area.box.y0))
    high = largest.box.y0 < page.y0 + 0.45 * (page.y1 - page.y0)
    if not high or largest.size < 1.3 * body:
        return areas
    return [replace(area, kind="title", level=1) if area is largest else area for area in areas]


def with_lists(areas: Sequence[Area]) -> list[Area]:
    """The areas in reading order, items that follow each other in one list as one.

    A single item with a number is a paragraph that happens to begin with one.
    """
    merged: list[Area] = []
    items: list[Area] = []
    for area in [*areas, None]:
        if area is not None and area.kind == "list" and (not items or _go_on(items[-1], area)):
            items.append(area)
            continue
        merged += _list_of(items)
        items = [area] if area is not None and area.kind == "list" else []
        if area is not None and area.kind != "list":
            merged.append(area)
    return merged


def _go_on(upper: Area, lower: Area) -> bool:
    across = min(upper.box.x1, lower.box.x1) - max(upper.box.x0, lower.box.x0)
    return across > 0 and -2 < lower.box.y0 - upper.box.y1 < 2.5 * lower.size


def _list_of(items: Sequence[Area]) -> list[Area]:
    if not items:
        return []
    bullet = _BULLET.match(items[0].lines[0].text) is not None
    if len(items) == 1 and not bullet:
        return [replace(items[0], kind="text")]
    lines = tuple(line for item in items for line in item.lines)
    starts = _starts([item.lines for item in items])
    return [Area("list", around(item.box for item in items), lines, starts=starts)]


def _starts(items: Sequence[Sequence[Line]]) -> tuple[int, ...]:
    places, count = [], 0
    for lines in items:
        places.append(count)
        count += len(lines)
    return tuple(places)
