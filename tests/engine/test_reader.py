"""Documents in, documents out, with a network that knows nothing and reads aloud all the same."""

import math
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from foveate.config import OCRConfig
from foveate.document import Page
from foveate.engine import engine as engine_module
from foveate.engine.engine import Engine, Reading, Request
from foveate.engine.reader import Options, Reader, _check_pair, _Job
from foveate.engine.sampling import Sampling
from foveate.errors import (
    ConfigError,
    CorruptSource,
    FoveateError,
    ModelNotFound,
    OptionError,
    PageRangeError,
    SourceNotFound,
    UnknownMode,
    UnknownPrompt,
    UnsupportedFormat,
)
from foveate.model import weights
from foveate.model.source import ASSETS
from foveate.pages.image import PageImage
from foveate.pages.markup import parse
from foveate.pages.mode import MODES
from foveate.pages.tokenizer import TOKENIZER_NAME, Tokenizer
from tests.tiny import network, picture, with_decoder

TOKENIZER = Tokenizer.load(ASSETS / "nano")
CONFIG = replace(with_decoder(vocab_size=len(TOKENIZER) + 5), image_token_id=TOKENIZER.image)
QUICK: dict[str, Any] = {"mode": "tiny", "max_tokens": 5, "retries": 0}
MARKUP = (
    "<|ref|>title<|/ref|><|det|>[[10, 20, 900, 60]]<|/det|>\n# A title\n\n"
    "<|ref|>text<|/ref|><|det|>[[10, 80, 900, 300]]<|/det|>\nWords, in “quotes”, 字.\n\n"
    "<|ref|>image<|/ref|><|det|>[[10, 400, 900, 800]]<|/det|>\n"
)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(network(CONFIG), TOKENIZER, "tiny")


@pytest.fixture(scope="module")
def stuck() -> Reader:
    """Its network says the same for ever."""
    model = network(CONFIG)
    model.decoder.lm_head.weight.zero_()
    return Reader(model, TOKENIZER)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny checkpoint in bf16, with its tokenizer."""
    weights.save(network(CONFIG).bfloat16(), tmp_path)
    shutil.copy(ASSETS / "nano" / TOKENIZER_NAME, tmp_path)
    return tmp_path


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[float]]:
    """Makes the network write a text and end; returns the probabilities that it gives to the tokens."""

    def say(text: str) -> list[float]:
        script = [*TOKENIZER.encode(text), TOKENIZER.eos]
        dice = torch.rand(len(script), generator=torch.Generator().manual_seed(0)) * 0.98 + 0.01

        def choose(logits: Tensor, histories: Sequence[Sequence[int]], *_: object) -> tuple[Tensor, Tensor]:
            places = [len(history) for history in histories]
            return torch.tensor([script[place] for place in places]), dice[places].log()

        monkeypatch.setattr(engine_module, "choose", choose)
        return dice[:-1].tolist()

    return say


def tiff(*images: Image.Image, damaged: Sequence[int] = ()) -> bytes:
    """A TIFF of several pages; those that are damaged (counted from 1) hold nonsense for pixels."""
    saved = BytesIO()
    how: dict[str, Any] = {"save_all": True, "append_images": images[1:], "compression": "tiff_adobe_deflate"}
    images[0].save(saved, "TIFF", **how)
    data = bytearray(saved.getvalue())
    with Image.open(BytesIO(data)) as image:
        for number in damaged:
            image.seek(number - 1)
            start = image.tag_v2[273][0]  # type: ignore[attr-defined]
            data[start : start + 20] = b"\xff" * 20
    return bytes(data)


def three(*damaged: int) -> bytes:
    return tiff(*(picture(300, 400, seed) for seed in range(3)), damaged=damaged)


# --- sources


def test_every_way_to_hand_in_a_page(reader: Reader, tmp_path: Path) -> None:
    image = picture(300, 400)
    saved = BytesIO()
    image.save(saved, "PNG")
    (tmp_path / "page.png").write_bytes(saved.getvalue())
    path = str(tmp_path / "page.png")
    texts = set()
    for source, name in (
        (image, "<image>"),
        (saved.getvalue(), "<bytes>"),
        (saved, "<stream>"),
        (Path(path), path),
        (path, path),
    ):
        saved.seek(0)
        document = reader.read(source, **QUICK)
        assert (document.source, document.model, len(document.pages)) == (name, "tiny", 1)
        texts.add(document.pages[0].raw)
    assert len(texts) == 1 and texts != {""}


def test_what_a_page_says_of_itself(reader: Reader) -> None:
    (page,) = reader.read(picture(300, 400), **QUICK).pages
    assert (page.number, page.width, page.height) == (1, 300, 400)
    assert (page.mode, page.prompt, page.vision_tokens, page.text_tokens) == ("tiny", "markdown", 64, 5)
    assert page.ratio == 5 / 64 and page.seconds > 0
    assert (page.stop, page.error) == ("length", None)
    (attempt,) = page.attempts
    assert (attempt.mode, attempt.stop, attempt.text_tokens, attempt.seconds) == (
        "tiny",
        "length",
        5,
        page.seconds,
    )


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_pages_in_order_in_any_batch(reader: Reader, batch_size: int) -> None:
    seen: list[Page] = []
    document = reader.read(three(), batch_size=batch_size, on_page=seen.append, **QUICK)
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert sorted(seen, key=lambda page: page.number) == list(document.pages)
    alone = [reader.read(picture(300, 400, seed), **QUICK).pages[0].raw for seed in range(3)]
    assert [page.raw for page in document.pages] == alone and len(set(alone)) == 3


def test_pages_in_the_order_asked_for(reader: Reader) -> None:
    document = reader.read(three(), pages="3,1", batch_size=1, **QUICK)
    assert [page.number for page in document.pages] == [3, 1]


def test_pages_that_are_done_out_of_order(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second page is read again, and done last."""
    monkeypatch.setattr(reader, "_sharper", lambda job: MODES["small"] if job.page.number == 2 else None)
    seen: list[Page] = []
    document = reader.read(three(), on_page=seen.append, **{**QUICK, "retries": 1})
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert [page.number for page in seen] == [1, 3, 2]


