"""Assignment 02: sigmoid saturation. References, cases, points and misconceptions."""

import copy
import functools
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.activity import saturated_fraction
from minigrad.initializers import xavier_init
from minigrad.layers import (
    affine_forward,
    affine_sigmoid_backward,
    affine_sigmoid_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)

from ..answers import choices, number
from ..caches import cache_cases, cache_mistakes
from ..exercise import Between, Call, Case, Exercise, Fetch, Measure, Misconception, Ref, Train

ASSIGNMENT = "02_sigmoid_saturation"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]


# -- sigmoid_forward and tanh_forward: one function of each element


def _forward_case(function: str, label: str, x: Array, out: str = "out", float32: bool = False) -> Case:
    return Case(label, [Call(function, (x,), (out, "cache"))], float32=float32)


def _far(rng: Rng) -> Array:
    """Some usual values, and some that no exponential survives."""
    return np.concatenate([[-1000.0, 1000.0, 0.0, -0.0], rng.normal(size=3), rng.uniform(-800, 800, 4)])


def _tail(rng: Rng, low: float, high: float) -> Array:
    """Neighbours somewhere on the left: errors count beside the largest entry, so all of them must be as small."""
    return rng.uniform(low + 3, high - 3) + rng.uniform(-3, 3, 5)


def _forward_visible(function: str) -> Callable[[Rng], Cases]:
    def cases(rng: Rng) -> Cases:
        yield _forward_case(function, "x of shape (3, 4)", 2 * rng.normal(size=(3, 4)))
        yield _forward_case(function, "x from -1000 to 1000", _far(rng), "out_far")
        if function == "sigmoid_forward":
            yield _forward_case(function, "x between -40 and -30", _tail(rng, -40, -30), "out_far")
            yield _forward_case(function, "x between -300 and -200", _tail(rng, -300, -200), "out_far")
        yield _forward_case(function, "x of shape (2, 5), float32", 2 * rng.normal(size=(2, 5)), float32=True)

    return cases


def _forward_hidden(function: str) -> Callable[[Rng], Cases]:
    def cases(rng: Rng) -> Cases:
        yield _forward_case(function, "four axes", rng.normal(size=(2, 3, 2, 2)))
        yield _forward_case(function, "one row", 3 * rng.normal(size=(1, 7)))
        yield _forward_case(function, "small x", 1e-3 * rng.normal(size=6))
        yield _forward_case(function, "a column, far out", _far(rng).reshape(-1, 1), "out_far")
        if function == "sigmoid_forward":
            for low, high in ((-60, -40), (-200, -60)):
                label = f"x between {low} and {high}"
                yield _forward_case(function, label, _tail(rng, low, high), "out_far")
        far = np.concatenate([rng.uniform(-200, 200, 5), rng.normal(size=3)])
        yield _forward_case(function, "far out, float32", far, "out_far", float32=True)

    return cases


def _caching(f: Callable[[Array], Array], name: str) -> dict[str, Callable]:
    """A forward pass that computes `f`, and keeps what every backward pass could want."""

    def forward(x: Array) -> Any:
        with np.errstate(all="ignore"):
            kept = x.copy()
            out = f(x)
        return out, (kept, out)

    return {name: forward}


def _sigmoid(x: Array) -> Array:
    return sigmoid_forward(x)[0]


def _written_into(x: Array, f: Callable[[Array], Array]) -> Array:
    out = f(x)
    x[...] = out
    return out


_FORWARD_LABELS = {
    "out": "out is right, element by element",
    "out_far": "out is finite and right for any x",
}

sigmoid_forward_exercise = Exercise(
    name="sigmoid_forward",
    title="Sigmoid, forward",
    points=3,
    grades=("sigmoid_forward",),
    reference={"sigmoid_forward": sigmoid_forward},
    visible=_forward_visible("sigmoid_forward"),
    hidden=_forward_hidden("sigmoid_forward"),
    labels=_FORWARD_LABELS,
    misconceptions=[
        Misconception(
            "infinity_over_infinity",
            "At x = 1000 you divide infinity by infinity. Divide numerator and denominator by exp(x): which of the "
            "two forms can overflow without harm?",
            _caching(lambda x: np.exp(x) / (1 + np.exp(x)), "sigmoid_forward"),
        ),
        Misconception(
            "falls_instead_of_rising",
            "Your function falls where it should rise. What should come out for a large positive x?",
            _caching(lambda x: _sigmoid(-x), "sigmoid_forward"),
        ),
        Misconception(
            "parentheses",
            "Some of your outputs are above 1. Python divides before it adds: what is divided by what in your line?",
            _caching(lambda x: 1 / 1 + np.exp(-x), "sigmoid_forward"),
        ),
        Misconception(
            "clipped_input",
            "You clip x before you use it. Then all x beyond the bound give the same output, and the digits of the "
            "small ones are gone. What does 1 / (1 + infinity) give?",
            _caching(lambda x: _sigmoid(np.clip(x, -50, 50)), "sigmoid_forward"),
        ),
        Misconception(
            "half_of_tanh",
            "On the left you add two numbers that nearly cancel, and what is left has few digits or none. Which form "
            "of the sigmoid adds only positive numbers?",
            _caching(lambda x: 0.5 * np.tanh(x / 2) + 0.5, "sigmoid_forward"),
        ),
        Misconception(
            "tanh_instead",
            "Your outputs lie between -1 and 1. Between which two numbers does a sigmoid lie?",
            _caching(np.tanh, "sigmoid_forward"),
        ),
        Misconception(
            "softmax_instead",
            "Your outputs depend on the other elements: they add up to 1. A sigmoid looks at one element at a time.",
            _caching(
                lambda x: (
                    np.exp(x - x.max(-1, keepdims=True))
                    / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
                ),
                "sigmoid_forward",
            ),
        ),
        Misconception(
            "absolute_value_left_in",
            "You take the absolute value to keep the exponential small, and negative x come out as positive ones. What "
            "is the sigmoid of -x, given that of x?",
            _caching(lambda x: _sigmoid(np.abs(x)), "sigmoid_forward"),
        ),
        Misconception(
            "slope_instead",
            "You return the slope of the sigmoid, not the sigmoid.",
            _caching(lambda x: _sigmoid(x) * (1 - _sigmoid(x)), "sigmoid_forward"),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            _caching(lambda x: _written_into(x, _sigmoid), "sigmoid_forward"),
        ),
    ],
)


