"""Prices of pictures: the providers' own examples."""

import pytest

from foveate.errors import OptionError
from foveate.pages.image_prices import PRICES, price_of


@pytest.mark.parametrize(
    ("rule", "size", "detail", "tokens"),
    [
        # OpenAI, "Images and vision", Calculating costs
        ("openai-tiles", (1024, 1024), "high", 765),
        ("openai-tiles", (2048, 4096), "high", 1105),
        ("openai-tiles", (4096, 8192), "low", 85),
        ("openai-tiles", (512, 512), "high", 255),
        ("openai-patches", (1024, 1024), "high", 1659),  # 1024 patches x 1.62
        ("openai-patches", (1800, 2400), "high", 2353),  # 1452 patches x 1.62
        ("openai-patches-nano", (1024, 1024), "high", 2520),
        # Anthropic, "Vision": the table of sizes
        ("anthropic", (200, 200), "high", 54),
        ("anthropic", (1000, 1000), "high", 1334),
        ("anthropic", (1092, 1092), "high", 1590),
        ("anthropic", (4000, 4000), "high", 1600),
        # Google, "Understand and count tokens"
        ("gemini", (384, 384), "high", 258),
        ("gemini", (385, 100), "high", 258),
        ("gemini", (1000, 800), "high", 4 * 258),
        ("gemini3", (3000, 2000), "high", 1120),
        # Qwen2-VL's paper: 224 x 224 are 64 tokens and two marks
        ("qwen2.5-vl", (224, 224), "high", 66),
        ("qwen3-vl", (256, 256), "high", 66),
        ("deepseek-ocr", (640, 640), "high", 111),
        ("generic", (280, 290), "high", 110),
    ],
)
def test_published_examples(rule: str, size: tuple[int, int], detail: str, tokens: int) -> None:
    assert price_of(rule).tokens(*size, detail) == tokens


@pytest.mark.parametrize("rule", PRICES)
def test_every_picture_costs_something_and_more_pixels_never_less(rule: str) -> None:
    prices = [price_of(rule).tokens(side, side, "high") for side in (1, 100, 384, 512, 640, 1024, 1280)]
    assert prices[0] > 0 and prices == sorted(prices)


def test_an_unknown_rule() -> None:
    with pytest.raises(OptionError, match="openai-tiles"):
        price_of("free")
