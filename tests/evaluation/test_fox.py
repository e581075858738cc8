"""The paper's Table 2 from the released model's readings, and the command."""

import json
from pathlib import Path
from typing import Any

import pytest

from foveate.cli import main
from foveate.data.recipes import nano
from foveate.errors import CorruptSource, OptionError
from foveate.evaluation import compression, fox, text_metrics
from foveate.evaluation.compression import TokenCounter
from foveate.evaluation.fox import PAPER, PAPER_METRIC, Scorer, read_texts, results_of

PAGES = {"one": "a page of words", "two": "another page with **words** on it", "three": "nothing was read"}


def lines(path: Path, texts: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()))
    return path


@pytest.mark.parametrize("mode", ["tiny", "small"])
def test_buckets_ratios_and_precision_of_the_paper(
    mode: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = text_metrics.measure

    def only_words(truth: str, read: str) -> text_metrics.Shares:
        """The measure in question; the others take seconds."""
        share = whole(" ".join(sorted(set(truth.split()))), "")  # names of all, for the summary
        wanted, found = set(truth.split()), set(read.split())
        return share | {PAPER_METRIC: text_metrics.Share(len(wanted & found), len(found))}

    monkeypatch.setattr(text_metrics, "measure", only_words)
    monkeypatch.setattr(compression, "corpus", lambda pages: {})
    truths = read_texts(shared / "fox" / "pages.jsonl")
    results = results_of(truths, read_texts(shared / "fox" / f"deepseek_ocr_{mode}.jsonl"))
    scores = Scorer(TokenCounter(shared / "checkpoint" / "tokenizer.json"), mode)(results)
    table = {bucket["from"]: bucket for bucket in scores["buckets"]}
    assert [table[start]["pages"] for start in PAPER[mode]] == [7, 28, 28, 14, 11, 8, 4]
    near = 0
    for start, (precision, ratio) in PAPER[mode].items():
        assert round(table[start]["ratio"], 1) == ratio
        near += abs(100 * table[start]["metrics"][PAPER_METRIC] - precision) <= 2
    assert near == {"tiny": 5, "small": 7}[mode]


def test_every_measure_by_name(tmp_path: Path) -> None:
    scores = Scorer(TokenCounter(nano()), "tiny")(results_of(PAGES, {**PAGES, "three": "nothing was red"}))
    assert sum(bucket["pages"] for bucket in scores["buckets"]) == 3
    for bucket in (*scores["buckets"], scores["all"]):
        for name in text_metrics.METRICS:
            low, high = bucket["intervals"][name]
            assert low <= bucket["metrics"][name] <= high
            assert {name, f"plain_{name}"} <= bucket["metrics"].keys() & bucket["corpus"].keys()
    assert scores["all"]["metrics"]["cer"] == pytest.approx(1 / 16 / 3)


def test_a_page_that_was_not_read_counts_as_empty() -> None:
    results = results_of(PAGES, {"one": PAGES["one"]})
    assert [result.reading.stop for result in results] == ["end", "error", "error"]
    scores = Scorer(TokenCounter(nano()), "small")(results)
    assert scores["unread"] == ["two", "three"]
    assert scores["all"]["metrics"]["word_recall"] == pytest.approx(1 / 3)
    with pytest.raises(OptionError, match="none of the 3 pages"):
        results_of(PAGES, {"four": ""})


@pytest.mark.parametrize(
    "line", ['{"id": 1, "text": "a"}', '{"id": "a"}', "", "[]", '{"id": "a", "text": "b"}\n' * 2]
)
def test_files_that_are_no_pages(line: str, tmp_path: Path) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text(line)
    with pytest.raises(CorruptSource):
        read_texts(path)


def run(tmp_path: Path, *more: str) -> tuple[int, dict[str, Any]]:
    out = tmp_path / "out.json"
    pages = lines(tmp_path / "pages.jsonl", PAGES)
    common = ["--pages", str(pages), "--tokenizer", str(nano()), "--mode", "tiny", "--json", str(out)]
    code = main(["eval", "fox", *common, *more])
    return code, json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}


def test_the_command_scores_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = lines(
        tmp_path / "read.jsonl",
        {"one": "a page of words", "two": "another page with words on it", "four": ""},
    )
    code, out = run(tmp_path, "--predictions", str(predictions))
    printed = capsys.readouterr()
    assert code == 0 and "1 of 3 pages unread, such as three" in printed.err
    assert "1 of 3 pages not asked for, such as four" in printed.err
    assert fox.PAPER_METRIC in printed.out and "written:" in printed.out
    assert out["scores"]["all"]["pages"] == 3 and out["setup"]["kind"] == "fox"
    assert [page["text"] for page in out["pages"]] == ["a page of words", "another page with words on it", ""]
    by_page = out["scores"]["by_page"]
    assert by_page == {"one": 1.0, "two": 1.0, "three": 0.0}


def test_the_command_reads_pages_that_have_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    images = tmp_path / "images"
    images.mkdir()
    Image.new("L", (40, 50), 255).save(images / "two.png")
    code, out = run(tmp_path, "--reader", "blank", "--images", str(images))
    assert code == 0 and "2 of 3 pages without a picture" in capsys.readouterr().err
    assert [page["id"] for page in out["pages"]] == ["two"]
    assert out["scores"]["all"]["metrics"]["edit_similarity"] == 0


@pytest.mark.parametrize(
    "more", [(), ("--reader", "blank"), ("--reader", "blank", "--predictions", "x.jsonl")]
)
def test_commands_that_cannot_be(
    more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, *more) == (2, {})
    assert "--" in capsys.readouterr().err
