"""The interactive lesson, chapter 4: what batch normalization is."""

from __future__ import annotations

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import (
    Array,
    he,
    stack,
    upstream,
)
from minigrad.gradcheck import numerical_gradient_array, relative_error
from minigrad.layers import (
    batchnorm_backward,
    batchnorm_forward,
    layernorm_forward,
)

CHAPTER = Chapter("The interactive lesson, chapter 4: batch normalization")


def normalize(x: Array, gamma: float | Array = 1.0, beta: float | Array = 0.0) -> Array:
    """Batch normalization of a training batch."""
    ones = np.ones(x.shape[1])
    return batchnorm_forward(x, gamma * ones, beta * ones, {"mode": "train"})[0]


@CHAPTER.claim("4.1", "equations", "The four equations, from the mean to γx̂ + β.", "05")
def equations() -> Finding:
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.standard_normal((16, 5)), rng.standard_normal(5), rng.standard_normal(5)
    mu = x.mean(axis=0)
    by_hand = gamma * (x - mu) / np.sqrt(((x - mu) ** 2).mean(axis=0) + 1e-5) + beta
    dout = rng.standard_normal(x.shape)
    out, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    dx = batchnorm_backward(dout, cache)[0]
    measured = numerical_gradient_array(lambda x: normalize(x, gamma, beta), x, dout)
    return Finding(
        f"by hand: error {relative_error(out, by_hand):.0e}; its gradient, measured: "
        f"{relative_error(dx, measured):.0e}",
        judge(relative_error(out, by_hand) < 1e-12 and relative_error(dx, measured) < 1e-6),
        "with the variance of the population, 1/m",
    )


@CHAPTER.claim("4.2", "equations", "x̂ has mean 0 and variance 1.", "05")
def unit_variance() -> Finding:
    x = np.random.default_rng(0).standard_normal((1000, 1))
    variances = [float(normalize(std * x).var()) for std in (1.0, 1e-3)]
    return Finding(
        f"variance {variances[0]:.4f} for inputs of std 1, {variances[1]:.2f} for std 0.001",
        judge(min(variances) > 0.99, variances[0] > 0.99),
        "σ²/(σ² + ε): where the variance is not far above ε",
    )


@CHAPTER.claim(
    "4.3", "equations", "With γ and β it can be undone, so it does not limit what a network represents.", "05"
)
def undone() -> Finding:
    x = np.random.default_rng(0).standard_normal((16, 5)) + 3
    gamma, beta = np.sqrt(x.var(axis=0) + 1e-5), x.mean(axis=0)
    error = relative_error(normalize(x, gamma, beta), x)
    other = np.concatenate([x[:1], np.random.default_rng(1).standard_normal((15, 5))])
    moved = float(np.abs(normalize(other, gamma, beta)[0] - x[0]).max())
    return Finding(
        f"on the batch that γ and β are made from, error {error:.0e}; the same row among others changes by "
        f"{moved:.1f}",
        judge(moved < 1e-6, error < 1e-12),
        "for one batch, or with running statistics; in training an example depends on its neighbours",
    )


@CHAPTER.claim(
    "4.6", "gradient perspective", "Badly scaled weights do not change the scale of the gradient.", "05"
)
def scale() -> Finding:
    rng = np.random.default_rng(0)
    x, w, dout = rng.standard_normal((32, 10)), rng.standard_normal((10, 10)), rng.standard_normal((32, 10))
    found = []
    for s in (1.0, 100.0):
        _, cache = batchnorm_forward(x @ (s * w), np.ones(10), np.zeros(10), {"mode": "train", "eps": 1e-12})
        dz = batchnorm_backward(dout, cache)[0]
        found.append((dz @ (s * w).T, x.T @ dz))
    below = float(np.linalg.norm(found[1][0]) / np.linalg.norm(found[0][0]))
    own = float(np.linalg.norm(found[1][1]) / np.linalg.norm(found[0][1]))
    return Finding(
        f"weights times 100: gradient for the input times {below:.2f}, for the weights times {own:.2f}",
        judge(abs(below - 1) < 1e-6 and abs(own - 1) < 1e-6, abs(below - 1) < 1e-6),
        "what is handed down; the weights' own gradient is divided by 100, so large weights learn slowly",
    )


@CHAPTER.claim("4.7", "gradient perspective", "So gradients stay in a healthy range.", "05")
def deep() -> Finding:
    ratios = {}
    for depth in (6, 50):
        rng = np.random.default_rng(0)
        net = stack([100] * (depth + 1), "relu", he(rng), last=True, batchnorm=True)
        net.forward(rng.standard_normal((64, 100)))
        norms = [np.linalg.norm(g) for g in upstream(net, rng.standard_normal((64, 100)))]
        ratios[depth] = float(norms[0] / norms[-1])
    return Finding(
        f"He weights, ReLU, first over last: {ratios[6]:.1f} at 6 layers, {ratios[50]:.0e} at 50",
        judge(ratios[50] < 100, ratios[6] < 10),
        "in shallow networks; without skips each normalized ReLU layer multiplies it by about 1.2",
    )


