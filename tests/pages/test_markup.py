"""Markup to blocks: what the released models write, and what they should not."""

import json
import math
import random
from pathlib import Path

import pytest
from PIL import Image

from foveate.document import Block, Box, Document, Page
from foveate.pages.markup import crop_images, parse, spans_of_boxes
from tests.slopes import grows_in_proportion

SHARED = Path(__file__).parents[2].parent / "shared"
WIDTH, HEIGHT = 999, 1998  # x in pixels is x on the grid, y in pixels twice that


def read(markup: str, **options: object) -> list[Block]:
    return parse(markup, WIDTH, HEIGHT, **options)  # type: ignore[arg-type]


def brief(markup: str, **options: object) -> list[tuple[str, str, list[tuple[float, ...]]]]:
    """Kind, text and boxes on the grid."""
    return [
        (block.kind, block.text, [box.to_grid(WIDTH, HEIGHT) for box in block.boxes])
        for block in read(markup, **options)
    ]


def boxes(markup: str) -> list[tuple[float, ...]]:
    """The grid boxes of a reference that is followed by these coordinates."""
    (block,) = brief(f"<|ref|>text<|/ref|>{markup}")
    return block[2]


GROUNDED = """<|ref|>title<|/ref|><|det|>[[171, 101, 825, 150]]<|/det|>
# A *title*  

<|ref|>text<|/ref|><|det|>[[10, 20, 30, 40], [50, 60, 70, 80]]<|/det|>
One paragraph.

And another.  

<|ref|>image<|/ref|><|det|>[[530, 310, 905, 666]]<|/det|>
<|ref|>image_caption<|/ref|><|det|>[[515, 677, 912, 704]]<|/det|>
<center>Figure 1 </center><｜end▁of▁sentence｜>"""  # noqa: W291


def test_blocks_of_the_released_markup():
    assert brief(GROUNDED) == [
        ("title", "# A *title*", [(171, 101, 825, 150)]),
        ("text", "One paragraph.\n\nAnd another.", [(10, 20, 30, 40), (50, 60, 70, 80)]),
        ("image", "", [(530, 310, 905, 666)]),
        ("image_caption", "<center>Figure 1 </center>", [(515, 677, 912, 704)]),
    ]
    assert read(GROUNDED)[0].boxes == (Box(171, 202, 825, 300),)


def test_unlimited_ocr_puts_the_kind_into_det():
    markup = (
        "<PAGE><|det|>title [115, 101, 273, 117]<|/det|>1. Introduction\n"
        "<|det|>text [112,132,884,309]<|/det|>Line one\nLine two [3]\n"
        "<|det|>image [1, 2, 3, 4]<|/det|>\n<|det|>page number [9, 9, 10, 10]<|/det|>3"
    )
    assert brief(markup) == [
        ("title", "1. Introduction", [(115, 101, 273, 117)]),
        ("text", "Line one\nLine two [3]", [(112, 132, 884, 309)]),
        ("image", "", [(1, 2, 3, 4)]),
        ("page_number", "3", [(9, 9, 10, 10)]),
    ]


LINES = """<|ref|>Invoice 100<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>
<|ref|>table<|/ref|><|det|>[[5, 6, 7, 8]]<|/det|>
"""


def test_references_hold_words_when_ocr_was_asked():
    words = [("text", "Invoice 100", [(1, 2, 3, 4)]), ("text", "table", [(5, 6, 7, 8)])]
    assert brief(LINES, prompt="ocr") == brief(LINES, prompt="locate") == words
    assert brief(LINES)[0] == words[0]
    assert brief(LINES)[1] == ("table", "", [(5, 6, 7, 8)])
    assert brief("<|ref|>合計<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>")[0][1] == "合計"


def test_kinds_that_are_not_known_are_kinds_where_words_follow():
    markup = "<|ref|>watermark<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"
    assert brief(f"{markup}\nDRAFT")[0][:2] == ("watermark", "DRAFT")
    assert brief(markup)[0][:2] == ("text", "watermark")
    assert brief(markup, prompt="markdown")[0][:2] == ("watermark", "")
    assert brief(GROUNDED, prompt="ocr") == brief(GROUNDED, prompt="markdown")[:2] + [
        ("text", "image", [(530, 310, 905, 666)]),
        ("image_caption", "<center>Figure 1 </center>", [(515, 677, 912, 704)]),
    ]


