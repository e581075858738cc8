"""New samples from pages without labels: what the current model reads, where it can be believed.

A reading is kept when two readers agree on it, or, with one reader, when its confidence is high enough. What
is kept and what is not goes to the shards with its reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from foveate.data.sample import Region, Sample, Skipped, ask
from foveate.data.shards import Outcome, read_note, read_rows, shard_files
from foveate.document import GRID
from foveate.errors import OptionError
from foveate.pages.markup import parse

KIND = "flywheel"
Page = tuple[str, Image.Image | str]  # its source, and the picture or why there is none


@dataclass(frozen=True)
class Label:
    """What a reader says of a page."""

    text: str  # as the model writes it, markup and all
    confidence: float | None = None  # 0 to 1
    stop: str = "end"  # "loop", "length" and "error" say that the reading did not come to its end


class Labeller(Protocol):
    """A reader of pages: a model, an OCR engine, a person."""

    @property
    def name(self) -> str: ...

    def label(self, images: Sequence[Image.Image], prompt: str) -> Sequence[Label]:
        """One label for each picture, in order; `prompt` is the name of a released prompt."""


@dataclass(frozen=True)
class Rules:
    """What is believed."""

    agreement: float = 0.95  # of two readers: 1 minus the edit distance over the longer text's length
    confidence: float = 0.9  # of one reader
    shortest: int = 16  # letters of an answer: two readers agree easily on nothing

    def __post_init__(self) -> None:
        for name in ("agreement", "confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}: choose a number from 0 to 1")


@dataclass(frozen=True)
class Verdict:
    """Whether a label is kept, and why."""

    kept: bool
    reason: str
    agreement: float | None = None


def agreement(one: str, other: str) -> float:
    """1 for the same text, 0 for nothing in common: 1 minus the normalised edit distance.

    Runs of blanks count as one. Raises `OptionError` without rapidfuzz.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as missing:
        raise OptionError("comparing two readers needs rapidfuzz: pip install 'foveate[data]'") from missing
    return float(Levenshtein.normalized_similarity(" ".join(one.split()), " ".join(other.split())))


def words_of(text: str, prompt: str) -> str:
    """What a label says without its boxes, which two readers never put at the same places."""
    return "\n".join(block.text for block in parse(text, GRID, GRID, prompt=prompt))


def judge(labels: Sequence[Label], rules: Rules, prompt: str = "markdown") -> Verdict:
    """Whether the first label is kept; the others are witnesses to its words."""
    label, *witnesses = labels
    if label.stop != "end":
        return Verdict(False, f"the reading ended by {label.stop}")
    if len("".join(label.text.split())) < rules.shortest:
        return Verdict(False, "the text is too short")
    if witnesses:
        said, *heard = (words_of(each.text, prompt) for each in labels)
        least = min(agreement(said, words) for words in heard)
        if least >= rules.agreement:
            return Verdict(True, "the readers agree", least)
        return Verdict(False, f"the readers do not agree (about {least:.1f})", least)
    if label.confidence is None:
        return Verdict(False, "the reader gives no confidence")
    if label.confidence >= rules.confidence:
        return Verdict(True, "the reader is confident")
    return Verdict(False, f"the reader is not confident (about {label.confidence:.1f})")


@dataclass
class Flywheel:
    """Labels pages and keeps what the rules believe."""

    readers: Sequence[Labeller]  # the first one's words are kept, the others are witnesses
    rules: Rules = field(default_factory=Rules)
    prompt: str = "markdown"
    language: str = ""
    batch: int = 8  # pages that are handed to a reader at once

    def __post_init__(self) -> None:
        if not self.readers:
            raise OptionError("labelling needs a reader: name a model")

    def outcomes(self, pages: Iterable[Page], start: int = 0) -> Iterator[Outcome]:
        """What becomes of each page, for a shard that begins at position `start`."""
        iterator = iter(pages)
        while group := list(islice(iterator, self.batch)):
            images = [page for _, page in group if isinstance(page, Image.Image)]
            answers = [reader.label(images, self.prompt) for reader in self.readers] if images else []
            labels = iter(list(zip(*answers, strict=True)))
            for source, page in group:
                if isinstance(page, Image.Image):
                    yield self._outcome(start, source, page, next(labels))
                else:
                    yield Outcome(start, None, (Skipped(KIND, source, page, start),))
                start += 1

    def _outcome(self, position: int, source: str, image: Image.Image, labels: Sequence[Label]) -> Outcome:
        verdict = judge(labels, self.rules, self.prompt)
        if not verdict.kept:
            return Outcome(position, None, (Skipped(KIND, source, verdict.reason, position),))
        label = labels[0]
        details = {
            "readers": [reader.name for reader in self.readers],
            "confidence": label.confidence,
            "agreement": verdict.agreement,
            "reason": verdict.reason,
        }
        blocks = parse(label.text, *image.size, prompt=self.prompt)
        regions = tuple(Region(block.kind, box, block.text) for block in blocks for box in block.boxes)
        return Outcome(
            position,
            Sample(
                kind=KIND,
                task="ocr1",
                turns=ask(self.prompt, label.text),
                image=image,
                language=self.language,
                regions=regions,
                source=source,
                number=position,
                details=details,
            ),
        )


def report(folder: Path) -> dict[str, Any]:
    """What became of the pages whose labels a folder holds, as JSON values: how often for each reason."""
    kept: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    agreements: list[float] = []
    for shard in shard_files(folder):
        dropped.update(miss["reason"] for miss in read_note(shard)["skipped"])
        for row in read_rows(shard, ["details"]):
            details = json.loads(row["details"])
            kept[details["reason"]] += 1
            agreements += [] if details["agreement"] is None else [details["agreement"]]
    mean = sum(agreements) / len(agreements) if agreements else None
    pages = kept.total() + dropped.total()
    return {"pages": pages, "kept": dict(kept.most_common()), "dropped": dict(dropped.most_common())} | {
        "mean_agreement_of_kept": mean
    }
