"""Samples to batches: tokens and views, packed to rows of one mode, in an order that a few numbers describe.

B rows of a batch · T tokens of a row
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from foveate.data.mixture import key
from foveate.data.packing import Conversation, Pack, tokenize
from foveate.data.sample import Sample
from foveate.errors import FoveateError, OptionError
from foveate.pages.mode import AUTO, choose_mode
from foveate.pages.tokenizer import Tokenizer
from foveate.pages.views import PageViews, make_views
from foveate.training.plan import Samples, make_samples
from foveate.training.recipes import Batches, Data, Recipe
from foveate.training.workers import ahead

IGNORED = -100  # label of a place where nothing is learned, as PyTorch's cross entropy has it
TEXT = "text"  # in the place of a mode, for rows without pages
FRUITLESS = 1000  # samples in a row that do not fit, before the sequence counts as too short


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows that go through the network at once; their pages are all of one mode."""

    ids: Tensor  # (B, T)
    labels: Tensor  # (B, T): the next token where it is learned, else IGNORED
    positions: Tensor  # (B, T): from 0 on in each conversation
    segments: Tensor  # (B, T): 1, 2, … for the conversations of a row, 0 for padding
    prompts: Tensor  # (B, T): true before a conversation's first answer
    pages: tuple[PageViews, ...]
    mode: str

    @property
    def targets(self) -> int:
        """Tokens that are learned."""
        return int((self.labels != IGNORED).sum())

    @property
    def present(self) -> Tensor:
        """(B, T), false on padding."""
        return self.segments > 0

    def mask(self, window: int | None = None) -> Tensor | None:
        """Who sees whom, (B, 1, T, T): nobody sees another conversation. None: causal is enough.

        With a `window`, answers see the prompt and so many of their own tokens (see `model.attention`).
        """
        if window is None and int(self.segments.max()) <= 1:
            return None  # padding comes last, where nobody looks back at it
        index = torch.arange(self.ids.shape[1], device=self.ids.device)
        query, key = index[:, None], index[None, :]
        seen = (self.segments[:, :, None] == self.segments[:, None, :]) & (key <= query)
        if window is not None:
            seen = seen & (self.prompts[:, None, :] | (query - key < window))
        return seen[:, None]

    def to(self, device: torch.device) -> Batch:
        """On a device; pages in fp32, which autocast rounds where it may."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("ids", "labels", "positions", "segments", "prompts")
        }
        return replace(self, pages=tuple(_moved(page, device) for page in self.pages), **moved)


def _moved(page: PageViews, device: torch.device) -> PageViews:
    tiles = None if page.tiles is None else page.tiles.to(device, torch.float32, non_blocking=True)
    return PageViews(page.whole.to(device, torch.float32, non_blocking=True), tiles, page.grid)


class Item(NamedTuple):
    """One sample, ready to be put into a row."""

    position: int
    mode: str
    conversation: Conversation
    views: PageViews | None


@dataclass(frozen=True)
class Preparing:
    """Samples by position as items; an error is a value, so that it comes whole from another process."""

    samples: Samples
    tokenizer: Tokenizer
    data: Data

    def item(self, position: int) -> Item | FoveateError:
        try:
            return self.prepare(position, self.samples.sample(position))
        except FoveateError as problem:
            return problem

    def prepare(self, position: int, sample: Sample) -> Item:
        mode, tiles = self.mode_at(position), self.data.max_tiles
        conversation = tokenize(sample, self.tokenizer, mode, tiles)
        if sample.image is None:
            return Item(position, TEXT if mode == AUTO else mode, conversation, None)
        chosen = choose_mode(mode, *sample.image.size, tiles)
        return Item(position, chosen.name, conversation, make_views(sample.image, chosen))

    def mode_at(self, position: int) -> str:
        """The mode that the dice of a position choose."""
        modes = self.data.modes
        dice = key(self.data.seed, "mode", position) / 2**64 * sum(modes.values())
        for mode, share in modes.items():
            if dice < share:
                return mode
            dice -= share
        return mode


@dataclass
class Stream:
    """Every `stride`-th position from a first one on, as an endless line of batches.

    What it holds back is known by positions, so its state is a few numbers.
    """

    preparing: Preparing
    batches: Batches
    position: int  # the next one to take
    stride: int = 1
    padding: int = 0  # the token that fills rows up
    taken: int = 0  # samples so far
    skipped: int = 0  # of them, those that do not fit into a row
    open: dict[str, list[Pack[Item]]] = field(default_factory=dict)  # by mode: rows with room left
    full: dict[str, list[Pack[Item]]] = field(default_factory=dict)  # rows that wait for others

    def __post_init__(self) -> None:
        self._items = self._prepared()
        self._fruitless = 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        while True:
            item = next(self._items)
            if isinstance(item, FoveateError):
                raise item
            self.position, self.taken = item.position + self.stride, self.taken + 1
            if not self._fits(item):
                continue
            row = self._add(item)
            rows = self.full.setdefault(item.mode, [])
            rows += [row] if row else []
            if len(rows) == self.batches.micro:
                del self.full[item.mode]
                return collate(rows, self.batches, self.padding)

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values."""
        waiting = {
            name: {
                mode: [[item.position for item in row.items] for row in rows] for mode, rows in held.items()
            }
            for name, held in (("open", self.open), ("full", self.full))
        }
        return {"position": self.position, "taken": self.taken, "skipped": self.skipped, **waiting}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where another stream was; samples that had waited in a row are made again."""
        self.position, self.taken, self.skipped = state["position"], state["taken"], state["skipped"]
        for name, held in (("open", self.open), ("full", self.full)):
            held.clear()
            for mode, rows in state[name].items():
                held[mode] = [self._row(positions) for positions in rows]
        self._items = self._prepared()

    def _row(self, positions: Sequence[int]) -> Pack[Item]:
        row: Pack[Item] = Pack()
        for position in positions:
            item = self.preparing.item(position)
            if isinstance(item, FoveateError):
                raise item
            row.add(item, len(item.conversation))
        return row

    def _prepared(self) -> Iterator[Item | FoveateError]:
        """Items in order, made by other processes where there are some."""
        workers, numbers = self.preparing.data.workers, count(self.position, self.stride)
        if not workers:
            return map(self.preparing.item, numbers)
        return ahead(self.preparing.item, numbers, workers)

    def _fits(self, item: Item) -> bool:
        if len(item.conversation) <= self.batches.sequence:
            self._fruitless = 0
            return True
        self.skipped, self._fruitless = self.skipped + 1, self._fruitless + 1
        if self._fruitless == FRUITLESS:
            raise OptionError(
                f"{FRUITLESS} samples in a row are longer than batches.sequence, the last one in {item.mode} "
                f"with {len(item.conversation):,} tokens over {self.batches.sequence:,}: make it longer"
            )
        return False

    def _add(self, item: Item) -> Pack[Item] | None:
        """Puts an item into the first open row with the room; gives the row that leaves, if one does."""
        length = len(item.conversation)
        if not self.batches.packed:
            (row := Pack[Item]()).add(item, length)
            return row
        rows = self.open.setdefault(item.mode, [])
        place = next((row for row in rows if row.length + length <= self.batches.sequence), None)
        leaving = None
        if place is None:
            if len(rows) == self.batches.open_packs:
                fullest = max(range(len(rows)), key=lambda index: (rows[index].length, -index))
                leaving = rows.pop(fullest)
            rows.append(place := Pack())
        place.add(item, length)
        return leaving


def _positions(row: Pack[Item]) -> list[int]:
    return [item.position for item in row.items]


def collate(rows: Sequence[Pack[Item]], batches: Batches, padding: int) -> Batch:
    """Rows of one mode to tensors, padded to the longest, rounded up."""
    longest = max(row.length for row in rows)
    length = min(-(-longest // batches.multiple) * batches.multiple, max(batches.sequence, longest))
    shape = (len(rows), length)
    ids = torch.full(shape, padding)
    labels = torch.full(shape, IGNORED)
    positions, segments = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    prompts = torch.zeros(shape, dtype=torch.bool)
    pages: list[PageViews] = []
    for index, row in enumerate(rows):
        for number, (item, start) in enumerate(zip(row.items, row.starts, strict=True)):
            size, learned = len(item.conversation), torch.tensor(item.conversation.learned)
            here = (index, slice(start, start + size))
            ids[here] = torch.tensor(item.conversation.ids)
            # The token before says the next one; the last of a conversation says nothing.
            following = torch.where(learned, ids[here], IGNORED)
            labels[index, start : start + size - 1] = following[1:]
            positions[here] = torch.arange(size)
            segments[here] = number + 1
            prompts[here] = learned.cumsum(0) == 0
            pages += [item.views] if item.views is not None else []
    return Batch(ids, labels, positions, segments, prompts, tuple(pages), rows[0].items[0].mode)


class Feeder:
    """The batches of a run's steps, of those data streams that this process reads.

    A step takes equally many from every stream of the run, so what it learns from does not depend on how
    many processes share the streams.
    """

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, streams: Sequence[int] | None = None) -> None:
        """`streams` are this process's, all of them by default."""
        self.recipe = recipe
        samples = make_samples(recipe.data)
        self.epoch_size = samples.size
        preparing = Preparing(samples, tokenizer, recipe.data)
        numbers = range(recipe.streams) if streams is None else streams
        self._streams = {
            number: Stream(preparing, recipe.batches, number, recipe.streams, tokenizer.eos)
            for number in numbers
        }

    @property
    def taken(self) -> int:
        """Samples of these streams so far."""
        return sum(stream.taken for stream in self._streams.values())

    @property
    def skipped(self) -> int:
        """Of them, those that were too long for a row."""
        return sum(stream.skipped for stream in self._streams.values())

    def step(self) -> list[Batch]:
        """What these streams give to one step."""
        each = self.recipe.accumulation // self.recipe.streams
        return [next(stream) for stream in self._streams.values() for _ in range(each)]

    def state(self) -> dict[str, Any]:
        """Where the streams are, by their number, as JSON values."""
        return {str(number): stream.state() for number, stream in self._streams.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes its own of all streams' states. With another number of streams, they start at the first
        position that none has had; what waited in rows is then left out."""
        if len(state) == self.recipe.streams:
            for number, stream in self._streams.items():
                stream.restore(state[str(number)])
            return
        first = max(stream["position"] for stream in state.values())
        share = sum(stream["taken"] for stream in state.values()) // self.recipe.streams
        for number, stream in self._streams.items():
            fresh = {"position": first + number, "taken": share, "skipped": 0, "open": {}, "full": {}}
            stream.restore(fresh)


def count_modes(batches: Sequence[Batch]) -> dict[str, int]:
    """Pages of each mode."""
    counts: Counter[str] = Counter()
    for batch in batches:
        counts[batch.mode] += len(batch.pages)
    return dict(counts)
