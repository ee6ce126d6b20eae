"""The interactive lesson, chapter 6: where autograd fails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from claims.claim import Chapter, Finding, judge
from claims.networks import (
    deep_sigmoid,
)
from minigrad.losses import clipped_delta_loss

CHAPTER = Chapter("The interactive lesson, chapter 6: debugging")


@CHAPTER.claim(
    "6.14",
    "where autograd fails",
    "Code runs, the loss is finite, gradients come back, and are useless.",
    "00, 07",
)
def useless() -> Finding:
    loss, dx = clipped_delta_loss(np.array([20.0, -30.0]), np.zeros(2))
    accuracy = deep_sigmoid()["accuracy"]
    return Finding(
        f"clipped error: loss {loss:.1f}, gradient {np.abs(dx).max():.0f}; six sigmoid layers: accuracy "
        f"{accuracy:.2f}",
        judge(bool(np.isfinite(loss)) and not dx.any() and accuracy < 0.15),
    )


@CHAPTER.claim("6.15", "where autograd fails", "torch.where makes the gradient jump at its boundary.", "07")
def where() -> Finding:
    def slope(branch: Callable[[float], float], at: float) -> float:
        h = 1e-6
        f = [np.where(z > 0, branch(z), 0.0) for z in (at + h, at - h)]
        return float((f[0] - f[1]) / (2 * h))

    jumps = {
        name: slope(g, 1e-3) - slope(g, -1e-3) for name, g in (("x", lambda z: z), ("x²", lambda z: z**2))
    }
    z = np.array([0.0])
    nan = float((np.where(z > 0, 1.0, 0.0) * (0.5 / np.sqrt(z)))[0])
    return Finding(
        f"where(x > 0, x, 0) jumps by {jumps['x']:.0f}, where(x > 0, x², 0) by {jumps['x²']:.3f}; where(x > "
        f"0, √x, 0) at 0 gives 0 · ∞ = {nan}",
        judge(jumps["x²"] > 0.5, jumps["x"] > 0.5),
        "if the slopes of the branches differ there; worse is a branch not taken with an infinite slope: NaN",
    )


@CHAPTER.claim(
    "6.16",
    "where autograd fails",
    "A detach in the wrong place cuts the graph in silence.",
    "07",
    needs="torch",
)
def detach() -> Finding:
    import torch

    w = torch.ones(3, requires_grad=True)
    x = torch.arange(3.0)
    losses, grads = [], []
    for cut in (False, True):
        h = w * x
        loss = ((h.detach() if cut else h) + w).sum()
        grads.append(torch.autograd.grad(loss, w)[0].sum().item())
        losses.append(loss.item())
    return Finding(
        f"the same loss, {losses[0]:.0f} and {losses[1]:.0f}, gradients {grads[0]:.0f} and {grads[1]:.0f}",
        judge(losses[0] == losses[1] and grads[0] != grads[1]),
        "no warning; in the target of a temporal-difference error it is wanted",
    )


CHAPTER.on_record(
    "6.19",
    "where autograd fails",
    "Karpathy gives a list of examples.",
    "the post itself",
    "agrees for four (0.16); the lesson's own list is lost in the copy that we have",
    "07",
)
