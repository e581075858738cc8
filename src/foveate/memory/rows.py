"""Rows of the index as records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foveate.memory.records import MemoryPage, Sheet

SHEET = """
    SELECT s.id, s.entry, s.entry_page, s.mode, s.width, s.height, s.image, s.vision, s.vision_kind,
           s.vision_loss, s.encoder, s.vision_tokens, s.places, s.ink_top, s.ink_bottom, s.pinned, s.faded,
           s.gist, e.time,
           (SELECT coalesce(sum(p.text_tokens), 0) FROM pages p WHERE p.sheet = s.id),
           (SELECT group_concat(id) FROM
               (SELECT p.id FROM pages p WHERE p.sheet = s.id ORDER BY p.entry, p.entry_page))
    FROM sheets s JOIN entries e ON e.id = s.entry AND e.whole
"""
ENTRY = """
    SELECT e.id, e.kind, e.role, e.source, e.time, e.key, count(p.id), coalesce(sum(p.text_tokens), 0)
    FROM entries e LEFT JOIN pages p ON p.entry = e.id
"""
PAGE = """
    SELECT p.id, p.entry, p.entry_page, p.first, p.last, p.text, coalesce(p.text_tokens, 0), p.missing,
           p.sheet, coalesce(s.mode, 'gone')
    FROM pages p JOIN entries e ON e.id = p.entry AND e.whole LEFT JOIN sheets s ON s.id = p.sheet
"""


def page(row: Sequence[Any]) -> MemoryPage:
    """Of a row of `PAGE`."""
    number, entry, entry_page, first, last, *rest = row
    return MemoryPage(number, entry, entry_page, None if first is None else (first, last), *rest)


def sheet(row: Sequence[Any]) -> Sheet:
    """Of a row of `SHEET`."""
    *head, top, bottom, pinned, faded, gist, time, tokens, pages = row
    numbers = tuple(map(int, pages.split(","))) if pages else ()
    ends: tuple[Any, ...] = ((top, bottom), bool(pinned), bool(faded), gist, time, tokens, numbers)
    return Sheet(*head, *ends)
