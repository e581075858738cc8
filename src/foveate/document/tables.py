"""HTML tables as the model writes them: found, repaired, and written as pipes, tabs or clean HTML.

The markup is untrusted and may be cut anywhere. Only the places and spans of cells are taken from it; all
that is written is built anew. `html.parser` would do, but crafted input makes it quadratic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from foveate.document import inline

MAX_SPAN = 100  # columns or rows that one cell may cover
MAX_PLACES = 100_000  # rows times columns; beyond it the spans are nonsense and are not followed

_TAG = re.compile(r"<(/?)(table|thead|tbody|tfoot|tr|td|th|caption)\b([^<>]*)>", re.IGNORECASE)
_LEVEL = {"table": 0, "caption": 1, "thead": 1, "tbody": 1, "tfoot": 1, "tr": 2, "td": 3, "th": 3}
_TABLE = re.compile(r"<(/?)table\b[^<>]*>", re.IGNORECASE)
_CUT_TAG = re.compile(r"</?(?:([a-zA-Z0-9]{1,9})(\s[^<>]*)?)?\Z")
_SPAN = re.compile(r"\b(row|col)span\s{0,9}=\s{0,9}[\"']?\s{0,9}([0-9]{1,9})", re.IGNORECASE)


@dataclass(frozen=True)
class Cell:
    """One cell; its text is still Markdown with inline tags. Spans count rows and columns."""

    text: str
    header: bool = False
    rowspan: int = 1
    colspan: int = 1


Rows = list[list[Cell]]


def split(text: str) -> list[tuple[bool, str]]:
    """The text as (is a table, text) stretches in order; a table never closed ends with its last cell."""
    stretches: list[tuple[bool, str]] = []
    position, begin, depth = 0, 0, 0
    for tag in _TABLE.finditer(text):
        if not tag.group(1):
            begin = begin if depth else tag.start()
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                stretches += [(False, text[position:begin]), (True, text[begin : tag.end()])]
                position = tag.end()
    if depth:
        end = begin + _end_of_cells(text[begin:])
        stretches += [(False, text[position:begin]), (True, text[begin:end])]
        position = end
    stretches.append((False, text[position:]))
    return [(table, stretch) for table, stretch in stretches if stretch.strip()]


def _end_of_cells(text: str) -> int:
    tags = list(_TAG.finditer(text))
    last = tags[-1] if tags else None
    return last.end() if last and last.group(1) else len(text)


def close(text: str) -> str:
    """The text with the elements of a table that was cut off closed; other text comes back as it is."""
    opened: list[str] = []
    for tag in _TAG.finditer(text):
        _follow(opened, tag.group(2).lower(), bool(tag.group(1)))
    if "table" not in opened:
        return text
    text = text[: _cut_tag(text)].rstrip()
    end = _end_of_cells(text)
    return text[:end] + "".join(f"</{name}>" for name in reversed(opened)) + text[end:]


def _cut_tag(text: str) -> int | None:
    """Where a tag begins that the end of the text breaks off."""
    cut = _CUT_TAG.search(text, max(text.rfind("<"), 0))
    if cut is None:
        return None
    name = (cut.group(1) or "").lower()
    known = [*_LEVEL, *inline.KEPT_TAGS, "br"] if not cut.group(2) else [*_LEVEL]
    whole = any(tag == name or (not cut.group(2) and tag.startswith(name)) for tag in known)
    return cut.start() if whole else None


def _follow(opened: list[str], name: str, closing: bool) -> None:
    """Updates the open elements, outermost first, as HTML has it: a cell ends the cell before it."""
    if not closing:
        while opened and name != "table" and _LEVEL[opened[-1]] >= _LEVEL[name]:
            opened.pop()
        opened.append(name)
    elif name in opened[-4:]:  # table, section, row, cell: an end tag reaches no further
        while opened.pop() != name:
            pass


def parse(markup: str) -> Rows:
    """The rows of a table, without empty ones. Text outside cells is kept as a cell of its own."""
    rows: Rows = [[]]
    cell: re.Match[str] | None = None
    words: list[str] = []
    position, nested, head = 0, 0, False
    for tag in _TAG.finditer(markup):
        closing, name = bool(tag.group(1)), tag.group(2).lower()
        words.append(markup[position : tag.start()])
        position = tag.end()
        if nested or (name == "table" and cell is not None and not closing):
            nested += (name == "table") * (-1 if closing else 1)
            continue  # a table within a cell lends its words to the cell
        _add_cell(rows[-1], cell, words, head)
        words, cell = [], tag if name in ("td", "th") and not closing else None
        head = not closing if name == "thead" else head and name != "tbody"
        if name == "tr":
            rows.append([])
    words.append(markup[position:])
    _add_cell(rows[-1], cell, words, head)
    return [row for row in rows if row]


def _add_cell(row: list[Cell], tag: re.Match[str] | None, words: list[str], head: bool) -> None:
    text = " ".join(" ".join(words).split())
    if tag is None:
        if text:
            row.append(Cell(text))
        return
    spans = {kind.lower(): min(max(int(size), 1), MAX_SPAN) for kind, size in _SPAN.findall(tag.group(3))}
    row.append(Cell(text, head or tag.group(2).lower() == "th", spans.get("row", 1), spans.get("col", 1)))


def grid(rows: Rows) -> list[list[str]]:
    """Cell texts at their places, rows of one length; a cell that spans stands once, at its top left."""
    placed = _placed(rows)
    if placed is None:
        placed = [[cell.text for cell in row] for row in rows]
    width = max(map(len, placed), default=0)
    if len(placed) * width > MAX_PLACES:
        return placed
    return [row + [""] * (width - len(row)) for row in placed]


def _placed(rows: Rows) -> list[list[str]] | None:
    """Rows of texts with the places that spans cover empty; None when they cover too many."""
    placed: list[list[str]] = []
    covered: dict[int, int] = {}  # column -> rows still covered from above
    places = 0
    for row in rows:
        line: list[str] = []
        below: dict[int, int] = {}
        for cell in row:
            while len(line) in covered:
                line.append("")
            for column in range(len(line), len(line) + cell.colspan):
                below[column] = cell.rowspan
            line += [cell.text] + [""] * (cell.colspan - 1)
        placed.append(line)
        places += len(line) + len(covered)
        if places > MAX_PLACES:
            return None
        covered = {c: left - 1 for c, left in (covered | below).items() if left > 1}
    return placed


def is_plain(rows: Rows) -> bool:
    r"""Whether pipes can say all of it: no spans, and no \| that a renderer would take for a pipe."""
    return all(
        cell.rowspan == cell.colspan == 1 and "\\|" not in cell.text for row in rows for cell in row
    ) and bool(rows)


def to_pipes(rows: Rows) -> str:
    """The table in Markdown's pipe syntax, its first row as the header that Markdown asks for."""
    texts = grid(rows)
    lines = ["| " + " | ".join(map(_pipe_cell, row)) + " |" for row in texts]
    return "\n".join([*lines[:1], "|" + " --- |" * len(texts[0]), *lines[1:]]) if lines else ""


