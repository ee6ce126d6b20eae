"""Assignment 00: its seven runs, its two labs, and the numbers that its text and its answers rely on."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from matplotlib.figure import Figure

from autograder.checking import check_sheet
from autograder.exercises import autograd_trap as exercises
from autograder.exercises import visible_sheet
from autograder.session import LocalSession
from minigrad import datasets, experiments
from minigrad.experiments import autograd_trap as runs
from minigrad.experiments import recorded
from minigrad.labs import autograd_trap, relay
from minigrad.losses import softmax_loss
from minigrad.optimizers import sgd
from minigrad.training import fit

FUNCTIONS = experiments.functions_of(runs)
SEEDS = range(20)


@functools.cache
def repeats(run):
    with np.errstate(all="ignore"):
        return [runs._train(runs.RUNS[run], FUNCTIONS, np.random.default_rng(seed)) for seed in SEEDS]


def norms(record):
    return np.linalg.norm(record["gradients"].astype(float), axis=1)


def of(run, name):
    return recorded("autograd_trap")[f"{run}_{name}"]


# -- the runs


@pytest.mark.parametrize("run", runs.RUNS)
def test_the_gradients_are_those_of_another_library(run):
    torch = pytest.importorskip("torch")
    recipe = runs.RUNS[run]
    rng = np.random.default_rng(int(np.random.default_rng(0).integers(1 << 30)))  # as the recording
    (x, y), _ = datasets.split(*datasets.digits(), 0.8, rng)
    x, y, network = x[:64], y[:64], runs.build(recipe, FUNCTIONS, rng)
    _, dscores = softmax_loss(network.forward(x), y)
    network.backward(dscores)

    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in network.params.items()}
    out = torch.tensor(x)
    for k in range(1, recipe.hidden + 2):
        out = out @ leaves[f"affine{k}.w"] + leaves[f"affine{k}.b"]
        if k <= recipe.hidden:
            out = getattr(torch, recipe.activation)(out)
    torch.nn.functional.cross_entropy(out, torch.tensor(y)).backward()
    for name, leaf in leaves.items():
        theirs = leaf.grad.numpy()
        np.testing.assert_allclose(network.grads[name], theirs, rtol=0, atol=1e-10 * np.abs(theirs).max())


def test_all_runs_but_one_start_from_knowing_nothing():
    at_first = {run: of(run, "losses")[0] for run in runs.RUNS}
    assert {run for run, loss in at_first.items() if abs(loss - np.log(10)) > 0.02} == {"F"}


@pytest.mark.parametrize(
    ("run", "low", "high"),
    [
        ("A", 0.0, 0.16),
        ("B", 0.88, 1.0),
        ("C", 0.0, 0.16),
        ("D", 0.0, 0.16),
        ("E", 0.0, 0.03),
        ("F", 0, 0.16),
        ("G", 0.8, 1.0),
    ],
)
def test_accuracy_from_other_starting_points(run, low, high):
    assert all(low <= record["accuracy"] <= high for record in repeats(run))


def test_a_is_saturated():
    for record in repeats("A"):
        assert (record["idle"] > 0.999).all()
        first, *_, last = np.median(record["gradients"], axis=0)
        assert first < 1e-14 * last
        assert 0.3 < last < 2
        assert norms(record).max() < 2
        assert np.median(record["updates"][:, 0]) < 1e-17
    assert np.median(of("A", "updates")[:, 0]) < 1e-18
    assert of("A", "gradients").all()  # tiny, and not 0


def test_most_weights_of_the_first_layer_of_a_never_change():
    network = runs.build(runs.RUNS["A"], FUNCTIONS, np.random.default_rng(3))
    before = network.params["affine1.w"]
    for _ in fit(
        network,
        datasets.digits(),
        softmax_loss,
        sgd,
        steps=200,
        learning_rate=0.2,
        rng=np.random.default_rng(0),
    ):
        pass
    assert (network.params["affine1.w"] == before).mean() > 0.6


def test_c_is_b_until_the_rate_is_raised():
    b, c = of("B", "losses"), of("C", "losses")
    assert np.array_equal(b[:101], c[:101])
    assert b[101] != c[101]


def test_c_is_dead():
    for record in repeats("C"):
        assert not record["gradients"][-1].any()
        assert record["idle"].min() > 0.8
        assert record["losses"][:100].min() < 0.5
        assert np.isfinite(record["losses"]).all()
    gradients = of("C", "gradients")
    assert gradients[:106].all()
    assert not gradients[106:].any()
    assert int(np.linalg.norm(gradients, axis=1).argmax()) == 103
    assert gradients[103, 1] == pytest.approx(9645, rel=0.02)
    assert of("C", "idle")[1] == 1.0


def test_a_norm_above_a_thousand_is_no_verdict():
    above = sum(norms(record).max() > 1000 for record in repeats("C"))
    assert above > len(SEEDS) / 2  # and none of them became nan, see above
    assert np.linalg.norm(of("F", "gradients")[0]) > 1200


def test_d_vanishes_and_no_unit_is_idle():
    for record in repeats("D"):
        assert (record["idle"] == 0).all()
        gradients = np.median(record["gradients"], axis=0)
        assert (np.diff(np.log(gradients)) > 0.5).all()
        assert gradients[0] < 1e-5 * gradients[-1]


def test_e_differs_from_b_in_its_accuracy_alone():
    for good, poor in zip(repeats("B"), repeats("E"), strict=True):
        np.testing.assert_allclose(
            np.median(good["gradients"][50:], axis=0), np.median(poor["gradients"][50:], axis=0), rtol=0.5
        )
        assert poor["losses"][-20:].mean() == pytest.approx(good["losses"][-20:].mean(), rel=0.5)


def test_f_explodes():
    for record in repeats("F"):
        assert len(record["losses"]) <= 8
        assert np.isnan(record["losses"][-1])
    steps = np.log10(norms({"gradients": of("F", "gradients")})[:3])
    assert np.all(np.diff(steps) > 0.9)


def test_g_leaps_in_ordinary_gradients():
    for record in repeats("G"):
        assert norms(record).max() < 5
        assert record["losses"][:50].max() > 20
        assert np.median(record["updates"]) < 0.1 < record["updates"][0].max()


def test_the_usual_limit_of_the_update_accuses_the_wrong_runs():
    first = {run: of(run, "updates")[0].max() for run in runs.RUNS}
    later = {run: np.nanmedian(of(run, "updates")[1:].max(axis=1)) for run in runs.RUNS}
    assert first["B"] > 0.4
    assert {run for run, update in later.items() if update > 0.1} == {"A", "D", "F"}


# -- the labs


def drawn(lab, **parameters):
    result, figure = lab.simulate(parameters, {}), Figure()
    lab.draw(result, figure)
    figure.canvas.draw()
    return lab.describe(result)


@pytest.mark.parametrize("run", autograd_trap.RUNS)
@pytest.mark.parametrize("step", [0, 4, 103, 199])
def test_every_run_can_be_drawn_at_every_step(run, step):
    text = drawn(autograd_trap, run=run, step=step)
    assert text.startswith(f"Run {run} at step {min(step, len(of(run, 'losses')) - 1)}")
    assert len(autograd_trap.readings(run).splitlines()) == 2 + of(run, "gradients").shape[1]


def test_the_lab_offers_the_runs_that_were_recorded():
    assert tuple(runs.RUNS) == autograd_trap.RUNS
    assert "9.6e+03" in drawn(autograd_trap, run="C", step=103)


def test_a_slider_that_is_a_little_short_of_a_step_shows_that_step():
    assert "at step 98" in drawn(autograd_trap, run="C", step=97.99999999999999)
    assert "3 gates" in drawn(relay, gates=2.9999999999999996, local=0.5, middle=1.0)


def test_the_relay_multiplies():
    for gates, local, middle, left in (
        (10, 0.5, 1, "0.000977"),
        (50, 0.9, 1, "0.00515"),
        (50, 1.1, 1, "117"),
    ):
        assert f"{left} is left" in drawn(relay, gates=gates, local=local, middle=middle)
    assert "0 is left" in drawn(relay, gates=50, local=2.0, middle=0.0)
    result = relay.simulate({"gates": 4, "local": 2.0, "middle": 5.0}, {})
    assert result["left"].tolist() == [1, 2, 4, 20, 40, 80]
    assert drawn(relay, gates=1, local=0.5, middle=1.0).startswith("After 1 gate of 0.5")


# -- the answers, measured


def slope(f, at, name, h=1e-6):
    return (f(**{**at, name: at[name] + h}) - f(**{**at, name: at[name] - h})) / (2 * h)


def test_the_gates():
    at, programs = (
        {"a": 3.0, "b": -2.0},
        {
            "add": lambda a, b: 5 * (a + b),
            "multiply": lambda a, b: 5 * (a * b),
            "max": lambda a, b: 5 * max(a, b),
            "copy": lambda a, b: 5 * a - 2 * a,
            "squash": lambda a, b: 5 * np.tanh(a),
        },
    )
    for key, value in exercises.GATES.items():
        gate, name = key.split("_")
        assert value == pytest.approx(slope(programs[gate], at, name), abs=1e-4), key


def test_the_circuit():
    at = {"x": 5.0, "y": 3.0, "z": -1.0, "w": 4.0, "s": 0.0, "m": 0.0}

    def f(x, y, z, w, s, m):  # s and m are what is added to the values of that name
        return (x + z + s) * (max(x * y, w) + m)

    assert f(**at) == 60
    for name, value in exercises.CIRCUIT.items():
        assert value == pytest.approx(slope(f, at, name), abs=1e-4), name


def test_the_relay_exercise():
    vanish, explode, factor = exercises.RELAY.values()
    assert 0.25**vanish < 1e-6 < 0.25 ** (vanish - 1)
    assert 1.5 ** (explode - 1) < 1e6 < 1.5**explode
    assert factor**50 == pytest.approx(0.5, rel=2e-3)


def nudged_circuit():
    def f(x=5.0, y=3.0, z=-1.0, w=4.0):
        return (x + z) * max(x * y, w)

    at = {"x": 5.0, "y": 3.0, "z": -1.0, "w": 4.0}
    return {name: (f(**{name: value + 0.001}) - f()) / 0.001 for name, value in at.items()} | {
        "s": 15,
        "m": 4,
    }


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("circuit", {"circuit": nudged_circuit()}),
        ("circuit", {"circuit": {key: np.float32(value) for key, value in exercises.CIRCUIT.items()}}),
        ("circuit", {"circuit": {key: int(value) for key, value in exercises.CIRCUIT.items()}}),
        ("gates", {"gates": exercises.GATES | {"squash_a": (5 * np.tanh(3.001) - 5 * np.tanh(3)) / 0.001}}),
        ("gates", {"gates": exercises.GATES | {"squash_a": np.array(5 * (1 - np.tanh(3) ** 2))}}),
        ("gates", {"gates": exercises.GATES | {"squash_a": 5 * 0.01, "max_b": False}}),
        ("relay", {"gates_to_vanish": 10, "gates_to_explode": 35, "factor_to_halve": 0.986}),
        (
            "relay",
            {"gates_to_vanish": 10, "gates_to_explode": 35, "factor_to_halve": np.exp(np.log(0.5) / 50)},
        ),
        ("diagnosis", {"diagnosis": {"A": "Saturated", "B": " healthy ", "C": "dead"}}),
    ],
)
def test_other_right_ways_get_all_points(name, answer):
    report = check_sheet(LocalSession(answer), visible_sheet(name))
    assert report.score == report.points, report.text()


@pytest.mark.parametrize("name", ["gates", "circuit"])
def test_one_wrong_entry_costs_its_share_alone(name):
    right = dict(getattr(exercises, name.upper()))
    for key in right:
        report = check_sheet(LocalSession({name: right | {key: 1e3}}), visible_sheet(name))
        assert report.score == pytest.approx(report.points * (1 - 1 / len(right)))


def test_a_wrong_number_is_not_told_the_right_one():
    for name in ("gates", "circuit", "relay"):
        exercise = visible_sheet(name)
        for mistake in next(e for e in exercises.EXERCISES if e.name == name).misconceptions:
            report = check_sheet(LocalSession(dict(mistake.functions)), exercise)
            for finding in report.findings:
                if finding.outcome != "passed":
                    key = next(k for k, label in exercise.labels.items() if label == finding.check)
                    value = {**exercises.GATES, **exercises.CIRCUIT, **exercises.RELAY}[
                        key.rpartition(".")[2]
                    ]
                    assert f"{value:g}" not in finding.message.replace("0.001", "").split()
