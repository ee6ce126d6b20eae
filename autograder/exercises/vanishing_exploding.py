"""Assignment 04: vanishing and exploding gradients. References, cases, points and misconceptions."""

import copy
import functools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.clipping import clip_grad_norm, clip_grad_value
from minigrad.diagnosis.gradient_flow import check_gradient_flow
from minigrad.initializers import he_init
from minigrad.layers import (
    affine_backward,
    affine_forward,
    relu_backward,
    relu_forward,
    residual_backward,
    residual_forward,
)

from ..answers import choices, number
from ..caches import cache_cases, cache_mistakes
from ..exercise import Between, Call, Case, Exercise, Fetch, Measure, Misconception, Ref, Train

ASSIGNMENT = "04_vanishing_exploding"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]
Grads = Mapping[str, Array]


# -- he_init: judged by what it draws, since there is more than one right distribution

# In standard errors: independent draws of any usual distribution reach 5.6, and two equal rows of 60 weights 7.7.
_BY_CHANCE = 7.0


def _generator(rng: Rng) -> Rng:
    return np.random.default_rng(int(rng.integers(1 << 30)))


def _drawn_case(rng: Rng, label: str, fan_in: int, fan_out: int) -> Case:
    # 5 standard errors of the width of as many normal numbers, and of their mean.
    width, count = float(np.sqrt(2 / fan_in)), fan_in * fan_out
    slack, shift = 5 * width / np.sqrt(2 * count), 5 * width / np.sqrt(count)
    return Case(
        label,
        [
            Call("he_init", (fan_in, fan_out, _generator(rng)), ("w",)),
            Measure("spread", (Ref("w"),), ("mean", "std")),
            Measure("shape", (Ref("w"),), ("rows", "columns")),
            Measure("pattern", (Ref("w"),), ("alike", "uneven")),
        ],
        {
            "std": Between(
                width - slack,
                width + slack,
                "the standard deviation of your weights is {value}; with a ReLU behind it, such a layer would "
                "change the mean square",
            ),
            "mean": Between(
                -shift, shift, "the mean of your weights is {value}; it should be 0 but for chance"
            ),
            "rows": Between(
                fan_in, fan_in, f"your weights have {{value}} rows, and there are {fan_in} inputs"
            ),
            "columns": Between(
                fan_out, fan_out, f"your weights have {{value}} columns, and there are {fan_out} outputs"
            ),
            "alike": Between(
                0.0,
                _BY_CHANCE,
                "two rows or two columns of your weights are alike: {value} standard errors, where chance reaches 5",
            ),
            "uneven": Between(
                0.0,
                _BY_CHANCE,
                "a row or a column of your weights is wider or narrower than the rest: {value} standard errors, where "
                "chance reaches 5",
            ),
        },
        ignore=("w",),
    )


