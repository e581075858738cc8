"""Which block of a reading is which block of the truth.

Readers part and join paragraphs as they like, and that is no reading error: a block may match several
neighbours of the other side, joined. What matches is decided by edit distance alone, never by place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALIKE = 0.4  # normalised distance up to which two blocks are one at once
PART = 80.0  # partial ratio from which a block is taken for a part of another
RELATED = 0.7  # normalised distance up to which what is left over is paired


@dataclass(frozen=True)
class Match:
    """Blocks of the truth and of the reading that say the same; one side may be empty, one may be several."""

    truth: tuple[int, ...]
    read: tuple[int, ...]
    distance: int  # edits of characters between them, joined in their order
    length: int  # characters of the longer one


def match_blocks(truths: Sequence[str], reads: Sequence[str]) -> list[Match]:
    """Every block of both sides in exactly one match, in the order of the truth, what was added last.

    Takes time with the product of the sides' lengths.
    """
    pairs = _Pairs(truths, reads)
    pairs.pair_up(ALIKE)
    pairs.join_left_over()
    pairs.pair_up(RELATED)
    return pairs.matches()


class _Pairs:
    """Groups while they grow. A group with several truths has one read, and the other way round."""

    def __init__(self, truths: Sequence[str], reads: Sequence[str]) -> None:
        from rapidfuzz.distance import Levenshtein

        self._distance = Levenshtein.distance
        self.truths, self.reads = truths, reads
        self.groups: list[tuple[list[int], list[int]]] = []
        self.free_truths, self.free_reads = set(range(len(truths))), set(range(len(reads)))

    def pair_up(self, most: float) -> None:
        """Pairs free blocks one to one, the most alike first."""
        rows, columns = sorted(self.free_truths), sorted(self.free_reads)
        if not rows or not columns:
            return
        distances = self._normalised(rows, columns)  # (T, R)
        for flat in np.argsort(distances, axis=None, kind="stable").tolist():
            row, column = divmod(flat, len(columns))
            if distances[row, column] > most:
                return
            truth, read = rows[row], columns[column]
            if truth in self.free_truths and read in self.free_reads:
                self.groups.append(([truth], [read]))
                self.free_truths.remove(truth)
                self.free_reads.remove(read)

    def join_left_over(self) -> None:
        """Free blocks that are a part of another block go to its group, if that brings the two nearer."""
        for read in sorted(self.free_reads):
            self._join(read, of_reading=True)
        for truth in sorted(self.free_truths):
            self._join(truth, of_reading=False)

    def _join(self, block: int, of_reading: bool) -> None:
        """Takes the group in which the block saves the most edits."""
        from rapidfuzz import fuzz

        text = self.reads[block] if of_reading else self.truths[block]
        others = self.truths if of_reading else self.reads
        groups = [*self.groups, *self._alone(of_reading)]
        best, most = None, 0
        for group in groups:
            same, other = (group[1], group[0]) if of_reading else group
            if len(other) != 1 or len(text) > len(others[other[0]]) or not text:
                continue
            if fuzz.partial_ratio(text, others[other[0]]) < PART:
                continue
            saved = self._cost(group) + len(text) - self._cost(self._with(group, block, of_reading))
            if saved > most:
                best, most = group, saved
        if best is not None:
            self._take(best, block, of_reading)

    def _alone(self, of_reading: bool) -> list[tuple[list[int], list[int]]]:
        """Free blocks of the other side as groups without this one."""
        if of_reading:
            return [([truth], []) for truth in sorted(self.free_truths)]
        return [([], [read]) for read in sorted(self.free_reads)]

    @staticmethod
    def _with(
        group: tuple[list[int], list[int]], block: int, of_reading: bool
    ) -> tuple[list[int], list[int]]:
        truths, reads = group
        return (truths, sorted([*reads, block])) if of_reading else (sorted([*truths, block]), reads)

    def _take(self, group: tuple[list[int], list[int]], block: int, of_reading: bool) -> None:
        if group in self.groups:
            self.groups.remove(group)
        grown = self._with(group, block, of_reading)
        self.groups.append(grown)
        self.free_truths -= set(grown[0])
        self.free_reads -= set(grown[1])

    def _cost(self, group: tuple[list[int], list[int]]) -> int:
        return self._distance(*self._joined(group))

    def _joined(self, group: tuple[list[int], list[int]]) -> tuple[str, str]:
        return "".join(self.truths[n] for n in group[0]), "".join(self.reads[n] for n in group[1])

    def _normalised(self, rows: list[int], columns: list[int]) -> np.ndarray:
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        return np.asarray(
            cdist(
                [self.truths[row] for row in rows],
                [self.reads[column] for column in columns],
                scorer=Levenshtein.normalized_distance,
                dtype=np.float32,
            )
        )

    def matches(self) -> list[Match]:
        groups = [*self.groups, *self._alone(True), *self._alone(False)]
        groups.sort(key=lambda group: (min(group[0], default=len(self.truths)), min(group[1], default=0)))
        return [self._match(group) for group in groups]

    def _match(self, group: tuple[list[int], list[int]]) -> Match:
        truth, read = self._joined(group)
        distance = self._distance(truth, read)
        return Match(tuple(group[0]), tuple(group[1]), distance, max(len(truth), len(read)))
