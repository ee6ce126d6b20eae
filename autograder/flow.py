"""What the instructor's commands do: release, grade, show, publish."""

import contextlib
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import source
from .batch import Pool, grade_all, local, task_of
from .course import Course, CourseError, Submission, instructor_path, valid_student
from .regrade import Change, changes
from .source import write_atomically
from .task import Graded, Setup, failed

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
    with _kept(course.release(name).parent):
        _convert("GenerateAssignment", course, name)
    course.hidden_seed(name)
    return course.release(name)


@contextlib.contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Put a directory back as it was if what is done meanwhile fails: nbgrader begins by deleting it."""
    with tempfile.TemporaryDirectory() as safe:
        copy = Path(safe, folder.name)
        if folder.is_dir():
            shutil.copytree(folder, copy)
        try:
            yield
        except BaseException:
            if copy.is_dir():
                shutil.copytree(copy, folder, dirs_exist_ok=True)
            raise


def grade(
    course: Course,
    names: list[str],
    *,
    folder: Path | None = None,
    jobs: int = 1,
    level: str | None = None,
    dask: str | None = None,
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
    dask : str, optional
        Address of the scheduler of a Dask cluster that is to do the work, in place of this machine's processes.
    again : bool
        Grade also what was graded before and has not changed since.
    started, finished : callable
        Told how many there are, and each result.

    Returns
    -------
    rows : list of dict
        A result for every submission, sorted by assignment and student, and for every student of the roster who has
        handed in nothing. The scores are those of the checks alone.

    Raises
    ------
    CourseError
        If there is nothing to grade, or the gradebook cannot be written. What was stored stays.
    """
    wanted = [course.require(name) for name in names] or course.names()
    found = [submission for name in wanted for submission in course.submissions(name, folder)]
    if not found:
        where = "what --submissions names" if folder else course.root / "submitted"
        raise CourseError(
            f"there are no submissions of {' or '.join(wanted)} in {where}; "
            f"they are expected as STUDENT/{wanted[0]}/{wanted[0]}.ipynb"
        )
    nameless = [each for each in found if not valid_student(each.student)]
    found = [each for each in found if each not in nameless]
    rows: dict[tuple[str, str], Row] = {}
    graded_names = list(dict.fromkeys(submission.assignment for submission in [*found, *nameless]))
    with _pool(course, graded_names, jobs, level, dask) as pool:
        kept = {} if again else {each: row for each in found if (row := _stored(course, each))}
        results = grade_all(pool, course, [each for each in found if each not in kept])
        from .gradebook import (
            Writer,
            timestamp,
        )  # takes half a second to load, while the first ones are graded

        with Writer(course) as writer:
            started(len(found) + len(nameless))
            writer.enter_roster()
            for name in graded_names:
                if not writer.knows(course.assignment(name)):
                    release(course, name)
            for each in nameless:
                reason = "a directory of this name cannot be a student's: rename it, and grade again"
                row = failed(pool.setup, task_of(course, each), reason).row
                rows[each.assignment, each.student] = row
                finished(row)
            for submission, row in kept.items():
                writer.record(row, timestamp(submission.path))
                rows[submission.assignment, submission.student] = row
                finished(row)
            for submission, graded in results:
                row = graded.row
                _store(course, writer, submission, graded)
                rows[row["assignment"], row["student"]] = row
                finished(row)
            for name in graded_names:
                writer.schedule(name)
                for row in _missing(course, name, [row for (at, _), row in rows.items() if at == name]):
                    rows[name, row["student"]] = row
                    finished(row)
    return [rows[key] for key in sorted(rows)]


def _pool(
    course: Course, names: Iterable[str], jobs: int, level: str | None, dask: str | None
) -> contextlib.AbstractContextManager[Pool]:
    """Where submissions of some assignments are graded."""
    setup = Setup({name: course.assignment(name) for name in names}, level)
    if dask is None:
        return local(setup, jobs)
    from .cluster import connected

    return connected(setup, dask)


def _store(course: Course, writer: Any, submission: Submission, graded: Graded) -> None:
    from .gradebook import timestamp

    row = graded.row
    try:
        write_atomically(course.autograded(row["student"], row["assignment"]), graded.notebook)
    except OSError as error:
        raise CourseError(f"the graded notebook of {row['student']} cannot be stored: {error}") from None
    writer.record(row, timestamp(submission.path))


def _missing(course: Course, name: str, rows: list[Row]) -> list[Row]:
    """Rows of the students of the roster from whom there is nothing, nor was before."""
    settings = course.settings
    there = {row["student"] for row in rows}
    most = max(row["max_score"] for row in rows)
    blank = {"status": "missing", "score": 0.0, "max_score": most, "seconds": 0.0, "isolation": ""}
    found = []
    for person in settings.roster.people if settings.roster else ():
        if person.id not in there and not course.autograded(person.id, name).is_file():
            due = settings.plan(name).due_of(person.id)
            note = f"nothing was handed in{f'; due {settings.show(due)}' if due else ''}"
            who = {"student": person.id, "assignment": name, **blank, "notes": [note], "exercises": []}
            found.append({**who, "open": due is not None and datetime.now(UTC) <= due})
    return found


