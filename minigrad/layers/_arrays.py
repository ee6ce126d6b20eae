"""What every pair needs before the maths starts."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.inexact]


def as_float(x: ArrayLike) -> Array:
    """`x` as an array that has a gradient: integers become float64, anything else stays what it is."""
    x = np.asarray(x)
    return x if np.issubdtype(x.dtype, np.inexact) else x.astype(np.float64)
