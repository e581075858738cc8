"""Tables whose cells are drawn: a grid of ruling lines, some of them left out where cells are joined."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from foveate.data.documents.cells import Cell, Table, cell_text, centre_in, turned, written
from foveate.data.documents.characters import Word
from foveate.data.documents.drawings import Drawings, Rule
from foveate.data.documents.lines import Line, lines
from foveate.document import Box

_NEAR = 3.0  # points by which ruling lines may miss each other
_MOST_CELLS = 2_000
_MOST_RULES = 1_500


def lattices(drawn: Drawings) -> list[Box]:
    """The boxes around horizontal and vertical lines that cross or meet, at least two of each."""
    across, down = drawn.across[:_MOST_RULES], drawn.down[:_MOST_RULES]
    parent = list(range(len(across) + len(down)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for i, flat in enumerate(across):
        for j, upright in enumerate(down):
            meets = flat.start - _NEAR <= upright.place <= flat.end + _NEAR
            if meets and upright.start - _NEAR <= flat.place <= upright.end + _NEAR:
                parent[root(i)] = root(len(across) + j)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for i, flat in enumerate(across):
        groups.setdefault(root(i), ([], []))[0].append(flat)
    for j, upright in enumerate(down):
        groups.setdefault(root(len(across) + j), ([], []))[1].append(upright)
    boxes = []
    for flats, uprights in groups.values():
        if len(flats) >= 2 and len(uprights) >= 1 and len(flats) + len(uprights) >= 5:
            left = min(rule.start for rule in flats)
            right = max(rule.end for rule in flats)
            boxes.append(Box(left, flats[0].place, right, flats[-1].place))
    return [box for box in boxes if box.y1 - box.y0 > 12 and box.x1 - box.x0 > 40]


def _places(values: Sequence[float]) -> list[float]:
    """Values, those near each other as one."""
    places: list[list[float]] = []
    for value in sorted(values):
        if places and value - places[-1][-1] <= _NEAR:
            places[-1].append(value)
        else:
            places.append([value])
    return [statistics.fmean(group) for group in places]


def ruled(box: Box, words: Sequence[Word], drawn: Drawings) -> Table | None:
    """The table of a lattice; None when it has one cell only, or words across its borders."""
    flats = [rule for rule in drawn.across if _in_lattice(rule, box, flat=True)]
    uprights = [rule for rule in drawn.down if _in_lattice(rule, box, flat=False)]
    xs = _places([box.x0, *(rule.place for rule in uprights), box.x1])
    ys = _places([rule.place for rule in flats])
    if len(xs) < 3 or len(ys) < 3 or (len(xs) - 1) * (len(ys) - 1) > _MOST_CELLS:
        return None
    inside = [word for word in words if centre_in(word.box, box)]
    if len(inside) < 4:
        return None
    merged = _merged_cells(xs, ys, flats, uprights)
    cells = _filled(merged, xs, ys, inside)
    if cells is None:
        return None
    split = _rows_split(cells, inside, xs, ys)
    if split is None or not _is_table(split):
        return None
    head = [word for word in inside if word.baseline < ys[1] + 1]
    stressed = bool(head) and all(word.style.bold for word in head)
    others = any(not word.style.bold for word in inside if word not in head)
    flat = all(cell.rows == 1 for cell in split if cell.row == 0)
    return Table(box, tuple(inside), written(turned(split), int(stressed and others and flat)))


def _in_lattice(rule: Rule, box: Box, flat: bool) -> bool:
    low, high, start, end = (box.y0, box.y1, box.x0, box.x1) if flat else (box.x0, box.x1, box.y0, box.y1)
    shared = min(rule.end, end) - max(rule.start, start)
    return low - _NEAR <= rule.place <= high + _NEAR and shared > 0.5 * rule.length


Span = tuple[int, int, int, int]  # row, column, rows, columns


def _merged_cells(
    xs: Sequence[float], ys: Sequence[float], flats: Sequence[Rule], uprights: Sequence[Rule]
) -> list[Span] | None:
    """The grid's cells, joined where no line is drawn between; None when one is no rectangle."""
    rows, columns = len(ys) - 1, len(xs) - 1
    group = {(row, column): (row, column) for row in range(rows) for column in range(columns)}

    def root(cell: tuple[int, int]) -> tuple[int, int]:
        while group[cell] != cell:
            cell = group[cell]
        return cell

    for row in range(rows):
        for column in range(columns):
            right, under = column + 1 < columns, row + 1 < rows
            if right and not _drawn(uprights, xs[column + 1], ys[row], ys[row + 1]):
                group[root((row, column + 1))] = root((row, column))
            if under and not _drawn(flats, ys[row + 1], xs[column], xs[column + 1]):
                group[root((row + 1, column))] = root((row, column))
    members: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for cell in group:
        members.setdefault(root(cell), []).append(cell)
    spans: list[Span] = []
    for cells in members.values():
        top, left = min(row for row, _ in cells), min(column for _, column in cells)
        height = max(row for row, _ in cells) - top + 1
        width = max(column for _, column in cells) - left + 1
        if height * width != len(cells):
            return None
        spans.append((top, left, height, width))
    return sorted(spans)


