"""Training: one step at a time, so that whoever asks for the next step can look at everything in between.

    for step in fit(network, (x, y), softmax_loss, adam, steps=500, learning_rate=1e-3, rng=rng):
        if step.step % 100 == 0:
            print(step.loss, step.gradient_norm)

Between two steps `network.params` and `network.grads` are those of the step that was made. Parameters are
replaced and never written into, so a dict that you kept from before still holds the old ones, and their
difference is the update that was really made.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.network import Network

__all__ = ["Step", "accuracy", "evaluate", "fit"]

Array = NDArray[Any]
Batch = tuple[Array, Array]
Draw = Callable[["np.random.Generator", int], Batch]
Loss = Callable[[Array, Array], tuple[Any, Array]]
Optimizer = Callable[[Array, Array, dict[str, Any]], tuple[Array, dict[str, Any]]]
Clip = Callable[[dict[str, Array]], tuple[dict[str, Array], float]]


@dataclass(frozen=True)
class Step:
    """What happened in one step of training.

    Parameters
    ----------
    step : int
        Which one, from 0.
    epoch : int
        How often all examples had been seen when it began; 0 where the data never repeat.
    loss : float
        Of the batch, before the update.
    learning_rate : float
        At this step.
    gradient_norm : float
        Of all gradients together, before clipping.
    accuracy : float or None
        Of the batch, before the update, if it was asked for.
    """

    step: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    accuracy: float | None = None


def fit(
    network: Network,
    data: Batch | Draw,
    loss: Loss,
    optimizer: Optimizer,
    *,
    steps: int,
    learning_rate: float,
    rng: np.random.Generator,
    batch_size: int = 32,
    schedule: Callable[[int, float], float] | None = None,
    clip: Clip | None = None,
    config: Mapping[str, Any] | None = None,
    accuracy: Callable[[Array, Array], float] | None = None,
    progress: bool = False,
) -> Iterator[Step]:
    """Train a network, a step each time that the next record is asked for.

    Parameters
    ----------
    network : Network
        Trained in place: its parameters are replaced at each step.
    data : (x, y) or callable
        Examples and their targets, of the same length; they are shuffled at the start of each epoch, and the last
        batch of an epoch may be smaller. Or ``data(rng, batch_size) -> x, y``, which makes new ones.
    loss : callable
        ``loss(scores, y) -> loss, dscores``.
    optimizer : callable
        ``optimizer(w, dw, config) -> next_w, config``, as in `minigrad.optimizers`.
    steps : int
        How many.
    learning_rate : float
        What the schedule starts from.
    rng : Generator
        Draws the batches. With the same seed, network and data, everything is the same to the last bit.
    batch_size : int
        Examples in a batch; all of them where there are not more.
    schedule : callable, optional
        ``schedule(step, learning_rate) -> float``, as in `minigrad.schedules`.
    clip : callable, optional
        ``clip(grads) -> clipped, measured``: ``lambda grads: clip_grad_norm(grads, 1.0)``.
    config : mapping, optional
        What else the optimizer is to know, such as ``{"momentum": 0.9}``. Each parameter gets a copy of its own.
    accuracy : callable, optional
        ``accuracy(scores, y) -> float``, for the records.
    progress : bool
        Show a progress bar, if a person is watching: standard error is a terminal, and rich is installed.

    Returns
    -------
    records : iterator of Step
        Nothing happens until it is asked for the first one; whoever stops asking stops the training.

    Raises
    ------
    ValueError
        At once if `steps` or `batch_size` is impossible, there is no example, or the lengths of x and y differ; at
        its step, if a gradient is missing.

    Notes
    -----
    A step is forward, loss, backward, clip, update, in this order. Nothing guards against a loss that is not
    finite: it is recorded like any other, because seeing it is what this course is for.

    Examples
    --------
    >>> from minigrad.layers import affine_backward, affine_forward
    >>> from minigrad.network import Layer
    >>> def squared(scores, y):
    ...     return np.mean((scores - y) ** 2), 2 * (scores - y) / scores.size
    >>> def descent(w, dw, config):
    ...     return w - config["learning_rate"] * dw, config
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> network = Layer(affine_forward, affine_backward, {"w": np.zeros((1, 1)), "b": np.zeros(1)})
    >>> records = fit(
    ...     network, (x, 3 * x + 1), squared, descent,
    ...     steps=100, learning_rate=0.5, batch_size=20, rng=np.random.default_rng(0),
    ... )
    >>> losses = [record.loss for record in records]
    >>> losses[-1] < 1e-6 < losses[0]
    True
    >>> network.params["w"].round(3)
    array([[3.]])
    """
    if steps < 0:
        raise ValueError(f"fit: steps must be at least 0, not {steps}")
    if batch_size < 1:
        raise ValueError(f"fit: batch_size must be at least 1, not {batch_size}")
    if not callable(data):
        x, y = data
        if len(x) != len(y):
            raise ValueError(
                f"fit: x has shape {np.shape(x)} but y has shape {np.shape(y)}; one target per example"
            )
        if not len(x):
            raise ValueError(f"fit: x has shape {np.shape(x)}: there is nothing to learn from")
    batches = _drawn(data, batch_size, rng) if callable(data) else _epochs(*data, batch_size, rng)
    configs = {name: dict(config or {}) for name in network.params}

    def records() -> Iterator[Step]:
        for step in range(steps):
            rate = float(schedule(step, learning_rate) if schedule else learning_rate)
            epoch, x, y = next(batches)
            network.mode = "train"  # whoever looked in between may have left it in test mode
            scores = network.forward(x)
            value, dscores = loss(scores, y)
            network.backward_params(dscores)
            norm = _norm(network.grads)
            _update(network, clip(network.grads)[0] if clip else network.grads, optimizer, configs, rate)
            share = None if accuracy is None else float(accuracy(scores, y))
            yield Step(step, epoch, float(value), rate, norm, share)

    return _watched(records(), steps) if progress and sys.stderr.isatty() else records()


def _update(
    network: Network,
    grads: dict[str, Array],
    optimizer: Optimizer,
    configs: dict[str, dict[str, Any]],
    learning_rate: float,
) -> None:
    params = network.params
    if grads.keys() != params.keys():
        raise ValueError(f"fit: there are gradients of {sorted(grads)} but parameters {sorted(params)}")
    for name, w in params.items():
        configs[name]["learning_rate"] = learning_rate
        params[name], configs[name] = optimizer(w, grads[name], configs[name])
    network.params = params


def _epochs(x: Array, y: Array, size: int, rng: np.random.Generator) -> Iterator[tuple[int, Array, Array]]:
    """Batches without end: every example once, in a new order, and again."""
    epoch = 0
    while True:
        order = rng.permutation(len(x))
        for start in range(0, len(x), size):
            rows = order[start : start + size]
            yield epoch, x[rows], y[rows]
        epoch += 1


def _drawn(draw: Draw, size: int, rng: np.random.Generator) -> Iterator[tuple[int, Array, Array]]:
    while True:
        x, y = draw(rng, size)
        yield 0, x, y


def _norm(grads: dict[str, Array]) -> float:
    """Euclidean norm of all arrays together, in float64: squares of float32 overflow early."""
    wide = (np.asarray(g, np.float64).ravel() for g in grads.values())
    with np.errstate(over="ignore"):
        return math.sqrt(sum(float(g @ g) for g in wide))


def _watched(records: Iterable[Step], steps: int) -> Iterator[Step]:
    """The same records, with a progress bar for as long as somebody asks for them."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield from records
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=steps)
        for record in records:
            bar.update(task, advance=1, description=f"loss {record.loss:.4g}")
            yield record


