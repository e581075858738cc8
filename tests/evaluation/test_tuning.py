"""The search for a style: it finds the densest one that a reader of known taste reads, and goes on after
a kill."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("uharfbuzz")
pytest.importorskip("rapidfuzz")
from foveate.data.passages import open_source  # noqa: E402
from foveate.errors import CorruptSource, OptionError  # noqa: E402
from foveate.evaluation import tuning, tuning_report  # noqa: E402
from foveate.evaluation.readers.protocol import Reading  # noqa: E402
from foveate.evaluation.style_genes import child, drawn, genes_of, known_families  # noqa: E402
from foveate.evaluation.tuning import Search, Trial, Tuned, tune  # noqa: E402
from foveate.pages.render import Style, fonts, styles  # noqa: E402
from foveate.pages.text_tokens import estimate  # noqa: E402

LEAST = 9.0  # pixels: what the scripted reader can still read
SEARCH = Search(
    "scripted", "text", "estimate", mode="tiny", precision=0.9, generations=4, population=6, pages=1
)


@pytest.fixture(autouse=True)
def latin() -> None:
    if not fonts.families():
        pytest.skip("needs fonts")


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    words = ("some", "plain", "words", "for", "the", "pages", "that", "nobody", "knows", "yet")
    lines = [" ".join(rng.choice(words, 30).tolist()) for _ in range(700)]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class Scripted:
    """Reads type of `LEAST` pixels and more, and half of smaller one. It is told what is on the page."""

    name = "scripted"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages = 0
        self.last: tuple[str, float] = ("", 0.0)
        real = tuning.render

        def told(text: str, style: Style, limit: int) -> Any:
            pages = real(text, style, limit)
            self.last = (" ".join(pages[0].text.split()), style.size)
            return pages

        monkeypatch.setattr(tuning, "render", told)

    def read(self, image: Image.Image, mode: str = "auto", *, page: str = "") -> Reading:
        assert image.size == (512, 512) and mode == "tiny"
        self.pages += 1
        text, size = self.last
        return Reading(text if size >= LEAST else text[: len(text) // 2], 0.01)

    def versions(self) -> dict[str, str]:
        return {}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    return Scripted(monkeypatch)


def run(reader: Scripted, text_file: Path, journal: Path, search: Search = SEARCH) -> Tuned:
    return tune(search, reader, open_source(text_file), estimate, journal)


def test_the_densest_style_that_is_read_wins(reader: Scripted, text_file: Path, tmp_path: Path) -> None:
    tuned = run(reader, text_file, tmp_path / "journal.jsonl")
    assert tuned.winner is not None and tuned.style is not None
    assert LEAST <= tuned.style.size <= 12 and tuned.winner.precision == 1
    readable = [trial for trial in tuned.trials if trial.precision >= 0.9]
    assert max(trial.ratio for trial in readable) == max(t.ratio for t in tuned.trials if t.precision == 1)
    named = max(trial.ratio for trial in tuned.trials[:3] if trial.precision >= 0.9)
    assert max(trial.ratio for trial in readable) > 1.05 * named  # evolution gains on what it begins with
    assert tuned.winner.pages == 2 * SEARCH.pages and len(tuned.trials) == 24
    assert tuned.style.width == 512


def test_a_journal_is_gone_on_with(reader: Scripted, text_file: Path, tmp_path: Path) -> None:
    whole = run(reader, text_file, tmp_path / "whole.jsonl")
    pages = reader.pages
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    # As after a kill in the middle of a line.
    (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[:12]) + lines[12][:40])
    again = run(reader, text_file, tmp_path / "cut.jsonl")
    assert again == whole and reader.pages - pages < pages - 8
    assert (tmp_path / "cut.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    before = reader.pages
    assert run(reader, text_file, tmp_path / "cut.jsonl") == whole and reader.pages == before


def test_another_search_does_not_take_a_journal(reader: Scripted, text_file: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    small = replace(SEARCH, generations=1, population=4)
    run(reader, text_file, journal, small)
    for other in (
        replace(small, seed=1),
        replace(small, text="other"),
        replace(small, options={"prompt": "x"}),
    ):
        with pytest.raises(OptionError, match="another search"):
            run(reader, text_file, journal, other)
    journal.write_bytes(journal.read_bytes() + b'{"genes": 1}\n')
    with pytest.raises(CorruptSource, match="damaged"):
        run(reader, text_file, journal, small)


def test_a_style_is_left_as_soon_as_it_cannot_win(reader: Scripted, text_file: Path, tmp_path: Path) -> None:
    small = replace(SEARCH, generations=1, population=6, pages=3)
    tuned = run(reader, text_file, tmp_path / "j.jsonl", small)
    assert {trial.pages for trial in tuned.trials if trial.precision < 0.9} == {1}
    assert {trial.pages for trial in tuned.trials if trial.precision >= 0.9} == {3}


def test_the_winner_holds_on_pages_it_was_not_chosen_by(
    reader: Scripted, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A style that was lucky on the search's pages is passed over."""
    lucky: list[float] = []
    real = tuning._Laboratory.trial

    def trial(self: Any, genes: Any, pages: int) -> Trial:
        found = real(self, genes, pages)
        if pages == tuning.UNSEEN and not lucky:
            lucky.append(found.ratio)
            return replace(found, precision=0.1)
        return found

    monkeypatch.setattr(tuning._Laboratory, "trial", trial)
    tuned = run(reader, text_file, tmp_path / "j.jsonl")
    assert tuned.winner is not None and len(tuned.checks) == 2 and tuned.winner == tuned.checks[1]


