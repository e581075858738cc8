"""What a scanner, a camera or time does to a page. Each damage has a strength from 0 (none) to 1.

Nothing leaves the picture: turned pages get a larger one, pages in perspective are drawn within their own.

Shapes: H, W of the picture, C its channels (1 or 3).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from foveate.data.sample import Region
from foveate.document import Box
from foveate.errors import OptionError

Pixels = NDArray[np.float32]  # (H, W, C), 0 to 255
Matrix = NDArray[np.float64]  # (3, 3), points of the old picture to points of the new one
_ANGLE = 4.0  # degrees that a page is turned by at the most
_CORNER = 0.09  # share of a side that a corner moves in
_GREY, _COLOUR = "L", "RGB"


@dataclass(frozen=True)
class Degraded:
    """A damaged picture, its regions where they are now, and the strengths."""

    image: Image.Image
    regions: tuple[Region, ...]
    strengths: dict[str, float]


def degrade(
    image: Image.Image,
    regions: Iterable[Region],
    strengths: Mapping[str, float],
    rng: np.random.Generator,
) -> Degraded:
    """Damage a grey or RGB picture; boxes move along with what is geometric.

    Each damage has dice of its own: its strength changes nothing about the others. Raises `OptionError` for a
    damage that is not in `DAMAGES`, and for a strength that is not between 0 and 1.
    """
    for name, strength in strengths.items():
        if name not in DAMAGES:
            raise OptionError(f"{name!r} is no damage: choose from {', '.join(DAMAGES)}")
        if not 0 <= strength <= 1:
            raise OptionError(f"{name}={strength}: a strength is between 0 and 1")
    image = image if image.mode in (_GREY, _COLOUR) else image.convert(_COLOUR)
    regions = tuple(regions)
    seeds = rng.integers(1 << 62, size=len(DAMAGES)).tolist()
    done: dict[str, float] = {}
    for (name, damage), seed in zip(DAMAGES.items(), seeds, strict=True):
        strength = float(strengths.get(name, 0.0))
        if strength > 0:
            image, way = damage(image, strength, np.random.default_rng(seed))
            regions = regions if way is None else tuple(_moved(region, way) for region in regions)
            done[name] = strength
    return Degraded(image, regions, done)


def draw_strengths(rng: np.random.Generator, most: float = 1.0, chance: float = 0.35) -> dict[str, float]:
    """Which damages a page gets and how strong: mostly few and mild, skewed or in perspective, not both."""
    chosen = rng.random(len(DAMAGES)) < chance
    strengths = np.round(most * rng.random(len(DAMAGES)) ** 1.5, 3).tolist()
    drawn = {name: s for name, s, yes in zip(DAMAGES, strengths, chosen, strict=True) if yes and s > 0}
    for one, other in (("skew", "perspective"), ("spread", "erosion")):
        if one in drawn and other in drawn:
            del drawn[other]
    return drawn


# Damages to the ink and the paper

Damage = Callable[[Image.Image, float, np.random.Generator], tuple[Image.Image, Matrix | None]]


def _spread(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, None]:
    """Ink runs into the paper."""
    return Image.blend(image, image.filter(ImageFilter.MinFilter(3)), 0.7 * strength), None


def _erosion(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, None]:
    """Ink is worn off, more in some places."""
    thin = _pixels(Image.blend(image, image.filter(ImageFilter.MaxFilter(3)), 0.45 * strength))
    worn = _cloud(rng, thin.shape, 40)
    paper = np.percentile(thin[::4, ::4], 95, axis=(0, 1))
    return _image(thin + (paper - thin) * (0.35 * strength * worn), image), None


def _bleed(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, None]:
    """The other side shines through: this page, mirrored and moved."""
    back = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).filter(ImageFilter.GaussianBlur(1.2))
    moved = np.roll(_pixels(back), rng.integers(-40, 41, 2).tolist(), axis=(0, 1))
    paper = np.percentile(moved[::4, ::4], 95, axis=(0, 1))
    return _image(_pixels(image) - np.clip(paper - moved, 0, None) * (0.3 * strength), image), None


def _tone(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, None]:
    """Paper that is not white, ink that is not black; a picture in colour yellows."""
    pixels = _pixels(image)
    tint = np.array([1.0, 0.96, 0.85]) if pixels.shape[2] == 3 else np.ones(1)
    paper = 1 - strength * rng.uniform(0.05, 0.25) * (1 + 2 * (1 - tint)) - (1 - tint) * strength
    lift = 70 * strength * rng.random()
    return _image(lift + pixels * (paper - lift / 255), image), None


def _shading(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, None]:
    """Light from one side, and darker towards a corner or a fold."""
    height, width = image.height, image.width
    ys, xs = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    angle, fold = rng.uniform(0, 2 * math.pi), rng.uniform(-1.2, 1.2)
    slope = (math.cos(angle) * xs + math.sin(angle) * ys + 1.42) / 2.84
    shadow = 0.45 * slope + 0.25 * np.exp(-(((xs - fold) / 0.12) ** 2)) * rng.random()
    return _image(_pixels(image) * (1 - strength * shadow.astype(np.float32))[..., None], image), None


# Damages to the picture


def _blur(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, None]:
    """Out of focus, or moved."""
    radius = 0.25 + 1.25 * strength
    if rng.random() < 0.7:
        return image.filter(ImageFilter.GaussianBlur(radius)), None
    radii = (radius, 0.1) if rng.random() < 0.5 else (0.1, radius)
    return image.filter(ImageFilter.BoxBlur(radii)), None


def _noise(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, None]:
    """Grain, and a few specks."""
    pixels = _pixels(image)
    grain = rng.standard_normal(pixels.shape, np.float32) * (22 * strength)
    specks = rng.random(pixels.shape[:2], np.float32) < 0.0006 * strength
    pixels = pixels + grain
    pixels[specks] = rng.integers(0, 256, (int(specks.sum()), 1))
    return _image(pixels, image), None


def _jpeg(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, None]:
    """What a small JPEG file leaves."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=round(92 - 77 * strength))
    with Image.open(file) as saved:
        return saved.convert(image.mode), None


