"""What is true of normalization only: statistics, modes, and the ways in which its gradient is blind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.gradcheck import eval_numerical_gradient_array, rel_error
from minigrad.layers import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
)

BACKWARDS = [batchnorm_backward, batchnorm_backward_alt]
seeds = st.integers(0, 2**32 - 1)
quickly = settings(max_examples=25, deadline=None, derandomize=True, database=None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(231)


def draw(rng: np.random.Generator, *shape: int) -> tuple:
    """Inputs that are not normalized yet, gamma and beta for the second axis, and an upstream gradient."""
    features = shape[1:2]
    return (
        5 * rng.standard_normal(shape) + 12,
        rng.standard_normal(features),
        rng.standard_normal(features),
        rng.standard_normal(shape),
    )


# ------------------------------------------------------------------------------
# Batch normalization: statistics and modes
# ------------------------------------------------------------------------------


def test_each_feature_gets_the_mean_and_the_deviation_it_is_told(rng: np.random.Generator):
    x, *_ = draw(rng, 200, 3)
    gamma, beta = np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])
    out, _ = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    np.testing.assert_allclose(out.mean(axis=0), beta, rtol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), gamma, rtol=1e-6)  # a little less, because of eps


def test_eps_is_added_to_the_variance():
    x = np.array([[-1.0], [1.0]])
    for param, expected in (({}, 1 / np.sqrt(1 + 1e-5)), ({"eps": 3.0}, 0.5), ({"eps": 0}, 1.0)):
        out, _ = batchnorm_forward(x, np.ones(1), np.zeros(1), {"mode": "train", **param})
        np.testing.assert_allclose(out, [[-expected], [expected]], rtol=1e-14)
        out, _ = layernorm_forward(x.T, np.ones(2), np.zeros(2), param)
        np.testing.assert_allclose(out, [[-expected, expected]], rtol=1e-14)


def test_running_statistics_are_averages_of_the_population(rng: np.random.Generator):
    x, gamma, beta, _ = draw(rng, 4, 3)
    bn_param = {
        "mode": "train",
        "running_mean": np.full(3, 2.0),
        "running_var": np.full(3, 5.0),
        "momentum": 0.8,
    }
    batchnorm_forward(x, gamma, beta, bn_param)
    np.testing.assert_allclose(bn_param["running_mean"], 0.8 * 2 + 0.2 * x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(bn_param["running_var"], 0.8 * 5 + 0.2 * x.var(axis=0), rtol=1e-14)


@pytest.mark.parametrize(
    ("forward", "shape"), [(batchnorm_forward, (6, 3)), (spatial_batchnorm_forward, (2, 3, 4, 5))]
)
def test_running_statistics_start_at_zero_with_a_momentum_of_nine_tenths(forward, shape, rng):
    x, gamma, beta, _ = draw(rng, *shape)
    bn_param = {"mode": "train"}
    forward(x, gamma, beta, bn_param)
    others = tuple(axis for axis in range(x.ndim) if axis != 1)
    np.testing.assert_allclose(bn_param["running_mean"], 0.1 * x.mean(axis=others))
    np.testing.assert_allclose(bn_param["running_var"], 0.1 * x.var(axis=others))


def test_the_arrays_of_the_caller_are_replaced_and_not_written_to(rng: np.random.Generator):
    x, gamma, beta, _ = draw(rng, 4, 3)
    mean, var = np.zeros(3), np.ones(3)
    batchnorm_forward(x, gamma, beta, {"mode": "train", "running_mean": mean, "running_var": var})
    assert not mean.any()
    assert (var == 1).all()


def test_evaluation_uses_the_running_statistics_and_leaves_them_alone(rng: np.random.Generator):
    x, gamma, beta, _ = draw(rng, 4, 3)
    bn_param = {
        "mode": "test",
        "running_mean": np.array([1.0, 2.0, 3.0]),
        "running_var": np.array([4.0, 9.0, 1.0]),
    }
    before = dict(bn_param)
    out, _ = batchnorm_forward(x, gamma, beta, bn_param)
    expected = gamma * (x - [1, 2, 3]) / np.sqrt(np.array([4, 9, 1]) + 1e-5) + beta
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    assert bn_param.keys() == before.keys()
    assert all(bn_param[key] is before[key] for key in before)


def test_evaluation_before_any_training_takes_statistics_of_zero():
    out, _ = batchnorm_forward(np.array([[2.0]]), np.ones(1), np.zeros(1), {"mode": "test", "eps": 4.0})
    assert out == 1  # (2 - 0) / sqrt(0 + 4)


def test_evaluation_does_not_depend_on_the_batch(rng: np.random.Generator):
    x, gamma, beta, _ = draw(rng, 8, 3)
    bn_param = {"mode": "train", "momentum": 0.0}
    whole_in_training, _ = batchnorm_forward(x, gamma, beta, bn_param)
    bn_param["mode"] = "test"
    whole, _ = batchnorm_forward(x, gamma, beta, bn_param)
    alone = [batchnorm_forward(row[None], gamma, beta, bn_param)[0][0] for row in x]
    np.testing.assert_allclose(whole, alone, rtol=1e-14)
    np.testing.assert_allclose(whole, whole_in_training, rtol=1e-9)  # momentum 0: this batch is all there was


def test_running_statistics_in_float64_do_not_widen_float32(rng: np.random.Generator):
    x, gamma, beta, _ = (each.astype(np.float32) for each in draw(rng, 4, 3))
    for mode in ("train", "test"):
        bn_param = {
            "mode": mode,
            "running_mean": np.zeros(3, int),
            "running_var": np.ones(3),
            "momentum": np.float64(0.9),
        }
        out, _ = batchnorm_forward(x, gamma, beta, bn_param)
        assert out.dtype == np.float32
        assert bn_param["running_var"].dtype == np.float64
    fresh = {"mode": "train", "eps": np.float64(1e-5), "momentum": np.float64(0.5)}
    out, _ = batchnorm_forward(x, gamma, beta, fresh)
    assert out.dtype == fresh["running_mean"].dtype == fresh["running_var"].dtype == np.float32


def test_arguments_of_different_precision_are_taken_in_the_wider():
    x = np.array([[1.0], [3.0]], np.float32)
    out, _ = batchnorm_forward(x, np.ones(1), np.zeros(1), {"mode": "train"})
    assert out.dtype == np.float64
    out, _ = batchnorm_forward(
        x, np.ones(1), np.array([1j]), {"mode": "train"}
    )  # a complex step in beta alone
    assert (out.imag == 1).all()


@pytest.mark.parametrize(
    ("forward", "x"),
    [(batchnorm_forward, np.ones((2, 3))), (spatial_batchnorm_forward, np.ones((2, 3, 1, 1)))],
)
@pytest.mark.parametrize(
    ("param", "words"),
    [
        ({}, 'mode must be "train" or "test", not None'),
        ({"mode": "eval"}, "mode must be .* not 'eval'"),
        ({"mode": "train", "eps": -1e-5}, "eps must be finite and not negative, not -1e-05"),
        ({"mode": "train", "eps": float("nan")}, "eps must"),
        ({"mode": "train", "momentum": 1.5}, "momentum must be between 0 and 1, not 1.5"),
        (
            {"mode": "train", "running_var": np.ones(2)},
            r"running_var has shape \(2,\) but x has shape \(2, 3",
        ),
        (
            {"mode": "test", "running_mean": np.ones((1, 3))},
            r"running_mean has shape \(1, 3\) but x has shape \(2, 3",
        ),
    ],
)
def test_impossible_values_are_refused_in_words(forward, x, param: dict, words: str):
    before = dict(param)
    with pytest.raises(ValueError, match=f"{forward.__name__}: {words}"):
        forward(x, np.ones(3), np.zeros(3), param)
    assert param.keys() == before.keys()  # nothing half done


def test_a_batch_of_one_comes_out_as_beta_and_sends_nothing_back(rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 1, 5)
    out, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    np.testing.assert_array_equal(out, beta[None])
    for backward in BACKWARDS:
        dx, dgamma, dbeta = backward(dout, cache)
        assert not dx.any()
        assert not dgamma.any()
        np.testing.assert_array_equal(dbeta, dout[0])


def test_an_empty_batch_can_be_evaluated_but_not_trained_on():
    gamma, beta = np.ones(3), np.zeros(3)
    for forward, backward, shape in (
        (batchnorm_forward, batchnorm_backward, (0, 3)),
        (batchnorm_forward, batchnorm_backward_alt, (0, 3)),
        (spatial_batchnorm_forward, spatial_batchnorm_backward, (0, 3, 2, 2)),
    ):
        out, cache = forward(np.ones(shape), gamma, beta, {"mode": "test"})
        assert [grad.shape for grad in backward(out, cache)] == [shape, (3,), (3,)]
        with pytest.raises(ValueError, match=r"x has shape \(0, 3.*no mean of no numbers"):
            forward(np.ones(shape), gamma, beta, {"mode": "train"})


def test_no_features_is_nothing_to_average():
    with pytest.raises(ValueError, match=r"layernorm_forward: x has shape \(2, 0\)"):
        layernorm_forward(np.ones((2, 0)), np.ones(0), np.ones(0), {})
    with pytest.raises(ValueError, match=r"spatial_groupnorm_forward: x has shape \(2, 4, 0, 3\)"):
        spatial_groupnorm_forward(np.ones((2, 4, 0, 3)), np.ones(4), np.ones(4), 2, {})


# ------------------------------------------------------------------------------
# Batch normalization: the gradient
# ------------------------------------------------------------------------------


@quickly
@given(n=st.integers(1, 12), d=st.integers(1, 6), mode=st.sampled_from(["train", "test"]), seed=seeds)
def test_staged_and_simplified_are_equal(n: int, d: int, mode: str, seed: int):
    x, gamma, beta, dout = draw(np.random.default_rng(seed), n, d)
    _, cache = batchnorm_forward(x, gamma, beta, {"mode": mode})
    scale = abs(gamma / cache[1]).max() * abs(dout).max()  # of what cancels in dx
    for one, other in zip(batchnorm_backward(dout, cache), batchnorm_backward_alt(dout, cache), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("backward", BACKWARDS)
def test_the_gradient_neither_shifts_nor_stretches_a_feature(backward, rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 40, 6)
    _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    dx, *_ = backward(dout, cache)
    np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-12)
    xc = x - x.mean(axis=0)
    np.testing.assert_allclose((dx * xc).sum(axis=0), 0, atol=1e-5)  # eps / variance remains
    assert abs(dx).max() > 0.1


@pytest.mark.parametrize("backward", BACKWARDS)
def test_in_a_batch_of_two_hardly_any_gradient_is_left(backward, rng: np.random.Generator):
    _, gamma, beta, dout = draw(rng, 2, 6)
    x = np.stack([np.zeros(6), rng.uniform(1, 9, 6)])  # far apart, compared with eps
    _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    dx, *_ = backward(dout, cache)
    straight, *_ = backward(dout, (*cache[:3], False))  # as if the statistics were constants
    assert abs(dx).max() < 1e-3 * abs(straight).max()


def test_larger_weights_below_make_smaller_gradients(rng: np.random.Generator):
    """The output does not change, so the slope has to."""
    x, gamma, beta, dout = draw(rng, 20, 3)
    gradients = []
    for scale in (1.0, 10.0):
        _, cache = batchnorm_forward(scale * x, gamma, beta, {"mode": "train", "eps": 1e-12})
        gradients.append(batchnorm_backward_alt(dout, cache)[0])
    np.testing.assert_allclose(gradients[1], gradients[0] / 10, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("backward", BACKWARDS)
def test_in_evaluation_each_example_has_a_gradient_of_its_own(backward, rng: np.random.Generator):
    x, gamma, beta, _ = draw(rng, 4, 3)
    _, cache = batchnorm_forward(x, gamma, beta, {"mode": "test", "running_var": np.full(3, 4.0), "eps": 0.0})
    dout = np.zeros((4, 3))
    dout[1] = 1
    dx, dgamma, dbeta = backward(dout, cache)
    np.testing.assert_allclose(dx[1], gamma / 2)
    assert not dx[[0, 2, 3]].any()
    np.testing.assert_allclose(dgamma, x[1] / 2)
    np.testing.assert_array_equal(dbeta, np.ones(3))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
def test_a_constant_feature_is_finite(value: float):
    for dtype in (np.float32, np.float64):
        x = np.full((7, 2), value, dtype)
        x[:, 1] = np.arange(7)
        one, zero = np.ones(2, dtype), np.zeros(2, dtype)
        out, cache = batchnorm_forward(x, one, zero, {"mode": "train"})
        noise = 4 * np.finfo(dtype).eps * value / np.sqrt(1e-5)
        assert abs(out[:, 0]).max() <= noise
        for backward in BACKWARDS:
            assert np.isfinite(backward(x, cache)[0]).all()


def test_float32_far_from_zero_keeps_its_variance():
    """mean(x**2) - mean(x)**2 would be off by more than the variance."""
    x = (1e4 + np.random.default_rng(0).standard_normal((64, 5))).astype(np.float32)
    one, zero = np.ones(5, np.float32), np.zeros(5, np.float32)
    out, _ = batchnorm_forward(x, one, zero, {"mode": "train"})
    wide, _ = batchnorm_forward(x.astype(float), one, zero, {"mode": "train"})
    assert abs(out - wide).max() < 1e-2
    out, _ = layernorm_forward(x, one, zero, {})
    wide, _ = layernorm_forward(x.astype(float), one, zero, {})
    assert abs(out - wide).max() < 1e-2


# ------------------------------------------------------------------------------
# One kind of normalization told by another
# ------------------------------------------------------------------------------


@quickly
@given(n=st.integers(1, 6), d=st.integers(1, 6), seed=seeds)
def test_layernorm_is_batchnorm_of_the_transpose(n: int, d: int, seed: int):
    x = draw(np.random.default_rng(seed), n, d)[0]
    rows, _ = layernorm_forward(x, np.ones(d), np.zeros(d), {})
    columns, _ = batchnorm_forward(x.T, np.ones(n), np.zeros(n), {"mode": "train"})
    np.testing.assert_allclose(rows, columns.T, rtol=1e-9, atol=1e-11)


def test_layernorm_takes_every_example_by_itself(rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 5, 7)
    out, cache = layernorm_forward(x, gamma, beta, {})
    dx, dgamma, dbeta = layernorm_backward(dout, cache)
    singles = []
    for row, up in zip(x, dout, strict=True):
        alone, single = layernorm_forward(row[None], gamma, beta, {})
        singles.append((alone, *layernorm_backward(up[None], single)))
    np.testing.assert_allclose(out, [s[0][0] for s in singles], rtol=1e-12)
    np.testing.assert_allclose(dx, [s[1][0] for s in singles], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(dgamma, sum(s[2] for s in singles))
    np.testing.assert_allclose(dbeta, sum(s[3] for s in singles))


@pytest.mark.parametrize("mode", ["train", "test"])
@quickly
@given(n=st.integers(1, 3), c=st.integers(1, 3), h=st.integers(1, 4), w=st.integers(1, 4), seed=seeds)
def test_spatial_batchnorm_is_batchnorm_of_the_pixels(mode: str, n: int, c: int, h: int, w: int, seed: int):
    x, gamma, beta, dout = draw(np.random.default_rng(seed), n, c, h, w)

    def rows(images):
        return images.transpose(0, 2, 3, 1).reshape(-1, c)

    ours, theirs = {"mode": mode}, {"mode": mode}
    out, cache = spatial_batchnorm_forward(x, gamma, beta, ours)
    flat, flat_cache = batchnorm_forward(rows(x), gamma, beta, theirs)
    np.testing.assert_allclose(rows(out), flat, rtol=1e-9, atol=1e-11)
    assert ours.keys() == theirs.keys()
    for key in ours.keys() - {"mode"}:
        np.testing.assert_allclose(ours[key], theirs[key])
    dx, dgamma, dbeta = spatial_batchnorm_backward(dout, cache)
    flat_dx, flat_dgamma, flat_dbeta = batchnorm_backward(rows(dout), flat_cache)
    scale = abs(gamma / cache[1]).max() * abs(dout).max()
    np.testing.assert_allclose(rows(dx), flat_dx, rtol=1e-8, atol=1e-12 * scale)
    np.testing.assert_allclose(dgamma, flat_dgamma, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(dbeta, flat_dbeta, rtol=1e-8, atol=1e-12)


def test_one_group_is_layernorm_of_the_whole_image(rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 2, 4, 3, 5)
    out, cache = spatial_groupnorm_forward(x, gamma, beta, 1, {})
    each = [np.repeat(array, 15) for array in (gamma, beta)]
    flat, flat_cache = layernorm_forward(x.reshape(2, -1), *each, {})
    np.testing.assert_allclose(out.reshape(2, -1), flat, rtol=1e-12)
    dx, dgamma, dbeta = spatial_groupnorm_backward(dout, cache)
    flat_dx, flat_dgamma, flat_dbeta = layernorm_backward(dout.reshape(2, -1), flat_cache)
    np.testing.assert_allclose(dx.reshape(2, -1), flat_dx, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(dgamma, flat_dgamma.reshape(4, -1).sum(axis=1))
    np.testing.assert_allclose(dbeta, flat_dbeta.reshape(4, -1).sum(axis=1))


def test_a_group_for_each_channel_is_batchnorm_of_one_image(rng: np.random.Generator):
    x, gamma, beta, _ = draw(rng, 2, 4, 3, 5)
    out, _ = spatial_groupnorm_forward(x, gamma, beta, 4, {})
    for n in range(2):
        alone, _ = spatial_batchnorm_forward(x[n : n + 1], gamma, beta, {"mode": "train"})
        np.testing.assert_allclose(out[n], alone[0], rtol=1e-11)


def test_gradients_of_groupnorm_have_the_shape_that_gamma_came_in(rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 2, 6, 3, 2)
    results = []
    for shape in ((6,), (1, 6, 1, 1)):
        _, cache = spatial_groupnorm_forward(x, gamma.reshape(shape), beta.reshape(shape), 3, {})
        results.append(spatial_groupnorm_backward(dout, cache))
        assert results[-1][1].shape == results[-1][2].shape == shape
    np.testing.assert_array_equal(results[0][1], results[1][1].ravel())
    np.testing.assert_array_equal(results[0][0], results[1][0])


@pytest.mark.parametrize("G", [0, -1, 4, 12, 2.0, None, "2"])
def test_groups_that_do_not_come_out_even_are_refused(G):
    with pytest.raises(
        ValueError, match=r"spatial_groupnorm_forward: x has shape \(2, 6, 4, 5\).*equal groups"
    ):
        spatial_groupnorm_forward(np.ones((2, 6, 4, 5)), np.ones(6), np.zeros(6), G, {})


def test_a_numpy_integer_is_a_number_of_groups():
    out, _ = spatial_groupnorm_forward(np.ones((2, 6, 4, 5)), np.ones(6), np.zeros(6), np.int64(3), {})
    assert not out.any()


# ------------------------------------------------------------------------------
# CS231n's own checks, as its notebooks make them
# ------------------------------------------------------------------------------


def test_cs231n_running_averages_after_a_warm_up(rng: np.random.Generator):
    w1, w2 = rng.standard_normal((50, 60)), rng.standard_normal((60, 3))
    bn_param = {"mode": "train"}
    gamma, beta = np.ones(3), np.zeros(3)
    for _ in range(50):
        batchnorm_forward(np.maximum(0, rng.standard_normal((200, 50)) @ w1) @ w2, gamma, beta, bn_param)
    bn_param["mode"] = "test"
    out, _ = batchnorm_forward(np.maximum(0, rng.standard_normal((200, 50)) @ w1) @ w2, gamma, beta, bn_param)
    assert abs(out.mean(axis=0)).max() < 0.3  # "close to zero and one, but noisier"
    assert abs(out.std(axis=0) - 1).max() < 0.3


@pytest.mark.parametrize("backward", BACKWARDS)
def test_cs231n_batchnorm_backward(backward, rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 4, 5)
    bn_param = {"mode": "train"}
    _, cache = batchnorm_forward(x, gamma, beta, bn_param)
    grads = backward(dout, cache)
    for array, grad in zip((x, gamma, beta), grads, strict=True):
        numerical = eval_numerical_gradient_array(
            lambda _: batchnorm_forward(x, gamma, beta, bn_param)[0], array, dout
        )
        assert rel_error(numerical, grad) < 1e-7


def test_cs231n_batchnorm_backward_alt(rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 100, 500)
    _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    for one, other in zip(batchnorm_backward(dout, cache), batchnorm_backward_alt(dout, cache), strict=True):
        assert rel_error(one, other) < 1e-9


def test_cs231n_layernorm(rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 4, 5)
    out, _ = layernorm_forward(x, np.full(5, 3.0), np.full(5, 5.0), {})
    np.testing.assert_allclose(out.mean(axis=1), 5)
    np.testing.assert_allclose(out.std(axis=1), 3, rtol=1e-5)
    _, cache = layernorm_forward(x, gamma, beta, {})
    grads = layernorm_backward(dout, cache)
    for array, grad in zip((x, gamma, beta), grads, strict=True):
        numerical = eval_numerical_gradient_array(
            lambda _: layernorm_forward(x, gamma, beta, {})[0], array, dout
        )
        assert rel_error(numerical, grad) < 1e-7


def test_cs231n_spatial_batchnorm(rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 2, 3, 4, 5)
    out, _ = spatial_batchnorm_forward(x, np.array([3, 4, 5]), np.array([6, 7, 8]), {"mode": "train"})
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), [6, 7, 8])
    np.testing.assert_allclose(out.std(axis=(0, 2, 3)), [3, 4, 5], rtol=1e-5)
    bn_param = {"mode": "train"}
    _, cache = spatial_batchnorm_forward(x, gamma, beta, bn_param)
    grads = spatial_batchnorm_backward(dout, cache)
    for array, grad in zip((x, gamma, beta), grads, strict=True):
        numerical = eval_numerical_gradient_array(
            lambda _: spatial_batchnorm_forward(x, gamma, beta, bn_param)[0], array, dout
        )
        assert rel_error(numerical, grad) < 1e-6


def test_cs231n_spatial_groupnorm(rng: np.random.Generator):
    x, gamma, beta, dout = draw(rng, 2, 6, 4, 5)
    gamma, beta = gamma.reshape(1, 6, 1, 1), beta.reshape(1, 6, 1, 1)
    out, _ = spatial_groupnorm_forward(x, np.ones((1, 6, 1, 1)), np.zeros((1, 6, 1, 1)), 2, {"mode": "train"})
    groups = out.reshape(4, -1)
    np.testing.assert_allclose(groups.mean(axis=1), 0, atol=1e-13)
    np.testing.assert_allclose(groups.std(axis=1), 1, rtol=1e-5)
    _, cache = spatial_groupnorm_forward(x, gamma, beta, 2, {})
    grads = spatial_groupnorm_backward(dout, cache)
    for array, grad in zip((x, gamma, beta), grads, strict=True):
        numerical = eval_numerical_gradient_array(
            lambda _: spatial_groupnorm_forward(x, gamma, beta, 2, {})[0], array, dout
        )
        assert rel_error(numerical, grad) < 1e-6
