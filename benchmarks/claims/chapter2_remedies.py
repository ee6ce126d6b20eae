"""The interactive lesson, chapter 2: what is to help against dead ReLUs, and its listings."""

from __future__ import annotations

import functools

import numpy as np

from claims.chapter2 import slope_at
from claims.claim import Chapter, Finding, judge
from claims.networks import PAIRS, dying, he, spread, stack, upstream
from minigrad import experiments
from minigrad.datasets import digits
from minigrad.experiments import dying_relu
from minigrad.initializers import he_init
from minigrad.layers import prelu_backward, prelu_forward
from minigrad.network import Layer

CHAPTER = Chapter("The interactive lesson, chapter 2: dead ReLUs")


TOO_LONG = {"first_rate": 0.5, "learning_rate": 0.5, "bias": 0.0}


"""The second run of assignment 03: all steps are five times too long."""


def trained(activation: Layer, seed: int, **changes: float) -> float:
    """Accuracy of the run of assignment 03 with another activation."""
    settings = experiments.complete(experiments.find("dying_relu"), changes)
    functions = experiments.functions_of(experiments.find("dying_relu"))
    return float(dying_relu.train(activation, settings, functions, np.random.default_rng(seed))["accuracy"])


@CHAPTER.claim("2.10", "leaky ReLU", "It lets 0.01 of the gradient through where a ReLU lets none.", "03")
def leak() -> Finding:
    at = slope_at("leaky_relu", -3.0)
    return Finding(f"slope at -3: {at:.2f}", judge(at == 0.01))


@CHAPTER.claim("2.11", "leaky ReLU", "Over that small slope, units crawl back.", "03")
def lifeline() -> Finding:
    back = {}
    for slope in (0.01, 0.3):
        run = dying(negative_slope=slope)
        back[slope] = run["silent_after_step"] - run["silent"]
    every = dying(**TOO_LONG), dying(negative_slope=0.1, **TOO_LONG)
    return Finding(
        f"after one long step, back after 149 more: {back[0.01]:.0%} of the units at 0.01, {back[0.3]:.0%} "
        f"at 0.3; all steps too long: accuracy {every[0]['accuracy']:.2f} for ReLU, "
        f"{every[1]['accuracy']:.2f} at 0.1",
        judge(back[0.01] > 0.2, every[1]["accuracy"] > every[0]["accuracy"] + 0.5),
        "not after one long step, the way is too far; a larger slope helps where steps keep being long",
    )


@CHAPTER.claim("2.12", "leaky ReLU", "With α = 0.01 PReLU is rarely worth its complexity.", "03")
def prelu() -> Finding:
    scores = {}
    for name in ("0.01", "PReLU"):
        runs = []
        for seed in range(3):
            if name == "PReLU":
                layer = Layer(prelu_forward, prelu_backward, {"alpha": np.full(100, 0.25)})
            else:
                layer = Layer(*PAIRS["leaky_relu"], None, 0.01)
            runs.append(trained(layer, seed, **TOO_LONG))
        scores[name] = float(np.mean(runs))
    usual = [
        np.mean([trained(layer(), seed, first_rate=0.1, bias=0.0) for seed in range(3)])
        for layer in (
            lambda: Layer(*PAIRS["leaky_relu"], None, 0.01),
            lambda: Layer(prelu_forward, prelu_backward, {"alpha": np.full(100, 0.25)}),
        )
    ]
    return Finding(
        f"accuracy at 0.01 and with PReLU: {usual[0]:.3f} and {usual[1]:.3f} in a healthy run, "
        f"{scores['0.01']:.2f} and {scores['PReLU']:.2f} where all steps are too long",
        judge(usual[1] - usual[0] < 0.01 and scores["PReLU"] - scores["0.01"] < 0.01),
        "in these two runs; with long steps PReLU's slopes, which learn at the same rate, blow up",
    )


