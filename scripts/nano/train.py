"""Train the embedded `nano` network on pages drawn as it goes, in five stages.

    python scripts/nano/train.py codes --run runs/codes --steps 600 --rate 4e-3
    python scripts/nano/train.py decoder --run runs/decoder --codes runs/codes/codes.pt
    python scripts/nano/train.py sam --run runs/sam --codes runs/codes/codes.pt
    python scripts/nano/train.py encoder --run runs/encoder --sam runs/sam --codes runs/codes/codes.pt
    python scripts/nano/train.py whole --run runs/whole --encoder runs/encoder --decoder runs/decoder
    python scripts/nano/train.py export --run runs/whole --out src/foveate/assets/nano

Each command goes on where it stopped, on another machine too. A GPU is used where there is one; it wants
`--artists 15`. On a CPU, LD_PRELOAD of jemalloc saves a quarter of the time.

First codes are found for the characters of a vision token's cell that can be told apart when they are added
up. The decoder learns beside the others: it reads such sums, which needs no pixels. SAM learns to tell
characters apart from its features of their patches and to say what these add to the sums, the encoder to tell
them from its vision tokens and to write the codes. Then the whole network learns on. From weights that were
exported with `--helps FILE` it goes on by `whole --start FOLDER --helps FILE`.
"""

import argparse
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
import torch.multiprocessing as mp
from batches import ASSETS, Batch, Pages, drawing_process, next_batch
from muon import Muon
from network import initialise, nano_config
from safetensors.torch import load_file, save_file
from teacher import Losses, Teacher
from torch import Tensor, nn

from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.pages.tokenizer import TOKENIZER_NAME, Tokenizer

STAGES = {
    "codes": Pages(sides=(320,), type_sizes=(14, 30), made_up=0.3, short=0.0, degrade=0.0, most=40),
    "decoder": Pages(degrade=0.0),
    "sam": Pages(sides=(256, 384), most=16, tokens=2400, short=0.05),
    "encoder": Pages(most=16),
    "whole": Pages(most=16),
}
WEIGHTS = {
    "name": 1.5,
    "search": 1.0,
    "behind": 1.0,
    "back": 0.3,
    "first": 1.0,
    "second": 1.0,
    "third": 0.5,
    "spot1": 1.0,
    "spot2": 2.0,
    "route": 0.3,
    "spell": 1.0,
    "balance": 0.01,
    "patch": 0.5,
    "addends": 1.0,
    "sum_name": 0.5,
    "sum_search": 0.3,
    "code": 1.0,
    "told_name": 1.5,
    "told_search": 1.0,
    "text": 1.0,
}
CHECKPOINT = "last.pt"
REPEATED = 200  # batches from which earlier ones are taken again


def new_teacher(seed: int) -> Teacher:
    torch.manual_seed(seed)
    tokenizer = Tokenizer.load(ASSETS)
    model = OCR(nano_config(tokenizer))
    initialise(model, tokenizer)
    return Teacher(model, tokenizer)


def trained_parts(
    stage: str, frozen_sam: bool = False, frozen_encoder: bool = False, moving_codes: bool = False
) -> list[str]:
    """Prefixes of the parameters that a stage trains."""
    if stage == "codes":
        return ["codes."]
    reading = ["model.decoder.", "model.encoder.image_newline", "model.encoder.view_separator"]
    reading += ["spelling.", "spell_heads."]
    if stage == "decoder" or frozen_encoder:
        return reading
    if stage == "sam":
        return ["model.encoder.sam.", "glance.", "addends."]
    sight = ["model.encoder.clip.", "model.encoder.projector.", "model.encoder.compressor."]
    sight += ["model.encoder.sam.neck."] if frozen_sam else ["model.encoder.sam.", "glance.", "addends."]
    if moving_codes:
        sight.append("codes.")
    return sight if stage == "encoder" else sight + reading


TABLES = (
    "embed",
    "lm_head",
    "pos",
    "codes",
    "glance",
    "_heads",
    "gate.weight",
    "spelling",
)
PACES = {  # times the rate
    "codes.": 4.0,
    "lm_head": 0.15,
    "spelling.write": 0.15,
    "embed_tokens": 0.3,
    "mlp.gate": 5.0,
}


def optimizers(
    teacher: Teacher, prefixes: list[str], rate: float, faster: float = 1.0
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside, so much `faster`, AdamW for tables, vectors and heads."""
    inside: list[nn.Parameter] = []
    others: dict[float, list[nn.Parameter]] = {}
    for name, parameter in teacher.named_parameters():
        chosen = any(name.startswith(prefix) for prefix in prefixes) and "patch_embedding" not in name
        parameter.requires_grad_(chosen)
        if not chosen:
            continue
        if parameter.ndim < 2 or any(part in name for part in TABLES):
            paces = PACES if prefixes != ["codes."] else {}
            scale = next((scale for part, scale in paces.items() if part in name), 1.0)
            others.setdefault(scale, []).append(parameter)
        else:
            inside.append(parameter)
    groups = [{"params": chosen, "scale": scale} for scale, chosen in sorted(others.items())]
    adamw = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    if not inside:
        return [adamw]
    return [Muon([{"params": inside, "scale": faster}], lr=rate), adamw]


def rate_at(step: int, steps: int, peak: float, fall: float = 1 / 3, warmup: int = 50) -> float:
    """Up within `warmup` steps, flat, and down to a twentieth over the last share `fall` of the steps."""
    down = (steps - step) / max(1.0, steps * fall)
    return peak * min((step + 1) / warmup, 1.0, max(down, 0.05))


def told_at(step: int, steps: int, share: float) -> float:
    """The share of pages whose places are told: less from the half on, none in the last fifth."""
    return share * min(1.0, max(0.0, (0.8 * steps - step) / (0.3 * steps)))


def total(losses: Losses) -> Tensor:
    parts = [WEIGHTS[name] * loss for name, loss in losses.items() if name in WEIGHTS]
    return torch.stack(parts).sum()


def save(path: Path, state: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def take(teacher: Teacher, path: Path, prefixes: tuple[str, ...]) -> None:
    """Some parts of another run's network."""
    state = load(path)["teacher"]
    chosen = {name: value for name, value in state.items() if name.startswith(prefixes)}
    assert chosen, f"{path} has no {prefixes}"
    teacher.load_state_dict(chosen, strict=False)


def resume(teacher: Teacher, saved: dict[str, Tensor], prefixes: list[str]) -> None:
    """The weights of a run that goes on; helps of other stages may have changed since."""
    own = teacher.state_dict()
    fitting = {
        name: value
        for name, value in saved.items()
        if name.startswith(tuple(prefixes)) or (name in own and own[name].shape == value.shape)
    }
    _, unknown = teacher.load_state_dict(fitting, strict=False)
    if unknown:
        raise SystemExit(f"the checkpoint has parts that this network lacks: {', '.join(unknown[:3])}")


def begin(teacher: Teacher, options: argparse.Namespace) -> None:
    """The weights that a new run starts from."""
    if options.stage in ("sam", "encoder", "decoder") and not (options.codes or options.helps):
        raise SystemExit(f"{options.stage} needs --codes: the codes.pt that the stage `codes` writes")
    if options.codes:
        teacher.load_state_dict(load(options.codes), strict=False)
    if options.helps:
        helps = {name: value.float() for name, value in load_file(options.helps).items()}
        teacher.load_state_dict(helps, strict=False)
    model = weights.load(options.start, dtype=torch.float32) if options.start else None
    if model is not None and options.stage == "encoder":
        teacher.model.encoder.load_state_dict(model.encoder.state_dict())
        nn.init.normal_(teacher.model.encoder.projector.layers.weight, std=0.02)  # it wrote other codes
    elif model is not None:
        teacher.model.load_state_dict(model.state_dict())
    elif options.stage in ("sam", "encoder") and options.sam:
        take(teacher, options.sam / CHECKPOINT, ("model.encoder.sam.", "glance.", "addends."))
    elif options.stage == "whole":
        own = ("model.encoder.sam.", "model.encoder.compressor.", "model.encoder.clip.")
        own += ("model.encoder.projector.", "glance.", "addends.")
        take(teacher, options.encoder / CHECKPOINT, own)
        rest = ("model.decoder.", "model.encoder.image_newline", "model.encoder.view_separator")
        take(
            teacher,
            options.decoder / CHECKPOINT,
            (*rest, "codes.", "place", "spelling.", "spell_heads."),
        )


def group_sizes(optimizer: dict[str, Any]) -> list[int]:
    """How many parameters each group of an optimizer's state has."""
    return [len(group["params"]) for group in optimizer["param_groups"]]


class Run:
    """One stage on its way: the network, its optimisers, its artist and its log."""

    def __init__(self, rank: int, options: argparse.Namespace) -> None:
        self.rank, self.options = rank, options
        self.folder: Path = options.run
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.teacher = new_teacher(options.seed)
        self.step = 0
        self.coded = bool(options.helps) or not options.start
        prefixes = trained_parts(
            options.stage, options.frozen_sam, options.frozen_encoder, options.moving_codes
        )
        last = self.folder / CHECKPOINT
        state = load(last) if last.exists() else None
        if state is None:
            begin(self.teacher, options)
            if options.stage == "decoder":
                self.teacher.set_up()
        else:
            resume(self.teacher, state["teacher"], prefixes)
            self.step = state["step"]
        self.teacher.to(self.device)
        self.optimizers = optimizers(self.teacher, prefixes, options.rate, options.faster)
        if state is not None and [group_sizes(optimizer.state_dict()) for optimizer in self.optimizers] == [
            group_sizes(values) for values in state["optimizers"]
        ]:  # else other parts learn now: their means begin anew
            for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
                scales = [group["scale"] for group in optimizer.param_groups]
                optimizer.load_state_dict(values)
                for group, scale in zip(optimizer.param_groups, scales, strict=True):
                    group["scale"] = scale
        self.pages = replace(STAGES[options.stage], **dict(options.set))

    def batches(self) -> Iterator[Batch]:
        """From several artists in turn, so that their number changes nothing."""
        context, o = mp.get_context("spawn"), self.options
        queues, artists = [], []
        for artist in range(o.artists):
            queue = context.Queue(3)
            first = (self.step + artist) * o.processes + self.rank
            arguments = (queue, self.pages, o.seed, o.corpus, o.cache, first, o.processes * o.artists)
            process = context.Process(target=drawing_process, args=arguments, daemon=True)
            process.start()
            queues.append(queue)
            artists.append(process)
        turn = 0
        while self.step < o.steps:
            yield next_batch(queues[turn % o.artists], artists[turn % o.artists]).to(self.device)
            turn += 1

    def repeated(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Each batch as the encoder sees it, which learns nothing, and after each some of those before."""
        kept: deque[Batch] = deque(maxlen=REPEATED)
        for batch in batches:
            with torch.no_grad(), self.precision():
                batch.tokens = self.teacher.seen(batch)[0]
            batch.pixels = batch.pixels[:, :0]
            kept.append(batch)
            yield batch
            for _ in range(min(self.options.again, self.options.steps - self.step)):
                chosen = np.random.default_rng((self.options.seed, self.step)).integers(len(kept))
                yield kept[chosen]

    def precision(self) -> AbstractContextManager[Any]:
        half = self.device.type == "cuda" or self.options.bf16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def losses(self, batch: Batch) -> Losses:
        self.teacher.share_told = told_at(self.step, self.options.steps, self.options.told)
        generator = torch.Generator(self.device).manual_seed(self.step * self.options.processes + self.rank)
        if self.options.stage == "codes":
            return self.teacher.code_losses(batch, generator)
        if self.options.stage == "decoder":
            return self.teacher.decoder_losses(batch, generator)
        if self.options.stage == "sam":
            return self.teacher.sam_losses(batch)
        if self.options.stage == "encoder":
            return self.teacher.encoder_losses(batch)
        reads = self.step % self.options.read_every == 0
        return self.teacher.whole_losses(batch, self.coded, generator, reads)

    def go(self) -> None:
        began = saved = time.monotonic()
        parent = os.getppid()
        name = f"metrics{self.rank or ''}.jsonl"
        with (self.folder / name).open("a") as log:
            metrics: dict[str, float] = {}  # the last of each name: not all are measured in every step
            batches = self.batches()
            for batch in self.repeated(batches) if self.options.again else batches:
                metrics |= self.learn(batch)
                self.step += 1
                if self.options.processes > 1 and os.getppid() != parent:
                    raise SystemExit("the process that began this one has died")
                if self.step % 10 == 0:
                    entry = {
                        "step": self.step,
                        **metrics,
                        "pages": len(batch.ids),
                        "length": batch.ids.shape[1],
                    }
                    entry["seconds"] = round((time.monotonic() - began) / 10, 2)
                    began = time.monotonic()
                    log.write(json.dumps(entry) + "\n")
                    log.flush()
                due = time.monotonic() - saved > self.options.save_every
                if self.rank == 0 and (due or self.step == self.options.steps):
                    self.save()
                    saved = time.monotonic()

    def learn(self, batch: Batch) -> dict[str, float]:
        rate = rate_at(self.step, self.options.steps, self.options.rate, self.options.fall)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("scale", 1.0)
        with self.precision():
            losses = self.losses(batch)
            loss = total(losses)
        if not torch.isfinite(loss):
            raise SystemExit(f"the loss is {loss.item()} at step {self.step}: go on from the last checkpoint")
        self.teacher.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for p in self.teacher.parameters() if p.grad is not None]
        if self.options.processes > 1:
            share_gradients(parameters, self.options.processes)
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        values = {name: round(value.item(), 4) for name, value in losses.items()}
        return values | {"norm": round(norm.item(), 3), "rate": round(rate, 7)}

    def save(self) -> None:
        state = {"teacher": self.teacher.state_dict(), "step": self.step}
        state["optimizers"] = [optimizer.state_dict() for optimizer in self.optimizers]
        save(self.folder / CHECKPOINT, state)
        if self.options.stage == "codes":
            chosen = {k: v for k, v in state["teacher"].items() if k.startswith("codes.")}
            save(self.folder / "codes.pt", chosen)


def share_gradients(parameters: list[nn.Parameter], count: int) -> None:
    """Each gradient becomes its mean over the training processes."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(together)
    parts = together.div_(count).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def train(rank: int, options: argparse.Namespace) -> None:
    """One of several training processes; each has a thread and its share of every batch."""
    torch.set_num_threads(options.threads)
    if options.processes > 1:
        meeting = f"tcp://127.0.0.1:{options.port}"
        torch.distributed.init_process_group(
            "gloo", init_method=meeting, rank=rank, world_size=options.processes
        )
    Run(rank, options).go()


def export(options: argparse.Namespace) -> None:
    """The network without its helps, under the released names."""
    teacher = new_teacher(0)
    teacher.load_state_dict(load(options.run / CHECKPOINT)["teacher"])
    weights.save(teacher.settle().to(torch.bfloat16), options.out)
    if options.helps:
        helps = {k: v for k, v in teacher.state_dict().items() if not k.startswith(("model.", "spelling."))}
        save_file({k: v.to(torch.bfloat16).contiguous() for k, v in helps.items()}, options.helps)
    if not (options.out / TOKENIZER_NAME).exists():
        shutil.copy(ASSETS / TOKENIZER_NAME, options.out)


def setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    read = json.loads(value)
    return name, tuple(read) if isinstance(read, list) else read


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("stage", choices=[*STAGES, "export"])
    add("--run", type=Path, required=True, help="folder of the checkpoints and metrics")
    add("--steps", type=int, default=2000, help="of the whole stage")
    add("--fall", type=float, default=1 / 3, help="share of the steps, at their end, in which the rate falls")
    add("--rate", type=float, default=2e-3, help="the highest learning rate")
    add("--told", type=float, default=0.0, help="decoder: share of pages whose places are told at first")
    add("--faster", type=float, default=1.0, help="times the rate: that of the matrices inside")
    add("--seed", type=int, default=0)
    add("--processes", type=int, default=1, help="training processes, one a core")
    add("--threads", type=int, default=1, help="of each process")
    add("--artists", type=int, default=1, help="drawing processes of each training process")
    add("--port", type=int, default=29511, help="where they meet, on this machine")
    add("--save-every", type=float, default=300, help="seconds between checkpoints")
    add("--set", type=setting, action="append", default=[], metavar="FIELD=JSON", help="change the pages")
    add("--bf16", action="store_true", help="matrix products in bf16 on a CPU too: fast where it has them")
    add("--moving-codes", action="store_true", help="the codes learn on too, and the others go after them")
    add("--frozen-sam", action="store_true", help="leave SAM's layers as they are, its neck excepted")
    add("--frozen-encoder", action="store_true", help="whole: the decoder alone learns")
    add("--again", type=int, default=0, metavar="N", help="with --frozen-encoder: N steps on earlier batches")
    add("--read-every", type=int, default=1, metavar="N", help="whole: the decoder learns in each Nth step")
    add("--start", type=Path, help="folder of a network to begin with: its encoder, or for `whole` all of it")
    add("--codes", type=Path, help="sam, encoder, decoder: codes.pt of the codes' run")
    add("--sam", type=Path, help="sam, encoder: a run whose SAM it begins with")
    add("--encoder", type=Path, help="whole: the encoder's run")
    add("--decoder", type=Path, help="whole: the decoder's run")
    add("--corpus", default="../shared/corpus")
    add("--cache", default="runs/cache", help="folder for the unpacked text")
    add("--out", type=Path, help="export: where to")
    add(
        "--helps",
        type=Path,
        help="export: file for what is not part of the network; or with --start, from it",
    )
    options = parser.parse_args()
    if options.stage == "export":
        export(options)
        return
    if options.read_every > 1 and options.start and not options.helps:
        parser.error("--read-every needs --helps: without them the encoder has nothing to learn by itself")
    if options.read_every > 1 and options.frozen_encoder:
        parser.error("--read-every and --frozen-encoder leave steps without anything to learn: choose one")
    if options.again and (options.stage != "whole" or not options.frozen_encoder):
        parser.error("--again is for `whole` with --frozen-encoder: one that learns has to see its pages")
    options.run.mkdir(parents=True, exist_ok=True)
    if options.processes == 1:
        train(0, options)
    else:
        mp.spawn(train, args=(options,), nprocs=options.processes)


if __name__ == "__main__":
    main()
