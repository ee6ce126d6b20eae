"""What is true of single activations."""

import numpy as np
import pytest

from minigrad.layers import relu_backward, relu_forward


def test_relu_passes_no_gradient_at_zero():
    for zero in (0.0, -0.0):
        out, cache = relu_forward(np.array([zero]))
        assert out == 0
        assert relu_backward(np.array([5.0]), cache) == 0


@pytest.mark.parametrize("upstream", [np.inf, -np.inf, np.nan])
def test_a_dead_unit_passes_on_nothing_whatever_comes_from_above(upstream: float):
    _, cache = relu_forward(np.array([-1.0]))
    assert relu_backward(np.array([upstream]), cache) == 0


def test_relu_of_extreme_numbers():
    out, cache = relu_forward(np.array([-np.inf, np.inf, np.nan, 5e-324, -5e-324]))
    np.testing.assert_array_equal(out, [0, np.inf, np.nan, 5e-324, 0])
    np.testing.assert_array_equal(relu_backward(np.ones(5), cache), [0, 1, 0, 1, 0])


def test_relu_gradient_belongs_to_the_input_that_forward_saw():
    x = np.array([1.0, -1.0])
    _, cache = relu_forward(x)
    x *= -1
    np.testing.assert_array_equal(relu_backward(np.ones(2), cache), [1, 0])
