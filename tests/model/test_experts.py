"""Experts in groups against a plain loop over them."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.model.experts import Experts, MixtureOfExperts, Router
from tests.tiny import CONFIG, fill, noise

SIZES = CONFIG.decoder
WIDTH, COUNT, ACTIVE = SIZES.hidden_size, SIZES.n_routed_experts, SIZES.num_experts_per_tok


def loop(experts: Experts, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
    """The slow twin: every expert by itself, for the tokens that chose it."""
    out = torch.zeros_like(x)
    for expert in range(COUNT):
        tokens, place = (chosen == expert).nonzero(as_tuple=True)
        gate, up = F.linear(x[tokens], experts.gate_up_proj[expert]).chunk(2, dim=-1)
        part = F.linear(F.silu(gate) * up, experts.down_proj[expert])
        out = out.index_add(0, tokens, part * weights[tokens, place, None].to(x.dtype))
    return out


def routes(tokens: int, among: int = COUNT) -> tuple[Tensor, Tensor]:
    """Weights and experts (T, K), no expert twice for a token."""
    generator = torch.Generator().manual_seed(tokens)
    chosen = torch.stack([torch.randperm(among, generator=generator)[:ACTIVE] for _ in range(tokens)])
    return torch.rand(tokens, ACTIVE, generator=generator), chosen


@pytest.mark.parametrize("among", [COUNT, ACTIVE])  # ACTIVE: the other experts stay empty
@pytest.mark.parametrize("tokens", [1, 2, 37])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_groups_equal_the_loop(tokens: int, among: int, dtype: torch.dtype, tolerance: float) -> None:
    experts, x = fill(Experts(SIZES)).to(dtype), noise(tokens, WIDTH).to(dtype)
    weights, chosen = routes(tokens, among)
    grouped = experts(x, weights, chosen)
    assert grouped.dtype == dtype
    torch.testing.assert_close(grouped, loop(experts, x, weights, chosen), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("among", [COUNT, ACTIVE])
def test_gradients_equal_the_loops(among: int) -> None:
    experts = fill(Experts(SIZES)).requires_grad_(True)
    x, (weights, chosen) = noise(19, WIDTH).requires_grad_(True), routes(19, among)
    weights.requires_grad_(True)
    leaves = (x, weights, experts.gate_up_proj, experts.down_proj)
    slope = noise(19, WIDTH, seed=1)
    grouped = torch.autograd.grad(experts(x, weights, chosen), leaves, slope)
    plain = torch.autograd.grad(loop(experts, x, weights, chosen), leaves, slope)
    for ours, theirs in zip(grouped, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert (grouped[2][among:] == 0).all() and (grouped[3][among:] == 0).all()


def test_the_order_of_a_tokens_experts_does_not_matter() -> None:
    experts, x = fill(Experts(SIZES)), noise(11, WIDTH)
    weights, chosen = routes(11)
    torch.testing.assert_close(experts(x, weights, chosen), experts(x, weights.flip(1), chosen.flip(1)))


def test_the_router_does_not_renormalise() -> None:
    router, x = fill(Router(SIZES)), noise(23, WIDTH)
    weights, chosen, probabilities = router(x)
    torch.testing.assert_close(probabilities, (x @ router.weight.T).softmax(-1))
    torch.testing.assert_close(weights, probabilities.gather(1, chosen))
    torch.testing.assert_close(weights.sort(descending=True).values, probabilities.topk(ACTIVE).values)
    assert (weights.sum(-1) < 0.999).all()


def test_the_router_computes_in_fp32() -> None:
    router, x = fill(Router(SIZES)).bfloat16(), noise(23, WIDTH).bfloat16()
    exact = F.linear(x.float(), router.weight.float()).softmax(-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights, _, probabilities = router(x)
    assert weights.dtype == probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities, exact)


def test_a_mixture_is_its_routed_and_its_shared_experts() -> None:
    mixture, x = fill(MixtureOfExperts(SIZES)), noise(2, 5, WIDTH)
    tokens = x.view(10, WIDTH)
    weights, chosen, _ = mixture.gate(tokens)
    wanted = loop(mixture.experts, tokens, weights, chosen) + mixture.shared_experts(tokens)
    torch.testing.assert_close(mixture(x), wanted.view(2, 5, WIDTH))
    assert (
        mixture.shared_experts.down_proj.in_features == SIZES.n_shared_experts * SIZES.moe_intermediate_size
    )


def test_autocast_stays_close() -> None:
    mixture, x = fill(MixtureOfExperts(SIZES)), noise(2, 5, WIDTH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = mixture(x).float()
    assert (rounded - mixture(x)).norm() < 0.05 * mixture(x).norm()
