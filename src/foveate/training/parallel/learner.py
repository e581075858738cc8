"""A network that learns on several processes: a `training.learner.Learner` for every other layout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foveate.engine.reader import Reader
from foveate.errors import OptionError
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.pages.tokenizer import Tokenizer
from foveate.training.feeding import Batch
from foveate.training.learner import OPTIMISER_NAME, Learned, rounded
from foveate.training.optimiser import choose_trained, make_optimiser, set_rate
from foveate.training.parallel import saving
from foveate.training.parallel.data import clip_gradients, shard, sum_gradients
from foveate.training.parallel.experts import share_experts
from foveate.training.parallel.layout import Layout, join
from foveate.training.parallel.pipeline import Pipeline, widths
from foveate.training.parallel.stages import Share, Stage, Terms, shares
from foveate.training.precision import pick_device
from foveate.training.recipes import Recipe
from foveate.training.recompute import recompute_layers

EXPORTING = ".sharded"  # a folder beside the files of an export, while it is written


class Spread:
    """This process's part of a network: one stage, for the data of one group."""

    def __init__(self, recipe: Recipe, model: OCR, layout: Layout | None = None) -> None:
        """Every process hands in the whole network, with the same weights, and keeps its part."""
        if recipe.lora is not None:
            raise OptionError("adapters are trained in one process: set lora to none, or parallel to 1 x 1")
        check_schedule(recipe)
        self.recipe, self.config = recipe, model.config
        self.layout = layout or join(recipe.parallel, local_device(recipe.device))
        self.device = self.layout.device
        choose_trained(model, recipe.frozen)
        self.trained = [(name, p.ndim) for name, p in model.named_parameters() if p.requires_grad]
        parts = shares(model.config.decoder.num_hidden_layers, recipe.parallel.pipeline)
        flows = [any(p.requires_grad for p in parameters_of(model, part)) for part in parts]
        flows = [any(flows[: index + 1]) for index in range(len(parts))]
        sizes = widths(parts, model.config.clip.width, model.config.decoder.hidden_size)
        self.whole = model if self._is_whole else None
        self.stage = self._prepare(Stage(model, parts[self.layout.place.stage], recipe.precision))
        self.pipeline = Pipeline(self.stage, flows, sizes, self.layout)
        chosen = [parameter for parameter in self.stage.parameters() if parameter.requires_grad]
        self.optimiser = make_optimiser(chosen, recipe.optimiser) if chosen else None

    @property
    def _is_whole(self) -> bool:
        """Whether this process has all of the network."""
        parallel = self.recipe.parallel
        return parallel.pipeline == 1 and parallel.experts == 1 and not parallel.sharded

    def _prepare(self, stage: Stage) -> Stage:
        stage.to(self.device).train()
        apart: list[nn.Parameter] = []
        if self.layout.experts is not None:
            apart = share_experts(stage, self.layout.experts)
        if self.recipe.recompute:
            recompute_layers(stage)
        if self.recipe.parallel.sharded:
            shard(stage, self.layout, apart)
        return stage

    @property
    def leads(self) -> bool:
        return self.layout.leads

    @property
    def streams(self) -> Sequence[int]:
        return self.layout.place.streams(self.recipe.streams, self.recipe.parallel)

    def learn(self, batches: Sequence[Batch], step: int) -> Learned:
        mine = [sum(batch.targets for batch in batches), sum(len(batch.ids) for batch in batches)]
        mine.append(sum(len(batch.pages) for batch in batches))
        numbers = torch.tensor(mine, dtype=torch.float64, device=self.device)
        targets, rows, pages = map(int, self.layout.sum(numbers, [self.layout.data]).tolist())
        terms = Terms(max(1, targets), rows, self.recipe.losses.balance)
        self.pipeline.run(batches, terms, self.config.decoder.eos_token_id)
        sum_gradients(self.stage, self.layout)
        if not pages and self.stage.share.encodes:
            # As in one process: weights that nobody used do not move, not even by decay.
            self.stage.encoder.zero_grad(set_to_none=True)
        return self._learned(terms)

    def _learned(self, terms: Terms) -> Learned:
        """Sums of what the stages and the groups have heard."""
        decoder, stage = self.config.decoder, self.stage
        dense = decoder.first_k_dense_replace
        routers = max(0, decoder.num_hidden_layers - dense)
        heard = torch.zeros(2 + routers * decoder.n_routed_experts, dtype=torch.float64, device=self.device)
        heard[0], heard[1] = stage.text, stage.balance
        counts = heard[2:].view(routers, -1)
        for index, count in enumerate(stage.routing.counts, start=max(0, stage.share.layers.start - dense)):
            counts[index] = count
        self.layout.sum(heard, [self.layout.data, self.layout.pipeline])
        balance = float(heard[1]) / terms.rows / max(1, routers)
        loads = counts.cpu().long() if routers else None
        return Learned(float(heard[0]) / terms.targets, balance, terms.targets, loads)

    def clip(self, norm: float) -> float:
        return clip_gradients(list(self.stage.parameters()), self.layout, norm)

    def advance(self, rate: float) -> None:
        if self.optimiser is not None:
            set_rate(self.optimiser, rate)
            self.optimiser.step()
        self.stage.zero_grad(set_to_none=True)

    def total(self, number: int) -> int:
        counted = torch.tensor(number, dtype=torch.int64, device=self.device)
        return int(self.layout.sum(counted, [self.layout.data]))

    def gather(self, values: dict[str, Any]) -> dict[str, Any]:
        given: list[dict[str, Any]] = [{} for _ in range(dist.get_world_size())]
        dist.all_gather_object(given, values)
        return {key: value for part in given for key, value in part.items()}

    def wait(self) -> None:
        dist.all_reduce(torch.zeros(1, device=self.device))

    def save(self, folder: Path) -> None:
        """Each process its part, for any layout; then the leader the whole, in bf16, for readers."""
        saving.save(self.stage, self.optimiser, folder)
        self.wait()
        self._write_whole(folder, folder)

    def load(self, folder: Path) -> None:
        if saving.is_sharded(folder):
            saving.load(self.stage, self.optimiser, folder)
        else:
            file = folder / OPTIMISER_NAME
            saving.load_single(self.stage, self.optimiser, folder, file, self.trained)

    def export(self, folder: Path) -> None:
        parts = folder / EXPORTING
        saving.save(self.stage, None, parts)
        self.wait()
        self._write_whole(parts, folder)
        if self.leads:
            shutil.rmtree(parts)

    def _write_whole(self, parts: Path, folder: Path) -> None:
        """Through the files, so that no process needs room for more than one network in its memory."""
        if self.leads:
            weights.save(rounded(saving.whole(parts, self.config)), folder)
        self.wait()

    def reader(self, tokenizer: Tokenizer) -> Reader | None:
        return None if self.whole is None else Reader(self.whole, tokenizer)


