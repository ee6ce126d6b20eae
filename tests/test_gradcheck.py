"""The checker checked: against derivatives known by hand, the complex step, and plain failures."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad.gradcheck import (
    describe_difference,
    numerical_gradient,
    numerical_gradient_array,
    relative_error,
)

METHODS = ["centred", "one-sided"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def smooth(x: np.ndarray) -> np.ndarray:
    """Analytic in every element, with all derivatives different from zero."""
    return np.exp(np.sin(x)) + x**3


def complex_step(f, x: np.ndarray) -> np.ndarray:
    """The derivative of the sum of f without any subtraction: exact to rounding."""
    return f(x + 1e-20j).imag / 1e-20


# ------------------------------------------------------------------------------
# numerical_gradient
# ------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "tolerance"), [("centred", 1e-8), ("one-sided", 1e-3)])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 1, 3), (0,), (3, 0)])
def test_it_measures_the_slope(method: str, tolerance: float, shape: tuple, rng: np.random.Generator):
    x = rng.uniform(0.5, 1.5, shape)
    grad = numerical_gradient(lambda x: smooth(x).sum(), x, method=method)
    assert grad.shape == shape
    assert relative_error(grad, complex_step(smooth, x)) < tolerance


@pytest.mark.parametrize(("method", "order"), [("centred", 2), ("one-sided", 1)])
def test_the_error_falls_with_the_order_of_the_formula(method: str, order: int):
    x = np.array([0.7])
    exact = complex_step(smooth, x)
    errors = [abs(numerical_gradient(lambda x: smooth(x).sum(), x, h, method) - exact) for h in (1e-2, 1e-3)]
    assert np.log10(errors[0] / errors[1]) == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_x_is_changed_in_place_so_that_a_closure_sees_it(method: str):
    x = np.array([[1.0, 2.0]])
    grad = numerical_gradient(lambda ignored: (x**2).sum(), x, method=method)
    np.testing.assert_allclose(grad, [[2, 4]], rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_x_is_restored_to_the_bit(method: str):
    awkward = [0.1, 1 / 3, -0.0, 1e30, 1e-30, 5e-324, np.pi, np.nan, np.inf]  # x + h - h is none of the first
    x = np.array(awkward)
    before = x.tobytes()
    numerical_gradient(lambda x: 1.0, x, 0.1, method)
    numerical_gradient_array(lambda x: np.ones(2), x, np.ones(2), 0.1)
    assert x.tobytes() == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_x_is_restored_when_f_raises(method: str, fails_at: int):
    x = np.array([0.1, 0.2, 0.3])
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise ZeroDivisionError
        return x.sum()

    with pytest.raises(ZeroDivisionError):
        numerical_gradient(f, x, method=method)
    assert x.tolist() == [0.1, 0.2, 0.3]


def test_one_element_moves_at_a_time():
    x = np.zeros((2, 2))
    seen = []
    numerical_gradient(lambda x: seen.append(x.copy()) or 0.0, x, h=1.0)
    assert [int(abs(each).sum()) for each in seen] == [1] * 8
    assert sum(seen).tolist() == [[0, 0], [0, 0]]  # as often up as down


def test_f_may_return_a_view_of_x():
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(numerical_gradient(lambda x: x[:1], x), [1, 0])
    np.testing.assert_allclose(numerical_gradient_array(lambda x: x, x, [3.0, 4.0]), [3, 4])


@pytest.mark.parametrize("view", [np.s_[::2], np.s_[::-1], np.s_[:, 1], np.s_[1:, ::2]])
def test_x_may_be_a_view(view, rng: np.random.Generator):
    whole = rng.uniform(0.5, 1.5, (4, 5))
    x = whole[view]
    grad = numerical_gradient(lambda _: smooth(whole).sum(), x)
    assert relative_error(grad, complex_step(smooth, x)) < 1e-8


def test_the_gradient_has_the_dtype_of_x():
    x = np.array([1.0, 2.0], dtype=np.float32)
    grad = numerical_gradient(lambda x: (x**2).sum(), x, h=1e-2)
    assert grad.dtype == np.float32
    np.testing.assert_allclose(grad, [2, 4], rtol=1e-3)


@pytest.mark.parametrize("x", [np.array([1, 2]), np.array([1 + 0j]), np.array([True]), [1.0, 2.0], 1.0, None])
def test_what_cannot_be_moved_is_refused(x):
    """In an array of integers h is rounded away, and every slope would be zero."""
    with pytest.raises(TypeError, match="x must be an array of floats"):
        numerical_gradient(lambda x: 0.0, x)
    with pytest.raises(TypeError, match="x must be an array of floats"):
        numerical_gradient_array(lambda x: x, x, 0.0)


@pytest.mark.parametrize("h", [0.0, -1e-5, np.nan, np.inf])
def test_impossible_steps_are_refused(h: float):
    with pytest.raises(ValueError, match="step h must be positive"):
        numerical_gradient(lambda x: 0.0, np.ones(1), h)
    with pytest.raises(ValueError, match="step h must be positive"):
        numerical_gradient_array(lambda x: x, np.ones(1), np.ones(1), h)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'forward'"):
        numerical_gradient(lambda x: 0.0, np.ones(1), method="forward")


def test_a_function_that_is_not_scalar_is_refused():
    with pytest.raises(ValueError, match=r"one number.*\(3,\)"):
        numerical_gradient(lambda x: x, np.ones(3))


# ------------------------------------------------------------------------------
# numerical_gradient_array
# ------------------------------------------------------------------------------


def test_the_upstream_gradient_weighs_the_outputs(rng: np.random.Generator):
    x, matrix, df = rng.standard_normal((2, 3)), rng.standard_normal((3, 4)), rng.standard_normal((2, 4))
    grad = numerical_gradient_array(lambda x: x @ matrix, x, df)
    assert relative_error(grad, df @ matrix.T) < 1e-8


def test_large_outputs_do_not_drown_a_small_change():
    x = np.array([1.0])
    f = lambda x: np.append(x, [1e9, 1e9])  # noqa: E731
    assert relative_error(numerical_gradient_array(f, x, np.array([1.0, 1.0, -0.3])), [1.0]) < 1e-9


@pytest.mark.parametrize("shape", [(2,), (3, 1), (1, 3), ()])
def test_an_upstream_gradient_of_another_shape_is_refused(shape: tuple):
    with pytest.raises(ValueError) as caught:
        numerical_gradient_array(lambda x: x, np.ones(3), np.ones(shape))
    assert str(shape) in str(caught.value)
    assert "(3,)" in str(caught.value)


def test_x_is_restored_when_an_array_function_raises():
    x = np.array([0.1, 0.2])
    with pytest.raises(IndexError):
        numerical_gradient_array(lambda x: x[5], x, 1.0)
    assert x.tolist() == [0.1, 0.2]


# ------------------------------------------------------------------------------
# relative_error
# ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 1.0], [1.0, 2.0], 0.5),
        ([1e-300], [2e-300], 0.5),  # no floor
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0], [-0.0], 0.0),
        ([0.0], [1e-12], 1.0),
        ([1.0], [-1.0], 2.0),
        ([1.7e308], [-1.7e308], 2.0),  # the difference overflows
        ([5e-324], [5e-324], 0.0),
        ([], [], 0.0),
        (3, 4, 0.25),
        ([True], [False], 1.0),
        ([3 + 4j], [5 + 0j], abs(-2 + 4j) / 5),
        ([np.nan], [1.0], np.inf),
        ([np.nan], [np.nan], np.inf),
        ([np.inf], [np.inf], np.inf),
        ([1.0, 1.0], [1.0, -np.inf], np.inf),
        ([1e-310j], [2e-310j], 0.5),
        ([1.7e308 + 1.7e308j], [0], np.inf),  # a modulus beyond float64
    ],
)
def test_relative_error(a, b, error: float):
    assert relative_error(a, b) == pytest.approx(error)
    assert relative_error(b, a) == pytest.approx(error)
    assert type(relative_error(a, b)) is float


def test_relative_error_of_float32_is_measured_in_float64():
    assert relative_error(np.float32([0.1]), np.array([0.1])) == pytest.approx(1.5e-8, rel=0.01)


@pytest.mark.parametrize(("a", "b"), [((3,), (3, 1)), ((2, 3), (3, 2)), ((1,), ()), ((0,), (1,))])
def test_relative_error_refuses_different_shapes(a: tuple, b: tuple):
    with pytest.raises(ValueError) as caught:
        relative_error(np.ones(a), np.ones(b))
    assert str(a) in str(caught.value)
    assert str(b) in str(caught.value)


# ------------------------------------------------------------------------------
# describe_difference
# ------------------------------------------------------------------------------

G = np.random.default_rng(3).standard_normal((4, 3))
SQUARE = np.random.default_rng(4).standard_normal((4, 4))
CUBE = np.random.default_rng(5).standard_normal((4, 3, 2))


def changed(array: np.ndarray, where, value) -> np.ndarray:
    array = array.copy()
    array[where] = value
    return array


@pytest.mark.parametrize(
    ("ours", "expected", "sentence"),
    [
        # shapes
        (np.ones((4, 2)), G, "Its shape is (4, 2) where (4, 3) is expected."),
        (None, G, "It is not an array of numbers but of type NoneType."),
        ([[1.0], [1.0, 2.0]], G, "It is not an array of numbers but of type list."),
        ("text", G, "It is not an array of numbers but of type str."),
        (1.0, None, "There is nothing to compare it with: a NoneType is expected."),
        (G.T, G, "It is transposed: its shape is (3, 4) where (4, 3) is expected."),
        (G[None], G, "The values are right, but its shape is (1, 4, 3) where (4, 3) is expected."),
        (2.0, np.array([2.0]), "The values are right, but its shape is () where (1,) is expected."),
        (np.zeros((0, 3)), np.zeros((3, 0)), "Its shape is (0, 3) where (3, 0) is expected."),
        # not finite
        (changed(G, (2, 1), np.nan), G, "It is nan or infinite in 1 of 12 elements, first at [2, 1]."),
        (changed(G, np.s_[1:], -np.inf), G, "It is nan or infinite in 9 of 12 elements, first at [1, 0]."),
        (np.nan, 1.0, "It is nan or infinite."),
        (1.0, np.nan, "It is 1 where nan is expected."),
        ([1.0, np.inf], [1.0, -np.inf], "1 of 2 elements differs: at [1] it is inf where -inf is expected."),
        ([2.0, 6.0, np.nan], [1.0, 3.0, np.nan], "It is 2 times the expected value everywhere."),
        # nothing to say
        (G, G, "It agrees with what is expected, up to rounding."),
        (G * (1 + 1e-9), G, "It agrees with what is expected, up to rounding."),
        (G.astype(np.float32), G, "It agrees with what is expected, up to rounding."),
        ([np.nan, 1.0], [np.nan, 1.0], "It agrees with what is expected, up to rounding."),
        ([], [], "It agrees with what is expected, up to rounding."),
        # zero, sign, factor
        (np.zeros((4, 3)), G, "It is zero everywhere."),
        (-G, G, "It has the opposite sign everywhere."),
        (4 * G, G, "It is 4 times the expected value everywhere."),
        (-2 * G, G, "It is -2 times the expected value everywhere."),
        (G / 4, G, "It is 1/4 of the expected value everywhere."),
        (G / -32, G, "It is -1/32 of the expected value everywhere."),
        (G * 16 / 15, G, "It is 1.0666667 times the expected value everywhere."),
        ((G / 3).astype(np.float32), G, "It is 1/3 of the expected value everywhere."),
        ((G / 1000).astype(np.float32), G, "It is 0.001 times the expected value everywhere."),
        (4 * G + 0j, G, "It is 4 times the expected value everywhere."),
        (G * 1e300, G, "It is 1e+300 times the expected value everywhere."),
        (G * 1e-300, G * 1e-290, "It is 1e-10 times the expected value everywhere."),
        ([6, 9], [2, 3], "It is 3 times the expected value everywhere."),
        (8.0, 2.0, "It is 4 times the expected value."),
        (-2.0, 2.0, "It has the opposite sign."),
        # one number is a multiple of any other
        (2.5, 2.0, "It is 2.5 where 2 is expected."),
        (np.float32(1234.5), 1.0, "It is 1234.5 where 1 is expected."),
        ([0.0, 2.5], [0.0, 2.0], "1 of 2 elements differs: at [1] it is 2.5 where 2 is expected."),
        # no factor: one that overflows, and one that is complex
        (
            [1e300, 2e300],
            [1e-300, 2e-300],
            "2 of 2 elements differ; at [1] it is 2e+300 where 2e-300 is expected, the worst of them.",
        ),
        (
            [1 + 1j, 2 + 2j],
            [1.0, 2.0],
            "2 of 2 elements differ; at [1] it is 2+2j where 2 is expected, the worst of them.",
        ),
        # layout
        (SQUARE.T, SQUARE, "It is the transpose of what is expected."),
        (changed(SQUARE, 2, 7.0), SQUARE, "It is right in every row but row 2."),
        (changed(SQUARE, [0, 3], 7.0), SQUARE, "It is right in every row but rows 0 and 3."),
        (changed(SQUARE, [0, 1, 3], 7.0), SQUARE, "It is wrong in every row but row 2."),
        (changed(SQUARE, np.s_[:, 1], 7.0), SQUARE, "It is right in every column but column 1."),
        (
            changed(SQUARE[:, :3], np.s_[:3, :2], 7.0),
            SQUARE[:, :3],
            "It is wrong in every column but column 2.",
        ),
        (changed(CUBE, np.s_[:, :, 0], 7.0), CUBE, "It is right in every slice along axis 2 but slice 0."),
        (
            changed(np.tile(G, (5, 1)), np.s_[:7], 9.0),
            np.tile(G, (5, 1)),
            "It is right in every row but rows 0, 1, 2 and 4 more.",
        ),
        # anything else
        (
            changed(SQUARE, (1, 2), 7.0),
            SQUARE,
            f"1 of 16 elements differs: at [1, 2] it is 7 where {SQUARE[1, 2]:.6g} is expected.",
        ),
        (
            [1.0, 5.0, 3.0, 4.5],
            [1.0, 2.0, 3.0, 4.0],
            "2 of 4 elements differ; at [1] it is 5 where 2 is expected, the worst of them.",
        ),
        (
            [1.0, 1.00000050],
            [1.0, 1.00000000],
            "1 of 2 elements differs: at [1] it is 1.0000005 where 1.0 is expected.",
        ),
        (
            [1.0, 2.0],
            [0.0, 0.0],
            "2 of 2 elements differ; at [1] it is 2 where 0 is expected, the worst of them.",
        ),
        ([1j, 2.0], [1.0, 2.0], "1 of 2 elements differs: at [0] it is 0+1j where 1 is expected."),
    ],
)
def test_the_difference_is_named(ours, expected, sentence: str):
    assert describe_difference(ours, expected) == sentence


class Hostile:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no")


ANY_NUMBERS = st.sampled_from(["?", "i1", "u8", "i8", "f2", "f4", "f8", "g", "c8", "c16", "G"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
EXTREMES = st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1e-310, 1e-160, 1e160, 1.7e308, -1.7e308, np.nan, np.inf])


def says_one_sentence(ours, expected) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sentence = describe_difference(ours, expected)
    assert not sentence[0].islower()
    assert sentence.endswith(".")
    assert "\n" not in sentence


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(ours=ANY_NUMBERS, expected=ANY_NUMBERS)
def test_any_two_arrays_are_described(ours: np.ndarray, expected: np.ndarray):
    says_one_sentence(ours, expected)
    says_one_sentence(np.resize(ours, expected.shape), expected)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(numbers=st.lists(st.tuples(*[EXTREMES] * 4), min_size=1, max_size=4))
def test_extreme_numbers_are_described(numbers: list):
    a, b, c, d = np.array(numbers).T
    with np.errstate(all="ignore"):
        ours, expected = a + 1j * b, c + 1j * d
    for one, other in [(a, c), (ours, expected), (ours, c), (a, expected)]:
        says_one_sentence(one, other)


@pytest.mark.parametrize("ours", [Hostile(), object(), {}, [None], np.array(["a"]), np.array([1], "M8[s]")])
def test_things_that_are_not_numbers_are_described(ours):
    says_one_sentence(ours, G)
    says_one_sentence(G, ours)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    expected=hnp.arrays(float, (3, 2), elements=st.floats(0.1, 10)),
    ours=hnp.arrays(float, (3, 2), elements=st.floats(0.1, 10)),
)
def test_it_says_that_two_agree_only_if_they_do(ours: np.ndarray, expected: np.ndarray):
    agree = abs(ours - expected).max() <= 1e-7 * max(ours.max(), expected.max())
    assert ("agrees" in describe_difference(ours, expected)) == agree
