"""Whatever is handed in becomes pages one at a time, or one error that says how to go on."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import psutil
import pypdfium2
import pytest
from PIL import Image

from foveate.errors import (
    CorruptSource,
    FoveateError,
    InputError,
    OptionError,
    PageRangeError,
    SourceNotFound,
    SourceTooLarge,
    UnsupportedFormat,
)
from foveate.pages.source import Limits, count_pages, expand, open_pages, parse_page_range

SHARED = Path(__file__).parents[2].parent / "shared"
REAL_PDFS = sorted((SHARED / "documents/pdf").glob("*.pdf"))
REAL_SCANS = sorted(
    path for path in (SHARED / "documents/scans").glob("*") if path.suffix in (".tif", ".png")
)
needs_shared = pytest.mark.skipif(
    not REAL_PDFS, reason="needs ../shared, the material next to the repository"
)


def blank_pdf(pages: int = 3) -> bytes:
    saved = BytesIO()
    with pypdfium2.PdfDocument.new() as document:
        for index in range(pages):
            document.new_page(72, 72 + index).close()
        document.save(saved)
    return saved.getvalue()


def picture(kind: str = "PNG", pages: int = 1) -> bytes:
    saved = BytesIO()
    frames = [Image.new("L", (8, 8 + index), 200) for index in range(pages)]
    many = {"save_all": True, "append_images": frames[1:]} if pages > 1 else {}
    frames[0].save(saved, kind, **many)
    return saved.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(data)))


# --- open_pages


def test_each_way_to_hand_in_a_pdf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "paper.pdf"
    path.write_bytes(blank_pdf())
    give_stdin(monkeypatch, path.read_bytes())
    with path.open("rb") as stream:
        sources = ["paper.pdf", path, path.read_bytes(), BytesIO(path.read_bytes()), stream, "-"]
        names = ["paper.pdf", str(path), "<bytes>", "<stream>", str(path), "-"]
        for source, name in zip(sources, names, strict=True):
            pages = list(open_pages(source, dpi=72))
            assert [(page.source, page.number, page.image.size) for page in pages] == [
                (name, 1, (72, 72)),
                (name, 2, (72, 73)),
                (name, 3, (72, 74)),
            ]
        assert not stream.closed


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_a_picture_is_known_by_its_content(folder: Path, kind: str) -> None:
    Path("misnamed.pdf").write_bytes(picture(kind))
    (page,) = open_pages("misnamed.pdf")
    assert (page.source, page.number, page.image.size, page.dpi) == ("misnamed.pdf", 1, (8, 8), None)


def test_a_pdf_is_known_by_its_content(folder: Path) -> None:
    Path("misnamed.png").write_bytes(b"\r\n" + blank_pdf(1))
    (page,) = open_pages("misnamed.png", dpi=144)
    assert (page.image.size, page.dpi) == ((144, 144), 144)


def test_a_pillow_image_is_one_page_and_stays_open() -> None:
    with Image.open(BytesIO(picture("TIFF", 3))) as image:
        image.seek(1)
        (page,) = open_pages(image)
        assert (page.source, page.number, page.image.size) == ("<image>", 1, (8, 9))
        image.seek(2)
        assert image.size == (8, 10)


def test_a_range_chooses_and_orders() -> None:
    assert [page.number for page in open_pages(blank_pdf(5), pages="4-,2", dpi=30)] == [4, 5, 2]
    assert [page.image.height for page in open_pages(picture("TIFF", 4), pages="3,1")] == [10, 8]


def test_a_range_that_does_not_fit_names_the_source() -> None:
    with pytest.raises(PageRangeError, match="<bytes>: there is no page 4: the document has 3"):
        next(open_pages(blank_pdf(3), pages="4"))


def test_the_limit_of_pages_counts_those_asked_for() -> None:
    limits = Limits(pages=2)
    assert len(list(open_pages(blank_pdf(3), pages="2-", dpi=30, limits=limits))) == 2
    with pytest.raises(
        SourceTooLarge, match="<bytes>: 3 pages are over the limit of 2: choose some, such as 1-2"
    ):
        next(open_pages(blank_pdf(3), limits=limits))


def test_a_pdf_without_pages_is_an_error() -> None:
    with pytest.raises(CorruptSource, match="<bytes>: there is no page in it"):
        next(open_pages(blank_pdf(0)))
    assert count_pages(blank_pdf(0)) == 0


def test_dpi_below_one_is_an_error() -> None:
    with pytest.raises(OptionError, match="0 dpi"):
        next(open_pages(blank_pdf(1), dpi=0))


@pytest.mark.parametrize("make", [lambda: blank_pdf(9), lambda: picture("TIFF", 9)], ids=["pdf", "tiff"])
def test_nothing_stays_open(folder: Path, make: Callable[[], bytes]) -> None:
    path = folder / "long"
    path.write_bytes(make())
    process = psutil.Process()

    def is_open() -> bool:
        return str(path) in [file.path for file in process.open_files()]

    abandoned = open_pages(path, dpi=30)
    next(abandoned)
    assert is_open()
    abandoned.close()
    assert not is_open()
    finished = open_pages(path, pages="1", dpi=30)
    next(finished)
    assert not is_open(), "the last page is handed out after everything is closed"


def test_pages_come_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = pypdfium2.PdfPage.render
    monkeypatch.setattr(pypdfium2.PdfPage, "render", lambda page, **how: drawn.append(1) or draw(page, **how))
    pages = open_pages(blank_pdf(5), dpi=30)
    assert not drawn
    next(pages)
    next(pages)
    assert len(drawn) == 2
    pages.close()


def damaged(*numbers: int) -> bytes:
    """A TIFF of four pages in which some, counted from 1, hold nonsense for pixels."""
    saved = BytesIO()
    frames = [Image.new("L", (8, 8 + index), 200) for index in range(4)]
    frames[0].save(saved, "TIFF", save_all=True, append_images=frames[1:], compression="tiff_adobe_deflate")
    data = bytearray(saved.getvalue())
    with Image.open(BytesIO(data)) as image:
        for number in numbers:
            image.seek(number - 1)
            start = image.tag_v2[273][0]  # type: ignore[attr-defined]
            data[start : start + 10] = b"\xff" * 10
    return bytes(data)


def test_a_broken_page_is_an_error_behind_the_good_ones() -> None:
    pages = open_pages(damaged(2))
    assert next(pages).number == 1
    with pytest.raises(CorruptSource, match="<bytes>: a TIFF that is damaged"):
        next(pages)


@pytest.mark.parametrize("numbers", [(1,), (2, 3), (4,), (1, 2, 3, 4)])
def test_broken_pages_can_be_left_behind(numbers: tuple[int, ...]) -> None:
    broken: list[tuple[int, InputError]] = []
    pages = open_pages(damaged(*numbers), on_broken=lambda number, problem: broken.append((number, problem)))
    assert [page.number for page in pages] == [number for number in range(1, 5) if number not in numbers]
    assert [number for number, _ in broken] == list(numbers)
    assert all(type(problem) is CorruptSource for _, problem in broken)


def test_what_is_no_document_is_an_error_all_the_same() -> None:
    for source in (b"", blank_pdf(0), blank_pdf(2)):
        with pytest.raises(InputError):
            list(open_pages(source, pages="1,3", on_broken=lambda *_: pytest.fail("no page is broken")))


# --- count_pages


def test_counting() -> None:
    assert count_pages(blank_pdf(7)) == 7
    assert count_pages(picture("TIFF", 3)) == 3
    assert count_pages(picture("GIF", 3)) == 1
    assert count_pages(Image.new("L", (5, 5))) == 1


def test_counting_leaves_a_stream_where_it_stood() -> None:
    stream = BytesIO(b"skip" + blank_pdf(2))
    stream.seek(4)
    assert count_pages(stream) == 2
    assert stream.tell() == 4
    assert len(list(open_pages(stream, dpi=30))) == 2


# --- what cannot be read


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "a web page"),
        (b"\xef\xbb\xbf  <HTML>", "a web page"),
        (b"PK\x03\x04 word/document.xml", "a ZIP archive or an Office document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
        (b"\0\0\0\x18ftypheic", "a HEIC or AVIF photo"),
        (b"%!PS-Adobe-3.0", "PostScript"),
        (b"BMW, service book of 1987: 14 pages", "of a kind that foveate does not know"),
        (b"\0" * 3000, "of a kind that foveate does not know"),
    ],
)
def test_a_stranger_is_named_and_told_what_is_read(folder: Path, data: bytes, what: str) -> None:
    Path("scan.pdf").write_bytes(data)
    for source in ("scan.pdf", BytesIO(data), data):
        with pytest.raises(UnsupportedFormat, match=f"is {what}.*PDF, PNG, JPEG, WebP, TIFF, GIF and BMP"):
            next(open_pages(source))
        with pytest.raises(UnsupportedFormat):
            count_pages(source)


def test_a_folder_is_not_a_page(folder: Path) -> None:
    with pytest.raises(UnsupportedFormat, match="is a folder"):
        next(open_pages(folder))


@pytest.mark.parametrize(
    "name", ["missing.pdf", "", "no/such/folder/x.pdf", "a\0b", "x" * 300, "https://a.org/b.pdf"]
)
def test_a_missing_file(folder: Path, name: str) -> None:
    with pytest.raises(SourceNotFound):
        next(open_pages(name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file(folder: Path) -> None:
    Path("secret.pdf").touch(mode=0)
    with pytest.raises(SourceNotFound, match="secret.pdf cannot be opened: Permission denied"):
        next(open_pages("secret.pdf"))


def test_things_that_are_no_source() -> None:
    with pytest.raises(UnsupportedFormat, match="list is not a source"):
        next(open_pages([1, 2]))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedFormat, match="binary mode"):
        next(open_pages(io.StringIO("text")))  # type: ignore[arg-type]


# --- limits of bytes, streams


def test_the_limit_of_bytes_holds_for_every_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = blank_pdf()
    Path("paper.pdf").write_bytes(data)
    give_stdin(monkeypatch, data)
    for source in ("paper.pdf", data, BytesIO(data), "-"):
        with pytest.raises(SourceTooLarge, match=f"over the limit of {len(data) - 1:,} bytes"):
            next(open_pages(source, limits=Limits(bytes=len(data) - 1)))
    assert count_pages("paper.pdf", limits=Limits(bytes=len(data))) == 3


class Endless(io.RawIOBase):
    """A stream that never ends, and counts how much of it was taken."""

    def __init__(self, start: bytes) -> None:
        self.start, self.taken = start, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self.start[self.taken :][: len(buffer)].ljust(len(buffer), b"x")
        buffer[:] = chunk
        self.taken += len(buffer)
        return len(buffer)


def test_an_endless_stream_is_refused() -> None:
    chatter = Endless(b"")
    with pytest.raises(UnsupportedFormat, match="<stream> is of a kind"):
        next(open_pages(io.BufferedReader(chatter)))
    assert chatter.taken <= 2 << 20
    bomb = Endless(b"%PDF-1.7")
    with pytest.raises(SourceTooLarge):
        next(open_pages(io.BufferedReader(bomb), limits=Limits(bytes=5 << 20)))
    assert bomb.taken <= 7 << 20


def test_a_stream_that_gives_little_at_a_time() -> None:
    class Slow(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 100))

    assert count_pages(Slow(blank_pdf(2))) == 2


def test_no_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceNotFound, match="no standard input"):
        next(open_pages("-"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe(folder: Path) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(blank_pdf(2),))
    writer.start()
    assert [page.source for page in open_pages("pipe", dpi=30)] == ["pipe", "pipe"]
    writer.join()


def test_reading_pictures_loads_nothing_heavy() -> None:
    code = (
        "import sys, foveate.pages.source as source, PIL.Image as I; "
        "list(source.open_pages(I.new('L', (9, 9)))); "
        "print([m for m in ('torch', 'numpy', 'pypdfium2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- parse_page_range


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-3,7", [1, 2, 3, 7]),
        ("5-", [5, 6, 7, 8, 9]),
        ("-2", [1, 2]),
        ("9", [9]),
        (" 2 , 4 - 5 ", [2, 4, 5]),
        ("7,1-3,2,7", [7, 1, 2, 3]),
        ("9-9,1-1", [9, 1]),
        ("1-", list(range(1, 10))),
    ],
)
def test_ranges(text: str, numbers: list[int]) -> None:
    assert parse_page_range(text, 9) == numbers


@pytest.mark.parametrize(
    "text", ["", " ", ",", "1,", "-", "a", "1-b", "1-2-3", "--2", "1.5", "²", "٣", "+1", "9" * 5000]
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(PageRangeError, match="is not a range of pages: write it like 1-3,7 or 5- or -2"):
        parse_page_range(text, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", "there is no page 10: the document has 9"),
        ("10-", "there is no page 10"),
        ("-10", "there is no page 10"),
        ("1-999999999", "there is no page 999999999"),
        ("0", "there is no page 0 in '0': pages count from 1"),
        ("0-3", "there is no page 0"),
        ("-0", "there is no page 0"),
        ("3-1", "'3-1' runs backwards: write 1-3"),
    ],
)
def test_ranges_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(PageRangeError, match=message):
        parse_page_range(text, 9)


# --- expand


def make(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def names(inputs: Sequence[str | Path]) -> list[str]:
    return [str(path) for path in expand(inputs)]


def test_a_folder_gives_what_is_known_in_natural_order(folder: Path) -> None:
    make("in/page10.png", "in/page2.PNG", "in/Page1.tiff", "in/notes.txt", "in/b/x.pdf", "in/.hidden.png")
    make("in/.git/y.png", "in/page2/1.jpg")
    expected = ["in/b/x.pdf", "in/Page1.tiff", "in/page2/1.jpg", "in/page2.PNG", "in/page10.png"]
    assert names(["in"]) == expected
    assert names([Path("in")]) == expected


def test_names_that_hardly_compare_are_sorted_all_the_same(folder: Path) -> None:
    make("in/1.png", "in/a.png", "in/1a.png", "in/a1.png", "in/01.png", "in/٣.png", "in/A.png")
    assert len(names(["in"])) == 7


def test_named_files_keep_their_order_and_any_suffix(folder: Path) -> None:
    make("b.scan", "a.pdf")
    assert names(["b.scan", "a.pdf"]) == ["b.scan", "a.pdf"]


def test_patterns(folder: Path) -> None:
    make("p10.png", "p9.png", "q.txt", "sub/p1.png", "[x].png")
    assert names(["p*.png"]) == ["p9.png", "p10.png"]
    assert names(["**/p*.png"]) == ["p9.png", "p10.png", "sub/p1.png"]
    assert names(["s*"]) == ["sub/p1.png"]
    assert names(["[x].png"]) == ["[x].png"]


def test_everything_comes_once(folder: Path) -> None:
    make("a.pdf", "b.pdf")
    assert names(["b.pdf", ".", "-", "./b.pdf", str(folder / "a.pdf"), "-"]) == ["b.pdf", "a.pdf", "-"]


def test_stdin_is_told_from_a_file_called_minus(folder: Path) -> None:
    make("-")
    assert expand(["-", "./-"]) == ["-", Path("-")]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "nothing to read: name a file"),
        (["missing.pdf"], "'missing.pdf': no such file or folder"),
        ([""], "'': no such file or folder"),
        (["nowhere/missing.pdf"], "there is no folder 'nowhere'"),
        (["*.pdf"], "no file matches this pattern"),
        (["empty"], "empty: no PDF, PNG, JPEG, WebP, TIFF, GIF and BMP"),
        (["https://a.org/b.pdf"], "not addresses: download it first"),
        (["x" * 300], "no such file"),
    ],
)
def test_nothing_found(folder: Path, inputs: list[str], message: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SourceNotFound) as caught:
        expand(inputs)
    assert message in str(caught.value)


def test_folders_that_contain_themselves(folder: Path) -> None:
    make("in/a.pdf")
    os.symlink("..", "in/loop", target_is_directory=True)
    assert names(["in"]) == ["in/a.pdf"]


# --- real documents


@needs_shared
@pytest.mark.parametrize("path", REAL_PDFS + REAL_SCANS, ids=lambda path: path.name)
def test_the_first_page_of_real_documents(path: Path) -> None:
    try:
        assert count_pages(path) >= 1
        page = next(open_pages(path, pages="1", dpi=36))
    except FoveateError as error:
        assert str(path) in str(error)
    else:
        assert page.image.mode == "RGB"


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("path", REAL_PDFS + REAL_SCANS, ids=lambda path: path.name)
def test_real_documents_in_full_stay_small(path: Path) -> None:
    code = (
        "import resource, sys; from foveate.errors import FoveateError\n"
        "from foveate.pages.source import open_pages\n"
        "try:\n    print(sum(1 for page in open_pages(sys.argv[1], dpi=300)))\n"
        "except FoveateError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = [sys.executable, "-W", "error", "-c", code, str(path)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=300)
    assert int(done.stdout.split()[-1]) < 1.5 * 2**20  # KiB
