"""Every submission gets what it deserves, whatever the others do, and nothing is left behind.

The whole corpus (`submissions.py`) is graded once at each isolation level, by the real command; each submission is
then a case of its own. The submissions also go through stock ``nbgrader autograde``, which has to agree.
"""

import contextlib
import ctypes
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from submissions import ASSIGNMENT, FAMILIES, HERE, NEIGHBOUR, corpus, place
from traitlets.config import Config

from autograder import grading, notebook
from autograder.course import Course
from autograder.nbgrader_plugin import configure
from autograder.sandbox import Sandbox, SandboxError
from autograder.session import Problem, Session
from autograder.view import build_view

fcntl = pytest.importorskip("fcntl", reason="student code is isolated on Linux only")

ROOT = HERE.parent
CORPUS = corpus()
ASSIGNMENTS = sorted({submission.assignment for submission in CORPUS.values()})
WHOLE = ("namespaces", "landlock")  # the levels at which the whole corpus is graded
LEVELS = (*WHOLE, "seccomp")
NAMESPACES_ONLY = {
    name for name, submission in CORPUS.items() if submission.slow
}  # limits are kept outside of it
# What is tried where no file can be opened: to open one, and to import, beside what honest work does.
WITHOUT_FILES = {
    f"hostile-{name}"
    for name in "borrows_a_framework fills_the_disk frames_and_linecache gradebook network numpy_removed processes"
    " reads_everything reads_the_reference".split()
}
# What stock nbgrader does before anything of ours is asked.
NOT_FOR_NBGRADER = {
    "malformed-missing": "nbgrader makes no submission where there is no notebook",
    "malformed-other_name": "nbgrader waits for a person where there is no notebook",
    "malformed-timestamp_pipe": "nbgrader waits for somebody to write into it",
    "malformed-timestamp_link": "nbgrader reads it until there is no memory left",
    "malformed-timestamp_words": "nbgrader takes only what is a time",
    **{name: "one assignment is enough" for name, s in CORPUS.items() if s.assignment != ASSIGNMENT},
}


@dataclass(frozen=True)
class Run:
    """What grading the corpus gave."""

    course: str
    rows: list[dict]
    stdout: str
    stderr: str
    seconds: float
    left_running: list[str]
    left_behind: list[str]

    def row(self, name: str) -> dict:
        (row,) = (row for row in self.rows if row["student"] == name)
        return row


def names(level: str) -> list[str]:
    if level == "seccomp":
        return [n for n in CORPUS if n.startswith("honest-") or n in WITHOUT_FILES]
    return [n for n in CORPUS if level == "namespaces" or n not in NAMESPACES_ONLY]


@functools.cache
def why_not(level: str) -> str:
    """Why this machine has no such level, or nothing."""
    with tempfile.TemporaryDirectory() as empty:
        try:
            Sandbox(Path(empty), level).close()
        except SandboxError as error:
            return str(error)
    return ""


@pytest.fixture(scope="session", params=LEVELS)
def graded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    if reason := why_not(request.param):
        pytest.skip(reason)
    return once(tmp_path_factory, request.param, lambda course: grade(course, request.param))


def grade(course: Path, level: str) -> Run:
    make_course(course, names(level))
    scratch = course / "tmp"
    scratch.mkdir()
    assignments = sorted({CORPUS[name].assignment for name in names(level)})
    words = ["grade", *assignments, "--json", "results.json", "--isolation", level, "--jobs", "4"]
    began = time.perf_counter()
    with orphans() as left_running:
        done = run([sys.executable, "-m", "autograder.cli", *words], course, TMPDIR=str(scratch))
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    left_behind = [str(path.relative_to(scratch)) for path in scratch.rglob("*")]
    rows = json.loads((course / "results.json").read_text(encoding="utf-8"))["submissions"]
    print(f"\n{len(rows)} submissions at level {level}: {seconds:.0f} s")
    return Run(str(course), rows, done.stdout, done.stderr, seconds, left_running, left_behind)


def make_course(course: Path, students: list[str]) -> None:
    for folder in ("solutions", "assignments"):
        shutil.copytree(ROOT / folder, course / folder)
    shutil.copy(ROOT / "nbgrader_config.py", course)
    for name in students:
        place(CORPUS[name], course, name)


def run(command: list[str], course: Path, **environment: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    everything = {**os.environ, "PATH": path, **environment}
    return subprocess.run(command, cwd=course, env=everything, capture_output=True, text=True, check=False)


def once(tmp_path_factory: pytest.TempPathFactory, name: str, work) -> Run:
    """Do the work in one of the processes that run the tests; the others wait for what it gave."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    stored = root / f"{name}.json"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stored.exists():
            stored.write_text(json.dumps(asdict(work(root / f"course-{name}"))), encoding="utf-8")
    return Run(**json.loads(stored.read_text(encoding="utf-8")))


@contextlib.contextmanager
def orphans() -> Iterator[list[str]]:
    """Collect the processes that outlive their parents: they become children of this one."""
    adopt = 36  # PR_SET_CHILD_SUBREAPER
    found: list[str] = []
    before = children()
    ctypes.CDLL(None).prctl(adopt, 1, 0, 0, 0)
    try:
        yield found
        for _ in range(20):  # the last ones may be on their way out
            new = {pid: what for pid, what in children().items() if pid not in before}
            for pid in new:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if not new:
                break
            time.sleep(0.1)
        found += [what for pid, what in children().items() if pid not in before]
    finally:
        ctypes.CDLL(None).prctl(adopt, 0, 0, 0, 0)


def children() -> dict[int, str]:
    """Children of this process, and what they are."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, tail = stat.read_text().rpartition(")")
            if int(tail.split()[1]) == os.getpid():
                found[int(stat.parent.name)] = f"{head}) {tail.split()[0]}"
    return found


