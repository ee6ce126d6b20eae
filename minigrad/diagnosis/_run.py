"""A record, as the rules ask for it: how far the run got, and what the layers looked like at the start."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from minigrad.diagnosis.finding import FAILURE, WARNING, Finding
from minigrad.monitor import INPUT, Record, Snapshot

# A run that has come this far from guessing to perfect is not ill because a number of it looks unusual.
WORKS = 0.9
STALLS = 0.75


class Run:
    """Questions to a record."""

    def __init__(self, record: Record):
        self.record = record
        self.data: dict[str, Any] = record.facts.get("data", {})
        shapes = record.facts.get("shapes", {})
        self.matrices = [name for name, shape in shapes.items() if len(shape) > 1]
        self.snapshots: list[Snapshot] = [s for s in record.snapshots if s.params]

    # -- how it went

    @cached_property
    def fitted(self) -> float:
        """How far training got: 0 is as good as a constant answer, 1 perfect; of the batches, in training mode."""
        losses = self.record.losses
        if not losses or not math.isfinite(losses[-1]):
            return 0.0
        last = max(1, len(losses) // 10)
        if self.accuracy is not None:
            guess = self.data.get("largest_share", 1 / self.data.get("classes", 2))
            return float(np.clip((self.accuracy - guess) / max(1 - guess, 1e-9), 0, 1))
        if "train_progress" in self.evaluation:  # of a regression; the loss may not measure it
            return self.evaluation["train_progress"]
        start = self.data.get("baseline") or np.mean(losses[:3])
        if not math.isfinite(start) or start <= 0:
            return 0.0
        return float(np.clip(1 - np.median(losses[-last:]) / start, 0, 1))

    @cached_property
    def accuracy(self) -> float | None:
        """Mean accuracy of the batches of the last tenth of the steps, if it was recorded."""
        accuracies = self.record.accuracies
        known = [a for a in accuracies[-max(1, len(accuracies) // 10) :] if a is not None]
        return float(np.mean(known)) if known else None

    @cached_property
    def inputs(self) -> dict[str, float]:
        """Size of the inputs, as of `describe_data`, from the first snapshot."""
        found = self.snapshots[0].activations.get(INPUT) if self.snapshots else None
        if found is None:
            return {}
        return {"rms": math.hypot(found["mean"], found["std"]), "low": -found["peak"], "high": found["peak"]}

    @cached_property
    def evaluation(self) -> dict[str, float]:
        """The last one that was made."""
        return next((s.evaluation for s in reversed(self.record.snapshots) if s.evaluation), {})

    @property
    def held_out(self) -> float | None:
        """How far it gets on data that it was not trained on."""
        return self.evaluation.get("progress")

    @property
    def works(self) -> bool:
        """Whether it does what it is for."""
        held_out = self.held_out
        return self.fitted >= WORKS and (held_out is None or held_out >= WORKS * self.fitted)

    @property
    def stalls(self) -> bool:
        """Whether training itself does not get there."""
        return self.fitted < STALLS

    @property
    def diverges(self) -> bool:
        """Whether the loss ended far above where it began, or nowhere."""
        losses = self.record.losses
        return bool(losses) and (
            not math.isfinite(losses[-1]) or self.last_loss > 3 * max(self.first_loss, 1e-12)
        )

    @cached_property
    def first_loss(self) -> float:
        """The loss before anything was learnt."""
        return self.record.losses[0] if self.record.losses else math.nan

    @cached_property
    def last_loss(self) -> float:
        """The loss at the end, over a tenth of the steps."""
        losses = self.record.losses
        return float(np.median(losses[-max(1, len(losses) // 10) :])) if losses else math.nan

    @cached_property
    def still_falls(self) -> float:
        """How much of the loss that was left half way went in the second half."""
        losses = self.record.losses
        tenth = max(1, len(losses) // 10)
        half = float(np.median(losses[len(losses) // 2 :][:tenth])) if losses else math.nan
        return (half - self.last_loss) / abs(half) if half and math.isfinite(half) else 0.0

    # -- layers

    def stat(self, name: str, which: str) -> list[tuple[int, float]]:
        """One number of one parameter at all snapshots that have it."""
        return [(s.step, s.params[name][which]) for s in self.snapshots if which in s.params.get(name, {})]

    def over_matrices(self, snapshot: Snapshot, which: str) -> list[float]:
        """One number of all weight matrices at a snapshot."""
        found = [snapshot.params.get(name, {}).get(which, math.nan) for name in self.matrices]
        return [value for value in found if not math.isnan(value)]

    def typical(self, which: str, first: int | None = None) -> float:
        """Median of a number over the weight matrices and the first so many snapshots."""
        values = [v for s in self.snapshots[:first] for v in self.over_matrices(s, which) if math.isfinite(v)]
        return float(np.median(values)) if values else math.nan

    @cached_property
    def moved(self) -> float:
        """How far the weights that went furthest are from where they began, relative to their size then."""
        moved = next(filter(None, (self.over_matrices(s, "moved") for s in reversed(self.snapshots))), [])
        return max((v for v in moved if math.isfinite(v)), default=math.nan)

    @cached_property
    def hidden(self) -> list[str]:
        """Outputs that are not the last one, in the order of the forward pass."""
        names = list(self.snapshots[0].activations) if self.snapshots else []
        return [name for name in names[:-1] if name != INPUT]

    def size(self, snapshot: Snapshot, name: str) -> float:
        """Root mean square of an output."""
        found = snapshot.activations[name]
        return math.hypot(found["mean"], found["std"])

    def layer_of(self, parameter: str) -> str:
        """The layer that a parameter belongs to."""
        return parameter.rpartition(".")[0] or parameter

    def bounded(self, name: str) -> bool:
        """Whether an output lies in a bounded range."""
        return name in self.record.facts.get("bounds", {})


def judged(finding: Finding, run: Run) -> Finding:
    """What a check found before training, in the light of how training went."""
    soft = {
        "loss summed over the batch": run.stalls or run.diverges,
        "no non-linearity": run.stalls,
        "initial weights too large": run.stalls or run.diverges,
        "inputs not standardized": not run.works,
        "constant feature": not run.works,
        "symmetric weights": not run.works,
        "loss not finite for large scores": not all(map(math.isfinite, run.record.losses)),
        "imbalanced classes": run.held_out is not None and run.held_out < WORKS,
        "dropout too strong": run.stalls,
    }
    if finding.cause in soft:
        return replace(finding, level=FAILURE if soft[finding.cause] else WARNING)
    return finding
