"""Five black boxes for the bug hunt of assignment 01.

Each suspect is a function of one array with a hand-written backward pass. The forward passes are right. Of
the backward passes some are right and some are not, and the exercise is to find out which, and wrong how,
with nothing but a gradient checker. Reading the code below takes the exercise away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["KINDS", "SUSPECTS", "Suspect"]

KINDS: dict[str, str] = {
    "right": "the gradient is correct",
    "wrong sign": "elements of the gradient have the right size and the opposite sign",
    "missing 1/N": "the loss is a mean over N things, the gradient is that of the sum",
    "not summed": "an element is used in several rows of the output, the share of only one row arrives",
    "missing term": "the output is a sum of parts, the gradient of one part was left out",
}
"""What can be said of a suspect, and what it means."""


@dataclass(frozen=True)
class Suspect:
    """A function with a backward pass of unknown quality.

    Parameters
    ----------
    formula : str
        What the forward pass computes.
    forward : callable
        `forward(x) -> out`. Pure.
    backward : callable
        `backward(dout, x) -> dx`, where dout has the shape of `forward(x)` and dx the shape of x. Pure.
    example : callable
        `example(rng) -> x`, an input to start with. Any other input with as many axes works
        too (A takes exactly three numbers).
    """

    formula: str
    forward: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray] = field(repr=False)
    example: Callable[[np.random.Generator], np.ndarray] = field(repr=False)


_ROWS = np.array([[1.0, -0.5, 2.0], [0.5, 1.5, -1.0], [2.0, 1.0, 0.5], [-1.0, 0.5, 1.5]])


def _a_forward(x: np.ndarray) -> np.ndarray:
    return _ROWS * x


def _a_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (_ROWS * dout)[0] + 0.0 * x


def _a_example(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 1.5, 3)


def _b_forward(x: np.ndarray) -> np.ndarray:
    return np.abs(x - np.round(x))


def _b_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return dout * np.sign(x - np.round(x))


def _b_example(rng: np.random.Generator) -> np.ndarray:
    x = rng.integers(-3, 4, (2, 4)) + rng.uniform(0.1, 0.4, (2, 4))
    x[1, 2] = 2.0 + rng.uniform(1e-6, 3e-6)
    return x


def _c_forward(x: np.ndarray) -> np.ndarray:
    return np.sqrt(1.0 + x**2) + 1e-4 * x**2 / 2


def _c_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return dout * x / np.sqrt(1.0 + x**2)


def _c_example(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 2.0, (3, 3))


def _d_forward(x: np.ndarray) -> np.ndarray:
    return np.prod(x, axis=1)


def _d_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    others = [np.prod(np.delete(x, k, axis=1), axis=1) for k in range(x.shape[1])]
    return dout[:, None] * np.stack(others, axis=1)


def _d_example(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(4.0, 9.0, (3, 5))


def _e_forward(x: np.ndarray) -> np.ndarray:
    return np.mean(x**2)


def _e_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return dout * 2.0 * x


def _e_example(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 1.5, (2, 3))


SUSPECTS: dict[str, Suspect] = {
    "A": Suspect(
        "out = table * x: a fixed table of 4 rows, column j times x[j]", _a_forward, _a_backward, _a_example
    ),
    "B": Suspect(
        "out = |x - round(x)|: the distance to the nearest integer", _b_forward, _b_backward, _b_example
    ),
    "C": Suspect("out = sqrt(1 + x**2) + 0.00005 * x**2", _c_forward, _c_backward, _c_example),
    "D": Suspect("out = the product of each row of x", _d_forward, _d_backward, _d_example),
    "E": Suspect("out = mean(x**2), one number", _e_forward, _e_backward, _e_example),
}
"""The five, by name."""
