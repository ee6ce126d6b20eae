"""Assignment 06: recurrent networks. References, cases, points and misconceptions."""

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.clipping import clip_grad_norm, clip_grad_value
from minigrad.layers import (
    lstm_step_backward,
    lstm_step_forward,
    rnn_backward,
    rnn_forward,
    rnn_step_backward,
    rnn_step_forward,
)

from ..answers import choices
from ..caches import cache_cases, cache_mistakes
from ..exercise import Between, Call, Case, Exercise, Fetch, Misconception, Ref, Train

ASSIGNMENT = "06_exploding_rnn"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]
Grads = dict[str, Array]

STEP_GRADS = ("dx", "dprev_h", "dWx", "dWh", "db")
GRADS = ("dx", "dh0", "dWx", "dWh", "db")
LSTM_GRADS = ("dx", "dprev_h", "dprev_c", "dWx", "dWh", "db")


def _weights(rng: Rng, d: int, h: int, blocks: int = 1, scale: float = 0.5) -> tuple[Array, Array, Array]:
    columns = blocks * h
    return (
        scale * rng.normal(size=(d, columns)),
        scale * rng.normal(size=(h, columns)),
        rng.normal(size=columns),
    )


def _step_arrays(rng: Rng, n: int, d: int, h: int, scale: float = 0.5) -> tuple[Array, ...]:
    return rng.normal(size=(n, d)), rng.normal(size=(n, h)), *_weights(rng, d, h, scale=scale)


def _arrays(rng: Rng, n: int, t: int, d: int, h: int, scale: float = 0.5) -> tuple[Array, ...]:
    return rng.normal(size=(n, t, d)), rng.normal(size=(n, h)), *_weights(rng, d, h, scale=scale)


def _forward_case(
    function: str, label: str, args: tuple, out: Sequence[str], float32: bool = False, cache: str = "cache"
) -> Case:
    return Case(label, [Call(function, args, (*out, cache))], float32=float32)


def _backward_case(
    pair: str, label: str, args: tuple, dout: Array, out: tuple[str, ...], float32: bool = False
) -> Case:
    forward = Call(f"{pair}_forward", args, ("out", "cache"))
    backward = Call(f"{pair}_backward", (dout, Ref("cache")), out)
    return Case(label, [forward, backward], float32=float32)


def _backward(pair: str, forward: Callable, function: Callable) -> dict[str, Callable]:
    """A wrong backward pass, as a function of the upstream gradient and of what forward was called with."""

    def keeps_arguments(*args: Array) -> tuple:
        return forward(*args)[0], tuple(np.copy(arg) for arg in args)

    def backward(dout: Array, cache: tuple) -> tuple:
        return function(dout, *cache)  # type: ignore[no-any-return]

    return {f"{pair}_forward": keeps_arguments, f"{pair}_backward": backward}


# -- rnn_step_forward


def _step_forward_visible(rng: Rng) -> Cases:
    for n, d, h in ((3, 4, 5), (2, 3, 3)):
        yield _forward_case(
            "rnn_step_forward", f"N = {n}, D = {d}, H = {h}", _step_arrays(rng, n, d, h), ["next_h"]
        )
    # so large that an exponential overflows on either side
    far = _step_arrays(rng, 4, 3, 5, 1000.0)
    yield _forward_case("rnn_step_forward", "large weights", far, ["next_h_far"])


def _step_forward_hidden(rng: Rng) -> Cases:
    yield _forward_case("rnn_step_forward", "one example", _step_arrays(rng, 1, 3, 6), ["next_h"])
    yield _forward_case("rnn_step_forward", "one unit", _step_arrays(rng, 4, 2, 1), ["next_h"])
    yield _forward_case("rnn_step_forward", "large weights", _step_arrays(rng, 4, 3, 5, 300.0), ["next_h"])
    yield _forward_case("rnn_step_forward", "small weights", _step_arrays(rng, 4, 3, 5, 1e-3), ["next_h"])
    yield _forward_case("rnn_step_forward", "float32", _step_arrays(rng, 30, 4, 5), ["next_h"], float32=True)


def _step(function: Callable) -> dict[str, Callable]:
    """A wrong next state, as a function of the arguments."""
    return {"rnn_step_forward": lambda x, prev_h, Wx, Wh, b: (function(x, prev_h, Wx, Wh, b), None)}


def _by_exponentials(tanh: Callable) -> dict[str, Callable]:
    def function(*args: Array) -> Array:
        with np.errstate(all="ignore"):
            return tanh(_pre(*args))  # type: ignore[no-any-return]

    return _step(function)


EXPONENTIALS_OVERFLOW = (
    "Your tanh is a quotient of exponentials. Far out both of them are infinite, and infinity over infinity is nan. "
    "You have met a tanh that does not overflow, in assignment 02."
)


def _into_prev_h(x: Array, prev_h: Array, Wx: Array, Wh: Array, b: Array) -> tuple:
    prev_h[:] = np.tanh(x @ Wx + prev_h @ Wh + b)
    return prev_h, None


rnn_step_forward_exercise = Exercise(
    name="rnn_step_forward",
    title="One step of a recurrent network, forward",
    points=2,
    grades=("rnn_step_forward",),
    reference={"rnn_step_forward": rnn_step_forward},
    visible=_step_forward_visible,
    hidden=_step_forward_hidden,
    labels={
        "next_h": "the next state comes from the input, the last state and the bias",
        "next_h_far": "it is right where the tanh is saturated, too",
    },
    misconceptions=[
        Misconception(
            "no_tanh",
            "Your state is the sum itself. Which function keeps it between -1 and 1?",
            _step(lambda x, h, Wx, Wh, b: x @ Wx + h @ Wh + b),
        ),
        Misconception(
            "tanh_too_early",
            "You apply tanh to a part of the sum. What is inside the bracket in the formula?",
            _step(lambda x, h, Wx, Wh, b: np.tanh(x @ Wx) + np.tanh(h @ Wh) + b),
        ),
        Misconception(
            "bias_outside",
            "The bias is added after the tanh. Can a state leave the range from -1 to 1?",
            _step(lambda x, h, Wx, Wh, b: np.tanh(x @ Wx + h @ Wh) + b),
        ),
        Misconception(
            "no_bias",
            "The bias is missing.",
            _step(lambda x, h, Wx, Wh, b: np.tanh(x @ Wx + h @ Wh)),
        ),
        Misconception(
            "no_memory",
            "The state of the step before is missing: a network that forgets everything at each step.",
            _step(lambda x, h, Wx, Wh, b: np.tanh(x @ Wx + b)),
        ),
        Misconception(
            "no_input",
            "The input of this step is missing.",
            _step(lambda x, h, Wx, Wh, b: np.tanh(h @ Wh + b)),
        ),
        Misconception(
            "Wh_transposed",
            "Wh is the wrong way round. It is square, so numpy does not complain: which of its axes belongs to the "
            "state that comes in?",
            _step(lambda x, h, Wx, Wh, b: np.tanh(x @ Wx + h @ Wh.T + b)),
        ),
        Misconception(
            "sigmoid",
            "Your states lie between 0 and 1. Which squashing function does the formula name?",
            _step(lambda x, h, Wx, Wh, b: 0.5 + 0.5 * np.tanh(0.5 * (x @ Wx + h @ Wh + b))),
        ),
        Misconception(
            "adds_the_old_state",
            "You add the old state to the new one. That is another network. Here it enters through Wh alone.",
            _step(lambda x, h, Wx, Wh, b: h + np.tanh(x @ Wx + h @ Wh + b)),
        ),
        Misconception(
            "tanh_overflows",
            EXPONENTIALS_OVERFLOW,
            _by_exponentials(lambda a: (np.exp(a) - np.exp(-a)) / (np.exp(a) + np.exp(-a))),
        ),
        Misconception(
            "tanh_overflows_on_the_right",
            EXPONENTIALS_OVERFLOW,
            _by_exponentials(lambda a: (np.exp(2 * a) - 1) / (np.exp(2 * a) + 1)),
        ),
        Misconception(
            "tanh_overflows_on_the_left",
            EXPONENTIALS_OVERFLOW,
            _by_exponentials(lambda a: (1 - np.exp(-2 * a)) / (1 + np.exp(-2 * a))),
        ),
        Misconception(
            "writes_into_prev_h",
            "You write into prev_h. The backward pass will need it, and so does the caller: make a new array.",
            {"rnn_step_forward": _into_prev_h},
        ),
    ],
)


