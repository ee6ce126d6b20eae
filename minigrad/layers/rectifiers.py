"""Rectifiers that do not die: on the left of zero they keep a slope, given, learned or fading."""

import math
from typing import Any

import numpy as np

from minigrad.layers._arrays import Array, as_float, as_numbers, upstream, where_true


def leaky_relu_forward(x: Array, alpha: float = 0.01) -> tuple[Array, Array]:
    r"""Leaky ReLU: negative numbers are scaled down, not cut off.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.
    alpha : float
        Slope on the left of zero.

    Returns
    -------
    out : ndarray, shape of `x`
        ``x`` where it is positive, ``alpha * x`` elsewhere.
    cache : ndarray, shape of `x`
        The slope at each element: all that `leaky_relu_backward` needs.

    Raises
    ------
    ValueError
        If `alpha` is not a finite number.

    Notes
    -----
    The function is linear on either side of zero, so the slope says everything:

    .. math:: out = s\,x \qquad dx = s\,dout \qquad s = \alpha + (1 - \alpha)\,[x > 0]

    A unit that is negative for every example still gets a gradient, alpha times as large: it learns slowly, and
    may come back. At 0 the slope is `alpha`.

    References
    ----------
    .. [1] A. L. Maas, A. Y. Hannun and A. Y. Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models",
       ICML 2013.

    Examples
    --------
    >>> out, slope = leaky_relu_forward(np.array([-2.0, 0.0, 2.0]), alpha=0.1)
    >>> out
    array([-0.2,  0. ,  2. ])
    """
    x = as_float(x)
    slope = _slope(x, x.dtype.type(_number("leaky_relu_forward", alpha)))
    return np.asarray(x * slope), slope


