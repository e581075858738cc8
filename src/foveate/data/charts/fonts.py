"""The fonts that matplotlib carries: the same on every machine."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import ImageFont

from foveate.errors import OptionError


@cache
def font_folder() -> Path:
    """Where they lie; raises `OptionError` where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise OptionError("drawing needs matplotlib and its fonts: pip install 'foveate[data]'") from None
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@cache
def face(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font by its file's name without the ending, `size` in pixels."""
    # Shaping is left out: it costs time, and is present on some machines only.
    return ImageFont.truetype(font_folder() / f"{name}.ttf", size, layout_engine=ImageFont.Layout.BASIC)
