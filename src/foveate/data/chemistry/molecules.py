"""Molecules and reactions composed from fragments, written as SMILES.

A fragment's `*` is where another may be joined; one that stays free is a hydrogen. Ring numbers are counted
on, so that fragments nest. Nothing here needs a library: whoever parses the SMILES finds out whether it is
a molecule.
"""

from __future__ import annotations

import re

import numpy as np

# All begin with the atom that binds.
ENDS = (
    "C", "C", "CC", "C(C)C", "C(C)(C)C", "F", "Cl", "Br", "I", "O", "OC", "OCC", "N", "N(C)C", "C#N", "S",
    "SC", "C(F)(F)F", "OC(F)(F)F", "C(=O)O", "C(=O)OC", "C(=O)C", "C=O", "[N+](=O)[O-]", "S(=O)(=O)N",
    "C=C", "C#C", "NC(C)=O", "P(=O)(O)O", "B(O)O", "C(=O)[O-]", "CN=[N+]=[N-]", "[Si](C)(C)C",
)  # fmt: skip
LINKS = (
    "C*", "CC*", "CCC*", "O*", "OC*", "N*", "N(C)*", "C(=O)*", "C(=O)N*", "NC(=O)*", "C(=O)O*", "OC(=O)*",
    "S*", "S(=O)(=O)*", "S(=O)(=O)N*", "/C=C/*", "/C=C\\*", "C#C*", "C(C)(*)*", "[C@H](C)*", "[C@@H](O)*",
    "[C@H](N)*", "NC(=O)N*", "C(O)C*", "N=C*", "/C=N/O*", "OCCO*", "[C@@H](C)C(=O)N*",
)  # fmt: skip
RINGS = (
    "c1cccc(*)c1*", "c1ccc(*)cc1", "c1ccc(*)c(*)c1", "c1cc(*)cc(*)c1", "c1ccc2cc(*)ccc2c1", "c1ccnc(*)c1",
    "c1cncc(*)c1", "c1cnc(*)nc1", "c1ccc(*)o1", "c1ccc(*)s1", "c1cc(*)[nH]c1", "c1csc(*)n1", "c1nnc(*)o1",
    "c1ccc2[nH]c(*)cc2c1", "c1nc2ccccc2n1*", "c1cnn(*)c1", "N1CCOC(*)C1", "N1CCN(*)CC1", "C1CCC(*)CC1",
    "C1CC1*", "C1CCC(*)C1", "C1CCN(*)CC1", "C1COCCN1*", "[C@H]1CC[C@@H](*)CC1", "[C@@H]1CCCN1*",
    "C1CCC2(CC1)OCC(*)O2", "C1=CC(=O)C(*)=CC1=O", "c1ccc2nc(*)cnc2c1",
    "[C@@H]1O[C@H](CO)[C@@H](O)[C@H](O)[C@H]1O*", "c1cc2OCOc2cc1*", "N1C(=O)CC(*)C1=O", "C1=C(*)CCCC1",
)  # fmt: skip
SALTS = ("Cl", "[Na+].[Cl-]", "O", "OC(=O)C(F)(F)F", "CS(=O)(=O)O", "Br")
# Reactants, what stands over the arrow at random, and products; {a} and {b} begin with a carbon.
REACTIONS = (
    (("OC(=O){a}", "NC{b}"), ("CN(C)C=O", "ClCCl"), ("O=C(NC{b}){a}",)),
    (("OC(=O){a}", "OC{b}"), ("OS(=O)(=O)O",), ("O=C(OC{b}){a}", "O")),
    (("O=C(OC){a}",), ("[Na+].[OH-]",), ("OC(=O){a}", "CO")),
    (("Brc1ccc({a})cc1", "OB(O)c1ccc({b})cc1"), ("C1COCCO1",), ("c1(ccc({a})cc1)-c2ccc({b})cc2",)),
    (("O=C({a}){b}",), ("CO", "[Na+].[BH4-]"), ("OC({a}){b}",)),
    (("[O-][N+](=O)c1ccc({a})cc1",), ("[H][H]", "CCO"), ("Nc1ccc({a})cc1",)),
    (("C=C{a}", "BrBr"), ("ClCCl",), ("BrCC(Br){a}",)),
    (("BrC{a}", "Oc1ccc({b})cc1"), ("CC(C)=O",), ("O(C{a})c1ccc({b})cc1", "Br")),
    (("O=C{a}", "NC{b}"), ("CCO",), ("N(C{b})=C{a}", "O")),
    (("ClS(=O)(=O){a}", "NC{b}"), ("c1ccncc1",), ("O=S(=O)(NC{b}){a}", "Cl")),
    (("OC{a}",), ("ClS(=O)Cl",), ("ClC{a}",)),
    (("C#C{a}", "[N-]=[N+]=NC{b}"), (), ("c1(cn(C{b})nn1){a}",)),
)  # fmt: skip


class Composer:
    """Throws the dice for one molecule, or for one reaction."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._rings = 10  # the next free ring number, written %nn

    def molecule(self) -> str:
        """SMILES of 3 to about 45 atoms, at times a salt."""
        self._rings = 10
        smiles = self._fragment(
            RINGS if self._chance(0.75) else LINKS[:3], depth=int(self._rng.integers(1, 4))
        )
        if smiles.startswith("[C@"):  # as above
            smiles = f"C{smiles}"
        return f"{smiles}.{self._one(SALTS)}" if self._chance(0.04) else smiles

    def reaction(self) -> str:
        """Reaction SMILES `reactants>agents>products`."""
        self._rings = 10
        reactants, agents, products = REACTIONS[int(self._rng.integers(len(REACTIONS)))]
        groups = {name: self._carbon_group() for name in "ab"}
        agent = self._one(agents) if agents and self._chance(0.4) else ""
        before, after = (".".join(part.format(**groups) for part in side) for side in (reactants, products))
        return f"{before}>{agent}>{after}"

    def _carbon_group(self) -> str:
        while True:
            group = self._fragment((*RINGS, "C*", "CC*", "C(C)C"), depth=int(self._rng.integers(0, 2)))
            if group[0] in "cC" and not group.startswith("Cl"):
                return group

    def _fragment(self, choices: tuple[str, ...], depth: int) -> str:
        fragment = self._renumbered(self._one(choices))
        # "(*)" is a branch already; a last "*" ends its chain.
        # The hydrogens of a centre in brackets are counted: nothing of it may stay free.
        free = 0.0 if "@" in fragment else 0.15
        return re.sub(r"\(\*\)|\*", lambda place: self._joined(place[0] == "(*)", depth, free), fragment)

    def _joined(self, branch: bool, depth: int, free: float) -> str:
        if self._chance(free):
            return ""
        if depth == 0:
            group = self._one(ENDS)
        else:
            group = self._fragment(RINGS if self._chance(0.4) else LINKS, depth - 1)
        return f"({group})" if branch else group

    def _renumbered(self, fragment: str) -> str:
        """Ring numbers of its own; those inside brackets do not occur."""
        first = self._rings
        self._rings += 2
        return re.sub(r"\d", lambda digit: f"%{first + int(digit[0]) - 1}", fragment)

    def _one(self, choices: tuple[str, ...]) -> str:
        return choices[int(self._rng.integers(len(choices)))]

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)
