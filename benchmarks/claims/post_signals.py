"""The post of 2016, second half: recurrent networks and the clipped error of Q-learning."""

from __future__ import annotations

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import Array
from minigrad.clipping import clip_grad_norm
from minigrad.gradcheck import numerical_gradient, relative_error
from minigrad.gridworld import GridWorld
from minigrad.layers import gather_forward, rnn_backward, rnn_forward
from minigrad.losses import clipped_delta_loss, huber_loss, mse_loss

CHAPTER = Chapter("The post (2016): recurrent networks and clipped errors")


def recurrent_gain(wh: Array, steps: int, tanh: bool, seed: int = 0) -> float:
    """Norm of the gradient at the first state over that at the last, without input."""
    rng = np.random.default_rng(seed)
    size = len(wh)
    g = g0 = rng.standard_normal(size)
    if tanh:
        h0, zeros = rng.standard_normal((1, size)), np.zeros((1, steps, 1))
        h, cache = rnn_forward(zeros, h0, np.zeros((1, size)), wh, np.zeros(size))
        dh = np.zeros_like(h)
        dh[0, -1] = g
        g = rnn_backward(dh, cache)[1][0]
    else:
        for _ in range(steps):
            g = wh @ g
    return float(np.linalg.norm(g) / np.linalg.norm(g0))


def with_radius(radius: float, size: int = 64, seed: int = 0) -> Array:
    """A Gaussian matrix with that spectral radius."""
    w = np.random.default_rng(seed).standard_normal((size, size))
    return radius * w / np.abs(np.linalg.eigvals(w)).max()


@CHAPTER.claim("P20", "RNNs", "Back through time, the gradient meets the same matrix at every step.", "06")
def same_matrix() -> Finding:
    rng = np.random.default_rng(0)
    wh, h0, T = with_radius(1.0, 8), rng.standard_normal((1, 8)), 20
    h, cache = rnn_forward(np.zeros((1, T, 1)), h0, np.zeros((1, 8)), wh, np.zeros(8))
    dh = np.zeros_like(h)
    dh[0, -1] = g = rng.standard_normal(8)
    for t in reversed(range(T)):
        g = wh @ (g * (1 - h[0, t] ** 2))
    error = relative_error(g, rnn_backward(dh, cache)[1][0])
    return Finding(
        f"20 steps by hand against rnn_backward: error {error:.0e}",
        judge(error < 1e-12),
        "with the slopes of tanh between",
    )


@CHAPTER.claim("P21", "RNNs", "a·b·b·b... goes to zero for |b| < 1 and to infinity for |b| > 1.", "06")
def powers() -> Finding:
    with np.errstate(over="ignore", under="ignore"):
        low, high = np.float64(0.99) ** 10**6, np.float64(1.01) ** 10**6
    return Finding(
        f"0.99^1000000 = {low:.0f}, 1.01^1000000 = {high}",
        judge(low == 0 and np.isinf(high)),
        "at |b| = 1 neither",
    )


@CHAPTER.claim("P22", "RNNs", "For a matrix, the largest eigenvalue decides which of the two happens.", "06")
def eigenvalue() -> Finding:
    linear = [recurrent_gain(with_radius(r), 1000, tanh=False) for r in (0.9, 1.1)]
    tanh = recurrent_gain(with_radius(1.1), 100, tanh=True)
    shear = np.array([[0.9, 10.0], [0.0, 0.9]])
    early = max(np.linalg.norm(np.linalg.matrix_power(shear, t), 2) for t in range(30))
    return Finding(
        f"linear, 1000 steps, radius 0.9 and 1.1: {linear[0]:.0e}, {linear[1]:.0e}; with tanh, 100 steps at "
        f"1.1: {tanh:.0e}; a shear of radius 0.9 first grows to {early:.0f}",
        judge(linear[0] < 1e-6 < 1e6 < linear[1] and tanh > 1, linear[0] < 1e-6 < 1e6 < linear[1]),
        "in the long run, without the slopes of tanh; for a time the singular values count",
    )


@CHAPTER.claim("P23", "RNNs, summary", "Gradient clipping is a remedy for exploding ones.", "06")
def clipping() -> Finding:
    rng = np.random.default_rng(0)
    grads = {"wh": 1e6 * rng.standard_normal((8, 8)), "wx": 1e-3 * rng.standard_normal((8, 8))}
    clipped, _ = clip_grad_norm(grads, 1.0)
    norm = np.sqrt(sum(np.sum(g**2) for g in clipped.values()))
    before, after = (np.linalg.norm(g["wh"]) / np.linalg.norm(g["wx"]) for g in (grads, clipped))
    broken, _ = clip_grad_norm({"wh": np.array([np.inf, 1.0])}, 1.0)
    return Finding(
        f"norm {norm:.2f} after clipping; ratio between two arrays {before:.0e} before and {after:.0e} "
        f"after; an infinite gradient stays {broken['wh'][0]}",
        judge(bool(np.isfinite(broken["wh"]).all()) and after < before / 2, bool(np.isclose(norm, 1.0))),
        "the step is bounded, the matrix is not changed; and it must come before the overflow",
    )


@CHAPTER.claim("P24", "DQN", "Q[:, a] is what picks the value of the action taken in each row.", "07")
def picking() -> Finding:
    q, a = np.arange(12.0).reshape(4, 3), np.array([0, 2, 1, 1])
    picked, _ = gather_forward(q, a)
    return Finding(
        f"Q[:, a] of a (4, 3) array has shape {q[:, a].shape}; one value a row has shape {picked.shape}",
        judge(q[:, a].shape == picked.shape),
        "it takes whole columns; Q[range(N), a] is meant",
    )


