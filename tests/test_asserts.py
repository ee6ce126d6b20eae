"""Plain assert cells: the instructor's code, the student's functions, and a child process between them and us."""

import os
import sys
import textwrap

import nbformat
import numpy as np
import pytest

from autograder import asserts, grading
from autograder.asserts import run_asserts
from autograder.sandbox import Sandbox, SandboxError
from autograder.session import LocalSession, Problem
from autograder.view import build_view

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no child process here")


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    try:
        opened = Sandbox(build_view("01_gradient_checking", tmp_path_factory.mktemp("view")))
    except SandboxError as error:
        pytest.skip(str(error))
    with opened:
        yield opened


@pytest.fixture
def away(box):
    """A session for what would spoil this process."""
    with box.session() as opened:
        yield opened


@pytest.fixture(params=["local", "sandbox"])
def student(request):
    """A session with an empty notebook; `student.has` runs a cell of it."""
    opened = LocalSession({}) if request.param == "local" else request.getfixturevalue("box").session()

    def has(source):
        problem = opened.run(textwrap.dedent(source), "cell")
        assert problem is None, problem

    opened.has = has
    yield opened
    if request.param != "local":
        opened.close()


def grade(session, code, imports=("import numpy as np",), seconds=20.0, call_seconds=5.0):
    return run_asserts(session, textwrap.dedent(code), imports, seconds, call_seconds)


# -- what a cell says


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("assert square(3) == 9", None),
        ("assert square(3) == 9\n2.5", 2.5),
        ("score = 0\nscore += square(1)\nscore", 1.0),
        ("np.float32(0.5)", 0.5),
        ("assert square(2) == 4\nTrue", None),
        ("float('nan')", 0.0),
        ("float('inf')", 0.0),
        ("'2.5'", None),
        ("[1]", None),
        ("", None),
        ("# only words", None),
    ],
)
def test_a_cell_that_ends_well(student, code, outcome):
    student.has("def square(x): return x * x")
    result = grade(student, code)
    assert result == outcome
    assert type(result) is type(outcome)


@pytest.mark.parametrize(
    ("code", "type_", "message"),
    [
        ("assert square(3) == 8, 'three squared'", "AssertionError", "three squared"),
        ("np.testing.assert_allclose(square(2.0), 5.0)", "AssertionError", "Not equal"),
        ("square('a')", "TypeError", "sequence"),
        ("cube(3)", "NameError", "cube"),
        ("square(3, 4)", "TypeError", "argument"),
        ("this is no Python", "SyntaxError", "invalid"),
        ("own_error()", "RuntimeError", "mine"),
        ("10**400 * 1.0", "OverflowError", ""),
        ("raise ValueError('half \\ud800')", "ValueError", "half ?"),
        ("raise ValueError('x' * 10**6)", "ValueError", "xxx"),
        ("assert all(map(stops, [1, 2]))", "RuntimeError", "no more"),
        ("for a, b in zip(map(stops, [1]), [2]): assert a == b", "RuntimeError", "no more"),
        ("leaves()", "SystemExit", "0"),
    ],
)
def test_a_cell_that_does_not(student, code, type_, message):
    student.has(
        """
        def square(x): return x * x
        class Mine(Exception): pass
        def own_error(): raise Mine("mine")
        def stops(x): raise StopIteration("no more")
        def leaves(): raise SystemExit(0)
        """
    )
    result = grade(student, code)
    assert (result.kind, result.type) == ("raised", type_)
    assert message in result.message
    assert len(result.message) <= 500
    result.message.encode()
    assert getattr(student, "alive", True)


def test_variables_and_returned_functions_are_the_students(student):
    student.has(
        """
        import numpy as np
        w = np.arange(3.0)
        def make(k):
            return [lambda x: k * x]
        """
    )
    assert grade(student, "assert w.sum() == 3 and w.shape == (3,)\nf = make(3)[0]\nassert f(2) == 6") is None


# -- what a student cannot change


def test_names_of_the_test_are_not_the_students(away):
    source = """
        import numpy as np
        class Yes:
            def __getattr__(self, name): return lambda *a, **k: True
        np.testing = np.allclose = np.abs = Yes()
        len = abs = all = isinstance = sorted = lambda *a: 0
        def assert_allclose(*a, **k): pass
        def helper(x): return 0
        def f(): return 1.0
        """
    assert away.run(textwrap.dedent(source), "cell") is None
    imports = ["import numpy as np", "from numpy.testing import assert_allclose"]
    for code in (
        "assert_allclose(f(), 2.0)",
        "np.testing.assert_allclose(f(), 2.0)",
        "assert np.allclose(f(), 2.0)",
        "assert len([1, 2]) == 1",
        "assert all([False])",
        "def helper(x): return x\nassert helper(1) == 0",
        "assert abs(f() - 2) < 1e-9",
    ):
        result = grade(away, code, imports)
        assert isinstance(result, Problem), code
        assert result.type == "AssertionError"


def test_a_student_works_on_copies(student):
    student.has(
        """
        def f(x, config):
            x[...] = 0
            config["w"] = x
            return x
        """
    )
    code = """
    x = np.ones(3)
    expected = {"w": np.ones(3)}
    out = f(x, {"a": 1})
    assert (x == 1).all() and (expected["w"] == 1).all() and (out == 0).all()
    """
    assert grade(student, code) is None


def test_running_averages_come_back(student):
    student.has(
        """
        import numpy as np
        def batchnorm_forward(x, bn_param):
            mean = bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
            bn_param["running_mean"] = 0.9 * mean + 0.1 * x.mean(axis=0)
            bn_param["steps"] = bn_param.get("steps", 0) + 1
            return x - x.mean(axis=0)
        def resize(bn_param):
            bn_param["running_mean"] = np.zeros(99)
            bn_param["other"] = 1
        """
    )
    code = """
    x, bn_param = np.full((4, 2), 5.0), {"mode": "train"}
    for _ in range(2):
        batchnorm_forward(x, bn_param)
    assert np.allclose(bn_param["running_mean"], 0.95) and bn_param["steps"] == 2
    assert bn_param["mode"] == "train" and (x == 5).all()
    kept = bn_param["running_mean"].copy()
    resize(bn_param)
    assert (bn_param["running_mean"] == kept).all() and bn_param["other"] == 1
    """
    assert grade(student, code) is None


@pytest.mark.parametrize("bits", ["PCG64", "MT19937", "Philox"])
def test_a_generator_is_drawn_from(student, bits):
    student.has("def draw(rng, n): return rng.random(n)")
    code = f"""
    rng, twin = (np.random.Generator(np.random.{bits}(5)) for _ in range(2))
    assert (draw(rng, 3) == twin.random(3)).all()
    assert rng.random() == twin.random()
    """
    assert grade(student, code) is None


def test_a_numerical_gradient_works_on_a_closure(student):
    student.has(
        """
        import numpy as np
        def forward(x): return (x**2).sum()
        def numerical_gradient(f, x, h):
            out = np.zeros_like(x)
            for i in np.ndindex(x.shape):
                old = x[i]
                x[i] = old + h
                above = f(x)
                x[i] = old - h
                out[i] = (above - f(x)) / (2 * h)
                x[i] = old
            return out
        """
    )
    code = """
    x = np.arange(6.0).reshape(2, 3)
    got = numerical_gradient(lambda _: forward(x), x, 1e-3)
    assert np.allclose(got, 2 * x) and (x == np.arange(6.0).reshape(2, 3)).all()
    """
    assert grade(student, code) is None


# -- what a student's values can do to the cell


def test_a_value_that_makes_the_cell_endless_ends_the_cell(student):
    student.has("def n(): return 0.5")
    problem = grade(student, "k = n()\nwhile k != 0:\n    k = k / 1\n", seconds=0.3)
    assert problem.kind == "timed out"
    assert not getattr(student, "alive", False)


@pytest.mark.parametrize(
    "code", ["b'x' * n()", "[bytes(2**20) for _ in range(n())]", "np.ones(n())", "10 ** n()"]
)
def test_a_value_that_fills_the_memory_ends_the_cell(student, code):
    student.has("def n(): return 2**40")
    problem = grade(student, code, seconds=0.5)
    assert isinstance(problem, Problem)
    assert problem.type == "MemoryError" or problem.kind in ("died", "timed out")


def test_memory_is_bounded(student, monkeypatch):
    monkeypatch.setattr(asserts, "MEMORY", 2**26)
    student.has("def n(): return 256")
    assert (
        grade(student, "x = [bytes(2**20) for _ in range(n())]\nassert len(x) == 256").type == "MemoryError"
    )
    assert grade(student, "assert n() == 256") is None


def test_what_the_cell_does_to_its_process_is_not_done_to_ours(student):
    student.has("x = 1")
    directory, flags = os.getcwd(), np.geterr()
    code = """
    import os, sys
    os.chdir("/"); np.seterr(all="raise"); sys.modules.clear(); os.environ.clear(); builtins = None
    np.random.seed(0)
    assert x == 1
    """
    grade(student, code)
    assert (os.getcwd(), np.geterr()) == (directory, flags)
    assert "numpy" in sys.modules
    assert os.environ
    problem = grade(student, "import os\nos._exit(0)")
    assert problem.kind == "died"


def test_what_the_cell_prints_goes_nowhere(student, capfd):
    student.has(r"def f(): return '\x1b[2J' * 10_000")
    assert grade(student, "import sys\nprint(f())\nsys.stderr.write(f())\nassert f()") is None
    assert capfd.readouterr() == ("", "")


