"""PDF files to samples: every page as drawn, with the text that the file itself has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from foveate.data.annotator import Annotator
from foveate.data.documents import answers, compose, grades
from foveate.data.documents.characters import Style, Word
from foveate.data.documents.compose import Layout
from foveate.data.documents.lines import Line
from foveate.data.documents.pdf_text import PageText, PdfText
from foveate.data.sample import Region, Sample, Skipped, Task, ask, dice
from foveate.document import Box
from foveate.errors import FoveateError, OptionError, SourceNotFound, SourceTooLarge, UnsupportedFormat
from foveate.pages.image import Limits

Form = Literal["coarse", "fine", "lines"]
# The prompt that tells a form of answer from the others.
FILE_LIMITS = Limits(bytes=1 << 28)
PROMPT_OF: dict[Form, str] = {"coarse": "text", "fine": "markdown", "lines": "ocr"}
# What is asked of a page of each grade, and how often.
GRADED: dict[grades.Name, dict[Form, float]] = {
    "fine": {"fine": 0.6, "coarse": 0.2, "lines": 0.2},
    "coarse": {"coarse": 0.8, "lines": 0.2},
}
_NEIGHBOURS = (-2, -1, 1, 2)  # pages whose edges are compared, for what runs along all of them


class PdfMaker:
    """Samples of kind "pdf", one for each page of some files, or of all PDFs of a folder, in order.

    form: "graded" lets the page's grade choose what is asked (`GRADED`); else the same is asked of all.
    side: pixels of a page's long side; annotator: reads the pages that have no text of their own.
    A file that does not open, or is over the limits, is one number, skipped with the reason.
    """

    kind = "pdf"
    task: Task = "ocr1"

    def __init__(
        self,
        files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        form: Form | Literal["graded"] = "graded",
        side: int = 1600,
        annotator: Annotator | None = None,
        limits: Limits = FILE_LIMITS,
    ) -> None:
        if form != "graded" and form not in PROMPT_OF:
            raise OptionError(f"{form!r} is not a form: choose from graded, {', '.join(PROMPT_OF)}")
        if not 64 <= side <= 4096:
            raise OptionError(f"a page cannot be {side} pixels long here: choose 64 to 4096")
        self._form, self._side, self._annotator, self._limits = form, side, annotator, limits
        self._pages: list[tuple[Path, int]] = []
        for file in files_of(files, (".pdf",)):
            self._pages += [(file, page + 1) for page in range(max(self._count(file), 1))]

    @property
    def size(self) -> int:
        return len(self._pages)

    def make(self, number: int, seed: int) -> Sample | Skipped:
        """The sample of a page, or why there is none."""
        file, page = self._pages[number]
        source = f"{file.name}:{page}"
        try:
            with open_pdf(file, self._limits) as document:
                image, text = document.open_page(page, self._side)
                edges = [document.bands(other) for other in edge_pages(page, len(document))]
        except FoveateError as error:
            return Skipped(self.kind, source, _reason(error, file), number)
        problem = grades.unreadable(text)
        sample: Sample | None = None
        if problem is None:
            sample = self._from_text(image, text, edges, number, seed)
        elif self._annotator is not None:
            sample = self._from_pixels(image, self._annotator, number, seed)
        if sample is None:
            return Skipped(self.kind, source, problem or "nothing that the annotator reads", number)
        return replace(sample, source=source)

    def _from_text(
        self, image: Image.Image, text: PageText, edges: Sequence[tuple[str, str]], number: int, seed: int
    ) -> Sample:
        layout = compose.compose(text, [upper for upper, _ in edges], [lower for _, lower in edges])
        grade = grades.grade(text, layout)
        details = {
            "grade": grade.name, "doubts": list(grade.reasons), "labels": "file",
            "hidden_words": len(text.hidden), "side": self._side,
        }  # fmt: skip
        return self._sample(image, layout, grade, details, number, seed)

    def _from_pixels(self, image: Image.Image, annotator: Annotator, number: int, seed: int) -> Sample | None:
        regions = annotator.annotate(image)
        if not regions:
            return None
        layout = compose.compose_lines(regions_to_lines(regions), image.width, image.height)
        grade = grades.Grade("coarse", ("read from the pixels",))
        details = {
            "grade": grade.name,
            "doubts": list(grade.reasons),
            "labels": annotator.name,
            "side": self._side,
        }
        return self._sample(image, layout, grade, details, number, seed)

    def _sample(
        self, image: Image.Image, layout: Layout, grade: grades.Grade, details: Mapping[str, object],
        number: int, seed: int,
    ) -> Sample:  # fmt: skip
        form = (
            self._form
            if self._form != "graded"
            else _choose(GRADED[grade.name], dice(self.kind, number, seed))
        )
        write = {"coarse": answers.coarse, "fine": answers.fine, "lines": answers.by_line}[form]
        regions = _regions(layout, image, form)
        return Sample(
            self.kind, self.task, ask(PROMPT_OF[form], write(layout)), image, regions=regions,
            number=number, seed=seed, details={**details, "form": form},
        )  # fmt: skip

    def _count(self, file: Path) -> int:
        try:
            with open_pdf(file, self._limits) as document:
                return len(document)
        except FoveateError:
            return 0  # `make` says why


def files_of(
    given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], suffixes: Sequence[str]
) -> list[Path]:
    """The files that are meant: those named, or every one below a folder with one of the suffixes."""
    if not isinstance(given, str | os.PathLike):
        return [Path(file) for file in given]
    folder = Path(given)
    if not folder.is_dir():
        return [folder]
    found = [path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    if not found:
        raise SourceNotFound(
            f"{folder}: no {' or '.join(suffixes)} in this folder or below: name another one"
        )
    return sorted(found)


def open_pdf(file: Path, limits: Limits) -> PdfText:
    """A PDF within limits, opened; whatever is wrong with it is an InputError."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(1024)
    except OSError as error:
        raise SourceNotFound(f"{file} cannot be opened: {error.strerror}: check the path") from error
    if size > limits.bytes:
        raise SourceTooLarge(f"{file}: {size:,} bytes are over the limit of {limits.bytes:,}: leave it out")
    if b"%PDF-" not in head:
        raise UnsupportedFormat(f"{file} is no PDF: name PDF files only")
    document = PdfText(file, str(file), dpi=144, password=None, limits=limits)
    if len(document) == 0 or (limits.pages is not None and len(document) > limits.pages):
        pages = len(document)
        document.close()
        raise SourceTooLarge(f"{file}: {pages} pages, where 1 to {limits.pages} can be taken: leave it out")
    return document


