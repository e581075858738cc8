"""The released prompts, and texts of one's own."""

import pytest

from foveate.errors import UnknownPrompt
from foveate.pages.prompts import IMAGE, PROMPTS, prompt_name, resolve_prompt

RELEASED = {
    "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
    "ocr": "<image>\n<|grounding|>OCR this image.",
    "text": "<image>\nFree OCR.",
    "figure": "<image>\nParse the figure.",
    "describe": "<image>\nDescribe this image in detail.",
}


@pytest.mark.parametrize("name", RELEASED)
def test_a_name_stands_for_its_released_prompt(name: str) -> None:
    assert resolve_prompt(name) == resolve_prompt(f" {name}\n") == RELEASED[name]
    assert prompt_name(name) == name


def test_locate_takes_a_reference() -> None:
    expected = "<image>\nLocate <|ref|>the {red} stamp<|/ref|> in the image."
    assert resolve_prompt("locate", "the {red} stamp") == expected
    assert set(PROMPTS) == {*RELEASED, "locate"}


@pytest.mark.parametrize("reference", [None, "", "<|/ref|>", "an <image>", "a <|det|>"])
def test_locate_needs_a_reference_in_plain_words(reference: str | None) -> None:
    with pytest.raises(UnknownPrompt, match="'locate' needs a reference"):
        resolve_prompt("locate", reference)


def test_a_reference_goes_with_locate_alone() -> None:
    with pytest.raises(UnknownPrompt, match="goes with the prompt 'locate', not with 'ocr'"):
        resolve_prompt("ocr", "the stamp")


def test_a_text_of_ones_own_gets_its_place_for_the_page() -> None:
    assert resolve_prompt("What is the total?") == "<image>\nWhat is the total?"
    assert resolve_prompt("Before <image> and after.") == "Before <image> and after."
    assert resolve_prompt(IMAGE) == IMAGE
    assert prompt_name("What is the total?") == "free"


@pytest.mark.parametrize("prompt", ["", "markdwon", "Text", " OCR "])
def test_a_word_that_names_no_prompt_is_refused(prompt: str) -> None:
    with pytest.raises(UnknownPrompt, match="choose from markdown, ocr, text, figure, describe, locate"):
        resolve_prompt(prompt)


def test_a_page_stands_in_one_place() -> None:
    with pytest.raises(UnknownPrompt, match="2 places for the page"):
        resolve_prompt("Compare <image> with <image>.")
