import math
from collections.abc import Callable

import pytest

from minigrad.schedules import constant, cosine, step_decay, warm_up

SCHEDULES = [
    constant,
    lambda step, rate: step_decay(step, rate, 7),
    lambda step, rate: cosine(step, rate, 30),
]


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (lambda step: step_decay(step, 0.3, every=4, factor=0.5), "StepLR", {"step_size": 4, "gamma": 0.5}),
        (lambda step: step_decay(step, 0.3, every=3), "StepLR", {"step_size": 3}),
        (lambda step: cosine(step, 0.3, steps=20), "CosineAnnealingLR", {"T_max": 20}),
        (lambda step: cosine(step, 0.3, 20, final=0.1), "CosineAnnealingLR", {"T_max": 20, "eta_min": 0.1}),
        (lambda step: warm_up(step, 0.3, steps=5), "LinearLR", {"start_factor": 0.2, "total_iters": 4}),
        (lambda step: constant(step, 0.3), "ConstantLR", {"factor": 1.0}),
    ],
)
def test_pytorch_has_the_same_rates(ours: Callable, theirs: str, options: dict):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    schedule = getattr(torch.optim.lr_scheduler, theirs)(optimizer, **options)
    for step in range(20):
        assert ours(step) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_starts_at_the_rate_and_never_rises(schedule: Callable):
    rates = [schedule(step, 0.3) for step in range(60)]
    assert all(type(rate) is float for rate in rates)
    assert rates[0] == 0.3
    assert rates == sorted(rates, reverse=True)


def test_after_the_last_step_the_rate_stays():
    assert (
        cosine(30, 1.0, steps=30, final=0.2) == cosine(10**9, 1.0, steps=30, final=0.2) == pytest.approx(0.2)
    )


def test_a_warm_up_is_a_straight_line_and_then_out_of_the_way():
    assert [warm_up(step, 2.0, steps=4) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert warm_up(0, 2.0, steps=0) == warm_up(0, 2.0, steps=1) == 2.0


def test_schedules_nest():
    rates = [warm_up(step, cosine(step, 1.0, steps=100), steps=10) for step in range(101)]
    peak = rates.index(max(rates))
    assert peak == 9
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[50] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: constant(-1, 1.0), "constant: step must be at least 0, not -1"),
        (lambda: step_decay(-1, 1.0, 5), "step_decay: step"),
        (lambda: step_decay(0, 1.0, 0), "step_decay: every must be at least 1, not 0"),
        (lambda: cosine(0, 1.0, 0), "cosine: steps must be at least 1, not 0"),
        (lambda: cosine(-2, 1.0, 5), "cosine: step"),
        (lambda: warm_up(-1, 1.0, 5), "warm_up: step"),
        (lambda: warm_up(0, 1.0, -5), "warm_up: steps must be at least 0, not -5"),
    ],
)
def test_impossible_steps_are_refused(call: Callable, words: str):
    with pytest.raises(ValueError, match=words):
        call()
