"""What a call has returned for is there: once, whole, and for everybody."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from foveate.errors import CorruptSource, FoveateError, OptionError, SourceNotFound, UnknownMode
from foveate.memory import OpticalMemory
from foveate.memory import index as index_module
from foveate.pages.render import Style, render
from tests.memory.conftest import STYLE, Script

LONG = "\n\n".join(f"Paragraph {n}: " + "ink and paper keep what is said. " * 6 for n in range(60))


def files(memory: OpticalMemory) -> set[str]:
    """The digests of the blobs on disk."""
    blobs = memory.path / "blobs"
    return {
        path.parent.name + path.name if path.parent.name != "pending" else f"pending {path.name}"
        for path in blobs.rglob("*")
        if path.is_file()
    }


def test_a_turn_is_there_and_found_and_read_back(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember("The key is under the third flowerpot.", "It rains in Bergen today.")
    first, second = memory.entries()
    assert (first.number, first.kind, first.role, first.pages, first.when) == (
        1,
        "turn",
        "user",
        1,
        "1970-01-01T00:00:00Z",
    )
    assert [found.entries for found in memory.find("flowerpot")] == [(1,)]
    assert memory.find("third KEY")[0].snippet == "The **key** is under the **third** flowerpot."
    (recalled,) = memory.recall(turn=2)
    assert (recalled.text, recalled.source, recalled.pages) == ("It rains in Bergen today.", "pixels", (2,))
    assert memory.check() == []


def test_what_was_read_is_found_and_not_what_was_written(memory: OpticalMemory, script: Script) -> None:
    memory.append("The flowerpot is green.")
    script.learn(memory, lambda text, mode: text.replace("flowerpot", "flowerpct"))
    assert memory.find("flowerpot") == [], "nothing was read yet"
    memory.read_pending()
    (found,) = memory.find("flowerpot")
    assert found.words == ("flowerpct",), "a misreading, two letters away at most"
    assert found.score < memory.find("flowerpct")[0].score == 1
    assert memory.find("flowerbed") == []


def test_no_character_of_a_long_text_is_lost(memory: OpticalMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.memory.paging.CHUNK", 3000)
    entry = memory.append_text(LONG, "long.txt")
    pages = memory.pages(entry.number)
    assert "".join(page.text or "" for page in pages) == LONG
    assert pages[0].span == (0, len(pages[0].text or "")) and pages[-1].span[1] == len(LONG)
    # In pieces or whole, the pages are as full.
    assert len(pages) == len(render(LONG, STYLE))
    assert [page.entry_page for page in pages] == list(range(1, len(pages) + 1))


def test_a_key_adds_once(memory: OpticalMemory) -> None:
    first = memory.append("Once.", key="a")
    assert memory.append("Once.", key="a") == first
    memory.append("Once.", key="b")
    assert len(memory.entries()) == 2
    assert len(files(memory)) == 1, "equal pages share a file"


def test_a_document_goes_on_where_it_was_broken_off(
    memory: OpticalMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveate.memory.store.AT_ONCE", 2)
    frames = [Image.new("RGB", (90, 60 + n), (n, 0, 0)) for n in range(5)]
    path = tmp_path / "five.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    drawn: list[int] = []
    real = memory.blobs.put

    def put(connection: sqlite3.Connection, content: bytes) -> str:
        drawn.append(len(content))
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return real(connection, content)

    monkeypatch.setattr(memory.blobs, "put", put)
    with pytest.raises(KeyboardInterrupt):
        memory.append_document(path, key="five")
    assert memory.entries() == [] and memory.pages() == [], "half a document is seen by nobody"
    assert memory.sizes().unfinished == 1
    monkeypatch.setattr(memory.blobs, "put", real)
    entry = memory.append_document(path, key="five")
    assert entry.pages == 5 and len(drawn) == 4, "two pages were not stored again"
    assert [memory.image(page.number).size for page in memory.pages()] == [frame.size for frame in frames]
    assert [memory.image(page.number).getpixel((0, 0))[0] for page in memory.pages()] == list(range(5))
    assert memory.append_document(path, key="five") == entry
    assert memory.check() == []


def test_what_a_killed_writer_left_is_tidied_up(memory: OpticalMemory) -> None:
    memory.append("Kept.")
    (digest,) = files(memory)
    blobs = memory.blobs
    # Killed between the commit and the move, before the commit, and while writing.
    os.replace(blobs.place(digest), blobs.pending / digest)
    (blobs.pending / ("0" * 64)).write_bytes(b"never committed")
    (blobs.pending / ("1" * 64 + ".partial")).write_bytes(b"half")
    assert memory.image(1).size == (512, 512), "a reader finds it all the same"
    with OpticalMemory(memory.path) as again:
        assert files(again) == {digest}
        assert again.check() == []


def test_forgotten_entries_leave_nothing(remember: Callable[..., OpticalMemory]) -> None:
    memory = remember("One two three.", "Four five six.")
    memory.forget(1)
    memory.append("Seven.")  # the next writer deletes the files
    assert len(files(memory)) == 2
    assert memory.find("two") == [] and memory.find("five")
    assert [entry.number for entry in memory.entries()] == [2, 3]
    with pytest.raises(OptionError, match="no entry 1"):
        memory.forget(1)
    assert memory.check() == []


def test_the_settings_belong_to_the_store(tmp_path: Path) -> None:
    with OpticalMemory(tmp_path / "s", style=STYLE, mode="small", keep_text="never") as memory:
        memory.append("Hello.")
        assert memory.pages()[0].text is None and memory.pages()[0].mode == "small"
    with OpticalMemory(tmp_path / "s") as again:
        assert again.style == STYLE
        assert again.append("World.").pages == 1 and again.pages()[1].mode == "small"
    for wrong in ({"mode": "base"}, {"style": Style()}, {"vision": "int8"}):
        with pytest.raises(OptionError, match="was made"):
            OpticalMemory(tmp_path / "s", **wrong)


def test_errors_say_how_to_go_on(memory: OpticalMemory, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("do not touch")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / index_module.FILE).write_bytes(b"no database at all" * 100)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    connection = sqlite3.connect(foreign / index_module.FILE)
    connection.execute("PRAGMA application_id = 77")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    for call, error, words in (
        (lambda: OpticalMemory(tmp_path / "none", create=False), SourceNotFound, "no memory here"),
        (lambda: OpticalMemory(other), OptionError, "not empty"),
        (lambda: OpticalMemory(tmp_path / "broken"), CorruptSource, "not a memory"),
        (lambda: OpticalMemory(foreign), CorruptSource, "another program"),
        (lambda: OpticalMemory(tmp_path / "n", mode="huge"), UnknownMode, "huge"),
        (lambda: OpticalMemory(tmp_path / "n", vision="fp4"), OptionError, "int8"),
        (lambda: memory.append("  \n"), OptionError, "empty"),
        (lambda: memory.append("half \ud83d"), OptionError, "half a character at 5"),
        (lambda: memory.append("x", role=""), OptionError, "role is empty"),
        (lambda: memory.append("x", time=float("nan")), OptionError, "seconds since 1970"),
        (lambda: memory.append_document(tmp_path / "no.pdf"), FoveateError, "no.pdf"),
        (lambda: memory.entry(9), OptionError, "9"),
        (lambda: memory.recall(page=9), OptionError, "no page 9"),
        (lambda: memory.recall(turn=1, page=1), OptionError, "one of them"),
        (lambda: memory.find("?!"), OptionError, "no word"),
        (lambda: memory.pin(page=4), OptionError, "no page 4"),
        (lambda: memory.encoder, OptionError, "no network"),
    ):
        with pytest.raises(error, match=words):
            call()
    assert sorted(path.name for path in other.iterdir()) == ["thesis.txt"]


def test_a_store_grows_by_numbered_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpticalMemory(tmp_path / "s", style=STYLE) as memory:
        memory.append("Old.")
    newer = (*index_module.MIGRATIONS, "CREATE TABLE extra (x); INSERT INTO extra VALUES (7);")
    monkeypatch.setattr(index_module, "MIGRATIONS", newer)
    with OpticalMemory(tmp_path / "s") as memory:
        assert memory._rows("SELECT x FROM extra") == [(7,)]
        assert len(memory.entries()) == 1
    monkeypatch.setattr(index_module, "MIGRATIONS", newer[:1])
    with pytest.raises(OptionError, match="newer foveate"):
        OpticalMemory(tmp_path / "s")


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OpticalMemory(tmp_path / "s", style=STYLE).close()
    broken = (*index_module.MIGRATIONS, "CREATE TABLE extra (x); INSERT INTO nowhere VALUES (7);")
    monkeypatch.setattr(index_module, "MIGRATIONS", broken)
    with pytest.raises(CorruptSource):
        OpticalMemory(tmp_path / "s")
    monkeypatch.setattr(index_module, "MIGRATIONS", broken[:1])
    with OpticalMemory(tmp_path / "s") as memory:
        assert memory._rows("SELECT name FROM sqlite_master WHERE name = 'extra'") == []


def test_a_damaged_file_is_named_and_its_entry_can_be_forgotten(
    remember: Callable[..., OpticalMemory],
) -> None:
    memory = remember("One.", "Two.")
    image = next(memory.sheets()).image
    assert image is not None
    place = memory.blobs.place(image)
    place.write_bytes(b"half a pic")
    assert memory.check() == [f"{place} is damaged: take the store from a copy"]
    with pytest.raises(CorruptSource, match="is damaged"):
        memory.image(1)
    place.unlink()
    with pytest.raises(CorruptSource, match="forget entry 1"):
        memory.recall(turn=1)
    memory.forget(1)
    assert memory.check() == [] and memory.recall(turn=2)[0].text == "Two."
