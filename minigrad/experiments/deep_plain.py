"""Fifty affine layers with ReLUs between them, and two classes of digits: with weights of size 0.1 it learns nothing.

64 pixels, 49 hidden layers of 32 ReLUs, 2 scores, 60 steps on a hinge loss. One number is the standard deviation of all
weights; the biases start at 0.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.experiments import Number
from minigrad.experiments._depth import data, train
from minigrad.initializers import normal
from minigrad.network import Layer

DEPTH = 50
WIDTH = 32
CLASSES = 2
STEPS = 60

SETTINGS = {
    "weight_std": Number(0.1, 0.0, 2.0, "standard deviation of all weights at the start"),
    "learning_rate": Number(0.003, 0.0, 1000.0, "learning rate"),
    "momentum": Number(0.9, 0.0, 0.99, "momentum"),
}
REQUIRES = ("affine_forward", "affine_backward", "relu_forward", "relu_backward")


def layers(
    weight_std: float, functions: Mapping[str, Callable[..., Any]], rng: np.random.Generator
) -> list[Layer]:
    """The untrained network, from the first layer on: affine and ReLU in turn."""
    sizes = [64] + [WIDTH] * (DEPTH - 1) + [CLASSES]
    parts = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        params = {"w": normal((fan_in, fan_out), rng, weight_std), "b": np.zeros(fan_out)}
        parts.append(Layer(functions["affine_forward"], functions["affine_backward"], params))
        parts.append(Layer(functions["relu_forward"], functions["relu_backward"]))
    return parts[:-1]  # the scores may be negative


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
        layer's weight gradient in the first step.
    """
    parts = layers(settings["weight_std"], functions, rng)
    return train(parts, data(CLASSES), STEPS, settings["learning_rate"], settings["momentum"], rng)