def _same_seed_case(rng: Rng) -> Case:
    generator = _generator(rng)
    return Case(
        "called twice, 4 inputs, 3 outputs",
        [
            Call("he_init", (4, 3, generator), ("w",)),
            Call("he_init", (4, 3, generator), ("w_again",)),
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


def _two_seeds_case(rng: Rng, label: str, fan_in: int, fan_out: int) -> Case:
    return Case(
        label,
        [
            Call("he_init", (fan_in, fan_out, _generator(rng)), ("w",)),
            Call("he_init", (fan_in, fan_out, _generator(rng)), ("w_again",)),
            Measure("overlap", (Ref("w"), Ref("w_again")), ("overlap",)),
        ],
        {
            "drew": Between(1.0, 1.0, "the generator that you were given is where it was before the call"),
            "overlap": Between(
                0.0,
                _BY_CHANCE,
                "two generators with different seeds gave weights that are alike: {value} standard errors, where "
                "chance reaches 4",
            ),
        },
        ignore=("w", "w_again"),
    )


def _he_visible(rng: Rng) -> Cases:
    yield _drawn_case(rng, "120 inputs, 60 outputs", 120, 60)
    yield _drawn_case(rng, "60 inputs, 150 outputs", 60, 150)
    yield _same_seed_case(rng)
    yield _two_seeds_case(rng, "called twice, 120 inputs, 60 outputs", 120, 60)


def _he_hidden(rng: Rng) -> Cases:
    for label, fan_in, fan_out in (
        ("more inputs", 200, 40),
        ("more outputs", 30, 240),
        ("a square", 80, 80),
        ("many inputs", 900, 25),
    ):
        yield _drawn_case(rng, label, fan_in, fan_out)
        yield _two_seeds_case(rng, label, fan_in, fan_out)


def _he_drawing(width: Callable[[int, int], float]) -> dict[str, Callable]:
    return {
        "he_init": lambda fan_in, fan_out, rng: (
            width(fan_in, fan_out) * rng.standard_normal((fan_in, fan_out))
        )
    }


def _he_uniform(bound: Callable[[int], float]) -> dict[str, Callable]:
    return {
        "he_init": lambda fan_in, fan_out, rng: rng.uniform(-bound(fan_in), bound(fan_in), (fan_in, fan_out))
    }


def _he(fan_in: int) -> float:
    return float(np.sqrt(2 / fan_in))


he_init_exercise = Exercise(
    name="he_init",
    title="He initialization",
    points=3,
    grades=("he_init",),
    reference={"he_init": he_init},
    visible=_he_visible,
    hidden=_he_hidden,
    labels={
        "std": "the weights have the standard deviation of the derivation",
        "mean": "their mean is 0",
        "rows": "one row for each input",
        "columns": "one column for each output",
        "alike": "every weight is drawn on its own",
        "uneven": "rows and columns are all equally wide",
        "randomness": "the same seed gives the same weights",
        "drew": "they come out of the generator that is given",
        "overlap": "another seed gives other weights",
    },
    pure=False,
    misconceptions=[
        Misconception(
            "two_forgotten",
            "With this width a layer without an activation keeps the size of a signal. What does the ReLU leave of "
            "the mean square?",
            _he_drawing(lambda fan_in, fan_out: float(np.sqrt(1 / fan_in))),
        ),
        Misconception(
            "xavier_instead",
            "That is the width of Xavier, which averages both fans. Which of the two decides how many terms a "
            "pre-activation has?",
            _he_drawing(lambda fan_in, fan_out: float(np.sqrt(2 / (fan_in + fan_out)))),
        ),
        Misconception(
            "fan_out_instead",
            "You divide by the number of outputs. Over what does a pre-activation sum?",
            _he_drawing(lambda fan_in, fan_out: float(np.sqrt(2 / fan_out))),
        ),
        Misconception(
            "variance_for_deviation",
            "The derivation gives a variance, and you use it as a standard deviation.",
            _he_drawing(lambda fan_in, fan_out: 2 / fan_in),
        ),
        Misconception(
            "root_of_the_two_alone",
            "You take the root of 2, and not of the number of inputs. The root of a variance is that of all of it.",
            _he_drawing(lambda fan_in, fan_out: float(np.sqrt(2) / fan_in)),
        ),
        Misconception(
            "mean_of_both_fans",
            "You make up for the ReLU, and divide by the mean of both fans. Which of the two decides how many terms a "
            "pre-activation has?",
            _he_drawing(lambda fan_in, fan_out: float(np.sqrt(4 / (fan_in + fan_out)))),
        ),
        Misconception(
            "width_forgotten",
            "These are standard normal numbers: nothing in them depends on the number of inputs.",
            _he_drawing(lambda fan_in, fan_out: 1.0),
        ),
        Misconception(
            "one_under_the_two",
            "You multiply the standard deviation by 2. By what does it grow if the variance doubles?",
            _he_drawing(lambda fan_in, fan_out: float(2 / np.sqrt(fan_in))),
        ),
        Misconception(
            "bound_for_deviation",
            "You use the bound of the uniform distribution as a standard deviation. Which standard deviation has a "
            "uniform draw between -a and a?",
            _he_drawing(lambda fan_in, fan_out: float(np.sqrt(6 / fan_in))),
        ),
        Misconception(
            "deviation_for_bound",
            "Your numbers are spread evenly up to the standard deviation that you want to have. That of a uniform draw "
            "between -a and a is smaller than a: by which factor?",
            _he_uniform(_he),
        ),
        Misconception(
            "framework_default",
            "That is what nn.Linear of PyTorch draws if nobody asks for anything else. Which standard deviation does "
            "it have, and which one did you derive?",
            _he_uniform(lambda fan_in: float(1 / np.sqrt(fan_in))),
        ),
        Misconception(
            "a_fixed_width",
            "Your width does not depend on the number of inputs. A sum of more terms is larger.",
            _he_drawing(lambda fan_in, fan_out: 0.01),
        ),
        Misconception(
            "only_positive",
            "All your weights are positive. What would be the mean of a sum of such products?",
            {"he_init": lambda fan_in, fan_out, rng: _he(fan_in) * rng.random((fan_in, fan_out))},
        ),
        Misconception(
            "transposed",
            "Your weights have the shape (fan_out, fan_in). The affine layer multiplies x, of shape (N, fan_in), with "
            "them from the right.",
            {"he_init": lambda fan_in, fan_out, rng: _he(fan_in) * rng.standard_normal((fan_out, fan_in))},
        ),
        Misconception(
            "own_generator",
            "You make a generator of your own, so every layer gets the same numbers. Draw from the one you were given.",
            {"he_init": lambda fan_in, fan_out, rng: he_init(fan_in, fan_out, np.random.default_rng(0))},
        ),
        Misconception(
            "generator_copied",
            "The generator itself stays where it was: you draw from a copy, or from np.random. What does the next "
            "layer get from it?",
            {"he_init": lambda fan_in, fan_out, rng: he_init(fan_in, fan_out, copy.deepcopy(rng))},
        ),
        Misconception(
            "one_row_for_all",
            "You draw one row and use it for all inputs. How many different numbers can a unit then hear from them?",
            {
                "he_init": lambda fan_in, fan_out, rng: np.tile(
                    _he(fan_in) * rng.standard_normal(fan_out), (fan_in, 1)
                )
            },
        ),
        Misconception(
            "one_column_for_all",
            "You draw one column and use it for all units. In what will two units of the layer ever differ?",
            {
                "he_init": lambda fan_in, fan_out, rng: np.tile(
                    _he(fan_in) * rng.standard_normal((fan_in, 1)), (1, fan_out)
                )
            },
        ),
    ],
)


# -- clip_grad_norm and clip_grad_value


def _grads(rng: Rng, size: float, **shapes: tuple) -> dict[str, Array]:
    return {name: size * rng.normal(size=shape) for name, shape in shapes.items()}


def _norm(grads: Grads) -> float:
    return float(np.sqrt(sum(float(np.sum(g**2)) for g in grads.values())))


def _clip_norm_case(
    label: str, grads: Grads, max_norm: float, out: str = "clipped", float32: bool = False
) -> Case:
    if float32:
        grads = {name: g.astype(np.float32) for name, g in grads.items()}
    return Case(label, [Call("clip_grad_norm", (dict(grads), max_norm), (out, "norm"))], float32=float32)


def _clip_norm_visible(rng: Rng) -> Cases:
    yield _clip_norm_case("a long gradient", _grads(rng, 10.0, W=(3, 4), b=(4,)), 2.0)
    grads = _grads(rng, 10.0, W=(3, 4), b=(4,))
    largest = max(_norm({"": g}) for g in grads.values())
    yield _clip_norm_case("each array is short enough, both together are not", grads, 1.01 * largest)
    yield _clip_norm_case("a short gradient", _grads(rng, 1.0, W=(3, 4)), 20.0, "kept")
    yield _clip_norm_case("a gradient of zeros", {"W": np.zeros((2, 3))}, 1.0, "kept")
    yield _clip_norm_case("float32", _grads(rng, 10.0, W=(4, 2), b=(2,)), 3.0, float32=True)


def _clip_norm_hidden(rng: Rng) -> Cases:
    yield _clip_norm_case("eight arrays", _grads(rng, 10.0, **{f"w{k}": (5, 3) for k in range(8)}), 5.0)
    yield _clip_norm_case("one array with three axes", _grads(rng, 30.0, kernel=(2, 3, 4)), 1.0)
    yield _clip_norm_case("one number", {"b": np.array([-70.0])}, 5.0)
    yield _clip_norm_case("exploded", _grads(rng, 1e30, W=(3, 3), b=(3,)), 5.0)
    yield _clip_norm_case("just short enough", {"W": np.array([[3.0, -4.0]])}, 5.01, "kept")
    zero_bias = _grads(rng, 20.0, W=(3, 3)) | {"b": np.zeros(3)}
    yield _clip_norm_case("one of the arrays is zero", zero_bias, 2.0)


Clip = Callable[[Grads, float], tuple]


def _factor(factor: Callable[[Grads, float], float], norm: Callable[[Grads], float] = _norm) -> Clip:
    def clip(grads: Grads, limit: float) -> tuple:
        return {name: factor(grads, limit) * g for name, g in grads.items()}, norm(grads)

    return clip


def _shorten(norm: Callable[[Grads], float]) -> Clip:
    """Right, but for how the norm is measured."""
    return _factor(lambda grads, limit: min(1.0, limit / norm(grads)) if norm(grads) else 1.0, norm)


def _clipped_in_place(clip: Callable, grads: Grads, limit: float) -> tuple:
    clipped, measured = clip(grads, limit)
    for name, g in grads.items():
        g[...] = clipped[name]
    return grads, measured


def _flat(grads: Grads) -> Array:
    return np.concatenate([g.ravel() for g in grads.values()])


clip_grad_norm_exercise = Exercise(
    name="clip_grad_norm",
    title="Clipping by norm",
    points=3,
    grades=("clip_grad_norm",),
    reference={"clip_grad_norm": clip_grad_norm},
    visible=_clip_norm_visible,
    hidden=_clip_norm_hidden,
    labels={
        "clipped.W": "a long gradient is shortened to max_norm",
        "clipped.b": "all arrays by the same factor",
        "norm": "the norm is that of all arrays together, before clipping",
        "kept.W": "a short gradient is left alone",
    },
    misconceptions=[
        Misconception(
            "each_on_its_own",
            "You clip every array on its own. Two layers whose gradients were 100 and 1 long: how long are they after "
            "that, and what has become of the direction of the whole?",
            {
                "clip_grad_norm": lambda grads, limit: (
                    {name: clip_grad_norm({name: g}, limit)[0][name] for name, g in grads.items()},
                    _norm(grads),
                )
            },
        ),
        Misconception(
            "always_to_the_limit",
            "You make short gradients longer, too. What should happen to a gradient that is short enough already?",
            {"clip_grad_norm": _factor(lambda grads, limit: limit / _norm(grads) if _norm(grads) else 1.0)},
        ),
        Misconception(
            "norms_added_up",
            "You add up the norms of the arrays. Write all entries below each other as one long vector: what is its "
            "norm?",
            {"clip_grad_norm": _shorten(lambda grads: sum(float(np.linalg.norm(g)) for g in grads.values()))},
        ),
        Misconception(
            "root_forgotten",
            "You compare the sum of squares with max_norm. What is missing from it to be a norm?",
            {"clip_grad_norm": _shorten(lambda grads: _norm(grads) ** 2)},
        ),
        Misconception(
            "root_mean_square",
            "You divide by the number of entries. A norm does not.",
            {"clip_grad_norm": _shorten(lambda grads: float(np.sqrt(np.mean(_flat(grads) ** 2))))},
        ),
        Misconception(
            "sum_of_sizes",
            "You add up the sizes of the entries. The Euclidean norm adds up something else, and takes a root.",
            {"clip_grad_norm": _shorten(lambda grads: float(np.sum(np.abs(_flat(grads)))))},
        ),
        Misconception(
            "largest_entry",
            "You measure the largest entry. That is another norm: how long is the whole vector?",
            {"clip_grad_norm": _shorten(lambda grads: float(np.max(np.abs(_flat(grads)))))},
        ),
        Misconception(
            "by_value",
            "You cut single entries. Then some of them shrink and others do not: which way does the gradient point "
            "afterwards?",
            {
                "clip_grad_norm": lambda grads, limit: (
                    {name: np.clip(g, -limit, limit) for name, g in grads.items()},
                    _norm(grads),
                )
            },
        ),
        Misconception(
            "unit_length",
            "Your clipped gradient has the norm 1. Which norm was asked for?",
            {
                "clip_grad_norm": _factor(
                    lambda grads, limit: 1 / _norm(grads) if _norm(grads) > limit else 1.0
                )
            },
        ),
        Misconception(
            "norm_after_clipping",
            "The norm that you return is the one after clipping: it never exceeds max_norm. What would you look at to "
            "see how often and how much is clipped?",
            {
                "clip_grad_norm": lambda grads, limit: (
                    clip_grad_norm(grads, limit)[0],
                    _norm(clip_grad_norm(grads, limit)[0]),
                )
            },
        ),
        Misconception(
            "zero_over_zero",
            "A gradient of zeros comes back as nan. Which of your lines divides by its norm, and need it run?",
            {
                "clip_grad_norm": _factor(
                    lambda grads, limit: float(
                        np.float64(min(_norm(grads), limit)) / np.float64(_norm(grads))
                    )
                )
            },
        ),
        Misconception(
            "writes_into_grads",
            "You change the gradients that you were given. The caller may still want to look at them: make new arrays.",
            {"clip_grad_norm": functools.partial(_clipped_in_place, clip_grad_norm)},
        ),
    ],
)


def _clip_value_case(
    label: str, grads: Grads, max_value: float, out: str = "clipped", float32: bool = False
) -> Case:
    if float32:
        grads = {name: g.astype(np.float32) for name, g in grads.items()}
    return Case(label, [Call("clip_grad_value", (dict(grads), max_value), (out, "largest"))], float32=float32)


def _both_signs(rng: Rng, size: float) -> dict[str, Array]:
    """Large and small entries of both signs, the largest of them negative."""
    W = rng.permuted(
        size * np.array([[-3.0, 2.4, 0.1, -0.2], [1.5, -1.2, 0.4, -0.5]]) * rng.uniform(0.9, 1.1, (2, 4))
    )
    return {"W": W, "b": size * np.array([0.3, -1.7, 2.1])}


def _clip_value_visible(rng: Rng) -> Cases:
    yield _clip_value_case("large entries of both signs", _both_signs(rng, 1.0), 1.0)
    yield _clip_value_case("a limit of 2.5", _both_signs(rng, 5.0), 2.5)
    yield _clip_value_case("small entries", _grads(rng, 0.1, W=(3, 3)), 5.0, "kept")
    yield _clip_value_case("float32", _both_signs(rng, 2.0), 0.5, float32=True)


def _clip_value_hidden(rng: Rng) -> Cases:
    yield _clip_value_case("five arrays", _grads(rng, 2.0, **{f"w{k}": (4, 3) for k in range(5)}), 0.7)
    yield _clip_value_case("three axes", _grads(rng, 3.0, kernel=(2, 3, 4)), 1.0)
    yield _clip_value_case("exploded", _grads(rng, 1e200, W=(3, 3)), 5.0)
    yield _clip_value_case("zeros", {"b": np.zeros(3)}, 1.0, "kept")


def _each_entry(f: Callable[[Array, float], Array], largest: Callable[[Grads], float] | None = None) -> dict:
    def clip(grads: Grads, limit: float) -> tuple:
        measured = largest(grads) if largest else float(np.max(np.abs(_flat(grads))))
        return {name: f(g, limit) for name, g in grads.items()}, measured

    return {"clip_grad_value": clip}


clip_grad_value_exercise = Exercise(
    name="clip_grad_value",
    title="Clipping by value",
    points=1,
    grades=("clip_grad_value",),
    reference={"clip_grad_value": clip_grad_value},
    visible=_clip_value_visible,
    hidden=_clip_value_hidden,
    labels={
        "clipped.W": "large entries are cut at max_value, small ones stay",
        "clipped.b": "in every array",
        "largest": "largest is the size of the largest entry before clipping",
        "kept.W": "small gradients are left alone",
    },
    misconceptions=[
        Misconception(
            "from_above_only",
            "You cut entries that are too large, and leave those that are too small. A gradient has two signs.",
            _each_entry(np.minimum),
        ),
        Misconception(
            "from_below_only",
            "You cut entries below -max_value, and leave those above max_value.",
            _each_entry(lambda g, limit: np.maximum(g, -limit)),
        ),
        Misconception(
            "sign_lost",
            "Entries that you cut come out positive. Which sign did they have?",
            _each_entry(lambda g, limit: np.minimum(np.abs(g), limit)),
        ),
        Misconception(
            "set_to_zero",
            "You throw large entries away. Cut them off at max_value.",
            _each_entry(lambda g, limit: np.where(np.abs(g) > limit, 0.0, g)),
        ),
        Misconception(
            "scaled_down",
            "You scale the whole array until its largest entry fits. Then small entries shrink as well: should they?",
            _each_entry(lambda g, limit: g * min(1.0, limit / max(np.max(np.abs(g)), 1e-300))),
        ),
        Misconception(
            "by_norm",
            "You shorten the array as a whole. Here every entry is looked at on its own.",
            _each_entry(lambda g, limit: g * min(1.0, limit / max(float(np.linalg.norm(g)), 1e-300))),
        ),
        Misconception(
            "signs_alone",
            "All your entries have the same size. Those that were small enough should stay as they were.",
            _each_entry(lambda g, limit: limit * np.sign(g)),
        ),
        Misconception(
            "largest_with_sign",
            "Your largest is the largest entry, not the one of the largest size: the most negative one counts too.",
            _each_entry(
                lambda g, limit: np.clip(g, -limit, limit), lambda grads: float(np.max(_flat(grads)))
            ),
        ),
        Misconception(
            "largest_after_clipping",
            "Your largest is measured after clipping: it never exceeds max_value. What was it before?",
            {
                "clip_grad_value": lambda grads, limit: (
                    clip_grad_value(grads, limit)[0],
                    float(np.max(np.abs(_flat(clip_grad_value(grads, limit)[0])))),
                )
            },
        ),
        Misconception(
            "largest_of_the_last",
            "Your largest is that of the last array alone. Which entry is the largest of all arrays?",
            _each_entry(
                lambda g, limit: np.clip(g, -limit, limit),
                lambda grads: float(np.max(np.abs(list(grads.values())[-1]))),
            ),
        ),
        Misconception(
            "writes_into_grads",
            "You change the gradients that you were given. The caller may still want to look at them: make new arrays.",
            {"clip_grad_value": functools.partial(_clipped_in_place, clip_grad_value)},
        ),
    ],
)


# -- the residual block

_NAMES = ("dx", "dw1", "db1", "dw2", "db2")


def _block(rng: Rng, n: int, d: int, h: int, scale: float | None = None) -> tuple:
    arrays = (
        rng.normal(size=(n, d)),
        rng.normal(size=(d, h)),
        rng.normal(size=h),
        rng.normal(size=(h, d)),
        rng.normal(size=d),
    )
    return arrays if scale is None else (*arrays, scale)


def _without(args: tuple, *positions: int) -> tuple:
    """The same block with some of its arrays zero."""
    return tuple(np.zeros_like(a) if k in positions else a for k, a in enumerate(args))


def _block_forward_case(label: str, args: tuple, float32: bool = False) -> Case:
    return Case(label, [Call("residual_forward", args, ("out", "cache"))], float32=float32)


def _block_forward_visible(rng: Rng) -> Cases:
    yield _block_forward_case("x of shape (3, 4), 6 hidden units", _block(rng, 3, 4, 6))
    yield _block_forward_case("scale 0.1", _block(rng, 5, 3, 4, 0.1))
    yield _block_forward_case("scale 0.5, a branch of zeros", _without(_block(rng, 4, 3, 5, 0.5), 3, 4))
    yield _block_forward_case("float32", _block(rng, 3, 3, 4, 0.7), float32=True)


def _block_forward_hidden(rng: Rng) -> Cases:
    yield _block_forward_case("one example", _block(rng, 1, 5, 3, 0.3))
    yield _block_forward_case("a square", _block(rng, 4, 4, 4))
    yield _block_forward_case("one hidden unit", _block(rng, 6, 4, 1, 2.0))
    yield _block_forward_case("scale 0", _block(rng, 3, 4, 5, 0.0))
    yield _block_forward_case("a batch", _block(rng, 64, 8, 16, 0.14))


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _block_out(f: Callable[..., Array]) -> dict[str, Callable]:
    """A forward pass that computes `f` of x, the branch before its second matrix, the others, and the scale."""

    def forward(x: Array, w1: Array, b1: Array, w2: Array, b2: Array, scale: float = 1.0) -> tuple:
        h = _relu(x @ w1 + b1)
        return f(x, h, w2, b2, scale), None

    return {"residual_forward": forward}


def _added_to_x(
    x: Array, w1: Array, b1: Array, w2: Array, b2: Array, scale: float = 1.0
) -> tuple[Array, None]:
    x += scale * (_relu(x @ w1 + b1) @ w2 + b2)
    return x, None


residual_forward_exercise = Exercise(
    name="residual_forward",
    title="Residual block, forward",
    points=2,
    grades=("residual_forward",),
    reference={"residual_forward": residual_forward},
    visible=_block_forward_visible,
    hidden=_block_forward_hidden,
    labels={"out": "out is x plus the scaled branch"},
    misconceptions=[
        Misconception(
            "shortcut_forgotten",
            "Your out is the branch alone. What should come out when the branch gives zeros?",
            _block_out(lambda x, h, w2, b2, scale: scale * (h @ w2 + b2)),
        ),
        Misconception(
            "scale_forgotten",
            "It works while the scale is 1. Which part of the sum does it multiply?",
            _block_out(lambda x, h, w2, b2, scale: x + h @ w2 + b2),
        ),
        Misconception(
            "all_scaled",
            "You scale the whole sum, x too. After 50 blocks with a scale of 0.5, what is left of x?",
            _block_out(lambda x, h, w2, b2, scale: scale * (x + h @ w2 + b2)),
        ),
        Misconception(
            "bias_past_the_scale",
            "You scale the product and not the second bias. The bias belongs to the branch.",
            _block_out(lambda x, h, w2, b2, scale: x + scale * (h @ w2) + b2),
        ),
        Misconception(
            "relu_after_the_sum",
            "You send the sum through a ReLU. Then nothing below zero gets past the block, and x is not handed on as "
            "it was.",
            _block_out(lambda x, h, w2, b2, scale: _relu(x + scale * (h @ w2 + b2))),
        ),
        Misconception(
            "relu_after_the_branch",
            "You send the branch through a second ReLU. A branch that can only add never takes anything away.",
            _block_out(lambda x, h, w2, b2, scale: x + scale * _relu(h @ w2 + b2)),
        ),
        Misconception(
            "relu_forgotten",
            "There is no ReLU in your branch: two affine layers in a row are one affine layer.",
            {
                "residual_forward": lambda x, w1, b1, w2, b2, scale=1.0: (
                    x + scale * ((x @ w1 + b1) @ w2 + b2),
                    None,
                )
            },
        ),
        Misconception(
            "relu_first",
            "Your ReLU stands before the first matrix. In this block it stands between the two.",
            {
                "residual_forward": lambda x, w1, b1, w2, b2, scale=1.0: (
                    x + scale * ((_relu(x) @ w1 + b1) @ w2 + b2),
                    None,
                )
            },
        ),
        Misconception(
            "added_to_x",
            "You add the branch into x itself. The caller still needs it: make a new array.",
            {"residual_forward": _added_to_x},
        ),
    ],
)


def _block_backward_case(label: str, args: tuple, rng: Rng, float32: bool = False) -> Case:
    return Case(
        label,
        [
            Call("residual_forward", args, ("out", "cache")),
            Call("residual_backward", (rng.normal(size=args[0].shape), Ref("cache")), _NAMES),
        ],
        float32=float32,
    )


def _block_backward_visible(rng: Rng) -> Cases:
    yield _block_backward_case("x of shape (3, 4), 6 hidden units", _block(rng, 3, 4, 6), rng)
    yield _block_backward_case("scale 0.1", _block(rng, 5, 3, 4, 0.1), rng)
    yield _block_backward_case("scale 0.5, w2 is zero", _without(_block(rng, 4, 3, 5, 0.5), 3), rng)
    draw = functools.partial(_block, rng, 3, 2, 4, 0.6)
    yield from cache_cases("residual", draw, (3, 2), rng, _NAMES)
    yield _block_backward_case("float32", _block(rng, 3, 3, 4, 0.7), rng, float32=True)


def _block_backward_hidden(rng: Rng) -> Cases:
    yield _block_backward_case("one example", _block(rng, 1, 5, 3, 0.3), rng)
    yield _block_backward_case("a square", _block(rng, 4, 4, 4), rng)
    yield _block_backward_case("one hidden unit", _block(rng, 6, 4, 1, 2.0), rng)
    yield _block_backward_case("scale 0", _block(rng, 3, 4, 5, 0.0), rng)
    dead = _block(rng, 4, 3, 5, 0.4)
    dead[2][...] = -100.0  # no hidden unit fires
    yield _block_backward_case("a dead branch", dead, rng)
    yield _block_backward_case("a batch", _block(rng, 64, 8, 16, 0.14), rng)


def _block_backward(f: Callable[..., tuple]) -> dict[str, Callable]:
    """The block with its backward pass replaced by `f`, which takes dout, x, w1, w2, the scale, and what h was."""

    def forward(x: Array, w1: Array, b1: Array, w2: Array, b2: Array, scale: float = 1.0) -> tuple:
        h = _relu(x @ w1 + b1)
        return x + scale * (h @ w2 + b2), (x, w1, w2, scale, h)

    def backward(dout: Array, cache: tuple) -> tuple:
        x, w1, w2, scale, h = cache
        return f(dout, x, w1, w2, scale, h)

    return {"residual_forward": forward, "residual_backward": backward}


def _through(
    dbranch: Array, x: Array, w1: Array, w2: Array, h: Array, mask: Array | None = None
) -> tuple[Array, ...]:
    """Gradients of the branch, for a gradient at its end."""
    da = (dbranch @ w2.T) * ((h > 0) if mask is None else mask)
    return da @ w1.T, x.T @ da, da.sum(axis=0), h.T @ dbranch, dbranch.sum(axis=0)


def _plus(dx: Array, gradients: tuple) -> tuple:
    return (gradients[0] + dx, *gradients[1:])


def _into_dout(dout: Array, x: Array, w1: Array, w2: Array, scale: float, h: Array) -> tuple:
    gradients = _through(scale * dout, x, w1, w2, h)
    dout += gradients[0]
    return (dout, *gradients[1:])


def _mask_of_gradient(dout: Array, x: Array, w1: Array, w2: Array, scale: float, h: Array) -> tuple:
    return _plus(dout, _through(scale * dout, x, w1, w2, h, (scale * dout) @ w2.T > 0))


residual_backward_exercise = Exercise(
    name="residual_backward",
    title="Residual block, backward",
    points=4,
    grades=("residual_backward",),
    reference={"residual_forward": residual_forward, "residual_backward": residual_backward},
    visible=_block_backward_visible,
    hidden=_block_backward_hidden,
    labels={
        "dx": "dx collects what comes back both ways",
        "dw1": "dw1 is the gradient with respect to w1",
        "db1": "db1 is the gradient with respect to b1",
        "dw2": "dw2 is the gradient with respect to w2",
        "db2": "db2 is the gradient with respect to b2",
    },
    misconceptions=[
        Misconception(
            "shortcut_forgotten",
            "Your dx is what comes back through the branch. x goes two ways into out: which one is missing?",
            _block_backward(lambda dout, x, w1, w2, scale, h: _through(scale * dout, x, w1, w2, h)),
        ),
        Misconception(
            "shortcut_alone",
            "Your dx is dout. x goes two ways into out: what comes back through the branch?",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: (
                    dout.copy(),
                    *_through(scale * dout, x, w1, w2, h)[1:],
                )
            ),
        ),
        Misconception(
            "one_for_dout",
            "You add 1 to what comes back through the branch. 1 is the local gradient of the shortcut: what is it "
            "multiplied by on the way back?",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: _plus(np.ones_like(x), _through(scale * dout, x, w1, w2, h))
            ),
        ),
        Misconception(
            "scale_forgotten",
            "It works while the scale is 1. By what does out change when the branch changes by a little?",
            _block_backward(lambda dout, x, w1, w2, scale, h: _plus(dout, _through(dout, x, w1, w2, h))),
        ),
        Misconception(
            "all_scaled",
            "You scale what comes back past the branch as well. Which of the two ways has the scale on it?",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: _plus(scale * dout, _through(scale * dout, x, w1, w2, h))
            ),
        ),
        Misconception(
            "scale_in_dx_alone",
            "Your dx is scaled and the gradients of the weights are not. The weights lie behind the same scale.",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: (
                    dout + scale * _through(dout, x, w1, w2, h)[0],
                    *_through(dout, x, w1, w2, h)[1:],
                )
            ),
        ),
        Misconception(
            "scale_twice",
            "Your branch is scaled twice. How often does the forward pass multiply by it?",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: _plus(dout, _through(scale**2 * dout, x, w1, w2, h))
            ),
        ),
        Misconception(
            "relu_skipped",
            "You walk past the ReLU. Which of the hidden units let a gradient through?",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: _plus(
                    dout, _through(scale * dout, x, w1, w2, h, np.ones_like(h))
                )
            ),
        ),
        Misconception(
            "mask_of_the_gradient",
            "You let those gradients through that are positive. What decides is what the units did on the way up.",
            _block_backward(_mask_of_gradient),
        ),
        Misconception(
            "shortcut_in_db2",
            "You add the gradient of the shortcut to that of the branch, and db2 is larger than it should be. Does b2 "
            "lie on the way past the branch?",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: (
                    *_plus(dout, _through(scale * dout, x, w1, w2, h))[:4],
                    (dout + scale * dout).sum(axis=0),
                )
            ),
        ),
        Misconception(
            "averaged",
            "Your gradients of the parameters are divided by the number of examples. Nothing in the forward pass "
            "divides by it.",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: (
                    _plus(dout, _through(scale * dout, x, w1, w2, h))[0],
                    *(g / max(len(x), 2) for g in _through(scale * dout, x, w1, w2, h)[1:]),
                )
            ),
        ),
        Misconception(
            "wrong_sign",
            "The branch has the opposite sign in your dx. The forward pass adds it.",
            _block_backward(
                lambda dout, x, w1, w2, scale, h: (
                    dout - _through(scale * dout, x, w1, w2, h)[0],
                    *_through(scale * dout, x, w1, w2, h)[1:],
                )
            ),
        ),
        Misconception(
            "added_to_dout",
            "You write into dout itself. The caller still needs it: make a new array.",
            _block_backward(_into_dout),
        ),
        *cache_mistakes("residual", residual_forward, residual_backward),
    ],
)


