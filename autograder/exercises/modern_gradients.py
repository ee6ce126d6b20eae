"""Assignment 09: the same failures today. References, cases, points and misconceptions."""

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.anomaly import first_nonfinite
from minigrad.layers import (
    affine_backward,
    affine_forward,
    ffn_block_backward,
    ffn_block_forward,
    gelu_backward,
    gelu_forward,
    gelu_tanh_backward,
    gelu_tanh_forward,
    layernorm_backward,
    layernorm_forward,
    relu_backward,
    relu_forward,
    silu_backward,
    silu_forward,
)
from minigrad.loss_scaling import scale_gradient, unscale_gradients, update_scale

from ..answers import choices
from ..caches import cache_cases, cache_mistakes
from ..exercise import (
    Between,
    Call,
    Case,
    Close,
    Exactly,
    Exercise,
    Expectation,
    Fetch,
    Misconception,
    Ref,
    Train,
)

ASSIGNMENT = "09_modern_gradients"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]

ERF = np.vectorize(math.erf, otypes=[float])


def _cdf(x: Array) -> Array:
    return 0.5 * (1 + ERF(x / np.sqrt(2)))


def _density(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _wide(rng: Rng) -> Array:
    """Both zeros, tiny numbers, numbers far out, and a few on either side of zero."""
    return np.concatenate(
        [[0.0, -0.0, 1e-300, -1e-300, 1000.0, -1000.0], rng.normal(size=4), [-9.0, -4.0, -1.5, 1.5, 4.0, 9.0]]
    )


def _both_sides(rng: Rng) -> Array:
    """As many numbers on the left of zero as on the right, none of them far out."""
    return rng.permuted(np.resize([1.0, -1.0], (4, 3))) * rng.uniform(0.2, 2, (4, 3))


def _forward_case(function: str, label: str, x: Array, out: str = "out", float32: bool = False) -> Case:
    return Case(label, [Call(function, (x,), (out, "cache"))], float32=float32)


def _backward_case(pair: str, label: str, rng: Rng, x: Array, out: str = "dx", float32: bool = False) -> Case:
    forward = Call(f"{pair}_forward", (x,), ("out", "cache"))
    backward = Call(f"{pair}_backward", (rng.normal(size=x.shape), Ref("cache")), (out,))
    return Case(label, [forward, backward], float32=float32)


def _forward_visible(function: str) -> Callable[[Rng], Cases]:
    def cases(rng: Rng) -> Cases:
        yield _forward_case(function, "x of shape (3, 4)", 1.5 * rng.normal(size=(3, 4)))
        yield _forward_case(function, "x from -1000 to 1000", _wide(rng)[:, None], out="out_far")
        yield _forward_case(function, "x from -6 to 2", rng.uniform(-6, 2, (4, 3)), out="out_far")

    return cases


def _forward_hidden(function: str) -> Callable[[Rng], Cases]:
    def cases(rng: Rng) -> Cases:
        yield _forward_case(function, "four axes", 2 * rng.normal(size=(2, 3, 2, 2)))
        yield _forward_case(function, "a batch of one", rng.normal(size=(1, 7)))
        yield _forward_case(function, "all negative", -rng.uniform(0.1, 4, (4, 3)))
        yield _forward_case(function, "numbers of size 1e-30", 1e-30 * rng.normal(size=(6, 1)), out="out_far")
        yield _forward_case(function, "numbers of size 1e+30", 1e30 * rng.normal(size=(6, 1)), out="out_far")
        yield _forward_case(function, "float32", 2 * rng.normal(size=(20, 5)), float32=True)

    return cases


def _backward_visible(pair: str) -> Callable[[Rng], Cases]:
    def cases(rng: Rng) -> Cases:
        yield _backward_case(pair, "x of shape (3, 4)", rng, 1.5 * rng.normal(size=(3, 4)))
        yield _backward_case(pair, "x from -1000 to 1000", rng, _wide(rng), out="dx_far")
        yield from cache_cases(pair, lambda: (_both_sides(rng),), (4, 3), rng, ("dx",))

    return cases


def _backward_hidden(pair: str) -> Callable[[Rng], Cases]:
    def cases(rng: Rng) -> Cases:
        yield _backward_case(pair, "four axes", rng, 2 * rng.normal(size=(2, 3, 2, 2)))
        yield _backward_case(pair, "a batch of one", rng, rng.normal(size=(1, 7)))
        yield _backward_case(pair, "all negative", rng, -rng.uniform(0.1, 4, (4, 3)))
        yield _backward_case(pair, "a large batch, float32", rng, rng.normal(size=(200, 5)), float32=True)

    return cases


def _elementwise(pair: str, right: Callable, function: Callable) -> dict[str, Callable]:
    """A wrong backward pass as a function of dout and x."""

    def forward(x: Array) -> tuple:
        return right(x)[0], np.copy(x)

    return {f"{pair}_forward": forward, f"{pair}_backward": function}


def _in_place(dout: Array, slope: Array) -> Array:
    dout *= slope
    return dout


# -- gelu


def _gelu_into_x(x: Array) -> tuple:
    x *= _cdf(x)
    return x, x


def _gelu_out(function: Callable) -> dict[str, Callable]:
    return {"gelu_forward": lambda x: (function(x), x)}


gelu_forward_exercise = Exercise(
    name="gelu_forward",
    title="GELU, forward",
    points=3,
    grades=("gelu_forward",),
    reference={"gelu_forward": gelu_forward},
    visible=_forward_visible("gelu_forward"),
    hidden=_forward_hidden("gelu_forward"),
    labels={
        "out": "each number, times the probability that a normal number is below it",
        "out_far": "also far from zero, and at zero",
    },
    misconceptions=[
        Misconception(
            "tanh_form",
            "This is the formula with the tanh. It is a different function, a few ten-thousandths away. Which one does "
            "this exercise ask for?",
            _gelu_out(lambda x: gelu_tanh_forward(x)[0]),
        ),
        Misconception(
            "sigmoid_form",
            "This is the quick approximation with a sigmoid. How far is it from Phi at x = 2?",
            _gelu_out(lambda x: x * _sigmoid(1.702 * x)),
        ),
        Misconception(
            "silu",
            "You weight with the sigmoid of x. That is a SiLU; which curve from 0 to 1 belongs to a GELU?",
            _gelu_out(lambda x: x * _sigmoid(x)),
        ),
        Misconception(
            "root_of_two_missing",
            "Your bell is too narrow. The error function belongs to a normal number of which standard deviation?",
            _gelu_out(lambda x: 0.5 * x * (1 + ERF(x))),
        ),
        Misconception(
            "half_missing",
            "Your weight goes from 0 to 2. Between which numbers does a probability lie?",
            _gelu_out(lambda x: x * (1 + ERF(x / np.sqrt(2)))),
        ),
        Misconception(
            "error_function_alone",
            "Your weight goes from -1 to 1. What does that do to a negative x, and what is the probability at x = 0?",
            _gelu_out(lambda x: x * ERF(x / np.sqrt(2))),
        ),
        Misconception(
            "probability_alone",
            "You return Phi. It is the weight; what is weighted is missing.",
            _gelu_out(_cdf),
        ),
        Misconception(
            "density",
            "You weight with the bell itself. A large x should come out as x: is the bell large there?",
            _gelu_out(lambda x: x * _density(x)),
        ),
        Misconception(
            "other_tail",
            "Your weight is the probability of being above x. On which side should the numbers come through?",
            _gelu_out(lambda x: 0.5 * x * (1 - ERF(x / np.sqrt(2)))),
        ),
        Misconception(
            "relu",
            "That is a ReLU: nothing comes through on the left of zero.",
            _gelu_out(lambda x: np.maximum(x, 0)),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"gelu_forward": _gelu_into_x},
        ),
    ],
)


