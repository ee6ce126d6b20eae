"""The lab of assignment 02: what a gradient meets on its way down through sigmoid layers.

A stack of affine layers of one width, each followed by a sigmoid, gets random inputs and a random upstream gradient.
The lab shows, layer by layer, the gradient of the weights, and the two factors by which the gradient changes: one from
the slopes of the sigmoids, one from the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from minigrad import plots
from minigrad.labs import Slider
from minigrad.layers import affine_backward, affine_forward
from minigrad.network import Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "SIZE", "Result", "describe", "draw", "simulate"]

PARAMETERS = [
    Slider("log10_gain", -1.0, 4.0, 0.25, 0.0, "log10 of the gain"),
    Slider("depth", 2.0, 20.0, 1.0, 5.0, "number of sigmoid layers"),
]

REQUIRES = ("sigmoid_forward", "sigmoid_backward", "xavier_init", "saturated_fraction")

SIZE = (10.0, 3.6)

_WIDTH = 30
_EXAMPLES = 30
_FLOOR = 1e-20


class Result(TypedDict):
    """What `simulate` returns; arrays have one entry for each layer, from the first to the last."""

    gain: float
    gradients: np.ndarray
    """Norm of the gradient of the weights."""
    slope_factors: np.ndarray
    """Norm of the gradient below a sigmoid, over that above it."""
    weight_factors: np.ndarray
    """Norm of the gradient below a matrix, over that above it."""
    saturated: np.ndarray
    """Share of outputs within one hundredth of an end."""
    zeros: np.ndarray
    """Share of slopes that are exactly zero."""


def simulate(parameters: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Send inputs up and a gradient down through the stack.

    Parameters
    ----------
    parameters : mapping
        `log10_gain` and `depth`.
    functions : mapping
        The student's pair `sigmoid_forward` and `sigmoid_backward`, `xavier_init` and `saturated_fraction`.

    Returns
    -------
    Result
    """
    gain, depth = float(10.0 ** parameters["log10_gain"]), int(parameters["depth"])
    rng = np.random.default_rng(0)
    h: NDArray[Any] = rng.standard_normal((_EXAMPLES, _WIDTH))
    affine, squash, saturated = [], [], []
    with np.errstate(all="ignore"):
        for _ in range(depth):
            w = functions["xavier_init"](_WIDTH, _WIDTH, gain, rng)
            affine.append(Layer(affine_forward, affine_backward, {"w": w, "b": np.zeros(_WIDTH)}))
            squash.append(Layer(functions["sigmoid_forward"], functions["sigmoid_backward"]))
            h = squash[-1].forward(affine[-1].forward(h))
            saturated.append(float(functions["saturated_fraction"](h)))
        zeros = [float(np.mean(layer.backward(np.ones_like(h)) == 0)) for layer in squash]
        dout: NDArray[Any] = rng.standard_normal(h.shape)
        norms = [np.linalg.norm(dout)]
        for lower, upper in zip(reversed(affine), reversed(squash), strict=True):
            for layer in (upper, lower):
                dout = layer.backward(dout)
                norms.append(np.linalg.norm(dout))
    sizes = np.array(norms)
    factors = np.divide(sizes[1:], sizes[:-1], out=np.zeros(2 * depth), where=sizes[:-1] > 0)
    return {
        "gain": gain,
        "gradients": np.array([np.linalg.norm(layer.grads["w"]) for layer in affine]),
        "slope_factors": factors[::2][::-1],
        "weight_factors": factors[1::2][::-1],
        "saturated": np.array(saturated),
        "zeros": np.array(zeros),
    }


def draw(result: Result, figure: Figure) -> None:
    """Draw the gradient of each layer, the two factors on its way, and what the sigmoids do.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    left, middle, right = (plots.style(axes) for axes in figure.subplots(1, 3))
    layers = np.arange(1, len(result["gradients"]) + 1)
    left.semilogy(layers, np.maximum(result["gradients"], _FLOOR), **plots.SERIES[0])
    left.set(ylim=(_FLOOR / 10, 1e6), title="Gradient of the weights", ylabel="norm (log axis)")
    for key, label, series in (
        ("weight_factors", "weights", plots.SERIES[2]),
        ("slope_factors", "slopes", plots.SERIES[1]),
    ):
        middle.semilogy(layers, np.maximum(result[key], 1e-6), label=label, **series)  # type: ignore[literal-required]
    middle.axhline(0.25, color=plots.INK, linewidth=1.0, linestyle=":", label="1/4")
    middle.set(ylim=(1e-6, 1e5), title="Factor on the way down", ylabel="factor (log axis)")
    right.plot(layers, result["saturated"], label="saturated", **plots.SERIES[3])
    right.plot(layers, result["zeros"], label="slope exactly 0", **{**plots.SERIES[1], "marker": "x"})
    right.set(ylim=(-0.03, 1.03), title="Share of the outputs")
    for axes in (left, middle, right):
        axes.set_xlabel("layer (1 is the first)")
        axes.set_xlim(0.5, len(layers) + 0.5)
        axes.set_xticks(layers[:: 1 if len(layers) <= 10 else 3])
        axes.title.set_color(plots.INK)
    for axes in (middle, right):
        axes.legend(loc="best", fontsize=9, framealpha=0.9, labelcolor=plots.INK)
    figure.subplots_adjust(left=0.08, right=0.99, top=0.9, bottom=0.15, wspace=0.3)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    first, last = result["gradients"][0], result["gradients"][-1]
    slopes, weights = np.prod(result["slope_factors"]), np.prod(result["weight_factors"][1:])
    return (
        f"Gain {result['gain']:.3g}, {len(result['gradients'])} layers. Gradient of the weights: {first:.1e} in the "
        f"first layer, {last:.1e} in the last. All slopes together multiply the gradient by {slopes:.1e}, the weights "
        f"between them by {weights:.1e}. Saturated: {_percent(result['saturated'])} of the outputs; slope exactly 0: "
        f"{_percent(result['zeros'])}."
    )


def _percent(shares: np.ndarray) -> str:
    return f"{100 * float(np.mean(shares)):.0f} %"
