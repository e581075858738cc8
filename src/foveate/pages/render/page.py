"""Rendered pages: a picture, and where each word, line and block stands in it and in the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.document import Box
from foveate.pages.render import glyphs
from foveate.pages.render.setting import Setting
from foveate.pages.render.style import Colour, Style

Span = tuple[int, int]  # start and end in the text that was rendered


@dataclass(frozen=True, slots=True)
class RenderedWord:
    """A word, or the part of one on a line; in scripts without spaces a character or a syllable."""

    text: str
    box: Box  # around the ink, pixels; around its place where there is no ink
    span: Span | None  # None for what is not from the text: headers, page numbers
    line: int  # its number among the page's lines


@dataclass(frozen=True, slots=True)
class RenderedLine:
    """A line, or a line of a table's cell."""

    text: str
    box: Box
    span: Span | None
    block: int  # its number among the page's blocks


@dataclass(frozen=True, slots=True)
class RenderedBlock:
    """What stands on this page, in one column, of a block. Its text is Markdown without emphasis, or HTML."""

    kind: str  # "title", "sub_title", "text", "list", "code", "table", "header", "footer", "page_number"
    text: str
    box: Box
    span: Span | None


@dataclass(frozen=True, eq=False)
class Placed:
    """Pieces of a paragraph on a line of the page. Pixels."""

    setting: Setting
    first: int
    after: int
    xs: NDArray[np.float64]  # (pieces,) left edges
    baseline: int
    line: int
    block: int

    @property
    def words(self) -> tuple[int, int]:
        """Numbers, in the paragraph, of the line's first and last words."""
        words = self.setting.words
        first = self.first if words[self.first] >= 0 else self.first + 1  # an indent is one piece
        return int(words[first]), int(words[self.after - 1])

    @property
    def word_pieces(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First piece of each word of the line, and the piece after its last. (words,)"""
        first, last = self.words
        firsts, afters = self.setting.word_edges
        here = slice(first, last + 1)
        return np.maximum(firsts[here], self.first), np.minimum(afters[here], self.after)

    @property
    def characters(self) -> tuple[int, int]:
        """The paragraph's characters on this line."""
        return int(self.setting.starts[self.first]), int(self.setting.ends[self.after - 1])


@dataclass(frozen=True)
class Fill:
    """A rectangle of another colour than the page's: code's shade, a table's rule, a heading's ink."""

    box: tuple[int, int, int, int]  # left, top, right, bottom
    paper: Colour | None = None
    ink: Colour | None = None
    rule: bool = False  # all of it is ink
    block: int = -1  # the block whose box it widens; -1 for none


@dataclass
class Sheet:
    """A page while it is being filled."""

    number: int
    placed: list[Placed] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)  # of each block
    texts: list[list[str]] = field(default_factory=list)  # of each block, in pieces
    lines: int = 0

    @property
    def first_place(self) -> int | None:
        """Where the page's first character from the text stands in it."""
        for placed in self.placed:
            place = int(placed.setting.content.offsets[placed.characters[0]])
            if place >= 0:
                return place
        return None


