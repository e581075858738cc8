"""What fits into a budget of tokens, oldest to newest, and the account of it.

The newest pages are taken until the budget is full; pinned ones come first. A page is given as a picture, or
as its text where that takes fewer tokens and is still kept; what has faded to keywords is given as those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from foveate.errors import OptionError
from foveate.memory import paging
from foveate.memory.fading import shrink, shrunk_size
from foveate.memory.records import GONE, KEYWORDS, MemoryPage, Sheet
from foveate.memory.schedule import BUDGET_LEVELS, Schedule, steps_down
from foveate.pages.mode import get_mode

if TYPE_CHECKING:
    from torch import Tensor

    from foveate.memory.store import OpticalMemory

Form = Literal["vision", "images", "text"]
FORMS = ("vision", "images", "text")
ImageCost = Callable[[int, int], int]  # what a model's API counts for a picture of this width and height


@dataclass(frozen=True)
class Piece:
    """A part of a context: a picture with what it shows, or text."""

    kind: Literal["page", "text", "keywords"]
    entries: tuple[int, ...]
    pages: tuple[int, ...]
    role: str  # of the first of its entries
    time: float
    mode: str  # as it is given here
    tokens: int  # that it takes of the budget
    text_tokens: int  # of the original that it stands for
    text: str | None  # for text and keywords
    original: bool  # whether the text is the original; otherwise it is what the reader read
    blurred: bool  # for this context alone
    _sheet: Sheet = field(repr=False)
    _memory: OpticalMemory = field(repr=False)

    def image(self) -> Image.Image:
        """A page's picture. Raises `OptionError` for text, and when it has faded meanwhile."""
        if self.kind != "page":
            raise OptionError("this piece is text: it has no picture")
        try:
            image = paging.picture(self._memory.content(self._sheet))
        except FileNotFoundError:
            raise OptionError(f"page {self.pages[0]} has faded meanwhile: ask for a new context") from None
        return shrink(image, self.mode) if self.blurred else image

    def vision(self) -> Tensor:
        """A page's vision tokens for our network, newlines and separator included, (N, D).

        The stored ones where this reader's encoder made them, else made now from the pixels.
        """
        from foveate.memory import recall, vision

        sheet, memory = self._sheet, self._memory
        reader = recall.whole_reader(memory)
        if not self.blurred and sheet.vision is not None and sheet.encoder == memory.encoder:
            try:
                return vision.unpack(memory.content(sheet, vision=True))
            except FileNotFoundError:
                pass  # it has been encoded anew meanwhile
        return vision.encode(reader.model, [self.image().convert("RGB")], self.mode)[0]


@dataclass(frozen=True)
class Context:
    """What fits, oldest to newest. Iterate over it, or take `pieces`."""

    form: Form
    budget: int
    pieces: tuple[Piece, ...]
    left_out: int  # pages that did not fit
    gone: int  # pages that have faded to nothing
    left_out_text_tokens: int  # that those stood for

    def __iter__(self) -> Iterator[Piece]:
        return iter(self.pieces)

    @property
    def tokens(self) -> int:
        """Of the budget, taken."""
        return sum(piece.tokens for piece in self.pieces)

    @property
    def text_tokens(self) -> int:
        """Of the original text that all this stands for."""
        return sum(piece.text_tokens for piece in self.pieces)

    @property
    def ratio(self) -> float:
        """Text tokens for each token taken; 0 when nothing is."""
        return self.text_tokens / self.tokens if self.tokens else 0.0

    @property
    def tokens_by_kind(self) -> Mapping[str, int]:
        """Tokens of pictures by their mode, of text and of keywords."""
        counts: Counter[str] = Counter()
        for piece in self.pieces:
            counts[piece.mode if piece.kind == "page" else piece.kind] += piece.tokens
        return dict(counts)

    @property
    def faded(self) -> Mapping[str, int]:
        """Pages that are not as they came, by the level they are given at."""
        counts: Counter[str] = Counter()
        for piece in self.pieces:
            if piece.kind != "text" and (piece.blurred or piece._sheet.faded):
                counts[piece.mode] += len(piece.pages)
        return dict(counts)

    @property
    def account(self) -> dict[str, Any]:
        """All the numbers, ready for JSON."""
        return {
            "form": self.form,
            "budget": self.budget,
            "tokens": self.tokens,
            "tokens_by_kind": dict(self.tokens_by_kind),
            "text_tokens": self.text_tokens,
            "ratio": round(self.ratio, 2),
            "pages": sum(len(piece.pages) for piece in self.pieces),
            "faded": dict(self.faded),
            "left_out": self.left_out,
            "left_out_text_tokens": self.left_out_text_tokens,
            "gone": self.gone,
        }


