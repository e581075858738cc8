"""Kinds and mixtures by name, and what each needs from the user.

A recipe is a function of the sources; the kinds import what they need when they are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from foveate.data.mixture import Each, Mixture, Part, Plan
from foveate.data.sample import Maker, Task
from foveate.errors import OptionError, SourceNotFound
from foveate.pages.source import SUFFIXES as PAGES

# DeepSeek-OCR, section 3.4: of the training data 70 % is OCR, 20 % general vision, 10 % text alone. Within
# OCR the proportions are those of the pictures that the paper counts: 30 million pages of documents, 3 of
# Word, 20 of scenes; 10 of charts, 5 of chemistry, 1 of geometry.
FAMILIES: dict[str, tuple[float, dict[Task, float]]] = {
    "ocr": (0.7, {"ocr1": 53, "ocr2": 16}),
    "vision": (0.2, {"vision": 1}),
    "text": (0.1, {"text": 1}),
}
GREATEST_SEED = (1 << 63) - 1  # a column of shards holds it
COUNT = 1000  # samples of a recipe without end, when no count is given


@dataclass(frozen=True)
class Sources:
    """What a user may give. Each field is an option of `foveate data make`."""

    text: tuple[Path, ...] = ()
    pdfs: Path | None = None
    docx: Path | None = None
    photos: Path | None = None
    smiles: Path | None = None
    labelled: Path | None = None
    images: Path | None = None
    annotations: tuple[Path, ...] = ()
    tokenizer: Path | None = None
    tokens: int = 8192

    def has(self, name: str) -> bool:
        return bool(getattr(self, name))

    def check(self) -> None:
        """Complains about what is not there, before anything is made."""
        for name, path in self._paths():
            if not path.exists():
                raise SourceNotFound(f"{path}: no such file or folder for {OPTIONS[name]}: check the path")

    def describe(self) -> dict[str, Any]:
        """Names and sizes of what was given, and a checksum of the list; no paths, since shards travel.

        Pictures that annotations name count by their annotations.
        """
        given: dict[str, Any] = {"tokens": self.tokens} if self.text else {}
        for name, path in self._paths():
            size = path.stat().st_size if path.is_file() else None
            said = {"name": path.name, "bytes": size} | _listed(path, SUFFIXES.get(name, ()))
            given.setdefault(name, []).append(said)
        return given

    def _paths(self) -> list[tuple[str, Path]]:
        paths: list[tuple[str, Path]] = []
        for each in fields(self):
            value = getattr(self, each.name)
            values = value if isinstance(value, tuple) else (value,)
            paths += [(each.name, path) for path in values if isinstance(path, Path)]
        return paths


# What is looked for in folders.
SUFFIXES: dict[str, tuple[str, ...]] = {
    "pdfs": (".pdf",),
    "docx": (".docx",),
    "photos": tuple(sorted(PAGES - {".pdf"})),
    "labelled": (".parquet",),
}


def _listed(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Any]:
    """How many files a folder holds, and a checksum of their names and sizes: others are another run."""
    if not suffixes or not folder.is_dir():
        return {}
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    lines = (f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n" for path in files)
    digest = hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace")).hexdigest()
    return {"files": len(files), "listing": digest[:16]}


OPTIONS: dict[str, str] = {
    "text": "--text FILE",
    "pdfs": "--pdfs DIR",
    "docx": "--docx DIR",
    "photos": "--photos DIR",
    "smiles": "--smiles FILE",
    "labelled": "--labelled DIR",
    "images": "--images DIR",
    "annotations": "--annotations FILE",
    "tokenizer": "--tokenizer DIR",
}


@dataclass(frozen=True)
class Kind:
    """A kind of samples that recipes are made of."""

    task: Task
    what: str
    share: float  # among the kinds of its task
    make: Callable[[Sources], Maker]
    needs: tuple[str, ...] = ()  # sources without which there is none
    takes: tuple[str, ...] = ()  # sources that it uses where they are given


def _rendered(sources: Sources) -> Maker:
    from foveate.data.rendered import RenderedMaker

    return RenderedMaker(sources.text)


def _pdf(sources: Sources) -> Maker:
    from foveate.data.documents.pdf import PdfMaker

    assert sources.pdfs is not None
    return PdfMaker(sources.pdfs)


def _word(sources: Sources) -> Maker:
    from foveate.data.word import WordMaker

    assert sources.docx is not None
    return WordMaker(sources.docx)


def _scene(sources: Sources) -> Maker:
    from foveate.data.scenes import SceneMaker

    assert sources.photos is not None
    return SceneMaker(sources.photos)


def _scene_text(sources: Sources) -> Maker:
    from foveate.data.scenes import ComposedSceneMaker

    return ComposedSceneMaker(sources.text, photographs=sources.photos)


def _labelled(sources: Sources) -> Maker:
    from foveate.data.labelled import LabelledMaker

    assert sources.labelled is not None
    return LabelledMaker(sources.labelled)


def _chart(sources: Sources) -> Maker:
    from foveate.data.charts import ChartMaker

    return ChartMaker()


def _chemistry(sources: Sources) -> Maker:
    from foveate.data.chemistry import ChemistryMaker

    return ChemistryMaker(sources.smiles)


def _geometry(sources: Sources) -> Maker:
    from foveate.data.geometry import GeometryMaker

    return GeometryMaker()


def _general(sources: Sources) -> Maker:
    from foveate.data.general import GeneralMaker

    assert sources.images is not None
    return GeneralMaker(sources.images, sources.annotations)


def _shapes(sources: Sources) -> Maker:
    from foveate.data.shapes import ShapesMaker

    return ShapesMaker()


def _text(sources: Sources) -> Maker:
    from foveate.data.text import TextMaker

    return TextMaker(sources.text, sources.tokenizer or nano(), sources.tokens)


KINDS: dict[str, Kind] = {
    "rendered": Kind("ocr1", "pages set from text in installed fonts", 20, _rendered, ("text",)),
    "pdf": Kind("ocr1", "pages of PDFs with the text that is in them", 30, _pdf, ("pdfs",)),
    "word": Kind("ocr1", "pages of .docx files, drawn by LibreOffice", 3, _word, ("docx",)),
    "scene": Kind("ocr1", "photographs, labelled by an OCR engine", 20, _scene, ("photos",)),
    "scene-text": Kind(
        "ocr1", "text composed into pictures, in perspective", 10, _scene_text, ("text",), ("photos",)
    ),
    "labelled": Kind("ocr1", "pages that foveate data label has kept", 10, _labelled, ("labelled",)),
    "chart": Kind("ocr2", "charts and their numbers as HTML tables", 10, _chart),
    "chemistry": Kind("ocr2", "molecules and reactions as SMILES", 5, _chemistry, takes=("smiles",)),
    "geometry": Kind("ocr2", "plane figures as dictionaries", 1, _geometry),
    "general": Kind(
        "vision", "photographs described, and where things are", 9, _general, ("images", "annotations")
    ),
    "shapes": Kind("vision", "scenes of shapes described, and where they are", 1, _shapes),
    "text": Kind("text", "documents cut to sequences of tokens", 1, _text, ("text",), ("tokenizer",)),
}


@dataclass(frozen=True)
class Recipe:
    """A mixture by name."""

    what: str
    kinds: tuple[str, ...]
    all_needed: bool = True  # otherwise kinds whose sources are missing are left out


RECIPES: dict[str, Recipe] = {
    "default": Recipe(
        "70 % OCR, 20 % vision, 10 % text, of all kinds that have their sources", tuple(KINDS), False
    ),
    "rendered": Recipe("pages set from text", ("rendered",)),
    "documents": Recipe("pages of PDFs and Word files, from either folder or both", ("pdf", "word"), False),
    "scenes": Recipe(
        "text in scenes: photographs, composed pictures, or both", ("scene", "scene-text"), False
    ),
    "charts": Recipe("charts", ("chart",)),
    "chemistry": Recipe("molecules and reactions", ("chemistry",)),
    "geometry": Recipe("plane figures", ("geometry",)),
    "ocr2": Recipe("charts, chemistry and geometry", ("chart", "chemistry", "geometry")),
    "vision": Recipe("photographs with annotations", ("general",)),
    "shapes": Recipe("scenes of shapes", ("shapes",)),
    "text": Recipe("text alone", ("text",)),
}


def kinds_of(name: str, sources: Sources) -> tuple[list[str], list[str]]:
    """The kinds that a recipe makes of these sources, and those that it leaves out.

    Raises `OptionError` for an unknown recipe, or one that lacks a source.
    """
    if name not in RECIPES:
        raise OptionError(f"{name!r} is no recipe: choose from {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    present = [kind for kind in recipe.kinds if not missing(kind, sources)]
    absent = [kind for kind in recipe.kinds if kind not in present]
    if absent and (recipe.all_needed or not present):
        wanted = " or ".join(
            " and ".join(OPTIONS[need] for need in missing(kind, sources)) for kind in absent
        )
        raise OptionError(f"the recipe {name} needs a source: give {wanted}")
    return present, absent


def missing(kind: str, sources: Sources) -> list[str]:
    """The sources that a kind needs and has not."""
    return [need for need in KINDS[kind].needs if not sources.has(need)]


def plan(name: str, sources: Sources, seed: int = 0, count: int | None = None) -> Plan:
    """What a recipe makes: without a count and of kinds that have an end, each of their samples once."""
    if not 0 <= seed <= GREATEST_SEED:
        raise OptionError(f"the seed {seed}: choose a number from 0 to {GREATEST_SEED}")
    sources.check()
    kinds, _ = kinds_of(name, sources)
    makers = {kind: KINDS[kind].make(sources) for kind in kinds}
    if count is None and all(maker.size is not None for maker in makers.values()):
        return Each(tuple(makers.values()), seed)
    weights = shares(kinds)
    return Mixture(tuple(Part(maker, weights[kind]) for kind, maker in makers.items()), seed)


def shares(kinds: list[str]) -> Mapping[str, float]:
    """The weight of each kind. What is absent leaves its share to its nearest: kind, task, family."""
    weights: dict[str, float] = {}
    for share, tasks in FAMILIES.values():
        present = {task: [kind for kind in kinds if KINDS[kind].task == task] for task in tasks}
        of_tasks = sum(tasks[task] for task, found in present.items() if found)
        for task, found in present.items():
            of_kinds = sum(KINDS[kind].share for kind in found)
            for kind in found:
                weights[kind] = share * tasks[task] / of_tasks * KINDS[kind].share / of_kinds
    return weights


def nano() -> Path:
    """The folder of the embedded model, for its tokenizer."""
    return Path(str(files("foveate") / "assets" / "nano"))
