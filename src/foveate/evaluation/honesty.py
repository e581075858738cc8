"""Tests that a reader passes only by seeing: pages whose text nobody can guess, and pages without any.

| test | pages |
|---|---|
| prose | the text as it stands: what the others are compared with |
| shuffled | the same words in random order: as hard to see, harder to guess |
| letters, numbers, uuids, lookalikes | random letters in words; digits; UUIDs; O0 l1I and their like |
| density | the prose in ever smaller type, so that one page holds ever more of it |
| degraded | one page with each damage of `foveate.data.degrade`, at rising strength |
| rotated | one page on its sides and on its head |
| blank | white, grey and noisy sheets without text: a reader must give nothing |
| needle | a sentence with a number somewhere in a long text over several pages, which must be found |

All dice come from the seed; the same text and seed give the same pages. Type is black on white.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foveate.data.degrade import DAMAGES, degrade
from foveate.data.passages import TextSource, open_source
from foveate.errors import OptionError
from foveate.evaluation import normalise, scoring
from foveate.evaluation.pages import Sheet, capacity, pick_text, plain_style, set_page
from foveate.evaluation.run import Case, PageResult
from foveate.evaluation.statistics import mean_interval
from foveate.pages.render import Style, render

UNGUESSABLE = ("letters", "numbers", "uuids", "lookalikes")
TESTS = ("prose", "shuffled", *UNGUESSABLE, "density", "degraded", "rotated", "blank", "needle")
SIZES = (26.0, 20.0, 16.0, 13.0, 11.0, 9.0, 7.5, 6.0)  # pixels of the em, of the density test
STRENGTHS = (0.25, 0.5, 1.0)
TURNS = {
    90: Image.Transpose.ROTATE_270,  # clockwise, as a page is turned by hand
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}
ALIKE = "O0Ql1I|S5B8Z2rnmuvwcoeG6"
ANIMALS = ("heron", "badger", "lynx", "otter", "weasel", "plover", "marten", "bittern")


@dataclass(frozen=True)
class Plan:
    """What is to be tested, and how much of it."""

    text: Path
    tests: tuple[str, ...] = TESTS
    mode: str = "small"  # whose side the pages have
    size: float = 16.0  # of the em, pixels
    pages: int = 4  # of each kind of text, and of each type size
    lengths: tuple[int, ...] = (1, 2, 4, 8)  # pages of the texts with a needle
    depths: int = 5  # places of the needle in each
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := [name for name in self.tests if name not in TESTS]:
            raise OptionError(f"{unknown[0]!r} is no test: choose from {', '.join(TESTS)}")
        if not self.lengths or min(self.lengths) < 1 or self.depths < 1 or self.pages < 1:
            raise OptionError("lengths, depths and pages count from 1")

    @property
    def style(self) -> Style:
        return plain_style("small" if self.mode == "auto" else self.mode, self.size)

    def dice(self, *what: object) -> np.random.Generator:
        """Dice of one page, apart from all others."""
        digest = hashlib.sha256(repr(what).encode()).digest()
        return np.random.default_rng((self.seed, int.from_bytes(digest[:8], "big")))


def honesty_cases(plan: Plan) -> list[Case]:
    """All pages of a plan; their labels say which test they are of."""
    source = open_source(plan.text)
    cases: list[Case] = []
    for test in TESTS:
        if test in plan.tests:
            cases += _MAKERS[test](plan, source) if test in _MAKERS else _texts(plan, source, test)
    return cases


def _case(test: str, variant: object, number: int, sheet: Sheet, /, **labels: Any) -> Case:
    labels = {"test": test, "variant": variant, **labels}
    return Case(f"{test}/{variant}/{number}", lambda: sheet.image, sheet.text, labels=labels)


# Pages of text


def _texts(plan: Plan, source: TextSource, test: str) -> Iterator[Case]:
    for number in range(plan.pages):
        # Shuffled pages are the pages of prose with their words in another order.
        prose = pick_text(source, plan.dice("prose", number), round(1.5 * capacity(plan.style)))
        rng = plan.dice(test, number)
        if test == "prose":
            text = prose
        elif test == "shuffled":
            words = set_page(prose, plan.style).text.split()
            text = " ".join(words[place] for place in rng.permutation(len(words)))
        else:
            text = " ".join(_words(test, rng, capacity(plan.style)))
        yield _case(test, "page", number, set_page(text, plan.style))


def _words(test: str, rng: np.random.Generator, characters: int) -> Iterator[str]:
    """Words of a kind, so many characters in all."""
    while characters > 0:
        word = _WORDS[test](rng)
        characters -= len(word) + 1
        yield word


def _letters(rng: np.random.Generator) -> str:
    return "".join(chr(97 + letter) for letter in rng.integers(0, 26, rng.integers(2, 10)))


def _digits(rng: np.random.Generator) -> str:
    return "".join(map(str, rng.integers(0, 10, rng.integers(1, 9))))


def _uuid(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def _alike(rng: np.random.Generator) -> str:
    return "".join(ALIKE[place] for place in rng.integers(0, len(ALIKE), rng.integers(3, 9)))


_WORDS: dict[str, Callable[[np.random.Generator], str]] = {
    "letters": _letters,
    "numbers": _digits,
    "uuids": _uuid,
    "lookalikes": _alike,
}


def _density(plan: Plan, source: TextSource) -> Iterator[Case]:
    """The same passages in smaller and smaller type: the page fills from its beginning on."""
    least = round(1.5 * capacity(replace(plan.style, size=min(SIZES))))
    for number in range(plan.pages):
        text = pick_text(source, plan.dice("density", number), least)
        for size in SIZES:
            sheet = set_page(text, replace(plan.style, size=size))
            yield _case("density", f"{size:g}", number, sheet, size=size, characters=len(sheet.text))


# Pages that were harmed


def _prose(plan: Plan, source: TextSource, test: str) -> Sheet:
    return set_page(pick_text(source, plan.dice(test, "page"), round(1.5 * capacity(plan.style))), plan.style)


def _degraded(plan: Plan, source: TextSource) -> Iterator[Case]:
    sheet = _prose(plan, source, "degraded")
    yield _case("degraded", "none", 0, sheet, damage="none", strength=0.0)
    for damage in DAMAGES:
        for strength in STRENGTHS:
            harmed = degrade(sheet.image, (), {damage: strength}, plan.dice("degraded", damage, strength))
            found = Sheet(harmed.image, sheet.text)
            yield _case("degraded", f"{damage} {strength:g}", 0, found, damage=damage, strength=strength)


def _rotated(plan: Plan, source: TextSource) -> Iterator[Case]:
    sheet = _prose(plan, source, "rotated")
    yield _case("rotated", "0", 0, sheet, degrees=0)
    for degrees, turn in TURNS.items():
        turned = Sheet(sheet.image.transpose(turn), sheet.text)
        yield _case("rotated", str(degrees), 0, turned, degrees=degrees)


def _blank(plan: Plan, source: TextSource) -> Iterator[Case]:
    for name, image in _empty_sheets(plan):
        yield _case("blank", name, 0, Sheet(image, ""))


def _empty_sheets(plan: Plan) -> Iterator[tuple[str, Image.Image]]:
    """Sheets as they come out of printers and scanners with nothing on them."""
    size = plan.style.width, plan.style.height
    for name, tone in {"white": 255, "grey": 190, "black": 0}.items():
        yield name, Image.new("RGB", size, (tone, tone, tone))
    white = Image.new("L", size, 255)
    for name, strengths in {
        "grain": {"noise": 0.5},
        "scanned": {"noise": 0.3, "shading": 0.6, "tone": 0.6, "jpeg": 0.5},
    }.items():
        yield name, degrade(white, (), strengths, plan.dice("blank", name)).image.convert("RGB")
    ruled = np.full((size[1], size[0]), 255, np.uint8)
    ruled[40::32, 30:-30] = 170
    yield "ruled", Image.fromarray(ruled).convert("RGB")


# Needles


def needle_of(plan: Plan) -> tuple[str, str]:
    """The sentence that is hidden, and the number in it."""
    rng = plan.dice("needle")
    number = "".join(map(str, rng.integers(1, 10, 7)))
    return f"The secret number of the {ANIMALS[rng.integers(len(ANIMALS))]} is {number}.", number


def _needle(plan: Plan, source: TextSource) -> list[Case]:
    """Pages of all the texts; a page that several texts have in common is read once, for all of them."""
    needle, number = needle_of(plan)
    room = capacity(plan.style)
    haystack = pick_text(source, plan.dice("haystack"), (max(plan.lengths) + 1) * round(1.3 * room))
    found: dict[str, Case] = {}
    for length in plan.lengths:
        for depth in range(plan.depths):
            share = depth / max(1, plan.depths - 1)
            for page, sheet in enumerate(_pages_with(haystack, needle, share, length, plan.style)):
                key = hashlib.sha256(sheet.image.tobytes()).hexdigest()[:12]
                case = found.setdefault(
                    key, _case("needle", key, 0, sheet, needle=needle, code=number, cells=[])
                )
                case.labels["cells"].append([length, round(share, 3), page])
    return list(found.values())


def _pages_with(haystack: str, needle: str, share: float, length: int, style: Style) -> list[Sheet]:
    """So many pages with the needle between two sentences, so far into them (0 to 1)."""
    whole = render(haystack, style, limit=length)
    end = whole[-1].span[1]
    # The needle pushes words off the last page; it must not push itself.
    place = min(round(share * end), end - 3 * len(needle))
    place = _sentence_end(haystack, max(0, place)) if share else 0
    text = f"{haystack[:place]}{needle} {haystack[place:]}"
    return [Sheet(page.image, " ".join(page.text.split())) for page in render(text, style, limit=length)]


def _sentence_end(text: str, place: int) -> int:
    """Where a sentence ends before a place, or the place's word begins."""
    for end in (". ", " "):
        found = text.rfind(end, 0, place)
        if found >= 0:
            return found + len(end)
    return 0


