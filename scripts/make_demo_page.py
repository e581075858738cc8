"""Draws the page that `make demo` reads: src/foveate/assets/demo/page.png, and page.txt with what it says.

Needs the DejaVu fonts (Debian: fonts-dejavu-core); the page is committed, so nobody else does.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parents[1] / "src" / "foveate" / "assets" / "demo"
SIDE, MARGIN = 512, 24  # pixels
HEADING = ("Pages that fade", "DejaVuSans-Bold.ttf", 34)  # text, font, pixels
BODY = ("DejaVuSans.ttf", 28)
LEADING = 42  # pixels from line to line
PARAGRAPHS = (
    (
        "A page of text becomes a",
        "picture. The picture becomes",
        "a few tokens, and a network",
        "reads them back as text.",
    ),
    ("Old pages may fade, as", "memories do: they cost less,", "and what they say is", "blurred."),
)


def draw_page() -> Image.Image:
    """The page: a heading and two paragraphs, black on white."""
    page = Image.new("L", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(page)
    heading, font, size = HEADING
    pen.text((MARGIN, MARGIN), heading, fill="black", font=ImageFont.truetype(font, size))
    body, top = ImageFont.truetype(*BODY), MARGIN + 60
    for paragraph in PARAGRAPHS:
        for line in paragraph:
            pen.text((MARGIN, top), line, fill="black", font=body)
            top += LEADING
        top += LEADING // 2
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    draw_page().save(folder / "page.png", optimize=True)
    texts = [HEADING[0], *("\n".join(paragraph) for paragraph in PARAGRAPHS)]
    (folder / "page.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
