"""Data for small experiments: made from a seed, or shipped with the package. Nothing is downloaded.

Points in the plane (`blobs`, `circles`, `spirals`), sequences that take a memory (`memory_task`, `adding_task`),
handwritten digits (`digits`). A world to learn values in is `minigrad.gridworld.GridWorld`; it can be had
from here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad._stored import stored
from minigrad.gridworld import GridWorld, Transitions

if TYPE_CHECKING:  # importing numpy.random takes as long as all the rest
    from numpy.random import Generator as Rng

__all__ = [
    "GridWorld",
    "Transitions",
    "adding_task",
    "blobs",
    "circles",
    "digits",
    "memory_task",
    "spirals",
    "split",
]

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


# ------------------------------------------------------------------------------
# Points in the plane
# ------------------------------------------------------------------------------


def blobs(n: int, rng: Rng, classes: int = 3, noise: float = 0.3) -> tuple[Floats, Ints]:
    """Clouds of points around a circle, one for each class: an affine layer alone can tell them apart.

    Parameters
    ----------
    n : int
        Points in all; each class gets its share, the first ones one more where it does not come out even.
    rng : Generator
    classes : int
    noise : float
        Standard deviation of each cloud. The centres lie at distance 1 from the origin.

    Returns
    -------
    x : ndarray, shape (n, 2)
    y : ndarray of int, shape (n,)

    Raises
    ------
    ValueError
        If `n` is negative, or there is no class.

    Examples
    --------
    >>> x, y = blobs(7, np.random.default_rng(0))
    >>> x.shape, np.bincount(y)
    ((7, 2), array([3, 2, 2]))
    """
    y = _labels("blobs", n, classes)
    angle = 2 * np.pi * y / classes
    return _polar(np.ones(n), angle) + noise * rng.standard_normal((n, 2)), y


def circles(n: int, rng: Rng, classes: int = 2, noise: float = 0.1) -> tuple[Floats, Ints]:
    """Rings around each other, one for each class: no straight line tells them apart.

    Parameters
    ----------
    n : int
        Points in all.
    rng : Generator
    classes : int
    noise : float
        Standard deviation around the ring. The outermost ring has radius 1.

    Returns
    -------
    x : ndarray, shape (n, 2)
    y : ndarray of int, shape (n,)

    Raises
    ------
    ValueError
        If `n` is negative, or there is no class.

    Examples
    --------
    >>> x, y = circles(4, np.random.default_rng(0), noise=0.0)
    >>> np.hypot(*x.T)
    array([0.5, 0.5, 1. , 1. ])
    """
    y = _labels("circles", n, classes)
    angle = rng.uniform(0, 2 * np.pi, n)
    return _polar((y + 1) / classes, angle) + noise * rng.standard_normal((n, 2)), y


def spirals(
    n: int, rng: Rng, classes: int = 3, noise: float = 0.2, turns: float = 0.64
) -> tuple[Floats, Ints]:
    """Arms that wind around each other: a network needs a hidden layer, and it shows.

    Parameters
    ----------
    n : int
        Points in all.
    rng : Generator
    classes : int
        Arms.
    noise : float
        Standard deviation of the angle, in radians.
    turns : float
        How far an arm winds around the origin.

    Returns
    -------
    x : ndarray, shape (n, 2)
        Within distance 1 of the origin.
    y : ndarray of int, shape (n,)

    Raises
    ------
    ValueError
        If `n` is negative, or there is no class.

    Examples
    --------
    >>> x, y = spirals(300, np.random.default_rng(0))
    >>> x.shape, np.bincount(y)
    ((300, 2), array([100, 100, 100]))
    """
    y = _labels("spirals", n, classes)
    counts = np.bincount(y, minlength=classes)
    radius = np.concatenate([np.linspace(0, 1, count) for count in counts])
    angle = 2 * np.pi * (y / classes + turns * radius) + noise * rng.standard_normal(n)
    return _polar(radius, angle), y


def _labels(function: str, n: int, classes: int) -> Ints:
    """`n` labels, in order, as many of each class as of any other or one more."""
    if n < 0 or classes < 1:
        raise ValueError(f"{function}: there cannot be {n} points in {classes} classes")
    return np.sort(np.arange(n) % classes)


def _polar(radius: Floats, angle: Floats) -> Floats:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


# ------------------------------------------------------------------------------
# Sequences
# ------------------------------------------------------------------------------


def memory_task(n: int, steps: int, rng: Rng, symbols: int = 4, noise: float = 0.0) -> tuple[Floats, Ints]:
    """A symbol at the first step, nothing after it: which one was it?

    Parameters
    ----------
    n : int
        Sequences.
    steps : int
        Length: the symbol has to be kept for ``steps - 1`` steps.
    rng : Generator
    symbols : int
        How many there are: guessing is right once in so many.
    noise : float
        Standard deviation of what distracts at all later steps.

    Returns
    -------
    x : ndarray, shape (n, steps, symbols)
        One-hot at the first step.
    y : ndarray of int, shape (n,)
        The symbol, to be named at the last step.

    Raises
    ------
    ValueError
        If there is no step, or no symbol.

    Notes
    -----
    A network learns this only if the gradient of the last step reaches the first.

    Examples
    --------
    >>> x, y = memory_task(2, 3, np.random.default_rng(0), symbols=2)
    >>> y[0], x[0]
    (np.int64(1), array([[0., 1.],
           [0., 0.],
           [0., 0.]]))
    """
    if steps < 1 or symbols < 1:
        raise ValueError(f"memory_task: there cannot be {steps} steps with {symbols} symbols")
    y = rng.integers(0, symbols, n)
    x = rng.normal(0, noise, (n, steps, symbols))
    x[:, 0] = np.eye(symbols)[y]
    return x, y


def adding_task(n: int, steps: int, rng: Rng) -> tuple[Floats, Floats]:
    """Numbers, two of them marked, one in each half of the sequence: what is their sum?

    Parameters
    ----------
    n : int
        Sequences.
    steps : int
        Length, at least 2.
    rng : Generator

    Returns
    -------
    x : ndarray, shape (n, steps, 2)
        A number between 0 and 1, and the mark: 1 at two steps, 0 at all others.
    y : ndarray, shape (n, 1)
        The sum of the two.

    Raises
    ------
    ValueError
        If there are less than two steps.

    Notes
    -----
    Always answering 1, the mean, has a squared error of 1/6 = 0.167, the variance of the sum of two uniform
    numbers. A network that stays there has learned nothing from the marks.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.

    Examples
    --------
    >>> x, y = adding_task(5, 10, np.random.default_rng(0))
    >>> bool(np.allclose((x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True), y))
    True
    """
    if steps < 2:
        raise ValueError(f"adding_task: two numbers cannot be marked in {steps} steps")
    half = steps // 2
    x = np.zeros((n, steps, 2))
    x[..., 0] = rng.uniform(0, 1, (n, steps))
    rows = np.arange(n)
    first, second = rng.integers(0, half, n), rng.integers(half, steps, n)
    x[rows, first, 1] = x[rows, second, 1] = 1
    return x, (x[rows, first, 0] + x[rows, second, 0])[:, None]


# ------------------------------------------------------------------------------
# Handwritten digits
# ------------------------------------------------------------------------------


def digits(dtype: DTypeLike = np.float64) -> tuple[Floats, Ints]:
    """1797 handwritten digits of 8 x 8 pixels.

    Parameters
    ----------
    dtype : dtype
        Of `x`.

    Returns
    -------
    x : ndarray, shape (1797, 64)
        Grey values between 0 and 1, row by row; ``x.reshape(-1, 1, 8, 8)`` are images with one channel.
    y : ndarray of int, shape (1797,)
        Which digit it is.

    Notes
    -----
    The test set of "Optical Recognition of Handwritten Digits", under the licence CC BY 4.0; see the README
    beside the data. The writers come one after another, so shuffle before you split.

    References
    ----------
    .. [1] E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
       1998, https://doi.org/10.24432/C50P49

    Examples
    --------
    >>> x, y = digits()
    >>> y[:10]
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    >>> for row in x[0].reshape(8, 8):
    ...     print("|" + "".join(" .:-=+*#@"[round(8 * value)] for value in row) + "|")
    |  :*=   |
    |  *@+@: |
    | :@. *= |
    | :*  == |
    | :=  == |
    | :*  *= |
    | .#:+*  |
    |  -*+   |
    """
    file = stored("digits")
    images, labels = file["images"], file["labels"]
    return (images.reshape(len(images), 64) / 16).astype(dtype), labels.astype(np.int64)


def split(
    x: NDArray[Any], y: NDArray[Any], share: float, rng: Rng
) -> tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]:
    """Examples to learn from and examples to test with, drawn at random.

    Parameters
    ----------
    x, y : ndarray
        Examples and their targets, of the same length.
    share : float
        How much of them to learn from, between 0 and 1.
    rng : Generator

    Returns
    -------
    train, test : (x, y) each

    Raises
    ------
    ValueError
        If the lengths of `x` and `y` differ, or `share` is not between 0 and 1.

    Examples
    --------
    >>> train, test = split(*digits(), 0.8, np.random.default_rng(0))
    >>> train[0].shape, test[1].shape
    ((1438, 64), (359,))
    """
    if len(x) != len(y):
        raise ValueError(f"split: x has shape {x.shape} but y has shape {y.shape}; one target per example")
    if not 0 <= share <= 1:
        raise ValueError(f"split: share must be between 0 and 1, not {share}")
    order = rng.permutation(len(x))
    train, test = np.split(order, [round(share * len(x))])
    return (x[train], y[train]), (x[test], y[test])
