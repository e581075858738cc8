"""The prompts that the released model was trained with, by name."""

from foveate.errors import UnknownPrompt

IMAGE = "<image>"
PROMPTS: dict[str, str] = {
    "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
    "ocr": "<image>\n<|grounding|>OCR this image.",
    "text": "<image>\nFree OCR.",
    "figure": "<image>\nParse the figure.",
    "describe": "<image>\nDescribe this image in detail.",
    "locate": "<image>\nLocate <|ref|>{reference}<|/ref|> in the image.",
}


def resolve_prompt(prompt: str, reference: str | None = None) -> str:
    """A prompt's text from its name, or from a free text of more than one word; the page stands at `<image>`.

    Raises `UnknownPrompt` for a word that names none, for `locate` without a reference, and for a text with
    more than one place for the page.
    """
    name = prompt.strip()
    if name == "locate":
        if not reference or "<|" in reference or IMAGE in reference:
            raise UnknownPrompt("the prompt 'locate' needs a reference in plain words: what is to be found")
        return PROMPTS[name].format(reference=reference)
    if reference is not None:
        raise UnknownPrompt(f"a reference goes with the prompt 'locate', not with {prompt!r}")
    if name in PROMPTS:
        return PROMPTS[name]
    if len(name.split()) < 2 and IMAGE not in name:
        raise UnknownPrompt(
            f"{prompt!r} is not a prompt: choose from {', '.join(PROMPTS)}, or write one of your own "
            "in more than one word"
        )
    if name.count(IMAGE) > 1:
        raise UnknownPrompt(
            f"the prompt has {name.count(IMAGE)} places for the page: write {IMAGE} once at most"
        )
    return name if IMAGE in name else f"{IMAGE}\n{name}"


def prompt_name(prompt: str) -> str:
    """The name under which `resolve_prompt` takes it; "free" for a text of the user's own."""
    return prompt.strip() if prompt.strip() in PROMPTS else "free"
