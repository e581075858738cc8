"""A chart as the HTML table that answers for it (DeepSeek-OCR, section 3.4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from foveate.data.charts.series import Chart


def chart_table(chart: Chart) -> str:
    """The numbers that the picture shows: categories down, series across, every cell's text as drawn.

    The head holds the titles of the axes and the names of the legend, and an empty cell for what is not
    drawn. A pie has no head, nor has a radar of one series. A box plot's columns are its five numbers, which
    are the one head not drawn. A scatter's rows are its points by rising x, with their series first where
    there are several.
    """
    return "<table>" + "".join(map(_row, _rows(chart))) + "</table>"


def _row(cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell, quote=False)}</td>" for cell in cells) + "</tr>"


def _rows(chart: Chart) -> list[Sequence[str]]:
    if chart.form == "scatter":
        return _points(chart)
    several = len(chart.series) > 1
    names = [series.name for series in chart.series] if several else [chart.value_title]
    head = [chart.category_title, *names]
    rows: list[Sequence[str]] = [head] if any(head) else []
    for n, category in enumerate(chart.categories):
        rows.append([category, *(_text(chart, s, n) for s in range(len(chart.series)))])
    return rows


def _text(chart: Chart, series: int, category: int) -> str:
    is_line = chart.line_scale is not None and series == len(chart.series) - 1
    scale = chart.line_scale if is_line and chart.line_scale else chart.scale
    return scale.text(chart.series[series].values[category])


def _points(chart: Chart) -> list[Sequence[str]]:
    assert chart.x_scale is not None
    several = len(chart.series) > 1
    rows: list[Sequence[str]] = [[*([""] if several else []), chart.category_title, chart.value_title]]
    for series in chart.series:
        for x, y in zip(series.xs, series.values, strict=True):
            name = [series.name] if several else []
            rows.append([*name, chart.x_scale.text(x), chart.scale.text(y)])
    return rows
