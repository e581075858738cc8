"""Statistics of shards."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from foveate.data.recipes import nano
from foveate.data.sample import Sample, Skipped, Turn, ask
from foveate.data.shards import Outcome, write_shard
from foveate.data.stats import chart, measure, spread, table
from foveate.errors import SourceNotFound
from foveate.pages.tokenizer import Tokenizer

WORDS = "Some words that are counted."


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(nano())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = [
        Sample("page", "ocr1", ask("text", WORDS * (n + 1)), Image.new("RGB", (300 + n, 400)), "en")
        for n in range(4)
    ]
    charts = [Sample("chart", "ocr2", ask("figure", WORDS), Image.new("RGB", (900, 900)))] * 2
    alone = Sample("text", "text", (Turn("user", ""), Turn("assistant", WORDS)), language="zh")
    misses = tuple(Skipped("page", f"file {n}", "it is blank", n) for n in range(3))
    write_shard(tmp_path, "a.parquet", range(4), [Outcome(n, page) for n, page in enumerate(pages)])
    outcomes = [Outcome(4, charts[0]), Outcome(5, charts[1]), Outcome(6, alone), Outcome(7, None, misses)]
    write_shard(tmp_path, "b.parquet", range(4, 8), outcomes)
    return tmp_path


def test_counts(folder: Path, tokenizer: Tokenizer) -> None:
    ticks: list[int] = []
    found = measure(folder, tokenizer, "tiny", lambda: ticks.append(1)).to_dict()
    length = len(tokenizer.encode(WORDS))
    tokens = sum(len(tokenizer.encode(WORDS * n)) for n in (1, 2, 3, 4))
    assert len(ticks) == found["samples"] == 7 and found["shards"] == 2
    assert found["bytes"] == sum(path.stat().st_size for path in folder.glob("*.parquet"))
    assert found["kinds"] == [
        {"kind": "page", "task": "ocr1", "samples": 4, "text_tokens": tokens, "vision_tokens": 4 * 64},
        {"kind": "chart", "task": "ocr2", "samples": 2, "text_tokens": 2 * length, "vision_tokens": 128},
        {"kind": "text", "task": "text", "samples": 1, "text_tokens": length, "vision_tokens": 0},
    ]
    assert found["languages"] == {"en": 4, "": 2, "zh": 1}
    assert found["skipped"] == [{"kind": "page", "reason": "it is blank", "samples": 3}]
    assert found["width"] == {"least": 300, "median": 302.5, "mean": 501, "greatest": 900}
    assert found["ratio"]["least"] == pytest.approx(length / 64, abs=1e-3)


def test_the_mode_decides_the_vision_tokens(folder: Path, tokenizer: Tokenizer) -> None:
    large, auto = (measure(folder, tokenizer, mode).vision_tokens for mode in ("large", "auto"))
    assert large == {"page": 1600, "chart": 800} and auto == {"page": 256, "chart": 512}


def test_the_table(folder: Path, tokenizer: Tokenizer) -> None:
    lines = list(table(measure(folder, tokenizer, "tiny")))
    assert lines[0].startswith("7 samples in 2 shards, 0.0 MB")
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert rows["page"][:4] == ["page", "ocr1", "4", "57.1%"] and rows["text"][-1] == "-"
    assert rows["zh"] == ["zh", "1", "14.3%"] and rows["none"] == ["none", "2", "28.6%"]
    assert lines[-2:] == ["skipped because", "  it is blank                  3"]


def test_the_rest_of_many_is_summed_up(tmp_path: Path, tokenizer: Tokenizer) -> None:
    alone = (Turn("user", ""), Turn("assistant", WORDS))
    samples = [Sample("text", "text", alone, language=f"x{n}") for n in range(20)]
    write_shard(tmp_path, "a.parquet", range(20), [Outcome(n, s) for n, s in enumerate(samples)])
    found = measure(tmp_path, tokenizer)
    assert "  4 others                     4   20.0%" in list(table(found))
    assert chart(found)


def test_the_picture(folder: Path, tokenizer: Tokenizer) -> None:
    image = Image.open(BytesIO(chart(measure(folder, tokenizer))))
    assert image.format == "PNG" and image.size == (1200, 800)
    colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or ()}
    assert {(0x33, 0x65, 0x8A), (0x2F, 0x9E, 0x6E)} <= colours  # bars, histogram


def test_nothing(tmp_path: Path, tokenizer: Tokenizer) -> None:
    assert spread([]) is None
    with pytest.raises(SourceNotFound):
        measure(tmp_path, tokenizer)
    write_shard(tmp_path, "a.parquet", range(1), [Outcome(0, None, (Skipped("x", "", "no"),))])
    found = measure(tmp_path, tokenizer)
    assert found.samples == 0 and "0 samples" in "\n".join(table(found)) and chart(found)
