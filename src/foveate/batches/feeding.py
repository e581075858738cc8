"""Documents opened and pages drawn ahead of the network, in the order in which they are read.

What is drawn and not yet read is bounded in bytes, whatever the documents are.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path, PurePosixPath
from typing import TypeVar

from foveate.batches.drawing import Drawing, Opened
from foveate.batches.inputs import fetch, is_address
from foveate.batches.journal import DocumentRow, Journal, PageRow
from foveate.errors import CorruptSource, InputError, StorageError
from foveate.pages.image import PageImage
from foveate.pages.pdf import MOST_PIXELS

T = TypeVar("T")

HELD_BYTES = 256 << 20  # of pages drawn ahead
HELD_PAGES = 32
OPEN_AHEAD = 64  # documents that are being opened
FETCHED_GROUPS = 4  # groups ready to be read from which on no further document is fetched
SEEN = 16  # pages whose size tells what the next ones may take


class Spool:
    """Copies of remote documents, for as long as their pages are read."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self.clear()  # what a killed run has left

    def path(self, document: DocumentRow) -> Path:
        """Where a document is, or will be once it is fetched."""
        if not is_address(document.place):
            return Path(document.place)
        name = hashlib.sha256(document.place.encode()).hexdigest()[:32]
        return self._folder / (name + PurePosixPath(document.place).suffix)

    def fetch(self, document: DocumentRow) -> None:
        """Raises `InputError` or `StorageError`."""
        try:
            fetch(document.place, self.path(document), self._most_bytes)
        except OSError as problem:
            raise StorageError(
                f"{document.name} cannot be kept in {self._folder} ({problem.strerror}): make room, then "
                "give the same command again; nothing is lost"
            ) from problem

    def drop(self, document: DocumentRow) -> None:
        """Removes a document's copy."""
        if is_address(document.place):
            self.path(document).unlink(missing_ok=True)

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class Feeding:
    """What is to be read, ahead of who reads it."""

    def __init__(self, journal: Journal, drawing: Drawing, spool: Spool, group_size: int) -> None:
        self._journal, self._drawing, self._spool, self._group_size = journal, drawing, spool, group_size
        self._closed: deque[int] = deque(journal.unfinished())  # documents, not yet asked for
        self._opening: deque[tuple[DocumentRow, Future[Opened]]] = deque()
        self._ready: deque[int] = deque()  # groups, not yet being drawn
        self._newest = -1  # group that was ready last
        self._rows: deque[PageRow] = deque()  # pages of the groups that are being drawn
        self._ahead: deque[tuple[PageRow, Future[PageImage]]] = deque()
        self._groups: deque[tuple[int, list[PageRow]]] = deque()  # being drawn, not yet taken
        self._lost: dict[int, InputError] = {}  # documents of finished pages that are no longer there
        self._documents: dict[int, DocumentRow] = {}  # whose pages are being drawn
        self._sizes: deque[int] = deque(maxlen=SEEN)  # bytes of the last pages

    def groups(self) -> Iterator[tuple[int, list[PageRow]]]:
        """Each unfinished group, when it is ready to be read."""
        while True:
            self.top_up()
            if not self._groups:
                if not self._opening:
                    return
                wait([self._opening[0][1]])
                continue
            yield self._groups.popleft()

    def image(self, row: PageRow) -> PageImage:
        """A page of the group that was taken last; its pages are asked for in order. Raises `InputError`."""
        self.top_up()
        if not self._ahead:
            self._submit()
        due, future = self._ahead.popleft()
        assert due.document == row.document and due.place == row.place
        image = _result(future)
        self._sizes.append(_bytes(image))
        self.top_up()
        return image

    def again(self, row: PageRow) -> PageImage:
        """A page once more, drawn now. Raises `InputError`."""
        return _result(self._draw(row))

    def drop(self, group: int) -> None:
        """A group is finished: what was drawn of it and not read is forgotten."""
        while self._ahead and self._ahead[0][0].group == group:
            self._ahead.popleft()[1].cancel()
        while self._rows and self._rows[0].group == group:
            self._rows.popleft()

    def forget(self, document: int) -> None:
        """All of a document's pages are read."""
        row = self._documents.pop(document, None)
        if row is not None:
            self._spool.drop(row)

    def top_up(self) -> None:
        """Starts what can be started, and notes which documents have been opened; waits for nothing."""
        self._open_more()
        while self._opening and self._opening[0][1].done():
            self._note(*self._opening.popleft())
            self._open_more()
        self._find_ready()
        while self._has_room():
            self._submit()

    def _open_more(self) -> None:
        while self._closed and len(self._opening) < OPEN_AHEAD:
            document = self._journal.document(self._closed[0])
            if is_address(document.place):
                if len(self._ready) + len(self._groups) >= FETCHED_GROUPS:
                    return
                before = lambda document=document: self._spool.fetch(document)  # noqa: E731
            else:
                before = None
            self._closed.popleft()
            future = self._drawing.open(self._spool.path(document), document.name, before)
            self._opening.append((document, future))

    def _note(self, document: DocumentRow, future: Future[Opened]) -> None:
        """What opening a document gave."""
        try:
            opened = _result(future)
            if document.sha256 is None:
                self._journal.opened(
                    document.id, opened.numbers, opened.bytes, opened.sha256, self._group_size
                )
            elif document.sha256 != opened.sha256:
                raise CorruptSource(
                    f"{document.name} has changed since this batch first opened it: put the old file back, "
                    "or read it into another folder"
                )
        except InputError as problem:
            self._lost[document.id] = problem
            if document.state == "waiting" or any(
                row.state == "waiting" for row in self._journal.pages(document.id)
            ):
                self._journal.quarantine(document.id, str(problem))
        if pages := self._journal.pages(document.id):
            self._reached(pages[-1].group - 1)

    def _reached(self, group: int) -> None:
        """No page will be added to the groups up to this one."""
        if group > self._newest:
            self._ready += self._journal.waiting_groups(self._newest, group)
            self._newest = group

    def _find_ready(self) -> None:
        if not self._closed and not self._opening:
            self._reached(self._journal.last_group)
        while self._ready and len(self._rows) < HELD_PAGES:
            number = self._ready.popleft()
            rows = [row for row in self._journal.group(number) if row.state != "failed"]
            self._groups.append((number, rows))
            self._rows += rows

    def _has_room(self) -> bool:
        """Whether another page may be drawn ahead."""
        if not self._rows or len(self._ahead) >= HELD_PAGES:
            return False
        each = max(self._sizes, default=3 * MOST_PIXELS)
        held = sum(_drawn(future, each) for _, future in self._ahead)
        return not self._ahead or held + each <= HELD_BYTES

    def _submit(self) -> None:
        row = self._rows.popleft()
        self._ahead.append((row, self._draw(row)))

    def _draw(self, row: PageRow) -> Future[PageImage]:
        if row.document in self._lost:
            lost: Future[PageImage] = Future()
            lost.set_exception(self._lost[row.document])
            return lost
        if row.document not in self._documents:
            self._documents[row.document] = self._journal.document(row.document)
        document = self._documents[row.document]
        return self._drawing.draw(self._spool.path(document), document.name, row.number)


def _result(future: Future[T]) -> T:
    """What a task gave. Raises `InputError`, or `StorageError` for what the machine lacks."""
    try:
        return future.result()
    except OSError as problem:
        raise StorageError(
            f"no process can be started to draw pages ({problem.strerror}): give the same command again; "
            "nothing is lost"
        ) from problem


def _bytes(image: PageImage) -> int:
    return 3 * image.image.width * image.image.height


def _drawn(future: Future[PageImage], otherwise: int) -> int:
    """Bytes that a page takes, or may take."""
    if not future.done() or future.cancelled() or future.exception() is not None:
        return otherwise
    return _bytes(future.result())
