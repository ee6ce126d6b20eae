"""The computational graph of batch normalization, with a student's own numbers on it: assignment 05 draws it.

It knows the names of the nodes and which arrow leads where. The numbers are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["NODES", "describe", "draw"]

NODES: dict[str, tuple[float, float]] = {
    "x": (0.0, 1.0),
    "mu": (1.55, -0.95),
    "xc": (3.1, 1.0),
    "var": (4.4, -0.95),
    "std": (6.2, -0.95),
    "xhat": (7.5, 1.0),
    "gamma": (8.7, -0.95),
    "beta": (10.6, -0.95),
    "out": (10.9, 1.0),
}
"""Where each node stands."""

EDGES = (
    ("x", "mu"),
    ("x", "xc"),
    ("mu", "xc"),
    ("xc", "var"),
    ("xc", "xhat"),
    ("var", "std"),
    ("std", "xhat"),
    ("xhat", "out"),
    ("gamma", "out"),
    ("beta", "out"),
)

_FORWARD, _BACKWARD = plots.COLOURS["blue"], plots.COLOURS["vermillion"]
_SHOWN = 4  # examples
_LINE = 0.3  # height of a line of numbers
_WIDTH = 0.72  # half of that of a box

Arrays = Mapping[str, Any]


def draw(values: Arrays, gradients: Arrays, feature: int = 0) -> Figure:
    """Draw the graph of one feature, with a value and a gradient at each node.

    Parameters
    ----------
    values, gradients : mapping of str to ndarray
        By the name of the node: of shape (N, D), or (D,) where all examples share a number. A node that is not in
        the dict gets a question mark. Of more than 4 examples the first 4 are shown.
    feature : int
        Which one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plots.canvas(width=9.6, height=4.0)
    axes.set_axis_off()
    axes.set(xlim=(-0.95, 11.85), ylim=(-1.55, 2.45))
    for start, end in EDGES:
        _arrows(axes, start, end)
    for name in NODES:
        _box(axes, name, _numbers(values, name, feature), _numbers(gradients, name, feature))
    for y, colour, style, text in (
        (2.3, _FORWARD, "-", "forward: a value"),
        (2.0, _BACKWARD, "--", "backward: a gradient, written with d"),
    ):
        axes.plot([3.9, 4.6], [y, y], color=colour, linestyle=style, linewidth=1.8)
        axes.text(
            4.75,
            y,
            text,
            color=colour,
            va="center",
            fontsize=10,
            style="normal" if style == "-" else "italic",
        )
    return figure


def describe(values: Arrays, gradients: Arrays, feature: int = 0) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    values, gradients : mapping of str to ndarray
        As for `draw`.
    feature : int

    Returns
    -------
    str
    """
    words = [
        f"The graph of batch normalization for feature {feature}, each node with its value and its gradient."
    ]
    for name in NODES:
        mine, back = (", ".join(_numbers(each, name, feature)) for each in (values, gradients))
        words.append(f"{name}: value {mine}; gradient {back}.")
    return " ".join(words)


def _numbers(arrays: Arrays, name: str, feature: int) -> list[str]:
    """What is written at a node: a line for each example, or one."""
    if name not in arrays:
        return ["?"]
    column = np.atleast_1d(np.asarray(arrays[name])[..., feature])
    return [_short(float(number)) for number in column[:_SHOWN]]


def _short(number: float) -> str:
    """Three digits, without a sign before a zero."""
    if abs(number) < 5e-4:
        return "0" if abs(number) < 1e-12 else f"{number:.0e}"
    return (
        f"{number:.3g}" if abs(number) >= 1000 else f"{number:.2f}" if abs(number) >= 0.1 else f"{number:.3f}"
    )


def _box(axes: Axes, name: str, values: list[str], gradients: list[str]) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = NODES[name]
    lines = max(len(values), len(gradients))
    height = _LINE * (lines + 1) + 0.1
    axes.add_patch(
        FancyBboxPatch(
            (x - _WIDTH, y - height / 2),
            2 * _WIDTH,
            height,
            boxstyle="round,pad=0.02,rounding_size=0.08",
            facecolor=plots.PAPER,
            edgecolor=plots.INK,
            linewidth=1.0,
            zorder=3,
        )
    )
    top = y + height / 2 - 0.22
    axes.text(x, top, name, color=plots.INK, weight="bold", ha="center", va="center", fontsize=10, zorder=4)
    for numbers, right, colour, prefix, style in (
        (values, x - 0.06, _FORWARD, "", "normal"),
        (gradients, x + _WIDTH - 0.05, _BACKWARD, "d ", "italic"),
    ):
        for k, number in enumerate(numbers, start=1):
            axes.text(
                right,
                top - k * _LINE,
                prefix + number,
                color=colour,
                style=style,
                ha="right",
                va="center",
                fontsize=8.5,
                zorder=4,
            )


def _arrows(axes: Axes, start: str, end: str) -> None:
    """One arrow forward and one back, side by side, from the edge of one box to that of the other."""
    a, b = np.array(NODES[start]), np.array(NODES[end])
    along = (b - a) / np.hypot(*(b - a))
    aside = 0.09 * np.array([-along[1], along[0]])
    for colour, style, shift, tail, head, name_of_tail, name_of_head in (
        (_FORWARD, "-", aside, a, b, start, end),
        (_BACKWARD, "--", -aside, b, a, end, start),
    ):
        towards = along if tail is a else -along
        axes.annotate(
            "",
            xy=head + shift - towards * _way_out(-towards, shift, name_of_head),
            xytext=tail + shift + towards * _way_out(towards, shift, name_of_tail),
            arrowprops={
                "arrowstyle": "-|>",
                "color": colour,
                "linestyle": style,
                "linewidth": 1.4,
                "shrinkA": 0,
                "shrinkB": 0,
                "mutation_scale": 11,
            },
            zorder=2,
        )


def _way_out(along: np.ndarray, start: np.ndarray, name: str) -> float:
    """How far it is from a point in a box, seen from its middle, to the edge, in a direction."""
    height = _LINE * ((_SHOWN if NODES[name][1] > 0 else 1) + 1) + 0.1
    half = np.array([_WIDTH, height / 2]) + 0.05
    moving = np.abs(along) > 1e-9
    return float(np.min((half - np.sign(along) * start)[moving] / np.abs(along[moving])))
