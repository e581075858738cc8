"""Intervals that hold what they promise."""

import numpy as np
import pytest

from foveate.errors import OptionError
from foveate.evaluation.statistics import mean_interval, paired_bootstrap, ratio_interval, share_interval


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        interval = mean_interval(rng.normal(3, 1, 40).tolist(), seed=trial, resamples=400)
        hits += interval.low <= 3 <= interval.high
    assert 0.90 <= hits / 300 <= 0.98


def test_width_is_that_of_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    interval = mean_interval(values.tolist(), seed=0)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).random(20).tolist()
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_one_page_and_equal_pages_have_no_width() -> None:
    for values in ([0.3], [0.3] * 9):
        interval = mean_interval(values, seed=0)
        assert interval.low <= interval.value <= interval.high
        assert interval.high - interval.low < 1e-12


def test_sum_over_sum() -> None:
    interval = ratio_interval([1, 9], [10, 10], seed=0)
    assert (interval.value, interval.low, interval.high) == (0.5, 0.1, 0.9)
    assert ratio_interval([1, 0], [1, 0], seed=0).low == 1, "an empty page alone divides nothing"
    with pytest.raises(OptionError, match="all zero"):
        ratio_interval([0], [0], seed=0)
    with pytest.raises(OptionError, match="one of each"):
        ratio_interval([0], [1, 1], seed=0)


def test_a_small_steady_difference_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(2)
    pages = rng.uniform(0.2, 1.0, 30)
    better = pages + 0.02 + rng.normal(0, 0.01, 30)
    found = paired_bootstrap(pages.tolist(), better.tolist(), seed=0)
    assert found.low > 0 and found.p < 0.01
    assert found.value == pytest.approx(float((better - pages).mean()))
    noise = paired_bootstrap(pages.tolist(), (pages + rng.normal(0, 0.05, 30)).tolist(), seed=0)
    assert noise.low < 0 < noise.high and noise.p > 0.05
    assert paired_bootstrap([0.5], [0.5], seed=0).p == 1
    with pytest.raises(OptionError, match="same pages"):
        paired_bootstrap([1.0], [1.0, 1.0], seed=0)


def test_wilson() -> None:
    # R: prop.test(15, 20, correct = FALSE)
    interval = share_interval(15, 20)
    assert (interval.low, interval.high) == pytest.approx((0.5313, 0.8881), abs=5e-4)
    assert share_interval(10, 10).low == pytest.approx(0.7225, abs=5e-4)
    assert share_interval(0, 10).low == 0
    with pytest.raises(OptionError):
        share_interval(1, 0)


def test_no_pages() -> None:
    with pytest.raises(OptionError, match="no pages"):
        mean_interval([], seed=0)
