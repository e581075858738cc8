"""Readers that say what stands where in a picture: one small interface, and RapidOCR behind it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from foveate.data.sample import Region
from foveate.document import Box
from foveate.errors import OptionError

# The files of PP-OCR that the wheel of rapidocr carries. Named one by one, because the package would
# fetch any other over the network.
_MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
_MOST_SIDE = 1600  # pixels: larger pictures are made smaller for finding the lines
_LEAST_SIDE = 4  # pixels: a thinner picture holds no letter


class Annotator(Protocol):
    """Labels places of a picture: lines with their words, or areas of a layout with their kinds."""

    @property
    def name(self) -> str:
        """Of the reader and its version, for the sample's details."""
        ...

    def annotate(self, image: Image.Image) -> list[Region]:
        """The regions of an RGB image in pixels, in any order; the same for the same image."""
        ...


class RapidAnnotator:
    """Lines of text by RapidOCR (PaddleOCR's PP-OCRv6 on ONNX Runtime), from the models in its wheel.

    Never downloads. Regions of kind "line", from the top; those it is less sure of than `confidence` are left
    out. threads: of ONNX Runtime. Loaded at the first picture, again in every process that it is sent to.
    """

    def __init__(self, *, confidence: float = 0.7, threads: int = 1) -> None:
        if not 0 <= confidence <= 1 or threads < 1:
            raise OptionError("an annotator takes a confidence from 0 to 1 and at least one thread")
        self._confidence, self._threads = confidence, threads

    @property
    def name(self) -> str:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return f"rapidocr {version('rapidocr')}"
        except PackageNotFoundError:
            return "rapidocr"

    def annotate(self, image: Image.Image) -> list[Region]:
        """The lines of text of a picture."""
        if min(image.size) < _LEAST_SIDE:
            return []
        pixels = np.asarray(image.convert("RGB"))[:, :, ::-1]  # RGB -> BGR, as OpenCV has it
        reader, lock = _reader(self._threads)
        with lock:  # it keeps its last settings between calls
            found = reader(np.ascontiguousarray(pixels))
        regions = list(self._regions(found, image.size))
        return sorted(regions, key=lambda region: (region.box.y0, region.box.x0))

    def _regions(self, found: Any, size: tuple[int, int]) -> Iterator[Region]:
        if found.boxes is None or found.txts is None:
            return
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)  # (4, 2): four corners
            box = Box(max(float(x0), 0), max(float(y0), 0), min(float(x1), size[0]), min(float(y1), size[1]))
            words = " ".join(text.split())
            if score >= self._confidence and words and box.area > 0:
                yield Region("line", box, words)


@functools.lru_cache(maxsize=2)
def _reader(threads: int) -> tuple[Any, threading.Lock]:
    """The reader of this process."""
    try:
        import rapidocr
    except ImportError as error:
        raise OptionError(
            "reading text from pixels needs rapidocr: pip install 'foveate[annotate]'"
        ) from error
    folder = Path(rapidocr.__file__).parent / "models"
    settings: dict[str, Any] = {
        "Global.log_level": "error",
        # As it is configured it would grow small pictures until their short side is 736.
        "Det.limit_type": "max",
        "Det.limit_side_len": _MOST_SIDE,
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    for stage, file in _MODELS.items():
        if not (folder / file).is_file():
            raise OptionError(
                f"this rapidocr has no {file}: install one of 3.10, whose wheel carries its models"
            )
        settings[f"{stage}.model_path"] = str(folder / file)
    return rapidocr.RapidOCR(params=settings), threading.Lock()
