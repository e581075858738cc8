"""What the paper's layout costs, by numbers that can be checked by hand."""

import math
from pathlib import Path

import pytest

from foveate.config import OCRConfig
from foveate.model import weights
from foveate.training.parallel.estimate import (
    GIB,
    Work,
    bubble,
    counts,
    idle,
    memory,
    one_forward_one_backward,
    report,
    work,
)
from foveate.training.recipes import paper

ROOT = Path(__file__).parents[3]


def test_parameters_of_the_papers_stages() -> None:
    found = counts(OCRConfig(), 4, paper().frozen)
    assert sum(stage.all for stage in found) == sum(map(math.prod, weights.shapes(OCRConfig()).values()))
    sam, clip, first, second = found
    # One layer: four projections, 64 routed and 2 shared experts of three matrices, the router, two norms.
    expert = 3 * 1280 * 896
    layer = 4 * 1280**2 + 66 * expert + 64 * 1280 + 2 * 1280
    vocabulary = 129280 * 1280
    assert second.all == second.trained == 6 * layer + vocabulary + 1280
    assert second.experts == 6 * 64 * expert
    assert first.all == 5 * layer + (4 * 1280**2 + 3 * 1280 * 6848 + 2 * 1280) + vocabulary
    assert sam.trained == 0 and clip.trained == clip.all - 3 * 14 * 14 * 1024


def test_the_papers_stages_fit_into_40_gb() -> None:
    stages = memory(paper())
    last = stages[-1]
    # fp32 weights and gradients, AdamW's two moments and a copy in bf16: 18 bytes a parameter.
    parameters = counts(OCRConfig(), 4)[-1].all
    assert last.weights + last.gradients + last.optimiser + last.copies == 18 * parameters
    assert all(stage.total < 40e9 * 0.95 for stage in stages)
    assert stages[0].gradients == stages[0].optimiser == 0
    # Rows of 8,192 hidden states of 1,280 numbers for each of 16 micro-batches, coming in alone.
    assert last.buffers == 16 * 8192 * 1280 * 4
    assert max(stage.total for stage in stages) > 25 * GIB


def test_the_bubble() -> None:
    assert bubble(4, 16) == pytest.approx(3 / 19)
    assert bubble(1, 8) == 0
    for waits in (idle([Work(1, 2)] * 4, 16), idle([Work(1, 3)] * 4, 16)):
        assert waits == pytest.approx([3 / 19] * 4)
    # A stage that works twice as long makes the others wait half of the time, and waits for nobody for long.
    slow = idle([Work(1, 2), Work(1, 2), Work(1, 2), Work(2, 4)], 100)
    assert slow[0] == pytest.approx(0.5, abs=0.03) and slow[3] < 0.03


def test_the_order_of_one_forward_one_backward() -> None:
    assert one_forward_one_backward(4, 3, 2) == [("F", 0), ("B", 0), ("F", 1), ("B", 1)]
    first = one_forward_one_backward(4, 0, 5)
    assert first[:5] == [("F", 0), ("F", 1), ("F", 2), ("F", 3), ("B", 0)]
    assert sorted(first) == sorted([(kind, number) for kind in "FB" for number in range(5)])


def test_a_frozen_encoder_has_no_backward_pass() -> None:
    sam, clip, *decoder = work(paper())
    assert sam.backward == 0 and sam.forward > clip.forward
    assert all(stage.backward == 3 * stage.forward for stage in (clip, *decoder))  # with recomputing


def test_the_table_has_a_row_for_each_stage() -> None:
    lines = report(paper()).splitlines()
    assert len(lines) == 6 and lines[2].startswith("| 1 | ") and lines[5].startswith("| 4 | ")
    assert report(paper()) in (ROOT / "docs" / "parallel.md").read_text(encoding="utf-8")
