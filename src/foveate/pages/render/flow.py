"""Blocks poured into the columns of as many pages as they need."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from foveate.errors import OptionError
from foveate.pages.render import bidi
from foveate.pages.render.content import Block, Content, foreign
from foveate.pages.render.fonts import stand_in
from foveate.pages.render.page import Fill, Placed, Sheet
from foveate.pages.render.setting import Setting, Type
from foveate.pages.render.style import Style

_ABOVE = 0.78  # of a line's height, the share above the baseline
_FURNITURE = 0.85  # size of headers and footers, in sizes


@dataclass(frozen=True)
class Piece:
    """Some of a paragraph on a line: from the column's left edge, and how it is aligned in a room."""

    setting: Setting
    first: int
    after: int
    left: float
    room: float
    align: str
    last: bool  # of its paragraph
    new_line: bool = True  # otherwise it goes with the piece before


@dataclass(frozen=True)
class Band:
    """What stands side by side: a line, or a line of each of a table row's cells."""

    above: int  # the baseline, pixels below the band's top
    below: int
    pieces: tuple[Piece, ...]
    texts: tuple[str, ...] = ("",)  # in the block's text: at its begin, and otherwise
    bars: tuple[float, ...] = ()  # upright rules, from the column's left edge
    rules: tuple[tuple[str, float, float], ...] = ()  # "top" or "bottom", from and to
    end: str = ""  # of the block's text, should it end with this band
    keep: int = 0  # pixels that must be free below its top: a row's bands stay together where they can

    @property
    def height(self) -> int:
        """Pixels."""
        return self.above + self.below


