"""The lab of assignment 09: where the gradients of a network lie, and what float16 keeps of them.

The network of the experiment `half_precision` makes one backward pass in float16, with the scale of the slider, and one
in float32 without any. What was a number in the second and is zero or infinite in the first was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minigrad import plots
from minigrad.datasets import digits
from minigrad.experiments.half_precision import HELD, network
from minigrad.labs import Slider
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward
from minigrad.losses import softmax_loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "REQUIRES", "SIZE", "Result", "describe", "draw", "simulate"]

PARAMETERS = [
    Slider("log2_scale", -4.0, 44.0, 1.0, 0.0, "log2 of the loss scale"),
    Slider("log2_batch", 7.0, 30.0, 1.0, 26.0, "log2 of the batch"),
]

REQUIRES = ("scale_gradient", "unscale_gradients")

SIZE = (10.0, 3.8)

ARRAYS = {"scores": "scores", "affine3.w": "layer 3", "affine2.w": "layer 2", "affine1.w": "layer 1"}
EDGES = np.arange(-60, 41)

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "affine_forward": affine_forward,
    "affine_backward": affine_backward,
    "relu_forward": relu_forward,
    "relu_backward": relu_backward,
}


class Result(TypedDict):
    """What `simulate` returns; shares have one entry for each of `ARRAYS`, in the order of the backward pass."""

    log2_scale: float
    log2_batch: float
    counts: np.ndarray
    """Entries of all arrays between two of `EDGES`, by the exponent of their scaled true value."""
    lost: np.ndarray
    """Share of the entries that are zero and should not be."""
    coarse: np.ndarray
    """Share of the entries that came through, and differ from the true ones by more than a hundredth."""
    infinite: np.ndarray
    """Share of the entries that are infinite or nan."""
    skipped: bool
    """Whether the student's function calls the step unusable."""


def simulate(parameters: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Make one backward pass in float16 and one in float32.

    Parameters
    ----------
    parameters : mapping
        `log2_scale` and `log2_batch`.
    functions : mapping
        The student's `scale_gradient` and `unscale_gradients`.

    Returns
    -------
    Result
    """
    scale, batch = 2.0 ** parameters["log2_scale"], 2.0 ** parameters["log2_batch"]
    config = {"scale": scale, "growth": 2.0, "backoff": 0.5, "interval": 2000, "good_steps": 0}
    with np.errstate(all="ignore"):
        true = _gradients(np.float32, batch, lambda dscores: dscores)
        scaled = _gradients(np.float16, batch, lambda dscores: functions["scale_gradient"](dscores, config))
        unscaled, overflow = functions["unscale_gradients"](dict(scaled), config)
        lost, coarse, infinite = [], [], []
        for name in ARRAYS:
            there = true[name] != 0
            half, t, u = scaled[name][there], true[name][there], np.asarray(unscaled[name])[there]
            lost.append(np.mean(half == 0))
            infinite.append(np.mean(~np.isfinite(half)))
            coarse.append(np.mean((half != 0) & np.isfinite(half) & (np.abs(u - t) > 0.01 * np.abs(t))))
    everything = np.concatenate([array[array != 0] for array in true.values()])
    exponents = np.log2(np.abs(everything)) + parameters["log2_scale"]
    return {
        "log2_scale": float(parameters["log2_scale"]),
        "log2_batch": float(parameters["log2_batch"]),
        "counts": np.histogram(np.clip(exponents, EDGES[0], EDGES[-1]), EDGES)[0],
        "lost": np.array(lost),
        "coarse": np.array(coarse),
        "infinite": np.array(infinite),
        "skipped": bool(overflow),
    }


def _gradients(dtype: Any, batch: float, scale: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    """The gradients of `ARRAYS` in the first step, from the mean over `batch` examples of which some are here."""
    rng = np.random.default_rng(0)
    x, y = digits()
    net = network(dtype, _FUNCTIONS, rng)
    rows = rng.choice(len(x), HELD, replace=False)
    _, dscores = softmax_loss(net.forward(x[rows]).astype(np.float32), y[rows])
    dscores = scale((dscores * (HELD / batch)).astype(np.float32)).astype(dtype)
    net.backward_params(dscores)
    grads: dict[str, Any] = net.grads
    return {"scores": dscores, **{name: grads[name] for name in list(ARRAYS)[1:]}}


def draw(result: Result, figure: Figure) -> None:
    """Draw the exponents over the range of float16, and the shares that were lost in each array.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    left, right = (plots.style(axes) for axes in figure.subplots(1, 2, width_ratios=(3, 2)))
    left.bar(EDGES[:-1], result["counts"], width=1, align="edge", color=plots.COLOURS["blue"])
    top = 1.35 * max(1, int(result["counts"].max()))
    for low, high, hatch, colour, text in (
        (EDGES[0], -25, "///", "vermillion", "becomes 0"),
        (-25, -14, "...", "orange", "loses digits"),
        (16, EDGES[-1], "xxx", "purple", "becomes infinite"),
    ):
        left.axvspan(low, high, facecolor="none", edgecolor=plots.COLOURS[colour], hatch=hatch, alpha=0.35)
        left.text((low + high) / 2, 0.97 * top, text, ha="center", va="top", fontsize=8, color=plots.INK)
    left.text(1, 0.97 * top, "fits", ha="center", va="top", fontsize=8, color=plots.INK)
    left.set(
        xlim=(EDGES[0], EDGES[-1]), ylim=(0, top), xlabel="log2 of the scaled gradient", ylabel="entries"
    )
    left.set_title(f"Gradients times 2^{result['log2_scale']:.0f}, and float16", color=plots.INK)
    places, width = np.arange(len(ARRAYS)), 0.27
    for k, (key, colour, hatch) in enumerate(
        (("lost", "vermillion", "///"), ("coarse", "orange", "..."), ("infinite", "purple", "xxx"))
    ):
        shares: np.ndarray = result[key]  # type: ignore[literal-required]
        right.bar(
            places + (k - 1) * width,
            shares,
            width,
            label=key,
            facecolor=plots.PAPER,
            edgecolor=plots.COLOURS[colour],
            hatch=hatch,
        )
    right.set(ylim=(0, 1.25), ylabel="share of the entries", yticks=np.arange(0, 1.01, 0.25))
    right.set_xticks(places, list(ARRAYS.values()))
    right.set_title("In the order of the backward pass", color=plots.INK)
    right.legend(loc="upper center", ncols=3, fontsize=9, labelcolor=plots.INK, framealpha=0.9)
    figure.subplots_adjust(left=0.08, right=0.99, top=0.9, bottom=0.14, wspace=0.2)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    lines = "; ".join(
        f"{label} {_percent(lost)}, {_percent(coarse)}, {_percent(infinite)}"
        for label, lost, coarse, infinite in zip(
            ARRAYS.values(), result["lost"], result["coarse"], result["infinite"], strict=True
        )
    )
    return (
        f"Scale 2^{result['log2_scale']:.0f}, a mean over 2^{result['log2_batch']:.0f} examples. Share of the entries "
        f"that became 0, that are off by more than a hundredth, that became infinite: {lines}. "
        f"The step is {'skipped' if result['skipped'] else 'taken'}."
    )


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.1f} %"
