"""Pages go down by a schedule, and nothing but what it says goes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from foveate.errors import OptionError
from foveate.memory import OpticalMemory, Schedule
from foveate.memory.fading import shrink
from foveate.memory.gist import keywords
from foveate.memory.records import Sheet
from foveate.pages.render import Style
from tests.memory.conftest import Script

FULL = "Ink on paper keeps what was said, line by line. " * 7  # most of a page of STYLE
SHORT = ("Call the bank.", "Buy three lemons.", "Water the ferns.", "Post the letter.")
DAY = 86_400.0


def modes(memory: OpticalMemory) -> list[str]:
    return [page.mode for page in memory.pages()]


def test_pages_fade_by_age_in_order(tmp_path: Path, script: Script) -> None:
    style = Style(width=1280, height=1280, size=40)
    with OpticalMemory(tmp_path / "s", script, style=style, index="later") as memory:
        for day, name in enumerate(("Ada", "Bertha", "Cecil", "Dora", "Emil", "Frida")):
            memory.append(f"{name} met Ostrander at Harrowgate. " * 30, time=DAY * day)
        script.learn(memory)
        memory.read_pending()
        assert set(modes(memory)) == {"large"}
        schedule = "base@1d,small@2d,tiny@3d,keywords@4d,gone@5d"
        report = memory.fade(schedule)
        assert modes(memory) == ["gone", "keywords", "tiny", "small", "base", "large"]
        assert dict(report.moved) == {"gone": 1, "keywords": 1, "tiny": 1, "small": 1, "base": 1}
        words = memory.sizes().levels[-2].tokens
        assert report.tokens_before == 6 * 400
        assert report.tokens_after == memory.sizes().tokens == 400 + 256 + 100 + 64 + words
        assert [memory.image(page).size for page in (6, 5, 4, 3)] == [
            (side, side) for side in (1280, 1024, 640, 512)
        ]
        # The original text is kept as long as the page is sharp.
        assert [page.text is None for page in memory.pages()] == [True] * 5 + [False]
        assert memory.recall(page=2)[0].text == keywords("Bertha met Ostrander at Harrowgate. " * 30)
        assert [found.pages for found in memory.find("Bertha")] == [(2,)], "keywords can be found"
        assert memory.find("Ada") == [] and memory.recall(page=1)[0].source == "nothing"
        assert memory.find("Cecil") == [], "what has faded is found once it has been read anew"
        assert memory.sizes().unread == 3
        assert not memory.fade(schedule).moved, "once is enough"
        assert memory.check() == []


def test_it_does_not_matter_how_often_fade_was_called(tmp_path: Path, script: Script) -> None:
    pictures = []
    for calls in ([9.0], [1.0, 2.0, 3.0, 9.0]):
        with OpticalMemory(tmp_path / str(len(calls)), style=Style(width=1280, height=1280)) as memory:
            memory.append(FULL, time=0)
            for now in calls:
                memory.fade("base@1d,small@2d,tiny@3d", now=now * DAY)
            (sheet,) = memory.sheets()
            assert sheet.mode == "tiny"
            pictures.append(sheet.image)
    assert pictures[0] == pictures[1]


def test_pins_never_fade(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember(FULL, FULL + "Two.", FULL + "Three.")
    memory.pin(turn=1)
    memory.pin(page=3)
    memory.fade("keywords@0p")
    assert modes(memory) == ["tiny", "keywords", "tiny"]
    assert memory.pages()[0].text == FULL
    memory.pin(page=3, pinned=False)
    memory.fade("gone@0p")
    assert modes(memory) == ["tiny", "gone", "gone"]


def test_a_budget_is_kept_by_the_oldest(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember(*(f"{FULL} {n}" for n in range(12)))
    assert memory.sizes().tokens == 12 * 64
    report = memory.fade("400")
    assert report.tokens_after <= 400
    depth = {"gone": 0, "keywords": 1, "tiny": 2}
    order = [depth[mode] for mode in modes(memory)]
    assert order == sorted(order) and order[-1] == 2, "the newest are the sharpest"
    assert not memory.fade("400").moved
    memory.fade("0")
    assert memory.sizes().tokens == 0 and set(modes(memory)) == {"gone"}
    assert memory.check() == []


def test_old_pages_share_one_where_they_fit(remember: Callable[..., OpticalMemory], script: Script) -> None:
    memory = remember(*SHORT, FULL)
    before = [memory.image(number).convert("L") for number in range(1, 5)]
    report = memory.fade("packed@1t")
    assert report.merged == (4, 1) and report.tokens_after == 2 * 64
    shared, full = memory.sheets()
    assert shared.pages == (1, 2, 3, 4) and full.pages == (5,)
    page = memory.image(1).convert("L")
    # As sharp as before: the same ink, line below line, and nothing else.
    assert ink(page) == sum(map(ink, before))
    top = int(shared.ink[0] * 512)
    first = before[0].getbbox() and ImageChops.invert(before[0]).getbbox()
    assert first is not None
    assert page.crop((0, top, 512, first[3])).tobytes() == before[0].crop((0, top, 512, first[3])).tobytes()
    script.words.clear()
    script.fallback = " ".join(SHORT)
    memory.read_pending()
    (recalled,) = memory.recall(turn=3)
    assert recalled.pages == (1, 2, 3, 4) and recalled.entries == (1, 2, 3, 4)
    assert [found.pages for found in memory.find("lemons")] == [(1, 2, 3, 4)]
    with pytest.raises(OptionError, match="neighbours"):
        memory.forget(2)
    assert memory.check() == []


def ink(page: Image.Image) -> int:
    return sum((255 - value) * count for value, count in enumerate(page.histogram()))


def test_an_open_group_waits_for_its_next_page(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember(*SHORT)
    assert memory.fade("packed@0p").merged == (0, 0), "the next page may still fit"
    memory.append(FULL, time=1e6)
    assert memory.fade("packed@1p").merged == (4, 1)


def test_keywords_wait_for_a_reading(tmp_path: Path) -> None:
    with OpticalMemory(tmp_path / "s") as memory:
        memory.append("Nobody has read this.")
        report = memory.fade("tiny@0p,keywords@0p")
        assert report.held == 1 and modes(memory) == ["tiny"]
        assert "wait to be read" in str(report)


def test_a_short_text_is_kept_while_its_page_is_dearer(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember(*SHORT, FULL)
    memory.fade("packed@1t")
    assert [page.text for page in memory.pages()[:4]] == list(SHORT)
    (piece,) = [piece for piece in memory.context(1000, form="images") if 1 in piece.pages]
    assert piece.kind == "text" and piece.tokens < 64
    memory.fade("keywords@1t")
    assert {page.text for page in memory.pages()[:4]} == {None}


def test_the_text_is_kept_as_the_store_says(tmp_path: Path) -> None:
    with OpticalMemory(tmp_path / "always", keep_text="always") as memory:
        memory.append("For ever.")
        memory.fade("tiny@0p")
        assert memory.pages()[0].text == "For ever."


def test_a_page_never_gets_dearer() -> None:
    sheet = Sheet(
        1,
        1,
        1,
        "gundam",
        600,
        500,
        "x",
        None,
        None,
        None,
        None,
        256,
        273,
        (0, 1),
        False,
        True,
        "",
        0.0,
        9,
        (1,),
    )
    assert not Schedule.parse("large@0p").changes(sheet, 0)
    assert Schedule.parse("small@0p").changes(sheet, 0)
    assert not Schedule.parse("base@0p").changes(replace(sheet, mode="tiny", vision_tokens=64), 0)


def test_a_stretched_page_keeps_the_pixels_that_the_mode_shows() -> None:
    page = Image.new("L", (1200, 1700), "white")
    assert shrink(page, "base").size == (723, 1024)
    assert shrink(page, "small").size == (640, 907)
    assert shrink(Image.new("L", (300, 3000)), "small").size == (102, 1024)
    assert shrink(Image.new("L", (300, 200)), "tiny").size == (300, 200)
    assert shrink(page, "gundam") is page


def test_odd_schedules_say_how_to_go_on() -> None:
    for text in (
        "",
        "blurry@1d",
        "base",
        "small@1d,base@2d",
        "base@2d,small@1d",
        "base@1d,small@3p",
        "base@1x",
    ):
        with pytest.raises(OptionError):
            Schedule.parse(text)
    assert Schedule.parse("20_000:small,gone") == Schedule(("small", "gone"), budget=20_000)
    assert Schedule.parse("base@90min").ages == (5400.0,)


def test_keywords_are_names_numbers_and_long_words() -> None:
    text = "The invoice of 14 March went to Ostrander. The amount was 1,204.50 euros, and the bank took it."
    assert keywords(text, 5) == "invoice 14 March Ostrander 1,204.50"
    assert keywords("") == ""
