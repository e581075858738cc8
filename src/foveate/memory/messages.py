"""A long history for any vision model: the recent text as it is, the older text as pages that fade with age.

    packed = pack(history, budget=16_000, provider="openai")
    client.chat.completions.create(model="gpt-4o", messages=packed.messages)
    packed.accounting.saved

Only the text of users and assistants becomes pages. System messages, tool calls with their results, pictures
and the newest turn stay untouched and in their order. When the history has more tokens than the budget:

1. The oldest text goes on sharp pages, as little of it as is enough, until the recent text fills `recent` of
   the room. A stretch whose pages would cost more than its text stays text.
2. If that is not enough, pages fade: the older, the smaller their type (`providers.Level`).
3. If that is not enough, the most faded pages take more of the text, and in the end the oldest are left out;
   a note says so.

Stretches are cut by what is before them alone, each about some pages long. So while a history grows, what was
sent before stays the same, byte for byte, from one request to the next: it is not rendered again, and a
provider's cache of prompts still finds it, until a step of fading comes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from foveate.errors import OptionError
from foveate.memory.accounting import Accounting, LevelCount
from foveate.memory.providers import Provider, get_provider
from foveate.memory.turns import Count, Message, Unit, message_tokens, units
from foveate.pages.render import Style, styles
from foveate.pages.render.cache import KeptPage, PageCache
from foveate.pages.text_tokens import estimate

FORMATS = ("openai",)
STYLE = "glyph-96dpi"
NOTE = 60  # tokens around a run of pages, about
_PAGES = 4  # of a stretch, about
_SHORTEST = 0.25  # stretches
_CHARACTERS = 4  # of a token, about


@dataclass(frozen=True)
class Packed:
    """Messages in OpenAI's format, and what was saved."""

    messages: list[dict[str, Any]]
    accounting: Accounting


def pack(
    history: Sequence[Message],
    budget: int,
    *,
    provider: str = "auto",
    model: str = "",
    style: Style | None = None,
    recent: float = 0.5,
    count: Count = estimate,
    extra: int = 0,
    cache: PageCache | None = None,
) -> Packed:
    """The history within the budget of tokens, or as near to it as what must stay text allows.

    `recent`: the share of the room that recent text may take. `extra`: tokens of what is sent along, such as
    tools. The same arguments give the same messages; a cache only saves time. Raises `OptionError`.
    """
    if budget < 1 or not 0 <= recent <= 1:
        raise OptionError("the budget is 1 token or more, the share of recent text 0 to 1")
    chosen = get_provider(provider, model)
    found = units(history, count, chosen)
    pager = _Pager(chosen, style or styles.get(STYLE), PageCache() if cache is None else cache)
    plan = _Planner(found, budget - extra, recent, pager, count).plan()
    messages = list(_composed(history, found, plan, pager))
    after = extra + sum(message_tokens(message, count, chosen) for message in messages)
    accounting = _account(history, messages, found, plan, pager, budget, extra, after)
    return Packed(messages, accounting)


# Pages


class _Pager:
    """The pages of a text at each step of fading, and their prices."""

    def __init__(self, provider: Provider, style: Style, cache: PageCache) -> None:
        self.provider = provider
        self._style = replace(style.sized(*provider.page), markdown=False)
        self._cache = cache
        self._known: dict[tuple[str, int], tuple[KeptPage, ...]] = {}

    @property
    def page_tokens(self) -> int:
        """Text tokens on a sharp page, about."""
        style = self._style
        letters = style.columns * style.column_width / (0.5 * style.size)
        lines = (style.height - style.margins[1] - style.margins[3]) / (style.leading * style.size)
        return max(1, int(letters * lines / _CHARACTERS))

    @property
    def mark(self) -> str:
        """What stands on the pages where a line ended."""
        return self._style.line_mark if self._style.line_breaks == "marked" else ""

    def pages(self, text: str, level: int) -> tuple[KeptPage, ...]:
        """Raises `OptionError` where the text cannot be set."""
        if (text, level) not in self._known:
            scale = self.provider.levels[level].scale
            style = replace(self._style, size=max(4.0, scale * self._style.size))
            self._known[text, level] = self._cache.render(text, style, trim=self.provider.crop)
        return self._known[text, level]

    def cost(self, text: str, level: int) -> tuple[int, int]:
        """Tokens and pictures."""
        detail = self.provider.levels[level].detail
        pages = self.pages(text, level)
        return sum(self.provider.tokens(page.width, page.height, detail) for page in pages), len(pages)

    def parts(self, text: str, level: int) -> Iterator[dict[str, Any]]:
        """The pages as parts of a message."""
        detail = self.provider.levels[level].detail
        for page in self.pages(text, level):
            url = f"data:image/png;base64,{base64.b64encode(page.png).decode('ascii')}"
            image = {"url": url, "detail": detail} if detail else {"url": url}
            yield {"type": "image_url", "image_url": image}


