"""What stands on top of a recurrent layer: the affine layer at every step, or a look at the last one."""

import numpy as np

from minigrad.layers._arrays import Array, as_float, upstream


def temporal_affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple]:
    r"""The same affine map at each step of each sequence: ``out[n, t] = x[n, t] w + b``.

    Parameters
    ----------
    x : ndarray, shape (N, T, D)
        N sequences of T vectors, such as the states of a recurrent layer.
    w : ndarray, shape (D, M)
        Weights, the same at every step.
    b : ndarray, shape (M,)
        Biases.

    Returns
    -------
    out : ndarray, shape (N, T, M)
        For instance the scores of M words at each step.
    cache : tuple
        What `temporal_affine_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    To the weights it is all one whether two vectors belong to two examples or to two steps. So this is the
    affine layer over N * T examples, and its gradients are those of an affine layer:

    .. math:: dw = \sum_{n,t} x_{nt}^T\, dout_{nt}

    The sum has N * T terms: a long sequence counts for more than a short one, unless the loss averages.

    References
    ----------
    .. [1] A. Karpathy and L. Fei-Fei, "Deep Visual-Semantic Alignments for Generating Image Descriptions",
       CVPR 2015.

    Examples
    --------
    >>> x = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> out, _ = temporal_affine_forward(x, np.array([[1.0], [10.0]]), np.array([100.0]))
    >>> out
    array([[[121.],
            [143.]]])
    """
    x, w, b = as_float(x), as_float(w), as_float(b)
    if x.ndim != 3 or w.ndim != 2 or x.shape[2] != len(w):
        raise ValueError(
            f"temporal_affine_forward: x has shape {x.shape} but w has shape {w.shape}; "
            "they must be (N, T, D) and (D, M)"
        )
    if b.shape != w.shape[1:]:
        raise ValueError(
            f"temporal_affine_forward: b has shape {b.shape} but w has shape {w.shape}; one bias per column of w"
        )
    n, steps, d = x.shape
    out = x.reshape(n * steps, d) @ w + b  # (N * T, D) @ (D, M) -> (N * T, M)
    return out.reshape(n, steps, w.shape[1]), (x, w)


def temporal_affine_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `temporal_affine_forward` for `x`, `w` and `b`.

    Parameters
    ----------
    dout : ndarray, shape (N, T, M)
        Upstream gradient.
    cache : tuple
        From `temporal_affine_forward`.

    Returns
    -------
    dx : ndarray, shape (N, T, D)
    dw : ndarray, shape (D, M)
        Summed over sequences and steps.
    db : ndarray, shape (M,)
        Summed over sequences and steps.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> x = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> _, cache = temporal_affine_forward(x, np.array([[1.0], [10.0]]), np.array([100.0]))
    >>> dx, dw, db = temporal_affine_backward(np.ones((1, 2, 1)), cache)
    >>> dw  # both steps
    array([[4.],
           [6.]])
    """
    x, w = cache
    n, steps, d = x.shape
    dout = upstream("temporal_affine_backward", dout, (n, steps, w.shape[1]))
    dout = dout.reshape(n * steps, w.shape[1])  # (N, T, M) -> (N * T, M)
    dx = (dout @ w.T).reshape(x.shape)  # (N * T, M) @ (M, D) -> (N * T, D) -> (N, T, D)
    dw = x.reshape(n * steps, d).T @ dout  # (D, N * T) @ (N * T, M) -> (D, M)
    db = dout.sum(axis=0)  # (N * T, M) -> (M,)
    return dx, dw, db


def last_step_forward(h: Array) -> tuple[Array, tuple[int, ...]]:
    """The last step of each sequence: what a network has made of it all.

    Parameters
    ----------
    h : ndarray, shape (N, T, H)
        States, T at least 1.

    Returns
    -------
    out : ndarray, shape (N, H)
        The last states.
    cache : tuple of int
        The shape of `h`: all that `last_step_backward` needs.

    Raises
    ------
    ValueError
        If `h` has no last step.

    Notes
    -----
    A loss that looks at the last step only has nothing to say of the others, so the gradient of all other
    states is zero here. What they learn from, if anything, has to come back through time.

    Examples
    --------
    >>> out, _ = last_step_forward(np.array([[[1.0], [2.0], [3.0]]]))
    >>> out
    array([[3.]])
    """
    h = as_float(h)
    if h.ndim != 3 or h.shape[1] == 0:
        raise ValueError(f"last_step_forward: h has shape {h.shape}; it must be (N, T, H), with T at least 1")
    return h[:, -1].copy(), h.shape


def last_step_backward(dout: Array, cache: tuple[int, ...]) -> Array:
    """Gradient of `last_step_forward`: zero but for the last step.

    Parameters
    ----------
    dout : ndarray, shape (N, H)
        Upstream gradient.
    cache : tuple of int
        From `last_step_forward`.

    Returns
    -------
    dh : ndarray, shape (N, T, H)

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = last_step_forward(np.array([[[1.0], [2.0], [3.0]]]))
    >>> last_step_backward(np.array([[5.0]]), cache)[0, :, 0]
    array([0., 0., 5.])
    """
    n, steps, width = cache
    dout = upstream("last_step_backward", dout, (n, width))
    dh = np.zeros((n, steps, width), dout.dtype)
    dh[:, -1] = dout
    return dh
