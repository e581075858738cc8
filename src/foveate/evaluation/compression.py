"""How many text tokens a vision token stands for, and how well the text comes back.

The ratio is the text's tokens over the vision tokens of the mode, as in section 4.1 of DeepSeek-OCR
(arXiv:2510.18234). Text tokens are of the truth, not of the reading, and of a named tokenizer with what it
puts around a text: the released one puts one token before it.

`curve_cases` sets held-out text on pages so that they have given ratios: a page as large as the mode sees it,
with so many tokens in the largest type that fits. Letters drawn by dice in place of the text's own leave a
reader nothing to guess from.
"""

from __future__ import annotations

import hashlib
import math
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate.errors import ConfigError, ModelNotFound, OptionError
from foveate.evaluation import text_metrics
from foveate.evaluation.normalise import plain
from foveate.evaluation.run import Case, PageResult
from foveate.evaluation.statistics import mean_interval
from foveate.pages.mode import AUTO, choose_mode, get_mode

if TYPE_CHECKING:
    from PIL import Image

    from foveate.data.passages import TextSource
    from foveate.pages.render import RenderedPage

RATIOS = (4.0, 5.0, 7.0, 10.0, 12.0, 15.0, 20.0)
SMALLEST, LARGEST, STEP = 4.0, 64.0, 0.25  # of the type's em, pixels
_CHARACTERS = 9  # of a token, more than any language's text has in the mean
BUCKET = 100  # text tokens
PLAIN = "plain_"  # before the name of a measure that does not look at the format


class TokenCounter:
    """Counts the tokens of texts by the tokenizer of a file."""

    def __init__(self, path: Path) -> None:
        """Raises `ModelNotFound` or `ConfigError`."""
        from tokenizers import Tokenizer

        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise ModelNotFound(f"{path}: no such tokenizer: give a tokenizer.json")
        try:
            self._inner = Tokenizer.from_file(str(file))
        except Exception as problem:  # the library raises bare Exception
            raise ConfigError(f"{file} is not a tokenizer ({problem}): fetch it again") from problem
        self._inner.no_truncation()
        self._inner.no_padding()
        self.file = file

    def count(self, text: str) -> int:
        """The tokens of a text, those that the tokenizer puts around it included."""
        return len(self._inner.encode(text).ids)

    def ends(self, text: str) -> list[int]:
        """Where in the text, in characters, each of its tokens ends; those around it end at 0."""
        return [end for _, end in self._inner.encode(text).offsets]

    def describe(self) -> dict[str, Any]:
        """What names it in results."""
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        around = self._inner.encode("").tokens
        return {"file": self.file.name, "sha256": digest[:16], "around": around,
                "vocabulary": self._inner.get_vocab_size()}  # fmt: skip


def vision_tokens(mode: str, size: tuple[int, int] | None) -> int:
    """What a page of so many pixels costs; modes without tiles cost the same for all, also without a size.

    Raises `UnknownMode`, and `OptionError` where the size is needed.
    """
    if size is not None:
        return choose_mode(mode, *size).layout(*size).vision_tokens
    if mode == AUTO or get_mode(mode).tile:
        raise OptionError(f"the cost of a page in {mode} depends on its size: give --images DIR")
    chosen = get_mode(mode)
    return chosen.layout(chosen.side, chosen.side).vision_tokens


@dataclass(frozen=True)
class ScoredPage:
    """A page with its measures, as written and without their format."""

    id: str
    truth: str
    read: str
    text_tokens: int  # of the truth
    vision_tokens: int

    @property
    def ratio(self) -> float:
        return self.text_tokens / self.vision_tokens

    @cached_property
    def plain_truth(self) -> str:
        return plain(self.truth)

    @cached_property
    def plain_read(self) -> str:
        return plain(self.read)

    @cached_property
    def shares(self) -> text_metrics.Shares:
        """By name, those without format behind `PLAIN`."""
        without = text_metrics.measure(self.plain_truth, self.plain_read)
        as_written = text_metrics.measure(self.truth, self.read)
        return as_written | {PLAIN + name: share for name, share in without.items()}

    def to_dict(self) -> dict[str, Any]:
        """The page's numbers."""
        numbers = {name: share.value for name, share in self.shares.items()}
        return {
            "id": self.id,
            "text_tokens": self.text_tokens,
            "vision_tokens": self.vision_tokens,
            "ratio": self.ratio,
            "metrics": numbers,
        }


