"""Which sample stands at which position: a function of the position and a seed, and of nothing else.

A position is a whole number from 0 on. From it follow the kind, the number within the kind and the seed, in
closed form. So a run resumes from an integer, and workers and ranks take positions that no other has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from foveate.data.sample import Maker, Sample, Skipped
from foveate.errors import InputError, OptionError

PERIOD = 1000  # positions in which every kind has exactly its share
TRIES = 64  # replacements of a sample that cannot be made, before the kind counts as broken
BEYOND = 1 << 40  # numbers of an endless kind that only replacements have
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Part:
    """A kind and its share; only the proportions of the weights matter."""

    maker: Maker
    weight: float = 1.0


class Draw(NamedTuple):
    """What stands at a position."""

    part: int  # index of the kind
    number: int  # of the sample within its kind
    seed: int
    epoch: int = 0  # how often all numbers of the kind have been drawn before; 0 for an endless kind


class Made(NamedTuple):
    """What a position gives, and what could not be made for it."""

    sample: Sample | None
    skipped: tuple[Skipped, ...] = ()


class Plan(Protocol):
    """What shards are written from: a `Mixture`, or `Each`."""

    @property
    def size(self) -> int | None:
        """Positions that there are; None when there is no end."""

    def make(self, position: int) -> Made: ...

    def describe(self) -> dict[str, Any]:
        """What the samples depend on, as JSON values."""


@dataclass(frozen=True)
class Mixture:
    """Kinds in proportion to their weights, without end.

    Weights are rounded to thousandths, and no kind gets less than one. Each stretch of 1,000 positions holds
    every kind exactly as often, spread evenly; where exactly depends on the seed. An endless kind counts on.
    A kind of limited size gives all its numbers once in each epoch, in an order of that epoch, with another
    seed in each. What cannot be made is replaced by another sample of the kind.
    """

    parts: tuple[Part, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.parts:
            raise OptionError("a mixture needs a kind of samples: choose one")
        for part in self.parts:
            if not 0 < part.weight < float("inf"):
                raise OptionError(
                    f"the weight of {part.maker.kind} is {part.weight}: choose a number over 0, or leave "
                    "the kind out"
                )
            _check_size(part.maker)
        if len(self.parts) > PERIOD:
            raise OptionError(f"a mixture of {len(self.parts)} kinds: at most {PERIOD} are possible")

    @property
    def size(self) -> None:
        return None

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How often each kind stands in a period."""
        return apportioned([part.weight for part in self.parts], PERIOD)

    def draw(self, position: int) -> Draw:
        """What stands at a position, as if nothing had to be skipped."""
        period, offset = divmod(position, PERIOD)
        places = _places(self.counts, self.seed, period)
        part = int(places[offset])
        before = period * self.counts[part] + int(np.count_nonzero(places[:offset] == part))
        return self._nth(part, before)

    def make(self, position: int) -> Made:
        draw = self.draw(position)
        maker = self.parts[draw.part].maker
        skipped: list[Skipped] = []
        for number, seed in self._candidates(draw, position):
            made = attempt(maker, number, seed)
            if isinstance(made, Sample):
                return Made(made, tuple(skipped))
            skipped.append(made)
        raise OptionError(
            f"{maker.kind}: {len(skipped)} samples in a row could not be made, the last because of "
            f"{skipped[-1].source or 'number ' + str(skipped[-1].number)}: {skipped[-1].reason}; leave the "
            "kind out, or give it other sources"
        )

    def walk(
        self, start: int = 0, stop: int | None = None, part: int = 0, parts: int = 1
    ) -> Iterator[tuple[int, Sample]]:
        """Positions and their samples from `start` on, for one of `parts` readers that share them.

        With ranks and workers, part = rank * workers + worker and parts = ranks * workers. To resume, start
        at the first position that none has had.
        """
        position = start + part
        while stop is None or position < stop:
            made = self.make(position)
            assert made.sample is not None, "a mixture replaces what it skips"
            yield position, made.sample
            position += parts

    def describe(self) -> dict[str, Any]:
        kinds = [
            _described(part.maker) | {"share": count / PERIOD}
            for part, count in zip(self.parts, self.counts, strict=True)
        ]
        return {"plan": "mixture", "seed": self.seed, "kinds": kinds}

    def _nth(self, part: int, count: int) -> Draw:
        """The sample that a kind gives when it has given `count` before."""
        maker = self.parts[part].maker
        if maker.size is None:
            return Draw(part, count, self.seed)
        epoch, index = divmod(count, maker.size)
        number = shuffled(index, maker.size, key(self.seed, maker.kind, part, epoch))
        return Draw(part, number, epoch_seed(self.seed, epoch), epoch)

    def _candidates(self, draw: Draw, position: int) -> Iterator[tuple[int, int]]:
        """Numbers and seeds to try, first the position's own; the seeds of the others are theirs alone."""
        yield draw.number, draw.seed
        maker = self.parts[draw.part].maker
        seed = key(self.seed, "replacement", position) >> 1
        order = key(self.seed, maker.kind, draw.part, "replacements")
        tries = TRIES if maker.size is None else min(TRIES, maker.size)
        for attempt in range(tries):
            if maker.size is None:
                yield BEYOND + position * TRIES + attempt, seed
            else:
                yield shuffled((position + attempt) % maker.size, maker.size, order), seed


