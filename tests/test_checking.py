"""Verdicts: all points for what is right, none for what is not, and nothing that a student returns breaks one."""

import cmath
import html.parser
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder import checking, exercises, probes, wire
from autograder.checking import check_sheet, compare
from autograder.exercise import Between, Call, Choice, Close, Ref
from autograder.exercises import (
    full_sheet,
    visible_sheet,
)
from autograder.playing import look_up, play
from autograder.report import NOT_RUN, PASSED, RAISED, TIMED_OUT, WRONG, Finding, Report
from autograder.session import LocalSession, Problem, Session
from autograder.sheet import Sheet, compile_sheet

SEEDS = (0, 1, 2**62 + 12345)
EVERY = {name: exercise for group in exercises.assignments().values() for name, exercise in group.items()}
# What to answer where an exercise has no function to be right.
ANSWERS = {
    "orders": {"order_one_sided": 1.0, "order_centred": 2.0},
    "zeros": {"zeros_float64": 0.454, "zeros_float32": 0.868},
    "gradient_flow": {"ratio_at_1": 4e-6, "saturated_at_1": 0.0, "peak_gain": 56.0},
    "measured_shares": {"dead_at_start": 0.16, "dead_after_step": 0.43, "killing_rate": 0.14},
    "measured_clip": {"clipped_value": 0.34, "huber_value": 10.0, "needed_delta": 9.4},
    "weight_gradients": {"activation_ratio": 1e-6, "weight_ratio": 1.0, "product_spread": 1e-13},
    "ensemble": {"mean_growth": 1.0, "median_growth": 0.3, "share_below_half": 0.65},
    "angles": {"angle_norm": 0.0, "angle_value": 40.0, "ratio_norm": 1.0},
    "measured_reach": {
        "factor_per_layer": 0.27,
        "largest_rate_plain": 0.2,
        "largest_rate_batchnorm": 0.8,
    },
    "measured_ratios": {
        "real": {"momentum": 0.0112, "adam": 0.0060},
        "formula": {"momentum": 0.0041, "adam": 0.00025},
    },
    "scale_window": {"lost_at_16": 0.238, "smallest_exponent": 11, "largest_exponent": 36},
    "measured_growth": {"growth_09": 2.65614e-05, "growth_10": 1.0, "growth_11": 13780.61, "peak": 8607.6},
}
MISTAKES = [(name, mistake) for name, exercise in EVERY.items() for mistake in exercise.misconceptions]


def right(name):
    return dict(EVERY[name].reference) or dict(ANSWERS[name])


def verdict(name, namespace, seed=SEEDS[0]):
    return check_sheet(LocalSession(dict(namespace)), full_sheet(name, seed))


def is_sound(report, points):
    """What is true of every report: its score, and the three ways in which it is shown."""
    assert math.isfinite(report.score)
    assert 0 <= report.score <= points
    assert float(repr(report)) == pytest.approx(report.score, abs=0.005)
    assert report.findings
    assert {finding.outcome for finding in report.findings} <= {PASSED, WRONG, RAISED, TIMED_OUT, NOT_RUN}
    for text in (report.text(), report._repr_html_()):
        text.encode()
    return True


# -- every exercise


@pytest.mark.parametrize("name", EVERY)
def test_what_is_right_gets_all_points(name):
    for seed in SEEDS:
        report = verdict(name, right(name), seed)
        assert report.score == EVERY[name].points, report.text()
        assert is_sound(report, EVERY[name].points)


@pytest.mark.parametrize("name", EVERY)
def test_an_empty_notebook_gets_nothing(name):
    report = verdict(name, {})
    assert report.score == 0
    assert {finding.outcome for finding in report.findings} == {NOT_RUN}
    assert is_sound(report, EVERY[name].points)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_written_gets_nothing(name):
    def stub(*args, **kwargs):
        raise NotImplementedError("write your code here")

    namespace = right(name) | {key: stub if callable(value) else "..." for key, value in right(name).items()}
    report = verdict(name, namespace)
    assert report.score == 0
    assert PASSED not in {finding.outcome for finding in report.findings}


