"""What fits is given, oldest to newest, and every token is accounted for."""

from collections.abc import Callable

import pytest

from foveate.errors import OptionError
from foveate.memory import OpticalMemory
from tests.memory.test_fading import FULL


def filled(remember: Callable[..., OpticalMemory], count: int = 6) -> OpticalMemory:
    return remember(*(f"{FULL} Number {n}." for n in range(count)))


def test_the_newest_that_fit_in_their_order(remember: Callable[..., OpticalMemory]) -> None:
    memory = filled(remember)
    context = memory.context(200, form="images")
    assert [piece.entries for piece in context] == [(4,), (5,), (6,)]
    assert context.tokens == 3 * 64 and context.left_out == 3
    assert context.tokens_by_kind == {"tiny": 192}
    total = sum(page.text_tokens for page in memory.pages())
    assert context.text_tokens + context.left_out_text_tokens == total
    assert context.ratio == context.text_tokens / 192 > 1
    assert context.pieces[0].image().size == (512, 512)
    assert context.account["ratio"] == round(context.ratio, 2)
    places = memory.context(3 * 73, form="vision")
    assert places.tokens == 219, "rows end with a newline in our network"
    assert memory.context(0).pieces == ()


def test_pins_come_first(remember: Callable[..., OpticalMemory]) -> None:
    memory = filled(remember)
    memory.pin(turn=1)
    assert [piece.entries for piece in memory.context(130, form="images")] == [(1,), (6,)]


def test_text_is_given_where_it_is_cheaper_or_asked_for(remember: Callable[..., OpticalMemory]) -> None:
    memory = filled(remember, 3)
    memory.append("A short one.", time=1e6)
    cheap = memory.context(1000, form="images")
    assert [piece.kind for piece in cheap] == ["page", "page", "page", "text"]
    assert cheap.pieces[-1].text == "A short one." and cheap.pieces[-1].original
    recent = memory.context(1000, form="images", text_budget=120)
    assert [piece.kind for piece in recent] == ["page", "page", "text", "text"]
    alone = memory.context(10_000, form="text")
    assert [piece.text for piece in alone] == [page.text for page in memory.pages()]
    assert alone.ratio == 1


def test_faded_text_is_what_the_reader_read(remember: Callable[..., OpticalMemory]) -> None:
    memory = filled(remember, 2)
    memory.fade("packed@1p")
    first, second = memory.context(10_000, form="text")
    assert second.original and not first.original and first.text is not None
    assert first.text.split() == f"{FULL} Number 0.".split()
    assert memory.context(10_000, form="images").faded == {"tiny": 1}


def test_a_blurred_context_leaves_the_store_as_it_is(tmp_path, script) -> None:  # type: ignore[no-untyped-def]
    from foveate.pages.render import Style

    style = Style(width=1024, height=1024, size=30)
    with OpticalMemory(tmp_path / "s", script, style=style, index="later") as memory:
        for number in range(8):
            memory.append(f"Page {number}. " + FULL * 4, time=number)
        script.learn(memory)
        memory.read_pending()
        sharp = memory.context(1000, form="images")
        blurred = memory.context(1000, form="images", blur=True)
        assert [piece.mode for piece in sharp] == ["base"] * 3 and sharp.left_out == 5
        assert blurred.left_out == 0 and blurred.tokens <= 1000
        given = [piece.mode for piece in blurred]
        order = ["keywords", "tiny", "small", "base"]
        assert given == sorted(given, key=order.index) and given[-1] == "base"
        sizes = {"base": 1024, "small": 640, "tiny": 512}
        for piece in blurred:
            if piece.kind == "page":
                assert piece.image().width == sizes[piece.mode]
        assert sum(blurred.faded.values()) == sum(mode != "base" for mode in given)
        assert {page.mode for page in memory.pages()} == {"base"}


def test_other_models_count_images_their_own_way(remember: Callable[..., OpticalMemory]) -> None:
    memory = filled(remember)
    context = memory.context(600, form="images", image_cost=lambda width, height: width * height // 2000)
    assert {piece.kind for piece in context} == {"text"}, "the pictures would take 131 tokens each"
    assert [piece.tokens for piece in context] == [105] * 5 and context.left_out == 1
    context = memory.context(600, form="images", image_cost=lambda width, height: width * height // 4000)
    assert [piece.tokens for piece in context] == [65] * 6


def test_odd_budgets_are_refused(memory: OpticalMemory) -> None:
    with pytest.raises(OptionError, match="0 or more"):
        memory.context(-1)
    with pytest.raises(OptionError, match="vision, images, text"):
        memory.context(5, form="sound")
