"""Runs: one JSON for all, that goes on where a killed one stopped."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foveate.errors import CorruptSource, OptionError, SourceNotFound, UnsupportedFormat
from foveate.evaluation.readers import Reading
from foveate.evaluation.run import (
    Case,
    Journal,
    PageResult,
    Run,
    Setup,
    load_run,
    read_lines,
    run,
    write_json,
)

SETUP = Setup("run", "fake", "small", 1, "three pages", {"prompt": "markdown"})


class Killed(BaseException):
    """What ends a process in the middle."""


class FakeReader:
    """Says which page it is; stops the run at one of them."""

    name = "fake"

    def __init__(self, deadly: str = "") -> None:
        self.deadly, self.pages = deadly, list[str]()

    def read(self, image: Image.Image, mode: str = "auto", *, page: str = "") -> Reading:
        if page == self.deadly:
            raise Killed
        self.pages.append(page)
        return Reading(f"this is {page} in {mode}\u2028\x85", 0.5, text_tokens=7, vision_tokens=100)

    def versions(self) -> dict[str, str]:
        return {"fake": "1"}


def picture() -> Image.Image:
    return Image.new("RGB", (8, 6))


CASES = [Case(name, picture, f"truth of {name}", None, {"number": n}) for n, name in enumerate("abc")]


def go(reader: FakeReader, out: Path, cases: list[Case] = CASES, setup: Setup = SETUP) -> Run:
    return run(reader, cases, setup, out, lambda pages: {"pages": len(pages)}, count=len)


def test_a_run_and_its_file(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run.json"
    done = go(FakeReader(), out)
    assert load_run(out) == done
    assert [page.id for page in done.pages] == ["a", "b", "c"]
    assert done.pages[1].truth == "truth of b" and done.pages[1].labels == {"number": 1}
    assert done.pages[0].width == 8 and done.scores == {"pages": 3}
    assert done.throughput["pages_per_second"] == 2 and done.throughput["vision_tokens"] == 300
    assert done.throughput["text_tokens"] == sum(len(page.reading.text) for page in done.pages)
    assert {"python", "foveate", "fake"} <= set(done.versions) and done.hardware["cores"]
    assert done.name == "fake (small)"
    assert [path.name for path in out.parent.iterdir()] == ["run.json"]


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    with pytest.raises(Killed):
        go(FakeReader("c"), out)
    assert not out.exists()
    again = FakeReader()
    done = go(again, out)
    assert again.pages == ["c"]
    whole = go(FakeReader(), tmp_path / "other.json")
    assert [page.reading for page in done.pages] == [page.reading for page in whole.pages]
    assert not (tmp_path / "run.json.partial").exists()


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_that_was_cut_is_read_again(tmp_path: Path, cut: int) -> None:
    out = tmp_path / "run.json"
    with pytest.raises(Killed):
        go(FakeReader("c"), out)
    partial = tmp_path / "run.json.partial"
    partial.write_bytes(partial.read_bytes()[:-cut])
    again = FakeReader()
    assert [page.reading.text for page in go(again, out).pages] == [
        f"this is {name} in small\u2028\x85" for name in "abc"
    ]
    assert again.pages == ["b", "c"]


def test_a_journal_cut_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "run.json.partial").write_bytes(b'{"setup": {')
    again = FakeReader()
    go(again, tmp_path / "run.json")
    assert again.pages == ["a", "b", "c"]


def test_another_setup_does_not_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    with pytest.raises(Killed):
        go(FakeReader("b"), out)
    with pytest.raises(OptionError, match="another setup"):
        go(FakeReader(), out, setup=replace(SETUP, seed=2))


def test_a_damaged_journal_says_so(tmp_path: Path) -> None:
    for content in (
        b"{]\n",
        b"[1]\n",
        b"{}\n",
        b"\xff\xfe\n",
        b'{"setup": {}, "started": ""}\n{"id": "a"}\n',
    ):
        (tmp_path / "run.json.partial").write_bytes(content)
        with pytest.raises(CorruptSource, match="delete it"):
            go(FakeReader(), tmp_path / "run.json")


def test_ids_come_once(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'a' comes twice"):
        go(FakeReader(), tmp_path / "run.json", [CASES[0], CASES[0]])
    with pytest.raises(OptionError, match="no page"):
        go(FakeReader(), tmp_path / "run.json", [])
    assert not list(tmp_path.iterdir()), "what cannot begin leaves nothing in the next one's way"


def test_a_journal_without_pages_stops_no_other_setup(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    with pytest.raises(Killed):
        go(FakeReader("a"), out)
    assert go(FakeReader(), out, setup=replace(SETUP, seed=2)).setup.seed == 2


def test_a_page_on_which_the_reader_fails_is_its_own_error(tmp_path: Path) -> None:
    class Failing(FakeReader):
        def read(self, image: Image.Image, mode: str = "auto", *, page: str = "") -> Reading:
            if page == "b":
                raise RuntimeError("out of memory")
            return super().read(image, mode, page=page)

    done = go(Failing(), tmp_path / "run.json")
    assert [page.reading.stop for page in done.pages] == ["end", "error", "end"]
    assert done.pages[1].reading.error == "RuntimeError: out of memory"


def test_half_letters_are_replaced(tmp_path: Path) -> None:
    class Torn(FakeReader):
        def read(self, image: Image.Image, mode: str = "auto", *, page: str = "") -> Reading:
            return Reading("a \ud83d b \U0001f600", 1.0)

    done = go(Torn(), tmp_path / "run.json")
    assert done.pages[0].reading.text == "a \ufffd b \U0001f600"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "run.json"):
        reader = FakeReader()
        with pytest.raises(OptionError, match="cannot be written"):
            go(reader, place)
        assert not reader.pages, "no page is read in vain"


def test_a_page_that_cannot_be_opened_is_its_own_error(tmp_path: Path) -> None:
    def broken() -> Image.Image:
        raise CorruptSource("it is torn")

    done = go(FakeReader(), tmp_path / "run.json", [Case("x", broken, "truth"), CASES[0]])
    assert done.pages[0].reading.stop == "error" and done.pages[0].reading.error == "it is torn"
    assert done.pages[1].reading.stop == "end" and done.throughput["pages"] == 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("[]", UnsupportedFormat),
        ('{"schema": "other"}', UnsupportedFormat),
        ('{"schema": "foveate.evaluation", "version": 99}', UnsupportedFormat),
        ('{"schema": "foveate.evaluation", "version": 1, "pages": []}', CorruptSource),
        ('{"schema": "foveate.evaluation", "version": 1, "pages": [{"id": "a"}]}', CorruptSource),
        ("{", CorruptSource),
    ],
)
def test_files_that_are_no_runs(tmp_path: Path, content: str, error: type[Exception]) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(error):
        load_run(path)
    with pytest.raises(SourceNotFound):
        load_run(tmp_path / "none.json")


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": "\u2028"}\n\n{"a": 2}\n', encoding="utf-8")
    assert read_lines(path) == [{"a": "\u2028"}, {"a": 2}]
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert read_lines(path) == [{"a": 1}], "as Windows writes it"
    for content in ('{"a": "\xe9"}'.encode("latin-1"), b'{"a": NaN}'):
        path.write_bytes(content)
        with pytest.raises(CorruptSource):
            read_lines(path)
    path.write_text('{"a": 1}\n[1]\n')
    with pytest.raises(CorruptSource, match="line 2"):
        read_lines(path)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1} and len(list(tmp_path.iterdir())) == 1


def test_results_come_back_from_their_json() -> None:
    page = PageResult("a", Reading("t", 1.0, 1, 2, 0.5, "loop"), 3, 4, None, "a.png", {"x": [1]}, 0.25)
    assert PageResult.from_dict(json.loads(json.dumps(page.to_dict()))) == page


def test_the_journal_is_on_disk_after_each_page(tmp_path: Path) -> None:
    seen: list[int] = []

    def count(partial: Path) -> Callable[[PageResult], None]:
        return lambda page: seen.append(len(partial.read_text().split("\n")) - 2)

    out = tmp_path / "run.json"
    run(FakeReader(), CASES, SETUP, out, lambda pages: {}, on_page=count(Journal(out, SETUP).path))
    assert seen == [1, 2, 3]
