"""Data parallel across the pipelines: weights in shards by FSDP2, or a copy of them in each group.

Each process's gradients are its share of the step's, so they are summed and never averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from foveate.training.parallel.layout import Layout
from foveate.training.recompute import LAYERS

BUCKET = 1 << 24  # numbers that are summed at once


def shard(module: nn.Module, layout: Layout, ignored: Iterable[nn.Parameter] = ()) -> None:
    """Spreads a stage's weights, gradients and optimiser over the data-parallel groups (FSDP2).

    Weights are gathered when a step first needs them and stay until its last backward pass: gathering them
    for every micro-batch would cost more than the memory is worth.
    """
    apart = set(ignored) or None
    layers: list[nn.Module] = [part for part in module.modules() if isinstance(part, LAYERS)]
    for part in (*layers, module):
        fully_shard(part, mesh=layout.data, reshard_after_forward=False, ignored_params=apart)
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)


def sum_gradients(module: nn.Module, layout: Layout) -> None:
    """Adds up the gradients of weights of which each group has a copy, in place."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    copies = [gradient for gradient in gradients if not isinstance(gradient, DTensor)]
    _sum(copies, layout.data.get_group())
    if layout.copies is not None:
        mine = [
            gradient.to_local()
            for gradient in gradients
            if isinstance(gradient, DTensor) and gradient.device_mesh == layout.experts
        ]
        _sum(mine, layout.copies.get_group())


def _sum(gradients: Sequence[Tensor], group: dist.ProcessGroup) -> None:
    if dist.get_world_size(group) == 1:
        return
    for bucket in buckets(gradients):
        sizes = [gradient.numel() for gradient in bucket]
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        dist.all_reduce(flat, group=group)
        for gradient, part in zip(bucket, torch.split(flat, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))


def buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients in groups of about BUCKET numbers."""
    group: list[Tensor] = []
    for gradient in gradients:
        group.append(gradient)
        if sum(part.numel() for part in group) >= BUCKET:
            yield group
            group = []
    if group:
        yield group


@torch.no_grad()
def clip_gradients(parameters: Sequence[nn.Parameter], layout: Layout, most: float) -> float:
    """The norm of all gradients of all stages; if it is over `most`, they are cut to it (0: left alone)."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = torch.zeros(3, dtype=torch.float64, device=layout.device)  # copies, shards, experts
    for gradient in gradients:
        kind = 0
        if isinstance(gradient, DTensor):
            kind = 2 if gradient.device_mesh == layout.experts else 1
            gradient = gradient.to_local()
        squares[kind] += gradient.float().square().sum().double()
    # A shard counts on the process that has it, a copy once.
    layout.sum(squares[1:2], [layout.data])
    if layout.experts is not None:
        layout.sum(squares[2:3], [layout.experts])
    norm = float(layout.sum(squares.sum(), [layout.pipeline]).sqrt())
    if most and norm > most:
        for gradient in gradients:
            local = gradient.to_local() if isinstance(gradient, DTensor) else gradient
            local.mul_(most / (norm + 1e-6))
    return norm
