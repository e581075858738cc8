"""Draws the page that `make demo` reads: src/foveate/assets/demo/page.png, and page.txt with what it says.

Needs the DejaVu fonts (Debian: fonts-dejavu-core); the page is committed, so nobody else does.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parents[1] / "src" / "foveate" / "assets" / "demo"
SIDE, MARGIN = 512, 28  # pixels
HEADING = ("What foveate does", "DejaVuSans-Bold.ttf", 38)  # text, font, pixels
BODY = ("DejaVuSans.ttf", 32)
LINES = (
    "A page of text becomes",
    "an image. The image",
    "becomes a few tokens.",
    "The tokens become text",
    "again. One picture can",
    "hold many words.",
)


def draw_page() -> Image.Image:
    """The page: a heading and a few lines of large print, black on white."""
    page = Image.new("L", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(page)
    heading, font, size = HEADING
    pen.text((MARGIN, MARGIN), heading, fill="black", font=ImageFont.truetype(font, size))
    body = ImageFont.truetype(*BODY)
    for number, line in enumerate(LINES):
        pen.text((MARGIN, MARGIN + 88 + number * 60), line, fill="black", font=body)
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
