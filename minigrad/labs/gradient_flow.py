"""The lab of assignment 04: what goes up and what comes down through many layers of ReLUs.

A chain of affine layers of one width without biases, each followed by a ReLU, gets random inputs and a random upstream
gradient. The lab shows, layer by layer, the size of what comes in from below, of the gradient that comes in from above,
and of the gradient of the weights between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from minigrad import plots
from minigrad.labs import Slider
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward
from minigrad.network import Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "SIZE", "Result", "describe", "draw", "simulate"]

PARAMETERS = [
    Slider("factor", 0.4, 2.0, 0.05, 1.0, "factor on your he_init"),
    Slider("depth", 2.0, 50.0, 1.0, 20.0, "number of layers"),
    Slider("seed", 0.0, 9.0, 1.0, 0.0, "which draw of the weights"),
]

REQUIRES = ("he_init",)

SIZE = (9.4, 3.6)

_WIDTH = 50
_EXAMPLES = 32


class Result(TypedDict):
    """What `simulate` returns; arrays have one entry for each layer, from the first to the last."""

    factor: float
    activations: np.ndarray
    """Norm of what comes into the layer from below."""
    gradients: np.ndarray
    """Norm of the gradient of what leaves the layer."""
    weight_gradients: np.ndarray
    """Norm of the gradient of its weights."""


def simulate(parameters: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Send inputs up and a gradient down through the chain.

    Parameters
    ----------
    parameters : mapping
        `factor`, `depth` and `seed`.
    functions : mapping
        The student's `he_init`.

    Returns
    -------
    Result
    """
    factor, rng = float(parameters["factor"]), np.random.default_rng(int(parameters["seed"]))
    h: NDArray[Any] = rng.standard_normal((_EXAMPLES, _WIDTH))
    dout: NDArray[Any] = rng.standard_normal((_EXAMPLES, _WIDTH))
    layers, activations, gradients = [], [], []
    for _ in range(int(parameters["depth"])):
        w = factor * functions["he_init"](_WIDTH, _WIDTH, rng)
        affine = Layer(affine_forward, affine_backward, {"w": w, "b": np.zeros(_WIDTH)})
        layers.append((affine, Layer(relu_forward, relu_backward)))
        activations.append(np.linalg.norm(h))
        for layer in layers[-1]:
            h = layer.forward(h)
    for affine, relu in reversed(layers):
        gradients.append(np.linalg.norm(dout))
        dout = affine.backward(relu.backward(dout))
    return {
        "factor": factor,
        "activations": np.array(activations),
        "gradients": np.array(gradients[::-1]),
        "weight_gradients": np.array([np.linalg.norm(affine.grads["w"]) for affine, _ in layers]),
    }


def draw(result: Result, figure: Figure) -> None:
    """Draw both ways on the left, and the gradient of the weights on the right, on equal axes.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    from matplotlib.ticker import MaxNLocator

    left, right = (plots.style(axes) for axes in figure.subplots(1, 2, sharey=True))
    layers = np.arange(1, len(result["gradients"]) + 1)
    every = {"markevery": max(1, len(layers) // 20), "markersize": 4}
    left.semilogy(layers, result["activations"], label="activations, from below", **plots.SERIES[0], **every)
    left.semilogy(layers, result["gradients"], label="their gradient, from above", **plots.SERIES[1], **every)
    right.semilogy(layers, result["weight_gradients"], **plots.SERIES[2], **every)
    sizes = np.concatenate([result["activations"], result["gradients"], result["weight_gradients"]])
    sizes = sizes[(sizes > 0) & np.isfinite(sizes)]  # what a log axis has a place for
    left.set_ylim(min(1e-1, sizes.min() / 10), max(1e7, sizes.max() * 10))
    left.set(title="What the layer sees", ylabel="norm (log axis)")
    right.set_title("Gradient of its weights")
    for axes in (left, right):
        axes.set_xlabel("layer (1 is the first)")
        axes.set_xlim(0.5, len(layers) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.title.set_color(plots.INK)
    left.legend(loc="upper center", fontsize=9, framealpha=0.9, labelcolor=plots.INK)
    figure.subplots_adjust(left=0.09, right=0.98, top=0.9, bottom=0.15, wspace=0.1)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    both = ("activations", "gradients", "weight_gradients")
    up, down, weights = (f"{result[key][0]:.1e} to {result[key][-1]:.1e}" for key in both)  # type: ignore[literal-required]
    largest, smallest = result["weight_gradients"].max(), result["weight_gradients"].min()
    spread = f", the largest of them {largest / smallest:.1f} times the smallest" if smallest > 0 else ""
    return (
        f"Weights {result['factor']:.2f} times He, {len(result['gradients'])} layers. From the first layer to the "
        f"last: activations {up}; their gradient {down}; gradient of the weights {weights}{spread}."
    )
