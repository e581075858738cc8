"""Text to draw: whole books and modern sentences, and made-up text that cannot be guessed.

    python scripts/nano/text.py --corpus ../shared/corpus --show 3

The corpora are cleaned once into a single file of one byte a character, which worker processes map into
memory. Paragraphs are separated by a blank line; "# " starts a heading and "- " an item, as in Markdown.
"""

from __future__ import annotations

import argparse
import calendar
import codecs
import lzma
import os
import re
import tempfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

ASCII = "".join(map(chr, range(0x21, 0x7F)))
BEYOND = "“”‘’–—…£§€°½×·àáâäçèéêëíîïñóôöùûüæœÆÉ"
ALPHABET = ASCII + BEYOND  # every character that leaves ink; the space is drawn by moving on
SPLITS = ("train", "heldout")
CORPORA = ("en.txt.xz", "en-modern.txt.xz")
REVISION = 2  # of the cleaning below: a cache of another revision is not read

_LIKE = str.maketrans(
    {"−": "-", "‐": "-", "‑": "-", "―": "—", "′": "'", "″": '"', "´": "'", "⁄": "/", "ß": "ss", "ø": "o"}
)
_BYTES = "".join(map(chr, range(128))) + BEYOND + "\ufffe" * (128 - len(BEYOND))
_TO_BYTES = codecs.charmap_build(_BYTES)


def split_of(book: str) -> str:
    """The split of a document, by the checksum of its first 1,000 characters: one in twenty is held out."""
    return SPLITS[zlib.crc32(book[:1000].encode()) % 20 == 0]


@lru_cache(maxsize=4096)
def _replacement(character: str) -> str:
    if character in ALPHABET or character in " \n":
        return character
    if character.isspace():
        return " "
    plain = unicodedata.normalize("NFKC", character.translate(_LIKE)).translate(_LIKE)
    if any(part not in ALPHABET for part in plain):
        plain = unicodedata.normalize("NFKD", plain)
    return "".join(part for part in plain if part in ALPHABET)


def clean(text: str) -> str:
    """The text in ALPHABET, spaces and newlines: other characters take their plain form or go."""
    strange = set(text).difference(ALPHABET, " \n")
    return text.translate({ord(c): _replacement(c) for c in strange}) if strange else text


def reflow(text: str) -> str:
    """Hard-wrapped lines joined to paragraphs, one a line, without Gutenberg's markup."""
    text = re.sub(r"\[Illustration[^\]]*\]", "", text).replace("_", "")
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n[ \t]*\n", clean(text)))
    return "\n".join(part for part in paragraphs if part)


def _books(corpus: Path) -> Iterator[tuple[bool, str, str]]:
    """(modern?, split, cleaned text) of every book, then of all modern sentences of each split."""
    with lzma.open(corpus / CORPORA[0], "rt", encoding="utf-8", newline="\n") as file:
        for book in file.read().split("\f"):
            yield False, split_of(book), reflow(book)
    with lzma.open(corpus / CORPORA[1], "rt", encoding="utf-8", newline="\n") as file:
        sentences = [" ".join(clean(line).split()) for line in file]
    for split in SPLITS:
        yield True, split, "\n".join(line for line in sentences if line and split_of(line) == split)


def prepare(corpus: Path, cache: Path) -> tuple[Path, Path]:
    """The cleaned corpus and its index, made if the cache lacks them: several processes may begin at once."""
    if lacking := [name for name in CORPORA if not (corpus / name).is_file()]:
        raise SystemExit(f"{corpus} has no {' and no '.join(lacking)}: give its folder by --corpus")
    stamp = zlib.crc32(repr((REVISION, ALPHABET, [(corpus / n).stat().st_size for n in CORPORA])).encode())
    text, index = cache / f"nano-{stamp:08x}.bin", cache / f"nano-{stamp:08x}.npy"
    if index.exists() and text.exists():
        return text, index
    cache.mkdir(parents=True, exist_ok=True)
    rows, offset = [], 0
    own = f".{os.getpid()}.tmp"
    with open(f"{text}{own}", "wb") as file:
        for modern, split, book in _books(corpus):
            data = codecs.charmap_encode(book, "ignore", _TO_BYTES)[0]
            rows.append((modern, SPLITS.index(split), offset, offset + len(data)))
            offset += file.write(data)
    with open(f"{index}{own}", "wb") as file:
        np.save(file, np.array(rows, np.int64))
    os.replace(f"{text}{own}", text)
    os.replace(f"{index}{own}", index)  # last: who sees the index finds the text
    return text, index


