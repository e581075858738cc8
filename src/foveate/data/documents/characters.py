"""The words of a PDF page: pdfium's characters, put right and gathered.

Everything is in points of the page as it is shown: turned by its /Rotate, cropped, origin at the top left.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from foveate.document import Box

MOST_CHARACTERS = 60_000  # of a page; a newspaper's has 20,000

# Bullets and the like of the fonts Symbol and Wingdings, which PDFs give in the private use area.
_SYMBOLS = {
    "\uf0b7": "•", "\uf0a7": "▪", "\uf0a8": "□", "\uf0d8": "➢", "\uf0fc": "✓", "\uf0e0": "→", "\uf0be": "─",
    "\uf076": "❖", "\uf06e": "■", "\uf06f": "□", "\uf071": "❑", "\uf0b0": "°", "\uf0b1": "±", "\uf0b4": "×",
    "\uf0ae": "→", "\uf02b": "+", "\uf02d": "−", "\uf03d": "=", "\uf03e": ">", "\uf03c": "<",
}  # fmt: skip
_LIGATURES = {
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st",
}  # fmt: skip
_LINE_END_HYPHEN = "\x02"  # pdfium's, where a word goes on in the next line
_SOFT_HYPHEN = "\xad"
_BOLD = re.compile(
    r"bold|black|heavy|semibold|demi(?!o)|[-,]bd\b|cmbx|sfbx|cmssbx|cmb[0-9]|[-,]medi\b", re.IGNORECASE
)
_ITALIC = re.compile(r"italic|oblique|slanted|[-,]it\b", re.IGNORECASE)
_MONO = re.compile(r"mono|courier|consol|typewriter|cmtt|menlo", re.IGNORECASE)
_MATH = re.compile(
    r"\b(?:[A-Z]{6}\+)?(?:cm(?:mi|sy|ex|bsy|mib)|msam|msbm|.*math|.*symbol|mtsy|mtmi|rmtmi)", re.I
)


@dataclass(frozen=True)
class Style:
    """How a run of characters is set."""

    size: float = 10.0  # points of an em, as shown
    bold: bool = False
    italic: bool = False
    mono: bool = False
    math: bool = False
    font: str = ""
    angle: int = 0  # degrees, clockwise as shown: 0 for upright text
    invisible: bool = False  # drawn in no colour: the text layer of a scan


@dataclass(frozen=True, eq=False)
class Word:
    """Characters without white space between them, in the order of the file."""

    text: str
    box: Box  # around the ink of its characters
    baseline: float  # y, or x where the text runs down or up the page
    style: Style = Style()
    order: int = 0  # of its first character in the file
    hyphen: bool = False  # it goes on in the next line, and its hyphen belongs to the line's end
    garbage: int = 0  # characters that the file does not say the meaning of; not in `text`


class Frame(NamedTuple):
    """Takes page space (points, y up, not turned) to the page as shown."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """The box around a rectangle's image."""
        xs, ys = zip(*(self.point(x, y) for x in (x0, x1) for y in (y0, y1)), strict=True)
        return Box(min(xs), min(ys), max(xs), max(ys))

    def after(self, inner: Frame) -> Frame:
        """First `inner`, then this."""
        a, b = self._direction(inner.a, inner.b)
        c, d = self._direction(inner.c, inner.d)
        return Frame(a, b, c, d, *self.point(inner.e, inner.f))

    def back(self, box: Box) -> Box:
        """The rectangle whose image is `box`."""
        determinant = self.a * self.d - self.b * self.c
        inner = Frame(self.d, -self.b, -self.c, self.a, 0, 0)
        xs, ys = [], []
        for x, y in ((box.x0, box.y0), (box.x1, box.y1)):
            px, py = inner.point((x - self.e) / determinant, (y - self.f) / determinant)
            xs.append(px)
            ys.append(py)
        return Box(min(xs), min(ys), max(xs), max(ys))

    def _direction(self, x: float, y: float) -> tuple[float, float]:
        return self.a * x + self.c * y, self.b * x + self.d * y


