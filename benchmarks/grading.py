"""A class graded: `minigrad grade` beside stock nbgrader and otter-grader, on the same submissions in one run.

    make bench-grading

Submissions of assignment 01, right ones and ones with a mistake, in two forms:

same cells
    Experiments and labs are taken out of the assignment, so that all graders execute the same cells.
in practice
    The assignment as it is. The others execute every cell; minigrad skips experiments and labs left as given.

Each command is measured as a whole process with all that it starts. The others, which take seconds a notebook, grade
some submissions; what they would need for a thousand is that line drawn on, from one submission and from these.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import otter_course
from page import write
from process_tree import peak_memory

from autograder import notebook
from autograder.source import dumps

ROOT = Path(__file__).resolve().parents[1]
NAME = "01_gradient_checking"
CLASS = 1000
SIZES = (1, 10, 100, CLASS)
FORMS = ("same cells", "in practice")
STOCK = """
c = get_config()
c.CourseDirectory.course_id = "bench"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "assignments"
c.CourseDirectory.ignore = ["*.py"]
"""
# What some students get wrong, as edits of the solution's own lines.
EDITS = [
    ("db = dout.sum(axis=0)", "db = dout"),
    ("db = dout.sum(axis=0)", "db = dout.mean(axis=0)"),
    ("(2 * h)", "h"),
    ("- h", "- 0"),
]
Notebooks = dict[str, nbformat.NotebookNode]
Verdicts = dict[str, set[str]]  # of each student, the checks with full points


@dataclass(frozen=True)
class Run:
    """One command: how many submissions it graded, in which time, with how much memory at most."""

    count: int
    seconds: float
    peak: int


def submissions(cells: str, count: int) -> Notebooks:
    """Notebooks by student: every other one right, the rest with one mistake each."""
    solved = nbformat.read(ROOT / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)
    if cells == "same cells":
        solved.cells = [c for c in solved.cells if not {"experiment", "lab"} & set(notebook.tags(c))]
    found = {}
    for number in range(count):
        nb = nbformat.from_dict(json.loads(json.dumps(solved)))
        old, new = EDITS[number // 2 % len(EDITS)] if number % 2 else ("", "")
        for cell in nb.cells:
            if old and "solution" in notebook.tags(cell):
                cell.source = cell.source.replace(old, new)
        found[f"student{number:04}"] = nb
    return found


class Course:
    """A course directory with submissions, for nbgrader as it comes or as this course sets it up."""

    def __init__(self, folder: Path, notebooks: Notebooks, config: str):
        self.folder = folder
        solution = folder / "solutions" / NAME / f"{NAME}.ipynb"
        solution.parent.mkdir(parents=True)
        solution.write_text(dumps(next(iter(notebooks.values()))), encoding="utf-8")
        (folder / "nbgrader_config.py").write_text(config)
        for student, nb in notebooks.items():
            target = folder / "all" / student / NAME / f"{NAME}.ipynb"
            target.parent.mkdir(parents=True)
            target.write_text(dumps(nb), encoding="utf-8")
        self.run("nbgrader", "generate_assignment", NAME)

    def hand_in(self, count: int) -> None:
        """Let the first students hand in, and forget what was graded."""
        for name in ("submitted", "autograded"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for student in sorted((self.folder / "all").iterdir())[:count]:
            shutil.copytree(student, self.folder / "submitted" / student.name)

    def run(self, *command: str) -> tuple[float, int]:
        """Seconds and peak memory of a command."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return peak_memory(command, self.folder, {**os.environ, "PATH": path})

    def full(self) -> Verdicts:
        """Which checks got all their points, by student, as the gradebook has it."""
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{self.folder}/gradebook.db") as book:
            return {
                submitted.student.id: {
                    grade.name.removeprefix("check_")
                    for one in submitted.notebooks
                    for grade in one.grades
                    if grade.max_score and grade.score == grade.max_score
                }
                for submitted in book.find_assignment(NAME).submissions
            }


def by_nbgrader(folder: Path, notebooks: Notebooks, sizes: Iterable[int]) -> tuple[list[Run], Verdicts]:
    """Stock nbgrader, on the first students."""
    course, runs = Course(folder, notebooks, STOCK), []
    for size in sizes:
        course.hand_in(size)
        runs.append(Run(size, *course.run("nbgrader", "autograde", NAME)))
    return runs, course.full()


