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
    """Affine, then ReLU: a hidden layer of most networks.

    Parameters
    ----------
    x : ndarray, shape (N, d1, ..., dk)
        N examples.
    w : ndarray, shape (D, M)
        Weights, with D = d1 * ... * dk.
    b : ndarray, shape (M,)
        Biases.

    Returns
    -------
    out : ndarray, shape (N, M)
        Activations.
    cache : tuple
        What `affine_relu_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> out, cache = affine_relu_forward(np.ones((1, 2)), np.array([[1.0, -1.0], [2.0, -2.0]]), np.zeros(2))
    >>> out
    array([[3., 0.]])
    """
    a, affine_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (affine_cache, relu_cache)


def affine_relu_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `affine_relu_forward` for `x`, `w` and `b`.

    Parameters
    ----------
    dout : ndarray, shape (N, M)
        Upstream gradient.
    cache : tuple
        From `affine_relu_forward`.

    Returns
    -------
    dx : ndarray, shape (N, d1, ..., dk)
    dw : ndarray, shape (D, M)
    db : ndarray, shape (M,)
        Gradients.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([[1.0, -1.0], [2.0, -2.0]])  # the second unit is not active, and its weights hear nothing
    >>> _, cache = affine_relu_forward(np.ones((1, 2)), w, np.zeros(2))
    >>> dx, dw, db = affine_relu_backward(np.ones((1, 2)), cache)
    >>> dw
    array([[1., 0.],
           [1., 0.]])
    """
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

    Raises
    ------
    ValueError
        If the shapes do not fit together.

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

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

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
    """Affine, then batch normalization, then ReLU.

    Parameters
    ----------
    x : ndarray, shape (N, d1, ..., dk)
        N examples.
    w : ndarray, shape (D, M)
        Weights, with D = d1 * ... * dk.
    b : ndarray, shape (M,)
        Biases.
    gamma, beta : ndarray, shape (M,)
        Scale and shift of each unit.
    bn_param : dict
        As for `batchnorm_forward`; in training the running statistics are written back.

    Returns
    -------
    out : ndarray, shape (N, M)
        Activations.
    cache : tuple
        What `affine_bn_relu_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a value in `bn_param` is impossible.

    Notes
    -----
    In training `b` does nothing, since the mean is subtracted again, and its gradient is round-off.

    Examples
    --------
    >>> import numpy as np
    >>> x, w, b = np.array([[1.0], [3.0]]), np.ones((1, 1)), np.array([7.0])
    >>> out, cache = affine_bn_relu_forward(x, w, b, np.ones(1), np.zeros(1), {"mode": "train"})
    >>> out.round(3)
    array([[0.],
           [1.]])
    """
    a, affine_cache = affine_forward(x, w, b)
    normed, bn_cache = batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(normed)
    return out, (affine_cache, bn_cache, relu_cache)


def affine_bn_relu_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `affine_bn_relu_forward` for `x`, `w`, `b`, `gamma` and `beta`.

    Parameters
    ----------
    dout : ndarray, shape (N, M)
        Upstream gradient.
    cache : tuple
        From `affine_bn_relu_forward`.

    Returns
    -------
    dx : ndarray, shape (N, d1, ..., dk)
    dw : ndarray, shape (D, M)
    db : ndarray, shape (M,)
    dgamma : ndarray, shape (M,)
    dbeta : ndarray, shape (M,)
        Gradients.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, w, b = np.array([[1.0], [3.0]]), np.ones((1, 1)), np.array([7.0])
    >>> _, cache = affine_bn_relu_forward(x, w, b, np.ones(1), np.zeros(1), {"mode": "train"})
    >>> dx, dw, db, dgamma, dbeta = affine_bn_relu_backward(np.ones((2, 1)), cache)
    >>> dbeta  # one of the two examples is active
    array([1.])
    """
    affine_cache, bn_cache, relu_cache = cache
    dnormed = relu_backward(dout, relu_cache)
    da, dgamma, dbeta = batchnorm_backward_alt(dnormed, bn_cache)
    dx, dw, db = affine_backward(da, affine_cache)
    return dx, dw, db, dgamma, dbeta


def conv_relu_forward(x: Array, w: Array, b: Array, conv_param: Mapping[str, Any]) -> tuple[Array, tuple]:
    """Convolution, then ReLU.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    w : ndarray, shape (F, C, HH, WW)
        Filters.
    b : ndarray, shape (F,)
        Biases.
    conv_param : dict
        ``'stride'`` and ``'pad'``, as for `conv_forward`.

    Returns
    -------
    out : ndarray, shape (N, F, H', W')
        Activations.
    cache : tuple
        What `conv_relu_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a number in `conv_param` is missing or impossible.

    Examples
    --------
    >>> import numpy as np
    >>> x, edge = np.array([[[[0.0, 5.0, 1.0]]]]), np.array([[[[-1.0, 1.0]]]])  # it sees what gets brighter
    >>> out, cache = conv_relu_forward(x, edge, np.zeros(1), {"stride": 1, "pad": 0})
    >>> out
    array([[[[5., 0.]]]])
    """
    a, conv_cache = conv_forward(x, w, b, conv_param)
    out, relu_cache = relu_forward(a)
    return out, (conv_cache, relu_cache)


def conv_relu_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `conv_relu_forward` for `x`, `w` and `b`.

    Parameters
    ----------
    dout : ndarray, shape (N, F, H', W')
        Upstream gradient.
    cache : tuple
        From `conv_relu_forward`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)
    dw : ndarray, shape (F, C, HH, WW)
    db : ndarray, shape (F,)
        Gradients.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, edge = np.array([[[[0.0, 5.0, 1.0]]]]), np.array([[[[-1.0, 1.0]]]])
    >>> _, cache = conv_relu_forward(x, edge, np.zeros(1), {"stride": 1, "pad": 0})
    >>> dx, dw, db = conv_relu_backward(np.ones((1, 1, 1, 2)), cache)
    >>> dx + 0.0  # without the sign of a zero
    array([[[[-1.,  1.,  0.]]]])
    """
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
    """Convolution, then batch normalization of each channel, then ReLU.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    w : ndarray, shape (F, C, HH, WW)
        Filters.
    b : ndarray, shape (F,)
        Biases.
    gamma, beta : ndarray, shape (F,)
        Scale and shift of each channel.
    conv_param : dict
        ``'stride'`` and ``'pad'``, as for `conv_forward`.
    bn_param : dict
        As for `spatial_batchnorm_forward`; in training the running statistics are written back.

    Returns
    -------
    out : ndarray, shape (N, F, H', W')
        Activations.
    cache : tuple
        What `conv_bn_relu_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a number in `conv_param` or `bn_param` is impossible.

    Notes
    -----
    In training `b` does nothing, since the mean is subtracted again, and its gradient is round-off.

    Examples
    --------
    >>> import numpy as np
    >>> x, w, b = np.array([[[[1.0, 3.0]]]]), np.ones((1, 1, 1, 1)), np.zeros(1)
    >>> conv_param, bn_param = {"stride": 1, "pad": 0}, {"mode": "train"}
    >>> out, cache = conv_bn_relu_forward(x, w, b, np.ones(1), np.zeros(1), conv_param, bn_param)
    >>> out.round(3)
    array([[[[0., 1.]]]])
    """
    a, conv_cache = conv_forward(x, w, b, conv_param)
    normed, bn_cache = spatial_batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(normed)
    return out, (conv_cache, bn_cache, relu_cache)


