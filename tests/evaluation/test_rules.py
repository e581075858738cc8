"""Rules of olmOCR-bench: a perfect reader passes all, a blank one only what must be absent."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz.distance import Levenshtein

from foveate.errors import CorruptSource, SourceNotFound
from foveate.evaluation import formulas
from foveate.evaluation.grids import find_grids
from foveate.evaluation.readers import Reading
from foveate.evaluation.rules import (
    Rule,
    ends_of,
    normalise,
    read_rules,
    rule_cases,
    score_rules,
    starts_of,
)
from foveate.evaluation.run import PageResult


def rule(kind: str, /, **details: Any) -> Rule:
    return Rule("a.pdf", 1, "r", kind, details)


def passes(reading: str, kind: str, /, **details: Any) -> bool:
    return rule(kind, **details).check(reading)[0]


def perfect(rules: list[Rule]) -> str:
    """What a reader writes that gets all of a page's rules right, made from the rules alone."""
    ordered = [item.details for item in rules if item.kind == "order"]
    lines: list[str] = []
    for pair in ordered:
        # A chain "a before b", "b before c" is written once, in its order.
        if pair["before"] not in lines:
            lines.append(pair["before"])
        lines.append(pair["after"])
    parts = [*lines, *(item.details["text"] for item in rules if item.kind == "present")]
    parts += [f"$$ {item.details['math']} $$" for item in rules if item.kind == "math"]
    return "\n\n".join([*parts, *(table_of(item.details) for item in rules if item.kind == "table")])


def table_of(details: Any) -> str:
    """The smallest table in which a cell has the neighbours and headings asked for."""
    above = [details[name] for name in ("top_heading", "up") if details.get(name)]
    before = [details[name] for name in ("left_heading", "left") if details.get(name)]
    after = [details[name] for name in ("right",) if details.get(name)]
    below = [details[name] for name in ("down",) if details.get(name)]
    pad = "<td></td>" * len(before)
    rows = [f"<tr>{pad}<td>{cell}</td></tr>" for cell in above]
    rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in (*before, details["cell"], *after)) + "</tr>")
    rows += [f"<tr>{pad}<td>{cell}</td></tr>" for cell in below]
    return f"<table>{''.join(rows)}</table>"


def read_as(rules: list[Rule], texts: dict[str, str]) -> dict[str, Any]:
    pages = [PageResult(name, Reading(text, 0.0), 1, 1) for name, text in texts.items()]
    return score_rules(rules, pages)


def test_the_50_rules_of_the_benchmark(shared: Path) -> None:
    rules = read_rules(shared / "documents/bench/rules.jsonl")
    assert len(rules) == 50
    pages = defaultdict(list)
    for item in rules:
        pages[item.case].append(item)
    scores = read_as(rules, {name: perfect(items) for name, items in pages.items()})
    assert [line for line in scores["rules"] if not line["passed"]] == []
    blank = read_as(rules, dict.fromkeys(pages, ""))
    assert {line["type"] for line in blank["rules"] if line["passed"]} == {"absent"}
    assert blank["kinds"]["absent"]["rate"] == 1
    cases = rule_cases(rules, shared / "documents/bench/pdf")
    assert {case.id for case in cases} == set(pages) and cases[0].open().mode == "RGB"


