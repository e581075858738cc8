"""What the processes of the tests do to a store: they write and fade until they are told to stop, or killed.

Each line on standard output is an acknowledgement: what it names was in the store before it was printed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foveate.memory import OpticalMemory
from foveate.memory.change import Change
from foveate.pages.render import Style
from tests.memory.conftest import Script

STYLE = Style(width=256, height=256, size=20, margins=(8, 8, 8, 8))


def write(path: Path, name: str, count: int) -> None:
    """Turns of one to three pages under keys of their own; of those that are there nothing is added."""
    with OpticalMemory(path, style=STYLE, vision=None) as memory:
        for number in range(count):
            text = f"{name}{number} " * (1 + number % 3 * 40)
            entry = memory.append(text, key=f"{name}-{number}", time=float(number))
            print(f"{name}-{number} {entry.pages}", flush=True)


def fade(path: Path, rounds: int) -> None:
    """Everything down to nothing, a little more each time. Says of each change that it is made."""
    script = Script(fallback="Ostrander met Ada at Harrowgate in 1871")
    with OpticalMemory(path, script, style=STYLE, index="now") as memory:
        changing = memory.changing

        @contextmanager
        def told() -> Iterator[Change]:
            with changing() as change:
                yield change
            print("changed", flush=True)

        memory.changing = told  # type: ignore[method-assign]
        start = memory.sizes().tokens
        for number in range(1, rounds + 1):
            memory.fade(str(start * (rounds - number) // rounds))


def read(path: Path, count: int) -> None:
    """Looks at everything until so many entries are there."""
    with OpticalMemory(path) as memory:
        last = 0
        while last < count:
            entries = memory.entries()
            assert len(entries) >= last, "an entry never goes away"
            last = len(entries)
            for entry in entries[-4:]:
                pages = memory.pages(entry.number)
                assert len(pages) == entry.pages, "an entry is seen whole"
                assert all(memory.image(page.number).size == (256, 256) for page in pages)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1] == "read":
        read(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        fade(Path(sys.argv[2]), int(sys.argv[3]))
