"""What is true of single activations: their tails, their kinks, and the numbers that their docstrings quote."""

import math

import numpy as np
import pytest

from minigrad import layers
from minigrad.gradcheck import eval_numerical_gradient_array, rel_error
from minigrad.layers import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    gelu_tanh_backward,
    gelu_tanh_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    prelu_backward,
    prelu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
    tanh_backward,
    tanh_forward,
)
from minigrad.layers._arrays import where_true
from minigrad.layers._normal import upper_tail

ELEMENTWISE = "sigmoid tanh relu leaky_relu elu softplus silu gelu gelu_tanh".split()
EXTREME = [0.0, -0.0, 5e-324, -5e-324, 1.0, -1.0, 40.0, -40.0, 710.0, -710.0, 1e300, -1e300]


def slope(name: str, x: float, dtype: type = np.float64) -> float:
    _, cache = getattr(layers, f"{name}_forward")(np.array([x], dtype))
    return getattr(layers, f"{name}_backward")(np.ones(1, dtype), cache).item()


def value(name: str, x: float, dtype: type = np.float64) -> float:
    return getattr(layers, f"{name}_forward")(np.array([x], dtype))[0].item()


# ------------------------------------------------------------------------------
# All of them
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_any_finite_number_has_a_finite_value_and_slope(name: str, dtype: type):
    """Without a warning: those are errors here."""
    x = np.clip(EXTREME, np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype)
    out, cache = getattr(layers, f"{name}_forward")(x)
    dx = getattr(layers, f"{name}_backward")(np.ones_like(x), cache)
    assert out.dtype == dx.dtype == dtype
    assert np.isfinite(out).all()
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_not_a_number_stays_one(name: str):
    assert math.isnan(value(name, math.nan))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_single_number_will_do(name: str):
    out, cache = getattr(layers, f"{name}_forward")(0.5)
    dx = getattr(layers, f"{name}_backward")(2.0, cache)
    np.testing.assert_allclose(out, value(name, 0.5))
    np.testing.assert_allclose(dx, 2 * slope(name, 0.5))


@pytest.mark.parametrize("name", [*ELEMENTWISE, "prelu"])
def test_the_kink_and_its_neighbours(name: str):
    """At 0 the convention of PyTorch: the slope on the left."""
    if name == "prelu":
        _, cache = prelu_forward(np.zeros(1), np.array(0.3))
        assert prelu_backward(np.ones(1), cache)[0] == 0.3
    expected = {"relu": 0, "leaky_relu": 0.01, "elu": 1, "sigmoid": 0.25, "tanh": 1, "prelu": None}
    if expected.get(name, 0.5) is not None:
        for zero in (0.0, -0.0):
            assert slope(name, zero) == pytest.approx(expected.get(name, 0.5), rel=1e-15)


# ------------------------------------------------------------------------------
# Sigmoid and tanh
# ------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "expected"), [(1e4, 1), (-1e4, 0), (math.inf, 1), (-math.inf, 0)])
def test_sigmoid_far_out(x: float, expected: int):
    assert value("sigmoid", x) == expected
    assert slope("sigmoid", x) == 0


def test_sigmoid_keeps_its_digits_on_the_left():
    for x in (-20.0, -100.0, -700.0):
        assert value("sigmoid", x) == pytest.approx(math.exp(x), rel=1e-8)
        assert slope("sigmoid", x) == pytest.approx(math.exp(x), rel=1e-8)


def test_where_the_slope_of_a_sigmoid_is_exactly_zero():
    assert slope("sigmoid", 36.0) > 0 == slope("sigmoid", 37.0)
    assert slope("sigmoid", 16.0, np.float32) > 0 == slope("sigmoid", 17.0, np.float32)
    assert slope("sigmoid", -709.0) > 0 == slope("sigmoid", -710.0)
    assert slope("sigmoid", -88.0, np.float32) > 0 == slope("sigmoid", -89.0, np.float32)
    assert slope("sigmoid", 10.0) == pytest.approx(4.5e-5, abs=1e-6)


def test_where_the_slope_of_a_tanh_is_exactly_zero():
    for sign in (-1, 1):
        assert slope("tanh", sign * 18.0) > 0 == slope("tanh", sign * 20.0)
        assert slope("tanh", sign * 8.0, np.float32) > 0 == slope("tanh", sign * 10.0, np.float32)


def test_tanh_is_a_sigmoid_in_other_units():
    x = np.linspace(-3, 3, 13)
    np.testing.assert_allclose(tanh_forward(x)[0], 2 * sigmoid_forward(2 * x)[0] - 1, atol=1e-15)


# ------------------------------------------------------------------------------
# Rectifiers
# ------------------------------------------------------------------------------


