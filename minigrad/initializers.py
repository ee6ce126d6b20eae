r"""Initial weights: how large must they be, so that neither activations nor gradients shrink or grow with depth?

Each initializer takes a shape, a generator, and returns an array; for the same generator, float32 gets the same
numbers as float64, rounded.

A sum of `fan_in` independent products has `fan_in` times the variance of one. So a layer keeps the variance of
what goes through it when each weight has a variance of 1 / fan_in, and that of the gradient on its way back when
it is 1 / fan_out. An activation takes its share away; its `gain` makes up for that.
"""

import math

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad.gains import fans

Array = NDArray[np.floating]
Shape = tuple[int, ...]


def constant(
    shape: Shape, rng: np.random.Generator | None = None, value: float = 0.0, dtype: DTypeLike = np.float64
) -> Array:
    """Return the same number everywhere: right for biases, a trap for weights.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    rng : numpy.random.Generator, optional
        Not used; here so that one initializer can take the place of another.
    value : float
        The number.
    dtype : dtype
        Of the array.

    Returns
    -------
    w : ndarray, shape `shape`

    Notes
    -----
    Units with equal weights compute the same, get the same gradient, and stay equal for ever: a hidden layer of
    them is one unit. With weights of zero, nothing even reaches the layer below.

    Examples
    --------
    >>> constant((3,), value=0.01)
    array([0.01, 0.01, 0.01])
    """
    return np.full(shape, value, dtype)


def normal(shape: Shape, rng: np.random.Generator, std: float = 0.01, dtype: DTypeLike = np.float64) -> Array:
    """Draw from a normal distribution of one width, whatever the layer: what one did before Xavier.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    rng : numpy.random.Generator
        Where randomness comes from.
    std : float
        Standard deviation.
    dtype : dtype
        Of the array.

    Returns
    -------
    w : ndarray, shape `shape`

    Examples
    --------
    >>> normal((2, 2), np.random.default_rng(0), std=1.0).round(3)
    array([[ 0.126, -0.132],
           [ 0.64 ,  0.105]])
    """
    return (std * rng.standard_normal(shape)).astype(dtype)


def xavier_normal(
    shape: Shape, rng: np.random.Generator, gain: float = 1.0, dtype: DTypeLike = np.float64
) -> Array:
    r"""Xavier (or Glorot) initialization: a compromise between forward and backward.

    Parameters
    ----------
    shape : tuple of int
        (D, M) or (F, C, HH, WW); see `fans`.
    rng : numpy.random.Generator
        Where randomness comes from.
    gain : float
        For the activation that follows; see `minigrad.gains.gain`.
    dtype : dtype
        Of the array.

    Returns
    -------
    w : ndarray, shape `shape`

    Raises
    ------
    ValueError
        If the shape has less than two axes.

    Notes
    -----
    .. math:: \sigma = \mathit{gain} \cdot \sqrt{\frac{2}{\mathit{fan\_in} + \mathit{fan\_out}}}

    Forward asks for a variance of 1 / fan_in, backward for 1 / fan_out. Both at once are possible in a square
    layer only; the mean of the two fans wrongs both a little.

    References
    ----------
    .. [1] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
       AISTATS 2010.

    Examples
    --------
    >>> w = xavier_normal((300, 500), np.random.default_rng(0))
    >>> round(float(w.std()), 2)  # the root of 2 / 800
    0.05
    """
    fan_in, fan_out = fans(shape)
    return normal(shape, rng, gain * math.sqrt(2 / (fan_in + fan_out)), dtype)


def xavier_uniform(
    shape: Shape, rng: np.random.Generator, gain: float = 1.0, dtype: DTypeLike = np.float64
) -> Array:
    r"""Xavier initialization from a uniform distribution of the same variance.

    Parameters
    ----------
    shape, rng, gain, dtype
        As for `xavier_normal`.

    Returns
    -------
    w : ndarray, shape `shape`

    Raises
    ------
    ValueError
        If the shape has less than two axes.

    Notes
    -----
    Between -a and a, the variance is :math:`a^2 / 3`: so a is :math:`\sqrt 3` standard deviations.

    Examples
    --------
    >>> w = xavier_uniform((300, 500), np.random.default_rng(0))
    >>> round(float(w.std()), 2), round(float(abs(w).max()), 4)
    (0.05, 0.0866)
    """
    fan_in, fan_out = fans(shape)
    return _uniform(shape, rng, gain * math.sqrt(2 / (fan_in + fan_out)), dtype)


