"""What a row of the table of cases says, and helpers to write one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

Rng = np.random.Generator
Shape = tuple[int, ...]
Shapes = dict[str, Shape]  # of each differentiable argument, by name, in the order of forward
Draw = Callable[[Rng, Shape], np.ndarray]


def normal(rng: Rng, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape)


def away_from_zero(rng: Rng, shape: Shape) -> np.ndarray:
    """No element within 0.1 of zero: a difference with a small step does not cross a kink there."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 2.0, shape)


@dataclass(frozen=True)
class Case:
    """What the contract test has to know of a pair.

    shapes(n) draws the shapes of the differentiable arguments for a batch of n; draw(rng, shape) fills one, and
    may be a dict by argument name, where the others are normal.

    params are the arguments of forward that have no gradient: a tuple, or params(rng, shapes) -> tuple where they
    depend on the shapes. Each run of forward gets a copy of its own. writes names the keys of dicts among
    them that forward may write. Where arguments with and without gradient do not come in this order,
    arrange(inputs, params) is the tuple of arguments.

    slow takes the arguments of forward, and is the forward pass as an obvious loop over numbers. torch takes
    the differentiable arguments as a list of tensors, and params, and is the forward pass in PyTorch; or it says
    why there is none. analytic says whether complex numbers pass through, so that the complex step is an oracle
    for the gradients; where not, differences are.

    impossible lists arguments that forward must refuse, each with the shapes that make it impossible (and, where
    they cannot be drawn for such shapes, params). parts are the pairs that it is made of, where one of them may
    be the one that refuses.
    """

    shapes: Callable[[int], st.SearchStrategy[Shapes]]
    slow: Callable[..., Any]
    analytic: bool
    torch: Callable[[list, tuple], Any] | str = ""
    draw: Draw | dict[str, Draw] = normal
    params: tuple | Callable[[Rng, Shapes], tuple] = ()
    arrange: Callable[[list, tuple], tuple] = lambda inputs, params: (*inputs, *params)
    writes: tuple[str, ...] = ()
    impossible: tuple[tuple[str, Shapes] | tuple[str, Shapes, tuple], ...] = ()
    parts: tuple[str, ...] = ()

    def inputs(self, rng: Rng, shapes: Shapes) -> list[np.ndarray]:
        """The differentiable arguments."""
        fill = self.draw.get if isinstance(self.draw, dict) else lambda name, default: self.draw
        return [np.asarray(fill(name, normal)(rng, shape)) for name, shape in shapes.items()]

    def other_arguments(self, rng: Rng, shapes: Shapes) -> tuple:
        """The others."""
        return self.params(rng, shapes) if callable(self.params) else self.params


sides = st.integers(1, 4)


def elementwise_shapes(n: int) -> st.SearchStrategy[Shapes]:
    return st.lists(sides, max_size=3).map(lambda each: {"x": (n, *each)})
