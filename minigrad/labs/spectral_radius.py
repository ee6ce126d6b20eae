"""The lab of assignment 06: how large dh_T / dh_t is, T - t steps back, for recurrences with one and the same matrix.

The recurrence is linear, or a ReLU, or a tanh; the tanh runs the student's own step. A batch holds the same
trajectory once for each unit, and the upstream gradients are the unit vectors: what comes back are the rows of the
Jacobian. Its norm is its largest singular value, the most that any gradient can have grown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np

from minigrad import plots
from minigrad.experiments.exploding_rnn import matrix, spectral_radius
from minigrad.initializers import normal
from minigrad.labs import Menu, Slider
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "PARAMETERS",
    "REQUIRES",
    "SIZE",
    "Measured",
    "Result",
    "describe",
    "draw",
    "draw_matrix",
    "jacobian_norms",
    "measure",
    "simulate",
]

UNITS = 24

PARAMETERS = [
    Slider("radius", 0.5, 1.5, 0.05, 1.1, "spectral radius of Wh"),
    Slider("steps", 10.0, 100.0, 10.0, 100.0, "number of steps T"),
    Slider("inputs", 0.0, 1.0, 0.1, 0.3, "size of the inputs"),
    Menu("recurrence", ("linear", "ReLU", "tanh"), "linear", "recurrence"),
    Menu("matrix", ("normal", "orthogonal", "triangular"), "normal", "matrix"),
]
REQUIRES = ("rnn_step_forward", "rnn_step_backward")
SIZE = (9.0, 4.2)

Array = np.ndarray
Functions = Mapping[str, Callable[..., Any]]


class Result(TypedDict):
    """What `simulate` returns."""

    recurrence: str
    eigenvalues: Array
    """(24,) of Wh, complex."""
    radius: float
    """The largest of their absolute values."""
    stretch: float
    """The largest singular value of Wh."""
    norms: Array
    """(T + 1,) the norm of dh_T / dh_(T - k), for k from 0 to T."""
    slope: float
    inputs: float
    """The mean slope of the nonlinearity, over all steps and units."""


class Measured(NamedTuple):
    """What `measure` returns."""

    norms: Array
    """(T + 1,) for k from 0 to T, the largest singular value of dh_T / dh_(T - k)."""
    slope: float
    """The mean slope of the recurrence's nonlinearity, over all steps and units."""


def simulate(parameters: Mapping[str, Any], functions: Functions) -> Result:
    """Run T steps forward and T steps back.

    Parameters
    ----------
    parameters : mapping
        `radius`, `steps`, `inputs`, `recurrence` and `matrix`.
    functions : mapping
        The student's `rnn_step_forward(x, prev_h, Wx, Wh, b)` and `rnn_step_backward(dnext_h, cache)`.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If a function of the student does not return what is expected of it.
    """
    rng = np.random.default_rng(6)
    Wh = draw_matrix(parameters["matrix"], parameters["radius"], UNITS, rng)
    norms, slope = measure(
        Wh, int(parameters["steps"]), parameters["recurrence"], parameters["inputs"], rng, functions
    )
    return {
        "recurrence": parameters["recurrence"],
        "inputs": float(parameters["inputs"]),
        "eigenvalues": np.linalg.eigvals(Wh),
        "radius": spectral_radius(Wh),
        "stretch": float(np.linalg.norm(Wh, 2)),
        "norms": norms,
        "slope": slope,
    }


def draw_matrix(kind: str, radius: float, units: int, rng: np.random.Generator) -> Array:
    """Draw a square matrix of a given spectral radius.

    Parameters
    ----------
    kind : {"normal", "orthogonal", "triangular"}
        Independent normal numbers; a rotation times the radius; or zeros below the diagonal, the radius on it, and
        normal numbers above: then all eigenvalues are equal to the radius, whatever stands above.
    radius : float
    units : int
        Rows and columns.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (units, units)
    """
    if kind != "triangular":
        return matrix(kind, radius, units, rng)
    return np.triu(normal((units, units), rng, std=0.3), k=1) + radius * np.eye(units)