def test_relu_passes_no_gradient_at_zero():
    for zero in (0.0, -0.0):
        out, cache = relu_forward(np.array([zero]))
        assert out == 0
        assert relu_backward(np.array([5.0]), cache) == 0


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128]
)
@pytest.mark.parametrize("upstream", [np.inf, -np.inf, np.nan])
def test_a_dead_unit_passes_on_nothing_whatever_comes_from_above(upstream: float, dtype: type):
    _, cache = relu_forward(np.array([-1.0]))
    dx = relu_backward(np.array([upstream], dtype), cache)
    assert dx == 0
    assert dx.dtype == dtype


def test_where_true_is_np_where():
    rng = np.random.default_rng(0)
    x, mask = rng.standard_normal((4, 6)), rng.random((4, 6)) < 0.5
    for dtype in (np.float16, np.float32, np.float64, np.longdouble, np.complex64):
        for array, where in ((x.astype(dtype), mask), (x.astype(dtype).T[::2, ::-1], mask.T[::2, ::-1])):
            np.testing.assert_array_equal(where_true(where, array), np.where(where, array, 0), strict=True)


def test_relu_of_extreme_numbers():
    out, cache = relu_forward(np.array([-np.inf, np.inf, np.nan, 5e-324, -5e-324]))
    np.testing.assert_array_equal(out, [0, np.inf, np.nan, 5e-324, 0])
    np.testing.assert_array_equal(relu_backward(np.ones(5), cache), [0, 1, 0, 1, 0])


def test_relu_gradient_belongs_to_the_input_that_forward_saw():
    x = np.array([1.0, -1.0])
    _, cache = relu_forward(x)
    x *= -1
    np.testing.assert_array_equal(relu_backward(np.ones(2), cache), [1, 0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.1, 1 / 3, 0.9, 1.0, 1.7, 2.0])
def test_a_leaky_relu_leaves_positive_numbers_as_they_are(alpha: float, dtype: type):
    """To the bit, though its slope there is computed as (1 - alpha) + alpha."""
    x = np.random.default_rng(0).uniform(0.1, 9, 200).astype(dtype)
    out, cache = leaky_relu_forward(x, alpha)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(leaky_relu_backward(x, cache), x)
    np.testing.assert_array_equal(leaky_relu_forward(-x, alpha)[0], -x * dtype(alpha))


def test_leaky_relu_of_nothing_is_relu():
    x = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_array_equal(leaky_relu_forward(x, 0)[0], relu_forward(x)[0])


@pytest.mark.parametrize("alpha", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
def test_an_impossible_alpha_is_refused(name: str, alpha: float):
    with pytest.raises(ValueError, match=rf"^{name}_forward: alpha must be a finite number, not {alpha}"):
        getattr(layers, f"{name}_forward")(np.ones(2), alpha)


def test_a_wide_alpha_does_not_widen_the_result():
    x = np.ones((2, 3), np.float32)
    assert leaky_relu_forward(x, np.float64(0.1))[0].dtype == np.float32
    assert elu_forward(x, np.float64(0.1))[0].dtype == np.float32
    out, cache = prelu_forward(x, np.full(3, 0.1))
    assert out.dtype == prelu_backward(x, cache)[0].dtype == np.float32


def test_prelu_takes_one_slope_or_one_for_each_channel():
    x = -np.ones((2, 3, 4))
    np.testing.assert_array_equal(prelu_forward(x, 0.5)[0], x / 2)
    np.testing.assert_array_equal(prelu_forward(x, [0.5])[0], x / 2)
    out, cache = prelu_forward(x, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(out[0, :, 0], [-1, -2, -3])
    dx, dalpha = prelu_backward(np.ones_like(x), cache)
    np.testing.assert_array_equal(dx[0, :, 0], [1, 2, 3])
    np.testing.assert_array_equal(dalpha, [-8, -8, -8])  # two examples, four places


def test_prelu_does_not_let_an_infinite_gradient_of_an_active_unit_into_alpha():
    _, cache = prelu_forward(np.array([1.0, -2.0]), np.array(0.5))
    dx, dalpha = prelu_backward(np.array([np.inf, 1.0]), cache)
    np.testing.assert_array_equal(dx, [np.inf, 0.5])
    assert dalpha == -2


def test_elu_fades_and_does_not_die():
    assert slope("elu", -10.0) == pytest.approx(math.exp(-10))
    assert slope("elu", -100.0) == pytest.approx(math.exp(-100))  # 1 + expm1(-100) would be 0
    assert value("elu", -1e-10) == pytest.approx(-1e-10, rel=1e-9)  # exp(x) - 1 keeps six digits of it
    assert value("elu", -math.inf) == -1


# ------------------------------------------------------------------------------
# Smooth ones
# ------------------------------------------------------------------------------


def test_the_tail_of_the_normal_distribution_to_the_last_digit():
    a = np.concatenate([np.linspace(0, 8, 4001), np.linspace(8, 37, 501)])
    ours = upper_tail(a, np.exp(-(a**2) / 2))
    exact = np.array([math.erfc(each / math.sqrt(2)) / 2 for each in a])
    np.testing.assert_allclose(ours[:4001], exact[:4001], rtol=3e-14)  # of exp(-32) no more is known
    np.testing.assert_allclose(ours[4001:], exact[4001:], rtol=1e-12)
    erf = np.array([math.erf(each / math.sqrt(2)) for each in a])
    np.testing.assert_allclose(1 - 2 * ours, erf, rtol=0, atol=3e-16)
    single = a.astype(np.float32)[:2000]
    np.testing.assert_allclose(upper_tail(single, np.exp(-(single**2) / 2)), exact[:2000], rtol=2e-6)


def test_gelu_is_exact():
    x = np.linspace(-8, 8, 4001)
    out, cache = gelu_forward(x)
    exact = [each * math.erfc(-each / math.sqrt(2)) / 2 for each in x]
    np.testing.assert_allclose(out, exact, rtol=3e-14)
    phi = [math.exp(-each * each / 2) / math.sqrt(2 * math.pi) for each in x]
    slopes = [
        math.erfc(-each / math.sqrt(2)) / 2 + each * density for each, density in zip(x, phi, strict=True)
    ]
    np.testing.assert_allclose(gelu_backward(np.ones_like(x), cache), slopes, rtol=1e-12, atol=1e-16)


def test_gelu_of_infinity():
    assert value("gelu", math.inf) == math.inf
    assert value("gelu", -math.inf) == 0


def test_gelu_and_its_approximation_differ_in_the_fourth_digit():
    x = np.linspace(-8, 8, 4001)
    difference = abs(gelu_tanh_forward(x)[0] - gelu_forward(x)[0]).max()
    assert 1e-4 < difference < 5e-4


def test_the_numbers_that_the_docstrings_quote():
    x = np.linspace(-10, 10, 200_001)

    def extremes(name: str) -> tuple[float, ...]:
        out, cache = getattr(layers, f"{name}_forward")(x)
        slopes = getattr(layers, f"{name}_backward")(np.ones_like(x), cache)
        return out.min(), x[out.argmin()], slopes.min(), slopes.max()

    np.testing.assert_allclose(extremes("silu"), (-0.278, -1.278, -0.0998, 1.0998), atol=6e-4)
    np.testing.assert_allclose(extremes("gelu"), (-0.17, -0.752, -0.129, 1.129), atol=6e-4)
    assert slope("gelu", -10.0) == pytest.approx(-7.6e-22, rel=0.01)
    assert slope("gelu_tanh", -7.6) == 0 > slope("gelu_tanh", -6.9)


def test_softplus_is_a_relu_with_its_corner_rounded_off():
    x = np.array([-800.0, -50.0, 0.0, 50.0, 800.0])
    out, cache = softplus_forward(x)
    np.testing.assert_allclose(out, [0, math.exp(-50), math.log(2), 50, 800], rtol=1e-14)
    dx = softplus_backward(np.ones(5), cache)
    np.testing.assert_allclose(dx, sigmoid_forward(x)[0], rtol=1e-14)


def test_softplus_of_infinity():
    assert value("softplus", math.inf) == math.inf
    assert value("softplus", -math.inf) == 0


# ------------------------------------------------------------------------------
# CS231n's own checks
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_with_the_checker_of_cs231n(name: str):
    rng = np.random.default_rng(231)
    x, dout = rng.standard_normal((10, 10)), rng.standard_normal((10, 10))
    forward, backward = (getattr(layers, f"{name}_{way}") for way in ("forward", "backward"))
    dx_num = eval_numerical_gradient_array(lambda x: forward(x)[0], x, dout)
    assert rel_error(dx_num, backward(dout, forward(x)[1])) < 1e-6


def test_backward_of_each_is_what_it_says():
    """Out of pieces of the docstrings, where the code goes another way."""
    x = np.linspace(-4, 4, 33)
    s, t, ones = 1 / (1 + np.exp(-x)), np.tanh(x), np.ones_like(x)
    np.testing.assert_allclose(sigmoid_backward(ones, sigmoid_forward(x)[1]), s * (1 - s), rtol=1e-12)
    np.testing.assert_allclose(tanh_backward(ones, tanh_forward(x)[1]), 1 - t**2, rtol=1e-12)
    np.testing.assert_allclose(silu_backward(ones, silu_forward(x)[1]), s + x * s * (1 - s), rtol=1e-12)
    np.testing.assert_allclose(
        elu_backward(ones, elu_forward(x, 0.7)[1]), np.where(x > 0, 1, 0.7 * np.exp(x)), rtol=1e-12
    )
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    expected = (1 + np.tanh(u)) / 2 + x * (1 - np.tanh(u) ** 2) * du / 2
    np.testing.assert_allclose(gelu_tanh_backward(ones, gelu_tanh_forward(x)[1]), expected, rtol=1e-10)