def _by_exponentials(x: Array) -> Array:
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


tanh_forward_exercise = Exercise(
    name="tanh_forward",
    title="Hyperbolic tangent, forward",
    points=1,
    grades=("tanh_forward",),
    reference={"tanh_forward": tanh_forward},
    visible=_forward_visible("tanh_forward"),
    hidden=_forward_hidden("tanh_forward"),
    labels=_FORWARD_LABELS,
    misconceptions=[
        Misconception(
            "infinity_over_infinity",
            "At x = 1000 you divide infinity by infinity. numpy has a function for this that does not.",
            _caching(_by_exponentials, "tanh_forward"),
        ),
        Misconception(
            "sigmoid_instead",
            "Your outputs lie between 0 and 1. Between which two numbers does tanh lie?",
            _caching(_sigmoid, "tanh_forward"),
        ),
        Misconception(
            "half_the_argument",
            "You stretch the sigmoid to the right height, but it rises too slowly. What is the slope of tanh at 0, and "
            "what is that of your function?",
            _caching(lambda x: 2 * _sigmoid(x) - 1, "tanh_forward"),
        ),
        Misconception(
            "not_shifted",
            "Your outputs lie between 0 and 2. What should tanh(0) be?",
            _caching(lambda x: 2 * _sigmoid(2 * x), "tanh_forward"),
        ),
        Misconception(
            "tangent",
            "Your function goes round in circles: it is the tangent of an angle. The h is for hyperbolic.",
            _caching(np.tan, "tanh_forward"),
        ),
        Misconception(
            "inverse",
            "You divide the wrong way round: your outputs are above 1 in size. What should tanh(0) be?",
            _caching(lambda x: 1 / np.tanh(x), "tanh_forward"),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            _caching(lambda x: _written_into(x, np.tanh), "tanh_forward"),
        ),
    ],
)


# -- sigmoid_backward and tanh_backward


def _backward_case(name: str, label: str, x: Array, rng: Rng, dx: str = "dx", float32: bool = False) -> Case:
    steps = [
        Call(f"{name}_forward", (x,), ("out", "cache")),
        Call(f"{name}_backward", (rng.normal(size=x.shape), Ref("cache")), (dx,)),
    ]
    return Case(label, steps, float32=float32)


def _backward_visible(name: str) -> Callable[[Rng], Cases]:
    def cases(rng: Rng) -> Cases:
        yield _backward_case(name, "x of shape (3, 4)", 2 * rng.normal(size=(3, 4)), rng)
        yield _backward_case(name, "x from -1000 to 1000", _far(rng), rng, "dx_far")
        yield from cache_cases(name, lambda: (rng.normal(size=(2, 3)),), (2, 3), rng, ("dx",))
        yield _backward_case(name, "x of shape (2, 5), float32", rng.normal(size=(2, 5)), rng, float32=True)

    return cases


def _backward_hidden(name: str) -> Callable[[Rng], Cases]:
    def cases(rng: Rng) -> Cases:
        yield _backward_case(name, "four axes", rng.normal(size=(2, 3, 2, 2)), rng)
        yield _backward_case(name, "one row", 3 * rng.normal(size=(1, 7)), rng)
        yield _backward_case(name, "near zero", 1e-3 * rng.normal(size=(5, 2)), rng)
        yield _backward_case(name, "a column, far out", _far(rng).reshape(-1, 1), rng, "dx_far")
        yield _backward_case(name, "a batch", rng.normal(size=(40, 6)), rng)
        if name == "sigmoid":
            for low, high in ((-60, -20), (-300, -60), (-690, -310)):
                yield _backward_case(
                    name, f"x between {low} and {high}", _tail(rng, low, high), rng, "dx_far"
                )
        far = np.concatenate([rng.uniform(-200, 200, 5), rng.normal(size=3)])
        yield _backward_case(name, "far out, float32", far, rng, "dx_far", float32=True)

    return cases


def _backward(name: str, f: Callable[[Array, Array, Array], Array]) -> dict[str, Callable]:
    """The pair with its backward pass replaced by `f`, which takes dout, x and out."""
    right: Callable[[Array], Array] = _sigmoid if name == "sigmoid" else np.tanh

    def backward(dout: Array, cache: tuple) -> Array:
        with np.errstate(all="ignore"):
            return f(dout, *cache)

    return {**_caching(right, f"{name}_forward"), f"{name}_backward": backward}


def _into_dout(dout: Array, slope: Array) -> Array:
    dout *= slope
    return dout


def _into_cache(dout: Array, out: Array, slope: Array) -> Array:
    dx = dout * slope
    out[...] = slope
    return dx


_BACKWARD_LABELS = {
    "dx": "dx is the gradient with respect to x",
    "dx_far": "dx is finite and right for any x",
}

