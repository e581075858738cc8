"""Reactions as one picture: reactants with plus signs, an arrow with what stands over it, products."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from foveate.data.chemistry import depiction
from foveate.data.chemistry.depiction import Depiction, Look, Undrawable

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MOST_ATOMS = 60  # heavy atoms of all parts together
GAP = 14  # pixels between parts
SIGN = 11  # pixels from the middle of a plus sign to its end
WIDEST = 1100  # pixels of a picture


def drawn(text: str, look: Look, rng: np.random.Generator) -> tuple[str, Depiction]:
    """Reaction SMILES in the order of the drawing, every part canonical, and the drawing.

    Raises `Undrawable` for what is no reaction, or too large for one line.
    """
    sides = text.split(">")
    if len(sides) != 3 or not sides[0] or not sides[2]:
        raise Undrawable("not the SMILES of a reaction: reactants>agents>products")
    look = replace(look, rotation=0.0, bond_length=min(look.bond_length, 30.0), padding=0.03)
    answers, pictures, atoms = [], [], 0
    for side in sides:
        flat = [depiction.laid_out(depiction.parse(part), look) for part in _parts(side)]
        atoms += sum(mol.GetNumAtoms() for mol in flat)
        if atoms > MOST_ATOMS:
            raise Undrawable(f"more than the {MOST_ATOMS} atoms that a picture shows")
        answers.append(".".join(map(depiction.canonical, flat)))
        pictures.append([depiction.draw(mol, look, _size(mol)) for mol in flat])
    return ">".join(answers), _line(pictures, look, arrow=int(rng.integers(60, 110)))


def _size(mol: Mol) -> tuple[int, int]:
    """Pixels for what has no bond to measure, and (-1, -1), as many as it takes, for all others."""
    return (-1, -1) if mol.GetNumBonds() else (50 * mol.GetNumAtoms(), 40)


def _parts(side: str) -> list[str]:
    """The molecules of a side; ions stand together, as a salt is drawn."""
    parts = [part for part in side.split(".") if part]
    salts = [part for part in parts if "+]" in part or "-]" in part]
    charged = [part for part in salts if depiction.toolkit().chem.GetFormalCharge(depiction.parse(part))]
    neutral = [part for part in parts if part not in charged]
    return [*neutral, *([".".join(charged)] if charged else [])]


def _line(sides: list[list[Depiction]], look: Look, arrow: int) -> Depiction:
    """All parts beside each other, the agents over the arrow."""
    before, over, after = sides
    arrow = max(arrow, sum(part.image.width for part in over) + GAP * (len(over) - 1) + 2 * GAP)
    steps = 2 * GAP + 2 * SIGN
    beside = [*before, *after]
    width = sum(part.image.width for part in beside) + steps * (len(beside) - 2) + arrow + 4 * GAP
    above = max((part.image.height for part in over), default=0) + GAP
    height = 2 * max(above, *(part.image.height // 2 + GAP for part in beside))
    if width > WIDEST:
        raise Undrawable(f"{width} pixels long, more than {WIDEST}")
    # Cairo rounds the paper's colour its own way.
    sheet = _Sheet(width, height, look, paper=before[0].image.crop((0, 0, 1, 1)))
    for n, part in enumerate(before):
        sheet.plus() if n else None
        sheet.put(part, height // 2)
    sheet.arrow(arrow, over)
    for n, part in enumerate(after):
        sheet.plus() if n else None
        sheet.put(part, height // 2)
    return Depiction(sheet.image, tuple(sheet.atoms))


class _Sheet:
    """A picture that fills from left to right."""

    def __init__(self, width: int, height: int, look: Look, paper: Image.Image) -> None:
        self.image = paper.resize((width, height))
        self.atoms: list[tuple[str, float, float]] = []
        self._pen = ImageDraw.Draw(self.image)
        self._ink = (255, 255, 255) if look.colours == "dark" else (0, 0, 0)
        self._width = max(1, round(look.bond_width))
        self._x = GAP

    def put(self, part: Depiction, middle: int) -> None:
        top = middle - part.image.height // 2
        self.image.paste(part.image, (self._x, top))
        self.atoms += [(symbol, x + self._x, y + top) for symbol, x, y in part.atoms]
        self._x += part.image.width

    def plus(self) -> None:
        x, y = self._x + GAP + SIGN, self.image.height // 2
        self._pen.line((x - SIGN, y, x + SIGN, y), self._ink, self._width)
        self._pen.line((x, y - SIGN, x, y + SIGN), self._ink, self._width)
        self._x += 2 * GAP + 2 * SIGN

    def arrow(self, length: int, over: list[Depiction]) -> None:
        start, y = self._x + GAP, self.image.height // 2
        self._x += GAP + (length - sum(part.image.width for part in over) - GAP * (len(over) - 1)) // 2
        for part in over:
            self.put(part, y - GAP // 2 - (part.image.height + 1) // 2)
            self._x += GAP
        end = start + length
        self._pen.line((start, y, end - 8, y), self._ink, self._width)
        self._pen.polygon([(end, y), (end - 12, y - 5), (end - 12, y + 5)], self._ink)
        self._x = end + GAP
