"""Weights by the released checkpoint's names: loading, saving, and what does not fit.

The released names differ from the module tree in three places: the compressor sits inside `sam_model`,
everything is under `model.`, and each expert has tensors of its own, which are slices of one stacked tensor
here.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from foveate.config import OCRConfig
from foveate.errors import (
    CheckpointError,
    MisshapedTensor,
    MissingTensor,
    ModelError,
    ModelNotFound,
    SurplusTensor,
    TruncatedShard,
)
from foveate.model.ocr import OCR

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
PARTIAL_NAME = ".partial"  # the folder in which files are written before they appear
MAPPED_BYTES = 1 << 25  # of a file that may lie in memory beside the network while it loads
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
CODES = {dtype: code for code, dtype in DTYPES.items()}

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


@dataclass(frozen=True)
class Held:
    """One tensor of a checkpoint, as the head of its file describes it."""

    file: Path
    shape: tuple[int, ...]
    dtype: str  # as safetensors writes it


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
    """The network of a folder, on a device, in a dtype (None: as most tensors are stored), ready to read.

    Raises `ModelNotFound`, `ConfigError`, `MissingTensor`, `SurplusTensor`, `MisshapedTensor`,
    `TruncatedShard`, `CheckpointError` for other ways not to fit, or `ModelError` where the device has no
    room. Peak memory is the network's size plus 32 MiB.
    """
    model = _skeleton(OCRConfig.load(folder))
    files = shard_files(folder)
    # Everything is compared before gigabytes are allocated.
    held = survey(files)
    _compare(model, held, files)
    try:
        _make_room(model, device, dtype or _stored_dtype(held))
    except RuntimeError as problem:  # each device has its own
        raise ModelError(
            f"there is no room for the network on {device} ({str(problem).splitlines()[0]}): "
            "choose another device or a smaller dtype"
        ) from problem
    _fill(model, held)
    return model.eval()


def _skeleton(config: OCRConfig) -> OCR:
    with torch.device("meta"), _WithoutDice():
        return OCR(config)


def _make_room(model: OCR, device: torch.device | str, dtype: torch.dtype) -> None:
    """Parameters with memory for those without. `Module.to_empty` would import PyTorch's symbolic shapes."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            room = torch.empty(parameter.shape, dtype=dtype, device=device)
            module.register_parameter(name, nn.Parameter(room, requires_grad=False))


