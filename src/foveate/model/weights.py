"""Weights by the released checkpoint's names: loading, saving, and what does not fit.

The released names differ from the module tree in three places: the compressor sits inside `sam_model`,
everything is under `model.`, and each expert has tensors of its own, which are slices of one stacked tensor
here.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from foveate.config import OCRConfig
from foveate.errors import (
    CheckpointError,
    MisshapedTensor,
    MissingTensor,
    ModelNotFound,
    SurplusTensor,
    TruncatedShard,
)
from foveate.model.ocr import OCR

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
MAPPED_BYTES = 1 << 28  # of a shard that may lie in memory beside the network while it loads

# Module prefix to released prefix; the first that fits.
PREFIXES = (
    ("encoder.sam.", "model.sam_model."),
    ("encoder.compressor.", "model.sam_model."),
    ("encoder.clip.", "model.vision_model."),
    ("encoder.projector.", "model.projector."),
    ("encoder.view_separator", "model.view_seperator"),  # spelt as the checkpoint spells it
    ("encoder.", "model."),
    ("decoder.lm_head.", "lm_head."),
    ("decoder.", "model."),
)
STACKED = re.compile(r"(.*\.experts)\.(gate_up_proj|down_proj)$")


@dataclass(frozen=True)
class Slot:
    """Where one released tensor lives in the network: a parameter, or a slice of one."""

    name: str  # released
    tensor: Tensor  # a view into the parameter


def released_name(name: str) -> str:
    """A parameter's name in the released checkpoint (experts apart)."""
    ours, theirs = next(pair for pair in PREFIXES if name.startswith(pair[0]))
    return theirs + name.removeprefix(ours)


def slots(model: OCR) -> Iterator[Slot]:
    """Every released tensor of this network, with the memory that it fills."""
    for name, parameter in model.named_parameters():
        tensor, target = parameter.detach(), released_name(name)
        stacked = STACKED.match(target)
        if stacked is None:
            yield Slot(target, tensor)
            continue
        for expert, weights in enumerate(tensor):
            prefix = f"{stacked[1]}.{expert}"
            if stacked[2] == "down_proj":
                yield Slot(f"{prefix}.down_proj.weight", weights)
            else:
                gate, up = weights.chunk(2)
                yield Slot(f"{prefix}.gate_proj.weight", gate)
                yield Slot(f"{prefix}.up_proj.weight", up)


def shapes(config: OCRConfig) -> dict[str, tuple[int, ...]]:
    """Released names and shapes of a network, without making it."""
    return {slot.name: tuple(slot.tensor.shape) for slot in slots(_skeleton(config))}


def load(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> OCR:
    """The network of a folder, on a device, in a dtype (None: as stored), ready to read.

    Raises `ModelNotFound`, `ConfigError`, `MissingTensor`, `SurplusTensor`, `MisshapedTensor` or
    `TruncatedShard`. Peak memory is the network's size plus 256 MiB.
    """
    config = OCRConfig.load(folder)
    files = shard_files(folder)
    # Everything is compared before gigabytes are allocated.
    where = _compare(_skeleton(config), files, folder)
    model = _skeleton(config).to(dtype or _stored_dtype(files)).to_empty(device=device)
    _fill(model, where)
    return model.eval().requires_grad_(False)


def _skeleton(config: OCRConfig) -> OCR:
    with torch.device("meta"):
        return OCR(config)


def shard_files(folder: Path) -> list[Path]:
    """The folder's safetensors files, by its index where there is one. Raises `ModelNotFound`."""
    index = folder / INDEX_NAME
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise CheckpointError(
                f"{index} is not an index of shards ({problem}): fetch it again"
            ) from problem
        files = [folder / str(name) for name in names]
    else:
        files = sorted(folder.glob("*.safetensors"))
    lost = [file.name for file in files if not file.is_file()]
    if lost or not files:
        raise ModelNotFound(
            f"{folder} holds no {lost[0] if lost else SINGLE_NAME}: the download is not complete"
        )
    return files


def _open(file: Path) -> safe_open:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as problem:
        raise TruncatedShard(f"{file} is cut short or damaged ({problem}): fetch it again") from problem


def _compare(skeleton: OCR, files: list[Path], folder: Path) -> dict[str, Path]:
    """Which file holds each tensor of the network, once all names and shapes agree."""
    wanted = {slot.name: tuple(slot.tensor.shape) for slot in slots(skeleton)}
    where: dict[str, Path] = {}
    for file in files:
        with _open(file) as shard:
            for name in shard.keys():  # noqa: SIM118 (not a mapping)
                if name not in wanted:
                    raise SurplusTensor(
                        f"{file} holds {name}, which this network does not have: check config.json"
                    )
                shape = tuple(shard.get_slice(name).get_shape())
                if shape != wanted[name]:
                    raise MisshapedTensor(f"{name} in {file} is {shape}, the network needs {wanted[name]}")
                where[name] = file
    lost = [name for name in wanted if name not in where]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise MissingTensor(f"{lost[0]}{more} in none of the {len(files)} files of {folder}")
    return where


def _stored_dtype(files: list[Path]) -> torch.dtype:
    with _open(files[0]) as shard:
        dtype: torch.dtype = shard.get_tensor(next(iter(shard.keys()))).dtype
    return dtype


def _fill(model: OCR, where: dict[str, Path]) -> None:
    """Copies every tensor into its slot. A shard is opened anew now and then, which gives its pages back."""
    targets = {slot.name: slot.tensor for slot in slots(model)}
    for file in sorted(set(where.values())):
        names = [name for name, held_by in where.items() if held_by == file]
        for group in _by_size(names, targets):
            with _open(file) as shard:
                for name in group:
                    targets[name].copy_(shard.get_tensor(name))


def _by_size(names: list[str], targets: dict[str, Tensor]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for name in names:
        group.append(name)
        size += targets[name].nbytes
        if size >= MAPPED_BYTES:
            yield group
            group, size = [], 0
    yield group


def save(model: OCR, folder: Path, shard_bytes: int = 5 << 30) -> list[Path]:
    """Writes config.json and the weights under the released names; each file appears whole or not at all.

    One file where everything fits into `shard_bytes`, otherwise numbered shards and their index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = _shards(model, shard_bytes)
    if len(groups) == 1:
        names = [SINGLE_NAME]
    else:
        names = [f"model-{i:05d}-of-{len(groups):05d}.safetensors" for i in range(1, len(groups) + 1)]
    weight_map: dict[str, str] = {}
    for name, group in zip(names, groups, strict=True):
        partial = folder / f".{name}.partial"
        tensors = {slot.name: slot.tensor.cpu().contiguous().clone() for slot in group}
        save_file(tensors, partial, metadata={"format": "pt"})
        partial.replace(folder / name)
        weight_map |= dict.fromkeys(tensors, name)
    if len(groups) > 1:
        size = sum(parameter.nbytes for parameter in model.parameters())
        index = {"metadata": {"total_size": size}, "weight_map": weight_map}
        (folder / INDEX_NAME).write_text(json.dumps(index, indent=2), encoding="utf-8")
    model.config.save(folder)
    return [folder / name for name in names]


def _shards(model: OCR, shard_bytes: int) -> list[list[Slot]]:
    groups: list[list[Slot]] = [[]]
    size = 0
    for slot in slots(model):
        if groups[-1] and size + slot.tensor.nbytes > shard_bytes:
            groups.append([])
            size = 0
        groups[-1].append(slot)
        size += slot.tensor.nbytes
    return groups
