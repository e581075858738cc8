"""A page's words and drawings to areas with kinds, in reading order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foveate.data.documents import cells, figures, kinds, tables
from foveate.data.documents.characters import Word
from foveate.data.documents.layout import Area, paragraphs, reading_order
from foveate.data.documents.lines import Line, around, lines
from foveate.data.documents.pdf_text import PageText
from foveate.document import Box


@dataclass(frozen=True)
class Layout:
    """A page's areas in reading order; boxes in points of the page as shown."""

    width: float
    height: float
    areas: tuple[Area, ...]

    @property
    def words(self) -> tuple[Word, ...]:
        """Every word of every area, those within pictures too."""
        return tuple(word for area in self.areas for line in area.lines for word in line.words if word.text)


def compose(page: PageText, above: Iterable[str] = (), below: Iterable[str] = ()) -> Layout:
    """The layout of a page; `above` and `below` are the raw texts of other pages' edges."""
    sheet = Box(0, 0, page.width, page.height)
    found = tables.tables(page.words, page.drawings, sheet)
    taken = {word.order for table in found for word in table.words}
    left = lines([word for word in page.words if word.order not in taken])
    areas = [_table_area(table) for table in found]
    for figure in figures.figures(page.drawings, left, [table.box for table in found], sheet):
        areas.append(Area("image", figure.box, figure.lines))
        left = [line for line in left if line not in figure.lines]
    areas += paragraphs(left, page.drawings)
    edges = [set().union(*(kinds.edge_lines(raw) for raw in raws)) for raws in (above, below)]
    top, middle, bottom = kinds.named(areas, page.drawings, page.width, page.height, *edges)
    ordered = [*reading_order(top), *kinds.with_lists(reading_order(middle)), *reading_order(bottom)]
    return Layout(page.width, page.height, tuple(ordered))


def compose_lines(found: list[Line], width: float, height: float) -> Layout:
    """The layout of lines that an annotator read, without kinds; in the annotator's units."""
    from foveate.data.documents.drawings import Drawings

    return Layout(width, height, tuple(reading_order(paragraphs(found, Drawings()))))


def _table_area(table: cells.Table) -> Area:
    rows = lines(table.words)
    box = around([table.box, *(line.box for line in rows)])
    return Area("table", box, tuple(rows), html=table.html)
