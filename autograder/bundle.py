"""What a student is handed: one archive that needs nothing of the repository.

It holds the released notebook, the student view of `minigrad`, and as much of `autograder` as a check in a
notebook needs: no exercise modules, but the visible sheets that they compile to.
"""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

from .course import Course
from .exercises import assignments, visible_sheet
from .settings import Settings
from .source import write_atomically
from .view import assignment_number, view_files

# The part of this package that a student's machine needs, for `check(...)` and for the command `minigrad`.
STUDENT_FILES = (
    "__init__.py",
    "asserts.py",
    "checking.py",
    "exercise.py",
    "exercises/__init__.py",
    "grading.py",
    "measures.py",
    "notebook.py",
    "playing.py",
    "probes.py",
    "report.py",
    "servant.py",
    "session.py",
    "sheet.py",
    "student.py",
    "stubs.py",
    "text.py",
    "wire.py",
)
# As in setup.cfg: what the library needs, and the extra "student".
REQUIRES = (
    "numpy>=2.0",
    "ipywidgets>=8",
    "jupyterlab>=4",
    "matplotlib>=3.8",
    "nbformat>=5.10",
    "rich>=13",
    "threadpoolctl>=3",
    "typer>=0.12",
)
# nbgrader's delimiters: a notebook that has one was not released.
SECRETS = ("BEGIN SOLUTION", "BEGIN HIDDEN TESTS", "BEGIN MARK SCHEME")
TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the first that a zip archive can hold


def build_bundle(course_root: Path, assignment: str, destination: Path) -> Path:
    """Pack an assignment for handing out.

    Parameters
    ----------
    course_root : Path
        Holds ``assignments/NN_name/NN_name.ipynb``, as released.
    assignment : str
        ``"01_gradient_checking"``.
    destination : Path
        The directory to write to; made where it is missing.

    Returns
    -------
    archive : Path
        ``destination/NN_name.zip``. The same contents give the same bytes.

    Raises
    ------
    FileNotFoundError
        If the assignment was not released.
    ValueError
        If the notebook holds a solution or a hidden test.
    """
    files = bundle_files(course_root, assignment)
    archive = destination / f"{assignment}.zip"
    write_atomically(archive, zipped({f"{assignment}/{name}": content for name, content in files.items()}))
    return archive


def bundle_files(course_root: Path, assignment: str) -> dict[str, bytes]:
    """The files of a bundle, by path below its top folder."""
    view = view_files(assignment)
    ours = Path(__file__).parent
    sheets = _sheets(assignment, Course(course_root).settings)
    return {
        f"{assignment}.ipynb": _notebook(course_root, assignment),
        "README.md": _readme(assignment).encode(),
        "pyproject.toml": _pyproject(view).encode(),
        **view,
        **{f"autograder/{name}": (ours / name).read_bytes() for name in STUDENT_FILES},
        **{f"autograder/exercises/sheets/{name}.sheet": data for name, data in sheets.items()},
    }


def _notebook(course_root: Path, assignment: str) -> bytes:
    path = course_root / "assignments" / assignment / f"{assignment}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: release {assignment} first")
    content = path.read_bytes()
    for secret in SECRETS:
        if secret.encode() in content:
            raise ValueError(f"{path} holds {secret!r}: it is not a released notebook")
    return content


def _sheets(assignment: str, settings: Settings | None = None) -> dict[str, bytes]:
    """The visible sheets of the assignment and of those before it, by exercise, with the points of the course."""
    number = assignment_number(assignment)
    found = {}
    for group, names in assignments().items():
        if assignment_number(group) <= number:
            points = settings.plan(group).points if settings else {}
            for name in names:
                sheet = visible_sheet(name)
                found[name] = (replace(sheet, points=points[name]) if name in points else sheet).to_bytes()
    return found


def _readme(assignment: str) -> str:
    return f"""# {assignment}

You need Python 3.11 or later. In this folder:

    python -m venv .venv
    source .venv/bin/activate        (Windows: .venv\\Scripts\\activate)
    pip install .
    jupyter lab {assignment}.ipynb

Write where a cell says `YOUR CODE HERE`, and run the `check(...)` cell below it as often as you like.
`minigrad check {assignment}.ipynb` checks the whole notebook at once.

In a hosted notebook, upload `{assignment}.ipynb` and `{assignment}.zip`, and run this in a cell above all others:

    %pip install -q --no-deps {assignment}.zip

What you hand in is the notebook, `{assignment}.ipynb`.
"""


def _pyproject(view: dict[str, bytes]) -> str:
    data = sorted(name.partition("/")[2] for name in view if not name.endswith(".py"))
    return f"""[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "minigrad"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = {json.dumps(REQUIRES, indent=4)}

[project.scripts]
minigrad = "autograder.student:app"

[tool.setuptools.packages.find]
include = ["minigrad*", "autograder*"]
namespaces = false

[tool.setuptools.package-data]
minigrad = {json.dumps(data)}
"autograder.exercises" = ["sheets/*.sheet"]
"""


def zipped(files: dict[str, bytes], executable: tuple[str, ...] = ()) -> bytes:
    """An archive of some files; the same files make the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.create_system = 3  # Unix, wherever this runs, for the permissions that follow
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
