"""Average two exported networks of one kind, weight by weight.

    python scripts/nano/average.py src/foveate/assets/nano runs/exported --out runs/average
    python scripts/nano/average.py … --share 0.3 --helps helps.safetensors runs/helps.safetensors

Networks that were trained on from the same weights, on different pages, read better together than each alone
("Model soups", arXiv 2203.05482). Their averages are a network of the same size.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

NAME = "model.safetensors"
HELPS = "helps.safetensors"


def average(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Every weight of the first, a `share` of it the second's; both have the same names and shapes."""
    if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in second.items()}:
        raise SystemExit("these are not two of one kind: their names or shapes differ")
    return {name: torch.lerp(a.float(), second[name].float(), share).to(a.dtype) for name, a in first.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path, help="folder of an exported network")
    parser.add_argument("second", type=Path, help="folder of another one")
    parser.add_argument("--out", type=Path, required=True, help="folder of the average")
    parser.add_argument("--share", type=float, default=0.5, help="the second's share, 0 to 1")
    parser.add_argument("--helps", type=Path, nargs=2, help="the files of their helps: averaged too")
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        parser.error(f"--share is {options.share}: choose 0 to 1")
    options.out.mkdir(parents=True, exist_ok=True)
    networks = [load_file(folder / NAME) for folder in (options.first, options.second)]
    save_file(average(*networks, options.share), options.out / NAME, metadata={"format": "pt"})
    if options.helps:
        save_file(average(*(load_file(path) for path in options.helps), options.share), options.out / HELPS)
    for settings in options.first.glob("*.json"):
        if not (options.out / settings.name).exists():
            shutil.copy(settings, options.out)


if __name__ == "__main__":
    main()
