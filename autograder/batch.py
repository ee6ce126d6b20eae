"""Grade many submissions, over any `concurrent.futures.Executor`.

Forked workers share the sandbox that `prepare` made; others (a pool that was made anew, another machine) make
their own. A worker that is killed loses no submission: the pool is made anew and what was not finished is
given to it again, one at a time once a whole round brings nothing.
"""

import atexit
import functools
import hashlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import grading, notebook
from .course import Course, Submission
from .sandbox import Sandbox, SandboxError
from .session import Session
from .view import build_view

_level: str | None = None


@dataclass(frozen=True)
class Graded:
    """A finished submission: its result as a row, and its graded notebook as text."""

    submission: Submission
    row: dict[str, Any]
    notebook: str


def prepare(course: Course, names: list[str], level: str | None = None) -> str:
    """Load what grading these assignments needs, before the work is shared out.

    Processes that are forked later find it there: sheets, sources, and a sandbox for each assignment.

    Returns
    -------
    level : str
        The isolation level that is in force.
    """
    global _level
    _level = level
    with ThreadPoolExecutor(1) as beside:  # sheets are compiled while the sandboxes load
        sheets = [
            beside.submit(work, str(course.root), name)
            for name in names
            for work in (_fingerprint, _versions)
        ]
        for name in names:
            _level = sandbox_for(name).level
        for sheet in sheets:
            sheet.result()
    assert _level is not None
    return _level


def grade_all(course: Course, submissions: list[Submission], jobs: int) -> Generator[Graded]:
    """Grade submissions after `prepare`; the work begins at once, and every one of them is yielded."""
    if not submissions:
        return _all(course, [], jobs, None, [])
    method = "fork" if sys.platform == "linux" else "spawn"
    pool = _pool(min(jobs, len(submissions)), method)
    return _all(course, submissions, jobs, pool, _submit(pool, course, submissions))


def _all(
    course: Course, waiting: list[Submission], jobs: int, pool: Executor | None, futures: list[Future]
) -> Generator[Graded]:
    while waiting:
        done: list[Submission] = []
        try:
            for graded in _finished(futures):
                done.append(graded.submission)
                yield graded
        finally:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
        waiting = [submission for submission in waiting if submission not in done]
        if waiting and not done:  # no progress in a whole round: one of them kills the process that grades it
            for submission in waiting:
                yield _grade_alone(course, submission)
            return
        if waiting:
            pool = _pool(min(jobs, len(waiting)), "spawn")  # this process has threads by now: do not fork it
            futures = _submit(pool, course, waiting)


def grade_one(root: str, submission: Submission) -> Graded:
    """Grade one submission in this process; never raises for what the submission holds."""
    course = Course(Path(root))
    assignment = _assignment(root, submission.assignment)
    try:
        open_session = functools.partial(session_for, submission.assignment)
        result, graded = grading.grade_file(submission.path, submission.student, assignment, open_session)
        result.isolation = sandbox_for(submission.assignment).level
    except Exception as error:  # our own mistake must not cost a student the row, or the others theirs
        reason = (
            f"the grader failed on it ({type(error).__name__}: {error}); grade it by hand and report this"
        )
        result, graded = grading.unreadable(submission.student, assignment, reason)
    row = row_of(result, course)
    graded.metadata["minigrad"] = {"row": row, "key": key(course, submission)}
    return Graded(submission, row, notebook.dumps(graded))


def key(course: Course, submission: Submission) -> str:
    """Changes when the submission or the assignment does: a stored result with the same key still holds."""
    try:
        content = notebook.read_bytes(submission.path)
    except notebook.Unreadable as error:
        content = str(error).encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{_fingerprint(str(course.root), submission.assignment)}:{digest}"


@functools.cache
def sandbox_for(assignment: str) -> Sandbox:
    """This process's sandbox for an assignment; it lives as long as the process."""
    with tempfile.TemporaryDirectory(
        prefix="minigrad-"
    ) as folder:  # a sandbox has read all of it when it is ready
        sandbox = Sandbox(build_view(assignment, Path(folder)), _level)
    atexit.register(sandbox.close)
    return sandbox


def session_for(assignment: str) -> Session:
    """A fresh process for student code; if the sandbox itself has gone, from a new one."""
    try:
        return sandbox_for(assignment).session()
    except SandboxError:
        sandbox_for.cache_clear()
        return sandbox_for(assignment).session()


@functools.cache
def _assignment(root: str, name: str) -> grading.Assignment:
    return Course(Path(root)).assignment(name)


@functools.cache
def _versions(root: str, name: str) -> dict[str, str]:
    return _assignment(root, name).versions()


@functools.cache
def _fingerprint(root: str, name: str) -> str:
    return Course(Path(root)).fingerprint(name)


def _submit(pool: Executor, course: Course, submissions: list[Submission]) -> list[Future]:
    return [pool.submit(grade_one, str(course.root), submission) for submission in submissions]


def _finished(futures: list[Future]) -> Iterator[Graded]:
    """Results as they come, until all are there or the pool is broken."""
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        return  # the caller looks at what is missing


def _grade_alone(course: Course, submission: Submission) -> Graded:
    """A submission whose worker was killed: a pool of its own, and a row even if that is killed too."""
    with _pool(1, "spawn") as pool:
        finished = list(_finished(_submit(pool, course, [submission])))
    if finished:
        return finished[0]
    assignment = _assignment(str(course.root), submission.assignment)
    reason = "the process that graded it was killed, twice; grade it by hand"
    result, graded = grading.unreadable(submission.student, assignment, reason)
    return Graded(submission, row_of(result, course), notebook.dumps(graded))


def row_of(result: grading.Result, course: Course) -> dict[str, Any]:
    """A result as it is stored: with the version of each exercise that it was graded against."""
    row = result.as_row()
    versions = _versions(str(course.root), result.assignment)
    for exercise in row["exercises"]:
        exercise["version"] = versions[exercise["grade_id"]]
    return row


def _pool(jobs: int, method: str) -> ProcessPoolExecutor:
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(_level,))


def _start(level: str | None) -> None:
    global _level
    _level = level
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that holds the gradebook
    if sys.platform == "linux":
        from . import isolation

        isolation.die_with_parent()
