"""TEDS, and TEDS of the structure alone: how near two tables are as trees.

Zhong, ShafieiBavani and Jimeno Yepes, "Image-based table recognition: data, model, and evaluation",
arXiv:1911.10683, section 5, as PubTabNet's published scorer counts: the tree is the HTML as lxml repairs it,
a cell's text is one leaf and compared by its characters and inline tags, cells of different span are
different, and 1 - distance / nodes of the larger table, tags in cells included, is the score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.errors import CorruptSource
from foveate.evaluation.readers.protocol import Reading
from foveate.evaluation.run import PageResult, first_twice, read_json
from foveate.evaluation.statistics import mean_interval
from foveate.evaluation.text_metrics import missing

if TYPE_CHECKING:
    from lxml.etree import _Element

_LARGEST_SPAN = 1000  # as browsers have it


@dataclass(eq=False)
class _Node:
    """A tag of the tree; of a cell, also what it says: characters and the tags among them."""

    tag: str
    spans: tuple[int, int] = (1, 1)  # columns, rows
    content: tuple[str, ...] = ()
    children: list[_Node] = field(default_factory=list)


def teds(truth: str, read: str, *, structure_only: bool = False) -> float:
    """How near the first table of `read` is to the first of `truth`, 0 to 1; 0 where one has none.

    Both are HTML, whole documents or parts of one. Time grows with the product of the tables' sizes: cells
    by the hundred take seconds. Raises `OptionError` without lxml, apted or rapidfuzz.
    """
    trees = [_first_table(text) for text in (truth, read)]
    if trees[0] is None or trees[1] is None:
        return 0.0
    nodes = max(sum(1 for _ in tree.iterdescendants()) for tree in trees if tree is not None)
    if nodes == 0:
        return 1.0  # two tables without a row
    distance = _distance(*(_node(tree, structure_only) for tree in trees if tree is not None))
    return 1.0 - distance / nodes


def teds_structure(truth: str, read: str) -> float:
    """TEDS with every cell taken as empty: rows, columns and spans alone."""
    return teds(truth, read, structure_only=True)


def read_pairs(path: Path) -> list[PageResult]:
    """The tables of a JSON list of `{"id", "truth", "prediction"}`. Raises `CorruptSource`."""
    listed = read_json(path)
    if not isinstance(listed, list) or not listed:
        raise CorruptSource(f'{path} is no list of pairs: write [{{"id", "truth", "prediction"}}, …]')
    results = []
    for number, pair in enumerate(listed, 1):
        values = [pair.get(name) for name in ("id", "truth", "prediction")] if isinstance(pair, dict) else []
        if not values or not all(isinstance(value, str) for value in values):
            raise CorruptSource(f'{path}, pair {number}: write "id", "truth" and "prediction" as texts')
        name, truth, prediction = map(str, values)
        results.append(PageResult(name, Reading(prediction, 0.0), 0, 0, truth))
    if twice := first_twice(result.id for result in results):
        raise CorruptSource(f"{path}: the table {twice!r} comes twice: give each an id of its own")
    return results


def score_tables(results: Sequence[PageResult], seed: int) -> dict[str, Any]:
    """Both scores of each table, their means and the means' intervals."""
    measures = {"teds": teds, "teds_structure": teds_structure}
    values = {
        name: [measure(result.truth or "", result.reading.text) for result in results]
        for name, measure in measures.items()
    }
    means = {name: mean_interval(numbers, seed=seed) for name, numbers in values.items()}
    return {
        "tables": [
            {"id": result.id, **{name: values[name][n] for name in measures}}
            for n, result in enumerate(results)
        ],
        "metrics": {name: mean.value for name, mean in means.items()},
        "intervals": {name: [mean.low, mean.high] for name, mean in means.items()},
    }


def _first_table(text: str) -> _Element | None:
    """The first table that lxml finds in the text."""
    try:
        from lxml import etree, html
    except ImportError as problem:
        raise missing("TEDS", "lxml") from problem
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8")
    # A letter that no HTML may hold would end the parse; half of a surrogate pair cannot be encoded.
    cleaned = text.replace("\0", "").encode("utf-8", "replace")
    try:
        root = html.document_fromstring(cleaned, parser=parser)
    except etree.ParserError:  # nothing in it
        return None
    found: _Element | None = next(root.iter("table"), None)
    return found


def _node(element: _Element, structure_only: bool) -> _Node:
    """The tree below an element. Cells are leaves."""
    tag = str(element.tag)
    if tag == "td":
        content = () if structure_only else tuple(_content(element))[1:-1]
        return _Node(tag, (_span(element, "colspan"), _span(element, "rowspan")), content)
    return _Node(tag, children=[_node(child, structure_only) for child in element])


def _content(element: _Element) -> Iterator[str]:
    """Characters and tags of a cell, in order, its own tags around them."""
    yield f"<{element.tag}>"
    yield from element.text or ""
    for child in element:
        yield from _content(child)
    if element.tag != "unk":
        yield f"</{element.tag}>"
    if element.tag != "td":
        yield from element.tail or ""


def _span(element: _Element, name: str) -> int:
    """A span as written; 1 where it is no number."""
    digits = str(element.get(name, "1")).strip()
    return min(int(digits), _LARGEST_SPAN) if digits.isdecimal() and len(digits) < 10 else 1


def _distance(truth: _Node, read: _Node) -> float:
    try:
        from apted import APTED
    except ImportError as problem:
        raise missing("TEDS", "apted") from problem
    distance: float = APTED(truth, read, _Costs()).compute_edit_distance()
    return distance


class _Costs:
    """What apted asks for: one for a tag more, less or of another kind, part of one for another text."""

    valuecls = float

    def __init__(self) -> None:
        from rapidfuzz.distance import Levenshtein

        self._texts = Levenshtein.normalized_distance

    def delete(self, node: _Node) -> float:
        return 1.0

    def insert(self, node: _Node) -> float:
        return 1.0

    def rename(self, one: _Node, other: _Node) -> float:
        if one.tag != other.tag or one.spans != other.spans:
            return 1.0
        return self._texts(one.content, other.content) if one.content or other.content else 0.0

    def children(self, node: _Node) -> Sequence[Any]:
        return node.children
