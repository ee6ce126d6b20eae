"""The gates: what has to hold for every assignment of the course before it may be handed out."""

import ast
import builtins
import shutil
import zipfile
from pathlib import Path

import nbclient
import nbformat
import pytest

from autograder import flow, grading, notebook, source
from autograder.bundle import build_bundle
from autograder.course import Course
from autograder.errors import CourseError
from autograder.sandbox import SandboxError
from autograder.session import LocalSession
from autograder.task import session_for

ROOT = Path(__file__).resolve().parents[1]
COURSE = Course(ROOT)
NAMES = COURSE.names()
MARKS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN", "END HIDDEN")

every_assignment = pytest.mark.parametrize("name", NAMES)


def solution_lines(name: str) -> set[str]:
    """Lines that stand only inside solution regions, and are long enough to mean something."""
    inside, outside = set(), set()
    for cell in nbformat.read(COURSE.source(name), as_version=4).cells:
        within = False
        for line in cell.source.splitlines():
            within = (within or "BEGIN SOLUTION" in line) and "END SOLUTION" not in line
            (inside if within else outside).add(line.strip())
    return {line for line in inside - outside if len(line) > 15 and "BEGIN SOLUTION" not in line}


def test_there_is_an_assignment():
    assert "01_gradient_checking" in NAMES


@every_assignment
def test_rebuilding_changes_nothing(name, tmp_path):
    text = COURSE.source(name).with_suffix(".py")
    assert source.dumps(source.read_text(text)) == COURSE.source(name).read_text(encoding="utf-8")
    shutil.copytree(ROOT / "solutions" / name, tmp_path / "solutions" / name)
    released = flow.release(Course(tmp_path), name)
    assert released.read_text(encoding="utf-8") == COURSE.release(name).read_text(encoding="utf-8")
    assert [path.name for path in released.parent.iterdir()] == [released.name]


@every_assignment
def test_the_solution_runs_from_top_to_bottom_and_passes_every_check(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_REVEAL", "1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # on busy cores, threads of BLAS wait for each other
    nb = nbformat.read(COURSE.source(name), as_version=4)
    nbclient.NotebookClient(nb, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in nb.cells:
        if notebook.is_check(cell):
            (output,) = [o for o in cell.outputs if o.output_type == "execute_result"]
            assert float(output.data["text/plain"]) == cell.metadata.nbgrader.points, cell.source


@every_assignment
def test_nothing_handed_out_holds_a_solution_or_a_mark(name, tmp_path):
    lines = solution_lines(name)
    assert lines  # else this test could not fail
    texts = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "assignments" / name).rglob("*.*")
    }
    with zipfile.ZipFile(build_bundle(ROOT, name, tmp_path)) as archive:
        texts |= {member: archive.read(member).decode("utf-8", "replace") for member in archive.namelist()}
    for where, text in texts.items():
        if where.endswith(".ipynb"):
            cells = nbformat.reads(text, as_version=4).cells
            found = lines & {line.strip() for cell in cells for line in cell.source.splitlines()}
            assert not found, (where, found)
        assert not [mark for mark in MARKS if mark in text], where


@every_assignment
def test_every_check_fails_on_the_untouched_release(name):
    assignment = COURSE.assignment(name)
    released = nbformat.read(COURSE.release(name), as_version=4)
    result, _ = grading.grade_notebook(released, "", assignment, lambda: LocalSession({}))
    scores = {grade_id: report.score for grade_id, report in result.reports.items()}
    assert scores == dict.fromkeys(assignment.checks(), 0.0)
    assert all(report.findings and report.findings[0].message for report in result.reports.values())


@every_assignment
def test_the_solution_scores_the_maximum_with_experiments_skipped(name):
    assignment = COURSE.assignment(name)
    solved = nbformat.read(COURSE.source(name), as_version=4)
    result, _ = grading.grade_notebook(solved, "", assignment, lambda: LocalSession({}))
    assert {g: r.score for g, r in result.reports.items()} == {g: r.points for g, r in result.reports.items()}
    assert result.notes == []


@every_assignment
def test_the_solution_scores_the_maximum_behind_the_walls(name):
    """Where nothing of the course can be read, and the data of the library have to be there all the same."""
    assignment = COURSE.assignment(name)
    solved = nbformat.read(COURSE.source(name), as_version=4)
    try:
        result, _ = grading.grade_notebook(solved, "", assignment, lambda: session_for(name))
    except SandboxError as error:
        pytest.skip(str(error))
    assert result.notes == []
    assert {g: r.score for g, r in result.reports.items()} == {g: r.points for g, r in result.reports.items()}


@every_assignment
def test_cells_read_only_what_an_earlier_cell_of_the_right_kind_defines(name):
    """Grading skips experiments and checks run elsewhere: nothing that is graded may need a name from them."""
    always, everything, from_checks = set(dir(builtins)), set(dir(builtins)), set()
    for cell in nbformat.read(COURSE.source(name), as_version=4).cells:
        if cell.cell_type != "code":
            continue
        kinds, (stored, loaded) = notebook.tags(cell), names_of(cell.source)
        if "check" in kinds:
            from_checks |= stored
            continue
        known = always if {"setup", "solution"} & set(kinds) else everything
        missing = loaded - known - stored
        assert not missing, (cell.id, missing)
        assert not (loaded & from_checks - everything), cell.id
        everything |= stored
        if {"setup", "solution"} & set(kinds):
            always |= stored


def names_of(code: str) -> tuple[set[str], set[str]]:
    """Names that a cell binds anywhere, and names that it reads."""
    stored, loaded = set(), set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                loaded.add(name)
            case ast.Name(id=name):
                stored.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                stored.add(name)
            case ast.alias(name=name, asname=other):
                stored.add(other or name.partition(".")[0])
            case ast.ExceptHandler(name=str() as name):
                stored.add(name)
    return stored, loaded


def test_a_release_that_fails_leaves_the_one_before(tmp_path):
    name = "00_autograd_trap"
    shutil.copytree(ROOT / "solutions" / name, tmp_path / "solutions" / name)
    course = Course(tmp_path)
    released = flow.release(course, name).read_bytes()
    text = course.source(name).with_suffix(".py")
    broken = text.read_text("utf-8").replace("### END SOLUTION", "", 1)
    text.write_text(broken, "utf-8")
    with pytest.raises(CourseError):
        flow.release(course, name)
    assert course.release(name).read_bytes() == released
