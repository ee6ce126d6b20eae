"""The lab of assignment 09, and the numbers that its notebook and its quiz rely on."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import experiments
from minigrad.experiments.half_precision import BATCH, HELD, first_gradients
from minigrad.experiments.then_and_now import RECIPES
from minigrad.experiments.then_and_now import train as train_recipe
from minigrad.labs import loss_scaling
from minigrad.layers import (
    ffn_block_backward,
    ffn_block_forward,
    gelu_backward,
    gelu_forward,
    gelu_tanh_forward,
)

SEEDS = range(8)


def scale_gradient(dout, config):
    """Stand in for the student's."""
    return (np.float64(dout) * config["scale"]).astype(dout.dtype)


def unscale_gradients(grads, config):
    unscaled = {name: np.float32(g) / np.float32(config["scale"]) for name, g in grads.items()}
    return unscaled, not all(np.isfinite(g).all() for g in grads.values())


FUNCTIONS = {"scale_gradient": scale_gradient, "unscale_gradients": unscale_gradients}


def simulate(log2_scale=0.0, log2_batch=26.0, **functions):
    return loss_scaling.simulate(
        {"log2_scale": log2_scale, "log2_batch": log2_batch}, {**FUNCTIONS, **functions}
    )


class TestSimulate:
    def test_a_number_is_lost_at_or_below_half_of_the_smallest(self):
        """Of the scores' gradients nothing but rounding lies between the two passes: float16 itself is the oracle."""
        for k in (0.0, 2.0, 4.0, 6.0, 38.0):
            result = simulate(log2_scale=k)
            true = loss_scaling._gradients(np.float32, 2.0**26, lambda dscores: dscores)["scores"]
            true = true[true != 0].astype(np.float64) * 2.0**k
            assert result["lost"][0] == np.mean(np.abs(true) <= 2.0**-25)
            assert result["infinite"][0] == np.mean(np.abs(true) >= 65520)

    def test_the_histogram_moves_with_the_scale_and_against_the_batch(self):
        at_0, at_5, other = simulate(0.0)["counts"], simulate(5.0)["counts"], simulate(0.0, 21.0)["counts"]
        np.testing.assert_array_equal(at_0[:-5], at_5[5:])
        np.testing.assert_array_equal(at_5, other)

    def test_the_students_functions_are_the_ones_that_count(self):
        deaf = simulate(20.0, scale_gradient=lambda dout, config: dout)
        assert np.all(deaf["lost"] == 1)
        assert simulate(unscale_gradients=lambda grads, config: (dict(grads), True))["skipped"]
        assert not simulate(40.0, unscale_gradients=lambda grads, config: (dict(grads), False))["skipped"]

    @pytest.mark.parametrize("log2_batch", [7.0, 26.0, 30.0])
    @pytest.mark.parametrize("log2_scale", [-4.0, 0.0, 20.0, 44.0])
    def test_every_corner_is_drawn_and_said(self, log2_scale, log2_batch):
        result = simulate(log2_scale, log2_batch)
        for key in ("lost", "coarse", "infinite"):
            assert np.shape(result[key]) == (len(loss_scaling.ARRAYS),)
            assert np.all((result[key] >= 0) & (result[key] <= 1))
        assert np.all(result["lost"] + result["coarse"] + result["infinite"] <= 1)
        figure = Figure()
        loss_scaling.draw(result, figure)
        figure.canvas.draw()
        assert f"Scale 2^{log2_scale:.0f}" in loss_scaling.describe(result)


@functools.cache
def flat(exponent, kind, seed):
    grads = first_gradients(2.0**exponent, scale_gradient, kind, seed)
    return np.concatenate([grad.ravel() for grad in grads.values()])


def share_lost(exponent, seed):
    return float(np.mean(flat(exponent, np.float16, seed)[flat(0, np.float32, seed) != 0] == 0))


