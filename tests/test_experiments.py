"""Every experiment fails as it is, heals with the remedy that its exercise is about, and with no easier one.

One row an experiment, in `EXPERIMENTS`; the tests below know nothing else about it.
"""

import functools
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from autograder import exercises
from autograder.exercise import Between, Train
from minigrad import experiments
from minigrad.experiments import Number, Option

SEEDS = range(20)
CHECK_SEEDS = (1, 2, 3, 4, 5)  # as many as a check trains from


@dataclass(frozen=True)
class Row:
    """What is expected of an experiment.

    `healed` says from where to where each measure lies in a run that is healed, as the exercise asks for it; the run
    as it is has at least one of them outside. `wrong` lists remedies that do not heal, each the idea of somebody who
    has not understood what is broken. An experiment that is only to be looked at has an empty row.
    """

    healed: dict[str, tuple[float, float]] = field(default_factory=dict)
    remedy: dict[str, Any] = field(default_factory=dict)
    wrong: list[dict[str, Any]] = field(default_factory=list)
    not_finite: tuple[str, ...] = ()  # names in the record that may hold infinity or nan: a run that blows up


EXPERIMENTS: dict[str, Row] = {
    "autograd_trap": Row(not_finite=("F_losses", "F_gradients", "F_updates")),
    "deep_plain": Row(
        healed={"accuracy": (0.8, 1.0)},
        remedy={"weight_std": 0.25},
        wrong=[
            {"learning_rate": 1000.0},
            {"weight_std": 0.2},
            {"weight_std": 0.3},
            {"weight_std": 0.5, "learning_rate": 1e-12},
            {"weight_std": 0.25, "learning_rate": 1e-6},
        ],
    ),
    "deep_residual": Row(
        healed={"accuracy": (0.8, 1.0)},
        remedy={"branch_scale": 0.1},
        wrong=[
            {"max_norm": 1.0},
            {"learning_rate": 1e-12},
            {"second_scale": 0.1},
            {"branch_scale": 0.3},
            {"branch_scale": 0.0},  # an affine layer, in fifty blocks
            {"branch_scale": 0.1, "learning_rate": 1e-5},
        ],
        not_finite=("loss", "losses"),
    ),
    "deep_sigmoid": Row(
        healed={"accuracy": (0.8, 1.0)},
        remedy={"gain": 4.0},
        wrong=[
            {"learning_rate": 0.001},
            {"learning_rate": 0.3},
            {"learning_rate": 3.0},
            {"learning_rate": 10.0, "momentum": 0.0},
            {"momentum": 0.99},
            {"gain": 0.25},
            {"gain": 2.0},
            {"gain": 2.0, "learning_rate": 0.3},
            {"gain": 2.0, "momentum": 0.99},
            {"gain": 30.0},
        ],
    ),
    "drifting_activations": Row(
        healed={"accuracy": (0.85, 1.0)},
        remedy={"normalization": "batch"},
        wrong=[
            {"learning_rate": 0.001},
            {"learning_rate": 0.2},
            {"learning_rate": 1.0},
            {"learning_rate": 10.0},
            {"weight_scale": 0.01},
            {"weight_scale": 1.0},
            {"weight_scale": 5.0},
            {"normalization": "batch", "learning_rate": 1e-5},
            {"normalization": "batch", "learning_rate": 3.0},
            {"normalization": "batch", "weight_scale": 5.0},
        ],
    ),
    "dying_relu": Row(
        healed={"silent": (0.0, 0.05), "accuracy": (0.96, 1.0)},
        remedy={"inputs": "centred", "bias": 0.0, "first_rate": 0.1},
        wrong=[
            {"first_rate": 0.1},
            {"first_rate": 0.0, "learning_rate": 0.0, "bias": 0.5},
            {"first_rate": 0.01, "learning_rate": 0.01, "bias": 0.0},
            {"first_rate": 0.01, "learning_rate": 0.01, "inputs": "centred"},
            {"learning_rate": 0.01},
            {"learning_rate": 0.3},
            {"bias": 0.0},
            {"bias": 0.01},
            {"bias": 0.5},
            {"bias": 1.0},
            {"negative_slope": 0.01},
            {"negative_slope": 0.3},
            {"negative_slope": 0.01, "bias": 0.01},
            {"negative_slope": 0.01, "first_rate": 0.1},
        ],
    ),
    "evaluation_mode": Row(),
    "q_learning": Row(
        healed={"reward": (9.0, 12.0), "value": (9.0, 11.0)},
        remedy={"loss": "huber"},
        wrong=[
            {"learning_rate": 0.001},
            {"learning_rate": 0.03},
            {"learning_rate": 1.0},
            {"learning_rate": 3.0},
            {"moves": 3000},
            {"moves": 3000, "learning_rate": 0.85, "delta": 8.0},
            {"learning_rate": 1.2, "delta": 8.0},
            {"delta": 0.1},
            {"delta": 2.0},
            {"delta": 8.0},
            {"reward_scale": 0.5},
            {"reward_scale": 10.0},
            {"reward_scale": 10.0, "delta": 10.0},
            {"loss": "huber", "delta": 0.01},
            {"loss": "huber", "learning_rate": 0.001},
        ],
    ),
    "rectifiers": Row(),
    "weight_scales": Row(not_finite=("losses",)),
    "exploding_rnn": Row(
        healed={"accuracy": (0.95, 1.0), "worst_loss": (0.0, 12.0)},
        remedy={"start": "orthogonal", "radius": 1.2, "clip_norm": 0.1},
        wrong=[
            {"clip_norm": 0.1},
            {"clip_norm": 1.0},
            {"clip_norm": 0.0},
            {"start": "orthogonal", "radius": 1.2},
            {"start": "orthogonal", "radius": 1.2, "clip_norm": 1.0},
            {"radius": 0.5, "clip_norm": 0.1},
            {"start": "orthogonal", "radius": 0.5, "clip_norm": 0.1},
            {"radius": 0.3},
            {"radius": 1.0},
            {"learning_rate": 0.0},
            {"learning_rate": 0.001},
            {"learning_rate": 0.03},
            {"learning_rate": 0.1},
            {"learning_rate": 10.0},
            {"start": "orthogonal", "radius": 1.2, "learning_rate": 0.0001},
            {"start": "orthogonal", "radius": 1.2, "learning_rate": 0.1},
            {"start": "orthogonal", "radius": 1.2, "learning_rate": 0.01, "clip_norm": 0.01},
        ],
    ),
    "memory": Row(),
    # The patients of the clinic take one change each. Beside the obvious wrong ones: a rate of next to nothing.
    "patient_1": Row(
        healed={"score": (0.8, 1.0)},
        remedy={"learning_rate_times": 0.03},
        wrong=[{"learning_rate_times": 1e-4}, {"bias_plus": 1.0}, {"weights_times": 0.3}, {"clip_norm": 1.0}],
    ),
    "patient_2": Row(
        healed={"score": (0.8, 1.0)},
        remedy={"activation": "tanh"},
        wrong=[{"learning_rate_times": 10.0}, {"learning_rate_times": 0.1}, {"weights_times": 0.3}],
    ),
    "patient_3": Row(
        healed={"score": (0.8, 1.0)},
        remedy={"bias_plus": 2.0},
        wrong=[{"learning_rate_times": 0.01}, {"learning_rate_times": 100.0}, {"activation": "tanh"}],
    ),
    "patient_4": Row(
        healed={"score": (0.8, 1.0)},
        remedy={"labels": "paired again"},
        wrong=[{"learning_rate_times": 10.0}, {"learning_rate_times": 0.01}, {"activation": "tanh"}],
    ),
    "patient_5": Row(
        healed={"score": (0.8, 1.0)},
        remedy={"weights_times": 0.08},
        wrong=[{"learning_rate_times": 0.01}, {"clip_norm": 1.0}, {"activation": "relu"}],
    ),
    "patient_6": Row(
        healed={"score": (0.8, 1.0)},
        remedy={"inputs": "standardized"},
        wrong=[{"learning_rate_times": 0.1}, {"weights_times": 0.1}, {"clip_norm": 1.0}],
    ),
    "patient_7": Row(
        healed={"score": (0.6, 1.0)},
        remedy={"loss": "huber"},
        wrong=[{"learning_rate_times": 10.0}, {"learning_rate_times": 1e-3}, {"loss": "squared"}],
    ),
    "patient_8": Row(
        healed={"score": (0.8, 1.0)},
        remedy={"evaluation": "test mode"},
        wrong=[{"learning_rate_times": 0.1}, {"labels": "paired again"}, {"clip_norm": 1.0}],
    ),
    "half_precision": Row(
        healed={"accuracy": (0.9, 1.0)},
        remedy={"scale": 2.0**24, "interval": 20.0},
        wrong=[
            {"learning_rate": 1e3},
            {"learning_rate": 1e6},
            {"interval": 20.0},
            {"scale": 2.0**-10},
            {"scale": 4.0},
            {"scale": 2.0**40},
            {"scale": 2.0**24, "learning_rate": 1e-4},
        ],
    ),
    "then_and_now": Row(),
}

