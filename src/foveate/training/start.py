"""A run's first weights: random, a released checkpoint, or SAM and CLIP as Hugging Face has them.

Everything is loaded by name and compared before it is copied; what is missing or of another shape is one
clear error.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from foveate.config import OCRConfig
from foveate.errors import ConfigError, MisshapedTensor, MissingTensor
from foveate.model import weights
from foveate.model.clip import Clip
from foveate.model.ocr import OCR
from foveate.model.sam import Sam
from foveate.model.source import find_model
from foveate.training.recipes import Recipe

STD = 0.02  # of embeddings, positions and everything else that is no matrix inside
NORMS: tuple[str, ...] = (
    "norm.weight",
    "norm1.weight",
    "norm2.weight",
    "layernorm.weight",
    "layrnorm.weight",
)
NORMS += ("neck.1.weight", "neck.3.weight")
# What writes into a residual stream: smaller in a deeper network (GPT-2), so that the stream's size is not.
RESIDUAL: tuple[str, ...] = (
    "attn.proj.weight",
    "out_proj.weight",
    "o_proj.weight",
    "down_proj",
    "down_proj.weight",
)
RESIDUAL += ("lin2.weight", "fc2.weight")
PICKLED = "pytorch_model.bin"

# Our name to theirs, the first that fits.
SAM_NAMES = (
    (r"patch_embed\.proj\.(.*)", r"patch_embed.projection.\1"),
    (r"blocks\.(\d+)\.norm([12])\.(.*)", r"layers.\1.layer_norm\2.\3"),
    (r"blocks\.(.*)", r"layers.\1"),
    (r"neck\.0\.(.*)", r"neck.conv1.\1"),
    (r"neck\.1\.(.*)", r"neck.layer_norm1.\1"),
    (r"neck\.2\.(.*)", r"neck.conv2.\1"),
    (r"neck\.3\.(.*)", r"neck.layer_norm2.\1"),
)
CLIP_NAMES = ((r"transformer\.layers\.(.*)", r"encoder.layers.\1"),)
# Where the vision tower sits in a whole model's file; transformers 5 writes CLIP's alone without a prefix.
SAM_PREFIXES = ("vision_encoder.", "")
CLIP_PREFIXES = ("vision_model.", "")


@dataclass(frozen=True)
class Stored:
    """One tensor that a file holds, read when it is asked for."""

    file: Path
    shape: tuple[int, ...]
    read: Callable[[], Tensor]


def make_network(recipe: Recipe) -> OCR:
    """The network of a recipe in fp32 with the weights that it starts from.

    A whole checkpoint first, then single parts in its place; what nothing is named for is random, the same
    for the same seed. Raises `ModelError`.
    """
    start = recipe.start
    model = _first(recipe)
    if start.encoder:
        _take(model.encoder, _whole(start.encoder).encoder, start.encoder)
    if start.decoder:
        _take(model.decoder, _whole(start.decoder).decoder, start.decoder)
    if start.sam:
        load_sam(model.encoder.sam, find_model(start.sam))
    if start.clip:
        load_clip(model.encoder.clip, find_model(start.clip))
    return model.train()


def _first(recipe: Recipe) -> OCR:
    """The start's checkpoint, or random weights."""
    if recipe.start.checkpoint:
        model = _whole(recipe.start.checkpoint)
        if recipe.network is not None and recipe.network != model.config:
            raise ConfigError(
                f"{recipe.start.checkpoint} has other sizes than the recipe's network: leave `network` out, "
                "or take parts of it by start.encoder and start.decoder"
            )
        return model.requires_grad_(True)
    if recipe.network is None:
        raise ConfigError("the recipe has neither a network nor a start: name one, such as start.checkpoint")
    return random_network(recipe.network, recipe.seed)


def _whole(name: str) -> OCR:
    return weights.load(find_model(name), dtype=torch.float32)


def _take(ours: nn.Module, theirs: nn.Module, name: str) -> None:
    """Copies a whole part; both must have the same tensors."""
    held = {key: _in_memory(Path(name), tensor) for key, tensor in theirs.named_parameters()}
    wanted = {key: (key,) for key, _ in ours.named_parameters()}
    _fill(ours, wanted, held, Path(name))


def random_network(config: OCRConfig, seed: int = 0) -> OCR:
    """Normal weights, scaled by what comes into a matrix and by the depth behind it. The same for the same
    seed, and nobody else's dice are thrown."""
    with torch.random.fork_rng(devices=[]):
        model = OCR(config)
    generator = torch.Generator().manual_seed(seed)
    depths = {"sam": config.sam.layers, "clip": config.clip.layers}
    for name, parameter in model.named_parameters():
        depth = depths.get(name.split(".")[1], config.decoder.num_hidden_layers)
        initialise(name, parameter, depth, generator)
    return model


