"""`foveate tune`."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("uharfbuzz")
pytest.importorskip("rapidfuzz")
from foveate.cli import main  # noqa: E402
from foveate.pages.render import fonts, styles  # noqa: E402

SENTENCE = "The quick brown fox jumps over the lazy dog while the sun shines on the green hills. "


@pytest.fixture
def text(folder: Path) -> str:
    if not fonts.families():
        pytest.skip("needs fonts")
    (folder / "text.txt").write_text("\n".join(SENTENCE * 8 for _ in range(100)))
    return "text.txt"


def arguments(text: str, *more: str) -> list[str]:
    effort = ["--generations", "1", "--population", "4", "--pages", "1", "--mode", "tiny"]
    return ["tune", text, "--out", "found", *effort, *more]


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs tesseract")
def test_a_style_for_tesseract(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The style that is found is one that foveate render takes."""
    asked = arguments(text, "--reader", "tesseract", "--precision", "0.5", "--start", "readable")
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "text tokens for each vision token" in said and (folder / "found" / "index.html").is_file()
    style = styles.load(folder / "found" / "style.toml")
    assert (style.width, style.height) == (512, 512)
    assert main(["render", text, "--style", "found/style.toml", "--out", "pages", "--quiet"]) == 0
    assert main(asked) == 0 and capsys.readouterr().out == said  # from the journal


def test_a_reader_that_reads_nothing(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(text, "--reader", "blank")) == 2
    assert "--precision" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--reader", "none:x"], "none:x"),
        (["--reader", "blank", "--precision", "2"], "precision"),
        (["--reader", "blank", "--mode", "gundam"], "tiles"),
        (["--reader", "blank", "--start", "x"], "readable"),
        (["--reader", "blank", "--price", "x"], "openai-tiles"),
        (["--reader", "blank", "--tokenizer", "none.json"], "tokenizer"),
    ],
)
def test_what_cannot_be_is_told(
    more: list[str], told: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(text, *more)) == 2
    assert told in capsys.readouterr().err


def test_a_text_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("none.txt", "--reader", "blank")) == 2
    assert "none.txt" in capsys.readouterr().err