@dataclass(frozen=True)
class Each:
    """Every number of kinds of limited size once, in an order of the seed; what is skipped leaves a gap."""

    makers: tuple[Maker, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        for maker in self.makers:
            if maker.size is None:
                raise OptionError(f"{maker.kind} has no end: say how many samples with a count")
            _check_size(maker)

    @property
    def size(self) -> int:
        return sum(maker.size or 0 for maker in self.makers)

    def draw(self, position: int) -> Draw:
        place = shuffled(position, self.size, key(self.seed, "each"))
        for part, maker in enumerate(self.makers):
            assert maker.size is not None
            if place < maker.size:
                return Draw(part, place, self.seed)
            place -= maker.size
        raise AssertionError("positions end with the size")

    def make(self, position: int) -> Made:
        draw = self.draw(position)
        made = attempt(self.makers[draw.part], draw.number, draw.seed)
        return Made(made) if isinstance(made, Sample) else Made(None, (made,))

    def describe(self) -> dict[str, Any]:
        return {"plan": "each", "seed": self.seed, "kinds": [_described(maker) for maker in self.makers]}


def attempt(maker: Maker, number: int, seed: int) -> Sample | Skipped:
    """A sample, or why there is none: a source that cannot be read does not end a run of millions."""
    try:
        return maker.make(number, seed)
    except OptionError:
        raise  # a missing library, a wrong option: every number would fail
    except InputError as problem:
        return Skipped(maker.kind, "", str(problem), number)


def apportioned(weights: Sequence[float], total: int) -> tuple[int, ...]:
    """Whole numbers in proportion to the weights, at least 1 each, `total` together (largest remainders)."""
    spare = total - len(weights)
    exact = [max(weight / sum(weights) * total - 1, 0) for weight in weights]
    exact = [share * spare / (sum(exact) or 1) for share in exact]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: counts[index] - exact[index])
    for index in by_remainder[: spare - sum(counts)]:
        counts[index] += 1
    return tuple(count + 1 for count in counts)


def key(*values: object) -> int:
    """64 bits that depend on all the values, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(values).encode(), digest_size=8).digest())


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of a kind's samples in an epoch; in the first it is the mixture's own."""
    return key(seed, "epoch", epoch) >> 1 if epoch else seed  # 63 bits: a column of shards holds it


def shuffled(index: int, size: int, key: int) -> int:
    """Where a permutation of range(size) sends an index; the key chooses the permutation, no table is kept.

    A Feistel network over the next even power of two, walked until it lands inside (Black and Rogaway,
    "Ciphers with arbitrary finite domains", 2002).
    """
    half = max(1, (size - 1).bit_length() + 1 >> 1)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(6):
            left, right = right, left ^ (_mixed(key + turn * 0x9E3779B97F4A7C15 + right) & mask)
        index = left << half | right
        if index < size:
            return index


def _mixed(value: int) -> int:
    """The finaliser of SplitMix64."""
    value &= _MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


@lru_cache(maxsize=16)
def _places(counts: tuple[int, ...], seed: int, period: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The kind of each position of a period: each kind at even distances, moved a little by dice."""
    random = np.random.default_rng((seed, period, *b"mixture"))
    kinds = np.repeat(np.arange(len(counts)), counts)  # (PERIOD,)
    steps = np.concatenate([(np.arange(count) + random.random(count)) / count for count in counts])
    return kinds[np.argsort(steps, kind="stable")]


def _check_size(maker: Maker) -> None:
    if maker.size is not None and maker.size < 1:
        raise OptionError(f"{maker.kind} has nothing to make samples from: give it sources that hold some")


def _described(maker: Maker) -> dict[str, Any]:
    return {"kind": maker.kind, "task": maker.task, "size": maker.size}
