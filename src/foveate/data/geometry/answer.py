"""A placed sketch as the dictionary that answers for it."""

from __future__ import annotations

import json
import math
from typing import Any

from foveate.data.geometry.sketch import Angle, Arc, Circle, Segment, Sketch
from foveate.document import GRID

Entry = dict[str, Any]


def figure_dictionary(sketch: Sketch, side: int) -> dict[str, Any]:
    """What is drawn, in places (x to the right, y down) on the grid from 0 to 999 of a square picture.

    Segments are strokes as long as drawn, from their upper end (the left one of two as high) to the other,
    with the names of both ends as their label; `between` names a span by its ends in the same way. Angles of
    arcs are degrees counterclockwise from the right. All lists go from the top of the picture down; what a
    figure does not have is left out.
    """
    return _Grid(sketch, side).whole()


def figure_text(sketch: Sketch, side: int) -> str:
    """The dictionary as JSON, on one line."""
    return json.dumps(figure_dictionary(sketch, side), separators=(", ", ": "))


class _Grid:
    def __init__(self, sketch: Sketch, side: int) -> None:
        self._sketch, self._side = sketch, side

    def whole(self) -> Entry:
        sketch = self._sketch
        named = sorted(sketch.names.items(), key=lambda item: item[1])
        equal = [self._span(m.a, m.b) | {"ticks": m.count} for m in sketch.marks if not m.parallel]
        parallel = [self._span(m.a, m.b) | {"arrows": m.count} for m in sketch.marks if m.parallel]
        entries = {
            "points": {name: self._place(n) for n, name in named},
            "segments": sorted(map(self._segment, sketch.segments), key=lambda e: _downwards(e["ends"])),
            "circles": sorted(map(self._circle, sketch.circles), key=_by_center),
            "arcs": sorted(map(self._arc, sketch.arcs), key=_by_center),
            "angles": sorted(map(self._angle, sketch.angles), key=lambda e: _downwards(e["between"])),
            "equal": sorted(equal, key=lambda e: _downwards(e["between"])),
            "parallel": sorted(parallel, key=lambda e: _downwards(e["between"])),
        }
        return {key: value for key, value in entries.items() if value}

    def _length(self, pixels: float) -> int:
        return round(pixels / self._side * GRID)

    def _place(self, n: int) -> list[int]:
        place = self._sketch.points[n]
        return [self._length(place.real), self._length(self._side - place.imag)]

    def _ordered(self, a: int, b: int) -> tuple[int, int]:
        return (a, b) if self._place(a)[::-1] <= self._place(b)[::-1] else (b, a)

    def _span(self, a: int, b: int) -> Entry:
        a, b = self._ordered(a, b)
        return {"between": [self._place(a), self._place(b)]}

    def _segment(self, segment: Segment) -> Entry:
        a, b = self._ordered(segment.a, segment.b)
        entry: Entry = {"ends": [self._place(a), self._place(b)], "type": _type(segment.dashed)}
        names = self._sketch.names
        return entry | ({"label": names[a] + names[b]} if a in names and b in names else {})

    def _circle(self, circle: Circle) -> Entry:
        return self._round(circle) | {"type": _type(circle.dashed)}

    def _arc(self, arc: Arc) -> Entry:
        degrees = [round(math.degrees(turn)) % 360 for turn in (arc.start, arc.end)]
        return self._round(arc) | {"from": degrees[0], "to": degrees[1], "type": _type(arc.dashed)}

    def _round(self, ring: Circle | Arc) -> Entry:
        return {"center": self._place(ring.center), "radius": self._length(ring.radius)}

    def _angle(self, angle: Angle) -> Entry:
        a, b = self._ordered(angle.a, angle.b)
        between = [self._place(a), self._place(angle.vertex), self._place(b)]
        return (
            {"between": between, "mark": "square"}
            if angle.right
            else {"between": between, "arcs": angle.count}
        )


def _type(dashed: bool) -> str:
    return "dashed" if dashed else "solid"


def _downwards(places: list[list[int]]) -> list[list[int]]:
    """A key that orders from the top down, then from left to right."""
    return [place[::-1] for place in places]


def _by_center(entry: Entry) -> tuple[int, int, int]:
    return entry["center"][1], entry["center"][0], entry["radius"]
