"""When pages fade: by their age, or so that all of them fit into a budget of tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from foveate.errors import OptionError
from foveate.memory.records import GONE, KEYWORDS, LEVELS, VISUAL, Sheet, level_of
from foveate.pages.mode import get_mode

PACKED = "packed"  # as sharp as before, but old pages that fit on one are put there
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_557_600.0}
BUDGET_LEVELS = (PACKED, "base", "small", "tiny", KEYWORDS, GONE)
DEFAULT = "packed@1h,base@1d,small@1w,tiny@30d,keywords@1y"
UNREAD = 24  # tokens of the keywords of a page that has not been read yet, as a guess
_STEP = re.compile(r"([a-z_-]+)@([0-9]+(?:\.[0-9]+)?)([a-z]+)")
Unit = Literal["seconds", "pages", "turns"]
Count = Callable[[str], int]
Cost = Callable[[Sheet, str], int]


@dataclass(frozen=True)
class Schedule:
    """The levels that pages go down by, sharp to nothing, and when.

    By age: a page is at a level from the age of the same place in `ages` on, in `unit`s. By budget: the
    oldest go down until all pages take no more tokens than that. Pinned pages stay. A page never gets
    sharper, and skips levels that would cost it more tokens than it takes.
    """

    levels: tuple[str, ...] = BUDGET_LEVELS
    ages: tuple[float, ...] = ()
    unit: Unit = "seconds"
    budget: int | None = None

    def __post_init__(self) -> None:
        depths = [_depth(level) for level in self.levels]
        if not depths or depths != sorted(set(depths)):
            raise OptionError(f"levels go down: write them in this order: {PACKED}, {', '.join(LEVELS)}")
        if (self.budget is None) == (not self.ages):
            raise OptionError("a schedule goes by ages or by a budget of tokens: give one of them")
        if self.budget is not None and self.budget < 0:
            raise OptionError(f"the budget is {self.budget} tokens: choose 0 or more")
        if self.ages and (len(self.ages) != len(self.levels) or list(self.ages) != sorted(self.ages)):
            raise OptionError("each level has an age, and lower levels come later: write base@1d,small@1w")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From text: "base@1d,small@1w" by age (s, min, h, d, w, y; p for pages, t for turns), "20000" by a
        budget of tokens, "20000:small,tiny" with levels of one's own. Raises `OptionError`."""
        head, colon, rest = text.strip().lower().partition(":")
        if head.replace("_", "").isdigit():
            levels = tuple(_name(part) for part in rest.split(",")) if colon else BUDGET_LEVELS
            return cls(levels, budget=int(head))
        steps = [_STEP.fullmatch(part.strip()) for part in text.lower().split(",")]
        found = [step.groups() for step in steps if step is not None]
        kinds = {unit for unit in (_unit(unit) for _, _, unit in found) if unit is not None}
        known = all(_unit(unit) for _, _, unit in found)
        if len(found) != len(steps) or len(kinds) != 1 or not known:
            raise OptionError(
                f"{text!r} is no schedule: write levels and ages such as {DEFAULT} (or 10p for pages, 3t for "
                "turns; one kind of age), or a number of tokens"
            )
        ages = tuple(float(age) * UNITS.get(unit, 1.0) for _, age, unit in found)
        return cls(tuple(_name(name) for name, _, _ in found), ages, kinds.pop())

    def plan(
        self, sheets: Sequence[Sheet], now: float, count: Count, cost: Cost | None = None
    ) -> Iterator[tuple[Sheet, int]]:
        """The sheets that are to go down, oldest first, and the place in `levels` that each is to reach.

        `sheets` are all of them in order; `now` is in seconds; `count` counts the tokens of keywords, `cost`
        those of a sheet at a visual level (as our modes do). A function of its arguments alone.
        """
        by_age = self.budget is None
        aims = self._by_age(sheets, now) if by_age else self._by_budget(sheets, count, cost or _our_cost)
        for sheet, aim in zip(sheets, aims, strict=True):
            if not sheet.pinned and aim >= 0 and self.changes(sheet, aim):
                yield sheet, aim

    def changes(self, sheet: Sheet, aim: int) -> bool:
        """Whether a sheet is still above a place in `levels`."""
        return not sheet.faded or any(steps_down(sheet, level) for level in self.levels[: aim + 1])

    def _by_age(self, sheets: Sequence[Sheet], now: float) -> list[int]:
        if self.unit == "seconds":
            ages = [now - sheet.time for sheet in sheets]
        elif self.unit == "pages":
            newer = sum(len(sheet.pages) for sheet in sheets)
            ages = []
            for sheet in sheets:
                newer -= len(sheet.pages)
                ages.append(float(newer))
        else:
            turns = sorted({sheet.entry for sheet in sheets})
            rank = {entry: float(len(turns) - 1 - place) for place, entry in enumerate(turns)}
            ages = [rank[sheet.entry] for sheet in sheets]
        return [sum(age >= limit for limit in self.ages) - 1 for age in ages]

    def _by_budget(self, sheets: Sequence[Sheet], count: Count, cost: Cost) -> list[int]:
        """The level that takes most tokens gives its oldest sheet to the next, until all fit.

        So sharp, blurred and faint pages share the budget, and the fainter, the more of them.
        """
        assert self.budget is not None
        places = [self._place(sheet) for sheet in sheets]
        tokens = [sheet.vision_tokens for sheet in sheets]
        queues: list[list[int]] = [[] for _ in range(len(self.levels) + 1)]  # oldest last
        sums = [0] * len(queues)
        for index in reversed(range(len(sheets))):
            sums[places[index] + 1] += tokens[index]
            if not sheets[index].pinned:
                queues[places[index] + 1].append(index)
        total = sum(tokens)
        waiting: list[list[int]] = [[] for _ in queues]  # came from above: newer than all in the queue
        while total > self.budget:
            able = [k for k in range(len(self.levels)) if queues[k] or waiting[k]]
            if not able:
                break
            level = max(able, key=lambda k: (sums[k], -k))
            if not queues[level]:
                queues[level], waiting[level] = waiting[level][::-1], []
            index = queues[level].pop()
            after = tokens_at(sheets[index], tokens[index], self.levels[level], count, cost)
            sums[level] -= tokens[index]
            sums[level + 1] += after
            total += after - tokens[index]
            tokens[index], places[index] = after, level
            waiting[level + 1].append(index)
        return places

    def _place(self, sheet: Sheet) -> int:
        """The last place in `levels` that a sheet has passed; -1 for one as it came."""
        if not sheet.faded:
            return -1
        passed = [place for place, level in enumerate(self.levels) if _depth(level) <= _depth(sheet.mode)]
        return passed[-1] if passed else -1


