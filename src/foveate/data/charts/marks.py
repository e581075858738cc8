"""From numbers to shapes: what either renderer paints, in the units of the axes.

A place is (along, value): along the categories (or a scatter's x, or a round chart's x), then up the values.
Horizontal charts are swapped by the renderer. Round charts stand in a square from -1 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from foveate.data.charts.series import Chart, Scale
from foveate.data.charts.style import Style, luminance

Place = tuple[float, float]
DASHES = ((), (6, 3), (2, 2), (8, 3, 2, 3))
SHAPES = ("circle", "square", "triangle-up", "diamond")


@dataclass(frozen=True)
class Bar:
    """A rectangle between two corners, its series (or category), and the number that it shows."""

    start: Place
    end: Place
    color: str
    name: str = ""
    text: str = ""


@dataclass(frozen=True)
class Line:
    """A run of straight strokes; `second` on the axis at the right."""

    places: tuple[Place, ...]
    color: str
    width: float
    dash: tuple[int, ...] = ()
    name: str = ""
    second: bool = False


@dataclass(frozen=True)
class Dots:
    """Markers, `size` pixels across, and the numbers that they show."""

    places: tuple[Place, ...]
    color: str
    size: float
    shape: str
    name: str = ""
    texts: tuple[str, ...] = ()
    second: bool = False


@dataclass(frozen=True)
class Band:
    """The area between two runs of values."""

    along: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    color: str
    opacity: float
    name: str = ""


@dataclass(frozen=True)
class Wedge:
    """A pie's piece between two angles, radians clockwise from the top."""

    start: float
    end: float
    hole: float
    color: str
    name: str
    text: str


@dataclass(frozen=True)
class Label:
    """Text beside or inside a mark; the shift is in pixels to the right and down."""

    place: Place
    text: str
    color: str
    across: Literal["left", "center", "right"] = "center"
    down: Literal["top", "middle", "bottom"] = "middle"
    shift: tuple[float, float] = (0.0, 0.0)
    size: float = 0.85  # in parts of the ordinary text


Mark = Bar | Line | Dots | Band | Wedge | Label


@dataclass(frozen=True)
class Drawing:
    """A chart ready to be painted."""

    chart: Chart
    style: Style
    marks: tuple[Mark, ...]
    along: tuple[float, float]  # ends of the axis of categories
    values: tuple[float, float]  # ends of the axis of values
    legend: tuple[tuple[str, str], ...] = ()  # names and colours

    @property
    def is_round(self) -> bool:
        return self.chart.form in ("pie", "radar")

    @property
    def along_ticks(self) -> tuple[tuple[float, str], ...]:
        """Places and texts on the axis of categories."""
        chart = self.chart
        if chart.x_scale is not None:
            return tuple((float(tick), chart.x_scale.tick_text(tick)) for tick in chart.x_scale.ticks)
        return tuple((float(n), category) for n, category in enumerate(chart.categories))

    @property
    def turned(self) -> bool:
        """Whether the categories' names are turned by 45 degrees to stand beside each other."""
        if self.chart.horizontal or self.chart.form == "scatter":
            return False
        room = self.style.plot_width / (self.along[1] - self.along[0])
        longest = max(len(category) for category in self.chart.categories)
        return longest * self.style.text * 0.62 + 6 > room


def lay_out(chart: Chart, style: Style) -> Drawing:
    """The shapes of a chart, in the order in which they are painted."""
    painters = {
        "line": _lines, "bar": _bars, "stacked": _stacks, "area": _areas, "pie": _pie,
        "scatter": _scatter, "box": _boxes, "radar": _radar, "combined": _combined,
    }  # fmt: skip
    marks = tuple(painters[chart.form](chart, style))
    names = [series.name for series in chart.series] if chart.has_legend else []
    if chart.form == "pie" and not _named_outside(style):
        names = list(chart.categories)
    legend = tuple((name, style.colors[n]) for n, name in enumerate(names))
    along, values = _ends(chart)
    return Drawing(chart, style, marks, along, values, legend)


def _ends(chart: Chart) -> tuple[tuple[float, float], tuple[float, float]]:
    if chart.form in ("pie", "radar"):
        return (-1.0, 1.0), (-1.0, 1.0)
    values = float(chart.scale.low), float(chart.scale.high)
    if chart.x_scale is not None:
        return (float(chart.x_scale.low), float(chart.x_scale.high)), values
    margin = {"line": 0.35, "area": 0.0}.get(chart.form, 0.55)
    return (-margin, len(chart.categories) - 1 + margin), values


