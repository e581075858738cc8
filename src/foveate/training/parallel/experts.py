"""Expert parallelism: the processes of several data-parallel groups share the routed experts of a layer.

Each holds E / P of the experts and works on the tokens of all P processes that chose one of them; two
all-to-all exchanges bring the tokens there and back (GShard, arXiv 2006.16668). No token is dropped.

T tokens · D width · I an expert's inner width · E routed experts · K of them active · P processes
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard

from foveate.errors import OptionError
from foveate.model.experts import Experts, MixtureOfExperts, grouped


def share_experts(module: nn.Module, mesh: DeviceMesh) -> list[nn.Parameter]:
    """Puts shared experts in the place of whole ones, everywhere below a module; gives their weights."""
    found = [part for part in module.modules() if isinstance(part, MixtureOfExperts)]
    for part in found:
        part.experts = SharedExperts(part.experts, mesh)  # type: ignore[assignment]
    return [parameter for part in found for parameter in part.experts.parameters()]


class SharedExperts(nn.Module):
    """This process's part of a layer's experts, with the names and the use of `model.experts.Experts`."""

    def __init__(self, experts: Experts, mesh: DeviceMesh) -> None:
        super().__init__()
        self.group, self.size = mesh.get_group(), mesh.size()
        self.count = len(experts.down_proj)
        if self.count % self.size:
            raise OptionError(
                f"parallel.experts is {self.size}: choose a divisor of the {self.count} experts of a layer"
            )
        self.gate_up_proj = _part(experts.gate_up_proj, mesh)
        self.down_proj = _part(experts.down_proj, mesh)

    def forward(self, x: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        """Tokens (T, D) through their experts (T, K), wherever those are, summed by weights: (T, D)."""
        tokens, active = experts.shape
        order = experts.flatten().argsort(stable=True)
        counts = torch.bincount(experts.flatten(), minlength=self.count).view(self.size, -1)  # (P, E / P)
        coming = self._swapped_counts(counts)
        sizes = (counts.sum(1).tolist(), coming.sum(1).tolist())
        arrived = _Exchange.apply(x[order // active], *sizes, self.group)  # type: ignore[no-untyped-call]
        done = self._mine(arrived, coming)
        back = _Exchange.apply(done, *sizes[::-1], self.group)  # type: ignore[no-untyped-call]
        out = torch.empty_like(back).index_copy(0, order, back).view(tokens, active, -1)
        return (out * weights.to(out.dtype)[..., None]).sum(dim=1)

    def _swapped_counts(self, counts: Tensor) -> Tensor:
        """How many tokens each process sends to each expert of this one: (P, E / P)."""
        coming = torch.empty_like(counts)
        dist.all_to_all_single(coming, counts, group=self.group)
        return coming

    def _mine(self, x: Tensor, coming: Tensor) -> Tensor:
        """Tokens as they arrive, by process and then by expert, through the experts that are here."""
        expert = torch.arange(coming.shape[1], device=x.device).repeat(len(coming))
        order = expert.repeat_interleave(coming.flatten()).argsort(stable=True)
        ends = coming.sum(0).cumsum(0).to(torch.int32)
        # One row of zeros more: nobody may have chosen an expert of ours, and kernels want a row.
        ends[-1] += 1
        rows = F.pad(x[order], (0, 0, 0, 1))
        gate, up = grouped(rows, _local(self.gate_up_proj), ends).chunk(2, dim=-1)
        out = grouped(F.silu(gate) * up, _local(self.down_proj), ends)[:-1]
        return torch.empty_like(out).index_copy(0, order, out)


def _part(whole: nn.Parameter, mesh: DeviceMesh) -> nn.Parameter:
    """This process's slice of stacked weights (E, …); the whole's shape stays known, to checkpoints too."""
    mine = whole.detach().chunk(mesh.size())[mesh.get_local_rank()].clone()
    shared = DTensor.from_local(mine, mesh, [Shard(0)], run_check=False)
    return nn.Parameter(shared, requires_grad=whole.requires_grad)


def _local(parameter: Tensor) -> Tensor:
    assert isinstance(parameter, DTensor)
    return parameter.to_local()


class _Exchange(torch.autograd.Function):
    """Rows to the processes that they are for: the first `leaving[0]` to the first process, and so on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, leaving: list[int], coming: list[int], group: Any) -> Tensor:
        ctx.sizes, ctx.group = (leaving, coming), group
        return _exchange(x, leaving, coming, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        leaving, coming = ctx.sizes
        return _exchange(grads[0], coming, leaving, ctx.group), None, None, None


def _exchange(x: Tensor, leaving: list[int], coming: list[int], group: Any) -> Tensor:
    out = x.new_empty(sum(coming), x.shape[1])
    dist.all_to_all_single(out, x.contiguous(), coming, leaving, group=group)
    return out
