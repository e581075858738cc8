"""Documents, a reader and processes that do what a test needs."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pypdfium2
from PIL import Image

from foveate.batches.run import Plan, read_batch
from foveate.document import Attempt, Block, Box, Page
from foveate.engine.reader import Options
from foveate.pages.image import PageImage


def pdf(path: Path, pages: int = 1, first: int = 40) -> Path:
    """A PDF of blank pages, each 10 points wider than the one before, so that they can be told apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = pypdfium2.PdfDocument.new()
    for number in range(pages):
        document.new_page(first + 10 * number, 30).close()
    document.save(path)
    document.close()
    return path


def picture(path: Path, width: int = 40, height: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), "white").save(path)
    return path


class Stop(BaseException):
    """What a test stops a batch with; nobody catches it."""


@dataclass
class Beside:
    """Reads pages as the engine does, some at a time. What it reads of a page depends on all that stands
    beside it or was read before it, so that another group, or another order, would be seen at once.
    """

    name: str = "beside"
    stop_after: int | None = None  # readings, then `Stop`
    poison: frozenset[int] = frozenset()  # widths of pages that break the network
    overflow: frozenset[int] = frozenset()  # widths of pages whose reading has an error
    calls: list[list[int]] = field(default_factory=list)  # widths of the pages of each call

    def read_pages(
        self, images: Iterator[PageImage], options: Options, batch_size: int = 8
    ) -> Iterator[tuple[PageImage, Page]]:
        history = sha256()
        running: list[PageImage] = []
        self.calls.append([])
        while True:
            while len(running) < batch_size and (image := next(images, None)) is not None:
                history.update(image.image.tobytes())
                self.calls[-1].append(image.image.width)
                running.append(image)
            if not running:
                return
            # Not in order: the narrowest first, as short pages overtake long ones.
            image = running.pop(min(range(len(running)), key=lambda n: running[n].image.width))
            if image.image.width in self.poison:
                raise RuntimeError("shapes do not fit\nlong story")
            if self.stop_after is not None:
                if not self.stop_after:
                    raise Stop
                self.stop_after -= 1
            yield image, self._page(image, history.hexdigest()[:8], options)

    def _page(self, image: PageImage, beside: str, options: Options) -> Page:
        width, height = image.image.size
        wrong = "numbers overflow" if width in self.overflow else None
        blocks = (
            Block("text", f"{width} x {height} beside {beside}", (Box(0, 0, width, 5),), 0.5),
            Block("image", "", (Box(0, 5, width, height),)),
        )
        attempts = (Attempt("tiny", "loop", 3, 0.25), Attempt("small", "end", 4, 0.75))
        numbers: dict[str, Any] = {"vision_tokens": 64, "text_tokens": 7, "seconds": 1.0, "confidence": 0.5}
        return Page(
            image.number, width, height, blocks, raw="raw", mode="small", prompt=options.prompt, error=wrong,
            attempts=attempts, **numbers,
        )  # fmt: skip


PLAN = Plan(format="json", batch_size=2, group=4, workers=1)


def whole(reader: Beside | None = None, plan: Plan = PLAN, out: str = "whole") -> dict[str, bytes]:
    """What the folder "in" gives when nothing stops the batch."""
    read_batch(lambda: reader or Beside(), ["in"], out, plan)
    return files(Path(out))


def worker(number: int, what: str) -> tuple[str, ...]:
    """The drawing process, except that on a page of this number it does something else, such as dying."""
    code = (
        "import foveate.batches.worker as worker, os, time, sys\n"
        "from foveate.pages import apart\n"
        "draw = apart.draw\n"
        "def other(task):\n"
        f"    if task['number'] == {number}:\n"
        f"        {what}\n"
        "    return draw(task)\n"
        "apart.draw = other\n"
        "apart.serve(worker.answer)\n"
    )
    return (sys.executable, "-c", code)


def files(folder: Path) -> dict[str, bytes]:
    """All that a batch gave."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".batch" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