@CHAPTER.claim("4.8", "inference", "At test time, running averages take the place of the batch.", "05")
def running() -> Finding:
    rng = np.random.default_rng(0)
    param: dict[str, object] = {"mode": "train"}
    for _ in range(200):
        batchnorm_forward(3 + 2 * rng.standard_normal((64, 1)), np.ones(1), np.zeros(1), param)
    param["mode"] = "test"
    alone = batchnorm_forward(np.array([[5.0]]), np.ones(1), np.zeros(1), param)[0][0, 0]
    return Finding(
        f"data of mean 3, std 2; the example 5 alone gives {alone:.2f}",
        judge(abs(alone - 1) < 0.15),
        "exact: 1",
    )


@CHAPTER.claim("4.16", "LayerNorm", "It does not depend on the batch, and works with one example.", "05")
def layernorm() -> Finding:
    x = np.random.default_rng(0).standard_normal((8, 16))
    ones, zeros = np.ones(16), np.zeros(16)
    together = layernorm_forward(x, ones, zeros, {})[0][0]
    alone = layernorm_forward(x[:1], ones, zeros, {})[0][0]
    difference = float(np.abs(together - alone).max())
    return Finding(f"a row alone and among eight: differ by {difference:.0e}", judge(difference < 1e-12))


@CHAPTER.claim("4.25", "LayerNorm", "It normalizes over features, BatchNorm over the batch.", "05")
def axes() -> Finding:
    x = np.random.default_rng(0).standard_normal((8, 16)) + np.arange(16)
    ones, zeros = np.ones(16), np.zeros(16)
    rows = float(np.abs(layernorm_forward(x, ones, zeros, {})[0].mean(axis=1)).max())
    columns = float(np.abs(normalize(x).mean(axis=0)).max())
    return Finding(
        f"means that are 0: of each row to {rows:.0e}, of each column to {columns:.0e}",
        judge(max(rows, columns) < 1e-12),
    )


@CHAPTER.claim(
    "4.17", "table, transformers", "They need LayerNorm because decoding has a batch of one.", "05"
)
def decoding() -> Finding:
    rng = np.random.default_rng(0)
    param: dict[str, object] = {"mode": "train"}
    x = rng.standard_normal((64, 8))
    batchnorm_forward(x, np.ones(8), np.zeros(8), param)
    param["mode"] = "test"
    many = batchnorm_forward(x, np.ones(8), np.zeros(8), param)[0][0]
    one = batchnorm_forward(x[:1], np.ones(8), np.zeros(8), param)[0][0]
    difference = float(np.abs(many - one).max())
    return Finding(
        f"BatchNorm in test mode, a row alone and among 64: differ by {difference:.0e}",
        judge(difference > 1e-6),
        "decoding is evaluation, where BatchNorm does not look at the batch either; the trouble is in training",
    )


CHAPTER.on_record(
    "4.19",
    "introduction",
    "BatchNorm: Ioffe and Szegedy, 2015, who meant to reduce internal covariate shift.",
    "S. Ioffe and C. Szegedy, ICML 2015",
    "agrees",
    "05",
)


CHAPTER.on_record(
    "4.20",
    "internal covariate shift",
    "Santurkar et al. find that it smooths the loss instead.",
    "S. Santurkar et al., NeurIPS 2018",
    "agrees",
    "05",
)


CHAPTER.on_record(
    "4.21", "LayerNorm", "Ba et al., 2016.", "J. L. Ba, J. R. Kiros and G. Hinton, 2016", "agrees", "05"
)


CHAPTER.on_record(
    "4.22",
    "LayerNorm",
    "Transformers use LayerNorm only.",
    "B. Zhang and R. Sennrich, NeurIPS 2019; Touvron et al. 2023",
    "disagrees: T5 and Llama use RMSNorm",
    "05, 09",
)


CHAPTER.on_record(
    "4.23",
    "table, RNNs",
    "LayerNorm, because one cannot batch over time.",
    "T. Cooijmans et al., ICLR 2017",
    "disagrees in part: recurrent batch normalization keeps statistics for each step",
    "05, 06",
)


CHAPTER.on_record(
    "4.24",
    "table, GANs",
    "InstanceNorm or SpectralNorm, because BatchNorm makes the discriminator collapse.",
    "A. Radford et al. 2016; T. Miyato et al. 2018",
    "disagrees in part: DCGAN uses BatchNorm in both networks; spectral normalization is later, for stability",
    "05",
)
