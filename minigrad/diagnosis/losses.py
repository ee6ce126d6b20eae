"""Questions to a loss of which the answers are known; no network is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.diagnosis.finding import WARNING, Finding
from minigrad.training import Loss

__all__ = ["check_loss"]

Array = NDArray[Any]

FEW = 8  # rows of the targets that are asked about
SURE = 12.0  # margin of scores that are as good as perfect: exp(-12) is 6e-6
FAR = 2000.0  # a margin at which exp overflows, in float64 too


def check_loss(loss: Loss, y: Array, outputs: tuple[int, ...], rng: np.random.Generator) -> list[Finding]:
    """Ask a loss questions of which the answers are known; no network is needed.

    Parameters
    ----------
    loss : callable
        ``loss(scores, y) -> loss, dscores``.
    y : ndarray, shape (N, ...)
        Targets: integers where they are classes.
    outputs : tuple of int
        The shape of the scores of one example.
    rng : Generator
        Draws scores.

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> from minigrad.losses import clipped_delta_loss
    >>> y = np.linspace(-5, 5, 20)[:, None]
    >>> [finding.cause for finding in check_loss(clipped_delta_loss, y, (1,), np.random.default_rng(0))]
    ['loss without gradient for large errors']
    """
    rows = rng.permutation(len(y))[:FEW]
    y = np.asarray(y)[rows]
    some = rng.normal(size=(len(y), *outputs))
    try:
        with np.errstate(all="ignore"):
            found = _check_reduction(loss, some, y)
            if (
                y.dtype.kind in "iub"
                and y.shape == (len(y),)
                and len(outputs) == 1
                and outputs[0] > int(y.max())
            ):
                return found + _check_classes(loss, y, outputs[0])
            return found + (_check_targets(loss, y) if y.shape[1:] == outputs else [])
    except (ValueError, IndexError, TypeError):  # another kind of loss, to which these questions mean nothing
        return []


def _check_reduction(loss: Loss, scores: Array, y: Array) -> list[Finding]:
    once, g_once = loss(scores, y)
    twice, g_twice = loss(np.concatenate([scores, scores]), np.concatenate([y, y]))
    half = np.asarray(g_twice)[: len(y)]
    summed = abs(half - g_once).max() < 1e-6 * abs(np.asarray(g_once)).max()
    if not summed:
        return []
    both = np.isclose(twice, 2 * once)
    what = "loss and gradient double" if both else "the gradient of a row stays the same, as in a sum,"
    return [
        Finding(
            "loss summed over the batch",
            f"With every example twice in a batch, {what}: the step grows with the batch size.",
            layer="loss",
            remedy={"average_loss": True},
            confidence=0.98,
            level=WARNING,  # legitimate with a rate that is small enough; `diagnose` knows whether it is
        )
    ]


def _check_classes(loss: Loss, y: Array, classes: int) -> list[Finding]:
    right = np.eye(classes)[y]
    wrong = np.roll(right, 1, axis=1)
    perfect, at_zero, at_wrong = (
        float(loss(scores, y)[0]) for scores in (SURE * right, 0 * right, SURE * wrong)
    )
    found = []
    floor = np.log1p((classes - 1) * np.exp(-1.0))  # what is left where probabilities are taken for scores
    if not perfect < at_zero or not perfect < at_wrong:
        found.append(
            Finding(
                "loss does not fit the task",
                f"Scores that are perfect have a loss of {perfect:.3g}, equal scores {at_zero:.3g}, wrong ones "
                f"{at_wrong:.3g}: being right is not what lowers it.",
                layer="loss",
                remedy={"loss": "softmax"},
                confidence=0.98,
            )
        )
    elif abs(perfect - floor) < 0.02 * floor:
        found.append(
            Finding(
                "softmax applied twice",
                f"Perfect scores still have a loss of {perfect:.3g}: log(1 + {classes - 1}/e), which is what "
                f"is left if the loss takes probabilities for scores.",
                layer="loss",
                remedy={"loss": "softmax"},
                confidence=0.98,
            )
        )
    far = [float(loss(FAR * scores, y)[0]) for scores in (right, wrong)]
    if not np.isfinite(far).all() or not np.isfinite(loss(FAR * right + FAR, y)[1]).all():
        found.append(
            Finding(
                "loss not finite for large scores",
                f"Scores of {FAR:.0f} give a loss of {far[0]:.3g} where they are right and {far[1]:.3g} where they "
                f"are wrong.",
                layer="loss",
                remedy={"loss": "softmax"},
                confidence=0.9,
                level=WARNING,  # until scores get there
            )
        )
    return found


def _check_targets(loss: Loss, y: Array) -> list[Finding]:
    spread = float(np.std(y)) or 1.0
    right, off = y.astype(float), y + spread
    if np.isin(y, (0, 1)).all():  # scores of a binary cross-entropy may stand for them, and have no end
        right, off = SURE * (2 * y - 1), SURE * (1 - 2 * y)
    perfect, near = float(loss(right, y)[0]), float(loss(off, y)[0])
    found = []
    if not perfect < near:
        found.append(
            Finding(
                "loss does not fit the task",
                f"Scores that are right have a loss of {perfect:.3g}, scores that are not {near:.3g}.",
                layer="loss",
                remedy={"loss": "mse"},
                confidence=0.98,
            )
        )
    for times in (3.0, 100.0):
        if not np.any(np.asarray(loss(right + times * (off - right), y)[1])):
            found.append(
                Finding(
                    "loss without gradient for large errors",
                    f"Predictions that miss by {times * spread:.3g}, {times:.0f} deviations of the targets, get a "
                    f"gradient of exactly 0: the worse the error, the less is learnt from it.",
                    layer="loss",
                    remedy={"loss": "huber"},
                    confidence=0.98,
                )
            )
            break
    return found
