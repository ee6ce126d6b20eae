"""Runs that tell rivals apart: what a record leaves open, a change of one thing decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["compare_rates", "compare_targets"]


def compare_rates(train: Callable[[float], float], learning_rate: float) -> dict[str, float]:
    """Train with a tenth of the learning rate, with it, and with ten times as much.

    Parameters
    ----------
    train : callable
        ``train(learning_rate) -> loss``: a short run from the same start, and the loss that it ends with.
    learning_rate : float

    Returns
    -------
    dict of str to float
        The losses of "tenth", "as it is" and "ten times". Where one of the others is clearly the best, it was the rate;
        where all are alike, it was not.

    Examples
    --------
    >>> found = compare_rates(lambda rate: abs(1 - rate), 0.1)
    >>> min(found, key=found.get)
    'ten times'
    """
    rates = {"tenth": 0.1 * learning_rate, "as it is": learning_rate, "ten times": 10 * learning_rate}
    with np.errstate(all="ignore"):
        losses = {name: float(train(rate)) for name, rate in rates.items()}
    return {name: loss if np.isfinite(loss) else np.inf for name, loss in losses.items()}


def compare_targets(
    train: Callable[[NDArray[np.generic], NDArray[np.generic]], float],
    data: tuple[NDArray[np.generic], NDArray[np.generic]],
    rng: np.random.Generator,
) -> Mapping[str, float]:
    """Train on the data, with the labels shuffled, and with inputs of zeros.

    Parameters
    ----------
    train : callable
        ``train(x, y) -> loss``: a short run from the same start, and the loss that it ends with.
    data : (x, y)
    rng : Generator
        Shuffles.

    Returns
    -------
    dict of str to float
        The losses for "as it is", "labels shuffled" and "inputs zero". A network that learns from the inputs has the
        first one lowest. Where "inputs zero" is as good, nothing of them gets through; where "labels shuffled" is,
        the labels were already as good as shuffled.

    Examples
    --------
    >>> x, y = np.eye(2)[[0, 1, 0, 1]], np.array([0, 1, 0, 1])
    >>> found = compare_targets(lambda x, y: float((x[:, 1] != y).mean()), (x, y), np.random.default_rng(0))
    >>> found["as it is"], found["inputs zero"]
    (0.0, 0.5)
    """
    x, y = np.asarray(data[0]), np.asarray(data[1])
    return {
        "as it is": float(train(x, y)),
        "labels shuffled": float(train(x, y[rng.permutation(len(y))])),
        "inputs zero": float(train(np.zeros_like(x), y)),
    }
