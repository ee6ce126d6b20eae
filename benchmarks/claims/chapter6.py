"""The interactive lesson, chapter 6: debugging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import (
    Array,
    dying,
    he,
    stack,
    standardized,
    train,
    trap,
    weight_gradients,
    xavier,
)
from minigrad.losses import softmax_loss
from minigrad.optimizers import adam, sgd, sgd_momentum

CHAPTER = Chapter("The interactive lesson, chapter 6: debugging")


def _updates(optimizer: Callable[..., Any], rate: float, at: int) -> tuple[Array, Array]:
    """Of each weight matrix at a step: the update that was made and rate times gradient, relative to the weights."""
    rng = np.random.default_rng(0)
    net = stack([64, 64, 64, 10], "relu", he(rng))
    x, y = standardized()
    config: dict[str, dict[str, Any]] = {name: {} for name in net.params}
    made, formula = [], []
    for step in range(at + 1):
        rows = rng.permutation(len(x))[:64]
        net.backward(softmax_loss(net.forward(x[rows]), y[rows])[1])
        params = net.params
        for name, w in params.items():
            config[name]["learning_rate"] = rate
            params[name], config[name] = optimizer(w, net.grads[name], config[name])
            if step == at and name.endswith(".w"):
                made.append(np.linalg.norm(params[name] - w) / np.linalg.norm(w))
                formula.append(rate * np.linalg.norm(net.grads[name]) / np.linalg.norm(w))
        net.params = params
    return np.array(made), np.array(formula)


@CHAPTER.claim("6.1", "update-to-weight ratio", "The update is η|∇w|.", "08")
def formula() -> Finding:
    off = {}
    for name, optimizer, rate in (
        ("SGD", sgd, 0.05),
        ("momentum 0.9", sgd_momentum, 0.05),
        ("Adam", adam, 1e-3),
    ):
        made, said = _updates(optimizer, rate, at=100)
        off[name] = float(np.median(made / said))
    return Finding(
        "update that was made over the formula, step 100: "
        + ", ".join(f"{name} {r:.3g}" for name, r in off.items()),
        judge(all(0.9 < r < 1.1 for r in off.values()), 0.9 < off["SGD"] < 1.1),
        "for plain SGD; measure the change of the weights instead",
    )


@CHAPTER.claim("6.2", "update-to-weight ratio", "Healthy is about 1e-3.", "08")
def sweet_spot() -> Finding:
    b = np.median(trap()["B_updates"], axis=0)
    made, _ = _updates(adam, 1e-3, at=100)
    return Finding(
        f"healthy run B (SGD): {b.min():.0e} to {b.max():.0e}; Adam at 1e-3, step 100: {made.min():.0e} to "
        f"{made.max():.0e}",
        judge(bool(b.max() < 3e-3), bool(b.min() > 1e-4 and made.max() < 0.1)),
        "as an order of magnitude: a small network that learns in 200 steps moves ten times as fast",
    )


BAND = 1e-4, 1e-2


@CHAPTER.claim("6.3", "table", "The lesson has one band of healthy ratios.", "08")
def bands() -> Finding:
    lines = {"table": (1e-5, 1e-1), "first listing": BAND, "second listing": (0.0, 1e-1)}
    return Finding(
        "; ".join(f"{where}: fine from {low:g} to {high:g}" for where, (low, high) in lines.items()),
        judge(len(set(lines.values())) == 1),
        "a ratio of 3e-2 is warned of by one and fine for two; the table has no row for it",
    )


def _outside(low: float, high: float) -> str:
    """The runs of assignment 00 in which the median ratio of some layer lies outside."""
    medians = {letter: np.nanmedian(trap()[f"{letter}_updates"], axis=0) for letter in "ABCDEFG"}
    return "".join(letter for letter, m in medians.items() if not np.all((m > low) & (m < high)))


@CHAPTER.claim("6.4", "after the table", "This one number catches most pathologies.", "08")
def catches() -> Finding:
    narrow, wide = _outside(*BAND), _outside(1e-5, 1e-1)
    return Finding(
        f"runs of assignment 00, of which all but B are sick: outside of 1e-4 to 1e-2 {', '.join(narrow)}; "
        f"outside of 1e-5 to 1e-1 {', '.join(wide)}",
        judge(any("B" not in letters and len(letters) >= 4 for letters in (narrow, wide))),
        "the narrow band warns of the healthy run too, the wide one misses half of the sick ones",
    )


@CHAPTER.claim("6.5", "first listing", "A warning sign stands at a parameter that is not healthy.", "08")
def biases() -> Finding:
    rng = np.random.default_rng(0)
    net = stack([64, 32, 10], "relu", he(rng))
    x, y = standardized()
    net.backward(softmax_loss(net.forward(x[:64]), y[:64])[1])
    ratios = {
        name: 0.1 * np.linalg.norm(g) / (np.linalg.norm(net.params[name]) + 1e-8)
        for name, g in net.grads.items()
    }
    worst = max(ratio for name, ratio in ratios.items() if name.endswith(".b"))
    return Finding(
        f"healthy network, first step: ratio of a bias {worst:.0e}",
        judge(worst < BAND[1]),
        "biases start at 0, so theirs is divided by 1e-8; leave them out, or wait",
    )


@CHAPTER.claim("6.6", "both listings", "optimizer.defaults['lr'] is the learning rate.", "08", needs="torch")
def defaults() -> Finding:
    import torch

    w = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([w], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    optimizer.step()
    schedule.step()
    used, said = optimizer.param_groups[0]["lr"], optimizer.defaults["lr"]
    return Finding(
        f"after one step of a schedule: {used:.2f} is used, {said:.1f} is what it says",
        judge(used == said, said == 0.1),
        "without a schedule and with one group of parameters; param_groups has the rate in use",
    )


@CHAPTER.claim(
    "6.7",
    "checklist, 1",
    "With N classes the loss starts at -ln(1/N); if much higher, something is wrong.",
    "08",
)
def at_init() -> Finding:
    x, y = standardized()
    losses, halves = [], []
    for seed in range(10):
        out = stack([64, 100, 100, 10], "relu", he(np.random.default_rng(seed))).forward(x)
        losses.append(softmax_loss(out, y)[0])
        halves.append(out.var(axis=1).mean() / 2)
    mean, extra = float(np.mean(losses)), float(np.mean(halves))
    return Finding(
        f"ten healthy He networks: {mean:.2f} on average, ln 10 is {np.log(10):.2f}; half of the variance "
        f"of the scores is {extra:.2f}",
        judge(abs(mean - np.log(10)) < 0.2, mean - np.log(10) < 2 * extra),
        "for scores near 0; otherwise about half of their variance comes on top",
    )


@CHAPTER.claim(
    "6.8",
    "checklist, 2",
    "Five to ten examples can be learnt to a loss near 0; if not, there is a bug.",
    "08",
)
def tiny_batch() -> Finding:
    x, y = standardized()
    rows = np.arange(10)
    rng = np.random.default_rng(0)
    healthy = train(stack([64, 32, 10], "relu", he(rng)), (x[rows], y[rows]), rng, rate=0.1, steps=300)[0][-1]
    deep = train(
        stack([64] + [32] * 6 + [10], "sigmoid", xavier(rng)), (x[rows], y[rows]), rng, rate=0.1, steps=300
    )[0][-1]
    labels = train(
        stack([64, 32, 10], "relu", he(rng)), (x[rows], (y[rows] + 1) % 10), rng, rate=0.1, steps=300
    )[0][-1]
    return Finding(
        f"loss on ten digits: healthy {healthy:.3f}; six sigmoid layers, no bug in them, {deep:.2f}; wrong "
        f"labels {labels:.3f}",
        judge(healthy < 0.05 and deep < 0.05 and labels > 0.5, healthy < 0.05),
        "a network that vanishes fails without a bug, and wrong labels pass with one",
    )


@CHAPTER.claim("6.9", "checklist, 3", "Early gradients 1000 times smaller: vanishing.", "08")
def thousand() -> Finding:
    rng = np.random.default_rng(0)
    net = stack([64] + [32] * 4 + [10], "sigmoid", xavier(rng))
    x, y = standardized()
    net.backward(softmax_loss(net.forward(x), y)[1])
    norms = weight_gradients(net)
    ratio = norms[-1] / norms[0]
    _, share = train(net, (x, y), rng, rate=0.2, steps=400)
    return Finding(
        f"run D: {np.median(trap()['D_gradients'][:, -1] / trap()['D_gradients'][:, 0]):.0e}; four sigmoid "
        f"layers: {ratio:.0f}, and an accuracy of {share:.2f} after 400 steps",
        judge(ratio > 1000, share < 0.5),
        "enough to say so, and not needed: four layers do not learn either",
    )


@CHAPTER.claim("6.10", "checklist, 4", "Sigmoids near 0 or 1 everywhere: learning is stalled.", "02, 08")
def stalled() -> Finding:
    runs = trap()
    return Finding(
        f"run A: {np.min(runs['A_idle']):.0%} saturated, accuracy {runs['A_accuracy']:.2f}",
        judge(bool(np.min(runs["A_idle"]) > 0.9 and runs["A_accuracy"] < 0.15)),
    )


@CHAPTER.claim(
    "6.11", "checklist, 5", "Over 10 % dead: lower the learning rate, or take a leaky ReLU.", "03, 08"
)
def remedies() -> Finding:
    shares = {
        "as it is": dying()["silent"],
        "a tenth of the rate": dying(first_rate=0.4, learning_rate=0.01)["silent"],
        "leaky": dying(negative_slope=0.01)["silent"],
        "inputs centred": dying(inputs="centred")["silent"],
    }
    return Finding(
        "assignment 03, silent at the end: "
        + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
        judge(
            max(shares["a tenth of the rate"], shares["leaky"]) < 0.1,
            shares["a tenth of the rate"] < shares["as it is"],
        ),
        "the rate saves those that steps kill, the leak alone none; what was dead at the start needs centred inputs",
    )


@CHAPTER.claim("6.12", "thresholds", "The lesson has one limit for dead units.", "03, 08")
def dead_thresholds() -> Finding:
    named = {"chapter 2": (5, 10), "chapter 6": (10, 10), "chapter 7": (5, 5)}
    start = dying(bias=0.0)["silent_at_start"]
    return Finding(
        ", ".join(
            f"{where} {low} %" if low == high else f"{where} {low} to {high} %"
            for where, (low, high) in named.items()
        )
        + f"; a healthy network before training: {start:.0%}",
        judge(len(set(named.values())) == 1),
        "three chapters, three lines",
    )


@CHAPTER.claim(
    "6.13", "second listing", "A gradient norm below 1e-7 is vanishing, one above 100 exploding.", "08"
)
def absolute() -> Finding:
    first = float(np.median(deep_sigmoid_gradients()))
    rng = np.random.default_rng(0)
    net = stack([64, 32, 10], "relu", he(rng))
    x, y = standardized()
    _, dscores = softmax_loss(net.forward(x), y)
    net.backward(len(x) * dscores)
    summed = float(np.max(weight_gradients(net)))
    return Finding(
        f"six sigmoid layers that stay at chance: {first:.0e} in the first; a healthy network with a summed "
        f"loss: {summed:.0f}",
        judge(first < 1e-7 and summed < 100),
        "misses the one and warns of the other; chapter 0 says 1000: no absolute norm will do",
    )


def deep_sigmoid_gradients() -> Array:
    """First-layer gradients of the failing network of assignment 02, five seeds."""
    x, y = standardized()
    found = []
    for seed in range(5):
        net = stack([64] + [32] * 6 + [10], "sigmoid", xavier(np.random.default_rng(seed)))
        net.backward(softmax_loss(net.forward(x), y)[1])
        found.append(weight_gradients(net)[0])
    return np.array(found)


CHAPTER.on_record(
    "6.17",
    "update-to-weight ratio",
    "It is Karpathy's single most useful diagnostic, at 1e-3.",
    "the notes of CS231n (2015 on)",
    "agrees on 1e-3, a rough guide there; the post does not mention it",
    "08",
)


CHAPTER.on_record(
    "6.18",
    "workflow",
    "The checklist is one that Karpathy recommends.",
    "A. Karpathy, A Recipe for Training Neural Networks, 2019",
    "agrees on the loss at init and the tiny batch; the post has no checklist",
    "08",
)
