"""PDF files to pages, drawn by pdfium."""

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from foveate.errors import CorruptSource, InputError, PasswordNeeded, UnsupportedFormat
from foveate.pages.image import Limits, PageImage

# The most that any mode looks at is 9 tiles of 1024 x 1024, 9.4 million pixels. A page is drawn with up to
# 25 million (A4 at 500 dpi, A3 at 350), so that figures cut out of it are still sharp; a larger sheet gets
# as many dpi as fit.
MOST_PIXELS = 25_000_000
MOST_SIDE = 16_384  # pixels; also holds a strip of a page that would pass the limit of area

_POINTS = 72  # to the inch
# pdfium is not thread safe, not even with one document per thread. Re-entrant, because the garbage collector
# may close an abandoned document while this thread is already inside.
PDFIUM = threading.RLock()


class PdfPages:
    """The pages of one PDF, with annotations and filled-in form fields, turned as their /Rotate says.

    `data` is a path, read in parts as pages need them, or the bytes of the file.
    """

    def __init__(
        self, data: Path | bytes, name: str, *, dpi: float, password: str | None, limits: Limits
    ) -> None:
        self._name, self._dpi = name, dpi
        self._most_pixels = min(MOST_PIXELS, limits.pixels)
        self._data = data  # pdfium reads from these bytes for as long as the document is open
        with PDFIUM:
            self._document = _load(data, name, password)
            self._count = len(self._document)

    def __len__(self) -> int:
        return self._count

    def page(self, number: int) -> PageImage:
        """Page `number`, counted from 1, with the dpi that it was really drawn at."""
        with PDFIUM, self._reading(number):
            page = self._document[number - 1]
            try:
                width, height = page.get_size()
                dpi = drawn_dpi(width, height, self._dpi, self._most_pixels)
                return PageImage(self._name, number, _draw(page, dpi), dpi)
            finally:
                page.close()

    def close(self) -> None:
        with PDFIUM:
            self._document.close()

    @contextmanager
    def _reading(self, number: int) -> Iterator[None]:
        from pypdfium2 import PdfiumError

        try:
            yield
        except PdfiumError as error:
            raise CorruptSource(
                f"{self._name}: page {number} of {self._count} cannot be drawn, the file is damaged there: "
                "leave it out with a page range, or save the PDF anew with another program"
            ) from error


def drawn_dpi(width: float, height: float, dpi: float, most_pixels: int = MOST_PIXELS) -> float:
    """The dpi asked for, or the highest that keeps a page of `width` x `height` points within the limits."""
    by_area = _POINTS * math.sqrt(most_pixels / (width * height))
    by_side = _POINTS * MOST_SIDE / max(width, height)
    return min(dpi, by_area, by_side)


def _load(data: Path | bytes, name: str, password: str | None) -> Any:
    # Here and not above: it loads a native library, which reading pictures does not need.
    import pypdfium2
    from pypdfium2 import raw

    key = None if password is None else password.encode(errors="surrogateescape") + b"\0"
    # By the raw functions, because PdfDocument takes a PDF without pages for the last error of another one.
    if isinstance(data, Path):
        handle = raw.FPDF_LoadDocument(os.fsencode(data) + b"\0", key)
    else:
        handle = raw.FPDF_LoadMemDocument64(data, len(data), key)
    if not handle:
        raise _loading_error(raw.FPDF_GetLastError(), name, password)
    document = pypdfium2.PdfDocument(handle)
    with suppress(pypdfium2.PdfiumError):  # a broken form still leaves the page under it
        document.init_forms()  # before the first page is taken, or its fields are not drawn
    return document


def _loading_error(code: int, name: str, password: str | None) -> InputError:
    from pypdfium2 import raw

    if code == raw.FPDF_ERR_PASSWORD and password:
        return PasswordNeeded(f"{name}: the password does not open this PDF: try another one")
    if code == raw.FPDF_ERR_PASSWORD:
        return PasswordNeeded(f"{name}: this PDF is encrypted: give its password (--password, password=...)")
    if code == raw.FPDF_ERR_SECURITY:
        return UnsupportedFormat(
            f"{name}: this PDF is protected by a scheme other than a password: save a copy without protection"
        )
    return CorruptSource(
        f"{name}: this PDF is damaged beyond repair: fetch it again, or save it anew with another program"
    )


def _draw(page: Any, dpi: float) -> Any:
    # A hair smaller: 792 points at 300 dpi are 3300.0000000000005 pixels, which are rounded up.
    bitmap = page.render(scale=dpi / _POINTS * (1 - 1e-9))
    try:
        return bitmap.to_pil()  # a copy, BGR -> RGB
    finally:
        bitmap.close()
