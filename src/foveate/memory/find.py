"""Where words are: an index of what the reader read, not of the original text.

What was misread is found as it was misread: a word of the query that nobody read stands for the words that
are one letter away from it (two, if it is long). Characters of Chinese and Japanese are words of their own.

No query looks at more than `MOST` sheets a word, the newest first, so its time hardly grows with the store.
"""

from __future__ import annotations

import math
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

MOST = 512  # sheets looked at for each word of the query
NEAR = 8  # misreadings tried for a word
LOOKED_AT = 4096  # words of the vocabulary that are compared with one that was not read
TRIED = 40  # places of a reading that a snippet may show
PENALTY = 0.7  # of a word's weight, when it was found one letter away
_WORD = re.compile(r"[^\W_]+")
_ALONE = re.compile(
    "([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f])"
)


@dataclass(frozen=True)
class Hit:
    """A sheet that holds some of the words."""

    sheet: int
    score: float
    words: tuple[str, ...]  # as they stand in the index


def terms(text: str) -> list[str]:
    """Words as the index knows them: small letters, no accents, single ideographs."""
    parts = unicodedata.normalize("NFD", text.casefold())
    plain = "".join(c for c in parts if not unicodedata.combining(c))
    return _WORD.findall(_ALONE.sub(r" \1 ", unicodedata.normalize("NFC", plain)))


def add(connection: sqlite3.Connection, sheet: int, text: str) -> None:
    """Puts a sheet's reading into the index."""
    connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (sheet, " ".join(terms(text))))


def remove(connection: sqlite3.Connection, sheet: int, text: str) -> None:
    """Takes it out again; the text must be the one that was put in."""
    connection.execute(
        "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (sheet, " ".join(terms(text)))
    )


def search(connection: sqlite3.Connection, query: str, limit: int) -> list[Hit]:
    """The best sheets: most of the query's weight first, then the newest. Rare words weigh more."""
    wanted = list(dict.fromkeys(terms(query)))
    lists = {word: _sheets(connection, word) for word in wanted}
    scores: dict[int, float] = {}
    words: dict[int, list[str]] = {}
    weights = {word: _weight(found) for word, (found, _) in lists.items()}
    # Sheets that hold everything come from a query of their own: of frequent words only the newest were seen.
    together = _together(connection, wanted) if len(wanted) > 1 else []
    for word, (found, share) in lists.items():
        for sheet in {*found, *together} if share == 1 else found:
            scores[sheet] = scores.get(sheet, 0.0) + weights[word] * share
            words.setdefault(sheet, []).extend(found.get(sheet, (word,)))
    total = sum(weights.values()) or 1.0
    best = sorted(scores, key=lambda sheet: (-scores[sheet], -sheet))[:limit]
    return [Hit(sheet, min(1.0, scores[sheet] / total), tuple(words[sheet])) for sheet in best]


def snippet(text: str, words: Iterable[str], length: int = 160) -> str:
    """Some of the reading around the words, on one line, the words in **stars**."""
    flat = " ".join(text.split())
    places = _places(flat, set(words))
    if not places:
        return flat[:length]
    start = _window(places, length)
    parts, at = [], start
    for begin, end in places:
        if begin >= at and end <= start + length:
            parts += [flat[at:begin], "**", flat[begin:end], "**"]
            at = end
    parts.append(flat[at : start + length])
    before, after = "…" if start else "", "…" if start + length < len(flat) else ""
    return before + "".join(parts) + after


def _places(text: str, wanted: set[str]) -> list[tuple[int, int]]:
    """Where words that the index knows as these stand."""
    if text.isascii():  # much faster, and most text is
        either = "|".join(re.escape(word) for word in sorted(wanted, key=len, reverse=True))
        pattern = re.compile(f"(?<![a-z0-9])(?:{either})(?![a-z0-9])", re.IGNORECASE)
        return [match.span() for match in pattern.finditer(text)]
    return [match.span() for match in _WORD.finditer(text) if _in(match, wanted)]


def _in(match: re.Match[str], wanted: set[str]) -> bool:
    return any(term in wanted for term in _terms_of(match.group()))


@lru_cache(maxsize=1 << 14)
def _terms_of(word: str) -> tuple[str, ...]:
    return tuple(terms(word))


def _window(places: Sequence[tuple[int, int]], length: int) -> int:
    """Where a stretch begins that holds the most words."""
    best, most = 0, -1
    for begin, _ in places[:TRIED]:
        start = max(0, begin - length // 4)
        count = sum(start <= one and end <= start + length for one, end in places[:TRIED])
        if count > most:
            best, most = start, count
    return best


def _sheets(connection: sqlite3.Connection, word: str) -> tuple[dict[int, tuple[str, ...]], float]:
    """The newest sheets that hold a word, or else its misreadings, and what such a hit is worth."""
    found = _with(connection, word)
    if found:
        return {sheet: (word,) for sheet in found}, 1.0
    near: dict[int, tuple[str, ...]] = {}
    for other in _misreadings(connection, word):
        for sheet in _with(connection, other):
            near.setdefault(sheet, (other,))
    return near, PENALTY


def _with(connection: sqlite3.Connection, *words: str) -> list[int]:
    match = " ".join(f'"{word}"' for word in words)
    rows = connection.execute(
        "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?", (match, MOST)
    )
    return [sheet for (sheet,) in rows]


def _together(connection: sqlite3.Connection, words: Sequence[str]) -> list[int]:
    return _with(connection, *words)


def _weight(found: dict[int, tuple[str, ...]]) -> float:
    return math.log(2 + MOST / (1 + len(found)))


def _misreadings(connection: sqlite3.Connection, word: str) -> list[str]:
    """Words of the index that differ in a letter, two in a long word, and have the same first letter."""
    most = 0 if len(word) < 4 else 1 if len(word) < 8 else 2
    if not most:
        return []
    seen: dict[str, int] = {}
    letters = set(word)
    for beginning in dict.fromkeys((word[:2], word[:1])):
        rows = connection.execute(
            "SELECT term FROM vocabulary WHERE term >= ? AND term < ? AND abs(length(term) - ?) <= ? LIMIT ?",
            (beginning, beginning + "\U0010ffff", len(word), most, LOOKED_AT),
        )
        for (term,) in rows:
            if len(letters ^ set(term)) > 2 * most:
                continue  # each change brings a letter and takes one, at most
            distance = edit_distance(word, term, most)
            if distance <= most:
                seen[term] = distance
    return sorted(seen, key=lambda term: (seen[term], term))[:NEAR]


def edit_distance(one: str, other: str, most: int) -> int:
    """Letters to put in, take out or change; `most` + 1 for anything farther."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row = row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(row[-1] + 1, before[j] + 1, before[j - 1] + (a != b)))
        if min(row) > most:
            return most + 1
    return row[-1]
