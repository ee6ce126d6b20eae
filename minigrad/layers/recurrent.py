"""The recurrent layer: one affine map and one tanh, applied to a state again and again."""

import numpy as np

from minigrad.layers._arrays import Array, as_float, upstream
from minigrad.layers._recurrent import (
    matmul_of_steps,
    require_shapes,
    sum_over_steps,
    swap_time,
)


def rnn_step_forward(x: Array, prev_h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, tuple]:
    r"""One step of a vanilla recurrent network: ``next_h = tanh(x Wx + prev_h Wh + b)``.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        Input at this step.
    prev_h : ndarray, shape (N, H)
        State after the step before.
    Wx : ndarray, shape (D, H)
        Weights from the input to the state.
    Wh : ndarray, shape (H, H)
        Weights from the state to the next state.
    b : ndarray, shape (H,)
        Biases.

    Returns
    -------
    next_h : ndarray, shape (N, H)
        State after this step.
    cache : tuple
        What `rnn_step_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    With the pre-activation :math:`a = x W_x + h W_h + b` and :math:`h' = \tanh a`, the slope of tanh is
    known from its output, :math:`1 - h'^2`, and

    .. math:: da = dh' \,(1 - h'^2)

    From there on `a` is affine in each of its five arguments, so their gradients are those of an affine
    layer: ``dx = da Wx.T``, ``dprev_h = da Wh.T``, ``dWx = x.T da``, ``dWh = prev_h.T da``, and ``db`` is the
    sum of the rows of ``da``.

    A state near 1 or -1 is saturated: its slope is near 0, and what comes from above stops there.

    References
    ----------
    .. [1] J. L. Elman, "Finding Structure in Time", Cognitive Science 14, 1990.

    Examples
    --------
    >>> x, prev_h = np.array([[1.0, 2.0]]), np.array([[0.5]])
    >>> next_h, _ = rnn_step_forward(x, prev_h, np.array([[0.1], [0.2]]), np.array([[1.0]]), np.array([0.0]))
    >>> next_h.round(4)  # tanh(0.1 + 0.4 + 0.5)
    array([[0.7616]])
    """
    x, prev_h, Wx, Wh, b = as_float(x), as_float(prev_h), as_float(Wx), as_float(Wh), as_float(b)
    require_shapes("rnn_step_forward", 1, x, {"prev_h": prev_h}, Wx, Wh, b)
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)  # (N, D) @ (D, H) + (N, H) @ (H, H) -> (N, H)
    slope = 1 - next_h * next_h
    return next_h, (x, prev_h, Wx, Wh, slope)


