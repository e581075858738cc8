"""Whole runs of a tiny network: resuming, being killed, diverging, and what is left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from foveate.engine.reader import Reader
from foveate.errors import CheckpointError, ConfigError, OptionError
from foveate.model import weights
from foveate.training import checkpoint, metrics
from foveate.training.learner import Single
from foveate.training.loop import Run, find_tokenizer, fitted, train
from foveate.training.recipes import Lora, Readings, Recipe, Start, Watch
from foveate.training.settings import lines
from foveate.training.watch import Diverged, Watcher
from tests.training import world

PROGRAM = """
import sys
from pathlib import Path
from foveate.training.loop import train
from foveate.training.recipes import Recipe
from foveate.training.settings import override
train(override(Recipe("test", ""), sys.argv[2:]), Path(sys.argv[1]), resume=True)
"""


def losses(run: Path) -> dict[int, float]:
    """The loss of each step, as the metrics have it; each step once."""
    rows = [row for row in metrics.read(run) if "loss" in row]
    assert len({row["step"] for row in rows}) == len(rows)
    return {row["step"]: row["loss"] for row in rows}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / weights.SINGLE_NAME)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A run of six steps that nothing stops."""
    out = folder / "whole"
    train(world.recipe(folder), out)
    return out


def test_what_a_run_leaves_behind(whole: Path) -> None:
    assert [path.name for path in checkpoint.found(whole)] == ["step-00000004", "step-00000006"]
    rows = metrics.read(whole)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["loss"] < rows[0]["loss"] and 0 < rows[-1]["filled"] <= 1
    assert set(rows[0]["experts"]) == {"balance", "busiest", "idle", "evenness"}
    assert json.loads((whole / "recipe.json").read_text())["optimiser"]["rate"] == 1e-3
    assert tensors(whole / "model")["lm_head.weight"].dtype is torch.bfloat16


def test_a_checkpoint_is_read_by_reader(whole: Path) -> None:
    picture = world.sample(0).image
    for place in (checkpoint.found(whole)[-1], whole / "model"):
        reader = Reader.load(str(place))
        page = reader.read(picture, mode="tiny", max_tokens=3, retries=0).pages[0]
        assert page.text_tokens == 3 and page.vision_tokens == 64


