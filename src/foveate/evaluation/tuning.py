"""The style that a reader reads best at the highest ratio, found by evolution on a user's own text.

As Glyph searches its rendering (arXiv:2510.17800, section 3.2), but what is searched for is measured: text
tokens for each vision token, at a precision that the reader must reach. A style that reaches it beats one
that does not; of two that do the one with the higher ratio wins, of two that do not the more precise one.

Every page that is read costs time, so every trial goes into a journal before the next begins. A search is a
function of its setup and the seed: one that was killed takes the same way again and finds its trials there.
The winner is checked on pages that the search has not seen, since the best of many trials was also lucky.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from foveate.data.passages import TextSource
from foveate.errors import CorruptSource, OptionError
from foveate.evaluation import text_metrics
from foveate.evaluation.readers.protocol import AUTO, PageReader
from foveate.evaluation.style_genes import Genes, child, drawn, genes_of, known_families
from foveate.pages.image_prices import price_of
from foveate.pages.mode import get_mode
from foveate.pages.render import Style, render, styles

METRICS = ("edit_similarity", "word_f1", "ordered_word_f1")
CHECKED = 5  # of the best styles, until one holds
SEEN, UNSEEN = 0, 1  # pages of the search, and of the check
_SMALLEST = 5.0  # pixels of the em, for the length of passages
_LEAST_TEXT = 200  # characters


@dataclass(frozen=True)
class Search:
    """What decides a search. `reader`, `text` and `tokenizer` name them, with checksums."""

    reader: str
    text: str
    tokenizer: str
    mode: str = "small"
    price: str = ""  # whose rule counts vision tokens; "": the mode's
    base: Mapping[str, Any] = field(default_factory=dict)  # the style that it starts from
    precision: float = 0.97
    metric: str = METRICS[0]
    generations: int = 6
    population: int = 12
    pages: int = 3  # of each trial
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)  # of the reader, that change what it reads

    def __post_init__(self) -> None:
        if get_mode(self.mode).tile:
            raise OptionError("styles are tuned for modes without tiles: tiny, small, base or large")
        if self.price:
            price_of(self.price)
        if self.metric not in METRICS:
            raise OptionError(f"{self.metric!r} is no precision: choose from {', '.join(METRICS)}")
        if not 0 < self.precision <= 1:
            raise OptionError("the precision is a number above 0, at most 1")
        if min(self.generations, self.pages) < 1 or self.population < 4:
            raise OptionError("a search has a generation and a page or more, and a population of 4 or more")

    @property
    def page(self) -> Style:
        """The base style on the mode's page."""
        return styles.from_dict(self.base).for_mode(self.mode)

    @property
    def vision_tokens(self) -> int:
        """Of a page."""
        style = self.page
        if self.price:
            return price_of(self.price).tokens(style.width, style.height, "high")
        return get_mode(self.mode).layout(style.width, style.height).vision_tokens


@dataclass(frozen=True)
class Trial:
    """A style that was tried. Means over the pages that were read: fewer than asked for once it could no
    longer reach the precision."""

    genes: Genes
    ratio: float
    precision: float
    pages: int
    seconds: float  # of reading
    error: str = ""  # why it could not be set or read; it then counts as read wrong

    def beats(self, precision: float) -> tuple[bool, float]:
        """What trials are sorted by, the best highest."""
        reached = not self.error and self.precision >= precision
        return reached, self.ratio if reached else self.precision


@dataclass(frozen=True)
class Tuned:
    """What a search has found."""

    search: Search
    trials: tuple[Trial, ...]
    checks: tuple[Trial, ...]  # on pages not seen before, the best style first
    winner: Trial | None  # its numbers are those of the check

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other beats in both ratio and precision, by rising ratio."""
        found: list[Trial] = []
        for trial in sorted(self.trials, key=lambda one: (-one.ratio, -one.precision)):
            if not trial.error and (not found or trial.precision > found[-1].precision):
                found.append(trial)
        return tuple(reversed(found))

    @property
    def style(self) -> Style | None:
        """The winner's."""
        return None if self.winner is None else self.winner.genes.style(self.search.page)


