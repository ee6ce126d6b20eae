"""The second lab of assignment 07, its experiment, and the numbers that the notebook relies on."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import experiments, plots
from minigrad.experiments import q_learning as run
from minigrad.labs import explore
from minigrad.labs import q_learning as lab
from minigrad.losses import clipped_delta_loss, huber_loss, td_loss

FUNCTIONS = {"td_loss": td_loss, "huber_loss": huber_loss, "clipped_delta_loss": clipped_delta_loss}


@functools.cache
def simulate(loss="clipped", delta=1.0, reward_scale=1.0, presses=6):
    parameters = {"loss": loss, "delta": delta, "reward_scale": reward_scale, "presses": presses}
    return lab.simulate(parameters, FUNCTIONS)


@functools.cache
def learn(seed=0, **changes):
    with np.errstate(all="ignore"):
        return run.learn(seed, **FUNCTIONS, **changes)


def test_what_the_notebook_says_there_is_to_find():
    failed = simulate()
    assert round(failed["rewards"][-1], 9) == 1.8
    assert (failed["silent"], failed["seen"]) == (342, 342)
    assert [round(float(simulate("huber", presses=k)["values"][0].max()), 1) for k in (1, 2)] == [0.4, 5.8]
    assert simulate("huber", presses=1)["rewards"][-1] == 10.0
    pays = [simulate(delta=delta)["rewards"][-1] > 9 for delta in (8.5, 9.0, 9.5, 12.0)]
    assert pays == [False, False, True, True]
    pays = [simulate(reward_scale=scale)["rewards"][-1] > 9 for scale in (0.05, 0.1, 0.15, 0.2)]
    assert pays == [True, True, False, False]


def test_with_a_huber_loss_the_values_are_those_of_the_world():
    learned, true = simulate("huber")["values"], run.WORLD.optimal_q(run.GAMMA)
    assert np.abs(learned.max(axis=1) - true.max(axis=1))[:-1].max() < 0.1


def test_presses_replay_from_the_start():
    three, six = simulate("huber", presses=3), simulate("huber", presses=6)
    np.testing.assert_array_equal(three["rewards"], six["rewards"][:16])
    start = simulate(presses=0)
    assert start["rewards"].tolist() == [0.0]
    assert not start["values"].any()
    assert (start["seen"], start["silent"]) == (0, 0)


def test_it_runs_the_functions_it_is_given():
    parameters = {"loss": "huber", "delta": 1.0, "reward_scale": 1.0, "presses": 6}
    result = lab.simulate(parameters, {**FUNCTIONS, "huber_loss": clipped_delta_loss})
    np.testing.assert_array_equal(result["values"], simulate()["values"])


@pytest.mark.parametrize("loss", ["clipped", "huber"])
@pytest.mark.parametrize("presses", [0, 2])
@pytest.mark.parametrize(("delta", "scale"), [(0.5, 1.0), (12.0, 0.05)])
def test_every_position_can_be_drawn_and_described(loss, presses, delta, scale):
    result = simulate(loss, delta, scale, presses)
    figure = Figure(figsize=lab.SIZE)
    lab.draw(result, figure)
    assert len(plots.png(figure)) > 1000
    text = lab.describe(result)
    assert text.startswith(f"{loss} loss, after {100 * presses} steps: an episode pays")
    assert "(true: 5.99)" in text


def test_a_student_who_is_not_there_yet_is_told_what_to_write(capsys):
    def td_loss(q, actions, rewards, next_q, done):
        raise NotImplementedError()

    explore.explore(lab, **{**FUNCTIONS, "td_loss": td_loss})
    assert "Write td_loss first" in capsys.readouterr().out


# -- numbers in the notebook


def test_a_setting_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'gamma'"):
        run.learn(0, **FUNCTIONS, gamma=0.5)


def test_the_run_that_is_shown():
    failed = experiments.recorded("q_learning")
    assert (failed["treasures"], failed["seen"], failed["silent"]) == (17, 342, 342)
    assert round(failed["silent_others"], 3) == 0.019
    assert round(failed["value"], 2) == 0.87
    assert failed["values"].max() < 1.0
    assert max(failed["losses"][:50].mean(), failed["loss"]) < 0.01
    assert set(np.round(failed["rewards"][3:], 9)) == {1.8}
    # Each treasure in a batch of 32 costs one half; what is left of the other losses is next to nothing at the end.
    rows = failed["losses"][-200:] / (0.5 / 32)
    np.testing.assert_allclose(rows, np.round(rows), atol=0.05)


def test_the_network_that_is_measured():
    assert round(learn(1)["value"], 2) == 0.34
    assert round(learn(1, loss="huber")["value"], 2) == 10.0
    assert [learn(1, delta=delta)["value"] > 5 for delta in (9.2, 9.3, 9.45, 9.6)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 0.001},
        {"learning_rate": 0.03},
        {"moves": 3000},
        {"delta": 5.0},
    ],
    ids=str,
)
def test_what_people_try_first_leaves_every_treasure_without_a_gradient(changes):
    for seed in range(3):
        record = learn(seed, **changes)
        assert record["silent"] == record["seen"] > 100
        assert record["reward"] < 2


def test_the_other_two_ways_to_heal_it():
    for changes in ({"delta": 20.0}, {"reward_scale": 0.1}):
        for seed in range(3):
            record = learn(seed, **changes)
            assert record["reward"] > 9.9
            assert abs(record["value"] - 10) < 0.2


def test_a_gradient_into_the_target_pulls_down_what_was_right():
    """The two values of section 8, by hand: one rises by 0.1 a step, the other falls by 0.9 of that, until they fit."""
    steps = (0.9 * 9.0 - 2.0) / (0.1 + 0.9 * 0.09)
    np.testing.assert_allclose([2.0 + 0.1 * steps, 9.0 - 0.09 * steps], [5.37, 5.97], atol=0.005)
    assert 0.4 < 0.9 * 0.09 / (0.1 + 0.9 * 0.09) < 0.5


def test_next_year_only_the_slope_holds():
    def means(**changes):
        runs = [learn(seed, **changes) for seed in range(3)]
        return tuple(float(np.mean([each[key] for each in runs])) for key in ("reward", "value"))

    pays, value = means(loss="huber", reward_scale=3.0)
    assert (round(pays, 1), round(value, 2)) == (6.7, 8.94)
    for deleted in ({"delta": 20.0, "reward_scale": 3.0}, {"reward_scale": 0.3}):
        pays, value = means(**deleted)
        assert round(pays, 1) == 1.8
        assert value < 0.7
    assert all(learn(seed, loss="huber", reward_scale=3.0, steps=2400)["reward"] > 9 for seed in range(3))
