"""General vision: descriptions and places in photographs, from annotations in the forms of COCO and RefCOCO.

COCO's files hold "images" and "annotations": captions, or boxes [x, y, width, height] with a category.
RefCOCO's are lists of references, each with sentences for one box; they are usually passed around as
pickles, which can run code when they are opened, so foveate takes them as JSON only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from foveate.data.sample import Region, Sample, Skipped, Task, ask, dice
from foveate.data.shapes import located
from foveate.document import Box
from foveate.errors import CorruptSource, SourceNotFound, UnsupportedFormat
from foveate.pages.source import open_pages

PICKLES = (".p", ".pkl", ".pickle")
AS_JSON = (
    "it is a pickle, which can run code when it is opened: in a place where you trust it, save what it holds "
    "as JSON (json.dump(pickle.load(open(NAME, 'rb')), open('refs.json', 'w'))) and give that"
)


class Picture(NamedTuple):
    """What the annotations say of one picture; boxes in its pixels."""

    name: str  # of its file
    width: int
    height: int
    captions: tuple[str, ...] = ()
    things: tuple[tuple[str, tuple[Box, ...]], ...] = ()  # a category or a phrase, and where it is


@dataclass(frozen=True)
class GeneralMaker:
    """One sample for each picture with captions, and one for each thing in it that has a place.

    A description takes one of the picture's captions by dice. "Locate" of a category answers with all its
    boxes, of a phrase with its one.
    """

    images: Path  # the folder of the pictures
    annotations: tuple[Path, ...]  # COCO's captions and instances, RefCOCO's references as JSON

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.images, self.annotations)  # without what is cached below

    @property
    def kind(self) -> str:
        return "general"

    @property
    def task(self) -> Task:
        return "vision"

    @property
    def size(self) -> int:
        return len(self._questions)

    def make(self, number: int, seed: int) -> Sample | Skipped:
        picture, thing = self._questions[number]
        path = self.images / picture.name
        if not path.resolve().is_relative_to(self.images.resolve()):
            return Skipped(self.kind, picture.name, "the name leads out of the folder of pictures", number)
        (page,) = open_pages(path, pages="1")
        if page.image.size != (picture.width, picture.height):
            wide, high = page.image.size
            reason = (
                f"the picture has {wide} x {high} pixels, its notes say {picture.width} x {picture.height}"
            )
            return Skipped(self.kind, picture.name, reason, number)
        if thing is None:
            turns = ask("describe", str(dice(self.kind, number, seed).choice(list(picture.captions))))
        else:
            name, boxes = picture.things[thing]
            turns = located(name, boxes, picture.width, picture.height)
        return Sample(
            kind=self.kind,
            task=self.task,
            turns=turns,
            image=page.image,
            language="en",
            regions=tuple(Region("thing", box, name) for name, boxes in picture.things for box in boxes),
            source=picture.name,
            number=number,
            seed=seed,
        )

    @cached_property
    def _questions(self) -> list[tuple[Picture, int | None]]:
        """Pictures and the index of a thing in them; None asks for a description."""
        questions: list[tuple[Picture, int | None]] = []
        for picture in read_annotations(self.annotations):
            questions += [(picture, None)] if picture.captions else []
            questions += [(picture, index) for index in range(len(picture.things))]
        return questions


def read_annotations(files: Sequence[Path]) -> list[Picture]:
    """The pictures of all the files that have a caption or a thing, in the order of their numbers."""
    notes = _Notes()
    values = [(path, _json(path)) for path in files]
    # References point at boxes that the instances hold, whatever the order of the files.
    for path, value in sorted(values, key=lambda pair: isinstance(pair[1], list)):
        try:
            if isinstance(value, list):
                notes.add_references(value)
            else:
                notes.add_coco(value)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as problem:
            raise CorruptSource(
                f"{path} is not in the form of COCO or RefCOCO ({type(problem).__name__}: {problem}): "
                "see docs/data.md for what is read"
            ) from problem
    return list(notes.pictures())


def _json(path: Path) -> Any:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise SourceNotFound(f"{path} cannot be opened ({problem.strerror}): check the path") from problem
    if path.suffix in PICKLES or content[:1] == b"\x80":
        raise UnsupportedFormat(f"{path}: {AS_JSON}")
    try:
        return json.loads(content, object_hook=_without_outlines)
    except (ValueError, RecursionError) as problem:
        raise CorruptSource(f"{path} is not JSON ({problem}): fetch it again") from problem


def _without_outlines(values: dict[str, Any]) -> dict[str, Any]:
    """Outlines are nine tenths of COCO's instances, and not needed."""
    values.pop("segmentation", None)
    return values


