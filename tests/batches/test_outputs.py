"""The files that a batch gives."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from foveate.batches import outputs
from foveate.batches.inputs import Found
from foveate.batches.journal import Journal
from foveate.batches.outputs import FORMATS, Format, Outputs, dolma, whole
from foveate.document import Block, Box, Document, Page
from foveate.errors import OptionError, StorageError


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Two documents that are read, but for a page, and one that is not."""
    with Journal(tmp_path / ".batch" / "journal.sqlite3") as journal:
        journal.settle({"model": "mine"})
        journal.add_documents(
            [Found(f"/{name}", f"in/{name}", name) for name in ("a.pdf", "b/c.pdf", "d.png")]
        )
        journal.opened(0, [1, 2, 3], 50, "aa", 8)
        journal.opened(1, [4], 60, "bb", 8)
        journal.quarantine(2, "it is broken")
        for document, place, text in ((0, 0, "# One"), (0, 2, "drei \ud800"), (1, 0, "")):
            block = Block("text", text, (Box(1, 2, 3, 4),), 0.5, "x.jpg" if text == "# One" else None)
            number = journal.pages(document)[place].number
            page = Page(number, 10, 20, (block,), text, "tiny", "markdown", 64, 3, confidence=0.5)
            journal.done(journal.pages(document)[place], page)
        journal.failed(journal.pages(0)[1], "it is torn")
        yield journal


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path


def test_a_file_for_each_document(out: Path, journal: Journal) -> None:
    for format in ("md", "txt", "html", "json"):
        Outputs(out, journal, format).finish()
        assert (out / f"a.{format}").is_file() and (out / "b" / f"c.{format}").is_file()
        assert not (out / f"d.{format}").exists()
    assert "<!-- page 2 could not be read: it is torn -->" in (out / "a.md").read_text()
    document = Document.from_json((out / "a.json").read_bytes())
    assert document.model == "mine" and [page.stop for page in document.pages] == ["end", "error", "end"]


def test_dolma(out: Path, journal: Journal) -> None:
    Outputs(out, journal, "jsonl").finish()
    first, second = map(json.loads, (out / "documents" / "part-00000.jsonl").read_bytes().splitlines())
    assert set(first) == {"id", "text", "source", "metadata", "attributes"} and first["source"] == "foveate"
    assert first["id"] == "aa-0" and second["metadata"]["Source-File"] == "in/b/c.pdf"
    spans = first["attributes"]["pdf_page_numbers"]
    assert [(first["text"][start:end].strip(), page) for start, end, page in spans] == [
        ("![](x.jpg)\n\n# One", 1),
        ("", 2),
        ("drei \\ud800", 3),
    ] or spans[1][0] == spans[1][1]
    assert spans[0][0] == 0 and spans[-1][1] == len(dolma(journal, journal.document(0))["text"])
    assert first["metadata"]["failed_pages"] == [2] and first["metadata"]["vision_tokens"] == 128
    assert second["attributes"]["pdf_page_numbers"] == [[0, 0, 4]]
    Outputs(out, journal, "jsonl.gz").finish()
    packed = (out / "documents" / "part-00000.jsonl.gz").read_bytes()
    assert gzip.decompress(packed) == (out / "documents" / "part-00000.jsonl").read_bytes()
    assert packed[3] == 0 and packed[4:8] == bytes(4)  # no name and no time


def test_parquet_has_a_row_a_page(out: Path, journal: Journal) -> None:
    Outputs(out, journal, "parquet").finish()
    path = out / "documents" / "part-00000.parquet"
    with duckdb.connect() as db:
        rows = db.sql(
            f"SELECT document, page, stop, error, markdown, blocks FROM '{path}' ORDER BY document, page"
        ).fetchall()
    assert [row[:4] for row in rows] == [
        ("in/a.pdf", 1, "end", None),
        ("in/a.pdf", 2, "error", "it is torn"),
        ("in/a.pdf", 3, "end", None),
        ("in/b/c.pdf", 4, "end", None),
    ]
    assert rows[1][4] == "" and rows[0][4].endswith("# One")
    assert rows[0][5][0]["boxes"] == [[1, 2, 3, 4]] and rows[0][5][0]["image"] == "x.jpg"


@pytest.mark.parametrize("format", list(FORMATS))
def test_the_same_bytes_again(out: Path, journal: Journal, format: str) -> None:
    texts = []
    for folder in (out / "one", out / "two"):
        Outputs(folder, journal, format).finish()
        texts.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")})
        journal.set_written(format, 0, 99), journal.set_written(format, 1, 99)  # as if for another folder
    assert texts[0] == texts[1] and texts[0]


def test_files_of_several_documents(out: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "jsonl", Format("jsonl", FORMATS["jsonl"].write, 2))
    written = Outputs(out, journal, "jsonl")
    journal.add_documents([Found("/e", "e", "e"), Found("/f", "f", "f")])
    written.catch_up([0, 1])
    first = out / "documents" / "part-00000.jsonl"
    assert first.read_bytes().count(b"\n") == 2
    written.finish()
    assert list(first.parent.iterdir()) == [first]  # the others hold nothing yet
    journal.opened(3, [1], 5, "ee", 8)
    journal.done(journal.pages(3)[0], Page(1, 1, 1, ()))
    stamp = first.stat().st_mtime_ns
    journal.quarantine(4, "no"), written.finish()
    assert json.loads((first.parent / "part-00001.jsonl").read_bytes())["id"] == "ee-3"
    assert first.stat().st_mtime_ns == stamp


def test_a_part_is_written_anew_when_a_document_joins_it(out: Path, journal: Journal) -> None:
    written = Outputs(out, journal, "jsonl")
    written.finish()
    journal.add_documents([Found("/e", "e", "e")])
    written.finish()
    path = out / "documents" / "part-00000.jsonl"
    assert path.read_bytes().count(b"\n") == 2
    journal.opened(3, [1], 5, "ee", 8)
    journal.done(journal.pages(3)[0], Page(1, 1, 1, ()))
    written.finish()
    assert path.read_bytes().count(b"\n") == 3


def test_what_fails_in_the_middle_leaves_the_old_file(out: Path) -> None:
    path = out / "x" / "a.md"
    with whole(path) as file:
        file.write(b"old")
    with pytest.raises(StorageError, match="No space left.*nothing is lost"), whole(path) as file:
        file.write(b"ne")
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), whole(path) as file:
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written(out: Path) -> None:
    (out / "x").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"), whole(out / "x" / "a.md"):
        pass


def test_formats_that_are_none_and_libraries_that_are_missing(
    out: Path, journal: Journal, monkeypatch: Any
) -> None:
    with pytest.raises(OptionError, match="format is 'doc': choose from md, txt"):
        Outputs(out, journal, "doc")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(OptionError, match="needs pyarrow: pip install"):
        Outputs(out, journal, "parquet")
    assert outputs.FORMATS["md"].shard == 1