# Damages to the geometry


def _skew(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, Matrix]:
    """The page turned by a few degrees, in a picture large enough for all of it."""
    angle = math.radians(_ANGLE * strength) * (1 if rng.random() < 0.5 else -1)
    c, s = math.cos(angle), math.sin(angle)
    width, height = image.size
    size = math.ceil(abs(c) * width + abs(s) * height), math.ceil(abs(s) * width + abs(c) * height)
    middle = np.array([width, height]) / 2
    turn = np.array([[c, -s], [s, c]])
    shift = np.array(size) / 2 - turn @ middle
    way = np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1]])
    return _warped(image, way, size, _paper(image)), way


def _perspective(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[Image.Image, Matrix]:
    """A photo from the side: every corner moves in, what is around the page shows."""
    width, height = image.size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * rng.uniform(0, _CORNER * strength, (4, 2))
    way = _homography(corners, corners + inwards * (width, height))
    paper = np.array(_paper(image))
    table = tuple(np.rint(paper * rng.uniform(0.2, 0.95)).astype(int).tolist())
    return _warped(image, way, image.size, table), way


def _homography(old: NDArray[np.float64], new: NDArray[np.float64]) -> Matrix:
    """The map that takes four points to four others. (4, 2), (4, 2) -> (3, 3)"""
    rows = []
    for (x, y), (u, v) in zip(old.tolist(), new.tolist(), strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    solved = np.linalg.solve(np.array(rows), new.reshape(-1))
    return np.append(solved, 1.0).reshape(3, 3)


def _warped(image: Image.Image, way: Matrix, size: tuple[int, int], around: tuple[int, ...]) -> Image.Image:
    """The picture after the map. Pillow asks for the way back, pixel centres at halves as ours."""
    back = np.linalg.inv(way)
    back /= back[2, 2]
    colour = around[0] if image.mode == _GREY else around
    return image.transform(
        size,
        Image.Transform.PERSPECTIVE,
        back.reshape(-1)[:8].tolist(),
        Image.Resampling.BICUBIC,
        fillcolor=colour,
    )


def _moved(region: Region, way: Matrix) -> Region:
    """The region with the smallest upright box around its old one's corners."""
    box = region.box
    corners = np.array([[box.x0, box.y0, 1], [box.x1, box.y0, 1], [box.x1, box.y1, 1], [box.x0, box.y1, 1]])
    points = corners @ way.T
    points = points[:, :2] / points[:, 2:]
    low, high = points.min(0).tolist(), points.max(0).tolist()
    return replace(region, box=Box(low[0], low[1], high[0], high[1]))


DAMAGES: dict[str, Damage] = {
    "spread": _spread,
    "erosion": _erosion,
    "bleed": _bleed,
    "tone": _tone,
    "skew": _skew,
    "perspective": _perspective,
    "shading": _shading,
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
}
GEOMETRIC = frozenset({"skew", "perspective"})


# Pixels


def _pixels(image: Image.Image) -> Pixels:
    pixels = np.asarray(image, np.float32)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _image(pixels: NDArray[np.floating], like: Image.Image) -> Image.Image:
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return Image.fromarray(whole[..., 0] if like.mode == _GREY else whole)


def _paper(image: Image.Image) -> tuple[int, ...]:
    """The colour of most of the picture's edge, one number for each channel."""
    pixels = _pixels(image)
    edge = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    return tuple(int(value) for value in np.median(edge, axis=0))


def _cloud(rng: np.random.Generator, shape: tuple[int, ...], size: int) -> Pixels:
    """Smooth chance from 0 to 1, in spots of about so many pixels. (H, W, 1)"""
    height, width = shape[:2]
    coarse = rng.random((max(2, height // size), max(2, width // size)), np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth, np.float32), 0, 1)[..., None]