def test_the_function_that_is_to_be_written_is_the_one_named():
    def backward_stages(dout, values):
        raise NotImplementedError

    def batchnorm_backward(dout, cache):
        return backward_stages(dout, cache)

    report = verdict(
        "batchnorm_backward", right("batchnorm_backward") | {"batchnorm_backward": batchnorm_backward}
    )
    messages = {finding.message for finding in report.findings if finding.outcome == NOT_RUN}
    assert "backward_stages is not written yet; batchnorm_backward calls it" in messages


@pytest.mark.parametrize(("name", "mistake"), MISTAKES, ids=[f"{name}-{m.id}" for name, m in MISTAKES])
def test_a_mistake_is_named_first_and_costs_points(name, mistake):
    for seed in SEEDS[:2]:
        with np.errstate(all="ignore"):
            report = verdict(name, right(name) | dict(mistake.functions), seed)
        assert report.score < EVERY[name].points, report.text()
        named = [finding for finding in report.findings if finding.misconception]
        assert named, report.text()
        assert (named[0].misconception, named[0].hint) == (mistake.id, mistake.hint)
        assert is_sound(report, EVERY[name].points)


@pytest.mark.parametrize("name", EVERY)
def test_points_are_those_of_the_parts(name):
    report = verdict(name, right(name))
    assert report.points == EVERY[name].points
    labels = [finding.check for finding in report.findings]
    assert len(labels) == len(set(labels))
    assert set(EVERY[name].labels.values()) <= set(labels)


# -- whatever a function returns

EXTREME = [
    0.0,
    -0.0,
    np.nan,
    np.inf,
    -np.inf,
    1.7e308,
    5e-324,
    1.5e308 + 1.5e308j,  # finite, and its absolute value is not
    complex(0, np.inf),
    complex(np.nan, 0),
    True,
    np.int64(-(2**63)),
    np.uint8(255),
    np.float16(65504),
    2**70,
    -(2**1000),
]


def like(value, fill):
    """A value of the same structure with every number replaced."""
    if isinstance(value, dict):
        return {key: like(item, fill) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(like(item, fill) for item in value)
    if isinstance(value, np.ndarray) and not isinstance(fill, int):
        return np.full(value.shape, fill)
    return fill


@pytest.mark.parametrize("fill", EXTREME, ids=repr)
@pytest.mark.parametrize("name", [name for name in EVERY if EVERY[name].reference])
def test_no_number_is_right_everywhere(name, fill):
    exercise = EVERY[name]
    wrong = {
        grade: lambda *args, f=exercise.reference[grade]: like(f(*args), fill) for grade in exercise.grades
    }
    report = verdict(name, dict(exercise.reference) | wrong)
    assert is_sound(report, exercise.points)
    assert report.score <= exercise.points / 2
    assert report.findings[0].outcome != PASSED


class Odd:
    """An object that nobody expects."""

    def __eq__(self, other):
        return True

    __hash__ = None

    def __array__(self, *args, **kwargs):
        return np.ones(3)

    def __float__(self):
        return 1.0


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(1 - 2**1023, 2**1023 - 1),
        st.floats(),
        st.complex_numbers(),
        st.text(st.characters(exclude_categories=()), max_size=5),
        st.binary(max_size=5),
        hnp.arrays(
            hnp.scalar_dtypes() | st.just(np.dtype("O")),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
            fill=st.nothing(),
        ),
        st.sampled_from(
            [Odd(), Odd, print, range(3), np.random.default_rng(1), np.float64, np.dtype("f4"), {1}]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2) | st.sampled_from(["W1", "b1", "1", "A"]), inner, max_size=3),
    ),
    max_leaves=6,
)
raised = st.sampled_from(
    [ValueError("x" * 1000), KeyError(Odd()), StopIteration(), SystemExit(1), RecursionError(), MemoryError()]
)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_junk_is_judged_and_nothing_else_happens(name, data):
    exercise = EVERY[name]
    namespace = right(name)
    for grade in exercise.grades:
        value = data.draw(st.one_of(raised, junk, st.lists(junk, min_size=3, max_size=3).map(tuple)))
        if not exercise.reference:
            namespace[grade] = value
        elif isinstance(value, BaseException):
            namespace[grade] = lambda *args, error=value: (_ for _ in ()).throw(error)
        else:
            namespace[grade] = lambda *args, value=value: value
    report = verdict(name, namespace)
    assert is_sound(report, exercise.points)
    assert report.score < exercise.points


