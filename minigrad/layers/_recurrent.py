"""What the recurrent layers share: shapes that fit together, time as the first axis, and the gates' sigmoid."""

import numpy as np

from minigrad.layers._arrays import Array


def require_shapes(
    function: str, blocks: int, x: Array, states: dict[str, Array], Wx: Array, Wh: Array, b: Array
) -> None:
    """Refuse what does not fit: x is (N, D) or (N, T, D), a state (N, H), and the weights have `blocks` * H columns."""
    columns = f"{blocks}H" if blocks > 1 else "H"
    rows = "(N, T, D)" if "h0" in states else "(N, D)"
    if x.ndim != rows.count(",") + 1 or Wx.ndim != 2 or x.shape[-1] != len(Wx):
        raise ValueError(
            f"{function}: x has shape {x.shape} but Wx has shape {Wx.shape}; "
            f"they must be {rows} and (D, {columns})"
        )
    if Wh.ndim != 2 or Wh.shape[1] != Wx.shape[1] or Wh.shape[1] != blocks * len(Wh):
        raise ValueError(
            f"{function}: Wh has shape {Wh.shape} but Wx has shape {Wx.shape}; "
            f"they must be (H, {columns}) and (D, {columns})"
        )
    if b.shape != Wx.shape[1:]:
        raise ValueError(
            f"{function}: b has shape {b.shape} but Wx has shape {Wx.shape}; one bias per column of Wx"
        )
    for name, state in states.items():
        if state.ndim != 2 or len(state) != len(x):
            raise ValueError(
                f"{function}: {name} has shape {state.shape} but x has shape {x.shape}; "
                f"they must be (N, H) and {rows}"
            )
        if state.shape[1] != len(Wh):
            raise ValueError(
                f"{function}: {name} has shape {state.shape} but Wh has shape {Wh.shape}; "
                f"they must be (N, H) and (H, {columns})"
            )


def swap_time(x: Array, dtype: np.dtype | None = None) -> Array:
    """(N, T, D) to (T, N, D), or back; a copy, in which each slice of the first axis is one block of memory."""
    return np.array(x.swapaxes(0, 1), dtype, order="C")


def blocks(a: Array, count: int) -> Array:
    """The gates that lie side by side in the columns of `a`, to be unpacked: (N, count * H) to (count, N, H).

    A view, where `a` lies in memory in its own order; so does a leading axis of time.
    """
    *rows, columns = a.shape
    return a.reshape(*rows, count, columns // count).swapaxes(-3, -2)


def matmul_of_steps(x: Array, w: Array) -> Array:
    """``x w`` for all steps and examples, as one product of two matrices."""
    steps, n, d = x.shape
    return (x.reshape(steps * n, d) @ w).reshape(steps, n, w.shape[1])  # (T, N, D) @ (D, M) -> (T, N, M)


def sum_over_steps(x: Array, da: Array) -> Array:
    """Gradient of a weight matrix: ``x.T da``, summed over steps and examples, as one product of two matrices."""
    return x.reshape(-1, x.shape[2]).T @ da.reshape(-1, da.shape[2])  # (D, T * N) @ (T * N, M) -> (D, M)


def sigmoid(a: Array, out: Array | None = None) -> Array:
    """``1 / (1 + exp(-a))``, in as many passes as it has operations; exact in both tails, and silent."""
    out = np.negative(a, out=out)
    with np.errstate(over="ignore"):  # exp may overflow to inf, and 1 / inf is 0, as it should be
        np.exp(out, out=out)
    out += 1
    return np.divide(1, out, out=out)  # np.reciprocal says the same, at half the speed
