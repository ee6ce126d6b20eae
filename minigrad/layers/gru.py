"""The gated recurrent unit: an LSTM's idea with two gates and no separate memory."""

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


def gru_step_forward(x: Array, prev_h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, tuple]:
    r"""One step of a gated recurrent unit.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        Input at this step.
    prev_h : ndarray, shape (N, H)
        State after the step before.
    Wx : ndarray, shape (D, 3H)
        Weights from the input: H columns each for the reset gate r, the update gate z and the proposal n.
    Wh : ndarray, shape (H, 3H)
        Weights from the state.
    b : ndarray, shape (3H,)
        Biases.

    Returns
    -------
    next_h : ndarray, shape (N, H)
        State after this step.
    cache : tuple
        What `gru_step_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    With :math:`a = x W_x + b` and :math:`s = h W_h`, each cut into three blocks of columns,

    .. math:: r = \sigma(a_r + s_r),\quad z = \sigma(a_z + s_z),\quad n = \tanh(a_n + r\,s_n)

    .. math:: h' = (1 - z)\,n + z\,h

    The reset gate acts after the product with `Wh`, as in PyTorch and cuDNN; in the first paper it acts
    before. PyTorch has a second vector of biases: those of r and z just add up to `b`, the one inside
    :math:`r\,(s_n + b_n')` has no counterpart here and is zero.

    Backwards, :math:`dn = dh'\,(1 - z)`, :math:`dz = dh'\,(h - n)`, and with
    :math:`da_n = dn\,(1 - n^2)` the product :math:`r\,s_n` gives :math:`dr = da_n s_n` and
    :math:`ds_n = da_n r`. So `da` and `ds` differ in the last block, and there only. The old state is used
    twice: in `s`, and directly with the factor z.

    That direct path has no matrix in it. With z near 1 the state, and the gradient, are handed on unchanged.

    References
    ----------
    .. [1] K. Cho et al., "Learning Phrase Representations Using RNN Encoder-Decoder for Statistical Machine
       Translation", EMNLP 2014.

    Examples
    --------
    >>> x, prev_h, Wx, Wh = np.zeros((1, 1)), np.array([[2.0]]), np.zeros((1, 3)), np.zeros((1, 3))
    >>> next_h, _ = gru_step_forward(x, prev_h, Wx, Wh, np.array([0.0, 0.0, 1.0]))
    >>> next_h.round(4)  # half of tanh(1), half of 2
    array([[1.3808]])
    """
    x, prev_h, Wx, Wh, b = as_float(x), as_float(prev_h), as_float(Wx), as_float(Wh), as_float(b)
    require_shapes("gru_step_forward", 3, x, {"prev_h": prev_h}, Wx, Wh, b)
    ar, az, an = blocks(x @ Wx + b, 3)  # (N, D) @ (D, 3H) -> (N, 3H), cut into three of (N, H)
    sr, sz, sn = blocks(prev_h @ Wh, 3)  # (N, H) @ (H, 3H) -> (N, 3H)
    r, z = sigmoid(ar + sr), sigmoid(az + sz)
    n = np.tanh(an + r * sn)
    next_h = (1 - z) * n + z * prev_h
    return next_h, (x, prev_h, Wx, Wh, r, z, n, sn)


