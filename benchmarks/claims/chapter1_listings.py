"""The interactive lesson, chapter 1: what its two listings print."""

from __future__ import annotations

import functools

import numpy as np

from claims.chapter1 import slopes
from claims.claim import Chapter, Finding, judge
from claims.networks import (
    Array,
    outputs,
    spread,
    stack,
    uniform,
    weight_gradients,
)
from minigrad.activity import saturated_fraction

CHAPTER = Chapter("The interactive lesson, chapter 1: sigmoid saturation")


def mean_slope(std: float) -> float:
    """Mean slope for pre-activations that are normal with mean 0, as an integral."""
    z = np.linspace(-12, 12, 200001)
    return float(np.sum(slopes(std * z) * np.exp(-(z**2) / 2)) * (z[1] - z[0]) / np.sqrt(2 * np.pi))


@CHAPTER.claim(
    "1.13", "first listing, output 1", "The mean slope for standard normal pre-activations is 0.194.", "02"
)
def printed_mean() -> Finding:
    rng = np.random.default_rng(0)
    mean = mean_slope(1.0)
    draws = np.array([slopes(rng.standard_normal(1000)).mean() for _ in range(1000)])
    return Finding(
        f"{mean:.4f}; 1000 samples of 1000 lie between {draws.min():.3f} and {draws.max():.3f}",
        judge(bool(draws.min() <= 0.194)),
        "no sample of that size gives it",
    )


@CHAPTER.claim("1.14", "first listing, output 2", "The largest slope in the sample is 0.250.", "02")
def printed_max() -> Finding:
    s = slopes(np.random.default_rng(0).standard_normal(1000))
    return Finding(f"{s.max():.5f}", judge(round(float(s.max()), 3) == 0.25))


@CHAPTER.claim(
    "1.15", "first listing, output 3", "For pre-activations five times as wide it is 0.0156.", "02"
)
def printed_saturated() -> Finding:
    mean, bound = mean_slope(5.0), 0.1585 * 0.1966
    return Finding(
        f"{mean:.4f}; the 15.9 % between -1 and 1 alone give {bound:.3f} or more",
        judge(abs(mean - 0.0156) < 0.001),
        "no computer needed: P(|z| < 1) times the slope at 1 is twice the printed mean",
    )


@CHAPTER.claim("1.16", "first listing, comment", "That is 12 times smaller.", "02")
def twelve() -> Finding:
    ratio = mean_slope(1.0) / mean_slope(5.0)
    return Finding(f"{ratio:.1f} times", judge(abs(ratio - 12) < 1), "both printed means are wrong")


@CHAPTER.claim("1.17", "first listing, output 4", "The mean slope of a ReLU is 0.500.", "03")
def relu_mean() -> Finding:
    rng = np.random.default_rng(0)
    means = np.array([(rng.standard_normal(1000) > 0).mean() for _ in range(2000)])
    share = float(np.mean(means == 0.5))
    return Finding(
        f"expected 0.5; a sample of 1000 prints 0.500 in {share:.1%} of the cases, and ± {means.std():.3f} usually",
        judge(share > 0.5, abs(means.mean() - 0.5) < 0.01),
        "in expectation",
    )


PRINTED = np.array([0.000031, 0.000284, 0.002107, 0.015892, 0.118744, 0.891355])


@functools.cache
def five_sigmoids() -> Array:
    """The network of the second listing: weight gradients of the sum of its outputs, for 20 seeds."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        net = stack([100] * 6 + [10], "sigmoid", uniform(rng))
        out = net.forward(rng.standard_normal((32, 100)))
        net.backward(np.ones_like(out))
        found.append(weight_gradients(net))
    return np.array(found)


@CHAPTER.claim("1.18", "second listing, last row", "The last layer's weight gradient has norm 0.891.", "02")
def last_row() -> Finding:
    norms = five_sigmoids()[:, -1]
    return Finding(
        f"{norms.min():.0f} to {norms.max():.0f} over 20 seeds",
        judge(bool(norms.min() < 1)),
        "cannot be: each of its 1000 entries is a sum of 32 activations near 1/2, so about 16, and 16·√1000 is 506",
    )


@CHAPTER.claim("1.19", "second listing, first row", "The first layer's is 0.000031.", "02")
def first_row() -> Finding:
    norms = five_sigmoids()[:, 0]
    return Finding(
        f"{norms.min():.4f} to {norms.max():.4f}", judge(bool(norms.min() <= 0.000031)), "too small by far"
    )


@CHAPTER.claim("1.20", "second listing", "From layer to layer the gradient grows 7 to 9 times.", "02")
def steps_between() -> Finding:
    steps = np.median(five_sigmoids(), axis=0)
    factors = steps[1:] / steps[:-1]
    return Finding(
        "medians: " + ", ".join(f"{f:.1f}" for f in factors),
        judge(
            bool(np.all((factors > 6.5) & (factors < 9.5))), bool(np.any((factors > 6.5) & (factors < 9.5)))
        ),
        "variance 1/(3n) and slopes of 1/4 give 4·√3 = 6.9; inputs of mean 0 cancel over the batch, "
        "activations do not",
    )


@CHAPTER.claim("1.21", "second listing", "The first gradient is 28,000 times smaller than the last.", "02")
def total() -> Finding:
    ratios = five_sigmoids()[:, -1] / five_sigmoids()[:, 0]
    return Finding(
        f"of the printed numbers {spread(PRINTED):.0f}; measured {ratios.min():.0f} to {ratios.max():.0f}",
        judge(bool(ratios.min() <= 28754 <= ratios.max())),
        "the printed table agrees with itself, and with no network",
    )


@CHAPTER.claim("1.22", "second listing, conclusion", "This is sigmoid saturation at work.", "02")
def no_saturation() -> Finding:
    rng = np.random.default_rng(0)
    net = stack([100] * 6 + [10], "sigmoid", uniform(rng))
    shares = [saturated_fraction(h) for h in outputs(net, rng.standard_normal((32, 100)))]
    return Finding(
        f"{max(shares):.0%} of the outputs are saturated",
        judge(max(shares) > 0.1),
        "it vanishes at the best slope there is: a quarter each, times small weights",
    )
