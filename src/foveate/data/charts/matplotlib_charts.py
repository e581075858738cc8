"""Charts painted by matplotlib's Agg, without pyplot and whatever the user's rcParams say.

Matplotlib is an optional library: it is imported when the first chart is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, singledispatchmethod
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from PIL import Image

from foveate.data.charts.fonts import face, font_folder
from foveate.data.charts.marks import Band, Bar, Dots, Drawing, Label, Line, Place, Wedge
from foveate.data.charts.picture import Picture
from foveate.document import Box

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties
    from matplotlib.legend import Legend

DPI = 100.0
POINT = 72 / DPI  # points of a pixel
PAD = 12.0  # pixels around everything
TICK = 3.5 / POINT  # pixels of a tick, and again to its text
FACE = 100  # pixels of the letters by which widths are measured
MARKERS = {"circle": "o", "square": "s", "triangle-up": "^", "diamond": "D"}
FILES = {  # regular and bold
    "DejaVu Sans": ("DejaVuSans", "DejaVuSans-Bold"),
    "DejaVu Serif": ("DejaVuSerif", "DejaVuSerif-Bold"),
    "DejaVu Sans Mono": ("DejaVuSansMono", "DejaVuSansMono-Bold"),
    "STIXGeneral": ("STIXGeneral", "STIXGeneralBol"),
}


def draw(drawing: Drawing) -> Picture:
    """Paint it. The same drawing gives the same pixels in every process."""
    font_folder()  # says so where matplotlib is missing
    with _defaults():
        return _Painter(drawing).picture()


@contextmanager
def _defaults() -> Iterator[None]:
    """Matplotlib's own defaults inside, the user's settings again after it."""
    import matplotlib

    with matplotlib.rc_context():
        # Validating all 300 of them again, as RcParams.update does, takes 30 ms.
        dict.update(cast(dict[str, Any], matplotlib.rcParams), _own_parameters())
        yield


@cache
def _own_parameters() -> dict[str, Any]:
    import matplotlib

    skipped = ("backend", "backend_fallback", "interactive", "toolbar")  # the user's windows are not ours
    return {key: value for key, value in dict.items(matplotlib.rcParamsDefault) if key not in skipped}


def _dashes(line: Line) -> list[float]:
    """Strokes and gaps in parts of the line's width, as matplotlib counts them."""
    return [pixels * 1.5 / line.width for pixels in line.dash]


