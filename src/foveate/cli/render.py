"""`foveate render`: text in, pages and the places of its words out."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.cli import options as shared
from foveate.errors import CorruptSource, OptionError, SourceNotFound, SourceTooLarge

if TYPE_CHECKING:
    from foveate.pages.render import RenderedPage, Style
    from foveate.pages.render.pdf_file import PdfFile

STDIN = "-"
MARKDOWN = (".md", ".markdown")
MOST_BYTES = 64 << 20
SPANS = "spans.json"
PAGE_FILE = re.compile(r"page-[0-9]{4,}\.png")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "render",
        help="set text on pages",
        description="Sets a text or Markdown file on pages: a PNG each, and spans.json, which says where on "
        "which page each stretch of the text stands. No character is lost.",
        epilog="foveate render --list shows the styles. A style's file is TOML or JSON; foveate tune finds "
        "one for a reader.",
    )
    add = parser.add_argument
    add("file", metavar="FILE", nargs="?", help="text or Markdown in UTF-8; - for standard input")
    add("--out", metavar="DIR", type=Path, help="folder of the pages")
    add("--style", metavar="NAME|FILE", default="readable", help="(default: readable)")
    add(
        "--mode", metavar="NAME", help="pages that this mode sees pixel for pixel: tiny, small, base, large …"
    )
    add("--dpi", metavar="N", type=shared.whole_number(1), help="the same page with more or fewer pixels")
    add("--lines", choices=("kept", "marked", "joined"), help="what line ends become (default: the style's)")
    add("--language", metavar="TAG", help="such as ja: chooses among shapes of Chinese characters")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--markdown", action="store_true", help="headings, lists, tables and emphasis are set")
    kind.add_argument("--plain", action="store_true", help="the text as it stands, also of a .md file")
    add("--words", action="store_true", help="also the place of every word")
    add("--pdf", metavar="FILE", type=Path, help="also one PDF of the pages")
    add("--list", action="store_true", help="print the styles and what they are for, and render nothing")
    add("--quiet", action="store_true", help="no summary, only problems")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Renders. Returns the exit code."""
    from foveate.pages.render import styles

    if options.list:
        for named in styles.STYLES.values():
            print(f"{named.name:<14}{named.purpose}")
        return 0
    if options.file is None or options.out is None:
        raise OptionError("say what to render and where: foveate render FILE --out DIR")
    if options.mode is not None and options.dpi is not None:
        raise OptionError("a mode has its own size of pages: leave out --mode or --dpi")
    text = read_text(options.file)
    style = _style(options)
    started = time.perf_counter()
    spans = Pages(text, style, options).write()
    if not options.quiet:
        print(_summary(spans, time.perf_counter() - started), file=sys.stderr)
    return 0


def read_text(source: str) -> str:
    """The text of a file, or of standard input. Raises `InputError` for what is no text."""
    if source == STDIN:
        content = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        try:
            with open(source, "rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as problem:
            raise SourceNotFound(f"{source} cannot be read ({problem.strerror}): check the path") from problem
    if len(content) > MOST_BYTES:
        raise SourceTooLarge(f"{source} has more than {MOST_BYTES >> 20} MiB: split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise CorruptSource(
            f"{source} is not UTF-8 (byte {problem.start}): convert it, with iconv for instance"
        ) from problem
    if not text.strip():
        raise CorruptSource(f"{source} holds no text: give a file with some")
    return text


def _style(options: argparse.Namespace) -> "Style":
    from dataclasses import replace

    from foveate.pages.render import styles

    style = styles.get(options.style, options.mode)
    if options.dpi is not None:
        style = style.at(options.dpi)
    markdown = options.markdown or (not options.plain and Path(options.file).suffix.lower() in MARKDOWN)
    changes: dict[str, Any] = {"markdown": markdown} if markdown or options.plain else {}
    changes |= {"line_breaks": options.lines} if options.lines else {}
    changes |= {"language": options.language} if options.language else {}
    return replace(style, **changes)


class Pages:
    """The pages of a text, and the files that they go to."""

    def __init__(self, text: str, style: "Style", options: argparse.Namespace) -> None:
        self._text, self._style, self._options = text, style, options
        self._folder: Path = options.out

    def write(self) -> dict[str, Any]:
        """Writes PNGs, spans and the PDF. Returns what is in spans.json, which is written last."""
        from foveate.pages.render import render_pages, styles
        from foveate.pages.render.pdf_file import PdfFile

        self._folder.mkdir(parents=True, exist_ok=True)
        before = self._pages_of_before()
        rows = []
        with ExitStack() as stack:
            pdf = None
            if self._options.pdf is not None:
                self._options.pdf.parent.mkdir(parents=True, exist_ok=True)
                pdf = stack.enter_context(PdfFile(self._options.pdf, self._style.dpi))
            for number, page in enumerate(render_pages(self._text, self._style), 1):
                rows.append(self._page(number, page, pdf))
        spans = {
            "source": self._options.file,
            "characters": len(self._text),
            "style": styles.to_dict(self._style),
            "mode": self._options.mode,
            "pages": rows,
        }
        for name in before - {row["file"] for row in rows}:
            (self._folder / name).unlink(missing_ok=True)
        temporary = self._folder / f".{SPANS}.{os.getpid()}"
        temporary.write_text(json.dumps(spans, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, self._folder / SPANS)
        return spans

    def _pages_of_before(self) -> set[str]:
        """The files of an earlier run that its spans.json names: those that are too many now must go."""
        try:
            rows = json.loads((self._folder / SPANS).read_text(encoding="utf-8"))["pages"]
            return {row["file"] for row in rows if PAGE_FILE.fullmatch(row["file"])}
        except (OSError, ValueError, LookupError, TypeError):
            return set()

    def _page(self, number: int, page: "RenderedPage", pdf: "PdfFile | None") -> dict[str, Any]:
        name = f"page-{number:04d}.png"
        page.image.save(self._folder / name, dpi=(self._style.dpi, self._style.dpi))
        if pdf is not None:
            pdf.add(page.image)
        row: dict[str, Any] = {"file": name, "width": page.image.width, "height": page.image.height}
        row |= {"span": page.span, "lines": list(_places(page.lines))}
        if self._options.words:
            row["words"] = list(_places(page.words))
        if page.missing:
            row["missing"] = page.missing
        return row | self._tokens(page)

    def _tokens(self, page: "RenderedPage") -> dict[str, int]:
        from foveate.pages.mode import choose_mode
        from foveate.pages.text_tokens import estimate

        mode = choose_mode(self._options.mode or "auto", *page.image.size)
        vision = mode.layout(*page.image.size).vision_tokens
        return {"vision_tokens": vision, "text_tokens": estimate(page.text)}


def _places(parts: Any) -> Iterator[dict[str, Any]]:
    """Text, box and span of lines or words."""
    for part in parts:
        box = [round(side, 1) for side in (part.box.x0, part.box.y0, part.box.x1, part.box.y1)]
        yield {"text": part.text, "box": box, "span": part.span}


def _summary(spans: dict[str, Any], seconds: float) -> str:
    pages = spans["pages"]
    text, vision = (sum(page[name] for page in pages) for name in ("text_tokens", "vision_tokens"))
    missing = sum(len(page.get("missing", ())) for page in pages)
    line = (
        f"{len(pages)} {'page' if len(pages) == 1 else 'pages'} in {seconds:.1f} s: "
        f"about {text:,} text tokens, {vision:,} vision tokens, ratio {text / vision:.1f}"
    )
    return line + (f"; {missing} characters are in no installed font" if missing else "")