# -- measured


weight_gradients = Exercise(
    name="weight_gradients",
    title="Weight gradients, measured",
    points=2,
    grades=("activation_ratio", "weight_ratio", "product_spread"),
    reference={},
    visible=lambda rng: iter(
        [
            number(
                "activation_ratio",
                1e-9,
                1e-4,
                "activation_ratio is {value}. For chain(20, 0.5), divide the norm of da of the first layer by that of "
                "the last: which of the two is smaller?",
            ),
            number(
                "weight_ratio",
                0.05,
                20.0,
                "weight_ratio is {value}. For chain(20, 0.5), divide the norm of dw of the first layer by that of the "
                "last.",
            ),
            number(
                "product_spread",
                -1e-9,
                1e-9,
                "product_spread is {value}. For each layer add up all entries of w * dw with their signs, and compare "
                "the largest of the 20 sums with the smallest: how far is their ratio from 1?",
            ),
        ]
    ),
    labels={
        "activation_ratio": "the gradient of the activations, first layer over last",
        "weight_ratio": "the gradient of the weights, first layer over last",
        "product_spread": "the sums of w * dw, compared",
    },
    pure=False,
)

ensemble = Exercise(
    name="ensemble",
    title="Ten layers, many networks",
    points=2,
    grades=("mean_growth", "median_growth", "share_below_half"),
    reference={},
    visible=lambda rng: iter(
        [
            number(
                "mean_growth",
                0.5,  # of 40 seeds each with normal, uniform and random-sign weights: 0.70 to 1.41
                2.5,
                "mean_growth is {value}. Take the mean over the 400 networks of the last column. It should be "
                "what the derivation promised; if it is far from that, is he_init right?",
            ),
            number(
                "median_growth",
                0.15,  # 0.21 to 0.44
                0.5,
                "median_growth is {value}. Take the median over the 400 networks of the last column. Is he_init right?",
            ),
            number(
                "share_below_half",
                0.52,  # 0.55 to 0.68, and over all layers together 0.37 to 0.50
                0.75,
                "share_below_half is {value}. Which share, from 0 to 1, of the 400 numbers in the last column is below "
                "0.5?",
            ),
        ]
    ),
    labels={
        "mean_growth": "the mean over networks",
        "median_growth": "the median over networks",
        "share_below_half": "how many lose half of it and more",
    },
    pure=False,
)