@CHAPTER.claim("P25", "DQN", "The target is reward · γ · argmax Q(s', a).", "07")
def target() -> Finding:
    reward, gamma, q = 0.0, 0.9, np.array([1.0, 5.0, 2.0])
    printed, right = reward * gamma * q.argmax(), reward + gamma * q.max()
    return Finding(
        f"reward 0, γ 0.9, Q(s') = 1, 5, 2: as printed {printed:.1f}, the Bellman target {right:.1f}",
        judge(bool(np.isclose(printed, right))),
        "a sum, and the largest value rather than its index; with no reward the printed one is 0 everywhere",
    )


@CHAPTER.claim("P26", "DQN", "Up to there, a squared temporal-difference error is fine.", "07")
def squared() -> Finding:
    x, t = np.array([3.0, -40.0, 0.5]), np.zeros(3)
    _, dx = mse_loss(x, t)
    error = relative_error(dx, numerical_gradient(lambda x: mse_loss(x, t)[0], x))
    return Finding(
        f"gradient 2δ/N, error {error:.0e}", judge(error < 1e-6 and dx[1] != 0), "every error has a gradient"
    )


@CHAPTER.claim("P27", "DQN", "Clipping the error makes its gradient exactly zero beyond the bounds.", "07")
def clipped() -> Finding:
    x, t = np.array([0.5, 1.5, -20.0]), np.zeros(3)
    _, dx = clipped_delta_loss(x, t)
    measured = numerical_gradient(lambda x: clipped_delta_loss(x, t)[0], x)
    return Finding(
        f"gradients for δ = 0.5, 1.5, -20: {dx[0]:.2f}, {abs(dx[1]):.0f}, {abs(dx[2]):.0f}",
        judge(dx[0] != 0 and not dx[1:].any() and relative_error(dx, measured) < 1e-6),
        "on both sides, measured and derived",
    )


@CHAPTER.claim("P28", "DQN", "The Huber loss does what was meant: it clips the gradient.", "07")
def huber() -> Finding:
    x, t = np.linspace(-5, 5, 101), np.zeros(101)
    _, dx = huber_loss(x, t)
    error = relative_error(101 * dx, np.clip(x, -1, 1))
    return Finding(f"its gradient against clip(δ, -1, 1): error {error:.0e}", judge(error < 1e-12))


@CHAPTER.claim("P29", "DQN", "It can be put in place of tf.square.", "07")
def in_place() -> Finding:
    x, t = np.array([0.5]), np.zeros(1)
    ratio = float((mse_loss(x, t)[1] / huber_loss(x, t)[1])[0])
    return Finding(
        f"below the threshold the gradient of the square is {ratio:.0f} times as large",
        judge(ratio == 1, ratio == 2),
        "because of the 1/2: the learning rate has to be doubled for the same steps",
    )


@CHAPTER.claim("P30", "Huber listing", "0.5x² within 1 and |x| - 0.5 outside fit together.", "07")
def pieces() -> Finding:
    h = 1e-7
    inside, outside = 0.5 * (1 - h) ** 2, (1 + h) - 0.5
    slopes = (0.5 - inside) / h, (outside - 0.5) / h
    return Finding(
        f"at 1 they differ by {abs(outside - inside):.0e}, slopes {slopes[0]:.3f} and {slopes[1]:.3f}",
        judge(abs(outside - inside) < 1e-6 and abs(slopes[0] - slopes[1]) < 1e-5),
        "value and slope agree; the test is on |x| (lost in our copy of the post, the bug report has it)",
    )


def learns(loss: str, seed: int) -> float:
    """Q-learning of a table in the world of assignment 07: value at the start, over the right one."""
    world, rng, gamma = GridWorld(), np.random.default_rng(seed), 0.9
    seen = world.wander(3000, rng)
    q = np.zeros((world.states, 4))
    for _ in range(6000):
        s, a, r, s2, done = seen.batch(32, rng)
        target = r + np.where(done, 0.0, gamma * q[s2].max(axis=1))
        picked = q[s, a]
        _, dq = (huber_loss if loss == "huber" else clipped_delta_loss)(picked, target)
        np.add.at(q, (s, a), -2.0 * dq)
    return float(q[0].max() / world.optimal_q(gamma)[0].max())


@CHAPTER.claim("P31", "DQN", "The clipped error is a major bug.", "07", slow=True)
def major() -> Finding:
    clipped, huber = (np.mean([learns(loss, seed) for seed in range(3)]) for loss in ("clipped", "huber"))
    return Finding(
        f"a world whose one reward is 10: value of the start, over the right one, {clipped:.2f} with the "
        f"clipped error, {huber:.2f} with Huber",
        judge(clipped < 0.05 and huber > 0.8),
        "the only error that matters is the large one, and it has no gradient",
    )


CHAPTER.on_record(
    "P32", "DQN", "TensorFlow had no operation for that indexing.", "", "TensorFlow of 2016, not tried"
)
CHAPTER.on_record("P33", "DQN", "In Torch the same would be much simpler.", "", "Torch 7, not tried")
CHAPTER.on_record(
    "P34",
    "DQN",
    "The bug was reported and soon fixed.",
    "issue 16 of devsisters/DQN-tensorflow, 18 December 2016",
    "agrees: answered the day after, and closed",
    "07",
)