class RenderedPage:
    """A page: its image, its text, and the places of both.

    `missing`: characters that no installed font has, and their places in the source; their room is blank.
    """

    def __init__(self, sheet: Sheet, style: Style, source: str) -> None:
        self.number = sheet.number
        self.style = style
        self._sheet = sheet
        self._source = source
        # Now, since shapes may be forgotten before anybody asks.
        self.missing = _missing(sheet.placed)
        self._pens, self._lines_of, self._words_of, self._first_words = _pens(sheet.placed)
        self._chosen, self._corners = glyphs.choose(self._pens, style.subpixel)
        self._keep_inside()
        ink = glyphs.compose(self._pens, self._chosen.slots, self._corners, style.width, style.height)
        self.image = _coloured(ink, sheet.fills, style)

    def _keep_inside(self) -> None:
        """Move lines whose ink hangs over the page's edge."""
        boxes, width = self._chosen.boxes, self.style.width
        inked = boxes[:, 0] < boxes[:, 2]
        if not inked.any() or (boxes[inked, 0].min() >= 0 and boxes[inked, 2].max() <= width):
            return
        for line in range(self._sheet.lines):
            here = inked & (self._lines_of == line)
            if not here.any():
                continue
            left, right = int(boxes[here, 0].min()), int(boxes[here, 2].max())
            shift = max(0, -left) or min(0, width - right)
            moved = np.full(np.count_nonzero(here), shift)
            if (excess := right - left - width) > 0:
                # Without margins a full line's ink may be a pixel or two wider: its glyphs move together.
                shares = (boxes[here, 2] - left) / (right - left)
                moved = -left - np.ceil(shares * excess).astype(np.int64)
                moved = np.maximum(moved, -boxes[here, 0])
            self._corners[here] += moved
            boxes[here, 0::2] += moved[:, None]

    @property
    def span(self) -> Span:
        """The stretch of the source that stands on this page."""
        spans = [line.span for line in self.lines if line.span is not None]
        if not spans:
            return 0, 0
        return min(start for start, _ in spans), max(end for _, end in spans)

    @property
    def text(self) -> str:
        """The part of the source that stands on this page, from its first character to its last."""
        return self._source[slice(*self.span)]

    @cached_property
    def words(self) -> tuple[RenderedWord, ...]:
        """In the order of the text."""
        boxes = _around(self._chosen.boxes, self._words_of, self._first_words[-1])
        found = []
        for placed, word in zip(self._sheet.placed, self._first_words, strict=False):
            text, offsets = placed.setting.content.text, placed.setting.content.offsets
            firsts, afters = placed.word_pieces
            starts, ends = placed.setting.starts[firsts], placed.setting.ends[afters - 1]
            begins, stops = offsets[starts].tolist(), (offsets[ends - 1] + 1).tolist()
            for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
                box = boxes[word + number] or _place(placed, firsts[number], afters[number])
                span = (begins[number], stops[number]) if begins[number] >= 0 else None
                found.append(RenderedWord(text[start:end], box, span, placed.line))
        return tuple(found)

    @cached_property
    def lines(self) -> tuple[RenderedLine, ...]:
        """In the order of the text; a list's marker belongs to its item's first line."""
        boxes = _around(self._chosen.boxes, self._lines_of, self._sheet.lines)
        found: list[RenderedLine] = []
        for placed in self._sheet.placed:
            start, end = placed.characters
            text = placed.setting.content.text[start:end].strip()
            box = boxes[placed.line] or _place(placed, placed.first, placed.after)
            line = RenderedLine(text, box, _span(placed.setting, start, end), placed.block)
            if len(found) > placed.line:
                line = _together(found.pop(), line)
            found.append(line)
        return tuple(found)

    @cached_property
    def blocks(self) -> tuple[RenderedBlock, ...]:
        """In reading order."""
        found = []
        for number, kind in enumerate(self._sheet.kinds):
            lines = [line for line in self.lines if line.block == number]
            box = lines[0].box
            for line in lines[1:]:
                box = box.union(line.box)
            for fill in self._sheet.fills:
                if fill.block == number:
                    box = box.union(Box(*map(float, fill.box)))
            spans = [line.span for line in lines if line.span is not None]
            span = (spans[0][0], max(end for _, end in spans)) if spans else None
            found.append(RenderedBlock(kind, "".join(self._sheet.texts[number]), box, span))
        return tuple(found)

    @property
    def fonts(self) -> tuple[str, ...]:
        """The families that drew the page, in the order of their names."""
        used = {
            family
            for placed in self._sheet.placed
            for family in placed.setting.families[placed.first : placed.after]
        }
        return tuple(sorted(used - {""}))


def _missing(placed: list[Placed]) -> tuple[tuple[str, int], ...]:
    """Characters of these lines that no font has, and their places in the source."""
    lost: dict[tuple[str, int], None] = {}
    for line in placed:
        if line.setting.missing:
            start, end = line.characters
            offsets = line.setting.content.offsets
            lost |= {(c, int(offsets[at])): None for c, at in line.setting.missing if start <= at < end}
    return tuple(lost)


def _pens(
    placed: list[Placed],
) -> tuple[glyphs.Pens, NDArray[np.int64], NDArray[np.int64], list[int]]:
    """The page's glyphs, the line and the word of each (G,), the first word of each line and their count."""
    parts: list[tuple[NDArray[Any], ...]] = []
    words = [0]
    for setting, group in groupby(placed, key=lambda one: one.setting):
        parts.append(_pens_of(setting, list(group), words))
    if not parts:
        none = np.zeros(0, np.int64)
        return glyphs.Pens(none, none, np.zeros(0), none), none, none, words
    ids, atlases, xs, ys, lines, owners = (np.concatenate(part) for part in zip(*parts, strict=True))
    return glyphs.Pens(ids, atlases, xs, ys), lines, owners, words


