"""Stretches of a paragraph, each of one emphasis, to Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A stretch of a paragraph."""

    text: str
    bold: bool = False
    italic: bool = False
    math: bool = False
    image: bool = False
    note: bool = False

    def plain(self) -> Span:
        """Without emphasis."""
        return Span(self.text, math=self.math, image=self.image, note=self.note)

    def escaped(self) -> Span:
        """Fit for HTML."""
        return Span(html.escape(self.text, quote=False), math=self.math, image=self.image, note=self.note)


def written(spans: Sequence[Span]) -> str:
    """Spans as Markdown; neighbours of one emphasis share its stars, which hold no white space."""
    groups: list[list[Span]] = []
    for span in spans:
        if not span.text:
            continue
        last = groups[-1][-1] if groups else None
        same = last is not None and not (last.math or span.math)
        if same and last is not None and (last.bold, last.italic) == (span.bold, span.italic):
            groups[-1].append(span)
        else:
            groups.append([span])
    return "".join(_emphasised(group) for group in groups)


def _emphasised(group: Sequence[Span]) -> str:
    text, first = "".join(span.text for span in group), group[0]
    if first.math:
        return f"\\({text}\\)" if text else ""
    stars = "*" * (2 * first.bold + first.italic)
    words = text.strip()
    if not stars or not words:
        return text
    head, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{head}{stars}{words}{stars}{tail}"


def units_of(text: str) -> Iterator[str]:
    """Words, with formulas and pictures kept whole."""
    for part in re.split(r"(\\\(.*?\\\)\S*)", text):
        if part.startswith("\\("):
            yield part
        else:
            yield from part.split()


def unstarred(words: str) -> str:
    """Markdown that a page's end has cut: emphasis that is opened on one page is closed there."""
    for stars in ("***", "**"):
        run = rf"\*{{{len(stars)}}}"
        if len(re.findall(rf"(?<!\*){run}(?!\*)", words)) % 2:
            opens = re.search(rf"(?<!\*){run}(?=\S)", words)
            first_closes = re.search(rf"(?<=\S){run}(?!\*)", words)
            if first_closes and (not opens or first_closes.start() <= opens.start()):
                words = stars + words
            else:
                words += stars
    return words
