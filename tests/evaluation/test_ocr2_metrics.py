"""Charts' tables, molecules and plane figures: values counted by hand."""

import json

import pytest

from foveate.evaluation.ocr2_metrics import (
    exact_cells,
    number,
    read_table,
    relative_mapping,
    segment_overlap,
)

CHART = """<table><tr><td></td><td>2020</td><td>2021 est.</td></tr>
<tr><td>Copper</td><td>100</td><td>200</td></tr><tr><td>Zinc</td><td>50</td><td>0</td></tr></table>"""


def test_tables_in_both_spellings() -> None:
    rows = [["", "2020", "2021 est."], ["Copper", "100", "200"], ["Zinc", "50", "0"]]
    assert read_table(f"The chart:\n{CHART}") == rows
    assert (
        read_table("|  | 2020 | 2021 est. |\n|---|---|---|\n| Copper | 100 | 200 |\n| Zinc | 50 | 0 |")
        == rows
    )
    assert read_table("no table") == read_table("") == []


def test_spans_are_repeated() -> None:
    spanned = (
        '<table><tr><td rowspan="2">a</td><td colspan="2">b</td></tr><tr><td>c</td><td>d</td></tr></table>'
    )
    assert read_table(spanned) == [["a", "b", "b"], ["a", "c", "d"]]
    assert len(read_table('<td colspan="99999999" rowspan="99999">x</td>')) <= 1000


def test_a_table_is_like_itself_and_its_transpose() -> None:
    turned = """<tr><td></td><td>Copper</td><td>Zinc</td></tr><tr><td>2020</td><td>100</td><td>50</td></tr>
    <tr><td>2021 est.</td><td>200</td><td>0</td></tr>"""
    assert relative_mapping(CHART, CHART).f1 == 1
    assert relative_mapping(CHART, turned).f1 > 0.6, "names are joined in the other order"
    assert exact_cells(CHART, CHART).f1 == 1
    assert exact_cells(CHART, turned).f1 < 1


def test_a_small_error_costs_its_size_and_a_large_one_all() -> None:
    near = relative_mapping(CHART, CHART.replace("<td>100<", "<td>105<"))
    assert near.precision == near.recall == pytest.approx((3 + 0.95) / 4)
    far = relative_mapping(CHART, CHART.replace("<td>100<", "<td>150<"))
    assert far.f1 == pytest.approx(3 / 4)
    assert relative_mapping(CHART, CHART.replace("<td>0<", "<td>1<")).f1 == pytest.approx(3 / 4)


def test_a_lost_row_is_recall_and_an_invented_one_precision() -> None:
    lost = CHART.replace("<tr><td>Zinc</td><td>50</td><td>0</td></tr>", "")
    assert relative_mapping(CHART, lost).precision == 1
    assert relative_mapping(CHART, lost).recall == pytest.approx(1 / 2)
    assert relative_mapping(lost, CHART).precision == pytest.approx(1 / 2)
    assert relative_mapping(CHART, "").f1 == exact_cells(CHART, "").f1 == 0


def test_the_order_of_rows_is_no_error_to_the_mapping() -> None:
    rows = ["<tr><td></td><td>n</td><td>m units</td></tr>", "<tr><td>Alpha</td><td>1</td><td>2</td></tr>",
            "<tr><td>Zebra</td><td>3</td><td>4</td></tr>"]  # fmt: skip
    one, other = "".join(rows), "".join([rows[0], rows[2], rows[1]])
    assert relative_mapping(one, other).f1 == 1
    assert exact_cells(one, other).f1 == pytest.approx(3 / 9)


def test_a_pie_has_no_head() -> None:
    pie = "<tr><td>One</td><td>30%</td></tr><tr><td>Two</td><td>70%</td></tr>"
    assert relative_mapping(pie, pie).f1 == 1
    assert relative_mapping(pie, pie.replace("30%", "0.3")).f1 == 1
    assert relative_mapping(pie, pie.replace("70%", "7%")).f1 == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", 1234.5),
        ("-3", -3),
        ("−3", -3),
        ("12 %", 0.12),
        ("$40", 40),
        ("1.5k", 1500),
        ("2e3", 2000),
        ("abc", None),
        ("", None),
        ("12 Monkeys", None),
        ("1e999", None),
    ],
)
def test_numbers(text: str, value: float | None) -> None:
    assert number(text) == (None if value is None else pytest.approx(value))


def figure(*segments: list[list[int]]) -> str:
    return json.dumps({"segments": [{"ends": ends, "type": "solid"} for ends in segments]})


def test_segments_by_their_ends() -> None:
    truth = figure([[0, 0], [100, 0]], [[100, 0], [100, 100]])
    assert segment_overlap(truth, truth).f1 == 1
    turned = figure([[100, 100], [103, 4]], [[100, 0], [0, 0]])
    assert segment_overlap(truth, turned).f1 == 1, "either direction, half a hundredth away"
    assert segment_overlap(truth, figure([[0, 0], [100, 11]])).f1 == 0
    one = segment_overlap(truth, figure([[0, 0], [100, 0]]))
    assert (one.precision, one.recall, one.f1) == (1, 0.5, pytest.approx(2 / 3))


def test_no_segment_is_found_twice() -> None:
    twice = figure([[0, 0], [100, 0]], [[0, 2], [100, 2]])
    found = segment_overlap(figure([[0, 0], [100, 0]]), twice)
    assert (found.precision, found.recall) == (0.5, 1)


@pytest.mark.parametrize(
    "read",
    ["", "no figure", "{", "[]", '{"segments": 3}', '{"segments": [{"ends": [[0, 0], [1]]}, 4, null]}',
     '{"segments": [{"ends": [[0, 0], [1, "2"]]}]}', '{"segments": [{"ends": [[0, 0], [1, NaN]]}]}'],
)  # fmt: skip
def test_what_is_no_figure_has_no_segments(read: str) -> None:
    assert segment_overlap(figure([[0, 0], [100, 0]]), read).f1 == 0
    assert segment_overlap("{}", read).f1 == 1


def test_molecules() -> None:
    pytest.importorskip("rdkit")
    from foveate.evaluation.ocr2_metrics import canonical_smiles, exact_smiles, tanimoto

    assert exact_smiles("OCC", "CCO") and exact_smiles("c1ccccc1", "C1=CC=CC=C1")
    assert not exact_smiles("CCO", "CCN") and not exact_smiles("C[C@H](N)O", "C[C@@H](N)O")
    assert not exact_smiles("CCO", "CC(") and not exact_smiles("not a molecule", "not a molecule")
    assert exact_smiles("CC.O>>CCO", "O.CC>>OCC") and not exact_smiles("CC>>O", "O>>CC")
    assert canonical_smiles("") is None and canonical_smiles(">>") is None
    assert tanimoto("OCC", "CCO") == 1
    assert 0 < tanimoto("CCO", "CCCO") < 1
    assert tanimoto("CCO", "CC(") == tanimoto("CCO", "") == 0
    assert tanimoto("CC.O>>CCO", "O.CC>>OCC") == 1
