r"""Pictures of formulas: many in one document, a page each, set by whatever LaTeX there is.

LaTeX runs in a folder of its own, which is removed, without a shell, without files outside of that folder,
and with a limit of time. What reaches it has gone through `latex_tokens.paint`, which lets known commands
through and nothing else. A formula that LaTeX complains about is not set, however well LaTeX recovers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.latex_tokens import Painted

PROGRAMS = ("pdflatex", "lualatex", "xelatex", "tectonic")
EM = 40  # pixels: the size of the letters in the pictures
BATCH = 100  # formulas of one document
TIMEOUT = 60.0  # seconds of one document
MOST_PIXELS = 16_000_000
_SCALE = EM / 10  # pixels of a point: letters are set in 10 points
_BROKEN = re.compile(r"^! ", re.MULTILINE)  # an error in LaTeX's log
_START = re.compile(r"^<<(\d+)$", re.MULTILINE)

# How each program switches the colour, until the next switch, whatever the group; and sizes a page.
_SWITCH = {
    "pdflatex": r"\pdfcolorstack0 set{#1 rg #1 RG}",
    "lualatex": r"\pdfextension colorstack 0 set{#1 rg #1 RG}",
    "xelatex": r"\special{color rgb #1}",
}
_PAGE = {"lualatex": ("pagewidth", "pageheight")}
_HEAD = r"""\documentclass[10pt]{article}
\usepackage{amsmath,amssymb}
\setcounter{MaxMatrixCols}{40}
\def\switch#1{@SWITCH@}
\def\C#1{\csname color\number#1\endcsname}
\def\Q{\hbox{\kern.05em\vrule width.8em height.8em depth0pt\kern.05em}}
@COLORS@
\hoffset=-1in \voffset=-1in \hbadness=10000 \hfuzz=\maxdimen
\errorcontextlines=-1
\newbox\formula
\def\show{\@WIDTH@=\wd\formula \@HEIGHT@=\dimexpr\ht\formula+\dp\formula+8pt\relax
  \ifdim\wd\formula>4000pt \@WIDTH@=9pt \fi \ifdim\@HEIGHT@>4000pt \@HEIGHT@=9pt \fi
  \shipout\vbox{\kern4pt\box\formula}}
\begin{document}
"""
_FORMULA = r"""\immediate\write-1{^^J<<%d}\setbox\formula\hbox{\kern4pt$\displaystyle %s$\kern4pt}\show
"""


@dataclass(frozen=True)
class Picture:
    """A formula that was set: each token's box (left, top, right, bottom) in pixels, None without ink."""

    boxes: tuple[tuple[int, int, int, int] | None, ...]
    width: int
    height: int


@cache
def find_renderer() -> str | None:
    """The first LaTeX on this machine that sets a formula; None where there is none."""
    for name in PROGRAMS:
        if shutil.which(name) and Renderer(name).render([Painted(r"\C{0}x^{\C{1}2}", ("x", "2"))])[0]:
            return name
    return None


