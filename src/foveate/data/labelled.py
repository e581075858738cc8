"""Samples that stand in shards already, as a kind of others: labelled pages go into the next mixture."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from foveate.data.sample import Sample, Task
from foveate.data.schema import from_row
from foveate.data.shards import opened, read_group, shard_files


class _Group(NamedTuple):
    """Rows that are read at once."""

    shard: Path
    place: int  # within the shard
    rows: int


@dataclass(frozen=True)
class LabelledMaker:
    """Every sample of a folder of shards, of the kind that it was made as."""

    folder: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder,)  # without what is cached below

    @property
    def kind(self) -> str:
        return "labelled"

    @property
    def task(self) -> Task:
        return "ocr1"

    @property
    def size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def make(self, number: int, seed: int) -> Sample:
        which = bisect_right(self._ends, number)
        group = self._groups[which]
        row = number - self._ends[which] + group.rows
        return replace(from_row(read_group(group.shard, group.place)[row]), number=number, seed=seed)

    @cached_property
    def _groups(self) -> list[_Group]:
        groups: list[_Group] = []
        for shard in shard_files(self.folder):
            with opened(shard) as file:
                counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
            groups += [_Group(shard, index, rows) for index, rows in enumerate(counts)]
        return groups

    @cached_property
    def _ends(self) -> list[int]:
        """How many samples stand before the end of each group."""
        return list(accumulate(group.rows for group in self._groups))
