"""Runs as one page of HTML that needs nothing else, with PNG and CSV beside it.

charts.py        what a chart shows             svg.py    drawn for the page
sections.py      what each kind of run shows    files.py  PNG and CSV
compression.py   the same for fox and curve     page.py   the page around it all
readings.py      pages beside their readings
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foveate.evaluation.compare import Comparison
from foveate.evaluation.report.files import write_files
from foveate.evaluation.report.page import Raw, render
from foveate.evaluation.report.sections import sections
from foveate.evaluation.run import Run

__all__ = ["html", "write_figures"]


def html(runs: Sequence[Run], title: str = "Readers measured", comparison: Comparison | None = None) -> str:
    """The report of the runs, and of a comparison of two, as a page."""
    names = list(dict.fromkeys(run.name for run in runs))
    latest = max(run.finished for run in runs)[:10]
    return render(title, f"{', '.join(names)} · {latest}", sections(runs, comparison))


def write_figures(runs: Sequence[Run], folder: Path) -> list[Path]:
    """The report's charts as PNG and CSV, its tables as CSV. Returns their paths."""
    items = [item for section in sections(runs) for item in section.items]
    return write_files([item for item in items if not isinstance(item, Raw)], folder)