def test_a_run_goes_on_as_if_it_had_not_stopped(folder: Path, whole: Path) -> None:
    """Data, optimiser, schedule and watcher: every loss is the same, and so is every weight."""
    out = folder / "stopped"
    recipe = world.recipe(folder)
    first = Run(recipe, Single(recipe, weights.load(folder / "start").requires_grad_()), world.TOKENIZER, out)
    with metrics.Metrics(out) as log:
        for _ in range(3):
            first._advance(first.progress, log)
            first._keep(over=False)
    assert losses(out).keys() == {1, 2, 3} and [p.name for p in checkpoint.found(out)] == ["step-00000002"]
    train(recipe, out, resume=True)
    assert losses(out) == losses(whole)
    ours, theirs = (tensors(checkpoint.found(run)[-1]) for run in (out, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_dropout_throws_the_same_dice_again(folder: Path) -> None:
    recipe, out = world.recipe(folder, lora=Lora(rank=2, dropout=0.5), steps=4), folder / "dice"
    train(recipe, out)
    before = losses(out)
    shutil.rmtree(checkpoint.found(out)[-1])
    train(recipe, out, resume=True)
    assert losses(out) == before
    train(replace(recipe, steps=2, lora=Lora(rank=2)), folder / "without")
    after = losses(folder / "without")
    assert after[1] == before[1] and after[2] != before[2]  # at first adapters are zero, dice or not


def test_a_damaged_checkpoint_is_a_clear_mistake(folder: Path) -> None:
    recipe, out = world.recipe(folder, steps=1), folder / "damaged"
    train(recipe, out)
    (checkpoint.found(out)[-1] / checkpoint.STATE_NAME).write_text("{")
    with pytest.raises(CheckpointError, match="resume from another"):
        train(recipe, out, resume=True)


def test_kill_9_costs_the_steps_since_the_last_checkpoint(folder: Path, whole: Path) -> None:
    out = folder / "killed"
    recipe = world.recipe(folder)
    command = [sys.executable, "-c", PROGRAM, str(out), *lines(recipe)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 600
    while not checkpoint.found(out) or len(metrics.read(out)) < 3:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = checkpoint.step_of(checkpoint.found(out)[-1])
    assert kept >= 2 and len(metrics.read(out)) - kept <= 2
    # What a writer that is killed leaves behind is no checkpoint, and half a line is no row.
    (out / checkpoint.FOLDER / ".step-00000009.partial").mkdir()
    with (out / metrics.NAME).open("a") as file:
        file.write('{"step": 5, "lo')
    train(recipe, out, resume=True)
    assert losses(out) == losses(whole)
    assert not list((out / checkpoint.FOLDER).glob(".*"))


def test_a_run_is_not_overwritten(folder: Path, whole: Path) -> None:
    with pytest.raises(OptionError, match="holds a run already: add --resume"):
        train(world.recipe(folder), whole)
    assert train(world.recipe(folder), whole, resume=True) == whole / "model"  # there is nothing left to do
    assert len(metrics.read(whole)) == 6


def test_another_network_cannot_go_on(folder: Path, whole: Path) -> None:
    from foveate.training.start import make_network
    from tests import tiny

    other = replace(world.CONFIG, decoder=replace(world.CONFIG.decoder, num_hidden_layers=2))
    recipe = world.recipe(folder, network=other, start=Start(), tokenizer="nano")
    learner = Single(recipe, make_network(recipe))
    with pytest.raises(CheckpointError, match="another network"):
        learner.load(checkpoint.found(whole)[-1])
    wrong = replace(recipe, network=tiny.CONFIG)
    with pytest.raises(ConfigError, match="the tokenizer is not this network's"):
        train(wrong, folder / "wrong")


def test_a_number_that_is_none_stops_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, out = world.recipe(folder, steps=9), folder / "nan"
    learn = Single.learn

    def broken(self: Single, batches: object, step: int) -> object:
        learned = learn(self, batches, step)  # type: ignore[arg-type]
        return replace(learned, loss=float("nan")) if step == 4 else learned

    monkeypatch.setattr(Single, "learn", broken)
    with pytest.raises(Diverged) as problem:
        train(recipe, out)
    last = out / "checkpoints" / "step-00000004"
    assert str(problem.value).startswith(f"step 5: the loss is nan; the last good checkpoint is {last}:")
    assert checkpoint.found(out)[-1] == last and len(metrics.read(out)) == 4


def test_a_spike_stops_when_it_stays() -> None:
    watcher = Watcher(Watch(spike=1.0, patience=3, window=20))
    for step in range(20):
        watcher.look(step, 2.0 + 0.01 * step, 1.0, None)
    watcher.look(20, 5.0, 1.0, None)
    assert watcher.uneasy
    watcher.look(21, 2.2, 1.0, None)
    assert not watcher.uneasy  # a single one passes
    again = Watcher(watcher.rule)
    again.restore(json.loads(json.dumps(watcher.state())))
    for step in (22, 23):
        again.look(step, 6.0, 1.0, Path("run/checkpoints/step-00000020"))
    with pytest.raises(
        Diverged, match=r"step 24: the loss is 6.000 and was about 2.1.*/step-00000020: go on"
    ):
        again.look(24, 6.0, 1.0, Path("run/checkpoints/step-00000020"))
    with pytest.raises(Diverged, match="the gradient's norm is inf; there is no checkpoint yet"):
        Watcher(watcher.rule).look(1, 2.0, float("inf"), None)


def test_no_checkpoint_is_written_on_a_spike(folder: Path) -> None:
    recipe, out = world.recipe(folder), folder / "uneasy"
    run = Run(recipe, Single(recipe, weights.load(folder / "start").requires_grad_()), world.TOKENIZER, out)
    run.step, run.watcher.over = 2, 1
    run._keep(over=False)
    assert checkpoint.found(out) == []
    run.step, run.watcher.over = 3, 0
    run._keep(over=False)
    assert [path.name for path in checkpoint.found(out)] == ["step-00000003"]


def test_epochs_end_by_samples(folder: Path) -> None:
    recipe, out = world.recipe(folder, steps=0, epochs=0.5), folder / "epochs"
    train(recipe, out)
    taken = [row["samples"] for row in metrics.read(out)]
    assert taken[-1] >= 12 and all(count < 12 for count in taken[:-1])


def test_readings_while_it_trains(folder: Path) -> None:
    held = world.shards(folder / "held", 8)
    readings = Readings(every=2, shards=(held,), count=2, max_tokens=6)
    recipe = world.recipe(folder, steps=2, readings=readings)
    train(recipe, folder / "read")
    (row,) = (row for row in metrics.read(folder / "read") if "reading" in row)
    pages = row["reading"]["pages"]
    assert row["step"] == 2 and [page["mode"] for page in pages] == ["tiny", "small"]
    assert all(0 <= page["precision"] <= 1 and page["wanted"] for page in pages)
    with pytest.raises(OptionError, match="readings.shards"):
        train(world.recipe(folder, readings=Readings(every=2)), folder / "unheld")


def test_tensorboard(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with metrics.Metrics(folder / "board", tensorboard=True) as log:
        log.add({"step": 3, "loss": 1.5, "modes": {"tiny": 2}, "name": "x"})
    events = EventAccumulator(str(folder / "board" / metrics.BOARD)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(3, 1.5)]
    assert events.Tags()["scalars"] == ["loss", "modes/tiny"]


def test_a_run_has_an_end_and_a_tokenizer(folder: Path) -> None:
    for recipe, complaint in (
        (world.recipe(folder, steps=0), "the run has no end"),
        (world.recipe(folder, start=Start()), "tokenizer is not set"),
    ):
        with pytest.raises(OptionError, match=complaint):
            train(recipe, folder / "endless")
    endless = world.recipe(folder, steps=0, epochs=1.0)
    endless = replace(endless, data=replace(endless.data, shards=(), recipe="shapes"))
    with pytest.raises(OptionError, match="have no end: set steps"):
        train(endless, folder / "endless")
    assert find_tokenizer(Recipe("a", "b", tokenizer="nano")).name == "nano"


def test_texts_are_cut_to_what_a_sequence_takes(folder: Path) -> None:
    sources = fitted(world.recipe(folder), folder / "start").sources
    assert (sources.tokens, sources.tokenizer) == (192, folder / "start")