def by_otter(folder: Path, notebooks: Notebooks, sizes: Iterable[int]) -> tuple[list[Run], Verdicts]:
    """otter-grader, in as many processes as there are cores; nothing where it cannot be installed."""
    python = otter_course.install()
    if python is None:
        return [], {}
    otter_course.prepare(python, folder, notebooks)
    runs, full = [], {}
    for size in sizes:
        seconds, peak, scores = otter_course.grade(python, folder, sorted(notebooks)[:size])
        runs.append(Run(size, seconds, peak))
        full.update(
            {student: {name for name, score in got.items() if score} for student, got in scores.items()}
        )
    return runs, full


def by_minigrad(folder: Path, notebooks: Notebooks, sizes: Iterable[int]) -> tuple[list[Run], Verdicts]:
    """`minigrad grade`; the last run finds everything graded already."""
    course, runs = Course(folder, notebooks, (ROOT / "nbgrader_config.py").read_text()), []
    for size in sizes:
        course.hand_in(size)
        runs.append(Run(size, *course.run("minigrad", "grade", NAME)))
    runs.append(Run(size, *course.run("minigrad", "grade", NAME)))
    return runs, course.full()


def compare(cells: str, others: int) -> list[str]:
    """Rows of a table: all graders on the same submissions, and what each makes of a class."""
    notebooks = submissions(cells, CLASS)
    some = dict(list(notebooks.items())[:others])
    rows: list[str] = []
    ours: Verdicts = {}
    whole = 0.0
    for name, grade, given, sizes in (
        ("minigrad", by_minigrad, notebooks, (1, others, CLASS)),
        ("nbgrader", by_nbgrader, some, (1, others)),
        ("otter-grader", by_otter, some, (1, others)),
    ):
        with tempfile.TemporaryDirectory(prefix="minigrad-bench-") as scratch:
            runs, full = grade(Path(scratch), given, sizes)
        if not runs:
            continue
        ours = ours or full
        wrong = [student for student in full if full[student] != ours[student]]
        if wrong:
            sys.exit(f"{name} and minigrad do not agree about {wrong[0]}: that is not the same work")
        one, several = runs[:2]
        each = (several.seconds - one.seconds) / (several.count - 1)
        if name == "minigrad":
            per_class, times = runs[2].seconds, ""
            whole = per_class
        else:
            per_class = one.seconds + each * (CLASS - 1)
            times = f"{per_class / whole:.0f}"
        rows.append(
            f"| {cells} | {name} | {one.seconds:.1f} | {several.seconds:.1f} | {1000 * each:.0f} "
            f"| {several.peak >> 20} | {'about ' if times else ''}{per_class:,.0f} | {times} |"
        )
    return rows


def growth() -> list[str]:
    """Rows of a table: ten submissions to a thousand, and a thousand that have not changed."""
    with tempfile.TemporaryDirectory(prefix="minigrad-bench-") as scratch:
        runs, _ = by_minigrad(Path(scratch), submissions("in practice", CLASS), SIZES)
    names = [f"{run.count:,}" for run in runs[:-1]] + [f"the {CLASS:,} again, unchanged"]
    return [
        f"| {name} | {run.seconds:.1f} | {run.count / run.seconds:.1f} | {1000 * run.seconds / run.count:.0f} "
        f"| {run.peak >> 20} |"
        for name, run in zip(names, runs, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--others", type=int, default=40, help="how many submissions the others grade")
    others = parser.parse_args().others
    lines = [
        f"{os.cpu_count()} cores, Python {platform.python_version()}; minigrad isolates student code, others do not.",
        "",
        f"| cells | grader | 1 (s) | {others} (s) | each further (ms) | peak at {others} (MB) | {CLASS} (s) | ratio |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
        *(row for cells in FORMS for row in compare(cells, others)),
        "",
        "| submissions, in practice | seconds | a second | ms each | peak (MB) |",
        "|---|--:|--:|--:|--:|",
        *growth(),
    ]
    write("make bench-grading", lines)


if __name__ == "__main__":
    main()
