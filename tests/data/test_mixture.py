"""What stands at which position."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest

from foveate.data.mixture import (
    PERIOD,
    TRIES,
    Draw,
    Each,
    Mixture,
    Part,
    apportioned,
    attempt,
    epoch_seed,
    shuffled,
)
from foveate.data.sample import Sample, Skipped, Task, ask
from foveate.errors import CorruptSource, OptionError


@dataclass(frozen=True)
class Words:
    """Says its number; every `gap`-th number cannot be made."""

    kind: str = "words"
    size: int | None = None
    gap: int = 0
    task: Task = "text"

    def make(self, number: int, seed: int) -> Sample | Skipped:
        if self.gap and number % self.gap == 0:
            return Skipped(self.kind, f"file {number}", "it is blank", number)
        return Sample(self.kind, self.task, ask("text", f"{number}"), number=number, seed=seed)


def mixture(**weights: float) -> Mixture:
    return Mixture(tuple(Part(Words(kind), weight) for kind, weight in weights.items()))


def drawn(mixed: Mixture, positions: range) -> list[Draw]:
    return [mixed.draw(position) for position in positions]


def test_every_period_has_the_exact_shares() -> None:
    mixed = mixture(ocr=7, vision=2, text=1)
    assert mixed.counts == (700, 200, 100)
    for period in (0, 1, 17):
        positions = range(period * PERIOD, (period + 1) * PERIOD)
        assert Counter(draw.part for draw in drawn(mixed, positions)) == {0: 700, 1: 200, 2: 100}


def test_short_stretches_have_nearly_the_shares() -> None:
    mixed = mixture(ocr=7, vision=2, text=1)
    for start in range(0, 2 * PERIOD, 50):
        counts = Counter(draw.part for draw in drawn(mixed, range(start, start + 50)))
        assert abs(counts[0] - 35) <= 3 and abs(counts[1] - 10) <= 3 and abs(counts[2] - 5) <= 3


def test_numbers_of_an_endless_kind_count_on() -> None:
    mixed = mixture(a=2, b=1)
    numbers: dict[int, list[int]] = {0: [], 1: []}
    for draw in drawn(mixed, range(3 * PERIOD + 77)):
        numbers[draw.part].append(draw.number)
        assert (draw.seed, draw.epoch) == (0, 0)
    assert all(found == list(range(len(found))) for found in numbers.values())


def test_the_order_of_kinds_depends_on_the_seed_alone() -> None:
    parts = mixture(a=2, b=1).parts
    one, again, other = Mixture(parts, 1), Mixture(parts, 1), Mixture(parts, 2)
    positions = range(200)
    assert [one.draw(p).part for p in positions] == [again.draw(p).part for p in reversed(positions)][::-1]
    assert [one.draw(p).part for p in positions] != [other.draw(p).part for p in positions]


def test_an_epoch_is_a_permutation() -> None:
    mixed = Mixture((Part(Words(size=137)),), seed=4)
    draws = drawn(mixed, range(3 * 137))
    epochs = [draws[n * 137 : (n + 1) * 137] for n in range(3)]
    for number, epoch in enumerate(epochs):
        assert sorted(draw.number for draw in epoch) == list(range(137))
        assert {(draw.epoch, draw.seed) for draw in epoch} == {(number, epoch_seed(4, number))}
    orders = [[draw.number for draw in epoch] for epoch in epochs]
    assert orders[0] != orders[1] != orders[2] and orders[0] != list(range(137))
    assert len({epoch_seed(4, number) for number in range(3)}) == 3


def test_epochs_of_kinds_of_different_sizes() -> None:
    mixed = Mixture((Part(Words("a", 10), 3), Part(Words("b", 400), 1)))
    draws = drawn(mixed, range(PERIOD))
    of_a = [draw for draw in draws if draw.part == 0]
    assert Counter(draw.epoch for draw in of_a) == dict.fromkeys(range(75), 10)
    of_b = [draw.number for draw in draws if draw.part == 1]
    assert len(set(of_b)) == len(of_b) == 250


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100, 257, 5000])
def test_shuffled_is_a_permutation(size: int) -> None:
    for key in (0, 1, 2**64 - 1):
        assert sorted(shuffled(n, size, key) for n in range(size)) == list(range(size))


def test_shuffled_looks_random() -> None:
    for size in (10, 1000):
        first = Counter(shuffled(0, size, key) * 10 // size for key in range(2000))
        assert all(130 < first[tenth] < 270 for tenth in range(10))
        moved = [shuffled(n, size, 5) for n in range(size)]
        assert sum(a + 1 == b for a, b in zip(moved, moved[1:], strict=False)) < 6


def test_readers_share_positions_without_overlap() -> None:
    mixed = Mixture((Part(Words("a", 50), 2), Part(Words("b"), 1)), seed=3)
    whole = [(p, s.kind, s.number, s.seed) for p, s in mixed.walk(10, 110)]
    assert [place for place, *_ in whole] == list(range(10, 110))
    ranks, workers = 3, 2
    shares = [
        [
            (p, s.kind, s.number, s.seed)
            for p, s in mixed.walk(10, 110, rank * workers + worker, ranks * workers)
        ]
        for rank in range(ranks)
        for worker in range(workers)
    ]
    assert sorted(sum(shares, [])) == whole


def test_a_run_resumes_from_an_integer() -> None:
    mixed = Mixture((Part(Words("a", 50), 2), Part(Words("b", gap=3), 1)))
    whole = [sample.answer for _, sample in mixed.walk(0, 90)]
    assert [sample.answer for _, sample in mixed.walk(40, 90)] == whole[40:]
    assert len(list(islice(mixed.walk(), 5))) == 5


def test_what_cannot_be_made_is_replaced() -> None:
    mixed = Mixture((Part(Words(size=40, gap=4)),), seed=2)
    made = [mixed.make(position) for position in range(40)]
    again = [mixed.make(position).sample for position in range(40)]
    assert [m.sample and (m.sample.number, m.sample.seed) for m in made] == [
        sample and (sample.number, sample.seed) for sample in again
    ]
    own = [(m.sample.number, m.sample.seed) for m in made if m.sample and not m.skipped]
    other = [(m.sample.number, m.sample.seed) for m in made if m.sample and m.skipped]
    assert sorted(number for number, _ in own) == [n for n in range(40) if n % 4]
    assert len(other) == 10 and all(number % 4 for number, _ in other)
    assert len(set(own + other)) == 40
    firsts = {m.skipped[0].number for m in made if m.skipped}
    assert firsts == set(range(0, 40, 4))
    assert all(miss.reason == "it is blank" for m in made for miss in m.skipped)


def test_replacements_of_an_endless_kind_are_its_own() -> None:
    mixed = Mixture((Part(Words(gap=2)),))
    keys = [(s.number, s.seed) for _, s in mixed.walk(0, 200)]
    assert len(set(keys)) == 200


@pytest.mark.parametrize(("size", "tries"), [(None, TRIES + 1), (5, 6)])
def test_a_kind_that_makes_nothing_is_an_error(size: int | None, tries: int) -> None:
    mixed = Mixture((Part(Words(size=size, gap=1)),))
    with pytest.raises(OptionError, match=f"words: {tries} samples in a row .* it is blank"):
        mixed.make(0)


def test_each_gives_every_number_once() -> None:
    plan = Each((Words("a", 30), Words("b", 12, gap=5)), seed=1)
    assert plan.size == 42
    made = [plan.make(position) for position in range(42)]
    found = sorted((m.sample.kind, m.sample.number) for m in made if m.sample)
    assert found == [("a", n) for n in range(30)] + [("b", n) for n in range(12) if n % 5]
    assert sorted(m.skipped[0].number for m in made if not m.sample) == [0, 5, 10]
    order = [m.sample.kind for m in made if m.sample]
    assert order != sorted(order)


def test_each_needs_an_end() -> None:
    with pytest.raises(OptionError, match="words has no end"):
        Each((Words(),))


def test_a_source_that_cannot_be_read_is_skipped() -> None:
    class Broken(Words):
        def make(self, number: int, seed: int) -> Any:
            raise OptionError("no library") if number else CorruptSource("torn.pdf is damaged")

    assert attempt(Broken(), 0, 0) == Skipped("words", "", "torn.pdf is damaged", 0)
    with pytest.raises(OptionError, match="no library"):
        attempt(Broken(), 1, 0)


def test_the_description_says_what_samples_depend_on() -> None:
    mixed = Mixture((Part(Words("a", 5), 3), Part(Words("b"), 1)), 9)
    assert mixed.describe() == {
        "plan": "mixture",
        "seed": 9,
        "kinds": [
            {"kind": "a", "task": "text", "size": 5, "share": 0.75},
            {"kind": "b", "task": "text", "size": None, "share": 0.25},
        ],
    }


@pytest.mark.parametrize(
    ("weights", "total", "counts"),
    [
        ([7, 2, 1], 1000, (700, 200, 100)),
        ([1, 1, 1], 1000, (334, 333, 333)),
        ([1e-9, 1], 1000, (1, 999)),
        ([5], 1000, (1000,)),
        ([1, 2, 3], 3, (1, 1, 1)),
    ],
)
def test_apportioned(weights: list[float], total: int, counts: tuple[int, ...]) -> None:
    assert apportioned(weights, total) == counts


def test_mistakes() -> None:
    with pytest.raises(OptionError, match="needs a kind"):
        Mixture(())
    for weight in (0, -1, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="the weight of words"):
            Mixture((Part(Words(), weight),))
    with pytest.raises(OptionError, match="nothing to make samples from"):
        Mixture((Part(Words(size=0)),))
