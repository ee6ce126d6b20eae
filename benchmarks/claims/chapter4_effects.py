"""The interactive lesson, chapter 4: what batch normalization does to training."""

from __future__ import annotations

import functools

import numpy as np

from claims.chapter4 import normalize
from claims.claim import Chapter, Finding, judge
from claims.networks import (
    Array,
    Start,
    gaussian,
    he,
    outputs,
    spread,
    stack,
    standardized,
    train,
    uniform,
    weight_gradients,
    xavier,
)
from minigrad.activity import saturated_fraction
from minigrad.layers import (
    sigmoid_backward,
    sigmoid_forward,
)
from minigrad.training import accuracy

CHAPTER = Chapter("The interactive lesson, chapter 4: batch normalization")


@CHAPTER.claim("4.4", "gradient flow", "It keeps sigmoids from saturating.", "05")
def saturating() -> Finding:
    shares = []
    for batchnorm in (False, True):
        net = stack(
            [64] + [32] * 6 + [10], "sigmoid", gaussian(np.random.default_rng(0), 3.0), batchnorm=batchnorm
        )
        shares.append(np.mean([saturated_fraction(h) for h in outputs(net, standardized()[0])]))
    return Finding(
        f"six layers, weights of std 3: {shares[0]:.0%} of the outputs saturated without, {shares[1]:.0%} with it",
        judge(shares[0] > 0.3 and shares[1] < 0.02),
        "at the start; γ may grow",
    )


@CHAPTER.claim(
    "4.5", "gradient flow", "Most pre-activations then lie in [-2, 2], where the slope is largest.", "02, 05"
)
def in_range() -> Finding:
    z = normalize(np.random.default_rng(0).standard_normal((10**5, 1)))
    share = float(np.mean(np.abs(z) < 2))
    slope = sigmoid_backward(np.ones(3), sigmoid_forward(np.array([-2.0, 0.0, 2.0]))[1])
    return Finding(
        f"{share:.1%} of them, if they are normal; slopes there from {slope[0]:.3f} to {slope[1]:.2f}",
        judge(share > 0.9),
        "the largest there are, and still a quarter at best",
    )


@functools.cache
def evaluation_modes() -> tuple[float, float, float]:
    """Accuracy of a trained network: right mode, forgotten mode on batches sorted by class, and one by one."""
    rng = np.random.default_rng(0)
    x, y = standardized()
    net = stack([64, 100, 10], "relu", he(rng), batchnorm=True)
    train(net, (x, y), rng, rate=0.2, steps=300)
    order = np.argsort(y, kind="stable")
    net.mode = "test"
    right = accuracy(net.forward(x), y)
    net.mode = "train"
    by_class = np.concatenate([net.forward(x[rows]) for rows in np.array_split(order, 50)])
    alone = np.concatenate([net.forward(x[i : i + 1]) for i in range(0, 300)])
    return right, accuracy(by_class, y[order]), accuracy(alone, y[:300])


@CHAPTER.claim("4.9", "inference", "Forgetting the evaluation mode changes what a network says.", "05")
def forgotten() -> Finding:
    right, by_class, alone = evaluation_modes()
    return Finding(
        f"accuracy {right:.2f}; forgotten, on batches of one class {by_class:.2f}, one by one {alone:.2f}",
        judge(by_class < right - 0.2 and alone < 0.2),
    )


def _trains(start: Start, batchnorm: bool, rate: float, steps: int = 200) -> tuple[Array, float]:
    net = stack([64, 64, 64, 64, 10], "relu", start, batchnorm=batchnorm)
    return train(net, standardized(), np.random.default_rng(1), rate=rate, steps=steps)


@functools.cache
def largest_rates() -> tuple[float, float]:
    """The largest rate at which three hidden layers get to 0.9, without and with batch normalization."""
    rates = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    best = []
    for batchnorm in (False, True):
        works = [r for r in rates if _trains(he(np.random.default_rng(0)), batchnorm, r)[1] > 0.9]
        best.append(max(works))
    return best[0], best[1]


@CHAPTER.claim("4.10", "effects, row 1", "Largest learning rate: 0.01 without, 0.1 with it.", "05", slow=True)
def rates() -> Finding:
    without, with_it = largest_rates()
    return Finding(
        f"three ReLU layers on digits reach 0.9 up to a rate of {without:g} without and {with_it:g} with it",
        judge(without < 0.03 and 3 < with_it / without < 30, with_it / without > 2),
        "larger rates, yes; the numbers belong to one network and one problem",
    )


