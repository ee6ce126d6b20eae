"""Anomaly detection: where the first number that is not finite was made.

Infinity and NaN spread. One overflow in one layer is NaN in every parameter after the next step, so by the time
that a loss prints as nan, all arrays look alike. What they do not share is when they were computed.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.inexact]


def first_nonfinite(
    activations: Mapping[str, Array], gradients: Mapping[str, Array]
) -> tuple[str | None, tuple[int, ...]]:
    """Name the first array of a step that holds infinity or NaN, and the first such entry in it.

    Parameters
    ----------
    activations : dict of str to ndarray
        What the forward pass computed, from the input to the scores.
    gradients : dict of str to ndarray
        What the backward pass computed, in the order of the layers, from the input to the scores.

    Returns
    -------
    name : str or None
        The array that was computed first; None if all numbers are finite.
    index : tuple of int
        Where in that array; empty if all numbers are finite.

    Notes
    -----
    The forward pass computes `activations` in the order of the dict. The backward pass computes `gradients` in the
    opposite order, and after them.

    The array that is named need not hold the mistake. It holds the first number that the mistake spoilt: what is
    wrong is the operation that made it, or the finite numbers that went in. A sum over the array would be cheaper
    than a look at each entry, but a sum of large finite numbers may overflow.

    Examples
    --------
    >>> activations = {"h1": np.array([1.0, 2.0]), "scores": np.array([3.0, 4.0])}
    >>> gradients = {"w1": np.array([np.nan, np.nan]), "w2": np.array([0.5, np.inf])}
    >>> first_nonfinite(activations, gradients)
    ('w2', (1,))
    >>> first_nonfinite(activations, {})
    (None, ())
    """
    for name, array in [*activations.items(), *reversed(list(gradients.items()))]:
        broken = ~np.isfinite(array)
        if broken.any():
            return name, tuple(int(i) for i in np.argwhere(broken)[0])
    return None, ()
