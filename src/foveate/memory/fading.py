"""Pages go down: redrawn from their own pixels at a lower size, several put on one, then words, then nothing.

Each sheet fades in a change of its own, so a fading that is broken off has lost nothing and can be called
again. Between two levels a page passes all those of the schedule, so it does not matter how often `fade` was
called on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from foveate.memory import find, merging, paging, recall
from foveate.memory.records import GONE, KEYWORDS, VISUAL, Sheet
from foveate.memory.schedule import DEFAULT, Schedule, steps_down
from foveate.pages.mode import get_mode

if TYPE_CHECKING:
    from foveate.memory.store import OpticalMemory

__all__ = ["DEFAULT", "Faded", "Schedule", "fade", "shrink"]

LONGEST = 1.6  # of a stretched page's sides: as far as `auto` stretches


@dataclass(frozen=True)
class Faded:
    """What one call of `fade` did."""

    moved: Mapping[str, int]  # pages that went down, by the level where they are now
    merged: tuple[int, int]  # sheets that were put together, and those that came of it
    held: int  # sheets that cannot become keywords because nobody has read them
    tokens_before: int
    tokens_after: int
    read: int  # sheets that were read anew

    def __str__(self) -> str:
        parts = [f"{count} to {level}" for level, count in self.moved.items()]
        parts += [f"{self.merged[0]} sheets put on {self.merged[1]}"] if self.merged[0] else []
        parts += [f"{self.held} wait to be read before they become keywords"] if self.held else []
        parts += [f"{self.read} read anew"] if self.read else []
        tokens = f"{self.tokens_before:,} tokens before, {self.tokens_after:,} now"
        return f"{tokens}: {', '.join(parts)}" if parts else f"nothing fades: {tokens}"


def fade(
    memory: OpticalMemory, schedule: Schedule | str | None, now: float | None, read: bool | None
) -> Faded:
    """See `OpticalMemory.fade`."""
    if not isinstance(schedule, Schedule):
        schedule = Schedule.parse(schedule or DEFAULT)
    if now is None:
        now = memory.newest
    before = memory.sizes().tokens
    moved: Counter[str] = Counter()
    held = 0
    for sheet, aim in list(schedule.plan(list(memory.sheets()), now, memory.count_tokens)):
        reached = _fade_sheet(memory, sheet, schedule.levels[: aim + 1])
        held += reached is None
        if reached:
            moved[reached] += len(sheet.pages)
    merged = merging.merge(memory)
    if read is None:
        read = memory.index == "now" and memory.can_read
    count = recall.read_pending(memory, None, None, None) if read else 0
    return Faded(dict(moved), merged, held, before, memory.sizes().tokens, count)


def _fade_sheet(memory: OpticalMemory, sheet: Sheet, levels: tuple[str, ...]) -> str | None:
    """Takes a sheet through levels. Gives where it is now; "" if others were faster, None if it waits."""
    visual = [level for level in levels if level in VISUAL]
    moved = _to_picture(memory, sheet, visual)
    if moved is None:
        return ""
    last = levels[-1]
    if last == GONE:
        return _to_nothing(memory, moved)
    if KEYWORDS in levels and moved.visual:
        return _to_keywords(memory, moved)
    return moved.mode


def _to_picture(memory: OpticalMemory, sheet: Sheet, levels: list[str]) -> Sheet | None:
    """The sheet redrawn from level to level; its old picture, its vision tokens and its text are let go."""
    new = replace(sheet, faded=True)
    content: bytes | None = None
    if any(steps_down(sheet, level) for level in levels):
        content = recall.content_of(memory, sheet)
        if content is None:
            return None
        for level in levels:
            if steps_down(new, level):
                image = shrink(paging.picture(content), level)
                content = paging.png(image)
                layout = get_mode(level).layout(*image.size)
                new = replace(
                    new,
                    mode=level,
                    width=image.width,
                    height=image.height,
                    vision_tokens=layout.vision_tokens,
                    places=layout.sequence_length,
                )
    with memory.changing() as change:
        if not change.unchanged(sheet):
            return None
        change.drop_text(sheet.number, new.vision_tokens, memory.settings["keep_text"])
        change.connection.execute("UPDATE sheets SET faded = 1 WHERE id = ?", (sheet.number,))
        if content is not None:
            change.unread(sheet.number)
            digest = change.put(content)
            change.release(sheet.image)
            change.release(sheet.vision)
            change.connection.execute(
                "UPDATE sheets SET mode = ?, width = ?, height = ?, vision_tokens = ?, places = ?, "
                "image = ?, vision = NULL, vision_kind = NULL, vision_loss = NULL, encoder = NULL "
                "WHERE id = ?",
                (new.mode, new.width, new.height, new.vision_tokens, new.places, digest, sheet.number),
            )
            new = replace(new, image=digest, vision=None)
    return new


def _to_keywords(memory: OpticalMemory, sheet: Sheet) -> str | None:
    """Only the keywords of what the reader read stay, and can be found."""
    known = memory.reading(sheet) is not None or bool(sheet.gist)
    if not known:
        if not memory.can_read:
            return None
        for read, page, _ in recall.read_sheets(memory, [sheet]):
            recall.keep_reading(memory, read, page)
        sheet = memory.sheet(sheet.number) or sheet
    count = memory.count_tokens(sheet.gist)
    with memory.changing() as change:
        if not change.unchanged(sheet):
            return ""
        change.unread(sheet.number)
        change.drop_text(sheet.number, -1, memory.settings["keep_text"])
        change.release(sheet.image)
        change.release(sheet.vision)
        change.connection.execute(
            "UPDATE sheets SET mode = 'keywords', width = 0, height = 0, image = NULL, vision = NULL, "
            "vision_kind = NULL, vision_loss = NULL, encoder = NULL, vision_tokens = ?, places = ?, read = 1 "
            "WHERE id = ?",
            (count, count, sheet.number),
        )
        find.add(change.connection, sheet.number, sheet.gist)
        change.connection.execute(
            "INSERT INTO readings VALUES (?, ?, NULL, ?, 'keywords')", (sheet.number, sheet.gist, count)
        )
    return KEYWORDS


def _to_nothing(memory: OpticalMemory, sheet: Sheet) -> str:
    with memory.changing() as change:
        if not change.unchanged(sheet):
            return ""
        change.delete_sheet(sheet.number)
    return GONE


def shrink(image: Image.Image, level: str) -> Image.Image:
    """A page at the size that a mode looks at; never larger than it was, and of the same shape.

    Where the mode stretches pages, the shorter side fills it, so that nothing is lost that the mode shows.
    """
    size = shrunk_size(*image.size, level)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def shrunk_size(width: int, height: int, level: str) -> tuple[int, int]:
    """The width and height that `shrink` gives."""
    mode = get_mode(level)
    longest, shortest = max(width, height), min(width, height)
    factor = mode.side / longest
    if mode.resized:
        factor = min(mode.side / shortest, LONGEST * mode.side / longest)
    if mode.tile or factor >= 1:
        return width, height
    return max(1, round(width * factor)), max(1, round(height * factor))
