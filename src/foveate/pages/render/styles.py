"""Styles with names and purposes, and styles as files.

    style = styles.get("dense-10x").for_mode("base")     # or styles.get("my-style.toml")
    styles.save(style, Path("my-style.toml"))

A file is TOML, or JSON by its suffix: a field of `Style` a line. `base` names the style that it starts from,
a length may be a number of pixels or text such as "9pt" or "210mm" at the style's dpi, a colour is "#rrggbb"
or three numbers, one margin stands for all four:

    base = "readable"
    size = "9pt"
    margins = "10mm"
    ink = "#202020"
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from foveate.errors import CorruptSource, OptionError, SourceNotFound
from foveate.pages.mode import get_mode
from foveate.pages.render.style import Colour, Style

_INCH = {"pt": 72.0, "mm": 25.4, "cm": 2.54, "in": 1.0}
_LENGTHS = ("width", "height", "gutter", "size")
_COLOURS = ("ink", "paper", "heading_ink", "code_paper")
_LISTS = ("fonts", "code_fonts")
LARGEST_FILE = 1 << 20  # bytes


@dataclass(frozen=True)
class NamedStyle:
    """A style and what it is for."""

    name: str
    purpose: str
    style: Style


# Widths of letters decide how much text a page holds: one plain face first, what stands in for it after that.
_SANS = ("DejaVu Sans", "Verdana", "Noto Sans")
_NARROW = ("Liberation Sans Narrow", "Arial Narrow", "Noto Sans", "DejaVu Sans")

STYLES: dict[str, NamedStyle] = {
    named.name: named
    for named in (
        NamedStyle(
            "readable",
            "pages for people, and for readers that need large type",
            Style(
                margins=(40, 40, 40, 40),
                size=18.0,
                leading=1.35,
                fonts=("Noto Sans", "DejaVu Sans"),
                paragraph_gap=0.6,
            ),
        ),
        NamedStyle(
            "dense-10x",
            "about ten text tokens for each vision token of DeepSeek-OCR's modes, in English",
            Style(
                margins=(12, 12, 12, 12),
                size=12.0,
                leading=1.1,
                fonts=_NARROW,
                align="justified",
                paragraph_gap=0.0,
                line_breaks="marked",
            ),
        ),
        NamedStyle(
            "glyph-96dpi",
            "A4 at 96 dpi in 9 pt type with 10 pt lines, as Glyph (arXiv:2510.17800) sets its pages",
            Style(
                width=794,
                height=1123,
                margins=(13, 13, 13, 13),
                size=12.0,
                leading=10 / 9,
                fonts=_SANS,
                align="left",
                paragraph_gap=0.0,
                line_breaks="marked",
                dpi=96.0,
            ),
        ),
    )
}


def get(name: str, mode: str | None = None) -> Style:
    """The style of that name, or of that file; on a page of the mode's size if one is given.

    Raises `OptionError`, `SourceNotFound`, `CorruptSource` or `UnknownMode`.
    """
    if name in STYLES:
        style = STYLES[name].style
    elif Path(name).suffix.lower() in (".toml", ".json") or os.sep in name:
        style = load(Path(name))
    else:
        raise OptionError(f"{name!r} is not a style: choose {', '.join(STYLES)}, or a .toml or .json file")
    return style if mode is None else style.for_mode(mode)


def load(path: Path) -> Style:
    """The style of a file."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise SourceNotFound(f"{path} cannot be read ({problem.strerror}): check the path") from problem
    if len(content) > LARGEST_FILE:
        raise CorruptSource(f"{path} is no style: it has {len(content):,} bytes")
    try:
        text = content.decode("utf-8-sig")
        values = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        raise CorruptSource(f"{path} cannot be parsed ({problem}): write it as TOML or JSON") from problem
    if not isinstance(values, dict):
        raise CorruptSource(f"{path} is no style: write a field a line, such as size = 12")
    try:
        return from_dict(values)
    except OptionError as problem:
        raise OptionError(f"{path}: {problem}") from problem


