"""`foveate data`."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from foveate.cli import main
from foveate.data.recipes import KINDS, RECIPES
from foveate.data.sample import Region
from foveate.data.shards import read_manifest, read_samples
from foveate.document import Box, Page
from foveate.pages.image import PageImage

Capture = pytest.CaptureFixture[str]
SHAPES = ["data", "make", "shapes", "--out", "set", "--count", "20", "--shard-size", "8", "--workers", "1"]


@pytest.fixture
def shards(folder: Path, capsys: Capture) -> Path:
    assert main(SHAPES) == 0
    capsys.readouterr()
    return folder / "set"


def test_make(folder: Path, capsys: Capture) -> None:
    assert main(SHAPES) == 0
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("set: 20 samples in 3 shards, 0.")
    assert [sample.number for sample in read_samples(folder / "set")] == list(range(20))
    made = read_manifest(folder / "set")
    assert made and made.recipe["name"] == "shapes" and made.recipe["seed"] == 0


def test_make_goes_on(shards: Path, capsys: Capture) -> None:
    before = {path: path.stat().st_mtime_ns for path in shards.glob("*.parquet")}
    (gone := sorted(before)[1]).unlink()
    assert main([*SHAPES, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    after = {path: path.stat().st_mtime_ns for path in shards.glob("*.parquet")}
    assert [path for path in before if before[path] != after[path]] == [gone]


def test_make_refuses_another_run(shards: Path, capsys: Capture) -> None:
    assert main([*SHAPES, "--seed", "1"]) == 2
    assert (
        capsys.readouterr().err == "foveate: set holds another run (seed 0, not 1): choose another folder\n"
    )


def test_make_in_two_processes(shards: Path, folder: Path) -> None:
    arguments = [*SHAPES, "--workers", "2", "--out", "other", "--quiet"]
    subprocess.run([sys.executable, "-m", "foveate", *arguments], check=True, cwd=folder)
    for path in shards.glob("*.parquet"):
        assert (folder / "other" / path.name).read_bytes() == path.read_bytes()


def test_make_each_of_what_there_is(folder: Path, capsys: Capture) -> None:
    (folder / "en.txt").write_text("Plain words, line after line.\n" * 2000)
    arguments = ["data", "make", "text", "--text", "en.txt", "--tokens", "512", "--out", "set"]
    assert main(arguments) == 0
    samples = list(read_samples(folder / "set"))
    numbers = [sample.number for sample in samples]
    assert sorted(numbers) == list(range(len(numbers))) and len(numbers) > 5
    assert f"{len(numbers)} samples in 1 shards" in capsys.readouterr().err


def test_the_default_says_what_it_leaves_out(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chart", "chemistry", "geometry"):  # they need libraries
        monkeypatch.delitem(KINDS, name)
    kinds = [kind for kind in RECIPES["default"].kinds if kind in KINDS]
    monkeypatch.setitem(RECIPES, "default", type(RECIPES["default"])("", tuple(kinds), False))
    assert main(["data", "make", "default", "--out", "set", "--count", "3"]) == 0
    left = "rendered, pdf, word, scene, scene-text, labelled, general, text"
    assert f"(without their sources: {left})" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["soup"], "'soup' is no recipe"),
        (["text"], "the recipe text needs a source: give --text FILE"),
        (["text", "--text", "gone.txt"], "gone.txt: no such file or folder for --text FILE"),
    ],
)
def test_mistakes_of_make(folder: Path, capsys: Capture, arguments: list[str], message: str) -> None:
    assert main(["data", "make", *arguments, "--out", "set"]) == 2
    assert capsys.readouterr().err.startswith(f"foveate: {message}") and not (folder / "set").exists()


def test_sources_that_give_nothing(folder: Path, capsys: Capture) -> None:
    (folder / "papers").mkdir()
    (folder / "papers" / "a.pdf").write_text("hello")
    assert main(["data", "make", "documents", "--pdfs", "papers", "--out", "set"]) == 2
    assert re.fullmatch(r"foveate: set: no sample could be made .*a\.pdf.*\n", capsys.readouterr().err)


def test_list(capsys: Capture) -> None:
    assert main(["data", "list"]) == 0
    recipes, kinds = capsys.readouterr().out.split("kinds\n")
    assert [line.split()[0] for line in recipes.splitlines()[1:]] == list(RECIPES)
    assert [line.split()[0] for line in kinds.splitlines()] == list(KINDS)
    assert "--images DIR --annotations FILE" in kinds and "[--smiles FILE]" in kinds


def is_png(path: Path) -> bool:
    with Image.open(path) as image:
        return image.format == "PNG" and min(image.size) > 400


def test_show(shards: Path, folder: Path, capsys: Capture) -> None:
    pytest.importorskip("uharfbuzz")
    first = sorted(shards.glob("*.parquet"))[0]
    assert main(["data", "show", str(first), "--index", "3"]) == 0
    name = capsys.readouterr().out.strip()
    assert name == "samples-000000-of-000003-3.png" and is_png(folder / name)
    assert main(["data", "show", "set", "--out", "a.png"]) == 0
    assert is_png(folder / "a.png")
    assert main(["data", "show", "set", "--index", "8"]) == 2
    assert "has 8 samples, counted from 0: there is no sample 8" in capsys.readouterr().err


def test_stats(shards: Path, folder: Path, capsys: Capture) -> None:
    assert main(["data", "stats", "set", "--out", "a.png"]) == 0
    assert capsys.readouterr().out.startswith("20 samples in 3 shards, 0.")
    assert is_png(folder / "a.png")
    assert main(["data", "stats", "set", "--json", "--mode", "large"]) == 0
    (kind,) = json.loads(capsys.readouterr().out)["kinds"]
    assert (kind["kind"], kind["samples"], kind["vision_tokens"]) == ("shapes", 20, 8000)
    assert main(["data", "stats", "set", "--mode", "huge"]) == 2


def test_check(shards: Path, capsys: Capture) -> None:
    assert main(["data", "check", "set"]) == 0
    assert capsys.readouterr() == ("set: 20 samples, nothing wrong\n", "")
    path = sorted(shards.glob("*.parquet"))[1]
    path.unlink()
    assert main(["data", "check", "set"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"{Path('set') / path.name} is missing" in err
    assert main(["data", "check", "gone"]) == 2


@dataclass
class FakeReader:
    """Says how wide each page is, with a confidence; comes to the last page first."""

    confidence: float
    words: str = "This page has a width of"

    def read_pages(
        self, images: Iterator[PageImage], options: object, batch_size: int
    ) -> Iterator[tuple[PageImage, Page]]:
        for image in reversed(list(images)):
            width, height = image.image.size
            text = f"{self.words} {width}"
            yield image, Page(image.number, width, height, (), raw=text, confidence=self.confidence)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeReader]:
    fakes = {"sure": FakeReader(0.95), "unsure": FakeReader(0.5), "odd": FakeReader(0.95, "Nothing to")}
    monkeypatch.setattr("foveate.cli.label.load_reader", lambda model, device: fakes[model])
    return fakes


def label(*arguments: str) -> list[str]:
    return ["data", "label", "pages", "--out", "set", "--prompt", "text", "--shard-size", "2", *arguments]


@pytest.fixture
def pages(folder: Path, draw: Callable[..., Path]) -> None:
    draw(folder / "pages" / "a.png", width=70)
    draw(folder / "pages" / "b.tif", width=80, pages=2)
    (folder / "pages" / "c.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")


@pytest.mark.usefixtures("readers", "pages")
def test_label_keeps_what_the_reader_is_sure_of(folder: Path, capsys: Capture) -> None:
    assert main(label("--model", "sure")) == 2
    out, err = capsys.readouterr()
    assert "c.png" in err and err.count("\n") == 1
    assert json.loads(out)["kept"] == {"the reader is confident": 3}
    found = [(sample.source, sample.answer) for sample in read_samples(folder / "set")]
    assert found == [
        ("a.png, page 1", "This page has a width of 70"),
        ("b.tif, page 1", "This page has a width of 80"),
        ("b.tif, page 2", "This page has a width of 80"),
    ]
    assert main(["data", "check", "set"]) == 0


@pytest.mark.usefixtures("readers", "pages")
def test_label_with_a_second_reader(folder: Path, capsys: Capture) -> None:
    (folder / "pages" / "c.png").unlink()
    assert main(label("--model", "unsure", "--second", "sure")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["kept"] == {"the readers agree": 3} and report["mean_agreement_of_kept"] == 1
    assert main(label("--model", "unsure", "--second", "odd")) == 2  # another run
    assert "second sure, not odd" in capsys.readouterr().err
    assert main(label("--model", "sure", "--second", "odd", "--out", "other")) == 0
    (reason,) = json.loads(capsys.readouterr().out)["dropped"]
    assert reason.startswith("the readers do not agree")


@pytest.mark.usefixtures("readers", "pages")
def test_label_with_an_ocr_engine(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        name = "engine 1.0"

        def annotate(self, image: Image.Image) -> list[Region]:
            words = ("This page has", f"a width of {min(image.width, 70)}")
            return [Region("line", Box(0, 0, 9, 9), text) for text in words]

    monkeypatch.setattr("foveate.data.annotator.RapidAnnotator", Engine)
    (folder / "pages" / "c.png").unlink()
    assert main(label("--model", "unsure", "--second", "rapidocr", "--agreement", "1")) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == {"the readers agree": 1}
    (sample,) = read_samples(folder / "set")
    assert sample.source == "a.png, page 1" and sample.details["readers"] == ["unsure", "engine 1.0"]


def test_mistakes_of_label(folder: Path, capsys: Capture) -> None:
    assert main(["data", "label", "x.png", "--out", "set", "--second-mode", "large"]) == 2
    assert main(["data", "label", "x.png", "--out", "set", "--agreement", "7"]) == 2
    assert main(["data", "label", "x.png", "--out", "set", "--mode", "huge"]) == 2
    assert capsys.readouterr().err.count("foveate: ") == 3 and not (folder / "set").exists()
