"""Seconds and memory from typing `foveate read` to the text of one small page, with nothing loaded before."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

PAGE = Path(__file__).parents[1] / "src" / "foveate" / "assets" / "demo" / "page.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "foveate",
        "read",
        str(options.page),
        "--model",
        options.model,
        "--quiet",
    ]
    print("run  seconds  peak MiB")
    for run in range(1, options.times + 1):
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(process.returncode)
        print(f"{run:3d}  {seconds:7.2f}  {usage.ru_maxrss / 1024:8.0f}")


if __name__ == "__main__":
    main()
