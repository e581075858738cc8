"""The SQLite file that knows every page."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from foveate.batches.inputs import Found
from foveate.batches.journal import MIGRATIONS, Journal
from foveate.document import Attempt, Block, Page
from foveate.errors import OptionError, StorageError

PAGE = Page(1, 10, 20, (Block("text", "words", (), 0.25),), "raw", "tiny", "markdown", 64, 3, 1.5, 0.25)


def documents(*names: str) -> list[Found]:
    return [Found(f"/in/{name}", name, name) for name in names]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "out" / ".batch" / "journal.sqlite3") as journal:
        yield journal


def test_names_of_outputs_never_collide(journal: Journal) -> None:
    names = ["a.pdf", "A.png", "x/a.pdf", "a-2.pdf", "../up.pdf", "é.pdf", "e\u0301.pdf", "b\udcff.pdf"]
    journal.add_documents(documents(*names, "n" * 300 + ".pdf"))
    targets = [document.target for document in journal.documents()]
    assert targets[:7] == ["a", "A-2", "x/a", "a-2-2", "up", "é", "e\u0301-2"]
    assert targets[7] == "b\\udcff" and targets[8] == "n" * 200
    assert journal.document(7).place == "/in/b\udcff.pdf"
    assert journal.add_documents(documents(*names)) == 0


def test_groups_hold_so_many_pages_and_not_of_two_generations(journal: Journal) -> None:
    journal.add_documents(documents("a", "b", "c"))
    journal.opened(0, [1, 2, 3], 5, "aa", 2)
    journal.opened(1, [7], 5, "bb", 2)
    journal.quarantine(2, "bad")
    journal.add_documents(documents("d"))
    journal.opened(3, [1, 2], 5, "dd", 2)
    groups = [[(row.document, row.number) for row in journal.group(number)] for number in range(4)]
    assert groups == [[(0, 1), (0, 2)], [(0, 3), (1, 7)], [(3, 1), (3, 2)], []]
    assert journal.waiting_groups(0, 1) == [1] and journal.last_group == 2
    journal.add_documents(documents("e", "f"))
    journal.opened(4, [1], 5, "ee", 2)
    journal.opened(5, [1], 5, "ff", 2)
    assert [(row.document, row.number) for row in journal.group(3)] == [(4, 1), (5, 1)]


def test_a_result_is_written_once(journal: Journal) -> None:
    journal.add_documents(documents("a"))
    journal.opened(0, [1, 2], 5, "aa", 2)
    first, second = journal.pages(0)
    assert journal.done(first, PAGE) and not journal.done(first, replace(PAGE, raw="other"))
    assert not journal.failed(first, "late") and journal.failed(second, "torn")
    assert not journal.done(second, PAGE) and journal.complete
    (_, kept), (_, lost) = journal.results(0)
    assert kept == replace(PAGE, seconds=0.0) and lost.error == "torn"
    assert list(journal.problems()) == [("a", 2, "torn")]
    counts = journal.counts()
    assert (counts["pages_done"], counts["pages_failed"], counts["text_tokens"]) == (1, 1, 3)


def test_times_are_not_kept_with_a_result(journal: Journal) -> None:
    journal.add_documents(documents("a"))
    journal.opened(0, [1], 5, "aa", 2)
    journal.done(journal.pages(0)[0], replace(PAGE, attempts=(Attempt("tiny", "loop", 2, 0.5),)))
    ((_, kept),) = journal.results(0)
    assert kept.attempts == (Attempt("tiny", "loop", 2, 0.0),) and kept.seconds == 0


def test_all_is_there_after_opening_anew(tmp_path: Path, journal: Journal) -> None:
    journal.settle({"mode": "tiny", "pages": None})
    journal.add_documents(documents("a", "b"))
    journal.opened(0, [1], 5, "aa", 2)
    journal.done(journal.pages(0)[0], PAGE)
    journal.set_alone(0)
    journal.set_written("md", 3, 4)
    journal.close()
    with Journal(journal.path) as again:
        assert again.settings == {"mode": "tiny", "pages": None} and again.unfinished() == [1]
        assert again.is_alone(0) and not again.is_alone(1)
        assert again.written("md", 3) == 4 and again.written("txt", 3) is None
        assert not again.complete and again.has_result(0) and not again.has_result(1)


def test_other_settings_are_refused(journal: Journal) -> None:
    journal.settle({"mode": "tiny"})
    journal.settle({"mode": "tiny", "dpi": 100})
    with pytest.raises(OptionError, match='mode "tiny", not "base": give the same options again'):
        journal.settle({"mode": "base"})
    journal.settle({"model_fingerprint": "aa"})
    with pytest.raises(OptionError, match="another network of the same name"):
        journal.settle({"model_fingerprint": "bb"})


def test_a_finished_document_beside_unfinished_pages_is_needed(journal: Journal) -> None:
    journal.add_documents(documents("a", "b", "c"))
    for number, name in enumerate("abc"):
        journal.opened(number, [1, 2], 5, name, 3)
    for row in [*journal.pages(0), *journal.pages(1)[:1]]:
        journal.done(row, PAGE)
    assert journal.unfinished() == [1, 2]
    journal.add_documents(documents("d"))
    assert journal.unfinished() == [1, 2, 3]


def test_what_failed_can_be_tried_again(journal: Journal) -> None:
    journal.add_documents(documents("a", "b"))
    journal.opened(0, [1, 2], 5, "aa", 2)
    journal.done(journal.pages(0)[0], PAGE)
    journal.failed(journal.pages(0)[1], "torn")
    journal.quarantine(1, "bad")
    assert journal.complete and journal.retry_failed() == 2
    assert [page.state for page in journal.pages(0)] == ["done", "waiting"]
    assert journal.document(1).state == "waiting" and journal.document(1).generation == 1
    assert journal.unfinished() == [0, 1]


def test_quarantine_keeps_what_was_read(journal: Journal) -> None:
    journal.add_documents(documents("a"))
    journal.opened(0, [1, 2], 5, "aa", 2)
    journal.done(journal.pages(0)[0], PAGE)
    journal.quarantine(0, "gone")
    assert [page.state for page in journal.pages(0)] == ["done", "failed"]
    assert list(journal.problems()) == [("a", None, "gone")]


def test_two_batches_in_one_folder(journal: Journal) -> None:
    with pytest.raises(OptionError, match="another foveate batch is at work in .*out:"):
        Journal(journal.path)
    journal.close()
    Journal(journal.path).close()


def test_a_journal_of_a_newer_foveate(journal: Journal) -> None:
    journal.close()
    with sqlite3.connect(journal.path) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(OptionError, match="update it"):
        Journal(journal.path)


def test_no_journal_at_all(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("this is a letter, " * 100)
    with pytest.raises(OptionError, match="damaged or no journal"):
        Journal(tmp_path / "journal")


def test_a_full_disk_loses_nothing(journal: Journal) -> None:
    journal.add_documents(documents("a"))
    journal.opened(0, range(1, 100), 5, "aa", 8)
    first, *others = journal.pages(0)
    journal.done(first, PAGE)
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite says the same for a full disk
    noise = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(9000))
    with pytest.raises(StorageError, match="full.*nothing is lost"):
        for row in others:
            journal.done(row, replace(PAGE, raw=noise))
    journal.close()
    with Journal(journal.path) as again:
        assert [page.state for page in again.pages(0)].count("done") >= 1
        rows = [row for row, page in again.results(0) if row.state == "done" and page.raw]
        assert len(rows) == again.counts()["pages_done"]
