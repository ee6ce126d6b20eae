"""A residual block: the input is handed on as it is, and a small network adds to it."""

import math

import numpy as np

from minigrad.layers._arrays import Array, as_float, upstream
from minigrad.layers.activations import relu_backward, relu_forward
from minigrad.layers.affine import affine_backward, affine_forward


def residual_forward(
    x: Array, w1: Array, b1: Array, w2: Array, b2: Array, scale: float = 1.0
) -> tuple[Array, tuple]:
    r"""Residual block: ``out = x + scale * f(x)``, with f affine, ReLU, affine.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        N examples.
    w1 : ndarray, shape (D, H)
        Weights into the branch.
    b1 : ndarray, shape (H,)
        Biases of the hidden units.
    w2 : ndarray, shape (H, D)
        Weights out of the branch.
    b2 : ndarray, shape (D,)
        Biases of what is added.
    scale : float
        How much the branch counts. In a stack of L blocks, 1 / sqrt(L) keeps the variance bounded.

    Returns
    -------
    out : ndarray, shape (N, D)
        The input, and what the branch adds.
    cache : tuple
        What `residual_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or `scale` is not a finite number.

    Notes
    -----
    `x` goes two ways, so its gradient is the sum of what comes back from both:

    .. math:: dx = dout + s\,\frac{\partial f}{\partial x}^{\!\top} dout

    The first term is the point. Where f does nothing (dead units, tiny weights), the gradient arrives below as it
    was above; to make it vanish, f would have to undo the identity. A product of L Jacobians has become a product
    of L factors :math:`1 + s f'`, each of them close to the identity while :math:`s f'` is small.

    That it does not vanish does not mean that it cannot explode. Under He initialization a branch returns twice the
    variance that it was given, so each block triples the variance: 3**50 after fifty blocks. Hence `scale`, or a
    normalization in the branch, or zeros as the first value of `w2`.

    The forgotten first term is the usual mistake here: forward still adds, training still runs, and the depth hurts
    as it always did.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016.

    Examples
    --------
    >>> x, zeros = np.array([[1.0, 2.0]]), np.zeros((2, 2))
    >>> out, cache = residual_forward(x, zeros, np.zeros(2), zeros, np.zeros(2))
    >>> out  # a branch that does nothing
    array([[1., 2.]])
    """
    x, w1, b1, w2, b2 = (as_float(each) for each in (x, w1, b1, w2, b2))
    _require_fit(x, w1, b1, w2, b2, scale)
    a, cache1 = affine_forward(x, w1, b1)  # (N, D) -> (N, H)
    h, active = relu_forward(a)
    out, cache2 = affine_forward(h, w2, b2)  # (N, H) -> (N, D)
    out *= scale
    np.add(out, x, out=out)
    return out, (cache1, active, cache2, float(scale))


def residual_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `residual_forward` for `x`, `w1`, `b1`, `w2` and `b2`.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
        Upstream gradient.
    cache : tuple
        From `residual_forward`.

    Returns
    -------
    dx : ndarray, shape (N, D)
        Gradient for the examples, from both ways.
    dw1 : ndarray, shape (D, H)
    db1 : ndarray, shape (H,)
    dw2 : ndarray, shape (H, D)
    db2 : ndarray, shape (D,)
        Gradients for the branch, summed over the batch.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> x, zeros = np.array([[1.0, 2.0]]), np.zeros((2, 2))
    >>> _, cache = residual_forward(x, zeros, np.zeros(2), zeros, np.zeros(2))
    >>> dx, *_ = residual_backward(np.array([[3.0, 4.0]]), cache)
    >>> dx  # all of it arrives
    array([[3., 4.]])
    """
    cache1, active, cache2, scale = cache
    x, _ = cache1
    dout = upstream("residual_backward", dout, x.shape)
    dh, dw2, db2 = affine_backward(dout * scale, cache2)
    da = relu_backward(dh, active)
    dx, dw1, db1 = affine_backward(da, cache1)
    np.add(dx, dout, out=dx)  # the other way
    return dx, dw1, db1, dw2, db2


def _require_fit(x: Array, w1: Array, b1: Array, w2: Array, b2: Array, scale: float) -> None:
    def refuse(name: str, array: Array, other_name: str, other: Array, layout: str) -> None:
        raise ValueError(
            f"residual_forward: {name} has shape {array.shape} but {other_name} has shape {other.shape}; "
            f"they must be {layout}"
        )

    if x.ndim != 2 or w1.ndim != 2 or w1.shape[0] != x.shape[1]:
        refuse("w1", w1, "x", x, "(D, H) and (N, D)")
    if b1.shape != w1.shape[1:]:
        refuse("b1", b1, "w1", w1, "(H,) and (D, H)")
    if w2.shape != w1.shape[::-1]:
        refuse("w2", w2, "w1", w1, "(H, D) and (D, H), so that the branch can be added to x")
    if b2.shape != w2.shape[1:]:
        refuse("b2", b2, "w2", w2, "(D,) and (H, D)")
    if not math.isfinite(scale):
        raise ValueError(f"residual_forward: scale must be a finite number, not {scale}")