angles = Exercise(
    name="angles",
    title="Two ways to clip, measured",
    points=2,
    grades=("angle_norm", "angle_value", "ratio_norm"),
    reference={},
    visible=lambda rng: iter(
        [
            number(
                "angle_norm",
                0.0,
                0.01,
                "angle_norm is {value} degrees. The angle is between the gradient before and after clip_grad_norm at "
                "1.0, all arrays as one vector. Is clip_grad_norm right?",
            ),
            number(
                "angle_value",
                36.0,  # at 0.1 draws of the weights lie between 42 and 53, at 0.01 from 55 on
                55.0,
                "angle_value is {value} degrees. The angle is between the gradient before and after clip_grad_value at "
                "0.1, all arrays as one vector.",
            ),
            number(
                "ratio_norm",
                0.999,
                1.001,
                "ratio_norm is {value}. Divide the ratio of the two layers after clip_grad_norm by the ratio before. "
                "Is clip_grad_norm right?",
            ),
        ]
    ),
    labels={
        "angle_norm": "the angle that clipping by norm turns the gradient",
        "angle_value": "the angle that clipping by value turns the gradient",
        "ratio_norm": "what clipping by norm does to the ratio between layers",
    },
    pure=False,
)


# -- remedies


def _remedy(name: str, variable: str, title: str, experiment: str, remedy: dict, seen: str) -> Exercise:
    """A remedy is trained with from five starting points, and has to reach an accuracy that chance does not."""
    return Exercise(
        name=name,
        title=title,
        points=3,
        grades=(variable,),
        reference={variable: remedy},
        visible=lambda rng: iter(
            [
                Case(
                    "trained from 5 starting points",
                    [Fetch(variable), Train(experiment, Ref(variable), ("accuracy",), tuple(range(5)))],
                    {"accuracy": Between(0.8, 1.0, seen)},
                )
            ]
        ),
        labels={"accuracy": "the network learns"},
        pure=False,
    )


