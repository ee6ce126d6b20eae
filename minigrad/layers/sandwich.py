"""Layers that often come together, as one pair: forward left to right, backward right to left.

A cache is the caches of the parts, and there is no more to it: the chain rule is the order of the calls. That order
is also what goes wrong, where a part is left out on the way back.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from minigrad.layers._arrays import Array
from minigrad.layers.activations import relu_backward, relu_forward, sigmoid_backward, sigmoid_forward
from minigrad.layers.affine import affine_backward, affine_forward
from minigrad.layers.convolution import conv_backward, conv_forward
from minigrad.layers.normalization import batchnorm_backward_alt, batchnorm_forward
from minigrad.layers.pooling import max_pool_backward, max_pool_forward
from minigrad.layers.spatial_normalization import spatial_batchnorm_backward, spatial_batchnorm_forward


def affine_relu_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple]:
    """Affine, then ReLU: (N, d1, ..., dk) to (N, M)."""
    a, affine_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (affine_cache, relu_cache)


def affine_relu_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `affine_relu_forward` for `x`, `w` and `b`."""
    affine_cache, relu_cache = cache
    da = relu_backward(dout, relu_cache)
    return affine_backward(da, affine_cache)


def affine_sigmoid_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple]:
    """Affine, then sigmoid: a layer of a network as it used to be.

    Parameters
    ----------
    x : ndarray, shape (N, d1, ..., dk)
        N examples.
    w : ndarray, shape (D, M)
        Weights.
    b : ndarray, shape (M,)
        Biases.

    Returns
    -------
    out : ndarray, shape (N, M)
        Activations.
    cache : tuple
        What `affine_sigmoid_backward` needs.

    Examples
    --------
    >>> import numpy as np
    >>> out, cache = affine_sigmoid_forward(np.ones((1, 2)), np.ones((2, 1)), np.zeros(1))
    >>> out.round(4)
    array([[0.8808]])
    """
    a, affine_cache = affine_forward(x, w, b)
    out, sigmoid_cache = sigmoid_forward(a)
    return out, (affine_cache, sigmoid_cache)


def affine_sigmoid_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `affine_sigmoid_forward` for `x`, `w` and `b`.

    Parameters
    ----------
    dout : ndarray, shape (N, M)
        Upstream gradient.
    cache : tuple
        From `affine_sigmoid_forward`.

    Returns
    -------
    dx : ndarray, shape (N, d1, ..., dk)
    dw : ndarray, shape (D, M)
    db : ndarray, shape (M,)
        Gradients.

    Examples
    --------
    >>> import numpy as np
    >>> _, cache = affine_sigmoid_forward(np.ones((1, 2)), np.zeros((2, 1)), np.zeros(1))
    >>> dx, dw, db = affine_sigmoid_backward(np.ones((1, 1)), cache)
    >>> db
    array([0.25])
    """
    affine_cache, sigmoid_cache = cache
    da = sigmoid_backward(dout, sigmoid_cache)
    return affine_backward(da, affine_cache)


def affine_bn_relu_forward(
    x: Array, w: Array, b: Array, gamma: Array, beta: Array, bn_param: MutableMapping[str, Any]
) -> tuple[Array, tuple]:
    """Affine, then batch normalization, then ReLU: (N, d1, ..., dk) to (N, M).

    In training `b` does nothing, since the mean is subtracted again, and its gradient is round-off.
    """
    a, affine_cache = affine_forward(x, w, b)
    normed, bn_cache = batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(normed)
    return out, (affine_cache, bn_cache, relu_cache)


def affine_bn_relu_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `affine_bn_relu_forward` for `x`, `w`, `b`, `gamma` and `beta`."""
    affine_cache, bn_cache, relu_cache = cache
    dnormed = relu_backward(dout, relu_cache)
    da, dgamma, dbeta = batchnorm_backward_alt(dnormed, bn_cache)
    dx, dw, db = affine_backward(da, affine_cache)
    return dx, dw, db, dgamma, dbeta


def conv_relu_forward(x: Array, w: Array, b: Array, conv_param: Mapping[str, Any]) -> tuple[Array, tuple]:
    """Convolution, then ReLU: (N, C, H, W) to (N, F, H', W')."""
    a, conv_cache = conv_forward(x, w, b, conv_param)
    out, relu_cache = relu_forward(a)
    return out, (conv_cache, relu_cache)


def conv_relu_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `conv_relu_forward` for `x`, `w` and `b`."""
    conv_cache, relu_cache = cache
    da = relu_backward(dout, relu_cache)
    return conv_backward(da, conv_cache)


def conv_bn_relu_forward(
    x: Array,
    w: Array,
    b: Array,
    gamma: Array,
    beta: Array,
    conv_param: Mapping[str, Any],
    bn_param: MutableMapping[str, Any],
) -> tuple[Array, tuple]:
    """Convolution, then batch normalization of each channel, then ReLU: (N, C, H, W) to (N, F, H', W')."""
    a, conv_cache = conv_forward(x, w, b, conv_param)
    normed, bn_cache = spatial_batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(normed)
    return out, (conv_cache, bn_cache, relu_cache)


def conv_bn_relu_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `conv_bn_relu_forward` for `x`, `w`, `b`, `gamma` and `beta`."""
    conv_cache, bn_cache, relu_cache = cache
    dnormed = relu_backward(dout, relu_cache)
    da, dgamma, dbeta = spatial_batchnorm_backward(dnormed, bn_cache)
    dx, dw, db = conv_backward(da, conv_cache)
    return dx, dw, db, dgamma, dbeta


def conv_relu_pool_forward(
    x: Array, w: Array, b: Array, conv_param: Mapping[str, Any], pool_param: Mapping[str, Any]
) -> tuple[Array, tuple]:
    """Convolution, then ReLU, then max pooling: (N, C, H, W) to (N, F, H', W')."""
    a, conv_cache = conv_forward(x, w, b, conv_param)
    s, relu_cache = relu_forward(a)
    out, pool_cache = max_pool_forward(s, pool_param)
    return out, (conv_cache, relu_cache, pool_cache)


def conv_relu_pool_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `conv_relu_pool_forward` for `x`, `w` and `b`."""
    conv_cache, relu_cache, pool_cache = cache
    ds = max_pool_backward(dout, pool_cache)
    da = relu_backward(ds, relu_cache)
    return conv_backward(da, conv_cache)
