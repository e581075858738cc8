"""Pages read while a run goes, and how much of what stands there was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from foveate.data.sample import Sample
from foveate.engine.reader import Reader
from foveate.errors import OptionError
from foveate.pages.tokenizer import Tokenizer
from foveate.training.plan import Shards, make_samples
from foveate.training.recipes import Readings, Recipe

SHOWN = 300  # characters of a page in a row of metrics
LOOKED_THROUGH = 1000  # samples among which there should be pages


@dataclass(frozen=True, eq=False)
class Trial:
    """One page that is read again and again, always in the same mode."""

    sample: Sample
    mode: str


def choose_trials(recipe: Recipe) -> list[Trial]:
    """Held-out pages, in the recipe's modes by turns. Raises `OptionError` when there are none."""
    rule, modes = recipe.readings, list(recipe.data.modes)
    pages: list[Sample] = []
    samples = _held_out(recipe, rule)
    for position in range(min(samples.size or LOOKED_THROUGH, LOOKED_THROUGH)):
        if len(pages) == rule.count:
            break
        sample = samples.sample(position)
        if sample.image is not None and len(sample.turns) == 2:
            pages.append(sample)
    return [Trial(page, modes[index % len(modes)]) for index, page in enumerate(pages)]


def _held_out(recipe: Recipe, rule: Readings) -> Any:
    if rule.shards:
        return Shards(rule.shards, recipe.data.seed)
    if recipe.data.shards:
        raise OptionError(
            "readings.every needs pages that are not learned: name shards of them with readings.shards, "
            "or read none with readings.every=0"
        )
    return make_samples(replace(recipe.data, seed=recipe.data.seed + 1))


def read_trials(
    reader: Reader, tokenizer: Tokenizer, trials: Sequence[Trial], max_tokens: int
) -> dict[str, Any]:
    """The precision of each page and of all together, as JSON values."""
    rows = [_read(reader, tokenizer, trial, max_tokens) for trial in trials]
    mean = sum(row["precision"] for row in rows) / len(rows) if rows else 0.0
    return {"precision": round(mean, 4), "pages": rows}


def _read(reader: Reader, tokenizer: Tokenizer, trial: Trial, max_tokens: int) -> dict[str, Any]:
    assert trial.sample.image is not None
    wanted = tokenizer.decode(tokenizer.encode(trial.sample.answer)[:max_tokens])
    with torch.no_grad():
        document = reader.read(
            trial.sample.image,
            mode=trial.mode,
            prompt=trial.sample.prompt,
            max_tokens=max_tokens,
            retries=0,
        )
    page = document.pages[0]
    found = {"mode": page.mode, "precision": round(precision(page.raw, wanted), 4), "stop": page.stop}
    return found | {"tokens": page.text_tokens, "read": page.raw[:SHOWN], "wanted": wanted[:SHOWN]}


def precision(read: str, wanted: str) -> float:
    """1 less the edit distance over the longer text's length; 1 for two empty ones."""
    longest = max(len(read), len(wanted))
    return 1 - distance(read, wanted) / longest if longest else 1.0


def distance(one: str, other: str) -> int:
    """Insertions, deletions and replacements from one text to another.

    Columns of the table of distances as bits of whole numbers: where they rise and where they fall (Myers
    1999, in Hyyrö's form of 2003).
    """
    if not one:
        return len(other)
    everything, last = (1 << len(one)) - 1, 1 << len(one) - 1
    places: dict[str, int] = {}
    for index, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << index
    rising, falling, score = everything, 0, len(one)
    for letter in other:
        equal = places.get(letter, 0)
        diagonal = (((equal & rising) + rising) ^ rising) | equal | falling
        right_up, right_down = falling | ~(diagonal | rising) & everything, rising & diagonal
        score += bool(right_up & last) - bool(right_down & last)
        right_up, right_down = right_up << 1 | 1, right_down << 1
        rising = (right_down | ~(diagonal | right_up)) & everything
        falling = right_up & diagonal & everything
    return score
