"""Grade many submissions, over any `concurrent.futures.Executor`.

On this machine that is one thread a grading process (`local`); on a cluster it is Dask's own (`cluster.connected`).
Either way the results come back here one by one, as they are finished, and nothing else is written by others.
"""

import functools
import hashlib
import itertools
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import notebook
from .course import Course, Submission
from .errors import CourseError
from .graders import Graders
from .grading import Assignment
from .task import Graded, Setup, Task, failed, sandbox_for

Running = dict[Future[Graded], tuple[Submission, Task]]
AHEAD = 4  # tasks given out for each process: enough that none waits, few enough that a thousand need no more memory


@dataclass(frozen=True)
class Pool:
    """Where tasks are given out, how many processes work on them, and errors that mean that they died of one task."""

    submit: Callable[[Task], Future[Graded]]
    setup: Setup
    size: int
    lost: tuple[type[Exception], ...] = ()


@contextmanager
def local(setup: Setup, jobs: int) -> Iterator[Pool]:
    """Processes of this machine. At the end they are killed, also those that are still grading.

    Raises
    ------
    SandboxError
        If student code cannot be isolated here as the setup demands.
    """
    level = setup.level
    # Sheets are compiled while the sandboxes load; forks then have both.
    with ThreadPoolExecutor(1) as beside:
        compiled = [beside.submit(_compile, assignment) for assignment in setup.assignments.values()]
        for name in setup.assignments:
            level = sandbox_for(name, level).level
        for sheets in compiled:
            sheets.result()
    # The same for all of the class, also where a sandbox has to be made anew.
    setup = replace(setup, level=level)
    graders = Graders(setup, forked=jobs if sys.platform == "linux" else 0)
    executor = ThreadPoolExecutor(jobs)
    try:
        yield Pool(lambda task: executor.submit(graders.grade, task), setup, jobs)
    finally:
        graders.close()
        executor.shutdown(cancel_futures=True)


def _compile(assignment: Assignment) -> None:
    for cell in assignment.checks().values():
        assignment.sheet(cell)
    assignment.versions()


def grade_all(
    pool: Pool, course: Course, submissions: Iterable[Submission]
) -> Generator[tuple[Submission, Graded]]:
    """Grade submissions; the work begins at once, and every one of them is yielded when it is finished.

    Raises
    ------
    CourseError
        If those who grade have gone, or cannot grade at all. What was yielded before holds.
    """
    waiting = iter(submissions)

    def give_out(count: int) -> Running:
        tasks = [(each, task_of(course, each)) for each in itertools.islice(waiting, count)]
        return {pool.submit(task): (each, task) for each, task in tasks}

    return _finished(pool, give_out(pool.size * AHEAD), give_out)


def _finished(
    pool: Pool, running: Running, give_out: Callable[[int], Running]
) -> Generator[tuple[Submission, Graded]]:
    while running:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        running |= give_out(len(done))
        for future in done:
            submission, task = running.pop(future)
            yield submission, _result(pool, future, task)


def _result(pool: Pool, future: Future[Graded], task: Task) -> Graded:
    try:
        graded = future.result()
    except pool.lost as error:
        reason = f"the machines that graded it were lost, each of them; grade it by hand ({error})"
        return failed(pool.setup, task, reason)
    except CancelledError:
        raise CourseError("the cluster has gone. What was graded is kept; the same command goes on") from None
    except Exception as error:
        # Something is missing where the work is done: none of it would come to anything.
        said = f"{type(error).__name__}: {error}"
        raise CourseError(
            f"the processes that grade cannot do it. What one of them says is: {said}"
        ) from None
    versions = {exercise["grade_id"]: exercise["version"] for exercise in graded.row["exercises"]}
    if versions != pool.setup.assignments[task.assignment].versions():
        raise CourseError(
            f"{task.student} was graded on a machine whose exercises of {task.assignment} are not those of this one: "
            "install the same version of minigrad on all of them"
        )
    return graded


def task_of(course: Course, submission: Submission) -> Task:
    """A submission as it lies there now."""
    content, problem = None, ""
    try:
        content = notebook.submitted_bytes(submission.path)
    except notebook.Unreadable as error:
        problem = str(error)
    digest = hashlib.sha256(problem.encode() if content is None else content).hexdigest()[:16]
    key = f"{_fingerprint(str(course.root), submission.assignment)}:{digest}"
    return Task(submission.student, submission.assignment, content, problem, key)


@functools.cache
def _fingerprint(root: str, name: str) -> str:
    return Course(Path(root)).fingerprint(name)
