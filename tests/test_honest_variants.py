"""Every right way to write a function gets full points: other caches, loops, helpers, warnings, float32 inside.

They are the files of ``tests/ways``, one an assignment. A way begins with ``# %% EXERCISE``; what it does not define
comes from the reference. The files are not called ``.py`` because they are many programs each. Those of assignment 01
are whole notebooks, in ``tests/honest``.
"""

import contextlib
import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from autograder import exercises
from autograder.checking import check_sheet
from autograder.exercises import full_sheet
from autograder.session import LocalSession

ENOUGH = 10  # ways of each exercise that is worth more than two points


def ways(path: Path) -> list[tuple[str, str]]:
    """The exercise and the source of each way in a file."""
    _, *parts = re.split(r"(?m)^# %% (\w+)\n", path.read_text(encoding="utf-8"))
    return list(zip(parts[::2], parts[1::2], strict=True))


HONEST = {path.stem: ways(path) for path in sorted(Path(__file__).with_name("ways").iterdir())}
VARIANTS = [
    pytest.param(assignment, name, text, id=f"{name}-{number}")
    for assignment, found in HONEST.items()
    for number, (name, text) in enumerate(found)
]


@pytest.mark.parametrize(("assignment", "name", "text"), VARIANTS)
def test_a_right_way_gets_all_points(assignment, name, text):
    exercise = exercises.assignments()[assignment][name]
    namespace = {"np": np, **exercise.reference}
    exec(compile(text, f"<{name}>", "exec"), namespace)
    for seed in (0, 1):
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # a warning costs a student nothing
            report = check_sheet(LocalSession(dict(namespace)), full_sheet(name, seed))
        assert report.score == exercise.points, report.text()


@pytest.mark.parametrize("assignment", HONEST)
def test_every_function_of_an_assignment_has_enough_ways(assignment):
    group = exercises.assignments()[assignment]
    functions = {name for name, exercise in group.items() if any(map(callable, exercise.reference.values()))}
    written = [name for name, _ in HONEST[assignment]]
    assert functions == set(written)
    few = {name for name in functions if group[name].points > 2 and written.count(name) < ENOUGH}
    assert not few
