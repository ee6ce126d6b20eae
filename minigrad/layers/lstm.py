"""Long short-term memory: a recurrent layer whose memory is added to, not multiplied by a matrix."""

import numpy as np

from minigrad.layers._arrays import Array, as_float, upstream
from minigrad.layers._recurrent import (
    blocks,
    matmul_of_steps,
    require_shapes,
    sigmoid,
    sum_over_steps,
    swap_time,
)


def lstm_step_forward(
    x: Array, prev_h: Array, prev_c: Array, Wx: Array, Wh: Array, b: Array
) -> tuple[Array, Array, tuple]:
    r"""One step of an LSTM.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        Input at this step.
    prev_h : ndarray, shape (N, H)
        State after the step before.
    prev_c : ndarray, shape (N, H)
        Memory cell after the step before.
    Wx : ndarray, shape (D, 4H)
        Weights from the input to the gates: H columns each for i, f, o and g.
    Wh : ndarray, shape (H, 4H)
        Weights from the state to the gates.
    b : ndarray, shape (4H,)
        Biases of the gates.

    Returns
    -------
    next_h : ndarray, shape (N, H)
        State after this step.
    next_c : ndarray, shape (N, H)
        Memory cell after this step.
    cache : tuple
        What `lstm_step_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    Three gates between 0 and 1 and a proposal between -1 and 1 come from one affine map
    :math:`a = x W_x + h W_h + b`, cut into four blocks of columns:

    .. math:: i = \sigma(a_i),\quad f = \sigma(a_f),\quad o = \sigma(a_o),\quad g = \tanh(a_g)

    .. math:: c' = f\,c + i\,g, \qquad h' = o \tanh(c')

    Backwards, the cell receives from two sides, from the next step and through :math:`h'`:

    .. math:: dc = dc' + dh'\,o\,(1 - \tanh^2 c')

    and passes it on to all that it was made of: :math:`di = dc\,g`, :math:`df = dc\,c`, :math:`dg = dc\,i`,
    while :math:`do = dh' \tanh c'`. Each times the slope of its own nonlinearity, :math:`s(1 - s)` for a
    sigmoid and :math:`1 - g^2` for tanh, is a block of `da`; the rest is an affine layer.

    The step back along the cell is :math:`dc\,f`: no matrix, no slope. With the forget gate near 1 a gradient
    crosses many steps nearly unchanged, and that is what the LSTM is for. A gate that is saturated does not
    learn: its :math:`s(1 - s)` is near 0. With zero biases f starts near 1/2, and the path is halved at each
    step; hence the advice to start the forget gate's biases at 1 or more.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.
    .. [2] F. A. Gers, J. Schmidhuber and F. Cummins, "Learning to Forget", Neural Computation 12, 2000.

    Examples
    --------
    >>> x, prev_h, prev_c = np.zeros((1, 1)), np.zeros((1, 1)), np.array([[2.0]])
    >>> b = np.array([-50.0, 50.0, 50.0, 0.0])  # input gate shut, forget and output gates open
    >>> next_h, next_c, _ = lstm_step_forward(x, prev_h, prev_c, np.zeros((1, 4)), np.zeros((1, 4)), b)
    >>> next_c  # remembered
    array([[2.]])
    >>> next_h.round(4)  # tanh(2)
    array([[0.964]])
    """
    x, prev_h, prev_c = as_float(x), as_float(prev_h), as_float(prev_c)
    Wx, Wh, b = as_float(Wx), as_float(Wh), as_float(b)
    require_shapes("lstm_step_forward", 4, x, {"prev_h": prev_h, "prev_c": prev_c}, Wx, Wh, b)
    a = x @ Wx + prev_h @ Wh + b  # (N, D) @ (D, 4H) + (N, H) @ (H, 4H) -> (N, 4H)
    ai, af, ao, ag = blocks(a, 4)  # (N, H) each
    i, f, o, g = sigmoid(ai), sigmoid(af), sigmoid(ao), np.tanh(ag)
    next_c = f * prev_c + i * g
    tanh_c = np.tanh(next_c)
    next_h = o * tanh_c
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c)


