"""Where a course keeps its files: one object that knows every path.

A course is a directory in nbgrader's layout: ``solutions/NAME/NAME.ipynb`` is what the instructor edits,
``submitted/STUDENT/NAME/NAME.ipynb`` what came in, ``gradebook.db`` the grades.
"""

import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import nbformat

from .grading import Assignment
from .notebook import is_check
from .source import without_hidden, write_atomically

MAX_UNPACKED = 4 * 2**30
SEEDS = "hidden_seeds.json"


class CourseError(Exception):
    """Something about the course's files that a person has to mend; the message says what and how."""


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

    def assignment(self, name: str) -> Assignment:
        """What grading needs to know of an assignment."""
        source = nbformat.read(self.source(self.require(name)), as_version=4)
        released = {
            c.metadata.nbgrader.grade_id: without_hidden(c.source) for c in source.cells if is_check(c)
        }
        return Assignment(name, source, self.hidden_seed(name), released)

    def hidden_seed(self, name: str) -> int:
        """The secret from which hidden cases are drawn: made once, kept beside the gradebook, never handed out."""
        path = self.root / SEEDS
        seeds = json.loads(path.read_text()) if path.is_file() else {}
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
            digest.update(sheet.to_bytes() if sheet is not None else b"")
        return digest.hexdigest()[:16]

    def submissions(self, name: str, folder: Path | None = None) -> list[Submission]:
        """Submissions of an assignment, by student; a student whose notebook is missing is one of them.

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
        found = []
        for directory in sorted(folder.iterdir()):
            if (directory / name).is_symlink() or (directory / name).is_dir():
                found.append(Submission(directory.name, name, directory / name / f"{name}.ipynb"))
        return found


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The notebooks of a zip archive of submissions, in a directory that lasts as long as the context.

    Raises
    ------
    CourseError
        If it is no archive, or unpacks to more than `MAX_UNPACKED`. Members with a path outside the layout
        ``.../STUDENT/NAME/NAME.ipynb`` are left out.
    """
    target = Path(tempfile.mkdtemp(prefix="minigrad-"))
    try:
        try:
            with zipfile.ZipFile(archive) as members:
                _unpack(members, target)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise CourseError(f"{archive} cannot be unpacked: {error}") from None
        yield target
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _unpack(members: zipfile.ZipFile, target: Path) -> None:
    total = 0
    for member in members.infolist():
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        link = stat.S_ISLNK(member.external_attr >> 16)
        laid_out = len(parts) >= 3 and parts[-1] == f"{parts[-2]}.ipynb" and not {"..", "/", "."} & set(parts)
        if member.is_dir() or link or not laid_out or not valid_student(parts[-3]):
            continue
        path = target.joinpath(*parts[-3:])
        path.parent.mkdir(parents=True, exist_ok=True)
        with members.open(member) as source, path.open("wb") as copy:
            while part := source.read(1 << 20):  # sizes in the archive's own headers may lie
                total += len(part)
                if total > MAX_UNPACKED:
                    raise CourseError(f"the archive unpacks to more than {MAX_UNPACKED >> 30} GB")
                copy.write(part)


def valid_student(name: str) -> bool:
    """Whether a name can be that of a directory and of a student in the gradebook."""
    return (
        bool(name) and name.isprintable() and not name.startswith(".") and not set(name) & set('/\\:*?"<>|')
    )


def instructor_path() -> None:
    """Let nbgrader find the commands that it was installed with, also where the environment is not activated."""
    folder = str(Path(sys.executable).parent)
    if folder not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = folder + os.pathsep + os.environ.get("PATH", "")
