"""What a user names, as documents: files, folders, patterns, lists and addresses.

An address such as `s3://bucket/scans` is anything that fsspec opens; its files are fetched when their turn
comes.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from foveate.errors import InputError, OptionError, SourceNotFound, SourceTooLarge
from foveate.pages.source import SUFFIXES, expand

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SECRET = re.compile(r"://[^/@]*@")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_MOST_LISTED = 10  # lists within lists


@dataclass(frozen=True)
class Found:
    """One document, not yet opened."""

    place: str  # where it is: an absolute path or an address
    name: str  # as the user named it
    below: str  # its path below what was named, with slashes

    @property
    def remote(self) -> bool:
        return is_address(self.place)


def is_address(text: str) -> bool:
    """Whether it is an address rather than a path."""
    return ADDRESS.match(text) is not None


def find(inputs: Sequence[str], out: Path | None = None) -> list[Found]:
    """The documents that the inputs stand for, in order, each once.

    A file stands for itself, a folder for every PDF and picture in it and below, a pattern for what matches,
    `@FILE` for the inputs on the lines of a file, an address for what is there. What lies below `out` is left
    out of a folder that holds it. Raises `SourceNotFound` or `OptionError`.
    """
    found: dict[str, Found] = {}
    for name in _listed(inputs):
        documents = _remote(name) if is_address(name) else _local(name, out)
        for document in documents:
            found.setdefault(document.place, document)
    return list(found.values())


def _listed(inputs: Sequence[str], depth: int = 0) -> Iterator[str]:
    """The inputs, with those on the lines of lists in their places."""
    for name in inputs:
        if not name.startswith("@") or os.path.exists(name):
            yield name
            continue
        if depth == _MOST_LISTED:
            raise OptionError(f"{name}: a list that names itself, or lists within lists too deep")
        lines = (line.strip() for line in _lines(name[1:]))
        yield from _listed([line for line in lines if line and not line.startswith("#")], depth + 1)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as problem:
        raise SourceNotFound(f"@{path}: the list cannot be read ({problem.strerror}): check it") from problem
    except UnicodeDecodeError as problem:
        raise OptionError(f"@{path} is no list: write one input a line, in UTF-8") from problem


def _local(name: str, out: Path | None) -> Iterator[Found]:
    if name == "-":
        raise OptionError("a batch reads no standard input: name files, or use foveate read")
    root, outside = _root(name), None
    if out is not None and os.path.isdir(name):
        outside = out.resolve()
        if outside == Path(name).resolve():
            raise OptionError(f"{name} is both what is read and --out: choose another folder for --out")
    for path in expand([name]):
        place = os.path.abspath(path)
        if outside is not None and outside in Path(place).resolve().parents and _holds(name, outside):
            continue
        below = os.path.relpath(path, root).replace(os.sep, "/")
        yield Found(place, os.fspath(path).replace(os.sep, "/"), below)


def _holds(folder: str, inner: Path) -> bool:
    return Path(folder).resolve() in inner.parents


def _root(name: str) -> str:
    """The folder below which the names of a file, folder or pattern differ."""
    if os.path.isdir(name):
        return name
    return os.path.dirname(name if os.path.exists(name) else _plain(name)) or "."


def _plain(pattern: str) -> str:
    """A pattern up to its first part that stands for others."""
    parts = re.split(r"(?<=[/\\])", pattern) if os.sep == "\\" else re.split("(?<=/)", pattern)
    kept: list[str] = []
    for part in parts[:-1]:
        if glob.has_magic(part):
            break
        kept.append(part)
    return "".join(kept)


def _remote(address: str) -> Iterator[Found]:
    system, path = open_address(address)
    shown = _SECRET.sub("://", address)
    try:
        files = _remote_files(system, path)
    except FileNotFoundError:
        files = []
    except Exception as problem:  # each file system has its own
        raise SourceNotFound(
            f"{shown}: cannot be listed ({_reason(problem)}): check the address"
        ) from problem
    if not files:
        raise SourceNotFound(f"{shown}: there is no PDF or picture: check the address")
    root = _remote_root(system, path)
    for file in files:
        place = str(system.unstrip_protocol(file))
        below = file[len(root) :].lstrip("/") if file.startswith(root) else PurePosixPath(file).name
        yield Found(place, _SECRET.sub("://", place), below)


def _remote_files(system: Any, path: str) -> list[str]:
    """The documents of an address: of a folder by their suffixes, a file whatever its name."""
    if glob.has_magic(path):
        matches = sorted(system.glob(path, detail=True).items())
        nested = [_below(system, name) if info["type"] == "directory" else [name] for name, info in matches]
        return [file for files in nested for file in files]
    if system.isdir(path):
        return _below(system, path)
    return [path] if system.exists(path) else []


def _below(system: Any, path: str) -> list[str]:
    return [file for file in sorted(system.find(path)) if _is_document(file[len(path) :])]


def _is_document(below: str) -> bool:
    parts = PurePosixPath(below.lstrip("/")).parts
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and PurePosixPath(below).suffix.lower() in SUFFIXES


def _remote_root(system: Any, path: str) -> str:
    if glob.has_magic(path):
        return _plain(path)
    return path.rstrip("/") + "/" if system.isdir(path) else path.rpartition("/")[0] + "/"


def open_address(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it. Raises `OptionError` for what fsspec cannot open."""
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError as problem:
        raise OptionError(f"{address} needs fsspec: pip install 'foveate[batch]'") from problem
    shown = _SECRET.sub("://", address)
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as problem:
        raise OptionError(f"{shown} needs another library: {problem}") from problem
    except Exception as problem:  # each file system has its own
        raise OptionError(f"{shown} cannot be opened ({_reason(problem)}): check the address") from problem
    return system, str(path)


def fetch(address: str, target: Path, most_bytes: int, tries: int = 3, pause: float = 1.0) -> None:
    """Copies a file to `target`, which appears whole. Tries again after `pause` seconds, then twice as many.

    Raises `InputError`, or `OSError` where the copy cannot be kept.
    """
    shown = _SECRET.sub("://", address)
    system, path = open_address(address)
    for tried in range(1, tries + 1):
        try:
            return _copy(system, path, shown, target, most_bytes)
        except InputError:
            raise
        except FileNotFoundError as problem:
            raise SourceNotFound(f"{shown}: there is no such file: check the address") from problem
        except Exception as problem:  # each file system has its own
            if isinstance(problem, OSError) and problem.errno in _NO_ROOM:
                raise
            if tried == tries:
                raise SourceNotFound(
                    f"{shown}: cannot be fetched ({_reason(problem)}): try again"
                ) from problem
        time.sleep(pause * 2 ** (tried - 1))


def _copy(system: Any, path: str, shown: str, target: Path, most_bytes: int) -> None:
    size = system.info(path).get("size")
    if size is not None and size > most_bytes:
        raise SourceTooLarge(f"{shown}: over the limit of {most_bytes:,} bytes: raise it, or leave it out")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    system.get_file(path, str(partial))
    os.replace(partial, target)


def _reason(problem: BaseException) -> str:
    lines = str(problem).splitlines()
    return lines[0] if lines else type(problem).__name__
