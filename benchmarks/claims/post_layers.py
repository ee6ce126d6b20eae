"""The post of 2016, first half: sigmoids and ReLUs."""

from __future__ import annotations

import warnings

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import (
    PAIRS,
    Array,
    dying,
    gaussian,
    stack,
    train,
    trap,
    upstream,
    weight_gradients,
    xavier,
)
from minigrad import experiments
from minigrad.datasets import digits
from minigrad.experiments.dying_relu import first_step
from minigrad.gradcheck import numerical_gradient_array, relative_error
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward, sigmoid_forward
from minigrad.losses import svm_loss

CHAPTER = Chapter("The post (2016): sigmoids and ReLUs")


def _local(activation: str) -> tuple[float, float]:
    """Error of dx and dW as listed, for an upstream gradient of ones, and for another one."""
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((4, 5)), rng.standard_normal(5)
    z = PAIRS[activation][0](w @ x)[0]
    slope = z * (1 - z) if activation == "sigmoid" else z > 0
    errors = []
    for dout in (np.ones(4), rng.standard_normal(4)):
        dw = numerical_gradient_array(lambda w: PAIRS[activation][0](w @ x)[0], w, dout)
        dx = numerical_gradient_array(lambda x: PAIRS[activation][0](w @ x)[0], x, dout)
        errors.append(max(relative_error(np.outer(slope, x), dw), relative_error(w.T @ slope, dx)))
    return errors[0], errors[1]


@CHAPTER.claim(
    "P1",
    "sigmoid listing",
    "For a sigmoid layer, dx is Wᵀz(1-z), and dW the outer product of z(1-z) and x.",
    "02",
)
def sigmoid_listing() -> Finding:
    ones, other = _local("sigmoid")
    return Finding(
        f"relative error {ones:.0e} for an upstream gradient of ones, {other:.1f} for another one",
        judge(other < 1e-6, ones < 1e-6),
        "it is the local gradient, as its comment says; the backward pass multiplies by dout, which is left out",
    )


@CHAPTER.claim(
    "P2", "sigmoids", "Pre-activations between -400 and 400 make nearly every output 0 or 1.", "02"
)
def binary() -> Finding:
    z, _ = sigmoid_forward(np.random.default_rng(0).uniform(-400, 400, 10**6))
    share = float(np.mean((z < 0.01) | (z > 0.99)))
    return Finding(f"{share:.3f} of the outputs are within 0.01 of an end", judge(share > 0.95))


@CHAPTER.claim("P3", "sigmoids", "At both ends z(1-z) becomes zero.", "02")
def slopes_zero() -> Finding:
    x = np.random.default_rng(0).uniform(-400, 400, 10**6)
    shares = []
    for kind in (np.float64, np.float32):
        z, _ = sigmoid_forward(x.astype(kind))
        shares.append(float(np.mean(z * (1 - z) == 0)))
    z, _ = sigmoid_forward(x)
    left = float(np.mean((z * (1 - z))[x < 0] == 0))
    return Finding(
        f"exactly 0: {shares[0]:.0%} in float64 (of the left half {left:.0%}), {shares[1]:.0%} in float32",
        judge(min(shares) > 0.95, min(shares) > 0.4 and left == 0),
        "1 - z rounds to 0 on the right; on the left z is tiny, not 0, and stays a number down to about -710",
    )


@CHAPTER.claim("P4", "sigmoid listing", "The listing computes the sigmoid of numbers down to -400.", "02")
def overflow() -> Finding:
    warned = []
    for kind in (np.float64, np.float32):
        with warnings.catch_warnings(record=True) as caught, np.errstate(over="warn"):
            warnings.simplefilter("always")
            z = 1 / (1 + np.exp(np.array([400.0], kind)))
        warned.append(len(caught))
    return Finding(
        f"float64: {warned[0]} warnings; float32: {warned[1]}, and {z[0]:.0f} comes out",
        judge(sum(warned) == 0, warned[0] == 0),
        "in float32 exp(400) is infinite: the value survives the overflow, a log of it would not",
    )


