"""The Fox benchmark's English pages in the manner of DeepSeek-OCR's Table 2: precision by the text's length.

Pages and readings are JSON lines `{"id", "text"}`. The paper does not say what its precision is; of the
measures here, `distinct_word_precision` of the texts as they are gives its numbers (docs/fox.md); so counts
the benchmark's own script too (github.com/ucaslcl/Fox, eval_tools/eval_ocr_test.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foveate.errors import CorruptSource, OptionError
from foveate.evaluation import throughput
from foveate.evaluation.compression import (
    BUCKET,
    PLAIN,
    ScoredPage,
    TokenCounter,
    buckets,
    summary,
    vision_tokens,
)
from foveate.evaluation.readers.protocol import Reading
from foveate.evaluation.run import Case, PageResult, Run, Setup, now, read_lines, versions, whole_letters

PAPER_METRIC = "distinct_word_precision"
# arXiv:2510.18234, Table 2: mode -> first tokens of the bucket -> (precision in per cent, ratio)
PAPER: Mapping[str, Mapping[int, tuple[float, float]]] = {
    "tiny": {
        600: (96.5, 10.5),
        700: (93.8, 11.8),
        800: (83.8, 13.2),
        900: (85.9, 15.1),
        1000: (79.3, 16.5),
        1100: (76.4, 17.7),
        1200: (59.1, 19.7),
    },
    "small": {
        600: (98.5, 6.7),
        700: (97.3, 7.5),
        800: (96.8, 8.5),
        900: (96.8, 9.7),
        1000: (91.5, 10.6),
        1100: (89.8, 11.3),
        1200: (87.1, 12.6),
    },
}
UNREAD = Reading("", 0.0, stop="error", error="not among the predictions")
COLUMNS = (PAPER_METRIC, "word_f1", "edit_similarity", PLAIN + "edit_similarity", "bleu", "meteor")


def read_texts(path: Path) -> dict[str, str]:
    """Text by id, in the file's order. Raises `SourceNotFound` or `CorruptSource`."""
    texts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        name, text = line.get("id"), line.get("text")
        if not isinstance(name, str) or not isinstance(text, str):
            raise CorruptSource(f'{path}, page {number}: write {{"id": "…", "text": "…"}} on each line')
        if name in texts:
            raise CorruptSource(f"{path}: the page {name!r} comes twice: give each an id of its own")
        texts[name] = whole_letters(text)
    if not texts:
        raise CorruptSource(f'{path} holds no pages: write a line {{"id": "…", "text": "…"}} for each')
    return texts


def cases_with_pictures(truths: Mapping[str, str], folder: Path) -> list[Case]:
    """The pages that have a picture in the folder, called as the id.

    Raises `OptionError` when none has.
    """
    from foveate.errors import SourceNotFound
    from foveate.evaluation.pages import find_picture, opener

    cases = []
    for name, truth in truths.items():
        try:
            picture = find_picture(folder, name)
        except SourceNotFound:
            continue
        cases.append(Case(name, opener(picture), truth, str(picture)))
    if not cases:
        raise OptionError(
            f"{folder} has no picture of any page: call them as the ids, {next(iter(truths))}.png"
        )
    return cases


def results_of(
    truths: Mapping[str, str], reads: Mapping[str, str], pictures: Sequence[Case] = ()
) -> list[PageResult]:
    """What was read before, page by page. A page that was not read is an error of that page, its text empty.

    Raises `OptionError` when no page was read.
    """
    if not truths.keys() & reads.keys():
        raise OptionError(f"the predictions hold none of the {len(truths)} pages: their ids must be the same")
    found = {case.id: case for case in pictures}
    results = []
    for name, truth in truths.items():
        reading = Reading(reads[name], 0.0) if name in reads else UNREAD
        result = PageResult(name, reading, 0, 0, truth)
        if name in found:
            width, height = found[name].open().size
            result = replace(result, width=width, height=height, picture=found[name].picture)
        results.append(result)
    return results


def run_of(setup: Setup, results: Sequence[PageResult], scores: Mapping[str, Any]) -> Run:
    """A run whose readings were there before it."""
    return Run(
        setup=setup,
        pages=tuple(results),
        scores=scores,
        throughput=throughput.measure([page.reading for page in results]).to_dict(),
        versions=versions(),
        hardware=throughput.hardware(),
        started=now(),
        finished=now(),
    )


@dataclass(frozen=True)
class Scorer:
    """Makes a run's pages to the table."""

    counter: TokenCounter
    mode: str
    seed: int = 0
    width: int = BUCKET  # of a bucket, text tokens

    def __call__(self, pages: Sequence[PageResult]) -> dict[str, Any]:
        """Per bucket and for all pages: pages, text_tokens, ratio and every measure; page by page too."""
        scored = [self.page(page) for page in pages]
        return {
            "tokenizer": self.counter.describe(),
            "bucket_width": self.width,
            "buckets": [
                {"from": start, "to": start + self.width, **summary(group, self.seed)}
                for start, group in buckets(scored, self.width).items()
            ],
            "all": summary(scored, self.seed),
            "unread": [page.id for page in pages if page.reading.stop == "error"],
            "by_page": {page.id: page.shares[PLAIN + "edit_similarity"].value for page in scored},
            "page_metrics": [page.to_dict() for page in scored],
        }

    def page(self, page: PageResult) -> ScoredPage:
        """One page with its measures."""
        assert page.truth is not None, "a page without a truth has no bucket"
        size = (page.width, page.height) if page.width else None
        tokens = vision_tokens(self.mode, size)
        return ScoredPage(page.id, page.truth, page.reading.text, self.counter.count(page.truth), tokens)


def table(
    groups: Sequence[Mapping[str, Any]],
    name: Callable[[Mapping[str, Any]], str],
    columns: Sequence[str] = COLUMNS,
) -> list[str]:
    """Lines of a table: a group a row, measures in per cent with their intervals."""
    head = ["", "pages", "tokens", "ratio", *columns]
    rows = [
        [
            name(group),
            str(group["pages"]),
            f"{group['text_tokens']:.0f}",
            f"{group['ratio']:.1f}",
            *(percent(group, column) for column in columns),
        ]
        for group in groups
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in [head, *rows]]


def percent(group: Mapping[str, Any], metric: str) -> str:
    """A measure of a group with its interval, such as "96.5 [95.1, 97.8]"."""
    low, high = group["intervals"][metric]
    return f"{100 * group['metrics'][metric]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
