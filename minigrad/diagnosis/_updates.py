"""Rules about updates: which way they go, and how far."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigrad.diagnosis._run import WORKS, Run
from minigrad.diagnosis.finding import Finding
from minigrad.diagnosis.thresholds import THRESHOLDS


def not_updated(run: Run) -> Iterator[Finding]:
    if len(run.snapshots) < 2:
        return
    still = []
    for name in run.matrices:
        moved = run.stat(name, "moved")
        gradients = [g for _, g in run.stat(name, "gradient")]
        if moved and moved[-1][1] == 0 and any(g > 0 for g in gradients):
            still.append(name)
    if not still or run.works:
        return
    everywhere = len(still) == len(run.matrices)
    yield Finding(
        "parameters not updated",
        f"{'No weight' if everywhere else 'Nothing of ' + ', '.join(still)} moved in {len(run.record.losses)} steps, "
        f"though there are gradients.",
        layer=None if everywhere else run.layer_of(still[0]),
        remedy={"update": "all" if everywhere else still[0], "learning_rate": 0.01},
        confidence=0.97,
    )


def ascent(run: Run) -> Iterator[Finding]:
    along = run.typical("along", 1)  # of the first one, which no momentum has a share in
    if max(along, run.typical("along", 3)) < THRESHOLDS["against"]:
        yield Finding(
            "update against descent",
            f"The first updates have a cosine of {along:.2f} with the direction of descent, and the loss goes from "
            f"{run.first_loss:.3g} to {run.last_loss:.3g}.",
            remedy={"flip_update": True},
            confidence=0.97,
        )


def accumulated(run: Run) -> Iterator[Finding]:
    """A sum of all gradients so far hardly turns from step to step, and grows, wherever the loss goes."""
    norms = [v for v in run.record.gradient_norms[:60] if math.isfinite(v)]
    turns = [v for s in run.snapshots[1:] for v in run.over_matrices(s, "turn") if math.isfinite(v)]
    if run.fitted >= WORKS or len(turns) < 4 or len(norms) < 20 or not run.moved > THRESHOLDS["moved"]:
        return
    growth = max(norms) / max(norms[0], 1e-300)
    losses = run.record.losses
    rising = float(np.mean(np.diff([v for v in losses if math.isfinite(v)]) > 0))
    low, middle = (float(q) for q in np.quantile(turns, [0.2, 0.5]))
    grows, rises = growth > THRESHOLDS["accumulated growth"], rising > THRESHOLDS["accumulated rises"]
    steady = low > THRESHOLDS["accumulated turn"]
    mostly = middle > THRESHOLDS["accumulated turn"] and low > THRESHOLDS["accumulated least"]
    if (steady and (grows or rises)) or (mostly and grows and rises):
        yield Finding(
            "gradients accumulate",
            f"Gradients of successive steps have a cosine of {middle:.2f}, and their norm grows "
            f"{growth:.3g} times while the loss rises in {rising:.0%} of the steps: each is added to those before.",
            remedy={"zero_gradients": True},
            confidence=0.8,
        )


def rate(run: Run) -> Iterator[Finding]:
    if run.works:
        return
    limit = THRESHOLDS["ratio"] if run.stalls or run.diverges else 1.0
    lasting, violated = run.typical("ratio"), None
    jump = next((finding.step for finding in spike(run)), 0)  # what came before it did no harm
    for snapshot in run.snapshots:
        ratios = run.over_matrices(snapshot, "ratio")
        if ratios and max(ratios) > limit and snapshot.step >= jump:
            violated = snapshot.step
            break
    if violated is None and run.stalls and lasting > THRESHOLDS["lasting ratio"]:
        violated = run.snapshots[0].step
    if violated is None:
        return
    seen = next(s for s in run.snapshots if s.step == violated)
    ratio = max(run.over_matrices(seen, "ratio"))
    yield Finding(
        "learning rate too high",
        f"At step {violated} the update is {ratio:.2g} times as large as the weights, {lasting:.2g} at a typical step; "
        f"the loss goes from {run.first_loss:.3g} to {run.last_loss:.3g}.",
        violated,
        remedy={"scale_learning_rate": float(np.clip(0.01 / max(ratio, 1e-12), 1e-4, 0.3))},
        confidence=0.8,
    )


def spike(run: Run) -> Iterator[Finding]:
    rates = [rate for rate in run.record.learning_rates if rate is not None]
    if len(rates) < 10 or len(rates) != len(run.record.losses) or run.works:
        return
    usual = float(np.median(rates))
    step = int(np.argmax(rates))
    if rates[step] > THRESHOLDS["spike"] * usual > 0:
        yield Finding(
            "learning rate spike",
            f"The learning rate is {rates[step]:.3g} at step {step} and {usual:.3g} otherwise; the loss goes from "
            f"{run.record.losses[step]:.3g} to {run.record.losses[min(step + 1, len(rates) - 1)]:.3g}.",
            step,
            remedy={"constant_learning_rate": True},
            confidence=0.9,
        )


def dropped(run: Run) -> Iterator[Finding]:
    """Dropout, or noise, so strong that a network which knows cannot show it."""
    known = run.evaluation.get("train_progress")
    comparable = run.accuracy is not None and 0 < run.data.get("largest_share", 0.0) < 0.8
    if comparable and known is not None and run.stalls and known - run.fitted > THRESHOLDS["dropped"]:
        yield Finding(
            "over-regularized",
            f"In test mode it gets {known:.0%} of the way on the training data, in training mode {run.fitted:.0%}.",
            remedy={"dropout_keep": 0.8},
            confidence=0.7,
        )


def decay(run: Run) -> Iterator[Finding]:
    if not run.stalls or len(run.snapshots) < 3:
        return
    for snapshot in run.snapshots[1:]:
        kept, shrinking = [], []
        for name in run.matrices:
            now, start = snapshot.params.get(name, {}), run.snapshots[0].params.get(name, {})
            if start.get("weight") and "weight" in now:
                kept.append(now["weight"] / start["weight"])
                shrinking.append(run.snapshots[0].params[name].get("shrink", 0))
        if kept and np.median(kept) < THRESHOLDS["decayed"]:
            if max(shrinking) > THRESHOLDS["decay"]:
                yield Finding(
                    "over-regularized",
                    f"By step {snapshot.step} the weights have shrunk to {np.median(kept):.0%} of their size, and "
                    f"updates point against them with a cosine of {max(shrinking):.2f}.",
                    run.snapshots[0].step,
                    remedy={"weight_decay": 0.0},
                    confidence=0.85,
                )
            return


def slow(run: Run) -> Iterator[Finding]:
    if not run.stalls or len(run.snapshots) < 2 or not 0 < run.moved < math.inf:
        return
    gentle = run.still_falls > 0.02 and run.typical("ratio") < THRESHOLDS["gentle"]
    if run.moved > THRESHOLDS["moved"] and not (gentle and run.moved < THRESHOLDS["moved on"]):
        return
    ratio = max(run.over_matrices(run.snapshots[0], "ratio"), default=0.0)
    yield Finding(
        "learning rate too low",
        f"In {len(run.record.losses)} steps no weights got further than {run.moved:.2g} times their size, and the "
        f"loss went from {run.first_loss:.3g} to {run.last_loss:.3g}.",
        remedy={"scale_learning_rate": float(np.clip(0.02 / max(ratio, 1e-12), 3, 1000))},
        confidence=0.6,
    )


def nonfinite(run: Run) -> Iterator[Finding]:
    for snapshot in run.record.snapshots:
        where = snapshot.first_nonfinite
        if where is None:
            continue
        if where == "loss":
            scores = list(snapshot.activations.values())
            peak = f" Its scores go up to {scores[-1]['peak']:.3g}." if scores else ""
            yield Finding(
                "loss not finite for large scores",
                f"At step {snapshot.step} the loss is {snapshot.loss}, though every activation is finite.{peak}",
                snapshot.step,
                "loss",
                remedy={"loss": "softmax"},
                confidence=0.8,
            )
        else:
            yield Finding(
                "diverged",
                f"At step {snapshot.step} the first array that is not finite is {where}.",
                snapshot.step,
                where,
                confidence=0.5,
            )
        return