@CHAPTER.claim("P5", "sigmoids", "With weights that large the gradients of x and of W become zero.", "02")
def saturated_gradient() -> Finding:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 100))
    ratios, weights, zeros = [], [], []
    for scale in (1.0, 10.0, 100.0):
        net = stack([100, 100], "sigmoid", gaussian(rng, scale / 10), last=True)
        dout = rng.standard_normal(net.forward(x).shape)
        dx = net.backward(dout)
        ratios.append(np.linalg.norm(dx) / np.linalg.norm(dout))
        weights.append(weight_gradients(net)[0] / np.linalg.norm(dout))
        zeros.append(float(np.mean(upstream(net, dout)[0] == 0)))
    return Finding(
        f"pre-activations of size 1, 10, 100: |dx|/|dout| {ratios[0]:.2f}, {ratios[1]:.2f}, {ratios[2]:.2f} "
        f"and |dW|/|dout| {weights[0]:.2f}, {weights[1]:.2f}, {weights[2]:.2f}; at 100, {zeros[2]:.0%} of "
        "the slopes are 0",
        judge(max(ratios[2], weights[2]) < 0.01, weights[2] < 0.01),
        "the few units that are not saturated pass on a gradient, times weights just as large: dx grows",
    )


@CHAPTER.claim("P6", "sigmoids", "Large initial weights leave the training loss flat.", "02")
def flat_loss() -> Finding:
    accuracy = trap()["A_accuracy"]
    return Finding(
        f"run A of assignment 00, weights between 0 and 1: accuracy {accuracy:.2f} after 200 steps",
        judge(accuracy < 0.15),
        "its slopes are saturated from the start; chance is 0.10",
    )


@CHAPTER.claim("P7", "sigmoids", "So does input that nobody preprocessed.", "02")
def preprocessing() -> Finding:
    x, y = digits()
    scores = []
    for scale in (1.0, 255.0):
        runs = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            net = stack([64, 32, 10], "sigmoid", xavier(rng))
            runs.append(train(net, (scale * x, y), rng, rate=0.5, steps=300)[1])
        scores.append(float(np.mean(runs)))
    return Finding(
        f"one hidden layer, five networks: accuracy {scores[0]:.2f} for pixels up to 1, {scores[1]:.2f} up to 255",
        judge(scores[1] < 0.4 and scores[0] > 0.9),
        "the first layer is saturated from the start, by the size of its inputs",
    )


@CHAPTER.claim("P8", "sigmoids", "z(1-z) is at most 0.25, at z = 0.5.", "02")
def quarter() -> Finding:
    z = np.linspace(0, 1, 100001)
    best = z * (1 - z)
    return Finding(
        f"{best.max():.4f} at {z[best.argmax()]:.4f}",
        judge(best.max() == 0.25 and z[best.argmax()] == 0.5),
        "derivative 1 - 2z",
    )


@CHAPTER.claim("P9", "sigmoids", "Each sigmoid takes away a quarter of the gradient, or more.", "02")
def takes_away() -> Finding:
    forward, backward = PAIRS["sigmoid"]
    taken = 1 - float(backward(np.ones(2001), forward(np.linspace(-10, 10, 2001))[1]).max())
    return Finding(
        f"at its best, a sigmoid takes away {taken:.2f}",
        judge(abs(taken - 0.25) < 0.01, taken > 0.25),
        "down to a quarter rather than by one; true of the gate alone, since the weights around it multiply too",
    )


@CHAPTER.claim(
    "P10", "sigmoids", "With plain SGD the lower layers of such a network learn more slowly.", "02"
)
def lower_layers() -> Finding:
    run = experiments.find("deep_sigmoid")
    settings = experiments.complete(run, {"momentum": 0.0})
    moved = run.run(settings, experiments.functions_of(run), np.random.default_rng(0))["moved"]
    return Finding(
        f"six sigmoid layers, 300 steps: the first moves by {moved[0]:.0e} of its size, the last by {moved[-1]:.1f}",
        judge(moved[0] < moved[-1] / 10),
    )


@CHAPTER.claim("P11", "sigmoids", "tanh saturates in the same way.", "02")
def tanh_too() -> Finding:
    tops = [
        float(PAIRS[name][1](np.ones(1), PAIRS[name][0](np.zeros(1))[1])[0]) for name in ("sigmoid", "tanh")
    ]
    at_5 = [
        float(PAIRS[name][1](np.ones(1), PAIRS[name][0](np.full(1, 5.0))[1])[0])
        for name in ("sigmoid", "tanh")
    ]
    return Finding(
        f"slopes at 5: sigmoid {at_5[0]:.4f}, tanh {at_5[1]:.5f}; at 0: {tops[0]:.2f} and {tops[1]:.2f}",
        judge(at_5[1] < 0.01 and tops[1] <= 0.25, at_5[1] < 0.01),
        "it saturates earlier, but has no toll at 0: a small tanh network does not vanish by its slopes",
    )


