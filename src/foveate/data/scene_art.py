"""The drawing of composed scenes: backgrounds, text bent and in perspective, light and shadow.

Scenes are arrays of floats, (H, W, 3), 0 to 255.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from foveate.data.documents.lines import is_wide
from foveate.document import Box
from foveate.pages.render import fonts

Scene: TypeAlias = np.ndarray[Any, Any]
Points: TypeAlias = np.ndarray[Any, Any]
Ink: TypeAlias = np.ndarray[Any, Any]  # (H, W), how much of a pixel is covered

_LEAST_HEIGHT, _LEAST_HAN = 16, 24  # pixels of a line's height in the finished picture
_SEEN = 64  # of 255: ink that is thinner is not part of a box
_CONTRAST = 90.0  # of 255, between the text and what is under it
_BUSY = 26.0  # of 255: a rougher ground gets a plate under the text
# Scripts whose letters stand one after the other; for others the page maker shapes.
_SIMPLE = re.compile(
    r"[\u0020-\u052f\u1e00-\u1fff\u2010-\u203a\u20ac\u3001-\u30ff\u4e00-\u9fff\uac00-\ud7a3！-｠]+"
)
_ODD = re.compile(
    "Symbol|Music|Math|Emoji|SignWriting|Siyaq|Barcode|Icon|Ornament|Dingbat|Redact", re.IGNORECASE
)


@dataclass(frozen=True)
class Piece:
    """A line of text drawn flat: its ink, and the quad around it."""

    ink: Image.Image  # L
    quad: Points  # (4, 2), clockwise from the top left, pixels of `ink`
    font: str
    bend: float = 0.0  # radians from one end of the arc to the other; 0 for a straight line
    line: float = 0.0  # pixels of the letters' height in `ink`
    dense: bool = False  # with signs of many strokes


@dataclass(frozen=True)
class Drawn:
    """A piece in the scene."""

    ink: Ink  # (h, w), the part of the scene at `corner` that holds the piece and its plate
    corner: tuple[int, int]  # x, y
    box: Box  # around the ink
    around: Box  # with the plate that may lie under it
    quad: Points
    plate: Points
    font: str
    bend: float


def is_simple(word: str) -> bool:
    """Whether a word can be drawn letter by letter."""
    return bool(_SIMPLE.fullmatch(word)) and not any(unicodedata.category(c)[0] in "MC" for c in word)


@lru_cache(maxsize=1)
def _families() -> tuple[str, ...]:
    return tuple(name for name, faces in fonts.families().items() if faces and not _ODD.search(name))


def face_for(words: str, generator: np.random.Generator) -> fonts.FontFile | None:
    """One of the installed faces in whose cmap every letter is; None when there is none."""
    letters = "".join(sorted(set(words) - {" "}))
    names = _families()
    for place in generator.permutation(len(names)):
        faces = fonts.families()[names[place]]
        face = faces[int(generator.integers(len(faces)))]
        if fonts.open_face(face).covers(letters):
            return face
    return None


@lru_cache(maxsize=64)
def _font(path: str, index: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)


def flat_piece(words: str, generator: np.random.Generator, room: int) -> Piece | None:
    """Words drawn flat in a font that has all of them, some along an arc; None without such a font."""
    face = face_for(words, generator)
    if face is None:
        return None
    size = int(generator.integers(36, 97))
    size = max(20, min(size, int(1.6 * room / max(len(words), 1))))
    font = _font(face.path, face.index, size)
    left, top, right, bottom = font.getbbox(words)
    if right - left < 4 or bottom - top < 4:
        return None
    margin = 4
    ink = Image.new("L", (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin), 0)
    ImageDraw.Draw(ink).text((margin - left, margin - top), words, fill=255, font=font)
    found = ink.getbbox()
    if found is None:
        return None
    x0, y0, x1, y1 = found
    quad = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64)
    name = f"{face.family}{' bold' if face.bold else ''}"
    piece = Piece(ink, quad, name, line=float(y1 - y0), dense=any(map(is_wide, words)))
    if generator.random() < 0.3 and len(words) > 3:
        return _bent(piece, float(generator.choice([-1, 1]) * generator.uniform(0.4, 1.6)))
    return piece


def _bent(piece: Piece, bend: float) -> Piece:
    """The piece along an arc: its ends lower than its middle when `bend` is positive, else higher."""
    width, height = piece.ink.size
    radius = width / abs(bend) + height / 2  # of the arc through the middle of the line
    half = abs(bend) / 2
    # The picture that holds the ring's part between -half and half.
    across = 2 * (radius + height / 2) * math.sin(min(half, math.pi / 2))
    high = (radius + height / 2) - (radius - height / 2) * math.cos(half)
    wide, tall = math.ceil(across) + 2, math.ceil(high) + 2
    x, y = np.meshgrid(np.arange(wide) + 0.5, np.arange(tall) + 0.5)  # (tall, wide)
    dx = x - wide / 2
    dy = (radius + height / 2 + 1) - y  # up from the centre of the circle
    if bend < 0:
        dy = dy[::-1]
    angle, distance = np.arctan2(dx, dy), np.hypot(dx, dy)
    u = (angle / half + 1) / 2 * width
    v = radius + height / 2 - distance
    if bend < 0:
        v = height - v
    ink = _sampled(np.asarray(piece.ink, dtype=np.float32), u, v)
    picture = Image.fromarray(ink)
    box = picture.getbbox() or (0, 0, wide, tall)
    x0, y0, x1, y1 = box
    quad = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64)
    return replace(piece, ink=picture, quad=quad, bend=bend)


def _sampled(source: Scene, u: Points, v: Points) -> Ink:
    """The pixels of `source` at the places (u, v), between the nearest four; 0 outside."""
    height, width = source.shape
    padded = np.pad(source, 1)
    u, v = np.clip(u + 0.5, 0, width + 0.999), np.clip(v + 0.5, 0, height + 0.999)
    left, top = u.astype(np.int64), v.astype(np.int64)
    across, down = (u - left).astype(np.float32), (v - top).astype(np.float32)
    upper = padded[top, left] * (1 - across) + padded[top, left + 1] * across
    lower = padded[top + 1, left] * (1 - across) + padded[top + 1, left + 1] * across
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)


def in_perspective(piece: Piece, width: int, height: int, generator: np.random.Generator) -> Drawn | None:
    """The piece turned, tilted away and put somewhere in the scene; None when it does not fit there."""
    wide, tall = piece.ink.size
    scale = min(generator.uniform(0.25, 0.9) * width / wide, 0.4 * height / tall, 1.3)
    if piece.line * scale < (_LEAST_HAN if piece.dense else _LEAST_HEIGHT):
        return None
    corners = np.array([(0, 0), (wide, 0), (wide, tall), (0, tall)], dtype=np.float64)
    turned = _tilted(corners - (wide / 2, tall / 2), scale, generator)
    low, high = turned.min(axis=0), turned.max(axis=0)
    room = np.array([width, height]) - (high - low) - 8
    if (room < 0).any():
        return None
    target = turned - low + 4 + generator.random(2) * room
    there = _homography(corners, target)
    plate = _through(there, _grown(piece.quad, 0.25 * piece.line))
    around = Box(*map(float, (*plate.min(axis=0), *plate.max(axis=0))))
    if around.x0 < 0 or around.y0 < 0 or around.x1 > width or around.y1 > height:
        return None
    corner = (max(int(around.x0) - 8, 0), max(int(around.y0) - 8, 0))
    far = (min(math.ceil(around.x1) + 8, width), min(math.ceil(around.y1) + 8, height))
    ink = _seen(piece.ink, there, corner, (far[0] - corner[0], far[1] - corner[1]))
    box = _ink_box(ink, corner)
    if box is None or box.y1 - box.y0 < _LEAST_HEIGHT / 2:
        return None
    quad = _through(there, piece.quad)
    return Drawn(ink, corner, box, around, quad, plate, piece.font, piece.bend)


def _seen(ink: Image.Image, there: Points, corner: tuple[int, int], size: tuple[int, int]) -> Ink:
    """The ink as the scene shows it, in the part of the scene that begins at `corner`."""
    shift = np.array([(1, 0, -corner[0]), (0, 1, -corner[1]), (0, 0, 1)], dtype=np.float64)
    back = np.linalg.inv(shift @ there)
    places = tuple((back / back[2, 2]).ravel()[:8])
    return np.asarray(ink.transform(size, Image.Transform.PERSPECTIVE, places, Image.Resampling.BICUBIC))


def _tilted(corners: Points, scale: float, generator: np.random.Generator) -> Points:
    """Corners turned in space and seen by a camera: about the line of sight, up and down, and aside."""
    roll, pitch, yaw = generator.uniform((-0.35, -0.6, -0.75), (0.35, 0.6, 0.75))
    roll *= generator.random()  # most signs hang nearly level
    flat = corners * scale
    x = flat[:, 0] * math.cos(roll) - flat[:, 1] * math.sin(roll)
    y = flat[:, 0] * math.sin(roll) + flat[:, 1] * math.cos(roll)
    depth = x * math.sin(yaw) + y * math.sin(pitch)
    away = 2.2 * max(float(np.ptp(flat[:, 0])), 1.0)  # pixels from the camera
    shrink = away / (away + depth)
    return np.stack([x * math.cos(yaw) * shrink, y * math.cos(pitch) * shrink], axis=1)


def _homography(source: Points, target: Points) -> Points:
    """The 3 x 3 matrix that takes four points to four others."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    solved = np.linalg.solve(np.array(rows), target.ravel())
    return np.append(solved, 1.0).reshape(3, 3)


