"""How far an update moved the weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.monitor._sizes import norm_of

__all__ = ["update_ratio"]

Array = NDArray[Any]


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