# -- rnn_step_backward


def _step_backward_visible(rng: Rng) -> Cases:
    for n, d, h in ((3, 4, 5), (2, 3, 3)):
        yield _backward_case(
            "rnn_step",
            f"N = {n}, D = {d}, H = {h}",
            _step_arrays(rng, n, d, h),
            rng.normal(size=(n, h)),
            STEP_GRADS,
        )
    yield from cache_cases("rnn_step", lambda: _step_arrays(rng, 3, 2, 4), (3, 4), rng, STEP_GRADS)


def _step_backward_hidden(rng: Rng) -> Cases:
    for label, (n, d, h), scale in (
        ("one example", (1, 3, 6), 0.5),
        ("one unit", (4, 2, 1), 0.5),
        ("weights of size 2", (4, 3, 5), 2.0),
        ("small weights", (4, 3, 5), 1e-3),
    ):
        args = _step_arrays(rng, n, d, h, scale)
        yield _backward_case("rnn_step", label, args, rng.normal(size=(n, h)), STEP_GRADS)
    args = _step_arrays(rng, 30, 4, 5)
    yield _backward_case("rnn_step", "float32", args, rng.normal(size=(30, 5)), STEP_GRADS, float32=True)


def _step_grads(dnext_h: Array, x: Array, prev_h: Array, Wx: Array, Wh: Array, b: Array) -> Grads:
    _, cache = rnn_step_forward(x, prev_h, Wx, Wh, b)
    return dict(zip(STEP_GRADS, rnn_step_backward(dnext_h, cache), strict=True))


def _pre(x: Array, prev_h: Array, Wx: Array, Wh: Array, b: Array) -> Array:
    return x @ Wx + prev_h @ Wh + b


def _wrong_step(change: Callable) -> dict[str, Callable]:
    """The right gradients with some replaced: `change` takes da, dnext_h and the arguments."""

    def function(dnext_h: Array, *args: Array) -> tuple:
        da = dnext_h * (1 - np.tanh(_pre(*args)) ** 2)
        return tuple((_step_grads(dnext_h, *args) | change(da, dnext_h, *args)).values())

    return _backward("rnn_step", rnn_step_forward, function)


def _wrong_slope(slope: Callable) -> dict[str, Callable]:
    """All gradients from da = dnext_h * slope; `slope` takes the pre-activation and the state before."""

    def function(dnext_h: Array, x: Array, prev_h: Array, Wx: Array, Wh: Array, b: Array) -> tuple:
        da = dnext_h * slope(_pre(x, prev_h, Wx, Wh, b), prev_h)
        return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)

    return _backward("rnn_step", rnn_step_forward, function)


def _into_dnext_h(dnext_h: Array, *args: Array) -> tuple:
    grads = tuple(_step_grads(dnext_h, *args).values())
    dnext_h *= 1 - np.tanh(_pre(*args)) ** 2
    return grads


rnn_step_backward_exercise = Exercise(
    name="rnn_step_backward",
    title="One step of a recurrent network, backward",
    points=5,
    grades=("rnn_step_backward",),
    reference={"rnn_step_forward": rnn_step_forward, "rnn_step_backward": rnn_step_backward},
    visible=_step_backward_visible,
    hidden=_step_backward_hidden,
    labels={
        "dx": "dx, back through Wx",
        "dprev_h": "dprev_h, back through Wh to the step before",
        "dWx": "dWx has the shape of Wx, and hears from all examples",
        "dWh": "dWh has the shape of Wh, and hears from all examples",
        "db": "db has an entry for each unit",
    },
    misconceptions=[
        Misconception(
            "slope_from_pre_activation",
            "You take 1 - a**2 with the pre-activation a. The slope of tanh is written with its output.",
            _wrong_slope(lambda a, h: 1 - a**2),
        ),
        Misconception(
            "slope_from_the_tanh_of_the_state",
            "Your slope puts the new state through a tanh once more. What has come out of the tanh of this step "
            "already?",
            _wrong_slope(lambda a, h: 1 - np.tanh(np.tanh(a)) ** 2),
        ),
        Misconception(
            "slope_from_the_old_state",
            "Your slope uses the state that went into the step. Whose tanh is it?",
            _wrong_slope(lambda a, h: 1 - h**2),
        ),
        Misconception(
            "no_slope",
            "dnext_h goes through as if there were no tanh. What is its local slope?",
            _wrong_slope(lambda a, h: np.ones_like(a)),
        ),
        Misconception(
            "not_squared",
            "Your slope is 1 - tanh(a). At a = 0 it is right. What is the slope far out on the left?",
            _wrong_slope(lambda a, h: 1 - np.tanh(a)),
        ),
        Misconception(
            "slope_of_a_sigmoid",
            "out * (1 - out) is the slope of a sigmoid. What is it for tanh?",
            _wrong_slope(lambda a, h: np.tanh(a) * (1 - np.tanh(a))),
        ),
        Misconception(
            "slope_twice",
            "The slope is in your gradients twice.",
            _wrong_slope(lambda a, h: (1 - np.tanh(a) ** 2) ** 2),
        ),
        Misconception(
            "no_dprev_h",
            "Your dprev_h is zero: nothing flows back to the step before. Where does prev_h enter the forward pass?",
            _wrong_step(lambda da, dnext_h, x, h, *rest: {"dprev_h": np.zeros_like(h)}),
        ),
        Misconception(
            "dprev_h_not_through_Wh",
            "Your dprev_h stops before Wh. The old state was multiplied by a matrix on its way in.",
            _wrong_step(lambda da, dnext_h, *args: {"dprev_h": da}),
        ),
        Misconception(
            "dprev_h_without_slope",
            "Your dprev_h does not pass the tanh. Only dx does.",
            _wrong_step(lambda da, dnext_h, x, h, Wx, Wh, b: {"dprev_h": dnext_h @ Wh.T}),
        ),
        Misconception(
            "Wh_not_transposed",
            "dprev_h went through Wh in the forward direction. It is square, so the shapes fit; which of its axes does "
            "da belong to?",
            _wrong_step(lambda da, dnext_h, x, h, Wx, Wh, b: {"dprev_h": da @ Wh}),
        ),
        Misconception(
            "dWh_transposed",
            "Your dWh is the transpose of what it should be. Which axis of Wh belongs to the state before the step?",
            _wrong_step(lambda da, dnext_h, x, h, *rest: {"dWh": da.T @ h}),
        ),
        Misconception(
            "dWh_from_the_new_state",
            "Your dWh is built from the state after the step. What was Wh multiplied with?",
            _wrong_step(lambda da, dnext_h, *args: {"dWh": np.tanh(_pre(*args)).T @ da}),
        ),
        Misconception(
            "db_not_summed",
            "Your db has a row for each example. All examples share one bias: what does that mean for its gradient?",
            _wrong_step(lambda da, dnext_h, *args: {"db": da}),
        ),
        Misconception(
            "averaged",
            "Your weight gradients are means over the examples. Nothing in the forward pass divides by their number; "
            "if the loss does, dnext_h has that factor already.",
            _wrong_step(
                lambda da, dnext_h, x, h, *rest: {
                    "dWx": x.T @ da / len(x),
                    "dWh": h.T @ da / len(x),
                    "db": da.mean(axis=0),
                }
            ),
        ),
        Misconception(
            "writes_into_dnext_h",
            "You write into dnext_h. It belongs to the caller: make a new array.",
            _backward("rnn_step", rnn_step_forward, _into_dnext_h),
        ),
        *cache_mistakes("rnn_step", rnn_step_forward, rnn_step_backward),
    ],
)


