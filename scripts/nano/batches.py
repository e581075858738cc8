"""Batches of drawn pages, with all that is known of them.

B pages · S side in pixels · T tokens · N drawn characters
"""

import math
import os
import queue
import signal
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from draw import Drawn, Face, draw, installed_fonts
from text import ALPHABET, TextSource, mark_up, numbered
from torch import Tensor

from foveate.data.documents.answers import reference
from foveate.document import Box
from foveate.pages.mode import CELL
from foveate.pages.prompts import PROMPTS
from foveate.pages.tokenizer import Tokenizer
from foveate.pages.views import GREY

ASSETS = Path(__file__).parents[2] / "src" / "foveate" / "assets" / "nano"
PATCH = 16
PADDED = 1024  # the modes of this side pad a page; those of smaller ones stretch it
CELLS_PER_TOKEN = 4  # vision tokens that one text token may lie in
IGNORE = -100
CHARACTER = 0.42  # mean width of a character of prose, in ems
CHARACTERS = 3.55  # of prose in a token
INSIDE, WORD, BLOCK, HEADING = range(4)  # what a character starts
STARTS = 4
NONE = len(ALPHABET)  # stands before a character that starts something


@dataclass(frozen=True)
class Pages:
    """What pages are drawn. Sizes in pixels."""

    sides: tuple[int, ...] = (512, 640)  # one of them for each batch
    type_sizes: tuple[float, float] = (15, 32)  # em heights, from and to; see `sizes_on`
    padded_sizes: tuple[float, float] | None = None  # those on the sides that modes pad to, if others
    leading: tuple[float, float] = (1.1, 1.6)  # line height in type sizes
    made_up: float = 0.2  # share of text that means nothing
    partly: float = 0.0  # share of pages with text on a part of their height alone
    numbers: float = 0.0  # share of pages with numbers among the words
    short: float = 0.2  # share of pages with a few words alone
    headings: float = 0.25
    degrade: float = 0.5
    families: tuple[
        str, ...
    ] = ()  # of type, by the start of their files' names; all that are installed if none
    styles: tuple[str, ...] = ("regular", "bold")  # of these families
    longest: int = 640  # tokens of an answer
    split: float = 0.0  # share of tokens that are written as two
    breaks: bool = True  # the answer keeps the lines of the page
    markdown: float = 0.5  # share of pages with the prompt for Markdown, which has grounding
    boxes: bool = False  # whether answers to the prompt with grounding have the boxes of their blocks
    framed: float = 0.0  # share of pages, of the sides that modes pad to, between grey bars
    tokens: int = 4096  # of text in a batch, about
    most: int = 32  # pages in a batch
    patches: int = 32_768  # of pages in a batch, at most: SAM costs as much as these
    alike: int = 1  # batches in a row of the same side and type: processes that train together wait less

    def sizes_on(self, side: int) -> tuple[float, float]:
        """The type on pages of this side; scaled up together where a full page of the smallest would
        seldom do with `longest` tokens."""
        smallest, largest = self.padded_sizes if self.padded_sizes and side >= PADDED else self.type_sizes
        height = sum(self.leading) / 2
        least = side / math.sqrt(CHARACTER * height * CHARACTERS * self.longest)
        scale = max(1.0, least / smallest)
        return smallest * scale, largest * scale


@dataclass
class Batch:
    pixels: Tensor  # (B, S, S) uint8
    ids: Tensor  # (B, T) int64, image tokens included
    labels: Tensor  # (B, T) the next token, IGNORE where none is asked for
    guide: Tensor  # (B, T, CELLS_PER_TOKEN) places of the vision tokens that hold its text, or -1
    spots: Tensor  # (B, T, 2) pixels across and down of the next token's first character, or -1
    # (N, 7) page, cell, pixels across and down in it, number in ALPHABET, what it starts, number before it
    letters: Tensor
    step: int
    tokens: Tensor | None = None  # (B, H, W, D) the encoder's, where it has seen the pages before
    read: Tensor | None = None  # (B, T) the tokens that the network chose when it last read the pages

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        return Batch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()})

    def misread(self, lengths: Tensor, own: float, others: float, generator: torch.Generator) -> Tensor:
        """The ids (B, T) with some wrong tokens among them: of those that were chosen when the batch was last
        read a share `own`, and for a share `others` those of other places. All have as many characters as the
        right ones: what is asked for next stays true."""
        asked, right = self.labels != IGNORE, self.labels.clamp(min=0)
        chances = torch.rand(2, *right.shape, generator=generator, device=right.device)
        order = torch.randperm(right.numel(), generator=generator, device=right.device)
        after = self.ids.roll(-1, 1)
        for said, share, chance in (
            (right.flatten()[order].view_as(right), others, chances[0]),
            (right if self.read is None else self.read, own, chances[1]),
        ):
            fits = asked & (lengths[said] == lengths[right])
            after = torch.where(fits & (chance < share), said, after)
        return torch.cat([self.ids[:, :1], after[:, :-1]], dim=1)


