"""What learns: a network, wherever its parts lie, as the loop sees it.

`Single` has all of it in one process. Other layouts keep the promise of `Learner` and are chosen in
`make_learner`; the loop knows no more of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from foveate.config import OCRConfig
from foveate.data.mixture import key
from foveate.engine.reader import Reader
from foveate.errors import CheckpointError
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.pages.tokenizer import Tokenizer
from foveate.training.feeding import Batch
from foveate.training.lora import Adapters
from foveate.training.losses import Routing, next_token_loss
from foveate.training.optimiser import choose_trained, make_optimiser, set_rate
from foveate.training.precision import autocast, pick_device
from foveate.training.recipes import Recipe
from foveate.training.recompute import recompute_layers

OPTIMISER_NAME = "optimiser.pt"


@dataclass(frozen=True)
class Learned:
    """What one step came to, over all processes."""

    loss: float  # nats for a learned token
    balance: float  # of a router and row; 1 is even, 0 without routers
    targets: int  # learned tokens
    counts: Tensor | None  # (L, E): tokens of each router's experts, on the CPU


class Learner(Protocol):
    """A network that learns. Every process of a run has one and calls it alike; numbers that come back are
    the same in all of them, so that all go on or stop together."""

    @property
    def config(self) -> OCRConfig:
        """The network's sizes."""

    @property
    def leads(self) -> bool:
        """Whether this process writes what a run leaves behind."""

    @property
    def streams(self) -> Sequence[int]:
        """The data streams that this process reads."""

    def learn(self, batches: Sequence[Batch], step: int) -> Learned:
        """Forward and backward through a step's micro-batches; gradients are those of the mean loss."""

    def clip(self, norm: float) -> float:
        """The norm of all gradients, which are then cut to `norm` (0: left alone)."""

    def advance(self, rate: float) -> None:
        """One step of the optimiser; the gradients are gone afterwards."""

    def total(self, number: int) -> int:
        """The sum of what the data-parallel groups give."""

    def gather(self, values: dict[str, Any]) -> dict[str, Any]:
        """The union of what the processes give."""

    def wait(self) -> None:
        """Until all processes are here."""

    def save(self, folder: Path) -> None:
        """Writes the weights under the released names with their config.json, and the optimiser's state."""

    def load(self, folder: Path) -> None:
        """Takes what `save` has written."""

    def export(self, folder: Path) -> None:
        """Writes the network in bf16 for readers, without anything that only training needs."""

    def reader(self, tokenizer: Tokenizer) -> Reader | None:
        """Reads with the network as it is now; None where no process has all of it."""


def make_learner(recipe: Recipe) -> Learner:
    """The learner that a recipe's layout asks for, with its first weights."""
    from foveate.training.start import make_network

    model = make_network(recipe)
    if recipe.parallel.processes == 1:
        return Single(recipe, model)
    from foveate.training.parallel.learner import Spread

    return Spread(recipe, model)


def hidden_states(model: OCR, batch: Batch) -> Tensor:
    """A batch through encoder and decoder: (B, T, D), before the vocabulary."""
    x = model.embed(batch.ids, model.encode(batch.pages) if batch.pages else ())
    hidden: Tensor = model.decoder(x, batch.positions, batch.mask(model.config.decoder.sliding_window))
    return hidden


