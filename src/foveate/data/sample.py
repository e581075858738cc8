"""One training sample: a picture and a conversation about it, in the released prompts and markup.

Every maker of samples gives the same `Sample` for the same number and seed, on any machine with the same
fonts and libraries; shards, mixtures and packing know nothing else of a kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image

from foveate.document import Box
from foveate.pages.prompts import IMAGE, PROMPTS

# What a sample trains (DeepSeek-OCR, section 3.4); the mixture weighs these families.
Task = Literal["ocr1", "ocr2", "vision", "text"]
TASKS: tuple[Task, ...] = ("ocr1", "ocr2", "vision", "text")


@dataclass(frozen=True)
class Turn:
    """One side's words. The user's hold `<image>` where the picture goes."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True)
class Region:
    """A labelled place of the picture."""

    kind: str  # "word", "line", "text", "title", "table", …: what the box is around
    box: Box  # pixels of the sample's picture
    text: str = ""  # what stands there


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture, what is asked about it and what is to be answered."""

    kind: str  # the maker's name: "rendered", "pdf", "chart", …
    task: Task
    turns: tuple[Turn, ...]
    image: Image.Image | None = None  # None for text alone
    language: str = ""  # BCP 47, such as "en" or "zh-Hans"; "" where there is none
    regions: tuple[Region, ...] = ()
    source: str = ""  # what it was made from: a file and its page, or the name of a corpus
    number: int = 0  # of the sample within its kind
    seed: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON values: font, style, degradations, grade

    @property
    def prompt(self) -> str:
        """The first thing that the user says."""
        return self.turns[0].text

    @property
    def answer(self) -> str:
        """The last thing that is said."""
        return self.turns[-1].text


@dataclass(frozen=True)
class Skipped:
    """Why a number gives no sample: a page without text, a file that does not open."""

    kind: str
    source: str
    reason: str
    number: int = 0


class Maker(Protocol):
    """Makes the samples of one kind, each a function of its number and the seed alone."""

    @property
    def kind(self) -> str: ...

    @property
    def task(self) -> Task: ...

    @property
    def size(self) -> int | None:
        """How many numbers there are, from 0 on; None for a kind without end."""

    def make(self, number: int, seed: int) -> Sample | Skipped: ...


def ask(prompt: str, answer: str, reference: str | None = None) -> tuple[Turn, Turn]:
    """A released prompt by its name (see `pages.prompts`), and its answer."""
    text = PROMPTS[prompt]
    assert ("{reference}" in text) == (reference is not None), "only `locate` has a reference"
    if reference is not None:
        text = text.format(reference=reference)
    assert text.count(IMAGE) == 1
    return Turn("user", text), Turn("assistant", answer)


def dice(kind: str, number: int, seed: int) -> np.random.Generator:
    """The generator of one sample: apart for each kind, number and seed."""
    return np.random.default_rng((seed, number, *kind.encode()))
