"""Processes that open and draw documents."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from foveate.batches import drawing
from foveate.batches.drawing import Drawing, Opening
from foveate.batches.worker import wanted_pages
from foveate.errors import CorruptSource, PageRangeError
from foveate.pages.image import Limits
from foveate.pages.source import open_pages
from tests.batches.world import pdf, picture, worker


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts drawing, with processes of a test's own."""
    started: list[Drawing] = []

    def start(opening: Opening = Opening(), command: tuple[str, ...] = (), **more: Any) -> Drawing:  # noqa: B008
        if command:
            monkeypatch.setattr(drawing, "WORKER", command)
        started.append(Drawing(opening, **{"workers": 1, **more}))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_pages_are_those_of_this_process(start: Any, tmp_path: Path) -> None:
    path = pdf(tmp_path / "a.pdf", 3)
    processes = start(Opening(dpi=100, pages="2-"))
    opened = processes.open(path, "mine.pdf").result()
    assert opened.numbers == (2, 3) and opened.bytes == path.stat().st_size
    assert opened.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for number in (3, 2):
        page = processes.draw(path, "mine.pdf", number).result()
        (ours,) = open_pages(path, pages=str(number), dpi=100)
        assert page.image.tobytes() == ours.image.tobytes() and page.image.size == ours.image.size
        assert (page.source, page.number, page.dpi) == ("mine.pdf", number, ours.dpi)


def test_errors_name_the_document_as_the_user_did(start: Any, tmp_path: Path) -> None:
    (tmp_path / "spool.pdf").write_bytes(b"%PDF-1.4 and no more")
    processes = start(Opening(limits=Limits(pixels=100)))
    with pytest.raises(CorruptSource, match="^s3://b/a.pdf: this PDF is damaged"):
        processes.open(tmp_path / "spool.pdf", "s3://b/a.pdf").result()
    with pytest.raises(CorruptSource, match="over the limit of 100"):
        processes.draw(picture(tmp_path / "a.png"), "a.png", 1).result()
    assert processes.open(picture(tmp_path / "b.png", 5, 5), "b.png").result().numbers == (1,)


def test_a_page_that_kills_its_process_is_tried_and_told(start: Any, tmp_path: Path) -> None:
    path, log = pdf(tmp_path / "a.pdf", 3), tmp_path / "log"
    count = f"open({str(log)!r}, 'a').write('x'); os.kill(os.getpid(), 9)"
    processes = start(command=worker(2, count), tries=3)
    first, second, third = (processes.draw(path, "a.pdf", number) for number in (1, 2, 3))
    with pytest.raises(CorruptSource, match="a.pdf: page 2 broke the program that draws it, 3 times"):
        second.result()
    assert log.read_text() == "xxx"
    assert [page.result().number for page in (first, third)] == [1, 3]


def test_a_page_that_kills_its_process_once_is_drawn(start: Any, tmp_path: Path) -> None:
    path, log = pdf(tmp_path / "a.pdf", 2), tmp_path / "log"
    once = f"os.path.exists({str(log)!r}) or (open({str(log)!r}, 'w').close(), os._exit(3))"
    assert start(command=worker(2, once)).draw(path, "a.pdf", 2).result().number == 2


def test_a_page_that_hangs(start: Any, tmp_path: Path) -> None:
    processes = start(command=worker(2, "time.sleep(600)"), tries=1, seconds=3)
    path = pdf(tmp_path / "a.pdf", 2)
    with pytest.raises(CorruptSource, match="page 2 took too long, 1 times"):
        processes.draw(path, "a.pdf", 2).result()


def test_what_a_library_prints_is_no_answer(start: Any, tmp_path: Path) -> None:
    processes = start(command=worker(1, "os.write(1, b'warning'); print('warning', flush=True)"))
    assert processes.draw(pdf(tmp_path / "a.pdf"), "a.pdf", 1).result().number == 1


def test_closing_ends_the_processes(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    path = pdf(tmp_path / "a.pdf", 2)
    processes = Drawing(Opening(), workers=1)
    processes.draw(path, "a.pdf", 1).result()
    (child,) = set(psutil.Process().children()) - before
    waiting = [processes.draw(path, "a.pdf", 1) for _ in range(50)]
    processes.close()
    assert not child.is_running() and not waiting[-1].done()


def test_openings_wait_for_pages(start: Any, tmp_path: Path) -> None:
    order: list[str] = []
    log = tmp_path / "gate"
    os.mkfifo(log)
    processes = start(command=worker(1, f"open({str(log)!r}).read()"))
    path = pdf(tmp_path / "a.pdf", 2)
    blocked = processes.draw(path, "a.pdf", 1)
    opening, page = processes.open(path, "a.pdf"), processes.draw(path, "a.pdf", 2)
    opening.add_done_callback(lambda _: order.append("opened"))
    page.add_done_callback(lambda _: order.append("drawn"))
    log.write_text("go")
    blocked.result(), opening.result()
    assert order == ["drawn", "opened"]


@pytest.mark.parametrize(
    ("text", "count", "pages"),
    [(None, 2, [1, 2]), ("2-", 3, [2, 3]), ("1-5", 2, [1, 2]), ("4", 2, []), ("-2,9", 3, [1, 2])],
)
def test_ranges_go_as_far_as_a_document(text: str | None, count: int, pages: list[int]) -> None:
    assert wanted_pages(text, count) == pages


@pytest.mark.parametrize("text", ["x", "0", "3-1", "1-999999999"])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(PageRangeError):
        wanted_pages(text, 5)
