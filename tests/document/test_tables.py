from pathlib import Path

import pytest

from foveate.document import tables

SHARED = Path(__file__).parents[2].parent / "shared"


def texts(markup: str) -> list[list[str]]:
    return [[cell.text for cell in row] for row in tables.parse(markup)]


def test_cells_rows_headers_and_spans():
    rows = tables.parse(
        "<table><tr><th rowspan='2'>a</th><td COLSPAN = 3>b</td></tr><tr><td>c d\n e</td></tr></table>"
    )
    assert rows == [
        [tables.Cell("a", header=True, rowspan=2), tables.Cell("b", colspan=3)],
        [tables.Cell("c d e")],
    ]


def test_cells_of_a_head_are_headers():
    rows = tables.parse("<table><thead><tr><td>a</td></tr></thead><tbody><tr><td>b</td></tr></tbody></table>")
    assert [row[0].header for row in rows] == [True, False]


def test_end_tags_may_be_left_out():
    assert texts("<table><tr><td>a<td>b<tr><td>c") == [["a", "b"], ["c"]]


def test_words_outside_cells_are_kept():
    assert texts("<table><caption>T</caption>x<tr><td>a</td>y</tr></table>") == [["T", "x"], ["a", "y"]]


def test_a_table_within_a_cell_lends_it_its_words():
    inner = "<table><tr><td>b</td><td>c</td></tr></table>"
    assert texts(f"<table><tr><td>a {inner} d</td><td>e</td></tr></table>") == [["a b c d", "e"]]


def test_spans_keep_later_cells_at_their_columns():
    rows = tables.parse(
        "<table><tr><td rowspan=3>a</td><td rowspan=2>b</td><td>c</td></tr><tr><td>d</td></tr>"
        "<tr><td colspan=2>e</td></tr><tr><td>f</td></tr></table>"
    )
    assert tables.grid(rows) == [["a", "b", "c"], ["", "", "d"], ["", "e", ""], ["f", "", ""]]


def test_a_span_that_ends_does_not_move_the_next_group():
    group = "<tr><td rowspan=2>{0}</td><td>{0}1</td><td rowspan=2>{0}x</td></tr><tr><td>{0}2</td></tr>"
    rows = tables.parse("<table>" + group.format("a") + group.format("b") + "</table>")
    assert tables.grid(rows) == [["a", "a1", "ax"], ["", "a2", ""], ["b", "b1", "bx"], ["", "b2", ""]]


@pytest.mark.parametrize(
    ("cut", "closed"),
    [
        ("<table><tr><td>12", "<table><tr><td>12</td></tr></table>"),
        ("<table><tr><td>12</td><td rowsp", "<table><tr><td>12</td></tr></table>"),
        ("<table><tr><td>12</td></t", "<table><tr><td>12</td></tr></table>"),
        ("<table><tr><td>a < b", "<table><tr><td>a < b</td></tr></table>"),
        ("<table><tr><td>a<td>b", "<table><tr><td>a<td>b</td></tr></table>"),
        ("T <table><tr><td>a</td></tr>\n\nafter", "T <table><tr><td>a</td></tr></table>\n\nafter"),
        ("<table><thead><tr><th>a", "<table><thead><tr><th>a</th></tr></thead></table>"),
        ("<table>", "<table></table>"),
        ("<table><tr><td>a</td></tr></table>", "<table><tr><td>a</td></tr></table>"),
        ("no table, <td> or not", "no table, <td> or not"),
        ("</table></td>", "</table></td>"),
    ],
)
def test_a_cut_table_is_closed(cut, closed):
    assert tables.close(cut) == closed
    assert tables.close(closed) == closed


def test_every_cut_of_a_table_is_closed_and_keeps_its_first_cells():
    whole = '<table><tr><th colspan="2">Name</th></tr><tr><td>a</td><td>b</td></tr></table>'
    for end in range(len("<table>"), len(whole)):
        closed = tables.close(whole[:end])
        assert closed.count("<t") == closed.count("</t") and closed.endswith("</table>")
        flat = [text for row in texts(closed) for text in row]
        assert [text[: len(full)] for text, full in zip(flat, ["Name", "a", "b"], strict=False)] == [
            full[: len(text)] for text, full in zip(flat, ["Name", "a", "b"], strict=False)
        ]


def test_text_is_split_around_its_tables():
    one, two = "<table><tr><td>1</td></tr></table>", "<TABLE border=1><tr><td>2</td></tr></TABLE>"
    assert tables.split(f"a {one} b {two}") == [(False, "a "), (True, one), (False, " b "), (True, two)]
    assert tables.split("only text") == [(False, "only text")]
    assert tables.split("<table><tr><td>1</td></tr> after") == [
        (True, "<table><tr><td>1</td></tr>"),
        (False, " after"),
    ]


def test_pipes_that_a_renderer_would_misread_are_not_plain():
    assert tables.is_plain([[tables.Cell("a | b")]])
    assert not tables.is_plain([[tables.Cell(r"\(\|x\|\)")]])
    assert not tables.is_plain([[tables.Cell("a", colspan=2)]])
    assert not tables.is_plain([])


def test_absurd_spans_are_not_followed():
    bomb = "<table><tr>" + "<td rowspan=99999999 colspan=99999999>a" * 2000 + "<tr><td>b" * 2000
    rows = tables.parse(bomb)
    assert rows[0][0].rowspan == rows[0][0].colspan == tables.MAX_SPAN
    assert [row[0] for row in tables.grid(rows)][:3] == ["a", "b", "b"]


def test_a_short_row_is_filled_up():
    assert tables.to_pipes(tables.parse("<tr><td>a</td><td>b</td></tr><tr><td>c</td></tr>")) == (
        "| a | b |\n| --- | --- |\n| c |  |"
    )


@pytest.mark.skipif(not (SHARED / "documents/markup").is_dir(), reason="needs the shared documents")
def test_a_real_table():
    markup = (SHARED / "documents/markup/deepseek_example.md").read_text("utf-8")
    (table,) = (part for is_table, part in tables.split(markup) if is_table)
    grid = tables.grid(tables.parse(table))
    assert {len(row) for row in grid} == {8}
    assert grid[0][3:6] == ["TEDs", "", ""] and grid[1][3:6] == ["simple", "complex", "all"]
    assert grid[2] == ["6", "6", "OTSL", "0.965", "0.934", "0.955", "0.88", "2.73"]
    assert grid[3] == ["", "", "HTML", "0.969", "0.927", "0.955", "0.857", "5.39"]
    assert tables.to_html(tables.parse(table)) == table
