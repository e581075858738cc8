"""A molecule laid out, what its drawing says, and its pixels: by RDKit and Cairo.

RDKit is an optional library, imported when the first molecule is drawn. Its global settings are neither read
nor changed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from foveate.errors import OptionError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

Colours = Literal["black", "default", "avalon", "cdk", "dark"]
COLOURS: tuple[Colours, ...] = ("black", "default", "avalon", "cdk", "dark")
PAPERS = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.99, 0.97, 0.92), (0.94, 0.94, 0.96), (0.95, 0.98, 0.95))
NIGHT = (0.0, 0.0, 0.0)
Rgb = tuple[float, float, float]


class Undrawable(ValueError):
    """Why a molecule cannot be drawn so that its drawing says what it is."""


@cache
def toolkit() -> Any:
    """RDKit's modules that are used here; raises `OptionError` where it is not installed."""
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem import rdCoordGen, rdDepictor
        from rdkit.Chem.Draw import rdMolDraw2D
    except ImportError:
        raise OptionError("chemistry needs RDKit: pip install 'foveate[data]'") from None
    return _Toolkit(Chem, rdBase, rdCoordGen, rdDepictor, rdMolDraw2D)


@dataclass(frozen=True)
class _Toolkit:
    chem: Any
    base: Any
    coordgen: Any
    depictor: Any
    draw: Any


@dataclass(frozen=True)
class Look:
    """How a molecule is drawn. Lengths in pixels, angles in degrees."""

    colours: Colours
    paper: Rgb
    bond_width: float
    bond_gap: float  # of a double bond, in parts of the bond's length
    bond_length: float  # at most
    font: str  # of RDKit's own; "" for its usual one
    text: float  # height of an atom's label, in parts of the bond's length
    rotation: float
    kekule: bool  # alternating double bonds; otherwise aromatic ones are dashed
    coordgen: bool  # laid out by CoordGen instead of RDKit
    methyl: bool  # CH3 written at the ends
    thin: bool  # bonds stay as thin as they are when the molecule shrinks
    padding: float  # in parts of the picture


def random_look(rng: np.random.Generator) -> Look:
    """One of many looks."""
    colours = COLOURS[int(rng.choice(len(COLOURS), p=(0.45, 0.25, 0.12, 0.1, 0.08)))]
    turn = (
        float(rng.choice((0, 0, 0, 90, 180, 270, 45))) if rng.random() < 0.7 else float(rng.uniform(0, 360))
    )
    return Look(
        colours=colours,
        paper=NIGHT if colours == "dark" else PAPERS[int(rng.integers(len(PAPERS)))],
        bond_width=float(rng.uniform(1.2, 3)),
        bond_gap=float(rng.uniform(0.13, 0.2)),
        bond_length=float(rng.uniform(24, 44)),
        font="BuiltinRobotoRegular" if rng.random() < 0.4 else "",
        text=float(rng.uniform(0.5, 0.7)),
        rotation=turn,
        kekule=bool(rng.random() < 0.85),
        coordgen=bool(rng.random() < 0.2),
        methyl=bool(rng.random() < 0.15),
        thin=bool(rng.random() < 0.7),
        padding=float(rng.uniform(0.04, 0.12)),
    )


@dataclass(frozen=True, eq=False)
class Depiction:
    """Pixels, and where each heavy atom stands in them: its symbol and its centre."""

    image: Image.Image
    atoms: tuple[tuple[str, float, float], ...]


def parse(smiles: str) -> Mol:
    """The molecule of a SMILES, quietly; raises `Undrawable` where it is none."""
    rdkit = toolkit()
    with rdkit.base.BlockLogs():
        mol: Mol | None = rdkit.chem.MolFromSmiles(smiles)
    if mol is None:
        raise Undrawable("not the SMILES of a molecule")
    if not mol.GetNumAtoms():
        raise Undrawable("no atoms")
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0 or atom.HasQuery():
            raise Undrawable("an atom that stands for any")
        atom.SetAtomMapNum(0)
    return mol


def laid_out(mol: Mol, look: Look) -> Mol:
    """The molecule in the plane, its double bonds as they come to lie: stereo is what the drawing shows."""
    rdkit = toolkit()
    flat: Mol = rdkit.chem.Mol(mol)
    if look.coordgen:
        rdkit.coordgen.AddCoords(flat)
    else:
        rdkit.depictor.Compute2DCoords(flat, canonOrient=True, forceRDKit=True)
    rdkit.chem.DetectBondStereochemistry(flat)
    rdkit.chem.AssignStereochemistry(flat, cleanIt=True, force=True)
    return flat


def canonical(flat: Mol) -> str:
    """RDKit's canonical isomeric SMILES (`Chem.MolToSmiles`) of what is drawn.

    Read again it is the same, and so is the SMILES of the drawing itself, its places and wedges written as
    a molfile and read back. Raises `Undrawable` where either is not so.
    """
    rdkit = toolkit()
    smiles = str(rdkit.chem.MolToSmiles(flat))
    with rdkit.base.BlockLogs():
        again = rdkit.chem.MolFromSmiles(smiles)
        drawn = rdkit.chem.MolFromMolBlock(rdkit.chem.MolToMolBlock(flat))
    for read in (again, drawn):
        if read is None or rdkit.chem.MolToSmiles(read) != smiles:
            raise Undrawable("its drawing is read as another molecule")
    return smiles


def draw(flat: Mol, look: Look, size: tuple[int, int] = (-1, -1)) -> Depiction:
    """Paint a laid out molecule on `size` pixels, or on as many as its bonds' full length takes."""
    rdkit = toolkit()
    with rdkit.base.BlockLogs():
        ready = rdkit.draw.PrepareMolForDrawing(flat, kekulize=look.kekule, addChiralHs=False)
        drawer = rdkit.draw.MolDraw2DCairo(*size)
        _set(drawer.drawOptions(), look)
        drawer.DrawMolecule(ready)
        drawer.FinishDrawing()
    image = Image.open(io.BytesIO(drawer.GetDrawingText())).convert("RGB")
    places = [drawer.GetDrawCoords(n) for n in range(flat.GetNumAtoms())]
    atoms = zip((atom.GetSymbol() for atom in flat.GetAtoms()), places, strict=True)
    return Depiction(image, tuple((symbol, place.x, place.y) for symbol, place in atoms))


def _set(options: Any, look: Look) -> None:
    if look.colours == "dark":
        toolkit().draw.SetDarkMode(options)
    elif look.colours != "default":
        names = {"black": "useBWAtomPalette", "avalon": "useAvalonAtomPalette", "cdk": "useCDKAtomPalette"}
        getattr(options, names[look.colours])()
    options.setBackgroundColour(look.paper)
    options.prepareMolsBeforeDrawing = False
    options.includeMetadata = False  # the SMILES does not belong into the file
    options.bondLineWidth = look.bond_width
    options.scaleBondWidth = not look.thin
    options.multipleBondOffset = look.bond_gap
    options.fixedBondLength = look.bond_length
    options.baseFontSize = look.text
    options.minFontSize = 10
    options.rotate = look.rotation
    options.explicitMethyl = look.methyl
    options.padding = look.padding
    if look.font:
        options.fontFile = look.font
