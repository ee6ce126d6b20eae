"""Numbers about what a student's function returned, by name, so that a sheet can say which without code.

They are for outputs that may be right in many ways, such as random weights: what is asked of them is a width, not
the numbers themselves.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

LONGEST = 1_000  # rows or columns of a matrix in which each is compared with each
MAX_LISTED = 100_000  # numbers that a list of lists may hold to be taken as an array


def spread(w: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation."""
    return float(np.mean(w)), float(np.std(w))


def shape(w: np.ndarray) -> tuple[float, float]:
    """Rows and columns of a matrix."""
    if w.ndim != 2:
        raise ValueError(f"a matrix; yours has shape {w.shape}")
    return float(w.shape[0]), float(w.shape[1])


def flow(norms: np.ndarray) -> tuple[float, float, float]:
    """Of norms layer by layer: how many, the last one, and the factor from each to the one before it."""
    if norms.ndim != 1 or len(norms) < 2 or not np.all(norms > 0):
        raise ValueError(f"a positive number for each layer; yours has shape {norms.shape}")
    growth = (norms[0] / norms[-1]) ** (1 / (len(norms) - 1))
    return float(len(norms)), float(norms[-1]), float(growth)


def difference(w: np.ndarray, other: np.ndarray) -> tuple[float]:
    """The largest difference between two arrays of one shape; infinity for others."""
    return (float(np.max(np.abs(w - other))) if w.shape == other.shape else np.inf,)


def overlap(w: np.ndarray, other: np.ndarray) -> tuple[float]:
    """How alike two draws are: their |cosine|, times the root of the size; infinity for arrays of two shapes.

    Of independent numbers around zero it is the size of a standard normal number.
    """
    if w.shape != other.shape:
        return (np.inf,)
    cosine = np.sum(w * other) / (np.linalg.norm(w) * np.linalg.norm(other))
    return (float(np.abs(cosine) * np.sqrt(w.size)),)


def pattern(w: np.ndarray) -> tuple[float, float]:
    """How far rows and columns are from independent draws: by their directions, and by their widths.

    Both count standard errors. Of independent draws, the largest in a layer of 100 units is about 5.
    """
    if w.ndim != 2 or max(w.shape) > LONGEST:
        raise ValueError(f"a matrix of shape (fan_in, fan_out); yours has shape {w.shape}")
    sides = [_sides(w), _sides(np.transpose(w))]
    return max(alike for alike, _ in sides), max(uneven for _, uneven in sides)


def _sides(w: np.ndarray) -> tuple[float, float]:
    """The two numbers of `pattern`, of rows alone."""
    length = w.shape[1]
    rows = w - np.mean(w)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    cosines = np.abs(rows @ np.transpose(rows))
    np.fill_diagonal(cosines, 0)
    width = np.std(w)
    # The width of a sample varies more where the tails are heavy; up to a Laplace distribution that is no pattern.
    kurtosis = np.clip(np.mean(((w - np.mean(w)) / width) ** 4), 3, 6)
    errors = np.abs(np.std(w, axis=1) / width - 1) * np.sqrt(4 * length / (kurtosis - 1))
    return float(np.max(cosines) * np.sqrt(length)), float(np.max(errors))


MEASURES: dict[str, Callable[..., tuple[float, ...]]] = {
    "spread": spread,
    "shape": shape,
    "flow": flow,
    "difference": difference,
    "overlap": overlap,
    "pattern": pattern,
}


def measure(name: str, *values: Any) -> tuple[float, ...]:
    """The numbers of that name. ValueError where a value is no array of real numbers, nor lists of them."""
    arrays = [_real_numbers(value) for value in values]
    with np.errstate(all="ignore"):  # a student may return any number
        return MEASURES[name](*arrays)


def _real_numbers(value: Any) -> np.ndarray:
    try:
        array = np.asarray(value) if _count_numbers(value) < np.inf else None
    except ValueError:  # uneven rows
        array = None
    if array is None or array.dtype.kind not in "fiu" or not array.size:
        raise ValueError(f"an array of real numbers; yours is a {type(value).__name__}")
    return array.astype(np.float64)


def _count_numbers(value: Any) -> float:
    """How many numbers an array or lists hold; infinity where there is anything else, or too much in lists."""
    if isinstance(value, list | tuple):
        count = sum(value.size if isinstance(value, np.ndarray) else _count_numbers(value) for value in value)
        return count if count <= MAX_LISTED else np.inf
    return 1 if isinstance(value, int | float | np.ndarray | np.number) else np.inf
