"""Draw pages whose every glyph is known: image, the text that a reader should write, each character's place.

    python scripts/nano/draw.py --corpus ../shared/corpus --out pages --count 8

Everything is a pure function of its seed, its arguments and the fonts. Glyphs are rasterised once for each
face, size and sub-pixel phase, and pages are composed from them with NumPy.

Shapes: H, W page height and width in pixels; N drawn characters other than spaces.
"""

from __future__ import annotations

import argparse
import io
import math
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, features
from text import ALPHABET, TextSource, clean, mark_up

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom excluded

FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/texmf/fonts/opentype",
    "~/.fonts",
    "~/.local/share/fonts",
)
# Faces of running text, by the start of their file names; what follows is the style. Of metric twins, one.
FAMILIES = {
    "serif": "DejaVuSerif LiberationSerif NimbusRoman C059 P052 URWBookman EBGaramond12 LinLibertine "
    "Caladea NotoSerif JunicodeTwoBeta FreeSerif lmroman10",
    "sans": "DejaVuSans LiberationSans LiberationSansNarrow NimbusSans NimbusSansNarrow URWGothic "
    "Carlito Lato NotoSans OpenSans Roboto Cantarell LinBiolinum FreeSans lmsans10 Ubuntu",
    "mono": "DejaVuSansMono LiberationMono NimbusMonoPS NotoSansMono FiraCode Hack CourierPrime "
    "FreeMono Inconsolata lmmono10 UbuntuMono",
}
STYLES = {
    "regular": " book roman r regular light",  # light: URW Bookman's text weight
    "bold": "bold rb demi",
    "italic": "italic ri oblique bookoblique it lightitalic",
    "bolditalic": "bolditalic rbi boldoblique bdita demiitalic demioblique bi",
}
_LIGHT_IS_THIN = ("FiraCode", "Lato", "OpenSans", "Roboto", "Cantarell", "Ubuntu", "JunicodeTwoBeta")
KIND_WEIGHTS = {"serif": 0.45, "sans": 0.4, "mono": 0.15}
STYLE_WEIGHTS = {"regular": 0.66, "bold": 0.14, "italic": 0.14, "bolditalic": 0.06}

_SPACE = len(ALPHABET)  # its number in the tables of a face; no glyph is drawn for it
_BULLET = len(ALPHABET) + 1  # drawn for an item's "-"
_GLYPHS = ALPHABET + " •"
_CELL = (0.5, 1.4)  # pen and baseline in a cell of 2 x 2 ems: room for every glyph of a fitting face
_REFERENCE = 200  # size in pixels at which a face is measured
_NUMBERS = np.full(0x3000, -1, np.int16)
_NUMBERS[[ord(c) for c in _GLYPHS]] = np.arange(len(_GLYPHS))
_LAYOUT = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC  # for kerning
_NO_LIGATURES = ["-liga", "-clig", "-dlig", "-calt", "-hlig"] if features.check("raqm") else None


@dataclass(frozen=True)
class Drawn:
    """A page and what it says."""

    image: np.ndarray  # (H, W) uint8, grey
    text: str
    chars: np.ndarray  # (N, 3) int32: number in ALPHABET, x of the ink's centre, y of the line's middle
    char_offsets: np.ndarray  # (N,) int32: where each character stands in `text`
    lines: list[tuple[int, int, Box]]  # start and end in `text`, box around the ink
    font: str
    size: float  # of the body text, pixels
    frame: Box | None = None  # the page in the image, where there is something beside it

    def blocks(self) -> list[tuple[int, int, Box]]:
        """Start and end in `text`, and box around the ink, of what empty lines part."""
        found: list[tuple[int, int, Box]] = []
        for start, end, box in self.lines:
            if found and "\n\n" not in self.text[found[-1][1] : start]:
                first, _, (left, top, right, bottom) = found[-1]
                around = (min(left, box[0]), min(top, box[1]), max(right, box[2]), max(bottom, box[3]))
                found[-1] = (first, end, around)
            else:
                found.append((start, end, box))
        return found


