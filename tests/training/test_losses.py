"""Losses against slow twins, and what recomputing changes: nothing."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from foveate.model.experts import Router
from foveate.training import losses
from foveate.training.feeding import IGNORED, Feeder
from foveate.training.learner import Single
from foveate.training.losses import Routing, balance_loss, next_token_loss, routing_statistics
from foveate.training.recipes import Losses
from tests import tiny
from tests.training import world


def test_next_token_loss_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "ROWS", 4)
    hidden, weight = tiny.noise(2, 9, 6).requires_grad_(), tiny.noise(11, 6, seed=1).requires_grad_()
    labels = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(0))
    labels[0, :5] = IGNORED
    ours = next_token_loss(hidden, lambda x: x @ weight.T, labels)
    whole = F.cross_entropy((hidden @ weight.T).flatten(0, 1), labels.flatten(), reduction="sum")
    torch.testing.assert_close(ours, whole)
    for mine, theirs in zip(
        torch.autograd.grad(ours, (hidden, weight)), torch.autograd.grad(whole, (hidden, weight)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    nothing = next_token_loss(hidden, lambda x: x @ weight.T, torch.full_like(labels, IGNORED))
    assert float(nothing.detach()) == 0 and nothing.requires_grad


def test_balance_loss_by_the_formula() -> None:
    """DeepSeek-V2, equations 23 to 25, in plain loops; padding does not count."""
    router = tiny.fill(Router(tiny.CONFIG.decoder))
    present = torch.ones(2, 7, dtype=torch.bool)
    present[1, 4:] = False
    _, experts, probabilities = router(tiny.noise(14, 48))
    wanted = 0.0
    for row in range(2):
        tokens = [row * 7 + t for t in range(7) if present[row, t]]
        for expert in range(8):
            chosen = sum(int(expert in experts[t]) for t in tokens)
            share = 8 / (3 * len(tokens)) * chosen
            wanted += share * sum(float(probabilities[t, expert]) for t in tokens) / len(tokens)
    assert float(balance_loss(experts, probabilities, present)) == pytest.approx(wanted, rel=1e-5)


def test_an_even_router_has_balance_one() -> None:
    experts = torch.arange(8).view(4, 2)
    even = balance_loss(experts, torch.full((4, 8), 1 / 8), torch.ones(1, 4, dtype=torch.bool))
    one = balance_loss(
        torch.tensor([[0, 1]] * 4), torch.tensor([[0.5, 0.5] + [0.0] * 6] * 4), torch.ones(1, 4)
    )
    assert float(even) == pytest.approx(1) and float(one) == pytest.approx(4)


def test_statistics_of_the_routers() -> None:
    even, lame = torch.full((1, 4), 5), torch.tensor([[20, 0, 0, 0]])
    assert routing_statistics(even) == pytest.approx({"busiest": 1, "idle": 0, "evenness": 1})
    assert routing_statistics(lame) == pytest.approx({"busiest": 4, "idle": 0.75, "evenness": 0}, abs=1e-9)


def test_routers_are_heard_only_when_asked() -> None:
    model = tiny.network()
    routing = Routing(model)
    present = torch.ones(1, 5, dtype=torch.bool)
    model(torch.ones(1, 5, dtype=torch.long))
    assert float(routing.loss(present)) == 0 and routing.counts == []
    with routing.listening():
        model(torch.ones(1, 5, dtype=torch.long))
    assert float(routing.loss(present)) > 1.9  # two layers with a router, each at least nearly 1
    assert [int(count.sum()) for count in routing.counts] == [15, 15]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("losses")


def gradients(folder: Path, **changes: object) -> dict[str, torch.Tensor]:
    recipe = world.recipe(folder, losses=Losses(balance=0.5), **changes)
    learner = Single(recipe, tiny.network(world.CONFIG))
    learned = learner.learn(Feeder(world.recipe(folder), world.TOKENIZER).step(), 0)
    assert learned.loss > 0 and learned.counts is not None
    return {name: p.grad for name, p in learner.model.named_parameters() if p.grad is not None}


def test_recomputing_changes_no_gradient(folder: Path) -> None:
    """The balance loss hangs on what the first pass computed, and takes its gradients from the second."""
    plain, again = gradients(folder), gradients(folder, recompute=True)
    assert plain.keys() == again.keys() and "decoder.layers.1.mlp.gate.weight" in plain
    for name in plain:
        torch.testing.assert_close(again[name], plain[name], rtol=1e-5, atol=1e-7, msg=name)


def test_bf16_is_nearly_the_same(folder: Path) -> None:
    plain, rounded = gradients(folder), gradients(folder, precision="bfloat16")
    assert plain.keys() == rounded.keys()
    assert all(gradient.dtype is torch.float32 for gradient in rounded.values())
    head = "decoder.lm_head.weight"
    assert 0 < tiny.distance(rounded[head], plain[head]) < 0.1


def test_frozen_parts_get_no_gradient(folder: Path) -> None:
    found = gradients(folder, frozen=("sam", "compressor", "decoder.layers.0"))
    assert not [name for name in found if name.startswith(("encoder.sam", "encoder.compressor"))]
    assert not [name for name in found if name.startswith("decoder.layers.0.")]
    assert "encoder.clip.pre_layrnorm.weight" in found and "decoder.layers.1.input_layernorm.weight" in found