def regrade(
    course: Course,
    name: str,
    *,
    folder: Path | None = None,
    jobs: int = 1,
    level: str | None = None,
    dask: str | None = None,
    store: bool = False,
    started: Callable[[int], None] = lambda total: None,
    finished: Callable[[Row], None] = lambda row: None,
) -> tuple[list[Change], list[Row]]:
    """Grade anew, with the same secret, and compare with what is stored.

    Parameters
    ----------
    course, folder, jobs, level, dask, started, finished
        As for `grade`.
    name : str
        The assignment.
    store : bool
        Store the new results in the place of the old.

    Returns
    -------
    changes : list of Change
        Who changes.
    rows : list of dict
        The new results, as they count.

    Raises
    ------
    CourseError
        If nothing has been graded yet, or there is nothing to grade.
    """
    found = course.submissions(course.require(name), folder)
    before = _graded_rows(course, name)
    if not found or not before:
        raise CourseError(f"nothing of {name} has been graded yet: run `minigrad grade {name}` first")
    anew = [submission.student for submission in found if _handed_in_anew(course, submission)]
    old = as_they_count(course, name, before)
    results: list[tuple[Submission, Graded]] = []
    with _pool(course, [name], jobs, level, dask) as pool:
        graded = grade_all(pool, course, found)
        started(len(found))
        for submission, result in graded:
            results.append((submission, result))
            finished(result.row)
    rows = as_they_count(course, name, [result.row for _, result in results], found)
    if store:
        from .gradebook import Writer

        with Writer(course) as writer:
            if not writer.knows(course.assignment(name)):
                release(course, name)
            for submission, result in results:
                _store(course, writer, submission, result)
    return changes(old, rows, anew), rows


def _handed_in_anew(course: Course, submission: Submission) -> bool:
    """Whether the notebook is another one than that which was graded."""
    stored = _note(course.autograded(submission.student, submission.assignment)).get("key", "")
    return bool(stored) and stored.partition(":")[2] != task_of(course, submission).key.partition(":")[2]


def stored_rows(course: Course, name: str) -> list[Row]:
    """Results of an assignment as they count, by student: as stored, with what was given by hand, and lateness.

    With a roster, each has the ``person`` that it is of (None for somebody who is not on it), and whoever has handed
    in nothing has a row.

    Raises
    ------
    CourseError
        If nothing has been graded yet.
    """
    rows = _graded_rows(course, name)
    if not rows:
        raise CourseError(f"nothing has been graded for {name!r} yet: run `minigrad grade {name}` first")
    rows = as_they_count(course, name, rows)
    rows += _missing(course, name, rows)
    rows.sort(key=lambda row: row["student"])
    if course.settings.roster is None:
        return rows
    people = course.settings.roster.by_id
    return [
        {**row, "person": (p := people.get(row["student"])) and {**asdict(p), "name": p.name}} for row in rows
    ]


def all_rows(course: Course) -> list[Row]:
    """Results of every assignment of which something has been graded.

    Raises
    ------
    CourseError
        If that is none.
    """
    graded = [name for name in course.names() if _graded_rows(course, name)]
    if not graded:
        raise CourseError("nothing has been graded yet: run `minigrad grade` first")
    return [row for name in graded for row in stored_rows(course, name)]


def folders(course: Course, name: str) -> dict[str, str]:
    """Under which name of a directory each student's submission lies."""
    if not (course.root / "submitted").is_dir():
        return {}
    return {s.student: s.path.parent.parent.name for s in course.submissions(name)}


def as_they_count(
    course: Course, name: str, rows: list[Row], submissions: Iterable[Submission] = ()
) -> list[Row]:
    """Results of the checks with what was given by hand, and without the points that lateness costs.

    With submissions, it is their time that counts, not the one that is stored.
    """
    from .gradebook import timestamp, with_grades_by_hand, with_lateness  # takes half a second to load

    times = {each.student: timestamp(each.path) for each in submissions}
    rows = with_lateness(course, name, with_grades_by_hand(course, name, rows), times)
    for row in rows:
        for exercise in row["exercises"]:
            if exercise.get("waits"):
                exercise["waits"] = course.settings.reader(name, row["student"]) or "somebody"
    return rows


def _graded_rows(course: Course, name: str) -> list[Row]:
    # A directory that the roster has since found to be somebody's was graded under its own name before.
    moved = {folder for student, folder in folders(course, name).items() if folder != student}
    paths = sorted(course.root.glob(f"autograded/*/{name}/{name}.ipynb"))
    paths = [path for path in paths if path.parent.parent.name not in moved]
    return [note["row"] for path in paths if (note := _note(path))]


def solutions(course: Course, name: str, now: datetime | None = None) -> Path:
    """Publish an assignment's solution: run it, without hidden tests and marks, as a notebook and as HTML.

    Raises
    ------
    CourseError
        If somebody can still hand in, by what course.toml says.
    """
    from nbconvert import HTMLExporter

    closed = course.settings.closed(name)
    if closed is not None and (now or datetime.now(UTC)) <= closed[0]:
        when, who = closed
        reason = f"the extension of {who}" if who else "the date on which it is due"
        days = course.settings.late.free_days
        reason += f" and {days} free {'day' if days == 1 else 'days'}" if days else ""
        raise CourseError(
            f"the solution of {name} is not published before {course.settings.show(when)}: until then somebody can "
            f"hand in without losing points ({reason}, in course.toml)"
        )

    release(course, name)
    with _environment(MINIGRAD_REVEAL="1"):
        _convert("GenerateSolution", course, name)
    notebook = course.root / "published" / name / f"{name}.ipynb"
    page, _ = HTMLExporter().from_filename(str(notebook))
    write_atomically(notebook.with_suffix(".html"), page)
    return notebook


def _stored(course: Course, submission: Submission) -> Row | None:
    """The result of an earlier run, if neither the submission nor the assignment has changed since."""
    note = _note(course.autograded(submission.student, submission.assignment))
    return note["row"] if note and note.get("key") == task_of(course, submission).key else None


def _note(path: Path) -> dict[str, Any]:
    """What is noted in a graded notebook: its result, and what it is a result of. Empty if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        note = json.loads(path.read_text(encoding="utf-8"))["metadata"]["minigrad"]
        return note if "row" in note else {}
    return {}


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
