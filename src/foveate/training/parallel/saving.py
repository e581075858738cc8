"""Checkpoints that any layout reads, by `torch.distributed.checkpoint`.

Every tensor is stored once under its name in the whole network, with the optimiser's numbers beside it, so
that four stages, two groups of two or a single process each find what they need.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import save as dcp_save
from torch.distributed.tensor import DTensor, distribute_tensor

from foveate.config import OCRConfig
from foveate.errors import CheckpointError
from foveate.model import weights
from foveate.model.ocr import OCR

FOLDER = "sharded"  # inside a run's checkpoint
MODEL, OPTIMISER = "model.", "optimiser."
SLOTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps for a parameter


def is_sharded(folder: Path) -> bool:
    """Whether a run's checkpoint was written by `save`."""
    return (folder / FOLDER).is_dir()


def save(module: nn.Module, optimiser: torch.optim.Optimizer | None, folder: Path) -> None:
    """Writes this process's part; all processes of a run call it together."""
    state = {**_weights(module), **_moments(module, optimiser)}
    with _quiet():
        dcp_save(state, checkpoint_id=folder / FOLDER, no_dist=not dist.is_initialized())


def load(module: nn.Module, optimiser: torch.optim.Optimizer | None, folder: Path) -> None:
    """Takes what the module needs of a checkpoint that any layout wrote; all processes call it together.

    Raises `CheckpointError` where a tensor is missing or of another shape.
    """
    state = {**_weights(module), **_moments(module, optimiser)}
    try:
        with _quiet():
            dcp_load(state, checkpoint_id=folder / FOLDER, no_dist=not dist.is_initialized())
    except (CheckpointException, RuntimeError, ValueError, OSError) as problem:
        reason = str(problem).strip().splitlines()[-1]
        raise CheckpointError(
            f"{folder / FOLDER} does not fit this run ({reason}): have the network or frozen changed?"
        ) from problem


def whole(folder: Path, config: OCRConfig) -> OCR:
    """The whole network of a checkpoint, on the CPU. One process may call it alone."""
    model = OCR(config).requires_grad_(False)
    try:
        with _quiet():
            dcp_load(_weights(model), checkpoint_id=folder / FOLDER, no_dist=True)
    except (CheckpointException, RuntimeError, ValueError, OSError) as problem:
        reason = str(problem).strip().splitlines()[-1]
        raise CheckpointError(f"{folder / FOLDER} does not hold this network ({reason})") from problem
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the remark that a single process is a single process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {MODEL + name: parameter.detach() for name, parameter in module.named_parameters()}


def _moments(module: nn.Module, optimiser: torch.optim.Optimizer | None) -> dict[str, Tensor]:
    """The optimiser's tensors by parameter, made where there are none yet: loading fills them in place."""
    moments: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters() if optimiser is not None else ():
        if not parameter.requires_grad:
            continue
        assert optimiser is not None
        state = optimiser.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state |= {slot: torch.zeros_like(parameter.detach()) for slot in SLOTS[1:]}
        moments |= {f"{OPTIMISER}{name}.{slot}": state[slot] for slot in SLOTS}
    return moments


def load_single(
    module: nn.Module,
    optimiser: torch.optim.Optimizer | None,
    folder: Path,
    optimiser_file: Path,
    trained: list[tuple[str, int]],
) -> None:
    """Takes the checkpoint of a run in one process: weights by the released names, and its optimiser's state.

    `trained` are the names and dimensions of the whole network's trained parameters, in their order. Raises
    `CheckpointError`.
    """
    stored = weights.load(folder, dtype=torch.float32)
    try:
        held = torch.load(optimiser_file, map_location="cpu", weights_only=True)["state"]
        # The optimiser counts its parameters: first the matrices, then the vectors.
        order = [name for name, ndim in trained if ndim >= 2] + [name for name, ndim in trained if ndim < 2]
        states = {name: held[index] for index, name in enumerate(order) if index in held}
        for name, parameter in module.named_parameters():
            _copy(parameter.detach(), stored.get_parameter(name).detach())
            if name in states and optimiser is not None and parameter.requires_grad:
                optimiser.state[parameter] = _state_like(parameter.detach(), states[name])
    except (OSError, KeyError, AttributeError, RuntimeError) as problem:
        raise CheckpointError(
            f"{folder} does not fit this run ({problem}): have the network or frozen changed?"
        ) from problem


def _state_like(parameter: Tensor, state: dict[str, Any]) -> dict[str, Tensor]:
    moments = {slot: torch.zeros_like(parameter) for slot in SLOTS[1:]}
    for slot, moment in moments.items():
        _copy(moment, state[slot])
    return {"step": state["step"].clone(), **moments}


def _copy(target: Tensor, value: Tensor) -> None:
    """A whole tensor into one, or into the shard of it that is here."""
    if isinstance(target, DTensor):
        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
    target.copy_(value)
