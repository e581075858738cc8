"""Circles with chords and tangents, half circles, and arcs of compasses."""

from __future__ import annotations

import cmath
import math

import numpy as np

from foveate.data.geometry.sketch import Sketch
from foveate.data.geometry.throws import chance, degrees


def circle(rng: np.random.Generator) -> Sketch:
    """A circle with a chord, diameter, inscribed angle or tangents."""
    sketch = Sketch()
    center = sketch.point(0, "O")
    sketch.circle(center, 1.0)
    kinds = (_chord, _diameter, _tangent, _two_tangents, _inscribed, _inscribed_four)
    kinds[int(rng.integers(len(kinds)))](rng, sketch, center)
    return sketch


def _on_circle(sketch: Sketch, degrees: float) -> int:
    return sketch.point(cmath.rect(1, math.radians(degrees)))


def _chord(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    start = float(rng.uniform(180, 230))
    a, b = _on_circle(sketch, start), _on_circle(sketch, start + float(rng.uniform(80, 135)))
    sketch.segment(a, b)
    middle = sketch.point(sketch.between(a, b))
    sketch.segment(center, middle, chance(rng, 0.5))
    sketch.right(middle, center, b)
    if chance(rng, 0.5):
        sketch.equal((a, middle), (middle, b))
    if chance(rng, 0.5):
        sketch.segment(center, a, chance(rng, 0.4))


def _diameter(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    a, b = _on_circle(sketch, 180), _on_circle(sketch, 0)
    sketch.segment(a, b)
    for sign in (1, -1):
        if sign == 1 or chance(rng, 0.4):
            c = _on_circle(sketch, sign * float(rng.uniform(45, 135)))
            sketch.segment(a, c)
            sketch.segment(c, b)
            sketch.right(c, a, b)
    if chance(rng, 0.4):
        sketch.segment(center, len(sketch.points) - 1, dashed=True)


def _tangent(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    touch = _on_circle(sketch, 270)
    reach = float(rng.uniform(0.9, 1.4))
    left = sketch.point(complex(-reach, -1))
    right = sketch.point(complex(float(rng.uniform(0.9, 1.4)), -1))
    sketch.segment(left, right)
    sketch.segment(center, touch, chance(rng, 0.3))
    sketch.right(touch, center, right)
    if chance(rng, 0.6):
        sketch.segment(touch, _on_circle(sketch, float(rng.uniform(20, 70))))
    if chance(rng, 0.3):
        sketch.segment(center, left, dashed=True)


def _two_tangents(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    opening = float(rng.uniform(50, 68))
    outside = sketch.point(1 / math.cos(math.radians(opening)), "P")
    a, b = _on_circle(sketch, opening), _on_circle(sketch, -opening)
    for touch in (a, b):
        sketch.segment(outside, touch)
        sketch.segment(center, touch, chance(rng, 0.4))
        sketch.right(touch, center, outside)
    if chance(rng, 0.5):
        sketch.segment(center, outside, dashed=True)
    if chance(rng, 0.5):
        sketch.equal((outside, a), (outside, b))


def _inscribed(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    half = float(rng.uniform(40, 75))
    a, b = _on_circle(sketch, 270 - half), _on_circle(sketch, 270 + half)
    top = _on_circle(sketch, float(rng.uniform(60, 120)))
    for end in (a, b):
        sketch.segment(top, end)
        sketch.segment(center, end, chance(rng, 0.4))
    sketch.angle(top, a, b)
    sketch.angle(center, a, b, count=2)


def _inscribed_four(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    corners = [_on_circle(sketch, 90 * n + float(rng.uniform(15, 75))) for n in range(4)]
    sketch.ring(corners)
    if chance(rng, 0.5):
        sketch.angle(corners[0], corners[1], corners[3])
        sketch.angle(corners[2], corners[1], corners[3], count=2)


def two_circles(rng: np.random.Generator) -> Sketch:
    """Two circles that meet, their centres and their common chord."""
    sketch = Sketch()
    apart, second = float(rng.uniform(1.15, 1.5)), float(rng.uniform(0.65, 1))
    o, p = sketch.point(0, "O"), sketch.point(apart, "P")
    sketch.circle(o, 1.0)
    sketch.circle(p, second, chance(rng, 0.15))
    along = (apart**2 + 1 - second**2) / (2 * apart)
    height = math.sqrt(max(1 - along**2, 0.0))
    a, b = sketch.point(complex(along, height)), sketch.point(complex(along, -height))
    sketch.segment(o, p, chance(rng, 0.4))
    sketch.segment(a, b, chance(rng, 0.4))
    if chance(rng, 0.4):
        for center in (o, p):
            sketch.segment(center, a)
    return sketch


def semicircle(rng: np.random.Generator) -> Sketch:
    """A half circle over its diameter, or a sector."""
    sketch = Sketch()
    o = sketch.point(0, "O")
    end = math.pi if chance(rng, 0.5) else degrees(rng, 50, 150)
    a, b = sketch.point(1), sketch.point(cmath.rect(1, end))
    sketch.arc(o, 1.0, 0.0, end)
    if end == math.pi:
        sketch.segment(a, b)
        c = sketch.point(cmath.rect(1, degrees(rng, 40, 140)))
        for other in (a, b):
            sketch.segment(c, other, chance(rng, 0.2))
        sketch.right(c, a, b)
    else:
        sketch.segment(o, a)
        sketch.segment(o, b)
        sketch.angle(o, a, b)
        if chance(rng, 0.5):
            sketch.segment(a, b, dashed=True)
    return sketch


def bisecting(rng: np.random.Generator) -> Sketch:
    """A segment halved with compasses: two pairs of short arcs and the line through their crossings."""
    sketch = Sketch()
    a, b = sketch.point(0), sketch.point(1)
    sketch.segment(a, b)
    radius = float(rng.uniform(0.62, 0.8))
    rise = math.acos(0.5 / radius)
    for sign in (1, -1):
        for center, toward in ((a, sign * rise), (b, math.pi - sign * rise)):
            sketch.arc(center, radius, toward - 0.22, toward + 0.22)
    height = radius * math.sin(rise)
    top, bottom = sketch.point(complex(0.5, height)), sketch.point(complex(0.5, -height))
    sketch.segment(top, bottom, chance(rng, 0.5))
    middle = sketch.point(0.5, "M")
    sketch.right(middle, b, top)
    if chance(rng, 0.6):
        sketch.equal((a, middle), (middle, b))
    return sketch
