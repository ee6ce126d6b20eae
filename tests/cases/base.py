"""What a row of the table of cases says, and helpers to write one."""

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


def elementwise_shapes(n: int) -> st.SearchStrategy[Shapes]:
    return st.lists(sides, max_size=3).map(lambda each: {"x": (n, *each)})
