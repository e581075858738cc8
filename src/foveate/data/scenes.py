"""Text in scenes: photographs that an annotator labels, and words composed into pictures.

The composed ones are made for their boxes: every piece of text is drawn flat, bent, put into perspective and
blended in, and its box is the one around the ink that came out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.data import scene_art as art
from foveate.data.annotator import Annotator, RapidAnnotator
from foveate.data.documents.answers import located, plain
from foveate.data.documents.compose import compose_lines
from foveate.data.documents.lines import is_wide
from foveate.data.documents.pdf import files_of, regions_to_lines
from foveate.data.sample import Region, Sample, Skipped, Task, Turn, ask, dice
from foveate.data.text import TextFile, opened
from foveate.document import Box
from foveate.errors import FoveateError, OptionError
from foveate.pages.source import SUFFIXES, Limits, open_pages

PHOTOGRAPH_LIMITS = Limits(bytes=1 << 27, pixels=100_000_000)
PHOTOGRAPHS = tuple(sorted(SUFFIXES - {".pdf"}))
_LOCATED = 0.75  # of the samples ask for lines with their boxes, the others for the text alone
_MOST_PIECES = 6
_TRIES = 24  # places that are tried for a piece
_LONGEST = 28  # characters of a piece
_STRETCH = 600  # bytes of text that a piece is taken from


class SceneMaker:
    """Samples of kind "scene": the photographs of a folder, labelled by an annotator.

    A photograph on which the annotator reads nothing is skipped with the reason. side: the most pixels of a
    long side.
    """

    kind = "scene"
    task: Task = "ocr1"

    def __init__(
        self,
        photographs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        annotator: Annotator | None = None,
        side: int = 1280,
        limits: Limits = PHOTOGRAPH_LIMITS,
    ) -> None:
        if not 64 <= side <= 4096:
            raise OptionError(f"a picture cannot be {side} pixels long here: choose 64 to 4096")
        self._files = files_of(photographs, PHOTOGRAPHS)
        self._annotator: Annotator = annotator or RapidAnnotator()
        self._side, self._limits = side, limits

    @property
    def size(self) -> int:
        return len(self._files)

    def make(self, number: int, seed: int) -> Sample | Skipped:
        """The sample of a photograph, or why there is none."""
        file = self._files[number]
        try:
            image = _photograph(file, self._side, self._limits)
        except FoveateError as error:
            return Skipped(self.kind, file.name, str(error).replace(str(file), file.name), number)
        found = self._annotator.annotate(image)
        if not found:
            return Skipped(self.kind, file.name, "no text that the annotator reads", number)
        regions = in_order(found, image.size)
        form = _form(dice(self.kind, number, seed))
        details = {"labels": self._annotator.name, "form": form}
        return Sample(
            self.kind, self.task, _conversation(form, regions, image.size), image, regions=tuple(regions),
            source=file.name, number=number, seed=seed, details=details,
        )  # fmt: skip


class ComposedSceneMaker:
    """Samples of kind "scene-text", without end: words from text files, composed into pictures.

    text: plain or .xz; photographs: a folder to take backgrounds from, beside the drawn ones; side: pixels
    of the longer side, at most.
    """

    kind = "scene-text"
    task: Task = "ocr1"
    size: int | None = None

    def __init__(
        self,
        text: Sequence[str | os.PathLike[str]],
        *,
        photographs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        side: int = 1024,
    ) -> None:
        self._text = [Path(file) for file in text]
        if not self._text:
            raise OptionError("composed scenes need words: name a file of text")
        if not 320 <= side <= 2048:
            raise OptionError(f"a composed picture cannot be {side} pixels long: choose 320 to 2048")
        self._photographs = files_of(photographs, PHOTOGRAPHS) if photographs is not None else []
        self._side = side

    def make(self, number: int, seed: int) -> Sample | Skipped:
        """The sample of a number."""
        generator = dice(self.kind, number, seed)
        file = self._text[int(generator.integers(len(self._text)))]
        scene, background = self._background(generator)
        placed: list[tuple[art.Drawn, str]] = []
        for _ in range(int(generator.integers(1, _MOST_PIECES + 1))):
            words = _words(_opened(str(file)), generator)
            drawn = words and self._added(scene, words, [one for one, _ in placed], generator)
            if words and drawn:
                placed.append((drawn, words))
        if not placed:
            return Skipped(self.kind, file.name, "no words that an installed font draws", number)
        image = art.finished(scene, generator)
        regions = in_order([Region("line", drawn.box, words) for drawn, words in placed], image.size)
        form = _form(generator)
        details = {
            "form": form,
            "background": background,
            "pieces": [_described(drawn, words) for drawn, words in placed],
        }
        return Sample(
            self.kind, self.task, _conversation(form, regions, image.size), image, regions=tuple(regions),
            source=file.name, number=number, seed=seed, details=details,
        )  # fmt: skip

    def _background(self, generator: np.random.Generator) -> tuple[art.Scene, str]:
        """A picture to write on, as floats, and what it is."""
        long = int(generator.integers(max(320, self._side // 2), self._side + 1))
        short = int(long * generator.uniform(0.6, 1.0))
        width, height = (long, short) if generator.random() < 0.6 else (short, long)
        if self._photographs and generator.random() < 0.6:
            file = self._photographs[int(generator.integers(len(self._photographs)))]
            try:
                photograph = _photograph(file, 2 * self._side, Limits())
            except FoveateError:
                pass  # a drawn one instead
            else:
                return art.cut_out(photograph, width, height, generator), file.name
        return art.drawn_background(width, height, generator)

    def _added(
        self, scene: art.Scene, words: str, placed: Sequence[art.Drawn], generator: np.random.Generator
    ) -> art.Drawn | None:
        """The words drawn into the scene, where no others are; None when there is no room."""
        height, width = scene.shape[:2]
        piece = art.flat_piece(words, generator, width)
        if piece is None:
            return None
        for _ in range(_TRIES):
            drawn = art.in_perspective(piece, width, height, generator)
            if drawn is not None and not any(_touch(drawn.around, other.around) for other in placed):
                art.blend(scene, drawn, generator)
                return drawn
        return None


def _touch(one: Box, other: Box) -> bool:
    gap = 4
    apart = one.x1 + gap < other.x0 or other.x1 + gap < one.x0
    return not (apart or one.y1 + gap < other.y0 or other.y1 + gap < one.y0)


def _described(drawn: art.Drawn, words: str) -> dict[str, object]:
    quad = [[round(float(x), 2), round(float(y), 2)] for x, y in drawn.quad]
    return {"text": words, "quad": quad, "font": drawn.font, "bend": round(drawn.bend, 3)}


def _form(generator: np.random.Generator) -> str:
    return "lines" if generator.random() < _LOCATED else "text"


def _conversation(form: str, regions: Sequence[Region], size: tuple[int, int]) -> tuple[Turn, Turn]:
    if form == "lines":
        return ask("ocr", located(regions, *size))
    return ask("text", "\n".join(region.text for region in regions))


def in_order(regions: Sequence[Region], size: tuple[int, int]) -> list[Region]:
    """Lines in reading order, their words fit for an answer."""
    regions = [Region(region.kind, region.box, plain(region.text)) for region in regions]
    by_place = {index: region for index, region in enumerate(regions)}
    layout = compose_lines(regions_to_lines(regions), *size)
    return [by_place[line.words[0].order] for area in layout.areas for line in area.lines]


def _photograph(file: Path, side: int, limits: Limits) -> Image.Image:
    """The first picture of a file in RGB, made smaller to fit a side."""
    image = next(iter(open_pages(file, pages="1", limits=limits))).image
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


@cache
def _opened(file: str) -> TextFile:
    return opened([Path(file)])[0]


def _words(text: TextFile, generator: np.random.Generator) -> str:
    """A few words that follow each other in a text; "" when there are none that can be drawn."""
    start = text.start_near(int(generator.integers(max(len(text) - _STRETCH, 1))))
    stretch = text.text(start, min(start + _STRETCH, len(text)))
    words = [word for word in stretch.split() if art.is_simple(word)][:-1]
    if not words:
        return ""
    first = int(generator.integers(len(words)))
    count = int(generator.integers(1, 5))
    chosen = " ".join(words[first : first + count])
    longest = _LONGEST // 2 if any(map(is_wide, chosen)) else _LONGEST
    cut = chosen[:longest]
    # Whole words, but for scripts that have no spaces.
    chosen = cut if cut == chosen or " " not in cut else cut.rpartition(" ")[0]
    return chosen.upper() if generator.random() < 0.2 else chosen
