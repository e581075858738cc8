"""Memory of one process that makes many samples: it should not grow with their number.

    python benchmarks/data_memory.py --count 20000 --text ../shared/corpus/en.txt.xz

Each recipe is made in a process of its own. Resident memory is read after a tenth, a half and all of the
samples, and its peak at the end.
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
    marks = {count // 10, count // 2, count}
    began = time.process_time()
    for position in range(count):
        made += mixture.make(position).sample is not None
        if position + 1 in marks:
            sizes.append(process.memory_info().rss / 2**20)
    sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
    out.put((made, made / (time.process_time() - began), *sizes))


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
    print("recipe        samples  per CPU s  MiB at 10%   at 50%  at 100%   peak")
    context = mp.get_context("spawn")
    for recipe in recipes:
        out = context.Queue()
        process = context.Process(target=measure, args=(recipe, sources, options.count, out))
        process.start()
        made, speed, *sizes = out.get()
        process.join()
        row = "".join(f"{size:>{width}.0f}" for size, width in zip(sizes, (12, 9, 9, 7), strict=True))
        print(f"{recipe:<12}{made:>9}{speed:>11.1f}{row}", flush=True)


if __name__ == "__main__":
    main()
