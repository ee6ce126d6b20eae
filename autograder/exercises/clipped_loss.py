"""Assignment 07: a clipped loss. References, cases, points and misconceptions."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.layers import gather_backward, gather_forward
from minigrad.losses import clipped_delta_loss, huber_loss, td_loss

from ..answers import choices
from ..caches import cache_cases, cache_mistakes
from ..exercise import Between, Call, Case, Exercise, Fetch, Misconception, Probe, Ref, Train

ASSIGNMENT = "07_clipped_loss"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]


# -- gather


def _table(rng: Rng, n: int, a: int) -> tuple[Array, Array]:
    """Values, and an action for each row: not always the best, not always the same."""
    actions = rng.integers(0, a, n)
    actions[: min(n, a)] = rng.permutation(a)[:n]
    return rng.normal(size=(n, a)), actions


def _gather_forward_case(label: str, q: Array, actions: Array, float32: bool = False) -> Case:
    return Case(label, [Call("gather_forward", (q, actions), ("out", "cache"))], float32=float32)


def _gather_forward_visible(rng: Rng) -> Cases:
    yield _gather_forward_case("q of shape (5, 3)", *_table(rng, 5, 3))
    yield _gather_forward_case("q of shape (4, 4)", *_table(rng, 4, 4))


def _gather_forward_hidden(rng: Rng) -> Cases:
    yield _gather_forward_case("a batch of one", *_table(rng, 1, 4))
    yield _gather_forward_case("one action", *_table(rng, 6, 1))
    yield _gather_forward_case("everybody does the same", rng.normal(size=(6, 3)), np.full(6, 1))
    yield _gather_forward_case("more actions than rows", *_table(rng, 3, 7))
    yield _gather_forward_case("200 rows, float32", *_table(rng, 200, 5), float32=True)


gather_forward_exercise = Exercise(
    name="gather_forward",
    title="One value of each row, forward",
    points=2,
    grades=("gather_forward",),
    reference={"gather_forward": gather_forward},
    visible=_gather_forward_visible,
    hidden=_gather_forward_hidden,
    labels={"out": "one number for each row: that of the action of this row"},
    misconceptions=[
        Misconception(
            "every_pair",
            "Your output has a row and a column for each example. q[:, actions] takes every listed column from every "
            "row. How do you name one row together with one column?",
            {"gather_forward": lambda q, actions: (q[:, actions], (q, actions))},
        ),
        Misconception(
            "rows_instead",
            "You use the actions to choose rows. What do the rows of q stand for, and what the columns?",
            {"gather_forward": lambda q, actions: (np.take(q, actions, axis=0, mode="wrap"), (q, actions))},
        ),
        Misconception(
            "best_action",
            "You return the largest value of each row. The agent may have done something else.",
            {"gather_forward": lambda q, actions: (q.max(axis=1), (q, actions))},
        ),
        Misconception(
            "action_of_the_first",
            "All rows use the action of the first one. Each example has its own.",
            {"gather_forward": lambda q, actions: (q[:, actions[0]], (q, actions))},
        ),
        Misconception(
            "others_set_to_zero",
            "Your output still has a column for each action, with zeros in them. One number for each row is wanted.",
            {"gather_forward": lambda q, actions: (q * np.eye(q.shape[1])[actions], (q, actions))},
        ),
        Misconception(
            "column_kept",
            "Your output has shape (N, 1). Where a target of shape (N,) is subtracted from that, numpy makes an (N, N) "
            "of it and says nothing.",
            {"gather_forward": lambda q, actions: (np.take_along_axis(q, actions[:, None], 1), (q, actions))},
        ),
        Misconception(
            "actions_returned",
            "You return which action is the best, not what one is worth.",
            {"gather_forward": lambda q, actions: (q.argmax(axis=1).astype(float), (q, actions))},
        ),
    ],
)


def _gather_backward_case(
    label: str, rng: Rng, q: Array, actions: Array, dout: Array | None = None, float32: bool = False
) -> Case:
    forward = Call("gather_forward", (q, actions), ("out", "cache"))
    upstream = rng.normal(size=len(q)) if dout is None else dout
    backward = Call("gather_backward", (upstream, Ref("cache")), ("dq",))
    return Case(label, [forward, backward], float32=float32)


def _gather_backward_visible(rng: Rng) -> Cases:
    yield _gather_backward_case("q of shape (5, 3)", rng, *_table(rng, 5, 3))
    yield _gather_backward_case("everybody does the same", rng, rng.normal(size=(4, 3)), np.full(4, 2))
    yield from cache_cases("gather", lambda: _table(rng, 4, 3), (4,), rng, ("dq",))


def _gather_backward_hidden(rng: Rng) -> Cases:
    yield _gather_backward_case("a batch of one", rng, *_table(rng, 1, 4))
    yield _gather_backward_case("one action", rng, *_table(rng, 6, 1))
    yield _gather_backward_case("more actions than rows", rng, *_table(rng, 3, 7))
    mixed = rng.normal(size=5) * [0, 1, -1, 0, 1]
    yield _gather_backward_case("a dout with zeros in it", rng, *_table(rng, 5, 3), mixed)
    yield _gather_backward_case("200 rows, float32", rng, *_table(rng, 200, 5), float32=True)


def _gather(function: Callable[[Array, Array, Array], Any]) -> dict[str, Callable]:
    """A wrong backward pass as a function of dout, q and actions."""
    return {
        "gather_forward": lambda q, actions: (gather_forward(q, actions)[0], (q.copy(), actions.copy())),
        "gather_backward": lambda dout, cache: function(dout, *cache),
    }


def _chosen(q: Array, actions: Array) -> Array:
    """1 in the column of the action of each row, 0 elsewhere."""
    return np.eye(q.shape[1])[actions]


def _with_columns(q: Array, actions: Array, values: Array) -> Array:
    """What an assignment to dq[:, actions] leaves: the last one to a column stays."""
    dq = np.zeros_like(q)
    dq[:, actions] = values
    return dq


def _every_row(dout: Array, q: Array, actions: Array) -> Array:
    dq = np.zeros_like(q)
    for n, action in enumerate(actions):
        dq[:, action] += dout[n]
    return dq


gather_backward_exercise = Exercise(
    name="gather_backward",
    title="One value of each row, backward",
    points=3,
    grades=("gather_backward",),
    reference={"gather_forward": gather_forward, "gather_backward": gather_backward},
    visible=_gather_backward_visible,
    hidden=_gather_backward_hidden,
    labels={"dq": "dout goes back to where each number came from, and nowhere else"},
    misconceptions=[
        Misconception(
            "all_actions",
            "Every action of a row gets the gradient. Which of them did the output depend on?",
            _gather(lambda dout, q, actions: dout[:, None] * np.ones_like(q)),
        ),
        Misconception(
            "shared_among_actions",
            "You share the gradient among the actions of a row. Move one of the others by a little: does the output "
            "move?",
            _gather(lambda dout, q, actions: dout[:, None] * np.ones_like(q) / q.shape[1]),
        ),
        Misconception(
            "others_get_the_gradient",
            "The gradient goes to the actions that were not taken.",
            _gather(lambda dout, q, actions: dout[:, None] * (1 - _chosen(q, actions))),
        ),
        Misconception(
            "where_it_was_only",
            "You return 1 where a number was taken. What arrives from above is not in it.",
            _gather(lambda dout, q, actions: _chosen(q, actions)),
        ),
        Misconception(
            "times_the_value",
            "You multiply by the value that was taken. When it grows by a little, by how much does the output grow?",
            _gather(lambda dout, q, actions: dout[:, None] * q * _chosen(q, actions)),
        ),
        Misconception(
            "best_action",
            "The gradient goes to the action with the largest value. The output was the value of another one.",
            _gather(lambda dout, q, actions: dout[:, None] * _chosen(q, q.argmax(axis=1))),
        ),
        Misconception(
            "every_row",
            "dq[:, action] is a column of all rows. Each number of dout came out of one row.",
            _gather(_every_row),
        ),
        Misconception(
            "whole_columns",
            "dq[:, actions] names whole columns, in all rows. How do you name one row together with one column?",
            _gather(lambda dout, q, actions: _with_columns(q, actions, dout[:, None])),
        ),
        Misconception(
            "whole_columns_in_a_row",
            "dq[:, actions] names whole columns, in all rows. How do you name one row together with one column?",
            _gather(lambda dout, q, actions: _with_columns(q, actions, dout)),
        ),
        Misconception(
            "starts_from_q",
            "Where nothing was taken, your dq holds the values of q. What is the slope of the output there?",
            _gather(lambda dout, q, actions: np.where(_chosen(q, actions) == 1, dout[:, None], q)),
        ),
        Misconception(
            "averaged",
            "You divide by the number of rows. Nothing in the forward pass does; if the loss does, dout has that "
            "factor already.",
            _gather(lambda dout, q, actions: dout[:, None] * _chosen(q, actions) / len(q)),
        ),
        *cache_mistakes("gather", gather_forward, gather_backward),
    ],
)


# -- losses of an error


def _apart(rng: Rng, shape: tuple[int, ...], delta: float) -> tuple[Array, Array, float]:
    """Predictions and targets whose errors lie on both sides of both bounds."""
    factors = np.resize([0.3, -0.7, 3.0, -2.0, 0.9, -40.0], int(np.prod(shape))).reshape(shape)
    target = rng.normal(size=shape)
    return target + delta * factors * rng.uniform(0.8, 1.1, shape), target, delta


def _within(rng: Rng, shape: tuple[int, ...], delta: float, low: float, high: float) -> tuple:
    """The same, with all errors between two multiples of delta."""
    target = rng.normal(size=shape)
    error = delta * rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)
    return target + error, target, delta


def _loss_case(
    function: str,
    label: str,
    *args: Any,
    out: tuple[str, str] = ("loss", "dx"),
    ignore: tuple[str, ...] = (),
    float32: bool = False,
) -> Case:
    return Case(label, [Call(function, args, out)], ignore=ignore, float32=float32)


def _bounds_case(function: str, rng: Rng, delta: float) -> Case:
    """Errors of exactly zero, and plus and minus delta; eighths are exact in binary."""
    target = rng.integers(-99, 99, 4) / 8
    x = target + np.array([delta, -delta, 0.0, delta / 4])
    out = ("loss_at_delta", "dx_at_delta")
    return _loss_case(
        function, "errors of exactly 0, delta and -delta", x, target, delta, out=out, ignore=out[:1]
    )


def _loss_visible(function: str) -> Callable[[Rng], Cases]:
    def visible(rng: Rng) -> Cases:
        yield _loss_case(function, "x of shape (4, 3), delta = 0.5", *_apart(rng, (4, 3), 0.5))
        yield _loss_case(function, "delta = 2", *_apart(rng, (7,), 2.0))
        x, target, _ = _apart(rng, (5,), 1.0)
        yield _loss_case(function, "delta left out", x, target)
        yield _bounds_case(function, rng, 0.5)

    return visible


def _loss_hidden(function: str) -> Callable[[Rng], Cases]:
    def hidden(rng: Rng) -> Cases:
        yield _loss_case(function, "one number", *_within(rng, (1,), 1.5, 2.0, 3.0))
        yield _loss_case(function, "all errors inside", *_within(rng, (3, 2), 1.5, 0.1, 0.9))
        yield _loss_case(function, "all errors outside", *_within(rng, (3, 2), 1.5, 1.1, 9.0))
        yield _loss_case(function, "three axes, delta = 0.1", *_apart(rng, (2, 3, 4), 0.1))
        yield _loss_case(function, "errors near 1000 delta", *_within(rng, (6,), 3.0, 900.0, 1100.0))
        yield _loss_case(function, "errors close to the bounds", *_within(rng, (4, 3), 0.8, 0.97, 1.03))
        yield _bounds_case(function, rng, 2.0)
        yield _loss_case(function, "a large batch, float32", *_apart(rng, (200, 5), 0.7), float32=True)

    return hidden


def _formula(value: Callable, slope: Callable) -> Callable:
    """A loss from functions of (error, delta) for one example, before the mean."""

    def loss(x: Array, target: Array, delta: float = 1.0) -> tuple:
        error = x - target
        return value(error, delta).mean(), slope(error, delta) / x.size

    return loss


def _clip(error: Array, delta: float) -> Array:
    return np.clip(error, -delta, delta)


def _clipped_value(error: Array, delta: float) -> Array:
    return _clip(error, delta) ** 2 / 2


def _clipped_slope(error: Array, delta: float) -> Array:
    return np.where(np.abs(error) <= delta, error, 0.0)


def _huber_value(error: Array, delta: float) -> Array:
    return np.where(np.abs(error) <= delta, error**2 / 2, delta * (np.abs(error) - delta / 2))


def _scaled(loss: Callable, value: Callable | None = None, slope: Callable | None = None) -> Callable:
    """A right loss with a wrong factor: functions of x that multiply its value and its gradient."""

    def wrong(x: Array, target: Array, delta: float = 1.0) -> tuple:
        right, dx = loss(x, target, delta)
        return right * (1 if value is None else value(x)), dx * (1 if slope is None else slope(x))

    return wrong


def _prediction_clipped(x: Array, target: Array, delta: float = 1.0) -> tuple:
    error = _clip(x, delta) - target
    return (error**2).mean() / 2, np.where(np.abs(x) <= delta, error, 0.0) / x.size


def _into_x(loss: Callable) -> Callable:
    def wrong(x: Array, target: Array, delta: float = 1.0) -> tuple:
        answer = loss(x, target, delta)
        x -= target
        return answer

    return wrong


def _common_mistakes(name: str, loss: Callable) -> list[Misconception]:
    """Those that can be made with either loss."""

    def rows(x: Array) -> float:
        return x.size / x.shape[0]

    return [
        Misconception(
            "sum_in_the_gradient",
            "Your gradient has the size of one for a sum, but the loss is a mean. By how much does a mean of N numbers "
            "change when one of them changes by 1?",
            {name: _scaled(loss, slope=lambda x: x.size)},
        ),
        Misconception(
            "sum_in_the_loss",
            "Your gradient is that of a mean, but your loss is a sum.",
            {name: _scaled(loss, lambda x: x.size)},
        ),
        Misconception(
            "sum",
            "You add up over the elements, in the loss and in its gradient. Both are means here.",
            {name: _scaled(loss, lambda x: x.size, lambda x: x.size)},
        ),
        Misconception(
            "mean_twice",
            "Your gradient is divided by the number of elements twice.",
            {name: _scaled(loss, slope=lambda x: 1 / x.size)},
        ),
        Misconception(
            "rows_counted",
            "You divide by the number of rows. The mean is over all elements: how many are there in shape (4, 3)?",
            {name: _scaled(loss, rows, rows)},
        ),
        Misconception(
            "sign_of_the_error",
            "Your gradient has the opposite sign. The error is prediction minus target: when a prediction that is too "
            "large grows, does the loss rise or fall?",
            {name: _scaled(loss, slope=lambda x: -1)},
        ),
        Misconception(
            "delta_ignored",
            "Your delta is 1 whatever was asked for.",
            {name: lambda x, target, delta=1.0: loss(x, target, 1.0)},
        ),
        Misconception(
            "writes_into_x",
            "You write the error into x. The caller still needs its predictions: make a new array.",
            {name: _into_x(loss)},
        ),
    ]


clipped_exercise = Exercise(
    name="clipped_delta_loss",
    title="Square of the clipped error",
    points=4,
    grades=("clipped_delta_loss",),
    reference={"clipped_delta_loss": clipped_delta_loss},
    visible=_loss_visible("clipped_delta_loss"),
    hidden=_loss_hidden("clipped_delta_loss"),
    labels={
        "loss": "loss is half the mean of the squares of the clipped errors",
        "dx": "dx is its gradient, inside and outside the bounds",
        "dx_at_delta": "at exactly delta and -delta, the slope is that of the inside",
    },
    misconceptions=[
        Misconception(
            "clips_slope_forgotten",
            "Your dx is the clipped error. That is the outer factor of the chain rule. What is the inner one: by how "
            "much does the clipped error change when the error does, far outside?",
            {"clipped_delta_loss": _formula(_clipped_value, _clip)},
        ),
        Misconception(
            "clip_ignored",
            "Your dx is the error itself, as if nothing had been clipped. Move an error of 5 by a little: does the "
            "loss move?",
            {"clipped_delta_loss": _formula(_clipped_value, lambda error, delta: error)},
        ),
        Misconception(
            "clips_slope_alone",
            "Your dx is the slope of the clip, 1 inside and 0 outside. The chain rule has another factor: how does the "
            "loss change with the clipped error?",
            {
                "clipped_delta_loss": _formula(
                    _clipped_value, lambda error, delta: np.where(np.abs(error) <= delta, 1.0, 0.0)
                )
            },
        ),
        Misconception(
            "one_bound_in_the_gradient",
            "Your loss is clipped on both sides, but your gradient lets errors below -delta pass.",
            {
                "clipped_delta_loss": _formula(
                    _clipped_value, lambda error, delta: np.where(error <= delta, _clip(error, delta), 0.0)
                )
            },
        ),
        Misconception(
            "prediction_clipped",
            "You clip the prediction, and then subtract the target. What is to be clipped is their difference.",
            {"clipped_delta_loss": _prediction_clipped},
        ),
        Misconception(
            "without_half",
            "Your loss is twice what is asked for: look at the factor before the mean.",
            {"clipped_delta_loss": _scaled(clipped_delta_loss, value=lambda x: 2)},
        ),
        Misconception(
            "without_half_in_both",
            "Loss and gradient are both twice what is asked for: look at the factor before the mean.",
            {"clipped_delta_loss": _scaled(clipped_delta_loss, lambda x: 2, lambda x: 2)},
        ),
        Misconception(
            "two_in_the_gradient",
            "Your gradient is twice that of your loss. Differentiate the 1/2 too.",
            {"clipped_delta_loss": _scaled(clipped_delta_loss, slope=lambda x: 2)},
        ),
        Misconception(
            "one_bound",
            "Errors below -delta are not clipped. Too small is as wrong as too large.",
            {
                "clipped_delta_loss": _formula(
                    lambda error, delta: np.minimum(error, delta) ** 2 / 2,
                    lambda error, delta: np.where(error <= delta, error, 0.0),
                )
            },
        ),
        Misconception(
            "square_clipped",
            "You clip the square. The error is clipped first, and squared then; for which delta is that the same?",
            {
                "clipped_delta_loss": _formula(
                    lambda error, delta: np.minimum(error**2, delta) / 2,
                    lambda error, delta: np.where(error**2 <= delta, error, 0.0),
                )
            },
        ),
        Misconception(
            "huber_already",
            "That is a good loss, and not the one that is asked for here. Outside the bounds, yours still rises.",
            {"clipped_delta_loss": huber_loss},
        ),
        Misconception(
            "zero_at_the_bounds",
            "At exactly delta you let nothing pass. There is no derivative there; which side did we agree on?",
            {
                "clipped_delta_loss": _formula(
                    _clipped_value, lambda error, delta: np.where(np.abs(error) < delta, error, 0.0)
                )
            },
        ),
        *_common_mistakes("clipped_delta_loss", clipped_delta_loss),
    ],
)


# What is added to delta |e| outside, by those who looked for the constant and found another one.
WRONG_CONSTANTS: dict[str, Callable[[float], float]] = {
    "by_a_square": lambda delta: -(delta**2),
    "by_half_of_delta": lambda delta: -delta / 2,
    "but_at_one": lambda delta: -0.5,
    "upwards": lambda delta: delta**2 / 2,
}


def _with_constant(constant: Callable[[float], float]) -> Callable:
    return lambda error, delta: np.where(
        np.abs(error) <= delta, error**2 / 2, delta * np.abs(error) + constant(delta)
    )


huber_exercise = Exercise(
    name="huber_loss",
    title="Huber loss",
    points=4,
    grades=("huber_loss",),
    reference={"huber_loss": huber_loss},
    visible=_loss_visible("huber_loss"),
    hidden=_loss_hidden("huber_loss"),
    labels={
        "loss": "loss is square near the target and straight further out",
        "dx": "dx is its gradient, and never larger than delta / N",
        "dx_at_delta": "also at exactly delta and -delta",
    },
    misconceptions=[
        Misconception(
            "without_half",
            "Inside, your loss is the square and not half of it. What is its slope at delta, and with which slope does "
            "the straight part go on?",
            {
                "huber_loss": _formula(
                    lambda error, delta: np.where(
                        np.abs(error) <= delta, error**2, _huber_value(error, delta)
                    ),
                    lambda error, delta: np.where(np.abs(error) <= delta, 2 * error, delta * np.sign(error)),
                )
            },
        ),
        Misconception(
            "jumps_at_delta",
            "Your loss jumps at delta. What is the square part worth there, and what the straight part?",
            {
                "huber_loss": _formula(
                    lambda error, delta: np.where(
                        np.abs(error) <= delta, error**2 / 2, delta * np.abs(error)
                    ),
                    _clip,
                )
            },
        ),
        *(
            Misconception(
                f"jumps_{where}",
                "Your loss jumps at delta. What is the square part worth there, and what the straight part? Try "
                "delta = 2.",
                {"huber_loss": _formula(_with_constant(constant), _clip)},
            )
            for where, constant in WRONG_CONSTANTS.items()
        ),
        Misconception(
            "divided_by_delta",
            "Loss and gradient are divided by delta. Then the straight part has the slope 1, and the square is no "
            "longer half of the square.",
            {
                "huber_loss": _formula(
                    lambda e, delta: _huber_value(e, delta) / delta, lambda e, delta: _clip(e, delta) / delta
                )
            },
        ),
        Misconception(
            "mean_before_the_clip",
            "You divide by N first and clip then. Each example may pull with delta; the mean is taken of the clipped "
            "pulls.",
            {
                "huber_loss": lambda x, target, delta=1.0: (
                    huber_loss(x, target, delta)[0],
                    _clip((x - target) / x.size, delta),
                )
            },
        ),
        Misconception(
            "slope_one_outside",
            "Outside, your slope is 1 whatever delta is. With which slope does the square part arrive at delta?",
            {
                "huber_loss": _formula(
                    lambda error, delta: np.where(np.abs(error) <= delta, error**2 / 2, np.abs(error) - 0.5),
                    lambda error, delta: np.where(np.abs(error) <= delta, error, np.sign(error)),
                )
            },
        ),
        Misconception(
            "nothing_outside",
            "Outside, your gradient is 0: that is the loss of section 3. How fast does a Huber loss rise there?",
            {"huber_loss": _formula(_huber_value, _clipped_slope)},
        ),
        Misconception(
            "square_everywhere",
            "Your gradient grows with the error, also outside. How steep is the straight part?",
            {"huber_loss": _formula(_huber_value, lambda error, delta: error)},
        ),
        Misconception(
            "sign_lost",
            "Outside, your gradient is positive on both sides. Which way should a prediction move that is far too "
            "small?",
            {
                "huber_loss": _formula(
                    _huber_value, lambda error, delta: np.where(np.abs(error) <= delta, error, delta)
                )
            },
        ),
        Misconception(
            "one_sided",
            "An error below -delta counts as if it were small. Which of its numbers decides on which part it lies?",
            {
                "huber_loss": _formula(
                    lambda error, delta: np.where(
                        error <= delta, error**2 / 2, delta * (np.abs(error) - delta / 2)
                    ),
                    lambda error, delta: np.minimum(error, delta),
                )
            },
        ),
        Misconception(
            "absolute_value",
            "Your loss is straight everywhere. Near the target it should be a square, so that the gradient fades.",
            {
                "huber_loss": _formula(
                    lambda error, delta: delta * np.abs(error), lambda error, delta: delta * np.sign(error)
                )
            },
        ),
        Misconception(
            "clipped_again",
            "Your loss does not rise outside of the bounds: that is the loss of section 3.",
            {"huber_loss": clipped_delta_loss},
        ),
        *_common_mistakes("huber_loss", huber_loss),
    ],
)


# -- td_loss


def _batch(rng: Rng, n: int, a: int, spread: float = 1.0) -> tuple:
    """Transitions of which some end an episode, and one brings a large reward."""
    q, actions = _table(rng, n, a)
    done = rng.permuted(np.resize([False, True, False], n))
    rewards = rng.normal(size=n) + np.resize([0.0, 6.0, 0.0, -4.0], n)
    return spread * q, actions, rewards, spread * (rng.normal(size=(n, a)) + 0.5), done


def _td_case(label: str, *args: Any, end: str = "", float32: bool = False) -> Case:
    return Case(label, [Call("td_loss", args, (f"loss{end}", f"dq{end}"))], float32=float32)


def _td_visible(rng: Rng) -> Cases:
    yield _td_case("6 transitions, 3 actions", *_batch(rng, 6, 3), 0.9, 1.5)
    yield _td_case("4 transitions, 4 actions", *_batch(rng, 4, 4), 0.8, 0.7)
    q, actions, rewards, _, done = _batch(rng, 5, 2)
    worse = -rng.uniform(1, 3, (5, 2))
    yield _td_case("everything that comes next is negative", q, actions, rewards, worse, done, 0.9)
    yield _td_case("another loss", *_batch(rng, 6, 3), 0.9, 0.6, Probe("quartic_loss"), end="_other")
    # What td_loss is built from: where one of these is wrong, the check says so before it says anything of td_loss.
    yield _gather_backward_case("q of shape (4, 3)", rng, *_table(rng, 4, 3))
    yield _loss_case(
        "huber_loss", "x of shape (6,), delta = 1.5", *_apart(rng, (6,), 1.5), out=("huber", "dx")
    )


def _td_hidden(rng: Rng) -> Cases:
    q, actions, rewards, next_q, _ = _batch(rng, 12, 3)
    yield _td_case("every episode ends", q, actions, rewards, next_q, np.ones(12, bool), 0.9)
    yield _td_case("no episode ends", q, actions, rewards, next_q, np.zeros(12, bool), 0.9)
    yield _td_case("one transition", *_batch(rng, 1, 4), 0.7, 2.0)
    yield _td_case("gamma = 0", *_batch(rng, 13, 3), 0.0, 1.0)
    yield _td_case("gamma = 1, one action", *_batch(rng, 14, 1), 1.0, 1.0)
    yield _td_case("gamma and delta left out", *_batch(rng, 15, 3, 3.0))
    yield _td_case("another loss", *_batch(rng, 16, 4), 0.95, 2.0, Probe("quartic_loss"), end="_other")
    yield _td_case("200 transitions, float32", *_batch(rng, 200, 4), 0.9, 1.0, float32=True)


def _td(
    target: Callable | None = None, picked: Callable | None = None, dq: Callable | None = None
) -> dict[str, Callable]:
    """The loss with one part replaced.

    target(r, next_q, ended, gamma, q, actions), picked(q, actions); dq(dpicked, q, actions, next_q, gamma, ended).
    """

    def loss_of(
        q: Array,
        actions: Array,
        rewards: Array,
        next_q: Array,
        done: Array,
        gamma: float = 0.99,
        delta: float = 1.0,
        loss: Callable = huber_loss,
    ) -> tuple:
        ended = np.asarray(done, bool)
        if target is None:
            aim = rewards + np.where(ended, 0, gamma * next_q.max(axis=1))
        else:
            aim = target(rewards, next_q, ended, gamma, q, actions)
        rows = np.arange(len(q))
        value, dpicked = loss(q[rows, actions] if picked is None else picked(q, actions), aim, delta)
        if dq is None:
            return value, dpicked[:, None] * _chosen(q, actions)
        return value, dq(dpicked, q, actions, next_q, gamma, ended)

    return {"td_loss": loss_of}


def _into_the_target(
    dpicked: Array, q: Array, actions: Array, next_q: Array, gamma: float, ended: Array
) -> Array:
    share = np.where(ended, 0, -gamma * dpicked)[:, None]
    return dpicked[:, None] * _chosen(q, actions) + share * _chosen(q, next_q.argmax(axis=1))


TD_ARGUMENTS = ("actions", "rewards", "next_q", "done", "gamma", "delta", "loss")  # those after q


def _delta_of_one(q: Array, *rest: Any) -> tuple:
    return td_loss(q, **{**dict(zip(TD_ARGUMENTS, rest, strict=False)), "delta": 1.0})


def _clipped_inside(q: Array, *rest: Any) -> tuple:
    given = dict(zip(TD_ARGUMENTS, rest, strict=False))
    if given.get("loss", huber_loss) is huber_loss:
        given["loss"] = clipped_delta_loss
    return td_loss(q, **given)


td_exercise = Exercise(
    name="td_loss",
    title="Loss of Q-learning",
    points=5,
    grades=("td_loss",),
    reference={
        "td_loss": td_loss,
        "gather_forward": gather_forward,
        "gather_backward": gather_backward,
        "huber_loss": huber_loss,
    },
    visible=_td_visible,
    hidden=_td_hidden,
    labels={
        "loss": "loss compares what was done with what it brought",
        "dq": "dq reaches the action that was taken, and nothing else",
        "loss_other": "another loss takes the place of Huber where one is given",
        "dq_other": "and so does its gradient",
    },
    misconceptions=[
        Misconception(
            "end_not_masked",
            "You count what comes after the end of an episode. What does next_q say about a state in which nobody will "
            "ever move again?",
            _td(lambda r, next_q, ended, gamma, q, actions: r + gamma * next_q.max(axis=1)),
        ),
        Misconception(
            "reward_masked_too",
            "Where an episode ends, your target is 0. The last move may have been the one that paid.",
            _td(lambda r, next_q, ended, gamma, q, actions: (r + gamma * next_q.max(axis=1)) * ~ended),
        ),
        Misconception(
            "mask_inverted",
            "You look ahead only where the episode ended. Read done once more.",
            _td(lambda r, next_q, ended, gamma, q, actions: r + gamma * next_q.max(axis=1) * ended),
        ),
        Misconception(
            "one_maximum",
            "You take one maximum over the whole batch. Each transition leads to a state of its own.",
            _td(lambda r, next_q, ended, gamma, q, actions: r + np.where(ended, 0, gamma * next_q.max())),
        ),
        Misconception(
            "wrong_axis",
            "You take the maximum over the examples. Along which axis of next_q do the actions lie?",
            _td(
                lambda r, next_q, ended, gamma, q, actions: (
                    r + np.where(ended, 0, gamma * np.resize(next_q.max(axis=0), len(r)))
                )
            ),
        ),
        Misconception(
            "argmax",
            "You add the number of the best action. What is it worth?",
            _td(
                lambda r, next_q, ended, gamma, q, actions: (
                    r + np.where(ended, 0, gamma * next_q.argmax(axis=1))
                )
            ),
        ),
        Misconception(
            "mean_of_next",
            "You take the mean over the actions of the next state. What will somebody do there who acts best?",
            _td(
                lambda r, next_q, ended, gamma, q, actions: (
                    r + np.where(ended, 0, gamma * next_q.mean(axis=1))
                )
            ),
        ),
        Misconception(
            "same_action_again",
            "You look up the action of this move in the next state. It may do something else there.",
            _td(
                lambda r, next_q, ended, gamma, q, actions: (
                    r + np.where(ended, 0, gamma * next_q[np.arange(len(r)), actions])
                )
            ),
        ),
        Misconception(
            "never_below_zero",
            "What comes next counts as 0 where it is negative. A state may be worth less than nothing.",
            _td(
                lambda r, next_q, ended, gamma, q, actions: (
                    r + np.where(ended, 0, gamma * np.maximum(next_q.max(axis=1), 0))
                )
            ),
        ),
        Misconception(
            "this_state_for_next",
            "Your target looks at q, this state. What comes next is in next_q.",
            _td(lambda r, next_q, ended, gamma, q, actions: r + np.where(ended, 0, gamma * q.max(axis=1))),
        ),
        Misconception(
            "not_discounted",
            "gamma does not occur in your target.",
            _td(lambda r, next_q, ended, gamma, q, actions: r + np.where(ended, 0, next_q.max(axis=1))),
        ),
        Misconception(
            "reward_discounted",
            "You discount the reward as well. It is paid for this move, now.",
            _td(
                lambda r, next_q, ended, gamma, q, actions: (
                    gamma * (r + np.where(ended, 0, next_q.max(axis=1)))
                )
            ),
        ),
        Misconception(
            "best_not_taken",
            "You compare the target with the best value of this state. The reward was for the action that was taken.",
            _td(picked=lambda q, actions: q.max(axis=1)),
        ),
        Misconception(
            "all_actions",
            "Every action of a row gets the gradient. The target says something about one of them.",
            _td(dq=lambda dpicked, q, actions, next_q, gamma, ended: dpicked[:, None] * np.ones_like(q)),
        ),
        Misconception(
            "into_the_target",
            "There is a gradient for the best action of the next state in your dq. The target is taken as given: it is "
            "what the network should learn from, not what should give way.",
            _td(dq=_into_the_target),
        ),
        Misconception(
            "sign_of_the_error",
            "Your gradient has the opposite sign. Which of the two is the prediction?",
            _td(dq=lambda dpicked, q, actions, next_q, gamma, ended: -dpicked[:, None] * _chosen(q, actions)),
        ),
        Misconception(
            "mean_twice",
            "You divide by the number of transitions once more. The loss has done so already.",
            _td(
                dq=lambda dpicked, q, actions, next_q, gamma, ended: (
                    dpicked[:, None] * _chosen(q, actions) / len(q)
                )
            ),
        ),
        Misconception(
            "mean_over_all",
            "Your mean is over all actions of all states. Only one action of each row was tried: over how many errors "
            "is the mean?",
            {"td_loss": lambda q, *rest: tuple(each / q.shape[1] for each in td_loss(q, *rest))},
        ),
        Misconception(
            "delta_not_handed_on",
            "Your delta is 1 whatever was asked for: hand it on to the loss.",
            {"td_loss": _delta_of_one},
        ),
        Misconception(
            "clipped_error",
            "Large errors have no gradient: the loss of section 3 is still in there.",
            {"td_loss": _clipped_inside},
        ),
        Misconception(
            "always_huber",
            "You use a Huber loss whatever loss was given.",
            {"td_loss": lambda *args: td_loss(*args[:7])},
        ),
    ],
)


# -- measured


measured = Exercise(
    name="measured_clip",
    title="The clip, measured",
    points=3,
    grades=("clipped_value", "huber_value", "needed_delta"),
    reference={},
    visible=lambda rng: iter(
        [
            Case(
                "seed 1",
                [Fetch("clipped_value")],
                {
                    "clipped_value": Between(
                        0.24,
                        0.44,
                        "clipped_value is {value}. It is what the network of seed 1 expects of the last move "
                        "before the treasure, with all settings as they are",
                    )
                },
            ),
            Case(
                "seed 1",
                [Fetch("huber_value")],
                {
                    "huber_value": Between(
                        9.9,
                        10.05,  # below the 10.1 of an episode, which is "reward" and not "value"
                        "huber_value is {value}. It is what the network of seed 1 expects of the last move before "
                        "the treasure when it learns with your Huber loss; what does that move pay?",
                    )
                },
            ),
            Case(
                "seed 1",
                [Fetch("needed_delta")],
                {
                    "needed_delta": Between(
                        9.2,
                        9.95,
                        "needed_delta is {value}. With the clipped loss of seed 1 it should lie where value jumps: "
                        "what is value at your delta, and at 0.95 of it?",
                    )
                },
            ),
        ]
    ),
    labels={
        "clipped_value": "what the clipped loss learns of the treasure",
        "huber_value": "what a Huber loss learns of it",
        "needed_delta": "the smallest delta with which the clipped loss learns it",
    },
    pure=False,
)


# -- remedy


remedy = Exercise(
    name="remedy_07",
    title="An agent that learns the treasure",
    points=4,
    grades=("remedy",),
    reference={"remedy": {"loss": "huber"}},
    visible=lambda rng: iter(
        [
            Case(
                "trained from 10 starting points",
                [
                    Fetch("remedy"),
                    Train("q_learning", Ref("remedy"), ("reward", "value"), tuple(range(10))),
                ],
                {
                    "reward": Between(
                        9.0,
                        12.0,
                        "after training, an episode pays {value}; somebody who finds the treasure earns 10 and more",
                    ),
                    "value": Between(
                        9.0,
                        11.0,
                        "after training, the network expects {value} of the last move before the treasure, which "
                        "pays 10",
                    ),
                },
            )
        ]
    ),
    labels={"reward": "the agent goes to the treasure", "value": "and knows what it is worth"},
    pure=False,
    together=True,
)


# -- quiz


QUIZ = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["quiz"]

quiz = choices(ASSIGNMENT, "quiz_07", QUIZ, 4)


EXERCISES = [
    gather_forward_exercise,
    gather_backward_exercise,
    clipped_exercise,
    huber_exercise,
    td_exercise,
    measured,
    remedy,
    quiz,
]
