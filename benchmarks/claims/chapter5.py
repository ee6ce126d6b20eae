"""The interactive lesson, chapter 5: gradient checking."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import PAIRS, Array, he, stack, standardized, train
from minigrad.gradcheck import numerical_gradient, relative_error
from minigrad.layers import batchnorm_backward, batchnorm_forward, relu_forward
from minigrad.losses import softmax_loss
from minigrad.network import Layer, Sequential

CHAPTER = Chapter("The interactive lesson, chapter 5: gradient checking")


def _f(w: Array) -> np.floating:
    return (w**3 + 2 * w).sum()


def _error(step: float, method: str = "centred", kind: type = np.float64) -> float:
    """Relative error of the slope of w³ + 2w at 1.5."""
    w: Array = np.array([1.5], kind)
    measured = numerical_gradient(_f, w, step, method)
    return float(relative_error(measured.astype(np.float64), np.array([3 * 1.5**2 + 2])))


@CHAPTER.claim("5.1", "introduction", "With a wrong backward pass the loss still decreases.", "01")
def silent() -> Finding:
    def from_dout(dout: Array, cache: object) -> Array:
        return np.where(dout > 0, dout, 0.0)  # the mask from the wrong array

    scores = []
    for backward in (PAIRS["relu"][1], from_dout):
        rng = np.random.default_rng(0)
        net = stack([64, 32, 10], "relu", he(rng))
        net = Sequential(**{**net.parts, "act1": Layer(relu_forward, backward)})
        losses, share = train(net, standardized(), rng, rate=0.1, steps=300)
        scores.append((losses[0], losses[-20:].mean(), share))
    return Finding(
        f"ReLU with its mask from dout: loss {scores[1][0]:.2f} to {scores[1][1]:.2f}, accuracy "
        f"{scores[1][2]:.2f}, against {scores[0][1]:.2f} and {scores[0][2]:.2f}",
        judge(scores[0][1] < scores[1][1] < scores[1][0] / 2),
    )


@CHAPTER.claim(
    "5.2", "finite differences", "The centred formula errs by O(ε²), the one-sided one by O(ε).", "01"
)
def orders() -> Finding:
    steps = np.array([1e-1, 1e-2, 1e-3])
    slopes = {
        method: float(np.polyfit(np.log(steps), np.log([_error(h, method) for h in steps]), 1)[0])
        for method in ("one-sided", "centred")
    }
    return Finding(
        f"measured orders {slopes['one-sided']:.2f} and {slopes['centred']:.2f}",
        judge(abs(slopes["one-sided"] - 1) < 0.1 and abs(slopes["centred"] - 2) < 0.1),
        "for w³ + 2w the centred error is ε² exactly",
    )


@CHAPTER.claim("5.3", "finite differences", "ε = 1e-5 is the step to take.", "01")
def step() -> Finding:
    errors = {h: _error(h) for h in (1e-3, 1e-5, 1e-7, 1e-9)}
    single = _error(1e-5, kind=np.float32)
    return Finding(
        "float64, steps 1e-3, 1e-5, 1e-7, 1e-9: "
        + ", ".join(f"{e:.0e}" for e in errors.values())
        + f"; float32 at 1e-5: {single:.0e}",
        judge(
            min(errors, key=lambda h: errors[h]) == 1e-5 and single < 1e-5,
            min(errors, key=lambda h: errors[h]) == 1e-5,
        ),
        "in float64; in float32 round-off is all that one sees",
    )


@CHAPTER.claim("5.4", "recipe", "Relative error below 1e-5: the gradient is right.", "01")
def passes_below() -> Finding:
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((64, 4)), rng.standard_normal((64, 4))
    ones, zeros, wrong = np.ones(4), np.zeros(4), {}
    for std in (100.0, 0.01):
        caches = [
            batchnorm_forward(std * x, ones, zeros, {"mode": "train", "eps": eps})[1] for eps in (1e-5, 0.0)
        ]
        right, without = (batchnorm_backward(dout, cache)[0] for cache in caches)
        wrong[std] = relative_error(without, right)
    return Finding(
        f"a batchnorm whose backward pass forgets ε: {wrong[100.0]:.0e} on data of std 100, {wrong[0.01]:.2f} "
        "on data of std 0.01",
        judge(min(wrong.values()) > 1e-5, max(wrong.values()) > 1e-5),
        "if the data of the check are such that the mistake counts",
    )


@CHAPTER.claim("5.5", "recipe", "Above 1e-3: there is a bug.", "01")
def bug_above() -> Finding:
    x = np.array([-2.0, 3e-6, 1.0])
    dx = PAIRS["relu"][1](np.ones(3), PAIRS["relu"][0](x)[1])
    kink = relative_error(dx, numerical_gradient(lambda x: relu_forward(x)[0].sum(), x))
    single = _error(1e-5, kind=np.float32)
    return Finding(
        f"right gradients: a ReLU with an input of 3e-6 gives {kink:.1f}, w³ + 2w in float32 gives {single:.0e}",
        judge(max(kink, single) < 1e-3, _error(1e-5) < 1e-3),
        "for a smooth function in float64; a kink within the step is not a bug",
    )


@CHAPTER.claim("5.6", "thresholds", "The lesson has one line for a check to pass.", "01")
def pass_lines() -> Finding:
    named = {"recipe": 1e-5, "table": 1e-7, "listing": 1e-5, "chapter 6": 1e-5}
    return Finding(
        "without reservation below " + ", ".join(f"{line:.0e} ({where})" for where, line in named.items()),
        judge(len(set(named.values())) == 1, max(named.values()) == 1e-5),
        "all let 1e-5 pass and call 1e-3 a bug; the table wants a second look from 1e-7 on",
    )


@CHAPTER.claim("5.7", "cost", "2P forward passes for P parameters.", "01")
def cost() -> Finding:
    calls = 0

    def f(x: Array) -> np.floating:
        nonlocal calls
        calls += 1
        return (x**2).sum()

    numerical_gradient(f, np.ones(37))
    return Finding(f"{calls} calls for 37 parameters", judge(calls == 74))


@CHAPTER.claim("5.8", "metric", "Absolute differences depend on the scale, relative ones do not.", "01")
def scales() -> Finding:
    right, wrong = np.array([1.0, 2.0]), np.array([1.0, 1.0])
    absolute = [float(np.abs(s * (right - wrong)).max()) for s in (1.0, 1e-6)]
    relative = [relative_error(s * right, s * wrong) for s in (1.0, 1e-6)]
    return Finding(
        f"a wrong gradient, and the same times 1e-6: absolute {absolute[0]:g}, {absolute[1]:g}; relative "
        f"{relative[0]:g}, {relative[1]:g}",
        judge(absolute[1] < 1e-5 and np.isclose(relative[0], relative[1])),
    )


@CHAPTER.claim("5.9", "metric", "|a - n| / max(|a|, |n|) is the error to look at.", "01")
def metric() -> Finding:
    a, n = np.array([1.0, 0.0]), np.array([1.0, 1e-12])
    each = np.abs(a - n) / np.maximum(np.abs(a), np.abs(n))
    both = np.zeros(1) / np.maximum(np.zeros(1), 0)
    of_array = float(np.abs(a - n).max() / max(np.abs(a).max(), np.abs(n).max()))
    return Finding(
        f"both 0: {both[0]}; 0 against a round-off of 1e-12: {each[1]:.0f}; over the largest entry of the "
        f"array: {of_array:.0e}",
        judge(bool(np.isfinite(both[0])) and each[1] < 1e-3, each[0] == 0),
        "away from zero; one scale for each array leaves out both cases",
    )


@CHAPTER.claim("5.10", "simulation", "f(w) = w³ + 2w has the derivative 3w² + 2.", "01")
def example() -> Finding:
    error = _error(1e-5)
    return Finding(f"at w = 1.5, ε = 1e-5: error {error:.0e}", judge(error < 1e-9))


def _listing(
    analytic: Array, x: Array, loss: Callable[[Array], float], step: float = 1e-5
) -> tuple[list[float], str]:
    """Errors as the listing computes them, and its last word."""
    errors = []
    for i in range(x.size):
        slopes = []
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += np.asarray(sign * step, x.dtype)
            slopes.append(float(loss(moved)))
        numeric = (slopes[0] - slopes[1]) / (2 * step)
        errors.append(abs(numeric - analytic[i]) / max(abs(numeric), abs(analytic[i]), 1e-8))
    return errors, "passed"  # it prints so whatever it found


@CHAPTER.claim("5.11", "listing", "It says that the check passed when it did.", "01")
def last_word() -> Finding:
    errors, word = _listing(np.zeros(3), np.ones(3), lambda x: float((x**2).sum()))
    return Finding(
        f"a gradient that is all zeros, errors of {max(errors):.0f}: it warns, and ends with {word!r}",
        judge(word != "passed"),
        "the last line stands outside of the test; whoever reads only that line sees success",
    )


def _network_loss(kind: type) -> tuple[Array, Array, Callable[[Array], float]]:
    """A right gradient of a small network in a precision, its parameters, and its loss."""
    rng = np.random.default_rng(0)
    net = stack([8, 10, 4], "tanh", he(rng))
    x: Array = rng.standard_normal((16, 8)).astype(kind)
    y = rng.integers(0, 4, 16)
    params: dict[str, Array] = {name: array.astype(kind) for name, array in net.params.items()}
    net.params = params
    net.backward(softmax_loss(net.forward(x), y)[1])
    analytic, shape = net.grads["affine1.w"].ravel(), params["affine1.w"].shape

    def loss(w: Array) -> float:
        net.params = {**params, "affine1.w": w.reshape(shape)}
        return float(softmax_loss(net.forward(x), y)[0])

    return analytic, params["affine1.w"].ravel(), loss


@CHAPTER.claim(
    "5.12", "listing", "It tells right gradients from wrong ones, in PyTorch's default precision.", "01"
)
def single_precision() -> Finding:
    flagged = {}
    for kind in (np.float64, np.float32):
        analytic, w, loss = _network_loss(kind)
        flagged[kind.__name__] = float(np.mean(np.array(_listing(analytic, w, loss)[0]) > 1e-5))
    return Finding(
        f"a right gradient, share of its entries with a warning: {flagged['float64']:.0%} in float64, "
        f"{flagged['float32']:.0%} in float32",
        judge(max(flagged.values()) < 0.05, flagged["float64"] < 0.05),
        "in float64; the default is float32, and the listing does not change it",
    )


@CHAPTER.claim("5.13", "listing", "A floor of 1e-8 under the denominator does no harm.", "01")
def floor() -> Finding:
    scale = 1e-14
    errors, _ = _listing(np.full(3, -2 * scale), np.ones(3), lambda x: float(scale * (x**2).sum()))
    return Finding(
        f"gradients of 2e-14 with the wrong sign: error {max(errors):.0e}",
        judge(max(errors) > 1e-5),
        "below 1e-13, every gradient passes",
    )


@CHAPTER.claim("5.14", "listing", "Ten random entries of a tensor are enough.", "01")
def ten_entries() -> Finding:
    size, wrong = 1000, 10
    missed = float(np.prod([(size - wrong - k) / (size - k) for k in range(10)]))
    bias = float(np.prod([(size - size // 2 - k) / (size - k) for k in range(10)]))
    return Finding(
        f"1000 entries, 10 of them wrong: missed in {missed:.0%} of the checks; half of them wrong: {bias:.1%}",
        judge(missed < 0.05, bias < 0.05),
        "for mistakes that touch the whole tensor, as most do; not for a wrong row",
    )


CHAPTER.on_record(
    "5.15",
    "introduction",
    "It is the gold standard for a hand-written gradient.",
    "the notes of CS231n; Nocedal and Wright, Numerical Optimization, 2006, section 8.1",
    "agrees; where a function takes complex numbers, the complex step has no round-off",
    "01",
)