class TestNumbersInTheNotebook:
    def test_why_everything_is_zero(self):
        assert BATCH == 62_914_560
        assert 1 / BATCH < 2.0**-25
        assert np.float16(1 / BATCH) == 0
        assert np.float16(2.0**-25) == 0
        assert np.float16(2.0**-25 * 1.001) == np.float16(2.0**-24)
        assert np.float16(1) + np.float16(0.0004) == 1  # why weights stay in float32

    def test_the_failing_run(self):
        record = experiments.recorded("half_precision")
        assert record["moved"] == 0
        assert record["zeros"] == 1
        assert 0.15 < record["float32_zeros"] < 0.25  # "one in five"
        assert record["accuracy"] < 0.2
        assert record["float32_accuracy"] > 0.97
        assert record["float32_losses"][-20:].mean() < 0.12

    def test_the_window(self):
        """What the exercise asks for, and that its bounds do not hang on the last bit."""
        assert share_lost(4, 1) == pytest.approx(0.238, abs=0.004)
        assert share_lost(11, 1) < 0.008
        assert share_lost(10, 1) > 0.012
        largest = np.abs(flat(0, np.float32, 1)).max()
        assert largest * 2.0**36 < 0.9 * 65504
        assert largest * 2.0**37 > 1.1 * 65504

    def test_the_window_of_other_networks(self):
        smallest, largest = [], []
        for seed in range(6):
            smallest.append(min(k for k in range(8, 14) if share_lost(k, seed) < 0.01))
            largest.append(max(k for k in range(34, 41) if np.isfinite(flat(k, np.float16, seed)).all()))
        assert 9 <= min(smallest) <= max(smallest) <= 12
        assert 35 <= min(largest) <= max(largest) <= 39

    def test_what_the_lab_has_to_find(self):
        assert np.all(simulate(0.0)["lost"] == 1)
        assert np.max(simulate(13.0)["lost"]) < 0.01 < np.max(simulate(12.0)["lost"])
        assert np.max(simulate(38.0)["infinite"]) == 0
        np.testing.assert_array_equal(simulate(39.0)["infinite"] > 0, [False, False, True, True])
        assert np.max(simulate(0.0, 7.0)["lost"]) == 0
        assert simulate(4.0)["lost"][0] == pytest.approx(0.72, abs=0.01)

    def test_a_part_that_is_lost(self):
        """At a scale of 16, what pushes wrong classes down is lost far more often than what pulls the right one up."""
        true = loss_scaling._gradients(np.float32, BATCH, lambda dscores: dscores)["scores"]
        lost = np.float16(16 * true) == 0
        right = true < 0  # p - 1
        assert right.sum() == HELD
        assert lost[right].mean() < 0.05
        assert lost[~right].mean() > 0.75

    def test_half_a_gradient_is_worse_than_it_looks(self):
        ends = [
            experiments.measure("half_precision", {"scale": 16.0}, (seed,))["accuracy"] for seed in range(4)
        ]
        assert max(ends) < 0.96
        assert min(ends) < 0.6

    def test_the_table_of_parts(self):
        record = experiments.recorded("then_and_now")
        mean = dict(zip(RECIPES, record["accuracy"].mean(axis=1), strict=True))
        for name in ("today", "without normalization", "ReLU instead of GELU", "without warm-up"):
            assert 0.85 < mean[name] < 0.96, name
        assert 0.4 < mean["normalized after"] < 0.6
        for name in ("without residual paths", "after, without warm-up", "2016"):
            assert mean[name] < 0.3, name
        ratio = record["ratio"].mean(axis=1)
        assert 0.45 < ratio.min() < ratio.max() < 3.5
        first = dict(zip(RECIPES, record["first_loss"].mean(axis=1), strict=True))
        assert first["without normalization"] > 4 * first["today"]

    def test_the_table_holds_for_its_learning_rate(self):
        """At a tenth of it the place of the normalization is of no account; the residual paths are."""
        functions = experiments.functions_of(experiments.find("then_and_now"))
        seed = int(np.random.default_rng(0).integers(2**32, size=3)[0])
        ends = {
            name: train_recipe(
                replace(RECIPES[name], learning_rate=0.002), functions, np.random.default_rng(seed)
            )["accuracy"]
            for name in ("today", "without residual paths", "after, without warm-up")
        }
        assert ends["today"] > 0.85
        assert ends["after, without warm-up"] > 0.85
        assert 0.4 < ends["without residual paths"] < 0.75

    def test_he_weights_are_too_small_for_fifty_gelus(self):
        draw = np.random.default_rng(0)
        h, caches = draw.standard_normal((32, 64)), []
        for _ in range(50):
            w = draw.standard_normal((64, 64)) * np.sqrt(2 / 64)
            h, cache = gelu_forward(h @ w)
            caches.append((w, cache))
        dout = top = draw.standard_normal(h.shape)
        for w, cache in caches[::-1]:
            dout = gelu_backward(dout, cache) @ w.T
        assert np.linalg.norm(dout) < 1e-4 * np.linalg.norm(top)
        assert h.std() < 1e-5

    def test_the_gelu(self):
        x = np.linspace(-6, 6, 120_001)
        out, cache = gelu_forward(x)
        slope = gelu_backward(np.ones_like(x), cache)
        assert [out.min(), slope.min(), slope.max()] == pytest.approx([-0.170, -0.129, 1.129], abs=1e-3)
        assert [x[out.argmin()], x[slope.argmin()]] == pytest.approx([-0.752, -(2**0.5)], abs=2e-3)
        assert np.abs(out - gelu_tanh_forward(x)[0]).max() == pytest.approx(4.7e-4, abs=1e-5)
        far = gelu_backward(np.ones(2), gelu_forward(np.array([-5.0, -8.0]))[1])
        assert far[0] == pytest.approx(-7.1e-6, rel=0.01)
        assert np.float16(far[1]) == 0

    @pytest.mark.parametrize(("power", "low", "high"), [(0.0, 1e-4, 1e-3), (-0.5, 0.14, 0.2)])
    def test_a_head_that_has_decided(self, power, low, high):
        sizes, largest = [], []
        for seed in SEEDS:
            draw = np.random.default_rng(seed)
            queries, keys = draw.standard_normal((2, 64, 1024))
            logits = 1024.0**power * queries @ keys.T
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            dweights = draw.standard_normal((64, 64))
            dlogits = weights * (dweights - (dweights * weights).sum(axis=1, keepdims=True))
            sizes.append(np.median(np.linalg.norm(dlogits, axis=1)))
            largest.append(weights.max(axis=1).mean())
        assert low < np.median(sizes) < high
        assert (np.min(largest) > 0.9) if power == 0 else (np.max(largest) < 0.15)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_head_whose_queries_and_keys_have_grown(self, seed):
        draw = np.random.default_rng(seed)
        queries, keys = 6 * draw.standard_normal((2, 64, 64))
        dweights = draw.standard_normal((64, 64))
        sizes = []
        for normalize in (False, True):
            if normalize:
                queries, keys = (
                    each / np.sqrt((each**2).mean(axis=1, keepdims=True)) for each in (queries, keys)
                )
            logits = queries @ keys.T / 8
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            dlogits = weights * (dweights - (dweights * weights).sum(axis=1, keepdims=True))
            sizes.append(np.median(np.linalg.norm(dlogits, axis=1)))
        assert sizes[0] < 5e-3
        assert sizes[1] > 0.1

    def test_what_arrives_below_24_blocks(self):
        """The size, with residual paths and without; and whether it points the same way when weights have moved."""

        def arrives(residual: bool, seed: int, moved: float) -> np.ndarray:
            draw, nudge = np.random.default_rng(seed), np.random.default_rng(seed + 1)
            h, caches = draw.standard_normal((16, 32)), []
            for _ in range(24):
                w1, w2 = draw.standard_normal((32, 128)) / 32**0.5, draw.standard_normal((128, 32)) / 128**0.5
                w1, w2 = (w + moved * w.std() * nudge.standard_normal(w.shape) for w in (w1, w2))
                out, cache = ffn_block_forward(
                    h, np.ones(32), np.zeros(32), w1, np.zeros(128), w2, np.zeros(32)
                )
                h = out if residual else out - h
                caches.append(cache)
            dout = top = draw.standard_normal(h.shape)
            for cache in caches[::-1]:
                dx = ffn_block_backward(dout, cache)[0]
                dout = dx if residual else dx - dout
            return dout / np.linalg.norm(top)

        cosines: dict[bool, list[float]] = {True: [], False: []}
        for residual in (True, False):
            for seed in range(5):
                before, after = arrives(residual, seed, 0.0), arrives(residual, seed, 0.1)
                assert 0.5 < np.linalg.norm(before) < 10
                cosines[residual].append(
                    np.sum(before * after) / np.linalg.norm(before) / np.linalg.norm(after)
                )
        assert np.min(cosines[True]) > 0.8
        assert np.max(np.abs(cosines[False])) < 0.5
        assert abs(np.mean(cosines[False])) < 0.3
