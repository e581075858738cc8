"""What a batch knows, in one SQLite file: its documents, every page of them, and each page's result.

The page is the unit: its result is written once, in one transaction, and never again. Pages are read in
*groups* of so many, in the order of the documents: a group starts with an empty engine and always holds the
same pages in the same order, however often the batch was stopped. Only so is what is read the same to
the last bit, because a page's numbers depend, in their last bits, on the pages beside it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Self

from foveate.batches.inputs import Found
from foveate.document import Page
from foveate.errors import OptionError, StorageError

LONGEST_PART = 200  # bytes; what is added must still fit into a file name

MIGRATIONS = (
    """
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE documents (
        id INTEGER PRIMARY KEY,             -- from 0, in the order in which documents were named
        place BLOB NOT NULL UNIQUE,         -- absolute path or address, in the system's bytes
        name TEXT NOT NULL,                 -- as the user named it
        target TEXT NOT NULL,               -- of its outputs, without a suffix
        claim TEXT NOT NULL UNIQUE,         -- the target as a file system without capitals sees it
        generation INTEGER NOT NULL,        -- documents added together; groups do not cross them
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'opened', 'quarantined')),
        reason TEXT, bytes INTEGER, sha256 TEXT
    );
    CREATE INDEX documents_in_order ON documents (generation, id);
    CREATE TABLE pages (
        document INTEGER NOT NULL REFERENCES documents, place INTEGER NOT NULL, number INTEGER NOT NULL,
        gathered INTEGER NOT NULL,          -- the number of its group
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
        reason TEXT, vision_tokens INTEGER, text_tokens INTEGER, seconds REAL,
        PRIMARY KEY (document, place)
    );
    CREATE INDEX pages_of_groups ON pages (gathered, document, place);
    CREATE INDEX pages_in_state ON pages (state, gathered);
    CREATE TABLE results (
        document INTEGER NOT NULL, place INTEGER NOT NULL, page BLOB NOT NULL, PRIMARY KEY (document, place)
    );
    CREATE TABLE alone (gathered INTEGER PRIMARY KEY);  -- groups whose pages broke the network together
    CREATE TABLE parts (                    -- outputs that are written, and the documents up to which they go
        format TEXT, part INTEGER, past INTEGER NOT NULL, PRIMARY KEY (format, part)
    );
    """,
)


@dataclass(frozen=True)
class DocumentRow:
    """A document, as the journal knows it."""

    id: int
    place: str
    name: str
    target: str
    generation: int
    state: str  # waiting, opened or quarantined
    reason: str | None
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True)
class PageRow:
    """A page, as the journal knows it, without its result."""

    document: int
    place: int  # in its document, from 0
    number: int
    group: int
    state: str  # waiting, done or failed
    reason: str | None


_DOCUMENT = "id, place, name, target, generation, state, reason, bytes, sha256"
_PAGE = "document, place, number, gathered, state, reason"


class Journal:
    """The open journal of a folder; another process cannot open it meanwhile."""

    def __init__(self, path: Path) -> None:
        """Opens or makes it. Raises `OptionError` when it is in use or of a newer foveate, `StorageError`."""
        self.path = path
        with self._kept():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        with self._kept():
            # Exclusive: the lock goes with the process, and the log needs no shared memory, which network
            # file systems lack.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN EXCLUSIVE")
            try:
                self._migrate()
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise OptionError(
                f"{self.path} has version {version}, this foveate knows up to {len(MIGRATIONS)}: update it"
            )
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            for statement in _statements(migration):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """What SQLite or the system says becomes one of our errors."""
        try:
            yield
        except sqlite3.OperationalError as problem:
            if "locked" in str(problem):
                raise OptionError(
                    f"another foveate batch is at work in {self.path.parent.parent}: wait for it, or choose "
                    "another folder for --out"
                ) from problem
            raise StorageError(
                f"{self.path} cannot be written ({problem}): make room, then give the same command again; "
                "nothing is lost"
            ) from problem
        except sqlite3.DatabaseError as problem:
            raise OptionError(
                f"{self.path} is damaged or no journal ({problem}): choose another folder for --out"
            ) from problem
        except OSError as problem:
            raise StorageError(f"{self.path} cannot be written ({problem.strerror})") from problem

    @contextmanager
    def _change(self) -> Iterator[None]:
        """All of what happens inside, or nothing."""
        with self._kept():
            self._db.execute("BEGIN")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._kept():
            return self._db.execute(query, values).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file, so that another process may open it."""
        self._db.close()

    # Settings

    @property
    def settings(self) -> dict[str, Any]:
        """What the batch was begun with; empty before."""
        return {name: json.loads(value) for name, value in self._rows("SELECT name, value FROM settings")}

    def settle(self, settings: Mapping[str, Any]) -> None:
        """Notes settings that are not known yet. Raises `OptionError` where one differs."""
        known = self.settings
        for name, value in settings.items():
            if name == "model_fingerprint" and known.get(name, value) != value:
                raise OptionError(
                    f"{self.path.parent.parent} was begun with another network of the same name: take that "
                    "one again, or choose another folder for --out"
                )
            if name in known and known[name] != value:
                raise OptionError(
                    f"{self.path.parent.parent} holds a batch with {name} {_shown(known[name])}, not "
                    f"{_shown(value)}: give the same options again, or choose another folder for --out"
                )
        new = [(name, json.dumps(value)) for name, value in settings.items() if name not in known]
        with self._change():
            self._db.executemany("INSERT INTO settings VALUES (?, ?)", new)

    # Documents

    def add_documents(self, documents: Iterable[Found]) -> int:
        """Adds those that are not known, all or none. Returns how many."""
        known = {place for (place,) in self._rows("SELECT place FROM documents")}
        new = [document for document in documents if os.fsencode(document.place) not in known]
        if not new:
            return 0
        with self._change():
            ((start, generation),) = self._db.execute(
                "SELECT COUNT(*), COALESCE(MAX(generation), -1) + 1 FROM documents"
            ).fetchall()
            claims = {claim for (claim,) in self._db.execute("SELECT claim FROM documents")}
            for number, document in enumerate(new, start):
                target, place = _claimed(document, claims), os.fsencode(document.place)
                self._db.execute(
                    "INSERT INTO documents (id, place, name, target, claim, generation) VALUES (?,?,?,?,?,?)",
                    (number, place, _plain(document.name), target, _claim(target), generation),
                )
        return len(new)

    def documents(self) -> Iterator[DocumentRow]:
        """All of them, in the order in which they were named."""
        start = -1
        while rows := self._rows(
            f"SELECT {_DOCUMENT} FROM documents WHERE id > ? ORDER BY id LIMIT 1000", start
        ):
            yield from (_document(row) for row in rows)
            start = rows[-1][0]

    def document(self, id: int) -> DocumentRow:
        """One of them."""
        (row,) = self._rows(f"SELECT {_DOCUMENT} FROM documents WHERE id = ?", id)
        return _document(row)

    def some_documents(self, first: int, past: int) -> list[DocumentRow]:
        """Those from `first` to before `past`."""
        query = f"SELECT {_DOCUMENT} FROM documents WHERE id >= ? AND id < ? ORDER BY id"
        return [_document(row) for row in self._rows(query, first, past)]

    @property
    def document_count(self) -> int:
        ((count,),) = self._rows("SELECT COUNT(*) FROM documents")
        return int(count)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.are_settled(0, self.document_count)

    def unfinished(self) -> list[int]:
        """Documents that are not opened yet or have a page in an unfinished group, in reading order."""
        query = """
            SELECT id FROM documents WHERE state = 'waiting' OR id IN (
                SELECT document FROM pages WHERE gathered IN (
                    SELECT gathered FROM pages WHERE state = 'waiting'))
            ORDER BY generation, id
        """
        return [id for (id,) in self._rows(query)]

    def opened(self, id: int, numbers: Sequence[int], bytes: int, sha256: str, group_size: int) -> None:
        """A document has these pages; each gets its group."""
        document = self.document(id)
        with self._change():
            group, held, generation = self._last_group()
            if generation != document.generation and held:
                group, held = group + 1, 0
            for place, number in enumerate(numbers):
                if held == group_size:
                    group, held = group + 1, 0
                self._db.execute(
                    "INSERT INTO pages (document, place, number, gathered) VALUES (?, ?, ?, ?)",
                    (id, place, number, group),
                )
                held += 1
            self._db.execute(
                "UPDATE documents SET state = 'opened', bytes = ?, sha256 = ? WHERE id = ?",
                (bytes, sha256, id),
            )

    def _last_group(self) -> tuple[int, int, int]:
        """Number, pages and generation of the newest group."""
        row = self._db.execute(
            "SELECT gathered, COUNT(*), MAX(generation) FROM pages JOIN documents ON id = document "
            "WHERE gathered = (SELECT MAX(gathered) FROM pages) GROUP BY gathered"
        ).fetchone()
        return row or (0, 0, 0)

    def quarantine(self, id: int, reason: str) -> None:
        """A document cannot be read; pages that wait in it fail for the same reason."""
        with self._change():
            self._db.execute(
                "UPDATE documents SET state = 'quarantined', reason = ? WHERE id = ?", (reason, id)
            )
            self._db.execute(
                "UPDATE pages SET state = 'failed', reason = ? WHERE document = ? AND state = 'waiting'",
                (reason, id),
            )

    def retry_failed(self) -> int:
        """Lets all that failed be tried again. Returns how many documents and pages."""
        with self._change():
            ((generation,),) = self._db.execute("SELECT MAX(generation) + 1 FROM documents").fetchall()
            count = self._db.execute(
                "UPDATE pages SET state = 'waiting', reason = NULL WHERE state = 'failed'"
            )
            documents = self._db.execute(
                "UPDATE documents SET reason = NULL, "
                "state = CASE WHEN sha256 IS NULL THEN 'waiting' ELSE 'opened' END, "
                "generation = CASE WHEN sha256 IS NULL THEN ? ELSE generation END "
                "WHERE state = 'quarantined'",
                (generation,),
            )
            again = count.rowcount + documents.rowcount
            if again:
                self._db.execute("DELETE FROM parts")
        return again

    # Pages

    def pages(self, document: int) -> list[PageRow]:
        """A document's, in their order."""
        rows = self._rows(f"SELECT {_PAGE} FROM pages WHERE document = ? ORDER BY place", document)
        return [PageRow(*row) for row in rows]

    def group(self, number: int) -> list[PageRow]:
        """The pages that are read together, in their order."""
        query = (
            "SELECT document, pages.place, number, gathered, pages.state, pages.reason FROM pages "
            "JOIN documents ON id = document WHERE gathered = ? ORDER BY generation, id, pages.place"
        )
        return [PageRow(*row) for row in self._rows(query, number)]

    def waiting_groups(self, after: int, last: int) -> list[int]:
        """Groups after one and up to another with a page that is neither done nor failed, in order."""
        query = (
            "SELECT DISTINCT gathered FROM pages WHERE state = 'waiting' AND gathered > ? AND gathered <= ? "
            "ORDER BY gathered"
        )
        return [number for (number,) in self._rows(query, after, last)]

    @property
    def last_group(self) -> int:
        """The newest group; -1 before there is one."""
        ((number,),) = self._rows("SELECT COALESCE(MAX(gathered), -1) FROM pages")
        return int(number)

    def done(self, row: PageRow, page: Page) -> bool:
        """Keeps a page's result, unless it has one. Returns whether it was kept."""
        packed = zlib.compress(json.dumps(_kept_page(page)).encode())
        with self._change():
            changed = self._db.execute(
                "UPDATE pages SET state = 'done', vision_tokens = ?, text_tokens = ?, seconds = ? "
                "WHERE document = ? AND place = ? AND state = 'waiting'",
                (page.vision_tokens, page.text_tokens, page.seconds, row.document, row.place),
            )
            if changed.rowcount:
                self._db.execute("INSERT INTO results VALUES (?, ?, ?)", (row.document, row.place, packed))
        return bool(changed.rowcount)

    def failed(self, row: PageRow, reason: str) -> bool:
        """Notes why a page has no result, unless it has one. Returns whether it was noted."""
        with self._change():
            changed = self._db.execute(
                "UPDATE pages SET state = 'failed', reason = ? "
                "WHERE document = ? AND place = ? AND state = 'waiting'",
                (reason, row.document, row.place),
            )
        return bool(changed.rowcount)

    def results(self, document: int) -> Iterator[tuple[PageRow, Page]]:
        """A document's pages with their results; one that failed has its error."""
        for row in self.pages(document):
            yield row, self._result(row)

    def _result(self, row: PageRow) -> Page:
        if row.state != "done":
            return Page(row.number, 0, 0, (), stop="error", error=row.reason)
        query = "SELECT page FROM results WHERE document = ? AND place = ?"
        ((packed,),) = self._rows(query, row.document, row.place)
        return Page.from_dict(json.loads(zlib.decompress(packed)))

    def has_result(self, document: int) -> bool:
        """Whether at least one page of a document is read."""
        return bool(self._rows("SELECT 1 FROM results WHERE document = ? LIMIT 1", document))

    def is_alone(self, group: int) -> bool:
        """Whether a group's pages are read one by one, since they broke the network together."""
        return bool(self._rows("SELECT 1 FROM alone WHERE gathered = ?", group))

    def set_alone(self, group: int) -> None:
        with self._change():
            self._db.execute("INSERT OR IGNORE INTO alone VALUES (?)", (group,))

    # Counts, and outputs

    def counts(self) -> dict[str, int]:
        """How many documents and pages are in which state, and their tokens."""
        documents = dict(self._rows("SELECT state, COUNT(*) FROM documents GROUP BY state"))
        pages = dict(self._rows("SELECT state, COUNT(*) FROM pages GROUP BY state"))
        ((vision, text, size),) = self._rows(
            "SELECT COALESCE(SUM(vision_tokens), 0), COALESCE(SUM(text_tokens), 0), "
            "(SELECT COALESCE(SUM(bytes), 0) FROM documents) FROM pages"
        )
        counts = {"documents": sum(documents.values()), "documents_quarantined": 0, "documents_waiting": 0}
        for state in ("quarantined", "waiting"):
            counts[f"documents_{state}"] = documents.get(state, 0)
        counts |= {"pages": sum(pages.values())}
        counts |= {f"pages_{state}": pages.get(state, 0) for state in ("done", "failed", "waiting")}
        return counts | {"vision_tokens": vision, "text_tokens": text, "bytes": size}

    def problems(self) -> Iterator[tuple[str, int | None, str]]:
        """Name, page and reason of what could not be read, in order; no page for a whole document."""
        for document in self.documents():
            if document.state == "quarantined":
                yield document.name, None, document.reason or ""
            for page in self.pages(document.id):
                if page.state == "failed" and page.reason != document.reason:
                    yield document.name, page.number, page.reason or ""

    def are_settled(self, first: int, past: int) -> bool:
        """Whether nothing is left to do for the documents from `first` to before `past`."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM documents WHERE id >= ? AND id < ? AND state = 'waiting') OR "
            "EXISTS (SELECT 1 FROM pages WHERE document >= ? AND document < ? AND state = 'waiting')"
        )
        ((waiting,),) = self._rows(query, first, past, first, past)
        return not waiting

    def written(self, format: str, part: int) -> int | None:
        """Up to before which document a part of the outputs is written; None where it is not."""
        rows = self._rows("SELECT past FROM parts WHERE format = ? AND part = ?", format, part)
        return rows[0][0] if rows else None

    def set_written(self, format: str, part: int, past: int) -> None:
        with self._change():
            self._db.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", (format, part, past))


def _document(row: tuple[Any, ...]) -> DocumentRow:
    id, place, *others = row
    return DocumentRow(id, os.fsdecode(place), *others)


def _plain(text: str) -> str:
    """Text that every encoding takes; file names may hold bytes that are none."""
    return text.encode("utf-8", "backslashreplace").decode()


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _kept_page(page: Page) -> dict[str, Any]:
    """A page as JSON without the times that reading it took: they differ from run to run."""
    attempts = tuple(replace(attempt, seconds=0.0) for attempt in page.attempts)
    return replace(page, seconds=0.0, attempts=attempts).json()


def _claimed(document: Found, claims: set[str]) -> str:
    """A name for a document's outputs that no other has, whether or not the file system knows capitals."""
    base = _target(document.below)
    target, number = base, 1
    while _claim(target) in claims:
        number += 1
        target = f"{base}-{number}"
    claims.add(_claim(target))
    return target


def _claim(target: str) -> str:
    return unicodedata.normalize("NFC", target).casefold()


def _target(below: str) -> str:
    path = PurePosixPath(below)
    parts = [_plain(part) for part in path.with_suffix("").parts if part not in ("/", "..", ".")]
    short = [part.encode()[:LONGEST_PART].decode("utf-8", "ignore") for part in parts]
    return "/".join(short) or "document"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