def test_words_after_a_line_of_ocr_become_blocks_of_their_own():
    assert brief("<|ref|>Two words<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|> tail\n\nmore") == [
        ("text", "Two words", [(1, 2, 3, 4)]),
        ("text", " tail", []),
        ("text", "more", []),
    ]


@pytest.mark.parametrize(
    ("det", "expected"),
    [
        ("<|det|>[[1200, -7, 1500, 50]]<|/det|>", []),
        ("<|det|>[[900, -7, 1500, 50]]<|/det|>", [(900, 0, 999, 50)]),
        ("<|det|>[[30, 40, 10, 20]]<|/det|>", [(10, 20, 30, 40)]),
        ("<|det|>[[1.4, 2.6, 3., 4e1]]<|/det|>", [(1, 3, 3, 40)]),
        ("<|det|>[[1, 2, 3]]<|/det|>", []),
        ("<|det|>[[1, 2, 3], [5, 6, 7, 8]]<|/det|>", [(5, 6, 7, 8)]),
        ("<|det|>[[1, 2, 3, 4, 5, 6, 7, 8, 9]]<|/det|>", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("<|det|>[1, 2, 3, 4]<|/det|>", [(1, 2, 3, 4)]),
        ("<|det|>[[[1, 2, 3, 4]]]<|/det|>", [(1, 2, 3, 4)]),
        ("<|det|>1 2 3 4<|/det|>", [(1, 2, 3, 4)]),
        ("<|det|>[[(1, 2), (3, 4)]]<|/det|>", [(1, 2, 3, 4)]),
        ("<|det|>[[1, 2, 3, 4<|/det|>", [(1, 2, 3, 4)]),
        ("<|det|>[[]]<|/det|>", []),
        ("<|det|><|/det|>", []),
        ("<|det|>[[5, 5, 5, 5]]<|/det|>", []),
        ("<|det|>[[not, numbers]]<|/det|>", []),
        ("<|det|>[[__import__('os').system('x')]]<|/det|>", []),
        ("<|det|>[[nan, inf, 1e999, -1e999]]<|/det|>", []),
        (
            "<|det|>[[0, 0, 1e999, 9999999999999999999999999999999999999999999999]]<|/det|>",
            [(0, 0, 999, 999)],
        ),
        ("<|det|>[[١, ٢, ٣, ٤]]<|/det|>", []),
        ("<|det|>[[1, 2, 3, 4]]<|/det|><|det|>[[5, 6, 7, 8]]<|/det|>", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|><|/det|>", [(1, 2, 3, 4)]),
    ],
)
def test_coordinates(det, expected):
    (block,) = brief(f"<|ref|>text<|/ref|>{det}\nwords")
    assert block == ("text", "words", expected)


def test_thousands_of_boxes():
    many = ", ".join(f"[{i % 900}, 1, {i % 900 + 5}, 7]" for i in range(5000))
    found = boxes(f"<|det|>[{many}]<|/det|>")
    assert len(found) == 5000 and found[1234] == (334, 1, 339, 7)


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (
            "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]\nin [5, 6, 7, 8]",
            [("text", "in [5, 6, 7, 8]", [(1, 2, 3, 4)])],
        ),
        ("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4\n2020 was", [("text", "2020 was", [(1, 2, 3, 4)])]),
        ("<|ref|>text<|det|>[[1, 2, 3, 4]]<|/det|>words", [("text", "words", [(1, 2, 3, 4)])]),
        ("<|ref|>text<|/ref|>words", [("text", "words", [])]),
        ("<|ref|>text<|/ref|><|det|>words", [("text", "words", [])]),
        ("<|det|>text [1, 2, 3, 4]words", [("text", "words", [(1, 2, 3, 4)])]),
        ("<|det|>[[1, 2, 3, 4]]<|/det|>words", [("text", "words", [(1, 2, 3, 4)])]),
        ("<|det|>a whole sentence.<|/det|>", [("text", "a whole sentence.", [])]),
        ("<|det|>[[1, 2, 3, 4]] words [x] <|/det|>tail", [("text", "words [x] tail", [(1, 2, 3, 4)])]),
        ("<|ref|>a sentence, never closed", [("text", "a sentence, never closed", [])]),
        ("a<|/ref|> b <|/det|>c", [("text", "a b c", [])]),
        ("<|ref|>text<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>w", [("text", "w", [(1, 2, 3, 4)])]),
        (
            "<|ref|>Some words <|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|># T",
            [("text", "Some words", []), ("title", "# T", [(1, 2, 3, 4)])],
        ),
        ("a <|ref|>big cat<|/ref|> is", [("text", "a", []), ("text", "big cat", []), ("text", " is", [])]),
        ("<|ref|><|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>words", [("text", "words", [(1, 2, 3, 4)])]),
        ("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|><image>", [("text", "", [(1, 2, 3, 4)])]),
        ("<|ref|>text<|/ref|>\n\n<|ref|>", []),
        ("", []),
        ("  \n\n ", []),
    ],
)
def test_markup_that_is_not_as_it_should_be(markup, expected):
    assert brief(markup) == expected