def test_pages_are_drawn_when_their_turn_comes(reader: Reader) -> None:
    drawn = done = most = 0

    def images() -> Iterator[PageImage]:
        nonlocal drawn
        for number in range(1, 9):
            drawn += 1
            yield PageImage("book", number, picture(300, 400, number))

    options = Options(mode="tiny", max_tokens=2, retries=0)
    for _, _page in reader.read_pages(images(), options, batch_size=3):
        most = max(most, drawn - done)
        done += 1
    assert (drawn, done) == (8, 8) and most <= 3
    drawn = 0
    abandoned = reader.read_pages(images(), options, batch_size=2)
    next(abandoned)
    abandoned.close()
    assert drawn == 2


# --- reading again


def test_a_page_that_hits_the_limit_is_read_one_mode_higher(reader: Reader) -> None:
    for retries, modes in ((0, ["tiny"]), (1, ["tiny", "small"]), (2, ["tiny", "small", "base"])):
        options = {**QUICK, "retries": retries}
        (page,) = reader.read(picture(300, 400), **options).pages
        assert [attempt.mode for attempt in page.attempts] == modes
        assert {attempt.stop for attempt in page.attempts} == {page.stop} == {"length"}
        assert (page.mode, page.vision_tokens) == (modes[-1], MODES[modes[-1]].layout(300, 400).vision_tokens)
        assert page.seconds == pytest.approx(sum(attempt.seconds for attempt in page.attempts))


def test_the_second_reading_counts(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        mode: reader.read(picture(300, 400), **{**QUICK, "mode": mode}).pages[0] for mode in ("tiny", "small")
    }
    end = next(
        t for t in TOKENIZER.encode(texts["small"].raw)[1:] if TOKENIZER.decode([t]) not in texts["tiny"].raw
    )
    monkeypatch.setattr(TOKENIZER, "eos", end)
    (page,) = reader.read(picture(300, 400), **{**QUICK, "retries": 3}).pages
    assert [(attempt.mode, attempt.stop) for attempt in page.attempts] == [
        ("tiny", "length"),
        ("small", "end"),
    ]
    assert (page.stop, page.mode) == ("end", "small") and texts["small"].raw.startswith(page.raw)


def test_a_page_that_loops_is_read_one_mode_higher(stuck: Reader) -> None:
    off = Sampling(ngram_window=0)
    (page,) = stuck.read(picture(300, 400), mode="tiny", sampling=off, returns=0).pages
    assert [(attempt.mode, attempt.stop) for attempt in page.attempts] == [
        ("tiny", "loop"),
        ("small", "loop"),
    ]
    assert (page.stop, page.raw, page.text_tokens) == ("loop", TOKENIZER.decode([0]), 1)


