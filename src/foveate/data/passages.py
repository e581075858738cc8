"""Passages of text files, for pages to be set with.

Documents in a file, plain or .xz, are separated by form feeds, and its name begins with their language ("de",
"de-modern"); in a file named "mul-…" every document's first line is a code and its language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from foveate.data.text import language_of, opened

_SPECIAL = re.compile(r"<(?=[|｜]|image>)")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")  # seen by nobody


@dataclass(frozen=True)
class Passage:
    """A piece of text, its paragraphs one a line."""

    language: str
    paragraphs: tuple[str, ...]
    source: str


class TextSource(Protocol):
    """Where passages come from."""

    def pick(self, rng: np.random.Generator, characters: int) -> Passage: ...


@dataclass(frozen=True)
class Documents:
    """Documents in memory, each with its language."""

    name: str
    items: Sequence[tuple[str, str]]

    def pick(self, rng: np.random.Generator, characters: int) -> Passage:
        """About so many characters of a document, from the begin of a paragraph on."""
        language, text = self.items[int(rng.integers(len(self.items)))]
        found = paragraphs(text)
        lengths = np.cumsum([len(part) for part in found][::-1])[::-1]
        enough = max(1, int(np.count_nonzero(lengths >= characters)))
        return Passage(language, _cut(found[int(rng.integers(enough)) :], characters), self.name)


class CorpusFile:
    """A long text that stays on disk."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.language = language_of(path)
        (self._file,) = opened([path])

    def pick(self, rng: np.random.Generator, characters: int) -> Passage:
        """About so many characters from the begin of a line on, of one document if it is long enough."""
        start = self._file.start_near(int(rng.integers(len(self._file))))
        text = self._file.text(start, start + 6 * characters + 400)
        documents = [part for part in text.split("\f") if len(part) > 40] or [text]
        return Passage(self.language, _cut(paragraphs(documents[0]), characters), self.name)


def open_source(path: Path) -> TextSource:
    """The passages of a file."""
    if not re.match("mul[-_.]", path.name):
        return CorpusFile(path)
    return Documents(path.name, [(tags.language, text) for tags, text in read_declarations(path)])


@dataclass(frozen=True)
class Tags:
    """The first line of a document in a file of many languages."""

    code: str
    language: str  # BCP 47


def read_declarations(path: Path) -> list[tuple[Tags, str]]:
    """The documents of a file of many languages."""
    (file,) = opened([path])
    found = []
    for document in file.text(0, len(file)).split("\f"):
        head, _, text = document.strip().partition("\n")
        code, _, language = head.partition(" ")
        if text.strip():
            found.append((Tags(code, language.split(" ")[0]), text))
    return found


def paragraphs(text: str) -> list[str]:
    """The text's paragraphs: its lines, or what is between empty lines where lines were cut to a width."""
    text = _SPECIAL.sub("", _CONTROLS.sub("", text)).replace("\f", "\n\n").replace("\r", "")
    lines = [line for line in text.split("\n") if line.strip()]
    full = sum(40 <= len(line) <= 90 for line in lines)
    ended = sum(line.rstrip()[-1] in ".!?…\"'”»。" for line in lines)
    wrapped = len(lines) > 3 and full > 0.5 * len(lines) and ended < 0.5 * len(lines)
    parts = re.split(r"\n\s*\n", text) if wrapped else lines
    return [" ".join(part.split()) for part in parts if part.strip()] or [""]


def _cut(parts: Sequence[str], characters: int) -> tuple[str, ...]:
    """The first paragraphs, with so many characters or a few more."""
    kept, count = [], 0
    for part in parts:
        kept.append(part[: characters - count + 200])
        count += len(kept[-1])
        if count >= characters:
            break
    return tuple(kept)
