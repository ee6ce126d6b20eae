"""The diagnosis names what was planted, says nothing of what works, and leaves everything as it was."""

import importlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minigrad import layers, losses
from minigrad.datasets import blobs, digits, spirals
from minigrad.diagnosis import (
    CAUSES,
    Finding,
    check_agreement,
    check_gradient_flow,
    check_loss,
    compare_rates,
    compare_targets,
    debug_training,
    describe_data,
    diagnose,
    draw,
    preflight,
)
from minigrad.diagnosis.finding import WARNING, arranged, revived
from minigrad.initializers import he_normal
from minigrad.monitor import GradientMonitor, read_record
from minigrad.network import Layer, Sequential
from minigrad.optimizers import adam, sgd
from minigrad.plots import png

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SMALL = {
    "digits relu 2x48 momentum": "digits",
    "spirals tanh 2x32 momentum": "spirals",
    "memory rnn 24 adam": "memory",
}


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("diagnosis"), importlib.import_module("diagnosis_cases")


def names(of):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return list(getattr(importlib.import_module("diagnosis_cases"), of))


@pytest.mark.parametrize("name", names("FAULTS"))
def test_a_planted_fault_is_named_first_where_it_does_harm(name, bench):
    runs, cases = bench
    harmed = 0
    for architecture in SMALL:
        pair = cases.planted(name, cases.TUNING[architecture])
        if pair is None:
            continue
        with np.errstate(all="ignore"):
            ended, findings, _ = runs.run(pair[0], 0)
            healthy = runs.trained(pair[1], 0)
        if healthy - ended > 0.1 and healthy > 0.75:
            harmed += 1
            first = next((f.cause for f in findings if f.level != WARNING), "nothing")
            assert first in cases.FAULTS[name].accepted, (architecture, [str(f) for f in findings])
    assert harmed or name in {"bias not summed"}  # it does harm only where biases matter


@pytest.mark.parametrize("name", names("CONTROLS"))
def test_a_healthy_run_is_left_in_peace(name, bench):
    runs, cases = bench
    for architecture in SMALL:
        spec = cases.control(name, cases.TUNING[architecture])
        if spec is None:
            continue
        ended, findings, _ = runs.run(spec, 0)
        if ended > 0.75:
            assert not [f for f in findings if f.level != WARNING], (architecture, [str(f) for f in findings])


def test_what_explains_and_what_is_accepted_are_causes(bench):
    _, cases = bench
    for cause, known in CAUSES.items():
        assert set(known.explains) <= CAUSES.keys(), cause
        assert known.advice.endswith(".")
    assert len(cases.FAULTS) == 36
    assert len(cases.CONTROLS) == 12
    assert {cause for fault in cases.FAULTS.values() for cause in fault.accepted} <= CAUSES.keys()
    assert not cases.TUNING.keys() & cases.HELD_OUT.keys()


def test_the_first_violation_comes_first_with_its_symptoms():
    late_cause = Finding("inputs not standardized", "", step=50)
    rate = Finding("learning rate too high", "", step=10)
    dead = Finding("units killed by an update", "", step=40)
    warning = Finding("imbalanced classes", "", step=0, level=WARNING)
    found = arranged([warning, dead, late_cause, rate])
    assert [f.cause for f in found] == [
        "learning rate too high",
        "inputs not standardized",
        "imbalanced classes",
    ]
    assert found[0].symptoms == [dead]
    assert "symptom: units killed by an update (step 40)" in str(found[0])


def network(rng, sizes=(64, 32, 10), activation=(layers.relu_forward, layers.relu_backward)):
    parts = {}
    for k, (n, m) in enumerate(itertools.pairwise(sizes)):
        params = {"w": he_normal((n, m), rng), "b": np.zeros(m)}
        parts[f"affine{k}"] = Layer(layers.affine_forward, layers.affine_backward, params)
        if k < len(sizes) - 2:
            parts[f"act{k}"] = Layer(*activation)
    return Sequential(**parts)


def data():
    x, y = digits()
    return (x[:400] - 0.305) / 0.376, y[:400]