# The plan


@dataclass(frozen=True)
class Stretch:
    """Messages that become pages together: units that follow one another."""

    first: int  # number of its first unit
    after: int
    tokens: int
    text: str


@dataclass(frozen=True)
class Plan:
    """What becomes of each stretch: its level, None where it stays text, -1 where it is left out."""

    stretches: tuple[Stretch, ...]
    levels: tuple[int | None, ...]


GONE = -1


class _Planner:
    def __init__(
        self, found: Sequence[Unit], budget: int, recent: float, pager: _Pager, count: Count
    ) -> None:
        self._units, self._budget, self._pager = found, budget, pager
        newest = max((n for n, unit in enumerate(found) if unit.role == "user"), default=len(found))
        step = max(pager.page_tokens, min(_PAGES * pager.page_tokens, int(recent * budget / 2)))
        self._stretches = tuple(_stretches(found[:newest], step))
        self._paged = sum(stretch.tokens for stretch in self._stretches)
        self._fixed = sum(unit.tokens for unit in found) - self._paged
        self._recent = recent * max(0, budget - self._fixed)

    def plan(self) -> Plan:
        """The sharpest plan that fits; if none does, the one with the fewest tokens."""
        best, fewest = Plan(self._stretches, ()), -1
        for levels in self._candidates():
            plan = Plan(self._stretches, tuple(levels))
            tokens, images = self._cost(plan)
            if tokens <= self._budget and images <= self._pager.provider.max_images:
                return plan
            if (fewest < 0 or tokens < fewest) and images <= self._pager.provider.max_images:
                best, fewest = plan, tokens
        return best

    def _candidates(self) -> Iterator[list[int | None]]:
        """Levels of the stretches, from all text to nothing left."""
        count, left = len(self._stretches), self._paged
        paged = 0
        yield [None] * count
        while paged < count and left > self._recent:
            left -= self._stretches[paged].tokens
            paged += 1
            yield self._faded(paged, float(count + 1))
        reach = 1.0
        while reach < paged:
            reach *= 2
        while reach >= _SHORTEST:
            yield self._faded(paged, reach)
            reach /= 2
        for newest in range(1, len(self._pager.provider.levels)):
            yield self._faded(paged, _SHORTEST, newest)
        for more in range(paged, count + 1):
            yield self._faded(more, 0.0)
        for gone in range(1, count + 1):
            left_out: list[int | None] = [GONE] * gone
            yield left_out + self._faded(count, 0.0)[gone:]

    def _faded(self, paged: int, reach: float, newest: int = 0) -> list[int | None]:
        """The oldest stretches on pages. Each doubling of the age, counted in `reach` stretches, is a step.

        `newest` is the least step, that of the newest pages; a reach of 0 is the last step for all.
        """
        deepest = len(self._pager.provider.levels) - 1
        levels: list[int | None] = []
        for number in range(paged):
            age = paged - 1 - number
            level = max(newest, int(age / reach + 1).bit_length() - 1) if reach else deepest
            levels.append(self._paying(number, min(level, deepest)))
        return levels + [None] * (len(self._stretches) - paged)

    def _paying(self, number: int, level: int) -> int | None:
        """The level, or None where the text is cheaper than its pages."""
        stretch = self._stretches[number]
        return level if self._pager.cost(stretch.text, level)[0] < stretch.tokens else None

    def _cost(self, plan: Plan) -> tuple[int, int]:
        """Tokens of all, and pictures."""
        tokens, images, before = self._fixed, 0, None
        for stretch, level in zip(plan.stretches, plan.levels, strict=True):
            if level is None:
                tokens += stretch.tokens
            else:
                if before != stretch.first:
                    tokens += NOTE
                before = stretch.after
                cost = (0, 0) if level == GONE else self._pager.cost(stretch.text, level)
                tokens, images = tokens + cost[0], images + cost[1]
        return tokens, images


def _stretches(found: Sequence[Unit], step: int) -> Iterator[Stretch]:
    """Text units that follow one another, so many tokens together or a few more."""
    first, tokens = 0, 0
    for number, unit in enumerate(found):
        if unit.kind != "text":
            if number > first:
                yield _stretch(found, first, number)
            first, tokens = number + 1, 0
            continue
        tokens += unit.tokens
        if tokens >= step:
            yield _stretch(found, first, number + 1)
            first, tokens = number + 1, 0
    if len(found) > first:
        yield _stretch(found, first, len(found))


