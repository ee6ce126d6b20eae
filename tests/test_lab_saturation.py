"""The lab of assignment 02, and the numbers that its notebook and its quiz rely on."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import experiments
from minigrad.labs import saturation

SEEDS = range(20)


def sigmoid_forward(x):
    """Stand in for the student's."""
    with np.errstate(over="ignore"):
        z = 1 / (1 + np.exp(-x))
    return z, z


def sigmoid_backward(dout, cache):
    return dout * cache * (1 - cache)


def xavier_init(fan_in, fan_out, gain, rng):
    return gain * np.sqrt(2 / (fan_in + fan_out)) * rng.standard_normal((fan_in, fan_out))


def saturated_fraction(out):
    return np.mean((out < 0.01) | (out > 0.99))


FUNCTIONS = {
    "sigmoid_forward": sigmoid_forward,
    "sigmoid_backward": sigmoid_backward,
    "xavier_init": xavier_init,
    "saturated_fraction": saturated_fraction,
}
CORNERS = [(low, high) for low in (-1.0, 0.0, 1.75, 4.0) for high in (2.0, 5.0, 20.0)]


def simulate(log10_gain=0.0, depth=5.0, **functions):
    return saturation.simulate({"log10_gain": log10_gain, "depth": depth}, {**FUNCTIONS, **functions})


def stack(depth, gain, seed):
    """The same measurement without the library: norms of the weight gradients, outputs, slopes."""
    rng = np.random.default_rng(seed)
    h, dout = rng.standard_normal((30, 30)), rng.standard_normal((30, 30))
    inputs, weights, outputs = [], [], []
    for _ in range(depth):
        inputs.append(h)
        weights.append(gain / np.sqrt(30) * rng.standard_normal((30, 30)))
        h = sigmoid_forward(h @ weights[-1])[0]
        outputs.append(h)
    norms = []
    for x, w, z in zip(inputs[::-1], weights[::-1], outputs[::-1], strict=True):
        dz = dout * z * (1 - z)
        norms.append(np.linalg.norm(x.T @ dz))
        dout = dz @ w.T
    return np.array(norms[::-1]), np.array(outputs)


@functools.cache
def ratios(depth, gain):
    """First over last, for each seed."""
    return np.array([norms[0] / norms[-1] for norms, _ in (stack(depth, gain, seed) for seed in SEEDS)])


class TestSimulate:
    def test_the_gradient_is_that_of_the_stack(self):
        """Differences in the sum of dout times the output, along a random direction in each matrix."""
        seen = []

        def recording(*args):
            seen.append(xavier_init(*args))
            return seen[-1]

        simulate(depth=3.0, xavier_init=recording)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((30, 30))
        for _ in range(3):
            rng.standard_normal((30, 30))
        dout = rng.standard_normal((30, 30))

        def loss(weights):
            h = x
            for w in weights:
                h = sigmoid_forward(h @ w)[0]
            return float(np.sum(h * dout))

        norms = simulate(depth=3.0)["gradients"]
        for k, w in enumerate(seen):
            gradient = np.zeros_like(w)
            for position in np.ndindex(w.shape):
                moved = []
                for step in (1e-5, -1e-5):
                    other = [each.copy() for each in seen]
                    other[k][position] += step
                    moved.append(loss(other))
                gradient[position] = (moved[0] - moved[1]) / 2e-5
            assert norms[k] == pytest.approx(np.linalg.norm(gradient), rel=1e-6)

    def test_the_factors_are_the_way_down(self):
        """Undo both factors of the layers above, and the upstream gradient of each is as large as at the top."""
        result = simulate(log10_gain=0.5, depth=6.0)
        assert np.all(result["slope_factors"] <= 0.25)
        flat = simulate(sigmoid_backward=lambda dout, cache: dout / 4)
        np.testing.assert_allclose(flat["slope_factors"], 0.25)
        same = simulate(xavier_init=lambda fan_in, fan_out, gain, rng: gain * np.eye(fan_in), log10_gain=1.0)
        np.testing.assert_allclose(same["weight_factors"], 10.0)

    def test_shares(self):
        result = simulate(
            sigmoid_backward=lambda dout, cache: np.zeros_like(dout), saturated_fraction=lambda out: 0.3
        )
        assert set(result["zeros"]) == {1.0}
        assert set(result["saturated"]) == {0.3}
        assert set(result["gradients"]) == {0.0}

    @pytest.mark.parametrize(("log10_gain", "depth"), CORNERS)
    def test_every_corner_is_drawn_and_said(self, log10_gain, depth):
        result = simulate(log10_gain, depth)
        for name, value in result.items():
            assert np.all(np.isfinite(value)), name
            assert np.ndim(value) == 0 or len(value) == depth, name
        figure = Figure()
        saturation.draw(result, figure)
        figure.canvas.draw()
        assert f"{depth:.0f} layers" in saturation.describe(result)


