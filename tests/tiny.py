"""Networks and pages small enough to go through in a moment."""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from foveate.config import ClipConfig, DecoderConfig, OCRConfig, SamConfig
from foveate.model.ocr import OCR
from foveate.pages.mode import Mode
from foveate.pages.views import PageViews, make_views

AnyModule = TypeVar("AnyModule", bound=nn.Module)

# The grids of stored positions and the window are the released ones, so that every mode has its own number of
# tokens.
CONFIG = OCRConfig(
    sam=SamConfig(
        width=16, layers=2, heads=2, global_attn_indexes=(1,), downsample_channels=(24, 32), neck_channels=16
    ),
    clip=ClipConfig(width=32, layers=2, heads=2, mlp_width=48),
    decoder=DecoderConfig(
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=64,
        moe_intermediate_size=24,
        n_routed_experts=8,
        num_experts_per_tok=3,
        vocab_size=96,
    ),
    image_token_id=2,
)


def with_decoder(**sizes: Any) -> OCRConfig:
    """The tiny configuration with other values in its decoder."""
    return replace(CONFIG, decoder=replace(CONFIG.decoder, **sizes))


def fill(module: AnyModule, seed: int = 0) -> AnyModule:
    """Random weights, the same for the same seed, and wide enough that every part is heard in the output."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        norm = parameter.ndim == 1 and bool((parameter == 1).all())
        fan_in = parameter[0].numel() if parameter.ndim == 4 else parameter.shape[-1]
        spread = 0.3 if parameter.ndim == 1 or name.endswith("pos_embed") else 1.5 * fan_in**-0.5
        parameter.data = norm + spread * torch.randn(parameter.shape, generator=generator)
    return module.eval().requires_grad_(False)


def network(config: OCRConfig = CONFIG, seed: int = 0) -> OCR:
    """A whole network with random weights, in fp32."""
    return fill(OCR(config), seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(100 + seed))  # not the weights' numbers


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Coloured squares of eight pixels."""
    cells = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return Image.fromarray(cells.repeat(8, axis=0).repeat(8, axis=1)[:height, :width])


def views(width: int, height: int, mode: Mode, seed: int = 0) -> PageViews:
    """A picture's views in fp32."""
    made = make_views(picture(width, height, seed), mode)
    return PageViews(made.whole.float(), None if made.tiles is None else made.tiles.float(), made.grid)


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Norm of the difference over the norm of what is right."""
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())
