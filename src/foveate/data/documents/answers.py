"""A laid-out page as an answer: coarse text, fine markup, or lines with boxes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from foveate.data.documents.compose import Layout
from foveate.data.documents.layout import Area
from foveate.data.documents.lines import BULLETS, Line, joined
from foveate.data.sample import Region
from foveate.document import GRID, Box

# Pictures have no text in the released markup: the words in them are not written.
_WORDLESS = frozenset({"image"})
_SPECIAL = re.compile(r"<(?=[|｜]|image>)")
_ROUND = re.compile(f"[{re.escape(''.join(sorted(set(BULLETS) - set('–—-*·∙'))))}]\\s*")


def coarse(layout: Layout) -> str:
    """All text of a page as paragraphs, an empty line between them; tables row by row."""
    known = vocabulary(layout)
    texts = [_rows(area) if area.kind in ("table", "image") else text(area, known) for area in layout.areas]
    return "\n\n".join(plain(part) for part in texts if part)


def fine(layout: Layout) -> str:
    """The released markup: `<|ref|>kind<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>` and a block's text."""
    known = vocabulary(layout)
    written = []
    for area in layout.areas:
        words = "" if area.kind in _WORDLESS else area.html or plain(_marked(area, text(area, known)))
        # Two spaces end a paragraph in what the released model writes, but not a table.
        if not words and area.kind not in _WORDLESS:
            continue
        ending = "" if area.html or not words else "  "
        written.append(
            f"{reference(area.kind, area.box, layout.width, layout.height)}\n{words}{ending}".rstrip("\n")
        )
    return "\n\n".join(written).rstrip()


def by_line(layout: Layout) -> str:
    """Every line of the page with its box, as the released prompt for OCR wants it."""
    return located(lines_of(layout), layout.width, layout.height)


def lines_of(layout: Layout) -> list[Region]:
    """The lines of a page in reading order."""
    return [
        Region("line", line.box, plain(line.text))
        for area in layout.areas
        for line in area.lines
        if line.text
    ]


def located(regions: Iterable[Region], width: float, height: float) -> str:
    """Words with their boxes, one a line; boxes in units of a page of `width` x `height`."""
    return "\n".join(reference(region.text, region.box, width, height) for region in regions)


def reference(label: str, box: Box, width: float, height: float) -> str:
    """A label with a box on the grid from 0 to 999."""
    x0, x1 = (min(max(round(x / width * GRID), 0), GRID) for x in (box.x0, box.x1))
    y0, y1 = (min(max(round(y / height * GRID), 0), GRID) for y in (box.y0, box.y1))
    # A box has an extent, even that of a hairline.
    if x0 == x1:
        x0, x1 = (x0, x1 + 1) if x1 < GRID else (x0 - 1, x1)
    if y0 == y1:
        y0, y1 = (y0, y1 + 1) if y1 < GRID else (y0 - 1, y1)
    return f"<|ref|>{label}<|/ref|><|det|>[[{x0}, {y0}, {x1}, {y1}]]<|/det|>"


def plain(words: str) -> str:
    """Text without what would be read as a special token."""
    return _SPECIAL.sub("< ", words)


def vocabulary(layout: Layout) -> frozenset[str]:
    """The words of a page that no line's end cuts, in small letters."""
    words = (word.text.strip("().,;:!?“”\"'").lower() for word in layout.words if not word.hyphen)
    return frozenset(word for word in words if word)


def text(area: Area, known: frozenset[str] = frozenset()) -> str:
    """An area's words: a paragraph on one line, a list's items on a line each."""
    if area.kind == "list" and area.starts:
        ends = [*area.starts[1:], len(area.lines)]
        return "\n".join(paragraph(area.lines[a:b], known) for a, b in zip(area.starts, ends, strict=True))
    if area.kind in ("table", "image"):
        return _rows(area)
    return paragraph(area.lines, known)


def paragraph(lines: Sequence[Line], known: frozenset[str] = frozenset()) -> str:
    """Lines as running text; a word that a line's end cut is put together."""
    written = ""
    for line in lines:
        if not written:
            written = line.text
            continue
        head, _, cut = written.rpartition(" ")
        first, space, rest = line.text.partition(" ")
        if len(cut) > 1 and cut.endswith(("-", "\u2010")) and first[:1].islower():
            whole = _mended(cut[:-1], first, known)
            written = f"{head} {whole}" if head else whole
            written += space + rest
        else:
            written = joined((written, line.text))
    return written


def _mended(cut: str, rest: str, known: frozenset[str]) -> str:
    """A cut word, with its hyphen when the page writes it so elsewhere or when it has others."""
    stripped = rest.strip("().,;:!?“”\"'").lower()
    start = cut.strip("(“\"'").lower()
    hyphened = f"{start}-{stripped}"
    if start + stripped in known:
        return cut + rest
    if hyphened in known or "-" in cut or not start.isalpha() or not stripped[:2].isalpha():
        return f"{cut}-{rest}"
    return cut + rest


def _rows(area: Area) -> str:
    """Lines as rows: those at one height on one line."""
    rows: list[list[Line]] = []
    for line in sorted(area.lines, key=lambda line: (line.angle, line.baseline)):
        if (
            rows
            and line.angle == rows[-1][0].angle
            and line.baseline - rows[-1][0].baseline < 0.5 * line.size
        ):
            rows[-1].append(line)
        else:
            rows.append([line])
    return "\n".join(
        " ".join(line.text for line in sorted(row, key=lambda line: line.box.x0)) for row in rows
    )


def _marked(area: Area, words: str) -> str:
    if area.level:
        return f"{'#' * area.level} {words}"
    if area.kind == "list":
        return "\n".join(
            _ROUND.sub("• ", item, count=1) if _ROUND.match(item) else item for item in words.split("\n")
        )
    return f"<center>{words}</center>" if area.kind == "image_caption" else words
