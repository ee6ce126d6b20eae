"""Where a course keeps its files: one object that knows every path.

A course is a directory in nbgrader's layout: ``solutions/NAME/NAME.ipynb`` is what the instructor edits,
``submitted/STUDENT/NAME/NAME.ipynb`` what came in, ``gradebook.db`` the grades, ``course.toml`` (see `settings`) what
the instructor has decided.
"""

import hashlib
import json
import os
import secrets
import stat
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from .errors import CourseError as CourseError
from .grading import Assignment
from .notebook import is_check
from .roster import valid_student as valid_student
from .settings import Settings, read_settings
from .source import without_hidden, write_atomically

SEEDS = "hidden_seeds.json"


@dataclass(frozen=True)
class Submission:
    """A file to grade."""

    student: str
    assignment: str
    path: Path


@dataclass(frozen=True)
class Course:
    """A course directory."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Course":
        """The course that a directory belongs to: the nearest one above it that has ``solutions/``.

        Raises
        ------
        CourseError
            If there is none.
        """
        here = (start or Path.cwd()).resolve()
        for root in (here, *here.parents):
            if (root / "solutions").is_dir():
                return cls(root)
        raise CourseError(
            f"{here} is not part of a course: there is no directory 'solutions' in it or above it. "
            "Run the command in the course directory, or name it with --course."
        )

    @property
    def gradebook(self) -> Path:
        """nbgrader's database."""
        return self.root / "gradebook.db"

    def source(self, name: str) -> Path:
        """The source notebook of an assignment."""
        return self.root / "solutions" / name / f"{name}.ipynb"

    def release(self, name: str) -> Path:
        """The notebook that students get."""
        return self.root / "assignments" / name / f"{name}.ipynb"

    def autograded(self, student: str, name: str) -> Path:
        """The graded notebook of a student."""
        return self.root / "autograded" / student / name / f"{name}.ipynb"

    def names(self) -> list[str]:
        """Assignments that have a source notebook."""
        return sorted(
            path.parent.name
            for path in self.root.glob("solutions/*/*.ipynb")
            if path.stem == path.parent.name
        )

    def require(self, name: str) -> str:
        """The name again, if there is such an assignment.

        Raises
        ------
        CourseError
            If there is none; the message lists those that there are.
        """
        if name in self.names():
            return name
        there = ", ".join(self.names()) or "none"
        raise CourseError(f"there is no assignment {name!r} in {self.root / 'solutions'}; there are: {there}")

    @cached_property
    def settings(self) -> Settings:
        """What course.toml says.

        Raises
        ------
        CourseError
            If something in it cannot be meant.
        """
        return read_settings(self.root, self.names())

    def assignment(self, name: str) -> Assignment:
        """What grading needs to know of an assignment."""
        source = nbformat.read(self.source(self.require(name)), as_version=4)
        self.set_points(name, source)
        released = {
            c.metadata.nbgrader.grade_id: without_hidden(c.source) for c in source.cells if is_check(c)
        }
        return Assignment(name, source, self.hidden_seed(name), released)

    def set_points(self, name: str, notebook: NotebookNode) -> None:
        """Write the points that course.toml gives to exercises and written answers into a notebook.

        Raises
        ------
        CourseError
            If it gives points to something that the notebook does not have.
        """
        cells = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells]
        graded = {marks.grade_id.removeprefix("check_"): marks for marks in cells if marks.get("grade")}
        for key, points in self.settings.plan(name).points.items():
            if key not in graded:
                raise CourseError(
                    f"course.toml: there is no assignments.{name}.points.{key}; there are: {', '.join(graded)}"
                )
            graded[key].points = points

    def hidden_seed(self, name: str) -> int:
        """The secret from which hidden cases are drawn: made once, kept beside the gradebook, never handed out."""
        path = self.root / SEEDS
        try:
            seeds = json.loads(path.read_text()) if path.is_file() else {}
        except ValueError:
            raise CourseError(
                f"{path} is damaged: put a copy back, or delete it (then hidden cases are drawn anew, and everybody is "
                "graded anew)"
            ) from None
        if name not in seeds:
            seeds[name] = secrets.randbits(63)
            write_atomically(path, json.dumps(seeds, indent=1, sort_keys=True) + "\n")
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        return int(seeds[name])

    def fingerprint(self, name: str) -> str:
        """Changes whenever a grade might: with the source, the sheets, or the hidden seed."""
        digest = hashlib.sha256(self.source(name).read_bytes())
        assignment = self.assignment(name)
        for cell in assignment.checks().values():
            sheet = assignment.sheet(cell)
            digest.update(
                sheet.to_bytes() if sheet is not None else str(cell.metadata.nbgrader.points).encode()
            )
        return digest.hexdigest()[:16]

    def submissions(self, name: str, folder: Path | None = None) -> list[Submission]:
        """Submissions of an assignment, by student; a student whose notebook is missing is one of them.

        With a roster, a directory that bears a student's name or address is that student's.

        Parameters
        ----------
        name : str
            The assignment.
        folder : Path, optional
            Where they lie, as ``STUDENT/NAME/NAME.ipynb``; the course's ``submitted/`` without it.
        """
        folder = folder or self.root / "submitted"
        if (folder / "submitted").is_dir() and not (folder / "submitted" / name).exists():
            folder = folder / "submitted"
        if not folder.is_dir():
            raise CourseError(
                f"there is no directory {folder}; submissions are expected as STUDENT/{name}/{name}.ipynb in it"
            )
        there = [path for path in sorted(folder.iterdir()) if _is_there(path / name)]
        owners = {
            path.name: path.name for path in there
        }  # by directory; without a roster, its name is the id
        taken = set(owners)
        for directory in owners:
            person = self.settings.roster.match(directory) if self.settings.roster else None
            if person is not None and person.id not in taken:  # of two directories of a student, the first
                owners[directory] = person.id
                taken.add(person.id)
        found = [Submission(owners[path.name], name, path / name / f"{name}.ipynb") for path in there]
        return sorted(found, key=lambda submission: submission.student)


def _is_there(path: Path) -> bool:
    """Whether there is a directory, a link, or something that may not be looked at: that is a row as well."""
    try:
        mode = path.lstat().st_mode
    except PermissionError:
        return True
    except OSError:
        return False
    return stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def instructor_path() -> None:
    """Let nbgrader find the commands that it was installed with, also where the environment is not activated."""
    folder = str(Path(sys.executable).parent)
    if folder not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = folder + os.pathsep + os.environ.get("PATH", "")
