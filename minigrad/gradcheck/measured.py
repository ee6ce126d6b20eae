"""The gradient of every parameter, measured: for a loss that has no backward pass yet, or none that is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.gradcheck.numerical import Array, _require_movable, numerical_gradient

STACK = (
    64  # elements that are moved at once: enough to hide the cost of a call, few enough to stay in the cache
)


def measure_gradients(
    loss: Callable[[dict[str, Array]], Any], params: dict[str, Array], h: float = 1e-5
) -> dict[str, Array]:
    """Measure the gradient of each parameter with centred differences, many elements at once where the loss allows it.

    Parameters
    ----------
    loss : callable
        Takes a dict like `params`, returns one number. If it carries a leading axis of its parameters to the end
        (see Notes), 64 elements are measured in two evaluations.
    params : dict of str to ndarray
        Where to measure. Restored exactly, also when `loss` raises.
    h : float
        Step.

    Returns
    -------
    grads : dict of str to ndarray
        One for each parameter, of its shape.

    Raises
    ------
    TypeError
        If a parameter is not an array of floating-point numbers.
    ValueError
        If `h` is impossible, or `loss` returns more than one number.

    Notes
    -----
    A loss carries a leading axis if, given ``w`` of shape ``(K, D, M)`` in place of ``(D, M)``, or ``b`` of shape
    ``(K, 1, M)`` in place of ``(M,)``, it returns `K` numbers, the loss for each of the copies. With ``@``, and sums
    over ``axis=(-2, -1)``, it does so without another line. That it does is tried, not believed: the first and the last
    element are measured alone as well.

    Examples
    --------
    >>> x, y = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> def loss(p):
    ...     return ((x @ p["w"] + p["b"] - y) ** 2).sum(axis=(-2, -1))
    >>> grads = measure_gradients(loss, {"w": np.ones((2, 1)), "b": np.zeros(1)})
    >>> grads["w"].round(6), grads["b"].round(6)
    (array([[ 4.],
           [10.]]), array([6.]))
    """
    for name, x in params.items():
        _require_movable("measure_gradients", f"params[{name!r}]", x, h)
    grads = {}
    for name, x in params.items():
        found = _stacked(loss, params, name, h) if x.size > 2 else None
        grads[name] = numerical_gradient(lambda _: loss(params), x, h) if found is None else found
    return grads


def _stacked(
    loss: Callable[[dict[str, Array]], Any], params: dict[str, Array], name: str, h: float
) -> Array | None:
    """The gradient of one parameter, from stacks of copies of it; None if the loss makes nothing of them."""
    x = params[name]
    # A vector is added to rows: its copies get an axis of length one to go with them.
    shape = (*(1,) * (2 - x.ndim), *x.shape)
    flat = np.empty(x.size)
    for start in range(0, x.size, STACK):
        elements = np.arange(start, min(start + STACK, x.size))
        copies, rows = np.repeat(x.reshape(1, -1), len(elements), axis=0), np.arange(len(elements))
        heights = []
        for step in (h, -h):
            copies[rows, elements] = x.flat[elements] + step
            try:
                heights.append(np.asarray(loss({**params, name: copies.reshape(-1, *shape)})))
            except Exception:  # most losses expect the shapes that they were written for
                return None
        if any(height.size != len(elements) for height in heights):
            return None
        flat[elements] = np.subtract(*heights).ravel() / (2 * h)
        if start == 0 and not _confirmed(loss, params, name, h, flat[elements]):
            return None
    return flat.reshape(x.shape).astype(x.dtype)


def _confirmed(
    loss: Callable[[dict[str, Array]], Any], params: dict[str, Array], name: str, h: float, found: Array
) -> bool:
    """Whether the first and the last slope of a stack are what each element gives alone."""
    scale = float(np.max(np.abs(found)))
    for k in (0, len(found) - 1):
        heights = []
        for step in (h, -h):
            moved = params[name].copy()
            moved.flat[k] += step
            heights.append(np.asarray(loss({**params, name: moved})))
        if heights[0].size != 1:
            return False
        alone = (heights[0].item() - heights[1].item()) / (2 * h)
        if not abs(alone - found[k]) <= 1e-5 * scale:
            return False
    return True