every_experiment = pytest.mark.parametrize("name", EXPERIMENTS)
every_failure = pytest.mark.parametrize("name", [name for name, row in EXPERIMENTS.items() if row.healed])
every_wrong_remedy = pytest.mark.parametrize(
    ("name", "wrong"),
    [
        pytest.param(name, wrong, id=f"{name}-{json.dumps(wrong)}")
        for name, row in EXPERIMENTS.items()
        for wrong in row.wrong
    ],
)


@functools.cache
def _runs(name: str, remedy: str) -> list[dict[str, Any]]:
    experiment = experiments.find(name)
    settings = experiments.complete(experiment, json.loads(remedy))
    functions = experiments.functions_of(experiment)
    # What is only to be looked at has one run, the recorded one: it may take its time.
    seeds = SEEDS if EXPERIMENTS[name].healed else SEEDS[:1]
    with np.errstate(all="ignore"):  # as a check does: a run may blow up
        return [experiment.run(settings, functions, np.random.default_rng(seed)) for seed in seeds]


def runs(name: str, remedy: dict[str, Any]) -> list[dict[str, Any]]:
    """One record for each seed."""
    return _runs(name, json.dumps(remedy, sort_keys=True))


def is_healed(name: str, record: dict[str, Any]) -> bool:
    return all(low <= record[measure] <= high for measure, (low, high) in EXPERIMENTS[name].healed.items())