@pytest.mark.parametrize("loss", [losses.softmax_loss, losses.svm_loss])
def test_preflight_finds_nothing_in_what_is_right_and_leaves_it_as_it_was(loss):
    rng = np.random.default_rng(0)
    parts = dict(network(rng).parts)
    norm = Layer(
        layers.batchnorm_forward,
        layers.batchnorm_backward,
        {"gamma": np.ones(32), "beta": np.zeros(32)},
        {"mode": "train"},
    )
    drop = Layer(
        layers.dropout_forward, layers.dropout_backward, None, {"mode": "train", "p": 0.8, "rng": rng}
    )
    net = Sequential(
        affine0=parts["affine0"], norm=norm, act0=parts["act0"], drop=drop, affine1=parts["affine1"]
    )
    net.forward(data()[0][:50])
    params, state = net.params, {name: array.copy() for name, array in net.state.items()}
    assert [str(finding) for finding in preflight(net, data(), loss, rng)] == []
    assert net.mode == "train"
    for before, after in ((params, net.params), (state, net.state)):
        assert before.keys() == after.keys()
        for name in before:
            np.testing.assert_array_equal(before[name], after[name])


def wrong_sign(dout, cache):
    return -layers.relu_backward(dout, cache)


def test_preflight_names_the_layer_whose_gradient_is_wrong():
    rng = np.random.default_rng(0)
    net = network(rng, (64, 32, 16, 10), (layers.relu_forward, wrong_sign))
    first = preflight(net, data(), losses.softmax_loss, rng)[0]
    assert (first.cause, first.layer) == ("wrong gradient", "act1")
    assert first.remedy == {"repair_backward": "act1"}


def half_gradient(scores, y):
    loss, dscores = losses.softmax_loss(scores, y)
    return loss, 0.5 * dscores


def test_a_wrong_gradient_of_the_loss_is_not_blamed_on_a_layer():
    rng = np.random.default_rng(0)
    first = preflight(network(rng), data(), half_gradient, rng)[0]
    assert (first.cause, first.layer) == ("wrong gradient", "loss")


CLASSES = np.arange(40) % 4


@pytest.mark.parametrize(
    ("loss", "y", "outputs"),
    [
        (losses.softmax_loss, CLASSES, (4,)),
        (losses.svm_loss, CLASSES, (4,)),
        (losses.mse_loss, np.linspace(-3, 30, 40)[:, None], (1,)),
        (losses.huber_loss, np.linspace(-3, 30, 40)[:, None], (1,)),
        (losses.bce_with_logits_loss, (CLASSES[:, None] > 1).astype(float), (1,)),
    ],
)
def test_the_losses_of_the_library_answer_every_question(loss, y, outputs):
    assert check_loss(loss, y, outputs, np.random.default_rng(0)) == []


def test_other_tasks_that_work_are_left_in_peace():
    x, y = data()
    tasks = {
        "bce": ((y > 4).astype(float)[:, None], losses.bce_with_logits_loss),
        "one column for each class": (np.eye(10)[y], losses.mse_loss),
        "hinge": (y, losses.svm_loss),
    }
    for task, (target, loss) in tasks.items():
        rng = np.random.default_rng(0)
        outputs = target.shape[1] if target.ndim > 1 else 10
        found = debug_training(
            network(rng, (64, 48, outputs)), (x, target), loss, adam, steps=200, learning_rate=0.005, rng=rng
        )
        assert not found.findings, (task, str(found))


def test_missing_numbers_in_the_data_come_before_all_they_bring_about():
    x, y = data()
    x[3, 4] = np.nan
    rng = np.random.default_rng(0)
    found = debug_training(
        network(rng), (x, y), losses.softmax_loss, adam, steps=50, learning_rate=0.005, rng=rng
    )
    assert [f.cause for f in found.findings] == ["data not finite"]


def with_dropout(rng):
    noisy = (layers.dropout_forward, layers.dropout_backward)
    parts = dict(network(rng, (64, 32, 32, 10)).parts)
    dropped = {f"drop{k}": Layer(*noisy, None, {"mode": "train", "p": 0.05, "rng": rng}) for k in (0, 1)}
    order = ("affine0", "act0", "drop0", "affine1", "act1", "drop1", "affine2")
    return Sequential(**{name: (parts | dropped)[name] for name in order})


