"""Markdown in parts that can be matched: paragraphs, display formulas and tables, and their normal forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from foveate.document import flow, inline, tables
from foveate.evaluation import formulas

_DISPLAY = re.compile(r"\\\[(.+?)\\\]|\$\$(.+?)\$\$", re.DOTALL)
_NO_WORD = re.compile(r"[\W_]+")
_OPENINGS = ("$", "\\(", "\\[")
_IMAGE = re.compile(r"!\[[^\]\n]*\]\([^()\n]*\)")


@dataclass(frozen=True)
class Part:
    """A paragraph ("text"), a display formula ("formula", its LaTeX) or a table ("table", its HTML)."""

    kind: str
    text: str


def parts_of(markdown: str) -> list[Part]:
    """The parts in order."""
    parts: list[Part] = []
    for fenced, stretch in flow.split_code(markdown):
        if fenced:
            parts.append(Part("text", stretch))
            continue
        position = 0
        for formula in _DISPLAY.finditer(stretch):
            parts += _words_and_tables(stretch[position : formula.start()])
            parts.append(Part("formula", next(filter(None, formula.groups())).strip()))
            position = formula.end()
        parts += _words_and_tables(stretch[position:])
    return parts


def _words_and_tables(text: str) -> Iterator[Part]:
    for node in flow.nodes(_IMAGE.sub("", text)):
        if node.kind == "table":
            yield Part("table", tables.to_html([list(row) for row in node.rows]))
        elif node.kind == "list":
            yield from (Part("text", f"{item.marker} {item.text}") for item in node.items)
        elif node.text.strip():
            yield Part("text", node.text.strip())


def normal_text(text: str) -> str:
    """Letters and digits alone, formulas in the text as their signs: as OmniDocBench compares text."""
    return _NO_WORD.sub("", inline.plain(text))


def normal_formula(latex: str) -> str:
    """The formula's normalised tokens in one string."""
    bare = latex.strip()
    # Annotated formulas come with their dollars; dollars inside belong to a \text of a formula without.
    inside = formulas.find_formulas(bare) if bare.startswith(_OPENINGS) else []
    return "".join(formulas.normalise(" ".join(inside) if inside else bare))


def normal_table(html: str) -> str:
    """The table as rows of `td` alone, with plain text in them; nothing where there is no table."""
    rows = tables.parse(html)
    plain = [
        [replace(cell, text=" ".join(inline.plain(cell.text).split()), header=False) for cell in row]
        for row in rows
    ]
    return tables.to_html(plain) if plain else ""