def test_pages_that_were_not_read_count_as_empty() -> None:
    scores = read_as([rule("present", text="word")], {})
    assert scores["kinds"]["present"]["passed"] == 0
    assert scores["kinds"]["present"]["high"] < 1  # Wilson's, of one rule


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"type": "smell"}, "not known"),
        ({"type": "present", "text": " "}, "needs text"),
        ({"type": "order", "before": "a"}, "needs after"),
        ({"type": "math", "math": "x", "page": 0}, "page from 1"),
        ({"type": "math", "math": "x", "pdf": "../x.pdf"}, "leaves the folder"),
        ({"type": "present", "text": "x", "max_diffs": -1}, "max_diffs"),
        ({"type": "present", "text": "x", "max_diffs": True}, "max_diffs"),
        ({"type": "present", "text": "x", "first_n": "5"}, "first_n"),
        ({"type": "baseline", "max_length": "5"}, "max_length"),
        ({"type": "present", "text": ["x"]}, "needs text"),
        ({"type": "present", "text": "****", "max_diffs": 1}, "needs text"),
        ({"type": "table", "cell": "____"}, "needs cell"),
        ({"type": "math", "math": r"\label{a}"}, "needs math"),
    ],
)
def test_lines_that_are_no_rules(tmp_path: Path, line: dict[str, Any], complaint: str) -> None:
    path = tmp_path / "rules.jsonl"
    good = {"pdf": "a.pdf", "page": 1, "id": "1", "type": "math", "math": "x"}
    path.write_text(json.dumps(good) + "\n\n" + json.dumps({"pdf": "a.pdf", "page": 1, "id": "2"} | line))
    with pytest.raises(CorruptSource, match=complaint):
        read_rules(path)


def test_a_file_without_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.jsonl").write_text("\n")
    with pytest.raises(CorruptSource, match="no rules"):
        read_rules(tmp_path / "rules.jsonl")


def test_two_rules_of_one_id_and_a_missing_pdf(tmp_path: Path) -> None:
    path = tmp_path / "rules.jsonl"
    line = json.dumps({"pdf": "a.pdf", "page": 1, "id": "1", "type": "math", "math": "x"})
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(CorruptSource, match="comes twice"):
        read_rules(path)
    path.write_text(line)
    with pytest.raises(SourceNotFound, match=r"a\.pdf"):
        rule_cases(read_rules(path), tmp_path)


def test_texts() -> None:
    assert passes("It’s **bold**\nand — so on", "present", text="It's bold and - so")
    assert not passes("something else", "present", text="It's bold")
    assert passes("kitten", "present", text="sitten", max_diffs=1)
    assert not passes("kitten", "present", text="sittin", max_diffs=1)
    assert passes("KITTEN", "present", text="kitten", case_sensitive=False)
    assert not passes("KITTEN", "present", text="kitten")
    page = "199 a long line of text"
    assert passes(page, "absent", text="199", last_n=10) and not passes(page, "absent", text="199", first_n=5)
    assert passes("", "absent", text="a b") and not passes(" \n", "present", text="a b")


def test_order() -> None:
    assert passes("one two three", "order", before="one", after="three")
    assert not passes("three two one", "order", before="one", after="three")
    assert not passes("one two", "order", before="one", after="three")
    assert passes("one two thrce", "order", before="one", after="three", max_diffs=1)


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_the_search_finds_what_trying_every_stretch_finds(most: int) -> None:
    needle, text = "abcab", "xxabdabyabcabzzaccabbacabxab"
    ends = {
        end
        for end in range(len(text) + 1)
        for start in range(end + 1)
        if Levenshtein.distance(needle, text[start:end]) <= most
    }
    starts = {
        start
        for start in range(len(text) + 1)
        for end in range(start, len(text) + 1)
        if Levenshtein.distance(needle, text[start:end]) <= most
    }
    assert set(ends_of(needle, text, most)) == ends
    assert set(starts_of(needle, text, most)) == starts


PIPES = "| Name | Size |\n| --- | --- |\n| first | 12.5 |\n| second | 7 |"
SPANS = (
    "<table><tr><td rowspan=2>Task</td><td colspan=2>Scores</td></tr><tr><td>A</td><td>B</td></tr>"
    "<tr><td>easy</td><td>0.9</td><td>0.8</td></tr><tr><td>hard</td><td>0.2</td><td>0.1</td></tr></table>"
)