# -- scores


@pytest.mark.parametrize(
    ("graded", "name"), [(level, name) for level in LEVELS for name in names(level)], indirect=["graded"]
)
def test_each_gets_what_it_deserves(graded: Run, name: str) -> None:
    submission = CORPUS[name]
    row = graded.row(name)
    given = {exercise["grade_id"]: exercise["score"] for exercise in row["exercises"]}
    points = {exercise["grade_id"]: exercise["max_score"] for exercise in row["exercises"]}
    assert given == {grade_id: submission.deserved(grade_id, points[grade_id]) for grade_id in points}
    assert row["status"] == submission.status, row["notes"]
    assert row["score"] == pytest.approx(sum(given.values()), abs=0.005)
    for exercise, mistake in submission.mistakes.items():
        (found,) = (e for e in row["exercises"] if e["grade_id"] == f"check_{exercise}")
        assert mistake in [finding["misconception"] for finding in found["findings"]]


def test_each_has_a_row(graded: Run) -> None:
    level = graded.rows[0]["isolation"]
    assert sorted(row["student"] for row in graded.rows) == sorted(names(level))
    assert {row["isolation"] for row in graded.rows if row["status"] == "graded"} == {level}


@pytest.mark.parametrize("graded", WHOLE, indirect=True)
def test_all_are_worth_the_same(graded: Run) -> None:
    worth = {
        (row["assignment"], *((e["grade_id"], e["max_score"]) for e in row["exercises"]))
        for row in graded.rows
    }
    assert len(worth) == len(ASSIGNMENTS)


def test_the_neighbour_has_full_marks(graded: Run) -> None:
    row = graded.row(NEIGHBOUR)
    assert row["score"] == row["max_score"]


def test_nothing_is_left_behind(graded: Run) -> None:
    assert graded.left_running == []
    assert graded.left_behind == []


def test_the_terminal_shows_only_what_the_grader_says(graded: Run) -> None:
    assert graded.stderr == ""
    assert not set(map(chr, range(32))) & set(graded.stdout) - {"\n"}


def test_nobody_waits_longer_than_the_limits(graded: Run) -> None:
    slowest = max(graded.rows, key=lambda row: row["seconds"])
    assert slowest["seconds"] < 40, slowest["student"]


@pytest.mark.parametrize("graded", WHOLE, indirect=True)
def test_feedback_and_exports_know_everybody(graded: Run) -> None:
    students = [row["student"] for row in graded.rows if row["assignment"] == ASSIGNMENT]
    course = Path(graded.course)
    for command in ("feedback", "report"):
        done = run([sys.executable, "-m", "autograder.cli", command, ASSIGNMENT], course)
        assert done.returncode == 0, done.stderr
    table = run([sys.executable, "-m", "autograder.cli", "export", ASSIGNMENT], course).stdout
    pages = {path.parent.name: path for path in course.glob("feedback/**/*.html")}
    for student in students:
        assert f"{student}," in table
        page = next(
            path for path in course.glob("feedback/**/*.html") if student in str(path.relative_to(course))
        )
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "onerror=alert" not in text.replace("&lt;img src=x onerror=alert", "")
    assert pages


