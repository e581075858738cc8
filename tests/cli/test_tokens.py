"""`foveate tokens`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from foveate.cli import main
from foveate.pages.mode import MODES

Capture = pytest.CaptureFixture[str]
Draw = Callable[..., Path]


def test_a_table_for_each_page(folder: Path, draw: Draw, capsys: Capture) -> None:
    draw(folder / "a.tif", 1224, 1584, pages=2)
    assert main(["tokens", "a.tif"]) == 0
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert first.splitlines()[0] == "a.tif, page 1: 1224 x 1584 pixels, auto takes gundam"
    assert second.splitlines()[1:] == first.splitlines()[1:]
    rows = {line.split()[0]: line.split()[1] for line in first.splitlines()[2:]}
    assert rows == {
        "tiny": "64",
        "small": "100",
        "base": "256",
        "large": "400",
        "gundam": "856",
        "gundam-m": "1,936",
        "elsewhere": "tokens",
        "InternVL2": "3,328",
        "Qwen2-VL": "2,508",
        "Vary": "256",
        "GOT-OCR2.0": "256",
    }


def test_json_is_one_line_a_page(folder: Path, draw: Draw, capsys: Capture) -> None:
    draw(folder / "a.tif", 1224, 1584, pages=3)
    assert main(["tokens", "a.tif", "--json", "--pages", "2-3", "--max-tiles", "2"]) == 0
    pages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [page["page"] for page in pages] == [2, 3]
    assert [cost["mode"] for cost in pages[0]["modes"]] == list(MODES)
    assert pages[0]["modes"][0] == {
        "mode": "tiny",
        "vision_tokens": 64,
        "valid_tokens": 64,
        "sequence_length": 73,
        "views": "512 x 512 resized",
    }
    assert pages[0]["modes"][4]["vision_tokens"] == 256 + 2 * 100
    assert all(cost["source"] and cost["how"] for cost in pages[0]["others"])


def test_a_page_that_an_encoder_refuses(folder: Path, draw: Draw, capsys: Capture) -> None:
    draw(folder / "a.png", 2100, 10)
    assert main(["tokens", "a.png"]) == 0
    assert "Qwen2-VL          -" in capsys.readouterr().out


def test_the_others_go_on(folder: Path, draw: Draw, capsys: Capture) -> None:
    (folder / "a.png").write_text("not a picture")
    draw(folder / "b.png")
    assert main(["tokens", "a.png", "b.png"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("b.png, page 1") and err.count("\n") == 1
