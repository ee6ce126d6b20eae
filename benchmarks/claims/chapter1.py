"""The interactive lesson, chapter 1: sigmoid saturation."""

from __future__ import annotations

import functools

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import (
    Array,
    deep_sigmoid,
    gaussian,
    he,
    outputs,
    stack,
    upstream,
    xavier,
)
from minigrad.gradcheck import numerical_gradient_array, relative_error
from minigrad.layers import sigmoid_backward, sigmoid_forward

CHAPTER = Chapter("The interactive lesson, chapter 1: sigmoid saturation")


def slopes(x: Array) -> Array:
    """Slopes of the sigmoid."""
    return sigmoid_backward(np.ones_like(x), sigmoid_forward(x)[1])


def _sigmoid(x: Array) -> Array:
    return sigmoid_forward(x)[0]


@CHAPTER.claim("1.1", "definition", "The sigmoid lies strictly between 0 and 1.", "02")
def open_interval() -> Finding:
    x = np.linspace(-800, 800, 160001)
    z, _ = sigmoid_forward(x)
    top, bottom = x[z == 1].min(), x[z == 0].max()
    return Finding(
        f"in float64 exactly 1 from {top:.1f}, exactly 0 below {bottom:.0f}",
        judge(not np.any((z == 0) | (z == 1)), bool(0 < z[80000] < 1)),
        "for real numbers; floats run out",
    )


@CHAPTER.claim("1.2", "definition", "Its derivative is σ(1 - σ).", "02")
def derivative() -> Finding:
    x = np.linspace(-6, 6, 50)
    measured = numerical_gradient_array(_sigmoid, x, np.ones(50))
    error = relative_error(slopes(x), measured)
    return Finding(f"error against measured slopes {error:.0e}", judge(error < 1e-7))


@CHAPTER.claim("1.3", "definition", "The largest slope is 0.25, at 0.", "02")
def largest() -> Finding:
    x = np.linspace(-5, 5, 1001)
    s = slopes(x)
    return Finding(
        f"{s.max():.4f} at {abs(x[s.argmax()]):.1f}", judge(bool(s.max() == 0.25 and x[s.argmax()] == 0))
    )


@CHAPTER.claim("1.4", "gradient flow", "At 5, the sigmoid is 0.993 and its slope 0.007.", "02")
def at_five() -> Finding:
    z, s = float(sigmoid_forward(np.array([5.0]))[0][0]), float(slopes(np.array([5.0]))[0])
    return Finding(f"{z:.4f} and {s:.5f}", judge(round(z, 3) == 0.993 and round(s, 3) == 0.007), "rounded")


@functools.cache
def ten_layers(gain: float) -> tuple[float, float]:
    """Gradient at the first of ten sigmoid layers over that at the last, and the largest slope of any unit."""
    rng = np.random.default_rng(0)
    net = stack([100] * 11, "sigmoid", xavier(rng, gain), last=True)
    x = rng.standard_normal((64, 100))
    net.forward(x)
    norms = [np.linalg.norm(g) for g in upstream(net, rng.standard_normal((64, 100)))]
    best = max(float((h * (1 - h)).max()) for h in outputs(net, x))
    return float(norms[0] / norms[-1]), best


@CHAPTER.claim("1.5", "tollbooths", "Ten sigmoids leave at most 0.25^10, a millionth, of the gradient.", "02")
def tolls() -> Finding:
    ratios = {gain: ten_layers(gain)[0] for gain in (1.0, 4.0, 8.0)}
    return Finding(
        f"0.25^10 = {0.25**10:.1e}; first over last of ten layers, nine apart ({0.25**9:.0e}): "
        f"{ratios[1.0]:.0e} with a gain of 1, {ratios[4.0]:.2f} with 4, {ratios[8.0]:.2f} with 8",
        judge(max(ratios.values()) < 0.25**9, ratios[1.0] < 0.25**9),
        "it bounds the product of the slopes; a gain of 4 in the weights pays the toll back",
    )


