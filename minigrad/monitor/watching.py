"""The monitor on a network of this library: what each layer returns, without the network knowing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.monitor.gradient_monitor import INPUT, GradientMonitor
from minigrad.network import Layer, Network
from minigrad.training import Step

__all__ = ["leaves", "outputs_of", "watch"]

Array = NDArray[Any]


def watch(network: Network, records: Iterable[Step], monitor: GradientMonitor) -> Iterator[Step]:
    """Record the training of a network while it happens.

    Parameters
    ----------
    network : Network
        The one that is trained.
    records : iterable of Step
        From `fit`, which has not begun yet.
    monitor : GradientMonitor
        Keeps the record.

    Returns
    -------
    records : iterator of Step
        The same ones.

    Examples
    --------
    >>> from minigrad.layers import affine_backward, affine_forward
    >>> from minigrad.losses import mse_loss
    >>> from minigrad.optimizers import sgd
    >>> from minigrad.training import fit
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> network = Layer(affine_forward, affine_backward, {"w": np.ones((1, 1)), "b": np.zeros(1)})
    >>> rng, monitor = np.random.default_rng(0), GradientMonitor(every=5)
    >>> run = fit(network, (x, 3 * x), mse_loss, sgd, steps=10, learning_rate=0.1, rng=rng)
    >>> for step in watch(network, run, monitor):
    ...     pass
    >>> [snapshot.step for snapshot in monitor.record.snapshots], len(monitor.record.losses)
    ([0, 5], 10)
    """
    parts = leaves(network)
    monitor.copies = False
    for name, part in parts.items():
        bounds = _bounds(part)
        if bounds:
            monitor.record.facts["bounds"].setdefault(name, list(bounds))
    iterator, number = iter(records), 0
    while True:
        due = monitor.due(number)
        if due or not number:
            monitor.before(number, network.params)
        seen: dict[str, Array] = {}
        times: dict[str, list[float]] = {}
        if due:
            with _listening(parts, seen, times):
                step = next(iterator, None)
        else:
            step = next(iterator, None)
        if step is None:
            return
        look = due or not math.isfinite(step.loss)
        if not look and not monitor.due(number + 1):  # most steps, which are to cost nothing
            monitor._note(step.loss, step.gradient_norm, step.accuracy, step.learning_rate)
            yield step
            number += 1
            continue
        monitor.after(
            step.step,
            network.params if look else {},
            network.grads,
            step.loss,
            seen,
            step.accuracy,
            step.learning_rate,
            gradient_norm=step.gradient_norm,
            state=network.state if look else None,
            through_time=times,
        )
        yield step
        number += 1


def leaves(network: Network, prefix: str = "") -> dict[str, Network]:
    """The layers of a network by name, in the order of the forward pass; a layer alone is called "layer"."""
    parts: dict[str, Network] = getattr(network, "parts", {})
    if not parts:
        return {prefix.removesuffix(".") or "layer": network}
    return {n: leaf for key, part in parts.items() for n, leaf in leaves(part, f"{prefix}{key}.").items()}


def outputs_of(network: Network, x: Array) -> dict[str, Array]:
    """What each layer of a network returns for a batch, in test mode; for the probe of a monitor."""
    seen: dict[str, Array] = {}
    mode, network.mode = network.mode, "test"
    try:
        with _listening(leaves(network), seen, {}):
            network.forward(x)
    finally:
        network.mode = mode
    return seen


@contextmanager
def _listening(
    parts: Mapping[str, Network], seen: dict[str, Array], times: dict[str, list[float]]
) -> Iterator[None]:
    """Note what each part returns, and the gradients that a recurrent one hands back, while this is open."""

    def forward(name: str, method: Callable[[Array], Array]) -> Callable[[Array], Array]:
        def call(x: Array) -> Array:
            if np.asarray(x).dtype.kind != "i":  # numbers of words have no size
                seen.setdefault(INPUT, x)
            seen[name] = out = method(x)
            return out

        return call

    def backward(name: str, method: Callable[[Array], Array]) -> Callable[[Array], Array]:
        def call(dout: Array) -> Array:
            dx = method(dout)
            if np.ndim(dx) == 3:  # (N, T, D)
                times[name] = np.sqrt(np.einsum("ntd,ntd->t", dx, dx)).tolist()
            return dx

        return call

    heard: list[Any] = list(parts.values())
    for name, part in parts.items():
        heard_part: Any = part
        heard_part.forward = forward(name, part.forward)
        if "Wh" in part.params:
            heard_part.backward = backward(name, part.backward)
    try:
        yield
    finally:
        for part in heard:  # the methods of the class are there again
            part.__dict__.pop("forward", None)
            part.__dict__.pop("backward", None)


def _bounds(part: Network) -> tuple[float, float] | None:
    """The ends of the range of an elementwise bounded function, found by asking it far out; None for all else.

    A recurrent layer is known by the name of its weights: what it hands on lies between -1 and 1.
    """
    if "Wh" in part.params:
        return -1.0, 1.0
    if not isinstance(part, Layer) or part.params or part.options:
        return None
    far = np.array([[-60.0, -40.0, 0.0, 40.0, 60.0]])
    try:
        with np.errstate(all="ignore"):
            out = np.asarray(part._forward(far)[0]).ravel()  # not part.forward: its cache is needed
    except Exception:  # somebody's own layer, which wants another shape
        return None
    if out.shape != (5,) or not np.isfinite(out).all():
        return None
    low, high = float(out[0]), float(out[-1])
    flat = abs(out[1] - low) < 1e-6 and abs(out[-2] - high) < 1e-6
    return (low, high) if flat and low < high and low < out[2] < high else None
