"""A sample as a picture."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from foveate.data.sample import Region, Sample, Turn, ask
from foveate.data.show import PANEL, SIDE, panel_of, picture, with_boxes, words
from foveate.document import Box
from foveate.pages.draw import colour

pytest.importorskip("uharfbuzz")

SAMPLE = Sample(
    "page",
    "ocr1",
    ask("text", "An answer."),
    Image.new("RGB", (200, 100), "white"),
    "en",
    (Region("title", Box(20, 10, 100, 60), "A"),),
    "a.pdf, page 3",
    number=7,
    seed=5,
)


def test_boxes_stand_where_they_are() -> None:
    drawn = np.asarray(with_boxes(SAMPLE), int)
    assert drawn.shape == (400, 800, 3)  # four times as large
    red = np.abs(drawn - colour("title")).sum(axis=2) == 0
    rows, columns = np.nonzero(red[:, :300])  # left of the label
    assert (rows.min(), columns.min(), rows.max()) == (40, 80, 239)


def test_a_page_of_words_can_still_be_read() -> None:
    places = [Box(x, y, x + 8, y + 6) for y in range(4, 90, 12) for x in range(4, 190, 12)]
    crowd = replace(SAMPLE, regions=tuple(Region("word", box, "A") for box in places))
    drawn = np.asarray(with_boxes(crowd), int)
    inside = [
        drawn[int(4 * b.y0) + 2 : int(4 * b.y1) - 1, int(4 * b.x0) + 2 : int(4 * b.x1) - 1] for b in places
    ]
    assert all((part == 255).all() for part in inside)  # no name stands there
    assert (np.abs(drawn - colour("word")).sum(axis=2) == 0).sum() > 100 * len(places)


def test_boxes_of_the_answer_where_there_are_no_regions() -> None:
    answer = "<|ref|>title<|/ref|><|det|>[[100, 100, 500, 600]]<|/det|>"
    asked = replace(SAMPLE, regions=(), turns=ask("markdown", answer))
    assert with_boxes(asked).tobytes() != with_boxes(replace(SAMPLE, regions=())).tobytes()


def test_the_panel_says_everything() -> None:
    said = words(SAMPLE)
    for part in ("page, ocr1, en, number 7, seed 5, 200 x 100 pixels, 1 regions", "a.pdf, page 3"):
        assert part in said
    assert said.endswith("[user]\n<image>\nFree OCR.\n\n[assistant]\nAn answer.")


def test_the_sheet_holds_both() -> None:
    sheet = picture(SAMPLE)
    assert sheet.size == (800 + PANEL, max(400, SIDE // 2))
    panel = np.asarray(sheet.crop((800, 0, *sheet.size)).convert("L"))
    assert (panel < 100).sum() > 300


def test_large_pictures_are_reduced() -> None:
    large = replace(SAMPLE, image=Image.new("RGB", (4000, 3000)), regions=())
    assert picture(large).size == (SIDE + PANEL, 750)


def test_text_alone_and_long_answers() -> None:
    turns = (Turn("user", ""), Turn("assistant", "Many words in a line. " * 2000))
    alone = Sample("text", "text", turns)
    assert len(words(alone)) < 6100 and picture(alone).width == PANEL
    assert panel_of("a line\n" * 200, 500).height > 2000
