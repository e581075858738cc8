"""The parts of a .docx file, opened as a stranger's: bounded in number and size, without entities."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, TypeAlias

from foveate.errors import CorruptSource, OptionError, SourceNotFound, SourceTooLarge, UnsupportedFormat

# Of lxml, which has no types of its own.
Element: TypeAlias = Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"

MOST_FILE = 64 << 20  # bytes of the file
MOST_PARTS = 5_000
MOST_UNPACKED = 256 << 20  # bytes of all parts
MOST_XML = 48 << 20  # bytes of one part that is parsed
_MOST_RATIO = 200  # a part this much smaller packed than unpacked is a bomb; XML comes to 20
_SMALL = 1 << 20  # bytes: what is no larger may be packed as well as it likes


class Package:
    """A .docx: its parts as XML. Every part that a bad file lacks is None, but for the document itself."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            size = file.stat().st_size
        except OSError as error:
            raise SourceNotFound(f"{file} cannot be opened: {error.strerror}: check the path") from error
        if size > MOST_FILE:
            raise SourceTooLarge(f"{file}: {size:,} bytes are over the limit of {MOST_FILE:,}: leave it out")
        self._check()
        document = self.part("word/document.xml")
        if document is None:
            raise UnsupportedFormat(f"{file} is no .docx: name Word files only")
        self.document = document

    def part(self, name: str) -> Element | None:
        """The root of a part; CorruptSource when it is no XML, or when it defines entities."""
        data = self._bytes(name)
        return None if data is None else parsed(data, f"{self._file}: {name}")

    def _check(self) -> None:
        with self._zip() as archive:
            parts = archive.infolist()
        unpacked = sum(part.file_size for part in parts)
        if len(parts) > MOST_PARTS or unpacked > MOST_UNPACKED:
            raise SourceTooLarge(
                f"{self._file}: {len(parts):,} parts of {unpacked:,} bytes are over the limits of "
                f"{MOST_PARTS:,} and {MOST_UNPACKED:,}: leave it out"
            )
        for part in parts:
            if part.file_size > max(_SMALL, _MOST_RATIO * part.compress_size):
                raise SourceTooLarge(f"{self._file}: its part {part.filename!r} is a bomb: leave it out")

    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise UnsupportedFormat(f"{self._file} is no .docx: name Word files only") from error

    def _bytes(self, name: str) -> bytes | None:
        with self._zip() as archive:
            try:
                with archive.open(name) as stream:
                    data = stream.read(MOST_XML + 1)
            except KeyError:
                return None
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
                raise CorruptSource(f"{self._file}: {name} cannot be unpacked: save it anew") from error
        if len(data) > MOST_XML:
            raise SourceTooLarge(
                f"{self._file}: {name} is over the limit of {MOST_XML:,} bytes: leave it out"
            )
        return data


def parsed(data: bytes, name: str) -> Element:
    """The root of some XML. Nothing is fetched, and no entity is replaced: a DOCTYPE is refused."""
    try:
        from lxml import etree
    except ImportError as error:
        raise OptionError("reading Word files needs lxml: pip install 'foveate[data]'") from error
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise CorruptSource(f"{name} is no XML: save the file anew") from error
    if root.getroottree().docinfo.doctype:
        raise CorruptSource(f"{name} has a DOCTYPE, which no Word file needs: save the file anew")
    return root


def value(element: Element | None, name: str = "val") -> str | None:
    """An attribute of Word's namespace."""
    return None if element is None else element.get(W + name)


def switched_on(element: Element | None) -> bool:
    """Whether a property such as <w:b/> is there and not off."""
    return element is not None and value(element) not in ("0", "false", "off", "none")
