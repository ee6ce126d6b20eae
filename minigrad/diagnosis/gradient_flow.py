"""How a gradient fares on its way through many layers, before anything is trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward

__all__ = ["check_gradient_flow"]


def check_gradient_flow(
    depth: int, weight_scale: float, rng: np.random.Generator, width: int = 50, examples: int = 64
) -> np.ndarray:
    r"""Measure the gradient at the output of each layer of a deep ReLU network, one backward pass.

    Parameters
    ----------
    depth : int
        Layers.
    weight_scale : float
        Standard deviation of the weights; ``sqrt(2 / width)`` is that of He.
    rng : Generator
        Draws weights and inputs.
    width : int
        Units of each layer.
    examples : int
        Rows of the batch.

    Returns
    -------
    norms : ndarray, shape (depth,)
        For each layer, from the first on, the norm of the gradient of its output. What comes in at the top is random:
        one standard normal number for each output.

    Raises
    ------
    ValueError
        If `depth` or `width` is less than 1.

    Notes
    -----
    It is the gradient of the activations, not of the weights. Without biases, that of the weights hides what happens:
    it is the gradient behind a layer times the activation in front of it, and where the one is multiplied by
    :math:`g` at each layer, so is the other, from the other end. Their product hardly changes. One number does not
    change at all: the outputs are homogeneous in the weights :math:`W_l` of each layer, so by Euler's theorem the sum
    over :math:`W_l \, \partial L / \partial W_l` is the same for every layer.

    Examples
    --------
    >>> norms = check_gradient_flow(10, 0.1, np.random.default_rng(0))
    >>> bool(norms[0] < 0.1 * norms[-1])
    True
    """
    if depth < 1 or width < 1:
        raise ValueError(
            f"check_gradient_flow: depth is {depth} and width is {width}; both must be at least 1"
        )
    out: Any = rng.normal(size=(examples, width))
    caches = []
    for _ in range(depth):
        z, affine = affine_forward(out, rng.normal(0, weight_scale, (width, width)), np.zeros(width))
        out, relu = relu_forward(z)
        caches.append((affine, relu))
    dout, norms = rng.normal(size=out.shape), list[float]()
    for affine, relu in reversed(caches):
        norms.append(float(np.linalg.norm(dout)))
        dout, _, _ = affine_backward(relu_backward(dout, relu), affine)
    return np.array(norms[::-1])