remedy_plain = _remedy(
    "remedy_04_plain",
    "remedy_plain",
    "Fifty plain layers that learn",
    "deep_plain",
    {"weight_std": 0.25},
    "after training the accuracy is {value}; a network that learns reaches 0.8 and more, and guessing gives 0.5",
)
remedy_residual = _remedy(
    "remedy_04_residual",
    "remedy_residual",
    "Fifty residual blocks that learn",
    "deep_residual",
    {"branch_scale": 0.1},
    "after training the accuracy is {value}; a network that learns reaches 0.8 and more, and guessing gives 0.5",
)


# -- check_gradient_flow (stretch): judged by what it measures, since its weights may be drawn in any order


def _flow_case(rng: Rng, label: str, depth: int, scale: float, width: int, examples: int) -> Case:
    # A ReLU lets half of the mean square through, on the way back as well. Over 150 seeds the factor lay between
    # 0.91 and 1.06 of this; a student who sends ones down, and not random numbers, gets up to 1.21 of it.
    growth, last = scale * np.sqrt(width / 2), np.sqrt(examples * width)
    return Case(
        label,
        [
            Call("check_gradient_flow", (depth, scale, _generator(rng), width, examples), ("norms",)),
            Measure("flow", (Ref("norms"),), ("count", "last", "growth")),
        ],
        {
            "last": Between(
                0.8 * last,
                1.2 * last,
                f"the last norm is {{value}}. It is that of the random gradient that you start with: as "
                f"{examples * width} standard normal numbers it should be near {last:.1f}",
            ),
            "growth": Between(
                0.85 * growth,
                1.3 * growth,
                f"from each layer down to the one below, your norms change by a factor of {{value}}; here it "
                f"should be near {growth:.2f}",
            ),
            "count": Between(depth, depth, f"you return {{value}} numbers for {depth} layers"),
        },
        ignore=("norms",),
    )


