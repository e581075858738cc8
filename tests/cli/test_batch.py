"""`foveate batch`."""

import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foveate.batches.outputs import FORMATS
from foveate.batches.report import Progress
from foveate.cli import batch, main
from tests.batches.test_report import COUNTS
from tests.batches.world import Beside, Stop, pdf

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Beside:
    """The reader that the command gets, and three pages for it."""
    reader = Beside()
    monkeypatch.setattr(batch, "load_reader", lambda options: reader)
    pdf(folder / "in" / "a.pdf", 3)
    return reader


def test_formats_are_those_of_the_room() -> None:
    assert tuple(FORMATS) == batch.FORMATS


def test_stopped_and_gone_on(folder: Path, reader: Beside, capsys: Capture) -> None:
    command = ["batch", "in", "--out", "out", "--format", "jsonl", "--workers", "1"]
    reader.stop_after = 2
    with pytest.raises(Stop):
        main(command)
    reader.stop_after = None
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out == "" and "3 pages of 1 documents read, 1 of them now in " in err.splitlines()[-1]
    (record,) = map(json.loads, (folder / "out/documents/part-00000.jsonl").read_bytes().splitlines())
    assert record["metadata"]["pages"] == 3
    assert main(["batch", "--out", "out", "--workers", "1", "--quiet"]) == 0
    assert (folder / "out" / "a.md").is_file() and capsys.readouterr() == ("", "")


def test_what_cannot_be_read_ends_with_2_and_the_rest_is_there(
    folder: Path, reader: Beside, capsys: Capture
) -> None:
    (folder / "in" / "b.pdf").write_bytes(b"%PDF-1.4 half")
    assert main(["batch", "in", "--out", "out", "--workers", "1"]) == 2
    assert "(1 documents not read: see problems.jsonl)" in capsys.readouterr().err
    assert (folder / "out" / "a.md").is_file()


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("batch none --out out", "'none': no such file or folder"),
        ("batch --out out", "there is no batch in out to go on with: name what is to be read"),
        ("batch in --out out --mode huge", "'huge' is not a mode"),
        ("batch in --out out --pages 3-1", "runs backwards"),
        ("batch in --out in", "choose another folder for --out"),
        ("batch - --out out", "a batch reads no standard input"),
    ],
)
def test_mistakes_end_with_2(
    folder: Path, reader: Beside, capsys: Capture, command: str, complaint: str
) -> None:
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("foveate: ") and complaint in err and err.count("\n") == 1
    assert not (folder / "out").exists()


def test_other_options_are_refused(folder: Path, reader: Beside, capsys: Capture) -> None:
    reader.stop_after = 1
    with pytest.raises(Stop):
        main(["batch", "in", "--out", "out", "--workers", "1"])
    capsys.readouterr()
    assert main(["batch", "in", "--out", "out", "--mode", "tiny"]) == 2
    assert 'holds a batch with mode "auto", not "tiny": give the same options' in capsys.readouterr().err


class Interrupting(Beside):
    """A reader that is asked to end."""

    def read_pages(self, images: Any, options: Any, batch_size: int = 8) -> Iterator[Any]:
        for reading in super().read_pages(images, options, batch_size):
            yield reading
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_request_to_end_is_answered_as_a_ctrl_c(
    folder: Path, reader: Beside, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(batch, "load_reader", lambda options: Interrupting())
    before = signal.getsignal(signal.SIGTERM)
    assert main(["batch", "in", "--out", "out", "--workers", "1"]) == 130
    assert "stopped; the same command goes on from here" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Counted:
    def counts(self) -> dict[str, int]:
        return COUNTS


def test_a_terminal_gets_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    shown = batch.Shown(wanted=True)
    shown.page(Progress(COUNTS), Counted())  # type: ignore[arg-type]
    assert terminal.getvalue().startswith("\r40 of 100 pages") and "\n" not in terminal.getvalue()
    shown.close()
    assert terminal.getvalue().endswith(" \r")
    monkeypatch.setattr("sys.stderr", log := io.StringIO())
    shown = batch.Shown(wanted=True)
    for _ in range(3):
        shown.page(Progress(COUNTS), Counted())  # type: ignore[arg-type]
    shown.close()
    assert log.getvalue().count("\n") == 1
