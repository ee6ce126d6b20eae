"""The interactive lesson, chapter 2: how ReLUs die."""

from __future__ import annotations

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import PAIRS, Array, dying, he, stack, standardized, trap
from claims.post_layers import killed_and_back
from minigrad import experiments
from minigrad.datasets import digits
from minigrad.experiments import dying_relu
from minigrad.experiments.dying_relu import first_step
from minigrad.layers import relu_backward, relu_forward
from minigrad.losses import svm_loss
from minigrad.network import Layer

CHAPTER = Chapter("The interactive lesson, chapter 2: dead ReLUs")


def slope_at(name: str, x: float, kind: type = np.float64) -> float:
    at: Array = np.array([x], kind)
    with np.errstate(all="ignore"):
        return float(PAIRS[name][1](np.ones_like(at), PAIRS[name][0](at)[1])[0])


@CHAPTER.claim(
    "2.1", "definition", "The slope is 1 to the right of zero, and 0 at zero and to its left.", "03"
)
def definition() -> Finding:
    at = [slope_at("relu", x) for x in (-1.0, 0.0, 1.0)]
    left, right = (float((relu_forward(np.array([h]))[0][0] - 0) / h) for h in (-1e-6, 1e-6))
    return Finding(
        f"at -1, 0, 1: {at[0]:.0f}, {at[1]:.0f}, {at[2]:.0f}; measured at 0: {abs(left):.0f} to the left, "
        f"{right:.0f} to the right",
        judge(left == right, at == [0.0, 0.0, 1.0]),
        "at 0 there is no derivative: 0 is a convention, and any number up to 1 would do",
    )


@CHAPTER.claim("2.2", "death", "A dead unit can never recover.", "03")
def never() -> Finding:
    (low, up), (low_back, up_back) = np.sum([killed_and_back(seed) for seed in range(3)], axis=0)
    return Finding(
        f"alive again: {low_back} of {low} in the first hidden layer, {up_back} of {up} in the second",
        judge(low_back + up_back == 0, low_back == 0),
        "in the first layer only, where the inputs are the data and stay as they are",
    )


@CHAPTER.claim(
    "2.3", "how ReLUs die", "A step shifts the bias so far down that the unit is silent everywhere.", "03"
)
def the_bias() -> Finding:
    x, _ = digits()
    rng = np.random.default_rng(0)
    settings = experiments.complete(experiments.find("dying_relu"), {})
    functions = experiments.functions_of(experiments.find("dying_relu"))
    net = dying_relu.network(Layer(relu_forward, relu_backward), settings["bias"], functions, rng)
    start = net.params
    rows = rng.permutation(len(x))[:100]
    _, dscores = svm_loss(net.forward(x[rows]), digits()[1][rows])
    net.backward(dscores)
    w, b = start["hidden.w"], start["hidden.b"]
    dw, db = (-4.0 * net.grads[f"hidden.{name}"] for name in "wb")
    alive = (x @ w + b).max(axis=0) > 0
    by_both, by_bias, by_weights = (
        int(np.sum(alive & ((x @ (w + i * dw) + b + j * db).max(axis=0) <= 0)))
        for i, j in ((1, 1), (0, 1), (1, 0))
    )
    return Finding(
        f"killed by the step: {by_both}; by its change of the bias alone {by_bias}, of the weights alone "
        f"{by_weights}",
        judge(by_bias > 0.8 * by_both, by_bias > 0.2 * by_both),
        "on inputs between 0 and 1 the weights do it: they add up over all pixels, the bias is one number",
    )


@CHAPTER.claim(
    "2.4", "how ReLUs die", "With a high learning rate, a large share may die in a single step.", "03"
)
def single_step() -> Finding:
    seen = first_step(4.0, relu_forward, relu_backward)
    died = int(np.sum((seen["before"].max(axis=0) > 0) & (seen["after"].max(axis=0) <= 0)))
    return Finding(f"{died} of 100 in one step at rate 4", judge(died > 15))


