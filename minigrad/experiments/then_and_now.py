"""A deep network as it is built today, with one part taken out at a time, and the same depth as in 2016.

64 pixels, twelve blocks of width 32, 10 scores, 60 steps of Adam on a softmax loss. Today a block adds to its input,
normalizes inside the branch, has a GELU as its activation, and the learning rate is raised over the first 20 steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.datasets import digits
from minigrad.experiments import Number, Option
from minigrad.initializers import normal
from minigrad.network import Layer, Network, Residual, Sequential
from minigrad.optimizers import adam
from minigrad.schedules import constant, warm_up
from minigrad.training import accuracy, fit

DEPTH = 12
WIDTH = 32
STEPS = 60
WARM_UP = 20
LEARNING_RATE = 0.02
STARTS = 3

SETTINGS: Mapping[str, Number | Option] = {}  # to be looked at: there is nothing to heal
REQUIRES = (
    "affine_forward",
    "affine_backward",
    "relu_forward",
    "relu_backward",
    "gelu_forward",
    "gelu_backward",
    "layernorm_forward",
    "layernorm_backward",
    "softmax_loss",
)

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained."""

    residual: bool = True
    norm: str = "before"  # in the branch; "after" the addition; or "none"
    activation: str = "gelu"
    warm: bool = True
    learning_rate: float = LEARNING_RATE


RECIPES = {
    "today": Recipe(),
    "without residual paths": Recipe(residual=False),
    "without normalization": Recipe(norm="none"),
    "ReLU instead of GELU": Recipe(activation="relu"),
    "without warm-up": Recipe(warm=False),
    "normalized after": Recipe(norm="after"),
    "after, without warm-up": Recipe(norm="after", warm=False),
    "2016": Recipe(residual=False, norm="none", activation="relu", warm=False),
}


def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train all of `RECIPES`, each from the same starts.

    Parameters
    ----------
    settings : mapping
        None.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the starts.

    Returns
    -------
    dict
        `accuracy` over all digits, `first_loss` and `ratio` as of `train`, each of shape (recipes, starts), in the
        order of `RECIPES`.
    """
    seeds = [int(seed) for seed in rng.integers(2**32, size=STARTS)]
    ends = [
        [train(recipe, functions, np.random.default_rng(seed)) for seed in seeds]
        for recipe in RECIPES.values()
    ]
    return {key: np.array([[end[key] for end in row] for row in ends]) for key in ends[0][0]}


def train(recipe: Recipe, functions: Functions, rng: np.random.Generator) -> dict[str, float]:
    """Train one network.

    Parameters
    ----------
    recipe : Recipe
    functions : mapping
        As for `run`.
    rng : numpy.random.Generator
        Draws the weights and the batches.

    Returns
    -------
    dict
        `accuracy` over all digits at the end; before any step `first_loss`, of the first batch, and `ratio`, the norm
        of the gradient of the weights in the first block over that in the last.
    """
    x, y = digits()
    x = x - x.mean(axis=0)
    net = network(recipe, functions, rng)
    _, dscores = functions["softmax_loss"](net.forward(x[:64]), y[:64])
    net.backward_params(dscores)
    norms = [float(np.linalg.norm(grad)) for name, grad in net.grads.items() if name.endswith(".w")]

    def rate(step: int, usual: float) -> float:
        return warm_up(step, usual, WARM_UP) if recipe.warm else constant(step, usual)

    losses = [
        step.loss
        for step in fit(
            net,
            (x, y),
            functions["softmax_loss"],
            adam,
            steps=STEPS,
            learning_rate=recipe.learning_rate,
            rng=rng,
            batch_size=64,
            schedule=rate,
        )
    ]
    return {"accuracy": accuracy(net.forward(x), y), "first_loss": losses[0], "ratio": norms[1] / norms[-2]}


def network(recipe: Recipe, functions: Functions, rng: np.random.Generator) -> Sequential:
    """Return the network before training.

    Parameters
    ----------
    recipe : Recipe
    functions : mapping
        As for `run`.
    rng : numpy.random.Generator
        Draws the weights.

    Returns
    -------
    Sequential
    """

    def affine(inputs: int, units: int, gain: float = 1.0) -> Layer:
        w: NDArray[Any] = normal((inputs, units), rng, std=gain * inputs**-0.5)
        return Layer(
            functions["affine_forward"], functions["affine_backward"], {"w": w, "b": np.zeros(units)}
        )

    def bend() -> Layer:
        return Layer(functions[f"{recipe.activation}_forward"], functions[f"{recipe.activation}_backward"])

    def norm() -> Layer:
        start = {"gamma": np.ones(WIDTH), "beta": np.zeros(WIDTH)}
        return Layer(functions["layernorm_forward"], functions["layernorm_backward"], start, {})

    parts: list[Network] = [affine(64, WIDTH)]
    for _ in range(DEPTH):
        before = [norm()] if recipe.norm == "before" else []
        branch = Sequential(*before, affine(WIDTH, WIDTH, 2**0.5), bend(), affine(WIDTH, WIDTH))
        parts.append(Residual(branch) if recipe.residual else branch)
        if recipe.norm == "after":
            parts.append(norm())
    if recipe.norm == "before":
        parts.append(norm())  # the sum of all branches has grown
    return Sequential(*parts, affine(WIDTH, 10))
