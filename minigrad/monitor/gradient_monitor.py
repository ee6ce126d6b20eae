"""What to record of a step, from named arrays; nothing here knows of networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minigrad.activity import count_dead_relus, saturated_fraction
from minigrad.clipping import clip_grad_norm
from minigrad.monitor._sizes import dot, is_symmetric, norm_of, norm_of_all, over
from minigrad.monitor.record import Numbers, Record, Snapshot, as_json

__all__ = ["INPUT", "GradientMonitor"]

Array = NDArray[Any]
Arrays = Mapping[str, Array]

INPUT = "input"  # the name that what goes into a network has among its activations
PROBE_EVERY = (
    100  # steps between two looks at the whole probe data: each costs as much as some steps of training
)
ROWS = 32  # of a batch that the numbers about activations are taken from; more cost more and say the same
BATCHED = 2  # axes that outputs of many examples have, and weights; of a bias, only the norms are taken


class GradientMonitor:
    """Record a run from named arrays.

    Parameters
    ----------
    every : int
        Steps from one snapshot to the next. Loss and gradient norm are kept at each step.
    probe : callable, optional
        Returns outputs of layers by name, over as much data as can be had: whether a unit is dead is a question to the
        whole data set, not to a batch. Asked before the update, at the first step and then ever more rarely, down to
        every hundred steps.
    stream : text file, optional
        Each snapshot is written to it as one line of JSON, as soon as it is there; `read_record` reads them.
    bounds : mapping, optional
        The ends of the range of bounded activations: ``{"sigmoid1": (0, 1)}``. `watch` finds them itself.

    Attributes
    ----------
    record : Record
    copies : bool
        Whether parameters and gradients are copied where they have to be kept. They must be, unless they are replaced
        at each step and never written into, as by `fit`; `watch` knows.

    Raises
    ------
    ValueError
        If `every` is less than 1.

    Examples
    --------
    >>> monitor = GradientMonitor(every=1)
    >>> w = np.array([3.0, 4.0])
    >>> for step in range(2):
    ...     monitor.before(step, {"w": w})
    ...     loss, dw = 0.5 * (w**2).sum(), w
    ...     w = w - 0.1 * dw
    ...     monitor.after(step, {"w": w}, {"w": dw}, loss)
    >>> [round(snapshot.params["w"]["ratio"], 3) for snapshot in monitor.record.snapshots]
    [0.1, 0.1]
    """

    def __init__(
        self,
        every: int = 10,
        probe: Callable[[], Arrays] | None = None,
        stream: IO[str] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ):
        if every < 1:
            raise ValueError(f"GradientMonitor: every must be at least 1, not {every}")
        self.every, self.probe, self.stream = every, probe, stream
        self.copies = True
        self.record = Record(
            facts={"every": every, "bounds": {n: list(b) for n, b in (bounds or {}).items()}}
        )
        self._before: dict[str, Array] = {}
        self._first: dict[str, Array] = {}
        self._first_state: dict[str, Array] = {}
        self._last_grads: dict[str, Array] = {}
        self._probed = self._looked = -math.inf
        self._far = True
        self._probe_now: dict[str, Numbers] = {}
        self._written = 0  # steps whose loss is in the stream

    def due(self, step: int) -> bool:
        """Whether the step will be recorded, as far as one can say before its loss is known."""
        return step % self.every == 0

    def before(self, step: int, params: Arrays) -> None:
        """Take the parameters before the update.

        Parameters
        ----------
        step : int
        params : mapping of str to ndarray
            Copied where they will be needed, so an update may be made in place.
        """
        keep = np.array if self.copies else np.asarray
        if not self._first:
            self._first = {name: keep(w) for name, w in params.items()}
            self.record.facts["shapes"] = {name: list(w.shape) for name, w in self._first.items()}
            self.record.facts["symmetric"] = [
                name
                for k, (name, w) in enumerate(self._first.items())
                if is_symmetric(w) and (w.any() or not k)
            ]  # zeros further up are a choice: the branch of a residual block may start with them
        if self.due(step):
            self._before = {name: keep(w) for name, w in params.items()}
            with np.errstate(all="ignore"):
                self._probe_now = self._probe(step)

    def after(
        self,
        step: int,
        params: Arrays,
        grads: Arrays,
        loss: float,
        activations: Arrays | None = None,
        accuracy: float | None = None,
        learning_rate: float | None = None,
        evaluation: Mapping[str, float] | None = None,
        *,
        gradient_norm: float | None = None,
        state: Arrays | None = None,
        through_time: Mapping[str, Iterable[float]] | None = None,
    ) -> None:
        """Take what the step made, and record it if it is due or its loss is not finite.

        Parameters
        ----------
        step : int
        params, grads : mapping of str to ndarray
            Parameters after the update, and the gradients that it was made of.
        loss : float
            Before the update.
        activations : mapping of str to ndarray, optional
            Outputs of the layers, in the order of the forward pass; examples along the first axis. What goes in may
            come first, under the name "input".
        accuracy, learning_rate : float, optional
        evaluation : mapping of str to float, optional
            What was measured in test mode, if it was.
        gradient_norm : float, optional
            Of all gradients together, if it is known already.
        state : mapping of str to ndarray, optional
            Running averages and the like.
        through_time : mapping of str to sequence of float, optional
            For each recurrent layer, the norm of the gradient of its input at each step of the sequence.
        """
        loss = float(loss)
        record = self.record
        norm = norm_of_all(grads) if gradient_norm is None else float(gradient_norm)
        self._note(loss, norm, accuracy, learning_rate)
        broken = not math.isfinite(loss) and math.isfinite(
            record.losses[-2] if len(record.losses) > 1 else 0.0
        )
        if state and not self._first_state:
            self._first_state = {name: np.array(array) for name, array in state.items()}
        look = self.due(step) or broken or evaluation
        if not look and not self.due(step + 1):
            self._before = {}
            return  # most steps: a few numbers, and nothing else
        if activations and "batch" not in record.facts:
            record.facts["batch"] = len(next(iter(activations.values())))
        if look:
            snapshot = Snapshot(step, loss, learning_rate)
            self._far = step >= self._looked + self._pause(self._looked)
            if self._far:
                self._looked = step
            with np.errstate(all="ignore"):  # a run that overflows is what this is for
                snapshot.params = {n: self._param(n, w, grads.get(n)) for n, w in params.items()}
                snapshot.activations = {n: self._activation(n, a) for n, a in (activations or {}).items()}
                snapshot.probe = self._probe_now
                snapshot.state = {n: norm_of(a - self._first_state[n]) for n, a in (state or {}).items()}
            snapshot.through_time = {
                n: [float(v) for v in norms] for n, norms in (through_time or {}).items()
            }
            snapshot.evaluation = {name: float(value) for name, value in (evaluation or {}).items()}
            if broken or not _all_finite(snapshot):
                snapshot.first_nonfinite = _first_nonfinite(activations or {}, loss, grads, params)
            record.snapshots.append(snapshot)
            self._write(snapshot)
        self._before, self._probe_now = {}, {}
        # The gradient of the step before a snapshot, to tell whether the next one turns against it.
        keep = np.array if self.copies else np.asarray
        self._last_grads = {n: keep(g) for n, g in grads.items()} if self.due(step + 1) else {}

    def _note(self, loss: float, norm: float, accuracy: float | None, learning_rate: float | None) -> None:
        """What is kept of each step."""
        self.record.losses.append(loss)
        self.record.gradient_norms.append(norm)
        self.record.accuracies.append(None if accuracy is None else float(accuracy))
        self.record.learning_rates.append(None if learning_rate is None else float(learning_rate))

    def evaluate(self, measured: Mapping[str, float]) -> None:
        """Add what was measured in test mode after the last step."""
        step = len(self.record.losses)
        loss = self.record.losses[-1] if self.record.losses else math.nan
        snapshot = Snapshot(step, loss, evaluation={name: float(value) for name, value in measured.items()})
        self.record.snapshots.append(snapshot)
        self._write(snapshot)

    def clip(self, max_norm: float) -> Callable[[dict[str, Array]], tuple[dict[str, Array], float]]:
        """Return `clip_grad_norm` with this limit, which notes in the record when it clipped, for `fit`."""

        def clip(grads: dict[str, Array]) -> tuple[dict[str, Array], float]:
            clipped, norm = clip_grad_norm(grads, max_norm)
            if norm > max_norm:
                self.record.clipped.append(norm)
            return clipped, norm

        return clip

    def _param(self, name: str, after: Array, gradient: Array | None) -> Numbers:
        after = np.asarray(after)
        found: Numbers = {"weight": norm_of(after)}
        first = self._first.get(name)
        if first is not None and self._far:
            found["moved"] = over(norm_of(after - first), norm_of(first))
        g = None if gradient is None else np.asarray(gradient)
        if g is not None:
            found["gradient"] = norm = norm_of(g)
            found["rms"] = norm / math.sqrt(max(g.size, 1))
            last = self._last_grads.get(name)
            if last is not None and g.ndim >= BATCHED:
                found["turn"] = over(dot(g, last), norm * norm_of(last))
        before = self._before.get(name)
        if before is not None:
            update = after - before
            found["weight"], found["update"] = norm_of(before), norm_of(update)
            found["ratio"] = over(found["update"], found["weight"])
            if g is not None and g.ndim >= BATCHED:
                found["shrink"] = over(-dot(update, before), found["update"] * found["weight"])
                found["along"] = over(-dot(update, g), found["update"] * found["gradient"])
        return found

    def _activation(self, name: str, out: Array) -> Numbers:
        out = np.asarray(out)
        flat = (out[:ROWS] if out.ndim >= BATCHED else out).ravel()
        n = max(flat.size, 1)
        mean = float(np.add.reduce(flat)) / n
        found = {
            "mean": mean,
            "std": math.sqrt(max(0.0, dot(flat, flat) / n - mean * mean))
            if math.isfinite(mean)
            else math.nan,
            "zeros": 1 - int(np.count_nonzero(flat)) / n,
            "peak": float(max(flat.max(initial=0), -flat.min(initial=0))),
        }
        bounds = self.record.facts["bounds"].get(name)
        if bounds and flat.size and found["peak"] <= max(map(abs, bounds)):
            found["saturated"] = saturated_fraction(flat, *bounds)
        return found

    def _probe(self, step: int) -> dict[str, Numbers]:
        if self.probe is None or step < self._probed + self._pause(self._probed):
            return {}
        self._probed = step
        outputs = {n: np.asarray(a) for n, a in self.probe().items() if np.ndim(a) >= BATCHED and len(a)}
        dead = count_dead_relus(outputs)
        return {
            name: {
                "dead": dead[name] / max(1, out[0].size),
                "constant": float(np.mean(np.ptp(out, axis=0) <= 1e-6 * np.abs(out).max(axis=0))),
            }
            for name, out in outputs.items()
        }

    def _pause(self, last: float) -> float:
        """Steps until what costs more is looked at again: more and more of them."""
        return min(PROBE_EVERY, max(self.every, last))

    def _write(self, snapshot: Snapshot) -> None:
        if self.stream is None:
            return
        new = slice(self._written, None)
        line = asdict(snapshot) | {
            "losses": self.record.losses[new],
            "gradient_norms": self.record.gradient_norms[new],
            "accuracies": self.record.accuracies[new],
            "learning_rates": self.record.learning_rates[new],
            "clipped": self.record.clipped,
        }
        if not self._written:
            line["facts"] = self.record.facts
        self.stream.write(as_json(line) + "\n")
        self._written = len(self.record.losses)


def _first_nonfinite(activations: Arrays, loss: float, grads: Arrays, params: Arrays) -> str | None:
    for name, array in activations.items():
        if not _is_finite(array):
            return name
    if not math.isfinite(loss):
        return "loss"
    for name in reversed(list(grads)):
        if not _is_finite(grads[name]):
            return f"gradient of {name}"
    return next((f"parameter {name}" for name, array in params.items() if not _is_finite(array)), None)


def _all_finite(snapshot: Snapshot) -> bool:
    """Whether the numbers of a snapshot show that all arrays are finite: the norm of one that is not, is not."""
    norms = [
        v
        for found in snapshot.params.values()
        for k, v in found.items()
        if k in ("weight", "gradient", "update")
    ]
    means = [found["mean"] for found in snapshot.activations.values()]
    return math.isfinite(sum(norms) + sum(means))


def _is_finite(array: Array) -> bool:
    with np.errstate(all="ignore"):
        total = float(np.add.reduce(np.asarray(array), axis=None).real)
    return math.isfinite(total) or bool(np.isfinite(array).all())  # a sum of large numbers may overflow
