"""Keys: only their hashes are kept, and files of them are read with care."""

from pathlib import Path

import pytest

from foveate.errors import OptionError
from foveate.serving.keys import Asker, Keys, hash_key, new_key


def test_a_new_key(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "keys"
    ann, ben = new_key(path, "ann"), new_key(path, "ben")
    text = path.read_text()
    assert ann not in text and ben not in text and path.stat().st_mode & 0o077 == 0
    keys = Keys.load(path)
    assert (keys.find(ann), keys.find(ben)) == (Asker("ann"), Asker("ben"))
    assert keys.find("") is keys.find(ann[:-1]) is keys.find(hash_key(ann)) is keys.find("\udcff") is None
    with pytest.raises(OptionError, match="has a key 'ann' already"):
        new_key(path, "ann")
    with pytest.raises(OptionError, match="cannot name a key"):
        new_key(path, "a b")


def test_a_file_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(
        f"# ours\nann   a-key-of-more-than-16\n\nben sha256:{hash_key('another key').upper()} # his\n"
    )
    keys = Keys.load(path)
    assert keys.find("a-key-of-more-than-16") == Asker("ann") and keys.find("another key") == Asker("ben")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no keys"),
        ("# nothing", "holds no keys"),
        ("ann", "line 1: write a name"),
        ("ann a b", "line 1: write a name"),
        ("\nann short", "line 2: a key of 5 characters can be guessed"),
        ("ann sha256:12", "64 hexadecimal digits"),
        ("ann aaaaaaaaaaaaaaaa\nann bbbbbbbbbbbbbbbb", "line 2: write a name of its own"),
        ("a/b aaaaaaaaaaaaaaaa", "line 1"),
    ],
)
def test_odd_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(OptionError, match=message):
        Keys.load(tmp_path / "keys")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        Keys.load(tmp_path / "none")