@CHAPTER.claim("4.11", "effects, row 2", "A bad start does not matter with it, and is fatal without.", "05")
def starts() -> Finding:
    scores = {
        scale: [_trains(he(np.random.default_rng(0), scale), bn, 0.1)[1] for bn in (False, True)]
        for scale in (0.05, 1.0, 10.0)
    }
    return Finding(
        "accuracy without / with, at 0.05, 1, 10 times He: "
        + ", ".join(f"{a:.2f} / {b:.2f}" for a, b in scores.values()),
        judge(
            max(scores[0.05][0], scores[10.0][0]) < 0.5 and min(scores[0.05][1], scores[10.0][1]) > 0.9,
            min(scores[0.05][1], scores[10.0][1]) > max(scores[0.05][0], scores[10.0][0]) + 0.1,
        ),
        "small starts are healed; from large ones learning is slow, since steps count relative to the weights (4.6)",
    )


@CHAPTER.claim("4.12", "effects, row 3", "Training is 2 to 3 times faster.", "05", slow=True)
def faster() -> Finding:
    def steps_to(batchnorm: bool, rate: float) -> float:
        losses, _ = _trains(he(np.random.default_rng(0)), batchnorm, rate)
        smooth = np.convolve(losses, np.ones(5) / 5, mode="valid")
        return float(np.argmax(smooth < 0.2)) if np.any(smooth < 0.2) else np.inf

    same = steps_to(False, 0.1) / steps_to(True, 0.1)
    best = [min(steps_to(bn, r) for r in (0.03, 0.1, 0.3, 1.0)) for bn in (False, True)]
    return Finding(
        f"steps to a loss of 0.2, without over with: {same:.1f} at a rate of 0.1, {best[0] / best[1]:.1f} "
        "at the best rate of each",
        judge(2 <= best[0] / best[1] <= 3, 2 <= same <= 3),
        "not in this small network, at the same rate or at the best rate of each; and a step costs more",
    )


@CHAPTER.claim("4.13", "effects, row 4", "It regularizes a little.", "05", slow=True)
def regularizes() -> Finding:
    x, y = standardized()
    gains = []
    for seed in range(40):
        scores = []
        for batchnorm in (False, True):
            rng = np.random.default_rng(seed)
            order = rng.permutation(len(x))
            few, rest = order[:200], order[200:]
            net = stack([64, 64, 64, 10], "relu", he(rng), batchnorm=batchnorm)
            train(net, (x[few], y[few]), rng, rate=0.1, steps=300, batch=32)
            net.mode = "test"
            scores.append(accuracy(net.forward(x[rest]), y[rest]))
        gains.append(scores[1] - scores[0])
    gain, error = float(np.mean(gains)), float(np.std(gains, ddof=1) / len(gains) ** 0.5)
    return Finding(
        f"200 digits to learn from, accuracy on the others: {gain:+.4f} ± {error:.4f} with it (40 seeds)",
        judge(gain > 3 * error),
        "half of a per cent; it takes many networks to see it",
    )


@CHAPTER.claim("4.14", "listing", "With it, all gradient norms are within 2 to 3 times of each other.", "05")
def listing() -> Finding:
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        net = stack([784, 256, 128, 10], "relu", uniform(rng), batchnorm=True)
        net.backward(np.ones_like(net.forward(rng.standard_normal((32, 784)))))
        gammas = [np.linalg.norm(g) for name, g in net.grads.items() if name.endswith("gamma")]
        found.append([*weight_gradients(net), *gammas])
    median = np.median(found, axis=0)
    worst = min(spread(np.array(row)) for row in found)
    return Finding(
        "weights "
        + ", ".join(f"{g:.1f}" for g in median[:3])
        + "; γ "
        + ", ".join(f"{g:.1f}" for g in median[3:])
        + f": apart by {worst:.0f} times or more",
        judge(worst < 3),
        "the last matrix has no normalization after it, and the sum as a loss pushes all examples alike",
    )


@CHAPTER.claim("4.15", "listing", "The biases before a normalization are parameters that learn.", "05")
def bias() -> Finding:
    rng = np.random.default_rng(0)
    net = stack([64, 32, 10], "relu", uniform(rng), batchnorm=True)
    net.backward(rng.standard_normal(net.forward(rng.standard_normal((32, 64))).shape))
    size = float(np.abs(net.grads["affine1.b"]).max() / np.abs(net.grads["affine1.w"]).max())
    return Finding(
        f"gradient of a bias before the normalization: {size:.0e} of the weights'",
        judge(size > 1e-6),
        "the mean is subtracted right after: such a bias does nothing, β does its work",
    )


@CHAPTER.claim("4.18", "gradient flow", "So a deep sigmoid network learns with it.", "05")
def heals() -> Finding:
    scores = [
        train(
            stack([64] + [32] * 6 + [10], "sigmoid", xavier(np.random.default_rng(0)), batchnorm=bn),
            standardized(), np.random.default_rng(1), rate=0.5, steps=300,
        )[1]
        for bn in (False, True)
    ]  # fmt: skip
    return Finding(
        f"six sigmoid layers, Xavier weights: accuracy {scores[0]:.2f} without, {scores[1]:.2f} with it",
        judge(scores[0] < 0.2 and scores[1] > 0.8),
        "normalized pre-activations make up for small weights, as a larger gain does",
    )
