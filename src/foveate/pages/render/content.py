"""What is to be set: blocks of paragraphs and tables, where every character knows its place in the source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from foveate.pages.render import bidi

BOLD, ITALIC, CODE = 1, 2, 4  # bits of a variant


@dataclass(frozen=True, eq=False)
class Content:
    """A paragraph's characters, without markup."""

    text: str
    offsets: NDArray[np.int64]  # (characters,) where each stands in the source; -1 for what is not from there
    runs: tuple[tuple[int, int], ...] = ()  # (first character, variant) of each stretch, in order

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The source's stretch that says these characters."""
        return int(self.offsets[start]), int(self.offsets[end - 1]) + 1

    def strip(self) -> Content:
        """Without white space around it; without runs yet."""
        start = len(self.text) - len(self.text.lstrip())
        end = len(self.text.rstrip())
        return (
            self if end - start == len(self.text) else Content(self.text[start:end], self.offsets[start:end])
        )


@dataclass(frozen=True)
class Paragraph:
    """Lines that follow from one another; an item when it has a marker."""

    content: Content
    marker: Content | None = None
    depth: int = 0  # of a list


@dataclass(frozen=True)
class Block:
    """kind: "title", "sub_title", "text", "list", "code" or "table"."""

    kind: str
    paragraphs: tuple[Paragraph, ...] = ()
    level: int = 0  # of a heading
    rows: tuple[tuple[Content, ...], ...] = field(default=())  # of a table, the first its head


def foreign(text: str) -> Content:
    """Content that is not from the source: a header, a bullet."""
    return Content(text, np.full(len(text), -1))


def from_source(text: str, start: int, end: int) -> Content:
    """A stretch of the source as it stands."""
    return Content(text[start:end], np.arange(start, end))


def plain_blocks(text: str) -> list[Block]:
    """Every line a paragraph, as it stands; empty lines part the blocks."""
    blocks: list[Block] = []
    group: list[Paragraph] = []
    for start, end in [*_lines(text), (0, 0)]:
        if text[start:end].strip():
            group.append(Paragraph(from_source(text, start, end)))
        elif group:
            blocks.append(Block("text", tuple(group)))
            group = []
    return blocks


def joined_blocks(text: str) -> list[Block]:
    """Lines run on; empty lines part the paragraphs, each a block."""
    blocks: list[Block] = []
    group: list[tuple[int, int]] = []
    for start, end in [*_lines(text), (0, 0)]:
        if text[start:end].strip():
            group.append((start, end))
        elif group:
            blocks.append(Block("text", (Paragraph(_joined(text, group)),)))
            group = []
    return blocks


def marked_blocks(text: str, mark: str, start: int = 0, stop: int | None = None) -> list[Block]:
    """A stretch of the text as one paragraph: a mark stands where a line ended, twice for an empty line.

    The mark's place in the source is that of the line's end. Lines of which some runs from right to left have
    directions of their own: they stay apart, each with its mark.
    """
    here = text[start:stop].rstrip()
    if not here:
        return []
    lines = [(start + first, start + end) for first, end in _lines(here)]
    paragraphs: list[Paragraph] = []
    words: list[str] = []
    offsets: list[NDArray[np.int64]] = []
    turning = [bidi.runs_right(text[first:end]) for first, end in lines] if bidi.runs_right(here) else []
    for number, (first, end) in enumerate(lines):
        last = number + 1 == len(lines)
        sign = "" if last else f" {mark} " if end > first else f"{mark} "
        words += [text[first:end], sign]
        offsets += [np.arange(first, end), np.full(len(sign), end)]
        if last or (turning and (turning[number] or turning[number + 1])):
            content = Content("".join(words), np.concatenate(offsets)).strip()
            if content.text:
                paragraphs.append(Paragraph(content))
            words, offsets = [], []
    return [Block("text", tuple(paragraphs))]