# Fonts


def _named(stem: str) -> tuple[str, str, str] | None:
    """(kind, family, style) of a font file's name, or None if it is not a face of running text."""
    stem = stem.replace(" ", "")
    for kind, families in FAMILIES.items():
        for family in families.split():
            if not stem.startswith(family):
                continue
            rest = re.sub(r"[-_]", "", stem[len(family) :]).lower()
            if rest.startswith("light") and family in _LIGHT_IS_THIN:
                continue
            for style, names in STYLES.items():
                if rest in names.split(" "):
                    return kind, family, style
    return None


def _covers(path: str) -> bool:
    """Whether the face has every character of ALPHABET, none as the box of a missing one, none oversized."""
    try:
        font = ImageFont.truetype(path, 40, layout_engine=ImageFont.Layout.BASIC)
    except OSError:
        return False
    missing = {bytes(font.getmask(c)) for c in "\U0010fffd\ue7c9\u0b5a"}
    for c in ALPHABET:
        left, top, right, bottom = font.getbbox(c, anchor="ls")
        fits = left > -18 and top > -54 and right < 56 and bottom < 22  # of the atlas's cell, less a margin
        if not fits or right <= 0 or bytes(font.getmask(c)) in missing | {b""}:
            return False
    return True


def find_fonts(folders: Iterable[str | Path] = FOLDERS) -> list[str]:
    """Paths of the installed text faces that can draw all of ALPHABET, each family and style once."""
    found: dict[tuple[str, str, str], str] = {}
    paths = [
        p for folder in folders for p in Path(folder).expanduser().rglob("*") if p.suffix in (".ttf", ".otf")
    ]
    for path in sorted(paths):
        name = _named(path.stem)
        if name and name not in found and _covers(str(path)):
            found[name] = str(path)
    if not found:
        raise FileNotFoundError(
            f"no text fonts in {', '.join(map(str, folders))}: install DejaVu or Liberation"
        )
    return sorted(found.values())