_MAKERS: dict[str, Callable[[Plan, TextSource], Iterable[Case]]] = {
    "density": _density,
    "degraded": _degraded,
    "rotated": _rotated,
    "blank": _blank,
    "needle": _needle,
}


# Scores


def score_honesty(pages: Sequence[PageResult], seed: int = 0) -> dict[str, Any]:
    """Each test by its variants, the gap between prose and shuffled prose, and the shares of loops.

    The score of a page is 1 - normalised edit distance of its characters, without its format.
    """
    groups: dict[str, list[PageResult]] = defaultdict(list)
    for page in pages:
        groups[str(page.labels.get("test"))].append(page)
    scores: dict[str, Any] = {**scoring.behaviour(pages)}
    for test in TESTS:
        if test in groups:
            make = {"blank": score_blank, "needle": score_needle}.get(test, _score_variants)
            scores[test] = {**make(groups[test], seed), "loops": scoring.behaviour(groups[test])["loops"]}
    if "prose" in scores and "shuffled" in scores:
        scores["language_prior"] = scores["prose"]["all"]["value"] - scores["shuffled"]["all"]["value"]
    return scores


def _score_variants(pages: Sequence[PageResult], seed: int) -> dict[str, Any]:
    variants: dict[str, list[PageResult]] = defaultdict(list)
    for page in pages:
        variants[str(page.labels["variant"])].append(page)
    return {
        "all": _mean(pages, seed),
        "variants": {name: {**_mean(group, seed), **_described(group)} for name, group in variants.items()},
    }


