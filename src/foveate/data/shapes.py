"""Composed scenes of shapes: a caption, or where something is. Their boxes are known exactly.

They stand in for photographs in tests, and teach the form of the answers about them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from foveate.data.sample import Region, Sample, Skipped, Task, Turn, ask, dice
from foveate.document import Box

Colour = tuple[int, int, int]
COLOURS: dict[str, Colour] = {
    "red": (214, 39, 40),
    "orange": (255, 140, 20),
    "yellow": (250, 215, 40),
    "green": (44, 150, 60),
    "blue": (40, 90, 200),
    "purple": (130, 60, 170),
    "pink": (240, 130, 180),
    "brown": (120, 75, 45),
    "black": (25, 25, 25),
    "white": (250, 250, 250),
}
GROUNDS: dict[str, Colour] = {
    "light grey": (205, 205, 208),
    "dark grey": (92, 94, 98),
    "beige": (232, 218, 190),
    "pale blue": (196, 220, 240),
    "pale green": (205, 230, 205),
}
PATTERNS = ("plain", "shaded", "striped", "checked")
SHAPES = ("circle", "ellipse", "square", "rectangle", "triangle", "pentagon", "hexagon", "star", "ring")
SIZES = {"small": (0.09, 0.13), "medium": (0.17, 0.22), "large": (0.28, 0.36)}  # of the shorter side
FINE = 3  # the picture is drawn so many times larger and then averaged


@dataclass(frozen=True)
class Shape:
    """One shape of a scene, in pixels."""

    shape: str
    colour: str
    size: str
    x: float  # of its middle
    y: float
    outline: tuple[tuple[float, float], ...]  # corners; many for what is round

    @property
    def box(self) -> Box:
        xs, ys = zip(*self.outline, strict=True)
        return Box(min(xs), min(ys), max(xs), max(ys))


@dataclass(frozen=True)
class Scene:
    """Shapes that do not overlap, on a background."""

    width: int
    height: int
    ground: str
    pattern: str
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class ShapesMaker:
    """Scenes without end. A third of the samples asks for a description, the others where something is."""

    most: int = 8  # shapes of a scene

    @property
    def kind(self) -> str:
        return "shapes"

    @property
    def task(self) -> Task:
        return "vision"

    @property
    def size(self) -> None:
        return None

    def make(self, number: int, seed: int) -> Sample | Skipped:
        random = dice(self.kind, number, seed)
        scene = compose(random, self.most)
        turns = _description(scene) if random.random() < 1 / 3 else _location(scene, random)
        return Sample(
            kind=self.kind,
            task=self.task,
            turns=turns,
            image=draw(scene),
            language="en",
            regions=tuple(Region(shape.shape, shape.box, _named(shape)) for shape in scene.shapes),
            number=number,
            seed=seed,
            details={"ground": scene.ground, "pattern": scene.pattern, "shapes": len(scene.shapes)},
        )


def compose(random: np.random.Generator, most: int) -> Scene:
    """A scene by the dice."""
    width, height = (int(side) for side in random.integers(32, 97, 2) * 8)
    wanted = int(random.integers(1, most + 1))
    shapes: list[Shape] = []
    for _ in range(wanted * 4):  # a full picture takes no more
        shape = _shape(random, width, height)
        if not any(_touch(shape.box, other.box) for other in shapes):
            shapes.append(shape)
        if len(shapes) == wanted:
            break
    ground, pattern = (str(random.choice(list(names))) for names in (GROUNDS, PATTERNS))
    return Scene(width, height, ground, pattern, tuple(shapes))


def _shape(random: np.random.Generator, width: int, height: int) -> Shape:
    shape, colour, size = (str(random.choice(list(names))) for names in (SHAPES, COLOURS, SIZES))
    radius = min(width, height) * random.uniform(*SIZES[size]) / 2
    turn = random.uniform(-0.35, 0.35)
    points = np.array(list(_unit(shape))) * radius  # (corners, 2)
    sine, cosine = math.sin(turn), math.cos(turn)
    points = points @ np.array([[cosine, sine], [-sine, cosine]])
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = random.uniform(2 - low, (width, height) - high - 2)  # two pixels from the edge
    corners = tuple((float(a), float(b)) for a, b in points + (x, y))
    return Shape(shape, colour, size, float(x), float(y), corners)


def _unit(shape: str) -> Iterator[tuple[float, float]]:
    """The corners of a shape of radius 1 around the origin."""
    corners = {"triangle": 3, "pentagon": 5, "hexagon": 6, "star": 10}.get(shape, 90)
    if shape in ("square", "rectangle"):
        across, down = (0.8, 0.8) if shape == "square" else (1.0, 0.55)
        yield from ((-across, -down), (across, -down), (across, down), (-across, down))
        return
    for corner in range(corners):
        angle = 2 * math.pi * corner / corners - math.pi / 2
        reach = 0.42 if shape == "star" and corner % 2 else 1.0
        yield math.cos(angle) * reach, math.sin(angle) * reach * (0.6 if shape == "ellipse" else 1.0)


def _touch(a: Box, b: Box, gap: float = 3) -> bool:
    return a.x0 < b.x1 + gap and b.x0 < a.x1 + gap and a.y0 < b.y1 + gap and b.y0 < a.y1 + gap


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene, in RGB."""
    picture = Image.fromarray(_ground(scene))
    for shape in scene.shapes:
        corner, mask = _mask(shape)
        picture.paste(Image.new("RGB", mask.size, COLOURS[shape.colour]), corner, mask)
    return picture


def _ground(scene: Scene) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The background, (H, W, 3)."""
    light = _light(scene)  # (W,) or (H, W), 0 to 24
    lights = np.arange(25)[:, None] - (12 if scene.pattern == "shaded" else 0)
    paints = np.clip(np.array(GROUNDS[scene.ground]) + lights, 0, 255).astype(np.uint8)  # (25, 3)
    return paints[np.broadcast_to(light, (scene.height, scene.width))]


def _light(scene: Scene) -> np.ndarray[Any, np.dtype[np.int16]]:
    across, down = np.arange(scene.width, dtype=np.int16), np.arange(scene.height, dtype=np.int16)[:, None]
    if scene.pattern == "shaded":
        return across // np.int16(-(-scene.width // 24))
    if scene.pattern == "striped":
        return (across + down) // 12 % 2 * np.int16(10)
    if scene.pattern == "checked":
        return (across // 16 + down // 16) % 2 * np.int16(10)
    return np.zeros_like(across)


def _mask(shape: Shape) -> tuple[tuple[int, int], Image.Image]:
    """Where the shape's part of the picture begins, and how much of each pixel it covers."""
    box = shape.box
    left, top = math.floor(box.x0), math.floor(box.y0)
    width, height = math.ceil(box.x1) - left, math.ceil(box.y1) - top
    fine = Image.new("L", (width * FINE, height * FINE))
    canvas = ImageDraw.Draw(fine)
    points = np.array(shape.outline) - (left, top)  # (corners, 2)
    # Pillow counts the middles of pixels, outlines count their edges.
    canvas.polygon([(x * FINE - 0.5, y * FINE - 0.5) for x, y in points], fill=255)
    if shape.shape == "ring":
        middle = np.array((shape.x - left, shape.y - top))
        inner = (points - middle) * 0.6 + middle
        canvas.polygon([(x * FINE - 0.5, y * FINE - 0.5) for x, y in inner], fill=0)
    return (left, top), fine.reduce(FINE)


def _named(shape: Shape) -> str:
    return f"{shape.size} {shape.colour} {shape.shape}"


def _description(scene: Scene) -> tuple[Turn, Turn]:
    count = len(scene.shapes)
    ground = (
        f"{scene.ground} background"
        if scene.pattern == "plain"
        else f"{scene.pattern} {scene.ground} background"
    )
    head = f"The picture shows {_counted(count, 'shape')} on {_article(ground)}."
    ordered = sorted(scene.shapes, key=lambda shape: (shape.y * 3 // scene.height, shape.x))
    places = [f"{_article(_named(shape))} {_place(shape, scene)}" for shape in ordered]
    return ask("describe", " ".join([head, *(f"{place[0].upper()}{place[1:]}." for place in places)]))


def _counted(count: int, what: str) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
    number = words[count] if count < len(words) else str(count)
    return f"{number} {what}" if count == 1 else f"{number} {what}s"


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _place(shape: Shape, scene: Scene) -> str:
    """Which ninth of the picture the shape's middle stands in."""
    column = ("left", "centre", "right")[min(int(shape.x * 3 / scene.width), 2)]
    row = ("upper", "middle", "lower")[min(int(shape.y * 3 / scene.height), 2)]
    if row == "middle":
        return "is in the centre" if column == "centre" else f"is in the middle on the {column}"
    return f"is in the {row} {'middle' if column == 'centre' else column}"


def _location(scene: Scene, random: np.random.Generator) -> tuple[Turn, Turn]:
    """Where the one shape is that some words fit, or where all are of a colour or a form."""
    wanted = scene.shapes[int(random.integers(len(scene.shapes)))]
    ways = [
        ("shape",),
        ("colour",),
        ("colour", "shape"),
        ("size", "shape"),
        ("size", "colour", "shape"),
    ]
    way = ways[int(random.integers(len(ways)))]
    found = [s for s in scene.shapes if all(getattr(s, name) == getattr(wanted, name) for name in way)]
    words = " ".join(getattr(wanted, name) for name in way) + (" shape" if way == ("colour",) else "")
    reference = f"the {words}" if len(found) == 1 else f"all {words}s"
    return located(reference, [shape.box for shape in found], scene.width, scene.height)


def located(reference: str, boxes: Sequence[Box], width: int, height: int) -> tuple[Turn, Turn]:
    """The question where something is and its answer, boxes on the grid and in the order of reading."""
    grid = sorted((box.to_grid(width, height) for box in boxes), key=lambda box: (box[1], box[0]))
    places = ", ".join(f"[{x0}, {y0}, {x1}, {y1}]" for x0, y0, x1, y1 in grid)
    return ask("locate", f"<|ref|>{reference}<|/ref|><|det|>[{places}]<|/det|>", reference=reference)
