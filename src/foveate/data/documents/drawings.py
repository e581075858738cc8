"""What a PDF page draws besides text: ruling lines, pictures, and drawings made of many paths.

In points of the page as shown, like the words.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from foveate.data.documents.characters import Frame
from foveate.document import Box

MOST_OBJECTS = 30_000  # of a page; those after are not looked at
_MOST_SEGMENTS = 2_000  # of a path
_THIN = 3.0  # points: a filled rectangle no thicker than this is a line
_SHORT = 6.0  # points: shorter strokes rule nothing
_DEEPEST = 6  # forms within forms


@dataclass(frozen=True)
class Rule:
    """A straight line along an axis: from `start` to `end` at `place` on the other axis."""

    start: float
    end: float
    place: float

    @property
    def length(self) -> float:
        return self.end - self.start


@dataclass
class Drawings:
    """All of a page's."""

    across: list[Rule] = field(default_factory=list)  # horizontal lines
    down: list[Rule] = field(default_factory=list)  # vertical lines
    pictures: list[Box] = field(default_factory=list)  # images made of pixels
    strokes: list[Box] = field(default_factory=list)  # paths with curves or slanted lines, and shadings
    paths: list[Box] = field(default_factory=list)  # every path but those that only clip
    whole: bool = True  # False when there were too many objects to look at all


def drawings(page: Any, frame: Frame) -> Drawings:
    """The drawings of a pdfium page."""
    from pypdfium2 import raw

    found = Drawings()
    for count, (handle, inner) in enumerate(_objects(page, frame)):
        if count >= MOST_OBJECTS:
            found.whole = False
            break
        kind = raw.FPDFPageObj_GetType(handle)
        box = _bounds(handle, inner)
        if box is None:
            continue
        if kind == raw.FPDF_PAGEOBJ_IMAGE:
            found.pictures.append(box)
        elif kind == raw.FPDF_PAGEOBJ_SHADING:
            found.strokes.append(box)
        elif kind == raw.FPDF_PAGEOBJ_PATH:
            _add_path(found, handle, inner, box)
    found.across, found.down = _joined(found.across), _joined(found.down)
    return found


def _objects(page: Any, frame: Frame) -> Iterator[tuple[Any, Frame]]:
    """Every object that is not a form, with the frame that takes its coordinates to the page as shown."""
    from pypdfium2 import raw

    for index in range(raw.FPDFPage_CountObjects(page)):
        yield from _within(raw.FPDFPage_GetObject(page, index), frame, 0)


def _within(handle: Any, frame: Frame, depth: int) -> Iterator[tuple[Any, Frame]]:
    from pypdfium2 import raw

    if not handle:
        return
    if raw.FPDFPageObj_GetType(handle) != raw.FPDF_PAGEOBJ_FORM:
        yield handle, frame
        return
    if depth == _DEEPEST:
        return
    inner = frame.after(_matrix(handle))
    for index in range(raw.FPDFFormObj_CountObjects(handle)):
        yield from _within(raw.FPDFFormObj_GetObject(handle, index), inner, depth + 1)


def _matrix(handle: Any) -> Frame:
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(handle, matrix):
        return Frame(1, 0, 0, 1, 0, 0)
    return Frame(matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f)


def _bounds(handle: Any, frame: Frame) -> Box | None:
    from pypdfium2 import raw

    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not raw.FPDFPageObj_GetBounds(handle, left, bottom, right, top):
        return None
    box = frame.box(left.value, bottom.value, right.value, top.value)
    clip = _clip(handle, frame)
    if clip is None:
        return box
    x0, x1 = max(box.x0, clip.x0), min(box.x1, clip.x1)
    y0, y1 = max(box.y0, clip.y0), min(box.y1, clip.y1)
    return Box(x0, y0, x1, y1) if x0 <= x1 and y0 <= y1 else None