def test_every_experiment_has_a_row():
    assert set(EXPERIMENTS) == set(experiments._names())


@every_experiment
def test_its_settings_are_what_a_remedy_may_ask_for(name):
    experiment = experiments.find(name)
    for setting in experiment.SETTINGS.values():
        match setting:
            case Number():
                assert setting.low <= setting.default <= setting.high
            case Option():
                assert setting.default in setting.options
    experiments.complete(experiment, EXPERIMENTS[name].remedy)
    assert set(experiments.functions_of(experiment)) == set(experiment.REQUIRES)


@every_experiment
def test_the_recording_is_what_a_new_run_gives(name):
    kept, new = experiments.recorded(name), runs(name, {})[0]
    assert kept.keys() == new.keys()
    for key, value in new.items():
        assert np.shape(kept[key]) == np.shape(value), key
        # Another BLAS rounds differently, and training makes more of it: what a reader sees stays the same.
        scale = np.abs(value[np.isfinite(value)]).max(initial=0.0) if np.ndim(value) else abs(value)
        np.testing.assert_allclose(kept[key], value, rtol=0.02, atol=0.02 * scale, err_msg=key)


@every_failure
def test_a_seed_decides_everything(name):
    experiment = experiments.find(name)
    settings, functions = experiments.complete(experiment, {}), experiments.functions_of(experiment)
    first, again, other = (
        experiment.run(settings, functions, np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    for key, value in first.items():
        np.testing.assert_array_equal(again[key], value, err_msg=key)
    assert any(not np.array_equal(other[key], value) for key, value in first.items())


@every_experiment
def test_records_hold_finite_numbers_or_say_so(name):
    row = EXPERIMENTS[name]
    for remedy in ({}, row.remedy):
        for record in runs(name, remedy):
            for key, value in record.items():
                kind = np.asarray(value).dtype.kind
                assert kind in "fiub", key
                assert key in row.not_finite or np.isfinite(value).all(), key
    assert set(row.healed) <= {key for key, value in runs(name, {})[0].items() if np.ndim(value) == 0}


@every_failure
def test_it_fails_as_it_is(name):
    assert [is_healed(name, record) for record in runs(name, {})] == [False] * len(SEEDS)


@every_failure
def test_the_remedy_heals_it(name):
    healed = [is_healed(name, record) for record in runs(name, EXPERIMENTS[name].remedy)]
    assert healed == [True] * len(SEEDS)


@every_failure
def test_there_is_a_margin_on_both_sides(name):
    """Three standard deviations of a single run, where a check averages several."""
    fails = []
    for measure, (low, high) in EXPERIMENTS[name].healed.items():
        for remedy in (EXPERIMENTS[name].remedy, {}):
            values = np.array([record[measure] for record in runs(name, remedy)])
            values = values[np.isfinite(values)]
            near, far = values.mean() - 3 * values.std(), values.mean() + 3 * values.std()
            if remedy:
                assert near > low or low <= values.min() == values.max(), (measure, near)
                assert far < high or high >= values.max(), (measure, far)
            else:
                fails.append(far < low or near > high or not len(values))
    assert any(fails)


@every_wrong_remedy
def test_a_wrong_remedy_does_not_heal(name, wrong):
    with np.errstate(all="ignore"):
        measured = experiments.measure(name, wrong, CHECK_SEEDS)
    assert not is_healed(name, measured), measured


@every_failure
def test_the_exercise_asks_for_what_is_tested_here(name):
    rng = np.random.default_rng(0)
    asked = [
        (exercise, case, step)
        for group in exercises.assignments().values()
        for exercise in group.values()
        for case in exercise.visible(rng)
        for step in case.steps
        if isinstance(step, Train) and step.experiment == name
    ]
    for exercise, case, step in asked:
        assert exercise.reference[step.settings.name] == EXPERIMENTS[name].remedy
        assert len(step.seeds) >= len(CHECK_SEEDS)
        for measure in step.out:
            between = case.expect[measure]
            assert isinstance(between, Between)
            assert (between.low, between.high) == EXPERIMENTS[name].healed[measure]
            assert "{value}" in between.text