sigmoid_backward_exercise = Exercise(
    name="sigmoid_backward",
    title="Sigmoid, backward",
    points=4,
    grades=("sigmoid_backward",),
    reference={"sigmoid_forward": sigmoid_forward, "sigmoid_backward": sigmoid_backward},
    visible=_backward_visible("sigmoid"),
    hidden=_backward_hidden("sigmoid"),
    labels=_BACKWARD_LABELS,
    misconceptions=[
        Misconception(
            "upstream_forgotten",
            "Your dx is the slope alone: dout is not in it. The chain rule has two factors.",
            _backward("sigmoid", lambda dout, x, out: out * (1 - out)),
        ),
        Misconception(
            "slope_forgotten",
            "You pass dout on as it came. By how much does out change when x changes a little?",
            _backward("sigmoid", lambda dout, x, out: dout.copy()),
        ),
        Misconception(
            "slope_from_x",
            "Your formula is written for the output, and you gave it the pre-activation. Look at the sign of your dx "
            "where x is above 1.",
            _backward("sigmoid", lambda dout, x, out: dout * x * (1 - x)),
        ),
        Misconception(
            "squashed_twice",
            "You apply the sigmoid to what is already its output. What does your cache hold?",
            _backward("sigmoid", lambda dout, x, out: dout * _sigmoid(out) * (1 - _sigmoid(out))),
        ),
        Misconception(
            "slope_of_tanh",
            "That is the slope of tanh in terms of its output. What does it give for the sigmoid at x = 0, where the "
            "output is 1/2?",
            _backward("sigmoid", lambda dout, x, out: dout * (1 - out**2)),
        ),
        Misconception(
            "one_minus_out_alone",
            "One factor is missing: for a very negative x your dx is all of dout, though the curve is flat there too.",
            _backward("sigmoid", lambda dout, x, out: dout * (1 - out)),
        ),
        Misconception(
            "out_alone",
            "One factor is missing: for a large x your dx is all of dout, though the curve is flat there.",
            _backward("sigmoid", lambda dout, x, out: dout * out),
        ),
        Misconception(
            "wrong_sign",
            "Your gradient has the opposite sign. The sigmoid rises everywhere.",
            _backward("sigmoid", lambda dout, x, out: dout * out * (out - 1)),
        ),
        Misconception(
            "overflows_on_the_left",
            "Your formula squares an exponential of -x. What becomes of it at x = -1000? The output, which you have "
            "already, is enough.",
            _backward("sigmoid", lambda dout, x, out: dout * np.exp(-x) / (1 + np.exp(-x)) ** 2),
        ),
        Misconception(
            "slope_of_dout",
            "You take the slope at dout. The slope belongs to the point at which the forward pass was.",
            _backward("sigmoid", lambda dout, x, out: dout * (1 - dout)),
        ),
        Misconception(
            "always_a_quarter",
            "You multiply by 1/4 everywhere. That is the slope at x = 0 only.",
            _backward("sigmoid", lambda dout, x, out: dout / 4),
        ),
        Misconception(
            "averaged",
            "You divide by the number of examples. Nothing in the forward pass does; if the loss does, dout has that "
            "factor already.",
            _backward("sigmoid", lambda dout, x, out: dout * out * (1 - out) / max(len(dout), 2)),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The caller still needs it: make a new array.",
            _backward("sigmoid", lambda dout, x, out: _into_dout(dout, out * (1 - out))),
        ),
        Misconception(
            "writes_into_the_cache",
            "Your first call changes what the cache holds, and the second call reads it. Make a new array.",
            _backward("sigmoid", lambda dout, x, out: _into_cache(dout, out, out * (1 - out))),
        ),
        *cache_mistakes("sigmoid", sigmoid_forward, sigmoid_backward),
    ],
)

tanh_backward_exercise = Exercise(
    name="tanh_backward",
    title="Hyperbolic tangent, backward",
    points=2,
    grades=("tanh_backward",),
    reference={"tanh_forward": tanh_forward, "tanh_backward": tanh_backward},
    visible=_backward_visible("tanh"),
    hidden=_backward_hidden("tanh"),
    labels=_BACKWARD_LABELS,
    misconceptions=[
        Misconception(
            "slope_from_x",
            "Your formula is written for the output, and you gave it the pre-activation. Look at the sign of your dx "
            "where x is above 1.",
            _backward("tanh", lambda dout, x, out: dout * (1 - x**2)),
        ),
        Misconception(
            "squashed_twice",
            "You apply tanh to what is already its output. What does your cache hold?",
            _backward("tanh", lambda dout, x, out: dout * (1 - np.tanh(out) ** 2)),
        ),
        Misconception(
            "slope_of_sigmoid",
            "That is the slope of the sigmoid in terms of its output. What does it give for tanh at x = 0, where the "
            "curve is steepest?",
            _backward("tanh", lambda dout, x, out: dout * out * (1 - out)),
        ),
        Misconception(
            "square_forgotten",
            "For a very negative x your dx is twice dout, though the curve is flat there. Check the derivative again.",
            _backward("tanh", lambda dout, x, out: dout * (1 - out)),
        ),
        Misconception(
            "upstream_forgotten",
            "Your dx is the slope alone: dout is not in it. The chain rule has two factors.",
            _backward("tanh", lambda dout, x, out: 1 - out**2),
        ),
        Misconception(
            "slope_forgotten",
            "You pass dout on as it came. By how much does out change when x changes a little?",
            _backward("tanh", lambda dout, x, out: dout.copy()),
        ),
        Misconception(
            "wrong_sign",
            "Your gradient has the opposite sign. tanh rises everywhere.",
            _backward("tanh", lambda dout, x, out: dout * (out**2 - 1)),
        ),
        Misconception(
            "slope_of_dout",
            "You take the slope at dout. The slope belongs to the point at which the forward pass was.",
            _backward("tanh", lambda dout, x, out: dout * (1 - dout**2)),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The caller still needs it: make a new array.",
            _backward("tanh", lambda dout, x, out: _into_dout(dout, 1 - out**2)),
        ),
        Misconception(
            "writes_into_the_cache",
            "Your first call changes what the cache holds, and the second call reads it. Make a new array.",
            _backward("tanh", lambda dout, x, out: _into_cache(dout, out, 1 - out**2)),
        ),
        *cache_mistakes("tanh", tanh_forward, tanh_backward),
    ],
)


