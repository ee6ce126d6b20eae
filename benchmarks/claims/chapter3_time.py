"""The interactive lesson, chapter 3: products over time."""

from __future__ import annotations

import functools

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import (
    Array,
    train,
)
from claims.post_signals import recurrent_gain, with_radius
from minigrad.clipping import clip_grad_norm
from minigrad.datasets import memory_task
from minigrad.gradcheck import relative_error
from minigrad.initializers import orthogonal, xavier_init
from minigrad.layers import (
    affine_backward,
    affine_forward,
    last_step_backward,
    last_step_forward,
    lstm_backward,
    lstm_forward,
    lstm_step_backward,
    lstm_step_forward,
    rnn_backward,
    rnn_forward,
)
from minigrad.network import Layer, Sequential, from_zero_state
from minigrad.optimizers import adam

CHAPTER = Chapter("The interactive lesson, chapter 3: vanishing and exploding gradients")


POWERS = {0.9: 2.66e-5, 1.0: 1.0, 1.01: 2.7, 1.1: 13780.0}


@CHAPTER.claim("3.12", "powers", "0.9, 1, 1.01, 1.1 to the 100th: 2.66e-5, 1, 2.7, 13,780.", "06")
def powers() -> Finding:
    exact = {b: b**100 for b in POWERS}
    return Finding(
        ", ".join(f"{value:.5g}" for value in exact.values()),
        judge(all(abs(exact[b] / p - 1) < 0.005 for b, p in POWERS.items())),
        "rounded",
    )


@CHAPTER.claim("3.13", "RNNs", "Over T steps the gradient contains the T-th power of W_h.", "06")
def power_of_matrix() -> Finding:
    w, T = with_radius(1.1, 16), 30
    g = np.random.default_rng(1).standard_normal(16)
    by_power = np.linalg.matrix_power(w, T) @ g
    for _ in range(T):
        g = w @ g
    error = relative_error(by_power, g)
    tanh = recurrent_gain(with_radius(1.1), T, tanh=True) / recurrent_gain(with_radius(1.1), T, tanh=False)
    return Finding(
        f"linear: error {error:.0e}; with tanh the gradient is {tanh:.0e} of that power",
        judge(abs(np.log10(tanh)) < 0.5, error < 1e-10),
        "for a linear recurrence; tanh puts slopes below 1 between the factors",
    )


@CHAPTER.claim(
    "3.14", "RNN table", "The largest singular value of W_h decides: 0.9 vanishes, 1.1 explodes.", "06"
)
def singular_value() -> Finding:
    w = np.random.default_rng(0).standard_normal((64, 64))
    w *= 1.1 / np.linalg.norm(w, 2)
    radius, gain = float(np.abs(np.linalg.eigvals(w)).max()), recurrent_gain(w, 100, tanh=False)
    low = recurrent_gain(0.9 / 1.1 * w, 100, tanh=False)
    turn = recurrent_gain(1.1 * orthogonal((64, 64), np.random.default_rng(0)), 100, tanh=False)
    return Finding(
        f"100 linear steps, Gaussian matrix: {low:.0e} at 0.9, {gain:.0e} at 1.1 (its spectral radius is "
        f"{radius:.2f}); 1.1 times an orthogonal matrix: {turn:.0f}",
        judge(gain > 1 > low, turn > 1 > low),
        "below 1 it is a bound; above 1 only where singular values and eigenvalues agree, as in the orthogonal one",
    )


@CHAPTER.claim("3.15", "RNN table, row 3", "At 1.1 training crashes.", "06")
def at_1_1() -> Finding:
    gains = [recurrent_gain(with_radius(1.1, seed=seed), 100, tanh=True, seed=seed) for seed in range(5)]
    return Finding(
        f"tanh, spectral radius 1.1, 100 steps: gradient times {min(gains):.0e} to {max(gains):.0e} (five matrices)",
        judge(min(gains) > 1e3),
        "13,780 is for the linear recurrence; with tanh it usually vanishes",
    )


