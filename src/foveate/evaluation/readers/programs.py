"""Other programs that read: tesseract, and the PaddleOCR networks of RapidOCR."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, Self

import numpy as np
from PIL import Image

from foveate.errors import OptionError
from foveate.evaluation.readers.protocol import AUTO, ReaderOptions, Reading

DPI = 144  # that tesseract is told: pages come without
ONE_THREAD = {"OMP_THREAD_LIMIT": "1"}  # several wait for one another: 6.4 s a page on two cores, not 1.3


class Tesseract:
    """One process for each page, the picture through a pipe."""

    name = "tesseract"

    def __init__(self, program: str, options: ReaderOptions) -> None:
        self._program, self._options = program, options

    @classmethod
    def open(cls, place: str, options: ReaderOptions) -> Self:
        """Raises `OptionError` when the program is not installed."""
        program = shutil.which("tesseract")
        if program is None:
            raise OptionError("the program tesseract is not installed: apt install tesseract-ocr")
        return cls(program, options)

    def read(self, image: Image.Image, mode: str = AUTO, *, page: str = "") -> Reading:
        """The page's text as tesseract lays it out."""
        image.convert("RGB").save(picture := io.BytesIO(), "PNG", compress_level=1)
        command = [self._program, "stdin", "stdout", "-l", self._options.language, "--dpi", str(DPI)]
        started = time.perf_counter()
        try:
            done = subprocess.run(
                command,
                input=picture.getvalue(),
                capture_output=True,
                timeout=self._options.timeout,
                env={**ONE_THREAD, **os.environ},
            )
        except subprocess.TimeoutExpired:
            return Reading("", time.perf_counter() - started, stop="error", error="tesseract took too long")
        seconds = time.perf_counter() - started
        if done.returncode:
            complaint = done.stderr.decode("utf-8", "replace").strip().splitlines()
            error = complaint[-1] if complaint else f"tesseract ended with {done.returncode}"
            return Reading("", seconds, stop="error", error=error)
        return Reading(done.stdout.decode("utf-8", "replace").replace("\f", "").strip(), seconds)

    def versions(self) -> dict[str, str]:
        said = subprocess.run([self._program, "--version"], capture_output=True, text=True).stdout
        return {"tesseract": said.split("\n")[0].removeprefix("tesseract ").strip()}


class RapidOCR:
    """Finds lines and reads each; the networks come with the package."""

    name = "rapidocr"

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @classmethod
    def open(cls, place: str, options: ReaderOptions) -> Self:
        """Raises `OptionError` when the package is not installed."""
        try:
            from rapidocr import RapidOCR as Engine
        except ImportError as problem:
            raise OptionError("rapidocr is not installed: pip install rapidocr onnxruntime") from problem
        return cls(Engine(params={"Global.log_level": "error"}))

    def read(self, image: Image.Image, mode: str = AUTO, *, page: str = "") -> Reading:
        """The page's lines from top to bottom; the confidence is that of its lines, by their lengths."""
        pixels = np.asarray(image.convert("RGB"))[:, :, ::-1]  # (H, W, 3), blue first
        started = time.perf_counter()
        # Its check for lines on their heads turns upright ones, and then reads nonsense.
        found = self._engine(np.ascontiguousarray(pixels), use_cls=False)
        seconds = time.perf_counter() - started
        if found.txts is None or found.boxes is None:
            return Reading("", seconds)
        weights = [max(1, len(text)) for text in found.txts]
        confidence = float(np.average(np.asarray(found.scores, float), weights=weights))
        return Reading(joined_lines(found.boxes, found.txts), seconds, confidence=confidence)

    def versions(self) -> dict[str, str]:
        return {name: version(name) for name in ("rapidocr", "onnxruntime")}


def joined_lines(boxes: Iterable[Any], texts: Sequence[str]) -> str:
    """Pieces of text as lines: those that stand beside one another, from left to right, share a line.

    `boxes` are four corners each, (4, 2) in pixels.
    """
    corners = [np.asarray(box, float) for box in boxes]
    pieces = [
        (box[:, 1].mean(), float(np.ptp(box[:, 1])), box[:, 0].min(), text)
        for box, text in zip(corners, texts, strict=True)
    ]
    lines: list[list[tuple[float, float, float, str]]] = []
    for piece in sorted(pieces):
        last = lines[-1][-1] if lines else None
        if last is not None and piece[0] - last[0] < 0.5 * min(piece[1], last[1]):
            lines[-1].append(piece)
        else:
            lines.append([piece])
    return "\n".join(" ".join(text for _, _, _, text in sorted(line, key=lambda p: p[2])) for line in lines)
