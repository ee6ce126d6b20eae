"""Grades in nbgrader's own database, so that its tools and its Formgrader see them."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.api import (
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
    new_uuid,
)
from nbgrader.utils import parse_utc
from sqlalchemy import select, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError

from .course import Course, CourseError, instructor_path
from .grading import Assignment
from .late import HandedIn, free_days
from .notebook import read_bytes
from .report import NOT_RUN, PASSED, Finding

COURSE_ID = "minigrad"


@dataclass(frozen=True)
class _Sheet:
    """A notebook as the gradebook knows it: ids, and its cells by id, those that give points with name and points."""

    assignment: str
    notebook: str
    graded: dict[str, tuple[str, float]]
    commented: list[str]


class Writer:
    """The one writer of a course's gradebook.

    Raises
    ------
    CourseError
        If the database cannot be opened or written; nothing was changed then.
    """

    def __init__(self, course: Course):
        instructor_path()
        self.settings = course.settings
        self.path = course.gradebook
        self._known: dict[str, list[_Sheet]] = {}
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
        marks = [cell.metadata.get("nbgrader", {}) for cell in assignment.source.cells]
        now = {mark.grade_id: float(mark.points) for mark in marks if mark.get("grade")}
        return {cell.name: cell.max_score for cell in cells} == now

    def enter_roster(self) -> None:
        """Enter the students of the roster, so that those who hand nothing in have a row as well."""
        if self.settings.roster is None:
            return
        known = {student.id: student for student in self.book.students}
        for person in self.settings.roster.people:
            student = known.get(person.id)
            if student is None:
                student = Student(id=person.id)
                self.book.db.add(student)
            for name in ("first_name", "last_name", "email"):
                if given := getattr(person, name):
                    setattr(student, name, given)
        self._commit()

    def schedule(self, name: str) -> None:
        """Enter when an assignment is due, and for those who have handed in their extensions, and when that was.

        An assignment of which course.toml says nothing keeps what nbgrader was told.
        """
        if name not in self.settings.assignments:
            return
        due = self.settings.plan(name).due
        try:
            assignment = self.book.find_assignment(name)
        except MissingEntry:
            return
        assignment.duedate = due and due.replace(tzinfo=None)  # UTC, as nbgrader has it
        for submission in assignment.submissions:
            extended = self.settings.plan(name).due_of(submission.student_id)
            submission.extension = extended - due if due and extended and extended != due else None
            if at := self.settings.plan(name).handed_in.get(submission.student_id):
                submission.timestamp = at.replace(tzinfo=None)
            for notebook in submission.notebooks if due is None else ():
                notebook.late_submission_penalty = None  # it was due once
        self._commit()

    def handed_in(self, student: str) -> list[tuple[HandedIn, SubmittedAssignment]]:
        """What a student has handed in of that for which course.toml says a date."""
        if all(plan.due is None for plan in self.settings.assignments.values()):
            return []
        found = []
        for submission in self.book.db.query(SubmittedAssignment).filter_by(student_id=student):
            plan = self.settings.plan(submission.name)
            due = plan.due_of(student)
            if due is not None:
                recorded = None if submission.timestamp is None else submission.timestamp.replace(tzinfo=UTC)
                at = plan.handed_in.get(student, recorded)
                found.append((HandedIn(submission.name, at, due), submission))
        return found

    def charge(self, student: str) -> None:
        """Enter what lateness costs a student, in every assignment: what is free for one is not for another."""
        handed_in = self.handed_in(student)
        free = free_days(self.settings.late, [work for work, _ in handed_in])
        for work, submission in handed_in:
            days = work.days - free[work.assignment]
            penalty = self.settings.late.penalty(days, submission.score) if days else 0.0
            for notebook in submission.notebooks:  # there is one
                if penalty != (notebook.late_submission_penalty or 0.0):
                    notebook.late_submission_penalty = penalty
        self._commit()

    def _commit(self) -> None:
        try:
            self.book.db.commit()
        except (DatabaseError, OSError) as error:
            self.book.db.rollback()
            raise self._refused(error) from None

    def record(self, row: dict[str, Any], timestamp: str | None = None) -> None:
        """Store the scores of one submission, and what lateness costs; a grade or comment given by hand stays.

        Parameters
        ----------
        row : dict
            A result, as `grading.Result.as_row` gives it.
        timestamp : str, optional
            When it was handed in.
        """
        handed_in = None if timestamp is None else parse_utc(timestamp)
        try:
            for sheet in self._sheets(row["assignment"]):
                self._record(row, handed_in, sheet)
            self.book.db.commit()
        except (DatabaseError, OSError) as error:
            self.book.db.rollback()
            raise self._refused(error) from None
        self.charge(row["student"])

    def _record(self, row: dict[str, Any], handed_in: datetime | None, sheet: "_Sheet") -> None:
        """Write a submission as nbgrader's own `add_submission` does, with its scores.

        In plain SQL and one transaction: through the objects it is fifteen milliseconds, mostly of reading what
        nobody asked for, and there is one writer for all the processes that grade.
        """
        self.book.db.execute(insert(Student).values(id=row["student"]).on_conflict_do_nothing())
        moment = {} if handed_in is None else {"timestamp": handed_in}
        of_student = {"assignment_id": sheet.assignment, "student_id": row["student"]}
        submission = self._id(SubmittedAssignment, of_student, moment)
        notebook = self._id(SubmittedNotebook, {"notebook_id": sheet.notebook, "assignment_id": submission})
        by_hand = select(Grade.cell_id, Grade.manual_score).where(Grade.notebook_id == notebook)
        given = {cell for cell, points in self.book.db.execute(by_hand) if points is not None}
        scores = {exercise["grade_id"]: exercise["score"] for exercise in row["exercises"]}
        grades = []
        for cell, (name, most) in sheet.graded.items():
            grade = {
                "id": new_uuid(),
                "notebook_id": notebook,
                "cell_id": cell,
                "auto_score": scores.get(name),
            }
            if name in scores:
                grade["needs_manual_grade"] = cell in given
            elif not most or row["status"] != "graded":
                grade.update(auto_score=0.0, needs_manual_grade=False)
            else:  # a written answer that somebody has to read
                grade["needs_manual_grade"] = cell not in given
            grades.append(grade)
        new = insert(Grade)
        keys = ("auto_score", "needs_manual_grade")
        self.book.db.execute(
            new.on_conflict_do_update(
                ["cell_id", "notebook_id"], set_={key: new.excluded[key] for key in keys}
            ),
            grades,
        )
        comments = [{"id": new_uuid(), "notebook_id": notebook, "cell_id": cell} for cell in sheet.commented]
        if comments:
            self.book.db.execute(insert(Comment).on_conflict_do_nothing(), comments)

    def _id(self, kind: Any, key: dict[str, str], others: dict[str, Any] | None = None) -> str:
        """The id of the row with this key, which is made if there is none; other columns are set in both cases."""
        others = others or {}
        row = insert(kind).values(id=new_uuid(), **key, **others)
        columns = list(key)
        made = row.on_conflict_do_update(columns, set_=others) if others else row.on_conflict_do_nothing()
        self.book.db.execute(made)
        return self.book.db.execute(select(kind.id).filter_by(**key)).scalar_one()

    def _sheets(self, assignment: str) -> list["_Sheet"]:
        """The notebooks of an assignment (there is one) with their cells; they do not change while somebody writes."""
        if assignment not in self._known:
            known = self.book.find_assignment(assignment)
            self._known[assignment] = [
                _Sheet(
                    known.id,
                    notebook.id,
                    {c.id: (c.name, c.max_score) for c in (*notebook.grade_cells, *notebook.task_cells)},
                    [c.id for c in (*notebook.solution_cells, *notebook.task_cells)],
                )
                for notebook in known.notebooks
            ]
        return self._known[assignment]

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


def with_lateness(
    course: Course, name: str, rows: list[dict[str, Any]], times: Mapping[str, str | None] | None = None
) -> list[dict[str, Any]]:
    """The rows of an assignment that is due, with how late each is, and without the points that this costs.

    What a row gets under ``late`` is: when it was due and handed in, the days, how many of them were free, and the
    points that were taken off. The gradebook gets the same penalties.

    Parameters
    ----------
    course : Course
        Where the gradebook and course.toml are.
    name : str
        The assignment.
    rows : list of dict
        Results, with what was given by hand.
    times : mapping, optional
        When students handed in, where that is not stored yet.
    """
    if course.settings.plan(name).due is None or not course.gradebook.is_file():
        return rows
    with Writer(course) as writer:
        writer.schedule(name)
        for row in rows:
            writer.charge(row["student"])
        return [_with_lateness(writer, name, row, (times or {}).get(row["student"])) for row in rows]


def _with_lateness(writer: Writer, name: str, row: dict[str, Any], time: str | None) -> dict[str, Any]:
    handed_in = [work for work, _ in writer.handed_in(row["student"])]
    if time is not None and row["student"] not in writer.settings.plan(name).handed_in:
        now = parse_utc(time).replace(tzinfo=UTC)
        handed_in = [replace(work, at=now) if work.assignment == name else work for work in handed_in]
    free = free_days(writer.settings.late, handed_in)
    for work in handed_in:
        if work.assignment == name:
            days, show = work.days, writer.settings.show
            penalty = writer.settings.late.penalty(days - free[name], row["score"])
            times = {"due": show(work.due), "handed_in": show(work.at) if work.at else ""}
            late = {**times, "days": days, "free_days": free[name], "penalty": penalty}
            return {**row, "score": round(row["score"] - penalty, 2), "late": late}
    return row


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
        automatic = exercise.get("score", 0.0)  # of this row, which may not be stored (yet)
        score = (automatic if grade.manual_score is None else grade.manual_score) + (
            grade.extra_credit or 0.0
        )
        points = {"score": round(score, 2), "max_score": grade.max_score}
        exercises[grade.name] = {**exercise, **points, "findings": [*exercise["findings"], asdict(finding)]}
        if written and not given and grade.needs_manual_grade:
            exercises[grade.name]["waits"] = "somebody"
    notes = [f"comment on {cell}: {comment}" for cell, comment in comments.items()]
    total = {key: round(sum(e[key] for e in exercises.values()), 2) for key in ("score", "max_score")}
    return {**row, **total, "notes": [*row["notes"], *notes], "exercises": list(exercises.values())}


def timestamp(submission: Path) -> str | None:
    """When a submission was handed in, as nbgrader's ``timestamp.txt`` beside it says; None if it does not."""
    path = submission.with_name("timestamp.txt")
    try:
        words = read_bytes(path)[:100].decode().strip()
        # A date in figures: "Monday" or "10:00" would be another moment each time it is read. Years beyond these have
        # no local time everywhere.
        possible = re.match("[0-9]{4}-[0-9]{2}-[0-9]{2}", words) and 1970 <= parse_utc(words).year < 9999
    except (ValueError, OverflowError):
        return None
    return words if words and possible else None
