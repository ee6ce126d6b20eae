"""The checkers of CS231n, under the names that its notebooks call."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minigrad.gradcheck.numerical import (
    Array,
    _require_movable,
    _slope,
    numerical_gradient,
    numerical_gradient_array,
)


def eval_numerical_gradient(
    f: Callable[[Array], Any], x: Array, verbose: bool = True, h: float = 1e-5
) -> Array:
    """`numerical_gradient`, which prints each index and its slope unless told not to.

    Examples
    --------
    >>> grad = eval_numerical_gradient(lambda x: 3 * x.sum(), np.zeros(2))
    (0,) 3.0
    (1,) 3.0
    """
    grad = numerical_gradient(f, x, h)
    if verbose:
        for index in np.ndindex(grad.shape):
            print(index, grad[index])
    return grad


def eval_numerical_gradient_array(
    f: Callable[[Array], Array], x: Array, df: ArrayLike, h: float = 1e-5
) -> Array:
    """`numerical_gradient_array` by its other name.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> eval_numerical_gradient_array(lambda ignored: x**2, x, np.ones(2)).round(6)
    array([2., 4.])
    """
    return numerical_gradient_array(f, x, df, h)


def grad_check_sparse(
    f: Callable[[Array], Any],
    x: Array,
    analytic_grad: Array,
    num_checks: int = 10,
    h: float = 1e-5,
    *,
    rng: np.random.Generator | None = None,
) -> None:
    """Print the numerical and the analytic slope at random elements of `x`, drawn with replacement.

    The error is CS231n's: ``|numerical - analytic| / (|numerical| + |analytic|)``, at most 1, and here 0
    where both are zero. `rng` makes the choice repeatable.

    Examples
    --------
    >>> grad_check_sparse(lambda x: (x**2).sum(), np.ones(1), np.full(1, 3.0), num_checks=1)
    numerical: 2.000000 analytic: 3.000000, relative error: 2.000000e-01
    """
    _require_movable("grad_check_sparse", "x", x, h)
    rng = rng or np.random.default_rng()
    for _ in range(num_checks):
        index = tuple(int(rng.integers(length)) for length in x.shape)
        numerical, analytic = _slope(f, x, index, h), analytic_grad[index].item()
        total = abs(numerical) + abs(analytic)
        error = abs(numerical - analytic) / total if total else 0.0
        print(f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}")


def rel_error(x: ArrayLike, y: ArrayLike) -> float:
    """CS231n's relative error of the worst element: |x - y| / max(1e-8, |x| + |y|).

    Up to half of what `relative_error` says, and blind to gradients far below 1e-8.

    Examples
    --------
    >>> rel_error([1.0, 2.0], [1.0, 2.0])
    0.0
    >>> rel_error(1e-12, 5e-12) < 1e-3  # five times too large, and not seen
    True
    """
    x, y = np.asarray(x), np.asarray(y)
    return float(np.max(abs(x - y) / np.maximum(1e-8, abs(x) + abs(y))))
