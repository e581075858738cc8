"""What other encoders would spend: small numbers worked out by hand, and the published code as an oracle."""

import random

import pytest

from foveate.pages.token_costs import internvl2, other_encoders, qwen2_vl

DICE = random.Random(0)
PAGES = [(1, 1), (27, 900), (448, 448), (595, 842), (896, 448), (1224, 1584), (2480, 3508), (9000, 700)]
PAGES += [(DICE.randint(8, 6000), DICE.randint(8, 6000)) for _ in range(200)]


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((448, 448), 256),  # one tile, no thumbnail
        ((100, 100), 256),
        ((896, 448), 3 * 256),  # 2 x 1 and a thumbnail
        ((1344, 1344), 10 * 256),  # 3 x 3 and a thumbnail: four tiles would do, but the page has the pixels
        ((1224, 1584), 13 * 256),  # 3 x 4 and a thumbnail
        ((4480, 448), 11 * 256),  # 10 x 1 and a thumbnail
    ],
)
def test_internvl2(size: tuple[int, int], tokens: int) -> None:
    assert internvl2(*size).tokens == tokens


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((224, 224), 64),  # the paper's own example, less its two marks
        ((28, 28), 4),  # the lower limit
        ((1224, 1584), 44 * 57),
        ((7168, 3584 * 4), 90 * 181),  # the upper limit
        ((4000, 10), None),
    ],
)
def test_qwen2_vl(size: tuple[int, int], tokens: int | None) -> None:
    assert qwen2_vl(*size).tokens == tokens


def test_the_fixed_ones_are_fixed() -> None:
    for size in PAGES:
        fixed = {cost.encoder: cost.tokens for cost in other_encoders(*size)[2:]}
        assert fixed == {"Vary": 256, "GOT-OCR2.0": 256}


def test_internvl2_as_published() -> None:
    published = pytest.importorskip("transformers.models.got_ocr2.image_processing_pil_got_ocr2")
    for width, height in PAGES:
        columns, rows = published.get_optimal_tiled_canvas((height, width), (448, 448), 1, 12)
        tiles = columns * rows
        assert internvl2(width, height).tokens == 256 * (tiles + (tiles > 1))


def test_qwen2_vl_as_published() -> None:
    published = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    for width, height in PAGES:
        if max(width, height) <= 200 * min(width, height):
            high, wide = published.smart_resize(height, width, max_pixels=16384 * 28 * 28)
            assert qwen2_vl(width, height).tokens == high * wide // 28**2
