"""Notebooks a second: `minigrad grade` against stock `nbgrader autograde`, on the same submissions in one run.

    make bench-grading

Twenty submissions of assignment 01 (right answers, and wrong ones from the bank of misconceptions), twice:

same cells
    Experiments and labs are taken out of the assignment, so that both graders execute the same cells.
in practice
    The assignment as it is. nbgrader executes every cell; minigrad skips experiments and labs that were left
    as given.

Both run with two processes' worth of machine: nbgrader has no parallel mode, minigrad uses its own default.
Each command is timed as a whole process, on 1 and on 20 submissions; the difference gives the time a notebook
without the fixed cost of starting.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from autograder import notebook
from autograder.source import dumps

ROOT = Path(__file__).resolve().parents[1]
NAME = "01_gradient_checking"
COUNT = 20
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


def submissions(cells: str) -> list[nbformat.NotebookNode]:
    """Twenty notebooks: every other one right, the rest with one mistake each."""
    solved = nbformat.read(ROOT / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)
    if cells == "same cells":
        solved.cells = [c for c in solved.cells if not {"experiment", "lab"} & set(notebook.tags(c))]
    found = []
    for number in range(COUNT):
        nb = nbformat.from_dict(json.loads(json.dumps(solved)))
        old, new = EDITS[number // 2 % len(EDITS)] if number % 2 else ("", "")
        for cell in nb.cells:
            if "solution" in notebook.tags(cell):
                cell.source = cell.source.replace(old, new) if old else cell.source
        found.append(nb)
    return found


def course(folder: Path, cells: str, config: str) -> Path:
    """A course directory with the submissions in it."""
    notebooks = submissions(cells)
    (folder / "solutions" / NAME).mkdir(parents=True)
    (folder / "solutions" / NAME / f"{NAME}.ipynb").write_text(dumps(notebooks[0]), encoding="utf-8")
    (folder / "nbgrader_config.py").write_text(config)
    for number, nb in enumerate(notebooks):
        target = folder / "submitted" / f"student{number:02}" / NAME / f"{NAME}.ipynb"
        target.parent.mkdir(parents=True)
        target.write_text(dumps(nb), encoding="utf-8")
    return folder


def run(folder: Path, *command: str) -> float:
    """Seconds that a command takes as a whole process."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def main() -> None:
    print(f"{COUNT} submissions of {NAME}, {os.cpu_count()} cores\n")
    print(f"{'':14}{'':12}{'1 (s)':>9}{'20 (s)':>9}{'a notebook':>13}{'notebooks/s':>13}")
    for cells in ("same cells", "in practice"):
        rates = {}
        for grader in ("nbgrader", "minigrad"):
            with tempfile.TemporaryDirectory(prefix="minigrad-bench-") as scratch:
                config = STOCK if grader == "nbgrader" else (ROOT / "nbgrader_config.py").read_text()
                folder = course(Path(scratch), cells, config)
                run(folder, "nbgrader", "generate_assignment", NAME)
                if grader == "nbgrader":
                    one = run(folder, "nbgrader", "autograde", NAME, "--student", "student00")
                    shutil.rmtree(folder / "autograded")
                    all_ = run(folder, "nbgrader", "autograde", NAME)
                else:
                    everything = folder / "submitted"
                    shutil.copytree(everything / "student00", folder / "one" / "student00")
                    one = run(folder, "minigrad", "grade", NAME, "--submissions", "one")
                    all_ = run(folder, "minigrad", "grade", NAME, "--again")
            each = (all_ - one) / (COUNT - 1)
            rates[grader] = COUNT / all_
            print(f"{cells:14}{grader:12}{one:9.2f}{all_:9.2f}{each * 1000:10.0f} ms{COUNT / all_:13.2f}")
            cells = "" if grader == "nbgrader" else cells
        ratio = rates["minigrad"] / rates["nbgrader"]
        print(f"{'':14}{'ratio':12}{'':31}{ratio:13.1f}\n")


if __name__ == "__main__":
    main()
