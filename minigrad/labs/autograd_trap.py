"""The lab of assignment 00: seven recorded runs, and at each step the gradient of each layer.

It runs nothing. Beside the run that is chosen it shows the one that learns, run B.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minigrad import plots
from minigrad.experiments import recorded
from minigrad.labs import Menu, Slider

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "RUNS", "Result", "describe", "draw", "readings", "simulate"]

RUNS = tuple("ABCDEFG")

PARAMETERS = [
    Menu("run", RUNS, "C", "run"),
    Slider("step", 0, 199, 1, 98, "step"),
]

REQUIRES = ()

_HIGHEST_LOSS = 4.0
_SMALLEST, _LARGEST = 1e-18, 1e6


class Result(TypedDict):
    """What `simulate` returns."""

    run: str
    step: int
    """The last one of the run, where that is an earlier one."""
    losses: np.ndarray
    gradients: np.ndarray
    """(layers,) at this step, the first layer first."""
    healthy_losses: np.ndarray
    healthy_gradients: np.ndarray
    """(3,) of run B at this step."""


def simulate(parameters: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Look up a step of a recorded run.

    Parameters
    ----------
    parameters : mapping
        `run`, a letter, and `step`.
    functions : mapping
        Not used.

    Returns
    -------
    Result
    """
    record, run = recorded("autograd_trap"), parameters["run"]
    step = min(round(parameters["step"]), len(record[f"{run}_losses"]) - 1)
    return {
        "run": run,
        "step": step,
        "losses": record[f"{run}_losses"],
        "gradients": record[f"{run}_gradients"][step],
        "healthy_losses": record["B_losses"],
        "healthy_gradients": record["B_gradients"][step],
    }


def draw(result: Result, figure: Figure) -> None:
    """Draw the loss with the step marked, and the gradient of each layer at that step.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    from matplotlib.ticker import MaxNLocator

    left, right = (plots.style(axes) for axes in figure.subplots(1, 2))
    healthy, chosen = plots.SERIES[0], plots.SERIES[1]
    for name, losses, series in (
        ("run B", result["healthy_losses"], healthy),
        (f"run {result['run']}", result["losses"], chosen),
    ):
        # a loss off the scale, or none, is drawn at the upper edge
        shown = np.nan_to_num(losses, nan=np.inf).clip(max=_HIGHEST_LOSS)
        look = {"color": series["color"], "linestyle": series["linestyle"], "linewidth": 1.2}
        left.plot(shown, label=name, **look)
    at = min(_HIGHEST_LOSS, np.nan_to_num(result["losses"][result["step"]], nan=np.inf))
    left.plot(result["step"], at, color=chosen["color"], marker=chosen["marker"], markersize=9, clip_on=False)
    left.axvline(result["step"], color=plots.INK, linewidth=1.0, linestyle=":")
    left.set(xlabel="step", ylabel="loss (4 and more at the edge)", ylim=(0, _HIGHEST_LOSS), xlim=(-4, 203))
    left.legend(loc="upper right", fontsize=9, labelcolor=plots.INK)

    for name, gradients, series, size in (
        ("run B", result["healthy_gradients"], healthy, 8),
        (f"run {result['run']}", result["gradients"], chosen, 6),
    ):
        layers = np.arange(1, len(gradients) + 1)
        shown = np.nan_to_num(gradients, nan=np.inf).clip(_SMALLEST, _LARGEST)
        right.semilogy(layers, shown, label=name, **series, markersize=size)
    right.set(
        xlabel="layer (1 is next to the input)",
        ylabel="norm of the gradient",
        ylim=(_SMALLEST / 5, _LARGEST * 5),
        title=f"at step {result['step']}; the lowest line is 0",
    )
    right.axhline(_SMALLEST, color=plots.INK, linewidth=1.0)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.subplots_adjust(left=0.07, right=0.98, top=0.9, bottom=0.15, wspace=0.25)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    last = " (its last)" if result["step"] == len(result["losses"]) - 1 else ""
    gradients = ", ".join(f"{each:.1e}" if each else "0" for each in result["gradients"])
    return (
        f"Run {result['run']} at step {result['step']}{last}: loss {result['losses'][result['step']]:.3g}; "
        f"gradient norms from layer 1 up: {gradients}."
    )


def readings(run: str) -> str:
    """Return what was recorded about a run, as a table with a line for each layer.

    Parameters
    ----------
    run : str
        Its letter.

    Returns
    -------
    str
    """
    record = recorded("autograd_trap")
    losses, gradients, updates, idle = (
        record[f"{run}_{name}"] for name in ("losses", "gradients", "updates", "idle")
    )
    steps = np.linspace(0, len(losses) - 1, 5).astype(int)
    end = losses[-20:].mean()
    lines = [
        f"run {run}: loss {losses[0]:.3g} at first, {end:.3g} at the end, "
        f"accuracy on new images {record[f'{run}_accuracy']:.0%}",
        "gradient norm   " + "".join(f"{f'step {step}':>10}" for step in steps) + "   moved a step      idle",
    ]
    for k in range(gradients.shape[1]):
        moved = np.median(updates[:, k])
        units = f"{idle[k]:10.0%}" if k < len(idle) else ""
        shown = [f"{gradients[step, k]:.1e}" if gradients[step, k] else "0" for step in steps]
        columns = "".join(f"{each:>10}" for each in shown)
        lines.append(f"  layer {k + 1:<8}{columns}{moved:15.1e}{units}")
    return "\n".join(lines)