def page_frame(page: Any) -> Frame:
    """The frame of a pdfium page, asked of pdfium itself, so that turning and cropping are its own."""
    from pypdfium2 import raw

    width, height = page.get_size()
    fine = 1000  # pdfium answers in whole units: a thousandth of a point
    x, y = ctypes.c_int(), ctypes.c_int()

    def shown(px: float, py: float) -> tuple[float, float]:
        size = (0, 0, round(width * fine), round(height * fine), 0)
        raw.FPDF_PageToDevice(page, *size, px, py, x, y)
        return x.value / fine, y.value / fine

    far = 100.0
    (ox, oy), (ax, ay), (cx, cy) = shown(0, 0), shown(far, 0), shown(0, far)
    return Frame((ax - ox) / far, (ay - oy) / far, (cx - ox) / far, (cy - oy) / far, ox, oy)


@dataclass
class _Gathering:
    """A word being put together."""

    text: list[str] = field(default_factory=list)
    box: Box | None = None
    baseline: float = 0.0
    style: Style | None = None
    order: int = 0
    garbage: int = 0
    end: tuple[float, float] = (0.0, 0.0)  # where the last character stood

    def word(self, hyphen: bool = False) -> Word | None:
        if self.box is None or self.style is None or not (self.text or self.garbage):
            return None
        text = "".join(self.text)
        return Word(text, self.box, self.baseline, self.style, self.order, hyphen, self.garbage)


def words(text_page: Any, frame: Frame) -> Iterator[Word]:
    """The words of a page in the file's order, the invisible ones too."""
    from pypdfium2 import raw

    styles: dict[int, Style] = {}
    current = _Gathering()
    for index in range(raw.FPDFText_CountChars(text_page)):
        code = raw.FPDFText_GetUnicode(text_page, index)
        character = chr(code) if code < 0x110000 else "\ufffd"
        if character.isspace() or character == "\0":
            if word := current.word():
                yield word
            current = _Gathering()
            continue
        if character in (_LINE_END_HYPHEN, _SOFT_HYPHEN):
            if character == _LINE_END_HYPHEN:  # which is also what fonts without a mapping give for others
                ends = raw.FPDFText_IsHyphen(text_page, index) == 1
            else:
                ends = _line_ends(text_page, index)
            if ends:
                current.text.append("-")
                _extend(current, text_page, index, frame, styles)
                if word := current.word(hyphen=True):
                    yield word
                current = _Gathering()
                continue
            if character == _SOFT_HYPHEN:
                continue  # within a line it is not drawn
        box = _extend(current, text_page, index, frame, styles)
        readable = _readable(character, broken=raw.FPDFText_HasUnicodeMapError(text_page, index) == 1)
        if readable is None:
            current.garbage += 1
        elif box is not None or current.text:
            current.text.append(readable)
    if word := current.word():
        yield word


def _readable(character: str, broken: bool) -> str | None:
    """What a character says; None when the file does not tell."""
    character = _SYMBOLS.get(character, character)
    if broken or character == "\ufffd" or character < " " or "\x7f" <= character <= "\x9f":
        return None
    if "\ue000" <= character <= "\uf8ff" or character >= "\U000f0000" or "\ud800" <= character <= "\udfff":
        return None
    return _LIGATURES.get(character, "" if character in "\u200b\ufeff\u200e\u200f\u2060" else character)


def _line_ends(text_page: Any, index: int) -> bool:
    """Whether only white space that pdfium put there follows, with a line's end in it."""
    from pypdfium2 import raw

    following = raw.FPDFText_GetUnicode(text_page, index + 1)
    return following in (0, 10, 13)


