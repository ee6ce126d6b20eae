"""The lab of assignment 05, the graph that it draws, and the numbers that its notebook relies on."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import experiments, plots
from minigrad.experiments import drifting_activations, evaluation_mode
from minigrad.experiments.drifting_activations import train
from minigrad.labs import batchnorm, batchnorm_graph, explore
from minigrad.layers import affine_backward, affine_forward, batchnorm_backward, batchnorm_forward
from minigrad.training import accuracy

GOOD = 30**-0.5  # spread of the weights


def own_forward(x, gamma, beta, bn_param):
    """Stand in for the student's."""
    if bn_param["mode"] == "test":
        mean, var = bn_param["running_mean"], bn_param["running_var"]
    else:
        mean, var = x.mean(axis=0), x.var(axis=0)
        for name, value in (("running_mean", mean), ("running_var", var)):
            bn_param[name] = 0.9 * bn_param.get(name, 0.0) + 0.1 * value
    std = np.sqrt(var + 1e-5)
    xhat = (x - mean) / std
    return gamma * xhat + beta, (xhat, gamma / std)


def own_backward(dout, cache):
    xhat, scale = cache
    lost = dout.mean(axis=0) + xhat * (dout * xhat).mean(axis=0)
    return scale * (dout - lost), (dout * xhat).sum(axis=0), dout.sum(axis=0)


FUNCTIONS = {"batchnorm_forward": own_forward, "batchnorm_backward": own_backward}


def simulate(steps=0, log10_scale=-1.25, log10_rate=-1.25, **functions):
    parameters = {"steps": steps, "log10_scale": log10_scale, "log10_rate": log10_rate}
    return batchnorm.simulate(parameters, {**FUNCTIONS, **functions})


class TestSimulate:
    def test_without_training_the_signal_shrinks_or_stays(self):
        plain, normalized = simulate()["spreads"]
        np.testing.assert_allclose(plain[1:] / plain[:-1], 30**0.5 * 10**-1.25, rtol=0.15)
        np.testing.assert_allclose(normalized, 1.0, rtol=0.01)

    def test_both_networks_start_from_the_same_weights(self):
        spread = simulate(batchnorm_forward=lambda x, gamma, beta, bn_param: (x, x))["spreads"]
        np.testing.assert_array_equal(spread[0], spread[1])

    def test_steps_go_on_where_fewer_steps_end(self):
        first, again, more = (simulate(steps)["before_tanh"] for steps in (10, 10, 20))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, more)
        none = simulate(0, log10_rate=0.5)["before_tanh"]
        np.testing.assert_array_equal(none, simulate(0)["before_tanh"])

    def test_looking_changes_nothing(self):
        """A batch that is looked at in training mode would move the running statistics."""
        (x, y), (new_x, new_y) = drifting_activations.data()
        functions = experiments.functions_of(drifting_activations)
        rng = np.random.default_rng(0)
        net = drifting_activations.network(True, 10**-1.25, functions, rng)
        for _ in zip(range(30), drifting_activations.training(net, (x, y), 10**-1.25, rng), strict=False):
            pass
        net.mode = "test"
        expected = accuracy(net.forward(new_x), new_y)
        assert simulate(30)["accuracies"][1] == pytest.approx(expected)

    def test_it_runs_the_functions_it_is_given(self):
        def flat(x, gamma, beta, bn_param):
            return 0 * x, x

        assert not simulate(batchnorm_forward=flat)["spreads"][1].any()

    def test_what_the_notebook_says_there_is_to_find(self):
        spreads = simulate(log10_scale=-0.5)["spreads"][0]
        assert spreads[0] == pytest.approx(0.65, abs=0.01)
        assert spreads[-1] == pytest.approx(1.1, abs=0.06)
        large = simulate(150, log10_scale=0.0)
        np.testing.assert_allclose(large["accuracies"], [0.60, 0.87], atol=0.015)
        assert 0.6 < large["flat"][0].mean() < 0.72
        for rate, plain, normalized in ((-0.5, 0.71, 0.94), (-0.25, 0.22, 0.89), (0.0, 0.09, 0.84)):
            found = simulate(150, log10_scale=-0.75, log10_rate=rate)["accuracies"]
            # A run that breaks is chaotic: another BLAS may end elsewhere, and not above
            assert found[0] < plain + 0.1
            assert found[1] == pytest.approx(normalized, abs=0.09)
        assert simulate(150, log10_scale=-0.75, log10_rate=0.25)["accuracies"].max() < 0.3


@pytest.mark.parametrize("steps", [0, 150])
@pytest.mark.parametrize("scale", [-2.0, 1.0])
@pytest.mark.parametrize("rate", [-2.5, 0.5])
def test_every_position_can_be_drawn_and_described(steps, scale, rate):
    result = simulate(steps, scale, rate)
    figure = Figure(figsize=batchnorm.SIZE)
    batchnorm.draw(result, figure)
    assert len(plots.png(figure)) > 1000
    assert f", {steps} steps." in batchnorm.describe(result)
    assert "nan" not in batchnorm.describe(result)


def test_a_student_who_is_not_there_yet_is_told_what_to_write(capsys):
    def unwritten(*args):
        raise NotImplementedError()

    explore.explore(batchnorm, **{**FUNCTIONS, "batchnorm_backward": unwritten})
    assert "Write batchnorm_backward first" in capsys.readouterr().out


# -- the graph


def a_graph(features=2):
    rng = np.random.default_rng(0)
    shapes = {name: (5, features) if y > 0 else (features,) for name, (_, y) in batchnorm_graph.NODES.items()}
    return ({name: rng.standard_normal(shape) for name, shape in shapes.items()} for _ in range(2))


