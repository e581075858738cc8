"""Where a line may end."""

import pytest

from foveate.pages.render.breaking import Break, clusters, is_simple, pieces, simple_pieces, syllables


@pytest.mark.parametrize(
    "text",
    [
        "A well-known  text—with 3-4 signs. ",
        "「日本語」は、カタカナも。",
        "การค้า ขาย",
        "ខ្ញុំស្រលាញ់",
        "a\u200bb\tc",
    ],
)
def test_pieces_lose_nothing(text: str) -> None:
    assert "".join(pieces(text)[0]) == text
    assert "".join(simple_pieces(text)) == text


def test_words_end_at_spaces_and_after_hyphens() -> None:
    found, breaks = pieces("a well-known 3-4")
    assert found == ["a", " ", "well-", "known", " ", "3-", "4"]
    assert breaks[2] == Break.INSIDE  # the word goes on in the next line
    assert breaks[5] == Break.NEVER  # a range of numbers does not


def test_kinsoku() -> None:
    found, breaks = pieces("「あっ、ア。")
    after = dict(zip(found, breaks, strict=True))
    assert after["「"] == Break.NEVER  # nothing that opens ends a line
    assert after["あ"] == Break.NEVER  # a small kana begins none
    assert after["っ"] == Break.NEVER  # nor a comma
    assert after["、"] == Break.BETWEEN
    assert after["ア"] == Break.NEVER  # nor a full stop


def test_thai_vowels_stay_with_their_consonants() -> None:
    assert syllables("เท่านั้น") == ("เท่า", "นั้", "น")


def test_burmese_final_consonants_stay() -> None:
    assert syllables("မြန်မာ") == ("မြန်", "မာ")


def test_clusters_hold_marks_and_what_is_stacked() -> None:
    assert clusters("e\u0301x") == ["e\u0301", "x"]
    assert clusters("ខ្ញុំ") == ["ខ្ញុំ"]


def test_only_alphabets_with_spaces_are_simple() -> None:
    assert is_simple("Ünïcödé, Ελληνικά, Русский, “quotes” …")
    assert not any(is_simple(text) for text in ("ไทย", "日本", "नमस्ते", "བོད"))
