"""The pages of a store as they fade, on one picture: each as a whole, and a part of it as it is seen now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from foveate.errors import OptionError
from foveate.memory import paging
from foveate.memory.records import KEYWORDS, Sheet, ranges

if TYPE_CHECKING:
    from foveate.memory.store import OpticalMemory

MOST = 12  # sheets shown
COLUMNS = 6
CELL, DETAIL, LINE, GAP = 240, 90, 17, 14  # pixels: a page, its detail, a line of words, between cells
PART = 0.3  # of the page's width that the detail shows
INK, FAINT, PAPER, FRAME = (30, 30, 30), (120, 120, 120), (250, 249, 246), (190, 186, 178)


def draw(memory: OpticalMemory) -> Image.Image:
    """Sheets of every level, oldest first. Raises `OptionError` for an empty store."""
    sheets = list(memory.sheets())
    if not sheets:
        raise OptionError(f"{memory.path} holds no page that could be shown: remember something first")
    chosen = choose(sheets, MOST)
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    width, height = CELL + GAP, CELL + DETAIL + 2 * LINE + 2 * GAP
    page = Image.new("RGB", (columns * width + GAP, rows * height + GAP), PAPER)
    newest = memory.newest
    for place, sheet in enumerate(chosen):
        cell = _cell(memory, sheet, newest - sheet.time)
        page.paste(cell, (GAP + place % columns * width, GAP + place // columns * height))
    return page


def choose(sheets: Sequence[Sheet], count: int) -> list[Sheet]:
    """So many sheets at most, in their order: some of each level, and spread over its ages."""
    if len(sheets) <= count:
        return list(sheets)
    levels: dict[str, list[int]] = {}
    for index, sheet in enumerate(sheets):
        levels.setdefault(sheet.mode, []).append(index)
    each = max(1, count // len(levels))
    chosen: set[int] = set()
    for indices in levels.values():
        step = max(1.0, (len(indices) - 1) / max(1, each - 1))
        chosen |= {indices[min(len(indices) - 1, round(k * step))] for k in range(min(each, len(indices)))}
    return [sheets[index] for index in sorted(chosen)[:count]]


def _cell(memory: OpticalMemory, sheet: Sheet, age: float) -> Image.Image:
    cell = Image.new("RGB", (CELL, CELL + DETAIL + 2 * LINE + GAP), PAPER)
    pen = ImageDraw.Draw(cell)
    if sheet.mode == KEYWORDS:
        _words(pen, sheet.gist)
    else:
        _page(cell, pen, memory, sheet)
    pen.rectangle((0, 0, CELL - 1, CELL - 1), outline=FRAME)
    pinned = ", pinned" if sheet.pinned else ""
    top = CELL + DETAIL + 6
    many = "pages" if len(sheet.pages) > 1 else "page"
    pen.text((0, top), f"{many} {ranges(sheet.pages)}: {sheet.mode}{pinned}", INK, _font(14))
    tokens = f"{sheet.text_tokens:,} text tokens as {sheet.vision_tokens:,}"
    pen.text((0, top + LINE), f"{tokens}, {age_words(age)} old", FAINT, _font(12))
    return cell


def _page(cell: Image.Image, pen: ImageDraw.ImageDraw, memory: OpticalMemory, sheet: Sheet) -> None:
    try:
        image = paging.picture(memory.content(sheet)).convert("RGB")
    except FileNotFoundError:
        return  # it has faded while the picture was drawn
    small = image.copy()
    small.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    cell.paste(small, ((CELL - small.width) // 2, (CELL - small.height) // 2))
    across = max(1, round(image.width * PART))
    down = max(1, round(across * DETAIL / CELL))
    top = min(max(0, int(sheet.ink[0] * image.height)), max(0, image.height - down))
    left = min(int(0.02 * image.width), image.width - across)
    part = image.crop((left, top, left + across, top + down)).resize((CELL, DETAIL), Image.Resampling.BICUBIC)
    cell.paste(part, (0, CELL + 4))
    pen.rectangle((0, CELL + 4, CELL - 1, CELL + 3 + DETAIL), outline=FRAME)


def _words(pen: ImageDraw.ImageDraw, words: str) -> None:
    line, top = "", 16
    for word in [*words.split(), ""]:
        if not word or pen.textlength(f"{line} {word}", _font(15)) > CELL - 28:
            pen.text((14, top), line, FAINT, _font(15))
            line, top = word, top + 21
        else:
            line = f"{line} {word}".strip()


def age_words(seconds: float) -> str:
    """An age as people say it."""
    for size, name in ((31_557_600, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
