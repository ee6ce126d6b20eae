"""The lab of assignment 01, and the runs and the suspects that its notebook looks at."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad.labs import bumps, gradient_checking
from minigrad.labs.suspects import KINDS, SUSPECTS


def numerical_gradient(f, x, h=1e-5):
    """Stand in for the student's."""
    grad = np.zeros_like(x)
    for position in np.ndindex(x.shape):
        original = x[position]
        x[position] = original + h
        above = f(x)
        x[position] = original - h
        below = f(x)
        x[position] = original
        grad[position] = (above - below) / (2 * h)
    return grad


def relative_error(a, b):
    a, b = np.asarray(a), np.asarray(b)
    scale = np.maximum(np.abs(a), np.abs(b))
    return float(np.max(np.abs(a - b) / np.where(scale == 0, 1.0, scale)))


FUNCTIONS = {"numerical_gradient": numerical_gradient, "relative_error": relative_error}


def simulate(w=1.5, log10_h=-5.0, **functions):
    return gradient_checking.simulate({"w": w, "log10_h": log10_h}, {**FUNCTIONS, **functions})


class TestSimulate:
    def test_values(self):
        result = simulate(w=2.0, log10_h=-3.0)
        assert result["analytic"] == 14.0
        assert result["one_sided"] == pytest.approx(14.0 + 6e-3 + 1e-6, rel=1e-9)
        assert result["centred"] == pytest.approx(14.0 + 1e-6, rel=1e-9)

    def test_result_is_plain_data(self):
        for name, value in simulate().items():
            assert isinstance(value, float | np.ndarray), name
            assert np.all(np.isfinite(value)), name

    @pytest.mark.parametrize(("name", "order"), [("one_sided", 1.0), ("centred", 2.0)])
    def test_slopes(self, name, order):
        result = simulate()
        truncating = (result["steps"] > 9e-5) & (result["steps"] < 2e-2)
        errors = result[f"errors_{name}"][truncating]
        slope = np.polyfit(np.log(result["steps"][truncating]), np.log(errors), 1)[0]
        assert slope == pytest.approx(order, abs=0.05)

    def test_best_steps(self):
        result = simulate()
        assert 1e-9 < result["steps"][np.argmin(result["errors_one_sided"])] < 1e-7
        assert 5e-7 < result["steps"][np.argmin(result["errors_centred"])] < 1e-4

    def test_at_zero_both_have_order_two_and_no_round_off(self):
        result = simulate(w=0.0)
        np.testing.assert_allclose(result["errors_one_sided"], result["errors_centred"], atol=1e-15)
        assert np.all(result["errors_centred"][result["steps"] < 1e-9] < 1e-15)

    def test_runs_the_functions_it_is_given(self):
        result = simulate(numerical_gradient=lambda f, x, h: np.full(x.shape, 7.0))
        assert result["centred"] == 7.0
        assert np.all(result["errors_centred"] == pytest.approx(0.2))

    @pytest.mark.parametrize(
        ("name", "function"),
        [
            ("numerical_gradient", lambda f, x, h: None),
            ("numerical_gradient", lambda f, x, h: 1.0),
            ("relative_error", lambda a, b: None),
            ("relative_error", lambda a, b: np.abs(a - b)),
        ],
    )
    def test_says_which_function_returned_something_else(self, name, function):
        with pytest.raises(ValueError, match=name):
            simulate(**{name: function})


class TestDraw:
    def test_marks_the_current_step(self):
        figure = Figure()
        gradient_checking.draw(simulate(log10_h=-7.0), figure)
        assert any(np.allclose(line.get_xdata(), -7.0) for line in figure.axes[0].lines)

    def test_describes_in_words(self):
        text = gradient_checking.describe(simulate())
        assert "w = 1.5" in text
        assert "8.750045" in text


class TestBumps:
    def test_the_wrong_run_looks_healthy(self):
        losses = bumps.train("A")["losses"]
        assert losses[0] > 9 * losses[-1]
        assert np.all(np.diff(losses) < 0)

    def test_the_right_run_ends_far_lower(self):
        wrong = [bumps.train("A", seed=seed)["losses"][-1] for seed in range(6)]
        right = [bumps.train("B", seed=seed)["losses"][-1] for seed in range(6)]
        assert min(wrong) > 3 * max(right)

    @pytest.mark.parametrize("version", ["A", "B"])
    def test_gradients(self, version):
        params = bumps.start()
        grads = bumps.gradients(params, version)
        errors = {
            k: relative_error(grads[k], numerical_gradient(lambda _: bumps.loss(params), params[k]))
            for k in params
        }
        assert {name for name, error in errors.items() if error > 1e-7} == (
            {"centres"} if version == "A" else set()
        )
        assert version == "B" or errors["centres"] > 1

    def test_unknown_version(self):
        with pytest.raises(ValueError, match="'A' or 'B'"):
            bumps.gradients(bumps.start(), "C")


def measure(suspect, x, dout, h=1e-5):
    return numerical_gradient(lambda v: float(np.sum(dout * suspect.forward(v))), x, h)


def interrogate(name, seed, h=1e-5):
    suspect, rng = SUSPECTS[name], np.random.default_rng(seed)
    x = suspect.example(rng)
    dout = rng.standard_normal(np.shape(suspect.forward(x)))
    return x, dout, suspect.backward(dout, x), measure(suspect, x, dout, h)


@pytest.mark.parametrize("seed", range(10))
class TestSuspects:
    @pytest.mark.parametrize("name", SUSPECTS)
    def test_shapes_and_purity(self, name, seed):
        suspect, rng = SUSPECTS[name], np.random.default_rng(seed)
        x = suspect.example(rng)
        dout = rng.standard_normal(np.shape(suspect.forward(x)))
        before = x.copy(), np.copy(dout)
        assert suspect.backward(dout, x).shape == x.shape
        np.testing.assert_array_equal(x, before[0])
        np.testing.assert_array_equal(dout, before[1])

    def test_a_knows_one_row_only(self, seed):
        suspect = SUSPECTS["A"]
        x, _, analytic, measured = interrogate("A", seed)
        assert relative_error(analytic, measured) > 1e-2
        rows = np.shape(suspect.forward(x))[0]
        lit = []
        for row in range(rows):
            dout = np.zeros((rows, x.size))
            dout[row] = 1.0
            lit.append(relative_error(suspect.backward(dout, x), measure(suspect, x, dout)) < 1e-7)
        assert lit == [True, False, False, False]

    def test_b_looks_wrong_until_h_is_smaller(self, seed):
        _, _, analytic, measured = interrogate("B", seed)
        assert relative_error(analytic, measured) > 0.5
        _, _, analytic, measured = interrogate("B", seed, h=1e-7)
        assert relative_error(analytic, measured) < 1e-6

    @pytest.mark.parametrize("h", [1e-3, 1e-4, 1e-5, 1e-6])
    def test_c_is_a_little_wrong_at_every_step(self, seed, h):
        x, dout, analytic, measured = interrogate("C", seed, h)
        assert 1e-4 < relative_error(analytic, measured) < 3e-4
        np.testing.assert_allclose((measured - analytic) / (x * dout), 1e-4, rtol=0.05)

    def test_d_is_right(self, seed):
        _, _, analytic, measured = interrogate("D", seed)
        assert relative_error(analytic, measured) < 1e-8

    def test_e_is_off_by_the_number_of_elements(self, seed):
        x, _, analytic, measured = interrogate("E", seed)
        np.testing.assert_allclose(analytic / measured, x.size, rtol=1e-7)


def test_kinds_can_all_be_answers():
    assert set(KINDS) == {"right", "wrong sign", "missing 1/N", "not summed", "missing term"}
