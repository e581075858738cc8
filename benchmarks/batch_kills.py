"""Kills a batch again and again: what it gives must have the same bytes as if it had never been killed.

    python benchmarks/batch_kills.py --kills 20 ../shared/documents/pdf

Reads the inputs once without a stop, then again while SIGKILL comes at random moments, from the start of the
process on. Compares every file, counts every page, and looks for processes that were left behind.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from foveate.pages.source import count_pages, expand

MODE = ["--mode", "tiny", "--retries", "0", "--dpi", "72"]
AWAY = 10.0  # seconds that the processes of a killed batch may take to end


@dataclass(frozen=True)
class Whole:
    """A run without a stop."""

    until_first: float  # seconds from the start to the first page
    seconds: float


def command(inputs: list[str], out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "foveate", "batch", *inputs, "--out", str(out), *MODE, *more]


def run_whole(line: list[str]) -> Whole:
    """Runs to the end; the first line of progress tells when the first page was read."""
    began, first = time.monotonic(), 0.0
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        text = ""
        for text in process.stderr:  # noqa: B007 (the last one tells why it ended)
            first = first or time.monotonic() - began
    if process.returncode not in (0, 2):
        raise SystemExit(f"the batch ended with {process.returncode}: {text}")
    return Whole(first, time.monotonic() - began)


def kill_after(line: list[str], seconds: float) -> bool:
    """Starts the batch and kills it. Whether it had not ended before."""
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds)
            return False
        except subprocess.TimeoutExpired:
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, AWAY)
    if alive:
        raise SystemExit(f"{len(alive)} processes have outlived the batch")
    return True


def files(folder: Path) -> dict[str, bytes]:
    """Everything that the batch gave."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".batch" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def pages_of(inputs: list[str], out: Path, options: list[str]) -> list[tuple[str, int]]:
    """Document and number of every page, by writing what was read in another format."""
    subprocess.run(command(inputs, out, "--format", "parquet", *options), check=False, capture_output=True)
    table = pq.read_table(out / "documents", columns=["document", "page"])
    return list(zip(table["document"].to_pylist(), table["page"].to_pylist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", nargs="*", default=["../shared/documents/pdf"])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--max-tokens", default="16")
    parser.add_argument("--batch-size", default="4")
    options = parser.parse_args()
    work, dice = Path(tempfile.mkdtemp()), random.Random(options.seed)
    more = ["--max-tokens", options.max_tokens, "--batch-size", options.batch_size]
    more += ["--model", options.model]
    try:
        whole = run_whole(command(options.input, work / "whole", *more))
        print(f"uninterrupted: {whole.seconds:.0f} s, first page after {whole.until_first:.0f} s", flush=True)
        line = command(options.input, work / "killed", *more)
        # So short that all kills fit in, though reading goes on between them.
        longest = whole.until_first + (whole.seconds - whole.until_first) / options.kills
        kills, began = 0, time.monotonic()
        while kills < options.kills and kill_after(line, dice.uniform(0, longest)):
            kills += 1
            print(f"kill {kills} at {time.monotonic() - began:.0f} s", flush=True)
        run_whole(line)
        ours, theirs = files(work / "killed"), files(work / "whole")
        pages = pages_of(options.input, work / "killed", more)
        known = sum(count_pages(path) for path in expand(options.input))
        differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        print(f"kills {kills}, files {len(ours)}, bytes {sum(map(len, ours.values())):,}")
        print(f"files that differ {len(differing)} {differing[:5]}")
        print(f"pages {len(pages)}, in the documents {known}, twice {len(pages) - len(set(pages))}")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
