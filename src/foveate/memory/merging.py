"""Several old pages on one, where they leave enough paper empty: as sharp as before, for fewer tokens.

Pages that follow one another are put together, from the oldest on, as many as their ink fits on a page. A
group is closed once the next page does not fit any more, so pages that come later change nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from foveate.memory import gist, paging, recall
from foveate.memory.records import Sheet

if TYPE_CHECKING:
    from foveate.memory.store import OpticalMemory

GAP = 0.012  # between two pages' ink, in heights of the page
BOTTOM = 0.98  # where the ink ends at the latest
WORDS = 24  # kept of all pages together


def merge(memory: OpticalMemory) -> tuple[int, int]:
    """Puts together all that is ready. Gives the number of sheets before and after."""
    before = after = 0
    for group in list(groups(memory.sheets())):
        if ready(group) and _merge(memory, group):
            before, after = before + len(group), after + 1
    return before, after


def groups(sheets: Iterable[Sheet]) -> Iterator[list[Sheet]]:
    """Closed groups of sheets that fit on one page, in order."""
    group: list[Sheet] = []
    for sheet in sheets:
        if sheet.pinned or not sheet.visual:
            if group:
                yield group
            group = []
        elif group and _alike(group[0], sheet) and end_of([*group, sheet]) <= BOTTOM:
            group.append(sheet)
        else:
            if group:
                yield group
            group = [sheet]


def ready(group: Sequence[Sheet]) -> bool:
    """Whether all have faded to one and the same size."""
    sizes = {(sheet.mode, sheet.width, sheet.height) for sheet in group}
    return len(group) > 1 and len(sizes) == 1 and all(sheet.faded for sheet in group)


def end_of(group: Sequence[Sheet]) -> float:
    """Where the ink of all of them ends, one below the other, in heights of the page."""
    return group[0].ink[0] + sum(s.ink[1] - s.ink[0] for s in group) + GAP * (len(group) - 1)


def stack(group: Sequence[Sheet], images: Sequence[Image.Image]) -> Image.Image:
    """The pictures' ink, one below the other on the first one's paper."""
    mode = "L" if all(image.mode == "L" for image in images) else "RGB"
    first = images[0].convert(mode)
    paper = first.getpixel((0, 0))
    page = Image.new(mode, first.size, paper)
    for number, (sheet, image) in enumerate(zip(group, images, strict=True)):
        height = image.height
        top, bottom = int(sheet.ink[0] * height), min(height, -int(-sheet.ink[1] * height // 1))
        where = end_of(group[: number + 1]) - (sheet.ink[1] - sheet.ink[0])
        page.paste(image.convert(mode).crop((0, top, image.width, bottom)), (0, int(where * height)))
    return page


def _alike(one: Sheet, other: Sheet) -> bool:
    """Whether two pages have the same shape, to a pixel's rounding."""
    return abs(one.width * other.height - other.width * one.height) <= max(one.height, other.height)


def _merge(memory: OpticalMemory, group: Sequence[Sheet]) -> bool:
    contents = [recall.content_of(memory, sheet) for sheet in group]
    pictures = [paging.picture(content) for content in contents if content is not None]
    if len(pictures) < len(group):
        return False  # others were faster
    content, first = paging.png(stack(group, pictures)), group[0]
    words = gist.keywords(" ".join(sheet.gist for sheet in group), WORDS)
    with memory.changing() as change:
        if not all(change.unchanged(sheet) for sheet in group):
            return False
        digest = change.put(content)
        cursor = change.connection.execute(
            "INSERT INTO sheets (entry, entry_page, mode, width, height, image, vision_tokens, places, "
            "ink_top, ink_bottom, faded, gist) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)",
            (first.entry, first.entry_page, first.mode, first.width, first.height, digest)
            + (first.vision_tokens, first.places, first.ink[0], end_of(group), words),
        )
        for sheet in group:
            change.connection.execute(
                "UPDATE pages SET sheet = ? WHERE sheet = ?", (cursor.lastrowid, sheet.number)
            )
            change.delete_sheet(sheet.number)
        number = cursor.lastrowid or 0
        change.drop_text(number, first.vision_tokens, memory.settings["keep_text"])
    return True