def test_a_list_of_large_integers_and_complex_numbers_keeps_its_imaginary_part():
    expected = Close(np.array([2.0**70, 1.0]))
    assert compare([2**70, 1.0], expected, "y") is None
    assert compare([2**70, np.array(1.0 + 2.0**69 * 1j)], expected, "y") is not None


def test_an_output_that_can_be_sent_once_is_the_fault_of_who_made_it():
    """It is an argument of the next call, and the two together are too large: no reason to grade by hand."""
    room = wire.MAX_BYTES - len(wire.encode({"value": np.zeros(0, np.uint8), "after": {}})) - 20
    session = LocalSession({"first": lambda: np.zeros(room, np.uint8), "second": np.sum})
    played = play(session, [Call("first", (), ("y",)), Call("second", (Ref("y"),), ("z",))])
    assert played.function == "second"
    assert "cannot be called with what came before" in str(played.problem)


@pytest.mark.parametrize("problem", ["died", "timed out", "raised"])
@pytest.mark.parametrize("name", EVERY)
def test_a_session_that_fails_fails_once(name, problem):
    class Failing(Session):
        requests = 0

        def _exchange(self, request, seconds):
            self.requests += 1
            return Problem(problem, "ValueError", "something happened")

    session = Failing()
    report = check_sheet(session, full_sheet(name, 0))
    assert report.score == 0
    assert is_sound(report, EVERY[name].points)
    if problem != "raised":
        assert session.requests == 1


# -- what a report shows


@pytest.mark.parametrize("name", [name for name in EVERY if EVERY[name].hidden])
def test_hidden_cases_keep_their_numbers(name):
    """A function that is right in the open and wrong in secret loses the hidden points and learns nothing."""
    exercise, sheet = EVERY[name], full_sheet(name, SEEDS[2])
    calls = {"count": 0}
    visible = sum(
        isinstance(step, Call) and step.function in exercise.grades
        for case in sheet.cases
        if not case.hidden
        for step in case.steps
    )

    def two_faced(f):
        def function(*args):
            calls["count"] += 1
            value = f(*args)
            return value if calls["count"] <= visible else like(value, 123456.0)

        return function

    wrong = {grade: two_faced(exercise.reference[grade]) for grade in exercise.grades}
    report = check_sheet(LocalSession(dict(exercise.reference) | wrong), sheet)
    assert calls["count"] > visible
    assert 0 < report.score < exercise.points
    (finding,) = [finding for finding in report.findings if finding.hidden]
    assert finding.outcome == WRONG
    numbers = set()
    for case in sheet.cases:
        if case.hidden:
            values = [arg for step in case.steps for arg in step.args]
            values += [item for value in values if isinstance(value, dict) for item in value.values()]
            values += [e.value for e in case.expect.values() if isinstance(e, Close)]
            arrays = [np.ravel(value) for value in values if isinstance(value, np.ndarray | float)]
            numbers |= {f"{abs(number):.4g}" for array in arrays for number in array.tolist()}
    telling = {text for text in numbers if len(text.strip("0.").replace(".", "")) >= 4}
    assert len(telling) > 3 or name == "he_init"  # which is asked with two whole numbers and a generator
    for shown in (report.text(), report._repr_html_(), str(report.findings)):
        assert not {text for text in telling if text in shown}


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attributes):
        self.found.add(tag)
        assert {name for name, _ in attributes} <= {"style"}


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", "<img src=x onerror='alert(1)'>", "</td></table>&amp;"]
)
def test_html_is_escaped(evil):
    def f(*args):
        raise ValueError(evil)

    reports = [
        verdict("affine_forward", {"affine_forward": f}),
        verdict("quiz_01", {"quiz": {"1": evil}}),
        verdict("orders", {"order_centred": evil}),
        Report(evil, evil, 1, [Finding(evil, WRONG, evil, hint=evil)]),
    ]
    for report in reports:
        parser = Tags()
        parser.feed(report._repr_html_())
        assert parser.found == {"div", "strong", "table", "tr", "td"}
    assert evil in reports[0].text()