def starts(text: str, offset: int) -> int:
    """What the character at `offset` starts: a word, a paragraph, a heading, or nothing."""
    before = text[:offset][-4:]
    if before.endswith("\n\n# ") or (before == "# " and offset == 2):
        return HEADING
    if not before or before.endswith("\n"):
        return BLOCK
    return WORD if before.endswith(" ") else INSIDE


def letters_of(page: Drawn, number: int) -> np.ndarray:
    """(N, 7) rows of `Batch.letters` for one page."""
    columns = page.image.shape[1] // CELL
    what, x, y = page.chars.T
    x, y = x.clip(0, page.image.shape[1] - 1), y.clip(0, page.image.shape[0] - 1)
    start = np.array([starts(page.text, int(offset)) for offset in page.char_offsets], np.int32)
    cell = y // CELL * columns + x // CELL
    before = np.where(start.reshape(-1) == INSIDE, np.roll(what, 1), NONE)
    rows = (np.full_like(cell, number), cell, x % CELL, y % CELL, what, start.reshape(-1), before)
    return np.stack(rows, axis=1)


Row = tuple[list[int], list[int], list[list[int]], list[tuple[int, int]]]
Spots = dict[int, tuple[int, int]]  # offset in an answer -> pixels across and down


def answer_of(page: Drawn, boxes: bool) -> tuple[str, Spots, Spots]:
    """What a reader should write: the text, where each of its characters stands, and where what is not drawn
    has its place: breaks behind their lines, the end below the last, a heading's mark at its first character,
    and each character of a box's markup at the corner that it tells of: coordinates are told by the place
    that the decoder has in mind."""
    side = page.image.shape[0]
    places = page.chars[:, 1:].clip(0, side - 1).tolist()
    drawn = {int(offset): (x, y) for offset, (x, y) in zip(page.char_offsets, places, strict=True)}
    breaks = breaks_of(page, drawn)
    if not boxes:
        return page.text, drawn, breaks
    left, top, right, bottom = page.frame or (0, 0, side, side)
    written, spots, corners = "", {}, {}
    for start, end, (x0, y0, x1, y1) in page.blocks():
        kind = "title" if page.text.startswith("# ", start) else "text"
        box = Box(x0 - left, y0 - top, x1 - left, y1 - top)
        markup = reference(kind, box, right - left, bottom - top) + "\n"
        second = markup.index(", ", markup.index(", ") + 1)  # where the lower right corner begins
        for offset in range(len(markup)):
            x, y = (x0, y0) if offset < second else (x1, y1)
            corners[len(written) + offset] = (min(max(x, 0), side - 1), min(max(y, 0), side - 1))
        written += markup
        moved = len(written) - start
        spots |= {moved + offset: drawn[offset] for offset in range(start, end) if offset in drawn}
        corners |= {moved + offset: breaks[offset] for offset in range(start, end + 1) if offset in breaks}
        written += page.text[start:end] + "\n\n"
    return written.rstrip("\n"), spots, corners


