"""A page of an open PDF: its pixels, and its own text with the geometry of every word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from foveate.data.documents import characters
from foveate.data.documents.characters import Frame, Word
from foveate.data.documents.drawings import Drawings, drawings
from foveate.document import Box
from foveate.errors import SourceTooLarge
from foveate.pages.pdf import PDFIUM, PdfPages, drawn_dpi

_POINTS = 72  # to the inch
_MOST_DPI = 300
_INK = 24  # of 255: what lies between the darkest and the lightest pixel of a word that can be seen
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
BANDS = 0.12  # of the height: how far down running headers reach, and how far up footers


@dataclass(frozen=True)
class PageText:
    """The words that a page shows and those that it has but does not show; in points, as shown."""

    width: float
    height: float
    words: tuple[Word, ...]  # a word of which nothing can be told has its place, and no text
    drawings: Drawings = field(default_factory=Drawings)
    hidden: tuple[Word, ...] = ()  # without ink, drawn in no colour, outside of the page
    copies: tuple[Word, ...] = ()  # printed a second time over itself
    layer: bool = False  # the words are the invisible text layer of a scan
    garbage: int = 0  # characters that are drawn but whose meaning the file does not tell

    @property
    def characters(self) -> int:
        return sum(len(word.text) for word in self.words)


class PdfText(PdfPages):
    """The pages of one PDF with their text. Annotations and form fields are left out: they have none."""

    def __enter__(self) -> PdfText:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def open_page(self, number: int, side: int) -> tuple[Image.Image, PageText]:
        """Page `number` in RGB, with a long side of `side` pixels or of what 300 dpi gives, and its text.

        A page most of whose words run aside or upside down is turned until they stand upright.
        """
        with PDFIUM, self._reading(number):
            page = self._document[number - 1]
            try:
                frame = characters.page_frame(page)
                found = self._words(page, frame, number)
                turn = _main_angle(found)
                if turn:
                    frame = _turning(turn, *page.get_size()).after(frame)
                    found = self._words(page, frame, number)
                drawn = drawings(page, frame)
                image = self._draw(page, side)
                width, height = page.get_size()
            finally:
                page.close()
        if turn:
            image = image.transpose(_TURNS[turn])
        width, height = (height, width) if turn in (90, 270) else (width, height)
        return image, _sorted_out(found, drawn, width, height, image)

    def _draw(self, page: Any, side: int) -> Image.Image:
        width, height = page.get_size()
        asked = min(side / max(width, height) * _POINTS, _MOST_DPI)
        dpi = drawn_dpi(width, height, asked, self._most_pixels)
        bitmap = page.render(scale=dpi / _POINTS * (1 - 1e-9), draw_annots=False, may_draw_forms=False)
        try:
            picture: Image.Image = bitmap.to_pil()
            return picture.convert("RGB")
        finally:
            bitmap.close()

    def bands(self, number: int) -> tuple[str, str]:
        """The raw text at the top and at the bottom of a page, to be compared with other pages'."""
        with PDFIUM, self._reading(number):
            page = self._document[number - 1]
            try:
                text_page = page.get_textpage()
                try:
                    frame = characters.page_frame(page)
                    width, height = page.get_size()
                    edges = Box(0, 0, width, height * BANDS), Box(0, height * (1 - BANDS), width, height)
                    upper, lower = (
                        text_page.get_text_bounded(band.x0, band.y0, band.x1, band.y1)
                        for band in map(frame.back, edges)
                    )
                    return upper, lower
                finally:
                    text_page.close()
            finally:
                page.close()

    def _words(self, page: Any, frame: Frame, number: int) -> list[Word]:
        text_page = page.get_textpage()
        try:
            count = text_page.count_chars()
            if count > characters.MOST_CHARACTERS:
                raise SourceTooLarge(
                    f"{self._name}: page {number} has {count:,} characters, over the limit of "
                    f"{characters.MOST_CHARACTERS:,}: leave it out"
                )
            return list(characters.words(text_page, frame))
        finally:
            text_page.close()


def _main_angle(words: list[Word]) -> int:
    """How the words of a page are turned, clockwise, when most of them are turned alike by a quarter."""
    angles: Counter[int] = Counter()
    for word in words:
        angles[word.style.angle] += len(word.text)
    angle, count = angles.most_common(1)[0] if angles else (0, 0)
    return angle if angle in _TURNS and count > 0.6 * angles.total() else 0


def _turning(angle: int, width: float, height: float) -> Frame:
    """Takes a page to the same page turned back by `angle` degrees."""
    if angle == 90:
        return Frame(0, -1, 1, 0, 0, width)
    return Frame(0, 1, -1, 0, height, 0) if angle == 270 else Frame(-1, 0, 0, -1, width, height)


def _sorted_out(
    found: list[Word], drawn: Drawings, width: float, height: float, image: Image.Image
) -> PageText:
    """The words that are there to be read apart from the others."""
    grey = np.asarray(image.convert("L"))  # (H, W)
    scale = image.width / width, image.height / height
    words, copies = characters.without_copies(found)
    inked = [_has_ink(word.box, grey, scale) for word in words]
    seen = [word for word, ink in zip(words, inked, strict=True) if ink and not word.style.invisible]
    layer = [word for word, ink in zip(words, inked, strict=True) if ink and word.style.invisible]
    # Either the page has text of its own, or what is invisible is what a program read from its scan.
    is_layer = len(layer) > 4 * len(seen)
    read = [word for word, ink in zip(words, inked, strict=True) if ink] if is_layer else seen
    kept = {word.order for word in read}
    hidden = [word for word in words if word.order not in kept]
    page = Box(0, 0, width, height)
    inside = tuple(replace(word, box=_within(word.box, page)) for word in read)
    garbage = sum(word.garbage for word in read)
    return PageText(width, height, inside, drawn, tuple(hidden), tuple(copies), is_layer, garbage)


def _within(box: Box, page: Box) -> Box:
    x0, x1 = (min(max(x, page.x0), page.x1) for x in (box.x0, box.x1))
    y0, y1 = (min(max(y, page.y0), page.y1) for y in (box.y0, box.y1))
    return Box(x0, y0, x1, y1)


def _has_ink(box: Box, grey: np.ndarray[tuple[int, ...], np.dtype[Any]], scale: tuple[float, float]) -> bool:
    """Whether the pixels under a box, and those right around it, are of more than one shade."""
    x0, y0 = max(int(box.x0 * scale[0]) - 1, 0), max(int(box.y0 * scale[1]) - 1, 0)
    x1, y1 = int(box.x1 * scale[0]) + 2, int(box.y1 * scale[1]) + 2
    under = grey[y0:y1, x0:x1] if x1 > 0 and y1 > 0 else grey[:0]
    return bool(under.size) and int(under.max()) - int(under.min()) >= _INK
