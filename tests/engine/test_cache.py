"""Every row sees its own tokens, all of them and no others, however rows grow, leave and join."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from foveate.engine.cache import GROWTH, Cache, Step
from tests.tiny import with_decoder

LAYERS, HEADS, WIDTH = 2, 3, 4


def cache(rows: int, window: int | None = None) -> Cache:
    config = with_decoder(
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        hidden_size=HEADS * WIDTH,
        sliding_window=window,
    ).decoder
    return Cache(config, rows, torch.float32, "cpu")


def marks(places: Tensor) -> Tensor:
    """Keys (B, N, T, C) that say where they come from: a number for each (B, T), another in each channel."""
    spread = torch.arange(HEADS)[:, None, None] * 1e5 + torch.arange(WIDTH) * 1e6
    return places[:, None, :, None].float() + spread


def seen(step: Step, places: Tensor) -> list[set[int]]:
    """The numbers that each row's new token sees, in every layer, with every key beside its value."""
    rows: list[set[int]] = []
    for layer in range(LAYERS):
        given = marks(places + 10_000 * layer)
        keys, values = step.extend(layer, given, -given)
        assert torch.equal(values, -keys)
        assert step.mask is not None and step.mask.shape == (len(places), 1, 1, keys.shape[2])
        numbers = [row[:, mask[0, 0]] for row, mask in zip(keys, step.mask, strict=True)]
        assert all(torch.equal(row, marks(row[:1, :, 0])[0]) for row in numbers)
        found = [{int(number) - 10_000 * layer for number in row[0, :, 0]} for row in numbers]
        assert [len(row) for row in found] == [row.shape[1] for row in numbers], "each once"
        assert layer == 0 or found == rows
        rows = found
    return rows


class Twin:
    """Rows as plain lists: their prompt, and what came after it."""

    def __init__(self, name: int, prompt: int) -> None:
        self.name, self.prompt, self.length = name, prompt, prompt

    def expected(self, window: int | None) -> set[int]:
        generated = range(self.prompt, self.length)
        kept = generated if window is None else generated[-window:]
        return {self.name + place for place in (*range(self.prompt), *kept)}


def prefill(lengths: Sequence[int], first: int, window: int | None) -> tuple[Cache, list[Twin]]:
    made = cache(len(lengths), window)
    step = made.prefill(torch.tensor(lengths))
    assert step.mask is None
    names = torch.arange(first, first + len(lengths))[:, None] * 1000
    for layer in range(LAYERS):
        given = marks(names + torch.arange(max(lengths)) + 10_000 * layer)
        keys, values = step.extend(layer, given, -given)
        assert torch.equal(keys, given) and torch.equal(values, -given)
    return made, [Twin(int(name), length) for name, length in zip(names, lengths, strict=True)]


def decode(made: Cache, twins: list[Twin], window: int | None, steps: int) -> None:
    for _ in range(steps):
        places = torch.tensor([[twin.name + twin.length] for twin in twins])
        assert made.lengths.tolist() == [twin.length for twin in twins]
        step = made.decode()
        for twin in twins:
            twin.length += 1
        assert seen(step, places) == [twin.expected(window) for twin in twins]


@pytest.mark.parametrize("window", [None, 1, 3, 100])
def test_rows_come_and_go(window: int | None) -> None:
    made, twins = prefill([5, 2, 9], first=0, window=window)
    decode(made, twins, window, 4)
    made.keep(torch.tensor([0, 2]))
    twins = [twins[0], twins[2]]
    decode(made, twins, window, 3)
    other, more = prefill([1, 12], first=3, window=window)
    made.join(other)
    twins += more
    decode(made, twins, window, 5)
    made.keep(torch.tensor([3, 1]))
    decode(made, [twins[3], twins[1]], window, 2)
    assert len(made) == 2


def test_a_cache_grows_when_it_is_full() -> None:
    made, twins = prefill([GROWTH - 2, 3], first=0, window=None)
    assert made.capacity == GROWTH
    decode(made, twins, None, 5)
    assert made.capacity == 2 * GROWTH


def test_a_window_needs_no_more_room_than_the_window() -> None:
    made, twins = prefill([200, 3], first=0, window=20)
    decode(made, twins, 20, 100)
    assert made.capacity == GROWTH


def test_joining_a_longer_row_and_a_shorter_one() -> None:
    long, twins = prefill([GROWTH + 50], first=0, window=None)
    short, others = prefill([4, 2], first=1, window=None)
    decode(short, others, None, 2)
    short.join(long)
    decode(short, others + twins, None, 2)
