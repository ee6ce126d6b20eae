"""What is left when something is killed in the middle: `make bench-recovery` writes its part of docs/grading.md.

The whole run is killed at random moments, ten times in a row, and started once more; then one of two workers of a Dask
cluster is killed while it grades. The results have to be those of a run that nobody disturbed, each of them once.
"""

import contextlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from grading import NAME, ROOT, Course, submissions
from page import write

from autograder import flow
from autograder.course import SEEDS
from autograder.course import Course as Files

COUNT = 300
KILLS = 10
SEED = 2026
GRADE = (sys.executable, "-m", "autograder.cli", "grade", NAME)


def main() -> None:
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory(prefix="minigrad-bench-") as scratch:
        undisturbed, killed, clustered = courses(Path(scratch))
        seconds, _ = undisturbed.run(*GRADE)
        stored = kill_the_run(killed, rng.uniform(0, seconds / 2, KILLS))
        killed.run(*GRADE)
        graded = kill_a_worker(clustered, Path(scratch))
        rows = [
            ("the whole run, ten times", f"graded by then: {', '.join(map(str, stored))} of {COUNT}", killed),
            ("one of two workers of a cluster", f"graded by then: {graded} of {COUNT}", clustered),
        ]
        lines = [
            "| killed | when | stored in the end | of these as in a run that nobody disturbed |",
            "|---|---|--:|--:|",
            *(
                f"| {what} | {when} | {len(results(course))} | {same(course, undisturbed)} |"
                for what, when, course in rows
            ),
        ]
    write("make bench-recovery", lines)


def courses(folder: Path) -> list[Course]:
    """The same submissions three times, with the same secret."""
    config = (ROOT / "nbgrader_config.py").read_text()
    notebooks = submissions("in practice", COUNT)
    made = [Course(folder / str(number), notebooks, config) for number in range(3)]
    Files(made[0].folder).hidden_seed(NAME)
    for course in made:
        (course.folder / SEEDS).write_bytes((made[0].folder / SEEDS).read_bytes())
        course.hand_in(COUNT)
    return made


def kill_the_run(course: Course, moments: np.ndarray) -> list[int]:
    """Start the run and kill it after so many seconds, again and again; how much was graded each time."""
    stored = []
    for moment in moments:
        with subprocess.Popen(GRADE, cwd=course.folder, stdout=subprocess.DEVNULL) as run:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(moment)
            run.kill()
        stored.append(len(list(course.folder.glob("autograded/*"))))
    return stored


def kill_a_worker(course: Course, folder: Path) -> int:
    """Grade on two workers and kill one when a third is done; how much was graded by then."""
    with (
        cluster(folder) as (address, workers),
        subprocess.Popen([*GRADE, "--dask", address], cwd=course.folder, stdout=subprocess.DEVNULL) as run,
    ):
        while (graded := len(list(course.folder.glob("autograded/*")))) < COUNT // 3:
            if run.poll() is not None:
                sys.exit("the run ended before a worker was killed")
            time.sleep(0.01)
        workers[0].kill()
        if run.wait():
            sys.exit("the run on the cluster failed")
    return graded


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The address of a scheduler, and its two workers."""
    log = folder / "scheduler.log"
    dask = (sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    with contextlib.ExitStack() as running, log.open("w") as file:
        scheduler = running.enter_context(
            subprocess.Popen([*dask, "--no-dashboard"], stdout=file, stderr=file)
        )
        running.callback(scheduler.kill)
        while not (found := re.search(r"Scheduler at: +(tcp://\S+)", log.read_text())):
            time.sleep(0.1)
        worker = (
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            found[1],
            "--nthreads",
            "1",
            "--no-nanny",
        )
        workers = []
        for number in range(2):
            options = ("--no-dashboard", "--local-directory", str(folder / f"worker{number}"))
            started = subprocess.Popen([*worker, *options], stdout=file, stderr=file)
            workers.append(running.enter_context(started))
            running.callback(started.kill)
        yield found[1], workers


def results(course: Course) -> dict[str, tuple]:
    """Of each student the verdicts, and the points that the gradebook has for each check."""
    with contextlib.closing(sqlite3.connect(course.folder / "gradebook.db")) as book:
        if book.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            sys.exit("the gradebook is damaged")
        grades = book.execute(
            "SELECT submitted_assignment.student_id, base_cell.name, grade.auto_score FROM grade"
            " JOIN base_cell ON base_cell.id = grade.cell_id"
            " JOIN submitted_notebook ON submitted_notebook.id = grade.notebook_id"
            " JOIN submitted_assignment ON submitted_assignment.id = submitted_notebook.assignment_id ORDER BY 1, 2"
        ).fetchall()
    rows = flow.stored_rows(Files(course.folder), NAME)
    return {
        row["student"]: (
            {**row, "seconds": 0},
            [points for student, *points in grades if student == row["student"]],
        )
        for row in rows
    }


def same(course: Course, other: Course) -> int:
    """How many results are in both."""
    expected = results(other)
    return sum(expected.get(student) == result for student, result in results(course).items())


if __name__ == "__main__":
    main()
