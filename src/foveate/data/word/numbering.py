"""The numbers and bullets that Word draws before a list's items."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from foveate.data.word.package import Element, W, value

_DEEPEST = 9


@dataclass(frozen=True)
class _Level:
    form: str  # "decimal", "bullet", "lowerLetter", …
    text: str  # with %1 for the number of the first level
    start: int


class Numbering:
    """Counts the items of a document's lists."""

    def __init__(self, root: Element | None) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}
        self._abstract: dict[str, str] = {}
        self._counts: dict[str, list[int | None]] = {}
        if root is None:
            return
        abstract = {
            value(one, "abstractNumId") or "": {
                number: level for each in one.findall(f"{W}lvl") for number, level in [_level(each)]
            }
            for one in root.findall(f"{W}abstractNum")
        }
        for num in root.findall(f"{W}num"):
            name = value(num, "numId") or ""
            kind = value(num.find(f"{W}abstractNumId")) or ""
            levels = dict(abstract.get(kind, {}))
            own = kind
            for override in num.findall(f"{W}lvlOverride"):
                number = _number(value(override, "ilvl"))
                start = value(override.find(f"{W}startOverride"))
                if start is not None and number in levels:
                    own = f"num {name}"  # such a list counts by itself
                    before = levels[number]
                    levels[number] = _Level(before.form, before.text, _number(start))
            self._levels[name] = levels
            self._abstract[name] = own

    def marker(self, name: str, depth: int) -> str | None:
        """What stands before the next item of a list; None for a list that is not defined."""
        levels = self._levels.get(name)
        depth = min(max(depth, 0), _DEEPEST - 1)
        if not levels or depth not in levels:
            return None
        counts = self._counts.setdefault(self._abstract[name], [None] * _DEEPEST)
        before = counts[depth]
        counts[depth] = levels[depth].start if before is None else before + 1
        counts[depth + 1 :] = [None] * (_DEEPEST - depth - 1)
        level = levels[depth]
        if level.form == "bullet":
            return "-"
        if level.form == "none":
            return ""

        def number(match: re.Match[str]) -> str:
            place = int(match.group(1)) - 1
            of = levels.get(place, level)
            count = counts[place]
            return _FORMS.get(of.form, str)(of.start if count is None else count)

        return re.sub(r"%([1-9])", number, level.text)


def _level(element: Element) -> tuple[int, _Level]:
    form = value(element.find(f"{W}numFmt")) or "decimal"
    text = value(element.find(f"{W}lvlText")) or ""
    start = value(element.find(f"{W}start"))
    return _number(value(element, "ilvl")), _Level(form, text, _number(start) if start else 1)


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[0-9]{1,6}", text) else 0


def _letters(number: int) -> str:
    """1 is a, 27 is aa, as Word counts."""
    if number < 1:
        return ""
    return chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 9)


def _roman(number: int) -> str:
    if not 0 < number < 4000:
        return str(number)
    written = ""
    signs = ("m", 1000), ("cm", 900), ("d", 500), ("cd", 400), ("c", 100), ("xc", 90), ("l", 50)
    for sign, worth in (*signs, ("xl", 40), ("x", 10), ("ix", 9), ("v", 5), ("iv", 4), ("i", 1)):
        written += sign * (number // worth)
        number %= worth
    return written


_FORMS: dict[str, Callable[[int], str]] = {
    "decimal": str,
    "decimalZero": lambda number: f"{number:02d}",
    "lowerLetter": _letters,
    "upperLetter": lambda number: _letters(number).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
}
