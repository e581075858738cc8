"""The sizes of a network and the released `config.json`."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foveate.config import CONFIG_NAME, ClipConfig, DecoderConfig, OCRConfig, SamConfig
from foveate.errors import ConfigError, ModelNotFound
from tests.tiny import CONFIG, with_decoder

RELEASED = "config.json", "unlimited_ocr_config.json"
SAM, CLIP = ("vision_config", "width", "sam_vit_b"), ("vision_config", "width", "clip-l-14-224")
LANGUAGE = ("language_config",)


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_file_comes_back_as_it_was(name: str, shared: Path, tmp_path: Path) -> None:
    text = (shared / "checkpoint" / name).read_text(encoding="utf-8")
    config = OCRConfig.from_dict(json.loads(text))
    assert config.to_dict() == json.loads(text)
    config.save(tmp_path)
    assert OCRConfig.load(tmp_path) == config
    assert json.loads((tmp_path / CONFIG_NAME).read_text(encoding="utf-8")) == json.loads(text)


def test_the_released_sizes_are_the_defaults(shared: Path) -> None:
    released, unlimited = (
        OCRConfig.from_dict(json.loads((shared / "checkpoint" / name).read_text(encoding="utf-8")))
        for name in RELEASED
    )
    assert released == OCRConfig()
    assert unlimited == OCRConfig(decoder=DecoderConfig(max_position_embeddings=32768, sliding_window=128))


def test_another_relative_is_refused(shared: Path) -> None:
    values = json.loads((shared / "checkpoint" / "deepseek_ocr2_config.json").read_text(encoding="utf-8"))
    with pytest.raises(ConfigError, match="clip-l-14-224 is missing"):
        OCRConfig.from_dict(values)


@pytest.mark.parametrize(
    "config",
    [
        OCRConfig(),
        CONFIG,
        with_decoder(sliding_window=5),
        with_decoder(first_k_dense_replace=0, n_shared_experts=0, rope_theta=5e5),
        replace(CONFIG, sam=replace(CONFIG.sam, window_size=0, image_size=512, global_attn_indexes=())),
    ],
)
def test_a_configuration_survives_a_folder(config: OCRConfig, tmp_path: Path) -> None:
    config.save(tmp_path)
    assert OCRConfig.load(tmp_path) == config


def test_foreign_keys_stay_and_known_ones_follow() -> None:
    values = CONFIG.to_dict() | {"tile_tag": "2D"}
    values["language_config"]["v_head_dim"] = 128
    config = OCRConfig.from_dict(values)
    wider = replace(config, decoder=replace(config.decoder, moe_intermediate_size=24)).to_dict()
    assert (wider["tile_tag"], wider["language_config"]["v_head_dim"]) == ("2D", 128)
    assert wider["language_config"]["moe_intermediate_size"] == 24
    assert values["language_config"]["moe_intermediate_size"] == CONFIG.decoder.moe_intermediate_size


def test_defaults_that_the_released_file_leaves_out_are_not_written() -> None:
    values = OCRConfig().to_dict()
    assert "window_size" not in values["vision_config"]["width"]["sam_vit_b"]
    assert "mlp_width" not in values["vision_config"]["width"]["clip-l-14-224"]
    assert "rope_theta" not in values["language_config"]
    assert values["projector_config"]["input_dim"] == 2048


@pytest.mark.parametrize("window", [None, 64])
def test_a_changed_window_is_changed_wherever_it_is_named(window: int | None) -> None:
    values = with_decoder(sliding_window=128).to_dict()
    values["sliding_window"] = values["sliding_window_size"] = 128
    config = OCRConfig.from_dict(values)
    changed = replace(config, decoder=replace(config.decoder, sliding_window=window))
    written = changed.to_dict()
    assert written["sliding_window"] == written["sliding_window_size"] == window
    assert OCRConfig.from_dict(written) == changed


def test_derived_sizes() -> None:
    config = OCRConfig()
    assert (config.sam.grid, config.clip.grid, config.decoder.head_dim, config.encoder_width) == (
        64,
        16,
        128,
        2048,
    )


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ((*SAM, "heads"), 0, "heads is 0: expected positive"),
        ((*SAM, "heads"), 5, "SAM's width must be a multiple"),
        ((*SAM, "downsample_channels"), [512], "two convolutions"),
        ((*SAM, "downsample_channels"), [512, 512], "end with CLIP's width"),
        ((*SAM, "downsample_channels"), 512, "expected tuple"),
        ((*SAM, "global_attn_indexes"), ["last"], "global_attn_indexes"),
        ((*SAM, "global_attn_indexes"), [-1], "expected no negative"),
        ((*CLIP, "width"), "1024", "expected int"),
        ((*CLIP, "heads"), 7, "CLIP's width must be a multiple"),
        ((*CLIP, "patch_size"), 0, "expected positive"),
        ((*LANGUAGE, "num_attention_heads"), 0, "expected positive"),
        ((*LANGUAGE, "num_attention_heads"), 6, "multiple of its heads"),
        ((*LANGUAGE, "num_key_value_heads"), 3, "multiple of key heads"),
        ((*LANGUAGE, "hidden_size"), 1290, "even head width"),
        ((*LANGUAGE, "num_experts_per_tok"), 65, "more active experts"),
        ((*LANGUAGE, "vocab_size"), True, "expected int"),
        ((*LANGUAGE, "vocab_size"), 1.5, "expected int"),
        ((*LANGUAGE, "rope_theta"), float("nan"), "rope_theta"),
        ((*LANGUAGE, "sliding_window_size"), 0, "sliding_window is 0"),
        ((*LANGUAGE, "use_mla"), True, "latent attention"),
        (("image_token_id",), "<image>", "image_token_id"),
        (("vision_config", "image_size"), "1024", "image_size"),
        (("vision_config",), None, "vision_config.width.sam_vit_b is missing"),
        (("vision_config", "width"), 1024, "vision_config.width.sam_vit_b is missing"),
        (SAM, None, "sam_vit_b is missing or no object"),
        (CLIP, "clip", "clip-l-14-224 is missing or no object"),
        (LANGUAGE, ["language"], "language_config is missing or no object"),
    ],
)
def test_an_odd_value_is_one_clear_error(path: tuple[str, ...], value: Any, complaint: str) -> None:
    values = deepcopy(OCRConfig().to_dict())
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ConfigError, match=complaint):
        OCRConfig.from_dict(values)


def test_sizes_that_do_not_fit_are_refused_wherever_they_come_from() -> None:
    with pytest.raises(ConfigError, match="end with CLIP's width"):
        OCRConfig(sam=SamConfig(downsample_channels=(512, 512)), clip=ClipConfig(width=1024))


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe{}", b""])
def test_a_broken_file_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=CONFIG_NAME):
        OCRConfig.load(tmp_path)


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=CONFIG_NAME):
        OCRConfig.load(tmp_path)
