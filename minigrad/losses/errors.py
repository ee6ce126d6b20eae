"""How far off: losses of predictions against targets."""

import numpy as np
from numpy.typing import ArrayLike

from minigrad.layers._arrays import Array
from minigrad.losses._checks import Number, positive, prediction_and_target


def mse_loss(x: Array, target: ArrayLike) -> tuple[Number, Array]:
    r"""Squared error, mean over all elements.

    Parameters
    ----------
    x : ndarray, any shape
        Predictions.
    target : array_like, shape of `x`
        What they should be.

    Returns
    -------
    loss : number
    dx : ndarray, shape of `x`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If the shapes differ (nothing is broadcast), or there is no element.

    Notes
    -----
    .. math:: loss = \operatorname{mean}\,(x - t)^2 \qquad dx = 2\,(x - t) / \text{size}

    The gradient grows with the error, without bound: one outlier can decide the whole step.

    A prediction of shape (N, 1) with a target of shape (N,) would broadcast to (N, N), and the network would learn
    to predict the mean: hence the refusal.

    Examples
    --------
    >>> loss, dx = mse_loss(np.array([1.0, 5.0]), [1.0, 1.0])
    >>> print(loss, dx)
    8.0 [0. 4.]
    """
    x, target = prediction_and_target("mse_loss", x, target)
    error = np.subtract(x, target, out=np.empty_like(x))
    loss = _dot(error, error) / x.size
    dx = np.multiply(error, 2 / x.size, out=error)
    return loss, dx


def huber_loss(x: Array, target: ArrayLike, delta: float = 1.0) -> tuple[Number, Array]:
    r"""Huber loss: squared near the target, straight further away. Mean over all elements.

    Parameters
    ----------
    x : ndarray, any shape
        Predictions.
    target : array_like, shape of `x`
        What they should be.
    delta : float
        The error from which the loss is straight, and the largest slope that it has.

    Returns
    -------
    loss : number
    dx : ndarray, shape of `x`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If the shapes differ, there is no element, or `delta` is not a positive, finite number.

    Notes
    -----
    With the error :math:`e = x - t`, and :math:`c` the error clipped to :math:`[-\delta, \delta]`,

    .. math::
        loss = \operatorname{mean} \begin{cases} e^2 / 2 & |e| \le \delta \\
        \delta\,(|e| - \delta / 2) & |e| > \delta \end{cases}
        = \operatorname{mean}\; c\,(e - c / 2) \qquad dx = c / \text{size}

    The *gradient* is clipped: an outlier pulls, but not harder than delta. To clip the error itself is another
    thing, see `clipped_delta_loss`. The 1/2 and the :math:`-\delta/2` make value and slope continuous.

    References
    ----------
    .. [1] P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> loss, dx = huber_loss(np.array([0.5, 100.0]), [0.0, 0.0])
    >>> print(loss, dx)  # (0.125 + 99.5) / 2
    49.8125 [0.25 0.5 ]
    """
    x, target = prediction_and_target("huber_loss", x, target)
    delta = positive("huber_loss", delta)
    error = np.subtract(x, target, out=np.empty_like(x))
    clipped = np.clip(error, -delta, delta, out=np.empty_like(error))
    loss = (_dot(clipped, error) - _dot(clipped, clipped) / 2) / x.size
    dx = np.divide(clipped, x.size, out=clipped)
    return loss, dx


def clipped_delta_loss(x: Array, target: ArrayLike, delta: float = 1.0) -> tuple[Number, Array]:
    r"""Squared error of the clipped error: **a bug**, kept to be looked at. Use `huber_loss`.

    Parameters
    ----------
    x : ndarray, any shape
        Predictions.
    target : array_like, shape of `x`
        What they should be.
    delta : float
        Where errors are clipped.

    Returns
    -------
    loss : number
        Half the mean of the squares, so that small errors cost what they cost in `huber_loss`.
    dx : ndarray, shape of `x`
        Its gradient, which is right, and useless.

    Raises
    ------
    ValueError
        If the shapes differ, there is no element, or `delta` is not a positive, finite number.

    Notes
    -----
    The thought was: outliers should not disturb, so clip them. Forward that looks sensible. With :math:`e = x - t`,

    .. math::
        loss = \tfrac12 \operatorname{mean}\,\operatorname{clip}(e, -\delta, \delta)^2 \qquad
        dx = \begin{cases} e / \text{size} & |e| \le \delta \\ 0 & |e| > \delta \end{cases}

    A clipped number does not move when its input does: the slope of clip is 0 outside of its bounds. So the larger
    the mistake, the less is learned from it, and from a mistake larger than delta, nothing. In Q-learning those are
    the rare, large rewards that everything is about. An implementation of deep Q-learning was published with this
    bug, and it trained, a little.

    References
    ----------
    .. [1] A. Karpathy, "Yes you should understand backprop", 2016, the section on DQN clipping.

    Examples
    --------
    >>> loss, dx = clipped_delta_loss(np.array([0.5, 100.0]), [0.0, 0.0])
    >>> print(loss, dx)  # nothing pulls at the 100
    0.3125 [0.25 0.  ]
    """
    x, target = prediction_and_target("clipped_delta_loss", x, target)
    delta = positive("clipped_delta_loss", delta)
    error = np.subtract(x, target, out=np.empty_like(x))
    clipped = np.clip(error, -delta, delta, out=np.empty_like(error))
    loss = _dot(clipped, clipped) / (2 * x.size)
    dx = np.multiply(clipped, clipped == error, out=clipped)
    dx /= x.size
    return loss, dx


def _dot(a: Array, b: Array) -> Number:
    """Sum of the products of two arrays of one layout; not np.vdot, which would conjugate."""
    return np.dot(a.ravel(order="K"), b.ravel(order="K"))
