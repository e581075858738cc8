"""How sure a number is that comes from few pages, and whether two readers differ.

All resampling takes whole pages: they are what is independent. Seeds are explicit; the same numbers and seed
give the same interval. Percentile intervals of less than about ten pages are too narrow (Efron and
Tibshirani, "An Introduction to the Bootstrap", chapter 14): take them as hints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from foveate.errors import OptionError

RESAMPLES = 2000
LEVEL = 0.95
_AT_ONCE = 1 << 22  # draws held in memory


@dataclass(frozen=True)
class Interval:
    """A number and what it could as well have been."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Of two readers on the same pages: the second's mean less the first's.

    `p` is the two-sided share of resamples in which the difference falls on zero's other side, at least one
    in the resamples and one more.
    """

    value: float
    low: float
    high: float
    p: float


def mean_interval(
    values: Sequence[float], *, seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """The pages' mean with its percentile bootstrap interval. Raises `OptionError` for no pages."""
    numbers = _numbers(values)
    return _interval(float(numbers.mean()), _means(numbers, seed, resamples), level)


def ratio_interval(
    parts: Sequence[float],
    wholes: Sequence[float],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Sum over sum, as a corpus is scored, with its percentile bootstrap interval."""
    above, below = _numbers(parts), _numbers(wholes)
    if len(above) != len(below):
        raise OptionError(f"{len(above)} numerators and {len(below)} denominators: give one of each a page")
    if below.sum() == 0:
        raise OptionError("the denominators are all zero: there is nothing to divide by")
    drawn = np.concatenate(
        [
            np.stack((above[picks].sum(1), below[picks].sum(1)))
            for picks in _picks(len(above), seed, resamples)
        ],
        axis=1,
    )  # (2, resamples)
    drawn = drawn[:, drawn[1] > 0]
    return _interval(float(above.sum() / below.sum()), drawn[0] / drawn[1], level)


def paired_bootstrap(
    first: Sequence[float],
    second: Sequence[float],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Difference:
    """Whether the second reader is better than the first on the same pages, page i against page i.

    Raises `OptionError` when they are not as many.
    """
    if len(first) != len(second):
        raise OptionError(f"{len(first)} and {len(second)} pages: compare readers on the same pages")
    differences = _numbers(second) - _numbers(first)
    means = _means(differences, seed, resamples)
    interval = _interval(float(differences.mean()), means, level)
    crossing = 1 + min(int((means <= 0).sum()), int((means >= 0).sum()))
    return Difference(interval.value, interval.low, interval.high, min(1.0, 2 * crossing / (resamples + 1)))


def share_interval(passed: int, total: int, *, level: float = LEVEL) -> Interval:
    """A rate of passes with Wilson's interval, which does not shrink to nothing when all or none pass
    (Wilson, 1927). Raises `OptionError` for no tests."""
    if not 0 <= passed <= total or total == 0:
        raise OptionError(f"{passed} passes of {total}: there must be a test, and no more passes than tests")
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate, spread = passed / total, z * z / total
    middle = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(rate * (1 - rate) / total + spread / (4 * total))
    low = middle - half if passed else 0.0
    return Interval(rate, low, middle + half if passed < total else 1.0)


def _numbers(values: Sequence[float]) -> NDArray[np.float64]:
    if len(values) == 0:
        raise OptionError("no pages: a mean needs one at least")
    return np.asarray(values, np.float64)


def _picks(count: int, seed: int, resamples: int) -> list[NDArray[np.int64]]:
    """Numbers of the pages of each resample, in blocks. (some, count)"""
    rng = np.random.default_rng(seed)
    block = max(1, _AT_ONCE // count)
    sizes = [min(block, resamples - done) for done in range(0, resamples, block)]
    return [rng.integers(0, count, (size, count)) for size in sizes]


def _means(numbers: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    return np.concatenate([numbers[picks].mean(1) for picks in _picks(len(numbers), seed, resamples)])


def _interval(value: float, drawn: NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2)).tolist()
    return Interval(value, min(low, value), max(high, value))
