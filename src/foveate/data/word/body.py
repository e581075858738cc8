"""The body of a .docx as pieces of Markdown: headings, paragraphs, list items, tables, formulas, notes."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from foveate.data.word import omml
from foveate.data.word.numbering import Numbering
from foveate.data.word.package import MC, Element, M, Package, W, switched_on, value
from foveate.data.word.spans import Span, units_of, unstarred, written

IMAGE = "![image]()"  # stands where a picture does
_MOST_DEPTH = 40  # tables in tables, content in content
_MOST_SPAN = 500
_HEADING = re.compile(r"heading ?([1-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    """One block of a document. `units` are what a page's end may part: words, or a table's rows."""

    kind: str  # "title", "heading", "text", "item", "table", "formula"
    units: tuple[str, ...]
    prefix: str = ""  # before the first unit: #, a list's number
    notes: tuple[tuple[int, str], ...] = ()  # (unit, id of a footnote)
    breaks: bool = False  # a page begins with it

    def markdown(self, start: int = 0, stop: int | None = None) -> str:
        """The units from `start` on as Markdown."""
        units = self.units[start:stop]
        if self.kind == "table":
            return f"<table>{''.join(units)}</table>"
        words = unstarred(" ".join(units))
        return f"{self.prefix}{words}" if start == 0 else words


@dataclass(frozen=True)
class Body:
    """A document's pieces in order, and its footnotes by their ids, in the order of their numbers."""

    pieces: tuple[Piece, ...]
    notes: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)


def read_body(package: Package) -> Body:
    """All of a document that is drawn, but for headers and footers."""
    return _Reading(package).body()


