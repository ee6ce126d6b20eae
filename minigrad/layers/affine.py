"""The affine layer: every output is a weighted sum of all inputs, plus a bias."""

import math

from minigrad.layers._arrays import Array, as_float, upstream


def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple]:
    r"""Affine map of each example: ``out = x w + b``.

    Parameters
    ----------
    x : ndarray, shape (N, d1, ..., dk)
        N examples. Each one is flattened to a row of D = d1 * ... * dk numbers.
    w : ndarray, shape (D, M)
        Weights; column m holds the weights of output m.
    b : ndarray, shape (M,)
        Biases.

    Returns
    -------
    out : ndarray, shape (N, M)
        Pre-activations.
    cache : tuple
        What `affine_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    With each example flattened to a row of `x`,

    .. math:: out_{nm} = \sum_d x_{nd}\, w_{dm} + b_m

    Take one number, ask which outputs it reaches, and add up what comes back from them:

    * :math:`x_{nd}` reaches row n only, so :math:`dx_{nd} = \sum_m dout_{nm}\, w_{dm}`: ``dx = dout w.T``.
    * :math:`w_{dm}` reaches column m, once per example, so :math:`dw_{dm} = \sum_n x_{nd}\, dout_{nm}`:
      ``dw = x.T dout``.
    * :math:`b_m` reaches column m, once per example, with weight 1: ``db`` is the sum of the rows of `dout`.

    No 1/N appears: a mean over the batch belongs to the loss, and has reached `dout` already.

    Two failures start here. A stack of layers multiplies the gradient by one ``w.T`` after another, so it
    shrinks or grows geometrically with depth. And where the inputs are all zero, so is `dw`.

    References
    ----------
    .. [1] I. Goodfellow, Y. Bengio and A. Courville, "Deep Learning", MIT Press, 2016, section 6.5.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> w = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    >>> out, cache = affine_forward(x, w, np.array([0.0, 0.0, 10.0]))
    >>> out
    array([[ 1.,  2., 13.],
           [ 3.,  4., 17.]])
    """
    x, w, b = as_float(x), as_float(w), as_float(b)
    if x.ndim == 0 or w.ndim != 2 or math.prod(x.shape[1:]) != w.shape[0]:
        raise ValueError(
            f"affine_forward: x has shape {x.shape} but w has shape {w.shape}; "
            "they must be (N, d1, ..., dk) and (D, M), with D = d1 * ... * dk"
        )
    if b.shape != w.shape[1:]:
        raise ValueError(
            f"affine_forward: b has shape {b.shape} but w has shape {w.shape}; one bias per column of w"
        )
    out = x.reshape(len(x), w.shape[0]) @ w + b  # (N, D) @ (D, M) -> (N, M)
    return out, (x, w)


def affine_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `affine_forward` for `x`, `w` and `b`.

    Parameters
    ----------
    dout : ndarray, shape (N, M)
        Upstream gradient.
    cache : tuple
        From `affine_forward`.

    Returns
    -------
    dx : ndarray, shape (N, d1, ..., dk)
        Gradient for the examples, each in its own shape again.
    dw : ndarray, shape (D, M)
        Gradient for the weights, summed over the batch.
    db : ndarray, shape (M,)
        Gradient for the biases, summed over the batch.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> w = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    >>> _, cache = affine_forward(x, w, np.zeros(3))
    >>> dx, dw, db = affine_backward(np.ones((2, 3)), cache)
    >>> dx
    array([[2., 2.],
           [2., 2.]])
    >>> dw
    array([[4., 4., 4.],
           [6., 6., 6.]])
    >>> db
    array([2., 2., 2.])
    """
    x, w = cache
    dout = upstream("affine_backward", dout, (len(x), w.shape[1]))
    dx = (dout @ w.T).reshape(x.shape)  # (N, M) @ (M, D) -> (N, D) -> (N, d1, ..., dk)
    dw = x.reshape(len(x), w.shape[0]).T @ dout  # (D, N) @ (N, M) -> (D, M)
    db = dout.sum(axis=0)  # (N, M) -> (M,)
    return dx, dw, db


def affine_parameter_gradients(dout: Array, cache: tuple) -> tuple[Array, Array]:
    """Gradients of `affine_forward` for `w` and `b` alone: `affine_backward` in two thirds of the time.

    Parameters
    ----------
    dout : ndarray, shape (N, M)
        Upstream gradient.
    cache : tuple
        From `affine_forward`.

    Returns
    -------
    dw : ndarray, shape (D, M)
    db : ndarray, shape (M,)

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Notes
    -----
    For the first layer of a network, whose input is data: its gradient would be a matrix product that nobody looks at.

    Examples
    --------
    >>> import numpy as np
    >>> _, cache = affine_forward(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 1)), np.zeros(1))
    >>> dw, db = affine_parameter_gradients(np.array([[1.0], [10.0]]), cache)
    >>> dw
    array([[31.],
           [42.]])
    """
    x, w = cache
    dout = upstream("affine_parameter_gradients", dout, (len(x), w.shape[1]))
    return x.reshape(len(x), w.shape[0]).T @ dout, dout.sum(axis=0)
