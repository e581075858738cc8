"""Styles with names, and styles as files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from foveate.errors import CorruptSource, FoveateError, OptionError, SourceNotFound, UnknownMode
from foveate.pages.render import Style, render, styles

ODD = Style(
    width=500,
    margins=(1, 2, 3, 4),
    fonts=('Quote " and \\ back', "Ünï \x7f 😀"),
    size=9.75,
    heading_ink=(1, 2, 255),
    markdown=True,
    line_breaks="marked",
    line_mark="⏎",
)


@pytest.mark.parametrize("suffix", [".toml", ".json"])
@pytest.mark.parametrize("style", [Style(), ODD, *(named.style for named in styles.STYLES.values())])
def test_a_saved_style_comes_back(style: Style, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"style{suffix}"
    styles.save(style, path, note="two\nlines")
    assert styles.load(path) == style == styles.get(str(path))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_lengths_and_colours_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "readable"\ndpi = 144\nsize = "9pt"\nmargins = "1in"\nink = "#102030"\n')
    style = styles.load(path)
    assert (style.size, style.margins, style.ink) == (18.0, (144,) * 4, (16, 32, 48))
    assert style.leading == styles.STYLES["readable"].style.leading
    path.write_text('width = "210mm"\nheight = "29.7cm"\nmargins = [1, "3pt", 2, 3]\n')
    style = styles.load(path)
    assert (style.width, style.height, style.margins) == (794, 1123, (1, 4, 2, 3))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("sise = 12", "did you mean size"),
        ("size = true", "number"),
        ("size = 'large'", "9pt"),
        ("columns = 1.5", "whole number"),
        ("markdown = 1", "true or false"),
        ("align = 'middle'", "alignment"),
        ("ink = 'red'", "#202020"),
        ("ink = [1, 2, 999]", "0 to 255"),
        ("margins = [1, 2]", "four"),
        ("fonts = [1]", "families"),
        ("base = 'fine'", "dense-10x"),
        ("size = nan", "size"),
        ("width = inf", "large"),
        ("gutter = -5", "gutter"),
        ("paragraph_gap = 1e9", "paragraph_gap"),
        ("dpi = 0", "dpi"),
        ("line_breaks = 'lost'", "kept"),
        ("line_breaks = 'marked'\nline_mark = ' '", "line_mark"),
        ("size =", "TOML"),
        ("\x00", "TOML"),
    ],
)
def test_a_wrong_file_says_how_to_go_on(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(content)
    with pytest.raises((OptionError, CorruptSource), match="wrong.toml.*" + told):
        styles.load(path)


def test_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="readable"):
        styles.get("readible")
    with pytest.raises(SourceNotFound):
        styles.get(str(tmp_path / "none.toml"))
    with pytest.raises(UnknownMode):
        styles.get("readable", "huge")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name in ("list.json", "deep.json"):
        with pytest.raises(FoveateError):
            styles.get(str(tmp_path / name))


@pytest.mark.parametrize(("mode", "side"), [("tiny", 512), ("small", 640), ("base", 1024), ("large", 1280)])
def test_a_page_has_the_size_of_its_mode(mode: str, side: int) -> None:
    style = styles.get("dense-10x", mode)
    assert (style.width, style.height, style.size) == (side, side, styles.STYLES["dense-10x"].style.size)


def test_another_resolution_is_the_same_page() -> None:
    style = Style(width=600, height=400, size=12.0, margins=(10, 20, 30, 40))
    twice = style.at(192)
    assert (twice.width, twice.height, twice.size, twice.margins) == (1200, 800, 24.0, (20, 40, 60, 80))
    assert replace(twice.at(96), dpi=96.0) == style
    text = "A line of words that is set. " * 40
    assert [page.span for page in render(text, style)] == [page.span for page in render(text, twice)]


def test_dense_pages_hold_ten_tokens_for_one(needs: Callable[[str], None], shared: Path) -> None:
    """On modern English, estimated; docs/render.md has the table by the released tokenizer."""
    import lzma

    from foveate.pages.render import fonts
    from foveate.pages.text_tokens import estimate

    needs("English")
    if "Liberation Sans Narrow" not in fonts.families():
        pytest.skip("needs Debian's fonts-liberation-sans-narrow")
    with lzma.open(shared / "corpus" / "en-modern.txt.xz", "rt", encoding="utf-8") as file:
        text = file.read(400_000)[-20_000:].replace("\f", "\n")
    dense = styles.density("dense-10x", "small", text, estimate, pages=2)
    readable = styles.density("readable", "small", text, estimate, pages=2)
    assert 9 < dense.ratio < 13 and 1.5 < readable.ratio < 4
    with pytest.raises(OptionError, match="longer"):
        styles.density("dense-10x", "large", text[:2000], estimate)


def test_toml_is_what_people_write(tmp_path: Path) -> None:
    path = tmp_path / "style.toml"
    styles.save(Style(), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert 'ink = "#000000"' in lines and "margins = [32, 32, 32, 32]" in lines and "size = 14.0" in lines
    assert json.loads(json.dumps(styles.to_dict(ODD)))["heading_ink"] == "#0102ff"
