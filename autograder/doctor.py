"""See whether a machine can grade and a course is in order."""

import importlib.metadata
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .settings import FILE

if TYPE_CHECKING:
    from .course import Course


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    what: str
    seen: str


def examine(start: Path | None) -> list[Finding]:
    """Look at the machine, the packages, the isolation and the course."""
    return [*_machine(), *_isolation(), *_course(start)]


def _machine() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(sys.version_info >= (3, 11), "Python", version)
    for package in ("numpy", "nbgrader", "jupyterlab", "matplotlib", "ipywidgets"):
        try:
            yield Finding(True, package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(False, package, "not installed: pip install 'minigrad[instructor]'")


def _isolation() -> Iterator[Finding]:
    from .sandbox import LEVELS, Sandbox, SandboxError

    for level in LEVELS[:-1]:
        with tempfile.TemporaryDirectory(prefix="minigrad-") as empty:
            try:
                with Sandbox(Path(empty), level) as sandbox, sandbox.session() as session:
                    seen = session.run("import numpy", "doctor")
                    yield Finding(seen is None, f"isolation: {level}", str(seen or "works"))
                    return  # the weaker ones are not needed
            except SandboxError as error:
                yield Finding(False, f"isolation: {level}", str(error))


def _settings(course: "Course") -> Iterator[Finding]:
    settings = course.settings
    for name in settings.assignments:
        course.assignment(name)  # are the points those of exercises that there are?
    if (course.root / FILE).is_file():
        due = sum(plan.due is not None for plan in settings.assignments.values())
        yield Finding(True, FILE, f"{due} due {'date' if due == 1 else 'dates'}")
    if settings.roster is None or not (course.root / "submitted").is_dir():
        return
    found = [s.student for name in course.names() for s in course.submissions(name)]
    strangers = sorted(set(found) - set(settings.roster.by_id))
    seen = f"{len(settings.roster.people)} students"
    yield Finding(
        not strangers, "roster", f"{seen}; not on it: {', '.join(strangers)}" if strangers else seen
    )


def _course(start: Path | None) -> Iterator[Finding]:
    from . import source
    from .course import Course, CourseError
    from .gradebook import Writer

    try:
        course = Course.find(start)
        yield Finding(True, "course", str(course.root))
        yield from _settings(course)
        if course.gradebook.exists():
            with Writer(course):
                yield Finding(True, "gradebook", "can be written")
    except CourseError as error:
        yield Finding(False, "course", str(error))
        return
    for name in course.names():
        text = course.source(name).with_suffix(".py")
        try:
            same = not text.is_file() or course.source(name).read_text() == source.dumps(
                source.read_text(text)
            )
            yield Finding(same, name, "text and notebook agree" if same else f"differ: minigrad sync {name}")
        except ValueError as error:
            yield Finding(False, name, str(error))
