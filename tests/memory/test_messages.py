"""Histories with older text as pages: nothing is lost, parted or out of order, and the budget is kept."""

import base64
import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("uharfbuzz")
from foveate.errors import OptionError  # noqa: E402
from foveate.memory.messages import Packed, pack  # noqa: E402
from foveate.memory.providers import PROVIDERS, get_provider  # noqa: E402
from foveate.memory.turns import units  # noqa: E402
from foveate.pages.render import Style, cache, fonts, styles  # noqa: E402
from foveate.pages.render.cache import PageCache  # noqa: E402
from foveate.pages.text_tokens import estimate  # noqa: E402

KEPT = PageCache()
WORDS = "The pages of a long talk are put away, and what is old is written in smaller letters. "


@pytest.fixture(autouse=True)
def latin() -> None:
    if not fonts.families():
        pytest.skip("needs fonts")


def history(turns: int = 30, words: int = 6, tools: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """A system message, so many turns, and a question."""
    found: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    for turn in range(turns):
        found.append({"role": "user", "content": f"Question {turn}. {WORDS * words}"})
        if turn in tools:
            call = {"id": f"call-{turn}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
            found.append({"role": "assistant", "content": None, "tool_calls": [call]})
            found.append({"role": "tool", "tool_call_id": f"call-{turn}", "content": WORDS})
        found.append({"role": "assistant", "content": f"Answer {turn}. {WORDS * words}"})
    return [*found, {"role": "user", "content": "And now?"}]


def packed(messages: list[dict[str, Any]], budget: int, provider: str = "qwen2.5-vl", **how: Any) -> Packed:
    return pack(messages, budget, provider=provider, cache=KEPT, **how)


def images(messages: list[dict[str, Any]]) -> list[Image.Image]:
    found = []
    for message in messages:
        for part in message["content"] if isinstance(message["content"], list) else ():
            if part["type"] == "image_url":
                data = part["image_url"]["url"].removeprefix("data:image/png;base64,")
                found.append(Image.open(io.BytesIO(base64.b64decode(data))))
    return found


def test_what_fits_is_not_touched() -> None:
    messages = history(3)
    done = packed(messages, 10_000)
    assert done.messages == messages and done.accounting.saved == 0 and done.accounting.images == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_budget_is_kept_and_the_newest_stays_text(provider: str) -> None:
    messages = history()
    before = copy.deepcopy(messages)
    done = packed(messages, 4000, provider)
    account = done.accounting
    assert messages == before  # the caller's own list is as it was
    assert account.before > 5000 and account.after <= 4000 and not account.over_budget
    assert done.messages[0] == messages[0] and done.messages[-1] == messages[-1]
    assert len(images(done.messages)) == account.images > 0 and account.dropped_messages == 0
    assert account.image_tokens < account.paged_tokens and account.missing_characters == 0


def test_prices_are_those_of_the_pictures_that_are_sent() -> None:
    done = packed(history(), 4000, "anthropic")
    sent = sum(get_provider("anthropic").tokens(*image.size) for image in images(done.messages))
    assert sent == done.accounting.image_tokens


def test_every_old_character_is_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    real = cache.render_pages
    monkeypatch.setattr(cache, "render_pages", lambda text, style: texts.append(text) or real(text, style))
    messages = history(12, words=2)
    own = PageCache()
    done = pack(messages, 1200, provider="openai", cache=own)
    kept = [m["content"] for m in done.messages if isinstance(m["content"], str)]
    on_pages = "\n".join(texts)
    for number, message in enumerate(messages[1:-1], 2):
        assert message["content"] in kept or f"[{number}] {message['role']}: {message['content']}" in on_pages
    again = len(texts)
    assert pack(messages, 1200, provider="openai", cache=own) == done and len(texts) == again


def test_older_pages_are_more_faded() -> None:
    """Text tokens for each picture token grow from the newest page to the oldest as the budget shrinks."""
    ratios = []
    for budget in (5000, 3400, 2500):
        account = packed(history(40), budget).accounting
        assert account.after <= budget
        ratios.append(account.ratio)
        levels = [level.level for level in account.levels]
        assert levels == sorted(levels)
    assert min(ratios[1:]) > 1.4 * ratios[0]


def test_what_does_not_fit_is_left_out_and_said() -> None:
    done = packed(history(60), 900)
    account = done.accounting
    assert account.dropped_messages > 0 and account.after <= 900
    notes = [part["text"] for part in done.messages[1]["content"] if part["type"] == "text"]
    assert f"2 to {account.dropped_messages + 1} of this" in notes[0]


def test_tools_are_untouched_and_never_parted() -> None:
    messages = history(tools=(0, 3, 4, 29))
    calls = [m for m in messages if m.get("tool_calls") or m["role"] == "tool"]
    done = packed(messages, 3500)
    assert done.accounting.images and done.accounting.after <= 3500
    assert [m for m in done.messages if m.get("tool_calls") or m["role"] == "tool"] == calls
    for number, message in enumerate(done.messages):
        if message["role"] == "tool":
            assert done.messages[number - 1].get("tool_calls")


def test_what_must_stay_may_be_more_than_the_budget() -> None:
    messages = history(3, tools=(0, 1, 2))
    done = packed(messages, 50)
    assert done.accounting.over_budget
    kinds = [m for m in done.messages if m["role"] in ("system", "tool") or m.get("tool_calls")]
    assert len(kinds) == 7 and done.messages[-1]["content"][-1] == {"type": "text", "text": "And now?"}


def test_pictures_and_other_parts_stay() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    messages = history()
    messages[1] = {"role": "user", "content": [{"type": "text", "text": "Look"}, picture]}
    messages[4] = {"role": "assistant", "content": "Named.", "name": "helper"}
    done = packed(messages, 4000)
    assert messages[1] in done.messages and messages[4] in done.messages


def test_the_beginning_stays_the_same_while_a_talk_grows() -> None:
    """So providers' caches of prompts find it again."""
    messages = history(40)
    shared = []
    before: list[str] = []
    for end in range(49, 81, 2):  # a user's question comes last
        done = packed([*messages[:end], {"role": "user", "content": "Go on."}], 5000, "openai")
        parts = [str(part) for part in done.messages[1]["content"]]
        same = sum(one == other for one, other in zip(before, parts, strict=False))
        shared.append(same / max(1, len(before)))
        before = parts
    assert done.accounting.images > 4
    assert sum(share > 0.7 for share in shared[1:]) >= 0.6 * len(shared[1:])


def test_roles_take_turns() -> None:
    done = packed(history(40), 4000)
    roles = [message["role"] for message in done.messages[1:]]
    assert all(one != other for one, other in zip(roles, roles[1:], strict=False))


def test_small_talk_that_pages_would_not_shorten_stays_text() -> None:
    messages = [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": WORDS * 80},
    ]  # fmt: skip
    done = packed(messages, 500)
    assert done.messages == messages and done.accounting.over_budget


def test_the_count_and_the_style_are_the_callers() -> None:
    done = packed(history(), 4000, count=len)
    assert done.accounting.before > 20_000
    big = packed(history(), 6000, style=styles.get("readable"))
    small = packed(history(), 6000, style=Style(size=7, leading=1.1, paragraph_gap=0))
    assert small.accounting.ratio > 1.7 * max(big.accounting.ratio, 0.1)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-2024-08-06", "openai"),
        ("gpt-4.1-mini", "openai-mini"),
        ("gpt-5-nano", "openai-nano"),
        ("o3", "openai"),
        ("anthropic/claude-sonnet-4-5", "anthropic"),
        ("models/gemini-2.5-flash", "gemini"),
        ("gemini-3-pro-preview", "gemini3"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl"),
        ("Qwen/Qwen3-VL-8B", "qwen3-vl"),
        ("deepseek-ai/DeepSeek-OCR", "deepseek-ocr"),
        ("llava", "generic"),
        ("", "generic"),
    ],
)
def test_providers_by_models(model: str, name: str) -> None:
    assert get_provider("auto", model).name == name


@pytest.mark.parametrize(
    "wrong",
    [
        {"history": "text"},
        {"history": [{"content": "x"}]},
        {"history": [1]},
        {"budget": 0},
        {"provider": "none"},
        {"recent": 2.0},
    ],
)
def test_what_cannot_be_is_told(wrong: dict[str, Any]) -> None:
    given = {"history": history(1), "budget": 100, **wrong}
    with pytest.raises(OptionError):
        pack(given.pop("history"), given.pop("budget"), **given)


@pytest.mark.parametrize(
    "content",
    [None, "", [], {}, 7, [{"type": "text"}], [{"type": "text", "text": 3}], ["x"], [{"type": "image_url"}],
     [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
     [{"type": "image_url", "image_url": 5}]],
)  # fmt: skip
def test_odd_contents_stay_as_they_are(content: Any) -> None:
    odd = {"role": "user", "content": content}
    (unit,) = units([odd], estimate, get_provider("openai"))
    assert unit.kind == "kept" and unit.tokens > 0
    done = packed([odd, *history(5)], 500)
    assert odd in done.messages


def test_surrogates_and_signs_without_a_font_are_no_end() -> None:
    messages = history(8)
    messages[1]["content"] += " \ud800 \U0010fffd"
    assert packed(messages, 1000).accounting.missing_characters > 0


def test_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the renderer's library there is one clear error."""
    monkeypatch.setitem(__import__("sys").modules, "uharfbuzz", None)
    check: Callable[[], Any] = fonts.harfbuzz
    with pytest.raises(OptionError, match="pip install"):
        check()
