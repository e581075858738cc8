"""Glyphs as ink: each rasterised once per font, size and place between two pixels, pages composed with NumPy.

Shapes: G glyphs of a page, P pixels that have ink, H and W of the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.pages.render.fonts import Face, harfbuzz

_KEPT = 96 << 20  # bytes of ink in a process; beyond, all is forgotten and drawn again as needed
_ATLASES: dict[tuple[Face, float], Atlas] = {}
_BY_NUMBER: list[Atlas] = []
_bytes = 0


@dataclass
class Ink:
    """The glyphs of an atlas: their boxes relative to the pen, and their pixels one after the other."""

    boxes: NDArray[np.int32] = field(
        default_factory=lambda: np.zeros((64, 4), np.int32)
    )  # left top right bottom
    first: NDArray[np.int64] = field(default_factory=lambda: np.zeros(64, np.int64))  # pixel of each glyph
    xs: NDArray[np.int32] = field(default_factory=lambda: np.zeros(4096, np.int32))  # (P,) from the pen
    ys: NDArray[np.int32] = field(
        default_factory=lambda: np.zeros(4096, np.int32)
    )  # (P,) down from the baseline
    blacks: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(4096, np.uint8))  # (P,)
    count: int = 0

    def add(self, left: int, top: int, black: NDArray[np.uint8]) -> int:
        """Keep a glyph's bitmap, (h, w); its number."""
        ys, xs = np.nonzero(black)
        slot, start = self.count, int(self.first[self.count])
        end = start + len(ys)
        if slot + 1 == len(self.boxes):
            self.boxes, self.first = _longer(self.boxes), _longer(self.first)
        while end > len(self.xs):
            self.xs, self.ys, self.blacks = _longer(self.xs), _longer(self.ys), _longer(self.blacks)
        self.xs[start:end], self.ys[start:end] = xs + left, ys + top
        self.blacks[start:end] = black[ys, xs]
        if len(ys):
            box = (xs.min() + left, ys.min() + top, xs.max() + left + 1, ys.max() + top + 1)
            self.boxes[slot] = box
        self.first[slot + 1] = end
        self.count += 1
        return slot


def _longer(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate((array, np.zeros_like(array)))


class Atlas:
    """The glyphs of a face at a size (pixels of the em), rasterised when first asked for."""

    def __init__(self, face: Face, size: float, number: int) -> None:
        hb = harfbuzz()
        self.number = number
        self.ink = Ink()
        self._font = face.hb
        self._scale = size / face.upem
        self._pen = hb.RasterDraw()
        self._slots: dict[int, int] = {}
        # Places between two pixels: a large glyph's ink hides them, and Chinese has too many glyphs.
        self.phases = 1 if face.glyphs > 10_000 else 4 if size <= 24 else 2 if size <= 48 else 1

    def slots(self, ids: NDArray[np.int64], phases: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number in `ink` of each glyph at its place between two pixels. (G,) -> (G,)"""
        keys, which = np.unique(ids * 4 + phases, return_inverse=True)
        known = self._slots
        found = [known[key] if key in known else self._rasterise(key) for key in keys.tolist()]
        return np.array(found, np.int64)[which]

    def _rasterise(self, key: int) -> int:
        global _bytes
        glyph, phase = divmod(key, 4)
        self._pen.transform = (self._scale, 0, 0, self._scale, phase / self.phases, 0)
        self._pen.draw_glyph(self._font, glyph)
        image = self._pen.render()
        extents = image.extents
        black = np.frombuffer(image.buffer, np.uint8).reshape(extents.height, extents.stride)
        black = black[::-1, : extents.width]  # HarfBuzz counts rows upwards
        slot = self.ink.add(extents.x_origin, -(extents.y_origin + extents.height), black)
        self._slots[key] = slot
        _bytes += 9 * black.size + 64
        return slot


def atlas(face: Face, size: float) -> Atlas:
    """The one atlas of a face and a size."""
    key = (face, size)
    if key not in _ATLASES:
        _ATLASES[key] = Atlas(face, size, len(_BY_NUMBER))
        _BY_NUMBER.append(_ATLASES[key])
    return _ATLASES[key]


def forget(over: int = _KEPT) -> None:
    """Let go of all glyphs when they take more bytes than `over`; not while a page is being made."""
    global _bytes
    if _bytes > over or len(_BY_NUMBER) > 4000:
        _ATLASES.clear()
        _BY_NUMBER.clear()
        _bytes = 0


@dataclass(frozen=True)
class Pens:
    """A page's glyphs and where their pens stand. Pixels, y down."""

    ids: NDArray[np.int64]  # (G,)
    atlases: NDArray[np.int64]  # (G,)
    xs: NDArray[np.float64]  # (G,)
    ys: NDArray[np.int64]  # (G,)


@dataclass(frozen=True)
class Chosen:
    """The bitmaps of a page's glyphs."""

    slots: NDArray[np.int64]  # (G,)
    boxes: NDArray[np.int64]  # (G, 4) left top right bottom around the ink; left >= right without ink


def choose(pens: Pens, subpixel: bool) -> tuple[Chosen, NDArray[np.int64]]:
    """The bitmap of each glyph, and the whole pixel that its pen goes to. (G,)"""
    slots = np.zeros(len(pens.ids), np.int64)
    corners = np.zeros(len(pens.ids), np.int64)
    boxes = np.zeros((len(pens.ids), 4), np.int64)
    for number, here in _by_atlas(pens.atlases):
        book = _BY_NUMBER[number]
        parts = book.phases if subpixel else 1
        corners[here], phases = np.divmod(np.rint(pens.xs[here] * parts).astype(np.int64), parts)
        slots[here] = book.slots(pens.ids[here], phases)
        boxes[here] = book.ink.boxes[slots[here]]
    boxes[:, 0::2] += corners[:, None]
    boxes[:, 1::2] += pens.ys[:, None]
    return Chosen(slots, boxes), corners


def compose(
    pens: Pens, slots: NDArray[np.int64], corners: NDArray[np.int64], width: int, height: int
) -> NDArray[np.uint8]:
    """The page's ink, (H, W), 255 where it is black. Where glyphs overlap, the darker one counts."""
    ink = np.zeros(height * width, np.uint8)
    for number, here in _by_atlas(pens.atlases):
        book = _BY_NUMBER[number].ink
        first = book.first[slots[here]]
        counts = book.first[slots[here] + 1] - first
        ends = np.cumsum(counts)
        pixels = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - ends + counts, counts)
        places = book.ys[pixels] * np.int64(width) + book.xs[pixels]
        places += np.repeat(pens.ys[here] * width + corners[here], counts)
        np.maximum.at(ink, places, book.blacks[pixels])
    return ink.reshape(height, width)


def _by_atlas(atlases: NDArray[np.int64]) -> list[tuple[int, Any]]:
    """(atlas, its glyphs) of each atlas on the page."""
    numbers = np.unique(atlases).tolist()
    if len(numbers) == 1:
        return [(numbers[0], slice(None))]
    return [(number, np.flatnonzero(atlases == number)) for number in numbers]
