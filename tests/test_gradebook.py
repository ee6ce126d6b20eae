"""What a person gives in Formgrader is in what minigrad shows and exports."""

import shutil

import pytest

from autograder.course import Course
from autograder.exports import to_csv
from autograder.feedback import class_report, student_page
from autograder.gradebook import Writer, timestamp, with_grades_by_hand

NAME = "01_gradient_checking"
FINDING = {"check": "dx", "outcome": "wrong", "message": "", "misconception": None, "hint": "", "weight": 1.0}


def result(student, status="graded"):
    exercise = {
        "grade_id": "check_affine",
        "title": "Affine",
        "stretch": False,
        "score": 1.0,
        "max_score": 5.0,
    }
    row = {
        "student": student,
        "assignment": NAME,
        "status": status,
        "score": 1.0,
        "max_score": 5.0,
        "seconds": 0.1,
    }
    return {**row, "isolation": "namespaces", "notes": [], "exercises": [{**exercise, "findings": [FINDING]}]}


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory):
    """A check of 5 points, a written answer of 4 and one of none; ada and ben are graded, cem sent a picture."""
    course = Course(tmp_path_factory.mktemp("gradebook"))
    with Writer(course) as writer:
        book = writer.book
        book.add_assignment(NAME)
        book.add_notebook(NAME, NAME)
        for cell, points, kind in (
            ("check_affine", 5, "code"),
            ("written_answer", 4, "markdown"),
            ("thoughts", 0, "markdown"),
        ):
            book.add_grade_cell(cell, NAME, NAME, max_score=points, cell_type=kind)
        for cell in ("affine", "written_answer"):
            book.add_solution_cell(cell, NAME, NAME)
        for row in (result("ada"), result("ben"), result("cem", "problem")):
            writer.record(row)
    return course.gradebook


@pytest.fixture
def course(gradebook, tmp_path):
    course = Course(tmp_path)
    shutil.copy(gradebook, course.gradebook)
    return course


def give(course, student, cell, points=None, extra=None, comment=None):
    """What Formgrader does when somebody types into its fields."""
    with Writer(course) as writer:
        if comment is not None:
            writer.book.find_comment(cell, NAME, NAME, student).manual_comment = comment
        if points is not None or extra is not None:
            grade = writer.book.find_grade(cell, NAME, NAME, student)
            grade.manual_score, grade.extra_credit, grade.needs_manual_grade = points, extra, False
        writer.book.db.commit()


def shown(course):
    rows = with_grades_by_hand(course, NAME, [result("ada"), result("ben"), result("cem", "problem")])
    return {row["student"]: row for row in rows}


def last(row, grade_id):
    (exercise,) = [e for e in row["exercises"] if e["grade_id"] == grade_id]
    finding = exercise["findings"][-1]
    return exercise["score"], exercise["max_score"], finding["check"], finding["outcome"], finding["message"]


def test_a_written_answer_counts_when_it_has_been_read(course):
    give(course, "ada", "written_answer", 3, comment="Which number?")
    ada, ben, cem = shown(course).values()
    assert (ada["score"], ada["max_score"]) == (4, 9)
    assert last(ada, "written_answer") == (3, 4, "read by a person", "passed", "Which number?")
    assert (ben["score"], ben["max_score"]) == (1, 9)
    assert last(ben, "written_answer") == (0, 4, "read by a person", "not run", "nobody has read it yet")
    assert last(cem, "written_answer") == (0, 4, "read by a person", "not run", "there was nothing to read")


def test_other_points_take_the_place_of_those_of_a_check(course):
    give(course, "ada", "check_affine", 4)
    give(course, "ben", "check_affine", extra=0.5)
    rows = shown(course)
    assert last(rows["ada"], "check_affine")[:3] == (4, 5, "points given by a person")
    assert (rows["ada"]["score"], rows["ben"]["score"]) == (4, 1.5)


def test_a_comment_on_code_is_a_note(course):
    give(course, "ada", "affine", comment="Neat.")
    assert shown(course)["ada"]["notes"] == ["comment on affine: Neat."]


def test_results_are_left_as_they_are_where_nobody_gave_anything(course):
    stored = result("ada")
    with_grades_by_hand(course, NAME, [stored])
    assert stored == result("ada")
    unknown = result("dan")
    assert with_grades_by_hand(course, NAME, [unknown]) == [unknown]
    course.gradebook.unlink()
    assert with_grades_by_hand(course, NAME, [stored]) == [stored]


def test_it_is_in_the_page_the_report_and_the_table(course):
    give(course, "ada", "written_answer", 3, comment="Which number?")
    rows = shown(course)
    assert "Which number?" in student_page(rows["ada"])
    assert "1 written answer: " in class_report(rows.values(), NAME)
    table = to_csv(rows.values()).splitlines()
    assert table[0].endswith("check_affine,written_answer")
    assert table[1].startswith(f"ada,{NAME},graded,4.0,9.0,")
    assert table[1].endswith(",1.0,3.0")


@pytest.mark.parametrize(
    ("words", "believed"),
    [
        ("2026-03-02 10:00:00.5 UTC", True),
        ("2026-03-02T10:00:00+01:00", True),
        ("10:00", False),  # of whatever day it is read on
        ("Monday", False),
        ("٢٠٢٦-03-02", False),
        ("9999-12-31", False),
        ("yesterday, honestly", False),
        ("", False),
    ],
)
def test_a_time_is_one_whenever_it_is_read(tmp_path, words, believed):
    (tmp_path / "timestamp.txt").write_text(words, encoding="utf-8")
    assert timestamp(tmp_path / "any.ipynb") == (words if believed else None)
