"""The whole command under torchrun: what a user of several processes types."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foveate.engine.reader import Reader
from tests.training import world

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def settings(folder: Path, *more: str) -> list[str]:
    recipe = world.recipe(folder)
    values = ["metrics.every=1", "checkpoints.every=2", "batches.size=4", "batches.micro=1"]
    values += ["data.shards=shards", "batches.sequence=192", "data.modes={tiny = 1}", "readings.every=0"]
    values += [f"start.checkpoint={recipe.start.checkpoint}", "network=none", "tokenizer=start"]
    values += ["device=cpu", "precision=float32", "schedule.kind=constant", "schedule.warmup=0", *more]
    return [part for value in values for part in ("--set", value)]


def command(count: int, *arguments: str) -> str:
    """Runs `foveate train` in so many processes; what it said on standard error."""
    start = [sys.executable, "-m"]
    if count > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={count}", "-m"]
    done = subprocess.run(
        [*start, "foveate", "train", "nano", *arguments],
        capture_output=True,
        text=True,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"},
        timeout=540,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_pipeline_of_four_gives_the_losses_of_one_and_resumes(folder: Path) -> None:
    command(1, "--out", "one", *settings(folder, "steps=4"))
    pipeline = "parallel.pipeline=4"
    said = command(4, "--out", "four", *settings(folder, "steps=2", pipeline))
    assert said.count("four/model: the trained network") == 1
    command(4, "--out", "four", "--resume", *settings(folder, "steps=4", pipeline))
    assert losses(Path("four")) == pytest.approx(losses(Path("one")), abs=1e-4)
    assert Reader.load("four/model").read(world.sample(0).image, mode="tiny", max_tokens=2).pages


def test_two_pipelines_of_two_resume_exactly(folder: Path) -> None:
    """Each group reads data of its own, so their losses are compared with those of a run without a stop."""
    layout = ["parallel.pipeline=2", "parallel.data=2"]
    command(4, "--out", "whole", *settings(folder, "steps=4", *layout))
    command(4, "--out", "parts", *settings(folder, "steps=2", *layout))
    command(4, "--out", "parts", "--resume", *settings(folder, "steps=4", *layout))
    assert losses(Path("parts")) == pytest.approx(losses(Path("whole")), abs=1e-4)
