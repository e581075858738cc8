"""What is wrong with a folder of shards, in sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from foveate.data.sample import TASKS
from foveate.data.schema import ARROW, decoded
from foveate.data.shards import Manifest, opened, read_manifest, read_note, read_rows, sha256, shard_files
from foveate.document import GRID
from foveate.errors import FoveateError
from foveate.pages.prompts import IMAGE, PROMPTS

_BOX = r"\[\d{1,3}, \d{1,3}, \d{1,3}, \d{1,3}\]"
_REFERENCE = re.compile(
    rf"<\|ref\|>(?:(?!<\|).)+<\|/ref\|><\|det\|>\[(?P<boxes>{_BOX}(?:, {_BOX})*)\]<\|/det\|>", re.DOTALL
)
_SLACK = 0.5  # pixels that a box may stand over the edge by rounding

Row = dict[str, Any]


def check_folder(folder: Path, tick: Callable[[], None] = lambda: None) -> Iterator[str]:
    """One sentence for each thing that is wrong. `tick` is called after each sample."""
    manifest = read_manifest(folder) if folder.is_dir() else None
    if folder.is_dir():
        yield from _check_manifest(folder, manifest)
    for shard in shard_files(folder):
        try:
            yield from _check_shard(shard, tick)
        except FoveateError as problem:
            yield str(problem)


def _check_manifest(folder: Path, manifest: Manifest | None) -> Iterator[str]:
    """The files against the checksums."""
    if manifest is None:
        yield f"{folder} has no manifest: nobody can say whether it is whole"
        return
    if not manifest.complete:
        missing = manifest.parts - len(manifest.shards)
        yield f"{folder} is not complete: {missing} of {manifest.parts} shards are still to be made"
    known = {shard.name for shard in manifest.shards}
    for shard in manifest.shards:
        path = folder / shard.name
        if not path.is_file():
            yield f"{path} is missing"
        elif sha256(path) != shard.sha256:
            yield f"{path} is not the file of the manifest: its checksum differs; delete it and make it again"
    for path in sorted(folder.glob("*.parquet")):
        if path.name not in known:
            yield f"{path} is not in the manifest"


def _check_shard(shard: Path, tick: Callable[[], None]) -> Iterator[str]:
    """The columns, the order of the samples, and each sample."""
    with opened(shard) as file:
        if not file.schema_arrow.equals(ARROW):
            yield f"{shard}: the types of its columns are not those of samples"
            return
    note, last = read_note(shard), -1
    for index, row in enumerate(read_rows(shard)):
        place = row["position"]
        if not note["start"] <= place < note["stop"] or place <= last:
            yield f"{shard}, sample {index}: its position {place} is out of order"
        last = place
        yield from (f"{shard}, sample {index}: {problem}" for problem in check_row(row))
        tick()


def check_row(row: Row) -> Iterator[str]:
    """What is wrong with one sample."""
    if row["task"] not in TASKS:
        yield f"the task {row['task']!r} is none of {', '.join(TASKS)}"
    roles = [turn["role"] for turn in row["turns"]]
    if roles != ["user", "assistant"] * (len(roles) // 2) or not roles:
        yield "its turns are not user and assistant in turn"
    elif (row["turns"][0]["text"], row["turns"][-1]["text"]) != (row["prompt"], row["answer"]):
        yield "its prompt and answer are not the first and the last turn"
    try:
        json.loads(row["details"])
    except ValueError:
        yield "its details are no JSON"
    yield from _check_picture(row)
    yield from _check_prompt(row)
    yield from check_markup(row["answer"])
    if any(IMAGE in turn["text"] for turn in row["turns"][1:]):
        yield f"it says {IMAGE} behind its prompt, which a tokenizer takes for a picture"


def _check_picture(row: Row) -> Iterator[str]:
    if row["image"] is None:
        if row["regions"]:
            yield "it has regions, but no picture"
        return
    try:
        size = decoded(row["image"]["bytes"]).size
    except ValueError as problem:
        yield f"its picture does not decode ({problem})"
        return
    if size != (row["width"], row["height"]):
        yield f"its picture has {size} pixels, its columns say {(row['width'], row['height'])}"
    outside = [region for region in row["regions"] if not _inside(region, *size)]
    if outside:
        region = outside[0]
        corners = [round(region[side], 1) for side in ("x0", "y0", "x1", "y1")]
        yield f"{len(outside)} of its boxes leave the picture, such as {region['kind']} {corners}"


def _inside(region: Row, width: int, height: int) -> bool:
    x0, y0, x1, y1 = (float(region[side]) for side in ("x0", "y0", "x1", "y1"))
    return -_SLACK <= x0 <= x1 <= width + _SLACK and -_SLACK <= y0 <= y1 <= height + _SLACK


def _check_prompt(row: Row) -> Iterator[str]:
    """A picture goes with a released prompt, a text alone with none."""
    if row["image"] is None:
        if IMAGE in row["prompt"]:
            yield "its prompt has a place for a picture, and there is none"
    elif row["prompt"] not in PROMPTS.values() and not _LOCATE.fullmatch(row["prompt"]):
        yield f"its prompt {row['prompt']!r} is not one of the released ones"


_LOCATE = re.compile("(?:(?!<[|]).)+".join(map(re.escape, PROMPTS["locate"].split("{reference}"))), re.DOTALL)


def check_markup(answer: str) -> Iterator[str]:
    """References and boxes in the released form, on the grid, each enclosing something."""
    for reference in _REFERENCE.finditer(answer):
        for box in re.findall(_BOX, reference["boxes"]):
            x0, y0, x1, y1 = map(int, re.findall(r"\d+", box))
            if not (x0 < x1 <= GRID and y0 < y1 <= GRID):
                yield f"its box {box} encloses nothing"
                return
    rest = _REFERENCE.sub("", answer)
    tag = re.search(r"<\|/?(?:ref|det|grounding)\|>", rest)
    if tag:
        yield f"its markup does not parse at {rest[tag.start() : tag.start() + 60]!r}"