def _stretch(found: Sequence[Unit], first: int, after: int) -> Stretch:
    here = found[first:after]
    text = "\n\n".join(f"[{unit.first + 1}] {unit.role}: {unit.text}" for unit in here)
    return Stretch(first, after, sum(unit.tokens for unit in here), text)


# The messages


def _composed(
    history: Sequence[Message], found: Sequence[Unit], plan: Plan, pager: _Pager
) -> Iterator[dict[str, Any]]:
    """The history's messages, with pages in the place of those that they hold."""
    where = {stretch.first: n for n, stretch in enumerate(plan.stretches) if plan.levels[n] is not None}
    number, run = 0, _Run(pager)
    while number < len(found):
        if number in where:
            stretch, level = plan.stretches[where[number]], plan.levels[where[number]]
            assert level is not None
            run.add(stretch, found, level)
            number = stretch.after
            continue
        unit = found[number]
        messages = [dict(message) for message in history[unit.first : unit.after]]
        if run.parts and unit.kind == "text" and unit.role == "user":
            # Some servers refuse two messages of one role in a row.
            messages[0]["content"] = [*run.take(), *_as_parts(messages[0]["content"])]
        elif run.parts:
            yield {"role": "user", "content": run.take()}
        yield from messages
        number += 1
    if run.parts:
        yield {"role": "user", "content": run.take()}


class _Run:
    """Pages that stand together, with a note before and one behind them."""

    def __init__(self, pager: _Pager) -> None:
        self._pager = pager
        self.parts: list[dict[str, Any]] = []
        self._first = self._last = 0
        self._gone = 0

    def add(self, stretch: Stretch, found: Sequence[Unit], level: int) -> None:
        """A stretch's pages, or none of them for one that is left out."""
        first, last = found[stretch.first].first + 1, found[stretch.after - 1].after
        if not self.parts:
            self.parts.append({"type": "text", "text": ""})
            self._first, self._gone = first, 0
        self._last = last
        if level == GONE:
            self._gone = last
        else:
            self.parts += self._pager.parts(stretch.text, level)

    def take(self) -> list[dict[str, Any]]:
        """The parts, and none are left."""
        # How far the pages go is said behind them: what comes before stays the same while a talk grows.
        gone = f"[Messages {self._first} to {self._gone} of this conversation are left out.] "
        mark = f"; {self._pager.mark} marks a line's end" if self._pager.mark else ""
        note = (
            f"[Older messages of this conversation follow as pictures of pages, the oldest first{mark}.]"
            if len(self.parts) > 1
            else ""
        )
        note = ((gone if self._gone else "") + note).strip()
        parts = [{"type": "text", "text": note}, *self.parts[1:]]
        if len(parts) > 1:
            parts.append({"type": "text", "text": f"[The pages end with message {self._last}.]"})
        self.parts = []
        return parts


def _as_parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _account(
    history: Sequence[Message],
    messages: Sequence[Message],
    found: Sequence[Unit],
    plan: Plan,
    pager: _Pager,
    budget: int,
    extra: int,
    after: int,
) -> Accounting:
    kept: dict[str, int] = {}
    for unit in found:
        kept[unit.kind] = kept.get(unit.kind, 0) + unit.tokens
    counts: dict[int, list[int]] = {}
    gone_tokens = gone_messages = missing = 0
    for stretch, level in zip(plan.stretches, plan.levels, strict=True):
        if level is None:
            continue
        kept["text"] -= stretch.tokens
        if level == GONE:
            gone_tokens += stretch.tokens
            gone_messages += sum(unit.after - unit.first for unit in found[stretch.first : stretch.after])
            continue
        tokens, images = pager.cost(stretch.text, level)
        row = counts.setdefault(level, [0, 0, 0])
        row[:] = row[0] + images, row[1] + tokens, row[2] + stretch.tokens
        missing += sum(len(page.missing) for page in pager.pages(stretch.text, level))
    return Accounting(
        provider=pager.provider.name,
        budget=budget,
        before=extra + sum(unit.tokens for unit in found),
        after=after,
        messages=len(history),
        kept=kept,
        levels=tuple(LevelCount(level, *row) for level, row in sorted(counts.items())),
        dropped_messages=gone_messages,
        dropped_tokens=gone_tokens,
        missing_characters=missing,
        bytes_before=_json_bytes(history),
        bytes_after=_json_bytes(messages),
    )


def _json_bytes(messages: Sequence[Message]) -> int:
    return len(json.dumps(list(messages), ensure_ascii=False, default=str).encode("utf-8", "replace"))
