"""Weights go to disk and come back bit by bit; what does not fit is one error that names tensor and file."""

import errno
import importlib.util
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from foveate.config import CONFIG_NAME, ClipConfig, OCRConfig, SamConfig
from foveate.errors import (
    CheckpointError,
    ConfigError,
    FoveateError,
    MisshapedTensor,
    MissingTensor,
    ModelError,
    ModelNotFound,
    SurplusTensor,
    TruncatedShard,
)
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.model.weights import INDEX_NAME, PARTIAL_NAME, SINGLE_NAME, load, save, shapes, slots
from tests.tiny import CONFIG, network, with_decoder

SHARD = 1 << 17  # bytes; makes several of a tiny network
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "load_memory.py"


def same(ours: OCR, theirs: OCR) -> bool:
    """Every bit of every parameter."""
    pairs = zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True)
    return all(a == b and x.dtype == y.dtype and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny checkpoint in one file."""
    save(network(), tmp_path)
    return tmp_path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """The same in shards."""
    assert len(save(network(), tmp_path, SHARD)) > 3
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Tensor]], Any], name: str = SINGLE_NAME) -> None:
    """Changes the tensors of a file."""
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)


# --- there and back


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shard_bytes", [SHARD, 1 << 30])
def test_there_and_back(tmp_path: Path, dtype: torch.dtype, shard_bytes: int) -> None:
    model = network().to(dtype)
    files = save(model, tmp_path, shard_bytes)
    read = load(tmp_path)
    assert same(read, model) and read.config == CONFIG
    assert not read.training and not any(parameter.requires_grad for parameter in read.parameters())
    largest = max(slot.tensor.nbytes for slot in slots(model))
    assert all(file.stat().st_size < max(shard_bytes, largest) + 50_000 for file in files)
    others = {CONFIG_NAME, INDEX_NAME} if len(files) > 1 else {CONFIG_NAME}
    assert {path.name for path in tmp_path.iterdir()} == {file.name for file in files} | others


@pytest.mark.parametrize(
    "config",
    [
        with_decoder(num_key_value_heads=2),
        with_decoder(first_k_dense_replace=3),
        with_decoder(sliding_window=5),
        replace(CONFIG, sam=replace(CONFIG.sam, image_size=512), clip=replace(CONFIG.clip, image_size=112)),
    ],
    ids=["key heads", "dense", "window", "positions"],
)
def test_there_and_back_in_other_sizes(tmp_path: Path, config: OCRConfig) -> None:
    model = network(config)
    save(model, tmp_path)
    read = load(tmp_path)
    assert same(read, model) and read.config == config


def test_the_library_reads_our_files_and_we_read_its(sharded: Path) -> None:
    index = json.loads((sharded / INDEX_NAME).read_text())
    model = network()
    assert index["metadata"]["total_size"] == sum(parameter.nbytes for parameter in model.parameters())
    tensors: dict[str, Tensor] = {}
    for file in sorted(sharded.glob("*.safetensors")):
        held = load_file(file)
        assert {index["weight_map"][name] for name in held} == {file.name}
        save_file(held, file)
        tensors |= held
    assert tensors.keys() == index["weight_map"].keys()
    assert all(torch.equal(tensors[slot.name], slot.tensor) for slot in slots(model))
    assert same(load(sharded), model)


def test_released_names_and_shapes(shared: Path) -> None:
    released = json.loads((shared / "checkpoint" / "weight_shapes.json").read_text())
    ours = shapes(OCRConfig.load(shared / "checkpoint"))
    assert {name: list(shape) for name, shape in ours.items()} == released
    assert len(released) == 2710


def test_nothing_of_a_network_is_left_out() -> None:
    model = network()
    assert not list(model.buffers())
    assert sum(slot.tensor.numel() for slot in slots(model)) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_another_dtype(folder: Path, dtype: torch.dtype) -> None:
    assert same(load(folder, dtype=dtype), network().to(dtype))


def test_the_dtype_of_most_tensors_is_taken(folder: Path) -> None:
    def mix(tensors: dict[str, Tensor]) -> None:
        for name in tensors:
            if not name.endswith("norm.weight"):
                tensors[name] = tensors[name].bfloat16()

    edit(folder, mix)
    assert load(folder).dtype is torch.bfloat16


def test_large_tensors_come_in_portions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAPPED_BYTES", 1000)
    assert same(load(folder), network())


def test_a_device_without_room(folder: Path) -> None:
    values = json.loads((folder / CONFIG_NAME).read_text())
    values["language_config"]["vocab_size"] = 10**14
    with pytest.raises(MisshapedTensor):  # compared before anything is allocated
        write_config(folder, values)
        load(folder)
    huge = weights._skeleton(with_decoder(vocab_size=10**14))
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(ModelError, match="no room for the network on cpu"),
    ):
        patch.setattr(weights, "_skeleton", lambda config: huge)
        patch.setattr(weights, "_compare", lambda *_: None)
        load(folder)


# --- what does not fit


def write_config(folder: Path, values: object) -> None:
    (folder / CONFIG_NAME).write_text(values if isinstance(values, str) else json.dumps(values))


def complaint(folder: Path, kind: type[FoveateError]) -> str:
    """What loading complains about, in one line."""
    with pytest.raises(kind) as caught:
        load(folder)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_tensor(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.pop("model.norm.weight"))
    assert complaint(folder, MissingTensor).startswith(f"model.norm.weight not in {folder / SINGLE_NAME}:")


def test_missing_tensors_of_shards(sharded: Path) -> None:
    for file in sharded.glob("*.safetensors"):
        edit(
            sharded,
            lambda tensors: [tensors.pop(n) for n in list(tensors) if "model.layers.1.mlp" in n],
            file.name,
        )
    text = complaint(sharded, MissingTensor)
    lost = sum("model.layers.1.mlp" in name for name in shapes(CONFIG))
    assert text.startswith("model.layers.1.mlp.")
    assert f" and {lost - 1} more not in any of the " in text


def test_a_surplus_tensor(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update(stranger=torch.zeros(1)))
    assert complaint(folder, SurplusTensor).startswith(f"{folder / SINGLE_NAME} holds stranger, which")


def test_a_misshaped_tensor(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update({"lm_head.weight": torch.zeros(95, 48)}))
    text = complaint(folder, MisshapedTensor)
    assert text.startswith(
        f"lm_head.weight in {folder / SINGLE_NAME} is (95, 48), the network needs (96, 48)"
    )


def test_a_quantised_tensor(folder: Path) -> None:
    def quantise(tensors: dict[str, Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["lm_head.weight"].to(torch.int8)

    edit(folder, quantise)
    text = complaint(folder, CheckpointError)
    assert text.startswith(f"lm_head.weight in {folder / SINGLE_NAME} is stored as I8")


@pytest.mark.parametrize("left", [0, 7, 100, -1])
def test_a_truncated_shard(sharded: Path, left: int) -> None:
    file = sorted(sharded.glob("*.safetensors"))[1]
    file.write_bytes(file.read_bytes()[:left])
    assert complaint(sharded, TruncatedShard).startswith(f"{file} is cut short or damaged (")


def test_a_pointer_instead_of_the_file(folder: Path) -> None:
    (folder / SINGLE_NAME).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 6672547120\n"
    )
    complaint(folder, TruncatedShard)


def test_a_missing_shard(sharded: Path) -> None:
    file = sorted(sharded.glob("*.safetensors"))[1]
    held = load_file(file)
    file.unlink()
    text = complaint(sharded, ModelNotFound)
    assert text.startswith(f"{sharded} holds no {file.name}, which has ") and any(
        name in text for name in held
    )


def test_shards_without_an_index_are_read_when_none_is_missing(sharded: Path) -> None:
    (sharded / INDEX_NAME).unlink()
    assert same(load(sharded), network())
    sorted(sharded.glob("*.safetensors"))[1].unlink()
    complaint(sharded, MissingTensor)


def test_a_doubled_tensor_is_refused(sharded: Path) -> None:
    first, second, *_ = sorted(sharded.glob("*.safetensors"))
    name, tensor = next(iter(load_file(first).items()))
    edit(sharded, lambda tensors: tensors.update({name: tensor}), second.name)
    assert complaint(sharded, CheckpointError).startswith(f"{name} is in {first} and in {second}: keep ")


@pytest.mark.parametrize(
    "index",
    [
        "",
        "\xff",
        "[]",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": "../model.safetensors"}}',
        '{"weight_map": {"a": "/etc/passwd"}}',
        '{"weight_map": {"a": ""}}',
    ],
)
def test_a_garbage_index(sharded: Path, index: str) -> None:
    (sharded / INDEX_NAME).write_bytes(index.encode("latin-1"))
    text = complaint(sharded, CheckpointError)
    assert text.startswith(f"{sharded / INDEX_NAME} is not an index of shards (")


def test_wrong_folders(tmp_path: Path) -> None:
    assert complaint(tmp_path, ModelNotFound).startswith(f"{tmp_path} holds no {CONFIG_NAME}")
    assert complaint(tmp_path / "nowhere", ModelNotFound)
    CONFIG.save(tmp_path)
    text = complaint(tmp_path, ModelNotFound)
    assert text == f"{tmp_path} holds no {SINGLE_NAME}: the download is not complete"


@pytest.mark.parametrize("text", ["", "{", "\xff", "[]", "{}", '{"model_type": "llama"}'])
def test_a_config_that_is_none(folder: Path, text: str) -> None:
    (folder / CONFIG_NAME).write_bytes(text.encode("latin-1"))
    complaint(folder, ConfigError)


# --- saving over, and not to the end


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "notes.safetensors").write_bytes(b"another program's")
    first, second = network(seed=1), network(with_decoder(num_hidden_layers=2), seed=2)
    for model, shard_bytes in ((first, SHARD), (second, 1 << 30), (first, SHARD // 2), (second, SHARD)):
        save(model, tmp_path, shard_bytes)
        assert same(load(tmp_path), model)
    assert (tmp_path / "notes.safetensors").exists()


@pytest.mark.parametrize("shard_bytes", [SHARD, 1 << 30])
def test_a_full_disk_leaves_the_old_network(folder: Path, shard_bytes: int) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SHARD // 2, hard))
    try:
        with pytest.raises(CheckpointError, match=f"cannot be written to {folder}: .*{errno.EFBIG}"):
            save(network(seed=1), folder, shard_bytes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert same(load(folder), network())


class Killed(BaseException):
    """The end of the process, as far as a test can have it."""


@pytest.mark.parametrize("moves", range(4))
def test_a_kill_while_files_appear_leaves_no_mixture(
    sharded: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    left = [moves]
    move = Path.replace

    def counted(path: Path, target: Path) -> Path:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return move(path, target)

    monkeypatch.setattr(Path, "replace", counted)
    with pytest.raises(Killed):
        save(network(seed=1), sharded, SHARD)
    with pytest.raises((ModelNotFound, MissingTensor)):
        load(sharded)


def test_what_a_killed_save_left_does_not_matter(folder: Path) -> None:
    (folder / PARTIAL_NAME).mkdir()
    (folder / PARTIAL_NAME / SINGLE_NAME).write_bytes(b"half")
    assert same(load(folder), network())
    save(network(seed=1), folder)
    assert same(load(folder), network(seed=1)) and not (folder / PARTIAL_NAME).exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written to"):
        save(network(), tmp_path / "file")


# --- memory


def test_loading_imports_no_compiler(folder: Path) -> None:
    """Parts of PyTorch that take seconds and 100 MB, and that values on the meta device would import."""
    code = (
        "import sys; from pathlib import Path; from foveate.model.weights import load\n"
        "load(Path(sys.argv[1]))\n"
        "print(sorted({'torch._dynamo', 'torch._inductor', 'sympy'} & sys.modules.keys()))"
    )
    run = [sys.executable, "-c", code, str(folder)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("load_memory", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("shard_bytes", [1 << 40, 1 << 28], ids=["single", "shards"])
def test_peak_memory(tmp_path: Path, shard_bytes: int) -> None:
    """At most 1.15 x the checkpoint, on top of what the process held before it loaded (mostly PyTorch)."""
    load_memory = benchmark()
    decoder = replace(OCRConfig().decoder, num_hidden_layers=2, n_routed_experts=16, vocab_size=16_000)
    config = OCRConfig(SamConfig(layers=6), ClipConfig(layers=6), decoder)
    size = load_memory.make(config, tmp_path, shard_bytes)
    assert 300e6 < size < 700e6
    assert load_memory.measure(tmp_path).peak < 1.15 * size
