"""nano, and every other checkpoint that `foveate read` takes."""

from __future__ import annotations

from typing import Self

from PIL import Image

from foveate.engine.reader import Reader
from foveate.errors import FoveateError
from foveate.evaluation.readers.protocol import AUTO, ReaderOptions, Reading


class OurReader:
    """Reads with a network of this package."""

    def __init__(self, name: str, reader: Reader, options: ReaderOptions) -> None:
        self.name = name
        self._reader, self._options = reader, options

    @classmethod
    def open(cls, name: str, options: ReaderOptions) -> Self:
        """Loads the network. Raises `ModelError` or `OptionError`."""
        return cls(name, Reader.load(name, device=options.device, dtype=options.dtype), options)

    def read(self, image: Image.Image, mode: str = AUTO, *, page: str = "") -> Reading:
        """The page's Markdown, without running headers and the like; see `Page.markdown`."""
        options = self._options
        try:
            document = self._reader.read(
                image,
                mode=mode,
                prompt=options.prompt,
                max_tokens=options.max_tokens,
                retries=options.retries,
            )
        except FoveateError as problem:
            return Reading("", 0.0, stop="error", error=str(problem))
        (read,) = document.pages
        return Reading(
            text=read.markdown().strip(),
            seconds=read.seconds,
            text_tokens=read.text_tokens,
            vision_tokens=read.vision_tokens,
            confidence=read.confidence,
            stop=read.stop,
            error=read.error,
        )

    def versions(self) -> dict[str, str]:
        """PyTorch, and the weights' place in memory."""
        import torch

        parameter = next(self._reader.model.parameters())
        return {"torch": torch.__version__, "weights": f"{parameter.dtype} on {parameter.device}"}
