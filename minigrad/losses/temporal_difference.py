"""How wrong a value was, seen from one step later: the loss of Q-learning."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from minigrad.layers._arrays import Array, as_float
from minigrad.layers._indices import as_indices
from minigrad.layers.indexing import gather_backward, gather_forward
from minigrad.losses._checks import Number, positive, require_examples
from minigrad.losses.errors import huber_loss


def td_loss(
    q: Array,
    actions: ArrayLike,
    rewards: ArrayLike,
    next_q: ArrayLike,
    done: ArrayLike,
    gamma: float = 0.99,
    delta: float = 1.0,
    loss: Callable[[Array, Array, float], tuple[Number, Array]] = huber_loss,
) -> tuple[Number, Array]:
    r"""Loss of the temporal-difference error of Q-learning, mean over the batch.

    Parameters
    ----------
    q : ndarray, shape (N, A)
        Value of each action in each state, as the network sees it.
    actions : array_like of int, shape (N,)
        What was done.
    rewards : array_like, shape (N,)
        What it brought.
    next_q : array_like, shape (N, A)
        Values in the state that came after, usually by an older copy of the network.
    done : array_like of bool, shape (N,)
        Whether the episode ended there: then nothing comes after, and `next_q` is not looked at.
    gamma : float
        Discount, from 0 to 1.
    delta : float
        See `huber_loss`.
    loss : callable
        ``loss(prediction, target, delta) -> value, dprediction``: `huber_loss`, or what is to be compared with it.

    Returns
    -------
    loss : number
    dq : ndarray, shape (N, A)
        Gradient for `q`: one number in each row, for the action that was taken.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there is no example, or a value is impossible.

    Notes
    -----
    .. math::
        t_n = r_n + \gamma\,(1 - done_n) \max_a next\_q_{na} \qquad
        loss = \operatorname{huber}(q_{n a_n} - t_n)

    The target is taken as given: there is no gradient for `next_q`, though the same network may have made it. With
    one, the loss could also be lowered by pulling the value of the next state towards that of this one, backwards
    in time. Whoever has autograd must cut there (detach, stop_gradient); who writes the backward pass by hand must
    only not write it.

    References
    ----------
    .. [1] V. Mnih et al., "Human-level control through deep reinforcement learning", Nature 518, 2015.

    Examples
    --------
    >>> q, next_q = np.array([[0.0, 3.0], [1.0, 0.0]]), np.array([[2.0, 1.0], [9.0, 9.0]])
    >>> loss, dq = td_loss(q, [1, 0], [0.5, 0.5], next_q, [False, True], gamma=1.0)
    >>> print(loss)  # both are 0.5 too large
    0.125
    >>> dq
    array([[0.  , 0.25],
           [0.25, 0.  ]])
    """
    q = as_float(q)
    if q.ndim != 2:
        raise ValueError(f"td_loss: q has shape {q.shape}; it must be (N, A)")
    actions, ended = np.asarray(actions), np.asarray(done).astype(bool)
    rewards, next_q = (np.asarray(each).astype(q.dtype, copy=False) for each in (rewards, next_q))
    for name, array, shape, layout in (
        ("actions", actions, q.shape[:1], "(N,)"),
        ("rewards", rewards, q.shape[:1], "(N,)"),
        ("next_q", next_q, q.shape, "(N, A)"),
        ("done", ended, q.shape[:1], "(N,)"),
    ):
        if array.shape != shape:
            raise ValueError(
                f"td_loss: {name} has shape {array.shape} but q has shape {q.shape}; "
                f"they must be {layout} and (N, A)"
            )
    require_examples("td_loss", q, "q")
    if not 0 <= gamma <= 1:
        raise ValueError(f"td_loss: gamma must lie between 0 and 1, not {gamma}")
    actions = as_indices("td_loss", "actions", actions, q.shape[1])
    target = rewards + np.where(ended, 0, float(gamma) * next_q.max(axis=1))  # (N, A) -> (N,)
    picked, cache = gather_forward(q, actions)  # (N, A) -> (N,)
    value, dpicked = loss(picked, target, positive("td_loss", delta))
    return value, gather_backward(dpicked, cache)
