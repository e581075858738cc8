"""The report's charts as PNG, by matplotlib, and its numbers as CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foveate.evaluation.report.charts import Chart, Dots, Heat, Lines, Table, csv_rows, y_extent
from foveate.evaluation.text_metrics import missing

COLOURS = ("#2563c9", "#d0571b", "#178a5c", "#9a3fb0", "#b58a00", "#c22f56", "#0f8fa8", "#6b6b6b")


def write_files(items: Iterable[Chart | Table], folder: Path) -> list[Path]:
    """A CSV for each table and chart, and a PNG for each chart. Raises `OptionError` without matplotlib."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for item in items:
        stem = folder / _file_name(item.title, {path.stem for path in written})
        written.append(stem.with_suffix(".csv"))
        _write_csv(item, written[-1])
        if not isinstance(item, Table):
            written.append(stem.with_suffix(".png"))
            _draw(item).savefig(written[-1], dpi=150)
    return written


def _file_name(title: str, taken: set[str]) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80] or "table"
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


def _write_csv(item: Chart | Table, path: Path) -> None:
    head, rows = (item.head, item.rows) if isinstance(item, Table) else csv_rows(item)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)


def _draw(chart: Chart) -> Any:
    """A figure, without matplotlib's global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise missing("a PNG", "matplotlib") from problem
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.set_title(chart.title, fontsize=11)
    if isinstance(chart, Heat):
        _heat(chart, axes)
    else:
        _series(chart, axes)
    return figure


def _series(chart: Lines | Dots, axes: Any) -> None:
    for series in chart.series:
        xs, ys = [point.x for point in series.points], [point.y for point in series.points]
        style = "none" if isinstance(chart, Dots) or not series.joined else "--" if series.reference else "-"
        colour = COLOURS[series.colour % len(COLOURS)]
        marker = "o" if not series.reference else "D"
        axes.plot(xs, ys, linestyle=style, marker=marker, markersize=4, color=colour, label=series.name)
        for point in series.points:
            if point.low is not None and point.high is not None:
                axes.vlines(point.x, point.low, point.high, color=colour, alpha=0.5)
    axes.set_ylim(*y_extent(chart))
    axes.set_ylabel(chart.y)
    if isinstance(chart, Lines):
        axes.set_xlabel(chart.x)
    else:
        axes.set_xticks(range(len(chart.names)), chart.names, rotation=20, ha="right")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def _heat(chart: Heat, axes: Any) -> None:
    values = [[float("nan") if value is None else value for value in row] for row in chart.values]
    axes.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for row, cells in enumerate(chart.values):
        for column, value in enumerate(cells):
            if value is not None:
                ink = "white" if value > 0.55 else "black"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(chart.columns)), chart.columns)
    axes.set_yticks(range(len(chart.rows)), chart.rows)
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
