"""A held-out book in an optical memory: what is recalled as it fades, and what else the tokens could buy.

    python benchmarks/memory_book.py --pages 6                              # minutes, with nano
    python benchmarks/memory_book.py --pages 40 --model runs/better --size 20 --out runs/memory
    python benchmarks/memory_book.py --reader tesseract --size 14           # another program reads the pages

Books are chosen as `scripts/nano/text.py` does: training never saw them. Each page is recalled at every
level: precision is 1 - edit distance / length of the longer text, the mean of the pages; a stretch of white
space counts as one space.

Baselines at the vision tokens of the same level: truncation keeps as many text tokens of the book's end, and
loses the rest; pooled embeddings are the text's own token embeddings, averaged to as many vectors and put in
the place of the vision tokens (for our networks alone, which were not trained for it); plain text keeps all.

Needles: sentences with a code at 10 depths of books of 3 lengths. A question names the place and is answered
if `find` gives the right page and its recalled text holds the code.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from foveate.document import Block, Page
from foveate.memory import OpticalMemory
from foveate.pages.image import PageImage
from foveate.pages.render import Style

ROOT = Path(__file__).parents[1]
LEVELS = ("base", "small", "tiny", "keywords")
DEPTHS = 10
PLACES = ("harbour", "library", "orchard", "station", "chapel", "mill", "bridge", "market", "tower", "garden")


class Program:
    """A reader of `foveate.evaluation` for a memory: no network of ours, no vision tokens."""

    def __init__(self, name: str) -> None:
        from foveate.evaluation.readers import get_reader

        self._reader = get_reader(name)

    def read_pages(self, images: Iterator[PageImage], options: Any) -> Iterator[tuple[PageImage, Page]]:
        for image in images:
            text = self._reader.read(image.image).text
            yield image, Page(image.number, *image.image.size, (Block("text", text),), text, options.mode)


def plain(text: str) -> str:
    return " ".join(text.split())


def similarity(truth: str, read: str) -> float:
    from rapidfuzz.distance import Levenshtein

    return 1 - float(Levenshtein.normalized_distance(plain(truth), plain(read)))


def held_out(corpus: Path, number: int) -> str:
    """A book of the held-out split, from its first chapter on."""
    sys.path.insert(0, str(ROOT / "scripts" / "nano"))
    from text import TextSource

    book = TextSource(corpus, "heldout").book(number)
    return book[len(book) // 10 :]


def first_pages(text: str, style: Style, count: int) -> str:
    """As much of the text as fills so many pages."""
    from foveate.memory.paging import text_pages

    ends = [after for _, after in islice(text_pages(text[: count * 20_000], style), count)]
    return text[: ends[-1]]


def by_level(memory: OpticalMemory, texts: Sequence[str]) -> Iterator[tuple[str, int, list[float]]]:
    """(level, tokens of the whole book, precision of each page) as all of it fades together."""
    for level in LEVELS:
        memory.fade(f"{level}@0p")
        found = {page: part for part in memory.recall(turn=1) for page in part.pages}
        scores = [similarity(text, found[number].text) for number, text in enumerate(texts, 1)]
        yield level, memory.sizes().tokens, scores


def truncated(memory: OpticalMemory, texts: Sequence[str], budget: int) -> list[float]:
    """Precision of each page when only the last `budget` text tokens are kept, word for word."""
    scores: list[float] = []
    for text in reversed(texts):
        words, kept = text.split(), ""
        for start in range(len(words)):
            piece = " ".join(words[start:])
            if memory.count_tokens(piece) <= budget:
                kept = piece
                break
        budget = max(0, budget - memory.count_tokens(kept)) if kept == " ".join(words) else 0
        scores.append(similarity(text, kept))
    return scores[::-1]


def pooled(reader: Any, texts: Sequence[str], mode: str, side: int) -> list[float]:
    """Precision of each page read from averages of its own tokens' embeddings."""
    import torch

    from foveate.engine.reader import Options
    from foveate.memory import vision
    from foveate.pages.mode import get_mode

    layout = get_mode(mode).layout(side, side)
    places = layout.sequence_length

    def ready() -> Iterator[vision.Ready]:
        for number, text in enumerate(texts):
            ids = torch.tensor(reader.tokenizer.encode(text), device=reader.model.device)
            with torch.inference_mode():
                vectors = reader.model.decoder.embed_tokens(ids)  # (T, D)
            ends = [max(1, (k + 1) * len(ids) // places) for k in range(places)]
            starts = [min(k * len(ids) // places, end - 1) for k, end in enumerate(ends)]
            mean = [vectors[start:end].mean(0) for start, end in zip(starts, ends, strict=True)]
            yield vision.Ready(number, torch.stack(mean), mode, side, side)

    options = Options(mode=mode, prompt="text", max_tokens=2 * max(map(len, texts)) // 3 + 20)
    found = {number: page.text() for number, page in vision.read(reader, ready(), options)}
    return [similarity(text, found[number]) for number, text in enumerate(texts)]


def with_needles(text: str, count: int) -> tuple[str, list[tuple[str, str, int]]]:
    """The text with sentences at equal depths, and (place, code, where it stands) of each."""
    sentences = re.split(r"(?<=[.!?])\s+", text)
    needles = []
    for k in reversed(range(count)):
        at = round((k + 0.5) / count * len(sentences))
        code = str(4096 + 577 * k)
        sentences.insert(at, f"The code of the {PLACES[k]} is {code}.")
        needles.append((PLACES[k], code))
    whole = " ".join(sentences)
    return whole, [(place, code, whole.index(f"of the {place} is {code}")) for place, code in needles[::-1]]


def ask(memory: OpticalMemory, needles: Sequence[tuple[str, str, int]]) -> tuple[int, int]:
    """Needles that are found on the right page, and those that are answered from what is recalled of it."""
    found = answered = 0
    for place, code, at in needles:
        right = [p.number for p in memory.pages(1) if p.span and p.span[0] <= at < p.span[1]]
        hits = memory.find(f"code {place}", limit=1)
        if hits and set(hits[0].pages) & set(right):
            found += 1
            recalled = memory.recall(page=hits[0].pages[0], from_index=True)
            answered += code in recalled[0].text
    return found, answered


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def draw(path: Path, curves: dict[str, list[float]], aged: Sequence[tuple[int, str, float]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    for level, scores in curves.items():
        left.plot([level], [mean(scores)], "o")
    left.plot(list(curves), [mean(scores) for scores in curves.values()], "-", color="grey", zorder=0)
    left.set(title="All pages, as they fade together", ylabel="precision", ylim=(0, 1.02))
    for level in LEVELS:
        points = [(age, score) for age, at, score in aged if at == level]
        if points:
            right.plot(*zip(*points, strict=True), "o-", label=level)
    right.set(title="One book, old pages fainter", xlabel="age in pages", ylim=(0, 1.02))
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def open_memory(folder: Path, reader: Any, style: Style, vision: str) -> OpticalMemory:
    return OpticalMemory(folder, reader, style=style, vision=vision, keep_text="always", mode="base")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=6)
    parser.add_argument("--book", type=int, default=0)
    parser.add_argument("--corpus", type=Path, default=ROOT.parent / "shared" / "corpus")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--reader", help="another program of foveate eval, such as tesseract")
    parser.add_argument("--size", type=float, default=26.0, help="of the type, pixels on a page of 1024")
    parser.add_argument("--vision", choices=("bf16", "int8"), default="int8")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder of memory_book.png")
    parser.add_argument("--no-needles", action="store_true")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="foveate-book-"))
    try:
        report(options, work)
    finally:
        shutil.rmtree(work)


def report(options: argparse.Namespace, work: Path) -> None:
    style = Style(width=1024, height=1024, size=options.size, margins=(24, 24, 24, 24))
    if options.reader:
        reader: Any = Program(options.reader)
        vision = "none"
    else:
        from foveate import Reader

        reader, vision = Reader.load(options.model), options.vision
    book = first_pages(held_out(options.corpus, options.book), style, options.pages)
    name = options.reader or options.model
    with open_memory(work / "levels", reader, style, vision) as memory:
        memory.append(book)
        texts = [page.text or "" for page in memory.pages()]
        tokens = sum(page.text_tokens for page in memory.pages())
        print(f"{name}: held-out book {options.book}, {len(texts)} pages of 1024 x 1024, {options.size:g} px")
        print(f"{tokens:,} text tokens; {memory.sizes().text_bytes:,} bytes of text\n")
        loss = memory.sizes().vision_loss
        print("| kept as | tokens | ratio | precision | truncation | pooled embeddings | plain text |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        curves: dict[str, list[float]] = {}
        for level, cost, scores in by_level(memory, texts):
            curves[level] = scores
            cells = [level, f"{cost:,}", f"{tokens / cost:.1f}" if cost else "-", f"{mean(scores):.3f}"]
            cells.append(f"{mean(truncated(memory, texts, cost)):.3f}")
            can_pool = vision != "none" and level != "keywords"
            cells.append(f"{mean(pooled(reader, texts, level, 1024)):.3f}" if can_pool else "-")
            print("| " + " | ".join([*cells, f"1 at {tokens:,}"]) + " |", flush=True)
    if loss is not None:
        print(f"\nvision tokens kept as {vision}: relative error {loss:.4f}")
    aged = by_age(work / "ages", reader, style, vision, book)
    options.out.mkdir(parents=True, exist_ok=True)
    draw(options.out / "memory_book.png", curves, aged)
    if not options.no_needles:
        needles(work, reader, style, vision, options)


def by_age(folder: Path, reader: Any, style: Style, vision: str, book: str) -> list[tuple[int, str, float]]:
    """(age in pages, level, precision) of each page of one book whose old pages are fainter."""
    rows = []
    with open_memory(folder, reader, style, vision) as memory:
        memory.append(book)
        texts = {page.number: page.text or "" for page in memory.pages()}
        quarter = max(1, len(texts) // 4)
        memory.fade(f"small@{quarter}p,tiny@{2 * quarter}p,keywords@{3 * quarter}p")
        for part in memory.recall(turn=1):
            number = part.pages[0]
            rows.append((len(texts) - number, part.mode, similarity(texts[number], part.text)))
        account = memory.context(10**9, form="images").account
    print("\n| age, pages | level | precision |\n|---:|---|---:|")
    for age, level, score in sorted(rows):
        print(f"| {age} | {level} | {score:.3f} |")
    print(
        f"\nas a context: {account['text_tokens']:,} text tokens as {account['tokens']:,}: "
        f"{account['tokens_by_kind']}"
    )
    return sorted(rows)


def needles(work: Path, reader: Any, style: Style, vision: str, options: argparse.Namespace) -> None:
    text = held_out(options.corpus, options.book + 1)
    print("\n| pages | kept as | tokens | needles found | answered | kept by truncation |")
    print("|---:|---|---:|---:|---:|---:|")
    for pages in sorted({max(1, options.pages // 4), max(2, options.pages // 2), options.pages}):
        book, planted = with_needles(first_pages(text, style, pages), DEPTHS)
        with open_memory(work / f"needles-{pages}", reader, style, vision) as memory:
            memory.append(book)
            texts = [page.text or "" for page in memory.pages()]
            for level in ("base", "small", "tiny"):
                memory.fade(f"{level}@0p")
                cost = memory.sizes().tokens
                kept = tail(memory, book, cost)
                shown = sum(f"of the {place} is {code}" in kept for place, code, _ in planted)
                found, answered = ask(memory, planted)
                row = [
                    f"{len(texts)}",
                    level,
                    f"{cost:,}",
                    *(f"{n}/{DEPTHS}" for n in (found, answered, shown)),
                ]
                print("| " + " | ".join(row) + " |", flush=True)


def tail(memory: OpticalMemory, text: str, budget: int) -> str:
    """The last `budget` text tokens."""
    ids = memory.tokenizer.encode(text)
    return memory.tokenizer.decode(ids[-budget:]) if budget else ""


if __name__ == "__main__":
    main()
