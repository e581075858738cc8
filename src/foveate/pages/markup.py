"""The model's markup to blocks.

Asked to convert a page, the released model writes, for each block,

    <|ref|>kind<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>
    text

asked to OCR or to locate something, `<|ref|>the words<|/ref|><|det|>[[…]]<|/det|>`; its relative
Unlimited-OCR writes `<|det|>kind [x1, y1, x2, y2]<|/det|>text`; without grounding there is only Markdown.
Coordinates run from 0 to 999 in both directions. The output is untrusted and may be cut anywhere: nothing
here raises, evaluates, or takes more than linear time, and words are not dropped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from foveate.document import GRID, Block, Box, flow, tables

if TYPE_CHECKING:
    from PIL import Image

KINDS = frozenset(
    {"title", "sub_title", "text", "list", "code", "algorithm", "reference", "aside_text", "seal"}
    | {"table", "table_caption", "table_footnote", "equation", "formula"}
    | {"image", "image_caption", "image_footnote", "figure", "figure_caption", "chart"}
    | {"header", "footer", "page_number", "page_footnote"}
)
CONTENT_PROMPTS = frozenset({"ocr", "locate"})  # their references hold words of the page, not kinds
PICTURES = frozenset({"image", "figure", "chart"})

SpanConfidence = Callable[[int, int], float | None]

_TAG = re.compile(r"<\|(/?)(ref|det)\|>")
_SPECIAL = re.compile(
    r"<\|(?:/?(?:ref|det)|grounding|EOT|User|Assistant|end_of_sentence)\|>|<｜[^<>｜\n]{1,40}｜>|<image>|<PAGE>"
)
_CUT_SPECIAL = re.compile(r"<(?:\|[^<>|\n]{0,12}\|?|｜[^<>｜\n]{0,40}｜?)\s*\Z")
_LABEL = re.compile(r"[a-z]{2,24}(?:_[a-z]{1,24}){0,3}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_COORDINATES = re.compile(r"\s*(?:[a-z]{2,24}(?:[ _][a-z]{1,24}){0,3}\s*)?(?P<numbers>\[[][0-9 \t,.()+-]*)")
_BOXES = re.compile(r"<\|det\|>.*?(?:<\|/det\|>|\Z)", re.DOTALL)
_BRACKET = re.compile(r"[][]")
_LINE = re.compile(r"[^\n]+\n?|\n")
_TABLE_TAG = re.compile(r"<(/?)table\b", re.IGNORECASE)


class _Element(NamedTuple):
    """A <|ref|> or <|det|> from `start`; it holds [inside, stop), and `after` is past its closing tag."""

    name: str
    start: int
    inside: int
    stop: int
    after: int
    closed: bool


class _Reference(NamedTuple):
    """A label and its boxes from markup[start:text], and the text up to the next reference."""

    label: tuple[int, int]  # where the label stands in the markup
    boxes: list[Box]
    start: int
    text: int
    end: int
    from_det: bool = False  # Unlimited-OCR's form, whose label is always a kind


class _Draft(NamedTuple):
    """A block to be: its text is what markup[start:end] holds, or nothing."""

    kind: str
    text: str
    start: int
    end: int
    boxes: Sequence[Box] = ()


def parse(
    markup: str,
    width: int,
    height: int,
    span_confidence: SpanConfidence | None = None,
    prompt: str = "",
) -> list[Block]:
    """The blocks of one page's markup in the order of their text; width and height in pixels of the page.

    span_confidence: the confidence of the characters [start, end) of `markup`, asked once for each block:
    those of its text, or of its tags when it has no text.
    prompt: the name of the prompt that was asked; "ocr" and "locate" say that references hold words.
    """
    cut = _CUT_SPECIAL.search(markup, max(markup.rfind("<"), 0))
    end = cut.start() if cut else len(markup)
    references = _joined(markup, _references(markup, end, width, height))
    drafts = list(_paragraphs(markup, 0, references[0].start if references else end))
    for reference, following in zip_longest(references, references[1:]):
        reference = reference._replace(end=following.start if following else end)
        drafts += _drafts(markup, reference, prompt)
    return [_block(draft, span_confidence) for draft in _with_tables_split(markup, drafts)]


def spans_of_boxes(markup: str) -> list[tuple[int, int]]:
    """Where coordinates stand in one page's markup, (start, end) with their tags, in order."""
    return [found.span() for found in _BOXES.finditer(markup)]


