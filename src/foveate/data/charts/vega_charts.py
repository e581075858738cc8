"""Charts as Vega-Lite specifications, painted by Vega inside vl-convert: no browser, no network.

vl-convert is an optional library: it is imported when the first chart is drawn.
"""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import replace
from functools import cache, singledispatchmethod
from typing import Any

from PIL import Image

from foveate.data.charts.fonts import font_folder
from foveate.data.charts.marks import DASHES, Band, Bar, Dots, Drawing, Label, Line, Mark, Wedge
from foveate.data.charts.picture import Picture
from foveate.document import Box
from foveate.errors import OptionError

VEGALITE = "5.21"
# Where the axes begin: the first translation of the drawing.
ORIGIN = re.compile(r'<g [^>]*transform="translate\(([-\d.]+),([-\d.]+)\)"')
Spec = dict[str, Any]


@cache
def _started() -> tuple[Any, int]:
    """vl-convert with the fonts that matplotlib carries, so that faces do not depend on the machine.

    Also the process that its engine runs in.
    """
    try:
        import vl_convert
    except ImportError:
        raise OptionError("charts need vl-convert: pip install 'foveate[data]'") from None
    vl_convert.register_font_directory(str(font_folder()))
    return vl_convert, os.getpid()


def _converter() -> Any:
    vl_convert, process = _started()
    if process != os.getpid():  # the engine's thread is not there, and it would be waited for without end
        raise OptionError("vl-convert does not outlive a fork: start workers with 'spawn' or 'forkserver'")
    return vl_convert


def draw(drawing: Drawing) -> Picture:
    """Paint it. The same drawing gives the same pixels in every process."""
    converter = _converter()
    width, height = _view(drawing)
    svg = converter.vegalite_to_svg(json.dumps(specification(drawing)), VEGALITE)
    image = Image.open(io.BytesIO(converter.svg_to_png(svg))).convert("RGB")
    origin = ORIGIN.search(svg)
    assert origin is not None, "Vega's drawings begin with a translated group"
    x, y = float(origin[1]), float(origin[2])
    return Picture(image, Box(x, y, x + width, y + height))


def specification(drawing: Drawing) -> Spec:
    """The chart in Vega-Lite: layers over two linear axes, or over none for a round chart."""
    return _Specification(drawing).whole()


def _view(drawing: Drawing) -> tuple[int, int]:
    """Pixels inside the axes."""
    width, height = drawing.style.plot_width, drawing.style.plot_height
    if drawing.is_round:
        width = height = min(width, height)
    return width, height


def _look(mark: Mark) -> Mark:
    """The mark without its places and texts; what is left of two that look alike is equal."""
    if isinstance(mark, Bar):
        return replace(mark, start=(0, 0), end=(0, 0), text="")
    if isinstance(mark, Line):
        return replace(mark, places=())
    if isinstance(mark, Label):
        return replace(mark, place=(0, 0), text="")
    return mark


