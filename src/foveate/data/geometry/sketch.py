"""Points, strokes and marks in the plane.

A place is a complex number, x to the right and y up; angles are radians counterclockwise from the right.
Strokes and marks name their points by number.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, field, replace

import numpy as np

TAU = 2 * math.pi


@dataclass(frozen=True)
class Segment:
    """A straight stroke, as long as it is drawn: a point on it does not cut it in two."""

    a: int
    b: int
    dashed: bool = False


@dataclass(frozen=True)
class Circle:
    center: int
    radius: float
    dashed: bool = False


@dataclass(frozen=True)
class Arc:
    """A part of a circle, counterclockwise from `start` to `end`."""

    center: int
    radius: float
    start: float
    end: float
    dashed: bool = False


@dataclass(frozen=True)
class Angle:
    """The mark of an angle under 180 degrees at `vertex`: `count` arcs, or a small square when right."""

    vertex: int
    a: int
    b: int
    count: int = 1
    right: bool = False


@dataclass(frozen=True)
class Mark:
    """Small strokes at the middle of a span: across it for equal lengths, arrowheads for parallels."""

    a: int
    b: int
    count: int
    parallel: bool = False


@dataclass
class Sketch:
    """A figure that grows."""

    points: list[complex] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    circles: list[Circle] = field(default_factory=list)
    arcs: list[Arc] = field(default_factory=list)
    angles: list[Angle] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def point(self, place: complex, name: str = "?") -> int:
        """Its number; "?" is named later, "" stays without a name."""
        self.points.append(place)
        if name:
            self.names[len(self.points) - 1] = name
        return len(self.points) - 1

    def segment(self, a: int, b: int, dashed: bool = False) -> None:
        self.segments.append(Segment(a, b, dashed))

    def ring(self, corners: list[int], dashed: bool = False) -> None:
        """The sides of a polygon."""
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            self.segment(a, b, dashed)

    def circle(self, center: int, radius: float, dashed: bool = False) -> None:
        self.circles.append(Circle(center, radius, dashed))

    def arc(self, center: int, radius: float, start: float, end: float, dashed: bool = False) -> None:
        self.arcs.append(Arc(center, radius, start, end, dashed))

    def angle(self, vertex: int, a: int, b: int, count: int = 1) -> None:
        self.angles.append(Angle(vertex, a, b, count))

    def right(self, vertex: int, a: int, b: int) -> None:
        self.angles.append(Angle(vertex, a, b, right=True))

    def equal(self, *spans: tuple[int, int], count: int = 1) -> None:
        self.marks += [Mark(a, b, count) for a, b in spans]

    def parallel(self, *spans: tuple[int, int], count: int = 1) -> None:
        self.marks += [Mark(a, b, count, parallel=True) for a, b in spans]

    def between(self, a: int, b: int, share: float = 0.5) -> complex:
        """A place on the line through two points: `share` of the way."""
        return self.points[a] + share * (self.points[b] - self.points[a])

    def foot(self, point: int, a: int, b: int) -> complex:
        """Where the perpendicular from a point meets the line through two others."""
        start, along = self.points[a], self.points[b] - self.points[a]
        share = ((self.points[point] - start) * along.conjugate()).real / abs(along) ** 2
        return start + share * along

    def meeting(self, a: int, b: int, c: int, d: int) -> complex:
        """Where the line through a and b meets the line through c and d."""
        first, second = self.points[b] - self.points[a], self.points[d] - self.points[c]
        across = (first.conjugate() * second).imag
        share = ((self.points[c] - self.points[a]).conjugate() * second).imag / across
        return self.points[a] + share * first

    def sweep(self, angle: Angle) -> tuple[float, float]:
        """Start and end of an angle's mark, counterclockwise, the end past the start by under 180 degrees."""
        rays = (self.points[n] - self.points[angle.vertex] for n in (angle.a, angle.b))
        start, end = (cmath.phase(ray) % TAU for ray in rays)
        if (end - start) % TAU > math.pi:
            start, end = end, start
        return start, start + (end - start) % TAU

    def extent(self) -> tuple[complex, complex]:
        """Lower left and upper right of everything drawn."""
        places = list(self.points)
        for circle in self.circles:
            reach = circle.radius * (1 + 1j)
            places += [self.points[circle.center] - reach, self.points[circle.center] + reach]
        for arc in self.arcs:
            places += [
                self.points[arc.center] + cmath.rect(arc.radius, arc.start + (arc.end - arc.start) * n / 12)
                for n in range(13)
            ]
        xs, ys = [z.real for z in places], [z.imag for z in places]
        return complex(min(xs), min(ys)), complex(max(xs), max(ys))

    def moved(self, turn: float, scale: float, shift: complex) -> Sketch:
        """Turned around the origin, then scaled, then shifted."""
        by = cmath.rect(scale, turn)
        return replace(
            self,
            points=[z * by + shift for z in self.points],
            circles=[replace(circle, radius=circle.radius * scale) for circle in self.circles],
            arcs=[
                replace(arc, radius=arc.radius * scale, start=arc.start + turn, end=arc.end + turn)
                for arc in self.arcs
            ],
        )

    def closest(self) -> float:
        """The least distance of two points."""
        places = np.array(self.points)
        apart = np.abs(places[:, None] - places[None, :])
        np.fill_diagonal(apart, np.inf)
        return float(apart.min())


def fitted(sketch: Sketch, side: int, margin: float, turn: float, share: float, at: complex) -> Sketch:
    """The sketch turned and brought into a square of `side` pixels, its larger extent `share` of the room.

    `at` says where in the room that is left: 0 at the lower left, 1 + 1j at the upper right.
    """
    turned = sketch.moved(turn, 1.0, 0)
    low, high = turned.extent()
    size = high - low
    room = side - 2 * margin
    scale = share * room / max(size.real, size.imag)
    left = complex(room - size.real * scale, room - size.imag * scale)
    corner = complex(margin + left.real * at.real, margin + left.imag * at.imag)
    return turned.moved(0.0, scale, corner - low * scale)
