"""Measure how `nano` reads pages of text that it never saw.

    python scripts/nano/measure.py --model src/foveate/assets/nano --pages 100

Pages are drawn from held-out books, as `draw.py` draws them, one type size after the other, and read by
`Reader`. Character error rate: edit distance over the length of the text that was drawn. Boxes (with
`--prompt markdown`): intersection over union of each drawn paragraph's box and the nearest one that was read,
0 where there is none.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from draw import Drawn, draw
from PIL import Image
from rapidfuzz.distance import Levenshtein
from text import TextSource

from foveate import Reader
from foveate.document import Box, Page

BANDS = ((20, 24), (24, 30), (30, 38))  # type sizes in pixels of the em


def drawn_pages(source: TextSource, seed: int, count: int, side: int, sizes: tuple[int, int]) -> list[Drawn]:
    """Pages of prose, as full as the type allows."""
    pages = []
    for index in range(count):
        rng = np.random.default_rng((seed, side, *sizes, index))
        text = source.prose(rng, 1200 if side <= 640 else 3600)
        pages.append(draw(rng, text, side, side, sizes=sizes, headings=0.0, lists=0.0))
    return pages


def read(reader: Reader, page: Drawn, prompt: str) -> Page:
    image = Image.fromarray(page.image).convert("RGB")
    mode = "tiny" if image.width <= 512 else "small" if image.width <= 640 else "base"
    return reader.read(image, mode=mode, prompt=prompt, retries=0).pages[0]


def error_rate(read_text: str, drawn_text: str) -> float:
    words, truth = (" ".join(text.split()) for text in (read_text, drawn_text))
    return Levenshtein.distance(words, truth) / max(1, len(truth))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box.x1 - box.x0) * (box.y1 - box.y0) for box in (one, other)]
    return shared / max(sum(areas) - shared, 1e-9)


def boxes_right(read_page: Page, page: Drawn) -> float:
    """How well boxes that were read fit those of the drawn paragraphs, each with the nearest, 0 to 1."""
    found = [box for block in read_page.blocks for box in block.boxes]
    drawn = [Box(*box) for _, _, box in page.blocks()]
    return float(np.mean([max((overlap(box, other) for other in found), default=0.0) for box in drawn]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nano")
    parser.add_argument("--corpus", default="../shared/corpus")
    parser.add_argument("--cache", default="runs/cache", help="folder for the unpacked text")
    parser.add_argument("--pages", type=int, default=50, help="for each side and type size")
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 640])
    parser.add_argument("--prompt", default="text", choices=["text", "markdown"])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--show", type=int, default=0, help="print so many readings beside what was drawn")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    source = TextSource(options.corpus, "heldout", options.cache)
    reader = Reader.load(options.model)
    rows = []
    print(
        "side  type px  pages  chars/page  CER mean  CER median  pages under 3%  confidence  chars/s  boxes"
    )
    for side in options.sides:
        for sizes in BANDS:
            pages = drawn_pages(source, options.seed, options.pages, side, sizes)
            began = time.perf_counter()
            readings = [read(reader, page, options.prompt) for page in pages]
            seconds = time.perf_counter() - began
            texts = [reading.text() if options.prompt == "markdown" else reading.raw for reading in readings]
            pairs = zip(texts, pages, strict=True)
            rates = np.array([error_rate(text, page.text) for text, page in pairs])
            length = float(np.mean([len(page.text) for page in pages]))
            sure = float(np.mean([reading.confidence or 0.0 for reading in readings]))
            row = {
                "side": side,
                "type": sizes,
                "pages": len(pages),
                "characters": length,
                "mean": float(rates.mean()),
                "median": float(np.median(rates)),
                "under": float((rates < 0.03).mean()),
                "confidence": sure,
                "speed": length * len(pages) / seconds,
            }
            if options.prompt == "markdown":
                fits = [boxes_right(*pair) for pair in zip(readings, pages, strict=True)]
                row["boxes"] = float(np.mean(fits))
            rows.append(row)
            print(
                f"{side:4d}  {sizes[0]:3d}-{sizes[1]:<3d}  {len(pages):5d}  {length:10.0f}  "
                f"{row['mean']:8.2%}  {row['median']:10.2%}  {row['under']:14.0%}  {sure:10.3f}  "
                f"{row['speed']:7.0f}  " + (f"{row['boxes']:5.3f}" if "boxes" in row else "    -"),
                flush=True,
            )
            for text, page in list(zip(texts, pages, strict=True))[: options.show]:
                print(f"    drawn  {page.text[:150]!r}\n    read   {text[:150]!r}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