class TextSource:
    """Text of one split, sampled by a generator that the caller seeds: equal generators give equal text."""

    def __init__(
        self,
        corpus: str | Path = "../shared/corpus",
        split: str = "train",
        cache: str | Path | None = None,
        made_up: float = 0.25,
        modern: float = 0.15,
    ) -> None:
        """`made_up` and `modern`: shares of the samples that are made-up text and modern sentences."""
        if split not in SPLITS:
            raise ValueError(f"{split!r} is not a split: choose from {', '.join(SPLITS)}")
        cache = Path(cache) if cache else Path(tempfile.gettempdir()) / "foveate-nano"
        text, index = prepare(Path(corpus), cache)
        self.made_up, self.modern = made_up, modern
        self._text = np.memmap(text, np.uint8, "r")
        rows = np.load(index)
        rows = rows[rows[:, 1] == SPLITS.index(split)]
        self._books, self._sentences = rows[rows[:, 0] == 0, 2:], rows[rows[:, 0] == 1, 2:]
        self._ends = np.cumsum(self._books[:, 1] - self._books[:, 0])

    def __len__(self) -> int:
        """Number of books."""
        return len(self._books)

    def book(self, number: int) -> str:
        """A whole book, cleaned: paragraphs separated by blank lines."""
        return self._read(*self._books[number])

    def sentences(self) -> str:
        """All modern sentences, one a paragraph."""
        return self._read(*self._sentences[0])

    def _read(self, start: int, end: int) -> str:
        text, _ = codecs.charmap_decode(self._text[start:end].tobytes(), "strict", _BYTES)
        return text.replace("\n", "\n\n")

    def prose(self, rng: np.random.Generator, characters: int) -> str:
        """Contiguous prose from a random place of a random book, from a word's beginning."""
        place = int(rng.integers(self._ends[-1]))
        number = int(np.searchsorted(self._ends, place, side="right"))
        start, end = map(int, self._books[number])
        place = min(end - (int(self._ends[number]) - place), max(start, end - characters - 80))
        text = self._read(place, min(end, place + characters + 80))
        if place > start:
            text = text[re.search(r"\s|$", text).end() :].lstrip()  # type: ignore[union-attr]
        return _cut(text, characters)

    def news(self, rng: np.random.Generator, characters: int) -> str:
        """Modern sentences in random order (the corpus has them sorted), some to a paragraph."""
        start, end = map(int, self._sentences[0])
        parts: list[str] = []
        length = 0
        while length < characters:
            place = int(rng.integers(start, max(start + 1, end - 1200)))
            lines = self._read(place, min(end, place + 1200)).split("\n\n")  # no sentence has 600 characters
            line = lines[min(1, len(lines) - 1)]
            parts.append(line + ("\n\n" if rng.random() < 0.3 else " "))
            length += len(line) + 1
        return _cut("".join(parts).strip(), characters)

    def shuffled(self, rng: np.random.Generator, characters: int) -> str:
        """Real words without their order."""
        words = self.prose(rng, 2 * characters).split() + self.prose(rng, 2 * characters).split()
        rng.shuffle(words)
        return _cut(" ".join(words), characters)

    def invented(self, rng: np.random.Generator, characters: int) -> str:
        """Made-up text of one kind, or of several."""
        if rng.random() < 0.25:
            return self.shuffled(rng, characters)
        several = rng.random() < 0.5
        make = KINDS[int(rng.integers(len(KINDS)))]
        broken = rng.choice((0.0, 0.05, 0.15))  # chance of a paragraph's end after each word
        parts: list[str] = []
        length = 0
        while length < characters:
            if several:
                make = KINDS[int(rng.integers(len(KINDS)))]
            part = make(rng)
            parts += (part, "\n\n" if rng.random() < broken else " ")
            length += len(part) + 1
        return _cut("".join(parts).strip(), characters)

    def sample(self, rng: np.random.Generator, characters: int, made_up: float | None = None) -> str:
        """About `characters` characters: one kind of text, or several paragraphs of different kinds."""
        made_up = self.made_up if made_up is None else made_up
        if characters < 120 or rng.random() < 0.7:
            return self._one(rng, characters, made_up)
        parts: list[str] = []
        length = 0
        while length < characters:
            part = self._one(rng, min(characters - length + 20, int(rng.integers(60, 400))), made_up)
            parts.append(part)
            length += len(part) + 2
        return "\n\n".join(part for part in parts if part)

    def _one(self, rng: np.random.Generator, characters: int, made_up: float) -> str:
        if rng.random() < made_up:
            return self.invented(rng, characters)
        text = self.news(rng, characters) if rng.random() < self.modern else self.prose(rng, characters)
        return dress(rng, text)