class Face:
    """A font file: measures in ems, and its atlases."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.kind, self.family, self.style = _named(Path(path).stem) or ("sans", path, "regular")
        self._reference = ImageFont.truetype(path, _REFERENCE, layout_engine=_LAYOUT)
        self.advances = np.array([self._length(c) for c in _GLYPHS])
        plain = ImageFont.truetype(path, _REFERENCE, layout_engine=ImageFont.Layout.BASIC)
        left, top, right, bottom = plain.getbbox(ALPHABET, anchor="ls")
        self.ascent, self.descent = -top / _REFERENCE, bottom / _REFERENCE
        self.has_bullet = bytes(plain.getmask("•")) != bytes(plain.getmask("\U0010fffd"))
        self._kerning = np.full((len(_GLYPHS), len(_GLYPHS)), np.nan)
        self._kerning[_SPACE:], self._kerning[:, _SPACE:] = 0, 0
        if self.kind == "mono":
            self._kerning[:] = 0

    def _length(self, text: str) -> float:
        return self._reference.getlength(text, features=_NO_LIGATURES) / _REFERENCE

    def kerning(self, codes: np.ndarray) -> np.ndarray:
        """What is added to the advance of each character because of the next one, in ems. (N,) -> (N,)"""
        first, second = codes[:-1], codes[1:]
        kerns = self._kerning[first, second]
        unknown = np.isnan(kerns)
        if unknown.any():
            for a, b in set(zip(first[unknown].tolist(), second[unknown].tolist(), strict=True)):
                together = self._length(_GLYPHS[a] + _GLYPHS[b])
                self._kerning[a, b] = together - self.advances[a] - self.advances[b]
            kerns = self._kerning[first, second]
        return np.append(kerns, 0.0)


class Atlas:
    """The glyphs of a face at a size, rasterised when first asked for."""

    def __init__(self, path: str, size: int) -> None:
        self._font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
        self._cell, self._x, self._y = 2 * size, round(_CELL[0] * size), round(_CELL[1] * size)
        self.phases = 4 if size <= 24 else 2  # places between two pixels; a large glyph's ink hides them
        self.glyphs: dict[int, tuple[np.ndarray, int, int]] = {}  # ink, and its corner relative to the pen

    @cached_property
    def hinted_advances(self) -> np.ndarray:
        return np.array([self._font.getlength(c) for c in _GLYPHS])

    def rasterise(self, keys: Iterable[int]) -> None:
        """Fill `glyphs` for each key (number * phases + phase), all on one strip of square cells."""
        new = [key for key in set(keys) if key not in self.glyphs]
        if not new:
            return
        cell = self._cell
        strip = Image.new("L", (cell, cell * len(new)))
        pen = ImageDraw.Draw(strip)
        for i, key in enumerate(new):
            number, phase = divmod(key, self.phases)
            place = (self._x + phase / self.phases, self._y + i * cell)
            pen.text(place, _GLYPHS[number], fill=255, font=self._font, anchor="ls")
        cells = np.asarray(strip).reshape(len(new), cell, cell)
        rows, columns = cells.max(2) > 0, cells.max(1) > 0
        tops, lefts = rows.argmax(1).tolist(), columns.argmax(1).tolist()
        bottoms = (cell - rows[:, ::-1].argmax(1)).tolist()
        rights = (cell - columns[:, ::-1].argmax(1)).tolist()
        for key, ink, top, left, bottom, right in zip(new, cells, tops, lefts, bottoms, rights, strict=True):
            self.glyphs[key] = ink[top:bottom, left:right].copy(), left - self._x, top - self._y


_ATLASES: OrderedDict[tuple[str, int], Atlas] = OrderedDict()
ATLASES_KEPT = 1500  # in a process; about 60 kB each


def _atlas(path: str, size: int) -> Atlas:
    key = (path, size)
    if key in _ATLASES:
        _ATLASES.move_to_end(key)
    else:
        _ATLASES[key] = Atlas(path, size)
        if len(_ATLASES) > ATLASES_KEPT:
            _ATLASES.popitem(last=False)
    return _ATLASES[key]


@lru_cache(maxsize=256)
def _face(path: str) -> Face:
    return Face(path)


@lru_cache(maxsize=1)
def installed_fonts() -> tuple[str, ...]:
    return tuple(find_fonts())


@lru_cache(maxsize=8)
def _by_kind(paths: tuple[str, ...]) -> dict[str, dict[str, dict[str, str]]]:
    """Kind -> family -> style -> path."""
    tree: dict[str, dict[str, dict[str, str]]] = {}
    for path in paths:
        kind, family, style = _named(Path(path).stem) or ("sans", path, "regular")
        tree.setdefault(kind, {}).setdefault(family, {})[style] = path
    return tree


def _weighted(rng: np.random.Generator, weights: dict[str, float], among: Iterable[str]) -> str:
    names = [name for name in weights if name in among]
    edges = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def _choose_faces(rng: np.random.Generator, paths: tuple[str, ...]) -> tuple[Face, Face]:
    """Faces of the body and of the headings."""
    tree = _by_kind(paths)
    families = tree[_weighted(rng, KIND_WEIGHTS, tree)]
    styles = families[sorted(families)[int(rng.integers(len(families)))]]
    body = _face(styles[_weighted(rng, STYLE_WEIGHTS, styles)])
    return body, _face(styles.get("bold", body.path)) if rng.random() < 0.7 else body


# Layout


@dataclass(frozen=True)
class _Block:
    kind: str  # "paragraph", "heading" or "item"
    text: str  # words with single spaces between them
    tight: bool  # directly below its predecessor: an item of the same list


def _blocks(text: str) -> list[_Block]:
    blocks: list[_Block] = []
    for part in re.split(r"\n\s*\n", text):
        tight = False
        open_words: list[str] = []
        for line in [*part.split("\n"), "- "]:
            if line.startswith("- "):
                if open_words:
                    blocks.append(_Block("paragraph", " ".join(open_words), tight))
                    open_words, tight = [], True
                if words := line[2:].split():
                    blocks.append(_Block("item", " ".join(words), tight))
                    tight = True
            elif line.startswith("# ") and not open_words and line[2:].strip():
                blocks.append(_Block("heading", " ".join(line[2:].split()), False))
            else:
                open_words += line.split()
    return blocks


@dataclass(frozen=True)
class _Style:
    """How a block is set. Lengths in pixels."""

    face: Face
    size: int
    leading: float  # from baseline to baseline
    phases: bool  # glyphs between pixels and advances unrounded, or both on whole pixels
    kerning: bool
    align: str
    first: float = 0.0  # indent of the first line
    rest: float = 0.0  # indent of the other lines


@dataclass(frozen=True)
class _Line:
    """One line in place. Every character of `text` has a number and a pen; spaces and markup draw nothing."""

    style: _Style
    joint: str  # between the line before and this one
    text: str
    codes: np.ndarray
    pens: np.ndarray
    baseline: int
    start: int  # offset of `text` in the page's text


def _pens(style: _Style, codes: np.ndarray) -> np.ndarray:
    """Pen positions before each character and after the last, all on one line. (N,) -> (N + 1,)"""
    face, size = style.face, style.size
    advances = face.advances[codes] * size if style.phases else _atlas(face.path, size).hinted_advances[codes]
    if style.kerning:
        kerns = face.kerning(codes) * size
        advances = advances + (kerns if style.phases else np.rint(kerns))
    return np.concatenate(([0.0], np.cumsum(advances)))


def _numbers(text: str) -> np.ndarray:
    return _NUMBERS[np.frombuffer(text.encode("utf-32-le"), np.uint32)]


def _wrap(
    text: str, style: _Style, width: float
) -> tuple[str, np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """The text without words wider than a line, its numbers and pens, and (start, end) of the lines."""
    room = width - max(style.first, style.rest)
    while True:
        codes = _numbers(text)
        pens = _pens(style, codes)
        spaces = np.flatnonzero(codes == _SPACE)
        starts, ends = np.concatenate(([0], spaces + 1)), np.append(spaces, len(codes))
        lefts, rights = pens[starts], pens[ends]
        fitting = rights - lefts <= room
        if fitting.all():
            break
        text = " ".join(word for word, fits in zip(text.split(" "), fitting, strict=True) if fits)
        if not text:
            return "", codes, pens, []
    lines, word, indent = [], 0, style.first
    while word < len(starts):
        after = int(np.searchsorted(rights, lefts[word] + width - indent, side="right"))
        after = max(after, word + 1)
        lines.append((int(starts[word]), int(ends[after - 1])))
        word, indent = after, style.rest
    return text, codes, pens, lines


def _place(
    pens: np.ndarray, codes: np.ndarray, style: _Style, left: float, room: float, last: bool
) -> np.ndarray:
    """Pens of one line from its left edge, aligned in the `room` it leaves. (N + 1,) -> (N,)"""
    xs = pens[:-1] - pens[0] + left
    if style.align == "centre":
        return xs + room / 2
    if style.align == "justified" and not last:
        spaces = codes == _SPACE
        extra = room / max(1, int(spaces.sum()))
        if extra < 1.2 * style.size:
            return xs + np.concatenate(([0.0], np.cumsum(spaces[:-1]))) * extra
    return xs


def _set(
    blocks: list[_Block],
    styles: dict[str, _Style],
    gap: float,
    bullet: int,
    area: tuple[float, ...],
    breaks: bool,
) -> list[_Line]:
    """The lines of the blocks that fit into the area (left, top, right, bottom), `gap` between paragraphs."""
    left, y, right, bottom = area
    lines: list[_Line] = []
    written = 0
    for block in blocks:
        style = styles[block.kind]
        text, codes, pens, spans = _wrap(block.text, style, right - left)
        for i, (a, b) in enumerate(spans):
            if not lines:
                y += style.face.ascent * style.size
            else:
                y += style.leading + (gap if not i and not block.tight else 0)
            if y + style.face.descent * style.size > bottom:
                return lines
            indent = style.rest if i else style.first
            room = right - left - indent - float(pens[b] - pens[a])
            xs = _place(pens[a : b + 1], codes[a:b], style, left + indent, room, i + 1 == len(spans))
            line, numbers = text[a:b], codes[a:b]
            if not i and block.kind != "paragraph":
                # The heading's "#" draws nothing; the item's "-" is a mark left of the text.
                line = ("# " if block.kind == "heading" else "- ") + line
                mark = bullet if block.kind == "item" else _SPACE
                numbers = np.concatenate(([mark, _SPACE], numbers))
                xs = np.concatenate(([left + 0.3 * indent, left], xs))
            within = "\n" if breaks and block.kind != "heading" else " "
            joint = "" if not lines else within if i else "\n" if block.tight else "\n\n"
            written += len(joint)
            lines.append(_Line(style, joint, line, numbers, xs, int(y), written))
            written += len(line)
    return lines


def _print(lines: list[_Line], height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ink (H, W) uint8; box (N, 4) and offset in the text (N,) of each character."""
    pad = 2 * max((line.style.size for line in lines), default=0)
    ink = np.zeros((height + 2 * pad, width + 2 * pad), np.uint8)
    boxes, offsets = [], []
    placed: list[tuple[int, Atlas, np.ndarray, np.ndarray]] = []
    missing: dict[Atlas, list[int]] = {}
    for line in lines:
        atlas = _atlas(line.style.face.path, line.style.size)
        visible = np.flatnonzero(line.codes != _SPACE)
        codes, xs = line.codes[visible], line.pens[visible]
        corners = np.floor(xs) if line.style.phases else np.rint(xs)
        keys = codes.astype(np.int64) * atlas.phases
        if line.style.phases:
            keys += ((xs - corners) * atlas.phases).astype(np.int64)
        placed.append((line.baseline + pad, atlas, corners.astype(np.int64) + pad, keys))
        missing.setdefault(atlas, []).extend(keys.tolist())
        offsets.append(visible + line.start)
    for atlas, keys_of_page in missing.items():
        atlas.rasterise(keys_of_page)
    for baseline, atlas, corners, keys in placed:
        glyphs = atlas.glyphs
        for key, x in zip(keys.tolist(), corners.tolist(), strict=True):
            black, dx, dy = glyphs[key]
            left, top = x + dx, baseline + dy
            bottom, right = top + black.shape[0], left + black.shape[1]
            there = ink[top:bottom, left:right]
            np.maximum(there, black, out=there)
            boxes.append((left, top, right, bottom))
    none = np.zeros(0, np.int64)
    box = np.array(boxes, np.float64).reshape(-1, 4) - pad
    return ink[pad : pad + height, pad : pad + width], box, np.concatenate([none, *offsets])


