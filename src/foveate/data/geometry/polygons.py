"""Triangles, quadrilaterals, regular polygons, and solids drawn in the plane."""

from __future__ import annotations

import cmath
import math

import numpy as np

from foveate.data.geometry.sketch import TAU, Sketch
from foveate.data.geometry.throws import chance, degrees


def _corners(rng: np.random.Generator) -> tuple[list[complex], str]:
    """A triangle's corners, the base first, and its kind."""
    kind = ("plain", "plain", "isosceles", "right", "equilateral")[int(rng.integers(5))]
    if kind == "isosceles":
        return [0, 1, complex(0.5, rng.uniform(0.5, 1.3))], kind
    if kind == "right":
        return [0, 1, complex(0, rng.uniform(0.5, 1.3))], kind
    if kind == "equilateral":
        return [0, 1, cmath.rect(1, TAU / 6)], kind
    left, right = degrees(rng, 35, 100), degrees(rng, 30, 70)
    height = 1 / (1 / math.tan(left) + 1 / math.tan(right))
    return [0, 1, complex(height / math.tan(left), height)], kind


def triangle(rng: np.random.Generator) -> Sketch:
    """A triangle of some kind, with a median, altitude, bisector, midline, incircle or circumcircle."""
    sketch = Sketch()
    corners, kind = _corners(rng)
    a, b, c = (sketch.point(z) for z in corners)
    sketch.ring([a, b, c])
    if kind == "isosceles":
        sketch.equal((a, c), (b, c))
        if chance(rng, 0.4):
            sketch.angle(a, b, c)
            sketch.angle(b, a, c)
    elif kind == "equilateral":
        sketch.equal((a, b), (b, c), (c, a))
    elif kind == "right":
        sketch.right(a, b, c)
    extras = (_median, _altitude, _bisector, _midline, _incircle, _circumcircle, _nothing)
    # In an isosceles triangle the line from the top is median, altitude and bisector at once.
    fitting = [extra for extra in extras if kind == "plain" or extra not in (_median, _altitude, _bisector)]
    fitting[int(rng.integers(len(fitting)))](rng, sketch, a, b, c)
    return sketch


