"""Rendered pages as a PDF of pictures, pixel for pixel: nothing is lost to JPEG. PDF 1.5, ISO 32000-1."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image

_POINTS = 72.0  # of an inch


class PdfFile:
    """A PDF that is written page by page, and appears under its name when it is closed without an error."""

    def __init__(self, path: Path, dpi: float) -> None:
        self._path, self._dpi = path, dpi
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._file = self._temporary.open("wb")
        self._places: list[int] = [0, 0]  # of objects 1 and 2, which come last
        self._pages: list[int] = []
        self._file.write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
            os.replace(self._temporary, self._path)
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, image: Image.Image) -> None:
        """A page of the picture's size at the file's resolution."""
        image = image if image.mode in ("L", "RGB") else image.convert("RGB")
        space = "DeviceGray" if image.mode == "L" else "DeviceRGB"
        width, height = (side * _POINTS / self._dpi for side in image.size)
        picture = self._object(
            f"<</Type/XObject/Subtype/Image/Width {image.width}/Height {image.height}"
            f"/ColorSpace/{space}/BitsPerComponent 8/Filter/FlateDecode",
            zlib.compress(image.tobytes(), 6),
        )
        drawn = self._object("<<", f"q {width:.4f} 0 0 {height:.4f} 0 0 cm /P Do Q".encode())
        self._pages.append(
            self._object(
                f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width:.4f} {height:.4f}]/Contents {drawn} 0 R"
                f"/Resources<</XObject<</P {picture} 0 R>>>>>>"
            )
        )

    def _object(self, head: str, stream: bytes | None = None) -> int:
        """Writes an object; its number."""
        self._places.append(self._file.tell())
        number = len(self._places)
        self._file.write(f"{number} 0 obj\n{head}".encode())
        if stream is not None:
            self._file.write(f"/Length {len(stream)}>>\nstream\n".encode() + stream + b"\nendstream")
        self._file.write(b"\nendobj\n")
        return number

    def _finish(self) -> None:
        """The catalogue, the list of pages and the table of places."""
        kids = " ".join(f"{number} 0 R" for number in self._pages)
        for number, content in (
            (1, "<</Type/Catalog/Pages 2 0 R>>"),
            (2, f"<</Type/Pages/Count {len(self._pages)}/Kids[{kids}]>>"),
        ):
            self._places[number - 1] = self._file.tell()
            self._file.write(f"{number} 0 obj\n{content}\nendobj\n".encode())
        start, count = self._file.tell(), len(self._places) + 1
        rows = "".join(f"{place:010d} 00000 n \n" for place in self._places)
        self._file.write(f"xref\n0 {count}\n0000000000 65535 f \n{rows}".encode())
        self._file.write(f"trailer\n<</Size {count}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n".encode())
        self._file.flush()
        os.fsync(self._file.fileno())
