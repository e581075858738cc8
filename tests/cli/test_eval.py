"""`foveate eval` from the command line, with readers that need no network."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.cli import main
from foveate.evaluation.run import load_run

TRUTHS = {"one": "The first page says little.", "two": "The second page says more than the first."}


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Pages with their truths, and two folders of predictions: all right, and one wrong."""
    lines = [json.dumps({"id": name, "text": text}) for name, text in TRUTHS.items()]
    (tmp_path / "pages.jsonl").write_text("\n".join(lines))
    for folder in ("right", "wrong"):
        (tmp_path / folder).mkdir()
        for name, text in TRUTHS.items():
            Image.new("RGB", (40, 30), "white").save(tmp_path / f"{name}.png")
            (tmp_path / folder / f"{name}.md").write_text(text if folder == "right" else text[:10])
    return tmp_path


def run_reader(pages: Path, folder: str) -> Path:
    out = pages / f"{folder}.json"
    arguments = ["--reader", f"predictions:{pages / folder}", "--pages", str(pages / "pages.jsonl")]
    assert main(["eval", "run", *arguments, "--json", str(out)]) == 0
    return out


def test_run_compare_and_report(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right, wrong = run_reader(pages, "right"), run_reader(pages, "wrong")
    said = capsys.readouterr().out
    assert "edit_similarity  1.000" in said and f"written: {wrong}" in said
    assert load_run(right).scores["plain"]["edit_similarity"]["value"] == 1
    html, values = pages / "both.html", pages / "both.json"
    options = ["--html", str(html), "--json", str(values), "--worst", "1"]
    assert main(["eval", "compare", str(right), str(wrong), *options]) == 0
    assert "difference" in capsys.readouterr().out and "Page against page" in html.read_text()
    assert json.loads(values.read_text())["difference"] < -0.3
    report = pages / "report.html"
    assert main(["eval", "report", str(right), str(wrong), "--out", str(report)]) == 0
    assert report.read_text().startswith("<!doctype html>")


def test_figures(pages: Path) -> None:
    pytest.importorskip("matplotlib")
    run = run_reader(pages, "right")
    options = ["--out", str(pages / "r.html"), "--figures", str(pages / "figures")]
    assert main(["eval", "report", str(run), *options]) == 0
    assert {path.suffix for path in (pages / "figures").iterdir()} == {".png", ".csv"}


def test_a_folder_of_pictures_without_truths(pages: Path) -> None:
    out = pages / "blank.json"
    assert (
        main(["eval", "run", "--reader", "blank", "--images", str(pages), "--json", str(out), "--quiet"]) == 0
    )
    run = load_run(out)
    assert len(run.pages) == 2 and run.scores["judged"] == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "--reader", "blank"], "nothing to read"),
        (["run", "--reader", "hf:", "--images", "."], "is not a reader"),
        (["run", "--reader", "blank", "--images", ".", "--mode", "giant"], "not a mode"),
        (["omnidocbench", "--data", "x.json", "--images", "."], "no readings"),
        (["honesty", "--reader", "blank", "--text", "x", "--tests", "smell"], "no test"),
        (["run", "--reader", "blank", "--images", ".", "--prompt", "foo"], "not a prompt"),
        (["rules", "--reader", "blank", "--rules", "none.jsonl", "--pdfs", "."], "cannot be read"),
    ],
)
def test_what_cannot_be_done(
    pages: Path, arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(pages)
    assert main(["eval", *arguments, "--json", "out.json"]) == 2
    error = capsys.readouterr().err
    assert complaint in error and len(error.splitlines()) == 1


def test_a_run_says_what_went_wrong_with_pages(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pages / "two.png").write_bytes(b"no picture")
    run_reader(pages, "right")
    error = capsys.readouterr().err
    assert "1 of 2 pages could not be read, the first two: " in error and len(error.splitlines()) == 1


def test_a_run_without_a_page_that_could_be_read_fails(
    pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in TRUTHS:
        (pages / f"{name}.png").write_bytes(b"no picture")
    out = pages / "none.json"
    arguments = ["--reader", "blank", "--pages", str(pages / "pages.jsonl"), "--json", str(out)]
    assert main(["eval", "run", *arguments]) == 2
    error = capsys.readouterr().err
    assert "none of the 2 pages could be read, the first one: " in error and len(error.splitlines()) == 1
    assert [page.reading.stop for page in load_run(out).pages] == ["error", "error"]


def test_other_pictures_are_another_run(pages: Path) -> None:
    before = load_run(run_reader(pages, "right")).setup
    Image.new("RGB", (50, 30), "white").save(pages / "two.png")
    assert load_run(run_reader(pages, "right")).setup.data != before.data


def test_files_that_are_no_runs(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = str(pages / "pages.jsonl")
    assert main(["eval", "report", text, "--out", "x.html"]) == 2
    assert main(["eval", "compare", text, text]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_rules(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench, out = shared / "documents/bench", tmp_path / "rules.json"
    arguments = ["--rules", str(bench / "rules.jsonl"), "--pdfs", str(bench / "pdf"), "--dpi", "20"]
    assert main(["eval", "rules", *arguments, "--reader", "blank", "--json", str(out)]) == 0
    assert "absent" in capsys.readouterr().out
    scores = load_run(out).scores
    assert scores["all"] | {} == {**scores["all"], "passed": 10, "total": 50}


def test_omnidocbench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    det = {"category_type": "text_block", "order": 1, "anno_id": 1, "text": "Some words.", "ignore": False}
    info = {"image_path": "a.png", "page_attribute": {"language": "en"}}
    data = tmp_path / "data.json"
    data.write_text(json.dumps([{"layout_dets": [det], "page_info": info, "extra": {}}]))
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "read").mkdir()
    (tmp_path / "read" / "a.md").write_text("Some words.")
    arguments = ["--data", str(data), "--images", str(tmp_path), "--json", str(tmp_path / "o.json")]
    assert main(["eval", "omnidocbench", *arguments, "--predictions", str(tmp_path / "read")]) == 0
    assert "text_edit              0.000" in capsys.readouterr().out
    assert main(["eval", "omnidocbench", *arguments, "--reader", "blank"]) == 0
    assert (tmp_path / "o-predictions" / "a.md").read_text() == ""


@pytest.mark.skipif(shutil.which("fc-list") is None, reason="needs installed fonts")
def test_pages_and_honesty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uharfbuzz")
    text = tmp_path / "en.txt"
    text.write_text(" ".join(f"Sentence number {n} of a text." for n in range(900)))
    folder = tmp_path / "pages"
    arguments = ["--text", str(text), "--out", str(folder), "--count", "2", "--mode", "tiny", "--size", "24"]
    assert main(["eval", "pages", *arguments]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "pages.jsonl")
    lines = [json.loads(line) for line in (folder / "pages.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and all("Sentence number" in line["text"] for line in lines)
    with Image.open(folder / lines[0]["image"]) as image:
        assert image.size == (512, 512)
    out = tmp_path / "h.json"
    tests = ["--tests", "prose", "blank", "--count", "1", "--size", "24"]
    assert (
        main(["eval", "honesty", "--text", str(text), *tests, "--reader", "blank", "--json", str(out)]) == 0
    )
    assert "silent on 6 of 6 sheets" in capsys.readouterr().out
