"""PDFs are drawn as a reader shows them, within limits, and each handle is closed."""

import gc
import hashlib
import threading
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pypdfium2
import pytest
from pypdfium2.internal import ObjectTracker

from foveate.errors import CorruptSource, PasswordNeeded, UnsupportedFormat
from foveate.pages.image import Limits, PageImage
from foveate.pages.pdf import MOST_PIXELS, MOST_SIDE, PdfPages, drawn_dpi

LIMITS = Limits()
WHITE, RED = (255, 255, 255), (255, 0, 0)
RED_CORNER = b"1 0 0 rg 0 50 50 50 re f"  # the upper left quarter of a 100 x 100 page
PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
FILE_ID = b"0123456789abcdef"


def rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encryption(user: str, owner: str) -> tuple[bytes, bytes]:
    """The file key and the /Encrypt entry of the 40-bit scheme (PDF reference 1.4, algorithms 3.2 to 3.4)."""
    padded_user, padded_owner = ((word.encode() + PADDING)[:32] for word in (user, owner))
    for_owner = rc4(hashlib.md5(padded_owner).digest()[:5], padded_user)
    permissions = -4
    key = hashlib.md5(
        padded_user + for_owner + permissions.to_bytes(4, "little", signed=True) + FILE_ID
    ).digest()[:5]
    for_user = rc4(key, PADDING)
    entry = b"<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P %d>>"
    return key, entry % (for_owner.hex().encode(), for_user.hex().encode(), permissions)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


