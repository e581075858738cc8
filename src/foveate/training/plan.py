"""Which sample stands at which position of a run: out of shards, or made as the run goes."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from foveate.data import recipes
from foveate.data.mixture import Mixture, key, shuffled
from foveate.data.sample import Sample
from foveate.errors import OptionError
from foveate.training.recipes import Data

TOGETHER = 4  # groups of rows that are shuffled together, and kept


class Samples(Protocol):
    """Samples by position, without end."""

    @property
    def size(self) -> int | None:
        """Samples of an epoch; None where there are no epochs."""

    def sample(self, position: int) -> Sample: ...


def make_samples(data: Data) -> Samples:
    """What a recipe's data stand for; shards win over a data recipe. Raises `InputError`."""
    if data.shards:
        return Shards(data.shards, data.seed)
    if not data.recipe:
        raise OptionError(
            "there is nothing to learn from: set data.shards to folders of foveate data make, or "
            "data.recipe to a name of foveate data list"
        )
    plan = recipes.plan(data.recipe, data.sources, data.seed, count=1)
    assert isinstance(plan, Mixture), "with a count, a recipe has no end"
    return Endless(plan)


class Endless:
    """A mixture's samples."""

    size = None

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture

    def sample(self, position: int) -> Sample:
        made = self._mixture.make(position).sample
        assert made is not None, "a mixture replaces what it skips"
        return made


class Group(NamedTuple):
    """Rows of a shard that are read at once."""

    shard: Path
    place: int  # within the shard
    rows: int


class Shards:
    """The samples of some folders of shards, each once in an epoch, in an order of that epoch.

    Neighbours in the order come from few groups of rows, so that a group is read once and not once for each
    of its rows.
    """

    def __init__(self, folders: Sequence[Path], seed: int = 0) -> None:
        self.folders, self.seed = tuple(folders), seed
        self._groups = [group for folder in self.folders for group in _groups(folder)]
        self.size = sum(group.rows for group in self._groups)
        if not self.size:
            raise OptionError(f"{', '.join(map(str, folders))}: no samples in these shards: make some")
        self._order = lru_cache(maxsize=2)(self._order_of)
        self._kept: OrderedDict[Group, list[dict[str, Any]]] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folders, self.seed)  # to another process, without what is kept

    def sample(self, position: int) -> Sample:
        from foveate.data.schema import from_row

        epoch, place = divmod(position, self.size)
        blocks, ends = self._order(epoch)
        which = bisect_right(ends, place)
        block = blocks[which]
        size = sum(group.rows for group in block)
        row = shuffled(place - (ends[which] - size), size, key(self.seed, "rows", epoch, which))
        for group in block:
            if row < group.rows:
                return from_row(self._rows(group)[row])
            row -= group.rows
        raise AssertionError("a block's groups hold all of its rows")

    def _order_of(self, epoch: int) -> tuple[list[list[Group]], list[int]]:
        """Blocks of groups in the order of an epoch, and how many rows stand before the end of each."""
        count, order = len(self._groups), key(self.seed, "groups", epoch)
        groups = [self._groups[shuffled(n, count, order)] for n in range(count)]
        blocks = [groups[n : n + TOGETHER] for n in range(0, count, TOGETHER)]
        return blocks, list(accumulate(sum(group.rows for group in block) for block in blocks))

    def _rows(self, group: Group) -> list[dict[str, Any]]:
        from foveate.data.shards import read_group

        if group not in self._kept:
            if len(self._kept) >= TOGETHER:
                self._kept.popitem(last=False)
            self._kept[group] = read_group(group.shard, group.place)
        self._kept.move_to_end(group)
        return self._kept[group]


def _groups(folder: Path) -> list[Group]:
    from foveate.data.shards import opened, shard_files

    groups = []
    for shard in shard_files(folder):
        with opened(shard) as file:
            metadata = file.metadata
            rows = [metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        groups += [Group(shard, index, count) for index, count in enumerate(rows) if count]
    return groups
