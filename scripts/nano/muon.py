"""Muon (Keller Jordan, 2024) for stacks of matrices, with AdamW's size of steps (arXiv 2502.16982)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed


def fast_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 matrix products of its own; a CPU without them is faster in fp32."""
    if device.type != "cpu":
        return True
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def orthogonal(x: Tensor, rounds: int = 4) -> Tensor:
    """Matrices (…, R, C) to nearly orthogonal ones with the same singular vectors, by Newton and Schulz.

    In bf16 where that is fast, as its author does: what is rounded off is far less than what four rounds
    leave over.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[-2] > x.shape[-1]
    x = (x.mT if tall else x).to(torch.bfloat16 if fast_bf16(x.device) else torch.float32)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose updates are made orthogonal; for matrices and stacks of them, not for tables of rows.

    Processes that train together share that work: each does every so-manieth matrix.
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.05
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        together = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if together else 0
        self.processes = distributed.get_world_size() if together else 1

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        assert closure is None
        chosen = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        directions = [self.direction(p, group["momentum"]) for group, p in chosen]
        updates = [
            orthogonal(direction) if number % self.processes == self.rank else torch.zeros_like(direction)
            for number, direction in enumerate(directions)
        ]
        for (group, p), update in zip(chosen, self.shared(updates), strict=True):
            size = 0.2 * max(update.shape[-2:]) ** 0.5
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update.view_as(p), alpha=-group["lr"] * size)

    def direction(self, p: Tensor, momentum: float) -> Tensor:
        """Where Nesterov's momentum points, as matrices (…, R, C)."""
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        moved = state["momentum"].lerp_(p.grad, 1 - momentum)
        direction: Tensor = p.grad.lerp(moved, momentum)
        return direction if p.ndim == 3 else direction.reshape(p.shape[0], -1)

    def shared(self, updates: list[Tensor]) -> list[Tensor]:
        """The updates of all processes."""
        if self.processes == 1:
            return updates
        together = torch.cat([update.flatten() for update in updates])
        distributed.all_reduce(together)
        parts = together.split([update.numel() for update in updates])
        return [part.view_as(update) for part, update in zip(parts, updates, strict=True)]