def check_schedule(recipe: Recipe) -> None:
    """A pipeline takes the batches of a step in equal portions, and each portion must fill it."""
    each, stages = recipe.accumulation // recipe.parallel.data, recipe.parallel.pipeline
    portion = recipe.parallel.microbatches or each
    if each % portion:
        raise OptionError(
            f"parallel.microbatches is {portion}: choose a divisor of the {each} micro-batches that each "
            "group has in a step"
        )
    if portion < stages:
        raise OptionError(
            f"{portion} micro-batches do not fill a pipeline of {stages} stages: choose a larger "
            "batches.size, a smaller batches.micro or parallel.data, or a larger parallel.microbatches"
        )


def parameters_of(model: OCR, share: Share) -> list[Tensor]:
    """The parameters of a whole network that a stage has."""
    encoder, decoder = model.encoder, model.decoder
    chosen: list[nn.Module] = [decoder.layers[index] for index in share.layers]
    chosen += [encoder.sam, encoder.compressor] if share.sam else []
    chosen += [encoder.clip, encoder.projector] if share.clip else []
    chosen += [decoder.embed_tokens] if share.embeds else []
    chosen += [decoder.norm, decoder.lm_head] if share.last else []
    marks = [encoder.image_newline, encoder.view_separator] if share.clip else []
    return [*marks, *(parameter for part in chosen for parameter in part.parameters())]


def local_device(name: str) -> torch.device:
    """The device of this process: with several GPUs in a machine, the one of its local rank."""
    device = pick_device(name)
    if device.type != "cuda" or ":" in name:
        return device
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device
