"""The student view and the bundle: what is there works, and no answer is there.

Whether an answer is there is asked twice: of the text, for strings that only answers contain, and of the
functions: everything callable is called with the inputs of every graded function, to see whether anything
returns what that function returns.
"""

import ast
import configparser
import contextlib
import copy
import dataclasses
import importlib
import inspect
import io
import json
import pkgutil
import re
import subprocess
import sys
import sysconfig
import tomllib
import types
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from cases import CASES
from cases.losses import LOSSES
from test_pairs import PAIRS

import minigrad
from autograder import bundle, exercises, view
from autograder.exercise import Call, Close
from autograder.exercises import GRADED_IN, SECOND_IMPLEMENTATIONS, UNGRADED
from autograder.sheet import Sheet
from minigrad import (
    activity,
    anomaly,
    clipping,
    diagnosis,
    gradcheck,
    initializers,
    layers,
    loss_scaling,
    losses,
    monitor,
)
from minigrad.gains import gain

ROOT = Path(minigrad.__file__).parents[1]
NAME = "01_gradient_checking"
# One view in which all is a stub, some in between, and one in which all works.
VIEWS = (NAME, "02_x", "03_x", "04_x", "99_x")

# What only an answer contains. The first group is in the library; the second marks a notebook as unreleased.
ANSWERS = (
    "w.T",
    "@ w",
    "(2 * h)",
    "frac{f(x+h)",
    "dout.sum(axis=0)",
    "np.maximum(x, zeros)",
    "where_true(active",
    "max(1e-8, abs",
    "def _slope",
    "def _relative_errors",
    "(1 - out)",
    "1 - out**2",
    "x w + b",
    "alpha * exp",
    "max_norm / norm",
    "np.clip(g, -max_value",
    "np.add(dx, dout",
    "(1 + slope**2)",
    "affine_backward(relu_backward(dout",
    "(weight / total)",
    "moved / size",
    "_dot(clipped",
    "clipped == error",
    "next_q.max(axis=1)",
    "q[np.arange(len(q))",
    "np.sqrt(var + eps)",
    "dstd * 0.5",
    "dmu / N",
    "mean_dxhat",
    "upper_tail(a, bell)",
    'config["backoff"]',
    "np.argwhere(broken)",
    "x @ Wx",
    "da @ Wh.T",
    "f * prev_c + i * g",
    "dc * prev_c * f",
    "h[t + 1] * h[t + 1]",
)
UNRELEASED = ("BEGIN SOLUTION", "HIDDEN TESTS")


def stubs_of(assignment: str) -> set[str]:
    return {name for name, graded in GRADED_IN.items() if graded[:2] >= assignment[:2]}


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("views")
    return {name: view.build_view(name, root / name) for name in VIEWS}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with the released notebook of assignment 01, or one that stands for it."""
    root = tmp_path_factory.mktemp("course")
    released = Path("assignments", NAME, f"{NAME}.ipynb")
    (root / released).parent.mkdir(parents=True)
    empty = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    there = (ROOT / released).is_file()
    (root / released).write_text((ROOT / released).read_text("utf-8") if there else empty, "utf-8")
    return root


@pytest.fixture(scope="module")
def unpacked(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(bundle.build_bundle(course, NAME, tmp_path_factory.mktemp("packed"))) as archive:
        archive.extractall(destination)
    return destination / NAME


def run_alone(path: Path, script: str, *arguments: str) -> str:
    """Run a script in a process that knows `path`, the installed packages, and nothing of this repository."""
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    environment = {"PYTHONPATH": ":".join([str(path), *installed]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-W", "error", "-c", script, *arguments]
    done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- the table


def public_functions() -> Iterator[str]:
    """Full names of the functions that the library defines; labs, experiments and plots hold no answers."""
    for found in pkgutil.walk_packages(minigrad.__path__, "minigrad."):
        module = importlib.import_module(found.name)
        if (
            "labs" in found.name
            or "experiments" in found.name
            or found.name == "minigrad.plots"
            or "._" in found.name
        ):
            continue
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
                yield f"{module.__name__}.{name}"


def test_every_function_of_the_library_is_graded_somewhere_or_says_why_not():
    functions = set(public_functions())
    assert functions == GRADED_IN.keys() | UNGRADED.keys()
    assert not GRADED_IN.keys() & UNGRADED.keys()
    assert all(reason.strip() for reason in UNGRADED.values())
    assert {"minigrad.layers.affine.affine_forward", "minigrad.gradcheck.cs231n.rel_error"} <= functions


def test_the_table_agrees_with_the_exercises():
    names = {full.rpartition(".")[2]: graded for full, graded in GRADED_IN.items()}
    for assignment, group in exercises.assignments().items():
        for exercise in group.values():
            assert {names[name] for name in exercise.grades if name in names} <= {assignment}
    assert SECOND_IMPLEMENTATIONS.keys() <= GRADED_IN.keys()
    assert set(SECOND_IMPLEMENTATIONS.values()) <= names.keys()


def test_a_name_that_the_library_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(GRADED_IN, "minigrad.layers.affine.afine_forward", NAME)
    with pytest.raises(ValueError, match="afine_forward"):
        view.view_files(NAME)


# -- the view works

IMPORT_ALL = """
import importlib, json, pkgutil, sys
from pathlib import Path
import minigrad
for found in pkgutil.walk_packages(minigrad.__path__, "minigrad."):
    importlib.import_module(found.name)
