"""Draw the curves of nano's training runs from their metrics.

    python scripts/nano/curves.py runs/sam runs/decoder runs/encoder runs/whole --out docs/training-log.svg

One panel for each run: shares (0 to 1) of what was right in single batches, smoothed over five entries.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

SHOWN = {
    "patch_right": "characters named from their patch",
    "name_right": "characters named from their vision token",
    "text_right": "next tokens",
    "spot_right": "place of the next token, to 8 pixels",
}


def entries(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics; where a run was gone back to a checkpoint, the later ones hold."""
    path = run / "metrics.jsonl"
    if not path.exists():
        raise SystemExit(f"{path}: no such file; name the folders of runs that have begun")
    found = {entry["step"]: entry for entry in map(json.loads, path.read_text().splitlines())}
    last = list(found.values())[-1]["step"]
    return [found[step] for step in sorted(found) if step <= last]


def smooth(values: np.ndarray, width: int = 5) -> np.ndarray:
    """Means over so many entries, fewer at the ends."""
    ones = np.ones(min(width, len(values)))
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    matplotlib.rcParams["svg.hashsalt"] = "nano"
    figure, axes = plt.subplots(
        1, len(options.runs), figsize=(4 * len(options.runs), 3.2), sharey=True, squeeze=False
    )
    for axis, run in zip(axes[0], options.runs, strict=True):
        rows = entries(run)
        for name, label in SHOWN.items():
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                steps, values = np.array(points).T
                line = axis.plot(steps, smooth(values), label=label)[0]
                axis.plot(steps, values, ".", color=line.get_color(), alpha=0.3, markersize=3)
        axis.set(title=run.name, xlabel="step", ylim=(0, 1))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower right")
    axes[0][0].set_ylabel("share right in a batch")
    figure.tight_layout()
    figure.savefig(options.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
