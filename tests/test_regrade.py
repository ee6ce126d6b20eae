"""An exercise that changes in the middle of a term: what its version says, and who changes."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from autograder import exercises
from autograder.course import Course
from autograder.exercise import Call, Case, Close, Exercise, Misconception
from autograder.feedback import class_report
from autograder.gradebook import Writer
from autograder.regrade import Change, Checked, ExerciseChange, changes
from autograder.sandbox import Sandbox, SandboxError

ROOT = Path(__file__).resolve().parents[1]
NAME = "00_autograd_trap"


# -- versions


def double(x):
    return 2 * x


def cases(rng):
    yield Case("a vector", [Call("double", (rng.normal(size=3),), ("y",))])


def mistaken(hint):
    return (Misconception("square", hint, {"double": lambda x: x * x}),)


EXERCISE = Exercise(
    "double", "Double", 2.0, ("double",), {"double": double}, cases, misconceptions=mistaken("a")
)
CHANGES = {
    "a case": {"visible": lambda rng: [Case("a vector", [Call("double", (rng.normal(size=4),), ("y",))])]},
    "a label": {"visible": lambda rng: [Case("a row", [Call("double", (rng.normal(size=3),), ("y",))])]},
    "a tolerance": {
        "visible": lambda rng: [
            Case("a vector", [Call("double", (x := rng.normal(size=3),), ("y",))], {"y": Close(2 * x, 1e-5)})
        ]
    },
    "what is expected": {"reference": {"double": lambda x: 2 * x + 1e-3}},
    "hidden cases": {"hidden": cases},
    "what counts": {"together": True},
}


def version(monkeypatch, exercise):
    monkeypatch.setattr(exercises, "find", lambda name: exercise)
    exercises.version.cache_clear()
    return exercises.version("double")


def test_a_version_is_the_same_again(monkeypatch):
    assert version(monkeypatch, EXERCISE) == version(monkeypatch, EXERCISE)


@pytest.mark.parametrize("what", CHANGES)
def test_a_version_changes_with(monkeypatch, what):
    changed = dataclasses.replace(EXERCISE, **CHANGES[what])
    assert version(monkeypatch, changed) != version(monkeypatch, EXERCISE)


def test_a_version_stays_with_another_hint(monkeypatch):
    changed = dataclasses.replace(EXERCISE, misconceptions=mistaken("b"))
    assert version(monkeypatch, changed) == version(monkeypatch, EXERCISE)


def test_a_version_tells_nothing_of_the_secret():
    seeds = [dataclasses.replace(Course(ROOT).assignment(NAME), hidden_seed=seed) for seed in (1, 2)]
    assert seeds[0].versions() == seeds[1].versions()


@pytest.fixture(autouse=True)
def forget():
    yield
    exercises.version.cache_clear()


# -- comparing


def row(student, *outcomes, score=0.0, version="v1"):
    findings = [{"check": f"check {i % 2}", "outcome": o, "message": "seen"} for i, o in enumerate(outcomes)]
    exercise = {
        "grade_id": "check_x",
        "score": score,
        "max_score": 2.0,
        "findings": findings,
        "version": version,
    }
    return {"student": student, "score": score, "exercises": [exercise]}


def test_nobody_changes_where_nothing_does():
    rows = [row("ada", "passed", "wrong", "passed", score=1.0), row("ben")]
    assert changes(rows, rows) == []
    assert changes([*rows, row("gone")], rows) == []


def test_what_changes_is_told_with_why():
    before = [
        row("ada", "passed", "wrong", "wrong", score=1.0),
        row("ben", "passed", score=2.0),
        row("cem", "wrong"),
    ]
    after = [
        row("ada", "passed", "passed", "wrong", score=1.5, version="v2"),
        row("ben", "timed out"),
        row("cem", "wrong", score=0.5, version="v2"),
        row("dan", "passed", score=2.0),
    ]
    ben, ada, cem, dan = changes(before, after, {"cem"})
    new = "the exercise has changed (v1 to v2)"
    assert ada == Change(
        "ada",
        1.0,
        1.5,
        (ExerciseChange("check_x", 1.0, 1.5, new, (Checked("check 1", "wrong", "passed", "seen"),)),),
    )
    assert ben.exercises[0].why.startswith("neither exercise nor notebook has changed")
    assert ben.exercises[0].checks == (Checked("check 0", "passed", "timed out", "seen"),)
    assert cem.exercises == (ExerciseChange("check_x", 0.0, 0.5, f"handed in anew, {new}", ()),)
    assert dan == Change("dan", None, 2.0, ())


def test_checks_and_versions_may_come_and_go():
    (change,) = changes([row("ada", "passed", "wrong", version=None)], [row("ada", "passed")])
    (exercise,) = change.exercises
    assert exercise.why == "graded before versions were stored"
    assert exercise.checks == (Checked("check 1", "wrong", "not there", ""),)


def test_a_report_says_that_versions_differ():
    about = {"assignment": NAME, "status": "graded", "max_score": 2.0, "seconds": 0.1, "notes": []}
    finding = {"misconception": None, "weight": 1.0}
    rows = [{**about, **row("ada", "passed")}, {**about, **row("ben", "passed", version="v2")}]
    for each in rows:
        each["exercises"][0]["findings"][0].update(finding)
    assert "Grade again" in class_report(rows, NAME)
    assert "Grade again" not in class_report(rows[:1], NAME)


# -- with the real command


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Ada has everything right; Ben has handed in what he was given."""
    with tempfile.TemporaryDirectory() as empty:
        try:
            Sandbox(Path(empty), None).close()
        except SandboxError as error:
            pytest.skip(str(error))
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "solutions" / NAME, root / "solutions" / NAME)
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for student, source in (("ada", "solutions"), ("ben", "assignments")):
        target = root / "submitted" / student / NAME
        target.mkdir(parents=True)
        shutil.copy(ROOT / source / NAME / f"{NAME}.ipynb", target)
    minigrad(root, "grade", NAME)
    with Writer(Course(root)) as writer:
        grade = writer.book.find_grade("check_gates", NAME, NAME, "ada")
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        writer.book.db.commit()
    return root