def summary(pages: Sequence[ScoredPage], seed: int) -> dict[str, Any]:
    """A group of pages as JSON values: how many, their mean tokens and ratio, and every measure by name.

    `metrics` are means over the pages, `intervals` their 95 % bootstrap intervals, `corpus` the same
    measures of all the pages' text as one.
    """
    intervals = {
        name: mean_interval([page.shares[name].value for page in pages], seed=seed)
        for name in pages[0].shares
    }
    return {
        "pages": len(pages),
        "text_tokens": _mean([page.text_tokens for page in pages]),
        "vision_tokens": _mean([page.vision_tokens for page in pages]),
        "ratio": _mean([page.ratio for page in pages]),
        "metrics": {name: interval.value for name, interval in intervals.items()},
        "intervals": {name: [interval.low, interval.high] for name, interval in intervals.items()},
        "corpus": corpus(pages),
        "ids": [page.id for page in pages],
    }


def corpus(pages: Sequence[ScoredPage]) -> dict[str, float]:
    """The measures of all the pages' text taken as one."""
    found: dict[str, float] = {}
    for prefix in ("", PLAIN):
        shares = [{name: page.shares[prefix + name] for name in text_metrics.METRICS} for page in pages]
        truths = [page.plain_truth if prefix else page.truth for page in pages]
        reads = [page.plain_read if prefix else page.read for page in pages]
        means = text_metrics.corpus_means(shares, truths, reads)
        found |= {prefix + name: value for name, value in means.items()}
    return found