# -- saturated_fraction


def _fraction_case(label: str, out: Array, *rest: float, name: str = "share") -> Case:
    return Case(label, [Call("saturated_fraction", (out, *rest), (name,))])


def _outputs(rng: Rng, shape: tuple, low: float, high: float, *counts: int) -> Array:
    """Outputs with so many below 1 % of the range, from 1 to 2 %, 2 to 10 %, and as far from the upper end."""
    size = int(np.prod(shape))
    edges = [(0, 0.009), (0.011, 0.019), (0.021, 0.09), (0.91, 0.979), (0.981, 0.989), (0.991, 1)]
    parts = [rng.uniform(a, b, count) for (a, b), count in zip(edges, counts, strict=True)]
    shares = np.concatenate([*parts, rng.uniform(0.15, 0.85, size - sum(counts))])
    return low + (high - low) * rng.permutation(shares).reshape(shape)


def _fraction_visible(rng: Rng) -> Cases:
    yield _fraction_case("a sigmoid layer of 5 units, 8 rows", _outputs(rng, (8, 5), 0, 1, 3, 2, 4, 1, 2, 6))
    tanh = _outputs(rng, (6, 4), -1, 1, 2, 3, 1, 2, 1, 3)
    yield _fraction_case("a tanh layer: low -1, high 1", tanh, -1.0, 1.0, name="share_of_range")
    wide = _outputs(rng, (5, 6), 0, 1, 1, 2, 3, 4, 2, 5)
    yield _fraction_case("margin 0.1", wide, 0.0, 1.0, 0.1, name="share_of_margin")
    yield _fraction_case("exactly 0 or 1", np.array([0.0, 1.0, 1.0, 0.5]))


def _fraction_hidden(rng: Rng) -> Cases:
    yield _fraction_case("three axes", _outputs(rng, (3, 4, 5), 0, 1, 7, 1, 5, 2, 3, 4))
    yield _fraction_case("one row", _outputs(rng, (1, 9), 0, 1, 1, 1, 1, 1, 1, 2))
    yield _fraction_case("nothing saturated", rng.uniform(0.2, 0.8, (4, 3)))
    other = _outputs(rng, (7, 5), -2, 6, 4, 3, 2, 1, 5, 3)
    yield _fraction_case("another range and margin", other, -2.0, 6.0, 0.02, name="share_of_range")
    yield _fraction_case(
        "a small margin",
        _outputs(rng, (6, 6), 0, 1, 8, 1, 1, 1, 1, 5),
        0.0,
        1.0,
        0.002,
        name="share_of_margin",
    )


def _fraction(f: Callable[[Array, float, float, float], Any]) -> dict[str, Callable]:
    def wrong(out: Array, low: float = 0.0, high: float = 1.0, margin: float = 0.01) -> Any:
        return f(out, low, high, margin)

    return {"saturated_fraction": wrong}


def _at_ends(out: Array, low: float, high: float, edge: float) -> Array:
    return (out < low + edge) | (out > high - edge)


saturated_fraction_exercise = Exercise(
    name="saturated_fraction",
    title="Share of saturated outputs",
    points=2,
    grades=("saturated_fraction",),
    reference={"saturated_fraction": saturated_fraction},
    visible=_fraction_visible,
    hidden=_fraction_hidden,
    labels={
        "share": "the share of outputs near an end, from 0 to 1",
        "share_of_range": "the range is from low to high",
        "share_of_margin": "the margin is the one that was asked for",
    },
    misconceptions=[
        Misconception(
            "upper_end_only",
            "You look at one end only. What is the slope of a sigmoid whose output is 0.001?",
            _fraction(lambda out, low, high, margin: np.mean(out > high - margin * (high - low))),
        ),
        Misconception(
            "lower_end_only",
            "You look at one end only. What is the slope of a sigmoid whose output is 0.999?",
            _fraction(lambda out, low, high, margin: np.mean(out < low + margin * (high - low))),
        ),
        Misconception(
            "margin_not_scaled",
            "You use the margin as it is. It is a share of the range: tanh has a range twice as wide as a sigmoid.",
            _fraction(lambda out, low, high, margin: np.mean(_at_ends(out, low, high, margin))),
        ),
        Misconception(
            "margin_ignored",
            "You use a margin of your own instead of the one that you were given.",
            _fraction(lambda out, low, high, margin: np.mean(_at_ends(out, low, high, 0.01 * (high - low)))),
        ),
        Misconception(
            "range_ignored",
            "You look near 0 and 1, whatever low and high are. Where does tanh saturate?",
            _fraction(lambda out, low, high, margin: np.mean(_at_ends(out, 0.0, 1.0, margin))),
        ),
        Misconception(
            "counted",
            "You return a number of outputs. Out of how many?",
            _fraction(lambda out, low, high, margin: np.sum(_at_ends(out, low, high, margin * (high - low)))),
        ),
        Misconception(
            "percent",
            "You return a percentage. A share lies between 0 and 1.",
            _fraction(
                lambda out, low, high, margin: 100 * np.mean(_at_ends(out, low, high, margin * (high - low)))
            ),
        ),
        Misconception(
            "alive_instead",
            "You return the share of outputs that are not saturated.",
            _fraction(
                lambda out, low, high, margin: np.mean(~_at_ends(out, low, high, margin * (high - low)))
            ),
        ),
        Misconception(
            "exactly_at_the_end",
            "You ask for outputs that equal an end. In exact numbers a sigmoid never gets there: how near is near?",
            _fraction(lambda out, low, high, margin: np.mean((out == low) | (out == high))),
        ),
        Misconception(
            "units_not_outputs",
            "You count a unit as saturated if it is so for any example. Count outputs: one for each unit and example.",
            _fraction(
                lambda out, low, high, margin: np.mean(
                    _at_ends(out, low, high, margin * (high - low)).any(axis=0)
                )
            ),
        ),
    ],
)


