"""Activations: one function applied to every element, and its local gradient."""

import numpy as np

from minigrad.layers._arrays import Array, as_float


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
    return np.maximum(x, 0), x > 0


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
    dout, active = as_float(dout), cache
    if dout.shape != active.shape:
        raise ValueError(f"relu_backward: dout has shape {dout.shape} but out has shape {active.shape}")
    return np.where(active, dout, 0)  # not dout * active: inf * 0 is nan, and a dead unit passes on nothing
