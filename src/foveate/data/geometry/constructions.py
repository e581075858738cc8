"""Figures as textbooks draw them, each a throw of the dice."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import numpy as np

from foveate.data.geometry.sketch import TAU, Sketch

Construction = Callable[[np.random.Generator], Sketch]


def _chance(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def _degrees(rng: np.random.Generator, low: float, high: float) -> float:
    """A random angle between two, in radians."""
    return math.radians(float(rng.uniform(low, high)))


def _corners(rng: np.random.Generator) -> tuple[list[complex], str]:
    """A triangle's corners, the base first, and its kind."""
    kind = ("plain", "plain", "isosceles", "right", "equilateral")[int(rng.integers(5))]
    if kind == "isosceles":
        return [0, 1, complex(0.5, rng.uniform(0.5, 1.3))], kind
    if kind == "right":
        return [0, 1, complex(0, rng.uniform(0.5, 1.3))], kind
    if kind == "equilateral":
        return [0, 1, cmath.rect(1, TAU / 6)], kind
    left, right = _degrees(rng, 35, 100), _degrees(rng, 30, 70)
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
        if _chance(rng, 0.4):
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
        if _chance(rng, 0.4):
            sketch.angle(vertex, *others, count=int(rng.integers(1, 4)))


def _median(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    foot = sketch.point(sketch.between(a, b))
    sketch.segment(c, foot, _chance(rng, 0.3))
    sketch.equal((a, foot), (foot, b))
    if _chance(rng, 0.4):
        second = sketch.point(sketch.between(b, c))
        sketch.segment(a, second)
        sketch.equal((b, second), (second, c), count=2)
        sketch.point(sketch.meeting(c, foot, a, second), "G")


def _altitude(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    foot = sketch.point(sketch.foot(c, a, b), "H" if _chance(rng, 0.5) else "?")
    sketch.segment(c, foot, _chance(rng, 0.5))
    outside = (sketch.points[foot] - sketch.points[a]).real < -1e-9
    if outside:  # the foot of an obtuse triangle's altitude: the base is drawn on to it
        sketch.segment(foot, a, dashed=True)
    sketch.right(foot, b, c)


def _bisector(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    left, right = (abs(sketch.points[n] - sketch.points[c]) for n in (a, b))
    foot = sketch.point(sketch.between(a, b, left / (left + right)))
    sketch.segment(c, foot, _chance(rng, 0.3))
    sketch.angle(c, a, foot)
    sketch.angle(c, foot, b)


def _midline(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    share = 0.5 if _chance(rng, 0.6) else float(rng.uniform(0.35, 0.65))
    left, right = sketch.point(sketch.between(a, c, share)), sketch.point(sketch.between(b, c, share))
    sketch.segment(left, right, _chance(rng, 0.25))
    sketch.parallel((a, b), (left, right))


def _incircle(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    pa, pb, pc = (sketch.points[n] for n in (a, b, c))
    opposite = abs(pb - pc), abs(pc - pa), abs(pa - pb)
    center = sketch.point(
        sum(s * p for s, p in zip(opposite, (pa, pb, pc), strict=True)) / sum(opposite), "I"
    )
    touching = sketch.foot(center, a, b)
    sketch.circle(center, abs(touching - sketch.points[center]), _chance(rng, 0.15))
    if _chance(rng, 0.5):
        foot = sketch.point(touching)
        sketch.segment(center, foot, _chance(rng, 0.5))
        sketch.right(foot, b, center)


def _circumcircle(rng: np.random.Generator, sketch: Sketch, a: int, b: int, c: int) -> None:
    pa, pb, pc = (sketch.points[n] for n in (a, b, c))
    u, v = pb - pa, pc - pa
    # Equally far from all three corners.
    place = pa + 1j * (u * abs(v) ** 2 - v * abs(u) ** 2) / (2 * (u.conjugate() * v).imag)
    center = sketch.point(place, "O")
    sketch.circle(center, abs(place - pa))
    if _chance(rng, 0.5):
        for corner in (a, b, c):
            sketch.segment(center, corner, dashed=True)


def quadrilateral(rng: np.random.Generator) -> Sketch:
    """A parallelogram, rectangle, square, rhombus, trapezium, kite or plain one, at times with diagonals."""
    kinds = (_parallelogram, _rectangle, _rhombus, _trapezium, _kite, _plain_four)
    sketch, corners = kinds[int(rng.integers(len(kinds)))](rng)
    if _chance(rng, 0.5):
        a, b, c, d = corners
        dashed = _chance(rng, 0.3)
        sketch.segment(a, c, dashed)
        if _chance(rng, 0.7):
            sketch.segment(b, d, dashed)
            if _chance(rng, 0.7):
                sketch.point(sketch.meeting(a, c, b, d), "O" if _chance(rng, 0.6) else "?")
    return sketch


def _four(places: list[complex]) -> tuple[Sketch, list[int]]:
    sketch = Sketch()
    corners = [sketch.point(place) for place in places]
    sketch.ring(corners)
    return sketch, corners


def _parallelogram(rng: np.random.Generator) -> tuple[Sketch, list[int]]:
    side = cmath.rect(float(rng.uniform(0.5, 0.9)), _degrees(rng, 50, 80))
    sketch, (a, b, c, d) = _four([0, 1, 1 + side, side])
    if _chance(rng, 0.5):
        sketch.parallel((a, b), (d, c))
        sketch.parallel((a, d), (b, c), count=2)
    elif _chance(rng, 0.6):
        sketch.equal((a, b), (d, c))
        sketch.equal((a, d), (b, c), count=2)
    return sketch, [a, b, c, d]


def _rectangle(rng: np.random.Generator) -> tuple[Sketch, list[int]]:
    square = _chance(rng, 0.35)
    height = 1j if square else 1j * float(rng.uniform(0.45, 0.8))
    sketch, corners = _four([0, 1, 1 + height, height])
    a, b, c, d = corners
    marked = corners if _chance(rng, 0.4) else corners[:1]
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
    equal_legs = _chance(rng, 0.5)
    left = (1 - top) / 2 if equal_legs else float(rng.uniform(0.08, 0.9 - top))
    sketch, (a, b, c, d) = _four([0, 1, complex(left + top, height), complex(left, height)])
    sketch.parallel((a, b), (d, c))
    if equal_legs:
        sketch.equal((a, d), (b, c))
    if _chance(rng, 0.35):
        m, n = sketch.point(sketch.between(a, d), "M"), sketch.point(sketch.between(b, c), "N")
        sketch.segment(m, n, _chance(rng, 0.5))
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
    sketch.segment(center, middle, _chance(rng, 0.5))
    sketch.right(middle, center, b)
    if _chance(rng, 0.5):
        sketch.equal((a, middle), (middle, b))
    if _chance(rng, 0.5):
        sketch.segment(center, a, _chance(rng, 0.4))


def _diameter(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    a, b = _on_circle(sketch, 180), _on_circle(sketch, 0)
    sketch.segment(a, b)
    for sign in (1, -1):
        if sign == 1 or _chance(rng, 0.4):
            c = _on_circle(sketch, sign * float(rng.uniform(45, 135)))
            sketch.segment(a, c)
            sketch.segment(c, b)
            sketch.right(c, a, b)
    if _chance(rng, 0.4):
        sketch.segment(center, len(sketch.points) - 1, dashed=True)


def _tangent(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    touch = _on_circle(sketch, 270)
    reach = float(rng.uniform(0.9, 1.4))
    left = sketch.point(complex(-reach, -1))
    right = sketch.point(complex(float(rng.uniform(0.9, 1.4)), -1))
    sketch.segment(left, right)
    sketch.segment(center, touch, _chance(rng, 0.3))
    sketch.right(touch, center, right)
    if _chance(rng, 0.6):
        sketch.segment(touch, _on_circle(sketch, float(rng.uniform(20, 70))))
    if _chance(rng, 0.3):
        sketch.segment(center, left, dashed=True)


def _two_tangents(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    opening = float(rng.uniform(50, 68))
    outside = sketch.point(1 / math.cos(math.radians(opening)), "P")
    a, b = _on_circle(sketch, opening), _on_circle(sketch, -opening)
    for touch in (a, b):
        sketch.segment(outside, touch)
        sketch.segment(center, touch, _chance(rng, 0.4))
        sketch.right(touch, center, outside)
    if _chance(rng, 0.5):
        sketch.segment(center, outside, dashed=True)
    if _chance(rng, 0.5):
        sketch.equal((outside, a), (outside, b))


def _inscribed(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    half = float(rng.uniform(40, 75))
    a, b = _on_circle(sketch, 270 - half), _on_circle(sketch, 270 + half)
    top = _on_circle(sketch, float(rng.uniform(60, 120)))
    for end in (a, b):
        sketch.segment(top, end)
        sketch.segment(center, end, _chance(rng, 0.4))
    sketch.angle(top, a, b)
    sketch.angle(center, a, b, count=2)


def _inscribed_four(rng: np.random.Generator, sketch: Sketch, center: int) -> None:
    corners = [_on_circle(sketch, 90 * n + float(rng.uniform(15, 75))) for n in range(4)]
    sketch.ring(corners)
    if _chance(rng, 0.5):
        sketch.angle(corners[0], corners[1], corners[3])
        sketch.angle(corners[2], corners[1], corners[3], count=2)


def two_circles(rng: np.random.Generator) -> Sketch:
    """Two circles that meet, their centres and their common chord."""
    sketch = Sketch()
    apart, second = float(rng.uniform(1.15, 1.5)), float(rng.uniform(0.65, 1))
    o, p = sketch.point(0, "O"), sketch.point(apart, "P")
    sketch.circle(o, 1.0)
    sketch.circle(p, second, _chance(rng, 0.15))
    along = (apart**2 + 1 - second**2) / (2 * apart)
    height = math.sqrt(max(1 - along**2, 0.0))
    a, b = sketch.point(complex(along, height)), sketch.point(complex(along, -height))
    sketch.segment(o, p, _chance(rng, 0.4))
    sketch.segment(a, b, _chance(rng, 0.4))
    if _chance(rng, 0.4):
        for center in (o, p):
            sketch.segment(center, a)
    return sketch


def transversal(rng: np.random.Generator) -> Sketch:
    """Two or three parallel lines and one that crosses them, angles marked."""
    sketch = Sketch()
    lean, lines = _degrees(rng, 50, 85), int(rng.integers(2, 4))
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
    if _chance(rng, 0.5):  # corresponding angles
        for n in range(2):
            sketch.angle(crossings[n], ends[n][1], above[n])
    else:  # alternate angles
        sketch.angle(crossings[0], ends[0][1], above[0])
        sketch.angle(crossings[1], ends[1][0], below[1])
    return sketch


def polygon(rng: np.random.Generator) -> Sketch:
    """A regular polygon of 5 to 8 corners, with its centre, circle or some diagonals."""
    sketch = Sketch()
    count = int(rng.integers(5, 9))
    corners = [sketch.point(cmath.rect(1, TAU * (0.25 + n / count))) for n in range(count)]
    sketch.ring(corners)
    kind = int(rng.integers(4))
    if kind == 0:
        for n in range(2, count - 1):
            sketch.segment(corners[0], corners[n], dashed=_chance(rng, 0.5))
    elif kind == 1:
        center = sketch.point(0, "O")
        sketch.circle(center, 1.0, _chance(rng, 0.4))
        sketch.segment(center, corners[0])
        sketch.segment(center, corners[1])
        sketch.angle(center, corners[0], corners[1])
    elif kind == 2:
        sketch.equal(*((corners[n - 1], corners[n]) for n in range(count)))
    return sketch


def free_segments(rng: np.random.Generator) -> Sketch:
    """Two to seven segments anywhere, solid and dashed, with names or without."""
    sketch = Sketch()
    named = "?" if _chance(rng, 0.6) else ""
    for _ in range(int(rng.integers(2, 8 if not named else 5))):
        a = complex(*rng.random(2))
        b = a
        while abs(a - b) < 0.25:
            b = complex(*rng.random(2))
        sketch.segment(sketch.point(a, named), sketch.point(b, named), _chance(rng, 0.35))
    return sketch


def semicircle(rng: np.random.Generator) -> Sketch:
    """A half circle over its diameter, or a sector."""
    sketch = Sketch()
    o = sketch.point(0, "O")
    end = math.pi if _chance(rng, 0.5) else _degrees(rng, 50, 150)
    a, b = sketch.point(1), sketch.point(cmath.rect(1, end))
    sketch.arc(o, 1.0, 0.0, end)
    if end == math.pi:
        sketch.segment(a, b)
        c = sketch.point(cmath.rect(1, _degrees(rng, 40, 140)))
        for other in (a, b):
            sketch.segment(c, other, _chance(rng, 0.2))
        sketch.right(c, a, b)
    else:
        sketch.segment(o, a)
        sketch.segment(o, b)
        sketch.angle(o, a, b)
        if _chance(rng, 0.5):
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
    sketch.segment(top, bottom, _chance(rng, 0.5))
    middle = sketch.point(0.5, "M")
    sketch.right(middle, b, top)
    if _chance(rng, 0.6):
        sketch.equal((a, middle), (middle, b))
    return sketch


def solid(rng: np.random.Generator) -> Sketch:
    """A box, a prism or a pyramid as it is drawn in the plane, hidden edges dashed."""
    sketch = Sketch()
    back = cmath.rect(float(rng.uniform(0.35, 0.55)), _degrees(rng, 28, 50))
    height = 1j * float(rng.uniform(0.6, 1.1))
    base = [sketch.point(z) for z in (0, 1, 1 + back, back)]
    hidden = base[3]
    for n in range(4):
        sketch.segment(base[n - 1], base[n], dashed=hidden in (base[n - 1], base[n]))
    if _chance(rng, 0.6):
        top = [sketch.point(sketch.points[n] + height) for n in base]
        sketch.ring(top)
        for low, high in zip(base, top, strict=True):
            sketch.segment(low, high, dashed=low == hidden)
    else:
        apex = sketch.point((1 + back) / 2 + height * 1.2, "S")
        for low in base:
            sketch.segment(apex, low, dashed=low == hidden)
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