def breaks_of(page: Drawn, drawn: Spots) -> Spots:
    """Where each line's break stands, behind its last character, and below the last line the text's end."""
    side = page.image.shape[0]
    found: Spots = {}
    above = None
    for start, end, (left, top, right, bottom) in page.lines:
        offsets = [offset for offset in range(start, end) if offset in drawn]
        found |= {offset: drawn[offsets[0]] for offset in range(start, offsets[0])}  # a heading's mark
        y = drawn[offsets[-1]][1]
        found[end] = (min(right + (bottom - top) // 4, side - 1), y)
        down = max(bottom - top, y - above if above is not None else 3 * (bottom - top) // 2)
        found[len(page.text)] = (min(max(left, 0), side - 1), min(y + down, side - 1))
        above = y
    return found


def row_of(
    page: Drawn,
    tokenizer: Tokenizer,
    prompt: str,
    boxes: bool = False,
    rng: np.random.Generator | None = None,
    split: float = 0.0,
) -> Row:
    """Ids, labels, guides and spots of one page, a share `split` of its tokens in two parts."""
    columns = page.image.shape[0] // CELL
    start = tokenizer.encode_prompt(PROMPTS[prompt], columns * (columns + 1) + 1)
    text, spot, corners = answer_of(page, boxes)
    encoded = tokenizer._inner.encode(text, add_special_tokens=False)
    parts = [(number, number, *at) for number, at in zip(encoded.ids, encoded.offsets, strict=True)]
    if rng is not None and split:
        parts = [
            part
            for whole in parts
            for part in (in_two(whole, text, tokenizer, rng) if rng.random() < split else [whole])
        ]
    ids, labels = [part[0] for part in parts], [part[1] for part in parts]
    cells, spots = [], []
    for _, _, first, last in parts:
        drawn = [spot[i] for i in range(first, last) if i in spot]
        found = dict.fromkeys(1 + y // CELL * (columns + 1) + x // CELL for x, y in drawn)
        cells.append(list(found)[:CELLS_PER_TOKEN])
        spots.append(drawn[0] if drawn else corners.get(first, (-1, -1)))
    silent = len(start) - 1
    return (
        [*start, *ids],
        [IGNORE] * silent + labels + [tokenizer.eos],
        [[] for _ in range(silent)] + cells + [[]],
        [(-1, -1)] * silent + spots + [corners.get(len(text), (-1, -1))],
    )


Part = tuple[int, int, int, int]  # a token, the label there, and where in the text it begins and ends


def in_two(whole: Part, text: str, tokenizer: Tokenizer, rng: np.random.Generator) -> list[Part]:
    """The token as two that write the same, if there are such: a reader that has begun a word with a shorter
    token than the tokenizer's has to go on from it. It is not asked to begin so."""
    token, _, first, last = whole
    if last - first < 2:
        return [whole]
    middle = int(rng.integers(first + 1, last))
    head, tail = (tokenizer.encode(text[a:b]) for a, b in ((first, middle), (middle, last)))
    if len(head) != 1 or len(tail) != 1 or text[first:last] != tokenizer.decode([token]):
        return [whole]
    return [(head[0], IGNORE, first, middle), (tail[0], tail[0], middle, last)]


@lru_cache(maxsize=8)
def faces(families: tuple[str, ...], styles: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of the installed faces of these families; of all families if none is named."""
    if not families:
        return installed_fonts()
    wanted = {(family, style) for family in families for style in styles}
    known = {path: Face(path) for path in installed_fonts()}
    found = tuple(path for path, face in known.items() if (face.family, face.style) in wanted)
    if not found:
        raise SystemExit(f"none of the families {', '.join(families)} is installed")
    return found


def draw_page(
    rng: np.random.Generator,
    source: TextSource,
    pages: Pages,
    side: int,
    sizes: tuple[float, float],
    short: bool,
) -> Drawn:
    """A page as full as its type allows, or with a few words."""
    height = width = side
    if side >= PADDED and pages.framed and rng.random() < pages.framed:
        height, width = oblong(rng, side)
    room = int(height * width / (CHARACTER * pages.leading[0] * sizes[0] ** 2)) + 20
    characters = int(rng.integers(4, 40)) if short else room
    text = source.sample(rng, max(4, characters), pages.made_up)
    if pages.numbers and rng.random() < pages.numbers:
        text = numbered(rng, text)
    text = mark_up(rng, text, headings=pages.headings, lists=0.0)
    page = draw(
        rng,
        text,
        height,
        width,
        sizes=sizes,
        fonts=faces(pages.families, pages.styles),
        leading=pages.leading,
        fill=(0.1, 1.0) if pages.partly and rng.random() < pages.partly else (1.0, 1.0),
        degrade=pages.degrade,
        breaks=pages.breaks,
    )
    return framed(page, side)


def oblong(rng: np.random.Generator, side: int) -> tuple[int, int]:
    """Height and width of an oblong page that fills a square one way, upright more often than not."""
    short = 2 * round(side * rng.uniform(0.25, 0.48))
    return (side, short) if rng.random() < 0.7 else (short, side)


def framed(page: Drawn, side: int) -> Drawn:
    """The page in the middle of a square, with grey beside it as the modes that pad have it."""
    height, width = page.image.shape
    if height == width == side:
        return page
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side), GREY[0], np.uint8)
    square[top : top + height, left : left + width] = page.image
    chars = page.chars.clip(0, [len(ALPHABET), width - 1, height - 1]) + [0, left, top]
    lines = [(a, b, (x + left, y + top, r + left, d + top)) for a, b, (x, y, r, d) in page.lines]
    frame = (left, top, left + width, top + height)
    return replace(page, image=square, chars=chars.astype(np.int32), lines=lines, frame=frame)


def make_batch(source: TextSource, tokenizer: Tokenizer, pages: Pages, seed: int, step: int) -> Batch:
    """Batch number `step`: a function of the arguments alone."""
    rng = np.random.default_rng((seed, step))
    drawn: list[Drawn] = []
    rows: list[Row] = []
    tokens = 0
    # Pages of much the same type in one batch have answers of much the same length: less is padding.
    shape = np.random.default_rng((seed, step // pages.alike, 0))
    side = int(shape.choice(pages.sides))
    size = math.exp(shape.uniform(*np.log(pages.sizes_on(side))))
    sizes, short = (size / 1.06, size * 1.06), bool(shape.random() < pages.short)
    most = min(pages.most, max(1, pages.patches * PATCH**2 // side**2))
    while tokens < pages.tokens and len(drawn) < most:
        page = draw_page(rng, source, pages, side, sizes, short)
        prompt = "markdown" if rng.random() < pages.markdown else "text"
        row = row_of(page, tokenizer, prompt, pages.boxes and prompt == "markdown", rng, pages.split)
        count = sum(label != IGNORE for label in row[1])
        if count <= pages.longest and len(page.chars):
            drawn.append(page)
            rows.append(row)
            tokens += count
    if not short:  # a few long answers would be padding for all others
        longest = 1.12 * float(np.median([len(row[0]) for row in rows]))
        kept = [i for i, row in enumerate(rows) if len(row[0]) <= longest]
        drawn, rows = [drawn[i] for i in kept], [rows[i] for i in kept]
    length = -(-max(len(row[0]) for row in rows) // 8) * 8
    ids = np.full((len(rows), length), tokenizer.eos, np.int64)
    labels = np.full((len(rows), length), IGNORE, np.int64)
    guide = np.full((len(rows), length, CELLS_PER_TOKEN), -1, np.int64)
    spots = np.full((len(rows), length, 2), -1, np.int64)
    for row, (row_ids, row_labels, row_guides, row_spots) in enumerate(rows):
        ids[row, : len(row_ids)] = row_ids
        labels[row, : len(row_labels)] = row_labels
        spots[row, : len(row_spots)] = row_spots
        for t, cells in enumerate(row_guides):
            guide[row, t, : len(cells)] = cells
    letters = np.concatenate([letters_of(page, number) for number, page in enumerate(drawn)])
    arrays = (
        np.stack([page.image for page in drawn]),
        ids,
        labels,
        guide,
        spots,
        letters.astype(np.int64),
    )
    return Batch(*(torch.from_numpy(array) for array in arrays), step=step)


def drawing_process(
    out: Any, pages: Pages, seed: int, corpus: str, cache: str, first: int, stride: int
) -> None:
    """Draws batches number first, first + stride, … until its parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    parent = os.getppid()
    source, tokenizer = TextSource(corpus, "train", cache), Tokenizer.load(ASSETS)
    step = first
    while os.getppid() == parent:
        batch = make_batch(source, tokenizer, pages, seed, step)
        step += stride
        while os.getppid() == parent:
            try:
                out.put(batch, timeout=5)
                break
            except queue.Full:
                continue
    os._exit(0)


def next_batch(batches: Any, artist: Any) -> Batch:
    """The next of an artist's batches; ends the run when the artist has died."""
    while True:
        try:
            batch: Batch = batches.get(timeout=30)
            return batch
        except queue.Empty:
            if not artist.is_alive():
                raise SystemExit("the drawing process died: see its message above") from None
