import json
import math
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")  # its fonts

from foveate.data.geometry import GeometryMaker  # noqa: E402
from foveate.data.geometry.answer import figure_dictionary  # noqa: E402
from foveate.data.geometry.constructions import CONSTRUCTIONS  # noqa: E402
from foveate.data.geometry.painting import random_look  # noqa: E402
from foveate.data.geometry.sketch import Angle, Sketch, fitted  # noqa: E402
from foveate.data.sample import Sample, dice  # noqa: E402
from foveate.errors import OptionError  # noqa: E402
from foveate.pages.prompts import PROMPTS  # noqa: E402

Place = tuple[float, float]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Eight of every construction."""
    made = [GeometryMaker(figures=(figure,)).make(n, seed=4) for figure in CONSTRUCTIONS for n in range(8)]
    kept = [sample for sample in made if isinstance(sample, Sample)]
    assert len(kept) == len(made)
    return kept


@cache
def ink(sample: Sample) -> np.ndarray:
    """How much a pixel differs from the paper, 0 to 1, (H, W)."""
    assert sample.image is not None
    pixels = np.asarray(sample.image).astype(np.float32)
    differences = np.abs(pixels - pixels[0, 0]).max(axis=2)
    return np.asarray(differences / differences.max())


def answer(sample: Sample) -> dict[str, Any]:
    return dict(json.loads(sample.answer))


def pixels(sample: Sample, place: list[int]) -> Place:
    assert sample.image is not None
    return place[0] / 999 * sample.image.width, place[1] / 999 * sample.image.height


def at(drawn: np.ndarray, place: Place, reach: int = 1) -> float:
    """The most ink within a pixel or so of a place."""
    x, y = int(place[0]), int(place[1])
    return float(drawn[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].max())


def along(a: Place, b: Place, count: int) -> Iterator[Place]:
    for n in range(count):
        yield a[0] + (b[0] - a[0]) * n / (count - 1), a[1] + (b[1] - a[1]) * n / (count - 1)


def test_answers_are_json_on_the_grid(samples: list[Sample]) -> None:
    def numbers(value: Any) -> Iterator[int]:
        if isinstance(value, list):
            for item in value:
                yield from numbers(item)
        elif isinstance(value, int):
            yield value

    for sample in samples:
        assert (sample.kind, sample.task, sample.prompt) == ("geometry", "ocr2", PROMPTS["figure"])
        said = answer(sample)
        assert sample.image is not None and sample.image.width == sample.image.height
        places = [
            *said.get("points", {}).values(),
            *(segment["ends"] for segment in said.get("segments", [])),
        ]
        assert all(0 <= number <= 999 for number in numbers(places))
        for segment in said.get("segments", []):
            if "label" in segment:
                names = [name for name, place in said["points"].items() if place in segment["ends"]]
                assert all(name in segment["label"] for name in names)
                assert len(segment["label"]) == sum(map(len, names))


def test_segments_begin_and_end_on_ink(samples: list[Sample]) -> None:
    for sample in samples:
        drawn = ink(sample)
        for segment in answer(sample)["segments"]:
            for end in segment["ends"]:
                assert at(drawn, pixels(sample, end)) > 0.4, (sample.number, segment)


def test_solid_segments_are_whole_and_dashed_ones_have_gaps(samples: list[Sample]) -> None:
    gaps = 0
    for sample in samples:
        drawn = ink(sample)
        for segment in answer(sample)["segments"]:
            a, b = (pixels(sample, end) for end in segment["ends"])
            inked = [at(drawn, place) > 0.25 for place in along(a, b, 200)]
            if segment["type"] == "solid":
                assert all(inked), (sample.number, segment)
            else:
                clear = [at(drawn, place, reach=0) < 0.2 for place in along(a, b, 400)]
                assert 0.05 < np.mean(clear) < 0.7, (sample.number, segment)
                gaps += sum(now and not before for before, now in zip(clear, clear[1:], strict=False))
    assert gaps > 100


def test_circles_and_arcs_are_where_they_are_said(samples: list[Sample]) -> None:
    counts = {"circles": 0, "arcs": 0}
    for sample in samples:
        drawn, said = ink(sample), answer(sample)
        for kind in counts:
            for ring in said.get(kind, []):
                start, end = ring.get("from", 0), ring.get("to", 360)
                turns = [math.radians(start + ((end - start) % 360 or 360) * n / 60) for n in range(1, 60)]
                (x, y), radius = ring["center"], ring["radius"]
                places = [[x + radius * math.cos(t), y - radius * math.sin(t)] for t in turns]
                inked = [at(drawn, pixels(sample, place)) > 0.25 for place in places]  # type: ignore[arg-type]
                assert all(inked) if ring["type"] == "solid" else 0.4 < np.mean(inked) < 1, ring
                counts[kind] += 1
    assert min(counts.values()) > 20


def test_all_ink_is_said(samples: list[Sample]) -> None:
    """Taking away what the answer names, its marks and its letters, leaves paper."""
    for sample in samples[::3]:
        drawn, said = ink(sample), answer(sample)
        look = sample.details["look"]
        height, width = drawn.shape
        ys, xs = np.mgrid[:height, :width] + 0.5
        left = drawn > 0.25

        def clear(distance: np.ndarray, reach: float, left: np.ndarray = left) -> None:
            left &= distance > reach

        stroke = look["width"] / 2 + 2
        for segment in said["segments"]:
            a, b = (np.array(pixels(sample, end)) for end in segment["ends"])
            share = ((xs - a[0]) * (b - a)[0] + (ys - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum()
            share = np.clip(share, 0, 1)
            clear(np.hypot(xs - a[0] - share * (b - a)[0], ys - a[1] - share * (b - a)[1]), stroke)
        for ring in [*said.get("circles", []), *said.get("arcs", [])]:
            x, y = pixels(sample, ring["center"])
            clear(np.abs(np.hypot(xs - x, ys - y) - ring["radius"] / 999 * width), stroke)
        spots = [angle["between"][1] for angle in said.get("angles", [])]
        for spot in spots:
            x, y = pixels(sample, spot)
            clear(np.hypot(xs - x, ys - y), 2.6 * look["mark"])
        for mark in [*said.get("equal", []), *said.get("parallel", [])]:
            x, y = np.mean([pixels(sample, end) for end in mark["between"]], axis=0)
            clear(np.hypot(xs - x, ys - y), 1.3 * look["mark"])
        for place in said.get("points", {}).values():
            x, y = pixels(sample, place)
            clear(np.hypot(xs - x, ys - y), look["dots"] + 1.5)
        for region in sample.regions:
            if region.kind == "label":
                box = region.box
                left[int(box.y0) - 1 : int(box.y1) + 2, int(box.x0) - 1 : int(box.x1) + 2] = False
        assert left.sum() == 0, (sample.source, sample.number, left.sum())


def test_names_stand_beside_their_points_inside_the_picture(samples: list[Sample]) -> None:
    for sample in samples:
        drawn, said = ink(sample), answer(sample)
        boxes = {region.text: region.box for region in sample.regions if region.kind == "label"}
        assert boxes.keys() == said.get("points", {}).keys()
        for name, box in boxes.items():
            x, y = pixels(sample, said["points"][name])
            away = math.hypot((box.x0 + box.x1) / 2 - x, (box.y0 + box.y1) / 2 - y)
            assert 4 < away < 3.2 * sample.details["look"]["text"]
            assert min(box.x0, box.y0) >= 0 and box.x1 <= drawn.shape[1] and box.y1 <= drawn.shape[0]
            assert drawn[int(box.y0) : int(box.y1) + 1, int(box.x0) : int(box.x1) + 1].max() > 0.5


def test_marks_tell_the_truth(samples: list[Sample]) -> None:
    seen = {"right": 0, "equal": 0, "parallel": 0, "arcs": 0}
    for sample in samples:
        said = answer(sample)
        for angle in said.get("angles", []):
            a, vertex, b = (np.array(place) for place in angle["between"])
            rays = [(ray - vertex) / np.linalg.norm(ray - vertex) for ray in (a, b)]
            if angle.get("mark") == "square":
                assert abs(rays[0] @ rays[1]) < 0.03
                seen["right"] += 1
            else:
                seen["arcs"] += 1
        for count in (1, 2):
            spans = [np.subtract(*m["between"]) for m in said.get("equal", []) if m["ticks"] == count]
            lengths = [float(np.hypot(*span)) for span in spans]
            if lengths:
                assert max(lengths) - min(lengths) < 3 and len(lengths) > 1
                seen["equal"] += 1
            spans = [np.subtract(*m["between"]) for m in said.get("parallel", []) if m["arrows"] == count]
            if spans:
                turns = [math.atan2(span[1], span[0]) % math.pi for span in spans]
                assert max(turns) - min(turns) < 0.03 or max(turns) - min(turns) > math.pi - 0.03
                seen["parallel"] += 1
    assert min(seen.values()) > 5, seen


def test_the_same_pixels_in_another_process(samples: list[Sample]) -> None:
    code = (
        "import numpy as np, hashlib\n"
        "np.random.seed(1)\n"
        "from foveate.data.geometry import GeometryMaker\n"
        "for n in (5, 3):\n"
        "    s = GeometryMaker().make(n, 9)\n"
        "    print(hashlib.sha256(s.image.tobytes() + s.answer.encode()).hexdigest())\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    made = [GeometryMaker().make(n, 9) for n in (3, 5)]
    digests = [
        sha256(s.image.tobytes() + s.answer.encode()).hexdigest()
        for s in made
        if isinstance(s, Sample) and s.image
    ]
    assert said.stdout.split() == digests[::-1]
    assert digests[0] != digests[1]


def test_a_sketch_by_hand() -> None:
    sketch = Sketch()
    a, b, c = sketch.point(0, "A"), sketch.point(3, "B"), sketch.point(4j, "C")
    sketch.ring([a, b, c])
    sketch.right(a, b, c)
    sketch.circle(a, 1.0, dashed=True)
    placed = fitted(sketch, side=999, margin=99.5, turn=0.0, share=1.0, at=0)
    assert placed.closest() == pytest.approx(3 * 160)
    assert figure_dictionary(placed, 999) == {
        "points": {"A": [260, 740], "B": [740, 740], "C": [260, 100]},
        "segments": [
            {"ends": [[260, 100], [260, 740]], "type": "solid", "label": "CA"},
            {"ends": [[260, 100], [740, 740]], "type": "solid", "label": "CB"},
            {"ends": [[260, 740], [740, 740]], "type": "solid", "label": "AB"},
        ],
        "circles": [{"center": [260, 740], "radius": 160, "type": "dashed"}],
        "angles": [{"between": [[260, 100], [260, 740], [740, 740]], "mark": "square"}],
    }


def test_plane_geometry() -> None:
    sketch = Sketch()
    a, b, c, d = (sketch.point(z) for z in (0, 4, 4 + 4j, 4j))
    assert sketch.meeting(a, c, b, d) == pytest.approx(2 + 2j)
    assert sketch.foot(b, a, c) == pytest.approx(2 + 2j)
    assert sketch.between(a, c, 0.25) == pytest.approx(1 + 1j)
    assert sketch.sweep(Angle(a, d, b)) == pytest.approx((0, math.pi / 2))
    assert sketch.sweep(Angle(c, d, b)) == pytest.approx((math.pi, 1.5 * math.pi))


def test_looks_grow_with_the_picture() -> None:
    small, large = (random_look(dice("look", 0, 0), side) for side in (336, 1024))
    assert large.text > small.text and large.mark > small.mark


def test_unknown_figures_are_refused() -> None:
    with pytest.raises(OptionError, match="choose from triangle"):
        GeometryMaker(figures=("hypercube",))
