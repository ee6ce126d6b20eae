"""What is true of layers that come together only: in training, where batch normalization is in between."""

import numpy as np
import pytest

from minigrad.gradcheck import eval_numerical_gradient_array, rel_error
from minigrad.layers import (
    affine_bn_relu_backward,
    affine_bn_relu_forward,
    affine_relu_backward,
    affine_relu_forward,
    conv_bn_relu_backward,
    conv_bn_relu_forward,
    conv_relu_backward,
    conv_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
)

CONV, POOL = {"stride": 1, "pad": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2}
# As the notebooks of CS231n have them: forward, backward, shapes, the other arguments.
SANDWICHES = {
    "affine_relu": (affine_relu_forward, affine_relu_backward, [(2, 3, 4), (12, 10), (10,)], ()),
    "affine_bn_relu": (
        affine_bn_relu_forward,
        affine_bn_relu_backward,
        [(4, 3, 4), (12, 10), (10,), (10,), (10,)],
        ({"mode": "train"},),
    ),
    "conv_relu": (conv_relu_forward, conv_relu_backward, [(2, 3, 8, 8), (3, 3, 3, 3), (3,)], (CONV,)),
    "conv_bn_relu": (
        conv_bn_relu_forward,
        conv_bn_relu_backward,
        [(2, 3, 4, 4), (3, 3, 3, 3), (3,), (3,), (3,)],
        (CONV, {"mode": "train"}),
    ),
    "conv_relu_pool": (
        conv_relu_pool_forward,
        conv_relu_pool_backward,
        [(2, 3, 8, 8), (3, 3, 3, 3), (3,)],
        (CONV, POOL),
    ),
}


@pytest.mark.parametrize("name", SANDWICHES)
def test_gradients_as_cs231n_checks_them(name: str):
    forward, backward, shapes, params = SANDWICHES[name]
    rng = np.random.default_rng(231)
    inputs = [rng.standard_normal(shape) for shape in shapes]
    out, cache = forward(*inputs, *params)
    dout = rng.standard_normal(out.shape)
    grads = backward(dout, cache)
    for position, (array, grad) in enumerate(zip(inputs, grads, strict=True)):
        if "bn" in name and position == 2:
            assert abs(grad).max() < 1e-13  # b does nothing
            continue
        numerical = eval_numerical_gradient_array(lambda _: forward(*inputs, *params)[0], array, dout)
        assert rel_error(numerical, grad) < 1e-5


def test_running_statistics_are_written_where_the_caller_keeps_them():
    bn_param = {"mode": "train"}
    x, w, b = np.random.default_rng(0).standard_normal((8, 3)), np.eye(3), np.zeros(3)
    affine_bn_relu_forward(x, w, b, np.ones(3), np.zeros(3), bn_param)
    np.testing.assert_allclose(bn_param["running_mean"], 0.1 * x.mean(axis=0))
