"""Words are found in any script, misread or not, and a query costs no more in a large store."""

import sqlite3
from collections.abc import Iterator

import pytest

from foveate.memory import find
from foveate.memory.index import MIGRATIONS, _statements


@pytest.fixture
def index() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for statement in _statements(MIGRATIONS[0]):
        connection.execute(statement)
    yield connection
    connection.close()


def filled(index: sqlite3.Connection, *texts: str) -> sqlite3.Connection:
    for number, text in enumerate(texts, 1):
        find.add(index, number, text)
    return index


def sheets(index: sqlite3.Connection, query: str, limit: int = 10) -> list[int]:
    return [hit.sheet for hit in find.search(index, query, limit)]


def test_every_script_has_words(index: sqlite3.Connection) -> None:
    filled(index, "Grüße aus Köln", "Привет, Москва", "我住在北京", "東京タワーを見た", "قلب القاهرة")
    assert sheets(index, "koln") == sheets(index, "GRÜSSE") == [1]
    assert sheets(index, "москва") == [2]
    assert sheets(index, "北京")[0] == 3, "both characters"
    assert sheets(index, "東京")[0] == 4
    assert sheets(index, "القاهرة") == [5]


def test_all_words_come_before_some_and_rare_before_frequent(index: sqlite3.Connection) -> None:
    filled(index, "red door", "red gate", "blue door", *["red wall"] * 40)
    assert sheets(index, "red door", 2) == [1, 3], "door is rarer than red"
    assert find.search(index, "red door", 1)[0].score == 1


def test_a_rare_word_is_found_behind_many_newer_frequent_ones(
    index: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "MOST", 8)
    filled(index, "the heron and the reed", *["the reed"] * 60)
    assert sheets(index, "heron")[0] == sheets(index, "the heron")[0] == 1
    assert find.search(index, "the heron", 1)[0].score == 1, "both words are on it"


def test_signs_of_the_query_language_are_just_signs(index: sqlite3.Connection) -> None:
    filled(index, "not near or and", 'say "hello" to col:umn*')
    assert sheets(index, 'NOT "OR" (and') == [1]
    assert sheets(index, "col:umn* OR") == [2, 1]


def test_what_is_removed_is_not_found(index: sqlite3.Connection) -> None:
    filled(index, "heron", "heron")
    find.remove(index, 1, "heron")
    assert sheets(index, "heron") == [2]


def test_misreadings_are_near(index: sqlite3.Connection) -> None:
    filled(index, "flowerpct", "fIower", "cat")
    assert sheets(index, "flowerpot") == [1]
    assert sheets(index, "cot") == [], "short words are not guessed"
    assert [find.edit_distance("flower", word, 2) for word in ("flower", "flowr", "glower", "tower")] == [
        0,
        1,
        1,
        2,
    ]
    assert find.edit_distance("flower", "pot", 2) == 3


def test_snippets_show_the_words(index: sqlite3.Connection) -> None:
    text = "one " * 100 + "Über the Heron, " + "two " * 100
    shown = find.snippet(text, ["heron", "uber"])
    assert "**Über** the **Heron**, two" in shown and shown.startswith("…") and shown.endswith("…")
    assert find.snippet("a heron", ["heron"]) == "a **heron**"
    assert find.snippet("herons", ["heron"]) == "herons"


def test_a_query_does_not_look_at_everything(index: sqlite3.Connection) -> None:
    """Counts the database's steps, not the time: ten times the sheets must not be ten times the work."""

    def steps(query: str) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        index.set_progress_handler(step, 100)
        find.search(index, query, 10)
        index.set_progress_handler(None, 0)
        return count

    texts = [f"the common words of page{n} and word{n % 7}" for n in range(6000)]
    filled(index, *texts[:2000])
    before = [steps(query) for query in ("common", "page77", "the page1999 common")]
    for number, text in enumerate(texts[2000:], 2001):
        find.add(index, number, text)
    after = [steps(query) for query in ("common", "page77", "the page1999 common")]
    assert all(late <= 1.5 * early + 2 for early, late in zip(before, after, strict=True)), (before, after)
