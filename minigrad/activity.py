"""What the units of a layer do: how many are saturated, and how many never fire."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_dead_relus", "saturated_fraction"]

Array = NDArray[np.floating]


def saturated_fraction(out: Array, low: float = 0.0, high: float = 1.0, margin: float = 0.01) -> float:
    """Return the share of outputs that lie within a margin of the ends of the range.

    Parameters
    ----------
    out : ndarray, any shape
        Outputs of a squashing function.
    low, high : float
        The ends of its range: 0 and 1 for the sigmoid, -1 and 1 for tanh.
    margin : float
        How close counts as saturated, as a share of the range: 0.01 is one hundredth of `high - low`.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        If `out` is empty, or `low` is not below `high`.

    Notes
    -----
    A sigmoid within 0.01 of an end has a slope below 0.01, four percent of its best.

    Examples
    --------
    >>> saturated_fraction(np.array([0.001, 0.5, 0.6, 0.995]))
    0.5
    """
    out = np.asarray(out)
    if out.size == 0:
        raise ValueError("saturated_fraction: out is empty, so it has no share of anything")
    if not low < high:
        raise ValueError(f"saturated_fraction: low is {low} and high is {high}; low must be below high")
    edge = margin * (high - low)
    return float(np.mean((out < low + edge) | (out > high - edge)))


def count_dead_relus(activations: Mapping[str, Array]) -> dict[str, int]:
    """Count the units of each layer that are zero for every example.

    Parameters
    ----------
    activations : dict of ndarray, shape (N, ...)
        Outputs of each ReLU layer over the whole data set, by name. Each position after the first axis is a unit.

    Returns
    -------
    dict of int
        Dead units of each layer.

    Raises
    ------
    ValueError
        If a layer has no examples: a unit that was never asked is not dead.

    Notes
    -----
    Ask the whole data set. A unit that is silent on a batch of 32 may fire on the next one.

    Examples
    --------
    >>> count_dead_relus({"h1": np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])})
    {'h1': 1}
    """
    dead = {}
    for name, out in activations.items():
        out = np.asarray(out)
        if out.ndim == 0 or len(out) == 0:
            raise ValueError(f"count_dead_relus: {name} has shape {out.shape}, so there is no example in it")
        dead[name] = int(np.sum(~np.any(out != 0, axis=0)))
    return dead
