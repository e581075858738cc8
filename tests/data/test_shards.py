"""Shards: what stands in them, who can read them, and what a killed writer leaves behind."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from foveate.data import recipes
from foveate.data.check import check_folder, check_markup, check_row
from foveate.data.making import make_shards
from foveate.data.mixture import Each, Mixture, Part
from foveate.data.sample import Region, Sample, Skipped, Task, Turn, ask, dice
from foveate.data.schema import ARROW, FORMATS, from_row, json_schema, to_row
from foveate.data.shapes import ShapesMaker
from foveate.data.shards import (
    MANIFEST,
    SCHEMA,
    Manifest,
    Outcome,
    read_manifest,
    read_note,
    read_row,
    read_rows,
    read_samples,
    sha256,
    shard_files,
    write_shard,
)
from foveate.document import Box
from foveate.errors import CorruptSource, OptionError, SourceNotFound, UnsupportedFormat


@dataclass(frozen=True)
class Dots:
    """Small pictures of noise; every `gap`-th number cannot be made."""

    size: int | None = None
    gap: int = 0
    kind: str = "dots"
    task: Task = "ocr1"

    def make(self, number: int, seed: int) -> Sample | Skipped:
        if self.gap and number % self.gap == 0:
            return Skipped(self.kind, f"file {number}", "it is blank", number)
        pixels = dice(self.kind, number, seed).integers(0, 255, (8, 12, 3)).astype(np.uint8)
        region = Region("word", Box(0.5, 1, 12, 8), "ö")
        return Sample(
            self.kind,
            self.task,
            ask("text", f"dots {number} – 点"),
            Image.fromarray(pixels),
            "en",
            (region,),
            "nowhere",
            number,
            seed,
            {"font": "none", "values": [1, 2.5], "exact": np.float64(0.25), "nested": {"ü": None}},
        )


def wanted(count: int = 50, size: int = 20, format: str = "png", **recipe: object) -> Manifest:
    return Manifest({"name": "test", **recipe}, count, size, format)


def dots(count: int = 50, size: int = 20, gap: int = 0, seed: int = 0) -> tuple[Mixture, Manifest]:
    return Mixture((Part(Dots(gap=gap)),), seed), wanted(count, size, seed=seed)


def contents(folder: Path) -> dict[str, str]:
    """Names and checksums of the shards and the manifest's own list."""
    return {path.name: sha256(path) for path in folder.iterdir() if path.suffix == ".parquet"}


def test_a_sample_comes_back_as_it_was(tmp_path: Path) -> None:
    sample = Dots().make(3, 5)
    assert isinstance(sample, Sample)
    alone = Sample("text", "text", (Turn("user", ""), Turn("assistant", "words\nand 字")), number=2)
    shard = write_shard(tmp_path, "a.parquet", range(2), [Outcome(0, sample), Outcome(1, alone)])
    assert (shard.rows, shard.sha256) == (2, sha256(tmp_path / "a.parquet"))
    first, second = read_samples(tmp_path / "a.parquet")
    for before, after in ((sample, first), (alone, second)):
        for name in ("kind", "task", "turns", "language", "regions", "source", "number", "seed"):
            assert getattr(after, name) == getattr(before, name)
    assert first.image and sample.image and first.image.tobytes() == sample.image.tobytes()
    assert first.details == {"font": "none", "values": [1, 2.5], "exact": 0.25, "nested": {"ü": None}}
    assert second.image is None and second.details == {}


@pytest.mark.parametrize("format", FORMATS)
def test_pictures_in_every_format(format: str) -> None:
    sample = ShapesMaker().make(0, 0)
    assert isinstance(sample, Sample) and sample.image
    row = to_row(sample, 7, format)
    assert row["image"]["path"] == f"shapes-00000007.{format}"
    image = from_row(row).image
    assert image and image.size == sample.image.size and image.format == format.upper()
    difference = np.abs(np.asarray(image, float) - np.asarray(sample.image, float)).mean()
    assert difference == 0 if format == "png" else 0 < difference < 6


def test_a_transparent_picture_as_jpeg() -> None:
    sample = Sample("x", "ocr1", ask("text", ""), Image.new("RGBA", (4, 4)))
    image = from_row(to_row(sample, 0, "jpeg")).image
    assert image and image.mode == "RGB"


def test_names_of_files_that_no_encoding_has(tmp_path: Path) -> None:
    sample = Sample("x", "text", (Turn("user", ""), Turn("assistant", "a")), source="caf\udce9.pdf")
    write_shard(tmp_path, "a.parquet", range(1), [Outcome(0, sample)])
    assert [each.source for each in read_samples(tmp_path)] == ["caf\\udce9.pdf"]


