"""Two runs, page against page."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.errors import OptionError
from foveate.evaluation.compare import as_text, compare
from foveate.evaluation.readers import Reading
from foveate.evaluation.run import PageResult, Run, Setup

SENTENCE = "the quick brown fox jumps over the lazy dog and runs away from all of them"
WORDS = SENTENCE.split()


def made(reader: str, texts: dict[str, str], kind: str = "run", scores: Any = None, **more: Any) -> Run:
    pages = tuple(
        PageResult(name, Reading(text, 1.0), 9, 9, more.get("truth", " ".join(WORDS)), more.get("picture"))
        for name, text in texts.items()
    )
    memory = {"process": 1 << 28, "largest_child": None, "cuda": None}
    speed = {"pages": len(pages), "seconds": 2.0, "pages_per_second": 1.5, "text_tokens_per_second": None}
    return Run(
        Setup(kind, reader, "small", 0, "pages.jsonl abc"),
        pages,
        scores or {},
        {**speed, "memory": memory},
        {"python": "3"},
        {"gpu": None, "processor": "a <fast> one", "cores": 2},
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:09+00:00",
    )


def spoilt(count: int) -> str:
    """The truth with its last words wrong."""
    return " ".join(
        [*WORDS[: len(WORDS) - count], *("#" * len(word) for word in WORDS[len(WORDS) - count :])]
    )


GOOD = made("good", {f"page {n}": spoilt(n % 2) for n in range(12)})
POOR = made("poor", {f"page {n}": spoilt(3 + n % 4) for n in range(12)})


def test_a_clear_difference() -> None:
    found = compare(POOR, GOOD)
    first, second = found.means
    assert second > first and found.difference.value == pytest.approx(second - first)
    assert found.difference.low > 0 and found.difference.p < 0.01
    assert compare(GOOD, POOR).difference.value == pytest.approx(-found.difference.value)
    assert compare(GOOD, POOR, seed=3) == compare(GOOD, POOR, seed=3)


def test_a_run_against_itself() -> None:
    found = compare(GOOD, GOOD)
    assert found.difference.value == 0 and found.difference.p == 1 and found.worst(5) == []


def test_the_worst_pages_come_first() -> None:
    found = compare(GOOD, POOR)
    worst = found.worst(3)
    assert [abs(pair.gain) for pair in worst] == sorted((abs(pair.gain) for pair in worst), reverse=True)
    assert worst[0].gain == min(pair.gain for pair in found.pairs)


def test_as_text() -> None:
    text = as_text(compare(GOOD, POOR), worst=2)
    assert "good (small)" in text and "p = " in text and text.count("truth") == 2
    assert "###" in text


def test_only_the_pages_of_both_count() -> None:
    other = made("other", {"page 0": spoilt(0), "page 99": ""})
    assert len(compare(GOOD, other).pairs) == 1
    with pytest.raises(OptionError, match="no scored page in common"):
        compare(GOOD, made("none", {"elsewhere": "x"}))
    with pytest.raises(OptionError, match="no scored page in common"):
        compare(GOOD, made("another truth", {"page 0": "x"}, truth="other words"))


def test_rules_and_benchmarks() -> None:
    rules = [{"id": "1", "page": "a", "passed": True}, {"id": "2", "page": "a", "passed": False}]
    better = [{**rule, "passed": True} for rule in rules]
    first, second = (
        made(name, {"a": ""}, "rules", {"rules": found}) for name, found in (("x", rules), ("y", better))
    )
    assert compare(first, second).difference.value == 0.5
    scores = [{"by_page": {"a": {"text_edit": edit}, "b": {}}} for edit in (0.25, 0.75)]
    first, second = (made("x", {"a": "", "b": ""}, "omnidocbench", score) for score in scores)
    assert compare(first, second).difference.value == -0.5
    with pytest.raises(OptionError, match="one kind"):
        compare(first, GOOD)


def test_tables_are_compared_by_teds() -> None:
    scores = [{"tables": [{"id": "a", "teds": score, "teds_structure": 1.0}]} for score in (0.25, 0.75)]
    first, second = (made("x", {"a": "<table></table>"}, "tables", score) for score in scores)
    found = compare(first, second)
    assert found.difference.value == 0.5 and found.what == "TEDS"


def test_json() -> None:
    values = compare(GOOD, POOR).to_dict()
    assert values["pages"] == 12 and values["by_page"]["page 0"][0] == 1


def test_pictures_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (9, 9)).save(path)
    first = made("x", {"a": "one"}, picture=str(path))
    assert f"picture   {path}" in as_text(compare(first, made("y", {"a": spoilt(0)})))
