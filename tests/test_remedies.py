"""Remedies: data that a student hands in, trained on the side that judges it."""

import dataclasses
import types
from collections import OrderedDict, defaultdict

import numpy as np
import pytest

from autograder.checking import check_sheet
from autograder.exercise import Between, Case, Exercise, Fetch, Ref, Train
from autograder.session import LocalSession
from autograder.sheet import Sheet, compile_sheet
from minigrad import experiments
from minigrad.experiments import Number, Option


def _run(settings, functions, rng):
    out, _ = functions["sigmoid_forward"](np.zeros(3))
    grows = {"slow": 0.1, "fast": 0.5}[settings["pace"]]
    noise = rng.uniform(-0.01, 0.01)
    return {"height": settings["gain"] * grows * float(out[0]) + noise, "curve": np.arange(3.0)}


PLANT = types.SimpleNamespace(
    SETTINGS={
        "gain": Number(1.0, 0.5, 10.0, "how much"),
        "pace": Option("slow", ("slow", "fast"), "how soon"),
    },
    REQUIRES=("sigmoid_forward",),
    run=_run,
)

EXERCISE = Exercise(
    name="remedy_plant",
    title="Remedy",
    points=4,
    grades=("remedy",),
    reference={"remedy": {"gain": 8.0}},
    visible=lambda rng: iter(
        [
            Case(
                "5 runs",
                [Fetch("remedy"), Train("plant", Ref("remedy"), ("height",), (1, 2, 3, 4, 5))],
                {"height": Between(0.3, 9.0, "it grew to {value}")},
            )
        ]
    ),
    labels={"height": "it grows"},
    pure=False,
)


@pytest.fixture(autouse=True)
def plant(monkeypatch):
    monkeypatch.setattr(experiments, "find", lambda name: {"plant": PLANT}[name])
    experiments._measured.cache_clear()
    yield
    experiments._measured.cache_clear()


def verdict(**namespace):
    sheet = Sheet.from_bytes(compile_sheet(EXERCISE, 1).to_bytes())  # as the grader and a bundle have it
    report = check_sheet(LocalSession(namespace), sheet)
    (finding,) = report.findings
    return report.score, finding.outcome, finding.message


@pytest.mark.parametrize(
    "remedy",
    [
        OrderedDict(gain=8.0),
        defaultdict(int, {"gain": np.float64(8), np.str_("pace"): np.str_("slow")}),
        {"gain": 8.0},
        {"gain": 8},
        {"gain": np.float32(8)},
        {"pace": "fast", "gain": 3},
    ],
)
def test_what_heals_earns_the_points(remedy):
    assert verdict(remedy=remedy) == (4.0, "passed", "")


def test_half_a_remedy_earns_nothing_where_only_the_whole_counts(monkeypatch):
    case = Case(
        "one run",
        [Fetch("remedy"), Train("plant", Ref("remedy"), ("height",), (1,)), Fetch("other")],
        {"height": Between(0.3, 9.0), "other": Between(0.0, 1.0)},
    )
    for together, score in ((False, 2.0), (True, 0.0)):
        exercise = dataclasses.replace(
            EXERCISE, grades=("remedy", "other"), visible=lambda rng: iter([case]), together=together
        )
        report = check_sheet(
            LocalSession({"remedy": {"gain": 8.0}, "other": 5.0}), compile_sheet(exercise, 1)
        )
        assert [finding.outcome for finding in report.findings] == ["passed", "wrong"]
        assert report.score == score
    namespace = {"remedy": {"gain": 8.0}, "other": 0.5}
    assert check_sheet(LocalSession(namespace), compile_sheet(exercise, 1)).score == 4.0


def test_what_does_not_heal_is_told_what_was_measured():
    score, outcome, message = verdict(remedy={"pace": "fast"})
    assert (score, outcome) == (0.0, "wrong")
    assert message.startswith("it grew to 0.2")