class _Notes:
    """What the files have said so far, by the numbers that they use."""

    def __init__(self) -> None:
        self._images: dict[int, dict[str, Any]] = {}
        self._captions: dict[int, list[str]] = {}
        self._things: dict[int, dict[str, list[Box]]] = {}
        self._boxes: dict[int, Box] = {}  # of annotations

    def add_coco(self, value: dict[str, Any]) -> None:
        """A file of captions or of instances."""
        names = {category["id"]: _words(category["name"]) for category in value.get("categories", ())}
        for image in value["images"]:
            self._images[int(image["id"])] = image
        for note in value["annotations"]:
            number = int(note["image_id"])
            if "caption" in note:
                self._captions.setdefault(number, []).append(_words(note["caption"]))
            else:
                self._boxes[int(note["id"])] = _box(note["bbox"])
                # A crowd's box holds many of the kind; as one of them it would be wrong.
                if not note.get("iscrowd"):
                    self._add(number, names[note["category_id"]], self._boxes[int(note["id"])])
        for note in value["annotations"]:
            if note.get("iscrowd"):
                self._things.get(int(note["image_id"]), {}).pop(names[note["category_id"]], None)

    def add_references(self, references: list[dict[str, Any]]) -> None:
        """A list of references, each with its own box or the number of an annotation."""
        for reference in references:
            box = _box(reference["bbox"]) if "bbox" in reference else self._boxes[int(reference["ann_id"])]
            number = int(reference["image_id"])
            if number not in self._images:
                self._images[number] = _own_image(reference)
            for sentence in reference["sentences"]:
                words = _words(sentence if isinstance(sentence, str) else sentence["sent"])
                things = self._things.setdefault(number, {})
                if words not in things:  # people have said the same of two things: neither can be found by it
                    things[words] = [box]
                elif things[words] != [box]:
                    things[words] = []

    def pictures(self) -> Iterator[Picture]:
        for number, image in sorted(self._images.items()):
            width, height = int(image["width"]), int(image["height"])
            captions = tuple(filter(None, self._captions.get(number, ())))
            things = tuple(self._located(number, width, height))
            if captions or things:
                yield Picture(str(image["file_name"]), width, height, captions, things)

    def _located(self, number: int, width: int, height: int) -> Iterator[tuple[str, tuple[Box, ...]]]:
        """Things and their boxes, cut at the edges of the picture; none that the grid cannot show."""
        for name, boxes in self._things.get(number, {}).items():
            inside = [_clipped(box, width, height) for box in boxes]
            seen = tuple(box for box in inside if box and _shows(box, width, height))
            if name and seen:
                yield name, seen

    def _add(self, number: int, name: str, box: Box) -> None:
        self._things.setdefault(number, {}).setdefault(name, []).append(box)


def _own_image(reference: dict[str, Any]) -> dict[str, Any]:
    """The picture of a reference that comes without instances: it has to say the size itself."""
    return {name: reference[name] for name in ("file_name", "width", "height")}


def _words(text: str) -> str:
    """A caption or a name without line breaks, and without what the markup is made of."""
    return " ".join(re.sub(r"<[|｜][^<>\n]{0,40}[|｜]>|<image>", " ", text).replace("<|", " ").split())


def _box(values: Sequence[float]) -> Box:
    x, y, width, height = (float(value) for value in values)
    return Box(x, y, x + width, y + height)


def _clipped(box: Box, width: int, height: int) -> Box | None:
    x0, y0 = max(box.x0, 0), max(box.y0, 0)
    x1, y1 = min(box.x1, width), min(box.y1, height)
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _shows(box: Box, width: int, height: int) -> bool:
    x0, y0, x1, y1 = box.to_grid(width, height)
    return x0 < x1 and y0 < y1
