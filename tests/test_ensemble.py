"""The ensemble of assignment 04 as its notebook draws it: how many numbers, and what the limits tell apart."""

from pathlib import Path

import nbformat
import numpy as np
import pytest

from autograder.checking import check_sheet
from autograder.exercises import full_sheet
from autograder.report import PASSED
from autograder.session import LocalSession
from minigrad.layers import relu_forward

SOURCE = Path(__file__).resolve().parents[1] / "solutions/04_vanishing_exploding/04_vanishing_exploding.ipynb"
SCALED = {
    "normal": lambda shape, rng: rng.standard_normal(shape),
    "uniform": lambda shape, rng: rng.uniform(-(3**0.5), 3**0.5, shape),
    "signs": lambda shape, rng: rng.choice([-1.0, 1.0], shape),
}


def drawn(he_init, seed=0):
    """What the notebook's `mean_squares(400)` gives with this `he_init`."""
    cells = [cell.source for cell in nbformat.read(SOURCE, as_version=4).cells if cell.cell_type == "code"]
    (function,) = [text for text in cells if text.startswith("def mean_squares")]
    assert any("mean_squares(400)[:, -1]" in text for text in cells)
    namespace = {"np": np, "relu_forward": relu_forward, "he_init": he_init}
    exec(function, namespace)
    return namespace["mean_squares"](400, seed=seed)


def answers(numbers):
    numbers = np.asarray(numbers)
    names = ("mean_growth", "median_growth", "share_below_half")
    return dict(zip(names, (np.mean(numbers), np.median(numbers), np.mean(numbers < 0.5)), strict=True))


def wrong(namespace):
    """Names of the findings that did not pass."""
    report = check_sheet(LocalSession(dict(namespace)), full_sheet("ensemble", 0))
    return [finding.check for finding in report.findings if finding.outcome != PASSED]


@pytest.fixture(scope="module", params=SCALED)
def found(request):
    draw = SCALED[request.param]
    return drawn(lambda fan_in, fan_out, rng: np.sqrt(2 / fan_in) * draw((fan_in, fan_out), rng), seed=1)


def test_any_distribution_gets_all_points(found):
    assert wrong(answers(found[:, -1])) == []


def test_other_readings_of_the_same_numbers_do_not(found):
    right = answers(found[:, -1])
    mean, median, share = right
    assert len(wrong(right | {mean: right[median], median: right[mean]})) == 2
    assert len(wrong(right | {share: 1 - right[share]})) == 1
    assert len(wrong(right | {share: 100 * right[share]})) == 1
    assert wrong(answers(found))  # all layers together
    assert wrong(answers(found[:, 0]))


@pytest.mark.parametrize(
    "variance", [1.0, 2 * 0.774, 3.0]
)  # Xavier, a normal cut off at 2, one and a half times He
def test_weights_of_another_width_lose_all_points(variance):
    numbers = drawn(
        lambda fan_in, fan_out, rng: np.sqrt(variance / fan_in) * rng.standard_normal((fan_in, fan_out))
    )
    assert len(wrong(answers(numbers[:, -1]))) == 3


def test_it_draws_few_enough_weights_for_a_loop():
    """A loop that draws one number at a time takes 0.3 to 5 microseconds for each."""
    asked = 0

    def he_init(fan_in, fan_out, rng):
        nonlocal asked
        asked += fan_in * fan_out
        return np.zeros((fan_in, fan_out))

    drawn(he_init)
    assert 0 < asked <= 2_000_000
