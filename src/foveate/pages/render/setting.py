"""A paragraph set in a column: its pieces, their widths, and where its lines end.

Shapes: U pieces of a paragraph (words, characters of Chinese, syllables, white space), G glyphs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from foveate.errors import OptionError
from foveate.pages.render import bidi, shaping
from foveate.pages.render.breaking import Break, clusters, is_simple, pieces, simple_pieces
from foveate.pages.render.content import BOLD, CODE, ITALIC, Content
from foveate.pages.render.glyphs import atlas
from foveate.pages.render.shaping import FACE, HYPHENED, LENGTH, LETTER, SPACE, Typeface, typeface
from foveate.pages.render.style import Style

_LOOSEST = 1.5  # sizes that a justified line's space may grow by; looser lines stay as they are


@dataclass(frozen=True)
class Type:
    """What a paragraph is set in."""

    style: Style
    size: float
    bold: bool = False
    code: bool = False  # in the fonts of code

    def typeface(self, variant: int) -> Typeface:
        """The faces of a stretch, by the bits of its variant."""
        style = self.style
        wanted = style.code_fonts if self.code or variant & CODE else style.fonts
        bold = self.bold or style.bold or bool(variant & BOLD)
        italic = style.italic or bool(variant & ITALIC)
        return typeface(wanted, bold, italic, style.language, style.kerning)


class Setting:
    """The pieces of one paragraph, and their shapes."""

    def __init__(self, content: Content, kind: Type, base: int | None = None) -> None:
        self.content = content
        self.size = kind.size
        self._kind = kind
        text = content.text
        right = bidi.runs_right(text)
        self.base = bidi.base_level(text) if right or base is None else base
        self.levels: NDArray[np.int64] | None = None  # (U,)
        if right or self.base:
            self._fill_turning(text)
        elif len(content.runs) > 1 or not is_simple(text):
            self._fill_any(text)
        else:
            self._fill_simple(text)
        self._measure()

    # The pieces

    def _fill_simple(self, text: str) -> None:
        """The way for most text: one lookup a word, all else in arrays."""
        faces = self._kind.typeface(self.content.runs[0][1] if self.content.runs else 0)
        known, found = faces.known, simple_pieces(text)
        for piece in set(found) - known.keys():
            faces.shape(piece)
        self.shapes = np.array([shape for piece in found for shape in known[piece]], np.int64)  # (U,)
        traits = shaping.shapes.traits[self.shapes]
        spaces = traits[:, SPACE] > 0
        inside = (traits[:-1, HYPHENED] & traits[1:, LETTER]).astype(np.int64)
        self.breaks = np.full(len(spaces), int(Break.SPACE))  # (U,)
        self.breaks[:-1] = np.where(spaces[:-1] | spaces[1:], int(Break.SPACE), inside)

    def _fill_any(self, text: str) -> None:
        """Any script, or more than one style, from left to right."""
        self._fill(self._stretches(text, [0] * len(text)))

    def _fill_turning(self, text: str) -> None:
        """Text of which some runs from right to left."""
        levels = bidi.levels(text, self.base)
        own = self._fill(self._stretches(text, levels))
        self.levels = np.array(own, np.int64)

    def _fill(self, stretches: Iterator[tuple[str, Break, int, int]]) -> list[int]:
        shapes: list[int] = []
        breaks: list[int] = []
        levels: list[int] = []
        faces: dict[int, Typeface] = {}
        for text, joint, variant, level in stretches:
            if variant not in faces:
                faces[variant] = self._kind.typeface(variant)
            parts = faces[variant].shape(text, level % 2 == 1)
            shapes += parts
            breaks += [Break.NEVER] * (len(parts) - 1) + [joint]
            levels += [level] * len(parts)
        self.shapes, self.breaks = np.array(shapes, np.int64), np.array(breaks, np.int64)
        return levels

    def _stretches(self, text: str, levels: Sequence[int]) -> Iterator[tuple[str, Break, int, int]]:
        """(text, break after, variant, level) of what is shaped in one go."""
        changes = {place for place in range(1, len(levels)) if levels[place] != levels[place - 1]}
        variant_of = dict(self.content.runs or ((0, 0),))
        changes |= variant_of.keys()
        at, variant = 0, 0
        for piece, joint in zip(*pieces(text), strict=True):
            end = at + len(piece)
            cuts = [place for place in range(at + 1, end) if place in changes] if changes else []
            for cut in [*cuts, end]:
                variant = variant_of.get(at, variant)
                yield text[at:cut], joint if cut == end else Break.NEVER, variant, levels[at]
                at = cut

    def _measure(self) -> None:
        """What follows from the shapes and breaks."""
        traits = shaping.shapes.traits[self.shapes]
        lengths = traits[:, LENGTH]
        self.ends = np.cumsum(lengths)  # (U,) character after each piece
        self.starts = self.ends - lengths  # (U,) first character
        self.spaces = traits[:, SPACE] > 0  # (U,)
        self.widths = shaping.shapes.measures[self.shapes, 0] * self.size  # (U,)
        if self._kind.style.word_spacing != 1:
            self.widths[self.spaces] *= self._kind.style.word_spacing
        self.edges = np.concatenate(([0.0], np.cumsum(self.widths)))  # (U + 1,)
        begins = ~self.spaces
        begins[1:] &= (self.breaks[:-1] >= Break.BETWEEN) | self.spaces[:-1]
        self.words = np.where(self.spaces, -1, np.cumsum(begins) - 1)  # (U,) number of each piece's word

    @cached_property
    def word_edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First piece of each word, and the piece after its last. (words,)"""
        drawn = np.flatnonzero(~self.spaces)
        edges = np.flatnonzero(np.diff(self.words[drawn])) + 1
        firsts = drawn[np.concatenate(([0], edges))] if len(drawn) else drawn
        lasts = drawn[np.concatenate((edges - 1, [len(drawn) - 1]))] if len(drawn) else drawn
        return firsts, lasts + 1

    # What is drawn

    @cached_property
    def glyphs(self) -> Glyphs:
        """All glyphs of the paragraph."""
        known = shaping.shapes
        first = known.first[self.shapes]
        counts = known.first[self.shapes + 1] - first
        ends = np.cumsum(counts)
        glyphs = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - ends + counts, counts)
        units = np.repeat(np.arange(len(counts)), counts)
        faces = known.traits[self.shapes, FACE]
        which = np.unique(faces[counts > 0]).tolist()
        atlases = np.zeros(max(which, default=0) + 1, np.int64)
        for face in which:
            atlases[face] = atlas(known.faces[face], self.size).number
        places = known.places[glyphs] * self.size
        return Glyphs(
            known.glyphs[glyphs],
            places[:, 0],
            np.rint(places[:, 1]).astype(np.int64),
            atlases[faces[units]] if which else units,
            units,
            np.concatenate(([0], ends)),
        )

    @cached_property
    def ink(self) -> tuple[float, float]:
        """How far the paragraph's ink reaches above and below a baseline, pixels."""
        top, bottom = shaping.shapes.measures[self.shapes, 1:].max(0, initial=0.0).tolist()
        return top * self.size, bottom * self.size

    @property
    def families(self) -> list[str]:
        """The family that draws each piece; "" for white space and what cannot be drawn. (U)"""
        known = shaping.shapes
        drawn = (known.first[self.shapes + 1] > known.first[self.shapes]).tolist()
        faces = known.traits[self.shapes, FACE].tolist()
        return [known.faces[f].file.family if d else "" for f, d in zip(faces, drawn, strict=True)]

    @cached_property
    def missing(self) -> list[tuple[str, int]]:
        """Characters that no font has, and where they stand in the paragraph."""
        lost: list[tuple[str, int]] = []
        if not shaping.shapes.missing:
            return lost
        for shape, start in zip(self.shapes.tolist(), self.starts.tolist(), strict=True):
            for place, char in enumerate(
                shaping.shapes.texts[shape] if shape in shaping.shapes.missing else ""
            ):
                if char in shaping.shapes.missing[shape]:
                    lost.append((char, start + place))
        return lost

    # Lines

    def lines(self, width: float, first: float = 0.0) -> list[tuple[int, int]]:
        """(first piece, piece after the last) of each line; `first` is the first line's indent. Pixels.

        White space at a line's end belongs to no line. Raises `OptionError` where one character is wider.
        """
        starts, ends = self._atoms()
        room = width - max(first, 0.0) + 1e-6
        if (self.edges[ends] - self.edges[starts] > room).any():
            self._split(starts, ends, room)
            starts, ends = self._atoms()
        lefts, rights = self.edges[starts].tolist(), self.edges[ends].tolist()
        found, atom, room = [], 0, width - first + 1e-6
        firsts, afters = starts.tolist(), ends.tolist()
        while atom < len(firsts):
            after = max(bisect_right(rights, lefts[atom] + room), atom + 1)
            found.append((firsts[atom], afters[after - 1]))
            atom, room = after, width + 1e-6
        return found

    def _atoms(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First piece of each stretch that no line may break, and the piece after its last."""
        drawn = np.flatnonzero(~self.spaces)
        if not len(drawn):
            return drawn, drawn
        begins = np.flatnonzero(self.breaks[drawn[1:] - 1] != Break.NEVER) + 1
        starts = np.concatenate(([0], drawn[begins]))  # white space before the first word is an indent
        return starts, np.concatenate((drawn[begins - 1], drawn[-1:])) + 1

    @property
    def narrowest(self) -> float:
        """The width of the widest stretch that no line may break, pixels."""
        starts, ends = self._atoms()
        return float((self.edges[ends] - self.edges[starts]).max(initial=0.0))

    def _split(self, starts: NDArray[np.int64], ends: NDArray[np.int64], room: float) -> None:
        """Cut what is wider than a line, between clusters."""
        wide = self.edges[ends] - self.edges[starts] > room
        for start, end in zip(starts[wide].tolist(), ends[wide].tolist(), strict=True):
            here = self.breaks[start : end - 1]
            here[here == Break.NEVER] = Break.INSIDE
        for unit in reversed(np.flatnonzero((self.widths > room) & ~self.spaces).tolist()):
            self._cut(unit, room / self.size)
        self._measure()

    def _cut(self, unit: int, room: float) -> None:
        """Replace a piece by as few as fit the room (in sizes), each as long as can be."""
        start, end = int(self.starts[unit]), int(self.ends[unit])
        variant = next((v for at, v in reversed(self.content.runs) if at <= start), 0)
        faces = self._kind.typeface(variant)
        leftwards = self.levels is not None and bool(self.levels[unit] % 2)
        parts: list[int] = []
        rest = clusters(self.content.text[start:end])
        while rest:
            low, high = 1, len(rest)
            while low < high:
                middle = (low + high + 1) // 2
                fits = _width(faces.shape("".join(rest[:middle]), leftwards)) <= room
                low, high = (middle, high) if fits else (low, middle - 1)
            part = faces.shape("".join(rest[:low]), leftwards)
            if _width(part) > room + 1e-6:
                raise OptionError(f"{rest[0]!r} is wider than its line: take smaller type or a wider column")
            parts += part
            rest = rest[low:]
        joints = [int(Break.INSIDE)] * (len(parts) - 1) + [int(self.breaks[unit])]
        self.shapes = np.concatenate((self.shapes[:unit], parts, self.shapes[unit + 1 :]))
        self.breaks = np.concatenate((self.breaks[:unit], joints, self.breaks[unit + 1 :]))
        if self.levels is not None:
            own = np.full(len(parts), self.levels[unit])
            self.levels = np.concatenate((self.levels[:unit], own, self.levels[unit + 1 :]))

    def places(self, first: int, after: int, room: float, align: str, last: bool) -> NDArray[np.float64]:
        """Left edge of each piece of a line whose left edge is 0, in a room of so many pixels. (pieces,)"""
        xs: NDArray[np.float64] = self.edges[first:after] - self.edges[first]
        widths = self.widths[first:after]
        free = room - float(self.edges[after] - self.edges[first])
        if align == "justified" and not last and free > 0:
            widths, free = self._stretched(first, after, free)
            xs = np.cumsum(widths) - widths
        if self.levels is not None:
            order = bidi.visual_order(self.levels[first:after].tolist())
            xs[order] = np.cumsum(widths[order]) - widths[order]
        if align == "centre":
            return xs + free / 2
        ragged_left = align == "right" or (align in ("start", "justified") and self.base == 1)
        return xs + free if ragged_left else xs

    def _stretched(self, first: int, after: int, free: float) -> tuple[NDArray[np.float64], float]:
        """Widths that fill the line, and what is left free: nothing, unless it would be too loose."""
        gaps = self.spaces[first:after].copy()
        gaps[: int(np.argmin(gaps))] = False  # an indent stays
        if not gaps.any():
            gaps = self.breaks[first:after] == Break.BETWEEN
            gaps[-1] = False
        count = int(np.count_nonzero(gaps))
        if not count or free / count > _LOOSEST * self.size:
            return self.widths[first:after], free
        return self.widths[first:after] + gaps * (free / count), 0.0


@dataclass(frozen=True)
class Glyphs:
    """Where a paragraph's glyphs stand in their pieces. Pixels, y up."""

    ids: NDArray[np.int64]  # (G,)
    xs: NDArray[np.float64]  # (G,) from the piece's left edge
    ys: NDArray[np.int64]  # (G,) above the baseline
    atlases: NDArray[np.int64]  # (G,)
    units: NDArray[np.int64]  # (G,) piece
    first: NDArray[np.int64]  # (U + 1,) first glyph of each piece


def _width(numbers: tuple[int, ...]) -> float:
    return float(shaping.shapes.measures[list(numbers), 0].sum())