def test_a_student_who_ends_the_process_is_seen_from_here(away):
    assert away.run("import os\ndef f(): os._exit(0)\n", "cell") is None
    assert grade(away, "f()").type == "RuntimeError"
    assert not away.alive


def test_a_cell_that_catches_the_end_of_the_process_does_not_hide_it(away):
    assert away.run("import os\ndef f(): os._exit(0)\n", "cell") is None
    assert grade(away, "try:\n    f()\nexcept RuntimeError:\n    pass\n1.0") == 1.0
    assert not away.alive


def test_no_child_and_no_descriptor_is_left(student):
    student.has("def f(): return 1")
    grade(student, "assert f() == 1")
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    grade(student, "assert f() == 1")
    grade(student, "while True: pass", seconds=0.1)
    assert zombie() is None
    if before:
        assert len(os.listdir("/proc/self/fd")) <= len(before)


def zombie():
    """A child that has ended and was not waited for, if there is one."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None


# -- in a notebook


def assignment(check, hidden_from_students=None, setup="import numpy as np"):
    marks = {
        "grade": True,
        "solution": False,
        "locked": True,
        "points": 4,
        "grade_id": "test_f",
        "schema_version": 3,
        "task": False,
        "cell_type": "code",
    }
    solution = marks | {"grade": False, "solution": True, "locked": False, "grade_id": "f"}
    cells = [
        nbformat.v4.new_code_cell(setup, metadata={"tags": ["setup"]}, id="setup"),
        nbformat.v4.new_code_cell("# your code", metadata={"nbgrader": solution}, id="f"),
        nbformat.v4.new_code_cell(textwrap.dedent(check), metadata={"nbgrader": marks}, id="test_f"),
    ]
    released = {} if hidden_from_students is None else {"test_f": hidden_from_students}
    return grading.Assignment("99_plain", nbformat.v4.new_notebook(cells=cells), None, released)


def graded(given, solution):
    submitted = nbformat.from_dict(given.source)
    submitted.cells[1].source = textwrap.dedent(solution)
    result, notebook = grading.grade_notebook(submitted, "s", given, lambda: LocalSession({}))
    return result.as_row()["exercises"][0], notebook


def test_points_of_a_cell():
    check = "assert f(2) == 4\nassert f(3) == 9\n"
    assert graded(assignment(check), "def f(x): return x * x")[0]["score"] == 4
    row, _ = graded(assignment(check), "def f(x): return 2 * x")
    assert (row["score"], row["findings"][0]["outcome"]) == (0, "wrong")
    assert graded(assignment(check), "def f(x): return x / 0")[0]["findings"][0]["outcome"] == "raised"


@pytest.mark.parametrize(("value", "score"), [(0, 0), (1, 1), (2.5, 2.5), (4, 4), (400, 4), (-3, 0)])
def test_partial_credit_stays_within_the_points(value, score):
    row, notebook = graded(assignment(f"float({value})"), "")
    assert row["score"] == score
    assert float(notebook.cells[2].outputs[0].data["text/plain"]) == score


def test_hidden_tests_are_not_told():
    check = """
    assert f(1) == 1, "visible"
    ### BEGIN HIDDEN TESTS
    assert f(31337) == 42, f"secret {f(31337)}"
    ### END HIDDEN TESTS
    """
    given = assignment(check, hidden_from_students='assert f(1) == 1, "visible"')
    for solution in (
        "def f(x): return x",
        "def f(x): return 1 if x == 1 else 1 / 0",
        "def f(x): raise ValueError(x)",
    ):
        row, notebook = graded(given, solution)
        assert row["score"] == 0
        shown = str(row) + str(notebook.cells[2].outputs)
        assert "31337" not in shown
        assert "secret" not in shown
        assert "42" not in shown


def test_imports_are_those_of_given_cells_however_they_are_written():
    setup = """\
%matplotlib inline
import numpy as np, os.path
from numpy.testing import (
    assert_allclose,
    assert_array_equal as same,
)
from minigrad.layers import affine_forward
from autograder import check
if True:
    import json
"""
    given = assignment("assert_allclose(f(1), 2)", setup=setup)
    given.source.cells[1].source = "import antigravity"
    given.source.cells[1].metadata.tags = ["solution"]
    assert given.imports() == [
        "import numpy as np, os.path",
        "from numpy.testing import assert_allclose, assert_array_equal as same",
    ]
    given.source.cells[1].source = "# your code"
    cheat = "def assert_allclose(*a, **k): pass\ndef f(x): return x"
    assert graded(given, cheat)[0]["findings"][0]["outcome"] == "wrong"


def test_limits_are_those_that_are_written_down():
    assert asserts.SECONDS <= grading.TOTAL_SECONDS
