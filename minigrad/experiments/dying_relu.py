"""One step that is too large: the network trains on, and two units in five never fire again.

64 pixels, 100 hidden units, 10 scores, 150 steps on a hinge loss over all 1797 digits. Two things go wrong. The
biases start below zero, and the first step is forty times as long as the others.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.datasets import digits
from minigrad.experiments import Number, Option
from minigrad.initializers import normal
from minigrad.layers import affine_backward, affine_forward
from minigrad.losses import svm_loss
from minigrad.network import Layer, Sequential
from minigrad.optimizers import sgd
from minigrad.training import accuracy, fit

HIDDEN = 100
STEPS = 150
BIAS = -0.3  # of the hidden layer at the start, in the run that fails
COUNTED = 30  # steps from one count of the silent units to the next

SETTINGS: Mapping[str, Number | Option] = {
    "first_rate": Number(4.0, 0.0, 10.0, "learning rate of the first step"),
    "learning_rate": Number(0.1, 0.0, 10.0, "learning rate of all other steps"),
    "bias": Number(BIAS, -1.0, 2.0, "biases of the hidden layer at the start"),
    "negative_slope": Number(0.0, 0.0, 0.3, "slope of the activation on the left of zero; 0 is a ReLU"),
    "inputs": Option(
        "raw", ("raw", "centred"), "pixels as they are, or with the mean of each pixel subtracted"
    ),
}
REQUIRES = (
    "affine_forward",
    "affine_backward",
    "relu_forward",
    "relu_backward",
    "leaky_relu_forward",
    "leaky_relu_backward",
    "count_dead_relus",
)

Functions = Mapping[str, Callable[..., Any]]


def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train once, and count the silent units on the way.

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
        As of `train`.
    """
    slope = settings["negative_slope"]
    if slope:
        layer = Layer(functions["leaky_relu_forward"], functions["leaky_relu_backward"], None, slope)
    else:
        layer = Layer(functions["relu_forward"], functions["relu_backward"])
    return train(layer, settings, functions, rng)


def data(inputs: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the digits, raw or centred.

    Parameters
    ----------
    inputs : {"raw", "centred"}

    Returns
    -------
    x : ndarray, shape (1797, 64)
    y : ndarray of int, shape (1797,)
    """
    x, y = digits()
    return (x if inputs == "raw" else x - x.mean(axis=0)), y


def network(activation: Layer, bias: float, functions: Functions, rng: np.random.Generator) -> Sequential:
    """Return the network before training.

    Parameters
    ----------
    activation : Layer
    bias : float
        Of every hidden unit.
    functions : mapping
        With `affine_forward` and `affine_backward`.
    rng : numpy.random.Generator
        Draws the weights.

    Returns
    -------
    Sequential
        With parts `hidden`, `activation` and `scores`.
    """

    def affine(inputs: int, units: int, start: float) -> Layer:
        w = normal((inputs, units), rng, std=inputs**-0.5)
        return Layer(
            functions["affine_forward"], functions["affine_backward"], {"w": w, "b": np.full(units, start)}
        )

    return Sequential(hidden=affine(64, HIDDEN, bias), activation=activation, scores=affine(HIDDEN, 10, 0.0))


def train(
    activation: Layer, settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator
) -> dict[str, Any]:
    """Train with any activation.

    Parameters
    ----------
    activation : Layer
    settings : mapping
        As for `run`; `negative_slope` is not looked at.
    functions : mapping
        As for `run`.
    rng : numpy.random.Generator

    Returns
    -------
    dict
        A unit is silent if its pre-activation is positive for no example; with a ReLU, that is a dead unit. Shares
        of the hidden units: `silent_at_start`, `silent_after_step` (the first one), `silent` (at the end), and
        `silent_shares` at the steps `counted`. `accuracy` over all digits at the end; `losses` at each step;
        `frozen`, the share of the hidden units whose weights get a gradient of exactly zero from all digits after
        the first step.
    """
    x, y = data(settings["inputs"])
    net = network(activation, settings["bias"], functions, rng)

    def silent() -> float:
        before = net.parts["hidden"].forward(x)  # (1797, 100)
        fired, _ = functions["relu_forward"](before)
        return functions["count_dead_relus"]({"hidden": fired})["hidden"] / HIDDEN

    records = fit(
        net,
        (x, y),
        svm_loss,
        sgd,
        steps=STEPS,
        learning_rate=settings["learning_rate"],
        rng=rng,
        batch_size=100,
        schedule=lambda step, rate: settings["first_rate"] if step == 0 else rate,
    )
    counted, shares, losses, frozen = [0], [silent()], [], 0.0
    for step in records:
        losses.append(step.loss)
        done = step.step + 1
        if done == 1 or done % COUNTED == 0:
            counted.append(done)
            shares.append(silent())
        if done == 1:
            frozen = _frozen(net, x, y)
    return {
        "silent_at_start": shares[0],
        "silent_after_step": shares[1],
        "silent": shares[-1],
        "accuracy": accuracy(net.forward(x), y),
        "frozen": frozen,
        "counted": np.array(counted),
        "silent_shares": np.array(shares),
        "losses": np.array(losses),
    }


def first_step(
    rate: float,
    relu_forward: Callable[..., Any],
    relu_backward: Callable[..., Any],
    seed: int = 0,
    inputs: str = "raw",
) -> dict[str, NDArray[Any]]:
    """Return what the hidden units see before and after the first step, on all digits.

    Parameters
    ----------
    rate : float
        Learning rate of the step.
    relu_forward, relu_backward : callable
    seed : int
        Of the network, and of the batch of 100 digits that the step is made on.
    inputs : {"raw", "centred"}

    Returns
    -------
    dict
        `before` and `after`: pre-activations of the hidden units, each of shape (1797, 100).
    """
    rng = np.random.default_rng(seed)
    x, y = data(inputs)
    pair: Functions = {"affine_forward": affine_forward, "affine_backward": affine_backward}
    net = network(Layer(relu_forward, relu_backward), BIAS, pair, rng)
    before = net.parts["hidden"].forward(x)
    for _ in fit(net, (x, y), svm_loss, sgd, steps=1, learning_rate=rate, rng=rng, batch_size=100):
        pass
    return {"before": before, "after": net.parts["hidden"].forward(x)}


def _frozen(net: Sequential, x: NDArray[Any], y: NDArray[Any]) -> float:
    """Share of the hidden units that get no gradient at all."""
    _, dscores = svm_loss(net.forward(x), y)
    net.backward(dscores)
    return float(np.mean(np.linalg.norm(net.grads["hidden.w"], axis=0) == 0))
