"""The interactive lesson, chapter 0: why to learn it."""

from __future__ import annotations

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import Array, dying, he, spread, stack, standardized, train, trap, weight_gradients
from minigrad.clipping import clip_grad_norm
from minigrad.losses import softmax_loss
from minigrad.optimizers import adam, sgd

CHAPTER = Chapter("The interactive lesson, chapter 0: why learn it")


@CHAPTER.claim("0.1", "failures", "A model whose loss stays high has saturated sigmoids.", "00")
def never_learns() -> Finding:
    runs = trap()
    idle = {letter: float(np.max(runs[f"{letter}_idle"])) for letter in "AD"}
    return Finding(
        f"runs A and D of assignment 00 both stay at chance; saturated outputs {idle['A']:.0%} and {idle['D']:.0%}",
        judge(min(idle.values()) > 0.5, idle["A"] > 0.5),
        "D vanishes through eight slopes of about 1/4 with no unit saturated: two diagnoses for one curve",
    )


@CHAPTER.claim("0.2", "failures", "Loss falls, then jumps to chance: 40 % of the ReLUs have died.", "00, 03")
def learns_then_dies() -> Finding:
    runs, run = trap(), dying()
    gone = float(np.min(runs["C_idle"]))
    return Finding(
        f"run C, which ends at chance: {gone:.0%} dead or more; with {run['silent']:.0%} dead, assignment "
        f"03 still reaches an accuracy of {run['accuracy']:.2f}",
        judge(run["accuracy"] < 0.2 or gone < 0.6),
        "chance takes a layer that is dead altogether; with 40 % dead a network works on with the rest",
    )


@CHAPTER.claim(
    "0.3", "failures", "Fine on little data, diverging on much: gradients explode through the layers.", "04"
)
def amount_of_data() -> Finding:
    x, y = standardized()
    norms = []
    for n in (64, len(x)):
        net = stack([64] + [64] * 8 + [10], "relu", he(np.random.default_rng(0), 1.5))
        _, dscores = softmax_loss(net.forward(x[:n]), y[:n])
        net.backward(dscores)
        norms.append(weight_gradients(net)[0])
    return Finding(
        f"eight layers of 1.5 times He: gradient {norms[0]:.0f} on 64 digits, {norms[1]:.0f} on all 1797",
        judge(norms[1] > 10 * norms[0]),
        "it explodes by depth and weights; the mean over examples is as large for few of them",
    )


@CHAPTER.claim("0.4", "thesis", "A gradient of 1e-12 is as good as zero.", "09")
def tiny() -> Finding:
    w = np.array([1.0])
    moved = {
        g: [abs(float(opt(w, np.array([g]), {"learning_rate": 1e-3})[0][0]) - 1) for opt in (sgd, adam)]
        for g in (1e-6, 1e-12)
    }
    return Finding(
        f"moves at rate 1e-3: SGD {moved[1e-12][0]:.0e}, Adam {moved[1e-12][1]:.0e} (and "
        f"{moved[1e-6][1]:.0e} at 1e-6)",
        judge(moved[1e-6][1] < 1e-6, moved[1e-12][0] < 1e-12),
        "for SGD; Adam divides by its size, and stops only below its epsilon of 1e-8",
    )


@CHAPTER.claim("0.5", "thesis", "A gradient of 1e8 blows up the weights.", "04")
def huge() -> Finding:
    w, g = np.array([1.0]), np.array([1e8])
    plain = abs(float(sgd(w, g, {"learning_rate": 1e-3})[0][0]) - 1)
    scaled = abs(float(adam(w, g, {"learning_rate": 1e-3})[0][0]) - 1)
    clipped = abs(float(sgd(w, clip_grad_norm({"w": g}, 1.0)[0]["w"], {"learning_rate": 1e-3})[0][0]) - 1)
    return Finding(
        f"moves at rate 1e-3: SGD {plain:.0e}, Adam {scaled:.0e}, SGD after clipping {clipped:.0e}",
        judge(min(plain, scaled, clipped) > 1, plain > 1),
        "for plain SGD; for Adam only the ratio between gradients counts",
    )


