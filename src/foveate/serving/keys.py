"""API keys: who may ask. Only their SHA-256 is kept, and every comparison takes the same time."""

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from foveate.errors import OptionError

PREFIX = "fvt-"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASHED = "sha256:"


@dataclass(frozen=True)
class Asker:
    """Whoever asks: the name of a key, or everybody where there are none."""

    name: str


ANYBODY = Asker("anybody")


@dataclass(frozen=True)
class Keys:
    """Names and the SHA-256 of their keys, as (name, 64 hexadecimal digits)."""

    hashes: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hashes)

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """Reads a file of `name key` or `name sha256:digits`, one a line; # begins a remark.

        Raises `OptionError`.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as problem:
            raise OptionError(f"{path}: the keys cannot be read ({problem}): give a text file") from problem
        found: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or not NAME.fullmatch(words[0]) or words[0] in found:
                raise OptionError(f"{path}, line {number}: write a name of its own, a space and a key")
            found[words[0]] = _hash_of(words[1], f"{path}, line {number}")
        if not found:
            raise OptionError(
                f"{path} holds no keys: make one with foveate serve --keys {path} --new-key NAME"
            )
        return cls(tuple(found.items()))

    def find(self, key: str) -> Asker | None:
        """Whose key it is. All are compared, so that the time says nothing."""
        digest, found = hash_key(key), None
        for name, known in self.hashes:
            if hmac.compare_digest(digest, known):
                found = Asker(name)
        return found


def hash_key(key: str) -> str:
    """A key's SHA-256, in hexadecimal. Keys are long and random, so no slow hash is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(path: Path, name: str) -> str:
    """Adds a key to the file and returns it; the file holds only its hash. Raises `OptionError`."""
    if not NAME.fullmatch(name) or name == ANYBODY.name:
        raise OptionError(f"{name!r} cannot name a key: use letters, digits, dots and dashes")
    if path.exists() and name in path.read_text(encoding="utf-8").split():
        raise OptionError(f"{path} has a key {name!r} already: choose another name")
    key = PREFIX + secrets.token_urlsafe(32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
        file.write(f"{name} {_HASHED}{hash_key(key)}\n")
    return key


def _hash_of(word: str, place: str) -> str:
    if not word.startswith(_HASHED):
        if len(word) < 16:
            raise OptionError(f"{place}: a key of {len(word)} characters can be guessed: use 16 or more")
        return hash_key(word)
    digits = word.removeprefix(_HASHED).lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise OptionError(f"{place}: after {_HASHED} come 64 hexadecimal digits")
    return digits
