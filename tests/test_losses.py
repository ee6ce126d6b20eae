"""Every loss keeps the contract, as the pairs do; and what is true of single ones."""

import copy
import inspect
import math
from typing import Any

import numpy as np
import pytest
from cases.losses import LOSSES, LossCase
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import losses
from minigrad.losses import (
    bce_with_logits_loss,
    clipped_delta_loss,
    huber_loss,
    mse_loss,
    softmax_loss,
    svm_loss,
    td_loss,
    temporal_softmax_loss,
)

FUNCTIONS = {
    name.removesuffix("_loss"): value
    for name, value in vars(losses).items()
    if name.endswith("_loss") and inspect.isfunction(value)
}


def test_every_loss_has_a_case_and_every_case_a_loss():
    assert set(FUNCTIONS) == set(LOSSES)
    assert "softmax" in FUNCTIONS


# ------------------------------------------------------------------------------
# The contract: each check takes a loss, its case, and arguments, of which the first has the gradient
# ------------------------------------------------------------------------------


def assert_close(actual: Any, expected: Any, tolerance: float = 1e-7) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    scale = max(np.max(abs(actual), initial=0), np.max(abs(expected), initial=0))
    assert np.all(abs(actual - expected) <= tolerance * scale)


def loss_is_the_slow_loop(name: str, case: LossCase, args: list) -> None:
    loss, _ = FUNCTIONS[name](*args)
    assert np.ndim(loss) == 0
    assert_close(loss, case.slow(*args))


def gradient_is_the_slope(name: str, case: LossCase, args: list) -> None:
    x, *others = args
    _, dx = FUNCTIONS[name](*args)
    slopes = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        plus, minus = x.astype(complex if case.analytic else float), x.copy()
        if case.analytic:
            plus[index] += 1e-20j
            slopes[index] = FUNCTIONS[name](plus, *others)[0].imag / 1e-20
        else:
            plus[index] += 1e-5
            minus[index] -= 1e-5
            slopes[index] = (case.slow(plus, *others) - case.slow(minus, *others)) / 2e-5
    noise = 0 if case.analytic else 1e-10  # of a difference, where the gradient is zero
    assert_close(np.where(abs(slopes - dx) <= noise, dx, slopes), dx, 1e-9 if case.analytic else 1e-7)


def nothing_is_written_to(name: str, case: LossCase, args: list) -> None:
    before = copy.deepcopy(args)
    for arg in args:
        if isinstance(arg, np.ndarray):
            arg.flags.writeable = False
    _, dx = FUNCTIONS[name](*args)
    dx[...] = 7
    np.testing.assert_equal(args, before)


def float32_stays_float32(name: str, case: LossCase, args: list) -> None:
    """Also where the others are wider: labels are whole numbers, and rewards often float64."""

    def converted(args: list, dtype: type) -> list:
        return [
            arg.astype(dtype) if isinstance(arg, np.ndarray) and arg.dtype.kind == "f" else arg
            for arg in args
        ]

    small = converted(args, np.float32)
    wide = converted(small, np.float64)
    expected = FUNCTIONS[name](*wide)
    for given_args in (small, [small[0], *wide[1:]]):
        loss, dx = FUNCTIONS[name](*given_args)
        assert dx.dtype == loss.dtype == np.float32
        assert_close(loss, expected[0], 1e-4)
        assert_close(dx, expected[1], 1e-4)


def integers_are_taken_as_float64(name: str, case: LossCase, args: list) -> None:
    whole = np.rint(3 * args[0]).astype(int)
    loss, dx = FUNCTIONS[name](whole, *args[1:])
    assert dx.dtype == loss.dtype == np.float64
    np.testing.assert_array_equal(dx, FUNCTIONS[name](whole.astype(float), *args[1:])[1])


def layout_and_lists_do_not_matter(name: str, case: LossCase, args: list) -> None:
    def strided(arg: Any) -> Any:
        if not isinstance(arg, np.ndarray):
            return arg
        larger = np.zeros([2 * side for side in arg.shape], arg.dtype, order="F")
        view = larger[tuple(slice(None, None, -2) for _ in arg.shape)]
        view[...] = arg
        return view

    loss, dx = FUNCTIONS[name](*args)
    for other in (
        [strided(arg) for arg in args],
        [getattr(arg, "tolist", lambda arg=arg: arg)() for arg in args],
    ):
        other_loss, other_dx = FUNCTIONS[name](*other)
        assert_close(other_loss, loss)
        assert_close(other_dx, dx)


def the_mean_of_a_batch_twice_is_the_same(name: str, case: LossCase, args: list) -> None:
    """So the 1/N is there: twice the examples, the same loss, half the gradient for each."""
    twice = [np.concatenate([arg, arg]) if isinstance(arg, np.ndarray) else arg for arg in args]
    (loss, dx), (other_loss, other_dx) = FUNCTIONS[name](*args), FUNCTIONS[name](*twice)
    assert_close(other_loss, loss)
    assert_close(other_dx, np.concatenate([dx, dx]) / 2)


