"""Assignment 01: gradient checking. References, cases, points and misconceptions."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import gradcheck
from minigrad.layers import affine_backward, affine_forward

from ..answers import choices
from ..caches import cache_cases, cache_mistakes
from ..exercise import Between, Call, Case, Exercise, Fetch, Misconception, Probe, Ref

ASSIGNMENT = "01_gradient_checking"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]


# -- relative_error


def _relative_error_case(label: str, a: Array, b: Array, out: str = "error") -> Case:
    return Case(label, [Call("relative_error", (a, b), (out,))])


def _relative_error_visible(rng: Rng) -> Cases:
    a = rng.normal(size=(3, 4))
    b = a.copy()
    b[1, 2] *= 1.01
    yield _relative_error_case("one entry off by 1 %", a, b)
    c = rng.uniform(1.0, 4.0, 3)
    yield _relative_error_case("opposite signs", c, c * [1.0, -1.0, 1.1])
    yield _relative_error_case("gradients of size 1e-10", 1e-10 * a, 1.5e-10 * a, "error_of_tiny")
    d = rng.uniform(1.0, 4.0)
    zeros = np.array([0.0, d]), np.array([0.0, 1.01 * d])
    yield _relative_error_case("both exactly zero in one place", *zeros, "error_at_zero")


def _relative_error_hidden(rng: Rng) -> Cases:
    a = rng.normal(size=7)
    yield _relative_error_case("a vector", a, a + 0.1 * rng.normal(size=7))
    yield _relative_error_case("gradients of size 1e-12", 1e-12 * a, -1e-12 * a)
    yield _relative_error_case("all zero", np.zeros((2, 2)), np.zeros((2, 2)))
    yield _relative_error_case("zero against non-zero", np.array([0.0, 1.0]), np.array([1e-3, 1.0]))
    yield _relative_error_case("the larger value on either side", np.array([1.0, 2.0]), np.array([1.5, 1.0]))
    yield _relative_error_case("four dimensions", *rng.normal(size=(2, 2, 3, 2, 2)))


def _ratio(a: Array, b: Array, below: Callable, worst: Callable = np.max) -> float:
    """A relative error with a part of it replaced."""
    top, bottom = np.abs(a - b), below(np.abs(a), np.abs(b))
    return float(worst(np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)))


def _nan_at_zero(a: Array, b: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.max(np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))))


def _no_absolute_value(a: Array, b: Array) -> float:
    with np.errstate(all="ignore"):
        ratio = (a - b) / np.maximum(a, b)
    return float(np.max(np.where(a == b, 0.0, ratio)))


relative_error = Exercise(
    name="relative_error",
    title="Relative error",
    points=2,
    grades=("relative_error",),
    reference={"relative_error": gradcheck.relative_error},
    visible=_relative_error_visible,
    hidden=_relative_error_hidden,
    labels={
        "error": "the error is that of the worst element, relative to the larger of its two values",
        "error_of_tiny": "gradients of any size are compared alike",
        "error_at_zero": "two values that are both exactly zero agree",
    },
    misconceptions=[
        Misconception(
            "absolute_error",
            "You compare differences as they are. Is 1e-6 a large difference? It depends on what it is 1e-6 of.",
            {"relative_error": lambda a, b: float(np.max(np.abs(a - b)))},
        ),
        Misconception(
            "sum_in_denominator",
            "You divide by |a| + |b|. What does that give for two numbers of which one is twice the other, "
            "and what does the definition above give?",
            {"relative_error": lambda a, b: _ratio(a, b, np.add)},
        ),
        Misconception(
            "cs231n_floor",
            "You keep the denominator from falling below a fixed 1e-8. What happens to the error of a gradient "
            "that is itself smaller than that?",
            {"relative_error": lambda a, b: _ratio(a, b, lambda p, q: np.maximum(1e-8, p + q))},
        ),
        Misconception(
            "absolute_floor",
            "You keep the denominator from falling below a fixed small number. What happens to the error of a "
            "gradient that is itself smaller than that?",
            {"relative_error": lambda a, b: _ratio(a, b, lambda p, q: np.maximum(np.maximum(p, q), 1e-8))},
        ),
        Misconception(
            "mean_not_worst",
            "You average over the elements. How does one wrong entry among a thousand right ones look in an average?",
            {"relative_error": lambda a, b: _ratio(a, b, np.maximum, np.mean)},
        ),
        Misconception(
            "not_a_number_at_zero",
            "Where both values are exactly zero you divide zero by zero. Two equal numbers: what should the error be?",
            {"relative_error": _nan_at_zero},
        ),
        Misconception(
            "sign_lost",
            "Somewhere an absolute value is missing: a difference or a denominator can be negative, and then it "
            "can never be the largest.",
            {"relative_error": _no_absolute_value},
        ),
        Misconception(
            "norm_ratio",
            "You compare the lengths of the two arrays as a whole. One wrong small entry hides behind large ones.",
            {
                "relative_error": lambda a, b: float(
                    np.linalg.norm(a - b)
                    / (np.linalg.norm([np.linalg.norm(a), np.linalg.norm(b)], np.inf) or 1.0)
                )
            },
        ),
        Misconception(
            "largest_over_largest",
            "You divide the largest difference by the largest entry of all. Each difference should be compared with "
            "its own two values, and the worst taken after that.",
            {
                "relative_error": lambda a, b: float(
                    np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-300)
                )
            },
        ),
        Misconception(
            "one_value_below",
            "You divide by the size of the first value alone. Swap the two arguments: the error should not change.",
            {"relative_error": lambda a, b: _ratio(a, b, lambda p, q: p)},
        ),
    ],
)


# -- numerical_gradient


def _difference(f: Callable, x: Array, h: float, ahead: float, behind: float, width: float) -> Array:
    """The slope from x + ahead to x + behind, in place, as the reference does it."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        old = x[index]
        x[index] = old + ahead
        above = f(x)
        x[index] = old + behind
        below = f(x)
        x[index] = old
        gradient[index] = (above - below) / width
    return gradient


