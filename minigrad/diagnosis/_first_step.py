"""Rules about the first step: what the initial weights make of activations and gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.diagnosis._run import Run
from minigrad.diagnosis.finding import FAILURE, WARNING, Finding
from minigrad.diagnosis.thresholds import THRESHOLDS
from minigrad.monitor import INPUT


def dead(run: Run) -> Iterator[Finding]:
    start: dict[str, float] = {}
    for snapshot in run.snapshots:
        for name, found in snapshot.probe.items():
            if name not in run.hidden:
                continue
            dead, first = found["dead"], start.setdefault(name, found["dead"])
            if snapshot is run.snapshots[0] and dead >= THRESHOLDS["dead"]:
                ill = run.stalls or dead > 0.95
                yield Finding(
                    "dead units at the start",
                    f"{dead:.0%} of the units of {name} are zero for every example before the first step.",
                    layer=name,
                    remedy={"bias": 0.0, "initialization": "he"},
                    confidence=0.95,
                    level=FAILURE if ill and not run.works else WARNING,
                )
                return
            if dead - first >= THRESHOLDS["killed"]:
                yield Finding(
                    "units killed by an update",
                    f"{dead:.0%} of the units of {name} are zero for every example; at the start {first:.0%} were.",
                    snapshot.step,
                    name,
                    remedy={"scale_learning_rate": 0.1, "clip_norm": 1.0},
                    confidence=0.8,
                    level=FAILURE if run.stalls or (dead > 0.95 and not run.works) else WARNING,
                )
                return


def initial_size(run: Run) -> Iterator[Finding]:
    if not run.snapshots or not run.hidden:
        return
    first = run.snapshots[0]
    inputs = max(run.inputs.get("rms", run.data.get("rms", 1.0)), 1e-12)
    names = [name for name in first.activations if name != INPUT]
    silent = next(
        (k for k, name in enumerate(names) if first.probe.get(name, {}).get("dead", 0) > 0.95), None
    )
    if silent is not None:  # what follows has no size, and what its units were handed is why they are dead
        names = names[: max(0, silent - 1)]
    sizes = {name: run.size(first, name) for name in names}
    large = next((n for n, size in sizes.items() if not size <= THRESHOLDS["grown"] * max(inputs, 1.0)), None)
    filled = next(
        (n for n in run.hidden if first.activations[n].get("saturated", 0) > THRESHOLDS["saturated"]), None
    )
    if (run.stalls or run.diverges or not run.works) and large and inputs < 5:
        yield Finding(
            "initial weights too large",
            f"Before the first step the output of {large} has a root mean square of {sizes[large]:.3g}, with inputs of "
            f"{inputs:.3g}.",
            layer=large,
            remedy={"initialization": "he"},
            confidence=0.85,
        )
    elif filled and not run.works:
        share = first.activations[filled]["saturated"]
        yield Finding(
            "saturated activations",
            f"Before the first step {share:.0%} of the outputs of {filled} are at the ends of its range.",
            layer=filled,
            remedy={"initialization": "he"},
            confidence=0.85,
        )
    hidden = [n for n in run.hidden if sizes.get(n, 0) > 0]
    if run.stalls and len(hidden) > 2:
        begin, end = hidden[0], hidden[-1]
        if sizes[end] / sizes[begin] < THRESHOLDS["shrunk"]:
            yield Finding(
                "initial weights too small",
                f"Before the first step the outputs shrink from {sizes[begin]:.3g} in {begin} to {sizes[end]:.3g} in "
                f"{end}.",
                layer=end,
                remedy={"initialization": "he"},
                confidence=0.9,
            )


def vanishing(run: Run) -> Iterator[Finding]:
    if not run.stalls or len(run.matrices) < 3:
        return
    first, last = run.matrices[0], run.matrices[-1]
    for snapshot in run.snapshots[:3]:
        above, below = (snapshot.params.get(name, {}).get("rms", 0.0) for name in (last, first))
        if above and below / above < THRESHOLDS["vanished"]:
            yield Finding(
                "vanishing gradient",
                f"Per element, the gradient of {first} is {below / above:.2g} times that of {last}.",
                snapshot.step,
                run.layer_of(first),
                remedy={"activation": "relu", "initialization": "he", "normalization": "batch"},
                confidence=0.85,
            )
            return


def through_time(run: Run) -> Iterator[Finding]:
    if run.works:
        return
    for snapshot in run.snapshots[:3]:
        for name, norms in snapshot.through_time.items():
            if len(norms) < 5 or not norms[-1]:
                continue
            quarter = max(1, len(norms) // 4)
            ratio = float(np.median(norms[:quarter])) / norms[-1]
            if ratio < THRESHOLDS["vanished in time"]:
                yield Finding(
                    "vanishing through time",
                    f"The gradient reaches the first steps of a sequence with {ratio:.2g} of what the last one gets.",
                    snapshot.step,
                    name,
                    remedy={"recurrent_radius": 1.0},
                    confidence=0.85,
                )
                return
            if ratio > THRESHOLDS["exploded in time"]:
                yield Finding(
                    "exploding through time",
                    f"The gradient of the first steps of a sequence is {ratio:.2g} times that of the last one.",
                    snapshot.step,
                    name,
                    remedy={"recurrent_radius": 1.0, "clip_norm": 1.0},
                    confidence=0.85,
                )
                return
