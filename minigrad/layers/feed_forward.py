"""The feed-forward half of a transformer block, with the normalization in front."""

from minigrad.layers._arrays import Array, as_float, upstream
from minigrad.layers.affine import affine_backward, affine_forward
from minigrad.layers.normalization import layernorm_backward, layernorm_forward
from minigrad.layers.smooth import gelu_backward, gelu_forward


def ffn_block_forward(
    x: Array, gamma: Array, beta: Array, w1: Array, b1: Array, w2: Array, b2: Array
) -> tuple[Array, tuple]:
    r"""Pre-norm feed-forward block: ``out = x + f(x)``, with f layernorm, affine, GELU, affine.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        N tokens.
    gamma, beta : ndarray, shape (D,)
        Scale and shift of the layernorm.
    w1 : ndarray, shape (D, H)
        Weights into the hidden layer; H is usually 4 D.
    b1 : ndarray, shape (H,)
        Biases of the hidden units.
    w2 : ndarray, shape (H, D)
        Weights out of the hidden layer.
    b2 : ndarray, shape (D,)
        Biases of what is added.

    Returns
    -------
    out : ndarray, shape (N, D)
        The input, and what the branch adds.
    cache : tuple
        What `ffn_block_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    "Pre-norm" is about where the normalization stands. Inside the branch, as here, nothing lies on the way from `out`
    to `x` but an addition, and a stack of blocks hands the gradient down as it is. The first transformers had it after
    the addition ("post-norm"), so that each block divides the gradient by a standard deviation once more; deep ones
    need a warm-up of the learning rate, or do not start to learn at all.

    References
    ----------
    .. [1] R. Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> x, ones, zeros = np.array([[1.0, 2.0]]), np.ones(2), np.zeros(2)
    >>> out, _ = ffn_block_forward(x, ones, zeros, np.eye(2), zeros, np.zeros((2, 2)), ones)
    >>> out
    array([[2., 3.]])
    """
    x, gamma, beta, w1, b1, w2, b2 = (as_float(each) for each in (x, gamma, beta, w1, b1, w2, b2))
    _require_fit(x, gamma, beta, w1, b1, w2, b2)
    normal, cache_norm = layernorm_forward(x, gamma, beta, {})
    a, cache1 = affine_forward(normal, w1, b1)  # (N, D) -> (N, H)
    h, cache_gelu = gelu_forward(a)
    branch, cache2 = affine_forward(h, w2, b2)  # (N, H) -> (N, D)
    return x + branch, (cache_norm, cache1, cache_gelu, cache2)


def ffn_block_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """Gradients of `ffn_block_forward` for `x`, `gamma`, `beta`, `w1`, `b1`, `w2` and `b2`.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
        Upstream gradient.
    cache : tuple
        From `ffn_block_forward`.

    Returns
    -------
    dx : ndarray, shape (N, D)
        Gradient for the tokens, from both ways.
    dgamma, dbeta : ndarray, shape (D,)
    dw1 : ndarray, shape (D, H)
    db1 : ndarray, shape (H,)
    dw2 : ndarray, shape (H, D)
    db2 : ndarray, shape (D,)
        Gradients for the branch, summed over the tokens.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, ones, zeros = np.array([[1.0, 2.0]]), np.ones(2), np.zeros(2)
    >>> _, cache = ffn_block_forward(x, ones, zeros, np.eye(2), zeros, np.zeros((2, 2)), ones)
    >>> ffn_block_backward(np.array([[3.0, 4.0]]), cache)[0]  # a branch that does nothing: all of it arrives
    array([[3., 4.]])
    """
    cache_norm, cache1, cache_gelu, cache2 = cache
    normal, _ = cache1
    dout = upstream("ffn_block_backward", dout, normal.shape)
    dh, dw2, db2 = affine_backward(dout, cache2)
    da = gelu_backward(dh, cache_gelu)
    dnormal, dw1, db1 = affine_backward(da, cache1)
    dx, dgamma, dbeta = layernorm_backward(dnormal, cache_norm)
    return dx + dout, dgamma, dbeta, dw1, db1, dw2, db2


def _require_fit(x: Array, gamma: Array, beta: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> None:
    def refuse(name: str, array: Array, other_name: str, other: Array, layout: str) -> None:
        raise ValueError(
            f"ffn_block_forward: {name} has shape {array.shape} but {other_name} has shape {other.shape}; "
            f"they must be {layout}"
        )

    for name, array in (("gamma", gamma), ("beta", beta)):
        if x.ndim != 2 or array.shape != x.shape[1:]:
            refuse(name, array, "x", x, "(D,) and (N, D)")
    if w1.ndim != 2 or w1.shape[0] != x.shape[1]:
        refuse("w1", w1, "x", x, "(D, H) and (N, D)")
    if b1.shape != w1.shape[1:]:
        refuse("b1", b1, "w1", w1, "(H,) and (D, H)")
    if w2.shape != w1.shape[::-1]:
        refuse("w2", w2, "w1", w1, "(H, D) and (D, H), so that the branch can be added to x")
    if b2.shape != w2.shape[1:]:
        refuse("b2", b2, "w2", w2, "(D,) and (H, D)")