class TestNumbersInTheNotebook:
    """Each as the text has it, over 20 draws of the weights."""

    def test_vanishing_without_saturation(self):
        assert 2e-6 < ratios(10, 1.0).min() < ratios(10, 1.0).max() < 7e-6  # "a few millionths"
        outputs = [stack(10, 1.0, seed)[1] for seed in SEEDS]
        assert max(np.mean((z < 0.01) | (z > 0.99)) for z in outputs) == 0
        assert max(np.mean((z < 0.1) | (z > 0.9)) for z in outputs) < 0.01  # the quiz: nor with a wide margin

    def test_the_gradient_grows_with_the_weights(self):
        assert 0.05 < np.median(ratios(5, 10**0.5)) < 0.3  # "about 0.1"
        assert 0.3 < np.median(ratios(10, 10.0)) < 3  # "about as large as that of the last"
        assert np.median(ratios(5, 10**1.25)) > 2
        assert all(
            np.median(ratios(depth, gain)) > 0.25 ** (depth - 1) for depth in (5, 10) for gain in (2.0, 30.0)
        )

    @pytest.mark.parametrize("depth", [5, 10])
    def test_and_only_then_collapses(self, depth):
        gains = 10.0 ** np.arange(-1, 4.01, 0.25)
        first = np.median([[stack(depth, gain, seed)[0][0] for gain in gains] for seed in SEEDS], axis=0)
        assert 30 < gains[np.argmax(first)] < 200
        assert np.all(np.diff(first[: np.argmax(first) + 1]) > 0)
        assert np.all(first[gains > 3000] < 1e-50)
        saturated = [
            np.mean((z < 0.01) | (z > 0.99)) for z in (stack(depth, 10**1.75, seed)[1] for seed in SEEDS)
        ]
        assert 0.88 < np.mean(saturated) < 0.94  # "nine of ten"

    @pytest.mark.parametrize(
        ("kind", "share", "left"), [(np.float64, 0.454, 0.0), (np.float32, 0.868, 0.389)]
    )
    def test_exact_zeros(self, kind, share, left):
        x = np.linspace(-400, 400, 100_001).astype(kind)
        z, _ = sigmoid_forward(x)
        zero = z * (1 - z) == 0
        assert z.dtype == kind
        assert np.mean(zero) == pytest.approx(share, abs=0.001)
        assert np.mean(zero & (x < 0)) == pytest.approx(left, abs=0.001)

    def test_mean_slopes(self):
        """By integration: nobody's draws."""
        u = np.linspace(-12, 12, 240_001)
        density = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) * (u[1] - u[0])
        means = [float(np.sum(sigmoid_backward(density, sigmoid_forward(std * u)[0]))) for std in (1, 5)]
        assert means == pytest.approx([0.2066, 0.0753], abs=2e-4)
        inside = float(np.sum(density[np.abs(u) < 0.2]))
        assert inside == pytest.approx(0.1585, abs=1e-3)
        assert inside * 0.1966 > 2 * 0.0156 - 1e-4  # what is printed is below half of what it cannot be below

    def test_the_failing_run(self):
        record = experiments.recorded("deep_sigmoid")
        assert record["gradients"][-1] / record["gradients"][0] > 2000
        assert record["moved"][0] == pytest.approx(0.0036, abs=2e-4)
        assert record["moved"][5] == pytest.approx(0.89, abs=0.02)
        assert record["shallow_accuracy"] > 0.95
