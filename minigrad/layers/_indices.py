"""Whole numbers that name a row, a column or a class."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_indices(function: str, name: str, indices: ArrayLike, count: int) -> NDArray[np.intp]:
    """`indices` as an array; ValueError unless all are whole numbers from 0 to `count` - 1.

    Numpy would take a negative one from the end, and a boolean for a mask.
    """
    indices = np.asarray(indices)
    if not indices.size:
        return indices.astype(np.intp)
    if indices.dtype.kind not in "iu":
        raise ValueError(f"{function}: {name} must be whole numbers, not {indices.dtype}")
    least, most = indices.min(), indices.max()
    if least < 0 or most >= count:
        wrong = least if least < 0 else most
        raise ValueError(f"{function}: {name} must lie between 0 and {count - 1}, but {wrong} is among them")
    return indices.astype(np.intp, copy=False)  # products of small integers overflow
