"""The interactive lesson, chapter 7: connections."""

from __future__ import annotations

import warnings

import numpy as np

from claims.chapter1 import ten_layers
from claims.chapter2_remedies import TOO_LONG, gradient_left, trained
from claims.claim import Chapter, Finding, judge
from claims.networks import PAIRS, Start, dying, he, stack, standardized, train, trap
from minigrad.clipping import clip_grad_norm
from minigrad.gains import gain
from minigrad.initializers import orthogonal
from minigrad.layers import batchnorm_backward, batchnorm_forward
from minigrad.network import Layer
from minigrad.optimizers import adam

CHAPTER = Chapter("The interactive lesson, chapter 7: connections")


@CHAPTER.claim(
    "7.1",
    "table, exploding",
    "Gradient scaling in mixed precision is a remedy for exploding gradients.",
    "09",
)
def scaling() -> Finding:
    small, large = np.float16(1e-8), np.float16(1000.0)
    scaled = np.float16(1e-8 * 1024), large * np.float16(1024)
    return Finding(
        f"float16: 1e-8 is {small:g}, times 1024 it is {scaled[0]:.1e}; 1000 times 1024 is {scaled[1]}",
        judge(bool(np.isfinite(scaled[1])) and small != 0),
        "it saves small gradients from rounding to 0, and makes large ones overflow",
    )


@CHAPTER.claim("7.2", "table, vanishing", "ReLU and a proper initialization are the solution of 2016.", "04")
def relu_2016() -> Finding:
    rng = np.random.default_rng(0)
    share = train(stack([64] + [64] * 10 + [10], "relu", he(rng)), standardized(), rng, rate=0.05, steps=300)[
        1
    ]
    return Finding(f"ten ReLU layers, He: accuracy {share:.2f}", judge(share > 0.9))


@CHAPTER.claim("7.3", "table, dead units", "GELU and SiLU do away with dead units.", "03, 09")
def no_more_dead() -> Finding:
    share = {
        name: [trained(Layer(*PAIRS[name]), seed, **TOO_LONG) for seed in range(3)]
        for name in ("relu", "gelu", "silu")
    }
    return Finding(
        "assignment 03, all steps too long, accuracy of three networks: "
        + "; ".join(f"{name} {' '.join(f'{each:.2f}' for each in runs)}" for name, runs in share.items()),
        judge(min(share["gelu"] + share["silu"]) > 0.9, min(share["silu"]) > max(share["relu"])),
        "SiLU survives here, GELU not in every network: its slope, too, is exactly 0 far out (2.14)",
    )


@CHAPTER.claim("7.4", "tools", "detect_anomaly finds the source of a NaN.", "09", needs="torch")
def anomaly_nan() -> Finding:
    return Finding(
        f"√(x - x)·0: {_anomaly('nan')}",
        judge(_anomaly("nan") == "RuntimeError"),
        "it raises at the backward function whose gradient is NaN, and warns with the forward line",
    )


@CHAPTER.claim("7.5", "tools", "It finds the source of an infinity too.", "09", needs="torch")
def anomaly_inf() -> Finding:
    return Finding(
        f"1/(x - x): {_anomaly('inf')}",
        judge(_anomaly("inf") == "RuntimeError"),
        "it looks for NaN only, and only in gradients",
    )


def _anomaly(kind: str) -> str:
    import torch

    x = torch.tensor([4.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.autograd.detect_anomaly():
                zero = x - 4
                y = (torch.sqrt(zero) * 0 if kind == "nan" else 1 / zero).sum()
                y.backward()
        except RuntimeError as error:
            return type(error).__name__
    return f"no error, gradient {x.grad[0]:.0f}"  # type: ignore[index]


@CHAPTER.claim(
    "7.6",
    "tools",
    "torch.autograd.gradcheck(f, inputs, eps=1e-6) verifies a function.",
    "01, 09",
    needs="torch",
)
def gradcheck() -> Finding:
    import torch

    said = {}
    for kind in (torch.float64, torch.float32):
        x = torch.linspace(0.5, 2, 5, dtype=kind, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said[kind] = torch.autograd.gradcheck(
                lambda x: (x**3).sum(), (x,), eps=1e-6, raise_exception=False
            )
    return Finding(
        f"a right gradient: {said[torch.float64]} in float64, {said[torch.float32]} in float32",
        judge(all(said.values()), said[torch.float64]),
        "if the inputs are float64, which is not the default; and its tolerance is absolute (docs/gradcheck.md)",
    )


@CHAPTER.claim("7.7", "predictions", "A network of 100 layers without skips does not train.", "04", slow=True)
def hundred() -> Finding:
    def turned(rng: np.random.Generator) -> Start:
        return lambda n, m: (orthogonal((n, m), rng), np.zeros(m))

    shares = {}
    for name, activation, start in (("tanh, orthogonal", "tanh", turned), ("ReLU, He", "relu", he)):
        rng = np.random.default_rng(0)
        net = stack([64] * 100 + [10], activation, start(rng))
        shares[name] = train(net, standardized(), rng, rate=1e-4, steps=300, optimizer=adam)[1]
    return Finding(
        "100 plain layers, Adam at 1e-4, 300 steps: "
        + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()),
        judge(max(shares.values()) < 0.5),
        "with He weights it hardly does; with orthogonal ones and tanh it does",
    )


@CHAPTER.claim("7.8", "predictions", "A batch of one breaks BatchNorm.", "05")
def batch_of_one() -> Finding:
    x = np.random.default_rng(0).standard_normal((1, 5))
    out, cache = batchnorm_forward(x, np.ones(5), np.full(5, 0.3), {"mode": "train"})
    dx = batchnorm_backward(np.ones((1, 5)), cache)[0]
    return Finding(
        f"every output is β = {out.min():.1f}, the gradient below is {np.abs(dx).max():.0f}",
        judge(bool(np.allclose(out, 0.3)) and not dx.any()),
        "for affine layers; convolutions have more positions to average over",
    )


@CHAPTER.claim("7.9", "predictions", "GELU has slightly better gradient flow than ReLU.", "09")
def gelu_flow() -> Finding:
    relu, gelu, own = (
        gradient_left("relu"),
        gradient_left("gelu"),
        gradient_left("gelu", gain("gelu") / gain("relu")),
    )
    return Finding(
        f"first over last of 50 layers: ReLU {relu:.2f}, GELU {gelu:.0e}, GELU with its own gain {own:.0f}",
        judge(abs(np.log10(gelu)) < abs(np.log10(relu)), abs(np.log10(own)) < abs(np.log10(relu))),
        "from He weights it vanishes; in transformers a normalization and a skip stand around it",
    )


@CHAPTER.claim("7.10", "think in gradients", "Ten more sigmoid layers: vanishing gradients.", "02")
def ten_sigmoids() -> Finding:
    small, large = ten_layers(1.0)[0], ten_layers(8.0)[0]
    return Finding(
        f"first over last: {small:.0e} with a gain of 1, {large:.2f} with 8",
        judge(large < 1e-3, small < 1e-3),
        "with the usual initialization",
    )


@CHAPTER.claim("7.11", "think in gradients", "A learning rate of 1 with ReLUs: dead units.", "03")
def rate_of_one() -> Finding:
    rng = np.random.default_rng(0)
    net = stack([64, 100, 10], "relu", he(rng))
    x, y = standardized()
    _, share = train(net, (x, y), rng, rate=1.0, steps=150)
    dead = float(np.mean(~net.parts["act1"].forward(net.parts["affine1"].forward(x)).any(axis=0)))
    raw = dying(first_rate=1.0, learning_rate=1.0, bias=0.0)
    return Finding(
        f"one hidden layer, rate 1: {raw['silent']:.0%} dead on raw pixels, {dead:.0%} (accuracy "
        f"{share:.2f}) on standardized ones",
        judge(dead > 0.1, raw["silent"] > 0.1),
        "what is too large depends on the inputs, the loss and the width",
    )


@CHAPTER.claim("7.12", "knowledge stack", "One recognizes each failure from the loss curve alone.", "00")
def curve_alone() -> Finding:
    runs = trap()
    means = {letter: float(np.mean(runs[f"{letter}_losses"][-50:])) for letter in "ADBE"}
    return Finding(
        f"last losses: A (saturated) {means['A']:.2f}, D (vanishing) {means['D']:.2f}; B (healthy) "
        f"{means['B']:.3f}, E (wrong labels) {means['E']:.3f}",
        judge(abs(means["A"] - means["D"]) > 0.5 and abs(means["B"] - means["E"]) > 0.1),
        "two pairs of runs, each with one curve; the gradients tell the first pair apart, the accuracy the second",
    )


@CHAPTER.claim("7.13", "tools", "clip_grad_norm_ returns the norm before clipping.", "04")
def returned() -> Finding:
    _, norm = clip_grad_norm({"w": np.array([3.0, 4.0])}, 1.0)
    return Finding(
        f"clip_grad_norm here, of (3, 4): {norm:.0f}",
        judge(norm == 5),
        "so it can be logged; PyTorch's does the same",
    )


@CHAPTER.claim("7.14", "table, metrics", "A loss of NaN or infinity means that gradients exploded.", "08, 09")
def not_finite() -> Finding:
    probability = np.array([0.0])
    loss = float(-np.log(probability)[0])
    x = np.float32(1e20)
    return Finding(
        f"-log of a probability that underflowed: {loss}; 1e20 squared in float32: {x * x}; neither needs a gradient",
        judge(bool(np.isfinite(loss))),
        "it may also be a forward pass outside of the range of its floats",
    )


@CHAPTER.claim("7.15", "modern training", "A dead attention head is the transformer's dead ReLU.", "09")
def heads() -> Finding:
    z = np.random.default_rng(0).standard_normal((1000, 16))
    sizes, sums = [], []
    for scale in (1.0, 100.0):
        p = np.exp(scale * z - (scale * z).max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        sums.append(float(p.sum(axis=1).min()))
        sizes.append(float(np.mean(p.max(axis=1) * (1 - p.max(axis=1)))))
    return Finding(
        f"its weights sum to {min(sums):.0f}; slope of the largest one {sizes[0]:.3f}, with logits 100 "
        f"times as large {sizes[1]:.4f}",
        judge(min(sums) == 0, sizes[1] < sizes[0] / 5),
        "its softmax saturates, like a sigmoid; its output is not 0, and values still get gradients",
    )


@CHAPTER.claim("7.16", "table, sigmoid", "Today sigmoids are left in gates only.", "06, 09")
def gates_only() -> Finding:
    named = {"chapter 1": {"gates", "outputs of classifiers", "attention"}, "chapter 7": {"gates"}}
    return Finding(
        "; ".join(f"{where}: {', '.join(sorted(uses))}" for where, uses in named.items()),
        judge(named["chapter 1"] == named["chapter 7"]),
        "the lesson does not agree with itself, and chapter 1 is right",
    )


_RECORDS = (
    ("7.17", "introduction", "The post is of 2016.", "the post itself: 19 December 2016", "agrees", ""),
    (
        "7.18",
        "introduction",
        "Karpathy led Tesla's Autopilot team and later joined OpenAI.",
        "OpenAI's announcement of December 2015",
        "disagrees in part: a founder in 2015, Tesla 2017 to 2022, OpenAI again in 2023",
        "",
    ),
    (
        "7.19",
        "introduction",
        "His networks at OpenAI are among the most successful ever.",
        "",
        "an opinion",
        "",
    ),
    (
        "7.20",
        "modern training",
        "Exploding gradients in pre-training cost thousands of GPU-hours.",
        "",
        "reports of loss spikes are many; hours are not counted",
        "09",
    ),
    (
        "7.21",
        "table, exploding",
        "Warm-up of the learning rate is a newer remedy.",
        "P. Goyal et al. 2017; A. Vaswani et al. 2017",
        "agrees",
        "09",
    ),
    (
        "7.22",
        "table, correctness",
        "gradcheck is built in, unlike in 2016.",
        "PyTorch, 2017; Theano and Caffe had checkers before",
        "disagrees in part",
        "01",
    ),
    (
        "7.23",
        "table, activations",
        "GELU is standard in transformers, and SiLU.",
        "Hendrycks and Gimpel 2016; Ramachandran, Zoph and Le 2017; N. Shazeer 2020",
        "agrees; in gated form today",
        "09",
    ),
    (
        "7.24",
        "think in gradients",
        "Without skips, no gradient reaches a transformer's embedding.",
        "Y. Dong et al., ICML 2021; B. He et al., ICLR 2023",
        "agrees for a standard one, whose rank collapses; with shaped attention it trains without skips",
        "09",
    ),
    (
        "7.25",
        "closing quotation",
        "Autograd makes the wrong thing easy, in Karpathy's words.",
        "",
        "not in the post, and no source is given",
        "",
    ),
    (
        "7.26",
        "monitoring",
        "Logging gradient statistics is best practice in 2024 and 2025.",
        "",
        "an opinion",
        "08",
    ),
)
for _record in _RECORDS:
    CHAPTER.on_record(*_record)
