"""First weights: the numbers of transformers' SAM and CLIP, and one clear error where they do not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from foveate.config import ClipConfig, SamConfig
from foveate.errors import ConfigError, MisshapedTensor, MissingTensor, ModelNotFound
from foveate.model import weights
from foveate.model.clip import Clip
from foveate.model.sam import Sam
from foveate.training.recipes import Recipe, Start
from foveate.training.start import load_clip, load_sam, make_network, random_network
from tests.tiny import CONFIG, fill, network, noise

SAM = SamConfig(
    width=16,
    layers=3,
    heads=2,
    global_attn_indexes=(1,),
    downsample_channels=(24, 32),
    image_size=128,
    window_size=3,
    neck_channels=12,
)
CLIP = ClipConfig(width=32, layers=2, heads=4, image_size=56, patch_size=14, mlp_width=48)
WEIGHTS = weights.SINGLE_NAME


def distance(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def their_sam() -> nn.Module:
    from transformers.models.sam.modeling_sam import SamVisionConfig, SamVisionModel

    sizes = SamVisionConfig(
        hidden_size=SAM.width,
        output_channels=SAM.neck_channels,
        num_hidden_layers=SAM.layers,
        num_attention_heads=SAM.heads,
        image_size=SAM.image_size,
        patch_size=SAM.patch_size,
        window_size=SAM.window_size,
        global_attn_indexes=list(SAM.global_attn_indexes),
        mlp_dim=4 * SAM.width,
    )
    return fill(SamVisionModel(sizes), 1)


def their_clip() -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    sizes = CLIPVisionConfig(
        hidden_size=CLIP.width,
        intermediate_size=CLIP.mlp_width,
        num_hidden_layers=CLIP.layers,
        num_attention_heads=CLIP.heads,
        image_size=CLIP.image_size,
        patch_size=CLIP.patch_size,
    )
    return fill(CLIPVisionModel(sizes), 2)


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `SamModel` is stored: the vision encoder under its prefix, other parts beside it."""
    folder = tmp_path_factory.mktemp("sam")
    state = {**their_sam().state_dict(), "mask_decoder.iou_token.weight": noise(1, 8)}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As CLIP is stored on the hub, under `vision_model.`, with a text tower."""
    folder = tmp_path_factory.mktemp("clip")
    state = {f"vision_model.{name}": tensor for name, tensor in their_clip().state_dict().items()}
    save_file({**state, "text_model.embeddings.token_embedding.weight": noise(4, 8)}, folder / WEIGHTS)
    return folder


def test_sam_gives_their_numbers(sam_folder: Path) -> None:
    ours = Sam(SAM)
    load_sam(ours, sam_folder)
    pixels = noise(2, 3, SAM.image_size, SAM.image_size)
    with torch.inference_mode():
        theirs = their_sam()(pixels).last_hidden_state
        assert distance(ours(pixels), theirs) < 1e-5


def test_clip_gives_their_numbers(clip_folder: Path) -> None:
    """From the embeddings on: DeepEncoder puts the compressor's features in the place of their patches'."""
    ours, theirs = Clip(CLIP), their_clip()
    load_clip(ours, clip_folder)
    pixels = noise(2, 3, CLIP.image_size, CLIP.image_size)
    with torch.inference_mode():
        features = theirs.embeddings.patch_embedding(pixels)  # (B, D, H, W)
        # Before their last norm, which DeepEncoder leaves out, and without the class token.
        wanted = theirs(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
        assert distance(ours(features), wanted) < 1e-5
    assert torch.equal(ours.embeddings.patch_embedding.weight, theirs.embeddings.patch_embedding.weight)


def test_files_without_a_prefix_and_pickled_ones(clip_folder: Path, tmp_path: Path) -> None:
    theirs = their_clip()
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    ours, other = Clip(CLIP), Clip(CLIP)
    load_clip(ours, tmp_path)
    load_clip(other, clip_folder)
    for mine, same in zip(ours.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, same)


def test_a_missing_tensor_is_named(sam_folder: Path, tmp_path: Path) -> None:
    state = load_file(sam_folder / WEIGHTS)
    del state["vision_encoder.layers.1.attn.qkv.weight"]
    save_file(state, tmp_path / WEIGHTS)
    ours = Sam(SAM)
    before = ours.patch_embed.proj.weight.clone()
    with pytest.raises(MissingTensor, match=r"layers\.1\.attn\.qkv\.weight"):
        load_sam(ours, tmp_path)
    assert torch.equal(ours.patch_embed.proj.weight, before)
    with pytest.raises(ModelNotFound):
        load_sam(ours, tmp_path / "nothing")


def test_a_misshaped_tensor_is_named(sam_folder: Path, clip_folder: Path) -> None:
    with pytest.raises(MisshapedTensor, match=r"pos_embed in .* is \(1, 8, 8, 16\)"):
        load_sam(Sam(replace(SAM, image_size=256)), sam_folder)
    with pytest.raises(MisshapedTensor, match=r"mlp\.fc1\.weight in .*network needs \(64, 32\)"):
        load_clip(Clip(replace(CLIP, mlp_width=64)), clip_folder)


def test_random_weights_follow_from_the_seed() -> None:
    state = torch.get_rng_state()
    first, again, other = (random_network(CONFIG, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name))
        assert parameter.isfinite().all()
        if "norm" in name and name.endswith("weight"):
            assert (parameter == 1).all(), name
        elif parameter.ndim > 1 and "rel_pos" not in name:
            assert not torch.equal(parameter, other.get_parameter(name)), name
    assert (first.encoder.sam.neck[1].weight == 1).all()


def test_a_checkpoint_then_parts_of_others(sam_folder: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, sam=replace(SAM, downsample_channels=(24, 32)))
    whole, other = network(config, 5), network(config, 6)
    for name, model in (("whole", whole), ("other", other)):
        weights.save(model, tmp_path / name)
    start = Start(checkpoint=str(tmp_path / "whole"), decoder=str(tmp_path / "other"), sam=str(sam_folder))
    made = make_network(Recipe("test", "", start=start))
    wanted = Sam(SAM)
    load_sam(wanted, sam_folder)
    assert torch.equal(made.encoder.sam.pos_embed, wanted.pos_embed)
    assert torch.equal(
        made.encoder.clip.embeddings.class_embedding, whole.encoder.clip.embeddings.class_embedding
    )
    assert torch.equal(made.decoder.lm_head.weight, other.decoder.lm_head.weight)
    assert made.training and all(parameter.requires_grad for parameter in made.parameters())


def test_sizes_that_disagree(tmp_path: Path) -> None:
    weights.save(network(), tmp_path)
    start = Start(checkpoint=str(tmp_path))
    with pytest.raises(ConfigError, match="other sizes"):
        make_network(Recipe("test", "", network=replace(CONFIG, sam=SAM), start=start))
    with pytest.raises(ConfigError, match="neither a network nor a start"):
        make_network(Recipe("test", ""))
    deeper = replace(CONFIG, decoder=replace(CONFIG.decoder, num_hidden_layers=4))
    with pytest.raises(MissingTensor, match=r"layers\.3"):
        make_network(Recipe("test", "", network=deeper, start=Start(decoder=str(tmp_path))))
