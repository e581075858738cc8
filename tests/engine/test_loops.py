"""Pages that go round in circles are noticed, honest repetition is not."""

import lzma
import math
import random
import time
from functools import cache
from pathlib import Path

import pytest

from foveate.engine.loops import STRETCH, SURE, LoopDetector, Returns
from foveate.engine.sampling import banned_tokens
from foveate.model.source import ASSETS
from foveate.pages.tokenizer import Tokenizer

NANO = Tokenizer.load(ASSETS / "nano")
SPELL = cache(lambda token: NANO.decode([token]))
DICE = random.Random(0)
PARAGRAPH = (
    "A paragraph that is much longer than the window of the guard, such as one from the middle of a page, "
    "with its commas, names (Ada, Grace, Emmy), years such as 1843 and 1918, and a question: would anybody "
    "notice that it comes again and again? Nobody would, if nobody looked further back than ninety tokens. "
)


def watch(text: str) -> tuple[str, str] | None:
    """What stands when the detector says that it loops, and what it keeps of that."""
    ids, detector = NANO.encode(text), LoopDetector(SPELL)
    for count, token in enumerate(ids, 1):
        if detector.add(token):
            return NANO.decode(ids[:count]), NANO.decode(ids[: detector.kept])
    return None


LOOPS = {
    "word": ("la ", 2000, 4000),
    "phrase": ("and so it goes on, ", 500, 2500),
    "paragraph": (PARAGRAPH, 20, 1800),
    "row": ("<tr><td>Total</td><td></td><td>12.50</td></tr>", 300, 4500),
    "zeros": ("<tr><td>0</td><td>0</td></tr>", 600, 12000),
    "cells": ("<td></td>", 3000, 12000),
    "rows": ("<tr><td></td><td></td><td></td></tr>", 700, 14000),
    "dots": (". . . . ", 2000, 4000),
    "lines": ("\n", 9000, 4000),
    "digits": ("7", 9000, 2000),
    "box": ("<|ref|>text<|/ref|><|det|>[[10, 20, 300, 40]]<|/det|>\nThe same.\n", 200, 6000),
    "Chinese": ("他们说他们说", 900, 2500),
}


@pytest.mark.parametrize(("text", "times", "limit"), LOOPS.values(), ids=LOOPS)
def test_loops(text: str, times: int, limit: int) -> None:
    """The first round is kept, with what stood before it; the loop is noticed within `limit` characters."""
    start = "The page begins with words of its own.\n"
    found = watch(start + text * times)
    assert found is not None
    seen, kept = found
    assert len(seen) < limit
    assert kept.startswith(start) and (start + text * 10).startswith(kept)
    assert abs(len(kept) - len(start + text)) < 16


COUNTING = {
    "list": "{0}. a\n",
    "items": "Item {0} of 900: the same text again\n",
    "rows": "<tr><td>Measurement {0}</td><td>none</td><td></td></tr>",
    "boxes": "<|ref|>text<|/ref|><|det|>[[90, {1}, 800, {2}]]<|/det|>\nNothing new here.\n",
}


@pytest.mark.parametrize("form", COUNTING.values(), ids=COUNTING)
def test_loops_in_which_a_number_moves_on(form: str) -> None:
    text = "".join(form.format(i, 10 + 25 * i, 30 + 25 * i) for i in range(1, 500))
    found = watch("Words come first.\n" + text)
    assert found is not None
    seen, kept = found
    assert len(seen) < 7000 and len(kept) < 3 * len(form) + 60


def test_loops_that_the_guard_interrupts() -> None:
    """Every thirtieth token is another one, as when the guard forbids the one that would have come."""
    phrase, others = NANO.encode(" again and again and"), NANO.encode(" but yet nor or so for if as")
    ids: list[int] = []
    detector = LoopDetector(SPELL)
    while len(ids) < 3000:
        token = phrase[len(ids) % len(phrase)]
        if token in banned_tokens(ids, 30, 90):
            token = DICE.choice(others)
        ids.append(token)
        if detector.add(token):
            break
    assert len(ids) < 1500 and detector.kept < 40


def numbers(form: str, count: int, top: int) -> str:
    return "".join(form.format(DICE.randrange(top), DICE.randrange(top)) for _ in range(count))


