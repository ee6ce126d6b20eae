"""Answer sheets: what an exercise compiles to, and all that a check needs.

A `Sheet` holds inputs, expected values, what each misconception gives, and tolerances. It is data only. It holds no
code, so the visible one can be handed to students, and it can be checked where the reference functions are not
installed.
"""

import dataclasses
import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import wire
from .exercise import (
    RTOL,
    Between,
    Call,
    Case,
    Choice,
    Close,
    Exactly,
    Exercise,
    Expectation,
    Fetch,
    Measure,
    Probe,
    Ref,
    Step,
    Train,
)
from .playing import outputs, play, summary
from .session import LocalSession


@dataclass(frozen=True)
class SheetCase:
    """A compiled case: what to do, what is expected, and what each misconception gives."""

    label: str
    hidden: bool
    steps: tuple[Step, ...]
    expect: dict[str, Expectation]
    mistakes: dict[str, dict]


@dataclass(frozen=True)
class Sheet:
    """Everything that a check needs, as data."""

    exercise: str
    title: str
    points: float
    grades: tuple[str, ...]
    labels: dict[str, str]
    pure: bool
    stretch: bool
    together: bool
    hints: dict[str, str]
    parameters: dict[str, tuple[str, ...]]
    cases: tuple[SheetCase, ...]

    def to_bytes(self) -> bytes:
        """The sheet in the format of `wire`."""
        return wire.encode(_to_plain(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sheet":
        """Read what `to_bytes` wrote."""
        return _from_plain(wire.decode(data))

    @property
    def version(self) -> str:
        """A name for these very contents."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:12]


def compile_sheet(exercise: Exercise, visible_seed: int, hidden_seed: int | None = None) -> Sheet:
    """Work out what is expected and what each misconception looks like.

    Parameters
    ----------
    exercise : Exercise
        What the author wrote.
    visible_seed : int
        Draws the cases that students see.
    hidden_seed : int, optional
        Draws the others. Without it the sheet has visible cases only, and may be handed out.
    """
    drawn = [(case, False) for case in exercise.visible(_rng(visible_seed, exercise.name))]
    if hidden_seed is not None and exercise.hidden is not None:
        drawn += [(case, True) for case in exercise.hidden(_rng(hidden_seed, exercise.name))]
    return Sheet(
        exercise.name,
        exercise.title,
        exercise.points,
        exercise.grades,
        dict(exercise.labels),
        exercise.pure,
        exercise.stretch,
        exercise.together,
        {mistake.id: mistake.hint for mistake in exercise.misconceptions},
        {
            name: tuple(inspect.signature(f).parameters)
            for name, f in exercise.reference.items()
            if callable(f)
        },
        tuple(_compile_case(exercise, case, hidden) for case, hidden in drawn),
    )


def _rng(seed: int, name: str) -> np.random.Generator:
    """A stream for one exercise: adding an exercise must not move the cases of the others."""
    return np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()[:8]])


def _compile_case(exercise: Exercise, case: Case, hidden: bool) -> SheetCase:
    steps = tuple(case.steps)
    calls = [
        step for step in steps if not isinstance(step, Train)
    ]  # what training gives is stated, not compared
    right = play(LocalSession(dict(exercise.reference)), calls)
    names = [name for name in outputs(calls) if name not in case.ignore]
    variables = {step.name for step in steps if isinstance(step, Fetch)}
    if right.problem and right.function not in variables:
        raise RuntimeError(f"{exercise.name}, case {case.label!r}: the reference {right.problem}")
    expect: dict[str, Expectation] = dict(case.expect)
    rtol = RTOL[np.dtype(np.float32 if case.float32 else np.float64)]
    for name in names:
        if name in variables or any(path.partition(".")[0] == name for path in expect):
            continue
        for path, value in _arrays(name, right.values[name]).items():
            expect[path] = Close(value, rtol, case.noise.get(name, 0.0))
    if case.float32:
        steps = tuple(_as_float32(step) for step in steps)
    mistakes = {}
    for mistake in exercise.misconceptions:
        # A mistake may make numpy warn, as the student's own would; only what it returns counts.
        with np.errstate(all="ignore"):
            wrong = play(LocalSession({**exercise.reference, **mistake.functions}), calls)
        mistakes[mistake.id] = summary(wrong, expect)
    return SheetCase(case.label, hidden, steps, expect, mistakes)


def _arrays(name: str, value: Any) -> dict[str, Any]:
    """What is compared of an output, by path: of a dict its arrays, of anything else the value itself."""
    if not isinstance(value, dict):
        return {name: value}
    return {f"{name}.{key}": array for key, array in value.items() if isinstance(array, np.ndarray)}


def _as_float32(step: Step) -> Step:
    if not isinstance(step, Call):
        return step
    cast = [
        a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == np.float64 else a for a in step.args
    ]
    return dataclasses.replace(step, args=tuple(cast))


# Dataclasses as tagged tuples, so that a sheet is made of what `wire` carries.
_KINDS = {
    kind.__name__: kind
    for kind in (Sheet, SheetCase, Call, Fetch, Train, Measure, Ref, Probe, Close, Between, Exactly, Choice)
}


def _to_plain(value: Any) -> Any:
    if type(value).__name__ in _KINDS:
        fields = {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return ("@", type(value).__name__, fields)
    if isinstance(value, tuple | list):
        return type(value)(_to_plain(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], str) and value[0] == "@":
        return _KINDS[value[1]](**_from_plain(value[2]))
    if isinstance(value, tuple | list):
        return type(value)(_from_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _from_plain(item) for key, item in value.items()}
    return value