@CHAPTER.claim(
    "0.6",
    "ResNet-50 story",
    "Later layers get gradients 1000 times larger; clipping the norm heals it.",
    "04",
)
def clipping_story() -> Finding:
    rng = np.random.default_rng(0)
    net = stack(
        [64] + [32] * 8 + [10], "sigmoid", lambda n, m: (rng.standard_normal((n, m)) / n**0.5, np.zeros(m))
    )
    x, y = standardized()
    _, dscores = softmax_loss(net.forward(x), y)
    net.backward(dscores)
    before = weight_gradients(net)
    grads: dict[str, Array] = net.grads
    clipped, _ = clip_grad_norm(grads, 0.1)
    after = np.array([np.linalg.norm(g) for name, g in clipped.items() if name.endswith(".w")])
    _, share = train(net, (x, y), rng, rate=0.2, steps=200, clip=lambda grads: clip_grad_norm(grads, 1.0))
    return Finding(
        f"eight sigmoid layers: last over first {before[-1] / before[0]:.1e} before and "
        f"{after[-1] / after[0]:.1e} after clipping; accuracy with clipping {share:.2f}",
        judge(after[-1] / after[0] < 0.5 * before[-1] / before[0] and share > 0.8),
        "one factor for all layers: their ratio stays what it was",
    )


@CHAPTER.claim(
    "0.7", "symptom table, row 1", "The loss does not move: gradients are near 0 everywhere.", "00"
)
def row1() -> Finding:
    runs = trap()
    last = [float(np.median(runs[f"{letter}_gradients"][:, -1])) for letter in "AD"]
    first = [float(np.median(runs[f"{letter}_gradients"][:, 0])) for letter in "AD"]
    return Finding(
        f"runs A and D: first layer {first[0]:.0e} and {first[1]:.0e}, last layer {last[0]:.1f} and {last[1]:.1f}",
        judge(max(last) < 1e-3, max(first) < 1e-3),
        "near 0 below; the last layer gets a healthy gradient, and learns how frequent the classes are",
    )


@CHAPTER.claim(
    "0.8", "symptom table, row 2", "Falls, then a plateau: early gradients are 1000 times smaller.", "00"
)
def row2() -> Finding:
    runs = trap()
    gradients, losses = runs["D_gradients"], runs["D_losses"]
    ratio = float(np.median(gradients[:, -1] / gradients[:, 0]))
    fall = float(losses[0] - np.mean(losses[-20:]))
    return Finding(
        f"run D vanishes by {ratio:.0e}, and its loss falls by {fall:.2f} in 200 steps",
        judge(ratio > 1e3 and fall > 0.3, ratio > 1e3),
        "the gradient is as described; the curve does not fall first, it is flat from the start, like row 1",
    )


def _summed(scores: Array, y: Array) -> tuple[float, Array]:
    """The loss of 2000 examples, summed instead of averaged."""
    loss, dscores = softmax_loss(scores, y)
    return 2000 * loss, 2000 * dscores


@CHAPTER.claim(
    "0.9", "symptom table, row 3", "The loss becomes NaN: gradient norms are above 1000.", "00, 08"
)
def row3() -> Finding:
    x, y = standardized()
    seen = np.linalg.norm(trap()["F_gradients"][:-1], axis=1)  # before the loss is NaN
    largest = float(np.max(seen[np.isfinite(seen)]))
    rng = np.random.default_rng(0)
    net = stack([64, 32, 10], "relu", he(rng))
    net.backward(_summed(net.forward(x[:64]), y[:64])[1])
    norm = float(np.linalg.norm(weight_gradients(net)))
    _, share = train(net, (x, y), rng, rate=1e-4, steps=200, loss=_summed)
    return Finding(
        f"run F: up to {largest:.0e} before NaN; a loss summed rather than averaged: {norm:.0f}, and an "
        f"accuracy of {share:.2f}",
        judge(largest > 1000 and norm < 1000, largest > 1000),
        "the sign is there, and a healthy run may show it too: an absolute norm has the units of the loss",
    )


