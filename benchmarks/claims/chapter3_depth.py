"""The interactive lesson, chapter 3: products over depth."""

from __future__ import annotations

import functools

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import (
    Array,
    deep_sigmoid,
    he,
    outputs,
    spread,
    stack,
    standardized,
    train,
    trap,
    uniform,
    upstream,
    weight_gradients,
    xavier,
)
from minigrad.clipping import clip_grad_norm
from minigrad.gradcheck import relative_error
from minigrad.initializers import orthogonal
from minigrad.optimizers import adam, sgd

CHAPTER = Chapter("The interactive lesson, chapter 3: vanishing and exploding gradients")


@CHAPTER.claim("3.1", "formula for ∂L/∂W₁", "∂L/∂W₁ is a product of L - 1 Jacobians, diag(φ')W each.", "04")
def chain() -> Finding:
    rng = np.random.default_rng(0)
    net = stack([6] * 6, "relu", he(rng), last=True)
    x, dout = rng.standard_normal((1, 6)), rng.standard_normal((1, 6))
    z = outputs(net, x, "affine")
    net.forward(x)
    net.backward(dout)
    row: Array = dout * (z[4] > 0)
    for k in range(4, 0, -1):
        row = (row @ net.params[f"affine{k + 1}.w"].T) * (z[k - 1] > 0)
    error = relative_error(x.T @ row, net.grads["affine1.w"])
    return Finding(
        f"five ReLU layers by hand: error {error:.0e}", judge(error < 1e-12), "exactly, not roughly"
    )


@CHAPTER.claim(
    "3.2", "critical threshold", "Typical singular value 1: gradients neither vanish nor explode.", "04"
)
def threshold() -> Finding:
    ends = {}
    for name, width in (("10", 10), ("100", 100)):
        logs = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            g = g0 = rng.standard_normal(width)
            for _ in range(100):
                g = rng.standard_normal((width, width)) @ g / width**0.5
            logs.append(np.log10(np.linalg.norm(g) / np.linalg.norm(g0)))
        ends[name] = float(np.median(logs))
    g = g0 = np.random.default_rng(0).standard_normal(10)
    for seed in range(100):
        g = orthogonal((10, 10), np.random.default_rng(seed)) @ g
    kept = float(np.linalg.norm(g) / np.linalg.norm(g0))
    return Finding(
        f"100 matrices with a root mean square singular value of 1, median: 10^{ends['10']:.1f} at width "
        f"10, 10^{ends['100']:.1f} at 100; 100 orthogonal ones: {kept:.2f}",
        judge(ends["10"] > -0.3, ends["100"] > -0.5 and abs(kept - 1) < 1e-9),
        "if all are 1, or on average in a wide network: a narrow one drifts to zero",
    )


@CHAPTER.claim("3.3", "vanishing", "From 1e-1 to 1e-8 is a factor of ten million.", "04")
def ten_million() -> Finding:
    factor = 1e-1 / 1e-8
    return Finding(f"{factor:.0e}", judge(np.isclose(factor, 1e7)))


@CHAPTER.claim("3.4", "vanishing", "Such a first layer takes millions of times longer.", "02, 04")
def longer() -> Finding:
    moved = {}
    for name, optimizer, rate in (("SGD", sgd, 0.2), ("Adam", adam, 1e-3)):
        rng = np.random.default_rng(0)
        net = stack([64] + [32] * 8 + [10], "sigmoid", xavier(rng))
        start = net.params
        train(net, standardized(), rng, rate=rate, steps=100, optimizer=optimizer)
        moves = [
            np.linalg.norm(net.params[k] - w) / np.linalg.norm(w)
            for k, w in start.items()
            if k.endswith(".w")
        ]
        moved[name] = moves[-1] / moves[0]
    return Finding(
        f"eight sigmoid layers: the last moves {moved['SGD']:.0e} times as far as the first under SGD, "
        f"{moved['Adam']:.1f} times under Adam",
        judge(moved["Adam"] > 1e3, moved["SGD"] > 1e3),
        "under SGD; Adam gives every layer steps of one size, if not a useful direction",
    )


@CHAPTER.claim("3.5", "vanishing", "The loss still falls, and more layers make it worse.", "02, 04")
def more_layers() -> Finding:
    scores = {}
    for depth in (1, 2, 3, 4):
        rng = np.random.default_rng(0)
        net = stack([64] + [32] * depth + [10], "sigmoid", xavier(rng))
        scores[depth] = train(net, standardized(), rng, rate=0.2, steps=400)[1]
    values = list(scores.values())
    return Finding(
        "accuracy with 1 to 4 sigmoid layers: " + ", ".join(f"{v:.2f}" for v in values),
        judge(
            values == sorted(values, reverse=True) and values[-1] > 0.2,
            values == sorted(values, reverse=True),
        ),
        "worse with each layer; there is a mediocre stage in between, and then nothing falls any more",
    )


@CHAPTER.claim("3.6", "exploding", "After a handful of steps the loss is no longer finite.", "00, 04")
def few_steps() -> Finding:
    steps = len(trap()["F_losses"])
    return Finding(f"run F of assignment 00: NaN in step {steps}", judge(steps <= 10))


