"""An autograder for Gradescope: the archive that an instructor uploads, and what runs there for each submission.

The archive holds this package with the exercises of one assignment, the source of that assignment, and its hidden
seed: the cases are those of `minigrad grade`, and so is the score. Whoever has the archive has the answers.

    python -I -m autograder.gradescope ROOT [--trust-students]

Gradescope's format: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

import argparse
import importlib
import json
import os
import pkgutil
import platform
import re
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import minigrad

from . import exercises, notebook
from .bundle import zipped
from .course import SEEDS, Course
from .grading import Assignment
from .report import Finding, Report
from .sandbox import SandboxError
from .source import write_atomically
from .task import Setup, Task, grade, sandbox_for
from .text import clean
from .view import SUFFIXES

# What grading needs of other packages. ipython: it reads a cell's magics. matplotlib: student code may draw.
REQUIRES = ("ipython", "matplotlib", "nbformat", "numpy", "threadpoolctl")
MAX_FILES = 1000
MAX_DEPTH = 20
MAX_TEXT = 20_000
TEMPLATES = Path(__file__).with_name("templates")

Json = dict[str, Any]


# -- the archive


def build(course: Course, name: str, destination: Path, trust_students: bool = False) -> Path:
    """Pack the autograder of an assignment for upload to Gradescope.

    Parameters
    ----------
    course : Course
        Where the assignment is.
    name : str
        ``"01_gradient_checking"``.
    destination : Path
        The directory to write to; made where it is missing.
    trust_students : bool
        Whether student code runs without walls where Gradescope allows none. Otherwise it does not run there.

    Returns
    -------
    archive : Path
        ``destination/NAME_autograder.zip``, which only its owner can read.

    Raises
    ------
    CourseError
        If there is no such assignment, or course.toml cannot be meant.
    """
    archive = destination / f"{course.require(name)}_autograder.zip"
    content = zipped(_files(course, name, trust_students), executable=("setup.sh", "run_autograder"))
    destination.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    os.close(os.open(archive, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    archive.write_bytes(content)
    return archive


def points(course: Course, name: str) -> tuple[float, float, float]:
    """What the checks of an assignment are worth, the stretch exercises of that, and its written answers."""
    assignment = course.assignment(name)
    checks = {each: float(cell.metadata.nbgrader.points) for each, cell in assignment.checks().items()}
    stretch = [
        checks[each]
        for each, cell in assignment.checks().items()
        if (sheet := assignment.sheet(cell)) is not None and sheet.stretch
    ]
    return sum(checks.values()), sum(stretch), _written(assignment.source)


def _files(course: Course, name: str, trust_students: bool) -> dict[str, bytes]:
    """The files of the archive. What is executable ends in .sh, or is ``run_autograder``."""
    assignment = course.assignment(name)
    library = Path(minigrad.__file__).parent
    ours = Path(__file__).parent
    package = {
        f"minigrad/{path.relative_to(library).as_posix()}": path
        for path in library.rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    }
    package |= {f"autograder/{path.name}": path for path in ours.glob("*.py")}
    package |= {f"autograder/exercises/{path.name}": path for path in _exercise_files(assignment)}
    run = (TEMPLATES / "gradescope_run.sh").read_text(encoding="utf-8")
    return {
        "setup.sh": (TEMPLATES / "gradescope_setup.sh").read_bytes(),
        "run_autograder": run.replace("OPTIONS", " --trust-students" if trust_students else "").encode(),
        "constraints.txt": "".join(f"{pin}\n" for pin in _pins()).encode(),
        # With the points of course.toml, which stays here: it may name those who got an extension.
        f"course/solutions/{name}/{name}.ipynb": nbformat.writes(assignment.source).encode(),
        f"course/{SEEDS}": json.dumps({name: course.hidden_seed(name)}).encode(),
        "package/pyproject.toml": _pyproject(package).encode(),
        **{f"package/{file}": path.read_bytes() for file, path in package.items()},
    }


def _exercise_files(assignment: Assignment) -> list[Path]:
    """The modules with the exercises of an assignment, and their data. The others hold answers to the others."""
    wanted = {notebook.check_name(cell) for cell in assignment.checks().values()}
    modules = []
    for found in pkgutil.iter_modules(exercises.__path__):
        module = importlib.import_module(f"{exercises.__name__}.{found.name}")
        if wanted & {exercise.name for exercise in module.EXERCISES}:
            modules.append(found.name)
    folder = Path(exercises.__file__).parent
    names = [f"{module}{suffix}" for module in ("__init__", *modules) for suffix in (".py", ".toml")]
    return [path for name in names if (path := folder / name).is_file()]


def _pins() -> list[str]:
    """What is needed of other packages, in the versions that grade here: another numpy may round otherwise."""
    found: dict[str, str] = {}
    left = list(REQUIRES)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()  # one package has many spellings
        if name in found:
            continue
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # for another system, or another Python
            continue
        found[name] = f"{name}=={package.version}"
        wanted = [line for line in package.requires or () if "extra ==" not in line]
        left += [re.split(r"[^\w.-]", line)[0] for line in wanted]
    return sorted(found.values())


def _pyproject(package: dict[str, Path]) -> str:
    data = {
        each: sorted(
            file.partition("/")[2]
            for file in package
            if file.startswith(f"{each}/") and not file.endswith(".py")
        )
        for each in ("minigrad", "autograder")
    }
    return f"""[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "minigrad"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = {json.dumps(REQUIRES)}

[tool.setuptools.packages.find]
include = ["minigrad*", "autograder*"]
namespaces = false

[tool.setuptools.package-data]
minigrad = {json.dumps(data["minigrad"])}
autograder = {json.dumps(data["autograder"])}
"""


# -- a run


def main() -> None:
    """Grade what was uploaded below ROOT, and write ROOT/results/results.json whatever happens."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("root", type=Path, help="/autograder")
    parser.add_argument("--trust-students", action="store_true")
    words = parser.parse_args()
    try:
        outcome = run(words.root.resolve(), words.trust_students)
    except BaseException:  # what is printed is for the instructor alone
        traceback.print_exc()
        outcome = _refused("the autograder has a fault")
    write_atomically(words.root / "results" / "results.json", json.dumps(outcome, indent=1) + "\n")


def run(root: Path, trust_students: bool = False) -> Json:
    """The results, in Gradescope's form, of what was uploaded to ``root/submission``.

    Parameters
    ----------
    root : Path
        Gradescope's ``/autograder``.
    trust_students : bool
        Run student code without walls where no walls can be had, instead of not at all.
    """
    course = Course(root / "source" / "course")
    (name,) = course.names()
    assignment = course.assignment(name)
    said = []
    try:
        path = find_notebook((root / "submission").resolve(), name)
        said.append(f"Graded: {path.name}")
        task = Task("", name, notebook.read_bytes(path), "", "")
    except notebook.Unreadable as error:
        task = Task("", name, None, str(error), "")
    level = None
    if task.content is not None:
        try:
            level = sandbox_for(name).level
        except SandboxError as error:
            print(error)
            if not trust_students:
                return _refused("student code cannot be isolated on this machine")
            level = "none"
    row = grade(Setup({name: assignment}, level), task).row
    print(f"isolation: {row['isolation']}; {row['seconds']:.1f} s; Python {platform.python_version()}")
    if task.content is not None and _of_another(task.content, assignment):
        said.append(f"This is the notebook of another assignment: it has none of the checks of {name}.")
    if written := _written(assignment.source):
        said.append(f"A person reads what you wrote: those {written:g} points are not counted here.")
    return _results(row, said)


def find_notebook(folder: Path, name: str) -> Path:
    """The notebook among the uploaded files: the only one, or of several the one with the assignment's name.

    Archives in it are not looked into. Gradescope unpacks one that is uploaded.

    Raises
    ------
    Unreadable
        If there is none, or it is not clear which; the message is for the student.
    """
    found: list[Path] = []
    others: list[str] = []
    for at, folders, files in os.walk(folder):
        # Copies that Jupyter keeps, and what a Mac adds to an archive, are nobody's answer.
        deep = len(Path(at).relative_to(folder).parts) >= MAX_DEPTH
        folders[:] = [] if deep else sorted(f for f in folders if f[0] != "." and f != "__MACOSX")
        for file in sorted(file for file in files if not file.startswith(".")):
            if file.lower().endswith(".ipynb"):
                found.append(Path(at, file))
            else:
                others.append(file)
        if len(found) + len(others) > MAX_FILES:
            raise notebook.Unreadable(f"more than {MAX_FILES} files were uploaded; upload {name}.ipynb alone")
    named = [path for path in found if path.stem == name]
    for chosen in (found, named):
        if len(chosen) == 1:
            return chosen[0]
    if found:
        shown = ", ".join(str(path.relative_to(folder)) for path in found[:5])
        raise notebook.Unreadable(
            f"{len(found)} notebooks were uploaded ({shown}); upload {name}.ipynb alone"
        )
    shown = ", ".join(others[:5]) or "nothing"
    raise notebook.Unreadable(f"no notebook was uploaded, but {shown}; upload {name}.ipynb")


def _of_another(content: bytes, assignment: Assignment) -> bool:
    """Whether a notebook has checks, and none of this assignment's."""
    try:
        cells = notebook.parse(content).cells
    except notebook.Unreadable:
        return False
    theirs = {cell.metadata.nbgrader.get("grade_id") for cell in cells if notebook.is_check(cell)}
    return bool(theirs) and theirs.isdisjoint(assignment.checks())


def _written(source: NotebookNode) -> float:
    """Points that a person gives for written answers. Gradescope has its own questions for these."""
    marks = [cell.metadata.get("nbgrader", {}) for cell in source.cells]
    return sum(float(mark.points) for mark in marks if mark.get("grade") and mark.get("solution"))


def _results(row: Json, said: list[str]) -> Json:
    """A result in Gradescope's form. All text is `text`: some of it is the student's, and the default is markup."""
    if row["status"] != "graded":
        said = [f"Nothing was graded: {note}" for note in row["notes"]] + said
    elif row["notes"]:
        said = [*said, "Notes:", *(f"- {note}" for note in row["notes"])]
    return {
        "score": row["score"],
        "execution_time": row["seconds"],
        "output": clean("\n".join(said), MAX_TEXT),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"isolation": row["isolation"]},
        "tests": [_test(number, exercise) for number, exercise in enumerate(row["exercises"], start=1)],
    }


def _test(number: int, exercise: Json) -> Json:
    findings = [Finding(**finding) for finding in exercise["findings"]]
    report = Report("", exercise["title"], exercise["max_score"], findings)
    name = f"{exercise['title']} (stretch)" if exercise["stretch"] else exercise["title"]
    return {
        "number": str(number),
        "name": clean(name, 200),
        "name_format": "text",
        "score": exercise["score"],
        "max_score": exercise["max_score"],
        "status": "passed" if exercise["score"] >= exercise["max_score"] else "failed",
        "output": clean(report.text().partition("\n")[2], MAX_TEXT),  # the first line says the points again
        "output_format": "text",
        "visibility": "visible",
    }


def _refused(reason: str) -> Json:
    """Results that are no verdict: Gradescope wants a score all the same."""
    return {
        "score": 0,
        "output": f"Your work was not graded: {reason}. This says nothing about your work. Tell your instructor, who "
        "finds more in the output of the autograder.",
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [],
    }


if __name__ == "__main__":
    main()
