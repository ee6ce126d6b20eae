"""Check a student's functions against an answer sheet, and say what was seen.

One mechanism, three users: the tests of the library, the check cell in a student's notebook, and the grader.
`check(name)` is what notebooks call; `check_sheet(session, sheet)` is what it and the grader share.
"""

import contextlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.gradcheck import describe_difference

from .exercise import Between, Choice, Close, Exactly, Expectation
from .playing import Played, look_up, outputs, play, producer, summary
from .report import NOT_RUN, PASSED, RAISED, TIMED_OUT, WRONG, Finding, Report
from .session import Handle, LocalSession, Problem, Session
from .sheet import Sheet, SheetCase

MAX_COMPARED = 1_000_000  # numbers of an array
MAX_LISTED = 20_000  # numbers and lists in a list to be taken as one: each mistake of the bank has another look at them
CALL_SECONDS = 8.0  # one call of a student's function; an honest one takes milliseconds


def check(name: str) -> Report:
    """Check an exercise on the functions of this notebook.

    Parameters
    ----------
    name : str
        The exercise, as the notebook calls it: ``"affine_forward"``.

    Returns
    -------
    report : Report
        Shows as a table in a notebook. Cases that only the grader knows are not part of it.

    Raises
    ------
    KeyError
        If there is no exercise of that name; the message lists those that there are.
    """
    from .exercises import visible_sheet

    namespace = sys._getframe(1).f_globals
    # A warning is worth seeing, but stock nbgrader gives no points to a cell that has written to stderr.
    with contextlib.redirect_stderr(sys.stdout):
        return check_sheet(LocalSession(namespace), visible_sheet(name))


def check_sheet(session: Session, sheet: Sheet, seconds: float = CALL_SECONDS) -> Report:
    """Check the functions of a session against a sheet.

    Parameters
    ----------
    session : Session
        Where the student's functions are.
    sheet : Sheet
        With hidden cases or without.
    seconds : float
        Time for each call.

    Returns
    -------
    report : Report
        Never raises for anything that the student's code does.
    """
    report = Report(sheet.exercise, sheet.title, sheet.points, stretch=sheet.stretch)
    visible = [case for case in sheet.cases if not case.hidden]
    hidden = [case for case in sheet.cases if case.hidden]
    played = _play_all(session, visible, seconds)
    lines = _lines(visible, sheet)
    for path in lines:
        report.findings.append(_check_output(path, played, sheet))
    right = all(finding.outcome == PASSED for finding in report.findings)
    if any(finding.outcome == PASSED for finding in report.findings) and sheet.pure:
        report.findings.append(_check_purity(played, sheet))
    elif sheet.pure:
        text = "it waits until a value is right"
        report.findings.append(Finding("the arguments are left as they were", NOT_RUN, text))
    if hidden:
        pure = not sheet.pure or report.findings[-1].outcome == PASSED
        report.findings.append(_check_hidden(session, hidden, sheet, seconds, right, pure, len(lines)))
    if sheet.together and any(finding.outcome != PASSED for finding in report.findings):
        for finding in report.findings:
            finding.weight = float(finding.outcome != PASSED)
    report.findings[:0] = _check_borrowed(played, sheet)
    return report


def not_run(sheet: Sheet, reason: str) -> Report:
    """A report for an exercise that could not be checked: no points, and why."""
    lines = _lines([case for case in sheet.cases if not case.hidden], sheet)
    findings = [Finding(sheet.labels.get(path, path), NOT_RUN, reason) for path in lines]
    return Report(sheet.exercise, sheet.title, sheet.points, findings, sheet.stretch)


# -- playing

Plays = list[tuple[SheetCase, Played]]


def _play_all(session: Session, cases: Iterable[SheetCase], seconds: float) -> Plays:
    """Play the cases in turn; once a process has died or a call timed out, the rest would only repeat it."""
    plays: Plays = []
    stop: Played | None = None
    for case in cases:
        if stop is None:
            read = {path.partition(".")[0] for path in case.expect}
            kept = [name for name in outputs(case.steps) if name not in read]
            played = play(session, case.steps, keep=kept, seconds=seconds)
            if played.problem and played.problem.kind in ("timed out", "died"):
                stop = played
            elif getattr(session, "alive", True):
                session.forget()
            plays.append((case, played))
        else:
            plays.append((case, Played(problem=stop.problem, function=stop.function)))
    return plays


def _lines(cases: Iterable[SheetCase], sheet: Sheet) -> list[str]:
    """The outputs that this exercise is about, in order: those of the functions that it grades."""
    paths = [path for case in cases for path in case.expect if producer(case.steps, path) in sheet.grades]
    return list(dict.fromkeys(paths))


