"""The lab of assignment 03, and the numbers that its notebook relies on."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import experiments, plots
from minigrad.experiments import dying_relu as run
from minigrad.experiments import rectifiers
from minigrad.labs import dying_relu, explore


def relu_forward(x):
    """Stand in for the student's."""
    return np.where(x > 0, x, 0.0), x


def relu_backward(dout, cache):
    return np.where(cache > 0, dout, 0.0)


def count_dead_relus(activations):
    return {name: int((out.max(axis=0) <= 0).sum()) for name, out in activations.items()}


def unwritten(*args):
    raise NotImplementedError()


FUNCTIONS = {
    "relu_forward": relu_forward,
    "relu_backward": relu_backward,
    "count_dead_relus": count_dead_relus,
}


def simulate(learning_rate=2.0, shift=0.6, steps=3, **functions):
    parameters = {"learning_rate": learning_rate, "shift": shift, "steps": steps}
    return dying_relu.simulate(parameters, {**FUNCTIONS, **functions})


class TestSimulate:
    def test_a_unit_is_dead_where_no_point_lies_on_its_side(self):
        result = simulate()
        z = result["x"] @ result["w"] + result["b"]
        np.testing.assert_allclose(result["before"], z)
        np.testing.assert_array_equal(result["dead"], z.max(axis=0) <= 0)
        assert result["alive_by_step"].tolist()[-1] == 20 - result["dead"].sum()
        assert len(result["alive_by_step"]) == 4

    def test_the_dead_have_no_gradient_and_stay(self):
        first, later = simulate(steps=2), simulate(steps=9)
        dead = first["dead"]
        assert dead.any()
        assert not first["gradients"][dead].any()
        np.testing.assert_array_equal(later["w"][:, dead], first["w"][:, dead])
        np.testing.assert_array_equal(later["b"][dead], first["b"][dead])
        assert later["dead"][dead].all()

    def test_presses_replay_from_the_start(self):
        three, five = simulate(steps=3), simulate(steps=5)
        np.testing.assert_array_equal(three["alive_by_step"], five["alive_by_step"][:4])
        assert simulate(steps=0)["alive_by_step"].tolist() == [20]

    def test_a_rate_of_zero_changes_nothing(self):
        np.testing.assert_array_equal(simulate(0.0, steps=4)["w"], simulate(0.0, steps=0)["w"])

    def test_what_the_notebook_says_there_is_to_find(self):
        assert simulate(0.1, steps=10)["alive_by_step"].tolist() == [20] * 11
        assert simulate(2.0, steps=8)["alive_by_step"].tolist() == [20, 18, 12, 12, 12, 12, 12, 12, 12]
        assert simulate(shift=2.0, steps=0)["alive_by_step"].tolist() == [11]
        assert simulate(2.0, shift=0.0, steps=8)["alive_by_step"][-1] == 18

    def test_it_runs_the_functions_it_is_given(self):
        linear = simulate(relu_forward=lambda x: (x, x), relu_backward=lambda dout, cache: dout)
        assert linear["gradients"].all()
        none = simulate(count_dead_relus=lambda activations: dict.fromkeys(activations, 0))
        assert none["alive_by_step"].tolist() == [20, 20, 20, 20]

    @pytest.mark.parametrize(
        ("name", "function"),
        [
            ("relu_forward", lambda x: (x[0], x)),
            ("count_dead_relus", lambda activations: 3),
            ("count_dead_relus", lambda activations: {}),
        ],
    )
    def test_says_which_function_returned_something_else(self, name, function):
        with pytest.raises(ValueError, match=name):
            simulate(**{name: function})