# -- xavier_init: judged by what it draws, since there is more than one right distribution


# In standard errors: independent draws of any usual distribution reach 5.6, and two equal rows of 60 weights 7.7.
_BY_CHANCE = 7.0


def _width(fan_in: int, fan_out: int, gain: float) -> float:
    return gain * float(np.sqrt(2 / (fan_in + fan_out)))


def _generator(rng: Rng) -> Rng:
    return np.random.default_rng(int(rng.integers(1 << 30)))


def _drawn_case(rng: Rng, label: str, fan_in: int, fan_out: int, gain: float, std: str = "std") -> Case:
    # 5 standard errors of the width of as many normal numbers, and of their mean.
    width, count = _width(fan_in, fan_out, gain), fan_in * fan_out
    slack, shift = 5 * width / np.sqrt(2 * count), 5 * width / np.sqrt(count)
    steps: list = [
        Call("xavier_init", (fan_in, fan_out, gain, _generator(rng)), ("w",)),
        Measure("spread", (Ref("w"),), ("mean", std)),
    ]
    expect = {
        std: Between(
            width - slack,
            width + slack,
            f"the standard deviation of your weights is {{value}}; it should be {width:.4g}",
        ),
        "mean": Between(-shift, shift, "the mean of your weights is {value}; it should be 0 but for chance"),
    }
    if min(fan_in, fan_out) > 1:
        steps.append(Measure("pattern", (Ref("w"),), ("alike", "uneven")))
        expect["alike"] = Between(
            0.0,
            _BY_CHANCE,
            "two rows or two columns of your weights are alike: {value} standard errors, where chance reaches 5",
        )
        expect["uneven"] = Between(
            0.0,
            _BY_CHANCE,
            "a row or a column of your weights is wider or narrower than the rest: {value} standard errors, where "
            "chance reaches 5",
        )
    return Case(label, steps, expect, ignore=("w",))


def _same_seed_case(rng: Rng) -> Case:
    generator = _generator(rng)
    return Case(
        "called twice",
        [
            Call("xavier_init", (4, 3, 2.0, generator), ("w",)),
            Call("xavier_init", (4, 3, 2.0, generator), ("w_again",)),
            Measure("difference", (Ref("w"), Ref("w_again")), ("randomness",)),
        ],
        {
            "randomness": Between(
                0.0,
                0.0,
                "two generators with the same seed gave weights that differ by {value}: some of the numbers do not "
                "come out of rng",
            )
        },
        ignore=("w", "w_again"),
    )


def _two_seeds_case(rng: Rng, label: str, fan_in: int, fan_out: int, drew: bool = False) -> Case:
    moved = Between(1.0, 1.0, "the generator that you were given is where it was before the call")
    return Case(
        label,
        [
            Call("xavier_init", (fan_in, fan_out, 2.0, _generator(rng)), ("w",)),
            Call("xavier_init", (fan_in, fan_out, 2.0, _generator(rng)), ("w_again",)),
            Measure("overlap", (Ref("w"), Ref("w_again")), ("overlap",)),
        ],
        {
            **({"drew": moved} if drew else {}),
            "overlap": Between(
                0.0,
                _BY_CHANCE,
                "two generators with different seeds gave weights that are alike: {value} standard errors, where "
                "chance reaches 4",
            ),
        },
        ignore=("w", "w_again"),
    )


def _xavier_visible(rng: Rng) -> Cases:
    yield _drawn_case(rng, "120 inputs, 60 outputs, gain 1", 120, 60, 1.0)
    yield _drawn_case(rng, "60 inputs, 150 outputs, gain 3", 60, 150, 3.0, "std_with_gain")
    yield Case("3 inputs, 5 outputs, gain 0", [Call("xavier_init", (3, 5, 0.0, _generator(rng)), ("w",))])
    yield _same_seed_case(rng)
    yield _two_seeds_case(rng, "called twice, 120 inputs, 60 outputs", 120, 60)


def _xavier_hidden(rng: Rng) -> Cases:
    for label, fan_in, fan_out in (
        ("more inputs", 200, 40),
        ("more outputs", 30, 240),
        ("a square", 80, 80),
        ("one output", 5000, 1),
    ):
        yield _drawn_case(rng, label, fan_in, fan_out, float(rng.uniform(0.3, 6.0)), "std_with_gain")
        yield _two_seeds_case(rng, label, fan_in, fan_out, drew=True)


def _drawing(width: Callable[[int, int, float], float]) -> dict[str, Callable]:
    return {
        "xavier_init": lambda fan_in, fan_out, gain, rng: (
            width(fan_in, fan_out, gain) * rng.standard_normal((fan_in, fan_out))
        )
    }


xavier_init_exercise = Exercise(
    name="xavier_init",
    title="Xavier initialization",
    points=3,
    grades=("xavier_init",),
    reference={"xavier_init": xavier_init},
    visible=_xavier_visible,
    hidden=_xavier_hidden,
    labels={
        "std": "the weights have the standard deviation of the formula",
        "std_with_gain": "the gain multiplies it",
        "mean": "their mean is 0",
        "w": "one row for each input, one column for each output",
        "alike": "every weight is drawn on its own",
        "uneven": "rows and columns are all equally wide",
        "randomness": "the same seed gives the same weights",
        "overlap": "another seed gives other weights",
    },
    pure=False,
    misconceptions=[
        Misconception(
            "fan_in_alone",
            "You use the inputs only, which keeps the activations and not the gradients. What did the derivation "
            "average over?",
            _drawing(lambda fan_in, fan_out, gain: gain * np.sqrt(1 / fan_in)),
        ),
        Misconception(
            "he_instead",
            "That width is made for layers that a ReLU follows. What did the derivation average over?",
            _drawing(lambda fan_in, fan_out, gain: gain * np.sqrt(2 / fan_in)),
        ),
        Misconception(
            "two_forgotten",
            "You divide by the sum of both fans. Their mean is half of that.",
            _drawing(lambda fan_in, fan_out, gain: gain * np.sqrt(1 / (fan_in + fan_out))),
        ),
        Misconception(
            "variance_for_deviation",
            "The formula gives a variance, and you use it as a standard deviation.",
            _drawing(lambda fan_in, fan_out, gain: gain * 2 / (fan_in + fan_out)),
        ),
        Misconception(
            "bound_for_deviation",
            "You use the bound of the uniform distribution as a standard deviation. Which standard deviation has a "
            "uniform draw between -a and a?",
            _drawing(lambda fan_in, fan_out, gain: gain * np.sqrt(6 / (fan_in + fan_out))),
        ),
        Misconception(
            "deviation_for_bound",
            "Your numbers are spread evenly up to the standard deviation that you want to have. That of a uniform draw "
            "between -a and a is smaller than a: by which factor?",
            {
                "xavier_init": lambda fan_in, fan_out, gain, rng: rng.uniform(
                    -_width(fan_in, fan_out, gain), _width(fan_in, fan_out, gain), (fan_in, fan_out)
                )
            },
        ),
        Misconception(
            "gain_forgotten",
            "Your weights do not depend on the gain.",
            _drawing(lambda fan_in, fan_out, gain: _width(fan_in, fan_out, 1.0)),
        ),
        Misconception(
            "gain_under_the_root",
            "Your gain stands under the root. It multiplies the standard deviation, not the variance.",
            _drawing(lambda fan_in, fan_out, gain: float(np.sqrt(gain * 2 / (fan_in + fan_out)))),
        ),
        Misconception(
            "only_positive",
            "All your weights are positive. What would be the mean of a sum of such products?",
            {
                "xavier_init": lambda fan_in, fan_out, gain, rng: (
                    _width(fan_in, fan_out, gain) * rng.random((fan_in, fan_out))
                )
            },
        ),
        Misconception(
            "transposed",
            "Your weights have the shape (fan_out, fan_in). The affine layer multiplies x, of shape (N, fan_in), with "
            "them from the right.",
            {
                "xavier_init": lambda fan_in, fan_out, gain, rng: (
                    _width(fan_in, fan_out, gain) * rng.standard_normal((fan_out, fan_in))
                )
            },
        ),
        Misconception(
            "own_generator",
            "You make a generator of your own, so every layer gets the same numbers. Draw from the one you were given.",
            {
                "xavier_init": lambda fan_in, fan_out, gain, rng: xavier_init(
                    fan_in, fan_out, gain, np.random.default_rng(0)
                )
            },
        ),
        Misconception(
            "generator_copied",
            "The generator itself stays where it was: you draw from a copy, or from np.random. What does the next "
            "layer get from it?",
            {
                "xavier_init": lambda fan_in, fan_out, gain, rng: xavier_init(
                    fan_in, fan_out, gain, copy.deepcopy(rng)
                )
            },
        ),
        Misconception(
            "one_row_for_all",
            "You draw one row and use it for all inputs. How many different numbers can a unit then hear from them?",
            {
                "xavier_init": lambda fan_in, fan_out, gain, rng: np.tile(
                    _width(fan_in, fan_out, gain) * rng.standard_normal(fan_out), (fan_in, 1)
                )
            },
        ),
        Misconception(
            "one_column_for_all",
            "You draw one column and use it for all units. In what will two units of the layer ever differ?",
            {
                "xavier_init": lambda fan_in, fan_out, gain, rng: np.tile(
                    _width(fan_in, fan_out, gain) * rng.standard_normal((fan_in, 1)), (1, fan_out)
                )
            },
        ),
    ],
)


# -- measured


zeros = Exercise(
    name="zeros",
    title="Exact zeros, counted",
    points=2,
    grades=("zeros_float64", "zeros_float32"),
    reference={},
    visible=lambda rng: iter(
        [
            number(
                "zeros_float64",
                0.44,
                0.47,
                "zeros_float64 is {value}. It should be a share, from 0 to 1: which share of z * (1 - z) is == 0, for "
                "the x given above?",
            ),
            number(
                "zeros_float32",
                0.83,
                0.89,
                "zeros_float32 is {value}. It should be the same share for x.astype(np.float32). Which dtype has your "
                "z then?",
            ),
        ]
    ),
    labels={
        "zeros_float64": "the share of zero slopes in float64",
        "zeros_float32": "the share of zero slopes in float32",
    },
    pure=False,
)

gradient_flow = Exercise(
    name="gradient_flow",
    title="The gradient and the weights, measured",
    points=3,
    grades=("ratio_at_1", "saturated_at_1", "peak_gain"),
    reference={},
    visible=lambda rng: iter(
        [
            number(
                "ratio_at_1",
                5e-7,
                3e-5,
                "ratio_at_1 is {value}. Divide the first layer's gradient by the last one's: gain 1, depth 10.",
            ),
            number(
                "saturated_at_1",
                0.0,
                0.001,
                "saturated_at_1 is {value}. Which share of the outputs is it, at a gain of 1?",
            ),
            number(
                "peak_gain",
                20.0,
                400.0,
                "peak_gain is {value}. At another gain the first layer's gradient is larger. Do your gains reach far "
                "enough to both sides?",
            ),
        ]
    ),
    labels={
        "ratio_at_1": "gain 1: the gradient of the first layer over that of the last",
        "saturated_at_1": "gain 1: the share of saturated outputs",
        "peak_gain": "the gain at which the gradient of the first layer is largest",
    },
    pure=False,
)

