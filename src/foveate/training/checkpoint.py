"""Folders that hold a run's state: each appears whole or not at all, and old ones go by a rule."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foveate.errors import CheckpointError
from foveate.training.recipes import Checkpoints

FOLDER, STATE_NAME, VERSION = "checkpoints", "training.json", 1
NAME = re.compile(r"step-(\d{8,})")


def name_of(step: int) -> str:
    return f"step-{step:08d}"


def step_of(folder: Path) -> int:
    """The step after which a checkpoint was written."""
    match = NAME.fullmatch(folder.name)
    assert match is not None, f"{folder} is no checkpoint of ours"
    return int(match[1])


def found(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first. What a killed writer left behind is none."""
    folders = (run / FOLDER).iterdir() if (run / FOLDER).is_dir() else ()
    return sorted((folder for folder in folders if NAME.fullmatch(folder.name)), key=step_of)


def write(
    run: Path,
    step: int,
    fill: Callable[[Path], None],
    leads: bool = True,
    wait: Callable[[], None] = lambda: None,
) -> Path:
    """Writes a checkpoint: `fill` puts its files into a folder that then gets its name.

    With several processes all of them call it; the one that leads makes the folder and names it, and `wait`
    brings them together. Raises `CheckpointError` when it cannot be written.
    """
    folder = run / FOLDER / name_of(step)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        if leads:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        wait()
        fill(partial)
        wait()
        if leads:
            _appear(partial, folder)
        wait()
    except OSError as problem:
        raise CheckpointError(f"{folder} cannot be written ({problem}): make room, then resume") from problem
    return folder


def _appear(partial: Path, folder: Path) -> None:
    for file in (*partial.rglob("*"), partial):
        _sync(file)
    if folder.exists():  # the step was done before, and done again from an older checkpoint
        shutil.rmtree(folder)
    partial.rename(folder)
    _sync(folder.parent)


def prune(run: Path, rule: Checkpoints) -> None:
    """Removes what the rule does not keep, and what killed writers left behind."""
    folders = found(run)
    for folder in folders[: -rule.last]:
        if not (rule.keep_every and step_of(folder) % rule.keep_every == 0):
            _remove(folder)
    for partial in (run / FOLDER).glob(".*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def _remove(folder: Path) -> None:
    """First it loses its name, so that nobody finds a half of it."""
    gone = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def write_state(folder: Path, values: dict[str, Any]) -> None:
    """Puts what a run needs beside its weights into a checkpoint, as JSON."""
    text = json.dumps({"version": VERSION, **values}, indent=1, ensure_ascii=False)
    (folder / STATE_NAME).write_text(text + "\n", encoding="utf-8")


def read_state(folder: Path) -> dict[str, Any]:
    """What `write_state` wrote. Raises `CheckpointError`."""
    path = folder / STATE_NAME
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = values["version"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise CheckpointError(f"{path} is no state of a run ({problem}): resume from another") from problem
    if version > VERSION:
        raise CheckpointError(f"{path} has version {version}, this foveate reads up to {VERSION}: update it")
    return values


def _sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