# -- one line of the verdict


def _check_output(path: str, plays: Plays, sheet: Sheet) -> Finding:
    """One output, over all the cases that check it."""
    label = sheet.labels.get(path, f"{path} is right")
    mine = [(case, played) for case, played in plays if path in case.expect]
    for case, played in mine:
        bad = _judge(path, case, played, sheet)
        if bad:
            outcome, message, where = bad
            finding = Finding(label, outcome, f"{message} ({where})" if where else message)
            if outcome in (WRONG, RAISED):
                finding.misconception = _recognise(path, plays)
                finding.hint = sheet.hints.get(finding.misconception or "", "")
            return finding
    note = next((_right_note(case.expect[path]) for case, _ in mine), "")
    return Finding(label, PASSED, note)


def _judge(path: str, case: SheetCase, played: Played, sheet: Sheet) -> tuple[str, str, str] | None:
    """What is wrong with an output in one case: outcome, message, and in which case; None if nothing."""
    try:
        value = look_up(played.values, path)
    except KeyError:
        if played.problem is None:
            name, _, key = path.partition(".")
            if not isinstance(held := played.values.get(name), Mapping):
                return WRONG, f"{name} should be a dict with an entry {key!r}; yours is {_kind(held)}", ""
            return WRONG, f"{name} has no entry {key!r}", ""
        return _judge_problem(played.function, played.problem, case, sheet)
    expectation = case.expect[path]
    message = compare(value, expectation, path)
    if message is None:
        return None
    unanswered = isinstance(expectation, Choice) and not _answer(value)
    return (NOT_RUN if unanswered else WRONG), message, "" if isinstance(expectation, Choice) else case.label


def _judge_problem(function: str, problem: Problem, case: SheetCase, sheet: Sheet) -> tuple[str, str, str]:
    own = function in sheet.grades
    if problem.kind == "missing":
        return NOT_RUN, f"{problem.message}: run the cell that defines it", ""
    if problem.type == "NotImplementedError":
        missing = problem.message if problem.message.isidentifier() else function
        if missing != function:
            return NOT_RUN, f"{missing} is not written yet; {function} calls it", ""
        return NOT_RUN, f"{function} is not written yet" + ("" if own else "; this one needs it"), ""
    # A problem without a type is no exception: the function returned something that cannot be unpacked.
    outcome = {"timed out": TIMED_OUT}.get(
        problem.kind, RAISED if problem.type or problem.kind == "died" else WRONG
    )
    return (
        outcome,
        f"{function} {problem}" if problem.kind == "raised" else f"{function}: {problem}",
        case.label,
    )


def _check_purity(plays: Plays, sheet: Sheet) -> Finding:
    label = "the arguments are left as they were"
    for case, played in plays:
        for function, position, before, after in played.changed:
            if function not in sheet.grades:
                continue
            name = sheet.parameters[function][position]
            where = _where_changed(before, after)
            message = f"{name} was changed by {function}{where} ({case.label})"
            finding = Finding(label, WRONG, message)
            finding.hint = "The caller still needs it. Make a new array instead of writing into this one."
            same = [
                mistake
                for mistake, wanted in case.mistakes.items()
                if (function, position) in [tuple(change) for change in wanted["changed"]]
            ]
            if same:  # of several, the one that also returns what was returned
                seen = summary(played, case.expect)
                finding.misconception = max(same, key=lambda mistake: _agreements(seen, mistake, case))
                finding.hint = sheet.hints[finding.misconception]
            return finding
    return Finding(label, PASSED)


def _check_hidden(
    session: Session,
    cases: list[SheetCase],
    sheet: Sheet,
    seconds: float,
    right: bool,
    pure: bool,
    weight: int,
) -> Finding:
    """All hidden cases, as one line; nothing of their data is shown."""
    label = "hidden cases: the same on inputs that are not in the notebook"
    finding = Finding(label, PASSED, weight=weight, hidden=True)
    if not right:
        finding.outcome = NOT_RUN
        finding.message = "they wait until the visible ones pass, and count 0 until then"
        return finding
    plays = _play_all(session, cases, seconds)
    for path in _lines(cases, sheet):
        for case, played in plays:
            bad = _judge(path, case, played, sheet) if path in case.expect else None
            if bad:
                finding.outcome, finding.message = bad[0], f"{path} is not right ({case.label})"
                finding.misconception = _recognise(path, plays)
                finding.hint = sheet.hints.get(finding.misconception or "", "")
                return finding
    for case, played in plays if pure else ():  # a function that is impure in the open has paid for it there
        if sheet.pure and any(function in sheet.grades for function, *_ in played.changed):
            finding.outcome, finding.message = WRONG, f"an argument was changed ({case.label})"
    return finding