HONEST = {
    "empty table": "<table>" + ("<tr>" + "<td></td>" * 8 + "</tr>") * 60 + "</table>",
    "table of numbers": "<table>" + numbers("<tr><td>{0}</td><td>{1}</td></tr>", 700, 1000),
    "table of digits": "<table>" + numbers("<tr><td>{0}</td><td>{1}</td></tr>", 300, 10),
    "table of yes and no": "".join(
        f"<tr><td>{DICE.choice(['yes', 'no'])}</td><td>{DICE.choice(['yes', 'no'])}</td></tr>"
        for _ in range(60)
    ),
    "table of zeros": ("<tr>" + "<td>0</td>" * 8 + "</tr>") * 30,
    "table with a word": "".join(
        f"<tr><td>{i}</td><td>approved</td><td>{DICE.randrange(10**6)}</td></tr>" for i in range(300)
    ),
    "list of numbers": numbers("{0}\n", 2000, 1000),
    "line numbers": "".join(f"{i}\n" for i in range(1, 2000)),
    "years": ", ".join(str(year) for year in range(1000, 2100)),
    "weights": numbers("{0} kg\n", 1000, 100),
    "decimals": numbers("{0}.{1}, ", 1000, 100),
    "form": "".join(f"{i}. Name: ____________ Date: ________\n" for i in range(1, 26)),
    "contents": "".join(
        f"{i}. {DICE.choice(['On', 'Of', 'The'])} {DICE.randrange(10**6):x} {'.' * 24} {i * 7}\n"
        for i in range(1, 80)
    ),
    "copies": PARAGRAPH * 3,
    "labels": "Mr. John Smith\n12 Long Street\n8000 Zurich\n\n" * 10,
    "boxes": "".join(
        f"<|ref|>text<|/ref|><|det|>[[90, {20 * i}, 800, {20 * i + 15}]]<|/det|>\n"
        f"{''.join(DICE.choices('abcdefghij klmno', k=60))}\n"
        for i in range(49)
    ),
}


@pytest.mark.parametrize("text", HONEST.values(), ids=HONEST)
def test_honest_pages(text: str) -> None:
    assert watch(text) is None


@pytest.mark.parametrize("language", ["en", "ru", "zh"])
def test_prose(shared: Path, language: str) -> None:
    with lzma.open(shared / "corpus" / f"{language}.txt.xz", "rt", encoding="utf-8") as file:
        ids = NANO.encode(file.read(30_000))
    detector = LoopDetector(SPELL)
    assert not any(detector.add(token) for token in ids[:8000])


def test_real_markup(shared: Path) -> None:
    pages = sorted((shared / "documents" / "markup").glob("*.md"))
    assert pages
    for page in pages:
        assert watch(page.read_text(encoding="utf-8")) is None


def test_a_token_takes_no_longer_on_a_long_page() -> None:
    ids = [DICE.randrange(300, 4000) for _ in range(16_000)]
    detector = LoopDetector(SPELL)
    for token in ids:
        SPELL(token)
    spent = []
    for part in (ids[:8000], ids[8000:]):
        started = time.process_time()
        assert not any(detector.add(token) for token in part)
        spent.append(time.process_time() - started)
    assert spent[1] < 4 * spent[0] + 0.2
    assert spent[1] < 2


# --- going back


def went_back(text: str, again: str, sure: float = 0.3) -> tuple[int, int | None, int]:
    """Tokens of `text`, the place found while `text` and then `again` are read, and at how many tokens. The
    first token of `again` has the probability `sure`, others are nearly certain."""
    before = len(NANO.encode(text))
    ids = NANO.encode(text) + NANO.encode(again)
    logs = [math.log(sure if place == before else 0.99) for place in range(len(ids))]
    returns = Returns(SPELL)
    for count in range(1, len(ids) + 1):
        place = returns.place(ids[:count], logs[:count])
        if place is not None:
            return before, place, count
    return before, None, len(ids)


def test_the_token_that_led_back_is_found() -> None:
    before, place, count = went_back(PARAGRAPH, PARAGRAPH[:120])
    assert place == before and count == before + STRETCH


@pytest.mark.parametrize(
    ("text", "again", "sure"),
    [
        (PARAGRAPH, PARAGRAPH[:120], SURE + 0.01),  # it has read that so
        (PARAGRAPH, PARAGRAPH[:40], 0.3),  # too little to tell
        (PARAGRAPH, "Other words follow, and none of them in that order before.", 0.3),
        ("<tr><td>Total sum</td><td>of all</td></tr>" * 4, "<tr><td>Total sum</td><td>of all</td></tr>", 0.3),
        ("1. 2. 3. 4. 5. 6. 7. 8. 9. ", "1. 2. 3. 4. 5. 6. 7. 8. 9. ", 0.3),
        ("la " * 12, "la " * 40, 0.99),
    ],
)
def test_honest_repetition_is_no_return(text: str, again: str, sure: float) -> None:
    assert went_back(text, again, sure)[1] is None


def test_what_is_forgotten_is_no_return() -> None:
    ids = NANO.encode(PARAGRAPH)
    logs = [math.log(0.3)] * (2 * len(ids))
    returns = Returns(SPELL)
    assert all(returns.place(ids[:count], logs[:count]) is None for count in range(1, len(ids) + 1))
    returns.forget(5)
    again = [ids[:count] for count in range(6, len(ids) + 1)]
    assert all(returns.place(part, logs[: len(part)]) is None for part in again)
