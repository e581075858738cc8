"""What a search has found, as files: the style, a Pareto picture as PNG, CSV and HTML with the page it
sets."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from foveate.data.passages import TextSource
from foveate.evaluation.report.charts import Lines, Point, Series, Table
from foveate.evaluation.report.files import write_files
from foveate.evaluation.report.page import Raw, Section, render
from foveate.evaluation.tuning import Trial, Tuned
from foveate.pages.render import render as render_text
from foveate.pages.render import styles

STYLE, PAGE = "style.toml", "index.html"
_SAMPLE = 30_000  # characters


def write(tuned: Tuned, folder: Path, source: TextSource) -> list[Path]:
    """Writes all of it, with a page of the text in the style. Returns the paths."""
    chart = pareto(tuned)
    table = _table(tuned)
    written = write_files([chart, table], folder)
    if tuned.style is not None and tuned.winner is not None:
        styles.save(tuned.style, folder / STYLE, note=_note(tuned))
        written.insert(0, folder / STYLE)
    items: tuple[Lines | Table | Raw, ...] = (chart, table)
    if (page := _page(tuned, source)) is not None:
        items = (*items, page)
    search = tuned.search
    about = (
        f"{search.reader} · {search.text} · mode {search.mode} · {len(tuned.trials)} styles tried on "
        f"{search.pages} pages each · seed {search.seed}"
    )
    section = Section("Ratio and precision", _outcome(tuned), items)
    (folder / PAGE).write_text(render("A style tuned for a reader", about, [section]), encoding="utf-8")
    return [folder / PAGE, *written]


def pareto(tuned: Tuned) -> Lines:
    """Every style that was tried, the front, the precision asked for, and the winner."""
    search = tuned.search
    tried = [trial for trial in tuned.trials if not trial.error]
    series = [
        Series("styles tried", _points(tried), colour=7, joined=False),
        Series("no other is better in both", _points(tuned.front), colour=0),
    ]
    if tried:
        ends = (min(trial.ratio for trial in tried), max(trial.ratio for trial in tried))
        line = tuple(Point(x, search.precision) for x in ends)
        series.append(Series("precision asked for", line, reference=True, colour=5))
    if tuned.winner is not None:
        series.append(Series("winner, on unseen pages", _points([tuned.winner]), colour=2, joined=False))
    title = f"Text tokens for a vision token, and {search.metric.replace('_', ' ')}"
    return Lines(title, "text tokens for each vision token", search.metric, tuple(series), (0.0, 1.02))


def _points(trials: Sequence[Trial]) -> tuple[Point, ...]:
    return tuple(Point(trial.ratio, trial.precision, note=_words(trial)) for trial in trials)


def _words(trial: Trial) -> str:
    genes = trial.genes
    return f"{genes.font} {genes.size / 4:g} px, lines {genes.leading / 20:g}, line ends {genes.line_breaks}"


def _table(tuned: Tuned) -> Table:
    rows = tuple(
        (_words(trial), trial.ratio, trial.precision, trial.genes.margin, trial.genes.columns, trial.pages)
        for trial in reversed(tuned.front)
    )
    head = ("style", "ratio", "precision", "margin", "columns", "pages read")
    return Table("The front", head, rows)


def _outcome(tuned: Tuned) -> str:
    search, winner = tuned.search, tuned.winner
    if winner is None:
        return f"No style has reached {search.precision:g} on unseen pages."
    return (
        f"The winner has {winner.ratio:.2f} text tokens for each vision token, read with a precision of "
        f"{winner.precision:.3f} on {winner.pages} pages that the search had not seen."
    )


def _note(tuned: Tuned) -> str:
    search = tuned.search
    return f"{_outcome(tuned)}\nReader {search.reader}, mode {search.mode}, text {search.text}."


def _page(tuned: Tuned, source: TextSource) -> Raw | None:
    if tuned.style is None:
        return None
    text = "\n".join(source.pick(np.random.default_rng(tuned.search.seed), _SAMPLE).paragraphs)
    image = render_text(text, tuned.style, limit=1)[0].image
    image.save(file := io.BytesIO(), "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    html = f'<img alt="a page in the style" src="data:image/png;base64,{data}" style="max-width:100%">'
    return Raw("A page in the winning style", html)
