"""Functions that checks hand to a student's function, by name, so that a sheet can say which without code.

Each takes what it is called with, an array or a dict of arrays first, and the parameters of the sheet. With `over`,
a probe ignores what it is called with and reads the argument at that position instead, as a closure over ``x`` would:
the way in which CS231n's notebooks call ``eval_numerical_gradient``.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def cubic(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Sum of ``a x^3 + b x``: its third derivative makes the order of a difference formula show."""
    _same_shape(x, a)
    return float((a * x**3 + b * x).sum())


def waves(x: np.ndarray, a: np.ndarray) -> float:
    """Sum of ``sin(a x)`` plus the product of the first and last entry, so that entries interact."""
    _same_shape(x, a)
    return float(np.sin(a * x).sum() + x.flat[0] * x.flat[-1])


def squares(params: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> float:
    """Weighted sum of ``p^2 / 2`` over the tensors of a dict: the gradient of each is its weight times itself."""
    return float(sum(weights[name] * (params[name] ** 2).sum() / 2 for name in weights))


def cubes(params: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> float:
    """Weighted sum of ``p^3 / 3`` over the tensors of a dict: unlike squares, it knows on which side of zero it is."""
    return float(sum(weights[name] * (params[name] ** 3).sum() / 3 for name in weights))


def quartic_loss(x: np.ndarray, target: np.ndarray, delta: float) -> tuple[float, np.ndarray]:
    """Mean of ``delta (x - target)^4``, and its gradient: a loss that no exercise asks for."""
    if not all(isinstance(each, np.ndarray) for each in (x, target)) or x.shape != target.shape or not x.size:
        raise ValueError("loss takes predictions and targets, two arrays of one shape")
    error, factor = x - target, float(delta)
    return float(factor * (error**4).mean()), 4 * factor * error**3 / x.size


def _same_shape(x: np.ndarray, a: np.ndarray) -> None:
    """Broadcasting would turn a large array of an odd shape into a much larger one, on the trusted side."""
    if not isinstance(x, np.ndarray) or x.shape != a.shape:
        given = f"one of shape {x.shape}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        raise ValueError(f"f takes an array of shape {a.shape}; it was given {given}")


PROBES: dict[str, Callable] = {
    "cubic": cubic,
    "waves": waves,
    "squares": squares,
    "cubes": cubes,
    "quartic_loss": quartic_loss,
}


class Counted:
    """A probe that counts its calls."""

    def __init__(self, function: Callable, parameters: Mapping[str, Any], over: int | None):
        self.function, self.parameters, self.over = function, parameters, over
        self.arguments: list[Any] = []
        self.count = 0

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Evaluate at what was passed, or at what is closed over."""
        self.count += 1
        if self.over is not None:
            args, named = (self.arguments[self.over],), {}
        with np.errstate(all="ignore"):  # far out it overflows, and that is the student's to see
            return self.function(*args, **named, **self.parameters)


def build(name: str, parameters: Mapping[str, Any], over: int | None = None) -> Counted:
    """The probe of that name."""
    return Counted(PROBES[name], parameters, over)
