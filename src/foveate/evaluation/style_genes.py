"""What a style is made of while it is searched for, and how it changes.

The page's size is the mode's, or the one that was asked for; type, lines, margins and the like are free.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from foveate.pages.render import Align, Style, fonts
from foveate.pages.render.style import LineBreaks

# Plain faces that many machines have; narrow ones hold more on a line.
FAMILIES = (
    "DejaVu Sans",
    "Noto Sans",
    "Liberation Sans",
    "Liberation Sans Narrow",
    "DejaVu Sans Condensed",
    "DejaVu Serif",
    "Noto Serif",
    "Liberation Serif",
    "Verdana",
    "Arial",
    "Times New Roman",
)


@dataclass(frozen=True)
class Genes:
    """The free part of a style. Numbers are whole steps, so that equal styles are equal."""

    size: int  # of the em, in quarters of a pixel
    leading: int  # in twentieths of the size
    margin: int  # in pixels
    columns: int
    spacing: int  # of words, in tenths of the font's own space
    gap: int  # between paragraphs, in tenths of a line
    font: str
    align: Align
    line_breaks: LineBreaks
    bold: int

    @property
    def key(self) -> str:
        """Names it in the journal."""
        return json.dumps([getattr(self, item.name) for item in fields(self)], ensure_ascii=False)

    def style(self, base: Style) -> Style:
        """The style of these genes on the base's page, in its colours and language."""
        return replace(
            base,
            size=self.size / 4,
            leading=self.leading / 20,
            margins=(self.margin,) * 4,
            columns=self.columns,
            gutter=max(8, round(self.size / 4)),
            word_spacing=self.spacing / 10,
            paragraph_gap=self.gap / 10,
            fonts=(self.font, *(family for family in base.fonts if family != self.font)),
            align=self.align,
            line_breaks=self.line_breaks,
            bold=bool(self.bold),
            markdown=False,
        )


# Least, most and usual step of each number.
_NUMBERS = {
    "size": (20, 96, 4),
    "leading": (19, 32, 1),
    "margin": (0, 64, 6),
    "columns": (1, 3, 1),
    "spacing": (7, 13, 1),
    "gap": (0, 8, 2),
    "bold": (0, 1, 1),
}
_WORDS = {"align": ("start", "justified"), "line_breaks": ("kept", "marked", "joined")}
_RARE = {"columns", "bold"}  # seldom worth a change


def known_families(wanted: Sequence[str] = FAMILIES) -> tuple[str, ...]:
    """The families that are installed, in their order; the first one of all where none is."""
    installed = fonts.families()
    return tuple(name for name in wanted if name in installed) or tuple(installed)[:1]


def genes_of(style: Style, families: Sequence[str]) -> Genes:
    """The genes nearest to a style."""
    numbers = {
        "size": round(4 * style.size),
        "leading": round(20 * style.leading),
        "margin": round(sum(style.margins) / 4),
        "columns": style.columns,
        "spacing": round(10 * style.word_spacing),
        "gap": round(10 * style.paragraph_gap),
        "bold": int(style.bold),
    }
    held = {name: min(max(value, _NUMBERS[name][0]), _NUMBERS[name][1]) for name, value in numbers.items()}
    font = next((name for name in style.fonts if name in families), families[0])
    align: Align = style.align if style.align in _WORDS["align"] else "start"
    return Genes(font=font, align=align, line_breaks=style.line_breaks, **held)


def drawn(rng: np.random.Generator, families: Sequence[str]) -> Genes:
    """Genes by dice."""
    values: dict[str, Any] = {}
    for name, (low, high, _) in _NUMBERS.items():
        values[name] = low if name in _RARE else int(rng.integers(low, high + 1))
    values["size"] = int(rng.integers(24, 73))
    for name, choices in _words(families).items():
        values[name] = choices[int(rng.integers(len(choices)))]
    return Genes(**values)


def child(one: Genes, other: Genes, rng: np.random.Generator, families: Sequence[str]) -> Genes:
    """Each gene of one parent or the other, and then some changed a little."""
    values: dict[str, Any] = {}
    for item in fields(Genes):
        values[item.name] = getattr(one if rng.random() < 0.5 else other, item.name)
    for name, (low, high, step) in _NUMBERS.items():
        if rng.random() < (0.06 if name in _RARE else 0.45):
            moved = values[name] + round(float(rng.normal(0, step))) + int(rng.integers(-1, 2))
            values[name] = min(max(moved, low), high)
    for name, choices in _words(families).items():
        if rng.random() < 0.15:
            values[name] = choices[int(rng.integers(len(choices)))]
    return Genes(**values)


def _words(families: Sequence[str]) -> dict[str, Sequence[str]]:
    return {**_WORDS, "font": families}
