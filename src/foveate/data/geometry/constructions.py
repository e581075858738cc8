"""Figures as textbooks draw them, each a throw of the dice."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import numpy as np

from foveate.data.geometry.circles import bisecting, circle, semicircle, two_circles
from foveate.data.geometry.polygons import polygon, quadrilateral, solid, triangle
from foveate.data.geometry.sketch import Sketch
from foveate.data.geometry.throws import chance, degrees

Construction = Callable[[np.random.Generator], Sketch]


def transversal(rng: np.random.Generator) -> Sketch:
    """Two or three parallel lines and one that crosses them, angles marked."""
    sketch = Sketch()
    lean, lines = degrees(rng, 50, 85), int(rng.integers(2, 4))
    gap = 0.42 if lines == 2 else 0.32
    crossings = []
    ends = []
    for n in range(lines):
        middle = complex(n * gap / math.tan(lean), n * gap)
        left, right = sketch.point(middle - 0.5), sketch.point(middle + 0.5)
        crossings.append(sketch.point(middle))
        ends.append((left, right))
        sketch.segment(left, right)
    sketch.parallel(*((crossing, right) for crossing, (_, right) in zip(crossings, ends, strict=True)))
    step = cmath.rect(0.25, lean)
    low, high = sketch.point(-step), sketch.point(sketch.points[crossings[-1]] + step)
    sketch.segment(low, high)
    above = [*crossings[1:], high]
    below = [low, *crossings[:-1]]
    if chance(rng, 0.5):  # corresponding angles
        for n in range(2):
            sketch.angle(crossings[n], ends[n][1], above[n])
    else:  # alternate angles
        sketch.angle(crossings[0], ends[0][1], above[0])
        sketch.angle(crossings[1], ends[1][0], below[1])
    return sketch


def free_segments(rng: np.random.Generator) -> Sketch:
    """Two to seven segments anywhere, solid and dashed, with names or without."""
    sketch = Sketch()
    named = "?" if chance(rng, 0.6) else ""
    for _ in range(int(rng.integers(2, 8 if not named else 5))):
        a = complex(*rng.random(2))
        b = a
        while abs(a - b) < 0.25:
            b = complex(*rng.random(2))
        sketch.segment(sketch.point(a, named), sketch.point(b, named), chance(rng, 0.35))
    return sketch


CONSTRUCTIONS: dict[str, Construction] = {
    "triangle": triangle,
    "quadrilateral": quadrilateral,
    "circle": circle,
    "two circles": two_circles,
    "transversal": transversal,
    "polygon": polygon,
    "free segments": free_segments,
    "semicircle": semicircle,
    "bisecting": bisecting,
    "solid": solid,
}
