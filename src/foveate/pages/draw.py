"""A page's image with its boxes drawn on it."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Iterator
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from foveate.document import Block, Box, Page

# One colour for each family of kinds: dark enough for white letters.
_COLOURS = {
    "title": (176, 0, 32),
    "sub_title": (204, 68, 0),
    "text": (0, 86, 179),
    "list": (0, 110, 120),
    "table": (0, 120, 60),
    "image": (122, 0, 160),
    "figure": (122, 0, 160),
    "equation": (150, 90, 0),
}
_CAPTION = (90, 70, 110)
_FURNITURE = (95, 95, 95)
_FILL = 28  # of 255: the words under a box stay readable


def draw_boxes(image: Image.Image, page: Page) -> Image.Image:
    """A copy of the page's image, in RGB, with every box outlined in its kind's colour and labelled.

    A label says the block's place in the reading order and its kind. Boxes are in pixels of a page of
    page.width x page.height and follow an image of another size.
    """
    drawn = image.convert("RGB")
    shapes = list(_shapes(page, image.width, image.height))
    layer = Image.new("RGBA", drawn.size, (0, 0, 0, 0))
    filler = ImageDraw.Draw(layer)
    for _, block, corners in shapes:
        filler.rectangle(corners, fill=(*colour(block.kind), _FILL))
    drawn.paste(layer, mask=layer)
    _outline(ImageDraw.Draw(drawn), shapes, drawn.size)
    return drawn


Corners = tuple[int, int, int, int]
Shape = tuple[int, Block, Corners]


def _shapes(page: Page, width: int, height: int) -> Iterator[Shape]:
    """Place in the reading order, block and pixel corners (inclusive) of each box."""
    across, down = width / max(page.width, 1), height / max(page.height, 1)
    for place, block in enumerate(page.blocks, start=1):
        for box in block.boxes:
            yield place, block, _corners(box, across, down, width, height)


def _corners(box: Box, across: float, down: float, width: int, height: int) -> Corners:
    x0 = min(max(round(box.x0 * across), 0), width - 1)
    y0 = min(max(round(box.y0 * down), 0), height - 1)
    x1 = min(max(round(box.x1 * across) - 1, x0), width - 1)
    y1 = min(max(round(box.y1 * down) - 1, y0), height - 1)
    return x0, y0, x1, y1


def _outline(canvas: ImageDraw.ImageDraw, shapes: list[Shape], size: tuple[int, int]) -> None:
    """Outlines first, labels over them, both in proportion to the image."""
    short = min(size)
    line = max(1, round(short / 500))
    font = _font(min(max(10, round(short / 60)), 64))
    for _, block, corners in shapes:
        canvas.rectangle(corners, outline=colour(block.kind), width=line)
    taken: set[tuple[int, int]] = set()
    for place, block, corners in shapes:
        _label(canvas, f"{place} {block.kind[:24]}", corners, colour(block.kind), font, size, taken)


def _label(
    canvas: ImageDraw.ImageDraw,
    words: str,
    corners: Corners,
    paint: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
    taken: set[tuple[int, int]],
) -> None:
    """White words on the kind's colour, at the first place around the box that no other label has."""
    left, top, right, bottom = canvas.textbbox((0, 0), words, font=font)
    width, height = int(right - left) + 6, int(bottom - top) + 4
    places = [_within(place, width, height, size) for place in _places(corners, width, height)]
    x, y = next((place for place in places if not taken & _cells(*place, width, height)), places[0])
    taken |= _cells(x, y, width, height)
    canvas.rectangle((x, y, x + width - 1, y + height - 1), fill=paint)
    canvas.text((x + 3 - left, y + 2 - top), words, fill="white", font=font)


def _places(corners: Corners, width: int, height: int) -> list[tuple[int, int]]:
    """Where a label may stand, best first: above the right end, where headings and last lines are short."""
    x0, y0, x1, y1 = corners
    across = max(x1 - width + 1, x0)
    return [(across, y0 - height), (x0, y0 - height), (across, y0), (x0, y0), (across, y1 + 1), (x0, y1 + 1)]


def _within(place: tuple[int, int], width: int, height: int, size: tuple[int, int]) -> tuple[int, int]:
    return max(min(place[0], size[0] - width), 0), max(min(place[1], size[1] - height), 0)


def _cells(x: int, y: int, width: int, height: int) -> set[tuple[int, int]]:
    """The squares of 4 pixels that a label covers, its edges left out."""
    columns = range((x + 2) // 4, (x + width - 3) // 4 + 1)
    rows = range((y + 2) // 4, (y + height - 3) // 4 + 1)
    return {(column, row) for column in columns for row in rows}


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def colour(kind: str) -> tuple[int, int, int]:
    """A kind's colour, the same on every page: red, green and blue, 0 to 255."""
    if kind in _COLOURS:
        return _COLOURS[kind]
    if kind.endswith(("caption", "footnote")):
        return _CAPTION
    if kind in ("header", "footer", "page_number"):
        return _FURNITURE
    hue = zlib.crc32(kind.encode("utf-8", "replace")) % 360
    red, green, blue = colorsys.hls_to_rgb(hue / 360, 0.33, 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)
