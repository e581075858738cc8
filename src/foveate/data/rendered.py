"""Pages set from text in installed fonts, in as many manners as books, letters and web pages have.

A sample is one page: a place in the text, a style, damages, a prompt, all from its own dice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from foveate.data.degrade import degrade, draw_strengths
from foveate.data.passages import Documents, Passage, TextSource, open_source
from foveate.data.sample import Region, Sample, Skipped, Task, ask, dice
from foveate.document import Box
from foveate.errors import OptionError
from foveate.pages.render import RenderedPage, Style, fonts, render

SIZES = (11.0, 26.0)  # of the em in pixels
WIDTHS = (448, 1024)  # pixels of a page
SHAPES = (1.0, 1.294, 1.414, 1.5, 0.75)  # height by width: square, letter, A4, book, a sheet on its side
PROMPTS = {"markdown": 0.4, "ocr": 0.3, "text": 0.3}
ALIGNS = {"start": 0.45, "justified": 0.42, "centre": 0.06, "right": 0.07}
# What the released model calls the blocks of a page.
KINDS = {"list": "text"}
_NOT_FOR_TEXT = re.compile(
    "Math|Symbol|Music|SignWriting|Duployan|Siyaq|Ornament|Emoji|D050000L|Dingbats|Redacted|Barcode"
)
_SENTENCE = re.compile(r"[^.!?。！？।።။]+[.!?。！？।።။]+[\"'”’」』)]*\s*|.+$", re.DOTALL)
_MARKUP = re.compile(r"([\\`*_|])")
_LINE_MARKUP = re.compile(r"\A(\s*)([#+>-]|[0-9]{1,9}(?=[.)]))")


# Markup


def mark_up(rng: np.random.Generator, parts: Sequence[str], rich: float) -> str:
    """Markdown of the paragraphs: some begin with a heading, some are lists or tables. `rich`: how many."""
    blocks = []
    for number, part in enumerate(parts):
        chance = rng.random() / max(rich, 1e-9)
        if len(part) > 60 and (chance < 0.2 or (number == 0 and chance < 0.6)):
            head, part = _head(part)
            level = 1 if number == 0 else int(rng.integers(2, 4))
            blocks.append(f"{'#' * level} {escape(head)}")
        elif chance < 0.32:
            blocks.append(_as_list(rng, part))
            continue
        elif chance < 0.38 and len(part) > 60:
            blocks.append(_as_table(rng, part))
            continue
        if part:
            blocks.append(_emphasised(rng, part) if rng.random() < 0.3 * rich else escape(part))
    return "\n\n".join(blocks)


def escape(text: str) -> str:
    """Text that says the same as Markdown."""
    return _LINE_MARKUP.sub(_escaped_start, _MARKUP.sub(r"\\\1", text)).lstrip("•")


def _escaped_start(match: re.Match[str]) -> str:
    space, sign = match.groups()
    return f"{space}\\{sign}" if not sign.isdigit() else f"{space}{sign}\\"


def _head(text: str) -> tuple[str, str]:
    """A paragraph's first words, and the rest."""
    stop = re.search(r"[.!?,;:。、，；：।]", text[8:60])
    if " " not in text[:60]:
        end = 8 + stop.start() if stop else 14
        return text[:end], text[end:].lstrip(" 。、，；：")
    end = 8 + stop.start() if stop and stop.start() > 4 else text.rfind(" ", 0, 60)
    end = end if end > 0 else text.find(" ")
    return text[:end], text[end:].lstrip(" .!?,;:")


def _as_list(rng: np.random.Generator, text: str) -> str:
    items = [item.strip() for item in _SENTENCE.findall(text)]
    numbered = rng.random() < 0.4
    marks = (f"{n}." if numbered else "-" for n in range(1, len(items) + 1))
    return "\n".join(f"{mark} {escape(item)}" for mark, item in zip(marks, items, strict=True) if item)


def _as_table(rng: np.random.Generator, text: str) -> str:
    """Some words of the text, and numbers, in columns."""
    words = text.split() if text.count(" ") > 8 else re.findall(r".{2,4}", text)
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(2, 7))
    numbers = rng.random(columns) < 0.4
    numbers[0] = False
    lines = []
    for row in range(rows):
        cells = []
        for column in range(columns):
            if numbers[column] and row:
                cells.append(f"{rng.normal(0, 10.0 ** rng.integers(1, 5)):.{rng.integers(0, 3)}f}")
            else:
                at = int(rng.integers(len(words)))
                cells.append(escape(" ".join(words[at : at + int(rng.integers(1, 4))])))
        lines.append(f"| {' | '.join(cells)} |")
        if row == 0:
            lines.append("|" + "---|" * columns)
    return "\n".join(lines)


