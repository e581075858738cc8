"""Low-rank adapters (LoRA, arXiv 2106.09685) beside a network's linear layers, in PEFT's files and names.

The modules are named as in the released checkpoint, so PEFT puts a saved adapter onto that, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from foveate.errors import CheckpointError, ModelNotFound, OptionError
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.model.source import find_model
from foveate.pages.tokenizer import TOKENIZER_NAME
from foveate.training.recipes import Lora

CONFIG_NAME, WEIGHTS_NAME = "adapter_config.json", "adapter_model.safetensors"
PEFT_PREFIX = "base_model.model."  # how PEFT names what it wraps
FOREIGN = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save")  # PEFT's, not ours
IN_EXPERTS = {"gate_proj", "up_proj", "down_proj"}  # names that released experts have, too


class Adapter(nn.Module):
    """What is added to one linear layer: (…, in) to (…, out), zero at first."""

    def __init__(self, layer: nn.Linear, lora: Lora, dice: torch.Generator) -> None:
        super().__init__()
        self.lora_A = nn.Linear(layer.in_features, lora.rank, bias=False)
        self.lora_B = nn.Linear(lora.rank, layer.out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5), generator=dice)
        nn.init.zeros_(self.lora_B.weight)
        self.scale, self.dropout = lora.scale, lora.dropout

    def forward(self, x: Tensor) -> Tensor:
        return self.lora_B(self.lora_A(F.dropout(x, self.dropout))) * self.scale  # type: ignore[no-any-return]

    def delta(self) -> Tensor:
        """What it adds to the layer's weight, (out, in)."""
        return self.lora_B.weight @ self.lora_A.weight * self.scale


class Adapters(nn.Module):
    """Adapters on the linear layers of a network that a recipe names. The network itself stays as it is."""

    def __init__(self, model: OCR, lora: Lora, seed: int = 0) -> None:
        super().__init__()
        self.lora = lora
        dice = torch.Generator().manual_seed(seed)
        self._layers = dict(find_layers(model, lora))  # not below this module: a dict is no container
        self.parts = nn.ModuleList(Adapter(layer, lora, dice) for layer in self._layers.values())
        self._active = True
        for layer, part in zip(self._layers.values(), self.parts, strict=True):
            layer.register_forward_hook(self._adding(part))

    def _adding(self, part: nn.Module) -> Any:
        def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + part(inputs[0]) if self._active else output

        return add

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Inside, the network's own weights hold what the adapters add; afterwards they are as before."""
        before = [layer.weight.detach().clone() for layer in self._layers.values()]
        self._active = False
        try:
            for layer, part in self._pairs():
                layer.weight.data += part.delta().detach().to(layer.weight.dtype)
            yield
        finally:
            for layer, weight in zip(self._layers.values(), before, strict=True):
                layer.weight.data.copy_(weight)
            self._active = True

    def _pairs(self) -> Iterator[tuple[nn.Linear, Adapter]]:
        for layer, part in zip(self._layers.values(), self.parts, strict=True):
            assert isinstance(part, Adapter)
            yield layer, part

    def tensors(self) -> dict[str, Tensor]:
        """By PEFT's names."""
        named = zip(self._layers, self.parts, strict=True)
        return {
            f"{PEFT_PREFIX}{name}.{matrix}": tensor.detach()
            for name, part in named
            for matrix, tensor in part.named_parameters()
        }

    def save(self, folder: Path, base: str) -> None:
        """Writes the adapter's two files; `base` says what they belong to."""
        ends = self.lora.targets
        targets = list(self._layers) if IN_EXPERTS & set(ends) else list(ends)
        config = peft_config(self.lora, targets, base)
        (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.tensors().items()}
        save_file(tensors, folder / WEIGHTS_NAME, metadata={"format": "pt"})

    def load(self, folder: Path) -> None:
        """Takes the weights of an adapter with the same layers. Raises `CheckpointError`."""
        stored, own = read_tensors(folder), self.tensors()
        if stored.keys() != own.keys() or any(stored[name].shape != own[name].shape for name in own):
            raise CheckpointError(f"{folder} holds an adapter of other layers or rank: check lora")
        for name, tensor in own.items():
            tensor.copy_(stored[name])


