"""The lab of assignment 08: a network of six layers, what can be wrong with it, and what the instruments show.

One run on the digits, with the loss beside gradients, update ratios and idle units of each layer. `chart` draws the
records of the patients of the clinic in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import plots
from minigrad.experiments._clinic import Setup, build, data, train
from minigrad.labs import Menu, Slider
from minigrad.optimizers import adam, sgd, sgd_momentum
from minigrad.training import fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "PARAMETERS",
    "REQUIRES",
    "SIZE",
    "Setup",
    "build",
    "chart",
    "data",
    "describe",
    "draw",
    "one_step",
    "simulate",
    "train",
]

LAYERS = 6

PARAMETERS = [
    Menu("activation", ("relu", "tanh", "sigmoid"), "relu", "activation"),
    Slider("weights", 0.1, 8.0, 0.1, 1.0, "weights, times He or Xavier"),
    Slider("log10_rate", -5.0, 1.0, 0.25, -1.5, "log10 of the learning rate"),
    Menu("normalization", ("none", "batch"), "none", "normalization"),
    Menu("residual", ("no", "yes"), "no", "residual path"),
    Slider("clip_norm", 0.0, 5.0, 0.1, 0.0, "clip the norm at (0: do not)"),
]
REQUIRES = ("softmax_loss", "update_ratio")
SIZE = (9.6, 5.6)

USUAL = (1e-4, 0.05)  # update ratios between next to nothing and too much

_LEAST = 1e-12  # where a gradient of exactly zero is drawn on a log axis

Record = dict[str, Any]


def simulate(parameters: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Record:
    """Train the network for a hundred steps.

    Parameters
    ----------
    parameters : mapping
        `activation`, `weights`, `log10_rate`, `normalization`, `residual` and `clip_norm`.
    functions : mapping
        The student's `softmax_loss(x, y)` and `update_ratio(before, after)`.

    Returns
    -------
    dict
        The record of the run, as of `minigrad.experiments._clinic.train`.
    """
    setup = Setup(
        layers=LAYERS,
        activation=parameters["activation"],
        weights=parameters["weights"],
        learning_rate=10.0 ** parameters["log10_rate"],
        normalization=parameters["normalization"],
        residual=parameters["residual"] == "yes",
        clip_norm=parameters["clip_norm"],
    )
    return train(setup, functions, np.random.default_rng(0))


def chart(record: Record) -> None:
    """Show the record of a run: the figure, and below it the same in words with what a figure does not show.

    Parameters
    ----------
    record : dict
        Of a run of the clinic.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=90, facecolor=plots.PAPER)
    draw(record, figure)
    plots.show(figure, describe(record))
    print(describe(record).replace(". ", ".\n"))


