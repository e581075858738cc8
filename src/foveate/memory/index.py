"""The index: one SQLite file in WAL mode, many readers and writers in as many processes.

Every change is one transaction that begins with the write lock, so writers take turns and a reader always
sees whole changes. The schema grows by numbered migrations.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foveate.errors import CorruptSource, OptionError

FILE = "index.sqlite3"
APPLICATION = 0x666F7665  # "fove": a database of ours
BUSY = 120.0  # seconds that a writer waits for its turn

MIGRATIONS: tuple[str, ...] = (
    # 1: entries, pages, sheets, blobs, and what was read
    """
    CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE blobs (
        digest TEXT PRIMARY KEY, bytes INTEGER NOT NULL, uses INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX unused_blobs ON blobs (digest) WHERE uses = 0;
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL, role TEXT NOT NULL, source TEXT NOT NULL, time REAL NOT NULL, key TEXT UNIQUE,
        whole INTEGER NOT NULL, text_bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE sheets (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        entry INTEGER NOT NULL, entry_page INTEGER NOT NULL,
        mode TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
        image TEXT, vision TEXT, vision_kind TEXT, vision_loss REAL, encoder TEXT,
        vision_tokens INTEGER NOT NULL, places INTEGER NOT NULL,
        ink_top REAL NOT NULL, ink_bottom REAL NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0, faded INTEGER NOT NULL DEFAULT 0, gist TEXT NOT NULL DEFAULT '',
        read INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX unread_sheets ON sheets (entry, entry_page) WHERE read = 0;
    CREATE INDEX sheets_in_order ON sheets (entry, entry_page);
    CREATE TABLE pages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        entry INTEGER NOT NULL, entry_page INTEGER NOT NULL, sheet INTEGER,
        first INTEGER, last INTEGER, text TEXT, text_tokens INTEGER, missing INTEGER NOT NULL DEFAULT 0,
        UNIQUE (entry, entry_page)
    );
    CREATE INDEX pages_of_sheets ON pages (sheet, entry, entry_page);
    CREATE TABLE readings (
        sheet INTEGER PRIMARY KEY, text TEXT NOT NULL, confidence REAL, tokens INTEGER NOT NULL,
        stop TEXT NOT NULL
    );
    CREATE VIRTUAL TABLE words USING fts5 (text, content = '', tokenize = 'unicode61 remove_diacritics 2');
    CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, 'row');
    """,
)


class Index:
    """A connection for each thread of each process; `close` closes those of this process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self.closed = False
        self._migrate()

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's. A connection must not go through a fork, so a child opens its own."""
        if self.closed:
            raise OptionError("this memory is closed: open it again with OpticalMemory(path)")
        if getattr(self._local, "process", None) != os.getpid():
            connection = _connect(self.path)
            self._local.connection, self._local.process = connection, os.getpid()
            with self._lock:
                self._open.append(connection)
        found: sqlite3.Connection = self._local.connection
        return found

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A change: all of it happens, or none."""
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as problem:
            raise OptionError(
                f"{self.path} cannot be written ({problem}): check that you may write there, "
                "or end the process that holds it"
            ) from problem
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Several questions about one and the same state."""
        connection = self.connection
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self.closed = True
            for connection in self._open:
                connection.close()
            self._open.clear()

    def _migrate(self) -> None:
        try:
            if _version(self.connection, self.path) == len(MIGRATIONS):
                return
            with self.writing() as connection:
                for script in MIGRATIONS[_version(connection, self.path) :]:
                    for statement in _statements(script):
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
        except sqlite3.DatabaseError as problem:
            self.close()
            raise CorruptSource(
                f"{self.path} is not a memory of foveate, or is damaged ({problem}): take it from a copy"
            ) from problem
        except BaseException:
            self.close()
            raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut too
        connection.execute("PRAGMA secure_delete = ON")  # text that has faded is not left in free pages
    except sqlite3.DatabaseError as problem:
        connection.close()
        raise CorruptSource(
            f"{path} is not a memory of foveate, or cannot be opened ({problem}): name another folder"
        ) from problem
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """How many migrations the file has seen."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if mark not in (0, APPLICATION) or (version and mark != APPLICATION):
        raise CorruptSource(f"{path} is another program's database: name another folder")
    if version > len(MIGRATIONS):
        raise OptionError(
            f"{path} was written by a newer foveate (schema {version}, this one knows {len(MIGRATIONS)}): "
            "update foveate"
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """One at a time: `executescript` would commit before each script."""
    waiting = ""
    for piece in script.split(";"):
        waiting += piece + ";"
        if sqlite3.complete_statement(waiting):
            if waiting.strip(" \n;"):
                yield waiting
            waiting = ""
