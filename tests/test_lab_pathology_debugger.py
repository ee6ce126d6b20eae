"""The lab of assignment 08, its chart, its patients, and the numbers that its notebook relies on."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from matplotlib.figure import Figure

from autograder.exercises import training_clinic
from minigrad import experiments, plots
from minigrad.experiments import _clinic
from minigrad.experiments._clinic import Setup
from minigrad.labs import explore, pathology_debugger
from minigrad.losses import softmax_loss
from minigrad.monitor import update_ratio

FUNCTIONS = {"softmax_loss": softmax_loss, "update_ratio": update_ratio}
PATIENTS = [f"patient_{k}" for k in range(1, 9)]


def unwritten(*args):
    raise NotImplementedError()


def simulate(**changes):
    parameters = {control.name: control.default for control in pathology_debugger.PARAMETERS}
    return pathology_debugger.simulate(parameters | changes, FUNCTIONS)


def train(seeds=range(5), **setup):
    with np.errstate(all="ignore"):
        return [_clinic.train(Setup(**setup), FUNCTIONS, np.random.default_rng(seed)) for seed in seeds]


def score(patient, **remedy):
    with np.errstate(all="ignore"):
        return experiments.measure(f"patient_{patient}", remedy, range(3))["score"]


class TestTrain:
    def test_the_record_of_a_healthy_run(self):
        (record,) = train(range(1))
        assert record["losses"].shape == record["unheard"].shape == (100,)
        assert record["gradients"].shape == record["updates"].shape == (13, 4)
        assert record["idle"].shape == (13, 3)
        assert record["looked"].tolist() == [0, 1, 2, *range(9, 100, 10)]
        assert min(record["score"], record["training_score"], record["batch_score"]) > 0.85

    def test_gradients_and_updates_are_those_of_the_first_step(self):
        setup, rate = Setup(layers=1), 0.02
        (record,) = train([7], layers=1, learning_rate=rate)
        rng = np.random.default_rng(7)
        (x, y), _ = _clinic.data(setup, rng)
        network = _clinic.build(setup, rng)
        first = rng.permutation(len(x))[:64]
        loss, dscores = softmax_loss(network.forward(x[first]), y[first])
        network.backward(dscores)
        w, dw = network.params["hidden1.affine.w"], network.grads["hidden1.affine.w"]
        np.testing.assert_allclose(record["losses"][0], loss, rtol=1e-5)
        np.testing.assert_allclose(record["gradients"][0, 0], np.sqrt((dw**2).mean()), rtol=1e-5)
        ratio = rate * np.linalg.norm(dw) / np.linalg.norm(w)  # momentum has nothing to add yet
        np.testing.assert_allclose(record["updates"][0, 0], ratio, rtol=1e-5)

    def test_dead_and_saturated_are_counted_on_what_the_layers_put_out(self):
        for activation, low in (("relu", 0.0), ("sigmoid", 0.0), ("tanh", -1.0)):
            for residual in (False, True):
                setup = Setup(activation=activation, weights=3.0, residual=residual)
                rng = np.random.default_rng(0)
                (x, _), _ = _clinic.data(setup, rng)
                network = _clinic.build(setup, rng)
                counted = _clinic._idle(setup, network, x)
                for part, share in zip(network.parts.values(), counted, strict=False):
                    out = part.forward(x)
                    branch = out - x if residual and x.shape == out.shape else out
                    x = out
                    if activation == "relu":
                        expected = np.mean(np.abs(branch).max(axis=0) < 1e-9)
                    else:
                        edge = 0.01 * (1 - low)
                        expected = np.mean((branch < low + edge) | (branch > 1 - edge))
                    assert share == pytest.approx(expected)

    def test_looking_changes_nothing(self):
        setup = Setup(normalization="batch")
        rng = np.random.default_rng(0)
        (x, _), _ = _clinic.data(setup, rng)
        network = _clinic.build(setup, rng)
        network.forward(x[:50])
        before = copy.deepcopy(network.state)
        _clinic._idle(setup, network, x)
        assert network.mode == "train"
        for name, array in network.state.items():
            np.testing.assert_array_equal(array, before[name])

    def test_a_regression_is_scored_by_the_variance_that_is_explained(self):
        target = np.arange(5.0)[:, None]
        assert _clinic.explained(target, target) == 1
        assert _clinic.explained(np.full((5, 1), 2.0), target) == 0
        assert _clinic.explained(np.full((5, 1), np.nan), target) == -1
        assert _clinic.explained(np.full((5, 1), 1e9), target) == -1


class TestPatients:
    def test_a_treatment_changes_what_it_says_and_nothing_else(self):
        as_it_is = experiments.complete(experiments.find("patient_1"), {})
        setup = Setup(weights=3.0, bias=-1.0, learning_rate=0.5, labels="shuffled", inputs="0 to 255")
        assert _clinic._treated(setup, as_it_is) == setup
        changes = {
            "learning_rate_times": (0.1, {"learning_rate": 0.05}),
            "weights_times": (2.0, {"weights": 6.0}),
            "bias_plus": (1.5, {"bias": 0.5}),
            "clip_norm": (1.0, {"clip_norm": 1.0}),
            "activation": ("tanh", {"activation": "tanh"}),
            "inputs": ("standardized", {"inputs": "standardized"}),
            "labels": ("paired again", {"labels": "paired"}),
            "loss": ("huber", {}),  # of a classification there is only one
            "evaluation": ("test mode", {"evaluation": "test"}),
        }
        assert changes.keys() == as_it_is.keys()
        for name, (value, expected) in changes.items():
            treated = _clinic._treated(setup, as_it_is | {name: value})
            assert vars(treated) == vars(setup) | expected

    @pytest.mark.parametrize("name", PATIENTS)
    def test_only_one_thing_may_be_changed(self, name):
        both = {"learning_rate_times": 0.1, "bias_plus": 1.0}
        with pytest.raises(ValueError, match="sets 2 things; this run takes 1"):
            experiments.complete(experiments.find(name), both)

    def test_all_of_them_offer_the_same(self):
        offered = [experiments.find(name).SETTINGS for name in PATIENTS]
        assert all(each == offered[0] for each in offered)

    def test_no_two_have_the_same(self):
        keys = [chart["key"] for chart in training_clinic.PATIENTS.values()]
        assert len(set(keys)) == len(keys) == 8
        assert set(keys) < set(training_clinic.SIGNS)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "sigmoid"},
        {"activation": "tanh", "weights": 8.0, "clip_norm": 1.0},
        {"log10_rate": 1.0},
        {"weights": 8.0},
        {"log10_rate": -5.0, "normalization": "batch", "residual": "yes"},
    ],
)
def test_positions_can_be_drawn_and_described(changes):
    result = simulate(**changes)
    figure = Figure(figsize=pathology_debugger.SIZE)
    pathology_debugger.draw(result, figure)
    assert len(plots.png(figure)) > 1000
    assert f"the loss is {result['losses'][0]:.3g} at step 0" in pathology_debugger.describe(result)


@pytest.mark.parametrize("name", PATIENTS)
def test_a_chart_says_in_words_what_it_shows(name, capsys):
    pathology_debugger.chart(experiments.recorded(name))
    said = capsys.readouterr().out
    assert "measured on held-out images" in said
    assert "nan" not in said


def test_a_student_who_is_not_there_yet_is_told_what_to_write(capsys):
    explore.explore(pathology_debugger, softmax_loss=unwritten, update_ratio=update_ratio)
    assert "Write softmax_loss first" in capsys.readouterr().out


# -- numbers in the notebook


def test_patient_1_was_alive_and_moved_too_far():
    record = experiments.recorded("patient_1")
    assert record["idle"][0].max() < 0.2
    assert 0.5 < record["updates"][0].max() < 0.6
    assert record["idle"][3].mean() > 0.6
    assert record["idle"][-1][-1] == 1
    assert not record["gradients"][-1].any()
    assert 0 < record["updates"][-1].max() < 1e-4  # momentum


def test_the_clipped_loss_sends_nothing_to_most_examples_and_the_softmax_to_all():
    for name in PATIENTS:
        unheard = experiments.recorded(name)["unheard"]
        if name == "patient_7":
            assert unheard[0] > 0.9
            assert 0.75 < unheard[-20:].mean() < 0.85
        else:
            assert not unheard.any()


def test_healthy_networks_start_above_ln_10_and_alarm_only_the_bad_rules():
    runs = train(range(20))
    first = np.array([run["losses"][0] for run in runs])
    assert np.log(10) < first.min() < 2.4
    assert 3.9 < first.max() < 4.2
    assert 12 <= np.sum(first > np.log(10) + 0.5) <= 16
    assert min(run["score"] for run in runs) > 0.85
    assert 2 <= sum(run["idle"][-1].max() > 0.1 for run in runs) <= 4
    assert max(run["idle"][-1].max() for run in runs) < 0.5
    assert all(run["updates"][3:].max() > 0.01 for run in runs)
    assert max(run["updates"].max() for run in runs) < 0.05


def test_what_the_list_says_of_the_sigmoids_and_of_the_large_weights():
    found = {}
    for label, setup in (
        ("sigmoids", Setup(layers=8, activation="sigmoid")),
        ("large", Setup(weights=4.0)),
    ):
        rng = np.random.default_rng(0)
        (x, y), _ = _clinic.data(setup, rng)
        network = _clinic.build(setup, rng)
        loss, dscores = softmax_loss(network.forward(x), y)
        network.backward(dscores)
        grads = {name: g for name, g in network.grads.items() if name.endswith(".w")}
        found[label] = loss, training_clinic.gradient_ratio(grads)
    assert found["sigmoids"][0] == pytest.approx(2.39, abs=0.02)
    assert found["sigmoids"][1] == pytest.approx(1.9e-5, rel=0.1)
    assert found["large"][0] == pytest.approx(146, rel=0.02)
    shares = np.bincount(y[:8])[np.bincount(y[:8]) > 0] / 8
    assert -np.sum(shares * np.log(shares)) == pytest.approx(0.90, abs=0.005)


def test_the_loss_at_the_start_is_that_of_the_series_for_small_scores():
    ratios = {}
    for factor in (0.1, 0.5, 1, 10):
        pairs = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            (x, y), _ = _clinic.data(Setup(), rng)
            scores = factor * _clinic.build(Setup(), rng).forward(x)
            pairs.append((softmax_loss(scores, y)[0], training_clinic.expected_initial_loss(scores)))
        ratios[factor] = np.mean(pairs, axis=0)
    assert abs(np.subtract(*ratios[0.1])) < 0.01
    assert abs(np.subtract(*ratios[0.5])) < 0.02
    assert abs(np.subtract(*ratios[1])) < 0.2
    assert ratios[10][1] > 4 * ratios[10][0]


def test_the_best_learning_rates_move_weights_by_more_than_a_thousandth():
    found = {}
    for rate in (0.001, 0.03, 0.1, 0.3):
        runs = train(range(3), learning_rate=rate)
        ratio = np.mean([np.median(run["updates"][3]) for run in runs])
        found[rate] = ratio, np.mean([run["score"] for run in runs])
    assert found[0.001][1] < 0.6
    assert found[0.3][1] < 0.2
    assert min(found[0.03][1], found[0.1][1]) > 0.9
    assert 0.001 < found[0.001][0] < 0.002
    assert 0.01 < found[0.03][0] < found[0.1][0] < 0.04 < 0.05 < found[0.3][0]


def test_the_formula_is_the_update_for_sgd_alone():
    factors = {}
    for optimizer in ("sgd", "momentum", "adam"):
        before, after, gradient, rate = pathology_debugger.one_step(optimizer, softmax_loss)
        formula = rate * np.linalg.norm(gradient) / np.linalg.norm(before)
        factors[optimizer] = update_ratio(before, after) / formula
    assert factors["sgd"] == pytest.approx(1)
    assert 2.6 < factors["momentum"] < 2.9
    assert 22 < factors["adam"] < 26


def test_what_the_notebook_says_there_is_to_find_in_the_lab():
    usual, sigmoid = simulate(), simulate(activation="sigmoid")
    assert usual["score"] > 0.85
    assert 0.03 < usual["gradients"][0].min() < usual["gradients"][0].max() < 0.065
    assert sigmoid["gradients"][0][0] < 2e-5
    assert sigmoid["gradients"][0][-1] > 0.02
    assert sigmoid["idle"].max() < 0.001
    assert simulate(activation="sigmoid", weights=5.0)["score"] < 0.5
    assert simulate(activation="sigmoid", weights=5.0, log10_rate=-0.5)["score"] > 0.8
    large = simulate(weights=3.0)
    assert 700 < large["losses"][0] < 760
    for changes in ({"log10_rate": -3.0}, {"log10_rate": -4.0}, {"clip_norm": 1.0}):
        assert simulate(weights=3.0, **changes)["score"] < 0.3
    assert simulate(weights=3.0, normalization="batch")["score"] > 0.8
    slow, fast = simulate(log10_rate=-5.0), simulate(log10_rate=0.0)
    assert slow["updates"][0].max() < 1e-5
    assert fast["updates"][0].min() > 0.1
    assert fast["idle"][-1].min() > 0.6
    tanh = simulate(activation="tanh", weights=8.0)
    assert 0.73 < tanh["idle"][0].min() < tanh["idle"][0].max() < 0.81
    assert tanh["gradients"][0].argmax() == 0
    assert tanh["gradients"][0].argmin() == 5
    for rate in (-5.0, 1.0):
        assert simulate(log10_rate=rate, normalization="batch")["score"] < 0.2


def test_which_remedies_nearly_work_is_as_the_notebook_says():
    assert min(score(1, learning_rate_times=0.01), score(1, learning_rate_times=0.1)) > 0.85
    assert max(score(1, learning_rate_times=0.2), score(1, learning_rate_times=0.003)) < 0.75
    assert score(1, clip_norm=0.3) > 0.85
    assert score(1, activation="tanh") < 0.2 < 0.6 < score(1, activation="sigmoid") < 0.8
    assert min(score(2, weights_times=3.0), score(2, activation="relu")) > 0.85
    assert score(2, weights_times=8.0) > 0.8
    assert min(score(3, bias_plus=1.5), score(3, bias_plus=3.0)) > 0.87
    assert max(score(3, bias_plus=1.0), score(3, bias_plus=4.0), score(3, activation="tanh")) < 0.78
    assert min(score(5, weights_times=0.05), score(5, weights_times=0.2)) > 0.85
    assert score(5, weights_times=0.3) < 0.8
    assert score(6, learning_rate_times=0.1) < 0.65
    assert score(7, loss="squared") < 0.4