def pdf(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF file of these objects, numbered from 1; the first is its catalog."""
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return out + b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF" % (size, trailer, start)


def one_page(
    content: bytes = RED_CORNER,
    box: bytes = b"0 0 100 100",
    page: bytes = b"",
    catalog: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog,
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R%s>>" % (box, page),
            stream(content),
            *more,
        ]
    )


def encrypted_page(user: str, owner: str = "owner") -> bytes:
    key, entry = encryption(user, owner)
    content_key = hashlib.md5(key + (4).to_bytes(3, "little") + bytes(2)).digest()[:10]
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R>>",
        stream(rc4(content_key, RED_CORNER)),
        entry,
    ]
    file_id = FILE_ID.hex().encode()
    return pdf(objects, b"/Encrypt 5 0 R/ID[<%s><%s>]" % (file_id, file_id))


def draw(
    data: bytes | Path,
    number: int = 1,
    dpi: float = 72,
    password: str | None = None,
    limits: Limits = LIMITS,
) -> PageImage:
    document = PdfPages(data, "paper.pdf", dpi=dpi, password=password, limits=limits)
    try:
        return document.page(number)
    finally:
        document.close()


# --- drawing


@pytest.mark.parametrize("dpi", [36, 72, 100, 144, 300])
def test_a_page_is_drawn_at_the_dpi_asked_for(dpi: int) -> None:
    page = draw(one_page(box=b"0 0 612 792"), dpi=dpi)
    assert (page.source, page.number, page.dpi) == ("paper.pdf", 1, dpi)
    assert page.image.mode == "RGB"
    assert page.image.size == (612 * dpi / 72, 792 * dpi / 72)


def test_colours_and_places_are_right() -> None:
    image = draw(one_page()).image
    assert image.size == (100, 100)
    assert [image.getpixel(at) for at in ((10, 10), (90, 10), (10, 90), (90, 90))] == [
        RED,
        WHITE,
        WHITE,
        WHITE,
    ]


@pytest.mark.parametrize(
    ("turn", "corner"), [(0, (10, 10)), (90, (90, 10)), (180, (110, 90)), (270, (10, 110))]
)
def test_a_turned_page_is_drawn_as_a_reader_shows_it(turn: int, corner: tuple[int, int]) -> None:
    data = one_page(b"1 0 0 rg 0 80 20 20 re f", b"0 0 120 100", page=b"/Rotate %d" % turn)
    image = draw(data).image
    assert image.size == ((100, 120) if turn in (90, 270) else (120, 100))
    assert image.getpixel(corner) == RED


def test_the_crop_box_is_the_page() -> None:
    image = draw(one_page(page=b"/CropBox[0 50 50 100]")).image
    assert (image.size, image.getcolors()) == ((50, 50), [(2500, RED)])


def test_form_fields_are_drawn() -> None:
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(x)/F 4/Rect[60 10 90 40]/AP<</N 6 0 R>>/P 3 0 R>>"
    look = stream(b"1 0 0 rg 0 0 30 30 re f", b"/Type/XObject/Subtype/Form/BBox[0 0 30 30]")
    form = b"/AcroForm<</Fields[5 0 R]>>"
    image = draw(one_page(b"", page=b"/Annots[5 0 R]", catalog=form, more=[field, look])).image
    assert image.getpixel((75, 75)) == RED


def test_junk_before_the_header_and_a_broken_table_are_forgiven() -> None:
    data = one_page().replace(b"startxref", b"startxxxx")
    assert draw(b"\xef\xbb\xbf\r\n" + data).image.getpixel((10, 10)) == RED


# --- size


@pytest.mark.parametrize(
    "box", [b"0 0 14400 14400", b"0 0 1000000 1000000", b"0 0 14400 72", b"0 0 3 200000"]
)
def test_an_enormous_page_is_drawn_at_fewer_dpi(box: bytes) -> None:
    page = draw(one_page(b"", box), dpi=300)
    width, height = page.image.size
    assert width * height <= MOST_PIXELS + width + height
    assert max(width, height) <= MOST_SIDE
    assert page.dpi is not None
    assert 0 < page.dpi < 300
    points = [float(side) for side in box.split()[2:]]
    assert (width, height) == pytest.approx([side * page.dpi / 72 for side in points], abs=1)


def test_the_users_limit_of_pixels_counts_too() -> None:
    page = draw(one_page(), dpi=300, limits=Limits(pixels=10_000))
    assert (page.image.size, page.dpi) == ((100, 100), 72)


@pytest.mark.parametrize("box", [b"0 0 .01 .01", b"0 0 1 3", b"5 5 5 5", b"0 0 0 9", b"9 9 0 0"])
def test_a_tiny_or_empty_or_reversed_box_still_gives_a_page(box: bytes) -> None:
    image = draw(one_page(box=box), dpi=36).image
    assert min(image.size) >= 1


def test_dpi_is_never_raised() -> None:
    assert drawn_dpi(612, 792, 144) == 144
    assert drawn_dpi(0.001, 0.001, 144) == 144
    assert drawn_dpi(7200, 7200, 144) == pytest.approx(50)


# --- passwords


def test_the_right_password_opens_an_encrypted_pdf() -> None:
    for password in ("tulip", "owner"):
        assert draw(encrypted_page("tulip"), password=password).image.getpixel((10, 10)) == RED


def test_an_encrypted_pdf_asks_for_its_password() -> None:
    with pytest.raises(PasswordNeeded, match="paper.pdf: this PDF is encrypted: give its password"):
        draw(encrypted_page("tulip"))


def test_a_wrong_password_is_told_from_none() -> None:
    with pytest.raises(PasswordNeeded, match="paper.pdf: the password does not open"):
        draw(encrypted_page("tulip"), password="rose")


def test_a_pdf_that_only_forbids_printing_opens_without_password() -> None:
    assert draw(encrypted_page("")).image.getpixel((10, 10)) == RED


def test_a_needless_password_does_no_harm() -> None:
    assert draw(one_page(), password="rose").image.getpixel((10, 10)) == RED


def test_protection_by_another_scheme_is_named() -> None:
    data = encrypted_page("").replace(b"/Filter/Standard", b"/Filter/Unheard0")
    with pytest.raises(UnsupportedFormat, match="paper.pdf: this PDF is protected by a scheme other"):
        draw(data)


# --- damage


def test_garbage_is_a_corrupt_pdf() -> None:
    with pytest.raises(CorruptSource, match="paper.pdf: this PDF is damaged beyond repair"):
        draw(b"%PDF-1.7\nnothing else")


def test_a_pdf_without_pages_has_none() -> None:
    saved = BytesIO()
    with pypdfium2.PdfDocument.new() as document:
        document.save(saved)
    with pytest.raises(PasswordNeeded):  # pdfium would still remember it
        draw(encrypted_page("tulip"))
    document = PdfPages(saved.getvalue(), "paper.pdf", dpi=72, password=None, limits=LIMITS)
    assert len(document) == 0
    document.close()


def test_a_missing_page_names_its_number() -> None:
    data = one_page().replace(b"/Count 1", b"/Count 3")
    assert draw(data, 1).image.size == (100, 100)
    with pytest.raises(CorruptSource, match="paper.pdf: page 2 of 3 cannot be drawn"):
        draw(data, 2)


# --- handles and threads


def test_paths_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("~tilde.pdf", "ünï çødé 页.pdf", "-"):
        Path(name).write_bytes(one_page())
        assert draw(Path(name)).image.size == (100, 100)


def test_closing_closes_everything() -> None:
    data = one_page()
    draw(data)
    gc.collect()
    alive = [reference() for references in ObjectTracker.values() for reference in references]
    assert not [thing for thing in alive if type(thing).__name__ in ("PdfDocument", "PdfPage", "PdfBitmap")]


def test_threads_draw_one_after_the_other() -> None:
    data, seen, failures = one_page(), [], []

    def work() -> None:
        try:
            seen.extend(draw(data, dpi=30).image.getpixel((3, 3)) for _ in range(10))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert seen == [RED] * 60
