"""`foveate remember`, `recall` and `memory`, from files to words and back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("uharfbuzz")

from foveate.cli import main
from foveate.document import Block, Page


class Reader:
    """Reads the number of a page's dark pixels, so that equal pages read alike."""

    def read_pages(self, images: Any, options: Any) -> Any:
        for image in images:
            text = f"mode {options.mode} flowerpot"
            yield image, Page(image.number, *image.image.size, (Block("text", text),), text, text_tokens=3)


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.cli.read.load_reader", lambda options: Reader())


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([*map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_from_files_to_words_and_back(
    folder: Path, draw: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    draw(folder / "scan.png")
    (folder / "notes.md").write_text("# Notes\n\nThe key is under the flowerpot.", encoding="utf-8")
    turns = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
    (folder / "talk.jsonl").write_text("\n".join(map(json.dumps, turns)), encoding="utf-8")
    files = ("notes.md", "talk.jsonl", "scan.png")
    code, out, _ = run(capsys, "remember", *files, "--store", "s", "--mode", "small")
    assert code == 0
    assert out.splitlines() == [
        "1\t1 page\tnotes.md",
        *(f"{n}\t1 page\ttalk.jsonl" for n in (2, 3)),
        "4\t1 page\tscan.png",
    ]
    assert run(capsys, "remember", *files, "--store", "s")[:2] == (0, out), "nothing is added twice"
    code, out, _ = run(capsys, "recall", "s", "--turn", 1)
    assert (code, out) == (0, "mode small flowerpot\n")
    assert run(capsys, "recall", "s")[1] == out, "the newest without a choice"
    code, out, _ = run(capsys, "recall", "s", "--find", "flowerpot", "--json", "--limit", 1)
    assert code == 0 and json.loads(out)["snippet"] == "mode small **flowerpot**"
    code, out, err = run(capsys, "recall", "s", "--find", "elephant")
    assert (code, out) == (0, "") and "nothing in what was read" in err
    code, out, _ = run(capsys, "memory", "s", "--json", "--list", "--fade", "tiny@1t", "--pin", 1, "--check")
    values = json.loads(out)
    assert code == 0 and values["entries"] == 4 and values["wrong"] == []
    assert [entry["role"] for entry in values["entries_listed"]] == [
        "document",
        "user",
        "assistant",
        "document",
    ]
    assert {level["level"]: level["pages"] for level in values["levels"]} == {"small": 2, "tiny": 2}
    assert values["ratio"] == values["text_tokens"] / values["tokens"]


def test_the_sizes_and_the_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.txt").write_text("Words on paper. " * 200, encoding="utf-8")
    assert run(capsys, "remember", "a.txt", "--store", "s", "--later", "--quiet")[1] == ""
    code, out, _ = run(capsys, "memory", "s", "--picture", "o.png", "--read")
    assert code == 0
    assert "1 sheets read" in out and "context: " in out and "bytes:   3,200 of text are kept as" in out
    with Image.open("o.png") as picture:
        assert picture.width > 200


def test_errors_have_a_way_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.jsonl").write_text('{"role": "user"}', encoding="utf-8")
    (folder / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    (folder / "empty.txt").write_text(" ")
    code, out, err = run(capsys, "remember", "bad.jsonl", "latin.txt", "empty.txt", "no.pdf", "--store", "s")
    assert code == 2 and out == ""
    for words in ("bad.jsonl, line 1", "latin.txt is not UTF-8", "the text is empty", "no.pdf"):
        assert words in err
    assert run(capsys, "recall", "nowhere")[0] == 2
    assert run(capsys, "recall", "s")[2].startswith("foveate: s holds nothing yet")
    assert run(capsys, "memory", "s", "--fade", "blur@9")[0] == 2
    assert run(capsys, "memory", "s", "--picture", "o.png")[0] == 2
    assert not (folder / "o.png").exists()