# -- rnn_forward


def _step_alone(rng: Rng, backward: bool) -> Case:
    """The step that a loop may be made of: where it is wrong, a student should hear that first."""
    calls = [Call("rnn_step_forward", _step_arrays(rng, 2, 3, 4), ("step_next_h", "step_cache"))]
    out = tuple(f"step_{name}" for name in STEP_GRADS)
    if backward:
        calls.append(Call("rnn_step_backward", (rng.normal(size=(2, 4)), Ref("step_cache")), out))
    return Case("one step", calls, ignore=("step_cache",))


def _forward_visible(rng: Rng) -> Cases:
    yield _forward_case("rnn_forward", "N = 2, T = 4, D = 3, H = 5", _arrays(rng, 2, 4, 3, 5), ["h"])
    yield _forward_case("rnn_forward", "N = 3, T = 3, D = 4, H = 4", _arrays(rng, 3, 3, 4, 4), ["h"])
    yield _step_alone(rng, backward=False)


def _forward_hidden(rng: Rng) -> Cases:
    yield _forward_case("rnn_forward", "one step", _arrays(rng, 3, 1, 2, 4), ["h"])
    yield _forward_case("rnn_forward", "one sequence of 30 steps", _arrays(rng, 1, 30, 2, 3), ["h"])
    yield _forward_case("rnn_forward", "one unit", _arrays(rng, 2, 6, 3, 1), ["h"])
    yield _forward_case("rnn_forward", "one feature", _arrays(rng, 3, 5, 1, 4), ["h"])
    yield _forward_case("rnn_forward", "float32", _arrays(rng, 5, 6, 3, 4), ["h"], float32=True)


def _states(x: Array, h0: Array, *weights: Array, carry: bool = True) -> Array:
    """States by plain steps; without `carry` each step begins at h0."""
    states, h = [], h0
    for t in range(x.shape[1]):
        h, _ = rnn_step_forward(x[:, t], h if carry else h0, *weights)
        states.append(h)
    return np.stack(states, axis=1)


def _wrong_states(function: Callable) -> dict[str, Callable]:
    return {"rnn_forward": lambda *args: (function(*args), None)}


def _late(x: Array, h0: Array, *weights: Array) -> Array:
    return np.concatenate([h0[:, None], _states(x, h0, *weights)[:, :-1]], axis=1)


def _reshaped(h: Array) -> Array:
    return h.swapaxes(0, 1).reshape(h.shape)


def _into_h0(x: Array, h0: Array, *weights: Array) -> Array:
    h = _states(x, h0, *weights)
    h0[:] = h[:, -1]
    return h


rnn_forward_exercise = Exercise(
    name="rnn_forward",
    title="A recurrent network over a sequence, forward",
    points=3,
    grades=("rnn_forward",),
    reference={"rnn_step_forward": rnn_step_forward, "rnn_forward": rnn_forward},
    visible=_forward_visible,
    hidden=_forward_hidden,
    labels={"h": "h holds the state after each step, with shape (N, T, H)"},
    misconceptions=[
        Misconception(
            "starts_again",
            "Each of your steps begins at h0. What should step t begin with?",
            _wrong_states(lambda *args: _states(*args, carry=False)),
        ),
        Misconception(
            "ignores_h0",
            "Your first step begins at zero. What is h0 for?",
            _wrong_states(lambda x, h0, *weights: _states(x, np.zeros_like(h0), *weights)),
        ),
        Misconception(
            "one_step_late",
            "Your states are one step late: h0 is among them, and the last one is not.",
            _wrong_states(_late),
        ),
        Misconception(
            "last_state_only",
            "You return the last state. A loss may look at any of them: all T are wanted.",
            _wrong_states(lambda *args: _states(*args)[:, -1]),
        ),
        Misconception(
            "time_first",
            "Time is your first axis. The sequences come as (N, T, D), and the states go out the same way.",
            _wrong_states(lambda *args: _states(*args).swapaxes(0, 1)),
        ),
        Misconception(
            "reshaped",
            "Your array has the right shape, and its states lie in the wrong places: reshape keeps the order of the "
            "entries. Which axis was time before it?",
            _wrong_states(lambda *args: _reshaped(_states(*args))),
        ),
        Misconception(
            "same_input",
            "Every step of yours reads the first input.",
            _wrong_states(lambda x, *rest: _states(np.repeat(x[:, :1], x.shape[1], axis=1), *rest)),
        ),
        Misconception(
            "backwards_in_time",
            "You read the sequence from its end. Time runs forward in the forward pass.",
            _wrong_states(lambda x, *rest: _states(x[:, ::-1], *rest)[:, ::-1]),
        ),
        Misconception(
            "last_state_everywhere",
            "All T states of yours are the same one. Do you store the same array again and again?",
            _wrong_states(lambda x, *rest: np.repeat(_states(x, *rest)[:, -1:], x.shape[1], axis=1)),
        ),
        Misconception(
            "transposed_Wh",
            "Wh is the wrong way round. It is square, so numpy does not complain: which of its axes belongs to the "
            "state that comes in?",
            _wrong_states(lambda x, h0, Wx, Wh, b: _states(x, h0, Wx, Wh.T, b)),
        ),
        Misconception(
            "writes_into_h0",
            "You write into h0. The caller starts the next sequence from it: make a new array.",
            _wrong_states(_into_h0),
        ),
    ],
)


