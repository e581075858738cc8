"""The store: turns and documents as pages in a folder, found again and read back.

    memory = OpticalMemory("notes.memory", Reader.load())
    memory.append("The key is under the third flowerpot.", role="user")
    memory.append_document("contract.pdf")
    memory.find("flowerpot")
    memory.recall(turn=1)

A folder holds `index.sqlite3` and `blobs/`. What a call has returned for is in the store, whatever happens
to the process afterwards. Any number of processes may write and read at the same time.
"""

from __future__ import annotations

import hashlib
import math
import time as clock
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from foveate.errors import OptionError
from foveate.memory import paging, settings
from foveate.memory.records import Entry, Found, Recalled, Sizes, Vision
from foveate.memory.shelf import Shelf
from foveate.pages.image import Limits, PageImage

if TYPE_CHECKING:
    from foveate.document import Page
    from foveate.engine.reader import Options
    from foveate.memory.context import Context
    from foveate.memory.fading import Faded
    from foveate.memory.schedule import Schedule
    from foveate.pages.render import Style
    from foveate.pages.source import Source
    from foveate.pages.tokenizer import Tokenizer

Keep = Literal["sharp", "always", "never"]
When = Literal["now", "later"]

AT_ONCE = 16  # pages that are added in one change


@runtime_checkable
class PageReader(Protocol):
    """What a memory asks of a reader: a `Reader`, or anything that reads pages as it does.

    Vision tokens need a `Reader`, for its network.
    """

    def read_pages(
        self, images: Iterator[PageImage], options: Options
    ) -> Iterator[tuple[PageImage, Page]]: ...


