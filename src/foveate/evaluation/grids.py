"""Tables of a reading as grids, where every cell knows its neighbours and its headings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foveate.document import flow, tables


@dataclass(frozen=True)
class Placed:
    """A cell at its place: rows and columns that it covers, counted from 0, the last excluded."""

    text: str
    header: bool
    top: int
    bottom: int
    left: int
    right: int


class Grid:
    """A table's cells by their places."""

    def __init__(self, rows: tables.Rows, pipes_head: bool = False) -> None:
        self.cells = _place(rows, pipes_head)
        self._at = {
            (row, column): cell
            for cell in self.cells
            for row in range(cell.top, cell.bottom)
            for column in range(cell.left, cell.right)
        }

    def neighbours(self, cell: Placed, side: str) -> list[Placed]:
        """The cells that touch one from "up", "down", "left" or "right"."""
        rows, columns = range(cell.top, cell.bottom), range(cell.left, cell.right)
        places: Iterable[tuple[int, int]]
        if side in ("up", "down"):
            places = ((cell.top - 1 if side == "up" else cell.bottom, column) for column in columns)
        else:
            places = ((row, cell.left - 1 if side == "left" else cell.right) for row in rows)
        return _distinct(self._at.get(place) for place in places)

    def headings(self, cell: Placed, side: str) -> list[Placed]:
        """The cells above ("top") or before it ("left") that head it.

        These are the first that says something, those behind it as long as they span more than the line they
        stand in, and all that are marked as headers.
        """
        found: list[Placed] = []
        if side == "top":
            lines = [[(row, column) for row in range(cell.top)] for column in range(cell.left, cell.right)]
        else:
            lines = [[(row, column) for column in range(cell.left)] for row in range(cell.top, cell.bottom)]
        for line in lines:
            found += self._headings_of(_distinct(self._at.get(place) for place in line), side)
        return _distinct(found)

    @staticmethod
    def _headings_of(line: list[Placed], side: str) -> list[Placed]:
        found, heading = [], True
        for cell in line:
            if not cell.text:
                continue
            if heading or (cell.header and side == "top"):
                found.append(cell)
            wide = cell.right - cell.left if side == "top" else cell.bottom - cell.top
            heading = heading and wide > 1
        return found


def find_grids(markdown: str) -> list[Grid]:
    """The tables of a text, in HTML or between pipes, in order."""
    found = []
    for fenced, part in flow.split_code(markdown):
        if fenced:
            continue
        for is_table, stretch in tables.split(part):
            if is_table:
                found.append(Grid(tables.parse(stretch)))
                continue
            nodes = (node for node in flow.nodes(stretch) if node.kind == "table")
            found += [Grid([list(row) for row in node.rows], pipes_head=True) for node in nodes]
    return found


def _place(rows: tables.Rows, pipes_head: bool) -> list[Placed]:
    """Cells at their places, as browsers put them; nonsense of spans beyond the limit is not followed."""
    taken: set[tuple[int, int]] = set()
    placed = []
    for top, row in enumerate(rows):
        column = 0
        for cell in row:
            while (top, column) in taken:
                column += 1
            roomy = len(taken) + cell.rowspan * cell.colspan < tables.MAX_PLACES
            height = min(cell.rowspan, len(rows) - top) if roomy else 1
            width = cell.colspan if roomy else 1
            taken |= {(top + y, column + x) for y in range(height) for x in range(width)}
            header = cell.header or (pipes_head and top == 0)
            placed.append(Placed(cell.text, header, top, top + height, column, column + width))
            column += width
    return placed


def _distinct(cells: Iterable[Placed | None]) -> list[Placed]:
    return list(dict.fromkeys(cell for cell in cells if cell is not None))
