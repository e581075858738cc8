"""Texts without their format, because another format is no reading error.

`plain` makes the same of a page's text layer, whose lines end where the page's do, and of Markdown that says
the same. Both texts are to go through it. What it takes away cannot count as an error any more: emphasis,
headings' and lists' signs, tables' frames, where lines end, how words are parted at their ends, the shapes of
quotes, dashes and ligatures. Letters, digits, case, punctuation and the order of words stay.
"""

from __future__ import annotations

import html
import re
import unicodedata

_LINE_MARKS = re.compile(
    r"""^[ \t]*(?:
        (?:>[ \t]?)+                            # quotes
      | \#{1,6}[ \t]+                           # headings
      | [-*+•●○▪■◦‣·][ \t]+                     # items
      | (?:-{3,}|\*{3,}|_{3,}|={3,}|`{3,}\w*)[ \t]*$   # rules, underlines, fences
      | \|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*$  # the line below a table's head
    )""",
    re.MULTILINE | re.VERBOSE,
)
_IMAGE = re.compile(r"!\[([^\[\]\n]*)\]\([^()\n]*\)")
_LINK = re.compile(r"\[([^\[\]\n]+)\]\([^()\s]*\)")
_CELL_END = re.compile(r"</(?:td|th|tr|table|p|div|li|h[1-6])\s*>|<br\s*/?>|(?<!\\)\|", re.IGNORECASE)
# With attributes that have values, or none: "a<b and c>d" is no tag.
_TAG = re.compile(
    r"""</?[A-Za-z][A-Za-z0-9]{0,20}(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*\s*/?>"""
    r"|<!--.{0,1000}?-->",
    re.DOTALL,
)
_EMPHASIS = re.compile(r"(?<!\\)(\*{1,3}|_{1,3})(?=\S)(.{1,1000}?)(?<=[^\s\\])\1", re.DOTALL)
_CODE = re.compile(r"`+")
_FORMULA = re.compile(r"\\[()\[\]]|(?<!\\)\${1,2}(?=\S)([^$\n]+?)(?<=\S)\${1,2}(?!\d)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_SOFT_HYPHEN = re.compile("\u00ad\\s*")
# A hyphen between letters: at a line's end nobody can say whether it belongs to the word.
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u2010\u2011](?:[ \t]*\n\s*)?(?=[^\W\d_])")
_SHAPES = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′´`", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‒–—―−‐‑", "-"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
        "…": "...",
        "⁄": "/",
    }
)
_LIGATURES = re.compile("[\ufb00-\ufb06]")


def plain(text: str) -> str:
    """The words of the text on one line, without any format. Linear in the text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return spaces(shapes(hyphens(without_markdown(text))))


def without_markdown(text: str) -> str:
    """The text without the signs of Markdown, HTML and LaTeX's brackets; tables are their cells' texts."""
    text = _LINE_MARKS.sub("", text)
    text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    text = _TAG.sub("", _CELL_END.sub(" ", text))
    text = _FORMULA.sub(lambda match: match.group(1) or "", text)
    for _ in range(2):  # bold in italics, at most
        text = _unemphasised(text)
    return html.unescape(_ESCAPE.sub(r"\1", _CODE.sub("", text)))


def hyphens(text: str) -> str:
    """The text with no hyphens between letters, at the end of a line or elsewhere."""
    return _HYPHEN.sub("", _SOFT_HYPHEN.sub("", text))


def shapes(text: str) -> str:
    """One shape for each kind of quote and dash, letters for ligatures, composed accents."""
    text = _LIGATURES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return unicodedata.normalize("NFC", text).translate(_SHAPES)


def spaces(text: str) -> str:
    """The text on one line, one space between words and none around."""
    return " ".join(text.split())


def _unemphasised(text: str) -> str:
    """Emphasis does not go over an empty line."""
    if "*" not in text and "_" not in text:
        return text
    parts = re.split(r"(\n\s*\n)", text)
    return "".join(_EMPHASIS.sub(_if_emphasis, part) for part in parts)


def _if_emphasis(match: re.Match[str]) -> str:
    """Underscores inside a word, as in a name of a file, are no emphasis."""
    mark, inner = match.groups()
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return match.group() if "_" in mark and (before.isalnum() or after.isalnum()) else inner