here = Path.cwd().resolve()
loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "minigrad"}
assert all(Path(module.__file__).resolve().is_relative_to(here) for module in loaded.values())
assert "matplotlib" not in sys.modules
said = {}
for name in json.loads(sys.argv[1]):
    module, _, function = name.rpartition(".")
    function = getattr(loaded[module], function)
    try:
        function(*[None] * function.__code__.co_argcount)
    except Exception as error:
        said[name] = [type(error).__name__, str(error)]
from minigrad.gradcheck import describe_difference
said["describe"] = describe_difference([[1.0, 2.0], [3.0, 5.0]], [[1.0, 2.0], [3.0, 4.0]])
print(json.dumps(said))
"""


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_imports_alone_and_its_stubs_say_what_to_do(name: str, views: dict[str, Path]):
    said = json.loads(run_alone(views[name], IMPORT_ALL, json.dumps(list(GRADED_IN))))
    wrong = [[1.0, 2.0], [3.0, 5.0]]
    assert said["describe"] == gradcheck.describe_difference(wrong, [[1.0, 2.0], [3.0, 4.0]])
    for function, graded in GRADED_IN.items():
        short = function.rpartition(".")[2]
        kind, message = said.get(function, ["", ""])
        assert (kind == "NotImplementedError") == (function in stubs_of(name)), function
        if function in stubs_of(name):
            assert re.fullmatch(
                rf"{short}( would give away \w+, which)? is yours to write, in assignment {graded}", message
            )
    if name == NAME:
        assert (
            said["minigrad.layers.affine.affine_forward"][1]
            == f"affine_forward is yours to write, in assignment {NAME}"
        )
        text = f"rel_error would give away relative_error, which is yours to write, in assignment {NAME}"
        assert said["minigrad.gradcheck.cs231n.rel_error"][1] == text


@contextlib.contextmanager
def package_at(directory: Path) -> Iterator[dict[str, types.ModuleType]]:
    """All modules of the `minigrad` in a directory, in place of those of the library."""

    def ours() -> dict[str, types.ModuleType]:
        return {name: sys.modules[name] for name in list(sys.modules) if name.partition(".")[0] == "minigrad"}

    saved = ours()
    for name in saved:
        del sys.modules[name]
    sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    try:
        package = importlib.import_module("minigrad")
        for found in pkgutil.walk_packages(package.__path__, "minigrad."):
            importlib.import_module(found.name)
        assert Path(package.__file__ or "").is_relative_to(directory)
        yield ours()
    finally:
        sys.path.remove(str(directory))
        for name in ours():
            del sys.modules[name]
        sys.modules.update(saved)


@pytest.mark.parametrize("name", VIEWS)
def test_earlier_functions_work_and_equal_the_library(name: str, views: dict[str, Path]):
    rng = np.random.default_rng(0)
    x, w, b, dout = (rng.normal(size=shape) for shape in [(4, 2, 3), (6, 5), (5,), (4, 5)])
    with package_at(views[name]) as modules:
        ours = modules["minigrad.layers"]
        if name[:2] > "01":
            out, cache = ours.affine_forward(x, w, b)
            theirs, their_cache = layers.affine_forward(x, w, b)
            np.testing.assert_array_equal(out, theirs, strict=True)
            gradients = zip(
                ours.affine_backward(dout, cache), layers.affine_backward(dout, their_cache), strict=True
            )
            for mine, other in gradients:
                np.testing.assert_array_equal(mine, other, strict=True)
            assert modules["minigrad.gradcheck"].rel_error(x, 2 * x) == gradcheck.rel_error(x, 2 * x)
        if name[:2] > "03":
            np.testing.assert_array_equal(ours.relu_forward(x)[0], layers.relu_forward(x)[0])


@pytest.mark.parametrize("name", VIEWS)
def test_what_is_not_graded_stays_as_it_is(name: str, views: dict[str, Path]):
    library = {path.relative_to(ROOT).as_posix() for path in (ROOT / "minigrad").rglob("*.py")}
    changed = {file for file in library if (ROOT / file).read_bytes() != (views[name] / file).read_bytes()}
    homes = {function.rpartition(".")[0].replace(".", "/") + ".py" for function in stubs_of(name)}
    assert homes <= changed
    assert not any(file.startswith("minigrad/labs") or file.endswith("plots.py") for file in changed)
    assert changed or name in ("04_x", "99_x")
    assert (views[name] / "minigrad/py.typed").is_file()


@pytest.mark.parametrize("name", VIEWS)
def test_stubs_keep_signature_and_what_goes_in_and_out(name: str, views: dict[str, Path]):
    for full in stubs_of(name):
        module, _, function = full.rpartition(".")
        theirs = signature_and_docstring(ROOT, module, function)
        ours = signature_and_docstring(views[name], module, function)
        assert ours[0] == theirs[0]
        summary = ours[1].partition("\n\n")[0]
        assert theirs[1].startswith(summary.removesuffix("."))
        assert ": " not in summary  # after a colon may stand how it is done
        sections = re.findall(r"^(\w[\w ]*)\n-+$", ours[1], re.MULTILINE)
        assert set(sections) <= {"Parameters", "Returns"}
        for section in ("Parameters\n---", "Returns\n---"):
            assert (section in ours[1]) == (section in theirs[1])


def signature_and_docstring(root: Path, module: str, function: str) -> tuple[str, str]:
    tree = ast.parse((root / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    (node,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function)
    return ast.dump(node.args) + ast.dump(node.returns or node.args), ast.get_docstring(node) or ""


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_unused_is_left(name: str, views: dict[str, Path]):
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--no-cache",
        "--select",
        "F",
        str(views[name]),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = "\n".join(path.read_text("utf-8") for path in views[name].rglob("*.py"))
    for path in views[name].rglob("*.py"):
        private_module = path.name.startswith("_") and path.name != "__init__.py"
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (
                node.name.startswith("_") or private_module
            ):
                assert len(re.findall(rf"\b{node.name}\b", text)) > 1, f"{path.name}: {node.name}"
    for helper in ("_slope", "_moved", "_number", "_require_movable", "_relative_errors"):
        assert (f"\ndef {helper}(" in text) == (name != NAME)


def test_a_view_is_never_written_over_another(tmp_path: Path):
    view.build_view(NAME, tmp_path)
    with pytest.raises(FileExistsError):
        view.build_view("04_x", tmp_path)


@pytest.mark.parametrize("name", ["gradient_checking", "1_x", "01", "../01_x", "01_x/y", ""])
def test_an_assignment_has_a_number(name: str, tmp_path: Path):
    with pytest.raises(ValueError, match="not the name of an assignment"):
        view.build_view(name, tmp_path)


# -- the editing, on a library with everything in it that could go wrong

PART = '''
"""First paragraph.

Then the derivation: SECRET.
"""

import math
import os.path as paths
from collections.abc import (
    Callable,  # SECRET: for
    Iterator,
)
from functools import cache as remembered

from pkg._private import (
    used_by_both,
    used_by_secret,
)

from . import _private
from . import _whole as whole

Array = list  # in a signature
Gone = dict[str, int]  # SECRET
_TABLE = [1, 2]  # SECRET
"""What the SECRET table means."""
FOR_READERS = math.pi


# SECRET: above
@remembered
def graded(
    x: Array,  # SECRET
    f: Callable[[int], str] = lambda x: "(:",  # SECRET
    size: "Quoted | None" = None,
) -> Array:  # SECRET
    # SECRET
    r"""Summary with a \\\\backslash.

    More SECRET.

    Parameters
    ----------
    x : list

        After a blank line.
    Notes
    -----
    SECRET
    Returns
    -------
    out : list
    """

    # SECRET
    def inner(y):
        return _ping(y) + used_by_secret() + whole.secret() + _private.by_attribute()

    return inner(x) + paths.sep + _TABLE  # SECRET

    # SECRET


async def graded_too(x): return Gone(SECRET=x)


def _ping(y: Iterator) -> int:
    return _pong(y)  # SECRET: these two use each other


def _pong(y):
    return _ping(y)


def works():
    """Summary.

    Notes
    -----
    Stays.
    """
    return used_by_both() + _private.by_attribute_too() + _kept()
    # Stays too.


def _kept():
    return 1


class Quoted:
    """Public."""
'''
PRIVATE = '''
"""Helpers."""

import sys
import json


def used_by_secret():
    return sys.path  # SECRET


def used_by_both():
    return json.dumps(1)


def by_attribute():
    return "SECRET"


def by_attribute_too():
    return 2
'''
EDITED = '''
"""First paragraph."""

import math
from collections.abc import Callable

from pkg._private import used_by_both

from . import _private

Array = list  # in a signature
FOR_READERS = math.pi


def graded(
    x: Array,
    f: Callable[[int], str] = lambda x: "(:",
    size: "Quoted | None" = None,
) -> Array:
    r"""Summary with a \\\\backslash.

    Parameters
    ----------
    x : list

        After a blank line.

    Returns
    -------
    out : list
    """
    raise NotImplementedError("graded is yours to write, in assignment 05_x")


async def graded_too(x):
    raise NotImplementedError("graded_too is yours to write, in assignment 06_x")


def works():
    """Summary.

    Notes
    -----
    Stays.
    """
    return used_by_both() + _private.by_attribute_too() + _kept()
    # Stays too.


def _kept():
    return 1


class Quoted:
    """Public."""
'''


@pytest.fixture
def awkward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "pkg"
    root.mkdir()
    files = {
        "__init__.py": 'from pkg.part import graded, works\n\n__all__ = ["graded"]\n__all__ += ["works"]\n',
        "part.py": PART.lstrip(),
        "_private.py": PRIVATE.lstrip(),
        "_whole.py": '"""One."""\n\n\ndef secret():\n    return "SECRET"\n',
        "part.py~": PART,
        ".part.py.swp": PART,
        "data.csv": "1,2\n",
    }
    for name, text in files.items():
        (root / name).write_text(text, "utf-8")
    monkeypatch.setattr(view, "minigrad", types.SimpleNamespace(__file__=str(root / "__init__.py")))
    monkeypatch.setattr(view, "GRADED_IN", {"pkg.part.graded": "05_x", "pkg.part.graded_too": "06_x"})
    return root


def test_editing_leaves_nothing_and_spares_the_rest(awkward: Path):
    files = view.view_files("05_x")
    assert set(files) == {
        f"pkg/{name}" for name in ("__init__.py", "part.py", "_private.py", "_whole.py", "data.csv")
    }
    assert files["pkg/part.py"].decode() == EDITED.lstrip()
    assert files["pkg/__init__.py"] == (awkward / "__init__.py").read_bytes()
    assert files["pkg/_whole.py"].decode() == '"""One."""\n'
    private = ast.parse(files["pkg/_private.py"])
    assert [getattr(node, "name", "") for node in private.body[2:]] == ["used_by_both", "by_attribute_too"]
    assert not any(b"SECRET" in content for content in files.values())


def test_editing_takes_one_function_at_a_time(awkward: Path):
    part = view.view_files("06_x")["pkg/part.py"].decode()
    assert "return inner(x)" in part
    assert 'raise NotImplementedError("graded_too' in part
    assert "Gone" not in part


def test_editing_changes_nothing_where_all_is_earlier(awkward: Path):
    assert view.view_files("07_x")["pkg/part.py"].decode() == PART.lstrip()


# -- no answer is there: the text


def assert_no_telltale(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        for telltale in ANSWERS:
            assert telltale.encode() not in content, f"{name} holds {telltale!r}"
        if name.endswith(".ipynb") or name.startswith("minigrad/"):
            for telltale in UNRELEASED:
                assert telltale.encode() not in content, f"{name} holds {telltale!r}"


def files_below(root: Path) -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in root.rglob("*")
        if p.suffix in (".py", ".typed")
    }


def test_no_text_of_an_answer_is_in_the_view(views: dict[str, Path]):
    files = files_below(views[NAME])
    assert len(files) > 10
    assert_no_telltale(files)


def test_no_text_of_an_answer_is_in_the_bundle(course: Path):
    assert_no_telltale(bundle.bundle_files(course, NAME))


def test_the_texts_looked_for_are_those_of_the_answers():
    library = b"".join(files_below(ROOT / "minigrad").values()).decode()
    assert [telltale for telltale in ANSWERS if telltale not in library] == [
        "max(1e-8, abs"
    ]  # np.maximum there
    for telltale in ANSWERS[:3]:
        with pytest.raises(AssertionError, match="holds"):
            assert_no_telltale({"x.py": f"a = {telltale}".encode()})


# -- no answer is there: the functions


@dataclasses.dataclass
class Trial:
    """Arguments for which a graded function returns something that nothing else returns by accident."""

    name: str
    args: Callable[[], tuple]
    expected: list[np.ndarray]


def cubic(x: np.ndarray) -> float:
    return float((np.array([1.7, -0.6, 2.3, 0.9])[: x.size].reshape(x.shape) * x**3).sum())


def pair_trials(name: str) -> Iterator[Trial]:
    """Forward with drawn arguments, backward with each plausible cache."""
    pair, rng = PAIRS[name], np.random.default_rng(3)
    case = CASES[pair.name]
    shapes = hypothesis.find(
        case.shapes(3),
        lambda shapes: all(min(shape, default=0) > 1 for shape in shapes.values()),  # nothing is trivial
        settings=hypothesis.settings(database=None),
    )
    inputs, params = case.inputs(rng, shapes), case.other_arguments(rng, shapes)

    def arguments() -> tuple:
        return case.arrange(inputs, copy.deepcopy(params))

    forward, backward = (f"{half.__module__}.{half.__name__}" for half in (pair.forward, pair.backward))
    *outs, cache = pair.forward(*arguments())
    yield Trial(forward, arguments, outs)
    douts = [rng.normal(size=out.shape) for out in outs]
    gradients = pair.backward(*douts, cache)
    gradients = list(gradients) if isinstance(gradients, tuple) else [gradients]
    for rest in ((cache,), (inputs,), inputs, *((each,) for each in inputs)):
        yield Trial(backward, lambda rest=rest: (*douts, *rest), gradients)


def parameter_gradient_trials() -> Iterator[Trial]:
    """What affine_backward returns, without the gradient for x."""
    for trial in pair_trials("affine"):
        if trial.name.endswith("affine_backward"):
            name = "minigrad.layers.affine.affine_parameter_gradients"
            yield dataclasses.replace(trial, name=name, expected=trial.expected[1:])


def loss_trials() -> Iterator[Trial]:
    """The gradient, and the loss, of a batch that has both."""
    for name, case in LOSSES.items():
        arguments = tuple(case.arguments(np.random.default_rng(5), 3).values())
        function = getattr(losses, f"{name}_loss")
        loss, gradient = function(*arguments)
        yield Trial(_full_name(function), lambda given=arguments: given, [np.array(loss), gradient])


def gradcheck_trials() -> Iterator[Trial]:
    """A large step, so that the formula shows; arrays of unlike entries, so that the scale does."""
    h, rng = 0.1, np.random.default_rng(4)
    x, one = rng.normal(size=(2, 2)), np.array([1.3])
    a = rng.normal(size=(3, 4)) * 10.0 ** rng.integers(-12, 3, (3, 4))
    b = a * rng.uniform(0.5, 2.0, (3, 4))
    slopes = gradcheck.numerical_gradient(cubic, x.copy(), h)
    of_one = gradcheck.numerical_gradient(cubic, one.copy(), h)
    yield Trial("numerical_gradient", lambda: (cubic, x.copy(), h), [slopes])
    yield Trial("numerical_gradient", lambda: (cubic, x.copy(), (0, 1), h), [slopes[0, 1]])
    yield Trial("eval_numerical_gradient", lambda: (cubic, x.copy(), False, h), [slopes])
    yield Trial("measure_gradients", lambda: (lambda p: cubic(p["x"]), {"x": x.copy()}, h), [slopes])
    df = rng.normal(size=x.shape)
    through = gradcheck.numerical_gradient_array(lambda v: v**3, x.copy(), df, h)
    for name in ("numerical_gradient_array", "eval_numerical_gradient_array"):
        yield Trial(name, lambda: (lambda v: v**3, x.copy(), df, h), [through])
    yield Trial("grad_check_sparse", lambda: (cubic, one.copy(), 2 * of_one, 1, h), [of_one])
    yield Trial("relative_error", lambda: (a, b), [np.array(gradcheck.relative_error(a, b))])
    yield Trial("rel_error", lambda: (a, b), [np.array(gradcheck.rel_error(a, b))])
    params = {"x": x, "one": one}

    def loss(params: dict) -> float:
        return cubic(params["x"]) + cubic(params["one"])

    def check_arguments() -> tuple:
        copies = {name: array.copy() for name, array in params.items()}
        return loss, copies, {"x": 1.5 * slopes, "one": 0.9 * of_one}, np.random.default_rng(5)

    report = gradcheck.gradient_check(*check_arguments())
    yield Trial("gradient_check", check_arguments, [np.array(each.error) for each in report.tensors])


def gradient_repair_trials() -> Iterator[Trial]:
    """What decides how large weights and gradients are: numbers without a pattern, so that each answer is its own."""
    rng = np.random.default_rng(6)
    grads = {"a": rng.normal(size=(2, 3)), "b": rng.normal(size=4)}
    config = {"scale": 2.6, "backoff": 0.7, "interval": 3, "growth": 1.9, "good_steps": 2}
    shape = (3, 4)
    drawn = {
        initializers.xavier_init: (3, 4, 1.3),
        initializers.xavier_normal: (shape, 1.3),
        initializers.xavier_uniform: (shape, 1.3),
        initializers.he_init: (3, 4),
        initializers.he_normal: (shape, 0.3),
        initializers.he_uniform: (shape, 0.3),
    }
    for function, given in drawn.items():
        place = list(inspect.signature(function).parameters).index("rng")

        def arguments(given: tuple = given, place: int = place) -> tuple:
            return *given[:place], np.random.default_rng(7), *given[place:]

        yield Trial(_full_name(function), arguments, [function(*arguments())])
    yield Trial("minigrad.gains.gain", lambda: ("leaky_relu", 0.3), [np.array(gain("leaky_relu", 0.3))])
    for clip, limit in ((clipping.clip_grad_norm, 0.9), (clipping.clip_grad_value, 0.1)):
        clipped, _ = clip(grads, limit)
        yield Trial(_full_name(clip), lambda limit=limit: (grads, limit), list(clipped.values()))
    steps = {"a": np.where(np.arange(400) < 137, 1.0, np.inf)}
    yield Trial(_full_name(anomaly.first_nonfinite), lambda: (steps, {}), [np.array(137.0)])
    scaled = loss_scaling.scale_gradient(grads["a"], dict(config))
    yield Trial("minigrad.loss_scaling.scale_gradient", lambda: (grads["a"], dict(config)), [scaled])
    unscaled, _ = loss_scaling.unscale_gradients(grads, dict(config))
    yield Trial(
        "minigrad.loss_scaling.unscale_gradients", lambda: (grads, dict(config)), list(unscaled.values())
    )
    for overflow in (True, False):
        scale = loss_scaling.update_scale(overflow, dict(config))["scale"]
        yield Trial(
            "minigrad.loss_scaling.update_scale",
            lambda overflow=overflow: (overflow, dict(config)),
            [np.array(scale)],
        )


def activity_trials() -> Iterator[Trial]:
    out = np.random.default_rng(8).uniform(size=(7, 3))
    share = activity.saturated_fraction(out, 0.0, 1.0, 0.2)
    yield Trial(_full_name(activity.saturated_fraction), lambda: (out, 0.0, 1.0, 0.2), [np.array(share)])
    layers = {"a": np.where(np.arange(40) % 3, 0.0, out[0, 0]) * np.ones((2, 1)), "b": out}
    dead = activity.count_dead_relus(layers)
    yield Trial(_full_name(activity.count_dead_relus), lambda: (layers,), [np.array(dead["a"], dtype=float)])
    ratio = monitor.update_ratio(out, 0.7 * out**2)
    yield Trial(_full_name(monitor.update_ratio), lambda: (out, 0.7 * out**2), [np.array(ratio)])

    def deep() -> tuple:
        return 3, 0.4, np.random.default_rng(9), 5, 6

    norms = diagnosis.check_gradient_flow(*deep())
    yield Trial(_full_name(diagnosis.check_gradient_flow), deep, [norms])


def _full_name(function: Callable) -> str:
    return f"{function.__module__}.{function.__name__}"


def all_trials() -> list[Trial]:
    trials = [dataclasses.replace(t, name=_full_name(getattr(gradcheck, t.name))) for t in gradcheck_trials()]
    trials += [trial for name in PAIRS for trial in pair_trials(name)]
    return [
        *trials,
        *parameter_gradient_trials(),
        *loss_trials(),
        *gradient_repair_trials(),
        *activity_trials(),
    ]


def callables(modules: dict[str, types.ModuleType]) -> dict[str, Callable]:
    """Functions, classes and methods of these modules, by full name."""
    found = {}
    for module in modules.values():
        for value in vars(module).values():
            members = [value, *vars(value).values()] if isinstance(value, type) else [value]
            for member in members:
                if callable(member) and getattr(member, "__module__", "") in modules:
                    found[f"{member.__module__}.{member.__qualname__}"] = member
    return found


def numbers_in(value: Any, depth: int = 0) -> Iterator[np.ndarray]:
    """All the arrays and numbers that a result is made of."""
    if (
        isinstance(value, np.ndarray | np.generic | float | int | complex)
        and np.asarray(value).dtype.kind in "biufc"
    ):
        array = np.asarray(value)
        yield array
        if array.size > 1 and array.dtype.kind == "f":
            yield array.max()  # the elements of a relative error give it away too
    elif depth < 5:
        if isinstance(value, dict):
            value = list(value.values())
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = list(vars(value).values())
        if isinstance(value, tuple | list):
            for item in value:
                yield from numbers_in(item, depth + 1)


def outputs(function: Callable, args: tuple) -> list[tuple[np.ndarray, float]]:
    """What a call returned and printed, each with its precision; nothing if it cannot be called so."""
    try:
        inspect.signature(function).bind(*args)
    except (TypeError, ValueError):
        return []
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # made an error, a warning would hide what is returned
        try:
            value = function(*args)
        except Exception:
            value = None
    found = [(array, 1e-6) for array in numbers_in(value)]
    return found + [
        (np.array(float(text)), 1e-5) for text in re.findall(r"-?\d+\.\d+(?:e[-+]\d+)?", printed.getvalue())
    ]


def matches(array: np.ndarray, expected: np.ndarray, rtol: float) -> bool:
    same_size = array.size == np.size(expected) > 0
    return same_size and bool(np.allclose(array.ravel(), np.ravel(expected), rtol=rtol, atol=0))


def answers_in(modules: dict[str, types.ModuleType], names: set[str]) -> set[tuple[str, str]]:
    """Pairs of a graded function and a callable that returns what it returns."""
    found = set()
    everything = callables(modules)
    for trial in (trial for trial in all_trials() if trial.name in names):
        given = list(numbers_in(trial.args()))
        wanted = [e for e in trial.expected if not any(matches(g, e, 1e-6) for g in given)]
        assert wanted, trial.name
        for label, function in everything.items():
            seen = outputs(function, copy.deepcopy(trial.args()))  # some helpers work in place
            if any(matches(array, each, rtol) for array, rtol in seen for each in wanted):
                found.add((trial.name, label))
    return found


def test_nothing_in_a_view_does_what_a_graded_function_does(views: dict[str, Path]):
    for name in (NAME, "03_x"):
        with package_at(views[name]) as modules:
            assert len(callables(modules)) > 40
            assert answers_in(modules, stubs_of(name)) == set()


def test_the_search_finds_every_graded_function_and_its_helpers_in_the_library():
    with package_at(ROOT) as modules:
        found = answers_in(modules, set(GRADED_IN))
    assert {(name, name) for name in GRADED_IN} <= found
    assert ("minigrad.gradcheck.numerical.numerical_gradient", "minigrad.gradcheck.numerical._slope") in found
    assert (
        "minigrad.gradcheck.numerical.relative_error",
        "minigrad.gradcheck.numerical._relative_errors",
    ) in found


def test_the_search_finds_an_answer_under_another_name(tmp_path: Path):
    root = view.build_view(NAME, tmp_path)
    with (root / "minigrad/plots.py").open("a", encoding="utf-8") as file:
        file.write(
            "\n\ndef helper(rows, matrix, offset):\n"
            "    return rows.reshape(len(rows), -1).dot(matrix) + offset\n"
        )
    with package_at(root) as modules:
        found = answers_in(modules, stubs_of(NAME))
    assert found == {("minigrad.layers.affine.affine_forward", "minigrad.plots.helper")}


# -- the bundle


def exercises_up_to(assignment: str) -> set[str]:
    """Names of the exercises that are handed out with an assignment: its own, and those of the ones before."""
    return {name for group, those in exercises.assignments().items() if group <= assignment for name in those}


def test_a_bundle_holds_what_is_needed_and_no_more(course: Path, tmp_path: Path):
    with zipfile.ZipFile(bundle.build_bundle(course, NAME, tmp_path / "new")) as archive:
        names = archive.namelist()
    assert names == sorted(names)
    tops = {name.split("/", 2)[1] for name in names if name.startswith(f"{NAME}/")}
    assert tops == {f"{NAME}.ipynb", "README.md", "pyproject.toml", "minigrad", "autograder"}
    assert len([name for name in names if not name.startswith(f"{NAME}/")]) == 0
    ours = {name.removeprefix(f"{NAME}/autograder/") for name in names if "/autograder/" in name}
    sheets = {f"exercises/sheets/{name}.sheet" for name in exercises_up_to(NAME)}
    assert ours == set(bundle.STUDENT_FILES) | sheets
    there = {name.removeprefix(f"{NAME}/") for name in names if "/minigrad/" in name}
    assert there == set(view.view_files(NAME))


def test_a_bundle_built_again_is_the_same(course: Path, tmp_path: Path):
    first, second = (bundle.build_bundle(course, NAME, tmp_path / where).read_bytes() for where in "ab")
    exercises.visible_sheet.cache_clear()
    third = bundle.build_bundle(course, NAME, tmp_path / "a").read_bytes()
    assert first == second == third
    assert [path.name for path in (tmp_path / "a").iterdir()] == [f"{NAME}.zip"]


def test_a_bundle_has_the_sheets_up_to_its_own(monkeypatch: pytest.MonkeyPatch):
    groups = {"02_x": {"b": None}, NAME: {"a": None}, "03_x": {"c": None}}
    monkeypatch.setattr(bundle, "assignments", lambda: groups)
    monkeypatch.setattr(bundle, "visible_sheet", lambda name: types.SimpleNamespace(to_bytes=name.encode))
    assert bundle._sheets("02_y") == {"a": b"a", "b": b"b"}


def test_the_included_modules_import_only_each_other():
    package = ROOT / "autograder"
    for name in bundle.STUDENT_FILES:
        folder = "autograder" + ".exercises" * name.startswith("exercises/")
        for node in ast.walk(ast.parse((package / name).read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), folder)
                for full in [base] if node.module else [f"{base}.{alias.name}" for alias in node.names]:
                    path = "/".join(full.split(".")[1:])
                    assert {f"{path}.py", f"{path}/__init__.py"} & set(bundle.STUDENT_FILES), (
                        f"{name} imports {full}"
                    )


def test_a_bundle_asks_for_what_the_student_extra_asks_for(course: Path):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    wanted = setup["options"]["install_requires"] + setup["options.extras_require"]["student"]
    project = tomllib.loads(bundle.bundle_files(course, NAME)["pyproject.toml"].decode())
    assert sorted(project["project"]["dependencies"]) == sorted(wanted.split())
    assert project["project"]["version"] == setup["metadata"]["version"]
    assert project["project"]["requires-python"] == setup["options"]["python_requires"]
    assert project["project"]["scripts"] == {"minigrad": "autograder.student:app"}
    assert project["tool"]["setuptools"]["package-data"]["minigrad"] == [
        *sorted(p.relative_to(ROOT / "minigrad").as_posix() for p in (ROOT / "minigrad/data").rglob("*.*")),
        "py.typed",
    ]


def test_hidden_cases_are_not_in_a_bundle(unpacked: Path):
    sheets = {path.stem: path.read_bytes() for path in unpacked.rglob("*.sheet")}
    assert set(sheets) == exercises_up_to(NAME)
    some = 0
    for name, data in sheets.items():
        sheet, full = Sheet.from_bytes(data), exercises.full_sheet(name, 2**40 + 1)
        visible = [case for case in full.cases if not case.hidden]
        hidden = [case for case in full.cases if case.hidden]
        assert [case.label for case in sheet.cases] == [case.label for case in visible]
        assert not any(case.hidden for case in sheet.cases)
        for case in hidden:
            some += 1
            assert case.label.encode() not in data or case.label in {case.label for case in visible}
            expected = [each.value for each in case.expect.values() if isinstance(each, Close)]
            given = [arg for step in case.steps if isinstance(step, Call) for arg in step.args]
            for array in (
                v for v in expected + given if isinstance(v, np.ndarray) and v.size > 2 and v.any()
            ):
                assert array.tobytes() not in data
    assert some > 10
    assert any(
        case.expect["out"].value.tobytes() in sheets["affine_forward"]
        for case in visible_cases("affine_forward")
    )


def visible_cases(name: str) -> tuple:
    return exercises.visible_sheet(name).cases


def test_what_was_not_released_is_not_bundled(course: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="release 02_x first"):
        bundle.build_bundle(course, "02_x", tmp_path)
    with pytest.raises(ValueError, match="not the name"):
        bundle.build_bundle(course, "../x", tmp_path)
    for secret in ("### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS"):
        notebook = tmp_path / "assignments" / NAME / f"{NAME}.ipynb"
        notebook.parent.mkdir(parents=True, exist_ok=True)
        notebook.write_text(json.dumps({"cells": [{"source": [secret]}]}))
        with pytest.raises(ValueError, match="not a released notebook"):
            bundle.build_bundle(tmp_path, NAME, tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_a_check_works_where_only_the_bundle_is(unpacked: Path):
    script = """
import json, sys
from pathlib import Path
import numpy as np
from autograder import check
from minigrad.layers import affine_forward

def summary(report):
    return [report.score, report.points, [f.misconception for f in report.findings], report.text()]

said = {"stub": summary(check("affine_forward"))}

def affine_forward(x, w, b):
    return np.einsum("nd,dm->nm", x.reshape(x.shape[0], -1), w) + b, (x, w)

def affine_backward(dout, cache):
    x, w = cache
    dx = np.einsum("nm,dm->nd", dout, w).reshape(x.shape)
    return dx, np.einsum("nd,nm->dm", x.reshape(x.shape[0], -1), dout), dout

said["forward"] = summary(check("affine_forward"))
said["backward"] = summary(check("affine_backward"))
try:
    check("affine_sideways")
except KeyError as error:
    said["unknown"] = error.args[0]
here = Path.cwd().resolve()
ours = [m for n, m in sys.modules.items() if n.partition(".")[0] in ("minigrad", "autograder")]
assert all(Path(m.__file__).resolve().is_relative_to(here) for m in ours)
print(json.dumps(said))
"""
    said = json.loads(run_alone(unpacked, script))
    score, points, _, text = said["stub"]
    assert (score, points) == (0, 3)
    assert "not written yet" in text
    score, points, mistakes, _ = said["forward"]
    assert score == points == 3
    assert mistakes == [None, None]
    score, points, mistakes, text = said["backward"]
    assert 0 < score < points == 5
    assert "db_not_summed" in mistakes
    assert "Your db has a row for each example." in text
    assert "affine_forward" in said["unknown"]


def test_the_command_of_a_student_imports_where_only_the_bundle_is(unpacked: Path):
    script = "import autograder.student; print(type(autograder.student.app).__name__)"
    assert run_alone(unpacked, script).strip() == "Typer"
