"""A model's folder, wherever the model lives; with a network or without one."""

import time
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from foveate.errors import ModelNotFound
from foveate.model.source import ASSETS, find_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, offline."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def keep(cache: Path, name: str = "owner/name", revision: str = "main", commit: str = COMMIT) -> Path:
    """Puts a model into the cache as the hub's library lays it out. Returns its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    for folder in (repository / "refs", repository / "blobs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / revision).write_text(commit)
    for number, file in enumerate(("config.json", "tokenizer.json", "model.safetensors")):
        blob = repository / "blobs" / f"{number:040x}"
        blob.write_text(file)
        (snapshot / file).symlink_to(Path("..", "..", "blobs", blob.name))
    return snapshot


def complaint(name: str, **how: Any) -> str:
    """What is said, in one line."""
    with pytest.raises(ModelNotFound) as caught:
        find_model(name, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_embedded_model(cache: Path) -> None:
    assert find_model("nano") == ASSETS / "nano"
    Path("nano").mkdir()
    assert find_model("nano") == ASSETS / "nano", "whatever lies in the current folder"
    assert find_model("./nano") == Path("nano")


def test_a_folder(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert find_model("owner/name") == Path("owner/name")
    assert find_model(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    "name", ["nanno", "a/b/c", "../x", "./x", "/no/such/folder", "https://hub.org/a/b", "a b/c"]
)
def test_what_is_neither(cache: Path, name: str) -> None:
    assert complaint(name).startswith(
        f"{name!r} is no folder and no hub id: choose nano, a folder, or OWNER/NAME"
    )


def test_a_model_that_is_not_cached_offline(cache: Path) -> None:
    started = time.process_time()
    assert complaint("owner/name") == (
        "owner/name could not be fetched (the hub cannot be reached, and the cache does not hold it): "
        "check the name and your access, or copy the checkpoint to a folder and name that"
    )
    assert time.process_time() - started < 3


def test_a_cached_model_offline(cache: Path) -> None:
    snapshot = keep(cache)
    assert find_model("owner/name") == snapshot
    assert (find_model("owner/name") / "config.json").read_text() == "config.json"


def test_revisions_of_a_cached_model_offline(cache: Path) -> None:
    old = keep(cache, revision="v1", commit=COMMIT[::-1])
    new = keep(cache)
    assert find_model("owner/name") == new
    assert find_model("owner/name", revision="v1") == old
    assert find_model("owner/name", revision=COMMIT[::-1]) == old
    assert "the cache does not hold it" in complaint("owner/name", revision="v2")


def test_what_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(name: str, **how: Any) -> str:
        asked.update(how, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert find_model("owner/name", revision="v1", token="secret") == tmp_path
    assert (asked["name"], asked["revision"], asked["token"]) == ("owner/name", "v1", "secret")
    assert not any(pattern.endswith((".py", ".bin", "*")) for pattern in asked["allow_patterns"])


class Response:
    """As much of an answer as the library's errors look at."""

    headers: dict[str, str] = {}
    request = status_code = None


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (errors.RepositoryNotFoundError, "the hub has no such model, or it is private"),
        (errors.GatedRepoError, "the hub asks you to accept its terms and to log in"),
        (errors.RevisionNotFoundError, "it has no revision 'v9'"),
        (lambda *_, **__: OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (lambda *_, **__: ValueError("first line\nsecond line"), "first line"),
        (lambda *_, **__: ValueError(), "ValueError"),
    ],
)
def test_reasons(monkeypatch: pytest.MonkeyPatch, cache: Path, problem: Any, reason: str) -> None:
    def snapshot_download(name: str, **how: Any) -> str:
        raise problem("404 Client Error. (Request ID: 1)\n\nand more", response=Response())

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert complaint("owner/name", revision="v9").startswith(f"owner/name could not be fetched ({reason}): ")


def test_an_interrupt_is_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(name: str, **how: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(KeyboardInterrupt):
        find_model("owner/name")
