"""Readings against truths: every measure, per page and over all, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from foveate.evaluation import normalise, text_metrics
from foveate.evaluation.repeats import loops
from foveate.evaluation.run import PageResult
from foveate.evaluation.statistics import mean_interval, share_interval

HEADLINE = "edit_similarity"  # of texts without their format, unless said otherwise
FORMS: dict[str, Callable[[str], str]] = {"raw": lambda text: text.strip(), "plain": normalise.plain}


def page_scores(page: PageResult, form: str = "plain") -> dict[str, float]:
    """Every measure of a page that has a truth."""
    assert page.truth is not None, "a page without a truth has no scores"
    change = FORMS[form]
    return text_metrics.scores(change(page.truth), change(page.reading.text))


def headline(page: PageResult) -> float:
    """1 - normalised edit distance of the characters, whatever the format."""
    assert page.truth is not None, "a page without a truth has no scores"
    return text_metrics.edit_similarity(*map(normalise.plain, (page.truth, page.reading.text)))


def score_texts(pages: Sequence[PageResult], seed: int = 0) -> dict[str, Any]:
    """Means of all measures in both forms, shares of loops and errors; page by page the headline."""
    judged = [page for page in pages if page.truth is not None]
    scores: dict[str, Any] = {"pages": len(pages), "judged": len(judged), **behaviour(pages)}
    if not judged:
        return scores
    for form in FORMS:
        by_page = [page_scores(page, form) for page in judged]
        scores[form] = _means(by_page, seed)
        if form == "plain":
            scores["by_page"] = {
                page.id: values[HEADLINE] for page, values in zip(judged, by_page, strict=True)
            }
    scores["characters"] = sum(len(page.truth or "") for page in judged)
    return scores


def _means(pages: Sequence[Mapping[str, float]], seed: int) -> dict[str, Any]:
    """Each measure's mean over pages with its bootstrap interval."""
    means = {}
    for name in pages[0]:
        interval = mean_interval([page[name] for page in pages], seed=seed)
        means[name] = {"value": interval.value, "low": interval.low, "high": interval.high}
    return means


def behaviour(pages: Sequence[PageResult]) -> dict[str, Any]:
    """Shares of pages that loop, that ran out of room, and that could not be read."""
    return {
        "loops": _share([is_loop(page) for page in pages]),
        "cut": _share([page.reading.stop == "length" for page in pages]),
        "errors": _share([page.reading.stop == "error" for page in pages]),
    }


def is_loop(page: PageResult) -> bool:
    """Whether the reader said so itself, or its text does."""
    return page.reading.stop == "loop" or loops(page.reading.text)


def _share(passed: Sequence[bool]) -> dict[str, Any] | None:
    if not passed:
        return None
    interval = share_interval(sum(passed), len(passed))
    return {"count": sum(passed), "value": interval.value, "low": interval.low, "high": interval.high}
