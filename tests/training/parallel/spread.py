"""Runs a tiny network on several processes, and alone, over the same batches."""

from __future__ import annotations

import json
import multiprocessing
import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from foveate.pages.views import PageViews
from foveate.training.feeding import IGNORED, Batch
from foveate.training.learner import Learner, Single
from foveate.training.parallel.layout import join
from foveate.training.parallel.learner import Spread
from foveate.training.recipes import Batches, Data, Losses, Optimiser, Parallel, Recipe
from foveate.training.start import random_network
from tests.tiny import with_decoder

PROCESSES = 4
STREAMS = 4  # of a batch each in a step
TINY = with_decoder(num_hidden_layers=4)
MARGIN = 1e-4


@dataclass(frozen=True)
class Case:
    """One layout's run."""

    parallel: Parallel = Parallel()
    frozen: tuple[str, ...] = ()
    recompute: bool = False
    first: int = 0  # step
    steps: int = 3
    load: str = ""  # a checkpoint to begin with
    save: str = ""  # one to end with
    export: str = ""
    pages: bool = True
    each: int = 1  # batches of a data stream in a step

    def recipe(self) -> Recipe:
        return Recipe(
            "test",
            "",
            network=TINY,
            data=Data(streams=STREAMS),
            batches=Batches(size=8 * self.each, micro=2, sequence=64),
            optimiser=Optimiser(rate=3e-3, clip=0.5),
            losses=Losses(balance=0.05),
            frozen=self.frozen,
            precision="float32",
            recompute=self.recompute,
            device="cpu",
            parallel=self.parallel,
        )


def batch(step: int, stream: int, with_pages: bool = True) -> Batch:
    """Two rows of one mode; how many tokens are learned, and how long the rows are, differs a lot."""
    dice = torch.Generator().manual_seed(100 * step + stream)
    length = (24, 40, 32)[(step + stream) % 3]
    kind = (step + stream) % 4 if with_pages else 3  # 3: without pages
    ids = torch.randint(5, 90, (2, length), generator=dice)
    pages = [page(kind, dice) for _ in range(2)] if kind < 3 else []
    tokens = {0: 2 * 3 + 1, 1: 1 * 2 + 1, 2: 2 * 3 + 1 * 2 + 1}.get(kind, 0)
    ids[:, 1 : 1 + tokens] = TINY.image_token_id
    begins = torch.tensor([tokens + 2, length - 3])[:, None]  # of the answers
    index = torch.arange(length)[None]
    labels = torch.where(index >= begins, ids.roll(-1, 1), IGNORED)
    labels[:, -1] = IGNORED
    segments, positions = torch.ones_like(ids), index.repeat(2, 1)
    segments[0, -8:], positions[0, -8:] = 2, torch.arange(8)
    segments[1, -2:], labels[1, -3:] = 0, IGNORED
    if stream % 2:
        labels[1] = IGNORED
    return Batch(ids, labels, positions, segments, index < begins, tuple(pages), str(kind))


def page(kind: int, dice: torch.Generator) -> PageViews:
    side = 64 if kind == 1 else 128
    whole = torch.randn(3, side, side, generator=dice)
    if kind != 2:
        return PageViews(whole, None, (1, 1))
    return PageViews(whole[:, :64, :64], torch.randn(4, 3, 64, 64, generator=dice), (2, 2))


def go(learner: Learner, case: Case) -> list[dict[str, float]]:
    """Losses, norms and the routers' work, step by step."""
    found = []
    for step in range(case.first, case.first + case.steps):
        batches = [
            batch(step, stream + STREAMS * number, case.pages)
            for stream in learner.streams
            for number in range(case.each)
        ]
        learned = learner.learn(batches, step)
        norm = learner.clip(case.recipe().optimiser.clip)
        learner.advance(3e-3)
        counts = 0.0 if learned.counts is None else float((learned.counts * places(learned.counts)).sum())
        found.append({"loss": learned.loss, "balance": learned.balance, "norm": norm, "counts": counts})
    return found


def places(counts: Tensor) -> Tensor:
    """A different weight for each router and expert."""
    return torch.arange(counts.numel()).view_as(counts) + 1


def alone(case: Case) -> tuple[Single, list[dict[str, float]]]:
    """The run in this process."""
    learner = Single(replace(case, parallel=Parallel()).recipe(), random_network(TINY))
    if case.load:
        learner.load(Path(case.load))
    found = go(learner, case)
    if case.save:
        Path(case.save).mkdir()
        learner.save(Path(case.save))
    return learner, found


def together(cases: Sequence[Case], folder: Path) -> list[list[dict[str, float]]]:
    """The runs of some layouts, one after the other, in four processes that meet by a file."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # PyTorch is imported once
    members = [context.Process(target=_member, args=(rank, list(cases), folder)) for rank in range(PROCESSES)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    problems = sorted(folder.glob("problem-*"), key=lambda file: file.stat().st_mtime_ns)
    assert not problems, problems[0].read_text()  # the others only miss the one that failed
    return [json.loads((folder / f"result-{index}.json").read_text()) for index in range(len(cases))]


def _member(rank: int, cases: Sequence[Case], folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ["WORLD_SIZE"] = str(PROCESSES)
    try:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES
        )
        for index, case in enumerate(cases):
            _run(index, case, folder)
        dist.destroy_process_group()
    except BaseException:
        (folder / f"problem-{rank}").write_text(f"{rank}: {traceback.format_exc()}")
        os._exit(1)  # the others may wait for us


def _run(index: int, case: Case, folder: Path) -> None:
    recipe = case.recipe()
    learner = Spread(recipe, random_network(TINY), join(recipe.parallel, torch.device("cpu")))
    if case.load:
        learner.load(Path(case.load))
    found = go(learner, case)
    for place, write in ((case.save, learner.save), (case.export, learner.export)):
        if place:
            if learner.leads:
                Path(place).mkdir()
            learner.wait()
            write(Path(place))
    if learner.leads:
        (folder / f"result-{index}.json").write_text(json.dumps(found))


def compare(found: Sequence[dict[str, float]], wanted: Sequence[dict[str, float]], case: object) -> None:
    for step, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        for name, value in theirs.items():
            assert abs(ours[name] - value) < MARGIN * max(1.0, abs(value)), (case, step, name, ours, theirs)
