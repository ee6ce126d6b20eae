"""Activations: one function applied to every element, and its local gradient."""

import numpy as np

from minigrad.layers._arrays import Array, as_float, upstream, where_true


def sigmoid_forward(x: Array) -> tuple[Array, Array]:
    r"""Logistic sigmoid: squashes every number into (0, 1).

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.

    Returns
    -------
    out : ndarray, shape of `x`
        ``1 / (1 + exp(-x))``, element by element. Finite for any x; no number is too large.
    cache : ndarray, shape of `x`
        The output: all that `sigmoid_backward` needs.

    Notes
    -----
    .. math::
        \sigma(x) = \frac{1}{1 + e^{-x}} \qquad
        \sigma'(x) = \frac{e^{-x}}{(1 + e^{-x})^2} = \sigma(x)\,(1 - \sigma(x))

    The slope is at most 1/4, at 0: every sigmoid that a gradient passes on its way down takes three quarters of it
    or more. And where the unit is saturated, there is next to nothing left: the slope is 4.5e-5 at x = 10 or -10. On
    the right it is *exactly* zero from x = 37 on in float64, from 17 in float32, because 1 - out is; on the left,
    where out is small and keeps its digits, only when the exponential overflows, below -709.8 and -88.8.

    References
    ----------
    .. [1] S. Hochreiter, "Untersuchungen zu dynamischen neuronalen Netzen", diploma thesis, TU München, 1991.
    .. [2] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
       AISTATS 2010.

    Examples
    --------
    >>> out, _ = sigmoid_forward(np.array([-1000.0, 0.0, 2.0]))
    >>> out.round(4)
    array([0.    , 0.5   , 0.8808])
    """
    x = as_float(x)
    out = np.negative(x, out=np.empty_like(x))
    with np.errstate(over="ignore"):  # exp may overflow to infinity, and 1 / infinity is 0, as it should be
        np.exp(out, out=out)
    out += 1
    np.divide(1, out, out=out)
    return out, out


def sigmoid_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `sigmoid_forward`: ``dout * out * (1 - out)``.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : ndarray, shape of `dout`
        From `sigmoid_forward`.

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
    >>> _, cache = sigmoid_forward(np.array([0.0, 10.0, 40.0]))
    >>> dx = sigmoid_backward(np.ones(3), cache)
    >>> print(dx.round(6))
    [2.5e-01 4.5e-05 0.0e+00]
    """
    out = cache
    dout = upstream("sigmoid_backward", dout, out.shape)
    dx = np.subtract(1, out, out=np.empty_like(out))
    dx *= out
    dx *= dout
    return dx


def tanh_forward(x: Array) -> tuple[Array, Array]:
    r"""Hyperbolic tangent: squashes every number into (-1, 1), with mean 0 for inputs with mean 0.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.

    Returns
    -------
    out : ndarray, shape of `x`
        ``tanh(x)``, element by element.
    cache : ndarray, shape of `x`
        The output: all that `tanh_backward` needs.

    Notes
    -----
    .. math:: \tanh' = 1 - \tanh^2

    It is a sigmoid in other units, :math:`\tanh(x) = 2\,\sigma(2x) - 1`, with a slope of 1 at the origin in place of
    1/4. So a gradient does not shrink on its way through small activations; it still vanishes where the unit is
    saturated, and is exactly zero from about :math:`|x| = 19` in float64, and 9 in float32.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, G. Orr and K.-R. Müller, "Efficient BackProp", Neural Networks: Tricks of the Trade,
       Springer, 1998.

    Examples
    --------
    >>> out, _ = tanh_forward(np.array([-20.0, 0.0, 0.5]))
    >>> out.round(4)
    array([-1.    ,  0.    ,  0.4621])
    """
    x = as_float(x)
    out = np.tanh(x, out=np.empty_like(x))
    return out, out


def tanh_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `tanh_forward`: ``dout * (1 - out**2)``.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : ndarray, shape of `dout`
        From `tanh_forward`.

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
    >>> _, cache = tanh_forward(np.array([0.0, 0.5, 20.0]))
    >>> tanh_backward(np.ones(3), cache).round(4)
    array([1.    , 0.7864, 0.    ])
    """
    out = cache
    dout = upstream("tanh_backward", dout, out.shape)
    dx = np.square(out, out=np.empty_like(out))
    np.subtract(1, dx, out=dx)
    dx *= dout
    return dx


def relu_forward(x: Array) -> tuple[Array, np.ndarray]:
    r"""Rectified linear unit: negative numbers become zero.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.

    Returns
    -------
    out : ndarray, shape of `x`
        ``max(x, 0)``, element by element.
    cache : ndarray of bool, shape of `x`
        Which units are active: all that `relu_backward` needs.

    Notes
    -----
    The slope is 1 on the right of zero and 0 on the left:

    .. math:: dx = dout \cdot [x > 0]

    At exactly 0 there is no slope. Any number between 0 and 1 is a subgradient, and we take 0, as nearly
    everyone does. A finite difference at 0 gives something else (1/2 when centred), so a gradient check that
    steps across the kink reports an error where there is none.

    A unit that is negative for every example passes nothing back: its weights get a gradient of exactly zero,
    stay where they are, and so does the unit. It is dead.

    References
    ----------
    .. [1] X. Glorot, A. Bordes and Y. Bengio, "Deep Sparse Rectifier Neural Networks", AISTATS 2011.

    Examples
    --------
    >>> out, active = relu_forward(np.array([-1.0, 0.0, 2.0]))
    >>> out
    array([0., 0., 2.])
    >>> active
    array([False, False,  True])
    """
    x = as_float(x)
    zeros = np.zeros(x.shape[-1:], x.dtype)  # a row: against a single 0, numpy takes four times as long
    return np.asarray(np.maximum(x, zeros)), np.asarray(x > 0)


def relu_backward(dout: Array, cache: np.ndarray) -> Array:
    """Gradient of `relu_forward`: what comes from above, where the unit was active.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : ndarray of bool, shape of `dout`
        From `relu_forward`.

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
    >>> _, cache = relu_forward(np.array([-1.0, 0.0, 2.0]))
    >>> relu_backward(np.array([10.0, 20.0, 30.0]), cache)
    array([ 0.,  0., 30.])
    """
    active = cache
    dout = upstream("relu_backward", dout, active.shape)
    return where_true(active, dout)  # not dout * active: inf * 0 is nan, and a dead unit passes on nothing
