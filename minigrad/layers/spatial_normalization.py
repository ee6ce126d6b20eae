"""Normalization of images: over the batch for each channel, or over groups of channels for each image.

The formulas are those of `batchnorm` and `layernorm`; what differs is which numbers share a mean. One form of the
gradient serves them all. With ``g = dout * gamma / std``, what reaches the centred input straight, and means over
the numbers that were normalized together::

    dx = g - mean(g) - xhat * mean(g * xhat)
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np

from minigrad.layers._arrays import Array, dot_rows, row_by_row, upstream
from minigrad.layers._statistics import (
    check_features,
    check_something_to_average,
    in_one_dtype,
    is_training,
    read_eps,
    running_statistics,
    update_running,
)


def spatial_batchnorm_forward(
    x: Array, gamma: Array, beta: Array, bn_param: MutableMapping[str, Any]
) -> tuple[Array, tuple]:
    r"""Batch normalization of images: each channel over all examples and all places.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    gamma : ndarray, shape (C,)
        Scale of each channel.
    beta : ndarray, shape (C,)
        Shift of each channel.
    bn_param : dict
        As for `batchnorm_forward`: ``mode`` is "train" or "test"; optional are ``eps`` (1e-5), ``momentum`` (0.9),
        ``running_mean`` and ``running_var``, shape (C,), which training writes back.

    Returns
    -------
    out : ndarray, shape (N, C, H, W)
        Normalized, scaled and shifted.
    cache : tuple
        What `spatial_batchnorm_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, a value in `bn_param` is impossible, or there is nothing to train on.

    Notes
    -----
    A convolution treats every place alike, so a channel is one feature, and every place of every image is an
    example of it: this is `batchnorm_forward` of the (N * H * W, C) matrix that has a row for each pixel. That
    matrix would have to be copied together, so here the means run over the axes where they are.

    With N * H * W numbers behind each mean, small batches do less harm than in `batchnorm`. But the pixels of one
    image are not independent: what counts is nearer to N than to N * H * W.

    References
    ----------
    .. [1] S. Ioffe and C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
       Covariate Shift", ICML 2015, section 3.2.

    Examples
    --------
    >>> x = np.array([[[[1.0, 3.0]], [[10.0, 50.0]]]])  # one image, two channels of one row
    >>> out, _ = spatial_batchnorm_forward(x, np.ones(2), np.zeros(2), {"mode": "train"})
    >>> out.round(3)
    array([[[[-1.,  1.]],
    <BLANKLINE>
            [[-1.,  1.]]]])
    """
    name = "spatial_batchnorm_forward"
    x, gamma, beta = in_one_dtype(x, gamma, beta)
    fit = x.ndim == 4 and gamma.shape == x.shape[1:2]
    check_features(name, x, gamma, beta, fit, "(N, C, H, W) and (C,)")
    training, eps = is_training(name, bn_param), read_eps(name, bn_param)
    N, C, H, W = x.shape
    M = N * H * W  # numbers behind each mean
    pixels = x.reshape(N, C, H * W)
    with row_by_row(pixels):
        if training:
            check_something_to_average(name, x, M)
            mu = (pixels @ np.ones(H * W, x.dtype)).sum(axis=0) / M  # (N, C, H * W) -> (N, C) -> (C,)
            xc = pixels - mu[:, None]
            var = dot_rows(xc, xc).sum(axis=0) / M
            update_running(name, bn_param, x, mu, var)
        else:
            mu, var = (each.astype(x.dtype) for each in running_statistics(name, bn_param, x, C))
            xc = pixels - mu[:, None]
        std = np.sqrt(var + eps)  # (C,)
        out = xc * (gamma / std)[:, None]
        out += beta[:, None]
    return out.reshape(x.shape), (xc, std, gamma, training, x.shape)


def spatial_batchnorm_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `spatial_batchnorm_forward` for `x`, `gamma` and `beta`.

    Parameters
    ----------
    dout : ndarray, shape (N, C, H, W)
        Upstream gradient.
    cache : tuple
        From `spatial_batchnorm_forward`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)
        Gradient for the images.
    dgamma : ndarray, shape (C,)
        Gradient for the scales, summed over images and places.
    dbeta : ndarray, shape (C,)
        Gradient for the shifts, summed over images and places.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> x = np.array([[[[1.0, 3.0, 8.0]]]])
    >>> _, cache = spatial_batchnorm_forward(x, np.array([2.0]), np.zeros(1), {"mode": "train"})
    >>> dx, dgamma, dbeta = spatial_batchnorm_backward(np.array([[[[1.0, 0.0, 0.0]]]]), cache)
    >>> dx.round(3)
    array([[[[ 0.218, -0.305,  0.087]]]])
    """
    xc, std, gamma, training, shape = cache
    dout = upstream("spatial_batchnorm_backward", dout, shape).reshape(xc.shape)  # (N, C, H * W)
    N, _, L = xc.shape
    M = N * L
    dbeta = (dout @ np.ones(L, dout.dtype)).sum(axis=0)  # (N, C, H * W) -> (N, C) -> (C,)
    dgamma = dot_rows(dout, xc).sum(axis=0) / std  # where xc / std is xhat
    with row_by_row(xc):
        if not training:
            return (dout * (gamma / std)[:, None]).reshape(shape), dgamma, dbeta
        dx = xc * (dgamma / (M * std))[:, None]  # one array, in four steps
        dx += (dbeta / M)[:, None]
        np.subtract(dout, dx, out=dx)
        dx *= (gamma / std)[:, None]
    return dx.reshape(shape), dgamma, dbeta


def spatial_groupnorm_forward(
    x: Array, gamma: Array, beta: Array, G: int, gn_param: Mapping[str, Any]
) -> tuple[Array, tuple]:
    r"""Group normalization: each image, in groups of neighbouring channels.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    gamma : ndarray, shape (1, C, 1, 1) or (C,)
        Scale of each channel.
    beta : ndarray, shape of `gamma`
        Shift of each channel.
    G : int
        Number of groups; it divides C.
    gn_param : dict
        Optional: ``eps`` (1e-5). Other keys are ignored.

    Returns
    -------
    out : ndarray, shape (N, C, H, W)
        Normalized, scaled and shifted.
    cache : tuple
        What `spatial_groupnorm_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, `G` does not divide the channels, there is nothing to take a mean of,
        or ``eps`` is impossible.

    Notes
    -----
    Channels 0 to C/G - 1 are the first group, and so on. Mean and variance are taken over the channels and places
    of a group in one image, so images do not see each other, and a batch may be small. With G = 1 that is layer
    normalization over all of an image, with G = C instance normalization, which erases the contrast of each
    channel: no gradient asks for more of a pattern everywhere.

    References
    ----------
    .. [1] Y. Wu and K. He, "Group Normalization", ECCV 2018.

    Examples
    --------
    >>> x = np.array([1.0, 3.0, 10.0, 50.0]).reshape(1, 4, 1, 1)  # four channels of one pixel
    >>> out, _ = spatial_groupnorm_forward(x, np.ones((1, 4, 1, 1)), np.zeros((1, 4, 1, 1)), 2, {})
    >>> out.ravel().round(3)
    array([-1.,  1., -1.,  1.])
    """
    name = "spatial_groupnorm_forward"
    x, gamma, beta = in_one_dtype(x, gamma, beta)
    fit = x.ndim == 4 and gamma.shape in (x.shape[1:2], (1, x.shape[1], 1, 1))
    check_features(name, x, gamma, beta, fit, "(N, C, H, W) and (1, C, 1, 1)")
    eps = read_eps(name, gn_param)
    N, C, H, W = x.shape
    if not (isinstance(G, int | np.integer) and G >= 1 and C % G == 0):
        raise ValueError(f"{name}: x has shape {x.shape}: its channels do not make {G!r} equal groups")
    M = C // G * H * W  # numbers behind each mean
    check_something_to_average(name, x, M)
    groups = x.reshape(N * G, M)  # (N, C, H, W) -> (N * G, M)
    with row_by_row(groups):
        mu = groups @ np.ones(M, x.dtype) / M  # (N * G, M) -> (N * G,)
        xc = groups - mu[:, None]
        var = dot_rows(xc, xc) / M  # (N * G, M) -> (N * G,)
        inv_std = 1 / np.sqrt(var + eps)[:, None]  # (N * G, 1)
        # A slope for each image and channel: (N, G, 1) * (G, C / G) -> (N, G, C / G).
        slope = inv_std.reshape(N, G, 1) * gamma.reshape(G, C // G)
        out = xc.reshape(N, C, H * W) * slope.reshape(N, C, 1)  # (N * G, M) -> (N, C, H * W)
        out += beta.reshape(C, 1)
    return out.reshape(x.shape), (xc, inv_std, slope, gamma.shape, x.shape)


def spatial_groupnorm_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    r"""Gradients of `spatial_groupnorm_forward` for `x`, `gamma` and `beta`.

    Parameters
    ----------
    dout : ndarray, shape (N, C, H, W)
        Upstream gradient.
    cache : tuple
        From `spatial_groupnorm_forward`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)
        Gradient for the images.
    dgamma : ndarray, shape of `gamma`
        Gradient for the scales, summed over images and places.
    dbeta : ndarray, shape of `beta`
        Gradient for the shifts, summed over images and places.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Notes
    -----
    Within one channel of one image the slope is one number, so two sums over its places are enough for
    everything: of `dout`, and of `dout` times the centred input. Summed over the images they make `dbeta` and
    `dgamma`; weighted with the slopes and summed over the channels of a group, they make the two means in `dx`.

    Examples
    --------
    >>> x = np.array([1.0, 3.0, 8.0]).reshape(1, 3, 1, 1)
    >>> _, cache = spatial_groupnorm_forward(x, np.array([2.0, 1.0, 1.0]), np.zeros(3), 1, {})
    >>> dx, dgamma, dbeta = spatial_groupnorm_backward(np.array([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1), cache)
    >>> dx.ravel().round(3)
    array([ 0.218, -0.305,  0.087])
    """
    xc, inv_std, slope, features, shape = cache  # (N * G, M), (N * G, 1), (N, G, C / G)
    dout = upstream("spatial_groupnorm_backward", dout, shape)
    N, C, H, W = shape
    M = xc.shape[1]
    dout = dout.reshape(N, C, H * W)
    sums = (dout @ np.ones(H * W, dout.dtype)).reshape(slope.shape)  # (N, C, H * W) -> (N, G, C / G)
    sums_xc = dot_rows(dout, xc.reshape(N, C, H * W)).reshape(slope.shape)
    dbeta = sums.sum(axis=0).reshape(features)  # (N, G, C / G) -> (1, C, 1, 1)
    dgamma = (sums_xc * inv_std.reshape(N, slope.shape[1], 1)).sum(axis=0).reshape(features)
    mean_g = np.einsum("ngc,ngc->ng", slope, sums).reshape(inv_std.shape) / M  # (N, G, C / G) -> (N * G, 1)
    mean_g_xc = np.einsum("ngc,ngc->ng", slope, sums_xc).reshape(inv_std.shape) / M
    with row_by_row(xc):
        dx = xc * (mean_g_xc * inv_std**2)  # where xc * inv_std is xhat
        dx += mean_g
        dx = dx.reshape(N, C, H * W)  # (N * G, M) -> (N, C, H * W)
        np.subtract(dout * slope.reshape(N, C, 1), dx, out=dx)
    return dx.reshape(shape), dgamma, dbeta