def _cut(text: str, characters: int) -> str:
    """The text, ended at the last word that fits."""
    if len(text) <= characters:
        return text
    return text[: max(text.rfind(" ", 0, characters + 1), text.rfind("\n", 0, characters + 1), 0)].rstrip()


def dress(rng: np.random.Generator, text: str) -> str:
    """Now and then the typesetter's other choice: dashes, curly or straight quotes, capitals."""
    choice = rng.random(3)
    if choice[0] < 0.4:
        text = text.replace("--", "—" if choice[0] < 0.3 else " – ")
    if choice[1] < 0.2:
        text = re.sub(r'(^|[\s(—-])"', "\\1“", text).replace('"', "”")
        text = re.sub(r"(^|[\s(—-])'", "\\1‘", text).replace("'", "’")
    elif choice[1] < 0.35:
        text = re.sub("[“”]", '"', re.sub("[‘’]", "'", text))
    if choice[2] < 0.03:
        text = text.upper().replace("À", "A").replace("Ê", "E")
        text = clean(text)
    return text


def numbered(rng: np.random.Generator, text: str) -> str:
    """The text with numbers after some of its words: what stands there cannot be guessed."""
    share = rng.uniform(0.02, 0.2)
    blocks = [
        " ".join(f"{word} {number(rng)}" if rng.random() < share else word for word in block.split(" "))
        for block in text.split("\n\n")
    ]
    return "\n\n".join(blocks)


