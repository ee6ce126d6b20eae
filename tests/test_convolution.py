"""Convolution and pooling beyond the contract: the fast pairs do what the naive ones say, to every last tie."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.gradcheck import eval_numerical_gradient_array, rel_error
from minigrad.layers import affine_backward, affine_forward, convolution, pooling
from minigrad.layers.convolution import (
    conv_backward,
    conv_backward_naive,
    conv_forward,
    conv_forward_naive,
)
from minigrad.layers.pooling import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_backward_naive,
    max_pool_forward,
    max_pool_forward_naive,
)

CONV = {"fast": (conv_forward, conv_backward), "naive": (conv_forward_naive, conv_backward_naive)}
MAX_POOL = {
    "fast": (max_pool_forward, max_pool_backward),
    "naive": (max_pool_forward_naive, max_pool_backward_naive),
}
fast_and_naive = pytest.mark.parametrize("which", ["fast", "naive"])
repeatable = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(231)


def out_and_grads(
    forward: Callable, backward: Callable, inputs: tuple, param: dict[str, Any], dout_seed: int
) -> list:
    """Output and gradients, for an upstream gradient drawn at random."""
    out, cache = forward(*inputs, param)
    dout = np.random.default_rng(dout_seed).standard_normal(out.shape).astype(out.dtype)
    grads = backward(dout, cache)
    return [out, *(grads if isinstance(grads, tuple) else [grads])]


# ------------------------------------------------------------------------------
# Fast and naive
# ------------------------------------------------------------------------------


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]:
    """Shapes of x and w, and conv_param. The filter may be larger than the image, if the padding is not."""
    pad = draw(st.integers(0, 3))
    x_shape = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 7)),
        draw(st.integers(1, 7)),
    )
    sides = tuple(draw(st.integers(1, min(5, side + 2 * pad))) for side in x_shape[2:])
    return (
        x_shape,
        (draw(st.integers(1, 4)), x_shape[1], *sides),
        {"stride": draw(st.integers(1, 4)), "pad": pad},
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_fast_convolution_is_the_naive_one(dtype: type, tolerance: float):
    @repeatable
    @given(shapes=convolutions(), seed=st.integers(0, 2**32 - 1))
    def over_many_shapes(shapes: tuple, seed: int) -> None:
        x_shape, w_shape, param = shapes
        rng = np.random.default_rng(seed)
        inputs = tuple(rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1]))
        fast = out_and_grads(conv_forward, conv_backward, inputs, param, seed)
        naive = out_and_grads(conv_forward_naive, conv_backward_naive, inputs, param, seed)
        for a, b in zip(fast, naive, strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype == dtype
            assert abs(a - b).max() <= tolerance * max(1, abs(b).max())

    over_many_shapes()


@repeatable
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    sides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 4),
    dtype=st.sampled_from([np.float64, np.float32, np.int64]),
    rare=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_fast_max_pool_is_the_naive_one_also_where_numbers_tie_or_are_not_numbers(
    shape: tuple, sides: tuple, stride: int, dtype: type, rare: float, seed: int
):
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, shape).astype(dtype)  # three values only: ties in nearly every window
    if dtype is not np.int64:
        x[rng.random(shape) < rare] = np.nan
        x[rng.random(shape) < rare] = -np.inf
    height, width = (min(pair) for pair in zip(sides, shape[2:], strict=True))
    param = {"pool_height": height, "pool_width": width, "stride": stride}
    fast = out_and_grads(max_pool_forward, max_pool_backward, (x,), param, seed)
    naive = out_and_grads(max_pool_forward_naive, max_pool_backward_naive, (x,), param, seed)
    np.testing.assert_array_equal(fast[0], naive[0])
    np.testing.assert_allclose(fast[1], naive[1], rtol=1e-5, atol=1e-5)  # sums in another order


def test_cs231n_names_are_the_fast_functions():
    assert convolution.conv_forward_fast is conv_forward
    assert convolution.conv_backward_fast is conv_backward
    assert pooling.max_pool_forward_fast is max_pool_forward
    assert pooling.max_pool_backward_fast is max_pool_backward


# ------------------------------------------------------------------------------
# Convolution
# ------------------------------------------------------------------------------


@fast_and_naive
def test_a_filter_as_large_as_the_image_is_an_affine_layer(which: str, rng: np.random.Generator):
    forward, backward = CONV[which]
    x, w, b = (rng.standard_normal(shape) for shape in ((5, 3, 4, 6), (2, 3, 4, 6), (2,)))
    dout = rng.standard_normal((5, 2))
    out, cache = forward(x, w, b, {"stride": 1, "pad": 0})
    dx, dw, db = backward(dout[:, :, None, None], cache)
    affine_out, affine_cache = affine_forward(x, w.reshape(2, -1).T, b)
    affine_dx, affine_dw, affine_db = affine_backward(dout, affine_cache)
    np.testing.assert_allclose(out[:, :, 0, 0], affine_out)
    np.testing.assert_allclose(dx, affine_dx)
    np.testing.assert_allclose(dw.reshape(2, -1).T, affine_dw)
    np.testing.assert_allclose(db, affine_db)


@fast_and_naive
def test_a_filter_of_one_pixel_is_an_affine_layer_at_every_pixel(which: str, rng: np.random.Generator):
    x, w, b = (rng.standard_normal(shape) for shape in ((2, 3, 4, 5), (6, 3, 1, 1), (6,)))
    out, _ = CONV[which][0](x, w, b, {"stride": 1, "pad": 0})
    np.testing.assert_allclose(out, np.einsum("nchw,fc->nfhw", x, w[:, :, 0, 0]) + b[:, None, None])


@fast_and_naive
def test_backward_is_the_adjoint_of_forward(which: str, rng: np.random.Generator):
    """<conv(x), dout> = <x, dx> = <w, dw> without a bias: the same sum, ordered in three ways."""
    forward, backward = CONV[which]
    x, w = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((4, 3, 3, 2))
    out, cache = forward(x, w, np.zeros(4), {"stride": 2, "pad": 2})
    dout = rng.standard_normal(out.shape)
    dx, dw, _ = backward(dout, cache)
    np.testing.assert_allclose([(x * dx).sum(), (w * dw).sum()], (out * dout).sum())


@fast_and_naive
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_pixel_gets_as_much_as_there_are_windows_that_read_it(which: str, stride: int):
    """Faint borders, a checkerboard where the stride does not divide the filter, zeros on the far side."""
    forward, backward = CONV[which]
    out, cache = forward(
        np.ones((1, 1, 9, 9)), np.ones((1, 1, 3, 3)), np.zeros(1), {"stride": stride, "pad": 0}
    )
    dx, _, _ = backward(np.ones_like(out), cache)
    across = {1: [1, 2, 3, 3, 3, 3, 3, 2, 1], 2: [1, 1, 2, 1, 2, 1, 2, 1, 1], 3: [1] * 9}[stride]
    np.testing.assert_array_equal(dx[0, 0], np.outer(across, across))


@fast_and_naive
def test_what_no_window_reads_gets_no_gradient(which: str, rng: np.random.Generator):
    forward, backward = CONV[which]
    x = rng.standard_normal((2, 1, 5, 6))
    x[:, :, 2], x[:, :, :, 5] = np.nan, np.nan  # between two windows, and behind the last one
    out, cache = forward(x, np.ones((1, 1, 2, 2)), np.zeros(1), {"stride": 3, "pad": 0})
    dx, dw, _ = backward(np.ones_like(out), cache)
    read = np.outer([1, 1, 0, 1, 1], [1, 1, 0, 1, 1, 0])
    np.testing.assert_array_equal(dx, np.broadcast_to(read, dx.shape))
    assert np.isfinite(out).all()
    assert np.isfinite(dw).all()


@pytest.mark.parametrize("position", [0, 1, 2])
@fast_and_naive
def test_one_wider_argument_is_enough(which: str, position: int):
    """What the complex step needs, and what numpy does with any product."""
    forward, backward = CONV[which]
    for wide in (np.float64, np.complex64):
        inputs = [np.ones(shape, np.float32) for shape in ((2, 1, 3, 3), (2, 1, 2, 2), (2,))]
        inputs[position] = inputs[position].astype(wide)
        out, cache = forward(*inputs, {"stride": 1, "pad": 1})
        assert out.dtype == wide
        assert [g.shape for g in backward(out, cache)] == [x.shape for x in inputs]


@pytest.mark.parametrize("pair", [*CONV.values(), *MAX_POOL.values(), (avg_pool_forward, avg_pool_backward)])
def test_results_are_contiguous(pair: tuple, rng: np.random.Generator):
    forward, backward = pair
    shapes = [(2, 3, 5, 4), (4, 3, 2, 2), (4,)] if "conv" in forward.__name__ else [(2, 3, 5, 4)]
    inputs = tuple(rng.standard_normal(shape) for shape in shapes)
    for array in out_and_grads(
        forward, backward, inputs, {"stride": 1, "pad": 1, "pool_height": 2, "pool_width": 2}, 0
    ):
        assert array.flags.c_contiguous


@pytest.mark.parametrize("pair", [*CONV.values(), *MAX_POOL.values(), (avg_pool_forward, avg_pool_backward)])
def test_what_is_done_to_the_output_does_not_reach_backward(pair: tuple, rng: np.random.Generator):
    forward, backward = pair
    param = {"stride": 1, "pad": 0, "pool_height": 2, "pool_width": 2}
    shapes = [(2, 1, 3, 3), (2, 1, 2, 2), (2,)] if "conv" in forward.__name__ else [(2, 1, 3, 3)]
    inputs = tuple(rng.standard_normal(shape) for shape in shapes)
    expected = out_and_grads(forward, backward, inputs, param, 0)[1:]
    out, cache = forward(*inputs, param)
    dout = np.random.default_rng(0).standard_normal(out.shape)
    out += 1
    grads = backward(dout, cache)
    for a, b in zip(grads if isinstance(grads, tuple) else [grads], expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_between_forward_and_backward_is_float64_where_the_input_is_not():
    """A cache of float64 would be right to the last digit and cost twice the memory and the time."""
    x, w, b = (np.ones(shape, np.float32) for shape in ((2, 3, 6, 6), (4, 3, 3, 3), (4,)))
    caches = [
        conv_forward(x, w, b, {"stride": 1, "pad": 1})[1],
        conv_forward_naive(x, w, b, {"stride": 1, "pad": 1})[1],
        max_pool_forward(x, {"pool_height": 2, "pool_width": 2, "stride": 2})[1],
    ]
    arrays = [part for cache in caches for part in cache if isinstance(part, np.ndarray)]
    assert len(arrays) == 5
    assert {array.dtype for array in arrays} == {np.dtype(np.float32), np.dtype(bool)}


# ------------------------------------------------------------------------------
# Pooling
# ------------------------------------------------------------------------------

SQUARE = {"pool_height": 2, "pool_width": 2, "stride": 2}


@fast_and_naive
def test_where_numbers_tie_the_first_in_reading_order_wins(which: str):
    forward, backward = MAX_POOL[which]
    x = np.array([[1.0, 5.0], [5.0, 5.0]]).reshape(1, 1, 2, 2)
    _, cache = forward(x, SQUARE)
    np.testing.assert_array_equal(backward(np.full((1, 1, 1, 1), 3.0), cache)[0, 0], [[0, 3], [0, 0]])


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pytorch_breaks_ties_the_same_way(stride: int, rng: np.random.Generator):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    x = rng.integers(0, 2, (3, 2, 7, 8)).astype(float)
    out, cache = max_pool_forward(x, {"pool_height": 3, "pool_width": 2, "stride": stride})
    dout = rng.standard_normal(out.shape)
    theirs = torch.tensor(x, requires_grad=True)
    torch.nn.functional.max_pool2d(theirs, (3, 2), stride).backward(torch.tensor(dout))
    np.testing.assert_allclose(max_pool_backward(dout, cache), theirs.grad.numpy(), atol=1e-12)


@fast_and_naive
def test_a_pixel_that_wins_several_windows_gets_what_comes_from_each(which: str):
    forward, backward = MAX_POOL[which]
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1  # in the middle of four windows
    _, cache = forward(x, {**SQUARE, "stride": 1})
    dx = backward(np.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 2, 2), cache)
    np.testing.assert_array_equal(dx, 1111 * x)


@fast_and_naive
@pytest.mark.parametrize("upstream", [np.inf, -np.inf, np.nan])
def test_a_loser_gets_nothing_whatever_comes_from_above(which: str, upstream: float):
    forward, backward = MAX_POOL[which]
    _, cache = forward(np.arange(8.0).reshape(1, 1, 2, 4), SQUARE)
    dx = backward(np.array([upstream, 2.0]).reshape(1, 1, 1, 2), cache)
    np.testing.assert_array_equal(dx[0, 0], [[0, 0, 0, 0], [0, upstream, 0, 2]])


@fast_and_naive
def test_nan_wins_and_is_seen_in_both_directions(which: str):
    forward, backward = MAX_POOL[which]
    x = np.array([[np.inf, np.nan], [np.nan, 1.0]]).reshape(1, 1, 2, 2)
    out, cache = forward(x, SQUARE)
    assert np.isnan(out).all()
    np.testing.assert_array_equal(backward(np.ones((1, 1, 1, 1)), cache)[0, 0], [[0, 1], [0, 0]])


@pytest.mark.parametrize("pair", [*MAX_POOL.values(), (avg_pool_forward, avg_pool_backward)])
def test_pooling_hands_back_all_that_it_gets(pair: tuple, rng: np.random.Generator):
    forward, backward = pair
    out, cache = forward(rng.standard_normal((2, 3, 7, 8)), {"pool_height": 3, "pool_width": 2, "stride": 2})
    dout = rng.standard_normal(out.shape)
    np.testing.assert_allclose(backward(dout, cache).sum(axis=(2, 3)), dout.sum(axis=(2, 3)))


def test_global_average_pooling(rng: np.random.Generator):
    x = rng.standard_normal((2, 3, 4, 5))
    out, cache = avg_pool_forward(x, {"pool_height": 4, "pool_width": 5, "stride": 1})
    np.testing.assert_allclose(out[:, :, 0, 0], x.mean(axis=(2, 3)))
    np.testing.assert_allclose(avg_pool_backward(np.ones_like(out), cache), 1 / 20)


# ------------------------------------------------------------------------------
# What is refused
# ------------------------------------------------------------------------------

CONV_INPUTS = tuple(np.ones(shape) for shape in ((2, 3, 4, 5), (2, 3, 3, 3), (2,)))
GOOD = {"stride": 1, "pad": 1, "pool_height": 2, "pool_width": 2}
FORWARD: dict[str, tuple[Callable, tuple, str]] = {
    "conv_forward": (conv_forward, CONV_INPUTS, "conv_param"),
    "conv_forward_naive": (conv_forward_naive, CONV_INPUTS, "conv_param"),
    "max_pool_forward": (max_pool_forward, CONV_INPUTS[:1], "pool_param"),
    "max_pool_forward_naive": (max_pool_forward_naive, CONV_INPUTS[:1], "pool_param"),
    "avg_pool_forward": (avg_pool_forward, CONV_INPUTS[:1], "pool_param"),
}


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, np.ones(2), "absent"])
def test_impossible_numbers_are_refused_in_words(name: str, key: str, value: Any):
    forward, inputs, params = FORWARD[name]
    needed = ("stride", "pad") if "conv" in name else ("stride", "pool_height", "pool_width")
    param = {k: GOOD[k] for k in needed if k != key or not isinstance(value, str) or value != "absent"}
    if key not in needed or (key == "pad" and isinstance(value, int) and value == 0):
        return
    if key in param:
        param[key] = value
    with pytest.raises(ValueError, match=rf"^{name}: {params}\b.*'{key}'"):
        forward(*inputs, param)


@pytest.mark.parametrize("name", FORWARD)
def test_numbers_of_numpy_are_whole_numbers(name: str):
    forward, inputs, _ = FORWARD[name]
    forward(*inputs, {key: np.int32(value) for key, value in GOOD.items()})


@pytest.mark.parametrize("name", [name for name in FORWARD if "pool" in name])
@pytest.mark.parametrize("window", [(5, 2), (2, 6)])
def test_a_window_larger_than_the_image_is_refused_in_words(name: str, window: tuple[int, int]):
    forward, inputs, _ = FORWARD[name]
    with pytest.raises(
        ValueError, match=rf"^{name}: x has shape \(2, 3, 4, 5\) but .*{re.escape(str(window))}"
    ):
        forward(*inputs, {"pool_height": window[0], "pool_width": window[1], "stride": 1})


@fast_and_naive
def test_the_padding_decides_whether_a_filter_fits(which: str):
    x, w, b = np.ones((1, 1, 2, 2)), np.ones((1, 1, 4, 3)), np.ones(1)
    with pytest.raises(ValueError, match=r"x has shape .* but w has shape .* with pad 0 .*4 by 3 .* 2 by 2"):
        CONV[which][0](x, w, b, {"stride": 1, "pad": 0})
    assert CONV[which][0](x, w, b, {"stride": 1, "pad": 1})[0].shape == (1, 1, 1, 2)


# ------------------------------------------------------------------------------
# CS231n's own checks; the expected values are the ones that its notebook prints
# ------------------------------------------------------------------------------


@fast_and_naive
def test_cs231n_conv_forward(which: str):
    x = np.linspace(-0.1, 0.5, num=2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    w = np.linspace(-0.2, 0.3, num=3 * 3 * 4 * 4).reshape(3, 3, 4, 4)
    b = np.linspace(-0.1, 0.2, num=3)
    out, _ = CONV[which][0](x, w, b, {"stride": 2, "pad": 1})
    printed = [
        [
            [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
            [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
            [[0.50813986, 0.54309974], [0.64082444, 0.67101435]],
        ],
        [
            [[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
            [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
            [[2.36270298, 2.36904306], [2.38090835, 2.38247847]],
        ],
    ]
    assert rel_error(out, printed) < 1e-7


@fast_and_naive
def test_cs231n_conv_backward(which: str, rng: np.random.Generator):
    forward, backward = CONV[which]
    x, w, b = rng.standard_normal((4, 3, 5, 5)), rng.standard_normal((2, 3, 3, 3)), rng.standard_normal(2)
    dout = rng.standard_normal((4, 2, 5, 5))
    param = {"stride": 1, "pad": 1}
    _, cache = forward(x, w, b, param)
    for array, grad in zip((x, w, b), backward(dout, cache), strict=True):
        if which == "naive":
            array, grad = array[:1], grad[:1]  # the rest takes a minute
        numerical = eval_numerical_gradient_array(lambda _: forward(x, w, b, param)[0], array, dout)
        assert rel_error(numerical, grad) < 1e-7


@fast_and_naive
def test_cs231n_max_pool_forward(which: str):
    x = np.linspace(-0.3, 0.4, num=2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    out, _ = MAX_POOL[which][0](x, {"pool_width": 2, "pool_height": 2, "stride": 2})
    printed = [
        [
            [[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
            [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
            [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]],
        ],
        [
            [[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
            [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
            [[0.32631579, 0.34105263], [0.38526316, 0.4]],
        ],
    ]
    assert rel_error(out, printed) < 1e-7


@fast_and_naive
def test_cs231n_max_pool_backward(which: str, rng: np.random.Generator):
    forward, backward = MAX_POOL[which]
    x, dout = rng.standard_normal((3, 2, 8, 8)), rng.standard_normal((3, 2, 4, 4))
    numerical = eval_numerical_gradient_array(lambda x: forward(x, SQUARE)[0], x, dout)
    _, cache = forward(x, SQUARE)
    assert rel_error(numerical, backward(dout, cache)) < 1e-9
