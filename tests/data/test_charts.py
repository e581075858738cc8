import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from html import unescape
from typing import get_args

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("vl_convert")

from foveate.data.charts import FORMS, Chart, ChartMaker, Form, Scale, Series  # noqa: E402
from foveate.data.charts.maker import PAINTERS, Renderer  # noqa: E402
from foveate.data.charts.marks import lay_out  # noqa: E402
from foveate.data.charts.picture import Picture, regions  # noqa: E402
from foveate.data.charts.series import random_chart, shares  # noqa: E402
from foveate.data.charts.style import FONTS, PALETTES, THEMES, Style, random_style  # noqa: E402
from foveate.data.charts.table import chart_table  # noqa: E402
from foveate.data.charts.vega_charts import specification  # noqa: E402
from foveate.data.sample import Sample, dice  # noqa: E402
from foveate.document import Box  # noqa: E402
from foveate.errors import OptionError  # noqa: E402
from foveate.pages.prompts import PROMPTS  # noqa: E402

RENDERERS = get_args(Renderer)
SCALE = Scale(Decimal(10), 0, 5, Decimal(1))


def rows(table: str) -> list[list[str]]:
    lines = re.findall(r"<tr>(.*?)</tr>", table)
    return [[unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", line)] for line in lines]


def plain_style(**changes: object) -> Style:
    """White paper, strong colours, nothing over the marks."""
    style = replace(
        random_style(dice("style", 0, 0)),
        width=640, height=480, theme="white", palette="tab", grid="none", frame="corner", edges=False,
        legend="right", markers=False, dashes=False, opacity=1.0, hole=0.0, start=0.0, bar_share=0.8,
        font="DejaVu Sans", text=12.0, line_width=2.0,
    )  # fmt: skip
    return replace(style, **changes)  # type: ignore[arg-type]


def chart(form: Form, columns: dict[str, list[int]], **changes: object) -> Chart:
    count = len(next(iter(columns.values())))
    series = tuple(Series(name, tuple(map(Decimal, column))) for name, column in columns.items())
    made = Chart(form, "Title", "Group", "Height (m)", tuple("ABCDEFGH"[:count]), series, SCALE)
    return replace(made, **changes)  # type: ignore[arg-type]


def painted(made: Chart, renderer: Renderer, style: Style | None = None) -> tuple[np.ndarray, Picture, list]:  # type: ignore[type-arg]
    drawing = lay_out(made, style or plain_style())
    picture = PAINTERS[renderer](drawing)
    return np.asarray(picture.image).astype(int), picture, list(regions(drawing, picture.plot))


def coloured(pixels: np.ndarray, color: str) -> np.ndarray:
    wanted = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return np.abs(pixels - wanted).max(axis=2) < 12


def inside(mask: np.ndarray, picture: Picture) -> np.ndarray:
    """Only what lies inside the axes: legends show the same colours."""
    box, kept = picture.plot, np.zeros_like(mask)
    area = slice(round(box.y0), round(box.y1) + 1), slice(round(box.x0), round(box.x1) + 1)
    kept[area] = mask[area]
    return kept


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Starts and ends of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("renderer", RENDERERS)
def test_bars_are_as_high_as_their_numbers(renderer: Renderer, horizontal: bool) -> None:
    columns = {"x": [12, 40, 25, 7], "y": [33, 5, 18, 46]}
    pixels, picture, _ = painted(chart("bar", columns, horizontal=horizontal), renderer)
    box = picture.plot
    length = (box.x1 - box.x0) if horizontal else (box.y1 - box.y0)
    for color, values in zip(PALETTES["tab"], columns.values(), strict=False):
        mask = inside(coloured(pixels, color), picture)
        if horizontal:
            mask = mask.T
        found = runs(mask.any(axis=0))
        assert len(found) == len(values)
        for (start, end), value in zip(found, values, strict=True):
            height = mask[:, (start + end) // 2].sum()
            assert height / length * 50 == pytest.approx(value, abs=0.3)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_stacks_hold_their_parts(renderer: Renderer) -> None:
    columns = {"x": [12, 20, 25], "y": [8, 5, 18]}
    pixels, picture, _ = painted(chart("stacked", columns), renderer)
    length = picture.plot.y1 - picture.plot.y0
    tops = []
    for color, values in zip(PALETTES["tab"], columns.values(), strict=False):
        mask = inside(coloured(pixels, color), picture)
        found = runs(mask.any(axis=0))
        middles = [(start + end) // 2 for start, end in found]
        assert [mask[:, x].sum() / length * 50 for x in middles] == pytest.approx(values, abs=0.3)
        tops.append(min(np.flatnonzero(mask[:, middles[0]])))
    assert tops[1] < tops[0]  # the second stands on the first


@pytest.mark.parametrize("renderer", RENDERERS)
def test_wedges_are_as_wide_as_their_shares(renderer: Renderer) -> None:
    values = [10, 25, 40, 25]
    pixels, picture, _ = painted(chart("pie", {"": values}), renderer)
    areas = [inside(coloured(pixels, color), picture).sum() for color in PALETTES["tab"][:4]]
    assert [area / sum(areas) * 100 for area in areas] == pytest.approx(values, abs=0.7)
    # Clockwise from the top: the first wedge's middle is 18 degrees right of it.
    box = picture.plot
    angle, radius = np.radians(18), (box.x1 - box.x0) / 4
    x, y = (box.x0 + box.x1) / 2 + radius * np.sin(angle), (box.y0 + box.y1) / 2 - radius * np.cos(angle)
    assert coloured(pixels, PALETTES["tab"][0])[int(y), int(x)]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_lines_go_through_their_numbers(renderer: Renderer) -> None:
    values = [10, 45, 20, 30, 5]
    pixels, picture, _ = painted(chart("line", {"": values}), renderer)
    mask, box = inside(coloured(pixels, PALETTES["tab"][0]), picture), picture.plot
    ends = lay_out(chart("line", {"": values}), plain_style()).along
    for at, value in enumerate(values):
        x = box.x0 + (at - ends[0]) / (ends[1] - ends[0]) * (box.x1 - box.x0)
        y = box.y1 - value / 50 * (box.y1 - box.y0)
        assert mask[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].any(), (at, value)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_dots_stand_where_both_axes_say(renderer: Renderer) -> None:
    xs, ys = [1, 4, 7, 9], [10, 42, 25, 5]
    scale = Scale(Decimal(2), 0, 5, Decimal("0.5"))
    series = (Series("", tuple(map(Decimal, ys)), tuple(map(Decimal, xs))),)
    made = Chart("scatter", "", "Time (s)", "Height (m)", (), series, SCALE, scale)
    pixels, picture, found = painted(made, renderer)
    mask, box = inside(coloured(pixels, PALETTES["tab"][0]), picture), picture.plot
    for x, y in zip(xs, ys, strict=True):
        at = box.x0 + x / 10 * (box.x1 - box.x0), box.y1 - y / 50 * (box.y1 - box.y0)
        spot = mask[int(at[1]) - 4 : int(at[1]) + 5, int(at[0]) - 4 : int(at[0]) + 5]
        assert spot.sum() > 12
    assert mask.sum() < 4 * 9 * 9
    assert [region.text for region in found if region.kind == "point"] == [
        "1.0, 10",
        "4.0, 42",
        "7.0, 25",
        "9.0, 5",
    ]
    assert rows(chart_table(made)) == [
        ["Time (s)", "Height (m)"], ["1.0", "10"], ["4.0", "42"], ["7.0", "25"], ["9.0", "5"],
    ]  # fmt: skip


@pytest.mark.parametrize("renderer", RENDERERS)
def test_boxes_reach_from_quartile_to_quartile(renderer: Renderer) -> None:
    five = {"Minimum": [5, 2], "Lower quartile": [15, 8], "Median": [20, 12], "Upper quartile": [35, 20],
            "Maximum": [45, 30]}  # fmt: skip
    pixels, picture, _ = painted(chart("box", five), renderer, plain_style(bar_share=0.88))
    mask, length = inside(coloured(pixels, PALETTES["tab"][0]), picture), picture.plot.y1 - picture.plot.y0
    for n, (start, end) in enumerate(runs(mask.any(axis=0))):
        column = np.flatnonzero(mask[:, (start + end) // 2])
        low, high = ((picture.plot.y1 - y) / length * 50 for y in (column.max() + 1, column.min()))
        assert (low, high) == pytest.approx((five["Lower quartile"][n], five["Upper quartile"][n]), abs=0.4)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_radar_reaches_out_to_its_numbers(renderer: Renderer) -> None:
    values = [50, 20, 40, 30]
    pixels, picture, _ = painted(chart("radar", {"": values}), renderer)
    mask, box = coloured(pixels, PALETTES["tab"][0]), picture.plot
    x, y, radius = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2, (box.x1 - box.x0) / 2
    for n, value in enumerate(values):
        at = x + radius * value / 50 * np.sin(n * np.pi / 2), y - radius * value / 50 * np.cos(n * np.pi / 2)
        assert mask[int(at[1]) - 3 : int(at[1]) + 4, int(at[0]) - 3 : int(at[0]) + 4].any(), value


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_second_axis_has_its_own_scale(renderer: Renderer) -> None:
    made = chart("combined", {"Bars": [10, 20, 30], "Line": [100, 400, 200]})
    made = replace(made, line_scale=Scale(Decimal(100), 0, 5, Decimal(50)), line_title="Count")
    pixels, picture, _ = painted(made, renderer)
    mask, box = inside(coloured(pixels, PALETTES["tab"][1]), picture), picture.plot
    top = np.argwhere(mask)[:, 0].min()
    assert (box.y1 - top) / (box.y1 - box.y0) * 500 == pytest.approx(400, abs=12)
    assert rows(chart_table(made))[1:] == [["A", "10", "100"], ["B", "20", "400"], ["C", "30", "200"]]


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("form", FORMS)
def test_regions_are_where_the_marks_are(renderer: Renderer, form: Form) -> None:
    """Colour of the palette, or ink of a box, in the middle of every bar, point and wedge."""
    sample = ChartMaker(forms=(form,), renderers=(renderer,)).make(1, seed=11)
    assert isinstance(sample, Sample) and sample.image is not None
    style, pixels = sample.details["style"], np.asarray(sample.image).astype(int)
    height, width = pixels.shape[:2]
    paper = [int(THEMES[style["theme"]].plot[at : at + 2], 16) for at in (1, 3, 5)]
    for region in sample.regions:
        box = region.box
        assert -1 <= box.x0 <= box.x1 <= width + 1 and -1 <= box.y0 <= box.y1 <= height + 1
        if region.kind in ("bar", "point"):
            area = pixels[int(box.y0) : int(box.y1) + 1, int(box.x0) : int(box.x1) + 1]
            assert (np.abs(area - paper).max(axis=2) > 20).mean() > 0.3, region


@pytest.mark.parametrize("renderer", RENDERERS)
def test_nothing_is_cut_off_at_the_edge(renderer: Renderer) -> None:
    for form in FORMS:
        sample = ChartMaker(forms=(form,), renderers=(renderer,)).make(0, seed=21)
        assert isinstance(sample, Sample)
        pixels = np.asarray(sample.image).astype(int)
        edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert np.abs(edge - pixels[0, 0]).max() < 8, form


def numbers(made: Chart) -> list[list[Decimal]]:
    return [list(series.values) for series in made.series]


@pytest.mark.parametrize("form", FORMS)
def test_numbers_lie_on_a_grid_that_can_be_seen(form: Form) -> None:
    for number in range(60):
        rng = dice("test", number, 0)
        style = random_style(rng)
        made = random_chart(form, rng, style)
        scales = [made.scale] * len(made.series)
        if made.line_scale is not None:
            scales[-1] = made.line_scale
        for scale, values in zip(scales, numbers(made), strict=True):
            assert all(value % scale.step == 0 for value in values)
            if form != "pie":
                assert all(scale.low <= value <= scale.high for value in values)
                if not made.printed:
                    assert scale.tick % scale.step == 0
                    length = style.plot_width if made.horizontal else style.plot_height
                    if form != "radar":
                        assert length / float((scale.high - scale.low) / scale.step) >= 3.2
        if form == "stacked":
            assert all(sum(column) <= made.scale.high for column in zip(*numbers(made), strict=True))
        if form == "pie" and made.scale.suffix == "%":
            assert sum(made.series[0].values) == 100
        if form == "box":
            assert all(list(five) == sorted(set(five)) for five in zip(*numbers(made), strict=True))


def test_samples_ask_for_the_figure() -> None:
    sample = ChartMaker(renderers=("matplotlib",)).make(0, seed=5)
    assert isinstance(sample, Sample)
    assert (sample.kind, sample.task, sample.prompt) == ("chart", "ocr2", PROMPTS["figure"])
    assert sample.answer.startswith("<table><tr><td>") and sample.answer.endswith("</td></tr></table>")


@pytest.mark.parametrize("form", FORMS)
def test_answers_hold_the_numbers_of_the_marks(form: Form) -> None:
    for number in range(20):
        rng = dice("answers", number, 0)
        style = random_style(rng)
        made = random_chart(form, rng, style)
        table, drawing = rows(chart_table(made)), lay_out(made, style)
        assert len({len(row) for row in table}) == 1
        found = regions(drawing, Box(0, 0, 100, 100))
        cells = [cell for row in table for cell in row]
        for kind in ("bar", "wedge", "point"):
            texts = [text for region in found if region.kind == kind for text in region.text.split(", ")]
            assert set(texts) <= set(cells)
            if kind == "bar" and form in ("bar", "stacked"):
                assert sorted(texts) == sorted(cell for row in table[1:] for cell in row[1:])


def test_printed_numbers_are_the_answer() -> None:
    """The text of the picture, taken from the drawing's instructions, is the text of the cells."""
    seen = 0
    for number in range(40):
        rng = dice("printed", number, 0)
        style = random_style(rng)
        made = random_chart("bar", rng, style)
        if made.printed:
            spec = specification(lay_out(made, style))
            texts = [row["t"] for layer in spec["layer"] if layer["mark"]["type"] == "text"
                     for row in layer["data"]["values"]]  # fmt: skip
            assert sorted(texts) == sorted(cell for row in rows(chart_table(made))[1:] for cell in row[1:])
            seen += 1
    assert seen > 5


def test_every_tick_is_written_at_vegas_axis() -> None:
    vl_convert = pytest.importorskip("vl_convert")
    scale = Scale(Decimal("2500"), -2, 3, Decimal("500"), commas=True)
    made = chart("bar", {"": [-2500, 5000, 7000]}, scale=scale)
    svg = vl_convert.vegalite_to_svg(specification(lay_out(made, plain_style())), "5.21")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"-5,000", "-2,500", "0", "2,500", "5,000", "7,500", "A", "B", "C"} <= set(texts)


def test_numbers_are_written_as_the_axis_writes_them() -> None:
    scale = Scale(Decimal("2500"), 0, 4, Decimal("500"), commas=True)
    assert [scale.tick_text(tick) for tick in scale.ticks] == ["0", "2,500", "5,000", "7,500", "10,000"]
    fine = Scale(Decimal("0.5"), 0, 4, Decimal("0.05"))
    assert (fine.tick_text(Decimal("1")), fine.text(Decimal("1"))) == ("1.0", "1.00")
    assert Scale(Decimal(10), 0, 10, Decimal(5), suffix="%").text(Decimal(35)) == "35%"


def test_cells_are_escaped() -> None:
    made = replace(chart("bar", {"a<b": [1], "R&D": [2]}), category_title="")
    assert chart_table(made) == (
        "<table><tr><td></td><td>a&lt;b</td><td>R&amp;D</td></tr><tr><td>A</td><td>1</td><td>2</td></tr></table>"
    )


def test_shares_are_whole_and_add_up() -> None:
    assert shares([1, 1, 1], 100, 5) == [34, 33, 33]
    assert shares([0.001, 0.999], 20, 4) == [4, 16]


@pytest.mark.parametrize("form", FORMS)
def test_specifications_are_vega_lite(form: Form) -> None:
    """Altair's copy of the Vega-Lite schema accepts every layer's mark and the whole."""
    altair = pytest.importorskip("altair")
    rng = dice("schema", FORMS.index(form), 0)
    style = random_style(rng)
    altair.Chart.from_dict(specification(lay_out(random_chart(form, rng, style), style)))


def test_settings_of_the_user_are_neither_read_nor_changed() -> None:
    maker = ChartMaker(renderers=("matplotlib",))
    plain = maker.make(3, seed=2)
    assert isinstance(plain, Sample) and plain.image is not None
    with matplotlib.rc_context(
        {"lines.linewidth": 9, "axes.facecolor": "red", "font.size": 30, "xtick.major.size": 20}
    ):
        before = dict(matplotlib.rcParams)
        changed = maker.make(3, seed=2)
        assert dict(matplotlib.rcParams) == before
    assert isinstance(changed, Sample) and changed.image is not None
    assert changed.image.tobytes() == plain.image.tobytes()
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_the_same_pixels_in_another_process() -> None:
    code = (
        "from foveate.data.charts import ChartMaker\n"
        "import hashlib, sys\n"
        "for n in (3, 1, 2, 0):\n"
        "    s = ChartMaker().make(n, 6)\n"
        "    print(hashlib.sha256(s.image.tobytes() + s.answer.encode()).hexdigest())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    made = [ChartMaker().make(n, 6) for n in range(4)]
    assert {sample.details["renderer"] for sample in made} == set(RENDERERS)
    digests = [sha256(s.image.tobytes() + s.answer.encode()).hexdigest() for s in made if s.image]
    assert said.stdout.split() == [digests[n] for n in (3, 1, 2, 0)]
    assert len(set(digests)) == 4


def test_a_forked_process_is_told_and_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    made = chart("pie", {"": [1, 2]})
    painted(made, "vega")
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(OptionError, match="spawn"):
        painted(made, "vega")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_fonts_make_a_difference(renderer: Renderer) -> None:
    made = chart("bar", {"": [10, 20]})
    pictures = {painted(made, renderer, plain_style(font=font))[1].image.tobytes() for font in FONTS}
    assert len(pictures) == len(FONTS)


def test_unknown_forms_and_renderers_are_refused() -> None:
    with pytest.raises(OptionError, match="choose from line"):
        ChartMaker(forms=("donut",))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="choose from matplotlib, vega"):
        ChartMaker(renderers=())
