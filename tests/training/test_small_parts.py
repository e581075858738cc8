"""Schedules, checkpoints' rules, distances and the optimiser's groups."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from foveate.errors import CheckpointError, OptionError
from foveate.training import checkpoint
from foveate.training.metrics import Metrics, read
from foveate.training.optimiser import choose_trained, make_optimiser
from foveate.training.precision import autocast, has_bf16_units, pick_device
from foveate.training.readings import distance, precision
from foveate.training.recipes import Checkpoints, Optimiser, Schedule
from foveate.training.schedule import factor
from tests import tiny


def test_cosine() -> None:
    rule = Schedule("cosine", warmup=4, floor=0.2)
    assert [factor(rule, step, 0.0) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factor(rule, 99, 0.5) == pytest.approx(0.6) and factor(rule, 99, 1.0) == pytest.approx(0.2)
    shares = [factor(rule, 99, n / 20) for n in range(21)]
    assert all(one > other for one, other in pairwise(shares))
    assert factor(rule, 99, 7.0) == pytest.approx(0.2)


def test_other_schedules() -> None:
    step = Schedule("step", warmup=0)
    assert [factor(step, 9, share) for share in (0.0, 0.79, 0.8, 0.9, 1.0)] == [1.0, 1.0, 0.316, 0.1, 0.1]
    assert factor(Schedule("linear", warmup=0, floor=0.0), 9, 0.25) == 0.75
    assert factor(Schedule("constant", warmup=0), 9, 0.9) == 1.0


def test_what_the_rule_keeps(tmp_path: Path) -> None:
    rule = Checkpoints(every=1, last=2, keep_every=4)
    for step in range(1, 11):
        checkpoint.write(tmp_path, step, lambda folder: (folder / "file").write_text("x") and None)
        checkpoint.prune(tmp_path, rule)
    assert [checkpoint.step_of(path) for path in checkpoint.found(tmp_path)] == [4, 8, 9, 10]


def test_a_checkpoint_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left on device.*make room, then resume"):
        checkpoint.write(tmp_path, 5, full)
    assert checkpoint.found(tmp_path) == []
    checkpoint.write(tmp_path, 5, lambda folder: checkpoint.write_state(folder, {"step": 5}))
    checkpoint.prune(tmp_path, Checkpoints())
    (only,) = checkpoint.found(tmp_path)
    assert checkpoint.read_state(only)["step"] == 5 and list((tmp_path / "checkpoints").iterdir()) == [only]
    (only / checkpoint.STATE_NAME).write_text('{"version": 99}')
    with pytest.raises(CheckpointError, match="update it"):
        checkpoint.read_state(only)


def test_rows_behind_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    with Metrics(tmp_path) as log:
        for step in (1, 2, 3):
            log.add({"step": step})
    with Metrics(tmp_path, step=2) as log:
        log.add({"step": 3, "again": True})
    assert read(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]
    with Metrics(tmp_path):
        assert read(tmp_path) == []


def by_table(one: str, other: str) -> int:
    """The slow twin: the whole table of distances."""
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    table[:, 0], table[0] = range(len(one) + 1), range(len(other) + 1)
    for i in range(len(one)):
        for j in range(len(other)):
            replaced = table[i, j] + (one[i] != other[j])
            table[i + 1, j + 1] = min(table[i, j + 1] + 1, table[i + 1, j] + 1, replaced)
    return int(table[-1, -1])


def test_distance() -> None:
    assert distance("kitten", "sitting") == 3 and distance("", "abc") == distance("abc", "") == 3
    dice = np.random.default_rng(0)
    for _ in range(60):
        one, other = ("".join(dice.choice(list("abc"), dice.integers(0, 12))) for _ in range(2))
        assert distance(one, other) == by_table(one, other), (one, other)
    assert precision("", "") == 1 and precision("abcd", "abce") == 0.75 and precision("x", "") == 0


def test_only_matrices_decay() -> None:
    model = tiny.network()
    choose_trained(model, ("sam", "clip.transformer.layers.0"))
    optimiser = make_optimiser(model.parameters(), Optimiser(weight_decay=0.5))
    matrices, vectors = optimiser.param_groups
    assert matrices["weight_decay"] == 0.5 and vectors["weight_decay"] == 0
    assert all(p.ndim >= 2 for p in matrices["params"]) and all(p.ndim < 2 for p in vectors["params"])
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert "encoder.clip.transformer.layers.1.mlp.fc1.weight" in trained
    assert not any("sam." in name or "clip.transformer.layers.0." in name for name in trained)
    assert "encoder.clip.embeddings.patch_embedding.weight" not in trained
    assert len(matrices["params"]) + len(vectors["params"]) == len(trained)
    with pytest.raises(OptionError, match="no such part"):
        choose_trained(model, ("decoder.layers.77",))
    with pytest.raises(OptionError, match="everything is frozen"):
        make_optimiser(model.requires_grad_(False).parameters(), Optimiser())


def test_bf16_only_where_it_pays() -> None:
    cpu = torch.device("cpu")
    with autocast("auto", cpu):
        assert torch.is_autocast_enabled("cpu") == has_bf16_units(cpu)
    with autocast("bfloat16", cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16
    with autocast("float32", cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    assert pick_device("cpu") == cpu
    with pytest.raises(OptionError, match="try cpu"):
        pick_device("abacus")


def test_the_warm_up_is_smooth() -> None:
    rule = Schedule("cosine", warmup=10)
    shares = [factor(rule, step, step / 100) for step in range(100)]
    assert max(abs(one - other) for one, other in pairwise(shares)) < 0.11 and not math.isnan(shares[0])
