"""Word files: Markdown from the file, the pages that LibreOffice draws, and files that are no Word files."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveate.data.sample import Sample, Skipped
from foveate.data.word import office
from foveate.data.word.body import Body, Piece, read_body
from foveate.data.word.maker import WordMaker
from foveate.data.word.omml import latex
from foveate.data.word.package import M, Package, parsed
from foveate.data.word.paging import split, words_of
from foveate.errors import CorruptSource, InputError, SourceTooLarge, UnsupportedFormat

docx: Any = pytest.importorskip("docx")
needs_office = pytest.mark.skipif(office.office() is None, reason="needs LibreOffice")

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


def math(inside: str) -> Any:
    return parsed(f"<m:oMath {MATH}>{inside}</m:oMath>".encode(), "math")


def run(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


HALF = f"<m:f><m:num>{run('a')}</m:num><m:den>{run('2')}</m:den></m:f>"


@pytest.mark.parametrize(
    ("inside", "wanted"),
    [
        (run("E=mc"), "E=mc"),
        (HALF, r"\frac{a}{2}"),
        (f"<m:sSup><m:e>{run('x')}</m:e><m:sup>{run('2')}</m:sup></m:sSup>", "x^{2}"),
        (
            f"<m:sSubSup><m:e>{run('xy')}</m:e><m:sub>{run('i')}</m:sub><m:sup>{run('2')}</m:sup></m:sSubSup>",
            "{xy}_{i}^{2}",
        ),
        (
            f'<m:rad><m:radPr><m:degHide m:val="1"/></m:radPr><m:deg/><m:e>{run("x")}</m:e></m:rad>',
            r"\sqrt{x}",
        ),
        (f"<m:rad><m:deg>{run('3')}</m:deg><m:e>{run('x')}</m:e></m:rad>", r"\sqrt[3]{x}"),
        (
            f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{run("i=1")}</m:sub>'
            f"<m:sup>{run('n')}</m:sup><m:e>{run('i')}</m:e></m:nary>",
            r"\sum_{i=1}^{n}i",
        ),
        (f"<m:d><m:e>{HALF}</m:e></m:d>", r"\left(\frac{a}{2}\right)"),
        (f'<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val="]"/></m:dPr><m:e>{run("x")}</m:e></m:d>', "[x]"),
        (
            f"<m:m><m:mr><m:e>{run('a')}</m:e><m:e>{run('b')}</m:e></m:mr><m:mr><m:e>{run('c')}</m:e><m:e>{run('d')}</m:e></m:mr></m:m>",
            r"\begin{matrix}a & b \\ c & d\end{matrix}",
        ),
        (f"<m:func><m:fName>{run('sin')}</m:fName><m:e>{run('x')}</m:e></m:func>", r"\sin x"),
        (f'<m:acc><m:accPr><m:chr m:val="⃗"/></m:accPr><m:e>{run("v")}</m:e></m:acc>', r"\vec{v}"),
        (run("αx≤β"), r"\alpha x\le\beta"),
        (run("50%"), r"50\%"),
    ],
)  # fmt: skip
def test_formulas(inside: str, wanted: str) -> None:
    assert latex(math(inside)) == wanted


def test_formulas_are_walked_to_a_depth_only() -> None:
    deep = run("x")
    for _ in range(100):
        deep = f"<m:sSup><m:e>{deep}</m:e><m:sup>{run('2')}</m:sup></m:sSup>"
    assert latex(math(deep)).count("^{2}") < 100


def document(path: Path, paragraphs: int = 0) -> Path:
    """A file with one of everything."""
    made = docx.Document()
    made.add_heading("A report on rivers", 0)
    text = made.add_paragraph("The river is ")
    text.add_run("very").bold = True
    text.add_run(" long and ")
    text.add_run("quite ").italic = True
    text.add_run("cold").italic = True
    text.add_run(".")
    made.sections[0].header.paragraphs[0].text = "Header of the report"
    made.add_heading("Lists & more", 2)
    for item in ("first thing", "second thing"):
        made.add_paragraph(item, style="List Number")
    made.add_paragraph("a bullet", style="List Bullet")
    formula = made.add_paragraph("Energy is ")
    formula._p.append(math(HALF))
    formula.add_run(" as is known.")
    table = made.add_table(3, 3)
    table.style = "Table Grid"
    for row in range(3):
        for column in range(3):
            table.cell(row, column).text = f"r{row}c{column}"
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(1, 2).merge(table.cell(2, 2))
    for number in range(paragraphs):
        made.add_paragraph(f"Paragraph {number} begins. " + "It says that the fox jumps over the dog. " * 12)
    made.save(path)
    return path


def test_markdown_from_the_file(tmp_path: Path) -> None:
    body = read_body(Package(document(tmp_path / "a.docx")))
    assert [piece.markdown() for piece in body.pieces] == [
        "# A report on rivers",
        "The river is **very** long and *quite cold*.",
        "## Lists & more",
        "1. first thing",
        "2. second thing",
        "- a bullet",
        r"Energy is \(\frac{a}{2}\) as is known.",
        '<table><tr><td colspan="2">r0c0 r0c1</td><td>r0c2</td></tr><tr><td>r1c0</td><td>r1c1</td>'
        '<td rowspan="2">r1c2 r2c2</td></tr><tr><td>r2c0</td><td>r2c1</td></tr></table>',
    ]


def rewritten(source: Path, target: Path, part: str, content: bytes) -> Path:
    """The file with one part replaced."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            new.writestr(item, content if item.filename == part else old.read(item))
        if part not in old.namelist():
            new.writestr(part, content)
    return target


WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def test_notes_deleted_and_hidden_words(tmp_path: Path) -> None:
    inside = (
        "<w:p><w:r><w:t>Seen</w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        '<w:ins><w:r><w:t xml:space="preserve"> new</w:t></w:r></w:ins>'
        '<w:r><w:footnoteReference w:id="7"/></w:r><w:r><w:drawing/></w:r></w:p>'
    )
    file = document(tmp_path / "a.docx")
    xml = f"<w:document {WORD}><w:body>{inside}</w:body></w:document>".encode()
    file = rewritten(file, tmp_path / "b.docx", "word/document.xml", xml)
    note = '<w:footnote w:id="7"><w:p><w:r><w:t>The note.</w:t></w:r></w:p></w:footnote>'
    note = f"<w:footnotes {WORD}>{note}</w:footnotes>"
    body = read_body(Package(rewritten(file, tmp_path / "c.docx", "word/footnotes.xml", note.encode())))
    [piece] = body.pieces
    assert piece.markdown() == "Seen new[^1] ![image]()"
    assert piece.notes == ((1, "7"),) and body.notes == {"7": "The note."} and body.numbers == {"7": 1}


def test_pieces_are_split_to_pages() -> None:
    text = Piece("text", tuple(["one", "two", "**three", "four**", "five", "six"]))
    table = Piece("table", ("<tr><td>ab cd</td></tr>", "<tr><td>ef gh</td></tr>"))
    body = Body((Piece("heading", ("Head",), "# "), text, table))
    first, second = split(
        body,
        [
            ["header", "head", "one", "two", "three"],
            ["header", "four", "five", "six", "ab", "cd", "ef", "gh"],
        ],
    )
    assert [part.markdown for part in first.parts] == ["# Head", "one two **three**"]
    assert second.parts[0].markdown == "**four** five six"
    assert second.parts[1].markdown == table.markdown()
    assert first.agreement == second.agreement == 1.0
    assert list(words_of("A &amp; B, \\(x^2\\) <td>c-d</td>")) == ["a", "b", "cd"]


def test_words_that_the_pages_do_not_show_count_against_them() -> None:
    body = Body((Piece("text", tuple(["a", "b", "c", "d", "e", "f", "g", "h"])),))
    [page] = split(body, [["a", "b", "x", "c", "d"]])
    assert page.agreement == 0.5


def test_bombs_entities_and_other_files_are_refused(tmp_path: Path) -> None:
    good = document(tmp_path / "good.docx")
    bomb = rewritten(good, tmp_path / "bomb.docx", "word/document.xml", b" " * (30 << 20))
    with pytest.raises(SourceTooLarge, match="bomb"):
        Package(bomb)
    entity = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    entity += (
        f"<w:document {WORD}><w:body><w:p><w:r><w:t>&a;</w:t></w:r></w:p></w:body></w:document>".encode()
    )
    with pytest.raises(CorruptSource, match="DOCTYPE"):
        Package(rewritten(good, tmp_path / "entity.docx", "word/document.xml", entity))
    with pytest.raises(CorruptSource, match="no XML"):
        Package(rewritten(good, tmp_path / "broken.docx", "word/document.xml", b"<w:document"))
    (tmp_path / "text.docx").write_text("no zip")
    with pytest.raises(UnsupportedFormat, match=r"no \.docx"):
        Package(tmp_path / "text.docx")
    with zipfile.ZipFile(tmp_path / "other.docx", "w") as other:
        other.writestr("a.txt", "a")
    with pytest.raises(UnsupportedFormat, match=r"no \.docx"):
        Package(tmp_path / "other.docx")
    for problem in (SourceTooLarge, CorruptSource, UnsupportedFormat):
        assert issubclass(problem, InputError)
    assert M in math(HALF).tag


@needs_office
def test_pages_that_libreoffice_draws(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    document(folder / "a.docx", paragraphs=9)
    (folder / "b.docx").write_text("no zip")
    maker = WordMaker(folder, side=700, cache=tmp_path / "cache")
    assert maker.size == 3  # two pages, and the file that is none
    first, second, third = (maker.make(number, 0) for number in range(3))
    assert isinstance(first, Sample) and isinstance(second, Sample) and isinstance(third, Skipped)
    assert first.answer.startswith(
        "Header of the report\n\n# A report on rivers\n\nThe river is **very** long"
    )
    assert "1. first thing\n2. second thing\n- a bullet\n\nEnergy" in first.answer
    assert '<td rowspan="2">r1c2 r2c2</td>' in first.answer
    body = read_body(Package(folder / "a.docx"))
    both = list(words_of(first.answer)) + list(words_of(second.answer.removeprefix("Header of the report")))
    whole = [word for piece in body.pieces for word in words_of(piece.markdown())]
    assert both[4:] == whole  # every word once, in order, behind the header
    assert first.image is not None and first.image.height == 700
    assert np.ptp(np.asarray(first.image.convert("L"))) > 200
    assert first.details["agreement"] == second.details["agreement"] == 1.0
    again = WordMaker(folder, side=700, cache=tmp_path / "cache").make(0, 0)
    assert isinstance(again, Sample) and again.image is not None
    assert again.image.tobytes() == first.image.tobytes() and again.turns == first.turns
