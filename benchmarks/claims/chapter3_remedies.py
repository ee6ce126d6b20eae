"""The interactive lesson, chapter 3, second half: initialization, clipping, skip connections, and its listings."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import (
    Array,
    Rng,
    Start,
    deep_sigmoid,
    gaussian,
    he,
    outputs,
    spread,
    stack,
    standardized,
    train,
    uniform,
    upstream,
    weight_gradients,
    xavier,
)
from minigrad.clipping import clip_grad_norm, clip_grad_value
from minigrad.initializers import he_init, xavier_init, xavier_uniform
from minigrad.layers import residual_backward, residual_forward
from minigrad.losses import softmax_loss

CHAPTER = Chapter("The interactive lesson, chapter 3: vanishing and exploding gradients")


@CHAPTER.claim(
    "3.22", "initialization table", "Xavier: variance 2/(fan in + fan out); He: 2/fan in.", "02, 04"
)
def variances() -> Finding:
    rng = np.random.default_rng(0)
    drawn = [
        w.var()
        for w in (xavier_init(300, 500, 1.0, rng), xavier_uniform((300, 500), rng), he_init(300, 500, rng))
    ]
    expected = (2 / 800, 2 / 800, 2 / 300)
    off = max(abs(d / e - 1) for d, e in zip(drawn, expected, strict=True))
    return Finding(f"drawn variances within {off:.1%}", judge(off < 0.02), "as stated, normal or uniform")


@CHAPTER.claim("3.23", "initialization table", "Xavier is for sigmoid and tanh.", "02")
def for_sigmoid() -> Finding:
    plain, gain = deep_sigmoid()["accuracy"], deep_sigmoid(gain=4.0)["accuracy"]
    rng = np.random.default_rng(0)
    tanh = train(
        stack([64] + [32] * 6 + [10], "tanh", xavier(rng)), standardized(), rng, rate=0.1, steps=300
    )[1]
    return Finding(
        f"six layers, accuracy: tanh {tanh:.2f}, sigmoid {plain:.2f}; sigmoid with a gain of 4 {gain:.2f}",
        judge(min(tanh, plain) > 0.8, tanh > 0.8),
        "derived for a slope of 1 at 0, which tanh has; a sigmoid has 1/4",
    )


def _profile(
    activation: str, starts: Callable[[Rng], Start], depth: int = 50, width: int = 128
) -> tuple[float, float, float]:
    """Mean square of the last activation over that of the first: mean over 20 seeds, lowest and highest."""
    ratios = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        net = stack([width] * (depth + 1), activation, starts(rng), last=True)
        acts = outputs(net, rng.standard_normal((8, width)))
        ratios.append(np.mean(acts[-1] ** 2) / np.mean(acts[0] ** 2))
    return float(np.mean(ratios)), float(np.min(ratios)), float(np.max(ratios))


@CHAPTER.claim("3.24", "initialization", "They keep the variance of activations constant over layers.", "04")
def constant_variance() -> Finding:
    relu, tanh = _profile("relu", he), _profile("tanh", xavier)
    return Finding(
        f"50 layers of 128: He with ReLU, mean over 20 networks {relu[0]:.2f}, single ones {relu[1]:.2f} to "
        f"{relu[2]:.2f}; Xavier with tanh {tanh[0]:.3f}",
        judge(relu[1] > 0.5 and relu[2] < 2 and tanh[0] > 0.5, 0.5 < relu[0] < 2),
        "on average over networks; a single one wanders, and with tanh it shrinks slowly",
    )


@CHAPTER.claim("3.25", "initialization", "Gradients then keep their size, at least at the start.", "04")
def at_the_start() -> Finding:
    ratios = {}
    for depth in (10, 50):
        found = []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            net = stack([128] * (depth + 1), "relu", he(rng), last=True)
            net.forward(rng.standard_normal((8, 128)))
            norms = [np.linalg.norm(g) for g in upstream(net, rng.standard_normal((8, 128)))]
            found.append(norms[0] / norms[-1])
        ratios[depth] = min(found), max(found)
    return Finding(
        "He, first over last, ten networks: "
        + ", ".join(f"{d} layers {a:.2f} to {b:.2f}" for d, (a, b) in ratios.items()),
        judge(ratios[50][0] > 0.1 and ratios[50][1] < 10),
        "within a factor of ten at 50 layers; for ReLU that is, not for sigmoids (3.23)",
    )


@CHAPTER.claim("3.26", "clipping formula", "g · c/|g| above c keeps the direction of the gradient.", "04")
def direction() -> Finding:
    rng = np.random.default_rng(0)
    grads = {"a": rng.standard_normal((5, 5)), "b": 100 * rng.standard_normal(5)}
    whole, _ = clip_grad_norm(grads, 1.0)
    each = {name: clip_grad_norm({name: g}, 1.0)[0][name] for name, g in grads.items()}
    return Finding(
        f"angle {_angle(grads, whole):.0f}°; clipped array by array {_angle(grads, each):.0f}°",
        judge(_angle(grads, whole) < 1e-3),
        "if one factor is taken for all parameters together",
    )


def _angle(a: dict[str, Array], b: dict[str, Array]) -> float:
    u, v = (np.concatenate([g.ravel() for g in grads.values()]) for grads in (a, b))
    return float(np.degrees(np.arccos(min(1.0, u @ v / np.linalg.norm(u) / np.linalg.norm(v)))))


@CHAPTER.claim("3.27", "clipping", "Clipping each value may turn the gradient.", "04")
def by_value() -> Finding:
    grads = {"a": np.random.default_rng(0).standard_normal(1000) ** 3}
    angle = _angle(grads, clip_grad_value(grads, 0.1)[0])
    return Finding(f"1000 heavy-tailed entries cut at 0.1: {angle:.0f}°", judge(angle > 10))


@CHAPTER.claim("3.28", "clipping", "A common threshold is 1 or 5.", "04")
def common_threshold() -> Finding:
    x, y = standardized()
    norms = {}
    for factor in (1.0, 100.0):
        rng = np.random.default_rng(0)
        net = stack([64, 32, 10], "relu", he(rng))
        _, dscores = softmax_loss(net.forward(x[:64]), y[:64])
        net.backward(factor * dscores)
        norms[factor] = float(np.linalg.norm(weight_gradients(net)))
    return Finding(
        f"gradient norm of one network {norms[1.0]:.1f}, or {norms[100.0]:.0f} with a loss in other units",
        judge(norms[100.0] < 5, norms[1.0] < 5),
        "for losses of order 1; the threshold has the units of the loss",
    )


@CHAPTER.claim("3.29", "skip connections", "∂y/∂x = ∂F/∂x + 1, so the gradient is always at least 1.", "04")
def at_least_one() -> Finding:
    d, zeros = 8, np.zeros(8)
    x = np.abs(np.random.default_rng(0).standard_normal((1, d))) + 1
    left = {}
    for name, w in (("a dead branch", 0.0), ("a branch that undoes it", -1.0)):
        _, cache = residual_forward(x, np.eye(d), zeros, w * np.eye(d), zeros)
        left[name] = float(np.linalg.norm(residual_backward(np.ones((1, d)), cache)[0]) / d**0.5)
    rng = np.random.default_rng(1)
    jacobian = np.eye(64) + rng.standard_normal((64, 64)) / 8
    smallest = float(np.linalg.svd(jacobian, compute_uv=False)[-1])
    return Finding(
        ", ".join(f"{name}: {g:.0f}" for name, g in left.items())
        + f"; smallest singular value of a random one: {smallest:.3f}",
        judge(smallest >= 1 and left["a branch that undoes it"] >= 1, left["a dead branch"] == 1),
        "if the branch gives nothing; it may also cancel the 1, or most of it in some directions",
    )


@CHAPTER.claim("3.30", "skip connections", "If F kills the gradient, the identity still hands it on.", "04")
def identity() -> Finding:
    rng = np.random.default_rng(0)
    w = [rng.standard_normal((8, 8)) for _ in range(2)]
    x, dout = rng.standard_normal((4, 8)), rng.standard_normal((4, 8))
    _, cache = residual_forward(x, w[0], np.full(8, -100.0), w[1], np.zeros(8))
    error = float(np.abs(residual_backward(dout, cache)[0] - dout).max())
    return Finding(
        f"all ReLUs of the branch dead: dx differs from dout by {error:.0f}", judge(error == 0), "exactly"
    )


@functools.cache
def fifty_blocks() -> tuple[Array, Array]:
    """50 residual blocks from PyTorch's default: gradients of their first matrices, 5 seeds, and their output."""
    gradients, grown = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        start = uniform(rng)
        x: Array = rng.standard_normal((1, 128))
        caches, before = [], np.linalg.norm(x)
        for _ in range(50):
            x, cache = residual_forward(x, *start(128, 128), *start(128, 128))
            caches.append(cache)
        grown.append(np.linalg.norm(x) / before)
        dout: Array = np.ones((1, 128))
        norms = []
        for cache in reversed(caches):
            dout, dw1, *_ = residual_backward(dout, cache)
            norms.append(np.linalg.norm(dw1))
        gradients.append(norms[::-1])
    return np.array(gradients), np.array(grown)


