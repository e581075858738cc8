"""Precision against compression: the Fox benchmark's buckets and the curves of pages that were set for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from foveate.evaluation.fox import PAPER, PAPER_METRIC
from foveate.evaluation.report.charts import Lines, Point, Series, Table
from foveate.evaluation.report.page import Section
from foveate.evaluation.run import Run

MEASURES = (PAPER_METRIC, "edit_similarity", "plain_edit_similarity", "word_f1", "bleu", "meteor")
REFERENCE_COLOUR = 7  # grey
FEWEST = 3  # pages of a point of a chart
RATIO = "text tokens per vision token"


def fox_section(runs: Sequence[Run], colours: Mapping[str, int]) -> Section:
    """Buckets of text tokens, with the paper's own points."""
    charts = (
        _chart("Precision against compression", runs, colours, "buckets", PAPER_METRIC, paper()),
        _chart("Without format, all characters", runs, colours, "buckets", "plain_edit_similarity"),
    )
    intro = (
        "Pages in buckets of text tokens; the ratio is text tokens of the truth per vision token. Dashed: "
        "Table 2 of DeepSeek-OCR (arXiv:2510.18234) on the Fox benchmark. Precision is that of the "
        "benchmark's script: distinct words in common over distinct words read. Buckets of fewer than "
        f"{FEWEST} pages are in the tables only."
    )
    return Section("Compression", intro, (*charts, *(_table(run, "buckets", _bucket) for run in runs)))


def curve_section(runs: Sequence[Run], colours: Mapping[str, int]) -> Section:
    """Pages that were set to have a ratio, in type that gets smaller."""
    charts = (
        _chart("Precision against compression", runs, colours, "points", PAPER_METRIC, paper()),
        _chart("Without format, all characters", runs, colours, "points", "plain_edit_similarity"),
    )
    intro = (
        "Pages set to hold so many text tokens for each vision token, in the largest type that fits. Dashed: "
        "the paper's points, which are of other pages."
    )
    return Section("Compression curve", intro, (*charts, *(_table(run, "points", _size) for run in runs)))


def paper() -> list[Series]:
    """Table 2 of the paper."""
    return [
        Series(
            f"paper, {mode}",
            tuple(
                Point(ratio, precision, note=f"{first} text tokens")
                for first, (precision, ratio) in cells.items()
            ),
            reference=True,
            colour=REFERENCE_COLOUR,
        )
        for mode, cells in PAPER.items()
    ]


def _chart(
    title: str,
    runs: Sequence[Run],
    colours: Mapping[str, int],
    groups: str,
    metric: str,
    more: Sequence[Series] = (),
) -> Lines:
    """A measure in per cent over the ratio, one line a run."""
    fewest = FEWEST if groups == "buckets" else 1  # a curve's points have as many pages as were asked for
    titles = [_title(run) for run in runs]
    # Several runs of one reader, such as prose and random letters, need colours of their own.
    alone = len({run.name for run in runs}) == len(runs)
    series = [
        Series(
            title,
            tuple(
                _point(group, metric)
                for group in sorted(run.scores[groups], key=lambda group: group["ratio"])
                if group["pages"] >= fewest
            ),
            colour=colours[run.name] if alone else number % REFERENCE_COLOUR,
        )
        for number, (run, title) in enumerate(zip(runs, titles, strict=True))
    ]
    name = "precision, %" if metric == PAPER_METRIC else "1 - edit distance, %"
    return Lines(title, RATIO, name, (*series, *more))


def _point(group: Mapping[str, Any], metric: str) -> Point:
    low, high = (100 * value for value in group["intervals"][metric])
    note = f"{group['text_tokens']:.0f} text tokens, {group['pages']} pages"
    return Point(group["ratio"], 100 * group["metrics"][metric], low, high, note)


def _title(run: Run) -> str:
    """The reader, its mode, and what is on the pages where that is not plain prose."""
    what = ["random letters"] if run.setup.options.get("letters") else []
    if degraded := run.setup.options.get("degrade"):
        what.append(f"degraded by {degraded:g}")
    return ", ".join((run.name, *what))


def _bucket(group: Mapping[str, Any]) -> str:
    return f"{group['from']}-{group['to']}" if "from" in group else "all"


def _size(group: Mapping[str, Any]) -> str:
    return f"{group['type_size']:.1f} px type"


def _table(run: Run, groups: str, name: Any) -> Table:
    """A row a group, and one for all where there is one."""
    everything = [run.scores["all"]] if "all" in run.scores else []
    rows = tuple(
        (
            name(group),
            group["pages"],
            float(group["text_tokens"]),
            float(group["ratio"]),
            *(group["metrics"][measure] for measure in MEASURES),
        )
        for group in (*run.scores[groups], *everything)
    )
    return Table(_title(run), ("", "pages", "text tokens", "ratio", *MEASURES), rows)