def test_check_looks_into_the_notebook_that_calls_it():
    namespace = right("affine_forward") | {"check": checking.check}
    exec("report = check('affine_forward')", namespace)
    assert namespace["report"].score == EVERY["affine_forward"].points
    assert not any(finding.hidden for finding in namespace["report"].findings)
    with pytest.raises(KeyError, match="affine_forward"):
        checking.check("affine_sideways")


# -- sheets


@pytest.mark.parametrize("name", EVERY)
def test_a_sheet_is_bytes_and_back(name):
    sheet = full_sheet(name, SEEDS[1])
    data = sheet.to_bytes()
    back = Sheet.from_bytes(data)
    assert back.to_bytes() == data
    assert back.version == sheet.version
    assert compile_sheet(EVERY[name], SEEDS[1] + 1, SEEDS[1]).to_bytes() == data
    namespace = right(name)
    seen = [check_sheet(LocalSession(dict(namespace)), each).findings for each in (sheet, back)]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", ["relative_error", "affine_forward"])
def test_numbers_learnt_by_heart_are_worth_nothing_to_the_grader(name):
    """The student has the visible sheet, and answers from it whatever it is asked."""
    sheet = visible_sheet(name)
    known = {wire.encode(step.args): case.expect for case in sheet.cases for step in case.steps}

    def parrot(*args):
        (answer, *_) = known.get(wire.encode(args), {"": Close(np.zeros(1))}).values()
        return answer.value if name == "relative_error" else (answer.value, None)

    by_heart = check_sheet(LocalSession({name: parrot}), sheet)
    assert by_heart.score == by_heart.points
    assert check_sheet(LocalSession({name: parrot}), full_sheet(name, SEEDS[0])).score == 0


@pytest.mark.parametrize("name", ["softmax_loss", "scale_gradient", "gelu_backward"])
def test_a_students_np_seterr_does_not_reach_the_visible_sheet(name):
    with np.errstate(all="raise"):  # to find a nan
        assert visible_sheet.__wrapped__(name).version == visible_sheet(name).version


@pytest.mark.parametrize("name", EVERY)
def test_the_visible_sheet_holds_no_hidden_case(name):
    visible, data = visible_sheet(name), visible_sheet(name).to_bytes()
    assert not any(case.hidden for case in visible.cases)
    for seed in SEEDS:
        full = full_sheet(name, seed)
        assert [case.label for case in full.cases if not case.hidden] == [
            case.label for case in visible.cases
        ]
        for case in full.cases:
            for step in case.steps if case.hidden else ():
                for argument in step.args:
                    if isinstance(argument, np.ndarray) and argument.any() and argument.size > 3:
                        assert argument.tobytes() not in data
    if EVERY[name].hidden:
        assert any(case.hidden for case in full.cases)
        assert full_sheet(name, 0).to_bytes() != full_sheet(name, 1).to_bytes()


def test_a_sheet_does_not_read_as_a_key():
    for name in ("quiz_01", "bug_hunt"):
        (answers,) = EVERY[name].reference.values()
        for case in visible_sheet(name).cases:
            for path, choice in case.expect.items():
                answer = answers[path.partition(".")[2]]
                assert choice.right == Choice.digest(choice.salt, answer)
                assert answer not in (choice.salt, choice.right, *choice.notes)
                assert list(choice.notes) == sorted(choice.notes)  # the place of the right one says nothing
                assert len(choice.notes) > 1


# -- comparing


def slowly_close(ours, expected, rtol, noise):
    """The rule, one pair at a time."""
    pairs = list(zip(ours.ravel().tolist(), expected.ravel().tolist(), strict=True))

    def size(number):
        try:
            return abs(number)
        except OverflowError:
            return math.inf

    usual = [(a, b) for a, b in pairs if math.isfinite(size(b))]
    if not all(math.isfinite(size(a)) for a, _ in usual):
        return False
    scale = max((size(x) for pair in usual for x in pair), default=0.0)
    for a, b in pairs:
        if (a, b) in usual:
            if not size(complex(a) - complex(b)) <= rtol * scale + noise:
                return False
        elif not (a == b or (cmath.isnan(a) and cmath.isnan(b))):
            return False
    return True


