"""How far a batch is, and what became of it."""

import json
from pathlib import Path

import pytest

from foveate.batches.inputs import Found
from foveate.batches.journal import Journal
from foveate.batches.report import Progress, Report, duration, expected_pages, write_report
from foveate.document import Page

COUNTS = {
    "documents": 4, "documents_waiting": 0, "documents_quarantined": 0, "pages": 100, "pages_done": 40,
    "pages_failed": 0, "pages_waiting": 60, "vision_tokens": 2560, "text_tokens": 400, "bytes": 9,
}  # fmt: skip


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_speeds_and_what_is_left() -> None:
    clock = Clock()
    progress = Progress(COUNTS, clock)
    assert progress.line(COUNTS) == "40 of 100 pages, 0.00 pages/s, 0 tokens/s"
    for _ in range(10):
        clock.now += 2
        progress.page(text_tokens=50)
    assert progress.line(COUNTS) == "40 of 100 pages, 0.50 pages/s, 25 tokens/s, 2 min left"
    progress.page(failed=True)
    counts = COUNTS | {"pages_failed": 1, "documents_quarantined": 2}
    assert progress.line(counts).endswith("left, 3 problems") and progress.done == 10
    finished = COUNTS | {"pages_done": 100}
    assert "left" not in progress.line(finished)


def test_speeds_are_those_of_lately() -> None:
    clock = Clock()
    progress = Progress(COUNTS, clock)
    for seconds in [100] * 20 + [1] * 200:
        clock.now += seconds
        progress.page(10)
    pages, tokens = progress.speeds
    assert pages == pytest.approx(1, rel=0.05) and tokens == pytest.approx(10, rel=0.05)
    clock.now += 1000  # nothing comes any more
    assert progress.speeds[0] < 0.2


def test_pages_of_documents_that_wait_are_guessed() -> None:
    assert expected_pages(COUNTS) == (100, False)
    waiting = COUNTS | {"documents": 10, "documents_waiting": 5, "documents_quarantined": 1}
    assert expected_pages(waiting) == (225, True)
    assert "of about 225 pages" in Progress(waiting).line(waiting)
    assert expected_pages(dict.fromkeys(COUNTS, 0) | {"documents": 3, "documents_waiting": 3}) == (3, True)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (45.4, "45 s"), (89, "89 s"), (100, "2 min"), (5000, "83 min"), (7300, "2 h 2 min"),
     (200_000, "2 days 8 h")],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_summary() -> None:
    good = Report(COUNTS, 10, 65.0)
    assert good.summary() == (
        "40 pages of 4 documents read, 10 of them now in 65 s: 2,560 vision tokens, 400 text tokens"
    )
    bad = Report(COUNTS | {"pages_failed": 2, "documents_quarantined": 1})
    assert (
        bad.problems == 3 and "(1 documents not read, 2 pages not read: see problems.jsonl)" in bad.summary()
    )


def test_the_report_is_about_the_pages_and_not_about_the_machine(tmp_path: Path) -> None:
    with Journal(tmp_path / "j" / "x" / "journal") as journal:
        journal.settle({"mode": "tiny", "threads": 7, "model_fingerprint": "ff"})
        journal.add_documents([Found("/a", "a", "a"), Found("/b", "b", "b")])
        journal.opened(0, [1, 2], 3, "aa", 4)
        journal.done(journal.pages(0)[0], Page(1, 2, 3, (), text_tokens=4, seconds=9.0))
        journal.failed(journal.pages(0)[1], "torn")
        journal.quarantine(1, "broken")
        write_report(tmp_path, journal)
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["complete"] and report["settings"] == {"mode": "tiny"}
    assert report["counts"]["pages_done"] == 1 and "seconds" not in json.dumps(report)
    lines = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_bytes().splitlines()]
    assert lines == [
        {"document": "a", "page": 2, "reason": "torn"},
        {"document": "b", "page": None, "reason": "broken"},
    ]