def test_hugging_face_datasets_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    make_shards(tmp_path / "out", *dots(45, 20))
    files = [str(path) for path in shard_files(tmp_path / "out")]
    rows = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 45 and isinstance(rows.features["image"], datasets.Image)
    expected = Dots().make(44, 0)
    assert isinstance(expected, Sample) and expected.image
    assert rows[44]["image"].tobytes() == expected.image.tobytes()
    assert rows[44]["turns"][1] == {"role": "assistant", "text": "dots 44 – 点"}
    assert rows[0]["regions"][0]["x1"] == 12.0
    stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    assert next(iter(stream))["image"].size == (12, 8)


def test_duckdb_reads_them(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    make_shards(tmp_path, *dots(45, 20))
    query = (
        "select count(*), sum(number), min(turns[2].text), max(regions[1].x1), "
        f"max(octet_length(image.bytes)), max(details->>'font') from '{tmp_path}/*.parquet'"
    )
    ((count, numbers, text, side, size, font),) = duckdb.sql(query).fetchall()
    assert (count, numbers, text, side, font) == (45, sum(range(45)), "dots 0 – 点", 12.0, "none")
    assert size > 100


def test_pandas_reads_them(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    make_shards(tmp_path, *dots(5, 20))
    frame = pandas.read_parquet(tmp_path / "samples-000000-of-000001.parquet")
    assert list(frame["answer"]) == [f"dots {n} – 点" for n in range(5)]


def test_the_schema_describes_the_rows(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    make_shards(tmp_path, *dots(5))
    schema = json.loads((tmp_path / SCHEMA).read_text())
    assert schema == json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    for row in read_rows(shard_files(tmp_path)[0]):
        row["image"]["bytes"] = "AAAA"
        validator.validate(row)
    row["task"] = "juggling"
    assert not validator.is_valid(row)


def test_the_manifest_says_what_is_there(tmp_path: Path) -> None:
    plan, run = dots(45, 20, gap=7)
    made = make_shards(tmp_path, plan, run)
    assert made == read_manifest(tmp_path) and made.complete and made.rows == 45
    assert [(s.start, s.stop, s.rows, s.skipped) for s in made.shards] == [
        (0, 20, 20, 3),
        (20, 40, 20, 3),
        (40, 45, 5, 1),
    ]
    for shard in made.shards:
        path = tmp_path / shard.name
        assert (path.stat().st_size, sha256(path)) == (shard.bytes, shard.sha256)
    values = json.loads((tmp_path / MANIFEST).read_text())
    assert values["complete"] and values["recipe"] == {"name": "test", "seed": 0}


def test_what_is_skipped_is_noted_and_replaced(tmp_path: Path) -> None:
    make_shards(tmp_path, *dots(45, 20, gap=7))
    note = read_note(shard_files(tmp_path)[1])
    assert note["skipped"] == [
        {"position": p, "kind": "dots", "source": f"file {p}", "reason": "it is blank", "number": p}
        for p in (21, 28, 35)
    ]
    keys = [(sample.number, sample.seed) for sample in read_samples(tmp_path)]
    assert len(set(keys)) == 45 and sum(number < 45 for number, _ in keys) == 38


def test_each_leaves_gaps(tmp_path: Path) -> None:
    make_shards(tmp_path, Each((Dots(size=45, gap=7),)), wanted(45, 20))
    numbers = sorted(sample.number for sample in read_samples(tmp_path))
    assert numbers == [n for n in range(45) if n % 7]


def test_a_group_bounds_what_is_held(tmp_path: Path) -> None:
    make_shards(tmp_path, *dots(150, 150))
    (shard,) = shard_files(tmp_path)
    file = pq.ParquetFile(shard)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [64, 64, 22]
    file.close()
    assert [read_row(shard, n)["number"] for n in (0, 63, 64, 149)] == [0, 63, 64, 149]
    with pytest.raises(OptionError, match="150 samples"):
        read_row(shard, 150)


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_shards(tmp_path / name, *dots(45, 20, seed=seed))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not set(contents(tmp_path / "a").values()) & set(contents(tmp_path / "c").values())


def test_several_workers_write_the_same_bytes(tmp_path: Path) -> None:
    plan = recipes.plan("shapes", recipes.Sources(), 3)
    done: list[int] = []
    make_shards(tmp_path / "one", plan, wanted(40, 8), 1)
    made = make_shards(tmp_path / "two", plan, wanted(40, 8), 2, done.append)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") and len(made.shards) == 5
    assert done[0] == 0 and done == sorted(done)
    assert made == read_manifest(tmp_path / "one")


def test_an_error_in_a_worker_reaches_the_user(tmp_path: Path) -> None:
    text = tmp_path / "en.txt"
    text.write_text("Plain words, line after line.\n" * 3000)
    plan = recipes.plan("text", recipes.Sources(text=(text,), tokens=64))
    text.unlink()
    with pytest.raises(SourceNotFound, match=re.escape("en.txt cannot be opened")):
        make_shards(tmp_path / "out", plan, wanted(40, 8), 2)


def test_a_finished_run_makes_nothing_again(tmp_path: Path) -> None:
    plan, run = dots(45, 20)
    made = make_shards(tmp_path, plan, run)
    before = {path: path.stat().st_mtime_ns for path in shard_files(tmp_path)}
    assert make_shards(tmp_path, Mixture((Part(Dots(gap=1)),)), run) == made  # this one makes nothing
    assert before == {path: path.stat().st_mtime_ns for path in shard_files(tmp_path)}


def test_missing_broken_and_unknown_shards_on_resuming(tmp_path: Path) -> None:
    plan, run = dots(100, 20)
    make_shards(tmp_path, plan, run)
    whole, first = contents(tmp_path), shard_files(tmp_path)
    first[0].unlink()
    first[1].write_bytes(first[1].read_bytes()[:-100])
    # The manifest was written before the last two shards were.
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["shards"] = manifest["shards"][:3]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    (tmp_path / ".samples-000000-of-000005.parquet.1.partial").write_bytes(b"half")
    kept = first[4].stat().st_mtime_ns
    assert make_shards(tmp_path, plan, run).complete
    assert contents(tmp_path) == whole and first[4].stat().st_mtime_ns == kept
    assert not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 46}, "count 45, not 46"),
        ({"shard_size": 21}, "shard size 20, not 21"),
        ({"format": "webp"}, "format png, not webp"),
        ({"recipe": {"name": "test", "seed": 1}}, "seed 0, not 1"),
    ],
)
def test_another_run_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    plan, run = dots(45, 20)
    make_shards(tmp_path, plan, run)
    before = contents(tmp_path)
    with pytest.raises(OptionError, match=message):
        make_shards(tmp_path, plan, replace(run, **change))
    assert contents(tmp_path) == before


