"""Ten million tokens in one optical memory: what adding, reading, finding and fading take as it grows.

    python benchmarks/memory_scale.py --tokens 10_000_000 --text ../shared/corpus/en.txt.xz
    python benchmarks/memory_scale.py --tokens 200_000 --real 200_000                            # a glance

No network reads: a scripted reader says of each page the text that was set on it, with every fiftieth word
misread, because a real reader would take days for so much. So "index" is what the index costs, not reading.

Nor is all of it drawn: before each row `--real` tokens are added as a user would add them (set on pages, PNG,
files, each change synced to disk), and those are what "append" and "index" measure. The rest comes in as
pages that all have one and the same picture, many in a change, with token counts guessed from the characters,
but with rows and readings of their own, which is what queries and sizes depend on. `--real` as large as
`--tokens` draws everything. Text is a corpus, or made-up words with English lengths and frequencies. Times of
queries are medians of CPU time.
"""

from __future__ import annotations

import argparse
import lzma
import random
import shutil
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from render_pages import english

from foveate.document import Block, Page
from foveate.memory import OpticalMemory, find
from foveate.memory.change import Change
from foveate.memory.paging import Draft, draft_of
from foveate.pages.image import PageImage
from foveate.pages.render import Style

STYLE = Style(margins=(12, 12, 12, 12), size=12, leading=1.15, paragraph_gap=0.2)
TURN = 24_000  # characters that are added at once
PAGE = 2900  # characters of a page that is not drawn: as many as a drawn one has, about
CHARACTERS = 3.6  # of a token, there
TIMES = 15  # a query is repeated


class Scripted:
    """Says what stands on the pages that come, in their order."""

    def __init__(self) -> None:
        self.texts: deque[str] = deque()
        self._dice = random.Random(0)

    def read_pages(self, images: Iterator[PageImage], options: Any) -> Iterator[tuple[PageImage, Page]]:
        for image in images:
            text = self.read(self.texts.popleft() if self.texts else "")
            size = image.image.size
            yield image, Page(image.number, *size, (Block("text", text),), mode=options.mode, confidence=0.9)

    def read(self, text: str) -> str:
        """The text with every fiftieth word misread, by chance."""
        words = text.split(" ")
        return " ".join(self._misread(word) if self._dice.random() < 0.02 else word for word in words)

    def _misread(self, word: str) -> str:
        place = self._dice.randrange(len(word)) if word else 0
        return word[:place] + self._dice.choice("ecosar") + word[place + 1 :]


def texts(path: Path | None) -> Iterator[str]:
    """Stretches of text without an end."""
    if path is None:
        number = 0
        while True:
            yield english(np.random.default_rng(number), TURN)
            number += 1
    while True:
        opened = lzma.open if path.suffix == ".xz" else open
        with opened(path, "rt", encoding="utf-8") as file:
            while text := file.read(TURN):
                yield text.replace("\f", "\n")


def queries(words: list[str]) -> dict[str, str]:
    """Kinds of questions, in words of the text."""
    counts: dict[str, int] = {}
    for word in words:
        if word.isascii() and word.isalpha():
            counts[word.lower()] = counts.get(word.lower(), 0) + 1
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    rare = next(word for word in reversed(ranked) if len(word) > 7)
    medium = [word for word in ranked[200:400] if len(word) > 4]
    return {
        "frequent": ranked[0],
        "rare": rare,
        "three words": f"{ranked[3]} {medium[0]} {medium[1]}",
        "rare and frequent": f"{ranked[0]} {rare}",
        "misspelt": rare[:3] + "x" + rare[4:],
        "absent": "qzxwvkj",
    }


def median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return 1000 * statistics.median(times)


def fill(memory: OpticalMemory, scripted: Scripted, source: Iterator[str], upto: int) -> None:
    """Pages with their readings and one and the same picture, until there are about so many tokens."""
    blank = draft_of(Image.new("L", (STYLE.width, STYLE.height), "white"), "small")
    tokens = memory.sizes().text_tokens
    while tokens < upto:
        with memory.changing() as change:
            for _ in range(8):
                tokens += _fill_entry(change, scripted, next(source), blank)
                if tokens >= upto:
                    break


