"""Muon (Keller Jordan, 2024) for stacks of matrices, with AdamW's size of steps (arXiv 2502.16982)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def orthogonal(x: Tensor, rounds: int = 4) -> Tensor:
    """Matrices (…, R, C) to nearly orthogonal ones with the same singular vectors, by Newton and Schulz.

    In bf16, as its author does: what is rounded off is far less than what four rounds leave over.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[-2] > x.shape[-1]
    x = (x.mT if tall else x).bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose updates are made orthogonal; for matrices and stacks of them, not for tables of rows."""

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.05
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        assert closure is None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                moved = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(moved, group["momentum"])
                shape = p.shape if p.ndim == 3 else (p.shape[0], p[0].numel())
                update = orthogonal(update.reshape(shape)).reshape(p.shape)
                size = 0.2 * max(shape[-2:]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * size)
