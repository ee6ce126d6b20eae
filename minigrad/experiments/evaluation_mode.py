"""One trained network with batch normalization, evaluated in the ways in which people evaluate by mistake.

Only to be looked at. The network of `drifting_activations` trains at a good scale; then the same 597 held-out digits
go through it in test mode, and in training mode in batches of several sizes and orders.
"""

import copy
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.experiments import Number, Option, functions_of
from minigrad.experiments.drifting_activations import (
    DEPTH,
    REQUIRES,
    Array,
    Functions,
    data,
    network,
    training,
)
from minigrad.network import Sequential
from minigrad.training import accuracy

__all__ = ["REQUIRES", "SETTINGS", "SIZES", "in_batches", "run", "trained"]

SETTINGS: Mapping[str, Number | Option] = {}
SIZES = (1, 2, 4, 8, 16, 32, 64, 597)
EARLY = (1, 2, 5, 10, 20, 30, 50, 100, 150)  # steps after which the averages are compared with a batch
WEIGHT_SCALE = 30**-0.5
LEARNING_RATE = 0.1


def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train once, and evaluate in many ways.

    Parameters
    ----------
    settings : mapping
        Empty.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the weights and the batches.

    Returns
    -------
    dict
        Accuracies on the held-out digits. `accuracy`: in test mode. In training mode, in batches of each of `sizes`:
        `shuffled` and, with the digits sorted by their class, `by_class`. `afterwards`: in test mode again, after
        somebody has evaluated one digit at a time in training mode. At the steps `early`: `averages`, in test mode,
        and `one_batch`, in training mode with all held-out digits as one batch.
    """
    net, early = _train(functions, rng)
    _, (x, y) = data()
    sorted_by_class = np.argsort(y, kind="stable")
    net.mode = "test"
    right = accuracy(net.forward(x), y)
    shuffled = [in_batches(net, x, y, size) for size in SIZES]
    by_class = [in_batches(net, x[sorted_by_class], y[sorted_by_class], size) for size in SIZES]
    net.mode = "train"
    for row in range(len(x)):
        net.forward(x[row : row + 1])
    net.mode = "test"
    return {
        "accuracy": right,
        "sizes": np.array(SIZES),
        "shuffled": np.array(shuffled),
        "by_class": np.array(by_class),
        "afterwards": accuracy(net.forward(x), y),
        "early": np.array(EARLY),
        "averages": np.array([averages for averages, _ in early]),
        "one_batch": np.array([one_batch for _, one_batch in early]),
    }


def trained(
    batchnorm_forward: Callable[..., Any], batchnorm_backward: Callable[..., Any], seed: int = 0
) -> tuple[dict[str, Array], list[dict[str, Any]]]:
    """Train with somebody's own batch normalization, and hand over what is left when training is done.

    Parameters
    ----------
    batchnorm_forward, batchnorm_backward : callable
    seed : int
        Of the weights and the batches.

    Returns
    -------
    params : dict of str to ndarray
        `w1`, `b1`, `gamma1` and `beta1` of the first hidden layer, and so on to the sixth; `w_scores`, `b_scores`.
    bn_params : list of dict
        That of each hidden layer, in the mode in which training leaves it.
    """
    own = {"batchnorm_forward": batchnorm_forward, "batchnorm_backward": batchnorm_backward}
    this: Any = sys.modules[__name__]
    net, _ = _train(functions_of(this, own) | own, np.random.default_rng(seed))
    net.mode = "train"
    layers = range(1, DEPTH + 1)
    params = {f"{name}{k}": net.params[f"affine{k}.{name}"] for k in layers for name in "wb"}
    params |= {f"{name}{k}": net.params[f"norm{k}.{name}"] for k in layers for name in ("gamma", "beta")}
    params |= {f"{name}_scores": net.params[f"scores.{name}"] for name in "wb"}
    return params, [{"mode": "train", **net.parts[f"norm{k}"].state} for k in layers]


def in_batches(net: Sequential, x: Array, y: Array, size: int) -> float:
    """Return the accuracy in training mode, in batches; the running statistics stay as they are.

    Parameters
    ----------
    net : Sequential
    x : ndarray, shape (N, 64)
    y : ndarray of int, shape (N,)
    size : int

    Returns
    -------
    float
    """
    net = copy.deepcopy(net)
    net.mode = "train"
    scores = [net.forward(x[start : start + size]) for start in range(0, len(x), size)]
    return accuracy(np.concatenate(scores), y)


def _train(functions: Functions, rng: np.random.Generator) -> tuple[Sequential, list[tuple[float, float]]]:
    examples, (x, y) = data()
    net = network(True, WEIGHT_SCALE, functions, rng)
    early = []
    for step in training(net, examples, LEARNING_RATE, rng):
        if step.step + 1 in EARLY:
            net.mode = "test"
            averages = accuracy(net.forward(x), y)
            early.append((averages, in_batches(net, x, y, len(x))))
    return net, early
