"""One table for the losses: `test_losses.py` finds them by itself and looks here for each."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cases.base import Rng


@dataclass(frozen=True)
class LossCase:
    """What the contract test has to know of a loss.

    arguments(rng, n) draws all of them for a batch of n, as a dict; the first has the gradient. slow takes them
    and is the loss as an obvious loop over numbers; torch takes them as tensors and is the same in PyTorch. impossible
    lists arguments that must be refused: the name that the message gives, and what to replace. analytic says whether
    complex numbers pass through.
    """

    arguments: Callable[[Rng, int], dict[str, Any]]
    slow: Callable[..., float]
    torch: Callable[..., Any]
    analytic: bool
    impossible: tuple[tuple[str, dict[str, Any]], ...] = ()


def classes(rng: Rng, n: int) -> dict[str, Any]:
    c = int(rng.integers(1, 5))
    return {"x": 3 * rng.standard_normal((n, c)), "y": rng.integers(0, c, n)}


def sequences(rng: Rng, n: int) -> dict[str, Any]:
    t, v = rng.integers(1, 5, 2)
    counts = rng.random((n, t)) < 0.7
    counts.flat[0] = True  # a loss of nothing is zero, and so is its gradient
    y = np.where(counts, rng.integers(0, v, (n, t)), -1)  # nobody looks at these
    return {"x": 3 * rng.standard_normal((n, t, v)), "y": y, "mask": counts}


def predictions(rng: Rng, n: int) -> dict[str, Any]:
    shape = (n, *rng.integers(1, 4, rng.integers(3)))
    return {"x": 2 * rng.standard_normal(shape), "target": 2 * rng.standard_normal(shape)}


def decisions(rng: Rng, n: int) -> dict[str, Any]:
    x = predictions(rng, n)["x"]
    return {"x": 4 * x, "target": rng.choice([0.0, 0.3, 1.0], x.shape)}


def with_delta(rng: Rng, n: int) -> dict[str, Any]:
    return {**predictions(rng, n), "delta": float(rng.uniform(0.5, 3))}


def transitions(rng: Rng, n: int) -> dict[str, Any]:
    a = int(rng.integers(1, 4))
    return {
        "q": rng.standard_normal((n, a)),
        "actions": rng.integers(0, a, n),
        "rewards": rng.standard_normal(n),
        "next_q": rng.standard_normal((n, a)),
        "done": rng.random(n) < 0.3,
        "gamma": float(rng.uniform(0.5, 1)),
        "delta": float(rng.uniform(0.5, 2)),
    }


def surprise(scores, label):
    return math.log(sum(math.exp(score - scores[label]) for score in scores))


def slow_softmax(x, y):
    return sum(surprise(row, label) for row, label in zip(x, y, strict=True)) / len(x)


def slow_temporal_softmax(x, y, mask):
    steps = [step for step in np.ndindex(mask.shape) if mask[step]]
    return sum(surprise(x[step], y[step]) for step in steps) / len(x)


def slow_svm(x, y):
    total = 0.0
    for row, label in zip(x, y, strict=True):
        total += sum(max(0.0, score - row[label] + 1) for c, score in enumerate(row) if c != label)
    return total / len(x)


def mean_of(loss):
    """The slow form of a loss that is a mean over pairs of a prediction and a target."""

    def slow(x, target, *params):
        return sum(loss(a, b, *params) for a, b in zip(x.flat, target.flat, strict=True)) / x.size

    return slow


def huber(a, b, delta):
    error = abs(a - b)
    return error**2 / 2 if error <= delta else delta * (error - delta / 2)


def slow_td(q, actions, rewards, next_q, done, gamma, delta):
    total = 0.0
    for n, action in enumerate(actions):
        target = rewards[n] if done[n] else rewards[n] + gamma * max(next_q[n])
        total += huber(q[n, action], target, delta)
    return total / len(q)


def torch_temporal_softmax(x, y, mask):
    import torch

    y = torch.where(mask, y, -100)  # its own mark for a label that does not count
    return torch.nn.functional.cross_entropy(x.flatten(0, 1), y.flatten(), reduction="sum") / len(x)


def torch_td(q, actions, rewards, next_q, done, gamma, delta):
    import torch

    with torch.no_grad():
        target = rewards + gamma * (~done).double() * next_q.max(dim=1).values
    return torch.nn.functional.huber_loss(q.gather(1, actions[:, None])[:, 0], target, delta=delta)


def in_torch(name):
    """A function of `torch.nn.functional`."""

    def call(*args, **more):
        import torch

        return getattr(torch.nn.functional, name)(*args, **more)

    return call


def torch_clipped_delta(x, target, delta):
    return (x - target).clip(-delta, delta).square().mean() / 2


SOME = np.zeros((2, 3))
WRONG_CLASSES = (
    ("x", {"x": np.zeros(3)}),
    ("x", {"x": np.zeros((2, 3, 1))}),
    ("x", {"x": np.zeros((0, 3)), "y": np.zeros(0, int)}),
    ("x", {"x": np.zeros((2, 0)), "y": np.zeros(2, int)}),
    ("y", {"x": SOME, "y": np.zeros(3, int)}),
    ("y", {"x": SOME, "y": np.zeros((2, 1), int)}),
    ("y", {"x": SOME, "y": 0}),
    ("y", {"x": SOME, "y": [0, 3]}),
    ("y", {"x": SOME, "y": [0, -1]}),  # numpy would take the last
    ("y", {"x": SOME, "y": [0.0, 1.0]}),
    ("y", {"x": SOME, "y": [True, False]}),
)
WRONG_SHAPES = (
    ("target", {"x": SOME, "target": np.zeros((2, 1))}),  # these three would broadcast
    ("target", {"x": SOME, "target": np.zeros(3)}),
    ("target", {"x": np.zeros((2, 1)), "target": np.zeros(2)}),
    ("target", {"x": SOME, "target": np.zeros((3, 2))}),
    ("x", {"x": np.zeros((0, 3)), "target": np.zeros((0, 3))}),
)
WRONG_DELTAS = tuple(("delta", {"delta": delta}) for delta in (0.0, -1.0, math.nan, math.inf))

LOSSES: dict[str, LossCase] = {
    "softmax": LossCase(
        arguments=classes,
        slow=slow_softmax,
        torch=in_torch("cross_entropy"),
        analytic=True,
        impossible=WRONG_CLASSES,
    ),
    "temporal_softmax": LossCase(
        arguments=sequences,
        slow=slow_temporal_softmax,
        torch=torch_temporal_softmax,
        analytic=True,
        impossible=(
            ("x", {"x": SOME}),
            ("x", {"x": np.zeros((0, 1, 2)), "y": np.zeros((0, 1), int), "mask": np.ones((0, 1))}),
            ("y", {"x": np.zeros((2, 3, 4)), "y": np.zeros(2, int), "mask": SOME}),
            ("mask", {"x": np.zeros((2, 3, 4)), "y": SOME.astype(int), "mask": np.ones(3)}),
            ("y", {"x": np.zeros((1, 1, 4)), "y": [[4]], "mask": [[1]]}),
            ("y", {"x": np.zeros((1, 1, 4)), "y": [[-1]], "mask": [[1]]}),
        ),
    ),
    "svm": LossCase(
        arguments=classes,
        slow=slow_svm,
        torch=lambda x, y: in_torch("multi_margin_loss")(x, y) * x.shape[1],  # its mean is over classes too
        analytic=False,  # the corner of the hinge
        impossible=WRONG_CLASSES,
    ),
    "bce_with_logits": LossCase(
        arguments=decisions,
        slow=mean_of(lambda x, t: math.log(1 + math.exp(x)) - t * x),
        torch=in_torch("binary_cross_entropy_with_logits"),
        analytic=True,
        impossible=(
            *WRONG_SHAPES,
            ("target", {"x": np.zeros(2), "target": [0.0, 1.01]}),
            ("target", {"x": np.zeros(2), "target": [-1, 1]}),  # the labels of a support vector machine
            ("target", {"x": np.zeros(2), "target": [math.nan, 1]}),
        ),
    ),
    "mse": LossCase(
        arguments=predictions,
        slow=mean_of(lambda x, t: (x - t) ** 2),
        torch=in_torch("mse_loss"),
        analytic=True,
        impossible=WRONG_SHAPES,
    ),
    "huber": LossCase(
        arguments=with_delta,
        slow=mean_of(huber),
        torch=lambda x, target, delta: in_torch("huber_loss")(x, target, delta=delta),
        analytic=False,
        impossible=(*WRONG_SHAPES, *WRONG_DELTAS),
    ),
    "clipped_delta": LossCase(
        arguments=with_delta,
        slow=mean_of(lambda x, t, delta: min(abs(x - t), delta) ** 2 / 2),
        torch=torch_clipped_delta,
        analytic=False,
        impossible=(*WRONG_SHAPES, *WRONG_DELTAS),
    ),
    "td": LossCase(
        arguments=transitions,
        slow=slow_td,
        torch=torch_td,
        analytic=False,
        impossible=(
            ("q", {"q": np.zeros(3)}),
            (
                "q",
                {"q": np.zeros((0, 2)), "next_q": np.zeros((0, 2)), "actions": [], "rewards": [], "done": []},
            ),
            ("actions", {"actions": np.zeros((3, 1), int)}),
            ("actions", {"actions": [0, 0, -1]}),
            ("actions", {"actions": [0, 0, 9]}),
            ("rewards", {"rewards": np.zeros((3, 1))}),  # this one would broadcast to (3, 3)
            ("next_q", {"next_q": np.zeros(3)}),
            ("done", {"done": True}),
            ("gamma", {"gamma": 1.1}),
            ("gamma", {"gamma": -0.1}),
            ("gamma", {"gamma": math.nan}),
            *WRONG_DELTAS,
        ),
    ),
}
