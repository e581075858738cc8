"""How fast a reader was and how much memory it took, measured on the pages that it was judged by."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foveate.evaluation.readers.protocol import Reading

KIB = 1024


@dataclass(frozen=True)
class Memory:
    """Peaks since the process began, in bytes. What a page took alone nobody can say afterwards."""

    process: int | None
    largest_child: int | None  # programs that a reader starts, such as tesseract
    cuda: int | None  # allocated by PyTorch; None without a GPU


@dataclass(frozen=True)
class Throughput:
    """Speed over all pages that were read; the seconds are the reader's own, of the wall."""

    pages: int
    seconds: float
    characters: int
    text_tokens: int | None  # by one tokenizer for all readers, so that they can be compared
    pages_per_second: float | None  # None when no time was taken, as for texts from a folder
    text_tokens_per_second: float | None
    vision_tokens: int | None
    memory: Memory

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(readings: Iterable[Reading], count: Callable[[str], int] | None = None) -> Throughput:
    """The speed of readings; `count` gives a text's tokens."""
    read = [reading for reading in readings if reading.stop != "error"]
    seconds = sum(reading.seconds for reading in read)
    tokens = sum(count(reading.text) for reading in read) if count else None
    vision = [reading.vision_tokens for reading in read if reading.vision_tokens is not None]
    return Throughput(
        pages=len(read),
        seconds=seconds,
        characters=sum(len(reading.text) for reading in read),
        text_tokens=tokens,
        pages_per_second=len(read) / seconds if seconds else None,
        text_tokens_per_second=tokens / seconds if seconds and tokens is not None else None,
        vision_tokens=sum(vision) if vision else None,
        memory=peak_memory(),
    )


def peak_memory() -> Memory:
    """The peaks so far."""
    return Memory(_peak_rss(children=False), _peak_rss(children=True), _peak_cuda())


def _peak_rss(children: bool) -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIB  # Linux counts in KiB


def _peak_cuda() -> int | None:
    torch = sys.modules.get("torch")  # a reader without PyTorch needs none here
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.max_memory_allocated())


def hardware() -> dict[str, Any]:
    """What the machine is, as far as it says."""
    torch = sys.modules.get("torch")
    cuda = torch is not None and torch.cuda.is_available()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": _memory(),
        "gpu": torch.cuda.get_device_name() if torch is not None and cuda else None,
        "torch_threads": torch.get_num_threads() if torch is not None else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _memory() -> int | None:
    """Bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
