"""Tokens, ratios, and pages that have the ratios asked for."""

import math
from pathlib import Path

import numpy as np
import pytest

from foveate.data.passages import Documents
from foveate.data.recipes import nano
from foveate.errors import ConfigError, ModelNotFound, OptionError, UnknownMode
from foveate.evaluation.compression import (
    Curve,
    ScoredPage,
    TokenCounter,
    buckets,
    cut,
    largest_type,
    random_letters,
    summary,
    vision_tokens,
)
from foveate.evaluation.readers.protocol import Reading
from foveate.evaluation.run import PageResult

WORDS = "The keeper of the lighthouse wrote down, each evening, what ships had passed and where they went. "


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter(nano())


def test_tokens_count_what_stands_around_a_text(counter: TokenCounter) -> None:
    assert counter.count("") == 1
    assert counter.describe()["around"] == ["<｜begin▁of▁sentence｜>"]
    assert counter.count(WORDS) == len(counter.ends(WORDS))


def test_files_that_are_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        TokenCounter(tmp_path / "none.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError):
        TokenCounter(tmp_path)


def test_vision_tokens_of_the_modes() -> None:
    assert [vision_tokens(mode, None) for mode in ("tiny", "small", "base", "large")] == [64, 100, 256, 400]
    assert vision_tokens("gundam", (1000, 1400)) == 256 + 6 * 100
    with pytest.raises(OptionError, match="--images"):
        vision_tokens("gundam", None)
    with pytest.raises(UnknownMode):
        vision_tokens("middling", None)


def test_buckets_begin_at_round_numbers() -> None:
    pages = [ScoredPage(str(n), "a", "a", n, 64) for n in (700, 699, 600, 1300, 799)]
    assert {start: [page.id for page in group] for start, group in buckets(pages).items()} == {
        600: ["600", "699"],
        700: ["700", "799"],
        1300: ["1300"],
    }


def test_summary_counted_by_hand() -> None:
    pages = [ScoredPage("one", "a b", "a b", 20, 10), ScoredPage("two", "**c** d", "c d", 40, 10)]
    found = summary(pages, seed=0)
    assert (found["pages"], found["text_tokens"], found["ratio"]) == (2, 30, 3.0)
    assert found["metrics"]["word_f1"] == pytest.approx(0.75)
    assert found["metrics"]["plain_word_f1"] == 1, "bold type is no reading error"
    assert found["intervals"]["word_f1"] == [0.5, 1.0]
    assert found["corpus"]["cer"] == pytest.approx(4 / 10)


def test_a_cut_text_has_so_many_tokens_in_whole_words(counter: TokenCounter) -> None:
    text = WORDS * 10
    for tokens in (20, 57, 130):
        part = cut(text, tokens, counter)
        assert abs(counter.count(part) - tokens) <= 2
        assert text.startswith(part) and text[len(part)].isspace()
    with pytest.raises(OptionError, match="longer file"):
        cut(WORDS, 10_000, counter)


def test_random_letters_keep_the_shape_of_words() -> None:
    drawn = random_letters(WORDS, np.random.default_rng(0))
    assert drawn != WORDS and drawn == random_letters(WORDS, np.random.default_rng(0))
    assert [len(word) for word in drawn.split()] == [len(word) for word in WORDS.split()]
    assert drawn[0].isupper() and drawn.count(",") == WORDS.count(",")


def curve(counter: TokenCounter, **changes: object) -> Curve:
    values = {"mode": "tiny", "ratios": (4.0, 10.0), "pages": 2, "seed": 1, **changes}
    return Curve(counter, **values)  # type: ignore[arg-type]


def test_pages_have_the_ratios_asked_for(counter: TokenCounter) -> None:
    pytest.importorskip("uharfbuzz")
    letters = random_letters(WORDS * 400, np.random.default_rng(0))
    source = Documents("test", [("en", letters.replace(". ", ".\n"))])
    cases = curve(counter).cases(source)
    assert [case.labels["asked_ratio"] for case in cases] == [4, 4, 10, 10]
    for case in cases:
        assert case.labels["text_tokens"] / 64 == pytest.approx(case.labels["asked_ratio"], rel=0.02)
        image = case.open()
        assert image.size == (512, 512)
        ink = np.asarray(image.convert("L")) < 128
        assert ink[400:480].any(), "the page is filled"
    assert cases[0].labels["type_size"] > 1.3 * cases[-1].labels["type_size"]
    assert cases[0].truth == curve(counter).cases(source)[0].truth
    assert cases[0].truth != curve(counter, seed=2).cases(source)[0].truth


def test_letters_and_degrading_change_the_page(counter: TokenCounter) -> None:
    pytest.importorskip("uharfbuzz")
    source = Documents("test", [("en", WORDS * 100)])
    (case,) = curve(counter, ratios=(4.0,), pages=1).cases(source)
    (letters,) = curve(counter, ratios=(4.0,), pages=1, letters=True).cases(source)
    (degraded,) = curve(counter, ratios=(4.0,), pages=1, degraded=1.0).cases(source)
    assert letters.truth and case.truth and "keeper" in case.truth and "keeper" not in letters.truth
    assert degraded.truth == case.truth
    assert (
        np.asarray(degraded.open().convert("L")).tobytes() != np.asarray(case.open().convert("L")).tobytes()
    )


def test_the_type_is_the_largest_that_fits() -> None:
    pytest.importorskip("uharfbuzz")
    assert largest_type(WORDS, 512) > largest_type(WORDS * 10, 512)
    with pytest.raises(OptionError, match="lower ratios"):
        largest_type(WORDS * 3000, 512)


def test_points_of_a_curve(counter: TokenCounter) -> None:
    def result(ratio: float, read: str) -> PageResult:
        labels = {"asked_ratio": ratio, "text_tokens": round(64 * ratio), "type_size": 20 - ratio}
        return PageResult(f"{ratio}", Reading(read, 1.0), 512, 512, "a b", labels=labels)

    scores = curve(counter).score([result(4.0, "a b"), result(10.0, "a x")])
    assert [point["ratio"] for point in scores["points"]] == [4, 10]
    assert [point["metrics"]["word_f1"] for point in scores["points"]] == [1, 0.5]
    assert [point["type_size"] for point in scores["points"]] == [16, 10]


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "auto"},
        {"ratios": ()},
        {"ratios": (0.0,)},
        {"ratios": (4.0, math.nan)},
        {"ratios": (math.inf,)},
        {"degraded": 2.0},
    ],
)
def test_curves_that_cannot_be(counter: TokenCounter, changes: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        curve(counter, **changes)
