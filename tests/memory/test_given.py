"""A memory as messages: what fits, in its order, and nothing that a picture may not stand in."""

import base64
import io
from collections.abc import Callable

import pytest
from PIL import Image

from foveate.errors import OptionError
from foveate.memory import OpticalMemory
from foveate.memory.providers import get_provider
from tests.memory.test_fading import FULL


def test_recent_text_and_older_pages(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember(*(f"{FULL} Number {n}." for n in range(5)))
    memory.append("And what now?", role="assistant", time=1e6)
    messages = memory.to_messages(600, provider="deepseek-ocr", recent=0.05)
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[1]["content"] == [{"type": "text", "text": "And what now?"}]
    pictures = [part for part in messages[0]["content"] if part["type"] == "image_url"]
    notes = [part["text"] for part in messages[0]["content"] if part["type"] == "text"]
    assert len(pictures) == 5 and notes[0].startswith("[entry 1, ")
    cost = 0
    for part in pictures:
        data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
        with Image.open(io.BytesIO(data)) as image:
            cost += get_provider("deepseek-ocr").tokens(*image.size)
    assert cost <= 600


def test_less_room_gives_less(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember(*(f"{FULL} Number {n}." for n in range(5)))
    assert memory.to_messages(0) == []
    few = str(memory.to_messages(160, provider="deepseek-ocr", recent=0, blur=False))
    many = str(memory.to_messages(600, provider="deepseek-ocr", recent=0, blur=False))
    assert few.count("image_url'") < many.count("image_url'")
    texts = str(memory.to_messages(10_000, recent=1))
    assert "image_url" not in texts and "Number 4." in texts


def test_what_cannot_be_is_told(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember("a")
    for wrong in ({"format": "html"}, {"recent": 2}, {"provider": "x"}, {"budget": -1}):
        with pytest.raises(OptionError):
            memory.to_messages(**{"budget": 10, **wrong})
