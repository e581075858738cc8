"""The words of PDF pages and their places, against pdfium's own answers and the pixels."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from foveate.data.documents.characters import Frame, Style, Word, without_copies
from foveate.data.documents.lines import Line, joined, lines
from foveate.data.documents.pdf_text import PageText, PdfText
from foveate.document import Box
from foveate.pages.image import Limits

QUICK = [
    ("docling-2305.03393v1-pg9.pdf", 1),
    ("olmocr-pdftotext_two_column_issue.pdf", 2),
    ("olmocr-edgar-rotated90.pdf", 1),
    ("ocrmypdf-link.pdf", 2),
]


def opened(file: Path) -> PdfText:
    return PdfText(file, file.name, dpi=144, password=None, limits=Limits())


def pdf(
    content: str, rotate: int = 0, fonts: str = "/F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
) -> bytes:
    """A page of 300 x 200 points that draws `content`."""
    parts = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Rotate {rotate} /Contents 4 0 R "
        f"/Resources << /Font << {fonts} >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
    ]
    written, places = "%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(written))
        written += f"{number} 0 obj\n{part}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    trailer = f"trailer << /Size {len(parts) + 1} /Root 1 0 R >>\nstartxref\n{len(written)}\n%%EOF\n"
    return (written + f"xref\n0 {len(parts) + 1}\n0000000000 65535 f \n{table}{trailer}").encode("latin-1")


def read(data: bytes, side: int = 600) -> PageText:
    with PdfText(data, "made.pdf", dpi=144, password=None, limits=Limits()) as document:
        return document.open_page(1, side)[1]


def raw_words(document: PdfText, page: int) -> Counter[str]:
    """pdfium's words; its sign for a hyphen at a line's end (U+0002, as text U+FFFE) ends a word here."""
    text = document._document[page - 1].get_textpage().get_text_range()
    return Counter(re.sub("[\x02\ufffe]", "- ", text).split())


@pytest.mark.parametrize(("name", "page"), QUICK)
def test_all_words_of_the_file_are_found_once(shared: Path, name: str, page: int) -> None:
    with opened(shared / "documents/pdf" / name) as document:
        _, text = document.open_page(page, 1000)
        assert Counter(word.text for word in (*text.words, *text.hidden, *text.copies)) == raw_words(
            document, page
        )


@pytest.mark.parametrize(("name", "page"), QUICK)
def test_boxes_hold_the_words_that_pdfium_finds_there(shared: Path, name: str, page: int) -> None:
    with opened(shared / "documents/pdf" / name) as document:
        image, text = document.open_page(page, 1000)
        inner = document._document[page - 1]
        turned = inner.get_size()[0] != text.width
        if turned:
            pytest.skip("pdfium's own boxes are of the page as it was")
        from foveate.data.documents.characters import page_frame

        frame, text_page = page_frame(inner), inner.get_textpage()
        wrong = []
        for word in text.words[:150]:
            box = frame.back(word.box)
            found = text_page.get_text_bounded(box.x0 - 0.5, box.y0 - 0.5, box.x1 + 0.5, box.y1 + 0.5)
            if word.text.strip("-") not in found.replace("ﬁ", "fi").replace("ﬂ", "fl"):
                wrong.append((word.text, found))
        assert len(wrong) <= 2, wrong  # pdfium leaves out letters whose middle is outside


@pytest.mark.parametrize(("name", "page"), QUICK)
def test_boxes_hold_ink(shared: Path, name: str, page: int) -> None:
    with opened(shared / "documents/pdf" / name) as document:
        image, text = document.open_page(page, 1400)
    grey = np.asarray(image.convert("L"))
    across, down = image.width / text.width, image.height / text.height
    assert text.words
    for word in text.words:
        x0, y0 = int(word.box.x0 * across), int(word.box.y0 * down)
        x1, y1 = int(word.box.x1 * across) + 1, int(word.box.y1 * down) + 1
        assert np.ptp(grey[y0:y1, x0:x1]) > 20, word


def test_a_page_that_runs_aside_is_turned_upright(shared: Path) -> None:
    with opened(shared / "documents/pdf/olmocr-edgar-rotated90.pdf") as document:
        image, text = document.open_page(1, 1000)
    assert image.height > image.width
    upright = sum(word.style.angle == 0 for word in text.words)
    assert upright > 0.9 * len(text.words)
    assert any(line.text.startswith("Edgar, King of England") for line in lines(text.words))


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_the_place_of_a_word_follows_the_rotation(rotate: int) -> None:
    page = read(pdf("BT /F1 24 Tf 40 150 Td (Corner) Tj ET", rotate))
    # The words are turned upright again, whatever /Rotate says.
    [word] = page.words
    assert (page.width, page.height) == (300, 200)
    assert word.text == "Corner" and word.style.angle == 0
    assert word.style.size == pytest.approx(24, abs=0.1)
    assert word.baseline == pytest.approx(50, abs=0.1)
    assert word.box.x0 == pytest.approx(41, abs=2) and word.box.x1 == pytest.approx(115, abs=4)


def test_hidden_words_are_not_of_the_page() -> None:
    page = read(
        pdf("BT /F1 20 Tf 20 150 Td (Seen) Tj 3 Tr 0 -40 Td (Layer) Tj 0 Tr 1 1 1 rg 0 -40 Td (White) Tj ET")
    )
    assert [word.text for word in page.words] == ["Seen"]
    assert sorted(word.text for word in page.hidden) == ["Layer", "White"]


def test_words_printed_twice_are_read_once() -> None:
    page = read(pdf("BT /F1 20 Tf 20 150 Td (Bold) Tj ET BT /F1 20 Tf 20.6 150 Td (Bold) Tj ET"))
    assert [word.text for word in page.words] == ["Bold"]


def test_soft_hyphens_and_ligatures() -> None:
    content = "BT /F1 14 Tf 20 150 Td (foot\xadnote and hyphen\xad) Tj 0 -18 Td (ation) Tj ET"
    encoded = "/F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    words = [word.text for word in read(pdf(content, fonts=encoded)).words]
    assert "\xad" not in "".join(words)
    assert words[-2:] == ["hyphen-", "ation"]


def test_a_word_and_its_shadow_far_apart_are_two() -> None:
    style = Style(10)
    near = Word("x", Box(0, 0, 10, 10), 10, style, 0), Word("x", Box(1, 1, 11, 11), 11, style, 1)
    far = Word("x", Box(30, 0, 40, 10), 10, style, 2)
    kept, copies = without_copies([*near, far])
    assert kept == [near[0], far] and copies == [near[1]]


def test_frames_there_and_back() -> None:
    frame = Frame(0, -2, 3, 0, 5, 7)
    box = Box(1, 2, 4, 8)
    there = frame.box(box.x0, box.y0, box.x1, box.y1)
    assert frame.back(there) == box
    assert frame.after(Frame(1, 0, 0, 1, 10, 20)).point(1, 2) == frame.point(11, 22)


def word(text: str, x: float, y: float, order: int, size: float = 10) -> Word:
    return Word(text, Box(x, y - 7, x + 5 * len(text), y), y, Style(size), order)


def test_words_make_lines_but_not_across_a_gutter() -> None:
    words = [
        word("left", 0, 10, 0),
        word("line", 25, 10, 1),
        word("right", 80, 10, 2),
        word("below", 0, 22, 3),
    ]
    assert [line.text for line in lines(words)] == ["left line", "right", "below"]


def test_a_stretched_line_is_one_when_its_neighbour_runs_on() -> None:
    words = [word("wide", 0, 10, 0), word("gap", 42, 10, 1), word("x" * 12, 0, 22, 2)]
    assert [line.text for line in lines(words)] == ["wide gap", "x" * 12]


def test_lines_from_right_to_left_keep_numbers_in_order() -> None:
    words = [word("שלום", 48, 10, 0), word("12", 32, 10, 1), word("עולם", 8, 10, 2)]
    [line] = lines(words)
    assert line.right_to_left and line.text == "שלום 12 עולם"


def test_scripts_without_spaces_are_joined_tight() -> None:
    assert joined(["中文", "字", "and", "more"]) == "中文字 and more"
    assert Line.of([word("한국어", 0, 10, 0), word("말", 20, 10, 1)]).text == "한국어 말"
