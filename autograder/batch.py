"""Grade many submissions, over any `concurrent.futures.Executor`.

Each worker process of the pool keeps one sandbox for each assignment. A worker that is killed loses no
submission: the pool is made anew and what was not finished is given to it again, one at a time where the
same submission was under way twice.
"""

import atexit
import functools
import hashlib
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import grading
from .course import Course, Submission
from .sandbox import Sandbox
from .source import dumps
from .view import build_view

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_level: str | None = None


@dataclass(frozen=True)
class Graded:
    """A finished submission: its result as a row, and its graded notebook as text."""

    submission: Submission
    row: dict[str, Any]
    notebook: str


def grade_all(
    course: Course, submissions: Iterable[Submission], jobs: int, level: str | None = None
) -> Iterator[Graded]:
    """Grade submissions, yielding each as it is finished; every one of them is yielded.

    Parameters
    ----------
    course : Course
        Where the assignments are.
    submissions : iterable of Submission
        What to grade.
    jobs : int
        Worker processes.
    level : str, optional
        Isolation level, as for `Sandbox`.
    """
    waiting = list(submissions)
    suspects: list[Submission] = []
    while waiting:
        done: list[Submission] = []
        with _pool(min(jobs, len(waiting)), level) as pool:
            for graded in _grade_on(pool, course, waiting):
                done.append(graded.submission)
                yield graded
        waiting = [submission for submission in waiting if submission not in done]
        if waiting and not done:  # a whole round without progress: find out which one it is
            suspects, waiting = waiting, []
    for submission in suspects:
        yield from _grade_alone(course, submission, level)


def grade_one(root: str, submission: Submission) -> Graded:
    """Grade one submission in this process; never raises for what the submission holds."""
    course = Course(Path(root))
    assignment = _assignment(root, submission.assignment)
    try:
        sandbox = sandbox_for(submission.assignment)
        session = sandbox.session
        result, graded = grading.grade_file(submission.path, submission.student, assignment, session)
        result.isolation = sandbox.level
    except Exception as error:  # our own mistake must not cost a student the row, or the others theirs
        reason = (
            f"the grader failed on it ({type(error).__name__}: {error}); grade it by hand and report this"
        )
        result, graded = grading.unreadable(submission.student, assignment, reason)
    row = result.as_row()
    graded.metadata["minigrad"] = {"row": row, "key": key(course, submission)}
    return Graded(submission, row, dumps(graded))


def key(course: Course, submission: Submission) -> str:
    """Changes when the submission or the assignment does: a stored result with the same key still holds."""
    try:
        content = submission.path.read_bytes()
    except OSError:
        content = b""
    return (
        f"{_fingerprint(str(course.root), submission.assignment)}:{hashlib.sha256(content).hexdigest()[:16]}"
    )


@functools.cache
def sandbox_for(assignment: str) -> Sandbox:
    """This process's sandbox for an assignment; it lives as long as the process."""
    with tempfile.TemporaryDirectory(
        prefix="minigrad-"
    ) as folder:  # a sandbox has read all of it when it is ready
        sandbox = Sandbox(build_view(assignment, Path(folder)), _level)
    atexit.register(sandbox.close)
    return sandbox


@functools.cache
def _assignment(root: str, name: str) -> grading.Assignment:
    return Course(Path(root)).assignment(name)


@functools.cache
def _fingerprint(root: str, name: str) -> str:
    return Course(Path(root)).fingerprint(name)


def _grade_on(pool: Executor, course: Course, submissions: list[Submission]) -> Iterator[Graded]:
    root = str(course.root)
    futures: list[Future] = []
    try:
        futures = [pool.submit(grade_one, root, submission) for submission in submissions]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        return  # the caller looks at what is missing
    finally:
        for future in futures:
            future.cancel()


def _grade_alone(course: Course, submission: Submission, level: str | None) -> Iterator[Graded]:
    """A submission whose worker was killed before: a pool of its own, and a row even if that is killed too."""
    with _pool(1, level) as pool:
        finished = list(_grade_on(pool, course, [submission]))
    if not finished:
        assignment = _assignment(str(course.root), submission.assignment)
        reason = "the process that graded it was killed, twice; grade it by hand"
        result, graded = grading.unreadable(submission.student, assignment, reason)
        finished = [Graded(submission, result.as_row(), dumps(graded))]
    yield from finished


def _pool(jobs: int, level: str | None) -> ProcessPoolExecutor:
    """Fresh processes (no state of this one), each with one thread for linear algebra."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(level,))


def _start(level: str | None) -> None:
    global _level
    _level = level
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that holds the gradebook
