"""The process that opens and draws documents: `python -m foveate.batches.worker`.

It takes one line of JSON for each task on standard input and answers on standard output with four bytes of
length, that many bytes of JSON, and for a page its RGB pixels. A page that makes it crash, hang or swell
takes down this process and not the batch. It ends with its standard input, and so when the batch was killed.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO

from foveate.errors import FoveateError, PageRangeError
from foveate.pages.source import Limits, count_pages, open_pages, parse_page_range

NUMBER = 4  # bytes of the length before an answer
MOST_PAGES = 1_000_000  # that a range may name beyond a document's end


def main() -> None:
    """Works until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    for line in sys.stdin.buffer:
        task = json.loads(line)
        try:
            answer, pixels = _draw(task) if "number" in task else (_open(task), b"")
        except FoveateError as problem:
            # A fetched file lies under a name of ours, which is nobody's business.
            message = str(problem).replace(task["path"], task["name"])
            answer, pixels = {"error": message}, b""
        except MemoryError:
            answer, pixels = {"error": f"{task['name']}: takes too much memory: make it smaller"}, b""
        _write(answers, answer, pixels)


def _open(task: dict[str, Any]) -> dict[str, Any]:
    """The pages that are wanted, and what tells whether the file has changed."""
    path = task["path"]
    count = count_pages(path, password=task["password"], limits=Limits(**task["limits"]))
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    numbers = wanted_pages(task["pages"], count)
    if not numbers:
        none = f"none of the pages {task['pages']}" if count else "no page"
        raise PageRangeError(f"{task['name']}: there is {none} in it")
    return {"numbers": numbers, "bytes": Path(path).stat().st_size, "sha256": digest}


def wanted_pages(text: str | None, count: int) -> list[int]:
    """The pages of a range that a document of `count` pages has; a batch's documents differ in length."""
    if text is None:
        return list(range(1, count + 1))
    named = max((int(number) for number in re.findall("[0-9]{1,9}", text)), default=1)
    if named > MOST_PAGES:
        raise PageRangeError(f"{text!r} names a page beyond {MOST_PAGES:,}")
    return [number for number in parse_page_range(text, max(count, named)) if number <= count]


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


def _be_first_to_go() -> None:
    """When memory runs out, the system ends this process rather than the network's."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _bound_memory(size: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # systems without it go without
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _be_first_to_go()
    _bound_memory(int(sys.argv[1]))
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()
