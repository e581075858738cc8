"""Text to glyphs: HarfBuzz's shapes of words, kept, since words come again.

A shape has a number, and what is known of all shapes lies in arrays, so that a paragraph is an array of
numbers. Lengths are in sizes (ems), y up: one shape serves every type size.

Shapes: E shapes, G glyphs of all of them.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.pages.render import fonts
from foveate.pages.render.breaking import HYPHENS, clusters, is_space
from foveate.pages.render.fonts import Face

KEPT = 150_000  # shapes in a process, about 0.5 kB each; beyond, all are forgotten and made again as needed
_WIDTHS = {"\t": 4.0, "\u3000": 3.0, "\u2003": 3.0, "\u2001": 3.0, "\u2009": 0.7, "\u200a": 0.3}  # in spaces


class Shapes:
    """All shapes of a process."""

    def __init__(self) -> None:
        self.count = 0
        self.texts: list[str] = []
        self.faces: list[Face] = []
        self.missing: dict[int, str] = {}  # characters that no font has; nothing is drawn for them
        self.measures = np.zeros((1024, 3))  # (E, 3) advance, ink above and below the baseline
        self.traits = np.zeros((1024, 5), np.int64)  # (E, 5) characters, face, and as `_SPACE` and so on say
        self.first = np.zeros(1024, np.int64)  # (E + 1,) first glyph
        self.glyphs = np.zeros(8192, np.int64)  # (G,)
        self.places = np.zeros((8192, 2))  # (G, 2) from the piece's left edge, above the baseline
        self._face_numbers: dict[Face, int] = {}

    def add(
        self,
        face: Face,
        text: str,
        glyphs: list[int],
        places: list[tuple[float, float]],
        measures: tuple[float, float, float],
        missing: str = "",
    ) -> int:
        """Keep a shape; its number."""
        number, start = self.count, int(self.first[self.count])
        end = start + len(glyphs)
        if number + 2 > len(self.first) - 1:
            self.measures, self.traits = _longer(self.measures), _longer(self.traits)
            self.first = _longer(self.first)
        while end > len(self.glyphs):
            self.glyphs, self.places = _longer(self.glyphs), _longer(self.places)
        self.measures[number] = measures
        self.traits[number] = (len(text), self._number(face), *_traits(text))
        self.first[number + 1] = end
        if glyphs:
            self.glyphs[start:end], self.places[start:end] = glyphs, places
        self.texts.append(text)
        if missing:
            self.missing[number] = missing
        self.count += 1
        return number

    def _number(self, face: Face) -> int:
        if face not in self._face_numbers:
            self._face_numbers[face] = len(self.faces)
            self.faces.append(face)
        return self._face_numbers[face]


LENGTH, FACE, SPACE, HYPHENED, LETTER = range(5)  # columns of `Shapes.traits`


def _traits(text: str) -> tuple[bool, bool, bool]:
    """Whether it is white space, a word cut after its hyphen, and begins with a letter."""
    hyphened = text[-1] in HYPHENS and text.rstrip(HYPHENS)[-1:].isalpha()
    return is_space(text[0]), hyphened, text[0].isalpha()


def _longer(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate((array, np.zeros_like(array)))


shapes = Shapes()
_SIGNS = "[!-/:-@\\[-`{-~\u00ab\u00bb\u2010-\u2027\u3001\u3002]*"
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_PUNCTUATED = re.compile(f"({_SIGNS})(.+?)({_SIGNS})", re.DOTALL)


class Typeface:
    """A chain of fonts in a style. Its `known` pieces have shapes: one, or several in their order."""

    def __init__(
        self, families: tuple[str, ...], bold: bool, italic: bool, language: str, kerning: bool
    ) -> None:
        self._fonts = fonts.chain(families, bold, italic, language)
        self._language = language
        self._features = {} if kerning else {"kern": False, "liga": False, "clig": False}
        self._wanted = sum(family in fonts.families() for family in families)
        self._face_of: dict[str, Face | None] = {}
        self.known: dict[str, tuple[int, ...]] = {}
        self.known_leftwards: dict[str, tuple[int, ...]] = {}

    @cached_property
    def _space(self) -> float:
        shaped = self._shaped(fonts.open_face(self._fonts[0]), " ", False)
        return shaped[2][0] if shaped is not None else 0.25

    def shape(self, text: str, leftwards: bool = False) -> tuple[int, ...]:
        """Numbers of the piece's shapes; several where no one font has all of it."""
        known = self.known_leftwards if leftwards else self.known
        if text not in known:
            if is_space(text[0]):
                width = sum(_WIDTHS.get(char, 1.0) for char in text) * self._space
                first = fonts.open_face(self._fonts[0])
                known[text] = (shapes.add(first, text, [], [], (width, 0.0, 0.0)),)
            else:
                known[text] = tuple(self._add(face, part, leftwards) for face, part in self._by_face(text))
        return known[text]

    def _add(self, face: Face | None, text: str, leftwards: bool) -> int:
        if face is not None and (shaped := self._shaped(face, text, leftwards)) is not None:
            return shapes.add(face, text, *shaped)
        lost = "".join(char for char in text if not fonts.is_invisible(char))
        first = fonts.open_face(self._fonts[0])
        return shapes.add(first, text, [], [], (0.5 * len(lost), 0.0, 0.0), lost)

    def _by_face(self, text: str) -> list[tuple[Face | None, str]]:
        """The text cut where the font must change; never inside a cluster."""
        for font in self._fonts[: self._wanted]:
            if (first := fonts.open_face(font)).covers(text):
                return [(first, text)]
        # Signs around a word may come from another font than its letters, which join and stay together.
        word = _PUNCTUATED.fullmatch(text)
        parts = [part for part in word.groups() if part] if word else [text]
        found: list[tuple[Face | None, str]] = []
        for part in parts:
            face = self._find(part)
            for letter in [part] if face is not None else clusters(part):
                before = found[-1][0] if found else None
                own = face or (before if before and before.covers(letter) else self._find(letter))
                if found and own is before:
                    found[-1] = (before, found[-1][1] + letter)
                else:
                    found.append((own, letter))
        return found

    def _find(self, text: str) -> Face | None:
        """The first face that draws all of the text; None when none does."""
        needed = "".join(sorted({char for char in text if not fonts.is_invisible(char)}))
        if needed not in self._face_of:
            faces = (fonts.open_face(font) for font in self._fonts)
            face = next((face for face in faces if face.covers(needed)), None)
            self._face_of[needed] = face or self._composing(text)
        return self._face_of[needed]

    def _composing(self, text: str) -> Face | None:
        """A face that lacks a character and yet draws it, composed of others or as one with its mark."""
        if len(text) == 1 or len(clusters(text)) > 1:
            return None
        faces = (fonts.open_face(font) for font in self._fonts)
        return next((face for face in faces if face.shape(text, False, self._language, {}) is not None), None)

    def _shaped(
        self, face: Face, text: str, leftwards: bool
    ) -> tuple[list[int], list[tuple[float, float]], tuple[float, float, float]] | None:
        """Glyphs that draw something, their places, and advance and ink above and below the baseline.

        None where the face lacks a glyph.
        """
        # HarfBuzz gives control characters the glyph of what is missing.
        shaped = face.shape(_CONTROLS.sub("", text), leftwards, self._language, self._features)
        if shaped is None:
            return None
        em = face.upem
        pen, top, bottom = 0, 0, 0
        glyphs, places = [], []
        for glyph, x, y, advance in shaped:
            high, height = face.extent(glyph)
            if height:
                glyphs.append(glyph)
                places.append(((pen + x) / em, y / em))
                top, bottom = max(top, high + y), max(bottom, height - high - y)
            pen += advance
        return glyphs, places, (pen / em, top / em, bottom / em)


@lru_cache(maxsize=512)
def typeface(
    families: tuple[str, ...], bold: bool, italic: bool, language: str, kerning: bool = True
) -> Typeface:
    """The same typeface for the same wishes."""
    return Typeface(families, bold, italic, language, kerning)


def forget(over: int = KEPT) -> None:
    """Let go of all shapes when there are more than `over`; not while a page is being made."""
    global shapes
    if shapes.count > over:
        shapes = Shapes()
        typeface.cache_clear()