def edge_pages(page: int, count: int) -> Iterator[int]:
    """The pages whose edges are compared with those of a page."""
    return (page + step for step in _NEIGHBOURS if 1 <= page + step <= count)


def _reason(error: FoveateError, file: Path) -> str:
    """What went wrong, without the folder and without the advice for a person."""
    return str(error).replace(str(file), file.name)


def _choose(weights: Mapping[Form, float], generator: np.random.Generator) -> Form:
    forms = sorted(weights)
    shares = np.array([weights[form] for form in forms])
    return forms[int(generator.choice(len(forms), p=shares / shares.sum()))]


def regions_to_lines(regions: Sequence[Region]) -> list[Line]:
    """An annotator's lines as lines that can be laid out."""
    found = []
    for order, region in enumerate(regions):
        high = region.box.y1 - region.box.y0
        style = Style(size=max(0.75 * high, 1.0))  # of a line's height, from the top of b to the foot of p
        found.append(Line.of([Word(region.text, region.box, region.box.y1 - 0.2 * high, style, order)]))
    return found


def _regions(layout: Layout, image: Image.Image, form: Form) -> tuple[Region, ...]:
    """The labelled places of a page in pixels of its image."""
    across, down = image.width / layout.width, image.height / layout.height
    if form == "fine":
        known = answers.vocabulary(layout)
        found = [Region(area.kind, area.box, answers.text(area, known)) for area in layout.areas]
    else:
        found = answers.lines_of(layout)
    return tuple(replace(region, box=_scaled(region.box, across, down)) for region in found)


def _scaled(box: Box, across: float, down: float) -> Box:
    return Box(box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down)
