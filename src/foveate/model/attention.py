"""The decoder's attention: rotary positions, a causal or reference-window mask, and a place to keep keys and
values.

B sequences · T new tokens · S tokens in sight · N heads · C head width
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.config import DecoderConfig


class KeyValues(Protocol):
    """Keeps keys and values of earlier tokens."""

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Takes (B, N, T, C) of the new tokens; gives (B, N, S, C) of all that the mask speaks of."""


def rotary_table(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles (RoFormer, arXiv 2104.09864): (B, T) to two (B, 1, T, C)."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions[:, None, :, None].float() * theta**-exponents
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turns pairs (c, c + C/2) of (B, N, T, C) by their position's angles."""
    cos, sin = table
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat([-second, first], dim=-1) * sin.to(x.dtype)


def sequence_mask(
    present: Tensor | None, prompt_lengths: Tensor | None, window: int | None, length: int
) -> Tensor:
    """Who sees whom when a whole sequence goes through at once: (B or 1, 1, T, T), true where the key is
    seen.

    `present` (B, T) is false on padding; the padding may be on either side. With a `window`, keys at or
    behind the prompt's end are seen by the next `window` tokens alone, themselves included (reference
    sliding-window attention, Unlimited-OCR); `prompt_lengths` (B,) count the row's tokens from its left edge,
    padding included.
    """
    device = (
        present.device
        if present is not None
        else prompt_lengths.device
        if prompt_lengths is not None
        else None
    )
    index = torch.arange(length, device=device)
    query, key = index[:, None], index[None, :]
    seen = (key <= query)[None]
    if window is not None and prompt_lengths is not None:
        seen = seen & ((key < prompt_lengths[:, None, None]) | (query - key < window))
    if present is not None:
        # A padding query sees itself: a softmax over nothing would be NaN.
        seen = (seen & present[:, None, :].bool()) | (key == query)
    return seen[:, None]


class Attention(nn.Module):
    """Multi-head attention with rotary positions."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.key_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, self.key_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, self.key_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, config.hidden_size, bias=False)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KeyValues | None
    ) -> Tensor:
        b, t, _ = x.shape
        q = rotate(self.q_proj(x).view(b, t, self.heads, self.head_dim).transpose(1, 2), rotary)
        k = rotate(self.k_proj(x).view(b, t, self.key_heads, self.head_dim).transpose(1, 2), rotary)
        v = self.v_proj(x).view(b, t, self.key_heads, self.head_dim).transpose(1, 2)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        if self.key_heads != self.heads:
            k, v = (part.repeat_interleave(self.heads // self.key_heads, dim=1) for part in (k, v))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None and t > 1)
        return self.o_proj(attended.transpose(1, 2).reshape(b, t, -1))  # type: ignore[no-any-return]
