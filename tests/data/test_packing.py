"""Conversations to tokens, and tokens to sequences."""

from collections.abc import Iterable

import pytest
from PIL import Image

from foveate.data.packing import Pack, pack, tokenize
from foveate.data.recipes import nano
from foveate.data.sample import Sample, Turn, ask, dice
from foveate.errors import OptionError
from foveate.pages.mode import get_mode
from foveate.pages.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(nano())


@pytest.mark.parametrize(("mode", "places"), [("tiny", 73), ("small", 111), ("base", 273)])
def test_image_tokens_are_counted(tokenizer: Tokenizer, mode: str, places: int) -> None:
    sample = Sample("x", "ocr1", ask("text", "Some words."), Image.new("RGB", (300, 400)))
    said = tokenize(sample, tokenizer, mode)
    assert said.ids.count(tokenizer.image) == places == get_mode(mode).layout(300, 400).sequence_length
    assert said.layout and said.layout.mode == mode
    assert said.ids[0] == tokenizer.bos and said.ids[-1] == tokenizer.eos
    learned = [number for number, counts in zip(said.ids, said.learned, strict=True) if counts]
    assert learned == [*tokenizer.encode("Some words."), tokenizer.eos]
    assert len(said) == 1 + places + len(tokenizer.encode("\nFree OCR.")) + len(learned)


def test_every_answer_of_a_longer_talk_is_learned(tokenizer: Tokenizer) -> None:
    turns = (*ask("text", "one"), Turn("user", "And?"), Turn("assistant", "two"))
    said = tokenize(Sample("x", "ocr1", turns, Image.new("RGB", (64, 64))), tokenizer, "tiny")
    learned = [number for number, counts in zip(said.ids, said.learned, strict=True) if counts]
    assert tokenizer.decode(learned).replace(tokenizer.decode([tokenizer.eos]), "|") == "one|two|"


def test_text_alone(tokenizer: Tokenizer) -> None:
    sample = Sample("text", "text", (Turn("user", ""), Turn("assistant", "plain words")))
    said = tokenize(sample, tokenizer)
    assert list(said.ids) == [tokenizer.bos, *tokenizer.encode("plain words"), tokenizer.eos]
    assert said.learned == (False, *[True] * (len(said) - 1)) and said.layout is None


def packed(lengths: Iterable[int], room: int, opened: int = 16) -> list[Pack[int]]:
    return list(pack(lengths, lambda length: length, room, opened))


def test_first_fit() -> None:
    assert [each.items for each in packed([6, 5, 4, 3, 2], 10)] == [[6, 4], [5, 3, 2]]
    assert [each.items for each in packed([6, 5, 4, 3, 3], 10)] == [[6, 4], [5, 3], [3]]
    (first, second) = packed([6, 5, 4, 3, 2], 10)
    assert (first.bounds, second.bounds) == ([0, 6, 10], [0, 5, 8, 10])


def test_the_fullest_leaves_when_another_is_needed() -> None:
    assert [each.items for each in packed([7, 8, 9, 2], 10, 2)] == [[8], [7, 2], [9]]


def test_nothing_is_lost_and_nothing_overflows() -> None:
    lengths = [int(length) for length in dice("packing", 0, 0).integers(1, 4000, 500)]
    packs = packed(lengths, 8192)
    assert sorted(length for each in packs for length in each.items) == sorted(lengths)
    for each in packs:
        ends = [start + length for start, length in zip(each.starts, each.items, strict=True)]
        assert ends == each.bounds[1:] and each.length <= 8192
    filled = sum(lengths) / (8192 * len(packs))
    assert filled > 0.97
    assert [each.items for each in packed(lengths, 8192)] == [each.items for each in packs]


def test_what_is_too_long() -> None:
    left: list[int] = []
    packs = list(pack([3, 11, 4], lambda length: length, 10, too_long=left.append))
    assert [each.items for each in packs] == [[3, 4]] and left == [11]
    with pytest.raises(OptionError, match="a conversation of 11 tokens does not fit into 10"):
        packed([3, 11], 10)
    with pytest.raises(OptionError, match="choose 1 or more"):
        packed([3], 0)


def test_packs_wait_for_no_more_than_they_need() -> None:
    def lengths() -> Iterable[int]:
        yield from (10, 10)
        raise AssertionError("a full pack was held back")

    packs = pack(lengths(), lambda length: length, 10)
    assert [next(packs).items, next(packs).items] == [[10], [10]]
