"""Exercises, and the answer sheets that they compile to.

An `Exercise` is what an author writes: reference functions, cases, points, and *misconceptions*, plausible
wrong answers with a hint for the student who gave them. A `Sheet` is what a check needs: inputs, expected
values, what each misconception gives, tolerances. A sheet is data only. It holds no code, so the visible one
can be handed to students, and it can be checked where the reference functions are not installed.

A case is a short straight-line program: calls of the student's functions whose outputs get names. The same
program is played with the reference functions to learn what is expected, with each misconception in place of
one of them to learn what that mistake looks like, and with the student's functions to check them.
"""

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from minigrad import experiments

from . import measures, probes, wire
from .session import LocalSession, Problem, Session, plain_text

RTOL = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 1e-4}


@dataclass(frozen=True)
class Ref:
    """An output of an earlier call of the same case, by name."""

    name: str


@dataclass(frozen=True)
class Probe:
    """A function given to the student's function, named so that it can be written down as data.

    `over` is the position of the argument that the function closes over, for those that ignore what they
    are called with (see `probes`).
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    over: int | None = None


@dataclass(frozen=True)
class Call:
    """Call a function of the notebook: ``out = function(*args)``.

    A single name in `out` is the value itself; several names unpack a tuple of that length. Outputs that no
    check reads (a cache) stay with the student. `inout` is as in `Session.call`.
    """

    function: str
    args: tuple
    out: tuple[str, ...]
    inout: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fetch:
    """Read a variable of the notebook."""

    name: str


@dataclass(frozen=True)
class Close:
    """Expect `value`: shapes equal, and the largest difference small beside the largest entry.

    `noise` is an absolute bound on honest round-off, for results such as finite differences.
    """

    value: Any
    rtol: float = RTOL[np.dtype(np.float64)]
    noise: float = 0.0


@dataclass(frozen=True)
class Between:
    """Expect a number from `low` to `high`; otherwise say `text`, in which ``{value}`` is what was seen."""

    low: float
    high: float
    text: str = ""


@dataclass(frozen=True)
class Choice:
    """Expect one answer of several. Answers are stored as salted digests, so that a sheet does not read as a key.

    `notes` holds, for each digest, what to say to the student who chose that answer.
    """

    salt: str
    right: str
    notes: Mapping[str, str]

    @classmethod
    def of(cls, question: str, key: str, right: str, wrong: Mapping[str, str]) -> "Choice":
        """Build from plain answers: the key with its confirmation, each wrong answer with its explanation."""
        salt = hashlib.sha256(question.encode()).hexdigest()[:12]
        notes = {cls.digest(salt, answer): note for answer, note in {**wrong, key: right}.items()}
        return cls(
            salt, cls.digest(salt, key), dict(sorted(notes.items()))
        )  # sorted: the key must not stand last

    @staticmethod
    def digest(salt: str, answer: str) -> str:
        """Digest of an answer, whatever its case and spacing."""
        text = f"{salt}:{' '.join(answer.lower().split())}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


Expectation = Close | Between | Choice


@dataclass(frozen=True)
class Train:
    """Run an experiment with the settings that a variable holds, on this side of the boundary.

    `experiment` names a module of `minigrad.experiments`, `settings` an output of an earlier step. Each name in
    `out` is a number of its record, averaged over `seeds`. A remedy is data: nothing of the student's runs here.
    """

    experiment: str
    settings: Ref
    out: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Measure:
    """Numbers about outputs of earlier calls, worked out on this side: for what may be right in many ways.

    `what` names one of `measures`; its numbers get the names in `out`.
    """

    what: str
    args: tuple[Ref, ...]
    out: tuple[str, ...]


Step = Call | Fetch | Train | Measure


@dataclass(frozen=True)
class Case:
    """One situation in which functions are checked.

    Parameters
    ----------
    label : str
        The situation in a few words, for the reader of a verdict: ``"x of shape (3, 2, 5)"``.
    steps : sequence of Call, Fetch, Train and Measure
        What to do, and what to measure of it.
    expect : mapping, optional
        Expectation for an output where it is not simply the reference's value. A dot reads a key of a dict
        (``"errors.W1"``); ``"calls"`` is the number of times that a probe was called.
    noise : mapping, optional
        Bound on honest round-off for an output.
    ignore : tuple of str
        Outputs that this case does not check.
    float32 : bool
        Give every float64 array as float32; the expected values are those of float64.
    """

    label: str
    steps: Sequence[Step]
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    ignore: tuple[str, ...] = ("cache",)
    float32: bool = False


@dataclass(frozen=True)
class Misconception:
    """A plausible wrong answer, and what to say to the student who gave it (never the answer)."""

    id: str
    hint: str
    functions: Mapping[str, Any]  # and values of variables


@dataclass(frozen=True)
class Exercise:
    """What is graded under one name.

    Parameters
    ----------
    name : str
        As in ``check(name)``.
    title : str
        For people.
    points : float
        Shared among the checks by their weights.
    grades : tuple of str
        The functions or variables that the student writes for this exercise.
    reference : mapping
        A right function for each name that the cases call; a remedy that heals, for a variable that is trained with.
    visible, hidden : callable
        Take a Generator and return cases. Hidden ones are drawn from a secret seed.
    misconceptions : sequence of Misconception
        The bank.
    labels : mapping
        Output name to what a passed check says: ``{"dx": "dx is the gradient of x"}``. One check each.
    pure : bool
        Whether leaving the arguments as they were is a check of its own.
    stretch : bool
        Beyond the core path.
    together : bool
        No points for a part: a remedy that keeps units alive and learns nothing has healed nothing.
    """

    name: str
    title: str
    points: float
    grades: tuple[str, ...]
    reference: Mapping[str, Any]
    visible: Callable[[np.random.Generator], Iterable[Case]]
    hidden: Callable[[np.random.Generator], Iterable[Case]] | None = None
    misconceptions: Sequence[Misconception] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    pure: bool = True
    stretch: bool = False
    together: bool = False


@dataclass
class Played:
    """What a case gave: named values, or the problem that ended it, and which arguments were changed.

    `changed` holds ``(function, position, before, after)`` for each.
    """

    values: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    function: str = ""
    changed: list[tuple[str, int, Any, Any]] = field(default_factory=list)


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


def play(
    session: Session, steps: Iterable[Step], *, keep: Iterable[str] = (), seconds: float | None = None
) -> Played:
    """Run a case's program on the functions of a session.

    Parameters
    ----------
    session : Session
        Where the functions are.
    steps : iterable of Call, Fetch, Train and Measure
        The program.
    keep : iterable of str
        Outputs to leave on the other side.
    seconds : float, optional
        Time for each call.
    """
    played = Played()
    steps = list(steps)
    measured = {ref.name for step in steps if isinstance(step, Measure) for ref in step.args}
    for step in steps:
        if isinstance(step, Train):
            problem = _train(session, step, played.values)
            if problem:
                played.problem, played.function = problem, step.settings.name
                break
            continue
        if isinstance(step, Measure):
            try:
                numbers = measures.measure(step.what, *(played.values[ref.name] for ref in step.args))
            except ValueError as error:
                played.problem = Problem("raised", "", f"should return {plain_text(error)}")
                played.function = producer(steps, step.out[0])
                break
            played.values.update(zip(step.out, numbers, strict=True))
            continue
        if isinstance(step, Fetch):
            reply, names = session.get(step.name), outputs([step])
        else:
            arguments = [_argument(value, played.values) for value in step.args]
            counters = [probe for probe in arguments if isinstance(probe, probes.Counted)]
            for probe in counters:
                probe.arguments = arguments
            kept = tuple(i for i, name in enumerate(step.out) if name in keep and name not in measured)
            reply = session.call(
                step.function, tuple(arguments), inout=step.inout, keep=kept, seconds=seconds
            )
            names = outputs([step])
            if counters and reply.problem is None:
                played.values["calls"] = float(sum(probe.count for probe in counters))
            for position, after in reply.after.items():
                before = arguments[position]
                if isinstance(before, np.random.Generator):
                    continue  # drawing from a generator is what it is for
                if not (position in step.inout and _same_but_for_rounding(before, after)):
                    played.changed.append((step.function, position, before, after))
        problem = reply.problem or _unpack(reply.value, names, played.values)
        if problem:
            played.problem, played.function = problem, getattr(step, "function", names[0])
            break
    return played


def _train(session: Session, step: Train, values: dict[str, Any]) -> Problem | None:
    """Train with what the student asks for, and add what was measured to `values`."""
    remedy = values[step.settings.name]
    if remedy is None or remedy == {}:
        return Problem("raised", "NotImplementedError", "")
    experiment = experiments.find(step.experiment)
    try:
        experiments.complete(experiment, remedy)
        experiments.functions_of(experiment, session.own)
    except ValueError as error:
        return Problem("raised", "", plain_text(error))
    except LookupError as error:
        return Problem("missing", "", f"this run needs your {error.args[0]}, which is not defined")
    try:
        # A remedy that makes things worse may overflow. Threads that wait for a busy processor cost twentyfold.
        with np.errstate(all="ignore"), threadpool_limits(limits=1, user_api="blas"):
            measured = experiments.measure(step.experiment, remedy, step.seeds, session.own)
    except NotImplementedError:
        return Problem("raised", "", "waits for the functions that this run needs: write them first")
    except Exception as error:  # of the student's functions, where the run has none but those
        return Problem("raised", type(error).__name__, plain_text(error))
    values.update({name: measured[name] for name in step.out})
    return None


def producer(steps: Sequence[Step], path: str) -> str:
    """The function (or variable) from which an output comes."""
    name = path.partition(".")[0]
    for step in steps:
        if isinstance(step, Fetch) and step.name == name:
            return name
        if isinstance(step, Call) and (name in step.out or name == "calls"):
            return step.function
        if isinstance(step, Train) and name in step.out:
            return step.settings.name
        if isinstance(step, Measure) and name in step.out:
            return producer(steps, step.args[0].name)
    raise KeyError(path)


def outputs(steps: Iterable[Step]) -> list[str]:
    """Names that a program binds."""
    return [name for step in steps for name in ([step.name] if isinstance(step, Fetch) else step.out)]


def look_up(values: Mapping[str, Any], path: str) -> Any:
    """The value of an output, or of a key in it: ``"errors.W1"``. KeyError where there is none."""
    name, _, key = path.partition(".")
    value = values[name]
    if not key:
        return value
    if not isinstance(value, dict):
        raise KeyError(path)
    if key in value:
        return value[key]
    return {str(k): v for k, v in value.items()}[key]


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
        if name not in variables and not any(path.partition(".")[0] == name for path in expect):
            expect[name] = Close(right.values[name], rtol, case.noise.get(name, 0.0))
    if case.float32:
        steps = tuple(_as_float32(step) for step in steps)
    mistakes = {}
    for mistake in exercise.misconceptions:
        # A mistake may make numpy warn, as the student's own would; only what it returns counts.
        with np.errstate(all="ignore"):
            wrong = play(LocalSession({**exercise.reference, **mistake.functions}), calls)
        mistakes[mistake.id] = summary(wrong, expect)
    return SheetCase(case.label, hidden, steps, expect, mistakes)


def summary(played: Played, paths: Iterable[str]) -> dict:
    """What is compared to recognise a mistake: values by path, type of problem, arguments changed."""
    values = {}
    for path in paths:
        try:
            values[path] = look_up(played.values, path)
        except KeyError:
            continue
    return {
        "values": values,
        "problem": played.problem.type if played.problem else None,
        "function": played.function,
        "changed": [(function, position) for function, position, _, _ in played.changed],
    }


def _argument(value: Any, values: Mapping[str, Any]) -> Any:
    """What a call is given: a fresh copy, an earlier output, or a probe."""
    if isinstance(value, Ref):
        return values[value.name]
    if isinstance(value, Probe):
        return probes.build(value.name, value.parameters, value.over)
    return wire.decode(wire.encode(value))


def _unpack(value: Any, names: list[str], into: dict[str, Any]) -> Problem | None:
    if len(names) == 1:
        into[names[0]] = value
        return None
    wanted = ", ".join(names)
    if not isinstance(value, tuple):
        kind = "nothing" if value is None else "one value"
        return Problem("raised", "", f"returned {kind}; it should return {len(names)}: {wanted}")
    if len(value) != len(names):
        return Problem("raised", "", f"returned {len(value)} values; it should return {len(names)}: {wanted}")
    into.update(zip(names, value, strict=True))
    return None


def _same_but_for_rounding(before: Any, after: Any) -> bool:
    """Whether an array that was perturbed in place came back, but for the last bits of ``x + h - h``."""
    if isinstance(before, dict):
        return (
            isinstance(after, dict)
            and before.keys() == after.keys()
            and all(_same_but_for_rounding(before[key], after[key]) for key in before)
        )
    if not isinstance(after, np.ndarray) or before.shape != after.shape:
        return False
    if after.dtype != before.dtype:
        return False
    with np.errstate(all="ignore"):
        bound = 16 * np.finfo(np.float64).eps * np.maximum(1.0, np.abs(before))
        return bool(np.all(np.abs(after - before) <= bound))


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
    for kind in (Sheet, SheetCase, Call, Fetch, Train, Measure, Ref, Probe, Close, Between, Choice)
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