_LINE_END = re.compile("\r\n|[\n\r\x0b\f\x85\u2028\u2029]|\\Z")


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each line, its end and the white space before that left out."""
    start = 0
    for match in _LINE_END.finditer(text):
        yield start, start + len(text[start : match.start()].rstrip())
        start = match.end()


# Markdown

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(?=\S)")
_ITEM = re.compile(r"([ \t]*)([-*+•]|[0-9]{1,9}[.)])[ \t]+(?=\S)")
_FENCE = re.compile(r"[ \t]*```[^`\n]*")
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_CELL_END = re.compile(r"(?<!\\)\|")
_CJK = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_CJK_JOINT = re.compile(f"[{_CJK}]\n[{_CJK}]")


def markdown_blocks(text: str) -> list[Block]:
    """Headings, lists, fenced code, pipe tables and paragraphs with emphasis; all else is a paragraph."""
    lines = list(_lines(text))
    blocks: list[Block] = []
    at = 0
    while at < len(lines):
        at, block = _block(text, lines, at)
        if block is not None:
            blocks.append(block)
    return blocks


def _block(text: str, lines: list[tuple[int, int]], at: int) -> tuple[int, Block | None]:
    """The block that begins at a line, and the line after it."""
    start, end = lines[at]
    line = text[start:end]
    if not line.strip():
        return at + 1, None
    if _FENCE.fullmatch(line):
        return _code(text, lines, at + 1)
    if heading := _HEADING.match(line):
        level = len(heading.group(1))
        content = from_source(text, start + heading.end(), start + len(line.rstrip().rstrip("#").rstrip()))
        kind = "title" if level == 1 else "sub_title"
        return at + 1, Block(kind, (Paragraph(inline(content)),), level) if content.text else None
    if _ITEM.match(line):
        return _list(text, lines, at)
    if line.lstrip().startswith("|") and at + 1 < len(lines) and _RULE.fullmatch(text[slice(*lines[at + 1])]):
        return _table(text, lines, at)
    after = at + 1
    while after < len(lines) and not _begins(text[slice(*lines[after])]):
        after += 1
    return after, Block("text", (Paragraph(inline(_joined(text, lines[at:after]))),))


def _begins(line: str) -> bool:
    """Whether a line ends the paragraph above it."""
    return not line.strip() or any(form.match(line) for form in (_FENCE, _HEADING, _ITEM))


def _code(text: str, lines: list[tuple[int, int]], at: int) -> tuple[int, Block | None]:
    after = at
    while after < len(lines) and not _FENCE.fullmatch(text[slice(*lines[after])]):
        after += 1
    paragraphs = []
    for start, end in lines[at:after]:
        content = from_source(text, start, end)
        paragraphs.append(Paragraph(Content(content.text, content.offsets, ((0, CODE),))))
    block = Block("code", tuple(paragraphs)) if any(p.content.text.strip() for p in paragraphs) else None
    return after + 1, block


def _list(text: str, lines: list[tuple[int, int]], at: int) -> tuple[int, Block]:
    items: list[Paragraph] = []
    while at < len(lines) and (item := _ITEM.match(text[slice(*lines[at])])):
        start, end = lines[at]
        after = at + 1
        while after < len(lines) and not _begins(text[slice(*lines[after])]):
            after += 1
        content = _joined(text, [(start + item.end(), end), *lines[at + 1 : after]])
        marker = from_source(text, start + item.start(2), start + item.end(2))
        depth = len(item.group(1).expandtabs(4)) // 2
        items.append(Paragraph(inline(content), marker, min(depth, 6)))
        at = after
    return at, Block("list", tuple(items))


def _table(text: str, lines: list[tuple[int, int]], at: int) -> tuple[int, Block]:
    rows = [_cells(text, *lines[at])]
    at += 2
    while at < len(lines) and text[slice(*lines[at])].lstrip().startswith("|"):
        rows.append(_cells(text, *lines[at]))
        at += 1
    return at, Block("table", rows=tuple(tuple(row) for row in rows))


def _cells(text: str, start: int, end: int) -> list[Content]:
    first = start + text[start:end].index("|") + 1
    edges = [first, *(first + bar.end() for bar in _CELL_END.finditer(text[first:end]))]
    cells = [inline(from_source(text, a, b - 1).strip()) for a, b in zip(edges, edges[1:], strict=False)]
    rest = from_source(text, edges[-1], end).strip()
    return [*cells, inline(rest)] if rest.text else cells


def _joined(text: str, lines: list[tuple[int, int]]) -> Content:
    """Lines as one paragraph: their ends become spaces, and nothing between Chinese characters."""
    words: list[str] = []
    offsets: list[NDArray[np.int64]] = []
    for start, end in lines:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if words and not _CJK_JOINT.fullmatch(f"{words[-1][-1:]}\n{text[start : start + 1]}"):
            words.append(" ")
            offsets.append(np.array([start - 1]))
        words.append(text[start:end])
        offsets.append(np.arange(start, end))
    return Content("".join(words), np.concatenate(offsets)).strip()


_INLINE = re.compile(
    r"\\(?P<escaped>[!-/:-@\[-`{-~])|(?P<ticks>`+)(?P<code>[^`]+)(?P=ticks)(?!`)"
    r"|(?P<strong>\*\*|(?<!\w)__)(?=\S)(?P<bold>.+?)(?<=\S)(?P=strong)"
    r"|(?P<mark>\*|(?<!\w)_)(?=[^\s*_])(?P<italic>.+?)(?<=[^\s*_\\])(?P=mark)(?!\w)"
)
_VARIANTS = {"code": CODE, "bold": BOLD, "italic": ITALIC}


def inline(content: Content) -> Content:
    """The content with emphasis, code and escapes taken for what they are."""
    if not re.search(r"[\\`*_]", content.text):
        return content
    kept = list(_inline(content.text, 0, len(content.text), 0))
    text = "".join(content.text[start:end] for start, end, _ in kept)
    offsets = np.concatenate([content.offsets[start:end] for start, end, _ in kept])
    runs: list[tuple[int, int]] = []
    at = 0
    for start, end, variant in kept:
        if not runs or runs[-1][1] != variant:
            runs.append((at, variant))
        at += end - start
    return Content(text, offsets, tuple(runs))


def _inline(text: str, start: int, end: int, variant: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, variant) of the stretches that are no markup."""
    at = start
    while match := _INLINE.search(text, at, end):
        if match.start() > at:
            yield at, match.start(), variant
        name = next(n for n in ("escaped", "code", "bold", "italic") if match.group(n) is not None)
        if name in ("bold", "italic"):
            yield from _inline(text, *match.span(name), variant | _VARIANTS[name])
        else:
            yield (*match.span(name), variant | _VARIANTS.get(name, 0))
        at = match.end()
    if at < end:
        yield at, end, variant
