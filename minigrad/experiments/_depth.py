"""What the experiments of assignment 04 share: the data, and training with a record of the first step."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.datasets import digits
from minigrad.losses import svm_loss
from minigrad.network import Sequential
from minigrad.optimizers import sgd_momentum
from minigrad.training import accuracy, fit

Array = NDArray[Any]


def data(classes: int) -> tuple[Array, Array]:
    """Digits of the first so many classes, centred, in units of their standard deviation."""
    x, y = digits()
    x, y = x[y < classes], y[y < classes]
    x = x - x.mean(axis=0)
    return x / x.std(), y


def train(
    parts: Sequence[Any],
    batch: tuple[Array, Array],
    steps: int,
    learning_rate: float,
    momentum: float,
    rng: np.random.Generator,
    clip: Callable[..., Any] | None = None,
) -> dict[str, Any]:
    """Train on a hinge loss.

    Returns
    -------
    dict
        `accuracy`, `loss` (over the last ten steps), `losses`, and `gradients`, the norm of each weight gradient in
        the first step, from the first layer on.
    """
    network = Sequential(*parts)
    losses: list[float] = []
    gradients: list[float] = []
    records = fit(
        network,
        batch,
        svm_loss,
        sgd_momentum,
        steps=steps,
        learning_rate=learning_rate,
        rng=rng,
        batch_size=32,
        config={"momentum": momentum},
        clip=clip,
    )
    x, y = batch
    with np.errstate(over="ignore", invalid="ignore"):  # some of these runs explode
        for record in records:
            losses.append(record.loss)
            gradients = gradients or [float(np.linalg.norm(g)) for g in network.grads.values() if g.ndim == 2]
        scores = network.forward(x)
    return {
        "accuracy": accuracy(scores, y),
        "loss": float(np.mean(losses[-10:])),
        "losses": np.array(losses),
        "gradients": np.array(gradients),
    }
