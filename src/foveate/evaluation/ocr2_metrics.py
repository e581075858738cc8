"""Measures of what is no running text: charts' tables, molecules, plane figures.

Each takes the answer of the maker of the data and what a reader wrote, both as text, and gives numbers
between 0 and 1. What cannot be parsed is wrong, not an error of the program.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.text_metrics import missing

Rows = list[list[str]]
TEXT_LIMIT, NUMBER_LIMIT = 0.5, 0.1  # distances from which a key, and a number, count as wrong
TOLERANCE = 10.0  # of an end's place, on a grid of 1000 by 1000: a hundredth of the side
LARGEST = 1000  # rows, columns or segments that are looked at; no figure has more
_NUMBER = re.compile(r"[-+−]?[$€£¥]?\d[\d,\s\u202f]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UNITS = {"%": 0.01, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "bn": 1e9, "m": 1e6}
_BELOW_HEAD = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")


@dataclass(frozen=True)
class Overlap:
    """How much of one set is found in another, and the other way round."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def _overlap(found: float, truth: int, read: int) -> Overlap:
    if not truth or not read:
        both = float(truth == read)
        return Overlap(both, both)
    return Overlap(found / read, found / truth)


# Charts


def read_table(text: str) -> Rows:
    """The cells of the first table in the text, HTML or Markdown; nothing where there is none.

    A cell over several rows or columns is repeated in all of them.
    """
    if re.search(r"<t(?:able|r|d|h)\b", text, re.IGNORECASE):
        return _html_rows(text)
    lines = [line.strip() for line in text.split("\n") if "|" in line]
    rows = [line.strip("|").split("|") for line in lines if not _BELOW_HEAD.fullmatch(line)]
    return [[cell.strip() for cell in row][:LARGEST] for row in rows[:LARGEST]]


def relative_mapping(
    truth: str, read: str, text_limit: float = TEXT_LIMIT, number_limit: float = NUMBER_LIMIT
) -> Overlap:
    """Relative mapping similarity (RMS) of two tables of a chart.

    Liu et al., "DePlot", arXiv:2212.10505, section 3.2: a table is the set of its entries, each a number
    below the names of its row and its column. Entries are paired so that their names differ least. A pair is
    worth the likeness of its names (1 - normalised edit distance, 0 from `text_limit` on) times that of its
    numbers (1 - relative error, 0 from `number_limit` on; words are compared as names). The limits are those
    of the published scorer. The better of the table and its transpose counts. The first row is a head
    unless it holds numbers only, beside its first cell.
    """
    wanted = _entries(read_table(truth))
    rows = read_table(read)
    found = [_mapped(wanted, _entries(turned), text_limit, number_limit) for turned in (rows, _turned(rows))]
    return max(found, key=lambda overlap: overlap.f1)


def exact_cells(truth: str, read: str) -> Overlap:
    """Cells that say the same at the same place: white space apart, and numbers by their value."""
    cells = [
        {(r, c): cell for r, row in enumerate(read_table(text)) for c, cell in enumerate(row)}
        for text in (truth, read)
    ]
    same = sum(place in cells[1] and _same(cell, cells[1][place]) for place, cell in cells[0].items())
    return _overlap(same, len(cells[0]), len(cells[1]))


def number(text: str) -> float | None:
    """The number that a cell says, with its separators, sign of money, percent or magnitude, or nothing."""
    text = text.strip()
    match = _NUMBER.match(text)
    unit = text[match.end() :].strip() if match else ""
    if match is None or (unit and unit not in _UNITS):
        return None
    digits = re.sub(r"[,\s\u202f$€£¥]", "", match.group()).replace("−", "-")
    value = float(digits) * _UNITS.get(unit, 1.0)
    return value if math.isfinite(value) else None


