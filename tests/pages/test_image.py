"""Pictures of every make become upright RGB on white."""

import zlib
from io import BytesIO
from pathlib import Path

import numpy
import pytest
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from foveate.errors import CorruptSource, SourceTooLarge
from foveate.pages.image import ImagePages, Limits, PageImage, picture_page, to_rgb

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)
LIMITS = Limits()


def corner_picture() -> Image.Image:
    """Grey, 30 x 20, darker to the right and the bottom, so that each way of turning it looks different."""
    rows, columns = numpy.mgrid[0:20, 0:30]
    return Image.fromarray((255 - rows * 4 - columns * 5).astype(numpy.uint8))


def written(image: Image.Image, kind: str, **options: object) -> BytesIO:
    stream = BytesIO()
    image.save(stream, kind.upper(), **options)
    stream.seek(0)
    return stream


def pages_of(stream: BytesIO, kind: str, limits: Limits = LIMITS) -> list[PageImage]:
    document = ImagePages(stream, kind, "scan", limits)
    try:
        return [document.page(number) for number in range(1, len(document) + 1)]
    finally:
        document.close()


def first_page(stream: BytesIO, kind: str) -> Image.Image:
    return pages_of(stream, kind)[0].image


# --- kinds


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "WebP", "JPEG"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_every_kind_gives_one_rgb_page(kind: str, mode: str) -> None:
    picture = Image.new("RGB", (24, 16), "white").convert(mode)
    if kind in ("JPEG", "WebP"):
        picture = picture.convert("RGB")
    (page,) = pages_of(written(picture, kind), kind)
    assert (page.source, page.number, page.dpi) == ("scan", 1, None)
    assert (page.image.mode, page.image.size) == ("RGB", (24, 16))
    assert page.image.getpixel((5, 5)) == WHITE


def test_tiff_frames_are_pages_of_their_own_sizes_and_modes() -> None:
    frames = [Image.new("L", (10, 20), 10), Image.new("RGB", (30, 5), RED), Image.new("1", (8, 8), 1)]
    pages = pages_of(written(frames[0], "TIFF", save_all=True, append_images=frames[1:]), "TIFF")
    assert [page.number for page in pages] == [1, 2, 3]
    assert [page.image.size for page in pages] == [(10, 20), (30, 5), (8, 8)]
    assert [page.image.getpixel((1, 1)) for page in pages] == [(10, 10, 10), RED, WHITE]


@pytest.mark.parametrize(
    "compression", [None, "tiff_lzw", "group4", "jpeg", "tiff_adobe_deflate", "packbits"]
)
def test_tiff_pages_survive_the_next_one(compression: str | None) -> None:
    tones = [0, 255, 0] if compression == "group4" else [40, 160, 250]
    mode = "1" if compression == "group4" else "L"
    frames = [Image.new(mode, (16, 16), tone) for tone in tones]
    stream = written(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression=compression)
    shown = [page.image.getpixel((3, 3))[0] for page in pages_of(stream, "TIFF")]
    assert shown == pytest.approx(tones, abs=1)