@CHAPTER.claim("2.5", "how common", "Dead units contribute nothing.", "03")
def nothing() -> Finding:
    rng = np.random.default_rng(0)
    x, _ = standardized()
    net = stack([64, 100, 10], "relu", he(rng))
    params = net.params
    params["affine1.b"] = np.where(np.arange(100) < 40, -100.0, 0.0)
    net.params = params
    before = net.forward(x)
    params["affine2.w"] = np.where(np.arange(100)[:, None] < 40, 0.0, params["affine2.w"])
    net.params = params
    change = float(np.abs(net.forward(x) - before).max())
    return Finding(
        f"40 of 100 dead units taken out: outputs change by {change:.0f}", judge(change == 0), "exactly"
    )


@CHAPTER.claim("2.6", "how common", "To find them, pass the whole training set through.", "03")
def whole_set() -> Finding:
    fired, _ = relu_forward(first_step(4.0, relu_forward, relu_backward)["before"])
    counts = [int(np.sum(~fired[:n].any(axis=0))) for n in (10, 100, 1797)]
    return Finding(
        f"the same network seen on 10, 100, 1797 digits: {counts[0]}, {counts[1]}, {counts[2]} of 100 look dead",
        judge(counts[0] > counts[2]),
        "a batch can only overestimate",
    )


@CHAPTER.claim("2.7", "process", "Units die in the first epochs, when gradients are large.", "03")
def when() -> Finding:
    early, late = dying(), trap()["C_idle"]
    return Finding(
        f"assignment 03: {early['silent_after_step']:.0%} after step 1, {early['silent']:.0%} at the end; "
        f"run C of assignment 00, rate raised at step 100 (epoch 5): {np.mean(late):.0%}",
        judge(bool(np.mean(late) < 0.1), early["silent"] - early["silent_after_step"] < 0.1),
        "they die when steps are too long, and that need not be at the start",
    )


@CHAPTER.claim("2.8", "process", "A dead unit sits in a kind of local minimum.", "03")
def minimum() -> Finding:
    x, y = digits()
    rng = np.random.default_rng(0)
    w1, w2 = rng.standard_normal((64, 20)) / 8, rng.standard_normal((20, 10))
    b = np.where(np.arange(20) == 0, -20.0, 0.0)
    losses = [
        float(svm_loss(np.maximum(x @ (w1 + step * (np.arange(20) == 0)) + b, 0) @ w2, y)[0])
        for step in (-0.1, 0.0, 0.1)
    ]
    return Finding(
        f"its weights moved by 0.1 each way: the loss changes by {np.ptp(losses):.0f}",
        judge(losses[0] > losses[1] < losses[2], losses[0] == losses[1] == losses[2]),
        "in the weak sense: it is a plateau, the loss does not depend on these weights at all",
    )


@CHAPTER.claim(
    "2.9", "detecting", "Where more than 5 to 10 % are dead, the usual cause is the learning rate.", "03, 08"
)
def usually() -> Finding:
    runs = {"as it is": dying(), "first rate 0.1": dying(first_rate=0.1)}
    shares = [run["silent"] for run in runs.values()]
    return Finding(
        f"assignment 03: {shares[0]:.0%} dead, and still {shares[1]:.0%} without the long step",
        judge(shares[1] < 0.05, shares[1] < shares[0]),
        "a bad start (here biases of -0.3) passes the threshold with no step at all",
    )


CHAPTER.on_record(
    "2.22",
    "how common",
    "Karpathy reports networks with up to 40 % dead.",
    "the post itself",
    "agrees, but for the word up to: 40 % is the post's example of a large fraction",
    "03",
)


CHAPTER.on_record(
    "2.23",
    "detecting",
    "He recommends that count after each epoch, with 5 to 10 % as the limit.",
    "the post itself",
    "disagrees: it has neither",
    "03",
)
