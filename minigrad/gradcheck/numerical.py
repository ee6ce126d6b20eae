"""Measure a gradient by moving one element at a time, and compare two gradients.

To measure, an array is changed in place, one element at a time, and put back. So a function that ignores its
argument and reads the array from the surrounding scope works too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]
Index = tuple[int, ...]


def numerical_gradient(
    f: Callable[[Array], Any], x: Array, h: float = 1e-5, method: str = "centred"
) -> Array:
    r"""Gradient of a scalar function, measured by moving one element at a time.

    Parameters
    ----------
    f : callable
        Takes `x`, or ignores it and reads the same array from its closure; returns one number.
    x : ndarray of floats, any shape
        Where to measure. Changed in place while `f` runs, and restored exactly, also when `f` raises.
    h : float
        Step.
    method : {"centred", "one-sided"}
        Measure at x + h and x - h, or at x + h and x.

    Returns
    -------
    grad : ndarray, shape and dtype of `x`

    Raises
    ------
    TypeError
        If `x` is not an array of floating-point numbers: `h` would be rounded away.
    ValueError
        If `method` or `h` is impossible, or `f` returns more than one number.

    Notes
    -----
    By Taylor's theorem, the two formulas make an error of first and of second order in the step:

    .. math::
        \frac{f(x+h) - f(x)}{h} = f'(x) + \frac{h}{2} f''(x) + \dots \qquad
        \frac{f(x+h) - f(x-h)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \dots

    A smaller step is better only until round-off takes over: `f` is known to about :math:`\epsilon |f|`, and
    the division makes :math:`\epsilon |f| / h` of it. For the centred formula the sum of both is least near
    :math:`h = \epsilon^{1/3}`, 6e-6 in float64. In float32 there is no good step: measure in float64.

    References
    ----------
    .. [1] J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, Springer, 2006, section 8.1.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> numerical_gradient(lambda x: (x**2).sum(), x).round(6)
    array([2., 4., 6.])
    >>> numerical_gradient(lambda x: (x**2).sum(), x, h=0.1, method="one-sided").round(6)
    array([2.1, 4.1, 6.1])
    """
    if method not in ("centred", "one-sided"):
        raise ValueError(f'numerical_gradient: method must be "centred" or "one-sided", not {method!r}')
    _require_movable("numerical_gradient", "x", x, h)
    grad = np.zeros_like(x)
    here = _number(f(x)) if method == "one-sided" and x.size else 0.0
    for index in np.ndindex(x.shape):
        if method == "centred":
            grad[index] = _slope(f, x, index, h)
        else:
            with _moved(x, index, h):
                grad[index] = (_number(f(x)) - here) / h
    return grad


def numerical_gradient_array(f: Callable[[Array], Array], x: Array, df: ArrayLike, h: float = 1e-5) -> Array:
    r"""Gradient of ``sum(f(x) * df)``: what a backward pass returns for the upstream gradient `df`.

    Parameters
    ----------
    f : callable
        Takes `x`, or ignores it and reads the same array from its closure; returns an array.
    x : ndarray of floats, any shape
        Where to measure. Changed in place while `f` runs, and restored exactly, also when `f` raises.
    df : array_like, shape of ``f(x)``
        Upstream gradient.
    h : float
        Step of the centred difference.

    Returns
    -------
    grad : ndarray, shape and dtype of `x`

    Raises
    ------
    TypeError
        If `x` is not an array of floating-point numbers.
    ValueError
        If `df` does not have the shape of ``f(x)``, or `h` is impossible.

    Notes
    -----
    The slope of :math:`L = \sum_k df_k f_k(x)`. The outputs are subtracted before they are summed, so that
    many large outputs do not drown a small change in one of them.

    Draw `df` at random. With ones, every mistake that a sum cannot see stays hidden: `dout` transposed, or
    one row of it used for all.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> numerical_gradient_array(lambda x: x**2, x, np.array([1.0, -1.0])).round(6)
    array([ 2., -4.])
    """
    _require_movable("numerical_gradient_array", "x", x, h)
    df = np.asarray(df)
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        with _moved(x, index, +h):
            plus = np.array(f(x))  # a copy: f may return x itself, or a view of it
        with _moved(x, index, -h):
            minus = np.array(f(x))
        if plus.shape != df.shape:
            raise ValueError(
                f"numerical_gradient_array: df has shape {df.shape} but f(x) has shape {plus.shape}"
            )
        grad[index] = np.sum((plus - minus) * df) / (2 * h)
    return grad


def _slope(f: Callable[[Array], Any], x: Array, index: Index, h: float) -> float:
    """Centred difference of `f` along one element of `x`."""
    with _moved(x, index, +h):
        plus = _number(f(x))
    with _moved(x, index, -h):
        minus = _number(f(x))
    return (plus - minus) / (2 * h)


@contextmanager
def _moved(x: Array, index: Index, step: float) -> Iterator[None]:
    """One element of `x` moved, then put back. The old value is kept, since (x + h) - h need not be x."""
    old = x[index]
    x[index] = old + step
    try:
        yield
    finally:
        x[index] = old


def _number(value: Any) -> float:
    """What a scalar function returned, as a Python number: a copy, should it be a view of x."""
    array = np.asarray(value)
    if array.size != 1:
        raise ValueError(f"f must return one number, but returned an array of shape {array.shape}")
    return array.item()


def _require_movable(function: str, name: str, x: Any, h: float) -> None:
    """Refuse what cannot be moved in place: its differences would all be zero, and look like a result."""
    if not isinstance(x, np.ndarray) or not np.issubdtype(x.dtype, np.floating):
        kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        raise TypeError(f"{function}: {name} must be an array of floats, which moves in place; it is {kind}")
    if not 0 < h < np.inf:
        raise ValueError(f"{function}: the step h must be positive and finite, not {h}")


def relative_error(a: ArrayLike, b: ArrayLike) -> float:
    r"""Relative error of the worst element.

    Parameters
    ----------
    a, b : array_like, same shape
        What to compare, usually an analytic and a numerical gradient.

    Returns
    -------
    error : float
        The largest :math:`|a_i - b_i| / \max(|a_i|, |b_i|)`: 0 where both are zero, 2 for opposite signs, and
        0 for empty arrays. It is infinite as soon as any element of either is nan or infinite, even where the
        two agree: such a gradient is never right, and nan would make every comparison with a tolerance false.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Nothing is added to the denominator. A constant there would hide every error in gradients smaller than
    itself, and those are the ones that this course is about. The price: where the true gradient is exactly
    zero and the numerical one is round-off, the error is 1. Look at the values before you believe it.

    Examples
    --------
    >>> round(relative_error([1.0, 2.0, 0.0], [1.0, 2.002, 0.0]), 6)
    0.000999
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"relative_error: a has shape {a.shape} but b has shape {b.shape}")
    return float(np.max(_relative_errors(a, b), initial=0.0))


def _relative_errors(a: NDArray, b: NDArray) -> Array:
    """Relative error of each element."""
    wide = np.result_type(a, b, np.float64)
    a, b = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        scale = np.maximum(abs(a), abs(b))
        errors = abs(_over(a, scale) - _over(b, scale))  # a - b may overflow
    errors = np.where(scale == 0, 0.0, errors)
    return np.where(np.isfinite(scale), errors, np.inf)


def _over(a: NDArray, scale: Any) -> NDArray:
    """`a / scale`, part by part: complex division goes through 1 / scale, which may overflow."""
    return a.real / scale + 1j * (a.imag / scale) if np.iscomplexobj(a) else a / scale


def _subscript(index: Index) -> str:
    """How an element is written after the name of its array: `[3, 1]`, or nothing for a scalar."""
    return f"[{', '.join(map(str, index))}]" if index else ""
