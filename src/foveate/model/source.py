"""Where a model comes from: embedded in the package, a folder, or the Hugging Face hub and its cache."""

import re
from pathlib import Path

from foveate.errors import ModelNotFound

ASSETS = Path(__file__).parents[1] / "assets"
EMBEDDED = ("nano",)
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
NEEDED = ["config.json", "tokenizer.json", "*.safetensors", "model.safetensors.index.json"]


def find_model(name: str, revision: str | None = None, token: str | None = None) -> Path:
    """The folder of a model: an embedded one by its name, a folder, or a hub id, fetched once and then
    cached.

    A folder that is called like an embedded model is meant by "./nano". `token` is for private models;
    without it, the one that `hf auth login` stored is used. Raises `ModelNotFound`.
    """
    if name in EMBEDDED:
        return ASSETS / name
    if Path(name).is_dir():
        return Path(name)
    if not HUB_ID.fullmatch(name) or name.startswith("."):
        raise ModelNotFound(
            f"{name!r} is no folder and no hub id: choose {', '.join(EMBEDDED)}, a folder, or OWNER/NAME"
        )
    return _fetch(name, revision, token)


def _fetch(name: str, revision: str | None, token: str | None) -> Path:
    from huggingface_hub import snapshot_download  # takes a third of a second, for this case alone

    try:
        return Path(snapshot_download(name, revision=revision, token=token, allow_patterns=NEEDED))
    except Exception as problem:  # the library's many: no such repository, no access, no network, no space
        raise ModelNotFound(
            f"{name} could not be fetched ({_reason(problem, revision)}): check the name and your access, "
            "or copy the checkpoint to a folder and name that"
        ) from problem


def _reason(problem: Exception, revision: str | None) -> str:
    """In one line, and in words for people who do not write programs against the hub."""
    from huggingface_hub import errors

    if isinstance(problem, errors.GatedRepoError):
        return "the hub asks you to accept its terms and to log in"
    if isinstance(problem, errors.RepositoryNotFoundError):
        return "the hub has no such model, or it is private"
    if isinstance(problem, errors.RevisionNotFoundError):
        return f"it has no revision {revision!r}"
    if isinstance(problem, errors.LocalEntryNotFoundError):
        return "the hub cannot be reached, and the cache does not hold it"
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
