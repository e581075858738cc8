"""Readings that go round in circles, seen in their text alone, whatever a reader says about itself."""

from __future__ import annotations

from collections import Counter

WINDOW = 10  # words of a run
SHARE = 0.5  # of a text's runs that have been there before: from here on the page loops
LEAST = 40  # words; shorter texts are judged by their end
ROUNDS = 8  # at the end of a text


def loops(text: str) -> bool:
    """Whether most of the text has been said before, or its end is one thing over and over."""
    words = text.split()
    if len(words) >= LEAST and repeated_share(words) >= SHARE:
        return True
    return trailing_repeats(text) > ROUNDS


def repeated_share(words: list[str], window: int = WINDOW) -> float:
    """Runs of so many words that came before, over all runs."""
    runs = [tuple(words[start : start + window]) for start in range(len(words) - window + 1)]
    if not runs:
        return 0.0
    return sum(count - 1 for count in Counter(runs).values()) / len(runs)


def trailing_repeats(text: str, longest: int = 60) -> int:
    """How often the text's end says the same stretch of at most so many characters; 1 for an honest end.

    Stretches without a letter or digit do not count: rows of dots and rules are honest.
    """
    text = text.rstrip()
    best = 1
    for length in range(1, min(longest, len(text) // 2) + 1):
        unit = text[-length:]
        if not any(map(str.isalnum, unit)):
            continue
        rounds, end = 1, len(text) - length
        while text[max(0, end - length) : end] == unit:
            rounds, end = rounds + 1, end - length
        # A short stretch needs more rounds to be more than a number with zeros at its end.
        if rounds * length >= 24:
            best = max(best, rounds)
    return best
