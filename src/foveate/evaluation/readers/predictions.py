"""Texts that some other program wrote before, one file a page; and a reader that says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from PIL import Image

from foveate.errors import SourceNotFound
from foveate.evaluation.readers.protocol import AUTO, ReaderOptions, Reading

SUFFIXES = (".md", ".mmd", ".txt")


class Predictions:
    """Looks pages up by their ids."""

    def __init__(self, folder: Path) -> None:
        self.name = f"predictions:{folder}"
        self._folder = folder

    @classmethod
    def open(cls, place: str, options: ReaderOptions) -> Self:
        """Raises `SourceNotFound` when there is no such folder."""
        folder = Path(place)
        if not folder.is_dir():
            raise SourceNotFound(f"{place}: no such folder of predictions: check the path")
        return cls(folder)

    def read(self, image: Image.Image, mode: str = AUTO, *, page: str = "") -> Reading:
        """The text of the file that has the page's name; a page without a file is an error of that page."""
        path = self.find(page)
        if path is None:
            return Reading("", 0.0, stop="error", error=f"no file for {page} in {self._folder}")
        return Reading(path.read_text(encoding="utf-8", errors="replace"), 0.0)

    def find(self, page: str) -> Path | None:
        """The file of a page, if there is one."""
        for name in _names(page):
            for suffix in SUFFIXES:
                path = self._folder / f"{name}{suffix}"
                if path.is_file():
                    return path
        return None

    def versions(self) -> dict[str, str]:
        return {}


def _names(page: str) -> Iterator[str]:
    """What a page's file may be called: "a/b.png" is "a/b.png", "a/b" or "b"; "c.pdf#2" is "c_pg2" too."""
    path, _, number = page.partition("#")
    stem = str(Path(path).with_suffix("")) if path else ""
    if ".." in Path(path).parts or Path(path).is_absolute():
        stem = path = Path(path).stem  # an id is no way out of the folder
    for name in dict.fromkeys((path, stem, Path(stem).name)):
        if number:
            # olmOCR-bench counts its repeated readings in the name.
            yield from (f"{name}_pg{number}", f"{name}_pg{number}_repeat1", f"{name}-{number}")
        if not number or number == "1":
            yield name


class Blank:
    """Gives nothing for any page: what a test says about it, it says about itself."""

    name = "blank"

    @classmethod
    def open(cls, place: str, options: ReaderOptions) -> Self:
        return cls()

    def read(self, image: Image.Image, mode: str = AUTO, *, page: str = "") -> Reading:
        return Reading("", 0.0, text_tokens=0)

    def versions(self) -> dict[str, str]:
        return {}
