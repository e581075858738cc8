"""Many pages through the network at once: prefill, decode, and rows that come and go (continuous batching).

B running pages · T tokens of a prompt
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from foveate.engine.cache import Cache
from foveate.engine.loops import LoopDetector, Returns
from foveate.engine.sampling import Sampling, choose
from foveate.errors import OptionError
from foveate.model.deep_encoder import Views
from foveate.model.ocr import OCR
from foveate.pages.tokenizer import Tokenizer, TokenStream

VIEWS_AT_ONCE = 16  # of several pages; a page has up to 10 in most modes
THREADED_WORK = 400_000_000  # multiplications of a decoding step from which further threads pay


@dataclass(frozen=True, eq=False)
class Request:
    """One page to read."""

    ids: Sequence[int]  # the prompt, image tokens included
    views: Views | Tensor  # the page's pixels, or its vision tokens (tokens, D), ready from `OCR.encode`
    max_tokens: int
    sampling: Sampling = Sampling()
    key: Any = None  # the caller's own
    returns: int = 0  # times that text is taken back where the page went back to what it had written


@dataclass(eq=False)
class Reading:
    """What one request has given so far."""

    request: Request
    stream: TokenStream
    loops: LoopDetector
    returns: Returns
    generator: torch.Generator
    allowed: frozenset[int]
    ids: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)  # in the text, of what each token writes …
    ends: list[int] = field(default_factory=list)  # … a part of a character at least
    barred: dict[int, set[int]] = field(default_factory=dict)  # tokens by the place where they led back
    taken_back: int = 0  # times
    stop: str = ""  # "end", "length", "loop", "error" or "cancelled" once it is over

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def confidence(
        self, start: int = 0, end: int | None = None, without: Sequence[tuple[int, int]] = ()
    ) -> float | None:
        """Geometric mean of the probabilities of the tokens that write text[start:end]; None without any.

        Tokens that begin in one of the spans (start, end) of `without`, which are in order, do not count.
        """
        at, last = bisect_right(self.ends, start), len(self.starts)
        if end is not None:
            last = bisect_left(self.starts, end)
        chosen: list[float] = []
        for a, b in without:
            chosen += self.log_probabilities[at : min(bisect_left(self.starts, a), last)]
            at = max(at, bisect_left(self.starts, b))
        chosen += self.log_probabilities[at:last]
        return math.exp(sum(chosen) / len(chosen)) if chosen else None


@dataclass(frozen=True)
class Progress:
    """One token more of one request, or its end."""

    reading: Reading
    piece: str  # text that this token completed


class Engine:
    """Reads submitted pages, up to `batch_size` at a time; call `step` until it is not `busy`."""

    def __init__(self, model: OCR, tokenizer: Tokenizer, batch_size: int = 8) -> None:
        if batch_size < 1:
            raise OptionError(f"batch_size is {batch_size}: choose 1 or more")
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size
        self._work = active_weights(model)
        self._spell = cache(lambda token: tokenizer.decode([token]))
        self._waiting: deque[Request] = deque()
        self._running: list[Reading] = []
        self._cache: Cache | None = None
        self._next = torch.empty(0, dtype=torch.long)  # each row's last token, not yet through the network

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    @property
    def load(self) -> int:
        """Requests that wait or run."""
        return len(self._waiting) + len(self._running)

    def submit(self, request: Request) -> None:
        """Queues a page. Raises `OptionError` when there is no room for an answer, or for vision tokens that
        do not fit."""
        if request.max_tokens < 1:
            raise OptionError(f"max_tokens is {request.max_tokens}: choose 1 or more")
        room = self.model.config.decoder.max_position_embeddings - len(request.ids)
        if room < 1:
            raise OptionError(
                f"the page takes {len(request.ids)} tokens, the network has {room + len(request.ids)} "
                "places: choose a smaller mode or fewer tiles"
            )
        if request.returns and self.model.config.decoder.sliding_window is not None:
            request = replace(request, returns=0)  # its cache has written over what it would go back to
        if isinstance(request.views, Tensor):
            self._check_ready(request.views, request.ids)
        self._waiting.append(request)

    def _check_ready(self, vision: Tensor, ids: Sequence[int]) -> None:
        """Vision tokens of another network, or of another page, would break in the middle of a batch."""
        wanted = (list(ids).count(self.tokenizer.image), self.model.config.decoder.hidden_size)
        if tuple(vision.shape) != wanted:
            raise OptionError(
                f"the vision tokens are {tuple(vision.shape)}, the prompt and the network take {wanted}: "
                "encode the page anew with this network"
            )

    def cancel(self, key: Any) -> None:
        """Forgets the requests of this key."""
        self._waiting = deque(request for request in self._waiting if request.key != key)
        for reading in self._running:
            if reading.request.key == key:
                reading.stop = "cancelled"
        self._drop_ended()

    @torch.inference_mode()
    def step(self) -> list[Progress]:
        """Writes one token of every running page, then lets waiting pages in, as many as rows are free."""
        progress = self._decode() if self._running else []
        if self._waiting and len(self._running) < self.batch_size:
            progress += self._admit()
        return progress

    def _admit(self) -> list[Progress]:
        count = min(self.batch_size - len(self._running), len(self._waiting))
        requests = [self._waiting.popleft() for _ in range(count)]
        cache, hidden = self._prefill(requests)
        readings = [self._begin(request) for request in requests]
        tokens, progress = self._extend(readings, hidden)
        if self._cache is None:
            self._cache, self._next = cache, tokens
        else:
            self._cache.join(cache)
            self._next = torch.cat([self._next, tokens])
        self._running += readings
        self._drop_ended()
        return progress

    def _prefill(self, requests: Sequence[Request]) -> tuple[Cache, Tensor]:
        """A cache that holds the prompts, and the hidden state (B, D) at each prompt's end."""
        model = self.model
        vision = self._vision(requests)
        lengths = torch.tensor([len(request.ids) for request in requests], device=model.device)
        longest = int(lengths.max())
        # Padding on the right is seen by nobody: attention is causal, and decoding writes over it.
        rows = [[*request.ids, *[self.tokenizer.eos] * (longest - len(request.ids))] for request in requests]
        ids = torch.tensor(rows, device=model.device)
        cache = Cache(model.config.decoder, len(requests), model.dtype, model.device)
        step = cache.prefill(lengths)
        positions = torch.arange(longest, device=model.device).expand_as(ids)
        hidden = model.decoder(model.embed(ids, vision), positions, step.mask, step)
        return cache, hidden[torch.arange(len(ids), device=model.device), lengths - 1]

    def _vision(self, requests: Sequence[Request]) -> list[Tensor]:
        """Each request's vision tokens (tokens, D): as they came, or from the encoder."""
        model, pages = self.model, [r.views for r in requests if not isinstance(r.views, Tensor)]
        encoded = iter(
            [
                page
                for group in (_groups(pages) if pages else ())
                for page in model.encode([_moved(v, model) for v in group])
            ]
        )
        return [
            r.views.to(model.device, model.dtype) if isinstance(r.views, Tensor) else next(encoded)
            for r in requests
        ]

    def _begin(self, request: Request) -> Reading:
        allowed = frozenset(
            self.tokenizer.id_of(token)
            for token in request.sampling.ngram_whitelist
            if token in self.tokenizer
        )
        generator = torch.Generator().manual_seed(request.sampling.seed)
        loops, returns = LoopDetector(self._spell), Returns(self._spell)
        return Reading(request, self.tokenizer.stream(), loops, returns, generator, allowed)

    def _decode(self) -> list[Progress]:
        assert self._cache is not None
        positions = self._cache.lengths[:, None]
        step = self._cache.decode()
        with few_threads(self._work * len(positions)):
            x = self.model.embed(self._next[:, None], ())
            hidden = self.model.decoder(x, positions, step.mask, step)[:, -1]
            self._next, progress = self._extend(self._running, hidden)
        for row, reading in enumerate(self._running):
            self._watch(row, reading)
        self._drop_ended()
        return progress

    def _watch(self, row: int, reading: Reading) -> None:
        """Takes back what a running page has written since it went back to words it had written before."""
        if reading.stop or reading.taken_back >= reading.request.returns:
            return
        place = reading.returns.place(reading.ids, reading.log_probabilities)
        if place is None:
            return
        assert self._cache is not None
        self._cache.shorten(row, len(reading.ids) - place)
        # What led back behind another text says nothing of this one.
        reading.barred = {at: tokens for at, tokens in reading.barred.items() if at <= place}
        reading.barred.setdefault(place, set()).add(reading.ids[place])
        reading.taken_back += 1
        _cut(reading, place)
        reading.returns.forget(place)
        reading.loops, reading.stream = LoopDetector(self._spell), self.tokenizer.stream()
        for token in reading.ids:
            reading.loops.add(token)
            reading.stream.step(token)
        self._next[row] = reading.ids[-1]

    def _extend(self, readings: Sequence[Reading], hidden: Tensor) -> tuple[Tensor, list[Progress]]:
        """Chooses each row's next token and books it."""
        tokens, log_probabilities = choose(
            self.model.decoder.logits(hidden),
            [reading.ids for reading in readings],
            [reading.request.sampling for reading in readings],
            [reading.allowed for reading in readings],
            [reading.generator for reading in readings],
            [reading.barred.get(len(reading.ids), ()) for reading in readings],
        )
        chosen = zip(readings, tokens.tolist(), log_probabilities.tolist(), strict=True)
        return tokens, [Progress(reading, self._book(reading, *token)) for reading, *token in chosen]

    def _book(self, reading: Reading, token: int, log_probability: float) -> str:
        if math.isnan(log_probability):
            reading.stop = "error"
            return ""
        if token == self.tokenizer.eos:
            reading.stop = "end"
            return ""
        reading.ids.append(token)
        reading.log_probabilities.append(log_probability)
        start = reading.starts[-1] + len(reading.pieces[-1]) if reading.pieces else 0
        piece = reading.stream.step(token)
        reading.pieces.append(piece)
        reading.starts.append(start)
        reading.ends.append(start + max(len(piece), 1))
        room = self.model.config.decoder.max_position_embeddings - len(reading.request.ids)
        if reading.loops.add(token):
            reading.stop = "loop"
            _cut(reading, reading.loops.kept)
        elif len(reading.ids) >= min(reading.request.max_tokens, room):
            reading.stop = "length"
        return piece

    def _drop_ended(self) -> None:
        kept = [row for row, reading in enumerate(self._running) if not reading.stop]
        if len(kept) == len(self._running) or self._cache is None:
            return
        self._running = [self._running[row] for row in kept]
        if not kept:
            self._cache = None
            return
        rows = torch.tensor(kept, device=self._next.device)
        self._cache.keep(rows)
        self._next = self._next[rows]