def _gelu(slope: Callable) -> dict[str, Callable]:
    """A wrong slope as a function of x."""
    return _elementwise("gelu", gelu_forward, lambda dout, x: dout * slope(x))


def _tanh_slope(x: Array) -> Array:
    return gelu_tanh_backward(np.ones(x.shape), gelu_tanh_forward(x)[1])


gelu_backward_exercise = Exercise(
    name="gelu_backward",
    title="GELU, backward",
    points=4,
    grades=("gelu_backward",),
    reference={"gelu_forward": gelu_forward, "gelu_backward": gelu_backward},
    visible=_backward_visible("gelu"),
    hidden=_backward_hidden("gelu"),
    labels={
        "dx": "dx is dout times the slope: both factors of x Phi(x) depend on x",
        "dx_far": "also far from zero, and at zero",
    },
    misconceptions=[
        Misconception(
            "weight_held_constant",
            "You treat Phi(x) as a constant. When x grows, the weight grows too: what does that add?",
            _gelu(_cdf),
        ),
        Misconception(
            "x_held_constant",
            "Only the change of the weight is in your slope. x itself changes as well.",
            _gelu(lambda x: x * _density(x)),
        ),
        Misconception(
            "density_without_x",
            "You add the density alone. In x * Phi(x), by what is the change of Phi multiplied?",
            _gelu(lambda x: _cdf(x) + _density(x)),
        ),
        Misconception(
            "slopes_multiplied",
            "You multiply the slopes of the two factors. What does the product rule say instead?",
            _gelu(_density),
        ),
        Misconception(
            "bell_not_normalized",
            "Your bell has height 1. What is the area under it, and what should it be?",
            _gelu(lambda x: _cdf(x) + x * np.exp(-(x**2) / 2)),
        ),
        Misconception(
            "exponent_without_half",
            "Your bell is too narrow: compare the exponent with that of a normal density of standard deviation 1.",
            _gelu(lambda x: _cdf(x) + x * np.exp(-(x**2)) / np.sqrt(2 * np.pi)),
        ),
        Misconception(
            "inner_derivative_missing",
            "Your second term is too large by a constant factor. The error function was given x over a constant: what "
            "does the chain rule add?",
            _gelu(lambda x: _cdf(x) + x * np.exp(-(x**2) / 2) / np.sqrt(np.pi)),
        ),
        Misconception(
            "wrong_sign",
            "You subtract the second term. Does Phi grow or shrink when x grows?",
            _gelu(lambda x: _cdf(x) - x * _density(x)),
        ),
        Misconception(
            "slope_of_the_tanh_form",
            "This is the slope of the formula with the tanh. Of which of the two functions is a slope asked for here?",
            _gelu(_tanh_slope),
        ),
        Misconception(
            "relu_mask",
            "This is the backward pass of a ReLU.",
            _gelu(lambda x: (x > 0).astype(float)),
        ),
        Misconception(
            "at_the_output",
            "You take the slope at the output. In forward, of what was Phi taken?",
            _gelu(lambda x: _cdf(x * _cdf(x)) + x * _cdf(x) * _density(x * _cdf(x))),
        ),
        Misconception(
            "slope_only",
            "You return the local slope. What arrives from above is not in it.",
            _elementwise("gelu", gelu_forward, lambda dout, x: _cdf(x) + x * _density(x)),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            _elementwise("gelu", gelu_forward, lambda dout, x: _in_place(dout, _cdf(x) + x * _density(x))),
        ),
        *cache_mistakes("gelu", gelu_forward, gelu_backward),
    ],
)


# -- loss scaling


def _config(scale: float, **more: float) -> dict[str, Any]:
    return {"scale": scale, "growth": 2.0, "backoff": 0.5, "interval": 4, "good_steps": 0, **more}


def _scale_case(label: str, dout: Array, scale: float, out: str = "scaled") -> Case:
    return Case(label, [Call("scale_gradient", (dout, _config(scale)), (out,))])


def _scale_visible(rng: Rng) -> Cases:
    small = (1e-8 * rng.normal(size=(3, 4))).astype(np.float32)
    yield _scale_case("float32, numbers of size 1e-8, scale 2**16", small, 2.0**16)
    half = rng.uniform(1, 2, (2, 3)).astype(np.float16)
    yield _scale_case("float16, scale 2**10", half, 2.0**10, "scaled_float16")
    mixed = np.array([[1.5, -2.0, 0.0], [1e-3, -1e-4, 1e-6]]).astype(np.float16)
    yield _scale_case("float16, scale 2**20", mixed, 2.0**20, "scaled_float16")


def _scale_hidden(rng: Rng) -> Cases:
    yield _scale_case("float64, a batch of one", rng.normal(size=(1, 5)), 2.0**24)
    yield _scale_case("float32, three axes", rng.normal(size=(2, 3, 2)).astype(np.float32), 2.0**40)
    yield _scale_case("scale 2**-3", rng.normal(size=(4, 3)).astype(np.float32), 2.0**-3)
    tiny = np.array([0.0, -0.0, 6e-8, -6e-8, 1e-5, 3.0]).astype(np.float16)
    yield _scale_case("float16, scale 2**18", tiny, 2.0**18, "scaled_float16")


def _scale_into_dout(dout: Array, config: Mapping[str, Any]) -> Array:
    dout *= dout.dtype.type(config["scale"]) if config["scale"] < 6e4 else 1
    dout *= 1 if config["scale"] < 6e4 else np.float32(config["scale"])
    return dout