def _drawn(rules: Sequence[Rule], place: float, start: float, end: float) -> bool:
    """Whether lines at a place cover most of the way from `start` to `end`."""
    covered = 0.0
    for rule in rules:
        if abs(rule.place - place) <= _NEAR:
            covered += max(min(rule.end, end) - max(rule.start, start), 0)
    return covered > 0.6 * (end - start)


def _filled(
    spans: list[Span] | None, xs: Sequence[float], ys: Sequence[float], words: Sequence[Word]
) -> dict[Span, list[Word]] | None:
    """The words of each cell; None when a word lies across a border."""
    if spans is None:
        return None
    filled: dict[Span, list[Word]] = {span: [] for span in spans}
    boxes = {
        (row, column, height, width): Box(xs[column], ys[row], xs[column + width], ys[row + height])
        for row, column, height, width in spans
    }
    for word in words:
        span = next((span for span in spans if centre_in(word.box, boxes[span])), None)
        if span is None:
            return None
        cell, slack = boxes[span], 0.35 * word.style.size
        if word.box.x0 < cell.x0 - slack or word.box.x1 > cell.x1 + slack:
            return None
        filled[span].append(word)
    return filled


def _rows_split(
    filled: dict[Span, list[Word]], words: Sequence[Word], xs: Sequence[float], ys: Sequence[float]
) -> list[Cell] | None:
    """The cells; a ruled row that holds several lines in every cell or one is several rows.

    Tables often rule off groups of rows only. The rows of a group are told from the columns whose cells have
    the most lines; a cell with one line then spans them all. None when the lines do not fit together.
    """
    levels: dict[Span, list[Line]] = {span: _levels(content) for span, content in filled.items() if content}
    extra: dict[int, list[float]] = {}
    for row in range(len(ys) - 1):
        single = {span: found for span, found in levels.items() if span[0] == row and span[2] == 1}
        most = max((len(found) for found in single.values()), default=0)
        deep = [found for found in single.values() if len(found) == most]
        # Two numbers below each other are two rows; two lines of words are one cell.
        if most > 1 and len(deep) >= 2 and all(_are_values(found) for found in deep[-2:]):
            if not _fit(list(single.values()), most, deep[0]):
                return None
            extra[row] = [line.baseline for line in deep[0]]
    return _placed(filled, levels, extra)


def _levels(words: Sequence[Word]) -> list[Line]:
    """A cell's lines, what stands at one height together."""
    found: list[list[Line]] = []
    for line in sorted(lines(words), key=lambda line: line.baseline):
        if found and line.baseline - found[-1][0].baseline < 0.5 * line.size:
            found[-1].append(line)
        else:
            found.append([line])
    return [
        Line.of([word for line in sorted(row, key=lambda line: line.box.x0) for word in line.words])
        for row in found
    ]


def _are_values(found: Sequence[Line]) -> bool:
    return all(len(line.words) <= 2 and any(c.isdigit() for c in line.text) for line in found)


def _fit(cells: Sequence[Sequence[Line]], most: int, levels: Sequence[Line]) -> bool:
    """Whether each cell has a line at every level, or one line for all."""
    for cell in cells:
        if len(cell) not in (1, most):
            return False
        if len(cell) == most and any(
            abs(line.baseline - level.baseline) > 0.4 * level.size
            for line, level in zip(cell, levels, strict=True)
        ):
            return False
    return True


def _placed(
    filled: dict[Span, list[Word]], levels: dict[Span, list[Line]], extra: dict[int, list[float]]
) -> list[Cell]:
    shift: dict[int, int] = {}
    added = 0
    last = max((row + height for row, _, height, _ in filled), default=0)
    for row in range(last + 1):
        shift[row] = row + added
        added += len(extra.get(row, ())) - 1 if row in extra else 0
    cells = []
    for (row, column, height, width), content in filled.items():
        found = levels.get((row, column, height, width), [])
        count = len(extra.get(row, ())) if height == 1 else 0
        if count and len(found) == count:
            cells += [Cell(shift[row] + i, column, 1, width, line.text) for i, line in enumerate(found)]
            continue
        deep = shift[row + height] - shift[row]
        cells.append(Cell(shift[row], column, deep, width, cell_text(content)))
    return cells


def _is_table(cells: Sequence[Cell]) -> bool:
    """Whether cells are more than a frame around text, and most of them say something short."""
    full = [cell for cell in cells if cell.text]
    columns = {cell.column for cell in full}
    rows = {cell.row for cell in full}
    long = sum(len(cell.text) > 400 for cell in full)
    return len(columns) >= 2 and len(rows) >= 2 and len(full) >= 0.4 * len(cells) and long <= 0.1 * len(full)
