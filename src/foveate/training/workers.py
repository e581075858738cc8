"""Other processes that make items ahead, in order.

Each result travels as bytes: a tensor by itself would travel as an open file, and there are only so many.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, TypeVar

from foveate.errors import OptionError

AHEAD = 4  # items that each process may have ready

T = TypeVar("T")


def ahead(make: Callable[[int], T], numbers: Iterable[int], workers: int) -> Iterator[T]:
    """What `make` gives for each number, in their order, made by some processes; `make` is pickled.

    Processes are started anew: no lock or thread comes along. Raises `OptionError` when one is killed.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start, (pickle.dumps(make),))
    waiting: deque[Future[bytes]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(_make, number))
            if len(waiting) >= workers * AHEAD:
                yield pickle.loads(waiting.popleft().result())
        while waiting:
            yield pickle.loads(waiting.popleft().result())
    except BrokenProcessPool as problem:
        raise OptionError(
            "a process that makes samples was killed, perhaps for its memory: resume with fewer data.workers"
        ) from problem
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


# In a worker: what it makes items with.
_worker: dict[str, Any] = {}


def _start(make: bytes) -> None:
    """Readies a worker. The key that interrupts reaches every process: the parent alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    atexit.register(os._exit, 0)  # libraries with threads of their own may break when they are taken down
    _worker["pickled"] = make


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _make(number: int) -> bytes:
    if "make" not in _worker:  # here rather than at the start, so that an error reaches the user
        _worker["make"] = pickle.loads(_worker["pickled"])
    return pickle.dumps(_worker["make"](number))
