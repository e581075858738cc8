"""Plane figures as training samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from string import ascii_uppercase
from typing import ClassVar

import numpy as np

from foveate.data.geometry.answer import figure_text
from foveate.data.geometry.constructions import CONSTRUCTIONS
from foveate.data.geometry.painting import Look, Painting, paint, random_look
from foveate.data.geometry.sketch import Sketch, fitted
from foveate.data.sample import Region, Sample, Skipped, Task, ask, dice
from foveate.document import Box
from foveate.errors import OptionError

SIDES = range(336, 641, 16)  # pixels
NEAREST = 0.062  # of the side: points that are closer cannot be told apart by their names
TRIES = 60


@dataclass(frozen=True)
class GeometryMaker:
    """Figures of textbooks, answered by a dictionary of their strokes on the grid from 0 to 999 (JSON).

    After Slow Perception (arXiv 2412.20631) and DeepSeek-OCR, section 3.4.2. Pictures are square, 336 to 640
    pixels a side. `figures` names the constructions to choose from.
    """

    figures: tuple[str, ...] = tuple(CONSTRUCTIONS)
    kind: ClassVar[str] = "geometry"
    task: ClassVar[Task] = "ocr2"
    size: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.figures if name not in CONSTRUCTIONS]
        if unknown or not self.figures:
            known = ", ".join(CONSTRUCTIONS)
            raise OptionError(f"{unknown or 'nothing'} is no figure of geometry: choose from {known}")

    def make(self, number: int, seed: int) -> Sample | Skipped:
        rng = dice(self.kind, number, seed)
        figure = self.figures[int(rng.integers(len(self.figures)))]
        side = SIDES[int(rng.integers(len(SIDES)))]
        look = random_look(rng, side)
        sketch = _readable(figure, rng, side)
        if sketch is None:
            return Skipped(self.kind, figure, f"points too close in {TRIES} throws", number)
        painting = paint(sketch, look, side)
        return Sample(
            kind=self.kind,
            task=self.task,
            turns=ask("figure", figure_text(sketch, side)),
            image=painting.image,
            regions=tuple(_regions(sketch, look, painting, side)),
            source=figure,
            number=number,
            seed=seed,
            details={"figure": figure, "look": asdict(look)},
        )


def _readable(figure: str, rng: np.random.Generator, side: int) -> Sketch | None:
    """The first sketch of a figure whose points stand apart, in its place and with names."""
    for _ in range(TRIES):
        sketch = CONSTRUCTIONS[figure](rng)
        turn = float(rng.uniform(-0.6, 0.6)) if rng.random() < 0.4 else 0.0
        share, at = float(rng.uniform(0.72, 1.0)), complex(*rng.random(2))
        sketch = fitted(sketch, side, side * 0.09, turn, share, at)
        if sketch.closest() >= NEAREST * side:
            _name(sketch, rng)
            return sketch
    return None


def _name(sketch: Sketch, rng: np.random.Generator) -> None:
    """Letters for the points that wait for one, from A on or from a later letter."""
    fixed = set(sketch.names.values()) - {"?"}
    waiting = [n for n, name in sketch.names.items() if name == "?"]
    if rng.random() < 0.06 and not fixed & {"P"}:
        letters = [f"P{n}" for n in range(1, 30)]
    else:
        start = 0 if rng.random() < 0.65 else int(rng.integers(0, 14))
        order = ascii_uppercase[start:] + ascii_uppercase[:start]
        letters = [letter for letter in order if letter not in fixed and letter != "O"]
    sketch.names |= dict(zip(waiting, letters, strict=False))


def _regions(sketch: Sketch, look: Look, painting: Painting, side: int) -> list[Region]:
    """Boxes of the segments and circles, half a stroke wider than their axes, and of the names."""
    half = look.width / 2

    def around(low: complex, high: complex) -> Box:
        return Box(low.real - half, side - high.imag - half, high.real + half, side - low.imag + half)

    found = []
    for segment in sketch.segments:
        a, b = sketch.points[segment.a], sketch.points[segment.b]
        low = complex(min(a.real, b.real), min(a.imag, b.imag))
        found.append(Region("segment", around(low, a + b - low)))
    for circle in sketch.circles:
        center, reach = sketch.points[circle.center], circle.radius * (1 + 1j)
        found.append(Region("circle", around(center - reach, center + reach)))
    return found + [Region("label", box, sketch.names[n]) for n, box in painting.names.items()]
