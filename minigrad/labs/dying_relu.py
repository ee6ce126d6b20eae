"""The lab of assignment 03: twenty ReLU units in the plane, and how a training step kills some of them.

Sixty points of two classes, in two rings. Each hidden unit has a line on which its pre-activation is zero: on one
side it fires. A unit is dead when all points lie on the other side. Each press of the button is one step of
gradient descent on all points, with the student's own activation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minigrad import plots
from minigrad.datasets import circles
from minigrad.initializers import normal
from minigrad.labs import Button, Slider
from minigrad.layers import affine_backward, affine_forward
from minigrad.losses import svm_loss
from minigrad.network import Layer, Sequential

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "SIZE", "Result", "describe", "draw", "simulate"]

UNITS = 20

PARAMETERS = [
    Slider("learning_rate", 0.0, 3.0, 0.1, 0.1, "learning rate"),
    Slider("shift", 0.0, 2.0, 0.1, 0.6, "shift of the inputs"),
    Button("steps", "Train step"),
]
REQUIRES = ("relu_forward", "relu_backward", "count_dead_relus")
SIZE = (9.0, 4.2)


class Result(TypedDict):
    """What `simulate` returns."""

    steps: int
    x: np.ndarray
    """(60, 2) the points."""
    y: np.ndarray
    """(60,) their classes, 0 or 1."""
    w: np.ndarray
    """(2, 20) weights of the hidden units."""
    b: np.ndarray
    """(20,) their biases."""
    before: np.ndarray
    """(60, 20) their pre-activations."""
    gradients: np.ndarray
    """(20,) the norm of the gradient of each unit's weights and bias, over all points."""
    dead: np.ndarray
    """(20,) whether the student's count calls each of them dead."""
    alive_by_step: np.ndarray
    """(steps + 1,) how many are alive, from the start on."""
    loss: float


def simulate(parameters: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Train for as many steps as the button was pressed.

    Parameters
    ----------
    parameters : mapping
        `learning_rate`, `shift` and `steps`.
    functions : mapping
        The student's `relu_forward(x)`, `relu_backward(dout, cache)` and `count_dead_relus(activations)`.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If a function of the student does not return what is expected of it.
    """
    rng = np.random.default_rng(4)
    x, y = circles(60, rng)
    x = x + parameters["shift"]
    network = Sequential(
        hidden=Layer(
            affine_forward, affine_backward, {"w": normal((2, UNITS), rng, std=1.0), "b": np.zeros(UNITS)}
        ),
        relu=Layer(functions["relu_forward"], functions["relu_backward"]),
        scores=Layer(
            affine_forward, affine_backward, {"w": normal((UNITS, 2), rng, std=0.5), "b": np.zeros(2)}
        ),
    )

    def look() -> tuple[np.ndarray, float]:
        """Forward and backward on all points: which units are dead, and the loss."""
        before = network.parts["hidden"].forward(x)
        fired = network.parts["relu"].forward(before)
        if np.shape(fired) != before.shape:
            raise ValueError(
                f"relu_forward returned shape {np.shape(fired)} for an x of shape {before.shape}"
            )
        one_by_one = {f"unit {k}": fired[:, [k]] for k in range(UNITS)}
        counts = functions["count_dead_relus"](one_by_one)
        if not isinstance(counts, Mapping) or counts.keys() != one_by_one.keys():
            raise ValueError(
                f"count_dead_relus returned {counts!r}; the lab expected an entry for each of 20 names"
            )
        loss, dscores = svm_loss(network.parts["scores"].forward(fired), y)
        network.backward(dscores)
        return np.array([bool(count) for count in counts.values()]), float(loss)

    dead, loss = look()
    alive = [int(np.sum(~dead))]
    for _ in range(int(parameters["steps"])):
        grads = network.grads
        network.params = {
            name: value - parameters["learning_rate"] * grads[name] for name, value in network.params.items()
        }
        dead, loss = look()
        alive.append(int(np.sum(~dead)))
    params, grads = network.params, network.grads
    return {
        "steps": int(parameters["steps"]),
        "x": x,
        "y": y,
        "w": params["hidden.w"],
        "b": params["hidden.b"],
        "before": network.parts["hidden"].forward(x),
        "gradients": np.hypot(np.linalg.norm(grads["hidden.w"], axis=0), grads["hidden.b"]),
        "dead": dead,
        "alive_by_step": np.array(alive),
        "loss": loss,
    }


def draw(result: Result, figure: Figure) -> None:
    """Draw the points with the line of each unit, and beside them what each unit gets to see.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    plane, units = (plots.style(axes) for axes in figure.subplots(1, 2, width_ratios=(1, 1.25)))
    dead = result["dead"]
    alive_look, dead_look = plots.SERIES[0], plots.SERIES[1]

    x, centre = result["x"], result["x"].mean(axis=0)
    reach = 2.0
    for k in range(UNITS):
        look = dead_look if dead[k] else alive_look
        ends = _line(result["w"][:, k], float(result["b"][k]), centre, 10 * reach)
        plane.plot(*ends, color=look["color"], linestyle=look["linestyle"], linewidth=1.0, alpha=0.8)
    for label, marker in ((0, "o"), (1, "^")):
        here = x[result["y"] == label]
        plane.plot(
            *here.T, marker, color="#555555", markersize=4, markerfacecolor="none" if label else "#555555"
        )
    plane.set_xlim(centre[0] - reach, centre[0] + reach)
    plane.set_ylim(centre[1] - reach, centre[1] + reach)
    plane.set_aspect("equal")
    plane.set_title("The points, and the line of each unit")

    lowest, highest = result["before"].min(axis=0), result["before"].max(axis=0)
    for is_dead, look, mark in ((False, alive_look, "o"), (True, dead_look, "X")):
        here = np.flatnonzero(dead == is_dead)
        units.vlines(
            here, lowest[here], highest[here], color=look["color"], linestyle=look["linestyle"], linewidth=2.0
        )
        units.plot(here, highest[here], mark, color=look["color"], markersize=7)
    units.axhline(0.0, color=plots.INK, linewidth=1.0)
    units.set_yscale("symlog", linthresh=1.0)
    units.set_xticks(range(0, UNITS, 5))
    units.set_xlabel("hidden unit")
    units.set_ylabel("pre-activation, lowest to highest")
    units.yaxis.set_major_formatter("{x:g}")
    alive = result["alive_by_step"][-1]
    units.set_title(f"Step {result['steps']}: {alive} alive (circles), {UNITS - alive} dead (crosses)")
    figure.subplots_adjust(left=0.06, right=0.99, top=0.9, bottom=0.14, wspace=0.2)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    alive, dead = result["alive_by_step"], np.flatnonzero(result["dead"])
    words = [
        f"After step {result['steps']}: {alive[-1]} of {UNITS} units are alive, loss {result['loss']:.3g}.",
        f"Alive from the start on: {', '.join(map(str, alive))}.",
    ]
    if len(dead):
        largest = result["gradients"][dead].max()
        words.append(f"Dead: {', '.join(map(str, dead))}. The largest gradient among them is {largest:.2g}.")
    return " ".join(words)


def _line(w: np.ndarray, b: float, centre: np.ndarray, reach: float) -> tuple[list[float], list[float]]:
    """Two points on w x + b = 0, far to both sides of where it comes closest to the centre."""
    length = float(np.dot(w, w)) or 1.0
    foot = centre - w * (float(np.dot(centre, w)) + b) / length
    along = reach * np.array([-w[1], w[0]]) / length**0.5
    ends = np.stack([foot - along, foot + along])
    return ends[:, 0].tolist(), ends[:, 1].tolist()
