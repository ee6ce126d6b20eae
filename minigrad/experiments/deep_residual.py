"""Fifty residual blocks, and two rings of points: with He weights in every branch the scores start in the billions.

Two coordinates, an affine layer to 16 numbers, 50 blocks ``x + branch_scale * f(x)`` with f affine, ReLU, affine, all
of width 16, an affine layer to 2 scores, 40 steps on a hinge loss. No straight line separates the rings: a network
that is healed by switching its branches off stays near chance.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.datasets import circles
from minigrad.experiments import Number
from minigrad.experiments._depth import train
from minigrad.network import Layer

DEPTH = 50
WIDTH = 16
CLASSES = 2
POINTS = 400
STEPS = 40

SETTINGS = {
    "branch_scale": Number(1.0, 0.0, 10.0, "what each block multiplies its branch by"),
    "second_scale": Number(1.0, 0.0, 10.0, "factor on the second matrix of each branch at the start"),
    "learning_rate": Number(0.02, 0.0, 10.0, "learning rate"),
    "momentum": Number(0.9, 0.0, 0.99, "momentum"),
    "max_norm": Number(1e30, 0.0, 1e30, "longest gradient that is not clipped"),
}
REQUIRES = (
    "affine_forward",
    "affine_backward",
    "residual_forward",
    "residual_backward",
    "he_init",
    "clip_grad_norm",
)


def run(
    settings: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]], rng: np.random.Generator
) -> dict[str, Any]:
    """Train once.

    Parameters
    ----------
    settings : mapping
        A value for each of `SETTINGS`.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the weights and the batches.

    Returns
    -------
    dict
        `accuracy` at the end, `loss` over the last ten steps, `losses` at each step, and `gradients`, the norm of each
        weight gradient in the first step.
    """
    x, y = circles(POINTS, rng, CLASSES)
    he_init, clip = functions["he_init"], functions["clip_grad_norm"]

    def affine(fan_in: int, fan_out: int) -> Layer:
        params = {"w": he_init(fan_in, fan_out, rng), "b": np.zeros(fan_out)}
        return Layer(functions["affine_forward"], functions["affine_backward"], params)

    def forward(x: NDArray[Any], *params: NDArray[Any]) -> Any:
        return functions["residual_forward"](x, *params, settings["branch_scale"])

    def block() -> Layer:
        params = {
            "w1": he_init(WIDTH, WIDTH, rng),
            "b1": np.zeros(WIDTH),
            "w2": settings["second_scale"] * he_init(WIDTH, WIDTH, rng),
            "b2": np.zeros(WIDTH),
        }
        return Layer(forward, functions["residual_backward"], params)

    parts = [affine(2, WIDTH), *(block() for _ in range(DEPTH)), affine(WIDTH, CLASSES)]
    return train(
        parts,
        (x / x.std(), y),
        STEPS,
        settings["learning_rate"],
        settings["momentum"],
        rng,
        clip=lambda grads: clip(grads, settings["max_norm"]),
    )
