"""Six sigmoid layers, and digits: with the usual initialization this network does not learn.

64 pixels, six hidden layers of 32 sigmoids, 10 scores, 300 steps on a hinge loss. The record also has the same run
with one hidden layer in place of six, which learns: neither the data nor the learning rate is to blame.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.datasets import digits
from minigrad.experiments import Number
from minigrad.losses import svm_loss
from minigrad.network import Layer, Sequential
from minigrad.optimizers import sgd_momentum
from minigrad.training import accuracy, fit

DEPTH = 6
WIDTH = 32
STEPS = 300

SETTINGS = {
    "gain": Number(1.0, 0.0, 100.0, "gain of the initial weights of the hidden layers"),
    "learning_rate": Number(0.03, 0.0, 10.0, "learning rate"),
    "momentum": Number(0.9, 0.0, 0.99, "momentum"),
}
REQUIRES = ("affine_forward", "affine_backward", "sigmoid_forward", "sigmoid_backward", "xavier_init")


def run(
    settings: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]], rng: np.random.Generator
) -> dict[str, Any]:
    """Train the deep network and the shallow one.

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
        `accuracy` and `loss` (over the last 20 steps) of the deep network, `shallow_accuracy` of the other; `losses`
        and `shallow_losses` at each step; of each affine layer of the deep network `gradients`, the norm of its
        weight gradient in the first step, and `moved`, how far its weights moved, relative to their size.
    """
    deep = _train(DEPTH, settings, functions, rng)
    shallow = _train(1, settings, functions, rng)
    return {
        "accuracy": deep["accuracy"],
        "loss": float(np.mean(deep["losses"][-20:])),
        "shallow_accuracy": shallow["accuracy"],
        "losses": deep["losses"],
        "shallow_losses": shallow["losses"],
        "gradients": deep["gradients"],
        "moved": deep["moved"],
    }


def _train(
    depth: int,
    settings: Mapping[str, Any],
    functions: Mapping[str, Callable[..., Any]],
    rng: np.random.Generator,
) -> dict[str, Any]:
    x, y = digits()
    x = x - x.mean(axis=0)  # as one should: what fails is not the data
    network = _network([x.shape[1]] + [WIDTH] * depth + [10], settings["gain"], functions, rng)
    start = _weights(network.params)
    losses: list[float] = []
    gradients: list[NDArray[Any]] = []
    records = fit(
        network,
        (x, y),
        svm_loss,
        sgd_momentum,
        steps=STEPS,
        learning_rate=settings["learning_rate"],
        rng=rng,
        batch_size=64,
        config={"momentum": settings["momentum"]},
    )
    for step in records:
        losses.append(step.loss)
        gradients = gradients or _weights(network.grads)
    end = _weights(network.params)
    return {
        "accuracy": accuracy(network.forward(x), y),
        "losses": np.array(losses),
        "gradients": np.array([np.linalg.norm(g) for g in gradients]),
        "moved": np.array(
            [np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in zip(start, end, strict=True)]
        ),
    }


def _network(
    sizes: list[int], gain: float, functions: Mapping[str, Callable[..., Any]], rng: np.random.Generator
) -> Sequential:
    """Affine layers with sigmoids between them; the last one, which gives the scores, has a gain of 1."""
    parts = []
    for k, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
        last = k == len(sizes) - 1
        w = functions["xavier_init"](fan_in, fan_out, 1.0 if last else gain, rng)
        parts.append(
            Layer(functions["affine_forward"], functions["affine_backward"], {"w": w, "b": np.zeros(fan_out)})
        )
        if not last:
            parts.append(Layer(functions["sigmoid_forward"], functions["sigmoid_backward"]))
    return Sequential(*parts)


def _weights(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    return [array for name, array in arrays.items() if name.endswith(".w")]
