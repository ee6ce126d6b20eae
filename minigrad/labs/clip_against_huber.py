"""The first lab of assignment 07: three losses of one error, and the gradient of each.

The squared error comes from the library, the other two are the student's own functions. Each is called with one
prediction at a time, so that nothing is averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minigrad import plots
from minigrad.labs import Slider
from minigrad.losses import mse_loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "SIZE", "Result", "describe", "draw", "simulate"]

PARAMETERS = [
    Slider("delta", 0.1, 5.0, 0.1, 1.0, "delta"),
    Slider("error", -6.0, 6.0, 0.1, 3.0, "error of one example"),
]
REQUIRES = ("clipped_delta_loss", "huber_loss")
SIZE = (9.6, 3.8)

NAMES = ("half the square", "clipped error, squared", "Huber")


class Result(TypedDict):
    """What `simulate` returns; the first axis of `values` and `slopes` is in the order of `NAMES`."""

    delta: float
    error: float
    errors: np.ndarray
    """(121,) from -6 to 6."""
    values: np.ndarray
    """(3, 121)"""
    slopes: np.ndarray
    """(3, 121)"""
    here: np.ndarray
    """(3, 2) value and slope at `error`."""


def simulate(parameters: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Ask the three losses for value and gradient at many errors.

    Parameters
    ----------
    parameters : mapping
        `delta` and `error`.
    functions : mapping
        The student's `clipped_delta_loss(x, target, delta)` and `huber_loss(x, target, delta)`.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If a function of the student does not return a number and an array of one.
    """
    delta = parameters["delta"]

    def halved(x: np.ndarray, target: np.ndarray, delta: float) -> tuple[Any, np.ndarray]:
        loss, dx = mse_loss(x, target)
        return loss / 2, dx / 2

    losses = {"squared": halved, **{name: functions[name] for name in REQUIRES}}

    def ask(error: float) -> np.ndarray:
        """Value and slope of each loss, shape (3, 2)."""
        found = []
        for name, loss in losses.items():
            returned = loss(np.array([error]), np.zeros(1), delta)
            if not isinstance(returned, tuple) or len(returned) != 2 or np.shape(returned[1]) != (1,):
                raise ValueError(
                    f"{name} should return the loss and, for an x of shape (1,), a dx of that shape"
                )
            found.append((float(returned[0]), float(returned[1][0])))
        return np.array(found)

    errors = np.linspace(-6.0, 6.0, 121)
    asked = np.array([ask(float(error)) for error in errors])  # (121, 3, 2)
    return {
        "delta": delta,
        "error": parameters["error"],
        "errors": errors,
        "values": asked[:, :, 0].T,
        "slopes": asked[:, :, 1].T,
        "here": ask(parameters["error"]),
    }


def draw(result: Result, figure: Figure) -> None:
    """Draw values and gradients against the error.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    left, right = (plots.style(axes) for axes in figure.subplots(1, 2))
    looks = (plots.SERIES[3], plots.SERIES[1], plots.SERIES[0])
    for axes, curves, column in ((left, result["values"], 0), (right, result["slopes"], 1)):
        for name, curve, look, here in zip(NAMES, curves, looks, result["here"], strict=True):
            axes.plot(result["errors"], curve, label=name, **{**look, "marker": None})
            axes.plot(
                result["error"],
                here[column],
                look["marker"],
                color=look["color"],
                markersize=8,
                clip_on=False,
            )
        axes.axvline(result["error"], color=plots.INK, linewidth=0.8, linestyle=":")
        axes.set_xlabel("error: prediction minus target")
    left.set(ylim=(0, 19), title="Loss of one example")
    right.set(ylim=(-6.3, 6.3), title="Its gradient")
    left.legend(loc="upper center", fontsize=9, labelcolor=plots.INK)
    figure.subplots_adjust(left=0.06, right=0.98, top=0.9, bottom=0.15, wspace=0.16)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    of_each = "; ".join(
        f"{name}: loss {value:.3g}, gradient {slope:.3g}"
        for name, (value, slope) in zip(NAMES, result["here"] + 0.0, strict=True)
    )
    return f"delta is {result['delta']:.1f}. At an error of {result['error']:.1f}, {of_each}."
