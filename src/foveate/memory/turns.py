"""A history in OpenAI's format, cut into what must stay together and what may become pages."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from foveate.errors import OptionError
from foveate.memory.providers import Provider

Message = Mapping[str, Any]
Count = Callable[[str], int]
PER_MESSAGE = 4  # tokens around a message (OpenAI cookbook, "How to count tokens with tiktoken")
UNKNOWN_IMAGE = (1024, 1024)  # pixels, of a picture that only has an address
_INSTRUCTIONS = ("system", "developer")
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_PLAIN_KEYS = {"role", "content"}
_EMPTY_KEYS = ("tool_calls", "function_call", "refusal", "annotations", "audio", "reasoning_content", "name")


@dataclass(frozen=True)
class Unit:
    """Messages that are never parted. kind: "system", "tools", "kept" or "text"; only text becomes pages."""

    kind: str
    first: int  # its first message's place in the history
    after: int
    tokens: int
    role: str = ""
    text: str = ""


def units(history: Sequence[Message], count: Count, provider: Provider) -> list[Unit]:
    """The history's units in order. Raises `OptionError` for what is no history."""
    _check(history)
    found: list[Unit] = []
    at = 0
    while at < len(history):
        after = _after_results(history, at)
        tokens = sum(message_tokens(message, count, provider) for message in history[at:after])
        kind, text = _kind(history[at:after])
        found.append(Unit(kind, at, after, tokens, str(history[at]["role"]), text))
        at = after
    return found


def _check(history: Sequence[Message]) -> None:
    if isinstance(history, str | bytes) or not isinstance(history, Sequence):
        raise OptionError('messages are a list such as [{"role": "user", "content": "…"}]')
    for number, message in enumerate(history):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise OptionError(f'message {number} is no message: write {{"role": …, "content": …}}')


def _after_results(history: Sequence[Message], at: int) -> int:
    """The message after a call and its results; just the next one for any other message."""
    after = at + 1
    calls = history[at]["role"] == "assistant" and (
        history[at].get("tool_calls") or history[at].get("function_call")
    )
    if calls or history[at]["role"] in ("tool", "function"):
        while after < len(history) and history[after]["role"] in ("tool", "function"):
            after += 1
    return after


def _kind(messages: Sequence[Message]) -> tuple[str, str]:
    """The kind of a unit, and its text if it may become pages."""
    first = messages[0]
    if first["role"] in _INSTRUCTIONS:
        return "system", ""
    if len(messages) > 1 or first["role"] in ("tool", "function") or first.get("tool_calls"):
        return "tools", ""
    if first.get("function_call"):
        return "tools", ""
    others = {key for key in first.keys() - _PLAIN_KEYS if first[key] or key not in _EMPTY_KEYS}
    text = plain_text(first.get("content"))
    if first["role"] not in ("user", "assistant") or others or text is None:
        return "kept", ""
    return "text", text


def plain_text(content: Any) -> str | None:
    """The text of a message's content; None when anything else is in it, or nothing."""
    if isinstance(content, str):
        return content if content.strip() else None
    if not isinstance(content, list) or not content:
        return None
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or set(part) != {"type", "text"} or part["type"] != "text":
            return None
        if not isinstance(part["text"], str):
            return None
        texts.append(part["text"])
    joined = "\n".join(texts)
    return joined if joined.strip() else None


def message_tokens(message: Message, count: Count, provider: Provider) -> int:
    """What a message costs, about: its text, its pictures, its calls, and what stands around it."""
    total = PER_MESSAGE
    for key, value in message.items():
        if key == "role":
            continue
        if key == "content" and isinstance(value, list):
            total += sum(_part_tokens(part, count, provider) for part in value)
        elif isinstance(value, str):
            total += count(value)
        elif value:
            total += count(json.dumps(value, ensure_ascii=False, default=str))
    return total


def _part_tokens(part: Any, count: Count, provider: Provider) -> int:
    if not isinstance(part, Mapping):
        return count(str(part))
    if part.get("type") == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        detail = image.get("detail") if isinstance(image, Mapping) else None
        detail = detail if detail in ("low", "high") else ""
        try:
            return provider.tokens(*_pixels(url), detail)
        except OptionError:  # a picture that the provider refuses: it will say so itself
            return provider.tokens(*UNKNOWN_IMAGE, detail)
    if isinstance(part.get("text"), str):
        return count(part["text"])
    # Sound and files: their bytes are no text; a token for four bytes of base64 would be absurd.
    return math.ceil(len(json.dumps(part, default=str)) / 400)


def _pixels(url: Any) -> tuple[int, int]:
    """Of a picture in a data URL, by its head alone."""
    if isinstance(url, str) and url.startswith("data:image/") and ";base64," in url[:80]:
        head = url.partition(",")[2][: 1 << 16]
        try:
            with Image.open(io.BytesIO(base64.b64decode(head[: len(head) // 4 * 4]))) as image:
                return image.size
        except (OSError, binascii.Error, ValueError, SyntaxError, *_BOMBS):
            return UNKNOWN_IMAGE
    return UNKNOWN_IMAGE
