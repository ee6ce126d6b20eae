"""The lab of assignment 01: two ways to measure a slope, and the step that suits each.

The function is f(w) = w**3 + 2 w, whose derivative 3 w**2 + 2 is known and never zero. The lab compares it
with the one-sided difference (given here) and with the student's centred difference, at one step and over all
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minigrad import plots
from minigrad.labs import Slider

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "PARAMETERS",
    "REQUIRES",
    "Result",
    "cubic",
    "cubic_slope",
    "describe",
    "draw",
    "one_sided_gradient",
    "simulate",
]

PARAMETERS = [
    Slider("w", -2.0, 2.0, 0.1, 1.5, "point w"),
    Slider("log10_h", -15.0, 0.0, 0.25, -5.0, "log10 of the step h"),
]

REQUIRES = ("numerical_gradient", "relative_error")

_EXPONENTS = np.linspace(-15.0, 0.0, 91)
_FLOOR = 1e-17


class Result(TypedDict):
    """What `simulate` returns."""

    w: float
    h: float
    analytic: float
    one_sided: float
    centred: float
    error_one_sided: float
    error_centred: float
    steps: np.ndarray
    """(91,) steps from 1e-15 to 1."""
    errors_one_sided: np.ndarray
    """(91,) the relative error at each of them."""
    errors_centred: np.ndarray


def cubic(x: np.ndarray) -> float:
    """Return the sum of x**3 + 2 x over the elements of x.

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    float
    """
    return float(np.sum(x**3 + 2.0 * x))


def cubic_slope(x: np.ndarray) -> np.ndarray:
    """Return the gradient of `cubic`.

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    ndarray, shape of x
    """
    return 3.0 * x**2 + 2.0


def one_sided_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Estimate a gradient with the one-sided difference (f(x + h) - f(x)) / h.

    Parameters
    ----------
    f : callable
        `f(x) -> float`. It must use its argument: x itself is not changed.
    x : ndarray, any shape
        Where to take the gradient. Floating point.
    h : float
        The step.

    Returns
    -------
    ndarray, shape of x

    Examples
    --------
    >>> one_sided_gradient(lambda x: float(np.sum(x**2)), np.array([1.0, 2.0]), h=0.5)
    array([2.5, 4.5])
    """
    here = f(x)
    moved = x + h * np.eye(x.size).reshape(x.size, *x.shape)  # (size, *shape): one copy of x for each element
    return np.array([(f(each) - here) / h for each in moved]).reshape(x.shape)


def simulate(parameters: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]) -> Result:
    """Compare both differences with the derivative, at one step and over all steps.

    Parameters
    ----------
    parameters : mapping
        `w` and `log10_h`.
    functions : mapping
        The student's `numerical_gradient(f, x, h)` and `relative_error(a, b)`.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If a function of the student does not return what is expected of it.
    """
    w, h = float(parameters["w"]), float(10.0 ** parameters["log10_h"])
    point = np.array([w])
    slope = cubic_slope(point)

    def centred(step: float) -> np.ndarray:
        value = np.asarray(functions["numerical_gradient"](cubic, point.copy(), step))
        if value.shape != (1,) or value.dtype == object:
            raise ValueError(f"numerical_gradient returned shape {value.shape} for an x of shape (1,)")
        return value

    def error(estimate: np.ndarray) -> float:
        value = functions["relative_error"](slope.copy(), estimate)
        if value is None or np.ndim(value) != 0:
            raise ValueError(f"relative_error returned {value!r} where one number was expected")
        return float(value)

    steps = 10.0**_EXPONENTS
    return {
        "w": w,
        "h": h,
        "analytic": float(slope[0]),
        "one_sided": float(one_sided_gradient(cubic, point, h)[0]),
        "centred": float(centred(h)[0]),
        "error_one_sided": error(one_sided_gradient(cubic, point, h)),
        "error_centred": error(centred(h)),
        "steps": steps,
        "errors_one_sided": np.array([error(one_sided_gradient(cubic, point, step)) for step in steps]),
        "errors_centred": np.array([error(centred(step)) for step in steps]),
    }


def draw(result: Result, figure: Figure) -> None:
    """Draw the error of both differences against the step, with the current step marked.

    Parameters
    ----------
    result : Result
    figure : matplotlib.figure.Figure
        Empty.
    """
    axes = plots.style(figure.subplots())
    for name, series, size in (("one_sided", plots.SERIES[1], 6.0), ("centred", plots.SERIES[0], 3.0)):
        errors = result[f"errors_{name}"]  # type: ignore[literal-required]
        current = result[f"error_{name}"]  # type: ignore[literal-required]
        label = f"{name.replace('_', '-')}: {result[name]:.12g}"  # type: ignore[literal-required]
        # hollow squares below full circles: where the curves coincide, both can be seen
        look = {**series, "markerfacecolor": "none" if name == "one_sided" else series["color"]}
        axes.plot(
            np.log10(result["steps"]), _log(errors), label=label, markersize=size, linewidth=1.2, **look
        )
        axes.plot(
            np.log10(result["h"]), _log(current), **{**look, "markersize": 2 * size + 4, "linestyle": "none"}
        )
    axes.axvline(np.log10(result["h"]), color=plots.INK, linewidth=1.0, linestyle=":")
    axes.set_ylim(-17.5, 1.0)
    axes.set_yticks(range(-16, 1, 4))
    axes.set_xlabel("log10 of the step h")
    axes.set_ylabel("log10 of the relative error")
    axes.set_title(
        f"f(w) = w³ + 2w at w = {result['w']:.2g}, f'(w) = {result['analytic']:.10g}", color=plots.INK
    )
    axes.legend(loc="upper center", fontsize=9, framealpha=0.9, labelcolor=plots.INK)
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
    best = result["steps"][int(np.argmin(result["errors_centred"]))]
    return (
        f"At w = {result['w']:.2g} with h = {result['h']:.1e}: derivative {result['analytic']:.10g}; "
        f"one-sided {result['one_sided']:.12g}, relative error {result['error_one_sided']:.1e}; "
        f"centred {result['centred']:.12g}, relative error {result['error_centred']:.1e}. "
        f"The centred error is smallest near h = {best:.0e}."
    )


def _log(error: Any) -> Any:
    """Return log10 of an error; an error of exactly 0 goes to the foot of the plot."""
    return np.log10(np.maximum(error, _FLOOR))