@pytest.mark.parametrize(
    ("cut", "boxes_left"),
    [
        ("[[1, 2, 3, 45", 0),
        ("[[1, 2, 3, 4]", 1),
        ("[[1, 2, 3, 4], [5, 6, 7, 8", 1),
        ("[[", 0),
        ("[[1, 2, 3, 4]]<|/d", 1),
    ],
)
def test_a_box_that_is_cut_off_may_lack_digits_and_is_dropped(cut, boxes_left):
    found = read(f"first\n<|ref|>text<|/ref|><|det|>{cut}")
    assert found[0].text == "first"
    assert sum(len(block.boxes) for block in found) == boxes_left
    assert all(block.text in ("first", "") for block in found)


def test_output_may_end_anywhere():
    markup = GROUNDED + "\n<|det|>table [1, 2, 3, 4]<|/det|><table><tr><td>a</td><td>b</td></tr></table>"
    whole = read(markup)
    for end in range(len(markup)):
        if markup[:end].endswith("<"):
            continue  # may be a sign of the page
        found = read(markup[:end])
        assert [block.kind for block in found] == [block.kind for block in whole][: len(found)]
        assert found[:-1] == whole[: max(len(found) - 1, 0)]
        assert not any("<|" in block.text or "｜" in block.text for block in found)
        if "<table>" in markup[:end]:
            assert found[-1].text.endswith("</table>")


def test_the_table_that_follows_its_caption_returns_to_its_own_boxes():
    markup = (
        "<|ref|>table<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n"
        "<|ref|>table_caption<|/ref|><|det|>[[5, 6, 7, 8]]<|/det|>\n"
        "Table 1. Words.   \n\n<table><tr><td>a</td></tr></table>\n\nand after"
    )
    assert brief(markup) == [
        ("table_caption", "Table 1. Words.", [(5, 6, 7, 8)]),
        ("table", "<table><tr><td>a</td></tr></table>", [(1, 2, 3, 4)]),
        ("text", "and after", []),
    ]
    assert [block[0] for block in brief(markup[: markup.index("<table>")])] == ["table", "table_caption"]


def test_plain_markdown_becomes_paragraphs():
    markup = (
        "# Title\nFirst\nparagraph.\n\n   (a) kept in\n## Section\n- one\n- two\n\n"
        "\\[\nx\n\\]\n\n```\ncode\n\n# still code\n```\n\n"
        "T <table><tr>\n\n<td>1</td></tr></table>\nafter\n#hash"
    )
    assert [(block.kind, block.text) for block in read(markup)] == [
        ("title", "# Title"),
        ("text", "First\nparagraph."),
        ("text", "   (a) kept in"),
        ("sub_title", "## Section"),
        ("list", "- one\n- two"),
        ("equation", "\\[\nx\n\\]"),
        ("text", "```\ncode\n\n# still code\n```"),
        ("text", "T <table><tr>\n\n<td>1</td></tr></table>"),
        ("text", "after"),
        ("text", "#hash"),
    ]


