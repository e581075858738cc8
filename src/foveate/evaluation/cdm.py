"""CDM of formulas: what is seen, compared sign by sign.

Wang et al., "CDM: A Reliable Metric for Fair and Accurate Formula Recognition Evaluation", arXiv:2409.03643.
Both formulas are set with every sign in a colour of its own (latex_tokens.py, latex_render.py). Signs are
paired at the least cost, which looks at the sign, at its place and at its turn, with the weights of the
authors' program. Pairs are dropped where the signs differ, or where their places do not fit to those of the
others: a shift, or a shift and a scale, must bring one formula's signs onto the other's. Several lines, or
what stands after something wide that is missing, may have a shift of their own.

CDM is the F1 of what is left: twice the pairs over the signs of both. ExpRate@CDM is the share of formulas
with 1. A formula that cannot be set has 0; where the truth cannot be set there is no score.

One thing differs from the authors' program: the shifts of all single pairs are tried beside the random ones
of RANSAC, and so the shortest formulas are checked, too: there `x_2` is not `x^2`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.latex_render import EM, Picture, Renderer, find_renderer
from foveate.evaluation.latex_tokens import NotSettable, Painted, paint

TOKEN, PLACE, TURN = 1.0, 0.05, 0.15  # weights of the costs
NEAR = 0.3 * EM  # pixels between the places of a pair that fits
SHIFTS = 5  # at most, of one formula's parts
TRIALS = 50  # random pairs of pairs for each shift
SCALES = (0.8, 1.25)
LEAST = 2  # pairs of a further shift

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """What of one formula's signs was read."""

    matched: int
    truth: int  # signs of the truth
    read: int  # signs of the reading; 0 also where it cannot be set

    @property
    def f1(self) -> float:
        return 2 * self.matched / (self.truth + self.read)

    @property
    def recall(self) -> float:
        return self.matched / self.truth

    @property
    def precision(self) -> float:
        return self.matched / self.read if self.read else 0.0

    @property
    def exact(self) -> bool:
        return self.matched == self.truth == self.read


def unavailable() -> str | None:
    """Why CDM cannot be had here; None where it can."""
    if importlib.util.find_spec("scipy") is None:
        return "scipy is missing: pip install 'foveate[eval]'"
    if find_renderer() is None:
        return "there is no LaTeX (pdflatex with amsmath) that sets formulas"
    return None


def score_formulas(
    truths: Sequence[str], reads: Sequence[str], renderer: Renderer | None = None, seed: int = 0
) -> list[Score | None]:
    """The score of each pair; None where the truth cannot be set. Needs `unavailable()` to be None."""
    renderer = renderer or Renderer(find_renderer() or "pdflatex")
    texts = list(dict.fromkeys([*truths, *reads]))  # each once
    painted = {text: formula for text in texts if (formula := _painted(text)) is not None}
    pictures = dict(zip(painted, renderer.render(list(painted.values())), strict=True))
    signs = {
        text: found
        for text, picture in pictures.items()
        if picture is not None and (found := _signs(painted[text], picture)).labels
    }
    return [
        None if truth not in signs else match(signs[truth], signs.get(read), seed)
        for truth, read in zip(truths, reads, strict=True)
    ]


def _painted(latex: str) -> Painted | None:
    try:
        return paint(latex)
    except NotSettable:
        return None


@dataclass(frozen=True)
class Signs:
    """The signs of a picture that have ink, in the order of the source."""

    labels: tuple[str, ...]
    boxes: Floats  # (N, 4): left, top, right, bottom in pixels
    size: tuple[int, int]

    @property
    def centres(self) -> Floats:
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2  # (N, 2)


def _signs(formula: Painted, picture: Picture) -> Signs:
    seen = [(label, box) for label, box in zip(formula.labels, picture.boxes, strict=True) if box is not None]
    boxes = np.array([box for _, box in seen], dtype=np.float64).reshape(-1, 4)
    return Signs(tuple(label for label, _ in seen), boxes, (picture.width, picture.height))


def match(truth: Signs, read: Signs | None, seed: int = 0) -> Score:
    """The signs that are read right and stand right."""
    if read is None:
        return Score(0, len(truth.labels), 0)
    rows, columns = _paired(truth, read)
    same = np.array([truth.labels[r] == read.labels[c] for r, c in zip(rows, columns, strict=True)])
    fit = fitting(truth.centres[rows], read.centres[columns], seed)
    return Score(int((same & fit).sum()), len(truth.labels), len(read.labels))


def _paired(truth: Signs, read: Signs) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The signs paired at the least cost, as many as there can be."""
    from scipy.optimize import linear_sum_assignment

    differ = np.array(truth.labels)[:, None] != np.array(read.labels)[None]  # (T, R)
    places = [signs.boxes / np.tile(signs.size, 2) for signs in (truth, read)]  # (N, 4), 0 to 1
    turns = [np.arange(len(signs.labels)) / len(signs.labels) for signs in (truth, read)]
    place = np.abs(places[0][:, None] - places[1][None]).mean(axis=-1)  # (T, R)
    turn = np.abs(turns[0][:, None] - turns[1][None])
    rows, columns = linear_sum_assignment(TOKEN * differ + PLACE * place + TURN * turn)
    return rows, columns


def fitting(truth: Floats, read: Floats, seed: int = 0) -> NDArray[np.bool_]:
    """Which pairs of places fit, after shifts that several pairs have in common. (N, 2) and (N, 2) -> (N,)"""
    rng = np.random.default_rng(seed)
    fit = np.zeros(len(truth), dtype=np.bool_)
    for turn in range(SHIFTS):
        left = np.flatnonzero(~fit)
        if len(left) < (LEAST if turn else 1):
            break
        found = _consensus(truth[left], read[left], rng)
        if turn and found.sum() < LEAST:
            break
        fit[left[found]] = True
    return fit


def _consensus(truth: Floats, read: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The most pairs that one shift, or one scale and shift, brings together (RANSAC)."""
    scales, shifts = np.ones(len(truth)), read - truth  # of every single pair: (N,), (N, 2)
    if len(truth) > 2:
        one, other = rng.integers(len(truth), size=(2, TRIALS))
        step, wanted = truth[other] - truth[one], read[other] - read[one]  # (K, 2)
        length = (step**2).sum(axis=1)
        scale = (step * wanted).sum(axis=1) / np.where(length > 0, length, np.inf)
        kept = (scale >= SCALES[0]) & (scale <= SCALES[1])
        scales = np.concatenate([scales, scale[kept]])
        shifts = np.concatenate([shifts, read[one[kept]] - scale[kept, None] * truth[one[kept]]])
    moved = scales[:, None, None] * truth[None] + shifts[:, None]  # (H, N, 2)
    near = np.linalg.norm(moved - read[None], axis=-1) <= NEAR  # (H, N)
    return np.asarray(near[near.sum(axis=1).argmax()])
