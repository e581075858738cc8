"""Imports point down only: the table of ARCHITECTURE.md, drawn from the imports of src/foveate."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "foveate"
FLOORS = {
    7: {"cli"},
    6: {"serving", "scale"},
    5: {"training", "evaluation", "memory", "batches"},
    4: {"engine"},
    3: {"data"},
    2: {"model", "pages"},
    1: {"document", "config", "errors"},
}
GROUND = 1  # its rooms may use one another, without going in circles: everything raises our errors
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
SURFACE = "the public surface"  # `foveate` itself, which looks into every room


def room_of(path: Path, package: Path) -> str | None:
    """The room that a file belongs to; None for the public surface, which is exempt."""
    first = path.relative_to(package).parts[0]
    return {"__init__.py": None, "__main__.py": "cli"}.get(first, first.removesuffix(".py"))


def imported_modules(path: Path, package: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and dotted path below `foveate` of every import of ours, wherever in the file it stands."""
    here = ("foveate", *path.relative_to(package).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = here[: -node.level] if node.level else ()
            base = (*start, *(node.module.split(".") if node.module else ()))
            targets = [(*base, alias.name) for alias in node.names]
        else:
            continue
        yield from ((node.lineno, target[1:]) for target in targets if target[0] == "foveate")


def imports(package: Path) -> Iterator[tuple[str, str, str]]:
    """(room, room it imports, place) for every import between two rooms."""
    for path in sorted(package.rglob("*.py")):
        room = room_of(path, package)
        for line, target in imported_modules(path, package) if room else ():
            other = target[0] if target and target[0] in FLOOR_OF else SURFACE
            if room and other != room:
                yield room, other, f"{path.relative_to(package.parent).as_posix()}:{line}"


def violations(package: Path) -> list[str]:
    """One sentence for each import that points up or to a neighbour, and for circles on the ground."""
    found = []
    ground: dict[str, set[str]] = {}
    for room, other, place in imports(package):
        if room not in FLOOR_OF:
            found.append(f"{place}: {room} is in no row of the table")
        elif other == SURFACE:
            if FLOOR_OF[room] != max(FLOORS):
                found.append(f"{place}: {room} imports {SURFACE}: import the room below that has it")
        elif FLOOR_OF[other] > FLOOR_OF[room]:
            found.append(f"{place}: {room} imports {other}, which is above it")
        elif FLOOR_OF[other] == FLOOR_OF[room] != GROUND:
            found.append(f"{place}: {room} imports {other}, its neighbour")
        elif FLOOR_OF[room] == GROUND:
            ground.setdefault(room, set()).add(other)
    try:
        TopologicalSorter(ground).prepare()
    except CycleError as circle:
        found.append(f"the ground floor goes in a circle: {' -> '.join(circle.args[1])}")
    return found


def drawn_table(text: str) -> dict[int, set[str]]:
    """Floor -> rooms, from the table of ARCHITECTURE.md."""
    rows = re.findall(r"^\| (\d) [^|]*\|([^|]*)\|", text, flags=re.MULTILINE)
    return {int(floor): set(re.findall(r"`(\w+)`", rooms)) for floor, rooms in rows}


def test_imports_point_down() -> None:
    assert not (found := violations(PACKAGE)), "\n" + "\n".join(found)


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(path, PACKAGE) for path in PACKAGE.rglob("*.py")} - {None}
    assert rooms <= set(FLOOR_OF)


def test_architecture_draws_this_table() -> None:
    assert drawn_table((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")) == FLOORS


BAD = {
    "__init__.py": "from foveate.engine.reader import Reader\n",
    "__main__.py": "from foveate.engine import reader\n",
    "errors.py": "",
    "config.py": "from foveate.errors import ConfigError\nimport torch\n",
    "document.py": "def later():\n    from .engine import reader\n",
    "engine/reader.py": "from foveate import pages\nfrom ..errors import InputError\nfrom . import cache\n",
    "model/ocr.py": "import foveate.pages.mode\n",
    "model/deep/sam.py": "from ...config import SamConfig\nfrom ...pages import mode\n",
    "pages/mode.py": "from foveate import __version__\n",
    "attic/old.py": "from foveate import errors\n",
}


def test_a_bad_tree_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "foveate"
    for name, text in BAD.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    assert violations(package) == [
        "foveate/attic/old.py:1: attic is in no row of the table",
        "foveate/document.py:2: document imports engine, which is above it",
        "foveate/model/deep/sam.py:2: model imports pages, its neighbour",
        "foveate/model/ocr.py:1: model imports pages, its neighbour",
        f"foveate/pages/mode.py:1: pages imports {SURFACE}: import the room below that has it",
    ]


@pytest.mark.parametrize("closing", ["from foveate.config import OCRConfig", "from . import config"])
def test_a_circle_on_the_ground_is_noticed(tmp_path: Path, closing: str) -> None:
    package = tmp_path / "foveate"
    package.mkdir()
    (package / "config.py").write_text("from foveate.errors import ConfigError\n")
    (package / "errors.py").write_text(closing + "\n")
    (sentence,) = violations(package)
    assert sentence.startswith("the ground floor goes in a circle: ")
