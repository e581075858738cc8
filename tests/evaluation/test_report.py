"""One page of HTML that needs nothing else, and files of its numbers."""

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.evaluation import report
from foveate.evaluation.compare import compare
from foveate.evaluation.fox import PAPER_METRIC
from foveate.evaluation.honesty import score_honesty
from foveate.evaluation.omnidocbench import TruthBlock, TruthPage, score_benchmark
from foveate.evaluation.readers import Reading
from foveate.evaluation.report.charts import Dots, Heat, Lines, Point, Series, Table, csv_rows, ticks
from foveate.evaluation.report.page import shown
from foveate.evaluation.report.readings import marked
from foveate.evaluation.report.svg import draw
from foveate.evaluation.rules import Rule, score_rules
from foveate.evaluation.run import PageResult, Run, Setup
from foveate.evaluation.scoring import score_texts

EVIL = "<script>alert(1)</script>"


def made(kind: str, reader: str, pages: list[PageResult], scores: Any) -> Run:
    memory = {"process": 1 << 28, "largest_child": 1 << 26, "cuda": None}
    speed = {"pages": len(pages), "seconds": 2.0, "pages_per_second": 1.5, "text_tokens_per_second": 70.0}
    return Run(
        Setup(kind, reader, "small", 0, f"data {EVIL}"),
        tuple(pages),
        scores,
        {**speed, "memory": memory, "cpu_seconds": 3.0},
        {"python": "3"},
        {"gpu": None, "processor": "a processor", "cores": 2},
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:09+00:00",
    )


def result(name: str, text: str, truth: str | None, **labels: Any) -> PageResult:
    return PageResult(name, Reading(text, 1.0), 9, 9, truth, None, labels)


def texts(reader: str) -> Run:
    pages = [result("a", f"one two {EVIL}", "one two three"), result(f"b {EVIL}", "four", "four")]
    return made("run", reader, pages, score_texts(pages))


def fox() -> Run:
    metrics = {PAPER_METRIC: 0.965, "edit_similarity": 0.9, "plain_edit_similarity": 0.95, "word_f1": 0.9}
    metrics |= {"bleu": 0.8, "meteor": 0.9}
    group = {"pages": 7, "text_tokens": 650.0, "ratio": 6.5, "metrics": metrics}
    group |= {"intervals": {name: [value - 0.1, value] for name, value in metrics.items()}}
    buckets = [{"from": 600, "to": 700, **group}, {"from": 700, "to": 800, **group, "ratio": 7.5}]
    return made("fox", "released", [], {"buckets": buckets, "all": group})


def curve() -> Run:
    scores = fox().scores
    points = [{**group, "type_size": 12.5, "asked_ratio": 7} for group in scores["buckets"]]
    return made("curve", "nano", [], {"points": points})


def rules() -> Run:
    kinds = {"present": {"text": EVIL}, "absent": {"text": "zzz"}}
    found = [Rule("a.pdf", 1, kind, kind, details) for kind, details in kinds.items()]
    return made("rules", "tesseract", [], score_rules(found, [result("a.pdf#1", "text", None)]))


def benchmark() -> Run:
    blocks = (
        TruthBlock("text", "some words", 1, True, {"text_language": "text_en"}),
        TruthBlock("table", "<table><tr><td>a</td></tr></table>", 2, True, {"with_span": False}),
    )
    page = TruthPage("a.png", blocks, {"language": "en"})
    return made(
        "omnidocbench", "rapidocr", [], score_benchmark([page], [result("a.png", "some words", None)])
    )


def honest(reader: str) -> Run:
    pages = [
        result("1", "abc", "abc", test="prose", variant="page"),
        result("2", "abx", "abc", test="shuffled", variant="page"),
        result("3", "a", "ab", test="density", variant="20", size=20.0, characters=100),
        result("4", "", "ab", test="density", variant="10", size=10.0, characters=400),
        result("5", "ab", "ab", test="degraded", variant="blur 0.5", damage="blur", strength=0.5),
        result("6", "ba", "ab", test="rotated", variant="90", degrees=90),
        result("7", "x", "", test="blank", variant="white"),
        result(
            "8",
            "no. 77",
            "no. 77",
            test="needle",
            variant="k",
            needle="no. 77",
            code="77",
            cells=[[1, 0.0, 0]],
        ),
    ]
    return made("honesty", reader, pages, score_honesty(pages))


RUNS = [
    texts("nano"),
    texts("tesseract"),
    fox(),
    curve(),
    rules(),
    benchmark(),
    honest("nano"),
    honest("tesseract"),
]


