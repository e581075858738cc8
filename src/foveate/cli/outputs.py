"""Where documents go: standard output, or files in a folder that appear whole or not at all."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.cli.inputs import STDIN
from foveate.errors import OptionError

if TYPE_CHECKING:
    from PIL import Image

    from foveate.document import Document, Page
    from foveate.pages.image import PageImage

    PageImages = Callable[[Sequence[int]], Iterator[PageImage]]  # from page numbers, in their order

FORMATS = ("md", "txt", "html", "json")
LONGEST_STEM = 200  # bytes; what is added must still fit into a file name


class StandardOutput:
    """Documents one after the other.

    Markdown: each behind a comment with its name. Text: a form feed between. JSON: one line each. HTML: only
    one document, with its pictures inside.
    """

    def __init__(self, format: str, several: bool) -> None:
        if format == "html" and several:
            raise OptionError("several documents do not fit into one HTML page: write files with --out DIR")
        self.looks_twice = format == "html"
        self._format, self._several, self._first = format, several, True

    def write(self, document: "Document", source: Path | str, images: "PageImages") -> None:
        pictures: dict[str, bytes] = {}
        if self._format == "html":
            document = _with_pictures(document, images, "images", pictures.__setitem__)
        sys.stdout.write(self._separator(source) + rendered(document, self._format, pictures, indent=None))
        sys.stdout.flush()
        self._first = False

    def _separator(self, source: Path | str) -> str:
        if self._format == "md" and self._several:
            name = str(source).replace("--", "- -")
            return ("" if self._first else "\n") + f"<!-- {name} -->\n\n"
        return "\f" if self._format == "txt" and not self._first else ""


class Folder:
    """One file a document, with a folder of pictures next to it. Names never collide, inputs stay whole."""

    def __init__(self, folder: Path, format: str, boxes: bool, inputs: Iterable[Path | str]) -> None:
        self._folder, self._format, self._boxes = folder, format, boxes
        self._pictures = format != "txt"
        self.looks_twice = self._pictures or boxes
        self._inputs = {Path(source).resolve() for source in inputs}
        self._taken: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise OptionError(
                f"{folder} cannot be a folder ({problem.strerror}): choose another for --out"
            ) from problem

    def write(self, document: "Document", source: Path | str, images: "PageImages") -> None:
        stem = self._claim(source)
        if self._pictures:
            document = _with_pictures(document, images, f"{stem}.images", self._put)
        if self._boxes:
            for page, image in _seen(document, images, document.pages):
                self._put(f"{stem}.boxes/page-{page.number:04d}.png", _png(_drawn(image, page)))
        text = rendered(document, self._format)
        self._put(f"{stem}.{self._format}", text.encode("utf-8", "backslashreplace"))

    def _claim(self, source: Path | str) -> str:
        """A name for a document that no other has, whether or not the file system knows capitals."""
        base = "stdin" if source == STDIN else _stem(Path(source))
        stem, number = base, 1
        while (key := unicodedata.normalize("NFC", stem).casefold()) in self._taken or self._is_input(stem):
            number += 1
            stem = f"{base}-{number}"
        self._taken.add(key)
        return stem

    def _is_input(self, stem: str) -> bool:
        return (self._folder / f"{stem}.{self._format}").resolve() in self._inputs

    def _put(self, name: str, content: bytes) -> None:
        target = self._folder / name
        if target.resolve() in self._inputs:
            raise OptionError(
                f"{target} is being read and would be overwritten: choose another folder for --out"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, content)


def _stem(path: Path) -> str:
    """A file's name without its suffix, as text that a link can hold."""
    return os.fsencode(path.stem)[:LONGEST_STEM].decode("utf-8", "ignore") or "document"


def rendered(
    document: "Document", format: str, pictures: dict[str, bytes] | None = None, indent: int | None = 2
) -> str:
    """A document as text in one of the formats, with a newline at its end."""
    match format:
        case "md":
            return document.markdown() + "\n"
        case "txt":
            return document.text() + "\n"
        case "html":
            return document.html(images=pictures)
        case _:
            return document.json(indent=indent) + "\n"


def write_whole(target: Path, content: bytes) -> None:
    """Writes a file so that nobody ever sees a part of it."""
    partial = target.with_name(f".foveate-{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _with_pictures(
    document: "Document", images: "PageImages", folder: str, keep: Callable[[str, bytes], None]
) -> "Document":
    """The document with its pictures cut out of the pages, kept by name, and linked."""
    from foveate.pages.markup import PICTURES, crop_images

    wanted = [page for page in document.pages if any(b.kind in PICTURES and b.boxes for b in page.blocks)]
    changed: dict[int, Page] = {}
    for page, image in _seen(document, images, wanted):
        blocks, crops = crop_images(image, page.blocks, page.number)
        names = {name: f"{folder}/{name.rpartition('/')[2]}" for name in crops}
        for name, crop in crops.items():
            keep(names[name], _jpeg(crop))
        linked = tuple(replace(block, image=names.get(block.image or "")) for block in blocks)
        changed[page.number] = replace(page, blocks=linked)
    return replace(document, pages=tuple(changed.get(page.number, page) for page in document.pages))


def _seen(
    document: "Document", images: "PageImages", pages: Iterable["Page"]
) -> Iterator[tuple["Page", "Image.Image"]]:
    """Some pages with their images; those that could not be read have none."""
    wanted = {page.number: page for page in pages if page.error is None}
    if wanted:
        for image in images(list(wanted)):
            yield wanted[image.number], image.image


def _drawn(image: "Image.Image", page: "Page") -> "Image.Image":
    from foveate.pages.draw import draw_boxes

    return draw_boxes(image, page)


def _jpeg(image: "Image.Image") -> bytes:
    image.save(content := BytesIO(), "JPEG", quality=90)
    return content.getvalue()


def _png(image: "Image.Image") -> bytes:
    image.save(content := BytesIO(), "PNG")
    return content.getvalue()
