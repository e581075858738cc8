"""Pictures and vision tokens beside the index: files named by their content.

A kill at any moment leaves no orphan, because every file is known to somebody:

- A new blob is written into `pending` while its writer holds the index's write lock, and moves to its place
  once the change is committed. Whoever opens the store later moves or deletes what lies there.
- A blob that nobody uses any more stays in the index with 0 uses until its file is deleted, which the next
  writer does, holding the lock.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from foveate.errors import CorruptSource

PARTIAL = ".partial"


class Blobs:
    """The files of one store. `put` and `release` belong inside a change of the index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "blobs"
        self.pending = self.folder / "pending"
        self.pending.mkdir(parents=True, exist_ok=True)

    def place(self, digest: str) -> Path:
        """Where a blob belongs."""
        return self.folder / digest[:2] / digest[2:]

    def put(self, connection: sqlite3.Connection, content: bytes) -> str:
        """Books one use more of this content, and writes it if it is new. Returns its digest."""
        digest = hashlib.sha256(content).hexdigest()
        row = connection.execute("SELECT uses FROM blobs WHERE digest = ?", (digest,)).fetchone()
        # Whatever lies there without a user is about to be deleted, or was left half written.
        if row is None or not row[0]:
            self._write(digest, content)
        connection.execute(
            "INSERT INTO blobs VALUES (?, ?, 1) ON CONFLICT (digest) DO UPDATE SET uses = uses + 1",
            (digest, len(content)),
        )
        return digest

    def release(self, connection: sqlite3.Connection, digest: str | None) -> None:
        """Books one use less."""
        if digest is not None:
            connection.execute("UPDATE blobs SET uses = uses - 1 WHERE digest = ?", (digest,))

    def get(self, digest: str) -> bytes:
        """The content. Raises `FileNotFoundError` when it is gone, `CorruptSource` when it has changed."""
        try:
            content = self.place(digest).read_bytes()
        except FileNotFoundError:
            try:
                content = (self.pending / digest).read_bytes()
            except FileNotFoundError:
                content = self.place(digest).read_bytes()  # moved in between
        if hashlib.sha256(content).hexdigest() != digest:
            raise CorruptSource(f"{self.place(digest)} is damaged: take the store from a copy")
        return content

    def settle(self, digest: str) -> None:
        """Moves a committed blob to its place. Another process may have done it."""
        place = self.place(digest)
        place.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            os.replace(self.pending / digest, place)

    def sweep(self, connection: sqlite3.Connection) -> None:
        """Deletes the files that nobody uses. Inside a change, before any `put`."""
        unused = connection.execute("SELECT digest FROM blobs WHERE uses = 0").fetchall()
        for (digest,) in unused:
            # In this order: its writer may be moving it at this moment.
            (self.pending / digest).unlink(missing_ok=True)
            self.place(digest).unlink(missing_ok=True)
        if unused:
            connection.execute("DELETE FROM blobs WHERE uses = 0")

    def left_over(self) -> list[Path]:
        """What writers that were killed, or are at work now, have in `pending`."""
        return list(self.pending.iterdir())

    def recover(self, connection: sqlite3.Connection) -> None:
        """Moves or deletes what was left over. Inside a change: then no other writer is at work."""
        for path in self.left_over():
            row = connection.execute("SELECT uses FROM blobs WHERE digest = ?", (path.name,)).fetchone()
            if row is not None and row[0]:
                self.settle(path.name)
            else:
                path.unlink(missing_ok=True)

    def _write(self, digest: str, content: bytes) -> None:
        partial = self.pending / (digest + PARTIAL)
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.pending / digest)
        self.place(digest).unlink(missing_ok=True)  # of a user long gone, and perhaps damaged
