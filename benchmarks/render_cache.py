"""Pages that are kept: how much faster a text is found than set, and what a style's pages hold in each mode.

    python benchmarks/render_cache.py TEXT [--tokenizer FILE] [--pages N]

TEXT is a long English text, plain or .xz. Times are CPU time and wall time of one process.
"""

from __future__ import annotations

import argparse
import lzma
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from foveate.pages.render import styles
from foveate.pages.render.cache import PageCache
from foveate.pages.text_tokens import counter, estimate

PAGE = 2600  # characters of a dense page of 640 x 640
MODES = ("tiny", "small", "base", "large")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def speeds(text: str, pages: int) -> None:
    style = styles.get("glyph-96dpi", "small")
    parts = [text[at : at + PAGE] for at in range(0, pages * PAGE, PAGE)]
    PageCache().render(text[-PAGE:], style)  # fonts are open
    with tempfile.TemporaryDirectory() as folder:
        cache = PageCache(folder=Path(folder))
        rows = [("set, encoded and kept", timed(lambda: [cache.render(part, style) for part in parts]))]
        rows.append(("found in memory", timed(lambda: [cache.render(part, style) for part in parts])))
        other = PageCache(folder=Path(folder))
        rows.append(("found in the folder", timed(lambda: [other.render(part, style) for part in parts])))
    assert cache.hits == len(parts) == other.folder_hits
    print(f"{'texts of ' + str(PAGE) + ' characters':<26}{'ms of CPU':>11}{'ms':>9}{'times as fast':>15}")
    for name, (cpu, wall) in rows:
        gain = rows[0][1][0] / cpu
        print(f"{name:<26}{1000 * cpu / pages:>11.3f}{1000 * wall / pages:>9.3f}{gain:>15.0f}")


def densities(text: str, count: Callable[[str], int]) -> None:
    print(f"\n{'style':<14}{'mode':<7}{'characters':>11}{'text tokens':>13}{'vision tokens':>15}{'ratio':>8}")
    for name in styles.STYLES:
        for mode in MODES:
            found = styles.density(name, mode, text, count)
            numbers = f"{found.characters:>11.0f}{found.text_tokens:>13.0f}{found.vision_tokens:>15}"
            print(f"{name:<14}{mode:<7}{numbers}{found.ratio:>8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokenizer", type=Path, help="that counts text tokens (default: an estimate)")
    parser.add_argument("--pages", type=int, default=100)
    options = parser.parse_args()
    with (lzma.open if options.text.suffix == ".xz" else open)(options.text, "rt", encoding="utf-8") as file:
        text = file.read(2_000_000)[-1_000_000:].replace("\f", "\n")
    speeds(text, options.pages)
    densities(text, counter(options.tokenizer) if options.tokenizer else estimate)


if __name__ == "__main__":
    main()
