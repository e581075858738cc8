"""A sketch in pixels: drawn at twice the size by Pillow, then halved, so that strokes are smooth."""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from foveate.data.charts.fonts import face
from foveate.data.geometry.sketch import Angle, Arc, Circle, Mark, Sketch
from foveate.document import Box

FINE = 2  # drawn pixels for each of the picture
FACES = ("STIXGeneralItalic", "STIXGeneral", "DejaVuSans", "DejaVuSerif-Italic", "cmti10", "STIXGeneralBol")
INKS = ("#000000", "#000000", "#000000", "#1a1a1a", "#14305c", "#5c1414", "#2b2b2b")
PAPERS = ("#ffffff", "#ffffff", "#ffffff", "#fbf8ef", "#f2f4f7")
AROUND = np.exp(2j * np.pi * np.arange(16) / 16)
RADII = np.repeat((1.0, 1.35), 16)  # a name stands close to its point, or a little further out
SPOTS = RADII * np.tile(AROUND, 2)  # (32,)


@dataclass(frozen=True)
class Look:
    """How a figure is drawn. Lengths in pixels of the picture."""

    ink: str
    paper: str
    width: float
    dash: float
    gap: float
    dots: float  # radius of a named point's dot; 0 for none
    face: str
    text: int  # height of a name
    mark: float  # size of angle marks and ticks


def random_look(rng: np.random.Generator, side: int) -> Look:
    """One of many looks; the sizes follow the picture's side."""
    unit = side / 512
    bright = rng.random() < 0.05  # a blackboard
    return Look(
        ink="#f4f4f4" if bright else INKS[int(rng.integers(len(INKS)))],
        paper="#1f2a26" if bright else PAPERS[int(rng.integers(len(PAPERS)))],
        width=float(rng.uniform(1.2, 3.2)),
        dash=float(rng.uniform(6, 10)),
        gap=float(rng.uniform(4, 7)),
        dots=float(rng.uniform(2.5, 4)) if rng.random() < 0.35 else 0.0,
        face=FACES[int(rng.integers(len(FACES)))],
        text=int(rng.integers(17, 25) * max(unit, 0.9)),
        mark=float(rng.uniform(13, 18) * max(unit, 0.9)),
    )


@dataclass(frozen=True, eq=False)
class Painting:
    """RGB pixels, and the boxes of the points' names."""

    image: Image.Image
    names: dict[int, Box]


def paint(sketch: Sketch, look: Look, side: int) -> Painting:
    """A sketch whose places are pixels, y up from the lower edge, on a square picture."""
    pen = _Pen(side, look)
    for segment in sketch.segments:
        pen.stroke(sketch.points[segment.a], sketch.points[segment.b], segment.dashed)
    for circle in sketch.circles:
        pen.arc(sketch.points[circle.center], circle.radius, 0, 2 * math.pi, circle.dashed)
    for arc in sketch.arcs:
        pen.arc(sketch.points[arc.center], arc.radius, arc.start, arc.end, arc.dashed)
    for angle in sketch.angles:
        _angle(pen, sketch, angle, look.mark)
    for mark in sketch.marks:
        _mark(pen, sketch, mark, look.mark)
    if look.dots:
        for n in sketch.names:
            pen.dot(sketch.points[n], look.dots)
    low, high = sketch.extent()
    reach = 1.5 * look.mark * (1 + 1j)  # of dots and marks
    mask = pen.halved(low - reach, high + reach)
    boxes = _names(mask, sketch, look, side)
    return Painting(_coloured(mask, look), boxes)


