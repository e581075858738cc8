import dataclasses
import json
import random

import pytest

from foveate.document import Attempt, Block, Box, Document, Page
from foveate.errors import CorruptSource, UnsupportedFormat


def page(*blocks: Block, number: int = 1, **fields: object) -> Page:
    return Page(number, 1000, 2000, tuple(blocks), **fields)  # type: ignore[arg-type]


def full_document() -> Document:
    box = Box.from_grid((217, 209, 520, 225), 1000, 2000)
    blocks = (
        Block("sub_title", "## Häuser & <b>Höfe</b>", (box,), 0.93),
        Block("image", "", (box, Box(1, 2, 3.5, 4)), None, "images/page-0001-0.jpg"),
    )
    attempts = (Attempt("tiny", "loop", 512, 1.25), Attempt("small", "end", 80, 0.5))
    first = Page(
        1,
        1000,
        2000,
        blocks,
        "<|ref|>raw\u2028<|/ref|>",
        "small",
        "markdown",
        100,
        80,
        1.75,
        0.91,
        "end",
        attempts,
    )
    return Document("späße.pdf", (first, page(number=2, stop="error", error="the page is empty")), "nano")


def test_x_follows_width_and_y_follows_height():
    box = Box.from_grid((0, 333, 999, 666), 300, 900)
    assert (box.x0, box.x1) == (0, 300)
    assert (box.y0, box.y1) == (333 / 999 * 900, 666 / 999 * 900) == (300, 600)


def test_999_is_the_last_pixel_edge_and_beyond_it_is_clamped():
    assert Box.from_grid((-5, 10, 1200, 999), 500, 700) == Box(0, 10 / 999 * 700, 500, 700)


def test_reversed_corners_are_put_in_order_axis_by_axis():
    assert Box.from_grid((900, 100, 300, 50), 999, 999) == Box(300, 50, 900, 100)


@pytest.mark.parametrize("size", [(640, 640), (1700, 2200), (123, 4567)])
def test_grid_values_survive_pixels(size):
    values = random.Random(1)
    for _ in range(500):
        x0, x1 = sorted(values.sample(range(1000), 2))
        y0, y1 = sorted(values.sample(range(1000), 2))
        assert Box.from_grid((x0, y0, x1, y1), *size).to_grid(*size) == (x0, y0, x1, y1)


def test_a_page_without_size_has_no_grid_but_does_not_fail():
    assert Box(1, 2, 3, 4).to_grid(0, 0) == (0, 0, 0, 0)


def test_the_box_of_a_block_surrounds_all_of_its_boxes():
    assert Block("text", "", (Box(5, 6, 7, 8), Box(1, 7, 6, 20))).box == Box(1, 6, 7, 20)
    assert Block("text", "words").box is None


def test_ratio_is_text_per_vision_token():
    assert page(vision_tokens=100, text_tokens=950).ratio == 9.5
    assert page(text_tokens=950).ratio == 0


def test_everything_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        full_document().pages[0].blocks[0].text = "other"  # type: ignore[misc]


def test_json_is_read_back_exactly():
    document = full_document()
    again = Document.from_json(document.json())
    assert again == document
    assert again.json() == document.json()
    assert Document.from_dict(document.to_dict()) == document


def test_json_says_scale_version_pixels_and_grid():
    values = json.loads(full_document().json())
    assert values["schema"] == "foveate.document" and values["version"] == 1
    assert "999" in values["scale"] and "pixel" in values["scale"]
    box = values["pages"][0]["blocks"][0]["boxes"][0]
    assert box["grid"] == [217, 209, 520, 225]
    assert box["pixels"] == pytest.approx([217.2172, 418.4184, 520.5205, 450.4504], abs=1e-4)
    assert values["pages"][0]["ratio"] == 0.8
    assert values["pages"][1]["error"] == "the page is empty"


def test_json_holds_any_file_name_and_no_nan():
    document = Document("sc\udcffan.png", (page(Block("text", "x", confidence=float("nan"))),))
    text = document.json()
    text.encode("utf-8")
    assert "NaN" not in text
    assert Document.from_json(text).source == "sc\udcffan.png"


def random_document(seed: int) -> Document:
    rng = random.Random(seed)

    def words() -> str:
        return "".join(rng.choice('ab"\\<>&\n\t\x00\u2028é\U0001f600') for _ in range(rng.randrange(12)))

    def block() -> Block:
        boxes = tuple(Box(*(rng.uniform(0, 2000) for _ in range(4))) for _ in range(rng.randrange(3)))
        return Block(words(), words(), boxes, rng.choice([None, rng.random()]), rng.choice([None, words()]))

    pages = tuple(
        Page(
            number,
            rng.randrange(5000),
            rng.randrange(5000),
            tuple(block() for _ in range(rng.randrange(4))),
            words(),
            words(),
            words(),
            rng.randrange(400),
            rng.randrange(9000),
            rng.random(),
            rng.random(),
            words(),
            tuple(Attempt(words(), words(), 5, rng.random()) for _ in range(rng.randrange(3))),
            words(),
        )
        for number in range(rng.randrange(4))
    )
    return Document(words(), pages, words())


def test_any_document_survives_json():
    for seed in range(200):
        document = random_document(seed)
        assert Document.from_json(document.json(indent=None)) == document


def test_a_newer_document_is_refused_with_the_way_out():
    values = full_document().to_dict() | {"version": 2}
    with pytest.raises(UnsupportedFormat, match="version 2.*newer"):
        Document.from_dict(values)


@pytest.mark.parametrize(
    "text", ["", "[1]", "null", "{", '{"schema": "foveate.document"}', "[" * 100_000, b"\xff"]
)
def test_what_is_no_document_is_one_clear_error(text):
    with pytest.raises(CorruptSource):
        Document.from_json(text)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"pages": 3}, "document"),
        ({"pages": [{}]}, "number"),
        ({"source": None}, "NoneType|None"),
        ({"pages": ["x"]}, "page"),
    ],
)
def test_an_error_names_what_is_wrong(change, named):
    with pytest.raises(CorruptSource, match=named):
        Document.from_dict(full_document().to_dict() | change)


def test_a_block_of_the_wrong_type_is_refused():
    values = full_document().to_dict()
    values["pages"][0]["blocks"][0]["boxes"][0]["pixels"] = [1, 2, 3]
    with pytest.raises(CorruptSource):
        Document.from_dict(values)
    values["pages"][0]["blocks"][0] = {"kind": 5, "text": "", "boxes": [], "confidence": None, "image": None}
    with pytest.raises(CorruptSource, match="5.*str"):
        Document.from_dict(values)


def test_keys_that_a_later_foveate_may_add_are_left_aside():
    values = full_document().to_dict()
    values["pages"][0]["rotation"] = 90
    assert Document.from_dict(values) == full_document()
