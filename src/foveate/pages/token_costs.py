"""What other encoders would spend on a page, by their own published rules. No network runs.

Counts are tokens that carry image; the one or two tokens that some of them put around an image are left out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TokenCost:
    """One encoder's price for one page; `tokens` is None where the encoder refuses the page."""

    encoder: str
    tokens: int | None
    how: str
    source: str


def internvl2(width: int, height: int, max_tiles: int = 12) -> TokenCost:
    """InternVL2: tiles of 448 pixels in the closest grid, 256 tokens each; if several, a thumbnail too.

    A tile is 32 x 32 patches of 14 pixels, shuffled 2 x 2 into 256 tokens (Chen et al., "How Far Are We
    to GPT-4V?", arXiv:2404.16821, section 3); grid, tie rule and thumbnail as in `dynamic_preprocess` of the
    model card of OpenGVLab/InternVL2-8B, with its `max_num=12` and `use_thumbnail=True`.
    """
    columns, rows = _closest_grid(width, height, tile=448, max_tiles=max_tiles)
    tiles = columns * rows
    views = tiles + (tiles > 1)
    how = f"{columns} x {rows} tiles of 448" + (" and a thumbnail" if tiles > 1 else "")
    return TokenCost("InternVL2", views * 256, how, "arXiv:2404.16821; OpenGVLab/InternVL2-8B")


def qwen2_vl(
    width: int, height: int, min_pixels: int = 56 * 56, max_pixels: int = 16384 * 28 * 28
) -> TokenCost:
    """Qwen2-VL: the page at its own size, each side rounded to 28 pixels, one token per 28 x 28.

    Naive dynamic resolution (Wang et al., arXiv:2409.12191, section 2.1): patches of 14 pixels, merged
    2 x 2. Rounding as in `smart_resize` of transformers' Qwen2VLImageProcessor, which refuses pages longer
    than 200 to 1; limits from preprocessor_config.json of Qwen/Qwen2-VL-7B-Instruct (4 to 16,384 tokens).
    """
    source = "arXiv:2409.12191; Qwen/Qwen2-VL-7B-Instruct"
    if max(width, height) > 200 * min(width, height):
        return TokenCost("Qwen2-VL", None, "refused: longer than 200 to 1", source)
    columns, rows = _round_to_patches(width, height, min_pixels, max_pixels)
    how = f"{columns} x {rows} patches of 28, from {columns * 28} x {rows * 28} pixels"
    return TokenCost("Qwen2-VL", columns * rows, how, source)


def vary(width: int, height: int) -> TokenCost:
    """Vary: two towers, 256 tokens each, joined channel by channel: 256 for any page.

    CLIP-L at 224 pixels (16 x 16 patches) and a SAM-base at 1024 (64 x 64 patches, then two strided
    convolutions) (Wei et al., arXiv:2312.06109, section 3); `image_token_len = 256` in vary_qwen_vary.py of
    Ucas-HaoranWei/Vary.
    """
    how = "1024 x 1024 and 224 x 224, side by side in the channels"
    return TokenCost("Vary", 256, how, "arXiv:2312.06109; Ucas-HaoranWei/Vary")


def got_ocr2(width: int, height: int) -> TokenCost:
    """GOT-OCR2.0: one tower at 1024 pixels, 256 tokens for any page.

    As Vary's larger tower (Wei et al., arXiv:2409.01704, section 3).
    """
    return TokenCost("GOT-OCR2.0", 256, "1024 x 1024", "arXiv:2409.01704; Ucas-HaoranWei/GOT-OCR2.0")


ENCODERS: tuple[Callable[[int, int], TokenCost], ...] = (internvl2, qwen2_vl, vary, got_ocr2)


def other_encoders(width: int, height: int) -> list[TokenCost]:
    """Every encoder's price for a page of `width` x `height` pixels."""
    return [encoder(width, height) for encoder in ENCODERS]


def _closest_grid(width: int, height: int, tile: int, max_tiles: int) -> tuple[int, int]:
    """Columns and rows of the grid whose shape is nearest to the page's.

    Of grids equally near, a larger one wins while the page has more than half its pixels.
    """
    sides = range(1, max_tiles + 1)
    grids = [(columns, rows) for columns in sides for rows in sides if columns * rows <= max_tiles]
    best, nearest = (1, 1), math.inf
    for columns, rows in sorted(grids, key=math.prod):
        distance = abs(width / height - columns / rows)
        fills = width * height > 0.5 * tile * tile * columns * rows
        if distance < nearest or (distance == nearest and fills):
            best, nearest = (columns, rows), distance
    return best


def _round_to_patches(
    width: int, height: int, min_pixels: int, max_pixels: int, patch: int = 28
) -> tuple[int, int]:
    """Patches along both sides: rounded, then scaled into the limits with the page's shape kept."""
    columns, rows = round(width / patch), round(height / patch)
    pixels = columns * rows * patch * patch
    if pixels > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        return max(1, math.floor(width / shrink / patch)), max(1, math.floor(height / shrink / patch))
    if pixels < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        return math.ceil(width * grow / patch), math.ceil(height * grow / patch)
    return columns, rows
