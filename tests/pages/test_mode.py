"""Token counts as the paper has them, and the choice of tiles as the released code has it."""

import math
from fractions import Fraction

import pytest

from foveate.errors import OptionError, UnknownMode
from foveate.pages.mode import MODES, SHARPER, Mode, choose_mode, get_mode

PAPER = {"tiny": 64, "small": 100, "base": 256, "large": 400}  # table 1
SIZES = [(w, h) for w in (300, 640, 641, 1000, 1654, 2480, 5000) for h in (300, 640, 720, 1754, 3508)]


@pytest.mark.parametrize("name", PAPER)
def test_native_modes_cost_what_the_paper_says(name: str) -> None:
    layout = get_mode(name).layout(1654, 2339)
    side = math.isqrt(PAPER[name])
    assert (layout.vision_tokens, layout.tiles, layout.grid) == (PAPER[name], 0, (1, 1))
    assert layout.sequence_length == side * (side + 1) + 1


@pytest.mark.parametrize(("name", "tile", "whole"), [("gundam", 100, 256), ("gundam-m", 256, 400)])
@pytest.mark.parametrize("size", SIZES)
def test_tiled_modes_cost_what_the_paper_says(
    name: str, tile: int, whole: int, size: tuple[int, int]
) -> None:
    layout = get_mode(name).layout(*size)
    assert layout.vision_tokens == layout.tiles * tile + whole
    assert layout.tiles == 0 or 2 <= layout.tiles <= 9
    per_tile, per_whole = math.isqrt(tile), math.isqrt(whole)
    columns, rows = layout.grid
    length = per_whole * (per_whole + 1) + 1
    if layout.tiles:
        length += rows * per_tile * (columns * per_tile + 1)
    assert layout.sequence_length == length


def test_the_papers_own_numbers_of_gundam_master() -> None:
    assert get_mode("gundam").layout(1280, 1920).vision_tokens == 6 * 100 + 256
    assert get_mode("gundam-m").layout(1280, 1920).vision_tokens == 6 * 256 + 400


@pytest.mark.parametrize(
    ("width", "height"),
    [
        *SIZES,
        (1, 5000),
        (1000, 1000),
        (560, 1000),  # rounding the ratio first gives one token too many
        (2000, 1090),
    ],
)
def test_valid_tokens_are_equation_one(width: int, height: int) -> None:
    shorter, longer = sorted((width, height))
    for name, mode in MODES.items():
        layout = mode.layout(width, height)
        whole = (mode.side // 64) ** 2
        lost = Fraction(longer - shorter, longer)
        valid = whole if mode.resized else math.ceil(whole * (1 - lost))
        assert layout.valid_tokens == valid + layout.vision_tokens - whole, name
        assert 0 < layout.valid_tokens <= layout.vision_tokens


def brute_force(mode: Mode, width: int, height: int) -> tuple[int, int]:
    """The released rule in one go: of the nearest grids, the largest one that the page fills by more than
    half; when it fills none of them so far, the smallest one."""
    grids = [
        (columns, rows)
        for tiles in range(2, mode.max_tiles + 1)
        for columns in range(1, tiles + 1)
        for rows in range(1, tiles + 1)
        if columns * rows == tiles
    ]
    distances = {(columns, rows): abs(width / height - columns / rows) for columns, rows in grids}
    nearest = [grid for grid in grids if distances[grid] == min(distances.values())]
    filled = [grid for grid in nearest if width * height / (mode.tile**2 * grid[0] * grid[1]) > 0.5]
    return filled[-1] if filled else nearest[0]


@pytest.mark.parametrize("name", ["gundam", "gundam-m"])
@pytest.mark.parametrize("max_tiles", [4, 6, 9, 12])
def test_grids_are_the_released_rules(name: str, max_tiles: int) -> None:
    mode = get_mode(name, max_tiles)
    for width in range(100, 4000, 170):
        for height in range(641, 4000, 130):
            assert mode.grid(width, height) == brute_force(mode, width, height), (width, height)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((640, 640), (1, 1)),  # small pages stay whole
        ((641, 641), (2, 2)),  # the only square grids are 2 x 2 and 3 x 3
        ((1500, 1500), (3, 3)),  # more than half of 3 x 3 tiles
        ((1357, 1357), (2, 2)),  # a little less than half
        ((1358, 1358), (3, 3)),
        ((700, 1400), (1, 2)),
        ((1300, 2600), (2, 4)),  # the same shape, with more pixels
        ((1400, 700), (2, 1)),
        ((100, 6000), (1, 9)),
        ((6000, 100), (9, 1)),
        ((1654, 2339), (2, 3)),  # A4
    ],
)
def test_grids_of_some_pages(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert get_mode("gundam").grid(*size) == grid


@pytest.mark.parametrize("name", PAPER)
def test_native_modes_have_no_tiles(name: str) -> None:
    assert get_mode(name).grid(5000, 3000) == (1, 1)


@pytest.mark.parametrize("max_tiles", [2, 3, 5, 64])
def test_max_tiles_is_kept(max_tiles: int) -> None:
    mode = get_mode("gundam", max_tiles)
    assert all(2 <= columns * rows <= max_tiles for columns, rows in mode.grids)
    assert all(mode.layout(*size).tiles <= max_tiles for size in SIZES)
    assert get_mode("gundam").max_tiles == 9


def test_auto_takes_the_cheapest_mode_that_loses_no_pixels() -> None:
    chosen = {
        (500, 400): "tiny",
        (512, 320): "tiny",
        (600, 500): "small",
        (512, 300): "base",  # too slender to be stretched
        (1024, 700): "base",
        (900, 1280): "large",
        (900, 1281): "gundam",
        (3000, 4000): "gundam",
    }
    assert {size: choose_mode("auto", *size).name for size in chosen} == chosen
    assert choose_mode("auto", 3000, 4000, max_tiles=4).max_tiles == 4


def test_modes_are_found_by_name() -> None:
    assert get_mode("Gundam_M") is MODES["gundam-m"]
    assert choose_mode("tiny", 5000, 5000) is MODES["tiny"]
    assert SHARPER == {
        "tiny": "small",
        "small": "base",
        "base": "large",
        "large": "gundam",
        "gundam": "gundam-m",
    }


def test_errors_say_what_there_is() -> None:
    with pytest.raises(UnknownMode, match=r"'huge' is not a mode: choose from tiny, .*gundam-m or auto"):
        get_mode("huge")
    for odd in (1, 0, -3, 65):
        with pytest.raises(OptionError, match="choose 2 to 64"):
            get_mode("gundam", odd)