def _on_a_copy(f: Callable, x: Array, h: float = 1e-5) -> Array:
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = (f(up) - f(down)) / (2 * h)
    return gradient


def _not_restored(f: Callable, x: Array, h: float = 1e-5) -> Array:
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        x[index] += h
        above = f(x)
        x[index] -= 2 * h
        gradient[index] = (above - f(x)) / (2 * h)
    return gradient


def _all_at_once(f: Callable, x: Array, h: float = 1e-5) -> Array:
    x += h
    above = f(x)
    x -= 2 * h
    below = f(x)
    x += h
    return np.full_like(x, (above - below) / (2 * h))


def _fixed_step(f: Callable, x: Array, h: float = 1e-5) -> Array:
    return _difference(f, x, h, 1e-5, -1e-5, 2e-5)


def _first_row_only(f: Callable, x: Array, h: float = 1e-5) -> Array:
    gradient = np.zeros_like(x)
    for i in range(x.shape[0]):
        old = x[i].copy()
        x[i] = old + h
        above = f(x)
        x[i] = old - h
        below = f(x)
        x[i] = old
        gradient[i] = (above - below) / (2 * h)
    return gradient


def _numerical_case(
    label: str, x: Array, probe: Probe, h: float, out: str = "gradient", noise: float = 0.0
) -> Case:
    call = Call("numerical_gradient", (probe, x, h), (out,), inout=(1,))
    return Case(label, [call], noise={out: noise})


def _cubic(rng: Rng, shape: tuple, over: int | None = None) -> Probe:
    return Probe("cubic", {"a": rng.normal(size=shape), "b": rng.normal(size=shape)}, over)


def _numerical_visible(rng: Rng) -> Cases:
    # With a step this large the truncation error is far above round-off: which formula was used shows.
    yield _numerical_case("x of shape (3,), h = 0.1", rng.normal(size=3), _cubic(rng, (3,)), 0.1, noise=1e-12)
    yield _numerical_case(
        "x of shape (2, 3), h = 0.01", rng.normal(size=(2, 3)), _cubic(rng, (2, 3)), 0.01, noise=1e-11
    )
    x = rng.normal(size=(2, 2))
    yield _numerical_case(
        "f ignores its argument", x, _cubic(rng, (2, 2), over=1), 0.01, "gradient_of_closure", noise=1e-11
    )


