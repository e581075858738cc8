"""What one transaction does to rows and blobs together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from foveate.memory import find
from foveate.memory.blobs import Blobs
from foveate.memory.paging import Draft
from foveate.memory.records import Sheet


class Change:
    """One change of a store, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection, blobs: Blobs) -> None:
        self.connection, self._blobs = connection, blobs
        self.written: list[str] = []

    def put(self, content: bytes) -> str:
        """Keeps a blob."""
        digest = self._blobs.put(self.connection, content)
        self.written.append(digest)
        return digest

    def release(self, digest: str | None) -> None:
        """Lets a blob go."""
        self._blobs.release(self.connection, digest)

    def unread(self, sheet: int) -> None:
        """Takes a sheet's reading out of the index."""
        row = self.connection.execute("SELECT text FROM readings WHERE sheet = ?", (sheet,)).fetchone()
        if row is not None:
            find.remove(self.connection, sheet, row[0])
            self.connection.execute("DELETE FROM readings WHERE sheet = ?", (sheet,))
        self.connection.execute("UPDATE sheets SET read = 0 WHERE id = ?", (sheet,))

    def unchanged(self, sheet: Sheet) -> bool:
        """Whether a sheet is as it was seen: nobody has faded, merged or pinned it meanwhile."""
        row = self.connection.execute(
            "SELECT mode, image, pinned FROM sheets WHERE id = ?", (sheet.number,)
        ).fetchone()
        return bool(row == (sheet.mode, sheet.image, sheet.pinned))

    def drop_text(self, sheet: int, tokens: int, keep_text: str) -> None:
        """Lets the original text of a faded sheet go once the sheet takes fewer tokens than the text did, so
        that a short turn does not become dearer. A store that keeps text always keeps it."""
        if keep_text != "always":
            self.connection.execute(
                "UPDATE pages SET text = NULL WHERE sheet = :sheet AND :tokens < "
                "(SELECT coalesce(sum(text_tokens), 0) FROM pages WHERE sheet = :sheet)",
                {"sheet": sheet, "tokens": tokens},
            )

    def delete_sheet(self, sheet: int) -> None:
        """Takes a sheet out, with its blobs and its reading; its pages are gone."""
        row = self.connection.execute("SELECT image, vision FROM sheets WHERE id = ?", (sheet,)).fetchone()
        self.unread(sheet)
        for digest in row or ():
            self.release(digest)
        self.connection.execute("UPDATE pages SET sheet = NULL, text = NULL WHERE sheet = ?", (sheet,))
        self.connection.execute("DELETE FROM sheets WHERE id = ?", (sheet,))

    def begin_entry(self, values: Iterable[Any]) -> int:
        """The number of a new entry, or of the one that another process has just begun with the same key."""
        kind, role, source, when, key, size = values
        row = self.connection.execute("SELECT id FROM entries WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return int(row[0])
        cursor = self.connection.execute(
            "INSERT INTO entries (kind, role, source, time, key, whole, text_bytes) "
            "VALUES (?, ?, ?, ?, ?, 0, ?)",
            (kind, role, source, when, key, size),
        )
        return int(cursor.lastrowid or 0)

    def add_page(self, entry: int, number: int, draft: Draft, pinned: bool, keep_text: bool) -> None:
        """Adds the page of that number to an entry; nothing if it is there."""
        place = (entry, number)
        if self.connection.execute(
            "SELECT 1 FROM pages WHERE entry = ? AND entry_page = ?", place
        ).fetchone():
            return
        look = (draft.mode, draft.width, draft.height, self.put(draft.image))
        counts = (draft.vision_tokens, draft.places, *draft.ink, pinned)
        cursor = self.connection.execute(
            "INSERT INTO sheets (entry, entry_page, mode, width, height, image, vision_tokens, places, "
            "ink_top, ink_bottom, pinned) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, *look, *counts),
        )
        text = draft.text if keep_text else None
        self.connection.execute(
            "INSERT INTO pages (entry, entry_page, sheet, first, last, text, text_tokens, missing) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, cursor.lastrowid, *(draft.span or (None, None)), text, draft.text_tokens, draft.missing),
        )