class Flow:
    """Columns filled from top to bottom."""

    def __init__(self, style: Style, rightwards: bool) -> None:
        self._style = style
        self._from_right = not rightwards
        left, top, right, bottom = style.margins
        small = math.ceil(1.6 * _FURNITURE * style.size)
        self._left = left
        self._top = max(top, small if style.header else 0)
        self._bottom = style.height - max(bottom, small if style.footer or style.page_numbers else 0)
        self.sheets: list[Sheet] = []  # those that nobody took yet; the last is being filled
        self._count = 0  # of all of them
        self._column = style.columns - 1  # full: the first band begins a page
        self._y = self._bottom

    def take_full(self) -> list[Sheet]:
        """The sheets that are done, but for the one that is being filled."""
        full, self.sheets = self.sheets[:-1], self.sheets[-1:]
        return full

    def finish(self) -> None:
        """End the last page, and begin it if nothing did."""
        if not self.sheets:
            self._advance()
        self._close()

    @property
    def _sheet(self) -> Sheet:
        return self.sheets[-1]

    def _advance(self) -> None:
        """To the next column's top."""
        self._column += 1
        self._y = self._top
        if self._column >= self._style.columns or not self.sheets:
            self._column = 0
            self._close()
            self.sheets.append(Sheet(self._style.first_page + self._count))
            self._count += 1
            self._furnish("header")

    def _close(self) -> None:
        """End the page: what is below its text comes last."""
        if self.sheets:
            self._furnish("footer")
            self._furnish("page_number")

    @property
    def _x(self) -> float:
        place = self._style.columns - 1 - self._column if self._from_right else self._column
        return self._left + place * (self._style.column_width + self._style.gutter)

    def pour(self, block: Block, gap: int) -> Iterator[Sheet]:
        """Set a block below what is there, `gap` pixels away, going on in the next columns.

        Gives the sheets that are full, as they fill.
        """
        bands = _bands(block, self._style)
        first = next(bands, None)
        if first is None:
            return
        keep = first.keep
        if block.level:
            whole = [first, *bands]
            keep, bands = self._kept(whole), iter(whole[1:])
        before, open_block = first, -1
        for number, band in enumerate(chain((first,), bands)):
            room = max(band.height, min(keep if number == 0 else band.keep, self._bottom - self._top))
            space = gap if number == 0 and self.sheets and self._y > self._top else 0
            if not self.sheets or self._y + space + room > self._bottom:
                self._finish(open_block, before)
                self._advance()
                yield from self.take_full()
                space, open_block = 0, -1
            if self._y + band.height > self._bottom:
                raise OptionError("the type is too large for the page: no line fits between its margins")
            if open_block < 0:
                open_block = self._open(block)
            self._y += space
            self._put(block, band, open_block, begins=not self._sheet.texts[open_block])
            before = band
        self._finish(open_block, before)

    def _kept(self, bands: list[Band]) -> int:
        """Pixels that must be free for a heading to begin: it takes lines of its text along."""
        with_text = sum(band.height for band in bands) + round(2 * self._style.size * self._style.leading)
        return with_text if with_text < self._bottom - self._top else 0

    def _open(self, block: Block) -> int:
        self._sheet.kinds.append(block.kind)
        self._sheet.texts.append([])
        return len(self._sheet.kinds) - 1

    def _finish(self, open_block: int, last: Band) -> None:
        if open_block >= 0:
            self._sheet.texts[open_block].append(last.end)

    def _put(self, block: Block, band: Band, number: int, begins: bool) -> None:
        sheet, style, x = self._sheet, self._style, self._x
        baseline = self._y + band.above
        for piece in band.pieces:
            if piece.new_line:
                sheet.lines += 1
            xs = piece.setting.places(piece.first, piece.after, piece.room, piece.align, piece.last)
            xs += x + piece.left
            sheet.placed.append(
                Placed(piece.setting, piece.first, piece.after, xs, baseline, sheet.lines - 1, number)
            )
        sheet.texts[number].append(band.texts[0] if begins else band.texts[-1])
        top, bottom = self._y, self._y + band.height
        if block.kind == "code":
            box = (round(x), top, round(x + style.column_width), bottom)
            sheet.fills.append(Fill(box, paper=style.code_shade))
        elif block.level and style.heading_ink is not None:
            box = (0 if style.columns == 1 else round(x - style.gutter / 2), top - 1, 0, bottom + 1)
            right = style.width if style.columns == 1 else round(x + style.column_width + style.gutter / 2)
            sheet.fills.append(Fill((box[0], box[1], right, box[3]), ink=style.heading_ink))
        for bar in band.bars:
            sheet.fills.append(
                Fill((round(x + bar), top, round(x + bar) + 1, bottom + 1), rule=True, block=number)
            )
        for edge, start, end in band.rules:
            y = top if edge == "top" else bottom
            sheet.fills.append(
                Fill((round(x + start), y, round(x + end) + 1, y + 1), rule=True, block=number)
            )
        self._y = bottom

    def _furnish(self, kind: str) -> None:
        """The page's header, footer or number."""
        style = self._style
        small = round(2 * _FURNITURE * style.size) / 2
        if kind == "header":
            text, align = style.header, "start" if style.align == "justified" else style.align
            baseline = max(round(1.1 * small), self._top - round(0.9 * small))
        else:
            text, align = (style.footer, "start") if kind == "footer" else ("{page}", "centre")
            baseline = min(self._bottom + round(1.2 * small), style.height - round(0.35 * small) - 1)
        if kind == "page_number":
            text = text if style.page_numbers else ""
            align = "right" if style.footer else "centre"
        if text.strip():
            self._furniture(kind, text.replace("{page}", str(self._sheet.number)), baseline, align, small)

    def _furniture(self, kind: str, text: str, baseline: int, align: str, size: float) -> None:
        style, sheet = self._style, self._sheet
        room = style.width - style.margins[0] - style.margins[2]
        setting = Setting(foreign(text.strip()), Type(style, size))
        if float(setting.edges[-1]) > room:
            raise OptionError(f"the {kind} {text!r} is wider than the page: shorten it")
        after = len(setting.widths)
        xs = setting.places(0, after, room, align, True) + style.margins[0]
        sheet.kinds.append(kind)
        sheet.texts.append([text.strip()])
        sheet.lines += 1
        block = len(sheet.kinds) - 1
        sheet.placed.append(Placed(setting, 0, after, xs, baseline, sheet.lines - 1, block))


def pour(blocks: Sequence[Block], style: Style, text: str) -> Iterator[Sheet]:
    """The pages that the blocks fill, as they fill; one at least."""
    common = "".join(char for char, _ in Counter(text).most_common() if char.isalpha())
    style = replace(style, fonts=stand_in(style.fonts, style.language, common))
    flow = Flow(style, rightwards=bidi.base_level(text[:2000]) == 0)
    gap = round(style.paragraph_gap * style.size * style.leading)
    before = ""
    for block in blocks:
        extra = gap // 2 if block.level and before else 0
        yield from flow.pour(block, gap + extra)
        before = block.kind
    flow.finish()
    yield from flow.sheets