def _through(matrix: Points, points: Points) -> Points:
    lifted = np.column_stack([points, np.ones(len(points))]) @ matrix.T  # (N, 2) -> (N, 3)
    flat: Points = lifted[:, :2] / lifted[:, 2:]
    return flat


def _grown(quad: Points, margin: float) -> Points:
    (x0, y0), (x1, y1) = quad.min(axis=0) - margin, quad.max(axis=0) + margin
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def _ink_box(ink: Ink, corner: tuple[int, int]) -> Box | None:
    rows, columns = (np.flatnonzero((ink >= _SEEN).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    (x0, x1), (y0, y1) = (columns[0], columns[-1] + 1), (rows[0], rows[-1] + 1)
    return Box(float(x0 + corner[0]), float(y0 + corner[1]), float(x1 + corner[0]), float(y1 + corner[1]))


def blend(scene: Scene, drawn: Drawn, generator: np.random.Generator) -> None:
    """Paints the text into the scene, so that it can be read: on a plate where the ground is busy."""
    height, width = drawn.ink.shape
    under = scene[drawn.corner[1] : drawn.corner[1] + height, drawn.corner[0] : drawn.corner[0] + width]
    mean, rough = under.mean(axis=(0, 1)), float(under.mean(axis=2).std())
    if rough > _BUSY or generator.random() < 0.25:
        mean = generator.uniform(20, 235, 3)
        _paint(under, _polygon(drawn.plate - drawn.corner, under), mean, generator.uniform(0.9, 1.0))
    colour = _readable(mean, generator)
    if generator.random() < 0.35:  # a shadow that the letters throw
        offset = np.rint(generator.uniform(1, 4, 2)).astype(int)
        shadow = np.roll(drawn.ink, tuple(offset), axis=(0, 1))
        _paint(under, _blurred(shadow, 1.5), np.zeros(3), 0.45 if _grey(colour) > _grey(mean) else 0.15)
    _paint(under, drawn.ink.astype(np.float32) / 255, colour, 1.0)


def _paint(scene: Scene, mask: Any, colour: Any, strength: float) -> None:
    covered = (mask * strength)[:, :, None].astype(np.float32)
    scene += covered * (np.asarray(colour, dtype=np.float32) - scene)


def _polygon(points: Points, scene: Scene) -> Scene:
    picture = Image.new("L", (scene.shape[1], scene.shape[0]), 0)
    ImageDraw.Draw(picture).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return np.asarray(picture, dtype=np.float32) / 255


def _blurred(ink: Ink, radius: float) -> Scene:
    picture = Image.fromarray(ink).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(picture, dtype=np.float32) / 255


def _floats(values: Any) -> Scene:
    return np.asarray(values, dtype=np.float32)


def _grey(colour: Any) -> float:
    return float(np.dot(colour, (0.299, 0.587, 0.114)))


def _readable(ground: Any, generator: np.random.Generator) -> Any:
    """A colour that stands out from the ground; black or white when none is drawn in a few tries."""
    for _ in range(8):
        colour = generator.uniform(0, 255, 3)
        if abs(_grey(colour) - _grey(ground)) >= _CONTRAST:
            return colour
    return np.full(3, 250.0 if _grey(ground) < 128 else 8.0)


def drawn_background(width: int, height: int, generator: np.random.Generator) -> tuple[Scene, str]:
    """A background without text, and its name."""
    name = str(generator.choice(["gradient", "noise", "bricks", "boards"]))
    scene = {"gradient": _gradient, "noise": _cloudy, "bricks": _bricks, "boards": _boards}[name](
        width, height, generator
    )
    return np.ascontiguousarray(np.clip(scene, 0, 255), dtype=np.float32), name


def _gradient(width: int, height: int, generator: np.random.Generator) -> Scene:
    one, other = generator.uniform(10, 245, (2, 3))
    angle = generator.uniform(0, 2 * math.pi)
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height))
    share = np.clip(x * math.cos(angle) + y * math.sin(angle) + 0.5, 0, 1)[:, :, None]  # (H, W, 1)
    return _floats(one + share * (other - one))


