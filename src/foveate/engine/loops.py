"""Text that goes round in circles, or back to where it has been, in ways that the n-gram guard cannot see.

A network that has lost its place fills the rest of its room: with a passage longer than the guard's window,
with a phrase that the guard interrupts now and then, with a list in which the number alone moves on, or with
empty cells. All that consists of runs of symbols that have been there before. So does honest text, for a
while: a page loops when for long nearly every run has come several times before.

Before that it goes back once, to a line that it has read, with a token that it was not sure of. Such a
stretch can be taken back, and that token barred.
"""

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

RUN = 6  # symbols
ROUNDS = 3  # times that a run must have come before
LIMIT = 192  # tokens of such runs, less twice the others'
# How much of a token counts: rows of zeros, dotted lines and empty cells are honest for longer than words.
WORDS, SIGNS, COUNTERS, CELLS = 1.0, 0.25, 0.35, 0.08

STRETCH = 14  # tokens that have come before in this order, half of them words: the page has gone back
SURE = 0.9  # probability; a page repeats itself when it reads all tokens where that begins so surely

STEPS = (1, 2, 4)  # a counter is compared with the number so many numbers before: "1.", "1 of 9", a box
LONGEST = 9  # digits that are taken for one number
TAGS = frozenset({"<td>", "</td>", "<tr>", "</tr>"})
LETTER = re.compile(r"[^\W\d_]|\ufffd")  # a token that is a part of a character counts as a letter


class Symbol(NamedTuple):
    """A token, or a number of several."""

    value: object
    place: int  # of its first token
    length: int  # tokens
    word: bool


@dataclass
class Circle:
    """Watches one sequence of symbols. Runs with a word in them count otherwise than those without."""

    words: float
    signs: float
    start: int = 0  # the token where the sequence began to repeat what had been there at least once
    _last: deque[Symbol] = field(default_factory=lambda: deque(maxlen=RUN))
    _seen: Counter[tuple[object, ...]] = field(default_factory=Counter)
    _again: float = 0.0  # for how long runs have come again …
    _worn: float = 0.0  # … and so often that the page loops

    def add(self, symbol: Symbol) -> bool:
        """Takes the next symbol; says whether the sequence loops."""
        self._last.append(symbol)
        if len(self._last) < RUN:
            return False
        run = tuple(symbol.value for symbol in self._last)
        before = self._seen[run]
        self._seen[run] += 1
        weight = symbol.length * (self.words if any(symbol.word for symbol in self._last) else self.signs)
        if not self._again:
            self.start = self._last[0].place
        self._again = max(0.0, self._again + (weight if before else -2 * weight))
        self._worn = max(0.0, self._worn + (weight if before >= ROUNDS else -2 * weight))
        return self._worn >= LIMIT


@dataclass
class LoopDetector:
    """Takes a page's tokens one after the other; `spell` gives a token's text."""

    spell: Callable[[int], str]
    kept: int = 0  # tokens before the loop's second round, once `add` has said that the page loops
    _count: int = 0
    _digits: str = ""  # of a number that may go on
    _digits_place: int = 0
    _numbers: deque[int] = field(default_factory=lambda: deque(maxlen=max(STEPS)))
    _plain: Circle = field(default_factory=lambda: Circle(WORDS, SIGNS))
    _steps: tuple[Circle, ...] = field(default_factory=lambda: tuple(Circle(COUNTERS, 0) for _ in STEPS))
    _cells: Circle | None = None  # since the last token that was no table tag

    def add(self, token: int) -> bool:
        """Takes the next token; says whether the page loops."""
        text = self.spell(token)
        place, self._count = self._count, self._count + 1
        digits = text.strip().isdecimal()
        looped = False
        if self._digits and (not digits or text[0].isspace() or len(self._digits) >= LONGEST):
            looped = self._end_number(place)
        if digits:
            self._digits_place = self._digits_place if self._digits else place
            self._digits += text.strip()
            self._cells = None
            return looped
        return self._add_symbol(text, Symbol(token, place, 1, is_word(text))) or looped

    def _add_symbol(self, text: str, symbol: Symbol) -> bool:
        if text in TAGS:
            self._cells = self._cells or Circle(CELLS, CELLS)
            return self._watch(self._cells, symbol)
        self._cells = None
        return any([self._watch(circle, symbol) for circle in (self._plain, *self._steps)])

    def _end_number(self, end: int) -> bool:
        """The digits so far are a number: one sequence takes it as it is, the others how far it has moved."""
        symbol = Symbol(self._digits, self._digits_place, end - self._digits_place, False)
        number, self._digits = int(self._digits), ""
        looped = [self._watch(self._plain, symbol)]
        for step, circle in zip(STEPS, self._steps, strict=True):
            moved = number - self._numbers[-step] if len(self._numbers) >= step else None
            looped.append(self._watch(circle, symbol._replace(value=(moved,))))
        self._numbers.append(number)
        return any(looped)

    def _watch(self, circle: Circle, symbol: Symbol) -> bool:
        looped = circle.add(symbol)
        if looped:
            self.kept = circle.start
        return looped


@dataclass
class Returns:
    """Notices where a page went back to what it had written; `spell` gives a token's text."""

    spell: Callable[[int], str]
    _ends: dict[tuple[int, ...], int] = field(default_factory=dict)  # where each stretch first ended

    def place(self, ids: Sequence[int], log_probabilities: Sequence[float]) -> int | None:
        """The place of the token with which the page went back, if its last STRETCH tokens say that it did
        and it was not sure there. To be asked after each token."""
        stretch = tuple(ids[-STRETCH:])
        if len(stretch) < STRETCH:
            return None
        end = self._ends.setdefault(stretch, len(ids))
        if len(ids) - end < STRETCH // 2 or not self._is_prose(stretch):
            return None
        start = len(ids) - STRETCH
        place = min(range(max(1, start - 2), start + 2), key=lambda i: log_probabilities[i])
        return place if log_probabilities[place] < math.log(SURE) else None

    def _is_prose(self, stretch: Sequence[int]) -> bool:
        """Not a table's rows, which honestly come again, nor a row of signs."""
        texts = [self.spell(token) for token in stretch]
        return TAGS.isdisjoint(texts) and 2 * sum(map(is_word, texts)) >= STRETCH

    def forget(self, count: int) -> None:
        """The page has `count` tokens again."""
        self._ends = {stretch: end for stretch, end in self._ends.items() if end <= count}


def is_word(text: str) -> bool:
    """Whether a token's text is language, not a sign or a tag."""
    return LETTER.search(text) is not None and not text.startswith("<|")
