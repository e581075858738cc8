"""The batch itself: what it reads, what it notes, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import torch

from foveate.batches import drawing
from foveate.batches.drawing import Opening
from foveate.batches.inputs import find
from foveate.batches.run import Plan, read_batch
from foveate.engine.reader import Options
from foveate.errors import OptionError, SourceNotFound, StorageError
from tests.batches.world import PLAN, Beside, Stop, files, pdf, whole, worker


def test_all_that_can_be_read_is_read(folder: Path) -> None:
    reader = Beside()
    report = read_batch(lambda: reader, ["in"], "out", PLAN)
    given = files(folder / "out")
    assert set(given) == {"a.json", "sub/b.json", "c.json", "d.json", "report.json", "problems.jsonl"}
    assert report.counts["pages_done"] == 12 == report.read_now and report.problems == 2
    problems = [json.loads(line) for line in given["problems.jsonl"].decode().splitlines()]
    assert [problem["document"] for problem in problems] == ["in/broken.pdf", "in/empty.png"]
    assert "damaged" in problems[0]["reason"] and "is empty" in problems[1]["reason"]
    document = json.loads(given["a.json"])
    assert [page["number"] for page in document["pages"]] == [1, 2, 3, 4, 5]
    assert document["source"] == "in/a.pdf" and document["pages"][0]["width"] == 80
    assert [len(call) for call in reader.calls] == [4, 4, 4]
    assert list(folder.joinpath("out/.batch").iterdir()) == [folder / "out/.batch/journal.sqlite3"]


def test_a_finished_batch_needs_no_reader_and_no_documents(folder: Path) -> None:
    theirs = whole()
    shutil.rmtree("in")
    (folder / "whole" / "a.json").unlink()
    report = read_batch(lambda: pytest.fail("nothing is to be read"), [], "whole", PLAN)
    assert files(folder / "whole") == theirs and report.read_now == 0 and report.problems == 2


def test_another_format_is_written_without_reading(folder: Path) -> None:
    whole()
    read_batch(lambda: pytest.fail("nothing is to be read"), [], "whole", replace(PLAN, format="jsonl"))
    read_batch(Beside, ["in"], "other", replace(PLAN, format="jsonl"))
    name = "documents/part-00000.jsonl"
    assert files(folder / "whole")[name] == files(folder / "other")[name]


def test_more_documents_may_be_added(folder: Path) -> None:
    read_batch(Beside, ["in/a.pdf"], "out", PLAN)
    theirs = files(folder / "out")["a.json"]
    reader = Beside()
    read_batch(lambda: reader, ["in"], "out", PLAN)
    given = files(folder / "out")
    assert given["a.json"] == theirs and {"sub/b.json", "c.json", "d.json"} < set(given)
    assert [len(call) for call in reader.calls] == [4, 3]


def test_the_same_whatever_the_processes_and_threads(folder: Path) -> None:
    theirs = whole()
    assert whole(plan=replace(PLAN, workers=3), out="other") == theirs
    assert whole(plan=replace(PLAN, group=3), out="third") != theirs  # the reader of these tests does notice


def test_threads_are_those_of_the_first_run(folder: Path) -> None:
    before, seen = torch.get_num_threads(), []

    def load() -> Beside:
        seen.append(torch.get_num_threads())
        return Beside(stop_after=2)

    try:
        for threads in (2, 1):
            torch.set_num_threads(threads)
            with pytest.raises(Stop):
                read_batch(load, ["in"], "out", PLAN)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert seen == [2, 2]


def test_a_poison_page_is_noted_and_stays_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "WORKER", worker(4, "os._exit(9)"))
    plan = replace(PLAN, tries=2)
    report = read_batch(Beside, ["in"], "out", plan)
    assert report.counts["pages_failed"] == 1 and report.counts["pages_done"] == 11
    given = files(folder / "out")
    assert b"page 4 broke the program that draws it, 2 times" in given["problems.jsonl"]
    page = json.loads(given["a.json"])["pages"][3]
    assert page["number"] == 4 and page["stop"] == "error" and "2 times" in page["error"]
    with pytest.raises(Stop):
        read_batch(lambda: Beside(stop_after=2), ["in"], "other", plan)
    read_batch(Beside, [], "other", plan)
    assert files(folder / "other") == given


def test_pages_that_break_the_network_are_found_and_the_others_read(folder: Path) -> None:
    poisoned = frozenset({100})
    reader = Beside(poison=poisoned)
    report = read_batch(lambda: reader, ["in"], "out", PLAN)
    given = files(folder / "out")
    assert report.counts["pages_failed"] == 1
    assert b"page 2 breaks the network: shapes do not fit" in given["problems.jsonl"]
    assert reader.calls.count([100]) == 3
    for after in (0, 1, 3):
        with pytest.raises(Stop):
            read_batch(lambda after=after: Beside(poison=poisoned, stop_after=after), ["in"], "b", PLAN)  # type: ignore[misc]
        read_batch(lambda: Beside(poison=poisoned), ["in"], "b", PLAN)
        assert files(folder / "b") == given, after
        shutil.rmtree("b")


def test_what_failed_is_tried_again_when_asked(folder: Path) -> None:
    whole(Beside(overflow=frozenset({33, 600})), out="out")
    assert b"numbers overflow" in files(folder / "out")["problems.jsonl"]
    shutil.copy("in/d.pdf", "in/broken.pdf")
    report = read_batch(Beside, [], "out", PLAN)
    assert report.problems == 4 and report.read_now == 0
    report = read_batch(Beside, [], "out", PLAN, retry_failed=True)
    assert report.problems == 1 and report.read_now == 5
    assert {"broken.json", "c.json"} < set(files(folder / "out"))


def test_pictures_lie_beside_the_outputs(folder: Path) -> None:
    plan = replace(PLAN, format="md", pictures=True)
    theirs = whole(plan=plan)
    assert theirs["sub/b.images/page-0002-0.jpg"].startswith(b"\xff\xd8")
    assert b"![](b.images/page-0002-0.jpg)" in theirs["sub/b.md"]
    with pytest.raises(Stop):
        read_batch(lambda: Beside(stop_after=5), ["in"], "out", plan)
    read_batch(Beside, ["in"], "out", plan)
    assert files(folder / "out") == theirs


def test_a_document_that_changed_or_went_meanwhile(folder: Path) -> None:
    with pytest.raises(Stop):
        read_batch(lambda: Beside(stop_after=6), ["in"], "out", PLAN)
    pdf(folder / "in/d.pdf", 2, 500)
    (folder / "in/sub/b.pdf").unlink()
    (folder / "in/a.pdf").unlink()  # all of its pages are read, one beside pages that are not
    report = read_batch(Beside, [], "out", PLAN)
    given = files(folder / "out")
    problems = {
        line["document"]: line["reason"] for line in map(json.loads, given["problems.jsonl"].splitlines())
    }
    assert "d.pdf has changed since this batch first opened it" in problems["in/d.pdf"]
    assert "no such file" in problems["in/sub/b.pdf"] and "in/a.pdf" not in problems
    assert len(json.loads(given["a.json"])["pages"]) == 5 and report.counts["pages_done"] >= 6


def test_remote_documents_are_fetched_and_forgotten(folder: Path) -> None:
    system = fsspec.filesystem("memory")
    for path in Path("in").rglob("*.*"):
        system.pipe(f"/{path.as_posix()}", path.read_bytes())
    try:
        with pytest.raises(Stop):
            read_batch(lambda: Beside(stop_after=4), ["memory://in"], "out", PLAN)
        report = read_batch(Beside, ["memory://in"], "out", PLAN)
    finally:
        system.rm("/in", recursive=True)
    assert report.counts["pages_done"] == 12 and report.problems == 2
    ours, theirs = json.loads((folder / "out/sub/b.json").read_bytes()), json.loads(whole()["sub/b.json"])
    assert ours["source"] == "memory:///in/sub/b.pdf"
    assert [page["width"] for page in ours["pages"]] == [page["width"] for page in theirs["pages"]]
    assert not (folder / "out/.batch/spool").exists()


def test_no_room_for_what_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = whole()
    with monkeypatch.context() as patched, pytest.raises(StorageError, match="nothing is lost"):
        patched.setattr(
            "foveate.batches.outputs.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full"))
        )
        read_batch(Beside, ["in"], "out", PLAN)
    assert files(folder / "out") == {}
    read_batch(Beside, ["in"], "out", PLAN)
    assert files(folder / "out") == theirs


def test_mistakes_leave_nothing_behind(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "letter.md").write_text("dear")
    cases: list[tuple[list[str], str, Plan, type[Exception], str]] = [
        (["none"], "out", PLAN, SourceNotFound, "no such file or folder"),
        ([], "out", PLAN, OptionError, "no batch in out to go on with"),
        (["in"], "mine", PLAN, OptionError, "something other than a batch"),
        (["in"], "in/a.pdf", PLAN, OptionError, "something other than a batch"),
    ]
    for inputs, out, plan, error, complaint in cases:
        with pytest.raises(error, match=complaint):
            read_batch(Beside, inputs, out, plan)
    assert sorted(path.name for path in folder.iterdir()) == ["in", "mine"]
    for wrong in ({"batch_size": 0}, {"workers": 0}, {"group": 0}, {"opening": Opening(dpi=0)}):
        with pytest.raises(OptionError):
            replace(PLAN, **wrong)
    with pytest.raises(OptionError, match="format is 'doc'"):
        read_batch(Beside, ["in"], "out", replace(PLAN, format="doc"))


def test_other_settings_are_refused_before_anything_is_loaded(folder: Path) -> None:
    with pytest.raises(Stop):
        read_batch(lambda: Beside(stop_after=4), ["in"], "out", PLAN)
    for plan in (
        replace(PLAN, reading=Options("tiny")),
        replace(PLAN, batch_size=3),
        replace(PLAN, pictures=True),
    ):
        with pytest.raises(OptionError, match="give the same options again"):
            read_batch(lambda: pytest.fail("no"), ["in"], "out", plan)
    with pytest.raises(OptionError, match='model "nano", not "other"'):
        read_batch(lambda: pytest.fail("no"), ["in"], "out", PLAN, model="other")


def test_inputs_are_found_once_however_they_are_named(folder: Path) -> None:
    assert len(find(["in", "in/*.pdf", str(folder / "in")])) == 6