def test_tiff_thumbnails_and_masks_are_not_pages(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    with TiffImagePlugin.AppendingTiffWriter(str(path), True) as writer:
        for size, subfile_type in (((40, 40), 0), ((20, 20), 1), ((40, 40), 4), ((38, 38), 2)):
            info = TiffImagePlugin.ImageFileDirectory_v2()
            info[ExifTags.Base.NewSubfileType] = subfile_type
            Image.new("L", size).save(writer, "TIFF", tiffinfo=info)
            writer.newFrame()
    sizes = [page.image.size for page in pages_of(BytesIO(path.read_bytes()), "TIFF")]
    assert sizes == [(40, 40), (38, 38)]


def test_a_tiff_of_nothing_but_a_thumbnail_is_a_page() -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[ExifTags.Base.NewSubfileType] = 1
    assert len(pages_of(written(Image.new("L", (9, 9)), "TIFF", tiffinfo=info), "TIFF")) == 1


def test_endless_tiff_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.pages.image._MOST_FRAMES", 3)
    frames = [Image.new("L", (4, 4))] * 4
    with pytest.raises(SourceTooLarge, match="more than 3 frames"):
        pages_of(written(frames[0], "TIFF", save_all=True, append_images=frames[1:]), "TIFF")


@pytest.mark.parametrize("kind", ["GIF", "WebP", "PNG"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (12, 12), colour) for colour in ("red", "blue", "green")]
    lossless = {"lossless": True} if kind == "WebP" else {}
    stream = written(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    (page,) = pages_of(stream, kind)
    assert page.image.getpixel((6, 6)) == RED


def test_a_photo_with_more_pictures_behind_it_is_the_first() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("white", "black")]
    stream = written(frames[0], "MPO", save_all=True, append_images=frames[1:])
    (page,) = pages_of(stream, "JPEG")
    assert page.image.getpixel((6, 6)) == WHITE


# --- pixels


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    ramp = numpy.array([[0, 257, 32896, 65535]], dtype=numpy.uint16)
    for kind in ("PNG", "TIFF"):
        shown = first_page(written(Image.fromarray(ramp), kind), kind)
        assert [shown.getpixel((x, 0))[0] for x in range(4)] == [0, 1, 128, 255]


def test_16_bit_grey_in_bands_equals_the_plain_formula() -> None:
    values = numpy.random.default_rng(0).integers(0, 65536, (1500, 7), dtype=numpy.uint16)
    shown = numpy.asarray(to_rgb(Image.fromarray(values)))
    assert (shown == numpy.round(values / 257).astype(numpy.uint8)[..., None]).all()


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_both_byte_orders(dtype: str) -> None:
    picture = Image.frombytes(
        "I;16" if dtype == "<u2" else "I;16B", (2, 1), numpy.array([0, 65535], dtype).tobytes()
    )
    assert [to_rgb(picture).getpixel((x, 0)) for x in (0, 1)] == [BLACK, WHITE]


@pytest.mark.parametrize(
    "values",
    [
        numpy.array([[0.0, 0.5, 1.0]], dtype=numpy.float32),
        numpy.array([[0.0, 127.5, 255.0]], dtype=numpy.float32),
        numpy.array([[0, 32768, 65535]], dtype=numpy.int32),
        numpy.array([[-1000, 0, 1000]], dtype=numpy.int32),
        numpy.array([[-3e38, 0, 3e38]], dtype=numpy.float32),
        numpy.array([[-numpy.inf, 0.5, numpy.inf, 0, 1]], dtype=numpy.float32),
    ],
)
def test_deep_values_find_their_range(values: numpy.ndarray) -> None:
    for picture in (Image.fromarray(values), Image.open(written(Image.fromarray(values), "TIFF"))):
        with picture:
            shown = to_rgb(picture)
        assert [shown.getpixel((x, 0))[0] for x in range(3)] == pytest.approx([0, 128, 255], abs=1)


@pytest.mark.parametrize("value", [0.0, numpy.nan])
def test_floats_without_a_range_are_black(value: float) -> None:
    assert to_rgb(Image.fromarray(numpy.full((2, 2), value, dtype=numpy.float32))).getpixel((0, 0)) == BLACK


def test_deep_tiff_whose_zero_is_white() -> None:
    ramp = numpy.array([[0, 65535]], dtype=numpy.uint16)
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[ExifTags.Base.PhotometricInterpretation] = 0
    shown = first_page(written(Image.fromarray(ramp), "TIFF", tiffinfo=info), "TIFF")
    assert [shown.getpixel((x, 0)) for x in (0, 1)] == [WHITE, BLACK]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("RGBA", (2, 2), (0, 0, 0, 0)), WHITE),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 255)), RED),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new("LA", (2, 2), (0, 0)), WHITE),
        (Image.new("La", (2, 2), (0, 0)), WHITE),
        (Image.new("RGBa", (2, 2), (0, 0, 0, 0)), WHITE),
        (Image.new("PA", (2, 2), (0, 0)), WHITE),
        (Image.new("CMYK", (2, 2), (0, 0, 0, 0)), WHITE),
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), RED),
        (Image.new("YCbCr", (2, 2), (255, 128, 128)), WHITE),
        (Image.new("HSV", (2, 2), (0, 255, 255)), RED),
        (Image.new("1", (2, 2), 1), WHITE),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_colours_and_alpha(picture: Image.Image, expected: tuple[int, int, int]) -> None:
    shown = to_rgb(picture)
    assert (shown.mode, shown.getpixel((1, 1))) == ("RGB", expected)


def test_transparent_palette_entries_are_white() -> None:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    for kind in ("PNG", "GIF"):
        assert first_page(written(picture, kind, transparency=1), kind).getpixel((0, 0)) == WHITE
        assert first_page(written(picture, kind), kind).getpixel((0, 0)) == RED