def active_weights(model: OCR) -> int:
    """Decoder weights that one token passes, the vocabulary's included."""
    config = model.config.decoder
    routed = sum(p.numel() for name, p in model.decoder.named_parameters() if ".experts." in name)
    idle = routed - routed * config.num_experts_per_tok // config.n_routed_experts
    return sum(p.numel() for p in model.decoder.parameters()) - idle


@contextmanager
def few_threads(multiplications: int) -> Iterator[None]:
    """One thread for so little work: several would spend their time waiting for one another, and many times
    that on a machine that does other things as well."""
    before = torch.get_num_threads()
    if multiplications > THREADED_WORK or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cut(reading: Reading, count: int) -> None:
    for book in (reading.ids, reading.log_probabilities, reading.pieces, reading.starts, reading.ends):
        del book[count:]


def _groups(pages: Sequence[Views]) -> Iterator[list[Views]]:
    """The pages' views, so many pages together that their pixels in the network's dtype stay few."""
    group: list[Views] = []
    count = 0
    for views in pages:
        size = 1 if views.tiles is None else 1 + len(views.tiles)
        if group and count + size > VIEWS_AT_ONCE:
            yield group
            group, count = [], 0
        group.append(views)
        count += size
    yield group


@dataclass(frozen=True)
class _MovedViews:
    whole: Tensor
    tiles: Tensor | None
    grid: tuple[int, int]


def _moved(views: Views, model: OCR) -> _MovedViews:
    tiles = None if views.tiles is None else views.tiles.to(model.device, model.dtype)
    return _MovedViews(views.whole.to(model.device, model.dtype), tiles, views.grid)
