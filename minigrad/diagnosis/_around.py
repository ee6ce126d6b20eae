"""Rules about what is around a network: data, labels, the loss, the evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minigrad.diagnosis._run import Run, judged
from minigrad.diagnosis.data import check_data, not_finite, out_of_reach, symmetric
from minigrad.diagnosis.evaluation import ALONE, REPEAT
from minigrad.diagnosis.finding import FAILURE, WARNING, Finding
from minigrad.diagnosis.thresholds import THRESHOLDS


def data(run: Run) -> Iterator[Finding]:
    found = check_data(run.data or run.inputs)
    found += symmetric(run.record.facts)
    if run.snapshots:
        found += not_finite(
            {name: each.get("weight", 0.0) for name, each in run.snapshots[0].params.items()},
        )
    if run.snapshots and run.snapshots[0].activations:
        last = list(run.snapshots[0].activations)[-1]
        found += out_of_reach(run.record.facts.get("bounds", {}).get(last), run.data, last)
    yield from (judged(finding, run) for finding in found)


def labels(run: Run) -> Iterator[Finding]:
    agreement, voted, chance = (run.data.get(name) for name in ("agreement", "voted", "chance"))
    if agreement is None or voted is None or chance is None or run.works or run.diverges:
        return
    if _imbalanced(run):
        return  # too few of the other classes to have neighbours
    above = max(agreement, voted) - chance
    limit = THRESHOLDS["no structure"] * (1 - chance)
    lost = run.held_out is not None and run.held_out < 0.5
    if above < limit and (lost or (run.held_out is None and run.stalls)):
        yield Finding(
            "labels do not follow from inputs",
            f"An example and its nearest neighbour agree in {agreement:.0%} of the cases, {chance:.0%} is chance; "
            f"training got {run.fitted:.0%} of the way, and {run.held_out or 0:.0%} on other data.",
            layer="data",
            remedy={"check_labels": True},
            confidence=0.85,
        )
    elif "classes" in run.data and voted - agreement > THRESHOLDS["noise"] and voted < 0.85:
        yield Finding(
            "noisy labels",
            f"The nearest neighbour has the label of an example in {agreement:.0%} of the cases, the majority of 15 "
            f"neighbours in {voted:.0%}: part of the labels is noise.",
            layer="data",
            remedy={"check_labels": True},
            confidence=0.75,
        )


def held_out(run: Run) -> Iterator[Finding]:
    """Whether what a run is judged by is what it was trained for."""
    if run.works or run.held_out is None or run.stalls:
        return
    shift, scale, known = (run.evaluation.get(name) for name in ("shift", "scale", "known"))
    agreement, chance = run.data.get("agreement"), run.data.get("chance", 0.0)
    what = None
    if (
        shift is not None
        and scale is not None
        and not (shift < THRESHOLDS["moved away"] and 1 / THRESHOLDS["spread"] < scale < THRESHOLDS["spread"])
    ):
        what = (
            f"The features of the held-out data are {shift:.2g} deviations away from those of the training data, and "
            f"spread {scale:.2g} times as far."
        )
    elif (
        known is not None
        and agreement is not None
        and agreement - chance > 0.3 * (1 - chance)
        and not _imbalanced(run)  # too few of the other classes to be anybody's neighbours
        and known - chance < THRESHOLDS["unknown"] * (agreement - chance)
    ):
        what = (
            f"Neighbours within the training data agree in {agreement:.0%} of the cases; a held-out example and "
            f"its nearest neighbour among them, in {known:.0%}."
        )
    if what:
        yield Finding(
            "held-out data differ",
            f"{what} Training got {run.fitted:.0%} of the way, and {run.held_out:.0%} on the held-out data.",
            layer="data",
            remedy={"same_preparation": True},
            confidence=0.85,
        )


def small_batch(run: Run) -> Iterator[Finding]:
    """Normalized over two examples, a feature is 1 for one and -1 for the other, whatever it was; over one, 0."""
    batch = run.record.facts.get("batch", 0)
    if run.works or not run.snapshots or not 1 <= batch <= 2:
        return
    first = run.snapshots[0]
    normalized = {run.layer_of(name) for name in first.state if "running" in name}
    for name in first.activations:
        size = run.size(first, name)
        if name in normalized and first.activations[name]["peak"] <= 1.01 * size:
            yield Finding(
                "batch too small to normalize",
                f"A batch has {batch} of the examples, and {name} normalizes over it: its outputs all have the size "
                f"{size:.3g}.",
                layer=name,
                remedy={"batch_size": 32},
                confidence=0.9,
            )
            return


def little_data(run: Run) -> Iterator[Finding]:
    examples, held_out = run.data.get("examples"), run.held_out
    if examples is None or held_out is None or run.fitted - held_out < THRESHOLDS["gap"] or run.fitted < 0.85:
        return
    few = examples < 20 * run.data.get("classes", 5)
    yield Finding(
        "too little data",
        f"Training got {run.fitted:.0%} of the way with {examples} examples, and {held_out:.0%} on other data.",
        layer="data",
        remedy={"more_data": True},
        confidence=0.8 if few else 0.4,
        level=FAILURE if few else WARNING,
    )


def loss(run: Run) -> Iterator[Finding]:
    """What the values of a cross-entropy give away."""
    classes, baseline = run.data.get("classes"), run.data.get("baseline")
    if not classes or not baseline or not run.snapshots or not run.snapshots[0].activations:
        return
    if "preflight" in run.record.facts:
        return  # the loss itself was asked
    scores = list(run.snapshots[0].activations.values())[-1]
    expected = math.log(classes) + scores["std"] ** 2 / 2
    times = run.first_loss / expected
    batch = run.record.facts.get("batch", 0)
    if batch > 2 and 0.6 < times / batch < 1.7 and scores["peak"] < 10 and (run.stalls or run.diverges):
        yield Finding(
            "loss summed over the batch",
            f"The loss starts at {run.first_loss:.3g}, {times:.3g} times what {classes} classes and such scores make "
            f"likely: as if it were the sum over the {batch} of a batch.",
            layer="loss",
            remedy={"average_loss": True},
            confidence=0.6,
        )
        return
    known = run.accuracy
    if known is None or not math.isfinite(run.last_loss):
        return
    floor = math.log1p((classes - 1) / math.e)
    if known > 0.8 and min(run.record.losses) > 0.98 * floor:
        yield Finding(
            "softmax applied twice",
            f"The share of right answers is {known:.0%}, yet the loss does not fall below {run.last_loss:.3g}; "
            f"{floor:.3g} is the least that a loss can get to which takes probabilities for scores.",
            layer="loss",
            remedy={"loss": "softmax"},
            confidence=0.6,
        )
    if run.fitted < 0.15 and run.last_loss < 0.6 * baseline and run.data.get("largest_share", 0.0) < 0.8:
        yield Finding(
            "loss does not fit the task",
            f"The loss falls to {run.last_loss:.3g}, below the {baseline:.3g} of a guess, and only {known:.0%} of the "
            f"answers are right.",
            layer="loss",
            remedy={"loss": "softmax"},
            confidence=0.6,
        )


def evaluation(run: Run) -> Iterator[Finding]:
    repeat, alone = run.evaluation.get("repeat", 0.0), run.evaluation.get("alone", 0.0)
    if (repeat > REPEAT or alone > ALONE) and not run.diverges:
        what = (
            f"Two evaluations of the same rows differ by {repeat:.1%} of the spread of the scores, as with dropout on."
            if repeat > REPEAT
            else f"A row gets scores that differ by {alone:.1%} of their spread when other rows are beside it, as with "
            f"the statistics of the batch."
        )
        yield Finding(
            "evaluation in training mode",
            what,
            layer="evaluation",
            remedy={"evaluation_mode": "test"},
            confidence=0.95,
        )
    last: dict[str, Any] = next((s.state for s in reversed(run.snapshots) if s.state), {})
    still = [name for name, change in last.items() if change == 0 and "running" in name]
    if still and len(run.snapshots) > 1 and run.typical("moved") > 0:
        yield Finding(
            "running statistics not updated",
            f"{', '.join(still[:3])} did not change in {len(run.record.losses)} steps.",
            layer=run.layer_of(still[0]),
            remedy={"update_statistics": True},
            confidence=0.95,
            level=WARNING if run.works else FAILURE,
        )


def _imbalanced(run: Run) -> bool:
    return any(finding.cause == "imbalanced classes" for finding in check_data(run.data))
