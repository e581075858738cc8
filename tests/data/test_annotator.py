"""RapidOCR behind the annotator's interface: it reads a drawn line, and asks for no network."""

import socket

import pytest
from PIL import Image, ImageDraw, ImageFont

from foveate.data.annotator import RapidAnnotator
from foveate.errors import OptionError

pytest.importorskip("rapidocr")


def drawn(*texts: str) -> Image.Image:
    image = Image.new("RGB", (560, 40 + 70 * len(texts)), "white")
    pen = ImageDraw.Draw(image)
    for place, text in enumerate(texts):
        pen.text((30, 30 + 70 * place), text, fill="black", font=ImageFont.load_default(36))
    return image


def test_reads_drawn_lines_exactly_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the annotator asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    texts = "Total 41.20 EUR", "Second line of text"
    image = drawn(*texts)
    regions = RapidAnnotator().annotate(image)
    assert [region.text for region in regions] == list(texts)
    assert {region.kind for region in regions} == {"line"}
    for place, region in enumerate(regions):
        ink = (
            image.convert("L")
            .crop((0, 20 + 70 * place, 560, 85 + 70 * place))
            .point(lambda v: 255 * (v < 128))
        )
        x0, y0, x1, y1 = ink.getbbox() or (0, 0, 0, 0)
        box = region.box
        assert abs(box.x0 - x0) < 12 and abs(box.x1 - x1) < 12
        assert box.y0 < y0 + 20 + 70 * place + 4 and box.y1 > y1 + 20 + 70 * place - 4
    assert RapidAnnotator().annotate(image) == regions


def test_nothing_to_read() -> None:
    annotator = RapidAnnotator()
    assert annotator.annotate(Image.new("RGB", (200, 120), "white")) == []
    assert annotator.annotate(Image.new("RGB", (3, 500), "white")) == []
    assert annotator.name.startswith("rapidocr 3.")


def test_options() -> None:
    with pytest.raises(OptionError, match="confidence"):
        RapidAnnotator(confidence=2)
    with pytest.raises(OptionError, match="thread"):
        RapidAnnotator(threads=0)