def _html_rows(text: str) -> Rows:
    try:
        from lxml import etree, html
    except ImportError as problem:
        raise missing("the reading of tables", "lxml") from problem
    if "<table" not in text.lower():
        text = f"<table>{text}</table>"
    try:
        root = html.document_fromstring(text.replace("\0", "").encode("utf-8", "replace"),
                                        parser=html.HTMLParser(encoding="utf-8"))  # fmt: skip
    except etree.ParserError:
        return []
    table = next(root.iter("table"), None)
    grid: dict[tuple[int, int], str] = {}
    for r, row in enumerate([] if table is None else list(table.iter("tr"))[:LARGEST]):
        column = 0
        for cell in row.iter("td", "th"):
            while (r, column) in grid:
                column += 1
            across, down = (_span(cell.get(name)) for name in ("colspan", "rowspan"))
            said = " ".join("".join(cell.itertext()).split())
            # A span says how far a cell reaches; it must not fill the memory.
            places = [(r + y, column + x) for y in range(down) for x in range(across)]
            grid |= {(y, x): said for y, x in places if y < LARGEST and x < LARGEST}
            column += across
            if column >= LARGEST:
                break
    height = 1 + max((r for r, _ in grid), default=-1)
    rows: Rows = [[] for _ in range(height)]
    for (r, _), said in sorted(grid.items()):
        rows[r].append(said)
    return rows


def _span(written: str | None) -> int:
    return max(1, min(int(written), 100)) if written and written.isdecimal() and len(written) < 6 else 1


def _turned(rows: Rows) -> Rows:
    width = max(map(len, rows), default=0)
    return [[row[c] if c < len(row) else "" for row in rows] for c in range(width)]


def _entries(rows: Rows) -> list[tuple[str, str]]:
    """The names and the value of every cell that is no name."""
    if not rows:
        return []
    if max(map(len, rows)) == 1:
        return [("", row[0]) for row in rows]
    has_head = not all(number(cell) is not None for cell in rows[0][1:]) or len(rows[0]) < 2
    head, body = (rows[0], rows[1:]) if has_head else ([], rows)
    entries = []
    for row in body:
        for column, value in enumerate(row[1:], 1):
            name = head[column] if column < len(head) else ""
            entries.append((f"{row[0]} {name}".strip(), value))
    return entries


def _mapped(
    wanted: Sequence[tuple[str, str]],
    found: Sequence[tuple[str, str]],
    text_limit: float,
    number_limit: float,
) -> Overlap:
    if not wanted or not found:
        return _overlap(0.0, len(wanted), len(found))
    likeness = np.array([[_alike(a, b, text_limit) for b, _ in found] for a, _ in wanted])  # (W, F)
    worth = 0.0
    for w, f in _pairs(1 - likeness):
        worth += float(likeness[w, f]) * _values(wanted[w][1], found[f][1], text_limit, number_limit)
    return _overlap(worth, len(wanted), len(found))


def _alike(one: str, other: str, limit: float) -> float:
    """1 - normalised edit distance, 0 from the limit on."""
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as problem:
        raise missing("the edit distance", "rapidfuzz") from problem
    distance = Levenshtein.normalized_distance(one, other)
    return 1 - distance if distance < limit else 0.0


def _values(truth: str, read: str, text_limit: float, number_limit: float) -> float:
    wanted, found = number(truth), number(read)
    if wanted is None or found is None:
        return _alike(truth, read, text_limit)
    if wanted == 0:
        return float(found == 0)
    error = min(1.0, abs(wanted - found) / abs(wanted))
    return 1 - error if error < number_limit else 0.0


def _same(one: str, other: str) -> bool:
    if " ".join(one.split()) == " ".join(other.split()):
        return True
    a, b = number(one), number(other)
    return a is not None and a == b