scale_gradient_exercise = Exercise(
    name="scale_gradient",
    title="Scale",
    points=2,
    grades=("scale_gradient",),
    reference={"scale_gradient": scale_gradient},
    visible=_scale_visible,
    hidden=_scale_hidden,
    labels={
        "scaled": "dout times the scale",
        "scaled_float16": "float16 stays float16, for a scale of any size",
    },
    misconceptions=[
        Misconception(
            "divided",
            "You divide by the scale. These gradients are too small already.",
            {"scale_gradient": lambda dout, config: (dout / np.float64(config["scale"])).astype(dout.dtype)},
        ),
        Misconception(
            "scale_in_float16",
            "You bring the scale into the precision of dout. What is 2**20 in float16, and what is 0 times that?",
            {"scale_gradient": lambda dout, config: dout * dout.dtype.type(config["scale"])},
        ),
        Misconception(
            "stays_wide",
            "dout was float16 and your result is not: numbers above 65504 stand in it. In which precision does the "
            "backward pass go on?",
            {"scale_gradient": lambda dout, config: dout * np.float64(config["scale"])},
        ),
        Misconception(
            "clipped",
            "You hold back what is too large. An overflow that nobody sees is a wrong gradient that nobody skips.",
            {
                "scale_gradient": lambda dout, config: np.clip(
                    dout * np.float64(config["scale"]), np.finfo(dout.dtype).min, np.finfo(dout.dtype).max
                ).astype(dout.dtype)
            },
        ),
        Misconception(
            "rounded_first",
            "You round to float16 before you multiply. What is left of 1e-8 by then?",
            {
                "scale_gradient": lambda dout, config: (
                    dout.astype(np.float16) * np.float64(config["scale"])
                ).astype(dout.dtype)
            },
        ),
        Misconception(
            "not_scaled",
            "dout comes back as it was.",
            {"scale_gradient": lambda dout, config: dout.copy()},
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The loss owns it: make a new array.",
            {"scale_gradient": _scale_into_dout},
        ),
    ],
)


def _unscale_case(
    label: str, grads: dict[str, Array], scale: float, out: str = "unscaled", finite: bool = True
) -> Case:
    """Of a step that will be skipped, only the flag is asked for."""
    config = _config(scale)
    unscaled, overflow = unscale_gradients(grads, dict(config))
    assert overflow != finite
    said = "True here, and all entries are finite" if finite else "False here, and an entry is not finite"
    most = 1e9 if overflow else 0.0  # how many entries there are is an answer too
    expect: dict[str, Any] = {"overflow": Between(float(overflow), most, f"overflow is {said}")}
    if finite:
        expect |= {f"{out}.{name}": Close(value) for name, value in unscaled.items()}
    call = Call("unscale_gradients", (grads, config), (out, "overflow"))
    return Case(label, [call], expect, ignore=() if finite else (out,))


def _half(rng: Rng, *shape: int) -> Array:
    return rng.uniform(0.5, 2, shape).astype(np.float16)


