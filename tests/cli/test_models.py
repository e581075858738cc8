"""`foveate models`, with a cache made here."""

import json
import os
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from foveate.cli import main, models
from foveate.config import OCRConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(cache: Path, name: str, config: object, weights: bytes | None = None) -> Path:
    """A repository in the layout of the Hugging Face cache."""
    snapshot = cache / f"models--{name.replace('/', '--')}" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(config))
    save_file({"a": numpy.zeros((3, 4), "f4"), "b": numpy.zeros(5, "f4")}, snapshot / "model.safetensors")
    if weights is not None:
        (snapshot / "model.safetensors").write_bytes(weights)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    return snapshot


def test_only_networks_of_ours_are_listed(tmp_path: Path) -> None:
    ours = OCRConfig().to_dict()
    snapshot = put_in_cache(tmp_path, "lab/ocr", ours)
    put_in_cache(tmp_path, "lab/relative", ours | {"architectures": ["UnlimitedOCRForCausalLM"]})
    put_in_cache(tmp_path, "lab/successor", ours | {"architectures": ["DeepseekOCR2ForCausalLM"]})
    put_in_cache(tmp_path, "lab/language", {"model_type": "gpt2"})
    put_in_cache(tmp_path, "lab/list", [1])
    put_in_cache(tmp_path, "lab/broken", ours, b"\xff" * 100)
    os.unlink(put_in_cache(tmp_path, "lab/empty", ours) / "model.safetensors")
    found = {model.name: model for model in models.cached(tmp_path)}
    assert set(found) == {"lab/ocr", "lab/relative"}
    assert found["lab/ocr"].parameters == 17
    assert found["lab/ocr"].folder.samefile(snapshot)
    assert found["lab/ocr"].size == (snapshot / "model.safetensors").stat().st_size


def test_no_cache_is_no_problem(tmp_path: Path) -> None:
    assert list(models.cached(tmp_path / "none")) == []


def test_the_lists(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    nano = models.Model("nano", Path("assets/nano"), 12_345_678, 6_000_000)
    monkeypatch.setattr(models, "embedded", lambda: iter([nano]))
    monkeypatch.setattr(models, "cached", lambda: iter(()))
    assert main(["models"]) == 0
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "embedded",
        "nano 12.3 MB 6,000,000 parameters assets/nano",
        "in the Hugging Face cache",
        "none",
    ]


@pytest.mark.parametrize(("size", "text"), [(900, "0.9 kB"), (54_321_000, "54.3 MB"), (6.7e9, "6.7 GB")])
def test_sizes(size: int, text: str) -> None:
    assert models._bytes(size) == text