def _pipe_cell(text: str) -> str:
    return " ".join(inline.dollars(text).split()).replace("|", "\\|")


def to_tabs(rows: Rows) -> str:
    """The table as plain text: a line for each row, a tab between cells."""
    return "\n".join(
        "\t".join(" ".join(inline.plain(text).split()) if text else "" for text in row) for row in grid(rows)
    )


def to_html(rows: Rows, *, dollar_math: bool = False) -> str:
    """The table as clean HTML on one line: tr, th, td and spans, and safe text inside."""
    return f"<table>{''.join(_html_rows(rows, dollar_math))}</table>"


def _html_rows(rows: Rows, dollar_math: bool) -> Iterator[str]:
    for index, row in enumerate(rows):
        cells = "".join(_html_cell(cell, len(rows) - index, dollar_math) for cell in row)
        yield f"<tr>{cells}</tr>"


def _html_cell(cell: Cell, rows_left: int, dollar_math: bool) -> str:
    name = "th" if cell.header else "td"
    spans = {"rowspan": min(cell.rowspan, rows_left), "colspan": cell.colspan}
    written = "".join(f' {span}="{size}"' for span, size in spans.items() if size > 1)
    return f"<{name}{written}>{inline.as_html(cell.text, dollar_math=dollar_math)}</{name}>"