@CHAPTER.claim("3.31", "residual listing", "Gradients of about 0.035 come out.", "04")
def printed_norms() -> Finding:
    norms, _ = fifty_blocks()
    return Finding(
        f"{norms.min():.0f} to {norms.max():.0f} (five seeds)",
        judge(bool(norms.min() < 0.035 < norms.max())),
        "|x| is about √128 and the upstream gradient is 128 ones: dW of a block cannot be that small",
    )


@CHAPTER.claim("3.32", "residual listing", "They are alike in all 50 blocks.", "04")
def alike() -> Finding:
    norms, grown = fifty_blocks()
    worst = max(spread(row) for row in norms)
    return Finding(
        f"largest over smallest up to {worst:.1f}; the activations grow {grown.mean():.1f} times",
        judge(worst < 3),
        "for these small branches; with He weights each block triples the variance",
    )


@CHAPTER.claim("3.33", "initialization listing", "Weights of std 0.2 are He weights for 50 units.", "04")
def he_50() -> Finding:
    std = (2 / 50) ** 0.5
    return Finding(f"√(2/50) = {std:.3f}", judge(abs(std - 0.2) < 1e-12))


@functools.cache
def relu_chain(std: float) -> tuple[Array, float, float]:
    """Ten bias-free ReLU layers, loss L the sum of the outputs, 20 networks.

    Norms of the weight gradients, the largest relative difference between <W, dW> and L, and the median of L/|W|.
    """
    gradients, errors, bounds = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        net = stack([50] * 11, "relu", gaussian(rng, std), last=True)
        out = net.forward(rng.standard_normal((1, 50)))
        net.backward(np.ones_like(out))
        gradients.append(weight_gradients(net))
        for name, w in net.params.items():
            if name.endswith(".w"):
                errors.append(abs(np.sum(w * net.grads[name]) / out.sum() - 1))
                bounds.append(out.sum() / np.linalg.norm(w))
    return np.array(gradients), float(np.max(errors)), float(np.median(bounds))


