"""What a step is to make small: the next token's loss, and the imbalance of the routers.

B rows · T tokens of a row · D width · V vocabulary · E experts · K of them active · L layers with a router
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from foveate.model.experts import Router
from foveate.training.feeding import IGNORED

ROWS = 2048  # places whose logits exist at once: 130,000 numbers each in the released vocabulary


def next_token_loss(hidden: Tensor, logits: Callable[[Tensor], Tensor], labels: Tensor) -> Tensor:
    """Cross entropy in nats, summed over the labels (B, T) that are not IGNORED.

    `logits` turns hidden states (…, D) into (…, V). Only the places that are learned go through it, some at a
    time, and their logits are made again for the backward pass.
    """
    chosen = labels.flatten() != IGNORED
    rows, wanted = hidden.flatten(0, 1)[chosen], labels.flatten()[chosen]  # (n, D), (n,)
    parts = [
        checkpoint(_cross_entropy, logits, part, targets, use_reentrant=False, preserve_rng_state=False)
        for part, targets in zip(torch.split(rows, ROWS), torch.split(wanted, ROWS), strict=True)
        if len(part)
    ]
    return torch.stack(parts).sum() if parts else hidden.sum() * 0


def _cross_entropy(logits: Callable[[Tensor], Tensor], hidden: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits(hidden), labels, reduction="sum")


def balance_loss(experts: Tensor, probabilities: Tensor, present: Tensor) -> Tensor:
    """How unevenly one router spreads the tokens of each row, summed over rows; 1 for a row is even.

    `experts` (B * T, K) and `probabilities` (B * T, E) are the router's; `present` (B, T) is false on
    padding. The sum over experts of the share of tokens that chose one, times E / K, and its mean probability
    (DeepSeek-V2, section 2.2.3, equations 23 to 25, for each sequence).
    """
    b, t = present.shape
    active, count = experts.shape[1], probabilities.shape[1]
    weight = present.float()[..., None]  # (B, T, 1)
    tokens = weight.sum(dim=1).clamp(min=1)  # (B, 1)
    chosen = F.one_hot(experts, count).sum(dim=1).view(b, t, count)
    share = (chosen * weight).sum(dim=1) / tokens * count / active  # (B, E)
    probability = (probabilities.view(b, t, count) * weight).sum(dim=1) / tokens
    return (share * probability).sum()


class Routing:
    """Listens to the routers below a module: their balance loss, and how many tokens each expert gets."""

    def __init__(self, module: nn.Module) -> None:
        self._routers = [part for part in module.modules() if isinstance(part, Router)]
        self._heard: list[tuple[Tensor, Tensor]] = []
        self._listening = False
        self.counts: list[Tensor] = []  # for each router (E,): tokens since `reset`
        for router in self._routers:
            router.register_forward_hook(self._hear)

    def _hear(self, router: nn.Module, inputs: object, outputs: tuple[Tensor, Tensor, Tensor]) -> None:
        if self._listening:
            self._heard.append((outputs[1], outputs[2]))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Only inside are routers heard: a forward pass that is made again for its gradients is not."""
        self._heard, self._listening = [], True
        try:
            yield
        finally:
            self._listening = False

    def loss(self, present: Tensor) -> Tensor:
        """The balance loss of the pass just heard, summed over routers and rows; `present` (B, T)."""
        total = torch.zeros((), device=present.device)
        for index, (experts, probabilities) in enumerate(self._heard):
            total = total + balance_loss(experts, probabilities, present)
            self._count(index, experts, probabilities, present)
        self._heard = []
        return total

    def _count(self, index: int, experts: Tensor, probabilities: Tensor, present: Tensor) -> None:
        chosen = experts[present.flatten()].flatten()
        counts = torch.bincount(chosen, minlength=probabilities.shape[1])
        if index == len(self.counts):
            self.counts.append(counts)
        else:
            self.counts[index] = self.counts[index] + counts

    def reset(self) -> None:
        self.counts = []


def routing_statistics(counts: Tensor) -> dict[str, float]:
    """What tokens of each expert (L, E) say: the busiest expert's load over the mean, the share of experts
    without work, and the load's entropy over that of an even one; each the mean over layers."""
    load = counts.double() / counts.sum(dim=1, keepdim=True).clamp(min=1)
    entropy = -(load * load.clamp(min=1e-12).log()).sum(dim=1) / torch.tensor(load.shape[1]).double().log()
    return {
        "busiest": float((load.max(dim=1).values * load.shape[1]).mean()),
        "idle": float((counts == 0).double().mean()),
        "evenness": float(entropy.mean()) if load.shape[1] > 1 else 1.0,
    }