@pytest.mark.parametrize("rate", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("shift", [0.0, 2.0])
@pytest.mark.parametrize("steps", [0, 6])
def test_every_position_can_be_drawn_and_described(rate, shift, steps):
    result = simulate(rate, shift, steps)
    figure = Figure(figsize=dying_relu.SIZE)
    dying_relu.draw(result, figure)
    assert len(plots.png(figure)) > 1000
    text = dying_relu.describe(result)
    assert f"After step {steps}: {20 - result['dead'].sum()} of 20" in text
    if result["dead"].any():
        assert "largest gradient among them is 0." in text


def test_a_student_who_is_not_there_yet_is_told_what_to_write(capsys):
    explore.explore(dying_relu, **{**FUNCTIONS, "relu_backward": unwritten})
    assert "Write relu_backward first" in capsys.readouterr().out


# -- numbers in the notebook


def runs(seeds=range(5), **changes):
    settings, functions = experiments.complete(run, changes), experiments.functions_of(run)
    return [run.run(settings, functions, np.random.default_rng(seed)) for seed in seeds]


def share(records, key):
    return float(np.mean([record[key] for record in records]))


def test_a_bias_acts_at_the_start_and_not_on_the_step():
    usual, none, small, large = (runs(bias=bias) for bias in (-0.3, 0.0, 0.01, 0.5))
    assert 0.08 < share(usual, "silent_at_start") < 0.16
    assert abs(share(none, "silent_at_start") - share(small, "silent_at_start")) < 0.01
    assert share(large, "silent_at_start") == 0
    assert min(share(each, "silent_after_step") for each in (usual, none, small, large)) > 0.3
    assert share(runs(bias=1.0), "silent") > 0.6


def test_which_remedies_work_and_which_do_not_is_as_the_notebook_says():
    assert share(runs(inputs="centred"), "silent") < 0.02
    assert 0.015 < share(runs(range(20), bias=0.0, first_rate=0.1), "silent") < 0.045
    assert share(runs(bias=0.5, first_rate=0.1), "silent") < 0.01
    assert 0.09 < share(runs(first_rate=0.1), "silent") < 0.14
    assert 0.2 < share(runs(negative_slope=0.3), "silent") < 0.36
    for inputs in ("raw", "centred"):
        assert share(runs(inputs=inputs, bias=0.0, first_rate=0.01, learning_rate=0.01), "accuracy") < 0.93


def test_a_leak_brings_nobody_back_from_one_long_step_and_saves_a_network_from_many():
    one = runs(negative_slope=0.01)
    assert share(one, "silent") > share(one, "silent_after_step") - 0.02
    assert share(one, "frozen") == 0 < 0.3 < share(runs(), "frozen")
    often = {"first_rate": 0.5, "learning_rate": 0.5, "bias": 0.0}
    assert max(record["accuracy"] for record in runs(**often)) < 0.3
    assert min(record["accuracy"] for record in runs(negative_slope=0.1, **often)) > 0.95


def test_of_the_family_only_the_relu_has_units_without_gradient():
    family = experiments.recorded("rectifiers")
    assert family["frozen"][0] > 0.3
    assert not family["frozen"][1:].any()
    assert family["silent"].min() > 0.2
    assert rectifiers.ACTIVATIONS[2] == "elu"
    assert family["accuracy_all_steps"][[0, 2]].max() < 0.5  # an ELU does not survive it either
    assert family["accuracy_all_steps"][4].min() > 0.9  # a SiLU does


def test_raw_pixels_move_units_to_one_side_on_all_digits_and_centred_ones_do_not():
    for seed in range(5):
        for inputs, low, high in (("raw", 50, 75), ("centred", 0, 2)):
            seen = run.first_step(4.0, relu_forward, relu_backward, seed, inputs)
            moves = seen["after"] - seen["before"]
            together = np.all(moves > 0, axis=0) | np.all(moves < 0, axis=0)
            assert low <= together.sum() <= high


def test_the_killed_units_move_down_on_every_digit_or_nearly():
    seen = run.first_step(4.0, relu_forward, relu_backward)
    killed = (seen["before"].max(axis=0) > 0) & (seen["after"].max(axis=0) <= 0)
    assert killed.sum() == 33
    assert np.mean((seen["after"] < seen["before"])[:, killed]) > 0.98