def _with(array: Array, value: float) -> Array:
    array = array.copy()
    array.flat[array.size // 2] = value
    return array


def _unscale_visible(rng: Rng) -> Cases:
    grads = {"w": _half(rng, 3, 2), "b": _half(rng, 2)}
    yield _unscale_case("scale 2**10", grads, 2.0**10)
    yield _unscale_case("scale 2**30", {"w": _half(rng, 3, 2), "b": -_half(rng, 2)}, 2.0**30)
    many = {"w": np.full((3, 2), 15_000, np.float16), "b": _half(rng, 2)}
    yield _unscale_case("scale 4, six times 15000", many, 4.0)
    yield _unscale_case("scale 4, one entry of 50000", {"w": _with(grads["w"], 50_000), "b": grads["b"]}, 4.0)
    for name, value in (("b", np.inf), ("w", np.nan), ("w", np.inf), ("b", np.nan)):
        broken = grads | {name: _with(grads[name], value)}
        yield _unscale_case(f"{value} in {name}", broken, 2.0**10, finite=False)
    whole = grads | {"b": np.full(2, np.inf, np.float16)}
    yield _unscale_case("nothing but inf in b", whole, 2.0**10, finite=False)


def _unscale_hidden(rng: Rng) -> Cases:
    full = np.full((4, 4), 65504, np.float16)
    grads = {"w": full, "b": _half(rng, 4)}
    yield _unscale_case("scale 2**4, the largest numbers of float16", grads, 2.0**4)
    yield _unscale_case("three axes, scale 2**12", {"w": _half(rng, 2, 2, 2), "b": _half(rng, 2)}, 2.0**12)
    for value in (np.inf, -np.inf, np.nan):
        grads = {
            "w1": _half(rng, 2, 3),
            "b1": _half(rng, 3),
            "w2": _with(_half(rng, 3, 2), value),
            "b2": _half(rng, 2),
        }
        yield _unscale_case(f"{value} in the third of four arrays", grads, 2.0**8, finite=False)
    both = _with(_half(rng, 3, 3), np.inf)
    both.flat[0] = -np.inf
    yield _unscale_case("both infinities in one array", {"w": both}, 2.0**8, finite=False)


def _unscaled(
    divide: Callable[[Array, float], Array] | None = None, flag: Callable[[list[Array]], bool] | None = None
) -> dict[str, Callable]:
    """The function with its division, or its flag, replaced."""

    def function(grads: Mapping[str, Array], config: Mapping[str, Any]) -> tuple:
        by = divide or (lambda g, scale: g.astype(np.float32) / np.float32(scale))
        arrays = list(grads.values())
        overflow = not all(np.isfinite(g).all() for g in arrays) if flag is None else flag(arrays)
        return {name: by(g, config["scale"]) for name, g in grads.items()}, bool(overflow)

    return {"unscale_gradients": function}


def _unscale_into_grads(grads: dict[str, Array], config: Mapping[str, Any]) -> tuple:
    overflow = not all(np.isfinite(g).all() for g in grads.values())
    for name in grads:
        grads[name] = grads[name].astype(np.float32) / np.float32(config["scale"])
    return grads, overflow


unscale_gradients_exercise = Exercise(
    name="unscale_gradients",
    title="Unscale, and look",
    points=3,
    grades=("unscale_gradients",),
    reference={"unscale_gradients": unscale_gradients},
    visible=_unscale_visible,
    hidden=_unscale_hidden,
    labels={
        "unscaled.w": "gradients of their true size, in float32",
        "unscaled.b": "and the others too",
        "overflow": "a step whose gradients are not all finite is reported",
    },
    misconceptions=[
        Misconception(
            "divided_in_float16",
            "You divide in float16. What you saved by scaling rounds to zero again: in which precision is there room?",
            _unscaled(divide=lambda g, scale: (g.astype(np.float64) / scale).astype(np.float16)),
        ),
        Misconception(
            "multiplied",
            "You scale a second time. What has to happen so that the optimizer sees the true gradient?",
            _unscaled(divide=lambda g, scale: g.astype(np.float32) * np.float32(scale)),
        ),
        Misconception(
            "not_unscaled",
            "The gradients come back as large as they were. What would a step with them look like?",
            _unscaled(divide=lambda g, scale: g.astype(np.float32)),
        ),
        Misconception(
            "divided_by_the_root",
            "You divide by the square root of the scale. How often was it multiplied into the loss, and how often does "
            "it stand in each gradient?",
            _unscaled(divide=lambda g, scale: g.astype(np.float32) / np.float32(np.sqrt(scale))),
        ),
        Misconception(
            "infinity_missed",
            "You look for nan. An overflow makes something else first.",
            _unscaled(flag=lambda arrays: any(bool(np.isnan(g).any()) for g in arrays)),
        ),
        Misconception(
            "nan_missed",
            "You look for infinity. What is infinity minus infinity, or 0 times infinity?",
            _unscaled(flag=lambda arrays: any(bool(np.isinf(g).any()) for g in arrays)),
        ),
        Misconception(
            "first_array_only",
            "You look at the first array alone. The overflow may be in any of them.",
            _unscaled(flag=lambda arrays: not bool(np.isfinite(arrays[0]).all())),
        ),
        Misconception(
            "last_array_counts",
            "Only your last array decides. What happens to what you found in the arrays before it?",
            _unscaled(flag=lambda arrays: not bool(np.isfinite(arrays[-1]).all())),
        ),
        Misconception(
            "flag_inverted",
            "You say True where all is well.",
            _unscaled(flag=lambda arrays: all(bool(np.isfinite(g).all()) for g in arrays)),
        ),
        Misconception(
            "never_reported",
            "You never report a step. What should the caller do with a gradient that is infinite?",
            _unscaled(flag=lambda arrays: False),
        ),
        Misconception(
            "all_broken",
            "You report a step only where a whole array is broken. How many broken entries spoil a step?",
            _unscaled(flag=lambda arrays: not all(bool(np.isfinite(g).any()) for g in arrays)),
        ),
        Misconception(
            "sum_overflows",
            "You look at a sum. In float16, what is 60000 + 60000? Look at the entries.",
            _unscaled(flag=lambda arrays: not all(np.isfinite(g.sum(dtype=g.dtype)) for g in arrays)),
        ),
        Misconception(
            "large_is_not_infinite",
            "You report numbers that are large. They are still exact: which numbers are lost?",
            _unscaled(flag=lambda arrays: any(bool((~(np.abs(g) < 20_000)).any()) for g in arrays)),
        ),
        Misconception(
            "writes_into_grads",
            "You write into the dict of gradients. The network owns it: make a new one.",
            {"unscale_gradients": _unscale_into_grads},
        ),
    ],
)


def _update_case(label: str, config: dict[str, Any], *overflows: bool) -> Case:
    """Steps in a row, each with the config that the one before has returned."""
    right = dict(config)
    for overflow in overflows:
        right = update_scale(overflow, right)
    names = [f"config{k}" for k in range(1, len(overflows))] + ["config"]
    given: list[Any] = [config, *(Ref(name) for name in names)]
    calls = [
        Call("update_scale", (overflow, before), (name,))
        for overflow, before, name in zip(overflows, given, names, strict=False)
    ]
    expect = {f"config.{key}": Close(np.float64(right[key])) for key in ("scale", "good_steps")}
    return Case(label, calls, expect, ignore=tuple(names[:-1]))


def _update_visible(rng: Rng) -> Cases:
    scale = float(2.0 ** rng.integers(8, 14))
    yield _update_case(
        "a good step, long before the interval ends", _config(scale, interval=5, good_steps=1), False
    )
    yield _update_case(
        "the good step that completes the interval", _config(scale, growth=4.0, good_steps=3), False
    )
    yield _update_case("the good step before that", _config(scale, good_steps=2), False)
    yield _update_case("that step and one more", _config(scale, growth=4.0, good_steps=3), False, False)
    yield _update_case("an overflow", _config(scale, growth=4.0, good_steps=2), True)
    yield _update_case("an overflow just before the interval ends", _config(scale, good_steps=3), True)
    yield _update_case("an overflow at scale 1", _config(1.0, good_steps=1), True)
    yield _update_case("an overflow, and a good step after it", _config(scale, good_steps=2), True, False)
    yield _update_case("an interval completed at scale 2**20", _config(2.0**20, good_steps=3), False)


def _update_hidden(rng: Rng) -> Cases:
    scale, other = (float(number) for number in rng.uniform(30, 3000, 2))
    yield _update_case("interval 1", _config(scale, interval=1), False)
    yield _update_case("growth 3", _config(scale, interval=7, growth=3.0, good_steps=6), False)
    yield _update_case("backoff 0.125", _config(other, backoff=0.125, good_steps=3), True)
    yield _update_case("an overflow at scale 1.5", _config(1.5), True)
    steps = (False, False, True, False, False, False, False, False, False)
    yield _update_case("nine steps with an overflow among them", _config(scale, interval=3), *steps)
    yield _update_case("a long interval", _config(other, interval=2000, good_steps=1998), False, False)


def _updated(good: Callable[[dict], None], bad: Callable[[dict], None]) -> dict[str, Callable]:
    """What is done to the config after a good step, and after an overflow."""

    def function(overflow: bool, config: dict[str, Any]) -> dict[str, Any]:
        config = dict(config)
        (bad if overflow else good)(config)
        return config

    return {"update_scale": function}


def _good(config: dict[str, Any]) -> None:
    config["good_steps"] += 1
    if config["good_steps"] >= config["interval"]:
        config["scale"] *= config["growth"]
        config["good_steps"] = 0


def _bad(config: dict[str, Any]) -> None:
    config["scale"] = max(1.0, config["scale"] * config["backoff"])
    config["good_steps"] = 0


def _set(**changes: Callable[[dict], float]) -> Callable[[dict], None]:
    def change(config: dict[str, Any]) -> None:
        config.update({key: value(config) for key, value in changes.items()})

    return change


def _never_reset(config: dict[str, Any]) -> None:
    config["good_steps"] += 1
    if config["good_steps"] >= config["interval"]:
        config["scale"] *= config["growth"]


def _doubled(config: dict[str, Any]) -> None:
    config["good_steps"] += 1
    if config["good_steps"] >= config["interval"]:
        config["scale"] *= 2
        config["good_steps"] = 0


def _held_in_float16(config: dict[str, Any]) -> None:
    _good(config)
    config["scale"] = min(config["scale"], float(np.finfo(np.float16).max))


def _one_too_late(config: dict[str, Any]) -> None:
    config["good_steps"] += 1
    if config["good_steps"] > config["interval"]:
        config["scale"] *= config["growth"]
        config["good_steps"] = 0


update_scale_exercise = Exercise(
    name="update_scale",
    title="The next scale",
    points=3,
    grades=("update_scale",),
    reference={"update_scale": update_scale},
    visible=_update_visible,
    hidden=_update_hidden,
    labels={
        "config.scale": "the scale falls at an overflow and grows after an interval without one",
        "config.good_steps": "steps without overflow are counted, from zero after each change",
    },
    misconceptions=[
        Misconception(
            "never_grows",
            "Your scale only falls. After one unlucky step it would be low for the rest of the run.",
            _updated(_set(good_steps=lambda c: c["good_steps"] + 1), _bad),
        ),
        Misconception(
            "grows_every_step",
            "Your scale grows after each good step, so that it soon overflows again. What is the interval for?",
            _updated(_set(scale=lambda c: c["scale"] * c["growth"], good_steps=lambda c: 0), _bad),
        ),
        Misconception(
            "not_reset_by_an_overflow",
            "The count goes on after an overflow. How many good steps *in a row* have there been by then?",
            _updated(_good, _set(scale=lambda c: max(1.0, c["scale"] * c["backoff"]))),
        ),
        Misconception(
            "not_reset_by_growth",
            "The count stays where it is after the scale has grown. When does it grow the next time?",
            _updated(_never_reset, _bad),
        ),
        Misconception(
            "swapped",
            "You grow after an overflow and fall back after a good step.",
            _updated(
                _set(scale=lambda c: max(1.0, c["scale"] * c["backoff"]), good_steps=lambda c: 0),
                _set(scale=lambda c: c["scale"] * c["growth"], good_steps=lambda c: 0),
            ),
        ),
        Misconception(
            "divided_by_growth",
            "After an overflow you divide by growth. Which entry of config says by how much to fall?",
            _updated(_good, _set(scale=lambda c: max(1.0, c["scale"] / c["growth"]), good_steps=lambda c: 0)),
        ),
        Misconception(
            "divided_by_backoff",
            "After an overflow your scale is larger than before. Is backoff larger or smaller than 1?",
            _updated(
                _good, _set(scale=lambda c: max(1.0, c["scale"] / c["backoff"]), good_steps=lambda c: 0)
            ),
        ),
        Misconception(
            "doubled_and_halved",
            "You double and halve. Which entries of config say by how much to grow and to fall?",
            _updated(_doubled, _set(scale=lambda c: max(1.0, c["scale"] / 2), good_steps=lambda c: 0)),
        ),
        Misconception(
            "held_in_float16",
            "You hold the scale in the range of float16. The scale is never stored there: what has to fit is a "
            "gradient times the scale.",
            _updated(_held_in_float16, _bad),
        ),
        Misconception(
            "below_one",
            "Your scale falls below 1. If gradients overflow without any scaling, what would a smaller one help?",
            _updated(_good, _set(scale=lambda c: c["scale"] * c["backoff"], good_steps=lambda c: 0)),
        ),
        Misconception(
            "back_to_one",
            "After an overflow you start from 1 again. How many intervals will it take until the small gradients are "
            "back?",
            _updated(_good, _set(scale=lambda c: 1.0, good_steps=lambda c: 0)),
        ),
        Misconception(
            "one_step_late",
            "Your scale grows one step late. With an interval of 5, after how many good steps should it?",
            _updated(_one_too_late, _bad),
        ),
        Misconception(
            "overflow_counted",
            "You count the step that overflowed as a good one.",
            _updated(
                _good,
                _set(
                    scale=lambda c: max(1.0, c["scale"] * c["backoff"]),
                    good_steps=lambda c: c["good_steps"] + 1,
                ),
            ),
        ),
    ],
    pure=False,  # the config may be written to
)


# -- the window, measured


window = Exercise(
    name="scale_window",
    title="The window, measured",
    points=3,
    grades=("lost_at_16", "smallest_exponent", "largest_exponent"),
    reference={},
    visible=lambda rng: iter(
        [
            Case(
                "network 1",
                [Fetch("lost_at_16")],
                {
                    "lost_at_16": Between(
                        0.228,
                        0.248,
                        "lost_at_16 is {value}. It is a share, from 0 to 1: of the entries that are not 0 in float32, "
                        "how many are 0 in float16 at a scale of 16",
                    )
                },
            ),
            Case(
                "network 1",
                [Fetch("smallest_exponent")],
                {
                    "smallest_exponent": Between(
                        10.9,
                        11.1,
                        "smallest_exponent is {value}. It is the smallest whole number k for which a scale of 2**k "
                        "loses less than one entry in a hundred: how many are lost at your k, and at the k before it?",
                    )
                },
            ),
            Case(
                "network 1",
                [Fetch("largest_exponent")],
                {
                    "largest_exponent": Between(
                        35.9,
                        36.1,
                        "largest_exponent is {value}. It is the largest whole number k for which no entry is infinite "
                        "or nan at a scale of 2**k: what does unscale_gradients say at your k, and at the next one?",
                    )
                },
            ),
        ]
    ),
    labels={
        "lost_at_16": "the share that a scale of 16 still loses",
        "smallest_exponent": "the lower end of the window",
        "largest_exponent": "the upper end of the window",
    },
    pure=False,
)


# -- remedy


remedy = Exercise(
    name="remedy_09",
    title="A float16 run that learns",
    points=3,
    grades=("remedy",),
    reference={"remedy": {"scale": 2.0**24, "interval": 20.0}},
    visible=lambda rng: iter(
        [
            Case(
                "trained from 5 starting points",
                [Fetch("remedy"), Train("half_precision", Ref("remedy"), ("accuracy",), tuple(range(1, 6)))],
                {
                    "accuracy": Between(
                        0.9,
                        1.0,
                        "after training, accuracy is {value}; the same run in float32 reaches 0.97, and one that "
                        "learns in float16 comes close to that",
                    )
                },
            )
        ]
    ),
    labels={"accuracy": "the network has learned, in float16"},
    pure=False,
)


# -- anomaly


def _named(rng: Rng, **shapes: tuple[int, ...]) -> dict[str, Array]:
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def _broken(arrays: dict[str, Array], **values: float) -> dict[str, Array]:
    return {name: _with(array, values[name]) if name in values else array for name, array in arrays.items()}


def _anomaly_case(label: str, activations: dict[str, Array], gradients: dict[str, Array]) -> Case:
    name, index = first_nonfinite(activations, gradients)
    expect: dict[str, Expectation] = {
        "name": Exactly(name),
        "index": Close(np.array(index, dtype=np.float64)),
    }
    return Case(label, [Call("first_nonfinite", (activations, gradients), ("name", "index"))], expect)


def _step(rng: Rng) -> tuple[dict[str, Array], dict[str, Array]]:
    shapes = {"x": (3, 4), "hidden": (3, 5), "active": (3, 5), "scores": (3, 2)}
    gradients = {"affine1.w": (4, 5), "affine1.b": (5,), "affine2.w": (5, 2), "affine2.b": (2,)}
    return _named(rng, **shapes), _named(rng, **gradients)


def _anomaly_visible(rng: Rng) -> Cases:
    acts, grads = _step(rng)
    nothing = dict.fromkeys(grads, np.nan)
    yield _anomaly_case(
        "the forward pass overflowed half way",
        _broken(acts, hidden=np.inf, active=np.inf, scores=np.nan),
        _broken(grads, **nothing),
    )
    yield _anomaly_case(
        "the forward pass is finite, the backward pass is not",
        acts,
        _broken(grads, **{"affine2.w": np.inf, "affine1.w": np.nan, "affine1.b": np.nan}),
    )
    yield _anomaly_case("all is finite", acts, grads)
    large = {"x": np.full((2, 2), 60_000, np.float16), "hidden": rng.normal(size=(2, 3)).astype(np.float16)}
    yield _anomaly_case(
        "float16, large numbers and no more", large, {"w": np.full((2, 3), 65504, np.float16)}
    )
    twice = acts | {"scores": acts["scores"].copy()}
    twice["scores"][0, 1], twice["scores"][1, 0] = -np.inf, np.inf
    yield _anomaly_case("two entries of one array", twice, grads)
    yield _anomaly_case(
        "an example that was broken before it came in", _broken(acts, x=np.nan, hidden=np.nan), grads
    )


def _anomaly_hidden(rng: Rng) -> Cases:
    acts, grads = _step(rng)
    yield _anomaly_case("the input itself", _broken(acts, x=-np.inf, hidden=np.nan), grads)
    yield _anomaly_case("no gradients yet", _broken(acts, active=np.inf), {})
    yield _anomaly_case(
        "names in another order than the alphabet",
        _broken(_named(rng, z=(4,), c=(2, 2, 3), a=(3,)), c=-np.inf, a=np.nan),
        {},
    )
    yield _anomaly_case(
        "the first layer alone", acts, _broken(grads, **{"affine1.w": np.inf, "affine1.b": np.inf})
    )
    many = {f"layer{k}": rng.normal(size=(3, 3)).astype(np.float16) for k in range(12)}
    slopes = {f"{name}.w": -array for name, array in many.items()}
    values = {"layer4.w": np.nan, "layer7.w": np.inf, "layer2.w": np.nan}
    yield _anomaly_case("twelve layers, float16", many, _broken(slopes, **values))


def _search(
    activations: Mapping[str, Array],
    gradients: Mapping[str, Array],
    is_bad: Callable[[Array], Array] = lambda a: ~np.isfinite(a),
) -> tuple:
    """The first in the order in which the two dicts are written."""
    for name, array in [*activations.items(), *gradients.items()]:
        if np.any(is_bad(array)):
            return name, tuple(int(i) for i in np.argwhere(is_bad(array))[0])
    return None, ()


def _backwards(gradients: Mapping[str, Array]) -> dict[str, Array]:
    return dict(reversed(list(gradients.items())))


def _anomaly(function: Callable) -> dict[str, Callable]:
    """A wrong detector as a function of the two dicts, the second one in the order of computation."""
    return {"first_nonfinite": lambda activations, gradients: function(activations, _backwards(gradients))}


def _flat(activations: Mapping[str, Array], gradients: Mapping[str, Array]) -> tuple:
    name, index = _search(activations, gradients)
    if name is None:
        return name, index
    array = {**gradients, **activations}[name]
    return name, (int(np.ravel_multi_index(index, array.shape)),)


def _last_entry(activations: Mapping[str, Array], gradients: Mapping[str, Array]) -> tuple:
    name, index = _search(activations, gradients)
    if name is None:
        return name, index
    array = {**gradients, **activations}[name]
    return name, tuple(int(i) for i in np.argwhere(~np.isfinite(array))[-1])


def _sums(array: Array) -> Array:
    whole = np.isfinite(np.sum(array, dtype=array.dtype))
    return np.zeros(array.shape, dtype=bool) if whole else np.abs(array) == np.abs(array).max()


anomaly_exercise = Exercise(
    name="first_nonfinite",
    title="Where it began",
    points=3,
    grades=("first_nonfinite",),
    reference={"first_nonfinite": first_nonfinite},
    visible=_anomaly_visible,
    hidden=_anomaly_hidden,
    labels={
        "name": "the array that was computed first",
        "index": "and where in it",
    },
    misconceptions=[
        Misconception(
            "gradients_in_forward_order",
            "You go through the gradients from the first layer to the last. In which order does a backward pass "
            "compute them?",
            {"first_nonfinite": lambda activations, gradients: _search(activations, gradients)},
        ),
        Misconception(
            "infinity_missed",
            "You look for nan. It is often the second thing to go wrong: infinity comes before it.",
            _anomaly(lambda acts, grads: _search(acts, grads, np.isnan)),
        ),
        Misconception(
            "nan_missed",
            "You look for infinity. An array can hold nan and nothing infinite.",
            _anomaly(lambda acts, grads: _search(acts, grads, np.isinf)),
        ),
        Misconception(
            "last_one",
            "You name the last broken array. The others were broken before it: when does your loop end?",
            _anomaly(lambda acts, grads: _search(_backwards({**acts, **grads}), {})),
        ),
        Misconception(
            "gradients_first",
            "You look at the gradients before the activations. Which of them are computed first?",
            _anomaly(lambda acts, grads: _search(grads, acts)),
        ),
        Misconception(
            "activations_only",
            "You look at the forward pass alone. A backward pass can overflow by itself.",
            _anomaly(lambda acts, grads: _search(acts, {})),
        ),
        Misconception(
            "gradients_only",
            "You look at the gradients alone. What if the forward pass broke first?",
            _anomaly(lambda acts, grads: _search({}, grads)),
        ),
        Misconception(
            "sum_overflows",
            "You look at a sum. Four numbers of 60000 are finite, and in float16 their sum is not.",
            _anomaly(lambda acts, grads: _search(acts, grads, _sums)),
        ),
        Misconception(
            "flat_index",
            "Your index counts through the whole array. Give one number for each axis.",
            _anomaly(_flat),
        ),
        Misconception(
            "last_entry",
            "You give the last broken entry of the array, and not the first.",
            _anomaly(_last_entry),
        ),
    ],
)


# -- quiz


QUIZ = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["quiz"]

quiz = choices(ASSIGNMENT, "quiz_09", QUIZ, 5)


# -- silu (stretch)


def _silu_into_x(x: Array) -> tuple:
    x *= _sigmoid(x)
    return x, x


def _silu_out(function: Callable) -> dict[str, Callable]:
    return {"silu_forward": lambda x: (function(x), x)}


silu_forward_exercise = Exercise(
    name="silu_forward",
    title="SiLU, forward",
    points=1,
    grades=("silu_forward",),
    reference={"silu_forward": silu_forward},
    visible=_forward_visible("silu_forward"),
    hidden=_forward_hidden("silu_forward"),
    labels={"out": "each number, times its own sigmoid", "out_far": "also far from zero, and at zero"},
    misconceptions=[
        Misconception(
            "overflows",
            "You divide infinity by infinity. At x = 1000, what is exp(x)? Which form of the sigmoid stays finite?",
            _silu_out(lambda x: x * np.exp(x) / (1 + np.exp(x))),
        ),
        Misconception(
            "sigmoid_alone",
            "You return the sigmoid. It is the weight; what is weighted is missing.",
            _silu_out(_sigmoid),
        ),
        Misconception(
            "mirrored",
            "Your weight falls when x grows. On which side should the numbers come through?",
            _silu_out(lambda x: x * _sigmoid(-x)),
        ),
        Misconception(
            "gelu",
            "You weight with Phi. That is a GELU.",
            _silu_out(lambda x: x * _cdf(x)),
        ),
        Misconception(
            "steep",
            "There is a factor of 1.702 in your sigmoid. It makes a GELU out of it, nearly.",
            _silu_out(lambda x: x * _sigmoid(1.702 * x)),
        ),
        Misconception(
            "tanh",
            "Your weight goes from -1 to 1. What does that do to a negative x?",
            _silu_out(lambda x: x * np.tanh(x)),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"silu_forward": _silu_into_x},
        ),
    ],
    stretch=True,
)