class _Pen:
    """Draws on a mask of ink, 0 to 255, places as in a sketch."""

    def __init__(self, side: int, look: Look) -> None:
        self._side, self._look = side, look
        self._mask = Image.new("L", (side * FINE, side * FINE))
        self._draw = ImageDraw.Draw(self._mask)
        self._width = max(2, round(look.width * FINE))

    def halved(self, low: complex, high: complex) -> Image.Image:
        """The mask in the picture's own pixels; nothing is drawn outside of two corners."""
        left, right = max(0, int(low.real)), min(self._side, math.ceil(high.real))
        top, bottom = max(0, int(self._side - high.imag)), min(self._side, math.ceil(self._side - low.imag))
        drawn = self._mask.reduce(FINE, (left * FINE, top * FINE, right * FINE, bottom * FINE))
        mask = Image.new("L", (self._side, self._side))
        mask.paste(drawn, (left, top))
        return mask

    def _at(self, place: complex) -> tuple[float, float]:
        return place.real * FINE, (self._side - place.imag) * FINE

    def stroke(self, a: complex, b: complex, dashed: bool = False, thin: bool = False) -> None:
        width = max(2, self._width - 1) if thin else self._width
        for start, end in _dashes(abs(b - a), self._look) if dashed else ((0.0, 1.0),):
            first, last = self._at(a + start * (b - a)), self._at(a + end * (b - a))
            self._draw.line((*first, *last), 255, width)
        if not dashed and width > 3:  # corners without notches
            self.dot(a, width / FINE / 2)
            self.dot(b, width / FINE / 2)

    def arc(
        self,
        center: complex,
        radius: float,
        start: float,
        end: float,
        dashed: bool = False,
        thin: bool = False,
    ) -> None:
        x, y = self._at(center)
        width = max(2, self._width - 1) if thin else self._width
        reach = radius * FINE + width / 2  # Pillow lets the width grow inwards
        box = (x - reach, y - reach, x + reach, y + reach)
        if not dashed and end - start >= 2 * math.pi:
            self._draw.ellipse(box, outline=255, width=width)
            return
        spans = _dashes(radius * (end - start), self._look) if dashed else ((0.0, 1.0),)
        for first, last in spans:
            # Pillow counts degrees clockwise.
            degrees = [-math.degrees(start + part * (end - start)) for part in (last, first)]
            self._draw.arc(box, degrees[0], degrees[1], 255, width)

    def dot(self, place: complex, radius: float) -> None:
        x, y = self._at(place)
        reach = radius * FINE
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), 255)


def _dashes(length: float, look: Look) -> Iterator[tuple[float, float]]:
    """Starts and ends of the dashes of a stroke, in parts of it; it begins and ends with one."""
    count = max(3, round((length + look.gap) / (look.dash + look.gap)))
    dash = look.dash / (look.dash + look.gap)  # of a step
    steps = count - 1 + dash
    for n in range(count):
        yield n / steps, (n + dash) / steps


def _angle(pen: _Pen, sketch: Sketch, angle: Angle, size: float) -> None:
    vertex = sketch.points[angle.vertex]
    start, end = sketch.sweep(angle)
    if angle.right:
        first, second = cmath.rect(0.75 * size, start), cmath.rect(0.75 * size, end)
        corner = vertex + first + second
        pen.stroke(vertex + first, corner, thin=True)
        pen.stroke(vertex + second, corner, thin=True)
        return
    # A narrow angle's mark stands further out.
    radius = size * (1.1 if end - start > 0.6 else 1.7)
    for n in range(angle.count):
        pen.arc(vertex, radius + n * 0.32 * size, start, end, thin=True)


def _mark(pen: _Pen, sketch: Sketch, mark: Mark, size: float) -> None:
    a, b = sketch.points[mark.a], sketch.points[mark.b]
    along = (b - a) / abs(b - a)
    if along.real < -1e-9 or (abs(along.real) <= 1e-9 and along.imag < 0):
        along = -along  # parallels point the same way
    for n in range(mark.count):
        middle = (a + b) / 2 + along * 0.35 * size * (n - (mark.count - 1) / 2)
        if mark.parallel:
            for side in (1, -1):
                pen.stroke(
                    middle + along * 0.25 * size, middle + along * size * (-0.2 + 0.38j * side), thin=True
                )
        else:
            pen.stroke(middle + along * 0.4j * size, middle - along * 0.4j * size, thin=True)


