"""Lines to areas: paragraphs, tables and pictures, in the order in which they are read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from foveate.data.documents.characters import overlap
from foveate.data.documents.drawings import Drawings, Rule
from foveate.data.documents.lines import Line, around, is_right_to_left
from foveate.document import Box

_LEADING = 1.9  # ems from baseline to baseline, at most, within a paragraph
_SAME_SIZE = 1.18
_GUTTER = 0.9  # ems between columns, at least
_TALL = 3  # lines that a column has, at least, where rows could be read instead


@dataclass(frozen=True, eq=False)
class Area:
    """A piece of a page that is read as one."""

    kind: str
    box: Box
    lines: tuple[Line, ...] = ()
    html: str = ""  # of a table
    level: int = 0  # of a heading: the number of its #
    starts: tuple[int, ...] = ()  # of a list: the lines that its items begin with

    @classmethod
    def of(cls, lines: Sequence[Line], kind: str = "text") -> Area:
        return cls(kind, around(line.box for line in lines), tuple(lines))

    @cached_property
    def size(self) -> float:
        """The median em of its lines; 0 without lines."""
        return statistics.median(line.size for line in self.lines) if self.lines else 0.0

    @cached_property
    def plain(self) -> str:
        """Its words on one line, as they stand."""
        return " ".join(line.text for line in self.lines)


def paragraphs(lines: Sequence[Line], drawn: Drawings) -> list[Area]:
    """The paragraphs that lines make, each once, in no order."""
    upright = [line for line in lines if line.angle == 0]
    areas = [Area.of(part) for chain in _chains(upright, drawn.across) for part in _split(chain)]
    return areas + [Area.of(group) for group in _turned_groups([line for line in lines if line.angle])]


def _turned_groups(lines: Sequence[Line]) -> list[list[Line]]:
    """Turned lines that lie side by side, together."""
    groups: list[list[Line]] = []
    for line in lines:
        for group in groups:
            last = group[-1]
            reach = 1.2 * line.size
            near = _apart(last.box, line.box) < reach and last.angle == line.angle
            if near and abs(last.size - line.size) < 0.1 * line.size:
                group.append(line)
                break
        else:
            groups.append([line])
    for group in groups:
        if group[0].angle == 270:
            group.sort(key=lambda line: line.box.x0)
        elif group[0].angle == 90:
            group.sort(key=lambda line: -line.box.x1)
        elif group[0].angle == 180:
            group.sort(key=lambda line: -line.box.y1)
    return groups


def _apart(one: Box, other: Box) -> float:
    across = max(one.x0 - other.x1, other.x0 - one.x1, 0)
    down = max(one.y0 - other.y1, other.y0 - one.y1, 0)
    return max(across, down)


def _chains(lines: Sequence[Line], rules: Sequence[Rule]) -> list[list[Line]]:
    """Lines linked to the one right below, when each is the only neighbour of the other."""
    ordered = sorted(lines, key=lambda line: line.baseline)
    below: dict[int, list[int]] = {index: [] for index in range(len(ordered))}
    above: dict[int, list[int]] = {index: [] for index in range(len(ordered))}
    for index, line in enumerate(ordered):
        for other in _next_down(index, line, ordered):
            below[index].append(other)
            above[other].append(index)
    chains: list[list[Line]] = []
    for index in range(len(ordered)):
        if _partner(index, above, below, ordered, rules) is not None:
            continue  # not the first of its chain
        chain, place = [ordered[index]], index
        while len(below[place]) == 1:
            following = below[place][0]
            if _partner(following, above, below, ordered, rules) != place:
                break
            chain.append(ordered[following])
            place = following
        chains.append(chain)
    return chains


def _next_down(index: int, line: Line, ordered: Sequence[Line]) -> list[int]:
    """The lines right below, none of which hides behind another; far ones are left out."""
    found: list[int] = []
    for other in range(index + 1, len(ordered)):
        candidate = ordered[other]
        if candidate.baseline - line.baseline > 3 * max(line.size, 6):
            break
        if candidate.baseline - line.baseline < 0.35 * min(line.size, candidate.size):
            continue
        if _across(line.box, candidate.box) <= 0:
            continue
        hidden = any(
            _across(ordered[nearer].box, candidate.box) > 0
            and candidate.baseline - ordered[nearer].baseline > 0.35 * candidate.size
            for nearer in found
        )
        if not hidden:
            found.append(other)
    return found


def _across(one: Box, other: Box) -> float:
    """How far two boxes overlap from left to right."""
    return min(one.x1, other.x1) - max(one.x0, other.x0)


def _partner(
    index: int,
    above: dict[int, list[int]],
    below: dict[int, list[int]],
    ordered: Sequence[Line],
    rules: Sequence[Rule],
) -> int | None:
    """The line above that a line continues."""
    if len(above[index]) != 1:
        return None
    upper = above[index][0]
    if len(below[upper]) != 1 or not _belong(ordered[upper], ordered[index], rules):
        return None
    return upper


def _belong(upper: Line, lower: Line, rules: Sequence[Rule]) -> bool:
    small, large = sorted((upper.size, lower.size))
    if large > _SAME_SIZE * small or lower.baseline - upper.baseline > _LEADING * large:
        return False
    narrow = min(upper.box.x1 - upper.box.x0, lower.box.x1 - lower.box.x0)
    if _across(upper.box, lower.box) < 0.3 * narrow:
        return False
    if upper.bold != lower.bold and min(len(upper.text), len(lower.text)) > 3:
        return False
    # On lined paper, a line is drawn under every row.
    close = lower.baseline - upper.baseline < 1.35 * large and abs(lower.box.x0 - upper.box.x0) < 0.2 * large
    return close or not _ruled_apart(upper, lower, rules)


def _ruled_apart(upper: Line, lower: Line, rules: Sequence[Rule]) -> bool:
    """Whether a line is drawn between two lines of text; one as long as the words above underlines them."""
    left, right = min(upper.box.x0, lower.box.x0), max(upper.box.x1, lower.box.x1)
    for rule in rules:
        between = upper.baseline + 0.12 * upper.size < rule.place < lower.baseline - 0.5 * lower.size
        shared = min(rule.end, right) - max(rule.start, left)
        if between and shared > 0.7 * (right - left) and rule.length > 1.05 * (upper.box.x1 - upper.box.x0):
            return True
    return False


def _split(chain: Sequence[Line]) -> list[list[Line]]:
    """A column's lines as paragraphs."""
    steps = [lower.baseline - upper.baseline for upper, lower in zip(chain, chain[1:], strict=False)]
    usual = statistics.median_low(steps) if steps else 0.0
    column = _Column.of(chain)
    parts: list[list[Line]] = [[chain[0]]]
    for upper, lower, step in zip(chain, chain[1:], steps, strict=False):
        if step > 1.22 * usual + 0.5 or column.begins(upper, lower):
            parts.append([])
        parts[-1].append(lower)
    return parts


