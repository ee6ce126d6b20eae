"""Pooling: each window of an image becomes one number, its largest or its mean.

The maximum twice: `max_pool_forward_naive` is the specification, `max_pool_forward` does the same fast.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.layers._arrays import Array, as_float, upstream, where_true
from minigrad.layers._windows import whole_number, window_count


def max_pool_forward_naive(x: Array, pool_param: Mapping[str, Any]) -> tuple[Array, tuple]:
    r"""The largest number in each window, found by a loop over examples, channels, and places.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    pool_param : dict
        ``'pool_height'`` and ``'pool_width'`` of a window; ``'stride'``, by how many pixels it is moved. Other
        keys are ignored.

    Returns
    -------
    out : ndarray, shape (N, C, H', W')
        With H' = 1 + (H - pool_height) // stride, and W' likewise. Rows and columns that are left over at
        the bottom and on the right are not read.
    cache : tuple
        What `max_pool_backward_naive` needs.

    Raises
    ------
    ValueError
        If `x` does not have four axes, a window is larger than the image, or `pool_param` lacks a number or
        has an impossible one.

    Notes
    -----
    Near x, the maximum of a window is one of its numbers, the winner. It moves as the winner moves, and not at
    all as the others do:

    .. math:: dx_{nchw} = \sum_{ij} dout_{ncij}\, [\text{pixel } (h, w) \text{ won window } (i, j)]

    Where windows overlap, a pixel may win several, and gets what comes back from each. Where two numbers are
    largest there is no slope; any share between them is a subgradient. We give all to the first in reading
    order, as PyTorch does. nan counts as the largest, so that it stays visible in both directions.

    What that does to gradients: with windows of 2 by 2, three quarters of `dx` are exactly zero, whatever comes
    from above. A pixel which never wins teaches the layers below nothing. And ties are not rare: after a ReLU
    many windows hold nothing but zeros, and their gradient goes to a unit which is not active.

    References
    ----------
    .. [1] D. Scherer, A. Müller and S. Behnke, "Evaluation of Pooling Operations in Convolutional
       Architectures for Object Recognition", ICANN 2010.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 0.0, 0.0], [4.0, 3.0, 0.0, -1.0]]).reshape(1, 1, 2, 4)
    >>> out, _ = max_pool_forward_naive(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    >>> out
    array([[[[4., 0.]]]])
    """
    x = as_float(x)
    height, width, stride, *places = _geometry("max_pool_forward_naive", x, pool_param)
    out = np.empty((*x.shape[:2], *places), x.dtype)
    for n, c, i, j in np.ndindex(out.shape):
        window = np.s_[n, c, stride * i : stride * i + height, stride * j : stride * j + width]
        out[n, c, i, j] = x[window].max()
    return out, (x, height, width, stride, out.shape)


def max_pool_backward_naive(dout: Array, cache: tuple) -> Array:
    """Gradient of `max_pool_forward_naive`: the winner takes it all.

    Parameters
    ----------
    dout : ndarray, shape (N, C, H', W')
        Upstream gradient.
    cache : tuple
        From `max_pool_forward_naive`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 0.0, 0.0], [4.0, 3.0, 0.0, -1.0]]).reshape(1, 1, 2, 4)
    >>> _, cache = max_pool_forward_naive(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    >>> max_pool_backward_naive(np.array([5.0, 6.0]).reshape(1, 1, 1, 2), cache)
    array([[[[0., 0., 6., 0.],
             [5., 0., 0., 0.]]]])
    """
    x, height, width, stride, out_shape = cache
    dout = upstream("max_pool_backward_naive", dout, out_shape)
    dx = np.zeros(x.shape, dout.dtype)
    for n, c, i, j in np.ndindex(dout.shape):
        window = np.s_[n, c, stride * i : stride * i + height, stride * j : stride * j + width]
        winner = np.unravel_index(np.argmax(x[window]), (height, width))  # argmax takes the first
        dx[window][winner] += dout[n, c, i, j]
    return dx


def max_pool_forward(x: Array, pool_param: Mapping[str, Any]) -> tuple[Array, tuple]:
    """The largest number in each window: `max_pool_forward_naive`, for all windows at once.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    pool_param : dict
        ``'pool_height'``, ``'pool_width'`` and ``'stride'``; other keys are ignored.

    Returns
    -------
    out : ndarray, shape (N, C, H', W')
        With H' = 1 + (H - pool_height) // stride, and W' likewise.
    cache : tuple
        What `max_pool_backward` needs.

    Raises
    ------
    ValueError
        If `x` does not have four axes, a window is larger than the image, or `pool_param` lacks a number or
        has an impossible one.

    Notes
    -----
    The loop is over the places within a window, four for 2 by 2. Each is a slice of `x`: the upper left pixels
    of all windows, then their neighbours on the right, and so on. The maximum of these slices is `out`, and in
    every window the first slice that equals it holds the winner.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 0.0, 0.0], [4.0, 3.0, 0.0, -1.0]]).reshape(1, 1, 2, 4)
    >>> out, _ = max_pool_forward(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    >>> out
    array([[[[4., 0.]]]])
    """
    x = as_float(x)
    height, width, stride, rows_out, columns_out = _geometry("max_pool_forward", x, pool_param)
    places = [
        np.s_[:, :, u : u + stride * rows_out : stride, v : v + stride * columns_out : stride]
        for u in range(height)
        for v in range(width)
    ]
    out = x[places[0]].copy()  # (N, C, H', W'), as every slice
    for place in places[1:]:
        np.maximum(out, x[place], out=out)
    has_nan = np.isnan(out).any()
    won = np.empty((len(places), *out.shape), bool)
    no_winner_yet = np.ones(out.shape, bool)
    for place, won_here in zip(places, won, strict=True):
        np.equal(x[place], out, out=won_here)
        if has_nan:
            won_here |= np.isnan(x[place])  # nan is the maximum, and equals nothing
        won_here &= no_winner_yet
        no_winner_yet ^= won_here
    return out, (x.shape, places, won)


def max_pool_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `max_pool_forward`: the winner takes it all.

    Parameters
    ----------
    dout : ndarray, shape (N, C, H', W')
        Upstream gradient.
    cache : tuple
        From `max_pool_forward`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 0.0, 0.0], [4.0, 3.0, 0.0, -1.0]]).reshape(1, 1, 2, 4)
    >>> _, cache = max_pool_forward(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    >>> max_pool_backward(np.array([5.0, 6.0]).reshape(1, 1, 1, 2), cache)
    array([[[[0., 0., 6., 0.],
             [5., 0., 0., 0.]]]])
    """
    x_shape, places, won = cache
    dout = upstream("max_pool_backward", dout, won.shape[1:])
    dx = np.zeros(x_shape, dout.dtype)
    for place, won_here in zip(places, won, strict=True):
        dx[place] += where_true(won_here, dout)
    return dx


def avg_pool_forward(x: Array, pool_param: Mapping[str, Any]) -> tuple[Array, tuple]:
    r"""The mean of each window.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    pool_param : dict
        ``'pool_height'``, ``'pool_width'`` and ``'stride'``; other keys are ignored. Windows as large as the
        image give global average pooling.

    Returns
    -------
    out : ndarray, shape (N, C, H', W')
        With H' = 1 + (H - pool_height) // stride, and W' likewise.
    cache : tuple
        What `avg_pool_backward` needs.

    Raises
    ------
    ValueError
        If `x` does not have four axes, a window is larger than the image, or `pool_param` lacks a number or
        has an impossible one.

    Notes
    -----
    Every pixel of a window has the weight :math:`1 / (height \cdot width)`, so each gets that share of
    `dout` back, once for each window that it is in.

    A sum over a window is a sum over its rows, then over its columns: height + width passes over the images
    instead of height times width.

    No pixel is left out, as under a maximum, but the share is small: behind k poolings of 2 by 2 without overlap,
    a pixel gets :math:`4^{-k}` of a gradient.

    References
    ----------
    .. [1] M. Lin, Q. Chen and S. Yan, "Network In Network", ICLR 2014: global average pooling.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 0.0, 0.0], [4.0, 3.0, 0.0, -1.0]]).reshape(1, 1, 2, 4)
    >>> out, _ = avg_pool_forward(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    >>> out
    array([[[[ 2.5 , -0.25]]]])
    """
    x = as_float(x)
    height, width, stride, rows_out, columns_out = _geometry("avg_pool_forward", x, pool_param)
    sums: np.ndarray = x[:, :, : stride * rows_out : stride].copy()  # (N, C, H, W) -> (N, C, H', W)
    for u in range(1, height):
        sums += x[:, :, u : u + stride * rows_out : stride]
    out: np.ndarray = sums[..., : stride * columns_out : stride].copy()  # (N, C, H', W) -> (N, C, H', W')
    for v in range(1, width):
        out += sums[..., v : v + stride * columns_out : stride]
    out /= height * width
    return out, (x.shape, height, width, stride, out.shape)


def avg_pool_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `avg_pool_forward`: equal shares for all.

    Parameters
    ----------
    dout : ndarray, shape (N, C, H', W')
        Upstream gradient.
    cache : tuple
        From `avg_pool_forward`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = avg_pool_forward(np.ones((1, 1, 2, 5)), {"pool_height": 2, "pool_width": 2, "stride": 2})
    >>> avg_pool_backward(np.array([4.0, 8.0]).reshape(1, 1, 1, 2), cache)  # no window reads the last column
    array([[[[1., 1., 2., 2., 0.],
             [1., 1., 2., 2., 0.]]]])
    """
    x_shape, height, width, stride, out_shape = cache
    dout = upstream("avg_pool_backward", dout, out_shape)
    *_, rows_out, columns_out = out_shape
    share = dout / (height * width)
    dsums = np.zeros((*out_shape[:3], x_shape[3]), dout.dtype)  # (N, C, H', W)
    for v in range(width):
        dsums[..., v : v + stride * columns_out : stride] += share
    dx = np.zeros(x_shape, dout.dtype)
    for u in range(height):
        dx[:, :, u : u + stride * rows_out : stride] += dsums
    return dx


def _geometry(function: str, x: Array, pool_param: Mapping[str, Any]) -> tuple[int, int, int, int, int]:
    """Height and width of a window, stride, height and width of the output; ValueError where there is none."""
    height = whole_number(function, "pool_param", pool_param, "pool_height", 1)
    width = whole_number(function, "pool_param", pool_param, "pool_width", 1)
    stride = whole_number(function, "pool_param", pool_param, "stride", 1)
    if x.ndim != 4:
        raise ValueError(f"{function}: x has shape {x.shape} but must have four axes, (N, C, H, W)")
    if height > x.shape[2] or width > x.shape[3]:
        raise ValueError(
            f"{function}: x has shape {x.shape} but pool_param asks for windows of shape {(height, width)}"
        )
    rows_out = window_count(x.shape[2], height, stride)
    columns_out = window_count(x.shape[3], width, stride)
    return height, width, stride, rows_out, columns_out


# CS231n's names for the fast pair.
max_pool_forward_fast = max_pool_forward
max_pool_backward_fast = max_pool_backward
