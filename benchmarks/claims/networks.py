"""The small networks that the claims are measured on."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad import experiments, layers
from minigrad.datasets import digits
from minigrad.initializers import he_init, normal, xavier_init
from minigrad.losses import softmax_loss
from minigrad.network import Layer, Network, Sequential
from minigrad.optimizers import sgd
from minigrad.training import accuracy, fit

Array = NDArray[Any]
Rng = np.random.Generator
Start = Callable[[int, int], tuple[Array, Array]]
"""Weights and biases of an affine layer, from its inputs and outputs."""

PAIRS = {
    name: (getattr(layers, f"{name}_forward"), getattr(layers, f"{name}_backward"))
    for name in ("relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh")
}


def he(rng: Rng, scale: float = 1.0) -> Start:
    return lambda n, m: (scale * he_init(n, m, rng), np.zeros(m))


def xavier(rng: Rng, gain: float = 1.0) -> Start:
    return lambda n, m: (xavier_init(n, m, gain, rng), np.zeros(m))


def gaussian(rng: Rng, std: float) -> Start:
    return lambda n, m: (normal((n, m), rng, std=std), np.zeros(m))


def uniform(rng: Rng) -> Start:
    """PyTorch's default for a linear layer: weights and biases between -1/sqrt(n) and 1/sqrt(n)."""
    return lambda n, m: (rng.uniform(-1, 1, (n, m)) / np.sqrt(n), rng.uniform(-1, 1, m) / np.sqrt(n))


def stack(
    sizes: Sequence[int], activation: str, start: Start, last: bool = False, batchnorm: bool = False
) -> Sequential:
    """Affine layers with activations between them: parts "affine1", "norm1", "act1" and so on.

    With `last`, an activation also follows the last layer.
    """
    parts: dict[str, Network] = {}
    for k, (n, m) in enumerate(itertools.pairwise(sizes), start=1):
        w, b = start(n, m)
        parts[f"affine{k}"] = Layer(layers.affine_forward, layers.affine_backward, {"w": w, "b": b})
        if k == len(sizes) - 1 and not last:
            break
        if batchnorm:
            params = {"gamma": np.ones(m), "beta": np.zeros(m)}
            parts[f"norm{k}"] = Layer(
                layers.batchnorm_forward, layers.batchnorm_backward, params, {"mode": "train"}
            )
        parts[f"act{k}"] = Layer(*PAIRS[activation])
    return Sequential(**parts)


def outputs(network: Sequential, x: Array, kind: str = "act") -> list[Array]:
    """What comes out of the parts of one kind."""
    found = []
    for name, part in network.parts.items():
        x = part.forward(x)
        if name.startswith(kind):
            found.append(x)
    return found


def upstream(network: Sequential, dout: Array) -> list[Array]:
    """The gradient at the output of each affine layer, the first one first; `forward` has been called."""
    found = []
    for name, part in reversed(network.parts.items()):
        if name.startswith("affine"):
            found.append(dout)
        dout = part.backward(dout)
    return found[::-1]


def weight_gradients(network: Network) -> Array:
    """Norm of the gradient of each weight matrix, in order."""
    return np.array([np.linalg.norm(g) for name, g in network.grads.items() if name.endswith(".w")])


def spread(values: Array) -> float:
    """The largest over the smallest."""
    return float(np.max(values) / np.min(values))


def train(
    network: Network,
    data: tuple[Array, Array],
    rng: Rng,
    rate: float,
    steps: int,
    optimizer: Callable[..., Any] = sgd,
    loss: Callable[..., Any] = softmax_loss,
    batch: int = 64,
    **more: Any,
) -> tuple[Array, float]:
    """Losses of each step, and the accuracy on all of the data afterwards."""
    with np.errstate(all="ignore"):  # some of these runs are there to overflow
        run = fit(
            network, data, loss, optimizer, steps=steps, learning_rate=rate, rng=rng, batch_size=batch, **more
        )
        losses = np.array([step.loss for step in run])
        return losses, accuracy(network.forward(data[0]), data[1])


@functools.cache
def standardized() -> tuple[Array, Array]:
    """The digits, each pixel with mean 0 and variance 1."""
    x, y = digits()
    return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-8), y


@functools.cache
def trap() -> Mapping[str, Any]:
    """The seven runs of assignment 00."""
    experiment = experiments.find("autograd_trap")
    return experiment.run({}, experiments.functions_of(experiment), np.random.default_rng(0))


def dying(**changes: Any) -> dict[str, float]:
    """The run of assignment 03 with some settings changed, mean of three networks."""
    return experiments.measure("dying_relu", changes, range(3))


def deep_sigmoid(**changes: Any) -> dict[str, float]:
    """The run of assignment 02 with some settings changed, mean of three networks."""
    return experiments.measure("deep_sigmoid", changes, range(3))