def test_shards_without_a_manifest_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"precious")
    with pytest.raises(OptionError, match="without a manifest"):
        make_shards(tmp_path, *dots())


def test_a_shard_that_was_changed_by_hand_is_made_again(tmp_path: Path) -> None:
    plan, run = dots(40, 20)
    make_shards(tmp_path, plan, run)
    whole, shard = contents(tmp_path), shard_files(tmp_path)[0]
    with pq.ParquetFile(shard) as file:
        note = file.metadata.metadata[b"foveate"]
        table = file.read().replace_schema_metadata({**file.schema_arrow.metadata, b"foveate": note})
    pq.write_table(table.slice(0, 10), shard)
    assert read_note(shard)["stop"] == 20  # it still says that it is the shard of these positions
    assert make_shards(tmp_path, plan, run).rows == 40
    assert contents(tmp_path) == whole


def test_many_shards_cost_no_time_before_the_first() -> None:
    run = Manifest({}, 100_000_000, 1000, "png")
    start = time.process_time()
    assert run.name_of(run.ranges[-1]) == "samples-099999-of-100000.parquet"
    for _ in range(1000):
        run.name_of(range(1000))
    assert time.process_time() - start < 2  # each once counted all of them


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    plan, run = dots(3, 2)

    def again() -> Iterator[Outcome]:
        make_shards(tmp_path, plan, run)
        yield from ()

    @dataclass(frozen=True)
    class Meddler(Dots):
        def make(self, number: int, seed: int) -> Sample | Skipped:
            list(again())
            return super().make(number, seed)

    with pytest.raises(OptionError, match="another process"):
        make_shards(tmp_path, Mixture((Part(Meddler()),)), run)


def test_an_error_leaves_no_half_shard(tmp_path: Path) -> None:
    def outcomes() -> Iterator[Outcome]:
        sample = Dots().make(0, 0)
        assert isinstance(sample, Sample)
        yield from (Outcome(n, sample) for n in range(100))
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_shard(tmp_path, "a.parquet", range(200), outcomes())
    assert not list(tmp_path.iterdir())


