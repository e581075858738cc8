"""How near a reading comes to the truth, in the forms that people mix up when they say "precision".

Words are what white space parts. Nothing is normalised here: see `normalise.py` for the form that does not
look at the format. Every measure but BLEU is a numerator over a denominator, so that it has two means:

- per page: the mean of the pages' quotients, where a short page weighs as much as a long one;
- per corpus: the sum of the numerators over the sum of the denominators.

| name | of a page | best |
|---|---|---|
| `edit_similarity` | 1 - edit distance of characters / length of the longer text | 1 |
| `cer` | character error rate: edit distance of characters / length of the truth; may exceed 1 | 0 |
| `word_edit_similarity` | 1 - edit distance of words / words of the longer text | 1 |
| `wer` | word error rate: edit distance of words / words of the truth; may exceed 1 | 0 |
| `word_precision`, `word_recall`, `word_f1` | words in common, counted as often as they stand in both texts \
(multisets), over those of the reading, of the truth, and twice over both | 1 |
| `ordered_word_precision`, `…_recall`, `…_f1` | the same with words in the same order: their longest common \
subsequence | 1 |
| `distinct_word_precision`, `…_recall`, `…_f1` | the same with every word counted once (sets), as the \
script of the Fox benchmark counts | 1 |
| `char_precision`, `char_recall`, `char_f1` | characters in common as multisets, white space left out | 1 |
| `bleu` | BLEU-4 by sacrebleu, its tokens "13a", smoothed; a corpus is scored as one, not as a mean | 1 |
| `meteor` | METEOR by nltk with exact and stem matches; without WordNet's synonyms, which are a download; \
a corpus weighs pages by the truth's words | 1 |

All but `cer` and `wer` lie between 0 and 1. A page without text that was read as such is right by all of
them; text on it, or none where there is some, is wrong by all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from foveate.errors import OptionError

if TYPE_CHECKING:
    from types import ModuleType

ERRORS = ("cer", "wer")  # of these, less is better
_KINDS = ("precision", "recall", "f1")
METRICS = (
    "edit_similarity",
    "cer",
    "word_edit_similarity",
    "wer",
    *(f"{what}_{kind}" for what in ("word", "ordered_word", "distinct_word", "char") for kind in _KINDS),
    "bleu",
    "meteor",
)


class Share(NamedTuple):
    """A measure of one page, before the division."""

    part: float
    whole: float
    empty: float = 1.0  # the quotient where the whole is 0, since a text is empty

    @property
    def value(self) -> float:
        return self.part / self.whole if self.whole else self.empty


Shares = dict[str, Share]


def edit_similarity(truth: str, read: str) -> float:
    """1 - edit distance of characters over the length of the longer text; see the module."""
    levenshtein = _levenshtein()
    return 1.0 - float(levenshtein.normalized_distance(truth, read))


def character_error_rate(truth: str, read: str) -> float:
    """Edit distance of characters over the length of the truth; may exceed 1."""
    return _error_rate(truth, read, _levenshtein().distance(truth, read)).value


def measure(truth: str, read: str) -> Shares:
    """Every measure of a page by name, in the order of `METRICS`. Raises `OptionError` without the extra."""
    words, read_words = truth.split(), read.split()
    shares = _edits(truth, read, "edit_similarity", "cer")
    shares |= _edits(words, read_words, "word_edit_similarity", "wer")
    shares |= _overlap("word", len(words), len(read_words), _common(words, read_words))
    lcs: int = _rapidfuzz("distance.LCSseq").similarity(words, read_words)
    shares |= _overlap("ordered_word", len(words), len(read_words), lcs)
    distinct, read_distinct = set(words), set(read_words)
    shares |= _overlap("distinct_word", len(distinct), len(read_distinct), len(distinct & read_distinct))
    inked, read_inked = "".join(words), "".join(read_words)
    shares |= _overlap("char", len(inked), len(read_inked), _common(inked, read_inked))
    shares["bleu"] = Share(*_or_empty(words, read_words, lambda: (bleu([truth], [read]), 1)))
    weight = max(1, len(words))
    shares["meteor"] = Share(
        *_or_empty(words, read_words, lambda: (weight * meteor(words, read_words), weight))
    )
    return shares


def scores(truth: str, read: str) -> dict[str, float]:
    """Every measure of a page as a number."""
    return {name: share.value for name, share in measure(truth, read).items()}


def page_means(pages: Sequence[Mapping[str, Share]]) -> dict[str, float]:
    """The mean of the pages' numbers, by name. At least one page."""
    return {name: sum(page[name].value for page in pages) / len(pages) for name in pages[0]}


