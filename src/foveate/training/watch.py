"""Stops a run whose loss has left the road, before more of it is learned."""

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from foveate.errors import ModelError
from foveate.training.recipes import Watch

ENOUGH = 10  # losses from which a median says something


class Diverged(ModelError):
    """A run whose numbers can no longer be trusted."""


class Watcher:
    """Looks at each step's loss and gradient before the optimiser uses them."""

    def __init__(self, rule: Watch) -> None:
        self.rule = rule
        self.losses: list[float] = []
        self.over = 0  # steps in a row whose loss was a spike

    @property
    def uneasy(self) -> bool:
        """Whether the last loss was a spike: then is no time to write a checkpoint."""
        return self.over > 0

    def look(self, step: int, loss: float, norm: float, last: Path | None) -> None:
        """Raises `Diverged` for what is no number, and for a spike that does not go away."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            name, value = ("gradient's norm", norm) if math.isfinite(loss) else ("loss", loss)
            raise Diverged(f"step {step}: the {name} is {value}; {_way_out(last)}")
        usual = median(self.losses) if len(self.losses) >= ENOUGH else math.inf
        if loss <= usual + self.rule.spike:
            self.over = 0
            self.losses = [*self.losses, loss][-self.rule.window :]
            return
        self.over += 1
        if self.over >= self.rule.patience:
            raise Diverged(
                f"step {step}: the loss is {loss:.3f} and was about {usual:.3f} {self.over} steps ago; "
                f"{_way_out(last)}"
            )

    def state(self) -> dict[str, Any]:
        return {"losses": self.losses, "over": self.over}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.losses, self.over = list(state["losses"]), state["over"]


def _way_out(last: Path | None) -> str:
    advice = "a lower optimiser.rate, a smaller optimiser.clip, or another data.seed"
    if last is None:
        return f"there is no checkpoint yet: begin again with {advice}"
    return f"the last good checkpoint is {last}: go on from it (--resume) with {advice}"