def save(style: Style, path: Path, note: str = "") -> None:
    """Writes a style that `load` gives back. The file appears whole or not at all."""
    values = to_dict(style)
    if path.suffix.lower() == ".json":
        content = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    else:
        lines = [f"# {line}" for line in note.splitlines()]
        content = "\n".join([*lines, *(f"{key} = {_toml(value)}" for key, value in values.items())]) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(content, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def to_dict(style: Style) -> dict[str, Any]:
    """Every field that has a value, as TOML and JSON know them."""
    values: dict[str, Any] = {}
    for item in fields(Style):
        value = getattr(style, item.name)
        if value is None:
            continue
        if item.name in _COLOURS:
            value = "#{:02x}{:02x}{:02x}".format(*value)
        values[item.name] = list(value) if isinstance(value, tuple) else value
    return values


def from_dict(values: Mapping[str, Any]) -> Style:
    """The style of these fields. Raises `OptionError` for one that is unknown or of another kind."""
    rest = dict(values)
    base = rest.pop("base", None)
    if base is not None and base not in STYLES:
        raise OptionError(f"base is {base!r}: choose from {', '.join(STYLES)}")
    style = STYLES[base].style if base is not None else Style()
    known = {item.name for item in fields(Style)}
    for key in rest:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(sorted(known))}"
            raise OptionError(f"{key!r} is no field of a style: {hint}")
    dpi = _number("dpi", rest.get("dpi", style.dpi))
    return replace(style, **{key: _value(key, value, style, dpi) for key, value in rest.items()})


def _value(key: str, value: Any, style: Style, dpi: float) -> Any:
    """A field's value in its own type."""
    if key in _LENGTHS:
        length = _length(key, value, dpi)
        return length if key == "size" else round(length)
    if key == "margins":
        sides = value if isinstance(value, list | tuple) else [value] * 4
        if len(sides) != 4:
            raise OptionError("margins are one length or four: left, top, right, bottom")
        return tuple(round(_length(key, side, dpi)) for side in sides)
    if key in _COLOURS:
        return _colour(key, value)
    if key in _LISTS:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise OptionError(f"{key} is a list of families, such as ['Noto Sans']")
        return tuple(names)
    old = getattr(style, key)
    if isinstance(old, float):
        return _number(key, value)
    if type(value) is not type(old):
        raise OptionError(f"{key} is {value!r}: it should be {_KINDS[type(old)]}")
    return value


_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", str: "text"}


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionError(f"{key} is {value!r}: it should be a number")
    return float(value)


_LENGTH = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(px|pt|mm|cm|in)\s*")


def _length(key: str, value: Any, dpi: float) -> float:
    """Pixels."""
    if isinstance(value, str):
        match = _LENGTH.fullmatch(value)
        if match is None:
            raise OptionError(f"{key} is {value!r}: write pixels, or a length such as '9pt' or '10mm'")
        number, unit = float(match[1]), match[2]
        return number if unit == "px" else number / _INCH[unit] * dpi
    number = _number(key, value)
    if not -1e9 < number < 1e9:
        raise OptionError(f"{key} is {value}: no page is so large")
    return number


def _colour(key: str, value: Any) -> Colour:
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        red, green, blue = bytes.fromhex(value[1:])
        return red, green, blue
    if isinstance(value, list | tuple) and len(value) == 3 and all(type(part) is int for part in value):
        red, green, blue = value
        return red, green, blue
    raise OptionError(f"{key} is {value!r}: write a colour such as '#202020' or [32, 32, 32]")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):  # TOML's basic strings are JSON's, but for this one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


@dataclass(frozen=True)
class Density:
    """What a page of a style holds in a mode, measured. Means over full pages."""

    style: str
    mode: str
    characters: float
    text_tokens: float
    vision_tokens: int

    @property
    def ratio(self) -> float:
        """Text tokens for each vision token."""
        return self.text_tokens / self.vision_tokens


def density(name: str, mode: str, text: str, count: Callable[[str], int], pages: int = 5) -> Density:
    """What the style's pages hold of a text. Raises `OptionError` when the text does not fill one."""
    from foveate.pages.render import render

    style = get(name, mode)
    filled = render(text, style, limit=pages + 1)[:-1]
    if not filled:
        raise OptionError(f"the text does not fill a page of {name} in {mode}: give a longer one")
    texts = [page.text for page in filled]
    vision = get_mode(mode).layout(style.width, style.height).vision_tokens
    return Density(
        name,
        mode,
        sum(map(len, texts)) / len(texts),
        sum(map(count, texts)) / len(texts),
        vision,
    )
