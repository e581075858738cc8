"""The resolution modes and their token arithmetic (DeepSeek-OCR, section 3.2.3 and table 1)."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

from foveate.errors import OptionError, UnknownMode

CELL = 64  # pixels along a side that one vision token covers: 16-pixel patches, merged 4 x 4
UNTILED = 640  # pixels; a page that fits in a square of this side is never cut into tiles
MIN_TILES, MAX_TILES = 2, 9
AUTO = "auto"


@dataclass(frozen=True)
class Layout:
    """What one page costs in one mode. Sides in pixels."""

    mode: str
    side: int  # of the whole page's view
    tile: int  # side of a tile; 0 without tiles
    grid: tuple[int, int]  # tiles across and down; (1, 1) when there are none
    resized: bool  # stretched to the square rather than padded
    page: tuple[int, int]  # width and height of the page itself

    @property
    def tiles(self) -> int:
        return self.grid[0] * self.grid[1] if self.tile else 0

    @property
    def vision_tokens(self) -> int:
        """Tokens that the encoder gives, as the paper counts them."""
        return (self.side // CELL) ** 2 + self.tiles * (self.tile // CELL) ** 2

    @property
    def sequence_length(self) -> int:
        """Places that the page takes in the decoder: a newline after every row and one separator more."""
        rows = self.side // CELL
        length = rows * (rows + 1) + 1
        if self.tiles:
            columns, lines = (count * (self.tile // CELL) for count in self.grid)
            length += lines * (columns + 1)
        return length

    @property
    def valid_tokens(self) -> int:
        """Vision tokens that carry page, not padding (DeepSeek-OCR, eq. 1)."""
        whole = (self.side // CELL) ** 2
        padded = whole if self.resized else -(-whole * min(self.page) // max(self.page))  # rounded up
        return padded + self.vision_tokens - whole


@dataclass(frozen=True)
class Mode:
    """A way to bring a page to the encoder's size."""

    name: str
    side: int  # pixels, of the view of the whole page
    tile: int = 0  # pixels; 0: no tiles
    resized: bool = False  # the page is stretched to the square; otherwise it keeps its shape and is padded
    max_tiles: int = MAX_TILES

    @cached_property
    def grids(self) -> list[tuple[int, int]]:
        """Grids of tiles (across, down) to choose from, fewest tiles first."""
        counts = range(1, self.max_tiles + 1)
        grids = [(c, r) for c in counts for r in counts if MIN_TILES <= c * r <= self.max_tiles]
        return sorted(grids, key=lambda grid: grid[0] * grid[1])

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Tiles across and down for a page of so many pixels; (1, 1) means none.

        The grid nearest in aspect ratio wins. Of equally near ones the larger wins as long as the page has
        more than half the larger grid's pixels.
        """
        if not self.tile or max(width, height) <= UNTILED:
            return (1, 1)
        best, nearest = (1, 1), math.inf
        for columns, rows in self.grids:
            distance = abs(width / height - columns / rows)
            roomy = width * height > 0.5 * self.tile**2 * columns * rows
            if distance < nearest or (distance == nearest and roomy):
                best, nearest = (columns, rows), distance
        return best

    def layout(self, width: int, height: int) -> Layout:
        """The arithmetic for a page of so many pixels."""
        grid = self.grid(width, height)
        tile = self.tile if grid != (1, 1) else 0
        return Layout(self.name, self.side, tile, grid, self.resized, (width, height))


MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("tiny", 512, resized=True),
        Mode("small", 640, resized=True),
        Mode("base", 1024),
        Mode("large", 1280),
        Mode("gundam", 1024, tile=640),
        Mode("gundam-m", 1280, tile=1024),
    )
}
SHARPER = dict(zip(MODES, list(MODES)[1:], strict=False))  # each mode's next higher one


def get_mode(name: str, max_tiles: int | None = None) -> Mode:
    """The mode of that name. Raises `UnknownMode`, and `OptionError` for an odd number of tiles."""
    key = name.lower().replace("_", "-")
    if key not in MODES:
        raise UnknownMode(f"{name!r} is not a mode: choose from {', '.join(MODES)} or {AUTO}")
    if max_tiles is None:
        return MODES[key]
    if not MIN_TILES <= max_tiles <= 64:
        raise OptionError(f"max_tiles is {max_tiles}: choose {MIN_TILES} to 64 tiles")
    return replace(MODES[key], max_tiles=max_tiles)


def choose_mode(name: str, width: int, height: int, max_tiles: int | None = None) -> Mode:
    """The mode of that name; `auto` takes the cheapest one that loses no pixels, and tiles for larger
    pages."""
    return get_mode(_auto(width, height) if name == AUTO else name, max_tiles)


def _auto(width: int, height: int) -> str:
    longest, shortest = max(width, height), min(width, height)
    for mode in MODES.values():
        stretched = mode.resized and longest > 1.6 * shortest  # beyond a page's shape, letters lose theirs
        if longest <= mode.side and not stretched and not mode.tile:
            return mode.name
    return "gundam"
