"""Draws the page that `make demo` reads: src/foveate/assets/demo/page.png, and page.txt with what it says.

Needs the DejaVu fonts (Debian: fonts-dejavu-core); the page is committed, so nobody else does.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parents[1] / "src" / "foveate" / "assets" / "demo"
SIDE, MARGIN = 512, 28  # pixels
HEADING = ("Pages", "DejaVuSans-Bold.ttf", 72)  # text, font, pixels
BODY = ("DejaVuSans.ttf", 56)
LEADING = 84  # pixels from line to line
LINES = (
    "A page becomes",
    "a picture, and",
    "the picture is",
    "read again.",
)


def draw_page() -> Image.Image:
    """The page: a heading and a few lines of large print, black on white."""
    page = Image.new("L", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(page)
    heading, font, size = HEADING
    pen.text((MARGIN, MARGIN), heading, fill="black", font=ImageFont.truetype(font, size))
    body = ImageFont.truetype(*BODY)
    for number, line in enumerate(LINES):
        pen.text((MARGIN, MARGIN + 112 + number * LEADING), line, fill="black", font=body)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    draw_page().save(folder / "page.png", optimize=True)
    (folder / "page.txt").write_text("\n".join((HEADING[0], "", *LINES)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
