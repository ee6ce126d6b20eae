"""Compare the gradients of a network with measured ones: right, wrong, or cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.gradcheck._repeated import check_calls
from minigrad.gradcheck._tensors import check_arrays
from minigrad.gradcheck.numerical import Array
from minigrad.gradcheck.report import GradientReport


def gradient_check(
    loss: Callable[[dict[str, Array]], Any],
    params: dict[str, Array],
    grads: Mapping[str, Any] | Callable[[dict[str, Array]], Mapping[str, Any]],
    rng: np.random.Generator,
) -> GradientReport:
    r"""Say of each gradient of a network whether it is right, wrong, or cannot be told.

    Parameters
    ----------
    loss : callable
        Takes a dict like `params`, returns one number. It must be the same function at each call: draw the batch
        and the dropout masks before. It may ignore its argument and read `params` from its closure.
    params : dict of str to ndarray
        Parameters, in the order in which the forward pass uses them. Moved in place while `loss` runs, and
        restored exactly, also when it raises.
    grads : dict of str to array_like, or callable
        The gradient of each parameter, under the same name and of the same shape. Others are ignored. A function
        that takes `params` and returns such a dict is checked for what a dict cannot show: whether it changes its
        parameters, adds to what an earlier call had left, or returns what it once computed for other parameters.
    rng : Generator
        Draws the directions.

    Returns
    -------
    report : GradientReport
        Its text is meant to be read.

    Raises
    ------
    KeyError
        If a parameter has no gradient.
    TypeError
        If a parameter is not an array of floating-point numbers.
    ValueError
        If there is nothing to check, or the loss is not the same function at each call.

    Notes
    -----
    Along a direction `v`, a right gradient `g` gives the slope :math:`\langle g, v \rangle`. For a Gaussian `v`
    a wrong one misses it, but for a set of directions of measure zero. The difference is judged relative to the
    gradient's own norm, tensor by tensor, and against the noise of the measurement: nothing is compared with a
    fixed small number, so a loss that is multiplied by 1e-9 is checked as strictly as before.

    The slope is measured by the complex step where the code of the loss allows it, otherwise by Richardson's
    differences. Where a kink lies at the point itself, any value between the slopes of its two
    sides is right.

    A gradient that is smaller than the largest one by a factor of 1e-14 cannot be told from rounding. Such is that
    of a bias in front of a batch normalization, which is zero on paper.

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0]), "b": np.array(3.0)}
    >>> def loss(params):
    ...     return (params["w"] ** 2).sum() + params["b"]
    >>> grads = {"w": 2 * params["w"], "b": np.array(2.0)}  # b is wrong
    >>> report = gradient_check(loss, params, grads, np.random.default_rng(0))
    >>> report["w"].verdict, report["b"].verdict
    ('right', 'wrong')
    >>> print(report["b"].worst)
    b: yours 2, measured 1
    """
    if callable(grads):
        return check_calls(loss, params, grads, rng)
    return check_arrays(loss, params, grads, rng)
