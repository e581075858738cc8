"""Set a page in every language of a file of many and write the table of what drew it: docs/languages.md.

    python scripts/languages.py ../shared/corpus/mul-udhr.txt.xz --out docs/languages.md

A language counts when its whole text was set and no glyph was missing. Every page is checked: the characters
that its words cover must give the text back.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from foveate.data.passages import read_declarations
from foveate.pages.render import RenderedPage, Style, fonts, render

HEAD = """# Languages

`scripts/languages.py` set {documents} declarations of human rights ({file}), each as a whole, on pages of
{width} x {height} pixels in {size:g}-pixel type. **{languages} languages** in {whole} declarations came out
with no glyph missing{without}.
On every page the words' places gave the text back, character by character.

The fonts are those of the machine that wrote this table: Debian's `fonts-noto-core`, `fonts-noto-cjk`,
`fonts-noto-extra` and what else was installed. A family is named when it drew part of the text; signs that
the first one lacks come from the next.

| code | language | pages | characters | missing glyphs | fonts |
|---|---|--:|--:|--:|---|
"""


@dataclass(frozen=True)
class Row:
    """One declaration's pages."""

    code: str
    language: str
    pages: int
    characters: int
    missing: str
    fonts: tuple[str, ...]

    def __str__(self) -> str:
        signs = ", ".join(f"U+{ord(char):04X}" for char in self.missing[:4])
        lost = f"{len(self.missing)}, such as {signs}: no installed font has them" if self.missing else "0"
        return (
            f"| {self.code} | {self.language} | {self.pages} | {self.characters} | {lost} "
            f"| {', '.join(self.fonts)} |"
        )


def shown(pages: list[RenderedPage], text: str) -> bool:
    """Whether the words' places cover the text's characters, each once and in order."""
    spans = [word.span for page in pages for word in page.words if word.span is not None]
    said = "".join(text[start:end] for start, end in spans)
    return "".join(said.split()) == "".join(text.split())


def row(code: str, language: str, text: str, style: Style) -> Row:
    """Set a declaration and look at what came out."""
    pages = render(text, style)
    if not shown(pages, text):
        raise SystemExit(f"{code}: the pages do not say the text")
    count = Counter(family for page in pages for family in page.fonts)
    missing = "".join(sorted({char for page in pages for char, _ in page.missing}))
    used = tuple(family for family, _ in count.most_common())
    return Row(code, language, len(pages), len(text), missing, used)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, default=None, help="without it the table is printed")
    parser.add_argument("--pages", type=Path, default=None, help="folder for the first page of each")
    parser.add_argument("--font", default="Noto Serif")
    options = parser.parse_args()
    fonts.families()
    style = Style(size=16, align="justified", fonts=(options.font,))
    began = time.process_time()
    rows = []
    for tags, text in read_declarations(options.file):
        own = Style(size=16, align="justified", fonts=(options.font,), language=tags.language)
        rows.append(row(tags.code, tags.language, text, own))
        if options.pages is not None:
            options.pages.mkdir(parents=True, exist_ok=True)
            render(text, own, limit=1)[0].image.save(options.pages / f"{tags.code}.png")
    whole = [each for each in rows if not each.missing]
    lacking = len(rows) - len(whole)
    head = HEAD.format(
        file=f"`{options.file.name}`",
        documents=len(rows),
        width=style.width,
        height=style.height,
        size=style.size,
        languages=len({each.language for each in whole} - {"und", ""}),
        whole=len(whole),
        without=f"; {lacking} with signs that no installed font has does not count" if lacking else "",
    )
    table = head + "\n".join(map(str, rows)) + "\n"
    if options.out is None:
        print(table)
    else:
        options.out.write_text(table, encoding="utf-8")
    pages = sum(each.pages for each in rows)
    print(
        f"{len(rows)} declarations, {pages} pages in {time.process_time() - began:.0f} s, {lacking} lacking"
    )


if __name__ == "__main__":
    main()
