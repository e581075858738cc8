"""What went wrong: one line each on standard error, and the exit code at the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from foveate.errors import FoveateError

FAILED = 2


def complain(problem: object) -> None:
    """One line on standard error."""
    print("foveate:", " ".join(str(problem).splitlines()), file=sys.stderr)


class Problems:
    """Lets the other documents go on when one fails, and remembers that it did."""

    def __init__(self) -> None:
        self.exit_code = 0

    def add(self, problem: object) -> None:
        complain(problem)
        self.exit_code = FAILED

    @contextmanager
    def catching(self) -> Iterator[None]:
        """A FoveateError inside is reported and ends there."""
        try:
            yield
        except FoveateError as problem:
            self.add(problem)
