"""Runs that fill a folder with shards, in this process or in several, and go on where they were stopped."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.data.mixture import Plan
from foveate.data.shards import (
    MANIFEST,
    Manifest,
    Outcome,
    Shard,
    read_manifest,
    recover,
    write_manifest,
    write_shard,
)
from foveate.errors import OptionError

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

LOCK = ".lock"
AHEAD = 4  # shards for each worker that are handed out before they are due
MANIFEST_SECONDS = 2.0  # between two manifests of a running run; shards that it does not know are recovered

Progress = Callable[[int], None]  # is told how many positions are done


def make_shards(
    folder: Path, plan: Plan, wanted: Manifest, workers: int = 1, progress: Progress = lambda done: None
) -> Manifest:
    """Writes the shards of a plan that are missing in a folder, and returns the whole manifest.

    `wanted` says what run it is; its own shards do not matter. With several workers the plan is pickled.
    Raises `OptionError` when the folder holds another run, or when another process writes there.
    """
    with _running(folder, wanted, progress) as run:
        if workers > 1 and len(run.missing) > 1:
            run.write_apart(plan, min(workers, len(run.missing)))
        else:
            run.write_here(lambda positions: _outcomes(plan, positions))
        return run.finish()


def write_shards(
    folder: Path,
    outcomes: Callable[[range], Iterable[Outcome]],
    wanted: Manifest,
    progress: Progress = lambda done: None,
) -> Manifest:
    """As `make_shards`, in this process, from whatever gives the outcomes of a range of positions."""
    with _running(folder, wanted, progress) as run:
        run.write_here(outcomes)
        return run.finish()


@contextmanager
def _running(folder: Path, wanted: Manifest, progress: Progress) -> Iterator[_Run]:
    """A run in a folder that nobody else writes to meanwhile; its manifest is there from the start."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        run = _Run(folder, _resumed(folder, wanted), progress)
        write_manifest(folder, run.manifest)
        yield run


def _resumed(folder: Path, wanted: Manifest) -> Manifest:
    """The manifest to go on from, with every shard that is there."""
    found = read_manifest(folder)
    if found is None and any(folder.glob("*.parquet")):
        raise OptionError(f"{folder} holds shards without a {MANIFEST}: choose another folder")
    if found is not None and found.run != wanted.run:
        raise OptionError(f"{folder} holds another run ({_difference(found, wanted)}): choose another folder")
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)  # of a writer that was killed: the lock says that none is alive
    known = {shard.name: shard for shard in found.shards} if found else {}
    shards = [_standing(folder, wanted, positions, known) for positions in wanted.ranges]
    return replace(wanted, shards=tuple(shard for shard in shards if shard))


def _standing(folder: Path, wanted: Manifest, positions: range, known: dict[str, Shard]) -> Shard | None:
    name = wanted.name_of(positions)
    shard, path = known.get(name), folder / name
    if shard:  # of another size it is not what was written
        return shard if path.is_file() and path.stat().st_size == shard.bytes else None
    return recover(folder, name, positions)


def _difference(found: Manifest, wanted: Manifest) -> str:
    """The first thing that differs, for the message."""
    for name in ("count", "shard_size", "format"):
        ours, theirs = getattr(wanted, name), getattr(found, name)
        if ours != theirs:
            return f"{name.replace('_', ' ')} {theirs}, not {ours}"
    for name in sorted(wanted.recipe.keys() | found.recipe.keys()):
        ours, theirs = wanted.recipe.get(name), found.recipe.get(name)
        if ours != theirs:
            return f"{name} {str(theirs)[:80]}, not {str(ours)[:80]}"
    return "written in another way"


