"""The next token: the likeliest or a drawn one, never one that repeats a run of tokens."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from foveate.engine.sampling import Sampling, banned_tokens, choose
from foveate.errors import OptionError

NOBODY: frozenset[int] = frozenset()


def pick(
    logits: Tensor,
    history: Sequence[int] = (),
    allowed: frozenset[int] = NOBODY,
    barred: Sequence[int] = (),
    **how: Any,
) -> int:
    """The token chosen for one row."""
    sampling = Sampling(**how)
    generator = torch.Generator().manual_seed(sampling.seed)
    tokens, _ = choose(logits[None], [history], [sampling], [allowed], [generator], [barred])
    return int(tokens)


def draws(logits: Tensor, count: int, **how: Any) -> list[int]:
    """Tokens drawn one after the other."""
    sampling = Sampling(temperature=how.pop("temperature", 1.0), **how)
    generator = torch.Generator().manual_seed(sampling.seed)
    return [int(choose(logits[None], [()], [sampling], [NOBODY], [generator], [()])[0]) for _ in range(count)]


def test_barred_tokens_do_not_come() -> None:
    logits = torch.tensor([1.0, 4.0, 3.0, 2.0])
    assert pick(logits) == 1 and pick(logits, barred=[1]) == 2 and pick(logits, barred=(1, 2)) == 3
    assert pick(logits, allowed=frozenset({1}), barred=[1]) == 2  # the whitelist is the guard's alone
    _, sure = choose(logits[None], [()], [Sampling()], [NOBODY], [torch.Generator()], [[1]])
    assert float(sure) == pytest.approx(float(logits.log_softmax(0)[2]))  # the network's own


# --- the guard


def released_rule(ids: list[int], ngram_size: int, window_size: int) -> set[int]:
    """The rule of the released processor, word for word."""
    if len(ids) < ngram_size:
        return set()
    current_prefix = tuple(ids[-(ngram_size - 1) :])
    search_start = max(0, len(ids) - window_size)
    search_end = len(ids) - ngram_size + 1
    banned = set()
    for i in range(search_start, search_end):
        ngram = tuple(ids[i : i + ngram_size])
        if ngram[:-1] == current_prefix:
            banned.add(ngram[-1])
    return banned


def test_the_guard_is_the_released_rule() -> None:
    dice = random.Random(0)
    found = 0
    for _ in range(4000):
        ids = [dice.randrange(dice.choice([1, 2, 3])) for _ in range(dice.randrange(40))]
        size, window = dice.randrange(2, 8), dice.randrange(1, 50)
        banned = banned_tokens(ids, size, window)
        assert banned == released_rule(ids, size, window), (ids, size, window)
        found += bool(banned)
    assert found > 1000


def test_the_guard_at_its_edges() -> None:
    assert banned_tokens([], 2, 90) == set()
    assert banned_tokens([1], 2, 90) == set()
    assert banned_tokens([1, 1], 2, 90) == {1}
    assert banned_tokens([1, 2, 3, 1, 2], 3, 90) == {3}
    assert banned_tokens([1, 2, 3, 1, 2], 3, 5) == {3}, "the run began 5 tokens ago"
    assert banned_tokens([1, 2, 3, 1, 2], 3, 4) == set()
    assert banned_tokens([1, 2, 3, 1, 2], 3, 0) == set(), "off"


def test_greedy_choice_is_guarded() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    history = [3, 1, 3, 1]
    assert pick(logits) == 3
    assert pick(logits, history, ngram_size=3) == 2, "3 would be the third token of 3 1 3 once more"
    assert pick(logits, history, ngram_size=3, ngram_window=0) == 3
    assert pick(logits, history, allowed=frozenset({3}), ngram_size=3) == 3, "whitelisted"


def test_drawn_choice_is_guarded() -> None:
    logits = torch.tensor([0.0, 0.0, 0.0, 50.0])
    chosen = {pick(logits, [3, 3], ngram_size=2, temperature=1.0, seed=seed) for seed in range(30)}
    assert chosen == {0, 1, 2}


def test_each_row_has_its_own_guard() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(3, 3)
    histories, samplings = [[2, 2], [], [2, 2]], [Sampling(ngram_size=2)] * 2 + [Sampling(ngram_window=0)]
    tokens, _ = choose(logits, histories, samplings, [NOBODY] * 3, [torch.Generator()] * 3, [()] * 3)
    assert tokens.tolist() == [1, 2, 2]


# --- probabilities


def test_the_probability_is_the_networks_own() -> None:
    logits = torch.tensor([[math.log(1), math.log(2), math.log(5)]])
    for sampling, history in (
        (Sampling(), [2, 2]),
        (Sampling(temperature=5, top_p=0.1, ngram_size=2), [2, 2]),
    ):
        tokens, logs = choose(logits, [history], [sampling], [NOBODY], [torch.Generator()], [()])
        assert float(logs.exp()) == pytest.approx((1 / 8, 2 / 8, 5 / 8)[int(tokens)])
        assert logs.dtype is torch.float32


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_network_without_numbers_gives_none(temperature: float) -> None:
    logits = torch.tensor([[0.0, 1.0], [math.nan, 1.0]])
    sampling = Sampling(temperature=temperature)
    _, logs = choose(logits, [(), ()], [sampling] * 2, [NOBODY] * 2, [torch.Generator()] * 2, [()] * 2)
    assert logs.isnan().tolist() == [False, True]


def test_half_precision_is_enough() -> None:
    logits = torch.tensor([60000.0, 60001.0, -60000.0]).half()
    assert pick(logits) in (0, 1)
    assert pick(logits, temperature=1.0) in (0, 1)


# --- drawing


def test_seeds() -> None:
    logits = torch.zeros(50)
    assert draws(logits, 20, seed=1) == draws(logits, 20, seed=1)
    assert draws(logits, 20, seed=1) != draws(logits, 20, seed=2)


def test_temperature() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0])
    assert set(draws(logits, 200)) == {0, 1, 2}
    for temperature in (1e-3, 1e-10, 1e-40, 5e-324):
        assert set(draws(logits, 20, temperature=temperature)) == {2}
    warm = draws(logits, 600, temperature=10.0)
    assert all(130 < warm.count(token) < 270 for token in range(3))


def test_drawing_follows_the_probabilities() -> None:
    chosen = draws(torch.tensor([0.1, 0.3, 0.6]).log(), 1000)
    for token, share in enumerate((0.1, 0.3, 0.6)):
        assert chosen.count(token) / 1000 == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(
    ("top_p", "tokens"),
    [(1e-9, {2}), (0.5, {2}), (0.55, {1, 2}), (0.9, {1, 2}), (0.95, {0, 1, 2}), (1.0, {0, 1, 2})],
)
def test_top_p(top_p: float, tokens: set[int]) -> None:
    """The fewest likeliest tokens that have so much probability, one at least."""
    assert set(draws(torch.tensor([0.1, 0.375, 0.525]).log(), 150, top_p=top_p)) == tokens


def test_top_p_among_equals() -> None:
    assert len(set(draws(torch.zeros(8), 300, top_p=0.5))) == 4


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("temperature", value) for value in (-0.1, 11, math.nan, math.inf)),
        *(("top_p", value) for value in (0.0, -1, 1.1, math.nan)),
        ("ngram_size", 1),
        ("ngram_window", -1),
    ],
)
def test_options_out_of_their_range(option: str, value: float) -> None:
    with pytest.raises(OptionError, match="choose|needs"):
        Sampling(**{option: value})  # type: ignore[arg-type]