def _fill_entry(change: Change, scripted: Scripted, text: str, blank: Draft) -> int:
    number = change.begin_entry(("turn", "user", "", 0.0, None, len(text.encode())))
    total = 0
    for page, at in enumerate(range(0, len(text), PAGE), 1):
        piece = text[at : at + PAGE]
        count = round(len(piece) / CHARACTERS)
        draft = replace(blank, span=(at, at + len(piece)), text=piece, text_tokens=count)
        change.add_page(number, page, draft, False, True)
        sheet = change.connection.execute("SELECT max(id) FROM sheets").fetchone()[0]
        read = scripted.read(piece)
        find.add(change.connection, sheet, read)
        change.connection.execute("INSERT INTO readings VALUES (?, ?, 0.9, ?, 'end')", (sheet, read, count))
        change.connection.execute("UPDATE sheets SET read = 1 WHERE id = ?", (sheet,))
        total += count
    change.connection.execute("UPDATE entries SET whole = 1 WHERE id = ?", (number,))
    return total


def grow(memory: OpticalMemory, scripted: Scripted, source: Iterator[str], upto: int) -> dict[str, float]:
    """Adds text and its reading until so many tokens are there. Seconds of CPU and wall."""
    tokens = memory.sizes().text_tokens
    start = tokens
    added, wall, read, pages = 0.0, 0.0, 0.0, 0
    while tokens < upto:
        text = next(source)
        began, clock = time.process_time(), time.perf_counter()
        entry = memory.append(text)
        added, wall = added + time.process_time() - began, wall + time.perf_counter() - clock
        scripted.texts.extend(page.text or "" for page in memory.pages(entry.number))
        began = time.process_time()
        memory.read_pending(entry=entry.number)
        read += time.process_time() - began
        tokens, pages = tokens + entry.text_tokens, pages + entry.pages
    thousands = max(1, tokens - start) / 1000
    return {
        "tokens": tokens,
        "append_cpu": 1000 * added / thousands,
        "append_wall": 1000 * wall / thousands,
        "index_cpu": 1000 * read / thousands,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--real", type=int, default=20_000, help="tokens that are drawn before each row")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--store", type=Path, help="kept; a temporary one is deleted")
    parser.add_argument("--fade", default="", help="in the end, by this schedule")
    options = parser.parse_args()
    folder = options.store or Path(tempfile.mkdtemp(prefix="foveate-memory-"))
    scripted = Scripted()
    with OpticalMemory(folder, scripted, style=STYLE, index="later") as memory:
        measure(memory, scripted, options)
    if options.store is None:
        shutil.rmtree(folder)


def measure(memory: OpticalMemory, scripted: Scripted, options: argparse.Namespace) -> None:
    source = texts(options.text)
    marks = [options.tokens // 100, options.tokens // 30, options.tokens // 10, options.tokens // 3]
    asked: dict[str, str] = {}
    for mark in (*marks, options.tokens):
        fill(memory, scripted, source, mark - options.real)
        row = grow(memory, scripted, source, mark)
        if not asked:
            first = memory.context(30_000, form="text").pieces
            asked = queries(" ".join(piece.text or "" for piece in first).split())
            print("find:", ", ".join(f"{kind} {query!r}" for kind, query in asked.items()), "\n")
            heads = ["tokens", "sheets", "append ms/1k (CPU)", "(wall)", "index ms/1k (CPU)"]
            heads += [f"find {kind} ms" for kind in asked] + [
                "context 100k ms",
                "RSS MiB",
                "index MB",
                "PNG MB",
            ]
            print("| " + " | ".join(heads) + " |")
            print("|" + "---:|" * len(heads))
        sizes = memory.sizes()
        cells = [f"{row['tokens']:,.0f}", f"{sizes.pages:,}"]
        cells += [f"{row[name]:.0f}" for name in ("append_cpu", "append_wall", "index_cpu")]
        cells += [f"{median_ms(lambda q=q: memory.find(q)):.2f}" for q in asked.values()]
        cells += [f"{median_ms(lambda: memory.context(100_000, form='images')):.0f}"]
        cells += [f"{psutil.Process().memory_info().rss / 2**20:.0f}"]
        cells += [f"{sizes.index_bytes / 1e6:.0f}", f"{sizes.image_bytes / 1e6:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
    began = time.perf_counter()
    wrong = memory.check()
    print(f"\ncheck: {len(wrong)} problems, {time.perf_counter() - began:.1f} s")
    sizes = memory.sizes()
    print(f"ratio {sizes.ratio:.1f}; {sizes.bytes / sizes.text_bytes:.1f} bytes for each byte of text")
    if options.fade:
        began, clock = time.process_time(), time.perf_counter()
        report = memory.fade(options.fade, read=False)
        cpu, wall = time.process_time() - began, time.perf_counter() - clock
        print(f"fade {options.fade}: {report}; {cpu:.0f} s CPU, {wall:.0f} s wall")


if __name__ == "__main__":
    main()
