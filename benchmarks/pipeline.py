"""One process against pipelines: the losses of twenty steps, and how long a step takes.

A small network on random pages; four processes by gloo, started by `torchrun`. Prints each layout's largest
difference from the single process's losses, over all steps and over those before the first token went to
another expert (rounding tips a router now and then, and the losses part), and its seconds a step. The
second row is one process that adds up its gradients in another order: what rounding alone does. Then what the
paper's layout comes to on paper. With fewer cores than processes this shows that the numbers agree, not that
it is faster.

    python benchmarks/pipeline.py [--steps 20]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from foveate.config import ClipConfig, DecoderConfig, OCRConfig, SamConfig
from foveate.pages.views import PageViews
from foveate.training.feeding import IGNORED, Batch
from foveate.training.learner import Learner, Single
from foveate.training.parallel.estimate import report
from foveate.training.recipes import Batches, Data, Losses, Optimiser, Parallel, Recipe, paper
from foveate.training.start import random_network

BACKWARDS = "1 process, batches reversed"
LAYOUTS = {
    "1 process": Parallel(),
    BACKWARDS: Parallel(),
    "pipeline 4": Parallel(pipeline=4),
    "pipeline 2 x data 2": Parallel(pipeline=2, data=2),
    "pipeline 2 x data 2, FSDP": Parallel(pipeline=2, data=2, sharded=True),
    "pipeline 2 x data 2, experts": Parallel(pipeline=2, data=2, experts=2),
}
NETWORK = OCRConfig(
    sam=SamConfig(
        width=96, layers=4, heads=4, global_attn_indexes=(3,), downsample_channels=(96, 128), neck_channels=64
    ),
    clip=ClipConfig(width=128, layers=4, heads=4, mlp_width=512),
    decoder=DecoderConfig(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=384,
        moe_intermediate_size=96,
        n_routed_experts=8,
        num_experts_per_tok=2,
        vocab_size=1024,
    ),
    image_token_id=2,
)
SIDE, LENGTH, ROWS, MICRO = 128, 64, 8, 1  # pixels of a page, tokens of a row, rows of a step and of a batch


def recipe(parallel: Parallel) -> Recipe:
    return Recipe(
        "benchmark",
        "",
        network=NETWORK,
        data=Data(streams=2),
        batches=Batches(size=ROWS, micro=MICRO, sequence=LENGTH),
        optimiser=Optimiser(rate=1e-3),
        losses=Losses(balance=0.01),
        precision="float32",
        device="cpu",
        parallel=parallel,
    )


def batch(step: int, stream: int, number: int) -> Batch:
    """A row with one page; from 10 to 40 of its tokens are learned."""
    dice = torch.Generator().manual_seed(step * 100 + stream * 10 + number)
    tokens = (SIDE // 64) * (SIDE // 64 + 1) + 1
    ids = torch.randint(5, NETWORK.decoder.vocab_size, (1, LENGTH), generator=dice)
    ids[:, 1 : 1 + tokens] = NETWORK.image_token_id
    index = torch.arange(LENGTH)[None]
    learned = int(torch.randint(10, 40, (), generator=dice))
    labels = torch.where(index >= LENGTH - 1 - learned, ids.roll(-1, 1), IGNORED)
    labels[:, -1] = IGNORED
    page = PageViews(torch.randn(3, SIDE, SIDE, generator=dice), None, (1, 1))
    return Batch(ids, labels, index, torch.ones_like(ids), labels == IGNORED, (page,), "tiny")


def run(learner: Learner, steps: int, order: int = 1) -> dict[str, Any]:
    losses, seconds, counts = [], [], []
    each = ROWS // MICRO // 2
    for step in range(steps):
        batches = [batch(step, stream, number) for stream in learner.streams for number in range(each)]
        started = time.perf_counter()
        learned = learner.learn(batches[::order], step)
        assert learned.counts is not None
        losses.append(learned.loss)
        counts.append(learned.counts.tolist())
        learner.clip(1.0)
        learner.advance(1e-3)
        seconds.append(time.perf_counter() - started)
    return {"losses": losses, "seconds": seconds, "counts": counts}


def member(name: str, steps: int, out: Path) -> None:
    """One process of a layout."""
    from foveate.training.parallel.layout import join
    from foveate.training.parallel.learner import Spread

    torch.set_num_threads(1)
    parallel = LAYOUTS[name]
    if parallel.processes == 1:
        order = -1 if name == BACKWARDS else 1
        out.write_text(json.dumps(run(Single(recipe(parallel), random_network(NETWORK)), steps, order)))
        return
    layout = join(parallel, torch.device("cpu"))
    found = run(Spread(recipe(parallel), random_network(NETWORK), layout), steps)
    if layout.leads:
        out.write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def start(name: str, steps: int, folder: Path) -> dict[str, Any]:
    """A layout's processes; gives what the first of them found."""
    out = folder / f"{name}.json"
    count = LAYOUTS[name].processes
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    arguments = [__file__, "--steps", str(steps), "--member", name, "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *launcher, *arguments], check=True, env=environment)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--member", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.member:
        member(options.member, options.steps, options.out)
        return
    print(f"{os.cpu_count()} cores, PyTorch {torch.__version__}, {options.steps} steps of {ROWS} rows")
    print(f"{'layout':<30} {'first':>8} {'last':>8} {'difference':>11} {'routed alike':>20} {'s/step':>8}")
    wanted: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.layouts:
            found = start(name, options.steps, Path(folder))
            losses, seconds = found["losses"], sorted(found["seconds"])
            wanted = wanted or found
            apart = [abs(ours - theirs) for ours, theirs in zip(losses, wanted["losses"], strict=True)]
            same = [ours == theirs for ours, theirs in zip(found["counts"], wanted["counts"], strict=True)]
            alike = next((step for step, equal in enumerate(same) if not equal), len(same))
            middle = seconds[len(seconds) // 2]
            print(
                f"{name:<30} {losses[0]:>8.5f} {losses[-1]:>8.5f} {max(apart):>11.1e} "
                f"{max(apart[:alike], default=0):>9.1e} ({alike:>2} steps) {middle:>8.3f}",
                flush=True,
            )
    print("\nThe paper's layout, 4 stages x 40 groups, on paper:\n")
    print(report(paper()))


if __name__ == "__main__":
    main()
