"""How a chart looks, for both renderers: sizes, fonts, colours, grids, legends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Grid = Literal["none", "values", "both"]
Frame = Literal["box", "corner", "bottom", "none"]
Legend = Literal["right", "top", "bottom"]
Choice = TypeVar("Choice", bound=str)

FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral")
# Eight colours each, neighbours apart in hue or in lightness.
PALETTES: dict[str, tuple[str, ...]] = {
    "tab": ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf"),
    "tableau": ("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#9c755f"),
    "dark": ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#5a5a5a"),
    "soft": ("#66c2a5", "#fc8d62", "#8da0cb", "#e78ac3", "#a6d854", "#ffd92f", "#e5c494", "#a0a0a0"),
    "office": ("#4472c4", "#ed7d31", "#a5a5a5", "#ffc000", "#5b9bd5", "#70ad47", "#264478", "#9e480e"),
    "okabe": ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8ac1c", "#444444"),
    "earth": ("#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51", "#8ab17d", "#6d597a", "#b56576"),
    "bright": ("#ef476f", "#ffa600", "#06d6a0", "#118ab2", "#8338ec", "#fb5607", "#3a86ff", "#7cb518"),
    "blues": ("#08306b", "#6baed6", "#2171b5", "#bdd7e7", "#4292c6", "#0b4f8a", "#93c4df", "#3b6fa0"),
    "greys": ("#252525", "#a6a6a6", "#636363", "#cccccc", "#7f7f7f", "#434343", "#bbbbbb", "#909090"),
}
PLAIN = ("blues", "greys")  # of one hue: lines need markers and dashes to be told apart
ON_DARK = ("tableau", "soft", "bright")  # palettes without colours that vanish on a dark ground


@dataclass(frozen=True)
class Theme:
    """The colours around the marks."""

    paper: str
    plot: str
    ink: str
    grid: str


THEMES: dict[str, Theme] = {
    "white": Theme("#ffffff", "#ffffff", "#000000", "#d0d0d0"),
    "clean": Theme("#ffffff", "#ffffff", "#404040", "#e4e4e4"),
    "grey": Theme("#ffffff", "#ebebeb", "#333333", "#ffffff"),
    "slate": Theme("#f0f0f0", "#f0f0f0", "#3c3c3c", "#cbcbcb"),
    "cream": Theme("#fdf6e3", "#fdf6e3", "#43504d", "#ddd6c1"),
    "lilac": Theme("#ffffff", "#eaeaf2", "#262626", "#ffffff"),
    "night": Theme("#1e1e24", "#1e1e24", "#e8e8e8", "#44444c"),
}


@dataclass(frozen=True)
class Style:
    """Everything about a picture but its numbers. Lengths in pixels unless they say otherwise."""

    width: int
    height: int
    font: str
    text: float  # height of the ordinary text
    theme: str
    palette: str
    grid: Grid
    frame: Frame
    legend: Legend
    title_left: bool
    bold_title: bool
    bar_share: float  # of the room that a category has, 0 to 1
    edges: bool  # outlines around bars, wedges and boxes
    line_width: float
    markers: bool
    dashes: bool
    opacity: float  # of areas, 0 to 1
    hole: float  # of a pie, in parts of its radius
    start: float  # where a pie begins, radians clockwise from the top
    round_web: bool  # a radar's web: circles instead of polygons

    @property
    def colors(self) -> tuple[str, ...]:
        return PALETTES[self.palette]

    @property
    def around(self) -> Theme:
        return THEMES[self.theme]

    @property
    def plot_width(self) -> int:
        """About what axes and legend leave of the width."""
        return round(self.width * (0.66 if self.legend == "right" else 0.82))

    @property
    def plot_height(self) -> int:
        """About what axes, title and legend leave of the height."""
        return round(self.height * (0.7 if self.legend == "right" else 0.64))


def random_style(rng: np.random.Generator) -> Style:
    """One of many looks, readable when seen at its own size."""
    theme = str(rng.choice(list(THEMES)))
    palette = str(rng.choice(ON_DARK if theme == "night" else list(PALETTES)))
    width = int(rng.integers(440, 801))
    plain = palette in PLAIN
    font = str(rng.choice(FONTS, p=(0.5, 0.2, 0.08, 0.22)))
    return Style(
        width=width,
        height=int(min(max(width * rng.uniform(0.58, 0.85), 340), 620)),
        font=font,
        text=float(rng.integers(11, 15)) + (1.5 if font == "STIXGeneral" else 0),  # its letters are small
        theme=theme,
        palette=palette,
        grid=_one(rng, ("none", "values", "both")),
        frame=_one(rng, ("box", "corner", "bottom", "none")),
        legend=_one(rng, ("right", "top", "bottom")),
        title_left=bool(rng.random() < 0.3),
        bold_title=bool(rng.random() < 0.4),
        bar_share=float(rng.uniform(0.5, 0.88)),
        edges=bool(plain or rng.random() < 0.3),
        line_width=float(rng.uniform(1.4, 3)),
        markers=bool(plain or rng.random() < 0.6),
        dashes=bool(plain or rng.random() < 0.2),
        opacity=float(rng.uniform(0.5, 1)),
        hole=float(rng.uniform(0.4, 0.6)) if rng.random() < 0.3 else 0.0,
        start=float(rng.choice((0, np.pi / 2, 4.0))),
        round_web=bool(rng.random() < 0.4),
    )


def _one(rng: np.random.Generator, choices: tuple[Choice, ...]) -> Choice:
    return choices[int(rng.integers(len(choices)))]


def luminance(color: str) -> float:
    """How light a colour `#rrggbb` looks, 0 to 1 (weights of BT.601)."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue
