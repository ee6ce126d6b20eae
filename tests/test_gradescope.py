"""The archive for Gradescope, laid out and run as Gradescope does it, gives the verdicts of `minigrad grade`."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from submissions import ASSIGNMENT, HERE, build
from typer.testing import CliRunner

from autograder import cli, exercises, gradescope
from autograder.course import Course
from autograder.notebook import Unreadable

pytest.importorskip("fcntl", reason="student code is isolated on Linux only")

ROOT = HERE.parent
OTHER = "02_sigmoid_saturation"
SEED = 7_777_777_777_777_777
SETTINGS = f"""
roster = "roster.csv"
[assignments.{ASSIGNMENT}]
due = 2026-03-02
[assignments.{ASSIGNMENT}.points]
written_answer = 4
affine_backward = 8
[assignments.{ASSIGNMENT}.extensions]
chenwei = 2026-03-09
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("course")
    for name in (ASSIGNMENT, OTHER):
        for folder in ("solutions", "assignments"):
            shutil.copytree(ROOT / folder / name, root / folder / name)
    (root / "course.toml").write_text(SETTINGS)
    (root / "roster.csv").write_text("id\nchenwei\n")
    (root / "hidden_seeds.json").write_text(json.dumps({ASSIGNMENT: SEED, OTHER: 8_888_888_888_888_888}))
    return root


def pack(course: Path, *options: str) -> Path:
    words = ["gradescope", ASSIGNMENT, "--course", str(course), "--output", str(course / "packed"), *options]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert "autograder points: 29, and 4 more for stretch exercises" in done.output
    assert "the written answers: 4 points" in done.output
    return course / "packed" / f"{ASSIGNMENT}_autograder.zip"


def lay_out(archive: Path, root: Path) -> Path:
    """What Gradescope makes of an archive, with our own environment where setup.sh makes one from the network."""
    source = root / "source"
    with zipfile.ZipFile(archive) as members:
        members.extractall(source)
        for member in members.infolist():
            (source / member.filename).chmod(member.external_attr >> 16)
    shutil.copy(source / "run_autograder", root)
    venv.create(source / "venv", symlinks=True)
    packages = installed(root)
    for name in ("minigrad", "autograder"):
        shutil.copytree(source / "package" / name, packages / name)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return root


def installed(root: Path) -> Path:
    """Where the packages of its environment are."""
    (found,) = (root / "source" / "venv").glob("lib/python3*/site-packages")
    return found


