"""What the instructor's commands do: release, grade, show, publish."""

import contextlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import batch, source
from .course import Course, CourseError, Submission, instructor_path, valid_student
from .source import write_atomically

Row = dict[str, Any]


def release(course: Course, name: str) -> Path:
    """Make the notebook that students get, and tell the gradebook about the assignment.

    Returns
    -------
    path : Path
        The released notebook.
    """
    text = course.source(name).with_suffix(".py")
    if text.is_file():
        source.build(text)
    course.require(name)
    _convert("GenerateAssignment", course, name)
    course.hidden_seed(name)
    return course.release(name)


def grade(
    course: Course,
    names: list[str],
    *,
    folder: Path | None = None,
    jobs: int = 1,
    level: str | None = None,
    again: bool = False,
    started: Callable[[int], None] = lambda total: None,
    finished: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Grade all submissions of some assignments; each is stored as soon as it is finished.

    Parameters
    ----------
    course : Course
        Where everything is.
    names : list of str
        Assignments; all that have submissions, if there are none here.
    folder : Path, optional
        Where the submissions lie, if not in ``submitted/``.
    jobs : int
        Worker processes.
    level : str, optional
        Isolation level.
    again : bool
        Grade also what was graded before and has not changed since.
    started, finished : callable
        Told how many there are, and each result.

    Returns
    -------
    rows : list of dict
        A result for every submission, sorted by assignment and student.

    Raises
    ------
    CourseError
        If there is nothing to grade, or the gradebook cannot be written. What was stored stays.
    """
    wanted = [course.require(name) for name in names] or course.names()
    found = [submission for name in wanted for submission in course.submissions(name, folder)]
    if not found:
        where = folder or course.root / "submitted"
        raise CourseError(
            f"there are no submissions of {' or '.join(wanted)} in {where}; "
            f"they are expected as STUDENT/{wanted[0]}/{wanted[0]}.ipynb"
        )
    strange = [submission.student for submission in found if not valid_student(submission.student)]
    if strange:
        raise CourseError(f"{strange[0]!r} cannot be the name of a student: rename the directory")
    rows: dict[tuple[str, str], Row] = {}
    graded_names = list(dict.fromkeys(submission.assignment for submission in found))
    batch.prepare(course, graded_names, level)
    kept = {} if again else {submission: row for submission in found if (row := _stored(course, submission))}
    results = batch.grade_all(course, [submission for submission in found if submission not in kept], jobs)
    from .gradebook import Writer, timestamp  # takes half a second to load, while the first ones are graded

    with contextlib.closing(results), Writer(course) as writer:
        started(len(found))
        for name in graded_names:
            if not writer.knows(course.assignment(name)):
                release(course, name)
        for submission, row in kept.items():
            writer.record(row, timestamp(submission.path))
            rows[submission.assignment, submission.student] = row
            finished(row)
        for graded in results:
            row = graded.row
            try:
                write_atomically(course.autograded(row["student"], row["assignment"]), graded.notebook)
            except OSError as error:
                raise CourseError(
                    f"the graded notebook of {row['student']} cannot be stored: {error}"
                ) from None
            writer.record(row, timestamp(graded.submission.path))
            rows[row["assignment"], row["student"]] = row
            finished(row)
    return [rows[key] for key in sorted(rows)]


def stored_rows(course: Course, name: str) -> list[Row]:
    """Results of an assignment as they were stored, by student, with what was given by hand.

    Raises
    ------
    CourseError
        If nothing has been graded yet.
    """
    paths = sorted(course.root.glob(f"autograded/*/{name}/{name}.ipynb"))
    rows = [row for path in paths if (row := _row_of(path)) is not None]
    if not rows:
        raise CourseError(f"nothing has been graded for {name!r} yet: run `minigrad grade {name}` first")
    from .gradebook import with_grades_by_hand  # takes half a second to load

    return with_grades_by_hand(course, name, rows)


def solutions(course: Course, name: str) -> Path:
    """Publish an assignment's solution: run it, without hidden tests and marks, as a notebook and as HTML."""
    from nbconvert import HTMLExporter

    release(course, name)
    with _environment(MINIGRAD_REVEAL="1"):
        _convert("GenerateSolution", course, name)
    notebook = course.root / "published" / name / f"{name}.ipynb"
    page, _ = HTMLExporter().from_filename(str(notebook))
    write_atomically(notebook.with_suffix(".html"), page)
    return notebook


def _stored(course: Course, submission: Submission) -> Row | None:
    """The result of an earlier run, if neither the submission nor the assignment has changed since."""
    path = course.autograded(submission.student, submission.assignment)
    with contextlib.suppress(OSError, ValueError, KeyError):
        note = json.loads(path.read_text(encoding="utf-8"))["metadata"]["minigrad"]
        if note["key"] == batch.key(course, submission):
            return note["row"]
    return None


def _row_of(path: Path) -> Row | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return json.loads(path.read_text(encoding="utf-8"))["metadata"]["minigrad"]["row"]
    return None


def _convert(step_name: str, course: Course, name: str) -> None:
    """Run one of nbgrader's own steps on one assignment; what it has to say is shown if it fails."""
    from nbgrader import converters
    from nbgrader.apps import NbGrader
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config, PyFileConfigLoader

    instructor_path()
    config = Config()
    if (course.root / "nbgrader_config.py").is_file():
        config = PyFileConfigLoader("nbgrader_config.py", path=str(course.root)).load_config()
    else:
        from .nbgrader_plugin import configure

        configure(config)
    config.CourseDirectory.root = str(course.root)
    config.CourseDirectory.assignment_id = name
    log = io.StringIO()
    app = NbGrader(config=config)
    app.log.handlers, app.log.propagate = [logging.StreamHandler(log)], False
    converter = getattr(converters, step_name)
    step = converter(coursedir=CourseDirectory(parent=app, config=config), parent=app, config=config)
    step.force = True
    try:
        step.start()
    except (Exception, SystemExit) as error:
        said = [
            line for line in log.getvalue().splitlines() if "Error: " in line and not line.startswith(" ")
        ]
        raise CourseError(f"nbgrader could not make {name}: {said[-1] if said else error}") from None


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