@pytest.mark.parametrize(
    ("size", "mode", "sharper"),
    [
        ((300, 400), "tiny", "small"),
        ((300, 400), "small", "base"),
        ((300, 400), "base", "large"),
        ((300, 400), "large", None),  # too small for tiles, which the two higher modes are made of
        ((1000, 1400), "large", "gundam"),
        ((1000, 1400), "gundam", "gundam-m"),
        ((1000, 1400), "gundam-m", None),
    ],
)
def test_the_next_mode(reader: Reader, size: tuple[int, int], mode: str, sharper: str | None) -> None:
    job = _Job(PageImage("x", 1, Image.new("RGB", size)), Options(), MODES[mode])
    found = reader._sharper(job)
    assert (found and found.name) == sharper


def test_the_next_mode_leaves_room_for_the_answer() -> None:
    model = network(replace(CONFIG, decoder=replace(CONFIG.decoder, max_position_embeddings=1000)))
    job = _Job(PageImage("x", 1, Image.new("RGB", (1000, 1400))), Options(), MODES["base"])
    found = Reader(model, TOKENIZER)._sharper(job)
    assert found is not None and found.name == "large"
    assert Reader(model, TOKENIZER)._sharper(replace(job, mode=found)) is None


# --- what is written


def test_markup_becomes_blocks_with_their_confidence(
    reader: Reader, says: Callable[[str], list[float]]
) -> None:
    probabilities = says(MARKUP)
    (page,) = reader.read(picture(300, 400), mode="tiny").pages
    assert (page.stop, page.raw, page.text_tokens) == ("end", MARKUP, len(probabilities))
    assert [block.kind for block in page.blocks] == ["title", "text", "image"]
    stream = TOKENIZER.stream()
    pieces = [stream.step(token) for token in TOKENIZER.encode(MARKUP)]

    def brute_force(start: int, end: int) -> float:
        chosen, place = [], 0
        for piece, probability in zip(pieces, probabilities, strict=True):
            # A token without a character of its own writes the beginning of the next one.
            if any(start <= character < end for character in range(place, place + max(len(piece), 1))):
                chosen.append(math.log(probability))
            place += len(piece)
        return math.exp(sum(chosen) / len(chosen))

    expected = parse(MARKUP, 300, 400, brute_force)
    for block, other in zip(page.blocks, expected, strict=True):
        assert block.confidence is not None and 0 < block.confidence < 1
        assert block.confidence == pytest.approx(other.confidence, rel=1e-5)
        assert replace(block, confidence=None) == replace(other, confidence=None)
    places = [len("".join(pieces[:number])) for number in range(len(pieces))]
    boxes = [found.span() for found in re.finditer(r"<\|det\|>.*?<\|/det\|>", MARKUP)]
    assert len(boxes) > 1
    chosen = [
        math.log(probability)
        for place, probability in zip(places, probabilities, strict=True)
        if not any(start <= place < end for start, end in boxes)
    ]
    assert page.confidence == pytest.approx(math.exp(sum(chosen) / len(chosen)), rel=1e-5)


def test_an_answer_of_boxes_alone_has_their_confidence(
    reader: Reader, says: Callable[[str], list[float]]
) -> None:
    logs = [math.log(probability) for probability in says("<|det|>[[1, 2, 30, 40]]<|/det|>")]
    (page,) = reader.read(picture(300, 400), mode="tiny").pages
    assert page.confidence == pytest.approx(math.exp(sum(logs) / len(logs)), rel=1e-5)


