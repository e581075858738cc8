"""`foveate render`."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("uharfbuzz")
from foveate.cli import main  # noqa: E402
from foveate.pages.render import Style, fonts, render, styles  # noqa: E402

TEXT = "Der schnelle braune Fuchs springt über den faulen Hund. " * 60 + "\n\nEin Ende."


@pytest.fixture(autouse=True)
def latin() -> None:
    if not fonts.families():
        pytest.skip("needs fonts")


@pytest.fixture
def text_file(folder: Path) -> Path:
    path = folder / "fuchs.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def spans(folder: Path) -> dict:
    return json.loads((folder / "spans.json").read_text(encoding="utf-8"))


def test_pages_and_spans(text_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "fuchs.txt", "--out", "pages", "--mode", "tiny", "--words"]) == 0
    said = spans(folder / "pages")
    expected = render(TEXT, styles.get("readable", "tiny"))
    assert len(said["pages"]) == len(expected) > 1 and said["mode"] == "tiny"
    for row, page in zip(said["pages"], expected, strict=True):
        with Image.open(folder / "pages" / row["file"]) as image:
            assert image.size == (512, 512) and image.tobytes() == page.image.tobytes()
        assert row["vision_tokens"] == 64 and row["span"] == list(page.span)
        for part in (*row["lines"], *row["words"]):
            assert TEXT[slice(*part["span"])] == part["text"]
    assert f"{len(expected)} pages" in capsys.readouterr().err


def test_a_style_of_a_file_and_a_pdf(text_file: Path, folder: Path) -> None:
    from foveate.pages.source import open_pages

    style = Style(width=300, height=300, margins=(10,) * 4, size=12, ink=(90, 0, 0), dpi=144)
    styles.save(style, folder / "my.toml")
    assert (
        main(["render", "fuchs.txt", "--out", "p", "--style", "my.toml", "--pdf", "all.pdf", "--quiet"]) == 0
    )
    assert styles.from_dict(spans(folder / "p")["style"]) == style
    pages = list(open_pages(folder / "all.pdf", dpi=144))
    files = sorted((folder / "p").glob("*.png"))
    assert len(pages) == len(files) > 2
    for page, file in zip(pages, files, strict=True):
        with Image.open(file) as image:
            assert page.image.tobytes() == image.tobytes()  # pixel for pixel


def test_markdown_by_its_suffix(folder: Path) -> None:
    (folder / "a.md").write_text("# Head\n\n**bold** words\n")
    assert main(["render", "a.md", "--out", "set", "--quiet"]) == 0
    assert main(["render", "a.md", "--out", "plain", "--plain", "--quiet"]) == 0
    said, plain = (
        [line["text"] for page in spans(folder / name)["pages"] for line in page["lines"]]
        for name in ("set", "plain")
    )
    assert said == ["Head", "bold words"] and plain == ["# Head", "**bold** words"]


def test_fewer_pages_leave_no_old_ones(text_file: Path, folder: Path) -> None:
    assert main(["render", "fuchs.txt", "--out", "p", "--mode", "tiny", "--quiet"]) == 0
    (folder / "p" / "mine.png").touch()
    text_file.write_text("short")
    assert main(["render", "fuchs.txt", "--out", "p", "--mode", "tiny", "--quiet"]) == 0
    assert sorted(file.name for file in (folder / "p").iterdir()) == [
        "mine.png",
        "page-0001.png",
        "spans.json",
    ]


def test_standard_input(folder: Path, stdin: BytesIO) -> None:
    stdin.write("\ufeffwords".encode())
    stdin.seek(0)
    assert main(["render", "-", "--out", "p", "--lines", "marked", "--quiet"]) == 0
    (page,) = spans(folder / "p")["pages"]
    assert [line["text"] for line in page["lines"]] == ["words"]


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(styles.STYLES)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.txt", "--out", "p"], "none.txt"),
        (["fuchs.txt"], "--out"),
        (["fuchs.txt", "--out", "p", "--style", "nice"], "readable"),
        (["fuchs.txt", "--out", "p", "--style", "none.toml"], "none.toml"),
        (["fuchs.txt", "--out", "p", "--mode", "auto"], "mode"),
        (["fuchs.txt", "--out", "p", "--mode", "tiny", "--dpi", "72"], "--dpi"),
        (["latin1.txt", "--out", "p"], "UTF-8"),
        (["empty.txt", "--out", "p"], "no text"),
        (["fuchs.txt", "--out", "fuchs.txt"], "fuchs.txt"),
    ],
)
def test_what_cannot_be_is_told(
    arguments: list[str], told: str, text_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "latin1.txt").write_bytes("über".encode("latin-1"))
    (folder / "empty.txt").write_text(" \n")
    assert main(["render", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error and len(error.splitlines()) == 1
    assert not (folder / "p" / "spans.json").exists()
