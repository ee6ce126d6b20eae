"""The lab of assignment 05: what goes into six tanh layers, with batch normalization and without, during training.

Two networks with the same weights train on the same batches of digits. In one of them, what an affine layer gives is
normalized before its tanh.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from minigrad import plots
from minigrad.experiments.drifting_activations import DEPTH, data, network, training
from minigrad.labs import Slider
from minigrad.layers import affine_backward, affine_forward, tanh_backward, tanh_forward
from minigrad.network import Sequential
from minigrad.training import accuracy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "SIZE", "Result", "describe", "draw", "simulate"]

PARAMETERS = [
    Slider("steps", 0, 150, 10, 0, "training steps"),
    Slider("log10_scale", -2.0, 1.0, 0.25, -1.25, "log10 of the weights' spread"),
    Slider("log10_rate", -2.5, 0.5, 0.25, -1.25, "log10 of the learning rate"),
]
REQUIRES = ("batchnorm_forward", "batchnorm_backward")
SIZE = (10.0, 4.4)

_SHOWN = 200  # digits whose activations are drawn
_REACH = 5.0  # what lies further out is drawn at the edge
_FLAT = 2.0  # beyond it the slope of a tanh is below 0.07


class Result(TypedDict):
    """What `simulate` returns. The first of two is the network without normalization, the second that with it."""

    steps: int
    scale: float
    rate: float
    before_tanh: np.ndarray
    """(2, 6, 200, 30) what goes into each tanh."""
    spreads: np.ndarray
    """(2, 6) its standard deviation."""
    flat: np.ndarray
    """(2, 6) share of it where the slope of a tanh is below 0.07."""
    accuracies: np.ndarray
    """(2,) on held-out digits, in test mode."""


def simulate(parameters: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Train both networks, and look.

    Parameters
    ----------
    parameters : mapping
        `steps`, `log10_scale` and `log10_rate`.
    functions : mapping
        The student's pair `batchnorm_forward` and `batchnorm_backward`.

    Returns
    -------
    Result
    """
    scale, rate = float(10.0 ** parameters["log10_scale"]), float(10.0 ** parameters["log10_rate"])
    steps = int(parameters["steps"])
    given: dict[str, Callable[..., Any]] = {
        "affine_forward": affine_forward,
        "affine_backward": affine_backward,
        "tanh_forward": tanh_forward,
        "tanh_backward": tanh_backward,
        **functions,
    }
    examples, (x, y) = data()
    before_tanh, accuracies = [], []
    with np.errstate(all="ignore"):  # a rate that is too high overflows, and that is to be seen
        for normalized in (False, True):
            rng = np.random.default_rng(0)
            net = network(normalized, scale, given, rng)
            # zip asks the range first, so that no step is made that was not asked for
            for _ in zip(range(steps), training(net, examples, rate, rng), strict=False):
                pass
            before_tanh.append(_before_tanh(net, x[:_SHOWN]))
            # before the first step there are no running statistics to evaluate with
            net.mode = "test" if steps else "train"
            accuracies.append(accuracy(net.forward(x), y))
        seen = np.array(before_tanh)
        return {
            "steps": steps,
            "scale": scale,
            "rate": rate,
            "before_tanh": seen,
            "spreads": seen.std(axis=(2, 3)),
            "flat": (np.abs(seen) > _FLAT).mean(axis=(2, 3)),
            "accuracies": np.array(accuracies),
        }


def draw(result: Result, figure: Figure) -> None:
    """Draw a histogram for each layer: above without normalization, below with it.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    looks: tuple[dict[str, Any], ...] = (
        {"color": plots.COLOURS["vermillion"], "hatch": "////", "fill": False},
        {"color": plots.COLOURS["blue"]},
    )
    edges = np.linspace(-_REACH, _REACH, 41)
    grid = figure.subplots(2, DEPTH, sharex=True, sharey=True)
    for row, label, look, seen, spreads in zip(
        grid, ("without", "with batchnorm"), looks, result["before_tanh"], result["spreads"], strict=True
    ):
        for k, axes in enumerate(row):
            plots.style(axes)
            numbers = seen[k][~np.isnan(seen[k])]  # where all are nan, the title says so
            counts, _ = np.histogram(np.clip(numbers, -_REACH, _REACH), edges)
            axes.stairs(counts / max(counts.max(), 1), edges, linewidth=0.8, **{"fill": True, **look})
            for edge in (-_FLAT, _FLAT):
                axes.axvline(edge, color=plots.INK, linewidth=0.8, linestyle=":")
            axes.set_title(f"layer {k + 1}: {spreads[k]:.2g}", fontsize=10, color=plots.INK)
            axes.set(xlim=(-_REACH, _REACH), ylim=(0, 1.1), xticks=(-_FLAT, 0, _FLAT), yticks=[])
        row[0].set_ylabel(label)
    for axes in grid[1]:
        axes.set_xlabel("into the tanh")
    plain, normalized = result["accuracies"]
    figure.text(
        0.03,
        0.945,
        f"After {result['steps']} steps. Accuracy without {plain:.2f}, with {normalized:.2f}. "
        "Above each histogram: its spread.",
        color=plots.INK,
    )
    figure.subplots_adjust(left=0.05, right=0.99, top=0.84, bottom=0.12, wspace=0.12, hspace=0.32)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    words = [f"Weights of spread {result['scale']:.2g}, rate {result['rate']:.2g}, {result['steps']} steps."]
    for label, spreads, flat, share in zip(
        ("Without", "With"), result["spreads"], result["flat"], result["accuracies"], strict=True
    ):
        listed = ", ".join(f"{spread:.2g}" for spread in spreads)
        words.append(
            f"{label} batchnorm the spread of what goes into the tanh, layer by layer, is {listed}; "
            f"{100 * flat.mean():.0f} % lies beyond 2 or -2; accuracy {share:.2f}."
        )
    return " ".join(words)


def _before_tanh(net: Sequential, x: NDArray[Any]) -> NDArray[Any]:
    """What goes into each tanh for a batch in training mode; the network stays as it is."""
    net = copy.deepcopy(net)
    net.mode = "train"
    seen, h = [], x
    for name, part in net.parts.items():
        if name.startswith("tanh"):
            seen.append(h)
        h = part.forward(h)
    return np.array(seen)