@pytest.mark.parametrize(
    ("remedy", "says"),
    [
        ([8.0], "remedy should be a dict of settings and their values; yours is a list"),
        ({"gian": 8.0}, "remedy has no setting 'gian'; this run has 'gain', 'pace'"),
        ({"gain": 80.0}, "remedy sets 'gain' to 80.0; it takes a number from 0.5 to 10"),
        ({"gain": float("nan")}, "remedy sets 'gain' to nan; it takes a number from 0.5 to 10"),
        ({"gain": True}, "remedy sets 'gain' to True; it takes a number from 0.5 to 10"),
        ({"gain": "8"}, "remedy sets 'gain' to '8'; it takes a number from 0.5 to 10"),
        (
            {"gain": np.ones(3)},
            "remedy sets 'gain' to an array of shape (3,); it takes a number from 0.5 to 10",
        ),
        ({"pace": "faster"}, "remedy sets 'pace' to 'faster'; it takes one of 'slow', 'fast'"),
        (
            {"pace": np.ones(2)},
            "remedy sets 'pace' to an array of shape (2,); it takes one of 'slow', 'fast'",
        ),
        ({0: 1}, "remedy has no setting 0; this run has 'gain', 'pace'"),
        ({"gain": lambda: 8.0}, "remedy sets 'gain' to something else; it takes"),
        (np.ones(3), "remedy should be a dict of settings and their values; yours is an array of shape (3,)"),
        (np.ones(0), "remedy should be a dict of settings and their values; yours is an array of shape (0,)"),
        (lambda: 8.0, "remedy should be a dict of settings and their values"),
    ],
)
def test_what_is_no_remedy_is_told_what_one_is(remedy, says):
    score, outcome, message = verdict(remedy=remedy)
    assert (score, outcome) == (0.0, "wrong")
    assert message.startswith(says)


@pytest.mark.parametrize("namespace", [{}, {"remedy": None}, {"remedy": {}}])
def test_no_remedy_is_not_run(namespace):
    score, outcome, message = verdict(**namespace)
    assert (score, outcome) == (0.0, "not run")
    assert "remedy" in message


class TestWithoutTheLibrarysFunctions:
    """In what students are handed, the functions of this assignment are stubs: their own take the place."""

    @pytest.fixture(autouse=True)
    def stubs(self, monkeypatch):
        monkeypatch.setattr(experiments, "_in_library", lambda name: None)

    def test_the_students_function_is_run(self):
        calls = []

        def sigmoid_forward(x):
            calls.append(x)
            return np.full(3, 0.5), None

        assert verdict(remedy={"gain": 8.0}, sigmoid_forward=sigmoid_forward)[0] == 4.0
        assert len(calls) == 5

    def test_a_missing_one_is_named(self):
        assert verdict(remedy={"gain": 8.0})[1:] == (
            "not run",
            "this run needs your sigmoid_forward, which is not defined: run the cell that defines it",
        )

    def test_an_unfinished_one_is_waited_for(self):
        def sigmoid_forward(x):
            raise NotImplementedError

        score, outcome, message = verdict(remedy={"gain": 8.0}, sigmoid_forward=sigmoid_forward)
        assert (score, outcome) == (0.0, "wrong")
        assert "write them first" in message

    @pytest.mark.parametrize("error", [KeyError("k"), ValueError("v"), ZeroDivisionError("z")])
    def test_one_that_raises_is_quoted(self, error):
        def sigmoid_forward(x):
            raise error

        score, outcome, message = verdict(remedy={"gain": 8.0}, sigmoid_forward=sigmoid_forward)
        assert (score, outcome) == (0.0, "wrong")
        assert f"one of your functions in this run raised {type(error).__name__}" in message

    def test_one_that_returns_an_array_for_a_number_is_told_so(self):
        def sigmoid_forward(x):
            return np.full((3, 2), 0.5), None

        score, outcome, message = verdict(remedy={"gain": 8.0}, sigmoid_forward=sigmoid_forward)
        assert (score, outcome) == (0.0, "wrong")
        assert "one of your functions in this run raised" in message


def test_the_librarys_function_comes_before_the_students():
    def sigmoid_forward(x):
        raise AssertionError("this is not to be trusted")

    assert verdict(remedy={"gain": 8.0}, sigmoid_forward=sigmoid_forward)[0] == 4.0


def test_an_unknown_experiment_lists_those_that_there_are(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(ValueError, match="there is no experiment 'nonsense'; there are: "):
        experiments.find("nonsense")
