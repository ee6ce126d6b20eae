"""Seven runs of correct code, for assignment 00, of which one learns what it should.

All of them train on the same images with the same loop, and their gradients are right. They differ in a line or
two, which `RUNS` names: reading on takes the diagnosis away.

The record holds, for each letter, what an instrument would have written down:

- ``A_losses``, (steps,): the loss of each batch, before the update.
- ``A_gradients``, (steps, layers): the norm of the gradient of each weight matrix, the first layer first.
- ``A_updates``, (steps, layers): how far each weight matrix moved, as a share of its own norm.
- ``A_idle``, (layers - 1,): at the end, for each hidden layer, the share of its units that have nothing more to
  say: a ReLU that is 0 for every image, or a sigmoid within a hundredth of 0 or 1.
- ``A_accuracy``: on images that were not trained on.

A run stops after the first loss that is not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.activity import count_dead_relus, saturated_fraction
from minigrad.datasets import digits, split
from minigrad.network import Layer, Network, Sequential
from minigrad.optimizers import sgd
from minigrad.training import accuracy, evaluate, fit

__all__ = ["REQUIRES", "RUNS", "SETTINGS", "Run", "build", "run"]

Functions = Mapping[str, Callable[..., Any]]

SETTINGS: dict[str, Any] = {}  # nothing to mend here: these runs are for looking at

REQUIRES = (
    "affine_forward",
    "affine_backward",
    "relu_forward",
    "relu_backward",
    "sigmoid_forward",
    "sigmoid_backward",
    "softmax_loss",
    "he_init",
    "xavier_init",
)

STEPS = 200
RAISED_AT = 100
WIDTH = 32


@dataclass(frozen=True)
class Run:
    """What is particular about a run.

    Parameters
    ----------
    activation : str
    hidden : int
        Layers of 32 units.
    weights : str
        How they start: "he", "xavier", "uniform" (between 0 and 1) or "large" (2.2 times "he").
    learning_rate : float
    raised_to : float, optional
        The learning rate from step 100 on.
    labels_off_by : int
    """

    activation: str = "relu"
    hidden: int = 2
    weights: str = "he"
    learning_rate: float = 0.2
    raised_to: float | None = None
    labels_off_by: int = 0


RUNS = {
    "A": Run("sigmoid", hidden=3, weights="uniform"),
    "B": Run(),
    "C": Run(raised_to=10.0),
    "D": Run("sigmoid", hidden=8, weights="xavier"),
    "E": Run(labels_off_by=1),
    "F": Run(hidden=8, weights="large"),
    "G": Run(hidden=0, learning_rate=20.0),
}


def build(recipe: Run, functions: Functions, rng: np.random.Generator) -> Sequential:
    """Return the network of a run, before its first step.

    Parameters
    ----------
    recipe : Run
    functions : mapping
        A function for each name in `REQUIRES`.
    rng : Generator

    Returns
    -------
    Network
        Parts "affine1", "act1" and so on; scores for 10 classes.
    """
    start: dict[str, Callable[[int, int], Any]] = {
        "he": lambda n, m: functions["he_init"](n, m, rng),
        "large": lambda n, m: 2.2 * functions["he_init"](n, m, rng),
        "xavier": lambda n, m: functions["xavier_init"](n, m, 1.0, rng),
        "uniform": lambda n, m: rng.random((n, m)),
    }
    pair = functions[f"{recipe.activation}_forward"], functions[f"{recipe.activation}_backward"]
    affine = functions["affine_forward"], functions["affine_backward"]
    parts: dict[str, Network] = {}
    fan_in = 64
    for k in range(1, recipe.hidden + 1):
        w = start[recipe.weights](fan_in, WIDTH)
        parts[f"affine{k}"] = Layer(*affine, {"w": w, "b": np.zeros(WIDTH)})
        parts[f"act{k}"] = Layer(*pair)
        fan_in = WIDTH
    # small scores: every run starts from knowing nothing, a loss of ln 10
    last = 0.01 * rng.standard_normal((fan_in, 10))
    parts[f"affine{recipe.hidden + 1}"] = Layer(*affine, {"w": last, "b": np.zeros(10)})
    return Sequential(**parts)


def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train all seven, and return what was written down."""
    seed = int(rng.integers(1 << 30))
    record: dict[str, Any] = {}
    for letter, recipe in RUNS.items():
        one = _train(recipe, functions, np.random.default_rng(seed))
        record.update({f"{letter}_{name}": value for name, value in one.items()})
    return record


def _train(recipe: Run, functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    (x, y), (x_new, y_new) = split(*digits(), 0.8, rng)
    network = build(recipe, functions, rng)
    names = [name for name in network.params if name.endswith(".w")]
    losses, gradients, updates = [], [], []

    def rate(step: int, learning_rate: float) -> float:
        return recipe.raised_to if recipe.raised_to and step >= RAISED_AT else learning_rate

    with np.errstate(all="ignore"):  # one of the runs overflows, and that is what it is for
        before = network.params
        for step in fit(
            network,
            (x, (y + recipe.labels_off_by) % 10),
            functions["softmax_loss"],
            sgd,
            steps=STEPS,
            learning_rate=recipe.learning_rate,
            batch_size=64,
            schedule=rate,
            rng=rng,
        ):
            after, grads = network.params, network.grads
            losses.append(step.loss)
            gradients.append([np.linalg.norm(grads[name]) for name in names])
            updates.append(
                [np.linalg.norm(after[name] - before[name]) / np.linalg.norm(before[name]) for name in names]
            )
            before = after
            if not np.isfinite(step.loss):
                break
        idle = _idle(network, x, recipe.activation)
        _, share = evaluate(network, (x_new, y_new), functions["softmax_loss"], accuracy)
        curves = {"losses": losses, "gradients": gradients, "updates": updates, "idle": idle}
        # float32 is for the size of the recording
        record = {name: np.array(value, np.float32) for name, value in curves.items()}
    return {**record, "accuracy": share}


def _idle(network: Sequential, x: Any, activation: str) -> list[float]:
    shares = []
    for name, part in network.parts.items():
        x = part.forward(x)
        if name.startswith("act") and activation == "relu":
            shares.append(count_dead_relus({name: x})[name] / WIDTH)
        elif name.startswith("act"):
            shares.append(saturated_fraction(x))
    return shares
