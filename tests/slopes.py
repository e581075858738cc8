"""How CPU time grows with the length of a text: a bound that holds on slow and on busy machines alike."""

import gc
import time
from collections.abc import Callable

PARTS = 8
MOST = 20  # times the work for 8 times the length: proportional work takes 8 times as long, quadratic 64
NOISE = 0.2  # seconds


def grows_in_proportion(work: Callable[[str], object], text: str) -> bool:
    """Whether `work(text)` takes CPU time in proportion to the text's length, and not to its square."""
    spent = []
    collecting = gc.isenabled()
    gc.disable()  # it looks through all that other tests have left, the more often the more is made
    try:
        for part in (text[: len(text) // PARTS], text):
            started = time.process_time()
            work(part)
            spent.append(time.process_time() - started)
    finally:
        if collecting:
            gc.enable()
    return spent[1] < MOST * spent[0] + NOISE