@dataclass(frozen=True)
class _Column:
    """Where a column's lines begin and end."""

    left: float
    right: float
    size: float
    justified: bool  # most lines end at the right
    hanging: bool  # most lines are indented: the others begin something
    items: int  # lines with a list's marker at the left

    @classmethod
    def of(cls, lines: Sequence[Line]) -> _Column:
        # Where the script runs back, a line begins at its right.
        starts, ends = zip(*(_ends(line) for line in lines), strict=True)
        left, right, size = min(starts), max(ends), lines[0].size
        full = sum(end > right - size for end in ends)
        indented = sum(start > left + 0.7 * size for start in starts)
        begun = sum(1 for line, start in zip(lines, starts, strict=True) if line.marker)
        return cls(left, right, size, full > 0.5 * len(lines), indented > 0.5 * len(lines), begun)

    def begins(self, upper: Line, lower: Line) -> bool:
        """Whether a paragraph begins with `lower`."""
        start, _ = _ends(lower)
        upper_start, upper_end = _ends(upper)
        indent, upper_indent = start - self.left, upper_start - self.left
        if lower.marker and (self.items > 1 or upper_indent > indent + 0.5 * self.size or indent > self.size):
            return True
        if self.hanging and self.left <= start < self.left + 0.5 * self.size:
            return upper_indent > 0.7 * self.size or self.items == 0 and _closes(upper)
        indented = 0.7 * self.size < indent < 6 * self.size and upper_indent < 0.4 * self.size
        if indented and not self.hanging and not upper.marker and self.justified:
            return True
        short = self.right - upper_end > (0.12 if self.justified else 0.35) * (self.right - self.left)
        return short and _closes(upper) and indent < 0.4 * self.size + upper_indent


def _ends(line: Line) -> tuple[float, float]:
    return (-line.box.x1, -line.box.x0) if line.right_to_left else (line.box.x0, line.box.x1)