class _Reading:
    """One walk through a document: lists count on, notes are numbered as they come."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._numbering = Numbering(package.part("word/numbering.xml"))
        self._styles = _Styles(package.part("word/styles.xml"))
        self._numbers: dict[str, int] = {}

    def body(self) -> Body:
        root = self._package.document.find(f"{W}body")
        pieces = tuple(self._pieces(root, 0)) if root is not None else ()
        return Body(pieces, self._notes(), dict(self._numbers))

    def _notes(self) -> dict[str, str]:
        root = self._package.part("word/footnotes.xml")
        notes: dict[str, str] = {}
        for note in root.findall(f"{W}footnote") if root is not None else ():
            name = value(note, "id") or ""
            if name in self._numbers:
                notes[name] = " ".join(self._plain(each) for each in note.findall(f"{W}p")).strip()
        return notes

    def _pieces(self, parent: Element, depth: int) -> Iterator[Piece]:
        if depth > _MOST_DEPTH:
            return
        for element in parent:
            if element.tag == f"{W}p":
                yield from self._paragraph(element, depth)
            elif element.tag == f"{W}tbl":
                yield from self._table(element, depth)
            elif element.tag == f"{W}sdt":
                content = element.find(f"{W}sdtContent")
                if content is not None:
                    yield from self._pieces(content, depth + 1)
            elif element.tag in (f"{W}ins", f"{W}customXml", f"{W}smartTag", f"{W}moveTo"):
                yield from self._pieces(element, depth + 1)

    def _paragraph(self, element: Element, depth: int) -> Iterator[Piece]:
        spans = list(self._spans(element, 0))
        boxes = [box for box in element.iter(f"{W}txbxContent") if not _in_fallback(box, element)]
        text = written(spans)
        breaks = _breaks_page(element)
        kind, prefix = self._kind(element, bool(text.strip()))
        if text.strip():
            alone = element.find(f"{M}oMathPara") is not None and not any(
                s.text.strip() for s in spans if not s.math
            )
            if alone:
                yield Piece("formula", (f"\\[{' '.join(s.text for s in spans if s.math)}\\]",), breaks=breaks)
            else:
                if kind in ("title", "heading"):
                    text = written([span.plain() for span in spans])  # all of a heading is bold
                units = tuple(units_of(text))
                yield Piece(kind, units, prefix, self._noted(units), breaks)
        for box in boxes:
            yield from self._pieces(box, depth + 1)

    def _noted(self, units: Sequence[str]) -> tuple[tuple[int, str], ...]:
        names = {number: name for name, number in self._numbers.items()}
        found = []
        for place, unit in enumerate(units):
            for mark in re.findall(r"\[\^([0-9]{1,5})\]", unit):
                if int(mark) in names:
                    found.append((place, names[int(mark)]))
        return tuple(found)

    def _kind(self, element: Element, drawn: bool) -> tuple[str, str]:
        """A paragraph's kind and what stands before it; an item that is drawn counts."""
        properties = element.find(f"{W}pPr")
        style = value(properties.find(f"{W}pStyle")) if properties is not None else None
        level = self._styles.heading(style, properties)
        numbered = self._styles.list_of(style, properties)
        marker = self._numbering.marker(*numbered) if numbered and drawn else None
        label = f"{marker} " if marker else ""
        if level == 0:
            return "title", "# "
        if level is not None:
            return "heading", f"{'#' * min(level, 6)} {label}"
        if marker is None or numbered is None:
            return "text", ""
        return "item", f"{'  ' * numbered[1]}{label}"

    def _plain(self, element: Element) -> str:
        return " ".join(written([span.plain() for span in self._spans(element, 0)]).split())

    def _spans(self, parent: Element, depth: int) -> Iterator[Span]:
        """What a paragraph draws, in order."""
        if depth > _MOST_DEPTH:
            return
        for element in parent:
            if not isinstance(element.tag, str):
                continue
            if element.tag == f"{W}r":
                yield from self._run(element)
            elif element.tag == f"{M}oMath":
                yield Span(omml.latex(element), math=True)
            elif element.tag == f"{M}oMathPara" or element.tag in _TRANSPARENT:
                yield from self._spans(element, depth + 1)

    def _run(self, run: Element) -> Iterator[Span]:
        properties = run.find(f"{W}rPr")
        bold = italic = False
        if properties is not None:
            if switched_on(properties.find(f"{W}vanish")):
                return
            bold = switched_on(properties.find(f"{W}b"))
            italic = switched_on(properties.find(f"{W}i"))
        for part in _chosen(run):
            name = str(part.tag).removeprefix(W)
            if name == "t":
                yield Span(part.text or "", bold, italic)
            elif name in _MARKS:
                yield Span(_MARKS[name])
            elif name == "br" and value(part, "type") in (None, "textWrapping"):
                yield Span(" ")
            elif name == "sym":
                yield Span(_symbol(part))
            elif name in ("drawing", "pict", "object") and part.find(f".//{W}txbxContent") is None:
                yield Span(f" {IMAGE} ", image=True)
            elif name == "footnoteReference":
                note = value(part, "id") or ""
                number = self._numbers.setdefault(note, len(self._numbers) + 1)
                yield Span(f"[^{number}]", note=True)

    def _table(self, table: Element, depth: int) -> Iterator[Piece]:
        if depth > _MOST_DEPTH:
            return
        rows = [row for row in _rows(table) if _drawn_row(row)]
        grid = [list(_cells(row)) for row in rows]
        units: list[str] = []
        for place, row in enumerate(grid):
            head = switched_on(rows[place].find(f"{W}trPr/{W}tblHeader"))
            tag = "th" if head else "td"
            cells = ""
            for column, width, cell in row:
                merge = cell.find(f"{W}tcPr/{W}vMerge")
                if merge is not None and value(merge) != "restart":
                    continue  # goes on with the cell above
                deep = _depth(grid, place, column, width) if merge is not None else 1
                spans = (("rowspan", deep), ("colspan", width))
                attributes = "".join(f' {name}="{count}"' for name, count in spans if count > 1)
                cells += f"<{tag}{attributes}>{self._cell(cell, depth + 1)}</{tag}>"
            units.append(f"<tr>{cells}</tr>")
        if units:
            yield Piece("table", tuple(units), "", self._noted(units))

    def _cell(self, cell: Element, depth: int) -> str:
        """A cell's words on one line; those of a table inside it too."""
        if depth > _MOST_DEPTH:
            return ""
        parts = []
        for element in cell:
            if element.tag == f"{W}p":
                spans = [span.plain() for span in self._spans(element, 0)]
                marker = self._kind(element, any(span.text.strip() for span in spans))[1].strip()
                words = written([span.escaped() for span in spans])
                item = (
                    f"{html.escape(marker, quote=False)} {words}" if marker and "#" not in marker else words
                )
                parts.append(item)
            elif element.tag == f"{W}tbl":
                parts += [
                    self._cell(inner, depth + 1) for row in _rows(element) for _, _, inner in _cells(row)
                ]
            elif element.tag == f"{W}sdt":
                content = element.find(f"{W}sdtContent")
                parts.append(self._cell(content, depth + 1) if content is not None else "")
        return " ".join(" ".join(parts).split())


# What holds runs without drawing anything itself.
_TRANSPARENT = frozenset(
    f"{W}{name}"
    for name in ("hyperlink", "ins", "moveTo", "smartTag", "fldSimple", "customXml", "sdt", "dir", "bdo")
) | {f"{W}sdtContent"}
_MARKS = {"tab": " ", "noBreakHyphen": "-", "cr": " ", "ptab": " "}