def test_spans_of_boxes_may_be_cut_anywhere_and_cost_little():
    assert [GROUNDED[a:b][:8] for a, b in spans_of_boxes(GROUNDED)] == ["<|det|>["] * GROUNDED.count(
        "<|det|>"
    )
    assert spans_of_boxes("a<|det|>[[1, 2") == [(1, 14)] and spans_of_boxes("a") == []
    assert grows_in_proportion(spans_of_boxes, "<|det|>[[1, " * 100_000)


def test_the_confidence_is_that_of_the_characters_of_the_text():
    asked = []

    def confidence(start: int, end: int) -> float:
        asked.append((start, end))
        return 0.5

    markup = "lead \n\n" + GROUNDED
    found = read(markup, span_confidence=confidence)
    assert all(block.confidence == 0.5 for block in found) and len(asked) == len(found) == 5
    assert [markup[start:end] for start, end in asked] == [
        "lead",
        "# A *title*",
        "One paragraph.\n\nAnd another.",
        "<|ref|>image<|/ref|><|det|>[[530, 310, 905, 666]]<|/det|>",
        "<center>Figure 1 </center>",
    ]


def test_the_confidence_of_a_line_of_ocr_is_that_of_its_words():
    asked = []
    read(LINES, prompt="ocr", span_confidence=lambda start, end: asked.append(LINES[start:end]))
    assert asked == ["Invoice 100", "table"]


