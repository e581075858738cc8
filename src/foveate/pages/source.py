"""Whatever a user may hand in, found, recognised by its content and opened page by page."""

import glob
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, TypeAlias

from PIL import Image

from foveate.errors import (
    CorruptSource,
    InputError,
    OptionError,
    PageRangeError,
    SourceNotFound,
    SourceTooLarge,
    UnsupportedFormat,
)
from foveate.pages.image import KINDS, ImagePages, Limits, PageImage, picture_page
from foveate.pages.pdf import PdfPages

__all__ = [
    "SUFFIXES",
    "Limits",
    "PageImage",
    "Source",
    "count_pages",
    "expand",
    "open_pages",
    "parse_page_range",
]

Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | Image.Image

# Looked for in folders only; a file that is named is opened whatever its name.
SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp"})

_READABLE = "PDF, " + ", ".join(KINDS[:-1]) + " and " + KINDS[-1]
_HEAD = 1024  # bytes; readers of PDF have always looked for its header that far
_CHUNK = 1 << 20
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # bytes; "BM" alone also begins "BMW service book"
_STRANGERS = (
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%!PS", "PostScript"),
    (b"{\\rtf", "RTF"),
    (b"\0\0\0\x0cjP", "JPEG 2000"),
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"<?xml", "XML"),
    (b"<svg", "SVG"),
)


class _Document(Protocol):
    """What pages are taken from, one at a time."""

    def __len__(self) -> int: ...
    def page(self, number: int) -> PageImage: ...
    def close(self) -> None: ...


class _Picture:
    """An image that the user already has in memory: one page, the frame that it stands at."""

    def __init__(self, image: Image.Image, limits: Limits) -> None:
        self._image, self._limits = image, limits

    def __len__(self) -> int:
        return 1

    def page(self, number: int) -> PageImage:
        return picture_page(self._image, "<image>", number, self._limits)

    def close(self) -> None:
        """The image stays open: it is the user's."""


def open_pages(
    source: Source,
    *,
    pages: str | None = None,
    dpi: int = 144,
    password: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    on_broken: Callable[[int, InputError], None] | None = None,
) -> Iterator[PageImage]:
    """The pages of a source one after the other, drawn only when asked for.

    `source` is a path, "-" for standard input, the bytes of a file, a stream of bytes, or a Pillow image.
    `pages` is a range such as "1-3,7"; `dpi` and `password` are for PDF only. A dpi that would make a page
    huge is lowered (`PageImage.dpi` says to what). Whatever can be wrong with a source is an InputError.
    With `on_broken`, a page of an open document that cannot be drawn goes there, with its number and the
    error, and the pages after it follow.
    """
    if dpi < 1:
        raise OptionError(f"a page cannot be drawn at {dpi} dpi: choose 72 to 600")
    with _opened(source, dpi, password, limits) as document:
        *others, last = _chosen(pages, len(document), limits, _name(source))
        for number in others:
            yield from _drawn(document, number, on_broken)
        final = list(_drawn(document, last, on_broken))
    yield from final  # with everything closed, so that a picture is not kept twice while its page is read


def _drawn(
    document: _Document, number: int, on_broken: Callable[[int, InputError], None] | None
) -> Iterator[PageImage]:
    """A page, or nothing once its error has been handed on."""
    try:
        yield document.page(number)
    except InputError as problem:
        if on_broken is None:
            raise
        on_broken(number, problem)


