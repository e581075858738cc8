"""The few words that stay of a page when its picture is gone."""

from __future__ import annotations

import re
from collections import Counter

COUNT = 12
_WORD = re.compile(r"[^\W_](?:(?:[\w'’.-]|(?<=\d),(?=\d))*[^\W_])?")
_LOWER = re.compile(r"[^\W\d_]+")


def keywords(text: str, count: int = COUNT) -> str:
    """The words of a reading that say most, in the order in which they stand there.

    Names, numbers and long words say more than short ones; a word that comes several times says more, up to
    three times. A function of this text alone, so that a page's keywords do not depend on other pages.
    """
    seen: dict[str, str] = {}
    counts: Counter[str] = Counter()
    weights: dict[str, float] = {}
    for match in _WORD.finditer(text):
        word = match.group()
        key = word.casefold()
        counts[key] += 1
        seen.setdefault(key, word)
        weights[key] = max(weights.get(key, 0.0), _weight(word, _begins(text, match.start())))
    order = {key: number for number, key in enumerate(seen)}
    scores = {key: weights[key] * min(counts[key], 3) ** 0.5 for key in seen if weights[key] > 0}
    best = sorted(scores, key=lambda key: (-scores[key], order[key]))[:count]
    return " ".join(seen[key] for key in sorted(best, key=order.__getitem__))


def _weight(word: str, begins: bool) -> float:
    if any(c.isdigit() for c in word):
        return 8.0 + min(len(word), 8)
    if not _LOWER.match(word) or (len(word) < 4 and not word.isupper() and word[0] < "\u0250"):
        return 0.0
    name = word[0].isupper() and not begins
    return min(len(word), 14) + (6.0 if name else 0.0) - (3.0 if len(word) < 5 else 0.0)


def _begins(text: str, start: int) -> bool:
    """Whether a sentence begins here: a capital says nothing then."""
    before = text[:start].rstrip(" \t\"“‘'(*_#-")[-1:]
    return not before or before in ".!?:;\n…"