def corpus_means(
    pages: Sequence[Mapping[str, Share]], truths: Sequence[str], reads: Sequence[str]
) -> dict[str, float]:
    """The numbers of all pages taken as one text, by name; page i's texts are those that gave its shares."""
    means = {}
    for name in pages[0]:
        part, whole = (sum(page[name][n] for page in pages) for n in (0, 1))
        empties = [page[name].empty for page in pages]
        means[name] = Share(part, whole, max(empties) if name in ERRORS else min(empties)).value
    if "bleu" in means:
        means["bleu"] = bleu(truths, reads) if any(map(str.split, truths)) else means["bleu"]
    return means


def bleu(truths: Sequence[str], reads: Sequence[str]) -> float:
    """Corpus BLEU-4 between 0 and 1, by sacrebleu: tokens "13a", exponential smoothing, orders that short
    texts lack left out."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as problem:
        raise missing("BLEU", "sacrebleu") from problem
    score: float = BLEU(effective_order=True).corpus_score(list(reads), [list(truths)]).score
    return min(1.0, score / 100)


def meteor(words: Sequence[str], read_words: Sequence[str]) -> float:
    """METEOR of one page by nltk: words lower-cased, exact and Porter stem matches, no synonyms."""
    try:
        from nltk.translate.meteor_score import single_meteor_score
    except ImportError as problem:
        raise missing("METEOR", "nltk") from problem
    return float(single_meteor_score(words, read_words, wordnet=_NoSynonyms(), stemmer=_stemmer()))


def missing(what: str, library: str) -> OptionError:
    """The error for a library that is not installed."""
    return OptionError(f"{what} needs {library}: pip install 'foveate[eval]'")


class _NoSynonyms:
    """Stands where nltk expects WordNet."""

    def synsets(self, word: str) -> list[Any]:
        return []


class _Stemmer:
    """Porter's, remembering: pages repeat their words."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = cache(PorterStemmer().stem)


@cache
def _stemmer() -> _Stemmer:
    return _Stemmer()


def _rapidfuzz(name: str) -> ModuleType:
    from importlib import import_module

    try:
        return import_module(f"rapidfuzz.{name}")
    except ImportError as problem:
        raise missing("the edit distance", "rapidfuzz") from problem


@cache
def _levenshtein() -> ModuleType:
    return _rapidfuzz("distance.Levenshtein")


def _edits(truth: Sequence[Hashable], read: Sequence[Hashable], similarity: str, error: str) -> Shares:
    distance: int = _levenshtein().distance(truth, read)
    longest = max(len(truth), len(read))
    return {similarity: Share(longest - distance, longest), error: _error_rate(truth, read, distance)}


def _error_rate(truth: Sequence[Hashable], read: Sequence[Hashable], distance: int) -> Share:
    # Over an empty truth, whatever was read is one whole error; in a corpus it counts by its length.
    return Share(distance, len(truth), float(bool(read)))


def _common(truth: Iterable[Hashable], read: Iterable[Hashable]) -> int:
    return (Counter(truth) & Counter(read)).total()


def _overlap(what: str, truth: int, read: int, common: int) -> Shares:
    """Precision, recall and F1 of so many things, `common` of them in both."""
    # Nothing read says nothing wrong; it is no precision of 1 all the same.
    empty = float(truth == read)
    wholes = (read, truth, (truth + read) / 2)
    return {f"{what}_{kind}": Share(common, whole, empty) for kind, whole in zip(_KINDS, wholes, strict=True)}


def _or_empty(words: Sequence[str], read_words: Sequence[str], score: Any) -> tuple[float, float]:
    """The score, or what it is where a text is empty."""
    if words and read_words:
        part, whole = score()
        return part, whole
    return 0.0, float(max(len(words), len(read_words)) > 0)
