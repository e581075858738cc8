"""Scenes of shapes: what is said of them is what is drawn."""

import re

import numpy as np
import pytest

from foveate.data.check import check_row
from foveate.data.sample import Sample, dice
from foveate.data.schema import to_row
from foveate.data.shapes import COLOURS, GROUNDS, SHAPES, Scene, ShapesMaker, compose, draw, located
from foveate.document import Box
from foveate.pages.markup import parse
from foveate.pages.prompts import PROMPTS


def scenes(count: int) -> list[Scene]:
    return [compose(dice("test", number, 0), 8) for number in range(count)]


def made(numbers: range, seed: int = 0) -> list[Sample]:
    samples = [ShapesMaker().make(number, seed) for number in numbers]
    return [sample for sample in samples if isinstance(sample, Sample)]


def test_the_same_number_and_seed_make_the_same_sample() -> None:
    (first,), (_, again) = made(range(5, 6)), made(range(4, 6))
    assert first.turns == again.turns and first.regions == again.regions
    assert first.image and again.image and first.image.tobytes() == again.image.tobytes()
    assert made(range(5, 6), seed=1)[0].regions != first.regions


def test_boxes_are_where_the_ink_is() -> None:
    """A scene with and without one of its shapes differs inside that shape's box, up to its edges."""
    for scene in scenes(25):
        whole = np.asarray(draw(scene), int)
        for shape in scene.shapes:
            rest = tuple(other for other in scene.shapes if other is not shape)
            without = np.asarray(
                draw(Scene(scene.width, scene.height, scene.ground, scene.pattern, rest)), int
            )
            rows, columns = np.nonzero(np.abs(whole - without).sum(axis=2))
            box = shape.box
            assert np.abs(np.array([columns.min(), rows.min()]) - (box.x0, box.y0)).max() < 1.5
            assert np.abs(np.array([columns.max() + 1, rows.max() + 1]) - (box.x1, box.y1)).max() < 1.5


def test_shapes_have_the_colours_of_their_names() -> None:
    for scene in scenes(25):
        pixels = np.asarray(draw(scene), int)
        for shape in scene.shapes:
            x, y = (int(round(v)) for v in (shape.x, shape.y))
            if shape.shape == "ring":  # between its two circles
                y = round(shape.box.y0 + (shape.y - shape.box.y0) * 0.2)
            assert tuple(pixels[y, x]) == COLOURS[shape.colour]
        assert np.abs(pixels[0, 0] - GROUNDS[scene.ground]).max() <= 12


def test_shapes_do_not_touch_and_lie_inside() -> None:
    for scene in scenes(60):
        for number, shape in enumerate(scene.shapes):
            box = shape.box
            assert box.x0 >= 2 and box.y0 >= 2 and box.x1 <= scene.width - 2 and box.y1 <= scene.height - 2
            for other in scene.shapes[number + 1 :]:
                apart = max(
                    other.box.x0 - box.x1,
                    box.x0 - other.box.x1,
                    other.box.y0 - box.y1,
                    box.y0 - other.box.y1,
                )
                assert apart >= 3


def test_every_shape_and_colour_comes_up() -> None:
    regions = [region.text.split() for sample in made(range(80)) for region in sample.regions]
    assert {words[-1] for words in regions} == set(SHAPES)
    assert {words[1] for words in regions} == set(COLOURS)
    counts = [len(sample.regions) for sample in made(range(80))]
    assert min(counts) == 1 and max(counts) == 8


def test_a_location_names_all_that_fit() -> None:
    asked = [sample for sample in made(range(120)) if "Locate" in sample.prompt]
    assert 60 < len(asked) < 100
    several = 0
    for sample in asked:
        assert sample.image
        match = re.search(r"<\|ref\|>(the|all) (.+)<\|/ref\|>", sample.prompt)
        assert match
        words = match[2].removesuffix("s" if match[1] == "all" else "").split()
        fitting = [region for region in sample.regions if set(words) - {"shape"} <= set(region.text.split())]
        blocks = parse(sample.answer, *sample.image.size, prompt="locate")
        found = [box for block in blocks for box in block.boxes]
        assert len(found) == len(fitting) and (len(found) > 1) == (match[1] == "all")
        several += len(found) > 1
        for region in fitting:
            assert min(np.abs(np.subtract(_corners(box), _corners(region.box))).max() for box in found) < 1
    assert several > 5


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def test_a_description_names_every_shape() -> None:
    described = [sample for sample in made(range(60)) if sample.prompt == PROMPTS["describe"]]
    assert 10 < len(described) < 35
    for sample in described:
        for region in sample.regions:
            assert sample.answer.count(region.text) >= 1
        assert sample.answer.count(". ") == len(sample.regions)
        assert str(sample.details["ground"]) in sample.answer


@pytest.mark.parametrize("number", range(10))
def test_samples_pass_the_check(number: int) -> None:
    (sample,) = made(range(number, number + 1))
    assert not list(check_row(to_row(sample, 0, "png")))


def test_boxes_of_an_answer_are_in_reading_order() -> None:
    boxes = [Box(50, 50, 60, 60), Box(0, 50, 10, 60), Box(90, 0, 99.9, 9.99)]
    _, answer = located("all cats", boxes, 100, 100)
    assert answer.text == (
        "<|ref|>all cats<|/ref|><|det|>[[899, 0, 998, 100], [0, 500, 100, 599], [500, 500, 599, 599]]<|/det|>"
    )