def _extend(
    current: _Gathering, text_page: Any, index: int, frame: Frame, styles: dict[int, Style]
) -> Box | None:
    """Adds a character's place to the word; None when it has none."""
    from pypdfium2 import raw

    sides = [ctypes.c_double() for _ in range(4)]
    left, right, bottom, top = sides
    if not raw.FPDFText_GetCharBox(text_page, index, left, right, bottom, top):
        return None
    if current.style is None:
        current.style = _style(text_page, index, frame, styles)
        current.order = index
        x, y = ctypes.c_double(), ctypes.c_double()
        raw.FPDFText_GetCharOrigin(text_page, index, x, y)
        shown = frame.point(x.value, y.value)
        current.baseline = shown[0] if current.style.angle in (90, 270) else shown[1]
    if left.value == right.value or top.value == bottom.value:
        # pdfium's generated characters have no extent, and some fonts' boxes are empty: the loose one is not.
        loose = raw.FS_RECTF()
        if not raw.FPDFText_GetLooseCharBox(text_page, index, loose):
            return None
        box = frame.box(loose.left, loose.bottom, loose.right, loose.top)
    else:
        box = frame.box(left.value, bottom.value, right.value, top.value)
    current.box = current.box.union(box) if current.box else box
    return box


def _style(text_page: Any, index: int, frame: Frame, styles: dict[int, Style]) -> Style:
    """The style of a character; asked once for each text object of the page."""
    from pypdfium2 import raw

    handle = raw.FPDFText_GetTextObject(text_page, index)
    key = ctypes.addressof(handle.contents) if handle else -index - 1
    if key not in styles:
        styles[key] = _asked_style(text_page, index, frame, handle)
    return styles[key]


def _asked_style(text_page: Any, index: int, frame: Frame, handle: Any) -> Style:
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX(1, 0, 0, 1, 0, 0)
    raw.FPDFText_GetMatrix(text_page, index, matrix)
    shown = frame.after(Frame(matrix.a, matrix.b, matrix.c, matrix.d, 0, 0))
    size = abs(raw.FPDFText_GetFontSize(text_page, index)) * math.hypot(shown.c, shown.d)
    degrees = math.degrees(math.atan2(shown.b, shown.a)) % 360
    quarter = round(degrees / 90) * 90
    angle = quarter % 360 if abs(degrees - quarter) <= 4 else round(degrees)
    name, flags = _font(text_page, index)
    mode = raw.FPDFTextObj_GetTextRenderMode(handle) if handle else raw.FPDF_TEXTRENDERMODE_FILL
    hidden = mode in (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)
    bold = bool(_BOLD.search(name)) or bool(flags & 1 << 18)
    italic = bool(_ITALIC.search(name)) or bool(flags & 1 << 6)
    mono = bool(_MONO.search(name))
    return Style(max(size, 0.5), bold, italic, mono, bool(_MATH.search(name)), name, angle, hidden)


def _font(text_page: Any, index: int) -> tuple[str, int]:
    """A character's font: its name, and the flags of its descriptor (PDF 1.7, table 123)."""
    from pypdfium2 import raw

    flags = ctypes.c_int()
    length = raw.FPDFText_GetFontInfo(text_page, index, None, 0, flags)
    if not 0 < length < 1000:
        return "", 0
    buffer = ctypes.create_string_buffer(length)
    raw.FPDFText_GetFontInfo(text_page, index, buffer, length, flags)
    return buffer.value.decode("utf-8", "replace"), flags.value


def without_copies(found: list[Word]) -> tuple[list[Word], list[Word]]:
    """The words, and those that only print an earlier one a second time, for a shadow or as bold."""
    kept: list[Word] = []
    copies: list[Word] = []
    places: dict[tuple[str, int, int], list[Word]] = {}
    for word in found:
        cell = max(word.style.size, 1)
        column, row = int(word.box.x0 // cell), int(word.box.y0 // cell)
        near = [
            other
            for across in (-1, 0, 1)
            for down in (-1, 0, 1)
            for other in places.get((word.text, column + across, row + down), ())
        ]
        if any(_covers(other.box, word.box) for other in near):
            copies.append(word)
            continue
        places.setdefault((word.text, column, row), []).append(word)
        kept.append(word)
    return kept, copies


def _covers(one: Box, other: Box) -> bool:
    return overlap(one, other) >= 0.5 * max(one.area, other.area, 1e-6)


def overlap(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    down = min(one.y1, other.y1) - max(one.y0, other.y0)
    return across * down if across > 0 and down > 0 else 0.0
