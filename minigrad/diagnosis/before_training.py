"""Checks before the first step: the data, the loss and the network, each on its own.

What these find is proved and not concluded: each asks a question with a known answer. The loss of perfect scores must
be small; twice the same batch must have the same loss; the same row must get the same scores again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.diagnosis.data import check_data, describe_data, not_finite, out_of_reach, symmetric
from minigrad.diagnosis.evaluation import ALONE, REPEAT, check_agreement
from minigrad.diagnosis.finding import WARNING, Finding, arranged
from minigrad.diagnosis.losses import check_loss
from minigrad.diagnosis.thresholds import THRESHOLDS
from minigrad.gradcheck import check_network, gradient_check
from minigrad.gradcheck.layerwise import NetworkReport
from minigrad.monitor import INPUT, GradientMonitor, leaves, outputs_of, watch
from minigrad.network import Network
from minigrad.optimizers import adam
from minigrad.training import Loss, fit

__all__ = ["preflight"]

Array = NDArray[Any]
Batch = tuple[Array, Array]

FEW = 8  # rows for checks that cost many passes
OVERFIT_STEPS = 150
# Half of the units dropped in each of four layers make noise about 30 times the signal, and such a network can learn.
NOISE_ROWS, NOISE_PASSES, DROWNED = 16, 64, 60.0


def preflight(
    network: Network, data: Batch, loss: Loss, rng: np.random.Generator, overfit: bool = True
) -> list[Finding]:
    """Check data, loss and network before training.

    Parameters
    ----------
    network : Network
        Parameters and state are as they were when this returns.
    data : (x, y)
        Training data.
    loss : callable
        ``loss(scores, y) -> loss, dscores``.
    rng : Generator
        Draws rows and directions.
    overfit : bool
        Also train on eight examples, which any network that works learns by heart.

    Returns
    -------
    list of Finding
        Failures first; empty where nothing is wrong.

    Raises
    ------
    ValueError
        If x and y have different lengths, or are empty.

    Examples
    --------
    >>> from minigrad.datasets import blobs
    >>> from minigrad.layers import affine_backward, affine_forward
    >>> from minigrad.losses import softmax_loss
    >>> from minigrad.network import Layer
    >>> rng = np.random.default_rng(0)
    >>> layer = Layer(affine_forward, affine_backward, {"w": rng.normal(size=(2, 3)), "b": np.zeros(3)})
    >>> preflight(layer, blobs(90, rng), softmax_loss, rng)
    []
    """
    x, y = np.asarray(data[0]), np.asarray(data[1])
    facts = describe_data(x, y)
    findings = check_data(facts)
    rows = np.sort(rng.permutation(len(x))[: min(FEW, len(x))])
    few = x[rows], y[rows]
    params, state, mode = network.params, network.state, network.mode
    with np.errstate(all="ignore"):
        try:
            if not isinstance(network.grads, dict):  # a student's own class may return anything
                raise TypeError("preflight: network.grads must be a dict")
            findings += not_finite({name: float(np.abs(w).max(initial=0)) for name, w in params.items()})
            network.mode = "train"
            outputs = network.forward(few[0]).shape[1:]
            findings += check_loss(loss, y, outputs, rng)
            findings += _check_symmetry(network)
            findings += _check_noise(network, x, rng)
            findings += _check_linear(network, few[0], rng)
            findings += _check_range(network, facts)
            findings += _check_initial_loss(network, (x, y), loss, rng)
            findings += _check_gradients(network, few, loss, rng)
            findings += _check_test_mode(network, few[0])
            if overfit:
                findings += _check_overfit(network, few, loss, rng)
        finally:
            network.mode = mode
            network._set_params(params)
            network._set_state(state)
    return arranged(findings)


def _check_symmetry(network: Network) -> list[Finding]:
    monitor = GradientMonitor()
    monitor.before(0, network.params)
    return symmetric(monitor.record.facts)


def _check_noise(network: Network, x: Array, rng: np.random.Generator) -> list[Finding]:
    """How much of the scores is drawn anew at each pass, against what the inputs make of them."""
    rows = np.sort(rng.permutation(len(x))[:NOISE_ROWS])
    if len(rows) < FEW or not _is_random(network, x[rows]):
        return []
    passes = np.stack([network.forward(x[rows]) for _ in range(NOISE_PASSES)])
    noise = float(passes.var(axis=0, ddof=1).mean())
    signal = float(passes.mean(axis=0).var(axis=0, ddof=1).mean()) - noise / NOISE_PASSES
    if not noise > DROWNED * max(signal, 0.0):
        return []
    return [
        Finding(
            "dropout too strong",
            f"From one pass to the next the scores of a row vary {noise / max(signal, 1e-300):.3g} times as much as "
            f"the scores of different rows do.",
            layer="network",
            remedy={"dropout_keep": 0.8},
            confidence=0.85,
            level=WARNING,  # a deep network may learn all the same
        )
    ]


def _check_linear(network: Network, x: Array, rng: np.random.Generator) -> list[Finding]:
    """An affine map keeps the middle between two points in the middle, and nothing else does that everywhere."""
    matrices = [name for name, w in network.params.items() if w.ndim == 2]
    if len(matrices) < 2 or x.dtype.kind != "f":
        return []
    mode, network.mode = network.mode, "test"
    a, b = 3 * rng.normal(size=x.shape).astype(x.dtype), 3 * rng.normal(size=x.shape).astype(x.dtype)
    ends = network.forward(a), network.forward(b)
    middle = network.forward((a + b) / 2)
    network.mode = mode
    spread = float(np.abs(ends[0] - ends[1]).max())
    bent = float(np.abs(middle - (ends[0] + ends[1]) / 2).max()) / spread if spread else np.inf
    rounding = 1e-3 if x.dtype == np.float32 else 1e-9
    if not bent < rounding:
        return []
    return [
        Finding(
            "no non-linearity",
            f"The {len(matrices)} layers together are one affine map: half way between two inputs, the scores are half "
            f"way between theirs.",
            layer="network",
            remedy={"activation": "relu"},
            confidence=0.95,
            level=WARNING,  # some tasks need no more
        )
    ]


def _check_range(network: Network, facts: dict[str, Any]) -> list[Finding]:
    monitor = GradientMonitor()
    for _ in watch(network, [], monitor):
        pass
    last = list(leaves(network))[-1]
    return out_of_reach(monitor.record.facts["bounds"].get(last), facts, last)


def _check_initial_loss(network: Network, data: Batch, loss: Loss, rng: np.random.Generator) -> list[Finding]:
    """For a softmax, random scores of variance v cost about v / 2 on top of ln C, and no more."""
    x, y = data
    if y.dtype.kind not in "iub" or y.ndim != 1:
        return []
    rows = rng.permutation(len(x))[:200]
    network.mode = "train"
    scores = network.forward(x[rows])
    value = float(loss(scores, y[rows])[0])
    if scores.ndim != 2 or not np.isclose(
        float(loss(0 * scores, y[rows])[0]), np.log(scores.shape[1]), rtol=1e-3
    ):
        return []
    variance = float(scores.var(axis=1).mean())
    expected = float(np.log(scores.shape[1]) + variance / 2)
    if variance < 25 and value < 2 * expected:
        return []
    return [
        Finding(
            "initial weights too large",
            f"The loss starts at {value:.3g}; ln {scores.shape[1]} is {np.log(scores.shape[1]):.3g}, and the first "
            f"scores have a variance of {variance:.3g} about their mean, where 1 is usual.",
            layer=_first_large(network, x[rows]),
            remedy={"initialization": "he"},
            confidence=0.7,
            level=WARNING,
        )
    ]


def _first_large(network: Network, x: Array) -> str:
    """The first layer whose output is far larger than the inputs; if there is none, the last."""
    inputs = float(np.sqrt(np.mean(np.square(x)))) if x.dtype.kind == "f" else 1.0
    for name, out in outputs_of(network, x).items():
        size = float(np.sqrt(np.mean(np.square(out))))
        if name != INPUT and not size <= THRESHOLDS["grown"] * max(inputs, 1.0):
            return name
    return list(leaves(network))[-1]


def _check_gradients(network: Network, few: Batch, loss: Loss, rng: np.random.Generator) -> list[Finding]:
    network.mode = "train"
    if _is_random(network, few[0]):  # dropout: another function at each call has no gradient
        network.mode = "test"
    scores: Any = network.forward(few[0])
    value, dscores = loss(scores, few[1])
    if not (np.isfinite(value) and np.isfinite(dscores).all()):
        return []  # there is no gradient to be right or wrong
    if _adds_up(network, few, loss):
        return [
            Finding(
                "gradients accumulate",
                "A second backward pass adds to the gradients of the first.",
                layer="network",
                remedy={"zero_gradients": True},
                confidence=0.97,
            )
        ]
    of_loss = gradient_check(
        lambda at: loss(at["scores"], few[1])[0], {"scores": scores}, {"scores": dscores}, rng
    )
    if of_loss.verdict == "wrong":
        layer, tensor = "loss", of_loss.wrong[0]
    else:
        report: NetworkReport = check_network(network, *few, loss, rng)
        if report.culprit is None or report.finding is None:
            return []  # where every part is right by itself, so is the whole, and its measurement is too coarse
        layer, tensor = report.culprit, report.finding
    return [
        Finding(
            "wrong gradient",
            f"The gradient does not agree with the measured one; {tensor}",
            layer=layer,
            remedy={"repair_backward": layer},
            confidence=0.99,
        )
    ]


def _adds_up(network: Network, few: Batch, loss: Loss) -> bool:
    """Whether gradients of a second pass contain those of the first."""
    norms = []
    for _ in range(3):
        network.backward_params(loss(network.forward(few[0]), few[1])[1])
        norms.append(sum(float(np.abs(g).sum()) for g in network.grads.values()))
    return (
        norms[0] > 0
        and norms[2] > 1.2 * norms[1] > 1.2 * norms[0]
        and norms[2] - norms[1] > 0.9 * (norms[1] - norms[0])
    )


def _is_random(network: Network, x: Array) -> bool:
    """Whether two passes in the mode that the network is in differ."""
    return not np.array_equal(network.forward(x), network.forward(x), equal_nan=True)


def _check_test_mode(network: Network, x: Array) -> list[Finding]:
    network.mode = "test"
    found = check_agreement(network.forward, x)
    if not (found["repeat"] > REPEAT or found["alone"] > ALONE):  # nor if they are not numbers
        return []
    return [
        Finding(
            "evaluation in training mode",
            f"In test mode, two passes over the same rows differ by {found['repeat']:.1%} of the spread of the scores, "
            f"and rows alone or among others by {found['alone']:.1%}.",
            layer="network",
            remedy={"evaluation_mode": "test"},
            confidence=0.9,
        )
    ]


def _check_overfit(network: Network, few: Batch, loss: Loss, rng: np.random.Generator) -> list[Finding]:
    network.mode = "train"
    params = network.params
    start = float(loss(network.forward(few[0]), few[1])[0])
    records = fit(
        network, few, loss, adam, steps=OVERFIT_STEPS, learning_rate=0.01, batch_size=len(few[0]), rng=rng
    )
    losses = [record.loss for record in records]
    network._set_params(params)
    if min(losses) < 0.5 * start or not np.isfinite(start):
        return []
    return [
        Finding(
            "not learning",
            f"Of {len(few[0])} examples alone, {OVERFIT_STEPS} steps of Adam bring the loss from {start:.3g} "
            f"to {losses[-1]:.3g} only; any network that works learns them by heart.",
            layer="network",
            confidence=0.6,
            level=WARNING,
        )
    ]
