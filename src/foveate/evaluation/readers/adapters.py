"""How each Hugging Face model wants to be asked for a page, by the `model_type` of its config.

Each adapter knows its model's own prompt, how the processor takes the page, and what the answer needs before
it is Markdown. The prompts are those of the models' cards and of the library's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from PIL import Image

from foveate.document import Page
from foveate.pages.markup import parse

Inputs = Mapping[str, Any]
PLAIN = "Convert this page to Markdown. Write its text as it stands, and nothing else."
GROUNDED = "<image>\n<|grounding|>Convert the document to markdown."
FREE = "<image>\nFree OCR."


@dataclass(frozen=True)
class Adapter:
    """One family of models. `settings` go to `generate`."""

    prompt: str
    ask: Callable[[Any, Image.Image, str], Inputs]
    finish: Callable[[Any, str, tuple[int, int]], str] = lambda processor, text, size: text.strip()
    settings: Callable[[Any], dict[str, Any]] = lambda processor: {}
    keep_special: bool = False  # the markup is made of special tokens
    text_prompt: str | None = None  # when plain text is asked for and the model has a prompt for it
    encoder_decoder: bool = False  # what is generated does not begin with the question

    def choose(self, prompt: str) -> str:
        """The model's own prompt for one of ours; a sentence of the user's is taken as it stands."""
        if len(prompt.split()) > 1:
            return prompt
        return self.text_prompt if prompt == "text" and self.text_prompt is not None else self.prompt


# Questions


def _chat(processor: Any, image: Image.Image, prompt: str) -> Inputs:
    """By the chat template, with the page before the words."""
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs: Inputs = processor(images=[image], text=[text], return_tensors="pt")
    return inputs


def _plain(processor: Any, image: Image.Image, prompt: str) -> Inputs:
    """The words with the page's token in them."""
    inputs: Inputs = processor(images=[image], text=[prompt], return_tensors="pt")
    return inputs


def _got(processor: Any, image: Image.Image, prompt: str) -> Inputs:
    """GOT's processor writes the whole question itself, "OCR: " or "OCR with format: "."""
    inputs: Inputs = processor(image, return_tensors="pt", format=prompt.startswith("OCR with format"))
    return inputs


def _picture_alone(processor: Any, image: Image.Image, prompt: str) -> Inputs:
    """Nougat has no prompt."""
    inputs: Inputs = processor(image, return_tensors="pt")
    return inputs


# Settings of `generate`


def _stop_at_turn(processor: Any) -> dict[str, Any]:
    return {"stop_strings": "<|im_end|>", "tokenizer": processor.tokenizer}


def _no_unknown(processor: Any) -> dict[str, Any]:
    unknown = processor.tokenizer.unk_token_id
    return {"bad_words_ids": [[unknown]]} if unknown is not None else {}


def _window(processor: Any) -> dict[str, Any]:
    """Unlimited-OCR's guard against loops, as its card sets it."""
    return {"no_repeat_ngram_size": 35, "no_repeat_ngram_window_size": 128}


# Answers


def _nougat(processor: Any, text: str, size: tuple[int, int]) -> str:
    """Loops at the end cut off and lists put right, where the packages for that are installed."""
    with suppress(ImportError):  # python-Levenshtein and nltk: the text is whole without them
        text = processor.post_process_generation(text, fix_markdown=False)
    return text.strip()


def _grounded(processor: Any, text: str, size: tuple[int, int]) -> str:
    """The Markdown of the markup that DeepSeek-OCR's family writes."""
    return Page(1, *size, tuple(parse(text, *size))).markdown().strip()


def _until_turn(processor: Any, text: str, size: tuple[int, int]) -> str:
    return text.removesuffix("<|im_end|>").strip()


ADAPTERS: dict[str, Adapter] = {
    "got_ocr2": Adapter(
        "OCR with format: ", _got, finish=_until_turn, settings=_stop_at_turn, text_prompt="OCR: "
    ),
    "vision-encoder-decoder": Adapter(
        "", _picture_alone, finish=_nougat, settings=_no_unknown, encoder_decoder=True
    ),
    "qwen2_vl": Adapter(PLAIN, _chat),
    "qwen2_5_vl": Adapter(PLAIN, _chat),
    "internvl": Adapter(PLAIN, _chat),
    "deepseek_ocr2": Adapter(GROUNDED, _plain, finish=_grounded, keep_special=True, text_prompt=FREE),
    "unlimited_ocr": Adapter(
        "<image>document parsing.",
        _plain,
        finish=_grounded,
        settings=_window,
        keep_special=True,
        text_prompt="<image>Free OCR.",
    ),
}
OTHERS = Adapter(PLAIN, _chat)  # any other image-text-to-text model that has a chat template
