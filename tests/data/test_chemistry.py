import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

Chem = pytest.importorskip("rdkit.Chem")

from foveate.data.chemistry import ChemistryMaker, depiction  # noqa: E402
from foveate.data.chemistry.depiction import Undrawable, canonical, laid_out, parse, random_look  # noqa: E402
from foveate.data.chemistry.molecules import ENDS, LINKS, REACTIONS, RINGS  # noqa: E402
from foveate.data.sample import Sample, Skipped, dice  # noqa: E402
from foveate.errors import OptionError, SourceNotFound  # noqa: E402
from foveate.pages.prompts import PROMPTS  # noqa: E402

NUMBERS = range(40)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    made = [ChemistryMaker().make(number, seed=3) for number in NUMBERS]
    assert all(isinstance(sample, Sample) for sample in made)
    return [sample for sample in made if isinstance(sample, Sample)]


def parts(sample: Sample) -> list[str]:
    return [part for side in sample.answer.split(">") for part in side.split(".") if part]


def ink(sample: Sample) -> np.ndarray:
    """Where the picture is not paper, (H, W)."""
    assert sample.image is not None
    pixels = np.asarray(sample.image).astype(int)
    return np.abs(pixels - pixels[0, 0]).max(axis=2) > 60


def test_answers_are_canonical_and_are_read_back(samples: list[Sample]) -> None:
    for sample in samples:
        assert (sample.kind, sample.task, sample.prompt) == ("chemistry", "ocr2", PROMPTS["figure"])
        for side in sample.answer.split(">"):
            for part in filter(None, side.split(".")):
                assert Chem.CanonSmiles(part) == part


def test_every_heavy_atom_is_drawn(samples: list[Sample]) -> None:
    for sample in samples:
        atoms = [atom.GetSymbol() for part in parts(sample) for atom in Chem.MolFromSmiles(part).GetAtoms()]
        assert sorted(region.text for region in sample.regions) == sorted(atoms)
        drawn = ink(sample)
        for region in sample.regions:
            box = region.box
            assert drawn[int(box.y0) : int(box.y1) + 1, int(box.x0) : int(box.x1) + 1].any(), sample.answer


def test_nothing_is_cut_off_at_the_edge(samples: list[Sample]) -> None:
    for sample in samples:
        drawn = ink(sample)
        assert not (drawn[0].any() or drawn[-1].any() or drawn[:, 0].any() or drawn[:, -1].any()), (
            sample.answer
        )


def test_bonds_are_drawn_between_their_atoms_and_not_elsewhere() -> None:
    look = replace(
        random_look(dice("look", 2, 0)), colours="black", paper=(1, 1, 1), kekule=True, coordgen=False
    )
    flat = laid_out(parse("CC1CCC(c2ccncc2)CC1CO"), look)
    drawing = depiction.draw(flat, look, (500, 400))
    drawn = np.asarray(drawing.image.convert("L")) < 160
    centres = np.array([(x, y) for _, x, y in drawing.atoms])

    def halfway(a: int, b: int) -> bool:
        x, y = np.rint((centres[a] + centres[b]) / 2).astype(int)
        return bool(drawn[y - 2 : y + 3, x - 2 : x + 3].any())

    atoms = range(flat.GetNumAtoms())
    bonded = [(a, b) for a in atoms for b in atoms if a < b and flat.GetBondBetweenAtoms(a, b)]
    across = [(a, b) for a in atoms for b in atoms if a < b and len(Chem.GetShortestPath(flat, a, b)) == 3]
    assert all(halfway(a, b) for a, b in bonded)
    assert not any(halfway(a, b) for a, b in across)


def test_stereo_is_what_the_drawing_shows() -> None:
    look = random_look(dice("look", 0, 0))
    flat = laid_out(parse("CC=CC(O)F"), look)  # nothing said: the drawing lays the double bond down somehow
    said = canonical(flat)
    assert "/" in said and "@" not in said
    block = Chem.MolFromMolBlock(Chem.MolToMolBlock(flat))
    assert Chem.MolToSmiles(block) == said
    centre = laid_out(parse("C[C@H](O)F"), look)
    assert canonical(centre) == "C[C@H](O)F"
    assert any(bond.GetBondDir() != Chem.BondDir.NONE for bond in wedged(centre).GetBonds())


def wedged(mol: object) -> "Chem.Mol":
    from rdkit.Chem.Draw import rdMolDraw2D

    return rdMolDraw2D.PrepareMolForDrawing(mol, addChiralHs=False)


