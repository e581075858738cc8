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

    `token` is for private models; without it, the one that `hf auth login` stored is used. Raises
    `ModelNotFound`.
    """
    if name in EMBEDDED and not Path(name).is_dir():
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
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise ModelNotFound(
            f"{name} could not be fetched ({reason}): check the name and your access, "
            "or copy the checkpoint to a folder and name that"
        ) from problem