def build(
    memory: OpticalMemory,
    budget: int,
    *,
    form: Form = "vision",
    blur: bool = False,
    text_budget: int = 0,
    image_cost: ImageCost | None = None,
) -> Context:
    """What fits into `budget` tokens.

    `form` "vision": vision tokens for our network, counted as the places that they take in it; "images":
    pictures for a vision model, counted by `image_cost` of their width and height (without it, as our modes
    count them); "text": text alone, the original where it is kept and else what the reader read.
    `blur`: pages that would not fit are given at a lower mode before any is left out; the store stays as it
    is. `text_budget`: the newest pages are given as their text, as far as it is kept, up to so many tokens.
    Raises `OptionError`.
    """
    if form not in FORMS:
        raise OptionError(f"form is {form!r}: choose from {', '.join(FORMS)}")
    if budget < 0 or text_budget < 0:
        raise OptionError("a budget is a number of tokens: choose 0 or more")
    builder = _Builder(memory, form, image_cost, min(text_budget, budget))
    modes = _blurred(memory, budget, builder) if blur and form != "text" else {}
    taken: list[Piece] = []
    room, full = budget, False
    for pinned in (True, False):
        for sheet in memory.select_sheets("AND s.pinned = ?", (pinned,), newest_first=True):
            if full and not pinned:
                break
            piece = builder.piece(sheet, modes.get(sheet.number))
            if piece is not None and piece.tokens <= room:
                taken.append(piece)
                room -= piece.tokens
            elif piece is not None and not pinned:
                full = True  # what is older is left out too: a history has no holes
    taken.sort(key=lambda piece: (piece._sheet.entry, piece._sheet.entry_page))
    return _account(memory, form, budget, taken)


class _Builder:
    """Sheets to pieces."""

    def __init__(
        self, memory: OpticalMemory, form: Form, image_cost: ImageCost | None, text_budget: int
    ) -> None:
        self.memory, self.form = memory, form
        self._image_cost, self._text_room = image_cost, text_budget

    def piece(self, sheet: Sheet, level: str | None) -> Piece | None:
        """A sheet as it is given, at a lower level if one is named; None for what has no text to give."""
        if level == KEYWORDS and not sheet.gist:
            return None
        if sheet.mode == KEYWORDS or level == KEYWORDS:
            tokens = self.memory.count_tokens(sheet.gist)
            return self._made(sheet, "keywords", KEYWORDS, tokens, sheet.gist, False, level is not None)
        kept = self._kept_text(sheet)
        if self.form == "text":
            return self._as_text(sheet, kept)
        cost, mode = self.cost(sheet, level)
        if kept is not None:
            text, tokens = kept
            if tokens <= self._text_room:
                self._text_room -= tokens
                return self._made(sheet, "text", "text", tokens, text, True, False)
            self._text_room = 0  # what is older is not newer than what did not fit
            if tokens <= cost:
                return self._made(sheet, "text", "text", tokens, text, True, False)
        return self._made(sheet, "page", mode, cost, None, False, mode != sheet.mode)

    def cost(self, sheet: Sheet, level: str | None) -> tuple[int, str]:
        """(tokens, mode) of a sheet's picture, at a lower level if one is named."""
        width, height, mode = sheet.width, sheet.height, sheet.mode
        if level is not None and steps_down(sheet, level):
            mode = level
            if self.form == "images" and self._image_cost is not None:
                width, height = shrunk_size(width, height, level)
        if self.form == "images" and self._image_cost is not None:
            return self._image_cost(width, height), mode
        layout = get_mode(mode).layout(width, height)
        return layout.sequence_length if self.form == "vision" else layout.vision_tokens, mode

    def _kept_text(self, sheet: Sheet) -> tuple[str, int] | None:
        pages: list[MemoryPage] = self.memory.pages_of(sheet)
        if not pages or any(page.text is None for page in pages):
            return None
        text = "".join(page.text or "" for page in pages)
        return text, sum(page.text_tokens for page in pages)

    def _as_text(self, sheet: Sheet, kept: tuple[str, int] | None) -> Piece | None:
        if kept is not None:
            return self._made(sheet, "text", "text", kept[1], kept[0], True, False)
        reading = self.memory.reading(sheet)
        if reading is None:
            return None
        tokens = self.memory.count_tokens(reading[0])
        return self._made(sheet, "text", "text", tokens, reading[0], False, False)

    def _made(
        self, sheet: Sheet, kind: Any, mode: str, tokens: int, text: str | None, original: bool, blurred: bool
    ) -> Piece:
        entries = self.memory.entries_of(sheet)
        role = self.memory.entry(entries[0]).role
        return Piece(
            kind,
            entries,
            sheet.pages,
            role,
            sheet.time,
            mode,
            tokens,
            sheet.text_tokens,
            text,
            original,
            blurred,
            sheet,
            self.memory,
        )


def _blurred(memory: OpticalMemory, budget: int, builder: _Builder) -> dict[int, str]:
    """The level of each sheet that a schedule by budget would fade it to, in this form's own tokens."""
    sheets = []
    for sheet in memory.sheets():
        tokens = sheet.vision_tokens if sheet.mode == KEYWORDS else builder.cost(sheet, None)[0]
        sheets.append(replace(sheet, vision_tokens=tokens))

    def cost(sheet: Sheet, level: str) -> int:
        return builder.cost(sheet, level)[0]

    levels = tuple(level for level in BUDGET_LEVELS if level not in ("packed", GONE))
    schedule = Schedule(levels, budget=budget)
    plan = schedule.plan(sheets, memory.newest, memory.count_tokens, cost)
    return {sheet.number: levels[aim] for sheet, aim in plan}


def _account(memory: OpticalMemory, form: Form, budget: int, pieces: list[Piece]) -> Context:
    with memory.looking() as connection:
        pages, gone, tokens = connection.execute(
            "SELECT count(*), coalesce(sum(p.sheet IS NULL), 0), coalesce(sum(p.text_tokens), 0) "
            "FROM pages p JOIN entries e ON e.id = p.entry AND e.whole"
        ).fetchone()
    given = sum(len(piece.pages) for piece in pieces)
    missing = tokens - sum(piece.text_tokens for piece in pieces)
    return Context(form, budget, tuple(pieces), pages - gone - given, gone, missing)
