"""Losses: how wrong an output is, as one number, and the gradient that starts the way back.

``loss, dx = name_loss(x, ...)``: `dx` has the shape of `x` and is the gradient of `loss`, which is a mean. So the 1/N
of the mean is in `dx`, and in no other place of a network. Nothing is written to; float32 stays float32.

`clipped_delta_loss` is wrong, on purpose.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.layers._arrays import Array, as_float
from minigrad.layers._indices import as_indices
from minigrad.layers.activations import sigmoid_forward
from minigrad.layers.indexing import gather_backward, gather_forward
from minigrad.layers.smooth import softplus_forward

Number = np.inexact  # one number, in the precision of the input

# ------------------------------------------------------------------------------
# Which class?
# ------------------------------------------------------------------------------


def softmax_loss(x: Array, y: ArrayLike) -> tuple[Number, Array]:
    r"""Cross-entropy of the softmax of `x`, mean over the batch.

    Parameters
    ----------
    x : ndarray, shape (N, C)
        Scores (logits) of C classes for N examples.
    y : array_like of int, shape (N,)
        The right class of each example.

    Returns
    -------
    loss : number
        ``-log`` of the probability given to the right class. For equal scores, log C.
    dx : ndarray, shape (N, C)
        Gradient for `x`.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there is no example, or a label is not a whole number from 0 to C - 1.

    Notes
    -----
    .. math:: p_{nc} = \frac{e^{x_{nc}}}{\sum_k e^{x_{nk}}} \qquad loss = -\frac1N \sum_n \log p_{n y_n}

    For one example, :math:`-\log p_y = \log \sum_k e^{x_k} - x_y`. The derivative of the first term for :math:`x_c` is
    :math:`p_c`, that of the second is 1 where c is y:

    .. math:: dx_{nc} = (p_{nc} - [c = y_n]) / N

    A row of `dx` sums to zero: only differences between scores matter. So the largest may be subtracted from all, and
    then no exponential overflows; without that, a score of 1000 ends the training with nan. The logarithm is taken of
    the sum, never of a probability, which may be zero.

    The exponential of the softmax and the logarithm of the loss cancel, which is why this gradient does not vanish
    where the network is sure and wrong: there it is 1. A squared error after a softmax would learn nothing from it.

    References
    ----------
    .. [1] I. Goodfellow, Y. Bengio and A. Courville, "Deep Learning", MIT Press, 2016, section 6.2.2.3.

    Examples
    --------
    >>> loss, dx = softmax_loss(np.array([[0.0, 0.0], [1000.0, 0.0]]), [0, 0])
    >>> print(round(loss, 4))  # (log 2 + 0) / 2
    0.3466
    >>> dx
    array([[-0.25,  0.25],
           [ 0.  ,  0.  ]])
    """
    x, y = _scores_and_labels("softmax_loss", x, y)
    surprise, dx = _cross_entropy(x, y)
    dx /= len(x)
    return surprise.mean(), dx


def temporal_softmax_loss(
    x: Array, y: ArrayLike, mask: ArrayLike, verbose: bool = False
) -> tuple[Number, Array]:
    r"""Softmax loss at each step of a sequence, summed over the steps that count, mean over the batch.

    Parameters
    ----------
    x : ndarray, shape (N, T, V)
        Scores of V words at T steps.
    y : array_like of int, shape (N, T)
        The right word at each step. Where `mask` is false it may be anything.
    mask : array_like of bool, shape (N, T)
        Which steps count. The rest is padding, for sequences that are shorter.
    verbose : bool
        Print the shape of the gradient.

    Returns
    -------
    loss : number
        Sum over time, mean over the batch: a longer sequence has a larger loss.
    dx : ndarray, shape (N, T, V)
        Gradient for `x`; zero where `mask` is false.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there is no example, or a label that counts is not a word.

    Notes
    -----
    .. math:: loss = -\frac1N \sum_{n, t} m_{nt} \log p_{n t y_{nt}} \qquad
       dx_{ntv} = m_{nt}\,(p_{ntv} - [v = y_{nt}]) / N

    The mask multiplies twice, once in the loss and once in the gradient. Forget the second, and the network is
    taught to predict padding, while the loss says that it is not.

    Examples
    --------
    >>> loss, dx = temporal_softmax_loss(np.zeros((1, 2, 4)), [[3, 0]], [[True, False]])
    >>> print(round(loss, 4))  # log 4, once
    1.3863
    >>> dx
    array([[[ 0.25,  0.25,  0.25, -0.75],
            [-0.  ,  0.  ,  0.  ,  0.  ]]])
    """
    x, y, mask = as_float(x), np.asarray(y), np.asarray(mask)
    if x.ndim != 3:
        raise ValueError(f"temporal_softmax_loss: x has shape {x.shape}; it must be (N, T, V)")
    for name, array in (("y", y), ("mask", mask)):
        if array.shape != x.shape[:2]:
            raise ValueError(
                f"temporal_softmax_loss: {name} has shape {array.shape} but x has shape {x.shape}; "
                "they must be (N, T) and (N, T, V)"
            )
    _require_examples("temporal_softmax_loss", x)
    N, T, V = x.shape
    counts = mask.astype(bool)
    words = as_indices("temporal_softmax_loss", "y", np.where(counts, y, 0), V).reshape(N * T)
    surprise, dx = _cross_entropy(x.reshape(N * T, V), words)  # each step is an example
    weight = counts.reshape(N * T).astype(x.dtype) / N
    dx *= weight[:, None]
    dx = dx.reshape(N, T, V)
    if verbose:
        print("dx:", dx.shape)
    return surprise @ weight, dx


def _cross_entropy(x: Array, y: NDArray[np.integer]) -> tuple[Array, Array]:
    """Loss of each row, and its gradient."""
    rows = np.arange(len(x))
    scores = x - x.max(axis=1, keepdims=True)
    right = scores[rows, y]  # (N, C) -> (N,)
    p = np.exp(scores, out=scores)
    total = p.sum(axis=1)  # (N, C) -> (N,); between 1 and C
    p /= total[:, None]
    p[rows, y] -= 1
    return np.log(total) - right, p


def svm_loss(x: Array, y: ArrayLike) -> tuple[Number, Array]:
    r"""Hinge loss for many classes: the right score should be larger than every other by 1. Mean over the batch.

    Parameters
    ----------
    x : ndarray, shape (N, C)
        Scores of C classes for N examples.
    y : array_like of int, shape (N,)
        The right class of each example.

    Returns
    -------
    loss : number
        For equal scores, C - 1.
    dx : ndarray, shape (N, C)
        Gradient for `x`.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there is no example, or a label is not a whole number from 0 to C - 1.

    Notes
    -----
    .. math:: loss = \frac1N \sum_n \sum_{c \ne y_n} \max(0, x_{nc} - x_{n y_n} + 1)

    Each class that comes too close pushes itself down by 1/N and the right one up by 1/N:

    .. math:: dx_{nc} = [x_{nc} - x_{n y_n} + 1 > 0] / N \quad (c \ne y_n) \qquad
       dx_{n y_n} = -\sum_{c \ne y_n} dx_{nc}

    Where all margins are kept the gradient is exactly zero: a dead ReLU, and here that is what is wanted.

    References
    ----------
    .. [1] J. Weston and C. Watkins, "Support Vector Machines for Multi-Class Pattern Recognition", ESANN 1999.

    Examples
    --------
    >>> loss, dx = svm_loss(np.array([[3.0, 2.5, 0.0]]), [0])
    >>> print(loss)
    0.5
    >>> dx
    array([[-1.,  1.,  0.]])
    """
    x, y = _scores_and_labels("svm_loss", x, y)
    N, rows = len(x), np.arange(len(x))
    margins = x - x[rows, y][:, None]
    margins += 1
    margins[rows, y] = 0
    np.maximum(margins, np.zeros(x.shape[1], x.dtype), out=margins)
    dx = np.divide(margins > 0, N, out=np.empty_like(margins))
    dx[rows, y] = -dx.sum(axis=1)
    return margins.sum() / N, dx


# ------------------------------------------------------------------------------
# Yes or no?
# ------------------------------------------------------------------------------


def bce_with_logits_loss(x: Array, target: ArrayLike) -> tuple[Number, Array]:
    r"""Binary cross-entropy of the sigmoid of `x`, mean over all elements.

    Parameters
    ----------
    x : ndarray, any shape
        Scores (logits).
    target : array_like, shape of `x`
        1 for yes, 0 for no; or a probability.

    Returns
    -------
    loss : number
        For scores of zero, log 2.
    dx : ndarray, shape of `x`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If the shapes differ, there is no element, or a target is not between 0 and 1.

    Notes
    -----
    With :math:`p = \sigma(x)`, so that :math:`-\log(1 - p) = \log(1 + e^x)` and
    :math:`-\log p = \log(1 + e^x) - x`,

    .. math:: -t \log p - (1 - t) \log(1 - p) = \log(1 + e^x) - t\,x \qquad dx = (\sigma(x) - t) / \text{size}

    A sigmoid saturates, this gradient does not: where the network is sure and wrong it is 1. The price is that it
    must see the score. From p alone, -log(1 - p) is infinite as soon as p is rounded to 1, at x = 37.

    Examples
    --------
    >>> loss, dx = bce_with_logits_loss(np.array([0.0, 1000.0]), [1, 0])
    >>> print(round(loss, 4))  # (log 2 + 1000) / 2
    500.3466
    >>> dx
    array([-0.25,  0.5 ])
    """
    x, target = _prediction_and_target("bce_with_logits_loss", x, target)
    if not (target.real.min() >= 0 and target.real.max() <= 1):
        raise ValueError("bce_with_logits_loss: target must lie between 0 and 1")
    log_sum, _ = softplus_forward(x)  # log(1 + exp(x))
    p, _ = sigmoid_forward(x)
    dx = np.subtract(p, target, out=np.empty_like(x))
    dx /= x.size
    return (log_sum - target * x).mean(), dx


# ------------------------------------------------------------------------------
# How far off?
# ------------------------------------------------------------------------------


def mse_loss(x: Array, target: ArrayLike) -> tuple[Number, Array]:
    r"""Squared error, mean over all elements.

    Parameters
    ----------
    x : ndarray, any shape
        Predictions.
    target : array_like, shape of `x`
        What they should be.

    Returns
    -------
    loss : number
    dx : ndarray, shape of `x`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If the shapes differ (nothing is broadcast), or there is no element.

    Notes
    -----
    .. math:: loss = \operatorname{mean}\,(x - t)^2 \qquad dx = 2\,(x - t) / \text{size}

    The gradient grows with the error, without bound: one outlier can decide the whole step.

    A prediction of shape (N, 1) with a target of shape (N,) would broadcast to (N, N), and the network would learn
    to predict the mean: hence the refusal.

    Examples
    --------
    >>> loss, dx = mse_loss(np.array([1.0, 5.0]), [1.0, 1.0])
    >>> print(loss, dx)
    8.0 [0. 4.]
    """
    x, target = _prediction_and_target("mse_loss", x, target)
    error = np.subtract(x, target, out=np.empty_like(x))
    loss = np.dot(error.ravel(order="K"), error.ravel(order="K")) / x.size
    error *= 2 / x.size
    return loss, error


def huber_loss(x: Array, target: ArrayLike, delta: float = 1.0) -> tuple[Number, Array]:
    r"""Huber loss: squared near the target, straight further away. Mean over all elements.

    Parameters
    ----------
    x : ndarray, any shape
        Predictions.
    target : array_like, shape of `x`
        What they should be.
    delta : float
        The error from which the loss is straight, and the largest slope that it has.

    Returns
    -------
    loss : number
    dx : ndarray, shape of `x`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If the shapes differ, there is no element, or `delta` is not a positive, finite number.

    Notes
    -----
    With the error :math:`e = x - t`, and :math:`c` the error clipped to :math:`[-\delta, \delta]`,

    .. math::
        loss = \operatorname{mean} \begin{cases} e^2 / 2 & |e| \le \delta \\
        \delta\,(|e| - \delta / 2) & |e| > \delta \end{cases}
        = \operatorname{mean}\; c\,(e - c / 2) \qquad dx = c / \text{size}

    The *gradient* is clipped: an outlier pulls, but not harder than delta. To clip the error itself is another
    thing, see `clipped_delta_loss`. The 1/2 and the :math:`-\delta/2` make value and slope continuous.

    References
    ----------
    .. [1] P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> loss, dx = huber_loss(np.array([0.5, 100.0]), [0.0, 0.0])
    >>> print(loss, dx)  # (0.125 + 99.5) / 2
    49.8125 [0.25 0.5 ]
    """
    x, target = _prediction_and_target("huber_loss", x, target)
    delta = _positive("huber_loss", delta)
    error = np.subtract(x, target, out=np.empty_like(x))
    clipped = np.clip(error, -delta, delta, out=np.empty_like(error))
    error -= clipped / 2
    error *= clipped
    clipped /= x.size
    return error.mean(), clipped


def clipped_delta_loss(x: Array, target: ArrayLike, delta: float = 1.0) -> tuple[Number, Array]:
    r"""Squared error of the clipped error: **a bug**, kept to be looked at. Use `huber_loss`.

    Parameters
    ----------
    x : ndarray, any shape
        Predictions.
    target : array_like, shape of `x`
        What they should be.
    delta : float
        Where errors are clipped.

    Returns
    -------
    loss : number
        Half the mean of the squares, so that small errors cost what they cost in `huber_loss`.
    dx : ndarray, shape of `x`
        Its gradient, which is right, and useless.

    Raises
    ------
    ValueError
        If the shapes differ, there is no element, or `delta` is not a positive, finite number.

    Notes
    -----
    The thought was: outliers should not disturb, so clip them. Forward that looks sensible. With :math:`e = x - t`,

    .. math::
        loss = \tfrac12 \operatorname{mean}\,\operatorname{clip}(e, -\delta, \delta)^2 \qquad
        dx = \begin{cases} e / \text{size} & |e| \le \delta \\ 0 & |e| > \delta \end{cases}

    A clipped number does not move when its input does: the slope of clip is 0 outside of its bounds. So the larger
    the mistake, the less is learned from it, and from a mistake larger than delta, nothing. In Q-learning those are
    the rare, large rewards that everything is about. An implementation of deep Q-learning was published with this
    bug, and it trained, a little.

    References
    ----------
    .. [1] A. Karpathy, "Yes you should understand backprop", 2016, the section on DQN clipping.

    Examples
    --------
    >>> loss, dx = clipped_delta_loss(np.array([0.5, 100.0]), [0.0, 0.0])
    >>> print(loss, dx)  # nothing pulls at the 100
    0.3125 [0.25 0.  ]
    """
    x, target = _prediction_and_target("clipped_delta_loss", x, target)
    delta = _positive("clipped_delta_loss", delta)
    error = np.subtract(x, target, out=np.empty_like(x))
    clipped = np.clip(error, -delta, delta, out=np.empty_like(error))
    loss = np.dot(clipped.ravel(order="K"), clipped.ravel(order="K")) / (2 * x.size)
    clipped *= clipped == error
    clipped /= x.size
    return loss, clipped


def td_loss(
    q: Array,
    actions: ArrayLike,
    rewards: ArrayLike,
    next_q: ArrayLike,
    done: ArrayLike,
    gamma: float = 0.99,
    delta: float = 1.0,
) -> tuple[Number, Array]:
    r"""Huber loss of the temporal-difference error of Q-learning, mean over the batch.

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
    _require_examples("td_loss", q, "q")
    if not 0 <= gamma <= 1:
        raise ValueError(f"td_loss: gamma must lie between 0 and 1, not {gamma}")
    actions = as_indices("td_loss", "actions", actions, q.shape[1])
    target = rewards + np.where(ended, 0, float(gamma) * next_q.max(axis=1))  # (N, A) -> (N,)
    picked, cache = gather_forward(q, actions)  # (N, A) -> (N,)
    loss, dpicked = huber_loss(picked, target, _positive("td_loss", delta))
    return loss, gather_backward(dpicked, cache)


