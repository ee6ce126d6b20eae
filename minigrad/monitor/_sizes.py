"""Norms and the like, of one array or of many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def is_symmetric(w: Array) -> bool:
    """Whether all units of a layer have the same weights, whichever axis the units are on."""
    if w.ndim < 2 or 1 in w.shape or not w.size:
        return False  # a single unit is like no other
    return any(bool((w == w.take([0], axis=axis)).all()) for axis in (0, 1))


def dot(a: Array, b: Array) -> float:
    return float(np.vdot(a, b))


def norm_of(a: Array) -> float:
    flat = np.asarray(a).ravel()
    square = float(np.vdot(flat, flat).real)
    if 1e-30 < square < 1e30:
        return math.sqrt(square)
    return float(
        np.linalg.norm(flat.astype(np.float64))
    )  # where float32 has overflowed, or lost what is small


def norm_of_all(arrays: Arrays) -> float:
    with np.errstate(all="ignore"):
        return math.hypot(*(norm_of(array) for array in arrays.values()))


def over(a: float, b: float) -> float:
    """A quotient; 0 where nothing moved, infinite where something moved that was zero."""
    return a / b if b else math.copysign(math.inf, a) if a else 0.0
