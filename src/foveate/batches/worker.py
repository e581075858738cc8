"""The process that opens and draws documents: `python -m foveate.batches.worker`.

It speaks as `foveate.pages.apart` says. A page that makes it crash, hang or swell
takes down this process and not the batch. It ends with its standard input, and so when the batch was killed.
"""

import contextlib
import hashlib
import re
import sys
from pathlib import Path
from typing import Any

from foveate.errors import FoveateError, PageRangeError
from foveate.pages import apart
from foveate.pages.source import Limits, count_pages, parse_page_range

MOST_PAGES = 1_000_000  # that a range may name beyond a document's end


def answer(task: dict[str, Any]) -> apart.Answer:
    """The page that is asked for, what is known of the document, or why there is neither."""
    try:
        return apart.draw(task) if "number" in task else (_open(task), b"")
    except FoveateError as problem:
        # A fetched file lies under a name of ours, which is nobody's business.
        return {"error": str(problem).replace(task["path"], task["name"])}, b""
    except MemoryError:
        return {"error": f"{task['name']}: takes too much memory: make it smaller"}, b""


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


def _be_first_to_go() -> None:
    """When memory runs out, the system ends this process rather than the network's."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    _be_first_to_go()
    apart.bound_memory(int(sys.argv[1]))
    apart.serve(answer)
