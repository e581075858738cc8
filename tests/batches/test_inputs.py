"""What a user names, as documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from foveate.batches.inputs import fetch, find
from foveate.errors import OptionError, SourceNotFound, SourceTooLarge
from tests.batches.world import picture


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A remote folder, in this process's memory."""
    system = fsspec.filesystem("memory")
    for name in ("b/a.pdf", "b/sub/c.PNG", "b/sub/.hidden.pdf", "b/notes.txt", "b/e1.pdf"):
        system.pipe(f"/{name}", name.encode())
    yield system
    system.rm("/b", recursive=True)


def test_folders_patterns_and_files_in_order_and_once(folder: Path) -> None:
    for name in ("in/b/page10.png", "in/b/page2.png", "in/a.png", "in/notes.txt", "x.png"):
        picture(folder / name) if name.endswith("png") else (folder / name).write_text("")
    found = find(["x.png", "in", "in/b/*.png", "./x.png"])
    assert [item.name for item in found] == ["x.png", "in/a.png", "in/b/page2.png", "in/b/page10.png"]
    assert [item.below for item in found] == ["x.png", "a.png", "b/page2.png", "b/page10.png"]
    assert found[1].place == str(folder / "in" / "a.png") and not found[0].remote
    assert [item.below for item in find(["i?/*/*2.png"])] == ["in/b/page2.png"]


def test_a_list_holds_inputs_on_its_lines(folder: Path) -> None:
    for name in ("a.png", "b c.png", "in/d.png"):
        picture(folder / name)
    (folder / "more.txt").write_text("in\n")
    (folder / "list.txt").write_text("# mine\n\na.png\n  b c.png  \n@more.txt\n", encoding="utf-8")
    assert [item.name for item in find(["@list.txt"])] == ["a.png", "b c.png", "in/d.png"]
    picture(folder / "@odd.png")
    assert [item.name for item in find(["@odd.png"])] == ["@odd.png"]


def test_the_folder_of_the_batch_is_not_read(folder: Path) -> None:
    picture(folder / "a.png"), picture(folder / "out" / "a.images" / "page-0001-0.jpg")
    assert [item.name for item in find(["."], folder / "out")] == ["a.png"]
    assert [item.name for item in find(["out/a.images"], folder / "out")] == ["out/a.images/page-0001-0.jpg"]
    with pytest.raises(OptionError, match="both what is read and --out"):
        find(["out"], folder / "out")


def test_addresses_of_a_folder_a_pattern_and_a_file(bucket: Any) -> None:
    found = find(["memory://b", "memory://b/e1.pdf"])
    assert [(item.name, item.below, item.remote) for item in found] == [
        ("memory:///b/a.pdf", "a.pdf", True),
        ("memory:///b/e1.pdf", "e1.pdf", True),
        ("memory:///b/sub/c.PNG", "sub/c.PNG", True),
    ]
    assert [item.below for item in find(["memory://b/*.pdf"])] == ["a.pdf", "e1.pdf"]
    assert [item.below for item in find(["memory://b/*/c.*"])] == ["sub/c.PNG"]
    assert [item.below for item in find(["memory://b/notes.txt"])] == ["notes.txt"]


def test_a_file_address(folder: Path) -> None:
    picture(folder / "in" / "a.png")
    (found,) = find([f"file://{folder}/in"])
    assert found.remote and found.below == "a.png"
    fetch(found.place, folder / "copy" / "x.png", 1 << 20)
    assert (folder / "copy" / "x.png").read_bytes() == (folder / "in" / "a.png").read_bytes()


def test_fetching_and_what_can_go_wrong(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("memory://b/a.pdf", tmp_path / "a", 100)
    assert (tmp_path / "a").read_bytes() == b"b/a.pdf"
    with pytest.raises(SourceTooLarge, match="over the limit of 3 bytes"):
        fetch("memory://b/a.pdf", tmp_path / "b", 3)
    with pytest.raises(SourceNotFound, match="there is no such file"):
        fetch("memory://b/none.pdf", tmp_path / "b", 3)
    tries: list[str] = []

    def broken(self: Any, path: str, *_: Any, **__: Any) -> None:
        tries.append(path)
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(type(bucket), "get_file", broken)
    with pytest.raises(SourceNotFound, match="cannot be fetched .reset by peer.: try again"):
        fetch("memory://b/a.pdf", tmp_path / "b", 100, tries=3, pause=0)
    assert len(tries) == 3 and list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_no_room_for_a_copy_is_the_machines_fault(bucket: Any, tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(bucket), "get_file", full)
    with pytest.raises(OSError, match="No space left"):
        fetch("memory://b/a.pdf", tmp_path / "b", 100)


@pytest.mark.parametrize(
    ("name", "error", "complaint"),
    [
        ("none.pdf", SourceNotFound, "no such file or folder"),
        ("@none.txt", SourceNotFound, "the list cannot be read"),
        ("@self.txt", OptionError, "a list that names itself"),
        ("@data.txt", OptionError, "write one input a line"),
        ("-", OptionError, "no standard input"),
        ("memory://nowhere/x", SourceNotFound, "there is no PDF or picture"),
        ("nonsense://x", OptionError, "cannot be opened"),
        ("oci://bucket/x", OptionError, "needs another library"),
    ],
)
def test_mistakes(folder: Path, name: str, error: type[Exception], complaint: str) -> None:
    (folder / "self.txt").write_text("@self.txt")
    (folder / "data.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(error, match=complaint):
        find([name])


def test_words_before_an_at_sign_are_not_kept() -> None:
    with pytest.raises(OptionError) as caught:
        find(["nonsense://me:secret@host/x"])
    assert "secret" not in str(caught.value)
