"""Damages: none at strength 0, the same for the same dice, and boxes that move along."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from foveate.data.degrade import DAMAGES, GEOMETRIC, degrade, draw_strengths
from foveate.data.sample import Region
from foveate.document import Box
from foveate.errors import OptionError

BOX = Box(60, 40, 120, 52)


def page(mode: str = "L") -> Image.Image:
    image = Image.new(mode, (200, 240), "white")
    ImageDraw.Draw(image).rectangle((60, 40, 119, 51), fill="black")
    return image


def dice() -> np.random.Generator:
    return np.random.default_rng(5)


def test_strength_zero_changes_nothing() -> None:
    done = degrade(page(), [Region("word", BOX)], dict.fromkeys(DAMAGES, 0.0), dice())
    assert done.image.tobytes() == page().tobytes()
    assert done.regions == (Region("word", BOX),) and done.strengths == {}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_each_damage_shows_and_is_repeatable(name: str, mode: str) -> None:
    one, other = (degrade(page(mode), [], {name: 0.8}, dice()) for _ in range(2))
    assert one.image.tobytes() == other.image.tobytes() != page(mode).tobytes()
    assert one.image.mode == mode and one.strengths == {name: 0.8}
    mild = degrade(page(mode), [], {name: 0.1}, dice()).image
    if name not in GEOMETRIC:
        strong, weak = (np.abs(np.asarray(image, float) - page(mode)).mean() for image in (one.image, mild))
        assert strong > weak


@pytest.mark.parametrize("name", sorted(GEOMETRIC))
@pytest.mark.parametrize("seed", range(4))
def test_boxes_move_with_the_ink(name: str, seed: int) -> None:
    done = degrade(page(), [Region("word", BOX)], {name: 1.0}, np.random.default_rng(seed))
    (region,) = done.regions
    ys, xs = np.nonzero(np.asarray(done.image) < 40)  # darker than any table
    assert region.box != BOX
    ink = Box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    for edge in ("x0", "y0", "x1", "y1"):
        assert getattr(region.box, edge) == pytest.approx(getattr(ink, edge), abs=1.6)


def test_a_skewed_page_is_still_whole() -> None:
    image = Image.new("L", (100, 300), 255)
    image.paste(0, (0, 0, 8, 8))
    image.paste(0, (92, 292, 100, 300))
    done = degrade(image, [], {"skew": 1.0}, dice()).image
    assert done.width > 100 and (np.asarray(done) < 128).sum() == pytest.approx(128, abs=16)


def test_damages_have_dice_of_their_own() -> None:
    alone = degrade(page(), [], {"noise": 0.5}, dice()).image
    beside = degrade(page(), [], {"noise": 0.5, "spread": 0.0, "skew": 0.0}, dice()).image
    assert alone.tobytes() == beside.tobytes()


def test_drawn_strengths() -> None:
    rng = dice()
    for _ in range(200):
        drawn = draw_strengths(rng, most=0.5)
        assert set(drawn) <= set(DAMAGES) and all(0 < strength <= 0.5 for strength in drawn.values())
        assert not drawn.keys() >= GEOMETRIC


@pytest.mark.parametrize("wrong", [{"coffee": 0.5}, {"blur": 1.5}, {"blur": -0.1}])
def test_wrong_strengths_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        degrade(page(), [], wrong, dice())
