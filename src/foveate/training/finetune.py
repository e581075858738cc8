"""Fine-tuning: a trained network goes on with a user's own shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from foveate.training.recipes import Recipe, finetune


def finetuning(
    shards: Sequence[Path],
    model: str = "nano",
    lora: bool = False,
    rank: int | None = None,
    rate: float | None = None,
    epochs: float | None = None,
    steps: int | None = None,
) -> Recipe:
    """The recipe `finetune` for some shards; None leaves a value as the recipe has it.

    Raises `OptionError`.
    """
    recipe = finetune(model, lora or rank is not None)
    recipe = replace(recipe, data=replace(recipe.data, shards=tuple(shards)))
    if recipe.lora is not None and rank is not None:
        # The adapters' scale stays as it is, so that the rate fits every rank.
        recipe = replace(recipe, lora=replace(recipe.lora, rank=rank, alpha=recipe.lora.scale * rank))
    if rate is not None:
        recipe = replace(recipe, optimiser=replace(recipe.optimiser, rate=rate))
    length = {"epochs": epochs, "steps": steps}
    return replace(recipe, **{name: value for name, value in length.items() if value is not None})  # type: ignore[arg-type]