numbers = st.sampled_from(
    [0.0, 1.0, -1.0, 1 + 1e-8, 1 + 1e-6, 1e-9, 1e300, -1e300, np.nan, np.inf, -np.inf, 2.0]
)
both = st.one_of(numbers, st.builds(complex, numbers, numbers), st.just(1.5e308 + 1.5e308j))


@settings(max_examples=300)
@given(
    st.lists(st.tuples(both, numbers), max_size=5),
    st.sampled_from([0.0, 1e-7, 1e-4]),
    st.sampled_from([0.0, 1e-8]),
)
@example([(1.5e308 + 1.5e308j, 1.0)], 1e-7, 0.0)
@example([(np.inf, 1.0), (np.inf, np.inf)], 1e-7, 0.0)
def test_close_is_what_it_says(pairs, rtol, noise):
    ours, expected = (np.array([pair[i] for pair in pairs], dtype=complex) for i in (0, 1))
    if not any(complex(a).imag for a, _ in pairs):
        ours = ours.real
    verdict = compare(ours, Close(expected.real, rtol, noise), "dx")
    assert (verdict is None) == slowly_close(ours, expected.real, rtol, noise), verdict


@pytest.mark.parametrize(
    ("value", "expected", "passes"),
    [
        ([1, 2], np.array([1.0, 2.0]), True),
        ((1.0, 2), np.array([1.0, 2.0]), True),
        ([[1.0], [2.0]], np.array([[1.0], [2.0]]), True),
        ([np.array([1.0]), [2]], np.array([[1.0], [2.0]]), True),
        (True, np.array(True), True),
        (np.array([True, False]), np.array([True, False]), True),
        (np.array([True, True]), np.array([True, False]), False),
        (np.array([0], np.uint8), np.array([1], np.uint8), False),
        (np.array([255], np.uint8), np.array([0], np.uint8), False),
        (-(2**63), np.int64(2**63 - 1), False),
        (np.float32(0.1), 0.1, True),
        (np.float16(0.1), 0.1, False),
        (0.1 + 0j, 0.1, True),
        (0.1 + 1j, 0.1, False),
        (2**70, 2.0**70, True),
        (2**1100, 1.0, False),
        ([2**1100], np.array([1.0]), False),
        (np.array(1.0), 1.0, True),
        (np.array([1.0]), 1.0, False),
        (1.0, np.array([1.0]), False),
        (np.zeros((0, 3)), np.zeros((0, 3)), True),
        (np.zeros((3, 0)), np.zeros((0, 3)), False),
        ([], np.zeros(0), True),
        ([[1.0], [2.0, 3.0]], np.zeros((2, 2)), False),
        (None, 1.0, False),
        ("1.0", 1.0, False),
        (["1.0"], np.array([1.0]), False),
        (b"1", 1.0, False),
        ({"a": 1.0}, 1.0, False),
        ([None], np.array([1.0]), False),
        ([np.inf, 1.0], np.array([np.inf, 1.0]), True),
        ([np.inf, 7.0], np.array([np.inf, 1.0]), False),
        ([np.inf, np.inf], np.array([np.inf, 1.0]), False),
        ([-np.inf, 1.0], np.array([np.inf, 1.0]), False),
        ([np.nan, 1.0], np.array([np.nan, 1.0]), True),
        ([0.0, 1.0], np.array([np.nan, 1.0]), False),
    ],
    ids=repr,
)
def test_close_accepts_what_means_the_same(value, expected, passes):
    message = compare(value, Close(expected), "dx")
    assert (message is None) == passes
    assert message is None or "dx" in message


@pytest.mark.parametrize(
    "value", [np.inf, -np.inf, np.nan, 0.9, 2.1, 1 + 1j, "1.5", None, [1.5, 1.5], 2**1020, {}]
)
def test_between_refuses(value):
    assert compare(value, Between(1.0, 2.0), "slope") is not None


