"""What is recalled from vision tokens is what the network reads from pixels; nothing else is looked at."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foveate.engine.reader import Options, Reader
from foveate.errors import OptionError
from foveate.memory import OpticalMemory, vision
from foveate.model.source import ASSETS
from foveate.pages.image import PageImage
from foveate.pages.mode import get_mode
from foveate.pages.tokenizer import Tokenizer
from tests.memory.conftest import STYLE, Script
from tests.tiny import network, noise, picture, with_decoder

TOKENIZER = Tokenizer.load(ASSETS / "nano")
# So few places that an answer is short: a random network never ends by itself.
SIZES = {"vocab_size": len(TOKENIZER) + 5, "max_position_embeddings": 110}
CONFIG = replace(with_decoder(**SIZES), image_token_id=TOKENIZER.image)
TEXTS = ("The key is under the third flowerpot.", "It rains in Bergen today, and will tomorrow.")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(network(CONFIG), TOKENIZER, "tiny", batch_size=2)


@pytest.fixture
def memory(tmp_path: Path, reader: Reader) -> Iterator[OpticalMemory]:
    with OpticalMemory(tmp_path / "s", reader, style=STYLE, vision="bf16") as memory:
        for text in TEXTS:
            memory.append(text)
        yield memory


def test_a_page_is_recalled_without_its_pixels_and_its_text(memory: OpticalMemory) -> None:
    before = [part.text for number in (1, 2) for part in memory.recall(page=number)]
    for sheet in memory.sheets():
        assert sheet.image is not None and sheet.vision is not None
        memory.blobs.place(sheet.image).unlink()
    memory._index.connection.execute("UPDATE pages SET text = NULL")
    memory._index.connection.execute("DELETE FROM readings")
    found = memory.recall(pages=[1, 2])
    assert sorted(part.text for part in found) == sorted(before) and all(before)
    assert {part.source for part in found} == {"vision tokens"}
    assert all(part.confidence is not None and 0 < part.confidence < 1 for part in found)
    assert found[0].vision_tokens == 64


def test_the_tokens_read_as_the_pixels_do(reader: Reader) -> None:
    options = Options(mode="tiny", prompt="text", retries=0)
    images = [PageImage("x", number, picture(512, 512, seed=number)) for number in (1, 2, 3)]
    wanted = {image.number: page for image, page in reader.read_pages(iter(images), options)}
    tokens = vision.encode(reader.model, [image.image for image in images], "tiny")
    ready = [vision.Ready(n, part, "tiny", 512, 512) for n, part in enumerate(tokens, 1)]
    found = dict(vision.read(reader, ready, options))
    assert found.keys() == wanted.keys()
    for number, page in found.items():
        assert page.raw == wanted[number].raw and page.raw
        assert page.confidence == pytest.approx(wanted[number].confidence, rel=1e-4)
        assert (page.vision_tokens, page.stop) == (64, wanted[number].stop)


def test_what_packing_loses_is_measured() -> None:
    tokens = noise(73, 48) * torch.linspace(0.01, 30, 73)[:, None]  # rows of very different size
    for kind, most in (("bf16", 0.003), ("int8", 0.012)):
        content, loss = vision.pack(tokens, kind)
        back = vision.unpack(content)
        assert loss == pytest.approx(float((back - tokens).norm() / tokens.norm()), rel=1e-6)
        assert 0 < loss < most
        rows = (back - tokens).norm(dim=1) / tokens.norm(dim=1)
        assert float(rows.max()) < 2 * most, "each row has its own scale"
    assert len(vision.pack(tokens, "int8")[0]) < 0.6 * len(vision.pack(tokens, "bf16")[0])
    assert vision.pack(torch.zeros(3, 4), "int8")[1] == 0


def test_tokens_of_another_network_are_not_read(memory: OpticalMemory, tmp_path: Path) -> None:
    other = Reader(network(CONFIG, seed=1), TOKENIZER, "other")
    with OpticalMemory(memory.path, other) as again:
        assert again.encoder != memory.encoder
        assert again.recall(page=1)[0].source == "pixels"
        assert again.encode_pending() == 2, "they are made anew"
        assert again.recall(page=1)[0].source == "vision tokens"
        assert again.check() == []


def test_fading_lets_the_old_tokens_go(memory: OpticalMemory) -> None:
    style_tokens = memory.sizes().vision_bytes
    assert style_tokens > 0 and memory.sizes().vision_loss is not None
    memory.fade("keywords@0p")
    sizes = memory.sizes()
    assert sizes.vision_bytes == 0 and sizes.image_bytes == 0
    assert memory.check() == []


def test_a_context_of_vision_tokens_is_ready_for_the_decoder(memory: OpticalMemory, reader: Reader) -> None:
    memory._index.connection.execute("UPDATE pages SET text_tokens = 500")  # else their text is cheaper
    context = memory.context(146)
    assert [piece.tokens for piece in context] == [73, 73]
    tokens = [piece.vision() for piece in context]
    assert [tuple(part.shape) for part in tokens] == [(73, 48)] * 2
    image = context.pieces[0].image().convert("RGB")
    wanted = vision.encode(reader.model, [image], "tiny")[0]
    assert float((tokens[0] - wanted).norm() / wanted.norm()) < 0.003


def test_a_page_of_another_mode_is_refused(reader: Reader) -> None:
    tokens = vision.encode(reader.model, [picture(640, 640)], "small")[0]
    assert len(tokens) == get_mode("small").layout(640, 640).sequence_length
    page = vision.Ready(1, tokens, "tiny", 640, 640)
    with pytest.raises(OptionError, match="encode it anew"):
        list(vision.read(reader, [page], Options(mode="tiny", prompt="text")))


def test_a_reader_without_a_network_has_no_vision_tokens(tmp_path: Path, script: Script) -> None:
    with OpticalMemory(tmp_path / "s", script, style=STYLE, index="later") as memory:
        memory.append("Hello.")
        with pytest.raises(OptionError, match="no network"):
            memory.encode_pending("int8")
        with pytest.raises(OptionError, match="bf16 or int8"):
            memory.encode_pending()
