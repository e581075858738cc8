"""How far the reading is, on a terminal only, and what it took in the end."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foveate.document import Page

UNSURE = 0.6  # pages of nano at this confidence have about a quarter of the characters wrong (its card)


class Progress:
    """A bar on standard error that makes room for what else is printed."""

    def __init__(self, count: Callable[[], int | None], wanted: bool) -> None:
        """`count` says how many pages there are; it is asked only where the bar can be seen."""
        from tqdm import tqdm

        shown = wanted and sys.stderr.isatty()
        self._bar = tqdm(
            total=count() if shown else None, unit="page", disable=not shown, leave=False, file=sys.stderr
        )

    def page_done(self, page: "Page") -> None:
        self._bar.update()

    def clear(self) -> None:
        """Makes room for other output; the bar is drawn again with the next page."""
        self._bar.clear()

    def close(self) -> None:
        self._bar.close()


def summary(pages: Sequence["Page"], seconds: float) -> str:
    """One line: pages, seconds, tokens, ratio, confidence, and how many pages did not come to their end; a
    second one if the network was unsure of what it read."""
    vision = sum(page.vision_tokens for page in pages)
    text = sum(page.text_tokens for page in pages)
    ratio = text / vision if vision else 0.0
    failed = sum(page.error is not None for page in pages)
    short = sum(page.stop in ("length", "loop") for page in pages)
    notes = [f"{count} {what}" for count, what in ((failed, "not read"), (short, "cut short")) if count]
    line = (
        f"{len(pages)} {'page' if len(pages) == 1 else 'pages'} in {seconds:.1f} s: "
        f"{vision:,} vision tokens, {text:,} text tokens, ratio {ratio:.1f}"
    )
    sure = [page.confidence for page in pages if page.confidence is not None]
    if sure:
        line += f", confidence {sum(sure) / len(sure):.2f}"
    if notes:
        line += f" ({', '.join(notes)})"
    if unsure := sum(confidence < UNSURE for confidence in sure):
        have = "has" if unsure == 1 else "have"
        line += (
            f"\n{unsure} of {len(pages)} pages {have} a confidence under {UNSURE}: "
            "much of the text may be wrong; try another --mode or a larger --model"
        )
    return line