def _weight_scale(scale: float) -> tuple[float, float, float]:
    """Five sigmoid layers: typical pre-activation, mean slope, and the gradient at layer 1 over that at the output."""
    ratios, sizes, means = [], [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        net = stack([100] * 6, "sigmoid", gaussian(rng, scale / 10), last=True)
        x = rng.standard_normal((64, 100))
        z = np.concatenate(outputs(net, x, "affine"))
        net.forward(x)
        dout = rng.standard_normal((64, 100))
        ratios.append(np.linalg.norm(upstream(net, dout)[0]) / np.linalg.norm(dout))
        sizes.append(np.mean(np.abs(z)))
        means.append(np.mean(slopes(z)))
    return float(np.mean(sizes)), float(np.mean(means)), float(np.mean(ratios))


@CHAPTER.claim(
    "1.6",
    "weight table, column 2",
    "Weights of scale 0.1, 1, 3 give pre-activations of about 0.05, 1, 3.",
    "02",
)
def table_sizes() -> Finding:
    sizes = [_weight_scale(s)[0] for s in (0.1, 1.0, 3.0)]
    close = [abs(np.log(a / b)) < np.log(1.5) for a, b in zip(sizes, (0.05, 1.0, 3.0), strict=True)]
    return Finding(
        f"scale over the root of the fan-in: {sizes[0]:.2f}, {sizes[1]:.2f}, {sizes[2]:.2f} on average",
        judge(all(close), any(close)),
        "with outputs between 0 and 1 below, pre-activations are about half as large as the table says",
    )


@CHAPTER.claim("1.7", "weight table, column 3", "The slope is then about 0.25, 0.20 and 0.05.", "02")
def table_slopes() -> Finding:
    at = slopes(np.array([0.05, 1.0, 3.0]))
    means = [_weight_scale(s)[1] for s in (0.1, 1.0, 3.0)]
    return Finding(
        f"at 0.05, 1, 3: {at[0]:.2f}, {at[1]:.2f}, {at[2]:.3f}; mean over a layer: {means[0]:.2f}, "
        f"{means[1]:.2f}, {means[2]:.2f}",
        judge(abs(means[2] - 0.05) < 0.01, abs(at[2] - 0.05) < 0.01),
        "at those points; a layer with scale 3 has most of its units nearer to 0, where the slope is larger",
    )


@CHAPTER.claim("1.8", "weight table, column 4", "The gradient at layer 1 is 0.001, 0.0003 and 3e-7.", "02")
def table_gradients() -> Finding:
    printed = (0.25**5, 0.2**5, 0.05**5)
    ratios = [_weight_scale(s)[2] for s in (0.1, 1.0, 3.0)]
    return Finding(
        f"powers: {printed[0]:.4f}, {printed[1]:.4f}, {printed[2]:.0e}; networks: {ratios[0]:.0e}, "
        f"{ratios[1]:.0e}, {ratios[2]:.0e}",
        judge(all(abs(np.log10(r / p)) < 0.5 for r, p in zip(ratios, printed, strict=True))),
        "the powers are right; the weights are left out, and with them the order turns round: it grows "
        "with the scale",
    )


@CHAPTER.claim("1.9", "weight table", "At a scale of 3 the first layer is frozen.", "02")
def frozen() -> Finding:
    runs = {gain: deep_sigmoid(gain=gain) for gain in (1.0, 3.0, 4.0)}
    return Finding(
        "assignment 02, six layers, accuracy with a gain of "
        + ", ".join(f"{gain:.0f}: {run['accuracy']:.2f}" for gain, run in runs.items()),
        judge(runs[3.0]["accuracy"] < 0.2),
        "there a gain of 1 is what does not learn",
    )


@CHAPTER.claim(
    "1.10", "ReLU", "An active ReLU passes the gradient on unchanged, so depth does no harm.", "03, 04"
)
def relu_depth() -> Finding:
    ratios = {}
    for name, scale in (("He", 1.0), ("variance 1/n", 0.5**0.5)):
        rng = np.random.default_rng(0)
        net = stack([100] * 21, "relu", he(rng, scale), last=True)
        net.forward(rng.standard_normal((64, 100)))
        norms = [np.linalg.norm(g) for g in upstream(net, rng.standard_normal((64, 100)))]
        ratios[name] = float(norms[0] / norms[-1])
    return Finding(
        "first over last of 20 layers: " + ", ".join(f"{name} {r:.2g}" for name, r in ratios.items()),
        judge(min(ratios.values()) > 0.1, ratios["He"] > 0.1),
        "half of the units are off, which costs a factor of √2 a layer, unless the weights make up for it",
    )


@CHAPTER.claim(
    "1.11", "formula for ∂L/∂W₁", "The gradient is a product of diag(σ')W over layers 2 to L.", "02, 04"
)
def product() -> Finding:
    rng = np.random.default_rng(0)
    net = stack([6] * 5, "sigmoid", xavier(rng, 4.0), last=True)
    x, dout = rng.standard_normal((1, 6)), rng.standard_normal((1, 6))
    z = outputs(net, x, "affine")
    net.forward(x)
    net.backward(dout)
    # in the convention of the lesson, a layer is W a, and its Jacobian diag(slope) W
    w = [net.params[f"affine{k}.w"].T for k in range(1, 5)]
    jacobians = [np.diag(slopes(z[k][0])) @ w[k] for k in range(1, 4)]
    errors = []
    for order in (jacobians[::-1], jacobians):
        row = functools.reduce(np.matmul, order, dout) * slopes(z[0][0])
        errors.append(relative_error(np.outer(row[0], x[0]).T, net.grads["affine1.w"]))
    return Finding(
        f"error with the factors from L down to 2: {errors[0]:.0e}; from 2 up to L, as printed: {errors[1]:.1f}",
        judge(max(errors) < 1e-10, errors[0] < 1e-10),
        "matrices do not commute: the last layer has to come first",
    )


@CHAPTER.claim(
    "1.12",
    "exponential decay",
    "With L layers the gradient shrinks by 0.25^L: 1e-6 for 10, 1e-12 for 20.",
    "02",
)
def decay() -> Finding:
    shrunk = {gain: ten_layers(gain)[0] for gain in (0.5, 1.0, 4.0)}
    best = 0.25**9
    return Finding(
        f"0.25^10 = {0.25**10:.0e}, 0.25^20 = {0.25**20:.0e}; ten layers, over 0.25^9: "
        + ", ".join(f"gain {gain:g}: {r / best:.1g}" for gain, r in shrunk.items()),
        judge(all(0.2 < r / best < 5 for r in shrunk.values()), 0.2 < shrunk[1.0] / best < 5),
        "times (gain)^L as well, so for small pre-activations and a gain of 1 only",
    )


CHAPTER.on_record(
    "1.23",
    "exponential decay",
    "Two discoveries: by Hochreiter in 1991, and by Bengio and others in 1994.",
    "S. Hochreiter, diploma thesis, 1991; Y. Bengio, P. Simard and P. Frasconi, IEEE TNN 5, 1994",
    "agrees",
    "06",
)


CHAPTER.on_record(
    "1.24",
    "fix",
    "Sigmoids are left only in outputs, in gates of LSTM and GRU, and in some attention.",
    "Hochreiter and Schmidhuber 1997 and Cho et al. 2014 for the gates",
    "agrees on the gates; SiLU, z·σ(z), is in hidden layers of today",
    "06, 09",
)
