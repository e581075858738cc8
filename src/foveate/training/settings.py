"""A recipe with other values, from `key=value` and from TOML; and a recipe as plain values."""

from __future__ import annotations

import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from foveate.config import OCRConfig
from foveate.errors import OptionError, SourceNotFound
from foveate.model.source import find_model
from foveate.training.recipes import Recipe

FIXED = {"name", "what", "released"}  # fields that nobody sets
OFF = ("none", "off", "false")


def override(recipe: Recipe, settings: Sequence[str] = (), file: Path | None = None) -> Recipe:
    """The recipe with a TOML file's values, and those of `key=value` over them.

    A key is a path of fields, such as optimiser.rate; a value is what TOML takes, or a bare word. Raises
    `OptionError` that names the key.
    """
    values = _from_file(file) if file is not None else {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise OptionError(f"{setting!r} is no setting: write key=value, such as optimiser.rate=1e-4")
        _put(values, key.strip().split("."), _parsed(text.strip()))
    changed: Recipe = _changed(recipe, values, "")
    return changed


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        raise SourceNotFound(f"{path}: no such file: check the path") from problem
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise OptionError(f"{path} is no TOML ({problem})") from problem


def _parsed(text: str) -> Any:
    """A TOML value, or the text itself: words need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[path[-1]] = value


def _changed(part: Any, values: Mapping[str, Any], prefix: str) -> Any:
    """A dataclass with some of its fields replaced, checked once all are."""
    hints, new = get_type_hints(type(part)), {}
    known = [each.name for each in fields(part) if each.name not in FIXED]
    for key, value in values.items():
        if key not in known:
            raise OptionError(f"there is no setting {prefix}{key}: {_nearest(key, known, prefix)}")
        new[key] = _converted(value, hints[key], getattr(part, key), prefix + key)
    return replace(part, **new)


def _nearest(key: str, known: Sequence[str], prefix: str) -> str:
    near = get_close_matches(key, known, 1)
    return f"did you mean {prefix}{near[0]}?" if near else f"choose from {', '.join(known)}"


def _converted(value: Any, hint: Any, before: Any, key: str) -> Any:
    """A value of the type that a field has; `before` is what stood there."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if type(None) in kinds and isinstance(value, str) and value in OFF:
        return None
    (kind,) = (kind for kind in kinds if kind is not type(None))
    if kind is OCRConfig and isinstance(value, str):
        return OCRConfig.load(find_model(value))
    if is_dataclass(kind):
        return _object(value, kind, before, key)
    origin = get_origin(kind)
    if origin is tuple:
        return _tuple(value, get_args(kind), key)
    if origin is Literal:
        return _choice(value, get_args(kind), key)
    if origin is Mapping:
        return _mapping(value, get_args(kind)[1], key)
    return _plain(value, kind, key)


def _object(value: Any, kind: Any, before: Any, key: str) -> Any:
    if value is False:
        return None if before is None else _complain(key, value, "a table of settings")
    if value is True:
        return kind() if before is None else before
    if not isinstance(value, Mapping):
        return _complain(key, value, "a table of settings")
    return _changed(kind() if before is None else before, value, f"{key}.")


def _tuple(value: Any, kinds: tuple[Any, ...], key: str) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
        value = [_parsed(part) if kinds[0] in (int, float) else part for part in value]
    if not isinstance(value, list):
        return tuple(_complain(key, value, "a list"))
    if kinds[-1] is Ellipsis:
        return tuple(_converted(part, kinds[0], None, key) for part in value)
    if len(value) != len(kinds):
        return tuple(_complain(key, value, f"a list of {len(kinds)}"))
    return tuple(_converted(part, kind, None, key) for part, kind in zip(value, kinds, strict=True))


def _choice(value: Any, choices: tuple[Any, ...], key: str) -> Any:
    return value if value in choices else _complain(key, value, f"one of {', '.join(map(str, choices))}")


def _mapping(value: Any, kind: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return dict(_complain(key, value, "a table, such as {tiny = 1, small = 2}"))
    return {name: _converted(part, kind, None, f"{key}.{name}") for name, part in value.items()}


def _plain(value: Any, kind: type, key: str) -> Any:
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    if kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e6
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", Path: "a path", str: "a word"}
    return _complain(key, value, names.get(kind, kind.__name__))


def _complain(key: str, value: Any, wanted: str) -> Any:
    raise OptionError(f"{key} is {value!r}: expected {wanted}")


def describe(value: Any) -> Any:
    """A recipe, or a part of one, as JSON values."""
    if isinstance(value, OCRConfig):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: describe(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: describe(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [describe(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def lines(part: Any, prefix: str = "") -> Iterator[str]:
    """Every setting of a recipe as `key=value`, as `override` takes it."""
    for each in fields(part):
        value = getattr(part, each.name)
        if each.name in FIXED:
            continue
        if is_dataclass(value) and not isinstance(value, type):
            yield from lines(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}={_written(value)}"


def _written(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_written(part)}" for name, part in value.items()) + "}"
    if isinstance(value, tuple):
        quoted = [f'"{part}"' if isinstance(part, str | Path) else _written(part) for part in value]
        return f"[{', '.join(quoted)}]"
    return str(value)
