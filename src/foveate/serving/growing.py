"""Text that goes out while it is written, in the pages' order, and is never taken back."""

import re
import time
from collections import defaultdict

from foveate.document import Document, Page
from foveate.pages.markup import parse
from foveate.serving.service import Done, Event, Opened, Piece

EVERY = 0.15  # seconds between two renderings of a page
COST = 10  # a rendering is due again after so many times what it took
# What changes its look when it ends: tables, references with their boxes, tags, code and formulas.
_OPEN = re.compile(
    r"<table(?![\s\S]*</table>)|<\|(?:ref|det)\|>(?![\s\S]*<\|/det\|>)|<[^<>\n]{0,200}\Z"
    r"|```(?:(?!```)[\s\S])*\Z|\\\((?![\s\S]*\\\))|\\\[(?![\s\S]*\\\])"
)


class GrowingMarkdown:
    """A page's Markdown while it is written.

    The text so far is rendered now and then, and what two renderings have in common is given out. Tables,
    formulas and markup wait until they are whole.
    """

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._raw: list[str] = []
        self._before = self._given = ""
        self._due = 0.0

    def add(self, piece: str) -> str:
        """Takes what the network wrote; gives what may be shown now."""
        self._raw.append(piece)
        now = time.monotonic()
        if now < self._due:
            return ""
        rendered = self._rendered(_settled("".join(self._raw)))
        common = _common(self._before, rendered)
        self._before = rendered
        ended = time.monotonic()
        self._due = ended + max(EVERY, COST * (ended - now))
        return self._give(common) if common.startswith(self._given) else ""

    def end(self, page: Page) -> str:
        """The rest, now that the page is read."""
        final = page.markdown()
        self._given = _common(self._given, final)  # the same, but for what no rendering could foresee
        return self._give(final)

    def _rendered(self, raw: str) -> str:
        blocks = parse(raw, 1000, 1000, prompt=self._prompt)
        return Page(1, 1000, 1000, tuple(blocks)).markdown()

    def _give(self, text: str) -> str:
        new, self._given = text[len(self._given) :], text
        return new


class PagesInOrder:
    """Pages that are read side by side, one after the other; the whole is `Document.markdown` and the like.

    format: "markdown" or "raw", which grow, "text", which comes page by page, or another, which does not.
    """

    def __init__(self, format: str, prompt: str) -> None:
        self._format, self._prompt = format, prompt
        self._numbers: list[int] = []
        self._index = -1
        self._pieces: dict[int, list[str]] = defaultdict(list)
        self._pages: dict[int, Page] = {}
        self._growing = GrowingMarkdown(prompt)
        self._said = ""
        self._gap = ""  # before the next words

    @property
    def done(self) -> list[Page]:
        """The pages that are read, in order."""
        return [self._pages[number] for number in self._numbers if number in self._pages]

    def add(self, event: Event) -> str:
        """What may be said after this event."""
        if isinstance(event, Opened):
            self._numbers = list(event.numbers)
            return self._next()
        if isinstance(event, Piece):
            if event.number == self._numbers[self._index]:
                return self._behind_gap(self._grow(event.text))
            self._pieces[event.number].append(event.text)
        if isinstance(event, Done):
            self._pages[event.page.number] = event.page
            text = ""
            while self._index < len(self._numbers) and self._numbers[self._index] in self._pages:
                text += self._behind_gap(self._rest(self._pages[self._numbers[self._index]])) + self._next()
            return text
        return ""

    def _next(self) -> str:
        """Goes on to the next page: what stands before it, and what is written of it already."""
        self._index += 1
        if self._index >= len(self._numbers):
            return ""
        self._growing, self._said, self._gap = GrowingMarkdown(self._prompt), "", ""
        number, first = self._numbers[self._index], self._index == 0
        before = ""
        if self._format == "markdown" and len(self._numbers) > 1:
            before, self._gap = ("" if first else "\n\n") + f"<!-- page {number} -->", "\n\n"
        elif not first:
            before = {"raw": "\n\n", "text": "\n\f\n"}.get(self._format, "")
        return before + self._behind_gap("".join(map(self._grow, self._pieces.pop(number, []))))

    def _grow(self, piece: str) -> str:
        if self._format == "markdown":
            return self._growing.add(piece)
        if self._format == "raw":
            self._said += piece
            return piece
        return ""

    def _rest(self, page: Page) -> str:
        if self._format == "markdown":
            return self._growing.end(page)
        if self._format == "raw":
            return page.raw[len(self._said) :] if page.raw.startswith(self._said) else ""
        return page.text() if self._format == "text" else ""

    def _behind_gap(self, text: str) -> str:
        if not text:
            return ""
        gap, self._gap = self._gap, ""
        return gap + text


def whole(document: Document, format: str) -> str:
    """What `PagesInOrder` says in the end."""
    if format == "raw":
        return "\n\n".join(page.raw for page in document.pages)
    return document.markdown() if format == "markdown" else document.text()


def _settled(raw: str) -> str:
    """The text up to where something begins that has not ended yet."""
    while found := _OPEN.search(raw):  # what is left may now have something open that ended behind the cut
        raw = raw[: found.start()]
    return raw


def _common(one: str, other: str) -> str:
    shorter = min(len(one), len(other))
    return one[: next((i for i in range(shorter) if one[i] != other[i]), shorter)].rstrip()
