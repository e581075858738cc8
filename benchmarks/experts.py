"""One layer's routed experts, all at once (as the network runs them) against one after the other.

Prints milliseconds, the best of several runs, for the released sizes and for nano's. One token is decoding a
page, 8 are decoding eight of them, 300 are a page's prompt.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.config import DecoderConfig
from foveate.model.experts import Experts, Router

SIZES = {
    "released": DecoderConfig(),
    "nano": DecoderConfig(
        hidden_size=256,
        moe_intermediate_size=128,
        n_routed_experts=8,
        num_experts_per_tok=2,
        num_attention_heads=4,
    ),
}
SECONDS = 0.4  # for each number


@dataclass(frozen=True)
class Case:
    """One layer and so many tokens."""

    experts: Experts
    x: Tensor
    weights: Tensor
    chosen: Tensor

    def grouped(self) -> Tensor:
        """As the network does it."""
        result: Tensor = self.experts(self.x, self.weights, self.chosen)
        return result

    def looped(self) -> Tensor:
        """One expert after the other, those without a token left out."""
        out = torch.zeros_like(self.x)
        for expert in self.chosen.unique().tolist():
            token, place = (self.chosen == expert).nonzero(as_tuple=True)
            gate, up = F.linear(self.x[token], self.experts.gate_up_proj[expert]).chunk(2, dim=-1)
            part = F.linear(F.silu(gate) * up, self.experts.down_proj[expert])
            out.index_add_(0, token, part * self.weights[token, place, None].to(part.dtype))
        return out


def case(config: DecoderConfig, tokens: int, dtype: torch.dtype, device: str) -> Case:
    """Random weights and tokens."""
    torch.manual_seed(0)
    experts, router = Experts(config), Router(config)
    for parameter in (*experts.parameters(), *router.parameters()):
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    x = torch.randn(tokens, config.hidden_size, device=device, dtype=dtype)
    weights, chosen, _ = router.to(device, dtype)(x)
    return Case(experts.to(device, dtype), x, weights, chosen)


def milliseconds(run: Callable[[], Tensor], device: str) -> float:
    """The best of as many runs as fit into SECONDS, three at least."""
    best, runs, end = float("inf"), 0, time.perf_counter() + SECONDS
    while runs < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        if device != "cpu":
            torch.accelerator.synchronize()
        best, runs = min(best, time.perf_counter() - started), runs + 1
    return best * 1000


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    print(f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}, {device}")
    print(f"{'sizes':<10} {'dtype':<9} {'tokens':>6} {'grouped ms':>11} {'loop ms':>9} {'loop/grouped':>13}")
    for name, config in SIZES.items():
        for dtype in (torch.float32, torch.bfloat16):
            for tokens in (1, 8, 300):
                layer = case(config, tokens, dtype, device)
                torch.testing.assert_close(
                    layer.grouped().float(), layer.looped().float(), rtol=0.05, atol=0.02
                )
                grouped, looped = (milliseconds(run, device) for run in (layer.grouped, layer.looped))
                print(
                    f"{name:<10} {str(dtype).removeprefix('torch.'):<9} {tokens:>6} {grouped:>11.3f} "
                    f"{looped:>9.3f} {looped / grouped:>12.1f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
