"""Charts, molecules and plane figures per second of one core, and the memory that they take in the long run.

Seconds are of the processor, all threads together, drawing and answer included, PNG encoding apart.
"""

import argparse
import gc
import time
from pathlib import Path

import psutil

from foveate.data.charts import ChartMaker
from foveate.data.chemistry import ChemistryMaker
from foveate.data.geometry import GeometryMaker
from foveate.data.sample import Maker, Sample

TARGETS = {"chart": 8, "chemistry": 60, "geometry": 300}  # samples per second and core


def measure(name: str, maker: Maker, count: int, seed: int) -> None:
    """Print a row: samples, pixels of one, seconds and memory before and after."""
    for number in range(20):  # libraries, fonts and Vega's engine
        maker.make(number, seed + 1)
    gc.collect()
    process = psutil.Process()
    before, pixels, made = process.memory_info().rss, 0, 0
    started = time.process_time()
    for number in range(count):
        sample = maker.make(number % maker.size if maker.size else number, seed)
        if isinstance(sample, Sample) and sample.image is not None:
            pixels += sample.image.width * sample.image.height
            made += 1
    seconds = time.process_time() - started
    gc.collect()
    after = process.memory_info().rss
    print(
        f"{name:22}  {made:7}  {(pixels / made) ** 0.5:6.0f}  {made / seconds:9.1f}  {TARGETS[maker.kind]:6}"
        f"  {before / 2**20:6.0f}  {after / 2**20:6.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="samples of each row (a few seconds' worth by default)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smiles", type=Path, help="a file of SMILES, for a row of its own")
    options = parser.parse_args()
    rows: list[tuple[str, Maker, int]] = [
        ("charts", ChartMaker(), 80),
        ("charts, matplotlib", ChartMaker(renderers=("matplotlib",)), 50),
        ("charts, vega", ChartMaker(renderers=("vega",)), 50),
        ("chemistry", ChemistryMaker(), 400),
        ("chemistry, reactions", ChemistryMaker(reactions=1), 200),
        ("geometry", GeometryMaker(), 2000),
    ]
    if options.smiles:
        rows.append(("chemistry, from a file", ChemistryMaker(smiles=options.smiles), 400))
    print("kind                    samples  side px  per CPU s  target  MiB before, after")
    for name, maker, count in rows:
        measure(name, maker, options.count or count, options.seed)


if __name__ == "__main__":
    main()