def _recall(kind: str, wh: Array, rng: np.random.Generator, steps: int, T: int) -> float:
    """Accuracy at naming the first symbol of a sequence, after training."""
    x, y = memory_task(500, T, np.random.default_rng(1))
    size = 32
    pair = (lstm_forward, lstm_backward) if kind == "LSTM" else (rnn_forward, rnn_backward)
    gates = 4 if kind == "LSTM" else 1
    b = np.zeros(gates * size)
    if kind == "LSTM":
        b[size : 2 * size] = 3.0  # the forget gates start open
    net = Sequential(
        recurrent=Layer(
            *from_zero_state(*pair),
            {"Wx": xavier_init(x.shape[2], gates * size, 1.0, rng), "Wh": wh, "b": b},
        ),
        last=Layer(last_step_forward, last_step_backward),
        scores=Layer(
            affine_forward, affine_backward, {"w": xavier_init(size, 4, 1.0, rng), "b": np.zeros(4)}
        ),
    )
    clip = functools.partial(clip_grad_norm, max_norm=1.0)
    return train(net, (x, y), rng, rate=3e-3, steps=steps, optimizer=adam, batch=50, clip=clip)[1]


@functools.cache
def recall() -> dict[str, float]:
    """Three recurrent networks that have to remember for 40 steps."""
    scores = {}
    for name in ("Gaussian", "orthogonal", "LSTM"):
        rng = np.random.default_rng(0)
        if name == "LSTM":
            wh = xavier_init(32, 128, 1.0, rng)
        elif name == "orthogonal":
            wh = orthogonal((32, 32), rng)
        else:
            wh = rng.standard_normal((32, 32)) * 0.5 / 32**0.5
        scores[name] = _recall(name, wh, rng, steps=300, T=40)
    return scores


@CHAPTER.claim("3.16", "RNNs", "A vanilla RNN cannot learn across more than 10 to 20 steps.", "06", slow=True)
def ten_to_twenty() -> Finding:
    scores = recall()
    return Finding(
        f"recalling one of four symbols after 40 steps: {scores['Gaussian']:.2f} from a Gaussian W_h of "
        f"radius 0.5, {scores['orthogonal']:.2f} from an orthogonal one",
        judge(scores["orthogonal"] < 0.5, scores["Gaussian"] < 0.5),
        "from small random weights; an orthogonal start carries it further",
    )


@CHAPTER.claim("3.17", "RNNs", "LSTM and GRU carry gradients through time without multiplying them.", "06")
def additive() -> Finding:
    rng, T, size = np.random.default_rng(0), 100, 16
    left = {}
    for bias in (0.0, 3.0, 6.0):
        wx, wh = np.zeros((1, 4 * size)), np.zeros((size, 4 * size))  # the cell's path alone
        b = np.zeros(4 * size)
        b[size : 2 * size] = bias
        h: Array = np.zeros((1, size))
        c: Array = np.zeros((1, size))
        caches = []
        for _ in range(T):
            h, c, cache = lstm_step_forward(np.zeros((1, 1)), h, c, wx, wh, b)
            caches.append(cache)
        dh: Array = np.zeros((1, size))
        dc: Array = rng.standard_normal((1, size))
        start = np.linalg.norm(dc)
        for cache in reversed(caches):
            _, dh, dc, *_ = lstm_step_backward(dh, dc, cache)
        left[bias] = float(np.linalg.norm(dc) / start)
    return Finding(
        "LSTM, gradient left in the cell after 100 steps, forget bias 0, 3, 6: "
        + ", ".join(f"{g:.0e}" for g in left.values()),
        judge(left[0.0] > 0.1, left[6.0] > 0.1),
        "it is multiplied by the forget gate: 1/2 at a bias of 0; the path is open while the gate is",
    )


@CHAPTER.claim("3.18", "RNNs", "So an LSTM learns what the vanilla RNN cannot.", "06", slow=True)
def lstm() -> Finding:
    scores = recall()
    return Finding(
        f"the same task, 40 steps: LSTM with open forget gates {scores['LSTM']:.2f}, vanilla "
        f"{scores['Gaussian']:.2f}",
        judge(scores["LSTM"] > 0.9 > 0.5 > scores["Gaussian"]),
    )


CHAPTER.on_record(
    "3.21",
    "RNN formulas",
    "RNNs are uniquely exposed to this.",
    "Pascanu, Mikolov and Bengio, ICML 2013",
    "agrees that they are exposed; a deep plain network is as well (1.5, 3.19)",
    "04, 06",
)
