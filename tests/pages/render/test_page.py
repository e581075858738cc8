"""Rendered pages: nothing is lost, and what they say of places is what the pixels show."""

import lzma
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.document import Box
from foveate.errors import OptionError
from foveate.pages.render import RenderedPage, Style, glyphs, render, render_pages, setting, shaping

pytestmark = pytest.mark.usefixtures("latin")
ENGLISH = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity. "
) * 12
SHARED = Path(__file__).parents[3].parent / "shared"
SMALL = Style(width=320, height=240, margins=(20, 16, 24, 18), size=13)
DOZEN = ("arb", "ydd", "hin", "tha", "jpn", "cmn_hans", "kor", "khm", "mya", "bod", "amh", "rus")


@pytest.fixture
def latin(needs: Callable[[str], None]) -> None:
    needs("English")


def grey(page: RenderedPage) -> NDArray[np.uint8]:
    return np.asarray(page.image.convert("L"))


def cut(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    return image[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]


def said(pages: Sequence[RenderedPage], text: str) -> str:
    """The characters that the words cover, without white space."""
    spans = [word.span for page in pages for word in page.words if word.span]
    return "".join("".join(text[start:end] for start, end in spans).split())


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("align", ["start", "centre", "right", "justified"])
def test_words_are_where_they_say(align: str) -> None:
    pages = render(ENGLISH, replace(SMALL, align=align))
    assert len(pages) > 1
    for page in pages:
        image = grey(page)
        covered = np.zeros(image.shape, bool)
        for word in page.words:
            ink = cut(image, word.box) < 255
            # The box is tight: ink touches all of its sides.
            assert ink[0].any() and ink[-1].any() and ink[:, 0].any() and ink[:, -1].any()
            cut(covered, word.box)[:] = True
        assert (image[~covered] == 255).all()  # no ink but that of words


def test_margins_stay_empty() -> None:
    left, top, right, bottom = SMALL.margins
    for page in render(ENGLISH, replace(SMALL, align="justified")):
        image = grey(page)
        assert (image[:top] == 255).all() and (image[-bottom:] == 255).all()
        # A letter may overhang its place by a pixel.
        assert (image[:, : left - 1] == 255).all() and (image[:, -right + 1 :] == 255).all()


def test_without_margins_nothing_is_cut() -> None:
    style = replace(SMALL, margins=(0, 0, 0, 0), italic=True, size=30.0)
    for page in render("fjord fjf Äjf ÂÅ jgj fff " * 10, style):
        for word in page.words:
            assert word.box.x0 >= 0 and word.box.y0 >= 0 and word.box.x1 <= 320 and word.box.y1 <= 240


def test_a_full_lines_ink_stays_on_its_page() -> None:
    """Ink hangs over its place by a pixel or two; without margins a full line has no room for that."""
    words = ("some", "plain", "jjj", "Wffj", "for", "fjord", "pages", "ÄÖj", "nobody", "knows", "__", "f")
    text = " ".join(np.random.default_rng(0).choice(words, 1500).tolist())
    for size in (7.0, 9.25, 17.0):
        style = Style(width=301, height=200, margins=(0,) * 4, size=size, align="justified", italic=True)
        pages = render(text, style)
        assert said(pages, text) == squeezed(text)
        assert all(word.box.x0 >= 0 and word.box.x1 <= 301 for page in pages for word in page.words)


def test_the_text_comes_back() -> None:
    pages = render(ENGLISH, SMALL)
    assert said(pages, ENGLISH) == squeezed(ENGLISH)
    assert squeezed("".join(page.text for page in pages)) == squeezed(ENGLISH)
    for page in pages:
        for line in page.lines:
            assert line.span is not None and ENGLISH[slice(*line.span)] == line.text
        for word in page.words:
            assert word.span is not None and ENGLISH[slice(*word.span)] == word.text


@pytest.fixture(scope="module")
def declarations() -> dict[str, tuple[str, str]]:
    """Language and text of each declaration of human rights."""
    path = SHARED / "corpus" / "mul-udhr.txt.xz"
    if not path.is_file():
        pytest.skip("needs ../shared")
    found = {}
    for record in lzma.decompress(path.read_bytes()).decode().split("\f"):
        head, _, body = record.strip().partition("\n")
        code, language = head.split()[:2]
        found[code] = (language, body)
    return found


@pytest.mark.parametrize("code", DOZEN)
def test_a_dozen_languages_come_back(
    code: str, declarations: dict[str, tuple[str, str]], needs: Callable[[str], None]
) -> None:
    language, text = declarations[code]
    text = text[:1200]
    needs(text)
    pages = render(text, replace(SMALL, language=language, fonts=("Noto Serif",), align="justified"))
    assert said(pages, text) == squeezed(text)
    assert not any(page.missing for page in pages)


@pytest.mark.slow
@pytest.mark.parametrize("line_breaks", ["kept", "marked", "joined"])
def test_every_language_of_the_corpus_comes_back(
    line_breaks: Literal["kept", "marked", "joined"], declarations: dict[str, tuple[str, str]]
) -> None:
    for code, (language, text) in declarations.items():
        pages = render(text, replace(SMALL, language=language, line_breaks=line_breaks))
        assert said(pages, text) == squeezed(text), code


CORPORA = ("de-modern", "de", "en-modern", "en", "es", "fr-modern", "fr", "it", "ja", "ru", "zh")


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_comes_back(name: str, shared: Path, needs: Callable[[str], None]) -> None:
    with lzma.open(shared / "corpus" / f"{name}.txt.xz", "rt", encoding="utf-8") as file:
        text = file.read(60_000)[-1500:].replace("\f", "\n")
    needs(text)
    for line_breaks in ("kept", "marked", "joined"):
        style = replace(SMALL, language=name[:2], line_breaks=line_breaks, align="justified")
        pages = render(text, style)
        assert said(pages, text) == squeezed(text) and not any(page.missing for page in pages)


BROKEN = "One line\n  and another  \n\nA new paragraph\r\nends here.\n\n"


def test_marked_line_ends_run_on() -> None:
    (page,) = render(BROKEN, replace(SMALL, line_breaks="marked"))
    (block,) = page.blocks
    assert " ".join(block.text.split()) == "One line ¶ and another ¶ ¶ A new paragraph ¶ ends here."
    marks = [word.span[0] for word in page.words if word.text == "¶" and word.span]
    assert [BROKEN[place:].lstrip(" ")[0] for place in marks] == ["\n", "\n", "\n", "\r"]
    assert len(page.lines) == 2


def test_joined_lines_part_at_empty_ones() -> None:
    (page,) = render(BROKEN, replace(SMALL, line_breaks="joined"))
    texts = [" ".join(block.text.split()) for block in page.blocks]
    assert texts == ["One line and another", "A new paragraph ends here."]


def test_marked_pages_are_full() -> None:
    text = "Some words.\n" * 200
    kept, marked = (render(text, replace(SMALL, line_breaks=how)) for how in ("kept", "marked"))
    assert len(marked) < len(kept) / 2
    for page in marked[:-1]:
        assert all(line.box.x1 > SMALL.width - SMALL.margins[2] - 40 for line in page.lines)


def test_a_long_text_that_runs_on_is_set_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(ENGLISH[n % 97 : n % 97 + 40 + n % 230] for n in range(60)) + "\n\n"
    # Lines so far apart that no window's letters need more.
    style = replace(SMALL, line_breaks="marked", align="justified", page_numbers=True, leading=1.6)
    whole = render(text, style)
    for window in (300, 1111, 2500):
        monkeypatch.setattr("foveate.pages.render.WINDOW", window)
        pages = render(text, style)
        assert [page.image.tobytes() for page in pages] == [page.image.tobytes() for page in whole]
        assert [page.words for page in pages] == [page.words for page in whole]
    assert len(whole) > 8 and said(whole, text) == squeezed(text)


def test_the_first_pages_cost_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what the text behind them is."""
    settings = []
    real = setting.Setting.__init__

    def counted(self: setting.Setting, *what: object) -> None:
        settings.append(self)
        real(self, *what)  # type: ignore[arg-type]

    monkeypatch.setattr(setting.Setting, "__init__", counted)
    assert len(render("A line.\n" * 5000, SMALL, limit=2)) == 2
    assert len(settings) < 60


def test_marked_lines_of_hebrew_keep_their_directions(needs: Callable[[str], None]) -> None:
    text = "שלום עולם\nplain English\n\nעוד שורה"
    needs(text)
    (page,) = render(text, replace(SMALL, line_breaks="marked"))
    assert said([page], text) == squeezed(text)
    assert page.lines[0].box.x1 > 280 and page.lines[1].box.x0 < 30
    assert [
        len(render(lines, replace(SMALL, line_breaks="marked"))[0].lines)
        for lines in ("a\nb\nc\nd", f"a\nb\n{text}\nc\nd")
    ] == [1, 5]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\f"])
@pytest.mark.parametrize("line_breaks", ["kept", "marked", "joined"])
def test_nothing_to_set_is_one_empty_page(
    text: str, line_breaks: Literal["kept", "marked", "joined"]
) -> None:
    (page,) = render(text, replace(SMALL, line_breaks=line_breaks))
    assert (grey(page) == 255).all() and page.span == (0, 0) and not page.lines


def test_pages_come_one_by_one_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when other texts come between that would have everything forgotten."""
    text = "\n\n".join(ENGLISH[n : n + 700] for n in range(0, 1400, 70))
    whole = [page.image.tobytes() for page in render(text, SMALL)]
    monkeypatch.setattr(shaping, "KEPT", 0)
    monkeypatch.setattr(shaping.forget, "__defaults__", (0,))
    one_by_one = []
    for page in render_pages(text, SMALL):
        one_by_one.append(page.image.tobytes())
        render("other words between the pages " + str(page.number), replace(SMALL, size=17))
    assert one_by_one == whole and len(whole) > 3


def test_same_page_same_bytes_also_without_what_was_kept() -> None:
    first = render(ENGLISH, SMALL)[0]
    again = render(ENGLISH, SMALL)[0]
    glyphs.forget(over=-1)
    shaping.forget(over=-1)
    anew = render(ENGLISH, SMALL)[0]
    assert first.image.tobytes() == again.image.tobytes() == anew.image.tobytes()
    assert first.words == again.words == anew.words


def test_the_fast_way_and_the_way_of_any_script_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = render(ENGLISH + " well-known and/or 3-4 half—way", SMALL)
    monkeypatch.setattr(setting, "is_simple", lambda text: False)
    slow = render(ENGLISH + " well-known and/or 3-4 half—way", SMALL)
    assert [page.image.tobytes() for page in fast] == [page.image.tobytes() for page in slow]
    assert [page.words for page in fast] == [page.words for page in slow]


def test_kerning_and_whole_pixels_change_places_not_the_text() -> None:
    for style in (replace(SMALL, kerning=False), replace(SMALL, subpixel=False)):
        pages = render(ENGLISH, style)
        assert said(pages, ENGLISH) == squeezed(ENGLISH)
        assert pages[0].image.tobytes() != render(ENGLISH, SMALL)[0].image.tobytes()


def test_a_page_is_full_before_the_next_begins() -> None:
    pages = render(ENGLISH, SMALL)
    leading = round(SMALL.size * SMALL.leading)
    for page in pages[:-1]:
        assert page.lines[-1].box.y1 > SMALL.height - SMALL.margins[3] - leading - 4


def test_justified_lines_end_together() -> None:
    page = render(ENGLISH, replace(SMALL, align="justified"))[0]
    rights = [line.box.x1 for line in page.lines]
    assert max(rights) - min(rights) <= 3


def test_columns() -> None:
    style = Style(width=640, height=200, columns=2, gutter=40, size=13)
    page = render(ENGLISH, style)[0]
    middle = [line for line in page.lines if line.box.x0 < 320 < line.box.x1]
    assert not middle
    first = [line.box.x0 < 320 for line in page.lines]
    assert first == sorted(first, reverse=True) and 0 < sum(first) < len(first)


def test_long_words_are_cut_and_lines_too_narrow_refused() -> None:
    word = "Rindfleischetikettierungsueberwachungsaufgabenuebertragungsgesetz" * 2
    pages = render(word, replace(SMALL, width=160))
    assert said(pages, word) == word and len(pages[0].lines) > 3
    with pytest.raises(OptionError, match="column"):
        render("WWW", Style(width=50, height=400, margins=(2, 2, 2, 2), size=46, bold=True))
    with pytest.raises(OptionError, match="too large"):
        render("Wg", Style(width=400, height=50, margins=(2, 2, 2, 2), size=60))


def test_what_no_font_has_is_told_and_not_drawn() -> None:
    text = "a \U0010fffd b"
    page = render(text, SMALL)[0]
    assert page.missing == (("\U0010fffd", 2),)
    blank = next(word for word in page.words if word.text == "\U0010fffd")
    assert (cut(grey(page), blank.box) == 255).all()


@pytest.mark.parametrize("char", ["\0", "\x1b", "\x7f", "\x80", "\ufeff"])
def test_a_control_character_does_not_hide_its_word(char: str) -> None:
    (page,), (other,) = render(f"bird{char}cage so", SMALL), render("birdcage so", SMALL)
    assert (grey(page) == grey(other)).all()
    assert [word.span for word in page.words] == [(0, 9), (10, 12)] and not page.missing


def test_hebrew_runs_from_the_right(needs: Callable[[str], None]) -> None:
    text = "שלום עולם 12 abc"
    needs(text)
    page = render(text, SMALL)[0]
    lefts = [word.box.x0 for word in page.words]
    assert [word.text for word in page.words] == text.split()
    assert lefts[0] > lefts[1] > lefts[2] > lefts[3]
    assert page.words[0].box.x1 > SMALL.width - SMALL.margins[2] - 6


def test_no_line_begins_with_a_sign_that_must_not(needs: Callable[[str], None]) -> None:
    text = "日本語、の。「テキスト」はゃっー、この。" * 30
    needs(text)
    for page in render(text, replace(SMALL, language="ja")):
        assert not [line.text for line in page.lines if line.text[0] in "、。」ゃっー"]
        assert not [line.text for line in page.lines if line.text[-1] == "「"]


def test_han_characters_have_their_languages_shape(needs: Callable[[str], None]) -> None:
    needs("直")
    drawn = {lang: render("直", replace(SMALL, language=lang))[0] for lang in ("ja", "zh")}
    if drawn["ja"].fonts == drawn["zh"].fonts:
        pytest.skip("needs a font for each: Debian's fonts-noto-cjk")
    assert drawn["ja"].image.tobytes() != drawn["zh"].image.tobytes()


MARKDOWN = """# Title

Some **bold** words.

- one
- two

| name | value |
|---|---|
| a & b | 1.5 |

```
x = 1
```
"""


def test_markdown_blocks_and_their_text() -> None:
    style = replace(SMALL, height=400, markdown=True, header="Head", footer="Foot", page_numbers=True)
    page = render(MARKDOWN, style)[0]
    assert [(block.kind, block.text) for block in page.blocks] == [
        ("header", "Head"),
        ("title", "# Title"),
        ("text", "Some bold words."),
        ("list", "- one\n- two"),
        (
            "table",
            "<table><tr><th>name</th><th>value</th></tr><tr><td>a &amp; b</td><td>1.5</td></tr></table>",
        ),
        ("code", "```\nx = 1\n```"),
        ("footer", "Foot"),
        ("page_number", "1"),
    ]
    assert page.blocks[0].span is None
    title, text = page.lines[1], page.lines[2]
    assert title.box.y1 - title.box.y0 > 1.3 * (text.box.y1 - text.box.y0)
    assert [line.text for line in page.lines if line.block == 3] == ["• one", "• two"]


def test_a_tables_rules_surround_its_cells() -> None:
    page = render(MARKDOWN, replace(SMALL, height=400, markdown=True))[0]
    box = next(block.box for block in page.blocks if block.kind == "table")
    image = grey(page)
    for row in (int(box.y0), int(box.y1) - 1):
        assert (image[row, int(box.x0) : int(box.x1)] == 0).all()
    for column in (int(box.x0), int(box.x1) - 1):
        assert (image[int(box.y0) : int(box.y1), column] == 0).all()


def test_colours() -> None:
    style = replace(SMALL, ink=(120, 0, 0), paper=(250, 250, 230))
    page = render("red", style)[0]
    pixels = np.asarray(page.image)
    assert page.image.mode == "RGB" and tuple(pixels[0, 0]) == (250, 250, 230)
    assert tuple(pixels.reshape(-1, 3).min(0)) == (120, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"margins": (200, 0, 200, 0)}, {"size": 2.0}, {"columns": 40}, {"align": "middle"}, {"width": 0}],
)
def test_styles_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Style(**{**vars(SMALL), **wrong})
