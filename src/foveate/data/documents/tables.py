"""Tables of a page: from ruling lines, or from columns that the words themselves keep, to HTML.

A table is only written where its cells are certain: where a word lies across a border, or a row cannot be
told, the words stay text.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from foveate.data.documents.cells import Cell, Table, centre_in, turned, written
from foveate.data.documents.characters import Word
from foveate.data.documents.drawings import Drawings, Rule
from foveate.data.documents.lattice import lattices, ruled
from foveate.data.documents.lines import around, joined
from foveate.document import Box


def tables(words: Sequence[Word], drawn: Drawings, page: Box) -> list[Table]:
    """The tables of a page, none of which overlap."""
    found: list[Table] = []
    upright = [word for word in words if word.style.angle == 0]
    for box in lattices(drawn):
        table = ruled(box, upright, drawn)
        if table:
            found.append(table)
    taken = {word.order for table in found for word in table.words}
    for top, bottom in _open_tables(drawn, page):
        free = [word for word in upright if word.order not in taken]
        table = _between(top, bottom, free, drawn)
        if table:
            found.append(table)
            taken |= {word.order for word in table.words}
    return found


def _open_tables(drawn: Drawings, page: Box) -> list[tuple[Rule, Rule]]:
    """Pairs of horizontal lines of one length, the first and the last of at least three below each other."""
    wide = [rule for rule in drawn.across if rule.length > 0.18 * (page.x1 - page.x0)]
    groups: list[list[Rule]] = []
    for rule in wide:
        for group in groups:
            alike = abs(group[0].start - rule.start) < 6 and abs(group[0].end - rule.end) < 6
            if alike and rule.place - group[-1].place < 0.6 * (page.y1 - page.y0):
                group.append(rule)
                break
        else:
            groups.append([rule])
    return [(group[0], group[-1]) for group in groups if 3 <= len(group) <= 60]


def _between(top: Rule, bottom: Rule, words: Sequence[Word], drawn: Drawings) -> Table | None:
    """The table between two lines, its columns parted by white space; None when it is not certain."""
    box = Box(top.start - 2, top.place, top.end + 2, bottom.place)
    inside = [word for word in words if centre_in(word.box, box)]
    rows = _rows(inside)
    if len(rows) < 3:
        return None
    size = statistics.median(word.style.size for word in inside)
    gutters = _gutters(rows, box, size)
    if not gutters:
        return None
    cells = _cells_of(rows, gutters, size)
    if cells is None:
        return None
    full = [sum(1 for cell in cells if cell.row == row and cell.text) for row in range(len(rows))]
    # A row with few cells may be a second line of the row above: then the rows are not certain.
    if sum(count >= max(2, 0.6 * (len(gutters) + 1)) for count in full) < 0.8 * len(rows):
        return None
    heads = sum(1 for row in rows if row[0].baseline < _second_rule(top, bottom, drawn))
    return Table(around([box, *(word.box for word in inside)]), tuple(inside), written(turned(cells), heads))


def _second_rule(top: Rule, bottom: Rule, drawn: Drawings) -> float:
    """Where the line below the table's head is drawn."""
    alike = [
        rule.place
        for rule in drawn.across
        if abs(rule.start - top.start) < 6 and abs(rule.end - top.end) < 6 and rule.place > top.place + 4
    ]
    return min(alike, default=top.place) if min(alike, default=0) < bottom.place - 4 else top.place


def _rows(words: Sequence[Word]) -> list[list[Word]]:
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda word: word.baseline):
        if rows and word.baseline - rows[-1][0].baseline < 0.5 * word.style.size:
            rows[-1].append(word)
        else:
            rows.append([word])
    return rows


def _gutters(rows: Sequence[Sequence[Word]], box: Box, size: float) -> list[float]:
    """The middles of the white stripes that run down through the rows; headings may lie across a few."""
    steps = max(int((box.x1 - box.x0) / 1.0), 1)
    crossed = [0] * (steps + 1)
    for row in rows:
        marked: set[int] = set()
        for word in row:
            low, high = int(word.box.x0 - box.x0), int(word.box.x1 - box.x0) + 1
            marked.update(range(max(low, 0), min(high, steps) + 1))
        for step in marked:
            crossed[step] += 1
    gutters, start = [], None
    for step, count in enumerate([*crossed, len(rows)]):
        if count == 0 and start is None:
            start = step
        elif count and start is not None:
            if step - start >= 0.8 * size and start > 0 and step < len(crossed):
                gutters.append(box.x0 + (start + step) / 2)
            start = None
    return gutters


def _cells_of(rows: Sequence[Sequence[Word]], gutters: Sequence[float], size: float) -> list[Cell] | None:
    edges = [float("-inf"), *gutters, float("inf")]
    cells = []
    for place, row in enumerate(rows):
        for column, (left, right) in enumerate(zip(edges, edges[1:], strict=False)):
            content = [word for word in row if left <= (word.box.x0 + word.box.x1) / 2 < right]
            content.sort(key=lambda word: word.box.x0)
            gaps = [b.box.x0 - a.box.x1 for a, b in zip(content, content[1:], strict=False)]
            if any(gap > 2.5 * size for gap in gaps):
                return None  # two cells that no stripe parts
            cells.append(Cell(place, column, 1, 1, joined(word.text for word in content)))
    return cells
