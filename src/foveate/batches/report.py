"""How far a batch is, and what became of it."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foveate.batches.journal import Journal
from foveate.batches.outputs import whole

REPORT, PROBLEMS = "report.json", "problems.jsonl"
WINDOW = 120.0  # seconds that speeds are measured over
_SECRET = frozenset({"model_fingerprint", "threads"})  # of this machine, or of no use to a reader


@dataclass
class Progress:
    """How far the batch is; `line` says it in a sentence."""

    counts: dict[str, int]  # of the journal, when this run began
    clock: Callable[[], float] = time.monotonic
    done: int = 0  # pages, in this run
    failed: int = 0
    text_tokens: int = 0
    _marks: deque[tuple[float, int, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._marks.append((self.clock(), 0, 0))

    def page(self, text_tokens: int = 0, failed: bool = False) -> None:
        """Another page is settled."""
        self.failed += failed
        self.done += not failed
        self.text_tokens += text_tokens
        now = self.clock()
        self._marks.append((now, self.done + self.failed, self.text_tokens))
        while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW:
            self._marks.popleft()

    @property
    def speeds(self) -> tuple[float, float]:
        """Pages and text tokens a second, lately."""
        began, pages, tokens = self._marks[0]
        seconds = self.clock() - began
        if seconds <= 0:
            return 0.0, 0.0
        return (self._marks[-1][1] - pages) / seconds, (self._marks[-1][2] - tokens) / seconds

    def line(self, counts: dict[str, int]) -> str:
        """Pages of how many, speeds, and how long it will take. `counts` are the journal's, now."""
        settled = counts["pages_done"] + counts["pages_failed"]
        total, about = expected_pages(counts)
        pages, tokens = self.speeds
        parts = [f"{settled:,} of {'about ' if about else ''}{total:,} pages"]
        parts += [f"{pages:.2f} pages/s", f"{tokens:,.0f} tokens/s"]
        if pages > 0 and total > settled:
            parts.append(f"{duration((total - settled) / pages)} left")
        lost = counts["pages_failed"] + counts["documents_quarantined"]
        return ", ".join([*parts, f"{lost:,} problems"] if lost else parts)


def expected_pages(counts: dict[str, int]) -> tuple[int, bool]:
    """Pages of the whole batch, and whether that is a guess, since documents wait to be opened."""
    waiting = counts["documents_waiting"]
    opened = counts["documents"] - waiting - counts["documents_quarantined"]
    if not waiting:
        return counts["pages"], False
    each = counts["pages"] / opened if opened else 1
    return counts["pages"] + round(waiting * each), True


def duration(seconds: float) -> str:
    """Such as "45 s", "12 min", "3 h 20 min" or "2 days 4 h"."""
    seconds = max(seconds, 0)
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(minutes / 60)
    return f"{hours // 24} days {hours % 24} h"


@dataclass(frozen=True)
class Report:
    """What became of a batch."""

    counts: dict[str, int]
    read_now: int = 0  # pages, in this run
    seconds: float = 0.0  # of this run

    @property
    def problems(self) -> int:
        """Documents and pages that could not be read."""
        return self.counts["documents_quarantined"] + self.counts["pages_failed"]

    def summary(self) -> str:
        """One line for people."""
        counts = self.counts
        line = (
            f"{counts['pages_done']:,} pages of {counts['documents']:,} documents read, {self.read_now:,} "
            f"of them now in {duration(self.seconds)}: {counts['vision_tokens']:,} vision tokens, "
            f"{counts['text_tokens']:,} text tokens"
        )
        notes = [(counts["documents_quarantined"], "documents"), (counts["pages_failed"], "pages")]
        lost = [f"{count:,} {what} not read" for count, what in notes if count]
        return f"{line} ({', '.join(lost)}: see {PROBLEMS})" if lost else line


def write_report(folder: Path, journal: Journal) -> None:
    """Writes `report.json`, and `problems.jsonl` with a line for each document or page that was not read.

    Both are functions of the journal: nothing of time or machine is in them.
    """
    settings = {name: value for name, value in journal.settings.items() if name not in _SECRET}
    values: dict[str, Any] = {"schema": "foveate.batch", "version": 1, "complete": journal.complete}
    values |= {"settings": dict(sorted(settings.items())), "counts": journal.counts()}
    with whole(folder / PROBLEMS) as file:
        for line in _problems(journal):
            file.write(line.encode("utf-8", "backslashreplace"))
    with whole(folder / REPORT) as file:
        file.write(
            json.dumps(values, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        )


def _problems(journal: Journal) -> Iterator[str]:
    for document, page, reason in journal.problems():
        yield json.dumps({"document": document, "page": page, "reason": reason}, ensure_ascii=False) + "\n"