def _chain_row(std: float, printed: list[float], why: str) -> Finding:
    """Compare what is printed with what comes out: the factor from layer to layer, and the size."""
    norms, error, bound = relu_chain(std)
    median = np.median(norms, axis=0)
    step, seen = printed[1] / printed[0], float((median[-1] / median[0]) ** (1 / 9))
    size = float(np.log10(np.median(norms) / np.median(printed)))
    same_step = abs(np.log10(seen / step)) < 0.1
    return Finding(
        f"medians of 20: {median[0]:.2g} to {median[-1]:.2g}, times {seen:.2f} a layer (printed "
        f"{step:.2g}); ⟨W, dW⟩ is the loss L to {error:.0e}, so |dW| is at least L/|W|, {bound:.1g}",
        judge(same_step and abs(size) < 0.7, same_step),
        why,
    )


@CHAPTER.claim("3.34", "gradient flow listing", "std 0.1 prints 2e-8, 5e-7, 1e-5, ...: vanishing.", "04")
def chain_vanishing() -> Finding:
    return _chain_row(
        0.1,
        [2e-8, 5e-7, 1e-5, 3e-4, 8e-3],
        "one bound holds for all layers, and 2e-8 is far below it: see above",
    )


@CHAPTER.claim("3.35", "gradient flow listing", "std 0.2 prints 0.03, 0.04, 0.05, ...: healthy.", "04")
def chain_healthy() -> Finding:
    return _chain_row(
        0.2,
        [0.03, 0.04, 0.05, 0.06, 0.05],
        "alike in all layers, as they are at every scale; the size is off",
    )


