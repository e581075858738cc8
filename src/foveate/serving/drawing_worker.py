"""The process that opens strangers' files: `python -m foveate.serving.drawing_worker`.

It speaks as `foveate.pages.apart` says. A file that makes it crash, hang or swell
takes down this process and not the server.
"""

import sys
from typing import Any

from foveate import errors
from foveate.pages import apart
from foveate.pages.source import Limits, count_pages, parse_page_range


def answer(task: dict[str, Any]) -> apart.Answer:
    """The page that is asked for, the numbers of those that are wanted, or why there is neither."""
    try:
        return apart.draw(task) if "number" in task else (_numbers(task), b"")
    except errors.FoveateError as problem:
        # The file lies under a name of ours, which is nobody's business.
        message = str(problem).replace(task["path"], task["name"])
        return {"error": type(problem).__name__, "message": message}, b""
    except MemoryError:
        message = f"{task['name']}: takes too much memory to be drawn: make it smaller"
        return {"error": "SourceTooLarge", "message": message}, b""


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


if __name__ == "__main__":
    apart.bound_memory(int(sys.argv[1]))
    apart.serve(answer)