@pytest.mark.parametrize(
    ("table", "details", "right"),
    [
        (PIPES, {"cell": "12.5", "left": "first"}, True),
        (PIPES, {"cell": "12.5", "left": "second"}, False),
        (PIPES, {"cell": "12.5", "down": "7", "top_heading": "Size"}, True),
        (PIPES, {"cell": "7", "top_heading": "12.5"}, False),
        (PIPES, {"cell": "7", "left_heading": "second"}, True),
        (PIPES, {"cell": "8"}, False),
        (SPANS, {"cell": "0.1", "top_heading": "Scores"}, True),
        (SPANS, {"cell": "0.1", "top_heading": "B", "up": "0.8"}, True),
        (SPANS, {"cell": "0.1", "top_heading": "A"}, False),
        (SPANS, {"cell": "easy", "up": "Task"}, True),
        (SPANS, {"cell": "A", "left": "Task", "up": "Scores"}, True),
        (SPANS, {"cell": "Task", "right": "A"}, True),
        (SPANS, {"cell": "0.1", "top_heading": "0.8"}, False),
        ("no table", {"cell": "0.1"}, False),
    ],
)
def test_tables(table: str, details: dict[str, str], right: bool) -> None:
    assert passes(f"Text.\n\n{table}\n\nMore.", "table", **details) is right


def test_spans_beyond_all_measure_are_not_followed() -> None:
    cells = '<tr><td rowspan="99" colspan="99">x</td></tr>' * 60
    (grid,) = find_grids(f"<table>{cells}</table>")
    assert len(grid.cells) == 60


SAME = [
    (r"e^{i \pi}+1=0", r"e^{i\pi} + 1 = 0"),
    (r"\frac{1}{2}", r"\dfrac12"),
    (r"x^2_a", r"x_{a}^{2}"),
    (r"\left( a \right)", "(a)"),
    (r"\mathrm{d}x", "d x"),
    (r"\boldsymbol{E}", r"\mathbf{E}"),
    (r"f'(x)", r"f^{\prime}(x)"),
    (r"a \le b", r"a\leq b"),
    (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "a=b c=d"),
    (r"\sqrt x", r"\sqrt{x}"),
    ("a = b.", "{a}={b}"),
]
OTHER = [
    ("a+b", "a-b"),
    (r"x^2", "x_2"),
    (r"\frac{a}{b}", r"\frac{b}{a}"),
    (r"\mathbf{E}", "E"),
    (r"\sqrt{x+y}", r"\sqrt{x}+y"),
    (r"\frac{a}{bc}", r"\frac{a}{b}c"),
    (r"x^{ab}", r"x^{a}b"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_formula(one: str, other: str) -> None:
    assert formulas.normalise(one) == formulas.normalise(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_formulas_that_differ(one: str, other: str) -> None:
    assert formulas.normalise(one) != formulas.normalise(other)


def test_math() -> None:
    assert passes(r"so that $E = mc^{2}$ holds", "math", math="E=mc^2")
    assert passes(r"\[ E = mc^2 \tag{1} \] and more", "math", math="E=mc^2")
    assert passes(r"\( p = E / c, \; E = mc^2 \)", "math", math="E=mc^2")
    assert not passes("E=mc^2 without brackets", "math", math="E=mc^2")
    assert not passes(r"$E = mc^3$", "math", math="E=mc^2")
    assert formulas.find_formulas(r"$a$ \(b\) $$c$$ \[d\]") == ["a", "b", "c", "d"]


def test_broken_braces_do_not_break_the_comparison() -> None:
    assert formulas.normalise("{{{x}") == ("x",)
    assert formulas.normalise("x}}^") == ("x", "^", "{", "}")
    assert formulas.normalise("{" * 5000 + "x")


def test_baseline() -> None:
    assert passes("Some words.", "baseline")
    assert not passes(" ... ", "baseline")
    assert not passes("It begins well " + "and so on " * 50, "baseline")
    assert not passes("words 中", "baseline")
    assert passes("words 中", "baseline", check_disallowed_characters=False)
    assert passes("", "baseline", max_length=0) and not passes("ab", "baseline", max_length=1)


def test_normalise_is_idempotent() -> None:
    text = normalise("**“A”**  <b>b</b>\n_c_ — d<br/>e")
    assert text == '"A" b c - d e' == normalise(text)