# -- rnn_backward


def _backward_visible(rng: Rng) -> Cases:
    for n, t, d, h in ((2, 4, 3, 5), (3, 3, 4, 4)):
        args = _arrays(rng, n, t, d, h)
        label = f"N = {n}, T = {t}, D = {d}, H = {h}"
        yield _backward_case("rnn", label, args, rng.normal(size=(n, t, h)), GRADS)
    yield from cache_cases("rnn", lambda: _arrays(rng, 2, 3, 2, 4), (2, 3, 4), rng, GRADS)
    yield _step_alone(rng, backward=True)


def _backward_hidden(rng: Rng) -> Cases:
    for label, (n, t, d, h) in (
        ("one step", (3, 1, 2, 4)),
        ("one sequence of 30 steps", (1, 30, 2, 3)),
        ("one unit", (2, 6, 3, 1)),
        ("one feature", (3, 5, 1, 4)),
    ):
        yield _backward_case("rnn", label, _arrays(rng, n, t, d, h), rng.normal(size=(n, t, h)), GRADS)
    for label, seen in (("a loss at the last step only", -1), ("a loss at the second step only", 1)):
        dh = np.zeros((2, 5, 4))
        dh[:, seen] = rng.normal(size=(2, 4))
        yield _backward_case("rnn", label, _arrays(rng, 2, 5, 3, 4), dh, GRADS)
    args = _arrays(rng, 5, 6, 3, 4)
    yield _backward_case("rnn", "float32", args, rng.normal(size=(5, 6, 4)), GRADS, float32=True)


def _through_time(
    dh: Array, x: Array, h0: Array, *weights: Array, carry: bool = True
) -> tuple[list[tuple], Array]:
    """Gradients of each step, in order of time, and dh0; without `carry` no step hears from a later one."""
    caches, h = [], h0
    for t in range(x.shape[1]):
        h, cache = rnn_step_forward(x[:, t], h, *weights)
        caches.append(cache)
    steps, dprev_h = [], np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        steps.append(rnn_step_backward(dh[:, t] + (dprev_h if carry else 0), caches[t]))
        dprev_h = steps[-1][1]
    return steps[::-1], dprev_h


def _gather(steps: list[tuple], dh0: Array) -> Grads:
    dx = np.stack([step[0] for step in steps], axis=1)
    sums = [sum(step[k] for step in steps) for k in (2, 3, 4)]
    return dict(zip(GRADS, (dx, dh0, *sums), strict=True))


def _wrong_time(function: Callable) -> dict[str, Callable]:
    """A wrong backward pass; `function` returns the five gradients by name."""
    return _backward("rnn", rnn_forward, lambda dh, *args: tuple(function(dh, *args).values()))


def _changed(change: Callable) -> dict[str, Callable]:
    """The right gradients with some replaced: `change` takes the steps and dh0."""

    def function(dh: Array, *args: Array) -> Grads:
        steps, dh0 = _through_time(dh, *args)
        return _gather(steps, dh0) | change(steps, dh0)

    return _wrong_time(function)


def _last_upstream_only(dh: Array, *args: Array) -> Grads:
    last = np.zeros_like(dh)
    last[:, -1] = dh[:, -1]
    return _gather(*_through_time(last, *args))


def _last_upstream_twice(dh: Array, *args: Array) -> Grads:
    twice = dh.copy()
    twice[:, -1] *= 2
    return _gather(*_through_time(twice, *args))


def _carry_summed(dh: Array, x: Array, h0: Array, *weights: Array) -> Grads:
    h = _states(x, h0, *weights)
    steps, carry = [], np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        _, cache = rnn_step_forward(x[:, t], h[:, t - 1] if t else h0, *weights)
        steps.append(rnn_step_backward(dh[:, t] + carry, cache))
        carry = carry + steps[-1][1]
    return _gather(steps[::-1], carry)


def _last_step_only(dh: Array, x: Array, h0: Array, *weights: Array) -> Grads:
    steps, _ = _through_time(dh, x, h0, *weights)
    dx = np.zeros_like(x)
    dx[:, -1] = steps[-1][0]
    return dict(zip(GRADS, (dx, steps[-1][1], *steps[-1][2:]), strict=True))


def _forward_in_time(dh: Array, x: Array, h0: Array, *weights: Array) -> Grads:
    caches, h = [], h0
    for t in range(x.shape[1]):
        h, cache = rnn_step_forward(x[:, t], h, *weights)
        caches.append(cache)
    steps, dprev_h = [], np.zeros_like(h0)
    for t in range(x.shape[1]):
        steps.append(rnn_step_backward(dh[:, t] + dprev_h, caches[t]))
        dprev_h = steps[-1][1]
    return _gather(steps, dprev_h)


def _into_dh(dh: Array, *args: Array) -> Grads:
    steps, dh0 = _through_time(dh, *args)
    for t in range(len(steps) - 1):
        dh[:, t] += steps[t + 1][1]
    return _gather(steps, dh0)


rnn_backward_exercise = Exercise(
    name="rnn_backward",
    title="Backpropagation through time",
    points=6,
    grades=("rnn_backward",),
    reference={
        "rnn_step_forward": rnn_step_forward,
        "rnn_step_backward": rnn_step_backward,
        "rnn_forward": rnn_forward,
        "rnn_backward": rnn_backward,
    },
    visible=_backward_visible,
    hidden=_backward_hidden,
    labels={
        "dx": "dx, for the input of every step",
        "dh0": "dh0, all the way back to the first state",
        "dWx": "dWx hears from every step",
        "dWh": "dWh hears from every step",
        "db": "db hears from every step",
    },
    misconceptions=[
        Misconception(
            "overwritten",
            "Your weight gradients are those of one step, the first one. A loop that assigns keeps what its last round "
            "said: at how many steps was each weight used?",
            _changed(lambda steps, dh0: dict(zip(GRADS[2:], steps[0][2:], strict=True))),
        ),
        Misconception(
            "last_step_only",
            "You go back through the last step and stop there. Who made the state that it began with?",
            _wrong_time(_last_step_only),
        ),
        Misconception(
            "upstream_of_the_last_step_only",
            "You use dh of the last step only. Here the loss looks at every state: what arrives at step t from "
            "outside?",
            _wrong_time(_last_upstream_only),
        ),
        Misconception(
            "nothing_comes_back",
            "Each of your steps hears from the loss at its own time and from nobody else. The state went on into the "
            "next step: what comes back from there?",
            _wrong_time(lambda dh, *args: _gather(*_through_time(dh, *args, carry=False))),
        ),
        Misconception(
            "last_upstream_twice",
            "dh of the last step is in your gradients twice: before the loop, and in its first round. What comes back "
            "to the last step from later ones?",
            _wrong_time(_last_upstream_twice),
        ),
        Misconception(
            "carry_summed",
            "You add up what all later steps handed back. Draw the arrows: how many of the later steps does the state "
            "after step t go into?",
            _wrong_time(_carry_summed),
        ),
        Misconception(
            "forward_in_time",
            "Your loop starts at the first step. What does a step need to know before its gradient can be computed?",
            _wrong_time(_forward_in_time),
        ),
        Misconception(
            "averaged",
            "Your weight gradients are means over the steps. Nothing in the forward pass divides by T.",
            _changed(
                lambda steps, dh0: {
                    name: sum(step[k] for step in steps) / len(steps)
                    for k, name in enumerate(GRADS)
                    if k >= 2
                }
            ),
        ),
        Misconception(
            "dx_reversed",
            "Your dx is in the order in which the loop ran, which is not the order of the inputs.",
            _changed(lambda steps, dh0: {"dx": np.stack([step[0] for step in steps[::-1]], axis=1)}),
        ),
        Misconception(
            "dx_time_first",
            "Time is the first axis of your dx. It should have the shape of x.",
            _changed(lambda steps, dh0: {"dx": np.stack([step[0] for step in steps])}),
        ),
        Misconception(
            "dh0_of_the_last_step",
            "Your dh0 is what the last step handed back. How many steps lie between the last one and h0?",
            _changed(lambda steps, dh0: {"dh0": steps[-1][1]}),
        ),
        Misconception(
            "dh0_summed",
            "Your dh0 adds up what all steps handed back. h0 went into one step only; which one?",
            _changed(lambda steps, dh0: {"dh0": sum(step[1] for step in steps)}),
        ),
        Misconception(
            "no_dh0",
            "Your dh0 is zero. h0 went into the first step, and everything after it depends on that.",
            _changed(lambda steps, dh0: {"dh0": np.zeros_like(dh0)}),
        ),
        Misconception(
            "db_of_one_step",
            "Your db is that of one step. The bias was added at every one.",
            _changed(lambda steps, dh0: {"db": steps[-1][4]}),
        ),
        Misconception(
            "writes_into_dh",
            "You add what comes back into dh itself. It belongs to the caller: add into an array of your own.",
            _wrong_time(_into_dh),
        ),
        *cache_mistakes("rnn", rnn_forward, rnn_backward),
    ],
)


