"""Pictures and drawings of a page, with the words that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foveate.data.documents.characters import overlap
from foveate.data.documents.drawings import Drawings
from foveate.data.documents.lines import Line
from foveate.document import Box

_LEAST = 18.0  # points: a smaller picture is an ornament
_NEAR = 9.0  # points between the parts of one drawing
_PARTS = 8  # paths that a drawing has, at least
_MOST_PARTS = 4_000  # looked at; a map has more, but they cover the same ground
_BACKGROUND = 0.8  # of the page: a larger picture is what the page is printed on


@dataclass(frozen=True)
class Figure:
    """A picture of a page; what is written in and around a drawing is part of it."""

    box: Box
    lines: tuple[Line, ...] = ()


def figures(drawn: Drawings, lines: Sequence[Line], tables: Sequence[Box], page: Box) -> list[Figure]:
    """A page's pictures: images, and drawings with little text, with their labels; apart from tables."""
    photographs = [_clipped(box, page) for box in drawn.pictures]
    photographs = [box for box in photographs if _stands(box, page) and not _printed_on(box, lines)]
    sketches = [
        box
        for box in _drawings(drawn, lines, page)
        if not any(overlap(box, table) > 0.2 * min(box.area, table.area) for table in tables)
        and not _printed_on(box, lines)
    ]
    found = [Figure(box) for box in _united(photographs, lines)]
    free = list(lines)
    for box in _united(sketches, lines):
        whole, own = _with_labels(box, free)
        free = [line for line in free if line not in own]
        found.append(Figure(whole, tuple(own)))
    return _gathered(found, free)


def _gathered(found: Sequence[Figure], free: Sequence[Line]) -> list[Figure]:
    """Figures that overlap or whose labels touch, as one; with the lines that then lie inside."""
    gathered: list[Figure] = []
    for figure in found:
        apart = []
        for other in gathered:
            size = min((line.size for line in (*figure.lines, *other.lines)), default=0)
            near = bool(figure.lines and other.lines) and _apart(figure.box, other.box) < 1.5 * size
            near = near or overlap(figure.box, other.box) > 0.1 * min(figure.box.area, other.box.area)
            if near and not _printed_on(figure.box.union(other.box), free):
                figure = Figure(figure.box.union(other.box), (*figure.lines, *other.lines))
            else:
                apart.append(other)
        gathered = [*apart, figure]
    finished = []
    left = list(free)
    for figure in gathered:
        own = [line for line in left if overlap(line.box, figure.box) > 0.5 * max(line.box.area, 1e-6)]
        left = [line for line in left if line not in own]
        box = figure.box
        for line in own:
            box = box.union(line.box)
        finished.append(Figure(box, (*figure.lines, *own)))
    return finished


def _apart(one: Box, other: Box) -> float:
    return max(one.x0 - other.x1, other.x0 - one.x1, one.y0 - other.y1, other.y0 - one.y1)


def _clipped(box: Box, page: Box) -> Box:
    x0, x1 = (min(max(x, page.x0), page.x1) for x in (box.x0, box.x1))
    y0, y1 = (min(max(y, page.y0), page.y1) for y in (box.y0, box.y1))
    return Box(x0, y0, x1, y1)


def _stands(box: Box, page: Box) -> bool:
    if min(box.x1 - box.x0, box.y1 - box.y0) < _LEAST:
        return False
    return box.area < _BACKGROUND * page.area


def _printed_on(box: Box, lines: Sequence[Line]) -> bool:
    """Whether running text stands on it: it is a background, or a frame around text."""
    inside = [line for line in lines if overlap(line.box, box) > 0.7 * max(line.box.area, 1e-6)]
    covered = sum(line.box.area for line in inside)
    words = sum(len(line.words) for line in inside)
    running = sum(len(line.words) >= 6 for line in inside)
    return running >= 3 or words > 120 or (words > 4 and covered > 0.15 * box.area)