def _block(draft: _Draft, span_confidence: SpanConfidence | None) -> Block:
    confidence = span_confidence(draft.start, draft.end) if span_confidence else None
    return Block(draft.kind, tables.close(draft.text), tuple(draft.boxes), confidence)


def _elements(markup: str, end: int) -> Iterator[_Element]:
    """The elements in order; each ends with the next tag, so that none holds another."""
    tags = list(_TAG.finditer(markup, 0, end))
    for tag, following in zip_longest(tags, tags[1:]):
        stop = following.start() if following else end
        repeated = stop == tag.end() and following is not None and following.group() == tag.group()
        if tag.group(1) or repeated:
            continue  # closes nothing, or holds nothing: _trimmed removes it from the text
        closed = following is not None and following.group() == f"<|/{tag.group(2)}|>"
        after = following.end() if closed else stop
        yield _Element(tag.group(2), tag.start(), tag.end(), stop, after, closed)


def _references(markup: str, end: int, width: int, height: int) -> Iterator[_Reference]:
    """References in order, their `end` not known yet."""
    label: _Element | None = None
    for element in _elements(markup, end):
        if label is not None:
            if element.name == "det" and _is_blank(markup, label.after, element.start):
                _, boxes, text = _det(markup, element, end, width, height)
                yield _Reference((label.inside, label.stop), boxes, label.start, text, text)
                label = None
                continue
            yield _without_boxes(markup, label, end)
        label = element if element.name == "ref" else None
        if label is None:
            place, boxes, text = _det(markup, element, end, width, height)
            yield _Reference(place, boxes, element.start, text, text, from_det=True)
    if label is not None:
        yield _without_boxes(markup, label, end)


def _without_boxes(markup: str, ref: _Element, end: int) -> _Reference:
    """A <|ref|> alone: a label when closed; else what it holds is text, but for (the start of) a kind."""
    if ref.closed:
        return _Reference((ref.inside, ref.stop), [], ref.start, ref.after, ref.after)
    text = ref.stop if _is_kind_begun(markup, ref, end) else ref.inside
    return _Reference((ref.inside, ref.inside), [], ref.start, text, text)


def _is_kind_begun(markup: str, element: _Element, end: int) -> bool:
    """Whether an element never closed holds a kind, or, where the output breaks off, the start of one."""
    words = markup[element.inside : min(element.stop, element.inside + 40)].strip()
    return words in KINDS or (element.stop == end and any(kind.startswith(words) for kind in KINDS))


def _det(
    markup: str, det: _Element, end: int, width: int, height: int
) -> tuple[tuple[int, int], list[Box], int]:
    """Where a <|det|>'s label stands, its boxes, and where the text after it begins."""
    nothing = (det.inside, det.inside)
    if not det.closed:
        found = _COORDINATES.match(markup, det.inside, det.stop)
        if found is None:
            return nothing, [], det.stop if _is_kind_begun(markup, det, end) else det.inside
        start, stop = found.span("numbers")
        stop = _end_of_brackets(markup, start, stop) or stop
        # A last box that the output breaks off in may lack digits.
        whole = stop if stop < end else markup.rfind("]", start, stop) + 1 or start
        return (det.inside, start), _boxes(markup[start:whole], width, height), stop
    start = markup.find("[", det.inside, det.stop)
    if start < 0:
        body = markup[det.inside : det.stop]
        bare = any(character.isalpha() for character in body)
        return nothing, [] if bare else _boxes(body, width, height), det.inside if bare else det.after
    stop = _end_of_brackets(markup, start, det.stop) or det.stop
    text = stop if markup[stop : det.stop].strip(" \t\n,.;)]") else det.after
    return (det.inside, start), _boxes(markup[start:stop], width, height), text


def _end_of_brackets(markup: str, start: int, stop: int) -> int | None:
    """Past the bracket that closes the one at `start`, when it comes before `stop`."""
    depth = 0
    for bracket in _BRACKET.finditer(markup, start, stop):
        depth += 1 if bracket.group() == "[" else -1
        if not depth:
            return bracket.end()
    return None


