import numpy as np
import pytest

from minigrad.loss_scaling import scale_gradient, unscale_gradients, update_scale


def backward(dout: np.ndarray) -> dict[str, np.ndarray]:
    """A network whose gradient is a thousandth of what comes from above, in the precision of that."""
    return {"W": dout * dout.dtype.type(1e-3)}


def test_float16_loses_small_gradients_and_scaling_saves_them():
    dout = np.array([2e-5, -1e-6], np.float16)
    assert not backward(dout)["W"].any()  # 2e-8: below half of the smallest number that float16 has
    config: dict = {}
    grads, overflow = unscale_gradients(backward(scale_gradient(dout, config)), config)
    assert not overflow
    assert grads["W"].dtype == np.float32
    np.testing.assert_allclose(grads["W"], dout.astype(float) * 1e-3, rtol=5e-3)


def test_scaling_by_a_power_of_two_rounds_nothing():
    dout = np.random.default_rng(0).standard_normal(100).astype(np.float16)
    config = {"scale": 2.0**10}
    grads, _ = unscale_gradients({"W": scale_gradient(dout, config)}, config)
    np.testing.assert_array_equal(grads["W"], dout)


def test_an_overflow_is_infinite_and_found():
    config = {"scale": 2.0**20}
    scaled = scale_gradient(np.array([1.0, 1e-3], np.float16), config)
    np.testing.assert_array_equal(np.isinf(scaled), [True, False])
    assert unscale_gradients({"good": np.ones(2), "bad": scaled}, config)[1]
    assert unscale_gradients({"W": np.array([np.nan])}, config)[1]
    assert not unscale_gradients({"W": np.array([65504.0], np.float16), "empty": np.ones(0)}, config)[1]
    assert unscale_gradients({}, config) == ({}, False)


def test_nothing_is_written_to_and_wider_gradients_stay_wide():
    grads = {"W": np.ones(3), "b": np.ones(3, np.float32)}
    for g in grads.values():
        g.flags.writeable = False
    unscaled, _ = unscale_gradients(grads, {"scale": np.float64(4.0)})
    assert [g.dtype for g in unscaled.values()] == [np.float64, np.float32]
    np.testing.assert_array_equal(unscaled["W"], np.full(3, 0.25))
    assert scale_gradient(grads["W"], {"scale": 4.0}).dtype == np.float64


def test_the_dynamic_scale_falls_at_once_and_rises_after_an_interval():
    config = {"scale": 64.0, "interval": 3}
    scales = [
        update_scale(overflow, config)["scale"]
        for overflow in (False, False, True, False, False, False, False, False, False)
    ]
    assert scales == [64, 64, 32, 32, 32, 64, 64, 64, 128]


def test_growth_and_backoff_are_as_asked_for():
    config = {"scale": 100.0, "interval": 1, "growth": 3.0, "backoff": 0.1}
    assert update_scale(False, config)["scale"] == 300
    assert update_scale(True, config)["scale"] == pytest.approx(30)


def test_defaults_and_the_same_dict():
    config = {"mine": "stays"}
    assert update_scale(False, config) is config
    assert config == {
        "mine": "stays", "scale": 2.0**15, "growth": 2.0, "backoff": 0.5, "interval": 2000, "good_steps": 1
    }  # fmt: skip


def test_a_static_scale_stays():
    config = {"scale": 8.0, "interval": None}
    for overflow in (True, False, True):
        assert update_scale(overflow, config)["scale"] == 8


def test_the_scale_does_not_sink_below_one_when_no_scale_can_help():
    config = {"scale": 8.0}
    for _ in range(100):
        update_scale(True, config)
    assert config["scale"] == 1
    assert update_scale(True, {"scale": 0.25})["scale"] == 0.25  # nor does a small one rise


def test_the_search_settles_at_the_largest_scale_that_fits():
    config = {"scale": 2.0**24, "interval": 5}
    dout, steps_made = np.array([0.3], np.float16), 0
    for _ in range(200):
        _, overflow = unscale_gradients({"W": scale_gradient(dout, config)}, config)
        steps_made += not overflow
        update_scale(overflow, config)
    assert config["scale"] in (2.0**17, 2.0**18)  # 0.3 * 2**18 is above 65504
    assert steps_made > 150


@pytest.mark.parametrize("scale", [0.0, -2.0, float("inf"), float("nan")])
def test_impossible_scales_are_refused(scale: float):
    for name, call in (
        ("scale_gradient", lambda: scale_gradient(np.ones(1), {"scale": scale})),
        ("unscale_gradients", lambda: unscale_gradients({}, {"scale": scale})),
        ("update_scale", lambda: update_scale(False, {"scale": scale})),
    ):
        with pytest.raises(ValueError, match=f"{name}: scale must be a positive number"):
            call()
