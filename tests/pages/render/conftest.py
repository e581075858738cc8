"""Fonts that tests draw with: a test is skipped where one is not installed."""

from collections.abc import Callable

import pytest

pytest.importorskip("uharfbuzz")
fonts = pytest.importorskip("foveate.pages.render.fonts")


@pytest.fixture
def needs() -> Callable[[str], None]:
    """Skips the test unless the characters can all be drawn."""

    def check(text: str) -> None:
        if not fonts.families():
            pytest.skip("needs fonts")
        letters = {char for char in text if not char.isspace()}
        faces = [fonts.open_face(font) for font in fonts.chain(("Noto Serif",), False, False, "")]
        if not all(any(face.covers(letter) for face in faces) for letter in sorted(letters)):
            pytest.skip("needs fonts for these letters, such as Debian's fonts-noto-core and fonts-noto-cjk")

    return check
