"""Readers by name: whatever turns a page into text, ours or not, can be measured.

    reader = get_reader("tesseract")
    reader.read(image).text

protocol.py      what a reader promises
ours.py          nano, and any checkpoint of ours      predictions.py  a folder of texts
endpoint.py      a server that speaks OpenAI's way     programs.py     tesseract, RapidOCR
huggingface.py   models through `transformers`         adapters.py     how each of those is asked
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from foveate.errors import OptionError
from foveate.evaluation.readers.protocol import AUTO, PageReader, ReaderOptions, Reading

__all__ = ["AUTO", "KINDS", "PageReader", "ReaderOptions", "Reading", "get_reader"]

# The word before the colon, or the whole name. The modules are heavy: read on demand.
_ALONE = {
    "tesseract": ("programs", "Tesseract"),
    "rapidocr": ("programs", "RapidOCR"),
    "blank": ("predictions", "Blank"),
}
_PREFIXED = {
    "predictions": ("predictions", "Predictions"),
    "openai": ("endpoint", "Endpoint"),
    "hf": ("huggingface", "HuggingFaceReader"),
}
KINDS = (
    "nano, a checkpoint's folder or hub id, predictions:DIR, openai:URL, tesseract, rapidocr, "
    "hf:FOLDER or blank"
)


def get_reader(name: str, options: ReaderOptions | None = None) -> PageReader:
    """The reader of that name; one that is none of the kinds is a checkpoint of ours, a folder or a hub id.

    Raises `OptionError` for a name without its other half, `ModelError` for a model that cannot be loaded.
    """
    kind, colon, rest = name.partition(":")
    if name in _ALONE:
        module, entry = _ALONE[name]
    elif colon and kind in _PREFIXED and rest:
        module, entry = _PREFIXED[kind]
    elif kind in _ALONE or kind in _PREFIXED or not name:
        raise OptionError(f"{name!r} is not a reader: choose {KINDS}")
    else:
        module, entry, rest = "ours", "OurReader", name
    open_reader: Callable[[str, ReaderOptions], PageReader] = getattr(
        import_module(f"{__name__}.{module}"), entry
    ).open
    return open_reader(rest, options or ReaderOptions())
