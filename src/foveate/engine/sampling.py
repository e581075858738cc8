"""Choosing the next token: greedy or sampled, guarded against repetition as the released code does, and
watched for loops.

B rows · V vocabulary
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foveate.errors import OptionError


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. Raises `OptionError` for numbers out of their range."""

    temperature: float = 0.0  # 0: greedy
    top_p: float = 1.0  # of the most likely tokens, so much probability is kept
    seed: int = 0
    ngram_size: int = 30  # no run of so many tokens may come twice …
    ngram_window: int = 90  # … within so many tokens; 0 turns the guard off
    ngram_whitelist: frozenset[str] = frozenset({"<td>", "</td>"})  # these may always come

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise OptionError(f"temperature is {self.temperature}: choose 0 (greedy) to 10")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top_p is {self.top_p}: choose more than 0, at most 1")
        if self.ngram_size < 2 or self.ngram_window < 0:
            raise OptionError("the n-gram guard needs a size of 2 or more and a window of 0 (off) or more")


def banned_tokens(ids: Sequence[int], size: int, window: int) -> set[int]:
    """Tokens that would repeat a run of `size` tokens that began within the last `window` tokens.

    As the released `NoRepeatNGramLogitsProcessor`, over generated tokens alone.
    """
    if len(ids) < size or not window:
        return set()
    prefix = list(ids[len(ids) - size + 1 :])
    starts = range(max(0, len(ids) - window), len(ids) - size + 1)
    return {ids[start + size - 1] for start in starts if list(ids[start : start + size - 1]) == prefix}


def choose(
    logits: Tensor,
    histories: Sequence[Sequence[int]],
    samplings: Sequence[Sampling],
    allowed: Sequence[frozenset[int]],
    generators: Sequence[torch.Generator],
    barred: Sequence[Collection[int]],
) -> tuple[Tensor, Tensor]:
    """The next token of each row and the logarithm of its probability: (B,) and (B,) from logits (B, V).

    `allowed` are each row's whitelisted ids, `barred` those that may not come now. The probability is the
    network's own, before guard and temperature; it is NaN where the network has given no numbers.
    """
    log_probabilities = logits.float().log_softmax(-1)
    guarded = log_probabilities.clone()
    for row, (history, sampling) in enumerate(zip(histories, samplings, strict=True)):
        banned = banned_tokens(history, sampling.ngram_size, sampling.ngram_window) - allowed[row]
        banned.update(barred[row])
        if banned:
            guarded[row, list(banned)] = -torch.inf
    tokens = guarded.argmax(-1)
    for row, sampling in enumerate(samplings):
        if sampling.temperature > 0 and not guarded[row].isnan().any():
            tokens[row] = _sample(guarded[row], sampling, generators[row])
    return tokens, log_probabilities.gather(1, tokens[:, None])[:, 0]


def _sample(scores: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    # In fp64 and from the best token down, because small temperatures make large numbers.
    scores = scores.cpu().double()
    probabilities = ((scores - scores.max()) / sampling.temperature).softmax(-1)
    ranked, order = probabilities.sort(descending=True, stable=True)
    # The first token that passes top_p is still in.
    ranked = ranked.masked_fill(ranked.cumsum(0) - ranked >= sampling.top_p, 0)
    return order[torch.multinomial(ranked, 1, generator=generator)[0]]