@CHAPTER.claim("2.13", "table, ELU", "ELU: slope up to α on the left, and no dead units.", "03")
def elu() -> Finding:
    slopes = [slope_at("elu", x) for x in (-1e-9, -5.0, -800.0)]
    accuracy = np.mean([trained(Layer(*PAIRS["elu"]), seed, **TOO_LONG) for seed in range(3)])
    return Finding(
        f"slopes at 0-, -5, -800: {slopes[0]:.2f}, {slopes[1]:.4f}, {slopes[2]:.0f}; all steps too long: "
        f"accuracy {accuracy:.2f}",
        judge(slopes[2] > 0 and accuracy > 0.5, slopes[1] > 0),
        "not exactly 0 until exp underflows, and yet it stays where the ReLU stays, near chance",
    )


@CHAPTER.claim("2.14", "table, GELU", "GELU: slope near 0 on the left, and no dead units.", "03, 09")
def gelu() -> Finding:
    x = np.linspace(-6, 0, 6001)
    slopes = PAIRS["gelu"][1](np.ones_like(x), PAIRS["gelu"][0](x)[1])
    at_40, at_15 = slope_at("gelu", -40.0), slope_at("gelu", -15.0, np.float32)
    return Finding(
        f"slopes down to {slopes.min():.3f} (at {x[slopes.argmin()]:.2f}); exactly 0 at -40 in float64: "
        f"{at_40 == 0}, at -15 in float32: {at_15 == 0}",
        judge(at_40 != 0 and at_15 != 0, slope_at("gelu", -5.0) != 0),
        "a unit that is thrown far enough is as dead as a ReLU; and below -0.75 the slope is negative",
    )


@CHAPTER.claim("2.15", "table, SiLU", "SiLU: small slope on the left, and no dead units.", "03, 09")
def silu() -> Finding:
    at = [slope_at("silu", -5.0), slope_at("silu", -800.0), slope_at("silu", -120.0, np.float32)]
    return Finding(
        f"slopes: {at[0]:.3f} at -5, {at[1]:.0f} at -800, {at[2]:.0f} at -120 in float32",
        judge(at[1] != 0 and at[2] != 0, at[0] != 0),
        "the tail is longer than GELU's, and ends too",
    )


@functools.cache
def gradient_left(name: str, scale: float = 1.0) -> float:
    """Gradient at the first of 50 layers over that at the last, for He weights times a scale: median of five."""
    ratios = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        net = stack([100] * 51, name, he(rng, scale), last=True)
        net.forward(rng.standard_normal((64, 100)))
        norms = [np.linalg.norm(g) for g in upstream(net, rng.standard_normal((64, 100)))]
        ratios.append(norms[0] / norms[-1])
    return float(np.median(ratios))


@CHAPTER.claim("2.16", "GELU", "Smooth, so gradients flow better than through a ReLU.", "09")
def smoother() -> Finding:
    relu, gelu = gradient_left("relu"), gradient_left("gelu")
    return Finding(
        f"He weights, first over last of 50 layers: ReLU {relu:.2f}, GELU {gelu:.0e}",
        judge(gelu > relu),
        "activations shrink layer by layer, and near 0 the slope of a GELU is 1/2: He weights are too small for it",
    )


def _counts_over_batches(sizes: tuple[int, ...]) -> str:
    """Add up masks of whole batches, as the listing does."""
    total = np.zeros((sizes[0], 5))
    try:
        for n in sizes:
            total += np.ones((n, 5))
    except ValueError:
        return "raises"
    return "runs"


@CHAPTER.claim("2.17", "counting listing", "It counts dead units over all batches of a loader.", "03")
def counting() -> Finding:
    said = {sizes: _counts_over_batches(sizes) for sizes in ((100, 100), (100, 97), (100, 1))}
    return Finding(
        f"batches of 100 and 100: {said[100, 100]}; 100 and 97 (1797 digits): {said[100, 97]}; 100 and 1: "
        f"{said[100, 1]}",
        judge(set(said.values()) == {"runs"}, said[100, 100] == "runs"),
        "it adds masks of whole batches, so the last, smaller one does not fit; reduce over examples first",
    )