def _killed(folder: Path, kills: int, count: int, size: int, workers: int) -> int:
    """Makes shapes, killing the command as often as asked. Returns how often it was killed at work."""
    command = [sys.executable, "-m", "foveate", "data", "make", "shapes", "--out", str(folder)]
    command += ["--count", str(count), "--shard-size", str(size), "--workers", str(workers), "--quiet"]
    dice, hits = random.Random(7), 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(kills):
        with subprocess.Popen(command, env=environment, start_new_session=True) as process:
            started = len(shard_files(folder)) if folder.exists() and list(folder.glob("*.parquet")) else 0
            while process.poll() is None and len(list(folder.glob("*.parquet"))) <= started:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.3))
            hits += process.poll() is None
            process.kill()
    subprocess.run(command, check=True, env=environment)
    return hits


def _nothing_lost_or_twice(tmp_path: Path, kills: int, count: int, size: int, workers: int) -> None:
    hits = _killed(tmp_path / "killed", kills, count, size, workers)
    assert hits >= kills - 1
    plan = recipes.plan("shapes", recipes.Sources())
    make_shards(tmp_path / "whole", plan, Manifest({}, count, size, "png"))
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    positions = [row["position"] for shard in shard_files(tmp_path / "killed") for row in read_rows(shard)]
    assert positions == list(range(count))
    assert not list((tmp_path / "killed").glob(".*.partial")) and not list(check_folder(tmp_path / "killed"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_resumed(tmp_path: Path) -> None:
    _nothing_lost_or_twice(tmp_path, kills=3, count=120, size=8, workers=1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_ten_times_and_resumed(tmp_path: Path, workers: int) -> None:
    _nothing_lost_or_twice(tmp_path, kills=10, count=600, size=12, workers=workers)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "foveate", "data", "make", "shapes", "--out", str(tmp_path)]
    command += ["--count", "4000", "--shard-size", "20", "--workers", "2", "--quiet"]
    with subprocess.Popen(command, start_new_session=True) as process:
        while not list(tmp_path.glob("*.parquet")) and process.poll() is None:
            time.sleep(0.02)
        process.kill()
    ours = str(process.pid)
    for _ in range(200):
        alive = [pid for pid in Path("/proc").glob("[0-9]*") if _session(pid) == ours]
        if not alive:
            return
        time.sleep(0.05)
    raise AssertionError(f"{len(alive)} processes go on without their parent")


def _session(process: Path) -> str:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[3]
    except OSError:
        return ""


def test_no_torch_in_making(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom foveate.cli import main\n"
        f"main(['data', 'make', 'shapes', '--out', {str(tmp_path)!r}, '--count', '3', '--workers', '1'])\n"
        "assert 'torch' not in sys.modules and 'pyarrow' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_good_folder_has_no_problems(tmp_path: Path) -> None:
    make_shards(tmp_path, *dots(45, 20, gap=7))
    ticks: list[int] = []
    assert not list(check_folder(tmp_path, lambda: ticks.append(1))) and len(ticks) == 45


def test_check_finds_damage_to_files(tmp_path: Path) -> None:
    make_shards(tmp_path, *dots(80, 20))
    first, second, third, fourth = shard_files(tmp_path)
    content = bytearray(first.read_bytes())
    content[len(content) // 3] ^= 1
    first.write_bytes(content)
    second.unlink()
    third.write_bytes(third.read_bytes()[:-50])
    fourth.with_name("stray.parquet").write_bytes(fourth.read_bytes())
    found = "\n".join(check_folder(tmp_path))
    assert f"{first} is not the file of the manifest: its checksum differs" in found
    assert f"{second} is missing" in found and f"{third} is damaged" in found
    assert "stray.parquet is not in the manifest" in found
    (tmp_path / MANIFEST).unlink()
    assert (
        next(iter(check_folder(tmp_path)))
        == f"{tmp_path} has no manifest: nobody can say whether it is whole"
    )


def test_check_says_what_is_still_to_be_made(tmp_path: Path) -> None:
    plan, run = dots(80, 20)
    made = make_shards(tmp_path, plan, run)
    values = json.loads((tmp_path / MANIFEST).read_text())
    values["shards"].pop()
    (tmp_path / MANIFEST).write_text(json.dumps(values))
    (tmp_path / made.shards[-1].name).unlink()
    assert list(check_folder(tmp_path)) == [f"{tmp_path} is not complete: 1 of 4 shards are still to be made"]


@pytest.mark.parametrize("name", [name for name in ARROW.names if name not in ("image", "width")])
def test_a_column_without_values_is_one_clear_error(tmp_path: Path, name: str) -> None:
    make_shards(tmp_path, *dots(5, 5))
    (shard,) = shard_files(tmp_path)
    with pq.ParquetFile(shard) as file:
        note, table = file.metadata.metadata[b"foveate"], file.read()
    place, column = table.column_names.index(name), table.schema.field(name)
    table = table.set_column(place, column, pa.nulls(len(table), column.type))
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"foveate": note}), shard)
    assert any(re.search(r"is damaged \(.*\): make it", problem) for problem in check_folder(tmp_path))
    with pytest.raises(CorruptSource, match="is damaged"):
        read_row(shard, 0)


def test_values_that_are_missing_deeper_in_a_row(tmp_path: Path) -> None:
    row = good()
    row["regions"] = [{"kind": "word", "x0": 0.0, "y0": 0.0, "x1": None, "y1": 2.0, "text": ""}]
    pq.write_table(pa.Table.from_pylist([row], schema=ARROW), shard := tmp_path / "a.parquet")
    with pytest.raises(CorruptSource, match=re.escape("(regions.x1 has no value)")):
        list(read_rows(shard))


@pytest.mark.parametrize("change", [{"details": "{"}, {"image": {"bytes": b"no picture", "path": "a"}}])
def test_a_row_that_does_not_decode(change: dict[str, object]) -> None:
    with pytest.raises(CorruptSource, match="sample 0 is damaged"):
        from_row(good() | change)


def good() -> dict[str, object]:
    sample = Dots().make(1, 0)
    assert isinstance(sample, Sample)
    return to_row(sample, 0, "png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "juggling"}, "the task 'juggling' is none of"),
        ({"turns": [{"role": "assistant", "text": "a"}]}, "its turns are not user and assistant"),
        ({"prompt": "<image>\nRead."}, "its prompt and answer are not the first and the last turn"),
        ({"details": "{"}, "its details are no JSON"),
        ({"image": {"bytes": b"\x89PNG\r\n\x1a\nbroken", "path": "a.png"}}, "its picture does not decode"),
        ({"width": 13}, "its picture has (12, 8) pixels"),
        ({"image": None, "width": None, "height": None}, "it has regions, but no picture"),
        (
            {"turns": [{"role": "user", "text": ""}, {"role": "assistant", "text": "<image>"}]},
            "it says <image>",
        ),
    ],
)
def test_check_finds_what_is_wrong_with_a_sample(change: dict[str, object], message: str) -> None:
    assert not list(check_row(good()))
    assert any(problem.startswith(message) for problem in check_row(good() | change))