def _numerical_hidden(rng: Rng) -> Cases:
    waves = Probe("waves", {"a": rng.normal(size=(3, 2))})
    yield _numerical_case("entries that interact", rng.normal(size=(3, 2)), waves, 0.02, noise=1e-11)
    yield _numerical_case("h = 1e-5", rng.normal(size=4), _cubic(rng, (4,)), 1e-5, noise=1e-9)
    yield _numerical_case(
        "three dimensions", rng.normal(size=(2, 1, 2)), _cubic(rng, (2, 1, 2)), 0.05, noise=1e-12
    )
    yield _numerical_case(
        "f ignores its argument", rng.normal(size=3), _cubic(rng, (3,), over=1), 0.05, noise=1e-12
    )


numerical_gradient = Exercise(
    name="numerical_gradient",
    title="Numerical gradient",
    points=5,
    grades=("numerical_gradient",),
    reference={"numerical_gradient": gradcheck.numerical_gradient},
    visible=_numerical_visible,
    hidden=_numerical_hidden,
    labels={
        "gradient": "the gradient is that of the centred difference",
        "gradient_of_closure": "it works for a function that ignores its argument and reads x from outside",
    },
    misconceptions=[
        Misconception(
            "one_sided",
            "Your values are those of a one-sided difference. Look at both sides of x.",
            {"numerical_gradient": lambda f, x, h=1e-5: _difference(f, x, h, h, 0.0, h)},
        ),
        Misconception(
            "backward_difference",
            "Your values are those of a one-sided difference, to the left. Look at both sides of x.",
            {"numerical_gradient": lambda f, x, h=1e-5: _difference(f, x, h, 0.0, -h, h)},
        ),
        Misconception(
            "divided_by_h",
            "Your values are twice what they should be. How far apart are the two points at which you look at f?",
            {"numerical_gradient": lambda f, x, h=1e-5: _difference(f, x, h, h, -h, h)},
        ),
        Misconception(
            "half_steps",
            "You step by half of h to each side. That is a centred difference, but not with the step you were given.",
            {"numerical_gradient": lambda f, x, h=1e-5: _difference(f, x, h, h / 2, -h / 2, h)},
        ),
        Misconception(
            "wrong_sign",
            "Your gradient has the opposite sign. Which of the two values do you subtract from which?",
            {"numerical_gradient": lambda f, x, h=1e-5: _difference(f, x, h, -h, h, 2 * h)},
        ),
        Misconception(
            "perturbs_a_copy",
            "You change a copy of x. A function that reads x from outside never sees your change, so for it nothing "
            "moves and the gradient comes out as zero.",
            {"numerical_gradient": _on_a_copy},
        ),
        Misconception(
            "not_restored",
            "After the last evaluation an entry of x is not put back. The next entry is then measured at a point "
            "that has moved, and the caller gets back an x that is not theirs.",
            {"numerical_gradient": _not_restored},
        ),
        Misconception(
            "all_entries_at_once",
            "You move all entries of x together. That measures the slope along the diagonal; a gradient has one "
            "number for each entry.",
            {"numerical_gradient": _all_at_once},
        ),
        Misconception(
            "step_ignored",
            "You use a step of your own instead of the h you were given.",
            {"numerical_gradient": _fixed_step},
        ),
        Misconception(
            "row_at_a_time",
            "You move a whole row of x at once. Each entry needs its own two evaluations, also when x has more than "
            "one dimension.",
            {"numerical_gradient": _first_row_only},
        ),
    ],
)


# -- affine_forward and affine_backward


def _affine_arrays(rng: Rng, shape: tuple, units: int) -> tuple[Array, Array, Array]:
    features = int(np.prod(shape[1:]))
    return rng.normal(size=shape), rng.normal(size=(features, units)), rng.normal(size=units)


def _forward_case(rng: Rng, shape: tuple, units: int, float32: bool = False) -> Case:
    kind = ", float32" if float32 else ""
    call = Call("affine_forward", _affine_arrays(rng, shape, units), ("out", "cache"))
    return Case(f"x of shape {shape}{kind}", [call], float32=float32)