def find_layers(model: OCR, lora: Lora) -> Iterator[tuple[str, nn.Linear]]:
    """Released names and linear layers whose names end with one of the targets. Raises `OptionError`."""
    found: set[str] = set()
    for path, layer in model.named_modules():
        if not isinstance(layer, nn.Linear) or path == "decoder.lm_head":
            continue  # the vocabulary's matrix is used as a matrix, not called as a layer
        name = weights.released_name(f"{path}.weight").removesuffix(".weight")
        fits = [end for end in lora.targets if f".{name}".endswith(f".{end}")]
        if fits:
            found |= set(fits)
            yield name, layer
    for end in lora.targets:
        if end not in found:
            raise OptionError(f"lora.targets has {end!r}: no linear layer's name ends so")


def peft_config(lora: Lora, targets: list[str], base: str) -> dict[str, Any]:
    """`adapter_config.json`, as PEFT reads it."""
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": targets,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
    }


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """An adapter's matrices by PEFT's names."""
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise ModelNotFound(f"{folder} holds no {WEIGHTS_NAME}: name a folder with an adapter in it")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as problem:
        raise CheckpointError(f"{path} is cut short or damaged ({problem}): fetch it again") from problem


def read_config(folder: Path) -> dict[str, Any]:
    """An adapter's `adapter_config.json`, as far as it can be merged here. Raises `ModelError`."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise ModelNotFound(f"{folder} holds no {CONFIG_NAME}: name a folder with an adapter in it")
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        fits = config["peft_type"] == "LORA" and config["r"] > 0 and config["lora_alpha"] > 0
    except (ValueError, KeyError, TypeError) as problem:
        raise CheckpointError(f"{path} is no adapter's configuration ({problem!r})") from problem
    odd = [
        name for name in ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save") if config.get(name)
    ]
    if not fits or odd or config.get("bias", "none") != "none":
        raise CheckpointError(
            f"{path} is of a kind that cannot be merged here ({', '.join(odd) or 'no LoRA'})"
        )
    return config


def merge(adapter: Path, out: Path, model: str = "") -> Path:
    """Writes the network that an adapter belongs to, with the adapter in its weights, and its tokenizer.

    `model` replaces the name that the adapter's configuration has for it. Raises `ModelError`.
    """
    config = read_config(adapter)
    folder = find_model(model or config.get("base_model_name_or_path") or "")
    network = weights.load(folder)
    scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
    add(network, read_tensors(adapter), scale)
    weights.save(network, out)
    (out / TOKENIZER_NAME).write_bytes((folder / TOKENIZER_NAME).read_bytes())
    return out


def add(model: OCR, tensors: dict[str, Tensor], scale: float) -> None:
    """Adds an adapter's products to the weights that they belong to, experts of their own included."""
    slots = {slot.name: slot.tensor for slot in weights.slots(model)}
    names = sorted(name.removesuffix(".lora_A.weight") for name in tensors if name.endswith("lora_A.weight"))
    if not names or len(names) * 2 != len(tensors):
        raise CheckpointError(
            f"the adapter holds {len(tensors)} tensors that are no pairs of LoRA's matrices"
        )
    for name in names:
        target = f"{name.removeprefix(PEFT_PREFIX)}.weight"
        down, up = tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"]
        if target not in slots or slots[target].shape != (len(up), down.shape[1]):
            raise CheckpointError(
                f"the adapter changes {target}, which does not fit this network: check --model"
            )
        delta = up.float() @ down.float() * scale
        slots[target].copy_(slots[target].float() + delta)
