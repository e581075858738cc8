"""Small facts that a reading must get right, in the format of olmOCR-bench.

A file holds one rule a line: `pdf`, `page` (from 1), `id`, `type`, and what the type needs.

| type | holds when |
|---|---|
| present, absent | the `text` stands in the reading, or does not; `max_diffs` edits are forgiven, `first_n` \
and `last_n` look at the ends only, `case_sensitive` is true |
| order | `before` stands before `after` |
| table | a table has the `cell`, with `up`, `down`, `left`, `right` beside it, with `top_heading` or \
`left_heading` |
| math | a formula of the reading is `math`, or holds it, in one spelling (see formulas.py) |
| baseline | there is text, it does not end in circles, and has no letters of Chinese, Japanese or emoji; \
with `max_length`, no more than so many letters and digits |

Texts are compared as olmOCR-bench does: white space, emphasis and the shapes of quotes and dashes do not
count. Two things differ: "so many edits" is counted exactly, as Levenshtein's distance to the best stretch of
the reading, and formulas are compared by their tokens, not by pictures of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from foveate.errors import CorruptSource, SourceNotFound
from foveate.evaluation import formulas
from foveate.evaluation.grids import Grid, Placed, find_grids
from foveate.evaluation.repeats import trailing_repeats
from foveate.evaluation.run import Case, PageResult, first_twice, read_lines
from foveate.evaluation.statistics import share_interval
from foveate.pages.source import open_pages

KINDS = ("present", "absent", "order", "table", "math", "baseline")
SIDES = ("up", "down", "left", "right")
HEADINGS = {"top_heading": "top", "left_heading": "left"}
_NEEDS = {"present": ("text",), "absent": ("text",), "order": ("before", "after")}
_NEEDS |= {"table": ("cell",), "math": ("math",), "baseline": ()}
_NUMBERS = ("max_diffs", "first_n", "last_n", "max_length", "max_repeats")
MOST_REPEATS = 30

Verdict = tuple[bool, str]  # passed, and why not


@dataclass(frozen=True)
class Rule:
    """One fact about one page."""

    pdf: str
    page: int
    id: str
    kind: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def case(self) -> str:
        """The id of its page."""
        return f"{self.pdf}#{self.page}"

    @property
    def max_diffs(self) -> int:
        return int(self.details.get("max_diffs") or 0)

    def text(self, name: str) -> str:
        """One of its texts as texts are compared; empty when it has none."""
        return normalise(str(self.details.get(name) or "")).strip()

    def check(self, reading: str) -> Verdict:
        """Whether the reading passes, and the reason if it does not."""
        return _CHECKS[self.kind](self, reading)


def read_rules(path: Path) -> list[Rule]:
    """The rules of a JSONL file. Raises `CorruptSource` for a line that is none, with its number."""
    rules = []
    for number, line in enumerate(read_lines(path), 1):
        rule, problem = _rule(line)
        if problem:
            raise CorruptSource(f"{path}, rule {number}: {problem}")
        rules.append(rule)
    if not rules:
        raise CorruptSource(f"{path} holds no rules: write one a line")
    if twice := first_twice(rule.id for rule in rules):
        raise CorruptSource(f"{path}: the id {twice!r} comes twice: give each rule its own")
    return rules


def _rule(line: Mapping[str, Any]) -> tuple[Rule, str]:
    kind = str(line.get("type", ""))
    details = {name: line[name] for name in line if name not in ("pdf", "page", "id", "type")}
    page = line.get("page", 1)
    rule = Rule(
        str(line.get("pdf", "")),
        page if isinstance(page, int) and page is not True else 0,
        str(line.get("id", "")),
        kind,
    )
    if kind not in KINDS:
        return rule, f"the type {kind!r} is not known: choose from {', '.join(KINDS)}"
    if not rule.pdf or not rule.id or rule.page < 1:
        return rule, "it needs a pdf, a page from 1 on and an id"
    if ".." in Path(rule.pdf).parts or Path(rule.pdf).is_absolute():
        return rule, f"{rule.pdf!r} leaves the folder of PDFs"
    rule = Rule(rule.pdf, rule.page, rule.id, kind, details)
    if lacks := [name for name in _NEEDS[kind] if not _says(rule, name)]:
        return rule, f"a rule of type {kind} needs {' and '.join(lacks)}"
    if wrong := [name for name in _NUMBERS if not _counts(details.get(name))]:
        return rule, f"{' and '.join(wrong)} must be a whole number from 0 on"
    return rule, ""


def _says(rule: Rule, name: str) -> bool:
    """Whether something of it is left to be looked for."""
    value = rule.details.get(name)
    if name == "math":
        return isinstance(value, str) and bool(formulas.normalise(value))
    return isinstance(value, str | int | float) and bool(rule.text(name))


def _counts(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def rule_cases(rules: Iterable[Rule], folder: Path, dpi: int = 144) -> list[Case]:
    """The pages that the rules are about, each once. Raises `SourceNotFound` for a PDF that is not there."""
    pages = dict.fromkeys((rule.case, rule.pdf, rule.page) for rule in rules)
    for _, pdf, _ in pages:
        if not (folder / pdf).is_file():
            raise SourceNotFound(f"{folder / pdf}: no such file: give the folder of the PDFs with --pdfs")
    return [Case(name, _opener(folder / pdf, page, dpi)) for name, pdf, page in pages]


def _opener(path: Path, page: int, dpi: int) -> Callable[[], Image.Image]:
    return lambda: next(open_pages(path, pages=str(page), dpi=dpi)).image


def score_rules(rules: Sequence[Rule], pages: Iterable[PageResult]) -> dict[str, Any]:
    """Passes by kind with 95% intervals (Wilson), and every rule's verdict.

    A page that was not read, or failed, counts as read and empty.
    """
    texts = {page.id: page.reading.text for page in pages}
    verdicts = [(rule, *rule.check(texts.get(rule.case, ""))) for rule in rules]
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for rule, passed, _ in verdicts:
        by_kind[rule.kind].append(passed)
    kinds = {kind: _rate(by_kind[kind]) for kind in KINDS if by_kind[kind]}
    return {
        "all": _rate([passed for _, passed, _ in verdicts]) if verdicts else None,
        "mean_of_kinds": sum(kind["rate"] for kind in kinds.values()) / len(kinds) if kinds else None,
        "kinds": kinds,
        "rules": [
            {"id": rule.id, "type": rule.kind, "page": rule.case, "passed": passed, "why": why}
            for rule, passed, why in verdicts
        ],
    }


def _rate(passed: Sequence[bool]) -> dict[str, Any]:
    interval = share_interval(sum(passed), len(passed))
    return {
        "passed": sum(passed),
        "total": len(passed),
        "rate": interval.value,
        "low": interval.low,
        "high": interval.high,
    }


# Texts

_SHAPES = str.maketrans(
    {
        **dict.fromkeys("‘’‚", "'"),
        **dict.fromkeys("“”„", '"'),
        **dict.fromkeys("–—‑‒−", "-"),
        "＿": "_",
        "\u00b5": "\u03bc",
    }
)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_FONT_TAG = re.compile(r"</?(?:b|i|em|strong)>", re.IGNORECASE)
_BOLD, _ITALIC = re.compile(r"(\*\*|__)(.*?)\1"), re.compile(r"(\*|_)(.*?)\1")


def normalise(text: str) -> str:
    """The text as olmOCR-bench compares it: one line, no emphasis, one shape for quotes and dashes."""
    text = _FONT_TAG.sub("", _BREAK.sub(" ", text))
    text = _ITALIC.sub(r"\2", _BOLD.sub(r"\2", text))
    return unicodedata.normalize("NFC", re.sub(r"\s+", " ", text)).translate(_SHAPES)


def ends_of(needle: str, text: str, most: int) -> list[int]:
    """Places behind which a stretch of the text ends that is at most so many edits from the needle.

    Myers' bit-parallel search (J. ACM 46, 1999): time grows with the text alone, for needles of a line.
    """
    if not most:
        starts = (match.start() for match in re.finditer(f"(?={re.escape(needle)})", text))
        return [start + len(needle) for start in starts]
    last, full = 1 << (len(needle) - 1), (1 << len(needle)) - 1
    places: dict[str, int] = defaultdict(int)
    for index, letter in enumerate(needle):
        places[letter] |= 1 << index
    plus, minus, distance = full, 0, len(needle)
    found = [0] if distance <= most else []
    for place, letter in enumerate(text, 1):
        equal = places.get(letter, 0)
        zero = (((equal & plus) + plus) ^ plus) | equal | minus
        up, down = minus | ~(zero | plus), plus & zero
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1) & full, (down << 1) & full  # a stretch may begin anywhere: no 1 comes in
        plus, minus = (down | ~(zero | up)) & full, up & zero
        if distance <= most:
            found.append(place)
    return found


def starts_of(needle: str, text: str, most: int) -> list[int]:
    """Places at which such stretches begin."""
    return sorted(len(text) - end for end in ends_of(needle[::-1], text[::-1], most))


def _is_present(rule: Rule, reading: str) -> bool:
    text, needle = normalise(reading), rule.text("text")
    if not rule.details.get("case_sensitive", True):
        text, needle = text.lower(), needle.lower()
    first, last = rule.details.get("first_n"), rule.details.get("last_n")
    if first or last:
        text = (text[:first] if first else "") + (text[-last:] if last else "")
    return bool(ends_of(needle, text, rule.max_diffs))


def _present(rule: Rule, reading: str) -> Verdict:
    return (True, "") if _is_present(rule, reading) else (False, "the text is not there")


def _absent(rule: Rule, reading: str) -> Verdict:
    return (False, "the text is there") if _is_present(rule, reading) else (True, "")


def _order(rule: Rule, reading: str) -> Verdict:
    text = normalise(reading)
    before, after = (starts_of(rule.text(name), text, rule.max_diffs) for name in ("before", "after"))
    if not before or not after:
        return False, f"{'before' if not before else 'after'} is not there"
    return (True, "") if before[0] < after[-1] else (False, "they come the other way round")


# Tables


def _table(rule: Rule, reading: str) -> Verdict:
    grids = find_grids(reading)
    if not grids:
        return False, "there is no table"
    found = [(grid, cell) for grid in grids for cell in grid.cells if _same(rule, "cell", cell)]
    if not found:
        return False, "no table has the cell"
    if any(_fits(rule, grid, cell) for grid, cell in found):
        return True, ""
    return False, "the cell is there, but not what is asked for beside it"


def _fits(rule: Rule, grid: Grid, cell: Placed) -> bool:
    asked = [(side, grid.neighbours(cell, side)) for side in SIDES if rule.text(side)]
    asked += [(name, grid.headings(cell, side)) for name, side in HEADINGS.items() if rule.text(name)]
    return all(any(_same(rule, name, other) for other in others) for name, others in asked)


def _same(rule: Rule, name: str, cell: Placed) -> bool:
    """Whether a cell says what the rule asks for, `max_diffs` edits aside, half of the text at most."""
    from rapidfuzz import fuzz

    wanted = rule.text(name)
    least = max(0.5, 1 - rule.max_diffs / len(wanted))
    return fuzz.ratio(wanted, normalise(cell.text).strip()) / 100 >= least


# Formulas and the rest


def _math(rule: Rule, reading: str) -> Verdict:
    wanted = formulas.normalise(str(rule.details["math"]))
    found = formulas.find_formulas(reading)
    if not found:
        return False, "there is no formula"
    if any(formulas.contains(formulas.normalise(formula), wanted) for formula in found):
        return True, ""
    return False, "no formula is the one asked for"


_FOREIGN = re.compile("[\u4e00-\u9fff\u3040-\u30ff\U0001f300-\U0001f64f\U0001f1e0-\U0001f1ff]")


def _baseline(rule: Rule, reading: str) -> Verdict:
    most = rule.details.get("max_length")
    if rule.details.get("max_length_skips_image_alt_tags"):
        reading = re.sub(r"!\[.*?\]\(.*?\)", "", reading)
    length = sum(map(str.isalnum, reading))
    if most is not None:
        return (
            (True, "") if length <= most else (False, f"{length} letters on a page that has {most} at most")
        )
    if not length:
        return False, "there is no text"
    repeats = trailing_repeats(reading)
    if repeats > (rule.details.get("max_repeats") or MOST_REPEATS):
        return False, f"it ends with {repeats} times the same"
    if rule.details.get("check_disallowed_characters", True) and (strange := _FOREIGN.search(reading)):
        return False, f"{strange.group()!r} is of a script that the page has not"
    return True, ""


_CHECKS: dict[str, Callable[[Rule, str], Verdict]] = {
    "present": _present,
    "absent": _absent,
    "order": _order,
    "table": _table,
    "math": _math,
    "baseline": _baseline,
}
