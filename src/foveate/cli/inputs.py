"""From the arguments of a command to the documents that they stand for."""

import os
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.cli.problems import Problems

if TYPE_CHECKING:
    from foveate.pages.image import Limits

STDIN = "-"


class Spooled(BytesIO):
    """Standard input, kept so that its pages can be opened again."""

    name = STDIN


def find_sources(arguments: Sequence[str], problems: Problems) -> list[Path | str]:
    """The documents, each once and in order; an argument that stands for none is reported."""
    from foveate.pages.source import expand

    found: dict[str, Path | str] = {}
    for argument in arguments:
        with problems.catching():
            for source in expand([argument]):
                found.setdefault(STDIN if source == STDIN else os.path.abspath(source), source)
    return list(found.values())


def spool(source: Path | str, limits: "Limits") -> Path | Spooled:
    """A source that can be opened twice. One byte over the limit is enough for the reader to refuse it."""
    if isinstance(source, Path):
        return source
    return Spooled(sys.stdin.buffer.read(limits.bytes + 1))