def _nothing(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    for vertex, others in ((a, (b, c)), (b, (a, c)), (c, (a, b))):
        if chance(rng, 0.4):
            sketch.angle(vertex, *others, count=int(rng.integers(1, 4)))


def _median(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    foot = sketch.point(sketch.between(a, b))
    sketch.segment(c, foot, chance(rng, 0.3))
    sketch.equal((a, foot), (foot, b))
    if chance(rng, 0.4):
        second = sketch.point(sketch.between(b, c))
        sketch.segment(a, second)
        sketch.equal((b, second), (second, c), count=2)
        sketch.point(sketch.meeting(c, foot, a, second), "G")


def _altitude(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    foot = sketch.point(sketch.foot(c, a, b), "H" if chance(rng, 0.5) else "?")
    sketch.segment(c, foot, chance(rng, 0.5))
    outside = (sketch.points[foot] - sketch.points[a]).real < -1e-9
    if outside:  # the foot of an obtuse triangle's altitude: the base is drawn on to it
        sketch.segment(foot, a, dashed=True)
    sketch.right(foot, b, c)


def _bisector(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    left, right = (abs(sketch.points[n] - sketch.points[c]) for n in (a, b))
    foot = sketch.point(sketch.between(a, b, left / (left + right)))
    sketch.segment(c, foot, chance(rng, 0.3))
    sketch.angle(c, a, foot)
    sketch.angle(c, foot, b)


def _midline(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    share = 0.5 if chance(rng, 0.6) else float(rng.uniform(0.35, 0.65))
    left, right = sketch.point(sketch.between(a, c, share)), sketch.point(sketch.between(b, c, share))
    sketch.segment(left, right, chance(rng, 0.25))
    sketch.parallel((a, b), (left, right))


def _incircle(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    pa, pb, pc = (sketch.points[n] for n in (a, b, c))
    opposite = abs(pb - pc), abs(pc - pa), abs(pa - pb)
    center = sketch.point(
        sum(s * p for s, p in zip(opposite, (pa, pb, pc), strict=True)) / sum(opposite), "I"
    )
    touching = sketch.foot(center, a, b)
    sketch.circle(center, abs(touching - sketch.points[center]), chance(rng, 0.15))
    if chance(rng, 0.5):
        foot = sketch.point(touching)
        sketch.segment(center, foot, chance(rng, 0.5))
        sketch.right(foot, b, center)


def _circumcircle(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    pa, pb, pc = (sketch.points[n] for n in (a, b, c))
    u, v = pb - pa, pc - pa
    # Equally far from all three corners.
    place = pa + 1j * (u * abs(v) ** 2 - v * abs(u) ** 2) / (2 * (u.conjugate() * v).imag)
    center = sketch.point(place, "O")
    sketch.circle(center, abs(place - pa))
    if chance(rng, 0.5):
        for corner in (a, b, c):
            sketch.segment(center, corner, dashed=True)


def quadrilateral(rng: np.random.Generator) -> Sketch:
    """A parallelogram, rectangle, square, rhombus, trapezium, kite or plain one, at times with diagonals."""
    kinds = (_parallelogram, _rectangle, _rhombus, _trapezium, _kite, _plain_four)
    sketch, corners = kinds[int(rng.integers(len(kinds)))](rng)
    if chance(rng, 0.5):
        a, b, c, d = corners
        dashed = chance(rng, 0.3)
        sketch.segment(a, c, dashed)
        if chance(rng, 0.7):
            sketch.segment(b, d, dashed)
            if chance(rng, 0.7):
                sketch.point(sketch.meeting(a, c, b, d), "O" if chance(rng, 0.6) else "?")
    return sketch


def _four(places: list[complex]) -> tuple[Sketch, list[int]]:
    sketch = Sketch()
    corners = [sketch.point(place) for place in places]
    sketch.ring(corners)
    return sketch, corners


def _parallelogram(rng: np.random.Generator) -> tuple[Sketch, list[int]]:
    side = cmath.rect(float(rng.uniform(0.5, 0.9)), degrees(rng, 50, 80))
    sketch, (a, b, c, d) = _four([0, 1, 1 + side, side])
    if chance(rng, 0.5):
        sketch.parallel((a, b), (d, c))
        sketch.parallel((a, d), (b, c), count=2)
    elif chance(rng, 0.6):
        sketch.equal((a, b), (d, c))
        sketch.equal((a, d), (b, c), count=2)
    return sketch, [a, b, c, d]


def _rectangle(rng: np.random.Generator) -> tuple[Sketch, list[int]]:
    square = chance(rng, 0.35)
    height = 1j if square else 1j * float(rng.uniform(0.45, 0.8))
    sketch, corners = _four([0, 1, 1 + height, height])
    a, b, c, d = corners
    marked = corners if chance(rng, 0.4) else corners[:1]
    for n in marked:
        sketch.right(n, corners[(n + 1) % 4], corners[n - 1])
    if square:
        sketch.equal((a, b), (b, c), (c, d), (d, a))
    return sketch, corners


def _rhombus(rng: np.random.Generator) -> tuple[Sketch, list[int]]:
    half = float(rng.uniform(0.3, 0.42))
    sketch, (a, b, c, d) = _four([-0.5, complex(0, -half), 0.5, complex(0, half)])
    sketch.equal((a, b), (b, c), (c, d), (d, a))
    return sketch, [a, b, c, d]


def _trapezium(rng: np.random.Generator) -> tuple[Sketch, list[int]]:
    height, top = float(rng.uniform(0.45, 0.7)), float(rng.uniform(0.35, 0.6))
    equal_legs = chance(rng, 0.5)
    left = (1 - top) / 2 if equal_legs else float(rng.uniform(0.08, 0.9 - top))
    sketch, (a, b, c, d) = _four([0, 1, complex(left + top, height), complex(left, height)])
    sketch.parallel((a, b), (d, c))
    if equal_legs:
        sketch.equal((a, d), (b, c))
    if chance(rng, 0.35):
        m, n = sketch.point(sketch.between(a, d), "M"), sketch.point(sketch.between(b, c), "N")
        sketch.segment(m, n, chance(rng, 0.5))
    return sketch, [a, b, c, d]


def _kite(rng: np.random.Generator) -> tuple[Sketch, list[int]]:
    wide, low = float(rng.uniform(0.3, 0.45)), float(rng.uniform(0.55, 0.8))
    sketch, (a, b, c, d) = _four([complex(0, -low), complex(wide, 0), complex(0, 0.35), complex(-wide, 0)])
    sketch.equal((a, b), (a, d))
    sketch.equal((c, b), (c, d), count=2)
    return sketch, [a, b, c, d]


def _plain_four(rng: np.random.Generator) -> tuple[Sketch, list[int]]:
    turns = [TAU * (n + float(rng.uniform(0.1, 0.8))) / 4 for n in range(4)]
    return _four([cmath.rect(float(rng.uniform(0.7, 1)), turn) for turn in turns])


def polygon(rng: np.random.Generator) -> Sketch:
    """A regular polygon of 5 to 8 corners, with its centre, circle or some diagonals."""
    sketch = Sketch()
    count = int(rng.integers(5, 9))
    corners = [sketch.point(cmath.rect(1, TAU * (0.25 + n / count))) for n in range(count)]
    sketch.ring(corners)
    kind = int(rng.integers(4))
    if kind == 0:
        for n in range(2, count - 1):
            sketch.segment(corners[0], corners[n], dashed=chance(rng, 0.5))
    elif kind == 1:
        center = sketch.point(0, "O")
        sketch.circle(center, 1.0, chance(rng, 0.4))
        sketch.segment(center, corners[0])
        sketch.segment(center, corners[1])
        sketch.angle(center, corners[0], corners[1])
    elif kind == 2:
        sketch.equal(*((corners[n - 1], corners[n]) for n in range(count)))
    return sketch


def solid(rng: np.random.Generator) -> Sketch:
    """A box, a prism or a pyramid as it is drawn in the plane, hidden edges dashed."""
    sketch = Sketch()
    back = cmath.rect(float(rng.uniform(0.35, 0.55)), degrees(rng, 28, 50))
    height = 1j * float(rng.uniform(0.6, 1.1))
    base = [sketch.point(z) for z in (0, 1, 1 + back, back)]
    hidden = base[3]
    for n in range(4):
        sketch.segment(base[n - 1], base[n], dashed=hidden in (base[n - 1], base[n]))
    if chance(rng, 0.6):
        top = [sketch.point(sketch.points[n] + height) for n in base]
        sketch.ring(top)
        for low, high in zip(base, top, strict=True):
            sketch.segment(low, high, dashed=low == hidden)
    else:
        apex = sketch.point((1 + back) / 2 + height * 1.2, "S")
        for low in base:
            sketch.segment(apex, low, dashed=low == hidden)
    return sketch