def test_check_finds_other_prompts() -> None:
    row = good()
    for prompt, fine in (
        ("<image>\nRead this.", False),
        ("<image>\nFree OCR. ", False),
        ("<image>\nLocate <|ref|>the red cat<|/ref|> in the image.", True),
        ("<image>\nLocate <|ref|><|/ref|> in the image.", False),
        ("<image>\nParse the figure.", True),
    ):
        row["turns"] = [{"role": "user", "text": prompt}, {"role": "assistant", "text": row["answer"]}]
        assert (list(check_row(row | {"prompt": prompt})) == []) == fine


@pytest.mark.parametrize(("corner", "fine"), [(12.4, True), (12.6, False), (-1.0, False)])
def test_check_finds_boxes_outside(corner: float, fine: bool) -> None:
    row = good()
    row["regions"] = [{"kind": "word", "x0": 0.0, "y0": 0.0, "x1": corner, "y1": 2.0, "text": ""}]
    assert (list(check_row(row)) == []) == fine


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n# A", None),
        ("<|ref|>two cats<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 999, 999]]<|/det|>", None),
        ("a < b, |x| > 1", None),
        (
            "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 1000]]<|/det|>",
            "its markup does not parse at '<|ref|>title",
        ),
        ("<|ref|>title<|/ref|><|det|>[[3, 2, 3, 4]]<|/det|>", "its box [3, 2, 3, 4] encloses nothing"),
        ("<|ref|>title<|/ref|>\n# A", "its markup does not parse"),
        ("<|det|>[[1, 2, 3, 4]]<|/det|>", "its markup does not parse"),
        ("<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]", "its markup does not parse"),
    ],
)
def test_check_of_markup(answer: str, message: str | None) -> None:
    found = list(check_markup(answer))
    assert found == [] if message is None else found[0].startswith(message)


def test_what_is_no_shard(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no shards"):
        list(read_samples(tmp_path))
    with pytest.raises(SourceNotFound, match="no such folder or shard"):
        list(read_samples(tmp_path / "a.parquet"))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(CorruptSource, match="damaged"):
        list(read_samples(tmp_path / "a.parquet"))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UnsupportedFormat, match="its columns"):
        list(read_samples(tmp_path))
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(CorruptSource, match="no manifest"):
        read_manifest(tmp_path)
