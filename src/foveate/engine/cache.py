"""Keys and values of many pages at once, each page at its own length.

A row's token at position p lies in slot p, so rows of different lengths need no padding: a row simply sees
the slots that it has filled. With reference sliding-window attention (Unlimited-OCR) the generated tokens
take turns in a ring of `window` slots behind the prompt. Rows leave when their page ends and others join at
any time.

B rows · T new tokens · S slots · N key heads · C head width
"""

import torch
from torch import Tensor

from foveate.config import DecoderConfig

GROWTH = 256  # slots by which a full cache grows


class Step:
    """One pass of new tokens through the decoder: where they go, and what they see."""

    def __init__(self, cache: "Cache", slots: Tensor, mask: Tensor | None, visible: int) -> None:
        self.mask = mask  # (B, 1, T, S), None: causal among the new tokens
        self._cache, self._slots, self._visible = cache, slots, visible
        self._rows = torch.arange(len(slots), device=slots.device)[:, None]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Stores (B, N, T, C); gives (B, N, S, C) of all that the mask speaks of."""
        if self.mask is None:
            self._cache.keys[layer, :, :, : keys.shape[2]] = keys
            self._cache.values[layer, :, :, : keys.shape[2]] = values
            return keys, values
        stored = []
        for store, new in ((self._cache.keys[layer], keys), (self._cache.values[layer], values)):
            store[self._rows, :, self._slots] = new.transpose(1, 2)  # indexed (B, T) -> (B, T, N, C)
            stored.append(store[:, :, : self._visible])
        return stored[0], stored[1]


class Cache:
    """The rows' keys and values, and how many tokens each row holds."""

    def __init__(
        self, config: DecoderConfig, rows: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        self.config = config
        shape = (config.num_hidden_layers, rows, config.num_key_value_heads, 0, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)  # tokens seen so far
        self.prompts = torch.zeros(rows, dtype=torch.long, device=device)  # of them, before the answer

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    def prefill(self, lengths: Tensor) -> Step:
        """Room for the prompts of an empty cache, (B,) tokens long, padded on the right to the longest."""
        longest = int(lengths.max())
        self._reserve(longest)
        self.lengths, self.prompts = lengths.clone(), lengths.clone()
        slots = torch.arange(longest, device=lengths.device).expand(len(self), longest)
        return Step(self, slots, None, longest)

    def decode(self) -> Step:
        """Room for one token more in every row."""
        slots, window = self.lengths, self.config.sliding_window
        filled = self.lengths + 1
        if window is not None:
            behind = self.lengths - self.prompts
            slots = self.prompts + behind % window
            filled = torch.minimum(filled, self.prompts + window)
        visible = int(filled.max())
        self._reserve(visible)
        seen = torch.arange(visible, device=slots.device) < filled[:, None]
        self.lengths = self.lengths + 1
        return Step(self, slots[:, None], seen[:, None, None], visible)

    def shorten(self, row: int, count: int) -> None:
        """Forgets a row's last `count` tokens. Not with a sliding window, whose slots are written again."""
        assert self.config.sliding_window is None
        self.lengths[row] -= count

    def keep(self, rows: Tensor) -> None:
        """Drops all rows but these, (n,) indices."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]
        self.lengths, self.prompts = self.lengths[rows], self.prompts[rows]

    def join(self, other: "Cache") -> None:
        """Appends another cache's rows."""
        width = max(self.capacity, other.capacity)
        self.keys = torch.cat([_widen(self.keys, width), _widen(other.keys, width)], dim=1)
        self.values = torch.cat([_widen(self.values, width), _widen(other.values, width)], dim=1)
        self.lengths = torch.cat([self.lengths, other.lengths])
        self.prompts = torch.cat([self.prompts, other.prompts])

    def _reserve(self, slots: int) -> None:
        if slots > self.capacity:
            width = -(-slots // GROWTH) * GROWTH
            self.keys, self.values = _widen(self.keys, width), _widen(self.values, width)


def _widen(store: Tensor, width: int) -> Tensor:
    if store.shape[3] == width:
        return store
    wide = store.new_zeros((*store.shape[:3], width, store.shape[4]))
    wide[:, :, :, : store.shape[3]] = store
    return wide
