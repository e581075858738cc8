"""`foveate read`, with a reader that needs no network."""

import json
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.cli import main
from foveate.cli.progress import summary
from foveate.document import Page

Capture = pytest.CaptureFixture[str]
Draw = Callable[..., Path]


def test_markdown_to_standard_output(reader: Any, folder: Path, draw: Draw, capsys: Capture) -> None:
    draw(folder / "a.png")
    assert main(["read", "a.png"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("page of 80 x 60\n")
    assert err.startswith("1 page in 0.0 s: 64 vision tokens, 640 text tokens, ratio 10.0")


def test_the_summary_says_how_sure_the_network_was() -> None:
    pages = [Page(number, 9, 9, (), confidence=sure) for number, sure in enumerate((0.9, 0.5, None), 1)]
    first, second = summary(pages, 1.0).splitlines()
    assert first.endswith("ratio 0.0, confidence 0.70")
    assert second.startswith("1 of 3 pages has a confidence under 0.6: much of the text may be wrong; try")
    assert summary([*pages, pages[1]], 1.0).splitlines()[1].startswith("2 of 4 pages have a")
    assert "\n" not in summary(pages[:1], 1.0)
    assert "confidence" not in summary(pages[2:], 1.0)


def test_quiet_says_nothing_but_the_text(reader: Any, folder: Path, draw: Draw, capsys: Capture) -> None:
    draw(folder / "a.png")
    assert main(["read", "a.png", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_what_the_reader_is_asked_for(reader: Any, folder: Path, draw: Draw) -> None:
    draw(folder / "a.png")
    main(["read", "a.png", "--locate", "the total", "--mode", "small"])
    main(["read", "a.png", "--max-tokens", "9", "--temperature", "0.5", "--retries", "0"])
    main(["read", "a.png", "--prompt", "Which year is it?", "--max-tiles", "4", "--batch-size", "2"])
    main(["read", "a.png"])
    plain = {"source": Path("a.png"), "mode": "auto", "prompt": "markdown", "temperature": 0.0, "retries": 1}
    plain |= dict.fromkeys(("reference", "batch_size", "max_tiles", "max_tokens"))
    assert reader.calls == [
        plain | {"prompt": "locate", "reference": "the total", "mode": "small"},
        plain | {"max_tokens": 9, "temperature": 0.5, "retries": 0},
        plain | {"prompt": "Which year is it?", "max_tiles": 4, "batch_size": 2},
        plain,
    ]


def test_several_documents_on_standard_output(reader: Any, folder: Path, draw: Draw, capsys: Capture) -> None:
    draw(folder / "a.png")
    draw(folder / "b--c.png", width=50)
    main(["read", "a.png", "b--c.png"])
    assert capsys.readouterr().out == (
        "<!-- a.png -->\n\npage of 80 x 60\n\n<!-- b- -c.png -->\n\npage of 50 x 60\n"
    )
    main(["read", ".", "--format", "txt"])
    assert capsys.readouterr().out == "page of 80 x 60\n\fpage of 50 x 60\n"
    main(["read", ".", "--format", "json"])
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["a.png", "b--c.png"]
    assert main(["read", ".", "--format", "html"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_html_on_standard_output_holds_its_pictures(
    reader: Any, folder: Path, draw: Draw, capsys: Capture, stdin: BytesIO
) -> None:
    stdin.write(draw(folder / "a.png").read_bytes())
    stdin.seek(0)
    assert main(["read", "-", "--format", "html"]) == 0
    assert "data:image/jpeg;base64," in capsys.readouterr().out


def test_pages(reader: Any, folder: Path, draw: Draw, capsys: Capture) -> None:
    draw(folder / "a.tif", pages=4)
    main(["read", "a.tif", "--pages", "4,2", "--format", "json"])
    assert [page["number"] for page in json.loads(capsys.readouterr().out)["pages"]] == [4, 2]
    assert main(["read", "a.tif", "--pages", "9"]) == 2
    assert "there is no page 9" in capsys.readouterr().err


def test_a_folder_of_files_with_their_pictures(reader: Any, folder: Path, draw: Draw) -> None:
    draw(folder / "in" / "a b.tif", pages=2)
    assert main(["read", "in", "--out", "out", "--boxes"]) == 0
    assert sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*") if path.is_file()) == [
        "a b.boxes/page-0001.png",
        "a b.boxes/page-0002.png",
        "a b.images/page-0001-0.jpg",
        "a b.images/page-0002-0.jpg",
        "a b.md",
    ]
    assert "](a%20b.images/page-0002-0.jpg)" in Path("out/a b.md").read_text()
    with Image.open("out/a b.images/page-0001-0.jpg") as picture:
        assert picture.size == (40, 60)
    with Image.open("out/a b.boxes/page-0001.png") as boxes:
        assert boxes.size == (80, 60) and boxes.getcolors() != [(80 * 60, (255, 255, 255))]


def test_standard_input_to_a_folder(reader: Any, folder: Path, draw: Draw, stdin: BytesIO) -> None:
    stdin.write(draw(folder / "a.png").read_bytes())
    stdin.seek(0)
    assert main(["read", "-", "--out", "out"]) == 0
    assert Path("out/stdin.md").exists() and Path("out/stdin.images/page-0001-0.jpg").exists()


def test_standard_input_over_the_limit(
    reader: Any, folder: Path, draw: Draw, capsys: Capture, stdin: BytesIO
) -> None:
    stdin.write(draw(folder / "a.png").read_bytes())
    stdin.seek(0)
    assert main(["read", "-", "--out", "out", "--max-bytes", "10"]) == 2
    assert "over the limit of 10 bytes" in capsys.readouterr().err


def test_names_do_not_collide(reader: Any, folder: Path, draw: Draw) -> None:
    for name in ("a/x.png", "b/X.png", "c/x.tif", "d/x-2.png"):
        draw(folder / name)
    assert main(["read", "a", "b", "c", "d", "--out", "out", "--format", "txt"]) == 0
    assert {path.name for path in Path("out").glob("*.txt")} == {"x.txt", "X-2.txt", "x-3.txt", "x-2-2.txt"}


def test_an_input_is_never_overwritten(reader: Any, folder: Path, draw: Draw) -> None:
    draw(folder / "a.png").rename("a.txt")
    before = Path("a.txt").read_bytes()
    assert main(["read", "a.txt", "--out", ".", "--format", "txt"]) == 0
    assert Path("a.txt").read_bytes() == before
    assert Path("a-2.txt").read_text().startswith("page of 80 x 60")


def test_a_picture_folder_that_is_an_input_is_not_overwritten(
    reader: Any, folder: Path, draw: Draw, capsys: Capture
) -> None:
    draw(folder / "a.png")
    before = draw(folder / "a.boxes" / "page-0001.png", width=5).read_bytes()
    assert main(["read", "a.png", "a.boxes/page-0001.png", "--out", ".", "--boxes"]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert Path("a.boxes/page-0001.png").read_bytes() == before


def test_a_name_that_is_no_text(reader: Any, folder: Path, draw: Draw) -> None:
    draw(folder / "a.png").rename(b"b\xff.png".decode("utf-8", "surrogateescape"))
    assert main(["read", ".", "--out", "out"]) == 0
    assert Path("out/b.md").exists() and Path("out/b.images").is_dir()


def test_one_bad_document_lets_the_others_go_on(
    reader: Any, folder: Path, draw: Draw, capsys: Capture
) -> None:
    draw(folder / "a.png")
    (folder / "b.png").write_text("not a picture")
    draw(folder / "c.png")
    assert main(["read", "missing.png", "a.png", "b.png", "c.png", "--out", "out"]) == 2
    assert {path.name for path in Path("out").glob("*.md")} == {"a.md", "c.md"}
    err = capsys.readouterr().err.splitlines()
    assert [line.startswith("foveate: ") for line in err] == [True, True, False]
    assert "missing.png" in err[0] and "b.png" in err[1] and err[2].startswith("2 pages")


def test_an_unread_page_is_reported(reader: Any, folder: Path, draw: Draw, capsys: Capture) -> None:
    draw(folder / "a.tif", pages=3)
    reader.broken = (2,)
    assert main(["read", "a.tif", "--out", "out", "--boxes"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("foveate: a.tif, page 2: it is blank\n") and "(1 not read)" in err
    assert {path.name for path in Path("out/a.boxes").iterdir()} == {"page-0001.png", "page-0003.png"}


def test_nothing_is_left_of_a_file_that_cannot_be_written(
    reader: Any, folder: Path, draw: Draw, capsys: Capture
) -> None:
    draw(folder / "a.png")
    (folder / "out" / "a.md" / "taken").mkdir(parents=True)
    assert main(["read", "a.png", "--out", "out"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(Path("out").rglob("*.partial"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--boxes"],
        ["--mode", "huge"],
        ["--mode", "gundam", "--max-tiles", "99"],
        ["--prompt", "translate"],
        ["--prompt", "locate"],
        ["--prompt", "ocr", "--locate", "the total"],
        ["--out", "a.png"],
    ],
)
def test_options_are_checked_before_a_model_is_loaded(
    arguments: list[str], folder: Path, draw: Draw, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("foveate.cli.read.load_reader")
    draw(folder / "a.png")
    assert main(["read", "a.png", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("foveate: ") and err.count("\n") == 1


@pytest.mark.parametrize("option", [["--dpi", "0"], ["--max-tokens", "x"], ["--temperature", "-1"]])
def test_numbers_are_checked_by_the_parser(option: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["read", "a.png", *option])
    assert ended.value.code == 2 and option[0] in capsys.readouterr().err


def test_a_bar_on_a_terminal_only(
    reader: Any, folder: Path, draw: Draw, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(folder / "a.tif", pages=3)
    main(["read", "a.tif", "--pages", "1-2"])
    assert "page/s" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main(["read", "a.tif", "--pages", "1-2"])
    assert "/2 [" in capsys.readouterr().err
    main(["read", "a.tif", "--quiet"])
    assert capsys.readouterr().err == ""
