"""Several processes on one store, and processes that are killed at any moment."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from foveate.memory import OpticalMemory
from tests.memory.work import STYLE

ROOT = Path(__file__).parents[2]


def start(*arguments: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.memory.work", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)


def test_two_processes_write_while_four_threads_read_in_this_one(tmp_path: Path) -> None:
    store = tmp_path / "store"
    memory = OpticalMemory(store, style=STYLE)
    writers = [start("write", store, name, 12) for name in ("ada", "bert")]
    stop = threading.Event()
    seen: list[int] = []
    problems: list[BaseException] = []

    def read() -> None:
        try:
            last = 0
            while not stop.is_set():
                entries = memory.entries()
                assert len(entries) >= last, "an entry never goes away"
                last = len(entries)
                for entry in entries[-3:]:
                    pages = memory.pages(entry.number)
                    assert len(pages) == entry.pages, "an entry is seen whole"
                    assert all(memory.image(page.number).size == (256, 256) for page in pages)
            seen.append(last)
        except BaseException as problem:
            problems.append(problem)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    said = [writer.communicate()[0] for writer in writers]
    stop.set()
    for reader in readers:
        reader.join()
    assert not problems and len(seen) == 4, problems
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [len(lines.splitlines()) for lines in said] == [12, 12]
    keys = [entry.key for entry in memory.entries()]
    assert sorted(map(str, keys)) == sorted(f"{name}-{n}" for name in ("ada", "bert") for n in range(12))
    for name in ("ada", "bert"):
        own = [key for key in keys if key and key.startswith(name)]
        assert own == [f"{name}-{number}" for number in range(12)], "in the order of its writer"
    assert memory.check() == []
    memory.close()


@pytest.mark.slow
def test_two_processes_write_and_four_read(tmp_path: Path) -> None:
    store = tmp_path / "store"
    OpticalMemory(store, style=STYLE).close()
    writers = [start("write", store, name, 60) for name in ("ada", "bert")]
    readers = [start("read", store, 120) for _ in range(4)]
    for process in (*writers, *readers):
        output = process.communicate()[0]
        assert process.returncode == 0, output
    with OpticalMemory(store) as memory:
        assert len(memory.entries()) == 120
        assert memory.check() == []


@pytest.mark.slow
def test_killed_at_twenty_moments_of_remembering_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    store, dice = tmp_path / "store", random.Random(0)
    acknowledged: dict[str, int] = {}
    kills = 0
    while kills < 20:
        process = start("write", store, "ada", 400)
        assert process.stdout is not None
        wanted = dice.randint(0, 12)  # acknowledgements in this life, beyond those of the earlier ones
        fresh = 0
        for line in process.stdout:
            key, pages = line.split()
            fresh += key not in acknowledged
            acknowledged[key] = int(pages)
            if fresh > wanted:
                break
        # At any moment of the next call: from its beginning to well after its end.
        threading.Event().wait(dice.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0]
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n") and len(line.split()) == 2:
                key, pages = line.split()
                acknowledged[key] = int(pages)
        kills += process.returncode == -signal.SIGKILL
        with OpticalMemory(store) as memory:
            entries = {entry.key: entry.pages for entry in memory.entries()}
            assert len(entries) == len(memory.entries()), "nothing is there twice"
            assert acknowledged.items() <= entries.items(), "nothing acknowledged is lost"
            assert len(entries) <= len(acknowledged) + 1
            assert memory.check() == [], "no file is missing, damaged or left over"
    assert len(acknowledged) > 40


@pytest.mark.slow
def test_killed_at_twenty_moments_of_fading_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    store, dice = tmp_path / "store", random.Random(1)
    writer = start("write", store, "ada", 150)
    assert writer.communicate()[0].count("\n") == 150
    with OpticalMemory(store) as memory:
        memory.pin(turn=1)
        pages = [page.number for page in memory.pages()]
        before = {page.number: 0 for page in memory.pages()}
    order = ["tiny", "keywords", "gone"]
    for _ in range(20):
        process = start("fade", store, 8)
        assert process.stdout is not None
        for _ in range(dice.randint(1, 40)):
            if not process.stdout.readline():
                break
        threading.Event().wait(dice.uniform(0, 0.06))  # at any moment of the changes after that
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with OpticalMemory(store) as memory:
            assert memory.check() == []
            now = {page.number: order.index(page.mode) for page in memory.pages()}
            assert list(now) == pages, "every page is there, once"
            assert all(now[page] >= before[page] for page in pages), "no page comes back"
            shown = [page for sheet in memory.sheets() for page in sheet.pages]
            assert len(shown) == len(set(shown)), "no page is on two sheets"
            assert memory.pages()[0].mode == "tiny" and memory.pages()[0].text, "the pin holds"
            before = now
    assert sum(before.values()) > 0, "it did fade"