def one_step(
    optimizer: str, softmax_loss: Callable[..., Any], steps: int = 50
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Train a healthy network for some steps, and return what the last of them did to the first weight matrix.

    Parameters
    ----------
    optimizer : {"sgd", "momentum", "adam"}
    softmax_loss : callable
        The student's.
    steps : int

    Returns
    -------
    before, after, gradient : ndarray, shape (64, 24)
        The weights before the last step and after it, and their gradient.
    learning_rate : float
    """
    update, rate = {"sgd": (sgd, 0.1), "momentum": (sgd_momentum, 0.03), "adam": (adam, 0.003)}[optimizer]
    rng = np.random.default_rng(0)
    training, _ = data(Setup(), rng)
    network = build(Setup(), rng)
    run = fit(
        network, training, softmax_loss, update, steps=steps, learning_rate=rate, rng=rng, batch_size=64
    )
    name, before = "hidden1.affine.w", network.params
    for step in run:
        if step.step < steps - 1:
            before = network.params
    return before[name], network.params[name], network.grads[name], rate


def draw(result: Record, figure: Figure) -> None:
    """Draw the loss over the steps, and for each layer its gradient, its update ratio and its idle units.

    Parameters
    ----------
    result : dict
        The record of a run.
    figure : matplotlib.figure.Figure
        Empty.
    """
    (loss, gradients), (updates, idle) = figure.subplots(2, 2)
    for axes in (loss, gradients, updates, idle):
        plots.style(axes)
    _draw_loss(loss, result)
    with np.errstate(all="ignore"):
        _draw_layers(gradients, result, np.maximum(result["gradients"], _LEAST))
        _draw_layers(updates, result, np.maximum(result["updates"], _LEAST))
    _draw_layers(idle, result, result["idle"])
    gradients.set(yscale="log", title="Weight gradient, root mean square (log axis)")
    updates.set(yscale="log", title="Update ratio of the weights (log axis)", xlabel="layer (1 is the first)")
    updates.axhspan(*USUAL, color=plots.COLOURS["green"], alpha=0.12, linewidth=0)
    what = "saturated outputs" if result["bounded"] else "dead units"
    idle.set(ylim=(-0.04, 1.04), title=f"Share of {what}", xlabel="hidden layer (1 is the first)")
    for axes in (gradients, updates):
        low, high = axes.get_ylim()
        axes.set_ylim(max(min(low, high / 1e3), _LEAST / 3), max(high, 1e-2))
        axes.yaxis.set_minor_formatter("")
    gradients.legend(loc="best", fontsize=8, framealpha=0.9, labelcolor=plots.INK)
    for axes in (loss, gradients, updates, idle):
        axes.title.set_color(plots.INK)
    figure.subplots_adjust(left=0.07, right=0.99, top=0.94, bottom=0.09, wspace=0.16, hspace=0.38)


def describe(result: Record) -> str:
    """Say in words what `draw` shows, and the scores.

    Parameters
    ----------
    result : dict
        The record of a run.

    Returns
    -------
    str
    """
    losses, gradients, updates = result["losses"], result["gradients"], result["updates"]
    task = "a regression" if not result["classes"] else f"{result['classes']} classes"
    what = "saturated outputs" if result["bounded"] else "dead units"
    words = [
        f"{len(losses)} steps of {task}: the loss is {losses[0]:.3g} at step 0, {losses[9]:.3g} at step 9, and "
        f"{np.mean(losses[-20:]):.3g} over the last 20 steps",
        f"Inputs from {result['input_low']:.3g} to {result['input_high']:.3g}, standard deviation "
        f"{result['input_std']:.3g}; outputs of the hidden layers before training {_listed(result['stds'])}",
        f"Weight gradient at step 0, from the first layer to the last: {_listed(gradients[0])}; at the end "
        f"{_listed(gradients[-1])}",
        f"Update ratio at step 0: {_listed(updates[0])}; at step 9 {_listed(updates[3])}",
        f"Share of {what} after step 0: {_listed(result['idle'][0])}; after step 9 {_listed(result['idle'][3])}; "
        f"at the end {_listed(result['idle'][-1])}",
        f"Share of the batch to which the loss sends nothing back: {result['unheard'][0]:.2f} at step 0, "
        f"{np.mean(result['unheard'][-20:]):.2f} over the last 20 steps",
        f"Score in the last 20 training batches {result['batch_score']:.2f}, measured on training images "
        f"{result['training_score']:.2f}, measured on held-out images {result['score']:.2f}",
    ]
    return ". ".join(words) + "."


def _draw_loss(axes: Axes, result: Record) -> None:
    losses = np.where(np.isfinite(result["losses"]), result["losses"], np.nan)
    axes.plot(losses, color=plots.COLOURS["blue"], linewidth=1.4)
    if result["classes"]:
        axes.axhline(math.log(result["classes"]), color=plots.INK, linewidth=1.0, linestyle=":")
    known = losses[np.isfinite(losses)]
    if known.size and known.min() > 0 and known.max() > 20 * known.min():
        axes.set_yscale("log")
    dotted = f" (dotted: ln {result['classes']})" if result["classes"] else ""
    axes.set(xlabel="step", title=f"Loss of the batch{dotted}")


def _draw_layers(axes: Axes, result: Record, values: np.ndarray) -> None:
    layers = np.arange(1, values.shape[1] + 1)
    for look, series in zip((0, 3, -1), plots.SERIES, strict=False):
        shown = np.where(np.isfinite(values[look]), values[look], np.nan)
        axes.plot(layers, shown, label=f"step {result['looked'][look]:.0f}", markersize=5, **series)
    axes.set_xlim(0.5, len(layers) + 0.5)
    axes.set_xticks(layers)


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.2g}" for value in values)