def _numbers(values: tuple[Decimal, ...]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _texts(scale: Scale, values: tuple[Decimal, ...]) -> tuple[str, ...]:
    return tuple(map(scale.text, values))


def _beyond(chart: Chart, style: Style, place: Place, text: str) -> Label:
    """A number just past the end of its bar, or above its point."""
    ink = style.around.ink
    negative = place[1] < 0
    if chart.horizontal:
        side: Literal["left", "right"] = "right" if negative else "left"
        return Label(place, text, ink, across=side, shift=(-4 if negative else 4, 0))
    return Label(place, text, ink, down="top" if negative else "bottom", shift=(0, 3 if negative else -3))


def _inside(style: Style, place: Place, text: str, color: str) -> Label:
    return Label(place, text, "#000000" if luminance(color) > 0.5 else "#ffffff", size=0.8)


def _curve(chart: Chart, style: Style, n: int, second: bool = False) -> Iterator[Mark]:
    """Series `n` as a line, with its markers."""
    series = chart.series[n]
    places = tuple(enumerate(_numbers(series.values)))
    dash = DASHES[n % len(DASHES)] if style.dashes else ()
    yield Line(places, style.colors[n], style.line_width, dash, series.name, second)
    if style.markers:
        size = style.line_width + 4
        scale = chart.line_scale if second and chart.line_scale else chart.scale
        texts = _texts(scale, series.values)
        yield Dots(places, style.colors[n], size, SHAPES[n % len(SHAPES)], series.name, texts, second)


def _lines(chart: Chart, style: Style) -> Iterator[Mark]:
    for n, series in enumerate(chart.series):
        yield from _curve(chart, style, n)
        if chart.printed:
            for at, value in enumerate(series.values):
                yield _beside(style, _numbers(series.values), at, chart.scale.text(value))


def _beside(style: Style, values: tuple[float, ...], at: int, text: str) -> Label:
    """A number beside its point, on the side that the line leaves free."""
    value, away = values[at], 5 + style.line_width
    label = Label((at, value), text, style.around.ink, down="bottom", shift=(0, -away))
    before, after = values[max(at - 1, 0)], values[min(at + 1, len(values) - 1)]
    if before <= value >= after:
        return label
    if before >= value <= after:
        return replace(label, down="top", shift=(0, away))
    rising = before < after
    return replace(label, across="right" if rising else "left", shift=(-4 if rising else 4, 1 - away))


def _bar_group(chart: Chart, style: Style, count: int) -> Iterator[Mark]:
    width = style.bar_share / count
    for n, series in enumerate(chart.series[:count]):
        for at, value in enumerate(series.values):
            left = at - style.bar_share / 2 + n * width
            text = chart.scale.text(value)
            yield Bar((left, 0.0), (left + width, float(value)), style.colors[n], series.name, text)
            if chart.printed:
                yield _beyond(chart, style, (left + width / 2, float(value)), text)


def _bars(chart: Chart, style: Style) -> Iterator[Mark]:
    yield from _bar_group(chart, style, len(chart.series))
    if chart.scale.first < 0:
        ends = _ends(chart)[0]
        yield Line(((ends[0], 0.0), (ends[1], 0.0)), style.around.ink, 1.0)


def _stacks(chart: Chart, style: Style) -> Iterator[Mark]:
    half = style.bar_share / 2
    for at in range(len(chart.categories)):
        below = Decimal(0)
        for n, series in enumerate(chart.series):
            above = below + series.values[at]
            text, color = chart.scale.text(series.values[at]), style.colors[n]
            yield Bar((at - half, float(below)), (at + half, float(above)), color, series.name, text)
            if chart.printed:
                yield _inside(style, (at, float(below + above) / 2), text, color)
            below = above


def _areas(chart: Chart, style: Style) -> Iterator[Mark]:
    along = tuple(map(float, range(len(chart.categories))))
    below = (Decimal(0),) * len(along)
    for n, series in enumerate(chart.series):
        above = tuple(a + b for a, b in zip(below, series.values, strict=True))
        lower, upper = _numbers(below), _numbers(above)
        yield Band(along, lower, upper, style.colors[n], style.opacity, series.name)
        yield Line(tuple(zip(along, upper, strict=True)), style.colors[n], style.line_width, name=series.name)
        below = above


def _scatter(chart: Chart, style: Style) -> Iterator[Mark]:
    assert chart.x_scale is not None
    for n, series in enumerate(chart.series):
        places = tuple(zip(_numbers(series.xs), _numbers(series.values), strict=True))
        texts = tuple(
            f"{chart.x_scale.text(x)}, {chart.scale.text(y)}"
            for x, y in zip(series.xs, series.values, strict=True)
        )
        shape = SHAPES[n % len(SHAPES)] if style.markers else "circle"
        yield Dots(places, style.colors[n], 5 + style.line_width, shape, series.name, texts)


def _boxes(chart: Chart, style: Style) -> Iterator[Mark]:
    half, ink = style.bar_share * 0.35, style.around.ink
    for at in range(len(chart.categories)):
        least, lower, median, upper, most = (float(series.values[at]) for series in chart.series)
        color = style.colors[at if style.hole else 0]  # one colour for all, or one for each
        for value, edge in ((least, lower), (most, upper)):
            yield Line(((at, edge), (at, value)), ink, 1.2)
            yield Line(((at - half / 2, value), (at + half / 2, value)), ink, 1.2)
        text = ", ".join(chart.scale.text(series.values[at]) for series in chart.series)
        yield Bar((at - half, lower), (at + half, upper), color, "", text)
        yield Line(((at - half, median), (at + half, median)), _against(color), 2.2)


def _against(color: str) -> str:
    return "#000000" if luminance(color) > 0.45 else "#ffffff"


def _combined(chart: Chart, style: Style) -> Iterator[Mark]:
    yield from _bar_group(chart, style, len(chart.series) - 1)
    yield from _curve(chart, style, len(chart.series) - 1, second=True)


def _named_outside(style: Style) -> bool:
    """Whether a pie's pieces are named around it and not in a legend."""
    return style.legend != "right"


def _around(angle: float, radius: float) -> Place:
    """A place by its angle, radians clockwise from the top, in the square of a round chart."""
    return radius * math.sin(angle), radius * math.cos(angle)


def _rim_label(style: Style, angle: float, text: str, radius: float, size: float) -> Label:
    """A name outside the circle, growing away from it."""
    x, y = _around(angle, radius)
    across: Literal["left", "center", "right"] = "center" if abs(x) < 0.15 else "left" if x > 0 else "right"
    down: Literal["top", "middle", "bottom"] = "middle" if abs(y) < 0.8 else "bottom" if y > 0 else "top"
    return Label((x, y), text, style.around.ink, across, down, size=size)


def _pie(chart: Chart, style: Style) -> Iterator[Mark]:
    values = chart.series[0].values
    whole, angle = float(sum(values)), style.start
    labels: list[Mark] = []
    for n, (value, name) in enumerate(zip(values, chart.categories, strict=True)):
        end = angle + float(value) / whole * 2 * math.pi
        text, color, middle = chart.scale.text(value), style.colors[n], (angle + end) / 2
        yield Wedge(angle, end, style.hole, color, name, text)
        if chart.printed:
            radius = (1 + style.hole) / 2 if style.hole else 0.72
            labels.append(_inside(style, _around(middle, radius), text, color))
        if _named_outside(style):
            labels.append(_rim_label(style, middle, name, 1.06, 1.0))
        angle = end
    yield from labels


def _radar(chart: Chart, style: Style) -> Iterator[Mark]:
    angles = [2 * math.pi * n / len(chart.categories) for n in range(len(chart.categories))]
    yield from _web(chart, style, angles)
    for n, series in enumerate(chart.series):
        ring = [
            _around(angle, float(value / chart.scale.high))
            for angle, value in zip(angles, series.values, strict=True)
        ]
        dash = DASHES[n % len(DASHES)] if style.dashes else ()
        yield Line((*ring, ring[0]), style.colors[n], style.line_width, dash, series.name)
        texts = _texts(chart.scale, series.values)
        yield Dots(tuple(ring), style.colors[n], style.line_width + 3, SHAPES[n], series.name, texts)


def _web(chart: Chart, style: Style, angles: list[float]) -> Iterator[Mark]:
    """The rings of the ticks, the spokes, and what is written on them."""
    around = style.around
    faint = "#b5b5b5" if luminance(around.paper) > 0.5 else "#5a5a62"
    rim = [2 * math.pi * n / 90 for n in range(90)] if style.round_web else angles
    for tick in chart.scale.ticks[1:]:
        radius = float(tick / chart.scale.high)
        ring = [_around(angle, radius) for angle in rim]
        yield Line((*ring, ring[0]), faint, 0.8)
        place = _around(0, radius)
        yield Label(place, chart.scale.tick_text(tick), around.ink, "right", shift=(-3, -1), size=0.75)
    for angle, category in zip(angles, chart.categories, strict=True):
        yield Line(((0.0, 0.0), _around(angle, 1.0)), faint, 0.8)
        yield _rim_label(style, angle, category, 1.08, 0.95)