# -- measured_growth


def _number(name: str, label: str, low: float, high: float, text: str) -> Case:
    return Case(label, [Fetch(name)], {name: Between(low, high, f"{name} is {{value}}. {text}")})


measured_growth = Exercise(
    name="measured_growth",
    title="The same matrix a hundred times",
    points=4,
    grades=("growth_09", "growth_10", "growth_11", "peak"),
    reference={},
    visible=lambda rng: iter(
        [
            _number(
                name,
                f"a rotation times {radius}",
                0.99 * radius**100,
                1.01 * radius**100,
                "What is asked for is the norm after 100 steps back; the norms begin with 1, for no step at all",
            )
            for name, radius in (("growth_09", 0.9), ("growth_10", 1.0), ("growth_11", 1.1))
        ]
        + [
            _number(
                "peak",
                "the triangular matrix",
                8500,
                8720,
                "What is asked for is the largest of the norms, over 400 steps back, for the matrix triangular",
            )
        ]
    ),
    labels={
        "growth_09": "100 steps at radius 0.9",
        "growth_10": "100 steps at radius 1",
        "growth_11": "100 steps at radius 1.1",
        "peak": "the largest norm on the way, with every eigenvalue at 0.8",
    },
    pure=False,
)


# -- clipped_step

Params = Mapping[str, Array]


def clipped_step(params: Params, grads: Params, learning_rate: float, max_norm: float) -> tuple[Grads, float]:
    """One step of gradient descent with the gradient clipped; none where the gradient is not finite."""
    clipped, norm = clip_grad_norm(grads, max_norm)
    if not math.isfinite(norm):
        return {name: w.copy() for name, w in params.items()}, norm
    return {name: w - learning_rate * clipped[name] for name, w in params.items()}, norm


def _params(rng: Rng, scale: float) -> tuple[Grads, Grads]:
    shapes = {"Wh": (4, 4), "b": (4,)}
    return (
        {name: rng.normal(size=shape) for name, shape in shapes.items()},
        {name: scale * rng.normal(size=shape) for name, shape in shapes.items()},
    )


def _clipped_case(label: str, params: Grads, grads: Grads, max_norm: float, rng: Rng) -> Case:
    return Case(
        label,
        [Call("clipped_step", (params, grads, float(rng.uniform(0.2, 0.9)), max_norm), ("new", "norm"))],
    )


def _broken_case(label: str, value: float, rng: Rng) -> Case:
    params, grads = _params(rng, 1.0)
    grads["Wh"][1, 2] = value
    call = Call("clipped_step", (params, grads, 0.5, 1.0), ("kept", "norm_not_finite"))
    return Case(label, [call], ignore=("norm_not_finite",))


def _clipped_visible(rng: Rng) -> Cases:
    yield _clipped_case("a gradient that is too long", *_params(rng, 5.0), 1.0, rng)
    yield _clipped_case("a gradient that is short enough", *_params(rng, 0.1), 5.0, rng)
    yield _broken_case("one entry is infinite", np.inf, rng)
    yield _broken_case("one entry is not a number", np.nan, rng)


def _clipped_hidden(rng: Rng) -> Cases:
    yield _clipped_case("far too long", *_params(rng, 1e6), 0.25, rng)
    yield _clipped_case("clipping at infinity", *_params(rng, 3.0), np.inf, rng)
    params, grads = _params(rng, 1.0)
    yield _clipped_case("a gradient of zeros", params, {k: 0 * g for k, g in grads.items()}, 1.0, rng)
    params, grads = _params(rng, 1.0)
    yield _clipped_case("one array has most of it", params, grads | {"b": 40 * grads["b"]}, 2.0, rng)
    yield _broken_case("one entry is minus infinity", -np.inf, rng)


def _wrong_clip(function: Callable) -> dict[str, Callable]:
    """A wrong step for a finite gradient; `function` returns what is subtracted, by name."""

    def wrong(params: Params, grads: Params, learning_rate: float, max_norm: float) -> tuple[Grads, float]:
        _, norm = clip_grad_norm(grads, max_norm)
        if not math.isfinite(norm):
            return {name: w.copy() for name, w in params.items()}, norm
        step = function(grads, learning_rate, max_norm)
        return {name: w - step[name] for name, w in params.items()}, norm

    return {"clipped_step": wrong}


def _never_skips(params: Params, grads: Params, learning_rate: float, max_norm: float) -> tuple[Grads, float]:
    clipped, norm = clip_grad_norm(grads, max_norm)
    return {name: w - learning_rate * clipped[name] for name, w in params.items()}, norm


def _makes_finite(
    params: Params, grads: Params, learning_rate: float, max_norm: float
) -> tuple[Grads, float]:
    return clipped_step(
        params, {name: np.nan_to_num(g) for name, g in grads.items()}, learning_rate, max_norm
    )


def _norm_after(params: Params, grads: Params, learning_rate: float, max_norm: float) -> tuple[Grads, float]:
    new, norm = clipped_step(params, grads, learning_rate, max_norm)
    return new, min(norm, max_norm) if math.isfinite(norm) else norm