def pytorch_says_the_same(name: str, case: LossCase, args: list) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    tensors = [torch.tensor(arg) if isinstance(arg, np.ndarray) else arg for arg in args]
    tensors[0].requires_grad_()
    theirs = case.torch(*tensors)
    theirs.backward()
    loss, dx = FUNCTIONS[name](*args)
    assert_close(loss, theirs.item())
    assert_close(dx, tensors[0].grad.numpy())


CHECKS = [
    loss_is_the_slow_loop,
    gradient_is_the_slope,
    nothing_is_written_to,
    float32_stays_float32,
    integers_are_taken_as_float64,
    layout_and_lists_do_not_matter,
    the_mean_of_a_batch_twice_is_the_same,
    pytorch_says_the_same,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_contract(name: str, check: Any):
    case = LOSSES[name]

    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(n=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
    def over_many_batches(n: int, seed: int) -> None:
        check(name, case, list(case.arguments(np.random.default_rng(seed), n).values()))

    over_many_batches()


@pytest.mark.parametrize(
    ("name", "argument", "instead"),
    [(name, *row) for name, case in LOSSES.items() for row in case.impossible],
)
def test_impossible_arguments_are_refused_in_words(name: str, argument: str, instead: dict[str, Any]):
    arguments = {**LOSSES[name].arguments(np.random.default_rng(0), 3), **instead}
    with pytest.raises(ValueError) as caught:
        FUNCTIONS[name](**arguments)
    message = str(caught.value)
    assert message.startswith(f"{name}_loss: {argument} ")
    if " has shape " in message:
        assert f"{argument} has shape {np.shape(arguments[argument])}" in message


@pytest.mark.parametrize("broken", ["no 1/N", "sign", "in place", "float64"])
def test_the_checks_notice(broken: str, monkeypatch: pytest.MonkeyPatch):
    def wrong(x, target):
        loss, dx = mse_loss(x, target)
        match broken:
            case "no 1/N":
                return loss * np.size(x), dx * np.size(x)
            case "sign":
                return loss, -dx
            case "in place":
                x -= target
        return np.float64(loss), dx

    monkeypatch.setitem(FUNCTIONS, "mse", wrong)
    check = {
        "no 1/N": the_mean_of_a_batch_twice_is_the_same,
        "sign": gradient_is_the_slope,
        "in place": nothing_is_written_to,
        "float64": float32_stays_float32,
    }[broken]
    with pytest.raises((AssertionError, ValueError)):
        test_contract("mse", check)


# ------------------------------------------------------------------------------
# What is true of one loss only
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e3, 1e4, 1e30])
def test_losses_of_logits_are_finite(size: float, dtype: type):
    x = np.array([[size, -size], [-size, size]], dtype)
    for loss, dx in (
        softmax_loss(x, [1, 1]),
        bce_with_logits_loss(x, [[0, 1], [1, 0]]),
        temporal_softmax_loss(x[None], [[1, 1]], [[1, 1]]),
        svm_loss(x, [1, 1]),
    ):
        assert np.isfinite(loss)
        assert np.isfinite(dx).all()
    loss, dx = softmax_loss(x, [1, 1])
    np.testing.assert_allclose(loss, size, rtol=1e-6)  # sure and wrong: 2 size; sure and right: 0
    np.testing.assert_array_equal(dx, [[0.5, -0.5], [0, 0]])


def test_softmax_does_not_see_a_shift():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)
    loss, dx = softmax_loss(x, y)
    shifted_loss, shifted_dx = softmax_loss(x + rng.normal(0, 50, (5, 1)), y)
    np.testing.assert_allclose(shifted_loss, loss)
    np.testing.assert_allclose(shifted_dx, dx, atol=1e-14)
    np.testing.assert_allclose(dx.sum(axis=1), 0, atol=1e-15)


def test_softmax_of_a_hopeless_label_keeps_its_digits():
    """Where the probability is 1e-400, which is no number, the loss is still known."""
    loss, _ = softmax_loss(np.array([[0.0, 921.0]]), [0])
    assert loss == 921


def test_temporal_softmax_of_one_step_is_softmax():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((5, 1, 4)), rng.integers(0, 4, (5, 1))
    loss, dx = temporal_softmax_loss(x, y, np.ones((5, 1)))
    plain_loss, plain_dx = softmax_loss(x[:, 0], y[:, 0])
    np.testing.assert_allclose(loss, plain_loss)
    np.testing.assert_allclose(dx[:, 0], plain_dx)


def test_temporal_softmax_where_nothing_counts():
    loss, dx = temporal_softmax_loss(np.ones((2, 3, 4)), np.zeros((2, 3), int), np.zeros((2, 3)))
    assert loss == 0
    assert not dx.any()


def test_temporal_softmax_prints_when_asked(capsys: pytest.CaptureFixture):
    temporal_softmax_loss(np.ones((2, 3, 4)), np.zeros((2, 3), int), np.ones((2, 3)))
    assert capsys.readouterr().out == ""
    temporal_softmax_loss(np.ones((2, 3, 4)), np.zeros((2, 3), int), np.ones((2, 3)), verbose=True)
    assert "(2, 3, 4)" in capsys.readouterr().out


def test_svm_is_satisfied_with_a_margin_of_one():
    loss, dx = svm_loss(np.array([[2.0, 1.0, -3.0]]), [0])
    assert loss == 0
    assert not dx.any()


def test_bce_keeps_the_digits_of_a_small_probability():
    loss, dx = bce_with_logits_loss(np.array([-40.0]), [0])
    np.testing.assert_allclose([loss, *dx], math.exp(-40))


def test_huber_is_the_squared_error_near_the_target():
    x, target = np.array([0.3, -0.2]), np.zeros(2)
    (loss, dx), (squared, dsquared) = huber_loss(x, target), mse_loss(x, target)
    np.testing.assert_allclose(2 * loss, squared)
    np.testing.assert_allclose(2 * dx, dsquared)


@pytest.mark.parametrize("error", [0.5, 0.999, 1.001, 1e3, 1e12])
def test_an_outlier_pulls_with_huber_and_not_with_the_clipped_delta(error: float):
    _, dx = huber_loss(np.array([error]), [0.0])
    assert dx == min(error, 1)
    _, dx = clipped_delta_loss(np.array([error]), [0.0])
    assert dx == (error if error <= 1 else 0)


def test_td_takes_the_target_as_given():
    """The gradient for q is that of a fixed target, even where q and next_q are one array."""
    q = np.array([[0.0, 3.0], [1.0, 0.0]])
    loss, dq = td_loss(q, [0, 1], [0.1, 0.2], q, [False, False])
    other_loss, other_dq = td_loss(q, [0, 1], [0.1, 0.2], q.copy(), [False, False])
    assert loss == other_loss
    np.testing.assert_array_equal(dq, other_dq)
    assert dq[0, 1] == dq[1, 0] == 0


@pytest.mark.parametrize("after", [np.nan, np.inf, 1e300])
def test_td_does_not_look_beyond_the_end(after: float):
    loss, dq = td_loss(np.zeros((1, 2)), [0], [0.5], np.full((1, 2), after), [True])
    assert loss == 0.125
    np.testing.assert_array_equal(dq, [[-0.5, 0]])


def test_td_has_defaults():
    args = (np.ones((1, 2)), [0], [5.0], np.ones((1, 2)), [False])
    assert td_loss(*args) == (
        pytest.approx(td_loss(*args, gamma=0.99, delta=1.0)[0]),
        pytest.approx(td_loss(*args)[1]),
    )


def test_td_hands_picked_values_targets_and_delta_to_the_loss_that_it_is_given():
    seen: list[Any] = []

    def loss(prediction, target, delta):
        seen.append((prediction.tolist(), target.tolist(), delta))
        return 7.0, np.array([0.5, -0.25])

    q, next_q = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[8.0, 6.0], [5.0, 5.0]])
    value, dq = td_loss(q, [1, 0], [0.5, 0.25], next_q, [False, True], gamma=0.5, delta=3.0, loss=loss)
    assert seen == [([2.0, 3.0], [4.5, 0.25], 3.0)]
    assert value == 7.0
    assert dq.tolist() == [[0.0, 0.5], [-0.25, 0.0]]


# ------------------------------------------------------------------------------
# CS231n's own checks
# ------------------------------------------------------------------------------


def test_cs231n_small_random_scores():
    rng = np.random.default_rng(231)
    x, y = 0.001 * rng.standard_normal((50, 10)), rng.integers(0, 10, 50)
    assert softmax_loss(x, y)[0] == pytest.approx(2.3, abs=0.01)
    assert svm_loss(x, y)[0] == pytest.approx(9, abs=0.01)


@pytest.mark.parametrize(
    ("N", "T", "V", "p", "low", "high"),
    [(100, 1, 10, 1.0, 2.29, 2.32), (100, 10, 10, 1.0, 22.9, 23.2), (5000, 10, 10, 0.1, 2.2, 2.4)],
)
def test_cs231n_temporal_softmax(N: int, T: int, V: int, p: float, low: float, high: float):
    rng = np.random.default_rng(231)
    x, y = 0.001 * rng.standard_normal((N, T, V)), rng.integers(V, size=(N, T))
    loss, _ = temporal_softmax_loss(x, y, rng.random((N, T)) <= p)
    assert low < loss < high
