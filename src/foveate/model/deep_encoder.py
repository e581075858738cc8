"""DeepEncoder: SAM, the 16x compressor and CLIP in series (DeepSeek-OCR, section 3.2).

B views · H, W vision tokens along a side of a view · D the decoder's width · R, C tiles down and across
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from foveate.config import OCRConfig
from foveate.model.clip import Clip
from foveate.model.compressor import Compressor
from foveate.model.sam import Sam


class Views(Protocol):
    """One page as the network takes it."""

    @property
    def whole(self) -> Tensor:
        """The whole page, (3, side, side)."""

    @property
    def tiles(self) -> Tensor | None:
        """Its tiles row by row, (R * C, 3, side, side), or none."""

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles across and down, (C, R)."""


class Projector(nn.Module):
    def __init__(self, config: OCRConfig) -> None:
        super().__init__()
        self.layers = nn.Linear(config.encoder_width, config.decoder.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


class DeepEncoder(nn.Module):
    """Pages to sequences of vision tokens in the decoder's width."""

    def __init__(self, config: OCRConfig) -> None:
        super().__init__()
        self.sam = Sam(config.sam)
        self.compressor = Compressor(config.sam)
        self.clip = Clip(config.clip)
        self.projector = Projector(config)
        self.image_newline = nn.Parameter(torch.zeros(config.decoder.hidden_size))
        self.view_separator = nn.Parameter(torch.zeros(config.decoder.hidden_size))

    def encode(self, pixels: Tensor) -> Tensor:
        """Views (B, 3, side, side) to vision tokens (B, H, W, D) with H = W = side / 64."""
        return self.contextualise(self.compressor(self.sam(pixels)))

    def contextualise(self, local: Tensor) -> Tensor:
        """The compressor's features (B, C, H, W), with CLIP's view of the whole, to tokens (B, H, W, D)."""
        context = self.clip(local)
        b, _, h, w = local.shape
        features = torch.cat([context, local.flatten(2).transpose(1, 2)], dim=-1)
        return self.projector(features).view(b, h, w, -1)  # type: ignore[no-any-return]

    def forward(self, pages: Sequence[Views], batch: int = 8) -> list[Tensor]:
        """For each page its sequence (tokens, D): tiles, whole page, separator, a newline after every row.

        Views of one size are encoded together, at most `batch` at a time.
        """
        pixels = [view for page in pages for view in (page.whole[None], page.tiles) if view is not None]
        encoded = iter(self.encode_all(pixels, batch))
        return [self.arrange(next(encoded)[0], _tiles(page, encoded), page.grid) for page in pages]

    def encode_all(self, groups: Sequence[Tensor], batch: int) -> list[Tensor]:
        """Groups of views (n, 3, side, side) to groups of tokens (n, H, W, D), whatever their sides."""
        results: list[Tensor] = [torch.empty(0)] * len(groups)
        for side in sorted({group.shape[-1] for group in groups}):
            chosen = [index for index, group in enumerate(groups) if group.shape[-1] == side]
            views = torch.cat([groups[index] for index in chosen])
            tokens = torch.cat([self.encode(part) for part in torch.split(views, batch)])
            counts = [len(groups[index]) for index in chosen]
            for index, part in zip(chosen, torch.split(tokens, counts), strict=True):
                results[index] = part
        return results

    def arrange(self, whole: Tensor, tiles: Tensor | None, grid: tuple[int, int]) -> Tensor:
        """One page's tokens, whole (H, W, D) and tiles (R * C, h, w, D), in the order of the released
        weights."""
        # Tiles before the whole page: the released weights were trained in this order.
        parts = [] if tiles is None else [self.with_newlines(join_tiles(tiles, grid))]
        parts += [self.with_newlines(whole), self.view_separator[None]]
        return torch.cat(parts)

    def with_newlines(self, tokens: Tensor) -> Tensor:
        """(H, W, D) to (H * (W + 1), D): a newline after every row."""
        h, _, d = tokens.shape
        return torch.cat([tokens, self.image_newline.expand(h, 1, d)], dim=1).flatten(0, 1)


def _tiles(page: Views, encoded: Iterator[Tensor]) -> Tensor | None:
    return None if page.tiles is None else next(encoded)


def join_tiles(tiles: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tiles row by row (R * C, h, w, D) to the square that they were cut from (R * h, C * w, D)."""
    columns, rows = grid
    _, h, w, d = tiles.shape
    return tiles.view(rows, columns, h, w, d).transpose(1, 2).reshape(rows * h, columns * w, d)
