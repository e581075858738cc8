"""Pages that nobody can guess: what is on them, and how readers of known vices score."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveate.errors import OptionError
from foveate.evaluation.honesty import (
    ALIKE,
    SIZES,
    TESTS,
    Plan,
    honesty_cases,
    needle_of,
    score_blank,
    score_honesty,
    score_needle,
)
from foveate.evaluation.readers import Reading
from foveate.evaluation.repeats import loops, repeated_share, trailing_repeats
from foveate.evaluation.run import Case, PageResult

pytest.importorskip("uharfbuzz")
pytestmark = pytest.mark.skipif(shutil.which("fc-list") is None, reason="needs installed fonts")

VOCABULARY = (
    "hill river man woman year long grey wall saw went over under again thing house old road never "
    "always thought bread morning evening horse slowly garden letter took gave little great window "
    "door stone light winter summer field quiet loud answer question friend table far near song"
)
WORDS = VOCABULARY.split()


def prose(sentences: int) -> str:
    """Sentences that do not repeat, of words that exist."""
    rng = np.random.default_rng(5)
    picked = ([WORDS[n] for n in rng.integers(0, len(WORDS), rng.integers(6, 15))] for _ in range(sentences))
    return " ".join(" ".join(words).capitalize() + "." for words in picked)


PROSE = prose(800)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "en.txt"
    path.write_text(PROSE, encoding="utf-8")
    return path


def plan(text: Path, *tests: str, **more: Any) -> Plan:
    given: dict[str, Any] = {"mode": "tiny", "size": 20.0, "pages": 1, "lengths": (1, 2), "depths": 3}
    return Plan(text, tests or TESTS, **(given | more))


def read(cases: list[Case], say: Callable[[Case], str]) -> dict[str, Any]:
    pages = [
        PageResult(case.id, Reading(say(case), 0.0), 1, 1, case.truth, None, case.labels) for case in cases
    ]
    return score_honesty(pages)


@pytest.fixture(scope="module")
def cases(text: Path) -> list[Case]:
    return honesty_cases(plan(text))


def test_a_perfect_reader(cases: list[Case]) -> None:
    scores = read(cases, lambda case: case.truth or "")
    for test in TESTS[:9]:
        assert scores[test]["all"]["value"] == 1, test
    assert scores["language_prior"] == 0 and scores["needle"]["found"] == 1
    assert scores["blank"]["silent"] == scores["blank"]["pages"] == 6
    assert scores["loops"]["count"] == 0
    assert [variant["size"] for variant in scores["density"]["variants"].values()] == list(SIZES)


def test_a_blank_reader(cases: list[Case]) -> None:
    scores = read(cases, lambda case: "")
    assert scores["prose"]["all"]["value"] == 0 and scores["needle"]["found"] == 0
    assert scores["blank"]["silent"] == 6


def test_a_reader_that_guesses(cases: list[Case]) -> None:
    """It puts the words that it saw into an order that makes sense, and talks on blank sheets."""
    sense = next(case.truth for case in cases if case.labels["test"] == "prose")

    def say(case: Case) -> str:
        return sense or "" if case.labels["test"] in ("prose", "shuffled", "blank") else case.truth or ""

    scores = read(cases, say)
    assert scores["prose"]["all"]["value"] == 1 and scores["language_prior"] > 0.3
    assert scores["blank"]["silent"] == 0 and min(scores["blank"]["letters"].values()) > 50


def test_what_stands_on_the_pages(cases: list[Case]) -> None:
    words = {case.labels["test"]: (case.truth or "").split() for case in cases}
    assert sorted(words["shuffled"]) == sorted(words["prose"]) and words["shuffled"] != words["prose"]
    assert all(word.isdecimal() for word in words["numbers"])
    assert all(len(word) == 36 for word in "".join(words["uuids"]).split() if word.count("-") == 4)
    assert set("".join(words["lookalikes"])) <= set(ALIKE)
    assert all(word.isalpha() and word.islower() for word in words["letters"])


def test_density_rises(cases: list[Case]) -> None:
    lengths = [case.labels["characters"] for case in cases if case.labels["test"] == "density"]
    assert lengths == sorted(lengths) and lengths[-1] > 5 * lengths[0]


def test_turned_and_blank_pages(cases: list[Case]) -> None:
    turned = {case.labels["degrees"]: case for case in cases if case.labels["test"] == "rotated"}
    upright, right = (np.asarray(turned[degrees].open().convert("L")) for degrees in (0, 90))
    assert np.array_equal(np.rot90(upright, -1), right)  # clockwise
    blank = {case.labels["variant"]: case.open() for case in cases if case.labels["test"] == "blank"}
    assert set(blank) == {"white", "grey", "black", "grain", "scanned", "ruled"}
    assert blank["white"].getextrema() == ((255, 255),) * 3


def test_the_needle_is_where_it_should_be(text: Path) -> None:
    chosen = plan(text, "needle", lengths=(1, 3), depths=3)
    needle, number = needle_of(chosen)
    assert number in needle and "0" not in number
    cases = honesty_cases(chosen)
    texts: dict[tuple[int, float], dict[int, str]] = {}
    for case in cases:
        for length, depth, page in case.labels["cells"]:
            texts.setdefault((length, depth), {})[page] = case.truth or ""
    assert set(texts) == {(length, depth) for length in (1, 3) for depth in (0.0, 0.5, 1.0)}
    for (length, depth), pages in texts.items():
        whole = " ".join(pages[page] for page in range(length))
        place = whole.index(needle) / (len(whole) - len(needle))
        assert whole.count(number) == 1 and abs(place - depth) < 0.2, (length, depth)
    assert len(cases) < sum(length for length, _ in texts)  # pages in common are read once


def test_a_needle_that_was_nearly_read() -> None:
    def likeness(text: str) -> tuple[bool, float]:
        labels = {"needle": "It is 1234567.", "code": "1234567", "cells": [[1, 0.0, 0]]}
        (cell,) = score_needle([PageResult("n", Reading(text, 0.0), 1, 1, "", None, labels)])["cells"]
        return cell["found"], cell["likeness"]

    assert likeness("and it is 1234567.") == (True, 1)
    assert likeness("and it is 1234568.") == (False, pytest.approx(6 / 7))
    assert likeness("words alone are no number") == (False, 0)
    assert likeness("91234567") == (False, pytest.approx(7 / 8))


def test_the_same_seed_gives_the_same_pages(text: Path) -> None:
    def pages(seed: int) -> list[tuple[str, str | None, bytes]]:
        made = honesty_cases(plan(text, "letters", "degraded", "blank", seed=seed))
        return [(case.id, case.truth, case.open().tobytes()) for case in made[:8]]

    assert pages(1) == pages(1) != pages(2)


def test_plans_that_are_none(text: Path) -> None:
    with pytest.raises(OptionError, match="no test"):
        plan(text, "smell")
    with pytest.raises(OptionError, match="from 1"):
        plan(text, lengths=(0,))


def test_signs_on_a_blank_sheet_say_nothing() -> None:
    page = PageResult("b", Reading("— | . \n", 0.0), 1, 1, "", None, {"variant": "white"})
    assert score_blank([page])["silent"] == 1


@pytest.mark.parametrize(
    ("text", "looping"),
    [
        (PROSE[:3000], False),
        ("and so it went on and on, " * 30, True),
        (PROSE[:400] + " the end" * 12, True),
        ("1000000000000000000000000000", True),
        ("A price of 1,000,000,000.", False),
        ("Contents ................................................ 7", False),
        ("", False),
        ("no no no", False),
    ],
)
def test_loops(text: str, looping: bool) -> None:
    assert loops(text) is looping


def test_repeats_are_counted() -> None:
    assert trailing_repeats("abcabcabcabcabcabcabcabc") == 8
    assert trailing_repeats("word") == 1
    assert repeated_share(("a b c d e f g h i j " * 2).split()) == pytest.approx(1 / 11)
