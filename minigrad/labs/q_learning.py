"""The second lab of assignment 07: what a network believes that each cell is worth, while it learns.

The world and the training are those of the experiment `q_learning`; the losses are the student's own functions. Each
press of the button is a hundred steps more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minigrad import plots
from minigrad.experiments import q_learning as experiment
from minigrad.labs import Button, Menu, Slider

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "SIZE", "Result", "describe", "draw", "draw_values", "simulate"]

PARAMETERS = [
    Menu("loss", ("clipped", "huber"), "clipped", "loss"),
    Slider("delta", 0.5, 12.0, 0.5, 1.0, "delta"),
    Slider("reward_scale", 0.05, 1.0, 0.05, 1.0, "factor on all rewards"),
    Button("presses", "100 steps"),
]
REQUIRES = ("huber_loss", "clipped_delta_loss", "td_loss")
SIZE = (10.0, 3.6)

SEED = 0
PER_PRESS = 100
BEST = experiment.WORLD.optimal_q(experiment.GAMMA)


class Result(TypedDict):
    """What `simulate` returns."""

    loss: str
    steps: int
    values: np.ndarray
    """(16, 4) of each action in each state."""
    counted: np.ndarray
    """(K,) steps after which an episode was tried."""
    rewards: np.ndarray
    """(K,) what it paid."""
    seen: int
    """How many times the treasure was in a batch."""
    silent: int
    """How many of those had a gradient of exactly zero."""


def simulate(parameters: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Train for as many steps as the button asks for.

    Parameters
    ----------
    parameters : mapping
        `loss`, `delta`, `reward_scale` and `presses`.
    functions : mapping
        The student's `huber_loss`, `clipped_delta_loss` and `td_loss`.

    Returns
    -------
    Result
    """
    changed = {name: parameters[name] for name in ("loss", "delta", "reward_scale")}
    steps = PER_PRESS * int(parameters["presses"])
    record = experiment.learn(SEED, **functions, steps=steps, **changed)
    return {
        "loss": parameters["loss"],
        "steps": steps,
        "values": record["values"],
        "counted": record["counted"],
        "rewards": record["rewards"],
        "seen": int(record["seen"]),
        "silent": int(record["silent"]),
    }


def draw(result: Result, figure: Figure) -> None:
    """Draw the values that were learned, the true ones, and what an episode pays.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    learned, best, paid = (plots.style(axes) for axes in figure.subplots(1, 3, width_ratios=(1, 1, 1.15)))
    draw_values(learned, result["values"], f"Learned, after {result['steps']} steps")
    draw_values(best, BEST, "True values")
    paid.plot(result["counted"], result["rewards"], markersize=4, **plots.SERIES[0])
    paid.set(
        xlim=(-15, max(600, result["steps"]) + 15),
        ylim=(-0.5, 11),
        xlabel="step",
        title="What an episode pays",
    )
    figure.subplots_adjust(left=0.02, right=0.98, top=0.88, bottom=0.15, wspace=0.14)


def draw_values(axes: Axes, q: np.ndarray, title: str) -> None:
    """Draw the world with the value of each cell, and an arrow for the move that looks best.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    q : ndarray, shape (16, 4)
        Values of up, right, down, left in each cell, row by row.
    title : str
    """
    side = experiment.WORLD.side
    value = q.max(axis=1)
    value[experiment.WORLD.goal] = 0.0  # the episode is over, and nothing is expected
    axes.imshow(value.reshape(side, side), cmap="cividis", vmin=0.0, vmax=10.0)
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    names = {0: "start", side - 1: "coin", experiment.WORLD.goal: "treasure"}
    for state in range(experiment.WORLD.states):
        row, column = divmod(state, side)
        ink: dict[str, Any] = {
            "color": "#000000" if value[state] > 5 else "#FFFFFF",
            "ha": "center",
            "va": "center",
        }
        if state in names:
            axes.text(column, row - 0.34, names[state], fontsize=7.5, **ink)
        if state != experiment.WORLD.goal:
            axes.text(column, row + 0.02, f"{value[state]:.1f}", fontsize=9, **ink)
            if np.ptp(q[state]) > 0:
                axes.text(column, row + 0.33, "↑→↓←"[int(q[state].argmax())], fontsize=10, **ink)
    axes.set_title(title)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    last = result["values"][experiment.WORLD.goal - 1, 1]
    start = result["values"][0].max()
    return (
        f"{result['loss']} loss, after {result['steps']} steps: an episode pays {result['rewards'][-1]:.1f}. "
        f"The start is valued at {start:.2f} (true: {BEST[0].max():.2f}), the last move before the treasure at "
        f"{last:.2f} (true: 10.00). The treasure was in a batch {result['seen']} times, and {result['silent']} times "
        "its gradient was exactly 0."
    )
