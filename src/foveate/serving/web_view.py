"""What the web page is told of pages and blocks, as JSON values that hold plain text and no markup.

The browser makes elements of them with text inside; nothing that a model wrote arrives there as HTML.
"""

from __future__ import annotations

import base64
import math
import re
import time
from bisect import bisect_left, bisect_right
from io import BytesIO
from typing import TYPE_CHECKING, Any

from foveate.document import FURNITURE, Block, Page, as_markdown, flow, inline, tables
from foveate.pages.markup import SpanConfidence, parse
from foveate.pages.mode import AUTO, MODES, Layout, choose_mode

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

DOUBTFUL = 0.5  # confidence of a word below which it is marked
SHOWN_SIDE = 1400  # pixels of the longer side of a page's picture
EVERY = 0.12  # seconds between two looks at a page that is being written
LEAST_ROOM = 32  # places for text below which a mode is not offered

_WORD = re.compile(r"[^\W_]+")
_TAG = re.compile(r"<[^<>]*>")


# Blocks


def block_views(
    raw: str, width: int, height: int, prompt: str, confidence: SpanConfidence | None = None
) -> list[dict[str, Any]]:
    """A page's markup as blocks for the browser; see `block_view`."""
    spans: list[tuple[int, int]] = []

    def noted(start: int, end: int) -> float | None:
        spans.append((start, end))
        return confidence(start, end) if confidence else None

    blocks = parse(raw, width, height, noted, prompt)
    return [
        block_view(block, width, height) | {"doubts": _doubts(block.text, raw, *span, confidence)}
        for block, span in zip(blocks, spans, strict=True)
    ]


def block_view(block: Block, width: int, height: int) -> dict[str, Any]:
    """Kind, boxes in shares of the page, confidence, Markdown, and nodes: paragraphs, headings, tables …"""
    boxes = [
        [box.x0 / width, box.y0 / height, box.x1 / width, box.y1 / height] for box in block.boxes if width
    ]
    return {
        "kind": block.kind,
        "boxes": [[round(value, 5) for value in box] for box in boxes],
        "confidence": None if block.confidence is None else round(block.confidence, 4),
        "furniture": block.kind in FURNITURE,
        "markdown": Page(1, width, height, (block,)).markdown(),
        "nodes": [_node(node) for node in flow.nodes(as_markdown.source(block))],
        "doubts": [],
    }


def _node(node: flow.Node) -> dict[str, Any]:
    if node.kind == "code":
        return {"kind": "code", "text": node.text}
    if node.kind == "table":
        return {"kind": "table", "rows": [[_cell(cell) for cell in row] for row in node.rows]}
    if node.kind == "list":
        return {"kind": "list", "items": [_item(item) for item in node.items]}
    return {"kind": node.kind, "level": node.level, "pieces": _pieces(node.text)}


def _cell(cell: tables.Cell) -> dict[str, Any]:
    return {"pieces": _pieces(cell.text), "head": cell.header, "columns": cell.colspan, "rows": cell.rowspan}


def _item(item: flow.Item) -> dict[str, Any]:
    ordered = item.marker[0].isdigit()
    number = int(item.marker[:-1]) if ordered else 0
    return {"pieces": _pieces(item.text), "ordered": ordered, "number": number}


def _pieces(text: str) -> list[list[str]]:
    return [[piece.kind, piece.value] for piece in inline.pieces(text)]


def _doubts(
    text: str, raw: str, start: int, end: int, confidence: SpanConfidence | None
) -> list[list[str | int | float]]:
    """Words of a block that the network was not sure of: the word, how many of the same came before it in the
    block, and its confidence. Raw [start, end) is what the network wrote of the block."""
    if confidence is None:
        return []
    found: list[list[str | int | float]] = []
    seen: dict[str, int] = {}
    for match in _WORD.finditer(_TAG.sub(lambda tag: " " * len(tag.group()), text)):
        word = match.group()
        number = seen[word] = seen.get(word, -1) + 1
        place = raw.find(word, start, end)
        if place < 0:
            continue  # an entity, or a word that special tokens ran through
        start = place + len(word)
        sure = confidence(place, start)
        if sure is not None and sure < DOUBTFUL:
            found.append([word, number, round(sure, 4)])
    return found


class Growing:
    """A page while it is written: its text, and the confidence of every stretch of it."""

    def __init__(self, prompt: str, width: int, height: int) -> None:
        self.prompt, self.size = prompt, (width, height)
        self.tokens = 0
        self._pieces: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._logs: list[float] = []
        self._length = 0
        self._views: list[dict[str, Any]] = []
        self._next = 0.0

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, piece: str, confidence: float) -> None:
        """What a token has completed, and how probable the token was."""
        self.tokens += 1
        self._pieces.append(piece)
        self._starts.append(self._length)
        self._length += len(piece)
        self._ends.append(self._length)
        self._logs.append(math.log(max(confidence, 1e-12)))

    def confidence(self, start: int, end: int) -> float | None:
        """As `Reading.confidence`."""
        chosen = self._logs[bisect_right(self._ends, start) : bisect_left(self._starts, end)]
        return math.exp(sum(chosen) / len(chosen)) if chosen else None

    @property
    def due(self) -> bool:
        """Whether it is time for another look."""
        return time.monotonic() >= self._next

    def news(self) -> tuple[int, list[dict[str, Any]]]:
        """The first block that has changed since the last look, and all blocks from there on."""
        began = time.monotonic()
        views = block_views(self.text, *self.size, self.prompt, self.confidence)
        same = next(
            (at for at, (old, new) in enumerate(zip(self._views, views, strict=False)) if old != new),
            min(len(self._views), len(views)),
        )
        self._views = views
        # A long page must not cost more to show than to read.
        self._next = time.monotonic() + max(EVERY, 8 * (time.monotonic() - began))
        return same, views[same:]


# Costs


def costs(width: int, height: int, places: int) -> dict[str, dict[str, Any]]:
    """What a page of so many pixels costs in every mode, in a network with so many places."""
    return {name: _cost(mode.layout(width, height), places) for name, mode in MODES.items()}


def auto_mode(width: int, height: int) -> str:
    """The mode that `auto` takes."""
    return choose_mode(AUTO, width, height).name


def _cost(layout: Layout, places: int) -> dict[str, Any]:
    return {
        "vision_tokens": layout.vision_tokens,
        "grid": list(layout.grid),
        "fits": layout.sequence_length + LEAST_ROOM <= places,
    }


def modes() -> list[dict[str, Any]]:
    """The modes themselves."""
    return [{"name": mode.name, "side": mode.side, "tile": mode.tile} for mode in MODES.values()]


# Pictures


def picture(image: Image.Image) -> str:
    """A page small enough for a screen, as a data URL."""
    small = image.copy()
    small.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return _data_url(small, "JPEG", quality=85)


def seen_picture(whole: Tensor) -> str:
    """A view (3, side, side) as the network sees it, from -1 to 1, as a data URL of its own size."""
    from PIL import Image

    pixels = (whole.float() * 127.5 + 127.5).round().clamp(0, 255).byte()
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    grey = image.convert("L")
    return _data_url(
        grey if grey.convert("RGB").tobytes() == image.tobytes() else image, "PNG", compress_level=3
    )


def _data_url(image: Image.Image, kind: str, **options: Any) -> str:
    file = BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
