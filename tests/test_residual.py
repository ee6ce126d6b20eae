"""What is true of the residual block only."""

import numpy as np
import pytest

from minigrad.layers import affine_forward, relu_forward, residual_backward, residual_forward


def he(rng: np.random.Generator, d: int, h: int) -> tuple:
    w1, w2 = rng.normal(0, np.sqrt(2 / d), (d, h)), rng.normal(0, np.sqrt(2 / h), (h, d))
    return w1, np.zeros(h), w2, np.zeros(d)


def test_it_is_the_input_and_what_the_branch_adds():
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((5, 3)), he(rng, 3, 4)
    w1, b1, w2, b2 = weights
    branch, _ = affine_forward(relu_forward(affine_forward(x, w1, b1)[0])[0], w2, b2)
    np.testing.assert_allclose(residual_forward(x, *weights)[0], x + branch)
    np.testing.assert_allclose(residual_forward(x, *weights, 0.5)[0], x + branch / 2)


@pytest.mark.parametrize("dead", ["scale", "w2", "units"])
def test_whatever_the_branch_does_the_gradient_arrives(dead: str):
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    w1, b1, w2, b2 = he(rng, 3, 4)
    if dead == "w2":
        w2 = np.zeros_like(w2)
    if dead == "units":
        b1 = np.full_like(b1, -100.0)
    _, cache = residual_forward(x, w1, b1, w2, b2, scale=0 if dead == "scale" else 1)
    dx, *_ = residual_backward(dout, cache)
    np.testing.assert_array_equal(dx, dout)


def test_fifty_blocks_of_full_scale_grow_and_scaled_ones_do_not():
    """He initialization in every branch triples the variance at every block; with 1 / sqrt(50) it is e**2 in all."""
    growth = {}
    for scale in (1.0, 50**-0.5):
        rng = np.random.default_rng(1)
        x = rng.standard_normal((64, 64))
        before = x.var()
        for _ in range(50):
            x, _ = residual_forward(x, *he(rng, 64, 64), scale)
        growth[scale] = np.log2(x.var() / before)
    assert growth[1.0] == pytest.approx(50 * np.log2(3), rel=0.1)
    assert growth[50**-0.5] == pytest.approx(np.log2(np.e**2), rel=0.3)


@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_an_impossible_scale_is_refused(scale: float):
    with pytest.raises(ValueError, match=r"^residual_forward: scale must be a finite number"):
        residual_forward(np.ones((2, 3)), *he(np.random.default_rng(0), 3, 4), scale)
