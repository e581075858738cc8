"""How much memory loading a checkpoint takes, against the checkpoint's size.

Writes a network of the released sizes with random weights, in bf16, loads it in a fresh process and prints
the peak of that process's resident memory (VmHWM, in which mapped pages of files count) less what it held
before, which is mostly PyTorch. By default with few layers and experts, about 2 GB; `--full` takes 6.7 GB of
disk and 7 GB of memory.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from foveate.config import OCRConfig
from foveate.model.ocr import OCR
from foveate.model.weights import save

LOADING = """
import json, sys, time
from pathlib import Path
import torch
from foveate.model import weights

def memory(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before, started = memory("VmRSS"), time.perf_counter()
dtype = getattr(torch, sys.argv[2]) if sys.argv[2] else None
model = weights.load(Path(sys.argv[1]), dtype=dtype)
peak, seconds = memory("VmHWM") - before, time.perf_counter() - started
print(json.dumps({"before": before, "peak": peak, "seconds": seconds}))
"""


@dataclass(frozen=True)
class Measured:
    """One loading, in a process of its own."""

    before: int  # bytes resident before
    peak: int  # bytes resident at most, less those before
    seconds: float


def make(config: OCRConfig, folder: Path, shard_bytes: int) -> int:
    """Writes a random checkpoint of these sizes in bf16. Returns its bytes.

    A parameter is one random row that all rows share, so that writing takes hardly any memory.
    """
    with torch.device("meta"):
        model = OCR(config)
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            row = torch.randn(parameter.shape[-1], dtype=torch.bfloat16).expand(parameter.shape)
            setattr(module, name, nn.Parameter(row, requires_grad=False))
    return sum(file.stat().st_size for file in save(model, folder, shard_bytes))


def measure(folder: Path, dtype: str = "") -> Measured:
    """Loads a checkpoint in a fresh process."""
    command = [sys.executable, "-c", LOADING, str(folder), dtype]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Measured(**json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all 2,710 tensors of the released checkpoint")
    parser.add_argument("--layers", type=int, default=3, help="of the decoder (default: 3)")
    parser.add_argument("--experts", type=int, default=8, help="of a layer (default: 8)")
    parser.add_argument("--folder", type=Path, help="where the checkpoint is made and removed again")
    options = parser.parse_args()
    config = OCRConfig()
    if not options.full:
        sizes = {"num_hidden_layers": options.layers, "n_routed_experts": options.experts}
        config = replace(config, decoder=replace(config.decoder, **sizes))
    print(f"{'files':>6} {'size':>9} {'dtype':>9} {'before':>9} {'peak':>9} {'peak/size':>9} {'seconds':>8}")
    for shard_bytes in (1 << 40, 1 << 30):
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            size = make(config, folder, shard_bytes)
            files = len(list(folder.glob("*.safetensors")))
            result = measure(folder)
            print(
                f"{files:>6} {size / 1e9:>6.2f} GB {'bfloat16':>9} {result.before / 1e9:>6.2f} GB "
                f"{result.peak / 1e9:>6.2f} GB {result.peak / size:>9.3f} {result.seconds:>8.1f}"
            )
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
