"""Labs: what a notebook lets a student play with.

A lab is a module with five names and nothing that depends on a notebook:

- `PARAMETERS`, a list of `Slider`: what can be moved.
- `REQUIRES`, the names of the student's functions that it runs.
- `simulate(parameters, functions) -> result`: numbers in, plain data out. `parameters` maps the name of each
  slider to its value, `functions` each required name to a function.
- `draw(result, figure)`: draws the result into an empty matplotlib figure.
- `describe(result) -> str`: the same in words, for readers who do not see the figure.

`minigrad.labs.explore.explore` turns any such module into sliders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Lab", "Slider"]


@dataclass(frozen=True)
class Slider:
    """One number that a reader can move.

    Parameters
    ----------
    name : str
        The key under which `simulate` finds its value.
    min, max, step, default : float
    label : str
        What stands beside the slider.
    """

    name: str
    min: float
    max: float
    step: float
    default: float
    label: str


class Lab(Protocol):
    """The names that a lab module has."""

    PARAMETERS: list[Slider]
    REQUIRES: tuple[str, ...]

    def simulate(self, parameters: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]) -> Any:
        """Compute what is to be shown."""

    def draw(self, result: Any, figure: Figure) -> None:
        """Draw it."""

    def describe(self, result: Any) -> str:
        """Say it in words."""
