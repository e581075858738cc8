"""Streamed text is the whole text, whatever the pieces and the order of the pages."""

import random
from itertools import permutations

import pytest

from foveate.document import Document, Page
from foveate.pages.markup import parse
from foveate.serving import growing
from foveate.serving.growing import GrowingMarkdown, PagesInOrder, whole
from foveate.serving.service import Done, Event, Opened, Piece

MARKUP = (
    "<|ref|>title<|/ref|><|det|>[[10, 20, 900, 60]]<|/det|>\n# A title\n\n"
    "<|ref|>text<|/ref|><|det|>[[10, 80, 900, 300]]<|/det|>\nWords, in “quotes”, and \\(x < 2\\) too.\n\n"
    "<|ref|>table<|/ref|><|det|>[[10, 400, 900, 800]]<|/det|>\n"
    "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>\n\n"
    "<|ref|>equation<|/ref|><|det|>[[10, 810, 900, 900]]<|/det|>\n\\[\nE = mc^2\n\\]\n\n"
    "<|ref|>page_number<|/ref|><|det|>[[10, 910, 900, 990]]<|/det|>\n7"
)
TEXTS = {
    "markup": MARKUP,
    "plain": "One line.\n\nAnother, **bold**.\n- a\n- b\n\n```\ncode < 3\n```\nEnd",
    "table": "Before\n<table><tr><td colspan=2>x</td></tr><tr><td>1</td><td>2</td></tr></table>\nafter",
    "html": "a <b>bold</b> word, <center>middle</center> 3 < 4 and 5 > 4",
    "half": "It breaks off in <table><tr><td>a",
    "empty": "",
}


@pytest.fixture(autouse=True)
def at_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is rendered at every piece, however long that takes."""
    monkeypatch.setattr(growing, "COST", 0)
    monkeypatch.setattr(growing, "EVERY", 0)


def page(raw: str, number: int = 1, width: int = 1000, height: int = 1000) -> Page:
    return Page(number, width, height, tuple(parse(raw, width, height, prompt="markdown")), raw)


def cut(text: str, seed: int) -> list[str]:
    """The text in pieces of one to six characters."""
    dice, pieces = random.Random(seed), []
    while text:
        size = dice.randint(1, 6)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("seed", range(4))
def test_what_was_given_is_the_whole(name: str, seed: int) -> None:
    grown = GrowingMarkdown("markdown")
    given = [grown.add(piece) for piece in cut(TEXTS[name], seed)]
    assert "".join(given) + grown.end(page(TEXTS[name])) == page(TEXTS[name]).markdown()


def test_it_grows() -> None:
    """Words come while they are written, not at the end."""
    grown = GrowingMarkdown("markdown")
    text = "A line of words that goes on and on. " * 10
    given = "".join(grown.add(piece) for piece in cut(text, 1))
    assert len(given) > 0.9 * len(text)


@pytest.mark.parametrize("format", ["markdown", "raw", "text"])
@pytest.mark.parametrize("order", list(permutations((3, 1, 2))))
def test_pages_in_order(format: str, order: tuple[int, ...]) -> None:
    """Asked for as 3, 1, 2, done in any order, with their pieces mixed."""
    raws = {3: MARKUP, 1: "", 2: "Two.\n\nWords."}
    events: list[Event] = [Opened([3, 1, 2])]
    pieces = {number: cut(raw, number) for number, raw in raws.items()}
    for number in order[::-1]:
        events += [Piece(number, piece, 1.0) for piece in pieces[number][: len(pieces[number]) // 2]]
    for number in order:
        events += [Piece(number, piece, 1.0) for piece in pieces[number][len(pieces[number]) // 2 :]]
        events.append(Done(page(raws[number], number), None))
    pages = PagesInOrder(format, "markdown")
    said = "".join(pages.add(event) for event in events)
    document = Document("", tuple(page(raws[number], number) for number in (3, 1, 2)))
    assert said == whole(document, format)
    assert [one.number for one in pages.done] == [3, 1, 2]


def test_a_loop_that_was_cut() -> None:
    """What was said cannot be taken back; it is not said twice."""
    pages = PagesInOrder("raw", "text")
    events: list[Event] = [Opened([1]), Piece(1, "a a a a", 1.0), Done(page("a"), None)]
    assert "".join(map(pages.add, events)) == "a a a a"