def _flow_visible(rng: Rng) -> Cases:
    yield _flow_case(rng, "8 layers of 200 units, weights of size 0.05", 8, 0.05, 200, 4)
    yield _flow_case(rng, "8 layers of 200 units, weights of size 0.2", 8, 0.2, 200, 4)


def _flow_hidden(rng: Rng) -> Cases:
    for label, depth, width, examples in (
        ("12 layers", 12, 250, 5),
        ("one example", 6, 300, 1),
        ("20 layers", 20, 220, 3),
        ("9 layers", 9, 280, 7),
    ):
        yield _flow_case(rng, label, depth, float(rng.uniform(0.04, 0.2)), width, examples)


def _chain(
    seen: Callable[[list, list, Array], Any], rectified: bool = True, top: str = "random"
) -> dict[str, Callable]:
    """Both passes, and what `seen` makes of the gradients of outputs, those of weights, and the activations."""

    def check(depth: int, weight_scale: float, rng: Rng, width: int = 50, examples: int = 64) -> Any:
        x: Any = rng.standard_normal((examples, width))
        caches, activations = [], []
        for _ in range(depth):
            w = weight_scale * rng.standard_normal((width, width))
            z, affine = affine_forward(x, w, np.zeros(width))
            x, relu = relu_forward(z) if rectified else (z, np.ones_like(z, bool))
            caches.append((affine, relu))
            activations.append(x)
        dout: Any = {"random": rng.standard_normal(x.shape), "mean": np.full_like(x, 1 / x.size), "out": x}[
            top
        ]
        outputs, weights = [], []
        for affine, relu in reversed(caches):
            outputs.append(dout)
            dout, dw, _ = affine_backward(relu_backward(dout, relu), affine)
            weights.append(dw)
        return seen(outputs[::-1], weights[::-1], np.array(activations))

    return {"check_gradient_flow": check}


