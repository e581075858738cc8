"""TEDS against the published scorer's values, and what it must see."""

import json
from pathlib import Path

import pytest

from foveate.errors import CorruptSource
from foveate.evaluation.table_metrics import read_pairs, score_tables, teds, teds_structure

TABLE = "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"


def test_equals_the_published_scores(shared: Path) -> None:
    pairs = json.loads((shared / "tables" / "teds_reference.json").read_text(encoding="utf-8"))
    assert len(pairs) == 14
    for pair in pairs:
        assert teds(pair["truth"], pair["prediction"]) == pytest.approx(pair["teds"], abs=1e-6), pair["id"]


def test_one_wrong_letter_and_one_lost_row() -> None:
    # 6 nodes below the table: 2 rows, 4 cells
    assert teds(TABLE, TABLE.replace(">d<", ">x<")) == pytest.approx(1 - 1 / 6)
    assert teds_structure(TABLE, TABLE.replace(">d<", ">x<")) == 1
    lost = "<table><tr><td>a</td><td>b</td></tr></table>"
    assert teds(TABLE, lost) == teds_structure(TABLE, lost) == pytest.approx(1 - 3 / 6)


def test_spans_are_structure() -> None:
    wide = TABLE.replace("<td>a</td>", '<td colspan="2">a</td>')
    assert teds_structure(TABLE, wide) == pytest.approx(1 - 1 / 6)
    assert teds_structure(TABLE, TABLE.replace("<td>", '<td colspan="many" rowspan="-1">')) == 1


def test_half_a_text_is_half_an_error() -> None:
    assert teds("<table><tr><td>ab</td></tr></table>", "<table><tr><td>ax</td></tr></table>") == (
        pytest.approx(1 - 0.5 / 2)
    )


@pytest.mark.parametrize("read", ["", " ", "no table", "<p>a</p>", "<!-- -->", "\0", "\ud800"])
def test_no_table_is_worth_nothing(read: str) -> None:
    assert teds(TABLE, read) == teds(read, TABLE) == 0


def test_the_first_table_counts_wherever_it_stands() -> None:
    assert teds(TABLE, f"Here it is:\n<div>{TABLE}</div>\n{TABLE.replace('>a<', '>z<')}") == 1
    assert teds("<table></table>", "<table></table>") == 1


def test_pairs_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    pairs = [
        {"id": "one", "truth": TABLE, "prediction": TABLE},
        {"id": "two", "truth": TABLE, "prediction": ""},
    ]
    path.write_text(json.dumps(pairs))
    scores = score_tables(read_pairs(path), seed=0)
    assert scores["metrics"] == {"teds": 0.5, "teds_structure": 0.5}
    assert scores["tables"][0] == {"id": "one", "teds": 1.0, "teds_structure": 1.0}
    assert scores["intervals"]["teds"] == [0, 1]
    path.write_text('[{"id": "one", "truth": 3}]')
    with pytest.raises(CorruptSource, match="pair 1"):
        read_pairs(path)
    path.write_text(json.dumps([pairs[0], pairs[0]]))
    with pytest.raises(CorruptSource, match="comes twice"):
        read_pairs(path)