def _backward_case(rng: Rng, shape: tuple, units: int, float32: bool = False) -> Case:
    kind = ", float32" if float32 else ""
    forward = Call("affine_forward", _affine_arrays(rng, shape, units), ("out", "cache"))
    dout = rng.normal(size=(shape[0], units))
    backward = Call("affine_backward", (dout, Ref("cache")), ("dx", "dw", "db"))
    return Case(f"x of shape {shape}{kind}", [forward, backward], float32=float32)


def _forward_visible(rng: Rng) -> Cases:
    yield _forward_case(rng, (4, 3), 3)
    yield _forward_case(rng, (2, 2, 3), 4)


def _forward_hidden(rng: Rng) -> Cases:
    yield _forward_case(rng, (5, 2, 3, 2), 7)
    yield _forward_case(rng, (1, 4), 2)
    yield _forward_case(rng, (3, 3), 3)
    yield _forward_case(rng, (6, 5), 1)
    yield _forward_case(rng, (4, 3, 2), 5, float32=True)


def _backward_visible(rng: Rng) -> Cases:
    yield _backward_case(rng, (4, 3), 5)
    yield _backward_case(rng, (3, 2, 3), 4)
    yield from cache_cases("affine", lambda: _affine_arrays(rng, (3, 2), 4), (3, 4), rng, ("dx", "dw", "db"))


def _backward_hidden(rng: Rng) -> Cases:
    yield _backward_case(rng, (5, 2, 3, 2), 7)
    yield _backward_case(rng, (1, 4), 2)
    yield _backward_case(rng, (3, 3), 3)
    yield _backward_case(rng, (6, 5), 1)
    yield _backward_case(rng, (4, 3, 2), 5, float32=True)


def _flat(x: Array) -> Array:
    return x.reshape(x.shape[0], -1)


def _forward_into_x(x: Array, w: Array, b: Array) -> Any:
    out = _flat(x) @ w + b
    x -= x.mean()
    return out, (x, w, b)


affine_forward_exercise = Exercise(
    name="affine_forward",
    title="Affine layer, forward",
    points=3,
    grades=("affine_forward",),
    reference={"affine_forward": affine_forward},
    visible=_forward_visible,
    hidden=_forward_hidden,
    labels={"out": "out has one row for each example"},
    misconceptions=[
        Misconception(
            "bias_forgotten",
            "Your output is what one gets without the bias.",
            {"affine_forward": lambda x, w, b: (_flat(x) @ w, (x, w, b))},
        ),
        Misconception(
            "not_flattened",
            "It works while x has two dimensions. An example may have any shape; w knows only how many numbers there "
            "are in one.",
            {"affine_forward": lambda x, w, b: (x @ w + b, (x, w, b))},
        ),
        Misconception(
            "flattened_across_examples",
            "You flatten x so that numbers of different examples end up in one row. The first axis counts examples: "
            "it has to stay as it is.",
            {"affine_forward": lambda x, w, b: (x.reshape(-1, x.shape[0]).T @ w + b, (x, w, b))},
        ),
        Misconception(
            "column_order",
            "You read the numbers of an example in column order. The rows of w are in the order in which numpy walks "
            "through an example by default.",
            {"affine_forward": lambda x, w, b: (x.reshape(x.shape[0], -1, order="F") @ w + b, (x, w, b))},
        ),
        Misconception(
            "bias_subtracted",
            "The bias enters with the wrong sign.",
            {"affine_forward": lambda x, w, b: (_flat(x) @ w - b, (x, w, b))},
        ),
        Misconception(
            "summed_over_the_batch",
            "You add up over the examples. Each example has its own output.",
            {"affine_forward": lambda x, w, b: ((_flat(x) @ w + b).sum(axis=0), (x, w, b))},
        ),
        Misconception(
            "elementwise_product",
            "You multiply entry by entry where a matrix product is needed: each output is a weighted sum over all "
            "features.",
            {"affine_forward": lambda x, w, b: (_flat(x) * w + b, (x, w, b))},
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"affine_forward": _forward_into_x},
        ),
    ],
)


