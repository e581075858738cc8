"""Picture files to pages: whatever the pixels were, they become upright RGB on white, within limits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from foveate.errors import CorruptSource, FoveateError, SourceTooLarge


@dataclass(frozen=True)
class Limits:
    """How much one source may cost; what goes over it is a SourceTooLarge before it costs anything."""

    bytes: int = 1 << 30  # of the file: a PDF is read from disk in parts, a stream is held in memory
    pixels: int = 200_000_000  # of one decoded picture: A0 at 300 dpi has 140 million
    pages: int | None = None  # read from one source, after the page range has chosen


@dataclass(frozen=True)
class PageImage:
    """One page as pixels, ready for any mode."""

    source: str  # what the user named it: "scan.tif", "-", "<image>", "<bytes>", "<stream>"
    number: int  # counted from 1 in its document
    image: Image.Image  # RGB, upright, alpha flattened on white
    dpi: float | None = None  # that a PDF page was drawn at


# Opened directly, without Image.open: kinds are found from content here, and Pillow's own pixel limit is
# one number for the whole process.
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
KINDS = tuple(_PLUGINS)

_MOST_FRAMES = 65_536  # a chain of empty TIFF directories costs 6 bytes a frame and would be walked for hours
_REDUCED_OR_MASK = 0b101  # bits of TIFF NewSubfileType: a smaller copy of another page, or its mask
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BAND = 512  # rows scaled at once
_PILLOW_LIMIT = threading.Lock()


class ImagePages:
    """The pages of one picture file: every page of a TIFF, the first frame of anything else.

    Smaller copies and masks that a TIFF keeps next to its pages are not pages.
    """

    def __init__(self, stream: BinaryIO, kind: str, name: str, limits: Limits) -> None:
        self._kind, self._name, self._limits = kind, name, limits
        with _decoding(name, kind):
            self._image = _PLUGINS[kind](stream, name)
            self._frames = _tiff_pages(self._image, name) if kind == "TIFF" else [0]

    def __len__(self) -> int:
        return len(self._frames)

    def page(self, number: int) -> PageImage:
        """Page `number`, counted from 1."""
        with _decoding(self._name, self._kind):
            self._image.seek(self._frames[number - 1])
        return picture_page(self._image, self._name, number, self._limits, kind=self._kind)

    def close(self) -> None:
        self._image.close()


def picture_page(
    image: Image.Image, name: str, number: int, limits: Limits, *, kind: str = "picture"
) -> PageImage:
    """The frame that a Pillow image stands at, as a page; the image itself is decoded but not changed."""
    width, height = image.size
    if not width or not height:
        raise CorruptSource(
            f"{name}: {width} x {height} pixels show nothing: give a picture with pixels in it"
        )
    if width * height > limits.pixels:
        raise SourceTooLarge(
            f"{name}: {width} x {height} pixels are over the limit of {limits.pixels:,}: "
            "make the picture smaller or raise the limit of pixels"
        )
    with _decoding(name, kind), _room_for(width * height, limits):
        image.load()
        return PageImage(name, number, to_rgb(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """A copy in RGB: turned as its EXIF asks, transparent parts white, deep greys scaled and not clipped."""
    rgb = _flat(image)
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        rgb = rgb.transpose(turn)
    rgb.info = {}  # else the EXIF that came along would turn the page a second time
    return rgb


@contextmanager
def _decoding(name: str, kind: str) -> Iterator[None]:
    try:
        yield
    except FoveateError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise SourceTooLarge(
            f"{name}: too large to be decoded ({error or 'out of memory'}): make the picture smaller"
        ) from error
    except (
        Exception
    ) as error:  # broken bytes make Pillow raise nearly anything, from KeyError to struct.error
        reason = str(error) or type(error).__name__
        raise CorruptSource(
            f"{name}: a {kind} that is damaged or of an unusual make ({reason}): "
            "fetch it again, or save it anew as PNG with another program"
        ) from error


@contextmanager
def _room_for(pixels: int, limits: Limits) -> Iterator[None]:
    """Lets Pillow decode what our limit has allowed: its TIFF decoder asks the process-wide one again."""
    if Image.MAX_IMAGE_PIXELS is None or pixels <= Image.MAX_IMAGE_PIXELS:
        yield
        return
    with _PILLOW_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limits.pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _tiff_pages(image: ImageFile.ImageFile, name: str) -> list[int]:
    """Indices of the frames that are pages; only directories are read, no pixels."""
    every: list[int] = []
    pages: list[int] = []
    for index in range(_MOST_FRAMES + 1):
        try:
            image.seek(index)
        except EOFError:
            return pages or every
        every.append(index)
        if not _tiff_tag(image, ExifTags.Base.NewSubfileType) & _REDUCED_OR_MASK:
            pages.append(index)
    raise SourceTooLarge(f"{name}: a TIFF of more than {_MOST_FRAMES} frames: split it into smaller files")


def _tiff_tag(image: Image.Image, tag: int) -> int:
    """A numeric tag of a TIFF frame; 0 where it is missing, odd, or the image is no TIFF."""
    value = getattr(image, "tag_v2", {}).get(tag, 0)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else 0


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # an unreadable note on the back is no reason to lose the page
        return 1
    return value if isinstance(value, int) else 1


def _flat(image: Image.Image) -> Image.Image:
    """Any mode of Pillow's to RGB, without turning."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _deep_to_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    page = Image.new("RGB", image.size, "white")
    page.paste(rgba, mask=rgba)
    return page


def _deep_to_grey(image: Image.Image) -> Image.Image:
    """Greys of 12, 16 or 32 bits, or floats, to 8 bits."""
    import numpy

    values = numpy.asarray(image)  # (H, W)
    black, white = _tones(image, values)
    grey = numpy.empty(values.shape, dtype=numpy.uint8)
    for top in range(0, len(values), _BAND):  # in bands: floats of a whole large scan would fill the memory
        band = numpy.nan_to_num(values[top : top + _BAND].astype(numpy.float64), posinf=white, neginf=black)
        grey[top : top + _BAND] = numpy.clip((band - black) * (255 / (white - black)) + 0.5, 0, 255)
    return Image.fromarray(grey)


def _tones(image: Image.Image, values: Any) -> tuple[float, float]:
    """The values that mean black and white: those of the format where it fixes them, else of the picture."""
    if image.mode.startswith("I;"):
        bits = _tiff_tag(image, ExifTags.Base.BitsPerSample) or 16
        black, white = 0.0, 2.0**bits - 1
    else:
        black, white = _range(values)
    # Pillow turns TIFFs whose zero is white the right way round up to 8 bits only.
    zero_is_white = isinstance(image, TiffImagePlugin.TiffImageFile) and not _tiff_tag(
        image, ExifTags.Base.PhotometricInterpretation
    )
    return (white, black) if zero_is_white else (black, white)


def _range(values: Any) -> tuple[float, float]:
    """0 and the smallest of 1, 255 and 65535 that holds all values, else the least and the greatest."""
    import numpy

    values = values[numpy.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if low >= 0:
        return next(((0.0, top) for top in (1.0, 255.0, 65535.0) if high <= top), (low, max(high, low + 1)))
    return low, max(high, low + 1)
