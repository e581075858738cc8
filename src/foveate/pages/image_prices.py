"""What APIs and open models charge for a picture, in tokens, by their published rules.

    price_of("openai-tiles").tokens(768, 768, "high")  # 765

The rules are those of the documents that each function names, as they stood in 2025 and 2026. A provider may
change them; `usage` in its answers is what counts. Sides in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from foveate.errors import OptionError
from foveate.pages.mode import choose_mode
from foveate.pages.token_costs import qwen2_vl

LOW, HIGH = "low", "high"  # OpenAI's `detail`; the others have none


@dataclass(frozen=True)
class ImagePrice:
    """A rule: the tokens of a picture of so many pixels, in a detail."""

    name: str
    tokens: Callable[[int, int, str], int]
    source: str


def openai_tiles(width: int, height: int, detail: str = HIGH, base: int = 85, tile: int = 170) -> int:
    """GPT-4o, GPT-4.1, o1, o3: 85 tokens, and in high detail 170 for each tile of 512 pixels.

    In high detail the picture is first brought into 2048 x 2048 and then to a shorter side of at most 768; in
    low detail the model sees it at 512 x 512 (OpenAI, "Images and vision", Calculating costs).
    """
    if detail == LOW:
        return base
    shrink = min(1.0, 2048 / max(width, height))
    shrink *= min(1.0, 768 / (min(width, height) * shrink))
    across, down = (math.ceil(round(side * shrink, 6) / 512) for side in (width, height))
    return base + tile * across * down


def openai_patches(width: int, height: int, detail: str = HIGH, factor: float = 1.62) -> int:
    """GPT-4.1-mini, GPT-5-mini: patches of 32 pixels, at most 1,536, times 1.62; other models other factors.

    A larger picture is scaled down until its patches fit (OpenAI, "Images and vision", Calculating costs:
    GPT-5-mini and GPT-4.1-mini 1.62, GPT-4.1-nano and GPT-5-nano 2.46, o4-mini 1.72).
    """
    across, down = math.ceil(width / 32), math.ceil(height / 32)
    if across * down > 1536:
        shrink = math.sqrt(1536 * 32 * 32 / (width * height))
        wide, high = width * shrink / 32, height * shrink / 32
        shrink *= min(math.floor(wide) / wide, math.floor(high) / high)
        across, down = math.ceil(width * shrink / 32 - 1e-9), math.ceil(height * shrink / 32 - 1e-9)
    return math.ceil(min(across * down, 1536) * factor)


def anthropic(width: int, height: int, detail: str = HIGH) -> int:
    """Claude: width x height / 750, after scaling to a longer side of 1,568 and about 1,600 tokens.

    (Anthropic, "Vision", Evaluate image size and Calculate image costs; models that take larger pictures cost
    more for those.)
    """
    shrink = min(1.0, 1568 / max(width, height))
    tokens = math.ceil(width * shrink * height * shrink / 750)
    return min(tokens, 1600)


def gemini(width: int, height: int, detail: str = HIGH) -> int:
    """Gemini 2: 258 tokens for a picture within 384 x 384, else for each tile of 768 x 768.

    (Google, "Understand and count tokens", Multimodal tokens. Gemini 3 takes a fixed number a picture, by
    `media_resolution`.)
    """
    if max(width, height) <= 384:
        return 258
    return 258 * math.ceil(width / 768) * math.ceil(height / 768)


def gemini3(width: int, height: int, detail: str = HIGH) -> int:
    """Gemini 3: 1,120 tokens for any picture in the default resolution, 280 in the low one (Google, "Media
    resolution", Token counts)."""
    return 280 if detail == LOW else 1120


def qwen_vl(width: int, height: int, detail: str = HIGH) -> int:
    """Qwen2-VL and Qwen2.5-VL: one for each 28 x 28; see `token_costs.qwen2_vl`, and two marks around
    them."""
    tokens = qwen2_vl(width, height).tokens
    if tokens is None:
        raise OptionError(f"Qwen-VL refuses a picture of {width} x {height} pixels")
    return tokens + 2


def qwen3_vl(width: int, height: int, detail: str = HIGH) -> int:
    """Qwen3-VL: patches of 16 merged 2 x 2, so one for each 32 x 32, and two marks (arXiv:2511.21631)."""
    return max(1, round(width / 32)) * max(1, round(height / 32)) + 2


def deepseek_ocr(width: int, height: int, detail: str = HIGH) -> int:
    """DeepSeek-OCR and our networks: the places that the page takes in the decoder, in the cheapest mode that
    loses no pixel (arXiv:2510.18234, section 3.2.3)."""
    return choose_mode("auto", width, height).layout(width, height).sequence_length


def generic(width: int, height: int, detail: str = HIGH, side: int = 28) -> int:
    """A vision transformer at the picture's own size: one for each 28 x 28, as most open models have it."""
    return math.ceil(width / side) * math.ceil(height / side)


_OPENAI = "https://platform.openai.com/docs/guides/images-vision"
_GOOGLE = "https://ai.google.dev/gemini-api/docs/tokens"
PRICES: dict[str, ImagePrice] = {
    price.name: price
    for price in (
        ImagePrice("openai-tiles", openai_tiles, _OPENAI),
        ImagePrice("openai-patches", openai_patches, _OPENAI),
        ImagePrice("openai-patches-nano", partial(openai_patches, factor=2.46), _OPENAI),
        ImagePrice("anthropic", anthropic, "https://docs.anthropic.com/en/docs/build-with-claude/vision"),
        ImagePrice("gemini", gemini, _GOOGLE),
        ImagePrice("gemini3", gemini3, "https://ai.google.dev/gemini-api/docs/media-resolution"),
        ImagePrice("qwen2.5-vl", qwen_vl, "arXiv:2409.12191; Qwen/Qwen2.5-VL-7B-Instruct"),
        ImagePrice("qwen3-vl", qwen3_vl, "arXiv:2511.21631; Qwen/Qwen3-VL-8B-Instruct"),
        ImagePrice("deepseek-ocr", deepseek_ocr, "arXiv:2510.18234"),
        ImagePrice("generic", generic, "one token for each 28 x 28 pixels"),
    )
}


def price_of(name: str) -> ImagePrice:
    """The rule of that name. Raises `OptionError`."""
    if name not in PRICES:
        raise OptionError(f"{name!r} is no rule for the price of pictures: choose from {', '.join(PRICES)}")
    return PRICES[name]
