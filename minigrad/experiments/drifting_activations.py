"""Six tanh layers whose activations shrink on the way up, with batch normalization in between and without.

64 pixels, six hidden layers of 30 units, 10 scores, 150 steps on a hinge loss. The initial weights are a little too
small, so what a layer passes on is a quarter of what it got, and the sixth layer gets next to nothing.
"""

import copy
import itertools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.datasets import digits
from minigrad.experiments import Number, Option, complete, functions_of
from minigrad.initializers import normal
from minigrad.losses import svm_loss
from minigrad.network import Layer, Sequential
from minigrad.optimizers import sgd
from minigrad.training import accuracy, fit

DEPTH = 6
WIDTH = 30
STEPS = 150
TRAINING = 1200  # digits to train on; the other 597 are held out
BATCH = 64

SETTINGS: Mapping[str, Number | Option] = {
    "normalization": Option("none", ("none", "batch"), "what comes between an affine layer and its tanh"),
    "weight_scale": Number(0.05, 0.0, 10.0, "standard deviation of the initial weights"),
    "learning_rate": Number(0.05, 0.0, 10.0, "learning rate"),
}
REQUIRES = (
    "affine_forward",
    "affine_backward",
    "tanh_forward",
    "tanh_backward",
    "batchnorm_forward",
    "batchnorm_backward",
)

Array = NDArray[Any]
Functions = Mapping[str, Callable[..., Any]]


def run(
    settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator, steps: int = STEPS
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
    steps : int
        Of gradient descent.

    Returns
    -------
    dict
        `accuracy` on the held-out digits at the end, in test mode; `loss` over the last 10 steps; `losses` at each
        step; `spreads`, of shape (2, 6): the standard deviation of what goes into the tanh of each layer, before the
        first step and after the last.
    """
    (x, y), (new_x, new_y) = data()
    normalized = settings["normalization"] == "batch"
    net = network(normalized, settings["weight_scale"], functions, rng)
    spreads = [spread(net, x)]
    losses = [step.loss for step in training(net, (x, y), settings["learning_rate"], rng, steps)]
    spreads.append(spread(net, x))
    net.mode = "test"
    return {
        "accuracy": accuracy(net.forward(new_x), new_y),
        "loss": float(np.mean(losses[-10:])),
        "losses": np.array(losses),
        "spreads": np.array(spreads),
    }


def train(
    batchnorm_forward: Callable[..., Any],
    batchnorm_backward: Callable[..., Any],
    seed: int = 0,
    steps: int = STEPS,
    **changes: Any,
) -> dict[str, Any]:
    """Run this experiment with somebody's own batch normalization.

    Parameters
    ----------
    batchnorm_forward, batchnorm_backward : callable
    seed : int
        Of the weights and the batches.
    steps : int
        Of gradient descent.
    **changes
        Settings that are not to stay as they are: ``normalization="batch", learning_rate=0.2``.

    Returns
    -------
    dict
        As of `run`.

    Raises
    ------
    TypeError
        If one of the functions is none.
    """
    this: Any = sys.modules[__name__]
    own = {"batchnorm_forward": batchnorm_forward, "batchnorm_backward": batchnorm_backward}
    for name, function in own.items():
        if not callable(function):
            raise TypeError(f"train: {name} should be a function, not a {type(function).__name__}")
    with np.errstate(all="ignore"):  # a rate that is too high overflows, and the accuracy says so
        return run(complete(this, changes), functions_of(this, own) | own, np.random.default_rng(seed), steps)


def data() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return centred digits and their labels, 1,200 to train on and 597 held out.

    Returns
    -------
    training, held_out : tuple of ndarray
        Each `x` of shape (N, 64), and `y` of shape (N,).
    """
    x, y = digits()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    x = x - x[:TRAINING].mean(axis=0)
    return (x[:TRAINING], y[:TRAINING]), (x[TRAINING:], y[TRAINING:])


def network(
    normalized: bool, weight_scale: float, functions: Functions, rng: np.random.Generator
) -> Sequential:
    """Return the network before training.

    Parameters
    ----------
    normalized : bool
        Whether batch normalization comes before each tanh.
    weight_scale : float
        Standard deviation of the weights of the hidden layers.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator

    Returns
    -------
    Sequential
        With parts `affine1`, `norm1` (where there is one), `tanh1`, `affine2` and so on, and `scores`.
    """
    affine = functions["affine_forward"], functions["affine_backward"]
    parts: dict[str, Layer] = {}
    for k, (fan_in, fan_out) in enumerate(itertools.pairwise([64] + [WIDTH] * DEPTH), start=1):
        w = normal((fan_in, fan_out), rng, std=weight_scale)
        parts[f"affine{k}"] = Layer(*affine, {"w": w, "b": np.zeros(fan_out)})
        if normalized:
            parts[f"norm{k}"] = Layer(
                functions["batchnorm_forward"],
                functions["batchnorm_backward"],
                {"gamma": np.ones(fan_out), "beta": np.zeros(fan_out)},
                {"mode": "train"},
            )
        parts[f"tanh{k}"] = Layer(functions["tanh_forward"], functions["tanh_backward"])
    w = normal((WIDTH, 10), rng, std=WIDTH**-0.5)
    parts["scores"] = Layer(*affine, {"w": w, "b": np.zeros(10)})
    return Sequential(**parts)


def training(
    net: Sequential,
    examples: tuple[Array, Array],
    learning_rate: float,
    rng: np.random.Generator,
    steps: int = STEPS,
) -> Any:
    """Train a network, one step each time that the next record is asked for.

    Parameters
    ----------
    net : Sequential
    examples : (x, y)
    learning_rate : float
    rng : numpy.random.Generator
        Draws the batches.
    steps : int

    Returns
    -------
    iterator of minigrad.training.Step
    """
    return fit(
        net, examples, svm_loss, sgd, steps=steps, learning_rate=learning_rate, rng=rng, batch_size=BATCH
    )


def spread(net: Sequential, x: Array) -> Array:
    """Return the standard deviation of what goes into the tanh of each layer, on one batch in training mode.

    Parameters
    ----------
    net : Sequential
        Its running statistics stay as they are.
    x : ndarray, shape (N, 64)

    Returns
    -------
    ndarray, shape (6,)
    """
    net = copy.deepcopy(net)
    net.mode = "train"
    spreads, h = [], x[:BATCH]
    for name, part in net.parts.items():
        if name.startswith("tanh"):
            spreads.append(float(np.std(h)))
        h = part.forward(h)
    return np.array(spreads)
