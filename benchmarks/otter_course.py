"""Assignment 01 for otter-grader, and otter-grader for assignment 01.

The fastest of otter's ways that need no Docker is `otter.api.grade_submission` in processes that stay: `otter run`
starts Python anew for each notebook, `otter grade` grades in containers, and there is no other batch mode. The
processes are as many as there are cores, forked from one that has imported otter. Each notebook still gets its own
kernel; that is how otter grades.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from process_tree import peak_memory

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
RELEASE = "7.0.0"
# What the cell of `otter assign` holds that opens each student's notebook.
OPENING = "# Initialize Otter\nimport otter\ngrader = otter.Notebook()"
TEST = """\
from otter.test_files import test_case

OK_FORMAT = False
name = {name!r}
points = {points}


@test_case()
def test_score(env):
    assert eval({source!r}, env).score == {points}
"""
Scores = dict[str, dict[str, float]]  # of each student, for each exercise


def install() -> Path | None:
    """The Python of otter's own environment, made at first use; None, and a line that says so, where it cannot be.

    It holds what otter needs to grade and what the notebook imports, in the versions of this project, and no more:
    JupyterLab beside them would bring a package that jsonschema loads, which costs each kernel another second.
    """
    folder = ROOT / "build" / f"otter-{RELEASE}"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    pip = [
        str(python),
        *"-m pip install --quiet --disable-pip-version-check --constraint constraints.txt".split(),
    ]
    packages = f"otter-grader[grading]=={RELEASE} matplotlib threadpoolctl --editable ."
    if not stamp.exists():
        for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], [*pip, *packages.split()]):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
                print(f"without otter-grader, which could not be installed: {reason}")
                return None
        stamp.touch()
    return python


def prepare(python: Path, folder: Path, notebooks: Mapping[str, "NotebookNode"]) -> None:
    """Write the assignment, its tests and the submissions as otter has them.

    Parameters
    ----------
    python : Path
        Of `install`.
    folder : Path
        Empty.
    notebooks : mapping of str to NotebookNode
        The submission of each student, as nbgrader has it. Each check cell becomes a `grader.check`, whose test
        evaluates that cell in the notebook's namespace, and passes if nbgrader would give full points for it.
    """
    import nbformat

    tests, submitted = folder / "tests", folder / "submitted"
    tests.mkdir(parents=True)
    submitted.mkdir()
    for student, given in notebooks.items():
        notebook = nbformat.from_dict(json.loads(json.dumps(given)))
        for cell in notebook.cells:
            if "check" in cell.metadata.get("tags", []):
                name, points = cell.id.removeprefix("check_"), cell.metadata["nbgrader"]["points"]
                (tests / f"{name}.py").write_text(TEST.format(name=name, points=points, source=cell.source))
                cell.source = f"grader.check({name!r})"
        notebook.cells.insert(0, nbformat.v4.new_code_cell(OPENING))
        nbformat.write(notebook, submitted / f"{student}.ipynb")
    peak_memory([str(python), "-m", "otter", "generate", "--tests-dir", "tests"], folder)


def grade(python: Path, folder: Path, students: Iterable[str]) -> tuple[float, int, Scores]:
    """Grade some of the submissions: the seconds and the bytes at peak of the whole run, and what each student got."""
    # Two processes of two threads each, on two cores, wait for one another.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    seconds, peak = peak_memory([str(python), __file__, *students], folder, environment)
    return seconds, peak, json.loads((folder / "scores.json").read_text())


def _grade_one(notebook: Path, folder: Path) -> dict[str, float]:
    from otter.api import grade_submission

    results = grade_submission(str(notebook), str(folder / "autograder.zip"), quiet=True)
    if results.has_catastrophic_failure():
        raise RuntimeError(f"{notebook}: {results.catastrophic_error}")
    return {name: results.get_score(name) for name in results.test_files}


def main() -> None:
    """In otter's environment: grade the students that are named, in the working directory."""
    import otter.execute.preprocessor  # noqa: F401  otter would import it, and nbconvert, in each process

    folder, students = Path.cwd(), sys.argv[1:]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork")) as pool:
        notebooks = [folder / "submitted" / f"{student}.ipynb" for student in students]
        found = list(pool.map(partial(_grade_one, folder=folder), notebooks))
    (folder / "scores.json").write_text(json.dumps(dict(zip(students, found, strict=True))))


if __name__ == "__main__":
    main()
