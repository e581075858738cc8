"""What a memory gives back: entries, pages, sheets, and what was recalled or found of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from foveate.errors import OptionError
from foveate.pages.mode import MODES

Vision = Literal["none", "bf16", "int8"]
KEYWORDS, GONE = "keywords", "gone"
# From sharp to nothing. The first three are sharp: a page begins at one of them, or lower.
LEVELS = ("gundam-m", "gundam", "large", "base", "small", "tiny", KEYWORDS, GONE)
SHARP = frozenset({"gundam-m", "gundam", "large"})
VISUAL = frozenset(MODES)


def level_of(name: str) -> str:
    """A level's name as it is written here. Raises `OptionError`."""
    key = name.strip().lower().replace("_", "-")
    if key not in LEVELS:
        raise OptionError(f"{name!r} is no level: choose from {', '.join(LEVELS)}")
    return key


@dataclass(frozen=True)
class Entry:
    """A turn of a conversation, or a document."""

    number: int  # in the order in which the store was given them
    kind: Literal["turn", "document"]
    role: str  # "user", "assistant", …; "document" for documents
    source: str  # the document's name; empty for a turn
    time: float  # seconds since 1970, UTC
    key: str | None  # the caller's own name for it: a key that is known is not added again
    pages: int
    text_tokens: int  # of the text that was given; of a document's pages, of what was read of them

    @property
    def when(self) -> str:
        """The time as ISO 8601, in UTC, to the second."""
        return datetime.fromtimestamp(self.time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Sheet:
    """One picture in the store. It shows one page, or several old ones below one another."""

    number: int
    entry: int  # of its first page
    entry_page: int  # of its first page, within the entry
    mode: str  # one of LEVELS
    width: int  # pixels of the picture that is kept; 0 once it is down to keywords
    height: int
    image: str | None  # the digest of its blob
    vision: str | None  # the digest of the blob of its vision tokens
    vision_kind: str | None
    vision_loss: float | None  # relative error of int8; 0 for tokens that were not rounded
    encoder: str | None  # which network made the vision tokens
    vision_tokens: int  # as the paper counts them
    places: int  # in the decoder: with a newline after each row and a separator
    ink: tuple[float, float]  # top and bottom of what is not paper, in heights of the page
    pinned: bool
    faded: bool  # at least one step away from how it came
    gist: str  # its keywords, from the sharpest reading there was
    time: float  # of its first page's entry
    text_tokens: int  # that its pages stand for
    pages: tuple[int, ...]  # their numbers

    @property
    def visual(self) -> bool:
        """Whether there are pixels."""
        return self.image is not None


@dataclass(frozen=True)
class MemoryPage:
    """One page as it was added, and where it is now."""

    number: int  # in the store
    entry: int
    entry_page: int  # in its entry, from 1
    span: tuple[int, int] | None  # in the entry's text, where there was one
    text: str | None  # the original, as long as it is kept
    text_tokens: int
    missing: int  # characters that no installed font has
    sheet: int | None  # None: gone
    mode: str


@dataclass(frozen=True)
class Recalled:
    """What the reader reads of one sheet, now."""

    pages: tuple[int, ...]
    entries: tuple[int, ...]
    mode: str
    text: str
    confidence: float | None  # geometric mean of the token probabilities; None without any
    source: Literal["vision tokens", "pixels", "index", "keywords", "nothing"]  # what it was read from
    vision_tokens: int
    text_tokens: int  # written by the reader
    stop: str = "end"


@dataclass(frozen=True)
class Found:
    """A sheet in whose reading the words were found."""

    pages: tuple[int, ...]
    entries: tuple[int, ...]
    mode: str
    score: float  # the share of the query's weight that was found, 0 to 1; rare words weigh more
    snippet: str  # from the reading, the words in **stars**
    words: tuple[str, ...]  # those that were found, as they were read
    confidence: float | None


@dataclass(frozen=True)
class LevelSize:
    """All sheets of one level."""

    level: str
    sheets: int
    pages: int
    text_tokens: int  # that they stand for
    tokens: int  # that they take now: vision tokens, or those of the keywords
    bytes: int  # of pictures and vision tokens


@dataclass(frozen=True)
class Sizes:
    """What a store holds, in tokens of context and in bytes. The one is compressed, the other is not."""

    entries: int
    turns: int
    documents: int
    unfinished: int  # documents whose adding was broken off
    pages: int
    gone: int  # pages
    unread: int  # sheets that no reader has read yet
    pinned: int  # sheets
    levels: tuple[LevelSize, ...]
    text_bytes: int  # of the text that was given, in UTF-8
    kept_text_bytes: int  # of it that is still kept
    image_bytes: int
    vision_bytes: int
    vision_loss: float | None  # mean relative error of the stored vision tokens; None without any
    index_bytes: int  # the database: index, readings and kept text

    @property
    def text_tokens(self) -> int:
        """That the pages stand for."""
        return sum(level.text_tokens for level in self.levels)

    @property
    def tokens(self) -> int:
        """That the pages take now."""
        return sum(level.tokens for level in self.levels)

    @property
    def ratio(self) -> float:
        """Text tokens for each token of context; 0 without any."""
        return self.text_tokens / self.tokens if self.tokens else 0.0

    @property
    def bytes(self) -> int:
        """On disk, all together."""
        return self.image_bytes + self.vision_bytes + self.index_bytes


def ranges(numbers: Sequence[int]) -> str:
    """Numbers as people write them: 1-3, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
