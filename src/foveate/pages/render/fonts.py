"""The installed fonts, what they cover, and which of them draws a piece of text.

No glyph may be missing: a piece goes to the first font of a chain that has all its characters. The chain
begins with the families that were asked for and ends with every installed font.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from foveate.errors import OptionError

FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/texmf/fonts/opentype",
    "~/.fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
# Good for a heading or a special book; as a stand-in for a missing letter only when nothing else has it.
_SPECIAL = re.compile(
    "Kufi|Nastaliq|Rashi|Display|Unjoined|Looped|Slanted|Traditional|Condensed|Math|Symbol|Music|Mono"
    "|SignWriting|Duployan|Siyaq|Tifinagh |Ornament|UI"
)
_HAN = {"ja": "JP", "ko": "KR", "zh-hant": "TC", "zh-tw": "TC", "zh-hk": "HK", "zh-mo": "HK", "zh": "SC"}
_NAME_FAMILY, _NAME_STYLE = 1, 2  # of the name table
_LETTERS = 24  # enough to tell a script by


@dataclass(frozen=True)
class FontFile:
    """One face of a font file."""

    path: str
    index: int  # within a collection
    family: str  # such as "Noto Serif"
    bold: bool
    italic: bool
    ordinary: bool = True  # neither light nor black, neither narrow nor wide

    @property
    def serif(self) -> bool:
        """Whether its name says so."""
        return any(word in self.family for word in ("Serif", "Naskh", "Roman", "Times"))

    @property
    def mono(self) -> bool:
        """Whether its name says so."""
        return "Mono" in self.family


def harfbuzz() -> Any:
    """The library that shapes and draws; an error that says how to get it when it is absent."""
    try:
        import uharfbuzz
    except ImportError as problem:
        raise OptionError("rendering pages needs uharfbuzz: pip install 'foveate[render]'") from problem
    return uharfbuzz


@lru_cache(maxsize=4)
def installed(folders: tuple[str, ...] = FOLDERS) -> tuple[FontFile, ...]:
    """The faces with outlines below the folders, each family and style once, in the order of their names."""
    found: dict[tuple[str, bool, bool], FontFile] = {}
    for path in sorted(_files(folders)):
        for font in _faces(path):
            found.setdefault((font.family, font.bold, font.italic), font)
    return tuple(found[key] for key in sorted(found))


def _files(folders: Iterable[str]) -> Iterable[str]:
    for folder in folders:
        for path in Path(folder).expanduser().rglob("*"):
            if path.suffix.lower() in (".ttf", ".otf", ".ttc", ".otc"):
                yield str(path)


def _faces(path: str) -> Iterable[FontFile]:
    hb = harfbuzz()
    try:
        blob = hb.Blob.from_file_path(path)
        count = hb.Face(blob, 0).count
    except hb.HarfBuzzError:
        return  # a file that cannot be read is a font that is not there
    for index in range(count):
        face = hb.Face(blob, index)
        if not {"glyf", "CFF ", "CFF2"} & set(face.table_tags) or not len(face.unicodes):
            continue
        family = face.get_name(_NAME_FAMILY) or Path(path).stem
        style = (face.get_name(_NAME_STYLE) or "").lower()
        italic = "italic" in style or "oblique" in style
        font, tags = hb.Font(face), hb.StyleTag
        weight, width = font.get_style_value(tags.WEIGHT), font.get_style_value(tags.WIDTH)
        ordinary = weight in (400, 700) and width == 100
        yield FontFile(path, index, family, "bold" in style, italic, ordinary)


@cache
def families() -> dict[str, tuple[FontFile, ...]]:
    """Every installed family's faces."""
    grouped: dict[str, list[FontFile]] = {}
    for font in installed():
        grouped.setdefault(font.family, []).append(font)
    return {family: tuple(fonts) for family, fonts in grouped.items()}


@cache
def fingerprint() -> str:
    """Tells one set of installed fonts from another: other fonts may draw other pages."""
    digest = hashlib.sha256()
    for font in installed():
        digest.update(f"{font.path}\0{font.index}\0{font.family}\0{_bytes_of(font.path)}\n".encode())
    return digest.hexdigest()[:16]


@cache
def _bytes_of(path: str) -> int:
    return Path(path).stat().st_size


