"""What a process that opens documents for another one needs: tasks in, pixels out, and no way to take more.

The other one writes a line of JSON for each task to its standard input. It answers on standard output with
four bytes of length, that many bytes of JSON, and for a page its RGB pixels.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from foveate.pages.source import Limits, open_pages

NUMBER = 4  # bytes of the length before an answer

Answer = tuple[dict[str, Any], bytes]  # what is written as JSON, and the pixels behind it


def serve(answer: Callable[[dict[str, Any]], Answer]) -> None:
    """Answers tasks until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        for line in sys.stdin.buffer:
            _write(answers, *answer(json.loads(line)))


def draw(task: dict[str, Any]) -> Answer:
    """The page of a task: path, number, dpi, password, limits. Raises `InputError`."""
    (page,) = open_pages(
        task["path"],
        pages=str(task["number"]),
        dpi=task["dpi"],
        password=task["password"],
        limits=Limits(**task["limits"]),
    )
    width, height = page.image.size
    return {"width": width, "height": height, "dpi": page.dpi}, page.image.tobytes()


def bound_memory(size: int) -> None:
    """From here on this process cannot have more than so many bytes, where the system can say so."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _write(stream: BinaryIO, answer: dict[str, Any], pixels: bytes) -> None:
    text = json.dumps(answer).encode()
    stream.write(len(text).to_bytes(NUMBER, "big") + text)
    stream.write(pixels)
    stream.flush()
