"""What a chart shows, apart from how it is drawn: the page draws it as SVG, matplotlib as PNG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Cell = str | float | int | None


@dataclass(frozen=True)
class Point:
    """A place in a chart; `low` and `high` are its interval."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""  # shown when the mouse is over it


@dataclass(frozen=True)
class Series:
    """Points with one colour, joined by a line, or dashed for what is only a reference."""

    name: str
    points: tuple[Point, ...]
    reference: bool = False
    colour: int = 0  # number of the palette
    joined: bool = True  # by a line


@dataclass(frozen=True)
class Lines:
    """Series over a scale of numbers."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Dots:
    """Series over names: a dot and its interval for each name; `x` of the points counts the names."""

    title: str
    y: str
    names: tuple[str, ...]
    series: tuple[Series, ...]
    y_range: tuple[float, float] | None = (0.0, 1.0)


@dataclass(frozen=True)
class Heat:
    """A value from 0 to 1 for each row and column; None where there is none."""

    title: str
    x: str
    y: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]  # rows of columns


@dataclass(frozen=True)
class Table:
    """Rows under a head; numbers stay numbers until they are written."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    wide: bool = True  # over the whole width of the page


Chart = Lines | Dots | Heat


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers between two, some of them."""
    if high <= low:
        return [low]
    rough = (high - low) / about
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def extent(values: Iterable[float], least: float | None = None) -> tuple[float, float]:
    """From the smallest to the largest number, with a little room; never empty."""
    found = list(values) or [0.0, 1.0]
    low, high = min(found), max(found)
    if low == high:
        low, high = low - 0.5, high + 0.5
    room = 0.04 * (high - low)
    return (low - room if least is None else max(least, low - room)), high + room


def y_extent(chart: Lines | Dots) -> tuple[float, float]:
    """The range of the upright axis: the one asked for, or that of the points and their intervals."""
    if chart.y_range is not None:
        return chart.y_range
    return extent(
        number
        for series in chart.series
        for point in series.points
        for number in (point.y, point.low, point.high)
        if number is not None
    )


def csv_rows(chart: Chart) -> tuple[list[str], list[Sequence[Cell]]]:
    """The head and the rows of a chart's numbers."""
    if isinstance(chart, Heat):
        return [chart.y, *chart.columns], [
            (row, *values) for row, values in zip(chart.rows, chart.values, strict=True)
        ]
    names = chart.names if isinstance(chart, Dots) else None
    head = ["series", chart.x if isinstance(chart, Lines) else "name", chart.y, "low", "high"]
    return head, [
        (series.name, names[int(point.x)] if names else point.x, point.y, point.low, point.high)
        for series in chart.series
        for point in series.points
    ]
