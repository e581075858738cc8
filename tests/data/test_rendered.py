"""Rendered samples: functions of number and seed, with answers that the picture shows."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from foveate.data.mixture import attempt
from foveate.data.passages import CorpusFile, open_source, paragraphs, read_declarations
from foveate.data.rendered import RenderedMaker, escape, mark_up
from foveate.data.sample import Sample, Skipped
from foveate.errors import OptionError
from foveate.pages.render import Style, fonts, render

pytest.importorskip("uharfbuzz")
pytestmark = pytest.mark.skipif(not fonts.families(), reason="needs fonts")
TEXT = "\n".join(
    f"Paragraph {n} speaks of apples and *plums*. It has a second sentence_of_words | and 3. A third one."
    for n in range(80)
)
MAKER = RenderedMaker(documents=(("en", TEXT), ("en", TEXT[::-1])), damaged=0.0)


def made(maker: RenderedMaker, number: int, seed: int = 3) -> Sample:
    sample = maker.make(number, seed)
    assert isinstance(sample, Sample), sample
    return sample


def test_same_number_same_bytes_in_any_order() -> None:
    maker = RenderedMaker(documents=MAKER.documents)
    forth = [made(maker, number) for number in range(4)]
    copy = pickle.loads(pickle.dumps(maker))
    back = [made(copy, number) for number in (3, 2, 1, 0)][::-1]
    for one, other in zip(forth, back, strict=True):
        assert one.image is not None and other.image is not None
        assert one.image.tobytes() == other.image.tobytes()
        assert (one.turns, one.regions, one.details) == (other.turns, other.regions, other.details)
    assert forth[0].answer != made(maker, 0, seed=4).answer


def test_a_file_s_name_says_its_language_or_nothing(tmp_path: Path) -> None:
    for name, language in (
        ("de-modern.txt", "de"),
        ("notes.txt", ""),
        ("multiple.txt", ""),
        ("my.txt", "my"),
    ):
        (tmp_path / name).write_text("First words.\n" + "And some words more.\n" * 50)
        source = open_source(tmp_path / name)
        assert isinstance(source, CorpusFile) and source.language == language


def test_a_file_that_cannot_be_read_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "en.txt.xz").write_bytes(b"no archive")
    with pytest.raises(OptionError, match=r"en.txt.xz is no whole .xz file"):
        attempt(RenderedMaker((tmp_path / "en.txt.xz",)), 0, 0)


def test_what_nobody_sees_is_in_no_answer() -> None:
    assert paragraphs("\ufeffA bird\x00cage\x1b.\r\n<image>No\x7f <|ref|>") == [
        "A birdcage.",
        "image>No |ref|>",
    ]


def test_regions_hold_ink_and_answers_what_they_say() -> None:
    prompts = set()
    for number in range(8):
        sample = made(MAKER, number)
        prompts.add(sample.prompt)
        assert sample.image is not None and sample.language == "en" and sample.task == "ocr1"
        image = np.asarray(sample.image.convert("L"), int)
        paper = image[0, 0]
        words = [region for region in sample.regions if region.kind == "word"]
        assert words
        for word in words:
            box = word.box
            there = image[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
            assert np.abs(there - paper).max() > 12, word  # a hairline of a light face is pale
        if "OCR this image" in sample.prompt:
            lines = [region.text for region in sample.regions if region.kind == "line"]
            assert [
                line.partition("<|/ref|>")[0].removeprefix("<|ref|>") for line in sample.answer.split("\n")
            ] == lines
    assert len(prompts) > 1


def test_the_markup_is_the_released_one() -> None:
    sample = next(s for s in (made(MAKER, n) for n in range(20)) if "markdown" in s.prompt)
    assert sample.image is not None
    first = next(region for region in sample.regions if region.kind not in ("line", "word"))
    box = ", ".join(map(str, first.box.to_grid(*sample.image.size)))
    assert sample.answer.startswith(f"<|ref|>{first.kind}<|/ref|><|det|>[[{box}]]<|/det|>\n{first.text}")


def test_escaped_text_says_the_same() -> None:
    text = "# no *heading* with_under_scores, `ticks` and | bars \\ back"
    page = render(escape(text), Style(markdown=True, width=900))[0]
    assert [(block.kind, block.text) for block in page.blocks] == [("text", text)]
    assert render(escape("12. of May"), Style(markdown=True))[0].blocks[0].text == "12. of May"


def test_markup_keeps_the_words() -> None:
    rng = np.random.default_rng(1)
    parts = paragraphs(TEXT)
    marked = mark_up(rng, parts, rich=1.0)
    assert all(sign in marked for sign in ("\n- ", "\n1. ", "\n## ", "|---", "second"))
    assert mark_up(rng, parts, rich=0.0) == "\n\n".join(map(escape, parts))


def test_cut_lines_are_joined_and_whole_ones_kept() -> None:
    wrapped = "\n".join(["these lines were cut to a width of some sixty characters each"] * 5)
    assert len(paragraphs(wrapped + "\n\n" + wrapped)) == 2
    assert len(paragraphs("One.\nTwo.\nThree.")) == 3


def test_files_of_one_language_and_of_many(tmp_path: Path) -> None:
    (tmp_path / "de-modern.txt").write_text("Ein Satz, der lang genug ist, um etwas zu sagen.\n" * 50)
    (tmp_path / "mul-few.txt").write_text("eng en\nTitle\nSome words.\n\fdeu de\nTitel\nEin paar Worte.\n")
    source = open_source(tmp_path / "de-modern.txt")
    assert isinstance(source, CorpusFile)
    assert source.pick(np.random.default_rng(0), 200).language == "de"
    tags = [tag for tag, _ in read_declarations(tmp_path / "mul-few.txt")]
    assert [(tag.code, tag.language) for tag in tags] == [("eng", "en"), ("deu", "de")]
    sample = made(RenderedMaker(files=(tmp_path / "mul-few.txt",)), 0)
    assert sample.language in ("en", "de") and sample.source == "mul-few.txt"


def test_without_text_there_is_no_maker_and_without_words_no_sample() -> None:
    with pytest.raises(OptionError, match="text"):
        RenderedMaker()
    assert isinstance(RenderedMaker(documents=(("en", " \n "),)).make(0, 0), Skipped)


def test_special_tokens_of_the_text_are_not_taken_over() -> None:
    sample = made(RenderedMaker(documents=(("en", "Say <|ref|>this<image> aloud, please, " * 20),)), 1)
    assert "<image>" not in sample.answer and not any("<|" in region.text for region in sample.regions)