def _backward(dx: Callable | None = None, dw: Callable | None = None, db: Callable | None = None) -> dict:
    """The backward pass with some of its gradients replaced; each takes dout, x, w, b."""

    def forward(x: Array, w: Array, b: Array) -> tuple:
        out, cache = affine_forward(x, w, b)
        return out, (cache, x, w, b)

    def backward(dout: Array, cache: tuple) -> tuple:
        right = affine_backward(dout, cache[0])
        replaced = zip(right, (dx, dw, db), strict=True)
        return tuple(honest if wrong is None else wrong(dout, *cache[1:]) for honest, wrong in replaced)

    return {"affine_forward": forward, "affine_backward": backward}


def _backward_into_dout(dout: Array, x: Array, w: Array, b: Array) -> Array:
    dx = (dout @ w.T).reshape(x.shape)
    dout *= 0
    return dx


affine_backward_exercise = Exercise(
    name="affine_backward",
    title="Affine layer, backward",
    points=5,
    grades=("affine_backward",),
    reference={"affine_forward": affine_forward, "affine_backward": affine_backward},
    visible=_backward_visible,
    hidden=_backward_hidden,
    labels={
        "dx": "dx is the gradient with respect to x, and has its shape",
        "dw": "dw is the gradient with respect to w, and has its shape",
        "db": "db is the gradient with respect to b, and has its shape",
    },
    misconceptions=[
        Misconception(
            "db_not_summed",
            "Your db has a row for each example. Every example uses the same b: what does that mean for its gradient?",
            _backward(db=lambda dout, x, w, b: dout),
        ),
        Misconception(
            "db_averaged",
            "Your db is the mean over the examples. Nothing in the forward pass divides by their number.",
            _backward(db=lambda dout, x, w, b: dout.mean(axis=0)),
        ),
        Misconception(
            "db_one_number",
            "Your db adds up over examples and over units. Each unit has a bias of its own.",
            _backward(db=lambda dout, x, w, b: np.sum(dout)),
        ),
        Misconception(
            "db_summed_over_units",
            "Your db adds up along the wrong axis: it has an entry for each example, not for each unit.",
            _backward(db=lambda dout, x, w, b: dout.sum(axis=1)),
        ),
        Misconception(
            "db_is_a_row",
            "Your db has the right numbers and one dimension too many. A gradient has the shape of what it is the "
            "gradient of.",
            _backward(db=lambda dout, x, w, b: dout.sum(axis=0, keepdims=True)),
        ),
        Misconception(
            "dw_averaged",
            "Your dw is divided by the number of examples. Nothing in the forward pass divides by it; if the loss "
            "does, dout has that factor already.",
            _backward(dw=lambda dout, x, w, b: _flat(x).T @ dout / x.shape[0]),
        ),
        Misconception(
            "dw_transposed",
            "Your dw is the transpose of what it should be. Write down the shapes of x, dout and w.",
            _backward(dw=lambda dout, x, w, b: dout.T @ _flat(x)),
        ),
        Misconception(
            "dw_not_flattened",
            "Your dw is right while x has two dimensions. The forward pass multiplied w with flattened examples: which "
            "x belongs into dw?",
            _backward(dw=lambda dout, x, w, b: x.T @ dout),
        ),
        Misconception(
            "wrong_order",
            "Your gradients come back in another order. They follow the arguments of the forward pass: x, w, b.",
            _backward(
                dx=lambda dout, x, w, b: _flat(x).T @ dout,
                dw=lambda dout, x, w, b: (dout @ w.T).reshape(x.shape),
            ),
        ),
        Misconception(
            "dx_not_reshaped",
            "Your dx has the right numbers in a flat row for each example. The forward pass flattened x: the way back "
            "has to undo that.",
            _backward(dx=lambda dout, x, w, b: dout @ w.T),
        ),
        Misconception(
            "dx_without_transpose",
            "Your dx multiplies with w as it stands. Follow one entry of dout back: which weights led to it?",
            _backward(dx=lambda dout, x, w, b: (dout @ w).reshape(x.shape)),
        ),
        Misconception(
            "wrong_sign",
            "Your gradient has the opposite sign. A gradient points to where the output grows.",
            _backward(
                dx=lambda dout, x, w, b: -(dout @ w.T).reshape(x.shape),
                dw=lambda dout, x, w, b: -_flat(x).T @ dout,
                db=lambda dout, x, w, b: -dout.sum(axis=0),
            ),
        ),
        Misconception(
            "upstream_forgotten",
            "Your gradients are those of the sum of the outputs: dout is not in them.",
            _backward(
                dx=lambda dout, x, w, b: (np.ones_like(dout) @ w.T).reshape(x.shape),
                dw=lambda dout, x, w, b: _flat(x).T @ np.ones_like(dout),
                db=lambda dout, x, w, b: np.ones_like(dout).sum(axis=0),
            ),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The caller still needs it: make a new array.",
            _backward(dx=_backward_into_dout),
        ),
        *cache_mistakes("affine", affine_forward, affine_backward),
    ],
)