def _emphasised(rng: np.random.Generator, text: str) -> str:
    """One stretch of the words bold or in italics."""
    words = [escape(word) for word in text.split(" ")]
    start = int(rng.integers(len(words)))
    end = min(len(words), start + int(rng.integers(1, 5)))
    stretch = " ".join(words[start:end])
    if stretch[:1].isalpha() and stretch[-1:].isalpha():
        mark = "**" if rng.random() < 0.6 else "*"
        words[start:end] = [f"{mark}{stretch}{mark}"]
    return " ".join(words)


# Style


@cache
def _text_families() -> tuple[str, ...]:
    """Families of running text."""
    return tuple(
        name
        for name, faces in fonts.families().items()
        if not _NOT_FOR_TEXT.search(name) and any(face.ordinary and not face.italic for face in faces)
    )


def choose_family(rng: np.random.Generator, text: str) -> str | None:
    """A family that has every letter of the text; None if there is none."""
    letters = "".join(sorted({char for char in text if char.isalnum()}))
    known = _text_families()
    for place in rng.permutation(len(known)).tolist():
        if fonts.covering(letters, known[place : place + 1]):
            return str(known[place])
    return None


def _weighted(rng: np.random.Generator, weights: dict[str, float]) -> str:
    edges = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def draw_style(rng: np.random.Generator) -> Style:
    """A page's manner, without fonts and language."""
    width = int(rng.integers(WIDTHS[0], WIDTHS[1] + 1))
    height = round(width * SHAPES[int(rng.integers(len(SHAPES)))])
    size = math.exp(rng.uniform(math.log(SIZES[0]), math.log(SIZES[1])))
    size = float(round(size)) if size > 16 else round(2 * size) / 2
    margins = tuple(round(share * width) for share in rng.uniform(0.02, 0.11, 4).tolist())
    room = width - margins[0] - margins[2]
    columns = min(1 + int(np.searchsorted((0.72, 0.93), rng.random())), max(1, int(room / (15 * size))))
    ink, paper, heading = _colours(rng)
    align: Any = _weighted(rng, ALIGNS)
    return Style(
        width=width,
        height=height,
        margins=(margins[0], margins[1], margins[2], margins[3]),
        columns=columns,
        gutter=round(rng.uniform(1.2, 2.5) * size),
        size=size,
        bold=bool(rng.random() < 0.08),
        italic=bool(rng.random() < 0.06),
        leading=round(rng.uniform(1.05, 1.7), 2),
        align=align,
        paragraph_gap=round(rng.uniform(0.2, 1.0), 2),
        indent=round(rng.uniform(0.8, 2.0), 1) if rng.random() < 0.25 else 0.0,
        word_spacing=round(rng.uniform(0.9, 1.3), 2),
        kerning=bool(rng.random() < 0.85),
        subpixel=bool(rng.random() < 0.75),
        ink=ink,
        paper=paper,
        heading_ink=heading,
        heading_scale=round(rng.uniform(0.8, 1.2), 2),
        bullet="•–▪◦-"[int(rng.integers(5))],
        rules=("grid", "grid", "rows", "none")[int(rng.integers(4))],
        page_numbers=bool(rng.random() < 0.3),
        first_page=int(rng.integers(1, 500)),
        markdown=bool(rng.random() < 0.7),
    )


_Colour = tuple[int, int, int]


def _colours(rng: np.random.Generator) -> tuple[_Colour, _Colour, _Colour | None]:
    """Ink, paper, and the ink of headings: mostly black on white, now and then in colours or inverted."""
    kind = rng.random()
    if kind < 0.6:
        return (0, 0, 0), (255, 255, 255), None
    dark, light = rng.integers(0, 90, 3).tolist(), rng.integers(215, 256, 3).tolist()
    if kind < 0.75:  # greys
        dark, light = [dark[0]] * 3, [light[0]] * 3
    accent = rng.integers(0, 150, 3).tolist() if kind >= 0.75 and rng.random() < 0.5 else None
    if kind > 0.95:
        dark, light, accent = light, dark, None
    return _colour(dark), _colour(light), _colour(accent) if accent else None


def _colour(values: list[int]) -> _Colour:
    red, green, blue = values
    return red, green, blue


# Samples