remedy_02 = Exercise(
    name="remedy_02",
    title="A deep sigmoid network that learns",
    points=4,
    grades=("remedy",),
    reference={"remedy": {"gain": 4.0}},  # type: ignore[dict-item]
    visible=lambda rng: iter(
        [
            Case(
                "trained from 5 starting points",
                [
                    Fetch("remedy"),
                    Train(
                        "deep_sigmoid",
                        Ref("remedy"),
                        ("accuracy",),
                        tuple(range(5)),
                    ),
                ],
                {
                    "accuracy": Between(
                        0.8,
                        1.0,
                        "after training the accuracy is {value}; a network that learns reaches 0.8 and more, and "
                        "guessing gives 0.1",
                    )
                },
            )
        ]
    ),
    labels={"accuracy": "the network learns"},
    pure=False,
)

_CHOICES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
QUIZ = _CHOICES["quiz"]

quiz = choices(ASSIGNMENT, "quiz_02", QUIZ, 5)


# -- affine_sigmoid (stretch)


def _layer_arrays(rng: Rng, shape: tuple, units: int) -> tuple[Array, Array, Array]:
    features = int(np.prod(shape[1:]))
    return rng.normal(size=shape), rng.normal(size=(features, units)), rng.normal(size=units)


def _layer_forward_case(label: str, arrays: tuple, out: str = "out", float32: bool = False) -> Case:
    return Case(label, [Call("affine_sigmoid_forward", arrays, (out, "cache"))], float32=float32)


def _layer_backward_case(label: str, arrays: tuple, rng: Rng, float32: bool = False, far: str = "") -> Case:
    dout = rng.normal(size=(len(arrays[0]), arrays[1].shape[1]))
    return Case(
        label,
        [
            Call("affine_sigmoid_forward", arrays, ("out", "cache")),
            Call(
                "affine_sigmoid_backward",
                (dout, Ref("cache")),
                tuple(f"{n}{far}" for n in ("dx", "dw", "db")),
            ),
        ],
        float32=float32,
    )


def _scaled(arrays: tuple[Array, Array, Array], scale: float) -> tuple[Array, Array, Array]:
    return arrays[0], scale * arrays[1], arrays[2]


def _layer_forward_visible(rng: Rng) -> Cases:
    yield _layer_forward_case("x of shape (4, 3)", _layer_arrays(rng, (4, 3), 5))
    yield _layer_forward_case("x of shape (2, 2, 3)", _layer_arrays(rng, (2, 2, 3), 4))
    yield _layer_forward_case(
        "weights of size 1000", _scaled(_layer_arrays(rng, (6, 3), 3), 1000.0), "out_far"
    )


def _layer_forward_hidden(rng: Rng) -> Cases:
    yield _layer_forward_case("one example", _layer_arrays(rng, (1, 4), 2))
    yield _layer_forward_case("one unit", _layer_arrays(rng, (6, 5), 1))
    yield _layer_forward_case("four axes", _layer_arrays(rng, (3, 2, 3, 2), 4))
    yield _layer_forward_case("float32", _layer_arrays(rng, (4, 3, 2), 5), float32=True)


def _layer_backward_visible(rng: Rng) -> Cases:
    yield _layer_backward_case("x of shape (4, 3)", _layer_arrays(rng, (4, 3), 5), rng)
    yield _layer_backward_case("x of shape (3, 2, 3)", _layer_arrays(rng, (3, 2, 3), 4), rng)
    draw = functools.partial(_layer_arrays, rng, (3, 2), 4)
    yield from cache_cases("affine_sigmoid", draw, (3, 4), rng, ("dx", "dw", "db"))


def _layer_backward_hidden(rng: Rng) -> Cases:
    yield _layer_backward_case("one example", _layer_arrays(rng, (1, 4), 2), rng)
    yield _layer_backward_case("one unit", _layer_arrays(rng, (6, 5), 1), rng)
    yield _layer_backward_case("a square of weights", _layer_arrays(rng, (3, 3), 3), rng)
    yield _layer_backward_case("four axes", _layer_arrays(rng, (3, 2, 3, 2), 4), rng)
    yield _layer_backward_case("weights of size 30", _scaled(_layer_arrays(rng, (8, 4), 5), 30.0), rng)
    yield _layer_backward_case("float32", _layer_arrays(rng, (4, 3, 2), 5), rng, float32=True)


def _layer(f: Callable[[Array, Array, Array], Array]) -> dict[str, Callable]:
    def forward(x: Array, w: Array, b: Array) -> Any:
        with np.errstate(all="ignore"):
            return f(x, w, b), None

    return {"affine_sigmoid_forward": forward}


def _z(x: Array, w: Array, b: Array) -> Array:
    return affine_forward(x, w, b)[0]