# -- measured orders, bug hunt, quiz


orders = Exercise(
    name="orders",
    title="Order of accuracy, measured",
    points=2,
    grades=("order_one_sided", "order_centred"),
    reference={},
    visible=lambda rng: iter(
        [
            Case(
                "the slope that you measured",
                [Fetch("order_one_sided")],
                {"order_one_sided": Between(0.85, 1.15)},
            ),
            Case(
                "the slope that you measured",
                [Fetch("order_centred")],
                {"order_centred": Between(1.85, 2.15)},
            ),
        ]
    ),
    labels={
        "order_one_sided": "the measured order of the one-sided difference",
        "order_centred": "the measured order of the centred difference",
    },
    pure=False,
)


_CHOICES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
BUG_HUNT, QUIZ = _CHOICES["bug_hunt"], _CHOICES["quiz"]

bug_hunt = choices(
    ASSIGNMENT, "bug_hunt", BUG_HUNT, 5, variable="bug_hunt", title="Bug hunt", label="suspect"
)

quiz = choices(ASSIGNMENT, "quiz_01", QUIZ, 4)


# -- gradient_check (stretch)


def _variant(**changes: Any) -> Callable:
    """A check on a random subset; with `changes`, one in which one decision is wrong."""

    def gradient_check(
        loss: Callable, params: dict, grads: dict, rng: Rng, num_checks: int = 10, h: float = 1e-5
    ) -> dict[str, float]:
        errors = {}
        for name, array in params.items():
            found = []
            count = array.size if changes.get("everything") else min(num_checks, array.size)
            chosen = (
                range(count) if changes.get("first") else rng.choice(array.size, size=count, replace=False)
            )
            for flat in chosen:
                index = np.unravel_index(flat, array.shape)
                old = array[index]
                array[index] = old + h
                above = loss(params)
                array[index] = old - h
                below = loss(params)
                if not changes.get("left_moved"):
                    array[index] = old
                numerical, analytic = (above - below) / (2 * h), grads[name][index]
                scale = max(abs(numerical), abs(analytic), changes.get("floor", 0.0))
                error = abs(numerical - analytic)
                found.append(error if changes.get("absolute") else error / scale if scale else 0.0)
            errors[name] = float(
                found[-1] if changes.get("last") else np.mean(found) if changes.get("mean") else max(found)
            )
        return errors

    return gradient_check


def _check_case(
    rng: Rng,
    label: str,
    shapes: dict[str, tuple],
    wrong: dict[str, float],
    *,
    scale: float = 1.0,
    one_entry: bool = False,
    num_checks: int = 10,
    loss: str = "squares",
) -> Case:
    """A loss with a known gradient, of which some tensors are given multiplied by a factor."""
    # No entry near zero: its gradient would drown in the round-off of the loss.
    params = {
        name: rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape) for name, shape in shapes.items()
    }
    weights = {name: scale * float(rng.uniform(1, 2)) for name in shapes}
    power = {"squares": 1, "cubes": 2}[loss]
    grads = {name: weights[name] * params[name] ** power for name in shapes}
    for name, factor in wrong.items():
        if one_entry:
            grads[name].flat[0] *= factor
        else:
            grads[name] = factor * grads[name]
    call = Call(
        "gradient_check",
        (
            Probe(loss, {"weights": weights}),
            params,
            grads,
            np.random.default_rng(int(rng.integers(1 << 30))),
            num_checks,
        ),
        ("errors",),
        inout=(1,),
    )
    expect: dict[str, Any] = {}
    for name in shapes:
        error = abs(1 - wrong[name]) / max(1, abs(wrong[name])) if name in wrong else 0.0
        slack = 1e-4  # finite differences of a loss of this size are good to about 1e-8
        expect[f"errors.{name}"] = Between(max(0.0, error - slack), error + slack)
    most = 2 * sum(min(num_checks, int(np.prod(shape))) for shape in shapes.values())
    expect["calls"] = Between(1, most + 2 * len(shapes))
    return Case(label, [call], expect)


