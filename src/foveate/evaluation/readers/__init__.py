"""Readers by name: whatever turns a page into text, ours or not, can be measured.

    reader = get_reader("tesseract")
    reader.read(image).text

protocol.py      what a reader promises
ours.py          nano, and any checkpoint of ours      predictions.py  a folder of texts
endpoint.py      a server that speaks OpenAI's way     programs.py     tesseract, RapidOCR
huggingface.py   models through `transformers`         adapters.py     how each of those is asked
"""

from __future__ import annotations

from importlib import import_module

from foveate.evaluation.readers.protocol import AUTO, PageReader, ReaderOptions, Reading
from foveate.errors import OptionError

__all__ = ["AUTO", "KINDS", "PageReader", "ReaderOptions", "Reading", "get_reader"]

# The word before the colon, or the whole name -> module and factory. The modules are heavy: read on demand.
_FACTORIES = {
    "predictions": ("predictions", "Predictions.open"),
    "openai": ("endpoint", "Endpoint.open"),
    "hf": ("huggingface", "HuggingFaceReader.open"),
    "tesseract": ("programs", "Tesseract.open"),
    "rapidocr": ("programs", "RapidOCR.open"),
    "blank": ("predictions", "Blank.open"),
}
KINDS = "nano, a checkpoint's folder or hub id, predictions:DIR, openai:URL, tesseract, rapidocr, hf:FOLDER or blank"
_ALONE = ("tesseract", "rapidocr", "blank")


def get_reader(name: str, options: ReaderOptions | None = None) -> PageReader:
    """The reader of that name; one that is none of the kinds is a checkpoint of ours, a folder or a hub id.

    Raises `OptionError` for a name without its other half, `ModelError` for a model that cannot be loaded.
    """
    kind, _, rest = name.partition(":")
    if kind not in _FACTORIES:
        module, entry = "ours", "OurReader.open"
    elif (kind in _ALONE) == bool(rest):
        raise OptionError(f"{name!r} is not a reader: choose {KINDS}")
    else:
        module, entry = _FACTORIES[kind]
    made = import_module(f"{__name__}.{module}")
    for part in entry.split("."):
        made = getattr(made, part)
    reader: PageReader = made(rest or name, options or ReaderOptions())
    return reader