def _silu(slope: Callable) -> dict[str, Callable]:
    return _elementwise("silu", silu_forward, lambda dout, x: dout * slope(x, _sigmoid(x)))


silu_backward_exercise = Exercise(
    name="silu_backward",
    title="SiLU, backward",
    points=2,
    grades=("silu_backward",),
    reference={"silu_forward": silu_forward, "silu_backward": silu_backward},
    visible=_backward_visible("silu"),
    hidden=_backward_hidden("silu"),
    labels={
        "dx": "dx is dout times the slope: both factors depend on x",
        "dx_far": "also far from zero, and at zero",
    },
    misconceptions=[
        Misconception(
            "weight_held_constant",
            "You treat the sigmoid as a constant. When x grows, it grows too: what does that add?",
            _silu(lambda x, s: s),
        ),
        Misconception(
            "x_held_constant",
            "Only the change of the sigmoid is in your slope. x itself changes as well.",
            _silu(lambda x, s: x * s * (1 - s)),
        ),
        Misconception(
            "slope_of_the_sigmoid",
            "This is the slope of the sigmoid. The output was x times it.",
            _silu(lambda x, s: s * (1 - s)),
        ),
        Misconception(
            "x_missing",
            "You add the slope of the sigmoid. By what was the sigmoid multiplied?",
            _silu(lambda x, s: s + s * (1 - s)),
        ),
        Misconception(
            "one_minus_missing",
            "The slope of a sigmoid has two factors, and one is missing.",
            _silu(lambda x, s: s + x * s),
        ),
        Misconception(
            "slope_only",
            "You return the local slope. What arrives from above is not in it.",
            _elementwise("silu", silu_forward, lambda dout, x: _sigmoid(x) * (1 + x * _sigmoid(-x))),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            _elementwise(
                "silu", silu_forward, lambda dout, x: _in_place(dout, _sigmoid(x) * (1 + x * _sigmoid(-x)))
            ),
        ),
        *cache_mistakes("silu", silu_forward, silu_backward),
    ],
    stretch=True,
)


