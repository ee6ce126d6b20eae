r"""Normalization of activations: over the batch, or over the features of each example.

Both subtract a mean, divide by a standard deviation, then scale and shift by what is learned. Because the mean and
the deviation depend on the input, each input reaches every output that it is averaged with, and the backward pass
has three paths: straight through, through the variance, and through the mean.

``ones @ x`` adds up the rows of `x`, and ``x @ ones`` the columns: BLAS does it in half the time of `sum`.
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


def batchnorm_forward(
    x: Array, gamma: Array, beta: Array, bn_param: MutableMapping[str, Any]
) -> tuple[Array, tuple]:
    r"""Batch normalization: each feature gets mean 0 and variance 1 over the batch, then is scaled and shifted.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        N examples of D features.
    gamma : ndarray, shape (D,)
        Scale of each feature.
    beta : ndarray, shape (D,)
        Shift of each feature.
    bn_param : dict
        ``mode`` is "train" (statistics of this batch) or "test" (running statistics). Optional: ``eps`` (1e-5),
        ``momentum`` (0.9), ``running_mean`` and ``running_var``, shape (D,) (zeros). In training, forward writes
        the running statistics back into the dict, as new arrays. Other keys are ignored.

    Returns
    -------
    out : ndarray, shape (N, D)
        Normalized, scaled and shifted.
    cache : tuple
        What `batchnorm_backward` and `batchnorm_backward_alt` need.

    Raises
    ------
    ValueError
        If the shapes do not fit together, a value in `bn_param` is impossible, or a batch to train on is empty.

    Notes
    -----
    .. math::
        \mu = \frac1N \sum_n x_n \qquad \sigma^2 = \frac1N \sum_n (x_n - \mu)^2 \qquad
        \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \qquad out = \gamma\,\hat x + \beta

    The code never forms :math:`\hat x`: it multiplies :math:`x - \mu` by :math:`\gamma / \sigma`, a row of D
    numbers, and so walks over the batch once less.

    The variance is that of the population, with 1/N, also for ``running_var``. (PyTorch normalizes with 1/N too,
    but stores 1/(N-1), and its momentum is one minus this one.)

    How it fails. Training and evaluation are two different functions: forget to set the mode, or evaluate before
    the running averages have settled, and a network that trains well predicts nonsense. In a batch of one every
    output is `beta`, whatever the input. And an example is judged by its neighbours: a loss that looks at one row
    has a gradient in all.

    References
    ----------
    .. [1] S. Ioffe and C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
       Covariate Shift", ICML 2015.

    Examples
    --------
    >>> bn_param = {"mode": "train"}
    >>> out, cache = batchnorm_forward(np.array([[1.0], [3.0]]), np.array([10.0]), np.array([5.0]), bn_param)
    >>> out.round(3)
    array([[-5.],
           [15.]])
    >>> bn_param["running_mean"].round(3)  # 0.9 * 0 + 0.1 * 2
    array([0.2])
    """
    name = "batchnorm_forward"
    x, gamma, beta = in_one_dtype(x, gamma, beta)
    check_features(name, x, gamma, beta, x.ndim == 2 and gamma.shape == x.shape[1:], "(N, D) and (D,)")
    training, eps = is_training(name, bn_param), read_eps(name, bn_param)
    N, D = x.shape
    with row_by_row(x):
        if training:
            check_something_to_average(name, x, N)
            ones = np.ones(N, x.dtype)
            mu = ones @ x / N  # (N, D) -> (D,)
            xc = x - mu  # centred
            var = ones @ (xc * xc) / N  # (N, D) -> (D,); not abs(xc), for the complex step
            update_running(name, bn_param, x, mu, var)
        else:
            mu, var = (each.astype(x.dtype) for each in running_statistics(name, bn_param, x, D))
            xc = x - mu
        std = np.sqrt(var + eps)  # (D,)
        out = xc * (gamma / std)
        out += beta
    return out, (xc, std, gamma, training)


def batchnorm_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    r"""Gradients of `batchnorm_forward`, node by node along the computational graph.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
        Upstream gradient.
    cache : tuple
        From `batchnorm_forward`.

    Returns
    -------
    dx : ndarray, shape (N, D)
        Gradient for the examples.
    dgamma : ndarray, shape (D,)
        Gradient for the scales, summed over the batch.
    dbeta : ndarray, shape (D,)
        Gradient for the shifts, summed over the batch.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Notes
    -----
    Forward, one operation at a time::

        x ──┬───────────► (-) xc ──┬────────────────────────────────► (*) xhat ──► (*) ──► (+) out
            └─► mean mu ──►┘       └─► square ─► mean var ─► std ─► 1/std ──►┘      gamma    beta

    Backward walks it from right to left. Where forward copied a value (`x` and `xc` go two ways), the gradients
    that come back are added; where it summed, the gradient is copied to every term, so a mean over N hands 1/N
    of its gradient to each row. In test mode the statistics are constants: the lower two paths are not there.

    `gamma` and `1/std` are one number for each feature, so they wait outside the sums over the batch: the walk
    needs no array for `xhat` or its gradient.

    `batchnorm_backward_alt` computes the same in one formula.

    Examples
    --------
    >>> x, gamma, beta = np.array([[1.0], [3.0], [8.0]]), np.array([2.0]), np.array([0.0])
    >>> _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    >>> dx, dgamma, dbeta = batchnorm_backward(np.array([[1.0], [0.0], [0.0]]), cache)
    >>> dx.round(3)
    array([[ 0.218],
           [-0.305],
           [ 0.087]])
    """
    xc, std, gamma, training = cache
    dout = upstream("batchnorm_backward", dout, xc.shape)
    N = len(xc)
    ones = np.ones(N, dout.dtype)
    inv_std = 1 / std  # (D,)
    with row_by_row(xc):
        # out = gamma * xhat + beta, xhat = xc * inv_std
        dbeta = ones @ dout  # (N, D) -> (D,)
        dout_xc = ones @ (dout * xc)  # (D,): what reaches gamma and inv_std, which both multiply xc
        dgamma = dout_xc * inv_std
        dinv_std = dout_xc * gamma
        dxc = dout * (gamma * inv_std)  # straight through
        if not training:
            return dxc, dgamma, dbeta  # xc = x - running_mean
        # inv_std = 1 / std, std = sqrt(var + eps)
        dstd = -dinv_std * inv_std**2
        dvar = dstd * 0.5 * inv_std
        # var = mean(xc**2)
        dsquare = dvar / N  # (D,): the same for each row
        dxc += 2 * dsquare * xc  # and through the variance
        # xc = x - mu
        dmu = -(ones @ dxc)  # (N, D) -> (D,)
        # mu = mean(x)
        dx = np.add(dxc, dmu / N, out=dxc)  # straight through, and through the mean
    return dx, dgamma, dbeta


def batchnorm_backward_alt(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    r"""Gradients of `batchnorm_forward`, simplified on paper.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
        Upstream gradient.
    cache : tuple
        From `batchnorm_forward`.

    Returns
    -------
    dx : ndarray, shape (N, D)
        Gradient for the examples.
    dgamma : ndarray, shape (D,)
        Gradient for the scales, summed over the batch.
    dbeta : ndarray, shape (D,)
        Gradient for the shifts, summed over the batch.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Notes
    -----
    Write :math:`s = \sqrt{\sigma^2 + \epsilon}`, and follow a small change of `x` in one feature. The mean takes
    away its average; and the deviation changes by :math:`\delta s = \frac1N \sum_n \hat x_n\,\delta x_n`. So

    .. math:: \delta\hat x_n = \frac1s \Big(\delta x_n - \overline{\delta x} - \hat x_n\,\delta s\Big)

    That map is symmetric, so the gradient goes back through the same one:

    .. math::
        dx = \frac{\gamma}{s} \Big( dout - \overline{dout} - \hat x\;\overline{dout \cdot \hat x} \Big)

    with means over the batch. They are :math:`d\beta / N` and :math:`d\gamma / N`, which are needed anyway.

    So the gradient loses whatever is constant over the batch, and (up to :math:`\epsilon`) whatever is
    proportional to :math:`\hat x`: a push that would only shift or stretch a feature is undone by the next
    normalization, and none is sent. With N = 2 nothing else exists, and `dx` is nearly zero.

    Examples
    --------
    >>> x, gamma, beta = np.array([[1.0], [3.0], [8.0]]), np.array([2.0]), np.array([0.0])
    >>> _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    >>> dx, dgamma, dbeta = batchnorm_backward_alt(np.array([[1.0], [0.0], [0.0]]), cache)
    >>> dx.round(3)
    array([[ 0.218],
           [-0.305],
           [ 0.087]])
    """
    xc, std, gamma, training = cache
    dout = upstream("batchnorm_backward_alt", dout, xc.shape)
    N = len(xc)
    ones = np.ones(N, dout.dtype)
    dbeta = ones @ dout  # (N, D) -> (D,)
    dgamma = ones @ (dout * xc) / std  # where xc / std is xhat
    with row_by_row(xc):
        if not training:
            return dout * (gamma / std), dgamma, dbeta
        dx = xc * (dgamma / (N * std))  # one array, in four steps
        dx += dbeta / N
        np.subtract(dout, dx, out=dx)
        dx *= gamma / std
    return dx, dgamma, dbeta


def layernorm_forward(
    x: Array, gamma: Array, beta: Array, ln_param: Mapping[str, Any] | None = None
) -> tuple[Array, tuple]:
    r"""Layer normalization: each example gets mean 0 and variance 1 over its features, then scale and shift.

    Parameters
    ----------
    x : ndarray, shape (N, D) or (N, ..., D)
        Examples of D features; there may be more axes between, such as time.
    gamma : ndarray, shape (D,)
        Scale of each feature.
    beta : ndarray, shape (D,)
        Shift of each feature.
    ln_param : dict, optional
        Optional: ``eps`` (1e-5). Other keys are ignored.

    Returns
    -------
    out : ndarray, shape of `x`
        Normalized, scaled and shifted.
    cache : tuple
        What `layernorm_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there are no features, or ``eps`` is impossible.

    Notes
    -----
    Batch normalization of the transpose, with one difference: `gamma` and `beta` still belong to the features, so
    they do not factor out of the sums. With :math:`d\hat x = \gamma \cdot dout` and means over the features of
    one example,

    .. math::
        dx = \frac{1}{s} \Big( d\hat x - \overline{d\hat x} - \hat x\;\overline{d\hat x \cdot \hat x} \Big)

    No example sees another, so the batch may have any size, and training and evaluation are one function. What
    fails is the other direction: features that all move together are invisible, and an example whose features
    are all equal comes out as `beta`, with a gradient as large as :math:`1/\sqrt\epsilon` allows.

    References
    ----------
    .. [1] J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization", arXiv:1607.06450, 2016.

    Examples
    --------
    >>> out, _ = layernorm_forward(np.array([[1.0, 3.0], [10.0, 50.0]]), np.ones(2), np.zeros(2), {})
    >>> out.round(3)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    name = "layernorm_forward"
    x, gamma, beta = in_one_dtype(x, gamma, beta)
    check_features(name, x, gamma, beta, x.ndim >= 2 and gamma.shape == x.shape[-1:], "(N, ..., D) and (D,)")
    eps = read_eps(name, ln_param or {})
    D = x.shape[-1]
    check_something_to_average(name, x, D)
    rows = x.reshape(-1, D) if x.ndim > 2 else x  # (N, ..., D) -> (rows, D)
    with row_by_row(rows):
        mu = rows @ np.ones(D, x.dtype) / D  # (rows, D) -> (rows,)
        xc = rows - mu[:, None]
        var = dot_rows(xc, xc) / D  # (rows, D) -> (rows,)
        inv_std = 1 / np.sqrt(var + eps)[:, None]  # (rows, 1)
        out = inv_std * gamma  # (rows, 1) * (D,) -> (rows, D)
        out *= xc
        out += beta
    return out.reshape(x.shape), (xc, inv_std, gamma, x.shape)


def layernorm_backward(dout: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """Gradients of `layernorm_forward` for `x`, `gamma` and `beta`.

    Parameters
    ----------
    dout : ndarray, shape (N, D) or (N, ..., D)
        Upstream gradient.
    cache : tuple
        From `layernorm_forward`.

    Returns
    -------
    dx : ndarray, shape of `dout`
        Gradient for the examples.
    dgamma : ndarray, shape (D,)
        Gradient for the scales, summed over all examples.
    dbeta : ndarray, shape (D,)
        Gradient for the shifts, summed over all examples.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> x, gamma, beta = np.array([[1.0, 3.0, 8.0]]), np.array([2.0, 1.0, 1.0]), np.zeros(3)
    >>> _, cache = layernorm_forward(x, gamma, beta, {})
    >>> dx, dgamma, dbeta = layernorm_backward(np.array([[1.0, 0.0, 0.0]]), cache)
    >>> dx.round(3)
    array([[ 0.218, -0.305,  0.087]])
    """
    xc, inv_std, gamma, shape = cache
    dout = upstream("layernorm_backward", dout, shape)
    rows, D = xc.shape
    dout = dout.reshape(rows, D)  # (N, ..., D) -> (rows, D)
    dout_xc = dout * xc
    dbeta = np.ones(rows, dout.dtype) @ dout  # (rows, D) -> (D,)
    dgamma = inv_std[:, 0] @ dout_xc  # where xc * inv_std is xhat
    mean_dxhat = (dout @ gamma)[:, None] / D  # (rows, D) @ (D,) -> (rows, 1)
    mean_dxhat_xhat = (dout_xc @ gamma)[:, None] * inv_std / D
    with row_by_row(xc):
        lost = np.multiply(xc, mean_dxhat_xhat * inv_std**2, out=dout_xc)
        lost += mean_dxhat * inv_std
        dx = inv_std * gamma * dout
        dx -= lost
    return dx.reshape(shape), dgamma, dbeta  # (rows, D) -> (N, ..., D)
