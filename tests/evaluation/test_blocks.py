"""Blocks are matched by what they say, however a reader parts them."""

import pytest

from foveate.evaluation.blocks import match_blocks

FOX = "thequickbrownfoxjumpsoverthelazydog"
LOREM = "loremipsumdolorsitametconsectetur"
NUMBERS = "oneandtwoandthreeandfourandfiveandsix"


def pairs(truths: list[str], reads: list[str]) -> dict[tuple[int, ...], tuple[int, ...]]:
    return {match.truth: match.read for match in match_blocks(truths, reads)}


def test_blocks_in_another_order_match() -> None:
    found = match_blocks([FOX, LOREM, NUMBERS], [NUMBERS, FOX, LOREM])
    assert [(match.truth, match.read, match.distance) for match in found] == [
        ((0,), (1,), 0),
        ((1,), (2,), 0),
        ((2,), (0,), 0),
    ]


def test_a_paragraph_that_was_parted() -> None:
    found = match_blocks([FOX, LOREM], [FOX[:12], FOX[12:], LOREM])
    assert [(match.truth, match.read, match.distance) for match in found] == [
        ((0,), (0, 1), 0),
        ((1,), (2,), 0),
    ]


def test_paragraphs_that_were_joined() -> None:
    found = match_blocks([FOX, LOREM, NUMBERS], [FOX + LOREM, NUMBERS])
    assert [(match.truth, match.read, match.distance) for match in found] == [
        ((0, 1), (0,), 0),
        ((2,), (1,), 0),
    ]


def test_what_is_missing_and_what_was_added() -> None:
    found = {match.truth: match for match in match_blocks([FOX, LOREM], [FOX, "0123456789" * 3])}
    assert found[(1,)].read == () and found[(1,)].distance == len(LOREM)
    assert found[()].read == (1,) and found[()].distance == found[()].length == 30


def test_a_poor_reading_still_matches_its_block() -> None:
    poor = FOX[:20] + "x" * 15
    assert pairs([FOX, LOREM], [LOREM, poor]) == {(0,): (1,), (1,): (0,)}


@pytest.mark.parametrize(
    ("truths", "reads"), [([], []), ([FOX], []), ([], [FOX]), ([""], [""]), (["", FOX], [FOX])]
)
def test_every_block_is_in_one_match(truths: list[str], reads: list[str]) -> None:
    found = match_blocks(truths, reads)
    assert sorted(n for match in found for n in match.truth) == list(range(len(truths)))
    assert sorted(n for match in found for n in match.read) == list(range(len(reads)))
