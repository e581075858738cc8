"""What a store holds and takes, in tokens of context and in bytes, and whether it is sound."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from foveate.errors import CorruptSource
from foveate.memory.records import LEVELS, LevelSize, Sizes

if TYPE_CHECKING:
    from foveate.memory.store import OpticalMemory

_LEVELS = """
    SELECT s.mode, count(*), sum((SELECT count(*) FROM pages p WHERE p.sheet = s.id)),
           sum((SELECT coalesce(sum(text_tokens), 0) FROM pages p WHERE p.sheet = s.id)),
           sum(s.vision_tokens), coalesce(sum(i.bytes), 0) + coalesce(sum(v.bytes), 0)
    FROM sheets s JOIN entries e ON e.id = s.entry AND e.whole
    LEFT JOIN blobs i ON i.digest = s.image LEFT JOIN blobs v ON v.digest = s.vision GROUP BY s.mode
"""
_GONE = """
    SELECT count(*), coalesce(sum(text_tokens), 0)
    FROM pages p JOIN entries e ON e.id = p.entry AND e.whole WHERE sheet IS NULL
"""


def measure(memory: OpticalMemory) -> Sizes:
    """See `OpticalMemory.sizes`."""
    with memory.looking() as connection:

        def one(query: str) -> tuple[int, ...]:
            row: tuple[int, ...] = connection.execute(query).fetchone()
            return row

        found = {row[0]: LevelSize(*row) for row in connection.execute(_LEVELS)}
        gone, lost = one(_GONE)
        if gone:
            found["gone"] = LevelSize("gone", 0, gone, lost, 0, 0)
        turns, whole, unfinished, text_bytes = one(
            "SELECT coalesce(sum(whole AND kind = 'turn'), 0), coalesce(sum(whole), 0), "
            "coalesce(sum(NOT whole), 0), coalesce(sum(text_bytes), 0) FROM entries"
        )
        loss = connection.execute("SELECT avg(vision_loss) FROM sheets WHERE vision NOT NULL").fetchone()[0]
        return Sizes(
            entries=whole,
            turns=turns,
            documents=whole - turns,
            unfinished=unfinished,
            pages=sum(level.pages for level in found.values()),
            gone=gone,
            unread=one("SELECT count(*) FROM sheets WHERE read = 0 AND image NOT NULL")[0],
            pinned=one("SELECT count(*) FROM sheets WHERE pinned")[0],
            levels=tuple(found[name] for name in LEVELS if name in found),
            text_bytes=text_bytes,
            kept_text_bytes=one("SELECT coalesce(sum(length(CAST(text AS BLOB))), 0) FROM pages")[0],
            image_bytes=_bytes(memory, "image"),
            vision_bytes=_bytes(memory, "vision"),
            vision_loss=loss,
            index_bytes=_index_bytes(memory),
        )


def _bytes(memory: OpticalMemory, column: str) -> int:
    """Of the files that sheets name in a column, each once."""
    with memory.looking() as connection:
        row = connection.execute(
            f"SELECT coalesce(sum(bytes), 0) FROM blobs WHERE digest IN (SELECT {column} FROM sheets)"
        ).fetchone()
    return int(row[0])


def _index_bytes(memory: OpticalMemory) -> int:
    total = 0
    for path in memory.path.glob("index.sqlite3*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def check(memory: OpticalMemory) -> list[str]:
    """See `OpticalMemory.check`. Holds the write lock, so that nothing moves meanwhile."""
    wrong: list[str] = []
    with memory.changing() as change:
        connection = change.connection
        for (line,) in connection.execute("PRAGMA quick_check"):
            wrong += [] if line == "ok" else [f"the index is damaged: {line}"]
        for digest, uses, real in connection.execute(
            "SELECT digest, uses, (SELECT count(*) FROM sheets WHERE image = digest) "
            "+ (SELECT count(*) FROM sheets WHERE vision = digest) FROM blobs"
        ):
            wrong += [] if uses == real else [f"the file {digest} is booked {uses} times, used {real} times"]
        known = {digest for (digest,) in connection.execute("SELECT digest FROM blobs")}
        for query, words in (
            ("SELECT id FROM sheets s WHERE NOT EXISTS (SELECT 1 FROM pages WHERE sheet = s.id)", "no page"),
            (
                "SELECT id FROM pages p WHERE sheet NOT NULL AND sheet NOT IN (SELECT id FROM sheets)",
                "no sheet",
            ),
            (
                "SELECT sheet FROM readings WHERE sheet NOT IN (SELECT id FROM sheets)",
                "a reading of no sheet",
            ),
        ):
            wrong += [f"{words}: {number}" for (number,) in connection.execute(query)]
        wrong += _files(memory, known)
    return wrong


def _files(memory: OpticalMemory, known: set[str]) -> list[str]:
    wrong = []
    for digest in sorted(known):
        try:
            memory.blobs.get(digest)
        except FileNotFoundError:
            wrong.append(f"the file {digest} is missing")
        except CorruptSource as problem:
            wrong.append(str(problem))
    for path in memory.blobs.folder.rglob("*"):
        digest = path.name if path.parent == memory.blobs.pending else path.parent.name + path.name
        if path.is_file() and digest not in known:
            wrong.append(f"the file {path.relative_to(memory.path)} belongs to nobody")
    return wrong