# The page as paper


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    """Normal noise with a deviation of 32, drawn once: pages take a random piece of it."""
    return np.clip(np.random.default_rng(0).normal(0, 32, 1 << 22), -127, 127).astype(np.int8)


def _tones(rng: np.random.Generator, worn: bool) -> np.ndarray:
    """Grey for each amount of ink. (256,) uint8"""
    paper, black, gamma = 255.0, 0.0, 1.0
    if worn or rng.random() < 0.3:
        paper, black = rng.uniform(205 if worn else 235, 255), rng.uniform(0, 100 if worn else 50)
        gamma = math.exp(rng.uniform(-0.35, 0.35))
    if rng.random() < 0.03:
        paper, black = black, paper
    return np.rint(paper + (black - paper) * (np.arange(256) / 255) ** gamma).astype(np.uint8)


def _wear(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Shadow, noise and compression, each now and then. (H, W) uint8 -> (H, W) uint8"""
    height, width = image.shape
    grey = image.astype(np.int16)
    if rng.random() < 0.25:
        down, across = rng.uniform(-0.12, 0.12, 2)
        shade = np.linspace(-down, down, height)[:, None] + np.linspace(-across, across, width)
        grey = (grey * (1 - 0.12 + shade).astype(np.float32)).astype(np.int16)
    if rng.random() < 0.6:
        place, strength = int(rng.integers(_noise().size - height * width)), int(rng.integers(2, 14))
        grain = _noise()[place : place + height * width].reshape(height, width)
        grey += (grain * np.int16(strength)) >> 5
    image = np.clip(grey, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(rng.integers(25, 80)))
        image = np.asarray(Image.open(file))
    return image


@dataclass(frozen=True)
class _Camera:
    """From the sheet, drawn larger and straight, to the page, by an affine map of points."""

    height: int  # of the page
    width: int
    scale: float = 1.0
    angle: float = 0.0  # radians

    @property
    def sheet(self) -> tuple[int, int]:
        return round(self.height * self.scale), round(self.width * self.scale)

    @property
    def _turn(self) -> np.ndarray:
        """Page to sheet, around the middle. (2, 2)"""
        rows, columns = self.sheet
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.diag([columns / self.width, rows / self.height]) @ np.array([[c, s], [-s, c]])

    def shoot(self, rng: np.random.Generator, ink: np.ndarray) -> np.ndarray:
        if self.angle:
            middle = np.array(ink.shape[::-1]) / 2 - self._turn @ (self.width / 2, self.height / 2)
            (a, b), (d, e) = self._turn.tolist()
            way = (a, b, float(middle[0]), d, e, float(middle[1]))
            image = Image.fromarray(ink).transform((self.width, self.height), Image.Transform.AFFINE, way, 2)
        elif self.scale != 1:
            kinds = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX)
            image = Image.fromarray(ink).resize((self.width, self.height), kinds[int(rng.integers(3))])
        else:
            return ink
        return np.asarray(image)

    def points(self, xy: np.ndarray) -> np.ndarray:
        """Sheet to page. (..., 2) -> (..., 2)"""
        rows, columns = self.sheet
        back = np.linalg.inv(self._turn)
        return (xy - (columns / 2, rows / 2)) @ back.T + (self.width / 2, self.height / 2)


def _drawable(size: float) -> int:
    """The nearest size that is drawn: large ones in steps, so that few atlases serve many pages."""
    step = 1 if size < 24 else 2 if size < 48 else 4
    return max(4, step * round(size / step))


def draw(
    rng: np.random.Generator | int | Sequence[int],
    source: TextSource | str,
    side_h: int,
    side_w: int,
    *,
    sizes: tuple[float, float] = (24, 40),
    fonts: Sequence[str] | None = None,
    margins: tuple[float, float] = (0.015, 0.08),
    leading: tuple[float, float] = (1.1, 1.6),
    fill: tuple[float, float] = (1.0, 1.0),
    made_up: float | None = None,
    headings: float = 0.15,
    lists: float = 0.1,
    degrade: float = 0.5,
    breaks: bool = False,
) -> Drawn:
    """A page of side_h x side_w pixels with as much text as fits.

    `source`: a text of this page ("# " and "- " begin headings and items), or where to sample one.
    `sizes`: type size in pixels of the em, from the logarithm's uniform distribution. `margins`: fraction of
    each side. `leading`: line height in sizes. `fill`: fraction of the height that may be used. `made_up`:
    share of made-up text, else the source's. `headings`, `lists`, `degrade`: chances that a page has them.
    `breaks`: whether the text has a line break where the page has one, instead of a space.
    """
    rng = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)
    body, head = _choose_faces(rng, tuple(fonts) if fonts else installed_fonts())
    size = math.exp(rng.uniform(*np.log(sizes)))
    worn = rng.random() < degrade
    camera = _Camera(side_h, side_w)
    if worn and rng.random() < 0.5:
        angle = float(rng.normal(0, 0.006)) if rng.random() < 0.4 else 0.0
        camera = _Camera(side_h, side_w, rng.uniform(1.02, 1.3), float(np.clip(angle, -0.015, 0.015)))
    height, width = camera.sheet
    pixels = _drawable(size * camera.scale)
    size = pixels / camera.scale

    if isinstance(source, TextSource):
        characters = int(side_h * side_w * fill[1] / (0.42 * leading[0] * size**2)) + 20
        source = mark_up(rng, source.sample(rng, characters, made_up), headings, lists)
    text = clean(source)  # capitals of a heading may have left the alphabet

    align = ("left", "justified", "centre")[int(np.searchsorted((0.72, 0.92), rng.random()))]
    style = _Style(
        body,
        pixels,
        leading=rng.uniform(*leading) * pixels,
        phases=rng.random() < 0.6,
        kerning=rng.random() < 0.5,
        align=align,
    )
    indented = align != "centre" and rng.random() < 0.3
    bold = head.path != body.path and body.style not in ("bold", "bolditalic")
    larger = _drawable(pixels * rng.uniform(1.0 if bold and rng.random() < 0.4 else 1.25, 1.7))
    hang = rng.uniform(1.1, 2.2) * pixels
    styles = {
        "paragraph": replace(style, first=rng.uniform(0.8, 2.0) * pixels if indented else 0.0),
        "heading": replace(
            style,
            face=head,
            size=larger,
            leading=rng.uniform(1.1, 1.3) * larger,
            align="centre" if rng.random() < 0.3 else "left",
        ),
        "item": replace(style, align="left", first=hang, rest=hang if rng.random() < 0.8 else 0.5 * hang),
    }
    bullet = (
        _BULLET if body.has_bullet and rng.random() < 0.65 else ALPHABET.index("-–"[int(rng.random() < 0.2)])
    )
    gap = 0.0 if indented else rng.uniform(0.3, 1.0) * style.leading

    least = (
        1 + 0.15 * pixels + abs(camera.angle) * max(height, width) / 2
    )  # overhangs and corners stay inside
    near_far = rng.uniform(*margins, 4) * (width, height, width, height) + least
    left, top, right, bottom = near_far[0], near_far[1], width - near_far[2], height - near_far[3]
    used = max((bottom - top) * rng.uniform(*fill), (body.ascent + body.descent) * pixels + 1)
    lines = _set(_blocks(text), styles, gap, bullet, (left, top, right, min(bottom, top + used)), breaks)
    if lines and rng.random() < 0.5:  # a page that ends early may also begin late
        slack = int(bottom - lines[-1].baseline - lines[-1].style.face.descent * lines[-1].style.size)
        down = int(rng.integers(slack + 1)) if slack > 0 else 0
        lines = [replace(line, baseline=line.baseline + down) for line in lines]

    ink, boxes, offsets = _print(lines, height, width)
    ink = camera.shoot(rng, ink)
    if worn and rng.random() < 0.4:
        radius = rng.uniform(0.25, min(1.0, 0.03 * size + 0.2))
        ink = np.asarray(Image.fromarray(ink).filter(ImageFilter.GaussianBlur(radius)))
    image = _tones(rng, worn)[ink]
    if worn:
        image = _wear(rng, image)

    corners = camera.points(boxes.reshape(-1, 2, 2))  # (N, 2, xy): left top and right bottom
    # A comma hangs low and a quotation mark high, but both stand in the line.
    drawn = [int(np.count_nonzero(line.codes != _SPACE)) for line in lines]
    heights = [line.baseline - 0.3 * line.style.size for line in lines]
    centres = np.stack([boxes.reshape(-1, 2, 2)[:, :, 0].mean(1), np.repeat(heights, drawn)], axis=1)
    middles = np.floor(camera.points(centres)).astype(np.int32)
    says = "".join(line.joint + line.text for line in lines)
    numbers = _numbers(says)[offsets]  # not those of the glyphs: an item's mark reads as "-"
    return Drawn(
        image=image,
        text=says,
        chars=np.concatenate((numbers[:, None].astype(np.int32), middles), axis=1),
        char_offsets=offsets.astype(np.int32),
        lines=_line_boxes(lines, offsets, corners),
        font=body.path,
        size=size,
    )


def _line_boxes(lines: list[_Line], offsets: np.ndarray, corners: np.ndarray) -> list[tuple[int, int, Box]]:
    boxes = []
    for line in lines:
        end = line.start + len(line.text)
        a, b = np.searchsorted(offsets, (line.start, end))
        (left, top), (right, bottom) = corners[a:b, 0].min(0), corners[a:b, 1].max(0)
        box = (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
        boxes.append((line.start, end, box))
    return boxes


def patch_targets(drawn: Drawn, patch: int = 16, slots: int = 5) -> np.ndarray:
    """Characters whose centre lies in each patch: 1 + number in ALPHABET, 0 for none. (H/p, W/p, slots) int16

    Within a patch they stand from left to right, then from top to bottom; those beyond `slots` are left out.
    """
    rows, columns = drawn.image.shape[0] // patch, drawn.image.shape[1] // patch
    targets = np.zeros((rows * columns, slots), np.int16)
    number, x, y = drawn.chars.T
    inside = (x >= 0) & (y >= 0) & (x < columns * patch) & (y < rows * patch)
    number, x, y = number[inside], x[inside], y[inside]
    cell = (y // patch) * columns + x // patch
    order = np.lexsort((y, x, cell))
    cell = cell[order]
    slot = np.arange(len(cell)) - np.searchsorted(cell, cell, side="left")
    kept = slot < slots
    targets[cell[kept], slot[kept]] = number[order][kept] + 1
    return targets.reshape(rows, columns, slots)


def page(seed: int, index: int, source: TextSource | str, side_h: int, side_w: int, **options: Any) -> Drawn:
    """Page number `index` of the endless book `seed`: the same whoever draws it. Options as in `draw`."""
    return draw(np.random.default_rng((seed, index)), source, side_h, side_w, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw pages to look at, and measure how fast that is.")
    parser.add_argument("--corpus", default="../shared/corpus")
    parser.add_argument(
        "--cache", default=None, help="folder of the cleaned corpus (default: a temporary one)"
    )
    parser.add_argument("--out", type=Path, default=None, help="folder for page images and texts")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--side", type=int, nargs=2, default=(512, 512), metavar=("H", "W"))
    parser.add_argument("--sizes", type=float, nargs=2, default=(24, 40), metavar=("LO", "HI"))
    parser.add_argument("--degrade", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source = TextSource(arguments.corpus, cache=arguments.cache)
    options: dict[str, Any] = {"sizes": tuple(arguments.sizes), "degrade": arguments.degrade}
    print(f"{len(installed_fonts())} faces")
    began, characters = time.perf_counter(), 0
    for index in range(arguments.count):
        drawn = page(arguments.seed, index, source, *arguments.side, **options)
        characters += len(drawn.chars)
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn.image).save(arguments.out / f"{index:04d}.png")
            (arguments.out / f"{index:04d}.txt").write_text(drawn.text + "\n", encoding="utf-8")
    took = time.perf_counter() - began
    print(f"{arguments.count / took:.0f} pages/s, {characters / arguments.count:.0f} characters a page")


if __name__ == "__main__":
    main()