class OpticalMemory(Shelf):
    """Long text and documents, kept as pages; see the module. Safe to share between threads."""

    def __init__(
        self,
        path: str | Path,
        reader: PageReader | Callable[[], PageReader] | None = None,
        *,
        style: Style | str | None = None,
        mode: str | None = None,
        prompt: str | None = None,
        vision: Vision | None = None,
        keep_text: Keep | None = None,
        index: When = "now",
        create: bool = True,
    ) -> None:
        """Opens a store, or makes one.

        `reader` is a `Reader`, or a function that makes one when it is first needed; without it pages can be
        added and looked at, not read. The other settings belong to the store and are fixed when it is made:

        - `style` of the pages that text is set on, or its name or file (1024 x 1024 pixels, 14-pixel type);
        - `mode` of new pages ("auto"); `prompt` that they are read with ("text");
        - `vision`, how vision tokens are kept: "none", "bf16" or "int8";
        - `keep_text`, how long the original text is kept: "sharp", until its page has faded and takes fewer
          tokens; "always"; "never".

        `index` "now": pages are read when they are added; "later": when `read_pending` is called.

        Raises `SourceNotFound` when there is no store and `create` is false, `CorruptSource`, `OptionError`.
        """
        if index not in ("now", "later"):
            raise OptionError(f"index is {index!r}: choose now or later")
        super().__init__(path, create)
        self.index = index
        self._reader: PageReader | None = reader if isinstance(reader, PageReader) else None
        self._make_reader = None if isinstance(reader, PageReader) else reader
        try:
            self.settings = settings.settle(
                self._index, style, mode=mode, prompt=prompt, vision=vision, keep_text=keep_text
            )
        except BaseException:
            self.close()
            raise

    # Settings

    @cached_property
    def style(self) -> Style:
        """Of the pages that text is set on."""
        return settings.style_of(self.settings)

    @property
    def reader(self) -> PageReader:
        """Raises `OptionError` when the memory was opened without one."""
        if self._reader is None and self._make_reader is not None:
            self._reader = self._make_reader()
        if self._reader is None:
            raise OptionError(
                "this memory was opened without a reader: open it with OpticalMemory(path, reader)"
            )
        return self._reader

    @property
    def can_read(self) -> bool:
        """Whether there is a reader, or a way to make one."""
        return self._reader is not None or self._make_reader is not None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Counts text tokens: the reader's, if it is there and has one, else that of the embedded model."""
        from foveate.model.source import ASSETS
        from foveate.pages.tokenizer import Tokenizer

        own = getattr(self._reader, "tokenizer", None)
        return own if isinstance(own, Tokenizer) else Tokenizer.load(ASSETS / "nano")

    def count_tokens(self, text: str) -> int:
        """Text tokens of a text."""
        return len(self.tokenizer.encode(text))

    @cached_property
    def encoder(self) -> str:
        """The name of the reader's encoder: whose vision tokens it can read."""
        from foveate.memory import vision

        model = getattr(self.reader, "model", None)
        if model is None:
            raise OptionError("this memory's reader has no network: open it with Reader.load()")
        return vision.network_of(model)

    # Adding

    def append(
        self,
        text: str,
        role: str = "user",
        *,
        time: float | None = None,
        key: str | None = None,
        pinned: bool = False,
    ) -> Entry:
        """Adds a turn: its text becomes pages. Returns once it is in the store for good, and read.

        `time` is in seconds since 1970 (now). A `key` that the store knows adds nothing and gives the turn
        that is there, so a call that was broken off can be made again. Raises `OptionError`.
        """
        return self._append_text("turn", role, "", text, time, key, pinned)

    def append_text(
        self,
        text: str,
        source: str,
        *,
        time: float | None = None,
        key: str | None = None,
        pinned: bool = False,
    ) -> Entry:
        """Adds a document that is text already, under a name. Otherwise as `append`."""
        return self._append_text("document", "document", source, text, time, key, pinned)

    def _append_text(
        self,
        kind: str,
        role: str,
        source: str,
        text: str,
        time: float | None,
        key: str | None,
        pinned: bool,
    ) -> Entry:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as problem:
            raise OptionError(
                f"the text holds half a character at {problem.start}: decode it anew, with errors='replace'"
            ) from problem
        if not role:
            raise OptionError("the role is empty: name who speaks, such as user or assistant")
        drafts = paging.text_drafts(text, self.style, self.settings["mode"], self.count_tokens)
        return self._add(kind, role, source, drafts, time, key, pinned, size)

    def append_document(
        self,
        source: Source,
        name: str | None = None,
        *,
        time: float | None = None,
        key: str | None = None,
        pinned: bool = False,
        pages: str | None = None,
        dpi: int = 144,
        password: str | None = None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
    ) -> Entry:
        """Adds the pages of a file of any kind that foveate reads, as they are drawn; their pixels are kept.

        The pages of a document whose adding was broken off are not lost: the same call with the same key goes
        on where it stopped. A page that cannot be drawn is an `InputError`.
        """
        from foveate.pages.source import open_pages

        images = open_pages(source, pages=pages, dpi=dpi, password=password, limits=limits)
        first = next(images)  # complains before anything is written
        drafts = (
            paging.draft_of(image.image, self.settings["mode"])
            for part in ((first,), images)
            for image in part
        )
        return self._add("document", "document", name or first.source, drafts, time, key, pinned, 0)

    def _add(
        self,
        kind: str,
        role: str,
        source: str,
        drafts: Iterator[paging.Draft],
        time: float | None,
        key: str | None,
        pinned: bool,
        text_bytes: int,
    ) -> Entry:
        """Pages in some changes; the entry is seen by nobody before the last of them."""
        when = clock.time() if time is None else time
        if not isinstance(when, int | float) or not math.isfinite(when):
            raise OptionError(f"the time is {time!r}: give seconds since 1970")
        keep_text = self.settings["keep_text"] != "never"
        number, there, whole = self._begin(key)
        if whole:
            return self.entry(number)
        drafts = islice(drafts, there, None)
        batch = list(islice(drafts, AT_ONCE))
        if not batch and not there:
            raise OptionError("there is nothing to remember: no page came")
        while True:
            following = list(islice(drafts, AT_ONCE)) if len(batch) == AT_ONCE else []
            with self.changing() as change:
                if not number:
                    number = change.begin_entry((kind, role, source, when, key, text_bytes))
                for place, draft in enumerate(batch, there + 1):
                    change.add_page(number, place, draft, pinned, keep_text)
                if not following:
                    change.connection.execute("UPDATE entries SET whole = 1 WHERE id = ?", (number,))
            if not following:
                break
            there += len(batch)
            batch = following
        if self.index == "now" and self.can_read:
            self.read_pending(entry=number)
        return self.entry(number)

    def _begin(self, key: str | None) -> tuple[int, int, bool]:
        """(number, pages that are there, whether it is whole) of the entry with this key; zeros for none."""
        if key is None:
            return 0, 0, False
        with self._index.reading() as connection:
            row = connection.execute(
                "SELECT id, whole, (SELECT count(*) FROM pages WHERE entry = entries.id) FROM entries "
                "WHERE key = ?",
                (key,),
            ).fetchone()
        return (row[0], row[2], bool(row[1])) if row else (0, 0, False)

    def forget(self, entry: int) -> None:
        """Takes an entry out, with all its pages. Raises `OptionError` when others share a sheet with it."""
        with self.changing() as change:
            connection = change.connection
            if not connection.execute("SELECT 1 FROM entries WHERE id = ?", (entry,)).fetchone():
                raise OptionError(f"there is no entry {entry}: foveate memory lists them")
            mixed = connection.execute(
                "SELECT 1 FROM pages a JOIN pages b ON a.sheet = b.sheet AND a.entry <> b.entry "
                "WHERE a.entry = ? LIMIT 1",
                (entry,),
            ).fetchone()
            if mixed:
                raise OptionError(f"entry {entry} has faded into one page with its neighbours: it stays")
            for (sheet,) in connection.execute("SELECT id FROM sheets WHERE entry = ?", (entry,)).fetchall():
                change.delete_sheet(sheet)
            connection.execute("DELETE FROM pages WHERE entry = ?", (entry,))
            connection.execute("DELETE FROM entries WHERE id = ?", (entry,))

    def pin(self, *, turn: int | None = None, page: int | None = None, pinned: bool = True) -> None:
        """Keeps a turn, a document or a page from fading, or lets it fade again. Raises `OptionError`."""
        with self.changing() as change:
            if (turn is None) == (page is None):
                raise OptionError("pin takes a turn or a page: one of them")
            column, number = ("entry", turn) if page is None else ("id", page)
            rows = change.connection.execute(f"SELECT sheet FROM pages WHERE {column} = ?", (number,))
            sheets = [sheet for (sheet,) in rows.fetchall() if sheet is not None]
            if not sheets:
                what = f"turn {turn}" if page is None else f"page {page}"
                raise OptionError(f"there is no {what} to pin: it was never there, or is gone")
            change.connection.executemany(
                "UPDATE sheets SET pinned = ? WHERE id = ?", [(pinned, sheet) for sheet in sheets]
            )

    # Reading, in modules of their own

    def read_pending(
        self,
        *,
        entry: int | None = None,
        limit: int | None = None,
        on_sheet: Callable[[int], None] | None = None,
    ) -> int:
        """Reads what has not been read since it came or faded, and keeps it in the index. Returns how many.

        Each sheet is kept as soon as it is read, so a call that is broken off can be made again.
        """
        from foveate.memory import recall

        return recall.read_pending(self, entry, limit, on_sheet)

    def encode_pending(self, vision: Vision | None = None) -> int:
        """Makes and keeps the vision tokens that are missing, as the store's setting says, or as asked."""
        from foveate.memory import recall

        return recall.encode_pending(self, vision)

    def recall(
        self,
        *,
        turn: int | None = None,
        page: int | None = None,
        pages: Sequence[int] | None = None,
        span: tuple[int, int] | None = None,
        from_index: bool = False,
    ) -> list[Recalled]:
        """Reads a turn, a document or pages back, now: from the stored vision tokens alone where there are
        any, else from the pixels. Old pages may share a sheet and are read together.

        `span` chooses the pages of a turn that hold these characters of its text. `from_index` gives what was
        read before. Raises `OptionError`.
        """
        from foveate.memory import recall

        return recall.recall(self, turn, page, pages, span, from_index)

    def find(self, query: str, limit: int = 10) -> list[Found]:
        """The sheets in whose reading the words stand, the best first. Raises `OptionError`."""
        from foveate.memory import recall

        return recall.find_in(self, query, limit)

    def fade(
        self, schedule: Schedule | str | None = None, *, now: float | None = None, read: bool | None = None
    ) -> Faded:
        """Fades the store by a schedule; see `foveate.memory.fading`.

        `now` is the newest entry's time, so that the outcome depends on the store and the schedule alone.
        What has faded is read anew if `read`, or else `index`, says so. Raises `OptionError`.
        """
        from foveate.memory import fading

        return fading.fade(self, schedule, now, read)

    def context(self, budget: int, **how: Any) -> Context:
        """What fits into so many tokens, oldest to newest; see `foveate.memory.context.build`."""
        from foveate.memory import context

        return context.build(self, budget, **how)

    def to_messages(self, budget: int = 16_000, format: str = "openai", **how: Any) -> list[dict[str, Any]]:
        """What fits into so many tokens as messages for a vision model: recent text, older pages as pictures.

        `how`: the `provider` whose rule counts pictures, or the `model`; the share of `recent` text; `blur`.
        See `memory.given`. Raises `OptionError`.
        """
        from foveate.memory import given

        return given.to_messages(self, budget, format, **how)

    def sizes(self) -> Sizes:
        """What the store holds, in tokens and in bytes."""
        from foveate.memory import sizes

        return sizes.measure(self)

    def check(self) -> list[str]:
        """What is wrong with the store, one sentence each; nothing if all is well."""
        from foveate.memory import sizes

        return sizes.check(self)


def key_of(content: bytes, *parts: object) -> str:
    """A key for something by its content: the same content under the same name is remembered once."""
    seal = hashlib.sha256(content)
    seal.update("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"))
    return seal.hexdigest()[:32]
