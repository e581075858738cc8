"""OmniDocBench's layout, and scores that can be worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.errors import CorruptSource, SourceNotFound
from foveate.evaluation import cdm
from foveate.evaluation.markdown_parts import normal_formula, normal_table, normal_text, parts_of
from foveate.evaluation.omnidocbench import (
    benchmark_cases,
    read_benchmark,
    score_benchmark,
    score_page,
    write_predictions,
)
from foveate.evaluation.readers import Reading
from foveate.evaluation.run import PageResult

TABLE = (
    "<table><tr><td>Name</td><td>Size</td></tr><tr><td>first</td><td>12</td></tr>"
    "<tr><td>second</td><td>7</td></tr></table>"
)
PIPES = "| Name | Size |\n| --- | --- |\n| first | 12 |\n| second | 7 |"
TEXT = {1: "A short title", 3: "The first half of a sentence that a column cuts", 4: " and its second half."}


def det(number: int, category: str, order: int | None, **more: Any) -> dict[str, Any]:
    poly = [0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 0.0, 10.0]
    return {
        "category_type": category,
        "poly": poly,
        "ignore": False,
        "order": order,
        "anno_id": number,
        **more,
    }


def page(**more: Any) -> dict[str, Any]:
    dets = [
        det(0, "header", None, text="Running head of the journal"),
        det(3, "text_block", 3, text=TEXT[3], attribute={"text_language": "text_en"}),
        det(1, "title", 1, text=TEXT[1]),
        det(4, "text_block", 6, text=TEXT[4]),
        det(5, "equation_isolated", 4, latex="$$\\frac{a}{b} = c \\tag{1}$$"),
        det(6, "table", 5, html=TABLE, latex="", attribute={"with_span": False, "line": "full_line"}),
        det(7, "figure", 7),
        det(8, "text_block", 8, text="never to be scored", ignore=True),
    ]
    info = {
        "page_no": 0,
        "height": 100,
        "width": 80,
        "image_path": "images/one.png",
        "page_attribute": {"data_source": "book", "language": "en", "watermark": False, "special_issue": []},
    }
    relation = {"source_anno_id": 3, "target_anno_id": 4, "relation_type": "truncated"}
    return {"layout_dets": dets, "page_info": info, "extra": {"relation": [relation]}} | more


def other_page() -> dict[str, Any]:
    info = {
        "page_no": 1,
        "height": 9,
        "width": 9,
        "image_path": "two.jpg",
        "page_attribute": {"language": "zh"},
    }
    return {"layout_dets": [det(0, "text_block", 1, text="只有一行")], "page_info": info, "extra": {}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "OmniDocBench.json"
    path.write_text(json.dumps([page(), other_page()], ensure_ascii=False), encoding="utf-8")
    return path


PERFECT = f"# {TEXT[1]}\n\n{TEXT[3]}{TEXT[4]}\n\n$$\n\\dfrac{{a}}{{b}}=c\n$$\n\n{PIPES}\n"


def test_the_layout(data: Path) -> None:
    first, second = read_benchmark(data)
    assert [(block.kind, block.scored) for block in first.blocks] == [
        ("text", True),
        ("text", True),
        ("formula", True),
        ("table", True),
        ("text", False),
    ]
    assert first.blocks[1].text == TEXT[3] + TEXT[4]
    assert first.attributes == {"data_source": "book", "language": "en", "watermark": False}
    assert first.id == "one.png" and second.blocks[0].text == "只有一行"


def test_a_perfect_reading_in_another_dress(data: Path) -> None:
    scores = score_page(read_benchmark(data)[0], PERFECT)
    assert scores == {
        "text_edit": 0,
        "text_bleu": pytest.approx(1),
        "formula_edit": 0,
        "table_teds": 1,
        "table_teds_structure": 1,
        "table_edit": 0,
        "order_edit": 0,
    }


def test_nothing_was_read(data: Path) -> None:
    scores = score_page(read_benchmark(data)[0], "")
    assert scores == {
        "text_edit": 1,
        "text_bleu": 0,
        "formula_edit": 1,
        "table_teds": 0,
        "table_teds_structure": 0,
        "table_edit": 1,
        "order_edit": 1,
    }


def test_running_heads_may_be_read_or_not(data: Path) -> None:
    truth = read_benchmark(data)[0]
    assert score_page(truth, "Running head of the journal\n\n" + PERFECT)["text_edit"] == 0
    added = score_page(truth, PERFECT + "\n\nTwelve words that stand nowhere on this page at all.")
    letters = len(normal_text("Twelve words that stand nowhere on this page at all."))
    whole = len(normal_text(TEXT[1] + TEXT[3] + TEXT[4]))
    assert added["text_edit"] == pytest.approx(letters / (letters + whole))


def test_the_order_counts_apart(data: Path) -> None:
    parts = PERFECT.split("\n\n")
    scores = score_page(read_benchmark(data)[0], "\n\n".join([parts[1], parts[0], *parts[2:]]))
    assert scores["text_edit"] == 0 and scores["order_edit"] == pytest.approx(2 / 4)


def test_a_wrong_cell_and_a_missing_row(data: Path) -> None:
    truth = read_benchmark(data)[0]
    wrong = score_page(truth, PERFECT.replace("| 12 |", "| 13 |"))
    # 9 nodes below the table: 3 rows, 6 cells. One of two characters of one cell is wrong.
    assert wrong["table_teds"] == pytest.approx(1 - 0.5 / 9) and wrong["table_teds_structure"] == 1
    short = score_page(truth, PERFECT.replace("\n| second | 7 |", ""))
    assert short["table_teds"] == short["table_teds_structure"] == pytest.approx(1 - 3 / 9)


def test_means_and_groups(data: Path) -> None:
    pages = read_benchmark(data)
    results = [PageResult("one.png", Reading(PERFECT, 0.0), 1, 1)]  # the second page was not read
    scores = score_benchmark(pages, results, with_cdm=False)
    assert scores["all"]["text_edit"]["value"] == 0.5 and scores["all"]["table_teds"]["pages"] == 1
    assert scores["groups"]["language"]["en"]["text_edit"]["value"] == 0
    assert scores["groups"]["language"]["zh"]["text_edit"]["value"] == 1
    assert scores["groups"]["data_source"]["book"]["pages"] == 1
    assert scores["block_groups"]["table"]["with_span"]["False"] == {
        "blocks": 1,
        "value": 1,
        "low": 1,
        "high": 1,
    }
    assert scores["block_groups"]["text"]["text_language"]["text_en"]["value"] == 0
    assert scores["overall"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert scores["cdm"] is None and "official" in scores["cdm_note"]
    assert scores["overall_formulas"] == "1 - formula_edit"


def test_cdm_where_there_is_latex(data: Path) -> None:
    if cdm.unavailable():
        pytest.skip("needs LaTeX and scipy")
    pages = read_benchmark(data)
    reading = PERFECT.replace("=c", "=d")  # one of five signs: a, the bar, b, = and c
    scores = score_benchmark(pages, [PageResult("one.png", Reading(reading, 0.0), 1, 1)])
    assert scores["all"]["formula_cdm"]["value"] == pytest.approx(4 / 5)
    assert scores["cdm"]["f1"]["value"] == pytest.approx(4 / 5) and scores["cdm"]["exact"] == 0
    assert scores["cdm"]["formulas"] == 1 and scores["cdm_note"] == ""
    assert scores["overall"] == pytest.approx((0.5 + 1 + 4 / 5) / 3)


def test_cdm_where_there_is_none(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdm, "find_renderer", lambda: None)
    scores = score_benchmark(read_benchmark(data), [])
    assert scores["cdm"] is None and "LaTeX" in scores["cdm_note"] and "formula_cdm" not in scores["all"]


def test_cases_and_predictions(data: Path, tmp_path: Path) -> None:
    pages = read_benchmark(data)
    with pytest.raises(SourceNotFound):
        benchmark_cases(pages, tmp_path)
    for name in ("one.png", "two.jpg"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    cases = benchmark_cases(pages, tmp_path)
    assert [case.id for case in cases] == ["one.png", "two.jpg"] and cases[1].labels == {"language": "zh"}
    write_predictions([PageResult(case.id, Reading("text", 0.0), 1, 1) for case in cases], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.md", "two.md"]


@pytest.mark.parametrize(
    "content", ["{}", "[1]", '[{"layout_dets": []}]', '[{"page_info": {}, "layout_dets": []}]']
)
def test_other_layouts(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(CorruptSource, match="layout"):
        read_benchmark(path)


def test_relations_in_a_circle_lose_nothing(tmp_path: Path) -> None:
    relations = [
        {"source_anno_id": 3, "target_anno_id": 4, "relation_type": "truncated"},
        {"source_anno_id": 4, "target_anno_id": 3, "relation_type": "truncated"},
    ]
    path = tmp_path / "x.json"
    path.write_text(json.dumps([page(extra={"relation": relations})]))
    texts = [block.text for block in read_benchmark(path)[0].blocks if block.kind == "text"]
    assert set(texts) >= {TEXT[3], TEXT[4]}


def test_parts_of_markdown() -> None:
    words = "# Head\n\nText with $x$ in it.\n\n\\[ a \\]"
    text = f"{words}\n\n{PIPES}\n\n- one\n- two\n\n```\ncode | x\n```\n\n{TABLE}"
    kinds = [part.kind for part in parts_of(text)]
    assert kinds == ["text", "text", "formula", "table", "text", "text", "text", "table"]
    assert parts_of("") == [] and parts_of("![](a.png)") == []


def test_normal_forms() -> None:
    assert normal_text("**Bold**, and\n $\\alpha$-rays!") == "Boldandαrays"
    assert normal_formula(r"a = b \text{ if $x$}") == normal_formula(r"$$a = b \text{ if $x$}$$") != "x"
    assert normal_formula(r"a = b \text{ if $x$}").startswith("a=b")
    assert normal_formula("$$ x^2_a $$") == normal_formula(r"x_{a}^{2} \tag{3}")
    assert (
        normal_table("<table><thead><tr><th>a</th></tr></thead></table>")
        == "<table><tr><td>a</td></tr></table>"
    )
    assert normal_table("") == ""
