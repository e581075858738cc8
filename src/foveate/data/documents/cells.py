"""Cells of a table to HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foveate.data.documents.characters import Word
from foveate.data.documents.lines import is_right_to_left, joined, lines
from foveate.document import Box


@dataclass(frozen=True)
class Table:
    """A table that was found."""

    box: Box
    words: tuple[Word, ...]
    html: str


@dataclass(frozen=True)
class Cell:
    """Words at a place of a table's grid."""

    row: int
    column: int
    rows: int
    columns: int
    text: str


def turned(cells: Sequence[Cell]) -> list[Cell]:
    """The cells; where the script runs back, a table begins at its right too."""
    if not is_right_to_left(" ".join(cell.text for cell in cells)):
        return list(cells)
    last = max(cell.column + cell.columns for cell in cells)
    return [replace(cell, column=last - cell.column - cell.columns) for cell in cells]


def written(cells: Sequence[Cell], headers: int = 0) -> str:
    """Cells as HTML on one line; the first `headers` rows as th."""
    rows = []
    for row in sorted({cell.row for cell in cells}):
        tag = "th" if row < headers else "td"
        line = sorted((cell for cell in cells if cell.row == row), key=lambda cell: cell.column)
        rows.append("<tr>" + "".join(_cell(cell, tag) for cell in line) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def _cell(cell: Cell, tag: str) -> str:
    spans = (("rowspan", cell.rows), ("colspan", cell.columns))
    attributes = "".join(f' {name}="{count}"' for name, count in spans if count > 1)
    return f"<{tag}{attributes}>{html.escape(cell.text, quote=False)}</{tag}>"


def cell_text(words: Sequence[Word]) -> str:
    """A cell's words, line after line."""
    return joined(
        line.text for line in sorted(lines(words), key=lambda line: (round(line.baseline), line.box.x0))
    )


def centre_in(box: Box, outer: Box) -> bool:
    """Whether a box has its middle within another."""
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return outer.x0 <= x <= outer.x1 and outer.y0 <= y <= outer.y1