class _Styles:
    """What a paragraph has from its style and the styles that it is based on."""

    def __init__(self, root: Element | None) -> None:
        self._styles: dict[str, Element] = {}
        for style in root.findall(f"{W}style") if root is not None else ():
            self._styles[value(style, "styleId") or ""] = style

    def heading(self, name: str | None, properties: Element | None) -> int | None:
        """A heading's level, from 1; 0 for the title; None for other paragraphs."""
        own = value(properties.find(f"{W}outlineLvl")) if properties is not None else None
        if own is not None and own.isdigit():
            return int(own) + 1 if int(own) < 9 else None
        for style in self._chain(name):
            called = value(style.find(f"{W}name")) or ""
            if called.lower() == "title":
                return 0
            if match := _HEADING.fullmatch(called):
                return int(match.group(1))
            level = value(style.find(f"{W}pPr/{W}outlineLvl"))
            if level is not None and level.isdigit() and int(level) < 9:
                return int(level) + 1
        return None

    def list_of(self, name: str | None, properties: Element | None) -> tuple[str, int] | None:
        """The list that a paragraph is an item of, and how deep in it."""
        sources = [] if properties is None else [properties]
        for style in self._chain(name):
            found = style.find(f"{W}pPr")
            sources += [] if found is None else [found]
        depth: int | None = None
        for source in sources:
            level = value(source.find(f"{W}numPr/{W}ilvl"))
            depth = int(level) if depth is None and level is not None and level.isdigit() else depth
            number = value(source.find(f"{W}numPr/{W}numId"))
            if number is not None:
                return None if number == "0" else (number, depth or 0)
        return None

    def _chain(self, name: str | None) -> Iterator[Element]:
        seen: set[str] = set()
        while name is not None and name not in seen and name in self._styles:
            seen.add(name)
            yield self._styles[name]
            name = value(self._styles[name].find(f"{W}basedOn"))


def _chosen(run: Element) -> Iterator[Element]:
    """A run's parts; of alternatives the first."""
    for part in run:
        if not isinstance(part.tag, str):
            continue
        if part.tag == f"{MC}AlternateContent":
            choice = part.find(f"{MC}Choice")
            yield from choice if choice is not None else ()
        else:
            yield part


def _in_fallback(element: Element, root: Element) -> bool:
    """Whether an element lies in the second of two alternatives, or in another text box."""
    parent = element.getparent()
    while parent is not None and parent is not root:
        if parent.tag in (f"{MC}Fallback", f"{W}txbxContent"):
            return True
        parent = parent.getparent()
    return False


def _symbol(part: Element) -> str:
    code = value(part, "char") or ""
    if not re.fullmatch("[0-9A-Fa-f]{4}", code):
        return ""
    character = chr(int(code, 16))
    return "" if "\ud800" <= character <= "\uf8ff" else character  # a private sign of some font


def _breaks_page(paragraph: Element) -> bool:
    before = paragraph.find(f"{W}pPr/{W}pageBreakBefore")
    return switched_on(before)


def _rows(table: Element) -> Iterator[Element]:
    for element in table:
        if element.tag == f"{W}tr":
            yield element
        elif element.tag == f"{W}sdt":
            yield from element.iterfind(f"{W}sdtContent/{W}tr")


def _drawn_row(row: Element) -> bool:
    return row.find(f"{W}trPr/{W}del") is None and not switched_on(row.find(f"{W}trPr/{W}hidden"))


def _cells(row: Element) -> Iterator[tuple[int, int, Element]]:
    """(column of the grid, columns that it covers, cell)."""
    before = value(row.find(f"{W}trPr/{W}gridBefore"))
    column = int(before) if before and before.isdigit() else 0
    for element in row:
        cells = [element] if element.tag == f"{W}tc" else element.findall(f"{W}sdtContent/{W}tc")
        for cell in cells:
            span = value(cell.find(f"{W}tcPr/{W}gridSpan"))
            width = min(int(span), _MOST_SPAN) if span and span.isdigit() and int(span) else 1
            yield column, width, cell
            column += width


def _depth(grid: Sequence[Sequence[tuple[int, int, Element]]], place: int, column: int, width: int) -> int:
    """How many rows a merged cell covers."""
    deep = 1
    for row in grid[place + 1 :]:
        below = next((cell for at, wide, cell in row if (at, wide) == (column, width)), None)
        merge = below.find(f"{W}tcPr/{W}vMerge") if below is not None else None
        if merge is None or value(merge) == "restart":
            break
        deep += 1
    return deep
