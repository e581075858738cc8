"""What lies in a store's folder: the index and the blobs, looked at and changed together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from PIL import Image

from foveate.errors import OptionError, SourceNotFound
from foveate.memory import find, paging, rows
from foveate.memory.blobs import Blobs
from foveate.memory.change import Change
from foveate.memory.index import FILE, Index
from foveate.memory.records import Entry, MemoryPage, Sheet

AT_A_TIME = 256  # sheets
TRIES = 20  # to see a sheet's blob while others fade it


class Shelf:
    """Entries, pages and sheets as they are. `OpticalMemory` adds what needs a renderer or a reader."""

    def __init__(self, path: str | Path, create: bool) -> None:
        """Opens a folder, or makes it. Raises `SourceNotFound`, `CorruptSource` or `OptionError`."""
        self.path = Path(path)
        if not (self.path / FILE).is_file():
            self._make_folder(create)
        self._index = Index(self.path)
        try:
            self.blobs = Blobs(self.path)
            self._recover()
        except BaseException:
            self._index.close()
            raise

    def _make_folder(self, create: bool) -> None:
        if not create:
            raise SourceNotFound(f"{self.path}: there is no memory here: make one with foveate remember")
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise OptionError(f"{self.path} is no memory and not empty: name another folder")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise OptionError(f"{self.path} cannot be made ({problem.strerror}): name another") from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the index's connections in this process."""
        self._index.close()

    # Looking

    def entries(self, after: int = 0, limit: int = -1) -> list[Entry]:
        """Turns and documents in the order in which they came, those behind number `after`."""
        query = rows.ENTRY + "WHERE e.whole AND e.id > ? GROUP BY e.id ORDER BY e.id LIMIT ?"
        return [Entry(*row) for row in self._rows(query, after, limit)]

    def entry(self, number: int) -> Entry:
        """Raises `OptionError` for a number that the store does not have."""
        found = self._rows(rows.ENTRY + "WHERE e.whole AND e.id = ? GROUP BY e.id", number)
        if not found:
            raise OptionError(f"there is no turn or document {number}: foveate memory lists them")
        return Entry(*found[0])

    def pages(self, entry: int | None = None) -> list[MemoryPage]:
        """All pages in the order of their entries, or those of one entry."""
        where, values = ("", ()) if entry is None else ("WHERE p.entry = ? ", (entry,))
        return [
            rows.page(row)
            for row in self._rows(rows.PAGE + where + "ORDER BY p.entry, p.entry_page", *values)
        ]

    def page(self, number: int) -> MemoryPage:
        """Raises `OptionError` for a number that the store does not have."""
        found = self._rows(rows.PAGE + "WHERE p.id = ?", number)
        if not found:
            raise OptionError(f"there is no page {number}: foveate memory says how many there are")
        return rows.page(found[0])

    def sheets(self, newest_first: bool = False) -> Iterator[Sheet]:
        """All sheets in the order of their pages, some at a time."""
        yield from self.select_sheets("", (), newest_first)

    def sheet(self, number: int) -> Sheet | None:
        """One sheet; None when it is not there any more."""
        found = self._rows(rows.SHEET + "WHERE s.id = ?", number)
        return rows.sheet(found[0]) if found else None

    def select_sheets(
        self, where: str, values: tuple[Any, ...], newest_first: bool = False
    ) -> Iterator[Sheet]:
        """Sheets `s` of which a condition of SQL holds, in the order of their pages."""
        order, compare = ("DESC", "<") if newest_first else ("ASC", ">")
        place: tuple[float, float] = (float("inf"),) * 2 if newest_first else (-1, -1)
        while True:
            found = self._rows(
                f"{rows.SHEET} WHERE (s.entry, s.entry_page) {compare} (?, ?) {where} "
                f"ORDER BY s.entry {order}, s.entry_page {order} LIMIT {AT_A_TIME}",
                *place,
                *values,
            )
            yield from map(rows.sheet, found)
            if len(found) < AT_A_TIME:
                return
            place = found[-1][1], found[-1][2]

    def _sheet_of(self, page: int) -> Sheet | None:
        number = self.page(page).sheet
        return None if number is None else self.sheet(number)

    def pages_of(self, sheet: Sheet) -> list[MemoryPage]:
        """The pages on a sheet."""
        query = rows.PAGE + "WHERE p.sheet = ? ORDER BY p.entry, p.entry_page"
        return [rows.page(row) for row in self._rows(query, sheet.number)]

    def image(self, page: int) -> Image.Image:
        """The picture of a page as it is now; old pages may share one. Raises `OptionError` without one."""
        for _ in range(TRIES):
            sheet = self._sheet_of(page)
            if sheet is None or sheet.image is None:
                raise OptionError(
                    f"page {page} has no picture any more: it has faded to {self.page(page).mode}"
                )
            try:
                return paging.picture(self.blobs.get(sheet.image))
            except FileNotFoundError:
                continue  # it has faded in between
        raise OptionError(f"the picture of page {page} is missing: foveate memory {self.path} --check")

    def content(self, sheet: Sheet, vision: bool = False) -> bytes:
        """A sheet's picture (PNG) or its packed vision tokens. Raises `FileNotFoundError` once it faded."""
        digest = sheet.vision if vision else sheet.image
        assert digest is not None
        return self.blobs.get(digest)

    @property
    def last_entry(self) -> int:
        """The newest entry's number. Raises `OptionError` in an empty store."""
        number = self._rows("SELECT max(id) FROM entries WHERE whole")[0][0]
        if number is None:
            raise OptionError(f"{self.path} holds nothing yet: foveate remember adds files")
        return int(number)

    @property
    def newest(self) -> float:
        """The newest entry's time; 0 in an empty store."""
        return float(self._rows("SELECT coalesce(max(time), 0) FROM entries WHERE whole")[0][0])

    def entries_of(self, sheet: Sheet) -> tuple[int, ...]:
        """The entries whose pages are on a sheet."""
        found = self._rows("SELECT DISTINCT entry FROM pages WHERE sheet = ? ORDER BY entry", sheet.number)
        return tuple(number for (number,) in found)

    def reading(self, sheet: Sheet) -> tuple[str, float | None, int, str] | None:
        """What the index holds of a sheet: text, confidence, tokens, stop; None before it is read."""
        query = "SELECT text, confidence, tokens, stop FROM readings WHERE sheet = ?"
        found = self._rows(query, sheet.number)
        return found[0] if found else None

    def search(self, query: str, limit: int) -> list[find.Hit]:
        """Sheets whose reading holds the words; see `foveate.memory.find`."""
        with self._index.reading() as connection:
            return find.search(connection, query, limit)

    # Changing

    def _rows(self, query: str, *values: Any) -> list[Any]:
        return self._index.connection.execute(query, values).fetchall()

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Several questions about one and the same state of the index."""
        with self._index.reading() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """One change of the store: all of it or none, one at a time among all processes."""
        with self._index.writing() as connection:
            self.blobs.sweep(connection)
            change = Change(connection, self.blobs)
            yield change
        for digest in change.written:
            self.blobs.settle(digest)

    def _recover(self) -> None:
        """Tidies up behind processes that were killed."""
        unused = self._rows("SELECT 1 FROM blobs WHERE uses = 0 LIMIT 1")
        if unused or self.blobs.left_over():
            with self._index.writing() as connection:
                self.blobs.sweep(connection)
                self.blobs.recover(connection)
