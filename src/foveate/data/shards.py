"""Parquet files of samples, in a folder with a manifest.

A shard holds the samples of a range of positions and is a function of it: whoever writes it, and however
often, it has the same bytes. It gets its name only when it is whole, so what a killed writer leaves behind is
no shard, and resuming is writing those that are not there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from foveate.data.sample import Sample, Skipped
from foveate.data.schema import ARROW, FORMATS, VERSION, from_row, json_schema, to_json, to_row
from foveate.errors import CorruptSource, OptionError, SourceNotFound, UnsupportedFormat

import pyarrow as pa  # isort: skip  (after schema, which explains its absence)
import pyarrow.parquet as pq  # isort: skip

MANIFEST, SCHEMA = "manifest.json", "sample.schema.json"
NAME = "foveate.samples"
NOTE = "foveate"  # the key of our note in a shard: its range, and what was skipped in it

OPTIONAL = frozenset({"image", "width", "height"})  # columns that are null for text alone

# What a reader of one row has to decode, and what a writer holds.
GROUP_ROWS, GROUP_BYTES = 64, 32 << 20


class Outcome(NamedTuple):
    """What has become of one position."""

    position: int
    sample: Sample | None
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Shard:
    """A shard as the manifest describes it."""

    name: str
    start: int  # first position
    stop: int  # past the last
    rows: int
    skipped: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a folder holds, or will hold: a run and the shards that it has written so far."""

    recipe: dict[str, Any]  # whatever decides what the samples are, as JSON values
    count: int  # positions
    shard_size: int  # positions of a shard
    format: str
    shards: tuple[Shard, ...] = ()

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(f"pictures as {self.format!r}: choose from {', '.join(FORMATS)}")
        if self.shard_size < 1 or self.count < 0:
            raise OptionError(f"{self.count} samples in shards of {self.shard_size}: choose 1 or more")

    @property
    def ranges(self) -> list[range]:
        """The positions of each shard, in order."""
        starts = range(0, self.count, self.shard_size)
        return [range(start, min(start + self.shard_size, self.count)) for start in starts]

    @property
    def parts(self) -> int:
        """Shards of the whole set."""
        return -(-self.count // self.shard_size)

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def complete(self) -> bool:
        return len(self.shards) == self.parts

    @property
    def run(self) -> tuple[str, int, int, str]:
        """What must be equal for a run to go on in a folder."""
        return to_json(self.recipe), self.count, self.shard_size, self.format

    def name_of(self, positions: range) -> str:
        """The file name of the shard of these positions."""
        return f"samples-{positions.start // self.shard_size:06d}-of-{self.parts:06d}.parquet"


def write_shard(
    folder: Path,
    name: str,
    positions: range,
    outcomes: Iterable[Outcome],
    format: str = "png",
    tick: Callable[[], None] = lambda: None,
) -> Shard:
    """Writes the samples of a range of positions, and appears with its whole content or not at all.

    `tick` is called after each position.
    """
    partial = folder / f".{name}.{os.getpid()}.partial"
    try:
        rows, skipped = _write(partial, positions, outcomes, format, tick)
        _sync(partial)
        size, digest = partial.stat().st_size, sha256(partial)
        os.replace(partial, folder / name)
        _sync(folder)
    finally:
        partial.unlink(missing_ok=True)
    return Shard(name, positions.start, positions.stop, rows, skipped, size, digest)


def _write(
    path: Path, positions: range, outcomes: Iterable[Outcome], format: str, tick: Callable[[], None]
) -> tuple[int, int]:
    """Rows written and samples skipped."""
    skipped: list[dict[str, Any]] = []
    rows = 0
    # Statistics let a reader pass over groups; those of pictures would only cost room.
    few = ["kind", "task", "language"]
    told = ["position", "number", *few]
    with pq.ParquetWriter(
        path, ARROW, compression="zstd", use_dictionary=few, write_statistics=told
    ) as writer:
        for group in _groups(outcomes, format, skipped, tick):
            writer.write_table(pa.Table.from_pylist(group, schema=ARROW), row_group_size=len(group))
            rows += len(group)
        note = {"version": VERSION, "start": positions.start, "stop": positions.stop, "skipped": skipped}
        writer.add_key_value_metadata({NOTE: to_json(note)})
    return rows, len(skipped)


def _groups(
    outcomes: Iterable[Outcome], format: str, skipped: list[dict[str, Any]], tick: Callable[[], None]
) -> Iterator[list[dict[str, Any]]]:
    """Rows in groups that bound what the writer holds; what was skipped goes to the list."""
    group: list[dict[str, Any]] = []
    held = 0
    for position, sample, misses in outcomes:
        skipped += [{"position": position, **asdict(miss)} for miss in misses]
        if sample is not None:
            group.append(to_row(sample, position, format))
            held += len(group[-1]["image"]["bytes"]) if group[-1]["image"] else 0
        if len(group) == GROUP_ROWS or held > GROUP_BYTES:
            yield group
            group, held = [], 0
        tick()
    if group:
        yield group


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a shard, or of a folder of shards in their order."""
    for shard in shard_files(path):
        for row in read_rows(shard):
            yield from_row(row)


def read_rows(shard: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a shard; all columns, or some."""
    with opened(shard) as file:
        for index in range(file.num_row_groups):
            with _reading(shard):
                rows = file.read_row_group(index, columns=columns)
            yield from _rows(rows, shard)


@lru_cache(maxsize=2)
def read_group(shard: Path, index: int) -> list[dict[str, Any]]:
    """The rows of one group of a shard; the last two are kept, since what is asked next is often near."""
    with opened(shard) as file, _reading(shard):
        rows = file.read_row_group(index)
    return _rows(rows, shard)


def read_row(shard: Path, index: int) -> dict[str, Any]:
    """One row of a shard, counted from 0; only its group is read."""
    with opened(shard) as file:
        rows = file.metadata.num_rows
        if not 0 <= index < rows:
            raise OptionError(f"{shard} has {rows:,} samples, counted from 0: there is no sample {index}")
        for group in range(file.num_row_groups):
            length = file.metadata.row_group(group).num_rows
            if index < length:
                with _reading(shard):
                    rows = file.read_row_group(group).slice(index, 1)
                return _rows(rows, shard)[0]
            index -= length
    raise AssertionError("groups hold all rows")


def _rows(table: pa.Table, shard: Path) -> list[dict[str, Any]]:
    """The rows of a table. Raises `CorruptSource` where a value is missing that every sample has."""
    for name in table.column_names:
        empty = _empty(table[name].combine_chunks()) if name not in OPTIONAL else None
        if empty is not None:
            raise CorruptSource(f"{shard} is damaged ({name}{empty} has no value): make it again")
    absent = [table[name].is_null() for name in table.column_names if name in OPTIONAL]
    if any(column != absent[0] for column in absent):
        raise CorruptSource(f"{shard} is damaged (a picture without its size): make it again")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _empty(values: pa.Array) -> str | None:
    """Where within the values one is null: "" at the top, None nowhere."""
    if values.null_count:
        return ""
    if pa.types.is_list(values.type):
        return _empty(values.flatten())
    if pa.types.is_struct(values.type):
        for part, name in zip(values.flatten(), (part.name for part in values.type), strict=True):
            if (empty := _empty(part)) is not None:
                return f".{name}{empty}"
    return None


def read_note(shard: Path) -> dict[str, Any]:
    """What the writer noted: version, start and stop of the range, and what was skipped."""
    with opened(shard) as file:
        return _note(file, shard)


def _note(file: pq.ParquetFile, shard: Path) -> dict[str, Any]:
    try:
        note: dict[str, Any] = json.loads(file.metadata.metadata[NOTE.encode()])
        version = note["version"]
    except (KeyError, TypeError, ValueError) as problem:
        raise UnsupportedFormat(f"{shard} is Parquet, but not written by foveate data make") from problem
    if version > VERSION:
        raise UnsupportedFormat(
            f"{shard} has version {version}, this foveate reads up to {VERSION}: update it"
        )
    return note


def opened(shard: Path) -> pq.ParquetFile:
    """The open file of a shard, to be used in `with`."""
    if not shard.is_file():
        raise SourceNotFound(f"{shard}: no such shard: check the path")
    with _reading(shard):
        file = pq.ParquetFile(shard)
    if not set(ARROW.names) <= set(file.schema_arrow.names):
        file.close()
        raise UnsupportedFormat(f"{shard} is Parquet, but its columns are not those of samples")
    return file


class _reading:
    """Whatever Arrow says about damaged bytes becomes our error."""

    def __init__(self, shard: Path) -> None:
        self._shard = shard

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, (pa.ArrowException, OSError)):
            reason = str(problem).splitlines()[0]
            raise CorruptSource(f"{self._shard} is damaged ({reason}): make it again") from problem