@CHAPTER.claim(
    "0.10",
    "symptom table, row 4",
    "Loss falls, accuracy poor, gradients healthy: wrong loss or labels.",
    "00",
)
def row4() -> Finding:
    runs = trap()
    ratio = spread(np.median(runs["E_gradients"], axis=0))
    return Finding(
        f"run E, labels off by one: loss {runs['E_losses'][0]:.1f} to {runs['E_losses'][-1]:.1f}, accuracy "
        f"{runs['E_accuracy']:.2f}, layers within a factor of {ratio:.1f}",
        judge(runs["E_losses"][-1] < 0.5 and runs["E_accuracy"] < 0.2 and ratio < 10),
    )


@CHAPTER.claim(
    "0.11", "symptom table, row 5", "Wild oscillation: update-to-weight ratio above 0.1.", "00, 08"
)
def row5() -> Finding:
    runs = trap()
    wild, healthy = (runs[f"{letter}_updates"] for letter in "GB")
    share = float(np.mean(wild > 0.1))
    return Finding(
        f"run G, a rate of 20: above 0.1 in {share:.0%} of the steps, median {np.median(wild):.2f}; healthy "
        f"run B: up to {healthy.max():.2f}",
        judge(share > 0.5 and healthy.max() < 0.1, wild.max() > 0.1),
        "the loud steps come first, while the weights are small; a healthy run has them too",
    )


@CHAPTER.claim("0.12", "what to read", "Each failure has a signature in the gradients.", "00, 08")
def signature() -> Finding:
    runs = trap()
    ratio = {
        letter: float(np.median(runs[f"{letter}_gradients"][:, -1] / runs[f"{letter}_gradients"][:, 0]))
        for letter in "AD"
    }
    same = spread(np.median(runs["E_gradients"], axis=0) / np.median(runs["B_gradients"], axis=0))
    return Finding(
        f"A and D, both flat: {ratio['A']:.0e} and {ratio['D']:.0e} between the layers; E (wrong labels) "
        f"and B (healthy): within {same - 1:.0%}",
        judge(ratio["A"] > 100 * ratio["D"] and same > 2, ratio["A"] > 100 * ratio["D"]),
        "of the failures that are about gradients; wrong labels leave no trace in them",
    )


CHAPTER.on_record(
    "0.13",
    "failures",
    "Karpathy met these three failures as a researcher.",
    "",
    "the post names none of the three as his",
)
CHAPTER.on_record(
    "0.14",
    "leaky abstraction",
    "The concept is Joel Spolsky's.",
    'J. Spolsky, "The Law of Leaky Abstractions", 2002',
    "agrees; the post uses the words and gives no source",
)
CHAPTER.on_record(
    "0.15",
    "ResNet-50 story",
    "A ResNet-50 should reach 76 % on ImageNet.",
    "He et al., CVPR 2016; later implementations print 75 to 77 % for one crop",
    "agrees",
)
CHAPTER.on_record(
    "0.16",
    "failure modes",
    "The post has four failure modes.",
    "the post itself",
    "agrees: sigmoids, ReLUs, RNNs, clipped errors; the lesson has no chapter on the fourth",
    "02, 03, 06, 07",
)
CHAPTER.on_record(
    "0.17",
    "five stages",
    "Karpathy describes five stages of debugging.",
    "the post itself",
    "disagrees: it has none",
)
CHAPTER.on_record(
    "0.18",
    "title page",
    "Eight chapters, and eight simulations or more.",
    "the lesson itself",
    "agrees for the chapters; the copy that we have names seven simulations",
)
