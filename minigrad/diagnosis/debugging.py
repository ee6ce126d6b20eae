"""Training under observation: checks before it, a record of it, and what both say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minigrad.diagnosis.before_training import preflight
from minigrad.diagnosis.data import describe_data
from minigrad.diagnosis.evaluation import Predict, measure_evaluation
from minigrad.diagnosis.finding import Finding
from minigrad.diagnosis.rules import diagnose
from minigrad.monitor import GradientMonitor, Record, outputs_of, watch
from minigrad.network import Network
from minigrad.training import Clip, Loss, Optimizer, fit
from minigrad.training import accuracy as share_of_right

__all__ = ["Diagnosis", "debug_training"]

Array = NDArray[Any]
Batch = tuple[Array, Array]

PROBED = 256  # examples for which units are counted as dead or alive


@dataclass(frozen=True)
class Diagnosis:
    """What `debug_training` found; its text is meant to be read.

    Parameters
    ----------
    findings : list of Finding
    record : Record
        What was measured; `minigrad.diagnosis.draw` makes a figure of both.
    """

    findings: list[Finding]
    record: Record

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "nothing found"


def debug_training(
    network: Network,
    data: Batch,
    loss: Loss,
    optimizer: Optimizer,
    *,
    steps: int,
    learning_rate: float,
    rng: np.random.Generator,
    held_out: Batch | None = None,
    predict: Predict | None = None,
    batch_size: int = 32,
    schedule: Callable[[int, float], float] | None = None,
    clip: Clip | None = None,
    config: Mapping[str, Any] | None = None,
    every: int = 10,
    stream: IO[str] | None = None,
) -> Diagnosis:
    """Train a network, and say what is wrong with it.

    Parameters
    ----------
    network, data, loss, optimizer, steps, learning_rate, rng, batch_size, schedule, clip, config
        As for `fit`; `data` is (x, y).
    held_out : (x, y), optional
        Data that it is not trained on. Without them, nothing can be said about what was learnt by heart.
    predict : callable, optional
        ``predict(x) -> scores``, as your own evaluation computes them; by default the network in test mode.
    every : int
        Steps between two snapshots.
    stream : text file, optional
        Where the snapshots go.

    Returns
    -------
    Diagnosis

    Examples
    --------
    >>> from minigrad.datasets import blobs
    >>> from minigrad.layers import affine_backward, affine_forward
    >>> from minigrad.losses import softmax_loss
    >>> from minigrad.network import Layer
    >>> from minigrad.optimizers import sgd
    >>> rng = np.random.default_rng(0)
    >>> layer = Layer(affine_forward, affine_backward, {"w": rng.normal(size=(2, 3)), "b": np.zeros(3)})
    >>> found = debug_training(layer, blobs(90, rng), softmax_loss, sgd, steps=100, learning_rate=0.0, rng=rng)
    >>> [finding.cause for finding in found.findings]
    ['parameters not updated']
    """
    x, y = np.asarray(data[0]), np.asarray(data[1])
    before = preflight(network, (x, y), loss, rng)
    probed = x[:: max(1, len(x) // PROBED)][:PROBED]
    monitor = GradientMonitor(every, probe=lambda: outputs_of(network, probed), stream=stream)
    monitor.record.facts |= {
        "data": describe_data(x, y),
        "preflight": [asdict(finding) for finding in before],
    }
    classes = y.dtype.kind in "iub"
    with np.errstate(all="ignore"):
        run = fit(
            network,
            (x, y),
            loss,
            optimizer,
            steps=steps,
            learning_rate=learning_rate,
            rng=rng,
            batch_size=batch_size,
            schedule=schedule,
            clip=clip,
            config=config,
            accuracy=share_of_right if classes else None,
        )
        for _ in watch(network, run, monitor):
            pass

        def in_test_mode(rows: Array) -> Array:
            mode, network.mode = network.mode, "test"
            try:
                return network.forward(rows)
            finally:
                network.mode = mode

        monitor.evaluate(measure_evaluation(predict or in_test_mode, (x, y), held_out))
    return Diagnosis(diagnose(monitor.record), monitor.record)