@pytest.mark.parametrize("value", [1, 1.5, np.float32(1.5), np.array([1.5]), [1.5], True, np.int8(2)])
def test_between_accepts(value):
    assert compare(value, Between(1.0, 2.0), "slope") is None


def test_a_choice_knows_its_answers():
    choice = Choice.of("why?", "b", "Right, because.", {"a": "No: think of x.", "c": "No."})
    assert compare(" B ", choice, "quiz") is None
    assert compare("a", choice, "quiz") == "No: think of x."
    assert "not one of the answers" in compare("d", choice, "quiz")
    for blank in ("", "...", " ? ", None, [], {}, "___"):
        assert compare(blank, choice, "quiz") == "not answered yet"
    for odd in ("\ud800", 7, 1.5, float("nan"), "b" * 10**6):
        assert "not one of the answers" in compare(odd, choice, "quiz")


def test_a_list_of_words_costs_no_memory():
    """Of words, numpy makes an array in which each takes as much room as the longest."""
    words = ["x" * 10**6] + ["y"] * 10_000
    tracemalloc.start()
    try:
        assert "should be an array" in compare(words, Close(1.0), "dx")
        assert "should be an array" in compare([np.zeros(10**6, bool)] * 20, Close(1.0), "dx")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10**8


@pytest.mark.parametrize("name", ["cubic", "waves"])
def test_a_probe_is_no_lever_for_memory(name):
    """It runs on our side with what a student passes, and numpy would broadcast that."""
    parameters = {"a": np.ones((2, 3)), "b": np.ones((2, 3))} if name == "cubic" else {"a": np.ones((2, 3))}
    probe = probes.build(name, parameters)
    assert math.isfinite(probe(np.ones((2, 3))))
    large = np.zeros((10**6, 1, 1), np.uint8)
    tracemalloc.start()
    try:
        for argument in (large, large[0, 0], 1.0, [[1.0] * 3] * 2, None, "x", ["x" * 10**6] + ["y"] * 1000):
            with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
                probe(argument)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10**7
    probe(np.full((2, 3), 1e300))  # warnings would be errors here


def test_a_loss_that_is_handed_out_takes_two_arrays_of_one_shape():
    probe = probes.build("quartic_loss", {})
    value, slope = probe(np.array([3.0, -1.0]), np.array([1.0, 0.0]), delta=0.5)
    assert value == 0.5 * (16 + 1) / 2
    assert slope.tolist() == [0.5 * 4 * 8 / 2, -0.5 * 4 / 2]
    column = np.zeros((1000, 1))
    for x, target in ((column, column[:, 0]), (1.0, 2.0), (column, [0.0] * 1000), (column[:0], column[:0])):
        with pytest.raises(ValueError, match="two arrays of one shape"):
            probe(x, target, 1.0)
    with pytest.raises(TypeError):
        probe(column, column, np.ones(1000))


def test_a_value_is_found_by_its_path():
    values = {"errors": {"W1": 1.0, 2: 3.0, (1, 2): 4.0}, "dx": 5.0}
    assert look_up(values, "errors.W1") == 1.0
    assert look_up(values, "errors.2") == 3.0
    assert look_up(values, "dx") == 5.0
    for path in ("dx.W1", "errors.b1", "dw"):
        with pytest.raises(KeyError):
            look_up(values, path)


def test_two_numbers_that_differ_are_written_differently():
    message = compare(np.array([2.95 + 3e-5, 1.0]), Close(np.array([2.95, 1.0])), "std")
    assert message == "worst at std[0]: yours 2.95003, expected 2.95"


@pytest.mark.parametrize(("returned", "kind"), [(None, "None"), ((1, {}), "a tuple")])
def test_a_dict_that_is_none_is_called_what_it_is(returned, kind):
    report = check_sheet(
        LocalSession({"forward_stages": lambda *args: returned}), exercises.visible_sheet("forward_stages")
    )
    assert report.findings[0].message == f"values should be a dict with an entry 'mu'; yours is {kind}"