def test_nothing_is_good_enough(reader: Scripted, text_file: Path, tmp_path: Path) -> None:
    class Blind(Scripted):
        def __init__(self) -> None:
            self.last, self.pages = ("", 0.0), 0

        def read(self, image: Image.Image, mode: str = "auto", *, page: str = "") -> Reading:
            return Reading("", 0.0, stop="error", error="it is dark")

    small = replace(SEARCH, generations=2, population=4)
    tuned = tune(small, Blind(), open_source(text_file), estimate, tmp_path / "j.jsonl")
    assert tuned.winner is None and tuned.style is None and tuned.trials[0].error == "it is dark"
    written = tuning_report.write(tuned, tmp_path / "out", open_source(text_file))
    assert not any(path.name == tuning_report.STYLE for path in written)


def test_files_of_a_search(reader: Scripted, text_file: Path, tmp_path: Path) -> None:
    tuned = run(reader, text_file, tmp_path / "j.jsonl", replace(SEARCH, generations=2))
    assert tuned.winner is not None
    written = tuning_report.write(tuned, tmp_path / "out", open_source(text_file))
    assert styles.load(tmp_path / "out" / "style.toml") == tuned.style
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert (
        f"{tuned.winner.ratio:.2f} text tokens" in page
        and page.count("<svg") == 1
        and "data:image/png" in page
    )
    (picture,) = (path for path in written if path.suffix == ".png")
    with Image.open(picture) as image:
        assert image.width > 600
    ratios = [trial.ratio for trial in tuned.front]
    precisions = [trial.precision for trial in tuned.front]
    assert ratios == sorted(ratios) and precisions == sorted(precisions, reverse=True)


def test_genes_stay_in_their_ranges_and_make_styles() -> None:
    rng = np.random.default_rng(3)
    families = known_families()
    page = styles.get("dense-10x", "tiny")
    genes = [drawn(rng, families), genes_of(page, families)]
    for _ in range(200):
        genes.append(child(genes[-1], genes[int(rng.integers(len(genes)))], rng, families))
        style = genes[-1].style(page)
        assert (style.width, style.height) == (512, 512) and genes_of(style, families) == genes[-1]
    assert len(set(genes)) > 150


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "gundam"}, {"precision": 0}, {"precision": 1.1}, {"metric": "luck"}, {"pages": 0},
     {"population": 3}, {"price": "free"}, {"mode": "huge"}],
)  # fmt: skip
def test_searches_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError if wrong != {"mode": "huge"} else Exception):
        replace(SEARCH, **wrong)


KILLED = """
import sys
from pathlib import Path
from foveate.data.passages import open_source
from foveate.evaluation.readers.protocol import Reading
from foveate.evaluation.tuning import Search, tune
from foveate.pages.text_tokens import estimate

class Reader:
    name = "scripted"
    def read(self, image, mode="auto", *, page=""):
        return Reading("some plain words", 0.0)
    def versions(self):
        return {}

search = Search("scripted", "text", "estimate", mode="tiny", precision=0.9, generations=3, population=5)
def say(trial):
    print(trial.genes.key, flush=True)
tune(search, Reader(), open_source(Path(sys.argv[1])), estimate, Path(sys.argv[2]), say)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 4, 9])
def test_kill_9(after: int, text_file: Path, tmp_path: Path) -> None:
    """Every trial that was told stands in the journal, and the search goes the same way."""

    def command(journal: str) -> list[str]:
        return [sys.executable, "-c", KILLED, str(text_file), str(tmp_path / journal)]

    whole = subprocess.run(command("whole"), capture_output=True, text=True, check=True).stdout.splitlines()
    with subprocess.Popen(command("cut"), stdout=subprocess.PIPE, text=True) as search:
        assert search.stdout is not None
        told = [search.stdout.readline().strip() for _ in range(after)]
        os.kill(search.pid, signal.SIGKILL)
    lines = (tmp_path / "cut").read_text(encoding="utf-8").splitlines()
    kept = [json.loads(line)["genes"] for line in lines[1:]]
    assert [json.dumps(list(genes.values()), ensure_ascii=False) for genes in kept][:after] == told
    again = subprocess.run(command("cut"), capture_output=True, text=True, check=True).stdout.splitlines()
    assert again == whole and (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()
