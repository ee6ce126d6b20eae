"""Run the program of a case on the functions of a session."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from minigrad import experiments

from . import measures, probes, wire
from .exercise import Call, Fetch, Measure, Probe, Ref, Step, Train
from .session import Problem, Session, plain_text

MAX_MEASURED = 1_000_000  # numbers of an array about which more numbers are wanted
MAX_ENTRIES = 1_000  # of a dict whose keys may be something else than text


@dataclass
class Played:
    """What a case gave: named values, or the problem that ended it, and which arguments were changed.

    `changed` holds ``(function, position, before, after)`` for each.
    """

    values: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    function: str = ""
    changed: list[tuple[str, int, Any, Any]] = field(default_factory=list)


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
    played, steps = Played(), list(steps)
    read = {
        ref.name for step in steps if isinstance(step, Measure) for ref in step.args
    }  # and so not kept there
    kept = set(keep) - read
    for step in steps:
        match step:
            case Fetch(name=function):
                reply = session.get(function)
                problem = reply.problem or _unpack(reply.value, [function], played.values)
            case Call(function=function):
                problem = _call(session, step, kept, seconds, played)
            case Train(settings=Ref(name=function)):
                problem = _train(session, step, played.values)
            case Measure(out=out):
                function, problem = producer(steps, out[0]), _measure(step, played.values)
        if problem:
            played.problem, played.function = problem, function
            break
    return played


def _call(
    session: Session, step: Call, keep: set[str], seconds: float | None, played: Played
) -> Problem | None:
    """Call the student's function; its outputs, and what it changed, go to `played`."""
    arguments = [_argument(value, played.values) for value in step.args]
    counters = [probe for probe in arguments if isinstance(probe, probes.Counted)]
    for probe in counters:
        probe.arguments = arguments
    kept = tuple(i for i, name in enumerate(step.out) if name in keep)
    try:
        reply = session.call(step.function, tuple(arguments), inout=step.inout, keep=kept, seconds=seconds)
    except wire.WireError as error:  # an earlier output could be sent, but not together with the others
        return Problem("raised", "", f"cannot be called with what came before: {plain_text(error)}")
    if counters and reply.problem is None:
        played.values["calls"] = float(sum(probe.count for probe in counters))
    generators = [i for i, argument in enumerate(arguments) if isinstance(argument, np.random.Generator)]
    if generators and reply.problem is None:  # drawing from one is what it is for
        played.values["drew"] = float(any(i in reply.after for i in generators))
    for position, after in reply.after.items():
        before = arguments[position]
        if position in generators or (position in step.writes and _only_numbers_differ(before, after)):
            continue
        if _same_but_for_order(before, after):
            continue
        if not (position in step.inout and _same_but_for_rounding(before, after)):
            played.changed.append((step.function, position, before, after))
    problem = reply.problem or _unpack(reply.value, list(step.out), played.values)
    if problem is None:
        played.values.update({name: reply.after.get(i, arguments[i]) for i, name in step.writes.items()})
    return problem


def _measure(step: Measure, values: dict[str, Any]) -> Problem | None:
    """Work out numbers about earlier outputs, and add them to `values`."""
    for ref in step.args:
        if isinstance(values[ref.name], np.ndarray) and values[ref.name].size > MAX_MEASURED:
            return Problem("raised", "", f"returned an array of shape {values[ref.name].shape}")
    try:
        numbers = measures.measure(step.what, *(values[ref.name] for ref in step.args))
    except ValueError as error:
        return Problem("raised", "", f"should return {plain_text(error)}")
    values.update(zip(step.out, numbers, strict=True))
    return None


def _train(session: Session, step: Train, values: dict[str, Any]) -> Problem | None:
    """Train with what the student asks for, and add what was measured to `values`."""
    remedy = values[step.settings.name]
    if remedy is None or (isinstance(remedy, Mapping) and not remedy):
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
            values.update({name: measured[name] for name in step.out})
    except NotImplementedError:
        return Problem("raised", "", "waits for the functions that this run needs: write them first")
    except Exception as error:  # of the student's functions, where the run has none but those
        text = f"{type(error).__name__}: {plain_text(error)}"
        return Problem("raised", "", f"could not be tried: one of your functions in this run raised {text}")
    return None


def producer(steps: Sequence[Step], path: str) -> str:
    """The function (or variable) from which an output comes."""
    name = path.partition(".")[0]
    for step in steps:
        if isinstance(step, Fetch) and step.name == name:
            return name
        if isinstance(step, Call) and (name in _names(step) or name in ("calls", "drew")):
            return step.function
        if isinstance(step, Train) and name in step.out:
            return step.settings.name
        if isinstance(step, Measure) and name in step.out:
            return producer(steps, step.args[0].name)
    raise KeyError(path)


def outputs(steps: Iterable[Step]) -> list[str]:
    """Names that a program binds."""
    return [name for step in steps for name in _names(step)]


def _names(step: Step) -> tuple[str, ...]:
    match step:
        case Fetch(name=name):
            return (name,)
        case Call(out=out, writes=writes):
            return (*out, *writes.values())
    return step.out


def look_up(values: Mapping[str, Any], path: str) -> Any:
    """The value of an output, or of a key in it: ``"errors.W1"``. KeyError where there is none."""
    name, _, key = path.partition(".")
    value = values[name]
    if not key:
        return value
    if not isinstance(value, dict):
        raise KeyError(path)
    if key in value or len(value) > MAX_ENTRIES:
        return value[key]
    return {str(k): v for k, v in value.items() if isinstance(k, int | np.integer)}[key]


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


def _only_numbers_differ(before: dict, after: Any) -> bool:
    """Whether the texts in a dict (a mode) are still there; numbers may change, and new entries are welcome."""
    return isinstance(after, dict) and all(
        isinstance(after.get(key), str) and after[key] == value
        for key, value in before.items()
        if isinstance(value, str)
    )


def _same_but_for_order(before: Any, after: Any) -> bool:
    """Whether all that changed is the order of entries in dicts: one was taken out, and put back."""
    try:
        return wire.encode(_in_order(before)) == wire.encode(_in_order(after))
    except wire.WireError:
        return False


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value, key=repr)}
    return type(value)(map(_in_order, value)) if type(value) in (list, tuple) else value


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