class Renderer:
    """One of `PROGRAMS` at work."""

    def __init__(self, program: str, timeout: float = TIMEOUT) -> None:
        self.program, self.timeout = program, timeout

    def render(self, formulas: Sequence[Painted]) -> list[Picture | None]:
        """A picture of each formula; None for those that cannot be set."""
        found: list[Picture | None] = []
        for start in range(0, len(formulas), BATCH):
            found += self._batch(formulas[start : start + BATCH])
        return found

    def _batch(self, formulas: Sequence[Painted]) -> list[Picture | None]:
        """One document; where it fails as a whole, its halves, so that one formula harms itself alone."""
        with tempfile.TemporaryDirectory(prefix="foveate-formulas-") as folder:
            log = self._run(Path(folder), formulas)
            broken = _broken(log, len(formulas))
            if broken is not None:
                pictures = _pictures(Path(folder) / "formulas.pdf", formulas, broken)
                if pictures is not None:
                    return pictures
        if len(formulas) == 1:
            return [None]
        middle = len(formulas) // 2
        return [*self._batch(formulas[:middle]), *self._batch(formulas[middle:])]

    def _run(self, folder: Path, formulas: Sequence[Painted]) -> str:
        """Sets the document. Returns the log, empty where the program did not end."""
        (folder / "formulas.tex").write_text(self.document(formulas), encoding="ascii")
        try:
            subprocess.run(
                self._command(),
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self.timeout,
                check=False,
            )
            return (folder / "formulas.log").read_text(encoding="utf-8", errors="replace")
        except (OSError, subprocess.TimeoutExpired):
            return ""

    def _command(self) -> list[str]:
        path = shutil.which(self.program) or self.program
        if self.program == "tectonic":
            return [path, "--untrusted", "--only-cached", "--keep-logs", "formulas.tex"]
        return [path, "-no-shell-escape", "-interaction=nonstopmode", "formulas.tex"]

    def document(self, formulas: Sequence[Painted]) -> str:
        r"""The source: each formula's number goes to the log, and its box onto a page of its size."""
        width, height = _PAGE.get(self.program, ("pdfpagewidth", "pdfpageheight"))
        most = max(len(formula.labels) for formula in formulas)
        colors = "".join(
            f"\\expandafter\\def\\csname color{number}\\endcsname{{\\switch{{{_rgb(number)}}}}}\n"
            for number in range(most)
        )
        head = _HEAD.replace("@SWITCH@", _SWITCH.get(self.program, _SWITCH["xelatex"]))
        head = head.replace("@COLORS@\n", colors).replace("@WIDTH@", width).replace("@HEIGHT@", height)
        pages = "".join(
            _FORMULA % (number, " ".join(formula.source.split())) for number, formula in enumerate(formulas)
        )
        return f"{head}{pages}\\immediate\\write-1{{^^J<<{len(formulas)}}}\\end{{document}}\n"


def _environment(folder: Path) -> dict[str, str]:
    """What LaTeX may know: where programs are, and that it stays in its folder."""
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "HOME", "XDG_CACHE_HOME")
    values = {name: os.environ[name] for name in kept if name in os.environ}
    closed = {"openin_any": "p", "openout_any": "p", "shell_escape": "f", "max_print_line": "1000"}
    return {**values, **closed, "TEXMFHOME": str(folder / "none"), "SOURCE_DATE_EPOCH": "0"}


def _rgb(number: int) -> str:
    """The colour of a token: three digits to the base of 16, far from the white of the paper."""
    return " ".join(f"{(number >> shift & 15) * 16 / 255:.4f}" for shift in (8, 4, 0))


def _broken(log: str, count: int) -> set[int] | None:
    """Numbers of the formulas with errors; None where the log does not tell of all formulas."""
    starts = list(_START.finditer(log))
    if [int(start.group(1)) for start in starts] != list(range(count + 1)):
        return None
    ends = [start.start() for start in starts[1:]]
    pairs = zip(starts, ends, strict=False)
    return {number for number, (start, end) in enumerate(pairs) if _BROKEN.search(log, start.end(), end)}


def _pictures(path: Path, formulas: Sequence[Painted], broken: set[int]) -> list[Picture | None] | None:
    """The pages as pictures; None where the file has not a page for each formula."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except (pypdfium2.PdfiumError, FileNotFoundError):
        return None
    with document:
        if len(document) != len(formulas):
            return None
        return [
            None if number in broken else _picture(document, number, len(formula.labels))
            for number, formula in enumerate(formulas)
        ]


def _picture(document: Any, number: int, tokens: int) -> Picture | None:
    page = document[number]
    width, height = page.get_size()
    if width * height * _SCALE**2 > MOST_PIXELS:
        return None
    # Without smoothing every pixel of ink has exactly its token's colour.
    bitmap = page.render(
        scale=_SCALE, no_smoothtext=True, no_smoothpath=True, no_smoothimage=True, rev_byteorder=True
    )
    pixels = np.asarray(bitmap.to_numpy()[..., :3])  # (H, W, 3)
    return Picture(_boxes(pixels, tokens), pixels.shape[1], pixels.shape[0])


def _boxes(pixels: NDArray[np.uint8], tokens: int) -> tuple[tuple[int, int, int, int] | None, ...]:
    """The box of each token's ink. (H, W, 3)"""
    from scipy.ndimage import find_objects

    digits = (pixels.astype(np.int32) + 8) // 16  # (H, W, 3), white is 16
    numbers = digits[..., 0] * 256 + digits[..., 1] * 16 + digits[..., 2] + 1  # (H, W), 0 is none
    numbers[(digits == 16).any(axis=-1)] = 0
    found = find_objects(numbers, max_label=tokens)
    return tuple(
        None if place is None else (place[1].start, place[0].start, place[1].stop, place[0].stop)
        for place in found
    )