def mark_up(rng: np.random.Generator, text: str, headings: float, lists: float) -> str:
    """The text, perhaps with a paragraph's first words as heading, perhaps with one paragraph as items."""
    heads, items = rng.random() < headings, rng.random() < lists
    if not heads and not items:
        return text
    blocks = [block for block in text.split("\n\n") if block]
    if items and blocks:
        at = int(rng.integers(len(blocks)))
        words = blocks[at].split()
        blocks[at : at + 1] = _items(rng, words)
    if heads and blocks:
        at = 0 if rng.random() < 0.6 else int(rng.integers(len(blocks)))
        words = blocks[at].split()
        count = min(int(rng.integers(1, 8)), len(words) // 2)
        if count and not blocks[at].startswith(("- ", "# ")):
            title = " ".join(words[:count]).strip(",;:-—")
            if title:
                blocks[at : at + 1] = ["# " + _cased(rng, title), " ".join(words[count:])]
    return "\n\n".join(blocks)


def _cased(rng: np.random.Generator, title: str) -> str:
    choice = rng.random()
    if choice < 0.2:
        return clean(title.upper())
    return title[0].upper() + title[1:] if choice < 0.8 else title


def _items(rng: np.random.Generator, words: list[str]) -> list[str]:
    """Up to 60 or so words as items of 1 to 12 words, and the rest as a paragraph."""
    items: list[str] = []
    at = 0
    count, longest = int(rng.integers(2, 8)), int(rng.integers(2, 13))
    while at < len(words) and len(items) < count:
        length = int(rng.integers(1, longest + 1))
        items.append("- " + " ".join(words[at : at + length]))
        at += length
    return ["\n".join(items)] + ([" ".join(words[at:])] if words[at:] else [])


# Made-up words. Each function makes one or a few words.

_LOWER, _UPPER, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
_SYMBOLS = "".join(c for c in ASCII if not c.isalnum())
_MONTHS = tuple(calendar.month_name)[1:]
_NAMES = tuple(
    re.findall(
        r"\w+",
        "value total index name count page line text image token user item list data key size time path",
    )
)
_CODE = (
    "if {a} == {n}:",
    "for {a} in range({n}):",
    "return {a}[{n}]",
    "{a} = {b}({c}, {n})",
    "{a}.{b}({c})",
    "def {a}({b}, {c}={n}):",
    "import {a}.{b}",
    "{a} += {n} * {b};",
    'print("{a}", {b})',
    "while ({a} < {n}) {{ {b}++; }}",
    "{a}: {n}, {b}: {n},",
    '<{a} {b}="{n}">{c}</{a}>',
    "{a} --{b}={n} | {c}",
    "https://{a}.{b}/{c}/{n}",
    "{a}@{b}.com",
    "# {a} {b}",
    "/{a}/{b}_{n}.{c}",
    "SELECT {a} FROM {b} WHERE {c} > {n};",
)


def _pick(rng: np.random.Generator, letters: str, count: int) -> str:
    return "".join([letters[i] for i in rng.integers(len(letters), size=count)])


def letters(rng: np.random.Generator) -> str:
    word = _pick(rng, _LOWER, int(rng.integers(1, 11)))
    choice = rng.random()
    if choice < 0.12:
        return word.upper()
    if choice < 0.3:
        return word.capitalize()
    return word + ",.;:!?"[int(rng.integers(6))] if choice < 0.4 else word


def mixed(rng: np.random.Generator) -> str:
    return _pick(rng, _LOWER + _UPPER + _DIGITS, int(rng.integers(2, 13)))


def anything(rng: np.random.Generator) -> str:
    return _pick(rng, ALPHABET, int(rng.integers(1, 9)))


def symbols(rng: np.random.Generator) -> str:
    return _pick(rng, _SYMBOLS, int(rng.integers(1, 6)))


def accented(rng: np.random.Generator) -> str:
    return "".join(_pick(rng, _LOWER, int(rng.integers(3))) + _pick(rng, BEYOND[14:], 1) for _ in range(2))


def punctuated(rng: np.random.Generator) -> str:
    opening, closing = ("()", "[]", "“”", "‘’", '""', "''", "{}", "<>")[int(rng.integers(8))]
    return f"{opening}{letters(rng)}{closing}" + ("", ",", ".", ";", "—", "…", "?", "!")[int(rng.integers(8))]


def number(rng: np.random.Generator) -> str:
    value, kind = int(10 ** rng.uniform(0, 7)), int(rng.integers(12))
    a, b, c = (int(x) for x in rng.integers(1, 29, size=3))
    return (
        f"{value}",
        f"{value:,}",
        f"{'$£€'[a % 3]}{value / 100:,.2f}",
        f"{value / 1000:.{1 + a % 3}f}",
        f"{a}/{b}/{1900 + 5 * c}",
        f"{1990 + a}-{1 + b % 12:02d}-{c:02d}",
        f"{a} {_MONTHS[b % 12]} {1800 + 9 * c}",
        f"{a % 24}:{2 * b:02d}" + ("", " am", " p.m.")[c % 3],
        f"+{a} ({100 + value % 900}) {b:03d}-{c * 311 % 10000:04d}",
        f"{value % 1000 / 10}%",
        f"{a}.{b}.{c}",
        f"{'§№N'[a % 3].replace('№', 'No. ')}{b}-{value % 997}",
    )[kind]


def identifier(rng: np.random.Generator) -> str:
    words = [_NAMES[i] if i < len(_NAMES) else letters(rng).strip(",.;:!?") for i in rng.integers(30, size=3)]
    kind = int(rng.integers(5))
    if kind == 0:
        return "_".join(words).lower()
    if kind == 1:
        return "".join(word.capitalize() for word in words)
    if kind == 2:
        return "_".join(words[:2]).upper()
    return words[0].lower() + words[1].capitalize() + ("" if kind == 3 else _pick(rng, _DIGITS, 2))


def code(rng: np.random.Generator) -> str:
    names = [identifier(rng) if rng.random() < 0.4 else _NAMES[int(rng.integers(len(_NAMES)))] for _ in "abc"]
    line = _CODE[int(rng.integers(len(_CODE)))]
    return line.format(a=names[0], b=names[1], c=names[2], n=int(rng.integers(1000)))


KINDS: tuple[Callable[[np.random.Generator], str], ...] = (
    letters,
    letters,
    letters,
    mixed,
    anything,
    symbols,
    accented,
    punctuated,
    number,
    number,
    identifier,
    code,
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Show samples of the text that nano is trained on.")
    parser.add_argument("--corpus", default="../shared/corpus")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument(
        "--cache", default=None, help="folder of the cleaned corpus (default: a temporary one)"
    )
    parser.add_argument("--characters", type=int, default=300)
    parser.add_argument("--show", type=int, default=5)
    arguments = parser.parse_args()
    source = TextSource(arguments.corpus, arguments.split, arguments.cache)
    for seed in range(arguments.show):
        print(f"--- {seed}\n{source.sample(np.random.default_rng(seed), arguments.characters)}")


if __name__ == "__main__":
    main()