def test_the_graph_shows_every_value_and_every_gradient():
    values, gradients = a_graph()
    figure = batchnorm_graph.draw(values, gradients, feature=1)
    written = [text.get_text() for text in figure.axes[0].texts]
    for name in values:
        assert name in written
        for array, prefix in ((values[name], ""), (gradients[name], "d ")):
            column = array[..., 1][:4] if array.ndim > 1 else array[1:2]
            assert {prefix + batchnorm_graph._short(number) for number in column} <= set(written)
    text = batchnorm_graph.describe(values, gradients, feature=1)
    assert f"mu: value {batchnorm_graph._short(values['mu'][1])}; gradient" in text
    assert len(plots.png(figure)) > 1000


def test_a_node_that_is_not_written_yet_has_a_question_mark():
    values, gradients = a_graph()
    del gradients["mu"]
    assert "mu: value" in (text := batchnorm_graph.describe(values, gradients))
    assert text.count("gradient ?") == 1
    batchnorm_graph.draw(values, {})


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (-1e-17, "0"), (1.0, "1.00"), (-0.654, "-0.65"), (0.0941, "0.094"), (1234.5, "1.23e+03")],
)
def test_numbers_are_short(number, text):
    assert batchnorm_graph._short(number) == text


# -- numbers in the notebook


@functools.cache
def end(normalization, scale, rate=0.05, seed=0, steps=150):
    run = train(
        batchnorm_forward,
        batchnorm_backward,
        seed,
        steps,
        normalization=normalization,
        weight_scale=scale,
        learning_rate=rate,
    )
    return run["accuracy"]


def test_each_layer_passes_on_a_quarter():
    first = experiments.recorded("drifting_activations")["spreads"][0]
    np.testing.assert_allclose(first[1:] / first[:-1], 0.05 * 30**0.5, rtol=0.1)
    assert first[-1] < 2e-4 < 0.1 < first[0]


def test_normalization_opens_the_window_of_initial_weights():
    assert max(end("none", scale) for scale in (0.01, 0.05)) < 0.1
    assert min(end("batch", scale) for scale in (0.01, 0.05, 0.1, GOOD)) > 0.87
    assert end("none", GOOD) > 0.93
    assert 0.7 < end("batch", 5.0) < 0.82  # not indifferent
    assert end("none", 5.0) < 0.4


@pytest.mark.parametrize("seed", range(2))
def test_the_largest_rates_are_clear_cut(seed):
    assert end("none", GOOD, 0.2, seed, 50) > 0.9 > 0.5 > end("none", GOOD, 0.4, seed, 50)
    assert end("batch", GOOD, 0.8, seed, 50) > 0.8 > 0.4 > end("batch", GOOD, 1.6, seed, 50)


def test_one_network_has_many_accuracies():
    seen = experiments.recorded("evaluation_mode")
    assert seen["accuracy"] > 0.96
    assert seen["shuffled"][-1] == seen["by_class"][-1] > 0.95
    assert seen["shuffled"][0] == seen["by_class"][0] < 0.1
    assert np.all(np.diff(seen["shuffled"]) > 0)
    assert seen["by_class"][:-1].max() < 0.28
    assert seen["afterwards"] < 0.62
    assert np.all((seen["averages"] < seen["one_batch"] - 0.01)[:4])  # too early
    assert np.all(np.abs(seen["averages"] - seen["one_batch"])[4:] < 0.02)


def test_what_is_handed_over_after_training_is_the_network():
    params, bn_params = evaluation_mode.trained(batchnorm_forward, batchnorm_backward)
    _, (x, y) = drifting_activations.data()
    h = x
    for k, bn_param in enumerate(bn_params, start=1):
        z, _ = affine_forward(h, params[f"w{k}"], params[f"b{k}"])
        assert bn_param["mode"] == "train"
        z, _ = batchnorm_forward(z, params[f"gamma{k}"], params[f"beta{k}"], {**bn_param, "mode": "test"})
        h = np.tanh(z)
    scores, _ = affine_forward(h, params["w_scores"], params["b_scores"])
    assert accuracy(scores, y) == pytest.approx(experiments.recorded("evaluation_mode")["accuracy"], abs=0.01)


def test_weights_ten_times_as_large_have_a_tenth_of_the_gradient():
    rng = np.random.default_rng(0)
    x, w, b, dout = (rng.standard_normal(shape) for shape in ((64, 30), (30, 30), (30,), (64, 30)))

    def through(w):
        z, affine_cache = affine_forward(x, w, b)
        out, cache = batchnorm_forward(z, np.ones(30), np.zeros(30), {"mode": "train"})
        return out, *affine_backward(batchnorm_backward(dout, cache)[0], affine_cache)[1:]

    out, dw, db = through(w)
    larger, smaller, _ = through(10 * w)
    assert np.abs(larger - out).max() < 1e-6
    np.testing.assert_allclose(smaller, dw / 10, rtol=1e-4, atol=1e-6)
    assert abs(np.sum(dw * w)) < 1e-7 * np.linalg.norm(dw) * np.linalg.norm(w)
    assert np.abs(db).max() < 1e-13


def test_large_weights_hardly_turn():
    turned = []
    (x, y), _ = drifting_activations.data()
    functions = experiments.functions_of(drifting_activations)
    for scale in (GOOD, 5.0):
        rng = np.random.default_rng(0)
        net = drifting_activations.network(True, scale, functions, rng)
        first = net.params["affine3.w"]
        for _ in drifting_activations.training(net, (x, y), 0.05, rng):
            pass
        last = net.params["affine3.w"]
        cosine = np.sum(first * last) / np.linalg.norm(first) / np.linalg.norm(last)
        turned.append(float(np.degrees(np.arccos(cosine))))
    np.testing.assert_allclose(turned, [10.22, 0.18], rtol=0.1)