@torch.no_grad()
def initialise(name: str, parameter: Tensor, depth: int, generator: torch.Generator) -> None:
    """First values of one parameter, by its name, in place."""
    if parameter.ndim == 1:
        if name.endswith(NORMS):
            parameter.fill_(1.0)
        elif name.endswith(("class_embedding", "image_newline", "view_separator")):
            parameter.normal_(std=STD, generator=generator)
        else:
            parameter.zero_()
        return
    if "rel_pos" in name:
        parameter.zero_()  # as SAM's own code starts them
        return
    # An expert's weights are stacked (E, out, in); a convolution's are (out, in, height, width).
    fan_in = parameter.shape[-1] if "experts." in name else parameter[0].numel()
    table = any(part in name for part in ("pos_embed", "position_embedding", "embed_tokens", "lm_head"))
    std = STD if table or name.endswith("gate.weight") else fan_in**-0.5
    if name.endswith(RESIDUAL):
        std /= math.sqrt(2 * depth)
    parameter.normal_(std=std, generator=generator)


def load_sam(sam: Sam, folder: Path) -> None:
    """Fills our SAM with the vision encoder of a Hugging Face SAM (`SamModel`, `SamVisionModel`).

    Its prompt encoder and mask decoder are left aside. Raises `ModelNotFound`, `MissingTensor` or
    `MisshapedTensor`; nothing has changed then.
    """
    wanted = {name: (_rename(name, SAM_NAMES),) for name, _ in sam.named_parameters()}
    held = _without_prefix(_stored(folder), SAM_PREFIXES, "patch_embed.projection.weight")
    _fill(sam, wanted, held, folder)


def load_clip(clip: Clip, folder: Path) -> None:
    """Fills our CLIP with the vision tower of a Hugging Face CLIP (`CLIPModel`, `CLIPVisionModel`).

    Their queries, keys and values are one matrix here. The norm behind their last layer, their text tower
    and the projections are left aside: DeepEncoder has none of them. Raises as `load_sam` does.
    """
    wanted = {name: _clip_sources(name) for name, _ in clip.named_parameters()}
    _fill(clip, wanted, _without_prefix(_stored(folder), CLIP_PREFIXES, "pre_layrnorm.weight"), folder)


def _clip_sources(name: str) -> tuple[str, ...]:
    theirs = _rename(name, CLIP_NAMES)
    if "qkv_proj" in theirs:
        return tuple(theirs.replace("qkv_proj", f"{part}_proj") for part in "qkv")
    return (theirs,)


def _rename(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in pairs:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return name


def _without_prefix(held: Mapping[str, Stored], prefixes: tuple[str, ...], sign: str) -> dict[str, Stored]:
    """The tensors below the first prefix under which a sure sign of the tower stands."""
    prefix = next((prefix for prefix in prefixes if prefix + sign in held), prefixes[0])
    return {name.removeprefix(prefix): part for name, part in held.items() if name.startswith(prefix)}


@torch.no_grad()
def _fill(
    module: nn.Module, wanted: Mapping[str, tuple[str, ...]], held: Mapping[str, Stored], place: Path
) -> None:
    """Copies each parameter from one tensor, or from several stacked on their first dimension.

    Everything is compared before anything is copied.
    """
    parameters = dict(module.named_parameters())
    lost = [name for names in wanted.values() for name in names if name not in held]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise MissingTensor(f"{lost[0]}{more} not in {place}: name a checkpoint of the same kind and size")
    for ours, names in wanted.items():
        rows, *rest = parameters[ours].shape
        shape = (rows // len(names), *rest)
        for name in names:
            if held[name].shape != shape:
                raise MisshapedTensor(
                    f"{name} in {held[name].file} is {held[name].shape}, the network needs {shape}: "
                    "name a checkpoint of the same size, or change the recipe's network"
                )
    for ours, names in wanted.items():
        parts = [held[name].read() for name in names]
        parameters[ours].copy_(parts[0] if len(parts) == 1 else torch.cat(parts))


def _stored(folder: Path) -> dict[str, Stored]:
    """All tensors of a folder, by name: safetensors, or the older pickled file, of which tensors alone are
    read."""
    if not any(folder.glob("*.safetensors")) and (folder / PICKLED).is_file():
        state = torch.load(folder / PICKLED, map_location="cpu", weights_only=True, mmap=True)
        file = folder / PICKLED
        return {name: _in_memory(file, tensor) for name, tensor in state.items()}
    held = weights.survey(weights.shard_files(folder))
    return {name: Stored(part.file, part.shape, _reader(part.file, name)) for name, part in held.items()}


def _in_memory(file: Path, tensor: Tensor) -> Stored:
    return Stored(file, tuple(tensor.shape), lambda: tensor)


def _reader(file: Path, name: str) -> Callable[[], Tensor]:
    def read() -> Tensor:
        with safe_open(file, framework="pt") as shard:
            tensor: Tensor = shard.get_tensor(name)
        return tensor

    return read
