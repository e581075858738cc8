"""AdamW for the parameters that a run trains, and which those are."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from foveate.errors import OptionError
from foveate.training.recipes import Optimiser

# A frozen part by the beginning of its parameters' names.
PREFIXES = {
    "sam": "encoder.sam.",
    "compressor": "encoder.compressor.",
    "clip": "encoder.clip.",
    "projector": "encoder.projector.",
    "decoder": "decoder.",
}
UNUSED = "encoder.clip.embeddings.patch_embedding."  # the released checkpoint carries it; pixels come by SAM


def prefix_of(part: str) -> str:
    """The parameters that a frozen part stands for: "sam", or a place in it such as "decoder.layers.0"."""
    head, _, rest = part.partition(".")
    return PREFIXES[head] + (f"{rest}." if rest else "")


def choose_trained(model: nn.Module, frozen: Iterable[str]) -> None:
    """Marks what is trained; a part of `frozen` that fits no parameter is an `OptionError`."""
    names = [name for name, _ in model.named_parameters()]
    prefixes = {part: prefix_of(part) for part in frozen}
    for part, prefix in prefixes.items():
        if not any(f"{name}.".startswith(prefix) for name in names):
            raise OptionError(f"frozen has {part!r}: the network has no such part")
    for name, parameter in model.named_parameters():
        held = name.startswith(UNUSED) or f"{name}.".startswith(tuple(prefixes.values()))
        parameter.requires_grad_(not held)


def make_optimiser(parameters: Iterable[Tensor], settings: Optimiser) -> torch.optim.AdamW:
    """AdamW over those that want a gradient; only matrices decay."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise OptionError("everything is frozen: leave a part out of frozen")
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.rate,
        betas=settings.betas,
        eps=settings.eps,
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, for all groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate
