"""Convolution: one small affine map, applied to every window of an image.

Twice: `conv_forward_naive` is the specification, `conv_forward` does the same fast. A test holds them together.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.layers._arrays import Array, as_float, upstream
from minigrad.layers._windows import whole_number, window_count


def conv_forward_naive(x: Array, w: Array, b: Array, conv_param: Mapping[str, Any]) -> tuple[Array, tuple]:
    r"""Convolution as its definition has it: a loop over examples, filters, and places.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    w : ndarray, shape (F, C, HH, WW)
        F filters, each as deep as an image, HH high and WW wide.
    b : ndarray, shape (F,)
        Biases, one for each filter.
    conv_param : dict
        ``'stride'``, by how many pixels a window is moved, down and to the right; ``'pad'``, how many zeros
        are put around the image on every side. Other keys are ignored.

    Returns
    -------
    out : ndarray, shape (N, F, H', W')
        With H' = 1 + (H + 2 pad - HH) // stride, and W' likewise. Rows and columns that are left over at
        the bottom and on the right are not read.
    cache : tuple
        What `conv_backward_naive` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, the filter is larger than the padded image, or `conv_param` lacks
        a number or has an impossible one.

    Notes
    -----
    With stride s, and x padded,

    .. math:: out_{nfij} = b_f + \sum_{c,u,v} x_{n,c,\,si+u,\,sj+v}\; w_{fcuv}

    (The filter is not flipped: mathematicians call this a cross-correlation.) As for an affine layer, ask
    which outputs a number reaches, and add up what comes back from them:

    * Output (n, f, i, j) reads one window, with weights :math:`w_f`. So it hands :math:`dout_{nfij}\, w_f` back
      to that window of `dx`. Windows overlap: what arrives at a pixel is added up, hence ``+=``.
    * :math:`w_f` is used at every place of every image, so `dw` adds up :math:`dout_{nfij}` times the window.
    * :math:`b_f` too, with weight 1.

    What that does to gradients:

    * `dw` is a sum over N H' W' places, `dx` one over at most F HH WW. The gradient of a shared weight grows
      with the image, so it needs a smaller learning rate than an affine layer of the same size would.
    * A corner pixel is read by one window, one in the middle by HH WW of them (at stride 1, without padding).
      The border of `dx` is faint. With a stride that does not divide the side of the filter, the counts
      alternate everywhere, and `dx` shows a checkerboard [2]_.
    * What no window reads, because the stride is larger than the filter or does not lead to the last row,
      gets a gradient of exactly zero.

    References
    ----------
    .. [1] V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.
    .. [2] A. Odena, V. Dumoulin and C. Olah, "Deconvolution and Checkerboard Artifacts", Distill, 2016.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> difference = np.array([-1.0, 1.0]).reshape(1, 1, 1, 2)  # of neighbours in a row
    >>> out, _ = conv_forward_naive(x, difference, np.zeros(1), {"stride": 1, "pad": 0})
    >>> out
    array([[[[1., 1.],
             [1., 1.],
             [1., 1.]]]])
    """
    x, w, b = as_float(x), as_float(w), as_float(b)
    stride, pad, *places = _geometry("conv_forward_naive", x, w, b, conv_param)
    (N, _, _, _), (F, _, HH, WW) = x.shape, w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))  # (N, C, H + 2 pad, W + 2 pad)
    out = np.empty((N, F, *places), np.result_type(x, w, b))
    for n, f, i, j in np.ndindex(out.shape):
        window = np.s_[n, :, stride * i : stride * i + HH, stride * j : stride * j + WW]
        out[n, f, i, j] = (xp[window] * w[f]).sum() + b[f]
    return out, (xp, w, stride, pad, out.shape)


def conv_backward_naive(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `conv_forward_naive` for `x`, `w` and `b`: the same loop, everything handed back.

    Parameters
    ----------
    dout : ndarray, shape (N, F, H', W')
        Upstream gradient.
    cache : tuple
        From `conv_forward_naive`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)
    dw : ndarray, shape (F, C, HH, WW)
    db : ndarray, shape (F,)

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    How many windows read each pixel:

    >>> param = {"stride": 1, "pad": 0}
    >>> _, cache = conv_forward_naive(np.ones((1, 1, 3, 4)), np.ones((1, 1, 2, 2)), np.zeros(1), param)
    >>> dx, _, _ = conv_backward_naive(np.ones((1, 1, 2, 3)), cache)
    >>> dx
    array([[[[1., 2., 2., 1.],
             [2., 4., 4., 2.],
             [1., 2., 2., 1.]]]])
    """
    xp, w, stride, pad, out_shape = cache
    dout = upstream("conv_backward_naive", dout, out_shape)
    F, _, HH, WW = w.shape
    dxp = np.zeros(xp.shape, np.result_type(dout, w))
    dw = np.zeros(w.shape, np.result_type(dout, xp))
    db = np.zeros(F, dout.dtype)
    for n, f, i, j in np.ndindex(dout.shape):
        window = np.s_[n, :, stride * i : stride * i + HH, stride * j : stride * j + WW]
        dxp[window] += dout[n, f, i, j] * w[f]
        dw[f] += dout[n, f, i, j] * xp[window]
        db[f] += dout[n, f, i, j]
    return _without_padding(dxp, pad), dw, db


def conv_forward(x: Array, w: Array, b: Array, conv_param: Mapping[str, Any]) -> tuple[Array, tuple]:
    r"""Convolution as matrix products: `conv_forward_naive`, some hundred times faster.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    w : ndarray, shape (F, C, HH, WW)
        F filters, each as deep as an image, HH high and WW wide.
    b : ndarray, shape (F,)
        Biases, one for each filter.
    conv_param : dict
        ``'stride'`` and ``'pad'``; other keys are ignored.

    Returns
    -------
    out : ndarray, shape (N, F, H', W')
        With H' = 1 + (H + 2 pad - HH) // stride, and W' likewise.
    cache : tuple
        What `conv_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, the filter is larger than the padded image, or `conv_param` lacks
        a number or has an impossible one.

    Notes
    -----
    Write all windows into the columns of a matrix, the filters into the rows of another, and a convolution is
    their product. The usual way to do that (im2col) copies every pixel HH WW times. Here it is copied WW times:
    the images are laid out with their rows outermost, (H, C, WW, N, W'), and moved along by one pixel for each
    column v of the filter,

    .. math:: rows_{h,c,v,n,j} = x_{n,c,h,\,sj+v}

    HH neighbouring rows are then one piece of memory. Read as a matrix of HH C WW by N W' numbers it holds, in
    its columns, the windows of output row i of the whole batch:

    .. math:: out_i = filters \cdot rows_{si \dots si+HH}

    Backward is that of an affine layer, for each i, with two sums: over i for `dw`, because all output rows
    use the same filters, and over the rows that neighbouring windows share for `dx`.

    References
    ----------
    .. [1] K. Chellapilla, S. Puri and P. Simard, "High Performance Convolutional Neural Networks for Document
       Processing", IWFHR 2006: convolution as a matrix product.
    .. [2] M. Cho and D. Brand, "MEC: Memory-efficient Convolution for Deep Neural Network", ICML 2017: copies
       along one axis only.

    Examples
    --------
    >>> x, w = np.ones((32, 3, 8, 8)), np.ones((4, 3, 3, 3))
    >>> out, cache = conv_forward(x, w, np.zeros(4), {"stride": 1, "pad": 1})
    >>> out.shape
    (32, 4, 8, 8)
    >>> out[0, 0, :2, :3]  # a corner sees 4 pixels of each channel, the border 6, the others 9
    array([[12., 18., 18.],
           [18., 27., 27.]])
    """
    x, w, b = as_float(x), as_float(w), as_float(b)
    stride, pad, *places = _geometry("conv_forward", x, w, b, conv_param)
    (N, C, _, _), (F, _, HH, WW), (rows_out, columns_out) = x.shape, w.shape, places
    matrix = (HH * C * WW, N * columns_out)
    rows = _move_along(x, WW, columns_out, stride, pad)  # (H + 2 pad, C, WW, N, W')
    filters = w.transpose(0, 2, 1, 3).reshape(F, HH * C * WW)  # (F, C, HH, WW) -> (F, HH C WW)
    out_rows = np.empty((rows_out, F, N * columns_out), np.result_type(x, w, b))
    for i in range(rows_out):
        windows = rows[stride * i : stride * i + HH].reshape(matrix)  # a view: nothing is copied
        np.matmul(filters, windows, out=out_rows[i])  # (F, HH C WW) @ (HH C WW, N W') -> (F, N W')
    out_rows += b[:, None]
    # (H', F, N W') -> (H', F, N, W') -> (N, F, H', W')
    out = np.ascontiguousarray(out_rows.reshape(rows_out, F, N, columns_out).transpose(2, 1, 0, 3))
    return out, (rows, filters, stride, pad, x.shape, w.shape, out.shape)


def conv_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `conv_forward` for `x`, `w` and `b`.

    Parameters
    ----------
    dout : ndarray, shape (N, F, H', W')
        Upstream gradient.
    cache : tuple
        From `conv_forward`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)
    dw : ndarray, shape (F, C, HH, WW)
    db : ndarray, shape (F,)

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> x, w = np.ones((32, 3, 8, 8)), np.ones((4, 3, 3, 3))
    >>> out, cache = conv_forward(x, w, np.zeros(4), {"stride": 1, "pad": 1})
    >>> dx, dw, db = conv_backward(np.ones(out.shape), cache)
    >>> dx[0, 0, :2, :3]  # as many windows see a pixel as it has neighbours, times 4 filters
    array([[16., 24., 24.],
           [24., 36., 36.]])
    >>> db  # every place of every image
    array([2048., 2048., 2048., 2048.])
    """
    rows, filters, stride, pad, x_shape, w_shape, out_shape = cache
    dout = upstream("conv_backward", dout, out_shape)
    (F, C, HH, WW), (N, _, rows_out, columns_out) = w_shape, out_shape
    matrix = (HH * C * WW, N * columns_out)
    dout_rows = dout.transpose(2, 1, 0, 3).reshape(rows_out, F, N * columns_out)  # from (N, F, H', W')
    dfilters = np.zeros((HH * C * WW, F), np.result_type(dout, rows))  # transposed: BLAS is faster that way
    drows = np.zeros(rows.shape, np.result_type(dout, filters))
    for i in range(rows_out):
        windows = rows[stride * i : stride * i + HH].reshape(matrix)
        dwindows = drows[stride * i : stride * i + HH].reshape(matrix)
        dfilters += windows @ dout_rows[i].T  # (HH C WW, N W') @ (N W', F) -> (HH C WW, F)
        dwindows += filters.T @ dout_rows[i]  # (HH C WW, F) @ (F, N W') -> (HH C WW, N W')
    dx = _move_back(drows, x_shape, stride, pad)
    dw = dfilters.reshape(HH, C, WW, F).transpose(3, 1, 0, 2)  # (HH C WW, F) -> (F, C, HH, WW)
    places = rows_out * columns_out
    sums = dout.reshape(N, F, places) @ np.ones(places, dout.dtype)  # (N, F, H', W') -> (N, F)
    db = sums.sum(axis=0)
    return dx, np.ascontiguousarray(dw), db


def _move_along(x: Array, width: int, columns_out: int, stride: int, pad: int) -> Array:
    """(N, C, H, W) -> (H + 2 pad, C, width, N, W'): for each column of the filter, the pixels that meet it."""
    N, C, H, W = x.shape
    xp = np.zeros((H, C, N, W + 2 * pad), x.dtype)
    xp[..., pad : pad + W] = x.transpose(2, 1, 0, 3)
    rows = np.empty((H + 2 * pad, C, width, N, columns_out), x.dtype)
    rows[:pad] = rows[pad + H :] = 0
    for v in range(width):
        rows[pad : pad + H, :, v] = xp[..., v : v + stride * columns_out : stride]
    return rows


def _move_back(drows: np.ndarray, x_shape: tuple[int, ...], stride: int, pad: int) -> Array:
    """(H + 2 pad, C, width, N, W') -> (N, C, H, W): what `_move_along` has copied, added up."""
    N, C, H, W = x_shape
    _, _, width, _, columns_out = drows.shape
    dxp = np.zeros((H, C, N, W + 2 * pad), drows.dtype)
    for v in range(width):
        dxp[..., v : v + stride * columns_out : stride] += drows[pad : pad + H, :, v]
    return np.ascontiguousarray(dxp[..., pad : pad + W].transpose(2, 1, 0, 3))


def _without_padding(xp: Array, pad: int) -> Array:
    """(N, C, H + 2 pad, W + 2 pad) -> (N, C, H, W), in a piece of memory of its own."""
    H, W = xp.shape[2] - 2 * pad, xp.shape[3] - 2 * pad
    return np.ascontiguousarray(xp[:, :, pad : pad + H, pad : pad + W])


def _geometry(
    function: str, x: Array, w: Array, b: Array, conv_param: Mapping[str, Any]
) -> tuple[int, int, int, int]:
    """Stride, padding, and the height and width of the output; ValueError where there is none."""
    stride = whole_number(function, "conv_param", conv_param, "stride", 1)
    pad = whole_number(function, "conv_param", conv_param, "pad", 0)
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[1]:
        raise ValueError(
            f"{function}: x has shape {x.shape} but w has shape {w.shape}; "
            "they must be (N, C, H, W) and (F, C, HH, WW)"
        )
    if b.shape != w.shape[:1]:
        raise ValueError(f"{function}: b has shape {b.shape} but w has shape {w.shape}; one bias per filter")
    height, width = x.shape[2] + 2 * pad, x.shape[3] + 2 * pad
    if not (1 <= w.shape[2] <= height and 1 <= w.shape[3] <= width):
        raise ValueError(
            f"{function}: x has shape {x.shape} but w has shape {w.shape}; with pad {pad} "
            f"a filter of {w.shape[2]} by {w.shape[3]} has no place in an image of {height} by {width}"
        )
    return stride, pad, window_count(height, w.shape[2], stride), window_count(width, w.shape[3], stride)


# CS231n's names for the fast pair.
conv_forward_fast = conv_forward
conv_backward_fast = conv_backward
