"""Whether an evaluation says what it should: how good the predictions are, and of what they depend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.diagnosis.data import familiarity

__all__ = ["check_agreement", "measure_evaluation"]

Array = NDArray[Any]
Batch = tuple[Array, Array]
Predict = Callable[[Array], Array]

ASKED = 8  # rows that are predicted again, and alone
REPEAT, ALONE = 1e-3, 0.02  # what rounding and a running average that lags may make of it


def check_agreement(predict: Callable[[Array], Array], x: Array) -> dict[str, float]:
    """Measure whether scores depend on anything but the row that they are for.

    Parameters
    ----------
    predict : callable
        Scores of a batch, computed as they are for an evaluation.
    x : ndarray, shape (N, ...)
        Rows.

    Returns
    -------
    dict
        `repeat`: how far two calls on the same rows are apart; `alone`: how far the scores of a row that is
        predicted alone are from those that it has among others. Both relative to the spread of the scores.

    Examples
    --------
    >>> found = check_agreement(lambda x: x - x.mean(axis=0), np.arange(6.0)[:, None])  # a normalization
    >>> found["repeat"], round(found["alone"], 2)
    (0.0, 0.34)
    """
    with np.errstate(all="ignore"):
        x = x[:: max(1, len(x) // ASKED)][:ASKED]
        first, second = np.asarray(predict(x)), np.asarray(predict(x))
        alone = np.concatenate([np.asarray(predict(x[k : k + 1])) for k in range(len(x))])
        spread = float(np.ptp(first)) or 1.0
        return {
            "repeat": float(np.sqrt(np.mean((first - second) ** 2))) / spread,
            "alone": float(np.sqrt(np.mean((first - alone) ** 2))) / spread,
        }


def measure_evaluation(predict: Predict, train: Batch, held_out: Batch | None = None) -> dict[str, float]:
    """Measure how good predictions are, and whether they are made as they should be.

    Parameters
    ----------
    predict : callable
        ``predict(x) -> scores``.
    train, held_out : (x, y)

    Returns
    -------
    dict
        `train_progress` and `progress` (of the held-out data): 0 for a constant answer, 1 for a perfect one; of
        classes, and of zeros and ones, the mean recall above chance, of numbers the explained share of the variance.
        `repeat` and `alone` as of `check_agreement`. Of held-out data also `shift`, how far their features are from
        those of the training data, in deviations, `scale`, how many times as far they spread, and `known`, the share
        of them whose nearest neighbour among the training data has their class.

    Examples
    --------
    >>> y = np.array([0, 1, 1, 0])
    >>> measure_evaluation(lambda x: x, (np.eye(2)[y], y))
    {'repeat': 0.0, 'alone': 0.0, 'train_progress': 1.0}
    """
    found = check_agreement(predict, train[0])
    for name, part in (("train_progress", train), ("progress", held_out)):
        if part is not None:
            found[name] = _progress(np.asarray(predict(part[0])), np.asarray(part[1]))
    return found | (familiarity(train, held_out) if held_out is not None else {})


def _progress(scores: Array, y: Array) -> float:
    if not np.isfinite(scores).all():
        return 0.0
    if y.dtype.kind in "iub":
        right = scores.argmax(axis=-1) == y
        recalls = [right[y == label].mean() for label in np.unique(y)]
        guess = 1 / len(recalls)
        return max(0.0, float((np.mean(recalls) - guess) / (1 - guess))) if guess < 1 else float(right.mean())
    if np.isin(y, (0, 1)).all() and scores.shape == y.shape:
        return _progress_of_binary(scores, y)
    spread = float(((y - y.mean(axis=0)) ** 2).mean())
    return max(0.0, 1 - float(((scores - y) ** 2).mean()) / spread) if spread else 0.0


def _progress_of_binary(scores: Array, y: Array) -> float:
    """Of zeros and ones, which scores may stand for on any scale; of several columns, the largest score counts."""
    if y.ndim > 1 and y.shape[-1] > 1 and (y.sum(axis=-1) == 1).all():
        return _progress(scores, y.argmax(axis=-1))
    labels = y.astype(int).ravel()
    margins = (scores.ravel(), scores.ravel() - 0.5)  # of a logit, and of a probability
    return max(_progress(np.stack([-margin, margin], axis=1), labels) for margin in margins)
