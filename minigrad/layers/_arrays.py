"""What every pair needs before the maths starts."""

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.inexact]

UNSIGNED = {bits.itemsize: bits for bits in map(np.dtype, (np.uint16, np.uint32, np.uint64))}


def as_float(x: ArrayLike) -> Array:
    """`x` as an array that has a gradient: integers become float64, anything else stays what it is."""
    x = np.asarray(x)
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


def upstream(function: str, dout: ArrayLike, out_shape: tuple[int, ...], name: str = "dout") -> Array:
    """`dout` as an array of floats; ValueError where it does not have the shape of the output.

    `name` is what `function` calls it: ``"dnext_h"`` belongs to the output ``next_h``.
    """
    dout = as_float(dout)
    if dout.shape != out_shape:
        raise ValueError(f"{function}: {name} has shape {dout.shape} but {name[1:]} has shape {out_shape}")
    return dout


def where_true(mask: NDArray[np.bool], x: Array) -> Array:
    """``np.where(mask, x, 0)``, several times faster for a mask that no branch prediction can guess.

    The bits of each number times 0 or 1; the number itself times 0 would be nan where it is infinite.
    """
    bits = UNSIGNED.get(x.itemsize)
    if bits is None:
        return np.where(mask, x, 0)  # no unsigned integer is as wide
    chosen = as_numbers(mask, bits)
    chosen *= x.view(bits)
    return chosen.view(x.dtype)


def as_numbers(mask: NDArray[np.bool], dtype: np.dtype) -> np.ndarray:
    """`mask` as a new array of zeros and ones."""
    return np.asarray(mask).view(np.uint8).astype(dtype)  # numpy converts bytes faster than bools


def dot_rows(x: Array, y: Array) -> Array:
    """Inner product of each row of `x` with the same row of `y`: (..., D) -> (...).

    ``np.einsum("...d,...d->...", x, y)``, in half the time.
    """
    return (x[..., None, :] @ y[..., None])[..., 0, 0]


def row_by_row(x: Array) -> AbstractContextManager[object]:
    """While this holds, an operation between `x` and one number for each row (or column) walks along the rows.

    Left alone, numpy fills a buffer of 8192 elements with copies of the number, several rows at a time, and goes on
    from there. Where rows are long, that takes more time than the operation itself.
    """
    long = x.shape[-1] * x.itemsize >= 2048 and x.nbytes >= 2**17
    return _SmallBuffer() if long else nullcontext()


class _SmallBuffer:
    """A buffer that holds less than a row, in this thread only."""

    def __enter__(self) -> None:
        self.before = np.setbufsize(64)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        np.setbufsize(self.before)