def test_one_colour_declared_transparent_is_white() -> None:
    stream = written(Image.new("RGB", (4, 4), RED), "PNG", transparency=RED)
    assert first_page(stream, "PNG").getpixel((0, 0)) == WHITE


def test_cmyk_jpeg_and_tiff() -> None:
    picture = Image.new("CMYK", (16, 16), (0, 0, 0, 255))
    for kind in ("JPEG", "TIFF"):
        assert max(first_page(written(picture, kind), kind).getpixel((8, 8))) <= 2


# --- EXIF


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stream = written(corner_picture().convert("RGB"), kind, exif=exif)
    with Image.open(stream) as opened:
        expected = ImageOps.exif_transpose(opened).convert("RGB")
    stream.seek(0)
    shown = first_page(stream, kind)
    assert shown.size == ((20, 30) if orientation > 4 else (30, 20))
    assert shown.tobytes() == expected.tobytes()
    assert ImageOps.exif_transpose(shown).tobytes() == shown.tobytes()


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish, not a TIFF header", b"Exif\0\0II*\0\xff\xff\xff\x7f"])
def test_broken_exif_does_not_cost_the_page(exif: bytes, recwarn: pytest.WarningsRecorder) -> None:
    assert first_page(written(corner_picture(), "JPEG", exif=exif), "JPEG").size == (30, 20)


# --- images that the user has in memory


def test_a_pillow_image_is_copied_and_left_alone() -> None:
    mine = Image.new("RGB", (4, 3), RED)
    page = picture_page(mine, "<image>", 1, LIMITS)
    page.image.putpixel((0, 0), BLACK)
    assert mine.getpixel((0, 0)) == RED


def test_a_picture_without_pixels_is_an_error() -> None:
    with pytest.raises(CorruptSource, match="<image>: 0 x 5 pixels"):
        picture_page(Image.new("RGB", (0, 5)), "<image>", 1, LIMITS)


# --- limits and damage


def huge(kind: str) -> bytes:
    """A small file whose header announces 60,000 x 60,000 pixels."""
    data = bytearray(written(Image.new("L", (16, 16)), kind).getvalue())
    side = 60_000
    if kind == "PNG":
        data[16:24] = side.to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif kind == "JPEG":
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = side.to_bytes(2, "big") * 2
    elif kind == "GIF":
        data[6:10] = side.to_bytes(2, "little") * 2
    elif kind == "BMP":
        data[18:26] = side.to_bytes(4, "little") * 2
    else:
        with Image.open(BytesIO(data)) as opened:
            info = opened.tag_v2
            info[256] = info[257] = side
            return written(Image.new("L", (16, 16)), "TIFF").getvalue()[:4] + b"\x08\0\0\0" + info.tobytes(8)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_bomb_is_refused_from_its_header(kind: str) -> None:
    with pytest.raises(SourceTooLarge, match="60000 x 60000 pixels are over the limit of 200,000,000"):
        pages_of(BytesIO(huge(kind)), kind)


def test_the_limit_of_pixels_is_the_users() -> None:
    picture = Image.new("L", (100, 100))
    with pytest.raises(SourceTooLarge, match="scan: 100 x 100 .* raise the limit"):
        pages_of(written(picture, "PNG"), "PNG", Limits(pixels=9_999))
    assert len(pages_of(written(picture, "PNG"), "PNG", Limits(pixels=10_000))) == 1


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WebP"])
def test_pillows_own_limit_gives_way_to_ours_and_comes_back(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = written(Image.new("L", (30, 30)), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert first_page(stream, kind).size == (30, 30)
    assert Image.MAX_IMAGE_PIXELS == 500


def test_what_pillow_refuses_while_opening_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(Image.new("L", (30, 30)), "WebP")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(SourceTooLarge, match="scan: too large"):
        pages_of(stream, "WebP")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_a_truncated_file_says_so(kind: str, kept: float, recwarn: pytest.WarningsRecorder) -> None:
    noise = numpy.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=numpy.uint8)
    data = written(Image.fromarray(noise), kind).getvalue()
    with pytest.raises(CorruptSource, match=f"scan: a {kind} that is damaged .* fetch it again"):
        pages_of(BytesIO(data[: int(len(data) * kept)]), kind)