@dataclass
class _Run:
    """A run under way."""

    folder: Path
    manifest: Manifest
    progress: Progress
    _written: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        names = {shard.name for shard in self.manifest.shards}
        ranges = self.manifest.ranges
        self.missing = [positions for positions in ranges if self.manifest.name_of(positions) not in names]
        self.done = self.manifest.count - sum(map(len, self.missing))
        self.progress(self.done)

    def write_here(self, outcomes: Callable[[range], Iterable[Outcome]]) -> None:
        for positions in self.missing:
            self._add(_write(self.folder, self.manifest, positions, outcomes(positions), self._tick))

    def finish(self) -> Manifest:
        write_manifest(self.folder, self.manifest)
        return self.manifest

    def write_apart(self, plan: Plan, workers: int) -> None:
        """A shard to each process at a time. Processes are started anew: no lock or thread comes along."""
        context = multiprocessing.get_context("spawn")
        shared = Shared(context.Value("q", 0), context.RawValue("b", 0))
        pool = ProcessPoolExecutor(workers, context, _start, (pickle.dumps(plan), shared))
        try:
            with pool:
                self._collect(pool, shared, AHEAD * workers)
        except BrokenProcessPool as problem:
            raise OptionError(
                "a worker was killed, perhaps for its memory: run the command again with fewer --workers; "
                "what is written stays"
            ) from problem

    def _collect(self, pool: ProcessPoolExecutor, shared: Shared, ahead: int) -> None:
        start = self.done
        run = replace(self.manifest, shards=())
        due = iter(self.missing)
        waiting: set[Future[Shard]] = set()
        try:
            while True:
                for positions in islice(due, ahead - len(waiting)):
                    waiting.add(pool.submit(_make_apart, self.folder, run, positions))
                if not waiting:
                    return
                ready, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                self.progress(start + shared.done)
                for future in ready:
                    self._add(future.result())
        except BaseException:
            shared.stopped.value = 1
            pool.shutdown(wait=True, cancel_futures=True)
            raise

    def _tick(self) -> None:
        self.done += 1
        self.progress(self.done)

    def _add(self, shard: Shard) -> None:
        shards = sorted((*self.manifest.shards, shard), key=lambda shard: shard.start)
        self.manifest = replace(self.manifest, shards=tuple(shards))
        if time.monotonic() > self._written + MANIFEST_SECONDS:
            write_manifest(self.folder, self.manifest)
            self._written = time.monotonic()


def _outcomes(plan: Plan, positions: range) -> Iterator[Outcome]:
    return (Outcome(position, *plan.make(position)) for position in positions)


def _write(
    folder: Path,
    manifest: Manifest,
    positions: range,
    outcomes: Iterable[Outcome],
    tick: Callable[[], None],
) -> Shard:
    return write_shard(folder, manifest.name_of(positions), positions, outcomes, manifest.format, tick)


@dataclass(frozen=True)
class Shared:
    """What the parent and its workers both see."""

    counter: Synchronized[int]  # positions that are done
    stopped: Any  # a raw byte: workers give up at their next sample once it is not 0

    @property
    def done(self) -> int:
        """Read without the lock, which a worker that was killed may still hold."""
        value: int = self.counter.get_obj().value
        return value


# In a worker: its plan, and what it shares with the others.
_worker: dict[str, Any] = {}


def _start(plan: bytes, shared: Shared) -> None:
    """Readies a worker. The key that interrupts reaches every process: the parent alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.update(pickled=plan, shared=shared)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _make_apart(folder: Path, manifest: Manifest, positions: range) -> Shard:
    if "plan" not in _worker:  # here rather than at the start, so that an error reaches the user
        _worker["plan"] = pickle.loads(_worker["pickled"])
    return _write(folder, manifest, positions, _outcomes(_worker["plan"], positions), _count)


def _count() -> None:
    shared: Shared = _worker["shared"]
    with shared.counter.get_lock():
        shared.counter.value += 1
    if shared.stopped.value:
        raise OptionError("the run was stopped")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps a second writer out; the lock ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # not on Windows, where two writers at once only do the work twice
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise OptionError(f"another process writes to {folder}: wait for it, or end it") from problem
        yield
