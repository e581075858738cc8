"""Scenes: boxes hold the ink, a number gives one picture, photographs get the annotator's labels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from foveate.data import scene_art as art
from foveate.data.annotator import RapidAnnotator
from foveate.data.sample import Region, Sample, Skipped, dice
from foveate.data.scenes import ComposedSceneMaker, SceneMaker, in_order
from foveate.document import Box
from foveate.errors import OptionError, SourceNotFound
from foveate.pages.markup import parse
from foveate.pages.prompts import PROMPTS
from foveate.pages.render import fonts

pytestmark = pytest.mark.skipif(not fonts.installed(), reason="needs fonts")

TEXT = "The quick brown fox jumps over the lazy dog near a quiet river bank today\n" * 40


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text(TEXT, encoding="utf-8")
    return file


def sample(maker: SceneMaker | ComposedSceneMaker, number: int, seed: int = 0) -> Sample:
    made = maker.make(number, seed)
    assert isinstance(made, Sample), made
    return made


def pieces(count: int) -> list[art.Drawn]:
    found = []
    for number in range(count):
        generator = dice("test", number, 0)
        piece = art.flat_piece("Quiet river", generator, 500)
        assert piece is not None
        drawn = art.in_perspective(piece, 500, 400, generator)
        found += [drawn] if drawn is not None else []
    return found


def test_boxes_and_quads_hold_the_ink() -> None:
    drawn = pieces(16)
    assert len(drawn) >= 8 and any(piece.bend for piece in drawn)
    for piece in drawn:
        rows, columns = np.nonzero(piece.ink >= 64)
        rows, columns = rows + piece.corner[1], columns + piece.corner[0]
        assert (piece.box.x0, piece.box.y0) == (columns.min(), rows.min())
        assert (piece.box.x1, piece.box.y1) == (columns.max() + 1, rows.max() + 1)
        # Every point of ink is on the inner side of the quad's four edges, to a pixel and a half.
        for (ax, ay), (bx, by) in zip(piece.quad, np.roll(piece.quad, -1, axis=0), strict=True):
            distance = ((bx - ax) * (rows + 0.5 - ay) - (by - ay) * (columns + 0.5 - ax)) / np.hypot(
                bx - ax, by - ay
            )
            assert distance.min() > -1.5


def test_blending_changes_the_box_and_leaves_the_rest(words: Path) -> None:
    [piece, *_] = pieces(6)
    scene = np.full((400, 500, 3), 200, dtype=np.float32)
    art.blend(scene, piece, dice("test", 0, 1))
    changed = np.abs(scene - 200).max(axis=2) > 40
    rows, columns = np.nonzero(changed)
    assert rows.min() >= piece.around.y0 - 8 and rows.max() <= piece.around.y1 + 8
    assert columns.min() >= piece.around.x0 - 8 and columns.max() <= piece.around.x1 + 8
    assert changed[int(piece.box.y0) : int(piece.box.y1), int(piece.box.x0) : int(piece.box.x1)].any()


def test_same_number_same_scene(words: Path) -> None:
    one, other = ComposedSceneMaker([words], side=320), ComposedSceneMaker([words], side=320)
    first = [sample(one, number, 5) for number in (0, 1, 2)]
    again = [sample(other, number, 5) for number in (2, 1, 0)][::-1]
    for a, b in zip(first, again, strict=True):
        assert a.image is not None and b.image is not None
        assert a.image.tobytes() == b.image.tobytes() and a.turns == b.turns and a.details == b.details
    assert len({made.answer for made in first}) == 3


def test_answers_say_what_was_drawn_and_where(words: Path) -> None:
    maker = ComposedSceneMaker([words], side=400)
    prompts = set()
    for number in range(8):
        made = sample(maker, number)
        assert made.image is not None and made.regions
        prompts.add(made.prompt)
        texts = [region.text for region in made.regions]
        assert all(text.lower() in TEXT.lower().replace("\n", " ") for text in texts)
        for region in made.regions:
            box = region.box
            assert 0 <= box.x0 < box.x1 <= made.image.width and 0 <= box.y0 < box.y1 <= made.image.height
            shades = np.asarray(
                made.image.crop((int(box.x0), int(box.y0), int(box.x1), int(box.y1))).convert("L")
            )
            assert np.ptp(shades) > 30  # it can be seen
        if made.prompt == PROMPTS["ocr"]:
            blocks = parse(made.answer, *made.image.size, prompt="ocr")
            assert len(blocks) == len(texts) and [block.text for block in blocks] == texts
        else:
            assert made.answer == "\n".join(texts)
    assert prompts == {PROMPTS["ocr"], PROMPTS["text"]}


def test_no_glyph_is_missing() -> None:
    from fontTools.ttLib import TTFont

    for number, word in enumerate(["Straße", "река", "漢字", "x²"]):
        face = art.face_for(word, dice("test", number, 0))
        if face is None:
            continue  # no installed font has it
        with TTFont(face.path, fontNumber=face.index, lazy=True) as font:
            assert {ord(letter) for letter in word} <= set(font.getBestCmap())
    assert art.face_for("\U0010fffd", dice("test", 0, 0)) is None
    assert art.is_simple("Straße,") and not art.is_simple("مرحبا") and not art.is_simple("นี้")


def test_photographs_are_labelled(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    image = Image.new("RGB", (600, 300), (90, 120, 90))
    ImageDraw.Draw(image).text((60, 110), "OPEN AT NINE", fill="white", font=ImageFont.load_default(60))
    image.save(tmp_path / "a.png")
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    maker = SceneMaker(tmp_path, annotator=RapidAnnotator())
    assert maker.size == 3
    made = sample(maker, 0)
    assert [region.text for region in made.regions] == ["OPEN AT NINE"]
    assert made.regions[0].box.x0 == pytest.approx(60, abs=15)
    assert maker.make(1, 0) == Skipped("scene", "b.png", "no text that the annotator reads", 1)
    broken = maker.make(2, 0)
    assert isinstance(broken, Skipped) and "c.png" in broken.reason and str(tmp_path) not in broken.reason


def test_lines_are_put_in_reading_order() -> None:
    found = [
        Region("line", Box(10, 60, 90, 80), "third"),
        Region("line", Box(60, 10, 120, 30), "second"),
        Region("line", Box(5, 11, 50, 29), "first <|ref|>"),
    ]
    assert [region.text for region in in_order(found, (200, 100))] == ["first < |ref|>", "second", "third"]


def test_what_a_user_can_do_wrong(tmp_path: Path, words: Path) -> None:
    with pytest.raises(OptionError, match="words"):
        ComposedSceneMaker([])
    with pytest.raises(OptionError, match="320"):
        ComposedSceneMaker([words], side=10)
    with pytest.raises(SourceNotFound):
        SceneMaker(tmp_path / "empty" if (tmp_path / "empty").mkdir() is None else tmp_path)