def _pairs(costs: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Rows and columns paired at the least cost, as many as there can be. (R, C)"""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as problem:
        raise missing("the pairing of entries", "scipy") from problem
    rows, columns = linear_sum_assignment(costs)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


# Chemistry


def canonical_smiles(smiles: str) -> str | None:
    """One spelling for a molecule or a reaction (reactants>agents>products); None for what is none."""
    rdkit = _rdkit()
    parts = []
    for part in _parts(smiles):
        molecule = rdkit.MolFromSmiles(part)
        if molecule is None:
            return None
        parts.append(rdkit.MolToSmiles(molecule))
    return ">".join(parts) if any(parts) else None


def exact_smiles(truth: str, read: str) -> bool:
    """Whether both spell the same molecule, charges, isotopes and chirality included."""
    wanted = canonical_smiles(truth)
    return wanted is not None and wanted == canonical_smiles(read)


def tanimoto(truth: str, read: str, radius: int = 2, size: int = 2048) -> float:
    """Tanimoto similarity of the Morgan fingerprints (Rogers and Hahn, 2010; radius 2 is ECFP4), chirality
    left out; all molecules of a reaction as one. 0 where one of them cannot be parsed."""
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    rdkit = _rdkit()
    prints = []
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=size)
    for smiles in (truth, read):
        molecule = rdkit.MolFromSmiles(".".join(filter(None, _parts(smiles))))
        if molecule is None or molecule.GetNumAtoms() == 0:
            return 0.0
        prints.append(generator.GetFingerprint(molecule))
    return float(DataStructs.TanimotoSimilarity(*prints))


def _parts(smiles: str) -> list[str]:
    """A molecule, or the three parts of a reaction; what a reader put around it is taken away."""
    words = smiles.strip().strip("`").split()
    parts = (words[0] if words else "").split(">")
    return parts if len(parts) in (1, 3) else [""]


def _rdkit() -> Any:
    """RDKit's chemistry, which keeps its complaints about strange molecules to itself from now on."""
    try:
        from rdkit import Chem, rdBase
    except ImportError as problem:
        raise missing("chemistry", "rdkit") from problem
    rdBase.DisableLog("rdApp.error")
    rdBase.DisableLog("rdApp.warning")
    return Chem


# Geometry


def segment_overlap(truth: str, read: str, tolerance: float = TOLERANCE) -> Overlap:
    """Segments whose both ends are within `tolerance` of those of one of the other figure, in either
    direction, each used once; paired so that as many as can be are found.

    Both are dictionaries as JSON with "segments", each with its "ends" [[x, y], [x, y]] on the same grid;
    the type of the stroke and its label do not count.
    """
    wanted, found = _segments(truth), _segments(read)
    if not len(wanted) or not len(found):
        return _overlap(0.0, len(wanted), len(found))
    near = (_end_distances(wanted, found) <= tolerance).astype(np.float64)  # (W, F)
    return _overlap(float(sum(near[w, f] for w, f in _pairs(1.0 - near))), len(wanted), len(found))


def _end_distances(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """The larger distance of the two ends, in the direction in which it is smaller. (W, 2, 2), (F, 2, 2)"""
    a, b = wanted[:, None], found[None]  # (W, 1, ends, xy), (1, F, ends, xy)
    along = np.linalg.norm(a - b, axis=-1).max(-1)
    across = np.linalg.norm(a - b[:, :, ::-1], axis=-1).max(-1)
    nearer: NDArray[np.float64] = np.minimum(along, across)
    return nearer


def _segments(text: str) -> NDArray[np.float64]:
    """(segments, ends, x and y); what is no segment is left out, what is no dictionary has none."""
    start, end = text.find("{"), text.rfind("}")
    try:
        figure = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return np.zeros((0, 2, 2))
    listed = figure.get("segments") if isinstance(figure, dict) else None
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    ends = [item["ends"] for item in items[:LARGEST] if _is_ends(item.get("ends"))]
    return np.array(ends, np.float64).reshape(-1, 2, 2)


def _is_ends(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(place, list) and len(place) == 2 for place in value)
        and all(
            isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1e9 for p in value for n in p
        )
    )