def steps_down(sheet: Sheet, level: str) -> bool:
    """Whether going to a level changes a sheet's picture or takes it away."""
    if level == PACKED or _depth(level) <= _depth(sheet.mode):
        return False
    if level not in VISUAL:
        return True
    return get_mode(level).layout(sheet.width, sheet.height).vision_tokens < sheet.vision_tokens


def tokens_at(sheet: Sheet, tokens: int, level: str, count: Count, cost: Cost) -> int:
    """What a sheet takes one level down, when it takes `tokens` now."""
    if level == PACKED:
        return tokens
    if level == GONE:
        return 0
    if level == KEYWORDS:
        return min(tokens, count(sheet.gist) if sheet.gist else UNREAD)
    return min(tokens, cost(sheet, level))


def _our_cost(sheet: Sheet, level: str) -> int:
    return get_mode(level).layout(sheet.width, sheet.height).vision_tokens


def _depth(level: str) -> float:
    return -math.inf if level == PACKED else LEVELS.index(level)


def _name(text: str) -> str:
    return PACKED if text.strip() == PACKED else level_of(text)


def _unit(unit: str) -> Unit | None:
    if unit in UNITS:
        return "seconds"
    kinds: dict[str, Unit] = {"p": "pages", "t": "turns"}
    return kinds.get(unit)