class _Specification:
    def __init__(self, drawing: Drawing) -> None:
        self.drawing, self.style, self.chart = drawing, drawing.style, drawing.chart
        self.width, self.height = _view(drawing)
        self.ink = self.style.around.ink

    def whole(self) -> Spec:
        layers = self._layers()
        spec: Spec = {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": self.width,
            "height": self.height,
            "padding": 12,
            "background": self.style.around.paper,
            "config": self._config(),
            **layers,
        }
        if self.chart.title:
            spec["title"] = self._title()
        return spec

    def _layers(self) -> Spec:
        """One layer for all marks that differ in their places alone: Vega-Lite's time goes by layers."""
        alike: dict[Mark, list[Mark]] = {}
        for mark in self.drawing.marks:
            alike.setdefault(_look(mark), []).append(mark)
        first = [
            self.layer(look, marks) for look, marks in alike.items() if not getattr(look, "second", False)
        ]
        second = [self.layer(look, marks) for look, marks in alike.items() if getattr(look, "second", False)]
        if not second:
            return {"layer": first}
        return {"layer": [{"layer": first}, {"layer": second}], "resolve": {"scale": {"y": "independent"}}}

    # The marks.

    @singledispatchmethod
    def layer(self, look: Any, marks: list[Any]) -> Spec:
        raise AssertionError(f"no such mark: {look}")

    @layer.register
    def _(self, look: Bar, bars: list[Bar]) -> Spec:
        mark: Spec = {"type": "rect", "color": look.color}
        if self.style.edges or self.chart.form == "box":
            mark |= {"stroke": self.ink, "strokeWidth": 0.8}
        rows = [dict(zip("avbw", (*bar.start, *bar.end), strict=True)) for bar in bars]
        return self._layer(mark, rows, self._places(ends=True), look.name)

    @layer.register
    def _(self, look: Line, lines: list[Line]) -> Spec:
        mark: Spec = {"type": "line", "color": look.color, "strokeWidth": look.width, "clip": False}
        if look.dash:
            mark["strokeDash"] = list(look.dash)
        rows = [
            {"a": a, "v": v, "n": n, "m": m}
            for m, line in enumerate(lines)
            for n, (a, v) in enumerate(line.places)
        ]
        order = {"order": {"field": "n", "type": "quantitative"}, "detail": {"field": "m", "type": "nominal"}}
        return self._layer(mark, rows, self._places(look.second) | order, look.name)

    @layer.register
    def _(self, look: Dots, dots: list[Dots]) -> Spec:
        mark: Spec = {"type": "point", "filled": True, "shape": look.shape, "opacity": 1, "clip": False}
        mark |= {"color": look.color, "size": look.size**2}
        if self.style.edges and self.chart.form == "scatter":
            mark |= {"stroke": self.ink, "strokeWidth": 0.6}
        rows = [{"a": a, "v": v} for several in dots for a, v in several.places]
        return self._layer(mark, rows, self._places(look.second), look.name)

    @layer.register
    def _(self, look: Band, bands: list[Band]) -> Spec:
        mark: Spec = {"type": "area", "color": look.color, "opacity": look.opacity}
        rows = [
            {"a": a, "v": low, "w": high}
            for band in bands
            for a, low, high in zip(band.along, band.lower, band.upper, strict=True)
        ]
        return self._layer(mark, rows, self._places() | {"y2": {"field": "w"}}, look.name)

    @layer.register
    def _(self, look: Wedge, wedges: list[Wedge]) -> Spec:
        radius = self.width / 2
        mark: Spec = {"type": "arc", "color": look.color, "outerRadius": radius}
        mark |= {"innerRadius": radius * look.hole, "theta": wedges[0].start, "theta2": wedges[0].end}
        if self.style.edges:
            mark |= {"stroke": self.style.around.paper, "strokeWidth": 1}
        return self._layer(mark, [{}], {}, look.name)

    @layer.register
    def _(self, look: Label, labels: list[Label]) -> Spec:
        mark: Spec = {"type": "text", "color": look.color, "clip": False}
        mark |= {"align": look.across, "baseline": look.down, "fontSize": self.style.text * look.size}
        mark |= {"dx": look.shift[0], "dy": look.shift[1]}
        rows = [{"a": label.place[0], "v": label.place[1], "t": label.text} for label in labels]
        return self._layer(mark, rows, self._places() | {"text": {"field": "t", "type": "nominal"}}, "")

    def _layer(self, mark: Spec, rows: list[Spec], encoding: Spec, name: str) -> Spec:
        names = [entry for entry, _ in self.drawing.legend]
        if name in names:
            colors = [color for _, color in self.drawing.legend]
            scale = {"domain": names, "range": colors}
            color = {"field": "s", "type": "nominal", "scale": scale, "legend": self._legend()}
            encoding = encoding | {"color": color}
            rows = [row | {"s": name} for row in rows]
            if self.chart.form in ("line", "radar") and self.style.dashes and mark["type"] == "line":
                encoding |= {"strokeDash": self._dashes(color)}  # so that the legend shows them
            mark = {key: value for key, value in mark.items() if key != "color"}
        return {"data": {"values": rows}, "mark": mark, "encoding": encoding}

    def _dashes(self, color: Spec) -> Spec:
        """The colours' encoding with a dash for each name."""
        dashes = [list(DASHES[n % len(DASHES)]) or [1, 0] for n in range(len(self.drawing.legend))]
        return color | {"scale": {"domain": color["scale"]["domain"], "range": dashes}}

    # The axes.

    def _places(self, second: bool = False, ends: bool = False) -> Spec:
        drawing, chart = self.drawing, self.chart
        scale = chart.line_scale if second and chart.line_scale else chart.scale
        domain = (float(scale.low), float(scale.high)) if second else drawing.values
        ticks = tuple((float(tick), scale.tick_text(tick)) for tick in scale.ticks)
        title = chart.line_title if second else chart.value_title
        along = self._axis("a", drawing.along, drawing.along_ticks, chart.category_title, values=False)
        values = self._axis("v", domain, ticks, title, values=True, second=second)
        x, y = ("y", "x") if chart.horizontal else ("x", "y")
        if chart.horizontal:
            along["scale"] |= {"reverse": True}
        places = {x: along, y: values}
        if ends:
            places |= {f"{x}2": {"field": "b"}, f"{y}2": {"field": "w"}}
        return places

    def _axis(
        self,
        field: str,
        ends: tuple[float, float],
        ticks: tuple[tuple[float, str], ...],
        title: str,
        values: bool,
        second: bool = False,
    ) -> Spec:
        scale: Spec = {"domain": list(ends), "nice": False, "zero": False}
        channel: Spec = {"field": field, "type": "quantitative", "scale": scale, "axis": None, "title": None}
        if self.drawing.is_round:
            return channel
        grid = not second and (self.style.grid == "both" or (self.style.grid == "values" and values))
        first, step = ticks[0][0], ticks[1][0] - ticks[0][0] if len(ticks) > 1 else 1.0
        texts = json.dumps([text for _, text in ticks])
        channel["axis"] = {
            "values": [at for at, _ in ticks],
            "labelExpr": f"{texts}[round((datum.value - ({first})) / {step})]",
            "title": title or None,
            "grid": grid,
            **({} if values else self._turned()),
            **({"orient": "right"} if second else {}),
            **self._line(values),
        }
        return channel

    def _turned(self) -> Spec:
        if not self.drawing.turned:
            return {}
        return {"labelAngle": -45, "labelAlign": "right", "labelBaseline": "top"}

    def _line(self, values: bool) -> Spec:
        frame = self.style.frame
        shown = frame in ("box", "corner") or (frame == "bottom" and not values)
        return {"domain": shown, "ticks": frame != "none"}

    # What stands around them.

    def _title(self) -> Spec:
        room = self.width * 1.1
        size = min(self.style.text * 1.25, room / (0.62 * len(self.chart.title)))
        weight = "bold" if self.style.bold_title else "normal"
        anchor = "start" if self.style.title_left else "middle"
        return {
            "text": self.chart.title,
            "fontSize": size,
            "fontWeight": weight,
            "anchor": anchor,
            "offset": 10,
        }

    def _legend(self) -> Spec:
        longest = max(len(name) for name, _ in self.drawing.legend) * self.style.text * 0.65 + 40
        columns = 1 if self.style.legend == "right" else int(max(1, self.width // longest))
        flat = self.chart.form in ("pie", "bar", "stacked", "area")
        shape = "square" if flat else "circle" if self.chart.form == "combined" else "stroke"
        if self.chart.form == "scatter":
            shape = "circle"
        return {
            "title": None,
            "orient": self.style.legend,
            "columns": columns,
            "symbolType": shape,
            "symbolOpacity": 1,
        }

    def _config(self) -> Spec:
        text, around, ink = self.style.text, self.style.around, self.ink
        view: Spec = {"fill": around.plot, "stroke": ink if self.style.frame == "box" else None}
        if self.drawing.is_round:
            view = {"fill": None, "stroke": None}
        # The names around a radar stand outside the view, where legends are put.
        offset = 18 if not self.drawing.is_round else 70 if self.style.legend == "right" else 30
        return {
            "font": self.style.font,
            "view": view,
            "axis": {
                "labelColor": ink, "titleColor": ink, "domainColor": ink, "tickColor": ink,
                "gridColor": around.grid, "labelFontSize": text * 0.9, "titleFontSize": text,
                "titleFontWeight": "normal", "titleLimit": 0,
                "labelOverlap": False, "labelFlush": False, "labelLimit": 0,
            },
            "legend": {"labelColor": ink, "labelFontSize": text * 0.9, "labelLimit": 0, "offset": offset},
            "title": {"color": ink, "limit": 0},
        }  # fmt: skip
