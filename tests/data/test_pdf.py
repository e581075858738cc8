"""Samples of PDF pages: real files, broken ones, grades and prompts."""

import re
from collections import Counter
from pathlib import Path

import pytest

from foveate.data.documents import answers, compose, grades
from foveate.data.documents.pdf import PdfMaker, open_pdf
from foveate.data.sample import Region, Sample, Skipped
from foveate.errors import OptionError, SourceNotFound
from foveate.pages.image import Limits
from foveate.pages.markup import KINDS, parse
from foveate.pages.prompts import PROMPTS

QUICK = ("docling-2305.03393v1-pg9.pdf", "ocrmypdf-tagged.pdf", "olmocr-large_prompt_hint2.pdf")


class Reader:
    """An annotator that sees one line everywhere."""

    name = "reader"

    def annotate(self, image: object) -> list[Region]:
        from foveate.document import Box

        return [Region("line", Box(10, 20, 110, 40), "what it saw")]


def sample(maker: PdfMaker, number: int = 0, seed: int = 0) -> Sample:
    made = maker.make(number, seed)
    assert isinstance(made, Sample), made
    return made


def test_the_page_of_the_released_models_example(shared: Path) -> None:
    """The same page as ../shared/documents/markup/deepseek_example.md, which the released model wrote."""
    file = shared / "documents/pdf/docling-2305.03393v1-pg9.pdf"
    made = sample(PdfMaker([file], form="fine"))
    assert made.image is not None and made.prompt == PROMPTS["markdown"] and made.details["grade"] == "fine"
    ours = parse(made.answer, 999, 999)
    theirs = parse((shared / "documents/markup/deepseek_example.md").read_text(encoding="utf-8"), 999, 999)
    kinds = [block.kind for block in ours]
    assert kinds == [
        *("header", "page_number", "text", "sub_title", "text", "table_caption", "table"),
        *("sub_title", "text", "text"),
    ]
    assert "### 5.1 Hyper Parameter Optimization" in made.answer
    # Their cells are ours, but for two numbers' zeros and for what stands in th.
    table = {block.kind: block.text for block in ours}["table"]
    written = {block.kind: block.text for block in theirs}["table"]
    cells = [re.findall(r"<t[dh]([^>]*)>([^<]*)", text) for text in (table, written)]
    assert cells[0] == cells[1]
    # The blocks that both have are at the same places, to a hundredth of the page.
    boxes = {block.text[:40]: block.box for block in theirs if block.box}
    both = [(block.box, boxes[block.text[:40]]) for block in ours if block.text[:40] in boxes]
    assert len(both) >= 6
    for one, other in both:
        assert one is not None
        assert (
            max(
                abs(one.x0 - other.x0), abs(one.y0 - other.y0), abs(one.x1 - other.x1), abs(one.y1 - other.y1)
            )
            < 10
        )


def test_forms_have_the_prompts_that_tell_them_apart(shared: Path) -> None:
    file = shared / "documents/pdf/docling-2305.03393v1-pg9.pdf"
    coarse, lines = sample(PdfMaker([file], form="coarse")), sample(PdfMaker([file], form="lines"))
    assert (coarse.prompt, lines.prompt) == (PROMPTS["text"], PROMPTS["ocr"])
    assert "<|" not in coarse.answer and "Results are presented in Table. 1. It is" in coarse.answer
    assert lines.answer.count("<|ref|>") == len(lines.regions) > 40
    assert lines.answer.startswith(
        "<|ref|>Optimized Table Tokenization for Table Structure Recognition<|/ref|>"
    )


def test_grades_choose_and_the_dice_with_them(shared: Path) -> None:
    fine = PdfMaker([shared / "documents/pdf/docling-2305.03393v1-pg9.pdf"], side=300)
    forms = {sample(fine, 0, seed).details["form"] for seed in range(12)}
    assert forms == {"fine", "coarse", "lines"}
    layer = PdfMaker([shared / "documents/pdf/ocrmypdf-graph_ocred.pdf"], side=300)
    made = [sample(layer, 0, seed) for seed in range(4)]
    assert {one.details["grade"] for one in made} == {"coarse"}
    assert "fine" not in {one.details["form"] for one in made}
    assert made[0].details["doubts"] == ["the text layer of a scan"]


