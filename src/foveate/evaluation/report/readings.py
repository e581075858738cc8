"""Readings beside their page, with what is not in the truth marked and what is missing struck out."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from foveate.errors import FoveateError
from foveate.evaluation.compare import Comparison, PagePair
from foveate.evaluation.normalise import plain
from foveate.evaluation.pages import opener
from foveate.evaluation.report.page import Raw
from foveate.evaluation.run import PageResult

SIDE = 640  # pixels of a picture in the report at the most
QUALITY = 80
LONGEST = 20_000  # characters of a reading that are shown


def worst_pages(comparison: Comparison, count: int = 5) -> list[Raw]:
    """The pages on which the two differ most: picture, truth and both readings."""
    return [_pair(comparison, pair) for pair in comparison.worst(count)]


def _pair(comparison: Comparison, pair: PagePair) -> Raw:
    truth = pair.first.truth
    texts = [
        _reading(comparison.first.name, pair.first_score, marked(truth, pair.first.reading.text)),
        _reading(comparison.second.name, pair.second_score, marked(truth, pair.second.reading.text)),
    ]
    if truth is not None:
        texts.append(_reading("what stands there", None, escape(plain(truth)[:LONGEST])))
    return Raw(
        f"{escape(pair.id)} <span class='score'>{pair.gain:+.3f}</span>",
        f"<div class='side'>{picture_of(pair.first)}<div class='texts'>{''.join(texts)}</div></div>",
    )


def worst_of_run(pages: Sequence[tuple[PageResult, float]], count: int = 3) -> list[Raw]:
    """The pages with the lowest scores of one run."""
    found = []
    for page, score in sorted(pages, key=lambda pair: pair[1])[:count]:
        text = _reading("what was read", score, marked(page.truth, page.reading.text))
        found.append(
            Raw(escape(page.id), f"<div class='side'>{picture_of(page)}<div class='texts'>{text}</div></div>")
        )
    return found


def _reading(who: str, score: float | None, html: str) -> str:
    number = "" if score is None else f"<span class='score'>{score:.3f}</span>"
    return f"<div><h3>{escape(who)} {number}</h3><p class='reading'>{html or '<i>nothing</i>'}</p></div>"


def marked(truth: str | None, read: str) -> str:
    """The reading as HTML: words that the truth has not in <b>, words that it lacks in <s>."""
    shown = plain(read)[:LONGEST]
    if truth is None:
        return escape(shown)
    from rapidfuzz.distance import Levenshtein

    wanted, words = plain(truth)[:LONGEST].split(), shown.split()
    parts: list[str] = []
    for step in Levenshtein.opcodes(wanted, words):
        missing = escape(" ".join(wanted[step.src_start : step.src_end]))
        there = escape(" ".join(words[step.dest_start : step.dest_end]))
        if step.tag == "equal":
            parts.append(there)
        else:
            parts += [f"<s>{missing}</s>"] if missing else []
            parts += [f"<b>{there}</b>"] if there else []
    return " ".join(parts)


def picture_of(page: PageResult) -> str:
    """The page's picture as a data URL, or a word on why there is none."""
    if not page.picture or not Path(page.picture).is_file():
        return "<p class='soft'>the picture is not there</p>"
    try:
        image = opener(Path(page.picture))()
    except FoveateError:
        return "<p class='soft'>the picture cannot be opened</p>"
    image.thumbnail((SIDE, SIDE * 2))
    image.save(content := io.BytesIO(), "WEBP", quality=QUALITY)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return f"<img alt='the page' src='data:image/webp;base64,{data}'>"