def _check_borrowed(plays: Plays, sheet: Sheet) -> list[Finding]:
    """Say first where a function that this exercise only uses is wrong: there is where to look."""
    for case, played in plays:
        borrowed = [path for path in case.expect if producer(case.steps, path) not in sheet.grades]
        for path in borrowed:
            function = producer(case.steps, path)
            bad = _judge(path, case, played, sheet)
            if bad and (played.problem is None or played.function == function or path in played.values):
                text = f"{function} comes first: {bad[1]}" + (f" ({bad[2]})" if bad[2] else "")
                return [Finding(f"{function}, which this one uses", bad[0], text, weight=0.0)]
    return []


# -- comparing


def compare(value: Any, expectation: Expectation, name: str) -> str | None:
    """What is wrong with a value, in words that do not give the answer away; None if nothing is."""
    match expectation:
        case Choice(salt=salt, right=right, notes=notes):
            answer = _answer(value)
            if not answer:
                return "not answered yet"
            digest = Choice.digest(salt, answer)
            if digest == right:
                return None
            return notes.get(digest, f"{answer[:40]!r} is not one of the answers to choose from")
        case Between(low=low, high=high, text=text):
            number = _array(value)
            if number is None or number.size != 1 or np.iscomplexobj(number):
                return f"{name} should be a number; yours is {_kind(value)}"
            if not low <= float(number.reshape(())) <= high:
                text = text or f"{name} is {{value}}, outside what a right solution gives"
                return text.replace("{value}", f"{float(number.reshape(())):.4g}")
            return None
        case Exactly(value=expected):
            if _same_text(value, expected):
                return None
            seen = repr(value[:40]) if isinstance(value, str) else _kind(value)
            return f"{name} is {seen}; expected {expected!r}"
        case Close():
            return _compare_close(value, expectation, name)


def _compare_close(value: Any, expectation: Close, name: str) -> str | None:
    expected = _array(expectation.value)
    assert expected is not None
    if (
        isinstance(value, np.ndarray) and value.shape != expected.shape
    ):  # before it is copied: it may be large
        return f"{name} has shape {value.shape}; it should have {expected.shape}"
    ours = _array(value)
    if ours is None:
        return f"{name} should be an array; yours is {_kind(value)}"
    if ours.shape != expected.shape:
        return f"{name} has shape {ours.shape}; it should have {expected.shape}"
    with np.errstate(all="ignore"):
        finite = np.isfinite(np.abs(expected))
        strange = finite & ~np.isfinite(np.abs(ours))  # of absolute values: those of complex numbers overflow
        if strange.any():
            at = np.unravel_index(int(np.argmax(strange)), ours.shape)
            return f"{_entry(name, at)} is {ours[at]}"
        error = np.abs(ours - expected)
        scale = max(np.abs(x).max(initial=0.0, where=finite) for x in (ours, expected))
        same = np.where(finite, error <= expectation.rtol * scale + expectation.noise, _equal(ours, expected))
    if same.all():
        return None
    worst = np.unravel_index(int(np.argmax(np.where(same, -1.0, np.nan_to_num(error)))), ours.shape)
    mine, wanted = _apart(ours[worst], expected[worst])
    seen = f"worst at {_entry(name, worst)}: yours {mine}, expected {wanted}"
    kind = describe_difference(np.asarray(value), expected)
    return seen if "is expected" in kind else f"{seen}. {kind}"  # it found no pattern, and says what we do


def _apart(a: complex, b: complex) -> tuple[str, str]:
    """Write two numbers with 5 digits, or with as many as it takes to tell them apart."""
    written = ((f"{a:.{digits}g}", f"{b:.{digits}g}") for digits in range(5, 18))
    return next((pair for pair in written if pair[0] != pair[1]), (f"{a:.17g}", f"{b:.17g}"))


def _array(value: Any) -> np.ndarray | None:
    """What the student returned as float64 or complex128, in which nothing wraps around; None if it is no numbers."""
    if isinstance(value, np.ndarray) and value.size > MAX_COMPARED:
        return None
    if _count_numbers(value) > MAX_COMPARED:
        return None
    try:
        array = np.asarray(value)
        # Numbers that no kind of array holds together, such as 2**70 and 1j, are objects.
        imaginary = array.dtype.kind == "c" or (
            array.dtype.kind == "O" and any(map(np.iscomplexobj, array.flat))
        )
        return array.astype(np.complex128 if imaginary else np.float64)
    except (ValueError, TypeError, OverflowError):  # uneven rows, or an integer that is larger than any float
        return None


