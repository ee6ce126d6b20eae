"""Which class, or whether: losses of scores against labels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.layers._arrays import Array, as_float
from minigrad.layers._indices import as_indices
from minigrad.layers.activations import sigmoid_forward
from minigrad.layers.smooth import softplus_forward
from minigrad.losses._checks import Number, prediction_and_target, require_examples, scores_and_labels


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
    x, y = scores_and_labels("softmax_loss", x, y)
    return _cross_entropy(x, y, np.full(len(x), 1 / len(x), x.dtype))


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
            [ 0.  ,  0.  ,  0.  ,  0.  ]]])
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
    require_examples("temporal_softmax_loss", x)
    N, T, V = x.shape
    counts = mask.astype(bool)
    words = as_indices("temporal_softmax_loss", "y", np.where(counts, y, 0), V).reshape(N * T)
    weight = counts.reshape(N * T).astype(x.dtype) / N
    loss, dx = _cross_entropy(x.reshape(N * T, V), words, weight)  # each step is an example
    if verbose:
        print("dx:", x.shape)
    return loss, dx.reshape(N, T, V)


def _cross_entropy(x: Array, y: NDArray[np.intp], weight: Array) -> tuple[Number, Array]:
    """Sum of the losses of the rows, each with its weight, and the gradient of the sum."""
    rows = np.arange(len(x))
    scores = x - x.max(axis=1, keepdims=True)
    right = scores[rows, y]  # (N, C) -> (N,)
    dx = np.exp(scores, out=scores)
    total = np.einsum("nc->n", dx)  # between 1 and C
    loss = (np.log(total) - right) @ weight
    dx *= (weight / total)[:, None]  # the probabilities, weighted
    dx[rows, y] -= weight
    return loss, dx


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
    x, y = scores_and_labels("svm_loss", x, y)
    N, rows = len(x), np.arange(len(x))
    margins = x - x[rows, y][:, None]
    margins += 1
    margins[rows, y] = 0
    np.maximum(margins, np.zeros(x.shape[1], x.dtype), out=margins)
    dx = np.divide(margins > 0, N, out=np.empty_like(margins))
    dx[rows, y] = -dx.sum(axis=1)
    return margins.sum() / N, dx


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
    x, target = prediction_and_target("bce_with_logits_loss", x, target)
    if not (target.real.min() >= 0 and target.real.max() <= 1):
        raise ValueError("bce_with_logits_loss: target must lie between 0 and 1")
    log_sum, _ = softplus_forward(x)  # log(1 + exp(x))
    p, _ = sigmoid_forward(x)
    dx = np.subtract(p, target, out=np.empty_like(x))
    dx /= x.size
    return (log_sum - target * x).mean(), dx