# -- the feed-forward block (stretch)

GRADIENTS = ("dx", "dgamma", "dbeta", "dw1", "db1", "dw2", "db2")


def _block_arrays(rng: Rng, n: int = 4, d: int = 3, h: int = 5) -> tuple[Array, ...]:
    shapes = [(n, d), (d,), (d,), (d, h), (h,), (h, d), (d,)]
    x, gamma, beta, w1, b1, w2, b2 = (rng.normal(size=shape) for shape in shapes)
    return 2 * x + 1, 1 + 0.3 * gamma, 0.3 * beta, w1, b1, w2, b2


def _block_case(label: str, arrays: tuple[Array, ...], float32: bool = False) -> Case:
    return Case(label, [Call("ffn_block_forward", arrays, ("out", "cache"))], float32=float32)


def _block_backward_case(label: str, rng: Rng, arrays: tuple[Array, ...], float32: bool = False) -> Case:
    forward = Call("ffn_block_forward", arrays, ("out", "cache"))
    backward = Call("ffn_block_backward", (rng.normal(size=arrays[0].shape), Ref("cache")), GRADIENTS)
    return Case(label, [forward, backward], float32=float32)


def _block_visible(rng: Rng) -> Cases:
    yield _block_case("x of shape (4, 3), five hidden units", _block_arrays(rng))
    yield _block_case("x of shape (2, 6), four hidden units", _block_arrays(rng, 2, 6, 4))