def _closes(line: Line) -> bool:
    return line.text.rstrip("”’\"')]").endswith((".", "!", "?", ":", "。", "！", "？", "؟", "۔", ";"))


def reading_order(areas: Sequence[Area]) -> list[Area]:
    """The areas as they are read: cut into columns and rows by the white space between them (XY-cut)."""
    sizes = [line.size for area in areas for line in area.lines]
    size = statistics.median(sizes) if sizes else 10.0
    backward = is_right_to_left(" ".join(area.plain for area in areas))
    return _ordered(list(areas), size, backward)


def _ordered(areas: list[Area], size: float, backward: bool) -> list[Area]:
    if len(areas) < 2:
        return areas
    columns = _cut(areas, size, across=True)
    if len(columns) > 1 and _are_columns(columns):
        return _in_turn(reversed(columns) if backward else columns, size, backward)
    rows = _bands(_cut(areas, size, across=False), size)
    if len(rows) > 1:
        return _in_turn(rows, size, backward)
    if len(columns) > 1:
        return _in_turn(reversed(columns) if backward else columns, size, backward)
    return _by_place(areas, backward)


def _in_turn(groups: Iterable[list[Area]], size: float, backward: bool) -> list[Area]:
    return [area for group in groups for area in _ordered(group, size, backward)]


def _cut(areas: Sequence[Area], size: float, across: bool) -> list[list[Area]]:
    """Areas apart by white space that runs through all of them: columns when `across`, else rows."""

    def extent(area: Area) -> tuple[float, float]:
        return (area.box.x0, area.box.x1) if across else (area.box.y0, area.box.y1)

    least = _GUTTER * size if across else 0.0
    groups: list[list[Area]] = []
    end = 0.0
    for area in sorted(areas, key=extent):
        start, stop = extent(area)
        # Tight boxes of two lines may touch by a hair: a row is cut all the same.
        if groups and start < end + (least if across else -0.15 * size):
            groups[-1].append(area)
            end = max(end, stop)
        else:
            groups.append([area])
            end = stop
    return groups


def _are_columns(columns: Sequence[Sequence[Area]]) -> bool:
    """Whether columns hold running text, each by itself, and are no rows of a form."""
    counts = [sum(_weight(area) for area in column) for column in columns]
    return min(counts) >= _TALL


def _weight(area: Area) -> int:
    """About how many lines of text an area takes the place of."""
    return len(area.lines) if area.kind not in ("table", "image") else max(len(area.lines), _TALL)


def _bands(rows: list[list[Area]], size: float) -> list[list[Area]]:
    """Rows put together again as long as one gutter runs through them: columns are read down, not across."""
    bands: list[list[Area]] = []
    for row in rows:
        if bands:
            both = [*bands[-1], *row]
            parts = _cut(both, size, across=True)
            several = len(_cut(bands[-1], size, across=True)) > 1 or len(_cut(row, size, across=True)) > 1
            if several and len(parts) > 1 and _balanced(parts, both):
                bands[-1] = both
                continue
        bands.append(list(row))
    return bands


def _balanced(parts: Sequence[Sequence[Area]], both: Sequence[Area]) -> bool:
    """Whether every column of a band has an area in more than one of its rows, or is tall itself."""
    return all(sum(_weight(area) for area in part) >= _TALL for part in parts)


def _by_place(areas: Sequence[Area], backward: bool) -> list[Area]:
    """Areas that cannot be cut apart, from the top; those side by side from where reading starts."""

    def key(area: Area) -> tuple[float, float]:
        return area.box.y0, -area.box.x1 if backward else area.box.x0

    ordered: list[Area] = []
    for area in sorted(areas, key=key):
        place = len(ordered)
        while (
            place
            and _beside(ordered[place - 1].box, area.box)
            and _earlier(area, ordered[place - 1], backward)
        ):
            place -= 1
        ordered.insert(place, area)
    return ordered


def _beside(one: Box, other: Box) -> bool:
    shared = min(one.y1, other.y1) - max(one.y0, other.y0)
    return shared > 0.5 * min(one.y1 - one.y0, other.y1 - other.y0)


def _earlier(one: Area, other: Area, backward: bool) -> bool:
    return one.box.x0 > other.box.x1 if backward else one.box.x1 < other.box.x0


def mostly_inside(box: Box, outer: Box, share: float = 0.6) -> bool:
    """Whether most of a box lies within another."""
    return overlap(box, outer) > share * max(box.area, 1e-6)