def _boxes(text: str, width: int, height: int) -> list[Box]:
    """A box for every four numbers between brackets; fewer, or four that enclose nothing, make none."""
    boxes = []
    for group in re.split(r"[][]+", text):
        values = [_value(number.group()) for number in _NUMBER.finditer(group)]
        quads = zip(*[iter(values)] * 4, strict=False)
        boxes += [Box.from_grid(quad, width, height) for quad in quads]
    return [box for box in boxes if box.x0 < box.x1 and box.y0 < box.y1]


def _value(number: str) -> float:
    # Longer numbers are out of the grid's range anyway, and slow to convert.
    if len(number) > 40:
        return 0 if number.startswith("-") else GRID
    value = float(number)
    return int(value) if value.is_integer() else value


def _joined(markup: str, references: Iterator[_Reference]) -> list[_Reference]:
    """The references, with the boxes of a <|det|> that has no label given to the one right before it."""
    joined: list[_Reference] = []
    for reference in references:
        lone = reference.from_det and not markup[slice(*reference.label)].strip()
        if lone and joined and _is_blank(markup, joined[-1].text, reference.start):
            joined[-1].boxes.extend(reference.boxes)
            joined[-1] = joined[-1]._replace(text=reference.text)
        else:
            joined.append(reference)
    return joined


def _is_blank(markup: str, start: int, end: int) -> bool:
    return not _SPECIAL.sub("", markup[start:end]).strip()


def _drafts(markup: str, reference: _Reference, prompt: str) -> Iterator[_Draft]:
    """The block of a reference, and further ones for text that does not belong to it."""
    if reference.text == reference.end and reference.label[0] == reference.label[1] and not reference.boxes:
        return
    words, start, end = _trimmed(markup, *reference.label)
    text, text_start, text_end = _trimmed(markup, reference.text, reference.end)
    kind = _kind(words, bool(text), prompt, reference.from_det)
    if kind is None:
        yield _Draft("text", words, start, end, reference.boxes)
        yield from _paragraphs(markup, reference.text, reference.end)
    elif text:
        yield _Draft(kind, text, text_start, text_end, reference.boxes)
    elif reference.boxes:
        yield _Draft(kind, "", reference.start, reference.text, reference.boxes)


def _kind(label: str, has_text: bool, prompt: str, from_det: bool) -> str | None:
    """The kind that a label names, or None where it is words of the page."""
    if not label:
        return "text"
    if from_det:
        name = label[:99].lower().replace(" ", "_")
        return name if _LABEL.fullmatch(name) else None
    if not _LABEL.fullmatch(label):
        return None
    known = label in KINDS
    if prompt in CONTENT_PROMPTS:
        return label if known and has_text else None
    return label if known or has_text or prompt == "markdown" else None


def _trimmed(markup: str, start: int, end: int, blank: str | None = None) -> tuple[str, int, int]:
    """The words in markup[start:end] without special tokens, and where the first begins and the last ends."""
    if start == end:  # a reference without a label
        return "", start, start
    pieces: list[tuple[int, int]] = []
    position = start
    for token in _SPECIAL.finditer(markup, start, end):
        pieces.append((position, token.start()))
        position = token.end()
    pieces.append((position, end))
    worded = [(a, b) for a, b in pieces if markup[a:b].strip()]
    if not worded:
        return "", start, start
    (first, first_end), (last, last_end) = worded[0], worded[-1]
    head = markup[first:first_end]
    begin = first + len(head) - len(head.lstrip(blank))
    finish = last + len(markup[last:last_end].rstrip())
    text = "".join(markup[a:b] for a, b in pieces if b > begin and a < finish)
    return text.lstrip(blank).rstrip(), begin, finish


def _paragraphs(markup: str, start: int, end: int) -> Iterator[_Draft]:
    """Blocks of Markdown without references: paragraphs, headings, tables, code."""
    for a, b in _paragraph_spans(markup, start, end):
        text, begin, finish = _trimmed(markup, a, b, "\n") if a < b else ("", a, b)
        if text:
            yield _Draft(_plain_kind(text), text, begin, finish)