def evaluate(
    network: Network, data: Batch, loss: Loss, accuracy: Callable[[Array, Array], float] | None = None
) -> tuple[float, float | None]:
    """Loss and accuracy in test mode; afterwards the mode is what it was.

    Parameters
    ----------
    network : Network
        Its parameters and its state stay as they are.
    data : (x, y)
        Examples and their targets.
    loss : callable
        ``loss(scores, y) -> loss, dscores``.
    accuracy : callable, optional
        ``accuracy(scores, y) -> float``.

    Returns
    -------
    loss : float
    accuracy : float or None

    Examples
    --------
    >>> from minigrad.layers import relu_backward, relu_forward
    >>> from minigrad.network import Layer
    >>> x, y = np.array([[2.0, 1.0], [0.0, 5.0]]), np.array([0, 0])
    >>> network = Layer(relu_forward, relu_backward)
    >>> evaluate(network, (x, y), lambda scores, y: (scores.mean(), None), accuracy)
    (2.0, 0.5)
    """
    x, y = data
    with _in_mode(network, "test"):
        scores = network.forward(x)
    value, _ = loss(scores, y)
    return float(value), None if accuracy is None else float(accuracy(scores, y))


@contextmanager
def _in_mode(network: Network, mode: str) -> Iterator[None]:
    before, network.mode = network.mode, mode
    try:
        yield
    finally:
        network.mode = before


def accuracy(scores: Array, y: Array) -> float:
    """Share of the rows whose largest score is that of the right class.

    Parameters
    ----------
    scores : ndarray, shape (..., C)
        Scores, or probabilities, of C classes.
    y : ndarray of int, shape (...)
        The right classes.

    Returns
    -------
    share : float

    Raises
    ------
    ValueError
        If the shapes do not fit together, or there is no row.

    Examples
    --------
    >>> accuracy(np.array([[2.0, 1.0], [0.0, 5.0], [3.0, 2.0]]), np.array([0, 1, 1]))
    0.6666666666666666
    """
    scores, y = np.asarray(scores), np.asarray(y)
    if scores.shape[:-1] != y.shape or not y.size:
        raise ValueError(
            f"accuracy: scores has shape {scores.shape} but y has shape {y.shape}; one label for each row of scores"
        )
    return float(np.mean(scores.argmax(axis=-1) == y))