@dataclass(frozen=True)
class RenderedMaker:
    """Pages without end from the text of files, of documents given as (language, text), or of both."""

    files: tuple[Path, ...] = ()
    documents: tuple[tuple[str, str], ...] = ()
    damaged: float = 0.5  # chance that a page is degraded
    rich: float = 1.0  # how many headings, lists and tables, 0 for none

    def __post_init__(self) -> None:
        if not self.files and not self.documents:
            raise OptionError("rendered pages need text: name a file of it")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.files, self.documents, self.damaged, self.rich)  # without open files

    @property
    def kind(self) -> str:
        return "rendered"

    @property
    def task(self) -> Task:
        return "ocr1"

    @property
    def size(self) -> None:
        return None

    @cached_property
    def _sources(self) -> tuple[TextSource, ...]:
        given = (Documents("text", self.documents),) if self.documents else ()
        return (*given, *(open_source(path) for path in self.files))

    def make(self, number: int, seed: int) -> Sample | Skipped:
        """A page of a style of its own; skipped where the text has nothing to show, or nothing fits."""
        rng = dice(self.kind, number, seed)
        source = self._sources[int(rng.integers(len(self._sources)))]
        style = draw_style(rng)
        passage = source.pick(rng, _characters(style))
        if rng.random() < 0.25:  # a page need not be full
            some = max(1, round(len(passage.paragraphs) * rng.random()))
            passage = replace(passage, paragraphs=passage.paragraphs[:some])
        try:
            page, left_out = self._page(rng, style, passage)
        except OptionError as problem:
            return Skipped(self.kind, passage.source, str(problem), number)
        if not page.text.strip():
            return Skipped(self.kind, passage.source, "no text at this place", number)
        strengths = draw_strengths(rng) if rng.random() < self.damaged else {}
        prompt = _weighted(rng, PROMPTS)
        damaged = degrade(page.image, regions_of(page), strengths, rng)
        answer = ANSWERS[prompt](damaged.regions, *damaged.image.size)
        details = _details(page, damaged.strengths, left_out)
        return Sample(
            self.kind,
            self.task,
            ask(prompt, answer),
            damaged.image,
            passage.language,
            damaged.regions,
            passage.source,
            number,
            seed,
            details,
        )

    def _page(self, rng: np.random.Generator, style: Style, passage: Passage) -> tuple[RenderedPage, str]:
        """The passage's first page, and the characters left out because no font has them."""
        parts = passage.paragraphs
        family = choose_family(rng, "".join(parts))
        style = replace(style, language=passage.language, fonts=(family or "Noto Sans",))
        if rng.random() < 0.2:
            room = style.width - style.margins[0] - style.margins[2]
            style = replace(style, header=_head(parts[0])[0][: int(room / style.size)])
        text = mark_up(rng, parts, self.rich) if style.markdown else "\n\n".join(parts)
        page = render(text, style, limit=1)[0]
        lost = "".join(sorted({char for char, _ in page.missing}))
        if lost:
            page = render(text.translate(dict.fromkeys(map(ord, lost))), style, limit=1)[0]
        return page, lost


def _characters(style: Style) -> int:
    """As many as may fit on a page."""
    room = style.columns * style.column_width * (style.height - style.margins[1] - style.margins[3])
    return round(1.1 * room / (0.45 * style.leading * style.size**2)) + 40


def _details(page: RenderedPage, strengths: dict[str, float], left_out: str) -> dict[str, Any]:
    style = page.style
    details: dict[str, Any] = {
        "fonts": list(page.fonts),
        "size": style.size,
        "columns": style.columns,
        "align": style.align,
        "leading": style.leading,
        "ink": list(style.ink),
        "paper": list(style.paper),
        "markdown": style.markdown,
        "degradations": strengths,
    }
    return details | ({"left_out": left_out} if left_out else {})


# Answers


def regions_of(page: RenderedPage) -> list[Region]:
    """The page's blocks, lines and words."""
    return [
        *(Region(KINDS.get(block.kind, block.kind), block.box, block.text) for block in page.blocks),
        *(Region("line", line.box, line.text) for line in page.lines),
        *(Region("word", word.box, word.text) for word in page.words),
    ]


def fine(regions: Sequence[Region], width: int, height: int) -> str:
    """The released markup: each block's kind and box, and its text below; two spaces end a paragraph."""
    blocks = [region for region in regions if region.kind not in ("line", "word")]
    written = []
    for block in blocks:
        ending = "" if block.kind == "table" else "  "
        written.append(f"{reference(block.kind, block.box, width, height)}\n{block.text}{ending}")
    return "\n\n".join(written).rstrip()


def by_line(regions: Sequence[Region], width: int, height: int) -> str:
    """Each line's words with their box."""
    lines = (region for region in regions if region.kind == "line" and region.text)
    return "\n".join(reference(line.text, line.box, width, height) for line in lines)


def coarse(regions: Sequence[Region], width: int, height: int) -> str:
    """The page's text alone."""
    return "\n\n".join(region.text for region in regions if region.kind not in ("line", "word"))


ANSWERS = {"markdown": fine, "ocr": by_line, "text": coarse}


def reference(label: str, box: Box, width: int, height: int) -> str:
    """A label with a box on the grid from 0 to 999."""
    corners = ", ".join(map(str, box.to_grid(width, height)))
    return f"<|ref|>{label}<|/ref|><|det|>[[{corners}]]<|/det|>"