def _count_numbers(value: Any) -> float:
    """How many numbers lists hold; infinity where there are too many, or anything else, such as text."""
    if isinstance(value, list | tuple):
        count: float = 0
        for item in value:
            count += max(1, item.size if isinstance(item, np.ndarray) else _count_numbers(item))
            if count > MAX_LISTED:
                return np.inf
        return count
    return 1 if isinstance(value, bool | int | float | complex | np.ndarray | np.generic) else np.inf


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays are the same, infinite or not a number alike."""
    return (a == b) | (np.isnan(a) & np.isnan(b))


def _same_text(a: Any, b: Any) -> bool:
    return a is b is None or (isinstance(a, str) and isinstance(b, str) and a == b)


def _answer(value: Any) -> str:
    text = str(value).strip() if isinstance(value, str | int | float) else ""
    return "" if text.strip(".?_ ") == "" else text


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, Handle):
        return "something else" if not value.callable else "a function"
    return f"a {type(value).__name__}"


def _entry(name: str, index: Iterable[Any]) -> str:
    place = ", ".join(str(int(i)) for i in index)
    return f"{name}[{place}]" if place else name


def _right_note(expectation: Expectation) -> str:
    return expectation.notes.get(expectation.right, "") if isinstance(expectation, Choice) else ""


def _where_changed(before: Any, after: Any) -> str:
    if not (isinstance(before, np.ndarray) and isinstance(after, np.ndarray) and before.shape == after.shape):
        return ""
    different = ~_equal(before, after)
    if not different.any():
        return ""
    at = np.unravel_index(int(np.argmax(different)), before.shape)
    place = ", ".join(str(int(i)) for i in at)
    return f": before and after differ at [{place}]"


# -- recognising


def _recognise(path: str, plays: Plays) -> str | None:
    """The misconception that gives what the student's functions gave, in every case that checks this output.

    Of several, the one that also agrees most elsewhere.
    """
    best, best_score = None, 0
    for mistake in plays[0][0].mistakes:
        differs, agreements = False, 0
        for case, played in plays:
            seen, wanted = summary(played, case.expect), case.mistakes[mistake]
            right = {"values": _expected_values(case), "problem": None}
            if path in case.expect and not _alike(path, seen, wanted, case):
                break
            differs |= path in case.expect and not _alike(path, seen, right, case)
            agreements += _agreements(seen, mistake, case)
        else:
            if differs and agreements > best_score:
                best, best_score = mistake, agreements
    return best


def _agreements(seen: dict, mistake: str, case: SheetCase) -> int:
    """In how many outputs of a case a mistake gives what was seen."""
    return sum(_alike(path, seen, case.mistakes[mistake], case) for path in case.expect)


def _expected_values(case: SheetCase) -> dict[str, Any]:
    return {path: e.value for path, e in case.expect.items() if isinstance(e, Close | Exactly)}


def _alike(path: str, seen: Mapping, wanted: Mapping, case: SheetCase) -> bool:
    """Whether two summaries agree on one output: the same values, or the same problem in its place."""
    if path not in seen["values"] or path not in wanted["values"]:
        missing = path not in seen["values"] and path not in wanted["values"]
        return missing and seen["problem"] == wanted["problem"]
    if isinstance(case.expect.get(path), Exactly):
        return _same_text(seen["values"][path], wanted["values"][path])
    ours, theirs = _array(seen["values"][path]), _array(wanted["values"][path])
    if ours is None or theirs is None:
        return ours is None and theirs is None and type(seen["values"][path]) is type(wanted["values"][path])
    if ours.shape != theirs.shape:
        return False
    expectation = case.expect.get(path)
    if isinstance(expectation, Between) and ours.size == theirs.size == 1:
        a, b = float(np.real(ours).reshape(())), float(np.real(theirs).reshape(()))
        inside = [expectation.low <= number <= expectation.high for number in (a, b)]
        return all(inside) or (not any(inside) and abs(a - b) <= 1e-3 * max(abs(a), abs(b)))
    rtol, noise = (
        (expectation.rtol * 10, expectation.noise) if isinstance(expectation, Close) else (1e-6, 0.0)
    )
    with np.errstate(all="ignore"):
        scale = max(np.abs(ours).max(initial=0.0), np.abs(theirs).max(initial=0.0))
        bound = rtol * (scale if np.isfinite(scale) else 1.0) + noise
        return bool(np.all((np.abs(ours - theirs) <= bound) | _equal(ours, theirs)))