# ------------------------------------------------------------------------------
# What fits together
# ------------------------------------------------------------------------------


def _scores_and_labels(function: str, x: Array, y: ArrayLike) -> tuple[Array, NDArray[np.integer]]:
    x = as_float(x)
    if x.ndim != 2:
        raise ValueError(f"{function}: x has shape {x.shape}; it must be (N, C)")
    if np.shape(y) != x.shape[:1]:
        raise ValueError(
            f"{function}: y has shape {np.shape(y)} but x has shape {x.shape}; they must be (N,) and (N, C)"
        )
    _require_examples(function, x)
    return x, as_indices(function, "y", y, x.shape[1])


def _prediction_and_target(function: str, x: Array, target: ArrayLike) -> tuple[Array, Array]:
    """The target in the precision of the prediction: whole numbers in it do not make float64 of float32."""
    x = as_float(x)
    target = np.asarray(target)
    if target.shape != x.shape:
        raise ValueError(f"{function}: target has shape {target.shape} but x has shape {x.shape}")
    _require_examples(function, x)
    return x, target.astype(x.dtype, copy=False)


def _require_examples(function: str, x: Array, name: str = "x") -> None:
    if not x.size:
        raise ValueError(f"{function}: {name} has shape {x.shape}, and there is no mean of no numbers")


def _positive(function: str, delta: float) -> float:
    if not 0 < delta < math.inf:
        raise ValueError(f"{function}: delta must be a positive, finite number, not {delta}")
    return float(delta)