def test_text_is_taken_back_but_not_what_has_been_passed_on(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network goes back to the start unless its first token is barred after the first round."""
    words = TOKENIZER.encode("The old man lay quiet in the harbour and waited for his boat to come in again.")
    more = [*TOKENIZER.encode(" It did not."), TOKENIZER.eos]

    def choose(logits: Tensor, histories: Sequence[Sequence[int]], *others: Any) -> tuple[Tensor, Tensor]:
        tokens = []
        for history, barred in zip(histories, others[-1], strict=True):
            place = len(history)
            on = (
                words[0] in barred
                if place == len(words)
                else place > len(words) and history[len(words)] != words[0]
            )
            tokens.append(([*words, *more] if on else [*words, *words, TOKENIZER.eos])[place])
        sure = [0.4 if len(history) == len(words) else 0.99 for history in histories]
        return torch.tensor(tokens), torch.tensor(sure).log()

    monkeypatch.setattr(engine_module, "choose", choose)
    once, twice = TOKENIZER.decode([*words, *more[:-1]]), TOKENIZER.decode([*words, *words])
    (page,) = reader.read(picture(300, 400), mode="tiny").pages
    assert (page.raw, page.stop, page.text_tokens) == (once, "end", len(words) + len(more) - 1)
    assert "".join(reader.stream(picture(300, 400), mode="tiny")) == twice
    image = PageImage("x", 1, picture(300, 400))
    ((_, page),) = reader.read_pages(iter([image]), Options("tiny", returns=0))
    assert page.raw == twice
    with pytest.raises(OptionError, match="returns is -1: choose 0 or more"):
        Options(returns=-1)


def test_a_blank_page(reader: Reader, says: Callable[[str], list[float]]) -> None:
    says("")
    document = reader.read(picture(300, 400), mode="tiny")
    (page,) = document.pages
    assert (page.stop, page.raw, page.blocks, page.confidence, page.text_tokens) == ("end", "", (), None, 0)
    assert document.markdown() == document.text() == "" and document.json()


def test_numbers_that_overflow_are_said(stuck: Reader) -> None:
    model = network(CONFIG)
    model.decoder.lm_head.weight.fill_(math.nan)
    (page,) = Reader(model, TOKENIZER).read(picture(300, 400), mode="tiny", retries=3).pages
    assert page.stop == "error" and page.error is not None and "choose the dtype bfloat16" in page.error
    assert len(page.attempts) == 1 and page.confidence is None


def test_the_answer_is_drawn_by_its_seed(reader: Reader) -> None:
    drawn = [
        reader.read(picture(300, 400), sampling=Sampling(1.0, seed=seed), **QUICK).pages[0].raw
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    hot = reader.read(picture(300, 400), temperature=10, **QUICK).pages[0].raw
    assert hot != reader.read(picture(300, 400), **QUICK).pages[0].raw


def test_a_stream_is_the_raw_text(reader: Reader) -> None:
    pieces = list(reader.stream(three(), mode="tiny", max_tokens=12))
    document = reader.read(three(), **{**QUICK, "max_tokens": 12})
    assert "".join(pieces) == "\n\n".join(page.raw for page in document.pages)
    assert len(pieces) > 12


def test_a_stream_gives_text_as_it_is_written(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    step = Engine.step

    def counted(engine: Engine) -> Any:
        nonlocal steps
        steps += 1
        return step(engine)

    monkeypatch.setattr(Engine, "step", counted)
    stream = reader.stream(picture(300, 400), mode="tiny", max_tokens=100)
    next(stream)
    assert steps <= 4
    stream.close()


# --- what cannot be read


def test_a_broken_page_does_not_stop_the_others(reader: Reader) -> None:
    seen: list[Page] = []
    document = reader.read(three(2), on_page=seen.append, **QUICK)
    whole = reader.read(three(), **QUICK)
    first, second, third = document.pages
    assert (first.raw, third.raw) == (whole.pages[0].raw, whole.pages[2].raw)
    assert (second.number, second.stop, second.blocks, second.raw) == (2, "error", (), "")
    assert second.error is not None and second.error.startswith("<bytes>: a TIFF that is damaged")
    assert {page.number for page in seen} == {1, 2, 3}
    assert document.markdown() and document.text() and document.html()
    assert type(document).from_json(document.json()) == document


@pytest.mark.parametrize("damaged", [(1,), (3,), (1, 2)])
def test_wherever_the_broken_page_is(reader: Reader, damaged: tuple[int, ...]) -> None:
    document = reader.read(three(*damaged), batch_size=1, **QUICK)
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert {page.number for page in document.pages if page.stop == "error"} == set(damaged)


def test_when_no_page_can_be_drawn_it_is_an_error(reader: Reader) -> None:
    with pytest.raises(CorruptSource, match="<bytes>: a TIFF that is damaged"):
        reader.read(three(1, 2, 3), **QUICK)
    with pytest.raises(CorruptSource):
        reader.read(three(2), pages="2", **QUICK)


def test_a_stream_stops_at_a_broken_page(reader: Reader) -> None:
    stream = reader.stream(three(2), mode="tiny", max_tokens=3)
    text = ""
    with pytest.raises(CorruptSource):
        for piece in stream:
            text += piece
    assert text.strip() == reader.read(three(), **{**QUICK, "max_tokens": 3}).pages[0].raw.strip()


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"source": "missing.pdf"}, SourceNotFound),
        ({"source": b"not a picture"}, UnsupportedFormat),
        ({"pages": "4"}, PageRangeError),
        ({"source": "missing.pdf", "mode": "huge"}, UnknownMode),
        ({"source": "missing.pdf", "prompt": "translate"}, UnknownPrompt),
        ({"source": "missing.pdf", "prompt": "locate"}, UnknownPrompt),
        ({"source": "missing.pdf", "max_tokens": 0}, OptionError),
        ({"source": "missing.pdf", "max_tiles": 1}, OptionError),
        ({"source": "missing.pdf", "mode": "tiny", "max_tiles": 65}, OptionError),
        ({"source": "missing.pdf", "retries": -1}, OptionError),
        ({"source": "missing.pdf", "temperature": -1}, OptionError),
        ({"batch_size": 0}, OptionError),
        ({"dpi": 0}, OptionError),
    ],
)
def test_errors_before_any_page(reader: Reader, how: dict[str, Any], problem: type[FoveateError]) -> None:
    seen: list[Page] = []
    with pytest.raises(problem):
        reader.read(**({"source": three(), "mode": "tiny", "on_page": seen.append} | how))
    assert not seen


def test_a_network_without_room_for_the_page() -> None:
    small = network(replace(CONFIG, decoder=replace(CONFIG.decoder, max_position_embeddings=80)))
    with pytest.raises(OptionError, match="choose a smaller mode or fewer tiles"):
        Reader(small, TOKENIZER).read(picture(300, 400), mode="small")


# --- loading


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_dtypes(folder: Path, dtype: str, expected: torch.dtype) -> None:
    reader = Reader.load(str(folder), device="cpu", dtype=dtype)
    assert reader.model.dtype is expected and reader.name == str(folder)
    assert reader.read(picture(300, 400), **QUICK).pages[0].text_tokens == 5


@pytest.mark.parametrize("device", ["banana", "", "cuda:99", "cpu:-1", "meta", "xla", "hpu", "vulkan"])
def test_devices_that_cannot_be_used(folder: Path, device: str) -> None:
    with pytest.raises(OptionError, match="device.*try cpu") as caught:
        Reader.load(str(folder), device=device)
    assert "\n" not in str(caught.value)


def test_dtypes_that_cannot_be_used(folder: Path) -> None:
    for dtype in ("int8", "", "float64"):
        with pytest.raises(OptionError, match="choose auto, float32, bfloat16, float16"):
            Reader.load(str(folder), dtype=dtype)


def test_a_folder_without_a_tokenizer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / TOKENIZER_NAME).unlink()
    monkeypatch.setattr(weights, "load", lambda *_: pytest.fail("the weights can wait"))
    with pytest.raises(ModelNotFound, match=f"{folder} holds no {TOKENIZER_NAME}"):
        Reader.load(str(folder))


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, image_token_id=7),
        replace(CONFIG, decoder=replace(CONFIG.decoder, eos_token_id=2)),
        replace(CONFIG, decoder=replace(CONFIG.decoder, vocab_size=4922)),
    ],
)
def test_the_tokenizer_of_another_network(folder: Path, config: OCRConfig) -> None:
    config.save(folder)
    with pytest.raises(ConfigError, match="are not of the same network"):
        Reader.load(str(folder))


def test_the_released_tokenizer_and_configuration_belong_together(shared: Path) -> None:
    checkpoint = shared / "checkpoint"
    _check_pair(Tokenizer.load(checkpoint), OCRConfig.load(checkpoint), checkpoint)


def test_a_model_that_is_nowhere() -> None:
    with pytest.raises(ModelNotFound):
        Reader.load("no-such-model")


# --- memory


def test_pictures_are_let_go(reader: Reader) -> None:
    """Of a page that is done, nothing large stays behind."""
    import gc
    import weakref

    kept: list[weakref.ref[Image.Image]] = []

    def images() -> Iterator[PageImage]:
        for number in range(1, 7):
            image = picture(300, 400, number)
            kept.append(weakref.ref(image))
            yield PageImage("book", number, image)
            del image

    pages = []
    for _, page in reader.read_pages(images(), Options(mode="tiny", max_tokens=2, retries=0), batch_size=2):
        pages.append(page)
        gc.collect()
        assert sum(image() is not None for image in kept) <= 4
    del _
    gc.collect()
    assert len(pages) == 6 and not any(image() for image in kept)


def test_a_reading_knows_its_request(reader: Reader) -> None:
    """What the reader relies on: the job comes back as the key of the reading."""
    engine = Engine(reader.model, TOKENIZER, 1)
    job = _Job(PageImage("x", 1, picture(300, 400)), Options(max_tokens=1), MODES["tiny"])
    reader._submit(engine, job)
    (progress,) = engine.step()
    assert isinstance(progress.reading, Reading) and isinstance(progress.reading.request, Request)
    assert progress.reading.request.key is job
