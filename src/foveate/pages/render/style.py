"""How a page is to look: its size, its type, its colours. Named styles and their files: `styles.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from foveate.errors import OptionError
from foveate.pages.mode import UNTILED, get_mode

Align = Literal["start", "left", "centre", "right", "justified"]
LineBreaks = Literal["kept", "marked", "joined"]
Colour = tuple[int, int, int]
ALIGNMENTS = ("start", "left", "centre", "right", "justified")
LINE_BREAKS = ("kept", "marked", "joined")
RULES = ("grid", "rows", "none")
LIMIT = 1 << 28  # pixels of a page
_HEADING_SIZES = (1.7, 1.4, 1.2, 1.1, 1.0, 1.0)
_RANGES = (
    ("gutter", 0, 1 << 16),
    ("paragraph_gap", 0, 100),
    ("indent", -100, 100),
    ("word_spacing", 0.1, 10),
    ("heading_scale", 0.1, 10),
    ("dpi", 1, 10_000),
)


@dataclass(frozen=True)
class Style:
    """A page's measures and manner. Lengths in pixels where nothing else is said.

    A character that the `fonts` lack is drawn in another installed font; see `fonts.Typeface`.
    `line_breaks` are those of plain text: "kept", each line a paragraph; "marked", all of the text runs on
    and `line_mark` stands where a line ended, so that pages are full (as in Glyph, arXiv:2510.17800);
    "joined", lines that were cut to a width run on and empty lines part the paragraphs.
    """

    width: int = 640
    height: int = 640
    margins: tuple[int, int, int, int] = (32, 32, 32, 32)  # left, top, right, bottom
    columns: int = 1
    gutter: int = 24  # between columns
    fonts: tuple[str, ...] = ("DejaVu Sans", "Noto Sans")  # families, the first that has a character draws it
    size: float = 14.0  # of the em
    bold: bool = False
    italic: bool = False
    leading: float = 1.25  # from baseline to baseline, in sizes; more where the letters would touch
    align: Align = "start"  # "start": left, or right for text that runs from right to left
    paragraph_gap: float = 0.6  # between blocks, in lines
    indent: float = 0.0  # of a paragraph's first line, in sizes
    word_spacing: float = 1.0  # in the font's own space
    kerning: bool = True  # and ligatures; scripts that must be shaped are shaped all the same
    subpixel: bool = True  # glyphs between pixels; otherwise each stands on a whole one
    ink: Colour = (0, 0, 0)
    paper: Colour = (255, 255, 255)
    heading_ink: Colour | None = None  # as `ink` without one
    heading_scale: float = 1.0  # of the headings' sizes
    code_fonts: tuple[str, ...] = ("DejaVu Sans Mono", "Noto Sans Mono")
    code_paper: Colour | None = None  # behind code; a shade of `paper` without one
    bullet: str = "•"
    rules: Literal["grid", "rows", "none"] = "grid"  # of tables
    header: str = ""  # above every page; "{page}" is its number
    footer: str = ""
    page_numbers: bool = False  # below every page, in the middle
    first_page: int = 1
    markdown: bool = False  # headings, lists, tables, code and emphasis; otherwise the text as it stands
    language: str = ""  # BCP 47: chooses among the shapes of Chinese, Japanese and Korean, and local forms
    dpi: float = 96.0  # pixels of an inch, of what is written to files and of lengths in pt, mm and so on
    line_breaks: LineBreaks = "kept"
    line_mark: str = "¶"

    def __post_init__(self) -> None:
        self._check_measures()
        left, top, right, bottom = self.margins
        if min(self.width, self.height) < 1 or self.width * self.height > LIMIT:
            raise OptionError(f"a page of {self.width} x {self.height} pixels: 1 to {LIMIT} pixels in all")
        if min(self.margins) < 0 or left + right >= self.width or top + bottom >= self.height:
            raise OptionError(f"margins {self.margins} leave no room on {self.width} x {self.height} pixels")
        if self.columns < 1 or self.column_width < self.size:
            raise OptionError(f"{self.columns} columns do not fit: take fewer, or smaller type and margins")
        if not 4 <= self.size <= 400 or not 0.5 <= self.leading <= 10:
            raise OptionError("the size is 4 to 400 pixels, the leading 0.5 to 10 sizes")
        if self.align not in ALIGNMENTS:
            raise OptionError(f"{self.align!r} is no alignment: choose from {', '.join(ALIGNMENTS)}")
        if self.rules not in RULES:
            raise OptionError(f"{self.rules!r} are no rules: choose from {', '.join(RULES)}")

        if self.line_breaks not in LINE_BREAKS:
            raise OptionError(f"line_breaks is {self.line_breaks!r}: choose from {', '.join(LINE_BREAKS)}")
        if self.line_breaks == "marked" and (not self.line_mark.strip() or len(self.line_mark) > 8):
            raise OptionError("line_mark is 1 to 8 characters that can be seen, such as ¶")

    def _check_measures(self) -> None:
        """Numbers that no page can have."""
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise OptionError(f"{name} is {getattr(self, name)}: choose {low:g} to {high:g}")
        for colour in (self.ink, self.paper, self.heading_ink, self.code_paper):
            if colour is not None and (len(colour) != 3 or not all(0 <= part <= 255 for part in colour)):
                raise OptionError(f"{colour} is no colour: red, green and blue are 0 to 255")

    def sized(self, width: int, height: int) -> Style:
        """The style on a page of so many pixels: margins and gutter keep their share, the type its size."""
        if (width, height) == (self.width, self.height):
            return self
        left, top, right, bottom = self.margins
        across, down = width / self.width, height / self.height
        margins = (round(left * across), round(top * down), round(right * across), round(bottom * down))
        return replace(self, width=width, height=height, margins=margins, gutter=round(self.gutter * across))

    def for_mode(self, name: str) -> Style:
        """The style on a page that the mode sees pixel for pixel: tiny 512, small 640, base 1024, large 1280.

        For a mode with tiles a page of two by two of them. Raises `UnknownMode`.
        """
        mode = get_mode(name)
        side = 2 * mode.tile if mode.tile else mode.side
        assert not mode.tile or side > UNTILED
        return self.sized(side, side)

    def at(self, dpi: float) -> Style:
        """The same page at another resolution: everything that is in pixels grows or shrinks."""
        factor = dpi / self.dpi
        if not 0 < factor < math.inf:
            raise OptionError(f"{dpi} pixels an inch: choose a number above 0")
        left, top, right, bottom = (round(side * factor) for side in self.margins)
        return replace(
            self,
            width=round(self.width * factor),
            height=round(self.height * factor),
            margins=(left, top, right, bottom),
            gutter=round(self.gutter * factor),
            size=self.size * factor,
            dpi=dpi,
        )

    @property
    def column_width(self) -> float:
        """Pixels."""
        left, _, right, _ = self.margins
        return (self.width - left - right - self.gutter * (self.columns - 1)) / self.columns

    def heading_size(self, level: int) -> float:
        """Pixels of the em of a heading; level 1 is the title."""
        return max(4.0, round(2 * self.size * _HEADING_SIZES[level - 1] * self.heading_scale) / 2)

    @property
    def is_grey(self) -> bool:
        """Whether every colour is a grey."""
        colours = (self.ink, self.paper, self.heading_ink or self.ink, self.code_paper or self.paper)
        return all(len(set(colour)) == 1 for colour in colours)

    @property
    def code_shade(self) -> Colour:
        """What is behind code."""
        if self.code_paper is not None:
            return self.code_paper
        red, green, blue = (
            round(0.94 * paper + 0.06 * ink) for paper, ink in zip(self.paper, self.ink, strict=True)
        )
        return red, green, blue
