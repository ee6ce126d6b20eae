"""Labs: what a notebook lets a student play with.

A lab is a module with five names and nothing that depends on a notebook:

- `PARAMETERS`, a list of `Slider`, `Menu` and `Button`: what can be moved, in the order in which it shows.
- `REQUIRES`, the names of the student's functions that it runs.
- `simulate(parameters, functions) -> result`: numbers in, plain data out. `parameters` maps the name of each
  control to its value, `functions` each required name to a function. The same parameters give the same result.
- `draw(result, figure)`: draws the result into an empty matplotlib figure.
- `describe(result) -> str`: the same in words, for readers who do not see the figure.

A sixth, `SIZE = (width, height)` in inches, is for a figure that 8.0 by 3.6 does not suit.

`minigrad.labs.explore.explore` turns any such module into sliders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Button", "Control", "Lab", "Menu", "Slider"]


class Control:
    """What a reader can move or press: a `Slider`, a `Menu` or a `Button`."""

    name: str
    label: str
    default: Any


@dataclass(frozen=True)
class Slider(Control):
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


@dataclass(frozen=True)
class Menu(Control):
    """One of several words that a reader can choose.

    Parameters
    ----------
    name : str
        The key under which `simulate` finds the word.
    options : tuple of str
    default : str
        One of them.
    label : str
        What stands beside the menu.
    """

    name: str
    options: tuple[str, ...]
    default: str
    label: str


@dataclass(frozen=True)
class Button(Control):
    """Something that a reader can do again and again, such as a training step.

    `simulate` finds how many times it was pressed since a slider or a menu last moved, and starts from the
    beginning each time: three presses are three steps from the start. So what shows depends on numbers alone.

    Parameters
    ----------
    name : str
        The key under which `simulate` finds the count.
    label : str
        What stands on the button.
    """

    name: str
    label: str
    default = 0  # no field: every button starts there


class Lab(Protocol):
    """The names that a lab module has."""

    @property
    def PARAMETERS(self) -> Sequence[Control]:
        """What can be moved."""

    @property
    def REQUIRES(self) -> Sequence[str]:
        """Which functions of the student it runs."""

    def simulate(self, parameters: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
        """Compute what is to be shown."""

    def draw(self, result: Any, figure: Figure) -> None:
        """Draw it."""

    def describe(self, result: Any) -> str:
        """Say it in words."""