class Face:
    """An open font: its characters, and HarfBuzz's view of it in font units."""

    def __init__(self, font: FontFile) -> None:
        hb = harfbuzz()
        self.file = font
        self._face = hb.Face(hb.Blob.from_file_path(font.path), font.index)
        self.hb = hb.Font(self._face)
        self.upem: int = self._face.upem
        self.glyphs: int = self._face.glyph_count
        self._unicodes = self._face.unicodes
        self._covered: set[str] = set()  # characters that were asked for and are there
        self._extents: dict[int, tuple[int, int]] = {}

    def covers(self, text: str) -> bool:
        """Whether its cmap has every character that needs a glyph."""
        new = set(text) - self._covered
        there = {char for char in new if ord(char) in self._unicodes or is_invisible(char)}
        self._covered |= there
        return len(there) == len(new)

    def shape(
        self, text: str, leftwards: bool, language: str, features: dict[str, bool]
    ) -> list[tuple[int, int, int, int]] | None:
        """(glyph, x offset, y offset, advance) from left to right, font units; None if one is missing."""
        hb = harfbuzz()
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if leftwards else "ltr"
        if language:
            buffer.language = language
        hb.shape(self.hb, buffer, features)
        glyphs = [info.codepoint for info in buffer.glyph_infos]
        if 0 in glyphs:
            return None
        places = buffer.glyph_positions
        return [(g, at.x_offset, at.y_offset, at.x_advance) for g, at in zip(glyphs, places, strict=True)]

    def extent(self, glyph: int) -> tuple[int, int]:
        """The top of a glyph's ink above the baseline and the ink's height; 0 when it draws nothing."""
        if glyph not in self._extents:
            ink = self.hb.get_glyph_extents(glyph)
            drawn = ink is not None and ink.width and ink.height
            self._extents[glyph] = (ink.y_bearing, -ink.height) if drawn else (0, 0)
        return self._extents[glyph]


@cache
def open_face(font: FontFile) -> Face:
    """Fonts stay open: their files are mapped, not read."""
    return Face(font)


@lru_cache(maxsize=8192)
def is_invisible(char: str) -> bool:
    """Whether a character draws nothing by itself: controls, joiners, variation selectors."""
    return (
        unicodedata.category(char) in ("Cc", "Cf")
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def covering(text: str, among: Sequence[str] | None = None) -> list[str]:
    """The families whose regular face has every character of the text, in the order of their names."""
    needed = "".join(sorted({char for char in text if not char.isspace()}))
    names = list(families()) if among is None else [name for name in among if name in families()]
    return [name for name in names if open_face(_styled(name, False, False)).covers(needed)]


@cache
def _styled(family: str, bold: bool, italic: bool) -> FontFile:
    """The family's face nearest to a style."""
    return min(families()[family], key=lambda font: (font.italic != italic, font.bold != bold))


@lru_cache(maxsize=1024)
def chain(wanted: tuple[str, ...], bold: bool, italic: bool, language: str) -> tuple[FontFile, ...]:
    """Faces in the order in which they are tried: the wanted families, then all others.

    Raises `OptionError` when no font is installed.
    """
    known = families()
    if not known:
        raise OptionError("no fonts are installed: install some, such as Debian's fonts-noto-core")
    own = [name for name in wanted if name in known]
    serif = bool(own) and _styled(own[0], False, False).serif
    others = (name for name in _by_rank(serif, han_shape(language)) if name not in own)
    return tuple(_styled(name, bold, italic) for name in [*own, *others])


@cache
def _by_rank(serif: bool, han: str) -> tuple[str, ...]:
    """All families, the likeliest to stand in for others first."""
    return tuple(sorted(families(), key=lambda name: _rank(name, serif, han)))


def _rank(family: str, serif: bool, han: str) -> tuple[int, int, bool, bool, str]:
    """The lower, the earlier a family stands in for others."""
    regular = _styled(family, False, False)
    special = len(_SPECIAL.findall(family)) + 2 * (not regular.ordinary)
    other_han = 0 if "CJK" not in family else 1 if family.endswith(han) else 2
    return special, other_han, not family.startswith("Noto"), regular.serif != serif, family


@lru_cache(maxsize=4096)
def stand_in(wanted: tuple[str, ...], language: str, letters: str) -> tuple[str, ...]:
    """The wanted families, and behind them those that have most of the letters that these lack.

    So one font draws all of a script, its signs too. `letters`: the text's, the most frequent first.
    """
    files = chain(wanted, False, False, language)
    if open_face(files[0]).covers(letters):
        return wanted
    own = [open_face(font) for font in files if font.family in wanted]
    lacking = [letter for letter in letters if not any(face.covers(letter) for face in own)][:_LETTERS]
    found = list(wanted)
    while lacking and (best := _best(files, lacking)):
        found.append(best.file.family)
        lacking = [letter for letter in lacking if not best.covers(letter)]
    return tuple(found)


def _best(files: Sequence[FontFile], letters: Sequence[str]) -> Face | None:
    """The first of the faces with most of the letters; None when no face has any."""
    best, most = None, 0
    for font in files:
        count = sum(open_face(font).covers(letter) for letter in letters)
        if count > most:
            best, most = open_face(font), count
        if most == len(letters):
            break
    return best


def han_shape(language: str) -> str:
    """Whose shapes of Chinese characters a language wants: "JP", "KR", "SC", "TC" or "HK"."""
    tag = language.lower()
    while tag:
        if tag in _HAN:
            return _HAN[tag]
        tag = tag.rpartition("-")[0]
    return "SC"
