"""Directions of text."""

import pytest

from foveate.pages.render import bidi

pytest.importorskip("bidi")


def test_the_first_letter_gives_the_direction() -> None:
    assert bidi.base_level("123 שלום abc") == 1
    assert bidi.base_level("(abc שלום)") == 0


def test_levels_of_mixed_text() -> None:
    # Hebrew runs at level 1, English and numbers inside it at 2.
    assert bidi.levels("שלום abc 12", 1) == (1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2)
    assert bidi.levels("abc שלום", 0) == (0, 0, 0, 0, 1, 1, 1, 1)


def test_marks_of_direction_have_a_level_too() -> None:
    assert len(bidi.levels("a\u200f\u202bb\u202c\u2067c\u2069", 0)) == 8


def test_visual_order_of_nested_runs() -> None:
    assert bidi.visual_order([0, 0, 0]) == [0, 1, 2]
    assert bidi.visual_order([1, 1, 2, 2, 1]) == [4, 2, 3, 1, 0]
    assert bidi.visual_order([0, 1, 1, 0]) == [0, 2, 1, 3]


def test_characters_without_a_direction_have_a_level_too() -> None:
    for char in "\x00\x1c\x85\ufffe\U0001fffe\u0378":
        assert len(bidi.levels(f"שלום{char}ab 1", 1)) == 9
