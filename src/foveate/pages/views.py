"""A page image as the encoder takes it: the released code's pixels, to the last bit.

Pillow's bicubic filter, grey 127 around a padded page, mean and standard deviation 0.5, rounded to bf16.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from foveate.pages.mode import Mode

GREY = (127, 127, 127)


@dataclass(frozen=True)
class PageViews:
    """One page: the whole of it (3, side, side), its tiles row by row (n, 3, tile, tile), tiles across and
    down."""

    whole: Tensor
    tiles: Tensor | None
    grid: tuple[int, int]


def make_views(image: Image.Image, mode: Mode) -> PageViews:
    """An upright RGB page, any size, to the views of a mode; pixels in bf16 from -1 to 1."""
    image = image.convert("RGB")
    grid = mode.grid(*image.size)
    square = (mode.side, mode.side)
    resized = image.resize(square, Image.Resampling.BICUBIC) if mode.resized else image
    whole = ImageOps.pad(resized, square, Image.Resampling.BICUBIC, color=GREY)
    tiles = None if grid == (1, 1) else torch.stack([normalise(tile) for tile in cut(image, grid, mode.tile)])
    return PageViews(normalise(whole), tiles, grid)


def cut(image: Image.Image, grid: tuple[int, int], side: int) -> list[Image.Image]:
    """The page stretched to the grid's size and cut into squares, row by row."""
    columns, rows = grid
    stretched = image.resize((columns * side, rows * side), Image.Resampling.BICUBIC)
    corners = [(x * side, y * side) for y in range(rows) for x in range(columns)]
    return [stretched.crop((x, y, x + side, y + side)) for x, y in corners]


def normalise(image: Image.Image) -> Tensor:
    """RGB pixels to (3, height, width) in bf16, mean and standard deviation 0.5."""
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1)
    return pixels.float().div(255).sub(0.5).div(0.5).to(torch.bfloat16)
