"""Choosing the next token: greedy or sampled, guarded against repetition as the released code does, and
watched for loops.

B rows · V vocabulary
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

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


@dataclass
class LoopDetector:
    """Notices text that goes round in circles in ways that the n-gram guard cannot see.

    In a loop most short runs of tokens have been there before: a page loops when, of the last `window`
    tokens' 4-grams, fewer than `distinct` of them are distinct. Table cells count as nothing, since empty
    rows are honest.
    """

    ignored: frozenset[int] = frozenset()
    window: int = 256
    distinct: float = 0.2
    _ids: list[int] = field(default_factory=list)

    def add(self, token: int) -> bool:
        """Takes the next token; says whether the page loops."""
        if token not in self.ignored:
            self._ids.append(token)
        full = len(self._ids) >= self.window
        return full and len(self._ids) % 16 == 0 and self._distinct_share() < self.distinct

    def _distinct_share(self) -> float:
        tail = self._ids[-self.window :]
        grams = {tuple(tail[i : i + 4]) for i in range(len(tail) - 3)}
        return len(grams) / (len(tail) - 3)


def without_loop(ids: Sequence[int]) -> int:
    """How many tokens stand before the last loop's second round; all of them when the end does not repeat.

    The period is the shortest for which most of the tail equals itself, shifted.
    """
    tail = list(ids[-512:])
    for period in range(1, len(tail) // 2 + 1):
        same = [tail[i] == tail[i - period] for i in range(period, len(tail))]
        # From the end backwards, as long as nine of ten tokens repeat.
        misses = run = 0
        for offset, equal in enumerate(reversed(same), 1):
            misses += not equal
            if misses > 0.1 * offset + 1:
                break
            run = offset
        if run >= max(2 * period, 64):
            return len(ids) - run
    return len(ids)


def choose(
    logits: Tensor,
    histories: Sequence[Sequence[int]],
    samplings: Sequence[Sampling],
    allowed: Sequence[frozenset[int]],
    generators: Sequence[torch.Generator],
) -> tuple[Tensor, Tensor]:
    """The next token of each row and the logarithm of its probability: (B,) and (B,) from logits (B, V).

    `allowed` are each row's whitelisted ids. The probability is the network's own, before guard and
    temperature.
    """
    log_probabilities = logits.float().log_softmax(-1)
    guarded = log_probabilities.clone()
    for row, (history, sampling) in enumerate(zip(histories, samplings, strict=True)):
        banned = banned_tokens(history, sampling.ngram_size, sampling.ngram_window) - allowed[row]
        if banned:
            guarded[row, list(banned)] = -torch.inf
    tokens = guarded.argmax(-1)
    for row, sampling in enumerate(samplings):
        if sampling.temperature > 0:
            tokens[row] = _sample(guarded[row], sampling, generators[row])
    return tokens, log_probabilities.gather(1, tokens[:, None])[:, 0]


def _sample(scores: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    probabilities = (scores / sampling.temperature).softmax(-1).cpu()
    ranked, order = probabilities.sort(descending=True)
    # The first token that passes top_p is still in.
    ranked = ranked.masked_fill(ranked.cumsum(0) - ranked >= sampling.top_p, 0)
    return order[torch.multinomial(ranked, 1, generator=generator)[0]]