def conv_bn_relu_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `conv_bn_relu_forward` for `x`, `w`, `b`, `gamma` and `beta`.

    Parameters
    ----------
    dout : ndarray, shape (N, F, H', W')
        Upstream gradient.
    cache : tuple
        From `conv_bn_relu_forward`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)
    dw : ndarray, shape (F, C, HH, WW)
    db : ndarray, shape (F,)
    dgamma : ndarray, shape (F,)
    dbeta : ndarray, shape (F,)
        Gradients.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, w, b = np.array([[[[1.0, 3.0]]]]), np.ones((1, 1, 1, 1)), np.zeros(1)
    >>> conv_param, bn_param = {"stride": 1, "pad": 0}, {"mode": "train"}
    >>> _, cache = conv_bn_relu_forward(x, w, b, np.ones(1), np.zeros(1), conv_param, bn_param)
    >>> dx, dw, db, dgamma, dbeta = conv_bn_relu_backward(np.ones((1, 1, 1, 2)), cache)
    >>> dbeta  # one of the two pixels is active
    array([1.])
    """
    conv_cache, bn_cache, relu_cache = cache
    dnormed = relu_backward(dout, relu_cache)
    da, dgamma, dbeta = spatial_batchnorm_backward(dnormed, bn_cache)
    dx, dw, db = conv_backward(da, conv_cache)
    return dx, dw, db, dgamma, dbeta


def conv_relu_pool_forward(
    x: Array, w: Array, b: Array, conv_param: Mapping[str, Any], pool_param: Mapping[str, Any]
) -> tuple[Array, tuple]:
    """Convolution, then ReLU, then max pooling.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        N images of C channels.
    w : ndarray, shape (F, C, HH, WW)
        Filters.
    b : ndarray, shape (F,)
        Biases.
    conv_param : dict
        ``'stride'`` and ``'pad'``, as for `conv_forward`.
    pool_param : dict
        ``'pool_height'``, ``'pool_width'`` and ``'stride'``, as for `max_pool_forward`.

    Returns
    -------
    out : ndarray, shape (N, F, H', W')
        The largest activation in each window.
    cache : tuple
        What `conv_relu_pool_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a number in `conv_param` or `pool_param` is missing or impossible.

    Examples
    --------
    >>> import numpy as np
    >>> x, edge = np.array([[[[0.0, 5.0, 1.0]]]]), np.array([[[[-1.0, 1.0]]]])
    >>> pool_param = {"pool_height": 1, "pool_width": 2, "stride": 2}
    >>> out, cache = conv_relu_pool_forward(x, edge, np.zeros(1), {"stride": 1, "pad": 0}, pool_param)
    >>> out
    array([[[[5.]]]])
    """
    a, conv_cache = conv_forward(x, w, b, conv_param)
    s, relu_cache = relu_forward(a)
    out, pool_cache = max_pool_forward(s, pool_param)
    return out, (conv_cache, relu_cache, pool_cache)


def conv_relu_pool_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `conv_relu_pool_forward` for `x`, `w` and `b`.

    Parameters
    ----------
    dout : ndarray, shape (N, F, H', W')
        Upstream gradient.
    cache : tuple
        From `conv_relu_pool_forward`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)
    dw : ndarray, shape (F, C, HH, WW)
    db : ndarray, shape (F,)
        Gradients.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, edge = np.array([[[[0.0, 5.0, 1.0]]]]), np.array([[[[-1.0, 1.0]]]])
    >>> pool_param = {"pool_height": 1, "pool_width": 2, "stride": 2}
    >>> _, cache = conv_relu_pool_forward(x, edge, np.zeros(1), {"stride": 1, "pad": 0}, pool_param)
    >>> dx, dw, db = conv_relu_pool_backward(np.ones((1, 1, 1, 1)), cache)
    >>> dw  # the pixels under the edge that won
    array([[[[0., 5.]]]])
    """
    conv_cache, relu_cache, pool_cache = cache
    ds = max_pool_backward(dout, pool_cache)
    da = relu_backward(ds, relu_cache)
    return conv_backward(da, conv_cache)