class Active(HTMLParser):
    """Collects what a browser would do on its own, or when somebody clicks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.script = tag == "script"
        if tag in ("iframe", "svg", "object", "embed", "form"):
            self.found.append(tag)
        for name, value in attrs:
            address = "".join((value or "").split())
            if name.startswith("on") or address.startswith(("javascript:", "data:text")):
                self.found.append(f"{tag} {name}={value}")
            if tag == "img" and name == "src" and not address.startswith("data:image/"):
                self.found.append(f"{tag} {name}={value}")  # asked for by whoever opens the page
            if name in ("class", "id") and {"nbgrader_cell", "full-credit", "check_affine_backward"} & {
                *(value or "").split()
            }:
                self.found.append(f"{tag} {name}={value}")  # Formgrader finds its buttons and fields by these

    def handle_data(self, data: str) -> None:
        if self.script and "alert(" in data:
            self.found.append(data)


@pytest.mark.parametrize("graded", WHOLE, indirect=True)
@pytest.mark.parametrize("template", ["classic", "lab"])
def test_what_formgrader_shows_does_nothing(graded: Run, template: str) -> None:
    """Somebody reads it who is logged in, and may change every grade."""
    config = Config()
    configure(config)
    config.HTMLExporter.template_name = template
    path = Path(graded.course, "autograded", "malformed-markup", ASSIGNMENT, f"{ASSIGNMENT}.ipynb")
    page, _ = HTMLExporter(config=config).from_filename(str(path))
    parser = Active()
    parser.feed(page[page.index("<body") :])
    assert parser.found == []
    assert "alert(3)" in page  # as text
    assert "data:image/png;base64,iVBORw0KGgo=" in page


# -- stock nbgrader


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return once(tmp_path_factory, "nbgrader", autograde)


def autograde(course: Path) -> Run:
    from nbgrader.api import Gradebook, MissingEntry

    make_course(course, [name for name in names("landlock") if name not in NOT_FOR_NBGRADER])
    began = time.perf_counter()
    run([sys.executable, "-m", "autograder.cli", "release", ASSIGNMENT], course)
    with orphans() as left_running:
        done = run(["nbgrader", "autograde", ASSIGNMENT], course)
    rows = []
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        for name in CORPUS:
            with contextlib.suppress(MissingEntry):
                (notebook,) = book.find_submission(ASSIGNMENT, name).notebooks
                scores = {g.name: g.score for g in notebook.grades if g.max_score}
                rows.append({"student": name, "scores": scores, "waits": notebook.needs_manual_grade})
    seconds = time.perf_counter() - began
    print(f"\n{len(rows)} submissions by nbgrader autograde: {seconds:.0f} s")
    return Run(str(course), rows, done.stdout, done.stderr, seconds, left_running, [])


@pytest.mark.parametrize("graded", ["namespaces"], indirect=True)
@pytest.mark.parametrize("name", [n for n in names("landlock") if n not in NOT_FOR_NBGRADER])
def test_stock_nbgrader_gives_the_same(graded: Run, stock: Run, name: str) -> None:
    row = stock.row(name)
    assert row["scores"] == {e["grade_id"]: e["score"] for e in graded.row(name)["exercises"]}
    assert not row["waits"]


def test_stock_nbgrader_leaves_nothing_running(stock: Run) -> None:
    assert stock.left_running == []


# -- time


def test_many_slow_calls_have_no_more_time_than_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in its limit, all of them far beyond the time of a submission."""
    make_course(tmp_path, [NEIGHBOUR])
    path = tmp_path / "submitted" / NEIGHBOUR / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    submitted = notebook.read(path)
    at = next(i for i, cell in enumerate(submitted.cells) if 'check("affine_backward")' in cell.source)
    slow = "import time\nown = affine_backward\ndef affine_backward(*a):\n    time.sleep(0.5)\n    return own(*a)"
    submitted.cells.insert(at, nbformat.v4.new_code_cell(slow))
    assignment = Course(tmp_path).assignment(ASSIGNMENT)
    monkeypatch.setattr(grading, "TOTAL_SECONDS", 4.0)
    with Sandbox(build_view(ASSIGNMENT, tmp_path / "view")) as box:
        result, _ = grading.grade_notebook(submitted, "slow", assignment, box.session)
    found = {grade_id: {f.outcome for f in report.findings} for grade_id, report in result.reports.items()}
    assert "timed out" in found["check_affine_backward"]
    assert found["check_quiz_01"] == {"not run"}


def test_a_second_life_has_no_time_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that were fast, and are slow when they run again because the process has ended."""
    make_course(tmp_path, [NEIGHBOUR])
    path = tmp_path / "submitted" / NEIGHBOUR / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    submitted = notebook.read(path)
    source = "import time\ntime.sleep(0 if called else 1.5)"
    count = "called = []\nown = relative_error\ndef relative_error(a, b):\n    called.append(1)\n    return own(a, b)"
    at = next(i for i, cell in enumerate(submitted.cells) if 'check("relative_error")' in cell.source)
    added = [source] * 6 + ["import os\nos._exit(0)"]
    submitted.cells[at + 1 : at + 1] = [nbformat.v4.new_code_cell(text) for text in added]
    submitted.cells.insert(at, nbformat.v4.new_code_cell(count))
    monkeypatch.setattr(grading, "TOTAL_SECONDS", 4.0)
    ran: list[tuple[str, bool]] = []
    honest = Session.run

    def run(session: Session, source: str, cell: str, seconds: float | None = None) -> Problem | None:
        problem = honest(session, source, cell, seconds)
        ran.append((source, problem is None))
        return problem

    monkeypatch.setattr(Session, "run", run)
    with Sandbox(build_view(ASSIGNMENT, tmp_path / "view")) as box:
        grading.grade_notebook(submitted, "slow", Course(tmp_path).assignment(ASSIGNMENT), box.session)
    assert 6 < ran.count((source, True)) < 12


# -- the files of the corpus


def test_no_file_of_cells_can_be_imported() -> None:
    files = [path for family in FAMILIES for path in (HERE / family).iterdir()]
    assert len(files) > 80
    assert sum(path.parent.name == "hostile" for path in files) >= 60
    assert {path.suffix for path in files} == {".cells"}
