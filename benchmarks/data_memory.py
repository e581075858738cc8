"""Memory of one process that makes many samples: it should not grow with their number.

    python benchmarks/data_memory.py --count 20000 --text ../shared/corpus/en.txt.xz

Each recipe is made in a process of its own. Resident memory is read after every hundredth of the samples;
shown are the least and the most of each quarter. Caches fill and are emptied at their bounds, so it goes up
and down: what should not grow is its range.
"""

import argparse
import multiprocessing as mp
import resource
import time
from pathlib import Path
from typing import Any

import psutil

from foveate.data.recipes import Sources, plan

KINDS = ("charts", "chemistry", "geometry", "shapes")


def measure(recipe: str, sources: Sources, count: int, out: Any) -> None:
    """Makes the samples of one recipe and puts a row of the table."""
    mixture = plan(recipe, sources, count=count)
    process, sizes, made = psutil.Process(), [], 0
    every = max(1, count // 100)
    began = time.process_time()
    for position in range(count):
        made += mixture.make(position).sample is not None
        if (position + 1) % every == 0:
            sizes.append(process.memory_info().rss / 2**20)
    speed = made / (time.process_time() - began)
    out.put((made, speed, sizes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--recipes", nargs="+", help=f"default: {' '.join(KINDS)}, and rendered with --text")
    parser.add_argument("--text", type=Path, nargs="*", default=[])
    parser.add_argument("--pdfs", type=Path)
    options = parser.parse_args()
    sources = Sources(text=tuple(options.text), pdfs=options.pdfs)
    recipes = options.recipes or [*KINDS, *(["rendered"] if options.text else [])]
    print("recipe        samples  per CPU s  MiB in the 1st quarter        2nd        3rd        4th   peak")
    context = mp.get_context("spawn")
    for recipe in recipes:
        out = context.Queue()
        process = context.Process(target=measure, args=(recipe, sources, options.count, out))
        process.start()
        made, speed, sizes, peak = out.get()
        process.join()
        quarters = [sizes[len(sizes) * i // 4 : len(sizes) * (i + 1) // 4] for i in range(4)]
        row = "".join(
            f"{f'{min(part):.0f}-{max(part):.0f}':>{width}}"
            for part, width in zip(quarters, (24, 11, 11, 11), strict=True)
        )
        print(f"{recipe:<12}{made:>9}{speed:>11.1f}{row}{peak:>7.0f}", flush=True)


if __name__ == "__main__":
    main()
