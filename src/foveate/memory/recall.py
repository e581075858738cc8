"""Reading what is in a store: for the index, back from vision tokens on demand, and where words are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from foveate.document import Page
from foveate.errors import CorruptSource, OptionError
from foveate.memory import find, gist, paging
from foveate.memory.records import KEYWORDS, Found, Recalled, Sheet
from foveate.pages.image import PageImage

if TYPE_CHECKING:
    from foveate.engine.reader import Options, Reader
    from foveate.memory.store import OpticalMemory

AHEAD = 32  # sheets whose vision tokens are made, or which are read, together


def read_pending(
    memory: OpticalMemory, entry: int | None, limit: int | None, on_sheet: Callable[[int], None] | None
) -> int:
    """See `OpticalMemory.read_pending`."""
    count = 0
    if memory.settings["vision"] != "none" and _network(memory) is not None:
        encode_pending(memory, None, entry)
    while limit is None or count < limit:
        waiting = pending(memory, entry, AHEAD if limit is None else min(AHEAD, limit - count))
        if not waiting:
            break
        before = count
        for sheet, page, _ in read_sheets(memory, waiting):
            count += keep_reading(memory, sheet, page)
            if on_sheet is not None:
                on_sheet(sheet.number)
        if count == before and not _moved_on(memory, waiting):
            raise CorruptSource(
                f"{memory.path}: sheet {waiting[0].number} cannot be read: foveate memory --check says why"
            )
    return count


def pending(memory: OpticalMemory, entry: int | None, count: int) -> list[Sheet]:
    """The oldest sheets that nobody has read."""
    where = "AND s.read = 0 AND s.image IS NOT NULL"
    values: tuple[Any, ...] = ()
    if entry is not None:
        where, values = where + " AND s.entry = ?", (entry,)
    found = []
    for sheet in memory.select_sheets(where, values):
        found.append(sheet)
        if len(found) == count:
            break
    return found


def _moved_on(memory: OpticalMemory, sheets: Sequence[Sheet]) -> bool:
    """Whether others have read or faded one of them: then there was a reason that nothing was kept."""
    still = {sheet.number for sheet in pending(memory, None, len(sheets))}
    return any(sheet.number not in still or memory.sheet(sheet.number) != sheet for sheet in sheets)


def keep_reading(memory: OpticalMemory, sheet: Sheet, page: Page) -> bool:
    """Puts what was read of a sheet into the index, unless it has faded meanwhile."""
    text = page.text()
    with memory.changing() as change:
        row = change.connection.execute(
            "SELECT mode, image, gist FROM sheets WHERE id = ?", (sheet.number,)
        ).fetchone()
        if row is None or row[:2] != (sheet.mode, sheet.image):
            return False
        change.unread(sheet.number)
        find.add(change.connection, sheet.number, text)
        change.connection.execute(
            "INSERT INTO readings VALUES (?, ?, ?, ?, ?)",
            (sheet.number, text, page.confidence, page.text_tokens, page.stop),
        )
        # The keywords come from the sharpest reading, which is the first.
        change.connection.execute(
            "UPDATE sheets SET read = 1, gist = ? WHERE id = ?",
            (row[2] or gist.keywords(text), sheet.number),
        )
        if len(sheet.pages) == 1:
            change.connection.execute(
                "UPDATE pages SET text_tokens = ? WHERE sheet = ? AND text_tokens IS NULL",
                (page.text_tokens, sheet.number),
            )
    return True


def read_sheets(memory: OpticalMemory, sheets: Sequence[Sheet]) -> Iterator[tuple[Sheet, Page, str]]:
    """Reads sheets in the order in which they are done; from vision tokens where they are this reader's own.

    Gives (sheet, page, "vision tokens" or "pixels"); nothing for a sheet that fades meanwhile.
    """
    network = _network(memory)
    ready = [s for s in sheets if s.vision is not None and network is not None and s.encoder == network]
    yield from ((s, page, "vision tokens") for s, page in _from_tokens(memory, ready))
    chosen = {sheet.number for sheet in ready}
    others = [sheet for sheet in sheets if sheet.number not in chosen]
    for mode in dict.fromkeys(sheet.mode for sheet in others):
        group = [sheet for sheet in others if sheet.mode == mode]
        yield from ((s, page, "pixels") for s, page in _from_pixels(memory, group, mode))


def _from_tokens(memory: OpticalMemory, sheets: Sequence[Sheet]) -> Iterator[tuple[Sheet, Page]]:
    if not sheets:
        return
    from foveate.memory import vision

    def ready() -> Iterator[vision.Ready]:
        for sheet in sheets:
            content = content_of(memory, sheet, True)
            if content is not None:
                tokens = vision.unpack(content)
                yield vision.Ready(sheet, tokens, sheet.mode, sheet.width, sheet.height)

    yield from vision.read(whole_reader(memory), ready(), _options(memory, sheets[0].mode))


def _from_pixels(memory: OpticalMemory, sheets: Sequence[Sheet], mode: str) -> Iterator[tuple[Sheet, Page]]:
    def images() -> Iterator[PageImage]:
        for number, sheet in enumerate(sheets):
            content = content_of(memory, sheet, False)
            if content is not None:
                yield paging.page_image(content, number + 1)

    for image, page in memory.reader.read_pages(images(), _options(memory, mode)):
        yield sheets[image.number - 1], page


def content_of(memory: OpticalMemory, sheet: Sheet, vision: bool = False) -> bytes | None:
    """A blob of a sheet; None when it has faded meanwhile. Raises `CorruptSource` when it is missing."""
    try:
        return memory.content(sheet, vision)
    except FileNotFoundError:
        now = memory.sheet(sheet.number)
        if now is not None and (now.vision if vision else now.image) == (
            sheet.vision if vision else sheet.image
        ):
            raise CorruptSource(
                f"{memory.path}: a file of page {sheet.pages[0]} is missing: take the store from a copy, or "
                f"forget entry {sheet.entry}"
            ) from None
        return None


def encode_pending(memory: OpticalMemory, kind: str | None, entry: int | None = None) -> int:
    """See `OpticalMemory.encode_pending`."""
    from foveate.memory import vision

    kind = kind or memory.settings["vision"]
    if kind not in ("bf16", "int8"):
        raise OptionError(f"vision tokens are kept as bf16 or int8, not as {kind!r}: choose one of them")
    reader, count = whole_reader(memory), 0
    network = _network(memory)
    where = "AND s.image IS NOT NULL AND (s.vision IS NULL OR s.vision_kind <> ? OR s.encoder IS NOT ?)"
    values: tuple[Any, ...] = (kind, network)
    if entry is not None:
        where, values = where + " AND s.entry = ?", (*values, entry)
    for sheet in memory.select_sheets(where, values):
        content = content_of(memory, sheet, False)
        if content is not None:
            image = paging.page_image(content, 1).image
            packed = vision.pack(vision.encode(reader.model, [image], sheet.mode)[0], kind)
            count += _keep_tokens(memory, sheet, kind, network, packed)
    return count


def _keep_tokens(
    memory: OpticalMemory, sheet: Sheet, kind: str, network: str | None, packed: tuple[bytes, float]
) -> bool:
    content, loss = packed
    with memory.changing() as change:
        row = change.connection.execute(
            "SELECT mode, image, vision FROM sheets WHERE id = ?", (sheet.number,)
        ).fetchone()
        if row is None or row[:2] != (sheet.mode, sheet.image):
            return False
        digest = change.put(content)
        change.release(row[2])
        change.connection.execute(
            "UPDATE sheets SET vision = ?, vision_kind = ?, vision_loss = ?, encoder = ? WHERE id = ?",
            (digest, kind, loss, network, sheet.number),
        )
    return True


def recall(
    memory: OpticalMemory,
    turn: int | None,
    page: int | None,
    pages: Sequence[int] | None,
    span: tuple[int, int] | None,
    from_index: bool,
) -> list[Recalled]:
    """See `OpticalMemory.recall`."""
    chosen = _chosen(memory, turn, page, pages, span)
    found: dict[int, Recalled] = {}
    sheets: dict[int, Sheet] = {}
    for number in chosen:
        record = memory.page(number)
        sheet = None if record.sheet is None else memory.sheet(record.sheet)
        if sheet is None:
            found[-number] = Recalled((number,), (record.entry,), "gone", "", None, "nothing", 0, 0)
            continue
        sheets[sheet.number] = sheet
        found[sheet.number] = _at_hand(memory, sheet)
    reading = [sheet for sheet in sheets.values() if sheet.visual]
    if not from_index and reading:
        for sheet, read, source in read_sheets(memory, reading):
            found[sheet.number] = _recalled(memory, sheet, read, source)
    return list(found.values())


def _chosen(
    memory: OpticalMemory,
    turn: int | None,
    page: int | None,
    pages: Sequence[int] | None,
    span: tuple[int, int] | None,
) -> list[int]:
    if sum(choice is not None for choice in (turn, page, pages)) != 1:
        raise OptionError("say what is to be recalled: a turn, a page, or pages; one of them")
    if span is not None and turn is None:
        raise OptionError("a span is one of a turn's text: name the turn too")
    if turn is None:
        return list(dict.fromkeys(pages if pages is not None else [page or 0]))
    memory.entry(turn)
    found = memory.pages(turn)
    if span is not None:
        found = [p for p in found if p.span is None or (p.span[0] < span[1] and span[0] < p.span[1])]
        if not found:
            raise OptionError(f"turn {turn} has no characters {span[0]} to {span[1]}")
    return [p.number for p in found]


def _at_hand(memory: OpticalMemory, sheet: Sheet) -> Recalled:
    """What is known of a sheet without a network."""
    if sheet.mode == KEYWORDS:
        count = sheet.vision_tokens
        return Recalled(
            sheet.pages, memory.entries_of(sheet), KEYWORDS, sheet.gist, None, "keywords", 0, count
        )
    text, confidence, tokens, stop = memory.reading(sheet) or ("", None, 0, "unread")
    return Recalled(
        sheet.pages,
        memory.entries_of(sheet),
        sheet.mode,
        text,
        confidence,
        "index",
        sheet.vision_tokens,
        tokens,
        stop,
    )


def _recalled(memory: OpticalMemory, sheet: Sheet, page: Page, source: Any) -> Recalled:
    return Recalled(
        sheet.pages,
        memory.entries_of(sheet),
        sheet.mode,
        page.text(),
        page.confidence,
        source,
        sheet.vision_tokens,
        page.text_tokens,
        page.stop,
    )


def find_in(memory: OpticalMemory, query: str, limit: int) -> list[Found]:
    """See `OpticalMemory.find`."""
    if not find.terms(query):
        raise OptionError(f"there is no word in {query!r}: name words that stand on the page")
    if limit < 1:
        raise OptionError(f"limit is {limit}: choose 1 or more")
    found = []
    for hit in memory.search(query, limit):
        sheet = memory.sheet(hit.sheet)
        if sheet is None:
            continue
        reading = memory.reading(sheet)
        text, confidence = (sheet.gist, None) if reading is None else reading[:2]
        found.append(
            Found(
                sheet.pages,
                memory.entries_of(sheet),
                sheet.mode,
                hit.score,
                find.snippet(text, hit.words),
                hit.words,
                confidence,
            )
        )
    return found


def _options(memory: OpticalMemory, mode: str) -> Options:
    from foveate.engine.reader import Options

    # Not again one mode higher where it loops: the picture has no more to give.
    return Options(mode=mode, prompt=memory.settings["prompt"], retries=0)


def whole_reader(memory: OpticalMemory) -> Reader:
    """The reader, with its network. Raises `OptionError` for one that has none."""
    reader: Any = memory.reader
    if not hasattr(reader, "model"):
        raise OptionError("vision tokens need a foveate.Reader: this reader has no network of its own")
    found: Reader = reader
    return found


def _network(memory: OpticalMemory) -> str | None:
    """The name of the reader's encoder; None without a network."""
    if not memory.can_read or not hasattr(memory.reader, "model"):
        return None
    return memory.encoder
