"""Dicts that a graded function may write to: what it leaves in them is an output, and a mode must stay."""

import numpy as np
import pytest

from autograder.checking import check_sheet
from autograder.exercise import Call, Case, Exercise, Ref
from autograder.report import PASSED, WRONG
from autograder.session import LocalSession
from autograder.sheet import Sheet, compile_sheet


def count(x, param):
    """The reference: adds up what it sees."""
    if param["mode"] == "train":
        param["total"] = param.get("total", np.zeros(2)) + x
    return 2 * x, None


def _cases(rng):
    x, y = rng.normal(size=2), rng.normal(size=2)
    yield Case("once", [Call("count", (x, {"mode": "train"}), ("out", "cache"), writes={1: "param"})])
    yield Case(
        "twice",
        [
            Call("count", (x, {"mode": "train"}), ("first", "cache"), writes={1: "between"}),
            Call("count", (y, Ref("between")), ("out", "cache"), writes={1: "param"}),
        ],
        ignore=("first", "between", "cache"),
    )
    yield Case(
        "not in training",
        [Call("count", (x, {"mode": "test", "total": y}), ("out", "cache"), writes={1: "after"})],
    )


EXERCISE = Exercise(
    name="count", title="", points=4, grades=("count",), reference={"count": count}, visible=_cases
)


def verdict(function):
    sheet = Sheet.from_bytes(compile_sheet(EXERCISE, 1).to_bytes())
    return check_sheet(LocalSession({"count": function}), sheet)


def findings(function):
    return {each.check: each for each in verdict(function).findings}


def in_place(x, param):
    if param["mode"] == "train":
        param.setdefault("total", np.zeros(2))
        param["total"] += x
        param["calls"] = param.get("calls", 0) + 1  # its own, and may change
    return 2 * x, None


@pytest.mark.parametrize("function", [count, in_place])
def test_replacing_and_writing_are_both_right(function):
    report = verdict(function)
    assert report.score == 4, report.text()
    assert [each.check for each in report.findings] == [
        "out is right",
        "param.total is right",
        "after.total is right",
        "the arguments are left as they were",
    ]


def test_what_is_not_written_is_missed():
    found = findings(lambda x, param: (2 * x, None))["param.total is right"]
    assert (found.outcome, found.message) == (WRONG, "param has no entry 'total'")


def test_what_should_stay_and_does_not_is_seen():
    def always(x, param):
        param["total"] = param.get("total", np.zeros(2)) + x
        return 2 * x, None

    found = findings(always)
    assert found["param.total is right"].outcome == PASSED
    assert found["after.total is right"].outcome == WRONG


def switch(param):
    param["mode"] = "test"


def remove(param):
    del param["mode"]


def turn_into_an_array(param):
    param["mode"] = np.zeros(3)


@pytest.mark.parametrize("spoil", [switch, remove, turn_into_an_array])
def test_a_mode_must_stay(spoil):
    def spoiled(x, param):
        result = count(x, param)
        spoil(param)
        return result

    found = findings(spoiled)["the arguments are left as they were"]
    assert found.outcome == WRONG
    assert "param was changed by count" in found.message


def test_what_cannot_be_sent_is_no_entry():
    def odd(x, param):
        result = count(x, param)
        param["self"] = odd
        return result

    report = verdict(odd)
    assert report.score < 4
    assert "has no entry" in report.text()


def test_a_key_that_is_no_text_breaks_nothing():
    def odd(x, param):
        result = count(x, param)
        param[1] = param[None] = 1.0
        return result

    assert verdict(odd).score == 4
