"""Charts as SVG in the page's own colours, so that they follow its light and its dark."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from foveate.evaluation.report.charts import Chart, Dots, Heat, Lines, Point, Series, extent, ticks, y_extent

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 14, 50
PALETTE = 8  # colours of the page's style sheet, .c0 to .c7
CELL = 46  # height of a heat map's row at the most


def draw(chart: Chart) -> str:
    """The chart as an <svg> element with its legend."""
    if isinstance(chart, Heat):
        return _heat(chart)
    if isinstance(chart, Lines):
        return _Plot(chart, extent((p.x for s in chart.series for p in s.points), 0)).draw()
    return _Plot(chart, (-0.5, len(chart.names) - 0.5)).draw()


class _Plot:
    """Axes and series."""

    def __init__(self, chart: Lines | Dots, x_range: tuple[float, float]) -> None:
        self.chart, self.x_range, self.y_range = chart, x_range, y_extent(chart)

    def draw(self) -> str:
        legend = _legend(self.chart.series)
        parts = [*self._grid(), *self._x_axis()]
        for series in self.chart.series:
            parts += self._series(series)
        return legend + _svg(parts, HEIGHT, self.chart.title)

    def _x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        low, high = self.y_range
        share = min(max((value - low) / (high - low), 0), 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def _grid(self) -> Iterator[str]:
        for tick in ticks(*self.y_range):
            y = self._y(tick)
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield _words(LEFT - 8, y + 4, f"{tick:g}", "end")
        middle = (TOP + HEIGHT - BOTTOM) / 2
        yield _words(14, middle, self.chart.y, "middle", f' transform="rotate(-90 14 {middle:.0f})"')

    def _x_axis(self) -> Iterator[str]:
        base = HEIGHT - BOTTOM
        yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>'
        if isinstance(self.chart, Dots):
            room = (WIDTH - LEFT - RIGHT) / max(1, len(self.chart.names)) / 7.2  # letters
            for number, name in enumerate(self.chart.names):
                shown = name if len(name) <= room else name[: max(2, int(room) - 1)] + "…"
                yield _words(self._x(number), base + 20, shown, "middle")
            return
        for tick in ticks(*self.x_range):
            x = self._x(tick)
            yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}"/>'
            yield _words(x, base + 20, f"{tick:g}", "middle")
        yield _words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, self.chart.x, "middle")

    def _series(self, series: Series) -> Iterator[str]:
        places = [(self._x(point.x), self._y(point.y)) for point in series.points]
        look = f"c{series.colour % PALETTE}" + (" reference" if series.reference else "")
        yield f'<g class="{look}">'
        if isinstance(self.chart, Lines) and series.joined and len(places) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            yield f'<polyline class="line" points="{path}"/>'
        for (x, y), point in zip(places, series.points, strict=True):
            yield from self._interval(x, point)
            yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5">{_title(series, point)}</circle>'
        yield "</g>"

    def _interval(self, x: float, point: Point) -> Iterator[str]:
        if point.low is not None and point.high is not None:
            low, high = self._y(point.low), self._y(point.high)
            yield f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'


def _title(series: Series, point: Point) -> str:
    between = f" [{point.low:.3g}, {point.high:.3g}]" if point.low is not None else ""
    note = point.note or f"{point.x:g}"
    return f"<title>{escape(series.name)}, {escape(note)}: {point.y:.4g}{between}</title>"


def _legend(series: tuple[Series, ...]) -> str:
    """The names with their colours, as HTML that wraps."""
    looks = (f"c{one.colour % PALETTE}{' reference' if one.reference else ''}" for one in series)
    items = (
        f'<li class="{look}"><i></i>{escape(one.name)}</li>' for look, one in zip(looks, series, strict=True)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _heat(chart: Heat) -> str:
    left, top, bottom = 96, 6, 44
    width = (WIDTH - left - RIGHT) / len(chart.columns)
    height = min(CELL, max(24.0, 260 / len(chart.rows)))
    total = round(top + bottom + height * len(chart.rows))
    parts = [_words(16, top + height * len(chart.rows) / 2, chart.y, "middle",
                    f' transform="rotate(-90 16 {top + height * len(chart.rows) / 2:.0f})"')]  # fmt: skip
    for row, (name, values) in enumerate(zip(chart.rows, chart.values, strict=True)):
        y = top + row * height
        parts.append(_words(left - 8, y + height / 2 + 4, name, "end"))
        for column, value in enumerate(values):
            parts += _heat_cell(left + column * width, y, width, height, value, chart, row, column)
    base = top + height * len(chart.rows)
    for column, name in enumerate(chart.columns):
        parts.append(_words(left + (column + 0.5) * width, base + 18, name, "middle"))
    parts.append(_words(left + (WIDTH - left - RIGHT) / 2, base + 37, chart.x, "middle"))
    return _svg(parts, total, chart.title)


def _heat_cell(
    x: float, y: float, width: float, height: float, value: float | None, chart: Heat, row: int, column: int
) -> list[str]:
    """A field whose strength is its value. The number stands in it, dark on light or light on dark."""
    place = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{width - 2:.1f}" height="{height - 2:.1f}" rx="3"'
    if value is None:
        return [f'<rect class="none" {place}/>']
    note = escape(f"{chart.rows[row]}, {chart.columns[column]}: {value:.3f}")
    strength = min(max(value, 0), 1)
    kind = "high" if strength > 0.55 else "low"
    opacity = f'fill-opacity="{0.06 + 0.94 * strength:.3f}"'
    return [
        f'<rect class="field" {place} {opacity}><title>{note}</title></rect>',
        f'<text class="in {kind}" x="{x + width / 2:.1f}" y="{y + height / 2 + 4:.1f}">{value:.2f}</text>',
    ]


def _words(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _svg(parts: list[str], height: int, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )
