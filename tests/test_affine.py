"""What is true of the affine pair only."""

import re

import numpy as np
import pytest

from minigrad.layers import affine_backward, affine_forward
from minigrad.layers.affine import affine_parameter_gradients


def test_affine_of_an_empty_batch():
    out, cache = affine_forward(np.ones((0, 2, 3)), np.ones((6, 4)), np.ones(4))
    dx, dw, db = affine_backward(out, cache)
    assert out.shape == (0, 4)
    assert dx.shape == (0, 2, 3)
    assert not dw.any()
    assert not db.any()


def test_affine_promotes_integers_before_it_multiplies():
    out, _ = affine_forward(
        np.full((1, 2), 200, np.uint8), np.full((2, 1), 200, np.uint8), np.zeros(1, np.uint8)
    )
    assert out == 80_000  # 128 in eight bits


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_gradients_of_the_parameters_alone_are_those_of_backward(dtype: type):
    rng = np.random.default_rng(0)
    x, w, b, dout = (rng.standard_normal(shape).astype(dtype) for shape in [(5, 2, 3), (6, 4), (4,), (5, 4)])
    _, cache = affine_forward(x, w, b)
    _, *expected = affine_backward(dout, cache)
    for alone, grad in zip(affine_parameter_gradients(dout, cache), expected, strict=True):
        np.testing.assert_array_equal(alone, grad, strict=True)
    with pytest.raises(
        ValueError, match=re.escape("gradients: dout has shape (4,) but out has shape (5, 4)")
    ):
        affine_parameter_gradients(dout[0], cache)