def normalized(rng):
    parts = dict(network(rng).parts)
    scale = {"gamma": np.ones(32), "beta": np.zeros(32)}
    norm = Layer(layers.batchnorm_forward, layers.batchnorm_backward, scale, {"mode": "train"})
    return Sequential(affine0=parts["affine0"], norm=norm, act0=parts["act0"], affine1=parts["affine1"])


def with_nan(rng):
    net = network(rng)
    net._set_params({**net.params, "affine1.w": np.full((32, 10), np.nan)})
    return net


def far_below_zero(rng):
    net = network(rng, (64, 32, 32, 10))
    net._set_params({**net.params, "affine0.b": np.full(32, -40.0)})
    return net


@pytest.mark.parametrize(
    ("cause", "build", "prepare", "settings"),
    [
        ("only one class", network, lambda x, y, xh, yh: (x, 0 * y, xh, yh), {}),
        ("inputs not standardized", network, lambda x, y, xh, yh: (1e-4 * x, y, 1e-4 * xh, yh), {}),
        ("held-out data differ", network, lambda x, y, xh, yh: (x, y, 50 * xh + 100, yh), {}),
        ("held-out data differ", network, lambda x, y, xh, yh: (x, y, xh / 255, yh), {}),
        ("held-out data differ", network, lambda x, y, xh, yh: (x, y, xh, (yh + 1) % 10), {}),
        ("held-out data differ", network, lambda x, y, xh, yh: (x, y, xh, np.sort(yh)), {}),
        ("dropout too strong", with_dropout, lambda *all_: all_, {}),
        ("batch too small to normalize", normalized, lambda *all_: all_, {"batch_size": 1}),
        ("batch too small to normalize", normalized, lambda *all_: all_, {"batch_size": 2}),
        ("parameters not finite", with_nan, lambda *all_: all_, {}),
        ("dead units at the start", far_below_zero, lambda *all_: all_, {}),
    ],
)
def test_what_else_people_do_is_named_first(cause, build, prepare, settings):
    """Mistakes around a network that the benchmark has not."""
    x, y = digits()
    x = (x - 0.305) / 0.376
    x, y, x_held, y_held = prepare(x[:400], y[:400], x[400:700], y[400:700])
    rng = np.random.default_rng(0)
    found = debug_training(
        build(rng), (x, y), losses.softmax_loss, sgd,
        steps=200, learning_rate=0.1, rng=rng, held_out=(x_held, y_held), **settings,
    )  # fmt: skip
    assert found.findings[0].cause == cause, str(found)
    assert found.findings[0].level == "failure"


@pytest.mark.parametrize(("build", "keep"), [(network, 1.0), (normalized, 1.0), (with_dropout, 0.8)])
def test_and_what_works_is_left_in_peace(build, keep):
    x, y = digits()
    x = (x - 0.305) / 0.376
    rng = np.random.default_rng(0)
    net = build(rng)
    for part in net.parts.values():
        part.options = tuple({**o, "p": keep} if "p" in o else o for o in part.options)
    found = debug_training(
        net, (x[:400], y[:400]), losses.softmax_loss, adam,
        steps=200, learning_rate=0.01, rng=rng, held_out=(x[400:700], y[400:700]),
    )  # fmt: skip
    assert not [each for each in found.findings if each.level == "failure"], str(found)


