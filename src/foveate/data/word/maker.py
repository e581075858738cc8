"""Word files to samples: each page as LibreOffice draws it, and its Markdown from the file itself."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from foveate.data.documents import answers, compose
from foveate.data.documents.compose import Layout
from foveate.data.documents.layout import Area
from foveate.data.documents.pdf import edge_pages, files_of, open_pdf
from foveate.data.sample import Sample, Skipped, Task, ask
from foveate.data.word import office
from foveate.data.word.body import Body, read_body
from foveate.data.word.package import Package
from foveate.data.word.paging import PagePieces, split, words_of
from foveate.document import FURNITURE
from foveate.errors import FoveateError, OptionError
from foveate.pages.image import Limits

_MOST_PAGES = 500  # of one file
_LEAST_AGREEMENT = 0.9  # of a page's words, between what the file says and what is drawn


@dataclass(frozen=True)
class _File:
    path: Path
    pdf: str  # of this file, in the maker's folder
    pages: int
    problem: str = ""


class WordMaker:
    """Samples of kind "word", one for each page of some .docx files, or of all those of a folder.

    The answer is the page's Markdown without boxes, with tables as HTML and formulas as LaTeX, as the
    paper's pairs from Word are (section 3.4.1); so the prompt is the one without grounding. Files are drawn
    when the maker is made, into `cache` or into a folder that goes with it. A file that cannot be drawn is
    one number, skipped with the reason. side: pixels of a page's long side; timeout: seconds for one file.
    """

    kind = "word"
    task: Task = "ocr1"

    def __init__(
        self,
        files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        side: int = 1600,
        timeout: float = 120,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        if not 64 <= side <= 4096:
            raise OptionError(f"a page cannot be {side} pixels long here: choose 64 to 4096")
        self._side = side
        if cache is None:
            self._folder = tempfile.mkdtemp(prefix="foveate-word-")
            weakref.finalize(self, _forget, self._folder, os.getpid())
        else:
            self._folder = os.fspath(cache)
            Path(self._folder).mkdir(parents=True, exist_ok=True)
        self._numbers: list[tuple[_File, int]] = []
        for path in files_of(files, (".docx",)):
            file = self._drawn(path, timeout)
            self._numbers += [(file, page + 1) for page in range(max(file.pages, 1))]

    @property
    def size(self) -> int:
        return len(self._numbers)

    def make(self, number: int, seed: int) -> Sample | Skipped:
        """The sample of a page, or why there is none."""
        file, page = self._numbers[number]
        source = f"{file.path.name}:{page}"
        if file.problem:
            return Skipped(self.kind, source, file.problem, number)
        try:
            read = _read(str(file.path), str(Path(self._folder, file.pdf)), self._side)
            with open_pdf(Path(self._folder, file.pdf), Limits()) as document:
                image, _ = document.open_page(page, self._side)
        except FoveateError as error:
            return Skipped(self.kind, source, _reason(error, file.path), number)
        pieces = read.pages[page - 1]
        if not pieces.parts:
            return Skipped(self.kind, source, "no text of the file is on it", number)
        if pieces.agreement < _LEAST_AGREEMENT:
            share = f"{pieces.agreement:.0%}"
            return Skipped(self.kind, source, f"only {share} of its words are where they should be", number)
        return self._sample(image, read, page, source, number, seed)

    def _sample(
        self, image: Image.Image, read: _Read, page: int, source: str, number: int, seed: int
    ) -> Sample:
        pieces = read.pages[page - 1]
        details = {
            "agreement": round(pieces.agreement, 4),
            "pieces": [part.piece.kind for part in pieces.parts],
            "drawn_by": "LibreOffice",
            "side": self._side,
        }
        answer = _answer(read.body, pieces, read.layouts[page - 1])
        return Sample(
            self.kind, self.task, ask("text", answers.plain(answer)), image, source=source, number=number,
            seed=seed, details=details,
        )  # fmt: skip

    def _drawn(self, path: Path, timeout: float) -> _File:
        """The file's PDF, made unless it is there."""
        try:
            Package(path)  # refuses what is no .docx, and bombs, before LibreOffice sees them
            name = f"{_fingerprint(path)}.pdf"
            target = Path(self._folder, name)
            if not target.is_file():
                office.to_pdf(path, target, timeout)
            with open_pdf(target, Limits(pages=_MOST_PAGES)) as document:
                return _File(path, name, len(document))
        except OptionError:
            raise  # no LibreOffice: none of the files can be drawn
        except FoveateError as error:
            return _File(path, "", 0, _reason(error, path))


@dataclass(frozen=True)
class _Read:
    """A file with its words followed through its pages."""

    body: Body
    pages: tuple[PagePieces, ...]
    layouts: tuple[Layout, ...]


@lru_cache(maxsize=2)
def _read(path: str, pdf: str, side: int) -> _Read:
    body = read_body(Package(Path(path)))
    layouts: list[Layout] = []
    with open_pdf(Path(pdf), Limits()) as document:
        count = len(document)
        bands = [document.bands(page) for page in range(1, count + 1)]
        for page in range(1, count + 1):
            _, text = document.open_page(page, side)
            near = [bands[other - 1] for other in edge_pages(page, count)]
            layouts.append(compose.compose(text, [upper for upper, _ in near], [lower for _, lower in near]))
    return _Read(body, tuple(split(body, [_shown(layout) for layout in layouts])), tuple(layouts))


def _shown(layout: Layout) -> list[str]:
    """The words of a page in reading order, cut words put together."""
    return [word for area in layout.areas for word in _words(layout, area)]


def _words(layout: Layout, area: Area) -> list[str]:
    text = area.html or answers.text(area, answers.vocabulary(layout))
    return list(words_of(text))


def _answer(body: Body, pieces: PagePieces, layout: Layout) -> str:
    """The page's Markdown: what runs along its top, its pieces, its notes, what runs along its bottom."""
    top, bottom = _edges(layout, pieces)
    parts: list[tuple[str, str]] = []
    for part in pieces.parts:
        items = bool(parts) and part.piece.kind == "item" and parts[-1][0] == "item"
        parts.append((part.piece.kind, ("\n" if items else "\n\n") + part.markdown))
    middle = "".join(text for _, text in parts).strip("\n")
    notes = [f"[^{body.numbers[name]}]: {body.notes[name]}" for name in pieces.notes if body.notes.get(name)]
    return "\n\n".join(text for text in [*top, middle, *notes, *bottom] if text)


def _edges(layout: Layout, pieces: PagePieces) -> tuple[list[str], list[str]]:
    """Running headers and footers that are drawn but are not the body's."""
    top: list[str] = []
    bottom: list[str] = []
    place = 0
    for area in layout.areas:
        count = len(_words(layout, area))
        own = sum(index in pieces.matched for index in range(place, place + count))
        place += count
        if area.kind in FURNITURE and (not count or own < 0.5 * count):
            (top if area.box.y0 < layout.height / 2 else bottom).append(answers.text(area))
    return top, bottom


def _reason(error: FoveateError, file: Path) -> str:
    return str(error).replace(str(file), file.name)


def _fingerprint(path: Path) -> str:
    from hashlib import sha256

    with path.open("rb") as stream:
        digest = sha256()
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _forget(folder: str, owner: int) -> None:
    """Removes the folder, in the process that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
