import pytest

from foveate.data.sample import Sample, ask, dice
from foveate.pages.prompts import PROMPTS


def test_ask_uses_the_released_prompts() -> None:
    sample = Sample("chart", "ocr2", ask("figure", "<table></table>"))
    assert (sample.prompt, sample.answer) == (PROMPTS["figure"], "<table></table>")


def test_locate_names_its_reference() -> None:
    user, _ = ask("locate", "…", reference="the cat")
    assert user.text == "<image>\nLocate <|ref|>the cat<|/ref|> in the image."


def test_a_reference_goes_with_locate_alone() -> None:
    with pytest.raises(AssertionError):
        ask("text", "words", reference="the cat")


def test_dice_are_apart_for_each_kind_number_and_seed() -> None:
    throws = {dice(kind, n, seed).integers(1 << 60) for kind in ("a", "b") for n in (0, 1) for seed in (0, 1)}
    assert len(throws) == 8
    assert dice("a", 3, 5).integers(1 << 60) == dice("a", 3, 5).integers(1 << 60)
