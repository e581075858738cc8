"""Providers: how large a page they get, how it fades, and what it costs by `pages.image_prices`.

Fading is by smaller type: the older a text, the more of it stands on a page, so the fewer tokens it takes,
with every provider, also those that charge by the picture. Where OpenAI's low detail shows as many pixels for
a third of the tokens, it comes before smaller type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from foveate.errors import OptionError
from foveate.pages.image_prices import HIGH, LOW, price_of

AUTO = "auto"


@dataclass(frozen=True)
class Level:
    """A step of fading."""

    scale: float = 1.0  # of the style's type
    detail: str = ""  # OpenAI's; "" where the provider has none


@dataclass(frozen=True)
class Provider:
    """Whoever looks at the pages."""

    name: str
    price: str  # a name of `image_prices`
    page: tuple[int, int]  # pixels
    levels: tuple[Level, ...]  # from sharp to blurred
    max_images: int  # of a request
    crop: bool = True  # a page that is not full costs less when it is cut below its text

    def tokens(self, width: int, height: int, detail: str = "") -> int:
        """Of a picture."""
        return price_of(self.price).tokens(width, height, detail or HIGH)


_BY_TYPE = (Level(1.0), Level(0.8), Level(0.65), Level(0.5))
_TILES = (Level(1.0, HIGH), Level(1.0, LOW), Level(0.8, LOW), Level(0.65, LOW))
_PATCHES = tuple(Level(level.scale, HIGH) for level in _BY_TYPE)

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("openai", "openai-tiles", (512, 512), _TILES, 500, crop=False),
        Provider("openai-mini", "openai-patches", (896, 1152), _PATCHES, 500),
        Provider("openai-nano", "openai-patches-nano", (896, 1152), _PATCHES, 500),
        # Over 20 pictures a request, none may be larger than 2,000 pixels; these are not.
        Provider("anthropic", "anthropic", (896, 1152), _BY_TYPE, 100),
        Provider("gemini", "gemini", (768, 768), _BY_TYPE, 3000, crop=False),
        Provider("gemini3", "gemini3", (1024, 1024), _BY_TYPE, 900, crop=False),
        Provider("qwen2.5-vl", "qwen2.5-vl", (896, 1120), _BY_TYPE, 1000),
        Provider("qwen3-vl", "qwen3-vl", (896, 1120), _BY_TYPE, 1000),
        Provider("deepseek-ocr", "deepseek-ocr", (640, 640), _BY_TYPE, 1000, crop=False),
        Provider("generic", "generic", (896, 1120), _BY_TYPE, 1000),
    )
}
_MODELS = (
    ("openai-nano", r"gpt-[45](\.\d+)?-nano"),
    ("openai-mini", r"gpt-4\.1-mini|gpt-5(\.\d+)?-mini|o4-mini"),
    ("openai", r"gpt-|chatgpt|o[13](-|$)"),
    ("anthropic", r"claude"),
    ("gemini3", r"gemini-3"),
    ("gemini", r"gemini"),
    ("qwen3-vl", r"qwen-?3"),
    ("qwen2.5-vl", r"qwen"),
    ("deepseek-ocr", r"deepseek-ocr|foveate|nano"),
)


def get_provider(name: str, model: str = "") -> Provider:
    """The provider of that name; for "auto" the one whose models are named like `model`, else the generic
    one.

    Raises `OptionError`.
    """
    if name == AUTO:
        short = model.rpartition("/")[2].lower()
        found = (known for known, pattern in _MODELS if re.match(pattern, short))
        return PROVIDERS[next(found, "generic")]
    if name not in PROVIDERS:
        raise OptionError(f"{name!r} is no provider: choose from {AUTO}, {', '.join(PROVIDERS)}")
    return PROVIDERS[name]