def _names(mask: Image.Image, sketch: Sketch, look: Look, side: int) -> dict[int, Box]:
    """Write every point's name beside it, where the fewest strokes are; the boxes of the texts."""
    if not sketch.names:
        return {}
    writer, font = ImageDraw.Draw(mask), face(look.face, look.text)
    extents = [font.getbbox(name, anchor="ls") for name in sketch.names.values()]
    reaches = [
        look.dots + look.width / 2 + 3 + math.hypot(x1 - x0, y1 - y0) / 2 for x0, y0, x1, y1 in extents
    ]
    places = np.array([sketch.points[n] for n in sketch.names])
    spots = _free_spots(places, np.array(reaches), _strokes(sketch, look), side)
    boxes = {}
    for (n, name), (x0, y0, x1, y1), spot in zip(sketch.names.items(), extents, spots, strict=True):
        left, top = spot.real - (x1 - x0) / 2, side - spot.imag - (y1 - y0) / 2
        writer.text((left - x0, top - y0), name, 255, font, anchor="ls")
        boxes[n] = Box(left, top, left + x1 - x0, top + y1 - y0)
    return boxes


def _strokes(sketch: Sketch, look: Look) -> np.ndarray:
    """All strokes as straight pieces, (n, 2) places."""
    pieces = [(sketch.points[s.a], sketch.points[s.b]) for s in sketch.segments]
    rounds: list[Circle | Arc] = [*sketch.circles, *sketch.arcs]
    for ring in rounds:
        start, end = (ring.start, ring.end) if isinstance(ring, Arc) else (0.0, 2 * math.pi)
        turns = np.linspace(start, end, 25)
        places = sketch.points[ring.center] + ring.radius * np.exp(1j * turns)
        pieces += list(zip(places[:-1], places[1:], strict=True))
    for angle in sketch.angles:
        vertex, sweep = sketch.points[angle.vertex], sketch.sweep(angle)
        first, last = (vertex + cmath.rect(1.3 * look.mark, turn) for turn in sweep)
        pieces.append((first, last))
    return np.array(pieces)


def _free_spots(points: np.ndarray, reaches: np.ndarray, ends: np.ndarray, side: int) -> list[complex]:
    """Around each point the place with the most room to every stroke, edge and name before it."""
    spots = points[:, None] + reaches[:, None] * SPOTS  # (points, 32)
    a, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    shares = ((spots[..., None] - a) * along.conj()).real / np.abs(along) ** 2  # (points, 32, strokes)
    nearest = a + np.clip(shares, 0, 1) * along
    room = np.abs(spots[..., None] - nearest).min(axis=-1)  # (points, 32)
    edge = np.minimum.reduce([spots.real, spots.imag, side - spots.real, side - spots.imag])
    room[edge < reaches[:, None] * 0.75] = -side
    chosen: list[complex] = []
    for own, free, reach in zip(spots, room, reaches, strict=True):
        for other in chosen:
            free = np.minimum(free, np.abs(own - other) / 2)
        # More room than the name needs is no gain: then closer is better.
        score = np.minimum(free, reach * 0.9) - reach * 0.12 * RADII
        chosen.append(complex(own[int(score.argmax())]))
    return chosen


def _coloured(mask: Image.Image, look: Look) -> Image.Image:
    """Ink on paper: the colour goes from the one to the other as the mask grows."""
    ink, paper = (np.frombuffer(bytes.fromhex(color[1:]), np.uint8) for color in (look.ink, look.paper))
    levels = np.arange(256)[:, None] / 255  # (256, 1)
    palette = np.rint(paper + levels * (ink - paper.astype(float))).astype(np.uint8)  # (256, RGB)
    mask.putpalette(palette.tobytes())
    return mask.convert("RGB")