def lstm_step_backward(
    dnext_h: Array, dnext_c: Array, cache: tuple
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Gradients of `lstm_step_forward` for `x`, `prev_h`, `prev_c`, `Wx`, `Wh` and `b`.

    Parameters
    ----------
    dnext_h : ndarray, shape (N, H)
        Upstream gradient of the state.
    dnext_c : ndarray, shape (N, H)
        Upstream gradient of the memory cell, without what reaches it through the state.
    cache : tuple
        From `lstm_step_forward`.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dprev_h : ndarray, shape (N, H)
    dprev_c : ndarray, shape (N, H)
    dWx : ndarray, shape (D, 4H)
    dWh : ndarray, shape (H, 4H)
    db : ndarray, shape (4H,)

    Raises
    ------
    ValueError
        If `dnext_h` or `dnext_c` does not have the shape of its output.

    Examples
    --------
    >>> x, prev_h, prev_c = np.zeros((1, 1)), np.zeros((1, 1)), np.array([[2.0]])
    >>> b = np.array([-50.0, 50.0, 50.0, 0.0])  # input gate shut, forget and output gates open
    >>> *_, cache = lstm_step_forward(x, prev_h, prev_c, np.zeros((1, 4)), np.zeros((1, 4)), b)
    >>> dx, dprev_h, dprev_c, *_ = lstm_step_backward(np.zeros((1, 1)), np.array([[3.0]]), cache)
    >>> dprev_c  # all of it passes
    array([[3.]])
    """
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c = cache
    dnext_h = upstream("lstm_step_backward", dnext_h, o.shape, "dnext_h")
    dnext_c = upstream("lstm_step_backward", dnext_c, o.shape, "dnext_c")
    dc = dnext_c + dnext_h * o * (1 - tanh_c * tanh_c)  # (N, H)
    dai = dc * g * i * (1 - i)
    daf = dc * prev_c * f * (1 - f)
    dao = dnext_h * tanh_c * o * (1 - o)
    dag = dc * i * (1 - g * g)
    da = np.concatenate([dai, daf, dao, dag], axis=1)  # four of (N, H) -> (N, 4H)
    dx = da @ Wx.T  # (N, 4H) @ (4H, D) -> (N, D)
    dprev_h = da @ Wh.T  # (N, 4H) @ (4H, H) -> (N, H)
    dprev_c = dc * f
    dWx = x.T @ da  # (D, N) @ (N, 4H) -> (D, 4H)
    dWh = prev_h.T @ da  # (H, N) @ (N, 4H) -> (H, 4H)
    db = da.sum(axis=0)  # (N, 4H) -> (4H,)
    return dx, dprev_h, dprev_c, dWx, dWh, db


def lstm_forward(x: Array, h0: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, tuple]:
    r"""An LSTM over whole sequences: `lstm_step_forward`, T times, from an empty memory cell.

    Parameters
    ----------
    x : ndarray, shape (N, T, D)
        N sequences of T inputs.
    h0 : ndarray, shape (N, H)
        State before the first step. The memory cell starts at zero.
    Wx : ndarray, shape (D, 4H)
        H columns each for the gates i, f, o and g.
    Wh : ndarray, shape (H, 4H)
    b : ndarray, shape (4H,)

    Returns
    -------
    h : ndarray, shape (N, T, H)
        State after each step. The memory cells stay inside.
    cache : tuple
        What `lstm_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    Two gradients travel back through time. The one along the states passes :math:`W_h^T` at every step, as in
    a vanilla network, and vanishes or explodes like there. The one along the cells is only multiplied by the
    forget gates:

    .. math:: dc_{t-1} = f_t\,dc_t

    so over k steps it shrinks by the product of k forget gates, each of which the network can learn. It
    cannot grow by itself, but the whole gradient can: clip it all the same.

    Only ``h Wh`` has to wait for the step before. The inputs of all steps are multiplied by `Wx` before the
    loop, in one product, and the gradients of the weights are one product each after it. In between, a loop
    does what `lstm_step_forward` and `lstm_step_backward` say, in arrays where each gate lies together.

    References
    ----------
    .. [1] K. Greff, R. K. Srivastava, J. Koutnik, B. R. Steunebrink and J. Schmidhuber, "LSTM: A Search Space
       Odyssey", IEEE Transactions on Neural Networks and Learning Systems 28, 2017.

    Examples
    --------
    >>> x = np.array([[[1.0], [0.0], [0.0]]])  # an impulse, then nothing
    >>> Wx, Wh = np.array([[50.0, 0.0, 0.0, 50.0]]), np.zeros((1, 4))
    >>> h, _ = lstm_forward(x, np.zeros((1, 1)), Wx, Wh, np.array([-25.0, 25.0, 25.0, 0.0]))
    >>> h[0, :, 0].round(4)  # still there: tanh(1)
    array([0.7616, 0.7616, 0.7616])
    """
    x, h0, Wx, Wh, b = as_float(x), as_float(h0), as_float(Wx), as_float(Wh), as_float(b)
    require_shapes("lstm_forward", 4, x, {"h0": h0}, Wx, Wh, b)
    x = swap_time(x, np.result_type(x, h0, Wx, Wh, b))  # (N, T, D) -> (T, N, D)
    a = matmul_of_steps(x, Wx)  # (T, N, D) -> (T, N, 4H)
    np.add(a, b, out=a)
    gates = a.reshape(len(a), 4, *h0.shape)  # (T, 4, N, H); in the memory of `a`, where a[t] is read first
    h = np.empty((len(x) + 1, *h0.shape), a.dtype)  # (T + 1, N, H): h[0] is h0
    c = np.empty_like(h)
    tanh_c = np.empty_like(h[1:])
    h[0], c[0] = h0, 0
    for t in range(len(x)):
        pre = blocks(h[t] @ Wh + a[t], 4)  # (N, H) @ (H, 4H) -> (N, 4H), cut into four of (N, H)
        i, f, o, g = gates[t]
        sigmoid(pre[:3], out=gates[t, :3])
        np.tanh(pre[3], out=g)
        np.multiply(f, c[t], out=c[t + 1])
        c[t + 1] += i * g
        np.tanh(c[t + 1], out=tanh_c[t])
        np.multiply(o, tanh_c[t], out=h[t + 1])
    return swap_time(h[1:]), (x, h, c, tanh_c, gates, Wx, Wh)


def lstm_backward(dh: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `lstm_forward` for `x`, `h0`, `Wx`, `Wh` and `b`.

    Parameters
    ----------
    dh : ndarray, shape (N, T, H)
        Upstream gradient: what the loss says of each state, without what comes back through later steps.
    cache : tuple
        From `lstm_forward`.

    Returns
    -------
    dx : ndarray, shape (N, T, D)
    dh0 : ndarray, shape (N, H)
    dWx : ndarray, shape (D, 4H)
    dWh : ndarray, shape (H, 4H)
    db : ndarray, shape (4H,)

    Raises
    ------
    ValueError
        If `dh` does not have the shape of the output.

    Examples
    --------
    >>> x, h0, Wx, Wh = np.zeros((1, 20, 1)), np.zeros((1, 1)), np.zeros((1, 4)), np.zeros((1, 4))
    >>> Wx[0, 3] = 1.0  # the input goes to g
    >>> dh = np.zeros((1, 20, 1))
    >>> dh[0, -1] = 1.0  # a loss at the last step only
    >>> for forget in (0.0, 5.0):
    ...     _, cache = lstm_forward(x, h0, Wx, Wh, np.array([5.0, forget, 5.0, 0.0]))
    ...     dx, *_ = lstm_backward(dh, cache)
    ...     print(f"forget gate's bias {forget}: {dx[0, 0, 0]:.1e} arrives at the first step")
    forget gate's bias 0.0: 1.9e-06 arrives at the first step
    forget gate's bias 5.0: 8.7e-01 arrives at the first step
    """
    x, h, c, tanh_c, gates, Wx, Wh = cache
    dh = upstream("lstm_backward", dh, (x.shape[1], len(x), len(Wh)), "dh")
    da = np.empty((*x.shape[:2], Wh.shape[1]), np.result_type(dh, gates))  # (T, N, 4H)
    da_by_gate = blocks(da, 4)  # (T, 4, N, H)
    dprev_h, dc = np.zeros_like(h[0], da.dtype), np.zeros_like(h[0], da.dtype)
    for t in reversed(range(len(x))):
        i, f, o, g = gates[t]  # (N, H) each
        dai, daf, dao, dag = da_by_gate[t]
        dnext_h = dprev_h + dh[:, t]  # from the step after, and from the loss at this step
        dc += dnext_h * o * (1 - tanh_c[t] * tanh_c[t])
        dai[...] = dc * g * i * (1 - i)
        daf[...] = dc * c[t] * f * (1 - f)
        dao[...] = dnext_h * tanh_c[t] * o * (1 - o)
        dag[...] = dc * i * (1 - g * g)
        dc *= f
        np.matmul(da[t], Wh.T, out=dprev_h)  # (N, 4H) @ (4H, H) -> (N, H)
    dx = swap_time(matmul_of_steps(da, Wx.T))  # (T, N, 4H) -> (T, N, D) -> (N, T, D)
    dWx, dWh = sum_over_steps(x, da), sum_over_steps(h[:-1], da)
    db = da.sum(axis=(0, 1))  # (T, N, 4H) -> (4H,)
    return dx, dprev_h, dWx, dWh, db
