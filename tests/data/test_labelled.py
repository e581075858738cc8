"""Samples of shards as a kind."""

import pickle
from pathlib import Path

import pytest

from foveate.data.labelled import LabelledMaker
from foveate.data.sample import Sample
from foveate.data.shapes import ShapesMaker
from foveate.data.shards import Outcome, read_samples, write_shard
from foveate.errors import SourceNotFound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sample = ShapesMaker().make(0, 0)
    assert isinstance(sample, Sample)
    for name, start, stop in (("a", 0, 70), ("b", 70, 75), ("c", 75, 80)):
        outcomes = [Outcome(n, None if name == "b" else sample) for n in range(start, stop)]
        write_shard(tmp_path, f"{name}.parquet", range(start, stop), outcomes)
    return tmp_path


def test_every_sample_is_there_once(folder: Path) -> None:
    maker = LabelledMaker(folder)
    assert maker.size == 75
    made = [maker.make(number, 9) for number in (74, 0, 63, 64, 69, 70)]
    assert [(sample.number, sample.seed) for sample in made] == [(n, 9) for n in (74, 0, 63, 64, 69, 70)]


def test_they_are_what_stands_in_the_shards(folder: Path) -> None:
    first = next(read_samples(folder))
    sample = pickle.loads(pickle.dumps(LabelledMaker(folder))).make(70, 0)
    assert sample.kind == "shapes" and sample.turns == first.turns and sample.regions == first.regions
    assert sample.image.tobytes() == first.image.tobytes()


def test_without_shards(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no shards"):
        _ = LabelledMaker(tmp_path).size
