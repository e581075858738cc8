"""Adapters: in PEFT's files, taken by PEFT itself, and merged."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from foveate.errors import CheckpointError, ModelNotFound, OptionError
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.training import lora
from foveate.training.finetune import finetuning
from foveate.training.loop import train
from foveate.training.lora import Adapters
from foveate.training.recipes import Lora
from tests import tiny
from tests.training import world

IDS = torch.arange(3, 20)[None]
Q = "model.layers.1.self_attn.q_proj"


def moved(adapters: Adapters) -> Adapters:
    """Adapters that have learned something: at first their second matrices are zero."""
    for number, parameter in enumerate(adapters.parameters()):
        parameter.data = 0.3 * tiny.noise(*parameter.shape, seed=number)
    return adapters


def shell(model: OCR, names: list[str]) -> nn.Module:
    """Modules with the released names and a copy of our weights, as another library would have them."""
    held = {slot.name: slot.tensor for slot in weights.slots(model)}
    root = nn.Module()
    for name in names:
        part = root
        *path, last = name.split(".")
        for step in path:
            if not hasattr(part, step):
                part.add_module(step, nn.Module())
            part = getattr(part, step)
        weight = held[f"{name}.weight"]
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight.data = weight.clone()
        part.add_module(last, layer)
    return root


@pytest.fixture
def model() -> Iterator[OCR]:
    yield tiny.network()


def test_an_adapter_starts_as_nothing_and_touches_no_weight(model: OCR) -> None:
    before = model(IDS)
    names = {name for name, _ in model.named_parameters()}
    adapters = Adapters(model, Lora(rank=2))
    assert model(IDS).equal(before) and {name for name, _ in model.named_parameters()} == names
    moved(adapters)
    assert not torch.allclose(model(IDS), before)
    assert len(adapters.parts) == 3 * 4


@torch.no_grad()
def test_merged_is_the_same_network(model: OCR) -> None:
    before = {name: p.clone() for name, p in model.named_parameters()}
    adapters = moved(Adapters(model, Lora(rank=2, alpha=3.0)))
    wanted = model(IDS)
    with adapters.merged():
        assert tiny.distance(model(IDS), wanted) < 1e-5
        assert not model.decoder.layers[0].self_attn.q_proj.weight.equal(
            before["decoder.layers.0.self_attn.q_proj.weight"]
        )
    assert all(p.equal(before[name]) for name, p in model.named_parameters())
    assert model(IDS).equal(wanted)


@pytest.mark.parametrize(
    "targets", [("q_proj", "v_proj"), ("gate_proj", "o_proj"), ("sam_model.blocks.0.attn.qkv", "out_proj")]
)
def test_peft_takes_what_is_saved(model: OCR, tmp_path: Path, targets: tuple[str, ...]) -> None:
    peft = pytest.importorskip("peft")
    rule = Lora(rank=2, alpha=3.0, targets=targets)
    adapters = moved(Adapters(model, rule))
    adapters.save(tmp_path, "somewhere/base")
    names = [name for name, _ in lora.find_layers(model, rule)]
    # Besides the adapted layers there is an expert's of the same kind, which has to stay as it is.
    expert = "model.layers.1.mlp.experts.0.gate_proj"
    wrapped = peft.PeftModel.from_pretrained(shell(model, [*names, expert]), tmp_path)
    merged = wrapped.merge_and_unload()
    with adapters.merged():
        for slot in weights.slots(model):
            name = slot.name.removesuffix(".weight")
            if name in [*names, expert]:
                theirs: Tensor = merged.get_submodule(name).weight
                torch.testing.assert_close(theirs.detach(), slot.tensor, rtol=1e-5, atol=1e-6)
    config = json.loads((tmp_path / lora.CONFIG_NAME).read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 2, 3.0)
    if "q_proj" in targets:
        assert f"base_model.model.{Q}.lora_A.weight" in lora.read_tensors(tmp_path)
        assert config["target_modules"] == list(targets)


def test_what_peft_saves_is_merged_here(model: OCR, tmp_path: Path) -> None:
    """Even adapters on single experts, which are slices of one tensor here."""
    peft = pytest.importorskip("peft")
    expert = "model.layers.2.mlp.experts.5.up_proj"
    rule = peft.LoraConfig(r=2, lora_alpha=5, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
    theirs = peft.get_peft_model(shell(model, [Q, expert]), rule)
    theirs.save_pretrained(tmp_path / "adapter")
    base = world.checkpoint(tmp_path / "base")
    weights.save(model, base)
    lora.merge(tmp_path / "adapter", tmp_path / "merged", str(base))
    stored = {slot.name: slot.tensor for slot in weights.slots(weights.load(tmp_path / "merged"))}
    merged = theirs.merge_and_unload()
    before = {slot.name: slot.tensor for slot in weights.slots(model)}
    for name, tensor in stored.items():
        changed = name.removesuffix(".weight") in (Q, expert)
        wanted = merged.get_parameter(name).detach() if changed else before[name]
        torch.testing.assert_close(tensor, wanted, rtol=1e-5, atol=1e-6)
        assert changed != tensor.equal(before[name])


def test_a_finetuned_adapter_and_its_merge(tmp_path: Path) -> None:
    base, shards = world.checkpoint(tmp_path / "base"), world.shards(tmp_path / "shards", 8)
    recipe = finetuning([shards], str(base), lora=True, rank=2, steps=2, rate=1e-2)
    assert recipe.lora == Lora(rank=2, alpha=4.0) and recipe.frozen == ()
    train(recipe, tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "step-00000002"
    assert (last / lora.CONFIG_NAME).is_file()
    lora.merge(last, tmp_path / "merged")  # the adapter knows its network
    merged, ours = weights.load(tmp_path / "merged"), weights.load(last)
    before = dict(weights.load(base).named_parameters())
    theirs = dict(ours.named_parameters())
    changed = set()
    for name, parameter in merged.named_parameters():
        torch.testing.assert_close(parameter, theirs[name], rtol=1e-6, atol=1e-7)
        changed |= {name.split(".")[-2]} if not parameter.equal(before[name]) else set()
    assert changed == {"q_proj", "k_proj", "v_proj", "o_proj"}


def test_mistakes(model: OCR, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'lm_head'"):
        Adapters(model, Lora(targets=("lm_head",)))
    with pytest.raises(ModelNotFound, match="adapter_config.json"):
        lora.merge(tmp_path, tmp_path / "out")
    adapters = Adapters(model, Lora(rank=2))
    adapters.save(tmp_path, "nano")
    with pytest.raises(CheckpointError, match="does not fit this network"):
        lora.merge(tmp_path, tmp_path / "out")
    with pytest.raises(CheckpointError, match="other layers or rank"):
        Adapters(tiny.network(), Lora(rank=4)).load(tmp_path)
    config = json.loads((tmp_path / lora.CONFIG_NAME).read_text())
    (tmp_path / lora.CONFIG_NAME).write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(CheckpointError, match="use_dora"):
        lora.merge(tmp_path, tmp_path / "out")
