"""nano's page maker, text source and tokenizer: what is drawn is what the text says, where it says."""

import importlib
import lzma
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
sys.path.insert(0, str(ROOT / "scripts" / "nano"))
text = importlib.import_module("text")
draw = importlib.import_module("draw")

PAGE = """# The Harbour, 1887

The old man's “house”—it was a hulk—lay at £4 6s. 8d. a year; nobody else (they said) would have it.

- bread
- 12 candles, a new wick and some lamp oil for the winter

Après-midi: 3 × 4 = 12, or 50% of ½ § 7. def f_1(x): return x[0] + {y} ~ z^2 | "q" & a@b.c\\d `#`!"""


@pytest.fixture(scope="module")
def fonts() -> list[str]:
    try:
        found = draw.find_fonts()
    except FileNotFoundError:
        pytest.skip("no fonts are installed")
    return found[:: max(1, len(found) // 12)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty tiny books, hard-wrapped, each with a word of its own; and modern sentences."""
    folder = tmp_path_factory.mktemp("corpus")
    books = []
    for number in range(40):
        line = f"Book{number} has _many_ words\nthat go over   several lines, naïvely.\n"
        books.append(line * 20 + f"\n[Illustration: x]\n\nCHAPTER {number}\n\n" + "The end came soon.\n" * 20)
    for name, content in zip(text.CORPORA, ("\f".join(books), "Today it rains again.\n" * 300), strict=True):
        (folder / name).write_bytes(lzma.compress(content.encode()))
    return folder


def page_of(seed: int, fonts: list[str], **options: object) -> "draw.Drawn":
    return draw.draw(seed, PAGE, 448, 512, sizes=(13, 15), fonts=fonts, **options)


def test_same_seed_same_page(fonts: list[str]) -> None:
    first, second, other = (page_of(seed, fonts) for seed in (3, 3, 4))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.text == second.text and first.lines == second.lines
    assert first.chars.tobytes() == second.chars.tobytes()
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_text_is_what_was_drawn(seed: int, fonts: list[str]) -> None:
    drawn = page_of(seed, fonts)
    assert drawn.image.shape == (448, 512) and drawn.image.dtype == np.uint8
    assert PAGE.startswith(drawn.text) and len(drawn.text) > 150
    glyphs = [draw.ALPHABET[number] for number in drawn.chars[:, 0]]
    assert glyphs == [drawn.text[offset] for offset in drawn.char_offsets]
    assert "".join(glyphs) == drawn.text.removeprefix("# ").replace(" ", "").replace("\n", "")
    between = [drawn.text[a[1] : b[0]] for a, b in zip(drawn.lines[:-1], drawn.lines[1:], strict=True)]
    assert drawn.lines[0][0] == 0 and drawn.lines[-1][1] == len(drawn.text)
    assert set(between) <= {" ", "\n", "\n\n"}


@pytest.mark.parametrize("seed", range(12))
def test_every_character_has_ink_at_its_place(seed: int, fonts: list[str]) -> None:
    drawn = page_of(seed, fonts)
    contrast = np.abs(drawn.image.astype(int) - int(np.median(drawn.image)))
    reach, tall = round(0.3 * drawn.size) + 1, round(0.75 * drawn.size)  # a line's low and high marks too
    for number, x, y in drawn.chars:
        there = contrast[max(0, y - tall) : y + tall + 1, max(0, x - reach) : x + reach + 1]
        assert there.max() > 40, (draw.ALPHABET[number], x, y, drawn.font)


@pytest.mark.parametrize("seed", range(12))
def test_ink_stays_in_the_lines_and_on_the_page(seed: int, fonts: list[str]) -> None:
    drawn = page_of(seed, fonts, degrade=0)
    blank = drawn.image == drawn.image[0, 0]
    assert blank[[0, -1]].all() and blank[:, [0, -1]].all()
    for start, end, (left, top, right, bottom) in drawn.lines:
        assert 0 < left < right < 512 and 0 < top < bottom < 448
        inside = (drawn.char_offsets >= start) & (drawn.char_offsets < end)
        x, y = drawn.chars[inside, 1:].T
        assert (x >= left).all() and (x < right).all() and (y >= top).all() and (y < bottom).all()
        assert not blank[top:bottom, left:right].all()
        blank[top:bottom, left:right] = True
    assert blank.all(), "ink outside the lines"


def test_rotation_and_scale_move_the_places_with_the_ink() -> None:
    camera = draw._Camera(200, 300, scale=1.2, angle=0.015)
    ink = np.zeros(camera.sheet, np.uint8)
    for x, y in ((40, 30), (300, 200), (180, 120)):
        ink[:] = 0
        ink[y - 3 : y + 3, x - 3 : x + 3] = 255
        page = camera.shoot(np.random.default_rng(0), ink).astype(float)
        ys, xs = np.indices(page.shape) + 0.5
        centre = np.array([(page * xs).sum(), (page * ys).sum()]) / page.sum()
        assert np.abs(camera.points(np.array([x, y], float)) - centre).max() < 0.1


def test_patch_targets_name_the_characters_by_patch(fonts: list[str]) -> None:
    drawn = page_of(1, fonts)
    targets = draw.patch_targets(drawn, slots=8)
    assert targets.shape == (28, 32, 8) and targets.dtype == np.int16
    assert (targets > 0).sum() == len(drawn.chars)
    for row, column in np.argwhere(targets[:, :, 0] > 0)[::7]:
        here = (drawn.chars[:, 2] // 16 == row) & (drawn.chars[:, 1] // 16 == column)
        expected = sorted(drawn.chars[here].tolist(), key=lambda char: char[1:])
        assert [number + 1 for number, _, _ in expected] == [t for t in targets[row, column] if t]
    assert (draw.patch_targets(drawn, slots=1)[:, :, 0] == targets[:, :, 0]).all()


def test_a_dash_at_the_start_of_a_wrapped_line_is_no_item(fonts: list[str]) -> None:
    says = "one - two - three - four - " * 6 + "five"
    for seed in range(8):
        assert says.startswith(draw.draw(seed, says, 256, 128, sizes=(12, 16), fonts=fonts).text)


def test_words_wider_than_the_page_are_left_out(fonts: list[str]) -> None:
    drawn = draw.draw(0, "yes " + "m" * 60 + " no", 64, 128, sizes=(14, 14), fonts=fonts)
    assert drawn.text == "yes no"
    assert draw.draw(0, "m" * 60, 64, 128, sizes=(14, 14), fonts=fonts).text == ""


def test_books_are_held_out_whole(corpus: Path, tmp_path: Path) -> None:
    sources = {split: text.TextSource(corpus, split, tmp_path) for split in text.SPLITS}
    names = {
        split: {source.book(number).split()[0] for number in range(len(source))}
        for split, source in sources.items()
    }
    assert names["train"] and names["heldout"] and not names["train"] & names["heldout"]
    assert sum(map(len, names.values())) == 40
    seen = {
        word
        for seed in range(200)
        for word in sources["train"].prose(np.random.default_rng(seed), 300).split()
        if word.startswith("Book")
    }
    assert seen and seen <= names["train"]


def test_samples_are_seeded_clean_and_long_enough(corpus: Path, tmp_path: Path) -> None:
    source = text.TextSource(corpus, "train", tmp_path)
    assert "many words that go over several lines, naïvely. Book" in source.book(0)
    assert "_" not in source.book(0) and "Illustration" not in source.book(0)
    for seed in range(60):
        sample = source.sample(np.random.default_rng(seed), 200)
        assert sample == source.sample(np.random.default_rng(seed), 200)
        assert sample and set(sample) <= set(text.ALPHABET + " \n") and len(sample) <= 260
    with pytest.raises(ValueError, match="choose from train, heldout"):
        text.TextSource(corpus, "test", tmp_path)


def test_cleaning_maps_to_the_alphabet() -> None:
    assert text.clean("ﬁne\u00a0−\u200b№ Ω Åse ¾") == "fine -No  Ase 3/4"
    assert len(set(text.ALPHABET)) == len(text.ALPHABET) <= 255 and " " not in text.ALPHABET


def test_pages_of_a_source_say_what_they_show(corpus: Path, tmp_path: Path, fonts: list[str]) -> None:
    source = text.TextSource(corpus, "train", tmp_path)
    for index in range(20):
        options = {"sizes": (10, 24), "fonts": fonts, "headings": 0.5, "lists": 0.5, "fill": (0.3, 1.0)}
        drawn = draw.page(7, index, source, 256, 256, **options)
        glyphs = [draw.ALPHABET[number] for number in drawn.chars[:, 0]]
        assert glyphs == [drawn.text[offset] for offset in drawn.char_offsets]
        assert len(glyphs) > 4 and not drawn.text.endswith((" ", "\n"))


def test_tokenizer_asset_round_trips() -> None:
    path = ROOT / "src/foveate/assets/nano/tokenizer.json"
    if not path.exists():
        pytest.skip("nano's tokenizer is not there yet")
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(path))
    for sample in (PAGE, "日本語 \r\n\t 🙂 \x00", "x" * 50):
        ids = tokenizer.encode(sample, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == sample
    for token in ("<td>", "</td>", "<image>", "<|ref|>", "<|/det|>", "<|grounding|>"):
        assert len(tokenizer.encode(token, add_special_tokens=False).ids) == 1
    tokens = tokenizer.encode("[[12, 34, 567, 999]]", add_special_tokens=False).tokens
    assert [token for token in tokens if token.isdigit()] == list("1234567999")
    assert tokenizer.encode("a").ids[0] == 0 and tokenizer.token_to_id("<｜▁pad▁｜>") == 2