class _WithoutDice(TorchFunctionMode):
    """Leaves out an embedding's first values: on the meta device they import half of PyTorch's compiler."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function in (nn.init.normal_, Tensor.normal_):
            return None
        return function(*args, **(kwargs or {}))


def shard_files(folder: Path) -> list[Path]:
    """The folder's safetensors files: a single one, else those of the index, else all.

    Raises `ModelNotFound`, or `CheckpointError` for an index that is none.
    """
    if (folder / SINGLE_NAME).is_file():
        return [folder / SINGLE_NAME]
    if (folder / INDEX_NAME).is_file():
        return _indexed(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelNotFound(f"{folder} holds no {SINGLE_NAME}: the download is not complete")
    return files


def _indexed(folder: Path) -> list[Path]:
    index = folder / INDEX_NAME
    try:
        where = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {folder / name: tensor for tensor, name in where.items() if name and Path(name).name == name}
        if not files or len(files) != len(set(where.values())):
            raise ValueError("it names no files of this folder")
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise CheckpointError(f"{index} is not an index of shards ({problem!r}): fetch it again") from problem
    for file, tensor in files.items():
        if not file.is_file():
            raise ModelNotFound(
                f"{folder} holds no {file.name}, which has {tensor}: the download is not complete"
            )
    return sorted(files)


def _open(file: Path) -> safe_open:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as problem:
        raise TruncatedShard(f"{file} is cut short or damaged ({problem}): fetch it again") from problem


def survey(files: Sequence[Path]) -> dict[str, Held]:
    """All tensors of some files, from their heads.

    Raises `TruncatedShard`, or `CheckpointError` for a tensor that two files hold.
    """
    held: dict[str, Held] = {}
    for file in files:
        with _open(file) as shard:
            for name in shard.keys():  # noqa: SIM118 (not a mapping)
                if name in held:
                    raise CheckpointError(
                        f"{name} is in {held[name].file} and in {file}: keep the file that belongs there"
                    )
                part = shard.get_slice(name)
                held[name] = Held(file, tuple(part.get_shape()), part.get_dtype())
    return held


def _compare(skeleton: OCR, held: dict[str, Held], files: Sequence[Path]) -> None:
    """Names, shapes and kinds of numbers, all of them; raises an error that names tensor and file."""
    wanted = {slot.name: tuple(slot.tensor.shape) for slot in slots(skeleton)}
    for name, tensor in held.items():
        if name not in wanted:
            raise SurplusTensor(
                f"{tensor.file} holds {name}, which this network does not have: check config.json"
            )
        if tensor.shape != wanted[name]:
            raise MisshapedTensor(
                f"{name} in {tensor.file} is {tensor.shape}, the network needs {wanted[name]}: "
                "check config.json"
            )
        if tensor.dtype not in DTYPES:
            raise CheckpointError(
                f"{name} in {tensor.file} is stored as {tensor.dtype}: "
                "choose the checkpoint that is not quantised"
            )
    lost = [name for name in wanted if name not in held]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        place = str(files[0]) if len(files) == 1 else f"any of the {len(files)} files of {files[0].parent}"
        raise MissingTensor(f"{lost[0]}{more} not in {place}: fetch it again, or check config.json")


def _stored_dtype(held: dict[str, Held]) -> torch.dtype:
    return DTYPES[Counter(tensor.dtype for tensor in held.values()).most_common(1)[0][0]]


def _fill(model: OCR, held: dict[str, Held]) -> None:
    """Copies every tensor into its slot. What is read of a file stays in memory until the file is closed."""
    targets = {slot.name: slot.tensor for slot in slots(model)}
    for file in sorted({tensor.file for tensor in held.values()}):
        names = [name for name, tensor in held.items() if tensor.file == file]
        for group in _portions(names, targets):
            with _open(file) as shard:
                for name, rows in group:
                    targets[name][rows].copy_(shard.get_slice(name)[rows])


def _portions(names: Sequence[str], targets: dict[str, Tensor]) -> Iterator[list[tuple[str, slice]]]:
    """Tensors, or rows of large ones, that together have about MAPPED_BYTES."""
    group: list[tuple[str, slice]] = []
    size = 0
    for name in names:
        row = targets[name][0].nbytes
        step = max(1, MAPPED_BYTES // row)
        for start in range(0, len(targets[name]), step):
            rows = slice(start, min(start + step, len(targets[name])))
            group.append((name, rows))
            size += row * (rows.stop - rows.start)
            if size >= MAPPED_BYTES:
                yield group
                group, size = [], 0
    yield group


def save(model: OCR, folder: Path, shard_bytes: int = 5 << 30) -> list[Path]:
    """Writes config.json and the weights under the released names, in place of those that the folder holds.

    One file where everything fits into `shard_bytes`, otherwise numbered shards and their index. Nothing in
    the folder changes before all is written; if that fails, it raises `CheckpointError`.
    """
    partial = folder / PARTIAL_NAME
    shutil.rmtree(partial, ignore_errors=True)  # left by a save that was killed
    try:
        partial.mkdir(parents=True)
        names = _write(model, partial, shard_bytes)
        # The old ones first: whoever kills us now finds too few tensors, not a mixture.
        for old in (folder / INDEX_NAME, folder / SINGLE_NAME, *folder.glob("model-*-of-*.safetensors")):
            old.unlink(missing_ok=True)
        for file in sorted(partial.iterdir(), key=lambda file: file.name == INDEX_NAME):
            file.replace(folder / file.name)
    except OSError as problem:
        raise CheckpointError(f"the network cannot be written to {folder}: {problem}") from problem
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [folder / name for name in names]


def _write(model: OCR, folder: Path, shard_bytes: int) -> list[str]:
    """All files of a checkpoint; returns the names of those with weights."""
    groups = _shards(model, shard_bytes)
    names = [f"model-{i:05d}-of-{len(groups):05d}.safetensors" for i in range(1, len(groups) + 1)]
    if len(groups) == 1:
        names = [SINGLE_NAME]
    for name, group in zip(names, groups, strict=True):
        _write_shard(folder / name, group)
    if len(groups) > 1:
        size = sum(parameter.nbytes for parameter in model.parameters())
        where = {slot.name: name for name, group in zip(names, groups, strict=True) for slot in group}
        index = {"metadata": {"total_size": size}, "weight_map": where}
        (folder / INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    model.config.save(folder)
    return names


def _write_shard(file: Path, group: Sequence[Slot]) -> None:
    """One safetensors file: the length of its head, the head, the tensors one after the other.

    By hand, because the library wants a copy of tensors that are slices of another.
    """
    head: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for slot in group:
        start, end = end, end + slot.tensor.nbytes
        described = {"dtype": CODES[slot.tensor.dtype], "shape": list(slot.tensor.shape)}
        head[slot.name] = described | {"data_offsets": [start, end]}
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for slot in group:
            stream.write(slot.tensor.cpu().contiguous().view(torch.uint8).numpy().data)


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
