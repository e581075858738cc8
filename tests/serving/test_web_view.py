"""What the browser is told of blocks, costs and pictures."""

import base64
from io import BytesIO

import pytest
import torch
from PIL import Image

from foveate.document import Block, Box
from foveate.pages.mode import MODES
from foveate.pages.views import make_views
from foveate.serving.web_view import Growing, block_view, block_views, costs, picture, seen_picture
from tests.serving.web_server import MARKUP


def pieces_of(view: dict[str, object]) -> str:
    """All text of a block's nodes."""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name == "pieces":
                    found.append("".join(text for kind, text in inner if kind not in ("open", "close")))
                else:
                    walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(view["nodes"])
    return " ".join(found)


def test_blocks_have_kinds_boxes_and_words() -> None:
    title, text, table = block_views(MARKUP, 999, 999, "markdown")
    assert (title["kind"], text["kind"], table["kind"]) == ("title", "text", "table")
    assert title["boxes"] == [[pytest.approx(x / 999, abs=1e-5) for x in (50, 60, 560, 210)]]
    assert title["nodes"] == [{"kind": "heading", "level": 1, "pieces": [["text", "Pages"]]}]
    assert ["open", "strong"] in text["nodes"][0]["pieces"]
    assert pieces_of(table) == "Mode Tokens Tiny 64"
    assert title["markdown"] == "# Pages" and table["markdown"].startswith("| Mode | Tokens |")


def test_markup_of_a_model_stays_text() -> None:
    view = block_view(Block("text", "<script>alert(1)</script> <b onclick=x>bold</b> &lt;i&gt;"), 10, 10)
    kinds = {kind for kind, _ in view["nodes"][0]["pieces"]}
    assert kinds <= {"text", "open", "close"}
    assert "<script>" in pieces_of(view), "an unknown tag is text"
    assert {value for kind, value in view["nodes"][0]["pieces"] if kind == "open"} <= {"strong"}


def test_a_block_without_text_or_size() -> None:
    view = block_view(Block("image", "", (Box(1, 2, 3, 4),)), 0, 0)
    assert view["nodes"] == [] and view["boxes"] == []


def test_lists_know_their_numbers() -> None:
    view = block_view(Block("list", "3. three\n4. four"), 10, 10)
    items = view["nodes"][0]["items"]
    assert [(item["number"], item["pieces"]) for item in items] == [
        (3, [["text", "three"]]),
        (4, [["text", "four"]]),
    ]


def test_doubtful_words_are_told_by_their_number() -> None:
    raw = "the cat and the dog"
    shaky = raw.rindex("the")

    def confidence(start: int, end: int) -> float:
        return 0.3 if start <= shaky < end else 0.9

    (view,) = block_views(raw, 10, 10, "text", confidence)
    assert view["doubts"] == [["the", 1, 0.3]]


def test_doubts_are_found_behind_tags() -> None:
    raw = "<table><tr><td>td</td><td>two</td></tr></table>"
    at = raw.index("two")
    (view,) = block_views(raw, 10, 10, "markdown", lambda a, b: 0.1 if a <= at < b else 0.9)
    assert view["doubts"] == [["two", 0, 0.1]]


def test_news_of_a_growing_page_add_up() -> None:
    """The browser keeps the blocks before `from` and takes the rest: it ends with what a whole look gives."""
    growing = Growing("markdown", 999, 999)
    shown: list[object] = []
    for start in range(0, len(MARKUP), 7):
        growing.add(MARKUP[start : start + 7], 0.25 if start == 0 else 1.0)
        first, blocks = growing.news()
        assert first <= len(shown)
        shown = [*shown[:first], *blocks]
    assert shown == block_views(MARKUP, 999, 999, "markdown", growing.confidence)
    assert growing.tokens == -(-len(MARKUP) // 7)
    assert growing.confidence(0, 7) == pytest.approx(0.25)
    assert growing.confidence(0, 14) == pytest.approx(0.5), "the geometric mean of 0.25 and 1"
    assert growing.news() == (len(shown), []), "nothing new"


def test_costs_are_the_modes_arithmetic() -> None:
    told = costs(1224, 1584, 4096)
    assert told["gundam"] == {"vision_tokens": 856, "grid": [2, 3], "fits": True}
    assert {name: cost["vision_tokens"] for name, cost in told.items()} == {
        name: mode.layout(1224, 1584).vision_tokens for name, mode in MODES.items()
    }
    assert not costs(1224, 1584, 300)["base"]["fits"] and costs(1224, 1584, 300)["tiny"]["fits"]


def opened(url: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(url.partition(",")[2])))


def test_pictures_are_small_enough_for_a_screen() -> None:
    assert opened(picture(Image.new("RGB", (4200, 2100)))).size == (1400, 700)
    assert opened(picture(Image.new("RGB", (300, 200)))).size == (300, 200)


def test_a_seen_picture_has_the_pixels_of_the_view() -> None:
    page = Image.new("L", (1280, 1280), 255)
    page.paste(0, (100, 100, 700, 700))
    whole = make_views(page.convert("RGB"), MODES["tiny"]).whole
    seen = opened(seen_picture(whole))
    assert seen.mode == "L" and seen.size == (512, 512)
    assert seen.getpixel((100, 100)) == 0 and seen.getpixel((500, 500)) == 255
    assert torch.equal(whole, make_views(page.convert("RGB"), MODES["tiny"]).whole)
