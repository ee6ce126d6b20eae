"""One table: for every pair in `minigrad.layers`, how to draw inputs and what is true of it.

`test_pairs.py` finds the pairs by itself and looks here for each. Adding a layer is adding a row.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

Shape = tuple[int, ...]
Shapes = dict[str, Shape]  # of each differentiable argument, by name, in the order of forward


def normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape)


def away_from_zero(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """No element within 0.1 of zero: a difference with a small step does not cross a kink there."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 2.0, shape)


@dataclass(frozen=True)
class Case:
    """What the contract test has to know of a pair.

    shapes(n) draws the shapes of the differentiable arguments for a batch of n; draw(rng, shape) fills one.
    slow is the forward pass as an obvious loop over numbers, the oracle. impossible lists arguments that
    forward must refuse, each with the shapes that make it impossible. analytic says whether complex numbers
    pass through, so that the complex step is an oracle for the gradients; where not, differences are.
    params are the arguments of forward that have no gradient.
    """

    shapes: Callable[[int], st.SearchStrategy[Shapes]]
    slow: Callable[..., np.ndarray]
    analytic: bool
    draw: Callable[[np.random.Generator, Shape], np.ndarray] = normal
    impossible: tuple[tuple[str, Shapes], ...] = ()
    params: tuple[Any, ...] = ()


sides = st.integers(1, 4)


@st.composite
def affine_shapes(draw: st.DrawFn, n: int) -> Shapes:
    each, m = draw(st.lists(sides, max_size=3)), draw(sides)
    return {"x": (n, *each), "w": (math.prod(each), m), "b": (m,)}


def slow_affine(x, w, b):
    out = np.zeros((len(x), len(b)))
    for n in range(len(x)):
        for m in range(len(b)):
            out[n, m] = sum(value * w[d, m] for d, value in enumerate(x[n].flat)) + b[m]
    return out


def elementwise_shapes(n: int) -> st.SearchStrategy[Shapes]:
    return st.lists(sides, max_size=3).map(lambda each: {"x": (n, *each)})


def slow_relu(x):
    return np.array([value if value > 0 else 0.0 for value in x.flat]).reshape(x.shape)


CASES: dict[str, Case] = {
    "affine": Case(
        shapes=affine_shapes,
        slow=slow_affine,
        analytic=True,
        impossible=(
            ("x", {"x": (5, 3), "w": (4, 2), "b": (2,)}),  # D is not d1 * ... * dk
            ("x", {"x": (4, 5, 3), "w": (3, 2), "b": (2,)}),  # numpy's matmul alone would broadcast this
            ("x", {"x": (6,), "w": (6, 2), "b": (2,)}),  # one example without its batch axis
            ("x", {"x": (), "w": (1, 2), "b": (2,)}),
            ("w", {"x": (5, 3), "w": (3,), "b": ()}),
            ("w", {"x": (5, 3), "w": (3, 5, 1), "b": (5, 1)}),
            ("b", {"x": (5, 3), "w": (3, 2), "b": (3,)}),
            ("b", {"x": (5, 3), "w": (3, 2), "b": (1,)}),  # these three would broadcast, silently
            ("b", {"x": (5, 3), "w": (3, 2), "b": ()}),
            ("b", {"x": (5, 3), "w": (3, 2), "b": (5, 2)}),
        ),
    ),
    "relu": Case(
        shapes=elementwise_shapes,
        slow=slow_relu,
        analytic=False,  # a kink at zero, where an imaginary part has no side to be on
        draw=away_from_zero,
    ),
}
