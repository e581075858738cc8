"""Throws of the dice that the constructions share."""

from __future__ import annotations

import math

import numpy as np


def chance(rng: np.random.Generator, share: float) -> bool:
    """True in a share of the throws."""
    return bool(rng.random() < share)


def degrees(rng: np.random.Generator, low: float, high: float) -> float:
    """A random angle between two, in radians."""
    return math.radians(float(rng.uniform(low, high)))
