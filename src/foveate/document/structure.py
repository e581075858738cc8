"""Document > Page > Block, frozen, and their JSON.

Boxes are in pixels of the page image, origin at the top left, x to the right, y down. The model speaks of
the same places on a grid from 0 to 999 in both directions: pixel = value / 999 * size.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foveate.document import as_html, as_markdown, as_text
from foveate.errors import CorruptSource, UnsupportedFormat

GRID = 999
SCHEMA = "foveate.document"
SCHEMA_VERSION = 1
SCALE = (
    "boxes hold [x0, y0, x1, y1] from the top left corner: 'pixels' of the page image, and 'grid', "
    "the model's scale from 0 to 999 in both directions (pixel = grid / 999 * size)"
)
# Running headers and the like cut sentences in two, so Markdown and text leave them out unless asked.
FURNITURE = frozenset({"header", "footer", "page_number"})


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the page image: x0 <= x1 to the right, y0 <= y1 down."""

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def from_grid(cls, values: Sequence[float], width: int, height: int) -> Box:
        """The box of four grid values (x, y, x, y), clamped to 0–999 and put in order; sizes in pixels."""
        ax, ay, bx, by = (min(max(value, 0), GRID) for value in values)
        (x0, x1), (y0, y1) = sorted((ax, bx)), sorted((ay, by))
        return cls(x0 / GRID * width, y0 / GRID * height, x1 / GRID * width, y1 / GRID * height)

    def to_grid(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The nearest whole grid values, x0 y0 x1 y1; width and height of the page in pixels."""
        x0, x1 = (_on_grid(x, width) for x in (self.x0, self.x1))
        y0, y1 = (_on_grid(y, height) for y in (self.y0, self.y1))
        return x0, y0, x1, y1

    def union(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )

    @property
    def area(self) -> float:
        """Square pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


@dataclass(frozen=True)
class Block:
    """One piece of a page, in reading order."""

    kind: str  # what the markup said: "title", "text", "table", "image", …; "text" when it said nothing
    text: str  # as the model wrote it: Markdown, HTML for tables, LaTeX for formulas
    boxes: tuple[Box, ...] = ()
    confidence: float | None = None  # geometric mean of the token probabilities, 0 to 1
    image: str | None = None  # file name of the picture cut out of the page, when there is one

    @property
    def box(self) -> Box | None:
        """The smallest box around all boxes."""
        if not self.boxes:
            return None
        around = self.boxes[0]
        for other in self.boxes[1:]:
            around = around.union(other)
        return around


@dataclass(frozen=True)
class Attempt:
    """One reading of a page that was read more than once."""

    mode: str
    stop: str
    text_tokens: int
    seconds: float


@dataclass(frozen=True)
class Page:
    """One page: its blocks in reading order, and what reading it took."""

    number: int
    width: int  # pixels of the page image
    height: int
    blocks: tuple[Block, ...]
    raw: str = ""  # the text of the generated tokens, untouched
    mode: str = ""
    prompt: str = ""
    vision_tokens: int = 0
    text_tokens: int = 0
    seconds: float = 0.0
    confidence: float | None = None  # as a block's, of all tokens but those of coordinates
    stop: str = "end"  # "end" | "length" | "loop" | "error"
    attempts: tuple[Attempt, ...] = ()
    error: str | None = None  # why the page could not be read

    @property
    def ratio(self) -> float:
        """Text tokens per vision token; 0 without vision tokens."""
        return self.text_tokens / self.vision_tokens if self.vision_tokens else 0.0

    def shown(self, furniture: bool = False) -> tuple[Block, ...]:
        """The blocks that are read out: without running headers, footers and page numbers, or with them."""
        return tuple(block for block in self.blocks if furniture or block.kind not in FURNITURE)

    def markdown(self, *, tables: str = "auto", furniture: bool = False) -> str:
        """The page as Markdown; the arguments are those of `Document.markdown`."""
        return as_markdown.render_page(self, tables, furniture)

    def text(self, *, furniture: bool = False) -> str:
        """The page as plain text; `furniture` keeps running headers, footers and page numbers."""
        return as_text.render_page(self, furniture)

    def html(self, *, images: Mapping[str, bytes] | None = None) -> str:
        """The page as one safe `<section>`, to be put into a document."""
        return as_html.render_page(self, images or {})

    def json(self) -> dict[str, Any]:
        """The page as JSON values; boxes in pixels and on the grid."""
        return {
            "number": self.number,
            "width": self.width,
            "height": self.height,
            "mode": self.mode,
            "prompt": self.prompt,
            "vision_tokens": self.vision_tokens,
            "text_tokens": self.text_tokens,
            "ratio": self.ratio,
            "seconds": self.seconds,
            "confidence": _finite(self.confidence),
            "stop": self.stop,
            "error": self.error,
            "attempts": [_attempt_json(attempt) for attempt in self.attempts],
            "blocks": [_block_json(block, self.width, self.height) for block in self.blocks],
            "raw": self.raw,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Page:
        """The page that `json` described; CorruptSource when it does not describe one."""
        with _Described("page", values):
            known = {name: types for name, types in _PLAIN_PAGE_FIELDS.items() if name in values}
            return cls(
                number=_typed(values["number"], int),
                width=_typed(values["width"], int),
                height=_typed(values["height"], int),
                blocks=tuple(_block(block) for block in values["blocks"]),
                attempts=tuple(_attempt(attempt) for attempt in values.get("attempts", ())),
                **{name: _typed(values[name], *types) for name, types in known.items()},
            )


@dataclass(frozen=True)
class Document:
    """What was read from one source, page by page."""

    source: str
    pages: tuple[Page, ...]
    model: str = ""

    def markdown(
        self, *, page_mark: str = "<!-- page {number} -->", tables: str = "auto", furniture: bool = False
    ) -> str:
        """The document as Markdown, without a newline at its end.

        page_mark: stands before every page of a document of several; "" for none.
        tables: "auto" writes pipes where they say it all and HTML where cells span; "markdown"; "html".
        furniture: keeps running headers, footers and page numbers.
        """
        return as_markdown.render_document(self, page_mark, tables, furniture)

    def text(self, *, page_break: str = "\f", furniture: bool = False) -> str:
        """The document as plain text; `page_break` stands on a line of its own between pages."""
        return f"\n{page_break}\n".join(page.text(furniture=furniture) for page in self.pages)

    def html(self, *, images: Mapping[str, bytes] | None = None) -> str:
        """A complete HTML5 document; pictures given as file name -> bytes are put inside it."""
        return as_html.render_document(self, images or {})

    def json(self, *, indent: int | None = 2) -> str:
        """The document as JSON text that `from_json` reads back exactly."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)
        # File names may hold lone surrogates, which no encoding accepts: written as JSON escapes.
        return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half.group()):04x}", text)

    def to_dict(self) -> dict[str, Any]:
        """The document as JSON values, with the version of the schema and the scale of the boxes."""
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "scale": SCALE,
            "source": self.source,
            "model": self.model,
            "pages": [page.json() for page in self.pages],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Document:
        """The document that `to_dict` described; CorruptSource or UnsupportedFormat when it cannot be."""
        with _Described("document", values):
            version = _typed(values["version"], int)
            if values["schema"] != SCHEMA or not 1 <= version <= SCHEMA_VERSION:
                raise UnsupportedFormat(
                    f"{values['schema']!r} version {version} is not a document of this foveate, which reads "
                    f"{SCHEMA!r} up to version {SCHEMA_VERSION}: install a newer one"
                )
            pages = tuple(Page.from_dict(page) for page in values["pages"])
            model = _typed(values.get("model", ""), str)
            return cls(source=_typed(values["source"], str), pages=pages, model=model)

    @classmethod
    def from_json(cls, text: str | bytes) -> Document:
        """The document that `json` wrote."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CorruptSource(f"this is not JSON: {error}") from error
        return cls.from_dict(values)


_PLAIN_PAGE_FIELDS: dict[str, tuple[type, ...]] = {
    "raw": (str,),
    "mode": (str,),
    "prompt": (str,),
    "vision_tokens": (int,),
    "text_tokens": (int,),
    "seconds": (int, float),
    "confidence": (int, float, type(None)),
    "stop": (str,),
    "error": (str, type(None)),
}


class _Described:
    """Turns whatever goes wrong inside into one CorruptSource that names what was being read."""

    def __init__(self, what: str, values: object) -> None:
        self.what, self.values = what, values

    def __enter__(self) -> None:
        if not isinstance(self.values, Mapping):
            raise CorruptSource(f"the {self.what} is not a JSON object")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError):
            raise CorruptSource(f"the {self.what} has no {error}") from error
        if isinstance(error, (TypeError, ValueError, AttributeError)):
            raise CorruptSource(f"the {self.what} does not hold what it should: {error}") from error


def _on_grid(value: float, size: int) -> int:
    return min(max(round(value / size * GRID), 0), GRID) if size else 0


def _finite(value: float | None) -> float | None:
    # JSON has no NaN.
    return value if value is not None and math.isfinite(value) else None


def _block_json(block: Block, width: int, height: int) -> dict[str, Any]:
    return {
        "kind": block.kind,
        "text": block.text,
        "boxes": [
            {"pixels": [box.x0, box.y0, box.x1, box.y1], "grid": list(box.to_grid(width, height))}
            for box in block.boxes
        ],
        "confidence": _finite(block.confidence),
        "image": block.image,
    }


def _block(values: Mapping[str, Any]) -> Block:
    return Block(
        kind=_typed(values["kind"], str),
        text=_typed(values["text"], str),
        boxes=tuple(Box(*(_typed(value, int, float) for value in box["pixels"])) for box in values["boxes"]),
        confidence=_typed(values["confidence"], int, float, type(None)),
        image=_typed(values["image"], str, type(None)),
    )


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "mode": attempt.mode,
        "stop": attempt.stop,
        "text_tokens": attempt.text_tokens,
        "seconds": attempt.seconds,
    }


def _attempt(values: Mapping[str, Any]) -> Attempt:
    return Attempt(
        mode=_typed(values["mode"], str),
        stop=_typed(values["stop"], str),
        text_tokens=_typed(values["text_tokens"], int),
        seconds=_typed(values["seconds"], int, float),
    )


def _typed(value: Any, *types: type) -> Any:
    if not isinstance(value, types):
        raise TypeError(f"{str(value)[:40]!r} stands where {' or '.join(t.__name__ for t in types)} should")
    return value