def _norms(arrays: Any) -> Array:
    return np.array([np.linalg.norm(a) for a in arrays])


check_gradient_flow_exercise = Exercise(
    name="check_gradient_flow",
    title="The flow of a gradient, as a function",
    points=2,
    grades=("check_gradient_flow",),
    reference={"check_gradient_flow": check_gradient_flow},
    visible=_flow_visible,
    hidden=_flow_hidden,
    labels={
        "last": "the last number is that of the last layer",
        "growth": "from layer to layer they change as they should",
        "count": "one number for each layer",
    },
    pure=False,
    stretch=True,
    misconceptions=[
        Misconception(
            "weight_gradients",
            "You return the norms of the weight gradients. Section 5 says what those hide.",
            _chain(lambda outputs, weights, activations: _norms(weights)),
        ),
        Misconception(
            "last_layer_first",
            "Your first number is that of the last layer. In which order does the backward pass meet them?",
            _chain(lambda outputs, weights, activations: _norms(outputs)[::-1]),
        ),
        Misconception(
            "activations_instead",
            "You return the norms of the activations, on the way up. The gradient goes the other way.",
            _chain(lambda outputs, weights, activations: _norms(activations)),
        ),
        Misconception(
            "relu_forgotten",
            "Your layers have no ReLU: each of them multiplies by more than it should.",
            _chain(lambda outputs, weights, activations: _norms(outputs), rectified=False),
        ),
        Misconception(
            "squared_norms",
            "You return squares of norms.",
            _chain(lambda outputs, weights, activations: _norms(outputs) ** 2),
        ),
        Misconception(
            "gradient_of_the_mean",
            "You start from the gradient of the mean of the outputs, and not from random numbers.",
            _chain(lambda outputs, weights, activations: _norms(outputs), top="mean"),
        ),
        Misconception(
            "outputs_as_gradient",
            "You start the backward pass from the outputs themselves, and not from random numbers.",
            _chain(lambda outputs, weights, activations: _norms(outputs), top="out"),
        ),
        Misconception(
            "mean_sizes",
            "You return mean sizes of entries. How long is the gradient as a vector?",
            _chain(lambda outputs, weights, activations: np.array([np.abs(g).mean() for g in outputs])),
        ),
        Misconception(
            "one_too_few",
            "One layer is missing: depth - 1 steps lie between them, but there are depth of them.",
            _chain(lambda outputs, weights, activations: _norms(outputs)[1:]),
        ),
    ],
)


# -- quiz

_CHOICES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
QUIZ = _CHOICES["quiz"]

quiz = choices(ASSIGNMENT, "quiz_04", QUIZ, 4)


EXERCISES = [
    he_init_exercise,
    weight_gradients,
    ensemble,
    clip_grad_norm_exercise,
    clip_grad_value_exercise,
    angles,
    residual_forward_exercise,
    residual_backward_exercise,
    remedy_plain,
    remedy_residual,
    check_gradient_flow_exercise,
    quiz,
]