class _Painter:
    """One figure."""

    def __init__(self, drawing: Drawing) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.drawing, self.style, self.chart = drawing, drawing.style, drawing.chart
        size = self.style.width / DPI, self.style.height / DPI
        self.figure = Figure(figsize=size, dpi=DPI, facecolor=self.style.around.paper)
        self.canvas: Any = FigureCanvasAgg(self.figure)  # matplotlib leaves its methods untyped
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1), facecolor=self.style.around.plot)
        self.second: Axes | None = None

    def picture(self) -> Picture:
        if self.chart.line_scale is not None:
            self.second = self.axes.twinx()
        for mark in self.drawing.marks:
            self.paint(mark)
        if self.drawing.is_round:
            self._square()
        else:
            self._axes()
        self._fit()
        self.canvas.draw()
        pixels = np.asarray(self.canvas.buffer_rgba())  # (H, W, RGBA)
        plot = self.axes.get_window_extent()
        height = self.style.height
        box = Box(float(plot.x0), float(height - plot.y1), float(plot.x1), float(height - plot.y0))
        image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        return Picture(image, box)

    def font(self, size: float, bold: bool = False) -> FontProperties:
        """The style's face, `size` in parts of the ordinary text."""
        from matplotlib.font_manager import FontProperties

        path = font_folder() / f"{FILES[self.style.font][bold]}.ttf"
        return FontProperties(fname=str(path), size=self.style.text * size * POINT)

    # The marks.

    def _on(self, second: bool) -> Axes:
        return self.second if second and self.second is not None else self.axes

    def _split(self, places: tuple[Place, ...]) -> tuple[list[float], list[float]]:
        """Along x and along y."""
        along, values = [place[0] for place in places], [place[1] for place in places]
        return (values, along) if self.chart.horizontal else (along, values)

    @singledispatchmethod
    def paint(self, mark: Any) -> None:
        raise AssertionError(f"no such mark: {mark}")

    @paint.register
    def _(self, bar: Bar) -> None:
        from matplotlib.patches import Rectangle

        xs, ys = self._split((bar.start, bar.end))
        edge = self.style.around.ink if self.style.edges or self.chart.form == "box" else "none"
        size = xs[1] - xs[0], ys[1] - ys[0]
        patch = Rectangle((xs[0], ys[0]), *size, facecolor=bar.color, edgecolor=edge, linewidth=0.8, zorder=2)
        self.axes.add_artist(patch)

    @paint.register
    def _(self, line: Line) -> None:
        from matplotlib.lines import Line2D

        xs, ys = self._split(line.places)
        drawn = Line2D(xs, ys, color=line.color, linewidth=line.width * POINT, zorder=3, clip_on=False)
        if line.dash:
            drawn.set_dashes(_dashes(line))
        self._on(line.second).add_artist(drawn)

    @paint.register
    def _(self, dots: Dots) -> None:
        from matplotlib.lines import Line2D

        xs, ys = self._split(dots.places)
        edge = dots.color if self.chart.form != "scatter" or not self.style.edges else self.style.around.ink
        drawn = Line2D(xs, ys, linestyle="none", marker=MARKERS[dots.shape], markersize=dots.size * POINT)
        drawn.set(
            markerfacecolor=dots.color, markeredgecolor=edge, markeredgewidth=0.6, zorder=4, clip_on=False
        )
        self._on(dots.second).add_artist(drawn)

    @paint.register
    def _(self, band: Band) -> None:
        from matplotlib.patches import Polygon

        lower = list(zip(band.along, band.lower, strict=True))
        upper = list(zip(band.along, band.upper, strict=True))
        patch = Polygon(
            [*lower, *upper[::-1]], facecolor=band.color, alpha=band.opacity, linewidth=0, zorder=2
        )
        self.axes.add_artist(patch)

    @paint.register
    def _(self, wedge: Wedge) -> None:
        from matplotlib.patches import Wedge as Patch

        start, end = (90 - np.degrees(angle) for angle in (wedge.end, wedge.start))
        edge = self.style.around.paper if self.style.edges else "none"
        width = 1 - wedge.hole if wedge.hole else None
        patch = Patch((0, 0), 1, start, end, width=width, facecolor=wedge.color, edgecolor=edge, linewidth=1)
        self.axes.add_artist(patch)

    @paint.register
    def _(self, label: Label) -> None:
        from matplotlib.transforms import Affine2D

        xs, ys = self._split((label.place,))
        down = {"middle": "center"}.get(label.down, label.down)
        shifted = self.axes.transData + Affine2D().translate(label.shift[0], -label.shift[1])
        self.axes.text(
            xs[0], ys[0], label.text, transform=shifted, color=label.color, zorder=6,
            ha=label.across, va=down, fontproperties=self.font(label.size),
        )  # fmt: skip

    # What stands around them.

    def _square(self) -> None:
        self.axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
        self.axes.set_axis_off()

    def _axes(self) -> None:
        drawing, chart, axes = self.drawing, self.chart, self.axes
        values = tuple((float(tick), chart.scale.tick_text(tick)) for tick in chart.scale.ticks)
        sides = {"x": (drawing.along, drawing.along_ticks), "y": (drawing.values, values)}
        titles = {"x": chart.category_title, "y": chart.value_title}
        if chart.horizontal:
            sides, titles = {"x": sides["y"], "y": sides["x"]}, {"x": titles["y"], "y": titles["x"]}
        axes.set(xlim=sides["x"][0], ylim=sides["y"][0])
        if chart.horizontal:
            axes.invert_yaxis()
        for side, (_, ticks) in sides.items():
            self._ticks(axes, side, ticks, turned=side == "x" and drawing.turned)
            getattr(axes, f"set_{side}label")(
                titles[side], fontproperties=self.font(1), color=self.style.around.ink
            )
        self._frame(axes)
        if self.second is not None and chart.line_scale is not None:
            self._second_axis(self.second)

    def _second_axis(self, axes: Axes) -> None:
        scale = self.chart.line_scale
        assert scale is not None
        axes.set(ylim=(float(scale.low), float(scale.high)))
        self._ticks(axes, "y", tuple((float(tick), scale.tick_text(tick)) for tick in scale.ticks), False)
        axes.set_ylabel(self.chart.line_title, fontproperties=self.font(1), color=self.style.around.ink)
        self._frame(axes, right=True)

    def _ticks(self, axes: Axes, side: str, ticks: tuple[tuple[float, str], ...], turned: bool) -> None:
        around = self.style.around
        axis = axes.xaxis if side == "x" else axes.yaxis
        turn: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if turned else {}
        places, texts = [at for at, _ in ticks], [text for _, text in ticks]
        axis.set_ticks(places, texts, fontproperties=self.font(0.9), **turn)
        length = 0 if self.style.frame == "none" else 3.5
        axis.set_tick_params(colors=around.ink, length=length, width=0.8)
        of_values = (side == "x") == self.chart.horizontal
        if axes is self.axes and (self.style.grid == "both" or (self.style.grid == "values" and of_values)):
            axis.grid(True, color=around.grid, linewidth=0.8)
            axes.set_axisbelow(True)

    def _frame(self, axes: Axes, right: bool = False) -> None:
        shown = {
            "box": ("left", "right", "top", "bottom"),
            "corner": ("left", "bottom", *(["right"] if right or self.second else [])),
            "bottom": ("left",) if self.chart.horizontal else ("bottom",),
            "none": (),
        }[self.style.frame]
        for side, spine in axes.spines.items():
            spine.set(visible=side in shown, edgecolor=self.style.around.ink, linewidth=0.8)

    def _legend(self) -> Legend | None:
        entries = self.drawing.legend
        if not entries:
            return None
        longest = max(len(name) for name, _ in entries) * self.style.text * 0.65 + 50
        across = int(max(1, min(len(entries), self.style.width // longest)))
        places: dict[str, Literal["center right", "upper center", "lower center"]] = {
            "right": "center right",
            "top": "upper center",
            "bottom": "lower center",
        }
        return self.figure.legend(
            handles=[self._swatch(name, color) for name, color in entries],
            loc=places[self.style.legend],
            ncols=1 if self.style.legend == "right" else across,
            frameon=self.style.edges,
            prop=self.font(0.9),
            labelcolor=self.style.around.ink,
            facecolor=self.style.around.plot,
            handlelength=1.8,
            borderaxespad=0,
        )

    def _swatch(self, name: str, color: str) -> Artist:
        """What stands beside a name of the legend: a patch, or the line with its marker."""
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        named = [mark for mark in self.drawing.marks if getattr(mark, "name", "") == name]
        line = next((mark for mark in named if isinstance(mark, Line)), None)
        dots = next((mark for mark in named if isinstance(mark, Dots)), None)
        if not (line or dots) or any(isinstance(mark, Band) for mark in named):
            return Patch(facecolor=color, label=name)
        handle = Line2D([], [], color=color, linewidth=line.width * POINT if line else 0, label=name)
        if line and line.dash:
            handle.set_dashes(_dashes(line))
        if dots:
            handle.set(marker=MARKERS[dots.shape], markersize=dots.size * POINT)
        return handle

    def _fit(self) -> None:
        """Give the axes what title, legend and their own labels leave of the figure."""
        from matplotlib.transforms import IdentityTransform

        style, renderer = self.style, self.canvas.get_renderer()
        left, right, top, bottom = self._overhang(renderer)
        title_height = self._title(renderer)
        top, bottom, left, right = top + title_height, bottom + PAD, left + PAD, right + PAD
        legend = self._legend()
        if legend is not None:
            size = legend.get_window_extent(renderer)
            above = style.height - title_height - 2
            spot = {
                "right": (style.width - PAD, style.height / 2),
                "top": (style.width / 2, above),
                "bottom": (style.width / 2, PAD),
            }[style.legend]
            legend.set_bbox_to_anchor(spot, IdentityTransform())
            right += size.width + PAD if style.legend == "right" else 0
            top += size.height + PAD / 2 if style.legend == "top" else 0
            bottom += size.height + PAD / 2 if style.legend == "bottom" else 0
        width, height = style.width - left - right, style.height - top - bottom
        self.axes.set_position(
            (left / style.width, bottom / style.height, width / style.width, height / style.height)
        )
        if self.second is not None:
            self.second.set_position(self.axes.get_position())
        self.axes.apply_aspect()

    def _overhang(self, renderer: RendererAgg) -> tuple[float, float, float, float]:
        """Pixels by which labels stand out of the axes: left, right, top, bottom."""
        if not self.drawing.is_round:
            return self._overhang_of_ticks()
        self.axes.apply_aspect()
        inner, outer = self.axes.get_window_extent(renderer), self.axes.get_tightbbox(renderer)
        assert outer is not None
        overhang = inner.x0 - outer.x0, outer.x1 - inner.x1, outer.y1 - inner.y1, inner.y0 - outer.y0
        left, right, top, bottom = (max(0.0, pixels) for pixels in overhang)
        return left, right, top, bottom

    def _overhang_of_ticks(self) -> tuple[float, float, float, float]:
        """The same from the widths of the texts: asking every tick for its box takes a fifth of the time."""
        chart, text = self.chart, self.style.text
        values = [chart.scale.tick_text(tick) for tick in chart.scale.ticks]
        along = [name for _, name in self.drawing.along_ticks]
        titles = {"x": chart.category_title, "y": chart.value_title}
        if chart.horizontal:
            values, along, titles = along, values, {"x": titles["y"], "y": titles["x"]}
        reach, height = 2 * TICK, text * 1.2
        wide = max(map(self._width, along))
        turned = self.drawing.turned
        tall = (wide + height) * 0.72 if turned else height
        bottom = reach + tall + (height + 6 if titles["x"] else 0)
        left = reach + max(map(self._width, values)) + (height + 6 if titles["y"] else 0)
        right = height if turned else wide / 2
        if chart.line_scale is not None:
            lines = [chart.line_scale.tick_text(tick) for tick in chart.line_scale.ticks]
            right = reach + max(map(self._width, lines)) + height + 6
        return max(left, tall * 0.72 if turned else 0.0), right, height / 2, bottom

    def _width(self, text: str) -> float:
        """Pixels of a tick's text."""
        return face(FILES[self.style.font][0], FACE).getlength(text) / FACE * self.style.text * 0.9

    def _title(self, renderer: RendererAgg) -> float:
        """Write it at the top; the pixels that it takes there, the padding included."""
        style = self.style
        if not self.chart.title:
            return PAD
        font = self.font(1.25, style.bold_title)
        at, across = (PAD, "left") if style.title_left else (style.width / 2, "center")
        place = at / style.width, 1 - PAD / style.height
        title = self.figure.text(*place, self.chart.title, fontproperties=font, ha=across, va="top")
        title.set_color(style.around.ink)
        size = title.get_window_extent(renderer)
        if size.width > style.width - 2 * PAD:
            title.set_fontsize(font.get_size_in_points() * (style.width - 2 * PAD) / size.width)
        return float(size.height) + 2 * PAD