@pytest.mark.parametrize(
    "unit",
    [
        "<|ref|>",
        "<|det|>",
        "<|/ref|>",
        "<|det|>[",
        "<|det|>[[1,2,3,4],",
        "<|ref|>a",
        "<table><tr><td>",
        "<",
        "<|",
        "[[",
        "9",
        " ",
        "\n",
        "<｜a",
        "<|ref|>table<|/ref|><|ref|>table_caption<|/ref|><table></table>",
    ],
)
def test_a_megabyte_of_anything_takes_time_in_proportion(unit):
    assert grows_in_proportion(read, (unit * (1_000_000 // len(unit) + 1))[:1_000_000])


@pytest.mark.parametrize(
    "unit", ["\\(", "$a", "`a", "**a ", "_a", "<b>", "- a\n", "| - |\n", "<td rowspan=99>", "&", " \t"]
)
def test_long_blocks_are_written_in_proportion_to_their_length(unit):
    def write(text):
        page = Page(1, 9, 9, (Block("text", text),))
        return page.markdown(), page.text(), page.html()

    assert grows_in_proportion(write, "<table>" * ("<td" in unit) + (unit * 100_000)[:100_000])


def test_any_markup_parses_and_keeps_its_words():
    rng = random.Random(11)
    parts = [
        "<|ref|>",
        "<|/ref|>",
        "<|det|>",
        "<|/det|>",
        "[[1, 2, 3, 4]]",
        "[[",
        "]]",
        "text",
        "title ",
        "image",
        "\n",
        "\n\n",
        "<table>",
        "</table>",
        "<td>",
        "<tr>",
        "table_caption",
        "# ",
        "12, ",
        "<image>",
        "<｜end▁of▁sentence｜>",
        "<",
        "|>",
    ]
    for seed in range(4000):
        words = [f"Word{number}." for number in range(rng.randrange(4))]
        pieces = rng.choices(parts, k=rng.randrange(16)) + words
        rng.shuffle(pieces)
        markup = "".join(pieces) + " End."
        for prompt in ("", "ocr", "markdown"):
            found = read(markup, prompt=prompt)
            for block in found:
                for box in block.boxes:
                    assert 0 <= box.x0 < box.x1 <= WIDTH and 0 <= box.y0 < box.y1 <= HEIGHT
            kept = " ".join(block.text for block in found)
            inside_det = _words_in_coordinates(markup)
            assert all(word in kept or word in inside_det for word in [*words, "End."]), (seed, markup)


def _words_in_coordinates(markup: str) -> str:
    """What stands between <|det|> and the next tag: coordinates and labels, which are no words of a page."""
    return " ".join(part.split("<|")[0] for part in markup.split("<|det|>")[1:])


def real(name: str) -> str:
    path = SHARED / "documents" / "markup" / name
    if not path.is_file():
        pytest.skip("needs the shared documents")
    return path.read_text("utf-8")


def test_a_real_page_with_a_figure():
    found = read(real("deepseek_title.md"))
    kinds = [block.kind for block in found]
    assert kinds.count("sub_title") == 4 and kinds[0] == "title" and len(found) == 16
    assert found[0].text == "# DocLayNet: A Large Human-Annotated Dataset for Document-Layout Analysis"
    assert found[0].boxes == (Box(171, 202, 825, 300),)
    assert kinds.index("image") + 1 == kinds.index("image_caption") == 11
    page = Document("x", (Page(1, WIDTH, HEIGHT, tuple(found)),)).markdown()
    assert page.index("## ABSTRACT") < page.index("## CCS CONCEPTS") < page.index("Figure 1: Four examples")
    assert "- Information systems $\\rightarrow$ Document structure; $\\cdot$ Applied" in page
    assert "<|" not in page and "<center>" not in page


def test_a_real_page_with_a_table():
    found = read(real("deepseek_example.md"))
    assert [block.kind for block in found] == [
        "text",
        "sub_title",
        "text",
        "table_caption",
        "table",
        "sub_title",
        "text",
        "text",
    ]
    assert found[0].text.startswith("order to compute the TED score.") and found[0].boxes == ()
    assert found[3].text.startswith("Table 1. HPO") and found[3].text.endswith("HTML counterpart.")
    assert found[3].box == Box(217, 684, 785, 826)
    assert found[4].text.startswith("<table><tr><th") and found[4].box == Box(225, 842, 777, 1190)
    text = Page(1, WIDTH, HEIGHT, tuple(found)).text()
    assert "4\t4\tOTSL\t0.938\t0.904\t0.927\t0.853\t1.97" in text and "yields a 2x speed up" in text


def test_real_plain_output_loses_nothing():
    path = SHARED / "fox" / "deepseek_ocr_small.jsonl"
    if not path.is_file():
        pytest.skip("needs the shared pages")
    for line in path.read_text("utf-8").splitlines():
        markup = json.loads(line)["text"]
        found = read(markup, prompt="text")
        assert "".join("".join(block.text for block in found).split()) == "".join(markup.split())
        assert all(block.boxes == () for block in found)


def checkered(width: int, height: int) -> Image.Image:
    """Red on the left half, blue on the right."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


def test_pictures_are_cut_out_where_their_boxes_are(tmp_path):
    image = checkered(400, 100)
    blocks = [
        Block("text", "not me", (Box(0, 0, 50, 50),)),
        Block("image", "", (Box(10.5, 20, 29.5, 60.5),)),
        Block("chart", "", (Box(210, 0, 230, 10), Box(300, 90, 420, 130))),
        Block("image", ""),
        Block("image", "", (Box(500, 0, 600, 50),)),
    ]
    named, crops = crop_images(image, blocks, page=7, folder=tmp_path)
    assert [block.image for block in named] == [
        None,
        "images/page-0007-0.jpg",
        "images/page-0007-1.jpg",
        None,
        None,
    ]
    assert [block.boxes for block in named] == [block.boxes for block in blocks]
    first, second = crops.values()
    assert first.size == (20, 41) and first.getpixel((5, 5)) == (255, 0, 0)
    assert second.size == (190, 100) and second.getpixel((0, 99)) == (0, 0, 255)
    with Image.open(tmp_path / "images/page-0007-0.jpg") as written:
        assert written.format == "JPEG" and written.size == (20, 41)


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    crop_images(checkered(40, 40).convert("RGBA"), [Block("image", "", (Box(0, 0, 9, 9),))])
    assert list(tmp_path.iterdir()) == []


def test_a_thousand_pictures_of_the_whole_page_do_not_fill_the_memory():
    blocks = [Block("image", "", (Box(0, 0, 100, 100),))] * 1000
    named, crops = crop_images(Image.new("L", (100, 100)), blocks)
    assert len(crops) == 4 and math.isclose(sum(block.image is not None for block in named), 4)
    assert all(crop.mode == "RGB" for crop in crops.values())
