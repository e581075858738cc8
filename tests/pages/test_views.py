"""From a page to the encoder's pixels."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from foveate.pages.mode import MODES, Mode, get_mode
from foveate.pages.views import GREY, cut, make_views, normalise
from tests.tiny import picture


def normalised(value: float) -> Tensor:
    return torch.tensor((value / 255 - 0.5) / 0.5).to(torch.bfloat16)


@pytest.mark.parametrize("value", [0, 1, 100, 127, 128, 254, 255])
def test_a_byte_becomes_a_number_from_minus_one_to_one(value: int) -> None:
    pixels = normalise(Image.new("RGB", (3, 2), (value,) * 3))
    assert (pixels.shape, pixels.dtype) == ((3, 2, 3), torch.bfloat16)
    assert (pixels == normalised(value)).all()


def test_channels_come_first_and_rows_before_columns() -> None:
    image = Image.new("RGB", (4, 3))
    image.putpixel((3, 1), (255, 127, 0))
    pixels = normalise(image)
    assert pixels[:, 1, 3].tolist() == [1.0, float(normalised(127)), -1.0]
    assert (pixels == -1).sum() == 3 * 12 - 2


@pytest.mark.parametrize("name", MODES)
def test_views_have_the_modes_sizes(name: str) -> None:
    mode = get_mode(name)
    for size in ((300, 500), (900, 1600)):
        views, layout = make_views(picture(*size), mode), mode.layout(*size)
        assert views.whole.shape == (3, mode.side, mode.side) and views.whole.dtype == torch.bfloat16
        assert views.grid == layout.grid
        if layout.tiles:
            assert views.tiles is not None and views.tiles.shape == (layout.tiles, 3, mode.tile, mode.tile)
        else:
            assert views.tiles is None


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_small_modes_stretch_the_page(name: str) -> None:
    mode, image = get_mode(name), Image.new("RGB", (400, 200), (10, 20, 30))
    whole = make_views(image, mode).whole
    assert all((whole[channel] == normalised(10 * (channel + 1))).all() for channel in range(3))
    detailed = picture(400, 200)
    stretched = detailed.resize((mode.side, mode.side), Image.Resampling.BICUBIC)
    assert torch.equal(make_views(detailed, mode).whole, normalise(stretched))


@pytest.mark.parametrize(
    ("size", "scaled", "corner"), [((400, 200), (1024, 512), (0, 256)), ((300, 600), (512, 1024), (256, 0))]
)
def test_large_modes_pad_the_page_with_grey(
    size: tuple[int, int], scaled: tuple[int, int], corner: tuple[int, int]
) -> None:
    image = picture(*size)
    whole = make_views(image, get_mode("base")).whole
    (width, height), (x, y) = scaled, corner
    page = whole[:, y : y + height, x : x + width]
    assert torch.equal(page, normalise(image.resize(scaled, Image.Resampling.BICUBIC)))
    padding = torch.ones(1024, 1024, dtype=torch.bool)
    padding[y : y + height, x : x + width] = False
    assert GREY == (127, 127, 127)
    assert (whole[:, padding] == normalised(127)).all()


def test_tiles_go_row_by_row() -> None:
    mode, side = Mode("mini", 256, tile=128), 128
    # Every tile has a colour of its own.
    cells = np.arange(1, 7, dtype=np.uint8).reshape(3, 2) * 40
    image = Image.fromarray(np.kron(cells, np.ones((400, 400), np.uint8))).convert("RGB")
    views = make_views(image, mode)
    assert views.grid == (2, 3) and views.tiles is not None
    centres = views.tiles[:, 0, side // 2, side // 2]
    assert centres.tolist() == [float(normalised(value)) for value in cells.flatten().tolist()]


def test_tiles_are_cut_from_the_stretched_page() -> None:
    image = picture(700, 900)
    tiles, stretched = cut(image, (3, 2), 64), image.resize((192, 128), Image.Resampling.BICUBIC)
    assert [tile.size for tile in tiles] == [(64, 64)] * 6
    rejoined = Image.new("RGB", (192, 128))
    for number, tile in enumerate(tiles):
        rejoined.paste(tile, (number % 3 * 64, number // 3 * 64))
    assert rejoined.tobytes() == stretched.tobytes()


def test_the_whole_page_stays_whole_beside_its_tiles() -> None:
    image = picture(1300, 1900)
    tiled = make_views(image, get_mode("gundam"))
    assert tiled.grid != (1, 1)
    assert torch.equal(tiled.whole, make_views(image, get_mode("base")).whole)


@pytest.mark.parametrize("kind", ["L", "P", "1", "CMYK"])
def test_every_kind_of_image_becomes_rgb(kind: str) -> None:
    views = make_views(picture(300, 200).convert(kind), get_mode("tiny"))
    assert views.whole.shape == (3, 512, 512)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 700)])
@pytest.mark.parametrize("name", ["tiny", "base", "gundam"])
def test_slivers_are_pages_too(size: tuple[int, int], name: str) -> None:
    mode = get_mode(name)
    views = make_views(Image.new("RGB", size, (200, 200, 200)), mode)
    assert views.whole.shape == (3, mode.side, mode.side)