def _drawings(drawn: Drawings, lines: Sequence[Line], page: Box) -> list[Box]:
    """Paths that lie close together, where they are many and not only lines that rule the page."""
    parts = [
        _clipped(box, page)
        for box in drawn.paths[:_MOST_PARTS]
        if box.x1 - box.x0 < 0.75 * (page.x1 - page.x0) and box.y1 - box.y0 < 0.75 * (page.y1 - page.y0)
    ]
    clusters = _clusters([box for box in parts if not _serves_text(box, lines)])
    curved = [_clipped(box, page) for box in drawn.strokes[:_MOST_PARTS]]
    found = []
    for box, count in clusters:
        bends = sum(1 for stroke in curved if overlap(stroke, box) > 0.5 * max(stroke.area, 1e-6))
        large = min(box.x1 - box.x0, box.y1 - box.y0) > 2 * _LEAST
        if large and (count >= _PARTS or bends >= 3) and _stands(box, page):
            found.append(box)
    return found


def _serves_text(box: Box, lines: Sequence[Line]) -> bool:
    """Whether a path underlines words, or frames several lines of them."""
    if box.y1 - box.y0 < 3:
        return any(-1 < box.y0 - line.baseline < 0.35 * line.size and _spans(line.box, box) for line in lines)
    inside = [line for line in lines if overlap(line.box, box) > 0.9 * line.box.area]
    return sum(len(line.words) >= 2 for line in inside) >= 4


def _spans(line: Box, rule: Box) -> bool:
    return line.x0 - 2 < rule.x0 and rule.x1 < line.x1 + 2


def _clusters(boxes: Sequence[Box]) -> list[tuple[Box, int]]:
    """Boxes that come within reach of each other, as one box and their number."""
    clusters: list[tuple[Box, int]] = []
    for box in sorted(boxes, key=lambda box: (box.y0, box.x0)):
        count, whole = 1, box
        changed = True
        while changed:
            apart = []
            changed = False
            for other, size in clusters:
                if _within_reach(whole, other):
                    whole, count, changed = whole.union(other), count + size, True
                else:
                    apart.append((other, size))
            clusters = apart
        clusters.append((whole, count))
    return clusters


def _within_reach(one: Box, other: Box) -> bool:
    return _apart(one, other) < _NEAR


def _united(boxes: Sequence[Box], lines: Sequence[Line]) -> list[Box]:
    """Boxes, those that overlap as one, but for what would take in running text."""
    united: list[Box] = []
    for box in boxes:
        apart = []
        for other in united:
            touching = overlap(box, other) > 0.1 * min(box.area, other.area)
            if touching and not _printed_on(box.union(other), lines):
                box = box.union(other)
            else:
                apart.append(other)
        united = [*apart, box]
    return united


def _with_labels(box: Box, lines: Sequence[Line]) -> tuple[Box, list[Line]]:
    """A picture's box widened to the labels around it, and the lines that then are its own."""
    own = [line for line in lines if overlap(line.box, box) > 0.5 * max(line.box.area, 1e-6)]
    whole, left = box, [line for line in lines if line not in own]
    for _ in range(3):
        near = [line for line in left if _is_label(line, box) and _touching(line, whole)]
        if not near:
            break
        own += near
        left = [line for line in left if line not in near]
        for line in near:
            whole = whole.union(line.box)
    for line in own:
        whole = whole.union(line.box)
    return whole, own


def _is_label(line: Line, box: Box) -> bool:
    short = len(line.words) <= 5 and line.box.x1 - line.box.x0 < 0.6 * (box.x1 - box.x0)
    beside = line.angle in (90, 270) and line.box.y1 - line.box.y0 < 1.1 * (box.y1 - box.y0)
    return (short or beside) and not line.text.lower().startswith(("fig", "table", "abb"))


def _touching(line: Line, box: Box) -> bool:
    return _apart(line.box, box) < 1.2 * line.size