def gru_step_backward(dnext_h: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `gru_step_forward` for `x`, `prev_h`, `Wx`, `Wh` and `b`.

    Parameters
    ----------
    dnext_h : ndarray, shape (N, H)
        Upstream gradient.
    cache : tuple
        From `gru_step_forward`.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dprev_h : ndarray, shape (N, H)
    dWx : ndarray, shape (D, 3H)
    dWh : ndarray, shape (H, 3H)
    db : ndarray, shape (3H,)

    Raises
    ------
    ValueError
        If `dnext_h` does not have the shape of the output.

    Examples
    --------
    >>> x, prev_h, Wx, Wh = np.zeros((1, 1)), np.array([[2.0]]), np.zeros((1, 3)), np.zeros((1, 3))
    >>> _, cache = gru_step_forward(x, prev_h, Wx, Wh, np.array([0.0, 50.0, 1.0]))
    >>> dx, dprev_h, *_ = gru_step_backward(np.array([[3.0]]), cache)
    >>> dprev_h  # the update gate is open: all of it passes
    array([[3.]])
    """
    x, prev_h, Wx, Wh, r, z, n, sn = cache
    dnext_h = upstream("gru_step_backward", dnext_h, n.shape, "dnext_h")
    dan = dnext_h * (1 - z) * (1 - n * n)  # (N, H)
    daz = dnext_h * (prev_h - n) * z * (1 - z)
    dar = dan * sn * r * (1 - r)
    da = np.concatenate([dar, daz, dan], axis=1)  # three of (N, H) -> (N, 3H)
    ds = np.concatenate([dar, daz, dan * r], axis=1)
    dx = da @ Wx.T  # (N, 3H) @ (3H, D) -> (N, D)
    dprev_h = ds @ Wh.T + dnext_h * z  # (N, 3H) @ (3H, H) -> (N, H)
    dWx = x.T @ da  # (D, N) @ (N, 3H) -> (D, 3H)
    dWh = prev_h.T @ ds  # (H, N) @ (N, 3H) -> (H, 3H)
    db = da.sum(axis=0)  # (N, 3H) -> (3H,)
    return dx, dprev_h, dWx, dWh, db


def gru_forward(x: Array, h0: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, tuple]:
    r"""A gated recurrent unit over whole sequences: `gru_step_forward`, T times.

    Parameters
    ----------
    x : ndarray, shape (N, T, D)
        N sequences of T inputs.
    h0 : ndarray, shape (N, H)
        State before the first step.
    Wx : ndarray, shape (D, 3H)
        H columns each for the gates r and z and the proposal n.
    Wh : ndarray, shape (H, 3H)
    b : ndarray, shape (3H,)

    Returns
    -------
    h : ndarray, shape (N, T, H)
        State after each step.
    cache : tuple
        What `gru_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    Through the direct path the gradient is multiplied by the update gate at each step,

    .. math:: dh_{t-1} = z_t\,dh_t + ds_t W_h^T

    so over k steps it shrinks by the product of k gates, each of which the network can learn. Where z is near
    0 a step forgets, and the gradient goes through `Wh` or not at all.

    As in `lstm_forward`, everything that need not wait for the step before is one product for all steps.

    References
    ----------
    .. [1] J. Chung, C. Gulcehre, K. Cho and Y. Bengio, "Empirical Evaluation of Gated Recurrent Neural
       Networks on Sequence Modeling", 2014, https://arxiv.org/abs/1412.3555

    Examples
    --------
    >>> x, h0, Wx, Wh = np.zeros((1, 3, 1)), np.array([[1.0]]), np.zeros((1, 3)), np.zeros((1, 3))
    >>> h, _ = gru_forward(x, h0, Wx, Wh, np.zeros(3))  # z is 1/2 and n is 0
    >>> h[0, :, 0]
    array([0.5  , 0.25 , 0.125])
    """
    x, h0, Wx, Wh, b = as_float(x), as_float(h0), as_float(Wx), as_float(Wh), as_float(b)
    require_shapes("gru_forward", 3, x, {"h0": h0}, Wx, Wh, b)
    x = swap_time(x, np.result_type(x, h0, Wx, Wh, b))  # (N, T, D) -> (T, N, D)
    a = matmul_of_steps(x, Wx)  # (T, N, D) -> (T, N, 3H)
    np.add(a, b, out=a)
    a_by_gate = blocks(a, 3)  # (T, 3, N, H)
    gates = np.empty((len(x), 4, *h0.shape), a.dtype)  # (T, 4, N, H): r, z, n, and sn beside them
    h = np.empty((len(x) + 1, *h0.shape), a.dtype)  # (T + 1, N, H): h[0] is h0
    h[0] = h0
    for t in range(len(x)):
        s = blocks(h[t] @ Wh, 3)  # (N, H) @ (H, 3H) -> (N, 3H), cut into three of (N, H)
        r, z, n, sn = gates[t]
        sigmoid(a_by_gate[t, :2] + s[:2], out=gates[t, :2])
        sn[...] = s[2]
        np.tanh(a_by_gate[t, 2] + r * sn, out=n)
        np.add((1 - z) * n, z * h[t], out=h[t + 1])
    return swap_time(h[1:]), (x, h, gates, Wx, Wh)


def gru_backward(dh: Array, cache: tuple) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `gru_forward` for `x`, `h0`, `Wx`, `Wh` and `b`.

    Parameters
    ----------
    dh : ndarray, shape (N, T, H)
        Upstream gradient: what the loss says of each state, without what comes back through later steps.
    cache : tuple
        From `gru_forward`.

    Returns
    -------
    dx : ndarray, shape (N, T, D)
    dh0 : ndarray, shape (N, H)
    dWx : ndarray, shape (D, 3H)
    dWh : ndarray, shape (H, 3H)
    db : ndarray, shape (3H,)

    Raises
    ------
    ValueError
        If `dh` does not have the shape of the output.

    Examples
    --------
    >>> x, h0, Wx, Wh = np.zeros((1, 3, 1)), np.array([[1.0]]), np.zeros((1, 3)), np.zeros((1, 3))
    >>> _, cache = gru_forward(x, h0, Wx, Wh, np.zeros(3))
    >>> dh = np.array([[[0.0], [0.0], [1.0]]])  # a loss at the last step only
    >>> _, dh0, *_ = gru_backward(dh, cache)
    >>> dh0  # z is 1/2, three times
    array([[0.125]])
    """
    x, h, gates, Wx, Wh = cache
    dh = upstream("gru_backward", dh, (x.shape[1], len(x), len(Wh)), "dh")
    da = np.empty((*x.shape[:2], Wh.shape[1]), np.result_type(dh, gates))  # (T, N, 3H)
    ds = np.empty_like(da)  # da, but for the last block
    da_by_gate, ds_by_gate = blocks(da, 3), blocks(ds, 3)  # (T, 3, N, H)
    dprev_h = np.zeros_like(h[0], da.dtype)
    for t in reversed(range(len(x))):
        r, z, n, sn = gates[t]  # (N, H) each
        dnext_h = dprev_h + dh[:, t]  # from the step after, and from the loss at this step
        dan = dnext_h * (1 - z) * (1 - n * n)
        daz = dnext_h * (h[t] - n) * z * (1 - z)
        dar = dan * sn * r * (1 - r)
        da_by_gate[t] = dar, daz, dan
        ds_by_gate[t] = dar, daz, dan * r
        np.matmul(ds[t], Wh.T, out=dprev_h)  # (N, 3H) @ (3H, H) -> (N, H)
        dprev_h += dnext_h * z
    dx = swap_time(matmul_of_steps(da, Wx.T))  # (T, N, 3H) -> (T, N, D) -> (N, T, D)
    dWx, dWh = sum_over_steps(x, da), sum_over_steps(h[:-1], ds)
    db = da.sum(axis=(0, 1))  # (T, N, 3H) -> (3H,)
    return dx, dprev_h, dWx, dWh, db
