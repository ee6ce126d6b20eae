"""Assignment 03: dying ReLUs. References, cases, points and misconceptions."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.activity import count_dead_relus
from minigrad.layers import (
    elu_backward,
    elu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    prelu_backward,
    prelu_forward,
    relu_backward,
    relu_forward,
)

from ..answers import choices
from ..caches import cache_cases, cache_mistakes
from ..exercise import Between, Call, Case, Close, Exercise, Fetch, Misconception, Ref, Train

ASSIGNMENT = "03_dying_relu"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]


def _special(rng: Rng) -> Array:
    """Both zeros, the smallest of numbers, large ones, and a few usual ones."""
    return np.concatenate([[0.0, -0.0, 1e-300, -1e-300, 1000.0, -1000.0], rng.normal(size=3)])


def _both_sides(rng: Rng) -> Array:
    """As many numbers on the left of zero as on the right: on one side alone, some mistakes do not show."""
    return rng.permuted(np.resize([1.0, -1.0], (4, 3))) * rng.uniform(0.2, 2, (4, 3))


def _extreme_cases(function: str, *rest: Any, rng: Rng, out: str, size: float = 1e-30) -> Cases:
    """Zeros, tiny and huge numbers, each on their own: errors count beside the largest entry of a case."""
    zeros = np.concatenate([[0.0, -0.0], rng.normal(size=4)])
    for label, x in (
        ("zeros among usual numbers", zeros),
        (f"numbers of size {size:g}", size * rng.normal(size=6)),
        ("numbers of size 1e+30", 1e30 * rng.normal(size=6)),
    ):
        yield _forward_case(function, label, x[:, None], *rest, out=out)


def _forward_case(
    function: str, label: str, x: Array, *rest: Any, out: str = "out", float32: bool = False
) -> Case:
    return Case(label, [Call(function, (x, *rest), (out, "cache"))], float32=float32)


def _backward_case(
    pair: str, label: str, rng: Rng, x: Array, *rest: Any, out: tuple = ("dx",), float32: bool = False
) -> Case:
    forward = Call(f"{pair}_forward", (x, *rest), ("out", "cache"))
    backward = Call(f"{pair}_backward", (rng.normal(size=x.shape), Ref("cache")), out)
    return Case(label, [forward, backward], float32=float32)


def _pair(forward: str, function: Callable) -> dict[str, Callable]:
    """A wrong backward pass as a function of dout and of what forward was called with."""
    forwards: dict[str, Callable] = {
        "relu_forward": relu_forward,
        "leaky_relu_forward": leaky_relu_forward,
        "prelu_forward": prelu_forward,
        "elu_forward": elu_forward,
    }
    right = forwards[forward]

    def keeps_arguments(*args: Any) -> tuple:
        return right(*args)[0], tuple(np.copy(arg) for arg in args)

    def backward(dout: Array, cache: tuple) -> Any:
        return function(dout, *cache)

    return {forward: keeps_arguments, forward.replace("forward", "backward"): backward}


def _in_place(dout: Array, slope: Array) -> Array:
    dout *= slope
    return dout


# -- relu_forward


def _relu_forward_visible(rng: Rng) -> Cases:
    yield _forward_case("relu_forward", "x of shape (3, 4)", rng.normal(size=(3, 4)))
    yield from _extreme_cases("relu_forward", rng=rng, out="out_special")


def _relu_forward_hidden(rng: Rng) -> Cases:
    yield _forward_case("relu_forward", "four axes", 3 * rng.normal(size=(2, 3, 2, 2)))
    yield _forward_case("relu_forward", "a batch of one", rng.normal(size=(1, 7)))
    yield _forward_case("relu_forward", "all negative", -rng.uniform(1, 2, (4, 3)))
    yield from _extreme_cases("relu_forward", rng=rng, out="out_special")
    yield _forward_case("relu_forward", "float32", rng.normal(size=(20, 5)), float32=True)


def _writes_into_x(x: Array) -> tuple:
    x[x < 0] = 0
    return x, x


relu_forward_exercise = Exercise(
    name="relu_forward",
    title="ReLU, forward",
    points=2,
    grades=("relu_forward",),
    reference={"relu_forward": relu_forward},
    visible=_relu_forward_visible,
    hidden=_relu_forward_hidden,
    labels={
        "out": "what is positive stays, what is negative becomes 0",
        "out_special": "also at 0, very close to it and far from it",
    },
    misconceptions=[
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"relu_forward": _writes_into_x},
        ),
        Misconception(
            "absolute_value",
            "Negative numbers come out positive. What should a unit say that does not fire?",
            {"relu_forward": lambda x: (np.abs(x), x)},
        ),
        Misconception(
            "mask_returned",
            "You return whether each number is positive. The output is the number itself, where it is.",
            {"relu_forward": lambda x: ((x > 0).astype(float), x)},
        ),
        Misconception(
            "minimum",
            "You keep the negative numbers and lose the positive ones.",
            {"relu_forward": lambda x: (np.minimum(x, 0), x)},
        ),
        Misconception(
            "max_of_the_array",
            "np.max(x, 0) is the largest number along axis 0. Which function compares each number with 0?",
            {"relu_forward": lambda x: (np.max(x, 0), x)},
        ),
        Misconception(
            "leaks",
            "A hundredth of the negative numbers comes through. That is another activation, a little further down.",
            {"relu_forward": lambda x: (np.where(x > 0, x, 0.01 * x), x)},
        ),
        Misconception(
            "capped",
            "Your output stops at 1. On the right of zero nothing holds it back.",
            {"relu_forward": lambda x: (np.clip(x, 0, 1), x)},
        ),
        Misconception(
            "shifted",
            "You cut off at 1 and not at 0.",
            {"relu_forward": lambda x: (np.where(x > 1, x, 0.0), x)},
        ),
        Misconception(
            "fires_late",
            "Very small positive numbers come out as 0. From which number on does a unit fire?",
            {"relu_forward": lambda x: (np.where(x > 1e-8, x, 0.0), x)},
        ),
    ],
)


# -- relu_backward


def _relu_backward_visible(rng: Rng) -> Cases:
    yield _backward_case("relu", "x of shape (3, 4)", rng, rng.normal(size=(3, 4)))
    yield _backward_case(
        "relu", "one x is exactly 0", rng, np.array([[0.0, 1.5], [-2.0, 0.5]]), out=("dx_at_zero",)
    )
    yield from cache_cases("relu", lambda: (_both_sides(rng),), (4, 3), rng, ("dx",))


def _relu_backward_hidden(rng: Rng) -> Cases:
    yield _backward_case("relu", "four axes", rng, 3 * rng.normal(size=(2, 3, 2, 2)))
    yield _backward_case("relu", "a batch of one", rng, rng.normal(size=(1, 7)))
    yield _backward_case(
        "relu", "a unit that is negative for every example", rng, rng.normal(size=(5, 3)) - [0, 9, 0]
    )
    yield _backward_case("relu", "zeros, tiny and large numbers", rng, _special(rng), out=("dx_at_zero",))
    yield _backward_case("relu", "a large batch, float32", rng, rng.normal(size=(200, 5)), float32=True)


relu_backward_exercise = Exercise(
    name="relu_backward",
    title="ReLU, backward",
    points=4,
    grades=("relu_backward",),
    reference={"relu_forward": relu_forward, "relu_backward": relu_backward},
    visible=_relu_backward_visible,
    hidden=_relu_backward_hidden,
    labels={
        "dx": "dout passes where the unit fired, and nowhere else",
        "dx_at_zero": "at exactly 0 nothing passes",
    },
    misconceptions=[
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            _pair("relu_forward", lambda dout, x: _in_place(dout, x > 0)),
        ),
        Misconception(
            "mask_from_dout",
            "You look at the sign of dout. Whether a unit fired was decided in the forward pass, by x.",
            _pair("relu_forward", lambda dout, x: dout * (dout > 0)),
        ),
        Misconception(
            "passes_at_zero",
            "At x = 0 you let the gradient pass. Any slope from 0 to 1 would do there; which one did we agree on?",
            _pair("relu_forward", lambda dout, x: dout * (x >= 0)),
        ),
        Misconception(
            "mask_only",
            "You return the local slope. What arrives from above is not in it.",
            _pair("relu_forward", lambda dout, x: (x > 0).astype(float)),
        ),
        Misconception(
            "times_output",
            "You multiply by the output. When x grows by a little, by how much does the output grow, and does that "
            "depend on how large it is?",
            _pair("relu_forward", lambda dout, x: dout * np.maximum(x, 0)),
        ),
        Misconception(
            "wrong_side",
            "The gradient passes where the unit was silent, and stops where it fired.",
            _pair("relu_forward", lambda dout, x: dout * (x < 0)),
        ),
        Misconception(
            "everything_passes",
            "You hand on dout as it is. The output of a silent unit does not move with x: what is its gradient?",
            _pair("relu_forward", lambda dout, x: dout.copy()),
        ),
        Misconception(
            "sign",
            "On the left of zero you return the opposite of dout. Which slope does a ReLU have there?",
            _pair("relu_forward", lambda dout, x: dout * np.sign(x)),
        ),
        Misconception(
            "unit_not_example",
            "You decide for a unit as a whole, whether it fired for any example. The slope belongs to one number, of "
            "one example.",
            _pair("relu_forward", lambda dout, x: dout * (x > 0).any(axis=0)),
        ),
        Misconception(
            "averaged",
            "You divide by the number of examples. Nothing in the forward pass does; if the loss does, dout has that "
            "factor already.",
            _pair("relu_forward", lambda dout, x: dout * (x > 0) / len(x)),
        ),
        *cache_mistakes("relu", relu_forward, relu_backward),
    ],
)


# -- leaky_relu


def _leaky_forward_visible(rng: Rng) -> Cases:
    yield _forward_case("leaky_relu_forward", "alpha = 0.1", rng.normal(size=(3, 4)), 0.1)
    yield _forward_case("leaky_relu_forward", "alpha left out", rng.normal(size=(2, 5)), out="out_default")


def _leaky_forward_hidden(rng: Rng) -> Cases:
    yield _forward_case("leaky_relu_forward", "alpha = 0.3, four axes", rng.normal(size=(2, 3, 2, 2)), 0.3)
    yield _forward_case("leaky_relu_forward", "alpha = 0", rng.normal(size=(4, 3)), 0.0)
    yield _forward_case("leaky_relu_forward", "alpha = 0.2, a batch of one", rng.normal(size=(1, 6)), 0.2)
    yield from _extreme_cases("leaky_relu_forward", rng=rng, out="out_default")
    yield _forward_case("leaky_relu_forward", "float32", rng.normal(size=(20, 5)), 0.1, float32=True)


def _leaky_into_x(x: Array, alpha: float = 0.01) -> tuple:
    x[x < 0] *= alpha
    return x, x


leaky_relu_forward_exercise = Exercise(
    name="leaky_relu_forward",
    title="Leaky ReLU, forward",
    points=2,
    grades=("leaky_relu_forward",),
    reference={"leaky_relu_forward": leaky_relu_forward},
    visible=_leaky_forward_visible,
    hidden=_leaky_forward_hidden,
    labels={
        "out": "negative numbers are scaled by alpha",
        "out_default": "alpha is 0.01 where nothing is said",
    },
    misconceptions=[
        Misconception(
            "alpha_ignored",
            "You scale by 0.01 whatever alpha is.",
            {"leaky_relu_forward": lambda x, alpha=0.01: (np.where(x > 0, x, 0.01 * x), x)},
        ),
        Misconception(
            "no_leak",
            "Nothing comes through on the left of zero. Where does alpha enter?",
            {"leaky_relu_forward": lambda x, alpha=0.01: (np.maximum(x, 0), x)},
        ),
        Misconception(
            "leak_on_both_sides",
            "You add the leak everywhere. Look at a positive number: what is its slope now?",
            {"leaky_relu_forward": lambda x, alpha=0.01: (np.maximum(x, 0) + alpha * x, x)},
        ),
        Misconception(
            "wrong_side",
            "You scale the positive numbers and leave the negative ones.",
            {"leaky_relu_forward": lambda x, alpha=0.01: (np.where(x > 0, alpha * x, x), x)},
        ),
        Misconception(
            "alpha_as_value",
            "On the left of zero your output is alpha itself, the same for every x. alpha is a slope.",
            {"leaky_relu_forward": lambda x, alpha=0.01: (np.where(x > 0, x, alpha), x)},
        ),
        Misconception(
            "folded_up",
            "On the left of zero your output is positive. The line goes on through the origin, only less steep.",
            {"leaky_relu_forward": lambda x, alpha=0.01: (np.where(x > 0, x, -alpha * x), x)},
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"leaky_relu_forward": _leaky_into_x},
        ),
    ],
)


def _leaky_backward_visible(rng: Rng) -> Cases:
    yield _backward_case("leaky_relu", "alpha = 0.1", rng, rng.normal(size=(3, 4)), 0.1)
    yield _backward_case(
        "leaky_relu", "one x is exactly 0", rng, np.array([[0.0, 1.5], [-2.0, 0.5]]), 0.2, out=("dx_at_zero",)
    )
    yield from cache_cases(
        "leaky_relu", lambda: (_both_sides(rng), float(rng.uniform(0.1, 0.5))), (4, 3), rng, ("dx",)
    )


def _leaky_backward_hidden(rng: Rng) -> Cases:
    yield _backward_case("leaky_relu", "alpha = 0.3, four axes", rng, rng.normal(size=(2, 3, 2, 2)), 0.3)
    yield _backward_case("leaky_relu", "alpha = 0", rng, rng.normal(size=(4, 3)), 0.0)
    yield _backward_case("leaky_relu", "alpha left out, a batch of one", rng, rng.normal(size=(1, 6)))
    yield _backward_case("leaky_relu", "all negative", rng, -rng.uniform(1, 2, (3, 3)), 0.1)
    yield _backward_case(
        "leaky_relu", "zeros, tiny and large numbers", rng, _special(rng), 0.1, out=("dx_at_zero",)
    )
    yield _backward_case(
        "leaky_relu", "a large batch, float32", rng, rng.normal(size=(200, 5)), 0.1, float32=True
    )


def _leaky(function: Callable) -> dict[str, Callable]:
    """As `_pair`; alpha may be left out."""
    return _pair("leaky_relu_forward", lambda dout, x, alpha=0.01: function(dout, x, alpha))


leaky_relu_backward_exercise = Exercise(
    name="leaky_relu_backward",
    title="Leaky ReLU, backward",
    points=3,
    grades=("leaky_relu_backward",),
    reference={"leaky_relu_forward": leaky_relu_forward, "leaky_relu_backward": leaky_relu_backward},
    visible=_leaky_backward_visible,
    hidden=_leaky_backward_hidden,
    labels={
        "dx": "all of dout on the right of zero, alpha times as much on the left",
        "dx_at_zero": "at exactly 0 the slope is alpha",
    },
    misconceptions=[
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            _leaky(lambda dout, x, alpha: _in_place(dout, np.where(x > 0, 1.0, alpha))),
        ),
        Misconception(
            "alpha_ignored",
            "You scale by 0.01 whatever alpha was. Backward does not get alpha as an argument: how can it know?",
            _leaky(lambda dout, x, alpha: dout * np.where(x > 0, 1.0, 0.01)),
        ),
        Misconception(
            "no_leak",
            "Nothing passes on the left of zero: that is the backward pass of a ReLU.",
            _leaky(lambda dout, x, alpha: dout * (x > 0)),
        ),
        Misconception(
            "full_slope_at_zero",
            "At x = 0 you take the slope of the right side. Which one did we agree on?",
            _leaky(lambda dout, x, alpha: dout * np.where(x >= 0, 1.0, alpha)),
        ),
        Misconception(
            "mask_from_dout",
            "You look at the sign of dout. On which side of zero a number lies was decided in the forward pass, by x.",
            _leaky(lambda dout, x, alpha: dout * np.where(dout > 0, 1.0, alpha)),
        ),
        Misconception(
            "slope_only",
            "You return the local slope. What arrives from above is not in it.",
            _leaky(lambda dout, x, alpha: np.where(x > 0, 1.0, alpha)),
        ),
        Misconception(
            "leak_on_both_sides",
            "On the right of zero your slope is 1 + alpha. Does the leak count there?",
            _leaky(lambda dout, x, alpha: dout * ((x > 0) + alpha)),
        ),
        Misconception(
            "wrong_side",
            "The full gradient passes on the left of zero, and alpha times as much on the right.",
            _leaky(lambda dout, x, alpha: dout * np.where(x > 0, alpha, 1.0)),
        ),
        Misconception(
            "times_x",
            "On the left of zero you multiply by alpha * x, which is the output. What is the slope there?",
            _leaky(lambda dout, x, alpha: dout * np.where(x > 0, 1.0, alpha * x)),
        ),
        *cache_mistakes("leaky_relu", leaky_relu_forward, leaky_relu_backward),
    ],
)


# -- count_dead_relus


def _fired(rng: Rng, shape: tuple, dead: tuple[int, ...]) -> Array:
    """Outputs of a ReLU layer in which exactly these units (flat positions) are zero for every example."""
    out = np.maximum(rng.normal(size=shape), 0.0)
    units = out.reshape(shape[0], -1)
    units[rng.integers(shape[0], size=units.shape[1]), np.arange(units.shape[1])] = rng.uniform(
        0.5, 1, units.shape[1]
    )
    units[:, list(dead)] = 0.0
    return out


def _count_case(label: str, **layers: Array) -> Case:
    call = Call("count_dead_relus", (layers,), ("dead",))
    return Case(
        label, [call], {f"dead.{name}": Close(count) for name, count in count_dead_relus(layers).items()}
    )


def _count_visible(rng: Rng) -> Cases:
    yield _count_case("8 examples", h1=_fired(rng, (8, 6), (1, 4)), h2=_fired(rng, (8, 5), (0, 1, 3)))
    barely = _fired(rng, (8, 5), (2,))
    barely[:, 3] = 0.0
    barely[6, 3] = 1e-9
    yield _count_case("a unit that fires once, at 1e-9", h_barely=barely)


def _count_hidden(rng: Rng) -> Cases:
    yield _count_case(
        "a layer in which all are alive", h1=_fired(rng, (9, 4), ()), h2=_fired(rng, (9, 7), (5,))
    )
    yield _count_case("a layer in which all are dead", h1=_fired(rng, (6, 3), (0, 1, 2)))
    yield _count_case("one example", h1=_fired(rng, (1, 6), (0, 5)))
    yield _count_case("three axes after the first", h1=_fired(rng, (5, 2, 3, 2), (0, 4, 7, 11)))
    barely = _fired(rng, (300, 4), (0,))
    barely[1:, 2] = 0.0
    barely[0, 2] = 1e-150  # its square is still a number
    yield _count_case("300 examples", h_barely=barely)


def _counting(count: Callable) -> dict[str, Callable]:
    return {"count_dead_relus": lambda activations: {name: count(out) for name, out in activations.items()}}


def _grand_total(activations: dict) -> dict:
    counts = count_dead_relus(activations)
    return dict.fromkeys(counts, sum(counts.values()))


count_exercise = Exercise(
    name="count_dead_relus",
    title="Dead units of each layer",
    points=4,
    grades=("count_dead_relus",),
    reference={"count_dead_relus": count_dead_relus},
    visible=_count_visible,
    hidden=_count_hidden,
    labels={
        "dead.h1": "a unit counts that is zero for every example",
        "dead.h2": "each layer has its own count",
        "dead.h_barely": "a unit that fires once is alive, however little",
    },
    misconceptions=[
        Misconception(
            "zeros_counted",
            "You count zeros, not units. Half of the outputs of a healthy layer are zero: when is the unit dead?",
            _counting(lambda out: int(np.sum(out == 0))),
        ),
        Misconception(
            "silent_once",
            "You count units that are zero for some example. Every ReLU is, now and then.",
            _counting(lambda out: int(np.sum(np.any(out == 0, axis=0)))),
        ),
        Misconception(
            "wrong_axis",
            "You look for examples that make no unit fire. Along which axis do the examples of one unit lie?",
            _counting(lambda out: int(np.sum(~np.any(out.reshape(len(out), -1) != 0, axis=1)))),
        ),
        Misconception(
            "alive_counted",
            "You count the units that are alive.",
            _counting(lambda out: int(np.sum(np.any(out != 0, axis=0)))),
        ),
        Misconception(
            "share_not_count",
            "You return a share. How many are they?",
            _counting(lambda out: float(np.mean(~np.any(out != 0, axis=0)))),
        ),
        Misconception(
            "nearly_dead",
            "You also count units whose output is very small on average. A unit that fires once gets a gradient, and "
            "can move.",
            _counting(lambda out: int(np.sum(np.mean(out, axis=0) < 1e-6))),
        ),
        Misconception(
            "first_example",
            "You look at the first example alone. What says that the unit is silent for the others?",
            _counting(lambda out: int(np.sum(out[0] == 0))),
        ),
        Misconception(
            "one_sum",
            "Your layers all have the same count, that of all of them together.",
            {"count_dead_relus": _grand_total},
        ),
        Misconception(
            "layer_as_a_whole",
            "You ask whether a whole layer is silent. Ask each of its units.",
            _counting(lambda out: int(not np.any(out))),
        ),
    ],
)


# -- measured shares


measured_shares = Exercise(
    name="measured_shares",
    title="Two causes, measured",
    points=3,
    grades=("dead_at_start", "dead_after_step", "killing_rate"),
    reference={},
    visible=lambda rng: iter(
        [
            Case(
                "network 1",
                [Fetch("dead_at_start")],
                {
                    "dead_at_start": Between(
                        0.145,
                        0.175,
                        "dead_at_start is {value}. It is the share, from 0 to 1, of the 100 units that "
                        "are dead before any step of network 1",
                    )
                },
            ),
            Case(
                "network 1",
                [Fetch("dead_after_step")],
                {
                    "dead_after_step": Between(
                        0.415,
                        0.445,
                        "dead_after_step is {value}. It is the share of all 100 units that are dead "
                        "after one step at rate 4, those counted that were dead before",
                    )
                },
            ),
            Case(
                "network 1",
                [Fetch("killing_rate")],
                {
                    "killing_rate": Between(
                        0.13,
                        0.155,
                        "killing_rate is {value}. It should lie where the count first rises above what it was "
                        "before the step: how many are dead after a step at your rate, and at 0.9 of it?",
                    )
                },
            ),
        ]
    ),
    labels={
        "dead_at_start": "the share that was dead at the start",
        "dead_after_step": "the share that is dead after one step at rate 4",
        "killing_rate": "the smallest rate at which a step kills a unit",
    },
    pure=False,
)


# -- remedy


remedy = Exercise(
    name="remedy_03",
    title="A network that keeps its units",
    points=4,
    grades=("remedy",),
    reference={"remedy": {"inputs": "centred", "bias": 0.0, "first_rate": 0.1}},
    visible=lambda rng: iter(
        [
            Case(
                "trained from 10 starting points",
                [
                    Fetch("remedy"),
                    Train(
                        "dying_relu",
                        Ref("remedy"),
                        ("silent", "accuracy"),
                        tuple(range(10)),
                    ),
                ],
                {
                    "silent": Between(
                        0.0,
                        0.05,
                        "after training, a share of {value} of the hidden units is on the left of zero for every "
                        "digit; at most 0.05 may be",
                    ),
                    "accuracy": Between(
                        0.96,
                        1.0,
                        "after training, accuracy is {value}; a network of 100 units that takes part as a whole "
                        "reaches 0.96 and more in 150 steps",
                    ),
                },
            )
        ]
    ),
    labels={
        "silent": "at most one unit in twenty is silent",
        "accuracy": "and the network has learned",
    },
    pure=False,
    together=True,
)


# -- quiz


QUIZ = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["quiz"]

quiz = choices(ASSIGNMENT, "quiz_03", QUIZ, 4)


# -- prelu (stretch)


def _prelu_arrays(rng: Rng, shape: tuple[int, int]) -> tuple[Array, Array]:
    return rng.normal(size=shape), rng.uniform(0.05, 0.5, shape[1])


def _prelu_any_slope(rng: Rng) -> tuple[Array, Array]:
    """Slopes that gradient descent may find: below zero, zero, and steeper than the right side."""
    signs = np.resize([1.0, -1.0], (6, 1)) * [1.0, -1.0, 1.0]  # both sides of zero for each unit
    return signs * rng.uniform(0.2, 2, (6, 3)), np.array([-0.3, 0.0, 1.5])


def _prelu_forward_visible(rng: Rng) -> Cases:
    yield _forward_case("prelu_forward", "x of shape (4, 4)", *_prelu_arrays(rng, (4, 4)))
    yield _forward_case("prelu_forward", "x of shape (3, 5)", *_prelu_arrays(rng, (3, 5)))


def _prelu_forward_hidden(rng: Rng) -> Cases:
    yield _forward_case("prelu_forward", "a batch of one", *_prelu_arrays(rng, (1, 6)))
    yield _forward_case("prelu_forward", "one unit", *_prelu_arrays(rng, (6, 1)))
    yield _forward_case("prelu_forward", "alpha = [-0.3, 0, 1.5]", *_prelu_any_slope(rng))
    yield from _extreme_cases("prelu_forward", np.array([0.3]), rng=rng, out="out")
    yield _forward_case("prelu_forward", "float32", *_prelu_arrays(rng, (30, 4)), float32=True)


def _prelu_into_x(x: Array, alpha: Array) -> tuple:
    x[:] = np.where(x > 0, x, alpha * x)
    return x, (x, alpha)


prelu_forward_exercise = Exercise(
    name="prelu_forward",
    title="PReLU, forward",
    points=1,
    grades=("prelu_forward",),
    reference={"prelu_forward": prelu_forward},
    visible=_prelu_forward_visible,
    hidden=_prelu_forward_hidden,
    labels={"out": "negative numbers are scaled by the slope of their unit"},
    misconceptions=[
        Misconception(
            "slope_of_the_example",
            "You use a slope for each row. A slope belongs to a unit: along which axis do the units lie?",
            {"prelu_forward": lambda x, alpha: (np.where(x > 0, x, alpha[:, None] * x), (x, alpha))},
        ),
        Misconception(
            "one_slope",
            "All units use the same slope. There is one in alpha for each of them.",
            {"prelu_forward": lambda x, alpha: (np.where(x > 0, x, alpha[0] * x), (x, alpha))},
        ),
        Misconception(
            "wrong_side",
            "You scale the positive numbers and leave the negative ones.",
            {"prelu_forward": lambda x, alpha: (np.where(x > 0, alpha * x, x), (x, alpha))},
        ),
        Misconception(
            "leak_on_both_sides",
            "You add the leak everywhere. Look at a positive number: what is its slope now?",
            {"prelu_forward": lambda x, alpha: (np.maximum(x, 0) + alpha * x, (x, alpha))},
        ),
        Misconception(
            "no_leak",
            "Nothing comes through on the left of zero. Where does alpha enter?",
            {"prelu_forward": lambda x, alpha: (np.maximum(x, 0), (x, alpha))},
        ),
        Misconception(
            "larger_of_two",
            "You take the larger of x and alpha * x. alpha is learned and may become any number: what does that give "
            "for alpha = 1.5?",
            {"prelu_forward": lambda x, alpha: (np.maximum(x, alpha * x), (x, alpha))},
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"prelu_forward": _prelu_into_x},
        ),
    ],
    stretch=True,
)


def _prelu_backward_visible(rng: Rng) -> Cases:
    yield _backward_case("prelu", "x of shape (4, 4)", rng, *_prelu_arrays(rng, (4, 4)), out=("dx", "dalpha"))
    yield _backward_case("prelu", "x of shape (3, 5)", rng, *_prelu_arrays(rng, (3, 5)), out=("dx", "dalpha"))
    yield from cache_cases(
        "prelu", lambda: (_both_sides(rng), rng.uniform(0.05, 0.5, 3)), (4, 3), rng, ("dx", "dalpha")
    )


def _prelu_backward_hidden(rng: Rng) -> Cases:
    outs = ("dx", "dalpha")
    yield _backward_case("prelu", "alpha = [-0.3, 0, 1.5]", rng, *_prelu_any_slope(rng), out=outs)
    yield _backward_case("prelu", "a batch of one", rng, *_prelu_arrays(rng, (1, 6)), out=outs)
    yield _backward_case("prelu", "one unit", rng, *_prelu_arrays(rng, (6, 1)), out=outs)
    yield _backward_case(
        "prelu",
        "a unit that never fires",
        rng,
        rng.normal(size=(5, 3)) - [0, 9, 0],
        np.full(3, 0.2),
        out=outs,
    )
    yield _backward_case(
        "prelu",
        "an x that is exactly 0",
        rng,
        np.array([[0.0, 1.0], [-1.0, -0.0]]),
        np.array([0.1, 0.4]),
        out=outs,
    )
    yield _backward_case("prelu", "float32", rng, *_prelu_arrays(rng, (30, 4)), out=outs, float32=True)


def _prelu(dx: Callable | None = None, dalpha: Callable | None = None) -> dict[str, Callable]:
    """The backward pass with one gradient replaced; each takes dout, x, alpha."""

    def function(dout: Array, x: Array, alpha: Array) -> tuple:
        slopes = (dout * np.minimum(x, 0)).sum(axis=0) if dalpha is None else dalpha(dout, x, alpha)
        return dout * np.where(x > 0, 1.0, alpha) if dx is None else dx(dout, x, alpha), slopes

    return _pair("prelu_forward", function)


prelu_backward_exercise = Exercise(
    name="prelu_backward",
    title="PReLU, backward",
    points=3,
    grades=("prelu_backward",),
    reference={"prelu_forward": prelu_forward, "prelu_backward": prelu_backward},
    visible=_prelu_backward_visible,
    hidden=_prelu_backward_hidden,
    labels={
        "dx": "dx is that of a leaky ReLU, with the slope of each unit",
        "dalpha": "dalpha has an entry for each unit, and hears from all that alpha touched",
    },
    misconceptions=[
        Misconception(
            "dalpha_not_summed",
            "Your dalpha has a row for each example. All examples share one slope: what does that mean for its "
            "gradient?",
            _prelu(dalpha=lambda dout, x, alpha: dout * np.minimum(x, 0)),
        ),
        Misconception(
            "dalpha_averaged",
            "Your dalpha is the mean over the examples. Nothing in the forward pass divides by their number.",
            _prelu(dalpha=lambda dout, x, alpha: (dout * np.minimum(x, 0)).mean(axis=0)),
        ),
        Misconception(
            "dalpha_one_number",
            "Your dalpha adds up over units too. Each of them has a slope of its own.",
            _prelu(dalpha=lambda dout, x, alpha: (dout * np.minimum(x, 0)).sum()),
        ),
        Misconception(
            "dalpha_everywhere",
            "Your dalpha hears from all numbers. In which of them does alpha occur?",
            _prelu(dalpha=lambda dout, x, alpha: (dout * x).sum(axis=0)),
        ),
        Misconception(
            "dalpha_from_the_right",
            "Your dalpha hears from the numbers on the right of zero. Where does alpha occur?",
            _prelu(dalpha=lambda dout, x, alpha: (dout * np.maximum(x, 0)).sum(axis=0)),
        ),
        Misconception(
            "dalpha_of_the_output",
            "Your dalpha has one alpha too many: the output is alpha * x there. How fast does it change with alpha?",
            _prelu(dalpha=lambda dout, x, alpha: (dout * alpha * np.minimum(x, 0)).sum(axis=0)),
        ),
        Misconception(
            "dalpha_without_x",
            "Your dalpha adds up dout. By how much does alpha * x change when alpha changes?",
            _prelu(dalpha=lambda dout, x, alpha: (dout * (x <= 0)).sum(axis=0)),
        ),
        Misconception(
            "dalpha_without_dout",
            "dout is not in your dalpha.",
            _prelu(dalpha=lambda dout, x, alpha: np.minimum(x, 0).sum(axis=0)),
        ),
        Misconception(
            "dx_without_leak",
            "Your dx is that of a ReLU: nothing passes on the left of zero.",
            _prelu(dx=lambda dout, x, alpha: dout * (x > 0)),
        ),
        Misconception(
            "side_from_the_output",
            "You look at the sign of the output. alpha is learned and may become negative: which sign has the output "
            "on the left then?",
            _prelu(dx=lambda dout, x, alpha: dout * np.where(np.where(x > 0, x, alpha * x) > 0, 1.0, alpha)),
        ),
        Misconception(
            "divided_by_alpha",
            "You find x again by dividing the output by alpha. alpha is learned and may become 0.",
            _prelu(dalpha=lambda dout, x, alpha: (dout * np.minimum(x, 0) * alpha / alpha).sum(axis=0)),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            _prelu(dx=lambda dout, x, alpha: _in_place(dout, np.where(x > 0, 1.0, alpha))),
        ),
        *cache_mistakes("prelu", prelu_forward, prelu_backward),
    ],
    stretch=True,
)


# -- elu (stretch)


def _left(rng: Rng) -> Array:
    """The left side, where the output is flat and where it is not: errors count beside the largest entry."""
    return np.concatenate([[-1000.0, -0.0], rng.uniform(-1000, 0, 3), rng.uniform(-40, 0, 6)])


def _elu_forward_visible(rng: Rng) -> Cases:
    yield _forward_case("elu_forward", "alpha = 0.7", 2 * rng.normal(size=(3, 4)), 0.7)
    yield _forward_case("elu_forward", "x = 1000 and other numbers", _special(rng), out="out_far")
    yield _forward_case("elu_forward", "x from -1000 to 0", _left(rng), out="out_far")


def _elu_forward_hidden(rng: Rng) -> Cases:
    yield _forward_case("elu_forward", "alpha = 1.5, four axes", rng.normal(size=(2, 3, 2, 2)), 1.5)
    yield _forward_case("elu_forward", "a batch of one", rng.normal(size=(1, 6)), 0.4)
    yield _forward_case("elu_forward", "all negative", -rng.uniform(0, 9, (4, 3)), 2.0)
    yield _forward_case("elu_forward", "x from -1000 to 0, a column", _left(rng)[:, None], 0.6, out="out_far")
    # exp(x) - 1 loses the digits of x below about 1e-9, and is what the notebook writes.
    yield from _extreme_cases("elu_forward", 0.6, rng=rng, out="out_far", size=1e-6)
    yield _forward_case("elu_forward", "float32", rng.normal(size=(20, 5)), 0.7, float32=True)


def _elu_into_x(x: Array, alpha: float = 1.0) -> tuple:
    x[x < 0] = alpha * np.expm1(x[x < 0])
    return x, (x, alpha)


def _elu_out(left: Callable) -> dict[str, Callable]:
    """An ELU with another formula on the left of zero."""
    return {
        "elu_forward": lambda x, alpha=1.0: (np.where(x > 0, x, left(np.minimum(x, 0), alpha)), (x, alpha))
    }


elu_forward_exercise = Exercise(
    name="elu_forward",
    title="ELU, forward",
    points=1,
    grades=("elu_forward",),
    reference={"elu_forward": elu_forward},
    visible=_elu_forward_visible,
    hidden=_elu_forward_hidden,
    labels={
        "out": "x on the right of zero, alpha * (exp(x) - 1) on the left",
        "out_far": "a number for every x",
    },
    misconceptions=[
        Misconception(
            "alpha_ignored",
            "Your left side ends at -1 whatever alpha is.",
            _elu_out(lambda x, alpha: np.expm1(x)),
        ),
        Misconception(
            "without_minus_one",
            "Your output jumps at 0. What is exp(0), and what should come out there?",
            _elu_out(lambda x, alpha: alpha * np.exp(x)),
        ),
        Misconception(
            "alpha_subtracted",
            "alpha multiplies all of exp(x) - 1. In yours it takes the place of the 1.",
            _elu_out(lambda x, alpha: np.exp(x) - alpha),
        ),
        Misconception(
            "wrong_sign",
            "On the left of zero your output is positive.",
            _elu_out(lambda x, alpha: alpha * (1 - np.exp(x))),
        ),
        Misconception(
            "zero_times_infinity",
            "You compute both sides and switch one off by multiplying with 0. What is exp(1000), and what is 0 times "
            "that?",
            {
                "elu_forward": lambda x, alpha=1.0: (
                    (x > 0) * x + (x <= 0) * alpha * (np.exp(x) - 1),
                    (x, alpha),
                )
            },
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"elu_forward": _elu_into_x},
        ),
    ],
    stretch=True,
)


def _elu_backward_visible(rng: Rng) -> Cases:
    yield _backward_case("elu", "alpha = 0.7", rng, 2 * rng.normal(size=(3, 4)), 0.7)
    yield _backward_case("elu", "x from -1000 to 1000", rng, _special(rng)[2:], out=("dx_far",))
    yield from cache_cases(
        "elu", lambda: (_both_sides(rng), float(rng.uniform(0.5, 2))), (4, 3), rng, ("dx",)
    )


def _elu_backward_hidden(rng: Rng) -> Cases:
    yield _backward_case("elu", "alpha = 1.5, four axes", rng, rng.normal(size=(2, 3, 2, 2)), 1.5)
    yield _backward_case("elu", "a batch of one", rng, rng.normal(size=(1, 6)), 0.4)
    yield _backward_case("elu", "all negative", rng, -rng.uniform(0, 9, (4, 3)), 2.0)
    yield _backward_case("elu", "float32", rng, rng.normal(size=(20, 5)), 0.7, float32=True)


def _elu(function: Callable) -> dict[str, Callable]:
    """As `_pair`; alpha may be left out."""
    return _pair("elu_forward", lambda dout, x, alpha=1.0: function(dout, x, alpha))


def _slope(x: Array, left: Array) -> Array:
    return np.where(x > 0, 1.0, left)


def _exp(x: Array) -> Array:
    return np.exp(np.minimum(x, 0))


elu_backward_exercise = Exercise(
    name="elu_backward",
    title="ELU, backward",
    points=2,
    grades=("elu_backward",),
    reference={"elu_forward": elu_forward, "elu_backward": elu_backward},
    visible=_elu_backward_visible,
    hidden=_elu_backward_hidden,
    labels={
        "dx": "the slope is 1 on the right of zero, and fades to 0 on the left",
        "dx_far": "a number for every x",
    },
    misconceptions=[
        Misconception(
            "times_output",
            "On the left of zero you multiply by the output, which is negative. Is the function falling there?",
            _elu(lambda dout, x, alpha: dout * _slope(x, alpha * (_exp(x) - 1))),
        ),
        Misconception(
            "alpha_ignored",
            "On the left of zero alpha is missing from your slope.",
            _elu(lambda dout, x, alpha: dout * _slope(x, _exp(x))),
        ),
        Misconception(
            "slope_is_alpha",
            "On the left of zero your slope is alpha everywhere: that is a leaky ReLU.",
            _elu(lambda dout, x, alpha: dout * _slope(x, alpha + 0 * x)),
        ),
        Misconception(
            "no_leak",
            "Nothing passes on the left of zero: that is the backward pass of a ReLU.",
            _elu(lambda dout, x, alpha: dout * (x > 0)),
        ),
        Misconception(
            "exponential_everywhere",
            "You use alpha * exp(x) on both sides. What is the slope of x itself, on the right of zero?",
            _elu(lambda dout, x, alpha: dout * alpha * np.exp(x)),
        ),
        Misconception(
            "slope_only",
            "You return the local slope. What arrives from above is not in it.",
            _elu(lambda dout, x, alpha: _slope(x, alpha * _exp(x))),
        ),
        Misconception(
            "mask_from_dout",
            "You look at the sign of dout. On which side of zero a number lies was decided by x.",
            _elu(lambda dout, x, alpha: dout * _slope(dout, alpha * _exp(x))),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            _elu(lambda dout, x, alpha: _in_place(dout, _slope(x, alpha * _exp(x)))),
        ),
        *cache_mistakes("elu", elu_forward, elu_backward),
    ],
    stretch=True,
)


EXERCISES = [
    relu_forward_exercise,
    relu_backward_exercise,
    count_exercise,
    leaky_relu_forward_exercise,
    leaky_relu_backward_exercise,
    measured_shares,
    remedy,
    quiz,
    prelu_forward_exercise,
    prelu_backward_exercise,
    elu_forward_exercise,
    elu_backward_exercise,
]
