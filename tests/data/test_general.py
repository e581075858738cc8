"""Photographs with annotations."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.data.check import check_row
from foveate.data.general import GeneralMaker
from foveate.data.sample import Sample, Skipped
from foveate.data.schema import to_row
from foveate.errors import CorruptSource, SourceNotFound, UnsupportedFormat
from foveate.pages.prompts import PROMPTS

IMAGES = [
    {"id": 7, "file_name": "b.png", "width": 200, "height": 100},
    {"id": 3, "file_name": "a.png", "width": 100, "height": 100},
    {"id": 9, "file_name": "unused.png", "width": 100, "height": 100},
]
INSTANCES = {
    "images": IMAGES,
    "categories": [{"id": 18, "name": "dog"}, {"id": 44, "name": "wine glass"}, {"id": 1, "name": "person"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [100, 50, 50, 25], "segmentation": [[1, 2]]},
        {"id": 2, "image_id": 7, "category_id": 18, "bbox": [10, 10, 20, 20], "iscrowd": 0},
        {"id": 3, "image_id": 7, "category_id": 44, "bbox": [190, 90, 30, 30]},
        {"id": 4, "image_id": 3, "category_id": 1, "bbox": [0, 0, 20, 20]},
        {"id": 5, "image_id": 3, "category_id": 1, "bbox": [0, 0, 90, 90], "iscrowd": 1},
        {"id": 6, "image_id": 3, "category_id": 44, "bbox": [50, 50, 0.01, 0.01]},
    ],
}
CAPTIONS = {
    "images": IMAGES[:2],
    "annotations": [
        {"id": 1, "image_id": 3, "caption": "A person\nstands. "},
        {"id": 2, "image_id": 3, "caption": "Somebody <image> at <|ref|>rest<|/ref|>."},
    ],
}
REFERENCES = [
    {"image_id": 7, "ann_id": 1, "sentences": [{"sent": "dog on the right"}, {"sent": "big dog"}]},
    {"image_id": 7, "ann_id": 2, "sentences": [{"sent": "small dog"}, {"sent": "a dog"}]},
    {"image_id": 7, "ann_id": 1, "sentences": ["a dog"]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("a.png", (100, 100)), ("b.png", (200, 100))):
        Image.new("RGB", size, "gold").save(tmp_path / name)
    for name, value in (("instances", INSTANCES), ("captions", CAPTIONS), ("refs", REFERENCES)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    return tmp_path


def maker(folder: Path, *names: str) -> GeneralMaker:
    return GeneralMaker(folder, tuple(folder / f"{name}.json" for name in names))


def samples(made: GeneralMaker, seed: int = 0) -> list[Sample]:
    found = [made.make(number, seed) for number in range(made.size)]
    assert all(isinstance(each, Sample) for each in found)
    return [each for each in found if isinstance(each, Sample)]


def test_categories_are_located(folder: Path) -> None:
    dogs, glass = samples(maker(folder, "instances"))
    assert dogs.prompt == PROMPTS["locate"].format(reference="dog") and dogs.source == "b.png"
    # 1/20 and 1/10 of 999, to the right and down.
    assert dogs.answer == "<|ref|>dog<|/ref|><|det|>[[50, 100, 150, 300], [500, 500, 749, 749]]<|/det|>"
    assert glass.answer == "<|ref|>wine glass<|/ref|><|det|>[[949, 899, 999, 999]]<|/det|>"
    assert dogs.image and dogs.image.size == (200, 100) and len(dogs.regions) == 3


def test_crowds_and_specks_are_left_out(folder: Path) -> None:
    assert {sample.source for sample in samples(maker(folder, "instances"))} == {"b.png"}


def test_captions_describe(folder: Path) -> None:
    made = maker(folder, "captions")
    answers = {sample.answer for seed in range(20) for sample in samples(made, seed)}
    assert answers == {"A person stands.", "Somebody at rest ."}
    assert samples(made)[0].prompt == PROMPTS["describe"]
    assert samples(made, 3)[0].turns == samples(made, 3)[0].turns


def test_phrases_are_located_unless_two_things_share_them(folder: Path) -> None:
    found = samples(maker(folder, "refs", "instances"))
    phrases = [sample.answer for sample in found if "dog" in sample.answer][1:]
    assert phrases == [
        "<|ref|>dog on the right<|/ref|><|det|>[[500, 500, 749, 749]]<|/det|>",
        "<|ref|>big dog<|/ref|><|det|>[[500, 500, 749, 749]]<|/det|>",
        "<|ref|>small dog<|/ref|><|det|>[[50, 100, 150, 300]]<|/det|>",
    ]


def test_references_with_boxes_of_their_own(folder: Path) -> None:
    own = {"image_id": 1, "bbox": [0, 0, 50, 50], "sentences": [{"sent": "corner"}]}
    own |= {"file_name": "a.png", "width": 100, "height": 100}
    (folder / "own.json").write_text(json.dumps([own]))
    (sample,) = samples(maker(folder, "own"))
    assert sample.answer == "<|ref|>corner<|/ref|><|det|>[[0, 0, 500, 500]]<|/det|>"


def test_everything_together_passes_the_check(folder: Path) -> None:
    found = samples(maker(folder, "captions", "instances", "refs"))
    assert len(found) == 6 and [sample.number for sample in found] == list(range(6))
    for sample in found:
        assert not list(check_row(to_row(sample, 0, "png")))


def test_a_picture_of_another_size_is_skipped(folder: Path) -> None:
    Image.new("RGB", (99, 100)).save(folder / "b.png")
    miss = maker(folder, "instances").make(0, 0)
    assert isinstance(miss, Skipped) and miss.reason == (
        "the picture has 99 x 100 pixels, its notes say 200 x 100"
    )


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd"])
def test_names_do_not_lead_out_of_the_folder(folder: Path, name: str) -> None:
    Image.new("RGB", (100, 100)).save(folder.parent / "secret.png")
    value = {"images": [IMAGES[1] | {"file_name": name}], "annotations": CAPTIONS["annotations"]}
    (folder / "odd.json").write_text(json.dumps(value))
    miss = maker(folder, "odd").make(0, 0)
    assert isinstance(miss, Skipped) and "leads out" in miss.reason


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("name", ["refs(unc).p", "refs.json"])
def test_a_pickle_is_never_opened(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UnsupportedFormat, match="it is a pickle, which can run code"):
        _ = GeneralMaker(folder, (folder / name,)).size
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    "value",
    [
        {"images": []},
        {"images": [{"file_name": "a.png"}], "annotations": []},
        INSTANCES | {"categories": []},
        INSTANCES | {"annotations": [{"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2]}]},
        [{"image_id": 1, "ann_id": 99, "sentences": []}],
        [7],
        "words",
    ],
)
def test_other_json_is_refused(folder: Path, value: Any) -> None:
    (folder / "odd.json").write_text(json.dumps(value))
    with pytest.raises(CorruptSource, match="not in the form of COCO or RefCOCO"):
        _ = maker(folder, "odd").size


def test_files_that_cannot_be_read(folder: Path) -> None:
    (folder / "odd.json").write_text("{")
    with pytest.raises(CorruptSource, match="is not JSON"):
        _ = maker(folder, "odd").size
    with pytest.raises(SourceNotFound, match="gone.json cannot be opened"):
        _ = maker(folder, "gone").size
    (folder / "b.png").unlink()
    with pytest.raises(SourceNotFound):
        maker(folder, "instances").make(0, 0)


def test_it_travels_to_workers(folder: Path) -> None:
    made = maker(folder, "captions", "instances")
    assert made.size == 3
    again = pickle.loads(pickle.dumps(made))
    assert again == made and again.make(1, 0).answer == samples(made)[1].answer
