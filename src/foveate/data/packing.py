"""Conversations as token ids, and several of them to one sequence.

A conversation is the beginning, the first prompt with its image tokens, and every further turn; each answer
closes with the end token. Only answers are learned. A sequence knows where its conversations begin, so that
attention need not cross from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from foveate.data.sample import Sample
from foveate.errors import OptionError
from foveate.pages.mode import AUTO, Layout, choose_mode
from foveate.pages.tokenizer import Tokenizer

T = TypeVar("T")


@dataclass(frozen=True)
class Conversation:
    """One sample as tokens."""

    ids: tuple[int, ...]
    learned: tuple[bool, ...]  # for each id, whether the loss counts it
    layout: Layout | None = None  # of the picture

    def __len__(self) -> int:
        return len(self.ids)


def tokenize(
    sample: Sample, tokenizer: Tokenizer, mode: str = AUTO, max_tiles: int | None = None
) -> Conversation:
    """The sample's turns as ids, image tokens where its prompt says `<image>`.

    In a text alone the empty prompt leaves the beginning only, and the whole text is learned.
    """
    layout = None
    if sample.image is not None:
        layout = choose_mode(mode, *sample.image.size, max_tiles).layout(*sample.image.size)
    ids = tokenizer.encode_prompt(sample.prompt, layout.sequence_length if layout else 0)
    learned = [False] * len(ids)
    for turn in sample.turns[1:]:
        answer = turn.role == "assistant"
        more = [*tokenizer.encode(turn.text), *([tokenizer.eos] if answer else [])]
        ids += more
        learned += [answer] * len(more)
    return Conversation(tuple(ids), tuple(learned), layout)


@dataclass
class Pack(Generic[T]):
    """One sequence: what stands in it, and the place where each begins."""

    items: list[T] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    length: int = 0

    @property
    def bounds(self) -> list[int]:
        """Starts and the end: the cumulative lengths that attention over packed sequences asks for."""
        return [*self.starts, self.length]

    def add(self, item: T, length: int) -> None:
        self.items.append(item)
        self.starts.append(self.length)
        self.length += length


def pack(
    items: Iterable[T],
    length_of: Callable[[T], int],
    room: int,
    open_packs: int = 16,
    too_long: Callable[[T], None] | None = None,
) -> Iterator[Pack[T]]:
    """Puts items into sequences of at most `room` tokens: each into the first open one that has the room.

    At most `open_packs` stay open; the fullest leaves when another is needed. Every item stands in one pack,
    and the same items in the same order make the same packs. An item over `room` goes to `too_long`, or is
    an `OptionError`.
    """
    if room < 1 or open_packs < 1:
        raise OptionError(f"packs of {room} tokens, {open_packs} open: choose 1 or more of each")
    opened: list[Pack[T]] = []
    for item in items:
        length = length_of(item)
        if length > room:
            if too_long is None:
                raise OptionError(
                    f"a conversation of {length} tokens does not fit into {room}: make it shorter"
                )
            too_long(item)
            continue
        place = next((pack for pack in opened if pack.length + length <= room), None)
        if place is None:
            if len(opened) == open_packs:
                yield opened.pop(_fullest(opened))
            opened.append(place := Pack())
        place.add(item, length)
        if place.length == room:
            opened.remove(place)
            yield place
    yield from opened


def _fullest(packs: list[Pack[T]]) -> int:
    """The index of the fullest, the oldest of equals."""
    return max(range(len(packs)), key=lambda index: (packs[index].length, -index))
