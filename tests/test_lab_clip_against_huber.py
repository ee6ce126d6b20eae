"""The first lab of assignment 07: three losses of one error."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import plots
from minigrad.labs import clip_against_huber as lab
from minigrad.labs import explore


def clipped_delta_loss(x, target, delta=1.0):
    """Stand in for the student's."""
    error = x - target
    inside = np.abs(error) <= delta
    return np.mean(np.where(inside, error**2, delta**2)) / 2, np.where(inside, error, 0.0) / x.size


def huber_loss(x, target, delta=1.0):
    near = np.minimum(np.abs(x - target), delta)
    return np.mean(near**2 / 2 + delta * (np.abs(x - target) - near)), np.sign(x - target) * near / x.size


FUNCTIONS = {"clipped_delta_loss": clipped_delta_loss, "huber_loss": huber_loss}


def simulate(delta=1.0, error=3.0, **functions):
    return lab.simulate({"delta": delta, "error": error}, {**FUNCTIONS, **functions})


def test_inside_all_three_are_the_same_and_outside_none_are():
    result = simulate(delta=2.0)
    inside = np.abs(result["errors"]) <= 2.0 - 1e-9
    for curves in (result["values"], result["slopes"]):
        np.testing.assert_allclose(curves[1:, inside], curves[:1, inside].repeat(2, axis=0), atol=1e-12)
        far = curves[:, np.abs(result["errors"]) > 2.2]
        assert np.abs(far[0] - far[1]).min() > 0.1
        assert np.abs(far[1] - far[2]).min() > 0.1


@pytest.mark.parametrize("delta", [0.1, 1.0, 3.0])
def test_slopes_are_those_of_the_values(delta):
    result = simulate(delta)
    middle, h = result["errors"][1:-1], result["errors"][1] - result["errors"][0]
    smooth = np.abs(np.abs(middle) - delta) > h
    measured = (result["values"][:, 2:] - result["values"][:, :-2]) / (2 * h)
    np.testing.assert_allclose(measured[:, smooth], result["slopes"][:, 1:-1][:, smooth], atol=1e-9)


def test_what_the_notebook_says_there_is_to_find():
    slopes = {error: simulate(1.0, error)["here"][:, 1].tolist() for error in (0.9, 1.0, 1.1, 6.0)}
    assert slopes == {0.9: [0.9, 0.9, 0.9], 1.0: [1.0, 1.0, 1.0], 1.1: [1.1, 0.0, 1.0], 6.0: [6.0, 0.0, 1.0]}
    assert simulate(2.9, 3.0)["here"][:, 1].tolist() == [3.0, 0.0, 2.9]
    assert simulate(3.0, 3.0)["here"][:, 1].tolist() == [3.0, 3.0, 3.0]
    assert simulate(0.1, 3.0)["here"][2, 1] == 0.1
    wide = simulate(5.0, 4.9)
    here = np.abs(wide["errors"]) < 4.95
    np.testing.assert_allclose(wide["values"][:, here], wide["values"][:1, here].repeat(3, axis=0))


@pytest.mark.parametrize("name", lab.REQUIRES)
@pytest.mark.parametrize("wrong", [3.0, (1.0, 2.0), (1.0, np.zeros(2))])
def test_says_which_function_returned_something_else(name, wrong):
    with pytest.raises(ValueError, match=f"{name} should return"):
        simulate(**{name: lambda x, target, delta: wrong})


@pytest.mark.parametrize("delta", [0.1, 5.0])
@pytest.mark.parametrize("error", [-6.0, 0.0, 6.0])
def test_every_position_can_be_drawn_and_described(delta, error):
    result = simulate(delta, error)
    figure = Figure(figsize=lab.SIZE)
    lab.draw(result, figure)
    assert len(plots.png(figure)) > 1000
    text = lab.describe(result)
    assert f"delta is {delta:.1f}. At an error of {error:.1f}" in text
    assert "-0," not in text
    assert text.count("gradient") == 3


def test_a_student_who_is_not_there_yet_is_told_what_to_write(capsys):
    def huber_loss(x, target, delta=1.0):
        raise NotImplementedError()

    explore.explore(lab, clipped_delta_loss=clipped_delta_loss, huber_loss=huber_loss)
    assert "Write huber_loss first" in capsys.readouterr().out
