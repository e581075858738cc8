"""Text alone: documents one after the other, cut to sequences of a fixed number of tokens.

The files are plain text or .xz, their documents separated by form feeds. Each sample starts at a place of its
own in a file and goes on, over the ends of documents, until it has its tokens. How far apart the places are
follows from how many bytes a token takes in that file, measured at a few spots; so neighbours touch nearly,
and no index of the whole text is needed.
"""

from __future__ import annotations

import lzma
import mmap
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from foveate.data.sample import Sample, Skipped, Task, Turn
from foveate.errors import CorruptSource, InputError, OptionError, SourceNotFound
from foveate.pages.tokenizer import END, Tokenizer

BREAK = b"\f"
SPOTS, SPOT_BYTES = 16, 8192  # where the bytes of a token are measured
WITHIN = 1 << 16  # bytes in which a line should begin
_SPECIAL = re.compile(r"<(?:[|｜][^<>\n]{1,40}[|｜]|image)>")


class TextFile:
    """The bytes of a text, without being held in memory: a map of the file, or of its unpacked copy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                packed = path.suffix == ".xz"
                if not packed and not path.stat().st_size:
                    raise CorruptSource(f"{path} is empty: leave it out")
                self._bytes = (
                    _unpacked(file, path) if packed else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                )
        except OSError as problem:
            raise SourceNotFound(f"{path} cannot be opened ({problem.strerror}): check the path") from problem
        self._check()

    def _check(self) -> None:
        """Looks at a few spots: letters of another encoding would be left out without a word."""
        for start in (len(self) * spot // SPOTS for spot in range(SPOTS)):
            stretch = self._bytes[start : start + SPOT_BYTES]
            lost = len(stretch) - len(stretch.decode("utf-8", "ignore").encode())
            if lost > 6 + len(stretch) // 2000:  # halves of letters at both ends, and a slip now and then
                raise CorruptSource(
                    f"{self.path} is not UTF-8 near byte {start:,}: convert it, such as with iconv -t UTF-8"
                )

    def __len__(self) -> int:
        return len(self._bytes)

    def start_near(self, place: int) -> int:
        """Where a line or a document begins, at the place or soon after it."""
        if not place:
            return 0
        ends = [self._bytes.find(end, place - 1, place + WITHIN) for end in (BREAK, b"\n")]
        found = [end for end in ends if end >= 0]
        return min(found) + 1 if found else place

    def text(self, start: int, stop: int) -> str:
        """What stands between two places; halves of letters at its ends are left out."""
        return self._bytes[start:stop].decode("utf-8", "ignore").removeprefix("\ufeff")


def _unpacked(file: Any, path: Path) -> mmap.mmap:
    """A map of the unpacked text; its file has no name and goes with the map."""
    with tempfile.TemporaryFile() as copy:
        try:
            with lzma.open(file) as packed:
                shutil.copyfileobj(packed, copy, 1 << 20)
        except (lzma.LZMAError, EOFError) as problem:
            raise CorruptSource(f"{path} is no whole .xz file ({problem}): fetch it again") from problem
        copy.flush()
        if not copy.tell():
            raise CorruptSource(f"{path} is empty: leave it out")
        return mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ)


@dataclass(frozen=True)
class TextMaker:
    """Sequences of text with at most `tokens` tokens, its beginning and its end counted.

    The end token stands between two documents of one sequence, as text: the tokenizer makes it one again.
    """

    files: tuple[Path, ...]
    tokenizer: Path  # a folder with a tokenizer.json
    tokens: int = 8192

    def __post_init__(self) -> None:
        if self.tokens < 16:
            raise OptionError(f"text of {self.tokens} tokens: choose 16 or more")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.files, self.tokenizer, self.tokens)  # without what is cached below

    @property
    def kind(self) -> str:
        return "text"

    @property
    def task(self) -> Task:
        return "text"

    @property
    def size(self) -> int:
        return sum(count for _, count in self._windows)

    def make(self, number: int, seed: int) -> Sample | Skipped:
        place = number
        for file, (step, count) in zip(self._files, self._windows, strict=True):
            if place < count:
                return self._sample(file, place, step, number, seed)
            place -= count
        raise AssertionError(f"{number} is not below {self.size}")

    def _sample(self, file: TextFile, place: int, step: int, number: int, seed: int) -> Sample | Skipped:
        source = f"{file.path.name}, byte {(start := file.start_near(place * step))}"
        text = joined(file.text(start, start + 2 * step).split(BREAK.decode()))
        text, count = cut(text, self.tokens - 2, self._tokenizer)
        if not text:
            return Skipped(self.kind, source, "there is no text here", number)
        return Sample(
            kind=self.kind,
            task=self.task,
            turns=(Turn("user", ""), Turn("assistant", text)),
            language=language_of(file.path),
            source=source,
            number=number,
            seed=seed,
            details={"tokens": count + 2, "documents": text.count(END) + 1},
        )

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.load(self.tokenizer)

    @cached_property
    def _files(self) -> list[TextFile]:
        return [TextFile(path) for path in self.files]

    @cached_property
    def _windows(self) -> list[tuple[int, int]]:
        """For each file: bytes from one sample to the next, and how many samples there are."""
        return [self._window(file) for file in self._files]

    def _window(self, file: TextFile) -> tuple[int, int]:
        spots = [len(file) * spot // SPOTS for spot in range(SPOTS)]
        texts = [joined([file.text(spot, spot + SPOT_BYTES)]) for spot in spots]
        taken = sum(len(text.encode()) for text in texts)
        tokens = sum(len(self._tokenizer.encode(text)) for text in texts)
        step = max(1, taken * (self.tokens - 2) // max(tokens, 1))
        return step, -(-len(file) // step)


def joined(documents: Iterable[str]) -> str:
    """Documents with the end token between them; words that a tokenizer would take for its own are gone."""
    cleaned = (_SPECIAL.sub("", document).strip() for document in documents)
    return END.join(document for document in cleaned if document)


def cut(text: str, tokens: int, tokenizer: Tokenizer) -> tuple[str, int]:
    """The longest beginning of a text that is no more than so many tokens, nearly; and its tokens."""
    ids = tokenizer.encode(text)
    while len(ids) > tokens:
        # What is cut in the middle of a letter decodes to this sign; a cut word may take a token more.
        text = tokenizer.decode(ids[:tokens]).rstrip("\ufffd").removesuffix(END).rstrip()
        ids = tokenizer.encode(text)
        tokens -= len(ids) > tokens
    return text, len(ids)


def opened(files: Sequence[Path]) -> list[TextFile]:
    """The files of a maker. Raises `OptionError` for one that cannot be read: every sample may need it."""
    try:
        return [TextFile(path) for path in files]
    except InputError as problem:
        raise OptionError(str(problem)) from problem


def language_of(path: Path) -> str:
    """The language that a file's name begins with: "en-modern.txt.xz" is "en"; "" when it names none."""
    first = re.split(r"[-_.]", path.name)[0].lower()
    return first if re.fullmatch("[a-z]{2,3}", first) and first not in ("mul", "txt", "und") else ""
