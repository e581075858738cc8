"""Pages of many askers: each is read as the reader reads it alone."""

from typing import Any

import pytest

from foveate.document import Page
from foveate.engine.reader import Options, Reader
from foveate.engine.sampling import Sampling
from foveate.engine.sitting import Sitting
from foveate.errors import OptionError
from foveate.pages.image import PageImage
from tests.engine.test_reader import CONFIG, TOKENIZER, network, picture

ASKED = {
    "a": (300, 400, Options("tiny", max_tokens=7, retries=0)),
    "b": (640, 480, Options("small", "text", max_tokens=3, sampling=Sampling(1.5, seed=4), retries=0)),
    "c": (300, 400, Options("tiny", max_tokens=5, retries=1)),
    "d": (200, 200, Options("tiny", max_tokens=1, retries=0)),
}


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(network(CONFIG), TOKENIZER, "tiny")


def image(width: int, height: int) -> PageImage:
    return PageImage("x", 1, picture(width, height))


def finished(sitting: Sitting) -> tuple[dict[Any, Page], dict[Any, str], list[tuple[Any, str]]]:
    """Pages, pieces, and keys that began again, with their modes."""
    pages: dict[Any, Page] = {}
    pieces: dict[Any, str] = {}
    again: list[tuple[Any, str]] = []
    while sitting.busy:
        for step in sitting.step():
            pieces[step.key] = pieces.get(step.key, "") + step.piece
            assert 0 < step.confidence <= 1
            if step.again:
                again.append((step.key, step.again))
                pieces[step.key] = ""
            if step.page:
                pages[step.key] = step.page
    return pages, pieces, again


def test_in_company_as_alone(reader: Reader) -> None:
    sitting = Sitting(reader, 3)
    for key, (width, height, options) in ASKED.items():
        prepared = sitting.prepare(image(width, height), options, key)
        assert prepared.key == key and prepared.prompt_tokens > 3
        sitting.submit(prepared)
    assert sitting.load == 4
    pages, pieces, again = finished(sitting)
    assert again == [("c", "small")], "it hit its limit and had a retry"
    for key, (width, height, options) in ASKED.items():
        ((_, alone),) = reader.read_pages(iter([image(width, height)]), options, 1)
        page = pages[key]
        assert (page.raw, page.mode, page.stop, page.text_tokens, len(page.attempts)) == (
            alone.raw, alone.mode, alone.stop, alone.text_tokens, len(alone.attempts),
        )  # fmt: skip
        assert pieces[key] == page.raw


def test_who_has_gone_is_not_read(reader: Reader) -> None:
    sitting = Sitting(reader, 2)
    for key in "cab":
        width, height, options = ASKED[key]
        sitting.submit(sitting.prepare(image(width, height), options, key))
    sitting.step()
    sitting.cancel("a")  # runs
    sitting.cancel("b")  # waits
    sitting.cancel("nobody")
    assert sitting.load == 1
    for _ in range(5):
        sitting.step()
    assert sitting.load == 1, "its second attempt"
    sitting.cancel("c")
    assert not sitting.busy and not sitting._jobs


def test_no_room(reader: Reader) -> None:
    sitting = Sitting(reader)
    prepared = sitting.prepare(image(300, 400), Options("tiny", "a b " * 9000), "x")
    with pytest.raises(OptionError, match="the network has"):
        sitting.submit(prepared)
    assert not sitting.busy
