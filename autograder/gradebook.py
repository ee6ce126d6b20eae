"""Grades in nbgrader's own database, so that its tools and its Formgrader see them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from .course import Course, CourseError, instructor_path
from .grading import Assignment
from .report import NOT_RUN, PASSED, Finding

COURSE_ID = "minigrad"


class Writer:
    """The one writer of a course's gradebook.

    Raises
    ------
    CourseError
        If the database cannot be opened or written; nothing was changed then.
    """

    def __init__(self, course: Course):
        instructor_path()
        self.path = course.gradebook
        try:
            self.book = Gradebook(f"sqlite:///{self.path}", COURSE_ID)
            self.book.db.execute(text("PRAGMA busy_timeout = 10000"))
            self.book.db.commit()
            self.book.db.execute(text("BEGIN IMMEDIATE"))  # find out now, not after an hour of grading
            self.book.db.rollback()
        except (DatabaseError, OSError) as error:
            raise self._refused(error) from None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *details: object) -> None:
        self.book.close()

    def knows(self, assignment: Assignment) -> bool:
        """Whether the assignment was released with the checks that it has now, at the same points."""
        try:
            cells = self.book.find_notebook(assignment.name, assignment.name).grade_cells
        except MissingEntry:
            return False
        known = {cell.name: cell.max_score for cell in cells if cell.cell_type == "code"}
        return known == {
            name: float(cell.metadata.nbgrader.points) for name, cell in assignment.checks().items()
        }

    def record(self, row: dict[str, Any], timestamp: str | None = None) -> None:
        """Store the scores of one submission; a grade or comment given by hand stays.

        Parameters
        ----------
        row : dict
            A result, as `grading.Result.as_row` gives it.
        timestamp : str, optional
            When it was handed in.
        """
        student, assignment = row["student"], row["assignment"]
        try:
            self.book.update_or_create_student(student)
            fields = {} if timestamp is None else {"timestamp": timestamp}
            with self.book.db.no_autoflush:
                submission = self.book.update_or_create_submission(assignment, student, **fields)
            scores = {exercise["grade_id"]: exercise["score"] for exercise in row["exercises"]}
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    if grade.name in scores:
                        grade.auto_score = scores[grade.name]
                        grade.needs_manual_grade = grade.manual_score is not None
                    elif not grade.max_score or row["status"] != "graded":
                        grade.auto_score, grade.needs_manual_grade = 0.0, False
                    else:  # a written answer that somebody has to read
                        grade.needs_manual_grade = grade.manual_score is None
            self.book.db.commit()
        except (DatabaseError, OSError) as error:
            self.book.db.rollback()
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> CourseError:
        reason = str(getattr(error, "orig", error))
        return CourseError(
            f"the gradebook {self.path} cannot be written: {reason}. Grades stored before are still there; "
            "when that is mended, run the same command again to continue."
        )


def with_grades_by_hand(course: Course, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of an assignment with what a person has given since: points of written answers, other points, comments.

    Parameters
    ----------
    course : Course
        Where the gradebook is.
    name : str
        The assignment.
    rows : list of dict
        Results, as `grading.Result.as_row` gives them.
    """
    if not course.gradebook.is_file():
        return rows
    with Writer(course) as writer:
        return [_with_grades_by_hand(writer.book, name, row) for row in rows]


def _with_grades_by_hand(book: Gradebook, name: str, row: dict[str, Any]) -> dict[str, Any]:
    try:
        notebook = book.find_submission_notebook(name, name, row["student"])
    except MissingEntry:
        return row
    comments = {
        comment.name: comment.manual_comment for comment in notebook.comments if comment.manual_comment
    }
    exercises = {exercise["grade_id"]: exercise for exercise in row["exercises"]}
    for grade in sorted(notebook.grades, key=lambda grade: grade.name):
        given = grade.manual_score is not None or bool(grade.extra_credit)
        written = grade.name not in exercises
        if not grade.max_score or not (given or written):
            continue
        blank = {"grade_id": grade.name, "title": grade.name.replace("_", " ").capitalize(), "stretch": False}
        exercise = exercises.get(grade.name, {**blank, "findings": []})
        waits = "nobody has read it yet" if grade.needs_manual_grade else "there was nothing to read"
        finding = Finding(
            "read by a person" if written else "points given by a person",
            PASSED if given else NOT_RUN,
            comments.pop(grade.name, "") if given else waits,
            weight=0.0,  # it is no check that a class could find hard
        )
        points = {"score": round(grade.score, 2), "max_score": grade.max_score}
        exercises[grade.name] = {**exercise, **points, "findings": [*exercise["findings"], asdict(finding)]}
    notes = [f"comment on {cell}: {comment}" for cell, comment in comments.items()]
    total = {key: round(sum(e[key] for e in exercises.values()), 2) for key in ("score", "max_score")}
    return {**row, **total, "notes": [*row["notes"], *notes], "exercises": list(exercises.values())}


def timestamp(submission: Path) -> str | None:
    """When a submission was handed in, as nbgrader's ``timestamp.txt`` beside it says; None if it does not."""
    from nbgrader.utils import parse_utc

    path = submission.with_name("timestamp.txt")
    try:
        words = path.read_text(encoding="utf-8")[:100].strip()
        parse_utc(words)
    except (OSError, ValueError, OverflowError):
        return None
    return words or None