def _into_params(params: Grads, grads: Params, learning_rate: float, max_norm: float) -> tuple[Grads, float]:
    new, norm = clipped_step(params, grads, learning_rate, max_norm)
    for name, w in params.items():
        w[...] = new[name]
    return params, norm


clipped_step_exercise = Exercise(
    name="clipped_step",
    title="A training step with clipping",
    points=3,
    grades=("clipped_step",),
    reference={"clipped_step": clipped_step},
    visible=_clipped_visible,
    hidden=_clipped_hidden,
    labels={
        "new.Wh": "a step along the clipped gradient",
        "new.b": "and along that of the other array, clipped by the same factor",
        "norm": "the norm that is returned is the one before clipping",
        "kept.Wh": "no step where the gradient is not finite",
        "kept.b": "and none for the other array either",
    },
    misconceptions=[
        Misconception(
            "not_clipped",
            "The step uses the gradient as it came. clip_grad_norm returns new arrays: where do they go?",
            _wrong_clip(lambda grads, rate, limit: {k: rate * g for k, g in grads.items()}),
        ),
        Misconception(
            "one_by_one",
            "Each array is clipped on its own. Then the two no longer point where the gradient points. Clip all of "
            "them together.",
            _wrong_clip(
                lambda grads, rate, limit: {
                    k: rate * clip_grad_norm({k: g}, limit)[0][k] for k, g in grads.items()
                }
            ),
        ),
        Misconception(
            "by_value",
            "Your entries are cut off one by one. That turns the gradient. Which clipping keeps its direction?",
            _wrong_clip(
                lambda grads, rate, limit: {k: rate * g for k, g in clip_grad_value(grads, limit)[0].items()}
            ),
        ),
        Misconception(
            "uphill",
            "You walk up the gradient.",
            _wrong_clip(
                lambda grads, rate, limit: {k: -rate * g for k, g in clip_grad_norm(grads, limit)[0].items()}
            ),
        ),
        Misconception(
            "without_the_rate",
            "The learning rate is missing.",
            _wrong_clip(lambda grads, rate, limit: clip_grad_norm(grads, limit)[0]),
        ),
        Misconception(
            "step_clipped",
            "You clip the step, and not the gradient: the learning rate comes before the clipping.",
            _wrong_clip(
                lambda grads, rate, limit: clip_grad_norm({k: rate * g for k, g in grads.items()}, limit)[0]
            ),
        ),
        Misconception(
            "never_skips",
            "The gradient is not finite, and you step all the same. What are the weights after it, and after every "
            "step that follows?",
            {"clipped_step": _never_skips},
        ),
        Misconception(
            "made_finite",
            "You put a number where there was none, and step along it. What does such a gradient know about the loss?",
            {"clipped_step": _makes_finite},
        ),
        Misconception(
            "norm_after_clipping",
            "You return the norm after clipping, which says nothing about the network. Which one would you want to see "
            "in a log?",
            {"clipped_step": _norm_after},
        ),
        Misconception(
            "writes_into_params",
            "You write into the arrays in params. Whoever kept the old ones to compare has lost them: make new arrays.",
            {"clipped_step": _into_params},
        ),
    ],
)


# -- remedy

HEALED = {"start": "orthogonal", "radius": 1.2, "clip_norm": 0.1}

remedy = Exercise(
    name="remedy_06",
    title="A network that remembers",
    points=4,
    grades=("remedy",),
    reference={"remedy": HEALED},
    visible=lambda rng: iter(
        [
            Case(
                "trained from 10 starting points",
                [
                    Fetch("remedy"),
                    Train("exploding_rnn", Ref("remedy"), ("worst_loss", "accuracy"), tuple(range(10))),
                ],
                {
                    "worst_loss": Between(
                        0.0,
                        12.0,
                        "the largest loss of a run is {value}, in the mean of 10 runs. A network that says the same "
                        "for each symbol starts near 3, and at 12 something has been thrown far",
                    ),
                    "accuracy": Between(
                        0.95,
                        1.0,
                        "after training, accuracy is {value}, where guessing gives 0.25; a network that remembers the "
                        "symbol for all 20 steps reaches 0.95 and more in 80 steps of training",
                    ),
                },
            )
        ]
    ),
    labels={"worst_loss": "the loss never jumps", "accuracy": "and the network has learned to remember"},
    pure=False,
    together=True,
)


# -- quiz


QUIZ = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["quiz"]

quiz = choices(ASSIGNMENT, "quiz_06", QUIZ, 4)


# -- lstm_step_forward (stretch)


def _lstm_arrays(rng: Rng, n: int, d: int, h: int, scale: float = 0.5) -> tuple[Array, ...]:
    states = rng.normal(size=(n, h)), rng.normal(size=(n, h))
    return rng.normal(size=(n, d)), *states, *_weights(rng, d, h, blocks=4, scale=scale)


def _lstm_forward_visible(rng: Rng) -> Cases:
    for n, d, h in ((3, 4, 5), (2, 3, 3)):
        args = _lstm_arrays(rng, n, d, h)
        yield _forward_case("lstm_step_forward", f"N = {n}, D = {d}, H = {h}", args, ["next_h", "next_c"])


def _lstm_forward_hidden(rng: Rng) -> Cases:
    out = ["next_h", "next_c"]
    yield _forward_case("lstm_step_forward", "one example", _lstm_arrays(rng, 1, 3, 6), out)
    yield _forward_case("lstm_step_forward", "one unit", _lstm_arrays(rng, 4, 2, 1), out)
    yield _forward_case("lstm_step_forward", "large weights", _lstm_arrays(rng, 4, 3, 5, 300.0), out)
    yield _forward_case("lstm_step_forward", "float32", _lstm_arrays(rng, 20, 4, 5), out, float32=True)


