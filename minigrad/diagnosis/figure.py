"""One figure of a run: where each finding was first to be seen, in the loss and in what the layers did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.diagnosis.finding import FAILURE, Finding
from minigrad.monitor import INPUT, Record, Snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

SHOWN = 4  # layers that get a line of their own; more would be a tangle


def draw(record: Record, findings: Sequence[Finding]) -> tuple[Figure, str]:
    """Draw loss, gradients per layer, update ratios, dead and saturated shares over the steps.

    Parameters
    ----------
    record : Record
    findings : sequence of Finding
        Each is marked at its step, by the number of its place in the list.

    Returns
    -------
    figure : matplotlib.figure.Figure
    alternative : str
        The same in words, for `minigrad.plots.show`.

    Raises
    ------
    ValueError
        If the record has no snapshot with parameters.

    Examples
    --------
    >>> from minigrad.monitor import GradientMonitor
    >>> monitor = GradientMonitor()
    >>> monitor.before(0, {"w": np.ones((2, 2))})
    >>> monitor.after(0, {"w": np.zeros((2, 2))}, {"w": np.ones((2, 2))}, loss=1.0)
    >>> draw(monitor.record, [])[1]
    'Training of 1 steps: the loss goes from 1 to 1. Nothing was found.'
    """
    from minigrad.plots import canvas  # matplotlib comes with it

    snapshots = [s for s in record.snapshots if s.params]
    if not snapshots:
        raise ValueError("draw: the record has no snapshot with parameters, so there is nothing to draw")
    figure, axes = canvas(4, 1, width=7.4, height=8.6)
    loss, heat, ratios, units = axes
    _draw_loss(loss, record, findings)
    _draw_gradients(heat, snapshots, record)
    _draw_ratios(ratios, snapshots, record)
    _draw_units(units, snapshots)
    for one in axes:
        one.set_xlim(-0.5, max(len(record.losses) - 0.5, 1))
        for finding in findings:
            one.axvline(finding.step, color="#222222", linewidth=0.8, linestyle=":")
    units.set_xlabel("step")
    return figure, _in_words(record, findings)


def _draw_loss(axes: Axes, record: Record, findings: Sequence[Finding]) -> None:
    from minigrad.plots import COLOURS

    losses = np.array(record.losses, dtype=float)
    shown = np.where(np.isfinite(losses), losses, np.nan)
    axes.plot(shown, color=COLOURS["blue"], linewidth=1.2)
    finite = shown[np.isfinite(shown)]
    if finite.size and finite.min() > 0 and finite.max() > 20 * finite.min():
        axes.set_yscale("log")
    axes.set_ylabel("loss")
    for place, finding in enumerate(findings):
        axes.annotate(
            f"{place + 1} {finding.cause}",
            (finding.step, 1 - 0.13 * (place % 6)),
            xycoords=("data", "axes fraction"),
            xytext=(4, -9),
            textcoords="offset points",
            fontsize=8,
            color=COLOURS["vermillion"] if finding.level == FAILURE else "#222222",
        )


def _draw_gradients(axes: Axes, snapshots: list[Snapshot], record: Record) -> None:
    from matplotlib.patches import Rectangle

    names = _matrices(record)
    rms = np.array([[s.params.get(name, {}).get("rms", math.nan) for s in snapshots] for name in names])
    with np.errstate(all="ignore"):
        logs = np.where(np.isfinite(rms) & (rms > 0), np.log10(rms), np.nan)
    steps = [s.step for s in snapshots]
    edges = [*steps, 2 * steps[-1] - steps[-2] if len(steps) > 1 else steps[-1] + 1]
    # What has no logarithm is hatched: a gradient of exactly 0, or one that is no number.
    axes.add_patch(
        Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, hatch="////", edgecolor="#BBBBBB")
    )
    mesh = axes.pcolormesh(edges, np.arange(len(names) + 1), logs, cmap="cividis", zorder=2)
    axes.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=7)
    axes.invert_yaxis()
    axes.grid(False)
    if not np.isfinite(logs).any():
        _say(axes, "every recorded gradient is 0, or no number")
        return
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.01)
    bar.set_label("log10 of the gradient", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _draw_ratios(axes: Axes, snapshots: list[Snapshot], record: Record) -> None:
    axes.axhspan(1e-4, 1e-2, color="#009E73", alpha=0.12, linewidth=0)
    axes.axhspan(1e-1, 1e3, color="#D55E00", alpha=0.10, linewidth=0)
    axes.set_yscale("log")
    axes.set_ylim(1e-6, 1e1)
    drawn = False
    for style, name in zip(_styles(), _some(_matrices(record)), strict=False):
        points = [(s.step, s.params.get(name, {}).get("ratio", math.nan)) for s in snapshots]
        points = [(step, ratio) for step, ratio in points if 0 < ratio < math.inf]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, markersize=3, linewidth=1, **style)
            drawn = True
    if not drawn:
        _say(axes, "no weight moves")
    else:
        axes.legend(fontsize=7, ncols=4, loc="upper right", frameon=False)
    axes.set_ylabel("update / weight")


def _draw_units(axes: Axes, snapshots: list[Snapshot]) -> None:
    lines: dict[str, list[tuple[int, float]]] = {}
    for s in snapshots:
        hidden = [name for name in s.activations if name != INPUT][:-1]  # scores that are zero are not dead
        for name, found in s.probe.items():
            if name not in hidden:
                continue
            lines.setdefault(f"{name} dead", []).append((s.step, found["dead"]))
        for name, found in s.activations.items():
            if "saturated" in found:
                lines.setdefault(f"{name} saturated", []).append((s.step, found["saturated"]))
    busy = sorted((name for name in lines if max(y for _, y in lines[name]) > 0), key=list(lines).index)
    for style, name in zip(_styles(), _some(busy), strict=False):
        axes.plot(*zip(*lines[name], strict=True), label=name, markersize=3, linewidth=1, **style)
    if busy:
        axes.legend(fontsize=7, ncols=2, loc="upper right", frameon=False)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("share of units")


def _say(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=9, zorder=3)


def _matrices(record: Record) -> list[str]:
    shapes = record.facts.get("shapes", {})
    return [name for name, shape in shapes.items() if len(shape) > 1] or list(shapes)


def _some(names: list[str]) -> list[str]:
    """The first, the last, and some in between."""
    if len(names) <= SHOWN:
        return names
    return [names[k] for k in np.linspace(0, len(names) - 1, SHOWN).round().astype(int)]


def _styles() -> list[dict[str, Any]]:
    from minigrad.plots import SERIES

    return SERIES


def _in_words(record: Record, findings: Sequence[Finding]) -> str:
    losses = record.losses
    words = f"Training of {len(losses)} steps: the loss goes from {losses[0]:.3g} to {losses[-1]:.3g}."
    said = "; ".join(f"{f.level} from step {f.step}: {f.cause}" for f in findings)
    return f"{words} {said[:1].upper() + said[1:]}." if said else f"{words} Nothing was found."
