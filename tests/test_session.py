"""One contract for every session: in this process, and behind each wall that can be had here."""

import textwrap

import numpy as np
import pytest

from autograder import sandbox, session, wire
from autograder.sandbox import LEVELS, Sandbox, SandboxError
from autograder.session import Handle, LocalSession, Problem
from autograder.view import build_view


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory):
    """A sandbox for a level, started when it is first asked for."""
    view = build_view("01_gradient_checking", tmp_path_factory.mktemp("view"))
    started = {}

    def get(level):
        if level not in started:
            try:
                started[level] = Sandbox(view, level)
            except SandboxError as error:
                started[level] = error
        if isinstance(started[level], SandboxError):
            pytest.skip(str(started[level]))
        return started[level]

    yield get
    for box in started.values():
        if isinstance(box, Sandbox):
            box.close()


@pytest.fixture(params=["local", *LEVELS])
def student(request, sandboxes):
    """A session with an empty notebook, and `student.has(source)` to run a cell that must go well."""
    opened = LocalSession({}) if request.param == "local" else sandboxes(request.param).session()

    def has(source):
        problem = opened.run(textwrap.dedent(source), "cell")
        assert problem is None, problem

    opened.has = has
    yield opened
    if request.param != "local":
        opened.close()


@pytest.fixture
def remote(student):
    if isinstance(student, LocalSession):
        pytest.skip("there is no process to end")
    return student


def give(reply):
    assert reply.problem is None, reply.problem
    return reply.value


# -- values

