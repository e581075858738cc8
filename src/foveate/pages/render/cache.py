"""Pages kept for the next time: what was rendered in a style before is not rendered again.

    cache = PageCache(folder=Path("pages"))
    for page in cache.render(text, style):
        page.png, page.span

A page is kept as its PNG with its spans, under a key of all that decides it: the text, the style, the
installed fonts and the way this package draws. The least recently used go first, in memory and in the folder.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from foveate.errors import OptionError
from foveate.pages.render import RenderedPage, Span, Style, fonts, render_pages

LOG = logging.getLogger("foveate.pages.render")
VERSION = 1  # to be raised when the same text and style draw other pixels
SUFFIX = ".pages"
_KEPT_SHARE = 0.9  # of a full folder, what stays
_STALE = ".part"
_COMPRESSION = 4  # of PNGs: in two thirds of the time of 6, and 2 % larger, for pages of text


@dataclass(frozen=True)
class KeptPage:
    """A page as it is kept. Boxes are left, top, right, bottom in pixels; spans are places in the text."""

    number: int
    width: int
    height: int
    png: bytes
    span: Span
    lines: tuple[tuple[tuple[float, float, float, float], Span], ...]  # those that are from the text
    missing: tuple[tuple[str, int], ...] = ()  # characters that no font has, and their places

    @property
    def image(self) -> Image.Image:
        """The picture."""
        return Image.open(io.BytesIO(self.png))

    @property
    def bottom(self) -> float:
        """Where the last line ends, pixels; 0 for a page without one."""
        return max((box[3] for box, _ in self.lines), default=0.0)

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return len(self.png) + 200 * len(self.lines) + 400


def keep(page: RenderedPage, trim: bool = False) -> KeptPage:
    """A rendered page as it is kept; `trim` cuts it below its last line and the lower margin."""
    image: Image.Image = page.image
    if trim and page.lines:
        bottom = int(max(line.box.y1 for line in page.lines)) + 1 + page.style.margins[3]
        image = image.crop((0, 0, image.width, min(image.height, bottom)))
    image.save(file := io.BytesIO(), "PNG", compress_level=_COMPRESSION)
    lines = tuple(
        ((line.box.x0, line.box.y0, line.box.x1, line.box.y1), line.span)
        for line in page.lines
        if line.span is not None
    )
    return KeptPage(page.number, *image.size, file.getvalue(), page.span, lines, page.missing)


class PageCache:
    """Renders, or finds what was rendered; for several threads, and the folder for several processes."""

    def __init__(
        self, limit: int = 64 << 20, folder: Path | None = None, folder_limit: int = 1 << 30
    ) -> None:
        """`limit` and `folder_limit` in bytes. Raises `OptionError` for a folder that cannot be made."""
        if limit < 0 or folder_limit < 0:
            raise OptionError("a cache's limits are bytes, 0 or more")
        self._limit = limit
        self._kept: OrderedDict[str, tuple[KeptPage, ...]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.RLock()
        self._folder = None if folder is None else _Folder(folder, folder_limit)
        self.hits = 0  # in memory
        self.folder_hits = 0
        self.misses = 0

    def render(self, text: str, style: Style, trim: bool = False) -> tuple[KeptPage, ...]:
        """The pages that the text fills; `trim` cuts the last one below its text.

        Raises `OptionError` as `render` does.
        """
        key = key_of(text, style, trim)
        with self._lock:
            if (pages := self._find(key)) is not None:
                return pages
            self.misses += 1
        # Without the lock: two threads may make the same pages, which are then the same.
        pages = tuple(_kept(text, style, trim))
        with self._lock:
            self._put(key, pages)
            if self._folder is not None:
                self._folder.write(key, pages)
        return pages

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return self._bytes

    def _find(self, key: str) -> tuple[KeptPage, ...] | None:
        if key in self._kept:
            self._kept.move_to_end(key)
            self.hits += 1
            return self._kept[key]
        pages = self._folder.read(key) if self._folder is not None else None
        if pages is not None:
            self.folder_hits += 1
            self._put(key, pages)
        return pages

    def _put(self, key: str, pages: tuple[KeptPage, ...]) -> None:
        if key in self._kept:
            return
        self._kept[key] = pages
        self._bytes += sum(page.size for page in pages)
        while self._bytes > self._limit and self._kept:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= sum(page.size for page in gone)


def _kept(text: str, style: Style, trim: bool) -> Iterator[KeptPage]:
    before: RenderedPage | None = None
    for page in render_pages(text, style):
        if before is not None:
            yield keep(before)
        before = page
    assert before is not None, "a text has one page at least"
    yield keep(before, trim)


def key_of(text: str, style: Style, trim: bool = False) -> str:
    """The name of a text's pages in a style, on this machine's fonts."""
    digest = hashlib.sha256(_head(style, trim))
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:40]


@lru_cache(maxsize=256)
def _head(style: Style, trim: bool) -> bytes:
    """What is the same for many texts."""
    return json.dumps([VERSION, fonts.fingerprint(), trim, asdict(style)], sort_keys=True).encode()


class _Folder:
    """A file for each text's pages: a line of JSON, then the PNGs one after the other."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._bytes = sum(size for _, size, _ in self._files())
        except OSError as problem:
            raise OptionError(
                f"{folder} is no place for a cache ({problem.strerror}): choose another"
            ) from problem

    def read(self, key: str) -> tuple[KeptPage, ...] | None:
        """The pages; None where there are none, or where the file is damaged: it is then taken away."""
        path = self._folder / f"{key}{SUFFIX}"
        try:
            content = path.read_bytes()
        except OSError:
            return None
        try:
            pages = _unpacked(content)
            os.utime(path)
        except (ValueError, KeyError, TypeError, OSError):
            path.unlink(missing_ok=True)
            return None
        return pages

    def write(self, key: str, pages: tuple[KeptPage, ...]) -> None:
        """The file appears whole or not at all. A folder that cannot be written is no reason to fail."""
        path = self._folder / f"{key}{SUFFIX}"
        part = self._folder / f"{key}.{os.getpid()}.{threading.get_ident()}{_STALE}"
        content = _packed(pages)
        try:
            part.write_bytes(content)
            os.replace(part, path)
        except OSError as problem:
            LOG.warning("a page is not kept: %s", problem.strerror)
            part.unlink(missing_ok=True)
            return
        self._bytes += len(content)
        if self._bytes > self._limit:
            self._make_room()

    def _make_room(self) -> None:
        files = sorted(self._files())
        self._bytes = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._bytes <= _KEPT_SHARE * self._limit:
                break
            path.unlink(missing_ok=True)
            self._bytes -= size

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """(time of the last use, bytes, path) of every file; another process may take some away meanwhile."""
        for entry in os.scandir(self._folder):
            if entry.name.endswith((SUFFIX, _STALE)):
                try:
                    state = entry.stat()
                except FileNotFoundError:
                    continue
                yield state.st_mtime, state.st_size, Path(entry.path)


