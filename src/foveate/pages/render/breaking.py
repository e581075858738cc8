"""A paragraph cut into the pieces between which a line may end.

Words end at spaces and after hyphens and dashes. Chinese and Japanese break between characters, save for the
kinsoku rules (JIS X 4051) on what may not begin or end a line; Thai, Lao, Khmer, Burmese and their relatives
between syllables, as near as they can be told without a dictionary; never inside a cluster. UAX #14 in short.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache

SPACES = " \t\n\r\x0b\x0c\x85\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000"
# Han, kana, bopomofo, Yi, and the full-width forms; Korean ends its lines at spaces.
_CJK = (
    "\u2e80-\u2fff\u3001-\u312f\u3190-\u31ff\u3220-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\ufe30-\ufe4f"
    "\uff01-\uff60\uffe0-\uffe6\U00016fe0-\U00018d8f\U0001b000-\U0001b2ff\U0001f200-\U0001f2ff"
    "\U00020000-\U0003fffd"
)
# Thai, Lao, Burmese, Khmer, Tai Le, New Tai Lue, Tai Tham, Balinese, Javanese, Tai Viet: no spaces.
_SOUTH_EAST = (
    "\u0e01-\u0e5b\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f"
    "\ua980-\ua9df\ua9e0-\ua9ff\uaa60-\uaadf"
)
_PIECE = re.compile(
    f"(?P<space>[{SPACES}]+)|(?P<cjk>[{_CJK}])|(?P<se>[{_SOUTH_EAST}]+\u200b*)"
    f"|(?P<word>[^{SPACES}{_CJK}{_SOUTH_EAST}\u200b]+\u200b*|\u200b+)"
)
_SIMPLE_PIECE = re.compile(
    f"[{SPACES}]+|[^{SPACES}\\-\u2010\u2013\u2014/]+[\\-\u2010\u2013\u2014/]*|[\\-\u2010\u2013\u2014/]+"
)
# Letters with words between spaces, no matter which: what can be cut by the simplest pattern.
_NOT_SIMPLE = re.compile("[^\u0000-\u06ff\u1ea0-\u1fff\u2000-\u200a\u2010-\u206f\u20a0-\u20bf\u2100-\u23ff]")
HYPHENS = "-\u2010\u2013\u2014/"
# After these a line may end inside a word: the Tibetan tsheg, the Ethiopic word space, ideographic spaces.
_WORD_END = "\u0f0b\u1361\u1400\u200b"
_SUBWORD = re.compile(f"[^{HYPHENS}{_WORD_END}]+[{HYPHENS}{_WORD_END}]*|[{HYPHENS}{_WORD_END}]+")

_NO_START = frozenset(
    "!%),.:;?]}¢°’”‰′″℃、。々〉》」』】〕〗〙〛〞〟–—…‥・ーゝゞヽヾ〻ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
    "ㇰㇱㇲㇳㇴㇵㇶㇷㇸㇹㇺㇻㇼㇽㇾㇿ゛゜！％），．：；？］｝～｠｡｣､･￠‐゠〜»›"
    "ฯะาำๅๆ๚๛ฯະາຳໆຯ၊။។៕៖ៗ៘៙៚"
)
_NO_END = frozenset("$([{£¥‘“〈《「『【〔〖〘〚〝＄（［｛｟￡￥«‹¿¡")
# Vowels that are written before the consonant that they follow.
_BEFORE_CONSONANT = frozenset("เแโใไເແໂໃໄ\uaab5\uaab6\uaab9\uaabb\uaabc\u19b5\u19b6\u19b7\u19ba")
_STACKERS = frozenset("\u17d2\u1039\ua9c0\u1b44\u1a60\uaaf6")  # what follows is written below
_KILLER = "\u103a"  # a Burmese consonant with it closes the syllable before


class Break(IntEnum):
    """What may happen after a piece."""

    NEVER = 0
    INSIDE = 1  # a line may end here; the word goes on
    BETWEEN = 2  # a line may end here, and so does the word
    SPACE = 3  # the piece is white space, or white space follows


@lru_cache(maxsize=8192)
def is_space(char: str) -> bool:
    """White space at which a line may end."""
    return _SPACE.match(char) is not None


_SPACE = re.compile(f"[{SPACES}]")


def is_simple(text: str) -> bool:
    """Whether every letter is of an alphabet with spaces between words: Latin, Greek, Cyrillic, Hebrew."""
    return _NOT_SIMPLE.search(text) is None


def simple_pieces(text: str) -> list[str]:
    """A simple text in words, parts of words up to a hyphen or dash, and white space; none lost."""
    return _SIMPLE_PIECE.findall(text)


def pieces(text: str) -> tuple[list[str], list[Break]]:
    """Any text in pieces, none lost, and what may happen after each; white space is a piece of its own."""
    found = list(_any_script(text))
    breaks = []
    for piece, following in zip(found, [*found[1:], " "], strict=True):
        spaced = is_space(piece[0]) or is_space(following[0])
        breaks.append(Break.SPACE if spaced else after(piece, following))
    return found, breaks


def _any_script(text: str) -> Iterator[str]:
    for match in _PIECE.finditer(text):
        piece = match.group()
        if match.lastgroup == "se":
            yield from syllables(piece)
        elif match.lastgroup == "word":
            yield from _SUBWORD.findall(piece)
        else:
            yield piece


@lru_cache(maxsize=1 << 16)
def after(piece: str, following: str) -> Break:
    """What may happen between two pieces without a space between them."""
    last, first = piece[-1], following[0]
    if last == "\u200b":
        return Break.BETWEEN
    if (
        unicodedata.category(first)[0] == "M"
        or first in "\u200c\u200d\u2060\ufeff"
        or last in "\u200d\u2060\ufeff"
    ):
        return Break.NEVER
    if last in _WORD_END:
        return Break.NEVER if unicodedata.category(first)[0] == "P" else Break.BETWEEN
    if first in _NO_START or last in _NO_END or last in _BEFORE_CONSONANT:
        return Break.NEVER
    if last in HYPHENS and not _unspaced(first):
        before = piece.rstrip(HYPHENS)[-1:]
        return Break.INSIDE if before.isalpha() and first.isalpha() else Break.NEVER
    if following[1:2] == _KILLER:
        return Break.NEVER
    return Break.BETWEEN if _unspaced(last) or _unspaced(first) else Break.NEVER


_UNSPACED = re.compile(f"[{_CJK}{_SOUTH_EAST}]")


def _unspaced(char: str) -> bool:
    return _UNSPACED.match(char) is not None


def clusters(text: str) -> list[str]:
    """What a reader takes for a character: a letter with its marks, and what is stacked below it."""
    found: list[str] = []
    for char in text:
        if found and (_joins(char) or found[-1][-1] in _STACKERS or found[-1][-1] == "\u200d"):
            found[-1] += char
        else:
            found.append(char)
    return found


def _joins(char: str) -> bool:
    return (
        unicodedata.category(char)[0] == "M"
        or char in "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
    )


@lru_cache(maxsize=1 << 14)
def syllables(text: str) -> tuple[str, ...]:
    """Clusters of a script without spaces, put together where no line may end between them."""
    found: list[str] = []
    for cluster in clusters(text):
        if found and after(found[-1], cluster) == Break.NEVER:
            found[-1] += cluster
        else:
            found.append(cluster)
    return tuple(found)