VALUES = [
    None,
    True,
    -(2**200),
    0.1,
    float("inf"),
    1 + 2j,
    "text \ud800 \x00",
    b"\xff\x00",
    slice(1, None, -1),
    {"a": {(1, 2): ()}, 3: b""},
    (1.5, ["x", (None,)]),
    np.arange(6.0).reshape(2, 3).T,
    np.array(3, np.int8),
    np.float32(0.1),
    np.zeros((0, 4), np.complex64),
    np.array([True, False]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_go_there_and_back(student, value):
    student.has(
        """
        def boxed(value, *, again):
            return {"value": value, "again": again}
        given = {"x": 1.0}
        """
    )
    expected = {"value": value, "again": value}
    assert wire.encode(give(student.call("boxed", (value,), {"again": value}))) == wire.encode(expected)
    assert give(student.get("given")) == {"x": 1.0}


def test_what_comes_back_in_a_sequence_is_a_tuple(student):
    student.has(
        """
        from collections import namedtuple
        Pair = namedtuple("Pair", "out cache")
        def named(): return Pair(1.0, 2.0)
        def listed(): return [1.0, [2.0]]
        """
    )
    assert give(student.call("named", ())) == (1.0, 2.0)
    assert give(student.call("listed", ())) == (1.0, [2.0])


def test_a_student_works_on_copies_and_each_change_is_told(student):
    student.has(
        """
        import numpy as np
        def vandal(a, b, c, d, rng, n):
            a[0] = 7
            c["w"][...] = -1
            c["new"] = 2.0
            d.append(3)
            rng.random(5)
            n += 1
            return a, b
        """
    )
    a, b = np.zeros(3), np.ones(2)
    c, d, rng = {"w": np.ones(2)}, [1], np.random.default_rng(3)
    before = [x.copy() if isinstance(x, np.ndarray) else wire.encode(x) for x in (a, b, c, d, rng)]
    reply = student.call("vandal", (a, b, c, d, rng, 1.0))
    now = [x if isinstance(x, np.ndarray) else wire.encode(x) for x in (a, b, c, d, rng)]
    assert all(np.array_equal(x, y) for x, y in zip(before, now, strict=True))
    assert sorted(reply.after) == [0, 2, 3, 4]
    np.testing.assert_array_equal(reply.after[0], [7, 0, 0])
    np.testing.assert_array_equal(reply.after[2]["w"], [-1, -1])
    assert reply.after[2]["new"] == 2.0
    assert reply.after[3] == [1, 3]
    rng.random(5)
    assert reply.after[4].random() == rng.random()
    value = give(reply)
    value[0][:] = 99  # and the other way round
    np.testing.assert_array_equal(reply.after[0], [7, 0, 0])


def test_changes_are_told_also_when_the_function_raises(student):
    student.has("def f(x):\n    x[0] = 5\n    raise ValueError('late')\n")
    reply = student.call("f", (np.zeros(2),))
    assert reply.problem.type == "ValueError"
    np.testing.assert_array_equal(reply.after[0], [5, 0])


# -- what can go wrong


def test_an_exception_is_told_with_its_line(student):
    problem = student.run("x = 1\n\ny = x / 0  # here\nz = 1\n", "cell")
    assert problem == Problem("raised", "ZeroDivisionError", "division by zero", 3, "y = x / 0  # here")
    assert "at line 3: y = x / 0" in str(problem)
    assert give(student.get("x")) == 1
    assert student.get("z").problem.kind == "missing"


def test_the_line_is_the_students_own(student):
    student.has("import numpy as np\ndef f(a, b):\n    return np.dot(a, b)\n")
    problem = student.call("f", (np.zeros((2, 3)), np.zeros((2, 3)))).problem
    assert (problem.kind, problem.type, problem.line) == ("raised", "ValueError", 3)
    assert problem.source == "return np.dot(a, b)"


def test_a_syntax_error_is_told(student):
    problem = student.run("def f(:\n  pass", "cell")
    assert (problem.kind, problem.type, problem.line) == ("raised", "SyntaxError", 1)


@pytest.mark.parametrize(
    ("source", "kind", "name"),
    [
        ("raise KeyError('k')", "raised", "KeyError"),
        ("raise SystemExit(3)", "raised", "SystemExit"),
        ("import sys; sys.exit()", "raised", "SystemExit"),
        ("exit()", "raised", "NameError"),  # there is no site module: nothing to call
        ("raise StopIteration", "raised", "StopIteration"),
        ("raise GeneratorExit", "raised", "GeneratorExit"),
        ("class Odd(BaseException):\n    pass\nraise Odd('x')", "raised", "Odd"),
        ("class Mute(Exception):\n    def __str__(self): raise self\nraise Mute", "raised", "Mute"),
        ("raise ValueError('half \\ud800 of a pair')", "raised", "ValueError"),
        ("raise ValueError('long ' * 10**6)", "raised", "ValueError"),
        ("def f(): f()\nf()", "raised", "RecursionError"),
        ("import autograd_of_mine", "raised", "ModuleNotFoundError"),
    ],
)
def test_whatever_is_raised_is_told_and_the_session_goes_on(student, source, kind, name):
    if source == "exit()" and isinstance(student, LocalSession):
        pytest.skip("here it is IPython's, or Python's own")
    problem = student.run(source, "cell")
    assert (problem.kind, problem.type) == (kind, name)
    assert len(problem.message) <= 500
    str(problem).encode()  # can be written to a file and to a database
    student.has("x = 1")


def test_missing_names_and_things_that_are_no_functions(student):
    student.has("x = 3.0")
    assert student.call("f", ()).problem == Problem("missing", "NameError", "f is not defined")
    assert student.get("f").problem.kind == "missing"
    problem = student.call("x", ()).problem
    assert (problem.kind, problem.message) == ("missing", "x is a float, not a function")


@pytest.mark.parametrize(
    "returns", ["deep(10**4)", "'a' * 10**8", "dict.fromkeys(range(10**4))", "[0] * 10**6"]
)
def test_a_result_that_cannot_be_sent_is_a_problem(student, returns):
    student.has(
        f"""
        def deep(n):
            value = 0
            for _ in range(n):
                value = [value]
            return value
        def f():
            return {returns}
        """
    )
    problem = student.call("f", ()).problem
    assert problem.kind == "raised"
    assert "cannot be checked" in problem.message
    student.has("x = 1")


def test_time_up_keeps_what_was_defined_before(student):
    problem = student.run("x = 1\nwhile True:\n    pass", "cell", seconds=0.05)
    assert problem.kind == "timed out"
    assert give(student.get("x")) == 1
    student.has("def f():\n    while True: pass")
    assert student.call("f", (), seconds=0.05).problem.kind == "timed out"
    assert give(student.get("x")) == 1


DEAF = {
    "it catches everything": """
        import time
        while True:
            try: time.sleep(60)
            except BaseException: pass
        """,
    "it never returns from C": "sum(iter(int, 1))",
}


@pytest.mark.parametrize("source", DEAF.values(), ids=DEAF)
def test_code_that_is_deaf_to_time_is_ended(remote, monkeypatch, source):
    monkeypatch.setattr(sandbox, "GRACE", 0.2)
    assert remote.run(textwrap.dedent(source), "cell", seconds=0.05).kind == "timed out"
    assert not remote.alive
    assert remote.run("x = 1", "cell").kind == "died"
    assert remote.call("f", ()).problem.kind == "died"
    assert remote.get("x").problem.kind == "died"
    remote.forget()
    remote.close()
    remote.close()


def test_code_that_swallows_the_interrupt_is_late_all_the_same(student):
    source = "import time\ntry: time.sleep(60)\nexcept BaseException: pass\nx = 1\n"
    assert student.run(source, "cell", seconds=0.05).kind == "timed out"
    assert give(student.get("x")) == 1


ENDS = {
    "os._exit": "import os; os._exit(0)",
    "abort": "import os; os.abort()",
    "segmentation fault": "import ctypes; ctypes.string_at(0)",
    "closed connection": "import os; os.close(3)",
    "endless recursion in C": (
        "import sys; sys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr([self])\nrepr(A())"
    ),
}


@pytest.mark.parametrize("source", ENDS.values(), ids=ENDS)
def test_a_process_that_ends_is_told(remote, source):
    problem = remote.run(source, "cell")
    assert problem.kind == "died"
    assert not remote.alive


def test_memory_is_bounded(remote, request):
    if "none" in request.node.name:
        pytest.skip("nothing bounds it")
    problem = remote.run("import numpy as np\nx = np.ones(2**28)", "cell")  # two gigabytes
    assert problem.type == "MemoryError"
    assert give(remote.get("np")).callable is False
    assert remote.alive


# -- callbacks

NUMERICAL = """
    import numpy as np
    def numerical_gradient(f, x, h=1e-5):
        gradient = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            old = x[index]
            x[index] = old + h
            above = f(x)
            x[index] = old - h
            below = f(x)
            x[index] = old
            gradient[index] = (above - below) / (2 * h)
        return gradient
"""


def test_a_function_that_closes_over_x_sees_it_perturbed(student):
    student.has(NUMERICAL)
    x = np.random.default_rng(0).normal(size=(2, 3))
    before = x.copy()
    reply = student.call("numerical_gradient", (lambda _: float((x**3).sum()), x), inout=(1,))
    np.testing.assert_allclose(give(reply), 3 * before**2, rtol=1e-8)
    np.testing.assert_array_equal(x, before)
    assert reply.after == {}


def test_without_inout_a_closure_sees_nothing(student):
    student.has(NUMERICAL)
    x = np.ones(2)
    reply = student.call("numerical_gradient", (lambda _: float((x**3).sum()), x))
    np.testing.assert_array_equal(give(reply), [0, 0])


def test_a_dict_of_arrays_is_perturbed_in_place_too(student):
    student.has(
        """
        def slope(loss, params, h):
            params["w"][0] += h
            above = loss(params)
            params["w"][0] -= 2 * h
            return (above - loss(params)) / (2 * h)
        """
    )
    params = {"w": np.array([2.0, 1.0]), "b": np.zeros(1)}
    seen = []

    def loss(_):
        seen.append(params["w"][0])
        return float(params["w"][0] ** 2)

    reply = student.call("slope", (loss, params, 0.5), inout=(1,))
    assert give(reply) == 4.0
    assert seen == [2.5, 1.5]
    np.testing.assert_array_equal(params["w"], [2.0, 1.0])
    np.testing.assert_array_equal(reply.after[1]["w"], [1.5, 1.0])  # it was not put back, and that is told


def test_originals_are_restored_whatever_the_student_passes(student):
    student.has(
        """
        def f(loss, params, x):
            params["a"][0] = 9
            params["b"] = "not an array"
            x[0] = 9
            try:
                return loss(1.0)
            except Exception as error:
                return type(error).__name__
        """
    )
    params, x = {"a": np.zeros(1), "b": np.zeros(1)}, np.zeros(1)
    seen = []
    reply = student.call("f", (seen.append, params, x), inout=(1, 2))
    assert give(reply) == "ValueError"
    assert seen == []
    assert [params["a"][0], params["b"][0], x[0]] == [0, 0, 0]


def test_a_callback_that_raises_keeps_its_type(student):
    student.has(
        """
        def f(g):
            caught = []
            for kind in ("ValueError", "ZeroDivisionError", "KeyError"):
                try:
                    g(kind)
                except (ValueError, ZeroDivisionError, KeyError) as error:
                    caught.append((type(error).__name__, str(error)))
            g("of the grader")
        """
    )

    class OfTheGrader(Exception):
        pass

    def g(kind):
        raise {"ValueError": ValueError, "ZeroDivisionError": ZeroDivisionError, "KeyError": KeyError}.get(
            kind, OfTheGrader
        )(f"about {kind}")

    problem = student.call("f", (g,)).problem
    assert (problem.type, problem.message) == ("RuntimeError", "about of the grader")
    assert problem.line == 9


def test_a_callback_may_be_given_anything(student):
    student.has(
        """
        def f(g):
            class Odd: pass
            return [g(argument) for argument in (Odd(), f, print, {1}, [Odd()], g)] + [g(*range(9), key=f)]
        """
    )
    seen = []

    def g(*args, **kwargs):
        seen.append((args, kwargs))
        return len(seen)

    assert give(student.call("f", (g,))) == (1, 2, 3, 4, 5, 6, 7)
    odd, own, builtin, group, listed, proxy, many = seen
    assert [type(args[0]) for args, _ in (odd, own, builtin, group, proxy)] == [Handle] * 5
    assert [args[0].callable for args, _ in (odd, own, builtin, group, proxy)] == [
        False,
        True,
        True,
        False,
        True,
    ]
    assert type(listed[0][0][0]) is Handle
    assert many[0] == tuple(range(9))
    assert many[1]["key"].callable


def test_a_callback_may_call_another_function_of_the_student(student):
    student.has("def outer(g, x):\n    return g(x) + 1\ndef inner(x):\n    return x * 10\n")
    reply = student.call("outer", (lambda x: give(student.call("inner", (x,))), 4.0))
    assert give(reply) == 41.0


def test_the_arrays_of_an_outer_call_are_not_those_of_an_inner_one(student):
    student.has(
        """
        def outer(g, x):
            x[0] = 1
            g(x)
            x[0] = 3
            return g(x)
        def inner(g, y):
            y[0] = 2
            return g(y)
        """
    )
    x, y, seen = np.zeros(1), np.zeros(1), []

    def in_outer(_):
        seen.append((x[0], y[0]))
        give(student.call("inner", (in_inner, y), inout=(1,)))
        seen.append((x[0], y[0]))

    def in_inner(_):
        seen.append((x[0], y[0]))

    give(student.call("outer", (in_outer, x), inout=(1,)))
    assert seen == [(1, 0), (1, 2), (1, 0), (3, 0), (3, 2), (3, 0)]
    assert (x[0], y[0]) == (0, 0)


def test_callbacks_are_bounded_in_number_and_depth(student, monkeypatch):
    monkeypatch.setattr(session, "MAX_CALLBACKS", 20)
    student.has(
        """
        def often(g, n):
            return sum(g() for _ in range(n))
        def deeper(g, n):
            return g(n + 1)
        """
    )
    assert give(student.call("often", (lambda: 1, 20))) == 20
    assert "too often" in student.call("often", (lambda: 1, 21)).problem.message
    assert give(student.call("often", (lambda: 1, 20))) == 20  # each call counts for itself
    depths = []

    def down(n):
        depths.append(n)
        reply = student.call("deeper", (down, n))
        if reply.problem:
            raise RuntimeError(reply.problem.message)
        return reply.value

    problem = student.call("deeper", (down, 0)).problem
    assert problem.kind == "raised"
    assert "too often" in problem.message
    assert max(depths) <= session.MAX_CALLBACK_DEPTH
    student.has("x = 1")


def test_a_callback_gives_what_can_be_sent_and_no_more(student):
    student.has("def f(g):\n    return g()\n")
    problem = student.call("f", (lambda: {1, 2},)).problem
    assert (problem.kind, problem.type) == ("raised", "RuntimeError")
    assert "cannot be given" in problem.message


# -- objects that stay

OBJECTS = """
    class Cache:
        def __init__(self, x): self.x = x
    def forward(x):
        return x + 1, Cache(x)
    def backward(dout, cache):
        return dout * cache.x
    def closure(x):
        return x + 1, lambda dout: dout * x
    def same(a, b):
        return a is b
"""


def test_a_cache_may_be_any_object(student):
    student.has(OBJECTS)
    out, cache = give(student.call("forward", (3.0,)))
    assert out == 4.0
    assert cache == Handle(cache.number, callable=False)
    assert give(student.call("backward", (10.0, cache))) == 30.0
    assert give(student.call("same", (cache, cache))) is True


def test_a_function_that_was_returned_can_be_called(student):
    student.has(OBJECTS)
    _, back = give(student.call("closure", (3.0,)))
    assert back.callable
    assert give(student.call(back, (10.0,))) == 30.0
    assert student.call(give(student.call("forward", (1.0,)))[1], ()).problem.kind == "missing"


def test_what_is_kept_stays_even_where_it_could_be_sent(student):
    student.has(OBJECTS + "    def both(x):\n        return x, [x]\n")
    out, cache = give(student.call("both", (np.ones(2),), keep=(1,)))
    np.testing.assert_array_equal(out, [1, 1])
    assert isinstance(cache, Handle)
    assert give(student.call("same", (cache, cache))) is True


def test_forget_frees_what_was_kept(student):
    student.has(
        """
        gone = []
        class Cache:
            def __del__(self): gone.append(1)
        def f(): return Cache()
        """
    )
    assert isinstance(give(student.call("f", ())), Handle)
    assert give(student.get("gone")) == []
    student.forget()
    assert give(student.get("gone")) == [1]


def test_a_function_is_not_sent_in_place_of_a_value(student):
    student.has("def f(): return f, {'f': f}\n")
    value = give(student.call("f", ()))
    assert value[0].callable
    assert value[1]["f"].callable
    with pytest.raises(wire.WireError, match="cannot be given"):
        student.call("f", (object(),))