# A block's bands


def _bands(block: Block, style: Style) -> Iterator[Band]:
    if block.rows:
        yield from _table(block, style)
    elif block.kind == "list":
        yield from _list(block, style)
    elif block.kind == "code":
        yield from _code(block, style)
    else:
        size = style.heading_size(block.level) if block.level else style.size
        mark = "#" * block.level + " " if block.level else ""
        align = ("centre" if style.align == "centre" else "start") if block.level else style.align
        indent = style.indent * size if block.kind == "text" else 0.0
        kind = Type(style, size, bold=bool(block.level))
        for number, paragraph in enumerate(block.paragraphs):
            lead = mark if number == 0 else "\n"
            yield from _paragraph(paragraph.content, kind, style, (mark, lead), 0.0, align, indent)


def _paragraph(
    content: Content,
    kind: Type,
    style: Style,
    leads: tuple[str, str],
    left: float,
    align: str,
    indent: float = 0.0,
    base: int | None = None,
    marker: tuple[Setting, float] | None = None,
) -> Iterator[Band]:
    """A paragraph's lines in the column from `left` on (from the right edge where it runs from there).

    `leads`: what its text begins with, should the block begin with it, and otherwise.
    """
    setting = Setting(content, kind, base)
    width = style.column_width - left
    lines = setting.lines(width, indent)
    above, below = _heights([setting], kind.size, style)
    offset = 0.0 if setting.base else left
    for number, (first, after) in enumerate(lines):
        own = indent if number == 0 else 0.0
        shift = 0.0 if setting.base else own
        room, last = width - own, number + 1 == len(lines)
        piece = Piece(setting, first, after, offset + shift, room, align, last)
        pieces = [piece]
        if number == 0 and marker is not None:
            sign, place = marker
            where = style.column_width - place - float(sign.edges[-1]) if setting.base else place
            head = Piece(sign, 0, len(sign.widths), where, float(sign.edges[-1]), "left", True)
            pieces = [head, replace(piece, new_line=False)]
        words = _text(setting, first, after)
        if number:
            texts = (words, _joint(setting, lines[number - 1][1], first) + words)
        else:
            texts = (leads[0] + words, leads[1] + words)
        yield Band(above, below, tuple(pieces), texts)


def _text(setting: Setting, first: int, after: int) -> str:
    return setting.content.text[int(setting.starts[first]) : int(setting.ends[after - 1])]


def _joint(setting: Setting, before: int, first: int) -> str:
    """What stands between two lines in the text."""
    return setting.content.text[int(setting.ends[before - 1]) : int(setting.starts[first])]


def _heights(settings: list[Setting], size: float, style: Style) -> tuple[int, int]:
    """Pixels above and below a baseline: the style's leading, and more where the ink needs it."""
    height = style.leading * size
    top = max((setting.ink[0] for setting in settings), default=0.0)
    bottom = max((setting.ink[1] for setting in settings), default=0.0)
    above = max(math.ceil(top) + 1, round(_ABOVE * height))
    return above, max(math.ceil(bottom) + 1, round(height) - round(_ABOVE * height))


def _code(block: Block, style: Style) -> Iterator[Band]:
    size = max(4.0, round(1.8 * style.size) / 2)
    kind = Type(style, size, code=True)
    for number, paragraph in enumerate(block.paragraphs):
        lead = "\n" if number else "```\n"
        if not paragraph.content.text.strip():
            above, below = _heights([], size, style)
            yield Band(above, below, (), ("```\n", lead), end="\n```")
            continue
        bands = _paragraph(paragraph.content, kind, style, ("```\n", lead), 0.4 * size, "left", base=0)
        for band in bands:
            first = band.texts[0] if band.texts[0].startswith("```\n") else "```\n" + band.texts[0]
            yield replace(band, texts=(first, band.texts[1]), end="\n```")


