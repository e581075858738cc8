"""Pages to read: a file of truths with its pictures, and plain pages set from text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foveate.data.passages import TextSource, open_source
from foveate.errors import OptionError, SourceNotFound
from foveate.evaluation.run import Case, read_lines, whole_letters
from foveate.pages.mode import get_mode
from foveate.pages.render import Style, render
from foveate.pages.source import open_pages

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
CROWDED = 0.45  # of the em: a letter's mean width in a text face


@dataclass(frozen=True)
class Sheet:
    """A page and what stands on it."""

    image: Image.Image
    text: str


def plain_style(mode: str = "small", size: float = 16.0) -> Style:
    """Black on white, one column, a page as large as the mode sees it. `size` of the em in pixels."""
    side = get_mode(mode).side
    margin = round(side * 0.06)
    return Style(
        width=side, height=side, margins=(margin, margin, margin, margin), size=size, fonts=("Noto Sans",)
    )


def capacity(style: Style) -> int:
    """Characters of Latin text that fill the style's page, about."""
    width = style.columns * style.column_width / (CROWDED * style.size)
    height = (style.height - style.margins[1] - style.margins[3]) / (style.leading * style.size)
    return max(1, int(width * height))


def set_page(text: str, style: Style) -> Sheet:
    """The text's first page; what does not fit is left out of both."""
    page = render(text, style, limit=1)[0]
    return Sheet(page.image, " ".join(page.text.split()))


def pick_sheets(source: TextSource, count: int, style: Style, seed: int) -> Iterator[Sheet]:
    """So many full pages from places of their own in a text."""
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        yield set_page(pick_text(source, rng, round(1.5 * capacity(style))), style)


def pick_text(source: TextSource, rng: np.random.Generator, characters: int) -> str:
    """About so many characters from a random place, in one paragraph. Raises `OptionError` for no text."""
    for _ in range(20):
        passage = source.pick(rng, characters)
        text = " ".join(" ".join(passage.paragraphs).split())
        if len(text) >= characters // 2:
            return text
    raise OptionError(f"there is no stretch of {characters} characters in the text: give a longer file")


def make_pages(text: Path, folder: Path, count: int, style: Style, seed: int) -> Path:
    """Fills a folder with pictures, and pages.jsonl with their texts. Returns the path of that file."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, sheet in enumerate(pick_sheets(open_source(text), count, style, seed)):
        name = f"page-{number:03d}.png"
        sheet.image.save(folder / name)
        lines.append(json.dumps({"id": name[:-4], "image": name, "text": sheet.text}, ensure_ascii=False))
    path = folder / "pages.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# Pages of a file


def read_truths(path: Path, folder: Path) -> list[Case]:
    """The cases of a JSONL file, one `{"id", "text"}` a line, with pictures in a folder.

    A line may name its picture as `image`; without that it is the id with a picture's suffix.
    """
    cases = []
    for number, line in enumerate(read_lines(path), 1):
        if not isinstance(line.get("id"), str | int) or not isinstance(line.get("text"), str):
            raise OptionError(f'{path}, page {number}: write {{"id": …, "text": …}} on each line')
        picture = find_picture(folder, str(line.get("image") or line["id"]))
        labels = {name: line[name] for name in line if name not in ("id", "text", "image")}
        cases.append(
            Case(str(line["id"]), opener(picture), whole_letters(line["text"]), str(picture), labels)
        )
    return cases


def folder_cases(folder: Path) -> list[Case]:
    """Every picture of a folder, without truths."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    if not found:
        raise SourceNotFound(f"{folder} holds no pictures: give a folder of PNG or JPEG files")
    return [Case(path.name, opener(path), picture=str(path)) for path in found]


def find_picture(folder: Path, name: str) -> Path:
    """The picture of that name in a folder, with its suffix or without. Raises `SourceNotFound`."""
    plain = Path(name)
    if plain.is_absolute() or ".." in plain.parts:
        raise OptionError(f"{name!r} leaves the folder of pictures")
    for suffix in ("", *PICTURES):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise SourceNotFound(f"{folder} holds no picture named {name}: check the folder")


def opener(path: Path) -> Callable[[], Image.Image]:
    """Opens a picture file when its turn comes."""
    return lambda: next(open_pages(path)).image


def with_labels(case: Case, **labels: Any) -> Case:
    """The case with more labels."""
    return replace(case, labels={**case.labels, **labels})
