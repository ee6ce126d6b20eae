"""What is true of the affine pair only."""

import numpy as np

from minigrad.layers import affine_backward, affine_forward


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