@CHAPTER.claim("2.18", "counting listing", "The percentage it prints is of the units of a layer.", "03")
def percentage() -> Finding:
    acts = np.zeros((10, 8, 5, 5))  # 8 channels of 5 x 5, all dead
    dead, total = int(np.sum(np.all(acts == 0, axis=0))), acts.shape[1]
    flat = np.zeros((10, 8))
    return Finding(
        f"a dead layer of 8 units: {100 * np.sum(np.all(flat == 0, axis=0)) / 8:.0f} %; of 8 channels of 5 "
        f"x 5: {100 * dead / total:.0f} %",
        judge(dead == total, flat.shape[1] == 8),
        "for affine layers; for convolutions it divides positions by channels",
    )


@CHAPTER.claim(
    "2.19", "bias listing", "A bias of 0.01 makes sure that most units start on the firing side.", "03"
)
def most_start() -> Finding:
    x, _ = digits()
    z = x @ he_init(64, 1000, np.random.default_rng(0))
    shares = [float(np.mean(z + b > 0)) for b in (0.0, 0.01, 0.5)]
    return Finding(
        f"He weights, digits: {shares[0]:.3f} of the pre-activations are positive at a bias of 0, "
        f"{shares[1]:.3f} at 0.01, {shares[2]:.3f} at 0.5",
        judge(shares[1] > 0.55),
        "half of them, as without it: pre-activations are a hundred times as wide",
    )


@CHAPTER.claim("2.20", "bias listing", "It prevents an early death.", "03")
def early_death() -> Finding:
    runs = {b: dying(bias=b) for b in (0.0, 0.01, 0.5)}
    start = [run["silent_at_start"] for run in runs.values()]
    after = [run["silent_after_step"] for run in runs.values()]
    return Finding(
        f"biases 0, 0.01, 0.5: dead at the start {start[0]:.0%}, {start[1]:.0%}, {start[2]:.0%}; after a "
        f"long step {after[0]:.0%}, {after[1]:.0%}, {after[2]:.0%}",
        judge(start[1] < start[0] / 2 or after[1] < after[0] / 2),
        "next to nothing; a bias of 0.5 wakes those that are dead at the start, and protects nobody from the step",
    )


@CHAPTER.claim("2.21", "bias listing", "kaiming_normal_ with mode fan_in alone is right for ReLU.", "04")
def kaiming() -> Finding:
    slope = 0.0  # what it assumes where no activation is named: a leaky ReLU with this slope
    variance = 2 / (1 + slope**2) / 100
    drawn = float(he_init(100, 2000, np.random.default_rng(0)).var())
    return Finding(
        f"2/(1 + 0²)/n = {variance:.4f} for n = 100; he_init draws {drawn:.4f}",
        judge(spread(np.array([variance, drawn])) < 1.02),
        "its default is a leaky ReLU of slope 0, which is a ReLU",
    )


@CHAPTER.claim("2.25", "table, ELU", "ELU is smooth at 0.", "03")
def elu_smooth() -> Finding:
    forward, backward = PAIRS["elu"]
    left = {}
    for alpha in (1.0, 0.5):
        _, cache = forward(np.array([-1e-9]), alpha)
        left[alpha] = float(backward(np.ones(1), cache)[0])
    return Finding(
        f"slope just left of 0: {left[1.0]:.2f} for α = 1, {left[0.5]:.2f} for α = 0.5; to the right of it 1",
        judge(all(abs(slope - 1) < 1e-6 for slope in left.values()), abs(left[1.0] - 1) < 1e-6),
        "for α = 1 only; otherwise it has a kink like the leaky ReLU",
    )


CHAPTER.on_record(
    "2.24",
    "GELU",
    "Modern transformers use GELU.",
    "Radford et al. 2018 and Devlin et al. 2018; Touvron et al. 2023",
    "agrees for GPT and BERT; Llama uses SwiGLU",
    "09",
)