affine_sigmoid_forward_exercise = Exercise(
    name="affine_sigmoid_forward",
    title="Affine and sigmoid in one, forward",
    points=1,
    grades=("affine_sigmoid_forward",),
    reference={"affine_sigmoid_forward": affine_sigmoid_forward},
    visible=_layer_forward_visible,
    hidden=_layer_forward_hidden,
    labels=_FORWARD_LABELS,
    stretch=True,
    misconceptions=[
        Misconception(
            "sigmoid_first",
            "You squash the input and then multiply. Which of the two comes first in a layer?",
            _layer(lambda x, w, b: _z(_sigmoid(x), w, b)),
        ),
        Misconception(
            "bias_after_the_sigmoid",
            "You add the bias to what the sigmoid gave: the output can leave (0, 1).",
            _layer(lambda x, w, b: _sigmoid(_z(x, w, 0 * b)) + b),
        ),
        Misconception(
            "bias_forgotten",
            "Your output is what one gets without the bias.",
            _layer(lambda x, w, b: _sigmoid(_z(x, w, 0 * b))),
        ),
        Misconception(
            "sigmoid_forgotten",
            "Your output is the pre-activation. The sigmoid is missing.",
            _layer(_z),
        ),
        Misconception(
            "infinity_over_infinity",
            "For large weights you divide infinity by infinity. You have a sigmoid that does not.",
            _layer(lambda x, w, b: np.exp(_z(x, w, b)) / (1 + np.exp(_z(x, w, b)))),
        ),
        Misconception(
            "not_flattened",
            "It works while x has two dimensions. An example may have any shape.",
            {"affine_sigmoid_forward": lambda x, w, b: (_sigmoid(x @ w + b), None)},
        ),
    ],
)


def _layer_backward(f: Callable[[Array, Array, Array, Array, Array], tuple]) -> dict[str, Callable]:
    """The layer with its backward pass replaced by `f`, which takes dout, the flat x, w, b and out."""

    def forward(x: Array, w: Array, b: Array) -> tuple:
        out = _sigmoid(_z(x, w, b))
        return out, (x, w, b, out)

    def backward(dout: Array, cache: tuple) -> tuple:
        x, w, b, out = cache
        dx, dw, db = f(dout, x.reshape(len(x), -1), w, b, out)
        return dx.reshape(x.shape), dw, db

    return {"affine_sigmoid_forward": forward, "affine_sigmoid_backward": backward}


def _from_dz(dz: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    return dz @ w.T, x.T @ dz, dz.sum(axis=0)


def _slope(out: Array) -> Array:
    return out * (1 - out)


affine_sigmoid_backward_exercise = Exercise(
    name="affine_sigmoid_backward",
    title="Affine and sigmoid in one, backward",
    points=3,
    grades=("affine_sigmoid_backward",),
    reference={
        "affine_sigmoid_forward": affine_sigmoid_forward,
        "affine_sigmoid_backward": affine_sigmoid_backward,
    },
    visible=_layer_backward_visible,
    hidden=_layer_backward_hidden,
    labels={
        "dx": "dx is the gradient with respect to x, and has its shape",
        "dw": "dw is the gradient with respect to w, and has its shape",
        "db": "db is the gradient with respect to b, and has its shape",
    },
    stretch=True,
    misconceptions=[
        Misconception(
            "sigmoid_skipped",
            "Your gradients go straight from dout into the affine layer. What stands between out and z?",
            _layer_backward(lambda dout, x, w, b, out: _from_dz(dout, x, w)),
        ),
        Misconception(
            "upstream_forgotten",
            "dout is not in your gradients: they are those of the sum of the outputs.",
            _layer_backward(lambda dout, x, w, b, out: _from_dz(_slope(out), x, w)),
        ),
        Misconception(
            "bias_past_the_sigmoid",
            "Your dx and dw go through the sigmoid and your db goes past it. The bias enters before the sigmoid.",
            _layer_backward(
                lambda dout, x, w, b, out: (*_from_dz(dout * _slope(out), x, w)[:2], dout.sum(axis=0))
            ),
        ),
        Misconception(
            "dx_past_the_sigmoid",
            "Your dw goes through the sigmoid and your dx goes past it. Which way is there from out to x?",
            _layer_backward(lambda dout, x, w, b, out: (dout @ w.T, *_from_dz(dout * _slope(out), x, w)[1:])),
        ),
        Misconception(
            "slope_at_z",
            "Your slope is written for the output, and you gave it the pre-activation.",
            _layer_backward(
                lambda dout, x, w, b, out: _from_dz(dout * (x @ w + b) * (1 - (x @ w + b)), x, w)
            ),
        ),
        Misconception(
            "local_gradients_alone",
            "You multiply slope and input as for one example with dout 1. In a batch each example brings its own dout.",
            _layer_backward(
                lambda dout, x, w, b, out: (
                    dout * _slope(out) @ w.T,
                    x.T @ _slope(out),
                    _slope(out).sum(axis=0),
                )
            ),
        ),
        Misconception(
            "averaged",
            "Your gradients are divided by the number of examples. Nothing in the forward pass divides by it.",
            _layer_backward(
                lambda dout, x, w, b, out: tuple(
                    g / max(len(x), 2) for g in _from_dz(dout * _slope(out), x, w)
                )
            ),
        ),
        Misconception(
            "wrong_sign",
            "Your gradients have the opposite sign.",
            _layer_backward(lambda dout, x, w, b, out: _from_dz(-dout * _slope(out), x, w)),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The caller still needs it: make a new array.",
            _layer_backward(lambda dout, x, w, b, out: _from_dz(_into_dout(dout, _slope(out)), x, w)),
        ),
        *cache_mistakes("affine_sigmoid", affine_sigmoid_forward, affine_sigmoid_backward),
    ],
)


EXERCISES = [
    sigmoid_forward_exercise,
    sigmoid_backward_exercise,
    tanh_forward_exercise,
    tanh_backward_exercise,
    saturated_fraction_exercise,
    zeros,
    xavier_init_exercise,
    gradient_flow,
    remedy_02,
    affine_sigmoid_forward_exercise,
    affine_sigmoid_backward_exercise,
    quiz,
]
