"""The order of things inside a block's Markdown: headings, lists, code, tables, paragraphs.

Covers what the model writes, not all of Markdown. Linear in its input; nothing is lost: what is no known
form is a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from foveate.document import tables

ITEM = re.compile(r"([ \t]{0,99})([-*+•]|[0-9]{1,9}[.)])[ \t]+(?=\S)")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(?=\S)")
_FENCE = re.compile(r"[ \t]*`{3,}[^`]*")


@dataclass(frozen=True)
class Item:
    """A list's item: columns of indentation, its marker ("-", "1.") and its words."""

    indent: int
    marker: str
    text: str


@dataclass(frozen=True)
class Node:
    """One thing in a block.

    kind: "heading" (with its level), "paragraph", "code", "list" (with items) or "table" (with rows).
    """

    kind: str
    text: str = ""
    level: int = 0
    items: tuple[Item, ...] = ()
    rows: tuple[tuple[tables.Cell, ...], ...] = ()


def nodes(markdown: str) -> list[Node]:
    """What a block holds, in order."""
    found: list[Node] = []
    for fenced, part in split_code(markdown):
        if fenced:
            found.append(Node("code", part))
            continue
        for is_table, stretch in tables.split(part):
            found += [_table(tables.parse(stretch))] if is_table else _flow(stretch.split("\n"))
    return found


def split_code(markdown: str, *, fences: bool = False) -> list[tuple[bool, str]]:
    """The text as (is code, text) parts; code between lines of ``` comes with these lines or without."""
    parts: list[tuple[bool, list[str]]] = [(False, [])]
    for line in markdown.split("\n"):
        inside = parts[-1][0]
        if not (line.strip(" \t`") == "" and "```" in line if inside else _FENCE.fullmatch(line)):
            parts[-1][1].append(line)
            continue
        kept = [line] if fences else []
        if inside:
            parts[-1][1].extend(kept)
            kept = []
        parts.append((not inside, kept))
    joined = [(code, "\n".join(lines)) for code, lines in parts]
    return [(code, part) for code, part in joined if part.strip()]


def _table(rows: tables.Rows) -> Node:
    return Node("table", rows=tuple(tuple(row) for row in rows))


def _flow(lines: list[str]) -> Iterator[Node]:
    """Nodes of text without code and HTML tables, cut at empty lines and where a new form begins."""
    group: list[str] = []
    form = ""
    for line in [*lines, ""]:
        begins = _form(line, form)
        if begins != form or begins == "heading":
            yield from _node(form, group)
            group = []
        form = begins
        group.append(line)


def _form(line: str, form: str) -> str:
    """What a line belongs to, after a line that belonged to `form`."""
    if not line.strip():
        return ""
    if form == "formula":
        return form
    if line.lstrip().startswith(("\\[", "$$")):
        return "formula"  # its lines may look like items or rules
    if _HEADING.match(line):
        return "heading"
    if ITEM.match(line):
        return "list"
    if line.lstrip().startswith("|"):
        return "pipes"
    if form == "list":
        return "list"
    return "paragraph"


def _node(form: str, lines: list[str]) -> Iterator[Node]:
    if form == "heading":
        marks = _HEADING.match(lines[0])
        assert marks is not None
        words = lines[0][marks.end() :].strip()
        bare = words.rstrip("#")
        yield Node("heading", bare.strip() if bare.endswith(" ") else words, level=len(marks.group(1)))
    elif form == "list":
        yield Node("list", items=tuple(_items(lines)))
    elif form == "pipes" and len(lines) > 1 and _is_rule(lines[1]):
        yield _table([_pipe_cells(line) for number, line in enumerate(lines) if number != 1])
    elif form:
        yield Node("paragraph", "\n".join(lines).strip())


def _items(lines: list[str]) -> Iterator[Item]:
    indent, marker, words = 0, "", [""]
    for line in lines:
        begins = ITEM.match(line)
        if begins is None:
            words.append(line.strip())
            continue
        if marker:
            yield Item(indent, marker, "\n".join(words))
        indent, marker, words = len(begins.group(1)), begins.group(2), [line[begins.end() :].strip()]
    yield Item(indent, marker, "\n".join(words))


def _is_rule(line: str) -> bool:
    return "-" in line and not line.strip("|:- \t")


def _pipe_cells(line: str) -> list[tables.Cell]:
    bare = line.strip().removeprefix("|")
    bare = bare[:-1] if bare.endswith("|") and not bare.endswith("\\|") else bare
    return [tables.Cell(cell.replace("\\|", "|").strip()) for cell in re.split(r"(?<!\\)\|", bare)]
