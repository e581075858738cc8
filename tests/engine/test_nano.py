"""The embedded model on a real page, in every way of reading that must not matter."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops
from rapidfuzz.distance import Levenshtein

from foveate import Reader
from foveate.engine.engine import Engine, Request
from foveate.model.source import ASSETS
from foveate.pages.mode import get_mode
from foveate.pages.prompts import PROMPTS
from foveate.pages.views import PageViews, make_views

DEMO = ASSETS / "demo"
pytestmark = pytest.mark.skipif(
    not (ASSETS / "nano" / "model.safetensors").is_file(), reason="no embedded weights"
)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load("nano")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Image.Image]]:
    """The demo's page, its parts, and a document of all of them."""
    page = Image.open(DEMO / "page.png").convert("RGB")
    parts = [page.crop((0, 130, 512, 140 + 84 * lines)) for lines in (1, 2, 4)]
    sheets = [page, *(_on_a_sheet(part) for part in parts), ImageChops.offset(page, 6, 9)]
    path = tmp_path_factory.mktemp("nano") / "pages.tif"
    sheets[0].save(path, save_all=True, append_images=sheets[1:])
    return path, sheets


def _on_a_sheet(part: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (512, 512), "white")
    sheet.paste(part, (0, 40))
    return sheet


def test_the_demo_page_is_made_out(reader: Reader) -> None:
    page = reader.read(DEMO / "page.png").pages[0]
    truth = " ".join((DEMO / "page.txt").read_text(encoding="utf-8").split())
    read = " ".join(page.text().split())
    # These weights misread some of it: their card says how much.
    assert Levenshtein.normalized_distance(read, truth) <= 0.04, read
    assert (page.mode, page.vision_tokens, page.stop) == ("tiny", 64, "end")
    assert page.confidence is not None and 0 < page.confidence < 1


def test_batched_and_single_reading_give_the_same_text(
    reader: Reader, pages: tuple[Path, list[Image.Image]]
) -> None:
    path, sheets = pages
    alone = [reader.read(sheet, retries=0).pages[0].raw for sheet in sheets]
    assert len(set(alone)) >= 4
    for batch_size in (2, 5):
        document = reader.read(path, retries=0, batch_size=batch_size)
        assert [page.raw for page in document.pages] == alone


def test_left_padded_and_uncached_reading_give_the_same_text(
    reader: Reader, pages: tuple[Path, list[Image.Image]]
) -> None:
    tokenizer, network = reader.tokenizer, reader.model
    start = tokenizer.encode_prompt(PROMPTS["text"], 73)
    for sheet in pages[1][1:3]:
        view = _as_float(make_views(sheet, get_mode("tiny")))
        answer = _read(reader, start, view)[:12]
        rows = [start + answer, [tokenizer.eos] * len(answer) + start]  # of different lengths, padded left
        present = torch.tensor([[1] * len(rows[0]), [0] * len(answer) + [1] * len(start)])
        with torch.inference_mode():
            logits = network(torch.tensor(rows), [view, view], attention_mask=present)
        assert logits[0, len(start) - 1 : -1].argmax(-1).tolist() == answer
        assert int(logits[1, -1].argmax()) == answer[0]


def _read(reader: Reader, start: list[int], view: PageViews) -> list[int]:
    """The engine's tokens."""
    engine = Engine(reader.model, reader.tokenizer)
    engine.submit(Request(start, view, 200))
    while True:
        for progress in engine.step():
            if progress.reading.stop:
                return progress.reading.ids


def _as_float(views: PageViews) -> PageViews:
    return PageViews(views.whole.float(), None, views.grid)
