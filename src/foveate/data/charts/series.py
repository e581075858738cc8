"""The numbers of a chart, on a grid that its picture can show.

Every number is a whole multiple of its scale's step. Where numbers are printed beside the marks the step is
as fine as the print; where they are not, a step is at least `SEEN` pixels along the axis and a simple part of
a tick, so that a reader can tell one from the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

import numpy as np

from foveate.data.charts.style import Style
from foveate.data.charts.words import MEASURES, Measure, sequence, series_names, unordered

Form = Literal["line", "bar", "stacked", "area", "pie", "scatter", "box", "radar", "combined"]
FORMS: tuple[Form, ...] = ("line", "bar", "stacked", "area", "pie", "scatter", "box", "radar", "combined")
QUARTILES = ("Minimum", "Lower quartile", "Median", "Upper quartile", "Maximum")
SEEN = 4.0  # pixels of a step


@dataclass(frozen=True)
class Scale:
    """A linear axis with ticks at `first`, … `last` times `tick`; its numbers are multiples of `step`."""

    tick: Decimal
    first: int
    last: int
    step: Decimal
    commas: bool = False  # 12,000 instead of 12000
    suffix: str = ""  # "%" after each number

    @property
    def low(self) -> Decimal:
        return self.tick * self.first

    @property
    def high(self) -> Decimal:
        return self.tick * self.last

    @property
    def ticks(self) -> tuple[Decimal, ...]:
        return tuple(self.tick * n for n in range(self.first, self.last + 1))

    def text(self, value: Decimal) -> str:
        """A number as it is printed and answered."""
        return self._format(value, self.step)

    def tick_text(self, value: Decimal) -> str:
        """A number as it stands at the axis."""
        return self._format(value, self.tick)

    def _format(self, value: Decimal, grain: Decimal) -> str:
        exponent = grain.normalize().as_tuple().exponent
        assert isinstance(exponent, int)
        return f"{value:{',' if self.commas else ''}.{max(0, -exponent)}f}{self.suffix}"


@dataclass(frozen=True)
class Series:
    """Numbers under one name of the legend; a scatter's have a place along x as well."""

    name: str
    values: tuple[Decimal, ...]
    xs: tuple[Decimal, ...] = ()


@dataclass(frozen=True)
class Chart:
    """What a chart says. `category_title` and `value_title` are "" where they are not drawn."""

    form: Form
    title: str
    category_title: str  # of the x axis; for a scatter, of its numbers
    value_title: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    scale: Scale
    x_scale: Scale | None = None  # of a scatter
    line_scale: Scale | None = None  # of a combined chart's line, at the right
    line_title: str = ""
    printed: bool = False  # numbers stand beside the marks
    horizontal: bool = False  # values to the right, categories down

    @property
    def has_legend(self) -> bool:
        return len(self.series) > 1 and self.form != "box"


def random_chart(form: Form, rng: np.random.Generator, style: Style) -> Chart:
    """Invented numbers for a form, as many and as fine as the style's size can show."""
    return _Draft(rng, style).chart(form)


def _scale(
    rng: np.random.Generator, powers: tuple[int, int], length: float, printed: bool, ticks: tuple[int, int]
) -> Scale:
    """A random axis from zero, `length` pixels long, its end between ten to the given powers (about)."""
    count = int(rng.integers(ticks[0], ticks[1] + 1))
    power = int(rng.integers(powers[0] - 1, powers[1]))
    tick = Decimal(str(rng.choice(("1", "2", "2.5", "5")))).scaleb(power)
    if printed:
        step = Decimal(1).scaleb(power - int(rng.integers(0, 2)))
    else:
        simple = (5, 10) if "25" in str(tick) else (2, 5, 10)
        parts = [n for n in simple if length / (count * n) >= SEEN] or [1]
        step = tick / int(rng.choice(parts[-2:]))
    return Scale(tick, 0, count, step, commas=bool(rng.random() < 0.5))