def _paragraph_spans(markup: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Stretches between empty lines; headings and tables by themselves; none cut inside tables or code."""
    begin, depth, code = start, 0, False
    for line in _LINE.finditer(markup, start, end):
        words = line.group().strip()
        alone = words.startswith("#") and not code and not depth
        opens = words[:6].lower() == "<table" and not code and not depth
        if not words and not code and not depth:
            yield begin, line.start()
            begin = line.end()
        elif alone or opens:
            yield begin, line.start()
            begin = line.start()
        code ^= words.startswith("```")
        was = depth
        for tag in _TABLE_TAG.finditer(words):
            depth = max(depth + (-1 if tag.group(1) else 1), 0)
        if alone or (was or opens) and not depth:
            yield begin, line.end()
            begin = line.end()
    yield begin, end


def _plain_kind(text: str) -> str:
    if text.startswith("#"):
        marks = len(text) - len(text.lstrip("#"))
        if marks <= 6 and text[marks : marks + 1] in (" ", "\t"):
            return "title" if marks == 1 else "sub_title"
    if text[:6].lower() == "<table":
        return "table"
    if text.startswith("\\[") and text.endswith("\\]"):
        return "equation"
    return "list" if flow.ITEM.match(text) else "text"


def _with_tables_split(markup: str, drafts: list[_Draft]) -> Iterator[_Draft]:
    """The drafts; a table that the model wrote below its caption is given back to its own reference.

    It names the table, then the caption, then writes the words of both: so the caption comes first.
    """
    empty: _Draft | None = None
    for draft in drafts:
        tag = _TABLE_TAG.search(markup, draft.start, draft.end) if empty and draft.text else None
        if empty and tag and draft.kind.startswith("table_"):
            yield from _split_table(markup, draft, empty, tag.start())
            empty = None
            continue
        if empty:
            yield empty
        empty = draft if draft.kind == "table" and not draft.text else None
        if empty is None:
            yield draft
    if empty:
        yield empty


def _split_table(markup: str, caption: _Draft, table: _Draft, start: int) -> Iterator[_Draft]:
    closing = [tag.end() for tag in _TABLE_TAG.finditer(markup, start, caption.end) if tag.group(1)]
    end = markup.find(">", closing[-1], caption.end) + 1 if closing else 0
    end = end or caption.end
    text, begin, finish = _trimmed(markup, caption.start, start)
    if text:
        yield _Draft(caption.kind, text, begin, finish, caption.boxes)
    else:
        yield caption._replace(text="", end=caption.start)
    text, begin, finish = _trimmed(markup, start, end)
    yield _Draft(table.kind, text, begin, finish, table.boxes)
    yield from _paragraphs(markup, end, caption.end)


def crop_images(
    image: Image.Image, blocks: Sequence[Block], page: int = 1, folder: Path | None = None
) -> tuple[list[Block], dict[str, Image.Image]]:
    """Cuts the pictures out of a page: the blocks with their file names, and the crops under these names.

    Names are "images/page-0001-0.jpg", relative to wherever the document goes; with a folder the crops are
    also written there. Boxes that overlap so much that the crops would weigh more than four pages stay uncut.
    """
    named: list[Block] = []
    crops: dict[str, Image.Image] = {}
    budget = 4 * image.width * image.height
    for block in blocks:
        corners = _corners(block, image) if block.kind in PICTURES else None
        pixels = (corners[2] - corners[0]) * (corners[3] - corners[1]) if corners else 0
        if corners and pixels <= budget:
            budget -= pixels
            name = f"images/page-{page:04d}-{len(crops)}.jpg"
            crops[name] = image.crop(corners).convert("RGB")
            block = replace(block, image=name)
        named.append(block)
    if folder is not None:
        write_images(crops, folder)
    return named, crops


def write_images(crops: Mapping[str, Image.Image], folder: Path) -> None:
    """Writes crops as JPEG under their names in a folder, which is made when it is not there."""
    for name, crop in crops.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        crop.save(target, quality=90)


def _corners(block: Block, image: Image.Image) -> tuple[int, int, int, int] | None:
    """The whole pixels that a block's boxes touch, inside the image; None when there are none."""
    box = block.box
    if box is None:
        return None
    x0, y0 = max(math.floor(box.x0), 0), max(math.floor(box.y0), 0)
    x1, y1 = min(math.ceil(box.x1), image.width), min(math.ceil(box.y1), image.height)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