def _list(block: Block, style: Style) -> Iterator[Band]:
    kind = Type(style, style.size)
    step = 1.4 * style.size
    for number, item in enumerate(block.paragraphs):
        assert item.marker is not None
        sign = item.marker
        if sign.text in "-*+•":
            sign = Content(style.bullet[:1] or "•", sign.offsets)
        base = bidi.base_level(item.content.text) if bidi.runs_right(item.content.text) else 0
        mark = Setting(sign, kind, base)
        place = item.depth * step + 0.3 * style.size
        left = place + max(step, float(mark.edges[-1]) + 0.5 * style.size)
        lead = "  " * item.depth + ("-" if sign is not item.marker else sign.text) + " "
        leads = (lead, "\n" + lead if number else lead)
        align = style.align if style.align in ("justified", "start") else "start"
        yield from _paragraph(item.content, kind, style, leads, left, align, base=base, marker=(mark, place))


# Tables


@dataclass
class _Cell:
    setting: Setting
    lines: list[tuple[int, int]] = field(default_factory=list)


def _table(block: Block, style: Style) -> Iterator[Band]:
    count = max(len(row) for row in block.rows)
    rows = []
    for number, row in enumerate(block.rows):
        kind = Type(style, style.size, bold=number == 0)
        rows.append([_Cell(Setting(cell, kind)) for cell in row])
    pad = 0.45 * style.size
    widths = _column_widths(rows, count, style.column_width - 2 * pad * count - 1)
    edges = [0.0]
    for width in widths:
        edges.append(edges[-1] + width + 2 * pad)
    from_right = any(cell.setting.base for cell in rows[0])
    for number, row_cells in enumerate(rows):
        for cell, width in zip(row_cells, widths, strict=False):
            cell.lines = cell.setting.lines(width)
        tags = ["th" if number == 0 else "td"] * count
        yield from _row(row_cells, edges, pad, style, tags, from_right, number + 1 == len(rows))


def _row(
    cells: list[_Cell],
    edges: list[float],
    pad: float,
    style: Style,
    tags: list[str],
    from_right: bool,
    last: bool,
) -> Iterator[Band]:
    above, below = _heights([cell.setting for cell in cells], style.size, style)
    depth = max([1, *(len(cell.lines) for cell in cells)])
    space = round(0.3 * style.size)
    inner = [style.column_width - 1 - edge for edge in edges] if from_right else edges
    bars = tuple(inner) if style.rules == "grid" else ()
    for line in range(depth):
        pieces = []
        for number, cell in enumerate(cells):
            if line < len(cell.lines):
                first, after = cell.lines[line]
                left = min(inner[number], inner[number + 1]) + pad
                room = edges[number + 1] - edges[number] - 2 * pad
                pieces.append(Piece(cell.setting, first, after, left, room, "start", True))
        rules = []
        if style.rules != "none" and line == 0:
            rules.append(("top", min(inner), max(inner)))
        if style.rules != "none" and last and line + 1 == depth:
            rules.append(("bottom", min(inner), max(inner)))
        row = _html_row(cells, tags) if line == 0 else ""
        yield Band(
            above + (space if line == 0 else 0),
            below + (space if line + 1 == depth else 0),
            tuple(pieces),
            ("<table>" + row, row),
            bars,
            tuple(rules),
            end="</table>",
            keep=depth * (above + below) + 2 * space + 1 if line == 0 else 0,
        )


def _html_row(cells: list[_Cell], tags: list[str]) -> str:
    written = (
        f"<{tag}>{html.escape(' '.join(cell.setting.content.text.split()), quote=False)}</{tag}>"
        for cell, tag in zip(cells, tags, strict=False)
    )
    empty = (f"<{tag}></{tag}>" for tag in tags[len(cells) :])
    return f"<tr>{''.join(written)}{''.join(empty)}</tr>"


def _column_widths(rows: list[list[_Cell]], count: int, room: float) -> list[float]:
    """As wide as the widest cell where all fit, else between what must be and what would be nice."""
    wanted, needed = [1.0] * count, [1.0] * count
    for row in rows:
        for number, cell in enumerate(row):
            wanted[number] = max(wanted[number], float(cell.setting.edges[-1]) + 1)
            needed[number] = max(needed[number], cell.setting.narrowest + 1)
    if sum(wanted) <= room:
        return wanted
    if sum(needed) > room:  # words must be cut
        share = room / sum(needed)
        return [width * share for width in needed]
    spare = (room - sum(needed)) / (sum(wanted) - sum(needed))
    return [low + (high - low) * spare for low, high in zip(needed, wanted, strict=True)]
