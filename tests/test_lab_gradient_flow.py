"""The lab of assignment 04, and the numbers that its notebook and its quiz rely on."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import experiments, layers
from minigrad.experiments import _depth
from minigrad.labs import gradient_flow
from minigrad.losses import svm_loss

SEEDS = range(20)
CORNERS = [(low, high) for low in (0.4, 1.0, 2.0) for high in (2.0, 20.0, 50.0)]


def he_init(fan_in, fan_out, rng):
    """Stand in for the student's."""
    return np.sqrt(2 / fan_in) * rng.standard_normal((fan_in, fan_out))


def simulate(factor=1.0, depth=20.0, seed=0.0, **functions):
    parameters = {"factor": factor, "depth": depth, "seed": seed}
    return gradient_flow.simulate(parameters, {"he_init": he_init, **functions})


def norm(a):
    return np.linalg.norm(a)


@functools.cache
def chain(depth, factor, bias, seed):
    """The notebook's, without the library: weights, gradients of outputs, gradients of weights."""
    rng = np.random.default_rng(seed)
    h, dout = rng.standard_normal((32, 50)), rng.standard_normal((32, 50))
    inputs, weights, active = [], [], []
    for _ in range(depth):
        inputs.append(h)
        weights.append(factor * he_init(50, 50, rng))
        z = h @ weights[-1] + bias * rng.standard_normal(50)
        active.append(z > 0)
        h = np.maximum(z, 0)
    da, dw = [], []
    for x, w, on in zip(inputs[::-1], weights[::-1], active[::-1], strict=True):
        da.append(dout)
        dz = dout * on
        dw.append(x.T @ dz)
        dout = dz @ w.T
    return weights, da[::-1], dw[::-1]


@functools.cache
def stack(factor, shortcut, scale, seed):
    """Fifty blocks: growth of the signal, and of the gradient."""
    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal((16, 50)), rng.standard_normal((16, 50))
    start, end, blocks = norm(x), norm(dout), []
    for _ in range(50):
        w1, w2 = factor * he_init(50, 50, rng), factor * he_init(50, 50, rng)
        z = x @ w1
        blocks.append((w1, w2, z > 0))
        x = shortcut * x + scale * np.maximum(z, 0) @ w2
    for w1, w2, on in blocks[::-1]:
        dout = shortcut * dout + (scale * dout @ w2.T * on) @ w1.T
    return norm(x) / start, norm(dout) / end


class TestSimulate:
    def test_the_gradients_are_those_of_the_chain(self):
        """Differences in the sum of dout times the output, along each weight of a layer."""
        seen = []

        def recording(*args):
            seen.append(he_init(*args))
            return seen[-1]

        result = simulate(depth=3.0, he_init=recording)
        rng = np.random.default_rng(0)
        x, dout = rng.standard_normal((32, 50)), rng.standard_normal((32, 50))

        def loss(weights):
            h = x
            for w in weights:
                h = np.maximum(h @ w, 0)
            return float(np.sum(h * dout))

        for k, w in enumerate(seen):
            gradient = np.zeros_like(w)
            for position in np.ndindex(w.shape):
                moved = []
                for step in (1e-6, -1e-6):
                    other = [each.copy() for each in seen]
                    other[k][position] += step
                    moved.append(loss(other))
                gradient[position] = (moved[0] - moved[1]) / 2e-6
            assert result["weight_gradients"][k] == pytest.approx(norm(gradient), rel=1e-3)  # there are kinks

    def test_it_is_the_chain_of_the_notebook(self):
        result = simulate(0.7, 6.0, 3.0)
        weights, da, dw = chain_without_bias_draws(6, 0.7, 3)
        assert len(weights) == 6
        np.testing.assert_allclose(result["gradients"], [norm(g) for g in da])
        np.testing.assert_allclose(result["weight_gradients"], [norm(g) for g in dw])

    @pytest.mark.parametrize(("factor", "depth"), CORNERS)
    def test_every_corner_is_drawn_and_said(self, factor, depth):
        result = simulate(factor, depth)
        for name, value in result.items():
            assert np.all(np.isfinite(value)), name
            assert np.ndim(value) == 0 or len(value) == depth, name
        figure = Figure()
        gradient_flow.draw(result, figure)
        figure.canvas.draw()
        assert f"{depth:.0f} layers" in gradient_flow.describe(result)

    @pytest.mark.parametrize("value", [0.0, np.nan])
    def test_a_broken_he_init_is_drawn_and_said(self, value):
        """`np.sqrt(2 // fan_in)` is 0: nothing but the first number on each side has a place on a log axis."""
        result = simulate(he_init=lambda fan_in, fan_out, rng: np.full((fan_in, fan_out), value))
        figure = Figure()
        gradient_flow.draw(result, figure)
        figure.canvas.draw()
        assert "20 layers" in gradient_flow.describe(result)