@pytest.fixture(scope="module")
def autograder(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(pack(course), tmp_path_factory.mktemp("autograder"))


@dataclass(frozen=True)
class Run:
    results: dict
    text: str
    stdout: str


def run(root: Path, files: dict[str, bytes]) -> Run:
    """Upload some files, and read what the script has written."""
    shutil.rmtree(root / "submission", ignore_errors=True)
    (root / "submission").mkdir()
    for name, content in files.items():
        path = root / "submission" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    script = root / "run_autograder"
    done = subprocess.run([script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (root / "results" / "results.json").read_text(encoding="utf-8")
    results = json.loads(text)
    check_format(results)
    return Run(results, text, done.stdout + done.stderr)


# Gradescope's documentation, "Autograder Specifications".
FORMATS = {"text", "html", "simple_format", "md", "ansi"}
VISIBILITIES = {"hidden", "after_due_date", "after_published", "visible"}
WHOLE = {
    "score": float,
    "execution_time": float,
    "output": str,
    "output_format": FORMATS,
    "test_output_format": FORMATS,
    "test_name_format": FORMATS,
    "visibility": VISIBILITIES,
    "stdout_visibility": VISIBILITIES,
    "extra_data": dict,
    "tests": list,
    "leaderboard": list,
}
TEST = {
    "score": float,
    "max_score": float,
    "status": {"passed", "failed"},
    "name": str,
    "name_format": FORMATS,
    "number": str,
    "output": str,
    "output_format": FORMATS,
    "tags": list,
    "visibility": VISIBILITIES,
    "extra_data": dict,
}


def check_format(results: dict) -> None:
    for table, known in [(results, WHOLE), *((test, TEST) for test in results["tests"])]:
        for key, value in table.items():
            kind = known[key]
            if isinstance(kind, set):
                assert value in kind, key
            else:
                assert isinstance(value, (int, float) if kind is float else kind), key
    assert {"score", "output"} <= results.keys()
    # Instructors alone read what the autograder prints, and what is shown to students is no markup.
    assert results["stdout_visibility"] == "hidden"
    assert {part["output_format"] for part in [results, *results["tests"]]} == {"text"}


# -- the archive


def test_the_archive_is_what_gradescope_takes(course: Path):
    archive = pack(course)
    assert archive.stat().st_mode & 0o077 == 0, "whoever can read it has the answers"
    with zipfile.ZipFile(archive) as members:
        modes = {member.filename: member.external_attr >> 16 for member in members.infolist()}
    assert {name for name in modes if "/" not in name} == {"constraints.txt", "run_autograder", "setup.sh"}
    assert {name for name, mode in modes.items() if mode & 0o111} == {"run_autograder", "setup.sh"}
    first = archive.read_bytes()
    assert pack(course).read_bytes() == first


def test_the_archive_holds_the_secrets_of_its_own_assignment_alone(course: Path):
    with zipfile.ZipFile(pack(course)) as members:
        files = {name: members.read(name) for name in members.namelist()}
    assert json.loads(files["course/hidden_seeds.json"]) == {ASSIGNMENT: SEED}
    notebooks = [name for name in files if name.endswith(".ipynb")]
    assert notebooks == [f"course/solutions/{ASSIGNMENT}/{ASSIGNMENT}.ipynb"]
    modules = {name for name in files if name.startswith("package/autograder/exercises/")}
    assert modules == {
        f"package/autograder/exercises/{name}"
        for name in ("__init__.py", "gradient_checking.py", "gradient_checking.toml")
    }
    for secret in (b"chenwei", b"8888888888888888"):
        assert not [name for name, content in files.items() if secret in content]


def test_what_is_packed_is_what_pip_installs(course: Path):
    with zipfile.ZipFile(pack(course)) as members:
        files = {name for name in members.namelist() if name.startswith("package/")}
        project = tomllib.loads(members.read("package/pyproject.toml").decode())
    data = project["tool"]["setuptools"]["package-data"]
    declared = {f"package/{package}/{path}" for package, paths in data.items() for path in paths}
    assert {name for name in files if not name.endswith(".py")} == {*declared, "package/pyproject.toml"}


def test_the_versions_are_those_that_grade_here(course: Path):
    with zipfile.ZipFile(pack(course)) as members:
        pins = dict(line.split("==") for line in members.read("constraints.txt").decode().split())
    assert pins["numpy"] == metadata.version("numpy")
    # Grading can do with what is installed there: it imports all that it needs where the rest is not to be had.
    program = """
import sys
pins, packages = sys.argv[1].split(), __import__("importlib.metadata").metadata.packages_distributions()
class Absent:
    def find_spec(name, path=None, target=None):
        owners = {owner.lower().replace("_", "-") for owner in packages.get(name, ())}
        if owners and owners.isdisjoint([*pins, "minigrad"]):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent)
import matplotlib.pyplot
from autograder import gradescope, grading
grading._transformer()
"""
    words = [sys.executable, "-c", program]
    subprocess.run([*words, " ".join(pins)], check=True)
    assert subprocess.run([*words, " ".join(pins.keys() - {"threadpoolctl"})], capture_output=True).returncode


@pytest.mark.parametrize("name", Course(ROOT).names())
def test_the_exercises_of_every_assignment_are_found(name: str):
    chosen = {path.stem for path in gradescope._exercise_files(Course(ROOT).assignment(name))}
    modules = [module for module in sys.modules if module.startswith(f"{exercises.__name__}.")]
    theirs = {each.rpartition(".")[2] for each in modules if vars(sys.modules[each])["ASSIGNMENT"] == name}
    assert theirs
    assert chosen == {"__init__", *theirs}


# -- runs


def cells(name: str, folder: Path) -> bytes:
    """A submission of the corpus."""
    path = folder / "submission.ipynb"
    build(HERE / f"{name}.cells", ROOT, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, bytes], str]]:
    """By name: the files, and what the student reads."""
    folder = tmp_path_factory.mktemp("files")
    right = cells("honest/cs231n", folder)
    wrong = cells("wrong/db_not_summed", folder)
    return {
        "right": (
            {f"week 1/{ASSIGNMENT}.ipynb": right, "__MACOSX/week 1/._x.ipynb": b"x"},
            f"Graded: {ASSIGNMENT}.ipynb",
        ),
        "wrong": ({"work (2).ipynb": wrong, "notes.txt": b"x"}, "Graded: work (2).ipynb"),
        "unfinished": ({"a.ipynb": cells("wrong/untouched", folder)}, "Graded: a.ipynb"),
        "hostile": ({"a.ipynb": cells("hostile/every_answer", folder)}, "Graded: a.ipynb"),
        "truncated": ({"a.ipynb": right[: len(right) // 2]}, "the file is not a whole notebook"),
        "another": (
            {"a.ipynb": (ROOT / "assignments" / OTHER / f"{OTHER}.ipynb").read_bytes()},
            "This is the notebook of another assignment: it has none of the checks of 01_gradient_checking",
        ),
    }


@pytest.fixture(scope="module")
def graded_here(course: Path, uploads: dict) -> dict[str, dict]:
    """What `minigrad grade` says of the same files."""
    for name, (files, _) in uploads.items():
        (content,) = (files[file] for file in files if file.endswith(".ipynb") and "MACOSX" not in file)
        path = course / "submitted" / name / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    words = ["grade", ASSIGNMENT, "--course", str(course), "--json", str(course / "rows.json"), "--jobs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "autograder.cli", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((course / "rows.json").read_text())["submissions"]
    return {row["student"]: row for row in rows}


@pytest.mark.parametrize("name", ["right", "wrong", "unfinished", "hostile", "truncated", "another"])
def test_the_verdict_is_that_of_minigrad_grade(
    autograder: Path, graded_here: dict[str, dict], uploads: dict, name: str
):
    files, said = uploads[name]
    results, row = run(autograder, files).results, graded_here[name]
    assert said in results["output"]
    assert "those 4 points are not counted here" in results["output"]
    assert results["score"] == row["score"]
    assert [(test["score"], test["max_score"]) for test in results["tests"]] == [
        (exercise["score"], exercise["max_score"]) for exercise in row["exercises"]
    ]
    for test, exercise in zip(results["tests"], row["exercises"], strict=True):
        assert exercise["title"] in test["name"]
        assert (test["status"] == "passed") == (test["score"] == test["max_score"])
        for finding in exercise["findings"]:
            assert finding["check"] in test["output"]
            assert finding["hint"] in test["output"]


def test_a_right_solution_has_full_marks_and_a_wrong_one_a_hint(graded_here: dict[str, dict]):
    """So that the comparison above is not one of nothing with nothing."""
    right, wrong = graded_here["right"], graded_here["wrong"]
    assert right["score"] == right["max_score"] == 33
    assert 0 < wrong["score"] < 33
    assert graded_here["unfinished"]["score"] == graded_here["truncated"]["score"] == 0
    assert any(finding["hint"] for exercise in wrong["exercises"] for finding in exercise["findings"])


def test_hidden_cases_show_nothing_of_their_data(autograder: Path, tmp_path: Path):
    """A function that is right in the open, and wrong where the inputs are hidden."""
    results = run(autograder, {"a.ipynb": overlay(tmp_path, KNOWS_ONLY_WHAT_IT_SAW)}).results
    (test,) = (test for test in results["tests"] if test["name"] == "Affine layer, forward")
    assert 0 < test["score"] < test["max_score"]
    hidden = test["output"].partition("hidden cases")[2]
    assert "out is not right" in hidden
    assert "expected" not in hidden


KNOWS_ONLY_WHAT_IT_SAW = """
# %% affine_forward
def affine_forward(x, w, b):
    global calls
    calls = globals().get("calls", 0) + 1
    return x.reshape(x.shape[0], -1) @ w + b + (1000.0 if calls > 4 else 0.0), (x, w, b)
"""


def overlay(folder: Path, text: str) -> bytes:
    path = folder / "overlay.cells"
    path.write_text(f'"""An attack."""\n# base: solution\n# expect: full\n{text}', encoding="utf-8")
    build(path, ROOT, folder / "overlay.ipynb")
    return (folder / "overlay.ipynb").read_bytes()


REACHES_OUT = """
# %% affine_backward
def affine_backward(dout, cache):
    seen = []
    for name in ("source/course/hidden_seeds.json", "source/constraints.txt", "submission_metadata.json"):
        try:
            seen.append(open("{root}/" + name).read(60))
        except Exception as error:
            seen.append(type(error).__name__)
    for name in ("results/results.json", "results/mine", "source/mine", "run_autograder"):
        try:
            open("{root}/" + name, "w").write("{{}}")
            seen.append("WRITTEN")
        except Exception as error:
            seen.append(type(error).__name__)
    raise ValueError(str(seen))
"""

# Appended to the copy that grades: machines that allow less.
WITHOUT_NAMESPACES = "\n\ndef enter_own_root(*words):\n    raise OSError('not permitted')\n"
WITHOUT_LANDLOCK = (
    WITHOUT_NAMESPACES + "\n\ndef restrict_files(*words):\n    raise OSError('not permitted')\n"
)
WITHOUT_WALLS = "\n\ndef drop_privileges():\n    raise OSError('not permitted')\n"


@contextlib.contextmanager
def machine(root: Path, change: str) -> Iterator[None]:
    path = installed(root) / "autograder" / "isolation.py"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + change, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


@pytest.mark.parametrize(
    ("level", "change"),
    [("namespaces", ""), ("landlock", WITHOUT_NAMESPACES), ("seccomp", WITHOUT_LANDLOCK)],
)
def test_student_code_reads_no_secret_and_writes_no_result(
    autograder: Path, tmp_path: Path, level: str, change: str
):
    (autograder / "submission_metadata.json").write_text('{"users": [{"email": "chenwei@example.org"}]}')
    script = (autograder / "run_autograder").read_bytes()
    attack = overlay(tmp_path, REACHES_OUT.format(root=autograder))
    with machine(autograder, change):
        done = run(autograder, {"a.ipynb": attack})
    if done.results["extra_data"].get("isolation") != level:
        pytest.skip(f"this machine has no {level}")
    (test,) = (test for test in done.results["tests"] if test["name"] == "Affine layer, backward")
    assert "Error" in test["output"], "it ran"
    assert test["score"] == 0
    assert done.results["score"] == 33 - 8
    for secret in (str(SEED), "numpy==", "chenwei", "WRITTEN"):
        assert secret not in done.text
    assert not [*autograder.rglob("mine")]
    assert (autograder / "run_autograder").read_bytes() == script


def test_without_walls_nothing_of_a_students_runs(autograder: Path, tmp_path: Path):
    attack = overlay(tmp_path, REACHES_OUT.format(root=autograder))
    with machine(autograder, WITHOUT_WALLS):
        done = run(autograder, {"a.ipynb": attack})
    assert done.results["score"] == 0
    assert done.results["tests"] == []
    assert "cannot be isolated on this machine" in done.results["output"]
    assert "nothing about your work" in done.results["output"]
    for level in ("namespaces", "landlock", "seccomp"):
        assert f"{level}: " in done.stdout, "the instructor reads why"
    assert not [*autograder.rglob("mine")]


def test_students_that_the_instructor_trusts_are_graded_without_walls_where_there_are_none(
    course: Path, tmp_path: Path
):
    root = lay_out(pack(course, "--trust-students"), tmp_path / "autograder")
    attack = {"a.ipynb": overlay(tmp_path, REACHES_OUT.format(root=root))}
    walled = run(root, attack)
    assert walled.results["extra_data"]["isolation"] in ("namespaces", "landlock", "seccomp")
    assert str(SEED) not in walled.text
    with machine(root, WITHOUT_WALLS):
        attacked = run(root, attack)
    assert (attacked.results["score"], attacked.results["extra_data"]) == (25, {"isolation": "none"})
    # What the walls are for: here the attack of the tests above succeeds.
    assert str(SEED) in attacked.text
    assert "WRITTEN" in attacked.text


def test_there_are_results_when_there_is_no_notebook(autograder: Path):
    done = run(autograder, {"essay.docx": b"x"})
    assert done.results["score"] == 0
    assert (
        f"Nothing was graded: no notebook was uploaded, but essay.docx; upload {ASSIGNMENT}.ipynb"
        in (done.results["output"])
    )
    assert len(done.results["tests"]) == 8


def test_there_are_results_when_the_autograder_has_a_fault(autograder: Path):
    seeds = autograder / "source" / "course" / "hidden_seeds.json"
    before = seeds.read_text()
    seeds.write_text("{")
    try:
        done = run(autograder, {"a.ipynb": b"{}"})
    finally:
        seeds.write_text(before)
    assert "Your work was not graded: the autograder has a fault" in done.results["output"]
    assert "hidden_seeds.json" in done.stdout, "the instructor reads why"
    assert "hidden_seeds.json" not in done.text


def test_there_are_results_when_python_is_gone(autograder: Path):
    stale = autograder / "results" / "results.json"
    stale.parent.mkdir(exist_ok=True)
    stale.write_text('{"score": 33, "output": "that of somebody else"}')
    folder = autograder / "source" / "venv"
    folder.rename(folder.with_name("away"))
    try:
        done = run(autograder, {"a.ipynb": b"{}"})
    finally:
        folder.with_name("away").rename(folder)
    assert done.results["score"] == 0
    assert "the autograder was ended before it had finished" in done.results["output"]


# -- which file is graded


def bomb() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr(f"{ASSIGNMENT}.ipynb", bytes(10 << 20))
    return whole.getvalue()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x.ipynb"], "x.ipynb"),
        (["X.IPYNB"], "X.IPYNB"),
        (["a/b/x.ipynb", "a/data.csv"], "a/b/x.ipynb"),
        ([f"{ASSIGNMENT}.ipynb", "scratch.ipynb"], f"{ASSIGNMENT}.ipynb"),
        (["x.ipynb", ".ipynb_checkpoints/x-checkpoint.ipynb"], "x.ipynb"),
        (["x.ipynb", "__MACOSX/x.ipynb", "._x.ipynb"], "x.ipynb"),
        (["__mine/x.ipynb"], "__mine/x.ipynb"),
        (["/".join(["d"] * 15) + "/x.ipynb"], "/".join(["d"] * 15) + "/x.ipynb"),
    ],
)
def test_the_notebook_is_found(tmp_path: Path, names: list[str], expected: str):
    put(tmp_path, names)
    assert gradescope.find_notebook(tmp_path, ASSIGNMENT) == tmp_path / expected


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "no notebook was uploaded, but nothing"),
        (["essay.docx", "x.py"], "no notebook was uploaded, but essay.docx, x.py"),
        (["a.ipynb", "b.ipynb"], r"2 notebooks were uploaded \(a.ipynb, b.ipynb\)"),
        ([f"a/{ASSIGNMENT}.ipynb", f"b/{ASSIGNMENT}.ipynb"], "2 notebooks were uploaded"),
        ([f"{number}.txt" for number in range(1001)], "more than 1000 files were uploaded"),
        (["/".join(["d"] * 900) + "/x.ipynb"], "no notebook was uploaded"),
    ],
)
def test_what_is_unclear_is_refused_with_a_reason(tmp_path: Path, names: list[str], reason: str):
    put(tmp_path, names)
    with pytest.raises(Unreadable, match=reason):
        gradescope.find_notebook(tmp_path, ASSIGNMENT)