def _block_hidden(rng: Rng) -> Cases:
    yield _block_case("one token", _block_arrays(rng, 1, 4, 8))
    yield _block_case("one hidden unit", _block_arrays(rng, 5, 4, 1))
    yield _block_case("float32", _block_arrays(rng, 9, 8, 16), float32=True)


def _block_backward_visible(rng: Rng) -> Cases:
    yield _block_backward_case("x of shape (4, 3), five hidden units", rng, _block_arrays(rng))
    yield from cache_cases("ffn_block", lambda: _block_arrays(rng), (4, 3), rng, GRADIENTS)


def _block_backward_hidden(rng: Rng) -> Cases:
    yield _block_backward_case("one token", rng, _block_arrays(rng, 1, 4, 8))
    yield _block_backward_case("twelve tokens", rng, _block_arrays(rng, 12, 5, 7))
    yield _block_backward_case("float32", rng, _block_arrays(rng, 9, 8, 16), float32=True)


def _branch(normal: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    return gelu_forward(normal @ w1 + b1)[0] @ w2 + b2


def _normal(x: Array, gamma: Array, beta: Array) -> Array:
    return layernorm_forward(x, gamma, beta, {})[0]


def _block(function: Callable) -> dict[str, Callable]:
    return {"ffn_block_forward": lambda *args: (function(*args), args)}


def _block_into_x(x: Array, *rest: Array) -> tuple:
    gamma, beta, *others = rest
    x += _branch(_normal(x, gamma, beta), *others)
    return x, None


ffn_block_forward_exercise = Exercise(
    name="ffn_block_forward",
    title="Feed-forward block, forward",
    points=2,
    grades=("ffn_block_forward",),
    reference={"ffn_block_forward": ffn_block_forward},
    visible=_block_visible,
    hidden=_block_hidden,
    labels={"out": "x, and what the branch adds to it"},
    misconceptions=[
        Misconception(
            "no_residual",
            "Your output is the branch alone. What else leads from x to the output?",
            _block(lambda x, g, b, *rest: _branch(_normal(x, g, b), *rest)),
        ),
        Misconception(
            "added_to_the_normalized",
            "You add the branch to the normalized x. Through what would the gradient have to go in each block then?",
            _block(lambda x, g, b, *rest: _normal(x, g, b) + _branch(_normal(x, g, b), *rest)),
        ),
        Misconception(
            "post_norm",
            "You normalize after the addition. That is the block of 2017; where does the norm stand in this one?",
            _block(lambda x, g, b, *rest: _normal(x + _branch(x, *rest), g, b)),
        ),
        Misconception(
            "not_normalized",
            "The branch sees x as it is. What became of the layernorm?",
            _block(lambda x, g, b, *rest: x + _branch(x, *rest)),
        ),
        Misconception(
            "relu",
            "The activation of your branch is a ReLU.",
            _block(lambda x, g, b, w1, b1, w2, b2: x + np.maximum(_normal(x, g, b) @ w1 + b1, 0) @ w2 + b2),
        ),
        Misconception(
            "linear",
            "There is no activation in your branch: two matrices in a row are one matrix.",
            _block(lambda x, g, b, w1, b1, w2, b2: x + (_normal(x, g, b) @ w1 + b1) @ w2 + b2),
        ),
        Misconception(
            "tanh_gelu",
            "Your GELU is the formula with the tanh: gelu_forward comes first.",
            _block(
                lambda x, g, b, w1, b1, w2, b2: x + gelu_tanh_forward(_normal(x, g, b) @ w1 + b1)[0] @ w2 + b2
            ),
        ),
        Misconception(
            "bent_at_the_end",
            "You put a GELU on what the branch returns as well. Then it can hardly subtract anything from x.",
            _block(lambda x, g, b, *rest: x + gelu_forward(_branch(_normal(x, g, b), *rest))[0]),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"ffn_block_forward": _block_into_x},
        ),
    ],
    stretch=True,
)


