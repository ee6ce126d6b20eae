"""Gradient clipping: what to do about a gradient that is far too large, before it reaches the weights.

Both functions take a dict of arrays and return a new one, with what they measured. Neither repairs anything: a
clipped gradient is still that of a network in which something multiplies. Watch how often they clip.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Grads = Mapping[str, Array]


def clip_grad_norm(grads: Grads, max_norm: float) -> tuple[dict[str, Array], float]:
    r"""Shorten the gradient, all arrays together, to a largest norm; its direction stays.

    Parameters
    ----------
    grads : dict of str to ndarray
        Gradients by the name of their parameter. Not written to.
    max_norm : float
        The largest norm that is left alone.

    Returns
    -------
    clipped : dict of str to ndarray
        New arrays, of the same shapes and dtypes.
    norm : float
        Norm of all gradients together, before clipping. Where it is not finite, nothing is clipped: there is no
        direction to keep, and dividing infinity by infinity would make every gradient NaN. Look at it before you
        use the gradients, and skip the step.

    Raises
    ------
    ValueError
        If `max_norm` is negative or NaN.

    Notes
    -----
    .. math::
        |g| = \sqrt{\sum_i \sum_j g_{ij}^2} \qquad g_i \leftarrow g_i \cdot \min\Big(1, \frac{c}{|g|}\Big)

    One factor for all arrays: clipped one at a time, they would keep their own directions and lose that of the
    whole. The ratio between the gradients of two layers stays what it was, so this helps against exploding, and
    not against vanishing beside it.

    Squares overflow long before the numbers do (in float32 from about 1e19), so all is divided by the largest
    entry first, and summed in float64.

    References
    ----------
    .. [1] R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.

    Examples
    --------
    >>> clipped, norm = clip_grad_norm({"W": np.array([3.0, 0.0]), "b": np.array([4.0])}, max_norm=1.0)
    >>> norm
    5.0
    >>> clipped["W"], clipped["b"]
    (array([0.6, 0. ]), array([0.8]))
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm: max_norm must be a number and not negative, not {max_norm}")
    wide = {name: np.asarray(g, np.float64) for name, g in grads.items()}
    norm = largest = _largest(wide)
    if 0 < largest < np.inf:
        norm = largest * float(np.sqrt(sum(((g / largest) ** 2).sum() for g in wide.values())))
    factor = max_norm / norm if max_norm < norm < np.inf else 1.0
    return {name: (wide[name] * factor).astype(_dtype(g)) for name, g in grads.items()}, norm


def clip_grad_value(grads: Grads, max_value: float) -> tuple[dict[str, Array], float]:
    r"""Cut every entry of the gradient off at a largest size; its direction changes.

    Parameters
    ----------
    grads : dict of str to ndarray
        Gradients by the name of their parameter. Not written to.
    max_value : float
        Entries are cut to between -max_value and max_value.

    Returns
    -------
    clipped : dict of str to ndarray
        New arrays, of the same shapes and dtypes. NaN stays NaN, but an infinite entry becomes `max_value`, and
        looks like any other: `largest` is the only trace of it.
    largest : float
        Largest entry in size before clipping; NaN where any was.

    Raises
    ------
    ValueError
        If `max_value` is negative or NaN.

    Notes
    -----
    .. math:: g_{ij} \leftarrow \max(-c, \min(c, g_{ij}))

    Large entries lose, small ones do not, so the step turns towards the corner of a box: in the limit, to the
    signs of the gradient. How far, the angle between both gradients tells.

    Examples
    --------
    >>> clipped, largest = clip_grad_value({"W": np.array([3.0, -0.1])}, max_value=1.0)
    >>> clipped["W"], largest
    (array([ 1. , -0.1]), 3.0)
    """
    if not max_value >= 0:
        raise ValueError(f"clip_grad_value: max_value must be a number and not negative, not {max_value}")
    wide = {name: np.asarray(g, np.float64) for name, g in grads.items()}
    cut = {name: np.clip(g, -max_value, max_value) for name, g in wide.items()}
    return {name: cut[name].astype(_dtype(g)) for name, g in grads.items()}, _largest(wide)


def _largest(grads: Grads) -> float:
    """Largest size of any entry: NaN where one is NaN, 0 where there is none."""
    sizes = [np.max(abs(g), initial=0.0) for g in grads.values()]
    return float(np.max(sizes, initial=0.0))


def _dtype(g: Array) -> np.dtype:
    """The dtype of a gradient; an integer one becomes float64."""
    dtype = np.asarray(g).dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float64)
