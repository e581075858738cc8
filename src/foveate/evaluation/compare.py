"""Two runs on the same pages: how far apart they are, how sure that is, and where they differ most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foveate.errors import OptionError
from foveate.evaluation import scoring
from foveate.evaluation.normalise import plain
from foveate.evaluation.run import PageResult, Run
from foveate.evaluation.statistics import Difference, paired_bootstrap


@dataclass(frozen=True)
class PagePair:
    """A page that both have read."""

    id: str
    first: PageResult
    second: PageResult
    first_score: float
    second_score: float

    @property
    def gain(self) -> float:
        """What the second has over the first."""
        return self.second_score - self.first_score


@dataclass(frozen=True)
class Comparison:
    """Two runs, page against page; scores are from 0 to 1, more is better."""

    first: Run
    second: Run
    what: str  # the score's name
    pairs: tuple[PagePair, ...]
    difference: Difference  # the second's mean less the first's, by paired bootstrap

    @property
    def means(self) -> tuple[float, float]:
        count = len(self.pairs)
        return (
            sum(pair.first_score for pair in self.pairs) / count,
            sum(pair.second_score for pair in self.pairs) / count,
        )

    def worst(self, count: int) -> list[PagePair]:
        """The pages on which the two differ most, largest difference first."""
        apart = [pair for pair in self.pairs if pair.gain]
        return sorted(apart, key=lambda pair: -abs(pair.gain))[:count]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        difference = self.difference
        return {
            "first": self.first.name,
            "second": self.second.name,
            "score": self.what,
            "pages": len(self.pairs),
            "means": list(self.means),
            "difference": difference.value,
            "low": difference.low,
            "high": difference.high,
            "p": difference.p,
            "by_page": {pair.id: [pair.first_score, pair.second_score] for pair in self.pairs},
        }


def compare(first: Run, second: Run, seed: int = 0) -> Comparison:
    """Compares two runs of the same kind. Raises `OptionError` when they have no scored page in common."""
    if first.setup.kind != second.setup.kind:
        raise OptionError(
            f"{first.setup.kind} and {second.setup.kind} are not comparable: give runs of one kind"
        )
    what, ours = page_scores(first)
    _, theirs = page_scores(second)
    pages, others = ({page.id: page for page in run.pages} for run in (first, second))
    ids = [name for name in ours if name in theirs and pages[name].truth == others[name].truth]
    if not ids:
        raise OptionError("the two runs have no scored page in common: let both read the same pages")
    pairs = tuple(PagePair(name, pages[name], others[name], ours[name], theirs[name]) for name in ids)
    difference = paired_bootstrap([ours[name] for name in ids], [theirs[name] for name in ids], seed=seed)
    return Comparison(first, second, what, pairs, difference)


def page_scores(run: Run) -> tuple[str, dict[str, float]]:
    """A name, and each page's score: of rules the share that it passes, else how near the text is."""
    if run.setup.kind == "rules":
        passed: dict[str, list[bool]] = defaultdict(list)
        for rule in run.scores["rules"]:
            passed[rule["page"]].append(rule["passed"])
        return "share of rules passed", {page: sum(found) / len(found) for page, found in passed.items()}
    if run.setup.kind == "tables":
        return "TEDS", {table["id"]: table["teds"] for table in run.scores["tables"]}
    if run.setup.kind == "omnidocbench":
        scores: Mapping[str, Mapping[str, float]] = run.scores["by_page"]
        found = {page: 1 - values["text_edit"] for page, values in scores.items() if "text_edit" in values}
        return "1 - text edit", found
    known = {page.id: scoring.headline(page) for page in run.pages if page.truth is not None}
    return "1 - normalised edit distance, without format", known


def as_text(comparison: Comparison, worst: int = 5, width: int = 72) -> str:
    """The comparison for a terminal: the numbers, then the worst pages with where they first go wrong."""
    names = [comparison.first.name, comparison.second.name]
    difference = comparison.difference
    lines = [
        f"{comparison.what}, {len(comparison.pairs)} pages",
        *(f"  {name:<32} {mean:.3f}" for name, mean in zip(names, comparison.means, strict=True)),
        f"  {'difference':<32} {difference.value:+.3f}  [{difference.low:+.3f}, {difference.high:+.3f}]"
        f"  p = {difference.p:.3f}",
    ]
    for pair in comparison.worst(worst):
        lines += ["", f"{pair.id}: {pair.first_score:.3f} and {pair.second_score:.3f}"]
        if pair.first.picture:
            lines.append(f"  {'picture':<9} {pair.first.picture}")
        lines += [f"  {who:<9} {text}" for who, text in _excerpts(pair, width)]
    return "\n".join(lines)


def _excerpts(pair: PagePair, width: int) -> list[tuple[str, str]]:
    """The truth and both readings from shortly before where the worse one leaves the truth."""
    texts = {"first": pair.first.reading.text, "second": pair.second.reading.text}
    shown = {who: plain(text) for who, text in texts.items()}
    if pair.first.truth is None:
        return [(who, text[:width]) for who, text in shown.items()]
    truth = plain(pair.first.truth)
    worse = shown["first" if pair.gain > 0 else "second"]
    start = max(0, _common_start(truth, worse) - width // 3)
    return [(who, text[start : start + width]) for who, text in {"truth": truth, **shown}.items()]


def _common_start(one: str, other: str) -> int:
    """Characters that both begin with."""
    for place, (ours, theirs) in enumerate(zip(one, other, strict=False)):
        if ours != theirs:
            return place
    return min(len(one), len(other))