def _block_backward(
    residual: bool = True,
    branch: bool = True,
    bend: Callable[[Array, tuple, Array], Array] | None = None,
    norm: Callable[[Array, tuple], tuple] = layernorm_backward,
    rest: Callable[[tuple, Array, Array], tuple] = lambda grads, dout, da: grads,
    into_dout: bool = False,
) -> dict[str, Callable]:
    """The backward pass with one part replaced."""

    def forward(x: Array, g: Array, b: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> tuple:
        normal, cache_norm = layernorm_forward(x, g, b, {})
        a, cache1 = affine_forward(normal, w1, b1)
        h, cache_gelu = gelu_forward(a)
        out, cache2 = affine_forward(h, w2, b2)
        return x + out, (cache_norm, cache1, (cache_gelu, a), cache2)

    def backward(dout: Array, cache: tuple) -> tuple:
        cache_norm, cache1, (cache_gelu, a), cache2 = cache
        dh, dw2, db2 = affine_backward(dout, cache2)
        da = gelu_backward(dh, cache_gelu) if bend is None else bend(dh, cache_gelu, a)
        dnormal, dw1, db1 = affine_backward(da, cache1)
        dx, dgamma, dbeta = norm(dnormal, cache_norm)
        if into_dout:
            dout += dx
            dx = dout
        else:
            dx = dx * branch + dout * residual
        return rest((dx, dgamma, dbeta, dw1, db1, dw2, db2), dout, da)

    return {"ffn_block_forward": forward, "ffn_block_backward": backward}


def _relu_bend(dh: Array, cache: tuple, a: Array) -> Array:
    return relu_backward(dh, relu_forward(a)[1])


def _skip_norm(dnormal: Array, cache: tuple) -> tuple:
    return dnormal, *layernorm_backward(dnormal, cache)[1:]


def _norm_scale_only(dnormal: Array, cache: tuple) -> tuple:
    _, inv_std, gamma, _ = cache
    return dnormal * gamma * inv_std, *layernorm_backward(dnormal, cache)[1:]


ffn_block_backward_exercise = Exercise(
    name="ffn_block_backward",
    title="Feed-forward block, backward",
    points=3,
    grades=("ffn_block_backward",),
    reference={"ffn_block_forward": ffn_block_forward, "ffn_block_backward": ffn_block_backward},
    visible=_block_backward_visible,
    hidden=_block_backward_hidden,
    labels={
        "dx": "dx hears from both ways that lead away from x",
        "dgamma": "dgamma",
        "dbeta": "dbeta",
        "dw1": "dw1",
        "db1": "db1",
        "dw2": "dw2",
        "db2": "db2",
    },
    misconceptions=[
        Misconception(
            "residual_path_missing",
            "Your dx is what comes back through the branch. x went another way too.",
            _block_backward(residual=False),
        ),
        Misconception(
            "branch_missing",
            "Your dx is what comes back past the branch. x went into it, too.",
            _block_backward(branch=False),
        ),
        Misconception(
            "gelu_skipped",
            "The gradient passes the GELU as if it were not there.",
            _block_backward(bend=lambda dh, cache, a: dh),
        ),
        Misconception(
            "relu_bend",
            "Your gradient goes through a ReLU where forward had a GELU.",
            _block_backward(bend=_relu_bend),
        ),
        Misconception(
            "gelu_weight_held_constant",
            "The slope of your GELU treats Phi as a constant: gelu_backward comes first.",
            _block_backward(bend=lambda dh, cache, a: dh * _cdf(a)),
        ),
        Misconception(
            "norm_skipped",
            "What comes back through the branch never passes the layernorm.",
            _block_backward(norm=_skip_norm),
        ),
        Misconception(
            "mean_and_deviation_held_constant",
            "You treat the mean and the deviation of a token as constants. When one of its numbers moves, so do they.",
            _block_backward(norm=_norm_scale_only),
        ),
        Misconception(
            "biases_not_summed",
            "Your db1 and db2 have a row for each token. All tokens share one bias.",
            _block_backward(rest=lambda grads, dout, da: (*grads[:4], da, grads[5], dout.copy())),
        ),
        Misconception(
            "averaged",
            "You divide the gradients of the parameters by the number of tokens. Nothing in the forward pass does.",
            _block_backward(
                rest=lambda grads, dout, da: (grads[0], *(each / len(dout) for each in grads[1:]))
            ),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The block above owns it and may use it again: make a new array.",
            _block_backward(into_dout=True),
        ),
        *cache_mistakes("ffn_block", ffn_block_forward, ffn_block_backward),
    ],
    stretch=True,
)


EXERCISES = [
    scale_gradient_exercise,
    unscale_gradients_exercise,
    update_scale_exercise,
    window,
    remedy,
    anomaly_exercise,
    gelu_forward_exercise,
    gelu_backward_exercise,
    quiz,
    silu_forward_exercise,
    silu_backward_exercise,
    ffn_block_forward_exercise,
    ffn_block_backward_exercise,
]