def _shape(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` numbers from 0 to 1 that move like something real: at random, a trend, a walk or a peak."""
    kind = int(rng.integers(4))
    if kind == 0:
        return rng.random(count)
    along = np.linspace(0, 1, count)
    if kind == 1:
        trend = along if rng.random() < 0.5 else 1 - along
        return np.clip(trend * 0.7 + rng.random(count) * 0.3, 0, 1)
    if kind == 2:
        walk = np.cumsum(rng.normal(size=count))
        spread = walk - walk.min()
        return np.asarray(spread / max(float(spread.max()), 1e-9) * rng.uniform(0.5, 1))
    bump = np.exp(-(((along - rng.random()) / rng.uniform(0.15, 0.5)) ** 2))
    return np.clip(bump * 0.85 + rng.random(count) * 0.15, 0, 1)


def shares(weights: Sequence[float], total: int, least: int) -> list[int]:
    """Whole parts of `total` in proportion to the weights, none under `least`: the largest remainders win."""
    assert least * len(weights) <= total
    free = total - least * len(weights)
    exact = [weight / sum(weights) * free for weight in weights]
    parts = [int(part) for part in exact]
    by_remainder = sorted(range(len(exact)), key=lambda n: parts[n] - exact[n])
    for n in by_remainder[: free - sum(parts)]:
        parts[n] += 1
    return [part + least for part in parts]


@dataclass
class _Draft:
    """Throws the dice for one chart."""

    rng: np.random.Generator
    style: Style

    def chart(self, form: Form) -> Chart:
        self.measure = self._measure()
        drafts = {
            "line": self._line, "bar": self._bar, "stacked": self._stacked, "area": self._area,
            "pie": self._pie, "scatter": self._scatter, "box": self._box, "radar": self._radar,
            "combined": self._combined,
        }  # fmt: skip
        return drafts[form]()

    def _chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(low, max(low, high) + 1))

    def _measure(self) -> Measure:
        return MEASURES[int(self.rng.integers(len(MEASURES)))]

    def _room(self, pixels: float) -> int:
        """How many categories fit side by side, each so wide; at most 12."""
        return int(min(12, self.style.plot_width // pixels))

    def _scale(self, length: float, printed: bool, ticks: tuple[int, int] = (4, 7)) -> Scale:
        return _scale(self.rng, self.measure.powers, length, printed, ticks)

    def _values(
        self, scale: Scale, count: int, floor: float = 0.06, top: float = 0.92
    ) -> tuple[Decimal, ...]:
        """Multiples of the step between two parts of the axis."""
        steps = int((scale.high - scale.low) / scale.step)
        lowest, highest = max(1, int(steps * floor)), max(2, int(steps * top))
        lift = np.rint(lowest + _shape(self.rng, count) * (highest - lowest))
        return tuple(scale.low + scale.step * int(units) for units in lift)

    def _titles(self, category: str, categories: Sequence[str]) -> tuple[str, str]:
        """The chart's title and the category axis's: the latter may be left out."""
        what = self.measure.name
        ordered = category in ("Year", "Month", "Quarter", "Week", "Day")
        titles = [
            what,
            f"{what}, {categories[0]} to {categories[-1]}" if ordered else f"Comparing {what.lower()}",
        ]
        if category:
            titles.append(f"{what} by {category.lower()}")
        title = titles[self._between(0, len(titles) - 1)] if self._chance(0.85) else ""
        return title, category if category and self._chance(0.7) else ""

    def _table(
        self,
        form: Form,
        scale: Scale,
        title: tuple[str, tuple[str, ...]],
        columns: Sequence[tuple[Decimal, ...]],
    ) -> Chart:
        """A chart of categories by series."""
        category, categories = title
        heading, category_title = self._titles(category, categories)
        names = series_names(self.rng, len(columns), categories) if len(columns) > 1 else ("",)
        series = tuple(Series(name, column) for name, column in zip(names, columns, strict=True))
        return Chart(form, heading, category_title, self.measure.title, categories, series, scale)

    def _line(self) -> Chart:
        count = self._between(1, 4)
        printed = count == 1 and self._chance(0.4)
        categories = sequence(self.rng, self._between(4, self._room(46 if printed else 32)))
        scale = self._scale(self.style.plot_height, printed)
        if self._chance(0.25):  # an axis that does not begin at zero
            above = self._between(2, 20)
            scale = Scale(scale.tick, above, above + scale.last, scale.step, scale.commas)
        floor = 0.16 if printed else 0.06  # a number may stand below its point
        columns = [self._values(scale, len(categories[1]), floor) for _ in range(count)]
        return replace(self._table("line", scale, categories, columns), printed=printed)

    def _bar(self) -> Chart:
        count = self._between(1, 4)
        horizontal = self._chance(0.35)
        length = self.style.plot_width if horizontal else self.style.plot_height
        # A number across its bar needs about 40 pixels of width, or a line's height beside it.
        each = (17 if horizontal else 44) * count / self.style.bar_share
        across = self.style.plot_height if horizontal else self.style.plot_width
        printed = across // each >= 2 and self._chance(0.5)
        slim = max(9 * count / self.style.bar_share, 24)
        most = int(min(12, across // (each if printed else slim)))
        size = self._between(min(most, 3), most)
        categories = self._any_order(size)
        scale = self._scale(length, printed)
        if not printed and self._chance(0.12):
            below = self._between(1, 2)
            scale = Scale(scale.tick, -below, scale.last, scale.step, scale.commas)
        columns = [self._nonzero(scale, self._values(scale, size)) for _ in range(count)]
        return replace(self._table("bar", scale, categories, columns), printed=printed, horizontal=horizontal)

    def _nonzero(self, scale: Scale, values: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
        return tuple(value or scale.step for value in values)

    def _any_order(self, size: int) -> tuple[str, tuple[str, ...]]:
        return sequence(self.rng, size) if self._chance(0.35) else unordered(self.rng, size)

    def _stack(self, scale: Scale, size: int, count: int, least: int) -> list[tuple[Decimal, ...]]:
        """Columns whose sums stay inside the axis, no part thinner than `least` steps."""
        totals = self._values(scale, size, floor=0.35)
        columns = []
        for total in totals:
            units = max(int(total / scale.step), least * count)
            columns.append(shares(list(self.rng.dirichlet([4.0] * count)), units, least))
        return [tuple(scale.step * parts[n] for parts in columns) for n in range(count)]

    def _stacked(self) -> Chart:
        count = self._between(2, 4)
        horizontal = self._chance(0.3)
        across = self.style.plot_height if horizontal else self.style.plot_width
        length = self.style.plot_width if horizontal else self.style.plot_height
        printed = self._chance(0.4)
        thick = (42 if horizontal else 17) if printed else 8  # pixels of the smallest part
        if length * 0.35 < thick * count:
            printed, thick = False, 8
        wide = (30 if horizontal else 48) / self.style.bar_share if printed else 30
        size = self._between(3, int(min(12, across // wide)))
        scale = self._scale(length, printed)
        least = max(1, int(np.ceil(thick / length * float((scale.high - scale.low) / scale.step))))
        while least * count > 0.9 * float(scale.high / scale.step):
            count -= 1
        columns = self._stack(scale, size, count, least)
        chart = self._table("stacked", scale, self._any_order(size), columns)
        return replace(chart, printed=printed, horizontal=horizontal)

    def _area(self) -> Chart:
        count = self._between(1, 3)
        size = self._between(4, self._room(32))
        scale = self._scale(self.style.plot_height, False)
        columns = [self._values(scale, size)] if count == 1 else self._stack(scale, size, count, 2)
        return self._table("area", scale, sequence(self.rng, size), columns)

    def _pie(self) -> Chart:
        size = self._between(2, 7)
        title, categories = unordered(self.rng, size)
        weights = list(self.rng.dirichlet([2.5] * size))
        printed = self._chance(0.85)
        if printed and self._chance(0.4):  # numbers of the measure itself
            scale = self._scale(100, True)
            values = shares(weights, max(200, int(scale.high / scale.step)), 12)
        else:
            step = Decimal(str(self.rng.choice(("1", "0.1")))) if printed else Decimal(5)
            scale = Scale(Decimal(10), 0, 10, step, suffix="%")
            values = shares(weights, int(100 / step), math.ceil(5 / step))
            self.measure = Measure(self.measure.name, "", (1, 2))
        series = Series("", tuple(scale.step * units for units in values))
        heading = f"{self.measure.title} by {title.lower()}" if title else self.measure.title
        return Chart("pie", heading, "", "", categories, (series,), scale, printed=printed)

    def _scatter(self) -> Chart:
        y_measure, x_measure = self.measure, self._measure()
        while x_measure == y_measure:
            x_measure = self._measure()
        y_scale = self._scale(self.style.plot_height, False)
        x_scale = _scale(self.rng, x_measure.powers, self.style.plot_width, False, (4, 6))
        count = self._between(1, 3)
        names = series_names(self.rng, count, ()) if count > 1 else ("",)
        points = self._apart(x_scale, y_scale, [self._between(4, 9) for _ in names])
        series = tuple(
            Series(name, tuple(y for _, y in own), tuple(x for x, _ in own))
            for name, own in zip(names, points, strict=True)
        )
        title = f"{y_measure.name} against {x_measure.name.lower()}" if self._chance(0.8) else ""
        return Chart("scatter", title, x_measure.title, y_measure.title, (), series, y_scale, x_scale)

    def _apart(self, x: Scale, y: Scale, counts: Sequence[int]) -> list[list[tuple[Decimal, Decimal]]]:
        """Points of each series by rising x, no two of them nearer than 14 pixels."""
        size = np.array([self.style.plot_width, self.style.plot_height])
        steps = np.array([int(x.high / x.step), int(y.high / y.step)])
        taken: list[np.ndarray] = []
        groups = []
        for count in counts:
            group: list[tuple[int, int]] = []
            slope = self.rng.uniform(-0.8, 0.8)
            while len(group) < count:
                along = self.rng.uniform(0.06, 0.94)
                height = np.clip(0.5 + slope * (along - 0.5) + self.rng.normal(0, 0.18), 0.06, 0.94)
                units = np.rint(np.array([along, height]) * steps)
                spot = units / steps * size
                if all(np.hypot(*(spot - other)) >= 14 for other in taken):
                    taken.append(spot)
                    group.append((int(units[0]), int(units[1])))
            groups.append([(x.step * a, y.step * b) for a, b in sorted(group)])
        return groups

    def _box(self) -> Chart:
        horizontal = self._chance(0.3)
        across = self.style.plot_height if horizontal else self.style.plot_width
        size = self._between(2, int(min(8, across // 44)))
        scale = self._scale(self.style.plot_width if horizontal else self.style.plot_height, False)
        steps = int(scale.high / scale.step)
        boxes = []
        for _ in range(size):
            span = self._between(max(4, steps // 3), max(5, int(steps * 0.85)))
            gaps = shares(list(self.rng.dirichlet([3.0] * 4)), span, 1)
            bottom = self._between(0, max(0, int(steps * 0.95) - span))
            boxes.append([bottom + sum(gaps[:n]) for n in range(5)])
        series = tuple(
            Series(name, tuple(scale.step * box[n] for box in boxes)) for n, name in enumerate(QUARTILES)
        )
        category, categories = unordered(self.rng, size)
        title, category_title = self._titles(category, categories)
        measure = self.measure.title
        return Chart("box", title, category_title, measure, categories, series, scale, horizontal=horizontal)

    def _radar(self) -> Chart:
        size = self._between(4, 8)
        radius = min(self.style.plot_width, self.style.plot_height) * 0.36
        scale = self._scale(radius, False, ticks=(4, 5))
        columns = [self._values(scale, size, floor=0.2, top=1.0) for _ in range(self._between(1, 3))]
        chart = self._table("radar", scale, unordered(self.rng, size), columns)
        return replace(chart, title=f"{self.measure.title}", category_title="", value_title="")

    def _combined(self) -> Chart:
        bars = self._between(1, 2)
        size = self._between(4, self._room(34 * bars))
        scale = self._scale(self.style.plot_height, False)
        columns = [self._values(scale, size) for _ in range(bars)]
        bar_measure, line_measure = self.measure, self._measure()
        while line_measure == bar_measure:
            line_measure = self._measure()
        line_scale = _scale(self.rng, line_measure.powers, self.style.plot_height, False, (4, 7))
        columns.append(self._values(line_scale, size))
        chart = self._table("combined", scale, sequence(self.rng, size), columns)
        names = [chart.series[n].name for n in range(bars)] if bars > 1 else [bar_measure.name]
        series = tuple(
            Series(name, column) for name, column in zip([*names, line_measure.name], columns, strict=True)
        )
        return replace(chart, series=series, line_scale=line_scale, line_title=line_measure.title)