def leaky_relu_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `leaky_relu_forward`: ``dout * slope``.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : ndarray, shape of `dout`
        From `leaky_relu_forward`.

    Returns
    -------
    dx : ndarray, shape of `dout`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = leaky_relu_forward(np.array([-2.0, 0.0, 2.0]), alpha=0.1)
    >>> leaky_relu_backward(np.array([10.0, 20.0, 30.0]), cache)
    array([ 1.,  2., 30.])
    """
    slope = cache
    return np.asarray(upstream("leaky_relu_backward", dout, slope.shape) * slope)


def prelu_forward(x: Array, alpha: Array) -> tuple[Array, tuple]:
    r"""Parametric ReLU: a leaky ReLU that learns how much it leaks.

    Parameters
    ----------
    x : ndarray, shape (N, ...) or (N, C, ...)
        Pre-activations.
    alpha : ndarray, shape (), (1,) or (C,)
        Slope on the left of zero: one for all, or one for each channel.

    Returns
    -------
    out : ndarray, shape of `x`
        ``x`` where it is positive, ``alpha * x`` elsewhere.
    cache : tuple
        What `prelu_backward` needs.

    Raises
    ------
    ValueError
        If there is neither one `alpha` nor one for each channel.

    Notes
    -----
    For `x` it is a leaky ReLU. Each `alpha` multiplies all the negative numbers of its channel, so it hears from
    all of them:

    .. math:: d\alpha_c = \sum_{n, \dots} dout_{nc\dots}\,\min(x_{nc\dots}, 0)

    Do not decay `alpha` with the weights: that would pull it towards 0, where units die again.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, "Delving Deep into Rectifiers", ICCV 2015.

    Examples
    --------
    >>> out, cache = prelu_forward(np.array([[-2.0, -2.0], [2.0, 2.0]]), np.array([0.25, 0.5]))
    >>> out
    array([[-0.5, -1. ],
           [ 2. ,  2. ]])
    """
    x, alpha = as_float(x), as_float(alpha)
    shared = alpha.shape in [(), (1,)]
    if not shared and (x.ndim < 2 or alpha.shape != x.shape[1:2]):
        raise ValueError(
            f"prelu_forward: alpha has shape {alpha.shape} but x has shape {x.shape}; "
            "there must be one slope for all, or one for each channel, along axis 1"
        )
    along = () if shared else (-1,) + (1,) * (x.ndim - 2)
    active = as_numbers(x > 0, x.dtype)
    slope = np.subtract(1, active, out=np.empty_like(x))
    slope *= alpha.reshape(along)  # (C,) -> (C, 1, ..., 1), beside (N, C, ...)
    slope += active  # not `_slope`: the 1 has to be exact for any alpha that may be learned
    negative = np.minimum(x, _zeros_in_a_row(x), out=np.empty_like(x))
    return np.asarray(x * slope), (slope, negative, alpha.shape)


def prelu_backward(dout: Array, cache: tuple) -> tuple[Array, Array]:
    """Gradients of `prelu_forward` for `x` and `alpha`.

    Parameters
    ----------
    dout : ndarray, shape of the output
        Upstream gradient.
    cache : tuple
        From `prelu_forward`.

    Returns
    -------
    dx : ndarray, shape of `dout`
        Gradient for `x`.
    dalpha : ndarray, shape of `alpha`
        Gradient for the slopes, summed over all that share one.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = prelu_forward(np.array([[-2.0, -2.0], [2.0, 2.0]]), np.array([0.25, 0.5]))
    >>> dx, dalpha = prelu_backward(np.ones((2, 2)), cache)
    >>> dx
    array([[0.25, 0.5 ],
           [1.  , 1.  ]])
    >>> dalpha
    array([-2., -2.])
    """
    slope, negative, alpha_shape = cache
    dout = upstream("prelu_backward", dout, slope.shape)
    dx = np.asarray(dout * slope)
    through_alpha = where_true(negative != 0, dout) * negative
    others = None if alpha_shape in [(), (1,)] else tuple(axis for axis in range(dout.ndim) if axis != 1)
    dalpha = np.asarray(through_alpha.sum(axis=others))  # (N, C, ...) -> (C,) or ()
    return dx, dalpha.reshape(alpha_shape)


def elu_forward(x: Array, alpha: float = 1.0) -> tuple[Array, tuple]:
    r"""Exponential linear unit: negative numbers bend towards ``-alpha``.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.
    alpha : float
        How far below zero the output can get.

    Returns
    -------
    out : ndarray, shape of `x`
        ``x`` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere.
    cache : tuple
        What `elu_backward` needs.

    Raises
    ------
    ValueError
        If `alpha` is not a finite number.

    Notes
    -----
    .. math::
        out = \max(x, 0) + \alpha\,(e^{\min(x, 0)} - 1) \qquad
        \frac{d\,out}{dx} = [x > 0] + [x \le 0]\,\alpha\,e^x

    With :math:`\alpha = 1` the slope has no jump at 0. Outputs below zero bring the mean of a layer closer to it. A
    unit far on the left is saturated rather than dead: at x = -10 a gradient of 4.5e-5 is left, at x = -100 one of
    4e-44, which float32 can hardly tell from the zero of a ReLU. `expm1` keeps the digits that ``exp(x) - 1`` loses
    near 0.

    References
    ----------
    .. [1] D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and Accurate Deep Network Learning by Exponential
       Linear Units (ELUs)", ICLR 2016.

    Examples
    --------
    >>> out, cache = elu_forward(np.array([-100.0, -1.0, 0.0, 2.0]))
    >>> out.round(4)
    array([-1.    , -0.6321,  0.    ,  2.    ])
    """
    x = as_float(x)
    scale = x.dtype.type(_number("elu_forward", alpha))
    zeros = _zeros_in_a_row(x)
    negative = np.minimum(x, zeros, out=np.empty_like(x))
    out = np.expm1(negative, out=np.empty_like(x))
    out *= scale
    out += np.maximum(x, zeros)
    return out, (negative, _slope(x, scale))


def elu_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `elu_forward`: 1 on the right of zero, ``alpha * exp(x)`` on the left.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : tuple
        From `elu_forward`.

    Returns
    -------
    dx : ndarray, shape of `dout`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = elu_forward(np.array([-100.0, -1.0, 0.0, 2.0]))
    >>> elu_backward(np.ones(4), cache).round(4)
    array([0.    , 0.3679, 1.    , 1.    ])
    """
    negative, slope_at_0 = cache
    dout = upstream("elu_backward", dout, negative.shape)
    dx = np.exp(negative, out=np.empty_like(negative))  # 1 on the right, where min(x, 0) is 0
    dx *= slope_at_0  # alpha or 1
    dx *= dout
    return dx


def _slope(x: Array, alpha: Any) -> Array:
    """1 where `x` is positive, `alpha` elsewhere.

    The formula is several times faster than np.where, and for alpha between 0 and 2 the 1 is exact.
    """
    slope = as_numbers(x > 0, x.dtype)
    slope *= 1 - alpha
    slope += alpha
    return slope


def _zeros_in_a_row(x: Array) -> Array:
    """What to compare `x` with: against a single 0, numpy takes four times as long."""
    return np.zeros(x.shape[-1:], x.dtype)


def _number(function: str, alpha: float) -> float:
    if not math.isfinite(alpha):
        raise ValueError(f"{function}: alpha must be a finite number, not {alpha}")
    return alpha