def buckets(pages: Iterable[ScoredPage], width: int = BUCKET) -> dict[int, list[ScoredPage]]:
    """The pages by the first number of text tokens of their bucket, in rising order."""
    found: dict[int, list[ScoredPage]] = {}
    for page in sorted(pages, key=lambda page: page.text_tokens):
        found.setdefault(page.text_tokens // width * width, []).append(page)
    return found


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


# The curve


@dataclass(frozen=True)
class Curve:
    """Pages of held-out text at given ratios."""

    counter: TokenCounter
    mode: str
    ratios: Sequence[float] = RATIOS
    pages: int = 10  # of each ratio
    seed: int = 0
    letters: bool = False  # drawn by dice, in words as long as the text's
    degraded: float = 0.0  # strength of what scanners do, 0 to 1

    def __post_init__(self) -> None:
        """Raises `UnknownMode` or `OptionError`."""
        if self.mode == AUTO:
            raise OptionError("a curve is of one mode: choose one with --mode")
        get_mode(self.mode)
        if not self.ratios or not all(0 < ratio < math.inf for ratio in self.ratios):
            raise OptionError("the ratios are numbers above 0, such as 4,10,20")
        if not 0 <= self.degraded <= 1:
            raise OptionError(f"the pages are degraded by 0 to 1, not by {self.degraded:g}")

    @property
    def side(self) -> int:
        """Of the pages, in pixels."""
        return get_mode(self.mode).side

    def cases(self, source: TextSource) -> list[Case]:
        """The pages of all ratios, drawn when their turns come. Raises `OptionError` for a text too short."""
        return [self._case(source, ratio, number) for ratio in self.ratios for number in range(self.pages)]

    def score(self, results: Sequence[PageResult]) -> dict[str, Any]:
        """A point a ratio: the ratio asked for, the summary of its pages, and the size of its type."""
        scored = {result.id: self._scored(result) for result in results}
        points = []
        for ratio in self.ratios:
            here = [result for result in results if result.labels["asked_ratio"] == ratio]
            sizes = [result.labels["type_size"] for result in here]
            pages = summary([scored[result.id] for result in here], self.seed)
            points.append({"asked_ratio": ratio, "type_size": _mean(sizes), **pages})
        return {
            "tokenizer": self.counter.describe(),
            "letters": self.letters,
            "degraded": self.degraded,
            "points": points,
            "by_page": {name: page.shares[PLAIN + "edit_similarity"].value for name, page in scored.items()},
            "page_metrics": [page.to_dict() for page in scored.values()],
        }

    def _case(self, source: TextSource, ratio: float, number: int) -> Case:
        rng = np.random.default_rng((self.seed, round(1000 * ratio), number))
        tokens = max(1, round(ratio * vision_tokens(self.mode, (self.side, self.side))))
        text = self._text(source, rng, tokens)
        size = largest_type(text, self.side)
        labels = {"asked_ratio": ratio, "text_tokens": self.counter.count(text), "type_size": size}
        draw = partial(self._draw, text, size, int(rng.integers(1 << 32)))
        return Case(f"ratio-{ratio:g}-page-{number}", draw, text, labels=labels)

    def _text(self, source: TextSource, rng: np.random.Generator, tokens: int) -> str:
        from foveate.evaluation.pages import pick_text

        text = pick_text(source, rng, _CHARACTERS * tokens)
        return cut(random_letters(text, rng) if self.letters else text, tokens, self.counter)

    def _draw(self, text: str, size: float, seed: int) -> Image.Image:
        from foveate.data.degrade import degrade, draw_strengths

        image: Image.Image = _set(text, self.side, size)[0].image
        if self.degraded:
            rng = np.random.default_rng(seed)
            image = degrade(image, (), draw_strengths(rng, self.degraded, chance=0.6), rng).image
        return image

    def _scored(self, result: PageResult) -> ScoredPage:
        assert result.truth is not None, "the page was set from it"
        vision = vision_tokens(self.mode, (self.side, self.side))
        return ScoredPage(result.id, result.truth, result.reading.text, result.labels["text_tokens"], vision)


def cut(text: str, tokens: int, counter: TokenCounter) -> str:
    """The text's beginning, whole words, with so many tokens or as near to it as words allow.

    Raises `OptionError` when it has fewer.
    """
    ends = counter.ends(text)
    if len(ends) < tokens:
        raise OptionError(f"the text has no stretch of {tokens} tokens: give a longer file, or lower ratios")
    place = max(ends[:tokens])
    after = next((n for n in range(place, len(text)) if text[n].isspace()), len(text))
    before = text.rfind(" ", 0, place)
    whole = [text[:end].rstrip() for end in {after, before} if end > 0]
    return min(whole, key=lambda part: (abs(counter.count(part) - tokens), len(part)))


def random_letters(text: str, rng: np.random.Generator) -> str:
    """The text with another letter from a to z for each of its letters, capitals where they were."""
    drawn = rng.integers(0, 26, len(text))
    letters = string.ascii_lowercase
    return "".join(
        (letters[n].upper() if sign.isupper() else letters[n]) if sign.isalpha() else sign
        for sign, n in zip(text, drawn, strict=True)
    )


def largest_type(text: str, side: int) -> float:
    """The largest em, in pixels, in which the text fits on one square page. Raises `OptionError` for none."""
    steps = round((LARGEST - SMALLEST) / STEP)
    low, high = -1, steps + 1  # step `low` fits, step `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(text, side, SMALLEST + STEP * middle):
            low = middle
        else:
            high = middle
    if low < 0:
        raise OptionError(
            f"{len(text)} characters do not fit on {side} x {side} pixels in type of {SMALLEST:g} pixels: "
            "choose lower ratios"
        )
    return SMALLEST + STEP * low


def _fits(text: str, side: int, size: float) -> bool:
    try:
        return len(_set(text, side, size, limit=2)) == 1
    except OptionError:  # a word wider than the page, in large type
        return False


def _set(text: str, side: int, size: float, limit: int = 1) -> list[RenderedPage]:
    """The first pages of the text: black on white, one column, small margins."""
    from foveate.pages.render import Style, render

    margin = round(0.03 * side)
    style = Style(
        width=side, height=side, margins=(margin,) * 4, size=size, leading=1.2, fonts=("Noto Sans",)
    )
    return render(text, style, limit)
