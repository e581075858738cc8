"""Pages that are kept: found again, never wrong, never more than the limit."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from foveate.errors import OptionError
from foveate.pages.render import RenderedPage, Style, cache, render
from foveate.pages.render.cache import PageCache

TEXT = "It was the best of times, it was the worst of times. " * 30
SMALL = Style(width=320, height=240, margins=(8, 8, 8, 8), size=13)


@pytest.fixture(autouse=True)
def latin(needs: Callable[[str], None]) -> None:
    needs("English")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were rendered for real."""
    texts: list[str] = []
    real = cache.render_pages

    def counted(text: str, style: Style) -> Iterator[RenderedPage]:
        texts.append(text)
        return real(text, style)

    monkeypatch.setattr(cache, "render_pages", counted)
    return texts


def test_pages_are_those_of_the_renderer(drawn: list[str]) -> None:
    kept = PageCache().render(TEXT, SMALL)
    pages = render(TEXT, SMALL)
    assert len(kept) == len(pages) > 1
    for one, page in zip(kept, pages, strict=True):
        assert one.image.tobytes() == page.image.tobytes() and one.span == page.span
        assert [span for _, span in one.lines] == [line.span for line in page.lines]
        assert one.bottom == page.lines[-1].box.y1


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_was_rendered_is_not_rendered_again(on_disk: bool, drawn: list[str], tmp_path: Path) -> None:
    folder = tmp_path if on_disk else None
    first = PageCache(folder=folder)
    pages = first.render(TEXT, SMALL)
    other = PageCache(folder=folder) if on_disk else first
    assert other.render(TEXT, SMALL) == pages and len(drawn) == 1
    assert (other.hits, other.folder_hits) == ((0, 1) if on_disk else (1, 0))
    # Another text or style is another page.
    other.render(TEXT + ".", SMALL)
    other.render(TEXT, replace(SMALL, size=13.5))
    assert len(drawn) == 3


def test_memory_is_bounded_and_the_oldest_go_first(drawn: list[str]) -> None:
    one = PageCache().render("a", SMALL)[0].size
    kept = PageCache(limit=3 * one + 200)
    for letter in "abcda":
        kept.render(letter, SMALL)
        assert kept.size <= 3 * one + 200
    assert drawn[1:] == ["a", "b", "c", "d", "a"]  # "a" had gone when it came again
    kept.render("d", SMALL)
    assert kept.hits == 1


def test_the_folder_is_bounded(tmp_path: Path) -> None:
    kept = PageCache(limit=0, folder=tmp_path, folder_limit=6000)
    for number in range(12):
        kept.render(f"page {number}", SMALL)
    assert 0 < sum(path.stat().st_size for path in tmp_path.iterdir()) <= 6000


HARMS: list[Callable[[bytes], bytes]] = [
    lambda whole: whole[:-5],
    lambda whole: whole + b"x",
    lambda whole: b"",
    lambda whole: whole[:-9] + b"123456789",
    lambda whole: b"{}\n",
    lambda whole: b"[{}]\n",
    lambda whole: b"\xff" + whole,
]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_rendered_again(harm: Callable[[bytes], bytes], tmp_path: Path) -> None:
    pages = PageCache(folder=tmp_path).render(TEXT, SMALL)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(harm(whole))
    again = PageCache(folder=tmp_path)
    assert again.render(TEXT, SMALL) == pages and again.misses == 1
    assert file.read_bytes() == whole


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="cache"):
        PageCache(folder=tmp_path / "file")


def test_threads_get_the_same_pages() -> None:
    """Shapes and glyphs belong to the process: without a lock, two renderings spoil each other's."""
    texts = [chr(0x61 + n % 26) * 3 + f" {TEXT[: 400 + n]}" for n in range(6)]
    kept = PageCache()
    found: dict[int, bytes] = {}

    def work(number: int) -> None:
        found[number] = b"".join(
            page.png for page in kept.render(texts[number], replace(SMALL, size=11 + number))
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, text in enumerate(texts):
        alone = PageCache().render(text, replace(SMALL, size=11 + number))
        assert found[number] == b"".join(page.png for page in alone)