def count_pages(
    source: Source,
    *,
    password: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> int:
    """How many pages a source has, without drawing any. A stream that can seek is left where it stood."""
    with _opened(source, 144, password, limits) as document:
        return len(document)


def parse_page_range(text: str, count: int) -> list[int]:
    """The pages that a range asks for, in its order, each once.

    "1-3,7", "5-" (from the fifth to the end), "-2" (the first two).
    Pages count from 1; a range that leaves a document of `count` pages is a PageRangeError.
    """
    numbers: dict[int, None] = {}
    for piece in text.split(","):
        numbers.update(dict.fromkeys(_piece(piece, text, count)))
    return list(numbers)


def _piece(piece: str, text: str, count: int) -> range:
    start, dash, end = (part.strip() for part in piece.partition("-"))
    if not (start or end) or not all(re.fullmatch("[0-9]{0,9}", part) for part in (start, end)):
        raise PageRangeError(f"{text!r} is not a range of pages: write it like 1-3,7 or 5- or -2")
    first = int(start or 1)
    last = int(end or max(count, first)) if dash else first
    if first < 1 or last < 1:
        raise PageRangeError(f"there is no page 0 in {text!r}: pages count from 1")
    if last > count:
        raise PageRangeError(f"there is no page {last}: the document has {count}")
    if first > last:
        raise PageRangeError(f"{piece.strip()!r} runs backwards: write {last}-{first}")
    return range(first, last + 1)


def _chosen(pages: str | None, count: int, limits: Limits, name: str) -> list[int]:
    if not count:
        raise CorruptSource(f"{name}: there is no page in it: export it again from the program that made it")
    try:
        numbers = list(range(1, count + 1)) if pages is None else parse_page_range(pages, count)
    except PageRangeError as error:
        raise PageRangeError(f"{name}: {error}") from None
    if limits.pages is not None and len(numbers) > limits.pages:
        raise SourceTooLarge(
            f"{name}: {len(numbers)} pages are over the limit of {limits.pages}: "
            f"choose some, such as 1-{limits.pages}"
        )
    return numbers


@contextmanager
def _opened(source: Source, dpi: int, password: str | None, limits: Limits) -> Iterator[_Document]:
    with ExitStack() as stack:
        document = _document(source, dpi, password, limits, stack)
        stack.callback(document.close)
        yield document


def _document(source: Source, dpi: int, password: str | None, limits: Limits, stack: ExitStack) -> _Document:
    if isinstance(source, Image.Image):
        return _Picture(source, limits)
    name = _name(source)
    stream = stack.enter_context(_stream(source, name, limits))
    kind = _kind(stream.read(_HEAD), name)
    stream.seek(0)
    if kind == "PDF":
        data = stream.read() if isinstance(stream, BytesIO) else Path(name)
        return PdfPages(data, name, dpi=dpi, password=password, limits=limits)
    return ImagePages(stream, kind, name, limits)


def _name(source: Source) -> str:
    if isinstance(source, Image.Image):
        return "<image>"
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "<stream>"


def _stream(source: str | os.PathLike[str] | bytes | BinaryIO, name: str, limits: Limits) -> BinaryIO:
    """The bytes of a source: its open file, or for anything else all of them in a BytesIO."""
    if isinstance(source, bytes | bytearray | memoryview):
        _check_bytes(len(source), name, limits)
        return BytesIO(source)
    if isinstance(source, str) and source == "-":
        if sys.stdin is None:
            raise SourceNotFound("-: there is no standard input: name a file")
        return _gathered(sys.stdin.buffer, name, limits)
    if isinstance(source, str | os.PathLike):
        return _file(name, limits)
    if not hasattr(source, "read"):
        raise UnsupportedFormat(
            f"{type(source).__name__} is not a source: give a path, bytes, a stream or a Pillow image"
        )
    return _rewound(source, name, limits)


def _file(name: str, limits: Limits) -> BinaryIO:
    if os.path.isdir(name):
        raise UnsupportedFormat(f"{name} is a folder, not a document: name the files in it, one by one")
    try:
        stream = open(name, "rb")  # noqa: SIM115 (handed to the caller)
    except FileNotFoundError:
        raise _not_found(name) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceNotFound(f"{name} cannot be opened: {reason}") from error
    status = os.fstat(stream.fileno())
    try:
        if not stat.S_ISREG(status.st_mode):  # a pipe, such as the shell's <(...): it cannot seek
            with stream:
                return _gathered(stream, name, limits)
        _check_bytes(status.st_size, name, limits)
    except BaseException:
        stream.close()
        raise
    return stream


def _rewound(stream: BinaryIO, name: str, limits: Limits) -> BinaryIO:
    """All of a user's stream; it stays open, and if it can seek it is left where it stood."""
    start = stream.tell() if stream.seekable() else None
    try:
        return _gathered(stream, name, limits)
    finally:
        if start is not None:
            stream.seek(start)


def _gathered(stream: BinaryIO, name: str, limits: Limits) -> BytesIO:
    """A whole stream in memory; refused after its first bytes where they show that it is no document."""
    gathered = BytesIO()
    while chunk := stream.read(_CHUNK):
        if not isinstance(chunk, bytes):
            raise UnsupportedFormat(f"{name} gives text, not bytes: open it in binary mode ('rb')")
        gathered.write(chunk)
        _check_bytes(gathered.tell(), name, limits)
        if _HEAD <= gathered.tell() < _HEAD + len(chunk):
            _kind(gathered.getvalue()[:_HEAD], name)
    gathered.seek(0)
    return gathered


def _check_bytes(size: int, name: str, limits: Limits) -> None:
    if size > limits.bytes:
        raise SourceTooLarge(
            f"{name}: over the limit of {limits.bytes:,} bytes: "
            "split it into smaller files or raise the limit of bytes"
        )


def _kind(head: bytes, name: str) -> str:
    """The kind of a file from its first bytes: "PDF" or one of the kinds of pictures."""
    if kind := _known_kind(head):
        return kind
    raise UnsupportedFormat(
        f"{name} is {_stranger(head)}; foveate reads {_READABLE}: convert it to one of these"
    )


def _known_kind(head: bytes) -> str | None:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return "PDF" if b"%PDF-" in head[:_HEAD] else None


def _stranger(head: bytes) -> str:
    if not head:
        return "empty"
    if head[4:8] == b"ftyp":
        return "a HEIC or AVIF photo, or a film"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, what in _STRANGERS:
        if head.startswith(magic) or start.startswith(magic):
            return what
    return "of a kind that foveate does not know"


def expand(inputs: Sequence[str | os.PathLike[str]]) -> list[Path | Literal["-"]]:
    """The files that a user's arguments stand for, in order, each once.

    A file stands for itself whatever its name, a folder for every PDF and picture in it and below (hidden
    ones left out, page2 before page10), a pattern for what the shell would make of it ("**" too), and "-"
    for standard input. An argument that stands for nothing is a SourceNotFound.
    """
    if not inputs:
        raise SourceNotFound("nothing to read: name a file, a folder, a pattern such as 'scans/*.png', or -")
    found: dict[str, Path | Literal["-"]] = {}
    for name in (os.fspath(item) for item in inputs):
        if name == "-":
            found.setdefault("-", "-")
            continue
        for path in _expanded(name):
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def _expanded(name: str) -> list[Path]:
    if name and os.path.isdir(name):
        if files := _files_below(Path(name)):
            return files
        raise SourceNotFound(
            f"{name}: no {_READABLE} file in this folder or below: name a file or another folder"
        )
    if os.path.exists(name):
        return [Path(name)]
    matches = [Path(match) for match in glob.glob(name, recursive=True)] if glob.has_magic(name) else []
    files = [
        file for match in _natural(matches) for file in (_files_below(match) if match.is_dir() else [match])
    ]
    if not files:
        raise _not_found(name)
    return files


def _files_below(folder: Path) -> list[Path]:
    files: list[Path] = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(where, name) for name in names if not name.startswith(".") and _has_known_suffix(name)]
    return _natural(files)


def _has_known_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _natural(paths: Iterable[Path]) -> list[Path]:
    """Sorted as people count: page2 before page10."""

    def key(path: Path) -> list[tuple[list[str | int], str]]:
        return [(_words_and_numbers(part), part) for part in path.parts]

    return sorted(paths, key=key)


def _words_and_numbers(text: str) -> list[str | int]:
    """Words at even places, numbers at odd ones, so that two names always compare."""
    return [
        int(piece) if index % 2 else piece
        for index, piece in enumerate(re.split("([0-9]+)", text.casefold()))
    ]


def _not_found(name: str) -> SourceNotFound:
    if "://" in name:
        return SourceNotFound(f"{name}: foveate reads files, not addresses: download it first")
    if glob.has_magic(name):
        return SourceNotFound(f"{name}: no file matches this pattern: check it, and quote it for the shell")
    folder = os.path.dirname(name) or "."
    if not os.path.isdir(folder):
        return SourceNotFound(f"{name!r}: there is no folder {folder!r}: check the path")
    return SourceNotFound(
        f"{name!r}: no such file or folder: check the path, or name the folder to read all in it"
    )