def test_mirror_images_look_different() -> None:
    look = random_look(dice("look", 1, 0))
    left, right = (
        depiction.draw(laid_out(parse(s), look), look, (300, 240)) for s in ("C[C@H](O)F", "C[C@@H](O)F")
    )
    assert left.image.tobytes() != right.image.tobytes()


def test_a_number_and_a_seed_give_the_same_pixels_in_another_process(samples: list[Sample]) -> None:
    code = (
        "from foveate.data.chemistry import ChemistryMaker\n"
        "import hashlib\n"
        "for n in (7, 2):\n"
        "    s = ChemistryMaker().make(n, 3)\n"
        "    print(s.answer, hashlib.sha256(s.image.tobytes()).hexdigest(), flush=True)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [f"{samples[n].answer} {sha256(samples[n].image.tobytes()).hexdigest()}" for n in (7, 2)]  # type: ignore[union-attr]
    assert said.stdout.splitlines() == here
    assert said.stderr == ""
    assert samples[7].answer != samples[2].answer


def test_fragments_are_atoms_that_bind() -> None:
    for end in ENDS:
        assert Chem.MolFromSmiles("C" + end) is not None, end
    for fragment in (*LINKS, *RINGS):
        closed = fragment.replace("(*)", "(C)").replace("*", "C")
        assert Chem.MolFromSmiles("C" + closed) is not None, fragment


@pytest.mark.parametrize("reactants, agents, products", REACTIONS)
def test_templates_keep_their_carbons(
    reactants: tuple[str, ...], agents: tuple[str, ...], products: tuple[str, ...]
) -> None:
    def carbons(side: tuple[str, ...]) -> int:
        mols = [Chem.MolFromSmiles(part.format(a="c%10ccccc%10", b="C%11CC%11")) for part in side]
        return sum(atom.GetSymbol() == "C" for mol in mols for atom in mol.GetAtoms())

    assert carbons(products) == carbons(reactants)


def test_reactions_hold_their_three_sides() -> None:
    sample = ChemistryMaker(reactions=1).make(0, seed=0)
    assert isinstance(sample, Sample)
    before, _, after = sample.answer.split(">")
    assert before and after
    assert sample.details["form"] == "reaction"


def test_a_file_gives_its_lines_in_order(tmp_path: Path) -> None:
    path = tmp_path / "some.smi"
    path.write_text("OCC ethanol\n\nC1CC\nCC(=O)O.OCC>>CC(=O)OCC\n*C\nC[N+](C)(C)C.[Cl-]\n")
    maker = ChemistryMaker(smiles=path)
    assert maker.size == 5
    made = [maker.make(number, seed=0) for number in range(5)]
    assert [s.answer if isinstance(s, Sample) else None for s in made] == [
        "CCO",
        None,
        "CC(=O)O.CCO>>CCOC(C)=O",
        None,
        "C[N+](C)(C)C.[Cl-]",
    ]
    assert isinstance(made[1], Skipped) and "not the SMILES" in made[1].reason
    assert made[0].source == "some.smi:1"


def test_a_broken_smiles_is_reported_in_words_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Undrawable, match="not the SMILES"):
        parse("C1CC(")
    assert capfd.readouterr() == ("", "")


def test_real_molecules_are_drawn(shared: Path) -> None:
    maker = ChemistryMaker(smiles=shared / "smiles" / "molecules.smi")
    lines = (shared / "smiles" / "molecules.smi").read_text().split()
    assert maker.size == len(lines)
    numbers = range(0, len(lines), 1400)
    made = [maker.make(number, seed=1) for number in numbers]
    skipped = [sample.reason for sample in made if isinstance(sample, Skipped)]
    assert len(skipped) <= 2, skipped
    for number, sample in zip(numbers, made, strict=True):
        if isinstance(sample, Sample):
            read = [Chem.MolFromSmiles(smiles) for smiles in (lines[number], sample.answer)]
            plain = [Chem.MolToSmiles(mol, isomericSmiles=False) for mol in read]
            assert plain[0] == plain[1]


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="0 to 1"):
        ChemistryMaker(reactions=2)
    with pytest.raises(SourceNotFound, match="no file"):
        ChemistryMaker(smiles=tmp_path / "none.smi")
    (tmp_path / "empty.smi").write_text("\n")
    with pytest.raises(OptionError, match="no SMILES"):
        ChemistryMaker(smiles=tmp_path / "empty.smi")
