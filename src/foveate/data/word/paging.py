"""Which of a document's pieces stand on which page: its words followed through the pages' words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foveate.data.word.body import IMAGE, Body, Piece

_AHEAD = 60  # words that may be missing on either side before the next that agree
_TAG = re.compile(r"<[^<>]*>")
_FORMULA = re.compile(r"\\\(.*?\\\)|\\\[.*?\\\]", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """Units of a piece that stand on one page."""

    piece: Piece
    start: int
    stop: int

    @property
    def markdown(self) -> str:
        return self.piece.markdown(self.start, self.stop)


@dataclass(frozen=True)
class PagePieces:
    """What a page holds, and how surely: the share of the document's words there that the page shows."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...]  # ids of the footnotes whose marks are on the page
    agreement: float
    matched: frozenset[int]  # places of the page's words that are the document's


@dataclass(frozen=True)
class _Unit:
    piece: int
    place: int
    words: tuple[str, ...]


def split(body: Body, pages: Sequence[Sequence[str]]) -> list[PagePieces]:
    """The pieces of each page; `pages` are the words that each page shows, in reading order."""
    units = [
        _Unit(number, place, tuple(words_of(unit)))
        for number, piece in enumerate(body.pieces)
        for place, unit in enumerate(piece.units)
    ]
    own = [(word, index) for index, unit in enumerate(units) for word in unit.words]
    shown = [(word, page, place) for page, words in enumerate(pages) for place, word in enumerate(words)]
    pairs = list(_aligned([word for word, _ in own], [word for word, _, _ in shown]))
    votes: list[Counter[int]] = [Counter() for _ in units]
    matched: list[set[int]] = [set() for _ in pages]
    for one, other in pairs:
        _, page, place = shown[other]
        votes[own[one][1]][page] += 1
        matched[page].add(place)
    placed = _placed(units, votes, body.pieces)
    return [_page(number, body, units, placed, votes, matched[number]) for number in range(len(pages))]


def words_of(text: str) -> Iterator[str]:
    """The words of Markdown or of a page, as both write them: letters and digits alone, in small."""
    text = _FORMULA.sub(" ", _TAG.sub(" ", text.replace(IMAGE, " ")))
    text = re.sub(r"\[\^[0-9]+\]", "", text).replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    for word in text.split():
        bare = "".join(c for c in unicodedata.normalize("NFKC", word).casefold() if c.isalnum())
        if bare:
            yield bare


def _aligned(own: Sequence[str], shown: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places of equal words, in order; where the two part, they meet again at the nearest pair of words."""
    i = j = 0
    while i < len(own) and j < len(shown):
        if own[i] == shown[j]:
            yield i, j
            i, j = i + 1, j + 1
            continue
        step = _next(own, shown, i, j)
        if step is None:
            i, j = i + 1, j + 1
        else:
            i, j = i + step[0], j + step[1]


def _next(own: Sequence[str], shown: Sequence[str], i: int, j: int) -> tuple[int, int] | None:
    """The fewest words to leave out on both sides until two in a row agree."""
    for total in range(1, 2 * _AHEAD):
        for a in range(max(0, total - _AHEAD), min(total, _AHEAD) + 1):
            b = total - a
            if i + a >= len(own) or j + b >= len(shown) or own[i + a] != shown[j + b]:
                continue
            last = i + a + 1 >= len(own) or j + b + 1 >= len(shown)
            if last or own[i + a + 1] == shown[j + b + 1]:
                return a, b
    return None


def _placed(units: Sequence[_Unit], votes: Sequence[Counter[int]], pieces: Sequence[Piece]) -> list[int]:
    """The page of each unit, never before that of the one before; those without words go with the next."""
    pages: list[int | None] = [count.most_common(1)[0][0] if count else None for count in votes]
    after: int | None = None
    for index in range(len(pages) - 1, -1, -1):
        same = index + 1 < len(units) and units[index + 1].piece == units[index].piece
        found = pages[index]
        if found is not None:
            after = found
        elif same or not units[index].words:
            pages[index] = after
    placed, page = [], 0
    for found in pages:
        page = max(page, found if found is not None else page)
        placed.append(page)
    return placed


def _page(
    number: int,
    body: Body,
    units: Sequence[_Unit],
    placed: Sequence[int],
    votes: Sequence[Counter[int]],
    matched: set[int],
) -> PagePieces:
    here = [index for index, page in enumerate(placed) if page == number]
    parts: list[Part] = []
    for index in here:
        unit = units[index]
        if parts and parts[-1].piece is body.pieces[unit.piece] and parts[-1].stop == unit.place:
            parts[-1] = Part(parts[-1].piece, parts[-1].start, unit.place + 1)
        else:
            parts.append(Part(body.pieces[unit.piece], unit.place, unit.place + 1))
    notes = tuple(
        name for part in parts for place, name in part.piece.notes if part.start <= place < part.stop
    )
    total = sum(len(units[index].words) for index in here)
    found = sum(votes[index][number] for index in here)
    return PagePieces(tuple(parts), notes, found / total if total else 0.0, frozenset(matched))
