"""Which way each character runs (UAX #9), and the order in which the pieces of a line stand."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from foveate.errors import OptionError

# Blocks with letters from right to left, and the marks that turn a text's direction.
_FROM_RIGHT = re.compile(
    "[\u0590-\u08ff\u200f\u202b\u202e\u2067\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_STRONG = {"L": 0, "R": 1, "AL": 1}
_NEUTRAL = "\u200b"
_ISOLATES = "\u2066\u2067\u2068\u2069"  # the library knows only embeddings


def runs_right(text: str) -> bool:
    """Whether anything in it may run from right to left."""
    return _FROM_RIGHT.search(text) is not None


def base_level(text: str) -> int:
    """The paragraph's direction by its first strong character: 0 from the left, 1 from the right."""
    for char in text:
        level = _STRONG.get(unicodedata.bidirectional(char))
        if level is not None:
            return level
    return 0


@lru_cache(maxsize=256)
def levels(text: str, base: int) -> tuple[int, ...]:
    """The embedding level of each character of a paragraph; odd ones run from right to left."""
    try:
        from bidi import algorithm
    except ImportError as problem:
        raise OptionError(
            "text from right to left needs python-bidi: pip install 'foveate[render]'"
        ) from problem
    storage = algorithm.get_empty_storage()
    storage["base_level"], storage["base_dir"] = base, "LR"[base]
    algorithm.get_embedding_levels("".join(_known(char) for char in text), storage)
    for place, char in enumerate(storage["chars"]):
        char["place"] = place
    algorithm.explicit_embed_and_overrides(storage)
    algorithm.resolve_weak_types(storage, False)
    algorithm.resolve_neutral_types(storage, False)
    algorithm.resolve_implicit_levels(storage, False)
    found = {char["place"]: char["level"] for char in storage["chars"]}
    for place in range(len(text)):  # what the algorithm leaves out stays with what is before it
        found.setdefault(place, found[place - 1] if place else base)
    return tuple(found[place] for place in range(len(text)))


def _known(char: str) -> str:
    """The character, or one without a direction for those that the library stumbles over."""
    return char if char not in _ISOLATES and unicodedata.bidirectional(char) else _NEUTRAL


def visual_order(line_levels: list[int]) -> list[int]:
    """Indices of a line's pieces from left to right (rule L2)."""
    order = list(range(len(line_levels)))
    odd = [level for level in line_levels if level % 2]
    for level in range(max(line_levels, default=0), min(odd, default=1) - 1, -1):
        start = 0
        while start < len(order):
            if line_levels[order[start]] < level:
                start += 1
                continue
            end = start
            while end < len(order) and line_levels[order[end]] >= level:
                end += 1
            order[start:end] = order[start:end][::-1]
            start = end
    return order
