"""Word embedding: a table of vectors, one for each word."""

import numpy as np
from numpy.typing import ArrayLike

from minigrad.layers._arrays import Array, as_float, upstream
from minigrad.layers._indices import as_indices

COMPLEX: dict[np.dtype, np.dtype] = {
    np.dtype(np.float32): np.dtype(np.complex64),
    np.dtype(np.float64): np.dtype(np.complex128),
}


def word_embedding_forward(x: ArrayLike, W: Array) -> tuple[Array, tuple]:
    r"""Look up the vector of each word.

    Parameters
    ----------
    x : array_like of int, any shape, such as (N, T)
        Words, as rows of `W`. They have no gradient.
    W : ndarray, shape (V, D)
        The vectors of V words.

    Returns
    -------
    out : ndarray, shape of `x` and then D, such as (N, T, D)
        The vectors of the words.
    cache : tuple
        What `word_embedding_backward` needs.

    Raises
    ------
    ValueError
        If `W` is not a table, or a word is not a whole number from 0 to V - 1.

    Notes
    -----
    With the words as rows of a matrix with a single 1 in each, this is an affine layer without a bias, and

    .. math:: out_{nt} = W_{x_{nt}} \qquad dW_v = \sum_{n, t} dout_{nt}\,[x_{nt} = v]

    A word that occurs several times gets a gradient from each of its places, and they add up. ``dW[x] += dout`` does
    *not* add them: numpy reads the row, adds, and writes it back once for each place, always starting from the old
    value, so that the last place wins. The loss still falls, and no error is raised; only the frequent words learn
    too little.

    A word that does not occur gets a gradient of exactly zero. An optimizer with momentum or weight decay moves it
    all the same.

    References
    ----------
    .. [1] Y. Bengio, R. Ducharme, P. Vincent and C. Jauvin, "A Neural Probabilistic Language Model", JMLR 3, 2003.

    Examples
    --------
    >>> out, cache = word_embedding_forward([[0, 2, 2]], np.array([[1.0, 1.5], [2.0, 2.5], [3.0, 3.5]]))
    >>> out
    array([[[1. , 1.5],
            [3. , 3.5],
            [3. , 3.5]]])
    """
    W = as_float(W)
    if W.ndim != 2:
        raise ValueError(f"word_embedding_forward: W has shape {W.shape}; it must be (V, D)")
    x = as_indices("word_embedding_forward", "x", x, len(W))
    return np.take(W, x, axis=0), (x, W.shape)  # (N, T) -> (N, T, D)


def word_embedding_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `word_embedding_forward` for `W`: the sum over all places of each word.

    Parameters
    ----------
    dout : ndarray, shape of the words and then D, such as (N, T, D)
        Upstream gradient.
    cache : tuple
        From `word_embedding_forward`.

    Returns
    -------
    dW : ndarray, shape (V, D)
        Gradient for the vectors. Rows of words that did not occur are zero.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Notes
    -----
    ``np.add.at(dW, x, dout)`` says the same, five to ten times slower: numpy has a fast loop for flat arrays only.
    That loop takes one number at a time, so two neighbours are handed over as one complex number, whose parts are
    added separately too.

    Examples
    --------
    >>> _, cache = word_embedding_forward([[0, 2, 2]], np.zeros((3, 2)))
    >>> word_embedding_backward(np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]), cache)
    array([[ 1.,  2.],
           [ 0.,  0.],
           [ 8., 10.]])
    """
    x, (V, D) = cache
    dout = upstream("word_embedding_backward", dout, (*x.shape, D))
    dW = np.zeros((V, D), dout.dtype)
    wide: np.dtype = COMPLEX.get(dout.dtype, dout.dtype) if D % 2 == 0 else dout.dtype
    table, rows = dW.view(wide), np.ascontiguousarray(dout).view(wide)  # (V, D) -> (V, D / 2)
    places = x.reshape(-1, 1) * table.shape[1] + np.arange(table.shape[1])  # in the flat table
    np.add.at(table.reshape(-1), places.ravel(), rows.ravel())
    return dW
