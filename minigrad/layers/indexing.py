"""Indexing: pick one number from each row."""

import numpy as np
from numpy.typing import ArrayLike

from minigrad.layers._arrays import Array, as_float, upstream
from minigrad.layers._indices import as_indices


def gather_forward(q: Array, actions: ArrayLike) -> tuple[Array, tuple]:
    r"""Pick from each row the column that `actions` names: ``q[range(N), actions]``.

    Parameters
    ----------
    q : ndarray, shape (N, A)
        One row for each example; in Q-learning, the value of each action in each state.
    actions : array_like of int, shape (N,)
        Which column of each row. It has no gradient: there is no such thing as column 1.001.

    Returns
    -------
    out : ndarray, shape (N,)
        The numbers picked.
    cache : tuple
        What `gather_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or an action is not a whole number from 0 to A - 1.

    Notes
    -----
    .. math:: out_n = q_{n a_n} \qquad dq_{na} = dout_n\,[a = a_n]

    Each picked number gets the gradient of the place that it went to, everything else gets zero: an agent learns
    about the actions that it took, and about no others. Of N * A gradients, N are not zero.

    Two ways to write it are *not* the same. ``q[:, actions]`` picks all of those columns from every row. And had a
    row been picked from twice, two gradients would have to be added, which ``dq[rows, columns] += dout`` does not
    do: see `word_embedding_backward`.

    References
    ----------
    .. [1] V. Mnih et al., "Human-level control through deep reinforcement learning", Nature 518, 2015.

    Examples
    --------
    >>> out, cache = gather_forward(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), [2, 0])
    >>> out
    array([3., 4.])
    """
    q = as_float(q)
    if q.ndim != 2:
        raise ValueError(f"gather_forward: q has shape {q.shape}; it must be (N, A)")
    actions = as_indices("gather_forward", "actions", actions, q.shape[1])
    if actions.shape != q.shape[:1]:
        raise ValueError(
            f"gather_forward: actions has shape {actions.shape} but q has shape {q.shape}; "
            "they must be (N,) and (N, A)"
        )
    out = q[np.arange(len(q)), actions]  # (N, A) -> (N,)
    return out, (actions, q.shape)


def gather_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `gather_forward`: each number goes back to where it was picked.

    Parameters
    ----------
    dout : ndarray, shape (N,)
        Upstream gradient.
    cache : tuple
        From `gather_forward`.

    Returns
    -------
    dq : ndarray, shape (N, A)
        Gradient for `q`: zero, but for one number in each row.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = gather_forward(np.zeros((2, 3)), [2, 0])
    >>> gather_backward(np.array([7.0, 8.0]), cache)
    array([[0., 0., 7.],
           [8., 0., 0.]])
    """
    actions, shape = cache
    dout = upstream("gather_backward", dout, actions.shape)
    dq = np.zeros(shape, dout.dtype)
    dq[np.arange(len(dq)), actions] = dout  # (N,) -> (N, A)
    return dq
