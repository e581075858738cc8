"""`foveate models`: what is embedded, and what of the Hugging Face cache can be used."""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from foveate.config import OCRConfig
from foveate.errors import FoveateError

ARCHITECTURES = {"DeepseekOCRForCausalLM", "UnlimitedOCRForCausalLM"}


@dataclass(frozen=True)
class Model:
    """A folder with a network of ours in it."""

    name: str  # what --model takes
    folder: Path
    size: int  # bytes of weights
    parameters: int


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "models",
        help="what is embedded and what is in the cache",
        description="Lists the models that --model takes without a download: those embedded in foveate, and "
        "those of the Hugging Face cache that foveate can use. Any folder with such a checkpoint works too.",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints two short lists. Returns the exit code."""
    for title, found in (("embedded", embedded()), ("in the Hugging Face cache", cached())):
        print(title)
        lines = [
            f"  {model.name:<32} {_bytes(model.size):>9} {model.parameters:>15,} parameters  {model.folder}"
            for model in sorted(found, key=lambda model: model.name)
        ]
        print("\n".join(lines) or "  none")
    return 0


def embedded() -> Iterator[Model]:
    """The models that are part of the package."""
    for folder in Path(str(files("foveate") / "assets")).iterdir():
        if model := usable(folder.name, folder):
            yield model


def cached(cache: Path | None = None) -> Iterator[Model]:
    """The models of the Hugging Face cache that are networks of ours and complete enough to hold weights."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir(cache).repos
    except CacheNotFound:
        return
    for repo in repos:
        newest = max(repo.revisions, key=lambda revision: revision.last_modified, default=None)
        if repo.repo_type == "model" and newest and (model := usable(repo.repo_id, newest.snapshot_path)):
            yield model


def usable(name: str, folder: Path) -> Model | None:
    """The model of a folder; None when there is no network of ours in it."""
    from safetensors import SafetensorError

    shards = sorted(folder.glob("*.safetensors"))
    try:
        architectures = OCRConfig.load(folder).to_dict().get("architectures", [])
        if not shards or not ARCHITECTURES.intersection(architectures):
            return None
        parameters = sum(map(_parameters, shards))
    except (FoveateError, SafetensorError, OSError):
        return None
    return Model(name, folder, sum(shard.stat().st_size for shard in shards), parameters)


def _parameters(shard: Path) -> int:
    """How many numbers a safetensors file holds; only its header is read."""
    from safetensors import safe_open

    with safe_open(shard, framework="np") as tensors:
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118


def _bytes(size: int) -> str:
    """Bytes in the unit that leaves few digits."""
    amount, unit = size / 1e9, "GB"
    for smaller in ("MB", "kB"):
        if amount < 1:
            amount, unit = amount * 1000, smaller
    return f"{amount:.1f} {unit}"
