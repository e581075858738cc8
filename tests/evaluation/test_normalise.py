"""What is format, and what is not."""

import pytest

from foveate.evaluation.normalise import plain
from tests.slopes import grows_in_proportion

SAME = [
    ("# Title\n\nSome **bold** and *slanted* words.", "Title\nSome bold and slanted\nwords."),
    ("- one\n- two\n* three", "• one\n• two\n• three"),
    ("> quoted\n> lines", "quoted lines"),
    ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
    ("| a | b |\n|---|:-:|\n| c | d |", "a b\nc d"),
    ("the infor-\nmation of a well-known man", "the information of a wellknown man"),
    ("infor\u00ad\nmation", "information"),
    ("a well-\nknown man", "a well-known man"),
    ("“quoted” — it’s", '"quoted" - it\'s'),
    ("the ﬁrst ﬂow", "the first flow"),
    ("view\\(^{10}\\)", "view^{10}"),
    ("[a link](http://x.org) and ![a picture](p.png)", "a link and a picture"),
    ("`code` and ```\nmore\n```", "code and\nmore"),
    ("a &amp; b &lt; c", "a & b < c"),
    ("1\\. first \\* star", "1. first * star"),
    ("cafe\u0301", "café"),
    ("a\r\nb\fc\u00a0d", "a b c d"),
    ("***both*** and __under__", "both and under"),
]
OTHER = [
    ("a b", "ab"),
    ("Word", "word"),
    ("1.5", "1,5"),
    ("a. b", "a b"),
    ("one two", "two one"),
    ("10-12", "1012"),
    ("snake_case_name", "snakecasename"),
    ("2 * 3 * 4", "2 3 4"),
    ("x < y", "x y"),
    ("costs $5 and $6", "costs 5 and 6"),
    ("long- and short", "longand short"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_another_format_is_no_difference(one: str, other: str) -> None:
    assert plain(one) == plain(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_text_is_a_difference(one: str, other: str) -> None:
    assert plain(one) != plain(other)


def test_plain_text_stays() -> None:
    text = "It said: 3 > 2, (a) and [b]; 50% of x_1 are #4!"
    assert plain(text) == text
    assert plain(" \n\t ") == ""


@pytest.mark.parametrize(
    "unit", ["*", "_", "**a", "[", "![", "](", "<", "<a ", "|", "-", "$", "\\(", "`", "<!--", " *a"]
)
def test_no_text_takes_long(unit: str) -> None:
    assert grows_in_proportion(plain, unit * (20_000 // len(unit)))


def test_unequal_signs_are_no_tags() -> None:
    assert plain("if a<b and c>d then") == "if a<b and c>d then"
    assert plain("<td colspan=\"2\" rowspan=3>x</td ><br/><img src='a b' />y") == "x y"