def _cloud(width: int, height: int, generator: np.random.Generator) -> Scene:
    """Noise of several sizes, -1 to 1 and mostly near 0."""
    total = np.zeros((height, width), dtype=np.float32)
    for cells, weight in ((4, 0.5), (16, 0.3), (64, 0.2)):
        grid = generator.uniform(-1, 1, (cells, cells)).astype(np.float32)
        picture = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += weight * np.asarray(picture)
    return total


def _cloudy(width: int, height: int, generator: np.random.Generator) -> Scene:
    base = generator.uniform(40, 215, 3)
    strength = generator.uniform(15, 60)
    return _floats(base + strength * _cloud(width, height, generator)[:, :, None])


def _bricks(width: int, height: int, generator: np.random.Generator) -> Scene:
    long, high = int(generator.integers(50, 120)), int(generator.integers(18, 45))
    y, x = np.mgrid[0:height, 0:width]
    row = y // high
    x = x + (row % 2) * (long // 2)
    joint = ((y % high) < 3) | ((x % long) < 3)
    shades = generator.uniform(-22, 22, (height // high + 2, width // long + 3))
    base = generator.uniform(60, 190, 3)
    scene = base + shades[row, x // long][:, :, None]
    scene = np.where(joint[:, :, None], base * 0.75, scene)
    return _floats(scene + 10 * _cloud(width, height, generator)[:, :, None])


def _boards(width: int, height: int, generator: np.random.Generator) -> Scene:
    board = int(generator.integers(60, 160))
    x = np.arange(width)
    shades = generator.uniform(-25, 25, width // board + 1)
    grain = generator.normal(0, 5, width)
    base = generator.uniform((90, 60, 30), (220, 180, 140))
    line = shades[x // board] + grain - 40 * ((x % board) < 3)
    scene = base + np.broadcast_to(line, (height, width))[:, :, None]
    return _floats(scene + 12 * _cloud(width, height, generator)[:, :, None])


def cut_out(photograph: Image.Image, width: int, height: int, generator: np.random.Generator) -> Scene:
    """A part of a photograph as a background, no smaller than half of it if it can be."""
    scale = max(width / photograph.width, height / photograph.height)
    picture = photograph
    if scale > 0.5:
        grown = scale * generator.uniform(1.0, 1.5)
        size = (math.ceil(photograph.width * grown), math.ceil(photograph.height * grown))
        picture = photograph.resize(size, Image.Resampling.BICUBIC)
    x = int(generator.integers(picture.width - width + 1))
    y = int(generator.integers(picture.height - height + 1))
    return np.array(picture.crop((x, y, x + width, y + height)).convert("RGB"), dtype=np.float32)


def finished(scene: Scene, generator: np.random.Generator) -> Image.Image:
    """The scene as a camera takes it: light from one side, a shadow that falls across, blur and noise."""
    height, width = scene.shape[:2]
    light = _lit(width, height, generator)
    if generator.random() < 0.4:
        light *= _shadow(width, height, generator)
    image = _picture(scene * light[:, :, None])
    if generator.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(float(generator.uniform(0.3, 1.0))))
    if generator.random() < 0.5:
        noise = generator.standard_normal((height, width, 1), dtype=np.float32)
        image = _picture(_floats(image) + float(generator.uniform(2, 8)) * noise)
    return image


def _picture(scene: Scene) -> Image.Image:
    return Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))


def _lit(width: int, height: int, generator: np.random.Generator) -> Scene:
    angle, fall = generator.uniform(0, 2 * math.pi), generator.uniform(0, 0.3)
    x, y = np.meshgrid(np.linspace(-0.7, 0.7, width), np.linspace(-0.7, 0.7, height))
    return _floats(1 - fall * (0.5 + 0.5 * (x * math.cos(angle) + y * math.sin(angle))))


def _shadow(width: int, height: int, generator: np.random.Generator) -> Scene:
    """A shadow with a soft edge that falls across the scene, as of a pole or a roof."""
    centre = generator.uniform((0.1 * width, 0.1 * height), (0.9 * width, 0.9 * height))
    angle, thick = generator.uniform(0, math.pi), generator.uniform(0.08, 0.35) * max(width, height)
    along = np.array([math.cos(angle), math.sin(angle)]) * 2 * max(width, height)
    aside = np.array([-math.sin(angle), math.cos(angle)]) * thick / 2
    corners = [centre + a * along + b * aside for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    picture = Image.new("L", (width, height), 0)
    ImageDraw.Draw(picture).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    soft = picture.filter(ImageFilter.GaussianBlur(float(generator.uniform(2, 14))))
    depth = generator.uniform(0.2, 0.5)
    return _floats(1 - depth * np.asarray(soft, dtype=np.float32) / 255)
