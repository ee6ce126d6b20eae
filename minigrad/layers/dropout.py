"""Dropout: in training, each unit is left out at random."""

from __future__ import annotations  # np.random, once looked at, is loaded: that takes long, and few need it

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.layers._arrays import Array, as_float, upstream


def dropout_forward(x: Array, dropout_param: Mapping[str, Any]) -> tuple[Array, tuple]:
    r"""Inverted dropout: in training, keep each unit with probability p and divide it by p; in testing, do nothing.

    Parameters
    ----------
    x : ndarray, any shape
        Activations.
    dropout_param : dict
        ``p``: the probability to KEEP a unit, more than 0 and at most 1. ``mode``: "train" or "test". At most one of
        ``seed`` (the same mask at every call, for a gradient check) and ``rng`` (a Generator to draw from); with
        neither, the mask cannot be repeated. Other keys are ignored.

    Returns
    -------
    out : ndarray, shape of `x`
        Of the same mean as `x`.
    cache : tuple
        What `dropout_backward` needs.

    Raises
    ------
    ValueError
        If a value in `dropout_param` is impossible.

    Notes
    -----
    .. math:: out = m\,x \qquad dx = m\,dout \qquad m = \begin{cases} 1/p & \text{kept} \\ 0 & \text{dropped}\end{cases}

    :math:`E[m] = 1`, so a layer above sees the same mean in training and in testing, and testing needs no
    correction. (Dropout as first published left the kept units alone and multiplied by p in testing.)

    The mask is part of the function. Draw another one for backward, and the result is the gradient of nothing.
    For the same reason a gradient check needs a fixed ``seed``: otherwise f(x + h) and f(x - h) are two
    different functions.

    Libraries disagree on p. Here, as in the publication, it is the probability to keep; PyTorch's is that to drop.

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: A Simple Way to
       Prevent Neural Networks from Overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> out, cache = dropout_forward(np.ones(6), {"p": 0.5, "mode": "train", "seed": 0})
    >>> sorted({0.0, 2.0} | set(out.tolist()))  # nothing else is possible
    [0.0, 2.0]
    """
    x = as_float(x)
    p, mode = dropout_param.get("p"), dropout_param.get("mode")
    if not isinstance(p, float | int | np.floating) or not 0 < p <= 1:
        raise ValueError(
            f"dropout_forward: p, the probability to keep, must be more than 0 and at most 1, not {p!r}"
        )
    if mode not in ("train", "test"):
        raise ValueError(f'dropout_forward: mode must be "train" or "test", not {mode!r}')
    if mode == "test":
        return x.copy(), (None, x.shape)
    # In float32 for any x: the same seed gives the same mask.
    mask = (_generator(dropout_param).random(x.shape, np.float32) < p) * x.dtype.type(1 / p)
    return np.asarray(x * mask), (mask, x.shape)


def dropout_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `dropout_forward`: what comes from above, through the same mask.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : tuple
        From `dropout_forward`.

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
    >>> out, cache = dropout_forward(np.ones(6), {"p": 0.5, "mode": "train", "seed": 0})
    >>> bool((dropout_backward(np.ones(6), cache) == out).all())  # x and dout are ones, so both are the mask
    True
    """
    mask, shape = cache
    dout = upstream("dropout_backward", dout, shape)
    return dout.copy() if mask is None else np.asarray(dout * mask)


def _generator(dropout_param: Mapping[str, Any]) -> np.random.Generator:
    seed, rng = dropout_param.get("seed"), dropout_param.get("rng")
    if seed is not None and rng is not None:
        raise ValueError("dropout_forward: dropout_param has both a seed and an rng; it may have one of them")
    return rng if rng is not None else np.random.default_rng(seed)
