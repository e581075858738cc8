"""Molecules and reactions with their SMILES.

molecules.py   molecules and reactions composed from fragments, for want of a file
depiction.py   a molecule laid out, what its drawing says, and its pixels
reactions.py   several molecules and an arrow as one picture
maker.py       all of it as samples
"""

from foveate.data.chemistry.maker import ChemistryMaker

__all__ = ["ChemistryMaker"]
