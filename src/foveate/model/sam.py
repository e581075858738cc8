"""SAM's image encoder: a vision transformer with window attention and a few global layers.

From "Segment Anything" (arXiv 2304.02643) after ViTDet (arXiv 2203.16527), as DeepSeek-OCR's DeepEncoder uses
it.

B images · H, W patches along a side · D width · N heads · C head width · S window side
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.config import SamConfig

# Elements of one block of attention scores: on a CPU it should stay in the cache.
ATTENTION_ELEMENTS = {"cpu": 1 << 22}
ATTENTION_ELEMENTS_ELSEWHERE = 1 << 26
WINDOW_PATCHES = 256  # a square of so few patches goes in one piece, however many there are


class PatchEmbed(nn.Module):
    """16-pixel patches to vectors."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        patches: Tensor = self.proj(pixels)
        return patches.permute(0, 2, 3, 1)  # (B, D, H, W) -> (B, H, W, D)


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return normed.permute(0, 3, 1, 2)


def relative_table(side: int, stored: Tensor) -> Tensor:
    """Relative position vectors R[i, j] for query i and key j: (side, side, C).

    `stored` is (2 * side' - 1, C); another side than it was stored for is interpolated linearly.
    """
    length = 2 * side - 1
    if stored.shape[0] != length:
        table = F.interpolate(stored.T[None].float(), size=length, mode="linear")
        stored = table[0].T.to(stored.dtype)
    index = torch.arange(side, device=stored.device)
    return stored[index[:, None] - index[None, :] + side - 1]


class Attention(nn.Module):
    """Multi-head attention over a square of patches, with decomposed relative positions."""

    def __init__(self, config: SamConfig, side: int) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.width // config.heads
        self.qkv = nn.Linear(config.width, config.width * 3)
        self.proj = nn.Linear(config.width, config.width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, self.head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, self.head_dim))

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, d = x.shape
        qkv = self.qkv(x).view(b, h * w, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # each (B, N, H*W, C)
        rows, columns = relative_table(h, self.rel_pos_h), relative_table(w, self.rel_pos_w)
        # The bias of all queries at once would be gigabytes on a 1280-pixel view: take some rows of queries
        # at a time.
        elements = ATTENTION_ELEMENTS.get(x.device.type, ATTENTION_ELEMENTS_ELSEWHERE)
        step = max(1, min(h, elements // (b * self.heads * w * h * w))) if h * w > WINDOW_PATCHES else h
        parts = [
            F.scaled_dot_product_attention(
                q[:, :, top * w : (top + step) * w],
                k,
                v,
                attn_mask=self.position_bias(
                    q[:, :, top * w : (top + step) * w], rows[top : top + step], columns
                ),
            )
            for top in range(0, h, step)
        ]
        attended = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return self.proj(attended.transpose(1, 2).reshape(b, h, w, d))  # type: ignore[no-any-return]

    def position_bias(self, q: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """What the distance between query and key adds to their score: (B, N, h*W, H*W) for h rows of
        queries."""
        b, n, _, c = q.shape
        h, w = rows.shape[0], columns.shape[0]
        q = q.reshape(b, n, h, w, c)
        by_row = torch.einsum("bnhwc,hkc->bnhwk", q, rows)
        by_column = torch.einsum("bnhwc,wkc->bnhwk", q, columns)
        return (by_row[..., :, None] + by_column[..., None, :]).flatten(4).flatten(2, 3)


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, 4 * width)
        self.lin2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.gelu(self.lin1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """A transformer layer; with a window size, patches attend inside their window alone."""

    def __init__(self, config: SamConfig, window_size: int) -> None:
        super().__init__()
        self.window_size = window_size  # 0: global
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = Attention(config, window_size or config.grid)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = Mlp(config.width)

    def forward(self, x: Tensor) -> Tensor:
        attended = self.norm1(x)
        if self.window_size:
            _, h, w, _ = x.shape
            attended = join_windows(self.attn(split_windows(attended, self.window_size)), h, w)
        else:
            attended = self.attn(attended)
        x = x + attended
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


def split_windows(x: Tensor, side: int) -> Tensor:
    """(B, H, W, D) to (B * windows, S, S, D); the last windows are filled up with zeros."""
    b, h, w, d = x.shape
    x = F.pad(x, (0, 0, 0, -w % side, 0, -h % side))
    rows, columns = x.shape[1] // side, x.shape[2] // side
    x = x.view(b, rows, side, columns, side, d).transpose(2, 3)
    return x.reshape(b * rows * columns, side, side, d)


def join_windows(windows: Tensor, h: int, w: int) -> Tensor:
    """The way back of `split_windows`: (B * windows, S, S, D) to (B, H, W, D)."""
    side, d = windows.shape[1], windows.shape[3]
    rows, columns = -(-h // side), -(-w // side)
    x = windows.view(-1, rows, columns, side, side, d).transpose(2, 3)
    return x.reshape(-1, rows * side, columns * side, d)[:, :h, :w]


class Sam(nn.Module):
    """Pixels (B, 3, side, side) to features (B, 256, side / 16, side / 16)."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid, config.grid, config.width))
        self.blocks = nn.ModuleList(
            Block(config, 0 if layer in config.global_attn_indexes else config.window_size)
            for layer in range(config.layers)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(config.width, config.neck_channels, 1, bias=False),
            LayerNorm2d(config.neck_channels),
            nn.Conv2d(config.neck_channels, config.neck_channels, 3, padding=1, bias=False),
            LayerNorm2d(config.neck_channels),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embed(pixels)
        x = x + interpolate_positions(self.pos_embed, x.shape[1])
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))  # type: ignore[no-any-return]


def interpolate_positions(stored: Tensor, side: int) -> Tensor:
    """Absolute positions (1, G, G, D) for another side, bicubic as the released code does it: (1, side, side,
    D)."""
    if stored.shape[1] == side:
        return stored
    grid = stored.permute(0, 3, 1, 2).float()
    resized = F.interpolate(grid, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return resized.to(stored.dtype).permute(0, 2, 3, 1)