def shard_files(path: Path) -> list[Path]:
    """The shards that a path stands for: itself, or those of a folder in the order of their positions."""
    if path.is_dir():
        if shards := sorted(path.glob("*.parquet")):
            return shards
        raise SourceNotFound(f"{path} holds no shards: make some with foveate data make, or name another")
    if not path.exists():
        raise SourceNotFound(f"{path}: no such folder or shard: check the path")
    return [path]


def recover(folder: Path, name: str, positions: range) -> Shard | None:
    """A shard that stands in the folder though no manifest knows it; None when it has to be written."""
    path = folder / name
    try:
        with opened(path) as file:
            note, rows = _note(file, path), file.metadata.num_rows
    except (SourceNotFound, CorruptSource, UnsupportedFormat):
        return None
    if (note["start"], note["stop"]) != (positions.start, positions.stop):
        return None
    size, digest = path.stat().st_size, sha256(path)
    return Shard(name, positions.start, positions.stop, rows, len(note["skipped"]), size, digest)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None when there is none."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_bytes())
        if values["schema"] != NAME or values["version"] > VERSION:
            raise UnsupportedFormat(f"{path} is not a manifest that this foveate reads: update it")
        shards = tuple(Shard(**shard) for shard in values["shards"])
        return Manifest(values["recipe"], values["count"], values["shard_size"], values["format"], shards)
    except (KeyError, TypeError, ValueError) as problem:
        raise CorruptSource(f"{path} is no manifest ({problem}): make the folder anew") from problem


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Puts the manifest and the schema of a row into the folder, each whole."""
    values = {"schema": NAME, "version": VERSION, "complete": manifest.complete, "rows": manifest.rows}
    text = json.dumps(values | asdict(manifest), indent=1, ensure_ascii=False)
    write_whole(folder / MANIFEST, text + "\n")
    if not (folder / SCHEMA).exists():
        write_whole(folder / SCHEMA, json.dumps(json_schema(), indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that nobody ever sees a part of it, even after a power cut."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        _sync(partial)
        os.replace(partial, path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The checksum of a file, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders, and keeps their lists itself
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
