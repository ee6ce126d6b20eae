"""The exercises of the course, one module for each assignment that has them.

A module names its ``ASSIGNMENT`` and lists its ``EXERCISES``; it is found by being here. Where the course is
handed to students (a bundle), the modules are absent and the visible sheets stand in their place, under
``sheets/``.
"""

import functools
import importlib
import pkgutil
from pathlib import Path

from ..sheet import Exercise, Sheet, compile_sheet

VISIBLE_SEED = 2016  # the year of the post that the course is about
SHEETS = Path(__file__).with_name("sheets")

# Which assignment asks for which function of the library: there, and before, students get a stub of it.
# A table, not a list drawn from the exercises, because an assignment is graded before the later ones have
# any, and because a second implementation belongs to the exercise that it would give away. A function of the
# library stands here or in UNGRADED; the tests see to that.
GRADED_IN: dict[str, str] = {
    "minigrad.gradcheck.numerical_gradient": "01_gradient_checking",
    "minigrad.gradcheck.numerical_gradient_array": "01_gradient_checking",
    "minigrad.gradcheck.relative_error": "01_gradient_checking",
    "minigrad.gradcheck.gradient_check": "01_gradient_checking",
    "minigrad.gradcheck.eval_numerical_gradient": "01_gradient_checking",
    "minigrad.gradcheck.eval_numerical_gradient_array": "01_gradient_checking",
    "minigrad.gradcheck.grad_check_sparse": "01_gradient_checking",
    "minigrad.gradcheck.rel_error": "01_gradient_checking",
    "minigrad.layers.affine.affine_forward": "01_gradient_checking",
    "minigrad.layers.affine.affine_backward": "01_gradient_checking",
    "minigrad.layers.activations.relu_forward": "03_dying_relu",
    "minigrad.layers.activations.relu_backward": "03_dying_relu",
}
# Those of them that no exercise asks for, and what each would give away.
SECOND_IMPLEMENTATIONS: dict[str, str] = {
    "minigrad.gradcheck.numerical_gradient_array": "numerical_gradient",
    "minigrad.gradcheck.eval_numerical_gradient": "numerical_gradient",
    "minigrad.gradcheck.eval_numerical_gradient_array": "numerical_gradient",
    "minigrad.gradcheck.grad_check_sparse": "gradient_check",
    "minigrad.gradcheck.rel_error": "relative_error",
}
# Functions that always work, and why they may.
UNGRADED: dict[str, str] = {
    "minigrad.gradcheck.describe_difference": "checks word their verdicts with it, in the student's kernel",
}


@functools.cache
def assignments() -> dict[str, dict[str, Exercise]]:
    """Exercises by assignment and name, in the order in which they are listed."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    found = {module.ASSIGNMENT: {e.name: e for e in module.EXERCISES} for module in modules}
    return dict(sorted(found.items()))


def find(name: str) -> Exercise:
    """The exercise of that name; names are unique in the course."""
    every = {key: exercise for group in assignments().values() for key, exercise in group.items()}
    if name not in every:
        raise KeyError(f"there is no exercise {name!r}; there are: {', '.join(every)}")
    return every[name]


@functools.cache
def visible_sheet(name: str) -> Sheet:
    """The sheet that students may have: compiled here, or read where only the sheets were handed out."""
    if SHEETS.is_dir():
        if not (SHEETS / f"{name}.sheet").is_file():
            there = ", ".join(sorted(path.stem for path in SHEETS.glob("*.sheet")))
            raise KeyError(f"there is no exercise {name!r}; there are: {there}")
        return Sheet.from_bytes((SHEETS / f"{name}.sheet").read_bytes())
    return compile_sheet(find(name), VISIBLE_SEED)


@functools.cache
def full_sheet(name: str, hidden_seed: int) -> Sheet:
    """The sheet of the grader, hidden cases included.

    The cases that students see are drawn anew as well: a function that has learnt their numbers by heart fails.
    """
    return compile_sheet(find(name), hidden_seed + 1, hidden_seed)
