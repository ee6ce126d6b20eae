"""A lab of assignment 00: what a chain of gates leaves of a gradient.

Every gate multiplies what it is handed by its local gradient. Nothing else happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minigrad import plots
from minigrad.labs import Slider

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "Result", "describe", "draw", "simulate"]

PARAMETERS = [
    Slider("gates", 1, 50, 1, 8, "number of gates"),
    Slider("local", 0.05, 2.0, 0.05, 0.7, "local gradient of each"),
    Slider("middle", 0.0, 2.0, 0.05, 1.0, "of one more, in the middle"),
]

REQUIRES = ()


class Result(TypedDict):
    """What `simulate` returns."""

    local: np.ndarray
    """(gates + 1,) the local gradients, in the order in which the gradient meets them."""
    left: np.ndarray
    """(gates + 2,) what is left of a gradient of 1, before the first gate and after each."""


def simulate(parameters: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Hand a gradient of 1 from gate to gate.

    Parameters
    ----------
    parameters : mapping
        `gates`, `local` and `middle`.
    functions : mapping
        Not used.

    Returns
    -------
    Result
    """
    gates = round(parameters["gates"])
    local = np.insert(np.full(gates, float(parameters["local"])), gates // 2, parameters["middle"])
    return {"local": local, "left": np.cumprod([1.0, *local])}


def draw(result: Result, figure: Figure) -> None:
    """Draw what is left after each gate, on a log axis.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    from matplotlib.ticker import MaxNLocator

    axes = plots.style(figure.subplots())
    left = result["left"]
    smallest, largest = min(1e-3, left[left > 0].min()), max(1e3, left.max())
    floor = smallest / 1e3  # where 0 is drawn: a log axis has no place for it
    shown = np.where(left > 0, left, floor)
    axes.semilogy(np.arange(len(left)), shown, **plots.SERIES[0], markersize=5)
    middle = (len(result["local"]) - 1) // 2 + 1
    axes.semilogy(middle, shown[middle], color=plots.SERIES[1]["color"], marker="s", markersize=9)
    axes.axhline(1.0, color=plots.INK, linewidth=1.0, linestyle=":")
    if not left.all():
        axes.axhline(floor, color=plots.INK, linewidth=1.0)
        axes.set_title("the lowest line is 0")
    axes.set(
        xlabel="gates passed (the square: the one in the middle)",
        ylabel="what is left of 1",
        ylim=(smallest / 10 if left.all() else floor / 3, largest * 10),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.subplots_adjust(left=0.09, right=0.98, top=0.9, bottom=0.15)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    gates = len(result["local"]) - 1
    middle, each = result["local"][gates // 2], result["local"][-1]
    there = "1 gate" if gates == 1 else f"{gates} gates"
    return f"After {there} of {each:g} and one of {middle:g}, {result['left'][-1]:.3g} is left of a gradient of 1."