def minigrad(root, *words, status=0):
    """Run a command in the course; returns what it says, or why it failed."""
    command = [sys.executable, "-m", "autograder.cli", *words]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def scores(root):
    paths = root.glob(f"autograded/*/{NAME}/{NAME}.ipynb")
    rows = [json.loads(path.read_text(encoding="utf-8"))["metadata"]["minigrad"]["row"] for path in paths]
    return {row["student"]: row["score"] for row in rows}


def test_regrade_shows_and_stores(course):
    """One after the other: what is shown depends on what was stored before."""
    assert "0 of 2 change" in minigrad(course, "regrade", NAME)
    (course / "roster.csv").write_text("id,first_name,last_name\nada,Ada,Lovelace\nben,,\ncem,Cem,Zvi\n")
    settings = f'roster = "roster.csv"\nassignments.{NAME}.points = {{ gates = 6, circuit = 5 }}'
    (course / "course.toml").write_text(settings)
    before = scores(course)
    said = minigrad(course, "regrade", NAME, "--diff")
    assert "circuit: 3 -> 5; the exercise has changed" in said
    assert "gates" not in said  # a person has given these points
    assert "1 of 2 change: 1 get more, 0 get less" in said
    assert "nothing was stored" in said
    assert scores(course) == before
    assert "ada: 13.5 -> 15.5" in minigrad(course, "regrade", NAME, "--store")
    assert scores(course) == {"ada": 20.0, "ben": 0.0}
    assert "0 of 2 change" in minigrad(course, "regrade", NAME)
    table = minigrad(course, "export").splitlines()
    assert table[1].startswith("ada,Ada Lovelace,,15.5,")
    assert table[3] == "cem,Cem Zvi,,0.0,0.0"
    rows = json.loads(minigrad(course, "grade", NAME, "--json", "-"))["submissions"]
    assert [(row["student"], row["status"]) for row in rows][1:] == [("ben", "graded"), ("cem", "missing")]
    assert rows[2]["max_score"] == rows[0]["max_score"] == 20.0
    minigrad(course, "feedback", NAME, "--zip", "up.zip")
    with zipfile.ZipFile(course / "up.zip") as archive:
        assert archive.namelist() == [f"{student}/{NAME}.html" for student in ("ada", "ben")]
    with Writer(Course(course)) as writer:
        cells = {c.name: c.max_score for c in writer.book.find_notebook(NAME, NAME).grade_cells}
    assert (cells["check_gates"], cells["check_circuit"]) == (6, 5)