class Checker(HTMLParser):
    """Follows the tags; notes what is open and what is asked of elsewhere."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def page() -> str:
    return report.html(RUNS, f"Report {EVIL}")


def test_the_page_stands_alone(page: str) -> None:
    found = checked(page)
    assert "script" not in found.tags and page.count(EVIL) == 0
    assert all(link.startswith(("#", "data:image/")) for link in found.links)
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'" in page and "prefers-color-scheme:dark" in page


def test_every_kind_of_run_has_its_part(page: str) -> None:
    titles = re.findall(r"<h2 id=[^>]*>([^<]*)</h2>", page)
    assert titles == [
        *("Text", "Compression", "Compression curve", "Rules", "OmniDocBench", "Honesty"),
        *("Speed and memory", "Setup"),
    ]  # fmt: skip
    for part in ("paper, tiny", "Needle in a haystack: nano", "The same page at rising density", "96.5"):
        assert part in page


def test_the_paper_is_a_dashed_reference(page: str) -> None:
    assert page.count('class="c7 reference"') >= 4  # two legends, two series
    assert "600 text tokens: 96.5" in page


def test_curves_of_one_reader_are_told_apart() -> None:
    plain, letters = curve(), curve()
    letters = replace(letters, setup=replace(letters.setup, options={"letters": True, "degrade": 0.5}))
    html = report.html([plain, letters], "two curves")
    assert "nano (small), random letters, degraded by 0.5" in html
    assert {'class="c0"', 'class="c1"'} <= set(re.findall(r'class="c\d"', html))


def test_a_curve_shows_points_of_few_pages() -> None:
    few = curve()
    points = [{**point, "pages": 1} for point in few.scores["points"]]
    html = report.html([replace(few, scores={"points": points})], "one page a point")
    assert "650 text tokens, 1 pages" in html


def test_a_comparison_shows_the_pages(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (90, 60), "red").save(picture)
    truth = "the words that stand here"

    def run(reader: str, text: str) -> Run:
        pages = [PageResult("p", Reading(text, 1.0), 90, 60, truth, str(picture))]
        return made("run", reader, pages, score_texts(pages))

    first, second = run("x", truth), run("y", "the words which stand")
    html = report.html([first, second], "x and y", compare(first, second))
    checked(html)
    assert "data:image/webp;base64," in html and "Page against page" in html
    assert "<s>that</s> <b>which</b> stand <s>here</s>" in html


def test_marks() -> None:
    assert marked("a b c", "a x c") == "a <s>b</s> <b>x</b> c"
    assert marked("a", "a") == "a" and marked(None, "<") == "&lt;"
    assert marked("<", "") == "<s>&lt;</s>"


def test_runs_without_pages_or_scores_do_not_break_it() -> None:
    empty = made("run", "none", [], score_texts([]))
    unknown = [result("a", "text", None)]
    checked(report.html([empty, made("run", "untold", unknown, score_texts(unknown))]))
    checked(report.html([made("honesty", "none", [], score_honesty([]))]))


def test_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = report.write_figures([texts("nano"), honest("nano"), fox()], tmp_path)
    names = {path.name for path in paths}
    assert {"precision-against-compression.png", "throughput-and-memory.csv"} <= names
    assert len(names) == len(paths)
    with (tmp_path / "precision-against-compression.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"series": "paper, tiny", "precision, %": "96.5"}.items() <= rows[2].items()
    with Image.open(tmp_path / "needle-in-a-haystack-nano-small.png") as image:
        assert image.width > 600


def test_ticks() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(6.3, 20.1) == [7.5, 10, 12.5, 15, 17.5, 20] or ticks(6.3, 20.1)[0] >= 6.3
    assert ticks(1, 1) == [1]


def test_points_outside_the_range_stay_in_the_picture() -> None:
    series = Series("s", (Point(0, -5), Point(1, 5)))
    for chart in (Lines("t", "x", "y", (series,), (0, 1)), Dots("t", "y", ("a", "b"), (series,))):
        numbers = [float(number) for number in re.findall(r'cy="([^"]+)"', draw(chart))]
        assert len(numbers) == 2 and min(numbers) >= 0 and max(numbers) <= 340


def test_a_heat_map_has_a_field_for_each_value() -> None:
    heat = Heat("t", "x", "y", ("1", "2"), ("a", "b"), ((0.0, 1.0), (None, 0.5)))
    drawn = draw(heat)
    assert drawn.count('class="field"') == 3 and drawn.count('class="none"') == 1
    assert csv_rows(heat) == (["y", "1", "2"], [("a", 0.0, 1.0), ("b", None, 0.5)])


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        (0.5, "0.500"),
        (12.34, "12.3"),
        (12345.6, "12,346"),
        (1234, "1,234"),
        ("x", "x"),
        (0.0, "0.000"),
    ],
)
def test_cells(cell: Any, text: str) -> None:
    assert shown(cell) == text


def test_tables_are_written_as_they_are(tmp_path: Path) -> None:
    from foveate.evaluation.report.files import write_files

    (path,) = write_files([Table("A table", ("a", "b"), (("x, y", 0.123456),))], tmp_path)
    assert path.read_text() == 'a,b\n"x, y",0.123456\n'