def chain_without_bias_draws(depth, factor, seed):
    """As `chain`, drawing nothing for biases, which is how the lab draws."""
    rng = np.random.default_rng(seed)
    h, dout = rng.standard_normal((32, 50)), rng.standard_normal((32, 50))
    layers = []
    for _ in range(depth):
        w = factor * he_init(50, 50, rng)
        z = h @ w
        layers.append((h, w, z > 0))
        h = np.maximum(z, 0)
    da, dw = [], []
    for x, w, on in layers[::-1]:
        da.append(dout)
        dw.append(x.T @ (dout * on))
        dout = (dout * on) @ w.T
    return [w for _, w, _ in layers], da[::-1], dw[::-1]


class TestNumbersInTheNotebook:
    """Each as the text has it, over 20 draws of the weights."""

    def test_three_sizes_of_the_weights(self):
        run = experiments.recorded("weight_scales")
        assert run["accuracy"] == pytest.approx([0.506, 0.992, 0.494], abs=0.01)
        assert run["losses"][0] == pytest.approx(1, abs=0.03)  # a flat line
        assert run["losses"][1, -1] < 0.05
        assert 1e12 < run["losses"][2, 0] < 1e13  # "thirteen digits"
        assert np.isnan(run["losses"][2, 1])
        arrives, weights = run["activation_gradients"], run["weight_gradients"]
        assert arrives[0, 0] / arrives[0, -1] < 1e-20
        assert arrives[2, 0] / arrives[2, -1] > 1e13
        spread = weights.max(axis=1) / weights.min(axis=1)
        assert spread == pytest.approx([17.7, 17.7, 74.2], abs=0.3)  # "a factor of 18, or of 74"
        assert 2.5e-21 < weights[0].min() < weights[0].max() < 6e-20
        assert experiments.recorded("deep_residual")["losses"][0] == pytest.approx(1.3e12, rel=0.05)

    def test_a_nudge_of_the_small_weights_is_rounded_away(self):
        parts = experiments.find("deep_plain").layers(0.1, vars(layers), np.random.default_rng(0))
        x, y = _depth.data(2)

        def loss():
            h = x[:32]
            for part in parts:
                h = part.forward(h)
            return svm_loss(h, y[:32])

        _, dout = loss()
        for part in reversed(parts):
            dout = part.backward(dout)
        for affine in parts[::2]:
            w, gradient = affine.params["w"], np.abs(affine.grads["w"])
            largest = np.unravel_index(gradient.argmax(), w.shape)
            before, moved = w[largest], []
            for step in (1e-5, -1e-5):
                w[largest] = before + step
                moved.append(loss()[0])
            w[largest] = before
            assert 1e-27 < 1e-5 * gradient[largest] < 1e-24
            assert moved[0] == moved[1]  # "the centred difference is exactly 0"

    @pytest.mark.parametrize("depth", [20, 50])
    @pytest.mark.parametrize("factor", [0.4, 0.6, 1.0, 2.0])
    def test_weight_gradients_are_flat_without_biases(self, depth, factor):
        for seed in SEEDS:
            weights, _, dw = chain_without_bias_draws(depth, factor, seed)
            sizes = [norm(g) for g in dw]
            assert max(sizes) / min(sizes) < 20
            sums = [np.sum(w * g) for w, g in zip(weights, dw, strict=True)]
            assert max(sums) / min(sums) == pytest.approx(1, abs=1e-10)

    def test_what_the_exercise_measures(self):
        for seed in SEEDS:
            _, da, dw = chain(20, 0.5, 0.0, seed)
            assert 5e-7 < norm(da[0]) / norm(da[-1]) < 5e-6
            assert 0.3 < norm(dw[0]) / norm(dw[-1]) < 3
        _, da, dw = chain(20, 0.5, 0.0, 0)
        assert norm(da[-1]) / norm(da[0]) == pytest.approx(5.2e5, rel=0.02)  # "500,000"
        assert norm(dw[0]) / norm(dw[-1]) == pytest.approx(1.38, abs=0.01)

    def test_biases_end_it(self):
        for seed in SEEDS:
            _, _, dw = chain(20, 0.5, 0.1, seed)
            assert 8e-6 < norm(dw[0]) / norm(dw[-1]) < 1e-4  # "0.00003"
            _, _, dw = chain(20, 1.5, 0.1, seed)
            assert 0.2 < norm(dw[0]) / norm(dw[-1]) < 5

    def test_the_mean_of_many_networks_and_the_one_in_the_middle(self):
        rng = np.random.default_rng(0)
        growth = []
        for _ in range(150):
            h = rng.standard_normal((1, 100))
            start = np.mean(h**2)
            for _ in range(50):
                h = np.maximum(h @ he_init(100, 100, rng), 0)
            growth.append(np.mean(h**2) / start)
        assert np.mean(growth) == pytest.approx(1, abs=0.45)
        assert np.median(growth) == pytest.approx(0.29, abs=0.1)
        assert np.mean(np.array(growth) < 0.5) == pytest.approx(0.64, abs=0.1)

    def test_how_far_a_network_strays_depends_on_depth_over_width(self):
        def median(depth, width):
            rng = np.random.default_rng(0)
            growth = []
            for _ in range(150):
                h = rng.standard_normal((1, width))
                start = np.mean(h**2)
                for _ in range(depth):
                    h = np.maximum(h @ he_init(width, width, rng), 0)
                growth.append(np.mean(h**2) / start)
            return np.median(growth)

        assert median(25, 50) == pytest.approx(0.28, abs=0.1)  # "about as much as 50 layers of 100"
        assert median(50, 25) < 0.03

    def test_the_mean_square_of_the_singular_values_multiplies_and_the_largest_does_not(self):
        squares, largest, lost = [], [], []
        for seed in range(100):
            rng = np.random.default_rng(seed)
            h, product = rng.standard_normal((1, 50)), np.eye(50)
            for _ in range(50):
                w = he_init(50, 50, rng)
                h = np.maximum(h @ w, 0)
                product = product @ (w * (h > 0))
            values = np.linalg.svd(product, compute_uv=False)
            squares.append(np.mean(values**2))
            largest.append(values[0])
            lost.append(np.mean(values < 1e-3 * values[0]))
        assert 0.4 < np.mean(squares) < 2.5
        assert np.median(largest) < 10
        assert np.mean(lost) == pytest.approx(0.9, abs=0.03)  # "nine directions in ten"

    @pytest.mark.parametrize(
        ("factor", "shortcut", "scale", "low", "high"),
        [
            (0.41, 0.0, 1.0, 1e-34, 1e-30),
            (1.0, 0.0, 1.0, 1e5, 1e9),
            (0.41, 1.0, 1.0, 3, 5),
            (1.0, 1.0, 1.0, 5e10, 1e13),
            (1.0, 1.0, 0.1, 1.4, 1.9),
        ],
    )
    def test_fifty_blocks(self, factor, shortcut, scale, low, high):
        for seed in SEEDS:
            assert all(low < growth < high for growth in stack(factor, shortcut, scale, seed))

    def test_the_formula_of_the_scale(self):
        for scale in (0.02, 0.1, 0.2, 0.5):
            up, down = np.mean([stack(1.0, 1.0, scale, seed) for seed in SEEDS], axis=0)
            assert up == pytest.approx((1 + 2 * scale**2) ** 25, rel=0.25)
            assert down == pytest.approx((1 + 2 * scale**2) ** 25, rel=0.25)

    def test_clipping_turns_the_gradient_or_does_not(self):
        def angle(a, b):
            return np.degrees(np.arccos(np.clip(np.sum(a * b) / (norm(a) * norm(b)), -1, 1)))

        for seed in SEEDS:
            _, _, dw = chain(20, 0.6, 0.1, seed)
            whole = np.array(dw)
            assert norm(whole) > 10
            assert 40 < angle(whole, np.clip(whole, -0.1, 0.1)) < 56
            ratio = norm(whole[0]) / norm(whole[-1])
            assert 2e-4 < ratio < 2e-3
            cut = np.clip(whole, -0.1, 0.1)
            assert norm(cut[0]) / norm(cut[-1]) > 4 * ratio
            assert norm(cut[0]) == pytest.approx(norm(whole[0]))  # "because the last layer was cut down"

    def test_inputs_come_to_look_alike(self):
        def mean_cosine(h):
            rows = h / np.sqrt(np.sum(h**2, axis=1, keepdims=True))
            return (np.sum(rows @ rows.T) - len(h)) / (len(h) * (len(h) - 1))

        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            plain = residual = rng.standard_normal((16, 50))
            for _ in range(50):
                plain = np.maximum(plain @ he_init(50, 50, rng), 0)
                residual = residual + 0.1 * np.maximum(residual @ he_init(50, 50, rng), 0) @ he_init(
                    50, 50, rng
                )
            assert mean_cosine(plain) > 0.93
            assert mean_cosine(residual) < 0.6

    def test_the_listing_of_the_tutorial_prints_other_numbers(self):
        """Ten layers of 50, no biases, one example, weights of 0.1, the sum of the outputs as the loss."""
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            h, layers = rng.standard_normal((1, 50)), []
            for _ in range(10):
                w = 0.1 * rng.standard_normal((50, 50))
                z = h @ w
                layers.append((h, w, z > 0))
                h = np.maximum(z, 0)
            dout, printed = np.ones_like(h), []
            for x, w, on in layers[::-1]:
                printed.append(norm(x.T @ (dout * on)))
                dout = (dout * on) @ w.T
            assert max(printed) / min(printed) < 8  # and not 25-fold in each layer
