"""Compare the gradients of a network with measured ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.gradcheck.numerical import Array, Index, _require_movable, _slope, _subscript, relative_error


@dataclass(frozen=True)
class CheckedElement:
    """One parameter, and what the two sides say its gradient is."""

    name: str
    index: Index
    analytic: float
    numerical: float
    error: float  # relative

    def __str__(self) -> str:
        return (
            f"{self.name}{_subscript(self.index)}: analytic {self.analytic:.6g}, "
            f"numerical {self.numerical:.6g}, relative error {self.error:.1e}"
        )


@dataclass(frozen=True)
class GradientReport:
    """What `gradient_check` found: every element that it looked at, in the order of the parameters."""

    elements: tuple[CheckedElement, ...]

    @property
    def errors(self) -> dict[str, float]:
        """Worst relative error of each tensor."""
        return {name: worst.error for name, worst in self.worst_by_tensor.items()}

    @property
    def worst_by_tensor(self) -> dict[str, CheckedElement]:
        """Worst element of each tensor."""
        worst: dict[str, CheckedElement] = {}
        for element in self.elements:
            if element.name not in worst or element.error > worst[element.name].error:
                worst[element.name] = element
        return worst

    @property
    def worst(self) -> CheckedElement:
        """Worst element of all."""
        return max(self.elements, key=lambda element: element.error)

    def passed(self, tolerance: float) -> bool:
        """Whether no element is further off than `tolerance`."""
        return self.worst.error <= tolerance

    def __str__(self) -> str:
        width = max(len(name) for name in self.errors)
        lines = []
        for name, error in self.errors.items():
            count = sum(element.name == name for element in self.elements)
            lines.append(f"{name:{width}}  {count:4} checked  worst relative error {error:.1e}")
        return "\n".join([*lines, f"worst of all: {self.worst}"])


def gradient_check(
    loss: Callable[[dict[str, Array]], Any],
    params: dict[str, Array],
    grads: dict[str, Any],
    rng: np.random.Generator,
    *,
    num_checks: int = 10,
    h: float = 1e-5,
) -> GradientReport:
    """Compare the gradients of a network with centred differences, at a few random elements of each tensor.

    Parameters
    ----------
    loss : callable
        Takes `params`, returns one number. It must be the same function at each call: draw the batch and the
        dropout masks before.
    params : dict of str to ndarray
        Parameters. Changed in place while `loss` runs, and restored exactly, also when it raises.
    grads : dict of str to array_like
        The gradient of each parameter, under the same name and of the same shape. Others are ignored.
    rng : Generator
        Chooses the elements.
    num_checks : int
        How many elements of each tensor to look at; all of them where there are not more.
    h : float
        Step of the centred difference.

    Returns
    -------
    report : GradientReport

    Raises
    ------
    KeyError
        If a parameter has no gradient.
    TypeError
        If a parameter is not an array of floating-point numbers.
    ValueError
        If a gradient does not have the shape of its parameter, or there is nothing to check.

    Notes
    -----
    A full check of P parameters costs 2P evaluations of the loss, and most bugs are wrong nearly everywhere:
    ten elements of each tensor find them. What a sample can miss is a bug in a single row.

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0]), "b": np.array(3.0)}
    >>> def loss(params):
    ...     return (params["w"] ** 2).sum() + params["b"]
    >>> grads = {"w": 2 * params["w"], "b": np.array(2.0)}  # b is wrong
    >>> report = gradient_check(loss, params, grads, np.random.default_rng(0))
    >>> report.passed(1e-7)
    False
    >>> print(report.worst)
    b: analytic 2, numerical 1, relative error 5.0e-01
    """
    if num_checks < 1:
        raise ValueError(f"gradient_check: num_checks must be at least 1, not {num_checks}")
    if not any(np.size(x) for x in params.values()):
        raise ValueError("gradient_check: params has no elements, so there is nothing to check")
    for name, x in params.items():
        _require_movable("gradient_check", f"params[{name!r}]", x, h)
        if name not in grads:
            raise KeyError(f"gradient_check: grads has no gradient for {name!r}")
        if np.shape(grads[name]) != x.shape:
            raise ValueError(
                f"gradient_check: the gradient of {name!r} has shape {np.shape(grads[name])} "
                f"but {name!r} has shape {x.shape}"
            )
    elements = []
    for name, x in params.items():
        grad = np.asarray(grads[name])
        for flat in rng.choice(x.size, size=min(num_checks, x.size), replace=False):
            index = tuple(int(i) for i in np.unravel_index(flat, x.shape))
            analytic, numerical = grad[index].item(), _slope(lambda _: loss(params), x, index, h)
            elements.append(
                CheckedElement(name, index, analytic, numerical, relative_error(analytic, numerical))
            )
    return GradientReport(tuple(elements))
