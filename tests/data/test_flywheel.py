"""Labels by readers, and which of them are believed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from foveate.data.check import check_folder
from foveate.data.flywheel import Flywheel, Label, Page, Rules, agreement, judge, report
from foveate.data.making import write_shards
from foveate.data.shards import Manifest, read_note, read_samples, shard_files
from foveate.errors import OptionError
from foveate.pages.prompts import PROMPTS

LONG = "The quick brown fox jumps over the lazy dog."


@dataclass
class Scripted:
    """Says of a picture what stands in the script at the place that its width says."""

    script: Sequence[Label]
    name: str = "scripted"
    calls: list[int] = field(default_factory=list)

    def label(self, images: Sequence[Image.Image], prompt: str) -> Sequence[Label]:
        self.calls.append(len(images))
        return [self.script[image.width - 1] for image in images]


def pages(count: int) -> list[Page]:
    return [(f"page {n}", Image.new("RGB", (n + 1, 10), "white")) for n in range(count)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("abc", "abc", 1.0),
        ("abc", "xyz", 0.0),
        ("abcd", "abcx", 0.75),
        ("a  b\n", "a b", 1.0),
        ("", "", 1.0),
        ("abcd", "", 0.0),
    ],
)
def test_agreement(one: str, other: str, expected: float) -> None:
    assert agreement(one, other) == expected == agreement(other, one)


@pytest.mark.parametrize(
    ("labels", "kept", "reason"),
    [
        ([Label(LONG, 0.95)], True, "the reader is confident"),
        ([Label(LONG, 0.9)], True, "the reader is confident"),
        ([Label(LONG, 0.89)], False, "the reader is not confident (about 0.9)"),
        ([Label(LONG)], False, "the reader gives no confidence"),
        ([Label(LONG, 0.99, "loop")], False, "the reading ended by loop"),
        ([Label(" a  b \n" * 3, 0.99)], False, "the text is too short"),
        ([Label(LONG, 0.1), Label(LONG + ".")], True, "the readers agree"),
        ([Label(LONG, 0.99), Label(LONG[:30])], False, "the readers do not agree (about 0.7)"),
        ([Label(LONG), Label(LONG), Label("")], False, "the readers do not agree (about 0.0)"),
    ],
)
def test_what_is_believed(labels: list[Label], kept: bool, reason: str) -> None:
    verdict = judge(labels, Rules())
    assert (verdict.kept, verdict.reason) == (kept, reason)


def test_boxes_do_not_count() -> None:
    labels = [Label(f"<|ref|>text<|/ref|><|det|>[[{n}, 10, 500, 90]]<|/det|>\n{LONG}") for n in (5, 300)]
    assert judge(labels, Rules(agreement=1.0)).agreement == 1
    lines = [Label(f"<|ref|>{LONG}<|/ref|><|det|>[[{n}, 10, 500, 90]]<|/det|>") for n in (5, 300)]
    assert judge([*lines, Label(LONG)], Rules(agreement=1.0), "ocr").kept


def test_two_readers() -> None:
    first = Scripted([Label(f"{LONG} {n}", 0.5) for n in range(5)], "first")
    second = Scripted([Label(f"{LONG} {n}" if n != 2 else "Nothing.") for n in range(5)], "second")
    wheel = Flywheel([first, second], prompt="text", batch=2, language="en")
    outcomes = list(wheel.outcomes(pages(5), start=10))
    assert [outcome.position for outcome in outcomes] == [10, 11, 12, 13, 14]
    assert [outcome.sample is None for outcome in outcomes] == [False, False, True, False, False]
    assert first.calls == second.calls == [2, 2, 1]
    sample = outcomes[3].sample
    assert sample and sample.answer == f"{LONG} 3" and sample.prompt == PROMPTS["text"]
    assert (sample.source, sample.language, sample.task) == ("page 3", "en", "ocr1")
    assert sample.details == {
        "readers": ["first", "second"],
        "confidence": 0.5,
        "agreement": 1.0,
        "reason": "the readers agree",
    }
    (miss,) = outcomes[2].skipped
    assert (miss.source, miss.reason) == ("page 2", "the readers do not agree (about 0.1)")


def test_boxes_of_the_markup_become_regions() -> None:
    markup = "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 500]]<|/det|>\n# A heading of some length"
    (outcome,) = Flywheel([Scripted([Label(markup, 1.0)] * 4)]).outcomes(pages(4)[3:])
    assert outcome.sample
    (region,) = outcome.sample.regions
    assert (region.kind, region.text, region.box.x1) == ("title", "# A heading of some length", 4)


def test_pages_that_cannot_be_seen_take_their_place() -> None:
    found: list[Page] = [("a", "a is damaged"), *pages(2), ("b", "b is damaged")]
    reader = Scripted([Label(LONG, 1.0)] * 2)
    outcomes = list(Flywheel([reader], batch=3).outcomes(found))
    assert [bool(outcome.sample) for outcome in outcomes] == [False, True, True, False]
    assert [miss.reason for outcome in outcomes for miss in outcome.skipped] == [
        "a is damaged",
        "b is damaged",
    ]
    assert reader.calls == [2]


def test_kept_pages_become_shards_with_a_report(tmp_path: Path) -> None:
    script = [Label(f"{LONG} {n}", 0.95 if n % 3 else 0.2) for n in range(10)]
    wheel = Flywheel([Scripted(script)], prompt="text")
    seen = pages(10)

    def outcomes(places: range):  # type: ignore[no-untyped-def]
        return wheel.outcomes([seen[place] for place in places], places.start)

    made = write_shards(tmp_path, outcomes, Manifest({"name": "label"}, 10, 4, "png"))
    assert made.complete and made.rows == 6 and not list(check_folder(tmp_path))
    assert [sample.source for sample in read_samples(tmp_path)] == [f"page {n}" for n in (1, 2, 4, 5, 7, 8)]
    assert [miss["source"] for miss in read_note(shard_files(tmp_path)[1])["skipped"]] == ["page 6"]
    assert report(tmp_path) == {
        "pages": 10,
        "kept": {"the reader is confident": 6},
        "dropped": {"the reader is not confident (about 0.2)": 4},
        "mean_agreement_of_kept": None,
    }


def test_mistakes() -> None:
    with pytest.raises(OptionError, match="agreement is 1.5"):
        Rules(agreement=1.5)
    with pytest.raises(OptionError, match="needs a reader"):
        Flywheel([])