def tune(
    search: Search,
    reader: PageReader,
    source: TextSource,
    count: Callable[[str], int],
    journal: Path,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Tuned:
    """Searches, or goes on with the journal's search. Raises `OptionError` for a journal of another
    search."""
    book = _Journal(journal, search)
    lab = _Laboratory(search, reader, source, count, book, on_trial)
    families = known_families()
    population = _first(search, families)
    trials: dict[str, Trial] = {}
    for generation in range(search.generations):
        for genes in population:
            if genes.key not in trials:
                trials[genes.key] = lab.trial(genes, SEEN)
        population = _next(search, list(trials.values()), families, generation)
    checks = []
    winner = None
    for trial in _best(search, trials.values())[:CHECKED]:
        if not trial.beats(search.precision)[0]:
            break
        checks.append(lab.trial(trial.genes, UNSEEN))
        if checks[-1].beats(search.precision)[0]:
            winner = checks[-1]
            break
    return Tuned(search, tuple(trials.values()), tuple(checks), winner)


def _first(search: Search, families: Sequence[str]) -> list[Genes]:
    """The named styles and the base, and the rest by dice."""
    rng = np.random.default_rng((search.seed, 0))
    known = [search.page, *(named.style.for_mode(search.mode) for named in styles.STYLES.values())]
    found = list(dict.fromkeys(genes_of(style, families) for style in known))[: search.population]
    while len(found) < search.population:
        found.append(drawn(rng, families))
    return found


def _next(search: Search, trials: list[Trial], families: Sequence[str], generation: int) -> list[Genes]:
    """Children of the best third so far, and of the two that are nearest below the precision."""
    rng = np.random.default_rng((search.seed, 1 + generation))
    known = {trial.genes for trial in trials}
    parents = _best(search, trials)[: max(2, search.population // 3)]
    below = sorted(
        (trial for trial in trials if not trial.beats(search.precision)[0] and not trial.error),
        key=lambda trial: (trial.precision, trial.genes.key),
        reverse=True,
    )
    parents += below[:2]
    found: list[Genes] = []
    for _ in range(50 * search.population):
        if len(found) == search.population:
            break
        one, other = (parents[int(rng.integers(len(parents)))].genes for _ in range(2))
        genes = child(one, other, rng, families)
        if genes not in known:
            known.add(genes)
            found.append(genes)
    return found


def _best(search: Search, trials: Any) -> list[Trial]:
    return sorted(trials, key=lambda trial: (trial.beats(search.precision), trial.genes.key), reverse=True)


class _Laboratory:
    """Sets pages in a style, has them read and compares."""

    def __init__(
        self,
        search: Search,
        reader: PageReader,
        source: TextSource,
        count: Callable[[str], int],
        book: _Journal,
        on_trial: Callable[[Trial], None],
    ) -> None:
        self._search, self._reader, self._count = search, reader, count
        self._source, self._book, self._on_trial = source, book, on_trial
        self._texts: dict[tuple[int, int], str] = {}

    def trial(self, genes: Genes, pages: int) -> Trial:
        """A style tried on the pages of the search or of the check; from the journal where it stands
        there."""
        found = self._book.find(genes, pages)
        if found is None:
            found = self._try(genes, pages)
            self._book.add(found, pages)
        self._on_trial(found)
        return found

    def _try(self, genes: Genes, pages: int) -> Trial:
        search, scores, ratios, seconds = self._search, [], [], 0.0
        style = genes.style(search.page)
        asked = search.pages * (2 if pages == UNSEEN else 1)
        for number in range(asked):
            try:
                page = render(self._text(pages, number), style, limit=1)[0]
            except OptionError as problem:
                return Trial(genes, 0.0, 0.0, number, seconds, str(problem))
            truth = " ".join(page.text.split())
            reading = self._reader.read(page.image, AUTO if search.price else search.mode)
            if reading.stop == "error":
                return Trial(genes, 0.0, 0.0, number, seconds, reading.error or "the page was not read")
            mark = style.line_mark if style.line_breaks == "marked" else "\n"
            scores.append(self._score(truth, " ".join(reading.text.replace(mark, " ").split())))
            ratios.append(self._count(truth) / search.vision_tokens)
            seconds += reading.seconds
            if sum(scores) + asked - len(scores) < search.precision * asked:
                break  # not even right pages would help it now
        count = len(scores)
        return Trial(genes, sum(ratios) / count, sum(scores) / count, count, seconds)

    def _score(self, truth: str, read: str) -> float:
        if self._search.metric == METRICS[0]:
            return text_metrics.edit_similarity(truth, read)
        return text_metrics.measure(truth, read)[self._search.metric].value

    def _text(self, pages: int, number: int) -> str:
        """A page's text: long enough for the densest style, where the file is."""
        if (pages, number) not in self._texts:
            rng = np.random.default_rng((self._search.seed, 7, pages, number))
            style = self._search.page
            wanted = round(style.width * style.height / (0.45 * _SMALLEST**2))
            picked = (
                "\n".join(self._source.pick(rng, wanted).paragraphs).replace("\f", "\n") for _ in range(8)
            )
            best = ""
            for text in picked:
                best = max(best, text, key=len)
                if len(best) >= wanted:
                    break
            if len(best.strip()) < _LEAST_TEXT:
                raise OptionError(f"the text has no stretch of {_LEAST_TEXT} characters: give a longer file")
            self._texts[pages, number] = best
        return self._texts[pages, number]


class _Journal:
    """Trials, a line of JSON each, behind a line that says whose they are."""

    def __init__(self, path: Path, search: Search) -> None:
        self._path = path
        self._known: dict[tuple[str, int], Trial] = {}
        head = json.dumps({"search": asdict(search)}, ensure_ascii=False, sort_keys=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = list(self._whole_lines())
        if lines and lines[0] != head:
            raise OptionError(
                f"{path} belongs to another search: give the same options and files, or another --out"
            )
        for line in lines[1:]:
            pages, trial = _trial_of(line, path)
            self._known[trial.genes.key, pages] = trial
        if not lines:
            self._append(head)

    def _whole_lines(self) -> Iterator[str]:
        """The lines; one that a kill has cut is taken out of the file."""
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        yield from whole.decode("utf-8", "replace").splitlines()

    def find(self, genes: Genes, pages: int) -> Trial | None:
        return self._known.get((genes.key, pages))

    def add(self, trial: Trial, pages: int) -> None:
        """Written before anything else happens."""
        self._known[trial.genes.key, pages] = trial
        self._append(json.dumps({"pages_of": pages, **asdict(trial)}, ensure_ascii=False))

    def _append(self, line: str) -> None:
        with self._path.open("ab") as file:
            file.write(line.encode("utf-8", "surrogatepass") + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _trial_of(line: str, path: Path) -> tuple[int, Trial]:
    try:
        values = json.loads(line)
        pages = int(values.pop("pages_of"))
        return pages, Trial(genes=Genes(**values.pop("genes")), **values)
    except (ValueError, TypeError, KeyError) as problem:
        raise CorruptSource(f"{path} is damaged ({problem}): take another --out") from problem
