"""What the arguments of a loss must be."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.layers._arrays import Array, as_float
from minigrad.layers._indices import as_indices

Number = np.inexact  # one number, in the precision of the input


def scores_and_labels(function: str, x: Array, y: ArrayLike) -> tuple[Array, NDArray[np.intp]]:
    """Scores (N, C), and a class for each row."""
    x = as_float(x)
    if x.ndim != 2:
        raise ValueError(f"{function}: x has shape {x.shape}; it must be (N, C)")
    if np.shape(y) != x.shape[:1]:
        raise ValueError(
            f"{function}: y has shape {np.shape(y)} but x has shape {x.shape}; they must be (N,) and (N, C)"
        )
    require_examples(function, x)
    return x, as_indices(function, "y", y, x.shape[1])


def prediction_and_target(function: str, x: Array, target: ArrayLike) -> tuple[Array, Array]:
    """The target in the precision of the prediction: whole numbers in it do not make float64 of float32."""
    x = as_float(x)
    target = np.asarray(target)
    if target.shape != x.shape:
        raise ValueError(f"{function}: target has shape {target.shape} but x has shape {x.shape}")
    require_examples(function, x)
    return x, target.astype(x.dtype, copy=False)


def require_examples(function: str, x: Array, name: str = "x") -> None:
    """Refuse a mean over nothing."""
    if not x.size:
        raise ValueError(f"{function}: {name} has shape {x.shape}, and there is no mean of no numbers")


def positive(function: str, delta: float) -> float:
    """A bound on errors, as a Python number: one of numpy's would widen float32."""
    if not 0 < delta < math.inf:
        raise ValueError(f"{function}: delta must be a positive, finite number, not {delta}")
    return float(delta)
