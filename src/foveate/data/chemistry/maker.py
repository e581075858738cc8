"""Molecules and reactions as training samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from foveate.data.chemistry import depiction, reactions
from foveate.data.chemistry.depiction import Depiction, Look, Undrawable, random_look
from foveate.data.chemistry.molecules import Composer
from foveate.data.sample import Region, Sample, Skipped, Task, ask, dice
from foveate.document import Box
from foveate.errors import OptionError, SourceNotFound

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MOST_ATOMS = 70  # heavy atoms that a picture of 800 pixels still shows
TRIES = 50


@dataclass(frozen=True)
class ChemistryMaker:
    """Molecules in many looks, answered by RDKit's canonical SMILES of what is drawn.

    `smiles` is a file with a SMILES at the beginning of each line, or a reaction's
    `reactants>agents>products`; number n is its line n. Without a file molecules are composed from fragments,
    without end, and a part of `reactions` of them are reactions. Needs RDKit.
    """

    smiles: Path | None = None
    reactions: float = 0.15
    kind: ClassVar[str] = "chemistry"
    task: ClassVar[Task] = "ocr2"
    _lines: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        depiction.toolkit()
        if not 0 <= self.reactions <= 1:
            raise OptionError(f"the share of reactions is {self.reactions}: choose one from 0 to 1")
        if self.smiles is not None:
            object.__setattr__(self, "_lines", _lines(Path(self.smiles)))

    @property
    def size(self) -> int | None:
        return None if self.smiles is None else len(self._lines)

    def make(self, number: int, seed: int) -> Sample | Skipped:
        rng = dice(self.kind, number, seed)
        look = random_look(rng)
        if self.smiles is None:
            return self._composed(rng, look, number, seed)
        source = f"{Path(self.smiles).name}:{number + 1}"
        try:
            return self._sample(self._lines[number], rng, look, number, seed, source)
        except Undrawable as reason:
            return Skipped(self.kind, source, str(reason), number)

    def _composed(self, rng: np.random.Generator, look: Look, number: int, seed: int) -> Sample | Skipped:
        """The first that can be drawn of what the dice compose."""
        composer = Composer(rng)
        is_reaction = bool(rng.random() < self.reactions)
        for _ in range(TRIES):
            text = composer.reaction() if is_reaction else composer.molecule()
            try:
                return self._sample(text, rng, look, number, seed, "fragments")
            except Undrawable:
                continue
        return Skipped(self.kind, "fragments", f"no molecule in {TRIES} throws", number)

    def _sample(
        self, text: str, rng: np.random.Generator, look: Look, number: int, seed: int, source: str
    ) -> Sample:
        is_reaction = ">" in text
        answer, drawn = (reactions.drawn if is_reaction else _molecule)(text, look, rng)
        return Sample(
            kind=self.kind,
            task=self.task,
            turns=ask("figure", answer),
            image=drawn.image,
            regions=tuple(_regions(drawn)),
            source=source,
            number=number,
            seed=seed,
            details={"form": "reaction" if is_reaction else "molecule", "look": asdict(look)},
        )


def _lines(path: Path) -> tuple[str, ...]:
    """The first word of every line that has one."""
    if not path.is_file():
        raise SourceNotFound(f"no file of SMILES at {path}: give one with a SMILES at the start of each line")
    words = (
        line.split(maxsplit=1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    )
    lines = tuple(first[0] for first in words if first)
    if not lines:
        raise OptionError(f"{path} holds no SMILES: give a file with one at the start of each line")
    return lines


def _molecule(text: str, look: Look, rng: np.random.Generator) -> tuple[str, Depiction]:
    """Its SMILES and its drawing, on a picture that grows with the atoms."""
    flat = depiction.laid_out(_small(depiction.parse(text)), look)
    answer = depiction.canonical(flat)
    side = 130 + 55 * flat.GetNumAtoms() ** 0.5
    width, height = (int(min(max(side * rng.uniform(0.85, 1.2), 180), 800)) for _ in range(2))
    return answer, depiction.draw(flat, look, (width, height))


def _small(mol: Mol) -> Mol:
    if mol.GetNumAtoms() > MOST_ATOMS:
        raise Undrawable(f"{mol.GetNumAtoms()} atoms, more than the {MOST_ATOMS} that a picture shows")
    return mol


def _regions(drawn: Depiction) -> Iterator[Region]:
    """A box of a few pixels around each heavy atom's centre."""
    half = 6.0
    width, height = drawn.image.size
    for symbol, x, y in drawn.atoms:
        box = Box(max(0.0, x - half), max(0.0, y - half), min(width, x + half), min(height, y + half))
        yield Region("atom", box, symbol)
