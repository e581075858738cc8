"""Processes that open and draw documents beside the network, each watched by a thread of ours.

A process that ends or hangs over a task is replaced and the task is tried again, a few times; then its error
is the answer.
"""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from foveate.errors import CorruptSource, InputError
from foveate.pages.apart import NUMBER
from foveate.pages.image import Limits, PageImage

WORKER = (sys.executable, "-m", "foveate.batches.worker")
MEMORY = 4 << 30  # bytes of address space that a process may take


@dataclass(frozen=True)
class Opening:
    """How documents are opened and drawn."""

    dpi: int = 144
    pages: str | None = None
    password: str | None = None
    limits: Limits = Limits()


@dataclass(frozen=True)
class Opened:
    """What opening a document told."""

    numbers: tuple[int, ...]
    bytes: int
    sha256: str


class Drawing:
    """Some processes, and the tasks that wait for them. Answers are `InputError`s where there is none."""

    def __init__(self, opening: Opening, workers: int = 2, tries: int = 3, seconds: float = 300) -> None:
        """`tries` is how often a task may break its process, `seconds` how long one may take."""
        self._opening, self._tries, self._seconds = opening, tries, seconds
        self._tasks: queue.PriorityQueue[tuple[int, int, _Task | None]] = queue.PriorityQueue()
        self._numbers = itertools.count()  # of tasks, which keep their order
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def open(self, path: Path, name: str, before: Callable[[], None] | None = None) -> Future[Opened]:
        """Counts a document's pages, when no page is to be drawn. `before` is called first, in a thread."""
        return self._submit(1, path, name, {"pages": self._opening.pages}, _opened, before)

    def draw(self, path: Path, name: str, number: int) -> Future[PageImage]:
        """Draws one page."""
        return self._submit(0, path, name, {"number": number, "dpi": self._opening.dpi}, _page)

    def close(self) -> None:
        """Ends the processes; tasks that wait are forgotten."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put((-1, next(self._numbers), None))
        for process in list(self._processes):
            process.kill()  # its thread sees that, and puts it away
        for thread in self._threads:
            thread.join()

    def _submit(
        self,
        rank: int,
        path: Path,
        name: str,
        what: dict[str, Any],
        answer: Any,
        before: Callable[[], None] | None = None,
    ) -> Future[Any]:
        opening = self._opening
        common = {"path": str(path), "name": name, "password": opening.password}
        task = _Task(common | what | {"limits": asdict(opening.limits)}, answer, before)
        self._tasks.put((rank, next(self._numbers), task))
        return task.future

    def _work(self) -> None:
        """One thread's life: a process, and its tasks one after the other."""
        process: subprocess.Popen[bytes] | None = None
        while (task := self._tasks.get()[2]) is not None:
            if self._closed or not task.future.set_running_or_notify_cancel():
                continue
            try:
                process = self._answer(task, process)
            except BaseException as problem:  # such as no room for another process
                task.future.set_exception(problem)
            task = None  # a page's pixels are not kept until the next task comes
        if process is not None:
            self._lost(process)

    def _answer(self, task: _Task, process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes] | None:
        """Answers a task, by another process where one breaks. Gives the process that is left."""
        if task.before is not None:
            task.before()
        for _ in range(self._tries):
            process = process or self._begin()
            result = self._try(process, task)
            if result is not None:
                break
            self._lost(process)
            process = None
            if self._closed:
                break
        else:
            result = task.broken(self._tries)
        if isinstance(result, InputError):
            task.future.set_exception(result)
        else:
            task.future.set_result(result)
        return process

    def _try(self, process: subprocess.Popen[bytes], task: _Task) -> Any:
        """The answer, or nothing when the process has ended over it."""
        watch = threading.Timer(self._seconds, process.kill)
        watch.daemon = True
        watch.start()
        try:
            return task.answer(task.what, *_exchange(process, task.what))
        except (EOFError, OSError):
            task.hung = watch.finished.is_set()
            return None
        finally:
            watch.cancel()

    def _begin(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*WORKER, str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is the batch's to handle
        )
        self._processes.add(process)
        return process

    def _lost(self, process: subprocess.Popen[bytes]) -> None:
        self._processes.discard(process)
        _end(process)


class _Task:
    """Something to be asked of a process."""

    def __init__(self, what: dict[str, Any], answer: Any, before: Callable[[], None] | None) -> None:
        self.what, self.answer, self.before = what, answer, before
        self.future: Future[Any] = Future()
        self.hung = False

    def broken(self, tries: int) -> InputError:
        """What is said of a task that no process has survived."""
        number = self.what.get("number")
        place = self.what["name"] + (f": page {number}" if number else "")
        how = "took too long" if self.hung else "broke the program that draws it"
        return CorruptSource(f"{place} {how}, {tries} times: save the file anew with another program")


def _exchange(process: subprocess.Popen[bytes], what: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(what).encode() + b"\n")
    process.stdin.flush()
    length = int.from_bytes(_exactly(process.stdout, NUMBER), "big")
    answer: dict[str, Any] = json.loads(_exactly(process.stdout, length))
    return answer, _exactly(process.stdout, 3 * answer.get("width", 0) * answer.get("height", 0))


def _exactly(stream: Any, size: int) -> bytearray:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = stream.readinto(view[got:])
        if not count:
            raise EOFError
        got += count
    return data


def _opened(what: dict[str, Any], answer: dict[str, Any], pixels: bytearray) -> Opened | InputError:
    if "error" in answer:
        return CorruptSource(answer["error"])
    return Opened(tuple(answer["numbers"]), answer["bytes"], answer["sha256"])


def _page(what: dict[str, Any], answer: dict[str, Any], pixels: bytearray) -> PageImage | InputError:
    if "error" in answer:
        return CorruptSource(answer["error"])
    image = Image.frombuffer("RGB", (answer["width"], answer["height"]), pixels, "raw", "RGB", 0, 1)
    return PageImage(what["name"], what["number"], image, answer["dpi"])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    process.wait()