def put(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_an_archive_is_not_looked_into(tmp_path: Path):
    (tmp_path / "bomb.zip").write_bytes(bomb())
    with pytest.raises(Unreadable, match=r"no notebook was uploaded, but bomb\.zip"):
        gradescope.find_notebook(tmp_path, ASSIGNMENT)


def link(path: Path, course: Path) -> None:
    path.symlink_to(course / "solutions" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb")


def sparse(path: Path, course: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 << 20)


def archive(path: Path, course: Path) -> None:
    path.write_bytes(bomb())


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (link, "the file is a link to another file"),
        (sparse, "the file has 100 MB"),
        (archive, "the file is not text"),
        (lambda path, course: os.mkfifo(path), "this is not an ordinary file"),
    ],
)
def test_a_file_that_is_no_notebook_gets_results(course: Path, tmp_path: Path, write, reason: str):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "course").symlink_to(course_of_one(course, tmp_path))
    (tmp_path / "submission").mkdir()
    write(tmp_path / "submission" / "a.ipynb", course)
    results = gradescope.run(tmp_path)
    check_format(results)
    assert f"Nothing was graded: {reason}" in results["output"]
    assert results["score"] == 0
    assert {test["score"] for test in results["tests"]} == {0}


def course_of_one(course: Path, folder: Path) -> Path:
    root = folder / "course"
    shutil.copytree(course / "solutions" / ASSIGNMENT, root / "solutions" / ASSIGNMENT)
    (root / "hidden_seeds.json").write_text(json.dumps({ASSIGNMENT: SEED}))
    return root


def test_text_of_a_students_is_shown_as_text(course: Path, tmp_path: Path):
    row = {
        "status": "graded",
        "score": 0.0,
        "seconds": 1.0,
        "isolation": "landlock",
        "notes": ["cell x: \x1b[2J<script>\ud800"],
        "exercises": [],
    }
    results = gradescope._results(row, ["Graded: \x1b]0;title\x07a.ipynb"])
    check_format(results)
    assert results["output"] == "Graded: a.ipynb\nNotes:\n- cell x: <script>�"


def test_written_answers_are_those_that_the_notebook_gives_points_for():
    source = nbformat.read(Course(ROOT).source(ASSIGNMENT), as_version=4)
    assert gradescope._written(source) == 0
