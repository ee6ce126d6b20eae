"""Many submissions: whoever grades them and whatever is killed meanwhile, each is graded once, with equal results."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder import batch, graders, notebook, task
from autograder import cluster as cluster_module
from autograder.course import Course
from autograder.errors import CourseError
from autograder.flow import grade
from autograder.graders import Graders
from autograder.grading import Assignment
from autograder.source import dumps
from autograder.task import Setup, Task, failed

ROOT = Path(__file__).resolve().parents[1]
NAME = "00_autograd_trap"
COUNT = 8


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course with some submissions: solved ones, and others of which a different cell is empty each time."""
    root = tmp_path / "course"
    shutil.copytree(ROOT / "solutions" / NAME, root / "solutions" / NAME)
    shutil.copy(ROOT / "nbgrader_config.py", root)
    solved = nbformat.read(root / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)
    written = [i for i, cell in enumerate(solved.cells) if "solution" in notebook.tags(cell)]
    for number in range(COUNT):
        nb = nbformat.from_dict(json.loads(json.dumps(solved)))
        if number % 2:
            nb.cells[written[number % len(written)]].source = ""
        path = root / "submitted" / f"student{number}" / NAME / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(dumps(nb), encoding="utf-8")
    return Course(root)


def verdicts(rows):
    """What has to be equal: all but how long it took."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def in_gradebook(course: Course) -> dict[str, float]:
    with closing(Gradebook(f"sqlite:///{course.gradebook}")) as book:
        return {s.student_id: s.score for s in book.find_assignment(NAME).submissions}


def wait_for(what, seconds=60.0):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)
    return found


# -- processes of this machine


def suicide(setup: Setup, work: Task):
    if work.student == "student1":
        os.kill(os.getpid(), signal.SIGKILL)
    return task.grade(setup, work)


@pytest.mark.parametrize("forked", [1, 2])
def test_a_submission_that_kills_what_grades_it(course, monkeypatch, forked):
    monkeypatch.setattr(graders, "grade", suicide)  # in forks of this process, not in processes started later
    lent = Graders(Setup({NAME: course.assignment(NAME)}), forked)
    with closing(lent):
        graded = [lent.grade(batch.task_of(course, submission)) for submission in course.submissions(NAME)]
    notes = [graded.row["notes"] for graded in graded if graded.row["status"] == "problem"]
    if forked == 1:  # the second try was in a process of another kind
        assert not notes
    else:
        assert notes == [["the process that graded it was killed, twice; grade it by hand"]]
    others = [graded.row for graded in graded if graded.row["student"] != "student1"]
    assert verdicts(others) == verdicts(row for row in grade(course, [NAME]) if row["student"] != "student1")


def test_what_was_killed_is_tried_again_by_the_same_command(course, monkeypatch):
    original = Graders.grade

    def killed(self, work):
        return failed(self.setup, work, "killed") if work.student == "student1" else original(self, work)

    with monkeypatch.context() as patch:
        patch.setattr(Graders, "grade", killed)
        assert grade(course, [NAME], jobs=2)[1]["notes"] == ["killed"]
    rows = grade(course, [NAME], jobs=2)
    assert {row["status"] for row in rows} == {"graded"}
    assert in_gradebook(course) == {row["student"]: row["score"] for row in rows}


def test_few_are_read_ahead_and_all_are_graded(course):
    given = []
    with batch.local(Setup({NAME: course.assignment(NAME)}), 1) as pool:
        watched = replace(pool, submit=lambda work: given.append(work.student) or pool.submit(work))
        results = batch.grade_all(watched, course, course.submissions(NAME))
        assert len(given) == batch.AHEAD < COUNT
        finished = sorted(graded.row["student"] for _, graded in results)
    assert finished == sorted(given) == [f"student{number}" for number in range(COUNT)]


def test_forks_share_a_sandbox(course, monkeypatch, tmp_path):
    class Counted(task.Sandbox):
        def __init__(self, *arguments):
            with (tmp_path / "started").open("a") as file:
                file.write(f"{os.getpid()}\n")
            super().__init__(*arguments)

    monkeypatch.setattr(task, "Sandbox", Counted)
    monkeypatch.setattr(task, "_sandboxes", {})
    grade(course, [NAME], jobs=2)
    assert (tmp_path / "started").read_text() == f"{os.getpid()}\n"


def test_other_exercises_where_the_work_is_done_are_noticed(course, monkeypatch):
    with batch.local(Setup({NAME: course.assignment(NAME)}), 1) as pool:
        monkeypatch.setattr(
            Assignment, "versions", lambda self: {"check_gates": "newer"}
        )  # here, not in the forks
        with pytest.raises(CourseError, match="install the same version of minigrad on all of them"):
            next(batch.grade_all(pool, course, course.submissions(NAME)))


def test_a_directory_that_can_be_nobodys_stops_nobody(course):
    (course.root / "submitted/student1").rename(course.root / "submitted/a:b")
    rows = {row["student"]: row for row in grade(course, [NAME])}
    assert rows["a:b"]["status"] == "problem"
    assert "rename it" in rows["a:b"]["notes"][0]
    assert sorted(in_gradebook(course)) == sorted(set(rows) - {"a:b"})
    assert not (course.root / "autograded/a:b").exists()


# -- the whole run, killed


def test_a_run_that_is_killed_goes_on_where_it_was(course, tmp_path):
    """At three moments of it; the results are those of a run that nobody disturbed."""
    shutil.copytree(course.root, tmp_path / "undisturbed")
    undisturbed = Course(tmp_path / "undisturbed")
    expected = grade(undisturbed, [NAME], jobs=2)
    command = [sys.executable, "-m", "autograder.cli", "grade", NAME, "--jobs", "2"]
    for stored in (0, 3, 6):
        with subprocess.Popen(command, cwd=course.root, stdout=subprocess.DEVNULL) as run:
            wait_for(lambda enough=stored: len(list(course.root.glob("autograded/*"))) >= enough)
            run.kill()
        left = [json.loads(path.read_text()) for path in course.root.glob("autograded/*/*/*.ipynb")]
        assert len(left) >= stored
        if course.gradebook.is_file():
            in_gradebook(course)  # it can be read
    rows = grade(course, [NAME], jobs=2)
    assert verdicts(rows) == verdicts(expected)
    assert in_gradebook(course) == in_gradebook(undisturbed) == {row["student"]: row["score"] for row in rows}


# -- a cluster


class Cluster:
    """A scheduler and workers, as commands start them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        self.log = folder / "scheduler"
        self.run(self.log, "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = wait_for(lambda: re.search(r"Scheduler at: +(tcp://\S+)", self.log.read_text()))[1]

    def run(self, log: Path, module: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
        with log.open("w") as file:
            self.processes.append(subprocess.Popen(command, stdout=file, stderr=file, cwd=self.folder))
        return self.processes[-1]

    def work(self) -> subprocess.Popen:
        """Start a worker in a directory of its own, where nothing of the course is."""
        log = self.folder / f"worker{len(self.processes)}"
        arguments = (self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
        worker = self.run(log, "dask_worker", *arguments, "--local-directory", f"{log}.d")
        wait_for(lambda: "Registered to" in log.read_text())
        return worker

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    with closing(Cluster(tmp_path)) as cluster:
        yield cluster


def of_graders(worker: subprocess.Popen) -> list[str]:
    """Processes that a worker has started to grade."""
    children = Path(f"/proc/{worker.pid}/task").glob("*/children")
    return [child for path in children for child in path.read_text().split()]


def test_a_worker_of_a_cluster_is_killed_in_the_middle(course, cluster):
    expected = grade(course, [NAME])
    workers = [cluster.work(), cluster.work()]
    seen: list[str] = []

    def finished(row):
        seen.append(row["student"])
        if len(seen) == 2:
            workers[0].kill()

    rows = grade(course, [NAME], dask=cluster.address, again=True, finished=finished)
    assert sorted(seen) == [f"student{number}" for number in range(COUNT)]  # none lost, none twice
    assert verdicts(rows) == verdicts(expected)
    assert in_gradebook(course) == {row["student"]: row["score"] for row in rows}
    wait_for(lambda: not of_graders(workers[1]))  # nothing is left on it when the run is over


def test_a_cluster_that_goes_leaves_what_was_graded(course, cluster):
    cluster.work()
    seen: list[str] = []

    def finished(row):
        seen.append(row["student"])
        if len(seen) == 2:
            for process in reversed(cluster.processes):
                process.kill()

    with pytest.raises(CourseError, match=r"the cluster has gone\. What was graded is kept"):
        grade(course, [NAME], dask=cluster.address, finished=finished)
    assert len(in_gradebook(course)) == len(seen)
    assert len(grade(course, [NAME])) == COUNT


def test_a_cluster_that_is_not_there(course, monkeypatch):
    monkeypatch.setattr(cluster_module, "SECONDS", 0.5)
    with pytest.raises(CourseError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        grade(course, [NAME], dask="tcp://127.0.0.1:9")
    with pytest.raises(CourseError, match="no Dask scheduler answers at nonsense"):
        grade(course, [NAME], dask="nonsense://1")
    assert not course.gradebook.exists()


def test_a_cluster_without_workers(course, cluster, monkeypatch):
    monkeypatch.setattr(cluster_module, "SECONDS", 2)
    with pytest.raises(CourseError, match=f"has no worker: start one with `dask worker {cluster.address}`"):
        grade(course, [NAME], dask=cluster.address)