def test_a_download_is_graded_and_a_student_asked_for_by_name(course, tmp_path):
    shutil.copytree(course, tmp_path / "course")
    root = tmp_path / "course"
    (root / "roster.csv").write_text(
        "Student,ID\n    Points Possible,\n" + '"Lee, Kim",4711\n"Lee, Kim",4712\n'
    )
    (root / "course.toml").write_text('roster = "roster.csv"')
    with zipfile.ZipFile(root / "canvas.zip", "w") as archive:
        for student, source in (("leekim_LATE_4712_88", "solutions"), ("aokim_4713_89", "assignments")):
            archive.write(ROOT / source / NAME / f"{NAME}.ipynb", f"{student}_{NAME}-1.ipynb")
    rows = json.loads(minigrad(root, "grade", NAME, "--submissions", "canvas.zip", "--json", "-"))[
        "submissions"
    ]
    assert {row["student"]: row["status"] for row in rows} == {
        "4711": "missing",
        "4712": "graded",
        "aokim_4713": "graded",
    }
    (root / "roster.csv").write_text("Student,ID\nKim Lee,4712\n")
    assert "points" in minigrad(root, "explain", "Lee, Kim", NAME)
    (root / "reports").write_text("in the way")
    said = minigrad(root, "report", NAME, status=1)
    assert said == f"minigrad: {root / 'reports'}: File exists\n"


def test_new_results_have_versions(course):
    (path,) = course.glob(f"autograded/ada/{NAME}/*.ipynb")
    row = json.loads(path.read_text(encoding="utf-8"))["metadata"]["minigrad"]["row"]
    versions = Course(course).assignment(NAME).versions()
    assert {e["grade_id"]: e["version"] for e in row["exercises"]} == versions
    assert len(set(versions.values())) == len(versions)


def test_who_hands_in_again_is_late_in_the_forecast_too(course, tmp_path):
    shutil.copytree(course, tmp_path / "course")
    root, table = tmp_path / "course", f"[assignments.{NAME}]\ndue = 2026-03-02\n"
    (root / "course.toml").write_text(f"[late]\nper_day = 10\n{table}")
    (root / "submitted/ben" / NAME / "timestamp.txt").write_text("2026-03-02 10:00 UTC")
    minigrad(root, "grade", NAME)
    shutil.copy(ROOT / "solutions" / NAME / f"{NAME}.ipynb", root / "submitted/ben" / NAME)
    (root / "submitted/ben" / NAME / "timestamp.txt").write_text("2026-03-05 10:00 UTC")
    assert "ben: 0 -> 9.8" in minigrad(root, "regrade", NAME, "--diff")  # three days of 14 points
    minigrad(root, "regrade", NAME, "--store")
    assert f"ben,{NAME},graded,9.8," in minigrad(root, "export", NAME)


def test_who_was_graded_before_is_not_missing(course, tmp_path):
    shutil.copytree(course, tmp_path / "course")
    root = tmp_path / "course"
    (root / "roster.csv").write_text("id\nada\nben\ncem\n")
    (root / "course.toml").write_text('roster = "roster.csv"')
    shutil.copytree(root / "submitted/ben", root / "second/ben")
    said = minigrad(root, "grade", NAME, "--submissions", "second", "--json", "-")
    rows = {row["student"]: row["status"] for row in json.loads(said)["submissions"]}
    assert rows == {"ben": "graded", "cem": "missing"}
