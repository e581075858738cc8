"""Pages per second of one core: dense English of about 2,600 characters on 640 x 640 pixels, and other pages.

    python benchmarks/render_pages.py [--pages N] [--text ../shared/corpus/en.txt.xz]

CPU time, without opening fonts and without encoding PNGs. "first" are the first pages, which meet most glyphs
and words for the first time; "warm" those after them; "places" with the boxes of all words, lines and blocks.
The last row is Pillow's own drawing of the same lines at the places already known. These are the best
stretches of ten pages. With a text of the user's, the mean over as many pages of it, and over four times as
many after them, none seen before.
"""

from __future__ import annotations

import argparse
import lzma
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from foveate.pages.render import RenderedPage, Style, fonts, render

SYLLABLES = ("ra", "ten", "mor", "li", "con", "ver", "sa", "der", "tion", "al", "pre", "ment", "es", "ti")
WORDS = 20_000
STRETCH = 10  # pages
DENSE = Style(margins=(20, 20, 20, 20), size=13, leading=1.17, align="justified", paragraph_gap=0.3)


def english(rng: np.random.Generator, characters: int) -> str:
    """Made-up text with what matters here: the lengths of English words, and how often the rare ones come."""
    ends = ("", "", "", "", "", "", ",", ".")
    words: list[str] = []
    length = 0
    while length < characters:
        rank = int(WORDS ** rng.random())  # Zipf's law
        own = np.random.default_rng(rank)
        word = "".join(own.choice(SYLLABLES, 1 + int(own.integers(3) * (rank > 60))).tolist())
        word += ends[int(rng.integers(8))] + ("\n" if rng.random() < 0.012 else "")
        words.append(word)
        length += len(word) + 1
    return " ".join(words).replace("\n ", "\n")[:characters].rstrip()


def chinese(rng: np.random.Generator, characters: int) -> str:
    """Characters by rank, with a full stop now and then."""
    ranks = np.minimum(rng.zipf(1.2, characters), 3000)
    text = "".join(chr(0x4E00 + 6 * rank) for rank in ranks.tolist())
    return "。".join(text[at : at + 19] for at in range(0, len(text), 20))


def seconds(texts: list[str], make: Callable[[str], object]) -> float:
    """CPU seconds a page, in the best of several stretches: other work on the machine slows the rest."""
    best = float("inf")
    for at in range(0, len(texts) - STRETCH + 1, STRETCH):
        began = time.process_time()
        for text in texts[at : at + STRETCH]:
            make(text)
        best = min(best, (time.process_time() - began) / STRETCH)
    return best


def places(page: RenderedPage) -> int:
    return len(page.words) + len(page.lines) + len(page.blocks)


def by_pillow(pages: list[RenderedPage], size: float) -> Callable[[str], object]:
    """The same lines at the same places by ImageDraw.text."""
    path = next(font.path for font in fonts.families()[DENSE.fonts[0]] if not (font.bold or font.italic))
    font = ImageFont.truetype(path, size)
    left = iter(pages)

    def draw(_: str) -> Image.Image:
        page = next(left)
        image = Image.new("L", page.image.size, 255)
        pen = ImageDraw.Draw(image)
        for line in page.lines:
            pen.text((line.box.x0, line.box.y0), line.text, font=font, fill=0)
        return image

    return draw


def rows(count: int) -> Iterator[tuple[str, int, float, float, float]]:
    """(what, characters a page, seconds cold, seconds, seconds with places)"""
    rng = np.random.default_rng(0)
    dense = [english(rng, 2600) for _ in range(count)]
    cases = [
        ("dense English, 640 x 640", dense, DENSE),
        ("the same in RGB", dense, Style(**{**vars(DENSE), "ink": (20, 20, 90)})),
        ("English, 1024 x 1448, 3 columns", [english(rng, 5200) for _ in range(count // 2)],
         Style(width=1024, height=1448, columns=3, size=16)),
        ("Chinese, 640 x 640", [chinese(rng, 1200) for _ in range(count // 2)],
         Style(size=16, language="zh", fonts=("Noto Sans CJK SC",))),
    ]  # fmt: skip
    for name, texts, style in cases:
        first, *_ = (render(text, style, limit=1)[0] for text in texts[:1])
        cold = seconds(texts[: count // 5], lambda text, style=style: render(text, style, limit=1))
        rest = texts[count // 5 :]
        plain = seconds(rest, lambda text, style=style: render(text, style, limit=1))
        placed = seconds(rest, lambda text, style=style: places(render(text, style, limit=1)[0]))
        yield name, len(first.text), cold, plain, placed
    pages = [render(text, DENSE, limit=1)[0] for text in dense[: count // 5]]
    for page in pages:
        places(page)
    pillow = seconds(dense[: count // 5], by_pillow(pages, DENSE.size))
    yield "Pillow alone, dense English", len(pages[0].text), pillow, pillow, pillow


def unseen(path: Path, count: int) -> tuple[float, float]:
    """CPU seconds a page of the first pages from random places of a text, and of those after them."""
    with (lzma.open if path.suffix == ".xz" else open)(path, "rt", encoding="utf-8") as file:
        text = " ".join(file.read(40_000_000).split())
    rng = np.random.default_rng(0)
    starts = rng.integers(len(text) - 2600, size=5 * count).tolist()
    taken = []
    for part in (starts[:count], starts[count:]):
        began = time.process_time()
        for start in part:
            render(text[start : start + 2600], DENSE, limit=1)
        taken.append((time.process_time() - began) / len(part))
    return taken[0], taken[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=150)
    parser.add_argument("--text", type=Path, help="a long English text, plain or .xz")
    options = parser.parse_args()
    fonts.families()
    print(f"{'pages per second of a core':<34}{'characters':>11}{'first':>8}{'warm':>8}{'places':>8}")
    for name, characters, *times in rows(options.pages):
        print(f"{name:<34}{characters:>11}" + "".join(f"{1 / each:>8.0f}" for each in times))
    if options.text:
        first, mean = unseen(options.text, options.pages)
        print(f"{'pages of ' + options.text.name + ', mean':<34}{2600:>11}{1 / first:>8.0f}{1 / mean:>8.0f}")


if __name__ == "__main__":
    main()