def test_a_record_from_a_file_has_the_same_diagnosis(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "run.jsonl"
    with path.open("w") as stream, np.errstate(all="ignore"):
        found = debug_training(
            network(rng),
            data(),
            losses.softmax_loss,
            adam,
            steps=60,
            learning_rate=3.0,
            rng=rng,
            stream=stream,
        )
    assert found.findings[0].cause == "learning rate too high"
    assert [f.cause for f in diagnose(read_record(path))] == [f.cause for f in found.findings]
    assert "failure: learning rate too high" in str(found)


def test_findings_survive_the_dict_that_a_record_keeps_of_them():
    symptom = Finding("not learning", "b")
    finding = Finding("symmetric weights", "a", symptoms=[symptom])
    kept = {**vars(finding), "symptoms": [vars(symptom)]}
    assert revived(kept) == [replace(finding, symptoms=[]), symptom]


def test_plain_arrays_are_enough():
    rng = np.random.default_rng(0)
    w, monitor = rng.normal(size=(3, 2)), GradientMonitor(every=2)
    x = rng.normal(size=(50, 3))
    target = x @ rng.normal(size=(3, 2))
    for step in range(40):
        monitor.before(step, {"w": w})
        error = x @ w - target
        dw = 2 * x.T @ error / error.size
        w = w + 0.1 * dw
        monitor.after(
            step, {"w": w}, {"w": dw}, float((error**2).mean()), {"input": x, "out": error + target}
        )
    assert [f.cause for f in diagnose(monitor.record)] == ["update against descent"]


def test_data_are_described_by_hand():
    x = np.array([[0.0, 5.0], [2.0, 5.0], [0.0, 5.0], [2.0, 5.0]])
    found = describe_data(x, np.array([0, 1, 1, 1]))
    assert (found["examples"], found["constant"], found["classes"], found["rarest"]) == (4, 1, 2, 1)
    assert found["constant_size"] == pytest.approx(5.0)
    assert found["rms"] == pytest.approx(np.sqrt(2.0))
    assert found["baseline"] == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    with pytest.raises(ValueError, match="one target per example"):
        describe_data(x, np.arange(3))


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_a_shift_of_the_labels_is_measured(shift):
    rng = np.random.default_rng(0)
    x, y = spirals(300, rng, noise=0.1)
    order = rng.permutation(300)
    x, y = x[order], y[order]
    found = describe_data(x, np.roll(y, shift))
    assert found["agreement"] < 0.5
    assert max(found["shifted"], key=found["shifted"].get) == str(-shift)


def test_scores_that_depend_on_the_batch_or_on_chance():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    assert check_agreement(lambda rows: rows**2, x) == {"repeat": 0.0, "alone": 0.0}
    assert check_agreement(lambda rows: rows - rows.mean(axis=0), x)["alone"] > 0.1
    assert check_agreement(lambda rows: rows + rng.normal(size=rows.shape), x)["repeat"] > 0.1


@pytest.mark.parametrize(("scale", "least", "most"), [(0.1, 0, 1e-2), (0.2, 0.2, 5), (0.5, 1e2, np.inf)])
def test_the_gradient_through_ten_layers(scale, least, most):
    flows = [check_gradient_flow(10, scale, np.random.default_rng(seed)) for seed in range(5)]
    ratio = np.mean([flow[0] / flow[-1] for flow in flows])
    assert least < ratio < most
    expected = (scale * np.sqrt(50 / 2)) ** 9  # each layer multiplies by this, in the mean
    assert 0.3 < ratio / expected < 3
    with pytest.raises(ValueError, match="depth is 0"):
        check_gradient_flow(0, scale, np.random.default_rng(0))


def test_rivals_are_told_apart():
    found = compare_rates(lambda rate: (rate - 1) ** 2, 10.0)
    assert min(found, key=found.get) == "tenth"
    assert compare_rates(lambda rate: np.nan, 1.0)["tenth"] == np.inf
    x, y = blobs(90, np.random.default_rng(0))

    def nearest_mean(x, y):
        means = np.array([x[y == c].mean(axis=0) for c in range(3)])
        return float(np.mean(((x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1) != y))

    found = compare_targets(nearest_mean, (x, y), np.random.default_rng(1))
    assert found["as it is"] < 0.05 < 0.4 < min(found["labels shuffled"], found["inputs zero"])


def test_the_figure_shows_every_finding_and_says_it_in_words():
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        found = debug_training(
            network(rng), data(), losses.softmax_loss, adam, steps=60, learning_rate=3.0, rng=rng
        )
    figure, words = draw(found.record, found.findings)
    marks = [text.get_text() for text in figure.axes[0].texts]
    assert marks == [f"{k} {f.cause}" for k, f in enumerate(found.findings, start=1)]
    assert all(f.cause in words for f in found.findings)
    assert png(figure)[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="no snapshot"):
        draw(GradientMonitor().record, [])
