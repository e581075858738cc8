"""The sizes of a network, as frozen dataclasses; they read and write the released `config.json`.

One `OCRConfig` serves the released 3B checkpoint, its relative Unlimited-OCR and the embedded `nano`. Sizes
that the released file leaves out (window, neck, CLIP's MLP) have the released code's values as defaults and
are written only when they differ, so a released file that is read and written again stays as it was.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from foveate.errors import ConfigError, ModelNotFound

CONFIG_NAME = "config.json"
SAM_KEY, CLIP_KEY = "sam_vit_b", "clip-l-14-224"
WINDOW_KEYS = ("sliding_window", "sliding_window_size")
MAY_BE_ZERO = {"global_attn_indexes", "window_size", "first_k_dense_replace", "n_shared_experts"}
MAY_BE_ZERO |= {"bos_token_id", "eos_token_id"}


@dataclass(frozen=True)
class SamConfig:
    """SAM's image encoder and the 16x compressor behind it (DeepSeek-OCR, section 3.2)."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11)  # the other layers attend inside windows
    downsample_channels: tuple[int, int] = (512, 1024)  # outputs of the compressor's two convolutions
    image_size: int = 1024  # pixels; the side that the absolute positions are stored for
    patch_size: int = 16  # pixels
    window_size: int = 14  # patches
    neck_channels: int = 256

    @property
    def grid(self) -> int:
        """Patches along one side at the stored size."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class ClipConfig:
    """CLIP's vision transformer; its patches are the compressor's output."""

    width: int = 1024
    layers: int = 24
    heads: int = 16
    image_size: int = 224  # pixels; image_size / patch_size positions along one side are stored
    patch_size: int = 14
    mlp_width: int = 4096

    @property
    def grid(self) -> int:
        """Positions along one side at the stored size."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class DecoderConfig:
    """The DeepSeek mixture-of-experts decoder."""

    hidden_size: int = 1280
    num_hidden_layers: int = 12
    num_attention_heads: int = 10
    num_key_value_heads: int = 10
    intermediate_size: int = 6848  # of the first, dense layers
    first_k_dense_replace: int = 1  # so many
    moe_intermediate_size: int = 896
    n_routed_experts: int = 64
    num_experts_per_tok: int = 6
    n_shared_experts: int = 2
    vocab_size: int = 129280
    max_position_embeddings: int = 8192
    bos_token_id: int = 0
    eos_token_id: int = 1
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    sliding_window: int | None = None  # generated tokens that a token sees, itself included; None: all

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class OCRConfig:
    """A whole network: DeepEncoder and decoder.

    Raises `ConfigError` for sizes that do not fit together.
    """

    sam: SamConfig = SamConfig()
    clip: ClipConfig = ClipConfig()
    decoder: DecoderConfig = DecoderConfig()
    image_token_id: int = 128815
    released: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)  # as it was read

    def __post_init__(self) -> None:
        demand = _demander("the sizes do not fit together: ")
        sam, clip, decoder = self.sam, self.clip, self.decoder
        demand(len(sam.downsample_channels) == 2, "the compressor has two convolutions")
        demand(sam.downsample_channels[-1] == clip.width, "the compressor must end with CLIP's width")
        demand(sam.width % sam.heads == 0, "SAM's width must be a multiple of its heads")
        demand(clip.width % clip.heads == 0, "CLIP's width must be a multiple of its heads")
        demand(
            decoder.hidden_size % decoder.num_attention_heads == 0,
            "hidden_size must be a multiple of its heads",
        )
        demand(decoder.head_dim % 2 == 0, "rotary positions need an even head width")
        demand(
            decoder.num_attention_heads % decoder.num_key_value_heads == 0,
            "heads must be a multiple of key heads",
        )
        demand(decoder.num_experts_per_tok <= decoder.n_routed_experts, "more active experts than experts")

    @cached_property
    def encoder_width(self) -> int:
        """Channels of the concatenated CLIP and SAM features."""
        return self.clip.width + self.sam.downsample_channels[-1]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads what a released `config.json` holds; raises `ConfigError` naming the key that is missing or
        odd."""
        sam = _part(values, "vision_config", "width", SAM_KEY)
        clip = _part(values, "vision_config", "width", CLIP_KEY)
        language = _part(values, "language_config")
        if language.get("use_mla"):
            raise ConfigError("use_mla is true: latent attention is not part of this network")
        language.setdefault("sliding_window", language.get("sliding_window_size"))
        image_token_id = values.get("image_token_id", cls.image_token_id)
        if type(image_token_id) is not int or image_token_id < 0:
            raise ConfigError(f"image_token_id is {image_token_id!r}: expected the id of a token")
        return cls(
            sam=_read(SamConfig, {"image_size": values["vision_config"].get("image_size", 1024), **sam}),
            clip=_read(ClipConfig, clip),
            decoder=_read(DecoderConfig, language),
            image_token_id=image_token_id,
            released=deepcopy(dict(values)),
        )

    def to_dict(self) -> dict[str, Any]:
        """The released layout; keys of the file that was read and that mean nothing here are kept."""
        values = deepcopy(dict(self.released))
        values.setdefault("model_type", "deepseek_vl_v2")
        values.setdefault("architectures", ["DeepseekOCRForCausalLM"])
        vision = values.setdefault("vision_config", {})
        vision["image_size"] = self.sam.image_size
        widths = vision.setdefault("width", {})
        _write(self.sam, widths.setdefault(SAM_KEY, {}), skip=("image_size",))
        _write(self.clip, widths.setdefault(CLIP_KEY, {}))
        language = values.setdefault("language_config", {})
        _write(self.decoder, language, skip=("sliding_window",))
        for place in (values, language):  # Unlimited-OCR names its window in both, under two names
            place.update({key: self.decoder.sliding_window for key in WINDOW_KEYS if key in place})
        if self.decoder.sliding_window is not None:
            language["sliding_window_size"] = self.decoder.sliding_window
        projector = {"projector_type": "linear", "model_type": "mlp_projector"}
        values["projector_config"] = projector | values.get("projector_config", {})
        values["projector_config"] |= {"input_dim": self.encoder_width, "n_embed": self.decoder.hidden_size}
        if self.image_token_id != OCRConfig.image_token_id:
            values["image_token_id"] = self.image_token_id
        return values

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads `config.json` of a folder. Raises `ModelNotFound` or `ConfigError`."""
        path = folder / CONFIG_NAME
        if not path.is_file():
            raise ModelNotFound(f"{folder} holds no {CONFIG_NAME}: name a folder with a checkpoint in it")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as problem:
            raise ConfigError(f"{path} is not JSON ({problem}): fetch it again") from problem
        if not isinstance(values, dict):
            raise ConfigError(f"{path} holds no JSON object: fetch it again")
        return cls.from_dict(values)

    def save(self, folder: Path) -> None:
        """Writes `config.json` into a folder that exists."""
        text = json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False)
        (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")


def _demander(prefix: str) -> Any:
    def demand(fits: bool, complaint: str) -> None:
        if not fits:
            raise ConfigError(prefix + complaint)

    return demand


def _part(values: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The object at the end of a path of keys."""
    found: Any = values
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise ConfigError(
            f"not the configuration of DeepSeek-OCR or a relative: {'.'.join(path)} is missing or no object"
        )
    return dict(found)


def _read(kind: Any, values: Mapping[str, Any]) -> Any:
    """A dataclass from the keys that it knows; each value must be of its default's type."""
    chosen: dict[str, Any] = {}
    for entry in fields(kind):
        if entry.name not in values or values[entry.name] is None:
            continue
        value = values[entry.name]
        value = tuple(value) if isinstance(value, list) else value
        expected = int if entry.default is None else type(entry.default)
        if isinstance(value, bool) or not isinstance(value, (int, float) if expected is float else expected):
            raise ConfigError(f"{entry.name} is {value!r}: expected {expected.__name__}")
        numbers = value if isinstance(value, tuple) else (value,)
        wanted, zero = ("no negative", 0) if entry.name in MAY_BE_ZERO else ("positive", None)
        if not all(isinstance(number, int | float) and (number > 0 or number == zero) for number in numbers):
            raise ConfigError(f"{entry.name} is {value!r}: expected {wanted} numbers")
        chosen[entry.name] = value
    return kind(**chosen)


def _write(config: Any, values: dict[str, Any], skip: tuple[str, ...] = ()) -> None:
    """Puts the fields into `values`: those that are there already, and those that differ from the default."""
    always = ("width", "layers", "heads") if not isinstance(config, DecoderConfig) else ()
    for entry in fields(config):
        value = getattr(config, entry.name)
        if entry.name in skip or not (entry.name in values or value != entry.default or entry.name in always):
            continue
        values[entry.name] = list(value) if isinstance(value, tuple) else value
