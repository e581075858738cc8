"""Runs: a reader over pages, and one JSON file that says all about it.

    {"schema": "foveate.evaluation", "version": 1, "setup": {kind, reader, mode, seed, data, options},
     "versions": {…}, "hardware": {…}, "started": "…", "finished": "…",
     "throughput": {…}, "scores": {…}, "pages": [{id, text, truth, seconds, …}, …]}

While a run goes on, each page that is done is a line of the file OUT.partial; a run that was killed goes on
where it stopped. OUT appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from foveate.errors import CorruptSource, FoveateError, OptionError, SourceNotFound, UnsupportedFormat
from foveate.evaluation import throughput
from foveate.evaluation.readers.protocol import AUTO, PageReader, Reading

SCHEMA, VERSION = "foveate.evaluation", 1


@dataclass(frozen=True)
class Case:
    """One page to be read, and what is known about it."""

    id: str
    open: Callable[[], Image.Image]  # called when its turn comes
    truth: str | None = None
    picture: str | None = None  # path of its file, for reports
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PageResult:
    """One page that was read."""

    id: str
    reading: Reading
    width: int
    height: int
    truth: str | None = None
    picture: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    cpu_seconds: float | None = None  # of this process and its children while the page was read

    def to_dict(self) -> dict[str, Any]:
        """As a page stands in the JSON: the reading's fields beside the others."""
        values = asdict(self)
        return {"id": values.pop("id"), **values.pop("reading"), **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PageResult:
        """Raises `CorruptSource` for what `to_dict` did not write."""
        try:
            reading = Reading(**{item.name: values[item.name] for item in fields(Reading)})
            others = {item.name: values[item.name] for item in fields(cls) if item.name in values}
            return cls(reading=reading, **others)
        except (KeyError, TypeError) as problem:
            raise CorruptSource(f"a page of the run lacks {problem}: make the run again") from problem


@dataclass(frozen=True)
class Setup:
    """What decides a run's readings. Two runs with the same one can be continued as one."""

    kind: str  # "run", "rules", "omnidocbench", "honesty", …
    reader: str
    mode: str = AUTO
    seed: int = 0
    data: str = ""  # what was read: a name and a checksum
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run that is done, as its file holds it."""

    setup: Setup
    pages: tuple[PageResult, ...]
    scores: Mapping[str, Any]
    throughput: Mapping[str, Any]
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    started: str
    finished: str

    def to_dict(self) -> dict[str, Any]:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        pages = [page.to_dict() for page in self.pages]
        # What scripts look for first: the rows of the table, without a word on where they come from.
        rows = {name: self.scores[name] for name in ("buckets", "points") if name in self.scores}
        head = {"schema": SCHEMA, "version": VERSION, **rows}
        return {**head, **values, "setup": asdict(self.setup), "pages": pages}

    def save(self, path: Path) -> None:
        """Writes the file, whole or not at all."""
        write_json(path, self.to_dict())

    @property
    def name(self) -> str:
        """The reader, and its mode when one was chosen."""
        mode = self.setup.mode
        return self.setup.reader if mode == AUTO else f"{self.setup.reader} ({mode})"


def load_run(path: Path) -> Run:
    """The run of a file. Raises `SourceNotFound`, `CorruptSource` or `UnsupportedFormat`."""
    values = read_json(path)
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise UnsupportedFormat(f"{path} is not a run: give the --json file of a foveate eval command")
    if values.get("version") != VERSION:
        raise UnsupportedFormat(f"{path} has version {values.get('version')}: this foveate reads {VERSION}")
    try:
        pages = tuple(PageResult.from_dict(page) for page in values["pages"])
        for name in ("scores", "throughput", "versions", "hardware"):
            if not isinstance(values[name], dict):
                raise CorruptSource(f"{path}: its {name} are no object: make the run again")
        others = {item.name: values[item.name] for item in fields(Run) if item.name not in ("setup", "pages")}
        return Run(setup=Setup(**values["setup"]), pages=pages, **others)
    except (KeyError, TypeError) as problem:
        raise CorruptSource(f"{path} lacks {problem}: make the run again") from problem


def run(
    reader: PageReader,
    cases: Sequence[Case],
    setup: Setup,
    out: Path,
    score: Callable[[Sequence[PageResult]], Mapping[str, Any]],
    *,
    count: Callable[[str], int] | None = None,
    on_page: Callable[[PageResult], None] | None = None,
) -> Run:
    """Reads the cases, scores them and writes the file; goes on with what OUT.partial holds.

    `count` gives the tokens of a text, for the speed. Raises `OptionError` where OUT.partial is of another
    setup.
    """
    _check(cases)
    check_place(out)
    with Journal(out, setup) as journal:
        results = read_cases(reader, cases, setup.mode, journal, on_page)
        done = Run(
            setup=setup,
            pages=tuple(results),
            scores=score(results),
            throughput=_speed(results, count),
            versions={**versions(), **reader.versions()},
            hardware=throughput.hardware(),
            started=journal.started,
            finished=now(),
        )
        done.save(out)
        journal.remove()
    return done


def _speed(results: Sequence[PageResult], count: Callable[[str], int] | None) -> dict[str, Any]:
    """The throughput, with the seconds of all cores: other programs on the machine do not slow those."""
    speed = throughput.measure([page.reading for page in results], count).to_dict()
    cpu = [page.cpu_seconds for page in results if page.cpu_seconds is not None]
    return {**speed, "cpu_seconds": sum(cpu) if cpu else None}


def read_cases(
    reader: PageReader,
    cases: Sequence[Case],
    mode: str,
    journal: Journal,
    on_page: Callable[[PageResult], None] | None = None,
) -> list[PageResult]:
    """The results in the order of the cases; those in the journal are not read again."""
    results = []
    for case in cases:
        result = journal.done.get(case.id)
        if result is None:
            result = _read(reader, case, mode)
            journal.add(result)
        results.append(result)
        if on_page is not None:
            on_page(result)
    return results


def _check(cases: Sequence[Case]) -> None:
    """Raises `OptionError` where there is no page, or one comes twice."""
    if not cases:
        raise OptionError("there is no page to read: give one at least")
    if twice := first_twice([case.id for case in cases]):
        raise OptionError(f"the page {twice!r} comes twice: give each page an id of its own")


def first_twice(names: Iterable[str]) -> str | None:
    """The first name that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _read(reader: PageReader, case: Case, mode: str) -> PageResult:
    """One page; one that cannot be opened, or on which the reader fails, is an error of that page."""
    cpu, width, height = None, 0, 0
    try:
        image = case.open()
        width, height = image.size
        before = _cpu_seconds()
        reading = reader.read(image, mode, page=case.id)
        cpu = _cpu_seconds() - before
    except FoveateError as problem:
        reading = Reading("", 0.0, stop="error", error=str(problem))
    except Exception as problem:  # of whatever library reads: the other pages are not to be lost
        reading = Reading("", 0.0, stop="error", error=f"{type(problem).__name__}: {problem}")
    reading = replace(reading, text=whole_letters(reading.text))
    return PageResult(case.id, reading, width, height, case.truth, case.picture, dict(case.labels), cpu)


def whole_letters(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which no tokenizer takes."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Journal:
    """The pages of a run so far, one JSON line each behind a line with the setup."""

    def __init__(self, out: Path, setup: Setup) -> None:
        self.path = out.with_name(out.name + ".partial")
        self.started = now()
        self.done: dict[str, PageResult] = {}
        self._setup = json.loads(json.dumps(asdict(setup)))  # as it comes back from a file
        self._file: int | None = None

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._load()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(self.path, flags, 0o644)
        os.ftruncate(self._file, whole)  # the line that a killed run did not finish
        if not whole:
            self._append({"setup": self._setup, "started": self.started})
        return self

    def __exit__(self, *problem: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def add(self, page: PageResult) -> None:
        """Keeps a page; it is on the disk when this returns."""
        self._append(page.to_dict())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _append(self, values: Mapping[str, Any]) -> None:
        assert self._file is not None, "used outside its with"
        os.write(self._file, json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        os.fsync(self._file)

    def _load(self) -> int:
        """Takes up what is there. Returns the bytes of its whole lines."""
        if not self.path.is_file():
            return 0
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        try:
            lines = content[:whole].decode("utf-8", "surrogatepass").split("\n")[:-1]
            if not lines:
                return 0
            head, *pages = [json.loads(line) for line in lines]
            setup, started = head["setup"], head["started"]
            done = {page["id"]: PageResult.from_dict(page) for page in pages}
        except (ValueError, LookupError, TypeError, CorruptSource) as problem:
            raise CorruptSource(f"{self.path} is damaged ({problem}): delete it to begin anew") from problem
        if setup != self._setup:
            if not done:  # nothing is lost
                return 0
            raise OptionError(
                f"{self.path} belongs to a run of another setup: repeat that command, or delete the file"
            )
        self.started, self.done = started, done
        return whole


def versions() -> dict[str, str]:
    """Of Python and of this package."""
    return {"python": platform.python_version(), "foveate": version("foveate")}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def fingerprint(paths: Iterable[Path]) -> str:
    """A short checksum of files' contents."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(path.read_bytes())
        except OSError as problem:
            raise SourceNotFound(f"{path} cannot be read ({problem.strerror}): check the path") from problem
    return digest.hexdigest()[:16]


def read_json(path: Path) -> Any:
    """The values of a JSON file. Raises `SourceNotFound` or `CorruptSource`."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_number)
    except OSError as problem:
        raise SourceNotFound(f"{path} cannot be read ({problem.strerror}): check the path") from problem
    except (ValueError, RecursionError) as problem:
        raise CorruptSource(f"{path} is not JSON ({problem}): make it again") from problem


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file, empty lines left out. Raises `SourceNotFound` or `CorruptSource`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as problem:
        raise SourceNotFound(f"{path} cannot be read ({problem.strerror}): check the path") from problem
    except UnicodeDecodeError as problem:
        raise CorruptSource(f"{path} is not UTF-8 near byte {problem.start}: convert it") from problem
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError) as problem:
            raise CorruptSource(f"{path}, line {number} is not JSON ({problem}): repair it") from problem
        if not isinstance(values, dict):
            raise CorruptSource(f"{path}, line {number} is not a JSON object: write one a line")
        found.append(values)
    return found


def _no_number(name: str) -> None:
    # Python reads NaN and Infinity, but no file of results may hold them.
    raise ValueError(f"{name} is no number of JSON")


def check_place(out: Path) -> None:
    """Makes the folder of a file of results. Raises `OptionError` where the file cannot be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OptionError(f"{out} cannot be written ({problem.strerror}): choose another place") from problem
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        why = "it is a folder" if out.is_dir() else "its folder is closed to writing"
        raise OptionError(f"{out} cannot be written ({why}): choose another place")


def write_json(path: Path, values: Any) -> None:
    """Writes a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    content = json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False)
    try:
        temporary.write_bytes(content.encode("utf-8", "surrogatepass"))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
