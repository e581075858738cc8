"""CLIP-L's vision transformer (arXiv 2103.00020), its patch embedding replaced by the compressor's output.

B images · H, W tokens along a side · D width · N heads · C head width
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.config import ClipConfig
from foveate.model.sam import interpolate_positions


class Embeddings(nn.Module):
    """A class token before the compressor's tokens, and positions on all of them."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(config.width))
        # The released checkpoint carries it and never uses it: pixels come through SAM.
        self.patch_embedding = nn.Conv2d(3, config.width, config.patch_size, config.patch_size, bias=False)
        self.patch_embedding.requires_grad_(False)
        self.position_embedding = nn.Embedding(1 + config.grid**2, config.width)
        self.grid = config.grid

    def forward(self, features: Tensor) -> Tensor:
        b, d, side, _ = features.shape
        positions = self.position_embedding.weight
        square = interpolate_positions(positions[1:].view(1, self.grid, self.grid, d), side)
        tokens = features.flatten(2).transpose(1, 2)  # (B, D, H, W) -> (B, H*W, D)
        tokens = torch.cat([self.class_embedding.expand(b, 1, d), tokens], dim=1)
        return tokens + torch.cat([positions[None, :1], square.flatten(1, 2)], dim=1)


class Attention(nn.Module):
    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv_proj = nn.Linear(config.width, config.width * 3)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv_proj(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(attended.transpose(1, 2).reshape(b, t, d))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc1(x)
        return self.fc2(hidden * torch.sigmoid(1.702 * hidden))  # type: ignore[no-any-return]  # CLIP's quick GELU


class Layer(nn.Module):
    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.width, eps=1e-5)
        self.self_attn = Attention(config)
        self.layer_norm2 = nn.LayerNorm(config.width, eps=1e-5)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Clip(nn.Module):
    """The compressor's features (B, D, H, W) to as many tokens, each with the whole view in sight: (B, H*W,
    D)."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.width, eps=1e-5)  # spelt as the checkpoint spells it
        self.transformer = Transformer(config)

    def forward(self, features: Tensor) -> Tensor:
        tokens: Tensor = self.transformer(self.pre_layrnorm(self.embeddings(features)))
        return tokens[:, 1:]  # without the class token