def _pens_of(setting: Setting, lines: list[Placed], words: list[int]) -> tuple[NDArray[Any], ...]:
    """ids, atlases, xs, ys, lines and words of the glyphs of a paragraph's consecutive lines."""
    drawn = setting.glyphs
    first, after = lines[0].first, lines[-1].after
    edges = np.zeros(after - first)  # of each piece; the white space between lines draws nothing
    fixed = np.zeros((after - first, 3), np.int64)  # baseline, line, number of the first word less its own
    for line in lines:
        here = slice(line.first - first, line.after - first)
        edges[here] = line.xs
        begin, last = line.words
        fixed[here] = line.baseline, line.line, words[-1] - begin
        words.append(words[-1] + last - begin + 1)
    here = slice(int(drawn.first[first]), int(drawn.first[after]))
    units = drawn.units[here]
    of_glyph = fixed[units - first]
    return (
        drawn.ids[here],
        drawn.atlases[here],
        edges[units - first] + drawn.xs[here],
        of_glyph[:, 0] - drawn.ys[here],
        of_glyph[:, 1],
        of_glyph[:, 2] + setting.words[units],
    )


def _around(boxes: NDArray[np.int64], owners: NDArray[np.int64], count: int) -> list[Box | None]:
    """The box around the ink of each owner's glyphs; None for an owner without ink. (G, 4), (G,)"""
    inked = boxes[:, 0] < boxes[:, 2]
    boxes, owners = boxes[inked], owners[inked]
    low = np.full((count, 2), 1 << 30, np.int64)
    high = np.full((count, 2), -1, np.int64)
    for axis in (0, 1):
        np.minimum.at(low[:, axis], owners, boxes[:, axis])
        np.maximum.at(high[:, axis], owners, boxes[:, axis + 2])
    corners = np.concatenate((low, high), axis=1).astype(float).tolist()
    return [Box(*corner) if corner[2] >= 0 else None for corner in corners]


def _place(placed: Placed, first: int, after: int) -> Box:
    """Where pieces without ink stand."""
    xs = placed.xs[first - placed.first : after - placed.first]
    ends = xs + placed.setting.widths[first:after]
    top = placed.baseline - 0.7 * placed.setting.size
    return Box(float(xs.min()), top, float(ends.max()), float(placed.baseline))


def _span(setting: Setting, start: int, end: int) -> Span | None:
    start, after = setting.content.span(start, end)
    return None if start < 0 else (start, after)


def _together(marker: RenderedLine, line: RenderedLine) -> RenderedLine:
    span = line.span
    if marker.span is not None and span is not None:
        span = (marker.span[0], span[1])
    return RenderedLine(f"{marker.text} {line.text}", line.box, span, line.block)


# Colours


def _coloured(ink: NDArray[np.uint8], fills: list[Fill], style: Style) -> Image.Image:
    """The page in its colours: grey where all of them are, else RGB. (H, W)"""
    for fill in fills:
        if fill.rule:
            left, top, right, bottom = fill.box
            ink[top:bottom, left:right] = 255
    tones = _tones(style.ink, style.paper, style.is_grey)
    if style.is_grey and not any(fill.ink or fill.paper for fill in fills):
        return Image.fromarray(ink).point(tones.tolist())
    image = np.take(tones, ink, axis=0)
    for fill in fills:
        if not fill.rule:
            left, top, right, bottom = (max(0, edge) for edge in fill.box)
            tones = _tones(fill.ink or style.ink, fill.paper or style.paper, style.is_grey)
            image[top:bottom, left:right] = tones[ink[top:bottom, left:right]]
    return Image.fromarray(image)


@lru_cache(maxsize=256)
def _tones(ink: Colour, paper: Colour, grey: bool) -> NDArray[np.uint8]:
    """The colour of each amount of ink. (256,) or (256, 3)"""
    share = np.arange(256)[:, None] / 255
    tones: NDArray[np.uint8] = np.rint(np.array(paper) + (np.array(ink) - np.array(paper)) * share).astype(
        np.uint8
    )
    return tones[:, 0] if grey else tones
