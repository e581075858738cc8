"""A store's settings: fixed when it is made, kept in its index."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from foveate.errors import OptionError
from foveate.memory.index import Index
from foveate.pages.mode import AUTO, get_mode
from foveate.pages.prompts import resolve_prompt

if TYPE_CHECKING:
    from foveate.pages.render import Style

CHOICES = {"vision": ("none", "bf16", "int8"), "keep_text": ("sharp", "always", "never")}
DEFAULTS: dict[str, Any] = {
    "style": {"width": 1024, "height": 1024, "size": 14.0, "margins": [24, 24, 24, 24]},
    "mode": AUTO,
    "prompt": "text",
    "vision": "none",
    "keep_text": "sharp",
}


def settle(index: Index, style: Style | str | None, **others: str | None) -> dict[str, Any]:
    """The settings of a store; those that are asked for where it has none yet. Raises `OptionError`."""
    asked = _checked({name: value for name, value in others.items() if value is not None})
    if isinstance(style, str):
        from foveate.pages.render import styles

        style = styles.get(style, None if asked.get("mode", AUTO) == AUTO else asked["mode"])
    if style is not None:
        asked["style"] = json.loads(json.dumps(asdict(style)))
    found = _read(index)
    if not found:
        with index.writing() as connection:
            if not (found := _read(index)):
                found = DEFAULTS | asked
                rows = [(name, json.dumps(value)) for name, value in found.items()]
                connection.executemany("INSERT INTO settings VALUES (?, ?)", rows)
    for name, value in asked.items():
        same = style_of(asked) == style_of(found) if name == "style" else found.get(name) == value
        if not same:
            shown = "in another style" if name == "style" else f"with {name} = {found.get(name)!r}"
            raise OptionError(f"this memory was made {shown}: leave {name} out, or make another memory")
    return found


def style_of(settings: dict[str, Any]) -> Style:
    """The style that the settings hold; measures that an older foveate did not know have their defaults."""
    from foveate.pages.render.style import Style

    known = {field.name for field in fields(Style)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings["style"].items()
        if name in known
    }
    return Style(**values)


def _checked(asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("mode", AUTO) != AUTO:
        asked["mode"] = get_mode(asked["mode"]).name
    resolve_prompt(asked.get("prompt", DEFAULTS["prompt"]))
    for name, choices in CHOICES.items():
        if asked.get(name, choices[0]) not in choices:
            raise OptionError(f"{name} is {asked[name]!r}: choose from {', '.join(choices)}")
    return asked


def _read(index: Index) -> dict[str, Any]:
    rows = index.connection.execute("SELECT key, value FROM settings")
    return {name: json.loads(value) for name, value in rows}
