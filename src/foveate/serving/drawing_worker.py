"""The process that opens strangers' files: `python -m foveate.serving.drawing_worker`.

It takes one line of JSON for each task on standard input and answers on standard output with four bytes of
length, that many bytes of JSON, and for a page its RGB pixels. A file that makes it crash, hang or swell
takes down this process and not the server.
"""

import contextlib
import json
import os
import sys
from typing import Any, BinaryIO

from foveate import errors
from foveate.pages.source import Limits, count_pages, open_pages, parse_page_range

NUMBER = 4  # bytes of the length before an answer


def main() -> None:
    """Works until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    for line in sys.stdin.buffer:
        task = json.loads(line)
        try:
            answer, pixels = _draw(task) if "number" in task else (_numbers(task), b"")
        except errors.FoveateError as problem:
            # The file lies under a name of ours, which is nobody's business.
            message = str(problem).replace(task["path"], task["name"])
            answer, pixels = {"error": type(problem).__name__, "message": message}, b""
        except MemoryError:
            message = f"{task['name']}: takes too much memory to be drawn: make it smaller"
            answer, pixels = {"error": "SourceTooLarge", "message": message}, b""
        _write(answers, answer, pixels)


def _numbers(task: dict[str, Any]) -> dict[str, Any]:
    """The pages that were asked for."""
    limits = Limits(**task["limits"])
    count = count_pages(task["path"], password=task["password"], limits=limits)
    if not count:
        raise errors.CorruptSource(f"{task['name']}: there is no page in it: export it again")
    numbers = range(1, count + 1) if task["pages"] is None else parse_page_range(task["pages"], count)
    if limits.pages is not None and len(numbers) > limits.pages:
        raise errors.SourceTooLarge(
            f"{task['name']}: {len(numbers)} pages are over the limit of {limits.pages}: "
            f"choose some, such as 1-{limits.pages}"
        )
    return {"numbers": list(numbers)}


def _draw(task: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    (page,) = open_pages(
        task["path"],
        pages=str(task["number"]),
        dpi=task["dpi"],
        password=task["password"],
        limits=Limits(**task["limits"]),
    )
    width, height = page.image.size
    return {"width": width, "height": height, "dpi": page.dpi}, page.image.tobytes()


def _write(stream: BinaryIO, answer: dict[str, Any], pixels: bytes) -> None:
    text = json.dumps(answer).encode()
    stream.write(len(text).to_bytes(NUMBER, "big") + text)
    stream.write(pixels)
    stream.flush()


def _bound_memory(size: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # systems without it go without
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _bound_memory(int(sys.argv[1]))
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()
