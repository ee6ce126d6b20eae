"""`docs/new_exercise.md`, followed to the letter: its files are written, its commands run, its output compared."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from autograder.sandbox import LEVELS, Sandbox, SandboxError

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "new_exercise.md"
NAME = "10_softsign"
# What the page works with: the grader and the library, and the tests that it runs.
COPIED = (
    "autograder",
    "minigrad",
    "nbgrader_config.py",
    "setup.cfg",
    "pyproject.toml",
    "tests",
)
# A block of code, and the bold line above it, if there is one, that says where it goes.
BLOCK = re.compile(
    r"^(?:\*\*(?P<where>[^*\n]+)\*\*\n\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass
class Followed:
    """Where the page was followed, and each command with what it printed and what the page says that it prints."""

    course: Path
    printed: list[tuple[str, str, str | None]]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    course = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        (course / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, course / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, course / name)
    (course / "solutions").mkdir()
    result = Followed(course, [])
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        where, text = block["where"], block["text"]
        if where and (file := re.fullmatch(r"`(.+)`", where)):
            append(course / file[1], text)
        elif where and (cell := re.fullmatch(r"the cell `(\w+)` of (\w+)", where)):
            fill(course / "submitted" / cell[2] / NAME / f"{NAME}.ipynb", cell[1], text)
        elif block["language"] == "bash":
            result.printed.append((text, run(course, text), None))
        else:
            assert (where, block["language"]) == (None, ""), f"what is to be done with {where}, {text}?"
            command, printed, said = result.printed.pop()
            assert said is None
            result.printed.append((command, printed, text))
    return result


def append(path, text):
    """Add a block to a file, two empty lines below the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() + "\n\n" if path.exists() else ""
    path.write_text(before + text)


def fill(path, cell_id, text):
    """Answer in a notebook, as a student does."""
    notebook = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    assert "YOUR CODE HERE" in cell.source
    cell.source = text
    nbformat.write(notebook, path)


def run(course, commands):
    """Run a block of commands in the copy, with its grader and not with ours."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("MINIGRAD_REVEAL", "FORCE_COLOR")
    }
    environment |= {"PYTHONPATH": str(course), "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "80"}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
    script = f'minigrad() {{ python -m autograder.cli "$@"; }}\n{commands}'
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        cwd=course,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def walls(tmp_path_factory):
    """The page grades, and grading needs one of the walls."""
    for level in LEVELS[:-1]:
        try:
            Sandbox(tmp_path_factory.mktemp("empty"), level).close()
            return
        except SandboxError as error:
            reason = str(error)
    pytest.skip(reason)


def test_commands_print_what_the_page_says(followed):
    compared = [(printed, said) for _, printed, said in followed.printed if said is not None]
    assert len(compared) >= 3
    for printed, said in compared:
        assert steady(printed) == steady(said)


def steady(text):
    """The lines without what differs between runs and machines: seconds, walls, empty lines at the ends."""
    text = re.sub(r"\b\d+\.\d\d\b", "0.05", text).strip("\n")
    text = re.sub(r"\bisolation: \w+", "isolation: namespaces", text)
    return [line.rstrip() for line in text.splitlines()]


def test_every_mistake_of_the_page_is_named_by_the_tests_of_the_course(followed):
    (summary,) = [printed for command, printed, _ in followed.printed if "pytest" in command]
    written = (followed.course / "autograder/exercises/softsign.py").read_text().count("    Misconception(\n")
    assert written >= 10
    assert int(re.search(r"(\d+) passed", summary)[1]) > written


def test_who_is_right_gets_all_points_and_who_is_not_is_told_why(followed):
    rows = {
        row["student"]: row
        for row in json.loads((followed.course / "results.json").read_text())["submissions"]
    }
    ada, ben = ({e["grade_id"]: e for e in rows[who]["exercises"]} for who in ("ada", "ben"))
    assert {name: (e["score"], e["max_score"]) for name, e in ada.items()} == {
        "check_softsign_forward": (2, 2),
        "check_softsign_backward": (4, 4),
        "check_quiz_10": (1, 1),
    }
    assert ben["check_softsign_forward"]["score"] == 2
    named = {finding["misconception"] for finding in ben["check_softsign_backward"]["findings"]} - {None}
    assert named == {"denominator_held_fixed"}
    assert ben["check_softsign_backward"]["score"] < 4
    assert ben["check_quiz_10"]["score"] == 0
    assert "very different speeds" in ben["check_quiz_10"]["findings"][0]["message"]


def test_what_is_handed_out_holds_no_answer(followed):
    released = (followed.course / "assignments" / NAME / f"{NAME}.ipynb").read_text()
    assert "YOUR CODE HERE" in released
    assert "np.abs" not in released
    assert (followed.course / "bundles" / f"{NAME}.zip").is_file()


ANOTHER = """
from dataclasses import replace
from .softsign import ASSIGNMENT, EXERCISES as THERE
EXERCISES = [replace(THERE[0], name="{name}")]
"""
LIST = f"python -c 'from autograder.exercises import assignments; print(*assignments()[\"{NAME}\"])' 2>&1 || true"


def test_another_module_may_add_to_an_assignment_but_not_take_a_name(followed):
    path = followed.course / "autograder/exercises/another.py"
    try:
        path.write_text(ANOTHER.format(name="again"))
        assert set(run(followed.course, LIST).split()) == {
            "again",
            "softsign_forward",
            "softsign_backward",
            "quiz_10",
        }
        path.write_text(ANOTHER.format(name="quiz_10"))
        assert "there is another exercise named 'quiz_10'" in run(followed.course, LIST)
    finally:
        path.unlink()