def _packed(pages: tuple[KeptPage, ...]) -> bytes:
    heads = []
    for page in pages:
        values: dict[str, Any] = {name: getattr(page, name) for name in _PLAIN}
        heads.append({**values, "bytes": len(page.png), "crc": zlib.crc32(page.png)})
    return json.dumps(heads).encode() + b"\n" + b"".join(page.png for page in pages)


_PLAIN = ("number", "width", "height", "span", "lines", "missing")


def _unpacked(content: bytes) -> tuple[KeptPage, ...]:
    """Raises `ValueError`, `KeyError` or `TypeError` for what `_packed` did not write."""
    head, _, body = content.partition(b"\n")
    pages, at = [], 0
    for values in json.loads(head):
        png = body[at : at + values["bytes"]]
        if len(png) != values["bytes"] or zlib.crc32(png) != values["crc"]:
            raise ValueError("a page is damaged")
        lines = tuple((tuple(box), (start, end)) for box, (start, end) in values["lines"])
        missing = tuple((char, place) for char, place in values["missing"])
        start, end = values["span"]
        pages.append(
            KeptPage(values["number"], values["width"], values["height"], png, (start, end), lines, missing)
        )
        at += len(png)
    if at != len(body) or not pages:
        raise ValueError("a file of another length")
    return tuple(pages)