def _gradient_check_visible(rng: Rng) -> Cases:
    yield _check_case(rng, "right gradients", {"W1": (4, 5), "b1": (5,)}, {})
    yield _check_case(rng, "one tensor 1 % too large", {"W1": (4, 5), "b1": (5,)}, {"W1": 1.01}, num_checks=4)
    yield _check_case(
        rng,
        "one entry of wrong sign in a tensor of 5",
        {"W1": (1, 2), "b1": (5,)},
        {"b1": -1.0},
        one_entry=True,
    )
    yield _check_case(
        rng, "a loss scaled by 1e-9", {"W1": (3, 3), "b1": (3,)}, {"b1": 2.0}, scale=1e-9, num_checks=3
    )


def _gradient_check_hidden(rng: Rng) -> Cases:
    yield _check_case(rng, "three tensors", {"a": (2, 2, 2), "b": (12,), "c": (1,)}, {"b": 0.5}, num_checks=5)
    yield _check_case(rng, "num_checks = 3", {"W": (6, 5)}, {"W": -1.0}, num_checks=3)
    yield _check_case(rng, "num_checks = 3, all right", {"W": (6, 5), "b": (2,)}, {}, num_checks=3)
    yield _check_case(
        rng, "a loss of cubes", {"W": (3, 4), "b": (4,)}, {"b": 0.5}, num_checks=4, loss="cubes"
    )
    yield _check_case(
        rng, "a loss scaled by 1e-9", {"W1": (3, 3), "b1": (3,)}, {"W1": 1.5}, scale=1e-9, num_checks=3
    )


gradient_check = Exercise(
    name="gradient_check",
    title="Gradient check on a random subset",
    points=4,
    grades=("gradient_check",),
    reference={"gradient_check": _variant()},
    visible=_gradient_check_visible,
    hidden=_gradient_check_hidden,
    labels={
        "errors.W1": "the error of W1: near zero where its gradient is right, as large as it is wrong elsewhere",
        "errors.b1": "the error of b1: near zero where its gradient is right, as large as it is wrong elsewhere",
        "calls": "no more evaluations of the loss than the subset needs",
    },
    misconceptions=[
        Misconception(
            "every_element",
            "You check every element. For a network of a million parameters that is two million forward passes.",
            {"gradient_check": _variant(everything=True)},
        ),
        Misconception(
            "absolute_error",
            "You compare differences as they are, without dividing by the size of the gradient.",
            {"gradient_check": _variant(absolute=True)},
        ),
        Misconception(
            "absolute_floor",
            "You divide by at least 1e-8. What happens where the gradient is smaller than that?",
            {"gradient_check": _variant(floor=1e-8)},
        ),
        Misconception(
            "mean_not_worst",
            "You average the errors of a tensor. One wrong entry drowns.",
            {"gradient_check": _variant(mean=True)},
        ),
        Misconception(
            "last_not_worst",
            "You keep the error of the last element looked at, not of the worst.",
            {"gradient_check": _variant(last=True, first=True)},
        ),
        Misconception(
            "not_restored",
            "An element stays where the last evaluation left it: the parameters come back changed.",
            {"gradient_check": _variant(left_moved=True)},
        ),
    ],
    stretch=True,
)


EXERCISES = [
    relative_error,
    numerical_gradient,
    affine_forward_exercise,
    affine_backward_exercise,
    orders,
    bug_hunt,
    quiz,
    gradient_check,
]