def jacobian_norms(Wh: Array, steps: int) -> Array:
    """Measure how a gradient grows on its way back through a linear recurrence.

    Parameters
    ----------
    Wh : ndarray, shape (H, H)
        The matrix that is applied at each step.
    steps : int
        T.

    Returns
    -------
    ndarray, shape (steps + 1,)
        For k from 0 to T, the norm of dh_T / dh_(T - k): by how much the gradient that grows most has grown after k
        steps back.

    Examples
    --------
    >>> jacobian_norms(np.array([[0.5]]), 3)
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    return measure(Wh, steps, "linear", 0.0, np.random.default_rng(0), {}).norms


def measure(
    Wh: Array, steps: int, recurrence: str, inputs: float, rng: np.random.Generator, functions: Functions
) -> Measured:
    """Measure how a gradient grows on its way back through time.

    Parameters
    ----------
    Wh : ndarray, shape (H, H)
        The matrix that is applied at each step.
    steps : int
        T.
    recurrence : {"linear", "ReLU", "tanh"}
    inputs : float
        Standard deviation of what is added to each unit's pre-activation at each step.
    rng : numpy.random.Generator
        Draws the first state and the inputs.
    functions : mapping
        For "tanh": `rnn_step_forward` and `rnn_step_backward`.

    Returns
    -------
    Measured

    Raises
    ------
    ValueError
        If a function of the student does not return what is expected of it.
    """
    forward, backward = _step(recurrence, Wh, functions)
    units = len(Wh)
    # One row for each row of the Jacobian, and one more that asks for the slopes.
    h = np.tile(rng.standard_normal(units), (units + 1, 1))
    caches = []
    for _ in range(steps):
        x = np.tile(inputs * rng.standard_normal(units), (units + 1, 1))
        h, cache = forward(x, h)
        caches.append(cache)
    dh = np.concatenate([np.eye(units), np.ones((1, units))])
    norms, slopes = [1.0], []
    for cache in reversed(caches):
        dx, dh = backward(dh, cache)
        norms.append(float(np.linalg.norm(dh[:units], 2)))
        slopes.append(float(np.mean(dx[units])))
        dh = np.concatenate([dh[:units], np.ones((1, units))])
    return Measured(np.array(norms), float(np.mean(slopes)))


def _step(recurrence: str, Wh: Array, functions: Functions) -> tuple[Callable, Callable]:
    """A step forward, (x, h) to (next h, cache), and back, (dh, cache) to (dx, dh of the step before)."""
    zeros = np.zeros(len(Wh))
    if recurrence == "tanh":

        def forward(x: Array, h: Array) -> tuple:
            out = functions["rnn_step_forward"](x, h, np.eye(len(Wh)), Wh, zeros)
            if not isinstance(out, tuple) or len(out) != 2 or np.shape(out[0]) != h.shape:
                raise ValueError(f"rnn_step_forward should return a state of shape {h.shape}, and a cache")
            return out

        def backward(dh: Array, cache: Any) -> tuple:
            grads = functions["rnn_step_backward"](dh, cache)
            if (
                not isinstance(grads, tuple)
                or len(grads) != 5
                or any(np.shape(g) != dh.shape for g in grads[:2])
            ):
                raise ValueError(
                    f"rnn_step_backward should return five gradients; here dx and dprev_h have shape {dh.shape}"
                )
            return grads[:2]

        return forward, backward

    def affine_then(x: Array, h: Array) -> tuple:
        pre, affine_cache = affine_forward(h, Wh, zeros)
        if recurrence == "linear":
            return pre + x, (affine_cache, None)
        out, relu_cache = relu_forward(pre + x)
        return out, (affine_cache, relu_cache)

    def back_through(dh: Array, cache: tuple) -> tuple:
        affine_cache, relu_cache = cache
        dpre = dh if relu_cache is None else relu_backward(dh, relu_cache)
        return dpre, affine_backward(dpre, affine_cache)[0]

    return affine_then, back_through


def draw(result: Result, figure: Figure) -> None:
    """Draw the eigenvalues in the plane, and beside them the norms, step by step.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    plane, back = (plots.style(axes) for axes in figure.subplots(1, 2, width_ratios=(1, 1.5)))
    angle = np.linspace(0, 2 * np.pi, 200)
    plane.plot(np.cos(angle), np.sin(angle), color=plots.INK, linewidth=1.0)
    radius = result["radius"]
    plane.plot(
        radius * np.cos(angle), radius * np.sin(angle), color=plots.COLOURS["green"], linestyle="-.", lw=1.0
    )
    plane.plot(
        result["eigenvalues"].real, result["eigenvalues"].imag, "o", color=plots.COLOURS["blue"], markersize=5
    )
    plane.set_xlim(-1.65, 1.65)
    plane.set_ylim(-1.65, 1.65)
    plane.set_aspect("equal")
    plane.set_xlabel("real part")
    plane.set_ylabel("imaginary part")
    plane.set_title("Eigenvalues of Wh, and the unit circle")

    norms = result["norms"]
    k = np.arange(len(norms))
    every = max(1, len(k) // 10)
    powers = radius**k
    for values, label, series in (
        (norms, "measured", plots.SERIES[0]),
        (result["stretch"] ** k, "largest singular value to the power k", plots.SERIES[1]),
        (powers, "spectral radius to the power k", plots.SERIES[2]),
    ):
        back.plot(k, values, label=label, markevery=every, markersize=4, **series)
    back.set_yscale("log")
    back.set_xlabel("k steps back")
    back.set_ylabel("norm of dh_T / dh_(T-k)")
    # The singular value may leave at the top, and what has vanished at the bottom.
    low, high = min(norms.min(), powers.min(), 0.1), max(norms.max(), powers.max(), 10.0)
    back.set_ylim(max(low / 5, 1e-30), 20 * high)
    back.set_title(
        f"{result['recurrence']}, inputs {result['inputs']:g}, radius {radius:.2f}, mean slope {result['slope']:.2f}"
    )
    back.legend(fontsize=8)
    figure.subplots_adjust(left=0.08, right=0.99, top=0.92, bottom=0.13, wspace=0.27)


def describe(result: Result) -> str:
    """Say in words what `draw` shows.

    Parameters
    ----------
    result : Result

    Returns
    -------
    str
    """
    norms = result["norms"]
    peak = int(np.argmax(norms))
    # A gradient that goes back through a linear recurrence does not meet the inputs, and the reader should know.
    idle = ", which change no slope" if result["recurrence"] == "linear" else ""
    words = [
        f"Inputs of size {result['inputs']:g}{idle}.",
        f"Spectral radius {result['radius']:.2f}, largest singular value {result['stretch']:.2f}, "
        f"mean slope {result['slope']:.2f}.",
        f"After {len(norms) - 1} steps back the norm of the Jacobian is {norms[-1]:.2g}.",
    ]
    if 0 < peak < len(norms) - 1 and norms[peak] > 1.05:
        steps = "step" if peak == 1 else "steps"
        words.append(f"On the way it was largest after {peak} {steps}: {norms[peak]:.2g}.")
    return " ".join(words)
