"""Grade one submission, in whichever process that is: all that it needs comes with the task and the setup."""

import atexit
import functools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import grading, notebook
from .sandbox import Sandbox, SandboxError
from .session import Session
from .view import build_view


@dataclass(frozen=True)
class Setup:
    """What a process has to know before it can grade: the assignments, and how student code is to be isolated.

    Without a level, each process takes the strongest that its machine allows.
    """

    assignments: Mapping[str, grading.Assignment]
    level: str | None = None


@dataclass(frozen=True)
class Task:
    """A submission as it was found.

    `content` is None where the file could not be read, and `problem` says why. `key` changes when the submission or
    the assignment does: a stored result with the same key still holds.
    """

    student: str
    assignment: str
    content: bytes | None
    problem: str
    key: str


@dataclass(frozen=True)
class Graded:
    """A finished submission: its result as a row, and its graded notebook as text."""

    row: dict[str, Any]
    notebook: str


def grade(setup: Setup, task: Task) -> Graded:
    """Grade one submission in this process; never raises for what the submission holds."""
    assignment = setup.assignments[task.assignment]
    if task.content is None:
        return _stored(*grading.unreadable(task.student, assignment, task.problem), assignment, task.key)
    try:
        open_session = functools.partial(session_for, task.assignment, setup.level)
        result, graded = grading.grade_content(task.content, task.student, assignment, open_session)
        result.isolation = sandbox_for(task.assignment, setup.level).level
    except Exception as error:  # our own mistake must not cost a student the row, or the others theirs
        reason = f"the grader failed on it ({type(error).__name__}: {error})"
        return failed(setup, task, f"{reason}; grade it by hand and report this")
    return _stored(result, graded, assignment, task.key)


def failed(setup: Setup, task: Task, reason: str) -> Graded:
    """The row of a submission that could not be graded for a reason that is not its own: the next run tries again."""
    assignment = setup.assignments[task.assignment]
    return _stored(*grading.unreadable(task.student, assignment, reason), assignment, key="")


def _stored(
    result: grading.Result, graded: notebook.NotebookNode, assignment: grading.Assignment, key: str
) -> Graded:
    row = row_of(result, assignment)
    graded.metadata["minigrad"] = {"row": row, "key": key}
    return Graded(row, notebook.dumps(graded))


def row_of(result: grading.Result, assignment: grading.Assignment) -> dict[str, Any]:
    """A result as it is stored: with the version of each exercise that it was graded against."""
    row, versions = result.as_row(), assignment.versions()
    for exercise in row["exercises"]:
        exercise["version"] = versions[exercise["grade_id"]]
    return row


_sandboxes: dict[tuple[str, str | None], Sandbox] = {}  # of this process, by assignment and level


def sandbox_for(assignment: str, level: str | None = None) -> Sandbox:
    """This process's sandbox for an assignment; it lives as long as the process.

    Whoever asks for the strongest level and whoever asks for the level that this turned out to be get the same one.
    """
    if (assignment, level) not in _sandboxes:
        # A sandbox has read all of the view when it is ready.
        with tempfile.TemporaryDirectory(prefix="minigrad-") as folder:
            sandbox = Sandbox(build_view(assignment, Path(folder)), level)
        atexit.register(sandbox.close)
        _sandboxes[assignment, level] = _sandboxes[assignment, sandbox.level] = sandbox
    return _sandboxes[assignment, level]


def session_for(assignment: str, level: str | None = None) -> Session:
    """A fresh process for student code; if the sandbox itself has gone, from a new one."""
    try:
        return sandbox_for(assignment, level).session()
    except SandboxError:
        _sandboxes.clear()
        return sandbox_for(assignment, level).session()