@CHAPTER.claim("3.7", "exploding", "An explosion may also show as memory that runs out.", "04")
def memory() -> Finding:
    small, broken = np.ones((100, 100)), np.full((100, 100), np.nan)
    return Finding(
        f"a gradient of 100 x 100 takes {small.nbytes} bytes, one of NaN {broken.nbytes}",
        judge(broken.nbytes > small.nbytes),
        "the size of an array does not depend on what is in it",
    )


@CHAPTER.claim("3.8", "exploding", "Clipping stops the explosion at once.", "04")
def clipping() -> Finding:
    ends = {}
    for scale in (2.2, 4.0):
        rng = np.random.default_rng(0)
        net = stack([64] + [32] * 8 + [10], "relu", he(rng, scale))
        clip = functools.partial(clip_grad_norm, max_norm=1.0)
        ends[scale] = train(net, standardized(), rng, rate=0.05, steps=300, clip=clip)
    return Finding(
        "eight ReLU layers, 2.2 and 4 times He, norm clipped to 1: last loss "
        + ", ".join(f"{losses[-1]:.3g} (accuracy {share:.2f})" for losses, share in ends.values()),
        judge(ends[4.0][1] > 0.9, all(np.isfinite(losses[-1]) for losses, _ in ends.values())),
        "the weights stay finite; the forward pass still multiplies, and the loss with it",
    )


@CHAPTER.claim("3.9", "exploding", "Vanishing gradients need another architecture.", "02")
def architecture() -> Finding:
    plain, gain = deep_sigmoid(), deep_sigmoid(gain=4.0)
    return Finding(
        f"assignment 02: accuracy {plain['accuracy']:.2f}, and {gain['accuracy']:.2f} with a gain of 4",
        judge(gain["accuracy"] < 0.5),
        "an initialization is enough there",
    )


@functools.cache
def healthy_spread() -> tuple[float, float, float]:
    """Largest over smallest weight gradient in run B: median, and range over its steps."""
    ratios = np.array([spread(row) for row in trap()["B_gradients"]])
    return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


@CHAPTER.claim(
    "3.10",
    "quick diagnostic",
    "Healthy: gradient norms of layers within 3 to 10 times; above 100, a problem.",
    "08",
)
def within() -> Finding:
    median, _, worst = healthy_spread()
    f = np.array([spread(row) for row in trap()["F_gradients"][:1]])[0]
    rng = np.random.default_rng(0)
    chain = stack([50] * 11, "relu", lambda n, m: (0.1 * rng.standard_normal((n, m)), np.zeros(m)), last=True)
    chain.backward(np.ones_like(chain.forward(rng.standard_normal((32, 50)))))
    vanished = spread(weight_gradients(chain))
    return Finding(
        f"healthy run B: {median:.1f} (up to {worst:.0f} at the start); run F, exploding: {f:.0f}; a ReLU "
        f"chain that loses half of its signal in every layer: {vanished:.1f}",
        judge(worst < 10 and vanished > 100, median < 10),
        "healthy networks are usually within it, and so are weight gradients of a sick one (see 3.36)",
    )


@CHAPTER.claim("3.44", "quick diagnostic", "One line prints the norms of any model.", "08", needs="torch")
def one_line() -> Finding:
    import torch

    used, unused = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    used(torch.ones(1, 2)).sum().backward()
    missing = sum(p.grad is None for p in torch.nn.ModuleList([used, unused]).parameters())
    return Finding(
        f"a layer that was not used: {missing} parameters have None for a gradient, which has no norm",
        judge(missing == 0, all(p.grad is not None for p in used.parameters())),
        "if every parameter is trained; a frozen or unused one ends the loop with an AttributeError",
    )


@CHAPTER.claim("3.11", "thresholds", "The lesson has one threshold for layers that differ too much.", "08")
def thresholds() -> Finding:
    named = {"chapter 0": 1000, "chapter 3": 100, "chapter 4": 3, "chapter 6": 1000, "chapter 7": 10}
    return Finding(
        ", ".join(f"{where}: {factor}" for where, factor in named.items()),
        judge(len(set(named.values())) == 1),
        "the lesson has four; a network at 30 is sick by two of them and healthy by two",
    )


@CHAPTER.claim(
    "3.19", "skip connections", "Without them, 50 layers have gradients millions of times apart.", "04"
)
def fifty_plain() -> Finding:
    ratios = {}
    for name, start in (("PyTorch's default", uniform), ("He", he)):
        rng = np.random.default_rng(0)
        net = stack([128] * 51, "relu", start(rng), last=True)
        net.forward(rng.standard_normal((32, 128)))
        norms = [np.linalg.norm(g) for g in upstream(net, np.ones((32, 128)))]
        ratios[name] = float(max(norms[-1] / norms[0], norms[0] / norms[-1]))
    return Finding(
        "first and last of 50 plain ReLU layers: "
        + ", ".join(f"{name} {r:.0e}" for name, r in ratios.items()),
        judge(min(ratios.values()) > 1e5, max(ratios.values()) > 1e5),
        "from the default weights, whose variance is a sixth of what a ReLU needs; from He weights not",
    )


CHAPTER.on_record(
    "3.20",
    "skip connections",
    "152 layers in 2015, where others struggled with more than 20.",
    "He et al. 2015; Srivastava, Greff and Schmidhuber 2015",
    "disagrees in part: Highway Networks of that year train up to 100 layers",
    "04",
)