def _sigmoid(a: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def _lstm(
    order: str = "ifog",
    proposal: Callable = np.tanh,
    cell: Callable = lambda i, f, o, g, c: f * c + i * g,
    state: Callable = lambda o, c: o * np.tanh(c),
    bias: float = 1.0,
    memory: float = 1.0,
    interleaved: bool = False,
) -> dict[str, Callable]:
    """An LSTM step with one thing changed."""

    def forward(x: Array, prev_h: Array, prev_c: Array, Wx: Array, Wh: Array, b: Array) -> tuple:
        a = x @ Wx + memory * (prev_h @ Wh) + bias * b
        h = prev_h.shape[1]
        cut = [a[:, k::4] if interleaved else a[:, k * h : (k + 1) * h] for k in range(4)]
        named = dict(zip(order, cut, strict=True))
        i, f, o, g = *(_sigmoid(named[gate]) for gate in "ifo"), proposal(named["g"])
        next_c = cell(i, f, o, g, prev_c)
        return state(o, next_c), next_c, None

    return {"lstm_step_forward": forward}


def _into_prev_c(x: Array, prev_h: Array, prev_c: Array, *weights: Array) -> tuple:
    next_h, prev_c[:], cache = lstm_step_forward(x, prev_h, prev_c, *weights)
    return next_h, prev_c, cache


def _cell_first(*args: Array) -> tuple:
    next_h, next_c, cache = lstm_step_forward(*args)
    return next_c, next_h, cache


lstm_step_forward_exercise = Exercise(
    name="lstm_step_forward",
    title="One step of an LSTM, forward",
    points=2,
    grades=("lstm_step_forward",),
    reference={"lstm_step_forward": lstm_step_forward},
    visible=_lstm_forward_visible,
    hidden=_lstm_forward_hidden,
    labels={
        "next_c": "the cell keeps a part of what it held, and adds a part of the proposal",
        "next_h": "the state is what the output gate lets out of it",
    },
    misconceptions=[
        Misconception(
            "gates_o_and_g_swapped",
            "Your output gate reads the columns of the proposal, and the other way round. In which order do the four "
            "blocks lie?",
            _lstm(order="ifgo"),
        ),
        Misconception(
            "gates_i_and_f_swapped",
            "Your input gate reads the columns of the forget gate, and the other way round. In which order do the four "
            "blocks lie?",
            _lstm(order="fiog"),
        ),
        Misconception(
            "interleaved",
            "You take every fourth column. The H columns of a gate lie beside each other.",
            _lstm(interleaved=True),
        ),
        Misconception(
            "proposal_through_a_sigmoid",
            "Your proposal lies between 0 and 1, so the cell can only rise. Which function should it go through?",
            _lstm(proposal=_sigmoid),
        ),
        Misconception(
            "nothing_forgotten",
            "The old cell comes through whole. Where does the forget gate enter?",
            _lstm(cell=lambda i, f, o, g, c: c + i * g),
        ),
        Misconception(
            "proposal_not_gated",
            "The whole proposal is written into the cell. Where does the input gate enter?",
            _lstm(cell=lambda i, f, o, g, c: f * c + g),
        ),
        Misconception(
            "old_cell_dropped",
            "The old cell is not in the new one: then there is no memory.",
            _lstm(cell=lambda i, f, o, g, c: i * g),
        ),
        Misconception(
            "one_minus_forget",
            "You keep what should be forgotten. Is the cell kept where f is near 1, or where it is near 0?",
            _lstm(cell=lambda i, f, o, g, c: (1 - f) * c + i * g),
        ),
        Misconception(
            "input_gate_from_the_forget_gate",
            "Your proposal is let in by 1 - f. That is another cell; here the proposal has a gate of its own.",
            _lstm(cell=lambda i, f, o, g, c: f * c + (1 - f) * g),
        ),
        Misconception(
            "state_without_tanh",
            "The state is o times the cell itself, which may be any number. What keeps a state between -1 and 1?",
            _lstm(state=lambda o, c: o * c),
        ),
        Misconception(
            "state_not_gated",
            "The whole cell is let out. Where does the output gate enter?",
            _lstm(state=lambda o, c: np.tanh(c)),
        ),
        Misconception("no_bias", "The bias is missing.", _lstm(bias=0.0)),
        Misconception(
            "no_memory",
            "The old state has no say in the gates. Where does Wh enter?",
            _lstm(memory=0.0),
        ),
        Misconception(
            "cell_returned_first",
            "Your state and your cell have changed places. In which order are they returned?",
            {"lstm_step_forward": _cell_first},
        ),
        Misconception(
            "writes_into_prev_c",
            "You write into prev_c. The backward pass will need it, and so does the caller: make a new array.",
            {"lstm_step_forward": _into_prev_c},
        ),
    ],
    stretch=True,
)


# -- lstm_step_backward (stretch)


def _lstm_case(label: str, args: tuple, rng: Rng, float32: bool = False) -> Case:
    shape = args[1].shape
    forward = Call("lstm_step_forward", args, ("next_h", "next_c", "cache"))
    upstream = rng.normal(size=shape), rng.normal(size=shape)
    backward = Call("lstm_step_backward", (*upstream, Ref("cache")), LSTM_GRADS)
    return Case(label, [forward, backward], float32=float32)


def _lstm_backward_visible(rng: Rng) -> Cases:
    for n, d, h in ((3, 4, 5), (2, 3, 3)):
        yield _lstm_case(f"N = {n}, D = {d}, H = {h}", _lstm_arrays(rng, n, d, h), rng)
    yield from _lstm_cache_cases(rng)


def _lstm_cache_cases(rng: Rng) -> Cases:
    """As `cache_cases`, for a pair with two outputs and two upstream gradients."""
    first = tuple(f"{name}_first" for name in LSTM_GRADS)

    def forward(*names: str) -> Call:
        return Call("lstm_step_forward", _lstm_arrays(rng, 2, 3, 4), names)

    def backward(names: tuple) -> Call:
        upstream = rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
        return Call("lstm_step_backward", (*upstream, Ref("cache")), names)

    between = ("h_between", "c_between", "cache_between")
    yield Case(
        "forward is called for another x before backward",
        [forward("next_h", "next_c", "cache"), forward(*between), backward(LSTM_GRADS)],
        ignore=("cache", *between),
    )
    yield Case(
        "backward is called a second time with the same cache",
        [forward("next_h", "next_c", "cache"), backward(first), backward(LSTM_GRADS)],
        ignore=("cache", *first),
    )


def _lstm_backward_hidden(rng: Rng) -> Cases:
    yield _lstm_case("one example", _lstm_arrays(rng, 1, 3, 6), rng)
    yield _lstm_case("one unit", _lstm_arrays(rng, 4, 2, 1), rng)
    yield _lstm_case("weights of size 2", _lstm_arrays(rng, 4, 3, 5, 2.0), rng)
    yield _lstm_case("float32", _lstm_arrays(rng, 20, 4, 5), rng, float32=True)


def _wrong_lstm(
    into_cell: Callable = lambda dh, dc, o, tanh_c: dc + dh * o * (1 - tanh_c**2),
    dc_back: Callable = lambda dc, i, f: dc * f,
    do: Callable = lambda dh, dc, c, tanh_c: dh * tanh_c,
    df: Callable = lambda dc, c, next_c: dc * c,
    gate_and_proposal: Callable = lambda dc, i, g: (dc * g, dc * i),
    gate_slope: Callable = lambda s: s * (1 - s),
    proposal_slope: Callable = lambda g: 1 - g * g,
    order: str = "ifog",
    back: bool = True,
    db: Callable = lambda da: da.sum(axis=0),
) -> dict[str, Callable]:
    """An LSTM step whose backward pass has one thing changed."""

    def forward(*args: Array) -> tuple:
        next_h, next_c, _ = lstm_step_forward(*args)
        return next_h, next_c, tuple(np.copy(arg) for arg in args)

    def backward(dnext_h: Array, dnext_c: Array, cache: tuple) -> tuple:
        x, prev_h, prev_c, Wx, Wh, b = cache
        _, next_c, _ = lstm_step_forward(*cache)
        ai, af, ao, ag = np.split(x @ Wx + prev_h @ Wh + b, 4, axis=1)
        i, f, o, g, tanh_c = _sigmoid(ai), _sigmoid(af), _sigmoid(ao), np.tanh(ag), np.tanh(next_c)
        dc = into_cell(dnext_h, dnext_c, o, tanh_c)
        di, dg = gate_and_proposal(dc, i, g)
        of = {
            "i": di * gate_slope(i),
            "f": df(dc, prev_c, next_c) * gate_slope(f),
            "o": do(dnext_h, dc, next_c, tanh_c) * gate_slope(o),
            "g": dg * proposal_slope(g),
        }
        da = np.concatenate([of[gate] for gate in order], axis=1)
        dprev_h = da @ Wh.T if back else np.zeros_like(prev_h)
        return da @ Wx.T, dprev_h, dc_back(dc, i, f), x.T @ da, prev_h.T @ da, db(da)

    return {"lstm_step_forward": forward, "lstm_step_backward": backward}


def _lstm_into_dnext_c(dnext_h: Array, dnext_c: Array, cache: Any) -> tuple:
    grads = lstm_step_backward(dnext_h, dnext_c, cache)
    dnext_c += dnext_h
    return grads


def _lstm_cache_mistakes() -> list[Misconception]:
    """As `cache_mistakes`; the two outputs travel as one."""

    def forward(*args: Array) -> tuple:
        next_h, next_c, cache = lstm_step_forward(*args)
        return (next_h, next_c), cache

    def backward(dout: tuple, cache: Any) -> tuple:
        dnext_h, dnext_c = dout
        return lstm_step_backward(dnext_h, dnext_c, cache)

    def unpacked(mistake: Misconception) -> Misconception:
        wrong_forward, wrong_backward = (
            mistake.functions[f"lstm_step_{way}"] for way in ("forward", "backward")
        )

        def lstm_forward(*args: Array) -> tuple:
            out, cache = wrong_forward(*args)
            return *out, cache

        def lstm_backward(dnext_h: Array, dnext_c: Array, cache: Any) -> tuple:
            return wrong_backward((dnext_h, dnext_c), cache)  # type: ignore[no-any-return]

        functions = {"lstm_step_forward": lstm_forward, "lstm_step_backward": lstm_backward}
        return Misconception(mistake.id, mistake.hint, functions)

    return [unpacked(mistake) for mistake in cache_mistakes("lstm_step", forward, backward)]


lstm_step_backward_exercise = Exercise(
    name="lstm_step_backward",
    title="One step of an LSTM, backward",
    points=5,
    grades=("lstm_step_backward",),
    reference={"lstm_step_forward": lstm_step_forward, "lstm_step_backward": lstm_step_backward},
    visible=_lstm_backward_visible,
    hidden=_lstm_backward_hidden,
    labels={
        "dx": "dx, back through all four gates",
        "dprev_h": "dprev_h, back through all four gates",
        "dprev_c": "dprev_c, back along the cell",
        "dWx": "dWx, a block of columns for each gate",
        "dWh": "dWh, a block of columns for each gate",
        "db": "db has an entry for each column",
    },
    misconceptions=[
        Misconception(
            "cell_not_from_the_state",
            "Your cell hears from dnext_c alone. The state was made from the cell: what comes back through it?",
            _wrong_lstm(into_cell=lambda dh, dc, o, tanh_c: dc),
        ),
        Misconception(
            "cell_only_from_the_state",
            "dnext_c is not in your gradients. The cell goes on into the next step too.",
            _wrong_lstm(into_cell=lambda dh, dc, o, tanh_c: dh * o * (1 - tanh_c**2)),
        ),
        Misconception(
            "cell_without_o",
            "What comes to the cell from the state does not pass the output gate. The forward pass did.",
            _wrong_lstm(into_cell=lambda dh, dc, o, tanh_c: dc + dh * (1 - tanh_c**2)),
        ),
        Misconception(
            "cell_without_tanh_slope",
            "What comes to the cell from the state does not pass the tanh.",
            _wrong_lstm(into_cell=lambda dh, dc, o, tanh_c: dc + dh * o),
        ),
        Misconception(
            "slope_from_the_cell",
            "You take 1 - c**2 with the cell itself. The slope of tanh is written with its output.",
            _wrong_lstm(into_cell=lambda dh, dc, o, tanh_c: dc + dh * o * (1 - np.arctanh(tanh_c) ** 2)),
        ),
        Misconception(
            "dprev_c_not_gated",
            "Your dprev_c comes through whole. What was the old cell multiplied with?",
            _wrong_lstm(dc_back=lambda dc, i, f: dc),
        ),
        Misconception(
            "dprev_c_through_i",
            "Your dprev_c goes through the input gate. Which gate stands before the old cell?",
            _wrong_lstm(dc_back=lambda dc, i, f: dc * i),
        ),
        Misconception(
            "do_from_the_cell",
            "The output gate multiplies tanh(c), and you use c.",
            _wrong_lstm(do=lambda dh, dc, c, tanh_c: dh * c),
        ),
        Misconception(
            "do_from_dc",
            "The output gate acts on the state, not on the cell: which upstream gradient reaches it?",
            _wrong_lstm(do=lambda dh, dc, c, tanh_c: dc * tanh_c),
        ),
        Misconception(
            "df_from_the_new_cell",
            "The forget gate was multiplied with a cell. With which of the two?",
            _wrong_lstm(df=lambda dc, c, next_c: dc * next_c),
        ),
        Misconception(
            "no_gate_slopes",
            "The gradients of the gates do not pass their sigmoids.",
            _wrong_lstm(gate_slope=np.ones_like),
        ),
        Misconception(
            "no_slopes",
            "Your gates and your proposal have no slopes: the gradient stops before their sigmoids and their tanh.",
            _wrong_lstm(gate_slope=np.ones_like, proposal_slope=np.ones_like),
        ),
        Misconception(
            "proposal_with_a_sigmoid_slope",
            "The proposal went through a tanh. Whose slope is g * (1 - g)?",
            _wrong_lstm(proposal_slope=lambda g: g * (1 - g)),
        ),
        Misconception(
            "i_and_g_mixed_up",
            "The input gate and the proposal are multiplied with each other. Which factor does the gradient of each "
            "get?",
            _wrong_lstm(gate_and_proposal=lambda dc, i, g: (dc * i, dc * g)),
        ),
        Misconception(
            "gates_in_another_order",
            "Your blocks lie in another order than those of Wx. In which order did you cut the columns?",
            _wrong_lstm(order="ifgo"),
        ),
        Misconception(
            "no_dprev_h",
            "Your dprev_h is zero. The old state went into all four gates.",
            _wrong_lstm(back=False),
        ),
        Misconception(
            "db_not_summed",
            "Your db has a row for each example. All examples share the biases: what does that mean for their "
            "gradient?",
            _wrong_lstm(db=lambda da: da),
        ),
        Misconception(
            "writes_into_dnext_c",
            "You write into dnext_c: += on an array changes the one that the caller still holds. Make a new array for "
            "the gradient of the cell.",
            {"lstm_step_backward": _lstm_into_dnext_c},
        ),
        *_lstm_cache_mistakes(),
    ],
    stretch=True,
)


EXERCISES = [
    rnn_step_forward_exercise,
    rnn_step_backward_exercise,
    rnn_forward_exercise,
    rnn_backward_exercise,
    measured_growth,
    clipped_step_exercise,
    remedy,
    quiz,
    lstm_step_forward_exercise,
    lstm_step_backward_exercise,
]