class Single:
    """The whole network in this process."""

    leads = True

    def __init__(self, recipe: Recipe, model: OCR) -> None:
        self.recipe = recipe
        self.streams = range(recipe.streams)
        self.device = pick_device(recipe.device)
        self.model = model.to(self.device).train()
        choose_trained(self.model, recipe.frozen)
        self.adapters = None
        if recipe.lora is not None:
            self.model.requires_grad_(False)
            self.adapters = Adapters(self.model, recipe.lora, recipe.seed).to(self.device)
        if recipe.recompute:
            recompute_layers(self.model)
        self.routing = Routing(self.model)
        self.optimiser = make_optimiser(self.parameters, recipe.optimiser)

    @property
    def config(self) -> OCRConfig:
        return self.model.config

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that are trained."""
        module: nn.Module = self.adapters or self.model
        return [parameter for parameter in module.parameters() if parameter.requires_grad]

    def learn(self, batches: Sequence[Batch], step: int) -> Learned:
        targets = max(1, sum(batch.targets for batch in batches))
        rows = sum(len(batch.ids) for batch in batches)
        self.routing.reset()
        text, balance = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            for number, batch in enumerate(batches):
                # The dice of dropout follow from the step alone, so a resumed run throws the same.
                torch.manual_seed(key(self.recipe.seed, "dropout", step, number) >> 1)
                losses = self._losses(batch.to(self.device))
                loss = losses[0] / targets + self.recipe.losses.balance * losses[1] / rows
                torch.autograd.backward(loss)
                text, balance = text + losses[0].detach(), balance + losses[1].detach()
        counts = torch.stack(self.routing.counts).cpu() if self.routing.counts else None
        routers = len(self.routing.counts) or 1
        return Learned(float(text) / targets, float(balance) / rows / routers, targets, counts)

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Next-token loss and balance loss, summed over tokens and over rows."""
        with autocast(self.recipe.precision, self.device):
            with self.routing.listening():
                hidden = hidden_states(self.model, batch)
            text = next_token_loss(hidden, self.model.decoder.logits, batch.labels)
        return text, self.routing.loss(batch.present)

    def clip(self, norm: float) -> float:
        return float(nn.utils.clip_grad_norm_(self.parameters, norm or float("inf")))

    def advance(self, rate: float) -> None:
        set_rate(self.optimiser, rate)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def total(self, number: int) -> int:
        return number

    def gather(self, values: dict[str, Any]) -> dict[str, Any]:
        return values

    def wait(self) -> None: ...

    def save(self, folder: Path) -> None:
        with self._whole():
            weights.save(self.model, folder)
        if self.adapters is not None:
            self.adapters.save(folder, self.recipe.start.checkpoint)
        torch.save(self.optimiser.state_dict(), folder / OPTIMISER_NAME)

    def load(self, folder: Path) -> None:
        from foveate.training.parallel import saving  # it imports much of torch.distributed

        if saving.is_sharded(folder):
            saving.load(self.model, self.optimiser, folder)
            return
        if self.adapters is not None:
            self.adapters.load(folder)  # beside the weights that they were trained with
        else:
            fill(self.model, folder)
        try:
            state = torch.load(folder / OPTIMISER_NAME, map_location=self.device, weights_only=True)
            self.optimiser.load_state_dict(state)
        except (OSError, ValueError, RuntimeError) as problem:
            raise CheckpointError(
                f"{folder / OPTIMISER_NAME} does not fit this run ({problem}): has frozen or lora changed?"
            ) from problem

    def export(self, folder: Path) -> None:
        with self._whole():
            weights.save(rounded(self.model), folder)

    def reader(self, tokenizer: Tokenizer) -> Reader:
        return Reader(self.model, tokenizer)

    def _whole(self) -> Any:
        """Inside, the adapters are part of the weights."""
        return nullcontext() if self.adapters is None else self.adapters.merged()


def fill(model: OCR, folder: Path) -> None:
    """Puts a checkpoint's weights into a network that is there. Raises `CheckpointError`."""
    stored = weights.load(folder, dtype=torch.float32)
    try:
        model.load_state_dict(stored.state_dict())
    except RuntimeError as problem:
        reason = str(problem).splitlines()[-1].strip()
        raise CheckpointError(f"{folder} holds another network than this run's ({reason})") from problem


def rounded(model: OCR) -> OCR:
    """A copy of a network in bf16, on the CPU."""
    with torch.device("meta"):
        copy = OCR(model.config)
    state = {name: value.to("cpu", torch.bfloat16) for name, value in model.state_dict().items()}
    copy.load_state_dict(state, assign=True)
    return copy
