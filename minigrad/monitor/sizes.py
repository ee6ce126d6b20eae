"""How large arrays are, and how far they moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["update_ratio"]

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def update_ratio(before: Array, after: Array) -> float:
    """How far an update moved the weights, relative to their size.

    Parameters
    ----------
    before, after : ndarray, of the same shape
        The weights on either side of an update.

    Returns
    -------
    float
        The norm of the difference over the norm of `before`; infinite where weights of zero moved, and 0 where
        nothing did.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Not the learning rate times the gradient: with momentum, Adam, weight decay or clipping, that is not the update.

    Examples
    --------
    >>> update_ratio(np.array([3.0, 4.0]), np.array([3.0, 3.5]))
    0.1
    """
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape:
        raise ValueError(f"update_ratio: before has shape {before.shape} but after has shape {after.shape}")
    moved, size = norm_of(after - before), norm_of(before)
    return moved / size if size else math.inf if moved else 0.0


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