def _mean(pages: Sequence[PageResult], seed: int) -> dict[str, Any]:
    interval = mean_interval([scoring.headline(page) for page in pages], seed=seed)
    return {"pages": len(pages), "value": interval.value, "low": interval.low, "high": interval.high}


def _described(pages: Sequence[PageResult]) -> dict[str, Any]:
    """What a variant is on a scale: its labels that are numbers, their means."""
    names = [name for name in ("size", "characters", "strength", "degrees") if name in pages[0].labels]
    return {name: sum(page.labels[name] for page in pages) / len(pages) for name in names}


def score_blank(pages: Sequence[PageResult], seed: int = 0) -> dict[str, Any]:
    """Sheets on which something was read, and how much: letters and digits, since signs say nothing."""
    said = {str(page.labels["variant"]): sum(map(str.isalnum, page.reading.text)) for page in pages}
    return {"pages": len(pages), "silent": sum(not count for count in said.values()), "letters": said}


def score_needle(pages: Sequence[PageResult], seed: int = 0) -> dict[str, Any]:
    """For each length and depth whether the number was read; `likeness` of what is nearest to it, 0 to 1.

    Only digits are compared with the number: a text without any is like it by 0.
    """
    from rapidfuzz.distance import Levenshtein

    texts: dict[tuple[int, float], dict[int, str]] = defaultdict(dict)
    for page in pages:
        for length, depth, number in page.labels["cells"]:
            texts[length, depth][number] = normalise.plain(page.reading.text)
    wanted = pages[0].labels["code"]
    cells = []
    for (length, depth), numbered in sorted(texts.items()):
        digits = re.findall("[0-9]+", " ".join(numbered[number] for number in sorted(numbered)))
        likeness = max((Levenshtein.normalized_similarity(wanted, run) for run in digits), default=0.0)
        cells.append({"length": length, "depth": depth, "found": wanted in digits, "likeness": likeness})
    return {"cells": cells, "found": sum(cell["found"] for cell in cells) / len(cells)}
