"""Measures against values counted by hand, and against a slow twin."""

import random
import sys

import pytest

from foveate.errors import OptionError
from foveate.evaluation import text_metrics
from foveate.evaluation.text_metrics import ERRORS, METRICS, corpus_means, measure, page_means, scores


def distance(truth: str, read: str) -> int:
    """Levenshtein's distance as the textbook has it."""
    row = list(range(len(read) + 1))
    for i, a in enumerate(truth, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(read, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def test_edit_distance_equals_the_slow_twin() -> None:
    dice = random.Random(0)
    for _ in range(50):
        truth, read = ("".join(dice.choices("abc ü", k=dice.randint(1, 30))) for _ in range(2))
        steps = distance(truth, read)
        assert text_metrics.edit_similarity(truth, read) == pytest.approx(
            1 - steps / max(len(truth), len(read))
        )
        assert text_metrics.character_error_rate(truth, read) == pytest.approx(steps / len(truth))
        assert scores(truth, read)["edit_similarity"] == pytest.approx(
            text_metrics.edit_similarity(truth, read)
        )


def test_values_counted_by_hand() -> None:
    found = scores("a a b c", "a b b b d")
    assert found["word_precision"] == pytest.approx(2 / 5)  # a and b, once each
    assert found["word_recall"] == pytest.approx(2 / 4)
    assert found["word_f1"] == pytest.approx(4 / 9)
    assert found["distinct_word_precision"] == pytest.approx(2 / 3)  # {a, b} of {a, b, d}
    assert found["distinct_word_recall"] == pytest.approx(2 / 3)  # of {a, b, c}
    assert found["word_edit_similarity"] == pytest.approx(1 - 3 / 5)
    assert found["wer"] == pytest.approx(3 / 4)
    assert found["char_f1"] == pytest.approx(4 / 9)


def test_order_counts_where_the_name_says_so() -> None:
    found = scores("one two three four", "three four one two")
    assert found["word_f1"] == found["distinct_word_f1"] == 1
    assert found["ordered_word_precision"] == found["ordered_word_recall"] == pytest.approx(1 / 2)
    assert found["word_edit_similarity"] == 0


def test_a_loop_is_no_matter_to_distinct_words() -> None:
    truth = "the quick brown fox"
    found = scores(truth, truth + " fox" * 96)
    assert found["distinct_word_precision"] == 1
    assert found["word_precision"] == pytest.approx(0.04)
    assert found["wer"] == pytest.approx(24)
    assert found["edit_similarity"] < 0.05


def test_bleu_counted_by_hand() -> None:
    # 5 tokens of 6 the same; 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples; no brevity penalty
    wanted = (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert scores("a b c d e f", "a b c d x f")["bleu"] == pytest.approx(wanted)


def test_meteor_counted_by_hand() -> None:
    words = ["the", "cats", "sat", "on", "the", "mat"]
    assert text_metrics.meteor(words, words) == pytest.approx(1 - 0.5 * (1 / 6) ** 3)
    stems = text_metrics.meteor(words, ["The", "cat", "sat", "on", "the", "mat"])
    assert stems == pytest.approx(1 - 0.5 * (1 / 6) ** 3), "case and endings are no errors to METEOR"
    assert text_metrics.meteor(["big"], ["large"]) == 0, "synonyms would need WordNet"


def test_the_names_are_those_of_the_table() -> None:
    assert tuple(measure("a", "b")) == METRICS
    assert text_metrics.__doc__ is not None
    for name in METRICS:
        assert f"`{name}`" in text_metrics.__doc__ or f"`…_{name.rsplit('_', 1)[1]}`" in text_metrics.__doc__


def test_the_same_text_is_perfect_and_another_is_not() -> None:
    text = "It was a bright cold day in April, and the clocks were striking thirteen."
    for name, value in scores(text, text).items():
        best = 0 if name in ERRORS else 1
        assert value == pytest.approx(best, abs=1e-3), name
    for name, value in scores(text, "QQQ ZZZ").items():
        assert value >= 0.95 if name in ERRORS else value <= 0.05, name


@pytest.mark.parametrize(("truth", "read"), [("a word", ""), ("", "a word"), ("a word", " \n")])
def test_nothing_is_always_wrong_where_there_is_something(truth: str, read: str) -> None:
    found = scores(truth, read)
    assert all(found[name] == 0 for name in METRICS if name not in (*ERRORS, "edit_similarity")), found
    assert all(found[name] >= 0.6 for name in ERRORS)


def test_nothing_is_right_where_there_is_nothing() -> None:
    assert all(value == (0 if name in ERRORS else 1) for name, value in scores("", "").items())


def test_a_short_page_weighs_less_in_a_corpus() -> None:
    truths, reads = ["a", "b c d e f g h i j"], ["x", "b c d e f g h i j"]
    pages = [measure(*pair) for pair in zip(truths, reads, strict=True)]
    assert page_means(pages)["word_recall"] == pytest.approx(1 / 2)
    assert corpus_means(pages, truths, reads)["word_recall"] == pytest.approx(9 / 10)
    assert corpus_means(pages, truths, reads)["bleu"] == pytest.approx(text_metrics.bleu(truths, reads))
    assert page_means(pages)["cer"] == pytest.approx(1 / 2)
    assert corpus_means(pages, truths, reads)["cer"] == pytest.approx(1 / 18)


def test_a_corpus_of_blank_pages() -> None:
    pages = [measure("", ""), measure("", "")]
    found = corpus_means(pages, ["", ""], ["", ""])
    assert all(value == (0 if name in ERRORS else 1) for name, value in found.items())


def test_what_is_read_from_a_blank_page_counts_by_its_length_in_a_corpus() -> None:
    truths, reads = ["", "a b c d"], ["x y z x", "a b c d"]
    pages = [measure(*pair) for pair in zip(truths, reads, strict=True)]
    assert page_means(pages)["cer"] == pytest.approx(1 / 2)
    found = corpus_means(pages, truths, reads)
    assert found["cer"] == found["wer"] == 1  # as many edits as the truth has
    assert found["word_precision"] == 4 / 8 and found["word_recall"] == 1
    assert found["distinct_word_precision"] == 4 / 7
    lost = [measure("a b", ""), measure("a b", "a b")]
    found = corpus_means(lost, ["a b", "a b"], ["", "a b"])
    assert found["word_precision"] == 1 and found["word_recall"] == 0.5
    found = corpus_means([measure("", ""), measure("", "x")], ["", ""], ["", "x"])
    assert found["cer"] == 1 and found["word_recall"] == 0


@pytest.mark.parametrize(("library", "call"), [("sacrebleu.metrics.bleu", "bleu"), ("nltk", "meteor")])
def test_a_missing_library_says_how_to_get_it(
    library: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*(name for name in sys.modules if name.startswith("nltk")), library]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OptionError, match=r"pip install 'foveate\[eval\]'"):
        getattr(text_metrics, call)(["a"], ["a"])
