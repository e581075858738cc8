"""The decoder's feed-forward layers: one dense, the others a mixture of experts (DeepSeekMoE, arXiv
2401.06066).

T tokens · D width · I an expert's inner width · E routed experts · K of them active for a token
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.config import DecoderConfig


class Mlp(nn.Module):
    """The gated unit of one dense layer, and of the shared experts taken together."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]


class Router(nn.Module):
    """Chooses K experts for each token."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.active = config.num_experts_per_tok
        self.weight = nn.Parameter(torch.zeros(config.n_routed_experts, config.hidden_size))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (T, D) to weights (T, K) in fp32, experts (T, K) and all probabilities (T, E) in fp32."""
        with torch.autocast(x.device.type, enabled=False):  # a rounded router sends tokens elsewhere
            probabilities = F.linear(x.float(), self.weight.float()).softmax(dim=-1)
        # The weights are not renormalised over the chosen experts: the released ones were trained so.
        weights, experts = probabilities.topk(self.active, dim=-1, sorted=False)
        return weights, experts, probabilities


class Experts(nn.Module):
    """E gated units with their weights stacked, so that one call serves them all."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        count, width, inner = config.n_routed_experts, config.hidden_size, config.moe_intermediate_size
        self.gate_up_proj = nn.Parameter(torch.zeros(count, 2 * inner, width))
        self.down_proj = nn.Parameter(torch.zeros(count, width, inner))

    def forward(self, x: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        """Tokens (T, D) through their experts (T, K), summed by weights (T, K): (T, D)."""
        tokens, active = experts.shape
        if x.device.type == "cpu" and 2 * tokens * active <= len(self.down_proj):
            return self.one_by_one(x, weights, experts)
        chosen = experts.flatten()
        order = chosen.argsort(stable=True)
        counts = torch.zeros(len(self.down_proj), dtype=torch.int32, device=x.device)
        counts.scatter_add_(0, chosen, torch.ones_like(chosen, dtype=torch.int32))
        ends = counts.cumsum(0, dtype=torch.int32)
        gate, up = grouped(x[order // active], self.gate_up_proj, ends).chunk(2, dim=-1)
        out = grouped(F.silu(gate) * up, self.down_proj, ends)
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        out = out[back].view(tokens, active, -1)
        return (out * weights.to(out.dtype)[..., None]).sum(dim=1)

    def one_by_one(self, x: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        """The same for so few tokens that most experts rest: on a CPU, groups cost time when empty too."""
        rows = []
        for token, shares, chosen in zip(x, weights.to(x.dtype).unbind(), experts.tolist(), strict=True):
            parts = []
            for share, expert in zip(shares.unbind(), chosen, strict=True):
                gate, up = F.linear(token, self.gate_up_proj[expert]).chunk(2, dim=-1)
                parts.append(F.linear(F.silu(gate) * up, self.down_proj[expert]) * share)
            rows.append(torch.stack(parts).sum(dim=0))
        return torch.stack(rows)


def grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Rows of x (T, in), grouped by expert, times their expert's weight (E, out, in): (T, out).

    `ends` (E,) is where each expert's rows end. One kernel where PyTorch has it (CPU and CUDA), else a loop.
    """
    if torch.is_autocast_enabled(x.device.type):
        x, weight = (part.to(torch.get_autocast_dtype(x.device.type)) for part in (x, weight))
    if x.device.type == "cpu" or (x.device.type == "cuda" and x.dtype is torch.bfloat16):
        return F.grouped_mm(x, weight.transpose(1, 2), offs=ends)
    rows = torch.split(x, ends.diff(prepend=ends.new_zeros(1)).tolist())
    return torch.cat([F.linear(part, expert) for part, expert in zip(rows, weight, strict=True)])


class MixtureOfExperts(nn.Module):
    """Routed experts plus the shared ones that every token passes."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate = Router(config)
        self.experts = Experts(config)
        self.shared_experts = Mlp(config.hidden_size, config.moe_intermediate_size * config.n_shared_experts)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, -2)
        weights, experts, _ = self.gate(tokens)
        routed = self.experts(tokens, weights, experts)
        return routed.view(x.shape) + self.shared_experts(x)  # type: ignore[no-any-return]
