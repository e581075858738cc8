"""What must outlive the process: uploaded files, jobs and the pages read for them, in SQLite.

Every call is a transaction of its own and happens on one thread, beside the event loop. With its write-ahead
log the database survives kill -9 as it was after the last finished call.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from foveate.errors import OptionError

Answer = TypeVar("Answer")
VERSION = 1
_SCHEMA = """
CREATE TABLE files (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL,
    purpose TEXT NOT NULL, created REAL NOT NULL, path TEXT NOT NULL
) STRICT;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, status TEXT NOT NULL, name TEXT NOT NULL,
    options TEXT NOT NULL, numbers TEXT NOT NULL, path TEXT NOT NULL, model TEXT NOT NULL,
    created REAL NOT NULL, started REAL, finished REAL, error TEXT, starts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_by_owner ON jobs (owner, created);
CREATE TABLE pages (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, number INTEGER NOT NULL,
    page TEXT NOT NULL, usage TEXT NOT NULL, PRIMARY KEY (job, number)
) STRICT;
"""


class Store:
    """A database in a file."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1, "foveate-store")
        self._db: sqlite3.Connection = self._thread.submit(_open, path).result()

    async def all(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """The rows that a query gives."""
        return await self._do(lambda db: db.execute(query, values).fetchall())

    async def one(self, query: str, *values: Any) -> sqlite3.Row | None:
        """Its first row."""
        rows = await self.all(query, *values)
        return rows[0] if rows else None

    async def run(self, query: str, *values: Any) -> int:
        """Changes something; the number of rows changed."""
        return await self._do(lambda db: db.execute(query, values).rowcount)

    async def run_all(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Several changes, all or none."""

        def work(db: sqlite3.Connection) -> None:
            for query, values in statements:
                db.execute(query, values)

        await self._do(work)

    def close(self) -> None:
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()

    async def _do(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        def transaction() -> Answer:
            with self._db:
                return work(self._db)

        # Shielded: a change that has begun is made, even when its asker leaves.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, transaction))


def _open(path: Path) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            with db:
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    except sqlite3.Error as problem:
        raise OptionError(f"{path} cannot be opened ({problem}): choose another work folder") from problem
    if version > VERSION:
        raise OptionError(f"{path} is of a newer foveate: install that, or choose another work folder")
    return db