def he_normal(
    shape: Shape, rng: np.random.Generator, slope: float = 0.0, dtype: DTypeLike = np.float64
) -> Array:
    r"""He (or Kaiming) initialization: for layers that a ReLU follows.

    Parameters
    ----------
    shape, rng, dtype
        As for `xavier_normal`.
    slope : float
        On the negative side: 0 for a ReLU, something else for a leaky one.

    Returns
    -------
    w : ndarray, shape `shape`

    Raises
    ------
    ValueError
        If the shape has less than two axes.

    Notes
    -----
    .. math:: \sigma = \sqrt{\frac{2}{(1 + a^2)\,\mathit{fan\_in}}}

    Twice the variance of 1 / fan_in, because a ReLU lets half of the mean square through. With fan_in the
    activations keep their size; gradients of a whole stack then do too, up to the ratio of its two ends.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, "Delving Deep into Rectifiers", ICCV 2015.

    Examples
    --------
    >>> w = he_normal((200, 500), np.random.default_rng(0))
    >>> round(float(w.std()), 2)  # the root of 2 / 200
    0.1
    """
    fan_in, _ = fans(shape)
    return normal(shape, rng, math.sqrt(2 / ((1 + slope**2) * fan_in)), dtype)


def he_uniform(
    shape: Shape, rng: np.random.Generator, slope: float = 0.0, dtype: DTypeLike = np.float64
) -> Array:
    """He initialization from a uniform distribution of the same variance.

    Parameters
    ----------
    shape, rng, slope, dtype
        As for `he_normal`.

    Returns
    -------
    w : ndarray, shape `shape`

    Raises
    ------
    ValueError
        If the shape has less than two axes.

    Examples
    --------
    >>> w = he_uniform((200, 500), np.random.default_rng(0))
    >>> round(float(w.std()), 2)
    0.1
    """
    fan_in, _ = fans(shape)
    return _uniform(shape, rng, math.sqrt(2 / ((1 + slope**2) * fan_in)), dtype)


def orthogonal(
    shape: Shape, rng: np.random.Generator, gain: float = 1.0, dtype: DTypeLike = np.float64
) -> Array:
    r"""Draw a matrix that turns vectors and does not stretch them: all its singular values are `gain`.

    Parameters
    ----------
    shape : tuple of int
        (D, M) or (F, C, HH, WW), taken as a matrix of F rows.
    rng, dtype
        As for `xavier_normal`.
    gain : float
        The singular values.

    Returns
    -------
    w : ndarray, shape `shape`
        Its rows are orthogonal, or its columns: whichever are fewer.

    Raises
    ------
    ValueError
        If the shape has less than two axes.

    Notes
    -----
    Xavier keeps the variance on average, but a product of T random matrices stretches some directions and loses
    others, more so with every factor. A product of orthogonal ones is orthogonal: the same matrix can be applied
    T times, which is what a recurrent network does.

    The Q of a QR decomposition of a normal matrix, with the signs of R's diagonal, is distributed evenly over all
    rotations and reflections.

    References
    ----------
    .. [1] A. M. Saxe, J. L. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in
       deep linear neural networks", ICLR 2014.

    Examples
    --------
    >>> w = orthogonal((3, 5), np.random.default_rng(0), gain=2.0)
    >>> np.linalg.svd(w, compute_uv=False).round(6)
    array([2., 2., 2.])
    """
    if len(shape) < 2:
        raise ValueError(f"orthogonal: shape must have two axes or more, not {shape}")
    rows, columns = shape[0], math.prod(shape[1:])
    tall = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype, order="C")


def _uniform(shape: Shape, rng: np.random.Generator, std: float, dtype: DTypeLike) -> Array:
    """Uniform numbers around zero with this standard deviation."""
    limit = math.sqrt(3) * std
    return rng.uniform(-limit, limit, shape).astype(dtype)


# ------------------------------------------------------------------------------
# As the course asks for them: an affine layer, by its two sides
# ------------------------------------------------------------------------------


def xavier_init(fan_in: int, fan_out: int, gain: float, rng: np.random.Generator) -> Array:
    """Draw the weights of an affine layer, shape (fan_in, fan_out), with `xavier_normal`.

    Parameters
    ----------
    fan_in, fan_out : int
        Inputs and outputs of the layer.
    gain : float
        For the activation that follows.
    rng : numpy.random.Generator
        Where randomness comes from.

    Returns
    -------
    w : ndarray, shape (fan_in, fan_out)

    Examples
    --------
    >>> xavier_init(3, 2, 1.0, np.random.default_rng(0)).shape
    (3, 2)
    """
    return xavier_normal((fan_in, fan_out), rng, gain)


def he_init(fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
    """Draw the weights of an affine layer that a ReLU follows, shape (fan_in, fan_out), with `he_normal`.

    Parameters
    ----------
    fan_in, fan_out : int
        Inputs and outputs of the layer.
    rng : numpy.random.Generator
        Where randomness comes from.

    Returns
    -------
    w : ndarray, shape (fan_in, fan_out)

    Examples
    --------
    >>> he_init(3, 2, np.random.default_rng(0)).shape
    (3, 2)
    """
    return he_normal((fan_in, fan_out), rng)