@CHAPTER.claim("P12", "ReLU listing", "For a ReLU layer, dW is the outer product of z > 0 and x.", "03")
def relu_listing() -> Finding:
    ones, other = _local("relu")
    return Finding(
        f"relative error {ones:.0e} for an upstream gradient of ones, {other:.1f} for another one",
        judge(other < 1e-6, ones < 1e-6),
        "runs (a mask of bool counts as 0 and 1), and again leaves dout out",
    )


@CHAPTER.claim("P13", "ReLUs", "A unit that is clamped to zero gets no gradient for its weights.", "03")
def no_gradient() -> Finding:
    rng = np.random.default_rng(0)
    x, w = rng.uniform(size=(50, 8)), rng.standard_normal((8, 6))
    out, cache = affine_forward(x, w, np.array([-100.0, 0, 0, 0, 0, 0]))
    _, mask = relu_forward(out)
    _, dw, db = affine_backward(relu_backward(rng.standard_normal(out.shape), mask), cache)
    return Finding(
        f"largest gradient of its weights {abs(dw[:, 0]).max():.0f}, of its bias {abs(db[0]):.0f}",
        judge(not dw[:, 0].any() and db[0] == 0 and bool(dw[:, 1:].any())),
        "exactly 0: every term of the sum over examples is",
    )


def killed_and_back(seed: int) -> Array:
    """Two hidden layers, one long step: for each, how many are dead after it, and how many of these live later."""
    rng = np.random.default_rng(seed)
    net = stack([64, 100, 100, 10], "relu", lambda n, m: (rng.standard_normal((n, m)) / n**0.5, np.zeros(m)))
    x, y = digits()

    def dead() -> Array:
        first = net.parts["act1"].forward(net.parts["affine1"].forward(x))
        second = net.parts["act2"].forward(net.parts["affine2"].forward(first))
        return np.array([~first.any(axis=0), ~second.any(axis=0)])

    train(net, (x, y), rng, rate=1.0, steps=1, batch=100, loss=svm_loss)
    killed = dead()
    train(net, (x, y), rng, rate=0.1, steps=149, batch=100, loss=svm_loss)
    return np.array([killed.sum(axis=1), (killed & ~dead()).sum(axis=1)])


@CHAPTER.claim("P14", "ReLUs", "A unit that never fires is dead for good.", "03")
def for_good() -> Finding:
    (low, up), (low_back, up_back) = np.sum([killed_and_back(seed) for seed in range(3)], axis=0)
    return Finding(
        f"alive again after 150 steps: of {low} dead units of the first layer {low_back}, of {up} of the "
        f"second {up_back}",
        judge(low_back + up_back == 0, low_back == 0 < up_back),
        "its own weights never move again, but the inputs of an upper layer do; they are fixed only in the first",
    )


@CHAPTER.claim("P15", "ReLUs", "One large update can push units into that state.", "03")
def knocked() -> Finding:
    seen = first_step(4.0, relu_forward, relu_backward)
    before, after = (int(np.sum(seen[when].max(axis=0) <= 0)) for when in ("before", "after"))
    return Finding(f"{before} of 100 dead before one long step, {after} after it", judge(after > 2 * before))


@CHAPTER.claim(
    "P16", "ReLUs", "Over a whole training set, 40 % of the units of a trained network may be dead.", "03"
)
def forty_percent() -> Finding:
    run = dying()
    return Finding(
        f"{run['silent']:.0%} at the end of the run of assignment 03, at an accuracy of {run['accuracy']:.2f}",
        judge(run["silent"] > 0.35),
        "an example is all that the sentence asks for",
    )


@CHAPTER.claim("P17", "ReLUs", "Deaths during training are a symptom of large learning rates.", "03")
def rates() -> Finding:
    killed = {rate: dying(first_rate=rate) for rate in (0.1, 1.0, 4.0)}
    new = [run["silent_after_step"] - run["silent_at_start"] for run in killed.values()]
    return Finding(
        f"killed by a first step at 0.1, 1, 4: {new[0]:.0%}, {new[1]:.0%}, {new[2]:.0%}",
        judge(new[0] < 0.02 < 0.1 < new[2]),
    )


CHAPTER.on_record(
    "P18",
    "introduction",
    "Students of CS231n wrote forward and backward passes in raw numpy.",
    "the public assignments of CS231n",
    "agrees",
)
CHAPTER.on_record(
    "P19",
    "conclusion",
    "95 % of what is written on backpropagation presents it wrongly.",
    "",
    "an opinion; nobody has counted",
)