def test_same_number_same_bytes(shared: Path) -> None:
    files = [shared / "documents/pdf" / f"ocrmypdf-{name}.pdf" for name in ("link", "tagged", "negzero")]
    one, other = PdfMaker(files, side=400), PdfMaker(files, side=400)
    numbers = range(one.size)
    assert one.size == 5
    for number in numbers:
        one.make(number, 3)
    for number in reversed(numbers):
        first, second = sample(one, number, 3), sample(other, number, 3)
        assert first.image is not None and second.image is not None
        assert first.image.tobytes() == second.image.tobytes()
        assert (first.turns, first.regions, first.details) == (second.turns, second.regions, second.details)


def check_page(file: Path, page: int, side: int = 800) -> tuple[grades.Grade | None, str | None]:
    """Words are neither lost nor doubled; blocks parse and hold their words; None for a page to skip."""
    with open_pdf(file, Limits()) as document:
        _, text = document.open_page(page, side)
    if problem := grades.unreadable(text):
        return None, problem
    layout = compose.compose(text)
    assert Counter(word.text for word in layout.words) == Counter(
        word.text for word in text.words if word.text
    )
    slack = 0.01
    for area in layout.areas:
        for line in area.lines:
            for word in line.words:
                assert area.box.x0 - slack <= word.box.x0 and word.box.x1 <= area.box.x1 + slack
                assert area.box.y0 - slack <= word.box.y0 and word.box.y1 <= area.box.y1 + slack
    blocks = parse(answers.fine(layout), round(text.width), round(text.height))
    assert blocks and {block.kind for block in blocks} <= KINDS
    letters = Counter("".join(answers.coarse(layout).replace("-", "").split()))
    wanted = Counter("".join(word.text for word in text.words).replace("-", ""))
    assert letters == wanted
    return grades.grade(text, layout), None


@pytest.mark.parametrize("name", QUICK)
def test_no_word_is_lost(shared: Path, name: str) -> None:
    grade, problem = check_page(shared / "documents/pdf" / name, 1)
    assert grade is not None and problem is None


@pytest.mark.slow
def test_every_page_of_all_files(shared: Path) -> None:
    files = sorted(shared.glob("documents/pdf/*.pdf"))
    makers = {form: PdfMaker(files, form=form, side=1000) for form in ("coarse", "fine")}
    counts: Counter[str] = Counter()
    for number in range(makers["fine"].size):
        made = {form: maker.make(number, 0) for form, maker in makers.items()}
        for form, one in made.items():
            counts[f"{form} skipped" if isinstance(one, Skipped) else form] += 1
        file, page = makers["fine"]._pages[number]
        grade, problem = check_page(file, page)
        for one in made.values():
            assert isinstance(one, Skipped) == (grade is None)
            assert not isinstance(one, Skipped) or one.reason == problem
    assert len(files) == 53
    assert counts == {"coarse": 285, "fine": 285, "coarse skipped": 27, "fine skipped": 27}


def test_what_has_no_text_is_skipped_or_annotated(shared: Path) -> None:
    file = shared / "documents/pdf/ocrmypdf-kcs.pdf"
    assert PdfMaker([file]).make(0, 0) == Skipped("pdf", "ocrmypdf-kcs.pdf:1", "no text", 0)
    made = sample(PdfMaker([file], annotator=Reader(), form="coarse"))
    assert made.answer == "what it saw" and made.details["labels"] == "reader"


@pytest.mark.parametrize(
    "name", ["ocrmypdf-type3_font_nomapping.pdf", "ocrmypdf-truetype_font_nomapping.pdf"]
)
def test_text_without_a_meaning_is_skipped(shared: Path, name: str) -> None:
    made = PdfMaker([shared / "documents/pdf" / name]).make(0, 0)
    assert isinstance(made, Skipped) and "characters" in made.reason


def test_broken_files_are_skipped_with_the_reason(tmp_path: Path) -> None:
    contents = {
        "a.pdf": b"",
        "b.pdf": b"%PDF-1.7\nnothing",
        "c.pdf": b"PK\x03\x04",
        "d.pdf": b"%PDF-1.4" + bytes(99),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    maker = PdfMaker(tmp_path)
    assert maker.size == 4
    for number in range(4):
        made = maker.make(number, 0)
        assert isinstance(made, Skipped) and str(tmp_path) not in made.reason and made.reason
    large = PdfMaker([tmp_path / "b.pdf"], limits=Limits(bytes=4)).make(0, 0)
    assert isinstance(large, Skipped) and "limit" in large.reason


def test_what_a_user_can_do_wrong(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="form"):
        PdfMaker([], form="neat")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="long"):
        PdfMaker([], side=9)
    with pytest.raises(SourceNotFound, match="no .pdf"):
        PdfMaker(tmp_path)