def _clip(handle: Any, frame: Frame) -> Box | None:
    """The box around the smallest path that an object is clipped to; None when it is drawn whole."""
    from pypdfium2 import raw

    paths = raw.FPDFPageObj_GetClipPath(handle)
    if not paths:
        return None
    x, y = ctypes.c_float(), ctypes.c_float()
    clip: Box | None = None
    for index in range(min(raw.FPDFClipPath_CountPaths(paths), 8)):
        count = raw.FPDFClipPath_CountPathSegments(paths, index)
        if not 0 < count <= _MOST_SEGMENTS:
            continue
        points = []
        for place in range(count):
            segment = raw.FPDFClipPath_GetPathSegment(paths, index, place)
            if raw.FPDFPathSegment_GetPoint(segment, x, y):
                points.append((x.value, y.value))
        if points:
            xs, ys = zip(*points, strict=True)
            box = frame.box(min(xs), min(ys), max(xs), max(ys))
            clip = box if clip is None or box.area < clip.area else clip
    return clip


def _add_path(found: Drawings, handle: Any, frame: Frame, box: Box) -> None:
    """A path as the ruling lines that it draws, or as part of a drawing."""
    from pypdfium2 import raw

    fill, stroke = ctypes.c_int(), ctypes.c_int()
    if not raw.FPDFPath_GetDrawMode(handle, fill, stroke) or not (fill.value or stroke.value):
        return  # a path that only clips
    found.paths.append(box)
    width, height = box.x1 - box.x0, box.y1 - box.y0
    if height <= _THIN and width > _SHORT:
        found.across.append(Rule(box.x0, box.x1, (box.y0 + box.y1) / 2))
        return
    if width <= _THIN and height > _SHORT:
        found.down.append(Rule(box.y0, box.y1, (box.x0 + box.x1) / 2))
        return
    straight = _sides(handle, frame.after(_matrix(handle)))
    if straight is None:
        found.strokes.append(box)
    elif stroke.value:
        for start, end in straight:
            _add_side(found, start, end)


Point = tuple[float, float]


def _sides(handle: Any, frame: Frame) -> list[tuple[Point, Point]] | None:
    """The straight lines of a path; None when it has curves, slanted lines or too much of anything."""
    from pypdfium2 import raw

    count = raw.FPDFPath_CountSegments(handle)
    if count > _MOST_SEGMENTS:
        return None
    sides: list[tuple[Point, Point]] = []
    first = last = (0.0, 0.0)
    x, y = ctypes.c_float(), ctypes.c_float()
    for index in range(count):
        segment = raw.FPDFPath_GetPathSegment(handle, index)
        kind = raw.FPDFPathSegment_GetType(segment)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        point = frame.point(x.value, y.value)
        if kind == raw.FPDF_SEGMENT_BEZIERTO:
            return None
        if kind == raw.FPDF_SEGMENT_MOVETO:
            first = point
        else:
            sides.append((last, point))
        last = point
        if raw.FPDFPathSegment_GetClose(segment):
            sides.append((last, first))
    slanted = any(abs(a[0] - b[0]) > 1 and abs(a[1] - b[1]) > 1 for a, b in sides)
    return None if slanted else sides


def _add_side(found: Drawings, one: Point, other: Point) -> None:
    (x0, x1), (y0, y1) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    if x1 - x0 > _SHORT:
        found.across.append(Rule(x0, x1, (y0 + y1) / 2))
    elif y1 - y0 > _SHORT:
        found.down.append(Rule(y0, y1, (x0 + x1) / 2))


def _joined(rules: list[Rule], near: float = 2.0) -> list[Rule]:
    """Lines at one place that touch, as one; sorted by place."""
    joined: list[Rule] = []
    rows: list[list[Rule]] = []
    for rule in sorted(rules, key=lambda rule: rule.place):
        if rows and rule.place - rows[-1][0].place <= near:
            rows[-1].append(rule)
        else:
            rows.append([rule])
    for row in rows:
        place = sum(rule.place for rule in row) / len(row)
        start = end = None
        for rule in sorted(row, key=lambda rule: rule.start):
            if start is None or end is None or rule.start > end + near:
                if start is not None and end is not None:
                    joined.append(Rule(start, end, place))
                start, end = rule.start, rule.end
            else:
                end = max(end, rule.end)
        if start is not None and end is not None:
            joined.append(Rule(start, end, place))
    return joined