@CHAPTER.claim("3.36", "gradient flow listing", "std 0.5 prints 1e4, 3e3, 800, ...: exploding.", "04")
def chain_exploding() -> Finding:
    return _chain_row(
        0.5,
        [1e4, 3e3, 800, 200, 50],
        "the scale shows in all layers at once, as 0.5^9, and not in their ratio",
    )


@CHAPTER.claim("3.37", "gradient flow listing", "Weight gradients show where a signal vanishes.", "04")
def which_gradient() -> Finding:
    rng = np.random.default_rng(0)
    net = stack([50] * 11, "relu", gaussian(rng, 0.1), last=True)
    x = rng.standard_normal((32, 50))
    out = net.forward(x)
    activations = [np.linalg.norm(g) for g in upstream(net, np.ones_like(out))]
    weights = spread(weight_gradients(net))
    return Finding(
        f"std 0.1, largest over smallest: weight gradients {weights:.1f}, gradients of pre-activations "
        f"{spread(np.array(activations)):.0f}",
        judge(weights > 100, spread(np.array(activations)) > 100),
        "|dW| is |δ| from above times |a| from below: one shrinks where the other has not yet; look at δ",
    )


CHAPTER.on_record(
    "3.38",
    "initialization table",
    "Xavier/Glorot 2010, He/Kaiming 2015.",
    "X. Glorot and Y. Bengio, AISTATS 2010; K. He et al., ICCV 2015",
    "agrees",
    "02, 04",
)
CHAPTER.on_record(
    "3.39",
    "clipping",
    "It is standard for RNNs and transformers.",
    "Pascanu, Mikolov and Bengio 2013; Brown et al. 2020 clip at 1.0",
    "agrees",
    "04, 06, 09",
)
CHAPTER.on_record(
    "3.40",
    "skip connections",
    "ResNet, He et al. 2015; it trains beyond 1000 layers.",
    "He et al., CVPR 2016 (1202 layers) and ECCV 2016 (1001)",
    "agrees",
    "04",
)
CHAPTER.on_record(
    "3.41",
    "skip connections",
    "Every modern architecture adds x to F(x): ResNet, transformers, U-Net, Mamba.",
    "Ronneberger, Fischer and Brox, MICCAI 2015",
    "disagrees in part: U-Net concatenates",
    "04",
)
CHAPTER.on_record(
    "3.42",
    "highway principle",
    "Since 2015 no deep architecture has succeeded without a gradient highway.",
    "Martens et al. 2021 and Xiao et al. 2018 train deep plain networks",
    "disagrees (see 7.7)",
    "04",
)
CHAPTER.on_record(
    "3.43",
    "highway principle",
    "Highway Networks gate their skips (2015); DenseNet concatenates; an LSTM has its cell.",
    "Srivastava et al. 2015; Huang et al., CVPR 2017; Hochreiter and Schmidhuber 1997",
    "agrees",
    "04, 06",
)
