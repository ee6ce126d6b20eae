"""Numbers about what a student's function returned, by name, so that a sheet can say which without code.

They are for outputs that may be right in many ways, such as random weights: what is asked of them is a width, not
the numbers themselves.
"""

from collections.abc import Callable
from typing import Any

import numpy as np


def spread(w: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation."""
    return float(np.mean(w)), float(np.std(w))


def difference(w: np.ndarray, other: np.ndarray) -> tuple[float]:
    """The largest difference between two arrays of one shape; infinity for others."""
    return (float(np.max(np.abs(w - other))) if w.shape == other.shape else np.inf,)


MEASURES: dict[str, Callable[..., tuple[float, ...]]] = {"spread": spread, "difference": difference}


def measure(name: str, *values: Any) -> tuple[float, ...]:
    """The numbers of that name. ValueError where a value is no array of real numbers."""
    for value in values:
        if not (isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.size):
            raise ValueError(f"an array of real numbers; yours is a {type(value).__name__}")
    with np.errstate(all="ignore"):  # a student may return any number
        return MEASURES[name](*(value.astype(np.float64) for value in values))