def rnn_step_backward(dnext_h: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `rnn_step_forward` for `x`, `prev_h`, `Wx`, `Wh` and `b`.

    Parameters
    ----------
    dnext_h : ndarray, shape (N, H)
        Upstream gradient. In a sequence it has two sources: the loss at this step, and the step after.
    cache : tuple
        From `rnn_step_forward`.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dprev_h : ndarray, shape (N, H)
    dWx : ndarray, shape (D, H)
    dWh : ndarray, shape (H, H)
    db : ndarray, shape (H,)

    Raises
    ------
    ValueError
        If `dnext_h` does not have the shape of the output.

    Examples
    --------
    >>> x, prev_h = np.array([[1.0, 2.0]]), np.array([[0.5]])
    >>> _, cache = rnn_step_forward(x, prev_h, np.array([[0.1], [0.2]]), np.array([[2.0]]), np.array([-1.5]))
    >>> dx, dprev_h, dWx, dWh, db = rnn_step_backward(np.array([[1.0]]), cache)
    >>> dprev_h  # the slope of tanh at 0 is 1, and the state was multiplied by 2
    array([[2.]])
    """
    x, prev_h, Wx, Wh, slope = cache
    dnext_h = upstream("rnn_step_backward", dnext_h, slope.shape, "dnext_h")
    da = dnext_h * slope  # (N, H)
    dx = da @ Wx.T  # (N, H) @ (H, D) -> (N, D)
    dprev_h = da @ Wh.T  # (N, H) @ (H, H) -> (N, H)
    dWx = x.T @ da  # (D, N) @ (N, H) -> (D, H)
    dWh = prev_h.T @ da  # (H, N) @ (N, H) -> (H, H)
    db = da.sum(axis=0)  # (N, H) -> (H,)
    return dx, dprev_h, dWx, dWh, db


def rnn_forward(x: Array, h0: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, tuple]:
    r"""A vanilla recurrent network over whole sequences: `rnn_step_forward`, T times, with the same weights.

    Parameters
    ----------
    x : ndarray, shape (N, T, D)
        N sequences of T inputs.
    h0 : ndarray, shape (N, H)
        State before the first step.
    Wx : ndarray, shape (D, H)
    Wh : ndarray, shape (H, H)
    b : ndarray, shape (H,)

    Returns
    -------
    h : ndarray, shape (N, T, H)
        State after each step.
    cache : tuple
        What `rnn_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    Step t uses what step t - 1 left: :math:`h_t = \tanh(x_t W_x + h_{t-1} W_h + b)`. A state is used twice,
    by the loss at its own step and by the next step, so two gradients meet at it and are added:

    .. math:: da_t = (dh_t + da_{t+1} W_h^T)\,(1 - h_t^2)

    The weights are used at every step, so their gradients are sums over steps and examples:
    :math:`dW_h = \sum_t h_{t-1}^T da_t`.

    Between the last state and the first lie T factors, a slope and :math:`W_h^T` each. Where the slopes are near
    1, it is the same matrix T times: along an eigenvector of `Wh` the gradient changes like :math:`\lambda^T`, so
    it vanishes when the largest :math:`|\lambda|` (the spectral radius) is below 1, and explodes when it is above.
    Slopes below 1 shrink each factor, and saturated units make the gradient vanish at a radius above 1 too. One
    thing is sure whatever they are: no step stretches a gradient by more than the largest singular value of `Wh`.

    Only ``h Wh`` has to wait for the step before. The inputs of all steps are multiplied by `Wx` before the
    loop, in one product, and the gradients of the weights after it.

    References
    ----------
    .. [1] P. J. Werbos, "Backpropagation Through Time: What It Does and How to Do It", Proceedings of the
       IEEE 78, 1990.
    .. [2] R. Pascanu, T. Mikolov and Y. Bengio, "On the Difficulty of Training Recurrent Neural Networks",
       ICML 2013.

    Examples
    --------
    >>> x = np.zeros((1, 3, 1))  # no input: the state starts at 1, and is halved at each step
    >>> h, _ = rnn_forward(x, np.array([[1.0]]), np.array([[0.0]]), np.array([[0.5]]), np.array([0.0]))
    >>> h[0, :, 0].round(4)  # and a little less, since tanh(a) is less than a
    array([0.4621, 0.227 , 0.113 ])
    """
    x, h0, Wx, Wh, b = as_float(x), as_float(h0), as_float(Wx), as_float(Wh), as_float(b)
    require_shapes("rnn_forward", 1, x, {"h0": h0}, Wx, Wh, b)
    x = swap_time(x, np.result_type(x, h0, Wx, Wh, b))  # (N, T, D) -> (T, N, D)
    a = matmul_of_steps(x, Wx)  # (T, N, D) -> (T, N, H)
    np.add(a, b, out=a)
    h = np.empty((len(x) + 1, *h0.shape), a.dtype)  # (T + 1, N, H): h[0] is h0
    h[0] = h0
    for t in range(len(x)):
        np.matmul(h[t], Wh, out=h[t + 1])
        h[t + 1] += a[t]
        np.tanh(h[t + 1], out=h[t + 1])
    return swap_time(h[1:]), (x, h, Wx, Wh)


def rnn_backward(dh: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `rnn_forward` for `x`, `h0`, `Wx`, `Wh` and `b`: backpropagation through time.

    Parameters
    ----------
    dh : ndarray, shape (N, T, H)
        Upstream gradient: what the loss says of each state, without what comes back through later steps.
    cache : tuple
        From `rnn_forward`.

    Returns
    -------
    dx : ndarray, shape (N, T, D)
    dh0 : ndarray, shape (N, H)
    dWx : ndarray, shape (D, H)
    dWh : ndarray, shape (H, H)
    db : ndarray, shape (H,)

    Raises
    ------
    ValueError
        If `dh` does not have the shape of the output.

    Examples
    --------
    >>> x, h0 = np.zeros((1, 3, 1)), np.array([[0.0]])
    >>> _, cache = rnn_forward(x, h0, np.array([[1.0]]), np.array([[0.5]]), np.array([0.0]))
    >>> dh = np.array([[[0.0], [0.0], [1.0]]])  # a loss at the last step only
    >>> dx, *_ = rnn_backward(dh, cache)
    >>> dx[0, :, 0]  # the further back, the less arrives
    array([0.25, 0.5 , 1.  ])
    """
    x, h, Wx, Wh = cache
    dh = upstream("rnn_backward", dh, (x.shape[1], len(x), len(Wh)), "dh")
    da = np.empty(h[1:].shape, np.result_type(dh, h))  # (T, N, H)
    dprev_h = np.zeros_like(h[0], da.dtype)
    for t in reversed(range(len(x))):
        dnext_h = dprev_h + dh[:, t]  # from the step after, and from the loss at this step
        np.multiply(dnext_h, 1 - h[t + 1] * h[t + 1], out=da[t])
        np.matmul(da[t], Wh.T, out=dprev_h)  # (N, H) @ (H, H) -> (N, H)
    dx = swap_time(matmul_of_steps(da, Wx.T))  # (T, N, H) -> (T, N, D) -> (N, T, D)
    dWx, dWh = sum_over_steps(x, da), sum_over_steps(h[:-1], da)
    db = da.sum(axis=(0, 1))  # (T, N, H) -> (H,)
    return dx, dprev_h, dWx, dWh, db
